/*
 * pagedlock: a table in paged pool is searched with a spin lock held. Nearly always its pages are there, so nearly
 * always it works.
 *
 * Run with: --ioctl 0x222000
 * Found as: bug check 0x000000D1 - in FindEntry
 */
#include "mistake.h"

#define ENTRIES 512

static volatile ULONG *Table;
static KSPIN_LOCK Lock;

static __attribute__((noinline)) ULONG
FindEntry(ULONG Key)
{
    ULONG Index = 0;
    KIRQL Irql;

    KeAcquireSpinLock(&Lock, &Irql);
    while (Index < ENTRIES && Table[Index] != Key) { /* the mistake: paged memory at DISPATCH_LEVEL */
        Index += 1;
    }
    KeReleaseSpinLock(&Lock, Irql);
    return Index;
}

static NTSTATUS
MistakeControl(PIRP Irp, PIO_STACK_LOCATION Stack)
{
    DbgPrint("pagedlock: entry %u\n", FindEntry(77));
    return MistakeComplete(Irp, STATUS_SUCCESS, 0);
}

static VOID NTAPI
Unload(PDRIVER_OBJECT DriverObject)
{
    ExFreePoolWithTag((PVOID)(ULONG_PTR)Table, MISTAKE_TAG);
    IoDeleteDevice(MistakeDevice);
}

NTSTATUS NTAPI
DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    ULONG Index;

    DriverObject->DriverUnload = Unload;
    KeInitializeSpinLock(&Lock);
    Table = ExAllocatePool2(POOL_FLAG_PAGED, ENTRIES * sizeof(ULONG), MISTAKE_TAG);
    if (Table == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    for (Index = 0; Index < ENTRIES; Index += 1) {
        Table[Index] = Index;
    }
    return MistakeCreateDevice(DriverObject);
}
