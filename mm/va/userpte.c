/*
 * Entries of user addresses: walks over the tables there are, counting, deleting, tables that come and go.
 * Forms and locks: va.h. Everything here works through the direct map, whatever address space is loaded, and
 * flushes where the address space is in use.
 *
 * Pages that go are gathered, flushed once for many, and only then freed; each keeps its share on its table until
 * then, so the table stays. Callers hold the Create lock; table locks and PFN bits are taken here.
 */
#include "va.h"

#define MI_GATHER_PAGES 64
#define MI_GATHER_TABLES 16

VOID
MiFlushUser(PMI_ADDRESS_SPACE Space, PMI_FLUSH_BATCH Batch)
{
    MiFlushProcessors(Batch, KiProcessProcessors(Space->Process));
}

/* --- Walking ---------------------------------------------------------------------------------- */

VOID
MiStartUserCursor(PMI_USER_CURSOR Cursor, PMI_ADDRESS_SPACE Space, ULONG64 StartPage, ULONG64 EndPage)
{
    Cursor->RootFrame = Space->RootFrame;
    Cursor->Page = StartPage;
    Cursor->EndPage = EndPage;
    Cursor->PageCount = 0;
    Cursor->Skipped = 0;
    Cursor->Pte = NULL;
}

BOOLEAN
MiNextUserTable(PMI_USER_CURSOR Cursor)
{
    ULONG64 Page = Cursor->Page + Cursor->PageCount;

    Cursor->Skipped = 0;
    while (Page < Cursor->EndPage) {
        MI_WALK Walk;
        SIZE_T Pages;

        MiWalk(Cursor->RootFrame, Page << PAGE_SHIFT, &Walk);
        if (Walk.Level == MiLevelPte) {
            Cursor->Page = Page;
            Cursor->Pte = Walk.Pte;
            Cursor->PageCount = MIN(Cursor->EndPage - Page, MI_PTES_PER_TABLE - (Page & (MI_PTES_PER_TABLE - 1)));
            return TRUE;
        }
        Pages = MiLevelPages(Walk.Level);
        Pages = MIN(((Page + Pages) & ~(Pages - 1)) - Page, Cursor->EndPage - Page);
        Cursor->Skipped += Pages;
        Page += Pages;
    }
    Cursor->Page = Page;
    Cursor->PageCount = 0;
    return FALSE;
}

BOOLEAN
MiMakeUserTables(PMI_ADDRESS_SPACE Space, ULONG64 StartPage, ULONG64 EndPage)
{
    for (ULONG64 Page = StartPage; Page < EndPage; Page = (Page + MI_PTES_PER_TABLE) & ~(MI_PTES_PER_TABLE - 1ull)) {
        if (MiMakeTable(Space->RootFrame, Page << PAGE_SHIFT, MiLevelPte, MI_PTE_USER) == NULL) {
            return FALSE;
        }
    }
    return TRUE;
}

/* --- Reading ---------------------------------------------------------------------------------- */

MI_PROTECTION
MiUserPteProtection(const MMVAD *Vad, const MMPTE *Pte, MMPTE Value)
{
    if (MiPteIsZero(Value)) {
        return Vad->Protection;
    }
    if (!MiPteIsValid(Value)) {
        return MiGetSoftwareProtection(Value);
    }
    if (MiFrameOwnsPte(MiGetPteFrame(Value), Pte)) {
        return MiGetSoftwareProtection(MiPfn(MiGetPteFrame(Value))->OriginalPte);
    }
    return Vad->Protection;
}

SIZE_T
MiCountCommitted(PMI_ADDRESS_SPACE Space, const MMVAD *Vad, ULONG64 StartPage, ULONG64 EndPage)
{
    MI_USER_CURSOR Cursor;
    SIZE_T Committed = 0;
    BOOLEAN More = TRUE;

    MiStartUserCursor(&Cursor, Space, StartPage, EndPage);
    while (More) {
        More = MiNextUserTable(&Cursor);
        Committed += Vad->MemCommit ? Cursor.Skipped : 0;
        for (SIZE_T Index = 0; Index < Cursor.PageCount; Index += 1) {
            Committed += MiUserPteIsCommitted(Vad, MiReadPte(&Cursor.Pte[Index]));
        }
    }
    return Committed;
}

/* --- Pages that leave ------------------------------------------------------------------------- */

