/* Plain mappings: aliases, protections, large pages. */
#include "ptetest.h"

#define MAP_WRITE_FAULT 3u /* present, write */
#define MAP_LARGE_PAGES 512u

static VOID
MapGetFrames(PFN_NUMBER *Frames, SIZE_T Count)
{
    CHECK_EQ(MiGetFrames(MI_GET_ZEROED | MI_GET_ALL, 0, MiUseSystemPte, Count, Frames), Count);
}

KTEST(MapAliases)
{
    PFN_NUMBER Frames[3], Mapped[3] = {0};
    PUCHAR One = MiReserveSystemVa(MiRegionSystemPtes, 3, 1);
    PUCHAR Other = MiReserveSystemVa(MiRegionSystemPtes, 3, 1);

    REQUIRE(One != NULL && Other != NULL);
    MapGetFrames(Frames, 3);
    MiMapFrames(One, 3, Frames, MM_READWRITE, MmCached);
    MiMapFrames(Other, 3, Frames, MM_READONLY, MmCached);
    for (ULONG Index = 0; Index < 3 * PAGE_SIZE; Index += 512) {
        One[Index] = (UCHAR)(Index / 512 + 1);
    }
    for (ULONG Index = 0; Index < 3 * PAGE_SIZE; Index += 512) {
        CHECK_EQ(Other[Index], (UCHAR)(Index / 512 + 1));
    }
    CHECK_EQ(((PUCHAR)HalFrameAddress(Frames[1]))[512], One[PAGE_SIZE + 512]);
    CHECK(MiValidateSystemSpace());
    MiUnmapRange(Other, 3, NULL);
    MiUnmapRange(One, 3, Mapped);
    for (ULONG Index = 0; Index < 3; Index += 1) {
        CHECK_EQ(Mapped[Index], Frames[Index]);
    }
    CHECK(!MmIsAddressValid(One));
    MiReleaseSystemVa(MiRegionSystemPtes, One, 3);
    MiReleaseSystemVa(MiRegionSystemPtes, Other, 3);
    MiFreeFrames(Frames, 3);
    MiTrimSystemSpace();
}

KTEST(MapTranslates)
{
    MI_PROTECTION Protection = 0;
    PFN_NUMBER Frame;
    PUCHAR Va = MiReserveSystemVa(MiRegionSystemPtes, 2, 1);

    REQUIRE(Va != NULL);
    MapGetFrames(&Frame, 1);
    MiMapFrames(Va, 1, &Frame, MM_EXECUTE_READ, MmCached);
    CHECK_EQ(MiTranslate(Va + 5, &Protection), Frame);
    CHECK_EQ(Protection, MM_EXECUTE_READ);
    CHECK_EQ(MmGetPhysicalAddress(Va + 5).QuadPart, Frame * PAGE_SIZE + 5);
    CHECK(MmIsAddressValid(Va));
    CHECK(MmIsNonPagedSystemAddressValid(Va));
    CHECK(!MmIsAddressValid(Va + PAGE_SIZE));
    CHECK_EQ(MiTranslate(Va + PAGE_SIZE, NULL), MI_NO_FRAME);
    CHECK_EQ(MmGetPhysicalAddress(Va + PAGE_SIZE).QuadPart, 0);
    CHECK(!MmIsAddressValid((PVOID)0x8000000000000000ull));
    CHECK_EQ(MiTranslate(HalFrameAddress(Frame), NULL), Frame);
    MiUnmapRange(Va, 2, NULL);
    MiReleaseSystemVa(MiRegionSystemPtes, Va, 2);
    MiFreeFrame(Frame);
    MiTrimSystemSpace();
}

KTEST(MapProtects)
{
    PFN_NUMBER Frames[2];
    PUCHAR Va = MiReserveSystemVa(MiRegionSystemPtes, 3, 1);

    REQUIRE(Va != NULL);
    MapGetFrames(Frames, 2);
    MiMapFrames(Va, 2, Frames, MM_READWRITE, MmCached);
    Va[0] = 1;
    Va[PAGE_SIZE] = 2;
    CHECK_STATUS(STATUS_NOT_COMMITTED, MiProtectRange(Va, 3, MM_READONLY));
    CHECK(MiPteIsWritable(PtEntry(Va)));
    CHECK_STATUS(STATUS_SUCCESS, MiProtectRange(Va, 1, MM_READONLY));
    CHECK_STATUS(STATUS_ACCESS_VIOLATION, MmAccessFault(MAP_WRITE_FAULT, Va, KernelMode, NULL));
    CHECK_EQ(Va[0], 1);
    Va[PAGE_SIZE] = 3;
    CHECK_STATUS(STATUS_SUCCESS, MiProtectRange(Va, 2, MM_READWRITE));
    Va[0] = 4;
    CHECK_EQ(((PUCHAR)HalFrameAddress(Frames[0]))[0], 4);
    MiUnmapRange(Va, 3, NULL);
    MiReleaseSystemVa(MiRegionSystemPtes, Va, 3);
    MiFreeFrames(Frames, 2);
    MiTrimSystemSpace();
}

