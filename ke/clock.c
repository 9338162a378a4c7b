/*
 * The clock: interrupts, ticks, and what time it is.
 *
 * There is no periodic interrupt: the machine is asked for one at the next moment that anybody cares about. While
 * a processor runs a thread that is the next tick (for shared user data and the ends of turns), and always the next
 * timer; with every processor idle and no timer set, no interrupt comes, which is how the hosted machine knows
 * that nothing will ever happen again.
 *
 * The interrupt itself, at CLOCK_LEVEL, writes shared user data, asks for the next tick and leaves the rest to
 * KiClockDpc on the same processor, which may take the dispatcher lock: timers, turns, and the exact next deadline.
 * Interrupt time is the machine's; system time is that plus the time of start; the tick count is that in ticks.
 */
#include "kep.h"
#include <ntexport.h>

static ULONG64 KiBootTime;
static ULONG64 KiTicksCharged;         /* (D) */
static volatile ULONG64 KiTimerDue;    /* (A) copy of the wheel's next, for the interrupt */
static volatile UCHAR KiSharedBusy;    /* (A) someone writes shared user data */

/* Write a time that readers take without a lock: they read High1Time first and compare with High2Time. */
static VOID
KipWriteTime(volatile KSYSTEM_TIME *Target, ULONG64 Value)
{
    __atomic_store_n(&Target->High2Time, (LONG)(Value >> 32), __ATOMIC_RELEASE);
    __atomic_store_n(&Target->LowPart, (ULONG)Value, __ATOMIC_RELEASE);
    __atomic_store_n(&Target->High1Time, (LONG)(Value >> 32), __ATOMIC_RELEASE);
}

static VOID
KipUpdateSharedTime(ULONG64 Now)
{
    PKUSER_SHARED_DATA Shared = HalSharedUserData();
    ULONG64 Ticks = Now / KI_TIME_INCREMENT;

    if (__atomic_exchange_n(&KiSharedBusy, 1, __ATOMIC_ACQUIRE) != 0) {
        return;
    }
    KipWriteTime(&Shared->InterruptTime, Now);
    KipWriteTime(&Shared->SystemTime, Now + KiBootTime);
    KipWriteTime(&Shared->TickCount, Ticks);
    __atomic_store_n(&KiSharedBusy, 0, __ATOMIC_RELEASE);
}

VOID
KiInitializeClock(VOID)
{
    PKUSER_SHARED_DATA Shared = HalSharedUserData();
    ULONG64 Frequency;

    KiTimerDue = HAL_NO_TIME;
    KiBootTime = HalQueryBootTime();
    HalQueryPerformanceCounter(&Frequency);
    Shared->QpcFrequency = (LONGLONG)Frequency;
    /* 15.625 milliseconds with 24 bits of fraction. */
    Shared->TickCountMultiplier = (ULONG)(((ULONG64)KI_TIME_INCREMENT << 24) / 10000);
    KipUpdateSharedTime(HalQueryInterruptTime());
}

static BOOLEAN
KipAllIdle(VOID)
{
    return __atomic_load_n(&KiIdleProcessors, __ATOMIC_RELAXED) ==
           __atomic_load_n(&KiStartedProcessors, __ATOMIC_RELAXED);
}

static ULONG64
KipNextTick(ULONG64 Now)
{
    return (Now / KI_TIME_INCREMENT + 1) * KI_TIME_INCREMENT;
}

VOID
KiArmClockLocked(VOID)
{
    ULONG64 Deadline = KiNextTimerDueLocked();

    __atomic_store_n(&KiTimerDue, Deadline, __ATOMIC_RELAXED);
    if (!KipAllIdle()) {
        Deadline = MIN(Deadline, KipNextTick(HalQueryInterruptTime()));
    }
    HalSetClockDeadline(Deadline);
}

/* The machine's clock interrupt, at CLOCK_LEVEL. */
VOID
KiClockInterrupt(PKTRAP_FRAME TrapFrame)
{
    ULONG64 Now = HalQueryInterruptTime();
    ULONG64 Deadline = __atomic_load_n(&KiTimerDue, __ATOMIC_RELAXED);

    UNREFERENCED_PARAMETER(TrapFrame);
    KipUpdateSharedTime(Now);
    if (!KipAllIdle()) {
        /* If this processor does not get below DISPATCH_LEVEL soon, time must go on in shared user data. */
        HalSetClockDeadline(Deadline > Now ? MIN(Deadline, KipNextTick(Now)) : KipNextTick(Now));
    }
    KiThisProcessor()->ClockDue = TRUE;
    HalRequestSoftwareInterrupt(DISPATCH_LEVEL);
}

