/*
 * Timers: a hierarchical wheel of those that are set, and the routines that set and cancel them.
 *
 * Time is counted in slots of 2^10 units of 100 ns (0.1 ms); a timer is due at the first slot that begins at or
 * after its due time, so it is never early. Level n of the wheel has 64 slots of 64^n slots each. A timer goes to the
 * level of the highest group of six bits in which its slot differs from the wheel's Elapsed, and to the slot
 * that group names:
 *
 *   Elapsed  ... 000101 000011 010110        Due ... 000101 001000 110001
 *                                                           ^ differs: level 1, slot 8
 *
 * All slots in use at a level lie ahead of Elapsed's own, and a lower level's before a higher one's. So the lowest
 * bit of the lowest occupied level is what comes next; when Elapsed reaches a slot of a higher level its timers
 * move down, and one of level 0 is due. Setting and cancelling cost constant time, and timers due in one slot go off
 * in the order they were set (or came down) in: nothing depends on addresses.
 *
 * The wheel is the dispatcher lock's. A timer that is set has TimerListEntry.Flink != NULL, one that is not has
 * NULL there. DueTime holds interrupt time.
 */
#include "kep.h"
#include <ntexport.h>

#define KI_WHEEL_SHIFT 10
#define KI_WHEEL_BITS 6
#define KI_WHEEL_SLOTS (1u << KI_WHEEL_BITS)
#define KI_WHEEL_LEVELS 9 /* 54 bits: all of time */

static LIST_ENTRY KiWheel[KI_WHEEL_LEVELS * KI_WHEEL_SLOTS]; /* level by level */
static ULONG64 KiWheelOccupied[KI_WHEEL_LEVELS]; /* bit n: slot n has timers */
static ULONG64 KiWheelElapsed;                   /* slots */

VOID
KiInitializeTimers(VOID)
{
    ULONG Index;

    for (Index = 0; Index < RTL_NUMBER_OF(KiWheel); Index += 1) {
        InitializeListHead(&KiWheel[Index]);
    }
}

/* The slot whose beginning a due time waits for. */
static ULONG64
KipDueSlot(ULONG64 InterruptTime)
{
    return (InterruptTime >> KI_WHEEL_SHIFT) + ((InterruptTime & ((1u << KI_WHEEL_SHIFT) - 1)) != 0);
}

static VOID
KipWheelInsert(PKTIMER Timer)
{
    ULONG64 Due = KipDueSlot(Timer->DueTime.QuadPart);
    ULONG Level;
    ULONG Slot;

    NT_ASSERT(Due > KiWheelElapsed);
    Level = (63 - (ULONG)__builtin_clzll(Due ^ KiWheelElapsed)) / KI_WHEEL_BITS;
    Slot = (ULONG)(Due >> (Level * KI_WHEEL_BITS)) & (KI_WHEEL_SLOTS - 1);
    InsertTailList(&KiWheel[Level * KI_WHEEL_SLOTS + Slot], &Timer->TimerListEntry);
    KiWheelOccupied[Level] |= 1ull << Slot;
}

/* The first slot in use: its level, number and beginning. FALSE if the wheel is empty. */
static BOOLEAN
KipWheelNext(PULONG Level, PULONG Slot, PULONG64 Begin)
{
    ULONG64 Above;

    for (*Level = 0; *Level < KI_WHEEL_LEVELS; *Level += 1) {
        if (KiWheelOccupied[*Level] != 0) {
            *Slot = (ULONG)__builtin_ctzll(KiWheelOccupied[*Level]);
            Above = ~0ull << (*Level * KI_WHEEL_BITS) << KI_WHEEL_BITS;
            *Begin = (KiWheelElapsed & Above) | ((ULONG64)*Slot << (*Level * KI_WHEEL_BITS));
            return TRUE;
        }
    }
    return FALSE;
}

ULONG64
KiNextTimerDueLocked(VOID)
{
    ULONG64 Begin;
    ULONG Level;
    ULONG Slot;

    return KipWheelNext(&Level, &Slot, &Begin) ? Begin << KI_WHEEL_SHIFT : HAL_NO_TIME;
}

