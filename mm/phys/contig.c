/*
 * Physically contiguous runs, and whole extents of 2 MB.
 *
 * A search never moves a page. It looks for a place where every frame can be had, claims the frames
 * one by one, and gives them back and looks on if another processor was faster:
 *
 *   1. whole extents (requests of 2 MB): one freed earlier, or a virgin one. Only the first
 *      record is written, so this costs the same as one page;
 *   2. small runs: near the place where the last one was found, among zeroed and free pages;
 *   3. virgin extents: the run is cut from one and the rest goes to the lists;
 *   4. everywhere, after all processors' caches were drained: virgin, zeroed and free pages;
 *   5. everywhere, standby pages too.
 *
 * Tokens for the whole run are taken first, so a request cannot start to eat memory that is not
 * there. At DISPATCH_LEVEL or below; no lock is held between two frames; nothing blocks. A request
 * that fails leaves every page where a free page may be.
 */
#include "physp.h"

/* Where a search may take frames from. */
#define MIP_FROM_VIRGIN 0x1u
#define MIP_FROM_LISTS 0x2u
#define MIP_FROM_STANDBY 0x4u

#define MIP_HINT_EXTENTS 4u     /* how far from the last find a small run is looked for */
#define MIP_FREE_BATCH 32u      /* frames given to the lists at a time */
#define MIP_ROUNDS 3u           /* full searches, if each was spoiled by another processor */

typedef struct _MI_RUN_REQUEST {
    ULONG Flags;                /* MI_GET_* */
    MI_PAGE_USE Use;
    SIZE_T PageCount;
    PFN_NUMBER Lowest;
    PFN_NUMBER Highest;
    SIZE_T AlignPages;
    SIZE_T BoundaryPages;       /* 0: none */
    ULONG From;                 /* MIP_FROM_* of this pass */
    BOOLEAN Spoiled;            /* a place was found and lost */
} MI_RUN_REQUEST, *PMI_RUN_REQUEST;

/* --- Placing ---------------------------------------------------------------------------------- */

/* First allowed start at or after Frame: aligned, and not crossing the boundary. */
static PFN_NUMBER
MipPlaceRun(const MI_RUN_REQUEST *Request, PFN_NUMBER Frame)
{
    SIZE_T Boundary = Request->BoundaryPages;

    Frame = (Frame + Request->AlignPages - 1) & ~(Request->AlignPages - 1);
    if (Boundary != 0 && (Frame & ~(Boundary - 1)) !=
                             ((Frame + Request->PageCount - 1) & ~(Boundary - 1))) {
        Frame = (Frame + Boundary - 1) & ~(Boundary - 1);
        Frame = (Frame + Request->AlignPages - 1) & ~(Request->AlignPages - 1);
    }
    return Frame;
}

static BOOLEAN
MipLocationServes(const MI_RUN_REQUEST *Request, MI_LOCATION Location)
{
    switch (Location) {
    case MiLocationZeroed:
    case MiLocationFree:
        return (Request->From & MIP_FROM_LISTS) != 0;
    case MiLocationStandby:
        return (Request->From & MIP_FROM_STANDBY) != 0;
    default:
        return FALSE;
    }
}

/*
 * Look at [Start, Start + PageCount) from its end. MI_NO_FRAME if all of it can be had, else the
 * last frame that cannot: the next place begins after it.
 */
