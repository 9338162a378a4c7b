/*
 * Accounting by tag, always on: allocations, frees and bytes in use of every tag, paged and nonpaged.
 *
 * A tag gets a row of a fixed table the first time it is seen and keeps it. Each processor counts in
 * pages of its own, made when a row of theirs is first used, so counting takes no lock; a row's truth
 * is the sum over processors. Bytes are those that the block takes, header and rounding included,
 * and come and go as a difference: one processor's figure may be "negative". Tags beyond the table
 * share row 0. Where a page of counters cannot be had, one shared page set is counted atomically.
 *
 * A bin counts one tag itself, which is cheaper than finding the row: slots of one size are mostly
 * asked for with one tag. What it counted moves to the row when the bin takes another tag, and whoever
 * reads a row adds what bins hold; the cache's sequence number tells him if something moved meanwhile.
 */
#include "poolp.h"

ULONG MiPoolTags[MI_POOL_TAG_ROWS];

#define MIP_OVERFLOW_TAG 0x6C66764F /* "Ovfl" */
#define MIP_PROBES       256

static MI_TAG_COUNTERS MipSharedCounters[MI_POOL_TAG_ROWS]; /* (A) untouched unless memory runs out */

ULONG
MipTagRow(ULONG Tag)
{
    ULONG Row = (Tag * 0x9E3779B1u) >> 21;
    ULONG Probe, Found;

    for (Probe = 0; Probe < MIP_PROBES; Probe += 1) {
        if (Row != 0) {
            Found = __atomic_load_n(&MiPoolTags[Row], __ATOMIC_RELAXED);
            if (Found == 0 && __atomic_compare_exchange_n(&MiPoolTags[Row], &Found, Tag, FALSE,
                                                          __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
                return Row;
            }
            if (Found == Tag) {
                return Row;
            }
        }
        Row = (Row + 1) % MI_POOL_TAG_ROWS;
    }
    return 0;
}

PMI_TAG_COUNTERS
MipTagCountersSlow(PMI_POOL_CACHE Cache, ULONG Row)
{
    PMI_TAG_COUNTERS Page = MipAllocateMetaPage(TRUE);

    if (Page == NULL) {
        return NULL;
    }
    __atomic_store_n(&Cache->Tags[Row / MI_TAGS_PER_PAGE], Page, __ATOMIC_RELEASE);
    return &Page[Row % MI_TAGS_PER_PAGE];
}

VOID
MipCountShared(ULONG Tag, BOOLEAN Paged, ULONG64 Allocs, ULONG64 Frees, ULONG64 Bytes)
{
    PMI_TAG_COUNTERS Counters = &MipSharedCounters[MipTagRow(Tag)];
    PMI_TAG_SIDE Side = Paged ? &Counters->Paged : &Counters->NonPaged;

    __atomic_fetch_add(&Side->Allocs, Allocs, __ATOMIC_RELAXED);
    __atomic_fetch_add(&Side->Frees, Frees, __ATOMIC_RELAXED);
    __atomic_fetch_add(&Side->Bytes, Bytes, __ATOMIC_RELAXED);
}

VOID
MipCountTag(PMI_POOL_CACHE Cache, ULONG Tag, BOOLEAN Paged, ULONG64 Allocs, ULONG64 Frees, ULONG64 Bytes)
{
    PMI_TAG_COUNTERS Counters = MipTagCounters(Cache, Tag);
    PMI_TAG_SIDE Side;

    if (__builtin_expect(Counters == NULL, 0)) {
        MipCountShared(Tag, Paged, Allocs, Frees, Bytes);
        return;
    }
    Side = Paged ? &Counters->Paged : &Counters->NonPaged;
    MipCount(&Side->Allocs, Allocs);
    MipCount(&Side->Frees, Frees);
    MipCount(&Side->Bytes, Bytes);
}

VOID
MipCountBytes(ULONG Tag, BOOLEAN Paged, SIZE_T Bytes, BOOLEAN Free)
{
    KIRQL OldIrql = KiRaiseIrqlToDispatch();

    MipCountTag(MipCurrentCache(), Tag, Paged, !Free, Free, Free ? 0 - (ULONG64)Bytes : Bytes);
    KiLowerIrql(OldIrql);
}

/* --- Tags of bins ----------------------------------------------------------------------------- */

#define MIP_MISSES 8 /* of other tags, and the bin takes the last of them */

BOOLEAN
MipIsLegacyTag(ULONG Tag)
{
    UCHAR Byte;

    if (Tag == MIP_TAG_BIG || Tag == MIP_TAG_BIG4) {
        return FALSE;
    }
    for (; Tag != 0; Tag >>= 8) {
        Byte = (UCHAR)Tag;
        if ((UCHAR)((Byte | 0x20) - 'a') < 26 || (UCHAR)(Byte - '0') < 10) {
            return TRUE;
        }
    }
    return FALSE;
}

/* Let a bin count another tag from now on. Row 0 is many tags: none of them can be a bin's. */
static VOID
MipSetBinTag(PMI_POOL_CACHE Cache, ULONG Bin, ULONG Tag)
{
    PMI_POOL_BIN Place = &Cache->Bins[Bin];
    BOOLEAN Paged = MipBinKind(Bin) == MiPoolPaged;
    ULONG SlotSize = MipBinSlotSize(Bin);
    ULONG64 Allocs = Place->Allocs, Frees = Place->Frees;
    ULONG OldTag = Place->Tag;

    Place->Misses = 0;
    if (MipTagRow(Tag) == 0) {
        return;
    }
    __atomic_store_n(&Cache->TagSequence, Cache->TagSequence + 1, __ATOMIC_SEQ_CST);
    if (OldTag != 0) {
        MipCountTag(Cache, OldTag, Paged, Allocs, Frees, (Allocs - Frees) * SlotSize);
    }
    __atomic_store_n(&Place->Allocs, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&Place->Frees, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&Place->Word,
                     MI_HEADER_WORD(SlotSize - MI_HEADER_SIZE, 0, 0, Bin, (Paged ? PagedPool : NonPagedPool) + 1u, Tag),
                     __ATOMIC_SEQ_CST);
    __atomic_store_n(&Cache->TagSequence, Cache->TagSequence + 1, __ATOMIC_SEQ_CST);
    Place->LegacyTag = MipIsLegacyTag(Tag) ? Tag : 0;
}

VOID
MipCountOther(PMI_POOL_CACHE Cache, ULONG Bin, ULONG Tag, BOOLEAN Free)
{
    PMI_POOL_BIN Place = &Cache->Bins[Bin];
    ULONG64 Bytes = MipBinSlotSize(Bin);

    MipCountTag(Cache, Tag, MipBinKind(Bin) == MiPoolPaged, !Free, Free, Free ? 0 - Bytes : Bytes);
    Place->Misses += 1;
    if (Place->Misses == MIP_MISSES || Place->Tag == 0) {
        MipSetBinTag(Cache, Bin, Tag);
    }
}

/* --- Looking ---------------------------------------------------------------------------------- */

static VOID
MipAddSides(PMI_POOL_TAG_ROW Row, BOOLEAN Paged, ULONG64 Allocs, ULONG64 Frees, ULONG64 Bytes)
{
    *(Paged ? &Row->PagedAllocs : &Row->NonPagedAllocs) += Allocs;
    *(Paged ? &Row->PagedFrees : &Row->NonPagedFrees) += Frees;
    *(Paged ? &Row->PagedBytes : &Row->NonPagedBytes) += Bytes;
}

static VOID
MipAddSide(PMI_POOL_TAG_ROW Row, BOOLEAN Paged, PMI_TAG_SIDE Side)
{
    MipAddSides(Row, Paged, __atomic_load_n(&Side->Allocs, __ATOMIC_RELAXED),
                __atomic_load_n(&Side->Frees, __ATOMIC_RELAXED), __atomic_load_n(&Side->Bytes, __ATOMIC_RELAXED));
}

/* What one processor's table and bins have of a row. */
static VOID
MipAddCache(PMI_POOL_TAG_ROW Row, PMI_POOL_CACHE Cache, ULONG Index)
{
    PMI_TAG_COUNTERS Page = __atomic_load_n(&Cache->Tags[Index / MI_TAGS_PER_PAGE], __ATOMIC_ACQUIRE);
    ULONG64 Allocs, Frees;
    ULONG Bin;

    if (Page != NULL) {
        MipAddSide(Row, FALSE, &Page[Index % MI_TAGS_PER_PAGE].NonPaged);
        MipAddSide(Row, TRUE, &Page[Index % MI_TAGS_PER_PAGE].Paged);
    }
    for (Bin = 1; Bin < MI_POOL_BINS && Index != 0; Bin += 1) {
        if ((ULONG)(__atomic_load_n(&Cache->Bins[Bin].Word, __ATOMIC_ACQUIRE) >> 32) == Row->Tag) {
            Allocs = __atomic_load_n(&Cache->Bins[Bin].Allocs, __ATOMIC_ACQUIRE);
            Frees = __atomic_load_n(&Cache->Bins[Bin].Frees, __ATOMIC_ACQUIRE);
            MipAddSides(Row, MipBinKind(Bin) == MiPoolPaged, Allocs, Frees, (Allocs - Frees) * MipBinSlotSize(Bin));
        }
    }
}

BOOLEAN
MiQueryPoolTag(ULONG Index, PMI_POOL_TAG_ROW Row)
{
    MI_POOL_TAG_ROW Sum = {0}, Before;
    PMI_POOL_CACHE Cache;
    ULONG Number, Sequence;

    if (Index >= MI_POOL_TAG_ROWS) {
        return FALSE;
    }
    Sum.Tag = Index == 0 ? MIP_OVERFLOW_TAG : __atomic_load_n(&MiPoolTags[Index], __ATOMIC_RELAXED);
    MipAddSide(&Sum, FALSE, &MipSharedCounters[Index].NonPaged);
    MipAddSide(&Sum, TRUE, &MipSharedCounters[Index].Paged);
    for (Number = 0; Number < HalProcessorCount() && Sum.Tag != 0; Number += 1) {
        Cache = HalProcessorPcr(Number)->Slots.PoolCache;
        if (Cache == NULL) {
            continue;
        }
        Before = Sum;
        for (;;) {
            Sequence = __atomic_load_n(&Cache->TagSequence, __ATOMIC_SEQ_CST);
            MipAddCache(&Sum, Cache, Index);
            if (Sequence % 2 == 0 && __atomic_load_n(&Cache->TagSequence, __ATOMIC_SEQ_CST) == Sequence) {
                break;
            }
            Sum = Before;
            HalPause();
        }
    }
    *Row = Sum;
    return TRUE;
}
