/*
 * Drivers that break the rules. The name of the image file chooses the rule: c2-double-free.sys frees twice.
 * Before it does, the driver prints the bug check it expects, with those parameters that the documentation
 * fixes and `-` for the others; misuse.t compares. An image called misuse.sys prints the list of names
 * instead.
 *
 * Routines that are about to commit their offence keep the compiler from seeing through it.
 */
#include "check.h"

#define TAG      'sisM'
#define ANY      (~0x5A5A5A5Aull)
#define ANYWHERE Physical(0), Physical(~0ull >> 1)

static VOID
Expect(ULONG Code, ULONG64 P1, ULONG64 P2, ULONG64 P3, ULONG64 P4)
{
    ULONG64 Values[4] = {P1, P2, P3, P4};
    ULONG Index;

    DbgPrint("expect %08X", Code);
    for (Index = 0; Index < 4; Index += 1) {
        if (Values[Index] == ANY) {
            DbgPrint(" -");
        } else {
            DbgPrint(" %016I64X", Values[Index]);
        }
    }
    DbgPrint("\n");
}

/* The same value, of unknown origin. */
static PVOID __attribute__((noinline)) Hide(ULONG64 Value)
{
    __asm__ volatile("" : "+r"(Value));
    return (PVOID)(ULONG_PTR)Value;
}

static PVOID
Block(POOL_TYPE Type, SIZE_T Size)
{
    PVOID Result = ExAllocatePoolWithTag(Type, Size, TAG);

    if (Result == NULL) {
        DbgPrint("no memory\n");
        ExRaiseStatus(STATUS_NO_MEMORY);
    }
    return Result;
}

static KIRQL
Raise(VOID)
{
    return KfRaiseIrql(DISPATCH_LEVEL);
}

/* --- Pool --- */

static VOID
DoubleFree(VOID)
{
    PVOID P = Block(NonPagedPoolNx, 100);

    ExFreePoolWithTag(P, TAG);
    Expect(0xC2, 7, ANY, ANY, (ULONG_PTR)P);
    ExFreePoolWithTag(P, TAG);
}

static VOID
DoubleFreeLarge(VOID)
{
    PVOID P = Block(NonPagedPoolNx, 50000);

    ExFreePool(P);
    Expect(0xC2, ANY, ANY, ANY, ANY);
    ExFreePool(P);
}

static VOID
WrongTag(VOID)
{
    PVOID P = Block(PagedPool, 100);

    Expect(0xC2, 0xA, (ULONG_PTR)P, TAG, 'gaT2');
    ExFreePoolWithTag(P, 'gaT2');
}

static VOID
PagedAtDispatch(VOID)
{
    Raise();
    Expect(0xC2, 8, DISPATCH_LEVEL, PagedPool, 200);
    ExAllocatePoolWithTag(PagedPool, 200, TAG);
}

static VOID
NonPagedAtHigh(VOID)
{
    KfRaiseIrql(HIGH_LEVEL);
    Expect(0xC2, 8, HIGH_LEVEL, ANY, 200);
    ExAllocatePoolWithTag(NonPagedPoolNx, 200, TAG);
}

static VOID
FreePagedAtDispatch(VOID)
{
    PVOID P = Block(PagedPool, 200);

    Raise();
    Expect(0xC2, 9, DISPATCH_LEVEL, PagedPool, (ULONG_PTR)P);
    ExFreePoolWithTag(P, TAG);
}

static VOID
FreeUser(VOID)
{
    Expect(0xC2, 0x40, 0x10000, ANY, ANY);
    ExFreePool(Hide(0x10000));
}

static VOID
FreeNull(VOID)
{
    Expect(0xC2, 0x46, 0, ANY, ANY);
    ExFreePool(Hide(0));
}

static VOID
FreeStack(VOID)
{
    ULONG Local[8];

    Expect(0xC2, ANY, (ULONG_PTR)Local & ~15ull, ANY, ANY);
    ExFreePool(Hide((ULONG_PTR)Local & ~15ull));
}

static VOID
FreeImage(VOID)
{
    Expect(0xC2, ANY, (ULONG_PTR)&CheckNumber & ~15ull, ANY, ANY);
    ExFreePool(Hide((ULONG_PTR)&CheckNumber & ~15ull));
}

static VOID
FreeMiddle(VOID)
{
    PUCHAR P = Block(NonPagedPoolNx, 400);

    Expect(0xC2, 0x99, (ULONG_PTR)(P + 64), ANY, ANY);
    ExFreePool(P + 64);
}

static VOID
TagZero(VOID)
{
    Expect(0xC2, 0x9B, ANY, 64, ANY);
    ExAllocatePoolWithTag(NonPagedPoolNx, 64, 0);
}

