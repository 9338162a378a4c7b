/* The address allocator by itself: a region of 24 segments without page tables, against a plain array of
 * pages. */
#include "ptetest.h"
#include <mm/pte/segment.h>

#define SEG_COUNT 24u
#define SEG_START 0x400000000000ull
#define SEG_PAGES (SEG_COUNT * MI_SEGMENT_PAGES)
#define SEG_OPEN  200u

static MI_VA_REGION SegRegion;
static MI_FRAME_SUPPLY SegSupply;
static UCHAR SegTaken[SEG_PAGES];
static UCHAR SegFakeTable[16];

typedef struct _SEG_OPEN_ENTRY {
    ULONG64 Page;
    ULONG Count;
} SEG_OPEN_ENTRY;

static SEG_OPEN_ENTRY SegOpen[SEG_OPEN];

static VOID
SegFill(SIZE_T Count)
{
    while (Count != 0) {
        MiPushSupply(&SegSupply, HalFrameAddress(MiGetFrame(MI_GET_ZEROED, 0, MiUsePageTable)));
        Count -= 1;
    }
}

static VOID
SegBegin(VOID)
{
    SegSupply = (MI_FRAME_SUPPLY){0};
    SegFill(MI_REGION_FRAMES);
    MiInitializeVaRegion(&SegRegion, SEG_START, SEG_COUNT, &SegSupply);
    RtlZeroMemory(SegTaken, sizeof(SegTaken));
    RtlZeroMemory(SegOpen, sizeof(SegOpen));
}

static VOID
SegFreeSupply(VOID)
{
    while (SegSupply.Count != 0) {
        MiFreeFrame(HalAddressFrame(MiPopSupply(&SegSupply)));
    }
}

/* Everything was returned: free the directory, too. */
static VOID
SegEnd(VOID)
{
    CHECK_EQ(MiValidateVaRegion(&SegRegion), 0);
    CHECK_EQ(SegRegion.SegmentsUsed, 0);
    for (ULONG Middle = 0; Middle < MI_DIRECTORY_ENTRIES; Middle += 1) {
        ULONG_PTR *Entries = (ULONG_PTR *)SegRegion.Directory[Middle];

        for (ULONG Leaf = 0; Entries != NULL && Leaf < MI_DIRECTORY_ENTRIES; Leaf += 1) {
            if (Entries[Leaf] != 0) {
                MiFreeFrame(HalAddressFrame((PVOID)ALIGN_DOWN_BY(Entries[Leaf], PAGE_SIZE)));
            }
        }
        if (Entries != NULL) {
            MiFreeFrame(HalAddressFrame(Entries));
        }
    }
    MiFreeFrame(HalAddressFrame(SegRegion.Directory));
    SegFreeSupply();
}

static ULONG
SegTakeRun(ULONG Count, ULONG Align)
{
    SIZE_T Missing;
    ULONG First = MiTakeSegments(&SegRegion, Count, Align, &SegSupply, &Missing);

    if (First == MI_NO_SEGMENT && Missing != 0) {
        SegFill(Missing);
        First = MiTakeSegments(&SegRegion, Count, Align, &SegSupply, &Missing);
        CHECK_EQ(Missing, 0);
    }
    return First;
}

/* What MiReserveSystemVa does, with a table that is not one. */
static ULONG64
SegReserve(ULONG Count, ULONG Align)
{
    ULONG Segments = (Count + MI_SEGMENT_PAGES - 1) / MI_SEGMENT_PAGES;
    ULONG64 Page = MI_NO_FRAME;
    ULONG First;

    if (Count <= MI_SEGMENT_PAGES) {
        Page = MiTakePages(&SegRegion, Count, Align);
        if (Page == MI_NO_FRAME && (First = SegTakeRun(1, 1)) != MI_NO_SEGMENT) {
            MiSegmentRecord(&SegRegion, First)->Table = SegFakeTable;
            MiMakeSmallSegment(&SegRegion, First);
            Page = MiTakePages(&SegRegion, Count, Align);
            CHECK(Page != MI_NO_FRAME);
        }
    } else if ((First = SegTakeRun(Segments, 1)) != MI_NO_SEGMENT) {
        MiMakeLargeReservation(&SegRegion, First, Segments, Count);
        Page = (ULONG64)First * MI_SEGMENT_PAGES;
    }
    for (ULONG Index = 0; Page != MI_NO_FRAME && Index < Count; Index += 1) {
        CHECK_EQ(SegTaken[Page + Index], 0);
        SegTaken[Page + Index] = 1;
    }
    return Page;
}

static VOID
SegRelease(ULONG64 Page, ULONG Count)
{
    ULONG First = (ULONG)(Page / MI_SEGMENT_PAGES);
    ULONG Segments = 1;

    CHECK(MiIsReservation(&SegRegion, Page, Count));
    CHECK(!MiIsReservation(&SegRegion, Page, Count + 1));
    if (Count <= MI_SEGMENT_PAGES) {
        First = MiReturnPages(&SegRegion, Page, Count, 1);
    } else {
        Segments = MiOwnLargeReservation(&SegRegion, First);
    }
    if (First != MI_NO_SEGMENT) {
        for (ULONG Index = First; Index < First + Segments; Index += 1) {
            MiSegmentRecord(&SegRegion, Index)->Table = NULL;
        }
        MiReturnSegments(&SegRegion, First, Segments, &SegSupply);
    }
    CHECK(!MiIsReservation(&SegRegion, Page, Count));
    for (ULONG Index = 0; Index < Count; Index += 1) {
        SegTaken[Page + Index] = 0;
    }
}

