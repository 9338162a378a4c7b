/*
 * MiProtectRange: other rights for system addresses, in whatever form their entries are. Two passes: the
 * first finds an address that has nothing (STATUS_NOT_COMMITTED, nothing changed), the second cannot fail.
 *
 * The table's lock is held while its entries change, against faults; R1 adds the PFN bit for entries in
 * transition form and for the original form that a frame's record keeps, which must learn the new code too,
 * or the page would come back with the old one. Every change of a valid entry is flushed before the return
 * (why: map.c).
 */
#include "ptep.h"

typedef struct _MI_PROTECT {
    MI_PROTECTION Protection;
    MI_FLUSH_BATCH Flush;
    BOOLEAN TrimNeeded; /* pageable pages must lose their valid entries: no valid form says "no access" */
} MI_PROTECT, *PMI_PROTECT;

static BOOLEAN
MipRangeIsCommitted(ULONG_PTR Va, SIZE_T PageCount)
{
    MI_CURSOR Cursor;

    for (MiStartCursor(&Cursor, Va, PageCount); Cursor.Left != 0; MiAdvanceCursor(&Cursor)) {
        for (SIZE_T Index = 0; !Cursor.Large && Index < Cursor.PageCount; Index += 1) {
            if (MiPteIsZero(MiReadPte(&Cursor.Pte[Index]))) {
                return FALSE;
            }
        }
    }
    return TRUE;
}

/* A valid entry with other rights. The Dirty bit stays for pageable pages, and is set at once for plain
 * mappings. */
static MMPTE
MipValidWithProtection(MMPTE Old, MI_PROTECTION Protection, BOOLEAN Pageable)
{
    MMPTE New = MiChangePteProtection(Old, Protection);

    if (!Pageable && MiProtectionAllowsWrite(Protection)) {
        New.Long |= MI_PTE_DIRTY;
    }
    return New;
}

/* The processor may set Accessed and Dirty between the read and the write. */
static VOID
MipReprotectValid(PMMPTE Pte, MMPTE Old, ULONG_PTR Va, BOOLEAN Pageable, PMI_PROTECT Change)
{
    MMPTE New;

    do {
        New = MipValidWithProtection(Old, Change->Protection, Pageable);
    } while (!MiCompareExchangePte(Pte, &Old, New));
    HalPteChanged(Pte);
    MiAddFlush(&Change->Flush, Va, 1);
}

/* Record the code in the frame that owns the entry. PFN lock held. */
static VOID
MipReprotectOriginal(PFN_NUMBER Frame, MI_PROTECTION Protection)
{
    PMMPFN Pfn = MiPfn(Frame);

    Pfn->OriginalPte = MiChangeSoftwareProtection(Pfn->OriginalPte, Protection);
}

/* A plain mapping's entry, valid or hidden. */
static VOID
MipReprotectMapping(PMMPTE Pte, MMPTE Old, ULONG_PTR Va, PMI_PROTECT Change)
{
    PFN_NUMBER Frame = MiGetPteFrame(Old);

    if (!MiPteIsValid(Old)) {
        MiWritePte(Pte, MiMakeMappingPte(Frame, Change->Protection, MiHiddenCacheType(Old)));
        return;
    }
    if (!MiProtectionIsNoAccess(Change->Protection)) {
        MipReprotectValid(Pte, Old, Va, FALSE, Change);
        return;
    }
    MiWritePte(Pte, MiMakeHiddenPte(Frame, MiGetPteCacheType(Old)));
    HalPteChanged(Pte);
    MiAddFlush(&Change->Flush, Va, 1);
}

/* One entry that names a frame, under the PFN bit. FALSE: the entry changed meanwhile, look again. */
static BOOLEAN
MipReprotectFrameLocked(PMMPTE Pte, MMPTE Old, ULONG_PTR Va, PMI_PROTECT Change)
{
    PFN_NUMBER Frame = MiGetPteFrame(Old);
    MMPTE Now = MiReadPte(Pte);

    if (MiPteIsValid(Now) != MiPteIsValid(Old) || MiPteIsTransition(Now) != MiPteIsTransition(Old) ||
        MiGetPteFrame(Now) != Frame) {
        return FALSE;
    }
    if (MiFramePte(Frame) != Pte) {
        MipReprotectMapping(Pte, Now, Va, Change);
        return TRUE;
    }
    MipReprotectOriginal(Frame, Change->Protection);
    if (!MiPteIsValid(Now)) {
        MiWritePte(Pte, MiMakeTransitionPte(Frame, Change->Protection));
    } else if (MiProtectionIsNoAccess(Change->Protection)) {
        Change->TrimNeeded = TRUE;
    } else {
        MipReprotectValid(Pte, Now, Va, TRUE, Change);
    }
    return TRUE;
}