static VOID
ZeroBytes(VOID)
{
    Expect(0xC4, 0, PASSIVE_LEVEL, ANY, 0);
    ExAllocatePoolWithTag(NonPagedPoolNx, (SIZE_T)(ULONG_PTR)Hide(0), TAG);
}

static VOID
BadContiguous(VOID)
{
    PUCHAR P = MmAllocateContiguousMemory(4 * PAGE_SIZE, Physical(~0ull >> 1));

    Expect(0xC2, 0x60, (ULONG_PTR)(P + PAGE_SIZE), ANY, ANY);
    MmFreeContiguousMemory(P + PAGE_SIZE);
}

static VOID
Overrun(VOID)
{
    PUCHAR P = Block(NonPagedPoolNx, 100);

    *(volatile UCHAR *)Hide((ULONG_PTR)(P + 101)) = 0x77;
    Expect(0x19, 0x21, (ULONG_PTR)P, 100, ANY);
    ExFreePoolWithTag(P, TAG);
}

static VOID
OverrunPaged(VOID)
{
    PUCHAR P = Block(PagedPool, 1001);

    *(volatile UCHAR *)Hide((ULONG_PTR)(P + 1001)) = 0x77;
    Expect(0x19, 0x21, (ULONG_PTR)P, 1001, ANY);
    ExFreePoolWithTag(P, TAG);
}

static VOID
Underrun(VOID)
{
    PUCHAR P = Block(NonPagedPoolNx, 100);

    RtlFillMemory(Hide((ULONG_PTR)(P - 16)), 16, 0x66);
    Expect(0x19, 0x20, ANY, ANY, ANY);
    ExFreePoolWithTag(P, TAG);
}

/* Found when the block is taken out of the quarantine, so at the latest some frees later. */
static VOID
UseAfterFree(VOID)
{
    PUCHAR P = Block(NonPagedPoolNx, 200);
    ULONG Round;

    ExFreePoolWithTag(P, TAG);
    *(volatile UCHAR *)Hide((ULONG_PTR)(P + 50)) = 0x11;
    Expect(0x19, 0xD, (ULONG_PTR)P, ANY, ANY);
    for (Round = 0; Round < 200000; Round += 1) {
        ExFreePoolWithTag(Block(NonPagedPoolNx, 200), TAG);
    }
}

static VOID
LookasideInPool(VOID)
{
    PNPAGED_LOOKASIDE_LIST List = Block(NonPagedPoolNx, sizeof(*List));

    ExInitializeNPagedLookasideList(List, NULL, NULL, 0, 64, TAG, 0);
    Expect(0xC4, 0xCC, (ULONG_PTR)List, (ULONG_PTR)List, ANY);
    ExFreePoolWithTag(List, TAG);
}

static NPAGED_LOOKASIDE_LIST Lookaside;

static VOID
LookasideTwice(VOID)
{
    ExInitializeNPagedLookasideList(&Lookaside, NULL, NULL, 0, 64, TAG, 0);
    Expect(0xC4, 0xCA, (ULONG_PTR)&Lookaside, ANY, ANY);
    ExInitializeNPagedLookasideList(&Lookaside, NULL, NULL, 0, 64, TAG, 0);
}

static VOID
LookasideUnknown(VOID)
{
    Expect(0xC4, 0xCB, (ULONG_PTR)&Lookaside, ANY, ANY);
    ExDeleteNPagedLookasideList(&Lookaside);
}

static VOID
LookasideSmall(VOID)
{
    Expect(0xC4, 0xCD, (ULONG_PTR)&Lookaside, 4, ANY);
    ExInitializeNPagedLookasideList(&Lookaside, NULL, NULL, 0, 4, TAG, 0);
}

static PUCHAR
Special(SIZE_T Size)
{
    PUCHAR P = ExAllocatePool2(POOL_FLAG_NON_PAGED | POOL_FLAG_SPECIAL_POOL, Size, TAG);

    if (P == NULL) {
        ExRaiseStatus(STATUS_NO_MEMORY);
    }
    return P;
}

static VOID
SpecialOverrun(VOID)
{
    PUCHAR P = Special(64);

    Expect(0xD6, (ULONG_PTR)(P + 64), 1, ANY, ANY);
    *(volatile UCHAR *)Hide((ULONG_PTR)(P + 64)) = 1;
}

static VOID
SpecialFreed(VOID)
{
    PUCHAR P = Special(64);

    ExFreePoolWithTag(P, TAG);
    Expect(0xD5, (ULONG_PTR)P, 0, ANY, ANY);
    *(volatile UCHAR *)Hide((ULONG_PTR)P);
}

static VOID
SpecialUnderrun(VOID)
{
    PUCHAR P = Special(64);

    *(volatile UCHAR *)Hide((ULONG_PTR)(P - 1)) = 1;
    Expect(0xC1, (ULONG_PTR)P, (ULONG_PTR)(P - 1), ANY, 0x23);
    ExFreePoolWithTag(P, TAG);
}

