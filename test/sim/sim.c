/*
 * The simulation's engine; see sim.h. It stands where the kernel tests do: KTestRunAll is called on the booted machine.
 *
 * The plan is words: rounds=N, threads=N, each=N (steps of a thread in a round), steps=LIST (only these; 7,12-15), refuse=0
 * (nothing is refused), bug=NAME. What is not given is drawn by the seed.
 *
 * The last line of a run is "sim: ok ..." or "sim: failed: WHAT | WHERE"; WHAT has no numbers that vary between runs, so that
 * two failures can be told apart.
 */
#include "sim.h"
#include <balance.h>
#include <ke/finding.h>
#include <ktest.h>
#include <mm/debug/inject.h>
#include <mm/phys/inject.h>
#include <ps/ps.h>
#include <rtl/rtl.h>

#define SIM_RANGES 256
#define SIM_PLAN_BYTES 65536

extern const SIM_ENTRY __start_simops[], __stop_simops[];

typedef struct _SIM_PLAN {
    ULONG Rounds, Threads, StepsEach;
    BOOLEAN Refuse;
    CHAR Bug[16];
    BOOLEAN Chosen; /* only the steps of Ranges */
    ULONG RangeCount;
    struct {
        ULONG First, Last;
    } Ranges[SIM_RANGES];
} SIM_PLAN;

static SIM_PLAN SimPlan;
static SIM_THREAD SimThreads[SIM_THREADS];
static const SIM_ENTRY *SimOrder[SIM_OPERATIONS];
static ULONG SimEntryCount, SimWeight;
static KSEMAPHORE SimDone;
static volatile ULONG SimRound;
static volatile ULONG SimRefusals, SimSteps;
static KTEST_BALANCE SimBefore, SimAfter;

/* --- Numbers ------------------------------------------------------------------------------------ */

static ULONG64
SimMix(ULONG64 Value)
{
    Value = (Value ^ (Value >> 30)) * 0xBF58476D1CE4E5B9ull;
    Value = (Value ^ (Value >> 27)) * 0x94D049BB133111EBull;
    return Value ^ (Value >> 31);
}

/* A number that depends on the seed and on two others. */
static ULONG64
SimHash(ULONG64 First, ULONG64 Second)
{
    return SimMix(SimMix(SimMix(KiLoaderBlock->Seed + 0x9E3779B97F4A7C15ull) + First) + Second);
}

ULONG
SimRandom(PSIM_THREAD Thread, ULONG Bound)
{
    Thread->Random += 0x9E3779B97F4A7C15ull;
    return (ULONG)(SimMix(Thread->Random) >> 32) % Bound;
}

VOID
SimPaint(PVOID Address, SIZE_T Bytes, ULONG Pattern)
{
    PUCHAR Byte = Address;

    for (SIZE_T Index = 0; Index < Bytes; Index += 1) {
        Byte[Index] = (UCHAR)(Pattern + Index * 7 + (Index >> 8));
    }
}

BOOLEAN
SimIsPainted(const VOID *Address, SIZE_T Bytes, ULONG Pattern)
{
    const UCHAR *Byte = Address;

    for (SIZE_T Index = 0; Index < Bytes; Index += 1) {
        if (Byte[Index] != (UCHAR)(Pattern + Index * 7 + (Index >> 8))) {
            return FALSE;
        }
    }
    return TRUE;
}

/* --- Saying so ---------------------------------------------------------------------------------- */

static VOID NTAPI
SimPut(const char *Format, ...)
{
    CHAR Line[400];
    NT_VA_LIST Arguments;
    ULONG Length;

    NT_VA_START(Arguments, Format);
    Length = RtlpFormatBuffer(Line, sizeof(Line), Format, Arguments);
    NT_VA_END(Arguments);
    HalPutConsole(Line, Length);
}

static PSIM_THREAD
SimCurrent(VOID)
{
    for (ULONG Index = 0; Index < SIM_THREADS; Index += 1) {
        if (SimThreads[Index].Thread != NULL && SimThreads[Index].Thread == KiCurrentThread()) {
            return &SimThreads[Index];
        }
    }
    return NULL;
}

static VOID DECLSPEC_NORETURN
SimEnd(const char *What)
{
    PSIM_THREAD Thread = SimCurrent();

    SimPut("sim: failed: %s | round %u, step %u, %s\n", What, SimRound, Thread == NULL ? 0 : Thread->Step,
           Thread == NULL || Thread->Entry == NULL ? "between steps" : Thread->Entry->Name);
    HalExit(1);
}