static PFN_NUMBER
MipFindObstacle(PMI_RANGE Range, const MI_RUN_REQUEST *Request, PFN_NUMBER Start)
{
    PFN_NUMBER Frame = Start + Request->PageCount - 1;

    for (;;) {
        SIZE_T Index = MipExtentIndex(Range, Frame);
        PFN_NUMBER First = MipExtentFirst(Range, Index);
        PFN_NUMBER Last = First + MipExtentPages(Range, Index) - 1;

        switch (MipExtentState(Range, Index)) {
        case MiExtentCarved:
            if ((Request->From & (MIP_FROM_LISTS | MIP_FROM_STANDBY)) == 0) {
                return Last;
            }
            for (; Frame >= First && Frame >= Start; Frame--) {
                if (!MipLocationServes(Request, MiFrameLocation(Frame))) {
                    return Frame;
                }
                if (Frame == 0) {
                    return MI_NO_FRAME;
                }
            }
            break;
        case MiExtentVirgin:
        case MiExtentWholeFree:
            if ((Request->From & MIP_FROM_VIRGIN) == 0) {
                return Last;
            }
            break;
        default:
            return Last;
        }
        if (First <= Start) {
            return MI_NO_FRAME;
        }
        Frame = First - 1;
    }
}

/* First place at or after From, wholly at or before Limit, that looks free; MI_NO_FRAME if none. */
static PFN_NUMBER
MipFindRun(PMI_RANGE Range, const MI_RUN_REQUEST *Request, PFN_NUMBER From, PFN_NUMBER Limit)
{
    PFN_NUMBER Start = From;
    PFN_NUMBER Obstacle;

    for (;;) {
        Start = MipPlaceRun(Request, Start);
        if (Start > Limit || Limit - Start < Request->PageCount - 1) {
            return MI_NO_FRAME;
        }
        Obstacle = MipFindObstacle(Range, Request, Start);
        if (Obstacle == MI_NO_FRAME) {
            return Start;
        }
        Start = Obstacle + 1;
    }
}

/* --- Claiming --------------------------------------------------------------------------------- */

/* Make the first record of a claimed extent say that all of it is owned. */
static VOID
MipOwnWholeExtent(PMI_RANGE Range, SIZE_T Index, MI_PAGE_USE Use)
{
    PMMPFN Pfn = MiPfn(MipExtentFirst(Range, Index));

    Pfn->OriginalPte = MiMakeZeroPte();
    Pfn->Table = 0;
    MipSetWhere(Pfn, MipWhereOf(Range->Node->Number, Use));
    __atomic_store_n(&Pfn->State, MI_STATE_OWNED | MI_PFN_LARGE, __ATOMIC_RELEASE);
    MipPublishExtent(Range, Index, MiExtentWhole);
}

static VOID
MipZeroExtent(PMI_RANGE Range, SIZE_T Index)
{
    PFN_NUMBER First = MipExtentFirst(Range, Index);

    for (PFN_NUMBER Frame = First; Frame < First + MI_EXTENT_PAGES; Frame++) {
        MiZeroFrame(Frame);
    }
}

/*
 * Own a virgin or free extent as a whole. Memory whose records were never written may hold anything
 * there: they are cleared, so that a look at one says "no record of its own".
 */
static BOOLEAN
MipClaimWholeExtent(PMI_RANGE Range, SIZE_T Index, MI_EXTENT_STATE From, ULONG Flags,
                    MI_PAGE_USE Use)
{
    BOOLEAN Zeroed = From == MiExtentVirgin && Range->Type == HalMemoryZero;

    if (!MipClaimExtent(Range, Index, From)) {
        return FALSE;
    }
    if (From == MiExtentVirgin && Range->Type != HalMemoryZero) {
        RtlZeroMemory(MiPfn(MipExtentFirst(Range, Index)), MI_EXTENT_PAGES * sizeof(MMPFN));
    }
    MipOwnWholeExtent(Range, Index, Use);
    if ((Flags & MI_GET_ZEROED) != 0 && !Zeroed) {
        MipZeroExtent(Range, Index);
    }
    return TRUE;
}

/* Claim one page of a carved extent. */
static BOOLEAN
MipClaimRunFrame(const MI_RUN_REQUEST *Request, PFN_NUMBER Frame)
{
    BOOLEAN Zeroed;

    if (!MipClaimFrame(Frame, (Request->From & MIP_FROM_STANDBY) != 0, &Zeroed)) {
        return FALSE;
    }
    MipResetWhere(MiPfn(Frame), Request->Use);
    if (Zeroed) {
        MipCheckZeroed(Frame);
    } else {
        MipCheckPoison(Frame);
        if ((Request->Flags & MI_GET_ZEROED) != 0) {
            MiZeroFrame(Frame);
        }
    }
    return TRUE;
}