/* Frames whose entries do not lead to them any more, before their flush. */
typedef struct _MI_GATHER {
    PMI_ADDRESS_SPACE Space;
    const MMVAD *Vad;
    MI_FLUSH_BATCH Flush;
    BOOLEAN Delete;       /* free them; else they go to the lists */
    MI_PROTECTION Protection;
    MMPTE Replacement;    /* deleting: what an entry becomes */
    BOOLEAN KeepZero;
    LONG Used;            /* change of the table's count */
    ULONG64 Page;         /* of the first entry of the run */
    ULONG Count;
    PFN_NUMBER Frames[MI_GATHER_PAGES];
    ULONG64 Dirty; /* bit n: Frames[n] */
} MI_GATHER, *PMI_GATHER;

_Static_assert(MI_GATHER_PAGES <= 64, "one bit of Dirty each");

static VOID
MipFinishGather(PMI_GATHER Gather)
{
    MiFlushUser(Gather->Space, &Gather->Flush);
    for (ULONG Index = 0; Index < Gather->Count; Index += 1) {
        if (Gather->Delete) {
            MiDeleteValidFrame(Gather->Frames[Index]);
        } else {
            MiReleaseValidFrame(Gather->Frames[Index], (BOOLEAN)((Gather->Dirty >> Index) & 1));
        }
    }
    if (Gather->Count != 0) {
        __atomic_fetch_sub(&Gather->Space->Resident, Gather->Count, __ATOMIC_RELAXED);
    }
    Gather->Count = 0;
    Gather->Dirty = 0;
}

/* A valid entry gets another form; its frame waits for the flush. Table lock. */
static VOID
MipGatherValid(PMI_GATHER Gather, PMMPTE Pte, ULONG_PTR Va, MMPTE New)
{
    MMPTE Old = MiExchangePte(Pte, New);

    HalPteChanged(Pte);
    MiAddFlush(&Gather->Flush, Va, 1);
    Gather->Frames[Gather->Count] = MiGetPteFrame(Old);
    Gather->Dirty |= (ULONG64)MiPteIsDirty(Old) << Gather->Count;
    Gather->Count += 1;
}

typedef VOID MIP_EDIT(PMI_GATHER Gather, PMMPTE Pte, ULONG_PTR Va);

/* Edit the entries of a run under the table's lock, which is let go to flush whenever the gathering is full. */
static VOID
MipEditRun(PMI_GATHER Gather, const MI_USER_CURSOR *Cursor, MIP_EDIT *Edit)
{
    PFN_NUMBER TableFrame = MiPteTableFrame(Cursor->Pte);
    SIZE_T Index = 0;

    while (Index < Cursor->PageCount) {
        KIRQL OldIrql = KiRaiseIrqlToDispatch();

        MiLockPageTable(TableFrame, LockRankPageTable);
        Gather->Used = 0;
        for (; Index < Cursor->PageCount && Gather->Count < MI_GATHER_PAGES; Index += 1) {
            Edit(Gather, &Cursor->Pte[Index], (Cursor->Page + Index) << PAGE_SHIFT);
        }
        if (Gather->Used >= 0) {
            MiIncrementUsedPtes(TableFrame, (ULONG)Gather->Used);
        } else {
            MiDecrementUsedPtes(TableFrame, (ULONG)-Gather->Used);
        }
        MiUnlockPageTable(TableFrame);
        KiLowerIrql(OldIrql);
        if (Gather->Count == MI_GATHER_PAGES) {
            MipFinishGather(Gather);
        }
    }
}

static VOID
MipEditRange(PMI_GATHER Gather, ULONG64 StartPage, ULONG64 EndPage, MIP_EDIT *Edit)
{
    MI_USER_CURSOR Cursor;

    MiStartFlush(&Gather->Flush);
    MiStartUserCursor(&Cursor, Gather->Space, StartPage, EndPage);
    while (MiNextUserTable(&Cursor)) {
        MipEditRun(Gather, &Cursor, Edit);
    }
    MipFinishGather(Gather);
}

/* --- Deleting --------------------------------------------------------------------------------- */

/* A page in transition is in no buffer and goes at once. FALSE: it has changed its form. */
static BOOLEAN
MipDeleteTransition(PMI_GATHER Gather, PMMPTE Pte, MMPTE Old)
{
    PFN_NUMBER Frame = MiGetPteFrame(Old);

    MiLockPfn(Frame);
    if (!MiPteEqual(MiReadPte(Pte), Old)) {
        MiUnlockPfn(Frame);
        return FALSE;
    }
    MI_ASSERT(MiFramePte(Frame) == Pte);
    MiWritePte(Pte, Gather->Replacement);
    MiDeleteTransitionFrame(Frame);
    return TRUE;
}

