/*
 * The set of regions of an address space: a balanced tree in order of address, in which every node knows
 * where its subtree begins, where it ends and the largest gap in it. So the lowest gap that is large enough
 * is found in a walk up and a walk down, whatever the number of regions; 50,000 are eighteen levels.
 *
 * A gap is counted in free slots of 64 KB: a slot that holds any part of a region is not free. For a place
 * aligned to a slot every gap of the size will do. A larger alignment tries gap after gap, but gives up looking at
 * gaps that might do, and asks for one that does for certain, after MI_GAPS_TO_TRY; only if there is none of
 * those does it look at all.
 *
 * Locks: see va.h. Nothing here blocks or fails.
 */
#include "va.h"

#define MI_GAPS_TO_TRY 32

static inline PMMVAD
MipVadOf(const RTLP_AVL_NODE *Node)
{
    return (PMMVAD)(ULONG_PTR)CONTAINING_RECORD(Node, MMVAD, Node);
}

static inline ULONG64
MipSlotUp(ULONG64 Page)
{
    return (Page + MI_SLOT_PAGES - 1) & ~(MI_SLOT_PAGES - 1);
}

static inline ULONG64
MipSlotDown(ULONG64 Page)
{
    return Page & ~(MI_SLOT_PAGES - 1);
}

/* Free pages in whole slots between the end of one region and the start of the next. */
static inline ULONG64
MipGap(ULONG64 EndPage, ULONG64 NextStart)
{
    ULONG64 Low = MipSlotUp(EndPage), High = MipSlotDown(NextStart);

    return High > Low ? High - Low : 0;
}

static BOOLEAN
MipSumVad(PRTLP_AVL_NODE Node)
{
    PMMVAD Vad = MipVadOf(Node);
    ULONG64 Start = Vad->StartPage, End = Vad->EndPage, Gap = 0;
    BOOLEAN Changed;

    if (Node->Child[0] != NULL) {
        PMMVAD Left = MipVadOf(Node->Child[0]);
        ULONG64 Between = MipGap(Left->TreeEnd, Vad->StartPage);

        Start = Left->TreeStart;
        Gap = MAX(Left->TreeGap, Between);
    }
    if (Node->Child[1] != NULL) {
        PMMVAD Right = MipVadOf(Node->Child[1]);
        ULONG64 Between = MipGap(Vad->EndPage, Right->TreeStart);

        End = Right->TreeEnd;
        Gap = MAX(Gap, MAX(Right->TreeGap, Between));
    }
    Changed = Vad->TreeStart != Start || Vad->TreeEnd != End || Vad->TreeGap != Gap;
    Vad->TreeStart = Start;
    Vad->TreeEnd = End;
    Vad->TreeGap = Gap;
    return Changed;
}

VOID
MiInitializeVads(PMI_ADDRESS_SPACE Space)
{
    RtlpAvlInitialize(&Space->Vads);
    Space->Vads.Sum = MipSumVad;
    Space->Hint = NULL;
}

/* --- Changing --------------------------------------------------------------------------------- */

VOID
MiInsertVad(PMI_ADDRESS_SPACE Space, PMMVAD Vad)
{
    RTLP_AVL_PLACE Place = {NULL, 0};

    for (PRTLP_AVL_NODE Node = Space->Vads.Root; Node != NULL; Node = Node->Child[Place.Side]) {
        MI_ASSERT(Vad->StartPage >= MipVadOf(Node)->EndPage || Vad->EndPage <= MipVadOf(Node)->StartPage);
        Place.Parent = Node;
        Place.Side = Vad->StartPage > MipVadOf(Node)->StartPage;
    }
    RtlpAvlInsertAt(&Space->Vads, &Vad->Node, &Place);
}

VOID
MiRemoveVad(PMI_ADDRESS_SPACE Space, PMMVAD Vad)
{
    RtlpAvlRemove(&Space->Vads, &Vad->Node);
    __atomic_store_n(&Space->Hint, NULL, __ATOMIC_RELAXED);
}

