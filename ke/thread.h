/*
 * Threads and processes as the dispatcher sees them. Storage belongs to ps/, which embeds them in its
 * objects; the dispatcher keeps what it needs to run, block and end a thread.
 *
 * Field legend: (D) dispatcher lock, (S) the thread itself only, (C) constant while the thread lives,
 * (P) whoever created it (ps/).
 */
#ifndef KE_THREAD_H
#define KE_THREAD_H

#include <hal/hal.h>
#include "boundary.h"
#include "lockrank.h"

typedef enum _KTHREAD_STATE {
    Initialized,
    Ready,      /* in a ready queue */
    Running,    /* CurrentThread of a processor */
    Terminated, /* never runs again */
    Waiting     /* its wait blocks are on the objects' lists */
} KTHREAD_STATE;

#define KI_PRIORITY_LEVELS 32
#define KI_IDLE_PRIORITY (-1) /* below every queue */
#define KI_MAXIMUM_PUSH_LOCKS 8

/* The stack a thread uses, and the one it will come back to. */
typedef struct _KI_STACK_SEGMENT {
    ULONG_PTR Limit; /* lowest byte */
    ULONG_PTR Base;  /* first byte above */
    struct _KI_STACK_SEGMENT *Previous;
} KI_STACK_SEGMENT, *PKI_STACK_SEGMENT;

typedef struct _KPROCESS {
    DISPATCHER_HEADER Header;  /* signaled when the last thread is gone */
    PFN_NUMBER RootFrame;      /* (C) top-level page table */
    struct _MI_ADDRESS_SPACE *AddressSpace;  /* (C) mm/va: what lies below the system range; NULL: nothing */
    volatile HAL_AFFINITY ActiveProcessors;  /* (A) those that may hold translations of it */
    LIST_ENTRY ThreadListHead; /* (D) KTHREAD.ProcessEntry */
    ULONG ThreadCount;         /* (D) */
    struct _OB_TABLE *HandleTable; /* (P) of a program; NULL: the System process's serves */
} KPROCESS;

