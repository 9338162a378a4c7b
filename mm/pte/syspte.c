/*
 * MiReserveSystemVa and its reverse: addresses of system space with their page tables.
 *
 *      processor's cache (1..16 pages of MiRegionSystemPtes)   a few instructions, its own lock
 *        -> holes of segments in use (hole.c)                  the region's lock
 *             -> a free segment, given a page table            + frames, the directory's table lock
 *
 * A reservation never fails half-way: frames for tables and records are taken first, without a lock (the
 * frame lists and PFN bits rank elsewhere), and the segments are Owned by whoever is giving them tables or
 * taking them away, so no lock is held then either. Large reservations (over 512 pages) return their tables
 * with their address. Small segments keep theirs while something is reserved in them, and a few empty ones
 * stay so that a mapping made and undone over and over does not make a table each time; MiTrimSystemSpace
 * takes those too.
 *
 * An address is flushed before it comes here (MiUnmapRange and MiDeletePageableRange flush before they
 * return), so it may be handed out again at once. <= DISPATCH_LEVEL, nothing blocks; failure is NULL with
 * everything returned.
 */
#include "ptep.h"
#include <mm/phys/inject.h>

#define MI_EMPTY_SEGMENTS_KEPT 2
#define MI_CACHED_SIZES        16 /* reservations of 1..16 pages are cached */
#define MI_CACHE_DEPTH         28

typedef struct _MI_PTE_BIN {
    ULONG_PTR Count;
    ULONG_PTR Va[MI_CACHE_DEPTH];
} MI_PTE_BIN, *PMI_PTE_BIN;

/* Owned by one processor, which is alone in it but for drains: the lock is nearly always free. */
typedef struct _MI_PTE_CACHE {
    KSPIN_LOCK Lock;
    MI_PTE_BIN Bins[MI_CACHED_SIZES];
} MI_PTE_CACHE, *PMI_PTE_CACHE;

_Static_assert(sizeof(MI_PTE_CACHE) <= PAGE_SIZE, "one frame for each processor");

static SIZE_T MipCachedPages; /* (A) in the caches of all processors */

PMI_SEGMENT
MiSegmentOfVa(ULONG_PTR Va)
{
    PMI_VA_REGION Region = MiVaRegion(Va);
    PMI_SEGMENT Record;

    MI_ASSERT(Region != NULL);
    Record = MiSegmentRecord(Region, (ULONG)((Va - Region->Start) / MI_SEGMENT_BYTES));
    MI_ASSERT(Record != NULL);
    return Record;
}

static ULONG_PTR
MipSegmentVa(PMI_VA_REGION Region, ULONG Index)
{
    return Region->Start + Index * MI_SEGMENT_BYTES;
}

static PMI_SEGMENT
MipOwnedRecord(PMI_VA_REGION Region, ULONG Index)
{
    PMI_SEGMENT Record = MiSegmentRecord(Region, Index);

    MI_ASSERT(Record != NULL && Record->State == MiSegmentOwned);
    return Record;
}

/* --- Segments gained and lost ------------------------------------------------------------------------------
 */

static BOOLEAN
MipFillSupply(PMI_FRAME_SUPPLY Supply, SIZE_T Count)
{
    while (Count != 0) {
        PFN_NUMBER Frame = MiGetTableFrame();

        if (Frame == MI_NO_FRAME) {
            return FALSE;
        }
        MiPushSupply(Supply, HalFrameAddress(Frame));
        Count -= 1;
    }
    return TRUE;
}

static VOID
MipEmptySupply(PMI_FRAME_SUPPLY Supply)
{
    while (Supply->Count != 0) {
        MiReturnTableFrame(HalAddressFrame(MiPopSupply(Supply)));
    }
}

