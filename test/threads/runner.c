/*
 * The kernel tests of mm/phys, and the stress, on the threads plug: TAP on standard output. Hosted
 * C.
 *
 *   threads-tests [--dirty 1] [--nodes N] [--processors N] [--memory MB] [--seconds N] [--seed N]
 *                 [filter]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hal/threads/threads.h>
#include <ktest.h>

#include "stress.h"

extern const KTEST_ENTRY __start_ktests[], __stop_ktests[];

static ULONG RunnerFailures;

VOID
KTestFail(const char *File, int Line, const char *Text)
{
    __atomic_fetch_add(&RunnerFailures, 1, __ATOMIC_RELAXED);
    printf("# %s:%d: %s\n", File, Line, Text);
}

VOID
KTestFailValues(const char *File, int Line, const char *Text, ULONG64 Actual, ULONG64 Expected)
{
    __atomic_fetch_add(&RunnerFailures, 1, __ATOMIC_RELAXED);
    printf("# %s:%d: %s: got 0x%llx, expected 0x%llx\n", File, Line, Text, Actual, Expected);
}

VOID NTAPI
KTestNote(const char *Format, ...)
{
    printf("# %s\n", Format);
}

BOOLEAN
KTestExpectBugCheck(VOID (*Routine)(PVOID), PVOID Context, KTEST_BUGCHECK *Caught)
{
    ULONG64 Parameters[4];
    BOOLEAN Hit = HaltCatchBugCheck(Routine, Context, &Caught->Code, Parameters);

    for (ULONG Index = 0; Index < 4; Index++) {
        Caught->Parameters[Index] = Parameters[Index];
    }
    return Hit;
}

/* Report one TAP line; what a test takes and does not give back fails it. */
static VOID
RunnerReport(ULONG Number, const char *Name, SIZE_T Before, BOOLEAN MayKeep)
{
    SIZE_T After = MiAvailablePages();

    if (After != Before && !MayKeep) {
        printf("# %llu pages available before, %llu after\n", Before, After);
        RunnerFailures += 1;
    }
    if (HalGetIrql() != PASSIVE_LEVEL) {
        printf("# left at IRQL %u\n", HalGetIrql());
        RunnerFailures += 1;
    }
    MiValidatePfnDatabase();
    printf("%s %u - %s\n", RunnerFailures == 0 ? "ok" : "not ok", Number, Name);
    fflush(stdout);
}

static ULONG
RunnerUnitTests(const char *Filter, ULONG *Number)
{
    ULONG Failed = 0;

    for (const KTEST_ENTRY *Test = __start_ktests; Test < __stop_ktests; Test++) {
        SIZE_T Before;

        if (Filter != NULL && strstr(Test->Name, Filter) == NULL) {
            continue;
        }
        RunnerFailures = 0;
        Before = MiAvailablePages();
        Test->Routine();
        RunnerReport(++*Number, Test->Name, Before, (Test->Flags & KTEST_MAY_KEEP) != 0);
        Failed += RunnerFailures != 0;
    }
    return Failed;
}

static ULONG64
RunnerOption(int Count, char **Arguments, const char *Name, ULONG64 Default)
{
    for (int Index = 1; Index + 1 < Count; Index++) {
        if (strcmp(Arguments[Index], Name) == 0) {
            return strtoull(Arguments[Index + 1], NULL, 0);
        }
    }
    return Default;
}

int
main(int Count, char **Arguments)
{
    HALT_CONFIG Config = {
        .MemoryBytes = RunnerOption(Count, Arguments, "--memory", 64) << 20,
        .Processors = (ULONG)RunnerOption(Count, Arguments, "--processors", 4),
        .Nodes = (ULONG)RunnerOption(Count, Arguments, "--nodes", 1),
        .Dirty = RunnerOption(Count, Arguments, "--dirty", 0) != 0,
        .Seed = RunnerOption(Count, Arguments, "--seed", 1),
    };
    ULONG Seconds = (ULONG)RunnerOption(Count, Arguments, "--seconds", 3);
    const char *Filter = Count % 2 == 0 ? Arguments[Count - 1] : NULL;
    ULONG Number = 0;
    ULONG Failed;
    SIZE_T Before;

    MiInitializePhysical(HaltStart(&Config));
    MiValidatePfnDatabase();
    Failed = RunnerUnitTests(Filter, &Number);
    if (Filter == NULL || strstr("stress", Filter) != NULL) {
        RunnerFailures = 0;
        Before = MiAvailablePages();
        StressOtherCaches();
        RunnerReport(++Number, "StressOtherCaches", Before, FALSE);
        Failed += RunnerFailures != 0;
        RunnerFailures = 0;
        StressPageFrames(Seconds, Config.Seed);
        RunnerReport(++Number, "StressPageFrames", Before, FALSE);
        Failed += RunnerFailures != 0;
    }
    printf("1..%u\n# seed %llu\n", Number, Config.Seed);
    return Failed == 0 ? 0 : 1;
}
