/*
 * ntifs.h - ntddk.h and what the documents add to it for file systems and filters.
 *
 * "max" is the highest IRQL at which a routine may be called.
 */
#ifndef NTMM_NTIFS_H
#define NTMM_NTIFS_H

#include "ntddk.h"
#include "wdmzwps.h"

EXTERN_C_START

/* ---- Pool that raises instead of returning NULL. Not zeroed. max as for the pool type. ---- */

/* Raise STATUS_INSUFFICIENT_RESOURCES on failure; the second also charges the current process. */
NTKERNELAPI PVOID NTAPI FsRtlAllocatePoolWithTag(_In_ POOL_TYPE PoolType, _In_ ULONG NumberOfBytes,
                                                 _In_ ULONG Tag);
NTKERNELAPI PVOID NTAPI FsRtlAllocatePoolWithQuotaTag(_In_ POOL_TYPE PoolType,
                                                      _In_ ULONG NumberOfBytes, _In_ ULONG Tag);
#define FSRTL_POOL_TAG 0x5274734b
#define FsRtlAllocatePool(PoolType, NumberOfBytes)                                                 \
    FsRtlAllocatePoolWithTag(PoolType, NumberOfBytes, FSRTL_POOL_TAG)
#define FsRtlAllocatePoolWithQuota(PoolType, NumberOfBytes)                                        \
    FsRtlAllocatePoolWithQuotaTag(PoolType, NumberOfBytes, FSRTL_POOL_TAG)

/* A block's usable bytes, and whether quota was charged. For old binaries. max DISPATCH. */
NTKERNELAPI SIZE_T NTAPI ExQueryPoolBlockSize(_In_ PVOID PoolBlock, _Out_ PBOOLEAN QuotaCharged);

/* ---- Other address spaces ---- */

typedef struct _KAPC_STATE {
    LIST_ENTRY ApcListHead[MaximumMode];
    PKPROCESS Process;
    union {
        UCHAR InProgressFlags;
        struct {
            BOOLEAN KernelApcInProgress : 1;
            BOOLEAN SpecialApcInProgress : 1;
        };
    };
    BOOLEAN KernelApcPending;
    union {
        BOOLEAN UserApcPendingAll;
        struct {
            BOOLEAN SpecialUserApcPending : 1;
            BOOLEAN UserApcPending : 1;
        };
    };
} KAPC_STATE, *PKAPC_STATE, *PRKAPC_STATE;
C_ASSERT(sizeof(KAPC_STATE) == 0x30 && FIELD_OFFSET(KAPC_STATE, Process) == 0x20);
C_ASSERT(FIELD_OFFSET(KAPC_STATE, KernelApcPending) == 0x29);

/* Enter another process's address space and come back; nests. max APC. */
NTKERNELAPI VOID NTAPI KeStackAttachProcess(_Inout_ PRKPROCESS Process,
                                            _Out_ PRKAPC_STATE ApcState);
NTKERNELAPI VOID NTAPI KeUnstackDetachProcess(_In_ PRKAPC_STATE ApcState);

/* The older pair, which does not nest. */
NTKERNELAPI VOID NTAPI KeAttachProcess(_Inout_ PRKPROCESS Process);
NTKERNELAPI VOID NTAPI KeDetachProcess(VOID);

/* ---- Virtual memory of processes; all at PASSIVE ---- */

typedef struct _MEMORY_BASIC_INFORMATION {
    PVOID BaseAddress;
    PVOID AllocationBase;
    ULONG AllocationProtect;
    USHORT PartitionId;
    SIZE_T RegionSize;
    ULONG State;
    ULONG Protect;
    ULONG Type;
} MEMORY_BASIC_INFORMATION, *PMEMORY_BASIC_INFORMATION;
C_ASSERT(sizeof(MEMORY_BASIC_INFORMATION) == 0x30);
C_ASSERT(FIELD_OFFSET(MEMORY_BASIC_INFORMATION, RegionSize) == 0x18);
C_ASSERT(FIELD_OFFSET(MEMORY_BASIC_INFORMATION, Type) == 0x28);

typedef enum _MEMORY_INFORMATION_CLASS {
    MemoryBasicInformation = 0
} MEMORY_INFORMATION_CLASS;

