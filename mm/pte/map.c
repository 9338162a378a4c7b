/*
 * Plain mappings: entries that translate reserved addresses to frames somebody else owns and records. Their
 * frames' records do not name them, so nothing here touches a frame.
 *
 * Locks: an entry of a plain mapping belongs to whoever reserved its address. It is written without the
 * table's lock; only the count of used entries is shared, and atomic. A directory entry that changes between
 * a table and a large page is changed under the directory's lock, because parts of one reservation may be
 * edited at the same time.
 *
 * Nothing here fails or blocks: the tables are there (MiReserveSystemVa), and under a large page the table
 * waits in the segment's record. Valid entries have Accessed and, if writable, Dirty set from the start, so
 * the processor never writes to them and they may be cleared by a plain store.
 *
 * Changes in either direction are flushed. A stale entry that only allows less would be repaired by a fault
 * elsewhere, but nonpageable memory is touched at DISPATCH_LEVEL, where no fault is taken.
 */
#include "ptep.h"

/* --- Cursor
 * ------------------------------------------------------------------------------------------------- */

static VOID
MipLoadCursor(PMI_CURSOR Cursor)
{
    SIZE_T UnderPde = MI_PTES_PER_TABLE - MiPteIndex(Cursor->Va, MiLevelPte);
    MI_WALK Walk;

    Cursor->PageCount = MIN(Cursor->Left, UnderPde);
    if (Cursor->Left == 0) {
        return;
    }
    MiWalk(MiSystemRootFrame, Cursor->Va, &Walk);
    Cursor->Large = Walk.Level == MiLevelPde && MiPteIsValid(Walk.Value);
    MI_ASSERT(Cursor->Large || Walk.Level == MiLevelPte);
    Cursor->Pde = Cursor->Large ? Walk.Pte : Walk.Parent;
    Cursor->Pte = Cursor->Large ? NULL : Walk.Pte;
}

VOID
MiStartCursor(PMI_CURSOR Cursor, ULONG_PTR Va, SIZE_T PageCount)
{
    MI_ASSERT((Va & (PAGE_SIZE - 1)) == 0);
    MI_ASSERT(MiVaRegion(Va) != NULL);
    Cursor->Va = Va;
    Cursor->Left = PageCount;
    MipLoadCursor(Cursor);
}

VOID
MiAdvanceCursor(PMI_CURSOR Cursor)
{
    Cursor->Va += Cursor->PageCount * PAGE_SIZE;
    Cursor->Left -= Cursor->PageCount;
    MipLoadCursor(Cursor);
}

/* The table that a large page at Va keeps in waiting. */
static PFN_NUMBER
MipWaitingTable(ULONG_PTR Va)
{
    PVOID Table = MiSegmentOfVa(Va)->Table;

    MI_ASSERT(Table != NULL);
    return HalAddressFrame(Table);
}

VOID
MiSplitLargePage(PMI_CURSOR Cursor, PMI_FLUSH_BATCH Batch)
{
    PFN_NUMBER Directory = MiPteTableFrame(Cursor->Pde);
    PFN_NUMBER TableFrame = MipWaitingTable(Cursor->Va);
    KIRQL OldIrql = KiRaiseIrqlToDispatch();
    MMPTE Large;

    MiLockPageTable(Directory, LockRankPageTable);
    Large = MiReadPte(Cursor->Pde);
    if (MiPteIsLarge(Large)) {
        for (ULONG Index = 0; Index < MI_PTES_PER_TABLE; Index += 1) {
            MiWritePte(MiTableEntry(TableFrame, Index), MiMakePteFromLarge(Large, Index));
        }
        MiIncrementUsedPtes(TableFrame, MI_PTES_PER_TABLE);
        MiWritePte(Cursor->Pde, MiMakeTablePte(TableFrame, 0));
        HalPteChanged(Cursor->Pde);
        MiAddFlush(Batch, ALIGN_DOWN_BY(Cursor->Va, MI_SEGMENT_BYTES), MI_PTES_PER_TABLE);
        MiAddFlush(Batch, ALIGN_DOWN_BY(MiGetPteAddress(Cursor->Va), PAGE_SIZE), 1);
    }
    MiUnlockPageTable(Directory);
    KiLowerIrql(OldIrql);
    Cursor->Large = FALSE;
    Cursor->Pte = MiTableEntry(TableFrame, MiPteIndex(Cursor->Va, MiLevelPte));
}

/* --- Entries
 * ------------------------------------------------------------------------------------------------ */

