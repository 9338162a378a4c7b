/* Waits for one and several objects, time-outs, mutants (ke/wait.c, ke/mutant.c). */
#include "kethreads.h"

static LARGE_INTEGER Now;

static NTSTATUS
LookMany(ULONG Count, PVOID *Objects, WAIT_TYPE Type)
{
    return KeWaitForMultipleObjects(Count, Objects, Type, Executive, KernelMode, FALSE, &Now, NULL);
}

KTEST(KeWaitAnyTakesTheFirstSignaled)
{
    KEVENT Events[3];
    PVOID Objects[3] = {&Events[0], &Events[1], &Events[2]};
    ULONG Index;

    for (Index = 0; Index < 3; Index += 1) {
        KeInitializeEvent(&Events[Index], SynchronizationEvent, Index != 0);
    }
    CHECK_STATUS(STATUS_WAIT_1, LookMany(3, Objects, WaitAny));
    CHECK_STATUS(STATUS_WAIT_2, LookMany(3, Objects, WaitAny));
    CHECK_STATUS(STATUS_TIMEOUT, LookMany(3, Objects, WaitAny));
}

KTEST(KeWaitAllTakesAllOrNone)
{
    KEVENT Events[3];
    PVOID Objects[3] = {&Events[0], &Events[1], &Events[2]};
    ULONG Index;

    for (Index = 0; Index < 3; Index += 1) {
        KeInitializeEvent(&Events[Index], SynchronizationEvent, Index != 1);
    }
    CHECK_STATUS(STATUS_TIMEOUT, LookMany(3, Objects, WaitAll));
    CHECK_EQ(KeReadStateEvent(&Events[0]), 1);
    CHECK_EQ(KeReadStateEvent(&Events[2]), 1);
    KeSetEvent(&Events[1], 0, FALSE);
    CHECK_STATUS(STATUS_SUCCESS, LookMany(3, Objects, WaitAll));
    for (Index = 0; Index < 3; Index += 1) {
        CHECK_EQ(KeReadStateEvent(&Events[Index]), 0);
    }
}

KTEST(KeWaitTimesOut)
{
    KEVENT Event;
    LARGE_INTEGER Time = KeTestMilliseconds(20);
    LARGE_INTEGER Past = {.QuadPart = 1};
    ULONG64 Before = KeQueryInterruptTime();
    ULONG64 Took;

    KeInitializeEvent(&Event, NotificationEvent, FALSE);
    CHECK_STATUS(STATUS_TIMEOUT, KeWaitForSingleObject(&Event, Executive, KernelMode, FALSE, &Time));
    Took = KeQueryInterruptTime() - Before;
    CHECK(Took >= 200000);
    CHECK(Took < 2000000);
    CHECK_STATUS(STATUS_TIMEOUT, KeWaitForSingleObject(&Event, Executive, KernelMode, FALSE, &Past));

    KeQuerySystemTime(&Time);
    Before = KeQueryInterruptTime();
    Time.QuadPart += 300000;
    CHECK_STATUS(STATUS_TIMEOUT, KeWaitForSingleObject(&Event, Executive, KernelMode, FALSE, &Time));
    CHECK(KeQueryInterruptTime() - Before >= 290000);
}

typedef struct _ALL {
    KEVENT Events[2];
    KSEMAPHORE Done;
    volatile LONG Began;
} ALL;

static VOID NTAPI
WaitForAll(PVOID Context)
{
    ALL *All = Context;
    PVOID Objects[2] = {&All->Events[0], &All->Events[1]};

    All->Began = 1;
    CHECK_STATUS(STATUS_SUCCESS,
                 KeWaitForMultipleObjects(2, Objects, WaitAll, Executive, KernelMode, FALSE, NULL, NULL));
    KeReleaseSemaphore(&All->Done, 0, 1, FALSE);
}

