/*
 * twocleanups: two routines believe that they own the same buffer. The request that stops the driver frees it, and so
 * does the unload routine, because nobody cleared the pointer.
 *
 * Run with: --ioctl 0x222000
 * Found as: bug check 0x000000C2 0x0000000000000007 in FreeTable
 */
#include "mistake.h"

static PVOID Table;

static __attribute__((noinline)) VOID
FreeTable(VOID)
{
    if (Table != NULL) {
        ExFreePoolWithTag(Table, MISTAKE_TAG);
        /* the mistake: Table = NULL is missing */
    }
}

static NTSTATUS
MistakeControl(PIRP Irp, PIO_STACK_LOCATION Stack)
{
    FreeTable();
    return MistakeComplete(Irp, STATUS_SUCCESS, 0);
}

static VOID NTAPI
Unload(PDRIVER_OBJECT DriverObject)
{
    FreeTable();
    IoDeleteDevice(MistakeDevice);
}

NTSTATUS NTAPI
DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    DriverObject->DriverUnload = Unload;
    Table = ExAllocatePool2(POOL_FLAG_NON_PAGED, 256, MISTAKE_TAG);
    return Table == NULL ? STATUS_INSUFFICIENT_RESOURCES : MistakeCreateDevice(DriverObject);
}