static VOID
MipDeleteEntry(PMI_GATHER Gather, PMMPTE Pte, ULONG_PTR Va)
{
    for (;;) {
        MMPTE Old = MiReadPte(Pte);

        if (MiPteIsValid(Old)) {
            MI_ASSERT(MiFrameOwnsPte(MiGetPteFrame(Old), Pte));
            MipGatherValid(Gather, Pte, Va, Gather->Replacement);
        } else if (MiPteIsTransition(Old)) {
            if (!MipDeleteTransition(Gather, Pte, Old)) {
                continue;
            }
        } else {
            MiWritePte(Pte, Gather->Replacement);
        }
        Gather->Used += !MiPteIsZero(Gather->Replacement) - !MiPteIsZero(Old);
        return;
    }
}

VOID
MiDeleteUserRange(PMI_ADDRESS_SPACE Space, const MMVAD *Vad, ULONG64 StartPage, ULONG64 EndPage, BOOLEAN Decommit)
{
    MI_GATHER Gather;

    Gather.Space = Space;
    Gather.Vad = Vad;
    Gather.Delete = TRUE;
    Gather.Count = 0;
    Gather.Dirty = 0;
    Gather.Replacement = Decommit && Vad->MemCommit ? MiMakeDemandZeroPte(MM_DECOMMIT) : MiMakeZeroPte();
    MipEditRange(&Gather, StartPage, EndPage, MipDeleteEntry);
}

/* --- Protecting, committing ------------------------------------------------------------------- */

/* The valid entry of a page that is resident, without the right to write where a first write is to be noticed. */
static MMPTE
MipReprotectedPte(const MI_GATHER *Gather, MMPTE Old, ULONG_PTR Va)
{
    MMPTE New = MiChangePteProtection(Old, Gather->Protection);

    return MiWatchedPte(Gather->Vad, Va >> PAGE_SHIFT, New);
}

/* PFN lock held. FALSE: the entry is not what it was. */
static BOOLEAN
MipProtectFrame(PMI_GATHER Gather, PMMPTE Pte, MMPTE Old, ULONG_PTR Va)
{
    PFN_NUMBER Frame = MiGetPteFrame(Old);
    MI_PROTECTION Protection = Gather->Protection;
    PMMPFN Pfn = MiPfn(Frame);
    MMPTE Now = MiReadPte(Pte);

    if (MiPteIsValid(Now) != MiPteIsValid(Old) || MiPteIsTransition(Now) != MiPteIsTransition(Old) ||
        MiGetPteFrame(Now) != Frame) {
        return FALSE;
    }
    MI_ASSERT(MiFramePte(Frame) == Pte);
    Pfn->OriginalPte = MiChangeSoftwareProtection(Pfn->OriginalPte, Protection);
    if (!MiPteIsValid(Now)) {
        MiWritePte(Pte, MiMakeTransitionPte(Frame, Protection));
        return TRUE;
    }
    if (MiProtectionIsNoAccess(Protection) || MiProtectionIsGuard(Protection)) {
        MipGatherValid(Gather, Pte, Va, MiMakeTransitionPte(Frame, Protection));
        return TRUE;
    }
    while (!MiCompareExchangePte(Pte, &Now, MipReprotectedPte(Gather, Now, Va))) {
    }
    HalPteChanged(Pte);
    MiAddFlush(&Gather->Flush, Va, 1);
    return TRUE;
}

static VOID
MipProtectEntry(PMI_GATHER Gather, PMMPTE Pte, ULONG_PTR Va)
{
    for (;;) {
        MMPTE Old = MiReadPte(Pte);
        BOOLEAN Done;

        if (!MiPteIsValid(Old) && !MiPteIsTransition(Old)) {
            if (!MiPteIsZero(Old) || !Gather->KeepZero) {
                MiWritePte(Pte, MiMakePrivateZeroPte(Gather->Protection));
                Gather->Used += MiPteIsZero(Old);
            }
            return;
        }
        MiLockPfn(MiGetPteFrame(Old));
        Done = MipProtectFrame(Gather, Pte, Old, Va);
        MiUnlockPfn(MiGetPteFrame(Old));
        if (Done) {
            return;
        }
    }
}

VOID
MiProtectUserRange(PMI_ADDRESS_SPACE Space, const MMVAD *Vad, ULONG64 StartPage, ULONG64 EndPage,
                   MI_PROTECTION Protection, BOOLEAN KeepZero)
{
    MI_GATHER Gather;

    Gather.Space = Space;
    Gather.Vad = Vad;
    Gather.Delete = FALSE;
    Gather.Count = 0;
    Gather.Dirty = 0;
    Gather.Protection = Protection;
    Gather.KeepZero = KeepZero;
    MipEditRange(&Gather, StartPage, EndPage, MipProtectEntry);
}

/* --- Tables that go --------------------------------------------------------------------------- */

