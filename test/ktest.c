/*
 * The runner of kernel tests; see ktest.h. TAP goes to the console: standard output hosted, the first serial port
 * on metal.
 */
#include <ktest.h>
#include <mm/mi.h>
#include <ke/finding.h>
#include <mm/pte/pte.h>
#include <mm/pool/pool.h>
#include <mm/stack/stack.h>
#include <mm/va/va.h>
#include <ps/ps.h>
#include <rtl/rtl.h>

#define KTEST_LIMIT 2048

extern const KTEST_ENTRY __start_ktests[], __stop_ktests[];

/* What must be the same before and after a test. */
typedef struct _KTEST_BALANCE {
    SIZE_T Available, Commit;
} KTEST_BALANCE;

static ULONG KTestFailures;     /* of the running test */
static const KTEST_ENTRY *KTestOrder[KTEST_LIMIT];

static VOID NTAPI
KTestPut(const char *Format, ...)
{
    CHAR Line[512];
    NT_VA_LIST Arguments;
    ULONG Length;

    NT_VA_START(Arguments, Format);
    Length = RtlpFormatBuffer(Line, sizeof(Line), Format, Arguments);
    NT_VA_END(Arguments);
    HalPutConsole(Line, Length);
}

VOID NTAPI
KTestNote(const char *Format, ...)
{
    CHAR Line[480];
    NT_VA_LIST Arguments;

    NT_VA_START(Arguments, Format);
    RtlpFormatBuffer(Line, sizeof(Line), Format, Arguments);
    NT_VA_END(Arguments);
    KTestPut("# %s\n", Line);
}

VOID
KTestFail(const char *File, int Line, const char *Text)
{
    __atomic_fetch_add(&KTestFailures, 1, __ATOMIC_RELAXED);
    KTestPut("# %s:%d: %s\n", File, Line, Text);
}

VOID
KTestFailValues(const char *File, int Line, const char *Text, ULONG64 Actual, ULONG64 Expected)
{
    __atomic_fetch_add(&KTestFailures, 1, __ATOMIC_RELAXED);
    KTestPut("# %s:%d: %s: got 0x%I64x, expected 0x%I64x\n", File, Line, Text, Actual, Expected);
}

/* --- Expected bug checks -------------------------------------------------------------------------- */

typedef struct _KTEST_VICTIM {
    VOID (*Routine)(PVOID);
    PVOID Context;
    KTEST_BUGCHECK Caught;
    BOOLEAN Hit;
    PKTHREAD Thread;
} KTEST_VICTIM;

static KTEST_VICTIM *KTestVictim;

/* Called first thing by a bug check: the victim's thread ends here, everybody else's goes on to stop the run. */
static VOID
KTestCatchBugCheck(ULONG Code, const ULONG64 *Parameters)
{
    KTEST_VICTIM *Victim = KTestVictim;

    if (Victim == NULL || Victim->Thread != KiCurrentThread()) {
        return;
    }
    KTestVictim = NULL;
    Victim->Caught.Code = Code;
    for (ULONG Index = 0; Index < 4; Index += 1) {
        Victim->Caught.Parameters[Index] = Parameters[Index];
    }
    Victim->Hit = TRUE;
    KiAbandonThread(STATUS_UNSUCCESSFUL);
}

static VOID NTAPI
KTestVictimThread(PVOID Context)
{
    KTEST_VICTIM *Victim = Context;

    Victim->Thread = KiCurrentThread();
    Victim->Routine(Victim->Context);
    KTestVictim = NULL;
}

BOOLEAN
KTestExpectBugCheck(VOID (*Routine)(PVOID), PVOID Context, KTEST_BUGCHECK *Caught)
{
    KTEST_VICTIM Victim = {.Routine = Routine, .Context = Context};
    PKTHREAD Thread;

    KTestVictim = &Victim;
    KiBugCheckHook = KTestCatchBugCheck;
    if (!NT_SUCCESS(PsCreateCoreThread(KTestVictimThread, &Victim, 8, &Thread))) {
        KTestVictim = NULL;
        KTestFail(__FILE__, __LINE__, "no thread for an expected bug check");
        return FALSE;
    }
    KeWaitForSingleObject(Thread, Executive, KernelMode, FALSE, NULL);
    ObDereferenceObject(Thread);
    *Caught = Victim.Caught;
    return Victim.Hit;
}

