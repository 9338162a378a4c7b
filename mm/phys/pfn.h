/*
 * The frame record: one MMPFN of 32 bytes for every page of RAM, and the calls that change it.
 *
 * THE LIFE OF A PAGE. Every arrow names the one function that performs it; [x] is a Location.
 *
 *   (virgin) ---MipCarveExtent---> [Zeroed]  [Free] --MipTakeListed--> [CachedZeroed] [CachedFree]
 *      |                            |    ^    |  ^ ^                              |        ^
 *      |                            |    |    |  | +------ MiDrainPageCaches -----+        |
 *      |             MiZeroFreePages|    +----+  |                                |        |
 *      |                            |            |MiFreeContiguousFrames          |        |
 *      |                            |            |                      MiGetFrame|        |
 *      |  MiGetContiguousFrames     v            |                                v        |
 *      +-----------------------> [Active: an owner's frame] <---------------------+        |
 *      (whole extents: from         |            |                                         |
 *       and to [WholeFree])         |            +------------- MiFreeFrame ---------------+
 *                                   |
 *                  MiInitializePfn, |            ^ MiDeleteValidFrame,
 *       MiInitializePageTableFrame  |            | MiFreePageTableFrame (then MiFreeFrame)
 *                                   v            |
 *                                [Active: a page of an address space]
 *                                   |            ^
 *                MiReleaseValidFrame|            |MiUnlinkTransitionFrame, from any below
 *                                   v            |
 *       referenced: [Transition]   clean: [Standby]   dirty: [Modified]   [ModifiedNoWrite]
 *
 *   [Transition] -> [Standby], [Modified]         MiDereferenceFrame, with the last reference
 *   [Transition] -> [CachedFree]                  the same, if the page was deleted meanwhile
 *   [Standby], [Modified] -> [Transition]         MiReferenceFrame
 *   [Modified] -> [Transition] -> [Standby]       MiBeginPageWrite, MiEndPageWrite
 *                              -> [Modified]      MiEndPageWrite, if it was not written
 *   [Modified] -> [ModifiedNoWrite]               MiSetFrameNoWrite
 *   [Standby] -> [Active], an owner's             MiRepurposeStandbyFrame, MipTakeStandby
 *   any of the four -> [CachedFree]               MiDeleteTransitionFrame
 *   [Active], an owner's -> [Bad]                 MiFreeFrame, if RemoveRequested
 *   [Zeroed], [Free], [Standby] -> [Bad] -> [Free]    MmMarkPhysicalMemoryAsBad, ...AsGood
 *   the same -> [Absent] -> [Free]                MmRemovePhysicalMemory, MmAddPhysicalMemory
 *
 * WHAT MEANS SOMETHING WHERE. Node means something in every record that was ever written; an
 * all-zero record is a virgin page, zeroed and on no list: its extent (512 frames) was not carved.
 *
 *   Zeroed, Free     links (L). Contents zero, or poisoned in checked builds, or anything
 *   CachedX          nothing: the frame's number is in a processor's cache
 *   WholeFree        links (L), of the first frame of an extent; the other 511 records are zero
 *   Active, owner's  Use; ReferenceCount >= 1, ShareCount 0; CacheAttribute; Large: first frame of
 *                    a whole extent, the other 511 records are zero until MiEnsureFrameRecord
 *   Active, page     + OriginalPte, PteFrame, PteIndex, Prototype, Priority; ShareCount >= 1: valid
 *                    entries, which together hold one reference; Modified
 *   Active, table    the same; PageTable; ShareCount 1 + valid and transition entries in it; word 3
 *                    is its lock and its count of non-zero entries
 *   Transition       as page, ShareCount 0, ReferenceCount >= 1 (I/O); Deleted: no entry leads
 *                    here, the last reference frees it; WriteInProgress; ReadInProgress: word 3 is
 *                    the block
 *   Standby,         links (L), OriginalPte, PteFrame, PteIndex, Prototype, Priority, Use; both
 *   Modified,        counts zero. The entry at PteFrame, PteIndex has transition form and names
 *   ModifiedNoWrite  this frame
 *   Bad              links (L)
 *   Absent           nothing
 *
 * LOCKS. (P) the record's lock bit; (L) the lock of the list, see physp.h; (A) atomic
 * read-modify-write at any time; (O) the frame's owner, alone. State is (A) as a whole: whoever
 * changes one field keeps the others, the lock bit above all, because a fault that reads a stale
 * transition entry may hold the bit of a frame that has got a new life since. Location changes:
 * between Zeroed, Free, CachedX and Active owner's under (L), or by the owner; in every other case
 * under (P), and (L) where linked.
 *
 * Nothing here blocks. Everything runs at DISPATCH_LEVEL at most, and locks raise to it. Ranks:
 * page table < PFN bit < list.
 */
