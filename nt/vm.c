/*
 * System services on the virtual memory of processes, for kernel and user mode (Zw and Nt are the same routine: whose
 * rules hold is the thread's previous mode).
 *
 * Each: check what needs nothing else, read the arguments, find the process, call mm/va, write the results. The
 * caller's memory is touched before any lock is taken and after all are given back, because a touch may fault. Results are
 * written on success only. PASSIVE_LEVEL. Documents: "ZwAllocateVirtualMemory", "ZwFreeVirtualMemory",
 * "ZwProtectVirtualMemory", "ZwQueryVirtualMemory".
 */
#include "vmcall.h"
#include <ntexport.h>

/* Base and size, which come in and go out; both must take what goes out. */
static NTSTATUS
NtpCaptureRange(PNTP_VM_CALL Call, PVOID *BaseAddress, PSIZE_T RegionSize)
{
    NTSTATUS Status = KiProbeResult(BaseAddress, sizeof(*BaseAddress), Call->Mode);

    if (NT_SUCCESS(Status)) {
        Status = KiProbeResult(RegionSize, sizeof(*RegionSize), Call->Mode);
    }
    if (NT_SUCCESS(Status)) {
        Status = KiCaptureArgument(&Call->Base, BaseAddress, sizeof(Call->Base), Call->Mode);
    }
    return NT_SUCCESS(Status) ? KiCaptureArgument(&Call->Size, RegionSize, sizeof(Call->Size), Call->Mode) : Status;
}

static NTSTATUS
NtpReturnRange(PNTP_VM_CALL Call, PVOID *BaseAddress, PSIZE_T RegionSize)
{
    NTSTATUS Status = KiReturnResult(BaseAddress, &Call->Base, sizeof(Call->Base), Call->Mode);

    return NT_SUCCESS(Status) ? KiReturnResult(RegionSize, &Call->Size, sizeof(Call->Size), Call->Mode) : Status;
}

NTSTATUS
NtpReferenceSpace(PNTP_VM_CALL Call, HANDLE ProcessHandle, ACCESS_MASK Access)
{
    NTSTATUS Status = ObReferenceObjectByHandle(ProcessHandle, Access, PsProcessType, Call->Mode, &Call->Process, NULL);

    if (NT_SUCCESS(Status)) {
        Call->Space = MiProcessSpace(Call->Process);
        if (Call->Space == NULL) {
            ObDereferenceObject(Call->Process);
            return STATUS_PROCESS_IS_TERMINATING;
        }
    }
    return Status;
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
    NTP_VM_CALL Call = {.Mode = KiPreviousMode()};
    NTSTATUS Status;

    ObRequirePassive();
    if (!NtpDecodeZeroBits(ZeroBits, &Request.Highest)) {
        return STATUS_INVALID_PARAMETER_3;
    }
    Status = MiCheckAllocateType(&Request);
    if (NT_SUCCESS(Status)) {
        Status = NtpCaptureRange(&Call, BaseAddress, RegionSize);
    }
    if (NT_SUCCESS(Status)) {
        Request.Base = Call.Base;
        Request.Size = Call.Size;
        Status = MiCheckAllocateRange(&Request);
    }
    if (NT_SUCCESS(Status)) {
        Status = NtpReferenceSpace(&Call, ProcessHandle, PROCESS_VM_OPERATION);
    }
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Status = MiAllocateVirtual(Call.Space, &Request);
    ObDereferenceObject(Call.Process);
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Call.Base = Request.Base;
    Call.Size = Request.Size;
    return NtpReturnRange(&Call, BaseAddress, RegionSize);
}
NTEXPORT(ZwAllocateVirtualMemory);
NTEXPORT_AS("NtAllocateVirtualMemory", ZwAllocateVirtualMemory);

/* --- Freeing ---------------------------------------------------------------------------------- */

