/*
 * mistake.h - what the drivers with a mistake share: a device that takes device control requests.
 *
 * Each driver has one mistake. The comment at its top says what it is, how to run it (`Run with`) and what ntmm finds
 * (`Found as`, and what comes of it, `And also`), in a form that test/drivers/mistakes.t reads.
 */
#ifndef MISTAKE_H
#define MISTAKE_H

#include <ntddk.h>

#define MISTAKE_TAG 'tsiM'

#define IOCTL_MISTAKE CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800, METHOD_BUFFERED, FILE_ANY_ACCESS)        /* 0x222000 */
#define IOCTL_MISTAKE_DIRECT CTL_CODE(FILE_DEVICE_UNKNOWN, 0x801, METHOD_OUT_DIRECT, FILE_ANY_ACCESS) /* 0x222006 */

static PDEVICE_OBJECT MistakeDevice;

/* The driver's own part: what it does with a request. Returns what its dispatch routine returns. */
static NTSTATUS MistakeControl(PIRP Irp, PIO_STACK_LOCATION Stack);

static NTSTATUS
MistakeComplete(PIRP Irp, NTSTATUS Status, ULONG_PTR Information)
{
    Irp->IoStatus.Status = Status;
    Irp->IoStatus.Information = Information;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    return Status;
}

static NTSTATUS NTAPI
MistakeDispatch(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    PIO_STACK_LOCATION Stack = IoGetCurrentIrpStackLocation(Irp);

    if (Stack->MajorFunction == IRP_MJ_DEVICE_CONTROL) {
        return MistakeControl(Irp, Stack);
    }
    return MistakeComplete(Irp, STATUS_SUCCESS, 0);
}

static NTSTATUS
MistakeCreateDevice(PDRIVER_OBJECT DriverObject)
{
    static UNICODE_STRING Name = RTL_CONSTANT_STRING(L"\\Device\\Mistake");

    DriverObject->MajorFunction[IRP_MJ_CREATE] = MistakeDispatch;
    DriverObject->MajorFunction[IRP_MJ_CLEANUP] = MistakeDispatch;
    DriverObject->MajorFunction[IRP_MJ_CLOSE] = MistakeDispatch;
    DriverObject->MajorFunction[IRP_MJ_DEVICE_CONTROL] = MistakeDispatch;
    return IoCreateDevice(DriverObject, 0, &Name, FILE_DEVICE_UNKNOWN, 0, FALSE, &MistakeDevice);
}

#endif
