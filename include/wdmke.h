/*
 * wdmke.h - the kernel proper: IRQL, spin locks, dispatcher objects, waits, DPCs, time. Part of
 * wdm.h.
 *
 * Dispatcher objects lie in nonpaged memory that the driver supplies; an initialized object is used
 * through these routines only. "max" is the highest IRQL at which a routine may be called. A wait
 * with a time-out other than zero needs IRQL <= APC_LEVEL; a wait with a zero time-out
 * may be made at DISPATCH_LEVEL. Due times and time-outs count 100 ns units: negative is relative
 * to now, positive is absolute system time.
 *
 * Where a routine is inline in a driver (register reads and shared user data) the core has a
 * function of that name.
 */
#ifndef NTMM_WDMKE_H
#define NTMM_WDMKE_H

#include "bugcodes.h"
#include "ntdef.h"
#include "ntstatus.h"
#include "wdmintl.h"
#include "wdmrtl.h"

EXTERN_C_START

typedef struct _KTHREAD *PKTHREAD, *PRKTHREAD;
typedef struct _KPROCESS *PKPROCESS, *PRKPROCESS;
typedef struct _ETHREAD *PETHREAD;
typedef struct _EPROCESS *PEPROCESS;
typedef struct _KINTERRUPT *PKINTERRUPT, *PRKINTERRUPT;
typedef struct _KPCR *PKPCR;
typedef struct _KPRCB *PKPRCB;
typedef struct _KTRAP_FRAME *PKTRAP_FRAME;
typedef struct _CONTEXT *PCONTEXT;
typedef struct _EXCEPTION_RECORD *PEXCEPTION_RECORD;

/* ---- IRQL ---- */

#define PASSIVE_LEVEL 0
#define LOW_LEVEL 0
#define APC_LEVEL 1
#define DISPATCH_LEVEL 2
#define CMCI_LEVEL 5
#define CLOCK_LEVEL 13
#define IPI_LEVEL 14
#define DRS_LEVEL 14
#define POWER_LEVEL 14
#define PROFILE_LEVEL 15
#define HIGH_LEVEL 15

#ifdef _WIN32
FORCEINLINE KIRQL
KeGetCurrentIrql(VOID)
{
    ULONG64 Irql;

    __asm__ __volatile__("mov %%cr8, %0" : "=r"(Irql));
    return (KIRQL)Irql;
}

FORCEINLINE VOID
KeLowerIrql(_In_ KIRQL NewIrql)
{
    __asm__ __volatile__("mov %0, %%cr8" : : "r"((ULONG64)NewIrql) : "memory");
}

FORCEINLINE KIRQL
KfRaiseIrql(_In_ KIRQL NewIrql)
{
    KIRQL OldIrql = KeGetCurrentIrql();

    __asm__ __volatile__("mov %0, %%cr8" : : "r"((ULONG64)NewIrql) : "memory");
    return OldIrql;
}

FORCEINLINE KIRQL
KeRaiseIrqlToDpcLevel(VOID)
{
    return KfRaiseIrql(DISPATCH_LEVEL);
}
#else
/* The IRQL of the current processor. */
KIRQL NTAPI KeGetCurrentIrql(VOID);

/* Lower IRQL to what it was before it was raised. Pending interrupts, DPCs and APCs run first. */
VOID NTAPI KeLowerIrql(_In_ KIRQL NewIrql);

/* Raise IRQL (0x9 if it is higher already); the old one is returned. */
KIRQL NTAPI KfRaiseIrql(_In_ KIRQL NewIrql);
KIRQL NTAPI KeRaiseIrqlToDpcLevel(VOID);
/* Raise to where no other thread of this processor runs: DISPATCH_LEVEL here. */
KIRQL NTAPI KeRaiseIrqlToSynchLevel(VOID);
#endif
#define KeRaiseIrql(NewIrql, OldIrql) (*(OldIrql) = KfRaiseIrql(NewIrql))

/* Stops where pageable code runs at DISPATCH_LEVEL or above: in checked drivers, and in the checked
 * core, whose NT_ASSERT is in ke/ke.h. */
#ifdef _WIN32
#define PAGED_CODE() ASSERT(KeGetCurrentIrql() <= APC_LEVEL)
#else
#define PAGED_CODE() NT_ASSERT(KeGetCurrentIrql() <= APC_LEVEL)
#endif
#define PAGED_CODE_LOCKED() ((void)0)

/* ---- Processors ---- */

#define ALL_PROCESSOR_GROUPS 0xffff
#define MAXIMUM_PROC_PER_GROUP 64

/* Number of processors that run, in a group or in all. Any IRQL. */
NTKERNELAPI ULONG NTAPI KeQueryActiveProcessorCountEx(_In_ USHORT GroupNumber);
NTKERNELAPI ULONG NTAPI KeQueryMaximumProcessorCountEx(_In_ USHORT GroupNumber);

/* The same in group 0, with a bit for each processor if asked. */
NTKERNELAPI ULONG NTAPI KeQueryActiveProcessorCount(_Out_opt_ PKAFFINITY ActiveProcessors);
NTKERNELAPI KAFFINITY NTAPI KeQueryActiveProcessors(VOID);
NTKERNELAPI USHORT NTAPI KeQueryActiveGroupCount(VOID);

/* System-wide index of the current processor; its group and number if asked. Any IRQL; below
 * DISPATCH_LEVEL the answer may be stale at once. */
