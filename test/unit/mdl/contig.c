/* Contiguous, uncached and independent memory. */
#include "mdltest.h"

#define CONTIG_ANY  MtPhysical(~0ull)
#define CONTIG_ZERO MtPhysical(0)

static VOID
ContigCheckRun(PUCHAR Va, SIZE_T PageCount)
{
    ULONG64 First = (ULONG64)MmGetPhysicalAddress(Va).QuadPart;

    CHECK_EQ((ULONG_PTR)Va & (PAGE_SIZE - 1), 0);
    for (SIZE_T Page = 0; Page < PageCount; Page += 1) {
        CHECK_EQ(MmGetPhysicalAddress(Va + Page * PAGE_SIZE).QuadPart, First + Page * PAGE_SIZE);
    }
}

KTEST(ContigIsContiguous)
{
    LONG64 Resident = MiResidentAvailablePages();
    PUCHAR Va = MmAllocateContiguousMemory(9 * PAGE_SIZE + 1, CONTIG_ANY);

    REQUIRE(Va != NULL);
    CHECK(Resident - MiResidentAvailablePages() >= 10);
    ContigCheckRun(Va, 10);
    RtlFillMemory(Va, 10 * PAGE_SIZE, 0x17);
    CHECK(MiPteIsExecutable(PtEntry(Va)) && MiPteIsWritable(PtEntry(Va)));
    CHECK_EQ(MiGetPteCacheType(PtEntry(Va)), MmCached);
    MmFreeContiguousMemory(Va);
    CHECK(MtFrameOf(Va) == MI_NO_FRAME);
}

/* A large reservation may leave the directory of a new gigabyte behind. */
KTEST_KEEPS(ContigLarge)
{
    PUCHAR Va = MmAllocateContiguousMemory(3 * LARGE_PAGE_SIZE + PAGE_SIZE, CONTIG_ANY);

    REQUIRE(Va != NULL);
    ContigCheckRun(Va, 3 * 512 + 1);
    Va[3 * LARGE_PAGE_SIZE] = 1;
    MmFreeContiguousMemory(Va);
}

KTEST(ContigBounds)
{
    ULONG64 Low = MtFreeWindow(0x10000), Physical;
    PUCHAR Va = MmAllocateContiguousMemorySpecifyCache(0x8000, MtPhysical(Low), MtPhysical(Low + 0xFFFF),
                                                       CONTIG_ZERO, MmNonCached);

    REQUIRE(Va != NULL);
    Physical = (ULONG64)MmGetPhysicalAddress(Va).QuadPart;
    CHECK(Low != 0 && Physical >= Low && Physical + 0x8000 - 1 <= Low + 0xFFFF);
    CHECK_EQ(MiGetPteCacheType(PtEntry(Va)), MmNonCached);
    MmFreeContiguousMemorySpecifyCache(Va, 0x8000, MmNonCached);
    CHECK(MmAllocateContiguousMemorySpecifyCache(0x11000, MtPhysical(Low), MtPhysical(Low + 0xFFFF),
                                                 CONTIG_ZERO, MmCached) == NULL);
    CHECK(MmAllocateContiguousMemory(0x2000, MtPhysical(0x1FFE)) == NULL);
    CHECK(MmAllocateContiguousMemory(0, CONTIG_ANY) == NULL);
    CHECK(MmAllocateContiguousMemory(1ull << 44, CONTIG_ANY) == NULL);
}

KTEST(ContigBoundary)
{
    for (ULONG Round = 0; Round < 20; Round += 1) {
        PUCHAR Va = MmAllocateContiguousMemorySpecifyCache(3 * PAGE_SIZE, CONTIG_ZERO, CONTIG_ANY,
                                                           MtPhysical(4 * PAGE_SIZE), MmCached);
        ULONG64 Physical;

        REQUIRE(Va != NULL);
        Physical = (ULONG64)MmGetPhysicalAddress(Va).QuadPart;
        CHECK_EQ(Physical / (4 * PAGE_SIZE), (Physical + 3 * PAGE_SIZE - 1) / (4 * PAGE_SIZE));
        MmFreeContiguousMemory(Va);
    }
    CHECK(MmAllocateContiguousMemorySpecifyCache(5 * PAGE_SIZE, CONTIG_ZERO, CONTIG_ANY,
                                                 MtPhysical(4 * PAGE_SIZE), MmCached) == NULL);
    CHECK(MmAllocateContiguousMemorySpecifyCache(PAGE_SIZE, CONTIG_ZERO, CONTIG_ANY,
                                                 MtPhysical(3 * PAGE_SIZE), MmCached) == NULL);
    CHECK(MmAllocateContiguousMemorySpecifyCache(PAGE_SIZE, CONTIG_ZERO, CONTIG_ANY, CONTIG_ZERO,
                                                 MmMaximumCacheType) == NULL);
}

