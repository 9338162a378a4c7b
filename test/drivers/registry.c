/*
 * registry: a driver that reads its parameters, as the machine's registry or --registry has them. registry.t says what
 * it must print; a copy called filterleft.sys leaves its filter, one called keyleft.sys a handle.
 */
#include "check.h"

#ifndef RTL_QUERY_REGISTRY_TYPECHECK
#define RTL_QUERY_REGISTRY_TYPECHECK 0x00000100
#endif

static UNICODE_STRING ServicePath;
static LARGE_INTEGER Cookie;
static ULONG Seen;

static NTSTATUS NTAPI
Filter(PVOID Context, PVOID Class, PVOID Information)
{
    Seen += 1;
    if ((REG_NOTIFY_CLASS)(ULONG_PTR)Class == RegNtPreDeleteKey) {
        return STATUS_ACCESS_DENIED;
    }
    return STATUS_SUCCESS;
}

static VOID
TestService(HANDLE Key)
{
    union {
        KEY_VALUE_PARTIAL_INFORMATION Value;
        UCHAR Room[256];
    } Answer;
    UNICODE_STRING Name = RTL_CONSTANT_STRING(L"ImagePath");
    ULONG Length;

    CHECK_STATUS(ZwQueryValueKey(Key, &Name, KeyValuePartialInformation, &Answer, sizeof(Answer), &Length), STATUS_SUCCESS);
    CHECK_EQ(Answer.Value.Type, REG_EXPAND_SZ);
    DbgPrint("# %ws\n", (PWSTR)Answer.Value.Data);
    RtlInitUnicodeString(&Name, L"Nothing");
    CHECK_STATUS(ZwQueryValueKey(Key, &Name, KeyValuePartialInformation, &Answer, sizeof(Answer), &Length),
                 STATUS_OBJECT_NAME_NOT_FOUND);
}

static VOID
TestParameters(VOID)
{
    ULONG Depth = 0;
    UNICODE_STRING Label = {0};
    RTL_QUERY_REGISTRY_TABLE Table[4];

    RtlZeroMemory(Table, sizeof(Table));
    Table[0].Flags = RTL_QUERY_REGISTRY_SUBKEY;
    Table[0].Name = L"Parameters";
    Table[1].Flags = RTL_QUERY_REGISTRY_DIRECT | RTL_QUERY_REGISTRY_TYPECHECK;
    Table[1].Name = L"Depth";
    Table[1].EntryContext = &Depth;
    Table[1].DefaultType = (REG_DWORD << 24) | REG_DWORD;
    Table[1].DefaultData = &Seen;
    Table[1].DefaultLength = sizeof(Seen);
    Table[2].Flags = RTL_QUERY_REGISTRY_DIRECT | RTL_QUERY_REGISTRY_TYPECHECK;
    Table[2].Name = L"Label";
    Table[2].EntryContext = &Label;
    Table[2].DefaultType = (REG_SZ << 24) | REG_SZ;
    Table[2].DefaultData = L"none";
    CHECK_STATUS(RtlQueryRegistryValues(RTL_REGISTRY_ABSOLUTE, ServicePath.Buffer, Table, NULL, NULL), STATUS_SUCCESS);
    DbgPrint("# depth %u, label %wZ\n", Depth, &Label);
    RtlFreeUnicodeString(&Label);
}

static VOID
TestKeys(HANDLE Key)
{
    OBJECT_ATTRIBUTES Attributes;
    UNICODE_STRING Name = RTL_CONSTANT_STRING(L"State");
    HANDLE State;
    ULONG Disposition = 0, Count = 5;

    InitializeObjectAttributes(&Attributes, &Name, OBJ_CASE_INSENSITIVE | OBJ_KERNEL_HANDLE, Key, NULL);
    CHECK_STATUS(ZwCreateKey(&State, KEY_ALL_ACCESS, &Attributes, 0, NULL, REG_OPTION_NON_VOLATILE, &Disposition),
                 STATUS_SUCCESS);
    CHECK_EQ(Disposition, REG_CREATED_NEW_KEY);
    CHECK_STATUS(ZwSetValueKey(State, &Name, 0, REG_DWORD, &Count, sizeof(Count)), STATUS_SUCCESS);
    CHECK_STATUS(ZwDeleteKey(State), Seen == 0 ? STATUS_SUCCESS : STATUS_ACCESS_DENIED);
    CHECK_STATUS(ZwClose(State), STATUS_SUCCESS);
}

static VOID
Test(PDRIVER_OBJECT DriverObject)
{
    UNICODE_STRING Altitude = RTL_CONSTANT_STRING(L"380000"), Case = DriverObject->DriverName, Left;
    OBJECT_ATTRIBUTES Attributes;
    HANDLE Key;

    Case.Buffer += 8;
    Case.Length -= 16;
    InitializeObjectAttributes(&Attributes, &ServicePath, OBJ_CASE_INSENSITIVE | OBJ_KERNEL_HANDLE, NULL, NULL);
    REQUIRE(NT_SUCCESS(ZwOpenKey(&Key, KEY_READ | KEY_WRITE, &Attributes)));
    TestService(Key);
    TestParameters();
    TestKeys(Key);
    CHECK_STATUS(CmRegisterCallbackEx(Filter, &Altitude, DriverObject, NULL, &Cookie, NULL), STATUS_SUCCESS);
    CHECK_STATUS(ZwFlushKey(Key), STATUS_SUCCESS);
    CHECK_EQ(Seen, 2);
    TestKeys(Key);
    RtlInitUnicodeString(&Left, L"filterleft");
    if (!RtlEqualUnicodeString(&Case, &Left, TRUE)) {
        CHECK_STATUS(CmUnRegisterCallback(Cookie), STATUS_SUCCESS);
    }
    RtlInitUnicodeString(&Left, L"keyleft");
    if (!RtlEqualUnicodeString(&Case, &Left, TRUE)) {
        CHECK_STATUS(ZwClose(Key), STATUS_SUCCESS);
    }
}

NTSTATUS NTAPI
DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    DriverObject->DriverUnload = CheckUnload;
    ServicePath = *RegistryPath;
    Test(DriverObject);
    return CheckDone();
}
