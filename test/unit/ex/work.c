/* Work items: they run, in order, at PASSIVE_LEVEL; queues grow; misuse. */
#include "../ps/threads.h"
#include <ex/ex.h>

#define ITEMS 12

typedef struct _WORK_TEST {
    WORK_QUEUE_ITEM Items[ITEMS];
    KEVENT Gate, Done;
    volatile LONG Ran, Wrong, Requeued;
    LONG Expected;
} WORK_TEST;

static VOID NTAPI
WorkCount(PVOID Context)
{
    WORK_TEST *Test = Context;

    if (HalGetIrql() != PASSIVE_LEVEL || KiCurrentThread()->Idle) {
        InterlockedIncrement(&Test->Wrong);
    }
    if (InterlockedIncrement(&Test->Ran) == Test->Expected) {
        KeSetEvent(&Test->Done, 0, FALSE);
    }
}

static VOID
WorkPrepare(WORK_TEST *Test, PWORKER_THREAD_ROUTINE Routine, LONG Expected)
{
    RtlZeroMemory(Test, sizeof(*Test));
    KeInitializeEvent(&Test->Gate, NotificationEvent, FALSE);
    KeInitializeEvent(&Test->Done, NotificationEvent, FALSE);
    Test->Expected = Expected;
    for (ULONG Index = 0; Index < ITEMS; Index += 1) {
        ExInitializeWorkItem(&Test->Items[Index], Routine, Test);
    }
}

static NTSTATUS
WorkWait(WORK_TEST *Test)
{
    LARGE_INTEGER Timeout = {.QuadPart = -5 * 10000000ll};

    return KeWaitForSingleObject(&Test->Done, Executive, KernelMode, FALSE, &Timeout);
}

/* Workers made on demand leave after a second of virtual time. */
static VOID
WorkSettle(VOID)
{
    TestSleep(1500);
    PsFlushEndedThreads();
}

KTEST(WorkRunsOnEveryQueue)
{
    static const WORK_QUEUE_TYPE Types[] = {CriticalWorkQueue, DelayedWorkQueue, HyperCriticalWorkQueue,
                                            NormalWorkQueue, BackgroundWorkQueue, RealTimeWorkQueue,
                                            SuperCriticalWorkQueue,
                                            (WORK_QUEUE_TYPE)(CustomPriorityWorkQueue + 13)};
    WORK_TEST Test;
    KIRQL OldIrql;

    WorkPrepare(&Test, WorkCount, RTL_NUMBER_OF(Types));
    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Types); Index += 1) {
        ExQueueWorkItem(&Test.Items[Index], Types[Index]);
        CHECK(Test.Items[Index].List.Flink != NULL || Test.Ran != 0);
    }
    KeLowerIrql(OldIrql);
    CHECK_STATUS(STATUS_SUCCESS, WorkWait(&Test));
    CHECK_EQ(Test.Wrong, 0);
    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Types); Index += 1) {
        CHECK(Test.Items[Index].List.Flink == NULL);
    }
    WorkSettle();
    CHECK_EQ(ExpPendingWork(), 0);
}

static VOID NTAPI
WorkBlock(PVOID Context)
{
    WORK_TEST *Test = Context;

    KeWaitForSingleObject(&Test->Gate, Executive, KernelMode, FALSE, NULL);
    WorkCount(Context);
}

/* Items that wait for a later item of the same queue do not stop it. */
KTEST(WorkQueueGrows)
{
    WORK_TEST Blocked, Free;

    WorkPrepare(&Blocked, WorkBlock, ITEMS);
    WorkPrepare(&Free, WorkCount, 1);
    for (ULONG Index = 0; Index < ITEMS; Index += 1) {
        ExQueueWorkItem(&Blocked.Items[Index], DelayedWorkQueue);
    }
    ExQueueWorkItem(&Free.Items[0], DelayedWorkQueue);
    CHECK_STATUS(STATUS_SUCCESS, WorkWait(&Free));
    CHECK_EQ(Blocked.Ran, 0);
    KeSetEvent(&Blocked.Gate, 0, FALSE);
    CHECK_STATUS(STATUS_SUCCESS, WorkWait(&Blocked));
    WorkSettle();
}

static VOID NTAPI
WorkAgain(PVOID Context)
{
    WORK_TEST *Test = Context;

    if (InterlockedIncrement(&Test->Requeued) < Test->Expected) {
        ExQueueWorkItem(&Test->Items[0], CriticalWorkQueue);
    }
    WorkCount(Context);
}

KTEST(WorkItemRequeuesItself)
{
    WORK_TEST Test;

    WorkPrepare(&Test, WorkAgain, 5);
    ExQueueWorkItem(&Test.Items[0], CriticalWorkQueue);
    CHECK_STATUS(STATUS_SUCCESS, WorkWait(&Test));
    CHECK_EQ(Test.Ran, 5);
    WorkSettle();
}

static VOID
WorkQueueItem(PVOID Item)
{
    ExQueueWorkItem(Item, DelayedWorkQueue);
}

KTEST(WorkMisuse)
{
    WORK_QUEUE_ITEM Item;

    ExInitializeWorkItem(&Item, NULL, NULL);
    CHECK_BUGCHECK_CALL(WORKER_INVALID, 0, WorkQueueItem, &Item);
    ExInitializeWorkItem(&Item, WorkCount, NULL);
    Item.List.Flink = &Item.List;
    CHECK_BUGCHECK_CALL(WORKER_INVALID, 1, WorkQueueItem, &Item);
}
