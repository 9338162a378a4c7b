/*
 * Private to mm/phys: memory ranges and their extents, page lists, per-processor caches.
 *
 * WHERE FRAMES ARE COUNTED. A range is a run of frames of one kind from the memory map. It is
 * divided into extents of 512 frames, aligned as frame numbers are; one byte per extent says what
 * it is:
 *
 *               MipClaimExtent             MipPublishExtent
 *      Virgin ------------------> Claimed ------------------> Carved   every frame has its record
 *        |                          ^  |
 *        +- contiguous, whole ------+  +----> Whole <----> WholeFree (on a list, contents unknown)
 *                                             | MiEnsureFrameRecord
 *                                             +---> Claimed ---> Carved
 *      Absent: removed from the machine
 *
 * Nothing reads the records of a Virgin or Absent extent, and of a Whole or WholeFree one only the
 * first record says anything, so the database pages behind untouched memory are never touched.
 *
 * TOKENS. MiListedPages is the number of frames that are virgin, or on a zeroed, free, whole-free
 * or standby list. Who wants frames takes as many off that number first (MipTakeTokens), and then
 * looks for them; who gives frames adds them after they are listed. So the last MiReservePages stay
 * for those who ask with MI_GET_RESERVE, and the shared counter is touched once per batch. Frames
 * in processors' caches are not in it.
 *
 * Locks: every list has its own (LockRankPageList); a cache has one for each of its two stacks
 * (LockRankPageCache) that only its processor and MiDrainPageCaches take. A Claimed extent belongs
 * to the processor that claimed it, which runs at DISPATCH_LEVEL and finishes without taking any
 * lock but lists'.
 */
#ifndef MM_PHYS_PHYSP_H
#define MM_PHYS_PHYSP_H

#include "inject.h"
#include "pfn.h"

#define MI_EXTENT_SHIFT 9
#define MI_EXTENT_PAGES 512ull
#define MI_COLOUR_COUNT 16u
#define MI_PRIORITY_COUNT 8u
#define MI_MAXIMUM_NODES 64u
#define MI_MAXIMUM_RANGES 192u
#define MI_CACHE_FRAMES 64u

_Static_assert(MI_MAXIMUM_RANGES >= 2 * HAL_MAXIMUM_RUNS, "every run, and those added later");

typedef enum _MI_EXTENT_STATE {
    MiExtentVirgin = 0,
    MiExtentCarved = 1,
    MiExtentWhole = 2,
    MiExtentClaimed = 3,
    MiExtentWholeFree = 4,
    MiExtentAbsent = 5
} MI_EXTENT_STATE;

typedef struct _MI_PAGE_LIST {
    KSPIN_LOCK Lock;
    SIZE_T Count;               /* (L) pages; read without lock as a hint */
    ULONG Head;                 /* (L) links: frame - Node->Base + 1, 0 at the ends */
    ULONG Tail;                 /* (L) */
    MI_LOCATION Location;       /* (C) of the pages on it */
    ULONG PagesEach;            /* (C) 1; 512 on the list of whole extents */
} DECLSPEC_CACHEALIGN MI_PAGE_LIST, *PMI_PAGE_LIST;

_Static_assert(sizeof(MI_PAGE_LIST) == 64, "one line each");

typedef struct _MI_NODE {
    MI_PAGE_LIST Zeroed[MI_COLOUR_COUNT];
    MI_PAGE_LIST Free[MI_COLOUR_COUNT];
    MI_PAGE_LIST Standby[MI_PRIORITY_COUNT];
    MI_PAGE_LIST Modified;
    MI_PAGE_LIST ModifiedNoWrite;
    MI_PAGE_LIST Bad;
    MI_PAGE_LIST WholeFree;
    PFN_NUMBER Base;                    /* (C) what links count from */
    ULONG Number;                       /* (C) */
    volatile SIZE_T TransitionPages;    /* (A) */
    volatile PFN_NUMBER RunHint;        /* (A) where the last small contiguous run was found */
} MI_NODE, *PMI_NODE;

