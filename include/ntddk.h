/*
 * ntddk.h - wdm.h and what the documents add to it for kernel-mode drivers in general.
 *
 * "max" is the highest IRQL at which a routine may be called.
 */
#ifndef NTMM_NTDDK_H
#define NTMM_NTDDK_H

#include "wdm.h"
#include "wdmtable.h" /* splay links, generic tables */

EXTERN_C_START

/* ---- Address-space constants ---- */

/* Last user address, first address that user buffers may not reach, first system address. */
extern NTKERNELAPI PVOID MmHighestUserAddress;
extern NTKERNELAPI ULONG64 MmUserProbeAddress;
extern NTKERNELAPI PVOID MmSystemRangeStart;
#define MM_HIGHEST_USER_ADDRESS MmHighestUserAddress
#define MM_USER_PROBE_ADDRESS MmUserProbeAddress
#define MM_SYSTEM_RANGE_START MmSystemRangeStart
#define MM_LOWEST_USER_ADDRESS ((PVOID)0x10000)

/* ---- Addresses ---- */

/* TRUE if a touch of the address would not fault just now: an answer for debuggers. max DISPATCH. */
NTKERNELAPI BOOLEAN NTAPI MmIsAddressValid(_In_ PVOID VirtualAddress);

/* Physical address behind a valid virtual one, 0 if it is not valid. Any IRQL. */
NTKERNELAPI PHYSICAL_ADDRESS NTAPI MmGetPhysicalAddress(_In_ PVOID BaseAddress);

/* One of the virtual addresses of a physical one, and whether an address lies in valid nonpaged
 * system space: for debuggers too. Any IRQL; max DISPATCH. */
NTKERNELAPI PVOID NTAPI MmGetVirtualForPhysical(_In_ PHYSICAL_ADDRESS PhysicalAddress);
NTKERNELAPI BOOLEAN NTAPI MmIsNonPagedSystemAddressValid(_In_ PVOID VirtualAddress);

/* Raise STATUS_ACCESS_VIOLATION or STATUS_DATATYPE_MISALIGNMENT. PASSIVE. */
NTKERNELAPI DECLSPEC_NORETURN VOID NTAPI ExRaiseAccessViolation(VOID);
NTKERNELAPI DECLSPEC_NORETURN VOID NTAPI ExRaiseDatatypeMisalignment(VOID);

#define MM_COPY_MEMORY_PHYSICAL 0x1
#define MM_COPY_MEMORY_VIRTUAL 0x2

typedef struct _MM_COPY_ADDRESS {
    union {
        PVOID VirtualAddress;
        PHYSICAL_ADDRESS PhysicalAddress;
    };
} MM_COPY_ADDRESS, *PMMCOPY_ADDRESS;
C_ASSERT(sizeof(MM_COPY_ADDRESS) == 8);

/* Copy from any virtual or physical address (one of MM_COPY_MEMORY_*) to a nonpageable buffer. An
 * error status, with the bytes copied so far, instead of a crash. max APC. */
NTKERNELAPI NTSTATUS NTAPI MmCopyMemory(_Out_writes_bytes_(NumberOfBytes) PVOID TargetAddress,
                                        _In_ MM_COPY_ADDRESS SourceAddress,
                                        _In_ SIZE_T NumberOfBytes, _In_ ULONG Flags,
                                        _Out_ PSIZE_T NumberOfBytesTransferred);

/* ---- MDLs ---- */

/* MmProbeAndLockPages for another process's address. Raises likewise. max APC. */
NTKERNELAPI VOID NTAPI MmProbeAndLockProcessPages(_Inout_ PMDL MemoryDescriptorList,
                                                  _In_ PEPROCESS Process,
                                                  _In_ KPROCESSOR_MODE AccessMode,
                                                  _In_ LOCK_OPERATION Operation);

/* MmAllocateNodePagesForMdlEx from a memory partition (NULL: the system's). max DISPATCH. */
NTKERNELAPI PMDL NTAPI MmAllocatePartitionNodePagesForMdlEx(
    _In_ PHYSICAL_ADDRESS LowAddress, _In_ PHYSICAL_ADDRESS HighAddress,
    _In_ PHYSICAL_ADDRESS SkipBytes, _In_ SIZE_T TotalBytes, _In_ MEMORY_CACHING_TYPE CacheType,
    _In_ ULONG IdealNode, _In_ ULONG Flags, _In_opt_ PVOID PartitionObject);

