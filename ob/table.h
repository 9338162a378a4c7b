/*
 * Tables that give objects small numbers: handles (ob/handle.c), and process and thread ids (ps/).
 *
 * An index is never 0. Entries lie in leaves of pool that are added as needed and stay; free entries form a
 * queue, so that a number is reused as late as possible. A spin lock, a leaf, guards a table; only insertion
 * can fail.
 */
#ifndef OB_TABLE_H
#define OB_TABLE_H

#include "ob.h"

#define OB_LEAF_ENTRIES 128
#define OB_TABLE_LEAVES 2048

typedef struct _OB_ENTRY {
    PVOID Object;       /* NULL: free */
    ACCESS_MASK Access;
    ULONG Attributes;   /* OBJ_* */
    ULONG StackId;      /* who made it, if an image; for MiQueryPoolStack */
    union {
        ULONG NextFree; /* free: index of the next free entry, 0 if it is the last */
        ULONG Image;    /* in use: TRUE if an image made it */
    };
} OB_ENTRY, *POB_ENTRY;
_Static_assert(sizeof(OB_ENTRY) == 0x18, "a leaf fits in a page");

typedef struct _OB_TABLE {
    KSPIN_LOCK Lock;
    ULONG Limit;     /* indices below exist */
    ULONG InUse;
    ULONG FirstFree;
    ULONG LastFree;
    POB_ENTRY Leaves[OB_TABLE_LEAVES];
} OB_TABLE, *POB_TABLE;

/* Give *Entry a number. STATUS_INSUFFICIENT_RESOURCES: no memory, or the table is full. <= DISPATCH_LEVEL. */
NTSTATUS ObTableInsert(POB_TABLE Table, const OB_ENTRY *Entry, PULONG Index);

/*
 * The entry of an index; FALSE if it is free. Reference: also reference the object, FALSE if it is on its way
 * out.
 * <= DISPATCH_LEVEL.
 */
BOOLEAN ObTableLookup(POB_TABLE Table, ULONG64 Index, POB_ENTRY Entry, BOOLEAN Reference);

/* Free the number; what it was is in *Entry. FALSE if it is free already. <= DISPATCH_LEVEL. */
BOOLEAN ObTableRemove(POB_TABLE Table, ULONG64 Index, POB_ENTRY Entry);

/* Give back the memory of a table whose numbers are all free. <= DISPATCH_LEVEL. */
VOID ObTableFree(POB_TABLE Table);

/* Indices below this one may be in use. */
static inline ULONG
ObTableLimit(POB_TABLE Table)
{
    return __atomic_load_n(&Table->Limit, __ATOMIC_RELAXED);
}

#endif
