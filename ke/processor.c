/*
 * Processors: their start, the idle loop, interrupts between them, and the software interrupt that
 * does the dispatcher's work.
 *
 * The context a processor starts in becomes its idle thread, which never blocks and runs at DISPATCH_LEVEL
 * only. Requests from other processors are bits in IpiPending; what they ask for is done at the next
 * DISPATCH_LEVEL software interrupt, except calls (KeIpiGenericCall), which are done at once.
 *
 * KiSoftwareInterrupt may return on another processor than it was called on: it is where threads are preempted.
 */
#include "kep.h"
#include "apc.h"
#include <ntexport.h>

KI_PROCESSOR KiProcessors[HAL_MAXIMUM_PROCESSORS];
PHAL_LOADER_BLOCK KiLoaderBlock;

/* The call that KeIpiGenericCall makes everywhere at the same time. */
static struct {
    volatile UCHAR Busy;    /* (A) one call at a time */
    PVOID Function;
    ULONG_PTR Argument;
    ULONG Count;            /* processors that take part */
    volatile ULONG Arrived; /* (A) */
    volatile ULONG Left;    /* (A) */
} KiCall;

/* This processor's record and idle thread. At HIGH_LEVEL, interrupts off. */
static VOID
KipInitializeProcessor(PKPCR Pcr)
{
    PKI_PROCESSOR Self = &KiProcessors[Pcr->Number];

    Self->Pcr = Pcr;
    Self->Number = Pcr->Number;
    Pcr->KiPrivate = Self;
    KiInitializeIdleThread(Self);
}

VOID
KiInitializeKernel(PHAL_LOADER_BLOCK LoaderBlock)
{
    PKPCR Pcr = KeGetPcr();

    KiLoaderBlock = LoaderBlock;
    KiInitializeReadyQueues();
    KiInitializeTimers();
    KiSystemProcess.Header.Type = KiProcess;
    InitializeListHead(&KiSystemProcess.Header.WaitListHead);
    InitializeListHead(&KiSystemProcess.ThreadListHead);
    KiSystemProcess.RootFrame = LoaderBlock->RootFrame;
    KipInitializeProcessor(Pcr);
    KiStartedProcessors = 1ull << Pcr->Number;
    KiInitializeClock();
    HalSetIrql(DISPATCH_LEVEL);
    HalRestoreInterrupts(TRUE);
}

/* The machine enters the core here on every processor but the first, at HIGH_LEVEL, interrupts off. */
VOID DECLSPEC_NORETURN
KiProcessorStartup(PKPCR Pcr)
{
    KipInitializeProcessor(Pcr);
    HalSetIrql(DISPATCH_LEVEL);
    HalRestoreInterrupts(TRUE);
    KiLockDispatcherAtDispatch();
    KiStartedProcessors |= 1ull << Pcr->Number;
    KiUnlockDispatcherFromDispatch();
    KiIdleLoop();
}

/* Work that interrupts left for DISPATCH_LEVEL. */
static VOID
KipDispatchWork(PKI_PROCESSOR Self)
{
    if (__atomic_exchange_n(&Self->ClockDue, FALSE, __ATOMIC_ACQ_REL)) {
        KiClockDpc();
    }
    KiRetireDpcs();
}

VOID DECLSPEC_NORETURN
KiIdleLoop(VOID)
{
    PKI_PROCESSOR Self = KiThisProcessor();

    NT_ASSERT(KiCurrentThread()->Idle && HalGetIrql() == DISPATCH_LEVEL);
    for (;;) {
        /* Nobody lowers IRQL here, so what is requested is served by hand. */
        __atomic_fetch_and(&Self->Pcr->SoftwareInterrupts, ~(1u << DISPATCH_LEVEL | 1u << APC_LEVEL),
                           __ATOMIC_ACQ_REL);
        KipDispatchWork(Self);
        KiLockDispatcherAtDispatch();
        KiPreemptLocked(FALSE);
        KiArmClockLocked();
        KiUnlockDispatcherFromDispatch();
        if (__atomic_load_n(&Self->Pcr->SoftwareInterrupts, __ATOMIC_ACQUIRE) == 0) {
            HalIdle();
        }
    }
}

/* The machine's software interrupt, at Irql. */
VOID
KiSoftwareInterrupt(KIRQL Irql)
{
    PKI_PROCESSOR Self;

    if (Irql == APC_LEVEL) {
        KiDeliverApcs();
        return;
    }
    Self = KiThisProcessor();
    KipDispatchWork(Self);
    if (Self->Reschedule) {
        KiLockDispatcherAtDispatch();
        KiPreemptLocked(FALSE);
        KiUnlockDispatcherFromDispatch();
    }
}

HAL_AFFINITY
KiActiveProcessors(VOID)
{
    return __atomic_load_n(&KiStartedProcessors, __ATOMIC_ACQUIRE);
}

