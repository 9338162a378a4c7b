/* Keys and values: paths, life, what is told of them. */
#include "cmtest.h"

KTEST(RegistryKeys)
{
    HANDLE Top, Sub, Again;
    ULONG Disposition = 0;

    CHECK_STATUS(STATUS_OBJECT_NAME_NOT_FOUND, CmTestExists(CM_SERVICES L"\\Ours"));
    CHECK_STATUS(STATUS_OBJECT_NAME_NOT_FOUND, CmTestCreate(CM_SERVICES L"\\Ours\\Sub", NULL, 0, &Sub, NULL));
    CHECK_STATUS(STATUS_SUCCESS, CmTestCreate(CM_SERVICES L"\\Ours", NULL, 0, &Top, &Disposition));
    CHECK_EQ(Disposition, REG_CREATED_NEW_KEY);
    CHECK_STATUS(STATUS_SUCCESS, CmTestCreate(L"\\REGISTRY\\machine\\SYSTEM\\currentcontrolset\\services\\oURS\\", NULL, 0,
                                              &Again, &Disposition));
    CHECK_EQ(Disposition, REG_OPENED_EXISTING_KEY);
    ZwClose(Again);
    CHECK_STATUS(STATUS_SUCCESS, CmTestCreate(L"Sub", Top, 0, &Sub, &Disposition));
    CHECK_STATUS(STATUS_SUCCESS, CmTestOpen(L"", Sub, &Again));
    ZwClose(Again);
    CHECK_STATUS(STATUS_OBJECT_PATH_SYNTAX_BAD, CmTestOpen(L"\\Sub", Top, &Again));
    CHECK_STATUS(STATUS_CANNOT_DELETE, ZwDeleteKey(Top));
    CHECK_STATUS(STATUS_SUCCESS, CmTestOpen(L"Sub", Top, &Again));
    CmTestDelete(Sub);
    /* The other handle is to a key that is gone. */
    CHECK_STATUS(STATUS_KEY_DELETED, ZwDeleteKey(Again));
    CHECK_STATUS(STATUS_KEY_DELETED, CmTestSet(Again, L"x", REG_NONE, NULL, 0));
    CHECK_STATUS(STATUS_KEY_DELETED, CmTestOpen(L"More", Again, &Sub));
    CHECK_STATUS(STATUS_SUCCESS, ZwClose(Again));
    CmTestDelete(Top);
}

KTEST(RegistryPaths)
{
    HANDLE Handle, Event;
    OBJECT_ATTRIBUTES Object;

    CHECK_STATUS(STATUS_SUCCESS, CmTestExists(L"\\Registry"));
    CHECK_STATUS(STATUS_SUCCESS, CmTestExists(L"\\Registry\\User\\.Default"));
    CHECK_STATUS(STATUS_SUCCESS, CmTestExists(L"\\Registry\\Machine\\Software\\Microsoft\\Windows NT\\CurrentVersion"));
    CHECK_STATUS(STATUS_OBJECT_NAME_NOT_FOUND, CmTestExists(L"\\Registry\\Machine\\Software\\Nobody\\Else"));
    CHECK_STATUS(STATUS_OBJECT_PATH_SYNTAX_BAD, CmTestExists(L"Registry"));
    CHECK_STATUS(STATUS_OBJECT_PATH_SYNTAX_BAD, CmTestExists(L""));
    CHECK_STATUS(STATUS_OBJECT_TYPE_MISMATCH, CmTestExists(L"\\Device"));
    CHECK_STATUS(STATUS_INVALID_PARAMETER, CmTestCreate(L"\\Registry\\Ours", NULL, 0, &Handle, NULL));
    CHECK_STATUS(STATUS_INVALID_PARAMETER, CmTestCreate(L"\\Registry\\Machine\\Ours", NULL, 0, &Handle, NULL));
    InitializeObjectAttributes(&Object, NULL, OBJ_KERNEL_HANDLE, NULL, NULL);
    REQUIRE(NT_SUCCESS(ZwCreateEvent(&Event, EVENT_ALL_ACCESS, &Object, NotificationEvent, TRUE)));
    CHECK_STATUS(STATUS_OBJECT_TYPE_MISMATCH, CmTestOpen(L"Key", Event, &Handle));
    CHECK_STATUS(STATUS_OBJECT_TYPE_MISMATCH, ZwDeleteKey(Event));
    ZwClose(Event);
    CHECK_STATUS(STATUS_INVALID_HANDLE, ZwFlushKey((HANDLE)0x7FFC));
    REQUIRE(NT_SUCCESS(CmTestOpen(L"\\Registry\\Machine\\System", NULL, &Handle)));
    CHECK_STATUS(STATUS_CANNOT_DELETE, ZwDeleteKey(Handle));
    CHECK_STATUS(STATUS_SUCCESS, ZwFlushKey(Handle));
    ZwClose(Handle);
}

