/*
 * The program of program.h.
 *
 * Its code is the core's, so "user mode" is what its services are asked for with: previous mode UserMode,
 * user addresses for all they are given, a process that the driver is called in. Each allocation is a region
 * of its own, followed by at least a page that belongs to nobody, so that a driver that reads or writes past
 * a buffer faults.
 */
#include "program.h"
#include "init.h"
#include <ke/user.h>
#include <ps/ps.h>

#define INIT_PROGRAM_PRIORITY 8

typedef struct _INIT_PROGRAM {
    BOOLEAN (*Routine)(PVOID Context);
    PVOID Context;
    KEVENT Over;  /* Routine has returned */
    KEVENT Never; /* what it waits for if it cannot end */
    BOOLEAN CanEnd;
} INIT_PROGRAM;

/* Not on the starter's stack: a program that cannot end keeps it. */
static INIT_PROGRAM InitpTheProgram;

static VOID NTAPI
InitpProgram(PVOID Context)
{
    INIT_PROGRAM *Program = Context;

    Program->CanEnd = Program->Routine(Program->Context);
    KeSetEvent(&Program->Over, IO_NO_INCREMENT, FALSE);
    if (!Program->CanEnd) {
        KeWaitForSingleObject(&Program->Never, Executive, KernelMode, FALSE, NULL);
    }
}

NTSTATUS
InitRunProgram(BOOLEAN (*Routine)(PVOID Context), PVOID Context)
{
    INIT_PROGRAM *Program = &InitpTheProgram;
    PKTHREAD Before = InitRun.Thread, Thread;
    PEPROCESS Process;
    NTSTATUS Status = PsCreateCoreProcess(&Process);

    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    *Program = (INIT_PROGRAM){.Routine = Routine, .Context = Context};
    KeInitializeEvent(&Program->Over, NotificationEvent, FALSE);
    KeInitializeEvent(&Program->Never, NotificationEvent, FALSE);
    Status = PsCreateProcessThread(Process, InitpProgram, Program, INIT_PROGRAM_PRIORITY, &Thread);
    if (NT_SUCCESS(Status)) {
        InitRun.Thread = Thread;
        KeWaitForSingleObject(&Program->Over, Executive, KernelMode, FALSE, NULL);
        if (Program->CanEnd) {
            KeWaitForSingleObject(Process, Executive, KernelMode, FALSE, NULL);
            ObDereferenceObject(Thread);
        }
        InitRun.Thread = Before;
    }
    if (!NT_SUCCESS(Status) || Program->CanEnd) {
        ObDereferenceObject(Process);
    }
    return Status;
}

/* --- Its memory ----------------------------------------------------------------------------------------- */

NTSTATUS
InitAllocateUser(SIZE_T Length, PVOID *Buffer)
{
    SIZE_T Rounded = ALIGN_UP_BY(Length, 16), Size = Rounded + PAGE_SIZE;
    SIZE_T Committed = Rounded;
    PVOID Base = NULL;
    NTSTATUS Status;

    *Buffer = NULL;
    if (Length == 0) {
        return STATUS_SUCCESS;
    }
    Status = ZwAllocateVirtualMemory(NtCurrentProcess(), &Base, 0, &Size, MEM_RESERVE, PAGE_READWRITE);
    if (NT_SUCCESS(Status)) {
        Status =
            ZwAllocateVirtualMemory(NtCurrentProcess(), &Base, 0, &Committed, MEM_COMMIT, PAGE_READWRITE);
    }
    if (NT_SUCCESS(Status)) {
        *Buffer = (PUCHAR)Base + (Committed - Rounded);
    }
    return Status;
}

VOID
InitHideUser(PVOID Buffer, SIZE_T Length)
{
    static const ULONG Protections[] = {PAGE_NOACCESS, PAGE_READWRITE};

    for (ULONG Index = 0; Length != 0 && Index < RTL_NUMBER_OF(Protections); Index += 1) {
        PVOID Base = Buffer;
        SIZE_T Size = Length;
        ULONG Old;

        (VOID) ZwProtectVirtualMemory(NtCurrentProcess(), &Base, &Size, Protections[Index], &Old);
    }
}
