/*
 * wdmmm.h - the memory manager: page arithmetic, MDLs, mappings, physical memory, kernel stacks.
 * Part of wdm.h; ntddk.h and ntifs.h add the routines that their documents put there.
 *
 * "max" is the highest IRQL. Physical addresses are bytes; PFN_NUMBERs count pages.
 */
#ifndef NTMM_WDMMM_H
#define NTMM_WDMMM_H

#include "wdmex.h"

EXTERN_C_START

/* ---- Pages ---- */

#define PAGE_SHIFT 12
#define PAGE_SIZE 0x1000
#define LARGE_PAGE_SIZE 0x200000
#define HUGE_PAGE_SIZE 0x40000000
#define ALLOCATION_GRANULARITY 0x10000

/* Up to a page, bytes to pages (rounded up; no overflow), down to a page, offset in the page. */
#define ROUND_TO_PAGES(Size) (((ULONG_PTR)(Size) + PAGE_SIZE - 1) & ~((ULONG_PTR)PAGE_SIZE - 1))
#define BYTES_TO_PAGES(Size)                                                                       \
    (((Size) >> PAGE_SHIFT) + (((Size) & (PAGE_SIZE - 1)) != 0))
#define PAGE_ALIGN(Va) ((PVOID)((ULONG_PTR)(Va) & ~((ULONG_PTR)PAGE_SIZE - 1)))
#define BYTE_OFFSET(Va) ((ULONG)((LONG_PTR)(Va) & (PAGE_SIZE - 1)))

/* Pages that [Va, Va + Size) touches. */
#define ADDRESS_AND_SIZE_TO_SPAN_PAGES(Va, Size)                                                   \
    ((ULONG)((((ULONG_PTR)(Size)) >> PAGE_SHIFT) +                                                 \
             ((BYTE_OFFSET(Va) + (((ULONG_PTR)(Size)) & (PAGE_SIZE - 1)) + PAGE_SIZE - 1) >>       \
              PAGE_SHIFT)))
#define COMPUTE_PAGES_SPANNED(Va, Size) ADDRESS_AND_SIZE_TO_SPAN_PAGES(Va, Size)

/* Protections: one base value and modifiers. */
#define PAGE_NOACCESS 0x01
#define PAGE_READONLY 0x02
#define PAGE_READWRITE 0x04
#define PAGE_WRITECOPY 0x08
#define PAGE_EXECUTE 0x10
#define PAGE_EXECUTE_READ 0x20
#define PAGE_EXECUTE_READWRITE 0x40
#define PAGE_EXECUTE_WRITECOPY 0x80
#define PAGE_GUARD 0x100
#define PAGE_NOCACHE 0x200
#define PAGE_WRITECOMBINE 0x400
#define PAGE_TARGETS_INVALID 0x40000000
#define PAGE_TARGETS_NO_UPDATE 0x40000000
#define PAGE_ENCLAVE_MASK 0x10000000
#define PAGE_ENCLAVE_UNVALIDATED 0x20000000
#define PAGE_ENCLAVE_NO_CHANGE 0x20000000
#define PAGE_ENCLAVE_THREAD_CONTROL 0x80000000
#define PAGE_REVERT_TO_FILE_MAP 0x80000000

/* Allocation and free types, and what queries answer; values mean different things in each. */
#define MEM_COMMIT 0x1000
#define MEM_RESERVE 0x2000
#define MEM_DECOMMIT 0x4000
#define MEM_REPLACE_PLACEHOLDER 0x4000
#define MEM_RELEASE 0x8000
#define MEM_FREE 0x10000
#define MEM_PRIVATE 0x20000
#define MEM_MAPPED 0x40000
#define MEM_RESERVE_PLACEHOLDER 0x40000
#define MEM_RESET 0x80000
#define MEM_TOP_DOWN 0x100000
#define MEM_WRITE_WATCH 0x200000
#define MEM_PHYSICAL 0x400000
#define MEM_ROTATE 0x800000
#define MEM_DIFFERENT_IMAGE_BASE_OK 0x800000
#define MEM_RESET_UNDO 0x1000000
#define MEM_IMAGE 0x1000000
#define MEM_LARGE_PAGES 0x20000000
#define MEM_64K_PAGES (MEM_LARGE_PAGES | MEM_PHYSICAL)
#define MEM_DOS_LIM 0x40000000
#define AT_ROUND_TO_PAGE 0x40000000
#define MEM_4MB_PAGES 0x80000000
#define MEM_COALESCE_PLACEHOLDERS 0x1
#define MEM_UNMAP_WITH_TRANSIENT_BOOST 0x1
#define MEM_PRESERVE_PLACEHOLDER 0x2