VOID
KiClockDpc(VOID)
{
    ULONG64 Now = HalQueryInterruptTime();
    ULONG64 Ticks = Now / KI_TIME_INCREMENT;

    KiLockDispatcherAtDispatch();
    KiExpireTimersLocked(Now);
    if (Ticks > KiTicksCharged) {
        KiChargeQuantumLocked(Ticks - KiTicksCharged);
        KiTicksCharged = Ticks;
    }
    KiArmClockLocked();
    KiUnlockDispatcherFromDispatch();
}

/* --- Queries ------------------------------------------------------------------------------------------- */

/* 100 ns units since the start. Any IRQL. */
ULONGLONG NTAPI
KeQueryInterruptTime(VOID)
{
    return HalQueryInterruptTime();
}
NTEXPORT(KeQueryInterruptTime);

/* This machine never sleeps, so the unbiased time is the same. */
ULONGLONG NTAPI
KeQueryUnbiasedInterruptTime(VOID)
{
    return HalQueryInterruptTime();
}
NTEXPORT(KeQueryUnbiasedInterruptTime);

/* The same with the value that the performance counter has at that time. Any IRQL. */
ULONG64 NTAPI
KeQueryInterruptTimePrecise(PULONG64 QpcTimeStamp)
{
    ULONG64 Frequency;

    *QpcTimeStamp = HalQueryPerformanceCounter(&Frequency);
    return HalQueryInterruptTime();
}
NTEXPORT(KeQueryInterruptTimePrecise);

/* 100 ns units since 1601. Any IRQL. */
VOID NTAPI
KeQuerySystemTime(PLARGE_INTEGER CurrentTime)
{
    CurrentTime->QuadPart = (LONGLONG)(HalQueryInterruptTime() + KiBootTime);
}
NTEXPORT(KeQuerySystemTime);


VOID NTAPI
KeQuerySystemTimePrecise(PLARGE_INTEGER CurrentTime)
{
    KeQuerySystemTime(CurrentTime);
}
NTEXPORT(KeQuerySystemTimePrecise);

/* Ticks since the start. Any IRQL. */
VOID NTAPI
KeQueryTickCount(PLARGE_INTEGER TickCount)
{
    TickCount->QuadPart = (LONGLONG)(HalQueryInterruptTime() / KI_TIME_INCREMENT);
}
NTEXPORT(KeQueryTickCount);

/* 100 ns units in a tick. Any IRQL. */
ULONG NTAPI
KeQueryTimeIncrement(VOID)
{
    return KI_TIME_INCREMENT;
}
NTEXPORT(KeQueryTimeIncrement);

/* The performance counter; PerformanceFrequency (optional): its ticks in a second. Any IRQL. */
LARGE_INTEGER NTAPI
KeQueryPerformanceCounter(PLARGE_INTEGER PerformanceFrequency)
{
    ULONG64 Frequency;
    LARGE_INTEGER Counter;

    Counter.QuadPart = (LONGLONG)HalQueryPerformanceCounter(&Frequency);
    if (PerformanceFrequency != NULL) {
        PerformanceFrequency->QuadPart = (LONGLONG)Frequency;
    }
    return Counter;
}
NTEXPORT(KeQueryPerformanceCounter);

/* Spin for so long. Any IRQL. */
VOID NTAPI
KeStallExecutionProcessor(ULONG MicroSeconds)
{
    HalStall(MicroSeconds);
}
NTEXPORT(KeStallExecutionProcessor);

/* The time zone here is UTC. Any IRQL. */
VOID NTAPI
ExSystemTimeToLocalTime(PLARGE_INTEGER SystemTime, PLARGE_INTEGER LocalTime)
{
    *LocalTime = *SystemTime;
}
NTEXPORT(ExSystemTimeToLocalTime);

VOID NTAPI
ExLocalTimeToSystemTime(PLARGE_INTEGER LocalTime, PLARGE_INTEGER SystemTime)
{
    *SystemTime = *LocalTime;
}
NTEXPORT(ExLocalTimeToSystemTime);