NTKERNELAPI ULONG NTAPI KeGetCurrentProcessorNumberEx(_Out_opt_ PPROCESSOR_NUMBER ProcNumber);
#ifdef _WIN32
FORCEINLINE ULONG
KeGetCurrentProcessorNumber(VOID)
{
    return KeGetCurrentProcessorNumberEx(NULL);
}
#else
ULONG NTAPI KeGetCurrentProcessorNumber(VOID);
#endif
#define KeGetCurrentProcessorIndex() KeGetCurrentProcessorNumberEx(NULL)

/* From index to number (STATUS_INVALID_PARAMETER) and back (INVALID_PROCESSOR_INDEX). */
#define INVALID_PROCESSOR_INDEX 0xffffffff
NTKERNELAPI NTSTATUS NTAPI KeGetProcessorNumberFromIndex(_In_ ULONG ProcIndex,
                                                         _Out_ PPROCESSOR_NUMBER ProcNumber);
NTKERNELAPI ULONG NTAPI KeGetProcessorIndexFromNumber(_In_ PPROCESSOR_NUMBER ProcNumber);

/* Run the current thread on these processors only; Revert undoes it. max DISPATCH (new affinity
 * takes effect when IRQL falls below). */
NTKERNELAPI KAFFINITY NTAPI KeSetSystemAffinityThreadEx(_In_ KAFFINITY Affinity);
NTKERNELAPI VOID NTAPI KeRevertToUserAffinityThreadEx(_In_ KAFFINITY Affinity);
NTKERNELAPI VOID NTAPI KeSetSystemGroupAffinityThread(_In_ PGROUP_AFFINITY Affinity,
                                                      _Out_opt_ PGROUP_AFFINITY PreviousAffinity);
NTKERNELAPI VOID NTAPI KeRevertToUserGroupAffinityThread(_In_ PGROUP_AFFINITY PreviousAffinity);

/* Call a routine on all processors at the same time, at IPI_LEVEL; returns what it returned here.
 * max IPI_LEVEL - 1. */
typedef ULONG_PTR NTAPI KIPI_BROADCAST_WORKER(_In_ ULONG_PTR Argument);
typedef KIPI_BROADCAST_WORKER *PKIPI_BROADCAST_WORKER;
NTKERNELAPI ULONG_PTR NTAPI KeIpiGenericCall(_In_ PKIPI_BROADCAST_WORKER BroadcastFunction,
                                             _In_ ULONG_PTR Context);

/* NUMA: the current processor's node, the highest there is, a node's running processors. Any
 * IRQL. */
NTKERNELAPI USHORT NTAPI KeGetCurrentNodeNumber(VOID);
NTKERNELAPI USHORT NTAPI KeQueryHighestNodeNumber(VOID);
NTKERNELAPI VOID NTAPI KeQueryNodeActiveAffinity(_In_ USHORT NodeNumber,
                                                 _Out_opt_ PGROUP_AFFINITY Affinity,
                                                 _Out_opt_ PUSHORT Count);

/* Processors that exist; bytes that two processors' data should be apart. Any IRQL. */
NTKERNELAPI ULONG NTAPI KeQueryMaximumProcessorCount(VOID);
NTKERNELAPI ULONG NTAPI KeGetRecommendedSharedDataAlignment(VOID);

/* ---- Bug check and raised statuses ---- */

/* Stop the system with a code and what the code's document says about the parameters. */
NTKERNELAPI DECLSPEC_NORETURN VOID NTAPI KeBugCheckEx(_In_ ULONG BugCheckCode,
                                                      _In_ ULONG_PTR BugCheckParameter1,
                                                      _In_ ULONG_PTR BugCheckParameter2,
                                                      _In_ ULONG_PTR BugCheckParameter3,
                                                      _In_ ULONG_PTR BugCheckParameter4);
NTKERNELAPI DECLSPEC_NORETURN VOID NTAPI KeBugCheck(_In_ ULONG BugCheckCode);

/* Raise an exception in the caller; nobody who handles it means bug check 0x1E. max APC. */
NTKERNELAPI DECLSPEC_NORETURN VOID NTAPI ExRaiseStatus(_In_ NTSTATUS Status);

/* ---- Spin locks: raise to DISPATCH_LEVEL, hold for microseconds, touch no pageable memory ---- */

typedef ULONG_PTR KSPIN_LOCK, *PKSPIN_LOCK;

typedef struct _KSPIN_LOCK_QUEUE {
    struct _KSPIN_LOCK_QUEUE *volatile Next;
    PKSPIN_LOCK volatile Lock;
} KSPIN_LOCK_QUEUE, *PKSPIN_LOCK_QUEUE;

/* A waiter of an in-stack queued spin lock; lives on the waiter's stack. */
typedef struct _KLOCK_QUEUE_HANDLE {
    KSPIN_LOCK_QUEUE LockQueue;
    KIRQL OldIrql;
} KLOCK_QUEUE_HANDLE, *PKLOCK_QUEUE_HANDLE;
C_ASSERT(sizeof(KSPIN_LOCK) == 8 && sizeof(KLOCK_QUEUE_HANDLE) == 0x18);

