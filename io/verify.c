/*
 * What a dispatch routine returns, held against what became of the request.
 *
 * A call of IofCallDriver leaves a record on its stack, on the request's list. Two things happen to a
 * location, in either order: its dispatch routine returns, and it is completed.
 *
 *     completed first   the record is marked and taken off the list: the routine's return finds it so
 *     returned first    the record goes; a STATUS_PENDING stays in the request's tail until the location is completed
 *
 * Whichever comes second knows both. Nothing is watched without the verifier. Only packets that have a tail are
 * watched: not those in storage of a driver's own. The rules are the I/O verifier's, each a bug check 0xC9:
 *
 *     0x224  returned one status, completed with another
 *     0x225  returned -1
 *     0x226  returned something else than STATUS_PENDING for a request that is neither completed nor passed down
 *     0x23D  returned STATUS_PENDING, not marked pending
 *     0x23E  marked pending, returned something else
 *
 * Lock: IopLock. Document: "Bug Check 0xC9".
 */
#include "iop.h"

ULONG_PTR
IopCallerOfCore(VOID)
{
    PVOID Frame;

    return KiCaptureImageStack(&Frame, 1) != 0 ? (ULONG_PTR)Frame : 0;
}

static inline PIOP_RETURNED
IopReturnedOf(PIRP Irp, CHAR Location)
{
    return (PIOP_RETURNED)(PVOID)(IopTailOf(Irp) + 1) + (Location - 1);
}

BOOLEAN
IopBeginCall(PIRP Irp, PIOP_CALL Call)
{
    PIOP_IRP_TAIL Tail = IopTailOf(Irp);
    KIRQL OldIrql;

    if (!KiVerifierOn || (Irp->AllocationFlags & IOP_IRP_ALLOCATED) == 0) {
        return FALSE;
    }
    *Call = (IOP_CALL){.Location = Irp->CurrentLocation};
    OldIrql = IopAcquireLock();
    IopReturnedOf(Irp, Call->Location)->Pending = FALSE;
    Call->Next = Tail->Calls;
    Tail->Calls = Call;
    IopReleaseLock(OldIrql);
    return TRUE;
}

static VOID
IopUnlinkCall(PIOP_IRP_TAIL Tail, PIOP_CALL Call)
{
    PIOP_CALL *Place = &Tail->Calls;

    while (*Place != Call) {
        Place = &(*Place)->Next;
    }
    *Place = Call->Next;
}

VOID
IopEndCall(PIRP Irp, PIOP_CALL Call, NTSTATUS Status, ULONG_PTR Dispatch)
{
    BOOLEAN Waits = FALSE;
    KIRQL OldIrql = IopAcquireLock();

    if (!Call->Over) {
        /* Not completed, and cannot be while the lock is held: the packet is there. */
        IopUnlinkCall(IopTailOf(Irp), Call);
        IopReturnedOf(Irp, Call->Location)->Pending = Status == STATUS_PENDING;
        IopReturnedOf(Irp, Call->Location)->Dispatch = Dispatch;
        Waits = TRUE;
    }
    IopReleaseLock(OldIrql);
    if (Status == -1) {
        IopVerifierStop(0x225, Dispatch, (ULONG_PTR)Irp, (ULONG)Status);
    }
    if (Waits || Call->Gone) {
        if (Status != STATUS_PENDING && Waits) {
            IopVerifierStop(0x226, Dispatch, (ULONG_PTR)Irp, (ULONG)Status);
        }
        return;
    }
    if (Status == STATUS_PENDING && !Call->Marked) {
        IopVerifierStop(0x23D, Dispatch, (ULONG_PTR)Irp, (ULONG)Status);
    }
    if (Status != STATUS_PENDING && Call->Marked) {
        IopVerifierStop(0x23E, Dispatch, (ULONG_PTR)Irp, (ULONG)Status);
    }
    if (Status != STATUS_PENDING && Status != Call->Status) {
        IopVerifierStop(0x224, Dispatch, (ULONG_PTR)Irp, (ULONG)Call->Status);
    }
}

VOID
IopNoteCompleted(PIRP Irp, BOOLEAN Marked)
{
    PIOP_IRP_TAIL Tail = IopTailOf(Irp);
    CHAR Location = Irp->CurrentLocation;
    PIOP_RETURNED Returned;
    ULONG_PTR Dispatch = 0;
    PIOP_CALL Next;
    KIRQL OldIrql;

    if ((Irp->AllocationFlags & IOP_IRP_ALLOCATED) == 0) {
        return;
    }
    OldIrql = IopAcquireLock();
    for (PIOP_CALL Call = Tail->Calls; Call != NULL; Call = Next) {
        Next = Call->Next;
        if (Call->Location == Location) {
            IopUnlinkCall(Tail, Call);
            Call->Over = TRUE;
            Call->Marked = Marked;
            Call->Status = Irp->IoStatus.Status;
        }
    }
    Returned = IopReturnedOf(Irp, Location);
    if (Returned->Pending) {
        Returned->Pending = FALSE;
        Dispatch = Marked ? 0 : Returned->Dispatch;
    }
    IopReleaseLock(OldIrql);
    if (Dispatch != 0) {
        IopVerifierStop(0x23D, Dispatch, (ULONG_PTR)Irp, STATUS_PENDING);
    }
}

BOOLEAN
IopIsOnItsWay(PIRP Irp)
{
    KIRQL OldIrql = IopAcquireLock();
    BOOLEAN Found = IopTailOf(Irp)->Calls != NULL;

    for (CHAR Location = 1; Location <= Irp->StackCount; Location += 1) {
        Found = Found || IopReturnedOf(Irp, Location)->Pending;
    }
    IopReleaseLock(OldIrql);
    return Found;
}

VOID
IopForgetCalls(PIRP Irp)
{
    PIOP_IRP_TAIL Tail = IopTailOf(Irp);
    KIRQL OldIrql = IopAcquireLock();

    for (; Tail->Calls != NULL; Tail->Calls = Tail->Calls->Next) {
        Tail->Calls->Over = TRUE;
        Tail->Calls->Gone = TRUE;
    }
    for (CHAR Location = 1; Location <= Irp->StackCount; Location += 1) {
        IopReturnedOf(Irp, Location)->Pending = FALSE;
    }
    IopReleaseLock(OldIrql);
}
