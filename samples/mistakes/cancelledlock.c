/*
 * cancelledlock: a request locks a buffer of the driver's for its transfer and waits. When it ends well the buffer is
 * unlocked; the cancel routine only completes the request.
 *
 * Run with: --ioctl 0x222000
 * Found as: finding locked-pages in StartTransfer
 * And also: locked-mdl-freed
 */
#include "mistake.h"

static PVOID Buffer;
static PMDL Mdl;

static __attribute__((noinline)) VOID
StartTransfer(VOID)
{
    MmProbeAndLockPages(Mdl, KernelMode, IoWriteAccess);
}

static VOID NTAPI
CancelTransfer(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    IoReleaseCancelSpinLock(Irp->CancelIrql);
    /* the mistake: MmUnlockPages(Mdl) is missing */
    MistakeComplete(Irp, STATUS_CANCELLED, 0);
}

static NTSTATUS
MistakeControl(PIRP Irp, PIO_STACK_LOCATION Stack)
{
    StartTransfer();
    IoMarkIrpPending(Irp);
    IoSetCancelRoutine(Irp, CancelTransfer);
    return STATUS_PENDING;
}

static VOID NTAPI
Unload(PDRIVER_OBJECT DriverObject)
{
    IoFreeMdl(Mdl);
    ExFreePoolWithTag(Buffer, MISTAKE_TAG);
    IoDeleteDevice(MistakeDevice);
}

NTSTATUS NTAPI
DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    DriverObject->DriverUnload = Unload;
    Buffer = ExAllocatePool2(POOL_FLAG_NON_PAGED, 2000, MISTAKE_TAG);
    if (Buffer == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    Mdl = IoAllocateMdl(Buffer, 2000, FALSE, FALSE, NULL);
    if (Mdl == NULL) {
        ExFreePoolWithTag(Buffer, MISTAKE_TAG);
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    return MistakeCreateDevice(DriverObject);
}
