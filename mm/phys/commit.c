/*
 * Commit and resident available: promises of memory, counted in pages.
 *
 * Commit is what has been promised to anybody, backed by RAM or page file when it is touched; it
 * never passes the limit (usable RAM plus page files). Resident available is what may still be
 * promised as nonpageable. Both are single words changed by one atomic step: charges come per
 * region or segment, not per page.
 *
 * Any IRQL; no locks. A refused charge has changed nothing.
 */
#include "physp.h"

static volatile SIZE_T MipCommitCharge DECLSPEC_CACHEALIGN; /* (A) */
static volatile SIZE_T MipCommitPeak;                       /* (A) */
static volatile SIZE_T MipCommitLimit DECLSPEC_CACHEALIGN;  /* (A) */
static volatile LONG64 MipResidentAvailable DECLSPEC_CACHEALIGN; /* (A) */

VOID
MipInitializeCommit(SIZE_T UsablePages, SIZE_T PageFilePages)
{
    MipCommitLimit = UsablePages + PageFilePages;
    MipResidentAvailable = (LONG64)UsablePages - (LONG64)MiReservePages;
}

static VOID
MipNotePeak(SIZE_T Charge)
{
    SIZE_T Peak = __atomic_load_n(&MipCommitPeak, __ATOMIC_RELAXED);

    while (Charge > Peak &&
           !__atomic_compare_exchange_n(&MipCommitPeak, &Peak, Charge, TRUE, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED)) {
    }
}

BOOLEAN
MiChargeCommit(SIZE_T PageCount)
{
    SIZE_T Charge;
    SIZE_T Limit;

    if (MiInjectFailure()) {
        return FALSE;
    }
    Charge = __atomic_load_n(&MipCommitCharge, __ATOMIC_RELAXED);
    do {
        Limit = __atomic_load_n(&MipCommitLimit, __ATOMIC_RELAXED);
        if (Charge > Limit || PageCount > Limit - Charge) {
            return FALSE;
        }
    } while (!__atomic_compare_exchange_n(&MipCommitCharge, &Charge, Charge + PageCount, TRUE,
                                          __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
    MipNotePeak(Charge + PageCount);
    return TRUE;
}

VOID
MiReturnCommit(SIZE_T PageCount)
{
    SIZE_T Old = __atomic_fetch_sub(&MipCommitCharge, PageCount, __ATOMIC_ACQ_REL);

    NT_VERIFY(Old >= PageCount);
}

BOOLEAN
MiChargeResidentAvailable(SIZE_T PageCount)
{
    LONG64 Available;

    if (MiInjectFailure()) {
        return FALSE;
    }
    Available = __atomic_load_n(&MipResidentAvailable, __ATOMIC_RELAXED);
    do {
        if (Available <= 0 || PageCount > (SIZE_T)Available) {
            return FALSE;
        }
    } while (!__atomic_compare_exchange_n(&MipResidentAvailable, &Available,
                                          Available - (LONG64)PageCount, TRUE, __ATOMIC_ACQ_REL,
                                          __ATOMIC_RELAXED));
    return TRUE;
}

VOID
MiReturnResidentAvailable(SIZE_T PageCount)
{
    __atomic_fetch_add(&MipResidentAvailable, (LONG64)PageCount, __ATOMIC_ACQ_REL);
}

VOID
MipAddUsablePages(SIZE_T PageCount)
{
    __atomic_fetch_add(&MipCommitLimit, PageCount, __ATOMIC_ACQ_REL);
    __atomic_fetch_add(&MipResidentAvailable, (LONG64)PageCount, __ATOMIC_ACQ_REL);
}

VOID
MipSubtractUsablePages(SIZE_T PageCount)
{
    __atomic_fetch_sub(&MipCommitLimit, PageCount, __ATOMIC_ACQ_REL);
    __atomic_fetch_sub(&MipResidentAvailable, (LONG64)PageCount, __ATOMIC_ACQ_REL);
}

/* Take memory away unless it is promised already; FALSE then, and nothing changes. */
BOOLEAN
MipTryRemoveUsablePages(SIZE_T PageCount)
{
    if (!MiChargeCommit(PageCount)) {
        return FALSE;
    }
    if (!MiChargeResidentAvailable(PageCount)) {
        MiReturnCommit(PageCount);
        return FALSE;
    }
    __atomic_fetch_sub(&MipCommitLimit, PageCount, __ATOMIC_ACQ_REL);
    MiReturnCommit(PageCount);
    return TRUE;
}

VOID
MiQueryCommit(PSIZE_T Charge, PSIZE_T Limit, PSIZE_T Peak)
{
    *Charge = __atomic_load_n(&MipCommitCharge, __ATOMIC_RELAXED);
    *Limit = __atomic_load_n(&MipCommitLimit, __ATOMIC_RELAXED);
    *Peak = __atomic_load_n(&MipCommitPeak, __ATOMIC_RELAXED);
}

LONG64
MiResidentAvailablePages(VOID)
{
    return __atomic_load_n(&MipResidentAvailable, __ATOMIC_RELAXED);
}