/* ---- Promises about user addresses of the current process ---- */

#define MM_SECURE_EXCLUSIVE 0x1
#define MM_SECURE_NO_CHANGE 0x2
#define MM_SECURE_USER_MODE_ONLY 0x4
#define MM_SECURE_NO_INHERIT 0x8

/* Keep a range from being freed and from losing the rights of ProbeMode, PAGE_READONLY or PAGE_READWRITE, until it is
 * unsecured in the same process; NULL if it has not got them. An unknown handle: bug check 0x1A. max APC. */
NTKERNELAPI HANDLE NTAPI MmSecureVirtualMemory(_In_ PVOID Address, _In_ SIZE_T Size, _In_ ULONG ProbeMode);
NTKERNELAPI HANDLE NTAPI MmSecureVirtualMemoryEx(_In_ PVOID Address, _In_ SIZE_T Size, _In_ ULONG ProbeMode,
                                                 _In_ ULONG Flags);
NTKERNELAPI VOID NTAPI MmUnsecureVirtualMemory(_In_ HANDLE SecureHandle);

/* ---- Uncached memory: nonpaged whole pages, not contiguous; NULL on failure. max APC. ---- */

NTKERNELAPI PVOID NTAPI MmAllocateNonCachedMemory(_In_ SIZE_T NumberOfBytes);
NTKERNELAPI VOID NTAPI MmFreeNonCachedMemory(_In_ PVOID BaseAddress, _In_ SIZE_T NumberOfBytes);

/* ---- Physical memory ---- */

typedef struct _PHYSICAL_MEMORY_RANGE {
    PHYSICAL_ADDRESS BaseAddress;
    LARGE_INTEGER NumberOfBytes;
} PHYSICAL_MEMORY_RANGE, *PPHYSICAL_MEMORY_RANGE;
C_ASSERT(sizeof(PHYSICAL_MEMORY_RANGE) == 0x10);

#define MM_GET_PHYSICAL_MEMORY_RANGES_INCLUDE_FILE_ONLY 0x1
#define MM_GET_PHYSICAL_MEMORY_RANGES_INCLUDE_ALL_PARTITIONS 0x2

/* The ranges of RAM, ended by a zero element, in pool that the caller frees with ExFreePool; NULL
 * on failure. PASSIVE. */
NTKERNELAPI PPHYSICAL_MEMORY_RANGE NTAPI MmGetPhysicalMemoryRanges(VOID);
NTKERNELAPI PPHYSICAL_MEMORY_RANGE NTAPI
MmGetPhysicalMemoryRangesEx(_In_opt_ PVOID PartitionObject);
NTKERNELAPI PPHYSICAL_MEMORY_RANGE NTAPI MmGetPhysicalMemoryRangesEx2(_In_opt_ PVOID PartitionObject,
                                                                      _In_ ULONG Flags);

/* Add RAM while running; *NumberOfBytes receives what was taken. STATUS_NOT_SUPPORTED,
 * STATUS_CONFLICTING_ADDRESSES, STATUS_INSUFFICIENT_RESOURCES. max APC. */
NTKERNELAPI NTSTATUS NTAPI MmAddPhysicalMemory(_In_ PPHYSICAL_ADDRESS StartAddress,
                                               _Inout_ PLARGE_INTEGER NumberOfBytes);

/* Take RAM away if all its pages can be emptied (else STATUS_NO_MEMORY and nothing changes). Keep
 * pages from being used, or give them back; *NumberOfBytes receives how much it was. max APC. */
NTKERNELAPI NTSTATUS NTAPI MmRemovePhysicalMemory(_In_ PPHYSICAL_ADDRESS StartAddress,
                                                  _Inout_ PLARGE_INTEGER NumberOfBytes);
NTKERNELAPI NTSTATUS NTAPI MmMarkPhysicalMemoryAsBad(_In_ PPHYSICAL_ADDRESS StartAddress,
                                                     _Inout_ PLARGE_INTEGER NumberOfBytes);