#ifdef _WIN32
FORCEINLINE VOID
KeInitializeSpinLock(_Out_ PKSPIN_LOCK SpinLock)
{
    *(volatile KSPIN_LOCK *)SpinLock = 0;
}
#else
/* Make a free spin lock. Any IRQL. */
VOID NTAPI KeInitializeSpinLock(_Out_ PKSPIN_LOCK SpinLock);
#endif

/* Raise IRQL to DISPATCH_LEVEL, take the lock; the old IRQL is returned for the release. */
NTKERNELAPI KIRQL NTAPI KeAcquireSpinLockRaiseToDpc(_Inout_ PKSPIN_LOCK SpinLock);
#define KeAcquireSpinLock(SpinLock, OldIrql) (*(OldIrql) = KeAcquireSpinLockRaiseToDpc(SpinLock))
NTKERNELAPI VOID NTAPI KeReleaseSpinLock(_Inout_ PKSPIN_LOCK SpinLock, _In_ KIRQL NewIrql);

/* The same for a caller at DISPATCH_LEVEL or above already. */
NTKERNELAPI VOID NTAPI KeAcquireSpinLockAtDpcLevel(_Inout_ PKSPIN_LOCK SpinLock);
NTKERNELAPI VOID NTAPI KeReleaseSpinLockFromDpcLevel(_Inout_ PKSPIN_LOCK SpinLock);

/* Take the lock if it is free, at DISPATCH_LEVEL; TRUE if taken. Test only looks. */
NTKERNELAPI BOOLEAN NTAPI KeTryToAcquireSpinLockAtDpcLevel(_Inout_ PKSPIN_LOCK SpinLock);
NTKERNELAPI BOOLEAN NTAPI KeTestSpinLock(_In_ PKSPIN_LOCK SpinLock);

/* For code that may run in a threaded DPC: raises only if needed. */
NTKERNELAPI KIRQL NTAPI KeAcquireSpinLockForDpc(_Inout_ PKSPIN_LOCK SpinLock);
NTKERNELAPI VOID NTAPI KeReleaseSpinLockForDpc(_Inout_ PKSPIN_LOCK SpinLock, _In_ KIRQL OldIrql);

/* Fair spin locks: waiters queue in handles on their stacks. A lock is used this way or the
 * ordinary way, never both. */
NTKERNELAPI VOID NTAPI KeAcquireInStackQueuedSpinLock(_Inout_ PKSPIN_LOCK SpinLock,
                                                      _Out_ PKLOCK_QUEUE_HANDLE LockHandle);
NTKERNELAPI VOID NTAPI KeReleaseInStackQueuedSpinLock(_In_ PKLOCK_QUEUE_HANDLE LockHandle);
NTKERNELAPI VOID NTAPI KeAcquireInStackQueuedSpinLockAtDpcLevel(
    _Inout_ PKSPIN_LOCK SpinLock, _Out_ PKLOCK_QUEUE_HANDLE LockHandle);
NTKERNELAPI VOID NTAPI
KeReleaseInStackQueuedSpinLockFromDpcLevel(_In_ PKLOCK_QUEUE_HANDLE LockHandle);
NTKERNELAPI VOID NTAPI KeAcquireInStackQueuedSpinLockForDpc(_Inout_ PKSPIN_LOCK SpinLock,
                                                            _Out_ PKLOCK_QUEUE_HANDLE LockHandle);
NTKERNELAPI VOID NTAPI KeReleaseInStackQueuedSpinLockForDpc(_In_ PKLOCK_QUEUE_HANDLE LockHandle);

/* ---- Dispatcher objects ---- */

typedef struct _DISPATCHER_HEADER {
    union {
        LONG volatile Lock;
        struct {
            UCHAR Type; /* KOBJECTS */
            UCHAR Signalling;
            UCHAR Size; /* in LONGs */
            UCHAR Reserved1;
        };
        struct {
            UCHAR TimerType;
            UCHAR TimerControlFlags;
            UCHAR Hand;
            UCHAR TimerMiscFlags;
        };
    };
    LONG volatile SignalState;
    LIST_ENTRY WaitListHead; /* KWAIT_BLOCK.WaitListEntry */
} DISPATCHER_HEADER, *PDISPATCHER_HEADER;
C_ASSERT(sizeof(DISPATCHER_HEADER) == 0x18);
C_ASSERT(FIELD_OFFSET(DISPATCHER_HEADER, SignalState) == 4);
C_ASSERT(FIELD_OFFSET(DISPATCHER_HEADER, WaitListHead) == 8);

typedef struct _KEVENT {
    DISPATCHER_HEADER Header;
} KEVENT, *PKEVENT, *PRKEVENT;
C_ASSERT(sizeof(KEVENT) == 0x18);

typedef struct _KSEMAPHORE {
    DISPATCHER_HEADER Header;
    LONG Limit;
} KSEMAPHORE, *PKSEMAPHORE, *PRKSEMAPHORE;
C_ASSERT(sizeof(KSEMAPHORE) == 0x20 && FIELD_OFFSET(KSEMAPHORE, Limit) == 0x18);

