/* Timers, the clock, DPCs (ke/timer.c, ke/clock.c, ke/dpc.c). */
#include "kethreads.h"

#define TIMERS 200

static LARGE_INTEGER Now;

KTEST(KeTimerGoesOffNotBeforeItsTime)
{
    KTIMER Timer;
    ULONG64 Before = KeQueryInterruptTime();

    KeInitializeTimer(&Timer);
    CHECK(!KeReadStateTimer(&Timer));
    CHECK(!KeSetTimer(&Timer, KeTestMilliseconds(10), NULL));
    CHECK_STATUS(STATUS_SUCCESS, KeWaitForSingleObject(&Timer, Executive, KernelMode, FALSE, NULL));
    CHECK(KeQueryInterruptTime() - Before >= 100000);
    CHECK(KeQueryInterruptTime() - Before < 1000000);
    CHECK(KeReadStateTimer(&Timer));
    CHECK(!KeCancelTimer(&Timer));
}

KTEST(KeTimerIsSetAnewAndCancelled)
{
    LARGE_INTEGER Long = KeTestMilliseconds(3600 * 1000);
    KTIMER Timer;

    KeInitializeTimerEx(&Timer, SynchronizationTimer);
    CHECK(!KeSetTimer(&Timer, Long, NULL));
    CHECK(KeSetTimer(&Timer, KeTestMilliseconds(1), NULL));
    CHECK_STATUS(STATUS_SUCCESS, KeWaitForSingleObject(&Timer, Executive, KernelMode, FALSE, NULL));
    CHECK(!KeReadStateTimer(&Timer));
    CHECK(!KeSetTimer(&Timer, Long, NULL));
    CHECK(KeCancelTimer(&Timer));
    CHECK(!KeCancelTimer(&Timer));
    CHECK_STATUS(STATUS_TIMEOUT, KeWaitForSingleObject(&Timer, Executive, KernelMode, FALSE, &Now));
}

KTEST(KeTimerOfThePastGoesOffAtOnce)
{
    LARGE_INTEGER Past = {.QuadPart = 1};
    KTIMER Timer;

    KeInitializeTimer(&Timer);
    CHECK(!KeSetTimer(&Timer, Past, NULL));
    CHECK(KeReadStateTimer(&Timer));
}

/* Record the order in which timers' DPCs run. */
typedef struct _ORDERED {
    KTIMER Timer;
    KDPC Dpc;
    ULONG64 Due;
    ULONG64 Ran;
    ULONG Place;
} ORDERED;

static volatile LONG Place;

static VOID NTAPI
NoteOrder(struct _KDPC *Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    ORDERED *Ordered = Context;

    Ordered->Ran = KeQueryInterruptTime();
    Ordered->Place = (ULONG)InterlockedIncrement(&Place);
}

KTEST(KeTimersOfAllDistancesGoOffInOrder)
{
    static ORDERED Ordered[TIMERS];
    ULONG64 Random = 88172645463325252ull;
    LARGE_INTEGER Due;
    ULONG Index;
    ULONG Other;

    Place = 0;
    for (Index = 0; Index < TIMERS; Index += 1) {
        Random ^= Random << 13;
        Random ^= Random >> 7;
        Random ^= Random << 17;
        /* From a tenth of a millisecond to some minutes, evenly in the logarithm. */
        Due.QuadPart = -(LONGLONG)((1024ull << (Random % 20)) + (Random >> 32) % 4096);
        KeInitializeTimer(&Ordered[Index].Timer);
        KeInitializeDpc(&Ordered[Index].Dpc, NoteOrder, &Ordered[Index]);
        Ordered[Index].Due = KeQueryInterruptTime() + (ULONG64)-Due.QuadPart;
        KeSetTimer(&Ordered[Index].Timer, Due, &Ordered[Index].Dpc);
    }
    KeTestSleep(120 * 1000);
    CHECK_EQ(Place, TIMERS);
    for (Index = 0; Index < TIMERS; Index += 1) {
        CHECK(Ordered[Index].Ran >= Ordered[Index].Due);
        for (Other = 0; Other < TIMERS; Other += 1) {
            /* Processors run their queues side by side: allow them a little. */
            if (Ordered[Index].Due + 20000 < Ordered[Other].Due) {
                CHECK(Ordered[Index].Place < Ordered[Other].Place);
            }
        }
    }
}

KTEST(KePeriodicTimerRepeats)
{
    KTIMER Timer;
    ULONG64 Before = KeQueryInterruptTime();
    ULONG Round;

    KeInitializeTimerEx(&Timer, SynchronizationTimer);
    KeSetTimerEx(&Timer, KeTestMilliseconds(5), 10, NULL);
    for (Round = 0; Round < 5; Round += 1) {
        CHECK_STATUS(STATUS_SUCCESS, KeWaitForSingleObject(&Timer, Executive, KernelMode, FALSE, NULL));
    }
    CHECK(KeQueryInterruptTime() - Before >= 450000);
    CHECK(KeCancelTimer(&Timer));
    KeTestSleep(30);
    CHECK(!KeReadStateTimer(&Timer));
}