/* Section attributes. */
#define SEC_HUGE_PAGES 0x20000
#define SEC_PARTITION_OWNER_HANDLE 0x40000
#define SEC_64K_PAGES 0x80000
#define SEC_DRIVER_IMAGE 0x100000
#define SEC_BASED 0x200000
#define SEC_NO_CHANGE 0x400000
#define SEC_FILE 0x800000
#define SEC_IMAGE 0x1000000
#define SEC_PROTECTED_IMAGE 0x2000000
#define SEC_RESERVE 0x4000000
#define SEC_COMMIT 0x8000000
#define SEC_NOCACHE 0x10000000
#define SEC_IMAGE_NO_EXECUTE (SEC_IMAGE | SEC_NOCACHE)
#define SEC_GLOBAL 0x20000000
#define SEC_WRITECOMBINE 0x40000000
#define SEC_LARGE_PAGES 0x80000000

typedef enum _SECTION_INHERIT { ViewShare = 1, ViewUnmap = 2 } SECTION_INHERIT;

#define SECTION_QUERY 0x0001
#define SECTION_MAP_WRITE 0x0002
#define SECTION_MAP_READ 0x0004
#define SECTION_MAP_EXECUTE 0x0008
#define SECTION_EXTEND_SIZE 0x0010
#define SECTION_MAP_EXECUTE_EXPLICIT 0x0020
#define SECTION_ALL_ACCESS 0x000f001f

/* How the processor caches a mapping; all mappings of a page agree. */
typedef enum _MEMORY_CACHING_TYPE {
    MmNonCached = 0,
    MmCached = 1,
    MmWriteCombined = 2,
    MmHardwareCoherentCached = 3,
    MmNonCachedUnordered = 4,
    MmUSWCCached = 5,
    MmMaximumCacheType = 6,
    MmNotMapped = -1
} MEMORY_CACHING_TYPE;

/* How hard a mapping tries, with flags that may be added. */
typedef enum _MM_PAGE_PRIORITY {
    LowPagePriority = 0,
    NormalPagePriority = 16,
    HighPagePriority = 32
} MM_PAGE_PRIORITY;
#define MdlMappingNoWrite 0x80000000
#define MdlMappingNoExecute 0x40000000
#define MdlMappingWithGuardPtes 0x20000000

typedef enum _LOCK_OPERATION { IoReadAccess, IoWriteAccess, IoModifyAccess } LOCK_OPERATION;
typedef enum _MM_SYSTEM_SIZE { MmSmallSystem, MmMediumSystem, MmLargeSystem } MM_SYSTEMSIZE;

typedef ULONG NODE_REQUIREMENT;
#define MM_ANY_NODE_OK 0x80000000

/* ---- MDLs: a buffer as a list of page frames. Drivers touch Next and MdlFlags only. ---- */

