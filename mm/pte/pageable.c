/*
 * Pageable system space: ranges whose pages come by fault, may leave again, and own their entries.
 *
 *      MiMakeDemandZeroRange        fault (mm/fault)              MiTrimRange
 *   zero -------------> demand-zero ----------------> valid -------------------> transition
 *                                                       ^        soft fault          |
 *                                                       +----------------------------+
 *   and from every one of them to zero: MiDeletePageableRange
 *
 * Locks: the table's lock for every change; R1 adds the PFN bit for entries in transition form. A trim holds
 * the table's lock across its flush, so a fault cannot revive a page that another processor still sees
 * through its buffer as it was; what waits for the lock waits with interrupts on and answers the flush. A
 * deletion parks its pages in the entries themselves while it flushes once for all of them, whatever their
 * number.
 *
 * <= DISPATCH_LEVEL, nothing blocks, nothing fails.
 */
#include "ptep.h"

#define MI_TRIM_PAGES 64 /* pages between a clear and its flush */

/* --- Making
 * ------------------------------------------------------------------------------------------------- */

VOID
MiMakeDemandZeroRange(PVOID Va, SIZE_T PageCount, MI_PROTECTION Protection, MI_PAGE_USE Use)
{
    MMPTE DemandZero = MiMakeSystemDemandZeroPte(Protection, Use);
    MI_CURSOR Cursor;

    MI_ASSERT(!MiProtectionIsWriteCopy(Protection));
    for (MiStartCursor(&Cursor, (ULONG_PTR)Va, PageCount); Cursor.Left != 0; MiAdvanceCursor(&Cursor)) {
        PFN_NUMBER TableFrame = MiPteTableFrame(Cursor.Pte);
        KIRQL OldIrql = KiRaiseIrqlToDispatch();

        MiLockPageTable(TableFrame, LockRankPageTable);
        for (SIZE_T Index = 0; Index < Cursor.PageCount; Index += 1) {
            MI_ASSERT(MiPteIsZero(MiReadPte(&Cursor.Pte[Index])));
            MiWritePte(&Cursor.Pte[Index], DemandZero);
        }
        MiIncrementUsedPtes(TableFrame, (ULONG)Cursor.PageCount);
        MiUnlockPageTable(TableFrame);
        KiLowerIrql(OldIrql);
    }
}

/* --- Deleting
 * ----------------------------------------------------------------------------------------------- */

/* What a valid entry becomes until the flush: it keeps the frame, gives no rights, and cannot be taken for a
 * page on a list. */
static MMPTE
MipMakeParkedPte(PFN_NUMBER Frame)
{
    return MiMakeHiddenPte(Frame, MmCached);
}

/* Table lock held. A page in transition is not in any buffer and can go at once. FALSE: it has changed its
 * form. */
static BOOLEAN
MipDeleteTransitionLocked(PMMPTE Pte, MMPTE Old)
{
    PFN_NUMBER Frame = MiGetPteFrame(Old);

    MiLockPfn(Frame);
    if (!MiPteEqual(MiReadPte(Pte), Old)) {
        MiUnlockPfn(Frame);
        return FALSE;
    }
    MI_ASSERT(MiFramePte(Frame) == Pte);
    MiWritePte(Pte, MiMakeZeroPte());
    MiDeleteTransitionFrame(Frame);
    return TRUE;
}

/* Table lock held. TRUE if the entry holds a parked page now, FALSE if it is zero. */
static BOOLEAN
MipParkEntryLocked(PMMPTE Pte)
{
    for (;;) {
        MMPTE Old = MiReadPte(Pte);

        if (MiPteIsValid(Old)) {
            MI_ASSERT(MiFrameOwnsPte(MiGetPteFrame(Old), Pte));
            MiWritePte(Pte, MipMakeParkedPte(MiGetPteFrame(Old)));
            HalPteChanged(Pte);
            return TRUE;
        }
        if (!MiPteIsTransition(Old)) {
            MI_ASSERT(MiPteIsDemandZero(Old));
            MiWritePte(Pte, MiMakeZeroPte());
            return FALSE;
        }
        if (MipDeleteTransitionLocked(Pte, Old)) {
            return FALSE;
        }
    }
}

static VOID
MipParkTable(PMI_CURSOR Cursor, PMI_FLUSH_BATCH Batch)
{
    PFN_NUMBER TableFrame = MiPteTableFrame(Cursor->Pte);
    KIRQL OldIrql = KiRaiseIrqlToDispatch();
    ULONG Cleared = 0;

    MiLockPageTable(TableFrame, LockRankPageTable);
    for (SIZE_T Index = 0; Index < Cursor->PageCount; Index += 1) {
        if (MipParkEntryLocked(&Cursor->Pte[Index])) {
            MiAddFlush(Batch, Cursor->Va + Index * PAGE_SIZE, 1);
        } else {
            Cleared += 1;
        }
    }
    MiDecrementUsedPtes(TableFrame, Cleared);
    MiUnlockPageTable(TableFrame);
    KiLowerIrql(OldIrql);
}

