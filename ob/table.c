/* Tables of numbered objects; see table.h. */
#include "table.h"

#define OBP_TABLE_TAG 0x6C62744Fu /* "Otbl" */

static POB_ENTRY
ObpEntry(POB_TABLE Table, ULONG Index)
{
    return &Table->Leaves[Index / OB_LEAF_ENTRIES][Index % OB_LEAF_ENTRIES];
}

static VOID
ObpAppendFree(POB_TABLE Table, ULONG Index)
{
    POB_ENTRY Entry = ObpEntry(Table, Index);

    Entry->Object = NULL;
    Entry->NextFree = 0;
    if (Table->LastFree == 0) {
        Table->FirstFree = Index;
    } else {
        ObpEntry(Table, Table->LastFree)->NextFree = Index;
    }
    Table->LastFree = Index;
}

/* Add a leaf to a table whose limit was SeenLimit; somebody else may have been faster. */
static NTSTATUS
ObpGrowTable(POB_TABLE Table, ULONG SeenLimit)
{
    POB_ENTRY Leaf;
    KIRQL OldIrql;

    if (SeenLimit == OB_LEAF_ENTRIES * OB_TABLE_LEAVES) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    Leaf = ExAllocatePool2(POOL_FLAG_NON_PAGED, OB_LEAF_ENTRIES * sizeof(*Leaf), OBP_TABLE_TAG);
    if (Leaf == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    OldIrql = KiAcquireRankedLockRaise(&Table->Lock, LockRankHandleTable);
    if (Table->Limit == SeenLimit) {
        Table->Leaves[SeenLimit / OB_LEAF_ENTRIES] = Leaf;
        Leaf = NULL;
        __atomic_store_n(&Table->Limit, SeenLimit + OB_LEAF_ENTRIES, __ATOMIC_RELAXED);
        for (ULONG Index = MAX(SeenLimit, 1u); Index < SeenLimit + OB_LEAF_ENTRIES; Index += 1) {
            ObpAppendFree(Table, Index);
        }
    }
    KiReleaseRankedLockLower(&Table->Lock, OldIrql);
    if (Leaf != NULL) {
        ExFreePoolWithTag(Leaf, OBP_TABLE_TAG);
    }
    return STATUS_SUCCESS;
}

VOID
ObTableFree(POB_TABLE Table)
{
    for (ULONG Leaf = 0; Leaf < Table->Limit / OB_LEAF_ENTRIES; Leaf += 1) {
        ExFreePoolWithTag(Table->Leaves[Leaf], OBP_TABLE_TAG);
    }
}

NTSTATUS
ObTableInsert(POB_TABLE Table, const OB_ENTRY *Entry, PULONG Index)
{
    for (;;) {
        KIRQL OldIrql = KiAcquireRankedLockRaise(&Table->Lock, LockRankHandleTable);
        ULONG Free = Table->FirstFree;
        ULONG Limit = Table->Limit;
        NTSTATUS Status;

        if (Free != 0) {
            POB_ENTRY Slot = ObpEntry(Table, Free);

            Table->FirstFree = Slot->NextFree;
            if (Table->FirstFree == 0) {
                Table->LastFree = 0;
            }
            Table->InUse += 1;
            *Slot = *Entry;
        }
        KiReleaseRankedLockLower(&Table->Lock, OldIrql);
        if (Free != 0) {
            *Index = Free;
            return STATUS_SUCCESS;
        }
        Status = ObpGrowTable(Table, Limit);
        if (!NT_SUCCESS(Status)) {
            return Status;
        }
    }
}

BOOLEAN
ObTableLookup(POB_TABLE Table, ULONG64 Index, POB_ENTRY Entry, BOOLEAN Reference)
{
    BOOLEAN Found = FALSE;
    KIRQL OldIrql = KiAcquireRankedLockRaise(&Table->Lock, LockRankHandleTable);

    if (Index != 0 && Index < Table->Limit) {
        *Entry = *ObpEntry(Table, (ULONG)Index);
        Found = Entry->Object != NULL && (!Reference || ObReferenceObjectSafe(Entry->Object));
    }
    KiReleaseRankedLockLower(&Table->Lock, OldIrql);
    return Found;
}

BOOLEAN
ObTableRemove(POB_TABLE Table, ULONG64 Index, POB_ENTRY Entry)
{
    BOOLEAN Found = FALSE;
    KIRQL OldIrql = KiAcquireRankedLockRaise(&Table->Lock, LockRankHandleTable);

    if (Index != 0 && Index < Table->Limit) {
        *Entry = *ObpEntry(Table, (ULONG)Index);
        Found = Entry->Object != NULL;
        if (Found) {
            ObpAppendFree(Table, (ULONG)Index);
            Table->InUse -= 1;
        }
    }
    KiReleaseRankedLockLower(&Table->Lock, OldIrql);
    return Found;
}