typedef struct _MDL {
    struct _MDL *Next;
    CSHORT Size; /* header and page numbers, low 16 bits */
    CSHORT MdlFlags;
    USHORT AllocationProcessorNumber;
    USHORT Reserved;
    struct _EPROCESS *Process; /* whose address was locked */
    PVOID MappedSystemVa;
    PVOID StartVa; /* page aligned */
    ULONG ByteCount;
    ULONG ByteOffset; /* in the first page */
} MDL, *PMDL;
typedef const MDL *PCMDL;
typedef MDL *PMDLX;
C_ASSERT(sizeof(MDL) == 0x30 && FIELD_OFFSET(MDL, Size) == 8 && FIELD_OFFSET(MDL, MdlFlags) == 0xa);
C_ASSERT(FIELD_OFFSET(MDL, Process) == 0x10 && FIELD_OFFSET(MDL, MappedSystemVa) == 0x18);
C_ASSERT(FIELD_OFFSET(MDL, StartVa) == 0x20 && FIELD_OFFSET(MDL, ByteCount) == 0x28);
C_ASSERT(FIELD_OFFSET(MDL, ByteOffset) == 0x2c);

#define MDL_MAPPED_TO_SYSTEM_VA 0x0001
#define MDL_PAGES_LOCKED 0x0002
#define MDL_SOURCE_IS_NONPAGED_POOL 0x0004
#define MDL_ALLOCATED_FIXED_SIZE 0x0008
#define MDL_PARTIAL 0x0010
#define MDL_PARTIAL_HAS_BEEN_MAPPED 0x0020
#define MDL_IO_PAGE_READ 0x0040
#define MDL_WRITE_OPERATION 0x0080
#define MDL_LOCKED_PAGE_TABLES 0x0100
#define MDL_PARENT_MAPPED_SYSTEM_VA MDL_LOCKED_PAGE_TABLES
#define MDL_FREE_EXTRA_PTES 0x0200
#define MDL_DESCRIBES_AWE 0x0400
#define MDL_IO_SPACE 0x0800
#define MDL_NETWORK_HEADER 0x1000
#define MDL_MAPPING_CAN_FAIL 0x2000
#define MDL_PAGE_CONTENTS_INVARIANT 0x4000
#define MDL_ALLOCATED_MUST_SUCCEED MDL_PAGE_CONTENTS_INVARIANT
#define MDL_INTERNAL 0x8000
#define MDL_MAPPING_FLAGS                                                                          \
    (MDL_MAPPED_TO_SYSTEM_VA | MDL_PAGES_LOCKED | MDL_SOURCE_IS_NONPAGED_POOL |                    \
     MDL_PARTIAL_HAS_BEEN_MAPPED | MDL_PARENT_MAPPED_SYSTEM_VA | MDL_IO_SPACE)

/* What an MDL describes: address in the locking process, its page, offset, bytes, page frames. */
#define MmGetMdlVirtualAddress(Mdl) ((PVOID)((ULONG_PTR)(Mdl)->StartVa + (Mdl)->ByteOffset))
#define MmGetMdlBaseVa(Mdl) ((Mdl)->StartVa)
#define MmGetMdlByteCount(Mdl) ((Mdl)->ByteCount)
#define MmGetMdlByteOffset(Mdl) ((Mdl)->ByteOffset)
#define MmGetMdlPfnArray(Mdl) ((PPFN_NUMBER)((Mdl) + 1))

/* Bytes that an MDL for [Base, Base + Length) takes. Any IRQL. */
NTKERNELAPI SIZE_T NTAPI MmSizeOfMdl(_In_ PVOID Base, _In_ SIZE_T Length);

/* Describe [BaseVa, BaseVa + Length) in the caller's memory; the page frames are not filled. */
#define MmInitializeMdl(Mdl, BaseVa, Length)                                                       \
    do {                                                                                           \
        (Mdl)->Next = NULL;                                                                        \
        (Mdl)->Size = (CSHORT)(sizeof(MDL) + sizeof(PFN_NUMBER) * ADDRESS_AND_SIZE_TO_SPAN_PAGES(  \
                                                                      (BaseVa), (Length)));        \
        (Mdl)->MdlFlags = 0;                                                                       \
        (Mdl)->StartVa = PAGE_ALIGN(BaseVa);                                                       \
        (Mdl)->ByteOffset = BYTE_OFFSET(BaseVa);                                                   \
        (Mdl)->ByteCount = (ULONG)(Length);                                                        \
    } while (0)