/*
 * Claim [Frame, End), which lies in one extent. Returns the first frame that could not be had, or
 * End.
 */
static PFN_NUMBER
MipClaimInExtent(PMI_RANGE Range, const MI_RUN_REQUEST *Request, PFN_NUMBER Frame, PFN_NUMBER End)
{
    SIZE_T Index = MipExtentIndex(Range, Frame);

    for (;;) {
        MI_EXTENT_STATE State = MipExtentState(Range, Index);

        switch (State) {
        case MiExtentCarved:
            for (; Frame < End && MipClaimRunFrame(Request, Frame); Frame++) {
            }
            return Frame;
        case MiExtentVirgin:
        case MiExtentWholeFree:
            if (End - Frame == MI_EXTENT_PAGES) {
                if (MipClaimWholeExtent(Range, Index, State, Request->Flags, Request->Use)) {
                    return End;
                }
            } else {
                MiEnsureFrameRecord(Frame);
            }
            break;
        case MiExtentClaimed:
            HalPause();
            break;
        default:
            return Frame;
        }
    }
}

/* Give back what a spoiled attempt had claimed; its tokens stay with the request. */
static VOID
MipReleaseRun(PMI_RANGE Range, PFN_NUMBER Frame, PFN_NUMBER End)
{
    for (; Frame < End; Frame++) {
        MiEnsureFrameRecord(Frame);
        MipPushFrames(Range->Node, &Frame, 1, MiLocationFree);
    }
}

/* Claim a whole run; FALSE, and nothing is claimed, if a frame of it went elsewhere. */
static BOOLEAN
MipClaimRun(PMI_RANGE Range, PMI_RUN_REQUEST Request, PFN_NUMBER Start)
{
    PFN_NUMBER End = Start + Request->PageCount;
    PFN_NUMBER Frame = Start;
    PFN_NUMBER Part;
    PFN_NUMBER Got;

    while (Frame < End) {
        Part = ((Frame >> MI_EXTENT_SHIFT) + 1) << MI_EXTENT_SHIFT;
        Part = Part < End ? Part : End;
        Got = MipClaimInExtent(Range, Request, Frame, Part);
        if (Got != Part) {
            MipReleaseRun(Range, Start, Got);
            Request->Spoiled = TRUE;
            return FALSE;
        }
        Frame = Part;
    }
    return TRUE;
}

/* --- Searching -------------------------------------------------------------------------------- */

/* Find and claim a run in the part of a range that lies in [Lowest, Highest]. */
static PFN_NUMBER
MipSearchPart(PMI_RANGE Range, PMI_RUN_REQUEST Request, PFN_NUMBER Lowest, PFN_NUMBER Highest)
{
    PFN_NUMBER From = Lowest > Range->Base ? Lowest : Range->Base;
    PFN_NUMBER Limit = Highest < Range->End - 1 ? Highest : Range->End - 1;
    PFN_NUMBER Start;

    while ((Start = MipFindRun(Range, Request, From, Limit)) != MI_NO_FRAME) {
        if (MipClaimRun(Range, Request, Start)) {
            return Start;
        }
        From = Start + 1;
    }
    return MI_NO_FRAME;
}

/* One pass over all ranges of a node. */
static PFN_NUMBER
MipSearchNode(PMI_NODE Node, PMI_RUN_REQUEST Request, ULONG From)
{
    ULONG Count = __atomic_load_n(&MiRangeCount, __ATOMIC_ACQUIRE);
    PFN_NUMBER Start;

    Request->From = From;
    for (ULONG Number = 0; Number < Count; Number++) {
        PMI_RANGE Range = &MiRanges[Number];

        if (Range->Node != Node || !MipRangeIsUsable(Range)) {
            continue;
        }
        Start = MipSearchPart(Range, Request, Request->Lowest, Request->Highest);
        if (Start != MI_NO_FRAME) {
            return Start;
        }
    }
    return MI_NO_FRAME;
}

