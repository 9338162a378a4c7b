/*
 * The states of a page that belongs to an address space, and references: every arrow of the picture
 * in pfn.h between Active, Transition, Standby and Modified.
 *
 * A share is a valid entry (or, for a table, an entry in it); all shares of a page together hold
 * one reference; every lock for I/O holds one more. Shares and references change by
 * compare-exchange while the page stays Active. Going to and from zero happens under the PFN lock
 * bit, because the Location changes with it.
 *
 * DISPATCH_LEVEL is raised to where needed; nothing blocks, nothing fails but a count that would
 * wrap.
 */
#include "physp.h"

/* --- Shares ----------------------------------------------------------------------------------- */

BOOLEAN
MiIncrementShareCount(PFN_NUMBER Frame)
{
    PMMPFN Pfn = MiPfn(Frame);
    ULONG64 State = MiPfnState(Frame);

    do {
        NT_ASSERT(MiStateLocation(State) == MiLocationActive);
        NT_ASSERT(MiStateShares(State) != 0);
        if (MiStateShares(State) == MI_PFN_SHARE_MAXIMUM) {
            return FALSE;
        }
    } while (!__atomic_compare_exchange_n(&Pfn->State, &State, State + MI_PFN_SHARE_ONE, TRUE,
                                          __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
    return TRUE;
}

VOID
MiDecrementShareCount(PFN_NUMBER Frame)
{
    ULONG64 Old = __atomic_fetch_sub(&MiPfn(Frame)->State, MI_PFN_SHARE_ONE, __ATOMIC_ACQ_REL);

    if (MiStateShares(Old) <= 1) {
        KeBugCheckEx(PFN_LIST_CORRUPT, 0x99, Frame, (ULONG_PTR)MiStateLocation(Old),
                     MiStateShares(Old));
    }
}

/* The share that a page holds on the table its entry stands in (R3). */
static VOID
MipDropTableShare(ULONG64 Where)
{
    if ((Where & MI_WHERE_HAS_PTE) != 0) {
        MiDecrementShareCount(Where & MI_WHERE_FRAME_MASK);
    }
}

/* --- Becoming a page -------------------------------------------------------------------------- */

/* Word 1 for a page whose entry is Pte; takes the share on the table. */
static ULONG64
MipWhereOfPte(PFN_NUMBER Frame, PMMPTE Pte)
{
    ULONG64 Where = MiPfnWhere(Frame) & (MI_WHERE_NODE_MASK | MI_WHERE_USE_MASK);

    if (Pte == NULL) {
        return Where;
    }
    /* A table has 512 entries and its own share: far from the limit. */
    NT_VERIFY(MiIncrementShareCount(MiPteTableFrame(Pte)));
    return Where | MI_WHERE_HAS_PTE | MiPteTableFrame(Pte) |
           ((ULONG64)MiPteTableIndex(Pte) << MI_WHERE_INDEX_SHIFT);
}

/* First share of an owned frame. */
static VOID
MipAddFirstShare(PFN_NUMBER Frame, ULONG64 Set)
{
    ULONG64 Old = MipChangeState(MiPfn(Frame), 0, MI_PFN_SHARE_ONE | Set);

    NT_ASSERT(MiStateLocation(Old) == MiLocationActive);
    NT_ASSERT(MiStateShares(Old) == 0);
    NT_ASSERT(MiStateReferences(Old) >= 1);
    (VOID)Old;
}

VOID
MiInitializePfnEx(PFN_NUMBER Frame, PMMPTE Pte, MMPTE OriginalPte, ULONG Priority, ULONG Flags)
{
    PMMPFN Pfn = MiPfn(Frame);
    ULONG64 Where;

    NT_ASSERT(Priority < MI_PRIORITY_COUNT);
    NT_VERIFY(MiEnsureFrameRecord(Frame));
    Where = MipWhereOfPte(Frame, Pte) | ((ULONG64)Priority << MI_WHERE_PRIORITY_SHIFT);
    if ((Flags & MI_INITIALIZE_PROTOTYPE) != 0) {
        Where |= MI_WHERE_PROTOTYPE;
    }
    Pfn->OriginalPte = OriginalPte;
    MipSetWhere(Pfn, Where);
    MipAddFirstShare(Frame, (Flags & MI_INITIALIZE_MODIFIED) != 0 ? MI_PFN_MODIFIED : 0);
}

VOID
MiInitializePfn(PFN_NUMBER Frame, PMMPTE Pte, MMPTE OriginalPte)
{
    MiInitializePfnEx(Frame, Pte, OriginalPte, MI_DEFAULT_PAGE_PRIORITY, 0);
}

VOID
MiInitializePageTableFrame(PFN_NUMBER Frame, PMMPTE ParentPte)
{
    PMMPFN Pfn = MiPfn(Frame);

    NT_VERIFY(MiEnsureFrameRecord(Frame));
    Pfn->OriginalPte = MiMakeZeroPte();
    __atomic_store_n(&Pfn->Table, 0, __ATOMIC_RELAXED);
    MipSetWhere(Pfn, MipWhereOfPte(Frame, ParentPte));
    MiSetFrameUse(Frame, MiUsePageTable);
    MipAddFirstShare(Frame, MI_PFN_PAGE_TABLE);
}

VOID
MiFreePageTableFrame(PFN_NUMBER Frame)
{
    PMMPFN Pfn = MiPfn(Frame);
    ULONG64 Where = MiPfnWhere(Frame);
    ULONG64 Old;

    NT_ASSERT(MiUsedPtes(Frame) == 0);
    NT_ASSERT(MiFrameShareCount(Frame) == 1);
    MipResetWhere(Pfn, MiUsePageTable);
    Old = MipChangeState(Pfn, MI_PFN_SHARE_MASK | MI_PFN_PAGE_TABLE, 0);
    NT_ASSERT((Old & MI_PFN_PAGE_TABLE) != 0);
    (VOID)Old;
    MipDropTableShare(Where);
    MiFreeFrame(Frame);
}

/* --- Leaving the page tables ------------------------------------------------------------------ */

static VOID
MipCountTransition(PFN_NUMBER Frame, SIZE_T Change)
{
    __atomic_fetch_add(&MipPfnNode(MiPfn(Frame))->TransitionPages, Change, __ATOMIC_RELAXED);
}

/*
 * Nothing counts on the frame any more, and it is on no list: back to an owner's frame, and free.
 * PFN lock held; released here, because the free list is not its business.
 */
static VOID
MipFreeUnlisted(PFN_NUMBER Frame)
{
    PMMPFN Pfn = MiPfn(Frame);
    MI_PAGE_USE Use = MiFrameUse(Frame);

    MipResetWhere(Pfn, Use);
    Pfn->OriginalPte = MiMakeZeroPte();
    MipChangeState(Pfn, ~(MI_PFN_LOCK | MI_PFN_REMOVE_REQUESTED), MI_STATE_OWNED);
    MiUnlockPfn(Frame);
    MiFreeFrame(Frame);
}

/*
 * The last reference of a page without shares is gone; it is on no list. PFN lock held, released
 * here.
 */
static VOID
MipSettlePage(PFN_NUMBER Frame)
{
    ULONG64 State = MiPfnState(Frame);

    if ((State & MI_PFN_DELETED) != 0) {
        MipFreeUnlisted(Frame);
        return;
    }
    HalFrameReleased(Frame);
    if ((State & MI_PFN_MODIFIED) != 0) {
        MipInsertPage(Frame, MiLocationModified, 0);
    } else {
        MipInsertPage(Frame, MiLocationStandby, 0);
    }
    MiUnlockPfn(Frame);
}

/*
 * Take one share off an Active page, and with the last one the reference that all shares hold. Then
 * the page rests in Transition if others refer to it, or settles. PFN lock held, released here.
 */
static VOID
MipDropShare(PFN_NUMBER Frame, ULONG64 Set)
{
    PMMPFN Pfn = MiPfn(Frame);
    ULONG64 State = __atomic_or_fetch(&Pfn->State, Set, __ATOMIC_ACQ_REL);
    ULONG64 New;

    do {
        NT_ASSERT(MiStateLocation(State) == MiLocationActive);
        NT_ASSERT(MiStateShares(State) != 0);
        New = State - MI_PFN_SHARE_ONE;
        if (MiStateShares(New) == 0) {
            New -= MI_PFN_REFERENCE_ONE;
            New = (New & ~MI_PFN_LOCATION_MASK) | MI_LOCATION_BITS(MiLocationTransition);
        }
    } while (!__atomic_compare_exchange_n(&Pfn->State, &State, New, TRUE, __ATOMIC_ACQ_REL,
                                          __ATOMIC_RELAXED));
    if (MiStateShares(New) != 0) {
        MiUnlockPfn(Frame);
    } else if (MiStateReferences(New) != 0) {
        MipCountTransition(Frame, 1);
        MiUnlockPfn(Frame);
    } else {
        MipSettlePage(Frame);
    }
}

VOID
MiReleaseValidFrame(PFN_NUMBER Frame, BOOLEAN Dirty)
{
    KIRQL OldIrql = KiRaiseIrqlToDispatch();

    MiLockPfn(Frame);
    MipDropShare(Frame, Dirty ? MI_PFN_MODIFIED : 0);
    KiLowerIrql(OldIrql);
}

/* No entry leads to the page any more: forget the entry, and drop the share on its table. */
static VOID
MipForgetPte(PFN_NUMBER Frame)
{
    ULONG64 Where = MiPfnWhere(Frame);

    MipResetWhere(MiPfn(Frame), MiFrameUse(Frame));
    MipDropTableShare(Where);
}

VOID
MiDeleteValidFrame(PFN_NUMBER Frame)
{
    KIRQL OldIrql = KiRaiseIrqlToDispatch();

    MiLockPfn(Frame);
    MipForgetPte(Frame);
    MipDropShare(Frame, MI_PFN_DELETED);
    KiLowerIrql(OldIrql);
}

VOID
MiDeleteTransitionFrame(PFN_NUMBER Frame)
{
    PMMPFN Pfn = MiPfn(Frame);

    switch (MiFrameLocation(Frame)) {
    case MiLocationStandby:
    case MiLocationModified:
    case MiLocationModifiedNoWrite:
        MipRemovePage(Frame, MI_PFN_LOCATION_MASK, MI_LOCATION_BITS(MiLocationTransition));
        MipForgetPte(Frame);
        MipFreeUnlisted(Frame);
        break;
    default:
        /* Referenced, or about to be released by who trims it: freed with the last of these. */
        NT_ASSERT(MiFrameLocation(Frame) == MiLocationTransition ||
                  MiFrameLocation(Frame) == MiLocationActive);
        MipForgetPte(Frame);
        MipChangeState(Pfn, 0, MI_PFN_DELETED);
        MiUnlockPfn(Frame);
        break;
    }
}

/* --- Coming back, or going for good ----------------------------------------------------------- */

BOOLEAN
MiUnlinkTransitionFrame(PFN_NUMBER Frame)
{
    PMMPFN Pfn = MiPfn(Frame);
    ULONG64 FirstShare = MI_LOCATION_BITS(MiLocationActive);
    ULONG64 Old;

    switch (MiFrameLocation(Frame)) {
    case MiLocationStandby:
    case MiLocationModified:
    case MiLocationModifiedNoWrite:
        MipRemovePage(Frame, MI_PFN_LOCATION_MASK,
                      FirstShare | MI_PFN_SHARE_ONE | MI_PFN_REFERENCE_ONE);
        return TRUE;
    case MiLocationTransition:
        NT_ASSERT((MiPfnState(Frame) & MI_PFN_DELETED) == 0);
        if (!MiReferenceFrame(Frame)) {
            return FALSE;
        }
        MipCountTransition(Frame, (SIZE_T)-1);
        MipChangeState(Pfn, MI_PFN_LOCATION_MASK, FirstShare | MI_PFN_SHARE_ONE);
        return TRUE;
    default:
        Old = MiPfnState(Frame);
        NT_ASSERT(MiStateLocation(Old) == MiLocationActive);
        (VOID)Old;
        return MiIncrementShareCount(Frame);
    }
}

/*
 * R2: the entry goes from transition back to its original form by compare-exchange. The PFN lock
 * bit owns the transition form, so nothing but memory corruption can have changed it. A protection
 * that was changed while the page was on the list is in the entry, not in OriginalPte.
 */
VOID
MipFinishRepurpose(PFN_NUMBER Frame)
{
    PMMPFN Pfn = MiPfn(Frame);
    PMMPTE Pte = MiFramePte(Frame);

    if (Pte != NULL) {
        MMPTE Old = MiReadPte(Pte);
        MMPTE New = MiChangeSoftwareProtection(Pfn->OriginalPte, MiGetSoftwareProtection(Old));

        if (!MiPteIsTransition(Old) || MiGetPteFrame(Old) != Frame ||
            !MiCompareExchangePte(Pte, &Old, New)) {
            KeBugCheckEx(PFN_LIST_CORRUPT, 0x99, Frame, MiLocationStandby, Old.Long);
        }
    }
    MipForgetPte(Frame);
    Pfn->OriginalPte = MiMakeZeroPte();
    MipChangeState(Pfn, ~(MI_PFN_LOCK | MI_PFN_REMOVE_REQUESTED), MI_STATE_OWNED);
    MiUnlockPfn(Frame);
    HalFrameReleased(Frame);
}

VOID
MiRepurposeStandbyFrame(PFN_NUMBER Frame)
{
    NT_ASSERT(MiFrameLocation(Frame) == MiLocationStandby);
    MipRemovePage(Frame, MI_PFN_LOCATION_MASK, MI_STATE_OWNED);
    MipFinishRepurpose(Frame);
}

VOID
MiSetFrameModified(PFN_NUMBER Frame)
{
    __atomic_fetch_or(&MiPfn(Frame)->State, MI_PFN_MODIFIED, __ATOMIC_ACQ_REL);
}

/* --- References ------------------------------------------------------------------------------- */

/* A listed page gets its first reference: off the list, into Transition. */
static BOOLEAN
MipReferenceListedPage(PFN_NUMBER Frame)
{
    KIRQL OldIrql = KiRaiseIrqlToDispatch();
    BOOLEAN Referenced = FALSE;
    MI_LOCATION Location;

    MiLockPfn(Frame);
    Location = MiFrameLocation(Frame);
    if (Location == MiLocationStandby || Location == MiLocationModified ||
        Location == MiLocationModifiedNoWrite) {
        MipRemovePage(Frame, MI_PFN_LOCATION_MASK,
                      MI_LOCATION_BITS(MiLocationTransition) | MI_PFN_REFERENCE_ONE);
        MipCountTransition(Frame, 1);
        Referenced = TRUE;
    }
    MiUnlockPfn(Frame);
    KiLowerIrql(OldIrql);
    return Referenced;
}

/*
 * One more reference. FALSE for a frame that is no RAM, is free or bad, or whose count is at its
 * limit. Any IRQL <= DISPATCH_LEVEL. The caller has something that keeps the frame what it is.
 */
BOOLEAN
MiReferenceFrame(PFN_NUMBER Frame)
{
    PMMPFN Pfn;
    ULONG64 State;

    if (!MiEnsureFrameRecord(Frame)) {
        return FALSE;
    }
    Pfn = MiPfn(Frame);
    State = MiPfnState(Frame);
    for (;;) {
        switch (MiStateLocation(State)) {
        case MiLocationActive:
        case MiLocationTransition:
            if (MiStateReferences(State) == MI_PFN_REFERENCE_MAXIMUM) {
                return FALSE;
            }
            if (__atomic_compare_exchange_n(&Pfn->State, &State, State + MI_PFN_REFERENCE_ONE, TRUE,
                                            __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
                return TRUE;
            }
            break;
        case MiLocationStandby:
        case MiLocationModified:
        case MiLocationModifiedNoWrite:
            if (MipReferenceListedPage(Frame)) {
                return TRUE;
            }
            State = MiPfnState(Frame);
            break;
        default:
            return FALSE;
        }
    }
}

/*
 * What may be the last reference of a page in Transition. A fault may take the page back meanwhile,
 * so that it is not the last any more.
 */
static VOID
MipDropLastReference(PFN_NUMBER Frame, ULONG64 Set)
{
    PMMPFN Pfn = MiPfn(Frame);
    KIRQL OldIrql = KiRaiseIrqlToDispatch();
    ULONG64 State;

    MiLockPfn(Frame);
    __atomic_fetch_or(&Pfn->State, Set, __ATOMIC_ACQ_REL);
    State = __atomic_sub_fetch(&Pfn->State, MI_PFN_REFERENCE_ONE, __ATOMIC_ACQ_REL);
    if (MiStateReferences(State) == 0) {
        NT_ASSERT(MiStateLocation(State) == MiLocationTransition);
        MipCountTransition(Frame, (SIZE_T)-1);
        MipSettlePage(Frame);
    } else {
        MiUnlockPfn(Frame);
    }
    KiLowerIrql(OldIrql);
}

/*
 * One reference less. Modified: the page was written through the reference. A page unlocked more
 * often than it was locked is bug check 0x4E/7: the only reference of an Active page is its owner's
 * or its shares'.
 */
VOID
MiDereferenceFrame(PFN_NUMBER Frame, BOOLEAN Modified)
{
    PMMPFN Pfn = MiPfn(Frame);
    ULONG64 Set = Modified ? MI_PFN_MODIFIED : 0;
    ULONG64 State = MiPfnState(Frame);

    while (MiStateReferences(State) > 1) {
        if (__atomic_compare_exchange_n(&Pfn->State, &State, (State - MI_PFN_REFERENCE_ONE) | Set,
                                        TRUE, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
            return;
        }
    }
    if (MiStateReferences(State) == 0 || MiStateLocation(State) != MiLocationTransition) {
        KeBugCheckEx(PFN_LIST_CORRUPT, 7, Frame, MiStateShares(State), 0);
    }
    MipDropLastReference(Frame, Set);
}

ULONG
MiFrameReferenceCount(PFN_NUMBER Frame)
{
    return MiEnsureFrameRecord(Frame) ? MiStateReferences(MiPfnState(Frame)) : 0;
}

/* --- Writing out ------------------------------------------------------------------------------ */

BOOLEAN
MiBeginPageWrite(PFN_NUMBER Frame)
{
    KIRQL OldIrql = KiRaiseIrqlToDispatch();
    BOOLEAN Begun = FALSE;

    MiLockPfn(Frame);
    if (MiFrameLocation(Frame) == MiLocationModified) {
        MipRemovePage(Frame, MI_PFN_LOCATION_MASK | MI_PFN_MODIFIED,
                      MI_LOCATION_BITS(MiLocationTransition) | MI_PFN_REFERENCE_ONE |
                          MI_PFN_WRITE_IN_PROGRESS);
        MipCountTransition(Frame, 1);
        Begun = TRUE;
    }
    MiUnlockPfn(Frame);
    KiLowerIrql(OldIrql);
    return Begun;
}

VOID
MiEndPageWrite(PFN_NUMBER Frame, BOOLEAN Written, MMPTE OriginalPte)
{
    KIRQL OldIrql = KiRaiseIrqlToDispatch();
    ULONG64 Old;

    MiLockPfn(Frame);
    Old = MipChangeState(MiPfn(Frame), MI_PFN_WRITE_IN_PROGRESS, Written ? 0 : MI_PFN_MODIFIED);
    NT_ASSERT((Old & MI_PFN_WRITE_IN_PROGRESS) != 0);
    if (Written && (Old & MI_PFN_DELETED) == 0) {
        MiPfn(Frame)->OriginalPte = OriginalPte;
    }
    MiUnlockPfn(Frame);
    MiDereferenceFrame(Frame, FALSE);
    KiLowerIrql(OldIrql);
}

BOOLEAN
MiSetFrameNoWrite(PFN_NUMBER Frame)
{
    KIRQL OldIrql = KiRaiseIrqlToDispatch();
    BOOLEAN Moved = FALSE;

    MiLockPfn(Frame);
    if (MiFrameLocation(Frame) == MiLocationModified) {
        MipRemovePage(Frame, MI_PFN_LOCATION_MASK, MI_LOCATION_BITS(MiLocationTransition));
        MipInsertPage(Frame, MiLocationModifiedNoWrite, 0);
        Moved = TRUE;
    }
    MiUnlockPfn(Frame);
    KiLowerIrql(OldIrql);
    return Moved;
}

/* --- What an owner notes ---------------------------------------------------------------------- */

VOID
MiSetFrameUse(PFN_NUMBER Frame, MI_PAGE_USE Use)
{
    PMMPFN Pfn = MiPfn(Frame);

    MipSetWhere(Pfn, (MiPfnWhere(Frame) & ~MI_WHERE_USE_MASK) |
                         ((ULONG64)Use << MI_WHERE_USE_SHIFT));
}

static MI_CACHE_ATTRIBUTE
MipCacheAttribute(MEMORY_CACHING_TYPE CacheType)
{
    switch (CacheType) {
    case MmNonCached:
    case MmNonCachedUnordered:
        return MiCacheUncached;
    case MmWriteCombined:
    case MmUSWCCached:
        return MiCacheWriteCombined;
    default:
        return MiCacheCached;
    }
}

/*
 * Record how a frame is cached, if nobody did; returns what is in force, which the caller must use
 * instead of CacheType. MmNotMapped only asks. Forgotten when the frame is freed.
 */
MEMORY_CACHING_TYPE
MiSetFrameCacheType(PFN_NUMBER Frame, MEMORY_CACHING_TYPE CacheType)
{
    static const MEMORY_CACHING_TYPE Types[4] = {MmNotMapped, MmCached, MmNonCached,
                                                 MmWriteCombined};
    PMMPFN Pfn = MiPfn(Frame);
    ULONG64 State;
    ULONG64 Set;

    if (!MiEnsureFrameRecord(Frame)) {
        return CacheType;
    }
    State = MiPfnState(Frame);
    Set = CacheType == MmNotMapped
              ? 0 : (ULONG64)MipCacheAttribute(CacheType) << MI_PFN_CACHE_SHIFT;
    while ((State & MI_PFN_CACHE_MASK) == 0) {
        if (__atomic_compare_exchange_n(&Pfn->State, &State, State | Set, TRUE, __ATOMIC_ACQ_REL,
                                        __ATOMIC_RELAXED)) {
            State |= Set;
            break;
        }
    }
    return Types[(State & MI_PFN_CACHE_MASK) >> MI_PFN_CACHE_SHIFT];
}
