/*
 * Physical pages for MDLs: frames without address that a driver owns, in a window of physical memory.
 *
 * Unless all of them are required, a request takes as many as it can get: the MDL is made for as many pages
 * as commit and resident available let expect, they are charged, frames are gathered, and the charge for
 * those that did not come goes back. The driver owns the frames until MmFreePagesFromMdl, which finds in the
 * tracker that they are its to free, and the MDL, a block of nonpaged pool, until ExFreePool.
 *
 * <= DISPATCH_LEVEL; never waits, so MM_ALLOCATE_NO_WAIT changes nothing. Documents: MmAllocatePagesForMdlEx,
 * MmFreePagesFromMdl.
 */
#include "mdlp.h"

#define MI_PAGES_FLAGS                                                                                       \
    (MM_DONT_ZERO_ALLOCATION | MM_ALLOCATE_FROM_LOCAL_NODE_ONLY | MM_ALLOCATE_FULLY_REQUIRED |               \
     MM_ALLOCATE_NO_WAIT | MM_ALLOCATE_PREFER_CONTIGUOUS | MM_ALLOCATE_REQUIRE_CONTIGUOUS_CHUNKS |           \
     MM_ALLOCATE_FAST_LARGE_PAGES | MM_ALLOCATE_TRIM_IF_NECESSARY)

#define MI_MOST_BYTES (0x100000000ull - PAGE_SIZE)
#define MI_PAGES_LEFT 64   /* what a request that takes what it can get leaves to others */
#define MI_RUN_PAGES  512u /* longest run asked for at once inside a window */
#define MI_ANY_FRAME                                                                                         \
    (1ull << 36) /* no machine has frames above: a window that reaches here has no upper bound */

/* Values of a MiTrackPages record. */
#define MI_PAGES_COUNT 0

typedef struct _MI_PAGES_REQUEST {
    MI_FRAME_WINDOW Window;
    SIZE_T SkipPages;
    SIZE_T Wanted;  /* pages */
    ULONG Flags;    /* MM_ALLOCATE_* */
    ULONG GetFlags; /* MI_GET_* */
    ULONG Node;     /* the only one, or the preferred one with MM_ANY_NODE_OK */
    PFN_NUMBER *Frames;
    SIZE_T Got;
} MI_PAGES_REQUEST, *PMI_PAGES_REQUEST;

/* --- Gathering -------------------------------------------------------------------------------- */

/* A run of PageCount frames in a window; FALSE if there is none. */
static BOOLEAN
MipTakeRun(PMI_PAGES_REQUEST Request, const MI_FRAME_WINDOW *Window, SIZE_T PageCount, SIZE_T AlignPages)
{
    PFN_NUMBER First = MiGetContiguousFrames(Request->GetFlags, Request->Node, MiUseDriverLocked, PageCount,
                                             Window->Lowest, Window->Highest, AlignPages, 0);

    if (First == MI_NO_FRAME) {
        return FALSE;
    }
    for (SIZE_T Index = 0; Index < PageCount; Index += 1) {
        Request->Frames[Request->Got + Index] = First + Index;
    }
    Request->Got += PageCount;
    return TRUE;
}

/* All there is in one window, in runs as long as they come. */
static VOID
MipGatherFromWindow(PMI_PAGES_REQUEST Request, const MI_FRAME_WINDOW *Window)
{
    SIZE_T Run = MI_RUN_PAGES;

    while (Request->Got < Request->Wanted && Run != 0) {
        Run = MIN(Run, Request->Wanted - Request->Got);
        if (!MipTakeRun(Request, Window, Run, 1)) {
            Run /= 2;
        }
    }
}

/* The window, then the window moved up, until that passes the end of physical addresses. */
static VOID
MipGatherFromWindows(PMI_PAGES_REQUEST Request)
{
    MI_FRAME_WINDOW Window = Request->Window;

    for (;;) {
        MipGatherFromWindow(Request, &Window);
        if (Request->SkipPages == 0 || Request->Got == Request->Wanted ||
            Window.Lowest + Request->SkipPages >= MI_ANY_FRAME) {
            return;
        }
        Window.Lowest += Request->SkipPages;
        Window.Highest += Request->SkipPages;
    }
}

