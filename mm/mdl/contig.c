/*
 * Physically contiguous memory: a run of frames, mapped.
 *
 * An allocation is a record in the tracker, found by its base: that is how its size is known when only the
 * base comes back. Prepare: charge, record, frames, address. Commit: entries and record. Blocks of 2 MB and
 * more on aligned frames are mapped by large pages. <= DISPATCH_LEVEL. Documents: MmAllocateContiguousMemory
 * and its kin.
 */
#include "mdlp.h"
#include <mm/phys/inject.h>

/* Values of a MiTrackContiguous record. */
#define MI_CONTIGUOUS_FRAME 0
#define MI_CONTIGUOUS_PAGES 1
#define MI_CONTIGUOUS_CACHE 2
#define MI_CONTIGUOUS_TAG   3

typedef struct _MI_CONTIGUOUS_REQUEST {
    SIZE_T PageCount;
    MI_FRAME_WINDOW Window;
    SIZE_T BoundaryPages;  /* 0: none */
    NODE_REQUIREMENT Node; /* a node, or any with MM_ANY_NODE_OK */
    MI_PROTECTION Protection;
    MEMORY_CACHING_TYPE CacheType;
    ULONG Tag;
} MI_CONTIGUOUS_REQUEST, *PMI_CONTIGUOUS_REQUEST;

/* --- Requests --------------------------------------------------------------------------------- */

static BOOLEAN
MipSetBoundary(PMI_CONTIGUOUS_REQUEST Request, PHYSICAL_ADDRESS Boundary)
{
    ULONG64 Bytes = (ULONG64)Boundary.QuadPart;

    if (Bytes == 0) {
        return TRUE;
    }
    Request->BoundaryPages = Bytes >> PAGE_SHIFT;
    return (Bytes & (Bytes - 1)) == 0 && Bytes >= PAGE_SIZE;
}

static BOOLEAN
MipNodeIsValid(NODE_REQUIREMENT Node)
{
    return (Node & MM_ANY_NODE_OK) != 0 || Node <= KeQueryHighestNodeNumber();
}

static VOID
MipCommitContiguous(const MI_CONTIGUOUS_REQUEST *Request, PVOID Va, PFN_NUMBER First, PMI_TRACKED Tracked)
{
    for (SIZE_T Index = 0; Index < Request->PageCount; Index += 1) {
        MiSetFrameCacheType(First + Index, Request->CacheType);
    }
    MiMapRun(Va, Request->PageCount, First, Request->Protection, Request->CacheType, TRUE);
    Tracked->Object = Va;
    Tracked->Size = Request->PageCount << PAGE_SHIFT;
    Tracked->Value[MI_CONTIGUOUS_FRAME] = First;
    Tracked->Value[MI_CONTIGUOUS_PAGES] = Request->PageCount;
    Tracked->Value[MI_CONTIGUOUS_CACHE] = (ULONG64)Request->CacheType;
    Tracked->Value[MI_CONTIGUOUS_TAG] = Request->Tag;
    MiInsertTracked(Tracked);
}

static NTSTATUS
MipTryContiguous(const MI_CONTIGUOUS_REQUEST *Request, PVOID *BaseAddress)
{
    NTSTATUS Status = STATUS_INSUFFICIENT_RESOURCES;
    PMI_TRACKED Tracked;
    PFN_NUMBER First;
    PVOID Va;

    /* Prepare. */
    if (MiInjectRequest() || !MiChargeNonpaged(Request->PageCount)) {
        return STATUS_NO_MEMORY;
    }
    Tracked = MiAllocateTracked(MiTrackContiguous);
    if (Tracked == NULL) {
        goto ReturnCharge;
    }
    First = MiGetContiguousFrames(0, Request->Node, MiUseDriverLocked, Request->PageCount,
                                  Request->Window.Lowest, Request->Window.Highest, 1, Request->BoundaryPages);
    if (First == MI_NO_FRAME) {
        Status = STATUS_NO_MEMORY;
        goto FreeTracked;
    }
    Va = MiReserveSystemVa(MiRegionSystemPtes, Request->PageCount,
                           First % MI_LARGE_PAGE_COUNT == 0 && Request->PageCount >= MI_LARGE_PAGE_COUNT
                               ? MI_LARGE_PAGE_COUNT
                               : 1);
    if (Va == NULL) {
        goto FreeFrames;
    }

    /* Commit. */
    MipCommitContiguous(Request, Va, First, Tracked);
    *BaseAddress = Va;
    return STATUS_SUCCESS;

FreeFrames:
    MiFreeContiguousFrames(First, Request->PageCount);
FreeTracked:
    MiFreeTracked(Tracked);
ReturnCharge:
    MiReturnNonpaged(Request->PageCount);
    return Status;
}

