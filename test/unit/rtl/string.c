/*
 * Tests of rtl/string.c and rtl/chars.c.
 */
#include <ntifs.h>
#include <rtl/rtl.h>
#include <test/ktest.h>

static UNICODE_STRING
Wide(PCWSTR Text)
{
    UNICODE_STRING String;

    RtlInitUnicodeString(&String, Text);
    return String;
}

KTEST(RtlInitStrings)
{
    static WCHAR Long[40000];
    UNICODE_STRING W = Wide(u"abc");
    ANSI_STRING A;
    ULONG i;

    CHECK_EQ(W.Length, 6);
    CHECK_EQ(W.MaximumLength, 8);
    RtlInitUnicodeString(&W, NULL);
    CHECK_EQ(W.Length, 0);
    CHECK_EQ(W.MaximumLength, 0);
    CHECK(W.Buffer == NULL);
    RtlInitAnsiString(&A, "abcd");
    CHECK_EQ(A.Length, 4);
    CHECK_EQ(A.MaximumLength, 5);
    for (i = 0; i < ARRAYSIZE(Long) - 1; i++) {
        Long[i] = 'x';
    }
    RtlInitUnicodeString(&W, Long);
    CHECK_EQ(W.Length, 0xFFFC);
    CHECK_EQ(W.MaximumLength, 0xFFFE);
    CHECK_STATUS(STATUS_NAME_TOO_LONG, RtlInitUnicodeStringEx(&W, Long));
    CHECK_STATUS(STATUS_SUCCESS, RtlInitUnicodeStringEx(&W, u"x"));
}

KTEST(RtlCopyAndAppend)
{
    WCHAR Buffer[8] = u"???????";
    UNICODE_STRING To = {0, 5 * sizeof(WCHAR), Buffer}, From = Wide(u"abcdef"), None = {0, 0, NULL};

    RtlCopyUnicodeString(&To, &From);
    CHECK_EQ(To.Length, 10);
    CHECK_EQ(Buffer[4], 'e');
    CHECK_EQ(Buffer[5], '?');
    From.Length = 4;
    RtlCopyUnicodeString(&To, &From);
    CHECK_EQ(To.Length, 4);
    CHECK_EQ(Buffer[2], 0);
    CHECK_STATUS(STATUS_SUCCESS, RtlAppendUnicodeToString(&To, u"xy"));
    CHECK_EQ(To.Length, 8);
    CHECK_EQ(Buffer[3], 'y');
    CHECK_EQ(Buffer[4], 0);
    CHECK_STATUS(STATUS_BUFFER_TOO_SMALL, RtlAppendUnicodeToString(&To, u"zz"));
    CHECK_EQ(To.Length, 8);
    CHECK_STATUS(STATUS_SUCCESS, RtlAppendUnicodeStringToString(&To, &None));
    CHECK_STATUS(STATUS_SUCCESS, RtlAppendUnicodeToString(&To, NULL));
    CHECK_STATUS(STATUS_SUCCESS, RtlAppendUnicodeToString(&To, u"z"));
    CHECK_EQ(To.Length, 10);
    RtlCopyUnicodeString(&To, NULL);
    CHECK_EQ(To.Length, 0);
    RtlCopyUnicodeString(&None, &None);
    CHECK_EQ(None.Length, 0);
}

KTEST(RtlCompareStrings)
{
    UNICODE_STRING A = Wide(u"Hello"), B = Wide(u"hELLO"), C = Wide(u"Hell"), D = Wide(u"\u00C9t\u00E9"),
                   E = Wide(u"\u00E9T\u00C9"), Tail = Wide(u"LO");

    CHECK(RtlCompareUnicodeString(&A, &B, FALSE) < 0);
    CHECK_EQ(RtlCompareUnicodeString(&A, &B, TRUE), 0);
    CHECK(RtlCompareUnicodeString(&A, &C, TRUE) > 0);
    CHECK(RtlEqualUnicodeString(&D, &E, TRUE));
    CHECK(!RtlEqualUnicodeString(&D, &E, FALSE));
    CHECK(!RtlEqualUnicodeString(&A, &C, TRUE));
    CHECK(RtlPrefixUnicodeString(&C, &A, FALSE));
    CHECK(!RtlPrefixUnicodeString(&C, &B, FALSE));
    CHECK(RtlPrefixUnicodeString(&C, &B, TRUE));
    CHECK(!RtlPrefixUnicodeString(&A, &C, TRUE));
    CHECK(RtlSuffixUnicodeString(&Tail, &B, FALSE));
    CHECK(!RtlSuffixUnicodeString(&Tail, &A, FALSE));
}

KTEST(RtlHashFollowsX65599)
{
    UNICODE_STRING S = Wide(u"aB");
    ULONG Hash = 0;

    CHECK_STATUS(STATUS_SUCCESS, RtlHashUnicodeString(&S, FALSE, HASH_STRING_ALGORITHM_X65599, &Hash));
    CHECK_EQ(Hash, 'a' * 65599u + 'B');
    CHECK_STATUS(STATUS_SUCCESS, RtlHashUnicodeString(&S, TRUE, HASH_STRING_ALGORITHM_DEFAULT, &Hash));
    CHECK_EQ(Hash, 'A' * 65599u + 'B');
    CHECK_STATUS(STATUS_INVALID_PARAMETER, RtlHashUnicodeString(&S, TRUE, 7, &Hash));
    CHECK_STATUS(STATUS_INVALID_PARAMETER, RtlHashUnicodeString(NULL, TRUE, 0, &Hash));
}