#ifndef MM_PHYS_PFN_H
#define MM_PHYS_PFN_H

#include <mm/mi.h>
#include <mm/pte/pteform.h>

/* The first eight are MEMORY_FRAME_INFORMATION.ListDescription. */
typedef enum _MI_LOCATION {
    MiLocationZeroed = 0,
    MiLocationFree = 1,
    MiLocationStandby = 2,
    MiLocationModified = 3,
    MiLocationModifiedNoWrite = 4,
    MiLocationBad = 5,
    MiLocationActive = 6,
    MiLocationTransition = 7,
    MiLocationCachedFree = 8,
    MiLocationCachedZeroed = 9,
    MiLocationWholeFree = 10,
    MiLocationAbsent = 11
} MI_LOCATION;

typedef struct _MMPFN {
    MMPTE OriginalPte;              /* (P) what the entry becomes when the page leaves RAM */
    volatile ULONG64 Where;         /* (P) MI_WHERE_*; (O) while owner's */
    volatile ULONG64 State;         /* (A) MI_PFN_* */
    union {
        struct {
            ULONG Flink;            /* (L) frame - first frame of the node + 1; 0: none */
            ULONG Blink;            /* (L) */
        };
        volatile ULONG64 Table;     /* (A) MI_TABLE_*: lock bit 0; used entries from bit 16 */
        PVOID InPageBlock;          /* (P) who reads this page in */
        ULONG64 Owner;              /* (O) for the owner of a frame that has no entry */
    };
} MMPFN, *PMMPFN;

_Static_assert(sizeof(MMPFN) == 32, "half a cache line");

/* Word 1. */
#define MI_WHERE_FRAME_MASK 0x000000FFFFFFFFFFull   /* frame of the table or prototype page */
#define MI_WHERE_INDEX_SHIFT 40                     /* entry in it */
#define MI_WHERE_INDEX_MASK (0x1FFull << MI_WHERE_INDEX_SHIFT)
#define MI_WHERE_PROTOTYPE (1ull << 49)             /* the entry is a prototype entry */
#define MI_WHERE_PRIORITY_SHIFT 50
#define MI_WHERE_PRIORITY_MASK (7ull << MI_WHERE_PRIORITY_SHIFT)
#define MI_WHERE_USE_SHIFT 53
#define MI_WHERE_USE_MASK (15ull << MI_WHERE_USE_SHIFT)
#define MI_WHERE_NODE_SHIFT 57
#define MI_WHERE_NODE_MASK (63ull << MI_WHERE_NODE_SHIFT)
#define MI_WHERE_HAS_PTE (1ull << 63)               /* frame and index mean something */

_Static_assert(MiUseMaximum <= 16, "the use has four bits");

/* Word 2. */
#define MI_PFN_LOCK_BIT 0
#define MI_PFN_LOCK (1ull << MI_PFN_LOCK_BIT)
#define MI_PFN_LOCATION_SHIFT 1
#define MI_PFN_LOCATION_MASK (15ull << MI_PFN_LOCATION_SHIFT)
#define MI_PFN_MODIFIED (1ull << 5)
#define MI_PFN_READ_IN_PROGRESS (1ull << 6)
#define MI_PFN_WRITE_IN_PROGRESS (1ull << 7)
#define MI_PFN_IN_PAGE_ERROR (1ull << 8)
#define MI_PFN_CACHE_SHIFT 9                        /* MI_CACHE_ATTRIBUTE */
#define MI_PFN_CACHE_MASK (3ull << MI_PFN_CACHE_SHIFT)
#define MI_PFN_LARGE (1ull << 11)
#define MI_PFN_PAGE_TABLE (1ull << 12)
#define MI_PFN_REMOVE_REQUESTED (1ull << 13)
#define MI_PFN_DELETED (1ull << 14)
#define MI_PFN_POISONED (1ull << 15)                /* checked builds: filled when it was freed */
#define MI_PFN_REFERENCE_SHIFT 16
#define MI_PFN_REFERENCE_ONE (1ull << MI_PFN_REFERENCE_SHIFT)
#define MI_PFN_REFERENCE_MAXIMUM 0x3FFFFull
#define MI_PFN_REFERENCE_MASK (MI_PFN_REFERENCE_MAXIMUM << MI_PFN_REFERENCE_SHIFT)
#define MI_PFN_SHARE_SHIFT 34
#define MI_PFN_SHARE_ONE (1ull << MI_PFN_SHARE_SHIFT)
#define MI_PFN_SHARE_MAXIMUM 0x3FFFFFFFull
#define MI_PFN_SHARE_MASK (MI_PFN_SHARE_MAXIMUM << MI_PFN_SHARE_SHIFT)

