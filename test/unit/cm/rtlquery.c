/* The run-time library's short forms: tables of values, writing, checking. */
#include "cmtest.h"

#define QUERY_PATH L"\\Registry\\Machine\\Software\\Query"

typedef struct _QUERY_SEEN {
    ULONG Count;
    ULONG Types[8];
    ULONG Lengths[8];
    WCHAR First[8];  /* of each value's data */
    WCHAR Letter[8]; /* of its name */
    NTSTATUS Result;
} QUERY_SEEN;

static NTSTATUS NTAPI
QueryNote(PWSTR Name, ULONG Type, PVOID Data, ULONG Length, PVOID Context, PVOID EntryContext)
{
    QUERY_SEEN *Seen = Context;

    CHECK(EntryContext == (PVOID)3);
    if (Seen->Count < 8) {
        Seen->Types[Seen->Count] = Type;
        Seen->Lengths[Seen->Count] = Length;
        Seen->First[Seen->Count] = Length >= 2 ? *(PWSTR)Data : 0;
        Seen->Letter[Seen->Count] = Name == NULL ? 0 : *Name;
        Seen->Count += 1;
    }
    return Seen->Result;
}

static HANDLE
QueryPrepare(VOID)
{
    HANDLE Key, Sub;
    ULONG Number = 77;

    CHECK_STATUS(STATUS_SUCCESS, CmTestCreate(QUERY_PATH, NULL, 0, &Key, NULL));
    CHECK_STATUS(STATUS_SUCCESS, CmTestCreate(L"Sub", Key, 0, &Sub, NULL));
    CmTestSet(Key, L"Number", REG_DWORD, &Number, 4);
    CmTestSet(Key, L"Text", REG_SZ, L"text", 10);
    CmTestSet(Key, L"Many", REG_MULTI_SZ, L"a\0bc\0", 12);
    CmTestSet(Key, L"Expand", REG_EXPAND_SZ, L"%Root%\\x", 18);
    CmTestSet(Key, L"Bytes", REG_BINARY, L"12345678", 16);
    Number = 78;
    CmTestSet(Sub, L"Inner", REG_DWORD, &Number, 4);
    ZwClose(Sub);
    return Key;
}

static VOID
QueryEnd(HANDLE Key)
{
    HANDLE Sub;

    CHECK_STATUS(STATUS_SUCCESS, CmTestOpen(L"Sub", Key, &Sub));
    CmTestDelete(Sub);
    CmTestDelete(Key);
}

static NTSTATUS
QueryRun(PRTL_QUERY_REGISTRY_TABLE Table, QUERY_SEEN *Seen)
{
    return RtlQueryRegistryValues(RTL_REGISTRY_ABSOLUTE, QUERY_PATH, Table, Seen, NULL);
}