/* Table lock held. */
static VOID
MipReprotectEntryLocked(PMMPTE Pte, ULONG_PTR Va, PMI_PROTECT Change)
{
    for (;;) {
        MMPTE Old = MiReadPte(Pte);
        BOOLEAN Done;

        if (!MiPteIsValid(Old) && !MiPteIsTransition(Old)) {
            MiWritePte(Pte, MiChangeSoftwareProtection(Old, Change->Protection));
            return;
        }
        if (!MiIsRamFrame(MiGetPteFrame(Old))) {
            MipReprotectMapping(Pte, Old, Va, Change); /* I/O space: no record, no lock */
            return;
        }
        MiLockPfn(MiGetPteFrame(Old));
        Done = MipReprotectFrameLocked(Pte, Old, Va, Change);
        MiUnlockPfn(MiGetPteFrame(Old));
        if (Done) {
            return;
        }
    }
}

static VOID
MipReprotectLargePage(PMI_CURSOR Cursor, PMI_PROTECT Change)
{
    PFN_NUMBER Directory = MiPteTableFrame(Cursor->Pde);
    KIRQL OldIrql = KiRaiseIrqlToDispatch();

    MiLockPageTable(Directory, LockRankPageTable);
    MiWritePte(Cursor->Pde, MipValidWithProtection(MiReadPte(Cursor->Pde), Change->Protection, FALSE));
    MiUnlockPageTable(Directory);
    HalPteChanged(Cursor->Pde);
    KiLowerIrql(OldIrql);
    MiAddFlush(&Change->Flush, Cursor->Va, Cursor->PageCount);
}

static VOID
MipReprotectTable(PMI_CURSOR Cursor, PMI_PROTECT Change)
{
    PFN_NUMBER TableFrame = MiPteTableFrame(Cursor->Pte);
    KIRQL OldIrql = KiRaiseIrqlToDispatch();

    MiLockPageTable(TableFrame, LockRankPageTable);
    for (SIZE_T Index = 0; Index < Cursor->PageCount; Index += 1) {
        MipReprotectEntryLocked(&Cursor->Pte[Index], Cursor->Va + Index * PAGE_SIZE, Change);
    }
    MiUnlockPageTable(TableFrame);
    KiLowerIrql(OldIrql);
}

NTSTATUS
MiProtectRange(PVOID Va, SIZE_T PageCount, MI_PROTECTION Protection)
{
    MI_PROTECT Change = {.Protection = Protection};
    MI_CURSOR Cursor;

    MI_ASSERT(HalGetIrql() <= DISPATCH_LEVEL);
    if (!MipRangeIsCommitted((ULONG_PTR)Va, PageCount)) {
        return STATUS_NOT_COMMITTED;
    }
    if (MiProtectionIsNoAccess(Protection)) {
        Change.Protection = MM_NOACCESS;
    }
    MiStartFlush(&Change.Flush);
    for (MiStartCursor(&Cursor, (ULONG_PTR)Va, PageCount); Cursor.Left != 0; MiAdvanceCursor(&Cursor)) {
        if (Cursor.Large && Cursor.PageCount == MI_LARGE_PAGE_COUNT && !MiProtectionIsNoAccess(Protection)) {
            MipReprotectLargePage(&Cursor, &Change);
            continue;
        }
        if (Cursor.Large) {
            MiSplitLargePage(&Cursor, &Change.Flush);
        }
        MipReprotectTable(&Cursor, &Change);
    }
    MiFlush(&Change.Flush);
    if (Change.TrimNeeded) {
        MiTrimRange(Va, PageCount);
    }
    return STATUS_SUCCESS;
}