static VOID
MipGatherAnywhere(PMI_PAGES_REQUEST Request)
{
    if (Request->Flags & MM_ALLOCATE_PREFER_CONTIGUOUS) {
        MipGatherFromWindow(Request, &Request->Window);
    }
    while (Request->Got < Request->Wanted) {
        SIZE_T Count = MiGetFrames(Request->GetFlags, Request->Node, MiUseDriverLocked,
                                   Request->Wanted - Request->Got, Request->Frames + Request->Got);

        if (Count == 0) {
            return;
        }
        Request->Got += Count;
    }
}

/* Runs of exactly SkipPages, aligned to that; or one run of everything. */
static VOID
MipGatherChunks(PMI_PAGES_REQUEST Request)
{
    SIZE_T Chunk = Request->SkipPages != 0 ? Request->SkipPages : Request->Wanted;
    SIZE_T AlignPages = Request->SkipPages != 0 ? Request->SkipPages : 1;

    while (Request->Wanted - Request->Got >= Chunk) {
        if (!MipTakeRun(Request, &Request->Window, Chunk, AlignPages)) {
            return;
        }
    }
}

static VOID
MipVerifyPagesIrql(VOID)
{
    MiVerifyIrql(0x7E, DISPATCH_LEVEL, DISPATCH_LEVEL, 0);
}

/* --- Requests --------------------------------------------------------------------------------- */

/* Do the flags fit each other and the sizes? */
static BOOLEAN
MipFlagsAreValid(ULONG Flags, ULONG64 SkipBytes, SIZE_T TotalBytes)
{
    if ((Flags & ~MI_PAGES_FLAGS) != 0 || (SkipBytes & (PAGE_SIZE - 1)) != 0) {
        return FALSE;
    }
    if (Flags & MM_ALLOCATE_REQUIRE_CONTIGUOUS_CHUNKS) {
        if (SkipBytes != 0 && ((SkipBytes & (SkipBytes - 1)) != 0 || TotalBytes % SkipBytes != 0)) {
            return FALSE;
        }
    } else if (Flags & MM_ALLOCATE_FAST_LARGE_PAGES) {
        return FALSE;
    }
    return !(Flags & MM_ALLOCATE_FAST_LARGE_PAGES) || (SkipBytes != 0 && SkipBytes % LARGE_PAGE_SIZE == 0);
}

/* How few pages will do. */
static SIZE_T
MipRequiredPages(const MI_PAGES_REQUEST *Request)
{
    BOOLEAN OneRun = (Request->Flags & MM_ALLOCATE_REQUIRE_CONTIGUOUS_CHUNKS) && Request->SkipPages == 0;

    return OneRun || (Request->Flags & MM_ALLOCATE_FULLY_REQUIRED) ? Request->Wanted : 1;
}

/* Pages that could be promised now, without those that must be left for everybody else. */
static SIZE_T
MipPromisablePages(VOID)
{
    LONG64 Resident = MiResidentAvailablePages() - MI_PAGES_LEFT;
    SIZE_T Charge, Limit, Peak;

    MiQueryCommit(&Charge, &Limit, &Peak);
    if (Resident <= 0 || Limit < Charge + MI_PAGES_LEFT) {
        return 0;
    }
    return MIN((SIZE_T)Resident, Limit - Charge - MI_PAGES_LEFT);
}

/* Charge the request, or as much of it as can be. FALSE if that is nothing, or less than required. */
static BOOLEAN
MipChargeRequest(PMI_PAGES_REQUEST Request)
{
    SIZE_T Required = MipRequiredPages(Request);

    while (Request->Wanted >= Required) {
        if (MiChargeNonpaged(Request->Wanted)) {
            return TRUE;
        }
        Request->Wanted = MIN(MipPromisablePages(), Request->Wanted - 1);
        if (Request->Wanted == 0) {
            break;
        }
    }
    return FALSE;
}

static VOID
MipGather(PMI_PAGES_REQUEST Request)
{
    if (Request->Flags & MM_ALLOCATE_REQUIRE_CONTIGUOUS_CHUNKS) {
        MipGatherChunks(Request);
    } else if (Request->Window.Lowest == 0 && Request->Window.Highest >= MI_ANY_FRAME) {
        MipGatherAnywhere(Request);
    } else {
        MipGatherFromWindows(Request);
    }
}

static VOID
MipDescribePages(PMDL Mdl, const MI_PAGES_REQUEST *Request, SIZE_T TotalBytes, PMI_TRACKED Tracked)
{
    Mdl->Size = (CSHORT)(sizeof(MDL) + Request->Got * sizeof(PFN_NUMBER));
    Mdl->MdlFlags = MDL_PAGES_LOCKED;
    Mdl->ByteCount = (ULONG)MIN(TotalBytes, Request->Got << PAGE_SHIFT);
    Tracked->Object = Mdl;
    Tracked->Size = Request->Got << PAGE_SHIFT;
    Tracked->Value[MI_PAGES_COUNT] = Request->Got;
    MiInsertTracked(Tracked);
}

