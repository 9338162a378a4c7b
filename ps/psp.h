/* Private to ps/. */
#ifndef PS_PSP_H
#define PS_PSP_H

#include "ps.h"
#include <ob/table.h>

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
    PSP_QUOTA Quota[PsQuotaTypes];
} EPROCESS;

/* A thread: the body of its object. The dispatcher overwrites the KTHREAD when it makes the thread. */
typedef struct _PS_THREAD {
    ETHREAD Ethread;
    LIST_ENTRY Links;     /* PspLock; in order of creation */
    ULONG_PTR StackLimit; /* (C) of the stack it starts on */
    ULONG_PTR StackBase;
    PKSTART_ROUTINE StartRoutine; /* (C) */
    PVOID StartContext;
    BOOLEAN Started;
    BOOLEAN Image;        /* (C) made while the core worked for an image */
    BOOLEAN Reaped;       /* (A) the stack is gone */
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

/* Make a process without threads, whose address space is that of the system; one reference. <=
 * DISPATCH_LEVEL. */
NTSTATUS PspMakeProcess(BOOLEAN QuotaExempt, PEPROCESS *Process);

VOID PspInitializeProcesses(VOID);
VOID PspInitializeThreads(VOID);
VOID PspInitializeQuota(VOID);

/*
 * Make a thread that does not run yet: it has a stack, an id and two references, its own and the caller's,
 * who gives it either to PspStartThread, which cannot fail, or to PspDiscardThread. <= DISPATCH_LEVEL.
 */
NTSTATUS PspPrepareThread(PKSTART_ROUTINE StartRoutine, PVOID StartContext, PPS_THREAD *Thread);
VOID PspStartThread(PPS_THREAD Thread, KPRIORITY Priority);
VOID PspDiscardThread(PPS_THREAD Thread);

#endif