typedef enum _MI_CACHE_ATTRIBUTE {
    MiCacheNone = 0,    /* nobody has mapped it with an attribute that matters */
    MiCacheCached = 1,
    MiCacheUncached = 2,
    MiCacheWriteCombined = 3
} MI_CACHE_ATTRIBUTE;

/* Word 3 of a table. */
#define MI_TABLE_LOCK_BIT 0
#define MI_TABLE_NOTED 0x2ull                       /* stands in the list of mm/pte/softtrim.c */
#define MI_TABLE_USED_SHIFT 16
#define MI_TABLE_USED_ONE (1ull << MI_TABLE_USED_SHIFT)
#define MI_TABLE_USED_MASK (0xFFFFull << MI_TABLE_USED_SHIFT)

#define MI_DEFAULT_PAGE_PRIORITY 5u

extern PMMPFN MmPfnDatabase __attribute__((visibility("hidden"))); /* (C) indexed by frame */

static inline PMMPFN
MiPfn(PFN_NUMBER Frame)
{
    return &MmPfnDatabase[Frame];
}

static inline PFN_NUMBER
MiPfnFrame(const MMPFN *Pfn)
{
    return (PFN_NUMBER)(Pfn - MmPfnDatabase);
}

/* --- Reading a record ------------------------------------------------------------------------- */

static inline ULONG64
MiPfnState(PFN_NUMBER Frame)
{
    return __atomic_load_n(&MiPfn(Frame)->State, __ATOMIC_ACQUIRE);
}

static inline MI_LOCATION
MiStateLocation(ULONG64 State)
{
    return (MI_LOCATION)((State & MI_PFN_LOCATION_MASK) >> MI_PFN_LOCATION_SHIFT);
}

static inline ULONG
MiStateReferences(ULONG64 State)
{
    return (ULONG)((State & MI_PFN_REFERENCE_MASK) >> MI_PFN_REFERENCE_SHIFT);
}

static inline ULONG
MiStateShares(ULONG64 State)
{
    return (ULONG)(State >> MI_PFN_SHARE_SHIFT);
}

static inline MI_LOCATION
MiFrameLocation(PFN_NUMBER Frame)
{
    return MiStateLocation(MiPfnState(Frame));
}

static inline ULONG
MiFrameShareCount(PFN_NUMBER Frame)
{
    return MiStateShares(MiPfnState(Frame));
}

static inline BOOLEAN
MiFrameIsModified(PFN_NUMBER Frame)
{
    return (MiPfnState(Frame) & MI_PFN_MODIFIED) != 0;
}

static inline BOOLEAN
MiFrameIsPageTable(PFN_NUMBER Frame)
{
    return (MiPfnState(Frame) & MI_PFN_PAGE_TABLE) != 0;
}

static inline ULONG64
MiPfnWhere(PFN_NUMBER Frame)
{
    return __atomic_load_n(&MiPfn(Frame)->Where, __ATOMIC_RELAXED);
}

static inline MI_PAGE_USE
MiFrameUse(PFN_NUMBER Frame)
{
    return (MI_PAGE_USE)((MiPfnWhere(Frame) & MI_WHERE_USE_MASK) >> MI_WHERE_USE_SHIFT);
}

/*
 * The entry that a page's record names, in the direct map; NULL if it has none. PFN lock, or a
 * share.
 */
static inline PMMPTE
MiFramePte(PFN_NUMBER Frame)
{
    ULONG64 Where = MiPfnWhere(Frame);

    if ((Where & MI_WHERE_HAS_PTE) == 0) {
        return NULL;
    }
    return MiTableEntry(Where & MI_WHERE_FRAME_MASK,
                        (ULONG)((Where & MI_WHERE_INDEX_MASK) >> MI_WHERE_INDEX_SHIFT));
}

