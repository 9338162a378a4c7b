/*
 * I/O request packets: their memory, their threads, their way down a stack of devices; complete.c has the way up.
 *
 *     location  StackCount+1  StackCount  ...  1
 *                   |             ^        ^
 *     IoAllocateIrp +--IofCallDriver-------+      each call goes one location down and into a dispatch routine
 *                   <--IofCompleteRequest--+      each completed location is cleared, its routine called
 *     StackCount+2: completed; completing again is bug check 0x44
 *
 * A request that the I/O manager will free (OWNED) is on the list of the thread that it is completed in (QUEUED), so
 * that it can be cancelled when the thread ends. A driver's own packet, from IoAllocateIrp, has no thread unless the driver
 * gives it one.
 *
 * Breaches of the I/O verifier's rules are bug check 0xC9. Document: "Handling IRPs".
 */
#include "iop.h"

#define IOP_IRP_TAG 0x20707249u /* "Irp " */

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
    Irp = ExAllocatePool2(POOL_FLAG_NON_PAGED, Size + sizeof(IOP_IRP_TAIL) + (SIZE_T)StackSize * sizeof(IOP_RETURNED),
                          IOP_IRP_TAG);
    if (Irp != NULL) {
        IoInitializeIrp(Irp, Size, StackSize);
        Irp->AllocationFlags = IOP_IRP_ALLOCATED | Flags;
        IopTailOf(Irp)->Irp = Irp;
        KeInitializeEvent(&IopTailOf(Irp)->Completed, NotificationEvent, FALSE);
    }
    return Irp;
}

VOID
IopFreeIrp(PIRP Irp)
{
    IopForgetCalls(Irp);
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
 * freed at completion: 0xC9 (2), one that a driver still has: 0xC9 (0x20B). IRQL <= DISPATCH_LEVEL. */
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
        if (IopIsOnItsWay(Irp)) {
            IopVerifierStop(0x20B, IopCallerOfCore(), (ULONG_PTR)Irp, 0);
        }
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
    if ((Flags & IOP_IRP_ALLOCATED) != 0) {
        IopForgetCalls(Irp);
    }
    IoInitializeIrp(Irp, Irp->Size, Irp->StackCount);
    Irp->AllocationFlags = Flags;
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

/* --- Threads -------------------------------------------------------------------------------------------- */

VOID
IopQueueToThread(PIRP Irp)
{
    struct _KTHREAD *Thread = KiCurrentThread();
    KIRQL OldIrql;

    ObfReferenceObject(Thread->ActiveProcess);
    IopTailOf(Irp)->Process = Thread->ActiveProcess;
    OldIrql = IopAcquireLock();
    Irp->Tail.Overlay.Thread = (PETHREAD)Thread;
    Irp->AllocationFlags |= IOP_IRP_QUEUED;
    IopTailOf(Irp)->Thread = (PKTHREAD)Thread;
    InsertTailList(&Thread->IrpList, &Irp->ThreadListEntry);
    IopReleaseLock(OldIrql);
}

VOID
IopLeaveThread(PIRP Irp)
{
    KIRQL OldIrql = IopAcquireLock();

    if ((Irp->AllocationFlags & IOP_IRP_QUEUED) != 0) {
        Irp->AllocationFlags &= (UCHAR)~IOP_IRP_QUEUED;
        RemoveEntryList(&Irp->ThreadListEntry);
        InitializeListHead(&Irp->ThreadListEntry);
    }
    IopReleaseLock(OldIrql);
}

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
    if (KiVerifierOn && Irp->CancelRoutine != NULL) {
        IopVerifierStop(0x203, IopCallerOfCore(), (ULONG_PTR)Irp, 0);
    }
    if (DeviceObject == NULL || DeviceObject->Type != IO_TYPE_DEVICE || DeviceObject->DriverObject == NULL) {
        IopVerifierStop(4, (ULONG_PTR)DeviceObject, 0, 0);
    }
}

/*
 * Send Irp, whose next location is filled, to the driver of DeviceObject; returns what its dispatch routine does. The
 * IRP is not the caller's any more. No location left: bug check 0x35; 0xC9 for an IRP or device that is none (3, 4), a
 * cancel routine that is still set (0x203), a dispatch routine that changes the IRQL (5), and what verify.c finds in
 * what it returns. IRQL <= DISPATCH_LEVEL.
 */
NTSTATUS NTAPI
IofCallDriver(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    KIRQL Irql = HalGetIrql();
    PIO_STACK_LOCATION Location;
    PDRIVER_DISPATCH Dispatch;
    IOP_CALL Call;
    BOOLEAN Watched;
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
    Watched = IopBeginCall(Irp, &Call);
    Status = (NTSTATUS)KiCallRoutine((PVOID)(ULONG_PTR)Dispatch, (ULONG_PTR)DeviceObject, (ULONG_PTR)Irp, 0, 0);
    if (HalGetIrql() != Irql) {
        IopVerifierStop(5, (ULONG_PTR)DeviceObject, Irql, HalGetIrql());
    }
    if (Watched) {
        IopEndCall(Irp, &Call, Status, (ULONG_PTR)Dispatch);
    }
    return Status;
}
NTEXPORT(IofCallDriver);
NTEXPORT_AS("IoCallDriver", IofCallDriver);
NTEXPORT_AS("PoCallDriver", IofCallDriver);
