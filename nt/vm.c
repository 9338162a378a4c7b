/*
 * System services on the virtual memory of processes.
 *
 * Each: check what needs nothing else, read the arguments, find the process, call mm/va, write the results. The
 * caller's memory is touched before any lock is taken and after all are given back, because a touch may fault. Results are
 * written on success only. PASSIVE_LEVEL. Documents: "ZwAllocateVirtualMemory", "ZwFreeVirtualMemory",
 * "ZwProtectVirtualMemory", "ZwQueryVirtualMemory".
 */
#include <ke/user.h>
#include <mm/va/va.h>
#include <ntexport.h>
#include <ob/ob.h>

/* The address space of a process handle; *Process is referenced. */
static NTSTATUS
NtpReferenceSpace(HANDLE ProcessHandle, ACCESS_MASK Access, PVOID *Process, PMI_ADDRESS_SPACE *Space)
{
    NTSTATUS Status =
        ObReferenceObjectByHandle(ProcessHandle, Access, PsProcessType, KiPreviousMode(), Process, NULL);

    if (NT_SUCCESS(Status)) {
        *Space = MiProcessSpace(*Process);
        if (*Space == NULL) {
            ObDereferenceObject(*Process);
            return STATUS_PROCESS_IS_TERMINATING;
        }
    }
    return Status;
}

/* The range a service is to work on, where its result goes too: both must be writable. */
static NTSTATUS
NtpCaptureRange(PVOID *BaseAddress, PSIZE_T RegionSize, PULONG_PTR Base, PSIZE_T Size)
{
    KPROCESSOR_MODE Mode = KiPreviousMode();
    NTSTATUS Status = KiProbeResult(BaseAddress, sizeof(*BaseAddress), Mode);

    if (NT_SUCCESS(Status)) {
        Status = KiProbeResult(RegionSize, sizeof(*RegionSize), Mode);
    }
    if (NT_SUCCESS(Status)) {
        Status = KiCaptureArgument(Base, BaseAddress, sizeof(*Base), Mode);
    }
    return NT_SUCCESS(Status) ? KiCaptureArgument(Size, RegionSize, sizeof(*Size), Mode) : Status;
}

/* The memory was writable when it was captured; that it no longer is does not undo what was done. */
static VOID
NtpReturnRange(PVOID *BaseAddress, PSIZE_T RegionSize, ULONG_PTR Base, SIZE_T Size)
{
    KPROCESSOR_MODE Mode = KiPreviousMode();

    KiReturnResult(BaseAddress, &Base, sizeof(Base), Mode);
    KiReturnResult(RegionSize, &Size, sizeof(Size), Mode);
}

/* --- Allocating ------------------------------------------------------------------------------- */

/* The limit that ZeroBits sets: *Highest is the first address behind, 0 if there is none. FALSE: illegal. */
static BOOLEAN
NtpDecodeZeroBits(ULONG_PTR ZeroBits, PULONG_PTR Highest)
{
    *Highest = 0;
    if (ZeroBits >= 32) {
        ULONG Leading = (ULONG)__builtin_clzll(ZeroBits);

        if (Leading != 0) {
            *Highest = 1ull << (64 - Leading);
        }
        return TRUE;
    }
    if (ZeroBits > 21) {
        return FALSE;
    }
    if (ZeroBits != 0) {
        *Highest = 1ull << (32 - ZeroBits);
    }
    return TRUE;
}

NTSTATUS NTAPI
ZwAllocateVirtualMemory(HANDLE ProcessHandle, PVOID *BaseAddress, ULONG_PTR ZeroBits, PSIZE_T RegionSize,
                        ULONG AllocationType, ULONG Protect)
{
    MI_ALLOCATE Request = {.Type = AllocationType, .Protect = Protect};
    PMI_ADDRESS_SPACE Space;
    PVOID Process;
    NTSTATUS Status;

    ObRequirePassive();
    if (!NtpDecodeZeroBits(ZeroBits, &Request.Highest)) {
        return STATUS_INVALID_PARAMETER_3;
    }
    Status = NtpCaptureRange(BaseAddress, RegionSize, &Request.Base, &Request.Size);
    if (NT_SUCCESS(Status)) {
        Status = MiCheckAllocate(&Request);
    }
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Status = NtpReferenceSpace(ProcessHandle, PROCESS_VM_OPERATION, &Process, &Space);
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Status = MiAllocateVirtual(Space, &Request);
    ObDereferenceObject(Process);
    if (NT_SUCCESS(Status)) {
        NtpReturnRange(BaseAddress, RegionSize, Request.Base, Request.Size);
    }
    return Status;
}
NTEXPORT(ZwAllocateVirtualMemory);
NTEXPORT_AS("NtAllocateVirtualMemory", ZwAllocateVirtualMemory);

