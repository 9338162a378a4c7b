/*
 * clock.c - time: the time-stamp counter, the local APIC's timer, and what the battery clock says at start.
 *
 * Interrupt time is the time-stamp counter since start, in 100 ns; the performance counter is the same. How
 * fast both counters run is measured once against the 8254's second channel. The machine under us may be
 * stopped at any moment while we do that, so each reading is taken several times between two of the
 * time-stamp counter, and the one with the closest two is believed. The timer is set for one interrupt at a
 * time; one that comes before its deadline, because the timer was slow to say or could not count so far, is
 * set again. Deadlines are the processor's own, changed with interrupts off.
 */
#include "halp.h"

#define HALP_PIT_HERTZ    1193182ull
#define HALP_PIT_CHANNEL2 0x42
#define HALP_PIT_COMMAND  0x43
#define HALP_PIT_GATE     0x61
#define HALP_PIT_TICKS    23864 /* of 8254: 20 ms */
#define HALP_PIT_READINGS 16

#define HALP_CMOS_INDEX   0x70
#define HALP_CMOS_DATA    0x71
#define HALP_CMOS_BUSY    0x80
#define HALP_CMOS_24_HOUR 0x02
#define HALP_CMOS_BINARY  0x04
#define HALP_CMOS_PM      0x80

#define HALP_UNITS_PER_SECOND 10000000ull

static ULONG64 HalpTscStart;
static ULONG64 HalpTscHertz;
static ULONG64 HalpUnitsPerTick; /* 100 ns units per tick of the time-stamp counter, 32 bits of fraction */
static ULONG64 HalpTimerPerUnit; /* ticks of the timer per 100 ns, 32 bits of fraction */
static ULONG64 HalpBootTime;

static ULONG64
HalpScale(ULONG64 Value, ULONG64 Factor)
{
    return (ULONG64)(((unsigned __int128)Value * Factor) >> 32);
}

/* --- Measuring ---------------------------------------------------------------------------------------------
 */

/* All three clocks at about one moment. */
typedef struct _HALP_READING {
    ULONG64 Tsc;
    ULONG Pit;
    ULONG Timer;
} HALP_READING;

static HALP_READING
HalpReadOnce(PULONG64 Distance)
{
    HALP_READING Reading;
    ULONG64 Before;
    ULONG64 After;

    Before = HalpReadTsc();
    HalpOut8(HALP_PIT_COMMAND, 0x80);
    Reading.Pit = HalpIn8(HALP_PIT_CHANNEL2);
    Reading.Pit |= (ULONG)HalpIn8(HALP_PIT_CHANNEL2) << 8;
    Reading.Timer = HalpReadApicTimer();
    After = HalpReadTsc();
    Reading.Tsc = Before + (After - Before) / 2;
    *Distance = After - Before;
    return Reading;
}

static HALP_READING
HalpReadClocks(VOID)
{
    HALP_READING Best = {0, 0, 0};
    HALP_READING Reading;
    ULONG64 Smallest;
    ULONG64 Distance;
    ULONG Index;

    Smallest = MAXULONGLONG;
    for (Index = 0; Index < HALP_PIT_READINGS; Index += 1) {
        Reading = HalpReadOnce(&Distance);
        if (Distance < Smallest) {
            Smallest = Distance;
            Best = Reading;
        }
    }
    return Best;
}

/* Channel 2 counts down once from 65535: 55 ms. */
static VOID
HalpStartPit(VOID)
{
    HalpOut8(HALP_PIT_GATE, (HalpIn8(HALP_PIT_GATE) & ~0x02u) | 0x01);
    HalpOut8(HALP_PIT_COMMAND, 0xB0);
    HalpOut8(HALP_PIT_CHANNEL2, 0xFF);
    HalpOut8(HALP_PIT_CHANNEL2, 0xFF);
}

/* One measurement. FALSE: the count ran out before it was read, because the machine stood still. */
static BOOLEAN
HalpMeasure(VOID)
{
    HALP_READING First;
    HALP_READING Last;
    ULONG64 Pit;
    ULONG64 Timer;

    HalpSetApicTimer(MAXULONG);
    HalpStartPit();
    First = HalpReadClocks();
    do {
        Last = HalpReadClocks();
    } while (First.Pit - Last.Pit < HALP_PIT_TICKS &&
             Last.Tsc - First.Tsc < 10 * HALP_UNITS_PER_SECOND * 1000);
    HalpSetApicTimer(0);
    Pit = First.Pit - Last.Pit;
    Timer = First.Timer - Last.Timer;
    if (Last.Pit >= First.Pit || First.Timer <= Last.Timer || Pit < HALP_PIT_TICKS) {
        return FALSE;
    }
    HalpTscHertz = (Last.Tsc - First.Tsc) * HALP_PIT_HERTZ / Pit;
    HalpTimerPerUnit = ((Timer * HALP_PIT_HERTZ / Pit) << 32) / HALP_UNITS_PER_SECOND;
    return HalpTscHertz != 0 && HalpTimerPerUnit != 0;
}

/* --- Battery clock -----------------------------------------------------------------------------------------
 */

static UCHAR
HalpReadCmos(UCHAR Index)
{
    HalpOut8(HALP_CMOS_INDEX, Index);
    return HalpIn8(HALP_CMOS_DATA);
}

static SHORT
HalpCmosNumber(UCHAR Value, UCHAR Mode)
{
    return (Mode & HALP_CMOS_BINARY) != 0 ? Value : (SHORT)((Value >> 4) * 10 + (Value & 0xF));
}