BOOLEAN
KiWaitForProcessors(ULONG Count)
{
    ULONG64 End = HalQueryInterruptTime() + 10 * 10000000ull;

    while ((ULONG)__builtin_popcountll(KiActiveProcessors()) < Count) {
        if (HalQueryInterruptTime() > End) {
            return FALSE;
        }
        HalPause();
    }
    return TRUE;
}

/* --- Between processors ----------------------------------------------------------------------------------- */

VOID
KiSendIpi(HAL_AFFINITY Targets, ULONG64 Request)
{
    HAL_AFFINITY Set;

    for (Set = Targets; Set != 0; Set &= Set - 1) {
        __atomic_fetch_or(&KiProcessors[__builtin_ctzll(Set)].IpiPending, Request, __ATOMIC_RELEASE);
    }
    if (Targets != 0) {
        HalRequestIpi(Targets);
    }
}

static VOID
KipPauseHere(VOID)
{
    HalChoicePoint(HalChoiceLock);
    HalPause();
}

/* Take part in the call: everybody begins when all have arrived. */
static ULONG_PTR
KipJoinCall(VOID)
{
    ULONG_PTR Result;

    __atomic_fetch_add(&KiCall.Arrived, 1, __ATOMIC_ACQ_REL);
    while (__atomic_load_n(&KiCall.Arrived, __ATOMIC_ACQUIRE) < KiCall.Count) {
        KipPauseHere();
    }
    Result = KiCallRoutine(KiCall.Function, KiCall.Argument, 0, 0, 0);
    __atomic_fetch_add(&KiCall.Left, 1, __ATOMIC_ACQ_REL);
    return Result;
}

/* The machine's interprocessor interrupt, at IPI_LEVEL. */
VOID
KiIpiInterrupt(PKTRAP_FRAME TrapFrame)
{
    PKI_PROCESSOR Self = KiThisProcessor();
    ULONG64 Pending = __atomic_exchange_n(&Self->IpiPending, 0, __ATOMIC_ACQ_REL);

    UNREFERENCED_PARAMETER(TrapFrame);
    if ((Pending & (KI_IPI_RESCHEDULE | KI_IPI_DPC)) != 0) {
        HalRequestSoftwareInterrupt(DISPATCH_LEVEL);
    }
    if ((Pending & KI_IPI_APC) != 0) {
        HalRequestSoftwareInterrupt(APC_LEVEL);
    }
    if ((Pending & KI_IPI_CALL) != 0) {
        KiEnterBoundary();
        KipJoinCall();
        KiLeaveBoundary();
    }
}

/*
 * Call BroadcastFunction(Context) on all processors at the same time, at IPI_LEVEL, and return what it returned
 * here when all have done so. IRQL < IPI_LEVEL, no spin lock held that another processor may want at DISPATCH_LEVEL or
 * above with interrupts off.
 */
ULONG_PTR NTAPI
KeIpiGenericCall(PKIPI_BROADCAST_WORKER BroadcastFunction, ULONG_PTR Context)
{
    KIRQL OldIrql = KiRaiseIrqlToDispatch();
    HAL_AFFINITY Others;
    ULONG_PTR Result;

    while (__atomic_exchange_n(&KiCall.Busy, 1, __ATOMIC_ACQUIRE) != 0) {
        KipPauseHere();
    }
    KiRaiseIrql(IPI_LEVEL);
    Others = KiActiveProcessors() & ~(1ull << PcrRead32(Number));
    KiCall.Function = (PVOID)BroadcastFunction;
    KiCall.Argument = Context;
    KiCall.Count = (ULONG)__builtin_popcountll(Others) + 1;
    KiCall.Left = 0;
    __atomic_store_n(&KiCall.Arrived, 0, __ATOMIC_RELEASE);
    KiSendIpi(Others, KI_IPI_CALL);
    Result = KipJoinCall();
    while (__atomic_load_n(&KiCall.Left, __ATOMIC_ACQUIRE) < KiCall.Count) {
        KipPauseHere();
    }
    __atomic_store_n(&KiCall.Busy, 0, __ATOMIC_RELEASE);
    KiLowerIrql(OldIrql);
    return Result;
}
NTEXPORT(KeIpiGenericCall);

/* --- What drivers may ask ----------------------------------------------------------------------------------- */

/* Processors that run, of group 0 or of all groups; 0 for another group. Any IRQL. */
ULONG NTAPI
KeQueryActiveProcessorCountEx(USHORT GroupNumber)
{
    if (GroupNumber != 0 && GroupNumber != ALL_PROCESSOR_GROUPS) {
        return 0;
    }
    return (ULONG)__builtin_popcountll(KiActiveProcessors());
}
NTEXPORT(KeQueryActiveProcessorCountEx);

/* The same for those that exist. */
ULONG NTAPI
KeQueryMaximumProcessorCountEx(USHORT GroupNumber)
{
    return GroupNumber == 0 || GroupNumber == ALL_PROCESSOR_GROUPS ? HalProcessorCount() : 0;
}
NTEXPORT(KeQueryMaximumProcessorCountEx);