VOID
MiResizeVad(PMI_ADDRESS_SPACE Space, PMMVAD Vad, ULONG64 StartPage, ULONG64 EndPage)
{
    Vad->StartPage = StartPage;
    Vad->EndPage = EndPage;
    RtlpAvlResum(&Space->Vads, &Vad->Node);
}

/* --- Finding ---------------------------------------------------------------------------------- */

PMMVAD
MiFindVad(PMI_ADDRESS_SPACE Space, ULONG64 Page)
{
    PMMVAD Vad = __atomic_load_n(&Space->Hint, __ATOMIC_RELAXED);
    PRTLP_AVL_NODE Node = Space->Vads.Root;

    if (Vad != NULL && Page >= Vad->StartPage && Page < Vad->EndPage) {
        return Vad;
    }
    while (Node != NULL) {
        Vad = MipVadOf(Node);
        if (Page < Vad->StartPage) {
            Node = Node->Child[0];
        } else if (Page >= Vad->EndPage) {
            Node = Node->Child[1];
        } else {
            __atomic_store_n(&Space->Hint, Vad, __ATOMIC_RELAXED);
            return Vad;
        }
    }
    return NULL;
}

PMMVAD
MiFirstVadBehind(PMI_ADDRESS_SPACE Space, ULONG64 Page)
{
    PRTLP_AVL_NODE Node = Space->Vads.Root;
    PMMVAD Best = NULL;

    while (Node != NULL) {
        if (Page < MipVadOf(Node)->EndPage) {
            Best = MipVadOf(Node);
            Node = Node->Child[0];
        } else {
            Node = Node->Child[1];
        }
    }
    return Best;
}

PMMVAD
MiNextVad(PMMVAD Vad)
{
    PRTLP_AVL_NODE Node = RtlpAvlNext(&Vad->Node);

    return Node == NULL ? NULL : MipVadOf(Node);
}

PMMVAD
MiPreviousVad(PMMVAD Vad)
{
    PRTLP_AVL_NODE Node = RtlpAvlPrevious(&Vad->Node);

    return Node == NULL ? NULL : MipVadOf(Node);
}

BOOLEAN
MiPlaceIsFree(PMI_ADDRESS_SPACE Space, ULONG64 StartPage, ULONG64 EndPage)
{
    PMMVAD Vad = MiFirstVadBehind(Space, MipSlotDown(StartPage));

    return Vad == NULL || Vad->StartPage >= MipSlotUp(EndPage);
}

/* --- Gaps ------------------------------------------------------------------------------------- */

/*
 * Down a subtree in which there is a gap of Pages: the node on Side of the outermost such gap. Side 0: the lowest gap, and
 * the region before it; Side 1: the highest, and the region behind it.
 */
static PMMVAD
MipGapInSubtree(PRTLP_AVL_NODE Node, ULONG Side, ULONG64 Pages)
{
    for (;;) {
        PMMVAD Vad = MipVadOf(Node);
        PRTLP_AVL_NODE Near = Node->Child[Side], Far = Node->Child[!Side];

        if (Near != NULL) {
            PMMVAD Other = MipVadOf(Near);
            ULONG64 Gap =
                Side == 0 ? MipGap(Other->TreeEnd, Vad->StartPage) : MipGap(Vad->EndPage, Other->TreeStart);

            if (Other->TreeGap >= Pages) {
                Node = Near;
                continue;
            }
            if (Gap >= Pages) {
                /* Between the subtree and this node: its last region is the one beside the gap. */
                while (Near->Child[!Side] != NULL) {
                    Near = Near->Child[!Side];
                }
                return MipVadOf(Near);
            }
        }
        MI_ASSERT(Far != NULL);
        {
            PMMVAD Other = MipVadOf(Far);
            ULONG64 Gap =
                Side == 0 ? MipGap(Vad->EndPage, Other->TreeStart) : MipGap(Other->TreeEnd, Vad->StartPage);

            if (Gap >= Pages) {
                return Vad;
            }
            MI_ASSERT(Other->TreeGap >= Pages);
        }
        Node = Far;
    }
}

