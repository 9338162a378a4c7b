/*
 * processor.c - processors as fibers, and who runs next.
 *
 * Owns the table of processors and the schedule. Exactly one processor runs; it gives way at
 * choice points, when it pauses in a spin loop, when it is idle, and when the watchdog preempts an
 * image. A choice point costs a subtraction: how many may pass before the next switch is drawn
 * from the seed beforehand, around a mean that itself changes from phase to phase, so that each
 * run has stretches of fine and of coarse interleaving. The successor is drawn among all that
 * could run.
 *
 * Interrupts (clock, inter-processor, software) are pending bits, delivered on the processor they
 * are for, on the stack it stands on, when it next looks: on return from a choice or pause, or
 * when IRQL falls. Nothing here needs a lock (one host thread). What cannot go on ends in
 * KiMachineStop("deadlock").
 */
#include "halp.h"

#define HALP_PENDING(Pcr)        ((volatile ULONG *)((PUCHAR)(Pcr) + HALP_PCR_PENDING))
#define HALP_INTERRUPTS_OFF(Pcr) ((volatile UCHAR *)(Pcr) + HALP_PCR_INTERRUPTS_OFF)

#define HALP_PHASE_CHOICES    256 /* switches before the mean is drawn again */
#define HALP_TICKS_PER_WEIGHT 60  /* 30 ns of work per unit of choice-point weight */
#define HALP_PAUSE_TICKS      80
#define HALP_SPIN_ROUNDS      64 /* pauses of all without progress before time begins to run */
#define HALP_SPIN_EPOCHS      64
#define HALP_SPIN_LIMIT       2000000 /* ... and before it is a deadlock */

HALP_PROCESSOR HalpProcessors[HAL_MAXIMUM_PROCESSORS];
ULONG HalpProcessorTotal;
PHALP_PROCESSOR HalpCurrent;
LONG HalpChoiceCountdown;
ULONG HalpChoiceEpoch;
BOOLEAN HalpAlive;

static LONG HalpDrawn; /* the countdown's value when it was drawn */
static ULONG HalpMean = 64;
static ULONG HalpPhaseLeft;
static ULONG HalpSpinStreak; /* pauses, of whatever processor, since anybody did something else */
static LONG HalpSeenCountdown;
static ULONG HalpSeenEpoch;

/*
 * --- The table
 * ---------------------------------------------------------------------------------------------
 */

/* Enter a processor whose regions ram.c has made. */
VOID
HalpInitializeProcessor(ULONG Number, PFN_NUMBER Root)
{
    PHALP_PROCESSOR Processor;
    PKPCR Pcr;

    Processor = &HalpProcessors[Number];
    Pcr = Processor->Pcr;
    Processor->Number = Number;
    Processor->Root = Root;
    Processor->ClockDeadline = HAL_NO_TIME;
    Pcr->Self = Pcr;
    Pcr->CurrentPrcb = (PUCHAR)Pcr + 0x180;
    Pcr->Irql = HIGH_LEVEL;
    *HALP_INTERRUPTS_OFF(Pcr) = 1;
    Pcr->MxCsr = 0x1F80;
    Pcr->LegacyNumber = (UCHAR)Number;
    Pcr->Number = Number;
    Processor->StackLimit = Processor->BootLimit;
    Processor->StackBase = Processor->BootBase;
    Pcr->StackLimit = Processor->BootLimit;
    Pcr->StackBase = Processor->BootBase;
    Pcr->HalPrivate = Processor;
    HalpProcessorTotal = MAX(HalpProcessorTotal, Number + 1);
}

/* How many processors the machine has, started or not. */
ULONG
HalProcessorCount(VOID)
{
    return HalpProcessorTotal;
}

/* The region of a processor, Number below HalProcessorCount(). */
PKPCR
HalProcessorPcr(ULONG Number)
{
    return HalpProcessors[Number].Pcr;
}

/*
 * --- Interrupts
 * ---------------------------------------------------------------------------------------------
 */

