/*
 * Ready threads: queues, the choice of the next thread, preemption, and the switch itself.
 *
 * A thread that can run is Ready in the queue of its priority, first in first out, or Running on a
 * processor. There is one set of queues for all processors; KiReadyThreadLocked gives a thread no
 * processor but wakes one that should look: an idle one of its affinity (the one it ran on last, else
 * the lowest numbered), or the one that runs the lowest priority below its own. That processor takes the
 * best thread that may run there when it gets to it.
 *
 *                KiReadyThreadLocked            KipSelectLocked
 *   Initialized ---------------------> Ready <=================> Running ---> Terminated (KiExitThread)
 *   Waiting ------(KiUnwaitLocked)--------/          KiPreemptLocked      \---> Waiting (KipBlock in wait.c)
 *
 * Everything here holds the dispatcher lock, and the lock stays held across HalSwitchStack: see kep.h. So
 * Previous, whom a switch left, is safe to look after on the new stack: it has ended for good, or it is a
 * thread like any other.
 */
#include "kep.h"

KSPIN_LOCK KiDispatcherLock;
LIST_ENTRY KiAllThreads;
HAL_AFFINITY KiIdleProcessors;
HAL_AFFINITY KiStartedProcessors;

static LIST_ENTRY KiReadyQueues[KI_PRIORITY_LEVELS];
static ULONG KiReadySummary; /* bit n: queue n is not empty */

VOID
KiInitializeReadyQueues(VOID)
{
    ULONG Priority;

    InitializeListHead(&KiAllThreads);
    for (Priority = 0; Priority < KI_PRIORITY_LEVELS; Priority += 1) {
        InitializeListHead(&KiReadyQueues[Priority]);
    }
}

static VOID
KipEnqueue(struct _KTHREAD *Thread, BOOLEAN AtHead)
{
    PLIST_ENTRY Head = &KiReadyQueues[(ULONG)Thread->Priority];

    NT_ASSERT(Thread->Priority >= 0 && !Thread->Idle);
    Thread->State = Ready;
    if (AtHead) {
        InsertHeadList(Head, &Thread->ReadyEntry);
    } else {
        InsertTailList(Head, &Thread->ReadyEntry);
    }
    KiReadySummary |= 1u << (ULONG)Thread->Priority;
}

static VOID
KipDequeue(struct _KTHREAD *Thread)
{
    if (RemoveEntryList(&Thread->ReadyEntry)) {
        KiReadySummary &= ~(1u << (ULONG)Thread->Priority);
    }
}

/* The best thread that may run on a processor, of priority Lowest at least; NULL if there is none. */
static struct _KTHREAD *
KipBestReady(ULONG Processor, LONG Lowest)
{
    ULONG Summary = KiReadySummary;
    struct _KTHREAD *Thread;
    PLIST_ENTRY Entry;
    LONG Priority;

    while (Summary != 0) {
        Priority = 31 - __builtin_clz(Summary);
        if (Priority < Lowest) {
            break;
        }
        for (Entry = KiReadyQueues[Priority].Flink; Entry != &KiReadyQueues[Priority]; Entry = Entry->Flink) {
            Thread = CONTAINING_RECORD(Entry, struct _KTHREAD, ReadyEntry);
            if ((Thread->Affinity >> Processor) & 1) {
                return Thread;
            }
        }
        Summary &= ~(1u << Priority);
    }
    return NULL;
}

/* Have a processor look at the queues. */
static VOID
KipRequestReschedule(ULONG Processor)
{
    KiIdleProcessors &= ~(1ull << Processor);
    KiProcessors[Processor].Reschedule = TRUE;
    if (Processor == PcrRead32(Number)) {
        HalRequestSoftwareInterrupt(DISPATCH_LEVEL);
    } else {
        KiSendIpi(1ull << Processor, KI_IPI_RESCHEDULE);
    }
}

/* The processor that should run a thread, HAL_MAXIMUM_PROCESSORS if all run better ones. */
static ULONG
KipFindProcessor(const struct _KTHREAD *Thread)
{
    HAL_AFFINITY Set = Thread->Affinity & KiStartedProcessors;
    HAL_AFFINITY Idle = Set & KiIdleProcessors;
    LONG Lowest = Thread->Priority;
    ULONG Best = HAL_MAXIMUM_PROCESSORS;
    ULONG Processor;
    LONG Priority;

    if (Idle != 0) {
        if ((Idle >> Thread->Processor) & 1) {
            return Thread->Processor;
        }
        return (ULONG)__builtin_ctzll(Idle);
    }
    for (; Set != 0; Set &= Set - 1) {
        Processor = (ULONG)__builtin_ctzll(Set);
        if (KiProcessors[Processor].Reschedule) {
            continue;
        }
        Priority = KiProcessors[Processor].Pcr->CurrentThread->Priority;
        if (Priority < Lowest) {
            Lowest = Priority;
            Best = Processor;
        }
    }
    return Best;
}

VOID
KiReadyThreadLocked(struct _KTHREAD *Thread)
{
    BOOLEAN AtHead = Thread->Preempted;
    ULONG Processor;

    Thread->Preempted = FALSE;
    if (!AtHead) {
        Thread->QuantumLeft = KI_QUANTUM;
    }
    KipEnqueue(Thread, AtHead);
    Processor = KipFindProcessor(Thread);
    if (Processor != HAL_MAXIMUM_PROCESSORS) {
        KipRequestReschedule(Processor);
    }
}

