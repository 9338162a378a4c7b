/*
 * Page tables as the rest of the manager uses them: walks, the table lock of an address, tables made and
 * deleted, batched flushes, and the housekeeping of system space. What everybody needs is in mm/mi.h.
 */
#ifndef MM_PTE_PTE_H
#define MM_PTE_PTE_H

#include <mm/mi.h>
#include <mm/phys/pfn.h>
#include "pteform.h"

/* --- Walks (ptwalk.c) --------------------------------------------------------------------------------- */

/* The entry at which a walk ended: a leaf, large or not, or the first entry that is not valid. */
typedef struct _MI_WALK {
    PMMPTE Pte;    /* in the direct map */
    PMMPTE Parent; /* the entry that names Pte's table; NULL in the root */
    MMPTE Value;   /* what Pte was */
    ULONG Level;   /* MI_PTE_LEVEL of Pte */
} MI_WALK, *PMI_WALK;

extern PFN_NUMBER MiSystemRootFrame; /* (C) the top-level table that system space is kept in */
extern ULONG MiSelfMapIndex;         /* (C) its entry that names itself */

static inline ULONG
MiPteIndex(ULONG_PTR Va, ULONG Level)
{
    return (ULONG)(Va >> (PAGE_SHIFT + 9 * (Level - 1))) & (MI_PTES_PER_TABLE - 1);
}

/* The entry of a root that names the root itself. */
static inline MMPTE
MiMakeSelfMapPte(PFN_NUMBER RootFrame)
{
    MMPTE Pte = MiMakeTablePte(RootFrame, 0);

    Pte.Long |= MI_PTE_NO_EXECUTE; /* the last step of a walk through it is a leaf */
    return Pte;
}

/* How many 4 KB pages an entry of this level reaches. */
static inline SIZE_T
MiLevelPages(ULONG Level)
{
    return (SIZE_T)1 << (9 * (Level - 1));
}

/* The top-level table that decides an address now: the current process's for the user range. */
PFN_NUMBER MiRootOf(ULONG_PTR Va);

/*
 * Walk to the entry that decides Va. The tables on the way must not vanish: Va is reserved by the caller, or
 * interrupts are off (see MiWalkSnapshot). Any IRQL.
 */
VOID MiWalk(PFN_NUMBER RootFrame, ULONG_PTR Va, PMI_WALK Walk);

/*
 * The same for any address at any time. Interrupts are off meanwhile: a table is freed only after a flush
 * that every processor has answered. Walk->Pte must not be followed afterwards, Walk->Value is a copy.
 */
VOID MiWalkSnapshot(PFN_NUMBER RootFrame, ULONG_PTR Va, PMI_WALK Walk);

/* The frame a finished walk translates Va to; MI_NO_FRAME if its entry is not valid. */
PFN_NUMBER MiWalkFrame(const MI_WALK *Walk, ULONG_PTR Va);

/*
 * Lock the last-level table of any address. TRUE: the lock is held, the table stays while it is, Walk->Value
 * was read under it. FALSE: a higher level decides (no table, or a large page), nothing is locked.
 * DISPATCH_LEVEL.
 */
BOOLEAN MiLockPte(PFN_NUMBER RootFrame, ULONG_PTR Va, PMI_WALK Walk);
VOID MiUnlockPte(const MI_WALK *Walk);

/* Where the last-level entry of Va appears through the self-map entry: for debuggers and dump readers. */
PMMPTE MiGetPteAddress(ULONG_PTR Va);

/* The address that an entry of a table under a root translates, found upwards through the tables' records. */
ULONG_PTR MiPteAddressVa(const MMPTE *Pte);

/* The page that owns an entry is the frame whose record names it: pageable memory, not a plain mapping. */
BOOLEAN MiFrameOwnsPte(PFN_NUMBER Frame, const MMPTE *Pte);

/* --- Tables ----------------------------------------------------------------------------------------------
 */

/*
 * The table of Va whose entries stand at Level, made with those above it where missing; Flags is MI_PTE_USER
 * for user addresses. NULL if there is no frame or commit for one. Each table holds one page of commit and
 * one of resident available. <= DISPATCH_LEVEL, no lock held.
 */
PMMPTE MiMakeTable(PFN_NUMBER RootFrame, ULONG_PTR Va, ULONG Level, ULONG64 Flags);

/*
 * Deleting a table without used entries takes two steps with a flush between them: MiUnlinkTable clears the
 * entry that names it (Parent, for the address Va) and adds to Batch what must be flushed; after that flush
 * MiDeleteTable waits for the last holder of its lock and frees it.
 */
