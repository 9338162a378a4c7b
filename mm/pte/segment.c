/*
 * Segments of a region: records, free runs of segments, size classes. The picture is in segment.h; holes
 * inside a small segment are in hole.c. Called with the region's lock held; nothing blocks, nothing is
 * allocated.
 */
#include "segment.h"

#define MI_RECORD_COUNT_MASK                                                                                 \
    ((ULONG_PTR)(PAGE_SIZE - 1)) /* live records, in the low bits of a directory entry */
#define MI_RUNS_TO_TRY 8 /* runs of the smallest possible class looked at before a sure larger one is cut */

VOID
MiPushSupply(PMI_FRAME_SUPPLY Supply, PVOID Page)
{
    *(PVOID *)Page = Supply->First;
    Supply->First = Page;
    Supply->Count += 1;
}

PVOID
MiPopSupply(PMI_FRAME_SUPPLY Supply)
{
    PVOID Page = Supply->First;

    MI_ASSERT(Page != NULL);
    Supply->First = *(PVOID *)Page;
    Supply->Count -= 1;
    *(PVOID *)Page = NULL;
    return Page;
}

static ULONG
MipFloorLog2(ULONG Value)
{
    return 31 - (ULONG)__builtin_clz(Value);
}

/* --- Records ----------------------------------------------------------------------------------------------
 */

static ULONG_PTR *
MipLeafEntry(PMI_VA_REGION Region, ULONG Index)
{
    ULONG Leaf = Index / MI_SEGMENTS_PER_LEAF;
    ULONG_PTR *Middle = (ULONG_PTR *)Region->Directory[Leaf / MI_DIRECTORY_ENTRIES];

    return Middle == NULL ? NULL : &Middle[Leaf % MI_DIRECTORY_ENTRIES];
}

PMI_SEGMENT
MiSegmentRecord(PMI_VA_REGION Region, ULONG Index)
{
    ULONG_PTR *Entry = MipLeafEntry(Region, Index);
    PMI_SEGMENT Leaf;

    if (Entry == NULL) {
        return NULL;
    }
    /* Owners of a segment look at its record without the lock, while the count of live records changes. */
    Leaf = (PMI_SEGMENT)(__atomic_load_n(Entry, __ATOMIC_RELAXED) & ~MI_RECORD_COUNT_MASK);
    return Leaf == NULL ? NULL : &Leaf[Index % MI_SEGMENTS_PER_LEAF];
}

/* Frames needed so that every segment of [First, Last] has room for a record. */
static SIZE_T
MipCountMissingLeaves(PMI_VA_REGION Region, ULONG First, ULONG Last)
{
    SIZE_T Missing = 0;
    ULONG CountedMiddle = MAXULONG;

    for (ULONG Leaf = First / MI_SEGMENTS_PER_LEAF; Leaf <= Last / MI_SEGMENTS_PER_LEAF; Leaf += 1) {
        ULONG Middle = Leaf / MI_DIRECTORY_ENTRIES;
        ULONG_PTR *Entry = MipLeafEntry(Region, (ULONG)(Leaf * MI_SEGMENTS_PER_LEAF));

        if (Entry == NULL && Middle != CountedMiddle) {
            CountedMiddle = Middle;
            Missing += 1;
        }
        if (Entry == NULL || *Entry == 0) {
            Missing += 1;
        }
    }
    return Missing;
}

static VOID
MipFillLeaves(PMI_VA_REGION Region, ULONG First, ULONG Last, PMI_FRAME_SUPPLY Supply)
{
    for (ULONG Leaf = First / MI_SEGMENTS_PER_LEAF; Leaf <= Last / MI_SEGMENTS_PER_LEAF; Leaf += 1) {
        ULONG_PTR *Entry = MipLeafEntry(Region, (ULONG)(Leaf * MI_SEGMENTS_PER_LEAF));

        if (Entry == NULL) {
            Region->Directory[Leaf / MI_DIRECTORY_ENTRIES] = (ULONG_PTR)MiPopSupply(Supply);
            Entry = MipLeafEntry(Region, (ULONG)(Leaf * MI_SEGMENTS_PER_LEAF));
        }
        if (*Entry == 0) {
            *Entry = (ULONG_PTR)MiPopSupply(Supply);
        }
    }
}

