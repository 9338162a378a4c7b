/*
 * Tests of rtl/time.c, rtl/crc.c and rtl/random.c against published values.
 */
#include <ntifs.h>
#include <rtl/rtl.h>
#include <test/ktest.h>

KTEST(RtlTimeKnownDates)
{
    /* 1970-01-01 00:00:00 is 116444736000000000. */
    LARGE_INTEGER Time = {.QuadPart = 116444736000000000LL};
    TIME_FIELDS F;

    RtlTimeToTimeFields(&Time, &F);
    CHECK_EQ(F.Year, 1970);
    CHECK_EQ(F.Month, 1);
    CHECK_EQ(F.Day, 1);
    CHECK_EQ(F.Weekday, 4);
    Time.QuadPart = 0;
    RtlTimeToTimeFields(&Time, &F);
    CHECK_EQ(F.Year, 1601);
    CHECK_EQ(F.Weekday, 1);
    /* 2000-02-29 23:59:59.999, a Tuesday: 951868799.999 s after 1970. */
    Time.QuadPart = 116444736000000000LL + 951868799999LL * 10000;
    RtlTimeToTimeFields(&Time, &F);
    CHECK_EQ(F.Year, 2000);
    CHECK_EQ(F.Month, 2);
    CHECK_EQ(F.Day, 29);
    CHECK_EQ(F.Hour, 23);
    CHECK_EQ(F.Milliseconds, 999);
    CHECK_EQ(F.Weekday, 2);
}

KTEST(RtlTimeRoundTrip)
{
    LARGE_INTEGER Time, Back;
    TIME_FIELDS F;
    RTLP_RANDOM Random;
    ULONG i, Wrong = 0;

    RtlpRandomSeed(&Random, 3);
    for (i = 0; i < 4000; i++) {
        Time.QuadPart = (LONGLONG)RtlpRandomBelow(&Random, 9223149887999990000ull / 10000) * 10000;
        RtlTimeToTimeFields(&Time, &F);
        Back.QuadPart = -1;
        Wrong += !RtlTimeFieldsToTime(&F, &Back) || Back.QuadPart != Time.QuadPart;
    }
    /* Every day of the 400 years around the first leap century. */
    for (i = 0; i < 146097; i++) {
        Time.QuadPart = i * 864000000000LL;
        RtlTimeToTimeFields(&Time, &F);
        Wrong += !RtlTimeFieldsToTime(&F, &Back) || Back.QuadPart != Time.QuadPart ||
                 (ULONG)F.Weekday != (i + 1) % 7;
    }
    CHECK_EQ(Wrong, 0);
}

KTEST(RtlTimeFieldsRefused)
{
    static const TIME_FIELDS Bad[] = {
        {1600, 1, 1, 0, 0, 0, 0, 0},   {2001, 2, 29, 0, 0, 0, 0, 0}, {1900, 2, 29, 0, 0, 0, 0, 0},
        {2000, 13, 1, 0, 0, 0, 0, 0},  {2000, 0, 1, 0, 0, 0, 0, 0},  {2000, 4, 31, 0, 0, 0, 0, 0},
        {2000, 1, 0, 0, 0, 0, 0, 0},   {2000, 1, 1, 24, 0, 0, 0, 0}, {2000, 1, 1, 0, 60, 0, 0, 0},
        {2000, 1, 1, 0, 0, 60, 0, 0},  {2000, 1, 1, 0, 0, 0, 1000, 0},
        {2000, 1, 1, -1, 0, 0, 0, 0},  {30828, 1, 1, 0, 0, 0, 0, 0},
    };
    LARGE_INTEGER Time = {.QuadPart = 99};
    TIME_FIELDS F;
    ULONG i, Wrong = 0;

    for (i = 0; i < ARRAYSIZE(Bad); i++) {
        F = Bad[i];
        Wrong += RtlTimeFieldsToTime(&F, &Time);
    }
    CHECK_EQ(Wrong, 0);
    CHECK_EQ(Time.QuadPart, 99);
    F = (TIME_FIELDS){2400, 2, 29, 0, 0, 0, 0, 6};
    CHECK(RtlTimeFieldsToTime(&F, &Time));
}

KTEST(RtlCrc32Check)
{
    CHECK_EQ(RtlpCrc32(0, "123456789", 9), 0xCBF43926);
    CHECK_EQ(RtlpCrc32(RtlpCrc32(0, "1234", 4), "56789", 5), 0xCBF43926);
    CHECK_EQ(RtlpCrc32(0, "", 0), 0);
}

KTEST(RtlRandomIsSeeded)
{
    RTLP_RANDOM A, B;
    ULONG Seen[8] = {0}, i, Wrong = 0, Seed = 1;

    RtlpRandomSeed(&A, 5);
    RtlpRandomSeed(&B, 5);
    for (i = 0; i < 100; i++) {
        Wrong += RtlpRandomNext(&A) != RtlpRandomNext(&B);
    }
    RtlpRandomSeed(&B, 6);
    CHECK(RtlpRandomNext(&A) != RtlpRandomNext(&B));
    for (i = 0; i < 8000; i++) {
        Seen[RtlpRandomBelow(&A, 8)]++;
    }
    for (i = 0; i < 8; i++) {
        Wrong += Seen[i] < 800 || Seen[i] > 1200;
    }
    CHECK_EQ(Wrong, 0);
    CHECK_EQ(RtlpRandomBelow(&A, 1), 0);
    /* (0x7FFFFFED + 0x7FFFFFC3) mod 0x7FFFFFFF */
    CHECK_EQ(RtlUniform(&Seed), 0x7FFFFFB1);
    CHECK_EQ(Seed, 0x7FFFFFB1);
    CHECK(RtlRandomEx(&Seed) < MAXLONG);
}