struct _IRP;

/* An MDL for a range, nothing locked; NULL without memory. With an Irp it becomes Irp->MdlAddress,
 * or the chain's last with SecondaryBuffer. Freed by IoFreeMdl, one at a time. max DISPATCH. */
NTKERNELAPI PMDL NTAPI IoAllocateMdl(_In_opt_ PVOID VirtualAddress, _In_ ULONG Length,
                                     _In_ BOOLEAN SecondaryBuffer, _In_ BOOLEAN ChargeQuota,
                                     _Inout_opt_ struct _IRP *Irp);
NTKERNELAPI VOID NTAPI IoFreeMdl(_In_ PMDL Mdl);

/* Describe in TargetMdl a part of a locked SourceMdl (Length 0: to its end). Bug check 0x40 if the
 * target is too small, 0x12E if the range leaves the source. max DISPATCH. */
NTKERNELAPI VOID NTAPI IoBuildPartialMdl(_In_ PMDL SourceMdl, _Inout_ PMDL TargetMdl,
                                         _In_ PVOID VirtualAddress, _In_ ULONG Length);

/* Fill in the page frames of a nonpaged system buffer; it is not locked. max DISPATCH. */
NTKERNELAPI VOID NTAPI MmBuildMdlForNonPagedPool(_Inout_ PMDL MemoryDescriptorList);

/* Page in, check access, lock the pages, fill in their frames. Raises on failure (e.g.
 * STATUS_ACCESS_VIOLATION) with nothing locked. max APC for pageable memory, else DISPATCH. */
NTKERNELAPI VOID NTAPI MmProbeAndLockPages(_Inout_ PMDL MemoryDescriptorList,
                                           _In_ KPROCESSOR_MODE AccessMode,
                                           _In_ LOCK_OPERATION Operation);

/* One page of a scattered buffer. */
typedef union _FILE_SEGMENT_ELEMENT {
    PVOID64 Buffer;
    ULONGLONG Alignment;
} FILE_SEGMENT_ELEMENT, *PFILE_SEGMENT_ELEMENT;

/* The same for one page per element of SegmentArray. max APC. */
NTKERNELAPI VOID NTAPI MmProbeAndLockSelectedPages(_Inout_ PMDL MemoryDescriptorList,
                                                   _In_ PFILE_SEGMENT_ELEMENT SegmentArray,
                                                   _In_ KPROCESSOR_MODE AccessMode,
                                                   _In_ LOCK_OPERATION Operation);

/* Undo the lock and any system mapping. max DISPATCH. Too often: bug check 0x4E or 0x76. */
NTKERNELAPI VOID NTAPI MmUnlockPages(_Inout_ PMDL MemoryDescriptorList);

/* Move a locked MDL's start forward, unlocking pages passed over. STATUS_INVALID_PARAMETER_2 if
 * that is beyond the end. max DISPATCH. */
NTKERNELAPI NTSTATUS NTAPI MmAdvanceMdl(_Inout_ PMDL Mdl, _In_ ULONG NumberOfBytes);

/* ---- Mappings of MDLs ---- */

/*
 * Map locked pages. KernelMode: system space, NULL (or a bug check, if asked) on failure; at most
 * one such mapping per MDL. UserMode: the current process, at RequestedAddress if given, no
 * execute; raises on failure. max DISPATCH, UserMode APC.
 */
NTKERNELAPI PVOID NTAPI MmMapLockedPagesSpecifyCache(_Inout_ PMDL MemoryDescriptorList,
                                                     _In_ KPROCESSOR_MODE AccessMode,
                                                     _In_ MEMORY_CACHING_TYPE CacheType,
                                                     _In_opt_ PVOID RequestedAddress,
                                                     _In_ ULONG BugCheckOnFailure,
                                                     _In_ ULONG Priority);
NTKERNELAPI PVOID NTAPI MmMapLockedPages(_Inout_ PMDL MemoryDescriptorList,
                                         _In_ KPROCESSOR_MODE AccessMode);