typedef struct _KTHREAD {
    DISPATCHER_HEADER Header;              /* (D) signaled when it ends */
    PKI_BOUNDARY_RECORD BoundaryTop;       /* (S) 0x18: first unused record */
    PKI_BOUNDARY_RECORD BoundaryLimit;     /* (C) 0x20 */

    /* Running. */
    PVOID SavedStack;                      /* (D) for HalSwitchStack while it does not run */
    KI_STACK_SEGMENT Stack;                /* (S) in use now */
    KTHREAD_STATE State;                   /* (D) */
    CHAR Priority;                         /* (D) 0 to 31, with boost */
    CHAR BasePriority;                     /* (D) */
    UCHAR Idle;                            /* (C) a processor's idle thread */
    UCHAR Preempted;                       /* (D) goes back to the head of its queue */
    LONG QuantumLeft;                      /* (D) clock ticks */
    HAL_AFFINITY Affinity;                 /* (D) processors it may run on */
    ULONG Processor;                       /* (D) that it runs on, or ran on last */
    LIST_ENTRY ReadyEntry;                 /* (D) ready queue, or the list of ended threads */
    LIST_ENTRY AllEntry;                   /* (D) every thread there is */
    struct _KPROCESS *Process;             /* (C) */
    struct _KPROCESS *ActiveProcess;       /* (S) whose address space it uses: Process, or what it is attached to */
    LIST_ENTRY ProcessEntry;               /* (D) */
    PKSTART_ROUTINE StartRoutine;          /* (C) */
    PVOID StartContext;                    /* (C) */
    NTSTATUS ExitStatus;                   /* (D) */
    ULONG64 Number;                        /* (C) from 1, in order of creation */

    /* Waiting. */
    LONG64 WaitStatus;                     /* (D) what the wait returns */
    PKWAIT_BLOCK WaitBlockList;            /* (D) */
    ULONG WaitBlockCount;                  /* (D) */
    UCHAR WaitReason;                      /* (D) KWAIT_REASON */
    CHAR WaitMode;                         /* (D) */
    UCHAR WaitAlertable;                   /* (D) */
    UCHAR WaitNext;                        /* (S) a wait follows at once: Set...(Wait = TRUE) */
    KIRQL WaitIrql;                        /* (S) IRQL to return to in that case */
    KWAIT_BLOCK WaitBlocks[THREAD_WAIT_OBJECTS + 1]; /* (D) the last is the time-out's */
    KTIMER Timer;                          /* (D) time-outs of waits */
    LIST_ENTRY MutantListHead;             /* (D) mutants it owns */

    /* APCs, and the regions without: negative counts, as debuggers show them. */
    SHORT KernelApcDisable;                /* (S) */
    SHORT SpecialApcDisable;               /* (S) */
    LIST_ENTRY ApcListHead[MaximumMode];   /* (D) KAPC.ApcListEntry */
    UCHAR KernelApcPending;                /* (D) the kernel list may have something to deliver */
    UCHAR KernelApcInProgress;             /* (S) a normal routine runs */
    UCHAR ApcClosed;                       /* (D) the thread is ending */
    KIRQL BlockIrql;                       /* (S) at which it waits */

    /* Rank checker. */
    ULONG PushLockCount;                   /* (S) */
    ULONG PushLockRanks[KI_MAXIMUM_PUSH_LOCKS];
    PVOID PushLocks[KI_MAXIMUM_PUSH_LOCKS];

    /* For the layers above, of the thread itself. */
    PVOID StackOwner;                      /* (P) mm/stack: what must be freed when it has ended */
    PVOID Win32Thread;                     /* (P) */
    struct _IRP *TopLevelIrp;              /* (S) io */
    struct _DEVICE_OBJECT *DeviceToVerify; /* (A) io */
    LIST_ENTRY IrpList;                    /* io: requests to be finished in this thread */

    /* User mode; see user.h. */
    ULONG_PTR Teb;                         /* (C) gs there; 0: a system thread */
    PKTRAP_FRAME UserFrame;                /* (S) of the trap or service that brought the thread here */
    KPROCESSOR_MODE PreviousMode;          /* (S) of the system service in progress */
    UCHAR Terminating;                     /* (D) it ends on its way to user mode */
    UCHAR ContextSet;                      /* (S) the service changed the whole frame, its status goes nowhere */

    KI_BOUNDARY_RECORD NoBoundary; /* of no kind, for who looks below the first */
    KI_BOUNDARY_RECORD Boundaries[KI_BOUNDARY_RECORDS]; /* (S) */
} KTHREAD;

_Static_assert(FIELD_OFFSET(KTHREAD, BoundaryTop) == KTHREAD_BOUNDARY_TOP, "boundary.S");
_Static_assert(FIELD_OFFSET(KTHREAD, BoundaryLimit) == KTHREAD_BOUNDARY_LIMIT, "boundary.S");
_Static_assert(FIELD_OFFSET(KPCR, CurrentThread) == PCR_CURRENT_THREAD, "boundary.S");

/* The executive's thread: ps/ fills what follows the dispatcher's part. */
typedef struct _ETHREAD {
    KTHREAD Tcb;
    CLIENT_ID Cid;
} ETHREAD;

/* The current thread; of a running processor never NULL. Any IRQL. */
static inline struct _KTHREAD *
KiCurrentThread(VOID)
{
    return (struct _KTHREAD *)PcrRead64(CurrentThread);
}

/* TRUE if the core is working for an image: the newest boundary crossed is a call from one. Any IRQL. */
static inline BOOLEAN
KiInImageCode(VOID)
{
    struct _KTHREAD *Thread = KiCurrentThread();

    return Thread != NULL && Thread->BoundaryTop[-1].Kind == KI_BOUNDARY_EXPORT;
}

/* The process that idle threads belong to, and the one that new threads do: ps/ sets it once it has made one. */
extern KPROCESS KiSystemProcess;
extern PKPROCESS KiThreadProcess;

