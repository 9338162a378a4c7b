/*
 * staledpc: a request starts a timer and frees its record when it is completed; the timer's DPC counts in that record
 * later.
 *
 * Run with: --ioctl 0x222000
 * Found as: finding freed-pool-written in CreateRecord
 */
#include "mistake.h"

typedef struct _RECORD {
    ULONG Requests;
    ULONG Expired;
} RECORD, *PRECORD;

static KTIMER Timer;
static KDPC Dpc;

static __attribute__((noinline)) PRECORD
CreateRecord(VOID)
{
    return ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(RECORD), MISTAKE_TAG);
}

static VOID NTAPI
Expired(PKDPC Unused, PVOID Context, PVOID One, PVOID Two)
{
    ((volatile RECORD *)Context)->Expired += 1; /* the mistake shows here */
}

static NTSTATUS
MistakeControl(PIRP Irp, PIO_STACK_LOCATION Stack)
{
    PRECORD Record = CreateRecord();
    LARGE_INTEGER Due;

    if (Record == NULL) {
        return MistakeComplete(Irp, STATUS_INSUFFICIENT_RESOURCES, 0);
    }
    Due.QuadPart = -10 * 1000;
    KeInitializeDpc(&Dpc, Expired, Record);
    KeSetTimer(&Timer, Due, &Dpc);
    ExFreePoolWithTag(Record, MISTAKE_TAG); /* the mistake: the timer is still set */
    return MistakeComplete(Irp, STATUS_SUCCESS, 0);
}

static VOID NTAPI
Unload(PDRIVER_OBJECT DriverObject)
{
    KeWaitForSingleObject(&Timer, Executive, KernelMode, FALSE, NULL);
    KeFlushQueuedDpcs();
    IoDeleteDevice(MistakeDevice);
}

NTSTATUS NTAPI
DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    DriverObject->DriverUnload = Unload;
    KeInitializeTimer(&Timer);
    return MistakeCreateDevice(DriverObject);
}
