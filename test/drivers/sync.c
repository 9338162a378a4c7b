/*
 * Dispatcher objects, timers, DPCs, waits, system threads, mutexes and resources.
 */
#include "check.h"

#define TAG 'cnyS'

static LARGE_INTEGER
Relative(ULONG Milliseconds)
{
    LARGE_INTEGER Time;

    Time.QuadPart = -(LONGLONG)Milliseconds * 10000;
    return Time;
}

static NTSTATUS
Wait(PVOID Object, ULONG Milliseconds)
{
    LARGE_INTEGER Time = Relative(Milliseconds);

    return KeWaitForSingleObject(Object, Executive, KernelMode, FALSE, &Time);
}

static VOID
Events(VOID)
{
    static KEVENT Manual, Auto;

    KeInitializeEvent(&Manual, NotificationEvent, FALSE);
    KeInitializeEvent(&Auto, SynchronizationEvent, TRUE);
    CHECK_STATUS(Wait(&Manual, 0), STATUS_TIMEOUT);
    CHECK_EQ(KeSetEvent(&Manual, IO_NO_INCREMENT, FALSE), 0);
    CHECK(KeSetEvent(&Manual, IO_NO_INCREMENT, FALSE) != 0);
    CHECK_STATUS(Wait(&Manual, 0), STATUS_SUCCESS);
    CHECK_STATUS(Wait(&Manual, 0), STATUS_SUCCESS);
    CHECK(KeReadStateEvent(&Manual) != 0);
    CHECK(KeResetEvent(&Manual) != 0);
    KeClearEvent(&Manual);
    CHECK_EQ(KeReadStateEvent(&Manual), 0);
    CHECK_STATUS(Wait(&Auto, 0), STATUS_SUCCESS);
    CHECK_STATUS(Wait(&Auto, 10), STATUS_TIMEOUT);
}

static VOID
Semaphores(VOID)
{
    static KSEMAPHORE Semaphore;

    KeInitializeSemaphore(&Semaphore, 2, 5);
    CHECK_STATUS(Wait(&Semaphore, 0), STATUS_SUCCESS);
    CHECK_STATUS(Wait(&Semaphore, 0), STATUS_SUCCESS);
    CHECK_STATUS(Wait(&Semaphore, 1), STATUS_TIMEOUT);
    CHECK_EQ(KeReleaseSemaphore(&Semaphore, IO_NO_INCREMENT, 3, FALSE), 0);
    CHECK_EQ(KeReadStateSemaphore(&Semaphore), 3);
}

static VOID
Mutexes(VOID)
{
    static KMUTEX Mutex;
    static FAST_MUTEX Fast;
    static KGUARDED_MUTEX Guarded;

    KeInitializeMutex(&Mutex, 0);
    CHECK_STATUS(Wait(&Mutex, 0), STATUS_SUCCESS);
    CHECK_STATUS(Wait(&Mutex, 0), STATUS_SUCCESS);
    KeReleaseMutex(&Mutex, FALSE);
    CHECK(KeReadStateMutex(&Mutex) != 1);
    KeReleaseMutex(&Mutex, FALSE);
    CHECK_EQ(KeReadStateMutex(&Mutex), 1);

    ExInitializeFastMutex(&Fast);
    ExAcquireFastMutex(&Fast);
    CHECK_EQ(KeGetCurrentIrql(), APC_LEVEL);
    CHECK(!ExTryToAcquireFastMutex(&Fast));
    ExReleaseFastMutex(&Fast);
    CHECK_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
    CHECK(ExTryToAcquireFastMutex(&Fast));
    ExReleaseFastMutex(&Fast);

    KeInitializeGuardedMutex(&Guarded);
    KeAcquireGuardedMutex(&Guarded);
    CHECK(KeAreAllApcsDisabled());
    KeReleaseGuardedMutex(&Guarded);
    CHECK(!KeAreAllApcsDisabled());
    KeEnterCriticalRegion();
    CHECK(KeAreApcsDisabled());
    KeLeaveCriticalRegion();
    CHECK(!KeAreApcsDisabled());
}

static VOID
Resources(VOID)
{
    PERESOURCE Resource = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(ERESOURCE), TAG);

    REQUIRE(Resource != NULL);
    CHECK_STATUS(ExInitializeResourceLite(Resource), STATUS_SUCCESS);
    KeEnterCriticalRegion();
    CHECK(ExAcquireResourceExclusiveLite(Resource, TRUE));
    CHECK(ExIsResourceAcquiredExclusiveLite(Resource));
    CHECK(ExAcquireResourceSharedLite(Resource, FALSE));
    ExReleaseResourceLite(Resource);
    ExConvertExclusiveToSharedLite(Resource);
    CHECK(!ExIsResourceAcquiredExclusiveLite(Resource));
    CHECK(ExIsResourceAcquiredSharedLite(Resource) != 0);
    ExReleaseResourceLite(Resource);
    KeLeaveCriticalRegion();
    CHECK_STATUS(ExDeleteResourceLite(Resource), STATUS_SUCCESS);
    ExFreePool(Resource);
}