/* The highest interrupt that could be served now, 0 if there is none. */
static ULONG
HalpDeliverable(PKPCR Pcr)
{
    ULONG Pending;

    if (*HALP_INTERRUPTS_OFF(Pcr) != 0) {
        return 0;
    }
    Pending = (*HALP_PENDING(Pcr) | Pcr->SoftwareInterrupts) >> (Pcr->Irql + 1);
    return Pending == 0 ? 0 : (ULONG)(31 - __builtin_clz(Pending)) + Pcr->Irql + 1;
}

static VOID
HalpServe(ULONG Level, PKTRAP_FRAME TrapFrame)
{
    if (Level == IPI_LEVEL) {
        KiIpiInterrupt(TrapFrame);
    } else if (Level == CLOCK_LEVEL) {
        KiClockInterrupt(TrapFrame);
    } else {
        KiSoftwareInterrupt((KIRQL)Level);
    }
}

/*
 * Serve everything above the current IRQL, highest first. A software interrupt may switch threads,
 * so nothing of the processor is remembered across one.
 */
VOID
HalpDeliverTo(PKTRAP_FRAME TrapFrame)
{
    PKPCR Pcr;
    KIRQL Irql;
    ULONG Level;

    for (;;) {
        Pcr = HalpCurrent->Pcr;
        Level = HalpDeliverable(Pcr);
        if (Level == 0) {
            return;
        }
        *HALP_PENDING(Pcr) &= ~(1u << Level);
        if (Level <= DISPATCH_LEVEL) {
            Pcr->SoftwareInterrupts &= ~(1u << Level);
        }
        Irql = Pcr->Irql;
        Pcr->Irql = (KIRQL)Level;
        HalpServe(Level, TrapFrame);
        HalpCurrent->Pcr->Irql = Irql;
        TrapFrame = NULL;
    }
}

VOID
HalpDeliver(VOID)
{
    HalpDeliverTo(NULL);
}

/*
 * KiIpiInterrupt will be called on each processor of the set, at IPI_LEVEL; on this one at once if
 * it may.
 */
VOID
HalRequestIpi(HAL_AFFINITY Processors)
{
    ULONG Number;

    for (Number = 0; Number < HalpProcessorTotal; Number += 1) {
        if ((Processors & (1ull << Number)) != 0) {
            *HALP_PENDING(HalpProcessors[Number].Pcr) |= 1u << IPI_LEVEL;
        }
    }
    HalpDeliver();
}

/*
 * KiSoftwareInterrupt(Irql) on this processor, APC_LEVEL or DISPATCH_LEVEL, at once if IRQL is
 * below.
 */
VOID
HalRequestSoftwareInterrupt(KIRQL Irql)
{
    HalpCurrent->Pcr->SoftwareInterrupts |= 1u << Irql;
    HalpDeliver();
}

/*
 * --- Who runs next
 * --------------------------------------------------------------------------------------------
 */

static BOOLEAN
HalpCanRun(PHALP_PROCESSOR Processor)
{
    if (!Processor->Started) {
        return FALSE;
    }
    return !Processor->Idle || Processor->Pcr->SoftwareInterrupts != 0 ||
           HalpDeliverable(Processor->Pcr) != 0;
}

/* One of the others that could run, drawn from the seed; NULL if there is none. */
static PHALP_PROCESSOR
HalpPickOther(VOID)
{
    PHALP_PROCESSOR Candidates[HAL_MAXIMUM_PROCESSORS];
    ULONG Number;
    ULONG Count;

    Count = 0;
    for (Number = 0; Number < HalpProcessorTotal; Number += 1) {
        if (&HalpProcessors[Number] != HalpCurrent && HalpCanRun(&HalpProcessors[Number])) {
            Candidates[Count] = &HalpProcessors[Number];
            Count += 1;
        }
    }
    return Count == 0 ? NULL : Candidates[HalpDrawBelow(&HalpScheduleStream, Count)];
}