/*
 * Reserve, commit or reset addresses of a process. *BaseAddress and *RegionSize receive the rounded values.
 * STATUS_INVALID_PARAMETER_2 (base), _3 (ZeroBits), _4 (size), _5 (type), STATUS_INVALID_PAGE_PROTECTION,
 * STATUS_CONFLICTING_ADDRESSES, STATUS_COMMITMENT_LIMIT, STATUS_PAGEFILE_QUOTA_EXCEEDED, STATUS_NO_MEMORY,
 * STATUS_PROCESS_IS_TERMINATING, and those of the handle.
 */
NTSYSAPI NTSTATUS NTAPI ZwAllocateVirtualMemory(_In_ HANDLE ProcessHandle, _Inout_ PVOID *BaseAddress,
                                                _In_ ULONG_PTR ZeroBits, _Inout_ PSIZE_T RegionSize,
                                                _In_ ULONG AllocationType, _In_ ULONG Protect);
NTSYSAPI NTSTATUS NTAPI NtAllocateVirtualMemory(_In_ HANDLE ProcessHandle, _Inout_ PVOID *BaseAddress,
                                                _In_ ULONG_PTR ZeroBits, _Inout_ PSIZE_T RegionSize,
                                                _In_ ULONG AllocationType, _In_ ULONG Protect);

/*
 * MEM_DECOMMIT or MEM_RELEASE. STATUS_INVALID_PARAMETER_2, _3, _4, STATUS_MEMORY_NOT_ALLOCATED,
 * STATUS_FREE_VM_NOT_AT_BASE, STATUS_UNABLE_TO_FREE_VM, STATUS_UNABLE_TO_DELETE_SECTION,
 * STATUS_INVALID_PAGE_PROTECTION (secured).
 */
NTSYSAPI NTSTATUS NTAPI ZwFreeVirtualMemory(_In_ HANDLE ProcessHandle, _Inout_ PVOID *BaseAddress,
                                            _Inout_ PSIZE_T RegionSize, _In_ ULONG FreeType);
NTSYSAPI NTSTATUS NTAPI NtFreeVirtualMemory(_In_ HANDLE ProcessHandle, _Inout_ PVOID *BaseAddress,
                                            _Inout_ PSIZE_T RegionSize, _In_ ULONG FreeType);

/* Other rights for committed pages of one region; *OldProtect is those of the first page. */
NTSYSAPI NTSTATUS NTAPI ZwProtectVirtualMemory(_In_ HANDLE ProcessHandle, _Inout_ PVOID *BaseAddress,
                                               _Inout_ PSIZE_T RegionSize, _In_ ULONG NewProtect,
                                               _Out_ PULONG OldProtect);
NTSYSAPI NTSTATUS NTAPI NtProtectVirtualMemory(_In_ HANDLE ProcessHandle, _Inout_ PVOID *BaseAddress,
                                               _Inout_ PSIZE_T RegionSize, _In_ ULONG NewProtect,
                                               _Out_ PULONG OldProtect);

/*
 * Copy from and to another process; *Done receives the bytes, also with STATUS_PARTIAL_COPY.
 * STATUS_ACCESS_VIOLATION: a range that the caller may not name.
 */
NTSYSAPI NTSTATUS NTAPI NtReadVirtualMemory(_In_ HANDLE ProcessHandle, _In_ PVOID BaseAddress, _Out_ PVOID Buffer,
                                            _In_ SIZE_T NumberOfBytesToRead, _Out_opt_ PSIZE_T NumberOfBytesRead);
NTSYSAPI NTSTATUS NTAPI NtWriteVirtualMemory(_In_ HANDLE ProcessHandle, _In_ PVOID BaseAddress, _In_ PVOID Buffer,
                                             _In_ SIZE_T NumberOfBytesToWrite,
                                             _Out_opt_ PSIZE_T NumberOfBytesWritten);

/*
 * Pages of a MEM_WRITE_WATCH region that were written, ascending, as many as there is room for, and how large a page is;
 * with the flag those are reset. STATUS_INVALID_PARAMETER_2 (flags), _3 (not in one such region), _4 (size), _5 (no room).
 */
#define WRITE_WATCH_FLAG_RESET 0x1
NTSYSAPI NTSTATUS NTAPI NtGetWriteWatch(_In_ HANDLE ProcessHandle, _In_ ULONG Flags, _In_ PVOID BaseAddress,
                                        _In_ SIZE_T RegionSize, _Out_ PVOID *UserAddressArray,
                                        _Inout_ PULONG_PTR EntriesInUserAddressArray, _Out_ PULONG Granularity);
NTSYSAPI NTSTATUS NTAPI NtResetWriteWatch(_In_ HANDLE ProcessHandle, _In_ PVOID BaseAddress, _In_ SIZE_T RegionSize);

