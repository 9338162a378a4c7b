/*
 * Threads and processes as the rest of the core sees them; public routines (PsXxx) are declared in wdm.h,
 * ntddk.h and ntifs.h. A thread object is a PS_THREAD, which begins with its ETHREAD and KTHREAD; likewise a
 * process.
 */
#ifndef PS_PS_H
#define PS_PS_H

#include <ke/ke.h>
#include <ob/ob.h>

/* From the boot context, after ObInitialize: the System process, its workers and the reaper. No return if
 * memory is too short for that. */
VOID PsInitialize(VOID);

/*
 * Make a system thread that runs a routine of the core: no handle, and not counted as an image's. Thread
 * (optional) receives it with a reference for the caller, who gives that back by ObDereferenceObject; the
 * thread is a dispatcher object, signaled when it has ended. <= DISPATCH_LEVEL.
 * STATUS_INSUFFICIENT_RESOURCES, STATUS_NO_MEMORY.
 */
NTSTATUS PsCreateCoreThread(PKSTART_ROUTINE StartRoutine, PVOID StartContext, KPRIORITY Priority,
                            PKTHREAD *Thread);

/*
 * Make a process with an empty address space and no threads; one reference, the caller's. For a handle to it:
 * ObOpenObjectByPointer. It ends with its last thread, or by PsExitProcess, or with its last reference. PASSIVE_LEVEL.
 * STATUS_INSUFFICIENT_RESOURCES, STATUS_NO_MEMORY.
 */
NTSTATUS PsCreateCoreProcess(PEPROCESS *Process);

/* PsCreateCoreThread for a thread of that process. PASSIVE_LEVEL. STATUS_PROCESS_IS_TERMINATING. */
NTSTATUS PsCreateProcessThread(PEPROCESS Process, PKSTART_ROUTINE StartRoutine, PVOID StartContext,
                               KPRIORITY Priority, PKTHREAD *Thread);

/*
 * End a process: it takes no more threads, and when it has none its address space is emptied (bug check 0x76 if pages
 * are still locked) and it is signaled. At once if it has none now. PASSIVE_LEVEL, not attached to it.
 */
VOID PsExitProcess(PEPROCESS Process, NTSTATUS ExitStatus);

typedef struct _PS_THREAD_INFO {
    PETHREAD Thread;               /* referenced during the visit */
    CLIENT_ID ClientId;
    PKSTART_ROUTINE StartRoutine;
    BOOLEAN Image;                 /* created while the core worked for an image */
    BOOLEAN Terminated;            /* ended, but something still refers to it */
    ULONG StackId;                 /* who created it: for MiQueryPoolStack; 0 if not an image */
} PS_THREAD_INFO, *PPS_THREAD_INFO;

/* Visit every thread object, oldest first. IRQL <= APC_LEVEL; the visitor may do what its caller may. */
VOID PsEnumerateThreads(VOID (*Visitor)(const PS_THREAD_INFO *Info, PVOID Context), PVOID Context);

/* Threads made by images that have not ended. */
ULONG PsCountImageThreads(VOID);

/* Wait until every thread that has ended so far has given back its stack, and what was dereferenced is
 * deleted. PASSIVE_LEVEL; not for the reaper itself. */
VOID PsFlushEndedThreads(VOID);

/* What a process is charged for, in bytes. Type: PsNonPagedPool or PsPagedPool. */
typedef enum _PS_QUOTA_TYPE {
    PsNonPagedPool = 0,
    PsPagedPool = 1,
    PsPageFile = 2,
    PsQuotaTypes = 3
} PS_QUOTA_TYPE;

typedef struct _PS_QUOTA_USAGE {
    SIZE_T Usage;
    SIZE_T Peak;
    SIZE_T Limit;
} PS_QUOTA_USAGE, *PPS_QUOTA_USAGE;

VOID PsQueryQuota(PEPROCESS Process, PS_QUOTA_TYPE Type, PPS_QUOTA_USAGE Usage);
/* Limit ~0: none. What is in use stays. */
VOID PsSetQuotaLimit(PEPROCESS Process, PS_QUOTA_TYPE Type, SIZE_T Limit);

#endif