/* After the flush nobody but us knows the parked pages. */
static VOID
MipFreeParked(PMI_CURSOR Cursor)
{
    ULONG Cleared = 0;

    for (SIZE_T Index = 0; Index < Cursor->PageCount; Index += 1) {
        MMPTE Parked = MiReadPte(&Cursor->Pte[Index]);

        if (!MiPteIsZero(Parked)) {
            MiWritePte(&Cursor->Pte[Index], MiMakeZeroPte());
            MiDeleteValidFrame(MiGetPteFrame(Parked));
            Cleared += 1;
        }
    }
    MiDecrementUsedPtes(MiPteTableFrame(Cursor->Pte), Cleared);
}

VOID
MiDeletePageableRange(PVOID Va, SIZE_T PageCount)
{
    MI_FLUSH_BATCH Batch;
    MI_CURSOR Cursor;

    MiStartFlush(&Batch);
    for (MiStartCursor(&Cursor, (ULONG_PTR)Va, PageCount); Cursor.Left != 0; MiAdvanceCursor(&Cursor)) {
        MI_ASSERT(!Cursor.Large);
        MipParkTable(&Cursor, &Batch);
    }
    MiFlush(&Batch);
    for (MiStartCursor(&Cursor, (ULONG_PTR)Va, PageCount); Cursor.Left != 0; MiAdvanceCursor(&Cursor)) {
        MipFreeParked(&Cursor);
    }
}

/* --- Trimming
 * ----------------------------------------------------------------------------------------------- */

/* Pages whose entries have transition form already and whose flush is still to come. */
typedef struct _MI_TRIM {
    MI_FLUSH_BATCH Flush;
    ULONG Count;
    PFN_NUMBER Frames[MI_TRIM_PAGES];
    ULONG64 Dirty; /* bit n: Frames[n] */
} MI_TRIM, *PMI_TRIM;

_Static_assert(MI_TRIM_PAGES <= 64, "one bit of Dirty each");

/*
 * Table lock held. Only pages that own their entry go, and not while somebody besides the entries holds a
 * reference: a locked page keeps its address valid, because a driver may touch it at DISPATCH_LEVEL.
 */
static VOID
MipTrimEntryLocked(PMMPTE Pte, ULONG_PTR Va, PMI_TRIM Trim, PULONG Left)
{
    MMPTE Old = MiReadPte(Pte);
    PFN_NUMBER Frame = MiGetPteFrame(Old);

    if (!MiPteIsValid(Old) || !MiFrameOwnsPte(Frame, Pte)) {
        return;
    }
    MiLockPfn(Frame);
    if (MiStateReferences(MiPfnState(Frame)) != 1) {
        *Left += 1;
    } else {
        MI_PROTECTION Protection = MiGetSoftwareProtection(MiPfn(Frame)->OriginalPte);

        Old = MiExchangePte(Pte, MiMakeTransitionPte(Frame, Protection));
        HalPteChanged(Pte);
        MiAddFlush(&Trim->Flush, Va, 1);
        Trim->Frames[Trim->Count] = Frame;
        if (MiPteIsDirty(Old)) {
            Trim->Dirty |= 1ull << Trim->Count;
        }
        Trim->Count += 1;
    }
    MiUnlockPfn(Frame);
}

static SIZE_T
MipFinishTrim(PMI_TRIM Trim)
{
    SIZE_T Trimmed = Trim->Count;

    MiFlush(&Trim->Flush);
    for (ULONG Index = 0; Index < Trim->Count; Index += 1) {
        MiReleaseValidFrame(Trim->Frames[Index], (BOOLEAN)((Trim->Dirty >> Index) & 1));
    }
    Trim->Count = 0;
    Trim->Dirty = 0;
    return Trimmed;
}

SIZE_T
MiTrimEntriesLocked(PMMPTE Pte, ULONG_PTR Va, SIZE_T PageCount, PULONG Left)
{
    SIZE_T Trimmed = 0;
    MI_TRIM Trim;

    MiStartFlush(&Trim.Flush);
    Trim.Count = 0;
    Trim.Dirty = 0;
    for (SIZE_T Index = 0; Index < PageCount; Index += 1) {
        MipTrimEntryLocked(&Pte[Index], Va + Index * PAGE_SIZE, &Trim, Left);
        if (Trim.Count == MI_TRIM_PAGES) {
            Trimmed += MipFinishTrim(&Trim);
        }
    }
    return Trimmed + MipFinishTrim(&Trim);
}

static SIZE_T
MipTrimTable(PMI_CURSOR Cursor)
{
    PFN_NUMBER TableFrame = MiPteTableFrame(Cursor->Pte);
    KIRQL OldIrql = KiRaiseIrqlToDispatch();
    SIZE_T Trimmed;
    ULONG Left = 0;

    MiLockPageTable(TableFrame, LockRankPageTable);
    Trimmed = MiTrimEntriesLocked(Cursor->Pte, Cursor->Va, Cursor->PageCount, &Left);
    MiUnlockPageTable(TableFrame);
    KiLowerIrql(OldIrql);
    return Trimmed;
}

SIZE_T
MiTrimRange(PVOID Va, SIZE_T PageCount)
{
    SIZE_T Trimmed = 0;
    MI_CURSOR Cursor;

    for (MiStartCursor(&Cursor, (ULONG_PTR)Va, PageCount); Cursor.Left != 0; MiAdvanceCursor(&Cursor)) {
        if (!Cursor.Large) {
            Trimmed += MipTrimTable(&Cursor);
        }
    }
    return Trimmed;
}
