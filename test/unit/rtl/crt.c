/*
 * Tests of rtl/crt.c, called as an image calls: by the exported name, in the Microsoft convention.
 */
#include <ntexport.h>
#include <rtl/rtl.h>
#include <test/ktest.h>

typedef ULONG64 NTAPI ANY(ULONG64, ULONG64, ULONG64);

/* Call an export with up to three arguments; MAXULONGLONG when there is no such export. */
static ULONG64
Call(const char *Name, ULONG64 A, ULONG64 B, ULONG64 C)
{
    const NT_EXPORT *Export;
    ULONG i;

    for (Export = __start_ntexports; Export < __stop_ntexports; Export++) {
        for (i = 0; Name[i] != 0 && Name[i] == Export->Name[i]; i++) {
        }
        if (Name[i] == Export->Name[i]) {
            return ((ANY *)(ULONG_PTR)Export->Address)(A, B, C);
        }
    }
    KTestFail(__FILE__, __LINE__, Name);
    return MAXULONGLONG;
}

#define P(Pointer) ((ULONG64)(ULONG_PTR)(Pointer))
#define CALL1(Name, A) Call(Name, P(A), 0, 0)
#define CALL2(Name, A, B) Call(Name, P(A), P(B), 0)
#define CALL3(Name, A, B, C) Call(Name, P(A), P(B), (C))
#define SIGN(Value) ((LONG)(Value) < 0 ? -1 : (LONG)(Value) > 0)

KTEST(CrtNarrowStrings)
{
    static const char Text[] = "hello, hello";
    char Buffer[16] = "################";

    CHECK_EQ(CALL1("strlen", Text), 12);
    CHECK_EQ(CALL2("strnlen", Text, 5), 5);
    CHECK_EQ(SIGN(CALL2("strcmp", "abc", "abd")), -1);
    CHECK_EQ(SIGN(CALL2("strcmp", "\xE9", "z")), 1);
    CHECK_EQ((LONG)CALL3("strncmp", "abc", "abd", 2), 0);
    CHECK_EQ((LONG)CALL2("_stricmp", "HELLO", "hello"), 0);
    CHECK_EQ((LONG)CALL3("_strnicmp", "HELLO", "help", 3), 0);
    CHECK_EQ(CALL2("strchr", Text, ','), P(Text + 5));
    CHECK_EQ(CALL2("strchr", Text, 0), P(Text + 12));
    CHECK_EQ(CALL2("strchr", Text, 'z'), 0);
    CHECK_EQ(CALL2("strrchr", Text, 'h'), P(Text + 7));
    CHECK_EQ(CALL2("strstr", Text, "lo,"), P(Text + 3));
    CHECK_EQ(CALL2("strstr", Text, "low"), 0);
    CHECK_EQ(CALL2("strstr", Text, ""), P(Text));
    CHECK_EQ(CALL2("strspn", Text, "hel"), 4);
    CHECK_EQ(CALL3("strncpy", Buffer, "ab", 5), P(Buffer));
    CHECK_EQ(Buffer[2] | Buffer[3] | Buffer[4], 0);
    CHECK_EQ(Buffer[5], '#');
    CALL2("strcpy", Buffer, "one");
    CALL2("strcat", Buffer, "two");
    CALL3("strncat", Buffer, "three", 2);
    CHECK_EQ((LONG)CALL2("strcmp", Buffer, "onetwoth"), 0);
    CALL1("_strupr", Buffer);
    CHECK_EQ((LONG)CALL2("strcmp", Buffer, "ONETWOTH"), 0);
    CHECK_EQ(CALL3("memchr", Text, 'o', 12), P(Text + 4));
    CHECK_EQ(CALL3("memchr", Text, 'o', 4), 0);
}

KTEST(CrtWideStrings)
{
    static const WCHAR Text[] = u"hello, hello";
    WCHAR Buffer[16] = u"###############";

    CHECK_EQ(CALL1("wcslen", Text), 12);
    CHECK_EQ(SIGN(CALL2("wcscmp", u"abc", u"ab\u0100")), -1);
    CHECK_EQ((LONG)CALL3("wcsncmp", u"abc", u"abd", 2), 0);
    CHECK_EQ((LONG)CALL2("_wcsicmp", u"\u00C9T\u00C9", u"\u00E9t\u00E9"), 0);
    CHECK_EQ((LONG)CALL3("_wcsnicmp", u"HELLO", u"help", 3), 0);
    CHECK_EQ(CALL2("wcschr", Text, ','), P(Text + 5));
    CHECK_EQ(CALL2("wcsrchr", Text, 'h'), P(Text + 7));
    CHECK_EQ(CALL2("wcsstr", Text, u"lo,"), P(Text + 3));
    CHECK_EQ(CALL2("wcsstr", Text, u"low"), 0);
    CALL3("wcsncpy", Buffer, u"ab", 4);
    CHECK_EQ(Buffer[3], 0);
    CHECK_EQ(Buffer[4], '#');
    CALL2("wcscpy", Buffer, u"one");
    CALL2("wcscat", Buffer, u"two");
    CALL3("wcsncat", Buffer, u"three", 2);
    CHECK_EQ((LONG)CALL2("wcscmp", Buffer, u"onetwoth"), 0);
    CALL1("_wcsupr", Buffer);
    CHECK_EQ((LONG)CALL2("wcscmp", Buffer, u"ONETWOTH"), 0);
}

KTEST(CrtCharactersAndNumbers)
{
    CHECK_EQ((LONG)Call("toupper", 'q', 0, 0), 'Q');
    CHECK_EQ((LONG)Call("tolower", 'Q', 0, 0), 'q');
    CHECK_EQ((USHORT)Call("towupper", 0xE9, 0, 0), 0xC9);
    CHECK_EQ((LONG)Call("isdigit", '5', 0, 0) != 0, TRUE);
    CHECK_EQ((LONG)Call("isspace", '\t', 0, 0) != 0, TRUE);
    CHECK_EQ((LONG)Call("isxdigit", 'g', 0, 0) != 0, FALSE);
    CHECK_EQ((LONG)CALL1("atoi", " -123x"), -123);
    CHECK_EQ(CALL1("_atoi64", "9876543210"), 9876543210ull);
}

KTEST(CrtMemoryByName)
{
    UCHAR Bytes[64];
    ULONG i;

    CHECK_EQ(CALL3("memset", Bytes, 0x5A, 64), P(Bytes));
    for (i = 0; i < 32; i++) {
        Bytes[i] = (UCHAR)i;
    }
    CHECK_EQ(CALL3("memcpy", Bytes + 32, Bytes, 32), P(Bytes + 32));
    CHECK_EQ((LONG)CALL3("memcmp", Bytes, Bytes + 32, 32), 0);
    CALL3("memmove", Bytes + 1, Bytes, 40);
    CHECK_EQ(Bytes[40], 7);
    CHECK_EQ(Bytes[1], 0);
    CALL2("RtlZeroMemory", Bytes, 8);
    CHECK_EQ(Bytes[7], 0);
    CALL3("RtlFillMemory", Bytes, 8, 3);
    CHECK_EQ(Bytes[7], 3);
    CHECK_EQ((ULONG)Call("RtlUlongByteSwap", 0x11223344, 0, 0), 0x44332211);
}