KTEST(RegistryVolatile)
{
    HANDLE Top, Sub;

    REQUIRE(NT_SUCCESS(CmTestCreate(CM_SERVICES L"\\Volatile", NULL, REG_OPTION_VOLATILE, &Top, NULL)));
    CHECK_STATUS(STATUS_CHILD_MUST_BE_VOLATILE, CmTestCreate(L"Sub", Top, 0, &Sub, NULL));
    CHECK_STATUS(STATUS_SUCCESS, CmTestCreate(L"Sub", Top, REG_OPTION_VOLATILE, &Sub, NULL));
    CmTestDelete(Sub);
    CmTestDelete(Top);
}

KTEST(RegistryValues)
{
    UCHAR Buffer[128];
    PKEY_VALUE_PARTIAL_INFORMATION Partial = (PVOID)Buffer;
    PKEY_VALUE_FULL_INFORMATION Full = (PVOID)Buffer;
    PKEY_VALUE_BASIC_INFORMATION Basic = (PVOID)Buffer;
    UNICODE_STRING Name = RTL_CONSTANT_STRING(L"number"), Default = {0};
    ULONG Number = 0x12345678, Length = 0;
    HANDLE Key;

    REQUIRE(NT_SUCCESS(CmTestCreate(CM_SERVICES L"\\Values", NULL, 0, &Key, NULL)));
    CHECK_STATUS(STATUS_SUCCESS, CmTestSet(Key, L"Number", REG_DWORD, &Number, sizeof(Number)));
    CHECK_STATUS(STATUS_SUCCESS, CmTestSet(Key, NULL, REG_SZ, L"all", 8));
    CHECK_STATUS(STATUS_OBJECT_NAME_NOT_FOUND,
                 ZwQueryValueKey(Key, &(UNICODE_STRING)RTL_CONSTANT_STRING(L"Numbers"), KeyValueBasicInformation, Buffer,
                                 sizeof(Buffer), &Length));

    CHECK_STATUS(STATUS_SUCCESS, ZwQueryValueKey(Key, &Name, KeyValuePartialInformation, Buffer, sizeof(Buffer), &Length));
    CHECK_EQ(Length, 16);
    CHECK_EQ(Partial->Type, REG_DWORD);
    CHECK_EQ(Partial->DataLength, 4);
    CHECK_EQ(*(PULONG)(PVOID)Partial->Data, Number);
    /* As much as fits, and none if not even the header does. */
    RtlFillMemory(Buffer, sizeof(Buffer), 0xCC);
    CHECK_STATUS(STATUS_BUFFER_OVERFLOW, ZwQueryValueKey(Key, &Name, KeyValuePartialInformation, Buffer, 13, &Length));
    CHECK_EQ(Length, 16);
    CHECK(Buffer[12] == 0x78 && Buffer[13] == 0xCC);
    RtlFillMemory(Buffer, sizeof(Buffer), 0xCC);
    Length = 0;
    CHECK_STATUS(STATUS_BUFFER_TOO_SMALL, ZwQueryValueKey(Key, &Name, KeyValuePartialInformation, Buffer, 11, &Length));
    CHECK(Length == 16 && Buffer[0] == 0xCC);
    CHECK_STATUS(STATUS_BUFFER_TOO_SMALL, ZwQueryValueKey(Key, &Name, KeyValuePartialInformation, NULL, 0, &Length));

    CHECK_STATUS(STATUS_SUCCESS, ZwEnumerateValueKey(Key, 0, KeyValueFullInformation, Buffer, sizeof(Buffer), &Length));
    CHECK(Full->NameLength == 12 && Full->Name[0] == L'N' && Full->DataLength == 4);
    CHECK_EQ(Length, Full->DataOffset + 4);
    CHECK_EQ(*(PULONG)(PVOID)(Buffer + Full->DataOffset), Number);
    CHECK_STATUS(STATUS_SUCCESS, ZwEnumerateValueKey(Key, 1, KeyValueBasicInformation, Buffer, sizeof(Buffer), &Length));
    CHECK(Basic->NameLength == 0 && Basic->Type == REG_SZ && Length == 12);
    CHECK_STATUS(STATUS_NO_MORE_ENTRIES,
                 ZwEnumerateValueKey(Key, 2, KeyValueBasicInformation, Buffer, sizeof(Buffer), &Length));
    CHECK_STATUS(STATUS_INVALID_PARAMETER, ZwQueryValueKey(Key, &Name, 17, Buffer, sizeof(Buffer), &Length));
    CHECK_STATUS(STATUS_SUCCESS, ZwQueryValueKey(Key, &Name, KeyValuePartialInformationAlign64, Buffer, sizeof(Buffer),
                                                 &Length));
    CHECK(Length == 12 && *(PULONG)(PVOID)(Buffer + 8) == Number);

    /* Replaced, in the same place. */
    Number = 5;
    CHECK_STATUS(STATUS_SUCCESS, CmTestSet(Key, L"NUMBER", REG_DWORD, &Number, sizeof(Number)));
    CHECK_EQ(CmTestNumber(Key, L"number"), 5);
    CHECK_STATUS(STATUS_SUCCESS, ZwDeleteValueKey(Key, &Name));
    CHECK_STATUS(STATUS_OBJECT_NAME_NOT_FOUND, ZwDeleteValueKey(Key, &Name));
    CHECK_STATUS(STATUS_SUCCESS, ZwDeleteValueKey(Key, &Default));
    CmTestDelete(Key);
}

