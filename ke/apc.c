/*
 * APCs and the regions that keep them away; see apc.h.
 *
 *     KeInsertQueueApc --> thread's list --KiDeliverApcs (APC_LEVEL)--> KernelRoutine [--> NormalRoutine]
 *                               \--KiRundownApcs (the thread ends)--> RundownRoutine
 *
 * A thread that runs is told by a software interrupt at APC_LEVEL, requested where the APC is queued, where a
 * thread comes to a processor and has some (KernelApcPending), and where it leaves a region; one too many
 * finds nothing to do. A thread that waits is released with STATUS_KERNEL_APC, which wait.c answers by
 * waiting again.
 *
 * Regions are two counts per thread, zero outside every region and one lower for each entered, which
 * KeAreApcsDisabled reports, mutexes take part in, and which must be back at zero where a thread ends (bug
 * check 0x20) or a DPC returns (0xC7).
 *
 * Lock: the dispatcher lock for the lists and KAPC.Inserted.
 */
#include "kep.h"
#include "apc.h"
#include <ntexport.h>

/* --- Regions ---------------------------------------------------------------------------------------------
 */

/* Enter a region without normal kernel APCs; nests. IRQL <= APC_LEVEL. */
VOID NTAPI
KeEnterCriticalRegion(VOID)
{
    KiCurrentThread()->KernelApcDisable -= 1;
}
NTEXPORT(KeEnterCriticalRegion);

/* Leave the region entered last; bug check 0xC4 (0x3E) if there is none. IRQL <= APC_LEVEL. */
VOID NTAPI
KeLeaveCriticalRegion(VOID)
{
    struct _KTHREAD *Thread = KiCurrentThread();

    if (Thread->KernelApcDisable >= 0) {
        KiVerifierStop(0x3E, 0, 0, 0);
    }
    Thread->KernelApcDisable += 1;
    if (Thread->KernelApcDisable == 0) {
        KiCheckApcs(Thread);
    }
}
NTEXPORT(KeLeaveCriticalRegion);

/* Enter a region without any APCs; nests. IRQL <= APC_LEVEL. */
VOID NTAPI
KeEnterGuardedRegion(VOID)
{
    KiCurrentThread()->SpecialApcDisable -= 1;
}
NTEXPORT(KeEnterGuardedRegion);

/* Leave it; bug check 0xC4 (0x3E) if there is none. IRQL <= APC_LEVEL. */
VOID NTAPI
KeLeaveGuardedRegion(VOID)
{
    struct _KTHREAD *Thread = KiCurrentThread();

    if (Thread->SpecialApcDisable >= 0) {
        KiVerifierStop(0x3E, 0, 0, 0);
    }
    Thread->SpecialApcDisable += 1;
    if (Thread->SpecialApcDisable == 0) {
        KiCheckApcs(Thread);
    }
}
NTEXPORT(KeLeaveGuardedRegion);

/* TRUE if normal kernel APCs would not reach the current thread. Any IRQL. */
BOOLEAN NTAPI
KeAreApcsDisabled(VOID)
{
    struct _KTHREAD *Thread = KiCurrentThread();

    return Thread->KernelApcDisable != 0 || Thread->SpecialApcDisable != 0 || HalGetIrql() >= APC_LEVEL;
}
NTEXPORT(KeAreApcsDisabled);

/* TRUE if no APC would. Any IRQL. */
BOOLEAN NTAPI
KeAreAllApcsDisabled(VOID)
{
    return KiCurrentThread()->SpecialApcDisable != 0 || HalGetIrql() >= APC_LEVEL;
}
NTEXPORT(KeAreAllApcsDisabled);

/* --- Queueing ------------------------------------------------------------------------------------------- */

