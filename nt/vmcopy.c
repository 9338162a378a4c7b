/*
 * System services that read and write another process's memory, and write watch. How they go: vm.c. Documents:
 * "NtReadVirtualMemory", "GetWriteWatch", "ResetWriteWatch".
 */
#include "vmcall.h"
#include <mm/pool/pool.h>
#include <ntexport.h>

#define NTP_WATCH_TAG 'tWtN' /* "NtWt" */

/* --- Copies ----------------------------------------------------------------------------------- */

/* May a caller of this mode name the range at all? */
static BOOLEAN
NtpMayName(const VOID *Address, SIZE_T Size, KPROCESSOR_MODE Mode)
{
    ULONG_PTR Start = (ULONG_PTR)Address;

    return Start + Size >= Start && (Mode == KernelMode || Start + Size <= MmUserProbeAddress);
}

/* Copy between the caller's process and the one that the handle names; Write: to that one. */
static NTSTATUS
NtpCopyVirtual(HANDLE ProcessHandle, PVOID BaseAddress, PVOID Buffer, SIZE_T Size, PSIZE_T Done, BOOLEAN Write)
{
    NTP_VM_CALL Call = {.Mode = KiPreviousMode()};
    PEPROCESS Self = (PEPROCESS)(PVOID)KiCurrentThread()->ActiveProcess;
    NTSTATUS Status = STATUS_SUCCESS, Returned;
    SIZE_T Copied = 0;

    ObRequirePassive();
    if (!NtpMayName(BaseAddress, Size, Call.Mode) || !NtpMayName(Buffer, Size, Call.Mode)) {
        return STATUS_ACCESS_VIOLATION;
    }
    if (Done != NULL) {
        Status = KiProbeResult(Done, sizeof(*Done), Call.Mode);
    }
    if (NT_SUCCESS(Status) && Size != 0) {
        Status = NtpReferenceSpace(&Call, ProcessHandle, Write ? PROCESS_VM_WRITE : PROCESS_VM_READ);
        if (NT_SUCCESS(Status)) {
            Status = Write ? MmCopyVirtualMemory(Self, Buffer, Call.Process, BaseAddress, Size, Call.Mode, &Copied)
                           : MmCopyVirtualMemory(Call.Process, BaseAddress, Self, Buffer, Size, Call.Mode, &Copied);
            ObDereferenceObject(Call.Process);
        }
    }
    if (Done != NULL && (NT_SUCCESS(Status) || Status == STATUS_PARTIAL_COPY)) {
        Returned = KiReturnResult(Done, &Copied, sizeof(Copied), Call.Mode);
        Status = NT_SUCCESS(Returned) ? Status : Returned;
    }
    return Status;
}

NTSTATUS NTAPI
NtReadVirtualMemory(HANDLE ProcessHandle, PVOID BaseAddress, PVOID Buffer, SIZE_T NumberOfBytesToRead,
                    PSIZE_T NumberOfBytesRead)
{
    return NtpCopyVirtual(ProcessHandle, BaseAddress, Buffer, NumberOfBytesToRead, NumberOfBytesRead, FALSE);
}
NTEXPORT(NtReadVirtualMemory);
NTEXPORT_AS("ZwReadVirtualMemory", NtReadVirtualMemory);

NTSTATUS NTAPI
NtWriteVirtualMemory(HANDLE ProcessHandle, PVOID BaseAddress, PVOID Buffer, SIZE_T NumberOfBytesToWrite,
                     PSIZE_T NumberOfBytesWritten)
{
    return NtpCopyVirtual(ProcessHandle, BaseAddress, Buffer, NumberOfBytesToWrite, NumberOfBytesWritten, TRUE);
}
NTEXPORT(NtWriteVirtualMemory);
NTEXPORT_AS("ZwWriteVirtualMemory", NtWriteVirtualMemory);

/* --- Write watch ------------------------------------------------------------------------------ */

/* The range of a region, in bytes. */
static NTSTATUS
NtpCheckWatchRange(ULONG_PTR Base, SIZE_T Size)
{
    if (Base > (ULONG_PTR)MmHighestUserAddress) {
        return STATUS_INVALID_PARAMETER_3;
    }
    return Size == 0 || Size > MmUserProbeAddress - Base ? STATUS_INVALID_PARAMETER_4 : STATUS_SUCCESS;
}