KTEST(RegistryInformation)
{
    static const PCWSTR Names[] = {L"beta", L"Alpha", L"gamma"};
    UCHAR Buffer[256];
    PKEY_BASIC_INFORMATION Basic = (PVOID)Buffer;
    PKEY_FULL_INFORMATION Full = (PVOID)Buffer;
    PKEY_NODE_INFORMATION Node = (PVOID)Buffer;
    PKEY_NAME_INFORMATION Name = (PVOID)Buffer;
    PKEY_CACHED_INFORMATION Cached = (PVOID)Buffer;
    UNICODE_STRING KeyName = RTL_CONSTANT_STRING(L"Told"), Class = RTL_CONSTANT_STRING(L"class");
    OBJECT_ATTRIBUTES Object;
    HANDLE Services, Key, Subs[3];
    ULONG Length = 0;

    REQUIRE(NT_SUCCESS(CmTestOpen(CM_SERVICES, NULL, &Services)));
    InitializeObjectAttributes(&Object, &KeyName, OBJ_KERNEL_HANDLE, Services, NULL);
    REQUIRE(NT_SUCCESS(ZwCreateKey(&Key, KEY_ALL_ACCESS, &Object, 0, &Class, 0, NULL)));
    ZwClose(Services);
    for (ULONG Index = 0; Index < 3; Index += 1) {
        REQUIRE(NT_SUCCESS(CmTestCreate(Names[Index], Key, 0, &Subs[Index], NULL)));
    }
    CHECK_STATUS(STATUS_SUCCESS, CmTestSet(Key, L"Value", REG_BINARY, Buffer, 9));

    /* In order of name. */
    CHECK_STATUS(STATUS_SUCCESS, ZwEnumerateKey(Key, 0, KeyBasicInformation, Buffer, sizeof(Buffer), &Length));
    CHECK(Basic->NameLength == 10 && Basic->Name[0] == L'A' && Length == 26);
    CHECK_STATUS(STATUS_SUCCESS, ZwEnumerateKey(Key, 2, KeyBasicInformation, Buffer, sizeof(Buffer), &Length));
    CHECK(Basic->Name[0] == L'g');
    CHECK_STATUS(STATUS_NO_MORE_ENTRIES, ZwEnumerateKey(Key, 3, KeyBasicInformation, Buffer, sizeof(Buffer), &Length));
    CHECK_STATUS(STATUS_INVALID_PARAMETER, ZwEnumerateKey(Key, 0, KeyNameInformation, Buffer, sizeof(Buffer), &Length));
    CHECK_STATUS(STATUS_BUFFER_OVERFLOW, ZwEnumerateKey(Key, 0, KeyBasicInformation, Buffer, 18, &Length));
    CHECK_STATUS(STATUS_BUFFER_TOO_SMALL, ZwEnumerateKey(Key, 0, KeyBasicInformation, Buffer, 15, &Length));

    CHECK_STATUS(STATUS_SUCCESS, ZwQueryKey(Key, KeyFullInformation, Buffer, sizeof(Buffer), &Length));
    CHECK(Full->SubKeys == 3 && Full->Values == 1 && Full->MaxNameLen == 10 && Full->MaxValueNameLen == 10 &&
          Full->MaxValueDataLen == 9 && Full->ClassLength == 10 && Full->Class[0] == L'c');
    CHECK_EQ(Length, FIELD_OFFSET(KEY_FULL_INFORMATION, Class) + 10);
    CHECK(Full->LastWriteTime.QuadPart != 0);
    CHECK_STATUS(STATUS_SUCCESS, ZwQueryKey(Key, KeyNodeInformation, Buffer, sizeof(Buffer), &Length));
    CHECK(Node->NameLength == 8 && Node->ClassLength == 10 &&
          *(PWSTR)(PVOID)(Buffer + Node->ClassOffset) == L'c');
    CHECK_STATUS(STATUS_SUCCESS, ZwQueryKey(Key, KeyCachedInformation, Buffer, sizeof(Buffer), &Length));
    CHECK(Cached->SubKeys == 3 && Cached->NameLength == 8 && Length == sizeof(*Cached));
    CHECK_STATUS(STATUS_SUCCESS, ZwQueryKey(Key, KeyNameInformation, Buffer, sizeof(Buffer), &Length));
    CHECK(RtlEqualMemory(Name->Name, L"\\REGISTRY\\MACHINE\\SYSTEM\\CurrentControlSet\\Services\\Told", Name->NameLength));
    CHECK_EQ(Length, 4 + Name->NameLength);
    CHECK_STATUS(STATUS_INVALID_PARAMETER, ZwQueryKey(Key, KeyTrustInformation, Buffer, sizeof(Buffer), &Length));
    for (ULONG Index = 0; Index < 3; Index += 1) {
        CmTestDelete(Subs[Index]);
    }
    CmTestDelete(Key);
}