MMPTE
MiMakeHiddenPte(PFN_NUMBER Frame, MEMORY_CACHING_TYPE CacheType)
{
    switch (CacheType) {
    case MmNonCached:
    case MmNonCachedUnordered:
        return MiMakeTransitionPte(Frame, MM_NOCACHE | MM_ZERO_ACCESS);
    case MmWriteCombined:
    case MmUSWCCached:
        return MiMakeTransitionPte(Frame, MM_WRITECOMBINE | MM_ZERO_ACCESS);
    default:
        return MiMakeTransitionPte(Frame, MM_ZERO_ACCESS);
    }
}

MEMORY_CACHING_TYPE
MiHiddenCacheType(MMPTE Pte)
{
    switch (MiGetSoftwareProtection(Pte)) {
    case MM_NOCACHE | MM_ZERO_ACCESS:
        return MmNonCached;
    case MM_WRITECOMBINE | MM_ZERO_ACCESS:
        return MmWriteCombined;
    default:
        return MmCached;
    }
}

static ULONG64
MipMappingFlags(MI_PROTECTION Protection, MEMORY_CACHING_TYPE CacheType)
{
    return MI_PTE_GLOBAL | MI_PTE_ACCESSED | (MiProtectionAllowsWrite(Protection) ? MI_PTE_DIRTY : 0) |
           MiCacheTypeToHardware(CacheType);
}

MMPTE
MiMakeMappingPte(PFN_NUMBER Frame, MI_PROTECTION Protection, MEMORY_CACHING_TYPE CacheType)
{
    if (MiProtectionIsNoAccess(Protection)) {
        return MiMakeHiddenPte(Frame, CacheType);
    }
    return MiMakeValidPte(Frame, Protection & MM_RIGHTS_MASK, MipMappingFlags(Protection, CacheType));
}

/* --- Mapping
 * ------------------------------------------------------------------------------------------------ */

VOID
MiMapFrames(PVOID Va, SIZE_T PageCount, const PFN_NUMBER *Frames, MI_PROTECTION Protection,
            MEMORY_CACHING_TYPE CacheType)
{
    MI_CURSOR Cursor;

    for (MiStartCursor(&Cursor, (ULONG_PTR)Va, PageCount); Cursor.Left != 0; MiAdvanceCursor(&Cursor)) {
        MI_ASSERT(!Cursor.Large);
        for (SIZE_T Index = 0; Index < Cursor.PageCount; Index += 1) {
            MI_ASSERT(MiPteIsZero(MiReadPte(&Cursor.Pte[Index])));
            MiWritePte(&Cursor.Pte[Index], MiMakeMappingPte(Frames[Index], Protection, CacheType));
        }
        MiIncrementUsedPtes(MiPteTableFrame(Cursor.Pte), (ULONG)Cursor.PageCount);
        Frames += Cursor.PageCount;
    }
}

/*
 * Put a large page where the cursor stands at an empty table. The table is kept for a split; the way through
 * it must leave the processors' buffers before the page is used at raised IRQL.
 */
static VOID
MipMapLargePage(PMI_CURSOR Cursor, PFN_NUMBER Frame, MI_PROTECTION Protection, MEMORY_CACHING_TYPE CacheType,
                PMI_FLUSH_BATCH Batch)
{
    PFN_NUMBER Directory = MiPteTableFrame(Cursor->Pde);
    KIRQL OldIrql = KiRaiseIrqlToDispatch();

    MI_ASSERT(MiUsedPtes(MipWaitingTable(Cursor->Va)) == 0);
    MiLockPageTable(Directory, LockRankPageTable);
    MiWritePte(Cursor->Pde,
               MiMakeLargePte(Frame, Protection & MM_RIGHTS_MASK, MipMappingFlags(Protection, CacheType)));
    MiUnlockPageTable(Directory);
    HalPteChanged(Cursor->Pde);
    KiLowerIrql(OldIrql);
    MiAddFlush(Batch, Cursor->Va, 1);
    MiAddFlush(Batch, ALIGN_DOWN_BY(MiGetPteAddress(Cursor->Va), PAGE_SIZE), 1);
}