KTEST(ContigNode)
{
    PUCHAR Va = MmAllocateContiguousNodeMemory(2 * PAGE_SIZE, CONTIG_ZERO, CONTIG_ANY, CONTIG_ZERO,
                                               PAGE_READWRITE | PAGE_WRITECOMBINE, MM_ANY_NODE_OK);

    REQUIRE(Va != NULL);
    CHECK(!MiPteIsExecutable(PtEntry(Va)));
    CHECK_EQ(MiGetPteCacheType(PtEntry(Va)), MmWriteCombined);
    MmFreeContiguousMemory(Va);
    Va = MmAllocateContiguousMemorySpecifyCacheNode(PAGE_SIZE, CONTIG_ZERO, CONTIG_ANY, CONTIG_ZERO, MmCached,
                                                    KeQueryHighestNodeNumber());
    REQUIRE(Va != NULL);
    CHECK_EQ(MiFrameNode(MtFrameOf(Va)), KeQueryHighestNodeNumber());
    MmFreeContiguousMemory(Va);
    CHECK(MmAllocateContiguousNodeMemory(PAGE_SIZE, CONTIG_ZERO, CONTIG_ANY, CONTIG_ZERO, PAGE_READONLY, 0) ==
          NULL);
    CHECK(MmAllocateContiguousNodeMemory(PAGE_SIZE, CONTIG_ZERO, CONTIG_ANY, CONTIG_ZERO,
                                         PAGE_READWRITE | PAGE_NOCACHE | PAGE_WRITECOMBINE, 0) == NULL);
    CHECK(MmAllocateContiguousNodeMemory(PAGE_SIZE, CONTIG_ZERO, CONTIG_ANY, CONTIG_ZERO, PAGE_READWRITE,
                                         999) == NULL);
}

KTEST(ContigEx)
{
    SIZE_T Bytes = 5000;
    PVOID Va = NULL;

    CHECK_STATUS(STATUS_SUCCESS,
                 MmAllocateContiguousMemoryEx(&Bytes, CONTIG_ZERO, CONTIG_ANY, CONTIG_ZERO, MM_ANY_NODE_OK,
                                              PAGE_EXECUTE_READWRITE, NULL, MDL_TEST_TAG,
                                              MM_ALLOCATE_CONTIGUOUS_MEMORY_FAST_ONLY, &Va));
    CHECK_EQ(Bytes, 2 * PAGE_SIZE);
    REQUIRE(Va != NULL);
    CHECK(MiPteIsExecutable(PtEntry(Va)));
    MmFreeContiguousMemory(Va);

    Va = NULL;
    Bytes = 1ull << 44;
    CHECK_STATUS(STATUS_NO_MEMORY,
                 MmAllocateContiguousMemoryEx(&Bytes, CONTIG_ZERO, CONTIG_ANY, CONTIG_ZERO, MM_ANY_NODE_OK,
                                              PAGE_READWRITE, NULL, 0, 0, &Va));
    CHECK(Bytes == 1ull << 44 && Va == NULL);
    Bytes = 0;
    CHECK_STATUS(STATUS_INVALID_PARAMETER_1,
                 MmAllocateContiguousMemoryEx(&Bytes, CONTIG_ZERO, CONTIG_ANY, CONTIG_ZERO, 0, PAGE_READWRITE,
                                              NULL, 0, 0, &Va));
    Bytes = 1;
    CHECK_STATUS(STATUS_INVALID_PAGE_PROTECTION,
                 MmAllocateContiguousMemoryEx(&Bytes, CONTIG_ZERO, CONTIG_ANY, CONTIG_ZERO, 0, PAGE_NOACCESS,
                                              NULL, 0, 0, &Va));
    CHECK_STATUS(STATUS_INVALID_PARAMETER_9,
                 MmAllocateContiguousMemoryEx(&Bytes, CONTIG_ZERO, CONTIG_ANY, CONTIG_ZERO, 0, PAGE_READWRITE,
                                              NULL, 0, 8, &Va));
    CHECK(Bytes == 1 && Va == NULL);
}

typedef struct _CONTIG_FREE {
    PVOID Va;
    SIZE_T Bytes;
} CONTIG_FREE;

static VOID
ContigFree(PVOID Va)
{
    MmFreeContiguousMemory(Va);
}

static VOID
ContigFreeSized(PVOID Context)
{
    CONTIG_FREE *Free = Context;

    MmFreeContiguousMemorySpecifyCache(Free->Va, Free->Bytes, MmCached);
}

