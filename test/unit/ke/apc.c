/* APCs: when and in which order they are delivered, what keeps them away, waits that they interrupt, the
 * thread's end. */
#include "kethreads.h"
#include <ke/apc.h>

/* What ran, in order: the letter of the APC, upper case for a kernel routine, lower case for a normal one. */
static CHAR Trace[16];
static ULONG TraceLength;
static KIRQL KernelIrql, NormalIrql;

static VOID
TraceOne(CHAR Letter)
{
    if (TraceLength < sizeof(Trace) - 1) {
        Trace[TraceLength++] = Letter;
    }
}

static VOID
TraceReset(VOID)
{
    RtlZeroMemory(Trace, sizeof(Trace));
    TraceLength = 0;
}

static BOOLEAN
TraceIs(const char *Wanted)
{
    ULONG Index = 0;

    while (Wanted[Index] != 0 && Wanted[Index] == Trace[Index]) {
        Index += 1;
    }
    return Wanted[Index] == Trace[Index];
}

static VOID NTAPI
TraceKernel(PKAPC Apc, PKNORMAL_ROUTINE *Normal, PVOID *Context, PVOID *Argument1, PVOID *Argument2)
{
    KernelIrql = HalGetIrql();
    TraceOne((CHAR)(ULONG_PTR)*Argument1);
    if (*Argument2 != NULL) {
        *Normal = NULL;
    }
}

static VOID NTAPI
TraceNormal(PVOID Context, PVOID Argument1, PVOID Argument2)
{
    NormalIrql = HalGetIrql();
    TraceOne((CHAR)((ULONG_PTR)Argument1 + ('a' - 'A')));
}

static VOID NTAPI
TraceRundown(PKAPC Apc)
{
    TraceOne('!');
}

static VOID
MakeApc(PKAPC Apc, PKTHREAD Thread, BOOLEAN Special)
{
    KeInitializeApc(Apc, Thread, OriginalApcEnvironment, TraceKernel, TraceRundown,
                    Special ? NULL : TraceNormal, KernelMode, NULL);
}

static BOOLEAN
Insert(PKAPC Apc, CHAR Letter)
{
    return KeInsertQueueApc(Apc, (PVOID)(ULONG_PTR)Letter, NULL, IO_NO_INCREMENT);
}

KTEST(ApcAtOnceInOwnThread)
{
    KAPC Special, Normal;

    TraceReset();
    MakeApc(&Special, KeGetCurrentThread(), TRUE);
    MakeApc(&Normal, KeGetCurrentThread(), FALSE);
    CHECK(Insert(&Special, 'S'));
    CHECK(TraceIs("S"));
    CHECK_EQ(KernelIrql, APC_LEVEL);
    CHECK(Insert(&Normal, 'N'));
    CHECK(TraceIs("SNn"));
    CHECK_EQ(NormalIrql, PASSIVE_LEVEL);
    CHECK_EQ(HalGetIrql(), PASSIVE_LEVEL);
    /* The kernel routine may call the normal routine off. */
    CHECK(KeInsertQueueApc(&Normal, (PVOID)'X', (PVOID)1, 0));
    CHECK(TraceIs("SNnX"));
}

KTEST(ApcWaitsForIrqlAndRegions)
{
    KAPC Special, Normal;
    KIRQL Irql;

    TraceReset();
    MakeApc(&Special, KeGetCurrentThread(), TRUE);
    MakeApc(&Normal, KeGetCurrentThread(), FALSE);
    KeRaiseIrql(APC_LEVEL, &Irql);
    CHECK(Insert(&Normal, 'N'));
    CHECK(!Insert(&Normal, 'M'));
    CHECK(Insert(&Special, 'S'));
    CHECK(TraceIs(""));
    KeLowerIrql(Irql);
    /* Special ones come first. */
    CHECK(TraceIs("SNn"));
    TraceReset();
    KeEnterCriticalRegion();
    CHECK(Insert(&Normal, 'N'));
    CHECK(Insert(&Special, 'S'));
    CHECK(TraceIs("S"));
    KeLeaveCriticalRegion();
    CHECK(TraceIs("SNn"));
    TraceReset();
    KeEnterGuardedRegion();
    KeEnterCriticalRegion();
    CHECK(Insert(&Special, 'S'));
    CHECK(Insert(&Normal, 'N'));
    KeLeaveGuardedRegion();
    CHECK(TraceIs("S"));
    CHECK(KeRemoveQueueApc(&Normal));
    CHECK(!KeRemoveQueueApc(&Normal));
    KeLeaveCriticalRegion();
    CHECK(TraceIs("S"));
}

