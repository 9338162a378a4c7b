/*
 * Accounting by tag, always on: allocations, frees and bytes in use of every tag, paged and nonpaged.
 *
 * A tag gets a row of a fixed table the first time it is seen and keeps it. Each processor counts in
 * pages of its own, made when a row of theirs is first used, so counting takes no lock; a row's truth
 * is the sum over processors. Bytes are those that the block takes, header and rounding included,
 * and come and go as a difference: one processor's figure may be "negative". Tags beyond the table
 * share row 0. Where a page of counters cannot be had, one shared page set is counted atomically.
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

static VOID
MipAddCounters(PMI_POOL_TAG_ROW Row, PMI_TAG_COUNTERS Counters)
{
    Row->NonPagedAllocs += __atomic_load_n(&Counters->NonPaged.Allocs, __ATOMIC_RELAXED);
    Row->NonPagedFrees += __atomic_load_n(&Counters->NonPaged.Frees, __ATOMIC_RELAXED);
    Row->NonPagedBytes += __atomic_load_n(&Counters->NonPaged.Bytes, __ATOMIC_RELAXED);
    Row->PagedAllocs += __atomic_load_n(&Counters->Paged.Allocs, __ATOMIC_RELAXED);
    Row->PagedFrees += __atomic_load_n(&Counters->Paged.Frees, __ATOMIC_RELAXED);
    Row->PagedBytes += __atomic_load_n(&Counters->Paged.Bytes, __ATOMIC_RELAXED);
}

BOOLEAN
MiQueryPoolTag(ULONG Index, PMI_POOL_TAG_ROW Row)
{
    MI_POOL_TAG_ROW Sum = {0};
    PMI_TAG_COUNTERS Page;
    PMI_POOL_CACHE Cache;
    ULONG Number;

    if (Index >= MI_POOL_TAG_ROWS) {
        return FALSE;
    }
    Sum.Tag = Index == 0 ? MIP_OVERFLOW_TAG : __atomic_load_n(&MiPoolTags[Index], __ATOMIC_RELAXED);
    MipAddCounters(&Sum, &MipSharedCounters[Index]);
    for (Number = 0; Number < HalProcessorCount(); Number += 1) {
        Cache = HalProcessorPcr(Number)->Slots.PoolCache;
        Page =
            Cache == NULL ? NULL : __atomic_load_n(&Cache->Tags[Index / MI_TAGS_PER_PAGE], __ATOMIC_ACQUIRE);
        if (Page != NULL) {
            MipAddCounters(&Sum, &Page[Index % MI_TAGS_PER_PAGE]);
        }
    }
    *Row = Sum;
    return TRUE;
}