ULONG NTAPI
KeQueryMaximumProcessorCount(VOID)
{
    return HalProcessorCount();
}
NTEXPORT(KeQueryMaximumProcessorCount);

/* Processors that run, with their set if ActiveProcessors is given. Any IRQL. */
ULONG NTAPI
KeQueryActiveProcessorCount(PKAFFINITY ActiveProcessors)
{
    HAL_AFFINITY Set = KiActiveProcessors();

    if (ActiveProcessors != NULL) {
        *ActiveProcessors = Set;
    }
    return (ULONG)__builtin_popcountll(Set);
}
NTEXPORT(KeQueryActiveProcessorCount);

KAFFINITY NTAPI
KeQueryActiveProcessors(VOID)
{
    return KiActiveProcessors();
}
NTEXPORT(KeQueryActiveProcessors);

USHORT NTAPI
KeQueryActiveGroupCount(VOID)
{
    return 1;
}
NTEXPORT(KeQueryActiveGroupCount);

/* Number of the processor this runs on, in all and in its group. Any IRQL; steady at DISPATCH_LEVEL and above. */
ULONG NTAPI
KeGetCurrentProcessorNumberEx(PPROCESSOR_NUMBER ProcNumber)
{
    ULONG Number = PcrRead32(Number);

    if (ProcNumber != NULL) {
        ProcNumber->Group = 0;
        ProcNumber->Number = (UCHAR)Number;
        ProcNumber->Reserved = 0;
    }
    return Number;
}
NTEXPORT(KeGetCurrentProcessorNumberEx);

ULONG NTAPI
KeGetCurrentProcessorNumber(VOID)
{
    return PcrRead32(Number);
}
NTEXPORT(KeGetCurrentProcessorNumber);

/* STATUS_INVALID_PARAMETER for an index that no processor has. Any IRQL. */
NTSTATUS NTAPI
KeGetProcessorNumberFromIndex(ULONG ProcIndex, PPROCESSOR_NUMBER ProcNumber)
{
    if (ProcIndex >= HalProcessorCount()) {
        return STATUS_INVALID_PARAMETER;
    }
    ProcNumber->Group = 0;
    ProcNumber->Number = (UCHAR)ProcIndex;
    ProcNumber->Reserved = 0;
    return STATUS_SUCCESS;
}
NTEXPORT(KeGetProcessorNumberFromIndex);

/* INVALID_PROCESSOR_INDEX for a number that no processor has. Any IRQL. */
ULONG NTAPI
KeGetProcessorIndexFromNumber(PPROCESSOR_NUMBER ProcNumber)
{
    if (ProcNumber->Group != 0 || ProcNumber->Reserved != 0 || ProcNumber->Number >= HalProcessorCount()) {
        return INVALID_PROCESSOR_INDEX;
    }
    return ProcNumber->Number;
}
NTEXPORT(KeGetProcessorIndexFromNumber);

/* NUMA node of the processor this runs on. Any IRQL. */
USHORT NTAPI
KeGetCurrentNodeNumber(VOID)
{
    return (USHORT)PcrRead32(Node);
}
NTEXPORT(KeGetCurrentNodeNumber);

/* The highest node that a processor or a run of memory has. Any IRQL. */
USHORT NTAPI
KeQueryHighestNodeNumber(VOID)
{
    ULONG Highest = 0;
    ULONG Index;

    for (Index = 0; Index < HalProcessorCount(); Index += 1) {
        Highest = MAX(Highest, HalProcessorPcr(Index)->Node);
    }
    for (Index = 0; Index < KiLoaderBlock->RunCount; Index += 1) {
        Highest = MAX(Highest, KiLoaderBlock->Runs[Index].Node);
    }
    return (USHORT)Highest;
}
NTEXPORT(KeQueryHighestNodeNumber);

/* The running processors of a node: their set and count, each if asked for. Any IRQL. */
VOID NTAPI
KeQueryNodeActiveAffinity(USHORT NodeNumber, PGROUP_AFFINITY Affinity, PUSHORT Count)
{
    HAL_AFFINITY Set = 0;
    HAL_AFFINITY Rest = KiActiveProcessors();
    ULONG Number;

    for (; Rest != 0; Rest &= Rest - 1) {
        Number = (ULONG)__builtin_ctzll(Rest);
        if (KiProcessors[Number].Pcr->Node == NodeNumber) {
            Set |= 1ull << Number;
        }
    }
    if (Affinity != NULL) {
        RtlZeroMemory(Affinity, sizeof(*Affinity));
        Affinity->Mask = Set;
    }
    if (Count != NULL) {
        *Count = (USHORT)__builtin_popcountll(Set);
    }
}
NTEXPORT(KeQueryNodeActiveAffinity);

/* Bytes that two processors' data should be apart. Any IRQL. */
ULONG NTAPI
KeGetRecommendedSharedDataAlignment(VOID)
{
    return SYSTEM_CACHE_ALIGNMENT_SIZE;
}
NTEXPORT(KeGetRecommendedSharedDataAlignment);