static VOID
SpecialTail(VOID)
{
    PUCHAR P = Special(60);

    *(volatile UCHAR *)Hide((ULONG_PTR)(P + 61)) = 1;
    Expect(0xC1, (ULONG_PTR)P, (ULONG_PTR)(P + 61), ANY, 0x24);
    ExFreePoolWithTag(P, TAG);
}

/* --- Faults --- */

static VOID
ReadUnmapped(VOID)
{
    PUCHAR P = Block(NonPagedPoolNx, 64 * PAGE_SIZE);
    ULONG64 Hole = (ULONG_PTR)MmAllocateMappingAddress(16 * PAGE_SIZE, TAG);

    ExFreePool(P);
    Expect(0x50, Hole + 5, 0, ANY, ANY);
    *(volatile UCHAR *)Hide(Hole + 5);
}

static VOID
WriteUnmapped(VOID)
{
    ULONG64 Hole = (ULONG_PTR)MmAllocateMappingAddress(16 * PAGE_SIZE, TAG);

    Expect(0x50, Hole + 5, 2, ANY, ANY);
    *(volatile UCHAR *)Hide(Hole + 5) = 1;
}

static VOID
ExecuteUnmapped(VOID)
{
    ULONG64 Hole = (ULONG_PTR)MmAllocateMappingAddress(16 * PAGE_SIZE, TAG);

    Expect(0x50, Hole, 0x10, ANY, ANY);
    ((VOID(NTAPI *)(VOID))Hide(Hole))();
}

static VOID
ReadFreedPages(VOID)
{
    PUCHAR P = Block(NonPagedPoolNx, 300 * PAGE_SIZE);

    ExFreePool(P);
    Expect(0x50, (ULONG_PTR)P, 0, ANY, ANY);
    *(volatile UCHAR *)Hide((ULONG_PTR)P);
}

static const UCHAR ReadOnly[64] = {1, 2, 3};

static VOID
WriteReadOnly(VOID)
{
    Expect(0xBE, (ULONG_PTR)&ReadOnly[2], ANY, ANY, ANY);
    *(volatile UCHAR *)Hide((ULONG_PTR)&ReadOnly[2]) = 1;
}

static VOID
WriteCode(VOID)
{
    Expect(0xBE, (ULONG_PTR)WriteReadOnly, ANY, ANY, ANY);
    *(volatile UCHAR *)Hide((ULONG_PTR)WriteReadOnly) = 1;
}

static VOID
ExecutePool(VOID)
{
    PUCHAR P = Block(NonPagedPoolNx, 64);

    P[0] = 0xC3;
    Expect(0xFC, (ULONG_PTR)P, ANY, ANY, ANY);
    ((VOID(NTAPI *)(VOID))Hide((ULONG_PTR)P))();
}

static VOID
ExecuteData(VOID)
{
    static UCHAR Code[16];

    Code[0] = 0xC3;
    Expect(0xFC, (ULONG_PTR)Code, ANY, ANY, ANY);
    ((VOID(NTAPI *)(VOID))Hide((ULONG_PTR)Code))();
}

static VOID
ExecuteStack(VOID)
{
    volatile UCHAR Code[16];

    Code[0] = 0xC3;
    Expect(0xFC, (ULONG_PTR)Code, ANY, ANY, ANY);
    ((VOID(NTAPI *)(VOID))Hide((ULONG_PTR)Code))();
}

static VOID
WriteProtectedMapping(VOID)
{
    PVOID P = Block(NonPagedPoolNx, PAGE_SIZE);
    PMDL Mdl = IoAllocateMdl(P, PAGE_SIZE, FALSE, FALSE, NULL);
    PUCHAR Map;

    MmProbeAndLockPages(Mdl, KernelMode, IoWriteAccess);
    Map = MmGetSystemAddressForMdlSafe(Mdl, NormalPagePriority);
    MmProtectMdlSystemAddress(Mdl, PAGE_READONLY);
    Expect(0xBE, (ULONG_PTR)(Map + 9), ANY, ANY, ANY);
    *(volatile UCHAR *)Hide((ULONG_PTR)(Map + 9)) = 1;
}

static VOID
PagedPoolAtDispatch(VOID)
{
    PUCHAR P = Block(PagedPool, 8 * PAGE_SIZE);

    Raise();
    Expect(0xD1, (ULONG_PTR)(P + 5 * PAGE_SIZE), DISPATCH_LEVEL, 1, ANY);
    *(volatile UCHAR *)Hide((ULONG_PTR)(P + 5 * PAGE_SIZE)) = 1;
}

