/*
 * I/O request packets: their memory, their way down and up a stack of devices.
 *
 *     location  StackCount+1  StackCount  ...  1
 *                   |             ^        ^
 *     IoAllocateIrp +--IofCallDriver-------+      each call goes one location down and into a dispatch routine
 *                   <--IofCompleteRequest--+      each completed location is cleared, its routine called
 *     StackCount+2: completed; completing again is bug check 0x44
 *
 * What is left at the top is the sender's: bytes are copied to its buffer, MDLs unlocked and freed, the status stored,
 * its event set, the packet freed (unless it WAITs). That needs memory that may be paged, so above APC_LEVEL it is left
 * to a worker; the packet's tail holds the work item.
 *
 * Breaches of the I/O verifier's rules are bug check 0xC9. Document: "Handling IRPs".
 */
#include "iop.h"
#include <ke/finding.h>
#include <rtl/rtl.h>

#define IOP_IRP_TAG 0x20707249u /* "Irp " */
#define IOP_PATIENCE 10000      /* ms that a request of the core's own may take, and then its cancellation */

/* --- Memory --------------------------------------------------------------------------------------------- */

/*
 * Make an IRP of PacketSize bytes in storage of the caller's: all zero, no location in use. Not for packets from
 * IoAllocateIrp, which are. Any IRQL.
 */
VOID NTAPI
IoInitializeIrp(PIRP Irp, USHORT PacketSize, CCHAR StackSize)
{
    RtlZeroMemory(Irp, PacketSize);
    Irp->Type = IO_TYPE_IRP;
    Irp->Size = PacketSize;
    Irp->StackCount = StackSize;
    Irp->CurrentLocation = (CHAR)(StackSize + 1);
    Irp->Tail.Overlay.CurrentStackLocation = (PIO_STACK_LOCATION)(Irp + 1) + StackSize;
    InitializeListHead(&Irp->ThreadListEntry);
}
NTEXPORT(IoInitializeIrp);

PIRP
IopAllocateIrp(CCHAR StackSize, UCHAR Flags)
{
    USHORT Size = IoSizeOfIrp(StackSize);
    PIRP Irp;

    if (StackSize <= 0 || StackSize == 127) {
        return NULL;
    }
    Irp = ExAllocatePool2(POOL_FLAG_NON_PAGED, Size + sizeof(IOP_IRP_TAIL), IOP_IRP_TAG);
    if (Irp != NULL) {
        IoInitializeIrp(Irp, Size, StackSize);
        Irp->AllocationFlags = IOP_IRP_ALLOCATED | Flags;
        Irp->Tail.Overlay.Thread = (PETHREAD)KiCurrentThread();
        KeInitializeEvent(&IopTailOf(Irp)->Completed, NotificationEvent, FALSE);
    }
    return Irp;
}

VOID
IopFreeIrp(PIRP Irp)
{
    Irp->Type = 0;
    ExFreePoolWithTag(Irp, IOP_IRP_TAG);
}

/*
 * An IRP with StackSize locations (1 to 126), the caller's to free; NULL without memory. ChargeQuota has no effect:
 * system threads are charged nothing. IRQL <= DISPATCH_LEVEL.
 */
PIRP NTAPI
IoAllocateIrp(CCHAR StackSize, BOOLEAN ChargeQuota)
{
    UNREFERENCED_PARAMETER(ChargeQuota);
    return IopAllocateIrp(StackSize, 0);
}
NTEXPORT(IoAllocateIrp);

/* Free an IRP from IoAllocateIrp or IoBuildAsynchronousFsdRequest. Something else: bug check 0xC9 (1), one that will be
 * freed at completion: 0xC9 (2). IRQL <= DISPATCH_LEVEL. */
VOID NTAPI
IoFreeIrp(PIRP Irp)
{
    if (Irp->Type != IO_TYPE_IRP) {
        IopVerifierStop(1, (ULONG_PTR)Irp, 0, 0);
    }
    if ((Irp->AllocationFlags & IOP_IRP_OWNED) != 0) {
        IopVerifierStop(2, (ULONG_PTR)Irp, 0, 0);
    }
    if ((Irp->AllocationFlags & IOP_IRP_ALLOCATED) != 0) {
        IopFreeIrp(Irp);
    }
}
NTEXPORT(IoFreeIrp);

/* Make an IRP of the caller's as new, with Iostatus in it. IRQL <= DISPATCH_LEVEL. */
VOID NTAPI
IoReuseIrp(PIRP Irp, NTSTATUS Iostatus)
{
    UCHAR Flags = Irp->AllocationFlags;

    if (Irp->Type != IO_TYPE_IRP) {
        IopVerifierStop(1, (ULONG_PTR)Irp, 0, 0);
    }
    IoInitializeIrp(Irp, Irp->Size, Irp->StackCount);
    Irp->AllocationFlags = Flags;
    Irp->Tail.Overlay.Thread = (PETHREAD)KiCurrentThread();
    Irp->IoStatus.Status = Iostatus;
}
NTEXPORT(IoReuseIrp);