/* Free the tables of Owned segments, with one flush, and give the segments back. */
static VOID
MipDropSegments(PMI_VA_REGION Region, ULONG First, ULONG Count)
{
    MI_FRAME_SUPPLY Supply = {NULL, 0};
    MI_FLUSH_BATCH Batch;
    KIRQL OldIrql;

    MiStartFlush(&Batch);
    for (ULONG Index = First; Index < First + Count; Index += 1) {
        MI_WALK Walk;

        if (MipOwnedRecord(Region, Index)->Table == NULL) {
            continue;
        }
        MiWalk(MiSystemRootFrame, MipSegmentVa(Region, Index), &Walk);
        MI_ASSERT(Walk.Level == MiLevelPte);
        MiUnlinkTable(Walk.Parent, MipSegmentVa(Region, Index), MiLevelPte, &Batch);
    }
    MiFlush(&Batch);
    for (ULONG Index = First; Index < First + Count; Index += 1) {
        PMI_SEGMENT Record = MipOwnedRecord(Region, Index);

        if (Record->Table != NULL) {
            MiDeleteTable(HalAddressFrame(Record->Table));
            Record->Table = NULL;
        }
    }

    OldIrql = KiAcquireRankedLockRaise(&Region->Lock, LockRankSystemPteBin);
    MiReturnSegments(Region, First, Count, &Supply);
    KiReleaseRankedLockLower(&Region->Lock, OldIrql);
    MipEmptySupply(&Supply);
}

/* Take free segments; they have records then, but no tables. */
static ULONG
MipTakeFreeSegments(PMI_VA_REGION Region, ULONG Count, ULONG AlignSegments)
{
    MI_FRAME_SUPPLY Supply = {NULL, 0};
    ULONG First;

    for (;;) {
        SIZE_T Missing;
        KIRQL OldIrql = KiAcquireRankedLockRaise(&Region->Lock, LockRankSystemPteBin);

        First = MiTakeSegments(Region, Count, AlignSegments, &Supply, &Missing);
        KiReleaseRankedLockLower(&Region->Lock, OldIrql);
        if (First != MI_NO_SEGMENT || Missing == 0 || !MipFillSupply(&Supply, Missing)) {
            break;
        }
    }
    MipEmptySupply(&Supply);
    return First;
}

/* Owned segments with a page table each, or MI_NO_SEGMENT. */
static ULONG
MipGrowRegion(PMI_VA_REGION Region, ULONG Count, ULONG AlignSegments)
{
    ULONG First = MipTakeFreeSegments(Region, Count, AlignSegments);

    if (First == MI_NO_SEGMENT) {
        return MI_NO_SEGMENT;
    }
    for (ULONG Index = First; Index < First + Count; Index += 1) {
        PMI_SEGMENT Record = MipOwnedRecord(Region, Index);

        Record->Table = MiMakeTable(MiSystemRootFrame, MipSegmentVa(Region, Index), MiLevelPte, 0);
        if (Record->Table == NULL) {
            MipDropSegments(Region, First, Count);
            return MI_NO_SEGMENT;
        }
    }
    return First;
}

/* --- Reservations ------------------------------------------------------------------------------------------
 */

static ULONG_PTR
MipReserveSmall(PMI_VA_REGION Region, ULONG PageCount, ULONG AlignPages)
{
    ULONG Grown = MI_NO_SEGMENT;

    for (;;) {
        KIRQL OldIrql = KiAcquireRankedLockRaise(&Region->Lock, LockRankSystemPteBin);
        ULONG64 Page;

        if (Grown != MI_NO_SEGMENT) {
            MiMakeSmallSegment(Region, Grown);
        }
        Page = MiTakePages(Region, PageCount, AlignPages);
        KiReleaseRankedLockLower(&Region->Lock, OldIrql);
        if (Page != MI_NO_FRAME) {
            return Region->Start + Page * PAGE_SIZE;
        }
        Grown = MipGrowRegion(Region, 1, 1);
        if (Grown == MI_NO_SEGMENT) {
            return 0;
        }
    }
}

static ULONG_PTR
MipReserveLarge(PMI_VA_REGION Region, SIZE_T PageCount, SIZE_T AlignPages)
{
    SIZE_T Segments = (PageCount + MI_SEGMENT_PAGES - 1) / MI_SEGMENT_PAGES;
    SIZE_T AlignSegments = MAX(AlignPages / MI_SEGMENT_PAGES, 1);
    ULONG First;
    KIRQL OldIrql;

    if (Segments > Region->SegmentCount || AlignSegments > Region->SegmentCount) {
        return 0;
    }
    First = MipGrowRegion(Region, (ULONG)Segments, (ULONG)AlignSegments);
    if (First == MI_NO_SEGMENT) {
        return 0;
    }
    OldIrql = KiAcquireRankedLockRaise(&Region->Lock, LockRankSystemPteBin);
    MiMakeLargeReservation(Region, First, (ULONG)Segments, PageCount);
    KiReleaseRankedLockLower(&Region->Lock, OldIrql);
    return MipSegmentVa(Region, First);
}