/* The pools' caches keep pages that are free, here and there, and so runs from being found: empty them before failing. */
static NTSTATUS
MipAllocateContiguous(const MI_CONTIGUOUS_REQUEST *Request, PVOID *BaseAddress)
{
    NTSTATUS Status = MipTryContiguous(Request, BaseAddress);

    if (!NT_SUCCESS(Status) && !MiInjectIsActive()) {
        MiReclaimPools();
        Status = MipTryContiguous(Request, BaseAddress);
    }
    return Status;
}

/* The old forms: executable, NULL for everything that is wrong. */
static PVOID
MipAllocateExecutable(SIZE_T NumberOfBytes, PHYSICAL_ADDRESS Low, PHYSICAL_ADDRESS High,
                      PHYSICAL_ADDRESS Boundary, MEMORY_CACHING_TYPE CacheType, NODE_REQUIREMENT Node)
{
    MI_CONTIGUOUS_REQUEST Request = {.PageCount = BYTES_TO_PAGES(NumberOfBytes),
                                     .Node = Node,
                                     .Protection = MM_EXECUTE_READWRITE,
                                     .CacheType = CacheType};
    PVOID Va;

    if (NumberOfBytes == 0 || !MiFrameWindow(Low, High, &Request.Window) ||
        !MipSetBoundary(&Request, Boundary) || !MiIsCacheType(CacheType) || !MipNodeIsValid(Node) ||
        !NT_SUCCESS(MipAllocateContiguous(&Request, &Va))) {
        return NULL;
    }
    return Va;
}

/* --- Public forms ----------------------------------------------------------------------------- */

/* Cached memory at or below HighestAcceptableAddress; executable, not zeroed. NULL without it. */
PVOID NTAPI
MmAllocateContiguousMemory(SIZE_T NumberOfBytes, PHYSICAL_ADDRESS HighestAcceptableAddress)
{
    PHYSICAL_ADDRESS Zero = {.QuadPart = 0};

    return MipAllocateExecutable(NumberOfBytes, Zero, HighestAcceptableAddress, Zero, MmCached,
                                 PcrRead32(Node) | MM_ANY_NODE_OK);
}
NTEXPORT(MmAllocateContiguousMemory);

/* The same between two addresses, crossing no multiple of a power of two (0: any), with a cache type. */
PVOID NTAPI
MmAllocateContiguousMemorySpecifyCache(SIZE_T NumberOfBytes, PHYSICAL_ADDRESS LowestAcceptableAddress,
                                       PHYSICAL_ADDRESS HighestAcceptableAddress,
                                       PHYSICAL_ADDRESS BoundaryAddressMultiple,
                                       MEMORY_CACHING_TYPE CacheType)
{
    return MipAllocateExecutable(NumberOfBytes, LowestAcceptableAddress, HighestAcceptableAddress,
                                 BoundaryAddressMultiple, CacheType, PcrRead32(Node) | MM_ANY_NODE_OK);
}
NTEXPORT(MmAllocateContiguousMemorySpecifyCache);

/* The same from one NUMA node, or preferably so with MM_ANY_NODE_OK. */
PVOID NTAPI
MmAllocateContiguousMemorySpecifyCacheNode(SIZE_T NumberOfBytes, PHYSICAL_ADDRESS LowestAcceptableAddress,
                                           PHYSICAL_ADDRESS HighestAcceptableAddress,
                                           PHYSICAL_ADDRESS BoundaryAddressMultiple,
                                           MEMORY_CACHING_TYPE CacheType, NODE_REQUIREMENT PreferredNode)
{
    return MipAllocateExecutable(NumberOfBytes, LowestAcceptableAddress, HighestAcceptableAddress,
                                 BoundaryAddressMultiple, CacheType, PreferredNode);
}
NTEXPORT(MmAllocateContiguousMemorySpecifyCacheNode);

/*
 * The form with a status. *NumberOfBytes is rounded up to pages and, like *BaseAddress, written on success.
 * STATUS_INVALID_PARAMETER_1 (no bytes), _2 (the window is empty), _4 (boundary), _5 (no such node), _9
 * (flags), STATUS_INVALID_PAGE_PROTECTION, STATUS_NOT_SUPPORTED (a partition), STATUS_NO_MEMORY,
 * STATUS_INSUFFICIENT_RESOURCES.
 */
