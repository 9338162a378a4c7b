/*
 * Executive timers: allocated objects that call back, that threads can wait for, and that end after their
 * last callback.
 *
 * A timer is a KTIMER with a DPC that calls back at DISPATCH_LEVEL. The DPC always runs on the processor that
 * made the timer, so its runs follow one another; the last one, queued by ExDeleteTimer or left to the
 * expiry, ends the timer: by then no callback is in progress.
 *
 *     ExAllocateTimer --> idle -- ExSetTimer --> armed -- expired (once), ExCancelTimer --> idle
 *                            \__ ExDeleteTimer __/ ------> deleting -- the DPC --> freed
 *
 * The spin lock in the timer guards Armed, Deleting and what ExDeleteTimer leaves for the DPC; a leaf, under
 * which the KTIMER is started and stopped. Document: "ExXxxTimer Routines and EX_TIMER Objects".
 */
#include "ex.h"
#include <ntexport.h>

#define EXP_TIMER_TAG 0x6D547845u /* "ExTm" */
#define EXP_TIMER_ATTRIBUTES (EX_TIMER_HIGH_RESOLUTION | EX_TIMER_NO_WAKE | EX_TIMER_NOTIFICATION)
#define EXP_UNITS_PER_MS 10000

struct _EX_TIMER {
    KTIMER Timer; /* first: threads wait for the address of the EX_TIMER */
    KDPC Dpc;
    KSPIN_LOCK Lock;
    PEXT_CALLBACK Callback;
    PVOID CallbackContext;
    PEXT_DELETE_CALLBACK DeleteCallback;
    PVOID DeleteContext;
    PKEVENT Deleted; /* on the stack of an ExDeleteTimer that waits */
    BOOLEAN Periodic;
    BOOLEAN Armed;
    BOOLEAN Deleting;
};

static volatile LONG ExpTimerCount;

/* Nothing refers to the timer any more. DISPATCH_LEVEL. */
static VOID
ExpEndTimer(PEX_TIMER Timer)
{
    PKEVENT Deleted = Timer->Deleted;

    if (Timer->DeleteCallback != NULL) {
        KiCallRoutine((PVOID)(ULONG_PTR)Timer->DeleteCallback, (ULONG_PTR)Timer->DeleteContext, 0, 0, 0);
    }
    ExFreePoolWithTag(Timer, EXP_TIMER_TAG);
    InterlockedDecrement(&ExpTimerCount);
    if (Deleted != NULL) {
        KeSetEvent(Deleted, IO_NO_INCREMENT, FALSE);
    }
}

static VOID NTAPI
ExpTimerDpc(PKDPC Dpc, PVOID DeferredContext, PVOID SystemArgument1, PVOID SystemArgument2)
{
    PEX_TIMER Timer = DeferredContext;
    BOOLEAN Call;
    BOOLEAN Deleting;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(SystemArgument1);
    UNREFERENCED_PARAMETER(SystemArgument2);
    KiAcquireRankedLock(&Timer->Lock, LockRankHandleTable);
    Call = Timer->Armed && Timer->Callback != NULL;
    if (Timer->Armed && !Timer->Periodic) {
        Timer->Armed = FALSE;
    }
    KiReleaseRankedLock(&Timer->Lock);
    if (Call) {
        KiCallRoutine((PVOID)(ULONG_PTR)Timer->Callback, (ULONG_PTR)Timer, (ULONG_PTR)Timer->CallbackContext,
                      0, 0);
    }
    /* The callback may have asked for the end itself: its own DPC is then queued behind this one. */
    KiAcquireRankedLock(&Timer->Lock, LockRankHandleTable);
    Deleting = Timer->Deleting && !Timer->Armed && Timer->Dpc.DpcData == NULL;
    KiReleaseRankedLock(&Timer->Lock);
    if (Deleting) {
        ExpEndTimer(Timer);
    }
}

/*
 * Make a timer that is idle. Callback (optional) is called at each expiry with the timer and CallbackContext.
 * NULL without memory, or with attributes that do not exist. The caller ends it with ExDeleteTimer. IRQL <=
 * DISPATCH_LEVEL.
 */
PEX_TIMER NTAPI
ExAllocateTimer(PEXT_CALLBACK Callback, PVOID CallbackContext, ULONG Attributes)
{
    PROCESSOR_NUMBER Processor = {0};
    PEX_TIMER Timer;

    if ((Attributes & ~EXP_TIMER_ATTRIBUTES) != 0) {
        return NULL;
    }
    Timer = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*Timer), EXP_TIMER_TAG);
    if (Timer == NULL) {
        return NULL;
    }
    KeInitializeTimerEx(&Timer->Timer,
                        (Attributes & EX_TIMER_NOTIFICATION) != 0 ? NotificationTimer : SynchronizationTimer);
    KeInitializeDpc(&Timer->Dpc, ExpTimerDpc, Timer);
    Processor.Number = (UCHAR)PcrRead32(Number);
    KeSetTargetProcessorDpcEx(&Timer->Dpc, &Processor);
    Timer->Callback = Callback;
    Timer->CallbackContext = CallbackContext;
    InterlockedIncrement(&ExpTimerCount);
    return Timer;
}
NTEXPORT(ExAllocateTimer);