/* What is at an address. STATUS_INVALID_PARAMETER: no user address; STATUS_INFO_LENGTH_MISMATCH;
 * STATUS_INVALID_INFO_CLASS. */
NTSYSAPI NTSTATUS NTAPI ZwQueryVirtualMemory(_In_ HANDLE ProcessHandle, _In_opt_ PVOID BaseAddress,
                                             _In_ MEMORY_INFORMATION_CLASS MemoryInformationClass,
                                             _Out_writes_bytes_to_(MemoryInformationLength, *ReturnLength) PVOID
                                                 MemoryInformation,
                                             _In_ SIZE_T MemoryInformationLength,
                                             _Out_opt_ PSIZE_T ReturnLength);
NTSYSAPI NTSTATUS NTAPI NtQueryVirtualMemory(_In_ HANDLE ProcessHandle, _In_opt_ PVOID BaseAddress,
                                             _In_ MEMORY_INFORMATION_CLASS MemoryInformationClass,
                                             _Out_writes_bytes_to_(MemoryInformationLength, *ReturnLength) PVOID
                                                 MemoryInformation,
                                             _In_ SIZE_T MemoryInformationLength,
                                             _Out_opt_ PSIZE_T ReturnLength);

/* Copy between address spaces, probing what PreviousMode may touch. STATUS_PARTIAL_COPY with the
 * count if it stops midway. max APC. */
NTKERNELAPI NTSTATUS NTAPI MmCopyVirtualMemory(_In_ PEPROCESS FromProcess,
                                               _In_ const VOID *FromAddress,
                                               _In_ PEPROCESS ToProcess, _Out_ PVOID ToAddress,
                                               _In_ SIZE_T BufferSize,
                                               _In_ KPROCESSOR_MODE PreviousMode,
                                               _Out_ PSIZE_T NumberOfBytesCopied);

/* ---- Kernel stacks ---- */

/* Allow or forbid paging of the current thread's stack; the old state is returned. A thread that
 * ends with it forbidden: bug check 0x94. PASSIVE. */
NTKERNELAPI BOOLEAN NTAPI KeSetKernelStackSwapEnable(_In_ BOOLEAN Enable);

/* Bounds of the current thread's stack. Any IRQL. */
NTKERNELAPI PVOID NTAPI PsGetCurrentThreadStackBase(VOID);
NTKERNELAPI PVOID NTAPI PsGetCurrentThreadStackLimit(VOID);

/* Up to FramesToCapture return addresses of the caller, FramesToSkip left out; their number. Any
 * IRQL. */
NTSYSAPI USHORT NTAPI RtlCaptureStackBackTrace(
    _In_ ULONG FramesToSkip, _In_ ULONG FramesToCapture,
    _Out_writes_to_(FramesToCapture, return) PVOID *BackTrace, _Out_opt_ PULONG BackTraceHash);
NTSYSAPI ULONG NTAPI RtlWalkFrameChain(_Out_writes_(Count) PVOID *Callers, _In_ ULONG Count,
                                       _In_ ULONG Flags);

/* ---- Memory and strings ---- */

/* Bytes at the start of Source that repeat Pattern; 0 unless address and length are multiples of
 * four. Fill a range with a pattern; the same multiples. */
NTSYSAPI SIZE_T NTAPI RtlCompareMemoryUlong(_In_reads_bytes_(Length) PVOID Source,
                                            _In_ SIZE_T Length, _In_ ULONG Pattern);
NTSYSAPI VOID NTAPI RtlFillMemoryUlong(_Out_writes_bytes_(Length) PVOID Destination,
                                       _In_ SIZE_T Length, _In_ ULONG Pattern);

/* The same with eight bytes; pointer and length are multiples of eight. */
FORCEINLINE VOID
RtlFillMemoryUlonglong(_Out_writes_bytes_(Length) PVOID Destination, _In_ SIZE_T Length,
                       _In_ ULONGLONG Pattern)
{
    for (SIZE_T Index = 0; Index < Length / sizeof(ULONGLONG); Index += 1) {
        ((PULONGLONG)Destination)[Index] = Pattern;
    }
}

/* Append; STATUS_BUFFER_TOO_SMALL and no change if it does not fit. TRUE if String2 ends with
 * String1. A copy of a terminated string that RtlFreeUnicodeString frees; FALSE without memory. */
NTSYSAPI NTSTATUS NTAPI RtlAppendStringToString(_Inout_ PSTRING Destination,
                                                _In_ const STRING *Source);
