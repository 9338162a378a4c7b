/*
 * Threads: making, ending, priorities, affinity, stacks. The scheduling itself is in ready.c.
 *
 * A thread's storage and stack come from its creator. KiExitThread signals the object and switches away
 * for good; on the next stack KiFinishSwitchLocked puts the thread on the list of ended ones, so that whoever takes
 * it from there (KiWaitForEndedThread) may free its stack at once.
 */
#include "kep.h"
#include "apc.h"
#include "exception.h"
#include <ntexport.h>

#define KI_MINIMUM_STACK 0x1000

KPROCESS KiSystemProcess;
PKPROCESS KiThreadProcess = &KiSystemProcess;

static LIST_ENTRY KiEndedThreads = {&KiEndedThreads, &KiEndedThreads}; /* (D) */
static KSEMAPHORE KiEndedCount = {
    {{.Lock = KiSemaphore}, 0, {&KiEndedCount.Header.WaitListHead, &KiEndedCount.Header.WaitListHead}}, MAXLONG};
static ULONG64 KiThreadNumber;

PKTHREAD NTAPI
KeGetCurrentThread(VOID)
{
    return KiCurrentThread();
}
NTEXPORT(KeGetCurrentThread);

/* The part of a thread that idle threads share: a zeroed KTHREAD gets its lists and constants. */
static VOID
KipInitializeThread(struct _KTHREAD *Thread, CHAR Priority)
{
    Thread->Header.Type = KiThread;
    Thread->Header.Size = sizeof(KTHREAD) / sizeof(LONG) < 256 ? (UCHAR)(sizeof(KTHREAD) / sizeof(LONG)) : 0;
    InitializeListHead(&Thread->Header.WaitListHead);
    InitializeListHead(&Thread->MutantListHead);
    InitializeListHead(&Thread->ApcListHead[KernelMode]);
    InitializeListHead(&Thread->ApcListHead[UserMode]);
    Thread->BoundaryTop = Thread->Boundaries;
    Thread->BoundaryLimit = Thread->Boundaries + KI_BOUNDARY_RECORDS;
    Thread->Priority = Priority;
    Thread->BasePriority = Priority;
    Thread->QuantumLeft = KI_QUANTUM;
    Thread->Affinity = HAL_ALL_PROCESSORS;
    KeInitializeTimerEx(&Thread->Timer, NotificationTimer);
}

/* On the new stack, the dispatcher lock held: let go of it and become an ordinary thread. */
static VOID
KipThreadStartup(PVOID Context)
{
    struct _KTHREAD *Thread = Context;

    KiFinishSwitchLocked();
    KiUnlockDispatcher(PASSIVE_LEVEL);
    HalChoicePoint(HalChoiceWait);
    KiCallRoutine((PVOID)Thread->StartRoutine, (ULONG_PTR)Thread->StartContext, 0, 0, 0);
    KiExitThread(STATUS_SUCCESS);
}

NTSTATUS
KiCreateThread(PKPROCESS Process, PKSTART_ROUTINE Routine, PVOID Context, KPRIORITY Priority,
               struct _KTHREAD *Storage, ULONG_PTR StackLimit, ULONG_PTR StackBase)
{
    struct _KTHREAD *Thread = Storage;
    KIRQL OldIrql;

    if (Priority < 0 || Priority >= KI_PRIORITY_LEVELS || StackBase < StackLimit ||
        StackBase - StackLimit < KI_MINIMUM_STACK) {
        return STATUS_INVALID_PARAMETER;
    }
    RtlZeroMemory(Thread, sizeof(*Thread));
    KipInitializeThread(Thread, (CHAR)Priority);
    Thread->Process = Process != NULL ? Process : KiThreadProcess;
    Thread->ActiveProcess = Thread->Process;
    Thread->StartRoutine = Routine;
    Thread->StartContext = Context;
    Thread->Stack.Limit = StackLimit;
    Thread->Stack.Base = StackBase;
    Thread->SavedStack = HalPrepareStack(StackLimit, StackBase, KipThreadStartup, Thread);

    OldIrql = KiLockDispatcher();
    Thread->Number = ++KiThreadNumber;
    Thread->Processor = PcrRead32(Number);
    InsertTailList(&KiAllThreads, &Thread->AllEntry);
    InsertTailList(&Thread->Process->ThreadListHead, &Thread->ProcessEntry);
    Thread->Process->ThreadCount += 1;
    KiReadyThreadLocked(Thread);
    KiUnlockDispatcher(OldIrql);
    HalChoicePoint(HalChoiceWait);
    return STATUS_SUCCESS;
}