/* The results of a get: addresses, how many, and how large a page is. */
static NTSTATUS
NtpReturnWatch(const NTP_VM_CALL *Call, PVOID *Array, const ULONG_PTR *Addresses, PULONG_PTR Count, SIZE_T Found,
               PULONG Granularity)
{
    ULONG PageSize = PAGE_SIZE;
    NTSTATUS Status = KiReturnResult(Array, Addresses, Found * sizeof(ULONG_PTR), Call->Mode);

    if (NT_SUCCESS(Status)) {
        Status = KiReturnResult(Count, &Found, sizeof(Found), Call->Mode);
    }
    return NT_SUCCESS(Status) ? KiReturnResult(Granularity, &PageSize, sizeof(PageSize), Call->Mode) : Status;
}

NTSTATUS NTAPI
NtGetWriteWatch(HANDLE ProcessHandle, ULONG Flags, PVOID BaseAddress, SIZE_T RegionSize, PVOID *UserAddressArray,
                PULONG_PTR EntriesInUserAddressArray, PULONG Granularity)
{
    NTP_VM_CALL Call = {.Mode = KiPreviousMode()};
    PULONG_PTR Addresses;
    SIZE_T Count;
    NTSTATUS Status;

    ObRequirePassive();
    if ((Flags & ~(ULONG)WRITE_WATCH_FLAG_RESET) != 0) {
        return STATUS_INVALID_PARAMETER_2;
    }
    Status = NtpCheckWatchRange((ULONG_PTR)BaseAddress, RegionSize);
    if (NT_SUCCESS(Status)) {
        Status = KiProbeResult(Granularity, sizeof(*Granularity), Call.Mode);
    }
    if (NT_SUCCESS(Status)) {
        Status = KiProbeResult(EntriesInUserAddressArray, sizeof(*EntriesInUserAddressArray), Call.Mode);
    }
    if (NT_SUCCESS(Status)) {
        Status = KiCaptureArgument(&Count, EntriesInUserAddressArray, sizeof(Count), Call.Mode);
    }
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Count = MIN(Count, (RegionSize >> PAGE_SHIFT) + 2);
    if (Count == 0) {
        return STATUS_INVALID_PARAMETER_5;
    }
    Status = KiProbeResult(UserAddressArray, Count * sizeof(ULONG_PTR), Call.Mode);
    if (NT_SUCCESS(Status)) {
        Status = NtpReferenceSpace(&Call, ProcessHandle, PROCESS_VM_OPERATION);
    }
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Addresses = ExAllocatePool2(POOL_FLAG_NON_PAGED, Count * sizeof(ULONG_PTR), NTP_WATCH_TAG);
    Status = STATUS_INSUFFICIENT_RESOURCES;
    if (Addresses != NULL) {
        Status = MiGetWriteWatch(Call.Space, (ULONG_PTR)BaseAddress, RegionSize, Flags != 0, Addresses, &Count);
    }
    ObDereferenceObject(Call.Process);
    if (NT_SUCCESS(Status)) {
        Status = NtpReturnWatch(&Call, UserAddressArray, Addresses, EntriesInUserAddressArray, Count, Granularity);
    }
    if (Addresses != NULL) {
        ExFreePool(Addresses);
    }
    return Status;
}
NTEXPORT(NtGetWriteWatch);
NTEXPORT_AS("ZwGetWriteWatch", NtGetWriteWatch);

NTSTATUS NTAPI
NtResetWriteWatch(HANDLE ProcessHandle, PVOID BaseAddress, SIZE_T RegionSize)
{
    NTP_VM_CALL Call = {.Mode = KiPreviousMode()};
    NTSTATUS Status;

    ObRequirePassive();
    Status = NtpCheckWatchRange((ULONG_PTR)BaseAddress, RegionSize);
    if (NT_SUCCESS(Status)) {
        Status = NtpReferenceSpace(&Call, ProcessHandle, PROCESS_VM_OPERATION);
    }
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Status = MiResetWriteWatch(Call.Space, (ULONG_PTR)BaseAddress, RegionSize);
    ObDereferenceObject(Call.Process);
    return Status;
}
NTEXPORT(NtResetWriteWatch);
NTEXPORT_AS("ZwResetWriteWatch", NtResetWriteWatch);