/* A small run near the last one. */
static PFN_NUMBER
MipSearchNearHint(PMI_NODE Node, PMI_RUN_REQUEST Request)
{
    PFN_NUMBER Found = __atomic_load_n(&Node->RunHint, __ATOMIC_RELAXED);
    PFN_NUMBER Hint = Found & ~(MI_EXTENT_PAGES - 1);
    PFN_NUMBER Last = Hint + MIP_HINT_EXTENTS * MI_EXTENT_PAGES - 1;
    PMI_RANGE Range = MipFindRange(Found);

    if (Range == NULL || Range->Node != Node || !MipRangeIsUsable(Range)) {
        return MI_NO_FRAME;
    }
    Request->From = MIP_FROM_LISTS;
    return MipSearchPart(Range, Request, Hint > Request->Lowest ? Hint : Request->Lowest,
                         Last < Request->Highest ? Last : Request->Highest);
}

static BOOLEAN
MipRunSuits(const MI_RUN_REQUEST *Request, PFN_NUMBER Start)
{
    return Start >= Request->Lowest && Start + Request->PageCount - 1 <= Request->Highest &&
           MipPlaceRun(Request, Start) == Start;
}

/* One extent, aligned: the newest on the list of free ones if it suits, in constant time. */
static PFN_NUMBER
MipTakeWholeFreeExtent(PMI_NODE Node, PMI_RUN_REQUEST Request)
{
    ULONG Head = __atomic_load_n(&Node->WholeFree.Head, __ATOMIC_RELAXED);
    PFN_NUMBER Start;
    PMI_RANGE Range;

    if (Head == 0) {
        return MI_NO_FRAME;
    }
    Start = Node->Base + Head - 1;
    Range = MipFindRange(Start);
    if (MipRunSuits(Request, Start) &&
        MipClaimWholeExtent(Range, MipExtentIndex(Range, Start), MiExtentWholeFree, Request->Flags,
                            Request->Use)) {
        return Start;
    }
    return MI_NO_FRAME;
}

/* One extent, aligned: the next virgin one of a range that suits. */
static PFN_NUMBER
MipTakeVirginExtent(PMI_RANGE Range, PMI_RUN_REQUEST Request)
{
    SIZE_T Index = __atomic_load_n(&Range->WholeCursor, __ATOMIC_RELAXED);
    BOOLEAN Skipped = FALSE;
    PFN_NUMBER Start;

    for (; Index < Range->ExtentCount; Index++) {
        Start = MipExtentFirst(Range, Index);
        if (MipExtentState(Range, Index) != MiExtentVirgin ||
            MipExtentPages(Range, Index) != MI_EXTENT_PAGES) {
            continue;
        }
        if (!MipRunSuits(Request, Start)) {
            if (Start > Request->Highest) {
                return MI_NO_FRAME;
            }
            Skipped = TRUE;
            continue;
        }
        if (MipClaimWholeExtent(Range, Index, MiExtentVirgin, Request->Flags, Request->Use)) {
            if (!Skipped) {
                __atomic_store_n(&Range->WholeCursor, Index + 1, __ATOMIC_RELAXED);
            }
            return Start;
        }
    }
    return MI_NO_FRAME;
}

/*
 * A request for exactly one extent: freed ones first, virgin ones first of all if zeroes are
 * wanted.
 */