/* Whatever allocation fails, nothing is half done. */
KTEST(RegistryFailures)
{
    HANDLE Key;
    NTSTATUS Status = STATUS_INSUFFICIENT_RESOURCES;
    ULONG Nth;

    for (Nth = 0; Nth < 40 && !NT_SUCCESS(Status); Nth += 1) {
        MiInjectStartNth(Nth + 1);
        Status = CmTestCreate(CM_SERVICES L"\\Fails", NULL, 0, &Key, NULL);
        MiInjectStop(NULL);
        CHECK(Status == STATUS_SUCCESS || Status == STATUS_INSUFFICIENT_RESOURCES);
        if (!NT_SUCCESS(Status)) {
            CHECK_STATUS(STATUS_OBJECT_NAME_NOT_FOUND, CmTestExists(CM_SERVICES L"\\Fails"));
        }
    }
    CHECK(Nth > 2);
    REQUIRE(NT_SUCCESS(Status));
    Status = STATUS_INSUFFICIENT_RESOURCES;
    for (Nth = 0; Nth < 40 && !NT_SUCCESS(Status); Nth += 1) {
        MiInjectStartNth(Nth + 1);
        Status = CmTestSet(Key, L"Value", REG_BINARY, L"12345678", 16);
        MiInjectStop(NULL);
    }
    CHECK(Nth > 1 && NT_SUCCESS(Status));
    CmTestDelete(Key);
}
