/* Pages for MDLs. */
#include "mdltest.h"

static PMDL
PagesGet(ULONG64 Low, ULONG64 High, ULONG64 Skip, SIZE_T Bytes, ULONG Flags)
{
    return MmAllocatePagesForMdlEx(MtPhysical(Low), MtPhysical(High), MtPhysical(Skip), Bytes, MmCached,
                                   Flags);
}

static VOID
PagesFree(PMDL Mdl)
{
    MmFreePagesFromMdl(Mdl);
    ExFreePool(Mdl);
}

static BOOLEAN
PagesAreWithin(PMDL Mdl, ULONG64 Low, ULONG64 High)
{
    for (SIZE_T Index = 0; Index < MiMdlPageCount(Mdl); Index += 1) {
        ULONG64 Start = MtFrames(Mdl)[Index] << PAGE_SHIFT;

        if (Start < Low || Start + PAGE_SIZE - 1 > High) {
            return FALSE;
        }
    }
    return TRUE;
}

KTEST(PagesAreZeroAndTheDrivers)
{
    LONG64 Resident = MiResidentAvailablePages();
    SIZE_T Commit = MtCommit();
    PMDL Mdl = MmAllocatePagesForMdl(MtPhysical(0), MtPhysical(~0ull), MtPhysical(0), 20 * PAGE_SIZE);
    PUCHAR Va;

    REQUIRE(Mdl != NULL);
    CHECK_EQ(MmGetMdlByteCount(Mdl), 20 * PAGE_SIZE);
    CHECK(MmGetMdlVirtualAddress(Mdl) == NULL);
    CHECK_EQ(Mdl->MdlFlags, MDL_PAGES_LOCKED);
    CHECK(Resident - MiResidentAvailablePages() >= 20);
    CHECK(MtCommit() - Commit >= 20);
    Va = MmGetSystemAddressForMdlSafe(Mdl, NormalPagePriority);
    REQUIRE(Va != NULL);
    CHECK(Mdl->MappedSystemVa == Va && MmGetMdlVirtualAddress(Mdl) == NULL);
    CHECK(RtlIsZeroMemory(Va, 20 * PAGE_SIZE));
    RtlFillMemory(Va, 20 * PAGE_SIZE, 0x33);
    for (ULONG Page = 0; Page < 20; Page += 1) {
        CHECK_EQ(MiFrameUse(MtFrames(Mdl)[Page]), MiUseDriverLocked);
        CHECK_EQ(MtFrameOf(Va + Page * PAGE_SIZE), MtFrames(Mdl)[Page]);
    }
    MmUnmapLockedPages(Va, Mdl);
    CHECK_EQ(Mdl->MdlFlags, MDL_PAGES_LOCKED);
    REQUIRE(MmGetSystemAddressForMdlSafe(Mdl, NormalPagePriority) != NULL);
    MmFreePagesFromMdl(Mdl); /* still mapped */
    CHECK_EQ(Mdl->MdlFlags & (MDL_MAPPED_TO_SYSTEM_VA | MDL_PAGES_LOCKED), 0);
    ExFreePoolWithTag(Mdl, 0);
}

KTEST(PagesWithinAWindow)
{
    ULONG64 Low = MtFreeWindow(0x100000);
    PMDL Mdl = PagesGet(Low, Low + 0xFFFFF, 0, 0x20000, 0);

    REQUIRE(Low != 0 && Mdl != NULL);
    CHECK(PagesAreWithin(Mdl, Low, Low + 0xFFFFF));
    PagesFree(Mdl);

    /* Bounds are bytes, inclusive: only whole pages count. */
    Mdl = PagesGet(Low + 1, Low + 0x2FFF, 0, 0x10000, 0);
    REQUIRE(Mdl != NULL);
    CHECK(PagesAreWithin(Mdl, Low + 0x1000, Low + 0x2FFF));
    CHECK(MmGetMdlByteCount(Mdl) <= 0x2000);
    PagesFree(Mdl);
    CHECK(PagesGet(Low + 1, Low + 0x1FFE, 0, PAGE_SIZE, 0) == NULL);
    CHECK(PagesGet(Low + 0x100000, Low + 0xFFFFF, 0, PAGE_SIZE, 0) == NULL);
    CHECK(PagesGet(1ull << 46, (1ull << 46) + 0xFFFFFF, 0, PAGE_SIZE, 0) == NULL);
}

/* The window moves up by SkipBytes until the request is full. */
KTEST(PagesSkip)
{
    ULONG64 Low = MtFreeWindow(0x400000);
    PMDL Mdl = PagesGet(Low, Low + 0x3FFF, 0x100000, 10 * PAGE_SIZE, 0);

    REQUIRE(Low != 0 && Mdl != NULL);
    CHECK_EQ(MmGetMdlByteCount(Mdl), 10 * PAGE_SIZE);
    for (SIZE_T Index = 0; Index < 10; Index += 1) {
        CHECK(((MtFrames(Mdl)[Index] << PAGE_SHIFT) & 0xFFFFF) < 0x4000);
    }
    PagesFree(Mdl);
    CHECK(PagesGet(Low, Low + 0x3FFF, 0x100, PAGE_SIZE, 0) == NULL);
}