KTEST(RegistryQueryRoutines)
{
    RTL_QUERY_REGISTRY_TABLE Table[4] = {{QueryNote, 0, NULL, (PVOID)3, 0, NULL, 0}};
    QUERY_SEEN Seen = {0};
    HANDLE Key = QueryPrepare();

    /* All of them; the two strings of the list one by one. */
    CHECK_STATUS(STATUS_SUCCESS, QueryRun(Table, &Seen));
    CHECK_EQ(Seen.Count, 6);
    CHECK(Seen.Types[2] == REG_SZ && Seen.Lengths[2] == 4 && Seen.First[2] == L'a' && Seen.Letter[2] == L'M');
    CHECK(Seen.Types[3] == REG_SZ && Seen.Lengths[3] == 6 && Seen.First[3] == L'b' && Seen.Letter[3] == L'M');
    CHECK(Seen.Types[4] == REG_SZ && Seen.First[4] == L'%' && Seen.Lengths[4] == 18);
    Table[0].Flags = RTL_QUERY_REGISTRY_NOEXPAND;
    Seen.Count = 0;
    CHECK_STATUS(STATUS_SUCCESS, QueryRun(Table, &Seen));
    CHECK(Seen.Count == 5 && Seen.Types[2] == REG_MULTI_SZ && Seen.Types[3] == REG_EXPAND_SZ);

    /* A status of the routine ends it, but for one. */
    Seen = (QUERY_SEEN){.Result = STATUS_UNSUCCESSFUL};
    CHECK_STATUS(STATUS_UNSUCCESSFUL, QueryRun(Table, &Seen));
    CHECK_EQ(Seen.Count, 1);
    Seen = (QUERY_SEEN){.Result = STATUS_BUFFER_TOO_SMALL};
    CHECK_STATUS(STATUS_SUCCESS, QueryRun(Table, &Seen));
    CHECK_EQ(Seen.Count, 5);

    /* Down into the subkey and up again; a call without value; a default. */
    Seen = (QUERY_SEEN){0};
    Table[0] = (RTL_QUERY_REGISTRY_TABLE){NULL, RTL_QUERY_REGISTRY_SUBKEY, L"Sub", NULL, 0, NULL, 0};
    Table[1] = (RTL_QUERY_REGISTRY_TABLE){QueryNote, 0, L"Inner", (PVOID)3, 0, NULL, 0};
    Table[2] = (RTL_QUERY_REGISTRY_TABLE){QueryNote, RTL_QUERY_REGISTRY_TOPKEY, L"None", (PVOID)3, REG_SZ, L"dflt", 0};
    CHECK_STATUS(STATUS_SUCCESS, QueryRun(Table, &Seen));
    CHECK(Seen.Count == 2 && Seen.Types[0] == REG_DWORD && Seen.First[0] == 78);
    CHECK(Seen.Types[1] == REG_SZ && Seen.Lengths[1] == 10 && Seen.First[1] == L'd');
    Table[0] = (RTL_QUERY_REGISTRY_TABLE){QueryNote, RTL_QUERY_REGISTRY_NOVALUE, NULL, (PVOID)3, 0, NULL, 0};
    Table[1] = (RTL_QUERY_REGISTRY_TABLE){0};
    Seen = (QUERY_SEEN){0};
    CHECK_STATUS(STATUS_SUCCESS, QueryRun(Table, &Seen));
    CHECK(Seen.Count == 1 && Seen.Types[0] == REG_NONE && Seen.Letter[0] == 0);

    /* Required, and not there. */
    Table[0] = (RTL_QUERY_REGISTRY_TABLE){QueryNote, RTL_QUERY_REGISTRY_REQUIRED, L"None", (PVOID)3, REG_SZ, L"x", 0};
    CHECK_STATUS(STATUS_OBJECT_NAME_NOT_FOUND, QueryRun(Table, &Seen));
    Table[0].Flags |= RTL_QUERY_REGISTRY_SUBKEY;
    CHECK_STATUS(STATUS_OBJECT_NAME_NOT_FOUND, QueryRun(Table, &Seen));
    Table[0].Flags = RTL_QUERY_REGISTRY_SUBKEY;
    CHECK_STATUS(STATUS_SUCCESS, QueryRun(Table, &Seen));

    /* Deleted when read. */
    Table[0] = (RTL_QUERY_REGISTRY_TABLE){QueryNote, RTL_QUERY_REGISTRY_DELETE, L"Number", (PVOID)3, 0, NULL, 0};
    CHECK_STATUS(STATUS_SUCCESS, QueryRun(Table, &Seen));
    CHECK_EQ(CmTestNumber(Key, L"Number"), MAXULONG);
    Table[0].Name = NULL;
    CHECK_STATUS(STATUS_SUCCESS, QueryRun(Table, &Seen));
    Table[0].Flags = RTL_QUERY_REGISTRY_REQUIRED;
    CHECK_STATUS(STATUS_OBJECT_NAME_NOT_FOUND, QueryRun(Table, &Seen));
    CHECK_STATUS(STATUS_OBJECT_NAME_NOT_FOUND,
                 RtlQueryRegistryValues(RTL_REGISTRY_ABSOLUTE, QUERY_PATH L"\\Nowhere", Table, &Seen, NULL));
    Table[0].Flags = 0;
    CHECK_STATUS(STATUS_SUCCESS, RtlQueryRegistryValues(RTL_REGISTRY_ABSOLUTE | RTL_REGISTRY_OPTIONAL,
                                                        QUERY_PATH L"\\Nowhere", Table, &Seen, NULL));
    QueryEnd(Key);
}