static VOID
KernelAtDispatch(VOID)
{
    static UNICODE_STRING Name = RTL_CONSTANT_STRING(L"RtlMoveMemory");
    VOID(NTAPI * Move)(PVOID, const VOID *, SIZE_T);
    PUCHAR P = Block(PagedPool, 8 * PAGE_SIZE);

    *(PVOID *)&Move = MmGetSystemRoutineAddress(&Name);
    Raise();
    Expect(0xA, (ULONG_PTR)(P + 5 * PAGE_SIZE), DISPATCH_LEVEL, 1, ANY);
    Move(P + 5 * PAGE_SIZE, ReadOnly, 8);
}

static VOID
NullPointer(VOID)
{
    Expect(0x7E, 0xFFFFFFFFC0000005ull, ANY, ANY, ANY);
    *(volatile ULONG *)Hide(8);
}

static VOID
WriteNull(VOID)
{
    Expect(0x7E, 0xFFFFFFFFC0000005ull, ANY, ANY, ANY);
    *(volatile ULONG *)Hide(0) = 1;
}

static VOID
NotCanonical(VOID)
{
    Expect(0x7E, 0xFFFFFFFFC0000005ull, ANY, ANY, ANY);
    *(volatile ULONG *)Hide(0x1234000000000000ull);
}

static VOID
DivideByZero(VOID)
{
    Expect(0x7E, 0xFFFFFFFFC0000094ull, ANY, ANY, ANY);
    __asm__ volatile("xorl %%ecx, %%ecx\nxorl %%edx, %%edx\nmovl $1, %%eax\ndivl %%ecx" ::
                         : "eax", "ecx", "edx");
}

static VOID
Breakpoint(VOID)
{
    Expect(0x7E, 0xFFFFFFFF80000003ull, ANY, ANY, ANY);
    __asm__ volatile("int3");
}

static VOID
IllegalInstruction(VOID)
{
    Expect(0x7E, 0xFFFFFFFFC000001Dull, ANY, ANY, ANY);
    __asm__ volatile("ud2");
}

static VOID
RaiseStatus(VOID)
{
    Expect(0x7E, 0xFFFFFFFFC000009Aull, ANY, ANY, ANY);
    ExRaiseStatus(STATUS_INSUFFICIENT_RESOURCES);
}

static VOID
ProbeKernel(VOID)
{
    Expect(0x7E, 0xFFFFFFFFC0000005ull, ANY, ANY, ANY);
    ProbeForRead(Hide((ULONG_PTR)ReadOnly), 16, 1);
}

static VOID
ProbeUnaligned(VOID)
{
    Expect(0x7E, 0xFFFFFFFF80000002ull, ANY, ANY, ANY);
    ProbeForRead(Hide(0x10001), 16, 4);
}

static VOID
LockUser(VOID)
{
    PMDL Mdl = IoAllocateMdl(Hide((ULONG_PTR)ReadOnly), 16, FALSE, FALSE, NULL);

    Expect(0x7E, 0xFFFFFFFFC0000005ull, ANY, ANY, ANY);
    MmProbeAndLockPages(Mdl, UserMode, IoReadAccess);
}

static VOID
LockReadOnly(VOID)
{
    PMDL Mdl = IoAllocateMdl(Hide((ULONG_PTR)ReadOnly), 16, FALSE, FALSE, NULL);

    Expect(0x7E, 0xFFFFFFFFC0000005ull, ANY, ANY, ANY);
    MmProbeAndLockPages(Mdl, KernelMode, IoWriteAccess);
}

static VOID
FastFail(VOID)
{
    Expect(0x139, 3, ANY, ANY, 0);
    __asm__ volatile("int $0x29" ::"c"(3));
}

static BOOLEAN Deeper = TRUE;

static ULONG __attribute__((noinline)) Recurse(volatile UCHAR *Outer)
{
    volatile UCHAR Local[500];

    Local[0] = Outer == NULL ? 1 : (UCHAR)(Outer[0] + 1);
    return *(volatile BOOLEAN *)&Deeper ? Recurse(Local) + Local[0] : 0;
}

static VOID
StackOverflow(VOID)
{
    Expect(0x7F, 8, ANY, ANY, ANY);
    Recurse(NULL);
}

static VOID
OwnBugCheck(VOID)
{
    Expect(0xE2, 0x1111, 0x2222, 0x3333, 0x4444444444444444ull);
    KeBugCheckEx(0xE2, 0x1111, 0x2222, 0x3333, 0x4444444444444444ull);
}

/* --- MDLs and mappings --- */

static PMDL
Locked(VOID)
{
    PMDL Mdl = IoAllocateMdl(Block(NonPagedPoolNx, 2 * PAGE_SIZE), 2 * PAGE_SIZE, FALSE, FALSE, NULL);

    MmProbeAndLockPages(Mdl, KernelMode, IoWriteAccess);
    return Mdl;
}

