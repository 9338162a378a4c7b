/*
 * Tests of rtl/format.c and of what images reach through it: each line is a format, its arguments
 * and the text that the documents promise.
 */
#include <ntexport.h>
#include <rtl/rtl.h>
#include <test/ktest.h>

typedef int NTAPI SNPRINTF(char *, SIZE_T, const char *, ...);
typedef int NTAPI SNPRINTF_S(char *, SIZE_T, SIZE_T, const char *, ...);
typedef int NTAPI SNWPRINTF(WCHAR *, SIZE_T, const WCHAR *, ...);
typedef int NTAPI SWPRINTF(WCHAR *, const WCHAR *, ...);

static const void *
Exported(const char *Name)
{
    const NT_EXPORT *Export;
    ULONG i;

    for (Export = __start_ntexports; Export < __stop_ntexports; Export++) {
        for (i = 0; Name[i] != 0 && Name[i] == Export->Name[i]; i++) {
        }
        if (Name[i] == Export->Name[i]) {
            return Export->Address;
        }
    }
    return NULL;
}

static BOOLEAN
SameText(const char *A, const char *B)
{
    while (*A != 0 && *A == *B) {
        A++;
        B++;
    }
    return *A == *B;
}

static char Out[256];

#define FORMATS(Expected, ...)                                          \
    do {                                                                \
        RtlpPrintBuffer(Out, sizeof(Out), __VA_ARGS__);                 \
        if (!SameText(Out, Expected)) {                                 \
            KTestFail(__FILE__, __LINE__, Out);                         \
        }                                                               \
    } while (0)

KTEST(RtlFormatIntegers)
{
    FORMATS("-5 5 4294967291", "%d %i %u", -5, 5, -5);
    FORMATS("ff FF 0xff 0XFF 0", "%x %X %#x %#X %#x", 255, 255, 255, 255, 0);
    FORMATS("17 017 0", "%o %#o %#o", 15, 15, 0);
    FORMATS("[   42][42   ][00042][  042]", "[%5d][%-5d][%05d][%5.3d]", 42, 42, 42, 42);
    FORMATS("[42   ]", "[%-05d]", 42);
    FORMATS("[+7][ 7][-7][+007]", "[%+d][% d][%+d][%+04d]", 7, 7, -7, 7);
    FORMATS("[0x00ff][  0xff]", "[%#06x][%#6x]", 255, 255);
    FORMATS("[][0][  5]", "[%.0d][%d][%*d]", 0, 0, 3, 5);
    FORMATS("[5  ][00005]", "[%*d][%.*d]", -3, 5, 5, 5);
    FORMATS("-9223372036854775808 18446744073709551615", "%lld %I64u", 1ull << 63, ~0ull);
    FORMATS("-2147483648 80000000", "%ld %lx", 0x80000000u, 0x80000000u);
    FORMATS("-1 65535 -1 255", "%hd %hu %hhd %hhu", 0x1FFFF, 0x1FFFF, 0x1FF, 0x1FF);
    FORMATS("12345678 123456789ABCDEF0", "%I32X %IX", 0x12345678, 0x123456789ABCDEF0ull);
    FORMATS("123456789abcdef0 1", "%zx %jd", 0x123456789ABCDEF0ull, 1ull);
    FORMATS("1777777777777777777777", "%llo", ~0ull);
}

KTEST(RtlFormatPointers)
{
    FORMATS("0000000000000000 FFFF800012345678", "%p %p", NULL, (void *)0xFFFF800012345678ull);
    FORMATS("[  00000000000000AB]", "[%18p]", (void *)0xABull);
}

KTEST(RtlFormatStrings)
{
    ANSI_STRING A = {3, 3, (PCHAR)(ULONG_PTR)"abcdef"};
    UNICODE_STRING W = {6, 6, (PWCH)(ULONG_PTR)u"xyzuvw"}, None = {0, 0, NULL};

    FORMATS("abc (null) |", "%s %s %s|", "abc", NULL, "");
    FORMATS("[  abc][abc  ][ab][   ab]", "[%5s][%-5s][%.2s][%5.2s]", "abc", "abc", "abc", "abc");
    FORMATS("abc abc abc abc", "%S %ls %ws %wS", u"abc", u"abc", u"abc", u"abc");
    FORMATS("abc abc", "%hs %hS", "abc", "abc");
    FORMATS("caf\xE9 \x80 ?", "%ws", u"caf\u00E9 \u20AC \u4E00");
    FORMATS("abc xyz xyz [xy]", "%Z %wZ %lZ [%.2wZ]", &A, &W, &W, &W);
    FORMATS("(null) (null) [    x]", "%Z %wZ [%5.1wZ]", NULL, &None, &W);
    FORMATS("A B C [  D][E  ]", "%c %C %hc [%3c][%-3lc]", 'A', 'B', 'C', 'D', 'E');
}