KTEST(KeWaitAllWaiterLeavesWhatItCannotUse)
{
    ALL All = {.Began = 0};
    PKTHREAD Thread;

    KeInitializeEvent(&All.Events[0], SynchronizationEvent, FALSE);
    KeInitializeEvent(&All.Events[1], SynchronizationEvent, FALSE);
    KeInitializeSemaphore(&All.Done, 0, 1);
    Thread = KeTestStart(WaitForAll, &All);
    while (!All.Began) {
        KeTestSleep(1);
    }
    KeTestSleep(2);
    KeSetEvent(&All.Events[0], 0, FALSE);
    KeTestSleep(2);
    CHECK_EQ(KeReadStateEvent(&All.Events[0]), 1);
    CHECK_EQ(KeReadStateSemaphore(&All.Done), 0);
    CHECK_STATUS(STATUS_SUCCESS, KeWaitForSingleObject(&All.Events[0], Executive, KernelMode, FALSE, &Now));
    KeSetEvent(&All.Events[1], 0, FALSE);
    KeTestSleep(2);
    CHECK_EQ(KeReadStateSemaphore(&All.Done), 0);
    KeSetEvent(&All.Events[0], 0, FALSE);
    KeTestJoin(Thread);
    CHECK_EQ(KeReadStateSemaphore(&All.Done), 1);
    CHECK_EQ(KeReadStateEvent(&All.Events[0]), 0);
    CHECK_EQ(KeReadStateEvent(&All.Events[1]), 0);
}

static VOID NTAPI
WaitTwiceForOne(PVOID Context)
{
    PVOID Objects[2] = {Context, Context};
    LARGE_INTEGER Time = KeTestMilliseconds(1000);

    CHECK_STATUS(STATUS_WAIT_0,
                 KeWaitForMultipleObjects(2, Objects, WaitAny, Executive, KernelMode, FALSE, &Time, NULL));
}

KTEST(KeWaitAnyMayNameAnObjectTwice)
{
    KEVENT Event;
    PKTHREAD Thread;

    KeInitializeEvent(&Event, NotificationEvent, FALSE);
    Thread = KeTestStart(WaitTwiceForOne, &Event);
    KeTestSleep(2);
    KeSetEvent(&Event, 0, FALSE);
    KeTestJoin(Thread);
}

KTEST(KeWaitOnManyWithTheCallersBlocks)
{
    static KWAIT_BLOCK Blocks[MAXIMUM_WAIT_OBJECTS];
    static KEVENT Events[MAXIMUM_WAIT_OBJECTS];
    static PVOID Objects[MAXIMUM_WAIT_OBJECTS];
    LARGE_INTEGER Time = KeTestMilliseconds(1);
    ULONG Index;

    for (Index = 0; Index < MAXIMUM_WAIT_OBJECTS; Index += 1) {
        KeInitializeEvent(&Events[Index], NotificationEvent, FALSE);
        Objects[Index] = &Events[Index];
    }
    CHECK_STATUS(STATUS_TIMEOUT, KeWaitForMultipleObjects(MAXIMUM_WAIT_OBJECTS, Objects, WaitAny, Executive, KernelMode,
                                                          FALSE, &Time, Blocks));
    KeSetEvent(&Events[63], 0, FALSE);
    CHECK_STATUS(STATUS_WAIT_63, KeWaitForMultipleObjects(MAXIMUM_WAIT_OBJECTS, Objects, WaitAny, Executive, KernelMode,
                                                          FALSE, NULL, Blocks));
}

static VOID
WaitForFourWithoutBlocks(PVOID Context)
{
    PVOID Objects[4] = {Context, Context, Context, Context};

    LookMany(4, Objects, WaitAny);
}

static VOID
WaitAtDispatch(PVOID Context)
{
    LARGE_INTEGER Time = KeTestMilliseconds(1);

    KfRaiseIrql(DISPATCH_LEVEL);
    KeWaitForSingleObject(Context, Executive, KernelMode, FALSE, &Time);
}

KTEST(KeWaitContractBreachesStop)
{
    KEVENT Event;
    KTEST_BUGCHECK Caught;

    KeInitializeEvent(&Event, NotificationEvent, TRUE);
    CHECK_BUGCHECK_CALL(MAXIMUM_WAIT_OBJECTS_EXCEEDED, 0, WaitForFourWithoutBlocks, &Event);
    CHECK(KTestExpectBugCheck(WaitAtDispatch, &Event, &Caught));
    CHECK_EQ(Caught.Code, ATTEMPTED_SWITCH_FROM_DPC);
}

KTEST(KeWaitAtDispatchMayLook)
{
    KEVENT Event;
    KIRQL OldIrql;

    KeInitializeEvent(&Event, SynchronizationEvent, TRUE);
    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    CHECK_STATUS(STATUS_SUCCESS, KeWaitForSingleObject(&Event, Executive, KernelMode, FALSE, &Now));
    CHECK_STATUS(STATUS_TIMEOUT, KeWaitForSingleObject(&Event, Executive, KernelMode, FALSE, &Now));
    CHECK_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
    KeLowerIrql(OldIrql);
}

