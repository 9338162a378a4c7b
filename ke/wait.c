/*
 * Waiting for dispatcher objects.
 *
 * An object's wait list holds the wait blocks of the threads that wait for it, oldest first. A thread that
 * cannot go on puts a block on the list of each of its objects, and one of its time-out's timer, and gives
 * up the processor. Whoever signals an object calls KiWaitTestLocked, which hands the signal to waiters in
 * order for as long as it lasts: WaitAny waiters consume it and run, a WaitAll waiter takes all its objects at once
 * or is passed over. So an object is consumed on behalf of a waiter before that waiter runs, and nobody can
 * slip in between.
 *
 * The wait's result is known when the thread is released: the number of the object, with STATUS_ABANDONED_WAIT_0
 * added for an abandoned mutant, or STATUS_TIMEOUT. A kernel APC ends the wait with STATUS_KERNEL_APC, which callers never
 * see: it is delivered as IRQL falls, and the wait begins again, at the end of the line, with what is left of its time.
 * Nothing alerts threads or lets user APCs run, so Alertable changes nothing; a wait in user mode's name ends when its
 * thread is to end.
 *
 * Waiting with a time-out other than zero at DISPATCH_LEVEL or above is bug check 0xB8 whether or not the
 * object is signaled.
 */
#include "kep.h"
#include "apc.h"
#include <ntexport.h>

#define KI_BLOCK_TIMER THREAD_WAIT_OBJECTS

/* May the thread go on as far as this object is concerned? */
static BOOLEAN
KipIsSatisfied(PDISPATCHER_HEADER Object, struct _KTHREAD *Thread)
{
    if (Object->Type == KiMutant && ((PKMUTANT)Object)->OwnerThread == Thread) {
        return TRUE;
    }
    return Object->SignalState > 0;
}

/* A mutant that cannot be entered once more. */
static BOOLEAN
KipIsAtLimit(PDISPATCHER_HEADER Object, struct _KTHREAD *Thread)
{
    return Object->Type == KiMutant && ((PKMUTANT)Object)->OwnerThread == Thread &&
           Object->SignalState == (LONG)MINLONG;
}

/* Take what the wait takes from a signaled object; STATUS_ABANDONED if it was an abandoned mutant. */
static NTSTATUS
KipSatisfy(PDISPATCHER_HEADER Object, struct _KTHREAD *Thread)
{
    PKMUTANT Mutant;
    NTSTATUS Status = STATUS_SUCCESS;

    switch (Object->Type) {
    case KiEventSynchronization:
    case KiTimerSynchronization:
        Object->SignalState = 0;
        break;
    case KiSemaphore:
        Object->SignalState -= 1;
        break;
    case KiMutant:
        Mutant = (PKMUTANT)Object;
        Object->SignalState -= 1;
        if (Object->SignalState == 0) {
            Thread->KernelApcDisable = (SHORT)(Thread->KernelApcDisable - Mutant->ApcDisable);
            Mutant->OwnerThread = Thread;
            InsertTailList(&Thread->MutantListHead, &Mutant->MutantListEntry);
            if (Mutant->Abandoned) {
                Mutant->Abandoned = 0;
                Status = STATUS_ABANDONED;
            }
        }
        break;
    default:
        break;
    }
    return Status;
}

VOID
KiUnwaitLocked(struct _KTHREAD *Thread, NTSTATUS Status, KPRIORITY Increment)
{
    ULONG Index;
    CHAR Boosted;

    NT_ASSERT(Thread->State == Waiting);
    for (Index = 0; Index < Thread->WaitBlockCount; Index += 1) {
        RemoveEntryList(&Thread->WaitBlockList[Index].WaitListEntry);
    }
    /* Its time-out, gone off or not: the block was alone in the list. */
    KiRemoveTimerLocked(&Thread->Timer);
    InitializeListHead(&Thread->Timer.Header.WaitListHead);
    Thread->WaitStatus = Status;
    if (Increment > 0 && Thread->BasePriority < LOW_REALTIME_PRIORITY) {
        Boosted = (CHAR)MIN(Thread->BasePriority + Increment, LOW_REALTIME_PRIORITY - 1);
        Thread->Priority = MAX(Thread->Priority, Boosted);
    }
    KiReadyThreadLocked(Thread);
}

/* All objects of a WaitAll are there: take them and return the status; else STATUS_PENDING. */
static NTSTATUS
KipTryAll(struct _KTHREAD *Thread, PKWAIT_BLOCK Blocks, ULONG Count)
{
    NTSTATUS Status = STATUS_WAIT_0;
    ULONG Index;

    for (Index = 0; Index < Count; Index += 1) {
        if (!KipIsSatisfied(Blocks[Index].Object, Thread)) {
            return STATUS_PENDING;
        }
    }
    for (Index = 0; Index < Count; Index += 1) {
        if (KipSatisfy(Blocks[Index].Object, Thread) == STATUS_ABANDONED) {
            Status = STATUS_ABANDONED_WAIT_0;
        }
    }
    return Status;
}

