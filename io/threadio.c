/*
 * Cancelling what a thread, or a file's users, have asked for.
 *
 * A thread's requests are finished by an APC in the thread itself, so in a guarded region its list stands
 * still and none of them is freed: that is when it cancels its own. To cancel another thread's, it is sent an
 * APC that does the same there. A thread that ends cancels all it has and waits; what is not completed then
 * loses its thread, is a finding, and if it is ever completed it is freed without telling anybody.
 *
 * Document: "Canceling IRPs", "ZwCancelIoFileEx", "CancelIo".
 */
#include "service.h"
#include <ke/apc.h>
#include <ke/finding.h>
#include <ke/user.h>
#include <rtl/rtl.h>

#define IOP_CANCEL_STEP     10   /* ms between two looks */
#define IOP_CANCEL_PATIENCE 1000 /* looks */

/* Which requests. */
typedef struct _IOP_CANCEL {
    PFILE_OBJECT File;     /* NULL: of any */
    PIO_STATUS_BLOCK Iosb; /* NULL: with any */
    KEVENT Done;           /* if another thread is asked */
} IOP_CANCEL, *PIOP_CANCEL;

static BOOLEAN
IopMatches(PIRP Irp, const IOP_CANCEL *Cancel)
{
    return (Cancel->File == NULL || IopTailOf(Irp)->File == Cancel->File) &&
           (Cancel->Iosb == NULL || Irp->UserIosb == Cancel->Iosb);
}

/* The first request of the current thread that matches and is not cancelled yet; NULL if there is none. */
static PIRP
IopNextToCancel(const IOP_CANCEL *Cancel)
{
    PLIST_ENTRY Head = &KiCurrentThread()->IrpList;
    PIRP Found = NULL;
    KIRQL OldIrql = IopAcquireLock();

    for (PLIST_ENTRY Entry = Head->Flink; Entry != Head && Found == NULL; Entry = Entry->Flink) {
        PIRP Irp = CONTAINING_RECORD(Entry, IRP, ThreadListEntry);

        if (!Irp->Cancel && IopMatches(Irp, Cancel)) {
            Found = Irp;
        }
    }
    IopReleaseLock(OldIrql);
    return Found;
}

/* Does the current thread have a request that matches? */
static BOOLEAN
IopHasRequest(const IOP_CANCEL *Cancel)
{
    PLIST_ENTRY Head = &KiCurrentThread()->IrpList;
    BOOLEAN Found = FALSE;
    KIRQL OldIrql = IopAcquireLock();

    for (PLIST_ENTRY Entry = Head->Flink; Entry != Head && !Found; Entry = Entry->Flink) {
        Found = IopMatches(CONTAINING_RECORD(Entry, IRP, ThreadListEntry), Cancel);
    }
    IopReleaseLock(OldIrql);
    return Found;
}

/* Cancel what matches of the current thread's. No APC may come in. */
static VOID
IopCancelOwn(const IOP_CANCEL *Cancel)
{
    PIRP Irp;

    while ((Irp = IopNextToCancel(Cancel)) != NULL) {
        IoCancelIrp(Irp);
    }
}

/* Cancel what matches, and wait for its end: FALSE if that does not come. PASSIVE_LEVEL. */
static BOOLEAN
IopCancelAndWait(const IOP_CANCEL *Cancel, BOOLEAN ForEver)
{
    LARGE_INTEGER Interval = {.QuadPart = -IOP_CANCEL_STEP * 10000};

    KeEnterGuardedRegion();
    IopCancelOwn(Cancel);
    KeLeaveGuardedRegion();
    for (ULONG Look = 0; IopHasRequest(Cancel); Look += 1) {
        if (Look == IOP_CANCEL_PATIENCE && !ForEver) {
            return FALSE;
        }
        KeDelayExecutionThread(KernelMode, FALSE, &Interval);
    }
    return TRUE;
}

/* --- A thread's end ------------------------------------------------------------------------------------- */

/* What could not be cancelled has nobody any more who waits for it. */
static VOID
IopAbandonRequests(VOID)
{
    PLIST_ENTRY Head = &KiCurrentThread()->IrpList;

    KeEnterGuardedRegion();
    while (!IsListEmpty(Head)) {
        PIRP Irp = CONTAINING_RECORD(Head->Flink, IRP, ThreadListEntry);
        KI_FINDING Finding = {.Rule = "request-not-completed", .Address = (ULONG64)Irp};

        RtlpPrintBuffer(Finding.Text, sizeof(Finding.Text),
                        "a request was not completed when its thread ended, not even when it was cancelled");
        KiReportFinding(&Finding);
        IopLeaveThread(Irp);
        Irp->UserIosb = NULL;
        Irp->UserEvent = NULL;
        Irp->UserBuffer = NULL;
        Irp->Tail.Overlay.Thread = NULL;
    }
    KeLeaveGuardedRegion();
}

static VOID
IopEndThreadRequests(VOID)
{
    static const IOP_CANCEL All;

    if (!IsListEmpty(&KiCurrentThread()->IrpList) && !IopCancelAndWait(&All, FALSE)) {
        IopAbandonRequests();
    }
}

VOID
IopInitializeThreads(VOID)
{
    KiThreadEnds = IopEndThreadRequests;
}

/* --- Services ------------------------------------------------------------------------------------------- */

static NTSTATUS
IopReturnCancelled(PIOP_SERVICE Service, PIO_STATUS_BLOCK IoStatusBlock, NTSTATUS Status)
{
    IO_STATUS_BLOCK Iosb = {0};

    Iosb.Status = Status;
    (VOID) KiReturnResult(IoStatusBlock, &Iosb, sizeof(Iosb), Service->Mode);
    ObfDereferenceObject(Service->File);
    return Status;
}

