/*
 * Private to ke/: the dispatcher's record of a processor, its lock, and what its files call in each other.
 *
 * One lock, KiDispatcherLock, guards every dispatcher object's signal state and wait list, the ready
 * queues, the timer wheel, thread states and the current-thread fields of all processors. It is held
 * across a context switch: the thread that leaves acquires it, the thread that comes releases it. So a
 * thread that another processor sees as Ready or ended has left its stack.
 *
 * Each processor's DPC queue has a lock of its own, taken at HIGH_LEVEL because interrupts queue DPCs.
 */
#ifndef KE_KEP_H
#define KE_KEP_H

#include "ke.h"

/* Object types in DISPATCHER_HEADER.Type. */
enum {
    KiEventNotification = 0,
    KiEventSynchronization = 1,
    KiMutant = 2,
    KiProcess = 3,
    KiSemaphore = 5,
    KiThread = 6,
    KiTimerNotification = 8,
    KiTimerSynchronization = 9,
    KiDpc = 19,
    KiThreadedDpc = 24
};

#define KI_TIME_INCREMENT 156250u /* 100 ns units per clock tick */
#define KI_QUANTUM 2              /* ticks a thread runs before its equals get a turn */

/* What the dispatcher keeps of a processor: KPCR.KiPrivate. (D) dispatcher lock, (Q) DPC lock, (A) atomic. */
typedef struct _KI_PROCESSOR {
    PKPCR Pcr;
    ULONG Number;

    KSPIN_LOCK DpcLock;
    PSINGLE_LIST_ENTRY DpcFirst;       /* (Q) */
    PSINGLE_LIST_ENTRY DpcLast;        /* (Q) */
    volatile ULONG DpcDepth;           /* (Q) */

    volatile UCHAR ClockDue;           /* (A) the clock ticked: timers and quantums want a look */
    volatile UCHAR Reschedule;         /* (A) a better thread may be ready for this processor */
    struct _KTHREAD *Previous;         /* (D) whom the last switch left */
    ULONG_PTR DpcStackLimit;           /* DPCs run here, if there is one */
    ULONG_PTR DpcStackBase;
    volatile ULONG64 IpiPending;       /* (A) requests, KI_IPI_* */

    ULONG64 Switches;                  /* (D) */
    ETHREAD IdleThread;
} KI_PROCESSOR, *PKI_PROCESSOR;

#define KI_IPI_RESCHEDULE 0x1
#define KI_IPI_DPC 0x2
#define KI_IPI_CALL 0x4
#define KI_IPI_APC 0x8

extern KI_PROCESSOR KiProcessors[HAL_MAXIMUM_PROCESSORS];

/* This processor's record: stable at DISPATCH_LEVEL and above. */
static inline PKI_PROCESSOR
KiThisProcessor(VOID)
{
    return (PKI_PROCESSOR)PcrRead64(KiPrivate);
}

/* Send a request to a set of processors: KiIpiInterrupt handles it there. Any IRQL. */
VOID KiSendIpi(HAL_AFFINITY Targets, ULONG64 Request);

/* --- The dispatcher lock (ready.c) ------------------------------------------------------------------ */

extern KSPIN_LOCK KiDispatcherLock;

static inline KIRQL
KiLockDispatcher(VOID)
{
    return KiAcquireRankedLockRaise(&KiDispatcherLock, LockRankDispatcher);
}

static inline VOID
KiUnlockDispatcher(KIRQL OldIrql)
{
    KiReleaseRankedLockLower(&KiDispatcherLock, OldIrql);
}

/* The same from DISPATCH_LEVEL, where it stays. */
static inline VOID
KiLockDispatcherAtDispatch(VOID)
{
    KiAcquireRankedLock(&KiDispatcherLock, LockRankDispatcher);
}

static inline VOID
KiUnlockDispatcherFromDispatch(VOID)
{
    KiReleaseRankedLock(&KiDispatcherLock);
}

/* --- Ready threads and switching (ready.c); the dispatcher lock is held ----------------------------- */