VOID
KiWaitTestLocked(PVOID Object, KPRIORITY Increment)
{
    PDISPATCHER_HEADER Header = Object;
    PLIST_ENTRY Entry = Header->WaitListHead.Flink;
    PKWAIT_BLOCK Block;
    struct _KTHREAD *Thread;
    NTSTATUS Status;

    while (Header->SignalState > 0 && Entry != &Header->WaitListHead) {
        Block = CONTAINING_RECORD(Entry, KWAIT_BLOCK, WaitListEntry);
        Thread = Block->Thread;
        Status = (NTSTATUS)Block->WaitKey;
        if (Block->WaitType == WaitAll) {
            Status = KipTryAll(Thread, Thread->WaitBlockList, Thread->WaitBlockCount);
            if (Status == STATUS_PENDING) {
                Entry = Entry->Flink;
                continue;
            }
        } else if (KipSatisfy(Header, Thread) == STATUS_ABANDONED) {
            Status |= STATUS_ABANDONED_WAIT_0;
        }
        KiUnwaitLocked(Thread, Status, Increment);
        /* The thread may have had more blocks in this list: begin again. */
        Entry = Header->WaitListHead.Flink;
    }
}

KIRQL
KiEnterWait(struct _KTHREAD *Thread)
{
    KIRQL OldIrql = KiLockDispatcher();

    if (Thread->WaitNext) {
        Thread->WaitNext = FALSE;
        OldIrql = Thread->WaitIrql;
    }
    return OldIrql;
}

VOID
KiExitDispatcher(KIRQL OldIrql, BOOLEAN Wait)
{
    struct _KTHREAD *Thread = KiCurrentThread();

    if (!Wait) {
        KiUnlockDispatcher(OldIrql);
        HalChoicePoint(HalChoiceWait);
        return;
    }
    Thread->WaitNext = TRUE;
    Thread->WaitIrql = OldIrql;
    KiUnlockDispatcherFromDispatch();
}

/* Nobody may block here: an ordinary caller at DISPATCH_LEVEL, a DPC, the idle thread. */
static VOID
KipCheckMayBlock(struct _KTHREAD *Thread, PLARGE_INTEGER Timeout)
{
    if (Timeout != NULL && Timeout->QuadPart == 0) {
        return;
    }
    if (HalGetIrql() > APC_LEVEL && !Thread->WaitNext) {
        KeBugCheckEx(ATTEMPTED_SWITCH_FROM_DPC, (ULONG_PTR)Thread, (ULONG_PTR)Thread,
                     (ULONG_PTR)__builtin_frame_address(0), 0);
    }
    NT_VERIFY(!Thread->Idle);
}

/* When a wait that begins now is over; HAL_NO_TIME for ever, 0 at once. */
static ULONG64
KipDueTime(PLARGE_INTEGER Timeout)
{
    if (Timeout == NULL) {
        return HAL_NO_TIME;
    }
    return Timeout->QuadPart == 0 ? 0 : KiDueInterruptTime(Timeout->QuadPart);
}

/*
 * Block on the Count blocks of Blocks, filled but not on lists, and the time-out; lock held, OldIrql as before it. FALSE
 * if the time is over already. The result is in Thread->WaitStatus.
 */
static BOOLEAN
KipBlock(struct _KTHREAD *Thread, PKWAIT_BLOCK Blocks, ULONG Count, ULONG64 DueTime, USHORT TimeoutKey, KIRQL OldIrql)
{
    PKWAIT_BLOCK TimerBlock = &Thread->WaitBlocks[KI_BLOCK_TIMER];
    PDISPATCHER_HEADER Header;
    ULONG Index;

    if (DueTime != 0 && Thread->Terminating && Thread->WaitMode == UserMode) {
        Thread->WaitStatus = STATUS_THREAD_IS_TERMINATING;
        return TRUE;
    }
    if (DueTime != 0 && KiMayDeliverApcLocked(Thread, OldIrql)) {
        Thread->WaitStatus = STATUS_KERNEL_APC;
        return TRUE;
    }
    if (DueTime != HAL_NO_TIME) {
        if (DueTime == 0 || !KiInsertTimerLocked(&Thread->Timer, DueTime)) {
            return FALSE;
        }
        Thread->Timer.Header.SignalState = 0;
        TimerBlock->Thread = Thread;
        TimerBlock->Object = &Thread->Timer;
        TimerBlock->WaitType = WaitAny;
        TimerBlock->WaitKey = TimeoutKey;
        InitializeListHead(&Thread->Timer.Header.WaitListHead);
        InsertTailList(&Thread->Timer.Header.WaitListHead, &TimerBlock->WaitListEntry);
    }
    for (Index = 0; Index < Count; Index += 1) {
        Header = Blocks[Index].Object;
        InsertTailList(&Header->WaitListHead, &Blocks[Index].WaitListEntry);
    }
    Thread->WaitBlockList = Blocks;
    Thread->WaitBlockCount = Count;
    Thread->BlockIrql = OldIrql;
    Thread->State = Waiting;
    KiSwapThreadLocked();
    return TRUE;
}