/* Without any right the frame and the cache type must be remembered. */
static VOID
MapHide(PUCHAR Va, PFN_NUMBER Frame, MEMORY_CACHING_TYPE CacheType)
{
    MI_SYSTEM_SPACE_COUNTS Before, Counts;

    CHECK(MiCheckSystemSpace(&Before));
    MiMapFrames(Va, 1, &Frame, MM_READWRITE, CacheType);
    CHECK_EQ(MiGetPteCacheType(PtEntry(Va)), CacheType);
    CHECK_STATUS(STATUS_SUCCESS, MiProtectRange(Va, 1, MM_NOACCESS));
    CHECK(!MmIsAddressValid(Va));
    CHECK_STATUS(STATUS_ACCESS_VIOLATION, MmAccessFault(0, Va, KernelMode, NULL));
    CHECK(MiCheckSystemSpace(&Counts));
    CHECK_EQ(Counts.NoAccess, Before.NoAccess + 1);
    CHECK_STATUS(STATUS_SUCCESS, MiProtectRange(Va, 1, MM_READONLY));
    CHECK_EQ(MiTranslate(Va, NULL), Frame);
    CHECK_EQ(MiGetPteCacheType(PtEntry(Va)), CacheType);
    CHECK(!MiPteIsWritable(PtEntry(Va)));
    MiUnmapRange(Va, 1, NULL);
}

KTEST(MapHidesAndShowsAgain)
{
    PUCHAR Va = MiReserveSystemVa(MiRegionSystemPtes, 1, 1);
    PFN_NUMBER Frame, Mapped = 0;

    REQUIRE(Va != NULL);
    MapGetFrames(&Frame, 1);
    MapHide(Va, Frame, MmCached);
    MapHide(Va, Frame, MmNonCached);
    MapHide(Va, Frame, MmWriteCombined);
    MiMapFrames(Va, 1, &Frame, MM_NOACCESS, MmCached);
    CHECK(!MmIsAddressValid(Va));
    MiUnmapRange(Va, 1, &Mapped);
    CHECK_EQ(Mapped, Frame);
    MiReleaseSystemVa(MiRegionSystemPtes, Va, 1);
    MiFreeFrame(Frame);
    MiTrimSystemSpace();
}

KTEST(MapCountsWriteExecute)
{
    PUCHAR Va = MiReserveSystemVa(MiRegionNonPagedPool, 1, 1);
    MI_SYSTEM_SPACE_COUNTS Before, After;
    PFN_NUMBER Frame;

    REQUIRE(Va != NULL);
    MapGetFrames(&Frame, 1);
    MiCheckSystemSpace(&Before);
    MiMapFrames(Va, 1, &Frame, MM_EXECUTE_READWRITE, MmCached);
    MiCheckSystemSpace(&After);
    CHECK_EQ(After.WriteExecute, Before.WriteExecute + 1);
    CHECK_EQ(After.Mapped, Before.Mapped + 1);
    MiUnmapRange(Va, 1, NULL);
    MiReleaseSystemVa(MiRegionNonPagedPool, Va, 1);
    MiFreeFrame(Frame);
    MiTrimSystemSpace();
}

/* --- Large pages
 * ---------------------------------------------------------------------------------------------- */

typedef struct _MAP_LARGE {
    PFN_NUMBER Frame;
    PUCHAR Va;
} MAP_LARGE;

static BOOLEAN
MapLargeBegin(MAP_LARGE *Large)
{
    Large->Va = NULL;
    Large->Frame = MiGetContiguousFrames(MI_GET_ZEROED, 0, MiUseNonPagedPool, MAP_LARGE_PAGES, 0,
                                         MI_NO_FRAME >> 1, MAP_LARGE_PAGES, 0);
    if (Large->Frame != MI_NO_FRAME) {
        Large->Va = MiReserveSystemVa(MiRegionNonPagedPool, MAP_LARGE_PAGES, MAP_LARGE_PAGES);
    }
    if (Large->Va != NULL) {
        MiMapRun(Large->Va, MAP_LARGE_PAGES, Large->Frame, MM_READWRITE, MmCached, TRUE);
    }
    return Large->Va != NULL;
}

static VOID
MapLargeEnd(MAP_LARGE *Large)
{
    MiReleaseSystemVa(MiRegionNonPagedPool, Large->Va, MAP_LARGE_PAGES);
    for (ULONG Index = 0; Index < MAP_LARGE_PAGES; Index += 1) {
        MiFreeFrame(Large->Frame + Index);
    }
    MiTrimSystemSpace();
}

static SIZE_T
MapLargeCount(VOID)
{
    MI_SYSTEM_SPACE_COUNTS Counts;

    CHECK(MiCheckSystemSpace(&Counts));
    return Counts.LargePages;
}