KTEST(ApcWaitsForMutex)
{
    KMUTEX Mutex;
    KAPC Normal;

    TraceReset();
    KeInitializeMutex(&Mutex, 0);
    MakeApc(&Normal, KeGetCurrentThread(), FALSE);
    KeWaitForSingleObject(&Mutex, Executive, KernelMode, FALSE, NULL);
    CHECK(Insert(&Normal, 'N'));
    CHECK(TraceIs(""));
    KeReleaseMutex(&Mutex, FALSE);
    CHECK(TraceIs("Nn"));
}

static KAPC Nested;

static VOID NTAPI
NestingNormal(PVOID Context, PVOID Argument1, PVOID Argument2)
{
    MakeApc(&Nested, KeGetCurrentThread(), FALSE);
    CHECK(Insert(&Nested, 'B'));
    TraceOne('a');
}

KTEST(ApcNormalOneAtATime)
{
    KAPC Apc;

    TraceReset();
    KeInitializeApc(&Apc, KeGetCurrentThread(), OriginalApcEnvironment, TraceKernel, NULL, NestingNormal,
                    KernelMode, NULL);
    CHECK(Insert(&Apc, 'A'));
    CHECK(TraceIs("AaBb"));
}

/* --- Another thread --- */

typedef struct _SLEEPER {
    KEVENT Ready;
    KEVENT Go;
    ULONG Raise; /* 1: wait at APC_LEVEL; 2: in a critical region */
    NTSTATUS Status;
    LARGE_INTEGER *Timeout;
    ULONG64 Slept;
} SLEEPER;

static VOID NTAPI
Sleep(PVOID Context)
{
    SLEEPER *Sleeper = Context;
    KIRQL Irql = PASSIVE_LEVEL;
    ULONG64 Start;

    if (Sleeper->Raise == 1) {
        KeRaiseIrql(APC_LEVEL, &Irql);
    } else if (Sleeper->Raise == 2) {
        KeEnterCriticalRegion();
    }
    KeSetEvent(&Sleeper->Ready, 0, FALSE);
    Start = HalQueryInterruptTime();
    Sleeper->Status = KeWaitForSingleObject(&Sleeper->Go, Executive, KernelMode, FALSE, Sleeper->Timeout);
    Sleeper->Slept = HalQueryInterruptTime() - Start;
    TraceOne('.');
    if (Sleeper->Raise == 1) {
        KeLowerIrql(Irql);
    } else if (Sleeper->Raise == 2) {
        KeLeaveCriticalRegion();
    }
}

static PKTHREAD
StartSleeper(SLEEPER *Sleeper, ULONG Raise, LARGE_INTEGER *Timeout)
{
    PKTHREAD Thread;

    RtlZeroMemory(Sleeper, sizeof(*Sleeper));
    KeInitializeEvent(&Sleeper->Ready, NotificationEvent, FALSE);
    KeInitializeEvent(&Sleeper->Go, NotificationEvent, FALSE);
    Sleeper->Raise = Raise;
    Sleeper->Timeout = Timeout;
    TraceReset();
    Thread = KeTestStart(Sleep, Sleeper);
    if (Thread != NULL) {
        KeWaitForSingleObject(&Sleeper->Ready, Executive, KernelMode, FALSE, NULL);
        KeTestSleep(5);
    }
    return Thread;
}

KTEST(ApcInterruptsWait)
{
    SLEEPER Sleeper;
    KAPC Special, Normal;
    PKTHREAD Thread = StartSleeper(&Sleeper, 0, NULL);

    REQUIRE(Thread != NULL);
    MakeApc(&Special, Thread, TRUE);
    MakeApc(&Normal, Thread, FALSE);
    CHECK(Insert(&Special, 'S'));
    KeTestSleep(5);
    CHECK(TraceIs("S"));
    CHECK(Insert(&Normal, 'N'));
    KeTestSleep(5);
    /* It has gone on waiting. */
    CHECK(TraceIs("SNn"));
    KeSetEvent(&Sleeper.Go, 0, FALSE);
    KeTestJoin(Thread);
    CHECK(TraceIs("SNn."));
    CHECK_STATUS(STATUS_SUCCESS, Sleeper.Status);
}

