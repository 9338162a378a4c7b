/*
 * The end of requests: up the stack of devices, and what is left for the sender at the top.
 *
 *     IofCompleteRequest --> each location's completion routine --> the top
 *                                                                    |
 *          WAITED: the sender wakes, and finishes it <---------------+--> QUEUED: a special kernel APC to its
 * thread neither: here, above APC_LEVEL in a worker <--------------/         finishes it in the sender's
 * context
 *
 * To finish is to copy the output, unlock and free the MDLs, store the status, set events, queue the sender's
 * own APC, and free the packet. A thread that does not take APCs (at APC_LEVEL, in a guarded region) waits in
 * vain for its request, as the documents say. As they also say, a request that fails at once, never pending,
 * leaves status block and event alone: its sender has the status already.
 *
 * Breaches of the I/O verifier's rules are bug check 0xC9. Document: "Completing IRPs", "Disabling APCs".
 */
#include "iop.h"
#include <ke/apc.h>
#include <ke/finding.h>
#include <ke/user.h>
#include <rtl/rtl.h>

#define IOP_PATIENCE 10000 /* ms that a request of the core's own may take, and then its cancellation */

/* --- Finishing ------------------------------------------------------------------------------------------ */

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

/* Copy the output and give the buffers back. A buffer of the sender's that has gone makes the request fail.
 */
static VOID
IopReturnBuffers(PIRP Irp)
{
    if (IopHasOutput(Irp)) {
        SIZE_T Length = MIN(Irp->IoStatus.Information, IopTailOf(Irp)->OutputLength);
        NTSTATUS Status =
            KiReturnResult(Irp->UserBuffer, Irp->AssociatedIrp.SystemBuffer, Length, Irp->RequestorMode);

        if (!NT_SUCCESS(Status)) {
            Irp->IoStatus.Status = Status;
            Irp->IoStatus.Information = 0;
        }
    }
    IopUndoBuffers(Irp);
}

/* Is there something to tell the sender that it does not know from what the call returned? */
static inline BOOLEAN
IopIsNews(PIRP Irp)
{
    return !NT_ERROR(Irp->IoStatus.Status) || Irp->PendingReturned;
}

static VOID
IopSignalSender(PIRP Irp)
{
    PFILE_OBJECT File = (Irp->AllocationFlags & IOP_IRP_ALLOCATED) != 0 ? IopTailOf(Irp)->File : NULL;

    if (Irp->UserIosb != NULL) {
        /* A status block that has gone loses its status: nobody is left to be told. */
        (VOID) KiReturnResult(Irp->UserIosb, &Irp->IoStatus, sizeof(Irp->IoStatus), Irp->RequestorMode);
    }
    if (File != NULL && (Irp->UserEvent == NULL || (File->Flags & FO_SYNCHRONOUS_IO) != 0)) {
        File->FinalStatus = Irp->IoStatus.Status;
        KeSetEvent(&File->Event, IO_NO_INCREMENT, FALSE);
    }
    if (Irp->UserEvent != NULL) {
        KeSetEvent(Irp->UserEvent, IO_NO_INCREMENT, FALSE);
    }
}

static VOID
IopReleaseTail(PIRP Irp)
{
    PIOP_IRP_TAIL Tail = IopTailOf(Irp);
    KIRQL OldIrql;

    if (Tail->Event != NULL) {
        ObfDereferenceObject(Tail->Event);
        Tail->Event = NULL;
    }
    if (Tail->Process != NULL) {
        ObfDereferenceObject(Tail->Process);
        Tail->Process = NULL;
    }
    if (Tail->File != NULL) {
        OldIrql = IopAcquireLock();
        if (Tail->FileLinks.Flink != NULL) {
            RemoveEntryList(&Tail->FileLinks);
            Tail->FileLinks.Flink = NULL;
        }
        IopReleaseLock(OldIrql);
        ObfDereferenceObject(Tail->File);
        Tail->File = NULL;
    }
}

VOID
IopDropRequest(PIRP Irp)
{
    IopUndoBuffers(Irp);
    IopLeaveThread(Irp);
    IopReleaseTail(Irp);
    IopFreeIrp(Irp);
}

/* Finish a request that nobody waits for as such: at <= APC_LEVEL, or above it if nothing paged is touched.
 */
static VOID
IopFinishRequest(PIRP Irp)
{
    IopReturnBuffers(Irp);
    if (IopIsNews(Irp)) {
        IopSignalSender(Irp);
    }
    if ((Irp->AllocationFlags & IOP_IRP_ALLOCATED) != 0) {
        IopReleaseTail(Irp);
        IopFreeIrp(Irp);
    }
}