static VOID
SegDropEmpty(VOID)
{
    ULONG Empty;

    while ((Empty = MiTakeEmptySegment(&SegRegion)) != MI_NO_SEGMENT) {
        MiSegmentRecord(&SegRegion, Empty)->Table = NULL;
        MiReturnSegments(&SegRegion, Empty, 1, &SegSupply);
    }
}

KTEST(SegmentRunsJoinAgain)
{
    ULONG First, Second, Third;

    SegBegin();
    First = SegTakeRun(3, 1);
    Second = SegTakeRun(5, 1);
    Third = SegTakeRun(2, 8);
    CHECK_EQ((SEG_START / MI_SEGMENT_BYTES + Third) % 8, 0);
    CHECK_EQ(SegRegion.SegmentsUsed, 10);
    MiReturnSegments(&SegRegion, Second, 5, &SegSupply);
    MiReturnSegments(&SegRegion, First, 3, &SegSupply);
    MiValidateVaRegion(&SegRegion);
    MiReturnSegments(&SegRegion, Third, 2, &SegSupply);
    /* One run again: everything can be had at once, and nothing more. */
    First = SegTakeRun(SEG_COUNT, 1);
    CHECK_EQ(First, 0);
    CHECK_EQ(SegTakeRun(1, 1), MI_NO_SEGMENT);
    MiReturnSegments(&SegRegion, First, SEG_COUNT, &SegSupply);
    SegEnd();
}

KTEST(SegmentHolesAreAligned)
{
    ULONG64 Page, Other;

    SegBegin();
    CHECK_EQ(SegReserve(1, 1), 0);
    for (ULONG Align = 2; Align <= MI_SEGMENT_PAGES; Align *= 2) {
        Page = SegReserve(3, Align);
        CHECK_EQ(Page % Align, 0);
        SegRelease(Page, 3);
    }
    /* The hole between two reservations is found again, exactly. */
    Page = SegReserve(70, 1);
    Other = SegReserve(1, 1);
    SegRelease(Page, 70);
    CHECK_EQ(SegReserve(70, 1), Page);
    SegRelease(Page, 70);
    SegRelease(Other, 1);
    SegRelease(0, 1);
    SegDropEmpty();
    SegEnd();
}

KTEST(SegmentExhaustion)
{
    ULONG64 Pages[SEG_COUNT];

    SegBegin();
    for (ULONG Index = 0; Index < SEG_COUNT; Index += 1) {
        Pages[Index] = SegReserve(MI_SEGMENT_PAGES, 1);
        CHECK(Pages[Index] != MI_NO_FRAME);
    }
    CHECK_EQ(SegReserve(1, 1), MI_NO_FRAME);
    SegRelease(Pages[7], MI_SEGMENT_PAGES);
    CHECK_EQ(SegReserve(2 * MI_SEGMENT_PAGES, 1), MI_NO_FRAME);
    CHECK_EQ(SegReserve(1, 1), Pages[7]);
    SegRelease(Pages[7], 1);
    for (ULONG Index = 0; Index < SEG_COUNT; Index += 1) {
        if (Index != 7) {
            SegRelease(Pages[Index], MI_SEGMENT_PAGES);
        }
    }
    SegDropEmpty();
    SegEnd();
}

KTEST(SegmentRandomAgainstModel)
{
    ULONG64 State = 20;

    SegBegin();
    for (ULONG Step = 0; Step < 4000; Step += 1) {
        ULONG Slot = PtRandom(&State) % SEG_OPEN;
        ULONG Kind = PtRandom(&State) % 16;
        ULONG Count = 1 + PtRandom(&State) % (Kind == 0 ? 3000 : Kind < 4 ? MI_SEGMENT_PAGES : 24);
        ULONG Align = Kind % 5 == 0 ? 1u << (PtRandom(&State) % 10) : 1;

        if (SegOpen[Slot].Count != 0) {
            SegRelease(SegOpen[Slot].Page, SegOpen[Slot].Count);
            SegOpen[Slot].Count = 0;
        } else {
            SegOpen[Slot].Page = SegReserve(Count, Align);
            SegOpen[Slot].Count = SegOpen[Slot].Page == MI_NO_FRAME ? 0 : Count;
            CHECK(SegOpen[Slot].Page == MI_NO_FRAME || Count > MI_SEGMENT_PAGES ||
                  SegOpen[Slot].Page % Align == 0);
        }
        if (Step % 64 == 0) {
            MiValidateVaRegion(&SegRegion);
        }
    }
    for (ULONG Slot = 0; Slot < SEG_OPEN; Slot += 1) {
        if (SegOpen[Slot].Count != 0) {
            SegRelease(SegOpen[Slot].Page, SegOpen[Slot].Count);
        }
    }
    SegDropEmpty();
    SegEnd();
}