/* The bytes of an IRP with StackSize locations. Any IRQL. */
#undef IoSizeOfIrp
USHORT NTAPI IoSizeOfIrp(CCHAR StackSize);

USHORT NTAPI
IoSizeOfIrp(CCHAR StackSize)
{
    return (USHORT)(sizeof(IRP) + (USHORT)StackSize * sizeof(IO_STACK_LOCATION));
}
NTEXPORT(IoSizeOfIrp);

/* An IRP that is part of another: when all IrpCount parts are completed, so is the master. NULL without memory. IRQL <=
 * DISPATCH_LEVEL. */
PIRP NTAPI IoMakeAssociatedIrp(PIRP Irp, CCHAR StackSize);

PIRP NTAPI
IoMakeAssociatedIrp(PIRP Irp, CCHAR StackSize)
{
    PIRP Part = IopAllocateIrp(StackSize, 0);

    if (Part != NULL) {
        Part->Flags |= IRP_ASSOCIATED_IRP;
        Part->AssociatedIrp.MasterIrp = Irp;
        Part->Tail.Overlay.Thread = Irp->Tail.Overlay.Thread;
    }
    return Part;
}
NTEXPORT(IoMakeAssociatedIrp);

/* --- Down ----------------------------------------------------------------------------------------------- */

static VOID
IopCheckCall(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    if (HalGetIrql() > DISPATCH_LEVEL) {
        IopVerifierStop(0x10, HalGetIrql(), 0, 0);
    }
    if (Irp->Type != IO_TYPE_IRP) {
        IopVerifierStop(3, (ULONG_PTR)Irp, 0, 0);
    }
    if (DeviceObject == NULL || DeviceObject->Type != IO_TYPE_DEVICE || DeviceObject->DriverObject == NULL) {
        IopVerifierStop(4, (ULONG_PTR)DeviceObject, 0, 0);
    }
}

/*
 * Send Irp, whose next location is filled, to the driver of DeviceObject; returns what its dispatch routine does. The
 * IRP is not the caller's any more. No location left: bug check 0x35; 0xC9 for an IRP or device that is none (3, 4), and
 * for a dispatch routine that changes the IRQL (5). IRQL <= DISPATCH_LEVEL.
 */
NTSTATUS NTAPI
IofCallDriver(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    KIRQL Irql = HalGetIrql();
    PIO_STACK_LOCATION Location;
    PDRIVER_DISPATCH Dispatch;
    NTSTATUS Status;

    IopCheckCall(DeviceObject, Irp);
    if (Irp->CurrentLocation <= 1) {
        KeBugCheckEx(NO_MORE_IRP_STACK_LOCATIONS, (ULONG_PTR)Irp, 0, 0, 0);
    }
    IoSetNextIrpStackLocation(Irp);
    Location = IoGetCurrentIrpStackLocation(Irp);
    Location->DeviceObject = DeviceObject;
    Dispatch = Location->MajorFunction <= IRP_MJ_MAXIMUM_FUNCTION
                   ? DeviceObject->DriverObject->MajorFunction[Location->MajorFunction] : NULL;
    if (Dispatch == NULL) {
        Irp->IoStatus.Status = STATUS_INVALID_DEVICE_REQUEST;
        Irp->IoStatus.Information = 0;
        IofCompleteRequest(Irp, IO_NO_INCREMENT);
        return STATUS_INVALID_DEVICE_REQUEST;
    }
    Status = (NTSTATUS)KiCallRoutine((PVOID)(ULONG_PTR)Dispatch, (ULONG_PTR)DeviceObject, (ULONG_PTR)Irp, 0, 0);
    if (HalGetIrql() != Irql) {
        IopVerifierStop(5, (ULONG_PTR)DeviceObject, Irql, HalGetIrql());
    }
    return Status;
}
NTEXPORT(IofCallDriver);
NTEXPORT_AS("IoCallDriver", IofCallDriver);
NTEXPORT_AS("PoCallDriver", IofCallDriver);

/* --- The top -------------------------------------------------------------------------------------------- */

