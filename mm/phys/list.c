/*
 * Page lists: doubly linked through the records, each with its own lock. Zeroed and free pages are
 * split by colour (low bits of the frame), standby by priority, all by node.
 *
 * A page's Location says on which kind of list it is, and changes under that list's lock, so who
 * finds the Location he looked for under the lock may unlink the page. For standby, modified and
 * bad pages the PFN lock bit is held as well. Links count from the first frame of the node: 32 bits
 * serve 16 TB of each. DISPATCH_LEVEL throughout.
 */
#include "physp.h"

VOID
MipInitializeList(PMI_PAGE_LIST List, MI_LOCATION Location, ULONG PagesEach)
{
    List->Lock = 0;
    List->Count = 0;
    List->Head = 0;
    List->Tail = 0;
    List->Location = Location;
    List->PagesEach = PagesEach;
}

VOID
MipInitializeNode(PMI_NODE Node, ULONG Number, PFN_NUMBER Base)
{
    for (ULONG Colour = 0; Colour < MI_COLOUR_COUNT; Colour++) {
        MipInitializeList(&Node->Zeroed[Colour], MiLocationZeroed, 1);
        MipInitializeList(&Node->Free[Colour], MiLocationFree, 1);
    }
    for (ULONG Priority = 0; Priority < MI_PRIORITY_COUNT; Priority++) {
        MipInitializeList(&Node->Standby[Priority], MiLocationStandby, 1);
    }
    MipInitializeList(&Node->Modified, MiLocationModified, 1);
    MipInitializeList(&Node->ModifiedNoWrite, MiLocationModifiedNoWrite, 1);
    MipInitializeList(&Node->Bad, MiLocationBad, 1);
    MipInitializeList(&Node->WholeFree, MiLocationWholeFree, MI_EXTENT_PAGES);
    Node->Base = Base;
    Node->Number = Number;
    Node->TransitionPages = 0;
    Node->RunHint = Base;
}

/* The list a page of this Location belongs on. */
PMI_PAGE_LIST
MipListOf(PMI_NODE Node, PFN_NUMBER Frame, MI_LOCATION Location)
{
    switch (Location) {
    case MiLocationZeroed:
        return &Node->Zeroed[MipColour(Frame)];
    case MiLocationFree:
        return &Node->Free[MipColour(Frame)];
    case MiLocationStandby:
        return &Node->Standby[MipFramePriority(Frame)];
    case MiLocationModified:
        return &Node->Modified;
    case MiLocationModifiedNoWrite:
        return &Node->ModifiedNoWrite;
    case MiLocationWholeFree:
        return &Node->WholeFree;
    default:
        MI_ASSERT(Location == MiLocationBad);
        return &Node->Bad;
    }
}

/* --- Links ------------------------------------------------------------------------------------ */

static inline PMMPFN
MipLinkPfn(PMI_NODE Node, ULONG Link)
{
    return MiPfn(Node->Base + Link - 1);
}

static inline ULONG
MipLinkOf(PMI_NODE Node, PFN_NUMBER Frame)
{
    return (ULONG)(Frame - Node->Base + 1);
}

/* The count is read without the lock, as a hint. */
static inline VOID
MipAddToCount(PMI_PAGE_LIST List, SIZE_T Pages)
{
    __atomic_store_n(&List->Count, List->Count + Pages, __ATOMIC_RELAXED);
}

static inline VOID
MipSetHead(PMI_PAGE_LIST List, ULONG Link)
{
    __atomic_store_n(&List->Head, Link, __ATOMIC_RELAXED);
}

VOID
MipLinkHead(PMI_NODE Node, PMI_PAGE_LIST List, PFN_NUMBER Frame)
{
    PMMPFN Pfn = MiPfn(Frame);
    ULONG Link = MipLinkOf(Node, Frame);

    Pfn->Blink = 0;
    Pfn->Flink = List->Head;
    if (List->Head != 0) {
        MipLinkPfn(Node, List->Head)->Blink = Link;
    } else {
        List->Tail = Link;
    }
    MipSetHead(List, Link);
    MipAddToCount(List, List->PagesEach);
}

