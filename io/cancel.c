/*
 * Cancelling requests, and queues from which they can be cancelled safely.
 *
 * A cancel routine is taken out of the IRP by exactly one: IoCancelIrp, which then calls it with the cancel spin lock
 * held (the routine releases it), or whoever wants to complete the IRP, by IoSetCancelRoutine(NULL). A cancel-safe queue
 * does that for a driver: its own cancel routine removes the IRP under the driver's lock and hands it over for completion.
 * Tail.Overlay.DriverContext[3] of a queued IRP points to the queue or to the caller's context.
 *
 * Document: "Canceling IRPs", "Cancel-Safe IRP Queues".
 */
#include "iop.h"

static KSPIN_LOCK IopCancelLock;

/* Take the system's one lock for cancelling; *Irql goes to the release. IRQL <= DISPATCH_LEVEL. */
VOID NTAPI
IoAcquireCancelSpinLock(PKIRQL Irql)
{
    KeAcquireSpinLock(&IopCancelLock, Irql);
}
NTEXPORT(IoAcquireCancelSpinLock);

VOID NTAPI
IoReleaseCancelSpinLock(KIRQL Irql)
{
    KeReleaseSpinLock(&IopCancelLock, Irql);
}
NTEXPORT(IoReleaseCancelSpinLock);

/*
 * Mark the IRP as cancelled and call its cancel routine, if it has one: TRUE then. A cancel routine in an IRP that has
 * been completed is bug check 0x48. IRQL <= DISPATCH_LEVEL.
 */
BOOLEAN NTAPI
IoCancelIrp(PIRP Irp)
{
    PDRIVER_CANCEL Routine;
    KIRQL OldIrql;

    IoAcquireCancelSpinLock(&OldIrql);
    Irp->Cancel = TRUE;
    Routine = IoSetCancelRoutine(Irp, NULL);
    if (Routine == NULL) {
        IoReleaseCancelSpinLock(OldIrql);
        return FALSE;
    }
    if (Irp->CurrentLocation > Irp->StackCount + 1) {
        KeBugCheckEx(CANCEL_STATE_IN_COMPLETED_IRP, (ULONG_PTR)Irp, (ULONG_PTR)Routine, 0, 0);
    }
    Irp->CancelIrql = OldIrql;
    KiCallRoutine((PVOID)(ULONG_PTR)Routine,
                  Irp->CurrentLocation > Irp->StackCount ? 0 : (ULONG_PTR)IoGetCurrentIrpStackLocation(Irp)->DeviceObject,
                  (ULONG_PTR)Irp, 0, 0);
    return TRUE;
}
NTEXPORT(IoCancelIrp);

/* --- The driver's callbacks ------------------------------------------------------------------------------ */

static KIRQL
IopLockCsq(PIO_CSQ Csq)
{
    KIRQL Irql = PASSIVE_LEVEL;

    KiCallRoutine((PVOID)(ULONG_PTR)Csq->CsqAcquireLock, (ULONG_PTR)Csq, (ULONG_PTR)&Irql, 0, 0);
    return Irql;
}

static VOID
IopUnlockCsq(PIO_CSQ Csq, KIRQL Irql)
{
    KiCallRoutine((PVOID)(ULONG_PTR)Csq->CsqReleaseLock, (ULONG_PTR)Csq, Irql, 0, 0);
}

/* Take an IRP out of the queue and out of its context. The lock is held. */
static VOID
IopRemoveFromCsq(PIO_CSQ Csq, PIRP Irp)
{
    PIO_CSQ_IRP_CONTEXT Context = Irp->Tail.Overlay.DriverContext[3];

    KiCallRoutine((PVOID)(ULONG_PTR)Csq->CsqRemoveIrp, (ULONG_PTR)Csq, (ULONG_PTR)Irp, 0, 0);
    if (Context->Type == IO_TYPE_CSQ_IRP_CONTEXT) {
        Context->Irp = NULL;
    }
    Irp->Tail.Overlay.DriverContext[3] = NULL;
}

