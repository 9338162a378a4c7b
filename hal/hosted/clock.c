/*
 * clock.c - virtual time.
 *
 * Owns HalpTime, ticks of half a nanosecond since start: the 2 GHz time-stamp counter that rdtsc
 * shows. Interrupt time (100 ns) and the 10 MHz performance counter are derived from it, so all
 * clocks agree. It moves only when it is read, at choice points, in pauses, and when every
 * processor is idle; how far is drawn from the seed. Each processor has one deadline, after which
 * a clock interrupt is pending on it. No locks, nothing fails; HalStall passes time without giving
 * up the processor, as the documents ask.
 */
#include "halp.h"

#define HALP_BOOT_TIME    133485408000000000ull /* 2024-01-01 00:00:00 UTC in 100 ns since 1601 */
#define HALP_PENDING(Pcr) ((volatile ULONG *)((PUCHAR)(Pcr) + HALP_PCR_PENDING))

ULONG64 HalpTime;
BOOLEAN HalpNotReplayable;
static ULONG64 HalpEarliest = HAL_NO_TIME; /* smallest deadline, as interrupt time */

static VOID
HalpFindEarliest(VOID)
{
    ULONG Number;

    HalpEarliest = HAL_NO_TIME;
    for (Number = 0; Number < HalpProcessorTotal; Number += 1) {
        if (HalpProcessors[Number].ClockDeadline < HalpEarliest) {
            HalpEarliest = HalpProcessors[Number].ClockDeadline;
        }
    }
}

VOID
HalpCheckDeadlines(VOID)
{
    PHALP_PROCESSOR Processor;
    ULONG64 Now;
    ULONG Number;

    Now = HalpTime / HALP_TICKS_PER_100NS;
    if (Now < HalpEarliest) {
        return;
    }
    for (Number = 0; Number < HalpProcessorTotal; Number += 1) {
        Processor = &HalpProcessors[Number];
        if (Processor->ClockDeadline <= Now) {
            Processor->ClockDeadline = HAL_NO_TIME;
            *HALP_PENDING(Processor->Pcr) |= 1u << CLOCK_LEVEL;
        }
    }
    HalpFindEarliest();
}

/* Move time on. A deadline that is passed is noticed at the next choice point. */
VOID
HalpAdvance(ULONG64 Ticks)
{
    HalpTime += Ticks;
    if (HalpTime / HALP_TICKS_PER_100NS >= HalpEarliest) {
        HalpForceChoice();
    }
}

BOOLEAN
HalpSkipToDeadline(VOID)
{
    if (HalpEarliest == HAL_NO_TIME) {
        return FALSE;
    }
    if (HalpTime < HalpEarliest * HALP_TICKS_PER_100NS) {
        HalpTime = HalpEarliest * HALP_TICKS_PER_100NS;
    }
    HalpCheckDeadlines();
    return TRUE;
}

/* Reading takes 20 to 147 ns. */
ULONG64
HalpReadTsc(VOID)
{
    HalpAdvance(40 + (HalpDraw(&HalpTimeStream) & 0xFF));
    return HalpTime;
}

/* 100 ns units since start; never goes back, moves on when read. Any IRQL. */
ULONG64
HalQueryInterruptTime(VOID)
{
    return HalpReadTsc() / HALP_TICKS_PER_100NS;
}

/* When the machine started, always the same day, so that runs repeat. */
ULONG64
HalQueryBootTime(VOID)
{
    return HALP_BOOT_TIME;
}

/* 10 MHz, in step with interrupt time. Frequency is optional. Any IRQL. */
ULONG64
HalQueryPerformanceCounter(PULONG64 Frequency)
{
    if (Frequency != NULL) {
        *Frequency = 10000000;
    }
    return HalpReadTsc() / HALP_TICKS_PER_100NS;
}

/*
 * One deadline per processor; a new one replaces it. At CLOCK_LEVEL or above, or with interrupts
 * disabled.
 */
VOID
HalSetClockDeadline(ULONG64 InterruptTime)
{
    HalpCurrent->ClockDeadline = InterruptTime;
    HalpFindEarliest();
    HalpAdvance(0);
}

/* Virtual time passes; others may run in it, interrupts may come in if the IRQL lets them. */
VOID
HalStall(ULONG Microseconds)
{
    HalpAdvance((ULONG64)Microseconds * 10 * HALP_TICKS_PER_100NS);
    HalChoicePoint(HalChoiceWait);
}

/* FALSE once the watchdog had to step in. */
BOOLEAN
HalReplayable(VOID)
{
    return !HalpNotReplayable;
}
