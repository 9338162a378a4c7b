/* Callback objects. */
#include "../ps/threads.h"

typedef struct _CALLBACK_TEST {
    LONG Order[8];
    LONG Count;
    PVOID Registration;
    KEVENT Inside, Go;
    volatile BOOLEAN Unregistered;
} CALLBACK_TEST;

static VOID NTAPI
CallbackNote(PVOID Context, PVOID Argument1, PVOID Argument2)
{
    CALLBACK_TEST *Test = Argument1;

    CHECK(Argument2 == (PVOID)7);
    if (Test->Count < 8) {
        Test->Order[Test->Count++] = (LONG)(LONG_PTR)Context;
    }
}

static NTSTATUS
CallbackOpen(PCWSTR Path, BOOLEAN Create, BOOLEAN Multiple, PCALLBACK_OBJECT *Callback)
{
    OBJECT_ATTRIBUTES Object;
    UNICODE_STRING Name;

    RtlInitUnicodeString(&Name, Path);
    InitializeObjectAttributes(&Object, Path == NULL ? NULL : &Name, OBJ_CASE_INSENSITIVE, NULL, NULL);
    return ExCreateCallback(Callback, &Object, Create, Multiple);
}

KTEST(CallbackCallsInOrder)
{
    CALLBACK_TEST Test = {0};
    PCALLBACK_OBJECT Callback, Same;
    PVOID Registrations[3];
    KIRQL OldIrql;

    CHECK_STATUS(STATUS_OBJECT_NAME_NOT_FOUND, CallbackOpen(L"\\Callback\\Ours", FALSE, FALSE, &Callback));
    CHECK_STATUS(STATUS_SUCCESS, CallbackOpen(L"\\Callback\\Ours", TRUE, TRUE, &Callback));
    CHECK_STATUS(STATUS_SUCCESS, CallbackOpen(L"\\Callback\\Ours", TRUE, FALSE, &Same));
    CHECK(Same == Callback);
    ObDereferenceObject(Same);
    CHECK_STATUS(STATUS_SUCCESS, CallbackOpen(L"\\callback\\ours", FALSE, FALSE, &Same));
    ObDereferenceObject(Same);
    for (LONG_PTR Index = 0; Index < 3; Index += 1) {
        Registrations[Index] = ExRegisterCallback(Callback, CallbackNote, (PVOID)(Index + 10));
        CHECK(Registrations[Index] != NULL);
    }
    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    ExNotifyCallback(Callback, &Test, (PVOID)7);
    KeLowerIrql(OldIrql);
    ExUnregisterCallback(Registrations[1]);
    ExNotifyCallback(Callback, &Test, (PVOID)7);
    CHECK_EQ(Test.Count, 5);
    CHECK_EQ(Test.Order[0] + 100 * Test.Order[1] + 10000 * Test.Order[2], 121110);
    CHECK_EQ(Test.Order[3] + 100 * Test.Order[4], 1210);
    ExUnregisterCallback(Registrations[0]);
    ExUnregisterCallback(Registrations[2]);
    ObDereferenceObject(Callback);
    CHECK_STATUS(STATUS_OBJECT_NAME_NOT_FOUND, CallbackOpen(L"\\Callback\\Ours", FALSE, FALSE, &Callback));
    CHECK_STATUS(STATUS_SUCCESS, CallbackOpen(L"\\Callback\\PowerState", FALSE, FALSE, &Callback));
    ObDereferenceObject(Callback);
}

KTEST(CallbackSingle)
{
    PCALLBACK_OBJECT Callback;
    PVOID Registration;

    CHECK_STATUS(STATUS_SUCCESS, CallbackOpen(NULL, TRUE, FALSE, &Callback));
    Registration = ExRegisterCallback(Callback, CallbackNote, NULL);
    CHECK(Registration != NULL);
    CHECK(ExRegisterCallback(Callback, CallbackNote, NULL) == NULL);
    ExUnregisterCallback(Registration);
    ObDereferenceObject(Callback);
}

static VOID NTAPI
CallbackBlock(PVOID Context, PVOID Argument1, PVOID Argument2)
{
    CALLBACK_TEST *Test = Context;

    KeSetEvent(&Test->Inside, 0, FALSE);
    KeWaitForSingleObject(&Test->Go, Executive, KernelMode, FALSE, NULL);
    CHECK(!Test->Unregistered);
}

static VOID NTAPI
CallbackRemover(PVOID Context)
{
    CALLBACK_TEST *Test = Context;

    ExUnregisterCallback(Test->Registration);
    Test->Unregistered = TRUE;
}

static VOID NTAPI
CallbackNotifier(PVOID Context)
{
    ExNotifyCallback(Context, NULL, NULL);
}

KTEST(CallbackUnregisterWaits)
{
    CALLBACK_TEST Test = {0};
    PCALLBACK_OBJECT Callback;
    TEST_CREW Crew = {0};

    KeInitializeEvent(&Test.Inside, NotificationEvent, FALSE);
    KeInitializeEvent(&Test.Go, NotificationEvent, FALSE);
    REQUIRE(NT_SUCCESS(CallbackOpen(NULL, TRUE, TRUE, &Callback)));
    Test.Registration = ExRegisterCallback(Callback, CallbackBlock, &Test);
    TestStart(&Crew, CallbackNotifier, Callback);
    KeWaitForSingleObject(&Test.Inside, Executive, KernelMode, FALSE, NULL);
    TestStart(&Crew, CallbackRemover, &Test);
    TestSleep(5);
    CHECK(!Test.Unregistered);
    KeSetEvent(&Test.Go, 0, FALSE);
    TestJoin(&Crew);
    CHECK(Test.Unregistered);
    ObDereferenceObject(Callback);
}