static PIRP
IopPeekCsq(PIO_CSQ Csq, PIRP Irp, PVOID PeekContext)
{
    return (PIRP)KiCallRoutine((PVOID)(ULONG_PTR)Csq->CsqPeekNextIrp, (ULONG_PTR)Csq, (ULONG_PTR)Irp,
                               (ULONG_PTR)PeekContext, 0);
}

static VOID
IopCompleteCancelled(PIO_CSQ Csq, PIRP Irp)
{
    KiCallRoutine((PVOID)(ULONG_PTR)Csq->CsqCompleteCanceledIrp, (ULONG_PTR)Csq, (ULONG_PTR)Irp, 0, 0);
}

static VOID NTAPI
IopCancelCsq(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    PIO_CSQ Csq = Irp->Tail.Overlay.DriverContext[3];
    KIRQL Irql;

    UNREFERENCED_PARAMETER(DeviceObject);
    IoReleaseCancelSpinLock(Irp->CancelIrql);
    if (Csq->Type == IO_TYPE_CSQ_IRP_CONTEXT) {
        Csq = ((PIO_CSQ_IRP_CONTEXT)(PVOID)Csq)->Csq;
    }
    Irql = IopLockCsq(Csq);
    IopRemoveFromCsq(Csq, Irp);
    IopUnlockCsq(Csq, Irql);
    IopCompleteCancelled(Csq, Irp);
}

/* --- Services ------------------------------------------------------------------------------------------- */

/* Make a queue of the driver's callbacks. STATUS_SUCCESS. Any IRQL. */
NTSTATUS NTAPI
IoCsqInitialize(PIO_CSQ Csq, PIO_CSQ_INSERT_IRP CsqInsertIrp, PIO_CSQ_REMOVE_IRP CsqRemoveIrp,
                PIO_CSQ_PEEK_NEXT_IRP CsqPeekNextIrp, PIO_CSQ_ACQUIRE_LOCK CsqAcquireLock,
                PIO_CSQ_RELEASE_LOCK CsqReleaseLock, PIO_CSQ_COMPLETE_CANCELED_IRP CsqCompleteCanceledIrp)
{
    *Csq = (IO_CSQ){IO_TYPE_CSQ,    CsqInsertIrp,   CsqRemoveIrp,           CsqPeekNextIrp,
                    CsqAcquireLock, CsqReleaseLock, CsqCompleteCanceledIrp, NULL};
    return STATUS_SUCCESS;
}
NTEXPORT(IoCsqInitialize);

/* The same with an insertion routine that may refuse an IRP. */
NTSTATUS NTAPI
IoCsqInitializeEx(PIO_CSQ Csq, PIO_CSQ_INSERT_IRP_EX CsqInsertIrp, PIO_CSQ_REMOVE_IRP CsqRemoveIrp,
                  PIO_CSQ_PEEK_NEXT_IRP CsqPeekNextIrp, PIO_CSQ_ACQUIRE_LOCK CsqAcquireLock,
                  PIO_CSQ_RELEASE_LOCK CsqReleaseLock, PIO_CSQ_COMPLETE_CANCELED_IRP CsqCompleteCanceledIrp)
{
    IoCsqInitialize(Csq, (PIO_CSQ_INSERT_IRP)(PVOID)(ULONG_PTR)CsqInsertIrp, CsqRemoveIrp, CsqPeekNextIrp, CsqAcquireLock,
                    CsqReleaseLock, CsqCompleteCanceledIrp);
    Csq->Type = IO_TYPE_CSQ_EX;
    return STATUS_SUCCESS;
}
NTEXPORT(IoCsqInitializeEx);