typedef struct _KMUTANT {
    DISPATCHER_HEADER Header;
    LIST_ENTRY MutantListEntry;
    PKTHREAD OwnerThread;
    union {
        UCHAR MutantFlags;
        struct {
            UCHAR Abandoned : 1;
            UCHAR Spare1 : 7;
        };
    };
    UCHAR ApcDisable;
} KMUTANT, *PKMUTANT, *PRKMUTANT, KMUTEX, *PKMUTEX, *PRKMUTEX;
C_ASSERT(sizeof(KMUTANT) == 0x38 && FIELD_OFFSET(KMUTANT, MutantListEntry) == 0x18);
C_ASSERT(FIELD_OFFSET(KMUTANT, OwnerThread) == 0x28 && FIELD_OFFSET(KMUTANT, ApcDisable) == 0x31);

typedef struct _KTIMER {
    DISPATCHER_HEADER Header;
    ULARGE_INTEGER DueTime;
    LIST_ENTRY TimerListEntry;
    struct _KDPC *Dpc;
    ULONG Processor;
    ULONG Period; /* milliseconds, 0: once */
} KTIMER, *PKTIMER, *PRKTIMER;
C_ASSERT(sizeof(KTIMER) == 0x40 && FIELD_OFFSET(KTIMER, DueTime) == 0x18);
C_ASSERT(FIELD_OFFSET(KTIMER, Dpc) == 0x30 && FIELD_OFFSET(KTIMER, Period) == 0x3c);

typedef struct _KGATE {
    DISPATCHER_HEADER Header;
} KGATE, *PKGATE;

typedef struct _KWAIT_BLOCK {
    LIST_ENTRY WaitListEntry;
    UCHAR WaitType;
    volatile UCHAR BlockState;
    USHORT WaitKey;
    LONG SpareLong;
    union {
        PKTHREAD Thread;
        struct _KQUEUE *NotificationQueue;
    };
    PVOID Object;
    PVOID SparePtr;
} KWAIT_BLOCK, *PKWAIT_BLOCK, *PRKWAIT_BLOCK;
C_ASSERT(sizeof(KWAIT_BLOCK) == 0x30 && FIELD_OFFSET(KWAIT_BLOCK, WaitType) == 0x10);
C_ASSERT(FIELD_OFFSET(KWAIT_BLOCK, Thread) == 0x18 && FIELD_OFFSET(KWAIT_BLOCK, Object) == 0x20);

#define THREAD_WAIT_OBJECTS 3   /* a wait on so many needs no wait blocks from the caller */
#define MAXIMUM_WAIT_OBJECTS 64 /* one wait can name so many */

typedef enum _KWAIT_REASON {
    Executive,
    FreePage,
    PageIn,
    PoolAllocation,
    DelayExecution,
    Suspended,
    UserRequest,
    WrExecutive,
    WrFreePage,
    WrPageIn,
    WrPoolAllocation,
    WrDelayExecution,
    WrSuspended,
    WrUserRequest,
    WrEventPair,
    WrQueue,
    WrLpcReceive,
    WrLpcReply,
    WrVirtualMemory,
    WrPageOut,
    WrRendezvous,
    WrKeyedEvent,
    WrTerminated,
    WrProcessInSwap,
    WrCpuRateControl,
    WrCalloutStack,
    WrKernel,
    WrResource,
    WrPushLock,
    WrMutex,
    WrQuantumEnd,
    WrDispatchInt,
    WrPreempted,
    WrYieldExecution,
    WrFastMutex,
    WrGuardedMutex,
    WrRundown,
    WrAlertByThreadId,
    WrDeferredPreempt,
    WrPhysicalFault,
    WrIoRing,
    WrMdlCache,
    WrRcu,
    MaximumWaitReason
} KWAIT_REASON;

/* Boosts that a caller gives to the thread it wakes. */
#define IO_NO_INCREMENT 0
#define EVENT_INCREMENT 1
#define SEMAPHORE_INCREMENT 1
#define MUTANT_INCREMENT 1
#define LOW_PRIORITY 0
#define LOW_REALTIME_PRIORITY 16
#define HIGH_PRIORITY 31
#define MAXIMUM_PRIORITY 32

/* Events. Set, Reset and Read return the state before (non-zero: signaled). max DISPATCH; Set with
 * Wait TRUE, which must be followed at once by a wait: APC. */
NTKERNELAPI VOID NTAPI KeInitializeEvent(_Out_ PRKEVENT Event, _In_ EVENT_TYPE Type,
                                         _In_ BOOLEAN State);
NTKERNELAPI LONG NTAPI KeSetEvent(_Inout_ PRKEVENT Event, _In_ KPRIORITY Increment,
                                  _In_ BOOLEAN Wait);
NTKERNELAPI LONG NTAPI KePulseEvent(_Inout_ PRKEVENT Event, _In_ KPRIORITY Increment,
                                    _In_ BOOLEAN Wait);
NTKERNELAPI LONG NTAPI KeResetEvent(_Inout_ PRKEVENT Event);
NTKERNELAPI VOID NTAPI KeClearEvent(_Inout_ PRKEVENT Event);
NTKERNELAPI LONG NTAPI KeReadStateEvent(_In_ PRKEVENT Event);

/* Semaphores. Release returns the count before; it raises STATUS_SEMAPHORE_LIMIT_EXCEEDED when the
 * count would pass Limit. max DISPATCH. */
NTKERNELAPI VOID NTAPI KeInitializeSemaphore(_Out_ PRKSEMAPHORE Semaphore, _In_ LONG Count,
                                             _In_ LONG Limit);
NTKERNELAPI LONG NTAPI KeReleaseSemaphore(_Inout_ PRKSEMAPHORE Semaphore, _In_ KPRIORITY Increment,
                                          _In_ LONG Adjustment, _In_ BOOLEAN Wait);
