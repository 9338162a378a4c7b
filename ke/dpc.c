/*
 * Deferred procedure calls.
 *
 * Each processor has a queue, its lock taken at HIGH_LEVEL since interrupts queue DPCs too. A queued DPC has
 * its queue in DpcData; that and the list change together under the queue's lock. The queue is run by
 * KiSoftwareInterrupt at DISPATCH_LEVEL, or by the idle thread, on the processor's DPC stack if it has one. DpcData
 * is cleared before the routine is called, so the routine may queue its DPC again or free it.
 *
 * Importance: HighImportance goes to the front. Every importance requests the interrupt at once. Threaded DPCs run as
 * ordinary ones, which their document allows.
 *
 * A routine must return at DISPATCH_LEVEL (else bug check 0xC8, unique value 0xFF, parameter 2 the routine) and leave
 * the APC-disable counts alone (0xC7, 4).
 */
#include "kep.h"
#include <ntexport.h>

/* In Number: the low bits name the processor; else it is the one that queues. */
#define KI_DPC_TARGETED 0x800u

static VOID
KipInitializeDpc(PKDPC Dpc, PKDEFERRED_ROUTINE DeferredRoutine, PVOID DeferredContext, UCHAR Type)
{
    Dpc->TargetInfoAsUlong = 0;
    Dpc->Type = Type;
    Dpc->Importance = MediumImportance;
    Dpc->ProcessorHistory = 0;
    Dpc->DeferredRoutine = DeferredRoutine;
    Dpc->DeferredContext = DeferredContext;
    Dpc->DpcData = NULL;
}

/* Make a DPC. Any IRQL. */
VOID NTAPI
KeInitializeDpc(PRKDPC Dpc, PKDEFERRED_ROUTINE DeferredRoutine, PVOID DeferredContext)
{
    KipInitializeDpc(Dpc, DeferredRoutine, DeferredContext, KiDpc);
}
NTEXPORT(KeInitializeDpc);

/* Make one whose routine could also do with PASSIVE_LEVEL; it is called at DISPATCH_LEVEL. Any IRQL. */
VOID NTAPI
KeInitializeThreadedDpc(PRKDPC Dpc, PKDEFERRED_ROUTINE DeferredRoutine, PVOID DeferredContext)
{
    KipInitializeDpc(Dpc, DeferredRoutine, DeferredContext, KiThreadedDpc);
}
NTEXPORT(KeInitializeThreadedDpc);

/* Where in the queue the DPC will go the next time. Any IRQL. */
VOID NTAPI
KeSetImportanceDpc(PRKDPC Dpc, KDPC_IMPORTANCE Importance)
{
    Dpc->Importance = (UCHAR)Importance;
}
NTEXPORT(KeSetImportanceDpc);

/* The processor it will run on from now on, whoever queues it; which must exist when it is queued. Any IRQL. */
VOID NTAPI
KeSetTargetProcessorDpc(PRKDPC Dpc, CCHAR Number)
{
    Dpc->Number = (USHORT)(KI_DPC_TARGETED | ((UCHAR)Number & 0x7F));
}
NTEXPORT(KeSetTargetProcessorDpc);

/* The same; STATUS_INVALID_PARAMETER for a processor that does not exist. Any IRQL. */
NTSTATUS NTAPI
KeSetTargetProcessorDpcEx(PKDPC Dpc, PPROCESSOR_NUMBER ProcNumber)
{
    if (ProcNumber->Group != 0 || ProcNumber->Reserved != 0 || ProcNumber->Number >= HalProcessorCount()) {
        return STATUS_INVALID_PARAMETER;
    }
    Dpc->Number = (USHORT)(KI_DPC_TARGETED | ProcNumber->Number);
    return STATUS_SUCCESS;
}
NTEXPORT(KeSetTargetProcessorDpcEx);

/* The queue a DPC goes to. HIGH_LEVEL. */
static PKI_PROCESSOR
KipDpcTarget(PKDPC Dpc)
{
    ULONG Number = Dpc->Number;

    if ((Number & KI_DPC_TARGETED) == 0) {
        return KiThisProcessor();
    }
    Number &= ~KI_DPC_TARGETED;
    if (Number >= HAL_MAXIMUM_PROCESSORS || ((KiStartedProcessors >> Number) & 1) == 0) {
        KeBugCheckEx(TIMER_OR_DPC_INVALID, 3, (ULONG_PTR)Dpc, Number, HalProcessorCount());
    }
    return &KiProcessors[Number];
}

static VOID
KipEnqueueDpc(PKI_PROCESSOR Target, PKDPC Dpc)
{
    Dpc->DpcListEntry.Next = NULL;
    if (Target->DpcFirst == NULL) {
        Target->DpcFirst = &Dpc->DpcListEntry;
        Target->DpcLast = &Dpc->DpcListEntry;
    } else if (Dpc->Importance == HighImportance) {
        Dpc->DpcListEntry.Next = Target->DpcFirst;
        Target->DpcFirst = &Dpc->DpcListEntry;
    } else {
        Target->DpcLast->Next = &Dpc->DpcListEntry;
        Target->DpcLast = &Dpc->DpcListEntry;
    }
    Target->DpcDepth += 1;
}