VOID NTAPI
KeInitializeApc(PKAPC Apc, PKTHREAD Thread, KAPC_ENVIRONMENT Environment, PKKERNEL_ROUTINE KernelRoutine,
                PKRUNDOWN_ROUTINE RundownRoutine, PKNORMAL_ROUTINE NormalRoutine, KPROCESSOR_MODE ApcMode,
                PVOID NormalContext)
{
    RtlZeroMemory(Apc, sizeof(*Apc));
    Apc->Type = KI_APC_OBJECT;
    Apc->Size = sizeof(*Apc);
    Apc->Thread = Thread;
    if (Environment != OriginalApcEnvironment && Environment != AttachedApcEnvironment) {
        Environment =
            Thread->ActiveProcess != Thread->Process ? AttachedApcEnvironment : OriginalApcEnvironment;
    }
    Apc->ApcStateIndex = (CCHAR)Environment;
    Apc->KernelRoutine = (PVOID)(ULONG_PTR)KernelRoutine;
    Apc->RundownRoutine = (PVOID)(ULONG_PTR)RundownRoutine;
    Apc->NormalRoutine = NormalRoutine;
    Apc->ApcMode = NormalRoutine == NULL ? KernelMode : ApcMode;
    Apc->NormalContext = NormalRoutine == NULL ? NULL : NormalContext;
}
NTEXPORT(KeInitializeApc);

static inline BOOLEAN
KipIsSpecial(const KAPC *Apc)
{
    return Apc->NormalRoutine == NULL;
}

/* May this APC of the thread's kernel list be delivered, as far as regions, address spaces and others go? */
static BOOLEAN
KipMayDeliver(const struct _KTHREAD *Thread, const KAPC *Apc)
{
    return Thread->SpecialApcDisable == 0 &&
           (Apc->ApcStateIndex != OriginalApcEnvironment || Thread->ActiveProcess == Thread->Process) &&
           (KipIsSpecial(Apc) || (Thread->KernelApcDisable == 0 && !Thread->KernelApcInProgress));
}

/* Special ones come before the normal ones, in order of insertion. */
static VOID
KipEnqueueApc(struct _KTHREAD *Thread, PKAPC Apc)
{
    PLIST_ENTRY Before = &Thread->ApcListHead[(UCHAR)Apc->ApcMode];

    if (KipIsSpecial(Apc)) {
        PLIST_ENTRY Head = Before;

        Before = Head->Flink;
        while (Before != Head && KipIsSpecial(CONTAINING_RECORD(Before, KAPC, ApcListEntry))) {
            Before = Before->Flink;
        }
    }
    InsertTailList(Before, &Apc->ApcListEntry);
    Apc->Inserted = TRUE;
}

/* A kernel APC was queued: see that its thread looks. TRUE: this processor must, once the lock is dropped. */
static BOOLEAN
KipNotifyLocked(struct _KTHREAD *Thread, PKAPC Apc, KPRIORITY Increment)
{
    Thread->KernelApcPending = TRUE;
    if (Thread->State == Running) {
        if (Thread == KiCurrentThread()) {
            return TRUE;
        }
        KiSendIpi(1ull << Thread->Processor, KI_IPI_APC);
    } else if (Thread->State == Waiting && Thread->BlockIrql < APC_LEVEL && KipMayDeliver(Thread, Apc)) {
        KiUnwaitLocked(Thread, STATUS_KERNEL_APC, Increment);
    }
    return FALSE;
}

BOOLEAN NTAPI
KeInsertQueueApc(PKAPC Apc, PVOID SystemArgument1, PVOID SystemArgument2, KPRIORITY Increment)
{
    struct _KTHREAD *Thread = Apc->Thread;
    BOOLEAN Here = FALSE, Inserted;
    KIRQL OldIrql = KiLockDispatcher();

    Inserted = !Apc->Inserted && !Thread->ApcClosed;
    if (Inserted) {
        Apc->SystemArgument1 = SystemArgument1;
        Apc->SystemArgument2 = SystemArgument2;
        KipEnqueueApc(Thread, Apc);
        Here = Apc->ApcMode == KernelMode && KipNotifyLocked(Thread, Apc, Increment);
    }
    KiUnlockDispatcher(OldIrql);
    if (Here) {
        HalRequestSoftwareInterrupt(APC_LEVEL);
    }
    return Inserted;
}
NTEXPORT(KeInsertQueueApc);

BOOLEAN NTAPI
KeRemoveQueueApc(PKAPC Apc)
{
    KIRQL OldIrql = KiLockDispatcher();
    BOOLEAN Removed = Apc->Inserted;

    if (Removed) {
        RemoveEntryList(&Apc->ApcListEntry);
        Apc->Inserted = FALSE;
    }
    KiUnlockDispatcher(OldIrql);
    return Removed;
}
NTEXPORT(KeRemoveQueueApc);

/* --- Delivery ------------------------------------------------------------------------------------------- */