NTKERNELAPI LONG NTAPI KeReadStateSemaphore(_In_ PRKSEMAPHORE Semaphore);

/* Mutexes: owned recursively, disable normal kernel APCs while owned. Release raises
 * STATUS_MUTANT_NOT_OWNED for a thread that does not own it. Level is not used. max DISPATCH. */
NTKERNELAPI VOID NTAPI KeInitializeMutex(_Out_ PRKMUTEX Mutex, _In_ ULONG Level);
NTKERNELAPI LONG NTAPI KeReleaseMutex(_Inout_ PRKMUTEX Mutex, _In_ BOOLEAN Wait);
NTKERNELAPI LONG NTAPI KeReadStateMutex(_In_ PRKMUTEX Mutex);

/* Wait until one object, or any or all of Count, are signaled. STATUS_SUCCESS or STATUS_WAIT_0 + n,
 * STATUS_ABANDONED_WAIT_0 + n, STATUS_TIMEOUT, STATUS_ALERTED, STATUS_USER_APC. No Timeout waits
 * for ever, a zero one only looks. More than THREAD_WAIT_OBJECTS need WaitBlockArray. */
NTKERNELAPI NTSTATUS NTAPI KeWaitForSingleObject(_In_ PVOID Object, _In_ KWAIT_REASON WaitReason,
                                                 _In_ KPROCESSOR_MODE WaitMode,
                                                 _In_ BOOLEAN Alertable,
                                                 _In_opt_ PLARGE_INTEGER Timeout);
NTKERNELAPI NTSTATUS NTAPI KeWaitForMultipleObjects(
    _In_ ULONG Count, _In_reads_(Count) PVOID Object[], _In_ WAIT_TYPE WaitType,
    _In_ KWAIT_REASON WaitReason, _In_ KPROCESSOR_MODE WaitMode, _In_ BOOLEAN Alertable,
    _In_opt_ PLARGE_INTEGER Timeout, _Out_opt_ PKWAIT_BLOCK WaitBlockArray);
#define KeWaitForMutexObject KeWaitForSingleObject

/* Sleep. STATUS_SUCCESS, STATUS_ALERTED or STATUS_USER_APC. max APC. */
NTKERNELAPI NTSTATUS NTAPI KeDelayExecutionThread(_In_ KPROCESSOR_MODE WaitMode,
                                                  _In_ BOOLEAN Alertable,
                                                  _In_ PLARGE_INTEGER Interval);

/* ---- Deferred procedure calls: run at DISPATCH_LEVEL on the processor that queued them ---- */

struct _KDPC;
typedef VOID NTAPI KDEFERRED_ROUTINE(_In_ struct _KDPC *Dpc, _In_opt_ PVOID DeferredContext,
                                     _In_opt_ PVOID SystemArgument1,
                                     _In_opt_ PVOID SystemArgument2);
typedef KDEFERRED_ROUTINE *PKDEFERRED_ROUTINE;

typedef enum _KDPC_IMPORTANCE {
    LowImportance,
    MediumImportance,
    HighImportance,
    MediumHighImportance
} KDPC_IMPORTANCE;

typedef struct _KDPC {
    union {
        ULONG TargetInfoAsUlong;
        struct {
            UCHAR Type;
            UCHAR Importance;
            volatile USHORT Number; /* target processor */
        };
    };
    SINGLE_LIST_ENTRY DpcListEntry;
    KAFFINITY ProcessorHistory;
    PKDEFERRED_ROUTINE DeferredRoutine;
    PVOID DeferredContext;
    PVOID SystemArgument1;
    PVOID SystemArgument2;
    PVOID DpcData; /* the queue it is on, NULL if on none */
} KDPC, *PKDPC, *PRKDPC;
C_ASSERT(sizeof(KDPC) == 0x40 && FIELD_OFFSET(KDPC, DeferredRoutine) == 0x18);
C_ASSERT(FIELD_OFFSET(KDPC, DpcListEntry) == 8 && FIELD_OFFSET(KDPC, DpcData) == 0x38);

/* Make a DPC (a threaded one runs at PASSIVE_LEVEL where that is enabled). Any IRQL. */
NTKERNELAPI VOID NTAPI KeInitializeDpc(_Out_ PRKDPC Dpc, _In_ PKDEFERRED_ROUTINE DeferredRoutine,
                                       _In_opt_ PVOID DeferredContext);
NTKERNELAPI VOID NTAPI KeInitializeThreadedDpc(_Out_ PRKDPC Dpc,
                                               _In_ PKDEFERRED_ROUTINE DeferredRoutine,
                                               _In_opt_ PVOID DeferredContext);

/* Queue it; FALSE if it was queued already. Remove it; TRUE if it was queued. Any IRQL. */
NTKERNELAPI BOOLEAN NTAPI KeInsertQueueDpc(_Inout_ PRKDPC Dpc, _In_opt_ PVOID SystemArgument1,
                                           _In_opt_ PVOID SystemArgument2);
NTKERNELAPI BOOLEAN NTAPI KeRemoveQueueDpc(_Inout_ PRKDPC Dpc);

/* Return when every DPC queued so far, on every processor, has run. PASSIVE. */
NTKERNELAPI VOID NTAPI KeFlushQueuedDpcs(VOID);

