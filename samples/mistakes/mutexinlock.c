/*
 * mutexinlock: a routine that takes a fast mutex is called by one that holds a spin lock. As long as the mutex is free
 * nobody waits, and nothing happens.
 *
 * Run with: --ioctl 0x222000
 * Found as: bug check 0x000000C4 0x0000000000000033 in CountRequest
 */
#include "mistake.h"

static FAST_MUTEX Mutex;
static KSPIN_LOCK Lock;
static ULONG Requests;

static __attribute__((noinline)) VOID
CountRequest(VOID)
{
    ExAcquireFastMutex(&Mutex);
    Requests += 1;
    ExReleaseFastMutex(&Mutex);
}

static NTSTATUS
MistakeControl(PIRP Irp, PIO_STACK_LOCATION Stack)
{
    KIRQL Irql;

    KeAcquireSpinLock(&Lock, &Irql);
    CountRequest(); /* the mistake */
    KeReleaseSpinLock(&Lock, Irql);
    return MistakeComplete(Irp, STATUS_SUCCESS, 0);
}

static VOID NTAPI
Unload(PDRIVER_OBJECT DriverObject)
{
    IoDeleteDevice(MistakeDevice);
}

NTSTATUS NTAPI
DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    DriverObject->DriverUnload = Unload;
    KeInitializeSpinLock(&Lock);
    ExInitializeFastMutex(&Mutex);
    return MistakeCreateDevice(DriverObject);
}