static VOID NTAPI
IopFinishWorker(PVOID Parameter)
{
    IopFinishRequest(Parameter);
}

/* --- In the sender's thread -------------------------------------------------------------------------------
 */

/* The packet in whose tail an APC lies. */
static inline PIRP
IopFromApc(PKAPC Apc)
{
    return CONTAINING_RECORD(Apc, IRP, Tail.Apc);
}

static VOID NTAPI
IopAfterApc(PKAPC Apc, PKNORMAL_ROUTINE *NormalRoutine, PVOID *NormalContext, PVOID *Argument1,
            PVOID *Argument2)
{
    UNREFERENCED_PARAMETER(NormalRoutine);
    UNREFERENCED_PARAMETER(NormalContext);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    IopFreeIrp(IopFromApc(Apc));
}

static VOID NTAPI
IopRundownApc(PKAPC Apc)
{
    IopFreeIrp(IopFromApc(Apc));
}

/* The special kernel APC of a completed request. */
static VOID NTAPI
IopFinishApc(PKAPC Apc, PKNORMAL_ROUTINE *NormalRoutine, PVOID *NormalContext, PVOID *Argument1,
             PVOID *Argument2)
{
    PIRP Irp = IopFromApc(Apc);
    PIO_APC_ROUTINE Routine = IopTailOf(Irp)->ApcRoutine;
    PKPROCESS Process;
    BOOLEAN News;

    UNREFERENCED_PARAMETER(NormalRoutine);
    UNREFERENCED_PARAMETER(NormalContext);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    IopLeaveThread(Irp);
    /* The thread may have gone to another address space meanwhile. */
    Process = KiAttachProcess(IopTailOf(Irp)->Process);
    IopReturnBuffers(Irp);
    News = IopIsNews(Irp);
    if (News) {
        IopSignalSender(Irp);
    }
    KiAttachProcess(Process);
    IopReleaseTail(Irp);
    if (News && Routine != NULL) {
        /* The packet lives on as the sender's APC. */
        KeInitializeApc(Apc, (PKTHREAD)KiCurrentThread(), CurrentApcEnvironment, IopAfterApc, IopRundownApc,
                        (PKNORMAL_ROUTINE)(ULONG_PTR)Routine, Irp->RequestorMode, IopTailOf(Irp)->ApcContext);
        if (KeInsertQueueApc(Apc, Irp->UserIosb, NULL, IO_NO_INCREMENT)) {
            return;
        }
    }
    IopFreeIrp(Irp);
}

/* The thread has ended: its memory and its wishes have too. */
static VOID NTAPI
IopRundownRequest(PKAPC Apc)
{
    IopDropRequest(IopFromApc(Apc));
}