static VOID
MipReleaseSmall(PMI_VA_REGION Region, ULONG_PTR Va, ULONG PageCount, ULONG Keep)
{
    KIRQL OldIrql = KiAcquireRankedLockRaise(&Region->Lock, LockRankSystemPteBin);
    ULONG Empty = MiReturnPages(Region, (Va - Region->Start) >> PAGE_SHIFT, PageCount, Keep);

    KiReleaseRankedLockLower(&Region->Lock, OldIrql);
    if (Empty != MI_NO_SEGMENT) {
        MipDropSegments(Region, Empty, 1);
    }
}

static VOID
MipReleaseLarge(PMI_VA_REGION Region, ULONG_PTR Va)
{
    ULONG First = (ULONG)((Va - Region->Start) / MI_SEGMENT_BYTES);
    KIRQL OldIrql = KiAcquireRankedLockRaise(&Region->Lock, LockRankSystemPteBin);
    ULONG Count = MiOwnLargeReservation(Region, First);

    KiReleaseRankedLockLower(&Region->Lock, OldIrql);
    MipDropSegments(Region, First, Count);
}

/* --- Caches ------------------------------------------------------------------------------------------------
 */

static PMI_PTE_CACHE
MipCacheOf(ULONG Processor)
{
    return HalProcessorPcr(Processor)->Slots.SystemPteCache;
}

VOID
MiInitializeSystemPteCaches(VOID)
{
    for (ULONG Processor = 0; Processor < HalProcessorCount(); Processor += 1) {
        PFN_NUMBER Frame = MiGetTableFrame();

        NT_VERIFY(Frame != MI_NO_FRAME);
        HalProcessorPcr(Processor)->Slots.SystemPteCache = HalFrameAddress(Frame);
    }
}

/* Note in the segment that a reservation is parked, or is not; it must have been the other way round. */
static VOID
MipMarkCached(ULONG_PTR Va, BOOLEAN Cached)
{
    ULONG Page = MiPteIndex(Va, MiLevelPte);
    ULONG64 *Word = &MiSegmentOfVa(Va)->Cached[Page / 64];
    ULONG64 Bit = 1ull << (Page % 64);
    ULONG64 Old = Cached ? __atomic_fetch_or(Word, Bit, __ATOMIC_RELAXED)
                         : __atomic_fetch_and(Word, ~Bit, __ATOMIC_RELAXED);

    MI_ASSERT(((Old & Bit) != 0) != Cached);
    (VOID) Old;
}

static ULONG_PTR
MipTakeCached(SIZE_T PageCount)
{
    KIRQL OldIrql = KiRaiseIrqlToDispatch();
    PMI_PTE_CACHE Cache = KeGetPcr()->Slots.SystemPteCache;
    PMI_PTE_BIN Bin = &Cache->Bins[PageCount - 1];
    ULONG_PTR Va = 0;

    KiAcquireRankedLock(&Cache->Lock, LockRankSystemPteBin);
    if (Bin->Count != 0) {
        Bin->Count -= 1;
        Va = Bin->Va[Bin->Count];
    }
    KiReleaseRankedLock(&Cache->Lock);
    if (Va != 0) {
        MipMarkCached(Va, FALSE);
        __atomic_fetch_sub(&MipCachedPages, PageCount, __ATOMIC_RELAXED);
    }
    KiLowerIrql(OldIrql);
    return Va;
}