/* NUMA node, from the memory map: right for every RAM frame, virgin or not. */
ULONG MiFrameNode(PFN_NUMBER Frame);

/* --- Locks ------------------------------------------------------------------------------------ */

/* The PFN lock bit, at DISPATCH_LEVEL. One at a time; a second by MiTryLockPfn only. */
static inline VOID
MiLockPfn(PFN_NUMBER Frame)
{
    KiAcquireBitLock(&MiPfn(Frame)->State, MI_PFN_LOCK_BIT, LockRankPfn);
}

static inline BOOLEAN
MiTryLockPfn(PFN_NUMBER Frame)
{
    return KiTryBitLock(&MiPfn(Frame)->State, MI_PFN_LOCK_BIT, LockRankPfn);
}

static inline VOID
MiUnlockPfn(PFN_NUMBER Frame)
{
    KiReleaseBitLock(&MiPfn(Frame)->State, MI_PFN_LOCK_BIT);
}

/* The lock of a page of entries, hardware table or prototype page, at DISPATCH_LEVEL. */
static inline VOID
MiLockPageTable(PFN_NUMBER TableFrame, LOCK_RANK Rank)
{
    KiAcquireBitLock(&MiPfn(TableFrame)->Table, MI_TABLE_LOCK_BIT, Rank);
}

static inline BOOLEAN
MiTryLockPageTable(PFN_NUMBER TableFrame, LOCK_RANK Rank)
{
    return KiTryBitLock(&MiPfn(TableFrame)->Table, MI_TABLE_LOCK_BIT, Rank);
}

static inline VOID
MiUnlockPageTable(PFN_NUMBER TableFrame)
{
    KiReleaseBitLock(&MiPfn(TableFrame)->Table, MI_TABLE_LOCK_BIT);
}

/* --- Page tables ------------------------------------------------------------------------------ */

/*
 * Make an owner's frame (MiGetFrame with MI_GET_ZEROED and MiUsePageTable, or a permanent frame
 * such as the machine's root) a table: share 1, no used entries, unlocked. ParentPte is the entry
 * that will name it, in the direct map; it takes a share on the parent (R3) and is written by the
 * caller. NULL: a root.
 */
VOID MiInitializePageTableFrame(PFN_NUMBER Frame, PMMPTE ParentPte);

/*
 * Free a table that has no used entries and only its own share, after the entry that named it was
 * cleared and flushed; drops the share on the parent.
 */
VOID MiFreePageTableFrame(PFN_NUMBER Frame);

/* Count of entries that are not zero; table lock held. Decrement returns what is left. */
static inline VOID
MiIncrementUsedPtes(PFN_NUMBER TableFrame, ULONG Count)
{
    __atomic_fetch_add(&MiPfn(TableFrame)->Table, Count * MI_TABLE_USED_ONE, __ATOMIC_RELAXED);
}

static inline ULONG
MiUsedPtes(PFN_NUMBER TableFrame)
{
    ULONG64 Table = __atomic_load_n(&MiPfn(TableFrame)->Table, __ATOMIC_RELAXED);

    return (ULONG)((Table & MI_TABLE_USED_MASK) >> MI_TABLE_USED_SHIFT);
}

static inline ULONG
MiDecrementUsedPtes(PFN_NUMBER TableFrame, ULONG Count)
{
    MI_ASSERT(MiUsedPtes(TableFrame) >= Count);
    __atomic_fetch_sub(&MiPfn(TableFrame)->Table, Count * MI_TABLE_USED_ONE, __ATOMIC_RELAXED);
    return MiUsedPtes(TableFrame);
}

/* --- Pages of an address space ---------------------------------------------------------------- */

/*
 * Make an owner's frame the page of the entry Pte (in the direct map; for a prototype entry with
 * MI_INITIALIZE_PROTOTYPE): share 1, priority, OriginalPte; takes one share on the page that
 * holds Pte (R3). The caller writes the valid entry, under that page's lock. Cannot fail.
 */
#define MI_INITIALIZE_PROTOTYPE 0x1
#define MI_INITIALIZE_MODIFIED 0x2      /* contents exist nowhere else already */
VOID MiInitializePfnEx(PFN_NUMBER Frame, PMMPTE Pte, MMPTE OriginalPte, ULONG Priority,
                       ULONG Flags);
VOID MiInitializePfn(PFN_NUMBER Frame, PMMPTE Pte, MMPTE OriginalPte);