NTSYSAPI BOOLEAN NTAPI RtlSuffixUnicodeString(_In_ PCUNICODE_STRING String1,
                                              _In_ PCUNICODE_STRING String2,
                                              _In_ BOOLEAN CaseInSensitive);
NTSYSAPI BOOLEAN NTAPI RtlCreateUnicodeString(_Out_ PUNICODE_STRING DestinationString,
                                              _In_z_ PCWSTR SourceString);

/* Pseudo-random numbers from 0 to MAXLONG - 1; *Seed is the state. */
NTSYSAPI ULONG NTAPI RtlUniform(_Inout_ PULONG Seed);
NTSYSAPI ULONG NTAPI RtlRandom(_Inout_ PULONG Seed);
NTSYSAPI ULONG NTAPI RtlRandomEx(_Inout_ PULONG Seed);

/* Lower case. The destination is allocated on request and freed by RtlFreeUnicodeString;
 * STATUS_NO_MEMORY, STATUS_BUFFER_OVERFLOW. PASSIVE. */
NTSYSAPI NTSTATUS NTAPI RtlDowncaseUnicodeString(_Inout_ PUNICODE_STRING DestinationString,
                                                 _In_ PCUNICODE_STRING SourceString,
                                                 _In_ BOOLEAN AllocateDestinationString);
NTSYSAPI WCHAR NTAPI RtlDowncaseUnicodeChar(_In_ WCHAR SourceCharacter);

/* A number from text; base 0 asks the text. STATUS_INVALID_PARAMETER. PASSIVE. */
NTSYSAPI NTSTATUS NTAPI RtlCharToInteger(_In_z_ PCSZ String, _In_opt_ ULONG Base,
                                         _Out_ PULONG Value);

/* A copy in paged pool, which RtlFreeUnicodeString frees. Flags: 1 adds a terminator, 2 allocates
 * even for an empty string. STATUS_NO_MEMORY, STATUS_NAME_TOO_LONG. PASSIVE. */
#define RTL_DUPLICATE_UNICODE_STRING_NULL_TERMINATE 1
#define RTL_DUPLICATE_UNICODE_STRING_ALLOCATE_NULL_STRING 2
NTSYSAPI NTSTATUS NTAPI RtlDuplicateUnicodeString(_In_ ULONG Flags, _In_ PCUNICODE_STRING StringIn,
                                                  _Out_ PUNICODE_STRING StringOut);

/* ---- Objects ---- */

/* A handle for an object the caller has a pointer to. STATUS_OBJECT_TYPE_MISMATCH,
 * STATUS_INSUFFICIENT_RESOURCES. PASSIVE. */
NTKERNELAPI NTSTATUS NTAPI ObOpenObjectByPointer(_In_ PVOID Object, _In_ ULONG HandleAttributes,
                                                 _In_opt_ PACCESS_STATE PassedAccessState,
                                                 _In_ ACCESS_MASK DesiredAccess,
                                                 _In_opt_ POBJECT_TYPE ObjectType,
                                                 _In_ KPROCESSOR_MODE AccessMode,
                                                 _Out_ PHANDLE Handle);

NTKERNELAPI NTSTATUS NTAPI ObOpenObjectByPointerWithTag(
    _In_ PVOID Object, _In_ ULONG HandleAttributes, _In_opt_ PACCESS_STATE PassedAccessState,
    _In_ ACCESS_MASK DesiredAccess, _In_opt_ POBJECT_TYPE ObjectType,
    _In_ KPROCESSOR_MODE AccessMode, _In_ ULONG Tag, _Out_ PHANDLE Handle);

/* Events by handle: make, open, change (the state before is returned), wait. PASSIVE. */
NTSYSAPI NTSTATUS NTAPI ZwCreateEvent(_Out_ PHANDLE EventHandle, _In_ ACCESS_MASK DesiredAccess,
                                      _In_opt_ POBJECT_ATTRIBUTES ObjectAttributes,
                                      _In_ EVENT_TYPE EventType, _In_ BOOLEAN InitialState);
NTSYSAPI NTSTATUS NTAPI ZwOpenEvent(_Out_ PHANDLE EventHandle, _In_ ACCESS_MASK DesiredAccess,
                                    _In_ POBJECT_ATTRIBUTES ObjectAttributes);