/*
 * Change a record's state and keep the count of live records of its frame. The frame of the last one goes to
 * Supply; callers that cannot empty one pass NULL.
 */
static VOID
MipSetState(PMI_VA_REGION Region, ULONG Index, MI_SEGMENT_STATE State, PMI_FRAME_SUPPLY Supply)
{
    ULONG_PTR *Entry = MipLeafEntry(Region, Index);
    PMI_SEGMENT Record = MiSegmentRecord(Region, Index);

    if (Record->State == MiSegmentNone && State != MiSegmentNone) {
        *Entry += 1;
    } else if (Record->State != MiSegmentNone && State == MiSegmentNone) {
        MI_ASSERT((*Entry & MI_RECORD_COUNT_MASK) != 0);
        *Entry -= 1;
    }
    Record->State = (UCHAR)State;
    if (State == MiSegmentNone) {
        *Record = (MI_SEGMENT){0};
        if ((*Entry & MI_RECORD_COUNT_MASK) == 0 && Supply != NULL) {
            MiPushSupply(Supply, (PVOID)*Entry);
            *Entry = 0;
        }
    }
}

/* --- Lists by class ---------------------------------------------------------------------------------------
 */

static VOID
MipLink(PMI_VA_REGION Region, PULONG Head, ULONG Index)
{
    PMI_SEGMENT Record = MiSegmentRecord(Region, Index);

    Record->Next = *Head;
    Record->Previous = MI_NO_SEGMENT;
    if (*Head != MI_NO_SEGMENT) {
        MiSegmentRecord(Region, *Head)->Previous = Index;
    }
    *Head = Index;
}

static VOID
MipUnlink(PMI_VA_REGION Region, PULONG Head, ULONG Index)
{
    PMI_SEGMENT Record = MiSegmentRecord(Region, Index);

    if (Record->Previous == MI_NO_SEGMENT) {
        MI_ASSERT(*Head == Index);
        *Head = Record->Next;
    } else {
        MiSegmentRecord(Region, Record->Previous)->Next = Record->Next;
    }
    if (Record->Next != MI_NO_SEGMENT) {
        MiSegmentRecord(Region, Record->Next)->Previous = Record->Previous;
    }
}

/* --- Free runs --------------------------------------------------------------------------------------------
 */

/* The ends of [First, First + Length) have room for records; make it a free run. */
static VOID
MipMakeRun(PMI_VA_REGION Region, ULONG First, ULONG Length)
{
    ULONG Last = First + Length - 1;

    if (Length > 1) {
        MipSetState(Region, Last, MiSegmentFreeTail, NULL);
        MiSegmentRecord(Region, Last)->RunLength = Length;
    }
    MipSetState(Region, First, MiSegmentFreeHead, NULL);
    MiSegmentRecord(Region, First)->RunLength = Length;
    MipLink(Region, &Region->Runs[MipFloorLog2(Length)], First);
}

static VOID
MipUnlinkRun(PMI_VA_REGION Region, ULONG First)
{
    MipUnlink(Region, &Region->Runs[MipFloorLog2(MiSegmentRecord(Region, First)->RunLength)], First);
}

/* The first segment of the run on the wanted alignment of addresses, if the run has room for Count from
 * there. */
static ULONG
MipFitInRun(PMI_VA_REGION Region, ULONG First, ULONG Count, ULONG AlignSegments)
{
    ULONG64 Base = Region->Start / MI_SEGMENT_BYTES;
    ULONG64 Fit = ALIGN_UP_BY(Base + First, AlignSegments) - Base;
    ULONG64 End = (ULONG64)First + MiSegmentRecord(Region, First)->RunLength;

    return Fit + Count <= End ? (ULONG)Fit : MI_NO_SEGMENT;
}

