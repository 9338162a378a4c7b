/*
 * Taking and giving frames: MiGetFrame(s), MiFreeFrame(s), and the per-processor caches in front of
 * the lists.
 *
 * A cache is two stacks of frame numbers, free and zeroed, of the processor's own node. The common
 * request pops or pushes one number and changes that frame's record; it touches no line that
 * another processor writes. An empty stack is refilled, and a full one half drained, a batch at a
 * time. When the lists run dry, the caches of all processors are drained before a request fails.
 *
 * States: see pfn.h. Locks: the cache's (LockRankPageCache), under which lists may be locked; taken
 * by its processor, and by others only to drain it. Nothing blocks; IRQL <= DISPATCH_LEVEL. What
 * can fail is only to find a frame; a request that fails has taken nothing.
 */
#include "physp.h"

volatile LONG64 MiListedPages;
SIZE_T MiReservePages;

/* --- Tokens ----------------------------------------------------------------------------------- */

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

/* --- Frames of a node ------------------------------------------------------------------------- */

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
 * One batch from the best source of the node that has any: of the wanted kind, then of the other,
 * then standby. *Zeroed says which kind it is. Tokens were taken.
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

/* --- Caches ----------------------------------------------------------------------------------- */

static inline PMI_PAGE_CACHE
MipCache(VOID)
{
    return (PMI_PAGE_CACHE)PcrRead64(Slots.PageCache);
}

/* Move the oldest frames of a locked stack of Held to the lists; unlocks it. */
static VOID
MipDrainStack(PMI_PAGE_CACHE Cache, PMI_CACHE_STACK Stack, ULONG Held, ULONG Count)
{
    MI_LOCATION Location = Stack == &Cache->Free ? MiLocationFree : MiLocationZeroed;

    if (Count != 0) {
        MipPushFrames(MiNodes[Cache->Node], Stack->Frames, Count, Location);
        RtlMoveMemory(&Stack->Frames[0], &Stack->Frames[Count],
                      (Held - Count) * sizeof(Stack->Frames[0]));
    }
    MipUnlockStack(Stack, Held - Count);
    MipReturnTokens(Count);
}

VOID
MiDrainPageCaches(VOID)
{
    ULONG Processors = HalProcessorCount();
    KIRQL OldIrql = KiRaiseIrqlToDispatch();
    ULONG Held;

    for (ULONG Number = 0; Number < Processors; Number++) {
        PMI_PAGE_CACHE Cache = HalProcessorPcr(Number)->Slots.PageCache;

        Held = MipLockStack(&Cache->Free);
        MipDrainStack(Cache, &Cache->Free, Held, Held);
        Held = MipLockStack(&Cache->Zeroed);
        MipDrainStack(Cache, &Cache->Zeroed, Held, Held);
    }
    KiLowerIrql(OldIrql);
}

/*
 * Bring a batch into a locked stack of Held frames, which has room for it. The free stack takes
 * zeroed frames where there are no others. They come from the lists in their cached state. Returns
 * how many there are then.
 */
static ULONG
MipRefillStack(PMI_PAGE_CACHE Cache, PMI_CACHE_STACK Stack, ULONG Held)
{
    PMI_NODE Node = MiNodes[Cache->Node];
    PFN_NUMBER *Frames = &Stack->Frames[Held];
    SIZE_T Tokens = MipTakeTokens(Cache->Batch, 0, FALSE);
    SIZE_T Taken;

    if (Tokens == 0) {
        return Held;
    }
    if (Stack == &Cache->Zeroed) {
        Taken = MipTakeZeroed(Node, Tokens, MI_STATE_CACHED_ZEROED, Frames);
    } else {
        Taken = MipTakeFree(Node, Tokens, MI_STATE_CACHED_FREE, Frames);
        if (Taken == 0) {
            Taken = MipTakeZeroed(Node, Tokens, MI_STATE_CACHED_FREE, Frames);
        }
    }
    if (Taken < Tokens) {
        MipReturnTokens(Tokens - Taken);
    }
    return Held + (ULONG)Taken;
}

/*
 * Take the newest frame of a locked stack of Held, not 0, and unlock it; the record gets an owner.
 */
static inline PFN_NUMBER
MipPopCached(PMI_PAGE_CACHE Cache, PMI_CACHE_STACK Stack, ULONG Held, MI_PAGE_USE Use)
{
    PFN_NUMBER Frame = Stack->Frames[Held - 1];
    PMMPFN Pfn = MiPfn(Frame);

    MipSetWhere(Pfn, Cache->Where | ((ULONG64)Use << MI_WHERE_USE_SHIFT));
    MipAdvanceState(Pfn, Stack == &Cache->Zeroed ? MI_STATE_CACHED_ZEROED : MI_STATE_CACHED_FREE,
                    MI_STATE_OWNED);
    MipUnlockStack(Stack, Held - 1);
    return Frame;
}

