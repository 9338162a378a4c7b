/*
 * Work items: routines that run at PASSIVE_LEVEL in system threads.
 *
 * There are three queues, each first in first out, with a semaphore that counts the items and worker threads
 * that wait for it. ps/ makes the threads: one or two of each queue for good, and more on demand, when an
 * item is queued and no worker is free to take it, so that a routine which waits for another item to be run
 * cannot stop its queue. A worker made on demand leaves after a second without work.
 *
 * An item is on the queue from ExQueueWorkItem until just before its routine runs; the routine may free it or
 * queue it again. A routine that returns above PASSIVE_LEVEL is bug check 0xE1, an item queued twice or
 * without a routine 0xE4. The item's List.Flink is NULL while it is not queued.
 *
 * Locks: one spin lock for all three queues, a leaf. Nothing fails. Document: "System Worker Threads".
 */
#include "ex.h"
#include <ntexport.h>

#define EXP_MAXIMUM_WORKERS 16
#define EXP_IDLE_TIME (-10 * 1000 * 1000ll) /* 100 ns units */

typedef struct _EXP_QUEUE {
    LIST_ENTRY Items;
    KSEMAPHORE Available; /* counts the items */
    ULONG Queued;
    ULONG Running;
    ULONG Workers;        /* made or about to be */
    ULONG Wanted;         /* of those, not yet handed to the maker */
} EXP_QUEUE;

#define EXP_QUEUE_INIT(Index)                                                                                \
    {                                                                                                        \
        .Items = { &ExpQueues[Index].Items, &ExpQueues[Index].Items }                                        \
    }

static EXP_QUEUE ExpQueues[ExWorkerQueues] = {EXP_QUEUE_INIT(0), EXP_QUEUE_INIT(1), EXP_QUEUE_INIT(2)};
static KSPIN_LOCK ExpQueueLock;
static KSEMAPHORE ExpDemand;
static BOOLEAN ExpQueuesReady;

/* The semaphores, before the first use by whoever comes first; the lock is held. */
static VOID
ExpPrepareQueues(VOID)
{
    if (!ExpQueuesReady) {
        ExpQueuesReady = TRUE;
        KeInitializeSemaphore(&ExpDemand, 0, MAXLONG);
        for (ULONG Index = 0; Index < ExWorkerQueues; Index += 1) {
            KeInitializeSemaphore(&ExpQueues[Index].Available, 0, MAXLONG);
        }
    }
}

static KIRQL
ExpLockQueues(VOID)
{
    KIRQL OldIrql = KiAcquireRankedLockRaise(&ExpQueueLock, LockRankHandleTable);

    ExpPrepareQueues();
    return OldIrql;
}

static VOID
ExpUnlockQueues(KIRQL OldIrql)
{
    KiReleaseRankedLockLower(&ExpQueueLock, OldIrql);
}

KPRIORITY
ExpWorkerPriority(EX_WORKER_QUEUE Queue)
{
    static const CHAR Priorities[ExWorkerQueues] = {12, 13, 15};

    return Priorities[Queue];
}

/* Which queue serves a type; custom priorities go by the priority they ask for. */
static EX_WORKER_QUEUE
ExpQueueOfType(WORK_QUEUE_TYPE QueueType)
{
    if (QueueType >= CustomPriorityWorkQueue) {
        ULONG Priority = (ULONG)QueueType - CustomPriorityWorkQueue;

        return Priority >= 15 ? ExWorkerHyperCritical : Priority >= 13 ? ExWorkerCritical : ExWorkerDelayed;
    }
    switch (QueueType) {
    case CriticalWorkQueue:
        return ExWorkerCritical;
    case HyperCriticalWorkQueue:
    case SuperCriticalWorkQueue:
    case RealTimeWorkQueue:
        return ExWorkerHyperCritical;
    default:
        return ExWorkerDelayed;
    }
}

/*
 * Run the item's routine, once, on a system thread of QueueType. The item is nonpaged, initialised, and not
 * queued; it stays the caller's again from when the routine runs. IRQL <= DISPATCH_LEVEL.
 */
