/*
 * Tests of rtl/mem.c: every length and overlap around the boundaries between its methods, byte by
 * byte against a plain loop, and not one byte beyond the range.
 */
#include <rtl/rtl.h>
#include <test/ktest.h>

#define SPAN 400
#define GUARD 0xEE

static UCHAR Actual[SPAN], Expected[SPAN];

static const USHORT Lengths[] = {0,  1,  2,  3,  4,  5,  7,  8,  9,  12, 15,  16,  17,
                                 24, 31, 32, 33, 40, 63, 64, 65, 96, 99, 128, 129, 150};

static VOID
Prepare(VOID)
{
    ULONG i;

    for (i = 0; i < SPAN; i++) {
        Actual[i] = Expected[i] = (UCHAR)(i * 7 + 3);
    }
}

static BOOLEAN
Same(VOID)
{
    ULONG i;

    for (i = 0; i < SPAN; i++) {
        if (Actual[i] != Expected[i]) {
            return FALSE;
        }
    }
    return TRUE;
}

static VOID
PlainMove(ULONG To, ULONG From, ULONG Length)
{
    UCHAR Copy[SPAN];
    ULONG i;

    for (i = 0; i < Length; i++) {
        Copy[i] = Expected[From + i];
    }
    for (i = 0; i < Length; i++) {
        Expected[To + i] = Copy[i];
    }
}

KTEST(RtlMoveEveryOverlap)
{
    ULONG Length, To, i;
    ULONG Wrong = 0;

    for (i = 0; i < ARRAYSIZE(Lengths); i++) {
        Length = Lengths[i];
        for (To = 0; To + Length <= SPAN; To++) {
            Prepare();
            PlainMove(To, 100, Length);
            RtlMoveMemory(Actual + To, Actual + 100, Length);
            Wrong += !Same();
        }
    }
    CHECK_EQ(Wrong, 0);
}

KTEST(RtlFillEveryAlignment)
{
    ULONG Length, At, i, j;
    ULONG Wrong = 0;

    for (i = 0; i < ARRAYSIZE(Lengths); i++) {
        Length = Lengths[i];
        for (At = 0; At < 17; At++) {
            Prepare();
            for (j = 0; j < Length; j++) {
                Expected[At + j] = GUARD;
            }
            RtlFillMemory(Actual + At, Length, GUARD);
            Wrong += !Same();
        }
    }
    CHECK_EQ(Wrong, 0);
}

KTEST(RtlCompareMemoryCounts)
{
    ULONG Length, i, At, Wrong = 0;

    for (i = 0; i < ARRAYSIZE(Lengths); i++) {
        Length = Lengths[i];
        Prepare();
        Wrong += RtlCompareMemory(Actual + 1, Expected + 1, Length) != Length;
        for (At = 0; At < Length; At++) {
            Actual[1 + At] ^= 0x80;
            Wrong += RtlCompareMemory(Actual + 1, Expected + 1, Length) != At;
            Wrong += RtlEqualMemory(Actual + 1, Expected + 1, Length) != FALSE;
            Wrong += RtlConstantTimeEqualMemory(Actual + 1, Expected + 1, Length) != FALSE;
            Actual[1 + At] ^= 0x80;
        }
        Wrong += !RtlConstantTimeEqualMemory(Actual + 1, Expected + 1, Length);
    }
    CHECK_EQ(Wrong, 0);
}

KTEST(RtlEqualMemoryHasTheSign)
{
    /* The compiler's memcmp orders bytes as unsigned. */
    UCHAR Low[9] = {1, 1, 1, 1, 1, 1, 1, 1, 0x01}, High[9] = {1, 1, 1, 1, 1, 1, 1, 1, 0xFF};
    volatile SIZE_T Length = 9;

    CHECK(__builtin_memcmp(Low, High, Length) < 0);
    CHECK(__builtin_memcmp(High, Low, Length) > 0);
    CHECK(__builtin_memcmp(High, High, Length) == 0);
}

KTEST(RtlUlongPatterns)
{
    ULONG Words[6] = {0, 0, 0, 0, 0, 0};

    RtlFillMemoryUlong(Words + 1, 16, 0xA1B2C3D4);
    CHECK_EQ(Words[0], 0);
    CHECK_EQ(Words[1], 0xA1B2C3D4);
    CHECK_EQ(Words[4], 0xA1B2C3D4);
    CHECK_EQ(Words[5], 0);
    CHECK_EQ(RtlCompareMemoryUlong(Words + 1, 20, 0xA1B2C3D4), 16);
    CHECK_EQ(RtlCompareMemoryUlong(Words + 1, 12, 0xA1B2C3D4), 12);
    CHECK_EQ(RtlCompareMemoryUlong(Words, 8, 0xA1B2C3D4), 0);
    CHECK_EQ(RtlCompareMemoryUlong((PUCHAR)(Words + 1) + 1, 8, 0xA1B2C3D4), 0);
    CHECK_EQ(RtlCompareMemoryUlong(Words + 1, 7, 0xA1B2C3D4), 0);
}

KTEST(RtlIsZeroMemoryLooksAtEveryByte)
{
    UCHAR Bytes[40] = {0};
    ULONG i, Wrong = 0;

    for (i = 1; i < 38; i++) {
        Bytes[i] = 1;
        Wrong += RtlIsZeroMemory(Bytes + 1, 37);
        Bytes[i] = 0;
    }
    Bytes[0] = Bytes[38] = 1;
    CHECK_EQ(Wrong, 0);
    CHECK(RtlIsZeroMemory(Bytes + 1, 37));
    CHECK(RtlIsZeroMemory(Bytes, 0));
}

KTEST(RtlNonTemporalForms)
{
    ULONG Length, i, j, Wrong = 0;

    for (i = 0; i < ARRAYSIZE(Lengths); i++) {
        Length = Lengths[i];
        Prepare();
        PlainMove(3, 200, Length);
        RtlPrefetchMemoryNonTemporal(Actual + 200, Length);
        RtlCopyMemoryNonTemporal(Actual + 3, Actual + 200, Length);
        Wrong += !Same();
        for (j = 0; j < Length; j++) {
            Expected[3 + j] = GUARD;
        }
        RtlFillMemoryNonTemporal(Actual + 3, Length, GUARD);
        Wrong += !Same();
    }
    CHECK_EQ(Wrong, 0);
}