VOID
IopUndoBuffers(PIRP Irp)
{
    PMDL Next;

    for (PMDL Mdl = Irp->MdlAddress; Mdl != NULL; Mdl = Next) {
        Next = Mdl->Next;
        if ((Mdl->MdlFlags & MDL_PAGES_LOCKED) != 0) {
            MmUnlockPages(Mdl);
        }
        IoFreeMdl(Mdl);
    }
    Irp->MdlAddress = NULL;
    if ((Irp->Flags & IRP_DEALLOCATE_BUFFER) != 0 && Irp->AssociatedIrp.SystemBuffer != NULL) {
        ExFreePool(Irp->AssociatedIrp.SystemBuffer);
        Irp->AssociatedIrp.SystemBuffer = NULL;
        Irp->Flags &= ~(ULONG)(IRP_DEALLOCATE_BUFFER | IRP_BUFFERED_IO);
    }
}

static BOOLEAN
IopHasOutput(PIRP Irp)
{
    const ULONG Wanted = IRP_BUFFERED_IO | IRP_INPUT_OPERATION;

    return (Irp->Flags & Wanted) == Wanted && !NT_ERROR(Irp->IoStatus.Status) && Irp->UserBuffer != NULL &&
           Irp->IoStatus.Information != 0 && (Irp->AllocationFlags & IOP_IRP_ALLOCATED) != 0;
}

/* Give the sender what is its own, at <= APC_LEVEL or if nothing paged is touched. The IRP may be gone afterwards. */
static VOID
IopFinishRequest(PIRP Irp)
{
    PKEVENT Event = Irp->UserEvent;

    if (IopHasOutput(Irp)) {
        SIZE_T Length = MIN(Irp->IoStatus.Information, IopTailOf(Irp)->OutputLength);

        RtlCopyMemory(Irp->UserBuffer, Irp->AssociatedIrp.SystemBuffer, Length);
    }
    IopUndoBuffers(Irp);
    if (Irp->UserIosb != NULL) {
        *Irp->UserIosb = Irp->IoStatus;
    }
    if ((Irp->AllocationFlags & IOP_IRP_WAITED) != 0) {
        Event = &IopTailOf(Irp)->Completed;
    } else if ((Irp->AllocationFlags & IOP_IRP_ALLOCATED) != 0) {
        IopFreeIrp(Irp);
    }
    if (Event != NULL) {
        KeSetEvent(Event, IO_NO_INCREMENT, FALSE);
    }
}

static VOID NTAPI
IopFinishWorker(PVOID Parameter)
{
    IopFinishRequest(Parameter);
}

/* One part of a master is done; the last completes it. */
static VOID
IopFinishPart(PIRP Irp)
{
    PIRP Master = Irp->AssociatedIrp.MasterIrp;
    BOOLEAN Last = __atomic_sub_fetch(&Master->AssociatedIrp.IrpCount, 1, __ATOMIC_ACQ_REL) == 0;

    Irp->AssociatedIrp.MasterIrp = NULL;
    IopUndoBuffers(Irp);
    if ((Irp->AllocationFlags & IOP_IRP_ALLOCATED) != 0) {
        IopFreeIrp(Irp);
    }
    if (Last) {
        IofCompleteRequest(Master, IO_NO_INCREMENT);
    }
}

static VOID
IopReachTop(PIRP Irp)
{
    if ((Irp->Flags & IRP_ASSOCIATED_IRP) != 0) {
        IopFinishPart(Irp);
    } else if (HalGetIrql() > APC_LEVEL && (IopHasOutput(Irp) || Irp->UserIosb != NULL)) {
        PWORK_QUEUE_ITEM Item = (PWORK_QUEUE_ITEM)(PVOID)&Irp->Tail;

        _Static_assert(sizeof(WORK_QUEUE_ITEM) <= sizeof(Irp->Tail), "the work item lies in the tail");
        ExInitializeWorkItem(Item, IopFinishWorker, Irp);
        ExQueueWorkItem(Item, CriticalWorkQueue);
    } else {
        IopFinishRequest(Irp);
    }
}

/* --- Up ------------------------------------------------------------------------------------------------- */

static VOID
IopCheckCompletion(PIRP Irp)
{
    if (Irp->Type != IO_TYPE_IRP || Irp->CurrentLocation > Irp->StackCount + 1) {
        KeBugCheckEx(MULTIPLE_IRP_COMPLETE_REQUESTS, (ULONG_PTR)Irp, 0, 0, 0);
    }
    if (Irp->IoStatus.Status == STATUS_PENDING || Irp->IoStatus.Status == -1) {
        IopVerifierStop(6, (ULONG_PTR)(LONG_PTR)Irp->IoStatus.Status, (ULONG_PTR)Irp, 0);
    }
    if (Irp->CancelRoutine != NULL) {
        IopVerifierStop(7, (ULONG_PTR)Irp->CancelRoutine, (ULONG_PTR)Irp, 0);
    }
}