NTSTATUS NTAPI
ZwFreeVirtualMemory(HANDLE ProcessHandle, PVOID *BaseAddress, PSIZE_T RegionSize, ULONG FreeType)
{
    NTP_VM_CALL Call = {.Mode = KiPreviousMode()};
    NTSTATUS Status;

    ObRequirePassive();
    Status = NtpCaptureRange(&Call, BaseAddress, RegionSize);
    if (NT_SUCCESS(Status)) {
        Status = MiCheckFree(Call.Base, Call.Size, FreeType);
    }
    if (NT_SUCCESS(Status)) {
        Status = NtpReferenceSpace(&Call, ProcessHandle, PROCESS_VM_OPERATION);
    }
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Status = MiFreeVirtual(Call.Space, &Call.Base, &Call.Size, FreeType);
    ObDereferenceObject(Call.Process);
    return NT_SUCCESS(Status) ? NtpReturnRange(&Call, BaseAddress, RegionSize) : Status;
}
NTEXPORT(ZwFreeVirtualMemory);
NTEXPORT_AS("NtFreeVirtualMemory", ZwFreeVirtualMemory);

/* --- Protecting ------------------------------------------------------------------------------- */

NTSTATUS NTAPI
ZwProtectVirtualMemory(HANDLE ProcessHandle, PVOID *BaseAddress, PSIZE_T RegionSize, ULONG NewProtect,
                       PULONG OldProtect)
{
    NTP_VM_CALL Call = {.Mode = KiPreviousMode()};
    NTSTATUS Status;
    ULONG Old;

    ObRequirePassive();
    if (OldProtect == NULL) {
        return STATUS_ACCESS_VIOLATION;
    }
    Status = KiProbeResult(OldProtect, sizeof(*OldProtect), Call.Mode);
    if (NT_SUCCESS(Status)) {
        Status = NtpCaptureRange(&Call, BaseAddress, RegionSize);
    }
    if (NT_SUCCESS(Status)) {
        Status = MiCheckProtect(Call.Base, Call.Size, NewProtect);
    }
    if (NT_SUCCESS(Status)) {
        Status = NtpReferenceSpace(&Call, ProcessHandle, PROCESS_VM_OPERATION);
    }
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Status = MiProtectVirtual(Call.Space, &Call.Base, &Call.Size, NewProtect, &Old);
    ObDereferenceObject(Call.Process);
    if (NT_SUCCESS(Status)) {
        Status = NtpReturnRange(&Call, BaseAddress, RegionSize);
    }
    return NT_SUCCESS(Status) ? KiReturnResult(OldProtect, &Old, sizeof(Old), Call.Mode) : Status;
}
NTEXPORT(ZwProtectVirtualMemory);
NTEXPORT_AS("NtProtectVirtualMemory", ZwProtectVirtualMemory);

/* --- Querying --------------------------------------------------------------------------------- */

NTSTATUS NTAPI
ZwQueryVirtualMemory(HANDLE ProcessHandle, PVOID BaseAddress, MEMORY_INFORMATION_CLASS MemoryInformationClass,
                     PVOID MemoryInformation, SIZE_T MemoryInformationLength, PSIZE_T ReturnLength)
{
    NTP_VM_CALL Call = {.Mode = KiPreviousMode()};
    MEMORY_BASIC_INFORMATION Information;
    SIZE_T Length = sizeof(Information);
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
    Status = NtpReferenceSpace(&Call, ProcessHandle, PROCESS_QUERY_INFORMATION);
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Status = MiQueryBasic(Call.Space, (ULONG_PTR)BaseAddress, &Information);
    ObDereferenceObject(Call.Process);
    if (NT_SUCCESS(Status)) {
        Status = KiReturnResult(MemoryInformation, &Information, sizeof(Information), Call.Mode);
    }
    return NT_SUCCESS(Status) && ReturnLength != NULL ? KiReturnResult(ReturnLength, &Length, sizeof(Length), Call.Mode)
                                                      : Status;
}
NTEXPORT(ZwQueryVirtualMemory);
NTEXPORT_AS("NtQueryVirtualMemory", ZwQueryVirtualMemory);
