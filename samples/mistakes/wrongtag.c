/*
 * wrongtag: one file allocates under its own tag, another frees under its own. Both compile.
 *
 * Found as: bug check 0x000000C2 0x000000000000000A in FreeName
 */
#include "mistake.h"

#define ALLOCATOR_TAG 'maNM'
#define FREER_TAG     'rtSM'

static PVOID Name;

static __attribute__((noinline)) VOID
MakeName(VOID)
{
    Name = ExAllocatePool2(POOL_FLAG_PAGED, 120, ALLOCATOR_TAG);
}

static __attribute__((noinline)) VOID
FreeName(VOID)
{
    ExFreePoolWithTag(Name, FREER_TAG); /* the mistake */
}

static NTSTATUS
MistakeControl(PIRP Irp, PIO_STACK_LOCATION Stack)
{
    return MistakeComplete(Irp, STATUS_SUCCESS, 0);
}

static VOID NTAPI
Unload(PDRIVER_OBJECT DriverObject)
{
    FreeName();
    IoDeleteDevice(MistakeDevice);
}

NTSTATUS NTAPI
DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    DriverObject->DriverUnload = Unload;
    MakeName();
    return Name == NULL ? STATUS_INSUFFICIENT_RESOURCES : MistakeCreateDevice(DriverObject);
}