/* Remove such a mapping; one of user space in its own process. max DISPATCH, user APC. */
NTKERNELAPI VOID NTAPI MmUnmapLockedPages(_In_ PVOID BaseAddress,
                                          _Inout_ PMDL MemoryDescriptorList);

/* The system address of an MDL, mapped now if it is not yet; NULL if that fails. max DISPATCH. */
FORCEINLINE PVOID
MmGetSystemAddressForMdlSafe(_Inout_ PMDL Mdl, _In_ ULONG Priority)
{
    if ((Mdl->MdlFlags & (MDL_MAPPED_TO_SYSTEM_VA | MDL_SOURCE_IS_NONPAGED_POOL)) != 0) {
        return Mdl->MappedSystemVa;
    }
    return MmMapLockedPagesSpecifyCache(Mdl, KernelMode, MmCached, NULL, FALSE, Priority);
}

/* The obsolete form: bug check if the mapping fails. */
FORCEINLINE PVOID
MmGetSystemAddressForMdl(_Inout_ PMDL Mdl)
{
    if ((Mdl->MdlFlags & (MDL_MAPPED_TO_SYSTEM_VA | MDL_SOURCE_IS_NONPAGED_POOL)) != 0) {
        return Mdl->MappedSystemVa;
    }
    return MmMapLockedPages(Mdl, KernelMode);
}

/* Make a partial MDL ready for another IoBuildPartialMdl. max DISPATCH. */
FORCEINLINE VOID
MmPrepareMdlForReuse(_Inout_ PMDL Mdl)
{
    if ((Mdl->MdlFlags & MDL_PARTIAL_HAS_BEEN_MAPPED) != 0) {
        MmUnmapLockedPages(Mdl->MappedSystemVa, Mdl);
    }
}

/* Change a system mapping's protection. STATUS_NOT_MAPPED_VIEW, STATUS_INVALID_PAGE_PROTECTION.
 * max DISPATCH. */
NTKERNELAPI NTSTATUS NTAPI MmProtectMdlSystemAddress(_In_ PMDL MemoryDescriptorList,
                                                     _In_ ULONG NewProtect);

/* Reserve system space for later mappings; PoolTag (not 0) is the key to it. NULL on failure.
 * max APC. It must be unmapped before it is freed. */
#define MM_MAPPING_ADDRESS_DIVISIBLE 0x1
NTKERNELAPI PVOID NTAPI MmAllocateMappingAddress(_In_ SIZE_T NumberOfBytes, _In_ ULONG PoolTag);
NTKERNELAPI PVOID NTAPI MmAllocateMappingAddressEx(_In_ SIZE_T NumberOfBytes, _In_ ULONG PoolTag,
                                                   _In_ ULONG Flags);
NTKERNELAPI VOID NTAPI MmFreeMappingAddress(_In_ PVOID BaseAddress, _In_ ULONG PoolTag);

/* Map an MDL into a reservation, which fails only if it is too small (NULL); undo it. Bug check
 * 0xDA on a wrong tag or a busy reservation. max DISPATCH. */
NTKERNELAPI PVOID NTAPI MmMapLockedPagesWithReservedMapping(_In_ PVOID MappingAddress,
                                                            _In_ ULONG PoolTag,
                                                            _Inout_ PMDL MemoryDescriptorList,
                                                            _In_ MEMORY_CACHING_TYPE CacheType);
NTKERNELAPI VOID NTAPI MmUnmapReservedMapping(_In_ PVOID BaseAddress, _In_ ULONG PoolTag,
                                              _Inout_ PMDL MemoryDescriptorList);

/* Map an MDL, call a routine with the address, unmap. STATUS_SUCCESS only if it was called. max
 * DISPATCH. */
