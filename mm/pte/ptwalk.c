/*
 * Page-table walks, and tables as things that are made and deleted.
 *
 * Tables are reached through the direct map, so a pointer to an entry says which table frame it stands in. A
 * table's record counts its entries that are not zero (used), and its shares: one of its own, one for every
 * table below and one for every page that owns an entry (R3); plain mappings count as used only.
 *
 * Who may follow a pointer into a table: the holder of the address (a reservation, later a VAD), the holder
 * of its lock, or anybody with interrupts off. The last works because a table is freed only after its entry
 * above is clear and every processor has answered a flush, which it does with interrupts on; and because the
 * one who frees it takes its lock once after that flush, nobody holds the lock of a table that is gone.
 */
#include "ptep.h"

PFN_NUMBER MiSystemRootFrame = MI_NO_FRAME;
ULONG MiSelfMapIndex;

PFN_NUMBER
MiRootOf(ULONG_PTR Va)
{
    struct _KTHREAD *Thread = KiCurrentThread();

    if (Va >= KiLoaderBlock->UserEnd || Thread == NULL || Thread->ActiveProcess == NULL) {
        return MiSystemRootFrame;
    }
    return Thread->ActiveProcess->RootFrame;
}

static BOOLEAN
MipIsCanonical(ULONG_PTR Va)
{
    return (ULONG_PTR)((LONG64)(Va << 16) >> 16) == Va;
}

VOID
MiWalk(PFN_NUMBER RootFrame, ULONG_PTR Va, PMI_WALK Walk)
{
    PFN_NUMBER TableFrame = RootFrame;

    Walk->Parent = NULL;
    for (ULONG Level = MiLevelPxe;; Level -= 1) {
        Walk->Pte = MiTableEntry(TableFrame, MiPteIndex(Va, Level));
        Walk->Value = MipIsCanonical(Va) ? MiReadPte(Walk->Pte) : MiMakeZeroPte();
        Walk->Level = Level;
        if (!MiPteIsValid(Walk->Value) || Level == MiLevelPte ||
            (Level != MiLevelPxe && MiPteIsLarge(Walk->Value))) {
            return;
        }
        TableFrame = MiGetPteFrame(Walk->Value);
        Walk->Parent = Walk->Pte;
    }
}

VOID
MiWalkSnapshot(PFN_NUMBER RootFrame, ULONG_PTR Va, PMI_WALK Walk)
{
    BOOLEAN Enabled = HalDisableInterrupts();

    MiWalk(RootFrame, Va, Walk);
    HalRestoreInterrupts(Enabled);
}

PFN_NUMBER
MiWalkFrame(const MI_WALK *Walk, ULONG_PTR Va)
{
    SIZE_T Pages = MiLevelPages(Walk->Level);

    if (!MiPteIsValid(Walk->Value)) {
        return MI_NO_FRAME;
    }
    return (MiGetPteFrame(Walk->Value) & ~(Pages - 1)) + ((Va >> PAGE_SHIFT) & (Pages - 1));
}

BOOLEAN
MiLockPte(PFN_NUMBER RootFrame, ULONG_PTR Va, PMI_WALK Walk)
{
    MI_ASSERT(HalGetIrql() >= DISPATCH_LEVEL);
    HalChoicePoint(HalChoiceLock);
    for (;;) {
        BOOLEAN Enabled = HalDisableInterrupts();
        volatile ULONG64 *Lock;

        MiWalk(RootFrame, Va, Walk);
        if (Walk->Level != MiLevelPte) {
            HalRestoreInterrupts(Enabled);
            return FALSE;
        }
        Lock = &MiPfn(MiPteTableFrame(Walk->Pte))->Table;
        KiCheckSpinRank(Lock, LockRankPageTable);
        /* Not KiTryBitLock: between the walk and the look at the parent no other processor's flush may end.
         */
        if (KiTakeBit(Lock, MI_TABLE_LOCK_BIT)) {
            MMPTE Parent = MiReadPte(Walk->Parent);

            KiNoteSpinLock(Lock, LockRankPageTable);
            if (MiPteIsValid(Parent) && !MiPteIsLarge(Parent) &&
                MiGetPteFrame(Parent) == MiPteTableFrame(Walk->Pte)) {
                HalRestoreInterrupts(Enabled);
                Walk->Value = MiReadPte(Walk->Pte);
                return TRUE;
            }
            KiReleaseBitLock(Lock, MI_TABLE_LOCK_BIT);
        }
        HalRestoreInterrupts(Enabled);
        HalPause();
    }
}

VOID
MiUnlockPte(const MI_WALK *Walk)
{
    MiUnlockPageTable(MiPteTableFrame(Walk->Pte));
}

static ULONG_PTR
MipSignExtend(ULONG_PTR Va)
{
    return (ULONG_PTR)((LONG64)(Va << 16) >> 16);
}

PMMPTE
MiGetPteAddress(ULONG_PTR Va)
{
    ULONG_PTR Vpn = (Va << 16) >> (16 + PAGE_SHIFT);

    return (PMMPTE)(MipSignExtend((ULONG_PTR)MiSelfMapIndex << 39) + Vpn * sizeof(MMPTE));
}