ULONG64
KiDueInterruptTime(LONGLONG DueTime)
{
    ULONG64 Now;
    ULONG64 Boot;

    if (DueTime < 0) {
        Now = HalQueryInterruptTime();
        /* Negating in unsigned arithmetic is right for the most negative value too. */
        return Now + (0 - (ULONG64)DueTime);
    }
    Boot = HalQueryBootTime();
    return (ULONG64)DueTime > Boot ? (ULONG64)DueTime - Boot : 0;
}

BOOLEAN
KiInsertTimerLocked(PKTIMER Timer, ULONG64 InterruptTime)
{
    ULONG64 Now = HalQueryInterruptTime();

    NT_ASSERT(Timer->TimerListEntry.Flink == NULL);
    Timer->DueTime.QuadPart = InterruptTime;
    if (InterruptTime <= Now) {
        return FALSE;
    }
    KipWheelInsert(Timer);
    KiArmClockLocked();
    return TRUE;
}

BOOLEAN
KiRemoveTimerLocked(PKTIMER Timer)
{
    PLIST_ENTRY Head = Timer->TimerListEntry.Flink;
    ULONG_PTR Index;

    if (Head == NULL) {
        return FALSE;
    }
    if (RemoveEntryList(&Timer->TimerListEntry) && Head >= KiWheel && Head < KiWheel + RTL_NUMBER_OF(KiWheel)) {
        /* It was alone: its neighbour is the list head, whose place in the wheel tells the bit (or it is in the batch
         * that is going off now, which has none). */
        Index = (ULONG_PTR)(Head - KiWheel);
        KiWheelOccupied[Index / KI_WHEEL_SLOTS] &= ~(1ull << (Index % KI_WHEEL_SLOTS));
    }
    Timer->TimerListEntry.Flink = NULL;
    return TRUE;
}

/* A timer's time has come: set it again if it is periodic, signal it, queue its DPC. */
static VOID
KipTimerDue(PKTIMER Timer, ULONG64 Now)
{
    ULONG64 Period = (ULONG64)Timer->Period * 10000;
    PKDPC Dpc = Timer->Dpc;

    if (Period != 0) {
        Timer->DueTime.QuadPart += Period;
        if (Timer->DueTime.QuadPart <= Now) {
            /* Periods that passed unseen are not made up for. */
            Timer->DueTime.QuadPart = Now + Period;
        }
        KipWheelInsert(Timer);
    }
    Timer->Header.SignalState = TRUE;
    KiWaitTestLocked(Timer, 0);
    if (Dpc != NULL) {
        KeInsertQueueDpc(Dpc, NULL, NULL);
    }
}

VOID
KiExpireTimersLocked(ULONG64 InterruptTime)
{
    ULONG64 NowSlot = InterruptTime >> KI_WHEEL_SHIFT;
    LIST_ENTRY Batch;
    PLIST_ENTRY Head;
    PKTIMER Timer;
    ULONG64 Begin;
    ULONG Level;
    ULONG Slot;

    while (KipWheelNext(&Level, &Slot, &Begin) && Begin <= NowSlot) {
        KiWheelElapsed = Begin;
        KiWheelOccupied[Level] &= ~(1ull << Slot);
        Head = &KiWheel[Level * KI_WHEEL_SLOTS + Slot];
        Batch = *Head;
        Batch.Flink->Blink = &Batch;
        Batch.Blink->Flink = &Batch;
        InitializeListHead(Head);
        while (!IsListEmpty(&Batch)) {
            Timer = CONTAINING_RECORD(RemoveHeadList(&Batch), KTIMER, TimerListEntry);
            if (KipDueSlot(Timer->DueTime.QuadPart) > KiWheelElapsed) {
                KipWheelInsert(Timer);
            } else {
                Timer->TimerListEntry.Flink = NULL;
                KipTimerDue(Timer, InterruptTime);
            }
        }
    }
    if (NowSlot > KiWheelElapsed) {
        KiWheelElapsed = NowSlot;
    }
}

PKTIMER
KiFindTimer(ULONG_PTR Start, ULONG_PTR End)
{
    PKTIMER Found = NULL;
    PLIST_ENTRY Head;
    PLIST_ENTRY Entry;
    PKTIMER Timer;
    KIRQL OldIrql = KiLockDispatcher();

    for (Head = KiWheel; Head < KiWheel + RTL_NUMBER_OF(KiWheel); Head += 1) {
        for (Entry = Head->Flink; Entry != Head; Entry = Entry->Flink) {
            Timer = CONTAINING_RECORD(Entry, KTIMER, TimerListEntry);
            if (((ULONG_PTR)Timer >= Start && (ULONG_PTR)Timer < End) ||
                (Timer->Dpc != NULL && (ULONG_PTR)Timer->Dpc->DeferredRoutine >= Start &&
                 (ULONG_PTR)Timer->Dpc->DeferredRoutine < End)) {
                Found = Timer;
            }
        }
    }
    KiUnlockDispatcher(OldIrql);
    return Found;
}