NTSYSAPI NTSTATUS NTAPI ZwSetEvent(_In_ HANDLE EventHandle, _Out_opt_ PLONG PreviousState);
NTSYSAPI NTSTATUS NTAPI ZwResetEvent(_In_ HANDLE EventHandle, _Out_opt_ PLONG PreviousState);
NTSYSAPI NTSTATUS NTAPI ZwClearEvent(_In_ HANDLE EventHandle);
NTSYSAPI NTSTATUS NTAPI ZwWaitForSingleObject(_In_ HANDLE Handle, _In_ BOOLEAN Alertable,
                                              _In_opt_ PLARGE_INTEGER Timeout);

/* Another handle to the same object. PASSIVE. */
#define DUPLICATE_CLOSE_SOURCE 0x1
#define DUPLICATE_SAME_ACCESS 0x2
#define DUPLICATE_SAME_ATTRIBUTES 0x4
NTSYSAPI NTSTATUS NTAPI ZwDuplicateObject(_In_ HANDLE SourceProcessHandle, _In_ HANDLE SourceHandle,
                                          _In_opt_ HANDLE TargetProcessHandle,
                                          _Out_opt_ PHANDLE TargetHandle,
                                          _In_ ACCESS_MASK DesiredAccess,
                                          _In_ ULONG HandleAttributes, _In_ ULONG Options);

/* ---- Processes and threads ---- */

/* Find by id and reference: STATUS_INVALID_PARAMETER (threads), STATUS_INVALID_CID. max APC. */
NTKERNELAPI NTSTATUS NTAPI PsLookupProcessByProcessId(_In_ HANDLE ProcessId,
                                                      _Out_ PEPROCESS *Process);
NTKERNELAPI NTSTATUS NTAPI PsLookupThreadByThreadId(_In_ HANDLE ThreadId, _Out_ PETHREAD *Thread);

/* Of a thread: whether it is ending, what it ended with (STATUS_PENDING while it runs), its process. */
NTKERNELAPI BOOLEAN NTAPI PsIsThreadTerminating(_In_ PETHREAD Thread);
NTKERNELAPI NTSTATUS NTAPI PsGetThreadExitStatus(_In_ PETHREAD Thread);
NTKERNELAPI PEPROCESS NTAPI PsGetThreadProcess(_In_ PETHREAD Thread);
NTKERNELAPI PEPROCESS NTAPI IoThreadToProcess(_In_ PETHREAD Thread);

/* ---- Quota: bytes of pool charged to a process; the System process is exempt. STATUS_QUOTA_EXCEEDED is raised
 * by the first, returned by the second. Returning more than is charged: bug check 0x21. ---- */
NTKERNELAPI VOID NTAPI PsChargePoolQuota(_In_ PEPROCESS Process, _In_ POOL_TYPE PoolType,
                                         _In_ ULONG_PTR Amount);
NTKERNELAPI NTSTATUS NTAPI PsChargeProcessPoolQuota(_In_ PEPROCESS Process, _In_ POOL_TYPE PoolType,
                                                    _In_ ULONG_PTR Amount);
NTKERNELAPI VOID NTAPI PsReturnPoolQuota(_In_ PEPROCESS Process, _In_ POOL_TYPE PoolType,
                                         _In_ ULONG_PTR Amount);
NTKERNELAPI VOID NTAPI PsReturnProcessNonPagedPoolQuota(_In_ PEPROCESS Process, _In_ SIZE_T Amount);
NTKERNELAPI VOID NTAPI PsReturnProcessPagedPoolQuota(_In_ PEPROCESS Process, _In_ SIZE_T Amount);

/* ---- Removable media: what file systems and drivers tell each other. max DISPATCH. ---- */

NTKERNELAPI VOID NTAPI IoAcquireVpbSpinLock(_Out_ PKIRQL Irql);
NTKERNELAPI VOID NTAPI IoReleaseVpbSpinLock(_In_ KIRQL Irql);
NTKERNELAPI VOID NTAPI IoSetHardErrorOrVerifyDevice(_In_ PIRP Irp, _In_ PDEVICE_OBJECT DeviceObject);
NTKERNELAPI PDEVICE_OBJECT NTAPI IoGetDeviceToVerify(_In_ PETHREAD Thread);
NTKERNELAPI VOID NTAPI IoSetDeviceToVerify(_In_ PETHREAD Thread, _In_opt_ PDEVICE_OBJECT DeviceObject);

/* ---- Privileges. PASSIVE. ---- */

#define SE_CHANGE_NOTIFY_PRIVILEGE 23