/* Let Next run; return when somebody lets this processor run again. */
static VOID
HalpRun(PHALP_PROCESSOR Next)
{
    PHALP_PROCESSOR This;

    This = HalpCurrent;
    HalpTlbSequence += 1;
    Next->LastRun = HalpTlbSequence;
    This->LastRun = HalpTlbSequence;
    if (Next->Root != This->Root) {
        HalpHideLocal();
    }
    if (HalpTlbCounts.StaleLive != 0) {
        HalpSwitchTranslations(Next);
    }
    HalpCurrent = Next;
    HalpLoadPcr(Next->Pcr);
    HalpBeforeSwitch(Next->StackLimit, Next->StackBase);
    HalpSwitch(&This->SavedStack, Next->SavedStack);
    HalpAfterSwitch();
}

static VOID
HalpDrawCountdown(VOID)
{
    static const USHORT Means[] = {12, 48, 200, 800, 3200};

    if (HalpPhaseLeft == 0) {
        HalpMean = Means[HalpDrawBelow(&HalpScheduleStream, RTL_NUMBER_OF(Means))];
        HalpPhaseLeft = HALP_PHASE_CHOICES;
    }
    HalpPhaseLeft -= 1;
    HalpDrawn = (LONG)HalpDrawBelow(&HalpScheduleStream, 2 * HalpMean) + 1;
    HalpChoiceCountdown = HalpDrawn;
    HalpChoiceEpoch += 1;
}

VOID
HalpForceChoice(VOID)
{
    HalpDrawn -= MAX(HalpChoiceCountdown, 0);
    HalpChoiceCountdown = 0;
}

/* The countdown ran out: time passes, somebody else may run, interrupts come in. */
VOID
HalpChoice(HAL_CHOICE Kind)
{
    PHALP_PROCESSOR Next;
    LONG Work;

    (void)Kind;
    if (!HalpAlive) {
        return;
    }
    if (HalpStopRequested) {
        HalpStop(NULL);
    }
    Work = HalpDrawn - HalpChoiceCountdown;
    HalpTime += (ULONG64)MAX(Work, 1) * HALP_TICKS_PER_WEIGHT;
    HalpCheckDeadlines();
    HalpDrawCountdown();
    Next = HalpPickOther();
    if (Next != NULL) {
        HalpRun(Next);
    }
    HalpDeliver();
}

/*
 * Let others run after the watchdog found an image that does not call: at least one clock interval
 * passes.
 */
VOID
HalpPreempt(PKTRAP_FRAME TrapFrame)
{
    PHALP_PROCESSOR Next;

    HalpNotReplayable = TRUE;
    HalpTime += 20000ull * 10 * HALP_TICKS_PER_100NS;
    HalpCheckDeadlines();
    HalpDrawCountdown();
    Next = HalpPickOther();
    if (Next != NULL) {
        HalpRun(Next);
    }
    HalpDeliverTo(TrapFrame);
}

/*
 * --- Waiting ------------------------------------------------------------------------------------
 * ---------------
 */

/* Did anything but pausing happen since the last pause? */
static BOOLEAN
HalpProgressed(VOID)
{
    return HalpSeenCountdown != HalpChoiceCountdown || HalpSeenEpoch != HalpChoiceEpoch;
}

static VOID
HalpRememberProgress(VOID)
{
    HalpSeenCountdown = HalpChoiceCountdown;
    HalpSeenEpoch = HalpChoiceEpoch;
}

/*
 * Nobody but spinners: time runs faster and faster, to what may end it; in the end it is a
 * deadlock.
 */
static VOID
HalpSpinLonger(VOID)
{
    if (HalpProgressed()) {
        HalpSpinStreak = 0;
    }
    HalpSpinStreak += 1;
    HalpTime += HALP_PAUSE_TICKS;
    if (HalpSpinStreak > HALP_SPIN_ROUNDS * HalpProcessorTotal) {
        HalpTime += (ULONG64)HalpSpinStreak * HALP_PAUSE_TICKS;
    }
    if (HalpSpinStreak >= HALP_SPIN_LIMIT) {
        KiMachineStop("deadlock", "every processor spins on something that none will release", NULL);
        HalpInternal("KiMachineStop returned", NULL);
    }
    HalpCheckDeadlines();
    HalpRememberProgress();
}