KTEST(RtlCaseOfCharacters)
{
    ULONG Unit, Wrong = 0;

    CHECK_EQ(RtlUpcaseUnicodeChar('z'), 'Z');
    CHECK_EQ(RtlUpcaseUnicodeChar('{'), '{');
    CHECK_EQ(RtlUpcaseUnicodeChar(0x00FF), 0x0178);
    CHECK_EQ(RtlUpcaseUnicodeChar(0x0131), 0x0131); /* could not be undone */
    CHECK_EQ(RtlUpcaseUnicodeChar(0x03B1), 0x0391);
    CHECK_EQ(RtlUpcaseUnicodeChar(0x0451), 0x0401);
    CHECK_EQ(RtlUpcaseUnicodeChar(0x0101), 0x0100);
    CHECK_EQ(RtlUpcaseUnicodeChar(0x0100), 0x0100);
    CHECK_EQ(RtlDowncaseUnicodeChar(0x0410), 0x0430);
    CHECK_EQ(RtlUpcaseUnicodeChar(0xFF41), 0xFF21);
    for (Unit = 0; Unit < 0x10000; Unit++) {
        WCHAR Upper = RtlUpcaseUnicodeChar((WCHAR)Unit), Lower = RtlDowncaseUnicodeChar((WCHAR)Unit);

        Wrong += Upper != Unit && RtlDowncaseUnicodeChar(Upper) != Unit;
        Wrong += Lower != Unit && RtlUpcaseUnicodeChar(Lower) != Unit;
        Wrong += Upper != Unit && Lower != Unit;
    }
    CHECK_EQ(Wrong, 0);
}

KTEST(RtlCodePageRoundTrip)
{
    ULONG Byte, Wrong = 0;

    for (Byte = 0; Byte < 256; Byte++) {
        Wrong += RtlpWideToAnsi(RtlpAnsiToWide((UCHAR)Byte)) != Byte;
    }
    CHECK_EQ(Wrong, 0);
    CHECK_EQ(RtlpAnsiToWide(0x80), 0x20AC);
    CHECK_EQ(RtlpWideToAnsi(0x4E00), '?');
    CHECK_EQ((UCHAR)RtlUpperChar((CHAR)0xE9), 0xC9);
    CHECK_EQ((UCHAR)RtlUpperChar((CHAR)0xFF), 0x9F);
    CHECK_EQ((UCHAR)RtlUpperChar('q'), 'Q');
}

static ULONG
Parse(PCWSTR Text, ULONG Base)
{
    UNICODE_STRING String = Wide(Text);
    ULONG Value = 0xDEAD;

    CHECK_STATUS(STATUS_SUCCESS, RtlUnicodeStringToInteger(&String, Base, &Value));
    return Value;
}

KTEST(RtlNumbersInStrings)
{
    WCHAR Buffer[9];
    UNICODE_STRING Text = {0, sizeof(Buffer), Buffer}, Bad = Wide(u"1");
    ULONG Value = 5;

    CHECK_EQ(Parse(u"  123x", 0), 123);
    CHECK_EQ(Parse(u"-0x1F", 0), (ULONG)-31);
    CHECK_EQ(Parse(u"0o17", 0), 15);
    CHECK_EQ(Parse(u"0b101", 0), 5);
    CHECK_EQ(Parse(u"fF", 16), 255);
    CHECK_EQ(Parse(u"19", 8), 1);
    CHECK_EQ(Parse(u"", 10), 0);
    CHECK_STATUS(STATUS_INVALID_PARAMETER, RtlUnicodeStringToInteger(&Bad, 7, &Value));
    CHECK_EQ(Value, 5);
    CHECK_STATUS(STATUS_SUCCESS, RtlIntegerToUnicodeString(0xBEEF, 16, &Text));
    CHECK_EQ(Text.Length, 8);
    CHECK_EQ(Buffer[3], 'F');
    CHECK_EQ(Buffer[4], 0);
    CHECK_STATUS(STATUS_SUCCESS, RtlIntegerToUnicodeString(0, 0, &Text));
    CHECK_EQ(Text.Length, 2);
    CHECK_STATUS(STATUS_BUFFER_OVERFLOW, RtlIntegerToUnicodeString(1234567890, 10, &Text));
    CHECK_EQ(Text.Length, 2);
    CHECK_STATUS(STATUS_INVALID_PARAMETER, RtlIntegerToUnicodeString(1, 3, &Text));
}

KTEST(RtlGuidFromString)
{
    UNICODE_STRING Text = Wide(u"{00112233-4455-6677-8899-aaBBccDDeeFF}");
    UNICODE_STRING Bad = Wide(u"{00112233-4455-6677-8899-aaBBccDDeeFG}");
    GUID Guid = {0};

    CHECK_STATUS(STATUS_INVALID_PARAMETER, RtlGUIDFromString(&Bad, &Guid));
    CHECK_EQ(Guid.Data1, 0);
    CHECK_STATUS(STATUS_SUCCESS, RtlGUIDFromString(&Text, &Guid));
    CHECK_EQ(Guid.Data1, 0x00112233);
    CHECK_EQ(Guid.Data2, 0x4455);
    CHECK_EQ(Guid.Data3, 0x6677);
    CHECK_EQ(Guid.Data4[0], 0x88);
    CHECK_EQ(Guid.Data4[7], 0xFF);
    Text.Length -= 2;
    CHECK_STATUS(STATUS_INVALID_PARAMETER, RtlGUIDFromString(&Text, &Guid));
}