KTEST(KeDelayExecutionSleeps)
{
    ULONG64 Before = KeQueryInterruptTime();

    KeTestSleep(30);
    CHECK(KeQueryInterruptTime() - Before >= 300000);
    CHECK_STATUS(STATUS_SUCCESS, KeDelayExecutionThread(KernelMode, FALSE, &Now));
}

/* --- Mutants ------------------------------------------------------------------------------------------------ */

KTEST(KeMutexIsRecursiveAndDisablesApcs)
{
    KMUTEX Mutex;

    KeInitializeMutex(&Mutex, 0);
    CHECK_EQ(KeReadStateMutex(&Mutex), 1);
    CHECK_STATUS(STATUS_SUCCESS, KeWaitForSingleObject(&Mutex, Executive, KernelMode, FALSE, NULL));
    CHECK(KeAreApcsDisabled());
    CHECK_STATUS(STATUS_SUCCESS, KeWaitForSingleObject(&Mutex, Executive, KernelMode, FALSE, NULL));
    CHECK_EQ(KeReadStateMutex(&Mutex), -1);
    CHECK(KeReleaseMutex(&Mutex, FALSE) < 0);
    CHECK(KeAreApcsDisabled());
    CHECK_EQ(KeReleaseMutex(&Mutex, FALSE), 0);
    CHECK(!KeAreApcsDisabled());
    CHECK_EQ(KeReadStateMutex(&Mutex), 1);
}

typedef struct _COUNTING {
    KMUTANT Mutant;
    KSPIN_LOCK Lock;
    ULONG64 Counter;
    ULONG Rounds;
} COUNTING;

static VOID NTAPI
CountUnderMutex(PVOID Context)
{
    COUNTING *Counting = Context;
    ULONG64 Seen;
    ULONG Round;

    for (Round = 0; Round < Counting->Rounds; Round += 1) {
        KeWaitForSingleObject(&Counting->Mutant, Executive, KernelMode, FALSE, NULL);
        Seen = Counting->Counter;
        HalChoicePoint(HalChoiceWait);
        if (Round % 16 == 0) {
            KeTestSleep(1);
        }
        Counting->Counter = Seen + 1;
        KeReleaseMutex(&Counting->Mutant, FALSE);
    }
}

KTEST(KeMutexExcludes)
{
    COUNTING Counting = {.Rounds = 200};
    PKTHREAD Threads[4];
    ULONG Index;

    KeInitializeMutex(&Counting.Mutant, 0);
    for (Index = 0; Index < 4; Index += 1) {
        Threads[Index] = KeTestStart(CountUnderMutex, &Counting);
    }
    for (Index = 0; Index < 4; Index += 1) {
        KeTestJoin(Threads[Index]);
    }
    CHECK_EQ(Counting.Counter, 800);
}

static VOID
ReleaseMutex(PVOID Context)
{
    KeReleaseMutex(Context, FALSE);
}

static VOID
EndWithMutex(PVOID Context)
{
    KeWaitForSingleObject(Context, Executive, KernelMode, FALSE, NULL);
    KiExitThread(STATUS_SUCCESS);
}

KTEST(KeMutexBreachesStop)
{
    KMUTEX Mutex;
    KTEST_BUGCHECK Caught;

    KeInitializeMutex(&Mutex, 0);
    CHECK_BUGCHECK_CALL(KMODE_EXCEPTION_NOT_HANDLED, (ULONG_PTR)(LONG_PTR)STATUS_MUTANT_NOT_OWNED, ReleaseMutex,
                        &Mutex);
    CHECK(KTestExpectBugCheck(EndWithMutex, &Mutex, &Caught));
    CHECK_EQ(Caught.Code, THREAD_TERMINATE_HELD_MUTEX);
    CHECK_EQ(Caught.Parameters[1], (ULONG_PTR)&Mutex);
}

static VOID NTAPI
EndWithMutant(PVOID Context)
{
    KeWaitForSingleObject(Context, Executive, KernelMode, FALSE, NULL);
}

KTEST(KeMutantIsAbandoned)
{
    KMUTANT Mutant;

    KiInitializeMutant(&Mutant);
    KeTestJoin(KeTestStart(EndWithMutant, &Mutant));
    CHECK_STATUS(STATUS_ABANDONED, KeWaitForSingleObject(&Mutant, Executive, KernelMode, FALSE, NULL));
    CHECK(!KeAreApcsDisabled());
    CHECK_STATUS(STATUS_SUCCESS, KeWaitForSingleObject(&Mutant, Executive, KernelMode, FALSE, NULL));
    KeReleaseMutex(&Mutant, FALSE);
    KeReleaseMutex(&Mutant, FALSE);
}
