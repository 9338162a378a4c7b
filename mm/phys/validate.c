/*
 * Proof that every page is in exactly one place, for a machine that stands still (no processor is
 * inside mm/phys): every list is walked, every record of every touched extent is read, and the two
 * accounts, and all counters, must agree. A page that is on no list, on two, or on a wrong one
 * makes some pair of numbers differ, because a list walk proves its links consistent and its length
 * equal to its count.
 *
 * Stops the run at the first thing that is wrong, saying which frame. Any IRQL <= DISPATCH_LEVEL.
 */
#include "physp.h"

#define MIP_LOCATIONS 16u

typedef struct _MI_PFN_CENSUS {
    SIZE_T Listed[MI_MAXIMUM_NODES][MIP_LOCATIONS];     /* by walking lists and caches */
    SIZE_T Recorded[MI_MAXIMUM_NODES][MIP_LOCATIONS];   /* by reading records */
    SIZE_T Total;
    LONG64 VirginUsable;
} MI_PFN_CENSUS, *PMI_PFN_CENSUS;

static MI_PFN_CENSUS MipCensus; /* too large for a stack; one validator at a time */
static volatile ULONG MipCensusBusy;

/* --- Saying what is wrong --------------------------------------------------------------------- */

static VOID
MipAppendHex(char *Text, SIZE_T *Length, ULONG64 Value)
{
    for (LONG Shift = 60; Shift >= 0; Shift -= 4) {
        ULONG Digit = (ULONG)(Value >> Shift) & 15;

        if (Digit != 0 || Shift == 0 || (Value >> Shift) != 0) {
            Text[(*Length)++] = "0123456789abcdef"[Digit];
        }
    }
    Text[(*Length)++] = ' ';
}

static VOID DECLSPEC_NORETURN
MipInvalid(PFN_NUMBER Frame, const char *What, ULONG Line)
{
    static const char Intro[] = "invalid page database; frame, original PTE, where, state, links: ";
    char Text[200];
    SIZE_T Length = sizeof(Intro) - 1;

    RtlCopyMemory(Text, Intro, Length);
    MipAppendHex(Text, &Length, Frame);
    if (Frame != MI_NO_FRAME) {
        PMMPFN Pfn = MiPfn(Frame);

        MipAppendHex(Text, &Length, Pfn->OriginalPte.Long);
        MipAppendHex(Text, &Length, Pfn->Where);
        MipAppendHex(Text, &Length, Pfn->State);
        MipAppendHex(Text, &Length, Pfn->Table);
    }
    Text[Length++] = '\n';
    HalPutDiagnostic(Text, Length);
    KiAssertFailed(__FILE__, Line, What);
}

