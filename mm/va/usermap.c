/*
 * User addresses that map frames somebody else owns: pages of MDLs, shared user data. The entries are plain mappings,
 * as in system space, but belong to one address space and are flushed only there. Create lock exclusive, tables are there;
 * nothing fails.
 */
#include "va.h"

VOID
MiMapUserFrame(PMI_ADDRESS_SPACE Space, ULONG64 Page, PFN_NUMBER Frame, MI_PROTECTION Protection,
               MEMORY_CACHING_TYPE CacheType)
{
    ULONG64 Flags = MI_PTE_USER | MI_PTE_ACCESSED | (MiProtectionAllowsWrite(Protection) ? MI_PTE_DIRTY : 0) |
                    MiCacheTypeToHardware(CacheType);
    KIRQL OldIrql = KiRaiseIrqlToDispatch();
    MI_WALK Walk;

    NT_VERIFY(MiLockPte(Space->RootFrame, Page << PAGE_SHIFT, &Walk));
    MI_ASSERT(MiPteIsZero(Walk.Value));
    MiIncrementUsedPtes(MiPteTableFrame(Walk.Pte), 1);
    MiWritePte(Walk.Pte, MiMakeValidPte(Frame, Protection & MM_RIGHTS_MASK, Flags));
    MiUnlockPte(&Walk);
    KiLowerIrql(OldIrql);
}

VOID
MiUnmapUserFrames(PMI_ADDRESS_SPACE Space, ULONG64 StartPage, ULONG64 EndPage)
{
    MI_FLUSH_BATCH Flush;
    MI_USER_CURSOR Cursor;

    MiStartFlush(&Flush);
    MiStartUserCursor(&Cursor, Space, StartPage, EndPage);
    while (MiNextUserTable(&Cursor)) {
        PFN_NUMBER TableFrame = MiPteTableFrame(Cursor.Pte);
        KIRQL OldIrql = KiRaiseIrqlToDispatch();
        ULONG Cleared = 0;

        MiLockPageTable(TableFrame, LockRankPageTable);
        for (SIZE_T Index = 0; Index < Cursor.PageCount; Index += 1) {
            MMPTE Old = MiExchangePte(&Cursor.Pte[Index], MiMakeZeroPte());

            if (MiPteIsZero(Old)) {
                continue;
            }
            MI_ASSERT(MiPteIsValid(Old) && !MiFrameOwnsPte(MiGetPteFrame(Old), &Cursor.Pte[Index]));
            HalPteChanged(&Cursor.Pte[Index]);
            MiAddFlush(&Flush, (Cursor.Page + Index) << PAGE_SHIFT, 1);
            Cleared += 1;
        }
        MiDecrementUsedPtes(TableFrame, Cleared);
        MiUnlockPageTable(TableFrame);
        KiLowerIrql(OldIrql);
    }
    MiFlushUser(Space, &Flush);
}