/* Where in the queue, and on which processor, a DPC will run. Ex: STATUS_INVALID_PARAMETER. */
NTKERNELAPI VOID NTAPI KeSetImportanceDpc(_Inout_ PRKDPC Dpc, _In_ KDPC_IMPORTANCE Importance);
NTKERNELAPI VOID NTAPI KeSetTargetProcessorDpc(_Inout_ PRKDPC Dpc, _In_ CCHAR Number);
NTKERNELAPI NTSTATUS NTAPI KeSetTargetProcessorDpcEx(_Inout_ PKDPC Dpc,
                                                     _In_ PPROCESSOR_NUMBER ProcNumber);

/* ---- Timers: Period in milliseconds (0: once); the DPC, if given, is queued at each expiry.
 * Set and Cancel return TRUE if the timer was set before. max DISPATCH. ---- */

NTKERNELAPI VOID NTAPI KeInitializeTimer(_Out_ PKTIMER Timer);
NTKERNELAPI VOID NTAPI KeInitializeTimerEx(_Out_ PKTIMER Timer, _In_ TIMER_TYPE Type);
NTKERNELAPI BOOLEAN NTAPI KeSetTimer(_Inout_ PKTIMER Timer, _In_ LARGE_INTEGER DueTime,
                                     _In_opt_ PKDPC Dpc);
NTKERNELAPI BOOLEAN NTAPI KeSetTimerEx(_Inout_ PKTIMER Timer, _In_ LARGE_INTEGER DueTime,
                                       _In_ LONG Period, _In_opt_ PKDPC Dpc);
NTKERNELAPI BOOLEAN NTAPI KeSetCoalescableTimer(_Inout_ PKTIMER Timer, _In_ LARGE_INTEGER DueTime,
                                                _In_ ULONG Period, _In_ ULONG TolerableDelay,
                                                _In_opt_ PKDPC Dpc);
NTKERNELAPI BOOLEAN NTAPI KeCancelTimer(_Inout_ PKTIMER Timer);
NTKERNELAPI BOOLEAN NTAPI KeReadStateTimer(_In_ PKTIMER Timer);

/* ---- APCs (drivers see the structures; only the regions are documented) ---- */

typedef VOID(NTAPI *PKNORMAL_ROUTINE)(_In_opt_ PVOID NormalContext, _In_opt_ PVOID SystemArgument1,
                                      _In_opt_ PVOID SystemArgument2);

typedef struct _KAPC {
    UCHAR Type;
    UCHAR SpareByte0;
    UCHAR Size;
    UCHAR SpareByte1;
    ULONG SpareLong0;
    PKTHREAD Thread;
    LIST_ENTRY ApcListEntry;
    PVOID KernelRoutine;
    PVOID RundownRoutine;
    PKNORMAL_ROUTINE NormalRoutine;
    PVOID NormalContext;
    PVOID SystemArgument1;
    PVOID SystemArgument2;
    CCHAR ApcStateIndex;
    KPROCESSOR_MODE ApcMode;
    BOOLEAN Inserted;
} KAPC, *PKAPC, *PRKAPC;
C_ASSERT(sizeof(KAPC) == 0x58 && FIELD_OFFSET(KAPC, ApcListEntry) == 0x10);
C_ASSERT(FIELD_OFFSET(KAPC, NormalRoutine) == 0x30 && FIELD_OFFSET(KAPC, Inserted) == 0x52);

/* Critical region: no normal kernel APCs. Guarded region: no APCs at all. Both nest; each Leave
 * undoes one Enter of the same thread. max APC. */
NTKERNELAPI VOID NTAPI KeEnterCriticalRegion(VOID);
NTKERNELAPI VOID NTAPI KeLeaveCriticalRegion(VOID);
NTKERNELAPI VOID NTAPI KeEnterGuardedRegion(VOID);
NTKERNELAPI VOID NTAPI KeLeaveGuardedRegion(VOID);

/* TRUE in a critical region or at APC_LEVEL; TRUE in a guarded region or at APC_LEVEL. */
NTKERNELAPI BOOLEAN NTAPI KeAreApcsDisabled(VOID);
NTKERNELAPI BOOLEAN NTAPI KeAreAllApcsDisabled(VOID);

/* ---- Threads ---- */

#ifdef _WIN32
FORCEINLINE PKTHREAD
KeGetCurrentThread(VOID)
{
    PKTHREAD Thread;

    __asm__ __volatile__("movq %%gs:0x188, %0" : "=r"(Thread));
    return Thread;
}
#else
/* The thread that runs on this processor. Any IRQL. */
PKTHREAD NTAPI KeGetCurrentThread(VOID);
#endif

/* Set a thread's priority (1-31); the old one is returned. max DISPATCH. */
NTKERNELAPI KPRIORITY NTAPI KeSetPriorityThread(_Inout_ PKTHREAD Thread, _In_ KPRIORITY Priority);
NTKERNELAPI KPRIORITY NTAPI KeQueryPriorityThread(_In_ PKTHREAD Thread);
NTKERNELAPI LONG NTAPI KeSetBasePriorityThread(_Inout_ PKTHREAD Thread, _In_ LONG Increment);

/* UserMode if the current thread came from user mode by a system call, else KernelMode. */
NTKERNELAPI KPROCESSOR_MODE NTAPI ExGetPreviousMode(VOID);

