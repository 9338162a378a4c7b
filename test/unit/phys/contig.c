/*
 * Contiguous runs: every constraint, whole extents, runs made of pages from everywhere.
 */
#include "ktest.h"
#include <mm/phys/pfn.h>
#include <mm/phys/physp.h>

#define ANY_FRAME 0ull, ~0ull

static PFN_NUMBER
GetRun(SIZE_T PageCount, SIZE_T Align, SIZE_T Boundary)
{
    return MiGetContiguousFrames(0, MM_ANY_NODE_OK, MiUseDriverLocked, PageCount, ANY_FRAME, Align,
                                 Boundary);
}

static VOID
CheckRun(PFN_NUMBER First, SIZE_T PageCount)
{
    for (PFN_NUMBER Frame = First; Frame < First + PageCount; Frame++) {
        CHECK(MiIsRamFrame(Frame));
        CHECK_EQ(MiFrameReferenceCount(Frame), 1);
        CHECK_EQ(MiFrameUse(Frame), MiUseDriverLocked);
    }
}

KTEST(RunConstraints)
{
    static const struct {
        SIZE_T Pages, Align, Boundary;
    } Rows[] = {{1, 0, 0},   {1, 16, 0},  {2, 1, 2},     {3, 1, 4},     {5, 8, 8},    {16, 16, 16},
                {7, 1, 8},   {64, 4, 64}, {100, 1, 128}, {512, 512, 0}, {600, 1, 0},  {600, 512, 0},
                {513, 1, 0}, {17, 256, 0}};
    SIZE_T Before = MiAvailablePages();

    for (ULONG Row = 0; Row < ARRAYSIZE(Rows); Row++) {
        PFN_NUMBER First = GetRun(Rows[Row].Pages, Rows[Row].Align, Rows[Row].Boundary);

        CHECK(First != MI_NO_FRAME);
        if (First == MI_NO_FRAME) {
            continue;
        }
        CHECK_EQ(MiAvailablePages(), Before - Rows[Row].Pages);
        if (Rows[Row].Align != 0) {
            CHECK_EQ(First % Rows[Row].Align, 0);
        }
        if (Rows[Row].Boundary != 0) {
            CHECK_EQ(First / Rows[Row].Boundary,
                     (First + Rows[Row].Pages - 1) / Rows[Row].Boundary);
        }
        CheckRun(First, Rows[Row].Pages);
        MiFreeContiguousFrames(First, Rows[Row].Pages);
        CHECK_EQ(MiAvailablePages(), Before);
    }
}

KTEST(RunRefused)
{
    SIZE_T Before = MiAvailablePages();

    CHECK_EQ(GetRun(0, 1, 0), MI_NO_FRAME);
    CHECK_EQ(GetRun(9, 1, 8), MI_NO_FRAME);
    CHECK_EQ(GetRun(1ull << 40, 1, 0), MI_NO_FRAME);
    CHECK_EQ(GetRun(1, 1ull << 45, 0), MI_NO_FRAME);
    CHECK_EQ(MiGetContiguousFrames(0, MM_ANY_NODE_OK, MiUseDriverLocked, 2, 5, 5, 1, 0),
             MI_NO_FRAME);
    CHECK_EQ(MiGetContiguousFrames(0, MM_ANY_NODE_OK, MiUseDriverLocked, 1, 6, 5, 1, 0),
             MI_NO_FRAME);
    CHECK_EQ(MiGetContiguousFrames(0, 63, MiUseDriverLocked, 1, ANY_FRAME, 1, 0), MI_NO_FRAME);
    CHECK_EQ(MiAvailablePages(), Before);
}

/* The window is inclusive at both ends: exactly the pages just freed can be had again. */
KTEST(RunInWindow)
{
    PFN_NUMBER First = GetRun(8, 8, 0);

    REQUIRE(First != MI_NO_FRAME);
    MiFreeContiguousFrames(First, 8);
    CHECK_EQ(MiGetContiguousFrames(0, MM_ANY_NODE_OK, MiUseDriverLocked, 8, First, First + 7, 1, 0),
             First);
    CHECK_EQ(MiGetContiguousFrames(0, MM_ANY_NODE_OK, MiUseDriverLocked, 1, First + 3, First + 3,
                                   1, 0),
             MI_NO_FRAME);
    MiFreeContiguousFrames(First, 8);
}

/* A run that would cross the boundary starts behind it, wherever the window begins. */
KTEST(RunBoundaryInWindow)
{
    PFN_NUMBER First = GetRun(64, 64, 0);
    PFN_NUMBER Run;

    REQUIRE(First != MI_NO_FRAME);
    MiFreeContiguousFrames(First, 64);
    Run = MiGetContiguousFrames(0, MM_ANY_NODE_OK, MiUseDriverLocked, 4, First + 6, First + 15, 1,
                                8);
    CHECK_EQ(Run, First + 8);
    CHECK_EQ(MiGetContiguousFrames(0, MM_ANY_NODE_OK, MiUseDriverLocked, 4, First + 21, First + 26,
                                   1,
                                   8), MI_NO_FRAME);
    CHECK_EQ(MiGetContiguousFrames(0, MM_ANY_NODE_OK, MiUseDriverLocked, 2, First + 17, First + 23,
                                   4,
                                   4), First + 20);
    MiFreeContiguousFrames(First + 8, 4);
    MiFreeContiguousFrames(First + 20, 2);
}

