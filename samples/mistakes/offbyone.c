/*
 * offbyone: a copy of the registry path, with room for its characters and none for the zero that ends it.
 *
 * Found as: bug check 0x00000019 0x0000000000000021 in FreePath
 */
#include "mistake.h"

static PWSTR Path;

static __attribute__((noinline)) VOID
CopyPath(PCUNICODE_STRING From)
{
    ULONG Index;

    Path = ExAllocatePool2(POOL_FLAG_PAGED, From->Length, MISTAKE_TAG);
    if (Path == NULL) {
        return;
    }
    for (Index = 0; Index < From->Length / sizeof(WCHAR); Index += 1) {
        Path[Index] = From->Buffer[Index];
    }
    *(volatile WCHAR *)&Path[Index] = 0; /* the mistake */
}

static __attribute__((noinline)) VOID
FreePath(VOID)
{
    ExFreePoolWithTag(Path, MISTAKE_TAG);
}

static NTSTATUS
MistakeControl(PIRP Irp, PIO_STACK_LOCATION Stack)
{
    return MistakeComplete(Irp, STATUS_SUCCESS, 0);
}

static VOID NTAPI
Unload(PDRIVER_OBJECT DriverObject)
{
    FreePath();
    IoDeleteDevice(MistakeDevice);
}

NTSTATUS NTAPI
DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    DriverObject->DriverUnload = Unload;
    CopyPath(RegistryPath);
    return Path == NULL ? STATUS_INSUFFICIENT_RESOURCES : MistakeCreateDevice(DriverObject);
}
