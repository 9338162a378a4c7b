/*
 * Fast and guarded mutexes.
 *
 * Both are a count, an owner and a synchronization event. Count is 1 when the mutex is free, 0 when it is
 * held, and one lower for each thread that waits. Who brings it from 1 to 0 owns the mutex; everybody else
 * waits for the event, which each release that finds waiters sets once: ownership goes over with the event,
 * in order of arrival.
 *
 * A fast mutex runs its owner at APC_LEVEL, a guarded mutex in a guarded region. Neither is recursive. The
 * level rules are Driver Verifier's: 0xC4 with 0x33 (acquire above APC_LEVEL), 0x34 (release not at
 * APC_LEVEL), 0x39 and 0x3A (unsafe forms with APCs enabled); a release by a thread that is not the owner is
 * 0x11.
 *
 * Document: "Fast Mutexes and Guarded Mutexes".
 */
#include "ex.h"
#include <ntexport.h>

/* Take the mutex, waiting if somebody has it. */
static VOID
ExpEnterMutex(volatile LONG *Count, PULONG Contention, PVOID Event, KWAIT_REASON Reason)
{
    HalChoicePoint(HalChoiceLock);
    if (InterlockedDecrement(Count) != 0) {
        __atomic_fetch_add(Contention, 1, __ATOMIC_RELAXED);
        KeWaitForSingleObject(Event, Reason, KernelMode, FALSE, NULL);
    }
}

static BOOLEAN
ExpTryMutex(volatile LONG *Count)
{
    HalChoicePoint(HalChoiceLock);
    return InterlockedCompareExchange(Count, 0, 1) == 1;
}

static VOID
ExpLeaveMutex(volatile LONG *Count, PVOID Event)
{
    if (InterlockedIncrement(Count) <= 0) {
        KeSetEvent((PRKEVENT)Event, IO_NO_INCREMENT, FALSE);
    }
}

static VOID
ExpCheckOwner(PVOID Mutex, PVOID Owner)
{
    PVOID Thread = KiCurrentThread();

    if (Owner != Thread) {
        KeBugCheckEx(THREAD_NOT_MUTEX_OWNER, (ULONG_PTR)Thread, (ULONG_PTR)Mutex, (ULONG_PTR)Owner, 0);
    }
}

/* --- Fast mutexes ----------------------------------------------------------------------------- */

/* The routine behind the inline one, for images that import it. IRQL <= DISPATCH_LEVEL. */
static VOID NTAPI
ExpInitializeFastMutex(PFAST_MUTEX FastMutex)
{
    ExInitializeFastMutex(FastMutex);
}
NTEXPORT_AS("ExInitializeFastMutex", ExpInitializeFastMutex);

static VOID
ExpCheckAcquireIrql(PFAST_MUTEX FastMutex)
{
    KIRQL Irql = HalGetIrql();

    if (Irql > APC_LEVEL) {
        ExpVerifierStop(0x33, Irql, (ULONG_PTR)FastMutex, 0);
    }
}

/* Wait for the mutex and raise to APC_LEVEL. IRQL <= APC_LEVEL. */
VOID NTAPI
ExAcquireFastMutex(PFAST_MUTEX FastMutex)
{
    KIRQL OldIrql;

    ExpCheckAcquireIrql(FastMutex);
    OldIrql = KiRaiseIrql(APC_LEVEL);
    ExpEnterMutex(&FastMutex->Count, &FastMutex->Contention, &FastMutex->Event, WrFastMutex);
    FastMutex->Owner = KiCurrentThread();
    FastMutex->OldIrql = OldIrql;
}
NTEXPORT(ExAcquireFastMutex);

/* Take it and raise to APC_LEVEL, or return FALSE at once with nothing changed. IRQL <= APC_LEVEL. */
BOOLEAN NTAPI
ExTryToAcquireFastMutex(PFAST_MUTEX FastMutex)
{
    KIRQL OldIrql;

    ExpCheckAcquireIrql(FastMutex);
    OldIrql = KiRaiseIrql(APC_LEVEL);
    if (!ExpTryMutex(&FastMutex->Count)) {
        KiLowerIrql(OldIrql);
        return FALSE;
    }
    FastMutex->Owner = KiCurrentThread();
    FastMutex->OldIrql = OldIrql;
    return TRUE;
}
NTEXPORT(ExTryToAcquireFastMutex);

/* Give it up and go back to the IRQL before the acquire. The caller owns it and is at APC_LEVEL. */
VOID NTAPI
ExReleaseFastMutex(PFAST_MUTEX FastMutex)
{
    KIRQL OldIrql = (KIRQL)FastMutex->OldIrql;

    if (HalGetIrql() != APC_LEVEL) {
        ExpVerifierStop(0x34, HalGetIrql(), (ULONG_PTR)FastMutex, 0);
    }
    ExpCheckOwner(FastMutex, FastMutex->Owner);
    FastMutex->Owner = NULL;
    ExpLeaveMutex(&FastMutex->Count, &FastMutex->Event);
    KiLowerIrql(OldIrql);
    HalChoicePoint(HalChoiceIrql);
}
NTEXPORT(ExReleaseFastMutex);

