/*
 * Private to mm/pte: the regions of system space, and the helpers that edits of mapped ranges share.
 */
#ifndef MM_PTE_PTEP_H
#define MM_PTE_PTEP_H

#include "pte.h"
#include "segment.h"

extern MI_VA_REGION MiRegions[MiRegionMaximum];

/* The region that holds an address, NULL if none does. Any IRQL. */
PMI_VA_REGION MiVaRegion(ULONG_PTR Va);

/* The segment record of an address that its caller has reserved. */
PMI_SEGMENT MiSegmentOfVa(ULONG_PTR Va);

/* Caches of addresses, one for each processor that exists. After the regions. */
VOID MiInitializeSystemPteCaches(VOID);

/*
 * The walk of reserved addresses, table by table. A cursor stands at [Va, Va + PageCount), which one entry of
 * a page-directory covers: Pte is the first last-level entry, or the directory entry of a large page (Large).
 */
typedef struct _MI_CURSOR {
    ULONG_PTR Va;
    SIZE_T PageCount; /* under this directory entry */
    SIZE_T Left;      /* in the range, from Va */
    PMMPTE Pde;
    PMMPTE Pte; /* NULL under a large page */
    BOOLEAN Large;
} MI_CURSOR, *PMI_CURSOR;

/* for (MiStartCursor(&Cursor, Va, PageCount); Cursor.Left != 0; MiAdvanceCursor(&Cursor)) */
VOID MiStartCursor(PMI_CURSOR Cursor, ULONG_PTR Va, SIZE_T PageCount);
VOID MiAdvanceCursor(PMI_CURSOR Cursor);
/* The cursor stands at a large page: make it 512 entries, so that it stands at the first it covers. */
VOID MiSplitLargePage(PMI_CURSOR Cursor, PMI_FLUSH_BATCH Batch);

/*
 * A mapping without any right keeps its frame in an entry of transition form that no frame's record names;
 * the modifier of its protection code remembers the cache type.
 */
MMPTE MiMakeHiddenPte(PFN_NUMBER Frame, MEMORY_CACHING_TYPE CacheType);
MEMORY_CACHING_TYPE MiHiddenCacheType(MMPTE Pte);

/*
 * The table is locked: give up the pages of PageCount entries from Pte, which translates Va (MiTrimRange). Left counts
 * the pages that stay because they are locked. Returns how many went.
 */
SIZE_T MiTrimEntriesLocked(PMMPTE Pte, ULONG_PTR Va, SIZE_T PageCount, PULONG Left);

/* A valid entry of a plain mapping: global, and with the Accessed and Dirty bits the processor would set. */
MMPTE MiMakeMappingPte(PFN_NUMBER Frame, MI_PROTECTION Protection, MEMORY_CACHING_TYPE CacheType);

#endif
