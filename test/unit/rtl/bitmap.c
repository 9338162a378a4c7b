/*
 * Tests of rtl/bitmap.c against one byte per bit.
 */
#include <rtl/rtl.h>
#include <test/ktest.h>

#define BITS 150

static ULONG Words[(BITS + 31) / 32 + 2];
static UCHAR Plain[BITS];
static RTL_BITMAP Map;

static ULONG
PlainFind(ULONG Count, ULONG From, UCHAR Value)
{
    ULONG Start, i;

    for (Start = From; Start + Count <= BITS; Start++) {
        for (i = 0; i < Count && Plain[Start + i] == Value; i++) {
        }
        if (i == Count) {
            return Start;
        }
    }
    return MAXULONG;
}

static ULONG
PlainFindWithHint(ULONG Count, ULONG Hint, UCHAR Value)
{
    ULONG Found = PlainFind(Count, Hint, Value);

    return Found == MAXULONG ? PlainFind(Count, 0, Value) : Found;
}

static VOID
Start(VOID)
{
    RtlFillMemory(Words, sizeof(Words), 0xA5);
    RtlInitializeBitMap(&Map, Words, BITS);
    RtlClearAllBits(&Map);
    RtlZeroMemory(Plain, sizeof(Plain));
}

/* Whether map and bytes agree, and the bits beyond the map are as they were. */
static BOOLEAN
Agree(VOID)
{
    ULONG i, Set = 0;

    for (i = 0; i < BITS; i++) {
        if (RtlTestBit(&Map, i) != Plain[i]) {
            return FALSE;
        }
        Set += Plain[i];
    }
    return RtlNumberOfSetBits(&Map) == Set && RtlNumberOfClearBits(&Map) == BITS - Set &&
           Words[BITS / 32] >> BITS % 32 == 0xA5A5A5A5 >> BITS % 32 &&
           Words[BITS / 32 + 1] == 0xA5A5A5A5;
}

static VOID
ChangeAtRandom(PRTLP_RANDOM Random)
{
    ULONG At = (ULONG)RtlpRandomBelow(Random, BITS);
    ULONG Count = (ULONG)RtlpRandomBelow(Random, MIN(60u, BITS - At + 1));
    UCHAR Value = (UCHAR)RtlpRandomBelow(Random, 2);

    if (Value) {
        RtlSetBits(&Map, At, Count);
    } else {
        RtlClearBits(&Map, At, Count);
    }
    RtlFillMemory(Plain + At, Count, Value);
}

KTEST(RtlBitMapAgainstBytes)
{
    RTLP_RANDOM Random;
    ULONG Step, Count, Hint, Wrong = 0;

    Start();
    RtlpRandomSeed(&Random, 7);
    for (Step = 0; Step < 3000; Step++) {
        ChangeAtRandom(&Random);
        Wrong += !Agree();
        Count = 1 + (ULONG)RtlpRandomBelow(&Random, 40);
        Hint = (ULONG)RtlpRandomBelow(&Random, BITS);
        Wrong += RtlFindClearBits(&Map, Count, Hint) != PlainFindWithHint(Count, Hint, 0);
        Wrong += RtlFindSetBits(&Map, Count, Hint) != PlainFindWithHint(Count, Hint, 1);
        Wrong += RtlAreBitsSet(&Map, Hint, Count) != (PlainFind(Count, Hint, 1) == Hint);
        Wrong += RtlAreBitsClear(&Map, Hint, Count) != (PlainFind(Count, Hint, 0) == Hint);
    }
    CHECK_EQ(Wrong, 0);
}

KTEST(RtlFindClearBitsAndSetFillsUp)
{
    ULONG i, Wrong = 0;

    Start();
    for (i = 0; i < BITS / 3; i++) {
        Wrong += RtlFindClearBitsAndSet(&Map, 3, i * 3) != i * 3;
    }
    CHECK_EQ(Wrong, 0);
    CHECK_EQ(RtlNumberOfClearBits(&Map), 0);
    CHECK_EQ(RtlFindClearBits(&Map, BITS + 1, 0), MAXULONG);
    RtlSetAllBits(&Map);
    CHECK_EQ(RtlFindClearBitsAndSet(&Map, 1, 0), MAXULONG);
    CHECK_EQ(RtlFindSetBitsAndClear(&Map, 2, BITS - 1), 0);
    CHECK_EQ(RtlFindClearBitsAndSet(&Map, 2, 50), 0);
    CHECK_EQ(RtlNumberOfClearBits(&Map), 0);
    CHECK_EQ(RtlFindClearBits(&Map, 1, 0), MAXULONG);
}