static VOID
ExpCheckApcsDisabled(ULONG Rule, PVOID Mutex)
{
    if (HalGetIrql() > APC_LEVEL || !KeAreApcsDisabled()) {
        ExpVerifierStop(Rule, HalGetIrql(), (ULONG_PTR)(LONG_PTR)KiCurrentThread()->KernelApcDisable,
                        (ULONG_PTR)Mutex);
    }
}

/* The same for a caller that has disabled normal kernel APCs itself: IRQL stays as it is. */
VOID NTAPI
ExAcquireFastMutexUnsafe(PFAST_MUTEX FastMutex)
{
    ExpCheckApcsDisabled(0x39, FastMutex);
    ExpEnterMutex(&FastMutex->Count, &FastMutex->Contention, &FastMutex->Event, WrFastMutex);
    FastMutex->Owner = KiCurrentThread();
}
NTEXPORT(ExAcquireFastMutexUnsafe);

VOID NTAPI
ExReleaseFastMutexUnsafe(PFAST_MUTEX FastMutex)
{
    ExpCheckApcsDisabled(0x3A, FastMutex);
    ExpCheckOwner(FastMutex, FastMutex->Owner);
    FastMutex->Owner = NULL;
    ExpLeaveMutex(&FastMutex->Count, &FastMutex->Event);
}
NTEXPORT(ExReleaseFastMutexUnsafe);

/* --- Guarded mutexes -------------------------------------------------------------------------- */

/* Make a free guarded mutex. IRQL <= DISPATCH_LEVEL. */
VOID NTAPI
KeInitializeGuardedMutex(PKGUARDED_MUTEX Mutex)
{
    Mutex->Count = 1;
    Mutex->Owner = NULL;
    Mutex->Contention = 0;
    Mutex->CombinedApcDisable = 0;
    KeInitializeEvent((PRKEVENT)&Mutex->Gate, SynchronizationEvent, FALSE);
}
NTEXPORT(KeInitializeGuardedMutex);

/* Enter a guarded region and wait for the mutex. IRQL <= APC_LEVEL. */
VOID NTAPI
KeAcquireGuardedMutex(PKGUARDED_MUTEX Mutex)
{
    KeEnterGuardedRegion();
    ExpEnterMutex(&Mutex->Count, &Mutex->Contention, &Mutex->Gate, WrGuardedMutex);
    Mutex->Owner = KeGetCurrentThread();
}
NTEXPORT(KeAcquireGuardedMutex);

/* Take it in a guarded region, or return FALSE at once, in none. IRQL <= APC_LEVEL. */
BOOLEAN NTAPI
KeTryToAcquireGuardedMutex(PKGUARDED_MUTEX Mutex)
{
    KeEnterGuardedRegion();
    if (!ExpTryMutex(&Mutex->Count)) {
        KeLeaveGuardedRegion();
        return FALSE;
    }
    Mutex->Owner = KeGetCurrentThread();
    return TRUE;
}
NTEXPORT(KeTryToAcquireGuardedMutex);

/* Give it up and leave the guarded region; bug check 0x11 if another thread owns it. IRQL <= APC_LEVEL. */
VOID NTAPI
KeReleaseGuardedMutex(PKGUARDED_MUTEX Mutex)
{
    KeReleaseGuardedMutexUnsafe(Mutex);
    KeLeaveGuardedRegion();
}
NTEXPORT(KeReleaseGuardedMutex);

/* The same for a caller in a guarded region, or at APC_LEVEL, already. */
VOID NTAPI
KeAcquireGuardedMutexUnsafe(PKGUARDED_MUTEX Mutex)
{
    if (!KeAreAllApcsDisabled()) {
        ExpVerifierStop(0x39, HalGetIrql(), 0, (ULONG_PTR)Mutex);
    }
    ExpEnterMutex(&Mutex->Count, &Mutex->Contention, &Mutex->Gate, WrGuardedMutex);
    Mutex->Owner = KeGetCurrentThread();
}
NTEXPORT(KeAcquireGuardedMutexUnsafe);

VOID NTAPI
KeReleaseGuardedMutexUnsafe(PKGUARDED_MUTEX Mutex)
{
    ExpCheckOwner(Mutex, Mutex->Owner);
    Mutex->Owner = NULL;
    ExpLeaveMutex(&Mutex->Count, &Mutex->Gate);
}
NTEXPORT(KeReleaseGuardedMutexUnsafe);