typedef struct _MI_RANGE {
    PFN_NUMBER Base;                /* (C) */
    PFN_NUMBER End;                 /* (C) first frame after it */
    HAL_MEMORY_TYPE Type;           /* (C) */
    PMI_NODE Node;                  /* (C) */
    volatile UCHAR *Extents;        /* (A) MI_EXTENT_STATE */
    SIZE_T ExtentCount;             /* (C) */
    volatile SIZE_T Cursor;         /* (A) no virgin extent before it */
    volatile SIZE_T WholeCursor;    /* (A) no virgin extent of full size before it */
    volatile SIZE_T Touched;        /* (A) extents from here on were always virgin */
    volatile LONG64 VirginPages;    /* (A) */
    volatile LONG64 AbsentPages;    /* (A) */
} MI_RANGE, *PMI_RANGE;

/*
 * A processor's frames: two stacks. The count of a stack is its lock as well: who exchanges it for
 * MI_STACK_BUSY has the stack, and storing a count gives it back.
 */
#define MI_STACK_BUSY MAXULONG

typedef struct _MI_CACHE_STACK {
    volatile ULONG Count;           /* (A) */
    ULONG Reserved;
    PFN_NUMBER Frames[MI_CACHE_FRAMES]; /* (L) */
} MI_CACHE_STACK, *PMI_CACHE_STACK;

typedef struct _MI_PAGE_CACHE {
    ULONG64 Where;                  /* (C) word 1 of its frames: their node, no use */
    ULONG Node;                     /* (C) its frames are of this node */
    ULONG Capacity;                 /* (C) of each stack */
    ULONG Batch;                    /* (C) frames moved at a time */
    MI_CACHE_STACK Free;            /* contents unknown */
    MI_CACHE_STACK Zeroed;
} DECLSPEC_CACHEALIGN MI_PAGE_CACHE, *PMI_PAGE_CACHE;

extern PMI_NODE MiNodes[MI_MAXIMUM_NODES];      /* (C) NULL: no memory there */
extern ULONG MiHighestNode;                     /* (C) */
extern MI_RANGE MiRanges[MI_MAXIMUM_RANGES];    /* appended under MiConfigLock; entries (C) */
extern volatile ULONG MiRangeCount;             /* (A) published after the entry */
extern volatile LONG64 MiListedPages;           /* (A) */
extern volatile SIZE_T MiTotalPages;            /* (A) RAM, whatever its use */
extern SIZE_T MiReservePages;                   /* (C) */
extern PFN_NUMBER MiHighestFrame;               /* (A) of any range */

#define MI_LOCATION_BITS(Location) ((ULONG64)(Location) << MI_PFN_LOCATION_SHIFT)
/* State of a frame that MiGetFrame hands out. */
#define MI_STATE_OWNED (MI_LOCATION_BITS(MiLocationActive) | MI_PFN_REFERENCE_ONE)
#define MI_STATE_CACHED_FREE MI_LOCATION_BITS(MiLocationCachedFree)
#define MI_STATE_CACHED_ZEROED MI_LOCATION_BITS(MiLocationCachedZeroed)

/* --- One record ------------------------------------------------------------------------------- */

/*
 * Clear and set bits of State at once, keeping what others change meanwhile. Returns what it was.
 */
