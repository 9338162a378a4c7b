/* Drivers that misuse MDLs, mappings, reserved addresses, I/O space and pageable sections; see misuse.h. */
#include "misuse.h"

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

static const MISUSE_CASE Cases[] = {
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
};

MISUSE_DRIVER
