/*
 * Tests of ex/rtlalloc.c: string conversions into the caller's buffer and into pool.
 */
#include <ntifs.h>
#include <test/ktest.h>

static BOOLEAN
IsText(PCUNICODE_STRING String, PCWSTR Text)
{
    UNICODE_STRING Expected;

    RtlInitUnicodeString(&Expected, Text);
    return RtlEqualUnicodeString(String, &Expected, FALSE);
}

KTEST(ExAnsiToUnicode)
{
    WCHAR Buffer[5] = u"####";
    UNICODE_STRING W = {0, 4 * sizeof(WCHAR), Buffer};
    ANSI_STRING A, Long;

    RtlInitAnsiString(&A, "a\x80z");
    CHECK_EQ(RtlAnsiStringToUnicodeSize(&A), 8);
    CHECK_STATUS(STATUS_SUCCESS, RtlAnsiStringToUnicodeString(&W, &A, FALSE));
    CHECK(IsText(&W, u"a\u20ACz"));
    CHECK_EQ(Buffer[3], 0);
    CHECK_EQ(Buffer[4], 0);
    RtlInitAnsiString(&A, "abcd");
    CHECK_STATUS(STATUS_BUFFER_OVERFLOW, RtlAnsiStringToUnicodeString(&W, &A, FALSE));
    CHECK(IsText(&W, u"a\u20ACz"));
    Long = A;
    Long.Length = 0x8000;
    CHECK_STATUS(STATUS_INVALID_PARAMETER_2, RtlAnsiStringToUnicodeString(&W, &Long, TRUE));
    CHECK_STATUS(STATUS_SUCCESS, RtlAnsiStringToUnicodeString(&W, &A, TRUE));
    CHECK(W.Buffer != Buffer);
    CHECK_EQ(W.Length, 8);
    CHECK_EQ(W.MaximumLength, 10);
    CHECK(IsText(&W, u"abcd"));
    CHECK_EQ(W.Buffer[4], 0);
    RtlFreeUnicodeString(&W);
    CHECK(W.Buffer == NULL && W.Length == 0 && W.MaximumLength == 0);
    RtlFreeUnicodeString(&W);
}

KTEST(ExUnicodeToAnsi)
{
    CHAR Buffer[4] = "###";
    ANSI_STRING A = {0, 3, Buffer};
    UNICODE_STRING W;

    RtlInitUnicodeString(&W, u"\u00E9\u4E00");
    CHECK_EQ(RtlUnicodeStringToAnsiSize(&W), 3);
    CHECK_STATUS(STATUS_SUCCESS, RtlUnicodeStringToAnsiString(&A, &W, FALSE));
    CHECK_EQ(A.Length, 2);
    CHECK_EQ((UCHAR)Buffer[0], 0xE9);
    CHECK_EQ(Buffer[1], '?');
    CHECK_EQ(Buffer[2], 0);
    RtlInitUnicodeString(&W, u"abc");
    CHECK_STATUS(STATUS_BUFFER_OVERFLOW, RtlUnicodeStringToAnsiString(&A, &W, FALSE));
    CHECK_STATUS(STATUS_SUCCESS, RtlUnicodeStringToAnsiString(&A, &W, TRUE));
    CHECK_EQ(A.Length, 3);
    CHECK_EQ(A.MaximumLength, 4);
    CHECK_EQ(A.Buffer[3], 0);
    RtlFreeAnsiString(&A);
    CHECK(A.Buffer == NULL);
}

KTEST(ExCaseOfStrings)
{
    WCHAR Buffer[8] = u"aB\u00E9z";
    UNICODE_STRING W = {8, 8, Buffer}, Copy = {0, 6, Buffer + 4}, Empty = {0, 0, NULL};

    CHECK_STATUS(STATUS_BUFFER_OVERFLOW, RtlUpcaseUnicodeString(&Copy, &W, FALSE));
    CHECK_STATUS(STATUS_SUCCESS, RtlUpcaseUnicodeString(&W, &W, FALSE));
    CHECK(IsText(&W, u"AB\u00C9Z"));
    CHECK_STATUS(STATUS_SUCCESS, RtlDowncaseUnicodeString(&Copy, &W, TRUE));
    CHECK(IsText(&Copy, u"ab\u00E9z"));
    CHECK_EQ(Copy.MaximumLength, 8);
    RtlFreeUnicodeString(&Copy);
    CHECK_STATUS(STATUS_SUCCESS, RtlUpcaseUnicodeString(&Copy, &Empty, TRUE));
    CHECK_EQ(Copy.Length, 0);
    RtlFreeUnicodeString(&Copy);
}

KTEST(ExCopiesOfStrings)
{
    UNICODE_STRING W, Copy, Empty = {0, 0, NULL};

    CHECK(RtlCreateUnicodeString(&Copy, u"text"));
    CHECK(IsText(&Copy, u"text"));
    CHECK_EQ(Copy.Buffer[4], 0);
    RtlFreeUnicodeString(&Copy);
    RtlInitUnicodeString(&W, u"text");
    W.Length = 4;
    CHECK_STATUS(STATUS_INVALID_PARAMETER, RtlDuplicateUnicodeString(2, &W, &Copy));
    CHECK_STATUS(STATUS_INVALID_PARAMETER, RtlDuplicateUnicodeString(5, &W, &Copy));
    CHECK_STATUS(STATUS_SUCCESS, RtlDuplicateUnicodeString(0, &W, &Copy));
    CHECK_EQ(Copy.MaximumLength, 4);
    RtlFreeUnicodeString(&Copy);
    CHECK_STATUS(STATUS_SUCCESS, RtlDuplicateUnicodeString(1, &W, &Copy));
    CHECK(IsText(&Copy, u"te"));
    CHECK_EQ(Copy.MaximumLength, 6);
    CHECK_EQ(Copy.Buffer[2], 0);
    RtlFreeUnicodeString(&Copy);
    CHECK_STATUS(STATUS_SUCCESS, RtlDuplicateUnicodeString(1, &Empty, &Copy));
    CHECK(Copy.Buffer == NULL);
    CHECK_STATUS(STATUS_SUCCESS, RtlDuplicateUnicodeString(3, &Empty, &Copy));
    CHECK(Copy.Buffer != NULL && Copy.Buffer[0] == 0 && Copy.Length == 0);
    RtlFreeUnicodeString(&Copy);
}

KTEST(ExGuidText)
{
    static const GUID Guid = {0x12345678, 0x9ABC, 0xDEF0, {1, 2, 3, 4, 5, 6, 0xFA, 0xFB}};
    UNICODE_STRING Text;
    GUID Back;

    CHECK_STATUS(STATUS_SUCCESS, RtlStringFromGUID(&Guid, &Text));
    CHECK(IsText(&Text, u"{12345678-9ABC-DEF0-0102-03040506FAFB}"));
    CHECK_EQ(Text.MaximumLength, 39 * 2);
    CHECK_STATUS(STATUS_SUCCESS, RtlGUIDFromString(&Text, &Back));
    CHECK(RtlEqualMemory(&Back, &Guid, sizeof(Guid)));
    RtlFreeUnicodeString(&Text);
}