/* Take up to Count reservations out of a bin, the oldest first, and return them to the region. */
static VOID
MipDrainBin(PMI_PTE_CACHE Cache, ULONG PageCount, ULONG Count, ULONG Keep)
{
    PMI_PTE_BIN Bin = &Cache->Bins[PageCount - 1];
    ULONG_PTR Va[MI_CACHE_DEPTH];
    KIRQL OldIrql = KiAcquireRankedLockRaise(&Cache->Lock, LockRankSystemPteBin);

    Count = (ULONG)MIN(Count, Bin->Count);
    for (ULONG Index = 0; Index < Count; Index += 1) {
        Va[Index] = Bin->Va[Index];
    }
    for (ULONG Index = Count; Index < Bin->Count; Index += 1) {
        Bin->Va[Index - Count] = Bin->Va[Index];
    }
    Bin->Count -= Count;
    KiReleaseRankedLockLower(&Cache->Lock, OldIrql);

    for (ULONG Index = 0; Index < Count; Index += 1) {
        MipMarkCached(Va[Index], FALSE);
        __atomic_fetch_sub(&MipCachedPages, PageCount, __ATOMIC_RELAXED);
        MipReleaseSmall(&MiRegions[MiRegionSystemPtes], Va[Index], PageCount, Keep);
    }
}

static VOID
MipDrainCaches(ULONG Keep)
{
    for (ULONG Processor = 0; Processor < HalProcessorCount(); Processor += 1) {
        for (ULONG PageCount = 1; PageCount <= MI_CACHED_SIZES; PageCount += 1) {
            MipDrainBin(MipCacheOf(Processor), PageCount, MI_CACHE_DEPTH, Keep);
        }
    }
}

static VOID
MipPutCached(ULONG_PTR Va, ULONG PageCount)
{
    for (;;) {
        KIRQL OldIrql = KiRaiseIrqlToDispatch();
        PMI_PTE_CACHE Cache = KeGetPcr()->Slots.SystemPteCache;
        PMI_PTE_BIN Bin = &Cache->Bins[PageCount - 1];
        BOOLEAN Stored = FALSE;

        KiAcquireRankedLock(&Cache->Lock, LockRankSystemPteBin);
        if (Bin->Count < MI_CACHE_DEPTH) {
            /* Marked before another processor's drain can find it. */
            MipMarkCached(Va, TRUE);
            __atomic_fetch_add(&MipCachedPages, PageCount, __ATOMIC_RELAXED);
            Bin->Va[Bin->Count] = Va;
            Bin->Count += 1;
            Stored = TRUE;
        }
        KiReleaseRankedLock(&Cache->Lock);
        if (!Stored) {
            MipDrainBin(Cache, PageCount, MI_CACHE_DEPTH / 2, MI_EMPTY_SEGMENTS_KEPT);
        }
        KiLowerIrql(OldIrql);
        if (Stored) {
            return;
        }
    }
}

/* --- The calls of mi.h -------------------------------------------------------------------------------------
 */

static ULONG_PTR
MipReserve(MI_SYSTEM_REGION Region, SIZE_T PageCount, SIZE_T AlignPages)
{
    if (PageCount > MI_SEGMENT_PAGES || AlignPages > MI_SEGMENT_PAGES) {
        return MipReserveLarge(&MiRegions[Region], PageCount, AlignPages);
    }
    return MipReserveSmall(&MiRegions[Region], (ULONG)PageCount, (ULONG)AlignPages);
}

PVOID
MiReserveSystemVa(MI_SYSTEM_REGION Region, SIZE_T PageCount, SIZE_T AlignPages)
{
    ULONG_PTR Va = 0;

    MI_ASSERT(HalGetIrql() <= DISPATCH_LEVEL);
    MI_ASSERT((AlignPages & (AlignPages - 1)) == 0);
    if (PageCount == 0 || PageCount > (MiRegions[Region].End - MiRegions[Region].Start) >> PAGE_SHIFT) {
        return NULL;
    }
    if (MiInjectFailure()) {
        return NULL;
    }
    AlignPages = MAX(AlignPages, 1);
    if (Region == MiRegionSystemPtes && PageCount <= MI_CACHED_SIZES && AlignPages == 1) {
        Va = MipTakeCached(PageCount);
    }
    if (Va == 0) {
        Va = MipReserve(Region, PageCount, AlignPages);
    }
    if (Va == 0) {
        /* What is kept for speed, anywhere, may be what is missing. */
        MiTrimSystemSpace();
        Va = MipReserve(Region, PageCount, AlignPages);
    }
    MI_ASSERT((Va & (AlignPages * PAGE_SIZE - 1)) == 0);
    return (PVOID)Va;
}