/* Kernel mode has them all; programs, of which no tokens are kept, the one above. */
NTKERNELAPI BOOLEAN NTAPI SeSinglePrivilegeCheck(_In_ LUID PrivilegeValue, _In_ KPROCESSOR_MODE PreviousMode);

/* ---- Strings in the OEM code page. PASSIVE. A buffer that was allocated is given back by RtlFreeUnicodeString or
 * RtlFreeOemString. ---- */

NTSYSAPI NTSTATUS NTAPI RtlOemStringToUnicodeString(_Inout_ PUNICODE_STRING DestinationString,
                                                    _In_ PCOEM_STRING SourceString,
                                                    _In_ BOOLEAN AllocateDestinationString);
NTSYSAPI NTSTATUS NTAPI RtlOemStringToCountedUnicodeString(_Inout_ PUNICODE_STRING DestinationString,
                                                           _In_ PCOEM_STRING SourceString,
                                                           _In_ BOOLEAN AllocateDestinationString);
NTSYSAPI NTSTATUS NTAPI RtlUnicodeStringToOemString(_Inout_ POEM_STRING DestinationString,
                                                    _In_ PCUNICODE_STRING SourceString,
                                                    _In_ BOOLEAN AllocateDestinationString);
NTSYSAPI NTSTATUS NTAPI RtlUpcaseUnicodeStringToOemString(_Inout_ POEM_STRING DestinationString,
                                                          _In_ PCUNICODE_STRING SourceString,
                                                          _In_ BOOLEAN AllocateDestinationString);
/* Without terminator; STATUS_UNMAPPABLE_CHARACTER for what the code page lacks. */
NTSYSAPI NTSTATUS NTAPI RtlUnicodeStringToCountedOemString(_Inout_ POEM_STRING DestinationString,
                                                           _In_ PCUNICODE_STRING SourceString,
                                                           _In_ BOOLEAN AllocateDestinationString);
NTSYSAPI NTSTATUS NTAPI RtlUpcaseUnicodeStringToCountedOemString(_Inout_ POEM_STRING DestinationString,
                                                                 _In_ PCUNICODE_STRING SourceString,
                                                                 _In_ BOOLEAN AllocateDestinationString);
NTSYSAPI VOID NTAPI RtlFreeOemString(_Inout_ POEM_STRING OemString);
NTSYSAPI ULONG NTAPI RtlxOemStringToUnicodeSize(_In_ PCOEM_STRING OemString);
NTSYSAPI ULONG NTAPI RtlxUnicodeStringToOemSize(_In_ PCUNICODE_STRING UnicodeString);
#define RtlOemStringToUnicodeSize(String) RtlxOemStringToUnicodeSize(String)
#define RtlUnicodeStringToOemSize(String) RtlxUnicodeStringToOemSize(String)
#define RtlOemStringToCountedUnicodeSize(String) ((ULONG)((String)->Length * sizeof(WCHAR)))

/* By counts of bytes; as much as fits, then STATUS_BUFFER_OVERFLOW. Any IRQL. */
NTSYSAPI NTSTATUS NTAPI RtlOemToUnicodeN(_Out_writes_bytes_(MaxBytesInUnicodeString) PWCH UnicodeString,
                                         _In_ ULONG MaxBytesInUnicodeString, _Out_opt_ PULONG BytesInUnicodeString,
                                         _In_reads_bytes_(BytesInOemString) PCCH OemString,
                                         _In_ ULONG BytesInOemString);
NTSYSAPI NTSTATUS NTAPI RtlUnicodeToOemN(_Out_writes_bytes_(MaxBytesInOemString) PCHAR OemString,
                                         _In_ ULONG MaxBytesInOemString, _Out_opt_ PULONG BytesInOemString,
                                         _In_reads_bytes_(BytesInUnicodeString) PCWCH UnicodeString,
                                         _In_ ULONG BytesInUnicodeString);
NTSYSAPI NTSTATUS NTAPI RtlUpcaseUnicodeToOemN(_Out_writes_bytes_(MaxBytesInOemString) PCHAR OemString,
                                               _In_ ULONG MaxBytesInOemString, _Out_opt_ PULONG BytesInOemString,
                                               _In_reads_bytes_(BytesInUnicodeString) PCWCH UnicodeString,
                                               _In_ ULONG BytesInUnicodeString);

/* TRUE if the thread is a system thread. */
NTKERNELAPI BOOLEAN NTAPI PsIsSystemThread(_In_ PETHREAD Thread);

EXTERN_C_END

#endif