KTEST(KeTimersAreFoundByAddress)
{
    KTIMER Timer;

    KeInitializeTimer(&Timer);
    CHECK(KiFindTimer((ULONG_PTR)&Timer, (ULONG_PTR)(&Timer + 1)) == NULL);
    KeSetTimer(&Timer, KeTestMilliseconds(1000), NULL);
    CHECK(KiFindTimer((ULONG_PTR)&Timer, (ULONG_PTR)(&Timer + 1)) == &Timer);
    KeCancelTimer(&Timer);
    CHECK(KiFindTimer((ULONG_PTR)&Timer, (ULONG_PTR)(&Timer + 1)) == NULL);
}

KTEST(KeTimesAgree)
{
    LARGE_INTEGER First;
    LARGE_INTEGER Second;
    LARGE_INTEGER Ticks;
    LARGE_INTEGER Frequency;
    ULONG64 Interrupt = KeQueryInterruptTime();

    KeQueryTickCount(&Ticks);
    CHECK((ULONG64)Ticks.QuadPart >= Interrupt / KeQueryTimeIncrement());
    KeQuerySystemTime(&First);
    First = KeQueryPerformanceCounter(&Frequency);
    KeTestSleep(100);
    Second = KeQueryPerformanceCounter(NULL);
    CHECK((Second.QuadPart - First.QuadPart) * 1000 / Frequency.QuadPart >= 100);
    CHECK(KeQueryInterruptTime() - Interrupt >= 1000000);
    CHECK(HalSharedUserData()->TickCountQuad != 0);
    CHECK(HalSharedUserData()->InterruptTime.High1Time == HalSharedUserData()->InterruptTime.High2Time);
}

/* --- DPCs ------------------------------------------------------------------------------------------------------ */

typedef struct _DPC_RUN {
    KDPC Dpc;
    KEVENT Done;
    volatile LONG Count;
    ULONG Processor;
    KIRQL Irql;
    PVOID Arguments[2];
} DPC_RUN;

static VOID NTAPI
NoteDpc(struct _KDPC *Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    DPC_RUN *Run = Context;

    Run->Irql = KeGetCurrentIrql();
    Run->Processor = KeGetCurrentProcessorNumberEx(NULL);
    Run->Arguments[0] = Argument1;
    Run->Arguments[1] = Argument2;
    InterlockedIncrement(&Run->Count);
    KeSetEvent(&Run->Done, 0, FALSE);
}

KTEST(KeDpcRunsAtDispatchWithItsArguments)
{
    DPC_RUN Run = {.Count = 0};
    KIRQL OldIrql;

    KeInitializeEvent(&Run.Done, SynchronizationEvent, FALSE);
    KeInitializeDpc(&Run.Dpc, NoteDpc, &Run);
    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    CHECK(KeInsertQueueDpc(&Run.Dpc, (PVOID)1, (PVOID)2));
    CHECK(!KeInsertQueueDpc(&Run.Dpc, (PVOID)3, (PVOID)4));
    CHECK_EQ(Run.Count, 0);
    CHECK(KiFindDpc((ULONG_PTR)&Run, (ULONG_PTR)(&Run + 1)) == &Run.Dpc);
    CHECK(KeRemoveQueueDpc(&Run.Dpc));
    CHECK(!KeRemoveQueueDpc(&Run.Dpc));
    CHECK(KeInsertQueueDpc(&Run.Dpc, (PVOID)5, (PVOID)6));
    KeLowerIrql(OldIrql);
    CHECK_EQ(Run.Count, 1);
    CHECK_EQ(Run.Irql, DISPATCH_LEVEL);
    CHECK_EQ(Run.Arguments[0], 5);
    CHECK_EQ(Run.Arguments[1], 6);
}

KTEST(KeDpcRunsOnItsTarget)
{
    ULONG Number;
    PROCESSOR_NUMBER Nowhere = {.Number = 63, .Group = 1};
    DPC_RUN Run = {.Count = 0};

    KeInitializeEvent(&Run.Done, SynchronizationEvent, FALSE);
    KeInitializeDpc(&Run.Dpc, NoteDpc, &Run);
    for (Number = 0; Number < KeQueryActiveProcessorCount(NULL); Number += 1) {
        KeSetTargetProcessorDpc(&Run.Dpc, (CCHAR)Number);
        KeInsertQueueDpc(&Run.Dpc, NULL, NULL);
        KeWaitForSingleObject(&Run.Done, Executive, KernelMode, FALSE, NULL);
        CHECK_EQ(Run.Processor, Number);
    }
    CHECK_STATUS(STATUS_INVALID_PARAMETER, KeSetTargetProcessorDpcEx(&Run.Dpc, &Nowhere));
    KeFlushQueuedDpcs();
}