/*
 * The first run of a class above the one that surely fits is good; below that a few are tried, so that a
 * request as long as a run that was given back finds it.
 */
static ULONG
MipFindRun(PMI_VA_REGION Region, ULONG Count, ULONG AlignSegments, PULONG RunHead)
{
    for (ULONG Class = MipFloorLog2(Count); Class < MI_RUN_CLASSES; Class += 1) {
        ULONG Tries = MI_RUNS_TO_TRY;

        for (ULONG Head = Region->Runs[Class]; Head != MI_NO_SEGMENT && Tries != 0; Tries -= 1) {
            ULONG Fit = MipFitInRun(Region, Head, Count, AlignSegments);

            if (Fit != MI_NO_SEGMENT) {
                *RunHead = Head;
                return Fit;
            }
            Head = MiSegmentRecord(Region, Head)->Next;
        }
    }
    return MI_NO_SEGMENT;
}

ULONG
MiTakeSegments(PMI_VA_REGION Region, ULONG Count, ULONG AlignSegments, PMI_FRAME_SUPPLY Supply,
               PSIZE_T Missing)
{
    ULONG Head = 0;
    ULONG First, Length, Left, Right;
    SIZE_T Needed;

    MI_ASSERT(Count != 0);
    *Missing = 0;
    if (Count > Region->SegmentLimit - Region->SegmentsUsed) {
        return MI_NO_SEGMENT;
    }
    First = MipFindRun(Region, Count, AlignSegments, &Head);
    if (First == MI_NO_SEGMENT) {
        return MI_NO_SEGMENT;
    }
    Length = MiSegmentRecord(Region, Head)->RunLength;
    Left = First - Head;
    Right = Length - Left - Count;
    Needed = MipCountMissingLeaves(Region, Left != 0 ? First - 1 : First,
                                   Right != 0 ? First + Count : First + Count - 1);
    if (Needed > Supply->Count) {
        *Missing = Needed - Supply->Count;
        return MI_NO_SEGMENT;
    }

    MipFillLeaves(Region, Left != 0 ? First - 1 : First, Right != 0 ? First + Count : First + Count - 1,
                  Supply);
    MipUnlinkRun(Region, Head);
    for (ULONG Index = First; Index < First + Count; Index += 1) {
        MipSetState(Region, Index, MiSegmentOwned, NULL);
    }
    if (Left != 0) {
        MipMakeRun(Region, Head, Left);
    }
    if (Right != 0) {
        MipMakeRun(Region, First + Count, Right);
    }
    Region->SegmentsUsed += Count;
    return First;
}

/* The free run that ends just before Index, by its head; MI_NO_SEGMENT if that segment is in use. */
static ULONG
MipRunBefore(PMI_VA_REGION Region, ULONG Index)
{
    PMI_SEGMENT Record;

    if (Index == 0) {
        return MI_NO_SEGMENT;
    }
    Record = MiSegmentRecord(Region, Index - 1);
    MI_ASSERT(Record != NULL && Record->State != MiSegmentNone);
    if (Record->State != MiSegmentFreeTail && Record->State != MiSegmentFreeHead) {
        return MI_NO_SEGMENT;
    }
    return Index - Record->RunLength;
}

