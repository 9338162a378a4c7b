/*
 * System services on the virtual memory of processes, as the kernel calls them (Zw and Nt alike: the caller is kernel mode,
 * whose pointers are trusted).
 *
 * Each: check what needs nothing else, read the arguments, find the process, call mm/va, write the results. The
 * caller's memory is touched before any lock is taken and after all are given back, because a touch may fault. Results are
 * written on success only. PASSIVE_LEVEL. Documents: "ZwAllocateVirtualMemory", "ZwFreeVirtualMemory",
 * "ZwProtectVirtualMemory", "ZwQueryVirtualMemory".
 */
#include <mm/va/va.h>
#include <ntexport.h>
#include <ob/ob.h>

/* The address space of a process handle; *Process is referenced. */
static NTSTATUS
NtpReferenceSpace(HANDLE ProcessHandle, ACCESS_MASK Access, PVOID *Process, PMI_ADDRESS_SPACE *Space)
{
    NTSTATUS Status =
        ObReferenceObjectByHandle(ProcessHandle, Access, PsProcessType, KernelMode, Process, NULL);

    if (NT_SUCCESS(Status)) {
        *Space = MiProcessSpace(*Process);
        if (*Space == NULL) {
            ObDereferenceObject(*Process);
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
    PMI_ADDRESS_SPACE Space;
    PVOID Process;
    NTSTATUS Status;

    ObRequirePassive();
    if (!NtpDecodeZeroBits(ZeroBits, &Request.Highest)) {
        return STATUS_INVALID_PARAMETER_3;
    }
    Request.Base = (ULONG_PTR)*BaseAddress;
    Request.Size = *RegionSize;
    Status = MiCheckAllocate(&Request);
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
        *BaseAddress = (PVOID)Request.Base;
        *RegionSize = Request.Size;
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
    Base = (ULONG_PTR)*BaseAddress;
    Size = *RegionSize;
    Status = MiCheckFree(Base, Size, FreeType);
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
        *BaseAddress = (PVOID)Base;
        *RegionSize = Size;
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
    Base = (ULONG_PTR)*BaseAddress;
    Size = *RegionSize;
    Status = MiCheckProtect(Base, Size, NewProtect);
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
        *BaseAddress = (PVOID)Base;
        *RegionSize = Size;
        *OldProtect = Old;
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
        *(PMEMORY_BASIC_INFORMATION)MemoryInformation = Information;
        if (ReturnLength != NULL) {
            *ReturnLength = sizeof(Information);
        }
    }
    return Status;
}
NTEXPORT(ZwQueryVirtualMemory);
NTEXPORT_AS("NtQueryVirtualMemory", ZwQueryVirtualMemory);
