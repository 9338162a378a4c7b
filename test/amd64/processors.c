/*
 * Several processors: that all of them run, answer, and see a page table's change when a flush has returned; that one
 * that is not flushed keeps what it had, so that these tests can tell; and that the clock shares processors out.
 */
#include <ktest.h>
#include <mm/mi.h>
#include <mm/pte/pte.h>
#include <mm/pte/pteform.h>
#include <ps/ps.h>

#define PROCESSORS 64

static PKTHREAD
StartThread(PKSTART_ROUTINE Routine, PVOID Context)
{
    PKTHREAD Thread = NULL;

    CHECK_STATUS(STATUS_SUCCESS, PsCreateCoreThread(Routine, Context, 8, &Thread));
    return Thread;
}

static VOID
JoinThread(PKTHREAD Thread)
{
    if (Thread != NULL) {
        KeWaitForSingleObject(Thread, Executive, KernelMode, FALSE, NULL);
        ObDereferenceObject(Thread);
    }
}

static VOID
SkipAlone(VOID)
{
    KTestNote("skipped: one processor");
}

static ULONG
LastProcessor(VOID)
{
    return KeQueryActiveProcessorCountEx(ALL_PROCESSOR_GROUPS) - 1;
}

/* --- They are there ------------------------------------------------------------------------------------- */

typedef struct _ROLL_CALL {
    volatile ULONG64 Seen;
    volatile LONG Wrong;
} ROLL_CALL;

static ULONG_PTR NTAPI
AnswerRollCall(ULONG_PTR Context)
{
    ROLL_CALL *Call = (ROLL_CALL *)Context;
    PKPCR Pcr = KeGetPcr();

    if (Pcr != HalProcessorPcr(Pcr->Number) || Pcr->LegacyNumber != Pcr->Number || HalGetIrql() != IPI_LEVEL) {
        InterlockedIncrement(&Call->Wrong);
    }
    __atomic_fetch_or(&Call->Seen, 1ull << Pcr->Number, __ATOMIC_RELAXED);
    return Pcr->Number;
}

KTEST(Amd64EveryProcessorAnswers)
{
    ULONG Count = KeQueryActiveProcessorCountEx(ALL_PROCESSOR_GROUPS);

    CHECK_EQ(Count, HalProcessorCount());
    for (ULONG Round = 0; Round < 20; Round += 1) {
        ROLL_CALL Call = {0, 0};

        KeIpiGenericCall(AnswerRollCall, (ULONG_PTR)&Call);
        CHECK_EQ(Call.Seen, (2ull << (Count - 1)) - 1);
        CHECK_EQ(Call.Wrong, 0);
    }
    KTestNote("processors: %u, highest node: %u", Count, KeQueryHighestNodeNumber());
}

KTEST(Amd64NodesHoldEverything)
{
    ULONG64 Set = 0;

    for (USHORT Node = 0; Node <= KeQueryHighestNodeNumber(); Node += 1) {
        GROUP_AFFINITY Affinity;

        KeQueryNodeActiveAffinity(Node, &Affinity, NULL);
        CHECK_EQ(Set & Affinity.Mask, 0);
        Set |= Affinity.Mask;
    }
    CHECK_EQ(Set, KeQueryActiveProcessors());
}

/* Control registers are every processor's own. */
typedef struct _REGISTERS {
    ULONG64 Cr0[PROCESSORS], Cr4[PROCESSORS], Efer[PROCESSORS], Pat[PROCESSORS];
} REGISTERS;

static ULONG64
ReadMsr(ULONG Register)
{
    ULONG Low, High;

    __asm__ volatile("rdmsr" : "=a"(Low), "=d"(High) : "c"(Register));
    return Low | (ULONG64)High << 32;
}

static ULONG_PTR NTAPI
CopyRegisters(ULONG_PTR Context)
{
    REGISTERS *Registers = (REGISTERS *)Context;
    ULONG Number = KeGetPcr()->Number;

    __asm__ volatile("movq %%cr0, %0" : "=r"(Registers->Cr0[Number]));
    __asm__ volatile("movq %%cr4, %0" : "=r"(Registers->Cr4[Number]));
    Registers->Efer[Number] = ReadMsr(0xC0000080);
    Registers->Pat[Number] = ReadMsr(0x277);
    return 0;
}

KTEST(Amd64ProcessorsAreSetUpAlike)
{
    static REGISTERS Registers;

    KeIpiGenericCall(CopyRegisters, (ULONG_PTR)&Registers);
    CHECK((Registers.Cr0[0] & 0x10000) != 0);  /* read-only pages are so for the kernel too */
    CHECK((Registers.Cr4[0] & 0x80) != 0);     /* global translations */
    CHECK((Registers.Efer[0] & 0x800) != 0);   /* no-execute */
    CHECK_EQ(Registers.Pat[0], 0x0007010600070106ull);
    for (ULONG Number = 1; Number <= LastProcessor(); Number += 1) {
        CHECK_EQ(Registers.Cr0[Number], Registers.Cr0[0]);
        CHECK_EQ(Registers.Cr4[Number], Registers.Cr4[0]);
        CHECK_EQ(Registers.Efer[Number], Registers.Efer[0]);
        CHECK_EQ(Registers.Pat[Number], Registers.Pat[0]);
    }
}