KTEST(PagesPartial)
{
    ULONG64 Low = MtFreeWindow(0x10000);
    PMDL Mdl = PagesGet(Low, Low + 0xFFFF, 0, 0x20000, 0);

    REQUIRE(Low != 0 && Mdl != NULL);
    CHECK(MmGetMdlByteCount(Mdl) <= 0x10000 && MmGetMdlByteCount(Mdl) >= PAGE_SIZE);
    PagesFree(Mdl);
    CHECK(PagesGet(Low, Low + 0xFFFF, 0, 0x20000, MM_ALLOCATE_FULLY_REQUIRED) == NULL);
    CHECK(PagesGet(0, ~0ull, 0, 0, 0) == NULL);
    CHECK(PagesGet(0, ~0ull, 0, 0x100000000ull, 0) == NULL);
}

/* More than there is: as much as there is, and the machine still works. */
KTEST(PagesOversized)
{
    PVOID Block;
    PMDL Mdl;

    if (MtIsLargeMachine()) {
        return;
    }
    Mdl = PagesGet(0, ~0ull, 0, 0xFFFFF000, MM_DONT_ZERO_ALLOCATION);
    REQUIRE(Mdl != NULL);
    CHECK(MmGetMdlByteCount(Mdl) < 0xFFFFF000 && MmGetMdlByteCount(Mdl) > 64 * PAGE_SIZE);
    Block = ExAllocatePool2(POOL_FLAG_NON_PAGED, 100, MDL_TEST_TAG);
    CHECK(Block != NULL);
    CHECK(PagesGet(0, ~0ull, 0, 0xFFFFF000, MM_ALLOCATE_FULLY_REQUIRED) == NULL);
    ExFreePool(Block);
    PagesFree(Mdl);
}

KTEST(PagesChunks)
{
    PMDL Mdl = PagesGet(0, ~0ull, 0, 0x55000, MM_ALLOCATE_REQUIRE_CONTIGUOUS_CHUNKS);

    REQUIRE(Mdl != NULL);
    for (SIZE_T Index = 1; Index < 0x55; Index += 1) {
        CHECK_EQ(MtFrames(Mdl)[Index], MtFrames(Mdl)[0] + Index);
    }
    PagesFree(Mdl);
    Mdl = PagesGet(0, ~0ull, 0x10000, 0x50000, MM_ALLOCATE_REQUIRE_CONTIGUOUS_CHUNKS);
    REQUIRE(Mdl != NULL);
    CHECK_EQ(MmGetMdlByteCount(Mdl), 0x50000);
    for (SIZE_T Index = 0; Index < 0x50; Index += 1) {
        CHECK_EQ(MtFrames(Mdl)[Index] % 16, Index % 16);
        CHECK_EQ(MtFrames(Mdl)[Index], MtFrames(Mdl)[Index & ~15ull] + Index % 16);
    }
    PagesFree(Mdl);
    CHECK(PagesGet(0, ~0ull, 0x3000, 0x30000, MM_ALLOCATE_REQUIRE_CONTIGUOUS_CHUNKS) == NULL);
    CHECK(PagesGet(0, ~0ull, 0x10000, 0x18000, MM_ALLOCATE_REQUIRE_CONTIGUOUS_CHUNKS) == NULL);
    CHECK(PagesGet(0x1000000, 0x100FFFF, 0, 0x11000, MM_ALLOCATE_REQUIRE_CONTIGUOUS_CHUNKS) == NULL);
}

KTEST(PagesFlags)
{
    static const ULONG Fine[] = {MM_DONT_ZERO_ALLOCATION,       MM_ALLOCATE_FULLY_REQUIRED,
                                 MM_ALLOCATE_NO_WAIT,           MM_ALLOCATE_PREFER_CONTIGUOUS,
                                 MM_ALLOCATE_TRIM_IF_NECESSARY, MM_ALLOCATE_FROM_LOCAL_NODE_ONLY};

    for (ULONG Index = 0; Index < ARRAYSIZE(Fine); Index += 1) {
        PMDL Mdl = PagesGet(0, ~0ull, 0, 3 * PAGE_SIZE, Fine[Index]);

        REQUIRE(Mdl != NULL);
        CHECK_EQ(MmGetMdlByteCount(Mdl), 3 * PAGE_SIZE);
        PagesFree(Mdl);
    }
    CHECK(PagesGet(0, ~0ull, 0, PAGE_SIZE, 0x80000000) == NULL);
    CHECK(PagesGet(0, ~0ull, LARGE_PAGE_SIZE, LARGE_PAGE_SIZE, MM_ALLOCATE_FAST_LARGE_PAGES) == NULL);
    CHECK(PagesGet(0, ~0ull, 0x10000, 0x10000,
                   MM_ALLOCATE_FAST_LARGE_PAGES | MM_ALLOCATE_REQUIRE_CONTIGUOUS_CHUNKS) == NULL);
    CHECK(MmAllocatePagesForMdlEx(MtPhysical(0), MtPhysical(~0ull), MtPhysical(0), PAGE_SIZE,
                                  MmMaximumCacheType, 0) == NULL);
    CHECK(MmAllocateNodePagesForMdlEx(MtPhysical(0), MtPhysical(~0ull), MtPhysical(0), PAGE_SIZE, MmCached,
                                      4711, 0) == NULL);
}