KTEST(RtlFormatStringWithoutTerminator)
{
    static const char Text[4] = {'a', 'b', 'c', 'd'};

    FORMATS("abcd", "%.4s", Text); /* a sanitizer sees a read too far */
}

KTEST(RtlFormatOddities)
{
    int Untouched = 17;

    FORMATS("100% 5 after", "100%% %d after", 5);
    FORMATS("? 7", "%f %d", 1.5, 7);
    FORMATS("ab 8", "a%nb %d", &Untouched, 8);
    CHECK_EQ(Untouched, 17);
    FORMATS("y 9", "%y %d", 9);
    FORMATS("end", "end%");
    FORMATS("end", "end%-08.3ll");
    FORMATS("1 2 3 4 5 6 7 8 9 10", "%d %d %d %d %d %d %d %d %d %d", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10);
}

KTEST(RtlFormatBufferCuts)
{
    CHECK_EQ(RtlpPrintBuffer(Out, 4, "%s", "abcdef"), 3);
    CHECK(SameText(Out, "abc"));
    CHECK_EQ(RtlpPrintBuffer(Out, 1, "%99999999999d", 1), 0);
    CHECK_EQ(Out[0], 0);
}

KTEST(RtlExportedSnprintf)
{
    SNPRINTF *Print = (SNPRINTF *)(ULONG_PTR)Exported("_snprintf");

    REQUIRE(Print != NULL);
    Out[3] = Out[4] = '#';
    CHECK_EQ((ULONG)Print(Out, 4, "%s", "abc"), 3);
    CHECK_EQ(Out[3], 0);
    CHECK_EQ((ULONG)Print(Out, 3, "%s", "xyz"), 3);
    CHECK_EQ(Out[3], 0); /* full, no terminator written */
    Out[3] = '#';
    CHECK_EQ((ULONG)Print(Out, 3, "%s", "xyzu"), (ULONG)-1);
    CHECK_EQ(Out[2], 'z');
    CHECK_EQ(Out[3], '#');
    CHECK_EQ((ULONG)Print(NULL, 0, "%d", 12345), 5);
    CHECK_EQ((ULONG)Print(NULL, 1, "%d", 12345), (ULONG)-1);
}

KTEST(RtlExportedSecurePrintf)
{
    SNPRINTF *Print = (SNPRINTF *)(ULONG_PTR)Exported("sprintf_s");
    SNPRINTF_S *PrintN = (SNPRINTF_S *)(ULONG_PTR)Exported("_snprintf_s");

    REQUIRE(Print != NULL && PrintN != NULL);
    CHECK_EQ((ULONG)Print(Out, 4, "%s", "abc"), 3);
    CHECK_EQ((ULONG)Print(Out, 4, "%s", "abcd"), (ULONG)-1);
    CHECK_EQ(Out[0], 0);
    CHECK_EQ((ULONG)PrintN(Out, 8, 2, "%s", "abcd"), (ULONG)-1);
    CHECK(SameText(Out, "ab"));
    CHECK_EQ((ULONG)PrintN(Out, 3, MAXSIZE_T, "%s", "abcd"), (ULONG)-1);
    CHECK(SameText(Out, "ab"));
}

KTEST(RtlExportedWidePrintf)
{
    SNWPRINTF *PrintN = (SNWPRINTF *)(ULONG_PTR)Exported("_snwprintf");
    SWPRINTF *Print = (SWPRINTF *)(ULONG_PTR)Exported("swprintf");
    WCHAR Wide[32];

    REQUIRE(Print != NULL && PrintN != NULL);
    CHECK_EQ((ULONG)Print(Wide, u"%s-%S-%hs-%c-%C-%d", u"ab", "cd", "ef", u'g', 'h', 12), 15);
    RtlpPrintBuffer(Out, sizeof(Out), "%ws", Wide);
    CHECK(SameText(Out, "ab-cd-ef-g-h-12"));
    CHECK_EQ((ULONG)PrintN(Wide, 3, u"%hs", "\x80xyz"), (ULONG)-1);
    CHECK_EQ(Wide[0], 0x20AC);
    CHECK_EQ(Wide[3], 'c'); /* beyond the count: still the first text's */
}
