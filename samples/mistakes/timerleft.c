/*
 * timerleft: a watchdog timer is set again by its own DPC for as long as the driver works, and the unload routine
 * forgets it. On a real system it goes off in memory that has another owner.
 *
 * Run with: --ioctl 0x222000
 * Found as: finding timer-left in -
 */
#include "mistake.h"

static KTIMER Watchdog;
static KDPC Dpc;

static VOID
SetWatchdog(VOID)
{
    LARGE_INTEGER Due;

    Due.QuadPart = -60 * 1000 * 10000ll;
    KeSetTimer(&Watchdog, Due, &Dpc);
}

static VOID NTAPI
WatchdogExpired(PKDPC Unused, PVOID Context, PVOID One, PVOID Two)
{
    DbgPrint("timerleft: the device does not answer\n");
    SetWatchdog();
}

static NTSTATUS
MistakeControl(PIRP Irp, PIO_STACK_LOCATION Stack)
{
    SetWatchdog();
    return MistakeComplete(Irp, STATUS_SUCCESS, 0);
}

static VOID NTAPI
Unload(PDRIVER_OBJECT DriverObject)
{
    /* the mistake: KeCancelTimer(&Watchdog) is missing */
    IoDeleteDevice(MistakeDevice);
}

NTSTATUS NTAPI
DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    DriverObject->DriverUnload = Unload;
    KeInitializeTimer(&Watchdog);
    KeInitializeDpc(&Dpc, WatchdogExpired, NULL);
    return MistakeCreateDevice(DriverObject);
}
