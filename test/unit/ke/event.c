/* Events and semaphores (ke/event.c). */
#include "kethreads.h"

static LARGE_INTEGER Now; /* a zero time-out: only look */

static NTSTATUS
Look(PVOID Object)
{
    return KeWaitForSingleObject(Object, Executive, KernelMode, FALSE, &Now);
}

KTEST(KeNotificationEventStaysSet)
{
    KEVENT Event;

    KeInitializeEvent(&Event, NotificationEvent, FALSE);
    CHECK_STATUS(STATUS_TIMEOUT, Look(&Event));
    CHECK_EQ(KeSetEvent(&Event, 0, FALSE), 0);
    CHECK_EQ(KeSetEvent(&Event, 0, FALSE), 1);
    CHECK_STATUS(STATUS_SUCCESS, Look(&Event));
    CHECK_STATUS(STATUS_SUCCESS, Look(&Event));
    CHECK_EQ(KeReadStateEvent(&Event), 1);
    CHECK_EQ(KeResetEvent(&Event), 1);
    CHECK_EQ(KeResetEvent(&Event), 0);
    CHECK_STATUS(STATUS_TIMEOUT, Look(&Event));
    KeSetEvent(&Event, 0, FALSE);
    KeClearEvent(&Event);
    CHECK_EQ(KeReadStateEvent(&Event), 0);
}

KTEST(KeSynchronizationEventSatisfiesOneWait)
{
    KEVENT Event;

    KeInitializeEvent(&Event, SynchronizationEvent, TRUE);
    CHECK_STATUS(STATUS_SUCCESS, Look(&Event));
    CHECK_STATUS(STATUS_TIMEOUT, Look(&Event));
}

KTEST(KeSemaphoreCounts)
{
    KSEMAPHORE Semaphore;

    KeInitializeSemaphore(&Semaphore, 2, 3);
    CHECK_STATUS(STATUS_SUCCESS, Look(&Semaphore));
    CHECK_STATUS(STATUS_SUCCESS, Look(&Semaphore));
    CHECK_STATUS(STATUS_TIMEOUT, Look(&Semaphore));
    CHECK_EQ(KeReleaseSemaphore(&Semaphore, 0, 3, FALSE), 0);
    CHECK_EQ(KeReadStateSemaphore(&Semaphore), 3);
}

static VOID
ReleaseTooOften(PVOID Context)
{
    KeReleaseSemaphore(Context, 0, 2, FALSE);
}

KTEST(KeSemaphoreLimitIsRaised)
{
    KSEMAPHORE Semaphore;

    KeInitializeSemaphore(&Semaphore, 2, 3);
    CHECK_BUGCHECK_CALL(KMODE_EXCEPTION_NOT_HANDLED, (ULONG_PTR)(LONG_PTR)STATUS_SEMAPHORE_LIMIT_EXCEEDED,
                        ReleaseTooOften, &Semaphore);
    CHECK_EQ(KeReadStateSemaphore(&Semaphore), 2);
}

static VOID
SetAtHighLevel(PVOID Context)
{
    KfRaiseIrql(CLOCK_LEVEL);
    KeSetEvent(Context, 0, FALSE);
}

KTEST(KeSetEventAboveDispatchIsFound)
{
    KEVENT Event;

    KeInitializeEvent(&Event, NotificationEvent, FALSE);
    CHECK_BUGCHECK_CALL(DRIVER_VERIFIER_DETECTED_VIOLATION, 0x80, SetAtHighLevel, &Event);
}

typedef struct _WAITERS {
    KEVENT Event;
    KEVENT Ready;
    volatile LONG Waiting;
    volatile LONG Awake;
} WAITERS;

static VOID NTAPI
WaitForEvent(PVOID Context)
{
    WAITERS *Waiters = Context;

    InterlockedIncrement(&Waiters->Waiting);
    CHECK_STATUS(STATUS_SUCCESS, KeWaitForSingleObject(&Waiters->Event, Executive, KernelMode, FALSE, NULL));
    InterlockedIncrement(&Waiters->Awake);
}

static VOID
StartWaiters(WAITERS *Waiters, PKTHREAD *Threads, ULONG Count, EVENT_TYPE Type)
{
    ULONG Index;

    RtlZeroMemory(Waiters, sizeof(*Waiters));
    KeInitializeEvent(&Waiters->Event, Type, FALSE);
    for (Index = 0; Index < Count; Index += 1) {
        Threads[Index] = KeTestStart(WaitForEvent, Waiters);
    }
    while (Waiters->Waiting != (LONG)Count) {
        KeTestSleep(1);
    }
    KeTestSleep(5);
}

KTEST(KeSetEventReleasesAllOrOne)
{
    PKTHREAD Threads[4];
    WAITERS Waiters;
    ULONG Index;

    StartWaiters(&Waiters, Threads, 4, NotificationEvent);
    CHECK_EQ(Waiters.Awake, 0);
    KeSetEvent(&Waiters.Event, EVENT_INCREMENT, FALSE);
    for (Index = 0; Index < 4; Index += 1) {
        KeTestJoin(Threads[Index]);
    }
    CHECK_EQ(Waiters.Awake, 4);

    StartWaiters(&Waiters, Threads, 4, SynchronizationEvent);
    for (Index = 1; Index <= 4; Index += 1) {
        KeSetEvent(&Waiters.Event, 0, FALSE);
        KeTestSleep(5);
        CHECK_EQ(Waiters.Awake, Index);
        CHECK_EQ(KeReadStateEvent(&Waiters.Event), 0);
    }
    for (Index = 0; Index < 4; Index += 1) {
        KeTestJoin(Threads[Index]);
    }
}

KTEST(KePulseEventReleasesThoseWhoWait)
{
    PKTHREAD Threads[2];
    WAITERS Waiters;

    StartWaiters(&Waiters, Threads, 2, NotificationEvent);
    CHECK_EQ(KePulseEvent(&Waiters.Event, 0, FALSE), 0);
    CHECK_EQ(KeReadStateEvent(&Waiters.Event), 0);
    KeTestJoin(Threads[0]);
    KeTestJoin(Threads[1]);
    CHECK_EQ(Waiters.Awake, 2);
}

KTEST(KeSetEventWithWaitStaysRaisedUntilTheWait)
{
    KEVENT First;
    KEVENT Second;
    LARGE_INTEGER Soon = KeTestMilliseconds(1);

    KeInitializeEvent(&First, NotificationEvent, FALSE);
    KeInitializeEvent(&Second, NotificationEvent, FALSE);
    KeSetEvent(&First, 0, TRUE);
    CHECK_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
    CHECK_STATUS(STATUS_TIMEOUT, KeWaitForSingleObject(&Second, Executive, KernelMode, FALSE, &Soon));
    CHECK_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
    CHECK_EQ(KeReadStateEvent(&First), 1);
}
