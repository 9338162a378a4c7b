/*
 * Figures: pages by list, by use, and how many can be had. Sums of counters that others keep; exact
 * when nothing moves, near otherwise. Any IRQL <= DISPATCH_LEVEL, no locks.
 */
#include "physp.h"

/* Columns of MiQueryPageUse. */
enum { MipColumnActive, MipColumnStandby, MipColumnModified, MipColumnTransition, MipColumnZeroed,
       MipColumnFree, MipColumnBad };

static SIZE_T
MipSumLists(const MI_PAGE_LIST *Lists, ULONG Count)
{
    SIZE_T Pages = 0;

    for (ULONG Index = 0; Index < Count; Index++) {
        Pages += MipListPages(&Lists[Index]);
    }
    return Pages;
}

static SIZE_T
MipStackCount(const MI_CACHE_STACK *Stack)
{
    ULONG Count;

    while ((Count = __atomic_load_n(&Stack->Count, __ATOMIC_RELAXED)) == MI_STACK_BUSY) {
        HalPause();
    }
    return Count;
}

/* What all processors hold in their caches. */
static VOID
MipSumCaches(PSIZE_T Free, PSIZE_T Zeroed)
{
    ULONG Processors = HalProcessorCount();

    *Free = 0;
    *Zeroed = 0;
    for (ULONG Number = 0; Number < Processors; Number++) {
        PMI_PAGE_CACHE Cache = HalProcessorPcr(Number)->Slots.PageCache;

        *Free += MipStackCount(&Cache->Free);
        *Zeroed += MipStackCount(&Cache->Zeroed);
    }
}

SIZE_T
MiAvailablePages(VOID)
{
    LONG64 Listed = __atomic_load_n(&MiListedPages, __ATOMIC_RELAXED);
    SIZE_T Free;
    SIZE_T Zeroed;

    MipSumCaches(&Free, &Zeroed);
    return (Listed > 0 ? (SIZE_T)Listed : 0) + Free + Zeroed;
}

static VOID
MipAddNodeCounts(const MI_NODE *Node, PMI_PAGE_COUNTS Counts)
{
    Counts->Zeroed += MipSumLists(Node->Zeroed, MI_COLOUR_COUNT);
    Counts->Free += MipSumLists(Node->Free, MI_COLOUR_COUNT) + MipListPages(&Node->WholeFree);
    for (ULONG Priority = 0; Priority < MI_PRIORITY_COUNT; Priority++) {
        Counts->Standby[Priority] += MipListPages(&Node->Standby[Priority]);
    }
    Counts->Modified += MipListPages(&Node->Modified);
    Counts->ModifiedNoWrite += MipListPages(&Node->ModifiedNoWrite);
    Counts->Bad += MipListPages(&Node->Bad);
    Counts->Transition += __atomic_load_n(&Node->TransitionPages, __ATOMIC_RELAXED);
}

static VOID
MipAddRangeCounts(const MI_RANGE *Range, PMI_PAGE_COUNTS Counts)
{
    SIZE_T Virgin = (SIZE_T)__atomic_load_n(&Range->VirginPages, __ATOMIC_RELAXED);

    if (MipRangeIsUsable(Range)) {
        Counts->Virgin += Virgin;
    } else if (Range->Type == HalMemoryBad) {
        Counts->Bad += Virgin;
    }
}

VOID
MiQueryPageCounts(PMI_PAGE_COUNTS Counts)
{
    ULONG Ranges = __atomic_load_n(&MiRangeCount, __ATOMIC_ACQUIRE);
    SIZE_T Other;
    SIZE_T Free;
    SIZE_T Zeroed;

    RtlZeroMemory(Counts, sizeof(*Counts));
    Counts->Total = __atomic_load_n(&MiTotalPages, __ATOMIC_RELAXED);
    for (ULONG Number = 0; Number < Ranges; Number++) {
        MipAddRangeCounts(&MiRanges[Number], Counts);
    }
    for (ULONG Number = 0; Number <= MiHighestNode; Number++) {
        if (MiNodes[Number] != NULL) {
            MipAddNodeCounts(MiNodes[Number], Counts);
        }
    }
    MipSumCaches(&Free, &Zeroed);
    Counts->Free += Free;
    Counts->Zeroed += Zeroed;
    Other = Counts->Virgin + Counts->Zeroed + Counts->Free + Counts->Modified +
            Counts->ModifiedNoWrite + Counts->Bad + Counts->Transition;
    for (ULONG Priority = 0; Priority < MI_PRIORITY_COUNT; Priority++) {
        Other += Counts->Standby[Priority];
    }
    Counts->Active = Counts->Total > Other ? Counts->Total - Other : 0;
}

/* --- By use ----------------------------------------------------------------------------------- */

/* Column of a Location; -1: no memory. */
static LONG
MipColumnOf(MI_LOCATION Location)
{
    switch (Location) {
    case MiLocationActive:
        return MipColumnActive;
    case MiLocationStandby:
        return MipColumnStandby;
    case MiLocationModified:
    case MiLocationModifiedNoWrite:
        return MipColumnModified;
    case MiLocationTransition:
        return MipColumnTransition;
    case MiLocationZeroed:
    case MiLocationCachedZeroed:
        return MipColumnZeroed;
    case MiLocationBad:
        return MipColumnBad;
    case MiLocationAbsent:
        return -1;
    default:
        return MipColumnFree;
    }
}

static VOID
MipAddFrameUse(PFN_NUMBER Frame, SIZE_T Pages, SIZE_T Use[MiUseMaximum + 1][7])
{
    LONG Column = MipColumnOf(MiFrameLocation(Frame));
    ULONG Row = Column < MipColumnZeroed ? (ULONG)MiFrameUse(Frame) : (ULONG)MiUseMaximum;

    if (Column >= 0) {
        Use[Row][Column] += Pages;
    }
}

static VOID
MipAddExtentUse(const MI_RANGE *Range, SIZE_T Index, SIZE_T Use[MiUseMaximum + 1][7])
{
    PFN_NUMBER First = MipExtentFirst(Range, Index);
    SIZE_T Pages = MipExtentPages(Range, Index);

    switch (MipExtentState(Range, Index)) {
    case MiExtentCarved:
        for (SIZE_T Page = 0; Page < Pages; Page++) {
            MipAddFrameUse(First + Page, 1, Use);
        }
        break;
    case MiExtentWhole:
    case MiExtentWholeFree:
        MipAddFrameUse(First, Pages, Use);
        break;
    default:
        break;
    }
}

VOID
MiQueryPageUse(SIZE_T Use[MiUseMaximum + 1][7])
{
    ULONG Ranges = __atomic_load_n(&MiRangeCount, __ATOMIC_ACQUIRE);

    RtlZeroMemory(Use, (MiUseMaximum + 1) * sizeof(Use[0]));
    for (ULONG Number = 0; Number < Ranges; Number++) {
        const MI_RANGE *Range = &MiRanges[Number];
        SIZE_T Virgin = (SIZE_T)__atomic_load_n(&Range->VirginPages, __ATOMIC_RELAXED);
        LONG Column = MipColumnOf(MipVirginLocation(Range));
        SIZE_T Touched = __atomic_load_n(&Range->Touched, __ATOMIC_RELAXED);

        Use[Column == MipColumnActive ? MiUseSystemPte : MiUseMaximum][Column] += Virgin;
        for (SIZE_T Index = 0; Index < Touched; Index++) {
            MipAddExtentUse(Range, Index, Use);
        }
    }
}