/*
 * From a region, away from Side: the next gap of Pages and the region before it (Side 0, upwards), or the region behind
 * it (Side 1, downwards). The outermost region if there is none inside: the gap to the end of the range.
 */
static PMMVAD
MipNextGap(PMMVAD Vad, ULONG Side, ULONG64 Pages)
{
    PRTLP_AVL_NODE Node = &Vad->Node;

    for (;;) {
        PRTLP_AVL_NODE Far = Node->Child[!Side], Above;

        Vad = MipVadOf(Node);
        if (Far != NULL) {
            PMMVAD Other = MipVadOf(Far);
            ULONG64 Gap =
                Side == 0 ? MipGap(Vad->EndPage, Other->TreeStart) : MipGap(Other->TreeEnd, Vad->StartPage);

            if (Gap >= Pages) {
                return Vad;
            }
            if (Other->TreeGap >= Pages) {
                return MipGapInSubtree(Far, Side, Pages);
            }
        }
        /* Up, to a node that lies beyond this subtree. */
        Above = RtlpAvlAbove(Node);
        while (Above != NULL && Above->Child[!Side] == Node) {
            Node = Above;
            Above = RtlpAvlAbove(Node);
        }
        if (Above == NULL) {
            Far = Node; /* the root: its outermost region */
            while (Far->Child[!Side] != NULL) {
                Far = Far->Child[!Side];
            }
            return MipVadOf(Far);
        }
        {
            PMMVAD Below = MipVadOf(Node), Over = MipVadOf(Above);
            ULONG64 Gap =
                Side == 0 ? MipGap(Below->TreeEnd, Over->StartPage) : MipGap(Over->EndPage, Below->TreeStart);

            if (Gap >= Pages) {
                Far = Node;
                while (Far->Child[!Side] != NULL) {
                    Far = Far->Child[!Side];
                }
                return MipVadOf(Far);
            }
        }
        Node = Above;
    }
}

/* Does the place fit into a gap, given the regions around it (NULL: none)? The page, or MI_NO_PAGE. */
static ULONG64
MipFitUp(const MI_PLACE *Place, const MMVAD *Before, const MMVAD *Behind)
{
    ULONG64 Low = MAX(Place->Lowest, Before == NULL ? 0 : MipSlotUp(Before->EndPage));
    ULONG64 High = MIN(Place->Highest, Behind == NULL ? MI_NO_PAGE : MipSlotDown(Behind->StartPage));

    Low = (Low + Place->Align - 1) & ~(Place->Align - 1);
    return Low < High && High - Low >= Place->PageCount ? Low : MI_NO_PAGE;
}

static ULONG64
MipFitDown(const MI_PLACE *Place, const MMVAD *Before, const MMVAD *Behind)
{
    ULONG64 Low = MAX(Place->Lowest, Before == NULL ? 0 : MipSlotUp(Before->EndPage));
    ULONG64 High = MIN(Place->Highest, Behind == NULL ? MI_NO_PAGE : MipSlotDown(Behind->StartPage));

    if (High < Place->PageCount) {
        return MI_NO_PAGE;
    }
    High = (High - Place->PageCount) & ~(Place->Align - 1);
    return High >= Low ? High : MI_NO_PAGE;
}

/* One search, over gaps of at least GapPages, at most Tries of them. */
static ULONG64
MipSearchUp(PMI_ADDRESS_SPACE Space, const MI_PLACE *Place, ULONG64 GapPages, ULONG Tries)
{
    PMMVAD Behind = MiFirstVadBehind(Space, Place->Lowest);
    PMMVAD Before = Behind == NULL ? NULL : MiPreviousVad(Behind);
    ULONG64 Page = MipFitUp(Place, Before, Behind);

    while (Page == MI_NO_PAGE && Behind != NULL && Behind->StartPage < Place->Highest && Tries != 0) {
        Before = MipNextGap(Behind, 0, GapPages);
        Behind = MiNextVad(Before);
        Page = MipFitUp(Place, Before, Behind);
        Tries -= 1;
    }
    return Page;
}

