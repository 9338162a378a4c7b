/*
 * Everything at once on all processors, for a time: page frames, pools, mappings that other processors look at,
 * system PTEs, faults on paged pool, threads that come and go, DPCs everywhere. Run by test=Stress=SECONDS; the
 * runner compares what is free before and after, and runs the validators.
 *
 * Whatever is checked is stamped with a number that no two owners share. A shared mapping is a window of a few pages
 * with an owner at a time: who takes it looks through it, then puts other frames behind it, flushes, and leaves it to
 * whoever comes next, on whatever processor. Somebody with a stale translation reads another stamp. With ",forget"
 * behind the seconds the machine leaves other processors out of those flushes, and of no others, so that the run must
 * fail, and by that alone.
 */
#include <ktest.h>
#include <mm/mi.h>
#include <mm/pool/pool.h>
#include <mm/pte/pte.h>
#include <mm/stack/stack.h>
#include <ps/ps.h>

#define STRESS_WINDOWS      32
#define STRESS_WINDOW_PAGES 3
#define STRESS_BLOCKS       256
#define STRESS_FRAMES       48
#define STRESS_TAG          'srtS'
#define STRESS_WORKERS      128

typedef struct _WINDOW {
    PUCHAR Va;
    PFN_NUMBER Frames[STRESS_WINDOW_PAGES];
    ULONG64 Stamp;
} WINDOW;

typedef struct _BLOCK {
    ULONG64 Stamp;
    SIZE_T Words;
    ULONG64 Data[];
} BLOCK;

enum { DoFrames, DoPool, DoWindow, DoReserve, DoPaged, DoThread, DoDpc, DoTrim, DoCount };

static const char *const StressNames[DoCount] = {"frame sets", "pool blocks", "shared mappings", "reservations",
                                                 "paged blocks", "threads", "DPCs", "trims"};

static struct {
    ULONG64 End;
    volatile LONG64 Done[DoCount];
    volatile LONG64 NextStamp;
    volatile LONG64 Refused; /* memory was short: allowed */
    volatile LONG Stale;
    volatile LONG Broken;
    volatile LONG NextWorker;
    WINDOW Windows[STRESS_WINDOWS];
    PVOID volatile FreeWindows[STRESS_WINDOWS];
    PVOID volatile Blocks[STRESS_BLOCKS];
} StressRun;

static ULONG
Draw(PULONG State, ULONG Limit)
{
    *State ^= *State << 13;
    *State ^= *State >> 17;
    *State ^= *State << 5;
    return *State % Limit;
}

static ULONG64
NewStamp(VOID)
{
    return (ULONG64)InterlockedIncrement64(&StressRun.NextStamp);
}

static VOID
CountDone(ULONG What)
{
    InterlockedIncrement64(&StressRun.Done[What]);
}

static VOID
CountRefused(VOID)
{
    InterlockedIncrement64(&StressRun.Refused);
}

/* --- Page frames ---------------------------------------------------------------------------------------- */

static VOID
StressFrames(PULONG State)
{
    PFN_NUMBER Frames[STRESS_FRAMES];
    ULONG64 Stamp = NewStamp();
    SIZE_T Count = 1 + Draw(State, STRESS_FRAMES);
    ULONG Flags = Draw(State, 2) == 0 ? MI_GET_ZEROED : 0;

    if (MiGetFrames(MI_GET_ALL | Flags, 0, MiUseDriverLocked, Count, Frames) != Count) {
        CountRefused();
        return;
    }
    for (SIZE_T Index = 0; Index < Count; Index += 1) {
        volatile ULONG64 *Page = HalFrameAddress(Frames[Index]);
        ULONG Word = Draw(State, 512);

        if (Flags != 0 && Page[Word] != 0) {
            InterlockedIncrement(&StressRun.Broken);
        }
        Page[Word] = Stamp + Index;
        Page[0] = Stamp + Index;
    }
    for (SIZE_T Index = 0; Index < Count; Index += 1) {
        if (*(volatile ULONG64 *)HalFrameAddress(Frames[Index]) != Stamp + Index) {
            InterlockedIncrement(&StressRun.Broken);
        }
    }
    MiFreeFrames(Frames, Count);
    CountDone(DoFrames);
}