/* The file of a cancel service. It is not locked: whoever has the lock may be what is to be cancelled. */
static NTSTATUS
IopBeginCancel(HANDLE FileHandle, PIO_STATUS_BLOCK IoStatusBlock, PIOP_SERVICE Service)
{
    PVOID Object;
    NTSTATUS Status;

    ObRequirePassive();
    *Service = (IOP_SERVICE){.Mode = KiPreviousMode()};
    Status = KiProbeResult(IoStatusBlock, sizeof(*IoStatusBlock), Service->Mode);
    if (NT_SUCCESS(Status)) {
        Status = ObReferenceObjectByHandle(FileHandle, 0, IoFileObjectType, Service->Mode, &Object, NULL);
    }
    if (NT_SUCCESS(Status)) {
        Service->File = Object;
    }
    return Status;
}

/* Cancel the current thread's requests for a file, and wait for their end. STATUS_SUCCESS,
 * STATUS_INVALID_HANDLE, STATUS_OBJECT_TYPE_MISMATCH. PASSIVE_LEVEL. */
NTSTATUS NTAPI
ZwCancelIoFile(HANDLE FileHandle, PIO_STATUS_BLOCK IoStatusBlock)
{
    IOP_CANCEL Cancel = {0};
    IOP_SERVICE Service;
    NTSTATUS Status = IopBeginCancel(FileHandle, IoStatusBlock, &Service);

    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Cancel.File = Service.File;
    IopCancelAndWait(&Cancel, TRUE);
    return IopReturnCancelled(&Service, IoStatusBlock, STATUS_SUCCESS);
}
NTEXPORT(ZwCancelIoFile);
NTEXPORT_AS("NtCancelIoFile", ZwCancelIoFile);

static VOID NTAPI
IopCancelApc(PKAPC Apc, PKNORMAL_ROUTINE *NormalRoutine, PVOID *NormalContext, PVOID *Argument1,
             PVOID *Argument2)
{
    PIOP_CANCEL Cancel = *Argument1;

    UNREFERENCED_PARAMETER(Apc);
    UNREFERENCED_PARAMETER(NormalRoutine);
    UNREFERENCED_PARAMETER(NormalContext);
    UNREFERENCED_PARAMETER(Argument2);
    IopCancelOwn(Cancel);
    KeSetEvent(&Cancel->Done, IO_NO_INCREMENT, FALSE);
}

/* An ending thread cancels by itself. */
static VOID NTAPI
IopCancelRundown(PKAPC Apc)
{
    KeSetEvent(&((PIOP_CANCEL)Apc->SystemArgument1)->Done, IO_NO_INCREMENT, FALSE);
}

/* A thread, referenced, that has a request that matches and is not cancelled; NULL if there is none. */
static PKTHREAD
IopThreadToAsk(const IOP_CANCEL *Cancel)
{
    PIOP_FILE File = CONTAINING_RECORD(Cancel->File, IOP_FILE, Object);
    PKTHREAD Thread = NULL;
    KIRQL OldIrql = IopAcquireLock();

    for (PLIST_ENTRY Entry = File->Requests.Flink; Entry != &File->Requests && Thread == NULL;
         Entry = Entry->Flink) {
        PIOP_IRP_TAIL Tail = CONTAINING_RECORD(Entry, IOP_IRP_TAIL, FileLinks);
        PIRP Irp = Tail->Irp;

        /* One on a thread's list keeps the thread from ending. */
        if ((Irp->AllocationFlags & IOP_IRP_QUEUED) != 0 && !Irp->Cancel && IopMatches(Irp, Cancel)) {
            Thread = Tail->Thread;
            ObfReferenceObject(Thread);
        }
    }
    IopReleaseLock(OldIrql);
    return Thread;
}

/*
 * Cancel the requests for a file, of all threads: all, or the one with that status block. Does not wait for
 * their end. STATUS_SUCCESS, STATUS_NOT_FOUND if there is none, STATUS_INVALID_HANDLE,
 * STATUS_OBJECT_TYPE_MISMATCH. PASSIVE_LEVEL.
 */
NTSTATUS NTAPI
ZwCancelIoFileEx(HANDLE FileHandle, PIO_STATUS_BLOCK IoRequestToCancel, PIO_STATUS_BLOCK IoStatusBlock)
{
    IOP_CANCEL Cancel = {.Iosb = IoRequestToCancel};
    BOOLEAN Found = FALSE;
    IOP_SERVICE Service;
    PKTHREAD Thread;
    KAPC Apc;
    NTSTATUS Status = IopBeginCancel(FileHandle, IoStatusBlock, &Service);

    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Cancel.File = Service.File;
    KeInitializeEvent(&Cancel.Done, SynchronizationEvent, FALSE);
    while ((Thread = IopThreadToAsk(&Cancel)) != NULL) {
        Found = TRUE;
        KeInitializeApc(&Apc, Thread, OriginalApcEnvironment, IopCancelApc, IopCancelRundown, NULL,
                        KernelMode, NULL);
        if (KeInsertQueueApc(&Apc, &Cancel, NULL, IO_NO_INCREMENT)) {
            KeWaitForSingleObject(&Cancel.Done, Executive, KernelMode, FALSE, NULL);
        } else {
            KiYield();
        }
        ObfDereferenceObject(Thread);
    }
    return IopReturnCancelled(&Service, IoStatusBlock, Found ? STATUS_SUCCESS : STATUS_NOT_FOUND);
}
NTEXPORT(ZwCancelIoFileEx);
NTEXPORT_AS("NtCancelIoFileEx", ZwCancelIoFileEx);