struct _MI_FLUSH_BATCH;
VOID MiUnlinkTable(PMMPTE Parent, ULONG_PTR Va, ULONG Level, struct _MI_FLUSH_BATCH *Batch);
VOID MiDeleteTable(PFN_NUMBER TableFrame);

/* A zeroed frame for a table or for an allocator's records, with its charges; MI_NO_FRAME. */
PFN_NUMBER MiGetTableFrame(VOID);
VOID MiReturnTableFrame(PFN_NUMBER Frame);

/* --- Flushes (tlbflush.c) ----------------------------------------------------------------------------------
 */

#define MI_FLUSH_RANGES      16
#define MI_FLUSH_WHOLE_PAGES 1024 /* more pages than this are cheaper to flush as a whole */

/* What must leave the translation buffers of every processor before something is reused. */
typedef struct _MI_FLUSH_BATCH {
    ULONG Count;
    BOOLEAN Whole;
    SIZE_T PageCount;
    HAL_FLUSH_RANGE Ranges[MI_FLUSH_RANGES];
} MI_FLUSH_BATCH, *PMI_FLUSH_BATCH;

VOID MiStartFlush(PMI_FLUSH_BATCH Batch);
VOID MiAddFlush(PMI_FLUSH_BATCH Batch, ULONG_PTR Va, SIZE_T PageCount);
/* Flush what was gathered, on every processor, and start again. <= DISPATCH_LEVEL; waits for other
 * processors. */
VOID MiFlush(PMI_FLUSH_BATCH Batch);
/* The same where only these processors can hold any of it: user addresses. */
VOID MiFlushProcessors(PMI_FLUSH_BATCH Batch, HAL_AFFINITY Processors);
/* This processor only, one page: after a fault that found nothing wrong. */
VOID MiFlushLocal(ULONG_PTR Va);

#ifdef NTMM_CHECKED
/* Tests: so many of the next flushes are forgotten, which the machine must find. */
extern ULONG MiTestForgetFlush;
#endif

/* --- Demand-zero entries of system space
 * ----------------------------------------------------------------------- */

/*
 * A demand-zero entry has no use for the page-file number, whose four bits carry what the page will be used
 * for, so that a fault needs no more than the entry.
 */
static inline MMPTE
MiMakeSystemDemandZeroPte(MI_PROTECTION Protection, MI_PAGE_USE Use)
{
    MMPTE Pte = MiMakeDemandZeroPte(Protection);

    Pte.Long |= (ULONG64)Use << MI_SOFT_FILE_SHIFT;
    return Pte;
}

static inline MI_PAGE_USE
MiGetDemandZeroUse(MMPTE Pte)
{
    return (MI_PAGE_USE)MiGetPageFileNumber(Pte);
}

/* --- The soft trim (softtrim.c) ---------------------------------------------------------------------- */

/* A page of pageable system space became valid at Va; the walk's table is locked. */
VOID MiNotePageable(const MI_WALK *Walk, ULONG_PTR Va);

/* Put every valid page of pageable system space that is not locked into transition. <= DISPATCH_LEVEL. */
VOID MiTrimPageable(VOID);

/* --- Housekeeping (syspte.c, validate.c)
 * ------------------------------------------------------------------------ */

/*
 * Give back what system space keeps for speed: addresses in processors' caches and tables of empty segments.
 * Returns the tables freed. <= DISPATCH_LEVEL.
 */
SIZE_T MiTrimSystemSpace(VOID);

/* Pages of a region that are reserved; what the processors' caches hold counts as free. */
SIZE_T MiReservedPages(MI_SYSTEM_REGION Region);

/* Let a region use at most so many segments of 2 MB at once (MAXULONG: all it has); returns the limit before.
 */
ULONG MiLimitRegion(MI_SYSTEM_REGION Region, ULONG Segments);

typedef struct _MI_SYSTEM_SPACE_COUNTS {
    SIZE_T Tables;     /* last-level and page-directory pages */
    SIZE_T LargePages; /* 2 MB leaves */
    SIZE_T Mapped;     /* valid 4 KB entries that do not own their frame */
    SIZE_T Resident;   /* valid entries of pageable memory */
    SIZE_T Transition;
    SIZE_T DemandZero;
    SIZE_T NoAccess;     /* mapped, but without any right */
    SIZE_T WriteExecute; /* 4 KB pages both writable and executable */
} MI_SYSTEM_SPACE_COUNTS, *PMI_SYSTEM_SPACE_COUNTS;

/* MiValidateSystemSpace with what it counted. */
BOOLEAN MiCheckSystemSpace(PMI_SYSTEM_SPACE_COUNTS Counts);

#endif