VOID NTAPI
ExQueueWorkItem(PWORK_QUEUE_ITEM WorkItem, WORK_QUEUE_TYPE QueueType)
{
    EXP_QUEUE *Queue = &ExpQueues[ExpQueueOfType(QueueType)];
    BOOLEAN Demand = FALSE;
    KIRQL OldIrql;

    if (WorkItem->List.Flink != NULL || WorkItem->WorkerRoutine == NULL) {
        KeBugCheckEx(WORKER_INVALID, WorkItem->WorkerRoutine == NULL ? 0 : 1, (ULONG_PTR)WorkItem,
                     (ULONG_PTR)WorkItem->WorkerRoutine, 0);
    }
    OldIrql = ExpLockQueues();
    InsertTailList(&Queue->Items, &WorkItem->List);
    Queue->Queued += 1;
    if (Queue->Queued + Queue->Running > Queue->Workers && Queue->Workers < EXP_MAXIMUM_WORKERS) {
        Queue->Workers += 1;
        Queue->Wanted += 1;
        Demand = TRUE;
    }
    ExpUnlockQueues(OldIrql);
    KeReleaseSemaphore(&Queue->Available, SEMAPHORE_INCREMENT, 1, FALSE);
    if (Demand) {
        KeReleaseSemaphore(&ExpDemand, IO_NO_INCREMENT, 1, FALSE);
    }
}
NTEXPORT(ExQueueWorkItem);

/* The next item, waiting for one; NULL when a dynamic worker has waited long enough and is not counted any
 * more. */
static PWORK_QUEUE_ITEM
ExpTakeItem(EXP_QUEUE *Queue, BOOLEAN Dynamic)
{
    LARGE_INTEGER Timeout = {.QuadPart = EXP_IDLE_TIME};
    PWORK_QUEUE_ITEM Item = NULL;
    NTSTATUS Status;
    KIRQL OldIrql;

    Status = KeWaitForSingleObject(&Queue->Available, WrQueue, KernelMode, FALSE, Dynamic ? &Timeout : NULL);
    OldIrql = ExpLockQueues();
    if (Status == STATUS_TIMEOUT) {
        Queue->Workers -= 1;
    } else {
        Item = CONTAINING_RECORD(RemoveHeadList(&Queue->Items), WORK_QUEUE_ITEM, List);
        Item->List.Flink = NULL;
        Queue->Queued -= 1;
        Queue->Running += 1;
    }
    ExpUnlockQueues(OldIrql);
    return Item;
}

static VOID
ExpRunItem(EXP_QUEUE *Queue, PWORK_QUEUE_ITEM Item)
{
    PWORKER_THREAD_ROUTINE Routine = Item->WorkerRoutine;
    PVOID Parameter = Item->Parameter;
    KIRQL OldIrql;

    KiCallRoutine((PVOID)(ULONG_PTR)Routine, (ULONG_PTR)Parameter, 0, 0, 0);
    if (HalGetIrql() != PASSIVE_LEVEL) {
        KeBugCheckEx(WORKER_THREAD_RETURNED_AT_BAD_IRQL, (ULONG_PTR)Routine, HalGetIrql(),
                     (ULONG_PTR)Parameter, (ULONG_PTR)Item);
    }
    OldIrql = ExpLockQueues();
    Queue->Running -= 1;
    ExpUnlockQueues(OldIrql);
}

VOID NTAPI
ExpWorkerThread(PVOID StartContext)
{
    ULONG Context = (ULONG)(ULONG_PTR)StartContext;
    EXP_QUEUE *Queue = &ExpQueues[Context & ~EX_WORKER_DYNAMIC];
    BOOLEAN Dynamic = (Context & EX_WORKER_DYNAMIC) != 0;
    PWORK_QUEUE_ITEM Item;
    KIRQL OldIrql;

    if (!Dynamic) {
        OldIrql = ExpLockQueues();
        Queue->Workers += 1;
        ExpUnlockQueues(OldIrql);
    }
    while ((Item = ExpTakeItem(Queue, Dynamic)) != NULL) {
        ExpRunItem(Queue, Item);
    }
}

EX_WORKER_QUEUE
ExpWaitForWorkerDemand(VOID)
{
    for (;;) {
        ULONG Index;
        KIRQL OldIrql = ExpLockQueues();

        for (Index = 0; Index < ExWorkerQueues; Index += 1) {
            if (ExpQueues[Index].Wanted != 0) {
                ExpQueues[Index].Wanted -= 1;
                break;
            }
        }
        ExpUnlockQueues(OldIrql);
        if (Index < ExWorkerQueues) {
            return (EX_WORKER_QUEUE)Index;
        }
        KeWaitForSingleObject(&ExpDemand, WrQueue, KernelMode, FALSE, NULL);
    }
}

VOID
ExpWorkerNotMade(EX_WORKER_QUEUE Queue)
{
    KIRQL OldIrql = ExpLockQueues();

    ExpQueues[Queue].Workers -= 1;
    ExpUnlockQueues(OldIrql);
}

ULONG
ExpPendingWork(VOID)
{
    ULONG Count = 0;
    KIRQL OldIrql = ExpLockQueues();

    for (ULONG Index = 0; Index < ExWorkerQueues; Index += 1) {
        Count += ExpQueues[Index].Queued + ExpQueues[Index].Running;
    }
    ExpUnlockQueues(OldIrql);
    return Count;
}