static PFN_NUMBER
MipTakeExtent(PMI_NODE Node, PMI_RUN_REQUEST Request)
{
    ULONG Count = __atomic_load_n(&MiRangeCount, __ATOMIC_ACQUIRE);
    PFN_NUMBER Start = MI_NO_FRAME;

    if ((Request->Flags & MI_GET_ZEROED) == 0) {
        Start = MipTakeWholeFreeExtent(Node, Request);
    }
    for (ULONG Number = 0; Start == MI_NO_FRAME && Number < Count; Number++) {
        if (MiRanges[Number].Node == Node && MipRangeIsUsable(&MiRanges[Number])) {
            Start = MipTakeVirginExtent(&MiRanges[Number], Request);
        }
    }
    if (Start == MI_NO_FRAME && (Request->Flags & MI_GET_ZEROED) != 0) {
        Start = MipTakeWholeFreeExtent(Node, Request);
    }
    return Start;
}

/* The cheap places of a node. */
static PFN_NUMBER
MipSearchFast(PMI_NODE Node, PMI_RUN_REQUEST Request)
{
    PFN_NUMBER Start = MI_NO_FRAME;

    if (Request->PageCount == MI_EXTENT_PAGES) {
        Start = MipTakeExtent(Node, Request);
    } else if (Request->PageCount < MI_EXTENT_PAGES) {
        Start = MipSearchNearHint(Node, Request);
    }
    if (Start == MI_NO_FRAME) {
        Start = MipSearchNode(Node, Request, MIP_FROM_VIRGIN);
        if (Start == MI_NO_FRAME) {
            Start = MipSearchNode(Node, Request, MIP_FROM_VIRGIN | MIP_FROM_LISTS);
        }
    }
    return Start;
}

/* All nodes of the request in order, with one set of sources. */
static PFN_NUMBER
MipSearchAllNodes(ULONG Node, PMI_RUN_REQUEST Request, ULONG From)
{
    PMI_NODE Candidate;
    PFN_NUMBER Start;

    for (ULONG Index = 0; (Candidate = MipNodeInOrder(Node, Index)) != NULL; Index++) {
        Start = From == 0 ? MipSearchFast(Candidate, Request)
                          : MipSearchNode(Candidate, Request, From);
        if (Start != MI_NO_FRAME) {
            if (Request->PageCount < MI_EXTENT_PAGES) {
                __atomic_store_n(&Candidate->RunHint, Start, __ATOMIC_RELAXED);
            }
            return Start;
        }
    }
    return MI_NO_FRAME;
}

static PFN_NUMBER
MipSearchRun(ULONG Node, PMI_RUN_REQUEST Request)
{
    ULONG Lists = MIP_FROM_VIRGIN | MIP_FROM_LISTS;
    PFN_NUMBER Start = MipSearchAllNodes(Node, Request, 0);

    for (ULONG Round = 0; Start == MI_NO_FRAME && Round < MIP_ROUNDS; Round++) {
        Request->Spoiled = FALSE;
        MiDrainPageCaches();
        Start = MipSearchAllNodes(Node, Request, Lists);
        if (Start == MI_NO_FRAME) {
            Start = MipSearchAllNodes(Node, Request, Lists | MIP_FROM_STANDBY);
        }
        if (!Request->Spoiled && !MipExtentsInMotion()) {
            break;
        }
    }
    return Start;
}

PFN_NUMBER
MiGetContiguousFrames(ULONG Flags, ULONG Node, MI_PAGE_USE Use, SIZE_T PageCount, PFN_NUMBER Lowest,
                      PFN_NUMBER Highest, SIZE_T AlignPages, SIZE_T BoundaryPages)
{
    MI_RUN_REQUEST Request = {
        .Flags = Flags,
        .Use = Use,
        .PageCount = PageCount,
        .Lowest = Lowest,
        .Highest = Highest < MiHighestFrame ? Highest : MiHighestFrame,
        .AlignPages = AlignPages == 0 ? 1 : AlignPages,
        .BoundaryPages = BoundaryPages,
    };
    PFN_NUMBER Start;
    KIRQL OldIrql;

    NT_ASSERT((Request.AlignPages & (Request.AlignPages - 1)) == 0);
    NT_ASSERT((BoundaryPages & (BoundaryPages - 1)) == 0);
    if (PageCount == 0 || Lowest > Request.Highest || Request.Highest - Lowest < PageCount - 1 ||
        (BoundaryPages != 0 && PageCount > BoundaryPages) ||
        Request.AlignPages > MiHighestFrame + 1 || MiInjectFailure()) {
        return MI_NO_FRAME;
    }
    OldIrql = KiRaiseIrqlToDispatch();
    if (MipTakeTokens(PageCount, Flags, TRUE) == 0) {
        MiDrainPageCaches();
        if (MipTakeTokens(PageCount, Flags, TRUE) == 0) {
            KiLowerIrql(OldIrql);
            return MI_NO_FRAME;
        }
    }
    Start = MipSearchRun(Node, &Request);
    if (Start == MI_NO_FRAME) {
        MipReturnTokens(PageCount);
    }
    KiLowerIrql(OldIrql);
    return Start;
}