static VOID
HalpReadFields(PTIME_FIELDS Fields)
{
    UCHAR Mode;
    UCHAR Hour;

    while ((HalpReadCmos(0x0A) & HALP_CMOS_BUSY) != 0) {
        HalPause();
    }
    Mode = HalpReadCmos(0x0B);
    Hour = HalpReadCmos(0x04);
    Fields->Milliseconds = 0;
    Fields->Second = HalpCmosNumber(HalpReadCmos(0x00), Mode);
    Fields->Minute = HalpCmosNumber(HalpReadCmos(0x02), Mode);
    Fields->Hour = HalpCmosNumber(Hour & ~HALP_CMOS_PM, Mode);
    if ((Mode & HALP_CMOS_24_HOUR) == 0) {
        Fields->Hour = (SHORT)(Fields->Hour % 12 + ((Hour & HALP_CMOS_PM) != 0 ? 12 : 0));
    }
    Fields->Day = HalpCmosNumber(HalpReadCmos(0x07), Mode);
    Fields->Month = HalpCmosNumber(HalpReadCmos(0x08), Mode);
    Fields->Year = (SHORT)(2000 + HalpCmosNumber(HalpReadCmos(0x09), Mode));
}

static BOOLEAN
HalpSameFields(const TIME_FIELDS *Left, const TIME_FIELDS *Right)
{
    return Left->Second == Right->Second && Left->Minute == Right->Minute && Left->Hour == Right->Hour &&
           Left->Day == Right->Day && Left->Month == Right->Month && Left->Year == Right->Year;
}

/* Twice the same, or it was read while it changed. A clock that says nothing sensible is taken for 2000. */
static ULONG64
HalpReadBatteryClock(VOID)
{
    TIME_FIELDS First = {.Year = 0};
    TIME_FIELDS Second = {.Year = 0};
    LARGE_INTEGER Time;

    do {
        HalpReadFields(&First);
        HalpReadFields(&Second);
    } while (!HalpSameFields(&First, &Second));
    if (!RtlTimeFieldsToTime(&First, &Time)) {
        First = (TIME_FIELDS){.Year = 2000, .Month = 1, .Day = 1};
        RtlTimeFieldsToTime(&First, &Time);
    }
    return (ULONG64)Time.QuadPart;
}

VOID
HalpInitializeClock(VOID)
{
    ULONG Tries;

    for (Tries = 0; !HalpMeasure(); Tries += 1) {
        if (Tries == 20) {
            HalpRefuse("the clocks cannot be measured");
        }
    }
    HalpUnitsPerTick = (HALP_UNITS_PER_SECOND << 32) / HalpTscHertz;
    HalpBootTime = HalpReadBatteryClock();
    HalpTscStart = HalpReadTsc();
}

/* --- Time --------------------------------------------------------------------------------------------------
 */

/* 100 ns units since start; never goes back. Any IRQL. */
ULONG64
HalQueryInterruptTime(VOID)
{
    return HalpScale(HalpReadTsc() - HalpTscStart, HalpUnitsPerTick);
}

ULONG64
HalQueryBootTime(VOID)
{
    return HalpBootTime;
}

/* 10 MHz, in step with interrupt time. Frequency is optional. Any IRQL. */
ULONG64
HalQueryPerformanceCounter(PULONG64 Frequency)
{
    if (Frequency != NULL) {
        *Frequency = HALP_UNITS_PER_SECOND;
    }
    return HalQueryInterruptTime();
}

/* Any IRQL. */
VOID
HalStall(ULONG Microseconds)
{
    ULONG64 End;

    End = HalQueryInterruptTime() + (ULONG64)Microseconds * 10;
    while (HalQueryInterruptTime() < End) {
        HalPause();
    }
}

/* --- Deadlines ---------------------------------------------------------------------------------------------
 */

/* Interrupts are off. */
static VOID
HalpArmTimer(ULONG64 Deadline)
{
    ULONG64 Now;
    ULONG64 Ticks;

    if (Deadline == HAL_NO_TIME) {
        HalpSetApicTimer(0);
        return;
    }
    Now = HalQueryInterruptTime();
    Ticks = Deadline > Now ? HalpScale(MIN(Deadline - Now, HALP_UNITS_PER_SECOND * 60), HalpTimerPerUnit) : 0;
    HalpSetApicTimer((ULONG)MIN(MAX(Ticks, 1), MAXULONG));
}

/* One deadline per processor; a new one replaces it. Callers stay on their processor. */
VOID
HalSetClockDeadline(ULONG64 InterruptTime)
{
    BOOLEAN Enabled;

    Enabled = HalDisableInterrupts();
    HalpThisProcessor()->ClockDeadline = InterruptTime;
    HalpArmTimer(InterruptTime);
    HalRestoreInterrupts(Enabled);
}

VOID
HalpClockInterrupt(PKTRAP_FRAME TrapFrame)
{
    PHALP_PROCESSOR Processor;
    ULONG64 Deadline;

    Processor = HalpThisProcessor();
    Deadline = Processor->ClockDeadline;
    if (Deadline == HAL_NO_TIME) {
        return; /* cancelled while it was on its way */
    }
    if (HalQueryInterruptTime() < Deadline) {
        HalSetClockDeadline(Deadline);
        return;
    }
    Processor->ClockDeadline = HAL_NO_TIME;
    KiClockInterrupt(TrapFrame);
}