VOID DECLSPEC_NORETURN
SimFail(const char *File, ULONG Line, const char *Text)
{
    CHAR What[300];

    RtlpPrintBuffer(What, sizeof(What), "%s:%u: %s", File, Line, Text);
    SimEnd(What);
}

/* A bug check, an assertion, a deadlock. */
static VOID
SimHandleStop(const KI_STOP *Stop)
{
    CHAR What[300];

    if (Stop->Kind == KiStopBugCheck) {
        RtlpPrintBuffer(What, sizeof(What), "bug check 0x%X, 0x%I64X", Stop->Code,
                        Stop->Parameters[0] < 0x10000 ? Stop->Parameters[0] : 0);
    } else if (Stop->Kind == KiStopAssertion) {
        RtlpPrintBuffer(What, sizeof(What), "%s:%u: %s", Stop->File, Stop->Line, Stop->Text);
    } else {
        RtlpPrintBuffer(What, sizeof(What), "%s", Stop->Text);
    }
    for (ULONG Index = 0; Index < Stop->FrameCount; Index += 1) {
        extern const CHAR __executable_start[];

        SimPut("# at 0x%I64X\n", (ULONG64)Stop->Frames[Index] - (ULONG64)__executable_start);
    }
    SimEnd(What);
}

/* --- The plan ----------------------------------------------------------------------------------- */

static const char *
SimNumber(const char *Text, PULONG Number)
{
    for (*Number = 0; *Text >= '0' && *Text <= '9'; Text += 1) {
        *Number = *Number * 10 + (ULONG)(*Text - '0');
    }
    return Text;
}

/* What follows Name= in the plan, or NULL. */
static const char *
SimWord(const char *Plan, const char *Name)
{
    while (Plan != NULL && *Plan != 0) {
        ULONG Same = 0;

        while (Name[Same] != 0 && Name[Same] == Plan[Same]) {
            Same += 1;
        }
        if (Name[Same] == 0 && Plan[Same] == '=') {
            return &Plan[Same + 1];
        }
        while (*Plan != 0 && *Plan++ != ' ') {
        }
    }
    return NULL;
}

static ULONG
SimPlanNumber(const char *Plan, const char *Name, ULONG Drawn, ULONG Most)
{
    const char *Word = SimWord(Plan, Name);

    if (Word != NULL) {
        SimNumber(Word, &Drawn);
    }
    return MIN(Drawn, Most);
}

static VOID
SimReadPlan(const char *Plan)
{
    const char *Word = SimWord(Plan, "bug");

    for (ULONG Index = 0; Word != NULL && *Word != 0 && *Word != ' ' && Index + 1 < sizeof(SimPlan.Bug); Index += 1) {
        SimPlan.Bug[Index] = *Word++;
    }
    SimPlan.Threads = MAX(SimPlanNumber(Plan, "threads", 2 + (ULONG)(SimHash(1, 0) % (SIM_THREADS - 1)), SIM_THREADS), 1);
    SimPlan.Rounds = SimPlanNumber(Plan, "rounds", 8, 100000);
    SimPlan.StepsEach = SimPlanNumber(Plan, "each", 1 + (ULONG)(SimHash(2, 0) % 6), 1000);
    SimPlan.Refuse = SimPlanNumber(Plan, "refuse", SimHash(3, 0) % 4 != 0, 1) != 0;
    Word = SimWord(Plan, "steps");
    SimPlan.Chosen = Word != NULL;
    while (Word != NULL && *Word >= '0' && *Word <= '9' && SimPlan.RangeCount < SIM_RANGES) {
        Word = SimNumber(Word, &SimPlan.Ranges[SimPlan.RangeCount].First);
        SimPlan.Ranges[SimPlan.RangeCount].Last = SimPlan.Ranges[SimPlan.RangeCount].First;
        if (*Word == '-') {
            Word = SimNumber(Word + 1, &SimPlan.Ranges[SimPlan.RangeCount].Last);
        }
        SimPlan.RangeCount += 1;
        Word += *Word == ',';
    }
}

static BOOLEAN
SimIsChosen(ULONG Step)
{
    for (ULONG Index = 0; Index < SimPlan.RangeCount; Index += 1) {
        if (Step >= SimPlan.Ranges[Index].First && Step <= SimPlan.Ranges[Index].Last) {
            return TRUE;
        }
    }
    return !SimPlan.Chosen;
}

BOOLEAN
SimHasBug(PSIM_THREAD Thread, const char *Name)
{
    ULONG Index = 0;

    while (Name[Index] != 0 && Name[Index] == Thread->Bug[Index]) {
        Index += 1;
    }
    return Name[Index] == Thread->Bug[Index];
}

