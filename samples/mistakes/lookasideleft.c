/*
 * lookasideleft: entries of a lookaside list are all returned, but the list itself, and what it caches, is not deleted.
 *
 * Run with: --ioctl 0x222000
 * Found as: finding lookaside-leak in StartList
 * And also: pool-leak
 */
#include "mistake.h"

static NPAGED_LOOKASIDE_LIST List;

static __attribute__((noinline)) VOID
StartList(VOID)
{
    ExInitializeNPagedLookasideList(&List, NULL, NULL, 0, 96, MISTAKE_TAG, 0);
}

static NTSTATUS
MistakeControl(PIRP Irp, PIO_STACK_LOCATION Stack)
{
    PVOID Entry = ExAllocateFromNPagedLookasideList(&List);

    if (Entry == NULL) {
        return MistakeComplete(Irp, STATUS_INSUFFICIENT_RESOURCES, 0);
    }
    ExFreeToNPagedLookasideList(&List, Entry);
    return MistakeComplete(Irp, STATUS_SUCCESS, 0);
}

static VOID NTAPI
Unload(PDRIVER_OBJECT DriverObject)
{
    /* the mistake: ExDeleteNPagedLookasideList(&List) is missing */
    IoDeleteDevice(MistakeDevice);
}

NTSTATUS NTAPI
DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    DriverObject->DriverUnload = Unload;
    StartList();
    return MistakeCreateDevice(DriverObject);
}
