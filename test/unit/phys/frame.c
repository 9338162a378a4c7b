/*
 * Taking and giving frames: contents, states, the reserve, running out, and what is not forgiven.
 */
#include "ktest.h"
#include <mm/debug/inject.h>
#include <mm/phys/pfn.h>

#define SOME 200u

static BOOLEAN
FrameIsZero(PFN_NUMBER Frame)
{
    const ULONG64 *Words = HalFrameAddress(Frame);

    for (ULONG Index = 0; Index < PAGE_SIZE / 8; Index++) {
        if (Words[Index] != 0) {
            return FALSE;
        }
    }
    return TRUE;
}

KTEST(PfnGetAndFree)
{
    SIZE_T Before = MiAvailablePages();
    PFN_NUMBER Frame = MiGetFrame(0, MM_ANY_NODE_OK, MiUseSystemPte);

    REQUIRE(Frame != MI_NO_FRAME);
    CHECK_EQ(MiAvailablePages(), Before - 1);
    CHECK(MiIsRamFrame(Frame));
    CHECK_EQ(MiFrameLocation(Frame), MiLocationActive);
    CHECK_EQ(MiFrameReferenceCount(Frame), 1);
    CHECK_EQ(MiFrameShareCount(Frame), 0);
    CHECK_EQ(MiFrameUse(Frame), MiUseSystemPte);
    CHECK(MiFramePte(Frame) == NULL);
    MiFreeFrame(Frame);
    CHECK_EQ(MiAvailablePages(), Before);
}

/* Frames that were written come back as zeroes to who asks for zeroes. */
KTEST(PfnZeroedMeansZero)
{
    PFN_NUMBER Frames[SOME];

    for (ULONG Round = 0; Round < 4; Round++) {
        for (ULONG Index = 0; Index < SOME; Index++) {
            Frames[Index] = MiGetFrame(Round % 2 == 0 ? 0 : MI_GET_ZEROED, MM_ANY_NODE_OK,
                                       MiUseSystemPte);
            REQUIRE(Frames[Index] != MI_NO_FRAME);
            if (Round % 2 != 0) {
                CHECK(FrameIsZero(Frames[Index]));
            }
            RtlFillMemory(HalFrameAddress(Frames[Index]), PAGE_SIZE, 0xC3);
        }
        MiFreeFrames(Frames, SOME);
    }
    CHECK_EQ(MiGetFrames(MI_GET_ZEROED | MI_GET_ALL, MM_ANY_NODE_OK, MiUseKernelStack, SOME,
                         Frames),
             SOME);
    for (ULONG Index = 0; Index < SOME; Index++) {
        CHECK(FrameIsZero(Frames[Index]));
        CHECK_EQ(MiFrameUse(Frames[Index]), MiUseKernelStack);
        for (ULONG Other = 0; Other < Index; Other++) {
            CHECK(Frames[Index] != Frames[Other]);
        }
    }
    MiFreeFrames(Frames, SOME);
}

/* Zeroing in the background changes where pages are, not how many there are. */
KTEST(PfnZeroFreePages)
{
    PFN_NUMBER Frames[SOME];
    MI_PAGE_COUNTS Before;
    MI_PAGE_COUNTS After;
    SIZE_T Done;

    REQUIRE(MiGetFrames(MI_GET_ALL, MM_ANY_NODE_OK, MiUseSystemPte, SOME, Frames) == SOME);
    for (ULONG Index = 0; Index < SOME; Index++) {
        RtlFillMemory(HalFrameAddress(Frames[Index]), PAGE_SIZE, 0x11);
    }
    MiFreeFrames(Frames, SOME);
    MiDrainPageCaches();
    MiQueryPageCounts(&Before);
    Done = MiZeroFreePages(50);
    MiQueryPageCounts(&After);
    CHECK_EQ(Done, 50);
    CHECK_EQ(After.Zeroed, Before.Zeroed + Done);
    CHECK_EQ(After.Free, Before.Free - Done);
    REQUIRE(MiGetFrames(MI_GET_ZEROED | MI_GET_ALL, MM_ANY_NODE_OK, MiUseSystemPte, SOME, Frames) ==
            SOME);
    for (ULONG Index = 0; Index < SOME; Index++) {
        CHECK(FrameIsZero(Frames[Index]));
    }
    MiFreeFrames(Frames, SOME);
}

/* Take everything, chained through the owner's word; returns the head of the chain. */
static PFN_NUMBER
TakeAll(ULONG Flags, PFN_NUMBER Chain, SIZE_T *Count)
{
    PFN_NUMBER Frame;

    while ((Frame = MiGetFrame(Flags, MM_ANY_NODE_OK, MiUseSystemPte)) != MI_NO_FRAME) {
        MiPfn(Frame)->Owner = Chain;
        Chain = Frame;
        *Count += 1;
    }
    return Chain;
}

