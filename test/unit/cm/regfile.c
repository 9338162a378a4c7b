/* .reg files: what they bring, and what is refused, by line. */
#include "cmtest.h"

static const UNICODE_STRING RegfileService = RTL_CONSTANT_STRING(CM_SERVICES L"\\Filed");

static NTSTATUS
RegfileLoad(PCSTR Text, PCM_REGFILE_ERROR Error)
{
    SIZE_T Length = 0;

    while (Text[Length] != 0) {
        Length += 1;
    }
    *Error = (CM_REGFILE_ERROR){0};
    return CmLoadRegistryFile((const UCHAR *)Text, Length, &RegfileService, Error);
}

#define TITLE "Windows Registry Editor Version 5.00\r\n"

static VOID
RegfileEnd(VOID)
{
    CM_REGFILE_ERROR Error;

    CHECK_STATUS(STATUS_SUCCESS, RegfileLoad(TITLE "[-" "\\Registry\\Machine\\System\\CurrentControlSet\\Services\\Filed]",
                                             &Error));
    CHECK_STATUS(STATUS_OBJECT_NAME_NOT_FOUND, CmTestExists(CM_SERVICES L"\\Filed"));
}

KTEST(RegistryFileLoads)
{
    static const char Text[] = TITLE
        "; a comment\n"
        "\"Own\"=dword:0000002a ; of the service\n"
        "[Parameters]\n"
        "\"Text \\\"q\\\" \\\\\"=\"a\\\\b\\\"c\"\n"
        "@=\"default\"\n"
        "\"Bytes\"=hex:01,02, \\\n   ff\n"
        "\"Many\"=hex(7):61,00,00,00,00,00\r\n"
        "\"None\"=hex(0):\n"
        "\"Gone\"=dword:1\n"
        "\"Gone\"=-\n"
        "\"Gone\"=-\n"
        "\n"
        "[HKEY_LOCAL_MACHINE\\Software\\Filed\\A]\n"
        "\"N\"=dword:7\n"
        "[-HKEY_LOCAL_MACHINE\\Software\\Nowhere]\n"
        "[Parameters\\]odd]";
    CM_REGFILE_ERROR Error;
    UCHAR Buffer[64];
    PKEY_VALUE_PARTIAL_INFORMATION Partial = (PVOID)Buffer;
    UNICODE_STRING Name;
    HANDLE Key;
    ULONG Length;

    CHECK_STATUS(STATUS_SUCCESS, RegfileLoad(Text, &Error));
    REQUIRE(NT_SUCCESS(CmTestOpen(CM_SERVICES L"\\Filed", NULL, &Key)));
    CHECK_EQ(CmTestNumber(Key, L"Own"), 42);
    ZwClose(Key);
    REQUIRE(NT_SUCCESS(CmTestOpen(CM_SERVICES L"\\Filed\\parameters", NULL, &Key)));
    RtlInitUnicodeString(&Name, L"Text \"q\" \\");
    CHECK_STATUS(STATUS_SUCCESS, ZwQueryValueKey(Key, &Name, KeyValuePartialInformation, Buffer, sizeof(Buffer), &Length));
    CHECK(Partial->DataLength == 12 && RtlEqualMemory(Partial->Data, L"a\\b\"c", 12));
    RtlInitUnicodeString(&Name, L"Bytes");
    CHECK_STATUS(STATUS_SUCCESS, ZwQueryValueKey(Key, &Name, KeyValuePartialInformation, Buffer, sizeof(Buffer), &Length));
    CHECK(Partial->Type == REG_BINARY && Partial->DataLength == 3 && Partial->Data[2] == 0xFF);
    RtlInitUnicodeString(&Name, L"None");
    CHECK_STATUS(STATUS_SUCCESS, ZwQueryValueKey(Key, &Name, KeyValuePartialInformation, Buffer, sizeof(Buffer), &Length));
    CHECK(Partial->Type == REG_NONE && Partial->DataLength == 0);
    CHECK_EQ(CmTestNumber(Key, L"Gone"), MAXULONG);
    ZwClose(Key);
    CHECK_STATUS(STATUS_SUCCESS, CmTestExists(CM_SERVICES L"\\Filed\\Parameters\\]odd"));
    REQUIRE(NT_SUCCESS(CmTestOpen(L"\\Registry\\Machine\\Software\\Filed\\A", NULL, &Key)));
    CHECK_EQ(CmTestNumber(Key, L"N"), 7);
    ZwClose(Key);
    CHECK_STATUS(STATUS_SUCCESS, RegfileLoad(TITLE "[-HKLM\\Software\\Filed]", &Error));
    RegfileEnd();
}