/*
 * One more, or one fewer, share of an Active page that keeps at least one: another valid entry for
 * a shared page, or an entry in a table. No lock is needed. The increment fails before the count
 * wraps.
 */
BOOLEAN MiIncrementShareCount(PFN_NUMBER Frame);
VOID MiDecrementShareCount(PFN_NUMBER Frame);

/*
 * A valid entry for the page is gone (it has transition form, or the prototype entry has) and every
 * processor was flushed: drop its share. When it was the last one the page goes to Standby or
 * Modified, or to Transition while it is referenced. Dirty: the entry's Dirty bit. Takes the PFN
 * lock itself.
 *
 * Until this call the frame is Active although its entry has transition form already; a fault then
 * takes it back by MiUnlinkTransitionFrame as any other, which counts a second share.
 */
VOID MiReleaseValidFrame(PFN_NUMBER Frame, BOOLEAN Dirty);

/*
 * Soft fault. PFN lock held and the entry found unchanged under it: take the page off its list (or
 * out of Transition), Active, one more share. Then the caller writes the valid entry and unlocks.
 * FALSE before the share count can wrap. A page with ReadInProgress stays that way: see its
 * InPageBlock.
 */
BOOLEAN MiUnlinkTransitionFrame(PFN_NUMBER Frame);

/*
 * The page's only way back is gone: its entry was valid, was cleared, and every processor was
 * flushed. Drop the share; with the last one drop the share on the table too, and free the frame;
 * while it is referenced it waits in Transition, Deleted. Takes the PFN lock itself. Not for a
 * shared page that its prototype entry keeps: that is MiReleaseValidFrame.
 */
VOID MiDeleteValidFrame(PFN_NUMBER Frame);

/*
 * The same for an entry in transition form. PFN lock held, the entry found unchanged and
 * overwritten by the caller. Returns with the PFN lock released.
 */
VOID MiDeleteTransitionFrame(PFN_NUMBER Frame);

/*
 * R2. PFN lock held, page on Standby: give its entry its original form back, drop the share on the
 * table, take the page off its list. The frame is the caller's, Active with one reference and Use
 * as it was. Returns with the PFN lock released.
 */
VOID MiRepurposeStandbyFrame(PFN_NUMBER Frame);

/* The contents differ from what the original form promises. Any Active or Transition page. */
VOID MiSetFrameModified(PFN_NUMBER Frame);

/*
 * Writing a Modified page out: FALSE if it is not Modified (any more). From Begin to End it is in
 * Transition (or Active, if a fault takes it back) with a reference and WriteInProgress. A page
 * that was not written, or was modified meanwhile, is modified afterwards. OriginalPte: where it
 * was written.
 */
BOOLEAN MiBeginPageWrite(PFN_NUMBER Frame);
VOID MiEndPageWrite(PFN_NUMBER Frame, BOOLEAN Written, MMPTE OriginalPte);

/* A Modified page that must not be written for now; FALSE if it is not on that list. */
BOOLEAN MiSetFrameNoWrite(PFN_NUMBER Frame);

/* --- Frames of an owner ----------------------------------------------------------------------- */

/*
 * Give back a run that MiGetContiguousFrames returned, or a part of it: as MiFreeFrame for each,
 * and in a few steps for whole extents.
 */
VOID MiFreeContiguousFrames(PFN_NUMBER FirstFrame, SIZE_T PageCount);

/*
 * Make the record of a frame that was taken as part of a whole extent, or that belongs to the
 * machine, say what it is (Active, one reference). FALSE if it is no RAM. Calls that may meet such
 * frames do it themselves; needed only before touching words 0, 1 and 3 directly.
 */
BOOLEAN MiEnsureFrameRecord(PFN_NUMBER Frame);

/* Another use for a frame whose owner the caller is. */
VOID MiSetFrameUse(PFN_NUMBER Frame, MI_PAGE_USE Use);

/* Clear a frame through the direct map. */
VOID MiZeroFrame(PFN_NUMBER Frame);

/*
 * Zero up to Budget frames of the free lists and move them to the zeroed ones; returns how many.
 * For a thread of low priority, at PASSIVE_LEVEL.
 */
SIZE_T MiZeroFreePages(SIZE_T Budget);

/* Pages that may still be promised as nonpageable; negative after memory went bad. */
LONG64 MiResidentAvailablePages(VOID);

/* Return what the caches of all processors hold to the lists. <= DISPATCH_LEVEL. */
VOID MiDrainPageCaches(VOID);

#endif