/* --- Operations --------------------------------------------------------------------------------- */

static LONG
SimCompare(const char *Left, const char *Right)
{
    while (*Left != 0 && *Left == *Right) {
        Left += 1;
        Right += 1;
    }
    return (LONG)(UCHAR)*Left - (LONG)(UCHAR)*Right;
}

/* By name, so that a seed does not depend on the linker. */
static VOID
SimSortOperations(VOID)
{
    for (const SIM_ENTRY *Entry = __start_simops; Entry < __stop_simops; Entry += 1) {
        ULONG Slot = SimEntryCount;

        NT_VERIFY(SimEntryCount < SIM_OPERATIONS);
        while (Slot != 0 && SimCompare(SimOrder[Slot - 1]->Name, Entry->Name) > 0) {
            SimOrder[Slot] = SimOrder[Slot - 1];
            Slot -= 1;
        }
        SimOrder[Slot] = Entry;
        SimEntryCount += 1;
        SimWeight += Entry->Weight;
    }
}

static ULONG
SimSlot(const SIM_ENTRY *Entry)
{
    ULONG Slot = 0;

    while (SimOrder[Slot] != Entry) {
        Slot += 1;
    }
    return Slot;
}

PVOID
SimState(PSIM_THREAD Thread)
{
    return Thread->States[SimSlot(Thread->Entry)];
}

/* --- Refusals ----------------------------------------------------------------------------------- */

/* The injection's hook: a request is refused by what the step and the request's number in it say. */
static BOOLEAN
SimRefuses(VOID)
{
    PSIM_THREAD Thread = PcrRead8(DpcRoutineActive) ? NULL : SimCurrent();

    if (Thread == NULL || Thread->Entry == NULL || Thread->RefusedPerMillion == 0) {
        return FALSE;
    }
    Thread->Requests += 1;
    if (SimMix(Thread->RefusalSeed + Thread->Requests) % 1000000 >= Thread->RefusedPerMillion) {
        return FALSE;
    }
    Thread->Requests |= 0x80000000;
    __atomic_fetch_add(&SimRefusals, 1, __ATOMIC_RELAXED);
    return TRUE;
}

BOOLEAN
SimWasRefused(PSIM_THREAD Thread)
{
    return (Thread->Requests & 0x80000000) != 0;
}

/* --- Steps -------------------------------------------------------------------------------------- */

static VOID
SimMakeStep(PSIM_THREAD Thread, ULONG Step)
{
    static const ULONG Rates[] = {0, 0, 0, 20000, 100000, 400000};
    ULONG Draw = (ULONG)(SimHash(Step, 10) % SimWeight), Slot = 0;

    while (Draw >= SimOrder[Slot]->Weight) {
        Draw -= SimOrder[Slot]->Weight;
        Slot += 1;
    }
    Thread->Step = Step;
    Thread->Random = SimHash(Step, 11);
    Thread->RefusalSeed = SimHash(Step, 12);
    Thread->RefusedPerMillion = SimPlan.Refuse ? Rates[SimHash(Step, 13) % RTL_NUMBER_OF(Rates)] : 0;
    Thread->Requests = 0;
    Thread->Entry = SimOrder[Slot];
    if (SimPlan.Chosen) {
        SimPut("# step %u, thread %u: %s\n", Step, Thread->Number, Thread->Entry->Name);
    }
    Thread->Entry->Step(Thread);
    SIM_CHECK(HalGetIrql() == PASSIVE_LEVEL);
    SIM_CHECK(KiCurrentThread()->KernelApcDisable == 0);
    SIM_CHECK(KiCurrentThread()->PushLockCount == 0);
    Thread->Entry = NULL;
    __atomic_fetch_add(&SimSteps, 1, __ATOMIC_RELAXED);
}

static VOID NTAPI
SimThreadMain(PVOID Context)
{
    PSIM_THREAD Thread = Context;

    for (ULONG Round = 0; Round < SimPlan.Rounds; Round += 1) {
        KeWaitForSingleObject(&Thread->Go, Executive, KernelMode, FALSE, NULL);
        for (ULONG Index = 0; Index < SimPlan.StepsEach; Index += 1) {
            /* From 1: 0 is no step. */
            ULONG Step = (Round * SimPlan.Threads + Thread->Number) * SimPlan.StepsEach + Index + 1;

            if (SimIsChosen(Step)) {
                SimMakeStep(Thread, Step);
            }
        }
        KeReleaseSemaphore(&SimDone, 0, 1, FALSE);
    }
    KeWaitForSingleObject(&Thread->Go, Executive, KernelMode, FALSE, NULL);
    Thread->RefusedPerMillion = 0;
    for (ULONG Slot = SimEntryCount; Slot-- > 0;) {
        Thread->Entry = SimOrder[Slot];
        if (Thread->Entry->End != NULL) {
            Thread->Entry->End(Thread);
        }
    }
    Thread->Entry = NULL;
    KeReleaseSemaphore(&SimDone, 0, 1, FALSE);
}