KTEST(RtlFindClearBitsEmptyAndBeyond)
{
    Start();
    CHECK_EQ(RtlFindClearBits(&Map, 0, 5), 5);
    CHECK_EQ(RtlFindClearBits(&Map, 4, BITS + 7), 0);
    CHECK(!RtlAreBitsClear(&Map, 0, 0));
    CHECK(!RtlAreBitsClear(&Map, BITS - 1, 2));
    CHECK(!RtlAreBitsClear(&Map, 1, MAXULONG));
    CHECK(RtlAreBitsClear(&Map, BITS - 1, 1));
    Map.SizeOfBitMap = 0;
    CHECK_EQ(RtlFindClearBits(&Map, 1, 0), MAXULONG);
    CHECK_EQ(RtlNumberOfSetBits(&Map), 0);
}

KTEST(RtlClearRuns)
{
    RTL_BITMAP_RUN Runs[3];
    ULONG At = 0;

    Start();
    RtlSetAllBits(&Map);
    CHECK_EQ(RtlFindFirstRunClear(&Map, &At), 0); /* whatever the bits beyond the map */
    CHECK_EQ(RtlFindLongestRunClear(&Map, &At), 0);
    RtlClearBits(&Map, BITS - 2, 2);
    CHECK_EQ(RtlFindFirstRunClear(&Map, &At), 2);
    CHECK_EQ(At, BITS - 2);
    RtlSetBits(&Map, BITS - 2, 2);
    RtlClearBits(&Map, 2, 3);
    RtlClearBits(&Map, 30, 10);
    RtlClearBits(&Map, 64, 1);
    RtlClearBits(&Map, 100, 10);
    CHECK_EQ(RtlFindFirstRunClear(&Map, &At), 3);
    CHECK_EQ(At, 2);
    CHECK_EQ(RtlFindLongestRunClear(&Map, &At), 10);
    CHECK_EQ(At, 30);
    CHECK_EQ(RtlFindNextForwardRunClear(&Map, 33, &At), 7);
    CHECK_EQ(At, 33);
    CHECK_EQ(RtlFindNextForwardRunClear(&Map, 110, &At), 0);
    CHECK_EQ(RtlFindLastBackwardRunClear(&Map, 99, &At), 1);
    CHECK_EQ(At, 64);
    CHECK_EQ(RtlFindLastBackwardRunClear(&Map, 104, &At), 5);
    CHECK_EQ(At, 100);
    CHECK_EQ(RtlFindLastBackwardRunClear(&Map, 1, &At), 0);
    CHECK_EQ(RtlFindClearRuns(&Map, Runs, 3, FALSE), 3);
    CHECK_EQ(Runs[0].StartingIndex, 2);
    CHECK_EQ(Runs[2].StartingIndex, 64);
    CHECK_EQ(RtlFindClearRuns(&Map, Runs, 3, TRUE), 3);
    CHECK_EQ(Runs[0].StartingIndex, 30);
    CHECK_EQ(Runs[1].StartingIndex, 100);
    CHECK_EQ(Runs[2].NumberOfBits, 3);
    RtlClearBits(&Map, 0, 2);
    CHECK_EQ(RtlFindLastBackwardRunClear(&Map, 3, &At), 4);
    CHECK_EQ(At, 0);
}

KTEST(RtlSignificantBits)
{
    CHECK_EQ(RtlFindLeastSignificantBit(0), (ULONG64)-1);
    CHECK_EQ(RtlFindMostSignificantBit(0), (ULONG64)-1);
    CHECK_EQ(RtlFindLeastSignificantBit(0x8000000000000010ull), 4);
    CHECK_EQ(RtlFindMostSignificantBit(0x8000000000000010ull), 63);
}