VOID
MiMapRun(PVOID Va, SIZE_T PageCount, PFN_NUMBER FirstFrame, MI_PROTECTION Protection,
         MEMORY_CACHING_TYPE CacheType, BOOLEAN AllowLarge)
{
    PFN_NUMBER Frame = FirstFrame;
    MI_FLUSH_BATCH Batch;
    MI_CURSOR Cursor;

    MiStartFlush(&Batch);
    AllowLarge = AllowLarge && !MiProtectionIsNoAccess(Protection);
    for (MiStartCursor(&Cursor, (ULONG_PTR)Va, PageCount); Cursor.Left != 0; MiAdvanceCursor(&Cursor)) {
        MI_ASSERT(!Cursor.Large);
        if (AllowLarge && Cursor.PageCount == MI_LARGE_PAGE_COUNT && Frame % MI_LARGE_PAGE_COUNT == 0) {
            MipMapLargePage(&Cursor, Frame, Protection, CacheType, &Batch);
        } else {
            for (SIZE_T Index = 0; Index < Cursor.PageCount; Index += 1) {
                MI_ASSERT(MiPteIsZero(MiReadPte(&Cursor.Pte[Index])));
                MiWritePte(&Cursor.Pte[Index], MiMakeMappingPte(Frame + Index, Protection, CacheType));
            }
            MiIncrementUsedPtes(MiPteTableFrame(Cursor.Pte), (ULONG)Cursor.PageCount);
        }
        Frame += Cursor.PageCount;
    }
    MiFlush(&Batch);
}

/* --- Unmapping
 * ---------------------------------------------------------------------------------------------- */

/* A whole large page goes: the empty table takes its place again. */
static VOID
MipUnmapLargePage(PMI_CURSOR Cursor, PFN_NUMBER *Frames)
{
    PFN_NUMBER Directory = MiPteTableFrame(Cursor->Pde);
    KIRQL OldIrql = KiRaiseIrqlToDispatch();
    MMPTE Large;

    MiLockPageTable(Directory, LockRankPageTable);
    Large = MiReadPte(Cursor->Pde);
    MI_ASSERT(MiPteIsLarge(Large));
    MiWritePte(Cursor->Pde, MiMakeTablePte(MipWaitingTable(Cursor->Va), 0));
    MiUnlockPageTable(Directory);
    HalPteChanged(Cursor->Pde);
    KiLowerIrql(OldIrql);
    for (ULONG Index = 0; Frames != NULL && Index < MI_LARGE_PAGE_COUNT; Index += 1) {
        Frames[Index] = MiGetLargePteFrame(Large) + Index;
    }
}

static VOID
MipUnmapEntries(PMI_CURSOR Cursor, PFN_NUMBER *Frames)
{
    ULONG Cleared = 0;

    for (SIZE_T Index = 0; Index < Cursor->PageCount; Index += 1) {
        PMMPTE Pte = &Cursor->Pte[Index];
        MMPTE Old = MiReadPte(Pte);

        if (Frames != NULL) {
            Frames[Index] = MiPteIsZero(Old) ? MI_NO_FRAME : MiGetPteFrame(Old);
        }
        if (MiPteIsZero(Old)) {
            continue;
        }
        MI_ASSERT(MiPteIsValid(Old) || MiPteIsTransition(Old));
        MI_ASSERT(!MiFrameOwnsPte(MiGetPteFrame(Old), Pte));
        MiWritePte(Pte, MiMakeZeroPte());
        Cleared += 1;
        if (MiPteIsValid(Old)) {
            HalPteChanged(Pte);
        }
    }
    MiDecrementUsedPtes(MiPteTableFrame(Cursor->Pte), Cleared);
}

VOID
MiUnmapRange(PVOID Va, SIZE_T PageCount, PFN_NUMBER *Frames)
{
    MI_FLUSH_BATCH Batch;
    MI_CURSOR Cursor;

    MiStartFlush(&Batch);
    for (MiStartCursor(&Cursor, (ULONG_PTR)Va, PageCount); Cursor.Left != 0; MiAdvanceCursor(&Cursor)) {
        if (Cursor.Large && Cursor.PageCount == MI_LARGE_PAGE_COUNT) {
            MipUnmapLargePage(&Cursor, Frames);
            MiAddFlush(&Batch, ALIGN_DOWN_BY(MiGetPteAddress(Cursor.Va), PAGE_SIZE), 1);
        } else {
            if (Cursor.Large) {
                MiSplitLargePage(&Cursor, &Batch);
            }
            MipUnmapEntries(&Cursor, Frames);
        }
        MiAddFlush(&Batch, Cursor.Va, Cursor.PageCount);
        if (Frames != NULL) {
            Frames += Cursor.PageCount;
        }
    }
    MiFlush(&Batch);
}

PFN_NUMBER
MiTranslate(PVOID Va, MI_PROTECTION *Protection)
{
    MI_WALK Walk;
    PFN_NUMBER Frame;

    MiWalkSnapshot(MiRootOf((ULONG_PTR)Va), (ULONG_PTR)Va, &Walk);
    Frame = MiWalkFrame(&Walk, (ULONG_PTR)Va);
    if (Frame != MI_NO_FRAME && Protection != NULL) {
        *Protection = MiGetPteProtection(Walk.Value);
    }
    return Frame;
}
