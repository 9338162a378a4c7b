/*
 * twicecompleted: a helper completes the request when it finds something wrong, and so does its caller.
 *
 * Run with: --ioctl 0x222000,in=01
 * Found as: bug check 0x00000044 - in MistakeComplete
 */
#include "mistake.h"

static __attribute__((noinline)) NTSTATUS
CheckRequest(PIRP Irp, ULONG Length)
{
    if (Length < sizeof(ULONG)) {
        return MistakeComplete(Irp, STATUS_BUFFER_TOO_SMALL, 0); /* the mistake */
    }
    return STATUS_SUCCESS;
}

static NTSTATUS
MistakeControl(PIRP Irp, PIO_STACK_LOCATION Stack)
{
    NTSTATUS Status = CheckRequest(Irp, Stack->Parameters.DeviceIoControl.InputBufferLength);

    return MistakeComplete(Irp, Status, 0);
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
    return MistakeCreateDevice(DriverObject);
}
