/*
 * Taking and giving frames: MiGetFrame(s), MiFreeFrame(s), and the per-processor caches in front of
 * the lists.
 *
 * A cache is two stacks of frame numbers, free and zeroed, of the processor's own node. The common
 * request pops or pushes one number and changes that frame's record; it touches no line that another
 * processor writes. An empty stack is refilled, and a full one half drained, a batch at a time. When the
 * lists run dry, the caches of all processors are drained before a request fails.
 *
 * States: see pfn.h. Locks: the cache's (LockRankPageCache), under which lists may be locked; taken by
 * its processor, and by others only to drain it. Nothing blocks; IRQL <= DISPATCH_LEVEL. What can fail
 * is only to find a frame; a request that fails has taken nothing.
 */
#include "physp.h"

volatile LONG64 MiListedPages;
SIZE_T MiReservePages;

/* --- Tokens ----------------------------------------------------------------------------------------- */

/*
 * Count up to Count frames as taken before looking for them: as many as the lists have, less the
 * reserve. All: that many or none. Returns how many.
 */
SIZE_T
MipTakeTokens(SIZE_T Count, ULONG Flags, BOOLEAN All)
{
    LONG64 Floor = (Flags & MI_GET_RESERVE) != 0 ? 0 : (LONG64)MiReservePages;
    LONG64 Listed = __atomic_load_n(&MiListedPages, __ATOMIC_RELAXED);
    LONG64 Taken;

    do {
        Taken = Listed - Floor;
        if (Taken <= 0 || (All && (SIZE_T)Taken < Count)) {
            return 0;
        }
        if ((SIZE_T)Taken > Count) {
            Taken = (LONG64)Count;
        }
    } while (!__atomic_compare_exchange_n(&MiListedPages, &Listed, Listed - Taken, TRUE,
                                          __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
    return (SIZE_T)Taken;
}

VOID
MipReturnTokens(SIZE_T Count)
{
    __atomic_fetch_add(&MiListedPages, (LONG64)Count, __ATOMIC_ACQ_REL);
}

/* --- Frames of a node --------------------------------------------------------------------------------- */

/*
 * Node order of a request: the node asked for (a bare MM_ANY_NODE_OK: this processor's), then, if
 * MM_ANY_NODE_OK is set, the others by number, round.
 */
PMI_NODE
MipNodeInOrder(ULONG Node, ULONG Index)
{
    ULONG First = Node & ~MM_ANY_NODE_OK;
    ULONG Seen = 0;

    if ((Node & MM_ANY_NODE_OK) == 0) {
        return Index == 0 && First <= MiHighestNode ? MiNodes[First] : NULL;
    }
    if (First == 0) {
        First = PcrRead32(Node);
    }
    for (ULONG Step = 0; Step <= MiHighestNode; Step++) {
        PMI_NODE Candidate = MiNodes[(First + Step) % (MiHighestNode + 1)];

        if (Candidate != NULL && Seen++ == Index) {
            return Candidate;
        }
    }
    return NULL;
}

/* Zeroed frames: the lists, then virgin zeroes. */
static SIZE_T
MipTakeZeroed(PMI_NODE Node, SIZE_T Count, ULONG64 Target, PFN_NUMBER *Frames)
{
    SIZE_T Taken = MipTakeListed(Node, MiLocationZeroed, Count, Target, Frames);

    if (Taken == 0) {
        Taken = MipTakeVirgin(Node, HalMemoryZero, Count, Target, Frames);
    }
    return Taken;
}

/* Frames whose contents do not matter to anybody: free, whole-free, virgin of unknown contents. */
static SIZE_T
MipTakeFree(PMI_NODE Node, SIZE_T Count, ULONG64 Target, PFN_NUMBER *Frames)
{
    SIZE_T Taken = MipTakeListed(Node, MiLocationFree, Count, Target, Frames);

    if (Taken == 0) {
        Taken = MipTakeWhole(Node, Count, Target, Frames);
    }
    if (Taken == 0) {
        Taken = MipTakeVirgin(Node, HalMemoryFree, Count, Target, Frames);
    }
    return Taken;
}

/*
 * One batch from the best source of the node that has any: of the wanted kind, then of the other, then
 * standby. *Zeroed says which kind it is. Tokens were taken.
 */
static SIZE_T
MipTakeBatch(PMI_NODE Node, BOOLEAN WantZeroed, SIZE_T Count, PFN_NUMBER *Frames, PBOOLEAN Zeroed)
{
    SIZE_T Taken;

    *Zeroed = WantZeroed;
    Taken = WantZeroed ? MipTakeZeroed(Node, Count, MI_STATE_OWNED, Frames)
                       : MipTakeFree(Node, Count, MI_STATE_OWNED, Frames);
    if (Taken == 0) {
        *Zeroed = !WantZeroed;
        Taken = WantZeroed ? MipTakeFree(Node, Count, MI_STATE_OWNED, Frames)
                           : MipTakeZeroed(Node, Count, MI_STATE_OWNED, Frames);
    }
    if (Taken == 0) {
        *Zeroed = FALSE;
        Taken = MipTakeStandby(Node, Count, MI_STATE_OWNED, Frames);
    }
    return Taken;
}

/* --- Caches --------------------------------------------------------------------------------------------- */

static inline PMI_PAGE_CACHE
MipCache(VOID)
{
    return (PMI_PAGE_CACHE)PcrRead64(Slots.PageCache);
}

/* Move the oldest Count frames of a stack to the lists. Cache lock held. */
static VOID
MipDrainStack(PMI_PAGE_CACHE Cache, PMI_CACHE_STACK Stack, SIZE_T Count, MI_LOCATION Location)
{
    if (Count == 0) {
        return;
    }
    MipPushFrames(MiNodes[Cache->Node], Stack->Frames, Count, Location);
    Stack->Count -= (ULONG)Count;
    RtlMoveMemory(&Stack->Frames[0], &Stack->Frames[Count],
                  Stack->Count * sizeof(Stack->Frames[0]));
    MipReturnTokens(Count);
}

VOID
MiDrainPageCaches(VOID)
{
    ULONG Processors = HalProcessorCount();
    KIRQL OldIrql = KiRaiseIrqlToDispatch();

    for (ULONG Number = 0; Number < Processors; Number++) {
        PMI_PAGE_CACHE Cache = HalProcessorPcr(Number)->Slots.PageCache;

        KiAcquireRankedLock(&Cache->Lock, LockRankPageCache);
        MipDrainStack(Cache, &Cache->Free, Cache->Free.Count, MiLocationFree);
        MipDrainStack(Cache, &Cache->Zeroed, Cache->Zeroed.Count, MiLocationZeroed);
        KiReleaseRankedLock(&Cache->Lock);
    }
    KiLowerIrql(OldIrql);
}

/*
 * Bring a batch into one stack of this processor's cache; FALSE if the node has none of the kind.
 * Frames come straight from the lists in their cached state.
 */
static BOOLEAN
MipRefillStack(PMI_PAGE_CACHE Cache, BOOLEAN Zeroed, ULONG Flags)
{
    PMI_CACHE_STACK Stack = Zeroed ? &Cache->Zeroed : &Cache->Free;
    PMI_NODE Node = MiNodes[Cache->Node];
    SIZE_T Room = Cache->Capacity - Stack->Count;
    SIZE_T Tokens;
    SIZE_T Taken;

    Tokens = MipTakeTokens(Cache->Batch < Room ? Cache->Batch : Room, Flags & ~MI_GET_RESERVE, FALSE);
    if (Tokens == 0) {
        return FALSE;
    }
    if (Zeroed) {
        Taken = MipTakeZeroed(Node, Tokens, MI_STATE_CACHED_ZEROED, &Stack->Frames[Stack->Count]);
    } else {
        Taken = MipTakeFree(Node, Tokens, MI_STATE_CACHED_FREE, &Stack->Frames[Stack->Count]);
    }
    Stack->Count += (ULONG)Taken;
    if (Taken < Tokens) {
        MipReturnTokens(Tokens - Taken);
    }
    return Taken != 0;
}

/* Take a number off a stack, give its record to an owner. Cache lock held, stack not empty. */
static inline PFN_NUMBER
MipPopCached(PMI_CACHE_STACK Stack, ULONG64 Cached, MI_PAGE_USE Use)
{
    PFN_NUMBER Frame = Stack->Frames[--Stack->Count];
    PMMPFN Pfn = MiPfn(Frame);

    MipResetWhere(Pfn, Use);
    MipAdvanceState(Pfn, Cached, MI_STATE_OWNED);
    return Frame;
}

/* --- Handing out ------------------------------------------------------------------------------------------ */

/* Contents as the request wants them, for a frame that is owned already. No lock is held. */
static VOID
MipPrepareContents(PFN_NUMBER Frame, BOOLEAN Zeroed, ULONG Flags)
{
    if (Zeroed) {
        MipCheckZeroed(Frame);
        return;
    }
    MipCheckPoison(Frame);
    if ((Flags & MI_GET_ZEROED) != 0) {
        MiZeroFrame(Frame);
    }
}

/* Record the owner's use in a frame that came from the lists. */
static inline VOID
MipOwn(PFN_NUMBER Frame, MI_PAGE_USE Use)
{
    MipResetWhere(MiPfn(Frame), Use);
}

/*
 * One frame of a node past the caches; MI_NO_FRAME if it has none for this request. An extent that
 * another processor is just carving is waited for.
 */
static PFN_NUMBER
MipGetListedFrame(PMI_NODE Node, ULONG Flags, MI_PAGE_USE Use, PBOOLEAN Zeroed)
{
    PFN_NUMBER Frame;

    if (MipTakeTokens(1, Flags, TRUE) == 0) {
        return MI_NO_FRAME;
    }
    for (;;) {
        BOOLEAN InMotion = MipExtentsInMotion();

        if (MipTakeBatch(Node, (Flags & MI_GET_ZEROED) != 0, 1, &Frame, Zeroed) != 0) {
            MipOwn(Frame, Use);
            return Frame;
        }
        if (!InMotion) {
            MipReturnTokens(1);
            return MI_NO_FRAME;
        }
        HalPause();
    }
}

/* The cache of this processor is of that node: refill it, and pop. */
static PFN_NUMBER
MipGetRefilledFrame(PMI_PAGE_CACHE Cache, ULONG Flags, MI_PAGE_USE Use, PBOOLEAN Zeroed)
{
    BOOLEAN WantZeroed = (Flags & MI_GET_ZEROED) != 0;
    PFN_NUMBER Frame = MI_NO_FRAME;

    KiAcquireRankedLock(&Cache->Lock, LockRankPageCache);
    *Zeroed = WantZeroed;
    if (WantZeroed && (Cache->Zeroed.Count != 0 || MipRefillStack(Cache, TRUE, Flags))) {
        Frame = MipPopCached(&Cache->Zeroed, MI_STATE_CACHED_ZEROED, Use);
    } else if (Cache->Free.Count != 0 || MipRefillStack(Cache, FALSE, Flags)) {
        *Zeroed = FALSE;
        Frame = MipPopCached(&Cache->Free, MI_STATE_CACHED_FREE, Use);
    } else if (Cache->Zeroed.Count != 0 || MipRefillStack(Cache, TRUE, Flags)) {
        *Zeroed = TRUE;
        Frame = MipPopCached(&Cache->Zeroed, MI_STATE_CACHED_ZEROED, Use);
    }
    KiReleaseRankedLock(&Cache->Lock);
    return Frame;
}

static PFN_NUMBER
MipGetFrameSlow(ULONG Flags, ULONG Node, MI_PAGE_USE Use)
{
    PMI_PAGE_CACHE Cache = MipCache();
    PFN_NUMBER Frame;
    PMI_NODE Candidate;
    BOOLEAN Zeroed;

    for (ULONG Attempt = 0; Attempt < 2; Attempt++) {
        for (ULONG Index = 0; (Candidate = MipNodeInOrder(Node, Index)) != NULL; Index++) {
            Frame = MI_NO_FRAME;
            if (Candidate->Number == Cache->Node) {
                Frame = MipGetRefilledFrame(Cache, Flags, Use, &Zeroed);
            }
            if (Frame == MI_NO_FRAME) {
                Frame = MipGetListedFrame(Candidate, Flags, Use, &Zeroed);
            }
            if (Frame != MI_NO_FRAME) {
                MipPrepareContents(Frame, Zeroed, Flags);
                return Frame;
            }
        }
        MiDrainPageCaches();
    }
    return MI_NO_FRAME;
}

/* May a frame of the cache answer a request for this node first of all? */
static inline BOOLEAN
MipCacheServes(const MI_PAGE_CACHE *Cache, ULONG Node)
{
    return Node == MM_ANY_NODE_OK || (Node & ~MM_ANY_NODE_OK) == Cache->Node;
}

/*
 * Take one frame (mi.h has the contract). Node: that node only; with MM_ANY_NODE_OK added that node
 * first; MM_ANY_NODE_OK alone this processor's first.
 */
PFN_NUMBER
MiGetFrame(ULONG Flags, ULONG Node, MI_PAGE_USE Use)
{
    BOOLEAN Zeroed = (Flags & MI_GET_ZEROED) != 0;
    PFN_NUMBER Frame = MI_NO_FRAME;
    PMI_PAGE_CACHE Cache;
    PMI_CACHE_STACK Stack;
    KIRQL OldIrql;

    if (MiInjectFailure()) {
        return MI_NO_FRAME;
    }
    OldIrql = KiRaiseIrqlToDispatch();
    Cache = MipCache();
    if (MipCacheServes(Cache, Node)) {
        KiAcquireRankedLock(&Cache->Lock, LockRankPageCache);
        Stack = Zeroed ? &Cache->Zeroed : &Cache->Free;
        if (Stack->Count != 0) {
            Frame = MipPopCached(Stack, Zeroed ? MI_STATE_CACHED_ZEROED : MI_STATE_CACHED_FREE, Use);
        }
        KiReleaseRankedLock(&Cache->Lock);
    }
    if (Frame == MI_NO_FRAME) {
        Frame = MipGetFrameSlow(Flags, Node, Use);
    } else {
        MipPrepareContents(Frame, Zeroed, Flags);
    }
    KiLowerIrql(OldIrql);
    return Frame;
}

/* Take up to Tokens frames of one node into Frames[], prepared and owned. */
static SIZE_T
MipGetFromNode(PMI_NODE Node, ULONG Flags, MI_PAGE_USE Use, SIZE_T Tokens, PFN_NUMBER *Frames)
{
    BOOLEAN WantZeroed = (Flags & MI_GET_ZEROED) != 0;
    SIZE_T Taken = 0;
    BOOLEAN Zeroed;

    while (Taken < Tokens) {
        BOOLEAN InMotion = MipExtentsInMotion();
        SIZE_T Batch = MipTakeBatch(Node, WantZeroed, Tokens - Taken, &Frames[Taken], &Zeroed);

        if (Batch == 0 && !InMotion) {
            break;
        }
        if (Batch == 0) {
            HalPause();
        }
        for (SIZE_T Index = Taken; Index < Taken + Batch; Index++) {
            MipOwn(Frames[Index], Use);
            MipPrepareContents(Frames[Index], Zeroed, Flags);
        }
        Taken += Batch;
    }
    return Taken;
}

SIZE_T
MiGetFrames(ULONG Flags, ULONG Node, MI_PAGE_USE Use, SIZE_T Count, PFN_NUMBER *Frames)
{
    BOOLEAN All = (Flags & MI_GET_ALL) != 0;
    SIZE_T Taken = 0;
    SIZE_T Tokens;
    SIZE_T Got;
    PMI_NODE Candidate;
    KIRQL OldIrql;

    if (MiInjectFailure()) {
        return 0;
    }
    OldIrql = KiRaiseIrqlToDispatch();
    for (ULONG Attempt = 0; Attempt < 2 && Taken < Count; Attempt++) {
        if (Attempt != 0) {
            MiDrainPageCaches();
        }
        Tokens = MipTakeTokens(Count - Taken, Flags, All);
        for (ULONG Index = 0; Tokens != 0 && (Candidate = MipNodeInOrder(Node, Index)) != NULL;
             Index++) {
            Got = MipGetFromNode(Candidate, Flags, Use, Tokens, &Frames[Taken]);
            Taken += Got;
            Tokens -= Got;
        }
        MipReturnTokens(Tokens);
    }
    if (All && Taken < Count) {
        MiFreeFrames(Frames, Taken);
        Taken = 0;
    }
    KiLowerIrql(OldIrql);
    return Taken;
}

/* --- Giving back -------------------------------------------------------------------------------------------- */

VOID
MipReleaseOwned(const PFN_NUMBER *Frames, SIZE_T Count, MI_LOCATION Location)
{
    for (SIZE_T Index = 0; Index < Count; Index++) {
        MipPushFrames(MipPfnNode(MiPfn(Frames[Index])), &Frames[Index], 1, Location);
    }
}

/* Free of a frame that is not its owner's to free. P3 is where it is, P4 its reference count. */
static VOID
MipBadFree(PFN_NUMBER Frame, ULONG64 State)
{
    BOOLEAN Owned = MiStateLocation(State) == MiLocationActive && MiStateShares(State) == 0;

    KeBugCheckEx(PFN_LIST_CORRUPT, Owned && MiStateReferences(State) > 1 ? 0x9A : 0x99, Frame,
                 (ULONG_PTR)MiStateLocation(State), MiStateReferences(State));
}

/*
 * The record is not simply "owned": part of a whole extent, a cache attribute to forget, a page to be
 * retired, a lock bit that a stale fault holds, or a mistake. TRUE: try again. FALSE: dealt with.
 */
static BOOLEAN
MipFixFreedState(PFN_NUMBER Frame, ULONG64 State)
{
    ULONG64 Forget = MI_PFN_CACHE_MASK | MI_PFN_MODIFIED | MI_PFN_IN_PAGE_ERROR | MI_PFN_PAGE_TABLE;

    if ((State & MI_PFN_LARGE) != 0 || (State & ~MI_PFN_LOCK) == 0) {
        PMI_RANGE Range = MipFindRange(Frame);

        if (Range == NULL ||
            MipExtentState(Range, MipExtentIndex(Range, Frame)) != MiExtentWhole) {
            MipBadFree(Frame, State);
        }
        MiEnsureFrameRecord(Frame);
        return TRUE;
    }
    if ((State & (MI_PFN_LOCATION_MASK | MI_PFN_REFERENCE_MASK | MI_PFN_SHARE_MASK)) !=
        MI_STATE_OWNED) {
        MipBadFree(Frame, State);
    }
    if ((State & MI_PFN_LOCK) != 0) {
        HalPause();
        return TRUE;
    }
    if ((State & MI_PFN_REMOVE_REQUESTED) != 0) {
        return !MipRetireIfRequested(Frame);
    }
    MipChangeState(MiPfn(Frame), Forget, 0);
    return TRUE;
}

/* From owned to cached; FALSE if the frame went elsewhere. No lock held. */
static inline BOOLEAN
MipDisown(PFN_NUMBER Frame)
{
    PMMPFN Pfn = MiPfn(Frame);
    ULONG64 State = MI_STATE_OWNED;

    HalFrameReleased(Frame);
    MipPoisonFrame(Frame);
    while (!__atomic_compare_exchange_n(&Pfn->State, &State, MI_STATE_CACHED_FREE | MI_FREED_POISON,
                                        FALSE, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
        if (!MipFixFreedState(Frame, State)) {
            return FALSE;
        }
        State = MI_STATE_OWNED;
    }
    return TRUE;
}

/* Put a disowned frame into the cache, or on the lists of its own node. */
static inline VOID
MipCacheFrame(PMI_PAGE_CACHE Cache, PFN_NUMBER Frame)
{
    PMI_NODE Node = MipPfnNode(MiPfn(Frame));

    if (Node->Number != Cache->Node) {
        MipPushFrames(Node, &Frame, 1, MiLocationFree);
        MipReturnTokens(1);
        return;
    }
    KiAcquireRankedLock(&Cache->Lock, LockRankPageCache);
    if (Cache->Free.Count == Cache->Capacity) {
        MipDrainStack(Cache, &Cache->Free, Cache->Batch, MiLocationFree);
    }
    Cache->Free.Frames[Cache->Free.Count++] = Frame;
    KiReleaseRankedLock(&Cache->Lock);
}

VOID
MiFreeFrame(PFN_NUMBER Frame)
{
    KIRQL OldIrql = KiRaiseIrqlToDispatch();

    if (MipDisown(Frame)) {
        MipCacheFrame(MipCache(), Frame);
    }
    KiLowerIrql(OldIrql);
}

VOID
MiFreeFrames(const PFN_NUMBER *Frames, SIZE_T Count)
{
    for (SIZE_T Index = 0; Index < Count; Index++) {
        MiFreeFrame(Frames[Index]);
    }
}