/* ---- Time ---- */

typedef struct _KSYSTEM_TIME {
    ULONG LowPart;
    LONG High1Time; /* written last; equal to High2Time when the value is whole */
    LONG High2Time; /* written first */
} KSYSTEM_TIME, *PKSYSTEM_TIME;
C_ASSERT(sizeof(KSYSTEM_TIME) == 12);

typedef enum _NT_PRODUCT_TYPE {
    NtProductWinNt = 1,
    NtProductLanManNt,
    NtProductServer
} NT_PRODUCT_TYPE,
    *PNT_PRODUCT_TYPE;

#define PROCESSOR_FEATURE_MAX 64

/*
 * The page of system data that every process reads at 0x7FFE0000 and the kernel at
 * SharedUserData. Only the fields up to QpcData are described here.
 */
typedef struct _KUSER_SHARED_DATA {
    ULONG TickCountLowDeprecated;
    ULONG TickCountMultiplier; /* milliseconds per tick, times 2^24 */
    volatile KSYSTEM_TIME InterruptTime;
    volatile KSYSTEM_TIME SystemTime;
    volatile KSYSTEM_TIME TimeZoneBias;
    USHORT ImageNumberLow;
    USHORT ImageNumberHigh;
    WCHAR NtSystemRoot[260];
    ULONG MaxStackTraceDepth;
    ULONG CryptoExponent;
    ULONG TimeZoneId;
    ULONG LargePageMinimum;
    ULONG AitSamplingValue;
    ULONG AppCompatFlag;
    ULONGLONG RNGSeedVersion;
    ULONG GlobalValidationRunlevel;
    LONG TimeZoneBiasStamp;
    ULONG NtBuildNumber;
    NT_PRODUCT_TYPE NtProductType;
    BOOLEAN ProductTypeIsValid;
    BOOLEAN Reserved0[1];
    USHORT NativeProcessorArchitecture;
    ULONG NtMajorVersion;
    ULONG NtMinorVersion;
    BOOLEAN ProcessorFeatures[PROCESSOR_FEATURE_MAX];
    ULONG Reserved1;
    ULONG Reserved3;
    volatile ULONG TimeSlip;
    ULONG AlternativeArchitecture;
    ULONG BootId;
    LARGE_INTEGER SystemExpirationDate;
    ULONG SuiteMask;
    BOOLEAN KdDebuggerEnabled;
    UCHAR MitigationPolicies;
    USHORT CyclesPerYield;
    volatile ULONG ActiveConsoleId;
    volatile ULONG DismountCount;
    ULONG ComPlusPackage;
    ULONG LastSystemRITEventTickCount;
    ULONG NumberOfPhysicalPages;
    BOOLEAN SafeBootMode;
    UCHAR VirtualizationFlags;
    UCHAR Reserved12[2];
    ULONG SharedDataFlags;
    ULONG DataFlagsPad[1];
    ULONGLONG TestRetInstruction;
    LONGLONG QpcFrequency;
    ULONG SystemCall;
    ULONG Reserved2;
    ULONGLONG SystemCallPad[2];
    union {
        volatile KSYSTEM_TIME TickCount;
        volatile ULONG64 TickCountQuad;
        struct {
            ULONG ReservedTickCountOverlay[3];
            ULONG TickCountPad[1];
        };
    };
    ULONG Cookie;
    ULONG CookiePad[1];
    LONGLONG ConsoleSessionForegroundProcessId;
    ULONGLONG TimeUpdateLock;
    ULONGLONG BaselineSystemTimeQpc;
    ULONGLONG BaselineInterruptTimeQpc;
    ULONGLONG QpcSystemTimeIncrement;
    ULONGLONG QpcInterruptTimeIncrement;
    UCHAR QpcSystemTimeIncrementShift;
    UCHAR QpcInterruptTimeIncrementShift;
    USHORT UnparkedProcessorCount;
    ULONG EnclaveFeatureMask[4];
    ULONG TelemetryCoverageRound;
    USHORT UserModeGlobalLogger[16];
    ULONG ImageFileExecutionOptions;
    ULONG LangGenerationCount;
    ULONGLONG Reserved4;
    volatile ULONGLONG InterruptTimeBias;
    volatile ULONGLONG QpcBias;
    ULONG ActiveProcessorCount;
    volatile UCHAR ActiveGroupCount;
    UCHAR Reserved9;
    union {
        USHORT QpcData;
        struct {
            volatile UCHAR QpcBypassEnabled;
            UCHAR QpcShift;
        };
    };
} KUSER_SHARED_DATA, *PKUSER_SHARED_DATA;
C_ASSERT(FIELD_OFFSET(KUSER_SHARED_DATA, InterruptTime) == 0x8);
C_ASSERT(FIELD_OFFSET(KUSER_SHARED_DATA, SystemTime) == 0x14);
C_ASSERT(FIELD_OFFSET(KUSER_SHARED_DATA, NtSystemRoot) == 0x30);
C_ASSERT(FIELD_OFFSET(KUSER_SHARED_DATA, NtBuildNumber) == 0x260);
C_ASSERT(FIELD_OFFSET(KUSER_SHARED_DATA, NtProductType) == 0x264);
C_ASSERT(FIELD_OFFSET(KUSER_SHARED_DATA, NtMajorVersion) == 0x26c);
C_ASSERT(FIELD_OFFSET(KUSER_SHARED_DATA, ProcessorFeatures) == 0x274);
C_ASSERT(FIELD_OFFSET(KUSER_SHARED_DATA, SuiteMask) == 0x2d0);
C_ASSERT(FIELD_OFFSET(KUSER_SHARED_DATA, KdDebuggerEnabled) == 0x2d4);
C_ASSERT(FIELD_OFFSET(KUSER_SHARED_DATA, NumberOfPhysicalPages) == 0x2e8);
C_ASSERT(FIELD_OFFSET(KUSER_SHARED_DATA, SharedDataFlags) == 0x2f0);
C_ASSERT(FIELD_OFFSET(KUSER_SHARED_DATA, QpcFrequency) == 0x300);
C_ASSERT(FIELD_OFFSET(KUSER_SHARED_DATA, TickCountQuad) == 0x320);
C_ASSERT(FIELD_OFFSET(KUSER_SHARED_DATA, Cookie) == 0x330);
C_ASSERT(FIELD_OFFSET(KUSER_SHARED_DATA, EnclaveFeatureMask) == 0x36c);
C_ASSERT(FIELD_OFFSET(KUSER_SHARED_DATA, InterruptTimeBias) == 0x3b0);
C_ASSERT(FIELD_OFFSET(KUSER_SHARED_DATA, ActiveProcessorCount) == 0x3c0);
C_ASSERT(FIELD_OFFSET(KUSER_SHARED_DATA, QpcData) == 0x3c6);

