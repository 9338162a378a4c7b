/*
 * Clock, interleaving, interrupts, translations on several processors, and the ways a run is
 * ended.
 */
#include "scratch.h"

#include <stdio.h>
#include <string.h>

#define ROUNDS 5000

VOID
TestClock(VOID)
{
    ULONG64 Frequency;
    ULONG64 Before;

    ScratchClocks = 0;
    ScratchTick = 10000;
    HalSetClockDeadline(HalQueryInterruptTime() + 5000);
    HalSetIrql(DISPATCH_LEVEL);
    while (ScratchClocks < 5) {
        HalIdle();
    }
    HalLowerIrql(PASSIVE_LEVEL);
    CHECK(ScratchClocks == 5);
    Before = HalQueryInterruptTime();
    HalStall(5000);
    CHECK(HalQueryInterruptTime() - Before >= 50000 && ScratchClocks > 5);
    ScratchTick = 0;
    HalSetClockDeadline(HAL_NO_TIME);
    CHECK(HalQueryPerformanceCounter(&Frequency) <= HalQueryInterruptTime() && Frequency == 10000000);
    CHECK(HalQueryBootTime() > 0x1D0000000000000ull);
}

static volatile ULONG Lock;
static volatile ULONG64 Count;
static volatile ULONG64 Order; /* a digest of who held the lock when */

static VOID
TakeTurns(ULONG Number)
{
    ULONG Index;

    for (Index = 0; Index < ROUNDS; Index += 1) {
        HalChoicePoint(HalChoiceLock);
        while (__atomic_exchange_n(&Lock, 1, __ATOMIC_ACQUIRE) != 0) {
            HalPause();
        }
        Count += 1;
        Order = Order * 31 + Number;
        HalChoicePoint(HalChoiceLock);
        __atomic_store_n(&Lock, 0, __ATOMIC_RELEASE);
    }
}

VOID
TestProcessors(VOID)
{
    char Line[64];
    ULONG Ipis;

    Ipis = ScratchIpis;
    ScratchStartJob(TakeTurns);
    TakeTurns(0);
    ScratchFinishJob();
    CHECK(Count == (ULONG64)ROUNDS * HalProcessorCount());
    CHECK(ScratchIpis - Ipis == HalProcessorCount() - 1);
    HalPutConsole(Line, (SIZE_T)snprintf(Line, sizeof(Line), "# order %016llx at %llu\n", Order,
                                         HalQueryInterruptTime()));
    HalSetIrql(IPI_LEVEL);
    HalRequestIpi(1);
    CHECK(ScratchIpis - Ipis == HalProcessorCount() - 1);
    HalLowerIrql(PASSIVE_LEVEL);
    CHECK(ScratchIpis - Ipis == HalProcessorCount());
    CHECK(HalReplayable());
}

/*
 * --- Translations that outlive a flush
 * -------------------------------------------------------------------
 */

#define STALE_VA (SCRATCH_BASE + 0x12000000)

static volatile ULONG Step;
static volatile ULONG64 Seen;

/* Read twice, the second time after processor 0 changed the entry and flushed only itself. */
static VOID
HoldTranslation(ULONG Number)
{
    if (Number != 1) {
        return;
    }
    Seen = *(volatile ULONG64 *)STALE_VA;
    Step = 1;
    while (Step != 2) {
        HalPause();
    }
    Seen = *(volatile ULONG64 *)STALE_VA;
    Step = 3;
    while (Step != 4) {
        HalPause();
    }
    Seen = *(volatile ULONG64 *)STALE_VA;
}

static VOID
ChangeEntry(PFN_NUMBER Frame)
{
    volatile ULONG64 *Pte = ScratchEntry(STALE_VA);

    *Pte = (Frame << 12) | SCRATCH_READ_WRITE;
    HalPteChanged((PVOID)Pte);
}