/* --- Shootdowns ----------------------------------------------------------------------------------------- */

/* A page that a thread on another processor looks at, and two frames to put behind it. */
typedef struct _WATCHED_PAGE {
    volatile ULONG *Va;
    PMMPTE Pte;
    PFN_NUMBER Frames[2];
    ULONG Processor;
    volatile LONG Round; /* what the watcher is to answer */
    volatile LONG Answered;
    volatile ULONG Value;
    volatile LONG End;
    PKTHREAD Watcher;
} WATCHED_PAGE;

/* At DISPATCH_LEVEL, so that nobody but an interrupt is between two looks. */
static VOID NTAPI
WatchPage(PVOID Context)
{
    WATCHED_PAGE *Page = Context;
    KAFFINITY Old = KeSetSystemAffinityThreadEx(1ull << Page->Processor);
    KIRQL OldIrql;

    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    CHECK_EQ(KeGetPcr()->Number, Page->Processor);
    while (!Page->End) {
        LONG Round = Page->Round;

        Page->Value = *Page->Va;
        __atomic_store_n(&Page->Answered, Round, __ATOMIC_SEQ_CST);
        HalPause();
    }
    KeLowerIrql(OldIrql);
    KeRevertToUserAffinityThreadEx(Old);
}

/* What the other processor sees when asked now. */
static ULONG
AskWatcher(WATCHED_PAGE *Page)
{
    LONG Round = InterlockedIncrement(&Page->Round);

    while (__atomic_load_n(&Page->Answered, __ATOMIC_SEQ_CST) != Round) {
        HalPause();
    }
    return Page->Value;
}

static VOID
PutFrame(WATCHED_PAGE *Page, ULONG Which)
{
    MiWritePte(Page->Pte, MiMakeValidPte(Page->Frames[Which], MM_READWRITE, MI_PTE_ACCESSED | MI_PTE_DIRTY));
}

static BOOLEAN
StartWatching(WATCHED_PAGE *Page, ULONG Processor)
{
    RtlZeroMemory(Page, sizeof(*Page));
    Page->Va = MiReserveSystemVa(MiRegionSystemPtes, 1, 1);
    if (Page->Va == NULL || MiGetFrames(MI_GET_ALL, 0, MiUseSystemPte, 2, Page->Frames) != 2) {
        return FALSE;
    }
    MiMapFrames((PVOID)(ULONG_PTR)Page->Va, 1, Page->Frames, MM_READWRITE, MmCached);
    Page->Pte = MiGetPteAddress((ULONG_PTR)Page->Va);
    *(ULONG *)HalFrameAddress(Page->Frames[0]) = 100;
    *(ULONG *)HalFrameAddress(Page->Frames[1]) = 101;
    Page->Processor = Processor;
    Page->Watcher = StartThread(WatchPage, Page);
    return Page->Watcher != NULL;
}

static VOID
StopWatching(WATCHED_PAGE *Page)
{
    Page->End = TRUE;
    JoinThread(Page->Watcher);
    MiUnmapRange((PVOID)(ULONG_PTR)Page->Va, 1, NULL);
    MiFreeFrames(Page->Frames, 2);
    MiReleaseSystemVa(MiRegionSystemPtes, (PVOID)(ULONG_PTR)Page->Va, 1);
}

KTEST(Amd64ShootdownReachesOtherProcessors)
{
    static WATCHED_PAGE Page;
    KAFFINITY Old;

    if (LastProcessor() == 0) {
        SkipAlone();
        return;
    }
    Old = KeSetSystemAffinityThreadEx(1);
    REQUIRE(StartWatching(&Page, LastProcessor()));
    for (ULONG Round = 0; Round < 200; Round += 1) {
        HAL_FLUSH_RANGE Range = {(ULONG_PTR)Page.Va, 1};

        CHECK_EQ(AskWatcher(&Page), 100 + Round % 2);
        PutFrame(&Page, 1 - Round % 2);
        if (Round % 8 == 0) {
            HalFlushEntireTb(HAL_ALL_PROCESSORS);
        } else {
            HalFlushTb(&Range, 1, HAL_ALL_PROCESSORS);
        }
        CHECK_EQ(AskWatcher(&Page), 101 - Round % 2);
    }
    StopWatching(&Page);
    KeRevertToUserAffinityThreadEx(Old);
}