/* Nothing was there to take at once: block, or say that the time is over. Unlocks. */
static NTSTATUS
KipWait(struct _KTHREAD *Thread, PKWAIT_BLOCK Blocks, ULONG Count, ULONG64 DueTime, KWAIT_REASON Reason, KIRQL OldIrql)
{
    NTSTATUS Status = STATUS_TIMEOUT;

    Thread->WaitReason = (UCHAR)Reason;
    if (KipBlock(Thread, Blocks, Count, DueTime, STATUS_TIMEOUT, OldIrql)) {
        Status = (NTSTATUS)Thread->WaitStatus;
    }
    KiUnlockDispatcher(OldIrql);
    HalChoicePoint(HalChoiceWait);
    return Status;
}

static VOID
KipFillBlock(PKWAIT_BLOCK Block, struct _KTHREAD *Thread, PVOID Object, WAIT_TYPE WaitType, ULONG Key)
{
    Block->Thread = Thread;
    Block->Object = Object;
    Block->WaitType = (UCHAR)WaitType;
    Block->WaitKey = (USHORT)Key;
}

/* Raise STATUS_MUTANT_LIMIT_EXCEEDED, everything undone. */
static VOID DECLSPEC_NORETURN
KipRaiseLimit(KIRQL OldIrql)
{
    KiUnlockDispatcher(OldIrql);
    KiRaiseStatus(STATUS_MUTANT_LIMIT_EXCEEDED);
}

/*
 * Wait until Object is signaled. Timeout: 100 ns units, negative from now, positive system time, zero only looks,
 * NULL waits for ever. STATUS_SUCCESS, STATUS_TIMEOUT, STATUS_ABANDONED for a mutant whose owner ended holding it;
 * raises STATUS_MUTANT_LIMIT_EXCEEDED for one owned 2^31 times. IRQL <= APC_LEVEL, with a zero Timeout
 * <= DISPATCH_LEVEL.
 */
NTSTATUS NTAPI
KeWaitForSingleObject(PVOID Object, KWAIT_REASON WaitReason, KPROCESSOR_MODE WaitMode, BOOLEAN Alertable,
                      PLARGE_INTEGER Timeout)
{
    struct _KTHREAD *Thread = KiCurrentThread();
    PDISPATCHER_HEADER Header = Object;
    ULONG64 DueTime = 0;
    BOOLEAN Again = FALSE;
    NTSTATUS Status;
    KIRQL OldIrql;

    KipCheckMayBlock(Thread, Timeout);
    HalChoicePoint(HalChoiceWait);
    do {
        OldIrql = KiEnterWait(Thread);
        Thread->WaitMode = WaitMode;
        Thread->WaitAlertable = Alertable;
        if (KipIsSatisfied(Header, Thread)) {
            if (KipIsAtLimit(Header, Thread)) {
                KipRaiseLimit(OldIrql);
            }
            Status = KipSatisfy(Header, Thread);
            KiUnlockDispatcher(OldIrql);
            return Status;
        }
        DueTime = Again ? DueTime : KipDueTime(Timeout);
        Again = TRUE;
        KipFillBlock(&Thread->WaitBlocks[0], Thread, Object, WaitAny, 0);
        Status = KipWait(Thread, Thread->WaitBlocks, 1, DueTime, WaitReason, OldIrql);
    } while (Status == STATUS_KERNEL_APC);
    return Status;
}
NTEXPORT(KeWaitForSingleObject);
NTEXPORT_AS("KeWaitForMutexObject", KeWaitForSingleObject);

/* Take what is there at once: the status, or STATUS_PENDING if the thread must wait. Lock held. */
static NTSTATUS
KipTryMultiple(struct _KTHREAD *Thread, PKWAIT_BLOCK Blocks, ULONG Count, WAIT_TYPE WaitType, KIRQL OldIrql)
{
    ULONG Index;
    BOOLEAN Abandoned;

    for (Index = 0; Index < Count; Index += 1) {
        if (KipIsAtLimit(Blocks[Index].Object, Thread)) {
            KipRaiseLimit(OldIrql);
        }
        if (WaitType == WaitAny && KipIsSatisfied(Blocks[Index].Object, Thread)) {
            Abandoned = KipSatisfy(Blocks[Index].Object, Thread) == STATUS_ABANDONED;
            return (NTSTATUS)Index + (Abandoned ? STATUS_ABANDONED_WAIT_0 : STATUS_WAIT_0);
        }
    }
    return WaitType == WaitAny ? STATUS_PENDING : KipTryAll(Thread, Blocks, Count);
}