static VOID
UnlockTwice(VOID)
{
    PMDL Mdl = Locked();

    MmUnlockPages(Mdl);
    Expect(0xC4, 0x7C, (ULONG_PTR)Mdl, ANY, ANY);
    MmUnlockPages(Mdl);
}

static PMDL
Built(VOID)
{
    PMDL Mdl = IoAllocateMdl(Block(NonPagedPoolNx, 100), 100, FALSE, FALSE, NULL);

    MmBuildMdlForNonPagedPool(Mdl);
    return Mdl;
}

static VOID
UnlockNonPaged(VOID)
{
    PMDL Mdl = Built();

    Expect(0xC4, 0x7D, (ULONG_PTR)Mdl, ANY, ANY);
    MmUnlockPages(Mdl);
}

static VOID
LockTwice(VOID)
{
    PMDL Mdl = Locked();

    Expect(0xC4, 0xB0, (ULONG_PTR)Mdl, ANY, ANY);
    MmProbeAndLockPages(Mdl, KernelMode, IoReadAccess);
}

static VOID
LockNonPaged(VOID)
{
    PMDL Mdl = Built();

    Expect(0xC4, 0xB0, (ULONG_PTR)Mdl, ANY, ANY);
    MmProbeAndLockPages(Mdl, KernelMode, IoReadAccess);
}

static VOID
BuildPaged(VOID)
{
    PMDL Mdl = IoAllocateMdl(Block(PagedPool, 100), 100, FALSE, FALSE, NULL);

    Expect(0xC4, 0x7F, ANY, ANY, ANY);
    MmBuildMdlForNonPagedPool(Mdl);
}

static VOID
MapUnlocked(VOID)
{
    PMDL Mdl = IoAllocateMdl(Block(NonPagedPoolNx, 100), 100, FALSE, FALSE, NULL);

    Expect(0xC4, ANY, (ULONG_PTR)Mdl, ANY, ANY);
    MmMapLockedPagesSpecifyCache(Mdl, KernelMode, MmCached, NULL, FALSE, NormalPagePriority);
}

static VOID
UnmapUnmapped(VOID)
{
    PMDL Mdl = Locked();

    Expect(0xC4, 0xB6, (ULONG_PTR)Mdl, ANY, ANY);
    MmUnmapLockedPages(Hide((ULONG_PTR)MmGetMdlVirtualAddress(Mdl)), Mdl);
}

static VOID
UnmapWrong(VOID)
{
    PMDL Mdl = Locked();
    PUCHAR Map = MmGetSystemAddressForMdlSafe(Mdl, NormalPagePriority);

    Expect(0xDA, ANY, ANY, ANY, ANY);
    MmUnmapLockedPages(Map + PAGE_SIZE, Mdl);
}

static VOID
FreeMapped(VOID)
{
    PMDL Mdl = MmAllocatePagesForMdlEx(ANYWHERE, Physical(0), PAGE_SIZE, MmCached, 0);

    MmGetSystemAddressForMdlSafe(Mdl, NormalPagePriority);
    Expect(0xC4, 0xB8, (ULONG_PTR)Mdl, ANY, ANY);
    IoFreeMdl(Mdl);
}

static VOID
UnlockPartial(VOID)
{
    PMDL Source = Locked(), Target;

    Target = IoAllocateMdl(MmGetMdlVirtualAddress(Source), PAGE_SIZE, FALSE, FALSE, NULL);
    IoBuildPartialMdl(Source, Target, MmGetMdlVirtualAddress(Source), PAGE_SIZE);
    Expect(0xC4, 0xB4, (ULONG_PTR)Target, ANY, ANY);
    MmUnlockPages(Target);
}

static VOID
PartialSmall(VOID)
{
    PMDL Source = Locked(), Target;

    Target = IoAllocateMdl(MmGetMdlVirtualAddress(Source), 1, FALSE, FALSE, NULL);
    Expect(0x40, ANY, ANY, ANY, ANY);
    IoBuildPartialMdl(Source, Target, MmGetMdlVirtualAddress(Source), 2 * PAGE_SIZE);
}

static VOID
PartialOutside(VOID)
{
    PMDL Source = Locked(), Target;
    PUCHAR Va = MmGetMdlVirtualAddress(Source);

    Target = IoAllocateMdl(Va, 4 * PAGE_SIZE, FALSE, FALSE, NULL);
    Expect(0x12E, (ULONG_PTR)Source, (ULONG_PTR)Target, (ULONG_PTR)(Va + PAGE_SIZE), 2 * PAGE_SIZE);
    IoBuildPartialMdl(Source, Target, Va + PAGE_SIZE, 2 * PAGE_SIZE);
}