extern LIST_ENTRY KiAllThreads;
extern HAL_AFFINITY KiIdleProcessors; /* run their idle threads, and nothing is on its way to them */
extern HAL_AFFINITY KiStartedProcessors;

VOID KiInitializeReadyQueues(VOID);

/* Put a thread that may run into its queue and find it a processor. */
VOID KiReadyThreadLocked(struct _KTHREAD *Thread);

/* Set a thread's priority, moving it between queues and processors as needed. */
VOID KiChangePriorityLocked(struct _KTHREAD *Thread, CHAR Priority);

/* The current thread cannot go on (Waiting, Terminated): run another. Returns when it runs again, lock held. */
VOID KiSwapThreadLocked(VOID);

/* Let a better thread have this processor; ToTail: the current one's turn is over. Lock held. */
VOID KiPreemptLocked(BOOLEAN ToTail);

/* A processor's boot context becomes its idle thread (thread.c). */
VOID KiInitializeIdleThread(PKI_PROCESSOR Processor);

/* First thing on a new stack: look after whom the switch left. Lock held. */
VOID KiFinishSwitchLocked(VOID);

/* Ticks have passed: charge the running threads, see whose turn is over. Lock held. */
VOID KiChargeQuantumLocked(ULONG64 Ticks);

/* --- Waits (wait.c) ---------------------------------------------------------------------------------- */

/* An object was signaled: release whom it satisfies. Lock held. Increment: priority boost of released threads. */
VOID KiWaitTestLocked(PVOID Object, KPRIORITY Increment);

/* Take a waiting thread off all lists and let it run: its wait returns Status. Lock held. */
VOID KiUnwaitLocked(struct _KTHREAD *Thread, NTSTATUS Status, KPRIORITY Increment);

/* Finish a routine that changed an object: with Wait, stay raised for the wait that follows. */
VOID KiExitDispatcher(KIRQL OldIrql, BOOLEAN Wait);

/* The level a dispatcher routine was called at, the lock taken; continues a Set...(Wait = TRUE). */
KIRQL KiEnterWait(struct _KTHREAD *Thread);

/* Mutants that the ending thread owns. Lock held. */
VOID KiAbandonMutantsLocked(struct _KTHREAD *Thread);

/* --- Timers (timer.c); lock held ---------------------------------------------------------------------- */

VOID KiInitializeTimers(VOID);

/* DueTime as drivers give it: negative relative, positive absolute; to interrupt time. */
ULONG64 KiDueInterruptTime(LONGLONG DueTime);

/* Start a timer that is not started. FALSE if it is due already (then it is not started). */
BOOLEAN KiInsertTimerLocked(PKTIMER Timer, ULONG64 InterruptTime);
/* TRUE if it was started. */
BOOLEAN KiRemoveTimerLocked(PKTIMER Timer);

/* Signal every timer that is due. */
VOID KiExpireTimersLocked(ULONG64 InterruptTime);

/* When the wheel next wants attention; HAL_NO_TIME if it is empty. */
ULONG64 KiNextTimerDueLocked(VOID);

/* --- Clock (clock.c) ----------------------------------------------------------------------------------- */

VOID KiInitializeClock(VOID);

/* Ask the machine for the next clock interrupt that anybody needs. Lock held. */
VOID KiArmClockLocked(VOID);

/* The clock's work at DISPATCH_LEVEL. */
VOID KiClockDpc(VOID);

/* --- DPCs (dpc.c) ---------------------------------------------------------------------------------------- */

/* Run what is queued on this processor. DISPATCH_LEVEL. */
VOID KiRetireDpcs(VOID);

/* --- Calls ---------------------------------------------------------------------------------------------- */

/* Stop with the bug check that Stop describes; Frames may be filled in. */
VOID DECLSPEC_NORETURN KiBugCheckStop(PKI_STOP Stop);

/* Stop with DRIVER_VERIFIER_DETECTED_VIOLATION. */
VOID DECLSPEC_NORETURN KiVerifierStop(ULONG64 Rule, ULONG64 P2, ULONG64 P3, ULONG64 P4);

#endif