/* The last region that begins before a page; NULL if there is none. */
static PMMVAD
MipLastVadBefore(PMI_ADDRESS_SPACE Space, ULONG64 Page)
{
    PRTLP_AVL_NODE Node = Space->Vads.Root;
    PMMVAD Best = NULL;

    while (Node != NULL) {
        if (MipVadOf(Node)->StartPage < Page) {
            Best = MipVadOf(Node);
            Node = Node->Child[1];
        } else {
            Node = Node->Child[0];
        }
    }
    return Best;
}

static ULONG64
MipSearchDown(PMI_ADDRESS_SPACE Space, const MI_PLACE *Place, ULONG64 GapPages, ULONG Tries)
{
    PMMVAD Before = MipLastVadBefore(Space, Place->Highest);
    PMMVAD Behind = Before == NULL ? NULL : MiNextVad(Before);
    ULONG64 Page = MipFitDown(Place, Before, Behind);

    while (Page == MI_NO_PAGE && Before != NULL && Before->EndPage > Place->Lowest && Tries != 0) {
        Behind = MipNextGap(Before, 1, GapPages);
        Before = MiPreviousVad(Behind);
        Page = MipFitDown(Place, Before, Behind);
        Tries -= 1;
    }
    return Page;
}

typedef ULONG64 MIP_SEARCH(PMI_ADDRESS_SPACE Space, const MI_PLACE *Place, ULONG64 GapPages, ULONG Tries);

static ULONG64
MipFindPlace(PMI_ADDRESS_SPACE Space, const MI_PLACE *Place, MIP_SEARCH *Search)
{
    ULONG64 Slots = MipSlotUp(Place->PageCount);
    ULONG64 Page;

    if (Place->Lowest >= Place->Highest || Slots > Place->Highest - Place->Lowest) {
        return MI_NO_PAGE;
    }
    if (Place->Align <= MI_SLOT_PAGES) {
        return Search(Space, Place, Slots, MAXULONG);
    }
    Page = Search(Space, Place, Slots, MI_GAPS_TO_TRY);
    if (Page == MI_NO_PAGE) {
        Page = Search(Space, Place, Slots + Place->Align - MI_SLOT_PAGES, MAXULONG);
    }
    return Page != MI_NO_PAGE ? Page : Search(Space, Place, Slots, MAXULONG);
}

ULONG64
MiFindPlaceUp(PMI_ADDRESS_SPACE Space, const MI_PLACE *Place)
{
    return MipFindPlace(Space, Place, MipSearchUp);
}

ULONG64
MiFindPlaceDown(PMI_ADDRESS_SPACE Space, const MI_PLACE *Place)
{
    return MipFindPlace(Space, Place, MipSearchDown);
}

/* --- Validation ------------------------------------------------------------------------------- */

static BOOLEAN
MipVadsInOrder(const RTLP_AVL_NODE *First, const RTLP_AVL_NODE *Second)
{
    return MipVadOf(First)->EndPage <= MipVadOf(Second)->StartPage;
}

BOOLEAN
MiValidateVads(PMI_ADDRESS_SPACE Space)
{
    SIZE_T Pages = 0;

    NT_VERIFY(RtlpAvlValidate(&Space->Vads, MipVadsInOrder));
    for (PRTLP_AVL_NODE Node = RtlpAvlFirst(&Space->Vads); Node != NULL; Node = RtlpAvlNext(Node)) {
        PMMVAD Vad = MipVadOf(Node);

        NT_VERIFY(Vad->StartPage < Vad->EndPage);
        NT_VERIFY(!MipSumVad(Node));
        Pages += Vad->Kind == MiVadHole || Vad->Kind == MiVadSharedData ? 0 : Vad->EndPage - Vad->StartPage;
    }
    NT_VERIFY(Pages == Space->VirtualPages);
    return TRUE;
}