BOOLEAN
KiMayDeliverApcLocked(struct _KTHREAD *Thread, KIRQL Irql)
{
    PLIST_ENTRY Head = &Thread->ApcListHead[KernelMode];

    return Irql < APC_LEVEL && !IsListEmpty(Head) &&
           KipMayDeliver(Thread, CONTAINING_RECORD(Head->Flink, KAPC, ApcListEntry));
}

VOID
KiCheckApcs(struct _KTHREAD *Thread)
{
    if (__atomic_load_n(&Thread->KernelApcPending, __ATOMIC_RELAXED)) {
        HalRequestSoftwareInterrupt(APC_LEVEL);
    }
}

/* The first APC that may be delivered, taken out of its queue; NULL if there is none. */
static PKAPC
KipTakeApc(struct _KTHREAD *Thread)
{
    KIRQL OldIrql = KiLockDispatcher();
    PKAPC Apc = NULL;

    if (KiMayDeliverApcLocked(Thread, PASSIVE_LEVEL)) {
        Apc = CONTAINING_RECORD(Thread->ApcListHead[KernelMode].Flink, KAPC, ApcListEntry);
        RemoveEntryList(&Apc->ApcListEntry);
        Apc->Inserted = FALSE;
    }
    Thread->KernelApcPending = !IsListEmpty(&Thread->ApcListHead[KernelMode]);
    KiUnlockDispatcher(OldIrql);
    return Apc;
}

/* The kernel routine may free the APC, so its fields are read before. */
static VOID
KipRunApc(struct _KTHREAD *Thread, PKAPC Apc)
{
    PKNORMAL_ROUTINE NormalRoutine = Apc->NormalRoutine;
    PVOID NormalContext = Apc->NormalContext;
    PVOID Argument1 = Apc->SystemArgument1, Argument2 = Apc->SystemArgument2;

    if (KiIsCoreCode((ULONG_PTR)Apc->KernelRoutine)) {
        ((PKKERNEL_ROUTINE)(ULONG_PTR)Apc->KernelRoutine)(Apc, &NormalRoutine, &NormalContext, &Argument1,
                                                          &Argument2);
    } else {
        KiCallImage6(Apc->KernelRoutine, (ULONG_PTR)Apc, (ULONG_PTR)&NormalRoutine, (ULONG_PTR)&NormalContext,
                     (ULONG_PTR)&Argument1, (ULONG_PTR)&Argument2, 0);
    }
    if (NormalRoutine != NULL) {
        Thread->KernelApcInProgress = TRUE;
        KiLowerIrql(PASSIVE_LEVEL);
        KiCallRoutine((PVOID)(ULONG_PTR)NormalRoutine, (ULONG_PTR)NormalContext, (ULONG_PTR)Argument1,
                      (ULONG_PTR)Argument2, 0);
        KiRaiseIrql(APC_LEVEL);
        Thread->KernelApcInProgress = FALSE;
    }
}

VOID
KiDeliverApcs(VOID)
{
    struct _KTHREAD *Thread = KiCurrentThread();
    PKAPC Apc;

    NT_ASSERT(HalGetIrql() == APC_LEVEL);
    if (!__atomic_load_n(&Thread->KernelApcPending, __ATOMIC_ACQUIRE)) {
        return;
    }
    KiEnterBoundary();
    while ((Apc = KipTakeApc(Thread)) != NULL) {
        KipRunApc(Thread, Apc);
    }
    KiLeaveBoundary();
}

/* --- The end -------------------------------------------------------------------------------------------- */

VOID
KiRundownApcs(struct _KTHREAD *Thread)
{
    KIRQL OldIrql = KiLockDispatcher();

    Thread->ApcClosed = TRUE;
    for (ULONG Mode = KernelMode; Mode < MaximumMode; Mode += 1) {
        while (!IsListEmpty(&Thread->ApcListHead[Mode])) {
            PKAPC Apc = CONTAINING_RECORD(RemoveHeadList(&Thread->ApcListHead[Mode]), KAPC, ApcListEntry);
            PVOID Routine = Apc->RundownRoutine;

            Apc->Inserted = FALSE;
            KiUnlockDispatcher(OldIrql);
            if (Routine != NULL) {
                KiCallRoutine(Routine, (ULONG_PTR)Apc, 0, 0, 0);
            }
            OldIrql = KiLockDispatcher();
        }
    }
    Thread->KernelApcPending = FALSE;
    KiUnlockDispatcher(OldIrql);
}