#define DIRECT (RTL_QUERY_REGISTRY_DIRECT | RTL_QUERY_REGISTRY_TYPECHECK)
#define EXPECT(Type) ((ULONG)(Type) << RTL_QUERY_REGISTRY_TYPECHECK_SHIFT)

KTEST(RegistryQueryDirect)
{
    RTL_QUERY_REGISTRY_TABLE Table[2] = {{NULL, DIRECT, L"Number", NULL, EXPECT(REG_DWORD), NULL, 0}};
    WCHAR Room[16];
    UNICODE_STRING Text = {0, sizeof(Room), Room};
    struct {
        LONG Size;
        ULONG Type;
        UCHAR Data[16];
    } Bytes = {.Size = sizeof(Bytes)};
    ULONG Number = 0;
    HANDLE Key = QueryPrepare();

    Table[0].EntryContext = &Number;
    CHECK_STATUS(STATUS_SUCCESS, QueryRun(Table, NULL));
    CHECK_EQ(Number, 77);
    Table[0].DefaultType = EXPECT(REG_SZ);
    CHECK_STATUS(STATUS_OBJECT_TYPE_MISMATCH, QueryRun(Table, NULL));

    Table[0] = (RTL_QUERY_REGISTRY_TABLE){NULL, DIRECT, L"Text", &Text, EXPECT(REG_SZ), NULL, 0};
    CHECK_STATUS(STATUS_SUCCESS, QueryRun(Table, NULL));
    CHECK(Text.Length == 8 && Text.Buffer == Room && RtlEqualMemory(Room, L"text", 10));
    Text = (UNICODE_STRING){0, 8, Room};
    CHECK_STATUS(STATUS_BUFFER_TOO_SMALL, QueryRun(Table, NULL));
    Text = (UNICODE_STRING){0};
    CHECK_STATUS(STATUS_SUCCESS, QueryRun(Table, NULL));
    CHECK(Text.Length == 8 && Text.MaximumLength == 10 && Text.Buffer[3] == L't');
    RtlFreeUnicodeString(&Text);

    /* More than a number: a buffer that says its size, with or without a head. */
    Table[0] = (RTL_QUERY_REGISTRY_TABLE){NULL, DIRECT, L"Bytes", &Bytes, EXPECT(REG_BINARY), NULL, 0};
    CHECK_STATUS(STATUS_SUCCESS, QueryRun(Table, NULL));
    CHECK(Bytes.Size == 16 && Bytes.Type == REG_BINARY && Bytes.Data[0] == '1');
    Bytes.Size = 23;
    CHECK_STATUS(STATUS_BUFFER_TOO_SMALL, QueryRun(Table, NULL));
    Bytes.Size = -16;
    CHECK_STATUS(STATUS_SUCCESS, QueryRun(Table, NULL));
    CHECK_EQ(Bytes.Size, '1' | '2' << 16);
    Bytes.Size = -15;
    CHECK_STATUS(STATUS_BUFFER_TOO_SMALL, QueryRun(Table, NULL));

    /* Defaults, and what makes no sense. */
    Number = 9;
    Table[0] = (RTL_QUERY_REGISTRY_TABLE){NULL, DIRECT, L"None", &Number, EXPECT(REG_DWORD) | REG_DWORD, &(ULONG){6}, 4};
    CHECK_STATUS(STATUS_SUCCESS, QueryRun(Table, NULL));
    CHECK_EQ(Number, 6);
    Table[0].DefaultType = EXPECT(REG_DWORD);
    Number = 9;
    CHECK_STATUS(STATUS_SUCCESS, QueryRun(Table, NULL));
    CHECK_EQ(Number, 9);
    Table[0].Flags |= RTL_QUERY_REGISTRY_SUBKEY;
    CHECK_STATUS(STATUS_INVALID_PARAMETER, QueryRun(Table, NULL));
    Table[0] = (RTL_QUERY_REGISTRY_TABLE){QueryNote, DIRECT, L"Number", &Number, EXPECT(REG_DWORD), NULL, 0};
    CHECK_STATUS(STATUS_INVALID_PARAMETER, QueryRun(Table, NULL));
    Table[0] = (RTL_QUERY_REGISTRY_TABLE){NULL, 0, L"Number", &Number, 0, NULL, 0};
    CHECK_STATUS(STATUS_INVALID_PARAMETER, QueryRun(Table, NULL));
    QueryEnd(Key);
}