/* --- Handing out ------------------------------------------------------------------------------ */

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

/* Pop from one stack of this processor's cache, refilling it if it is empty. */
static PFN_NUMBER
MipGetStackFrame(PMI_PAGE_CACHE Cache, PMI_CACHE_STACK Stack, BOOLEAN Refill, MI_PAGE_USE Use)
{
    ULONG Held = MipLockStack(Stack);

    if (Held == 0 && Refill) {
        Held = MipRefillStack(Cache, Stack, Held);
    }
    if (Held == 0) {
        MipUnlockStack(Stack, 0);
        return MI_NO_FRAME;
    }
    return MipPopCached(Cache, Stack, Held, Use);
}

/*
 * One frame from the cache of this processor: of the wanted kind if its node has any, else of the
 * other.
 */
static PFN_NUMBER
MipGetRefilledFrame(PMI_PAGE_CACHE Cache, ULONG Flags, MI_PAGE_USE Use, PBOOLEAN Zeroed)
{
    PFN_NUMBER Frame = MI_NO_FRAME;

    *Zeroed = TRUE;
    if ((Flags & MI_GET_ZEROED) != 0) {
        Frame = MipGetStackFrame(Cache, &Cache->Zeroed, TRUE, Use);
    }
    if (Frame == MI_NO_FRAME) {
        *Zeroed = FALSE;
        Frame = MipGetStackFrame(Cache, &Cache->Free, TRUE, Use);
    }
    if (Frame == MI_NO_FRAME) {
        *Zeroed = TRUE;
        Frame = MipGetStackFrame(Cache, &Cache->Zeroed, FALSE, Use);
    }
    return Frame;
}

/*
 * What the cache of this processor did not have at once, and everything while failures are
 * injected. DISPATCH_LEVEL; lowers to OldIrql.
 */
static DECLSPEC_NOINLINE PFN_NUMBER
MipGetFrameSlow(ULONG Flags, ULONG Node, MI_PAGE_USE Use, KIRQL OldIrql)
{
    PMI_PAGE_CACHE Cache = MipCache();
    PFN_NUMBER Frame = MI_NO_FRAME;
    PMI_NODE Candidate;
    BOOLEAN Zeroed = FALSE;

    if (MiInjectFailure()) {
        KiLowerIrql(OldIrql);
        return MI_NO_FRAME;
    }
    for (ULONG Attempt = 0; Attempt < 2 && Frame == MI_NO_FRAME; Attempt++) {
        if (Attempt != 0) {
            MiDrainPageCaches();
        }
        for (ULONG Index = 0; Frame == MI_NO_FRAME; Index++) {
            Candidate = MipNodeInOrder(Node, Index);
            if (Candidate == NULL) {
                break;
            }
            if (Candidate->Number == Cache->Node) {
                Frame = MipGetRefilledFrame(Cache, Flags, Use, &Zeroed);
            }
            if (Frame == MI_NO_FRAME) {
                Frame = MipGetListedFrame(Candidate, Flags, Use, &Zeroed);
            }
        }
    }
    if (Frame != MI_NO_FRAME) {
        MipPrepareContents(Frame, Zeroed, Flags);
    }
    KiLowerIrql(OldIrql);
    return Frame;
}

/* These two are asked often, and never above DISPATCH_LEVEL: no need to look before setting it. */
static inline KIRQL
MipEnterDispatch(VOID)
{
    KIRQL OldIrql = HalGetIrql();

    NT_ASSERT(OldIrql <= DISPATCH_LEVEL);
    HalSetIrql(DISPATCH_LEVEL);
    return OldIrql;
}

/*
 * Take one frame (mi.h has the contract). Node: that node only; with MM_ANY_NODE_OK added that node
 * first; MM_ANY_NODE_OK alone this processor's first.
 */