/* --- Pools: blocks are freed by whoever finds them ------------------------------------------------------ */

static VOID
FreeBlock(BLOCK *Block)
{
    if (Block == NULL) {
        return;
    }
    for (SIZE_T Index = 0; Index < Block->Words; Index += 1) {
        if (Block->Data[Index] != Block->Stamp + Index) {
            InterlockedIncrement(&StressRun.Broken);
            break;
        }
    }
    ExFreePoolWithTag(Block, STRESS_TAG);
}

static BLOCK *
MakeBlock(POOL_FLAGS Flags, SIZE_T Bytes)
{
    BLOCK *Block = ExAllocatePool2(Flags, sizeof(*Block) + Bytes, STRESS_TAG);

    if (Block == NULL) {
        CountRefused();
        return NULL;
    }
    Block->Stamp = NewStamp() << 20;
    Block->Words = Bytes / sizeof(ULONG64);
    for (SIZE_T Index = 0; Index < Block->Words; Index += 1) {
        Block->Data[Index] = Block->Stamp + Index;
    }
    return Block;
}

static VOID
StressPool(PULONG State)
{
    static const USHORT Limits[] = {64, 64, 256, 1024, 4096, 20000};
    SIZE_T Bytes = Draw(State, Limits[Draw(State, RTL_NUMBER_OF(Limits))]) + 8;
    BLOCK *Block = MakeBlock(POOL_FLAG_NON_PAGED, Bytes & ~7ull);

    FreeBlock(InterlockedExchangePointer(&StressRun.Blocks[Draw(State, STRESS_BLOCKS)], Block));
    CountDone(DoPool);
}

static VOID
StressPaged(PULONG State)
{
    FreeBlock(MakeBlock(POOL_FLAG_PAGED, (Draw(State, 6 * PAGE_SIZE) + 8) & ~7ull));
    CountDone(DoPaged);
}

/* --- Mappings ------------------------------------------------------------------------------------------- */

static VOID
StampFrames(const PFN_NUMBER *Frames, ULONG64 Stamp)
{
    for (ULONG Page = 0; Page < STRESS_WINDOW_PAGES; Page += 1) {
        *(volatile ULONG64 *)HalFrameAddress(Frames[Page]) = Stamp + Page;
    }
}

static VOID
LookThrough(const WINDOW *Window)
{
    for (ULONG Page = 0; Page < STRESS_WINDOW_PAGES; Page += 1) {
        if (*(volatile ULONG64 *)(Window->Va + Page * PAGE_SIZE) != Window->Stamp + Page) {
            InterlockedIncrement(&StressRun.Stale);
        }
    }
}

static VOID
StressWindow(PULONG State)
{
    PVOID volatile *Place = &StressRun.FreeWindows[Draw(State, STRESS_WINDOWS)];
    WINDOW *Window = InterlockedExchangePointer(Place, NULL);
    PFN_NUMBER Frames[STRESS_WINDOW_PAGES];

    if (Window == NULL) {
        return;
    }
    LookThrough(Window);
    if (Draw(State, 2) == 0 && MiGetFrames(MI_GET_ALL, 0, MiUseSystemPte, STRESS_WINDOW_PAGES, Frames) ==
                                   STRESS_WINDOW_PAGES) {
        MiUnmapRange(Window->Va, STRESS_WINDOW_PAGES, NULL);
        MiFreeFrames(Window->Frames, STRESS_WINDOW_PAGES);
        RtlCopyMemory(Window->Frames, Frames, sizeof(Frames));
        Window->Stamp = NewStamp() << 20;
        StampFrames(Frames, Window->Stamp);
        MiMapFrames(Window->Va, STRESS_WINDOW_PAGES, Frames, MM_READWRITE, MmCached);
        LookThrough(Window);
    }
    __atomic_store_n(Place, Window, __ATOMIC_SEQ_CST);
    CountDone(DoWindow);
}