typedef VOID NTAPI MM_MDL_ROUTINE(_In_opt_ PVOID DriverContext, _In_ PVOID MappedVa);
typedef MM_MDL_ROUTINE *PMM_MDL_ROUTINE;
NTKERNELAPI NTSTATUS NTAPI MmMapMdl(_Inout_ PMDL MemoryDescriptorList, _In_ ULONG Protection,
                                    _In_ PMM_MDL_ROUTINE DriverRoutine,
                                    _In_opt_ PVOID DriverContext);

/* ---- Pages for MDLs ---- */

#define MM_DONT_ZERO_ALLOCATION 0x00000001
#define MM_ALLOCATE_FROM_LOCAL_NODE_ONLY 0x00000002
#define MM_ALLOCATE_FULLY_REQUIRED 0x00000004
#define MM_ALLOCATE_NO_WAIT 0x00000008
#define MM_ALLOCATE_PREFER_CONTIGUOUS 0x00000010
#define MM_ALLOCATE_REQUIRE_CONTIGUOUS_CHUNKS 0x00000020
#define MM_ALLOCATE_FAST_LARGE_PAGES 0x00000040
#define MM_ALLOCATE_TRIM_IF_NECESSARY 0x00000080
#define MM_ALLOCATE_AND_HOT_REMOVE 0x00000100

/*
 * Physical pages within [LowAddress, HighAddress], then the window moved up by SkipBytes, and so
 * on; fewer than asked unless MM_ALLOCATE_FULLY_REQUIRED; NULL for none. Not mapped. The pages are
 * freed by MmFreePagesFromMdl, after that the MDL by ExFreePool. max DISPATCH.
 */
NTKERNELAPI PMDL NTAPI MmAllocatePagesForMdl(_In_ PHYSICAL_ADDRESS LowAddress,
                                             _In_ PHYSICAL_ADDRESS HighAddress,
                                             _In_ PHYSICAL_ADDRESS SkipBytes,
                                             _In_ SIZE_T TotalBytes);
NTKERNELAPI PMDL NTAPI MmAllocatePagesForMdlEx(_In_ PHYSICAL_ADDRESS LowAddress,
                                               _In_ PHYSICAL_ADDRESS HighAddress,
                                               _In_ PHYSICAL_ADDRESS SkipBytes,
                                               _In_ SIZE_T TotalBytes,
                                               _In_ MEMORY_CACHING_TYPE CacheType,
                                               _In_ ULONG Flags);
NTKERNELAPI PMDL NTAPI MmAllocateNodePagesForMdlEx(_In_ PHYSICAL_ADDRESS LowAddress,
                                                   _In_ PHYSICAL_ADDRESS HighAddress,
                                                   _In_ PHYSICAL_ADDRESS SkipBytes,
                                                   _In_ SIZE_T TotalBytes,
                                                   _In_ MEMORY_CACHING_TYPE CacheType,
                                                   _In_ ULONG IdealNode, _In_ ULONG Flags);
NTKERNELAPI VOID NTAPI MmFreePagesFromMdl(_Inout_ PMDL MemoryDescriptorList);
NTKERNELAPI VOID NTAPI MmFreePagesFromMdlEx(_Inout_ PMDL MemoryDescriptorList, _In_ ULONG Flags);

/* ---- Contiguous memory: nonpaged, page aligned, not zeroed; NULL on failure. max DISPATCH.
 * HighestAcceptableAddress is inclusive; a block never crosses a multiple of
 * BoundaryAddressMultiple (0: none). Only Node and Ex can give no-execute memory. ---- */

NTKERNELAPI PVOID NTAPI
MmAllocateContiguousMemory(_In_ SIZE_T NumberOfBytes,
                           _In_ PHYSICAL_ADDRESS HighestAcceptableAddress);
NTKERNELAPI PVOID NTAPI MmAllocateContiguousMemorySpecifyCache(
    _In_ SIZE_T NumberOfBytes, _In_ PHYSICAL_ADDRESS LowestAcceptableAddress,
    _In_ PHYSICAL_ADDRESS HighestAcceptableAddress,
    _In_opt_ PHYSICAL_ADDRESS BoundaryAddressMultiple, _In_ MEMORY_CACHING_TYPE CacheType);