#ifdef NTMM_CHECKED
/* Released exactly as reserved, and nothing left in it. */
static VOID
MipCheckRelease(PMI_VA_REGION Region, ULONG_PTR Va, SIZE_T PageCount)
{
    KIRQL OldIrql = KiAcquireRankedLockRaise(&Region->Lock, LockRankSystemPteBin);
    MI_CURSOR Cursor;

    MI_ASSERT(MiIsReservation(Region, (Va - Region->Start) >> PAGE_SHIFT, PageCount));
    KiReleaseRankedLockLower(&Region->Lock, OldIrql);
    for (MiStartCursor(&Cursor, Va, PageCount); Cursor.Left != 0; MiAdvanceCursor(&Cursor)) {
        MI_ASSERT(!Cursor.Large);
        for (SIZE_T Index = 0; Index < Cursor.PageCount; Index += 1) {
            MI_ASSERT(MiPteIsZero(MiReadPte(&Cursor.Pte[Index])));
        }
    }
}
#endif

VOID
MiReleaseSystemVa(MI_SYSTEM_REGION Region, PVOID Va, SIZE_T PageCount)
{
    PMI_VA_REGION Described = &MiRegions[Region];

    MI_ASSERT(HalGetIrql() <= DISPATCH_LEVEL);
    MI_ASSERT(MiVaRegion((ULONG_PTR)Va) == Described);
    MI_ASSERT(PageCount != 0);
#ifdef NTMM_CHECKED
    MipCheckRelease(Described, (ULONG_PTR)Va, PageCount);
#endif
    if (MiSegmentOfVa((ULONG_PTR)Va)->State == MiSegmentLarge) {
        MipReleaseLarge(Described, (ULONG_PTR)Va);
    } else if (Region == MiRegionSystemPtes && PageCount <= MI_CACHED_SIZES) {
        MipPutCached((ULONG_PTR)Va, (ULONG)PageCount);
    } else {
        MipReleaseSmall(Described, (ULONG_PTR)Va, (ULONG)PageCount, MI_EMPTY_SEGMENTS_KEPT);
    }
}

SIZE_T
MiTrimSystemSpace(VOID)
{
    SIZE_T Freed = 0;

    MipDrainCaches(MI_EMPTY_SEGMENTS_KEPT);
    for (ULONG Index = 0; Index < MiRegionMaximum; Index += 1) {
        PMI_VA_REGION Region = &MiRegions[Index];

        for (;;) {
            KIRQL OldIrql = KiAcquireRankedLockRaise(&Region->Lock, LockRankSystemPteBin);
            ULONG Empty = MiTakeEmptySegment(Region);

            KiReleaseRankedLockLower(&Region->Lock, OldIrql);
            if (Empty == MI_NO_SEGMENT) {
                break;
            }
            MipDropSegments(Region, Empty, 1);
            Freed += 1;
        }
    }
    return Freed;
}

SIZE_T
MiReservedPages(MI_SYSTEM_REGION Region)
{
    SIZE_T Pages = __atomic_load_n(&MiRegions[Region].PagesReserved, __ATOMIC_RELAXED);

    return Region == MiRegionSystemPtes ? Pages - __atomic_load_n(&MipCachedPages, __ATOMIC_RELAXED) : Pages;
}

ULONG
MiLimitRegion(MI_SYSTEM_REGION Region, ULONG Segments)
{
    PMI_VA_REGION Described = &MiRegions[Region];
    KIRQL OldIrql = KiAcquireRankedLockRaise(&Described->Lock, LockRankSystemPteBin);
    ULONG Before = Described->SegmentLimit;

    /* Never below what is in use: the difference is what may still be taken. */
    Described->SegmentLimit = MAX(MIN(Segments, Described->SegmentCount), Described->SegmentsUsed);
    KiReleaseRankedLockLower(&Described->Lock, OldIrql);
    return Before;
}
