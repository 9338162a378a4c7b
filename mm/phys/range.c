/*
 * Memory ranges and extents: what RAM there is, and which of it has records. See physp.h for the
 * states of an extent, pfn.h for those of a page.
 *
 * Nothing here fails for lack of memory: a virgin extent needs only the records that the machine
 * has mapped already. Callers are at DISPATCH_LEVEL, except for the pure look-ups (any IRQL).
 */
#include "physp.h"

PMMPFN MmPfnDatabase;
PMI_NODE MiNodes[MI_MAXIMUM_NODES];
ULONG MiHighestNode;
MI_RANGE MiRanges[MI_MAXIMUM_RANGES];
volatile ULONG MiRangeCount;
PFN_NUMBER MiHighestFrame;

static volatile ULONG MipExtentsMoving; /* (A) extents that are Claimed now */

/* --- The map ---------------------------------------------------------------------------------- */

/* The range a frame is in, NULL if it is no RAM. */
PMI_RANGE
MipFindRange(PFN_NUMBER Frame)
{
    ULONG Count = __atomic_load_n(&MiRangeCount, __ATOMIC_ACQUIRE);

    for (ULONG Index = 0; Index < Count; Index++) {
        if (Frame - MiRanges[Index].Base < MiRanges[Index].End - MiRanges[Index].Base) {
            return &MiRanges[Index];
        }
    }
    return NULL;
}

SIZE_T
MipExtentCountOf(PFN_NUMBER Base, PFN_NUMBER PageCount)
{
    return ((Base + PageCount - 1) >> MI_EXTENT_SHIFT) - (Base >> MI_EXTENT_SHIFT) + 1;
}

PFN_NUMBER
MipExtentFirst(const MI_RANGE *Range, SIZE_T Index)
{
    PFN_NUMBER First = ((Range->Base >> MI_EXTENT_SHIFT) + Index) << MI_EXTENT_SHIFT;

    return First < Range->Base ? Range->Base : First;
}

SIZE_T
MipExtentPages(const MI_RANGE *Range, SIZE_T Index)
{
    PFN_NUMBER End = ((Range->Base >> MI_EXTENT_SHIFT) + Index + 1) << MI_EXTENT_SHIFT;

    return (End > Range->End ? Range->End : End) - MipExtentFirst(Range, Index);
}

PMI_RANGE
MipAddRange(PFN_NUMBER Base, PFN_NUMBER PageCount, HAL_MEMORY_TYPE Type, PMI_NODE Node,
            volatile UCHAR *Extents)
{
    PMI_RANGE Range;

    if (MiRangeCount == MI_MAXIMUM_RANGES) {
        return NULL;
    }
    Range = &MiRanges[MiRangeCount];
    Range->Base = Base;
    Range->End = Base + PageCount;
    Range->Type = Type;
    Range->Node = Node;
    Range->Extents = Extents;
    Range->ExtentCount = MipExtentCountOf(Base, PageCount);
    Range->VirginPages = (LONG64)PageCount;
    if (Range->End - 1 > MiHighestFrame) {
        __atomic_store_n(&MiHighestFrame, Range->End - 1, __ATOMIC_RELAXED);
    }
    __atomic_store_n(&MiRangeCount, MiRangeCount + 1, __ATOMIC_RELEASE);
    return Range;
}

BOOLEAN
MiIsRamFrame(PFN_NUMBER Frame)
{
    PMI_RANGE Range = MipFindRange(Frame);
    MI_LOCATION Location;

    if (Range == NULL) {
        return FALSE;
    }
    switch (MipExtentState(Range, MipExtentIndex(Range, Frame))) {
    case MiExtentAbsent:
        return FALSE;
    case MiExtentCarved:
        Location = MiFrameLocation(Frame);
        return Location != MiLocationBad && Location != MiLocationAbsent;
    default:
        return Range->Type != HalMemoryBad;
    }
}