/*
 * Wait until any (WaitAny) or all (WaitAll) of Count objects are signaled; all are taken at the same time or none.
 * STATUS_WAIT_0 + n for WaitAny, STATUS_WAIT_0 for WaitAll, STATUS_ABANDONED_WAIT_0 + n if a taken mutant was abandoned
 * (WaitAll: + 0), STATUS_TIMEOUT. More than THREAD_WAIT_OBJECTS objects need Count wait blocks of nonpaged memory;
 * without them, or with more than MAXIMUM_WAIT_OBJECTS: bug check 0x0C. IRQL as KeWaitForSingleObject.
 */
NTSTATUS NTAPI
KeWaitForMultipleObjects(ULONG Count, PVOID Object[], WAIT_TYPE WaitType, KWAIT_REASON WaitReason,
                         KPROCESSOR_MODE WaitMode, BOOLEAN Alertable, PLARGE_INTEGER Timeout,
                         PKWAIT_BLOCK WaitBlockArray)
{
    struct _KTHREAD *Thread = KiCurrentThread();
    PKWAIT_BLOCK Blocks = WaitBlockArray;
    ULONG64 DueTime = 0;
    BOOLEAN Again = FALSE;
    NTSTATUS Status;
    KIRQL OldIrql;
    ULONG Index;

    KipCheckMayBlock(Thread, Timeout);
    if (Count > (Blocks != NULL ? MAXIMUM_WAIT_OBJECTS : THREAD_WAIT_OBJECTS)) {
        KeBugCheckEx(MAXIMUM_WAIT_OBJECTS_EXCEEDED, 0, 0, 0, 0);
    }
    HalChoicePoint(HalChoiceWait);
    if (Blocks == NULL) {
        Blocks = Thread->WaitBlocks;
    }
    do {
        OldIrql = KiEnterWait(Thread);
        Thread->WaitMode = WaitMode;
        Thread->WaitAlertable = Alertable;
        for (Index = 0; Index < Count; Index += 1) {
            KipFillBlock(&Blocks[Index], Thread, Object[Index], WaitType, WaitType == WaitAny ? Index : 0);
        }
        Status = KipTryMultiple(Thread, Blocks, Count, WaitType, OldIrql);
        if (Status != STATUS_PENDING) {
            KiUnlockDispatcher(OldIrql);
            return Status;
        }
        DueTime = Again ? DueTime : KipDueTime(Timeout);
        Again = TRUE;
        Status = KipWait(Thread, Blocks, Count, DueTime, WaitReason, OldIrql);
    } while (Status == STATUS_KERNEL_APC);
    return Status;
}
NTEXPORT(KeWaitForMultipleObjects);

/*
 * Sleep until the time is over: STATUS_SUCCESS. A zero Interval lets another ready thread of the same
 * priority run. IRQL <= APC_LEVEL.
 */
NTSTATUS NTAPI
KeDelayExecutionThread(KPROCESSOR_MODE WaitMode, BOOLEAN Alertable, PLARGE_INTEGER Interval)
{
    struct _KTHREAD *Thread = KiCurrentThread();
    ULONG64 DueTime;
    BOOLEAN Again;
    KIRQL OldIrql;

    if (HalGetIrql() > APC_LEVEL) {
        KeBugCheckEx(ATTEMPTED_SWITCH_FROM_DPC, (ULONG_PTR)Thread, (ULONG_PTR)Thread,
                     (ULONG_PTR)__builtin_frame_address(0), 0);
    }
    HalChoicePoint(HalChoiceWait);
    DueTime = KipDueTime(Interval);
    do {
        OldIrql = KiLockDispatcher();
        Thread->WaitMode = WaitMode;
        Thread->WaitAlertable = Alertable;
        Thread->WaitReason = DelayExecution;
        Again = KipBlock(Thread, Thread->WaitBlocks, 0, DueTime, STATUS_SUCCESS, OldIrql);
        if (Again) {
            Again = Thread->WaitStatus == STATUS_KERNEL_APC;
        } else {
            KiPreemptLocked(TRUE);
        }
        KiUnlockDispatcher(OldIrql);
        HalChoicePoint(HalChoiceWait);
    } while (Again);
    return STATUS_SUCCESS;
}
NTEXPORT(KeDelayExecutionThread);