/* --- The public routines ------------------------------------------------------------------------------ */

/* Make a timer that stays signaled once it went off (NotificationTimer). Any IRQL. */
VOID NTAPI
KeInitializeTimer(PKTIMER Timer)
{
    KeInitializeTimerEx(Timer, NotificationTimer);
}
NTEXPORT(KeInitializeTimer);

/* Make a timer; a SynchronizationTimer satisfies one wait each time it goes off. Any IRQL. */
VOID NTAPI
KeInitializeTimerEx(PKTIMER Timer, TIMER_TYPE Type)
{
    RtlZeroMemory(Timer, sizeof(*Timer));
    Timer->Header.Type = Type == NotificationTimer ? KiTimerNotification : KiTimerSynchronization;
    InitializeListHead(&Timer->Header.WaitListHead);
}
NTEXPORT(KeInitializeTimerEx);

/* As KeSetTimerEx, once. */
BOOLEAN NTAPI
KeSetTimer(PKTIMER Timer, LARGE_INTEGER DueTime, PKDPC Dpc)
{
    return KeSetTimerEx(Timer, DueTime, 0, Dpc);
}
NTEXPORT(KeSetTimer);

/*
 * Set a timer to go off at DueTime (100 ns; negative: from now, positive: system time) and every Period milliseconds
 * after that; it becomes not signaled until then. Dpc, optional, is queued each time it goes off. A timer that was set
 * is set anew; returns TRUE in that case. A time already past: it goes off at once. IRQL <= DISPATCH_LEVEL.
 */
BOOLEAN NTAPI
KeSetTimerEx(PKTIMER Timer, LARGE_INTEGER DueTime, LONG Period, PKDPC Dpc)
{
    BOOLEAN WasSet;
    KIRQL OldIrql = KiLockDispatcher();

    WasSet = KiRemoveTimerLocked(Timer);
    Timer->Header.SignalState = FALSE;
    Timer->Dpc = Dpc;
    Timer->Period = Period > 0 ? (ULONG)Period : 0;
    if (!KiInsertTimerLocked(Timer, KiDueInterruptTime(DueTime.QuadPart))) {
        KipTimerDue(Timer, HalQueryInterruptTime());
        KiArmClockLocked();
    }
    KiUnlockDispatcher(OldIrql);
    HalChoicePoint(HalChoiceWait);
    return WasSet;
}
NTEXPORT(KeSetTimerEx);

/* As KeSetTimerEx. TolerableDelay (ms) allows the timer to be late; this one makes no use of that. */
BOOLEAN NTAPI
KeSetCoalescableTimer(PKTIMER Timer, LARGE_INTEGER DueTime, ULONG Period, ULONG TolerableDelay, PKDPC Dpc)
{
    UNREFERENCED_PARAMETER(TolerableDelay);
    return KeSetTimerEx(Timer, DueTime, (LONG)MIN(Period, MAXLONG), Dpc);
}
NTEXPORT(KeSetCoalescableTimer);

/* TRUE if it was set; it will not go off any more, but a DPC it queued before may still run. IRQL <= DISPATCH_LEVEL. */
BOOLEAN NTAPI
KeCancelTimer(PKTIMER Timer)
{
    BOOLEAN WasSet;
    KIRQL OldIrql = KiLockDispatcher();

    WasSet = KiRemoveTimerLocked(Timer);
    if (WasSet) {
        Timer->Period = 0;
        KiArmClockLocked();
    }
    KiUnlockDispatcher(OldIrql);
    return WasSet;
}
NTEXPORT(KeCancelTimer);

/* TRUE if it is signaled. Any IRQL. */
BOOLEAN NTAPI
KeReadStateTimer(PKTIMER Timer)
{
    HalChoicePoint(HalChoiceLock);
    return __atomic_load_n(&Timer->Header.SignalState, __ATOMIC_ACQUIRE) != 0;
}
NTEXPORT(KeReadStateTimer);