KTEST(KeDpcsRunInOrderOfImportance)
{
    static ORDERED Ordered[4];
    static const ULONG Places[4] = {2, 3, 1, 4};
    KIRQL OldIrql;
    ULONG Index;

    Place = 0;
    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    for (Index = 0; Index < 4; Index += 1) {
        KeInitializeDpc(&Ordered[Index].Dpc, NoteOrder, &Ordered[Index]);
        KeSetImportanceDpc(&Ordered[Index].Dpc, Index == 2 ? HighImportance : LowImportance);
        KeInsertQueueDpc(&Ordered[Index].Dpc, NULL, NULL);
    }
    KeLowerIrql(OldIrql);
    KeFlushQueuedDpcs();
    for (Index = 0; Index < 4; Index += 1) {
        CHECK_EQ(Ordered[Index].Place, Places[Index]);
    }
}

KTEST(KeFlushQueuedDpcsWaitsForAll)
{
    static DPC_RUN Runs[HAL_MAXIMUM_PROCESSORS];
    ULONG Count = KeQueryActiveProcessorCount(NULL);
    ULONG Number;

    for (Number = 0; Number < Count; Number += 1) {
        RtlZeroMemory(&Runs[Number], sizeof(Runs[Number]));
        KeInitializeEvent(&Runs[Number].Done, NotificationEvent, FALSE);
        KeInitializeDpc(&Runs[Number].Dpc, NoteDpc, &Runs[Number]);
        KeSetTargetProcessorDpc(&Runs[Number].Dpc, (CCHAR)Number);
        KeInsertQueueDpc(&Runs[Number].Dpc, NULL, NULL);
    }
    KeFlushQueuedDpcs();
    for (Number = 0; Number < Count; Number += 1) {
        CHECK_EQ(Runs[Number].Count, 1);
    }
}

/* What a DPC must not do. */
static VOID NTAPI
LeaveLowered(struct _KDPC *Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    HalSetIrql(APC_LEVEL);
}

static VOID NTAPI
LowerInDpc(struct _KDPC *Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    KeLowerIrql(PASSIVE_LEVEL);
}

static VOID NTAPI
LeaveInRegion(struct _KDPC *Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    KeEnterCriticalRegion();
}

static VOID NTAPI
WaitInDpc(struct _KDPC *Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    KEVENT Event;

    KeInitializeEvent(&Event, NotificationEvent, TRUE);
    KeWaitForSingleObject(&Event, Executive, KernelMode, FALSE, NULL);
}

static VOID
QueueHere(PVOID Context)
{
    static KDPC Dpc;

    KeInitializeDpc(&Dpc, *(PKDEFERRED_ROUTINE *)Context, NULL);
    KeInsertQueueDpc(&Dpc, NULL, NULL);
}

static KTEST_BUGCHECK
CatchInDpc(PKDEFERRED_ROUTINE Routine)
{
    KTEST_BUGCHECK Caught = {0, {0, 0, 0, 0}};

    CHECK(KTestExpectBugCheck(QueueHere, &Routine, &Caught));
    return Caught;
}

KTEST(KeDpcBreachesStop)
{
    KTEST_BUGCHECK Caught = CatchInDpc(LeaveLowered);

    CHECK_EQ(Caught.Code, IRQL_UNEXPECTED_VALUE);
    CHECK_EQ(Caught.Parameters[0], (APC_LEVEL << 16) | (DISPATCH_LEVEL << 8) | 0xFF);
    Caught = CatchInDpc(LowerInDpc);
    CHECK_EQ(Caught.Code, DRIVER_VERIFIER_DETECTED_VIOLATION);
    CHECK_EQ(Caught.Parameters[0], 0x31);
    CHECK_EQ(Caught.Parameters[3], 1);
    Caught = CatchInDpc(LeaveInRegion);
    CHECK_EQ(Caught.Code, TIMER_OR_DPC_INVALID);
    CHECK_EQ(Caught.Parameters[0], 4);
    CHECK_EQ(Caught.Parameters[1], (ULONG_PTR)LeaveInRegion);
    CHECK_EQ(Caught.Parameters[2], 0);
    CHECK_EQ(Caught.Parameters[3], 0xFFFF);
    Caught = CatchInDpc(WaitInDpc);
    CHECK_EQ(Caught.Code, ATTEMPTED_SWITCH_FROM_DPC);
}

static volatile LONG BroadcastArrived;
static volatile LONG BroadcastWrong;

static ULONG_PTR NTAPI
Broadcast(ULONG_PTR Argument)
{
    InterlockedIncrement(&BroadcastArrived);
    if (KeGetCurrentIrql() != IPI_LEVEL) {
        InterlockedIncrement(&BroadcastWrong);
    }
    return Argument + 1;
}

KTEST(KeIpiGenericCallRunsEverywhere)
{
    BroadcastArrived = 0;
    BroadcastWrong = 0;
    CHECK_EQ(KeIpiGenericCall(Broadcast, 41), 42);
    CHECK_EQ(BroadcastArrived, KeQueryActiveProcessorCount(NULL));
    CHECK_EQ(BroadcastWrong, 0);
    CHECK_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
}