/* Stop it, and forget an expiry whose callback has not begun. TRUE if it was armed. The lock is held. */
static BOOLEAN
ExpDisarmLocked(PEX_TIMER Timer)
{
    BOOLEAN WasArmed = Timer->Armed;

    KeCancelTimer(&Timer->Timer);
    KeRemoveQueueDpc(&Timer->Dpc);
    Timer->Armed = FALSE;
    return WasArmed;
}

/*
 * Start the timer, stopping it first; TRUE if it was started before. DueTime: 100 ns units, negative from
 * now, else a system time. Period: 100 ns units, rounded up to milliseconds, 0 for a single expiry. A timer
 * being deleted stays stopped. IRQL <= DISPATCH_LEVEL.
 */
BOOLEAN NTAPI
ExSetTimer(PEX_TIMER Timer, LONGLONG DueTime, LONGLONG Period, PEXT_SET_PARAMETERS Parameters)
{
    LARGE_INTEGER Due = {.QuadPart = DueTime};
    LONGLONG Milliseconds = Period <= 0 ? 0 : (Period - 1) / EXP_UNITS_PER_MS + 1;
    BOOLEAN WasArmed;
    KIRQL OldIrql;

    UNREFERENCED_PARAMETER(Parameters);
    OldIrql = KiAcquireRankedLockRaise(&Timer->Lock, LockRankHandleTable);
    WasArmed = ExpDisarmLocked(Timer);
    if (!Timer->Deleting) {
        Timer->Armed = TRUE;
        Timer->Periodic = Milliseconds != 0;
        KeSetTimerEx(&Timer->Timer, Due, (LONG)MIN(Milliseconds, (LONGLONG)MAXLONG), &Timer->Dpc);
    }
    KiReleaseRankedLockLower(&Timer->Lock, OldIrql);
    return WasArmed;
}
NTEXPORT(ExSetTimer);

/* Stop the timer; TRUE if it was started and had not expired. IRQL <= DISPATCH_LEVEL. */
BOOLEAN NTAPI
ExCancelTimer(PEX_TIMER Timer, PEXT_CANCEL_PARAMETERS Parameters)
{
    BOOLEAN WasArmed;
    KIRQL OldIrql;

    UNREFERENCED_PARAMETER(Parameters);
    OldIrql = KiAcquireRankedLockRaise(&Timer->Lock, LockRankHandleTable);
    WasArmed = Timer->Deleting ? FALSE : ExpDisarmLocked(Timer);
    KiReleaseRankedLockLower(&Timer->Lock, OldIrql);
    return WasArmed;
}
NTEXPORT(ExCancelTimer);

/*
 * End the timer; it must not be used afterwards. Cancel TRUE: it is stopped, and TRUE returned if it was
 * started. Cancel FALSE: a single expiry still to come is awaited, a periodic timer stops. Wait TRUE: return
 * when the last callback has, and the delete callback if Parameters name one; only with Cancel, IRQL <=
 * APC_LEVEL, else <= DISPATCH_LEVEL.
 */
BOOLEAN NTAPI
ExDeleteTimer(PEX_TIMER Timer, BOOLEAN Cancel, BOOLEAN Wait, PEXT_DELETE_PARAMETERS Parameters)
{
    BOOLEAN WasArmed = FALSE;
    KEVENT Deleted;
    KIRQL OldIrql;

    Wait = Wait && Cancel;
    KeInitializeEvent(&Deleted, SynchronizationEvent, FALSE);
    OldIrql = KiAcquireRankedLockRaise(&Timer->Lock, LockRankHandleTable);
    if (Parameters != NULL) {
        Timer->DeleteCallback = Parameters->DeleteCallback;
        Timer->DeleteContext = Parameters->DeleteContext;
    }
    Timer->Deleted = Wait ? &Deleted : NULL;
    Timer->Deleting = TRUE;
    if (Cancel || Timer->Periodic) {
        WasArmed = ExpDisarmLocked(Timer);
    }
    if (!Timer->Armed) {
        KeInsertQueueDpc(&Timer->Dpc, NULL, NULL);
    }
    KiReleaseRankedLockLower(&Timer->Lock, OldIrql);
    if (Wait) {
        KeWaitForSingleObject(&Deleted, Executive, KernelMode, FALSE, NULL);
    }
    return Cancel && WasArmed;
}
NTEXPORT(ExDeleteTimer);

ULONG
ExpLiveTimers(VOID)
{
    return (ULONG)__atomic_load_n(&ExpTimerCount, __ATOMIC_RELAXED);
}