NTKERNELAPI PVOID NTAPI MmAllocateContiguousMemorySpecifyCacheNode(
    _In_ SIZE_T NumberOfBytes, _In_ PHYSICAL_ADDRESS LowestAcceptableAddress,
    _In_ PHYSICAL_ADDRESS HighestAcceptableAddress,
    _In_opt_ PHYSICAL_ADDRESS BoundaryAddressMultiple, _In_ MEMORY_CACHING_TYPE CacheType,
    _In_ NODE_REQUIREMENT PreferredNode);
NTKERNELAPI PVOID NTAPI MmAllocateContiguousNodeMemory(
    _In_ SIZE_T NumberOfBytes, _In_ PHYSICAL_ADDRESS LowestAcceptableAddress,
    _In_ PHYSICAL_ADDRESS HighestAcceptableAddress,
    _In_opt_ PHYSICAL_ADDRESS BoundaryAddressMultiple, _In_ ULONG Protect,
    _In_ NODE_REQUIREMENT PreferredNode);

#define MM_ALLOCATE_CONTIGUOUS_MEMORY_FAST_ONLY 0x1
/* With a status; *NumberOfBytes receives what was allocated, *BaseAddress where. */
NTKERNELAPI NTSTATUS NTAPI MmAllocateContiguousMemoryEx(
    _Inout_ PSIZE_T NumberOfBytes, _In_ PHYSICAL_ADDRESS LowestAcceptableAddress,
    _In_ PHYSICAL_ADDRESS HighestAcceptableAddress, _In_ PHYSICAL_ADDRESS BoundaryAddressMultiple,
    _In_ NODE_REQUIREMENT PreferredNode, _In_ ULONG Protect, _In_opt_ PVOID PartitionObject,
    _In_ ULONG Tag, _In_ ULONG Flags, _Out_ PVOID *BaseAddress);

/* Free by base address (bug check 0xC2, 0x60 for another); the second form checks size and type. */
NTKERNELAPI VOID NTAPI MmFreeContiguousMemory(_In_ PVOID BaseAddress);
NTKERNELAPI VOID NTAPI MmFreeContiguousMemorySpecifyCache(_In_ PVOID BaseAddress,
                                                          _In_ SIZE_T NumberOfBytes,
                                                          _In_ MEMORY_CACHING_TYPE CacheType);

/* ---- I/O space ---- */

/* Map device memory, keeping the offset in the page; NULL on failure or a conflict of cache types.
 * max DISPATCH. Ex takes PAGE_* with PAGE_NOCACHE or PAGE_WRITECOMBINE. */
NTKERNELAPI PVOID NTAPI MmMapIoSpace(_In_ PHYSICAL_ADDRESS PhysicalAddress,
                                     _In_ SIZE_T NumberOfBytes,
                                     _In_ MEMORY_CACHING_TYPE CacheType);
NTKERNELAPI PVOID NTAPI MmMapIoSpaceEx(_In_ PHYSICAL_ADDRESS PhysicalAddress,
                                       _In_ SIZE_T NumberOfBytes, _In_ ULONG Protect);
NTKERNELAPI VOID NTAPI MmUnmapIoSpace(_In_ PVOID BaseAddress, _In_ SIZE_T NumberOfBytes);

typedef struct _MM_PHYSICAL_ADDRESS_LIST {
    PHYSICAL_ADDRESS PhysicalAddress; /* page aligned */
    SIZE_T NumberOfBytes;             /* whole pages */
} MM_PHYSICAL_ADDRESS_LIST, *PMM_PHYSICAL_ADDRESS_LIST;
C_ASSERT(sizeof(MM_PHYSICAL_ADDRESS_LIST) == 0x10);

/* An MDL over device memory. STATUS_INVALID_PARAMETER_1, STATUS_INSUFFICIENT_RESOURCES. Freed by
 * IoFreeMdl. max DISPATCH. */