VOID
MipLinkTail(PMI_NODE Node, PMI_PAGE_LIST List, PFN_NUMBER Frame)
{
    PMMPFN Pfn = MiPfn(Frame);
    ULONG Link = MipLinkOf(Node, Frame);

    Pfn->Flink = 0;
    Pfn->Blink = List->Tail;
    if (List->Tail != 0) {
        MipLinkPfn(Node, List->Tail)->Flink = Link;
    } else {
        MipSetHead(List, Link);
    }
    List->Tail = Link;
    MipAddToCount(List, List->PagesEach);
}

/* Links that do not point back at the page mean that somebody wrote into the database. */
static VOID
MipCheckLinks(PMI_NODE Node, PMI_PAGE_LIST List, PFN_NUMBER Frame)
{
    PMMPFN Pfn = MiPfn(Frame);
    ULONG Link = MipLinkOf(Node, Frame);
    ULONG Before = Pfn->Blink == 0 ? List->Head : MipLinkPfn(Node, Pfn->Blink)->Flink;
    ULONG After = Pfn->Flink == 0 ? List->Tail : MipLinkPfn(Node, Pfn->Flink)->Blink;

    if (Before != Link || After != Link) {
        KeBugCheckEx(PFN_LIST_CORRUPT, 0x8F, Frame, Pfn->Flink, Pfn->Blink);
    }
}

VOID
MipUnlink(PMI_NODE Node, PMI_PAGE_LIST List, PFN_NUMBER Frame)
{
    PMMPFN Pfn = MiPfn(Frame);

    MipCheckLinks(Node, List, Frame);
    if (Pfn->Blink != 0) {
        MipLinkPfn(Node, Pfn->Blink)->Flink = Pfn->Flink;
    } else {
        MipSetHead(List, Pfn->Flink);
    }
    if (Pfn->Flink != 0) {
        MipLinkPfn(Node, Pfn->Flink)->Blink = Pfn->Blink;
    } else {
        List->Tail = Pfn->Blink;
    }
    MipAddToCount(List, (SIZE_T)0 - List->PagesEach);
    Pfn->Table = 0;
}

/* --- One page --------------------------------------------------------------------------------- */

VOID
MipInsertPage(PFN_NUMBER Frame, MI_LOCATION Location, ULONG64 Clear)
{
    PMMPFN Pfn = MiPfn(Frame);
    PMI_NODE Node = MipPfnNode(Pfn);
    PMI_PAGE_LIST List = MipListOf(Node, Frame, Location);

    KiAcquireRankedLock(&List->Lock, LockRankPageList);
    MipChangeState(Pfn, MI_PFN_LOCATION_MASK | Clear, MI_LOCATION_BITS(Location));
    MipLinkTail(Node, List, Frame);
    KiReleaseRankedLock(&List->Lock);
    if (Location == MiLocationStandby) {
        MipReturnTokens(1);
    }
}

VOID
MipRemovePage(PFN_NUMBER Frame, ULONG64 Clear, ULONG64 Set)
{
    PMMPFN Pfn = MiPfn(Frame);
    PMI_NODE Node = MipPfnNode(Pfn);
    MI_LOCATION Location = MiFrameLocation(Frame);
    PMI_PAGE_LIST List = MipListOf(Node, Frame, Location);

    if (Location == MiLocationStandby) {
        __atomic_fetch_sub(&MiListedPages, 1, __ATOMIC_RELAXED);
    }
    KiAcquireRankedLock(&List->Lock, LockRankPageList);
    MI_ASSERT(MiFrameLocation(Frame) == Location);
    MipUnlink(Node, List, Frame);
    MipChangeState(Pfn, Clear, Set);
    KiReleaseRankedLock(&List->Lock);
}

/* --- Many ------------------------------------------------------------------------------------- */