/* --- Freeing ---------------------------------------------------------------------------------- */

NTSTATUS NTAPI
ZwFreeVirtualMemory(HANDLE ProcessHandle, PVOID *BaseAddress, PSIZE_T RegionSize, ULONG FreeType)
{
    PMI_ADDRESS_SPACE Space;
    ULONG_PTR Base;
    SIZE_T Size;
    PVOID Process;
    NTSTATUS Status;

    ObRequirePassive();
    Status = NtpCaptureRange(BaseAddress, RegionSize, &Base, &Size);
    if (NT_SUCCESS(Status)) {
        Status = MiCheckFree(Base, Size, FreeType);
    }
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Status = NtpReferenceSpace(ProcessHandle, PROCESS_VM_OPERATION, &Process, &Space);
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Status = MiFreeVirtual(Space, &Base, &Size, FreeType);
    ObDereferenceObject(Process);
    if (NT_SUCCESS(Status)) {
        NtpReturnRange(BaseAddress, RegionSize, Base, Size);
    }
    return Status;
}
NTEXPORT(ZwFreeVirtualMemory);
NTEXPORT_AS("NtFreeVirtualMemory", ZwFreeVirtualMemory);

/* --- Protecting ------------------------------------------------------------------------------- */

NTSTATUS NTAPI
ZwProtectVirtualMemory(HANDLE ProcessHandle, PVOID *BaseAddress, PSIZE_T RegionSize, ULONG NewProtect,
                       PULONG OldProtect)
{
    PMI_ADDRESS_SPACE Space;
    ULONG_PTR Base;
    SIZE_T Size;
    ULONG Old;
    PVOID Process;
    NTSTATUS Status;

    ObRequirePassive();
    if (OldProtect == NULL) {
        return STATUS_ACCESS_VIOLATION;
    }
    Status = NtpCaptureRange(BaseAddress, RegionSize, &Base, &Size);
    if (NT_SUCCESS(Status)) {
        Status = KiProbeResult(OldProtect, sizeof(*OldProtect), KiPreviousMode());
    }
    if (NT_SUCCESS(Status)) {
        Status = MiCheckProtect(Base, Size, NewProtect);
    }
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Status = NtpReferenceSpace(ProcessHandle, PROCESS_VM_OPERATION, &Process, &Space);
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Status = MiProtectVirtual(Space, &Base, &Size, NewProtect, &Old);
    ObDereferenceObject(Process);
    if (NT_SUCCESS(Status)) {
        NtpReturnRange(BaseAddress, RegionSize, Base, Size);
        KiReturnResult(OldProtect, &Old, sizeof(Old), KiPreviousMode());
    }
    return Status;
}
NTEXPORT(ZwProtectVirtualMemory);
NTEXPORT_AS("NtProtectVirtualMemory", ZwProtectVirtualMemory);

/* --- Querying --------------------------------------------------------------------------------- */

NTSTATUS NTAPI
ZwQueryVirtualMemory(HANDLE ProcessHandle, PVOID BaseAddress, MEMORY_INFORMATION_CLASS MemoryInformationClass,
                     PVOID MemoryInformation, SIZE_T MemoryInformationLength, PSIZE_T ReturnLength)
{
    MEMORY_BASIC_INFORMATION Information;
    PMI_ADDRESS_SPACE Space;
    PVOID Process;
    NTSTATUS Status;

    ObRequirePassive();
    if (MemoryInformationClass != MemoryBasicInformation) {
        return STATUS_INVALID_INFO_CLASS;
    }
    if (MemoryInformationLength < sizeof(Information)) {
        return STATUS_INFO_LENGTH_MISMATCH;
    }
    if ((ULONG_PTR)BaseAddress > (ULONG_PTR)MmHighestUserAddress) {
        return STATUS_INVALID_PARAMETER;
    }
    Status = NtpReferenceSpace(ProcessHandle, PROCESS_QUERY_INFORMATION, &Process, &Space);
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Status = MiQueryBasic(Space, (ULONG_PTR)BaseAddress, &Information);
    ObDereferenceObject(Process);
    if (NT_SUCCESS(Status)) {
        SIZE_T Returned = sizeof(Information);

        Status = KiReturnResult(MemoryInformation, &Information, sizeof(Information), KiPreviousMode());
        if (NT_SUCCESS(Status) && ReturnLength != NULL) {
            Status = KiReturnResult(ReturnLength, &Returned, sizeof(Returned), KiPreviousMode());
        }
    }
    return Status;
}
NTEXPORT(ZwQueryVirtualMemory);
NTEXPORT_AS("NtQueryVirtualMemory", ZwQueryVirtualMemory);