VOID
KiInitializeIdleThread(PKI_PROCESSOR Processor)
{
    struct _KTHREAD *Thread = &Processor->IdleThread.Tcb;

    KipInitializeThread(Thread, KI_IDLE_PRIORITY);
    Thread->Process = &KiSystemProcess;
    Thread->ActiveProcess = &KiSystemProcess;
    Thread->Idle = TRUE;
    Thread->State = Running;
    Thread->Processor = Processor->Number;
    Thread->Affinity = 1ull << Processor->Number;
    Thread->Stack.Limit = Processor->Pcr->StackLimit;
    Thread->Stack.Base = Processor->Pcr->StackBase;
    Processor->Pcr->IdleThread = Thread;
    Processor->Pcr->CurrentThread = Thread;
}

/* What must not be true of a thread that ends. */
static VOID
KipCheckExit(struct _KTHREAD *Thread)
{
    ULONG ApcDisable = ((ULONG)(USHORT)Thread->SpecialApcDisable << 16) | (USHORT)Thread->KernelApcDisable;
    KIRQL Irql = HalGetIrql();
    PLIST_ENTRY Entry;
    PKMUTANT Mutant;

    if (Irql == PASSIVE_LEVEL) {
        for (Entry = Thread->MutantListHead.Flink; Entry != &Thread->MutantListHead; Entry = Entry->Flink) {
            Mutant = CONTAINING_RECORD(Entry, KMUTANT, MutantListEntry);
            if (Mutant->ApcDisable != 0) {
                KeBugCheckEx(THREAD_TERMINATE_HELD_MUTEX, (ULONG_PTR)Thread, (ULONG_PTR)Mutant, 0, 0);
            }
        }
    }
    if (Irql != PASSIVE_LEVEL || ApcDisable != 0) {
        KeBugCheckEx(KERNEL_APC_PENDING_DURING_EXIT, 0, ApcDisable, Irql, 0);
    }
    if (Thread->ActiveProcess != Thread->Process) {
        KeBugCheckEx(INVALID_PROCESS_ATTACH_ATTEMPT, (ULONG_PTR)Thread->Process, (ULONG_PTR)Thread->ActiveProcess, 1,
                     0);
    }
    NT_ASSERT(Thread->PushLockCount == 0);
}

static VOID DECLSPEC_NORETURN
KipEndThread(struct _KTHREAD *Thread, NTSTATUS ExitStatus)
{
    KiRundownApcs(Thread);
    KiLockDispatcher();
    KiAbandonMutantsLocked(Thread);
    Thread->ExitStatus = ExitStatus;
    Thread->State = Terminated;
    RemoveEntryList(&Thread->ProcessEntry);
    Thread->Process->ThreadCount -= 1;
    Thread->Header.SignalState = TRUE;
    KiWaitTestLocked(Thread, 0);
    KiSwapThreadLocked();
    KiAssertFailed(__FILE__, __LINE__, "an ended thread runs");
}

VOID DECLSPEC_NORETURN
KiExitThread(NTSTATUS ExitStatus)
{
    struct _KTHREAD *Thread = KiCurrentThread();

    KipCheckExit(Thread);
    KipEndThread(Thread, ExitStatus);
}

VOID DECLSPEC_NORETURN
KiAbandonThread(NTSTATUS ExitStatus)
{
    struct _KTHREAD *Thread = KiCurrentThread();
    PKPCR Pcr;

    KiRaiseIrqlToDispatch();
    Pcr = KeGetPcr();
    NT_VERIFY(!Thread->Idle);
    Pcr->DpcRoutineActive = FALSE;
    Pcr->HeldLockCount = 0;
    Thread->PushLockCount = 0;
    Thread->WaitNext = FALSE;
    HalLowerIrql(DISPATCH_LEVEL);
    KipEndThread(Thread, ExitStatus);
}

/* A thread that ended in the middle of calls leaves its frames' shadow behind; the stacks get other users. */
static VOID
KipForgetStacks(const struct _KTHREAD *Thread)
{
    const KI_STACK_SEGMENT *Segment;

    for (Segment = &Thread->Stack; Segment != NULL; Segment = Segment->Previous) {
        HalUnpoison((PVOID)Segment->Limit, Segment->Base - Segment->Limit);
    }
}

VOID
KiFinishSwitchLocked(VOID)
{
    PKI_PROCESSOR Self = KiThisProcessor();
    struct _KTHREAD *Previous = Self->Previous;

    Self->Previous = NULL;
    if (Previous != NULL && Previous->State == Terminated) {
        KipForgetStacks(Previous);
        RemoveEntryList(&Previous->AllEntry);
        InsertTailList(&KiEndedThreads, &Previous->ReadyEntry);
        KiEndedCount.Header.SignalState += 1;
        KiWaitTestLocked(&KiEndedCount, 0);
    }
    if (KiCurrentThread()->KernelApcPending) {
        HalRequestSoftwareInterrupt(APC_LEVEL);
    }
}