/* Put a chain (singly linked through Flink, Count long) in front of a list. */
static VOID
MipSpliceChain(PMI_NODE Node, PMI_PAGE_LIST List, ULONG Head, ULONG Tail, SIZE_T Count)
{
    ULONG Before = 0;

    KiAcquireRankedLock(&List->Lock, LockRankPageList);
    MipLinkPfn(Node, Tail)->Flink = List->Head;
    for (ULONG Link = Head; Before != Tail; Link = MipLinkPfn(Node, Link)->Flink) {
        PMMPFN Pfn = MipLinkPfn(Node, Link);

        MipChangeState(Pfn, ~(MI_PFN_LOCK | MI_PFN_POISONED), MI_LOCATION_BITS(List->Location));
        Pfn->Blink = Before;
        Before = Link;
    }
    if (List->Head != 0) {
        MipLinkPfn(Node, List->Head)->Blink = Tail;
    } else {
        List->Tail = Tail;
    }
    MipSetHead(List, Head);
    MipAddToCount(List, Count);
    KiReleaseRankedLock(&List->Lock);
}

VOID
MipPushFrames(PMI_NODE Node, const PFN_NUMBER *Frames, SIZE_T Count, MI_LOCATION Location)
{
    ULONG Heads[MI_COLOUR_COUNT] = {0};
    ULONG Tails[MI_COLOUR_COUNT];
    ULONG Counts[MI_COLOUR_COUNT];

    for (SIZE_T Index = 0; Index < Count; Index++) {
        ULONG Colour = MipColour(Frames[Index]);
        ULONG Link = MipLinkOf(Node, Frames[Index]);

        if (Heads[Colour] == 0) {
            Tails[Colour] = Link;
            Counts[Colour] = 0;
        }
        MiPfn(Frames[Index])->Flink = Heads[Colour];
        Heads[Colour] = Link;
        Counts[Colour] += 1;
    }
    for (ULONG Colour = 0; Colour < MI_COLOUR_COUNT; Colour++) {
        if (Heads[Colour] != 0) {
            MipSpliceChain(Node,
                           Location == MiLocationZeroed ? &Node->Zeroed[Colour]
                                                        : &Node->Free[Colour],
                           Heads[Colour], Tails[Colour], Counts[Colour]);
        }
    }
}

/* Take up to Count frames from the head of one list. */
static SIZE_T
MipPopList(PMI_NODE Node, PMI_PAGE_LIST List, SIZE_T Count, ULONG64 Target, PFN_NUMBER *Frames)
{
    ULONG Link;
    SIZE_T Taken = 0;

    KiAcquireRankedLock(&List->Lock, LockRankPageList);
    for (Link = List->Head; Link != 0 && Taken < Count; Taken++) {
        PMMPFN Pfn = MipLinkPfn(Node, Link);

        Frames[Taken] = Node->Base + Link - 1;
        Link = Pfn->Flink;
        Pfn->Table = 0;
        MipAdvanceState(Pfn, MI_LOCATION_BITS(List->Location), Target);
    }
    MipSetHead(List, Link);
    if (Link != 0) {
        MipLinkPfn(Node, Link)->Blink = 0;
    } else {
        List->Tail = 0;
    }
    MipAddToCount(List, (SIZE_T)0 - Taken);
    KiReleaseRankedLock(&List->Lock);
    return Taken;
}

SIZE_T
MipTakeListed(PMI_NODE Node, MI_LOCATION Location, SIZE_T Count, ULONG64 Target, PFN_NUMBER *Frames)
{
    PMI_PAGE_LIST Lists = Location == MiLocationZeroed ? Node->Zeroed : Node->Free;
    ULONG First = PcrRead32(Number) * 5;
    SIZE_T Taken = 0;

    for (ULONG Step = 0; Step < MI_COLOUR_COUNT && Taken < Count; Step++) {
        PMI_PAGE_LIST List = &Lists[(First + Step) & (MI_COLOUR_COUNT - 1)];

        if (MipListPages(List) != 0) {
            Taken += MipPopList(Node, List, Count - Taken, Target, Frames + Taken);
        }
    }
    return Taken;
}

/* --- Standby ---------------------------------------------------------------------------------- */

/*
 * Lock and unlink the oldest page of a standby list whose PFN bit is free. The order is PFN bit
 * before list, so here the bit is only tried: who holds it wants this list lock, and its page is no
 * victim.
 */