/* --- Timers and DPCs --- */

static volatile LONG DpcCalls;
static PVOID DpcContext;
static KIRQL DpcIrql;
static KEVENT DpcDone;

static VOID NTAPI
DpcRoutine(PKDPC Dpc, PVOID Context, PVOID One, PVOID Two)
{
    DpcIrql = KeGetCurrentIrql();
    DpcContext = Context;
    InterlockedIncrement(&DpcCalls);
    KeSetEvent(&DpcDone, IO_NO_INCREMENT, FALSE);
}

static VOID
Timers(VOID)
{
    static KTIMER Timer;
    static KDPC Dpc;
    LARGE_INTEGER Before, After;

    KeInitializeEvent(&DpcDone, SynchronizationEvent, FALSE);
    KeInitializeDpc(&Dpc, DpcRoutine, &Timer);
    KeInitializeTimer(&Timer);
    KeQuerySystemTime(&Before);
    CHECK(!KeSetTimer(&Timer, Relative(50), &Dpc));
    CHECK_STATUS(Wait(&Timer, 10000), STATUS_SUCCESS);
    KeQuerySystemTime(&After);
    CHECK(After.QuadPart - Before.QuadPart >= 49 * 10000);
    CHECK(After.QuadPart - Before.QuadPart < 5000 * 10000);
    CHECK_STATUS(Wait(&DpcDone, 10000), STATUS_SUCCESS);
    CHECK_EQ(DpcIrql, DISPATCH_LEVEL);
    CHECK(DpcContext == &Timer);
    CHECK(KeReadStateTimer(&Timer));

    KeSetTimer(&Timer, Relative(100000), NULL);
    CHECK(KeSetTimer(&Timer, Relative(100000), NULL));
    CHECK(KeCancelTimer(&Timer));
    CHECK(!KeCancelTimer(&Timer));

    /* Periodic: comes again until it is cancelled. */
    DpcCalls = 0;
    KeInitializeTimerEx(&Timer, SynchronizationTimer);
    KeSetTimerEx(&Timer, Relative(10), 10, &Dpc);
    Sleep(200);
    CHECK(DpcCalls >= 5);
    CHECK(KeCancelTimer(&Timer));
    KeFlushQueuedDpcs();
    DpcCalls = 0;
    Sleep(100);
    CHECK_EQ(DpcCalls, 0);
}

static VOID
Dpcs(VOID)
{
    static KDPC Dpc;
    ULONG Processor;
    KIRQL OldIrql;

    KeInitializeDpc(&Dpc, DpcRoutine, NULL);
    DpcCalls = 0;
    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    CHECK(KeInsertQueueDpc(&Dpc, NULL, NULL));
    CHECK(!KeInsertQueueDpc(&Dpc, NULL, NULL));
    KeLowerIrql(OldIrql);
    KeFlushQueuedDpcs();
    CHECK_EQ(DpcCalls, 1);
    for (Processor = 0; Processor < KeQueryActiveProcessorCount(NULL); Processor += 1) {
        KeSetTargetProcessorDpc(&Dpc, (CCHAR)Processor);
        KeInsertQueueDpc(&Dpc, NULL, NULL);
        KeFlushQueuedDpcs();
    }
    CHECK_EQ(DpcCalls, 1 + Processor);
    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    KeSetTargetProcessorDpc(&Dpc, (CCHAR)KeGetCurrentProcessorNumber());
    KeInsertQueueDpc(&Dpc, NULL, NULL);
    CHECK(KeRemoveQueueDpc(&Dpc));
    CHECK(!KeRemoveQueueDpc(&Dpc));
    KeLowerIrql(OldIrql);
    KeFlushQueuedDpcs();
    CHECK_EQ(DpcCalls, 1 + Processor);
}

/* --- Threads --- */

static KEVENT Go, Stop;
static volatile LONG Ran;
static LONG Counter;
static KSPIN_LOCK CounterLock;

static VOID NTAPI
Adder(PVOID Context)
{
    KIRQL OldIrql;
    ULONG Round;

    KeWaitForSingleObject(&Go, Executive, KernelMode, FALSE, NULL);
    for (Round = 0; Round < 300; Round += 1) {
        LONG Seen;

        KeAcquireSpinLock(&CounterLock, &OldIrql);
        Seen = *(volatile LONG *)&Counter;
        if (Round % 7 == 0) {
            YieldProcessor();
        }
        *(volatile LONG *)&Counter = Seen + 1;
        KeReleaseSpinLock(&CounterLock, OldIrql);
    }
    InterlockedIncrement(&Ran);
    if (Context != NULL) {
        PsTerminateSystemThread(STATUS_ABANDONED);
    }
}