#define MIP_PROVE(Frame, Condition)                                                                \
    do {                                                                                           \
        if (!(Condition)) {                                                                        \
            MipInvalid((Frame), #Condition, __LINE__);                                             \
        }                                                                                          \
    } while (0)

/* --- Lists ------------------------------------------------------------------------------------ */

static VOID
MipWalkList(PMI_NODE Node, PMI_PAGE_LIST List)
{
    SIZE_T Pages = 0;
    ULONG Before = 0;

    MIP_PROVE(MI_NO_FRAME, List->Lock == 0);
    for (ULONG Link = List->Head; Link != 0; Link = MiPfn(Node->Base + Link - 1)->Flink) {
        PFN_NUMBER Frame = Node->Base + Link - 1;
        PMI_RANGE Range = MipFindRange(Frame);

        MIP_PROVE(MI_NO_FRAME, Range != NULL && Range->Node == Node);
        MIP_PROVE(Frame, MiFrameLocation(Frame) == List->Location);
        MIP_PROVE(Frame, MiPfn(Frame)->Blink == Before);
        MIP_PROVE(Frame, MipListOf(Node, Frame, List->Location) == List);
        MIP_PROVE(Frame, MipPfnNode(MiPfn(Frame)) == Node);
        Before = Link;
        Pages += List->PagesEach;
        MIP_PROVE(Frame, Pages <= List->Count);
    }
    MIP_PROVE(MI_NO_FRAME, List->Tail == Before);
    MIP_PROVE(MI_NO_FRAME, List->Count == Pages);
    MipCensus.Listed[Node->Number][List->Location] += Pages;
}

static VOID
MipWalkNode(PMI_NODE Node)
{
    for (ULONG Colour = 0; Colour < MI_COLOUR_COUNT; Colour++) {
        MipWalkList(Node, &Node->Zeroed[Colour]);
        MipWalkList(Node, &Node->Free[Colour]);
    }
    for (ULONG Priority = 0; Priority < MI_PRIORITY_COUNT; Priority++) {
        MipWalkList(Node, &Node->Standby[Priority]);
    }
    MipWalkList(Node, &Node->Modified);
    MipWalkList(Node, &Node->ModifiedNoWrite);
    MipWalkList(Node, &Node->Bad);
    MipWalkList(Node, &Node->WholeFree);
    MipCensus.Listed[Node->Number][MiLocationTransition] = Node->TransitionPages;
}

static VOID
MipWalkStack(const MI_PAGE_CACHE *Cache, const MI_CACHE_STACK *Stack, MI_LOCATION Location)
{
    MIP_PROVE(MI_NO_FRAME, Stack->Count <= Cache->Capacity);
    for (ULONG Index = 0; Index < Stack->Count; Index++) {
        PFN_NUMBER Frame = Stack->Frames[Index];

        MIP_PROVE(Frame, MiFrameLocation(Frame) == Location);
        MIP_PROVE(Frame, MipPfnNode(MiPfn(Frame))->Number == Cache->Node);
        for (ULONG Other = 0; Other < Index; Other++) {
            MIP_PROVE(Frame, Stack->Frames[Other] != Frame);
        }
    }
    MipCensus.Listed[Cache->Node][Location] += Stack->Count;
}

/* --- Records ---------------------------------------------------------------------------------- */

/* The entry of a page that left it must still lead to the page. */
static VOID
MipProveTransitionPte(PFN_NUMBER Frame)
{
    PMMPTE Pte = MiFramePte(Frame);
    MMPTE Value;

    MIP_PROVE(Frame, Pte != NULL);
    Value = MiReadPte(Pte);
    MIP_PROVE(Frame, MiPteIsTransition(Value));
    MIP_PROVE(Frame, MiGetPteFrame(Value) == Frame);
}

/* The page that holds a page's entry is in use and has shares (R3). */
static VOID
MipProveTable(PFN_NUMBER Frame)
{
    ULONG64 Where = MiPfnWhere(Frame);

    if ((Where & MI_WHERE_HAS_PTE) != 0) {
        MIP_PROVE(Frame, MiFrameLocation(Where & MI_WHERE_FRAME_MASK) == MiLocationActive);
        MIP_PROVE(Frame, MiFrameShareCount(Where & MI_WHERE_FRAME_MASK) > 1);
    }
}

static VOID
MipProveActive(PFN_NUMBER Frame, ULONG64 State)
{
    MIP_PROVE(Frame, MiStateReferences(State) >= 1);
    MIP_PROVE(Frame, (State & MI_PFN_POISONED) == 0);
    if ((State & MI_PFN_PAGE_TABLE) != 0) {
        MIP_PROVE(Frame, MiStateShares(State) >= 1);
        MIP_PROVE(Frame, (MiPfn(Frame)->Table & 1) == 0);
    }
    if (MiStateShares(State) == 0) {
        MIP_PROVE(Frame, (MiPfnWhere(Frame) & MI_WHERE_HAS_PTE) == 0);
    }
    MipProveTable(Frame);
}

/* What the fields of a record must say for its Location. */
static VOID
MipProveRecord(PFN_NUMBER Frame)
{
    ULONG64 State = MiPfnState(Frame);
    ULONG64 Counts = State & (MI_PFN_REFERENCE_MASK | MI_PFN_SHARE_MASK);
    ULONG64 Free = State & ~(MI_PFN_LOCATION_MASK | MI_PFN_POISONED);

    MIP_PROVE(Frame, (State & MI_PFN_LOCK) == 0);
    switch (MiStateLocation(State)) {
    case MiLocationZeroed:
    case MiLocationCachedZeroed:
        MIP_PROVE(Frame, (State & MI_PFN_POISONED) == 0);
        MIP_PROVE(Frame, Free == 0);
        break;
    case MiLocationFree:
    case MiLocationCachedFree:
    case MiLocationWholeFree:
    case MiLocationAbsent:
    case MiLocationBad:
        MIP_PROVE(Frame, Free == 0);
        break;
    case MiLocationStandby:
        MIP_PROVE(Frame, (State & MI_PFN_MODIFIED) == 0);
        /* fall through */
    case MiLocationModified:
    case MiLocationModifiedNoWrite:
        MIP_PROVE(Frame, Counts == 0);
        MIP_PROVE(Frame, (State & (MI_PFN_WRITE_IN_PROGRESS | MI_PFN_DELETED)) == 0);
        MipProveTransitionPte(Frame);
        MipProveTable(Frame);
        break;
    case MiLocationTransition:
        MIP_PROVE(Frame, MiStateReferences(State) >= 1 && MiStateShares(State) == 0);
        MipProveTable(Frame);
        break;
    case MiLocationActive:
        MipProveActive(Frame, State);
        break;
    default:
        MIP_PROVE(Frame, !"known location");
    }
}

static VOID
MipCountFrame(const MI_RANGE *Range, PFN_NUMBER Frame, SIZE_T Pages)
{
    MipProveRecord(Frame);
    MIP_PROVE(Frame, MipPfnNode(MiPfn(Frame)) == Range->Node);
    MipCensus.Recorded[Range->Node->Number][MiFrameLocation(Frame)] += Pages;
    if (MiFrameLocation(Frame) != MiLocationAbsent) {
        MipCensus.Total += Pages;
    }
}

/* Count one extent. Returns how many of its pages are virgin, and adds those that are absent. */
static SIZE_T
MipCountExtent(const MI_RANGE *Range, SIZE_T Index, PSIZE_T Absent)
{
    PFN_NUMBER First = MipExtentFirst(Range, Index);
    SIZE_T Pages = MipExtentPages(Range, Index);

    switch (MipExtentState(Range, Index)) {
    case MiExtentVirgin:
        return Pages;
    case MiExtentCarved:
        for (SIZE_T Page = 0; Page < Pages; Page++) {
            MipCountFrame(Range, First + Page, 1);
            *Absent += MiFrameLocation(First + Page) == MiLocationAbsent;
        }
        return 0;
    case MiExtentWhole:
        MIP_PROVE(First, (MiPfnState(First) & ~MI_PFN_CACHE_MASK) ==
                             (MI_STATE_OWNED | MI_PFN_LARGE));
        MipCountFrame(Range, First, Pages);
        return 0;
    case MiExtentWholeFree:
        MIP_PROVE(First, MiFrameLocation(First) == MiLocationWholeFree);
        MipCountFrame(Range, First, Pages);
        return 0;
    case MiExtentAbsent:
        *Absent += Pages;
        return 0;
    default:
        MIP_PROVE(First, !"no extent is claimed");
        return 0;
    }
}

static VOID
MipCountRange(const MI_RANGE *Range)
{
    SIZE_T Untouched = 0;
    SIZE_T Absent = 0;
    PFN_NUMBER End = Range->Touched < Range->ExtentCount
                         ? MipExtentFirst(Range, Range->Touched) : Range->End;

    for (SIZE_T Index = 0; Index < Range->Touched; Index++) {
        Untouched += MipCountExtent(Range, Index, &Absent);
    }
    Untouched += Range->End - End;
    MIP_PROVE(Range->Base, Range->VirginPages == (LONG64)Untouched);
    MIP_PROVE(Range->Base, Range->AbsentPages == (LONG64)Absent);
    MipCensus.Total += Untouched;
    if (MipRangeIsUsable(Range)) {
        MipCensus.VirginUsable += (LONG64)Untouched;
    }
}

/* --- The whole -------------------------------------------------------------------------------- */

/* Both accounts of a node agree for every Location that is counted somewhere. */
static VOID
MipCompareNode(ULONG Number, LONG64 *Listed)
{
    for (ULONG Location = 0; Location < MIP_LOCATIONS; Location++) {
        SIZE_T Pages = MipCensus.Listed[Number][Location];

        if (Location == MiLocationActive || Location == MiLocationAbsent) {
            continue;
        }
        MIP_PROVE(MI_NO_FRAME, MipCensus.Recorded[Number][Location] == Pages);
        if (Location == MiLocationZeroed || Location == MiLocationFree ||
            Location == MiLocationStandby || Location == MiLocationWholeFree) {
            *Listed += (LONG64)Pages;
        }
    }
}

BOOLEAN
MiValidatePfnDatabase(VOID)
{
    LONG64 Listed;

    while (__atomic_exchange_n(&MipCensusBusy, 1, __ATOMIC_ACQUIRE) != 0) {
        HalPause();
    }
    RtlZeroMemory(&MipCensus, sizeof(MipCensus));
    for (ULONG Number = 0; Number <= MiHighestNode; Number++) {
        if (MiNodes[Number] != NULL) {
            MipWalkNode(MiNodes[Number]);
        }
    }
    for (ULONG Number = 0; Number < HalProcessorCount(); Number++) {
        const MI_PAGE_CACHE *Cache = HalProcessorPcr(Number)->Slots.PageCache;

        MipWalkStack(Cache, &Cache->Free, MiLocationCachedFree);
        MipWalkStack(Cache, &Cache->Zeroed, MiLocationCachedZeroed);
    }
    for (ULONG Number = 0; Number < MiRangeCount; Number++) {
        MipCountRange(&MiRanges[Number]);
    }

    Listed = MipCensus.VirginUsable;
    for (ULONG Number = 0; Number <= MiHighestNode; Number++) {
        MipCompareNode(Number, &Listed);
    }
    MIP_PROVE(MI_NO_FRAME, MiListedPages == Listed);
    MIP_PROVE(MI_NO_FRAME, MiTotalPages == MipCensus.Total);
    __atomic_store_n(&MipCensusBusy, 0, __ATOMIC_RELEASE);
    return TRUE;
}
