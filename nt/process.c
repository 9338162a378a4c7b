/*
 * Services on processes and threads of programs: making, ending, asking. Documents: "ZwTerminateProcess", "NtQueryInformationProcess",
 * "NtQueryInformationThread".
 */
#include "nt.h"
#include <ke/thread.h>
#include <mm/va/va.h>

/* --- Ending ------------------------------------------------------------------------------------------------ */

/*
 * End a process. STATUS_ACCESS_DENIED for System, STATUS_PROCESS_IS_TERMINATING, those
 * of the handle. PASSIVE_LEVEL.
 */
NTSTATUS NTAPI
ZwTerminateProcess(HANDLE ProcessHandle, NTSTATUS ExitStatus)
{
    PVOID Process;
    NTSTATUS Status = ObReferenceObjectByHandle(ProcessHandle, PROCESS_TERMINATE, PsProcessType, KiPreviousMode(), &Process, NULL);

    if (NT_SUCCESS(Status)) {
        BOOLEAN Own = IoGetCurrentProcess() == (PEPROCESS)Process;

        if (Own) {
            ObDereferenceObject(Process); /* its threads keep it, and this one does not come back */
        }
        Status = PsTerminateProcess(Process, ExitStatus);
        if (!Own) {
            ObDereferenceObject(Process);
        }
    }
    return Status;
}
NTEXPORT(ZwTerminateProcess);
NTEXPORT_AS("NtTerminateProcess", ZwTerminateProcess);

/* End a user thread; ThreadHandle NULL: this one. STATUS_INVALID_PARAMETER for a system thread, those of the handle. */
NTSTATUS NTAPI
ZwTerminateThread(HANDLE ThreadHandle, NTSTATUS ExitStatus)
{
    HANDLE Handle = ThreadHandle == NULL ? NtCurrentThread() : ThreadHandle;
    PVOID Object;
    NTSTATUS Status = ObReferenceObjectByHandle(Handle, THREAD_TERMINATE, PsThreadType, KiPreviousMode(), &Object, NULL);

    if (NT_SUCCESS(Status)) {
        PETHREAD Thread = Object;

        if (Thread->Tcb.Teb == 0) {
            Status = STATUS_INVALID_PARAMETER;
        } else if (&Thread->Tcb == KiCurrentThread()) {
            ObDereferenceObject(Object); /* the running thread has a reference of its own */
            PsTerminateThread(Thread, ExitStatus);
        } else {
            PsTerminateThread(Thread, ExitStatus);
        }
        ObDereferenceObject(Object);
    }
    return Status;
}

/* --- Making ------------------------------------------------------------------------------------------------ */

/*
 * Make a thread of a program that calls StartRoutine(Argument). Flags, ZeroBits and attributes other than none:
 * STATUS_INVALID_PARAMETER. STATUS_PROCESS_IS_TERMINATING, those of the handle, no memory. The handle is the caller's to close.
 */
NTSTATUS NTAPI
ZwCreateThreadEx(PHANDLE ThreadHandle, ACCESS_MASK DesiredAccess, POBJECT_ATTRIBUTES ObjectAttributes, HANDLE ProcessHandle,
                 PVOID StartRoutine, PVOID Argument, ULONG CreateFlags, SIZE_T ZeroBits, SIZE_T StackSize,
                 SIZE_T MaximumStackSize, PVOID AttributeList)
{
    KPROCESSOR_MODE Mode = KiPreviousMode();
    PS_USER_START Start = {.StartRoutine = (ULONG_PTR)StartRoutine, .Argument = (ULONG_PTR)Argument,
                           .StackCommit = StackSize, .StackReserve = MaximumStackSize};
    PETHREAD Thread;
    PVOID Process;
    HANDLE Handle;
    NTSTATUS Status = KiProbeResult(ThreadHandle, sizeof(HANDLE), Mode);

    UNREFERENCED_PARAMETER(ObjectAttributes);
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    if (CreateFlags != 0 || ZeroBits != 0 || AttributeList != NULL) {
        return STATUS_INVALID_PARAMETER;
    }
    Status = ObReferenceObjectByHandle(ProcessHandle, PROCESS_CREATE_THREAD, PsProcessType, Mode, &Process, NULL);
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Status = PsCreateUserThread(Process, &Start, &Thread);
    ObDereferenceObject(Process);
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Status = ObMakeHandle(Thread, DesiredAccess, 0, &Handle);
    ObDereferenceObject(Thread);
    return NT_SUCCESS(Status) ? KiReturnResult(ThreadHandle, &Handle, sizeof(Handle), Mode) : Status;
}

/* --- Asking ------------------------------------------------------------------------------------------------ */

typedef struct _NTP_PROCESS_BASIC {
    NTSTATUS ExitStatus;
    ULONG_PTR PebBaseAddress;
    ULONG_PTR AffinityMask;
    LONG BasePriority;
    ULONG_PTR UniqueProcessId;
    ULONG_PTR InheritedFromUniqueProcessId;
} NTP_PROCESS_BASIC;
C_ASSERT(sizeof(NTP_PROCESS_BASIC) == 0x30);

