/* Cancel-safe queues. */
#include "iotest.h"

static struct {
    IO_CSQ Queue;
    LIST_ENTRY Irps;
    KSPIN_LOCK Lock;
    ULONG Cancelled;
    NTSTATUS Verdict;
} Csq;

static VOID NTAPI
InsertIrp(PIO_CSQ Queue, PIRP Irp)
{
    InsertTailList(&Csq.Irps, &Irp->Tail.Overlay.ListEntry);
}

static NTSTATUS NTAPI
InsertIrpEx(PIO_CSQ Queue, PIRP Irp, PVOID Context)
{
    if (NT_SUCCESS(Csq.Verdict)) {
        InsertIrp(Queue, Irp);
    }
    return Csq.Verdict;
}

static VOID NTAPI
RemoveIrp(PIO_CSQ Queue, PIRP Irp)
{
    RemoveEntryList(&Irp->Tail.Overlay.ListEntry);
}

static PIRP NTAPI
PeekIrp(PIO_CSQ Queue, PIRP Irp, PVOID Context)
{
    PLIST_ENTRY Next = Irp == NULL ? Csq.Irps.Flink : Irp->Tail.Overlay.ListEntry.Flink;

    return Next == &Csq.Irps ? NULL : CONTAINING_RECORD(Next, IRP, Tail.Overlay.ListEntry);
}

static VOID NTAPI
Lock(PIO_CSQ Queue, PKIRQL Irql)
{
    KeAcquireSpinLock(&Csq.Lock, Irql);
}

static VOID NTAPI
Unlock(PIO_CSQ Queue, KIRQL Irql)
{
    KeReleaseSpinLock(&Csq.Lock, Irql);
}

static VOID NTAPI
Cancelled(PIO_CSQ Queue, PIRP Irp)
{
    Csq.Cancelled += 1;
}

static PIRP
MakeIrp(VOID)
{
    PIRP Irp = IoAllocateIrp(1, FALSE);

    NT_VERIFY(Irp != NULL);
    IoSetNextIrpStackLocation(Irp);
    return Irp;
}

KTEST(CsqInsertRemoveCancel)
{
    IO_CSQ_IRP_CONTEXT Context;
    PIRP Irps[3] = {MakeIrp(), MakeIrp(), MakeIrp()};

    InitializeListHead(&Csq.Irps);
    Csq.Cancelled = 0;
    IoCsqInitialize(&Csq.Queue, InsertIrp, RemoveIrp, PeekIrp, Lock, Unlock, Cancelled);
    IoCsqInsertIrp(&Csq.Queue, Irps[0], NULL);
    IoCsqInsertIrp(&Csq.Queue, Irps[1], &Context);
    CHECK((IoGetCurrentIrpStackLocation(Irps[0])->Control & SL_PENDING_RETURNED) != 0);
    CHECK(Context.Irp == Irps[1]);
    /* Cancelled already: handed over at once. */
    Irps[2]->Cancel = TRUE;
    IoCsqInsertIrp(&Csq.Queue, Irps[2], NULL);
    CHECK_EQ(Csq.Cancelled, 1);
    CHECK(IoCancelIrp(Irps[0]));
    CHECK_EQ(Csq.Cancelled, 2);
    CHECK(!IoCancelIrp(Irps[0]));
    CHECK(IoCsqRemoveIrp(&Csq.Queue, &Context) == Irps[1]);
    CHECK(Context.Irp == NULL);
    CHECK(IoCsqRemoveIrp(&Csq.Queue, &Context) == NULL);
    CHECK(IoCsqRemoveNextIrp(&Csq.Queue, NULL) == NULL);
    CHECK(IsListEmpty(&Csq.Irps));
    for (ULONG Index = 0; Index < 3; Index += 1) {
        IoFreeIrp(Irps[Index]);
    }
}

KTEST(CsqRefusedInsertion)
{
    PIRP Irp = MakeIrp();

    InitializeListHead(&Csq.Irps);
    IoCsqInitializeEx(&Csq.Queue, InsertIrpEx, RemoveIrp, PeekIrp, Lock, Unlock, Cancelled);
    Csq.Verdict = STATUS_UNSUCCESSFUL;
    CHECK_STATUS(STATUS_UNSUCCESSFUL, IoCsqInsertIrpEx(&Csq.Queue, Irp, NULL, NULL));
    CHECK((IoGetCurrentIrpStackLocation(Irp)->Control & SL_PENDING_RETURNED) == 0);
    Csq.Verdict = STATUS_SUCCESS;
    CHECK_STATUS(STATUS_SUCCESS, IoCsqInsertIrpEx(&Csq.Queue, Irp, NULL, NULL));
    CHECK(IoCsqRemoveNextIrp(&Csq.Queue, NULL) == Irp);
    IoFreeIrp(Irp);
}