VOID
KiChangePriorityLocked(struct _KTHREAD *Thread, CHAR Priority)
{
    CHAR OldPriority = Thread->Priority;

    if (Priority == OldPriority) {
        return;
    }
    if (Thread->State == Ready) {
        KipDequeue(Thread);
        Thread->Priority = Priority;
        KiReadyThreadLocked(Thread);
        return;
    }
    Thread->Priority = Priority;
    if (Thread->State == Running && Priority < OldPriority &&
        KipBestReady(Thread->Processor, Priority + 1) != NULL) {
        KipRequestReschedule(Thread->Processor);
    }
}

/* Take the thread that this processor runs next out of its queue: the idle thread if there is none. */
static struct _KTHREAD *
KipSelectLocked(PKI_PROCESSOR Self)
{
    struct _KTHREAD *Next = KipBestReady(Self->Number, 0);

    Self->Reschedule = FALSE;
    if (Next == NULL) {
        return &Self->IdleThread.Tcb;
    }
    KipDequeue(Next);
    return Next;
}

/* Give this processor's stack and current-thread fields to Next, and come back when that is undone. */
static VOID
KipSwitchTo(PKI_PROCESSOR Self, struct _KTHREAD *Next)
{
    struct _KTHREAD *Current = KiCurrentThread();
    PKPCR Pcr = Self->Pcr;
    BOOLEAN WasBusy = KiIdleProcessors != KiStartedProcessors;

    NT_ASSERT(Next->State == Ready || Next->Idle);
    if (Next->Idle) {
        KiIdleProcessors |= 1ull << Self->Number;
    } else {
        KiIdleProcessors &= ~(1ull << Self->Number);
    }
    Next->State = Running;
    Next->Processor = Self->Number;
    Self->Previous = Current;
    Self->Switches += 1;
    if (WasBusy != (KiIdleProcessors != KiStartedProcessors) || Current->Idle) {
        KiArmClockLocked();
    }
    if (Next->ActiveProcess->RootFrame != Current->ActiveProcess->RootFrame) {
        KiSwapAddressSpace(Current->ActiveProcess, Next->ActiveProcess);
    }
    Pcr->CurrentThread = Next;
    Pcr->StackLimit = Next->Stack.Limit;
    Pcr->StackBase = Next->Stack.Base;
    if (Next->Teb != Current->Teb && Next->Teb != 0) {
        HalSetTeb(Next->Teb);
    }
    HalSwitchStack(&Current->SavedStack, Next->SavedStack, Next->Stack.Limit, Next->Stack.Base);
    KiFinishSwitchLocked();
}

VOID
KiSwapThreadLocked(VOID)
{
    struct _KTHREAD *Current = KiCurrentThread();
    PKI_PROCESSOR Self = KiThisProcessor();
    struct _KTHREAD *Next;

    NT_ASSERT(Current->State != Running);
    Next = KipSelectLocked(Self);
    if (Next == Current) {
        Current->State = Running;
        return;
    }
    KipSwitchTo(Self, Next);
}

/* The idle thread: run whatever is ready. */
static VOID
KipLeaveIdleLocked(PKI_PROCESSOR Self)
{
    Self->Reschedule = FALSE;
    if (KipBestReady(Self->Number, 0) == NULL) {
        KiIdleProcessors |= 1ull << Self->Number;
        return;
    }
    KiCurrentThread()->State = Ready;
    KiSwapThreadLocked();
}

VOID
KiPreemptLocked(BOOLEAN ToTail)
{
    struct _KTHREAD *Current = KiCurrentThread();
    PKI_PROCESSOR Self = KiThisProcessor();
    BOOLEAN MustLeave = ((Current->Affinity >> Self->Number) & 1) == 0;

    NT_ASSERT(Current->State == Running);
    if (Current->Idle) {
        KipLeaveIdleLocked(Self);
        return;
    }
    ToTail = ToTail || Current->QuantumLeft <= 0;
    Self->Reschedule = FALSE;
    if (!MustLeave && KipBestReady(Self->Number, Current->Priority + (ToTail ? 0 : 1)) == NULL) {
        if (ToTail) {
            Current->QuantumLeft = KI_QUANTUM;
        }
        return;
    }
    /* Whoever was interrupted in the middle of a turn goes on with it before its equals. */
    Current->Preempted = !ToTail;
    KiReadyThreadLocked(Current);
    KiSwapThreadLocked();
}

VOID
KiChargeQuantumLocked(ULONG64 Ticks)
{
    HAL_AFFINITY Set = KiStartedProcessors;
    struct _KTHREAD *Thread;
    ULONG Processor;

    for (; Set != 0; Set &= Set - 1) {
        Processor = (ULONG)__builtin_ctzll(Set);
        Thread = KiProcessors[Processor].Pcr->CurrentThread;
        if (Thread->Idle) {
            continue;
        }
        Thread->QuantumLeft -= Ticks < KI_QUANTUM ? (LONG)Ticks : KI_QUANTUM;
        if (Thread->QuantumLeft > 0) {
            continue;
        }
        if (Thread->Priority > Thread->BasePriority) {
            /* A boost wears off by one with each turn used up. */
            Thread->Priority -= 1;
        }
        KipRequestReschedule(Processor);
    }
}