/*
 * Mark the IRP pending and queue it; if it has been cancelled meanwhile it is handed to the driver for completion.
 * Context, if given, is good for IoCsqRemoveIrp. Returns what an Ex insertion routine does; the IRP is not queued and
 * not marked if that is a failure. IRQL as the driver's lock wants.
 */
NTSTATUS NTAPI
IoCsqInsertIrpEx(PIO_CSQ Csq, PIRP Irp, PIO_CSQ_IRP_CONTEXT Context, PVOID InsertContext)
{
    NTSTATUS Status;
    BOOLEAN Cancelled = FALSE;
    KIRQL Irql;

    Irp->Tail.Overlay.DriverContext[3] = Context == NULL ? (PVOID)Csq : (PVOID)Context;
    if (Context != NULL) {
        *Context = (IO_CSQ_IRP_CONTEXT){IO_TYPE_CSQ_IRP_CONTEXT, Irp, Csq};
    }
    Irql = IopLockCsq(Csq);
    Status = (NTSTATUS)KiCallRoutine((PVOID)(ULONG_PTR)Csq->CsqInsertIrp, (ULONG_PTR)Csq, (ULONG_PTR)Irp,
                                     (ULONG_PTR)InsertContext, 0);
    if (Csq->Type != IO_TYPE_CSQ_EX) {
        Status = STATUS_SUCCESS;
    }
    if (NT_SUCCESS(Status)) {
        IoMarkIrpPending(Irp);
        IoSetCancelRoutine(Irp, IopCancelCsq);
        /* Cancelled before the routine was there: whoever takes it out again completes the IRP. */
        if (Irp->Cancel && IoSetCancelRoutine(Irp, NULL) != NULL) {
            IopRemoveFromCsq(Csq, Irp);
            Cancelled = TRUE;
        }
    } else {
        Irp->Tail.Overlay.DriverContext[3] = NULL;
        if (Context != NULL) {
            Context->Irp = NULL;
        }
    }
    IopUnlockCsq(Csq, Irql);
    if (Cancelled) {
        IopCompleteCancelled(Csq, Irp);
    }
    return Status;
}
NTEXPORT(IoCsqInsertIrpEx);

/* The same for a queue whose insertion cannot fail. */
VOID NTAPI
IoCsqInsertIrp(PIO_CSQ Csq, PIRP Irp, PIO_CSQ_IRP_CONTEXT Context)
{
    (VOID)IoCsqInsertIrpEx(Csq, Irp, Context, NULL);
}
NTEXPORT(IoCsqInsertIrp);

/* Take out the next IRP that the driver's routine finds by PeekContext and that is not being cancelled; it is the
 * caller's to complete. NULL if there is none. */
PIRP NTAPI
IoCsqRemoveNextIrp(PIO_CSQ Csq, PVOID PeekContext)
{
    KIRQL Irql = IopLockCsq(Csq);
    PIRP Irp = IopPeekCsq(Csq, NULL, PeekContext);

    while (Irp != NULL && IoSetCancelRoutine(Irp, NULL) == NULL) {
        Irp = IopPeekCsq(Csq, Irp, PeekContext);
    }
    if (Irp != NULL) {
        IopRemoveFromCsq(Csq, Irp);
    }
    IopUnlockCsq(Csq, Irql);
    return Irp;
}
NTEXPORT(IoCsqRemoveNextIrp);

/* Take out the IRP of a context; NULL if it is out already or being cancelled. */
PIRP NTAPI
IoCsqRemoveIrp(PIO_CSQ Csq, PIO_CSQ_IRP_CONTEXT Context)
{
    KIRQL Irql = IopLockCsq(Csq);
    PIRP Irp = Context->Irp;

    if (Irp != NULL && IoSetCancelRoutine(Irp, NULL) == NULL) {
        Irp = NULL;
    }
    if (Irp != NULL) {
        IopRemoveFromCsq(Csq, Irp);
    }
    IopUnlockCsq(Csq, Irql);
    return Irp;
}
NTEXPORT(IoCsqRemoveIrp);
