/* Filters of registry calls. */
#include "cmtest.h"

typedef struct _FILTER_TEST {
    PCSTR Name;
    LARGE_INTEGER Cookie;
    ULONG Classes[16];
    ULONG Count;
    NTSTATUS Pre;      /* what it answers before */
    NTSTATUS Post;     /* what it makes of the status after; STATUS_SUCCESS: nothing */
    BOOLEAN Recurse;
    BOOLEAN SetContext;
    PVOID LastContext; /* ObjectContext of the last pre-notification that has one */
    PVOID Cleaned;
    ULONG Sequence[16];
} FILTER_TEST;

static ULONG FilterSequence;

static BOOLEAN
FilterIsPost(ULONG Class)
{
    return (Class >= RegNtPostDeleteKey && Class <= RegNtPostKeyHandleClose) || Class == RegNtPostCreateKeyEx ||
           Class == RegNtPostOpenKeyEx || Class == RegNtPostFlushKey;
}

static NTSTATUS NTAPI
FilterNote(PVOID CallbackContext, PVOID Argument1, PVOID Argument2)
{
    FILTER_TEST *Test = CallbackContext;
    ULONG Class = (ULONG)(ULONG_PTR)Argument1;
    PREG_POST_OPERATION_INFORMATION Post = Argument2;
    PREG_SET_VALUE_KEY_INFORMATION Set = Argument2;

    if (Test->Count < 16) {
        Test->Classes[Test->Count] = Class;
        Test->Sequence[Test->Count] = ++FilterSequence;
        Test->Count += 1;
    }
    if (Class == RegNtCallbackObjectContextCleanup) {
        Test->Cleaned = ((PREG_CALLBACK_CONTEXT_CLEANUP_INFORMATION)Argument2)->ObjectContext;
        return STATUS_SUCCESS;
    }
    if (Class == RegNtPreSetValueKey) {
        Test->LastContext = Set->ObjectContext;
        Set->CallContext = Test;
        if (Test->Recurse) {
            CHECK_STATUS(STATUS_SUCCESS, CmTestExists(CM_SERVICES));
        }
    }
    if (FilterIsPost(Class)) {
        if (Class == RegNtPostSetValueKey) {
            CHECK(Post->CallContext == Test);
            CHECK(((PREG_SET_VALUE_KEY_INFORMATION)Post->PreInformation)->Object == Post->Object);
        }
        if (Class == RegNtPostOpenKeyEx && Test->SetContext && NT_SUCCESS(Post->Status)) {
            CHECK_STATUS(STATUS_SUCCESS,
                         CmSetCallbackObjectContext(Post->Object, &Test->Cookie, (PVOID)0x1234, NULL));
        }
        if (Test->Post != STATUS_SUCCESS) {
            Post->ReturnStatus = Test->Post;
            return STATUS_CALLBACK_BYPASS;
        }
        return STATUS_SUCCESS;
    }
    return Class == RegNtPreKeyHandleClose ? STATUS_SUCCESS : Test->Pre;
}

static NTSTATUS
FilterRegister(FILTER_TEST *Test, PCWSTR Altitude)
{
    UNICODE_STRING Text;

    RtlInitUnicodeString(&Text, Altitude);
    return CmRegisterCallbackEx(FilterNote, &Text, NULL, Test, &Test->Cookie, NULL);
}

KTEST(RegistryFilterSees)
{
    FILTER_TEST Test = {0};
    HANDLE Key;
    ULONG Number = 1;

    REQUIRE(NT_SUCCESS(CmTestCreate(CM_SERVICES L"\\Filtered", NULL, 0, &Key, NULL)));
    CHECK_STATUS(STATUS_SUCCESS, FilterRegister(&Test, L"1000"));
    CHECK_STATUS(STATUS_SUCCESS, CmTestSet(Key, L"N", REG_DWORD, &Number, 4));
    CHECK_EQ(Test.Count, 2);
    CHECK(Test.Classes[0] == RegNtPreSetValueKey && Test.Classes[1] == RegNtPostSetValueKey);
    Test.Count = 0;
    CHECK_STATUS(STATUS_SUCCESS, CmTestExists(CM_SERVICES));
    CHECK(Test.Count == 4 && Test.Classes[0] == RegNtPreOpenKeyEx && Test.Classes[1] == RegNtPostOpenKeyEx &&
          Test.Classes[2] == RegNtPreKeyHandleClose && Test.Classes[3] == RegNtPostKeyHandleClose);

    /* Refused, taken over, and a failure made of a success. */
    Test = (FILTER_TEST){.Cookie = Test.Cookie, .Pre = STATUS_ACCESS_DENIED};
    Number = 2;
    CHECK_STATUS(STATUS_ACCESS_DENIED, CmTestSet(Key, L"N", REG_DWORD, &Number, 4));
    CHECK_STATUS(STATUS_ACCESS_DENIED, CmTestExists(CM_SERVICES));
    CHECK_EQ(Test.Count, 2);
    Test.Pre = STATUS_CALLBACK_BYPASS;
    CHECK_STATUS(STATUS_SUCCESS, CmTestSet(Key, L"N", REG_DWORD, &Number, 4));
    Test.Pre = STATUS_SUCCESS;
    CHECK_EQ(CmTestNumber(Key, L"N"), 1);
    Test.Post = STATUS_DISK_FULL;
    CHECK_STATUS(STATUS_DISK_FULL, CmTestSet(Key, L"N", REG_DWORD, &Number, 4));
    CHECK_STATUS(STATUS_DISK_FULL, CmTestExists(CM_SERVICES));
    Test.Post = STATUS_SUCCESS;
    CHECK_EQ(CmTestNumber(Key, L"N"), 2);

    CHECK_STATUS(STATUS_SUCCESS, CmUnRegisterCallback(Test.Cookie));
    CHECK_STATUS(STATUS_INVALID_PARAMETER, CmUnRegisterCallback(Test.Cookie));
    CmTestDelete(Key);
}