VOID
TestStale(VOID)
{
    PFN_NUMBER Old = ScratchFrame();
    PFN_NUMBER New = ScratchFrame();

    *(volatile ULONG64 *)HalFrameAddress(Old) = 111;
    *(volatile ULONG64 *)HalFrameAddress(New) = 222;
    ScratchMap(STALE_VA, Old, SCRATCH_READ_WRITE);
    ScratchStale = 0;
    if (HalProcessorCount() > 1) {
        Step = 0;
        ScratchStartJob(HoldTranslation);
        while (Step != 1) {
            HalPause();
        }
        CHECK(Seen == 111 && *(volatile ULONG64 *)STALE_VA == 111);
        ChangeEntry(New);
        ScratchFlush(STALE_VA, 1);
        CHECK(*(volatile ULONG64 *)STALE_VA == 222 && HalpTlbCounts.StaleLive == 1);
        Step = 2;
        while (Step != 3) {
            HalPause();
        }
        CHECK(Seen == 111 && *(volatile ULONG64 *)STALE_VA == 222);
        HalFrameReleased(Old);
        CHECK(ScratchStale == 1 && ScratchStaleVa == STALE_VA && ScratchStaleDepth > 1);
        HalFrameReleased(Old);
        CHECK(ScratchStale == 1 && HalpTlbCounts.StaleLive == 0 && HalpFrameHeld[Old] == 0);
        Step = 4;
        ScratchFinishJob();
        CHECK(Seen == 222);
    } else {
        CHECK(*(volatile ULONG64 *)STALE_VA == 111);
        ChangeEntry(New);
        ScratchFlush(STALE_VA, 1);
        HalFrameReleased(Old);
        CHECK(ScratchStale == 0);
    }
    /*
     * Flushed everywhere: nobody holds it. Not flushed at all: the processor that changed it does.
     */
    ScratchStale = 0;
    ScratchFlush(STALE_VA, HAL_ALL_PROCESSORS);
    HalFrameReleased(New);
    CHECK(ScratchStale == 0);
    (void)*(volatile ULONG64 *)STALE_VA;
    ChangeEntry(Old);
    HalFrameReleased(New);
    CHECK(ScratchStale == 1 && ScratchStaleVa == STALE_VA && ScratchStaleDepth > 1);
}

/*
 * --- Ends ---------------------------------------------------------------------------------------
 * -----------------
 */

static volatile ULONG Depth;

static __attribute__((noinline)) ULONG
Recurse(ULONG Level)
{
    volatile UCHAR Room[256];

    Room[0] = (UCHAR)Level;
    Depth += 1;
    return Level == MAXULONG ? 0 : Recurse(Level + 1) + Room[0];
}

static VOID
SpinInImage(ULONG Number)
{
    if (Number == 1) {
        CODE(0xEB, 0xFE)(0, 0);
    }
}

static VOID
TestPreemption(VOID)
{
    ULONG Before;

    ScratchTick = 10000;
    HalSetClockDeadline(0);
    ScratchStartJob(SpinInImage);
    Before = ScratchClocks;
    while (ScratchClocks < Before + 5 || HalReplayable()) {
        HalPause();
    }
    HalPutConsole("# preempted\n", 12);
    HalExit(0);
}

VOID DECLSPEC_NORETURN
TestStop(const char *Mode)
{
    if (strcmp(Mode, "double-fault") == 0) {
        Recurse(0);
    } else if (strcmp(Mode, "idle") == 0) {
        HalSetIrql(DISPATCH_LEVEL);
        for (;;) {
            HalIdle();
        }
    } else if (strcmp(Mode, "spin") == 0) {
        Lock = 1;
        TakeTurns(0);
    } else if (strcmp(Mode, "image") == 0) {
        CODE(0xEB, 0xFE)(0, 0);
    } else if (strcmp(Mode, "core") == 0) {
        for (;;) {
            __asm__ volatile("");
        }
    } else if (strcmp(Mode, "preempt") == 0) {
        TestPreemption();
    }
    HalPutDiagnostic("no such mode\n", 13);
    HalExit(9);
}
