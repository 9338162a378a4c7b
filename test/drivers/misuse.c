/* Drivers that misuse pool, lookaside lists and special pool, or touch memory they must not; see misuse.h. */
#include "misuse.h"

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
static VOID
RunDiscarded(VOID)
{
    if (Discarded(3) == 21) {
        MisuseDriver->DriverUnload = UnloadDiscarded;
    }
}
#endif

static const MISUSE_CASE Cases[] = {
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
    CASE("139-fast-fail", FastFail),
    CASE("7f-stack-overflow", StackOverflow),
    CASE("e2-own", OwnBugCheck),
#ifdef __clang__
    CASE("50-discarded", RunDiscarded),
#endif
};

MISUSE_DRIVER