/*
 * Make a thread of storage and a stack that the caller owns, and make it ready. It belongs to Process (NULL:
 * KiThreadProcess), whose address space it uses. It starts in Routine(Context), of an
 * image or of the core, at PASSIVE_LEVEL; when that returns the thread ends with STATUS_SUCCESS. Storage is a KTHREAD
 * whose contents are overwritten. <= DISPATCH_LEVEL. STATUS_INVALID_PARAMETER for a priority outside 0..31 or a stack
 * too small to start on.
 */
NTSTATUS KiCreateThread(PKPROCESS Process, PKSTART_ROUTINE Routine, PVOID Context, KPRIORITY Priority,
                        struct _KTHREAD *Storage, ULONG_PTR StackLimit, ULONG_PTR StackBase);

/* --- Address spaces (attach.c) -------------------------------------------------------------------------- */

/*
 * Use another process's address space from now on; returns the one used before, to come back to by the same call.
 * The caller keeps a reference on each as long as it is used. <= APC_LEVEL.
 */
PKPROCESS KiAttachProcess(PKPROCESS Process);

/* Let this processor leave one address space for another. DISPATCH_LEVEL or the dispatcher lock. */
VOID KiSwapAddressSpace(PKPROCESS From, PKPROCESS To);

/* Processors that may hold translations of the process's own addresses. Ask after the entries have changed. */
HAL_AFFINITY KiProcessProcessors(PKPROCESS Process);

/* Signal a process for good: it has ended. <= DISPATCH_LEVEL. */
VOID KiSignalProcess(PKPROCESS Process);

/*
 * End the current thread: PASSIVE_LEVEL, no APC-disable region entered, else bug check 0x20. Owned mutants are
 * abandoned; a held mutex is bug check 0x4000008A. Its object is signaled and the thread is queued for
 * KiWaitForEndedThread.
 */
VOID DECLSPEC_NORETURN KiExitThread(NTSTATUS ExitStatus);

/*
 * End the current thread whatever state it is in: any IRQL, locks it holds are forgotten (not released), mutants
 * abandoned, regions and DPC left. For tests that break contracts on purpose.
 */
VOID DECLSPEC_NORETURN KiAbandonThread(NTSTATUS ExitStatus);

/*
 * For the one reaper thread of ps/: block until a thread has ended and no processor uses its stack; the stack and
 * the running thread's reference to its object are then the caller's to free. PASSIVE_LEVEL.
 */
struct _KTHREAD *KiWaitForEndedThread(VOID);

/* Set by io/: the current thread is about to end, at PASSIVE_LEVEL; may block. */
extern VOID (*KiThreadEnds)(VOID);

/* A mutant for the object manager: ending its owner abandons it, no APC is disabled. Any IRQL. */
VOID KiInitializeMutant(PKMUTANT Mutant);

/*
 * Visit every thread, in order of creation, with the dispatcher lock held: the visitor must take no lock. While the run
 * is being stopped nothing moves and the lock, whoever has it, is left alone.
 */
VOID KiEnumerateThreads(VOID (*Visitor)(struct _KTHREAD *Thread, PVOID Context), PVOID Context);

/* Give the processor to another ready thread of the same or a higher priority, if there is one. <= APC_LEVEL. */
VOID KiYield(VOID);

/*
 * Run Routine(Context) on another stack, [Limit, Base), of the current thread and return to this one. The stack must
 * be resident and stay so. With a Guard exceptions may leave the routine: TRUE if one did, see KiCallGuarded; without one
 * they must not. Any IRQL up to DISPATCH_LEVEL.
 */
struct _KI_UNWIND_GUARD;
BOOLEAN KiCallOnStack(ULONG_PTR Limit, ULONG_PTR Base, VOID (*Routine)(PVOID), PVOID Context,
                      struct _KI_UNWIND_GUARD *Guard);

/* What is left, in bytes, of the stack in use. Any IRQL. */
ULONG_PTR KiRemainingStack(VOID);

#endif