static VOID
FreeLockedPages(VOID)
{
    PMDL Pages = MmAllocatePagesForMdlEx(ANYWHERE, Physical(0), PAGE_SIZE, MmCached, 0), Lock;
    PVOID Map = MmGetSystemAddressForMdlSafe(Pages, NormalPagePriority);

    Lock = IoAllocateMdl(Map, PAGE_SIZE, FALSE, FALSE, NULL);
    MmProbeAndLockPages(Lock, KernelMode, IoReadAccess);
    Expect(0x4E, 0x9A, MmGetMdlPfnArray(Pages)[0], ANY, ANY);
    MmFreePagesFromMdl(Pages);
}

static VOID
ReservedTag(VOID)
{
    PVOID Range = MmAllocateMappingAddress(PAGE_SIZE, TAG);

    Expect(0xDA, 0x101, ANY, 'gaT2', TAG);
    MmFreeMappingAddress(Range, 'gaT2');
}

static PVOID ReservedRange;

static PMDL
MapReserved(VOID)
{
    PMDL Mdl = Locked();

    ReservedRange = MmAllocateMappingAddress(2 * PAGE_SIZE, TAG);
    MmMapLockedPagesWithReservedMapping(ReservedRange, TAG, Mdl, MmCached);
    return Mdl;
}

static VOID
ReservedBusy(VOID)
{
    MapReserved();
    Expect(0xDA, 0x103, ANY, ANY, ANY);
    MmFreeMappingAddress(ReservedRange, TAG);
}

static VOID
ReservedMapTag(VOID)
{
    PMDL Mdl = Locked();
    PVOID Range = MmAllocateMappingAddress(2 * PAGE_SIZE, TAG);

    Expect(0xDA, 0x104, ANY, 'gaT2', TAG);
    MmMapLockedPagesWithReservedMapping(Range, 'gaT2', Mdl, MmCached);
}

static VOID
ReservedTwice(VOID)
{
    MapReserved();
    Expect(0xDA, 0x107, ANY, ANY, ANY);
    MmMapLockedPagesWithReservedMapping(ReservedRange, TAG, Locked(), MmCached);
}

static VOID
ReservedUnmapTag(VOID)
{
    PMDL Mdl = MapReserved();

    Expect(0xDA, 0x108, ANY, 'gaT2', TAG);
    MmUnmapReservedMapping(ReservedRange, 'gaT2', Mdl);
}

static VOID
ReservedUnmapEmpty(VOID)
{
    PMDL Mdl = MapReserved();

    MmUnmapReservedMapping(ReservedRange, TAG, Mdl);
    Expect(0xDA, 0x109, ANY, ANY, ANY);
    MmUnmapReservedMapping(ReservedRange, TAG, Mdl);
}

static VOID
IoSpaceUnknown(VOID)
{
    PVOID P = Block(NonPagedPoolNx, PAGE_SIZE);

    Expect(0xDA, 0x400, (ULONG_PTR)P, 1, ANY);
    MmUnmapIoSpace(P, PAGE_SIZE);
}

static VOID
IoSpaceRam(VOID)
{
    PMDL Mdl = MmAllocatePagesForMdlEx(ANYWHERE, Physical(0), PAGE_SIZE, MmCached, 0);
    ULONG64 Address = MmGetMdlPfnArray(Mdl)[0] << PAGE_SHIFT;

    MmFreePagesFromMdl(Mdl);
    Expect(0xC4, 0x83, Address, 16, Address >> PAGE_SHIFT);
    MmMapIoSpace(Physical(Address), 16, MmCached);
}

__attribute__((section("PAGEDATA"))) ULONG Pageable = 1;

static VOID
SectionUnlock(VOID)
{
    PVOID Handle = MmLockPagableDataSection(&Pageable);

    MmUnlockPagableImageSection(Handle);
    Expect(0x1A, 0x1010, ANY, ANY, ANY);
    MmUnlockPagableImageSection(Handle);
}

static VOID
SectionNone(VOID)
{
    PVOID P = Block(NonPagedPoolNx, 16);

    Expect(0x1A, 0x1234, ANY, ANY, ANY);
    MmLockPagableDataSection(P);
}

/* --- Ke --- */

static KEVENT Never;

static VOID NTAPI
WaitingDpc(PKDPC Dpc, PVOID Context, PVOID One, PVOID Two)
{
    KeWaitForSingleObject(&Never, Executive, KernelMode, FALSE, NULL);
}

static VOID
WaitInDpc(VOID)
{
    static KDPC Dpc;

    KeInitializeEvent(&Never, NotificationEvent, FALSE);
    KeInitializeDpc(&Dpc, WaitingDpc, NULL);
    Expect(0xB8, ANY, ANY, ANY, ANY);
    KeInsertQueueDpc(&Dpc, NULL, NULL);
    KeFlushQueuedDpcs();
}