/* --- A run -------------------------------------------------------------------------------------- */

/* With everybody standing still, also who buries the threads that ended. */
static VOID
SimValidate(VOID)
{
    PsFlushEndedThreads();
    SIM_CHECK(MiValidatePfnDatabase());
    SIM_CHECK(MiValidateSystemSpace());
    SIM_CHECK(MiValidatePools());
    if (KiGetFinding(0) != NULL) {
        SimPut("# %s\n", KiGetFinding(0)->Text);
        SimEnd(KiGetFinding(0)->Rule);
    }
}

static VOID
SimLetAllGo(VOID)
{
    for (ULONG Index = 0; Index < SimPlan.Threads; Index += 1) {
        KeSetEvent(&SimThreads[Index].Go, 0, FALSE);
    }
    for (ULONG Index = 0; Index < SimPlan.Threads; Index += 1) {
        KeWaitForSingleObject(&SimDone, Executive, KernelMode, FALSE, NULL);
    }
}

static VOID
SimStartThread(PSIM_THREAD Thread, ULONG Number)
{
    Thread->Number = Number;
    Thread->Bug = SimPlan.Bug;
    KeInitializeEvent(&Thread->Go, SynchronizationEvent, FALSE);
    for (ULONG Slot = 0; Slot < SimEntryCount; Slot += 1) {
        Thread->States[Slot] = ExAllocatePool2(POOL_FLAG_NON_PAGED, MAX(SimOrder[Slot]->StateBytes, 1), SIM_TAG);
        SIM_CHECK(Thread->States[Slot] != NULL);
    }
    SIM_CHECK(NT_SUCCESS(PsCreateCoreThread(SimThreadMain, Thread, 8, &Thread->Thread)));
}

static VOID
SimEndThread(PSIM_THREAD Thread)
{
    KeWaitForSingleObject(Thread->Thread, Executive, KernelMode, FALSE, NULL);
    ObDereferenceObject(Thread->Thread);
    Thread->Thread = NULL;
    for (ULONG Slot = 0; Slot < SimEntryCount; Slot += 1) {
        ExFreePoolWithTag(Thread->States[Slot], SIM_TAG);
    }
}

/* The first special block brings a record that stays. */
static VOID
SimWarmUp(VOID)
{
    PVOID Block = ExAllocatePool2(POOL_FLAG_NON_PAGED | POOL_FLAG_SPECIAL_POOL, 16, SIM_TAG);

    SIM_CHECK(Block != NULL);
    ExFreePoolWithTag(Block, SIM_TAG);
}

ULONG
KTestRunAll(const char *Filter)
{
    LARGE_INTEGER Settle = {.QuadPart = -3 * 1000 * 10000};
    CHAR Text[160];

    KiStopHandler = SimHandleStop;
    SimSortOperations();
    SimReadPlan(Filter);
    KeInitializeSemaphore(&SimDone, 0, MAXLONG);
    SimWarmUp();
    KTestMeasure(&SimBefore);
    for (ULONG Index = 0; Index < SimPlan.Threads; Index += 1) {
        SimStartThread(&SimThreads[Index], Index);
    }
    MiInjectStartHook(SimRefuses);
    for (SimRound = 0; SimRound < SimPlan.Rounds; SimRound += 1) {
        SimLetAllGo();
        SimValidate();
    }
    MiInjectStop(NULL);
    SimLetAllGo();
    for (ULONG Index = 0; Index < SimPlan.Threads; Index += 1) {
        SimEndThread(&SimThreads[Index]);
    }
    /* Workers that were made for the load go after a second without work. */
    KeDelayExecutionThread(KernelMode, FALSE, &Settle);
    KTestMeasure(&SimAfter);
    SimValidate();
    if (!KTestCompareBalance(&SimBefore, &SimAfter, Text, sizeof(Text))) {
        SimPut("# %s\n", Text);
        SimEnd("the balance at the end");
    }
    SimPut("sim: ok: seed %I64u, %u steps of %u operations, %u requests refused\n", KiLoaderBlock->Seed, SimSteps,
           SimEntryCount, SimRefusals);
    return 0;
}