VOID
MiReturnSegments(PMI_VA_REGION Region, ULONG First, ULONG Count, PMI_FRAME_SUPPLY Supply)
{
    ULONG Head = First;
    ULONG Length = Count;
    ULONG Before = MipRunBefore(Region, First);

    if (Before != MI_NO_SEGMENT) {
        MipUnlinkRun(Region, Before);
        Length += First - Before;
        Head = Before;
    }
    if (First + Count < Region->SegmentCount) {
        PMI_SEGMENT After = MiSegmentRecord(Region, First + Count);

        MI_ASSERT(After != NULL);
        if (After->State == MiSegmentFreeHead) {
            MipUnlinkRun(Region, First + Count);
            Length += After->RunLength;
        }
    }
    MipMakeRun(Region, Head, Length);

    /* What is inside the joined run now needs no record: the old ends, and the segments given back. */
    for (ULONG64 Index = (ULONG64)First - 1; Index != (ULONG64)First + Count + 1; Index += 1) {
        if (Index > Head && Index < (ULONG64)Head + Length - 1) {
            MI_ASSERT(MiSegmentRecord(Region, (ULONG)Index)->Table == NULL);
            MipSetState(Region, (ULONG)Index, MiSegmentNone, Supply);
        }
    }
    Region->SegmentsUsed -= Count;
}

VOID
MiMakeLargeReservation(PMI_VA_REGION Region, ULONG First, ULONG Count, SIZE_T PageCount)
{
    PMI_SEGMENT Record = MiSegmentRecord(Region, First);

    MI_ASSERT(Record->State == MiSegmentOwned);
    MipSetState(Region, First, MiSegmentLarge, NULL);
    Record->RunLength = Count;
    Record->PageCount = (ULONG)PageCount;
    for (ULONG Index = First + 1; Index < First + Count; Index += 1) {
        MipSetState(Region, Index, MiSegmentBody, NULL);
    }
    Region->PagesReserved += PageCount;
}

ULONG
MiOwnLargeReservation(PMI_VA_REGION Region, ULONG First)
{
    PMI_SEGMENT Record = MiSegmentRecord(Region, First);
    ULONG Count = Record->RunLength;

    MI_ASSERT(Record->State == MiSegmentLarge);
    Region->PagesReserved -= Record->PageCount;
    for (ULONG Index = First; Index < First + Count; Index += 1) {
        MipSetState(Region, Index, MiSegmentOwned, NULL);
    }
    return Count;
}

VOID
MiInitializeVaRegion(PMI_VA_REGION Region, ULONG_PTR Start, ULONG SegmentCount, PMI_FRAME_SUPPLY Supply)
{
    MI_ASSERT(SegmentCount != 0 && SegmentCount <= MI_MAXIMUM_SEGMENTS);
    MI_ASSERT(Supply->Count >= MI_REGION_FRAMES);

    *Region = (MI_VA_REGION){0};
    Region->Start = Start;
    Region->End = Start + SegmentCount * MI_SEGMENT_BYTES;
    Region->SegmentCount = SegmentCount;
    Region->SegmentLimit = SegmentCount;
    for (ULONG Class = 0; Class < MI_HOLE_CLASSES; Class += 1) {
        Region->Holes[Class] = MI_NO_SEGMENT;
    }
    for (ULONG Class = 0; Class < MI_RUN_CLASSES; Class += 1) {
        Region->Runs[Class] = MI_NO_SEGMENT;
    }
    Region->Directory = MiPopSupply(Supply);
    MipFillLeaves(Region, 0, 0, Supply);
    MipFillLeaves(Region, SegmentCount - 1, SegmentCount - 1, Supply);
    MipMakeRun(Region, 0, SegmentCount);
}

/* --- Lists of small segments, for hole.c ------------------------------------------------------------------
 */

VOID
MiListSmallSegment(PMI_VA_REGION Region, ULONG Index, CHAR HoleClass)
{
    PMI_SEGMENT Record = MiSegmentRecord(Region, Index);

    if (Record->HoleClass == HoleClass) {
        return;
    }
    if (Record->HoleClass >= 0) {
        MipUnlink(Region, &Region->Holes[(ULONG)Record->HoleClass], Index);
    }
    Record->HoleClass = HoleClass;
    if (HoleClass >= 0) {
        MipLink(Region, &Region->Holes[(ULONG)HoleClass], Index);
    }
}