/* Does the completed location want its routine called? */
static BOOLEAN
IopWantsCall(PIRP Irp, UCHAR Control)
{
    return (NT_SUCCESS(Irp->IoStatus.Status) && (Control & SL_INVOKE_ON_SUCCESS) != 0) ||
           (!NT_SUCCESS(Irp->IoStatus.Status) && (Control & SL_INVOKE_ON_ERROR) != 0) ||
           (Irp->Cancel && (Control & SL_INVOKE_ON_CANCEL) != 0);
}

/* Leave the current location: call the routine that the driver above set. FALSE: that driver has the IRP now. */
static BOOLEAN
IopCompleteLocation(PIRP Irp)
{
    PIO_STACK_LOCATION Done = IoGetCurrentIrpStackLocation(Irp);
    PIO_COMPLETION_ROUTINE Routine = Done->CompletionRoutine;
    PVOID Context = Done->Context;
    UCHAR Control = Done->Control;
    PDEVICE_OBJECT Above;

    Irp->PendingReturned = (Control & SL_PENDING_RETURNED) != 0;
    IoSkipCurrentIrpStackLocation(Irp);
    Above = Irp->CurrentLocation > Irp->StackCount ? NULL : IoGetCurrentIrpStackLocation(Irp)->DeviceObject;
    Done->Control = 0;
    Done->CompletionRoutine = NULL;
    Done->Context = NULL;
    if (Routine != NULL && IopWantsCall(Irp, Control)) {
        return (NTSTATUS)KiCallRoutine((PVOID)(ULONG_PTR)Routine, (ULONG_PTR)Above, (ULONG_PTR)Irp, (ULONG_PTR)Context,
                                       0) != STATUS_MORE_PROCESSING_REQUIRED;
    }
    if (Irp->PendingReturned && Irp->CurrentLocation <= Irp->StackCount) {
        IoMarkIrpPending(Irp);
    }
    return TRUE;
}

/*
 * Complete an IRP whose IoStatus is set: the routines of the drivers above are called, from below, until one says
 * STATUS_MORE_PROCESSING_REQUIRED; then the sender gets what it asked for. The IRP is not the caller's any more.
 * Completed already: bug check 0x44; with STATUS_PENDING: 0xC9 (6); with its cancel routine still set: 0xC9 (7). IRQL
 * <= DISPATCH_LEVEL.
 */
VOID NTAPI
IofCompleteRequest(PIRP Irp, CCHAR PriorityBoost)
{
    UNREFERENCED_PARAMETER(PriorityBoost);
    IopCheckCompletion(Irp);
    while (Irp->CurrentLocation <= Irp->StackCount) {
        if (!IopCompleteLocation(Irp)) {
            return;
        }
    }
    Irp->CurrentLocation = (CHAR)(Irp->StackCount + 2);
    IopReachTop(Irp);
}
NTEXPORT(IofCompleteRequest);
NTEXPORT_AS("IoCompleteRequest", IofCompleteRequest);

/* --- Requests that the core waits for ---------------------------------------------------------------------- */

BOOLEAN
IoWaitForRequest(PIRP Irp, ULONG Milliseconds)
{
    LARGE_INTEGER Timeout = {.QuadPart = -(LONG64)Milliseconds * 10000};

    return KeWaitForSingleObject(&IopTailOf(Irp)->Completed, Executive, KernelMode, FALSE, &Timeout) == STATUS_SUCCESS;
}

VOID
IoEndRequest(PIRP Irp)
{
    IopFreeIrp(Irp);
}

static VOID
IopReportLost(PDEVICE_OBJECT DeviceObject, UCHAR MajorFunction)
{
    KI_FINDING Finding = {.Rule = "request-not-completed", .Address = (ULONG64)DeviceObject};

    RtlpPrintBuffer(Finding.Text, sizeof(Finding.Text), "a request of major function 0x%02X was never completed",
                    MajorFunction);
    KiReportFinding(&Finding);
}

NTSTATUS
IopCallAndWait(PDEVICE_OBJECT DeviceObject, PIRP Irp, PIO_STATUS_BLOCK Iosb)
{
    UCHAR MajorFunction = IoGetNextIrpStackLocation(Irp)->MajorFunction;
    NTSTATUS Status;

    IofCallDriver(DeviceObject, Irp);
    if (!IoWaitForRequest(Irp, IOP_PATIENCE)) {
        IoCancelIrp(Irp);
        if (!IoWaitForRequest(Irp, IOP_PATIENCE)) {
            IopReportLost(DeviceObject, MajorFunction);
            return STATUS_IO_TIMEOUT;
        }
    }
    Status = Irp->IoStatus.Status;
    if (Iosb != NULL) {
        *Iosb = Irp->IoStatus;
    }
    IopFreeIrp(Irp);
    return Status;
}