static inline ULONG64
MipChangeState(PMMPFN Pfn, ULONG64 Clear, ULONG64 Set)
{
    ULONG64 Old = __atomic_load_n(&Pfn->State, __ATOMIC_RELAXED);

    while (!__atomic_compare_exchange_n(&Pfn->State, &Old, (Old & ~Clear) | Set, TRUE,
                                        __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
    }
    return Old;
}

/* The same for a record whose fields but the lock bit and MI_PFN_POISONED are known to be Old. */
static inline VOID
MipAdvanceState(PMMPFN Pfn, ULONG64 Old, ULONG64 New)
{
    ULONG64 Was = __atomic_fetch_add(&Pfn->State, New - Old, __ATOMIC_ACQ_REL);

    MI_ASSERT((Was & ~(MI_PFN_LOCK | MI_PFN_POISONED)) == Old);
    (VOID)Was;
}

static inline VOID
MipSetWhere(PMMPFN Pfn, ULONG64 Where)
{
    __atomic_store_n(&Pfn->Where, Where, __ATOMIC_RELAXED);
}

static inline ULONG64
MipWhereOf(ULONG Node, MI_PAGE_USE Use)
{
    return ((ULONG64)Node << MI_WHERE_NODE_SHIFT) | ((ULONG64)Use << MI_WHERE_USE_SHIFT);
}

/* Forget everything but the node, and note the use. */
static inline VOID
MipResetWhere(PMMPFN Pfn, MI_PAGE_USE Use)
{
    ULONG64 Node = __atomic_load_n(&Pfn->Where, __ATOMIC_RELAXED) & MI_WHERE_NODE_MASK;

    MipSetWhere(Pfn, Node | ((ULONG64)Use << MI_WHERE_USE_SHIFT));
}

static inline PMI_NODE
MipPfnNode(const MMPFN *Pfn)
{
    ULONG64 Where = __atomic_load_n(&Pfn->Where, __ATOMIC_RELAXED);

    return MiNodes[(Where & MI_WHERE_NODE_MASK) >> MI_WHERE_NODE_SHIFT];
}

static inline ULONG
MipFramePriority(PFN_NUMBER Frame)
{
    return (ULONG)((MiPfnWhere(Frame) & MI_WHERE_PRIORITY_MASK) >> MI_WHERE_PRIORITY_SHIFT);
}

/* --- range.c: the memory map and its extents -------------------------------------------------- */

PMI_RANGE MipFindRange(PFN_NUMBER Frame);

/* Range with memory that may be handed out. */
static inline BOOLEAN
MipRangeIsUsable(const MI_RANGE *Range)
{
    return Range->Type == HalMemoryZero || Range->Type == HalMemoryFree;
}

static inline SIZE_T
MipExtentIndex(const MI_RANGE *Range, PFN_NUMBER Frame)
{
    return (Frame >> MI_EXTENT_SHIFT) - (Range->Base >> MI_EXTENT_SHIFT);
}

static inline MI_EXTENT_STATE
MipExtentState(const MI_RANGE *Range, SIZE_T Index)
{
    return (MI_EXTENT_STATE)__atomic_load_n(&Range->Extents[Index], __ATOMIC_ACQUIRE);
}

/* First frame of an extent inside its range, and how many are. */
PFN_NUMBER MipExtentFirst(const MI_RANGE *Range, SIZE_T Index);
SIZE_T MipExtentPages(const MI_RANGE *Range, SIZE_T Index);

/* Append a range. Extents: zeroed bytes that stay, one per extent. NULL if the table is full. */
PMI_RANGE MipAddRange(PFN_NUMBER Base, PFN_NUMBER PageCount, HAL_MEMORY_TYPE Type, PMI_NODE Node,
                      volatile UCHAR *Extents);
SIZE_T MipExtentCountOf(PFN_NUMBER Base, PFN_NUMBER PageCount);
VOID MipInitializeNode(PMI_NODE Node, ULONG Number, PFN_NUMBER Base);

/* From Virgin, Whole or WholeFree to Claimed; FALSE if it was not in that state. DISPATCH_LEVEL. */
BOOLEAN MipClaimExtent(PMI_RANGE Range, SIZE_T Index, MI_EXTENT_STATE From);
VOID MipPublishExtent(PMI_RANGE Range, SIZE_T Index, MI_EXTENT_STATE State);

/* TRUE while some processor moves an extent: its frames are in no place for a moment. */
BOOLEAN MipExtentsInMotion(VOID);

/*
 * Write the records of a Claimed extent that had none and publish it as Carved: the first Wanted
 * frames get state Target and go to Frames[], the others to the lists that suit Location.
 */
VOID MipCarveExtent(PMI_RANGE Range, SIZE_T Index, MI_LOCATION Location, SIZE_T Wanted,
                    ULONG64 Target, PFN_NUMBER *Frames);

/* Give an Absent extent records that say Absent, each for itself. */
VOID MipSplitAbsentExtent(PMI_RANGE Range, SIZE_T Index);

/* What the frames of a virgin extent of the range are. */
MI_LOCATION MipVirginLocation(const MI_RANGE *Range);

/* Take up to Count frames of the node from virgin extents of one memory type. */
SIZE_T MipTakeVirgin(PMI_NODE Node, HAL_MEMORY_TYPE Type, SIZE_T Count, ULONG64 Target,
                     PFN_NUMBER *Frames);
/* The same from a whole extent that was freed. */
SIZE_T MipTakeWhole(PMI_NODE Node, SIZE_T Count, ULONG64 Target, PFN_NUMBER *Frames);

/* --- list.c: page lists ----------------------------------------------------------------------- */

VOID MipInitializeList(PMI_PAGE_LIST List, MI_LOCATION Location, ULONG PagesEach);
PMI_PAGE_LIST MipListOf(PMI_NODE Node, PFN_NUMBER Frame, MI_LOCATION Location);

static inline ULONG
MipColour(PFN_NUMBER Frame)
{
    return (ULONG)Frame & (MI_COLOUR_COUNT - 1);
}

static inline SIZE_T
MipListPages(const MI_PAGE_LIST *List)
{
    return __atomic_load_n(&List->Count, __ATOMIC_RELAXED);
}

/* Raw links; list lock held. */
VOID MipLinkHead(PMI_NODE Node, PMI_PAGE_LIST List, PFN_NUMBER Frame);
VOID MipLinkTail(PMI_NODE Node, PMI_PAGE_LIST List, PFN_NUMBER Frame);
VOID MipUnlink(PMI_NODE Node, PMI_PAGE_LIST List, PFN_NUMBER Frame);

/*
 * Put a page that is on no list on the one its Location will say. Free and zeroed pages:
 * MipPushFrames.
 */
VOID MipInsertPage(PFN_NUMBER Frame, MI_LOCATION Location, ULONG64 Clear);
/* Take a listed page off its list and change its state in one step under the list lock. */
VOID MipRemovePage(PFN_NUMBER Frame, ULONG64 Clear, ULONG64 Set);

/*
 * Put frames of one node on its free or zeroed lists; their other state but Poisoned is forgotten.
 */
VOID MipPushFrames(PMI_NODE Node, const PFN_NUMBER *Frames, SIZE_T Count, MI_LOCATION Location);

/* Take up to Count frames off the free or zeroed lists, giving them state Target. */
SIZE_T MipTakeListed(PMI_NODE Node, MI_LOCATION Location, SIZE_T Count, ULONG64 Target,
                     PFN_NUMBER *Frames);
/* The same off the standby lists, lowest priority and oldest first. */
SIZE_T MipTakeStandby(PMI_NODE Node, SIZE_T Count, ULONG64 Target, PFN_NUMBER *Frames);

/*
 * Take this one frame if it is listed as Zeroed or Free, or (AllowStandby) Standby: owned
 * afterwards.
 */
BOOLEAN MipClaimFrame(PFN_NUMBER Frame, BOOLEAN AllowStandby, PBOOLEAN WasZeroed);

/* --- frame.c: tokens, and frames of a node ---------------------------------------------------- */

SIZE_T MipTakeTokens(SIZE_T Count, ULONG Flags, BOOLEAN All);
VOID MipReturnTokens(SIZE_T Count);

/*
 * Make an owned frame one that may be pushed to the lists, as MiFreeFrame would; FALSE if it was
 * retired.
 */
BOOLEAN MipDisownFrame(PFN_NUMBER Frame);

/* The Index-th node to try for a request; NULL at the end. */
PMI_NODE MipNodeInOrder(ULONG Node, ULONG Index);

/*
 * Nearly always free, because only a drain comes from outside. Returns the count, or MI_STACK_BUSY.
 */
static inline ULONG
MipTryLockStack(PMI_CACHE_STACK Stack)
{
    ULONG Count;

    NT_ASSERT(HalGetIrql() >= DISPATCH_LEVEL);
    HalChoicePoint(HalChoiceLock);
    KiCheckSpinRank(Stack, LockRankPageCache);
    Count = __atomic_exchange_n(&Stack->Count, MI_STACK_BUSY, __ATOMIC_ACQUIRE);
    if (Count != MI_STACK_BUSY) {
        KiNoteSpinLock(Stack, LockRankPageCache);
    }
    return Count;
}

static inline ULONG
MipLockStack(PMI_CACHE_STACK Stack)
{
    ULONG Count;

    while ((Count = MipTryLockStack(Stack)) == MI_STACK_BUSY) {
        HalPause();
    }
    return Count;
}

/* Give the stack back with that many frames. */
static inline VOID
MipUnlockStack(PMI_CACHE_STACK Stack, ULONG Count)
{
    KiForgetSpinLock(Stack);
    __atomic_store_n(&Stack->Count, Count, __ATOMIC_RELEASE);
}

/* --- pfn.c ------------------------------------------------------------------------------------ */

/* R2 after the page left the standby list: PFN lock held, released here. Owned afterwards. */
VOID MipFinishRepurpose(PFN_NUMBER Frame);

/* --- zero.c: contents ------------------------------------------------------------------------- */

#ifdef NTMM_CHECKED
/* Fill a frame that its owner frees; its record is marked MI_FREED_POISON. */
VOID MipPoisonFrame(PFN_NUMBER Frame);
/* A new owner takes it: the filling must be whole. 0x4E/0x8D if it is not. */
VOID MipCheckPoison(PFN_NUMBER Frame);
/* A frame that is said to be zero must be: 0x127, or 0x12B where a single bit is set. */
VOID MipCheckZeroed(PFN_NUMBER Frame);
#define MI_FREED_POISON MI_PFN_POISONED
#else
static inline VOID MipPoisonFrame(PFN_NUMBER Frame) { (VOID)Frame; }
static inline VOID MipCheckPoison(PFN_NUMBER Frame) { (VOID)Frame; }
static inline VOID MipCheckZeroed(PFN_NUMBER Frame) { (VOID)Frame; }
#define MI_FREED_POISON 0ull
#endif

/* --- commit.c --------------------------------------------------------------------------------- */

VOID MipInitializeCommit(SIZE_T UsablePages, SIZE_T PageFilePages);
/* Memory came or went: commit limit and resident available follow. */
VOID MipAddUsablePages(SIZE_T PageCount);
VOID MipSubtractUsablePages(SIZE_T PageCount);
BOOLEAN MipTryRemoveUsablePages(SIZE_T PageCount);

/* --- bad.c, config.c -------------------------------------------------------------------------- */

/* Put an owned frame on the bad list; the second if its RemoveRequested is set, else FALSE. */
VOID MipRetireFrame(PFN_NUMBER Frame);
BOOLEAN MipRetireIfRequested(PFN_NUMBER Frame);

/* A byte range of a caller as frames: STATUS_INVALID_PARAMETER_1 or _2 if it is not whole pages. */
NTSTATUS MipCheckPhysicalRange(PPHYSICAL_ADDRESS StartAddress, PLARGE_INTEGER NumberOfBytes,
                               PFN_NUMBER *FirstFrame, SIZE_T *PageCount);

#endif