static VOID
SpinTwice(VOID)
{
    static KSPIN_LOCK Lock;
    KIRQL OldIrql;

    KeAcquireSpinLock(&Lock, &OldIrql);
    Expect(0xF, (ULONG_PTR)&Lock, ANY, ANY, ANY);
    KeAcquireSpinLockAtDpcLevel(&Lock);
}

static KSPIN_LOCK Free;

static VOID
SpinNotOwned(VOID)
{
    KIRQL OldIrql = Raise();

    Expect(0x10, (ULONG_PTR)&Free, ANY, ANY, ANY);
    KeReleaseSpinLock(&Free, OldIrql);
}

static VOID
SpinReleaseLow(VOID)
{
    Expect(0xC4, 0x32, PASSIVE_LEVEL, (ULONG_PTR)&Free, ANY);
    KeReleaseSpinLock(&Free, PASSIVE_LEVEL);
}

static VOID
ReturnRaised(VOID)
{
    Expect(0xC8, ANY, ANY, ANY, ANY);
    Raise();
}

/* The exported forms, which headers hide behind inlined ones. */
static VOID
RaiseDown(VOID)
{
    static UNICODE_STRING Name = RTL_CONSTANT_STRING(L"KfRaiseIrql");
    KIRQL(NTAPI * RaiseIrql)(KIRQL);

    *(PVOID *)&RaiseIrql = MmGetSystemRoutineAddress(&Name);
    Raise();
    Expect(0xC4, 0x30, DISPATCH_LEVEL, PASSIVE_LEVEL, ANY);
    RaiseIrql(PASSIVE_LEVEL);
}

static VOID
LowerUp(VOID)
{
    static UNICODE_STRING Name = RTL_CONSTANT_STRING(L"KeLowerIrql");
    VOID(NTAPI * LowerIrql)(KIRQL);

    *(PVOID *)&LowerIrql = MmGetSystemRoutineAddress(&Name);
    Expect(0xC4, 0x31, PASSIVE_LEVEL, DISPATCH_LEVEL, ANY);
    LowerIrql(DISPATCH_LEVEL);
}

static VOID
MutexNotOwned(VOID)
{
    static KMUTEX Mutex;

    KeInitializeMutex(&Mutex, 0);
    Expect(0x7E, 0xFFFFFFFFC0000046ull, ANY, ANY, ANY);
    KeReleaseMutex(&Mutex, FALSE);
}

#ifdef __clang__
static ULONG __attribute__((section("INIT"), noinline)) Discarded(ULONG Value)
{
    return Value * 7;
}

static VOID NTAPI
UnloadDiscarded(PDRIVER_OBJECT DriverObject)
{
    Expect(0x50, (ULONG_PTR)Discarded, 0x10, ANY, ANY);
    DbgPrint("%u\n", ((ULONG(*volatile)(ULONG))Discarded)(1));
}
#endif

#define CASE(Name, Routine)                                                                                  \
    {                                                                                                        \
        Name, Routine                                                                                        \
    }