struct _KTHREAD *
KiWaitForEndedThread(VOID)
{
    PLIST_ENTRY Entry;
    KIRQL OldIrql;

    KeWaitForSingleObject(&KiEndedCount, Executive, KernelMode, FALSE, NULL);
    OldIrql = KiLockDispatcher();
    NT_ASSERT(!IsListEmpty(&KiEndedThreads));
    Entry = RemoveHeadList(&KiEndedThreads);
    KiUnlockDispatcher(OldIrql);
    return CONTAINING_RECORD(Entry, struct _KTHREAD, ReadyEntry);
}

VOID
KiEnumerateThreads(VOID (*Visitor)(struct _KTHREAD *Thread, PVOID Context), PVOID Context)
{
    BOOLEAN MustLock = !KiIsStopping();
    KIRQL OldIrql = PASSIVE_LEVEL;
    PLIST_ENTRY Entry;

    if (MustLock) {
        OldIrql = KiLockDispatcher();
    }
    for (Entry = KiAllThreads.Flink; Entry != &KiAllThreads; Entry = Entry->Flink) {
        Visitor(CONTAINING_RECORD(Entry, struct _KTHREAD, AllEntry), Context);
    }
    if (MustLock) {
        KiUnlockDispatcher(OldIrql);
    }
}

VOID
KiYield(VOID)
{
    KIRQL OldIrql;

    NT_ASSERT(HalGetIrql() <= APC_LEVEL);
    HalChoicePoint(HalChoiceWait);
    OldIrql = KiLockDispatcher();
    KiPreemptLocked(TRUE);
    KiUnlockDispatcher(OldIrql);
}

/* --- Priority and affinity --------------------------------------------------------------------------- */

/*
 * Set the thread's priority and take away any boost; returns the old priority. What lies outside 1 to 31 is clipped to
 * that range. IRQL <= DISPATCH_LEVEL.
 */
KPRIORITY NTAPI
KeSetPriorityThread(PKTHREAD Thread, KPRIORITY Priority)
{
    KPRIORITY Old;
    KIRQL OldIrql;

    Priority = MIN(MAX(Priority, 1), KI_PRIORITY_LEVELS - 1);
    OldIrql = KiLockDispatcher();
    Old = Thread->Priority;
    Thread->BasePriority = (CHAR)Priority;
    KiChangePriorityLocked(Thread, (CHAR)Priority);
    KiUnlockDispatcher(OldIrql);
    return Old;
}
NTEXPORT(KeSetPriorityThread);

/* The thread's priority now, boost included. IRQL <= DISPATCH_LEVEL. */
KPRIORITY NTAPI
KeQueryPriorityThread(PKTHREAD Thread)
{
    return __atomic_load_n(&Thread->Priority, __ATOMIC_RELAXED);
}
NTEXPORT(KeQueryPriorityThread);

#define KI_PROCESS_BASE_PRIORITY 8

/*
 * Set the base priority to the process's plus Increment, within the variable (1 to 15) or real-time (16 to 31) range
 * the thread is in; returns the increment before. IRQL <= DISPATCH_LEVEL.
 */
LONG NTAPI
KeSetBasePriorityThread(PKTHREAD Thread, LONG Increment)
{
    KPRIORITY Base;
    LONG Old;
    KIRQL OldIrql = KiLockDispatcher();

    Old = Thread->BasePriority - KI_PROCESS_BASE_PRIORITY;
    if (Thread->BasePriority >= LOW_REALTIME_PRIORITY) {
        Base = MIN(MAX(KI_PROCESS_BASE_PRIORITY + Increment, LOW_REALTIME_PRIORITY), HIGH_PRIORITY);
    } else {
        Base = MIN(MAX(KI_PROCESS_BASE_PRIORITY + Increment, 1), LOW_REALTIME_PRIORITY - 1);
    }
    Thread->BasePriority = (CHAR)Base;
    KiChangePriorityLocked(Thread, (CHAR)Base);
    KiUnlockDispatcher(OldIrql);
    return Old;
}
NTEXPORT(KeSetBasePriorityThread);