/* In a spin loop, any IRQL: somebody else runs if anybody can, interrupts come in if they may. */
VOID
HalPause(VOID)
{
    PHALP_PROCESSOR Next;

    if (HalpStopRequested) {
        HalpStop(NULL);
    }
    HalpSpinLonger();
    Next = HalpPickOther();
    if (Next != NULL) {
        HalpRun(Next);
    }
    if (HalpDeliverable(HalpCurrent->Pcr) != 0) {
        /* Serving an interrupt is no progress, unless it let another thread work for a while. */
        BOOLEAN Progressed = HalpProgressed();
        ULONG Epoch = HalpChoiceEpoch;

        HalpDeliver();
        if (!Progressed && HalpChoiceEpoch - Epoch < HALP_SPIN_EPOCHS) {
            HalpRememberProgress();
        }
    }
}

/* Everybody waits: go to the next deadline. */
static VOID
HalpAllIdle(VOID)
{
    if (HalpStopRequested) {
        HalpStop(NULL);
    }
    if (!HalpSkipToDeadline()) {
        HalpCurrent->Idle = FALSE; /* the report needs this processor to be picked again */
        KiMachineStop("deadlock", "every processor is idle and no timer is set", NULL);
        HalpInternal("KiMachineStop returned", NULL);
    }
}

/*
 * Nothing to run on this processor, at DISPATCH_LEVEL: return after an interrupt, or with a DPC
 * pending.
 */
VOID
HalIdle(VOID)
{
    PHALP_PROCESSOR This;
    PHALP_PROCESSOR Next;

    This = HalpCurrent;
    This->Idle = TRUE;
    HalpCheckDeadlines();
    while (!HalpCanRun(This)) {
        Next = HalpPickOther();
        if (Next != NULL) {
            HalpRun(Next);
        } else {
            HalpAllIdle();
        }
        HalpCheckDeadlines();
    }
    This->Idle = FALSE;
    HalpDeliver();
}

/*
 * --- Starting -----------------------------------------------------------------------------------
 * -----------------
 */

static VOID
HalpProcessorEntry(PVOID Context)
{
    PHALP_PROCESSOR Processor;

    Processor = Context;
    KiProcessorStartup(Processor->Pcr);
}

static VOID
HalpSystemEntry(PVOID Context)
{
    HalpAlive = TRUE;
    KiSystemStartup((PHAL_LOADER_BLOCK)Context);
}

/* Every other processor may run from now on: each calls KiProcessorStartup on its boot stack. */
VOID
HalStartProcessors(VOID)
{
    PHALP_PROCESSOR Processor;
    ULONG Number;

    for (Number = 0; Number < HalpProcessorTotal; Number += 1) {
        Processor = &HalpProcessors[Number];
        if (!Processor->Started) {
            Processor->SavedStack =
                HalPrepareStack(Processor->BootLimit, Processor->BootBase, HalpProcessorEntry, Processor);
            Processor->Root = HalpCurrent->Root;
            Processor->Started = TRUE;
        }
    }
    HalpForceChoice();
}

/* Leave the process's own stack for good. */
VOID DECLSPEC_NORETURN
HalpStartCore(PHAL_LOADER_BLOCK LoaderBlock)
{
    static PVOID HostStack;
    PVOID Next;

    HalpCurrent = &HalpProcessors[0];
    HalpCurrent->Started = TRUE;
    HalpDrawCountdown();
    HalpLoadPcr(HalpCurrent->Pcr);
    Next = HalPrepareStack(HalpCurrent->BootLimit, HalpCurrent->BootBase, HalpSystemEntry, LoaderBlock);
    HalSwitchStack(&HostStack, Next, HalpCurrent->BootLimit, HalpCurrent->BootBase);
    HalpInternal("the core returned", NULL);
}
