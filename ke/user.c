/*
 * Previous mode, and copies from and to user memory: see user.h. No state but a field of the thread, no locks.
 */
#include "kep.h"
#include "user.h"
#include "thread.h"
#include <ntexport.h>

NTSTATUS KiUserCopy(PVOID To, const VOID *From, SIZE_T Length);
extern const UCHAR KiUserCopyEnd[], KiUserCopyFailed[];

const char *(*KiExportName)(ULONG Index);
VOID (*KiUserProbed)(const volatile VOID *Address, SIZE_T Length, KI_USER_PROBE Probe);
VOID (*KiUserTouched)(PKTRAP_FRAME TrapFrame, ULONG64 Address);

/* --- Previous mode ------------------------------------------------------------------------------------ */

static BOOLEAN
KipIsZwCall(const KI_BOUNDARY_RECORD *Record)
{
    const char *Name;

    if (Record->Kind != KI_BOUNDARY_EXPORT || KiExportName == NULL) {
        return FALSE;
    }
    Name = KiExportName(Record->Index);
    return Name[0] == 'Z' && Name[1] == 'w';
}

KPROCESSOR_MODE
KiPreviousMode(VOID)
{
    const struct _KTHREAD *Thread = KiCurrentThread();
    const KI_BOUNDARY_RECORD *Record;

    if (Thread->PreviousMode == KernelMode) {
        return KernelMode;
    }
    for (Record = Thread->BoundaryTop; Record > Thread->Boundaries; Record -= 1) {
        if (KipIsZwCall(&Record[-1]) || Record[-1].Kind == KI_BOUNDARY_BARRIER) {
            return KernelMode;
        }
    }
    return UserMode;
}

KPROCESSOR_MODE
KiSetPreviousMode(KPROCESSOR_MODE Mode)
{
    struct _KTHREAD *Thread = KiCurrentThread();
    KPROCESSOR_MODE Before = Thread->PreviousMode;

    Thread->PreviousMode = Mode;
    return Before;
}

/*
 * UserMode if what the thread does was asked for by a program through a system service, KernelMode in system threads, and while
 * a driver's own call of a Zw routine is served. <= APC_LEVEL.
 */
KPROCESSOR_MODE NTAPI
ExGetPreviousMode(VOID)
{
    return KiPreviousMode();
}
NTEXPORT(ExGetPreviousMode);

/* --- User memory --------------------------------------------------------------------------------------- */

BOOLEAN
KiIsUserRange(const VOID *Address, SIZE_T Length)
{
    ULONG_PTR Start = (ULONG_PTR)Address;

    return Length == 0 || (Start + Length > Start && Start + Length <= KiLoaderBlock->UserEnd);
}

BOOLEAN
KiFailUserCopy(PKTRAP_FRAME TrapFrame, NTSTATUS Status)
{
    if (TrapFrame->Rip - (ULONG_PTR)KiUserCopy >= (ULONG_PTR)KiUserCopyEnd - (ULONG_PTR)KiUserCopy) {
        return FALSE;
    }
    TrapFrame->Rip = (ULONG_PTR)KiUserCopyFailed;
    TrapFrame->Rax = (ULONG)Status;
    return TRUE;
}

static NTSTATUS
KipCopyUser(PVOID To, const VOID *From, SIZE_T Length)
{
    NTSTATUS Status;

    HalBeginUserAccess();
    Status = KiUserCopy(To, From, Length);
    HalEndUserAccess();
    return Status;
}

NTSTATUS
KiCopyFromUser(PVOID To, const VOID *From, SIZE_T Length)
{
    return KiIsUserRange(From, Length) ? KipCopyUser(To, From, Length) : STATUS_ACCESS_VIOLATION;
}

NTSTATUS
KiCopyToUser(PVOID To, const VOID *From, SIZE_T Length)
{
    return KiIsUserRange(To, Length) ? KipCopyUser(To, From, Length) : STATUS_ACCESS_VIOLATION;
}

NTSTATUS
KiCaptureArgument(PVOID To, const VOID *From, SIZE_T Length, KPROCESSOR_MODE Mode)
{
    if (Mode == UserMode) {
        return KiCopyFromUser(To, From, Length);
    }
    RtlCopyMemory(To, From, Length);
    return STATUS_SUCCESS;
}

NTSTATUS
KiReturnResult(PVOID To, const VOID *From, SIZE_T Length, KPROCESSOR_MODE Mode)
{
    if (Mode == UserMode) {
        return KiCopyToUser(To, From, Length);
    }
    RtlCopyMemory(To, From, Length);
    return STATUS_SUCCESS;
}

NTSTATUS
KiProbeResult(PVOID Address, SIZE_T Length, KPROCESSOR_MODE Mode)
{
    ULONG_PTR At = (ULONG_PTR)Address, End = At + Length;
    NTSTATUS Status = STATUS_SUCCESS;
    UCHAR Byte;

    if (Mode == KernelMode || Length == 0) {
        return STATUS_SUCCESS;
    }
    if (!KiIsUserRange(Address, Length)) {
        return STATUS_ACCESS_VIOLATION;
    }
    while (At < End && NT_SUCCESS(Status)) {
        Status = KipCopyUser(&Byte, (const VOID *)At, 1);
        if (NT_SUCCESS(Status)) {
            Status = KipCopyUser((PVOID)At, &Byte, 1);
        }
        At = (At & ~(ULONG_PTR)(PAGE_SIZE - 1)) + PAGE_SIZE;
    }
    return Status;
}