static VOID
FreeChain(PFN_NUMBER Chain)
{
    PFN_NUMBER Next;

    for (; Chain != MI_NO_FRAME; Chain = Next) {
        Next = MiPfn(Chain)->Owner;
        MiFreeFrame(Chain);
    }
}

/*
 * Running out: the last frames stay for who may have them, then there are none; everything comes
 * back. At DISPATCH_LEVEL, so that on one processor nobody else runs short.
 */
KTEST_KEEPS(PfnExhaustion)
{
    PFN_NUMBER Chain;
    SIZE_T Before = MiAvailablePages();
    SIZE_T Common = 0;
    SIZE_T Reserved = 0;
    KIRQL OldIrql;

    if (Before > 100000) {
        KTestNote("skipped: %I64u pages are too many to take", Before);
        return;
    }
    OldIrql = KiRaiseIrqlToDispatch();
    Chain = TakeAll(0, MI_NO_FRAME, &Common);
    Chain = TakeAll(MI_GET_RESERVE, Chain, &Reserved);
    FreeChain(Chain);
    KiLowerIrql(OldIrql);
    CHECK(Reserved >= 8);
    CHECK(Reserved <= 64);
    CHECK(Common + Reserved >= Before - Before / 16);
    CHECK_EQ(MiGetFrames(MI_GET_ALL, MM_ANY_NODE_OK, MiUseSystemPte, MAXULONG, &Chain), 0);
}

KTEST(PfnCountsAddUp)
{
    MI_PAGE_COUNTS Counts;
    SIZE_T Use[MiUseMaximum + 1][7];
    SIZE_T Sum = 0;
    SIZE_T Lists;

    MiQueryPageCounts(&Counts);
    Lists = Counts.Virgin + Counts.Zeroed + Counts.Free + Counts.Modified + Counts.ModifiedNoWrite +
            Counts.Bad + Counts.Transition + Counts.Active;
    for (ULONG Priority = 0; Priority < 8; Priority++) {
        Lists += Counts.Standby[Priority];
    }
    CHECK_EQ(Lists, Counts.Total);
    MiQueryPageUse(Use);
    for (ULONG Row = 0; Row <= MiUseMaximum; Row++) {
        for (ULONG Column = 0; Column < 7; Column++) {
            Sum += Use[Row][Column];
        }
    }
    CHECK_EQ(Sum, Counts.Total);
}

KTEST(PfnIsRamFrame)
{
    CHECK(!MiIsRamFrame(0xFFFFFFFFFFull));
    CHECK(!MiIsRamFrame(MI_NO_FRAME));
    CHECK(!MiReferenceFrame(0xFFFFFFFFFFull));
    CHECK_EQ(MiFrameReferenceCount(0xFFFFFFFFFFull), 0);
}

/* --- What is not forgiven --------------------------------------------------------------------- */

static VOID
FreeIt(PVOID Context)
{
    MiFreeFrame(*(PFN_NUMBER *)Context);
}

static VOID
DereferenceIt(PVOID Context)
{
    MiDereferenceFrame(*(PFN_NUMBER *)Context, FALSE);
}

KTEST(PfnFreeOfLockedPage)
{
    PFN_NUMBER Frame = MiGetFrame(0, MM_ANY_NODE_OK, MiUseSystemPte);
    KTEST_BUGCHECK Caught;

    REQUIRE(Frame != MI_NO_FRAME);
    CHECK(MiReferenceFrame(Frame));
    REQUIRE(KTestExpectBugCheck(FreeIt, &Frame, &Caught));
    CHECK_EQ(Caught.Code, PFN_LIST_CORRUPT);
    CHECK_EQ(Caught.Parameters[0], 0x9A);
    CHECK_EQ(Caught.Parameters[1], Frame);
    CHECK_EQ(Caught.Parameters[3], 2);
    MiDereferenceFrame(Frame, FALSE);
    MiFreeFrame(Frame);
}

KTEST(PfnUnlockedTooOften)
{
    PFN_NUMBER Frame = MiGetFrame(0, MM_ANY_NODE_OK, MiUseSystemPte);
    KTEST_BUGCHECK Caught;

    REQUIRE(Frame != MI_NO_FRAME);
    REQUIRE(KTestExpectBugCheck(DereferenceIt, &Frame, &Caught));
    CHECK_EQ(Caught.Code, PFN_LIST_CORRUPT);
    CHECK_EQ(Caught.Parameters[0], 7);
    CHECK_EQ(Caught.Parameters[1], Frame);
    MiFreeFrame(Frame);
}