NTKERNELAPI NTSTATUS NTAPI MmAllocateMdlForIoSpace(
    _In_reads_(NumberOfEntries) PMM_PHYSICAL_ADDRESS_LIST PhysicalAddressList,
    _In_ SIZE_T NumberOfEntries, _Out_ PMDL *NewMdl);

/* ---- Probing user buffers. Length 0 checks nothing. max APC. ---- */

/* Raise STATUS_ACCESS_VIOLATION unless the range is in user space, STATUS_DATATYPE_MISALIGNMENT
 * unless Address is aligned. Write also writes each page's bytes back, raising what that raises. */
NTKERNELAPI VOID NTAPI ProbeForRead(_In_reads_bytes_(Length) const volatile VOID *Address,
                                    _In_ SIZE_T Length, _In_ ULONG Alignment);
NTKERNELAPI VOID NTAPI ProbeForWrite(_Inout_updates_bytes_(Length) volatile VOID *Address,
                                     _In_ SIZE_T Length, _In_ ULONG Alignment);

/* ---- Pageable driver sections. max APC. ---- */

/* Make the section that contains an address resident; the handle serves the next two. Bug check
 * 0x1A, 0x1234 if there is none. */
NTKERNELAPI PVOID NTAPI MmLockPagableDataSection(_In_ PVOID AddressWithinSection);
#define MmLockPagableCodeSection(Address) MmLockPagableDataSection((PVOID)(ULONG_PTR)(Address))
NTKERNELAPI VOID NTAPI MmUnlockPagableImageSection(_In_ PVOID ImageSectionHandle);

/* Make the whole driver pageable (its base is returned), and back to how it was linked. */
NTKERNELAPI PVOID NTAPI MmPageEntireDriver(_In_ PVOID AddressWithinSection);
NTKERNELAPI VOID NTAPI MmResetDriverPaging(_In_ PVOID AddressWithinSection);

/* ---- Kernel stacks ---- */

#define KERNEL_STACK_SIZE 0x6000
#define KERNEL_LARGE_STACK_SIZE 0x12000
#define KERNEL_LARGE_STACK_COMMIT KERNEL_STACK_SIZE
#define MAXIMUM_EXPANSION_SIZE (KERNEL_LARGE_STACK_SIZE - (PAGE_SIZE / 2))

/* Bounds of the stack (segment) in use; its base. Any IRQL; GetInitialStack max APC. */
NTKERNELAPI VOID NTAPI IoGetStackLimits(_Out_ PULONG_PTR LowLimit, _Out_ PULONG_PTR HighLimit);
NTKERNELAPI PVOID NTAPI IoGetInitialStack(VOID);

/* Bytes left on the current stack. */
FORCEINLINE ULONG_PTR
IoGetRemainingStackSize(VOID)
{
    ULONG_PTR Low;
    ULONG_PTR High;

    IoGetStackLimits(&Low, &High);
    return (ULONG_PTR)__builtin_frame_address(0) - Low;
}

/* ---- The system ---- */

/* Address of an exported routine of the kernel or HAL; NULL if there is none. PASSIVE. */
NTKERNELAPI PVOID NTAPI MmGetSystemRoutineAddress(_In_ PUNICODE_STRING SystemRoutineName);

/* A hint at how much memory there is. Any IRQL. */
NTKERNELAPI MM_SYSTEMSIZE NTAPI MmQuerySystemSize(VOID);

/* First byte of a page that is never valid; a touch is a bug check. */
extern NTKERNELAPI PVOID MmBadPointer;
#define MM_BAD_POINTER MmBadPointer

/* *Mm64BitPhysicalAddress: physical addresses may be above 4 GB. */
NT_IMPORTED_POINTER(BOOLEAN, Mm64BitPhysicalAddress);

/* Devices see memory as processors do on x64: nothing to flush. */
#define KeFlushIoBuffers(Mdl, ReadOperation, DmaOperation)                                         \
    ((void)(Mdl), (void)(ReadOperation), (void)(DmaOperation))

EXTERN_C_END

#endif