typedef struct _MI_TABLE_TRIM {
    PMI_ADDRESS_SPACE Space;
    ULONG Level;          /* of the entries in the tables looked at */
    ULONG_PTR Va;         /* where to look next */
    ULONG_PTR End;
    ULONG Count;
    PFN_NUMBER Frames[MI_GATHER_TABLES];
    MI_FLUSH_BATCH Flush;
} MI_TABLE_TRIM, *PMI_TABLE_TRIM;

/* The entry that names the next table of the level, from Va on; NULL at the end. Va moves to where the table begins. */
static PMMPTE
MipNextTable(PMI_TABLE_TRIM Trim)
{
    while (Trim->Va < Trim->End) {
        PFN_NUMBER TableFrame = Trim->Space->RootFrame;
        ULONG Level = MiLevelPxe;

        for (;; Level -= 1) {
            PMMPTE Entry = MiTableEntry(TableFrame, MiPteIndex(Trim->Va, Level));
            MMPTE Value = MiReadPte(Entry);

            if (!MiPteIsValid(Value) || (Level < MiLevelPxe && MiPteIsLarge(Value))) {
                break;
            }
            if (Level == Trim->Level + 1) {
                return Entry;
            }
            TableFrame = MiGetPteFrame(Value);
        }
        Trim->Va = ALIGN_DOWN_BY(Trim->Va, MiLevelPages(Level) * PAGE_SIZE) + MiLevelPages(Level) * PAGE_SIZE;
    }
    return NULL;
}

/* One empty table of a process stays, for whoever allocates and frees in turn. */
static BOOLEAN
MipKeepTable(PMI_TABLE_TRIM Trim)
{
    PMI_ADDRESS_SPACE Space = Trim->Space;
    ULONG_PTR TableVa = ALIGN_DOWN_BY(Trim->Va, MI_PTES_PER_TABLE * PAGE_SIZE);
    MI_WALK Walk;

    if (Trim->Level != MiLevelPte || Space->State != MiSpaceLive || Space->RootFrame == MiSystemRootFrame) {
        return FALSE;
    }
    if (Space->EmptyTable != 0 && Space->EmptyTable != TableVa) {
        MiWalk(Space->RootFrame, Space->EmptyTable, &Walk);
        if (Walk.Level == MiLevelPte && MiUsedPtes(MiPteTableFrame(Walk.Pte)) == 0) {
            return FALSE;
        }
    }
    Space->EmptyTable = TableVa;
    return TRUE;
}

static VOID
MipFinishTables(PMI_TABLE_TRIM Trim)
{
    MiFlushUser(Trim->Space, &Trim->Flush);
    while (Trim->Count != 0) {
        Trim->Count -= 1;
        MiDeleteTable(Trim->Frames[Trim->Count]);
    }
}

/* Look, or with the Vad lock held exclusively, delete. TRUE if there is anything to delete. */
static BOOLEAN
MipTrimLevel(PMI_TABLE_TRIM Trim, BOOLEAN Delete)
{
    ULONG_PTR Reach = MiLevelPages(Trim->Level + 1) * PAGE_SIZE;
    BOOLEAN Found = FALSE;
    PMMPTE Parent;

    while ((Parent = MipNextTable(Trim)) != NULL) {
        PFN_NUMBER TableFrame = MiGetPteFrame(MiReadPte(Parent));

        if (MiUsedPtes(TableFrame) == 0 && !MipKeepTable(Trim)) {
            Found = TRUE;
            if (!Delete) {
                break;
            }
            MiUnlinkTable(Parent, ALIGN_DOWN_BY(Trim->Va, Reach), Trim->Level, &Trim->Flush);
            Trim->Frames[Trim->Count] = TableFrame;
            Trim->Count += 1;
            if (Trim->Count == MI_GATHER_TABLES) {
                MipFinishTables(Trim);
            }
        }
        Trim->Va = ALIGN_DOWN_BY(Trim->Va, Reach) + Reach;
    }
    MipFinishTables(Trim);
    return Found;
}

VOID
MiTrimUserTables(PMI_ADDRESS_SPACE Space, ULONG64 StartPage, ULONG64 EndPage)
{
    MI_TABLE_TRIM Trim = {.Space = Space};

    MiStartFlush(&Trim.Flush);
    for (ULONG Level = MiLevelPte; Level < MiLevelPxe; Level += 1) {
        Trim.Level = Level;
        Trim.Va = StartPage << PAGE_SHIFT;
        Trim.End = EndPage << PAGE_SHIFT;
        if (!MipTrimLevel(&Trim, FALSE)) {
            return;
        }
        /* A fault makes tables, and relies on those it has found, with the Vad lock held. */
        MiLockVads(Space);
        Trim.Va = StartPage << PAGE_SHIFT;
        MipTrimLevel(&Trim, TRUE);
        MiUnlockVads(Space);
    }
}