/* Variables come from the environment that the caller gives. */
KTEST(RegistryQueryExpands)
{
    static const WCHAR Environment[] = L"A=1\0ROOT=C:\\W\0";
    WCHAR Room[16];
    UNICODE_STRING Text = {0, sizeof(Room), Room};
    RTL_QUERY_REGISTRY_TABLE Table[2] = {{NULL, DIRECT, L"Expand", &Text, EXPECT(REG_EXPAND_SZ), NULL, 0}};
    HANDLE Key = QueryPrepare();

    CHECK_STATUS(STATUS_SUCCESS, RtlQueryRegistryValues(RTL_REGISTRY_HANDLE, (PCWSTR)Key, Table, NULL,
                                                        (PVOID)(ULONG_PTR)Environment));
    CHECK(Text.Length == 12 && RtlEqualMemory(Room, L"C:\\W\\x", 14));
    CHECK_STATUS(STATUS_SUCCESS, QueryRun(Table, NULL));
    CHECK(Text.Length == 16 && Room[0] == L'%');
    QueryEnd(Key);
}

KTEST(RegistryWrite)
{
    ULONG Number = 4;

    CHECK_STATUS(STATUS_OBJECT_NAME_NOT_FOUND, RtlCheckRegistryKey(RTL_REGISTRY_SERVICES, L"Written"));
    CHECK_STATUS(STATUS_SUCCESS, RtlWriteRegistryValue(RTL_REGISTRY_SERVICES, L"Written", L"N", REG_DWORD, &Number, 4));
    CHECK_STATUS(STATUS_SUCCESS, RtlCheckRegistryKey(RTL_REGISTRY_ABSOLUTE, CM_SERVICES L"\\written"));
    CHECK_STATUS(STATUS_OBJECT_NAME_NOT_FOUND, RtlCreateRegistryKey(RTL_REGISTRY_SERVICES, L"Written\\A\\B"));
    CHECK_STATUS(STATUS_SUCCESS, RtlCreateRegistryKey(RTL_REGISTRY_SERVICES, L"Written\\A"));
    CHECK_STATUS(STATUS_SUCCESS, RtlDeleteRegistryValue(RTL_REGISTRY_SERVICES, L"Written", L"N"));
    CHECK_STATUS(STATUS_OBJECT_NAME_NOT_FOUND, RtlDeleteRegistryValue(RTL_REGISTRY_SERVICES, L"Written", L"N"));
    CHECK_STATUS(STATUS_INVALID_PARAMETER, RtlCheckRegistryKey(RTL_REGISTRY_MAXIMUM, L"Written"));
    CHECK_STATUS(STATUS_SUCCESS, RtlCheckRegistryKey(RTL_REGISTRY_CONTROL, L""));
    CHECK_STATUS(STATUS_SUCCESS, RtlCheckRegistryKey(RTL_REGISTRY_USER, L""));
    CHECK_STATUS(STATUS_SUCCESS, RtlCheckRegistryKey(RTL_REGISTRY_WINDOWS_NT, L""));
    CHECK_STATUS(STATUS_SUCCESS, RtlCheckRegistryKey(RTL_REGISTRY_DEVICEMAP, L""));
    {
        HANDLE Key, Sub;

        REQUIRE(NT_SUCCESS(CmTestOpen(CM_SERVICES L"\\Written", NULL, &Key)));
        REQUIRE(NT_SUCCESS(CmTestOpen(L"A", Key, &Sub)));
        CmTestDelete(Sub);
        CmTestDelete(Key);
    }
}