KTEST(MapLargeWhole)
{
    SIZE_T Before = MapLargeCount();
    PFN_NUMBER Mapped[MAP_LARGE_PAGES];
    MAP_LARGE Large;

    REQUIRE(MapLargeBegin(&Large));
    CHECK_EQ(MapLargeCount(), Before + 1);
    for (ULONG Index = 0; Index < MAP_LARGE_PAGES; Index += 1) {
        Large.Va[Index * PAGE_SIZE] = (UCHAR)Index;
    }
    CHECK_EQ(*(PUCHAR)HalFrameAddress(Large.Frame + 300), (UCHAR)300);
    CHECK_EQ(MiTranslate(Large.Va + 300 * PAGE_SIZE, NULL), Large.Frame + 300);
    CHECK_STATUS(STATUS_SUCCESS, MiProtectRange(Large.Va, MAP_LARGE_PAGES, MM_READONLY));
    CHECK_EQ(MapLargeCount(), Before + 1);
    CHECK_STATUS(STATUS_ACCESS_VIOLATION, MmAccessFault(MAP_WRITE_FAULT, Large.Va + 77, KernelMode, NULL));
    MiUnmapRange(Large.Va, MAP_LARGE_PAGES, Mapped);
    CHECK_EQ(Mapped[0], Large.Frame);
    CHECK_EQ(Mapped[511], Large.Frame + 511);
    CHECK_EQ(MapLargeCount(), Before);
    MapLargeEnd(&Large);
}

KTEST(MapLargeSplitsOnPartialUnmap)
{
    SIZE_T Before = MapLargeCount();
    PFN_NUMBER Mapped[2] = {0};
    MAP_LARGE Large;

    REQUIRE(MapLargeBegin(&Large));
    for (ULONG Index = 0; Index < MAP_LARGE_PAGES; Index += 1) {
        Large.Va[Index * PAGE_SIZE] = (UCHAR)(Index + 1);
    }
    MiUnmapRange(Large.Va + 100 * PAGE_SIZE, 2, Mapped);
    CHECK_EQ(Mapped[0], Large.Frame + 100);
    CHECK_EQ(Mapped[1], Large.Frame + 101);
    CHECK_EQ(MapLargeCount(), Before);
    CHECK(!MmIsAddressValid(Large.Va + 100 * PAGE_SIZE));
    CHECK(!MmIsAddressValid(Large.Va + 101 * PAGE_SIZE));
    for (ULONG Index = 0; Index < MAP_LARGE_PAGES; Index += 1) {
        if (Index != 100 && Index != 101) {
            CHECK_EQ(Large.Va[Index * PAGE_SIZE], (UCHAR)(Index + 1));
        }
    }
    MiUnmapRange(Large.Va, MAP_LARGE_PAGES, NULL);
    MapLargeEnd(&Large);
}

KTEST(MapLargeSplitsOnPartialProtect)
{
    MAP_LARGE Large;

    REQUIRE(MapLargeBegin(&Large));
    Large.Va[10 * PAGE_SIZE] = 7;
    CHECK_STATUS(STATUS_SUCCESS, MiProtectRange(Large.Va + 10 * PAGE_SIZE, 1, MM_READONLY));
    CHECK_STATUS(STATUS_SUCCESS, MiProtectRange(Large.Va + 11 * PAGE_SIZE, 1, MM_NOACCESS));
    CHECK_STATUS(STATUS_ACCESS_VIOLATION,
                 MmAccessFault(MAP_WRITE_FAULT, Large.Va + 10 * PAGE_SIZE, KernelMode, NULL));
    CHECK(!MmIsAddressValid(Large.Va + 11 * PAGE_SIZE));
    CHECK_EQ(Large.Va[10 * PAGE_SIZE], 7);
    Large.Va[12 * PAGE_SIZE] = 8;
    CHECK(MiValidateSystemSpace());
    MiUnmapRange(Large.Va, MAP_LARGE_PAGES, NULL);
    MapLargeEnd(&Large);
}

/* A run that does not start on 2 MB: small pages, a large one, small pages. */
KTEST(MapRunMixesSizes)
{
    SIZE_T Before = MapLargeCount();
    PFN_NUMBER First;
    PUCHAR Va;

    First = MiGetContiguousFrames(0, 0, MiUseNonPagedPool, 1536, 0, MI_NO_FRAME >> 1, 512, 0);
    REQUIRE(First != MI_NO_FRAME);
    Va = MiReserveSystemVa(MiRegionNonPagedPool, 1536, 512);
    REQUIRE(Va != NULL);
    MiMapRun(Va + 500 * PAGE_SIZE, 600, First + 500, MM_READWRITE, MmCached, TRUE);
    CHECK_EQ(MapLargeCount(), Before + 1);
    for (ULONG Index = 500; Index < 1100; Index += 1) {
        Va[Index * PAGE_SIZE] = (UCHAR)Index;
        CHECK_EQ(*(PUCHAR)HalFrameAddress(First + Index), (UCHAR)Index);
    }
    MiUnmapRange(Va + 500 * PAGE_SIZE, 600, NULL);
    MiMapRun(Va, 512, First, MM_READWRITE, MmCached, FALSE);
    CHECK_EQ(MapLargeCount(), Before);
    MiUnmapRange(Va, 1536, NULL);
    MiReleaseSystemVa(MiRegionNonPagedPool, Va, 1536);
    for (ULONG Index = 0; Index < 1536; Index += 1) {
        MiFreeFrame(First + Index);
    }
    MiTrimSystemSpace();
}