/*
 * Charge and gather, into the frames of an MDL made for at most Request->Wanted pages. FALSE, and nothing is
 * held: none, or fewer than required.
 */
static BOOLEAN
MipFillRequest(PMI_PAGES_REQUEST Request)
{
    SIZE_T Required = MipRequiredPages(Request), Charged;

    if (!MipChargeRequest(Request)) {
        return FALSE;
    }
    Charged = Request->Wanted;
    MipGather(Request);
    if (Request->Got < Required) {
        MiFreeFrames(Request->Frames, Request->Got);
        MiReturnNonpaged(Charged);
        return FALSE;
    }
    MiReturnNonpaged(Charged - Request->Got);
    return TRUE;
}

static PMDL
MipMakePagesMdl(PMI_PAGES_REQUEST Request, SIZE_T TotalBytes, MEMORY_CACHING_TYPE CacheType)
{
    PMI_TRACKED Tracked = MiAllocateTracked(MiTrackPages);
    PMDL Mdl;

    if (Tracked == NULL) {
        return NULL;
    }
    if (MipRequiredPages(Request) == 1) {
        Request->Wanted = MIN(Request->Wanted, MAX(MipPromisablePages(), 1));
    }
    Mdl =
        ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(MDL) + Request->Wanted * sizeof(PFN_NUMBER), MI_MDL_TAG);
    if (Mdl == NULL) {
        goto FreeTracked;
    }
    Request->Frames = MmGetMdlPfnArray(Mdl);
    if (!MipFillRequest(Request)) {
        goto FreeMdl;
    }
    for (SIZE_T Index = 0; CacheType != MmNotMapped && Index < Request->Got; Index += 1) {
        MiSetFrameCacheType(Request->Frames[Index], CacheType);
    }
    MipDescribePages(Mdl, Request, TotalBytes, Tracked);
    return Mdl;

FreeMdl:
    ExFreePoolWithTag(Mdl, MI_MDL_TAG);
FreeTracked:
    MiFreeTracked(Tracked);
    return NULL;
}

static PMDL
MipAllocatePages(PHYSICAL_ADDRESS Low, PHYSICAL_ADDRESS High, PHYSICAL_ADDRESS Skip, SIZE_T TotalBytes,
                 MEMORY_CACHING_TYPE CacheType, ULONG Node, ULONG Flags)
{
    MI_PAGES_REQUEST Request = {.Flags = Flags, .Node = Node};

    if (!(Flags & MM_ALLOCATE_FROM_LOCAL_NODE_ONLY)) {
        Request.Node |= MM_ANY_NODE_OK;
    }
    MipVerifyPagesIrql();
    if (TotalBytes == 0 || TotalBytes > MI_MOST_BYTES || !MiFrameWindow(Low, High, &Request.Window) ||
        !MipFlagsAreValid(Flags, (ULONG64)Skip.QuadPart, TotalBytes) || Node > KeQueryHighestNodeNumber()) {
        return NULL;
    }
    Request.SkipPages = (SIZE_T)Skip.QuadPart >> PAGE_SHIFT;
    Request.Wanted = BYTES_TO_PAGES(TotalBytes);
    Request.GetFlags = Flags & MM_DONT_ZERO_ALLOCATION ? 0 : MI_GET_ZEROED;
    return MipMakePagesMdl(&Request, TotalBytes, CacheType);
}

/* --- Public forms ----------------------------------------------------------------------------- */

/*
 * Zeroed pages from [LowAddress, HighAddress], then from the range moved up by SkipBytes, and so on. The MDL
 * describes those that were found, maybe fewer than asked; NULL for none. How they are cached is decided by
 * their first mapping.
 */
PMDL NTAPI
MmAllocatePagesForMdl(PHYSICAL_ADDRESS LowAddress, PHYSICAL_ADDRESS HighAddress, PHYSICAL_ADDRESS SkipBytes,
                      SIZE_T TotalBytes)
{
    return MipAllocatePages(LowAddress, HighAddress, SkipBytes, TotalBytes, MmNotMapped, PcrRead32(Node), 0);
}
NTEXPORT(MmAllocatePagesForMdl);