KTEST(RegistryFileEncodings)
{
    static const WCHAR Wide[] = u"\xFEFFWindows Registry Editor Version 5.00\r\n\r\n[P]\r\n\"\x00E4\"=dword:5\r\n";
    CM_REGFILE_ERROR Error;
    HANDLE Key;

    CHECK_STATUS(STATUS_SUCCESS, CmLoadRegistryFile((const UCHAR *)Wide, sizeof(Wide) - 2, &RegfileService, &Error));
    REQUIRE(NT_SUCCESS(CmTestOpen(CM_SERVICES L"\\Filed\\P", NULL, &Key)));
    CHECK_EQ(CmTestNumber(Key, L"\x00E4"), 5);
    ZwClose(Key);
    CHECK_STATUS(STATUS_SUCCESS, RegfileLoad("\xEF\xBB\xBF" TITLE "[P]\n\"\xC3\xA4\"=dword:6", &Error));
    REQUIRE(NT_SUCCESS(CmTestOpen(CM_SERVICES L"\\Filed\\P", NULL, &Key)));
    CHECK_EQ(CmTestNumber(Key, L"\x00E4"), 6);
    ZwClose(Key);
    CHECK_STATUS(STATUS_INVALID_PARAMETER, RegfileLoad(TITLE "\xFF\n", &Error));
    CHECK_EQ(Error.Line, 2);
    CHECK_STATUS(STATUS_INVALID_PARAMETER,
                 CmLoadRegistryFile((const UCHAR *)Wide, sizeof(Wide) - 3, &RegfileService, &Error));
    RegfileEnd();
}

KTEST(RegistryFileRefuses)
{
    static const struct {
        PCSTR Text;
        ULONG Line;
    } Cases[] = {
        {"", 1},
        {"REGEDIT4\n", 1},
        {TITLE "nonsense", 2},
        {TITLE "\n[open", 3},
        {TITLE "[]", 2},
        {TITLE "[-]", 2},
        {TITLE "[a] b", 2},
        {TITLE "\"a=1", 2},
        {TITLE "\"a\\x\"=dword:1", 2},
        {TITLE "\"a\" dword:1", 2},
        {TITLE "\"a\"=", 2},
        {TITLE "\"a\"=word:1", 2},
        {TITLE "\"a\"=dword:", 2},
        {TITLE "\"a\"=dword:123456789", 2},
        {TITLE "\"a\"=dword:1x", 2},
        {TITLE "\"a\"=\"b", 2},
        {TITLE "\"a\"=\"b\" c", 2},
        {TITLE "\"a\"=hex", 2},
        {TITLE "\"a\"=hex(:00", 2},
        {TITLE "\"a\"=hex(1:00", 2},
        {TITLE "\"a\"=hex:0", 2},
        {TITLE "\"a\"=hex:00,", 2},
        {TITLE "\"a\"=hex:00 00", 2},
        {TITLE "\"a\"=hex:00,\\\n,", 3},
        {TITLE "\"a\"=hex:00,\\ x\n", 2},
        {TITLE "\"a\"=- b", 2},
        {TITLE "[HKEY_LOCAL_MACHINE\\Ours]", 2},
        {TITLE "[-HKEY_LOCAL_MACHINE]", 2},
    };
    CM_REGFILE_ERROR Error;

    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Cases); Index += 1) {
        NTSTATUS Status = RegfileLoad(Cases[Index].Text, &Error);

        if (NT_SUCCESS(Status) || Error.Line != Cases[Index].Line || Error.Text == NULL) {
            KTestNote("case %u: 0x%08X, line %u", Index, (ULONG)Status, Error.Line);
            CHECK(FALSE);
        }
    }
    CHECK_STATUS(STATUS_SUCCESS, RegfileLoad(TITLE "[x]", &Error));
    RegfileEnd();
}
