/*
 * Events and semaphores: their signal state and its change under the dispatcher lock. What the state means to
 * waiters is in wait.c.
 */
#include "kep.h"
#include <ntexport.h>

/* Set and the like are for DISPATCH_LEVEL and below, Driver Verifier's rule 0x80. */
static VOID
KipCheckSetIrql(PVOID Object)
{
    KIRQL Irql = HalGetIrql();

    if (Irql > DISPATCH_LEVEL) {
        KiVerifierStop(0x80, Irql, (ULONG_PTR)Object, 0);
    }
}

/* Make an event: NotificationEvent stays signaled until reset, SynchronizationEvent until one wait. Any IRQL. */
VOID NTAPI
KeInitializeEvent(PRKEVENT Event, EVENT_TYPE Type, BOOLEAN State)
{
    Event->Header.Lock = 0;
    Event->Header.Type = Type == NotificationEvent ? KiEventNotification : KiEventSynchronization;
    Event->Header.Size = sizeof(KEVENT) / sizeof(LONG);
    Event->Header.SignalState = State != FALSE;
    InitializeListHead(&Event->Header.WaitListHead);
}
NTEXPORT(KeInitializeEvent);

/*
 * Signal the event and release waiters with a priority boost of Increment; returns the state before. Wait TRUE: the
 * caller's next call is a wait, until then it stays at DISPATCH_LEVEL. IRQL <= DISPATCH_LEVEL.
 */
LONG NTAPI
KeSetEvent(PRKEVENT Event, KPRIORITY Increment, BOOLEAN Wait)
{
    LONG Old;
    KIRQL OldIrql;

    KipCheckSetIrql(Event);
    OldIrql = KiEnterWait(KiCurrentThread());
    Old = Event->Header.SignalState;
    Event->Header.SignalState = 1;
    if (Old == 0) {
        KiWaitTestLocked(Event, Increment);
    }
    KiExitDispatcher(OldIrql, Wait);
    return Old;
}
NTEXPORT(KeSetEvent);

/* Release the waiters of now (of a SynchronizationEvent: one) and leave the event not signaled. As KeSetEvent. */
LONG NTAPI
KePulseEvent(PRKEVENT Event, KPRIORITY Increment, BOOLEAN Wait)
{
    LONG Old;
    KIRQL OldIrql;

    KipCheckSetIrql(Event);
    OldIrql = KiEnterWait(KiCurrentThread());
    Old = Event->Header.SignalState;
    if (Old == 0) {
        Event->Header.SignalState = 1;
        KiWaitTestLocked(Event, Increment);
    }
    Event->Header.SignalState = 0;
    KiExitDispatcher(OldIrql, Wait);
    return Old;
}
NTEXPORT(KePulseEvent);

/* Not signaled from now on; returns the state before. IRQL <= DISPATCH_LEVEL. */
LONG NTAPI
KeResetEvent(PRKEVENT Event)
{
    LONG Old;
    KIRQL OldIrql;

    KipCheckSetIrql(Event);
    OldIrql = KiLockDispatcher();
    Old = Event->Header.SignalState;
    Event->Header.SignalState = 0;
    KiUnlockDispatcher(OldIrql);
    return Old;
}
NTEXPORT(KeResetEvent);

/* The same without an answer. */
VOID NTAPI
KeClearEvent(PRKEVENT Event)
{
    __atomic_store_n(&Event->Header.SignalState, 0, __ATOMIC_SEQ_CST);
}
NTEXPORT(KeClearEvent);

/* Non-zero if signaled when looked at. Any IRQL. */
LONG NTAPI
KeReadStateEvent(PRKEVENT Event)
{
    HalChoicePoint(HalChoiceLock);
    return __atomic_load_n(&Event->Header.SignalState, __ATOMIC_ACQUIRE);
}
NTEXPORT(KeReadStateEvent);

/* Make a semaphore of Count, at most Limit. Any IRQL. */
VOID NTAPI
KeInitializeSemaphore(PRKSEMAPHORE Semaphore, LONG Count, LONG Limit)
{
    Semaphore->Header.Lock = 0;
    Semaphore->Header.Type = KiSemaphore;
    Semaphore->Header.Size = sizeof(KSEMAPHORE) / sizeof(LONG);
    Semaphore->Header.SignalState = Count;
    Semaphore->Limit = Limit;
    InitializeListHead(&Semaphore->Header.WaitListHead);
}
NTEXPORT(KeInitializeSemaphore);

/*
 * Add Adjustment to the count and release as many waiters; returns the count before. Passing the limit, or an
 * Adjustment that is not positive, changes nothing and raises STATUS_SEMAPHORE_LIMIT_EXCEEDED. IRQL <= DISPATCH_LEVEL,
 * Wait as for KeSetEvent.
 */
LONG NTAPI
KeReleaseSemaphore(PRKSEMAPHORE Semaphore, KPRIORITY Increment, LONG Adjustment, BOOLEAN Wait)
{
    LONG Old;
    LONG64 New;
    KIRQL OldIrql;

    KipCheckSetIrql(Semaphore);
    OldIrql = KiEnterWait(KiCurrentThread());
    Old = Semaphore->Header.SignalState;
    New = (LONG64)Old + Adjustment;
    if (New > Semaphore->Limit || New <= Old) {
        KiUnlockDispatcher(OldIrql);
        KiRaiseStatus(STATUS_SEMAPHORE_LIMIT_EXCEEDED);
    }
    Semaphore->Header.SignalState = (LONG)New;
    KiWaitTestLocked(Semaphore, Increment);
    KiExitDispatcher(OldIrql, Wait);
    return Old;
}
NTEXPORT(KeReleaseSemaphore);

/* The count when looked at. Any IRQL. */
LONG NTAPI
KeReadStateSemaphore(PRKSEMAPHORE Semaphore)
{
    HalChoicePoint(HalChoiceLock);
    return __atomic_load_n(&Semaphore->Header.SignalState, __ATOMIC_ACQUIRE);
}
NTEXPORT(KeReadStateSemaphore);