ULONG_PTR
MiPteAddressVa(const MMPTE *Pte)
{
    ULONG_PTR Va = 0;
    const MMPTE *Entry = Pte;

    for (ULONG Level = MiLevelPte; Level <= MiLevelPxe && Entry != NULL; Level += 1) {
        Va |= (ULONG_PTR)MiPteTableIndex(Entry) << (PAGE_SHIFT + 9 * (Level - 1));
        Entry = MiFramePte(MiPteTableFrame(Entry));
    }
    return MipSignExtend(Va);
}

BOOLEAN
MiFrameOwnsPte(PFN_NUMBER Frame, const MMPTE *Pte)
{
    return MiIsRamFrame(Frame) && MiFramePte(Frame) == Pte;
}

/* --- Tables ----------------------------------------------------------------------------------------------
 */

PFN_NUMBER
MiGetTableFrame(VOID)
{
    PFN_NUMBER Frame;

    if (!MiChargeCommit(1)) {
        return MI_NO_FRAME;
    }
    if (!MiChargeResidentAvailable(1)) {
        goto ReturnCommit;
    }
    Frame = MiGetFrame(MI_GET_ZEROED, PcrRead32(Node), MiUsePageTable);
    if (Frame != MI_NO_FRAME) {
        return Frame;
    }
    MiReturnResidentAvailable(1);
ReturnCommit:
    MiReturnCommit(1);
    return MI_NO_FRAME;
}

VOID
MiReturnTableFrame(PFN_NUMBER Frame)
{
    MiFreeFrame(Frame);
    MiReturnResidentAvailable(1);
    MiReturnCommit(1);
}

/* Let Parent name the new table in Frame, unless somebody else has made one there. */
static BOOLEAN
MipLinkTable(PMMPTE Parent, PFN_NUMBER Frame, ULONG64 Flags)
{
    PFN_NUMBER ParentFrame = MiPteTableFrame(Parent);
    KIRQL OldIrql = KiRaiseIrqlToDispatch();
    BOOLEAN Linked = FALSE;

    MiLockPageTable(ParentFrame, LockRankPageTable);
    if (MiPteIsZero(MiReadPte(Parent))) {
        MiInitializePageTableFrame(Frame, Parent);
        MiIncrementUsedPtes(ParentFrame, 1);
        MiWritePte(Parent, MiMakeTablePte(Frame, Flags));
        Linked = TRUE;
    }
    MiUnlockPageTable(ParentFrame);
    KiLowerIrql(OldIrql);
    return Linked;
}

PMMPTE
MiMakeTable(PFN_NUMBER RootFrame, ULONG_PTR Va, ULONG Level, ULONG64 Flags)
{
    PFN_NUMBER TableFrame = RootFrame;
    ULONG Above = MiLevelPxe;

    while (Above > Level) {
        PMMPTE Entry = MiTableEntry(TableFrame, MiPteIndex(Va, Above));
        MMPTE Value = MiReadPte(Entry);

        if (MiPteIsZero(Value)) {
            PFN_NUMBER Frame = MiGetTableFrame();

            if (Frame == MI_NO_FRAME) {
                return NULL;
            }
            if (!MipLinkTable(Entry, Frame, Flags)) {
                MiReturnTableFrame(Frame);
            }
            continue;
        }
        MI_ASSERT(MiPteIsValid(Value));
        MI_ASSERT(Above == MiLevelPxe || !MiPteIsLarge(Value));
        TableFrame = MiGetPteFrame(Value);
        Above -= 1;
    }
    return MiTableEntry(TableFrame, 0);
}

VOID
MiUnlinkTable(PMMPTE Parent, ULONG_PTR Va, ULONG Level, PMI_FLUSH_BATCH Batch)
{
    PFN_NUMBER ParentFrame = MiPteTableFrame(Parent);
    ULONG_PTR SelfMapped = (ULONG_PTR)MiGetPteAddress(Va);
    KIRQL OldIrql = KiRaiseIrqlToDispatch();

    MiLockPageTable(ParentFrame, LockRankPageTable);
    MI_ASSERT(MiUsedPtes(MiGetPteFrame(MiReadPte(Parent))) == 0);
    MiWritePte(Parent, MiMakeZeroPte());
    MiDecrementUsedPtes(ParentFrame, 1);
    MiUnlockPageTable(ParentFrame);
    HalPteChanged(Parent);
    KiLowerIrql(OldIrql);

    /* The table's page in the self-map, and what processors remember of the way through the entry. */
    for (; Level > MiLevelPte; Level -= 1) {
        SelfMapped = (ULONG_PTR)MiGetPteAddress(SelfMapped);
    }
    MiAddFlush(Batch, ALIGN_DOWN_BY(SelfMapped, PAGE_SIZE), 1);
    MiAddFlush(Batch, ALIGN_DOWN_BY(Va, PAGE_SIZE), 1);
}

VOID
MiDeleteTable(PFN_NUMBER TableFrame)
{
    KIRQL OldIrql = KiRaiseIrqlToDispatch();

    /* Whoever locked it before it was unlinked leaves now; nobody can come after. */
    MiLockPageTable(TableFrame, LockRankPageTable);
    MiUnlockPageTable(TableFrame);
    MiFreePageTableFrame(TableFrame);
    KiLowerIrql(OldIrql);
    MiReturnResidentAvailable(1);
    MiReturnCommit(1);
}
