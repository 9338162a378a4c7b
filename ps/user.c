/*
 * Processes and threads of programs: what user mode finds when it begins, and how they end.
 *
 * A user thread begins in the kernel, in PspUserThread, in its own address space: it makes its stack (reserved, the top committed, a guard
 * page below) and its TEB, and enters user mode at LdrInitializeThunk of ntdll.dll with a CONTEXT that goes on at RtlUserThreadStart. What
 * fails there ends the thread with the status; whoever made it may wait for Begun to learn it. It ends by itself, in PsExitUserThread, which
 * gives stack and TEB back; a thread that is to end is marked, woken if it waits for user mode's sake, and leaves on its way back there.
 *
 * A process that terminates takes no more threads, marks those it has, and is emptied by the reaper when the last is gone (process.c).
 */
#include "psp.h"
#include <ke/user.h>
#include <ntexport.h>
#include <ntpeb.h>
#include <ps/user.h>

#define PSP_USER_TAG 0x72737550u /* "Pusr" */
#define PSP_STACK_RESERVE (1u << 20)
#define PSP_STACK_ROOM 0x28 /* home places and a return address above the first frame */

/* --- Memory of the current process ------------------------------------------------------------------------- */

NTSTATUS
PsAllocateUser(SIZE_T Size, ULONG Type, ULONG Protect, PULONG_PTR Base)
{
    MI_ALLOCATE Request = {.Size = Size, .Type = Type, .Protect = Protect};
    NTSTATUS Status = MiAllocateVirtual(MiCurrentSpace(), &Request);

    *Base = NT_SUCCESS(Status) ? Request.Base : 0;
    return Status;
}

static NTSTATUS
PspCommitUser(ULONG_PTR Base, SIZE_T Size, ULONG Protect)
{
    MI_ALLOCATE Request = {.Base = Base, .Size = Size, .Type = MEM_COMMIT, .Protect = Protect};

    return MiAllocateVirtual(MiCurrentSpace(), &Request);
}

static VOID
PspFreeUser(ULONG_PTR Base)
{
    SIZE_T Size = 0;

    if (Base != 0) {
        MiFreeVirtual(MiCurrentSpace(), &Base, &Size, MEM_RELEASE);
    }
}

/* --- Threads --------------------------------------------------------------------------------------------- */

/* Stack and TEB; on failure what there is goes with PspDropUserThread. */
static NTSTATUS
PspMakeUserThread(PPS_USER_START Start, PTEB Teb)
{
    PPS_THREAD Thread = PspFromThread(KiCurrentThread());
    SIZE_T Reserve = Start->StackReserve == 0 ? PSP_STACK_RESERVE : (Start->StackReserve + 0xFFFF) & ~(SIZE_T)0xFFFF;
    SIZE_T Commit = MAX(ROUND_TO_PAGES(Start->StackCommit), PAGE_SIZE);
    ULONG_PTR Top;
    NTSTATUS Status;

    Reserve = MAX(Reserve, (Commit + 2 * PAGE_SIZE + 0xFFFF) & ~(SIZE_T)0xFFFF);
    Status = PsAllocateUser(Reserve, MEM_RESERVE, PAGE_READWRITE, &Thread->UserStack);
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Top = Thread->UserStack + Reserve;
    Status = PspCommitUser(Top - Commit, Commit, PAGE_READWRITE);
    if (NT_SUCCESS(Status)) {
        Status = PspCommitUser(Top - Commit - PAGE_SIZE, PAGE_SIZE, PAGE_READWRITE | PAGE_GUARD);
    }
    if (NT_SUCCESS(Status)) {
        Status = PsAllocateUser(sizeof(TEB), MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE, &Thread->UserTeb);
    }
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Teb->NtTib.StackBase = (PVOID)Top;
    Teb->NtTib.StackLimit = (PVOID)(Top - Commit);
    Teb->NtTib.Self = (PNT_TIB)Thread->UserTeb;
    Teb->ClientId = Thread->Ethread.Cid;
    Teb->ProcessEnvironmentBlock = (PPEB)Thread->Process->Peb;
    Teb->DeallocationStack = (PVOID)Thread->UserStack;
    return KiCopyToUser((PVOID)Thread->UserTeb, Teb, sizeof(*Teb));
}