#define MM_SHARED_USER_DATA_VA 0x7ffe0000ULL
#define KI_USER_SHARED_DATA 0xfffff78000000000ULL

#ifdef _WIN32
#define SharedUserData ((KUSER_SHARED_DATA *const)KI_USER_SHARED_DATA)

/* System time (100 ns since 1601), interrupt time (100 ns since start, without sleep), ticks. */
FORCEINLINE VOID
KeQuerySystemTime(_Out_ PLARGE_INTEGER CurrentTime)
{
    CurrentTime->QuadPart = *(volatile LONGLONG *)(ULONG_PTR)(KI_USER_SHARED_DATA + 0x14);
}

FORCEINLINE ULONGLONG
KeQueryInterruptTime(VOID)
{
    return *(volatile ULONGLONG *)(ULONG_PTR)(KI_USER_SHARED_DATA + 0x8);
}

FORCEINLINE VOID
KeQueryTickCount(_Out_ PLARGE_INTEGER TickCount)
{
    TickCount->QuadPart = *(volatile LONGLONG *)(ULONG_PTR)(KI_USER_SHARED_DATA + 0x320);
}
#else
/* System time (100 ns since 1601), interrupt time (100 ns since start, without sleep), ticks. Any
 * IRQL. */
VOID NTAPI KeQuerySystemTime(_Out_ PLARGE_INTEGER CurrentTime);
ULONGLONG NTAPI KeQueryInterruptTime(VOID);
VOID NTAPI KeQueryTickCount(_Out_ PLARGE_INTEGER TickCount);
#endif

/* The same times, exact to the performance counter, with the counter's value if asked. Any IRQL. */
NTKERNELAPI VOID NTAPI KeQuerySystemTimePrecise(_Out_ PLARGE_INTEGER CurrentTime);
NTKERNELAPI ULONG64 NTAPI KeQueryInterruptTimePrecise(_Out_ PULONG64 QpcTimeStamp);
NTKERNELAPI ULONGLONG NTAPI KeQueryUnbiasedInterruptTime(VOID);

/* 100 ns units per tick. Any IRQL. */
NTKERNELAPI ULONG NTAPI KeQueryTimeIncrement(VOID);

/* A counter that never goes back, and its frequency in Hz if asked. Any IRQL. */
NTHALAPI LARGE_INTEGER NTAPI
KeQueryPerformanceCounter(_Out_opt_ PLARGE_INTEGER PerformanceFrequency);

/* Busy-wait; at most about 50 microseconds are good manners. Any IRQL. */
NTHALAPI VOID NTAPI KeStallExecutionProcessor(_In_ ULONG MicroSeconds);

/* Local and system time differ by the time zone's bias. Any IRQL. */
NTKERNELAPI VOID NTAPI ExSystemTimeToLocalTime(_In_ PLARGE_INTEGER SystemTime,
                                               _Out_ PLARGE_INTEGER LocalTime);
NTKERNELAPI VOID NTAPI ExLocalTimeToSystemTime(_In_ PLARGE_INTEGER LocalTime,
                                               _Out_ PLARGE_INTEGER SystemTime);

/* ---- Floating point in kernel mode: nothing is needed on x64, both always succeed ---- */

typedef struct _KFLOATING_SAVE {
    ULONG Dummy;
} KFLOATING_SAVE, *PKFLOATING_SAVE;

FORCEINLINE NTSTATUS
KeSaveFloatingPointState(_Out_ PKFLOATING_SAVE FloatSave)
{
    UNREFERENCED_PARAMETER(FloatSave);
    return STATUS_SUCCESS;
}

FORCEINLINE NTSTATUS
KeRestoreFloatingPointState(_In_ PKFLOATING_SAVE FloatSave)
{
    UNREFERENCED_PARAMETER(FloatSave);
    return STATUS_SUCCESS;
}

EXTERN_C_END

#endif