/* Without it the other processor keeps the old page: the test above, and stress, see what is missing. */
KTEST(Amd64MissingShootdownShows)
{
    static WATCHED_PAGE Page;
    HAL_FLUSH_RANGE Range;
    KAFFINITY Old;
    ULONG Stale = 0;

    if (LastProcessor() == 0) {
        SkipAlone();
        return;
    }
    Old = KeSetSystemAffinityThreadEx(1);
    REQUIRE(StartWatching(&Page, LastProcessor()));
    Range = (HAL_FLUSH_RANGE){(ULONG_PTR)Page.Va, 1};
    for (ULONG Round = 0; Round < 50; Round += 1) {
        CHECK_EQ(AskWatcher(&Page), 100);
        PutFrame(&Page, 1);
        HalFlushTb(&Range, 1, 1);
        CHECK_EQ(*Page.Va, 101);
        Stale += AskWatcher(&Page) == 100;
        PutFrame(&Page, 0);
        HalFlushTb(&Range, 1, HAL_ALL_PROCESSORS);
    }
    CHECK(Stale >= 40); /* an emulator may drop translations of its own accord */
    StopWatching(&Page);
    KeRevertToUserAffinityThreadEx(Old);
}

/* A processor that is idle is not asked, and must know better when it wakes. */
static ULONG_PTR NTAPI
LookAtPage(ULONG_PTR Context)
{
    WATCHED_PAGE *Page = (WATCHED_PAGE *)Context;

    if (KeGetPcr()->Number == Page->Processor) {
        Page->Value = *Page->Va;
    }
    return 0;
}

KTEST(Amd64IdleProcessorsFlushLater)
{
    static WATCHED_PAGE Page;
    LARGE_INTEGER Interval = {.QuadPart = -20000};
    HAL_FLUSH_RANGE Range;
    KAFFINITY Old;

    if (LastProcessor() == 0) {
        SkipAlone();
        return;
    }
    Old = KeSetSystemAffinityThreadEx(1);
    REQUIRE(StartWatching(&Page, LastProcessor()));
    Page.End = TRUE;
    JoinThread(Page.Watcher);
    Page.Watcher = NULL;
    Range = (HAL_FLUSH_RANGE){(ULONG_PTR)Page.Va, 1};
    for (ULONG Round = 0; Round < 20; Round += 1) {
        KeIpiGenericCall(LookAtPage, (ULONG_PTR)&Page);
        CHECK_EQ(Page.Value, 100 + Round % 2);
        KeDelayExecutionThread(KernelMode, FALSE, &Interval);
        PutFrame(&Page, 1 - Round % 2);
        HalFlushTb(&Range, 1, HAL_ALL_PROCESSORS);
    }
    StopWatching(&Page);
    KeRevertToUserAffinityThreadEx(Old);
}

/* Everybody flushes at the same time, with interrupts off and at all levels: each answers while it waits. */
typedef struct _FLUSHERS {
    volatile LONG Next;
    volatile LONG Ready;
    LONG Count;
    ULONG_PTR Va;
} FLUSHERS;

static VOID NTAPI
FlushAtAllLevels(PVOID Context)
{
    static const KIRQL Levels[] = {PASSIVE_LEVEL, DISPATCH_LEVEL, CLOCK_LEVEL, IPI_LEVEL, HIGH_LEVEL};
    FLUSHERS *Flushers = Context;
    KAFFINITY Old = KeSetSystemAffinityThreadEx(1ull << (InterlockedIncrement(&Flushers->Next) - 1));
    HAL_FLUSH_RANGE Range = {Flushers->Va, 1};

    InterlockedIncrement(&Flushers->Ready);
    while (Flushers->Ready != Flushers->Count) {
        HalPause();
    }
    for (ULONG Round = 0; Round < 500; Round += 1) {
        BOOLEAN Enabled = FALSE;
        KIRQL OldIrql;

        KeRaiseIrql(Levels[Round % RTL_NUMBER_OF(Levels)], &OldIrql);
        if (Round % 3 == 0) {
            Enabled = HalDisableInterrupts();
        }
        if (Round % 7 == 0) {
            HalFlushEntireTb(HAL_ALL_PROCESSORS);
        } else {
            HalFlushTb(&Range, 1, HAL_ALL_PROCESSORS);
        }
        HalRestoreInterrupts(Enabled);
        KeLowerIrql(OldIrql);
    }
    KeRevertToUserAffinityThreadEx(Old);
}

KTEST(Amd64AllFlushAtOnce)
{
    static FLUSHERS Flushers;
    PKTHREAD Threads[PROCESSORS];
    ULONG Count = LastProcessor() + 1;

    RtlZeroMemory(&Flushers, sizeof(Flushers));
    Flushers.Count = (LONG)Count;
    Flushers.Va = KiLoaderBlock->SystemStart;
    for (ULONG Index = 0; Index < Count; Index += 1) {
        Threads[Index] = StartThread(FlushAtAllLevels, &Flushers);
    }
    for (ULONG Index = 0; Index < Count; Index += 1) {
        JoinThread(Threads[Index]);
    }
}