/* --- The top -------------------------------------------------------------------------------------------- */

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
IopReachTop(PIRP Irp, CCHAR PriorityBoost)
{
    if ((Irp->Flags & IRP_ASSOCIATED_IRP) != 0) {
        IopFinishPart(Irp);
    } else if ((Irp->AllocationFlags & IOP_IRP_WAITED) != 0) {
        KeSetEvent(&IopTailOf(Irp)->Completed, IO_NO_INCREMENT, FALSE);
    } else if ((Irp->AllocationFlags & IOP_IRP_QUEUED) != 0) {
        KeInitializeApc(&Irp->Tail.Apc, (PKTHREAD)(PVOID)Irp->Tail.Overlay.Thread, OriginalApcEnvironment,
                        IopFinishApc, IopRundownRequest, NULL, KernelMode, NULL);
        if (!KeInsertQueueApc(&Irp->Tail.Apc, NULL, NULL, PriorityBoost)) {
            IopDropRequest(Irp);
        }
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
    if (HalGetIrql() > DISPATCH_LEVEL) {
        IopVerifierStop(0x0E, HalGetIrql(), (ULONG_PTR)Irp, 0);
    }
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

/* Call the completion routine that the driver above set: FALSE if that driver has the IRP now. One that lets
 * a request go on which was pending below must have said so above: else 0xC9 (0x228). */
static BOOLEAN
IopCallCompletion(PIRP Irp, PIO_COMPLETION_ROUTINE Routine, PVOID Context)
{
    BOOLEAN Above = Irp->CurrentLocation <= Irp->StackCount;
    BOOLEAN Pending = Irp->PendingReturned && Above;
    PDEVICE_OBJECT Device = Above ? IoGetCurrentIrpStackLocation(Irp)->DeviceObject : NULL;
    NTSTATUS Status = (NTSTATUS)KiCallRoutine((PVOID)(ULONG_PTR)Routine, (ULONG_PTR)Device, (ULONG_PTR)Irp,
                                              (ULONG_PTR)Context, 0);

    if (Status == STATUS_MORE_PROCESSING_REQUIRED) {
        return FALSE;
    }
    if (KiVerifierOn && Pending && (IoGetCurrentIrpStackLocation(Irp)->Control & SL_PENDING_RETURNED) == 0) {
        IopVerifierStop(0x228, (ULONG_PTR)Routine, (ULONG_PTR)Irp, 0);
    }
    return TRUE;
}

/* Leave the current location. FALSE: the driver above has the IRP now. */
static BOOLEAN
IopCompleteLocation(PIRP Irp)
{
    PIO_STACK_LOCATION Done = IoGetCurrentIrpStackLocation(Irp);
    PIO_COMPLETION_ROUTINE Routine = Done->CompletionRoutine;
    PVOID Context = Done->Context;
    UCHAR Control = Done->Control;

    Irp->PendingReturned = (Control & SL_PENDING_RETURNED) != 0;
    IopNoteCompleted(Irp, Irp->PendingReturned);
    IoSkipCurrentIrpStackLocation(Irp);
    Done->Control = 0;
    Done->CompletionRoutine = NULL;
    Done->Context = NULL;
    if (Routine != NULL && IopWantsCall(Irp, Control)) {
        return IopCallCompletion(Irp, Routine, Context);
    }
    if (Irp->PendingReturned && Irp->CurrentLocation <= Irp->StackCount) {
        IoMarkIrpPending(Irp);
    }
    return TRUE;
}

/*
 * Complete an IRP whose IoStatus is set: the routines of the drivers above are called, from below, until one
 * says STATUS_MORE_PROCESSING_REQUIRED; then the sender gets what it asked for. The IRP is not the caller's
 * any more. Completed already: bug check 0x44; 0xC9 with STATUS_PENDING (6), with its cancel routine still
 * set (7), above DISPATCH_LEVEL (0x0E). IRQL <= DISPATCH_LEVEL.
 */
VOID NTAPI
IofCompleteRequest(PIRP Irp, CCHAR PriorityBoost)
{
    IopCheckCompletion(Irp);
    while (Irp->CurrentLocation <= Irp->StackCount) {
        if (!IopCompleteLocation(Irp)) {
            return;
        }
    }
    Irp->CurrentLocation = (CHAR)(Irp->StackCount + 2);
    IopReachTop(Irp, PriorityBoost);
}
NTEXPORT(IofCompleteRequest);
NTEXPORT_AS("IoCompleteRequest", IofCompleteRequest);

/* --- Requests that the core waits for ----------------------------------------------------------------------
 */

static BOOLEAN
IopWaitForRequest(PIRP Irp)
{
    LARGE_INTEGER Timeout = {.QuadPart = -(LONG64)IOP_PATIENCE * 10000};

    return KeWaitForSingleObject(&IopTailOf(Irp)->Completed, Executive, KernelMode, FALSE, &Timeout) ==
           STATUS_SUCCESS;
}

static VOID
IopReportLost(PDEVICE_OBJECT DeviceObject, UCHAR MajorFunction)
{
    KI_FINDING Finding = {.Rule = "request-not-completed", .Address = (ULONG64)DeviceObject};

    RtlpPrintBuffer(Finding.Text, sizeof(Finding.Text),
                    "a request of major function 0x%02X was never completed", MajorFunction);
    KiReportFinding(&Finding);
}

NTSTATUS
IopCallAndWait(PDEVICE_OBJECT DeviceObject, PIRP Irp, PIO_STATUS_BLOCK Iosb)
{
    UCHAR MajorFunction = IoGetNextIrpStackLocation(Irp)->MajorFunction;
    NTSTATUS Status;

    IofCallDriver(DeviceObject, Irp);
    if (!IopWaitForRequest(Irp)) {
        IoCancelIrp(Irp);
        if (!IopWaitForRequest(Irp)) {
            IopReportLost(DeviceObject, MajorFunction);
            return STATUS_IO_TIMEOUT;
        }
    }
    IopReturnBuffers(Irp);
    Status = Irp->IoStatus.Status;
    if (Iosb != NULL) {
        *Iosb = Irp->IoStatus;
    }
    IopReleaseTail(Irp);
    IopFreeIrp(Irp);
    return Status;
}