KTEST(RegistryFilterAltitudes)
{
    FILTER_TEST High = {0}, Low = {0}, Old = {0}, Same = {0};
    HANDLE Key;

    REQUIRE(NT_SUCCESS(CmTestCreate(CM_SERVICES L"\\Filtered", NULL, 0, &Key, NULL)));
    CHECK_STATUS(STATUS_SUCCESS, FilterRegister(&Low, L"999.5"));
    CHECK_STATUS(STATUS_SUCCESS, FilterRegister(&High, L"1000"));
    CHECK_STATUS(STATUS_FLT_INSTANCE_ALTITUDE_COLLISION, FilterRegister(&Same, L"0999.50"));
    CHECK_STATUS(STATUS_INVALID_PARAMETER, FilterRegister(&Same, L""));
    CHECK_STATUS(STATUS_INVALID_PARAMETER, FilterRegister(&Same, L"1.2.3"));
    CHECK_STATUS(STATUS_SUCCESS, CmRegisterCallback(FilterNote, &Old, &Old.Cookie));
    CHECK_STATUS(STATUS_SUCCESS, CmTestSet(Key, L"N", REG_NONE, NULL, 0));
    /* Down, and up again. */
    CHECK(Old.Count == 2 && High.Count == 2 && Low.Count == 2);
    CHECK(Old.Sequence[0] < High.Sequence[0] && High.Sequence[0] < Low.Sequence[0]);
    CHECK(Low.Sequence[1] < High.Sequence[1] && High.Sequence[1] < Old.Sequence[1]);
    /* Calls that a filter makes are for those below. */
    Old.Count = High.Count = Low.Count = 0;
    High.Recurse = TRUE;
    CHECK_STATUS(STATUS_SUCCESS, CmTestSet(Key, L"N", REG_NONE, NULL, 0));
    CHECK_EQ(Old.Count, 2);
    CHECK_EQ(High.Count, 2);
    CHECK_EQ(Low.Count, 6);
    CHECK_STATUS(STATUS_SUCCESS, CmUnRegisterCallback(High.Cookie));
    CHECK_STATUS(STATUS_SUCCESS, CmUnRegisterCallback(Low.Cookie));
    CHECK_STATUS(STATUS_SUCCESS, CmUnRegisterCallback(Old.Cookie));
    CmTestDelete(Key);
}

KTEST(RegistryFilterContexts)
{
    FILTER_TEST Test = {.SetContext = TRUE};
    PCUNICODE_STRING Path, Own;
    ULONG_PTR Identity = 0, Other = 1;
    PVOID Object;
    HANDLE Key, Second;

    CHECK_STATUS(STATUS_SUCCESS, FilterRegister(&Test, L"5"));
    REQUIRE(NT_SUCCESS(CmTestOpen(CM_SERVICES, NULL, &Key)));
    CHECK_STATUS(STATUS_SUCCESS, CmTestSet(Key, L"N", REG_NONE, NULL, 0));
    CHECK(Test.LastContext == (PVOID)0x1234);
    ZwDeleteValueKey(Key, &(UNICODE_STRING)RTL_CONSTANT_STRING(L"N"));
    CHECK(Test.Cleaned == NULL);
    REQUIRE(NT_SUCCESS(ObReferenceObjectByHandle(Key, 0, NULL, KernelMode, &Object, NULL)));
    CHECK_STATUS(STATUS_SUCCESS, CmCallbackGetKeyObjectIDEx(&Test.Cookie, Object, &Identity, &Path, 0));
    CHECK_STATUS(STATUS_SUCCESS, CmCallbackGetKeyObjectID(&Test.Cookie, Object, NULL, &Own));
    CHECK(RtlEqualUnicodeString(Path, Own, FALSE) &&
          RtlEqualUnicodeString(Path, &(UNICODE_STRING)RTL_CONSTANT_STRING(CM_SERVICES), TRUE));
    CmCallbackReleaseKeyObjectIDEx(Path);
    CHECK_STATUS(STATUS_INVALID_PARAMETER, CmCallbackGetKeyObjectIDEx(&Test.Cookie, Object, &Identity, NULL, 1));
    ObDereferenceObject(Object);
    REQUIRE(NT_SUCCESS(CmTestOpen(CM_SERVICES, NULL, &Second)));
    REQUIRE(NT_SUCCESS(ObReferenceObjectByHandle(Second, 0, NULL, KernelMode, &Object, NULL)));
    CHECK_STATUS(STATUS_SUCCESS, CmCallbackGetKeyObjectID(&Test.Cookie, Object, &Other, NULL));
    CHECK_EQ(Identity, Other);
    ObDereferenceObject(Object);
    ZwClose(Key);
    CHECK(Test.Cleaned == (PVOID)0x1234);
    Test.Cleaned = NULL;
    /* What is still there is cleaned up with the filter. */
    CHECK_STATUS(STATUS_SUCCESS, CmUnRegisterCallback(Test.Cookie));
    CHECK(Test.Cleaned == (PVOID)0x1234);
    ZwClose(Second);
}