VOID
MiMakeSmallSegment(PMI_VA_REGION Region, ULONG Index)
{
    PMI_SEGMENT Record = MiSegmentRecord(Region, Index);

    MI_ASSERT(Record->State == MiSegmentOwned);
    MI_ASSERT(Record->Table != NULL);
    MipSetState(Region, Index, MiSegmentSmall, NULL);
    Record->UsedPages = 0;
    Record->HoleClass = -1;
    MiListSmallSegment(Region, Index, MI_HOLE_CLASSES - 1);
    Region->EmptySegments += 1;
}

/* An empty small segment leaves its list and belongs to the caller. */
VOID
MiOwnEmptySegment(PMI_VA_REGION Region, ULONG Index)
{
    MI_ASSERT(MiSegmentRecord(Region, Index)->UsedPages == 0);
    MiListSmallSegment(Region, Index, -1);
    MipSetState(Region, Index, MiSegmentOwned, NULL);
    Region->EmptySegments -= 1;
}

/* --- Validation -------------------------------------------------------------------------------------------
 */

static ULONG
MipValidateRuns(PMI_VA_REGION Region)
{
    ULONG FreeSegments = 0;

    for (ULONG Class = 0; Class < MI_RUN_CLASSES; Class += 1) {
        ULONG Previous = MI_NO_SEGMENT;

        for (ULONG Head = Region->Runs[Class]; Head != MI_NO_SEGMENT;) {
            PMI_SEGMENT Record = MiSegmentRecord(Region, Head);
            ULONG Length;

            NT_VERIFY(Record != NULL && Record->State == MiSegmentFreeHead);
            Length = Record->RunLength;
            NT_VERIFY(Length != 0 && MipFloorLog2(Length) == Class && Record->Previous == Previous);
            NT_VERIFY((ULONG64)Head + Length <= Region->SegmentCount);
            NT_VERIFY(Length == 1 ||
                      (MiSegmentRecord(Region, Head + Length - 1)->State == MiSegmentFreeTail &&
                       MiSegmentRecord(Region, Head + Length - 1)->RunLength == Length));
            FreeSegments += Length;
            Previous = Head;
            Head = Record->Next;
        }
    }
    return FreeSegments;
}

SIZE_T
MiValidateVaRegion(PMI_VA_REGION Region)
{
    SIZE_T Pages = 0;
    ULONG Empty = 0, Used = 0;
    ULONG Index = 0;
    BOOLEAN AfterFree = FALSE;

    NT_VERIFY(MipValidateRuns(Region) + Region->SegmentsUsed == Region->SegmentCount);
    while (Index < Region->SegmentCount) {
        PMI_SEGMENT Record = MiSegmentRecord(Region, Index);
        BOOLEAN Free;

        NT_VERIFY(Record != NULL);
        Free = Record->State == MiSegmentFreeHead;
        NT_VERIFY(!(Free && AfterFree));
        AfterFree = Free;
        switch (Record->State) {
        case MiSegmentFreeHead:
            Index += Record->RunLength;
            continue;
        case MiSegmentLarge:
            NT_VERIFY(Record->PageCount <= Record->RunLength * MI_SEGMENT_PAGES);
            Pages += Record->PageCount;
            break;
        case MiSegmentSmall:
            NT_VERIFY(Record->Table != NULL);
            Pages += MiValidateHoles(Record);
            Empty += Record->UsedPages == 0;
            break;
        default:
            NT_VERIFY(Record->State == MiSegmentBody || Record->State == MiSegmentOwned);
            break;
        }
        Used += 1;
        Index += 1;
    }
    NT_VERIFY(Used == Region->SegmentsUsed);
    NT_VERIFY(Empty == Region->EmptySegments);
    NT_VERIFY(Pages == Region->PagesReserved);
    return Pages;
}
