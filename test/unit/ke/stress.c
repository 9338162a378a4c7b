/*
 * Tokens: threads take them from and give them to semaphores by all kinds of waits, timers and DPCs give some too, and
 * in the end none may be missing or too many.
 */
#include "kethreads.h"

#define THREADS 8
#define POOLS 4
#define TOKENS 3
#define ROUNDS 150

typedef struct _TABLE {
    KSEMAPHORE Pools[POOLS];
    KMUTEX Mutex;
    volatile LONG Inside;
    volatile LONG Broken;
    volatile LONG Seed;
} TABLE;

static ULONG
NextRandom(PULONG State)
{
    *State ^= *State << 13;
    *State ^= *State >> 17;
    *State ^= *State << 5;
    return *State;
}

/* Take one token of any of three pools and put it into another. */
static VOID
MoveAny(TABLE *Table, PULONG State)
{
    PVOID Objects[3];
    LARGE_INTEGER Time = KeTestMilliseconds(NextRandom(State) % 3);
    ULONG First = NextRandom(State);
    ULONG Index;
    NTSTATUS Status;

    for (Index = 0; Index < 3; Index += 1) {
        Objects[Index] = &Table->Pools[(First + Index) % POOLS];
    }
    Status = KeWaitForMultipleObjects(3, Objects, WaitAny, Executive, KernelMode, FALSE, &Time, NULL);
    if (Status == STATUS_TIMEOUT) {
        return;
    }
    if ((ULONG)Status > 2) {
        InterlockedIncrement(&Table->Broken);
        return;
    }
    KeReleaseSemaphore(&Table->Pools[NextRandom(State) % POOLS], (KPRIORITY)(NextRandom(State) % 3), 1, FALSE);
}

/* Take the mutex and a token of each of two pools, be alone for a while, give everything back. */
static VOID
MoveAll(TABLE *Table, PULONG State)
{
    ULONG First = NextRandom(State) % POOLS;
    ULONG Second = (First + 1 + NextRandom(State) % (POOLS - 1)) % POOLS;
    PVOID Objects[3] = {&Table->Pools[First], &Table->Mutex, &Table->Pools[Second]};
    LARGE_INTEGER Time = KeTestMilliseconds(1 + NextRandom(State) % 5);
    NTSTATUS Status;

    Status = KeWaitForMultipleObjects(3, Objects, WaitAll, Executive, KernelMode, FALSE, &Time, NULL);
    if (Status == STATUS_TIMEOUT) {
        return;
    }
    if (Status != STATUS_SUCCESS || InterlockedIncrement(&Table->Inside) != 1) {
        InterlockedIncrement(&Table->Broken);
    }
    if (NextRandom(State) % 4 == 0) {
        KeTestSleep(1);
    }
    InterlockedDecrement(&Table->Inside);
    KeReleaseMutex(&Table->Mutex, FALSE);
    KeReleaseSemaphore(&Table->Pools[First], 0, 1, FALSE);
    KeReleaseSemaphore(&Table->Pools[First], 0, 1, FALSE);
}

static VOID NTAPI
ReleaseInDpc(struct _KDPC *Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    KeReleaseSemaphore(Context, 1, 1, FALSE);
}

/* Take a token and let a timer's DPC give it back, unless the timer is cancelled in time. */
static VOID
MoveByTimer(TABLE *Table, PULONG State)
{
    KSEMAPHORE *Pool = &Table->Pools[NextRandom(State) % POOLS];
    LARGE_INTEGER Time = KeTestMilliseconds(1);
    KTIMER Timer;
    KDPC Dpc;

    KeInitializeTimer(&Timer);
    KeInitializeDpc(&Dpc, ReleaseInDpc, Pool);
    if (KeWaitForSingleObject(Pool, Executive, KernelMode, FALSE, &Time) != STATUS_SUCCESS) {
        return;
    }
    KeSetTimer(&Timer, KeTestMilliseconds(NextRandom(State) % 4), &Dpc);
    if (NextRandom(State) % 2 == 0) {
        KeTestSleep(2);
    }
    if (KeCancelTimer(&Timer)) {
        KeReleaseSemaphore(Pool, 0, 1, FALSE);
    } else {
        /* The DPC ran or is on its way: its memory is ours until then. */
        KeFlushQueuedDpcs();
    }
}

static VOID NTAPI
MoveTokens(PVOID Context)
{
    TABLE *Table = Context;
    ULONG State = 2463534242u + (ULONG)InterlockedIncrement(&Table->Seed) * 7919u;
    ULONG Round;

    for (Round = 0; Round < ROUNDS; Round += 1) {
        switch (NextRandom(&State) % 4) {
        case 0:
        case 1:
            MoveAny(Table, &State);
            break;
        case 2:
            MoveAll(Table, &State);
            break;
        default:
            MoveByTimer(Table, &State);
            break;
        }
        if (NextRandom(&State) % 8 == 0) {
            KeSetPriorityThread(KeGetCurrentThread(), (KPRIORITY)(4 + NextRandom(&State) % 8));
        }
    }
}

KTEST(KeWaitsLoseNoTokens)
{
    static TABLE Table;
    PKTHREAD Threads[THREADS];
    LONG Total = 0;
    ULONG Index;

    RtlZeroMemory(&Table, sizeof(Table));
    KeInitializeMutex(&Table.Mutex, 0);
    for (Index = 0; Index < POOLS; Index += 1) {
        KeInitializeSemaphore(&Table.Pools[Index], TOKENS, POOLS * TOKENS);
    }
    for (Index = 0; Index < THREADS; Index += 1) {
        Threads[Index] = KeTestStart(MoveTokens, &Table);
    }
    for (Index = 0; Index < THREADS; Index += 1) {
        KeTestJoin(Threads[Index]);
    }
    for (Index = 0; Index < POOLS; Index += 1) {
        Total += KeReadStateSemaphore(&Table.Pools[Index]);
        CHECK(IsListEmpty(&Table.Pools[Index].Header.WaitListHead));
    }
    CHECK_EQ(Total, POOLS * TOKENS);
    CHECK_EQ(Table.Broken, 0);
    CHECK_EQ(KeReadStateMutex(&Table.Mutex), 1);
}