/* --- Running --------------------------------------------------------------------------------------- */

static LONG
KTestCompare(const char *Left, const char *Right)
{
    while (*Left != 0 && *Left == *Right) {
        Left += 1;
        Right += 1;
    }
    return (LONG)(UCHAR)*Left - (LONG)(UCHAR)*Right;
}

static BOOLEAN
KTestContains(const char *Text, const char *Word)
{
    for (; *Text != 0; Text += 1) {
        ULONG Index = 0;

        while (Word[Index] != 0 && Text[Index] == Word[Index]) {
            Index += 1;
        }
        if (Word[Index] == 0) {
            return TRUE;
        }
    }
    return FALSE;
}

/* Select and sort by name, so that the order does not depend on the linker. */
static ULONG
KTestSelect(const char *Filter)
{
    ULONG Count = 0;

    for (const KTEST_ENTRY *Entry = __start_ktests; Entry < __stop_ktests && Count < KTEST_LIMIT; Entry += 1) {
        ULONG Slot = Count;

        if (Filter != NULL && !KTestContains(Entry->Name, Filter) && !KTestContains(Entry->File, Filter)) {
            continue;
        }
        while (Slot != 0 && KTestCompare(KTestOrder[Slot - 1]->Name, Entry->Name) > 0) {
            KTestOrder[Slot] = KTestOrder[Slot - 1];
            Slot -= 1;
        }
        KTestOrder[Slot] = Entry;
        Count += 1;
    }
    return Count;
}

/* Threads that ended give their stacks back a little later; wait until the figures stand still. */
static VOID
KTestMeasure(KTEST_BALANCE *Balance)
{
    LARGE_INTEGER Interval = {.QuadPart = -10 * 10000};
    MI_POOL_USAGE Usage;
    SIZE_T Limit, Peak;

    for (ULONG Round = 0; Round < 3; Round += 1) {
        KeDelayExecutionThread(KernelMode, FALSE, &Interval);
        PsFlushEndedThreads();
        MiTrimStacks();
        MiTrimPools();
        MiTrimSystemSpace();
    }
    /* The pools' own records (tags, call stacks) may grow. */
    MiQueryPoolUsage(&Usage);
    MiQueryCommit(&Balance->Commit, &Limit, &Peak);
    Balance->Available = MiAvailablePages() + Usage.MetadataPages;
    Balance->Commit -= Usage.MetadataPages;
}

static VOID
KTestCheckAfter(const KTEST_ENTRY *Entry, const KTEST_BALANCE *Before)
{
    KTEST_BALANCE After;

    CHECK_EQ(HalGetIrql(), PASSIVE_LEVEL);
    CHECK_EQ(KiCurrentThread()->KernelApcDisable, 0);
    CHECK_EQ(KiCurrentThread()->PushLockCount, 0);
    KTestMeasure(&After);
    if (!(Entry->Flags & KTEST_MAY_KEEP)) {
        CHECK_EQ(After.Available, Before->Available);
        CHECK_EQ(After.Commit, Before->Commit);
    }
    CHECK(MiValidatePfnDatabase());
    CHECK(MiValidateSystemSpace());
    CHECK(MiValidatePools());
    CHECK(MiValidateAddressSpaces());
    for (ULONG Index = 0; KiGetFinding(Index) != NULL; Index += 1) {
        KTestFail(Entry->File, 0, KiGetFinding(Index)->Text);
    }
    KiClearFindings();
}

ULONG
KTestRunAll(const char *Filter)
{
    ULONG Count = KTestSelect(Filter), Failed = 0;

    KTestPut("1..%u\n", Count);
    for (ULONG Index = 0; Index < Count; Index += 1) {
        const KTEST_ENTRY *Entry = KTestOrder[Index];
        KTEST_BALANCE Before;

        KTestFailures = 0;
        KTestMeasure(&Before);
        Entry->Routine();
        KTestCheckAfter(Entry, &Before);
        KTestPut("%s %u - %s\n", KTestFailures == 0 ? "ok" : "not ok", Index + 1, Entry->Name);
        Failed += KTestFailures != 0;
    }
    return Failed;
}