static VOID
StressReserve(PULONG State)
{
    SIZE_T Count = 1 + Draw(State, 24);
    PFN_NUMBER Frames[24];
    PUCHAR Va = MiReserveSystemVa(MiRegionSystemPtes, Count, 1);
    ULONG64 Stamp = NewStamp() << 20;

    if (Va == NULL || MiGetFrames(MI_GET_ALL, 0, MiUseSystemPte, Count, Frames) != Count) {
        if (Va != NULL) {
            MiReleaseSystemVa(MiRegionSystemPtes, Va, Count);
        }
        CountRefused();
        return;
    }
    MiMapFrames(Va, Count, Frames, MM_READWRITE, MmCached);
    for (SIZE_T Page = 0; Page < Count; Page += 1) {
        *(volatile ULONG64 *)(Va + Page * PAGE_SIZE) = Stamp + Page;
    }
    for (SIZE_T Page = 0; Page < Count; Page += 1) {
        if (*(volatile ULONG64 *)HalFrameAddress(Frames[Page]) != Stamp + Page) {
            InterlockedIncrement(&StressRun.Stale);
        }
    }
    MiUnmapRange(Va, Count, NULL);
    MiFreeFrames(Frames, Count);
    MiReleaseSystemVa(MiRegionSystemPtes, Va, Count);
    CountDone(DoReserve);
}

/* --- Threads and DPCs ----------------------------------------------------------------------------------- */

static VOID NTAPI
SignalAndEnd(PVOID Context)
{
    KeSetEvent(Context, 1, FALSE);
}

static VOID
StressThread(VOID)
{
    PKTHREAD Thread;
    KEVENT Event;

    KeInitializeEvent(&Event, SynchronizationEvent, FALSE);
    if (!NT_SUCCESS(PsCreateCoreThread(SignalAndEnd, &Event, 8, &Thread))) {
        CountRefused();
        return;
    }
    KeWaitForSingleObject(&Event, Executive, KernelMode, FALSE, NULL);
    KeWaitForSingleObject(Thread, Executive, KernelMode, FALSE, NULL);
    ObDereferenceObject(Thread);
    CountDone(DoThread);
}

static VOID NTAPI
SignalInDpc(struct _KDPC *Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    KeSetEvent(Context, 1, FALSE);
}

static VOID
StressDpc(PULONG State)
{
    KEVENT Event;
    KDPC Dpc;

    KeInitializeEvent(&Event, SynchronizationEvent, FALSE);
    KeInitializeDpc(&Dpc, SignalInDpc, &Event);
    KeSetTargetProcessorDpc(&Dpc, (CCHAR)Draw(State, HalProcessorCount()));
    KeInsertQueueDpc(&Dpc, NULL, NULL);
    KeWaitForSingleObject(&Event, Executive, KernelMode, FALSE, NULL);
    CountDone(DoDpc);
}

static VOID
StressTrim(VOID)
{
    MiTrimStacks();
    MiTrimPools();
    MiTrimSystemSpace();
    CountDone(DoTrim);
}

/* --- The run -------------------------------------------------------------------------------------------- */

static VOID
StressOnce(PULONG State)
{
    ULONG What = Draw(State, 100);

    if (What < 25) {
        StressFrames(State);
    } else if (What < 50) {
        StressPool(State);
    } else if (What < 75) {
        StressWindow(State);
    } else if (What < 85) {
        StressReserve(State);
    } else if (What < 91) {
        StressPaged(State);
    } else if (What < 94) {
        StressThread();
    } else if (What < 99) {
        StressDpc(State);
    } else if (Draw(State, 8) == 0) {
        StressTrim();
    }
}

static VOID NTAPI
StressWorker(PVOID Context)
{
    ULONG Worker = (ULONG)InterlockedIncrement(&StressRun.NextWorker);
    ULONG State = 2463534242u + Worker * 7919u + (ULONG)KiLoaderBlock->Seed * 104729u;

    while (HalQueryInterruptTime() < StressRun.End && StressRun.Stale == 0 && StressRun.Broken == 0) {
        StressOnce(&State);
    }
}

