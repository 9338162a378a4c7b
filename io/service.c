/*
 * The common part of services that send a request through a file handle; see service.h.
 *
 * A synchronous file (FO_SYNCHRONOUS_IO) has one request at a time: its Lock event is taken for as long as
 * the service lasts. References: the service holds the file and the top of its stack; the request holds the
 * file and the caller's event for itself, until it is finished.
 *
 * Document: "Handling IRPs", "Synchronous and Asynchronous I/O".
 */
#include "service.h"
#include <ke/user.h>

static VOID
IopLockFile(PIOP_SERVICE Service)
{
    if ((Service->File->Flags & FO_SYNCHRONOUS_IO) != 0) {
        KeWaitForSingleObject(&Service->File->Lock, Executive, KernelMode, FALSE, NULL);
        Service->File->Busy = TRUE;
        Service->Locked = TRUE;
    }
}

static NTSTATUS
IopReferenceEvent(HANDLE Handle, PIOP_SERVICE Service)
{
    PVOID Object;
    NTSTATUS Status = ObReferenceObjectByHandle(Handle, EVENT_MODIFY_STATE, ExEventObjectType, Service->Mode,
                                                &Object, NULL);

    if (NT_SUCCESS(Status)) {
        Service->Event = Object;
        KeClearEvent(Service->Event);
    }
    return Status;
}

NTSTATUS
IopBeginFile(const IOP_ARGUMENTS *Arguments, PIOP_SERVICE Service)
{
    OBJECT_HANDLE_INFORMATION Information;
    PVOID Object;
    NTSTATUS Status;

    ObRequirePassive();
    *Service = (IOP_SERVICE){.Mode = KiPreviousMode()};
    Status = KiProbeResult(Arguments->IoStatusBlock, sizeof(IO_STATUS_BLOCK), Service->Mode);
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Status = ObReferenceObjectByHandle(Arguments->FileHandle, 0, IoFileObjectType, Service->Mode, &Object,
                                       &Information);
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Service->File = Object;
    Service->Granted = Information.GrantedAccess;
    if (Service->Mode != KernelMode && Arguments->Wanted != 0 &&
        (Service->Granted & Arguments->Wanted) == 0) {
        return IopFailService(Service, STATUS_ACCESS_DENIED);
    }
    if (Arguments->Event != NULL) {
        Status = IopReferenceEvent(Arguments->Event, Service);
        if (!NT_SUCCESS(Status)) {
            return IopFailService(Service, Status);
        }
    }
    IopLockFile(Service);
    Service->Top = IoGetAttachedDeviceReference(Service->File->DeviceObject);
    return STATUS_SUCCESS;
}

NTSTATUS
IopBeginService(const IOP_ARGUMENTS *Arguments, UCHAR MajorFunction, PIOP_SERVICE Service)
{
    NTSTATUS Status = IopBeginFile(Arguments, Service);
    PIOP_IRP_TAIL Tail;
    PIRP Irp;

    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Irp = IopMakeFileIrp(Service->File, Service->Top, MajorFunction, 0);
    if (Irp == NULL) {
        return IopFailService(Service, STATUS_INSUFFICIENT_RESOURCES);
    }
    ObfReferenceObject(Service->File);
    Tail = IopTailOf(Irp);
    Tail->File = Service->File;
    Tail->Event = Service->Event;
    Tail->ApcRoutine = Arguments->ApcRoutine;
    Tail->ApcContext = Arguments->ApcContext;
    Irp->RequestorMode = Service->Mode;
    Irp->Flags |= Service->Locked ? IRP_SYNCHRONOUS_API : 0;
    Irp->UserIosb = Arguments->IoStatusBlock;
    Irp->UserEvent = Service->Event;
    Irp->Overlay.AsynchronousParameters.UserApcRoutine = Arguments->ApcRoutine;
    Irp->Overlay.AsynchronousParameters.UserApcContext = Arguments->ApcContext;
    Service->Event = NULL;
    Service->Irp = Irp;
    KeClearEvent(&Service->File->Event);
    return STATUS_SUCCESS;
}

/* Unlock the file and give references back. */
static VOID
IopEndService(PIOP_SERVICE Service)
{
    if (Service->Locked) {
        Service->File->Busy = FALSE;
        KeSetEvent(&Service->File->Lock, IO_NO_INCREMENT, FALSE);
    }
    if (Service->Event != NULL) {
        ObfDereferenceObject(Service->Event);
    }
    if (Service->Top != NULL) {
        ObfDereferenceObject(Service->Top);
    }
    ObfDereferenceObject(Service->File);
}

NTSTATUS
IopFailService(PIOP_SERVICE Service, NTSTATUS Status)
{
    if (Service->Irp != NULL) {
        IopDropRequest(Service->Irp);
    }
    IopEndService(Service);
    return Status;
}

NTSTATUS
IopSendService(PIOP_SERVICE Service)
{
    PIOP_FILE File = CONTAINING_RECORD(Service->File, IOP_FILE, Object);
    KIRQL OldIrql = IopAcquireLock();
    NTSTATUS Status;

    InsertTailList(&File->Requests, &IopTailOf(Service->Irp)->FileLinks);
    IopReleaseLock(OldIrql);
    IopQueueToThread(Service->Irp);
    Status = IofCallDriver(Service->Top, Service->Irp);
    if (Status == STATUS_PENDING && Service->Locked) {
        KeWaitForSingleObject(&Service->File->Event, Executive, KernelMode, FALSE, NULL);
        Status = Service->File->FinalStatus;
    }
    IopEndService(Service);
    return Status;
}