NTKERNELAPI NTSTATUS NTAPI MmMarkPhysicalMemoryAsGood(_In_ PPHYSICAL_ADDRESS StartAddress,
                                                      _Inout_ PLARGE_INTEGER NumberOfBytes);

/* TRUE on server systems. */
NTKERNELAPI BOOLEAN NTAPI MmIsThisAnNtAsSystem(VOID);

/* ---- Pageable sections ---- */

/* Lock again what MmLockPagableDataSection returned. max APC. */
NTKERNELAPI VOID NTAPI MmLockPagableSectionByHandle(_In_ PVOID ImageSectionHandle);
#define MmLockPagableImageSection(Address) MmLockPagableDataSection(Address)

/* ---- Kernel stacks ---- */

typedef VOID NTAPI EXPAND_STACK_CALLOUT(_In_opt_ PVOID Parameter);
typedef EXPAND_STACK_CALLOUT *PEXPAND_STACK_CALLOUT;

/*
 * Call a routine with at least Size bytes of stack (at most MAXIMUM_EXPANSION_SIZE). It was not
 * called if an error returns: STATUS_NO_MEMORY, STATUS_STACK_OVERFLOW, STATUS_INVALID_PARAMETER_3
 * (size), _4 (Wait at DISPATCH_LEVEL). max APC; Ex without Wait: DISPATCH.
 */
NTKERNELAPI NTSTATUS NTAPI KeExpandKernelStackAndCallout(_In_ PEXPAND_STACK_CALLOUT Callout,
                                                         _In_opt_ PVOID Parameter,
                                                         _In_ SIZE_T Size);
NTKERNELAPI NTSTATUS NTAPI KeExpandKernelStackAndCalloutEx(_In_ PEXPAND_STACK_CALLOUT Callout,
                                                           _In_opt_ PVOID Parameter,
                                                           _In_ SIZE_T Size, _In_ BOOLEAN Wait,
                                                           _In_opt_ PVOID Context);

/* TRUE if the range lies on the current stack. Any IRQL. */
NTKERNELAPI ULONG NTAPI IoWithinStackLimits(_In_ ULONG_PTR RegionStart, _In_ SIZE_T RegionSize);

/* ---- Threads and processes ---- */

#define PsGetCurrentThread() ((PETHREAD)KeGetCurrentThread())
NTKERNELAPI HANDLE NTAPI PsGetCurrentThreadId(VOID);
NTKERNELAPI HANDLE NTAPI PsGetCurrentProcessId(VOID);

/* The ids of a process and of a thread. Any IRQL. */
NTKERNELAPI HANDLE NTAPI PsGetProcessId(_In_ PEPROCESS Process);
NTKERNELAPI HANDLE NTAPI PsGetThreadId(_In_ PETHREAD Thread);
NTKERNELAPI HANDLE NTAPI PsGetThreadProcessId(_In_ PETHREAD Thread);

/* The process that every system thread belongs to, unless it asked otherwise. */
extern NTKERNELAPI PEPROCESS PsInitialSystemProcess;

/* ---- Memory and strings ---- */

/* TRUE if every byte is zero. */
NTSYSAPI BOOLEAN NTAPI RtlIsZeroMemory(_In_reads_bytes_(Length) PVOID Buffer, _In_ SIZE_T Length);

/* TRUE if String2 begins with String1; the same and comparisons of narrow strings. PASSIVE if
 * case-insensitive. */
NTSYSAPI BOOLEAN NTAPI RtlPrefixUnicodeString(_In_ PCUNICODE_STRING String1,
                                              _In_ PCUNICODE_STRING String2,
                                              _In_ BOOLEAN CaseInSensitive);
NTSYSAPI BOOLEAN NTAPI RtlPrefixString(_In_ const STRING *String1, _In_ const STRING *String2,
                                       _In_ BOOLEAN CaseInSensitive);
NTSYSAPI LONG NTAPI RtlCompareString(_In_ const STRING *String1, _In_ const STRING *String2,
                                     _In_ BOOLEAN CaseInSensitive);