/* The same with a cache type for all mappings, and MM_ALLOCATE_* flags; NULL for flags or sizes that do not
 * go together. */
PMDL NTAPI
MmAllocatePagesForMdlEx(PHYSICAL_ADDRESS LowAddress, PHYSICAL_ADDRESS HighAddress, PHYSICAL_ADDRESS SkipBytes,
                        SIZE_T TotalBytes, MEMORY_CACHING_TYPE CacheType, ULONG Flags)
{
    return MmAllocateNodePagesForMdlEx(LowAddress, HighAddress, SkipBytes, TotalBytes, CacheType,
                                       PcrRead32(Node), Flags);
}
NTEXPORT(MmAllocatePagesForMdlEx);

/* The same, preferring a node, or with MM_ALLOCATE_FROM_LOCAL_NODE_ONLY from that node alone. */
PMDL NTAPI
MmAllocateNodePagesForMdlEx(PHYSICAL_ADDRESS LowAddress, PHYSICAL_ADDRESS HighAddress,
                            PHYSICAL_ADDRESS SkipBytes, SIZE_T TotalBytes, MEMORY_CACHING_TYPE CacheType,
                            ULONG IdealNode, ULONG Flags)
{
    if (CacheType != MmNotMapped && !MiIsCacheType(CacheType)) {
        return NULL;
    }
    return MipAllocatePages(LowAddress, HighAddress, SkipBytes, TotalBytes, CacheType, IdealNode, Flags);
}
NTEXPORT(MmAllocateNodePagesForMdlEx);

/* The same from a memory partition. There is only the system's, NULL. */
PMDL NTAPI
MmAllocatePartitionNodePagesForMdlEx(PHYSICAL_ADDRESS LowAddress, PHYSICAL_ADDRESS HighAddress,
                                     PHYSICAL_ADDRESS SkipBytes, SIZE_T TotalBytes,
                                     MEMORY_CACHING_TYPE CacheType, ULONG IdealNode, ULONG Flags,
                                     PVOID PartitionObject)
{
    if (PartitionObject != NULL) {
        return NULL;
    }
    return MmAllocateNodePagesForMdlEx(LowAddress, HighAddress, SkipBytes, TotalBytes, CacheType, IdealNode,
                                       Flags);
}
NTEXPORT(MmAllocatePartitionNodePagesForMdlEx);

/* --- Freeing ---------------------------------------------------------------------------------- */

/* Pages that are not this driver's to free. */
static VOID DECLSPEC_NORETURN
MipStopFreePages(PMDL Mdl)
{
    PFN_NUMBER Frame = MmGetMdlPfnArray(Mdl)[0];

    KeBugCheckEx(PFN_LIST_CORRUPT, 0x99, Frame, MiIsRamFrame(Frame) ? (ULONG_PTR)MiFrameLocation(Frame) : 0,
                 0);
}

/*
 * Free the pages of an MDL that MmAllocatePagesForMdl* made, and its mapping; the MDL itself is freed by
 * ExFreePool. Pages still locked for I/O are bug check 0x4E/0x9A, pages that did not come from there, or are
 * free already, 0x4E/0x99.
 */
VOID NTAPI
MmFreePagesFromMdl(PMDL MemoryDescriptorList)
{
    PMDL Mdl = MemoryDescriptorList;
    PMI_TRACKED Tracked;
    SIZE_T PageCount;

    MipVerifyPagesIrql();
    Tracked = MiRemoveTracked(MiTrackPages, Mdl);
    if (Tracked == NULL) {
        MipStopFreePages(Mdl);
    }
    if (MiMdlFlags(Mdl) & MDL_MAPPED_TO_SYSTEM_VA) {
        MmUnmapLockedPages(Mdl->MappedSystemVa, Mdl);
    }
    PageCount = Tracked->Value[MI_PAGES_COUNT];
    MiFreeTracked(Tracked);
    MiFreeFrames(MmGetMdlPfnArray(Mdl), PageCount);
    MiReturnNonpaged(PageCount);
    MiClearMdlFlags(Mdl, MDL_PAGES_LOCKED);
}
NTEXPORT(MmFreePagesFromMdl);

/* The same. Flags speak of what is done with contents, which nobody gets to see: a page is cleared before it
 * is reused. */
VOID NTAPI
MmFreePagesFromMdlEx(PMDL MemoryDescriptorList, ULONG Flags)
{
    MmFreePagesFromMdl(MemoryDescriptorList);
}
NTEXPORT(MmFreePagesFromMdlEx);
