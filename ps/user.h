/*
 * Processes and threads of programs, for the layers above: see user.c.
 */
#ifndef PS_USER_H
#define PS_USER_H

#include <ps/ps.h>

/* Where ntdll.dll is in a process, and the places in it that the kernel begins threads at. */
typedef struct _PS_USER_SYSTEM {
    ULONG_PTR NtdllBase;
    ULONG_PTR InitializeThunk;
    ULONG_PTR ThreadStart;
} PS_USER_SYSTEM, *PPS_USER_SYSTEM;

/* A thread to begin: what it calls, its stack (0: as usual), and how it went. */
typedef struct _PS_USER_START {
    ULONG_PTR StartRoutine;
    ULONG_PTR Argument;
    SIZE_T StackReserve;
    SIZE_T StackCommit;
    KEVENT Begun;
    NTSTATUS Status;
} PS_USER_START, *PPS_USER_START;

/* A process for a program, empty, with a handle table of its own; one reference. PASSIVE_LEVEL. */
NTSTATUS PsCreateProgram(PEPROCESS *Process);
/* Its PEB and ntdll.dll are there: user threads can begin. */
VOID PsSetProgram(PEPROCESS Process, ULONG_PTR Peb, const PS_USER_SYSTEM *System);

/*
 * Make the current thread, a core thread of the process, a user thread; Start->Begun is set. Returns only on failure: what
 * it made is gone again.
 */
NTSTATUS PsEnterUserThread(PPS_USER_START Start);

/* Make a user thread, and wait until it is about to run; one reference. STATUS_PROCESS_IS_TERMINATING, no memory. */
NTSTATUS PsCreateUserThread(PEPROCESS Process, PPS_USER_START Start, PETHREAD *Thread);

/* End the current user thread. PASSIVE_LEVEL. */
VOID DECLSPEC_NORETURN PsExitUserThread(NTSTATUS ExitStatus);
/* Have a user thread end, soon. The current one: at once. */
VOID PsTerminateThread(PETHREAD Thread, NTSTATUS ExitStatus);
/* End a process; does not return in one of its own threads. STATUS_ACCESS_DENIED (System), STATUS_PROCESS_IS_TERMINATING. */
NTSTATUS PsTerminateProcess(PEPROCESS Process, NTSTATUS ExitStatus);

/* Did an exception that nobody handled end the process? Which, and where. */
BOOLEAN PsQueryCrash(PEPROCESS Process, PEXCEPTION_RECORD Record, PULONG_PTR Rip);

/* Memory of the current process, MEM_RESERVE with or without MEM_COMMIT, where there is room. */
NTSTATUS PsAllocateUser(SIZE_T Size, ULONG Type, ULONG Protect, PULONG_PTR Base);

#endif