KTEST(PfnDoubleFree)
{
    PFN_NUMBER Frame = MiGetFrame(0, MM_ANY_NODE_OK, MiUseSystemPte);

    REQUIRE(Frame != MI_NO_FRAME);
    MiFreeFrame(Frame);
    CHECK_BUGCHECK_CALL(PFN_LIST_CORRUPT, 0x99, FreeIt, &Frame);
}

#ifdef NTMM_CHECKED
static VOID
DamageAndTakeBack(PVOID Context)
{
    PFN_NUMBER Frame = *(PFN_NUMBER *)Context;

    ((PUCHAR)HalFrameAddress(Frame))[100] ^= 1;
    MiGetContiguousFrames(0, MM_ANY_NODE_OK, MiUseSystemPte, 1, Frame, Frame, 1, 0);
}

/* A write to a freed frame is found when the frame is used again. */
KTEST_KEEPS(PfnWriteAfterFree)
{
    PFN_NUMBER Frame = MiGetFrame(0, MM_ANY_NODE_OK, MiUseSystemPte);
    KTEST_BUGCHECK Caught;

    REQUIRE(Frame != MI_NO_FRAME);
    MiFreeFrame(Frame);
    REQUIRE(KTestExpectBugCheck(DamageAndTakeBack, &Frame, &Caught));
    CHECK_EQ(Caught.Code, PFN_LIST_CORRUPT);
    CHECK_EQ(Caught.Parameters[0], 0x8D);
    CHECK_EQ(Caught.Parameters[1], Frame);
    /* The bug check came when the frame was owned again already. */
    MiFreeFrame(Frame);
}
#endif

/* --- Failure injected ------------------------------------------------------------------------- */

KTEST(PfnInjectedFailure)
{
    SIZE_T Before = MiAvailablePages();
    PFN_NUMBER Frames[3];
    ULONG64 Requests;

    MiInjectStartNth(2);
    Frames[0] = MiGetFrame(0, MM_ANY_NODE_OK, MiUseSystemPte);
    Frames[1] = MiGetFrame(0, MM_ANY_NODE_OK, MiUseSystemPte);
    Frames[2] = MiGetFrame(0, MM_ANY_NODE_OK, MiUseSystemPte);
    CHECK_EQ(MiInjectStop(&Requests), 1);
    CHECK(Requests >= 3);
    CHECK_EQ((Frames[0] == MI_NO_FRAME) + (Frames[1] == MI_NO_FRAME) + (Frames[2] == MI_NO_FRAME),
             1);
    for (ULONG Index = 0; Index < 3; Index++) {
        if (Frames[Index] != MI_NO_FRAME) {
            MiFreeFrame(Frames[Index]);
        }
    }
    CHECK_EQ(MiAvailablePages(), Before);
}

KTEST(PfnInjectText)
{
    CHECK_STATUS(STATUS_INVALID_PARAMETER, MiInjectStartText("nth:", 1));
    CHECK_STATUS(STATUS_INVALID_PARAMETER, MiInjectStartText("nth:0", 1));
    CHECK_STATUS(STATUS_INVALID_PARAMETER, MiInjectStartText("nth:1x", 1));
    CHECK_STATUS(STATUS_INVALID_PARAMETER, MiInjectStartText("rate:1.5", 1));
    CHECK_STATUS(STATUS_INVALID_PARAMETER, MiInjectStartText("rate:.5", 1));
    CHECK_STATUS(STATUS_INVALID_PARAMETER, MiInjectStartText("rate:0.1234567", 1));
    CHECK_STATUS(STATUS_INVALID_PARAMETER, MiInjectStartText("", 1));
    CHECK_STATUS(STATUS_INVALID_PARAMETER, MiInjectStartText("often", 1));
    CHECK_STATUS(STATUS_SUCCESS, MiInjectStartText("rate:0.000001", 1));
    CHECK_EQ(MiInject.RatePerMillion, 1);
    CHECK_STATUS(STATUS_SUCCESS, MiInjectStartText("from:999999999999", 1));
    CHECK_EQ(MiInject.Nth, 999999999999ull);
    MiInjectStop(NULL);
    CHECK(!MiInjectFailure());
}

/* The rate is met, and the same seed refuses the same requests. */
KTEST(PfnInjectRate)
{
    ULONG64 First = 0;
    ULONG64 Second = 0;

    for (ULONG Pass = 0; Pass < 2; Pass++) {
        MI_INJECT_STATE Saved = MiInject;

        MiInject.Mode = MiInjectRate;
        MiInject.RatePerMillion = 250000;
        MiInject.Random = 42;
        for (ULONG Index = 0; Index < 64; Index++) {
            if (MiInjectDecide()) {
                *(Pass == 0 ? &First : &Second) |= 1ull << Index;
            }
        }
        MiInject = Saved;
    }
    CHECK_EQ(First, Second);
    CHECK(__builtin_popcountll(First) > 4 && __builtin_popcountll(First) < 32);
}