KTEST(PagesLarge)
{
    PMDL Mdl = PagesGet(0, ~0ull, LARGE_PAGE_SIZE, LARGE_PAGE_SIZE,
                        MM_ALLOCATE_FAST_LARGE_PAGES | MM_ALLOCATE_REQUIRE_CONTIGUOUS_CHUNKS);

    REQUIRE(Mdl != NULL);
    CHECK_EQ(MtFrames(Mdl)[0] % 512, 0);
    PagesFree(Mdl);
}

KTEST(PagesOfNodes)
{
    for (ULONG Node = 0; Node <= KeQueryHighestNodeNumber(); Node += 1) {
        PMDL Mdl = MmAllocatePartitionNodePagesForMdlEx(MtPhysical(0), MtPhysical(~0ull), MtPhysical(0),
                                                        8 * PAGE_SIZE, MmCached, Node,
                                                        MM_ALLOCATE_FROM_LOCAL_NODE_ONLY, NULL);

        REQUIRE(Mdl != NULL);
        for (ULONG Page = 0; Page < 8; Page += 1) {
            CHECK_EQ(MiFrameNode(MtFrames(Mdl)[Page]), Node);
        }
        MmFreePagesFromMdlEx(Mdl, 0);
        ExFreePool(Mdl);
    }
}

KTEST(PagesAtDispatch)
{
    KIRQL OldIrql = KiRaiseIrqlToDispatch();
    PMDL Mdl = PagesGet(0, ~0ull, 0, 4 * PAGE_SIZE, MM_ALLOCATE_FULLY_REQUIRED);

    if (Mdl != NULL) {
        PagesFree(Mdl);
    }
    KiLowerIrql(OldIrql);
    CHECK(Mdl != NULL);
}

static VOID
PagesFreeCall(PVOID Mdl)
{
    MmFreePagesFromMdl(Mdl);
}

KTEST(PagesFreedTwice)
{
    MT_BUFFER Buffer = MtMakeLocked(POOL_FLAG_NON_PAGED, PAGE_SIZE);
    PMDL Mdl = PagesGet(0, ~0ull, 0, PAGE_SIZE, 0);

    REQUIRE(Mdl != NULL && Buffer.Mdl != NULL);
    CHECK_BUGCHECK_CALL(PFN_LIST_CORRUPT, 0x99, PagesFreeCall, Buffer.Mdl);
    MmFreePagesFromMdl(Mdl);
    CHECK_BUGCHECK_CALL(PFN_LIST_CORRUPT, 0x99, PagesFreeCall, Mdl);
    ExFreePool(Mdl);
    MtFreeLocked(&Buffer);
}

KTEST_KEEPS(PagesFreedWhileLocked)
{
    PMDL Mdl = PagesGet(0, ~0ull, 0, PAGE_SIZE, 0), Lock;
    PFN_NUMBER Frame;
    PUCHAR Va;

    REQUIRE(Mdl != NULL);
    Frame = MtFrames(Mdl)[0];
    Va = MmGetSystemAddressForMdlSafe(Mdl, NormalPagePriority);
    Lock = IoAllocateMdl(Va, PAGE_SIZE, FALSE, FALSE, NULL);
    REQUIRE(Va != NULL && Lock != NULL);
    MmProbeAndLockPages(Lock, KernelMode, IoReadAccess);
    MT_BUGCHECK2(PFN_LIST_CORRUPT, 0x9A, Frame, PagesFreeCall, Mdl);
    MmUnlockPages(Lock);
    IoFreeMdl(Lock);
    ExFreePool(Mdl);
    MiFreeFrame(Frame);
    MiReturnNonpaged(1);
}

KTEST(PagesFailNth)
{
    static const ULONG Flags[] = {0, MM_ALLOCATE_FULLY_REQUIRED, MM_ALLOCATE_REQUIRE_CONTIGUOUS_CHUNKS,
                                  MM_ALLOCATE_PREFER_CONTIGUOUS};

    for (ULONG Kind = 0; Kind < ARRAYSIZE(Flags); Kind += 1) {
        ULONG64 Nth = 0, Failures;
        PMDL Mdl;

        do {
            PT_FIGURES Before;

            Nth += 1;
            MiTrimPools();
            Before = PtMeasure();
            PtFailNth(Nth, FALSE);
            Mdl = PagesGet(0, ~0ull, 0, 100 * PAGE_SIZE, Flags[Kind]);
            PtStopFailing();
            Failures = MiInject.Failures;
            if (Mdl != NULL) {
                PagesFree(Mdl);
            }
            MiTrimPools();
            PT_CHECK_SAME(Before);
        } while (Failures != 0);
        CHECK(Mdl != NULL && Nth > 2);
    }
}