static const struct {
    const char *Name;
    VOID (*Routine)(VOID);
} Cases[] = {
    CASE("c2-double-free", DoubleFree),
    CASE("c2-double-free-large", DoubleFreeLarge),
    CASE("c2-wrong-tag", WrongTag),
    CASE("c2-paged-at-dispatch", PagedAtDispatch),
    CASE("c2-nonpaged-at-high", NonPagedAtHigh),
    CASE("c2-free-paged-at-dispatch", FreePagedAtDispatch),
    CASE("c2-free-user", FreeUser),
    CASE("c2-free-null", FreeNull),
    CASE("c2-free-stack", FreeStack),
    CASE("c2-free-image", FreeImage),
    CASE("c2-free-middle", FreeMiddle),
    CASE("c2-tag-zero", TagZero),
    CASE("c2-bad-contiguous", BadContiguous),
    CASE("c4-zero-bytes", ZeroBytes),
    CASE("19-overrun", Overrun),
    CASE("19-overrun-paged", OverrunPaged),
    CASE("19-underrun", Underrun),
    CASE("19-use-after-free", UseAfterFree),
    CASE("c4-lookaside-in-pool", LookasideInPool),
    CASE("c4-lookaside-twice", LookasideTwice),
    CASE("c4-lookaside-unknown", LookasideUnknown),
    CASE("c4-lookaside-small", LookasideSmall),
    CASE("d6-special-overrun", SpecialOverrun),
    CASE("d5-special-freed", SpecialFreed),
    CASE("c1-special-underrun", SpecialUnderrun),
    CASE("c1-special-tail", SpecialTail),
    CASE("50-read", ReadUnmapped),
    CASE("50-write", WriteUnmapped),
    CASE("50-execute", ExecuteUnmapped),
    CASE("50-freed", ReadFreedPages),
    CASE("be-constant", WriteReadOnly),
    CASE("be-code", WriteCode),
    CASE("be-mapping", WriteProtectedMapping),
    CASE("fc-pool", ExecutePool),
    CASE("fc-data", ExecuteData),
    CASE("fc-stack", ExecuteStack),
    CASE("d1-paged-pool", PagedPoolAtDispatch),
    CASE("0a-kernel", KernelAtDispatch),
    CASE("1e-null", NullPointer),
    CASE("1e-write-null", WriteNull),
    CASE("1e-not-canonical", NotCanonical),
    CASE("1e-divide", DivideByZero),
    CASE("1e-breakpoint", Breakpoint),
    CASE("1e-illegal", IllegalInstruction),
    CASE("1e-raise", RaiseStatus),
    CASE("1e-probe-kernel", ProbeKernel),
    CASE("1e-probe-unaligned", ProbeUnaligned),
    CASE("1e-lock-user", LockUser),
    CASE("1e-lock-read-only", LockReadOnly),
    CASE("1e-mutex", MutexNotOwned),
    CASE("139-fast-fail", FastFail),
    CASE("7f-stack-overflow", StackOverflow),
    CASE("e2-own", OwnBugCheck),
    CASE("c4-unlock-twice", UnlockTwice),
    CASE("c4-unlock-nonpaged", UnlockNonPaged),
    CASE("c4-lock-twice", LockTwice),
    CASE("c4-lock-nonpaged", LockNonPaged),
    CASE("c4-build-paged", BuildPaged),
    CASE("c4-map-unlocked", MapUnlocked),
    CASE("c4-unmap-unmapped", UnmapUnmapped),
    CASE("da-unmap-wrong", UnmapWrong),
    CASE("c4-free-mapped", FreeMapped),
    CASE("c4-unlock-partial", UnlockPartial),
    CASE("40-partial-small", PartialSmall),
    CASE("12e-partial-outside", PartialOutside),
    CASE("4e-free-locked", FreeLockedPages),
    CASE("da-reserved-tag", ReservedTag),
    CASE("da-reserved-busy", ReservedBusy),
    CASE("da-reserved-map-tag", ReservedMapTag),
    CASE("da-reserved-twice", ReservedTwice),
    CASE("da-reserved-unmap-tag", ReservedUnmapTag),
    CASE("da-reserved-unmap-empty", ReservedUnmapEmpty),
    CASE("da-io-space-unknown", IoSpaceUnknown),
    CASE("c4-io-space-ram", IoSpaceRam),
    CASE("1a-section-unlock", SectionUnlock),
    CASE("1a-section-none", SectionNone),
    CASE("b8-wait-in-dpc", WaitInDpc),
    CASE("0f-spin-twice", SpinTwice),
    CASE("10-spin-not-owned", SpinNotOwned),
    CASE("c4-spin-release-low", SpinReleaseLow),
    CASE("c8-return-raised", ReturnRaised),
    CASE("c4-raise-down", RaiseDown),
    CASE("c4-lower-up", LowerUp),
};

/* The name behind \Driver\. */
static BOOLEAN
Named(PDRIVER_OBJECT DriverObject, const char *Name)
{
    const UNICODE_STRING *Full = &DriverObject->DriverName;
    USHORT Index;

    for (Index = 0; Name[Index] != 0; Index += 1) {
        if ((Index + 8) * sizeof(WCHAR) >= Full->Length || Full->Buffer[Index + 8] != (WCHAR)Name[Index]) {
            return FALSE;
        }
    }
    return (Index + 8) * sizeof(WCHAR) == Full->Length;
}

NTSTATUS NTAPI
DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    ULONG Index;

    if (Named(DriverObject, "misuse")) {
        for (Index = 0; Index < RTL_NUMBER_OF(Cases); Index += 1) {
            DbgPrint("case %s\n", Cases[Index].Name);
        }
#ifdef __clang__
        DbgPrint("case 50-discarded\n");
#endif
        return STATUS_SUCCESS;
    }
#ifdef __clang__
    if (Named(DriverObject, "50-discarded")) {
        DriverObject->DriverUnload = UnloadDiscarded;
        return Discarded(3) == 21 ? STATUS_SUCCESS : STATUS_UNSUCCESSFUL;
    }
#endif
    for (Index = 0; Index < RTL_NUMBER_OF(Cases); Index += 1) {
        if (Named(DriverObject, Cases[Index].Name)) {
            Cases[Index].Routine();
            DbgPrint("survived\n");
            return STATUS_SUCCESS;
        }
    }
    DbgPrint("no such case\n");
    return STATUS_UNSUCCESSFUL;
}