typedef struct _NTP_VM_COUNTERS {
    SIZE_T PeakVirtualSize;
    SIZE_T VirtualSize;
    ULONG PageFaultCount;
    SIZE_T PeakWorkingSetSize;
    SIZE_T WorkingSetSize;
    SIZE_T QuotaPeakPagedPoolUsage;
    SIZE_T QuotaPagedPoolUsage;
    SIZE_T QuotaPeakNonPagedPoolUsage;
    SIZE_T QuotaNonPagedPoolUsage;
    SIZE_T PagefileUsage;
    SIZE_T PeakPagefileUsage;
} NTP_VM_COUNTERS;
C_ASSERT(sizeof(NTP_VM_COUNTERS) == 0x58);

#define NTP_PROCESS_BASIC_INFORMATION 0
#define NTP_PROCESS_VM_COUNTERS 3

/*
 * What there is to know of a process: basic information (0) and memory counters (3). STATUS_INVALID_INFO_CLASS,
 * STATUS_INFO_LENGTH_MISMATCH, those of the handle.
 */
NTSTATUS NTAPI
ZwQueryInformationProcess(HANDLE ProcessHandle, ULONG InformationClass, PVOID Information, ULONG Length, PULONG ReturnLength)
{
    KPROCESSOR_MODE Mode = KiPreviousMode();
    NTP_PROCESS_BASIC Basic = {0};
    NTP_VM_COUNTERS Counters = {0};
    PMI_ADDRESS_SPACE Space;
    PVOID Process;
    NTSTATUS Status;

    if (InformationClass != NTP_PROCESS_BASIC_INFORMATION && InformationClass != NTP_PROCESS_VM_COUNTERS) {
        return STATUS_INVALID_INFO_CLASS;
    }
    Status = ObReferenceObjectByHandle(ProcessHandle, PROCESS_QUERY_INFORMATION, PsProcessType, Mode, &Process, NULL);
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    if (InformationClass == NTP_PROCESS_BASIC_INFORMATION) {
        Basic.ExitStatus = PsGetProcessExitStatus(Process);
        Basic.PebBaseAddress = (ULONG_PTR)PsGetProcessPeb(Process);
        Basic.AffinityMask = NtpAllProcessors();
        Basic.BasePriority = 8;
        Basic.UniqueProcessId = (ULONG_PTR)PsGetProcessId(Process);
        Status = NtpReturnInformation(Information, Length, ReturnLength, &Basic, sizeof(Basic));
    } else {
        Space = MiProcessSpace(Process);
        Counters.VirtualSize = Space->VirtualPages << PAGE_SHIFT;
        Counters.PeakVirtualSize = Space->PeakVirtualPages << PAGE_SHIFT;
        Counters.PageFaultCount = (ULONG)Space->Faults;
        Counters.WorkingSetSize = Space->Resident << PAGE_SHIFT;
        Counters.PeakWorkingSetSize = Counters.WorkingSetSize;
        Counters.PagefileUsage = Space->CommitCharge << PAGE_SHIFT;
        Counters.PeakPagefileUsage = Space->PeakCommit << PAGE_SHIFT;
        Status = NtpReturnInformation(Information, Length, ReturnLength, &Counters, sizeof(Counters));
    }
    ObDereferenceObject(Process);
    return Status;
}
NTEXPORT(ZwQueryInformationProcess);
NTEXPORT_AS("NtQueryInformationProcess", ZwQueryInformationProcess);

/* Basic information of a thread (0). Statuses as above. */
NTSTATUS NTAPI
ZwQueryInformationThread(HANDLE ThreadHandle, ULONG InformationClass, PVOID Information, ULONG Length, PULONG ReturnLength)
{
    THREAD_BASIC_INFORMATION Basic = {0};
    PVOID Object;
    PETHREAD Thread;
    NTSTATUS Status;

    if (InformationClass != ThreadBasicInformation) {
        return STATUS_INVALID_INFO_CLASS;
    }
    Status = ObReferenceObjectByHandle(ThreadHandle, THREAD_QUERY_INFORMATION, PsThreadType, KiPreviousMode(), &Object, NULL);
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Thread = Object;
    Basic.ExitStatus = PsGetThreadExitStatus(Thread);
    Basic.TebBaseAddress = PsGetThreadTeb(Thread);
    Basic.ClientId = Thread->Cid;
    Basic.AffinityMask = Thread->Tcb.Affinity & NtpAllProcessors();
    Basic.Priority = Thread->Tcb.Priority;
    Basic.BasePriority = Thread->Tcb.BasePriority;
    Status = NtpReturnInformation(Information, Length, ReturnLength, &Basic, sizeof(Basic));
    ObDereferenceObject(Object);
    return Status;
}
NTEXPORT(ZwQueryInformationThread);
NTEXPORT_AS("NtQueryInformationThread", ZwQueryInformationThread);