static PFN_NUMBER
MipPopStandby(PMI_NODE Node, PMI_PAGE_LIST List)
{
    PFN_NUMBER Frame = MI_NO_FRAME;

    KiAcquireRankedLock(&List->Lock, LockRankPageList);
    for (ULONG Link = List->Head; Link != 0; Link = MipLinkPfn(Node, Link)->Flink) {
        if (MiTryLockPfn(Node->Base + Link - 1)) {
            Frame = Node->Base + Link - 1;
            MipUnlink(Node, List, Frame);
            MipChangeState(MiPfn(Frame), MI_PFN_LOCATION_MASK, MI_STATE_OWNED);
            break;
        }
    }
    KiReleaseRankedLock(&List->Lock);
    return Frame;
}

SIZE_T
MipTakeStandby(PMI_NODE Node, SIZE_T Count, ULONG64 Target, PFN_NUMBER *Frames)
{
    SIZE_T Taken = 0;
    PFN_NUMBER Frame;

    for (ULONG Priority = 0; Priority < MI_PRIORITY_COUNT && Taken < Count;) {
        PMI_PAGE_LIST List = &Node->Standby[Priority];

        if (MipListPages(List) == 0 || (Frame = MipPopStandby(Node, List)) == MI_NO_FRAME) {
            Priority++;
            continue;
        }
        MipFinishRepurpose(Frame);
        if ((MiPfnState(Frame) & MI_PFN_REMOVE_REQUESTED) != 0 && MipRetireIfRequested(Frame)) {
            /* It counted as available and is not: the caller's token for it is not given back. */
            __atomic_fetch_sub(&MiListedPages, 1, __ATOMIC_RELAXED);
            continue;
        }
        if (Target != MI_STATE_OWNED) {
            MipAdvanceState(MiPfn(Frame), MI_STATE_OWNED, Target);
        }
        Frames[Taken++] = Frame;
    }
    return Taken;
}

/* --- This page and no other ------------------------------------------------------------------- */

/* Free and zeroed pages need no PFN bit: the list lock decides. */
static BOOLEAN
MipClaimListed(PFN_NUMBER Frame, MI_LOCATION Location)
{
    PMMPFN Pfn = MiPfn(Frame);
    PMI_NODE Node = MipPfnNode(Pfn);
    PMI_PAGE_LIST List = MipListOf(Node, Frame, Location);
    BOOLEAN Claimed = FALSE;

    KiAcquireRankedLock(&List->Lock, LockRankPageList);
    if (MiFrameLocation(Frame) == Location) {
        MipUnlink(Node, List, Frame);
        MipAdvanceState(Pfn, MI_LOCATION_BITS(Location), MI_STATE_OWNED);
        Claimed = TRUE;
    }
    KiReleaseRankedLock(&List->Lock);
    return Claimed;
}

static BOOLEAN
MipClaimStandby(PFN_NUMBER Frame)
{
    PMMPFN Pfn = MiPfn(Frame);
    PMI_PAGE_LIST List;
    PMI_NODE Node;

    if (!MiTryLockPfn(Frame)) {
        return FALSE;
    }
    if (MiFrameLocation(Frame) != MiLocationStandby) {
        MiUnlockPfn(Frame);
        return FALSE;
    }
    Node = MipPfnNode(Pfn);
    List = MipListOf(Node, Frame, MiLocationStandby);
    KiAcquireRankedLock(&List->Lock, LockRankPageList);
    MipUnlink(Node, List, Frame);
    MipChangeState(Pfn, MI_PFN_LOCATION_MASK, MI_STATE_OWNED);
    KiReleaseRankedLock(&List->Lock);
    MipFinishRepurpose(Frame);
    return TRUE;
}

BOOLEAN
MipClaimFrame(PFN_NUMBER Frame, BOOLEAN AllowStandby, PBOOLEAN WasZeroed)
{
    MI_LOCATION Location = MiFrameLocation(Frame);

    *WasZeroed = Location == MiLocationZeroed;
    switch (Location) {
    case MiLocationZeroed:
    case MiLocationFree:
        return MipClaimListed(Frame, Location);
    case MiLocationStandby:
        return AllowStandby && MipClaimStandby(Frame);
    default:
        return FALSE;
    }
}