ULONG
MiFrameNode(PFN_NUMBER Frame)
{
    PMI_RANGE Range = MipFindRange(Frame);

    return Range == NULL ? 0 : Range->Node->Number;
}

/* --- Claiming and publishing an extent -------------------------------------------------------- */

BOOLEAN
MipExtentsInMotion(VOID)
{
    return __atomic_load_n(&MipExtentsMoving, __ATOMIC_ACQUIRE) != 0;
}

/* Note that extents up to this one may have records. */
static VOID
MipNoteTouched(PMI_RANGE Range, SIZE_T Index)
{
    SIZE_T Touched = __atomic_load_n(&Range->Touched, __ATOMIC_RELAXED);

    while (Touched <= Index &&
           !__atomic_compare_exchange_n(&Range->Touched, &Touched, Index + 1, TRUE,
                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
}

/* Take a free whole extent off its list; the list lock decides between two who want it. */
static BOOLEAN
MipClaimWholeFree(PMI_RANGE Range, SIZE_T Index)
{
    PMI_NODE Node = Range->Node;
    BOOLEAN Claimed = FALSE;

    KiAcquireRankedLock(&Node->WholeFree.Lock, LockRankPageList);
    if (MipExtentState(Range, Index) == MiExtentWholeFree) {
        MipUnlink(Node, &Node->WholeFree, MipExtentFirst(Range, Index));
        __atomic_store_n(&Range->Extents[Index], (UCHAR)MiExtentClaimed, __ATOMIC_RELEASE);
        Claimed = TRUE;
    }
    KiReleaseRankedLock(&Node->WholeFree.Lock);
    return Claimed;
}

BOOLEAN
MipClaimExtent(PMI_RANGE Range, SIZE_T Index, MI_EXTENT_STATE From)
{
    UCHAR Expected = (UCHAR)From;
    BOOLEAN Claimed;

    MI_ASSERT(From == MiExtentVirgin || From == MiExtentWhole || From == MiExtentWholeFree);
    __atomic_fetch_add(&MipExtentsMoving, 1, __ATOMIC_ACQ_REL);
    if (From == MiExtentWholeFree) {
        Claimed = MipClaimWholeFree(Range, Index);
    } else {
        Claimed = __atomic_compare_exchange_n(&Range->Extents[Index], &Expected,
                                              (UCHAR)MiExtentClaimed, FALSE, __ATOMIC_ACQ_REL,
                                              __ATOMIC_RELAXED);
    }
    if (!Claimed) {
        __atomic_fetch_sub(&MipExtentsMoving, 1, __ATOMIC_ACQ_REL);
        return FALSE;
    }
    if (From == MiExtentVirgin) {
        __atomic_fetch_sub(&Range->VirginPages, (LONG64)MipExtentPages(Range, Index),
                           __ATOMIC_RELAXED);
        MipNoteTouched(Range, Index);
    }
    return TRUE;
}

VOID
MipPublishExtent(PMI_RANGE Range, SIZE_T Index, MI_EXTENT_STATE State)
{
    MI_ASSERT(MipExtentState(Range, Index) == MiExtentClaimed);
    __atomic_store_n(&Range->Extents[Index], (UCHAR)State, __ATOMIC_RELEASE);
    __atomic_fetch_sub(&MipExtentsMoving, 1, __ATOMIC_ACQ_REL);
}

/* --- Carving ---------------------------------------------------------------------------------- */

/* Write a record that nobody can have looked at. */
static inline VOID
MipWriteRecord(PMMPFN Pfn, ULONG64 Where, ULONG64 State)
{
    Pfn->OriginalPte.Long = 0;
    MipSetWhere(Pfn, Where);
    Pfn->Table = 0;
    __atomic_store_n(&Pfn->State, State, __ATOMIC_RELAXED);
}

/*
 * Write the records of [First, End) as listed pages of Location and link them, colour by colour:
 * each colour's list is locked once.
 */
static VOID
MipCarveToLists(PMI_NODE Node, PFN_NUMBER First, PFN_NUMBER End, MI_LOCATION Location)
{
    PMI_PAGE_LIST List;

    for (ULONG Colour = 0; Colour < MI_COLOUR_COUNT; Colour++) {
        PFN_NUMBER Frame = First + ((Colour - (ULONG)First) & (MI_COLOUR_COUNT - 1));

        if (Frame >= End) {
            continue;
        }
        List = MipListOf(Node, Frame, Location);
        KiAcquireRankedLock(&List->Lock, LockRankPageList);
        for (; Frame < End; Frame += MI_COLOUR_COUNT) {
            MipWriteRecord(MiPfn(Frame), MipWhereOf(Node->Number, 0), MI_LOCATION_BITS(Location));
            MipLinkTail(Node, List, Frame);
        }
        KiReleaseRankedLock(&List->Lock);
    }
}

MI_LOCATION
MipVirginLocation(const MI_RANGE *Range)
{
    switch (Range->Type) {
    case HalMemoryZero:
        return MiLocationZeroed;
    case HalMemoryFree:
        return MiLocationFree;
    case HalMemoryBad:
        return MiLocationBad;
    default:
        return MiLocationActive;
    }
}

VOID
MipCarveExtent(PMI_RANGE Range, SIZE_T Index, MI_LOCATION Location, SIZE_T Wanted, ULONG64 Target,
               PFN_NUMBER *Frames)
{
    PFN_NUMBER Frame = MipExtentFirst(Range, Index);
    PFN_NUMBER End = Frame + MipExtentPages(Range, Index);
    ULONG64 Where = MipWhereOf(Range->Node->Number, 0);

    for (SIZE_T Taken = 0; Taken < Wanted; Taken++, Frame++) {
        MI_ASSERT(Frame < End);
        MipWriteRecord(MiPfn(Frame), Where, Target);
        Frames[Taken] = Frame;
    }
    if (Location == MiLocationActive) {
        Where = MipWhereOf(Range->Node->Number, MiUseSystemPte);
        for (; Frame < End; Frame++) {
            MipWriteRecord(MiPfn(Frame), Where, MI_STATE_OWNED);
        }
    } else {
        MipCarveToLists(Range->Node, Frame, End, Location);
    }
    MipPublishExtent(Range, Index, MiExtentCarved);
}

/*
 * Claim the next virgin extent of a range, looking from the cursor on; ExtentCount if there is
 * none.
 */
static SIZE_T
MipClaimNextVirgin(PMI_RANGE Range)
{
    SIZE_T Index = __atomic_load_n(&Range->Cursor, __ATOMIC_RELAXED);

    while (Index < Range->ExtentCount) {
        if (MipExtentState(Range, Index) == MiExtentVirgin &&
            MipClaimExtent(Range, Index, MiExtentVirgin)) {
            break;
        }
        Index++;
    }
    __atomic_store_n(&Range->Cursor, Index, __ATOMIC_RELAXED);
    return Index;
}

SIZE_T
MipTakeVirgin(PMI_NODE Node, HAL_MEMORY_TYPE Type, SIZE_T Count, ULONG64 Target, PFN_NUMBER *Frames)
{
    ULONG RangeCount = __atomic_load_n(&MiRangeCount, __ATOMIC_ACQUIRE);
    SIZE_T Index;
    SIZE_T Taken;

    for (ULONG Number = 0; Number < RangeCount; Number++) {
        PMI_RANGE Range = &MiRanges[Number];

        if (Range->Type != Type || Range->Node != Node) {
            continue;
        }
        Index = MipClaimNextVirgin(Range);
        if (Index < Range->ExtentCount) {
            Taken = MipExtentPages(Range, Index);
            Taken = Taken < Count ? Taken : Count;
            MipCarveExtent(Range, Index, MipVirginLocation(Range), Taken, Target, Frames);
            return Taken;
        }
    }
    return 0;
}

SIZE_T
MipTakeWhole(PMI_NODE Node, SIZE_T Count, ULONG64 Target, PFN_NUMBER *Frames)
{
    PFN_NUMBER Frame;
    PMI_RANGE Range;
    SIZE_T Index;
    SIZE_T Taken;
    ULONG Head;

    while ((Head = __atomic_load_n(&Node->WholeFree.Head, __ATOMIC_RELAXED)) != 0) {
        Frame = Node->Base + Head - 1;
        Range = MipFindRange(Frame);
        Index = MipExtentIndex(Range, Frame);
        if (MipClaimExtent(Range, Index, MiExtentWholeFree)) {
            Taken = Count < MI_EXTENT_PAGES ? Count : MI_EXTENT_PAGES;
            MipCarveExtent(Range, Index, MiLocationFree, Taken, Target, Frames);
            return Taken;
        }
        HalPause();
    }
    return 0;
}

/* --- Records on demand ------------------------------------------------------------------------ */

/* Give each page of an extent that is owned as a whole its own record, like the first one's. */
static VOID
MipSplitWholeExtent(PMI_RANGE Range, SIZE_T Index)
{
    PFN_NUMBER First = MipExtentFirst(Range, Index);
    ULONG64 Where = MiPfnWhere(First);
    ULONG64 State = MipChangeState(MiPfn(First), MI_PFN_LARGE, 0);

    State = (State & MI_PFN_CACHE_MASK) | MI_STATE_OWNED;
    for (PFN_NUMBER Frame = First + 1; Frame < First + MI_EXTENT_PAGES; Frame++) {
        MipWriteRecord(MiPfn(Frame), Where, State);
    }
    MipPublishExtent(Range, Index, MiExtentCarved);
}

VOID
MipSplitAbsentExtent(PMI_RANGE Range, SIZE_T Index)
{
    PFN_NUMBER First = MipExtentFirst(Range, Index);
    PFN_NUMBER End = First + MipExtentPages(Range, Index);

    for (PFN_NUMBER Frame = First; Frame < End; Frame++) {
        MipWriteRecord(MiPfn(Frame), MipWhereOf(Range->Node->Number, 0),
                       MI_LOCATION_BITS(MiLocationAbsent));
    }
    __atomic_store_n(&Range->Extents[Index], (UCHAR)MiExtentCarved, __ATOMIC_RELEASE);
}

/* One attempt to make an extent Carved. */
static VOID
MipGiveRecords(PMI_RANGE Range, SIZE_T Index, MI_EXTENT_STATE State)
{
    switch (State) {
    case MiExtentVirgin:
        if (MipClaimExtent(Range, Index, MiExtentVirgin)) {
            MipCarveExtent(Range, Index, MipVirginLocation(Range), 0, 0, NULL);
        }
        break;
    case MiExtentWhole:
        if (MipClaimExtent(Range, Index, MiExtentWhole)) {
            MipSplitWholeExtent(Range, Index);
        }
        break;
    case MiExtentWholeFree:
        if (MipClaimExtent(Range, Index, MiExtentWholeFree)) {
            MipCarveExtent(Range, Index, MiLocationFree, 0, 0, NULL);
        }
        break;
    default:
        HalPause();
        break;
    }
}

BOOLEAN
MiEnsureFrameRecord(PFN_NUMBER Frame)
{
    PMI_RANGE Range = MipFindRange(Frame);
    MI_EXTENT_STATE State;
    SIZE_T Index;
    KIRQL OldIrql;

    if (Range == NULL) {
        return FALSE;
    }
    Index = MipExtentIndex(Range, Frame);
    while ((State = MipExtentState(Range, Index)) != MiExtentCarved) {
        if (State == MiExtentAbsent) {
            return FALSE;
        }
        OldIrql = KiRaiseIrqlToDispatch();
        MipGiveRecords(Range, Index, State);
        KiLowerIrql(OldIrql);
    }
    return TRUE;
}
