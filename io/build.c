/*
 * Requests that the core or a driver makes: filling the next location and the buffers as the transfer method asks.
 *
 *     buffered    system buffer of the larger length; the input is copied in, the output out at completion
 *     in direct   system buffer for the input, the output buffer locked for reading
 *     out direct  system buffer for the input, the output buffer locked for writing
 *     neither     the addresses as they are
 *
 * The request's RequestorMode answers for the addresses. What cannot be read, written or locked makes the request fail,
 * nothing is left behind. Document: "Buffer
 * Descriptions for I/O Control Codes", "Methods for Accessing Data Buffers".
 */
#include "iop.h"
#include <ke/user.h>

#define IOP_BUFFER_TAG 0x42666F49u  /* "IofB" */
#define IOP_CONTEXT_TAG 0x43666F49u /* "IofC" */

NTSTATUS (*IoLockPages)(PMDL Mdl, KPROCESSOR_MODE AccessMode, LOCK_OPERATION Operation);

/* --- Buffers -------------------------------------------------------------------------------------------- */

NTSTATUS
IopPrepareBuffer(PIRP Irp, ULONG Length, const VOID *Input, ULONG InputLength, PVOID Output, ULONG OutputLength)
{
    NTSTATUS Status;
    PVOID Buffer;

    Irp->UserBuffer = Output;
    IopTailOf(Irp)->OutputLength = OutputLength;
    if (Length == 0) {
        return STATUS_SUCCESS;
    }
    Buffer = ExAllocatePool2(POOL_FLAG_NON_PAGED, Length, IOP_BUFFER_TAG);
    if (Buffer == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    Irp->AssociatedIrp.SystemBuffer = Buffer;
    Irp->Flags |= IRP_BUFFERED_IO | IRP_DEALLOCATE_BUFFER | (OutputLength != 0 ? IRP_INPUT_OPERATION : 0);
    Status = KiCaptureArgument(Buffer, Input, InputLength, Irp->RequestorMode);
    return NT_SUCCESS(Status) ? KiProbeResult(Output, OutputLength, Irp->RequestorMode) : Status;
}

static NTSTATUS
IopLockBuffer(PIRP Irp, PVOID Buffer, ULONG Length, LOCK_OPERATION Operation)
{
    PMDL Mdl;

    if (Length == 0) {
        return STATUS_SUCCESS;
    }
    Mdl = IoAllocateMdl(Buffer, Length, FALSE, FALSE, Irp);
    return Mdl == NULL ? STATUS_INSUFFICIENT_RESOURCES : IoLockPages(Mdl, Irp->RequestorMode, Operation);
}

NTSTATUS
IopPrepareControl(PIRP Irp, UCHAR MajorFunction, const IO_CONTROL *Control)
{
    PIO_STACK_LOCATION Location = IoGetNextIrpStackLocation(Irp);
    ULONG Method = METHOD_FROM_CTL_CODE(Control->Code);
    NTSTATUS Status;

    Location->MajorFunction = MajorFunction;
    Location->Parameters.DeviceIoControl.IoControlCode = Control->Code;
    Location->Parameters.DeviceIoControl.InputBufferLength = Control->InputLength;
    Location->Parameters.DeviceIoControl.OutputBufferLength = Control->OutputLength;
    if (Method == METHOD_NEITHER) {
        Location->Parameters.DeviceIoControl.Type3InputBuffer = Control->Input;
        Irp->UserBuffer = Control->Output;
        return STATUS_SUCCESS;
    }
    if (Method == METHOD_BUFFERED) {
        return IopPrepareBuffer(Irp, MAX(Control->InputLength, Control->OutputLength), Control->Input,
                                Control->InputLength, Control->Output, Control->OutputLength);
    }
    Status = IopPrepareBuffer(Irp, Control->InputLength, Control->Input, Control->InputLength, Control->Output, 0);
    if (NT_SUCCESS(Status)) {
        Status = IopLockBuffer(Irp, Control->Output, Control->OutputLength,
                               Method == METHOD_IN_DIRECT ? IoReadAccess : IoWriteAccess);
    }
    return Status;
}

NTSTATUS
IopPrepareTransfer(PIRP Irp, PDEVICE_OBJECT DeviceObject, BOOLEAN Write, PVOID Buffer, ULONG Length)
{
    Irp->Flags |= Write ? IRP_WRITE_OPERATION : IRP_READ_OPERATION;
    if ((DeviceObject->Flags & DO_BUFFERED_IO) != 0) {
        return Write ? IopPrepareBuffer(Irp, Length, Buffer, Length, Buffer, 0)
                     : IopPrepareBuffer(Irp, Length, NULL, 0, Buffer, Length);
    }
    if ((DeviceObject->Flags & DO_DIRECT_IO) != 0) {
        return IopLockBuffer(Irp, Buffer, Length, Write ? IoReadAccess : IoWriteAccess);
    }
    Irp->UserBuffer = Buffer;
    return STATUS_SUCCESS;
}

static PIRP
IopDropUnsent(PIRP Irp)
{
    IopDropRequest(Irp);
    return NULL;
}

/* --- Services ------------------------------------------------------------------------------------------- */

/*
 * A device control request for DeviceObject, to be sent by IoCallDriver; at completion, in this thread, the output is copied,
 * *IoStatusBlock filled, Event set, and the IRP freed: never by the caller. A failure that IoCallDriver returns at once
 * is in neither. InternalDeviceIoControl:
 * IRP_MJ_INTERNAL_DEVICE_CONTROL. NULL without memory or if a buffer cannot be locked. PASSIVE_LEVEL.
 */
PIRP NTAPI
IoBuildDeviceIoControlRequest(ULONG IoControlCode, PDEVICE_OBJECT DeviceObject, PVOID InputBuffer,
                              ULONG InputBufferLength, PVOID OutputBuffer, ULONG OutputBufferLength,
                              BOOLEAN InternalDeviceIoControl, PKEVENT Event, PIO_STATUS_BLOCK IoStatusBlock)
{
    IO_CONTROL Control = {IoControlCode, InputBuffer, InputBufferLength, OutputBuffer, OutputBufferLength};
    PIRP Irp = IopAllocateIrp(DeviceObject->StackSize, IOP_IRP_OWNED);

    if (Irp == NULL) {
        return NULL;
    }
    if (!NT_SUCCESS(IopPrepareControl(
            Irp, InternalDeviceIoControl ? IRP_MJ_INTERNAL_DEVICE_CONTROL : IRP_MJ_DEVICE_CONTROL, &Control))) {
        return IopDropUnsent(Irp);
    }
    Irp->UserIosb = IoStatusBlock;
    Irp->UserEvent = Event;
    IopQueueToThread(Irp);
    return Irp;
}
NTEXPORT(IoBuildDeviceIoControlRequest);

/*
 * A request of MajorFunction (read, write, flush, shutdown, PnP) for DeviceObject. The caller's completion routine
 * takes it back with STATUS_MORE_PROCESSING_REQUIRED, unlocks and frees its MDL, and frees it. *IoStatusBlock is filled
 * only if nobody takes it. NULL without memory or if the buffer cannot be locked. IRQL <= APC_LEVEL.
 */
PIRP NTAPI
IoBuildAsynchronousFsdRequest(ULONG MajorFunction, PDEVICE_OBJECT DeviceObject, PVOID Buffer, ULONG Length,
                              PLARGE_INTEGER StartingOffset, PIO_STATUS_BLOCK IoStatusBlock)
{
    PIRP Irp = IopAllocateIrp(DeviceObject->StackSize, 0);
    PIO_STACK_LOCATION Location;

    if (Irp == NULL) {
        return NULL;
    }
    Irp->Tail.Overlay.Thread = (PETHREAD)KiCurrentThread();
    Location = IoGetNextIrpStackLocation(Irp);
    Location->MajorFunction = (UCHAR)MajorFunction;
    if (MajorFunction == IRP_MJ_READ || MajorFunction == IRP_MJ_WRITE) {
        /* Read and Write have the same shape. */
        Location->Parameters.Read.Length = Length;
        Location->Parameters.Read.ByteOffset.QuadPart = StartingOffset == NULL ? 0 : StartingOffset->QuadPart;
        if (!NT_SUCCESS(IopPrepareTransfer(Irp, DeviceObject, MajorFunction == IRP_MJ_WRITE, Buffer, Length))) {
            return IopDropUnsent(Irp);
        }
    }
    Irp->UserIosb = IoStatusBlock;
    return Irp;
}
NTEXPORT(IoBuildAsynchronousFsdRequest);

/* The same, but the IRP is freed at completion, never by the caller, and Event is set. PASSIVE_LEVEL. */
PIRP NTAPI
IoBuildSynchronousFsdRequest(ULONG MajorFunction, PDEVICE_OBJECT DeviceObject, PVOID Buffer, ULONG Length,
                             PLARGE_INTEGER StartingOffset, PKEVENT Event, PIO_STATUS_BLOCK IoStatusBlock)
{
    PIRP Irp =
        IoBuildAsynchronousFsdRequest(MajorFunction, DeviceObject, Buffer, Length, StartingOffset, IoStatusBlock);

    if (Irp != NULL) {
        Irp->AllocationFlags |= IOP_IRP_OWNED;
        Irp->UserEvent = Event;
        IopQueueToThread(Irp);
    }
    return Irp;
}
NTEXPORT(IoBuildSynchronousFsdRequest);

/* --- Completion routines with a reference ------------------------------------------------------------------ */

typedef struct _IOP_COMPLETION {
    PDEVICE_OBJECT DeviceObject;
    PIO_COMPLETION_ROUTINE Routine;
    PVOID Context;
} IOP_COMPLETION, *PIOP_COMPLETION;

static NTSTATUS NTAPI
IopReferencedCompletion(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context)
{
    IOP_COMPLETION Completion = *(PIOP_COMPLETION)Context;
    NTSTATUS Status;

    ExFreePoolWithTag(Context, IOP_CONTEXT_TAG);
    Status = (NTSTATUS)KiCallRoutine((PVOID)(ULONG_PTR)Completion.Routine, (ULONG_PTR)DeviceObject, (ULONG_PTR)Irp,
                                     (ULONG_PTR)Completion.Context, 0);
    ObfDereferenceObject(Completion.DeviceObject);
    return Status;
}

/*
 * IoSetCompletionRoutine with a reference to the caller's DeviceObject that lasts until the routine has returned. The
 * routine must be called in every case, so that the reference is given back. STATUS_INSUFFICIENT_RESOURCES. IRQL <=
 * DISPATCH_LEVEL.
 */
NTSTATUS NTAPI
IoSetCompletionRoutineEx(PDEVICE_OBJECT DeviceObject, PIRP Irp, PIO_COMPLETION_ROUTINE CompletionRoutine, PVOID Context,
                         BOOLEAN InvokeOnSuccess, BOOLEAN InvokeOnError, BOOLEAN InvokeOnCancel)
{
    PIOP_COMPLETION Completion = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*Completion), IOP_CONTEXT_TAG);

    if (Completion == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    ObfReferenceObject(DeviceObject);
    Completion->DeviceObject = DeviceObject;
    Completion->Routine = CompletionRoutine;
    Completion->Context = Context;
    IoSetCompletionRoutine(Irp, IopReferencedCompletion, Completion, InvokeOnSuccess, InvokeOnError, InvokeOnCancel);
    return STATUS_SUCCESS;
}
NTEXPORT(IoSetCompletionRoutineEx);
