/*
 * extra.h - declarations that a current DDK has and Debian's mingw-w64 has not, after the public
 * documentation.
 */
#ifndef EXTRA_H
#define EXTRA_H

#define POOL_FLAG_REQUIRED_START    0x0000000000000001ull
#define POOL_FLAG_USE_QUOTA         0x0000000000000001ull
#define POOL_FLAG_UNINITIALIZED     0x0000000000000002ull
#define POOL_FLAG_CACHE_ALIGNED     0x0000000000000008ull
#define POOL_FLAG_RAISE_ON_FAILURE  0x0000000000000020ull
#define POOL_FLAG_NON_PAGED         0x0000000000000040ull
#define POOL_FLAG_NON_PAGED_EXECUTE 0x0000000000000080ull
#define POOL_FLAG_PAGED             0x0000000000000100ull
#define POOL_FLAG_SPECIAL_POOL      0x0000000100000000ull

#ifndef POOL_NX_ALLOCATION
#define POOL_NX_ALLOCATION 512
#endif
#ifndef POOL_ZERO_ALLOCATION
#define POOL_ZERO_ALLOCATION 1024
#endif

typedef struct _EXTRA_POOL_PARAMETER {
    ULONG64 Type : 8;
    ULONG64 Optional : 1;
    ULONG64 Reserved : 55;
    ULONG64 Value;
} EXTRA_POOL_PARAMETER;
#define EXTRA_POOL_PRIORITY 1
#define EXTRA_POOL_NODE     3

NTKERNELAPI PVOID NTAPI ExAllocatePool2(ULONG64 Flags, SIZE_T NumberOfBytes, ULONG Tag);
NTKERNELAPI PVOID NTAPI ExAllocatePool3(ULONG64 Flags, SIZE_T NumberOfBytes, ULONG Tag,
                                        const EXTRA_POOL_PARAMETER *Parameters, ULONG Count);
NTKERNELAPI VOID NTAPI ExFreePool2(PVOID P, ULONG Tag, const EXTRA_POOL_PARAMETER *Parameters, ULONG Count);

#define EXTRA_COPY_PHYSICAL 1
#define EXTRA_COPY_VIRTUAL  2
typedef struct _EXTRA_COPY_ADDRESS {
    union {
        PVOID VirtualAddress;
        PHYSICAL_ADDRESS PhysicalAddress;
    } u;
} EXTRA_COPY_ADDRESS;
NTKERNELAPI NTSTATUS NTAPI MmCopyMemory(PVOID Target, EXTRA_COPY_ADDRESS Source, SIZE_T NumberOfBytes,
                                        ULONG Flags, PSIZE_T Transferred);

NTKERNELAPI PVOID NTAPI MmMapIoSpaceEx(PHYSICAL_ADDRESS PhysicalAddress, SIZE_T NumberOfBytes, ULONG Protect);
NTKERNELAPI PVOID NTAPI MmAllocateContiguousNodeMemory(SIZE_T NumberOfBytes, PHYSICAL_ADDRESS Lowest,
                                                       PHYSICAL_ADDRESS Highest, PHYSICAL_ADDRESS Boundary,
                                                       ULONG Protect, ULONG Node);
NTKERNELAPI NTSTATUS NTAPI MmAllocateContiguousMemoryEx(PSIZE_T NumberOfBytes, PHYSICAL_ADDRESS Lowest,
                                                        PHYSICAL_ADDRESS Highest, PHYSICAL_ADDRESS Boundary,
                                                        ULONG Node, ULONG Protect, PVOID Partition, ULONG Tag,
                                                        ULONG Flags, PVOID *BaseAddress);
NTKERNELAPI PMDL NTAPI MmAllocateNodePagesForMdlEx(PHYSICAL_ADDRESS Low, PHYSICAL_ADDRESS High,
                                                   PHYSICAL_ADDRESS Skip, SIZE_T TotalBytes,
                                                   MEMORY_CACHING_TYPE CacheType, ULONG Node, ULONG Flags);
NTKERNELAPI NTSTATUS NTAPI KeExpandKernelStackAndCalloutEx(PEXPAND_STACK_CALLOUT Callout, PVOID Parameter,
                                                           SIZE_T Size, BOOLEAN Wait, PVOID Context);
NTKERNELAPI VOID NTAPI KeQuerySystemTimePrecise(PLARGE_INTEGER CurrentTime);
NTSYSAPI DECLSPEC_NORETURN VOID NTAPI RtlRaiseStatus(NTSTATUS Status);
NTSYSAPI BOOLEAN NTAPI RtlIsZeroMemory(PVOID Buffer, SIZE_T Length);

#ifndef MdlMappingNoWrite
#define MdlMappingNoWrite   0x80000000u
#define MdlMappingNoExecute 0x40000000u
#endif
#define EXTRA_ANY_NODE 0x80000000u

NTKERNELAPI VOID NTAPI NtmmNoSuchRoutine(VOID);
NTKERNELAPI VOID NTAPI NtmmNoSuchOtherRoutine(VOID);
__declspec(dllimport) VOID NTAPI NtmmFirstOrdinal(VOID);
__declspec(dllimport) VOID NTAPI NtmmLastOrdinal(VOID);

#endif