/*
 * Queue the DPC, on the current processor unless it has a target, to be called with the two arguments. FALSE, and
 * nothing changed, if it is queued already. A target that does not run: bug check 0xC7 (3). Any IRQL.
 */
BOOLEAN NTAPI
KeInsertQueueDpc(PRKDPC Dpc, PVOID SystemArgument1, PVOID SystemArgument2)
{
    KIRQL OldIrql = KiRaiseIrql(HIGH_LEVEL);
    PKI_PROCESSOR Target = KipDpcTarget(Dpc);
    PVOID Nowhere = NULL;
    BOOLEAN Inserted;

    KiAcquireRankedLock(&Target->DpcLock, LockRankDpc);
    /* Another processor may be putting it on its own queue at this moment. */
    Inserted = __atomic_compare_exchange_n(&Dpc->DpcData, &Nowhere, (PVOID)Target, FALSE, __ATOMIC_ACQ_REL,
                                           __ATOMIC_RELAXED);
    if (Inserted) {
        Dpc->SystemArgument1 = SystemArgument1;
        Dpc->SystemArgument2 = SystemArgument2;
        KipEnqueueDpc(Target, Dpc);
    }
    KiReleaseRankedLock(&Target->DpcLock);
    if (Inserted) {
        if (Target == KiThisProcessor()) {
            HalRequestSoftwareInterrupt(DISPATCH_LEVEL);
        } else {
            KiSendIpi(1ull << Target->Number, KI_IPI_DPC);
        }
    }
    KiLowerIrql(OldIrql);
    return Inserted;
}
NTEXPORT(KeInsertQueueDpc);

/* Unlink a DPC from the queue it is on; its lock is held. */
static VOID
KipUnlinkDpc(PKI_PROCESSOR Queue, PKDPC Dpc)
{
    PSINGLE_LIST_ENTRY Before = NULL;
    PSINGLE_LIST_ENTRY Entry = Queue->DpcFirst;

    while (Entry != &Dpc->DpcListEntry) {
        NT_VERIFY(Entry != NULL);
        Before = Entry;
        Entry = Entry->Next;
    }
    if (Before == NULL) {
        Queue->DpcFirst = Entry->Next;
    } else {
        Before->Next = Entry->Next;
    }
    if (Queue->DpcLast == Entry) {
        Queue->DpcLast = Before;
    }
    Queue->DpcDepth -= 1;
}

/* Take the DPC out of its queue: TRUE if it was there; FALSE if it was not queued or has begun. Any IRQL. */
BOOLEAN NTAPI
KeRemoveQueueDpc(PRKDPC Dpc)
{
    KIRQL OldIrql = KiRaiseIrql(HIGH_LEVEL);
    PKI_PROCESSOR Queue = __atomic_load_n(&Dpc->DpcData, __ATOMIC_ACQUIRE);
    BOOLEAN Removed = FALSE;

    if (Queue != NULL) {
        KiAcquireRankedLock(&Queue->DpcLock, LockRankDpc);
        if (__atomic_load_n(&Dpc->DpcData, __ATOMIC_RELAXED) == Queue) {
            KipUnlinkDpc(Queue, Dpc);
            __atomic_store_n(&Dpc->DpcData, NULL, __ATOMIC_RELEASE);
            Removed = TRUE;
        }
        KiReleaseRankedLock(&Queue->DpcLock);
    }
    KiLowerIrql(OldIrql);
    return Removed;
}
NTEXPORT(KeRemoveQueueDpc);

/* Take the first DPC off this processor's queue and copy what its call needs. FALSE if there is none. */
static BOOLEAN
KipNextDpc(PKI_PROCESSOR Self, PKDPC *Dpc, PKDPC Copy)
{
    KIRQL OldIrql = KiRaiseIrql(HIGH_LEVEL);
    BOOLEAN Found;

    KiAcquireRankedLock(&Self->DpcLock, LockRankDpc);
    Found = Self->DpcFirst != NULL;
    if (Found) {
        *Dpc = CONTAINING_RECORD(Self->DpcFirst, KDPC, DpcListEntry);
        *Copy = **Dpc;
        KipUnlinkDpc(Self, *Dpc);
        __atomic_store_n(&(*Dpc)->DpcData, NULL, __ATOMIC_RELEASE);
    }
    KiReleaseRankedLock(&Self->DpcLock);
    KiLowerIrql(OldIrql);
    return Found;
}

/* What a thread's APC-disable counts are, as bug checks show them. */
static ULONG
KipApcDisable(const struct _KTHREAD *Thread)
{
    return ((ULONG)(USHORT)Thread->SpecialApcDisable << 16) | (USHORT)Thread->KernelApcDisable;
}