/* --- Giving back ------------------------------------------------------------------------------ */

/* Free an extent that is owned as a whole and simply owned; FALSE if page by page is the way. */
static BOOLEAN
MipFreeWholeExtent(PMI_RANGE Range, SIZE_T Index)
{
    PFN_NUMBER First = MipExtentFirst(Range, Index);
    PMI_NODE Node = Range->Node;
    PMMPFN Pfn = MiPfn(First);

    if (MiPfnState(First) != (MI_STATE_OWNED | MI_PFN_LARGE) ||
        !MipClaimExtent(Range, Index, MiExtentWhole)) {
        return FALSE;
    }
    for (PFN_NUMBER Frame = First; Frame < First + MI_EXTENT_PAGES; Frame++) {
        HalFrameReleased(Frame);
    }
    KiAcquireRankedLock(&Node->WholeFree.Lock, LockRankPageList);
    MipSetWhere(Pfn, MipWhereOf(Node->Number, 0));
    __atomic_store_n(&Pfn->State, MI_LOCATION_BITS(MiLocationWholeFree), __ATOMIC_RELEASE);
    MipLinkHead(Node, &Node->WholeFree, First);
    MipPublishExtent(Range, Index, MiExtentWholeFree);
    KiReleaseRankedLock(&Node->WholeFree.Lock);
    MipReturnTokens(MI_EXTENT_PAGES);
    return TRUE;
}

/*
 * Free [Frame, End), of one range, page by page; straight to the lists, so that the run stays
 * together.
 */
static VOID
MipFreeRunFrames(PMI_RANGE Range, PFN_NUMBER Frame, PFN_NUMBER End)
{
    PFN_NUMBER Frames[MIP_FREE_BATCH];
    SIZE_T Count = 0;

    for (; Frame < End; Frame++) {
        if (MipDisownFrame(Frame)) {
            Frames[Count++] = Frame;
        }
        if (Count == MIP_FREE_BATCH || (Frame + 1 == End && Count != 0)) {
            MipPushFrames(Range->Node, Frames, Count, MiLocationFree);
            MipReturnTokens(Count);
            Count = 0;
        }
    }
}

VOID
MiFreeContiguousFrames(PFN_NUMBER FirstFrame, SIZE_T PageCount)
{
    PFN_NUMBER Frame = FirstFrame;
    PFN_NUMBER End = FirstFrame + PageCount;
    PMI_RANGE Range = MipFindRange(FirstFrame);
    KIRQL OldIrql;

    NT_ASSERT(Range != NULL && End <= Range->End);
    OldIrql = KiRaiseIrqlToDispatch();
    while (Frame < End) {
        SIZE_T Index = MipExtentIndex(Range, Frame);
        PFN_NUMBER Part = MipExtentFirst(Range, Index) + MipExtentPages(Range, Index);

        Part = Part < End ? Part : End;
        if (Part - Frame != MI_EXTENT_PAGES || MipExtentState(Range, Index) != MiExtentWhole ||
            !MipFreeWholeExtent(Range, Index)) {
            MipFreeRunFrames(Range, Frame, Part);
        }
        Frame = Part;
    }
    KiLowerIrql(OldIrql);
}