static VOID
Threads(VOID)
{
    PVOID Threads[6];
    ULONG_PTR Index;

    KeInitializeEvent(&Go, NotificationEvent, FALSE);
    KeInitializeSpinLock(&CounterLock);
    for (Index = 0; Index < RTL_NUMBER_OF(Threads); Index += 1) {
        Threads[Index] = StartThread(Adder, (PVOID)(Index & 1));
        REQUIRE(Threads[Index] != NULL);
    }
    CHECK_EQ(Ran, 0);
    KeSetEvent(&Go, IO_NO_INCREMENT, FALSE);
    CHECK_STATUS(KeWaitForMultipleObjects(3, Threads, WaitAll, Executive, KernelMode, FALSE, NULL, NULL),
                 STATUS_SUCCESS);
    for (Index = 0; Index < RTL_NUMBER_OF(Threads); Index += 1) {
        JoinThread(Threads[Index]);
    }
    CHECK_EQ(Ran, 6);
    CHECK_EQ(Counter, 6 * 300);
}

static VOID
Multiple(VOID)
{
    static KEVENT Events[3];
    PVOID Objects[3] = {&Events[0], &Events[1], &Events[2]};
    LARGE_INTEGER Time = Relative(1);
    ULONG Index;

    for (Index = 0; Index < 3; Index += 1) {
        KeInitializeEvent(&Events[Index], SynchronizationEvent, FALSE);
    }
    CHECK_STATUS(KeWaitForMultipleObjects(3, Objects, WaitAny, Executive, KernelMode, FALSE, &Time, NULL),
                 STATUS_TIMEOUT);
    KeSetEvent(&Events[2], IO_NO_INCREMENT, FALSE);
    CHECK_STATUS(KeWaitForMultipleObjects(3, Objects, WaitAny, Executive, KernelMode, FALSE, &Time, NULL),
                 STATUS_WAIT_0 + 2);
    KeSetEvent(&Events[0], IO_NO_INCREMENT, FALSE);
    KeSetEvent(&Events[1], IO_NO_INCREMENT, FALSE);
    CHECK_STATUS(KeWaitForMultipleObjects(3, Objects, WaitAll, Executive, KernelMode, FALSE, &Time, NULL),
                 STATUS_TIMEOUT);
    CHECK(KeReadStateEvent(&Events[0]) != 0);
    KeSetEvent(&Events[2], IO_NO_INCREMENT, FALSE);
    CHECK_STATUS(KeWaitForMultipleObjects(3, Objects, WaitAll, Executive, KernelMode, FALSE, &Time, NULL),
                 STATUS_SUCCESS);
    CHECK_EQ(KeReadStateEvent(&Events[0]), 0);
}

/* Two threads that wake each other. */
static KEVENT Ping, Pong;

static VOID NTAPI
Echo(PVOID Context)
{
    ULONG Round;

    for (Round = 0; Round < 100; Round += 1) {
        KeWaitForSingleObject(&Ping, Executive, KernelMode, FALSE, NULL);
        KeSetEvent(&Pong, IO_NO_INCREMENT, FALSE);
    }
}

static VOID
PingPong(VOID)
{
    PVOID Thread;
    ULONG Round;

    KeInitializeEvent(&Ping, SynchronizationEvent, FALSE);
    KeInitializeEvent(&Pong, SynchronizationEvent, FALSE);
    Thread = StartThread(Echo, NULL);
    REQUIRE(Thread != NULL);
    for (Round = 0; Round < 100; Round += 1) {
        KeSetEvent(&Ping, IO_NO_INCREMENT, FALSE);
        if (Wait(&Pong, 10000) != STATUS_SUCCESS) {
            break;
        }
    }
    CHECK_EQ(Round, 100);
    JoinThread(Thread);
}

static KEVENT WorkDone;

static VOID NTAPI
Work(PVOID Context)
{
    KeSetEvent(&WorkDone, IO_NO_INCREMENT, FALSE);
}

static VOID
WorkItems(VOID)
{
    static WORK_QUEUE_ITEM Item;

    KeInitializeEvent(&WorkDone, NotificationEvent, FALSE);
    ExInitializeWorkItem(&Item, Work, NULL);
    ExQueueWorkItem(&Item, DelayedWorkQueue);
    CHECK_STATUS(Wait(&WorkDone, 10000), STATUS_SUCCESS);
}

static VOID
Rundown(VOID)
{
    EX_RUNDOWN_REF Ref;

    ExInitializeRundownProtection(&Ref);
    CHECK(ExAcquireRundownProtection(&Ref));
    ExReleaseRundownProtection(&Ref);
    ExWaitForRundownProtectionRelease(&Ref);
    CHECK(!ExAcquireRundownProtection(&Ref));
    ExReInitializeRundownProtection(&Ref);
    CHECK(ExAcquireRundownProtection(&Ref));
    ExReleaseRundownProtection(&Ref);
}

static VOID
Queued(VOID)
{
    KLOCK_QUEUE_HANDLE Handle;
    KSPIN_LOCK Lock;

    KeInitializeSpinLock(&Lock);
    KeAcquireInStackQueuedSpinLock(&Lock, &Handle);
    CHECK_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
    KeReleaseInStackQueuedSpinLock(&Handle);
    CHECK_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
}

static VOID
Test(VOID)
{
    Events();
    Semaphores();
    Mutexes();
    Resources();
    Timers();
    Dpcs();
    Threads();
    Multiple();
    PingPong();
    WorkItems();
    Rundown();
    Queued();
}

CHECK_DRIVER