KTEST(ApcLeavesTimeoutAlone)
{
    LARGE_INTEGER Timeout = KeTestMilliseconds(100);
    SLEEPER Sleeper;
    KAPC Special;
    PKTHREAD Thread = StartSleeper(&Sleeper, 0, &Timeout);

    REQUIRE(Thread != NULL);
    MakeApc(&Special, Thread, TRUE);
    for (ULONG Round = 0; Round < 5; Round += 1) {
        CHECK(Insert(&Special, 'S'));
        KeTestSleep(10);
    }
    KeTestJoin(Thread);
    CHECK(TraceIs("SSSSS."));
    CHECK_STATUS(STATUS_TIMEOUT, Sleeper.Status);
    CHECK(Sleeper.Slept >= 1000000 && Sleeper.Slept < 1400000);
}

KTEST(ApcWaitAtApcLevelIsNotInterrupted)
{
    for (ULONG Raise = 1; Raise <= 2; Raise += 1) {
        SLEEPER Sleeper;
        KAPC Normal;
        PKTHREAD Thread = StartSleeper(&Sleeper, Raise, NULL);

        REQUIRE(Thread != NULL);
        MakeApc(&Normal, Thread, FALSE);
        CHECK(Insert(&Normal, 'N'));
        KeTestSleep(5);
        CHECK(TraceIs(""));
        KeSetEvent(&Sleeper.Go, 0, FALSE);
        KeTestJoin(Thread);
        CHECK(TraceIs(".Nn"));
    }
}

KTEST(ApcUserIsRunDown)
{
    SLEEPER Sleeper;
    KAPC User, Late;
    PKTHREAD Thread = StartSleeper(&Sleeper, 0, NULL);

    REQUIRE(Thread != NULL);
    KeInitializeApc(&User, Thread, OriginalApcEnvironment, TraceKernel, TraceRundown, TraceNormal, UserMode,
                    NULL);
    MakeApc(&Late, Thread, TRUE);
    CHECK(Insert(&User, 'U'));
    KeTestSleep(5);
    CHECK(TraceIs(""));
    KeSetEvent(&Sleeper.Go, 0, FALSE);
    KeWaitForSingleObject(Thread, Executive, KernelMode, FALSE, NULL);
    CHECK(TraceIs(".!"));
    CHECK(!Insert(&Late, 'L'));
    KeTestJoin(Thread);
}

/* --- Many --- */

#define STORM_APCS 64

static volatile LONG StormDelivered;
static volatile LONG StormOver;

static VOID NTAPI
StormKernel(PKAPC Apc, PKNORMAL_ROUTINE *Normal, PVOID *Context, PVOID *Argument1, PVOID *Argument2)
{
    InterlockedIncrement(&StormDelivered);
}

static VOID NTAPI
StormWorker(PVOID Context)
{
    KEVENT Never;
    LARGE_INTEGER Short = KeTestMilliseconds(1);
    KIRQL Irql;

    KeInitializeEvent(&Never, NotificationEvent, FALSE);
    while (!StormOver) {
        KeWaitForSingleObject(&Never, Executive, KernelMode, FALSE, &Short);
        KeRaiseIrql(DISPATCH_LEVEL, &Irql);
        KeLowerIrql(Irql);
        KeEnterGuardedRegion();
        KeLeaveGuardedRegion();
    }
}

KTEST(ApcNoneIsLost)
{
    static KAPC Apcs[STORM_APCS];
    PKTHREAD Thread;

    StormDelivered = 0;
    StormOver = 0;
    Thread = KeTestStart(StormWorker, NULL);
    REQUIRE(Thread != NULL);
    for (ULONG Index = 0; Index < STORM_APCS; Index += 1) {
        KeInitializeApc(&Apcs[Index], Thread, OriginalApcEnvironment, StormKernel, NULL, NULL, KernelMode,
                        NULL);
        CHECK(KeInsertQueueApc(&Apcs[Index], NULL, NULL, 0));
        if (Index % 8 == 0) {
            KeTestSleep(1);
        }
    }
    KeTestSleep(20);
    CHECK_EQ(StormDelivered, STORM_APCS);
    StormOver = 1;
    KeTestJoin(Thread);
}
