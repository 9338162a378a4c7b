/*
 * The soft trim: pageable system memory goes to transition form when an image raises IRQL to DISPATCH_LEVEL or
 * above, so that its touch of a page that happened to be resident is the bug check it would be on a busy
 * machine. Nothing leaves RAM; the next touch below DISPATCH_LEVEL is a soft fault.
 *
 * The cost follows what came in, not what there is. A fault that makes a page valid notes the page's table,
 * once: a bit in the table's record says that it stands in the list. A raise looks at the number of tables in
 * the list, which is 0 if nothing was touched since the last one, and trims only those. A table with pages
 * that stay valid because they are locked remains in the list until they are not. Beyond MI_NOTED_TABLES
 * tables (8 GB of pageable addresses between two raises) a table waits for its next fault to be noted.
 *
 * Locks: the list's is a leaf, taken under the table's. Entries of tables that were deleted meanwhile are
 * dropped when they are come to. <= DISPATCH_LEVEL, nothing blocks, nothing fails.
 */
#include "ptep.h"

#define MI_NOTED_TABLES  4096
#define MI_TABLE_BYTES   ((ULONG_PTR)MI_PTES_PER_TABLE << PAGE_SHIFT)
#define MI_TABLE_OF(Va)  ((Va) & ~(MI_TABLE_BYTES - 1))

static KSPIN_LOCK MipNotedLock;
static ULONG_PTR MipNoted[MI_NOTED_TABLES]; /* the first address of each; KiPageableTables of them, in no order */

VOID
MiNotePageable(const MI_WALK *Walk, ULONG_PTR Va)
{
    PMMPFN Table = MiPfn(MiPteTableFrame(Walk->Pte));

    if ((__atomic_load_n(&Table->Table, __ATOMIC_RELAXED) & MI_TABLE_NOTED) != 0) {
        return;
    }
    KiAcquireRankedLock(&MipNotedLock, LockRankTracker);
    if (KiPageableTables < MI_NOTED_TABLES) {
        MipNoted[KiPageableTables] = MI_TABLE_OF(Va);
        __atomic_store_n(&KiPageableTables, KiPageableTables + 1, __ATOMIC_RELAXED);
        __atomic_fetch_or(&Table->Table, MI_TABLE_NOTED, __ATOMIC_RELAXED);
    }
    KiReleaseRankedLock(&MipNotedLock);
}

/* Trim what can go from the table of an address. TRUE if it has no valid pageable page any more. */
static BOOLEAN
MipTrimNotedTable(ULONG_PTR Va)
{
    volatile ULONG64 *Word;
    ULONG Left = 0;
    MI_WALK Walk;

    if (!MiLockPte(MiSystemRootFrame, Va, &Walk)) {
        return TRUE;
    }
    MiTrimEntriesLocked(Walk.Pte, Va, MI_PTES_PER_TABLE, &Left);
    if (Left == 0) {
        Word = &MiPfn(MiPteTableFrame(Walk.Pte))->Table;
        __atomic_fetch_and(Word, ~MI_TABLE_NOTED, __ATOMIC_RELAXED);
    }
    MiUnlockPte(&Walk);
    return Left == 0;
}

/* The table at a place in the list; FALSE if the list is shorter by now. */
static BOOLEAN
MipNotedTable(ULONG Index, PULONG_PTR Va)
{
    BOOLEAN Found;

    KiAcquireRankedLock(&MipNotedLock, LockRankTracker);
    Found = Index < KiPageableTables;
    if (Found) {
        *Va = MipNoted[Index];
    }
    KiReleaseRankedLock(&MipNotedLock);
    return Found;
}

static VOID
MipForgetTable(ULONG Index, ULONG_PTR Va)
{
    KiAcquireRankedLock(&MipNotedLock, LockRankTracker);
    if (Index < KiPageableTables && MipNoted[Index] == Va) {
        MipNoted[Index] = MipNoted[KiPageableTables - 1];
        __atomic_store_n(&KiPageableTables, KiPageableTables - 1, __ATOMIC_RELAXED);
    }
    KiReleaseRankedLock(&MipNotedLock);
}

VOID
MiTrimPageable(VOID)
{
    KIRQL OldIrql = KiRaiseIrqlToDispatch();
    ULONG_PTR Va;

    for (ULONG Index = __atomic_load_n(&KiPageableTables, __ATOMIC_RELAXED); Index != 0;) {
        Index -= 1;
        if (MipNotedTable(Index, &Va) && MipTrimNotedTable(Va)) {
            MipForgetTable(Index, Va);
        }
    }
    KiLowerIrql(OldIrql);
}