/* --- Clocks --------------------------------------------------------------------------------------------- */

/* Two threads that never give up one processor: the clock takes turns. */
typedef struct _SPINNERS {
    ULONG64 Affinity;
    volatile LONG Turn;
    volatile LONG Changes;
    volatile LONG Next;
} SPINNERS;

static VOID NTAPI
SpinForTurns(PVOID Context)
{
    SPINNERS *Spinners = Context;
    KAFFINITY Old = KeSetSystemAffinityThreadEx(Spinners->Affinity);
    LONG Mine = InterlockedIncrement(&Spinners->Next);

    while (Spinners->Changes < 4) {
        if (Spinners->Turn != Mine) {
            Spinners->Turn = Mine;
            InterlockedIncrement(&Spinners->Changes);
        }
        HalPause();
    }
    KeRevertToUserAffinityThreadEx(Old);
}

KTEST(Amd64ClockPreemptsOnEveryProcessor)
{
    for (ULONG Number = 0; Number <= LastProcessor(); Number += 1) {
        static SPINNERS Spinners;
        PKTHREAD Threads[2];

        RtlZeroMemory(&Spinners, sizeof(Spinners));
        Spinners.Affinity = 1ull << Number;
        Threads[0] = StartThread(SpinForTurns, &Spinners);
        Threads[1] = StartThread(SpinForTurns, &Spinners);
        JoinThread(Threads[0]);
        JoinThread(Threads[1]);
        CHECK(Spinners.Changes >= 4);
    }
}

/* Time handed from processor to processor does not go back. */
static volatile ULONG64 LatestTime;
static volatile LONG TimesBack;

static ULONG_PTR NTAPI
CompareTime(ULONG_PTR Context)
{
    for (ULONG Round = 0; Round < 200; Round += 1) {
        ULONG64 Seen = __atomic_load_n(&LatestTime, __ATOMIC_SEQ_CST);
        ULONG64 Now = HalQueryInterruptTime();

        if (Now < Seen) {
            InterlockedIncrement(&TimesBack);
        }
        while (Now > Seen && !__atomic_compare_exchange_n(&LatestTime, &Seen, Now, FALSE, __ATOMIC_SEQ_CST,
                                                          __ATOMIC_SEQ_CST)) {
        }
    }
    return 0;
}

KTEST(Amd64TimeIsOneForAll)
{
    LatestTime = 0;
    TimesBack = 0;
    for (ULONG Round = 0; Round < 5; Round += 1) {
        KeIpiGenericCall(CompareTime, 0);
    }
    CHECK_EQ(TimesBack, 0);
}

/* --- The console ---------------------------------------------------------------------------------------- */

/* boot.t looks for the lines, whole. */
static VOID NTAPI
PrintLines(PVOID Context)
{
    static const char Line[] = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
    KAFFINITY Old = KeSetSystemAffinityThreadEx(1ull << (ULONG_PTR)Context);

    for (ULONG Round = 0; Round < 20; Round += 1) {
        KTestNote("line %u %s", (ULONG)(ULONG_PTR)Context, Line);
    }
    KeRevertToUserAffinityThreadEx(Old);
}

KTEST(Amd64ConsoleKeepsLinesTogether)
{
    PKTHREAD Threads[PROCESSORS];

    for (ULONG Number = 0; Number <= LastProcessor(); Number += 1) {
        Threads[Number] = StartThread(PrintLines, (PVOID)(ULONG_PTR)Number);
    }
    for (ULONG Number = 0; Number <= LastProcessor(); Number += 1) {
        JoinThread(Threads[Number]);
    }
}

/* Each processor has stacks of its own for what may come at any moment. */
static __attribute__((noinline)) ULONG
DescendOn(volatile UCHAR *Above, ULONG Depth)
{
    volatile UCHAR Here[512];

    Here[0] = Above[0];
    return Depth == 0 ? 0 : DescendOn(Here, Depth - 1) + Here[0];
}

static VOID
OverflowOn(PVOID Context)
{
    UCHAR First = 0;

    KeSetSystemAffinityThreadEx(*(const ULONG64 *)Context);
    DescendOn(&First, MAXULONG);
}

KTEST(Amd64DoubleFaultOnEveryProcessor)
{
    for (ULONG Number = 0; Number <= LastProcessor(); Number += 1) {
        ULONG64 Affinity = 1ull << Number;

        CHECK_BUGCHECK_CALL(UNEXPECTED_KERNEL_MODE_TRAP, 8, OverflowOn, &Affinity);
    }
}