static VOID
PspDropUserThread(PPS_THREAD Thread)
{
    KiCurrentThread()->Teb = 0;
    PspFreeUser(Thread->UserTeb);
    PspFreeUser(Thread->UserStack);
    Thread->UserTeb = 0;
    Thread->UserStack = 0;
}

/* The context that the thread goes on with once ntdll.dll is ready. */
static NTSTATUS
PspWriteContext(const PS_USER_START *Start, const TEB *Teb, PULONG_PTR Where)
{
    const PS_USER_SYSTEM *System = &PspFromThread(KiCurrentThread())->Process->User;
    ULONG_PTR Top = (ULONG_PTR)Teb->NtTib.StackBase;
    PCONTEXT Context = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*Context), PSP_USER_TAG);
    NTSTATUS Status;

    if (Context == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    Context->ContextFlags = CONTEXT_FULL;
    Context->Rip = System->ThreadStart;
    Context->Rcx = Start->StartRoutine;
    Context->Rdx = Start->Argument;
    Context->Rsp = Top - PSP_STACK_ROOM;
    Context->EFlags = 0x202;
    Context->MxCsr = 0x1F80;
    Context->FltSave.ControlWord = 0x27F;
    Context->FltSave.MxCsr = 0x1F80;
    *Where = (Top - PSP_STACK_ROOM - sizeof(*Context) - 256) & ~15ull;
    Status = KiCopyToUser((PVOID)*Where, Context, sizeof(*Context));
    ExFreePoolWithTag(Context, PSP_USER_TAG);
    return Status;
}

NTSTATUS
PsEnterUserThread(PPS_USER_START Start)
{
    PPS_THREAD Thread = PspFromThread(KiCurrentThread());
    const PS_USER_SYSTEM *System = &Thread->Process->User;
    PTEB Teb = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*Teb), PSP_USER_TAG);
    ULONG_PTR Context = 0;
    NTSTATUS Status = STATUS_INSUFFICIENT_RESOURCES;

    if (Teb != NULL) {
        Status = PspMakeUserThread(Start, Teb);
        if (NT_SUCCESS(Status)) {
            Status = PspWriteContext(Start, Teb, &Context);
        }
        ExFreePoolWithTag(Teb, PSP_USER_TAG);
    }
    if (!NT_SUCCESS(Status)) {
        PspDropUserThread(Thread);
        return Status;
    }
    KiCurrentThread()->Teb = Thread->UserTeb;
    Start->Status = STATUS_SUCCESS;
    KeSetEvent(&Start->Begun, 0, FALSE); /* *Start may be gone from here on */
    KiStartUser(System->InitializeThunk, Context - PSP_STACK_ROOM, Context, System->NtdllBase);
}

static VOID NTAPI
PspUserThread(PVOID Context)
{
    PPS_USER_START Start = Context;
    NTSTATUS Status = PsEnterUserThread(Start);

    Start->Status = Status;
    KeSetEvent(&Start->Begun, 0, FALSE);
    KiExitThread(Status);
}

NTSTATUS
PsCreateUserThread(PEPROCESS Process, PPS_USER_START Start, PETHREAD *Thread)
{
    PKTHREAD Made;
    NTSTATUS Status;

    if (Process->Peb == 0) {
        return STATUS_INVALID_PARAMETER; /* System runs no programs */
    }
    KeInitializeEvent(&Start->Begun, NotificationEvent, FALSE);
    Status = PsCreateProcessThread(Process, PspUserThread, Start, 8, &Made);
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    KeWaitForSingleObject(&Start->Begun, Executive, KernelMode, FALSE, NULL);
    if (!NT_SUCCESS(Start->Status)) {
        ObDereferenceObject(Made);
        return Start->Status;
    }
    *Thread = (PETHREAD)Made;
    return STATUS_SUCCESS;
}

VOID DECLSPEC_NORETURN
PsExitUserThread(NTSTATUS ExitStatus)
{
    PspDropUserThread(PspFromThread(KiCurrentThread()));
    KiSetPreviousMode(KernelMode);
    KiExitThread(ExitStatus);
}

VOID
PsTerminateThread(PETHREAD Thread, NTSTATUS ExitStatus)
{
    PspFromThread(&Thread->Tcb)->WantedStatus = ExitStatus;
    if (&Thread->Tcb == KiCurrentThread()) {
        PsExitUserThread(ExitStatus);
    }
    KiTerminateUser(&Thread->Tcb);
}