/* The last page of a whole extent is freed before anybody looked at its record. */
KTEST(RunWholeExtentTail)
{
    PFN_NUMBER First = MI_NO_FRAME;
    PFN_NUMBER Runs[64];
    ULONG Count;

    /* The last of these was virgin, unless there are none left. */
    for (Count = 0; Count < ARRAYSIZE(Runs); Count++) {
        Runs[Count] = GetRun(512, 512, 0);
        if (Runs[Count] == MI_NO_FRAME) {
            break;
        }
        First = Runs[Count];
    }
    REQUIRE(Count != 0);
    MiFreeFrame(First + 511);
    MiFreeContiguousFrames(First, 511);
    while (--Count != 0) {
        MiFreeContiguousFrames(Runs[Count - 1], 512);
    }
}

static BOOLEAN
RunIsZero(PFN_NUMBER First, SIZE_T PageCount)
{
    const ULONG64 *Words = HalFrameAddress(First);

    for (SIZE_T Index = 0; Index < PageCount * PAGE_SIZE / 8; Index++) {
        if (Words[Index] != 0) {
            return FALSE;
        }
    }
    return TRUE;
}

KTEST(RunZeroed)
{
    for (ULONG Round = 0; Round < 3; Round++) {
        SIZE_T Pages = Round == 2 ? 512 : 20;
        PFN_NUMBER First = GetRun(Pages, Pages == 512 ? 512 : 1, 0);

        REQUIRE(First != MI_NO_FRAME);
        RtlFillMemory(HalFrameAddress(First), Pages * PAGE_SIZE, 0x5A);
        MiFreeContiguousFrames(First, Pages);
        First = MiGetContiguousFrames(MI_GET_ZEROED, MM_ANY_NODE_OK, MiUseDriverLocked, Pages,
                                      First,
                                      First + Pages - 1, 1, 0);
        REQUIRE(First != MI_NO_FRAME);
        CHECK(RunIsZero(First, Pages));
        MiFreeContiguousFrames(First, Pages);
    }
}

/*
 * A whole extent: its pages get records of their own when somebody needs them, and it can be freed
 * so.
 */
KTEST(RunWholeExtent)
{
    SIZE_T Before = MiAvailablePages();
    PFN_NUMBER First = GetRun(512, 512, 0);

    REQUIRE(First != MI_NO_FRAME);
    CHECK(MiReferenceFrame(First + 300));
    CHECK_EQ(MiFrameReferenceCount(First + 300), 2);
    CHECK_EQ(MiFrameReferenceCount(First + 299), 1);
    MiDereferenceFrame(First + 300, TRUE);
    for (PFN_NUMBER Frame = First + 511; Frame > First; Frame--) {
        MiFreeFrame(Frame);
    }
    CHECK_EQ(MiAvailablePages(), Before - 1);
    MiFreeFrame(First);
    CHECK_EQ(MiAvailablePages(), Before);

    First = GetRun(512, 512, 0);
    REQUIRE(First != MI_NO_FRAME);
    MiFreeFrame(First + 17);
    MiFreeContiguousFrames(First, 17);
    MiFreeContiguousFrames(First + 18, 512 - 18);
    CHECK_EQ(MiAvailablePages(), Before);
}

/* Freed whole extents are used again, as one and in pieces. */
KTEST(RunWholeExtentAgain)
{
    PFN_NUMBER Frames[600];
    PFN_NUMBER First = GetRun(512, 512, 0);
    PFN_NUMBER Again;
    BOOLEAN Whole;

    REQUIRE(First != MI_NO_FRAME);
    MiFreeContiguousFrames(First, 512);
    /*
     * Where every extent is carved already, the run was made of pages and has gone back as pages.
     */
    Whole = MipExtentState(MipFindRange(First), MipExtentIndex(MipFindRange(First),
                                                               First)) == MiExtentWholeFree;
    Again = GetRun(512, 512, 0);
    CHECK(Again != MI_NO_FRAME && (Again == First || !Whole));
    MiFreeContiguousFrames(Again, 512);
    Again = MiGetContiguousFrames(0, MM_ANY_NODE_OK, MiUseDriverLocked, 3, First + 100,
                                  First + 200, 1,
                                  0);
    CHECK(Again >= First + 100 && Again <= First + 198);
    MiFreeContiguousFrames(Again, 3);
    CHECK_EQ(MiGetFrames(MI_GET_ALL, MM_ANY_NODE_OK, MiUseSystemPte, 600, Frames), 600);
    MiFreeFrames(Frames, 600);
}

/* Pages that sit in processors' caches do not stand in the way. */
KTEST(RunTakesCachedPages)
{
    PFN_NUMBER First = GetRun(32, 32, 0);
    PFN_NUMBER Again;

    REQUIRE(First != MI_NO_FRAME);
    for (PFN_NUMBER Frame = First; Frame < First + 32; Frame++) {
        MiFreeFrame(Frame);
    }
    CHECK_EQ(MiFrameLocation(First + 31), MiLocationCachedFree);
    Again = MiGetContiguousFrames(0, MM_ANY_NODE_OK, MiUseDriverLocked, 32, First, First + 31, 1,
                                  0);
    CHECK_EQ(Again, First);
    if (Again != MI_NO_FRAME) {
        MiFreeContiguousFrames(Again, 32);
    }
}