static VOID
KipCallDpc(PKDPC Dpc, const KDPC *Copy)
{
    struct _KTHREAD *Thread = KiCurrentThread();
    ULONG Before = KipApcDisable(Thread);
    ULONG_PTR Routine = (ULONG_PTR)Copy->DeferredRoutine;
    KIRQL Irql;

    KiCallRoutine((PVOID)Routine, (ULONG_PTR)Dpc, (ULONG_PTR)Copy->DeferredContext, (ULONG_PTR)Copy->SystemArgument1,
                  (ULONG_PTR)Copy->SystemArgument2);
    Irql = HalGetIrql();
    if (Irql != DISPATCH_LEVEL) {
        KeBugCheckEx(IRQL_UNEXPECTED_VALUE, ((ULONG)Irql << 16) | (DISPATCH_LEVEL << 8) | 0xFF, Routine, 0, 0);
    }
    if (KipApcDisable(Thread) != Before) {
        KeBugCheckEx(TIMER_OR_DPC_INVALID, 4, Routine, Before, KipApcDisable(Thread));
    }
}

static VOID
KipDrainDpcs(PVOID Context)
{
    PKI_PROCESSOR Self = Context;
    PKDPC Dpc;
    KDPC Copy;

    while (KipNextDpc(Self, &Dpc, &Copy)) {
        HalChoicePoint(HalChoiceCompletion);
        KipCallDpc(Dpc, &Copy);
    }
}

VOID
KiRetireDpcs(VOID)
{
    PKI_PROCESSOR Self = KiThisProcessor();

    if (Self->DpcDepth == 0) {
        return;
    }
    NT_ASSERT(HalGetIrql() == DISPATCH_LEVEL && !Self->Pcr->DpcRoutineActive);
    KiEnterBoundary();
    Self->Pcr->DpcRoutineActive = TRUE;
    if (Self->DpcStackBase != 0) {
        KiCallOnStack(Self->DpcStackLimit, Self->DpcStackBase, KipDrainDpcs, Self, NULL);
    } else {
        KipDrainDpcs(Self);
    }
    Self->Pcr->DpcRoutineActive = FALSE;
    KiLeaveBoundary();
}

VOID
KiSetDpcStack(ULONG Processor, ULONG_PTR Limit, ULONG_PTR Base)
{
    NT_ASSERT(Processor < HAL_MAXIMUM_PROCESSORS);
    KiProcessors[Processor].DpcStackLimit = Limit;
    __atomic_store_n(&KiProcessors[Processor].DpcStackBase, Base, __ATOMIC_RELEASE);
}

PKDPC
KiFindDpc(ULONG_PTR Start, ULONG_PTR End)
{
    PKDPC Found = NULL;
    PSINGLE_LIST_ENTRY Entry;
    PKI_PROCESSOR Queue;
    PKDPC Dpc;
    KIRQL OldIrql = KiRaiseIrql(HIGH_LEVEL);

    for (Queue = KiProcessors; Queue < KiProcessors + HAL_MAXIMUM_PROCESSORS; Queue += 1) {
        KiAcquireRankedLock(&Queue->DpcLock, LockRankDpc);
        for (Entry = Queue->DpcFirst; Entry != NULL; Entry = Entry->Next) {
            Dpc = CONTAINING_RECORD(Entry, KDPC, DpcListEntry);
            if (((ULONG_PTR)Dpc >= Start && (ULONG_PTR)Dpc < End) ||
                ((ULONG_PTR)Dpc->DeferredRoutine >= Start && (ULONG_PTR)Dpc->DeferredRoutine < End)) {
                Found = Dpc;
            }
        }
        KiReleaseRankedLock(&Queue->DpcLock);
    }
    KiLowerIrql(OldIrql);
    return Found;
}

/* --- Flushing ------------------------------------------------------------------------------------------- */

static VOID NTAPI
KipFlushDpc(struct _KDPC *Dpc, PVOID DeferredContext, PVOID SystemArgument1, PVOID SystemArgument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(SystemArgument1);
    UNREFERENCED_PARAMETER(SystemArgument2);
    KeSetEvent(DeferredContext, 0, FALSE);
}

/*
 * Return when every DPC that was queued on any processor before the call has run: queues are first in, first out, so
 * a DPC of our own at each one's end tells. PASSIVE_LEVEL.
 */
VOID NTAPI
KeFlushQueuedDpcs(VOID)
{
    HAL_AFFINITY Set = KiActiveProcessors();
    KDPC Dpc;
    KEVENT Done;

    KeInitializeEvent(&Done, SynchronizationEvent, FALSE);
    for (; Set != 0; Set &= Set - 1) {
        KeInitializeDpc(&Dpc, KipFlushDpc, &Done);
        KeSetTargetProcessorDpc(&Dpc, (CCHAR)__builtin_ctzll(Set));
        KeInsertQueueDpc(&Dpc, NULL, NULL);
        KeWaitForSingleObject(&Done, Executive, KernelMode, FALSE, NULL);
    }
}
NTEXPORT(KeFlushQueuedDpcs);