static BOOLEAN
OpenWindows(PUCHAR Base)
{
    for (ULONG Index = 0; Index < STRESS_WINDOWS; Index += 1) {
        WINDOW *Window = &StressRun.Windows[Index];

        Window->Va = Base + Index * STRESS_WINDOW_PAGES * PAGE_SIZE;
        if (MiGetFrames(MI_GET_ALL, 0, MiUseSystemPte, STRESS_WINDOW_PAGES, Window->Frames) != STRESS_WINDOW_PAGES) {
            return FALSE;
        }
        Window->Stamp = NewStamp() << 20;
        StampFrames(Window->Frames, Window->Stamp);
        MiMapFrames(Window->Va, STRESS_WINDOW_PAGES, Window->Frames, MM_READWRITE, MmCached);
        StressRun.FreeWindows[Index] = Window;
    }
    return TRUE;
}

static VOID
CloseWindows(PUCHAR Base)
{
    for (ULONG Index = 0; Index < STRESS_WINDOWS; Index += 1) {
        MiUnmapRange(StressRun.Windows[Index].Va, STRESS_WINDOW_PAGES, NULL);
        MiFreeFrames(StressRun.Windows[Index].Frames, STRESS_WINDOW_PAGES);
    }
    MiReleaseSystemVa(MiRegionSystemPtes, Base, STRESS_WINDOWS * STRESS_WINDOW_PAGES);
}

static VOID
RunWorkers(VOID)
{
    PKTHREAD Threads[STRESS_WORKERS];
    ULONG Count = MIN(2 * HalProcessorCount() + 1, STRESS_WORKERS);

    for (ULONG Index = 0; Index < Count; Index += 1) {
        NT_VERIFY(NT_SUCCESS(PsCreateCoreThread(StressWorker, NULL, 8, &Threads[Index])));
    }
    for (ULONG Index = 0; Index < Count; Index += 1) {
        KeWaitForSingleObject(Threads[Index], Executive, KernelMode, FALSE, NULL);
        ObDereferenceObject(Threads[Index]);
    }
}

/* Not a seam of the machine's, but a mistake that a checked one can be told to make. */
VOID HalpTestForgetOthers(const HAL_FLUSH_RANGE *Range);

static ULONG
ReadSeconds(const char **Argument)
{
    ULONG Seconds = 0;

    for (; **Argument >= '0' && **Argument <= '9'; *Argument += 1) {
        Seconds = Seconds * 10 + (ULONG)(**Argument - '0');
    }
    return Seconds;
}

static VOID
NoteFigures(VOID)
{
    for (ULONG Index = 0; Index < DoCount; Index += 1) {
        KTestNote("%I64u %s", (ULONG64)StressRun.Done[Index], StressNames[Index]);
    }
    KTestNote("%I64u refused for want of memory; processors: %u", (ULONG64)StressRun.Refused, HalProcessorCount());
}

KTEST_WITH(Stress, KTEST_BY_NAME)
{
    const char *Argument = KTestArgument;
    ULONG Seconds = ReadSeconds(&Argument);
    PUCHAR Base = MiReserveSystemVa(MiRegionSystemPtes, STRESS_WINDOWS * STRESS_WINDOW_PAGES, 1);
    HAL_FLUSH_RANGE Forgotten = {(ULONG_PTR)Base, STRESS_WINDOWS * STRESS_WINDOW_PAGES};

    RtlZeroMemory(&StressRun, sizeof(StressRun));
    REQUIRE(Base != NULL);
    REQUIRE(OpenWindows(Base));
    StressRun.End = HalQueryInterruptTime() + Seconds * 10000000ull;
    if (*Argument == ',') {
        HalpTestForgetOthers(&Forgotten);
    }
    RunWorkers();
    HalpTestForgetOthers(&(HAL_FLUSH_RANGE){0, 0});
    HalFlushEntireTb(HAL_ALL_PROCESSORS);
    for (ULONG Index = 0; Index < STRESS_BLOCKS; Index += 1) {
        FreeBlock(StressRun.Blocks[Index]);
    }
    CloseWindows(Base);
    NoteFigures();
    CHECK_EQ(StressRun.Stale, 0);
    CHECK_EQ(StressRun.Broken, 0);
}