NTSTATUS NTAPI
MmAllocateContiguousMemoryEx(PSIZE_T NumberOfBytes, PHYSICAL_ADDRESS LowestAcceptableAddress,
                             PHYSICAL_ADDRESS HighestAcceptableAddress,
                             PHYSICAL_ADDRESS BoundaryAddressMultiple, NODE_REQUIREMENT PreferredNode,
                             ULONG Protect, PVOID PartitionObject, ULONG Tag, ULONG Flags, PVOID *BaseAddress)
{
    MI_CONTIGUOUS_REQUEST Request = {
        .PageCount = BYTES_TO_PAGES(*NumberOfBytes), .Node = PreferredNode, .Tag = Tag};
    NTSTATUS Status;

    if (*NumberOfBytes == 0) {
        return STATUS_INVALID_PARAMETER_1;
    }
    if (!MiFrameWindow(LowestAcceptableAddress, HighestAcceptableAddress, &Request.Window)) {
        return STATUS_INVALID_PARAMETER_2;
    }
    if (!MipSetBoundary(&Request, BoundaryAddressMultiple)) {
        return STATUS_INVALID_PARAMETER_4;
    }
    if (!MipNodeIsValid(PreferredNode)) {
        return STATUS_INVALID_PARAMETER_5;
    }
    if (!MiRightsAndCacheFromPage(Protect, &Request.Protection, &Request.CacheType) ||
        !MiProtectionAllowsWrite(Request.Protection)) {
        return STATUS_INVALID_PAGE_PROTECTION;
    }
    if (PartitionObject != NULL) {
        return STATUS_NOT_SUPPORTED;
    }
    if ((Flags & ~MM_ALLOCATE_CONTIGUOUS_MEMORY_FAST_ONLY) != 0) {
        return STATUS_INVALID_PARAMETER_9;
    }
    Status = MipAllocateContiguous(&Request, BaseAddress);
    if (NT_SUCCESS(Status)) {
        *NumberOfBytes = Request.PageCount << PAGE_SHIFT;
    }
    return Status;
}
NTEXPORT(MmAllocateContiguousMemoryEx);

/* PAGE_READWRITE (not executable) or PAGE_EXECUTE_READWRITE, with PAGE_NOCACHE or PAGE_WRITECOMBINE; NULL on
 * failure. */
PVOID NTAPI
MmAllocateContiguousNodeMemory(SIZE_T NumberOfBytes, PHYSICAL_ADDRESS LowestAcceptableAddress,
                               PHYSICAL_ADDRESS HighestAcceptableAddress,
                               PHYSICAL_ADDRESS BoundaryAddressMultiple, ULONG Protect,
                               NODE_REQUIREMENT PreferredNode)
{
    PVOID Va;

    if (!NT_SUCCESS(MmAllocateContiguousMemoryEx(&NumberOfBytes, LowestAcceptableAddress,
                                                 HighestAcceptableAddress, BoundaryAddressMultiple,
                                                 PreferredNode, Protect, NULL, 0, 0, &Va))) {
        return NULL;
    }
    return Va;
}
NTEXPORT(MmAllocateContiguousNodeMemory);

/* --- Freeing ---------------------------------------------------------------------------------- */

static VOID DECLSPEC_NORETURN
MipStopFreeContiguous(PVOID BaseAddress)
{
    KeBugCheckEx(BAD_POOL_CALLER, 0x60, (ULONG_PTR)BaseAddress, 0, 0);
}

/* Free a block by its base. Any other address is bug check 0xC2/0x60; pages locked for I/O are 0x4E/0x9A. */
VOID NTAPI
MmFreeContiguousMemory(PVOID BaseAddress)
{
    PMI_TRACKED Tracked = MiRemoveTracked(MiTrackContiguous, BaseAddress);
    PFN_NUMBER First;
    SIZE_T PageCount;

    if (Tracked == NULL) {
        MipStopFreeContiguous(BaseAddress);
    }
    First = Tracked->Value[MI_CONTIGUOUS_FRAME];
    PageCount = Tracked->Value[MI_CONTIGUOUS_PAGES];
    MiFreeTracked(Tracked);
    MiUnmapRange(BaseAddress, PageCount, NULL);
    MiReleaseSystemVa(MiRegionSystemPtes, BaseAddress, PageCount);
    MiFreeContiguousFrames(First, PageCount);
    MiReturnNonpaged(PageCount);
}
NTEXPORT(MmFreeContiguousMemory);

/* The same; size and cache type must be those of the allocation, else bug check 0xC2/0x60. */
VOID NTAPI
MmFreeContiguousMemorySpecifyCache(PVOID BaseAddress, SIZE_T NumberOfBytes, MEMORY_CACHING_TYPE CacheType)
{
    MI_TRACKED Record;

    if (!MiFindTracked(MiTrackContiguous, BaseAddress, &Record) ||
        Record.Value[MI_CONTIGUOUS_PAGES] != BYTES_TO_PAGES(NumberOfBytes) ||
        Record.Value[MI_CONTIGUOUS_CACHE] != (ULONG64)CacheType) {
        MipStopFreeContiguous(BaseAddress);
    }
    MmFreeContiguousMemory(BaseAddress);
}
NTEXPORT(MmFreeContiguousMemorySpecifyCache);