PFN_NUMBER
MiGetFrame(ULONG Flags, ULONG Node, MI_PAGE_USE Use)
{
    PMI_PAGE_CACHE Cache;
    PMI_CACHE_STACK Stack;
    PFN_NUMBER Frame;
    KIRQL OldIrql;
    ULONG Held;

    OldIrql = MipEnterDispatch();
    if (MiInjectIsActive() || Node != MM_ANY_NODE_OK) {
        return MipGetFrameSlow(Flags, Node, Use, OldIrql);
    }
    Cache = MipCache();
    Stack = (Flags & MI_GET_ZEROED) != 0 ? &Cache->Zeroed : &Cache->Free;
    Held = MipTryLockStack(Stack);
    if (Held - 1 >= MI_CACHE_FRAMES) {
        /* Busy, or empty. */
        if (Held == 0) {
            MipUnlockStack(Stack, 0);
        }
        return MipGetFrameSlow(Flags, Node, Use, OldIrql);
    }
    Frame = MipPopCached(Cache, Stack, Held, Use);
    if ((Flags & MI_GET_ZEROED) != 0) {
        MipCheckZeroed(Frame);
    } else {
        MipCheckPoison(Frame);
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

/* --- Giving back ------------------------------------------------------------------------------ */

/* Free of a frame that is not its owner's to free. P3 is where it is, P4 its reference count. */
static VOID
MipBadFree(PFN_NUMBER Frame, ULONG64 State)
{
    BOOLEAN Owned = MiStateLocation(State) == MiLocationActive && MiStateShares(State) == 0;

    KeBugCheckEx(PFN_LIST_CORRUPT, Owned && MiStateReferences(State) > 1 ? 0x9A : 0x99, Frame,
                 (ULONG_PTR)MiStateLocation(State), MiStateReferences(State));
}

/*
 * The record is not simply "owned": part of a whole extent, a cache attribute to forget, a page to
 * be retired, a lock bit that a stale fault holds, or a mistake. TRUE: try again. FALSE: dealt
 * with.
 */
static DECLSPEC_NOINLINE BOOLEAN
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

/* From owned to cached in one step; FALSE, and *State is what it is, if it was not simply owned. */
static inline BOOLEAN
MipDisown(PFN_NUMBER Frame, ULONG64 *State)
{
    *State = MI_STATE_OWNED;
    return __atomic_compare_exchange_n(&MiPfn(Frame)->State, State,
                                       MI_STATE_CACHED_FREE | MI_FREED_POISON, FALSE,
                                       __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

/* The same for a frame that goes to the lists; FALSE if it went elsewhere. No lock held. */
BOOLEAN
MipDisownFrame(PFN_NUMBER Frame)
{
    ULONG64 State;

    HalFrameReleased(Frame);
    MipPoisonFrame(Frame);
    while (!MipDisown(Frame, &State)) {
        if (!MipFixFreedState(Frame, State)) {
            return FALSE;
        }
    }
    return TRUE;
}

/* A disowned frame goes into the cache; to the lists if it is of another node. */
static VOID
MipCacheFrame(PMI_PAGE_CACHE Cache, PFN_NUMBER Frame)
{
    PMI_NODE Node = MipPfnNode(MiPfn(Frame));
    ULONG Held;

    if (Node->Number != Cache->Node) {
        MipPushFrames(Node, &Frame, 1, MiLocationFree);
        MipReturnTokens(1);
        return;
    }
    Held = MipLockStack(&Cache->Free);
    if (Held == Cache->Capacity) {
        MipDrainStack(Cache, &Cache->Free, Held, Cache->Batch);
        Held = MipLockStack(&Cache->Free);
    }
    Cache->Free.Frames[Held] = Frame;
    MipUnlockStack(&Cache->Free, Held + 1);
}

/*
 * The frame is not simply owned: put its record right, if that is in order, and free it then. Or it
 * is (State) cached already, and only its number has no place yet. Lowers to OldIrql.
 */
static DECLSPEC_NOINLINE VOID
MipFreeFrameSlow(PFN_NUMBER Frame, ULONG64 State, KIRQL OldIrql)
{
    BOOLEAN Cached = State == MI_STATE_OWNED;

    while (!Cached && MipFixFreedState(Frame, State)) {
        Cached = MipDisown(Frame, &State);
    }
    if (Cached) {
        MipCacheFrame(MipCache(), Frame);
    }
    KiLowerIrql(OldIrql);
}

VOID
MiFreeFrame(PFN_NUMBER Frame)
{
    KIRQL OldIrql = MipEnterDispatch();
    PMI_PAGE_CACHE Cache = MipCache();
    ULONG64 State;
    ULONG Held;

    HalFrameReleased(Frame);
    MipPoisonFrame(Frame);
    if (!MipDisown(Frame, &State) ||
        (MiPfnWhere(Frame) ^ Cache->Where) >> MI_WHERE_NODE_SHIFT != 0) {
        MipFreeFrameSlow(Frame, State, OldIrql);
        return;
    }
    Held = MipTryLockStack(&Cache->Free);
    if (Held >= Cache->Capacity) {
        /* Busy, or full. */
        if (Held != MI_STACK_BUSY) {
            MipUnlockStack(&Cache->Free, Held);
        }
        MipFreeFrameSlow(Frame, State, OldIrql);
        return;
    }
    Cache->Free.Frames[Held] = Frame;
    MipUnlockStack(&Cache->Free, Held + 1);
    KiLowerIrql(OldIrql);
}

VOID
MiFreeFrames(const PFN_NUMBER *Frames, SIZE_T Count)
{
    for (SIZE_T Index = 0; Index < Count; Index++) {
        MiFreeFrame(Frames[Index]);
    }
}