/* On the way to user mode: is the thread to end? */
static VOID
PspUserReturn(PKTRAP_FRAME TrapFrame)
{
    UNREFERENCED_PARAMETER(TrapFrame);
    if (KiCurrentThread()->Terminating) {
        PsExitUserThread(PspFromThread(KiCurrentThread())->WantedStatus);
    }
}

/* --- Processes ------------------------------------------------------------------------------------------- */

/* A thread of the process that is not marked yet and not the current one, referenced; NULL. */
static PPS_THREAD
PspNextToTerminate(PEPROCESS Process)
{
    PPS_THREAD Found = NULL;
    KIRQL OldIrql = KiAcquireRankedLockRaise(&PspLock, LockRankHandleTable);

    for (PLIST_ENTRY Link = PspThreads.Flink; Link != &PspThreads; Link = Link->Flink) {
        PPS_THREAD Thread = CONTAINING_RECORD(Link, PS_THREAD, Links);

        if (Thread->Process == Process && !Thread->Terminated && &Thread->Ethread.Tcb != KiCurrentThread()) {
            Thread->Terminated = TRUE;
            if (ObReferenceObjectSafe(Thread)) {
                Found = Thread;
                break;
            }
        }
    }
    KiReleaseRankedLockLower(&PspLock, OldIrql);
    return Found;
}

NTSTATUS
PsTerminateProcess(PEPROCESS Process, NTSTATUS ExitStatus)
{
    PPS_THREAD Thread;

    if (Process == PsInitialSystemProcess) {
        return STATUS_ACCESS_DENIED;
    }
    if (Process->Exiting && KiCurrentThread()->Process != &Process->Pcb) {
        return STATUS_PROCESS_IS_TERMINATING;
    }
    PsExitProcess(Process, ExitStatus);
    while ((Thread = PspNextToTerminate(Process)) != NULL) {
        if (Thread->Started) {
            PsTerminateThread(&Thread->Ethread, ExitStatus);
        }
        ObDereferenceObject(Thread);
    }
    if (KiCurrentThread()->Process == &Process->Pcb) {
        PsExitUserThread(ExitStatus);
    }
    return STATUS_SUCCESS;
}

/* Nobody handles the exception: the first of a process is kept for the report. */
static VOID
PspUserUnhandled(PEXCEPTION_RECORD Record, PCONTEXT Context)
{
    PEPROCESS Process = PspFromThread(KiCurrentThread())->Process;

    if (!Process->Crashed) {
        Process->Crashed = TRUE;
        Process->Crash = *Record;
        Process->CrashRip = Context->Rip;
    }
    PsTerminateProcess(Process, Record->ExceptionCode);
}

NTSTATUS
PsCreateProgram(PEPROCESS *Process)
{
    NTSTATUS Status = PsCreateCoreProcess(Process);

    KiUserReturn = PspUserReturn;
    KiUserUnhandled = PspUserUnhandled;
    if (NT_SUCCESS(Status)) {
        Status = ObCreateHandleTable(&(*Process)->Pcb);
        if (!NT_SUCCESS(Status)) {
            ObDereferenceObject(*Process);
        }
    }
    return Status;
}

VOID
PsSetProgram(PEPROCESS Process, ULONG_PTR Peb, const PS_USER_SYSTEM *System)
{
    Process->Peb = Peb;
    Process->User = *System;
}

BOOLEAN
PsQueryCrash(PEPROCESS Process, PEXCEPTION_RECORD Record, PULONG_PTR Rip)
{
    *Record = Process->Crash;
    *Rip = Process->CrashRip;
    return Process->Crashed;
}

/* The status a process ended with; STATUS_PENDING while it has not. Any IRQL. */
NTSTATUS NTAPI
PsGetProcessExitStatus(PEPROCESS Process)
{
    return Process->Exiting ? Process->ExitStatus : STATUS_PENDING;
}
NTEXPORT(PsGetProcessExitStatus);

/* The PEB of a program's process; NULL for System. */
PPEB NTAPI
PsGetProcessPeb(PEPROCESS Process)
{
    return (PPEB)Process->Peb;
}
NTEXPORT(PsGetProcessPeb);

/* The TEB of a thread; NULL for a system thread. */
PVOID NTAPI
PsGetThreadTeb(PETHREAD Thread)
{
    return (PVOID)Thread->Tcb.Teb;
}
NTEXPORT(PsGetThreadTeb);