NTSYSAPI BOOLEAN NTAPI RtlEqualString(_In_ const STRING *String1, _In_ const STRING *String2,
                                      _In_ BOOLEAN CaseInSensitive);

/* Upper case: of a string (allocated with AllocateDestinationString, freed by RtlFreeUnicodeString;
 * STATUS_NO_MEMORY, STATUS_BUFFER_OVERFLOW), of narrow ones. PASSIVE. */
NTSYSAPI NTSTATUS NTAPI RtlUpcaseUnicodeString(_Inout_ PUNICODE_STRING DestinationString,
                                               _In_ PCUNICODE_STRING SourceString,
                                               _In_ BOOLEAN AllocateDestinationString);
NTSYSAPI VOID NTAPI RtlUpperString(_Inout_ PSTRING DestinationString,
                                   _In_ const STRING *SourceString);
NTSYSAPI CHAR NTAPI RtlUpperChar(_In_ CHAR Character);

/* ---- More of the memory manager ---- */

/* Zeroed nonpaged pages whose rights (PAGE_*) may be changed page by page; NULL without them. Base and
 * size must be the same at the free. MmSetPageProtection is FALSE for other memory or rights. max
 * DISPATCH. */
NTKERNELAPI PVOID NTAPI MmAllocateIndependentPages(_In_ SIZE_T NumberOfBytes);
NTKERNELAPI VOID NTAPI MmFreeIndependentPages(_In_ PVOID VirtualAddress, _In_ SIZE_T NumberOfBytes);
NTKERNELAPI BOOLEAN NTAPI MmSetPageProtection(_In_ PVOID VirtualAddress, _In_ SIZE_T NumberOfBytes,
                                              _In_ ULONG NewProtect);

/* Frame buffers: MmMapIoSpace and MmUnmapIoSpace by other names. max APC. */
NTKERNELAPI PVOID NTAPI MmMapVideoDisplay(_In_ PHYSICAL_ADDRESS PhysicalAddress,
                                          _In_ SIZE_T NumberOfBytes,
                                          _In_ MEMORY_CACHING_TYPE CacheType);
NTKERNELAPI VOID NTAPI MmUnmapVideoDisplay(_In_ PVOID BaseAddress, _In_ SIZE_T NumberOfBytes);

/* Is any of it mapped as I/O space; how a physical page is cached (STATUS_INVALID_PARAMETER_1 for
 * what is no memory). max DISPATCH. */
NTKERNELAPI LOGICAL NTAPI MmIsIoSpaceActive(_In_ PHYSICAL_ADDRESS StartAddress,
                                            _In_ SIZE_T NumberOfBytes);
NTKERNELAPI NTSTATUS NTAPI MmGetCacheAttribute(_In_ PHYSICAL_ADDRESS PhysicalAddress,
                                               _Out_ MEMORY_CACHING_TYPE *CacheType);

/* An MDL in the caller's memory, or in nonpaged pool for NULL; are all its pages cached. max DISPATCH. */
NTKERNELAPI PMDL NTAPI MmCreateMdl(_In_opt_ PMDL MemoryDescriptorList, _In_ PVOID Base,
                                   _In_ SIZE_T Length);
NTKERNELAPI LOGICAL NTAPI MmAreMdlPagesCached(_In_ PMDL MemoryDescriptorList);

/* STATUS_STACK_OVERFLOW unless the current stack reaches down to an address. max APC. */
NTKERNELAPI NTSTATUS NTAPI MmGrowKernelStack(_In_ PVOID CurrentStack);

/* Is the verifier on for a driver; for the driver at an address; at all, and how
 * (STATUS_NOT_SUPPORTED). max APC. */
NTKERNELAPI LOGICAL NTAPI MmIsDriverVerifying(_In_ struct _DRIVER_OBJECT *DriverObject);
NTKERNELAPI LOGICAL NTAPI MmIsDriverSuspectForVerifier(_In_ struct _DRIVER_OBJECT *DriverObject);
NTKERNELAPI LOGICAL NTAPI MmIsDriverVerifyingByAddress(_In_ PVOID AddressWithinSection);
NTKERNELAPI NTSTATUS NTAPI MmIsVerifierEnabled(_Out_ PULONG VerifierFlags);

EXTERN_C_END

#endif