/* Give the current thread an affinity and move it if it must; returns the old one. */
static HAL_AFFINITY
KipSetAffinity(HAL_AFFINITY Affinity)
{
    struct _KTHREAD *Thread = KiCurrentThread();
    HAL_AFFINITY Old;
    KIRQL OldIrql = KiLockDispatcher();

    Old = Thread->Affinity;
    Thread->Affinity = Affinity;
    if (((Affinity >> PcrRead32(Number)) & 1) == 0) {
        if (OldIrql < DISPATCH_LEVEL) {
            KiPreemptLocked(FALSE);
        } else {
            KiThisProcessor()->Reschedule = TRUE;
            HalRequestSoftwareInterrupt(DISPATCH_LEVEL);
        }
    }
    KiUnlockDispatcher(OldIrql);
    return Old;
}

/*
 * Run the current thread on the processors of Affinity only, from now on or, at DISPATCH_LEVEL, from when IRQL
 * falls. Returns the affinity to give to the revert, 0 if the thread had none of its own. No active processor in
 * Affinity: no effect, 0 is returned.
 */
KAFFINITY NTAPI
KeSetSystemAffinityThreadEx(KAFFINITY Affinity)
{
    HAL_AFFINITY Old;

    if ((Affinity & KiStartedProcessors) == 0) {
        return 0;
    }
    Old = KipSetAffinity(Affinity);
    return Old == HAL_ALL_PROCESSORS ? 0 : Old;
}
NTEXPORT(KeSetSystemAffinityThreadEx);

/* Undo that: Affinity is what it returned. */
VOID NTAPI
KeRevertToUserAffinityThreadEx(KAFFINITY Affinity)
{
    KipSetAffinity(Affinity == 0 ? HAL_ALL_PROCESSORS : Affinity);
}
NTEXPORT(KeRevertToUserAffinityThreadEx);

/* The forms with a group: group 0 is the only one; another, or an empty set, has no effect. */
VOID NTAPI
KeSetSystemGroupAffinityThread(PGROUP_AFFINITY Affinity, PGROUP_AFFINITY PreviousAffinity)
{
    KAFFINITY Old = 0;

    if (Affinity->Group == 0) {
        Old = KeSetSystemAffinityThreadEx(Affinity->Mask);
    }
    if (PreviousAffinity != NULL) {
        RtlZeroMemory(PreviousAffinity, sizeof(*PreviousAffinity));
        PreviousAffinity->Mask = Old;
    }
}
NTEXPORT(KeSetSystemGroupAffinityThread);

VOID NTAPI
KeRevertToUserGroupAffinityThread(PGROUP_AFFINITY PreviousAffinity)
{
    KeRevertToUserAffinityThreadEx(PreviousAffinity->Mask);
}
NTEXPORT(KeRevertToUserGroupAffinityThread);

/* --- Stacks -------------------------------------------------------------------------------------------- */

typedef struct _KI_STACK_CALL {
    VOID (*Routine)(PVOID);
    PVOID Context;
    PKI_UNWIND_GUARD Guard;
    BOOLEAN Unwound;
    KIRQL Irql;
} KI_STACK_CALL;

/* On the other stack, at DISPATCH_LEVEL at least: call at the level of the caller and come back raised. */
static VOID
KipCallAtIrql(PVOID Context)
{
    KI_STACK_CALL *Call = Context;

    HalLowerIrql(Call->Irql);
    if (Call->Guard != NULL) {
        Call->Unwound = KiCallGuarded(Call->Routine, Call->Context, Call->Guard);
    } else {
        Call->Routine(Call->Context);
    }
    HalSetIrql(MAX(Call->Irql, DISPATCH_LEVEL));
}

static VOID
KipUseSegment(const KI_STACK_SEGMENT *Segment)
{
    PKPCR Pcr = KeGetPcr();

    KiCurrentThread()->Stack = *Segment;
    Pcr->StackLimit = Segment->Limit;
    Pcr->StackBase = Segment->Base;
}

BOOLEAN
KiCallOnStack(ULONG_PTR Limit, ULONG_PTR Base, VOID (*Routine)(PVOID), PVOID Context, PKI_UNWIND_GUARD Guard)
{
    KI_STACK_CALL Call = {Routine, Context, Guard, FALSE, HalGetIrql()};
    KI_STACK_SEGMENT Saved;
    KI_STACK_SEGMENT Segment;

    /* Bounds and stack pointer change together as far as anybody below this level can see. */
    KiRaiseIrqlToDispatch();
    Saved = KiCurrentThread()->Stack;
    Segment.Limit = Limit;
    Segment.Base = Base;
    Segment.Previous = &Saved;
    KipUseSegment(&Segment);
    HalCallOnStack(Limit, Base, KipCallAtIrql, &Call);
    KipUseSegment(&Saved);
    HalLowerIrql(Call.Irql);
    return Call.Unwound;
}

ULONG_PTR
KiRemainingStack(VOID)
{
    return (ULONG_PTR)__builtin_frame_address(0) - KiCurrentThread()->Stack.Limit;
}
