/*
 * The ways a run ends that are nobody's bug check: DriverEntry fails, loops, waits for ever, calls what is
 * missing. The name of the image file chooses.
 */
#include "check.h"

static KEVENT Never;
static KSPIN_LOCK Lock;

static VOID NTAPI
Holder(PVOID Context)
{
    KeWaitForSingleObject(&Never, Executive, KernelMode, FALSE, NULL);
}

static BOOLEAN
Named(PDRIVER_OBJECT DriverObject, const char *Name)
{
    const UNICODE_STRING *Full = &DriverObject->DriverName;
    USHORT Index;

    for (Index = 0; Name[Index] != 0; Index += 1) {
        if ((Index + 8) * sizeof(WCHAR) >= Full->Length || Full->Buffer[Index + 8] != (WCHAR)Name[Index]) {
            return FALSE;
        }
    }
    return (Index + 8) * sizeof(WCHAR) == Full->Length;
}

static VOID __attribute__((noinline)) SpinForEver(VOID)
{
    volatile ULONG Count = 0;

    for (;;) {
        Count += 1;
    }
}

static VOID __attribute__((noinline)) PollForEver(VOID)
{
    for (;;) {
        Sleep(1);
    }
}

static VOID __attribute__((noinline)) WaitForEver(VOID)
{
    KeWaitForSingleObject(&Never, Executive, KernelMode, FALSE, NULL);
    DbgPrint("woke\n");
}

NTSTATUS NTAPI
DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    KeInitializeEvent(&Never, NotificationEvent, FALSE);
    DbgPrint("started\n");
    if (Named(DriverObject, "fails")) {
        return STATUS_DEVICE_CONFIGURATION_ERROR;
    }
    if (Named(DriverObject, "spins")) {
        SpinForEver();
    }
    if (Named(DriverObject, "polls")) {
        PollForEver();
    }
    if (Named(DriverObject, "waits")) {
        WaitForEver();
    }
    if (Named(DriverObject, "calls")) {
        NtmmNoSuchRoutine();
    }
    if (Named(DriverObject, "ordinal")) {
        NtmmLastOrdinal();
    }
    if (Named(DriverObject, "stays")) {
        /* No unload routine: not unloaded, nothing checked. */
        return STATUS_SUCCESS;
    }
    /* Never called, only named. */
    if (Named(DriverObject, "nobody")) {
        NtmmNoSuchOtherRoutine();
    }
    DriverObject->DriverUnload = CheckUnload;
    return STATUS_SUCCESS;
}