KTEST(ContigWrongFrees)
{
    PUCHAR Va = MmAllocateContiguousMemory(3 * PAGE_SIZE, CONTIG_ANY);
    CONTIG_FREE Free = {Va, 2 * PAGE_SIZE};

    REQUIRE(Va != NULL);
    MT_BUGCHECK2(BAD_POOL_CALLER, 0x60, (ULONG_PTR)Va + PAGE_SIZE, ContigFree, Va + PAGE_SIZE);
    MT_BUGCHECK2(BAD_POOL_CALLER, 0x60, (ULONG_PTR)Va, ContigFreeSized, &Free);
    MmFreeContiguousMemory(Va);
    MT_BUGCHECK2(BAD_POOL_CALLER, 0x60, (ULONG_PTR)Va, ContigFree, Va);
}

KTEST(ContigFailNth)
{
    ULONG64 Nth = 0, Failures;
    PVOID Va;

    do {
        PT_FIGURES Before;

        Nth += 1;
        Before = MtMeasure();
        PtFailNth(Nth, FALSE);
        Va = MmAllocateContiguousMemory(300 * PAGE_SIZE, CONTIG_ANY);
        PtStopFailing();
        Failures = MiInject.Failures;
        if (Va != NULL) {
            MmFreeContiguousMemory(Va);
        }
        MT_CHECK_SAME(Before);
    } while (Failures != 0);
    CHECK(Va != NULL && Nth > 3);
}

/* --- Uncached and independent pages ----------------------------------------------------------- */

typedef struct _OWNED_FREE {
    BOOLEAN Independent;
    PVOID Va;
    SIZE_T Bytes;
} OWNED_FREE;

static VOID
OwnedFree(PVOID Context)
{
    OWNED_FREE *Free = Context;

    if (Free->Independent) {
        MmFreeIndependentPages(Free->Va, Free->Bytes);
    } else {
        MmFreeNonCachedMemory(Free->Va, Free->Bytes);
    }
}

KTEST(NonCachedMemory)
{
    PUCHAR Va = MmAllocateNonCachedMemory(100 * PAGE_SIZE - 5);
    OWNED_FREE Free = {FALSE, Va, 99 * PAGE_SIZE};

    REQUIRE(Va != NULL);
    CHECK_EQ(MiGetPteCacheType(PtEntry(Va)), MmNonCached);
    CHECK(!MiPteIsExecutable(PtEntry(Va)));
    Va[100 * PAGE_SIZE - 6] = 1;
    MT_BUGCHECK2(SYSTEM_PTE_MISUSE, 0x305, (ULONG_PTR)Va, OwnedFree, &Free);
    Free.Va = Va + PAGE_SIZE;
    MT_BUGCHECK2(SYSTEM_PTE_MISUSE, 0x300, (ULONG_PTR)Va + PAGE_SIZE, OwnedFree, &Free);
    MmFreeNonCachedMemory(Va, 100 * PAGE_SIZE - 5);
    CHECK(MmAllocateNonCachedMemory(0) == NULL);
    CHECK(MmAllocateNonCachedMemory(1ull << 45) == NULL);
}

KTEST(IndependentPages)
{
    PUCHAR Va = MmAllocateIndependentPages(3 * PAGE_SIZE);
    OWNED_FREE Free = {TRUE, Va, PAGE_SIZE};

    REQUIRE(Va != NULL);
    CHECK(RtlIsZeroMemory(Va, 3 * PAGE_SIZE));
    CHECK(MmSetPageProtection(Va + PAGE_SIZE, PAGE_SIZE, PAGE_EXECUTE_READ));
    CHECK(MiPteIsWritable(PtEntry(Va)) && !MiPteIsWritable(PtEntry(Va + PAGE_SIZE)));
    CHECK(MiPteIsExecutable(PtEntry(Va + PAGE_SIZE)) && MiPteIsWritable(PtEntry(Va + 2 * PAGE_SIZE)));
    CHECK(!MmSetPageProtection(Va + PAGE_SIZE, 3 * PAGE_SIZE, PAGE_READONLY));
    CHECK(!MmSetPageProtection(Va, PAGE_SIZE, PAGE_WRITECOPY));
    CHECK(!MmSetPageProtection(&Free, 8, PAGE_READONLY));
    MT_BUGCHECK2(SYSTEM_PTE_MISUSE, 0x305, (ULONG_PTR)Va, OwnedFree, &Free);
    MmFreeIndependentPages(Va, 3 * PAGE_SIZE);
}

KTEST(NonCachedFailNth)
{
    ULONG64 Nth = 0, Failures;
    PVOID Va;

    do {
        PT_FIGURES Before;

        Nth += 1;
        Before = MtMeasure();
        PtFailNth(Nth, FALSE);
        Va = MmAllocateNonCachedMemory(200 * PAGE_SIZE);
        PtStopFailing();
        Failures = MiInject.Failures;
        if (Va != NULL) {
            MmFreeNonCachedMemory(Va, 200 * PAGE_SIZE);
        }
        MT_CHECK_SAME(Before);
    } while (Failures != 0);
    CHECK(Va != NULL && Nth > 3);
}
