/* Private to ps/. */
#ifndef PS_PSP_H
#define PS_PSP_H

#include "ps.h"
#include <ob/table.h>
#include <mm/va/va.h>
#include <ps/user.h>

/* What a process has been charged for one thing, in bytes. (A) */
typedef struct _PSP_QUOTA {
    volatile ULONG64 Usage;
    volatile ULONG64 Peak;
    volatile ULONG64 Limit;
} PSP_QUOTA;

/* A process: the body of its object. */
typedef struct _EPROCESS {
    KPROCESS Pcb;
    HANDLE UniqueProcessId;        /* (C) */
    LIST_ENTRY ActiveProcessLinks; /* PspLock */
    BOOLEAN QuotaExempt;           /* (C) */
    BOOLEAN Exiting;               /* PspLock: no more threads */
    ULONG ThreadsLeft;             /* PspLock: threads made, and not reaped yet */
    NTSTATUS ExitStatus;           /* PspLock */
    PSP_QUOTA Quota[PsQuotaTypes];
    MI_ADDRESS_SPACE Space;

    /* Of a program. */
    ULONG_PTR Peb;                 /* (C) once it runs; 0: none */
    PS_USER_SYSTEM User;           /* (C) */
    BOOLEAN Crashed;               /* an exception that nobody handled ended it */
    EXCEPTION_RECORD Crash;
    ULONG_PTR CrashRip;
} EPROCESS;

/* A thread: the body of its object. The dispatcher overwrites the KTHREAD when it makes the thread. */
typedef struct _PS_THREAD {
    ETHREAD Ethread;
    LIST_ENTRY Links;     /* PspLock; in order of creation */
    PEPROCESS Process;    /* (C) referenced */
    ULONG_PTR StackLimit; /* (C) of the stack it starts on */
    ULONG_PTR StackBase;
    PKSTART_ROUTINE StartRoutine; /* (C) */
    PVOID StartContext;
    BOOLEAN Started;
    BOOLEAN Image;        /* (C) made while the core worked for an image */
    BOOLEAN Reaped;       /* (A) the stack is gone */
    BOOLEAN Terminated;   /* PspLock: told to end with its process */
    ULONG_PTR UserStack;  /* of a user thread: bases of its regions */
    ULONG_PTR UserTeb;
    NTSTATUS WantedStatus; /* to end with */
    ULONG StackId;        /* (C) who made it, if an image */
} PS_THREAD, *PPS_THREAD;

static inline PPS_THREAD
PspFromThread(struct _KTHREAD *Thread)
{
    return CONTAINING_RECORD(Thread, PS_THREAD, Ethread.Tcb);
}

/* Instrumented code needs more stack than the documented size. */
#ifdef NTMM_SANITIZED
#define PSP_LARGE_STACKS TRUE
#else
#define PSP_LARGE_STACKS FALSE
#endif

/* Guards the lists of processes and threads: a leaf, LockRankHandleTable. */
extern KSPIN_LOCK PspLock;
extern LIST_ENTRY PspThreads;
extern LIST_ENTRY PspProcesses;

/* Ids of processes and threads: index times four. */
extern OB_TABLE PspCidTable;
#define PSP_CID_STEP 4

extern PEPROCESS PspIdleProcess;

/*
 * Make a process without threads, with one reference; the first has the address space of the system, every other
 * an empty one of its own. <= APC_LEVEL. STATUS_INSUFFICIENT_RESOURCES, STATUS_NO_MEMORY.
 */
NTSTATUS PspMakeProcess(BOOLEAN QuotaExempt, PEPROCESS *Process);

VOID PspInitializeProcesses(VOID);
VOID PspInitializeThreads(VOID);
VOID PspInitializeQuota(VOID);

/*
 * Count a thread in a process, which it keeps: STATUS_PROCESS_IS_TERMINATING if it takes no more. With the last that is
 * counted out a process that is not System ends: its address space is emptied, it is signaled. PASSIVE_LEVEL.
 */
NTSTATUS PspAddThread(PEPROCESS Process);
VOID PspDropThread(PEPROCESS Process, NTSTATUS ExitStatus);

/*
 * Make a thread of a process that does not run yet: it has a stack, an id and two references, its own and the caller's,
 * who gives it either to PspStartThread, which cannot fail, or to PspDiscardThread. <= DISPATCH_LEVEL.
 */
NTSTATUS PspPrepareThread(PEPROCESS Process, PKSTART_ROUTINE StartRoutine, PVOID StartContext, PPS_THREAD *Thread);
VOID PspStartThread(PPS_THREAD Thread, KPRIORITY Priority);
VOID PspDiscardThread(PPS_THREAD Thread);

#endif
