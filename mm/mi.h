/*
 * What the parts of the memory manager know of each other: entry formats are in pte/pteform.h, the
 * frame record in phys/pfn.h; here are page counts, uses, and the calls that cross folders, lowest
 * folder first. Public routines (MmXxx, ExXxx) are declared in wdm.h, ntddk.h and ntifs.h.
 */
#ifndef MM_MI_H
#define MM_MI_H

#include <ntifs.h>
#include <hal/hal.h>
#include <ke/ke.h>

#define MI_NO_FRAME (~0ull)

/* What a frame is used for: the rows of RAMMap's matrix, and MEMORY_FRAME_INFORMATION.UseDescription. */
typedef enum _MI_PAGE_USE {
    MiUseProcessPrivate = 0,
    MiUseFile = 1,
    MiUsePageFileMapped = 2,
    MiUsePageTable = 3,
    MiUsePagedPool = 4,
    MiUseNonPagedPool = 5,
    MiUseSystemPte = 6, /* system mappings that own their frames */
    MiUseSession = 7,
    MiUseMetaFile = 8,
    MiUseAwe = 9,
    MiUseDriverLocked = 10, /* MmAllocatePagesForMdl, contiguous memory */
    MiUseKernelStack = 11,
    MiUseDriverImage = 12,
    MiUseMaximum
} MI_PAGE_USE;

/* --- mm/phys: commit and resident available -------------------------------------------------------- */

/*
 * Promise PageCount pages of memory. FALSE when the charge would pass the limit: STATUS_COMMITMENT_LIMIT
 * for services, NULL for allocators. Any IRQL <= DISPATCH_LEVEL. Returned exactly by MiReturnCommit.
 */
BOOLEAN MiChargeCommit(SIZE_T PageCount);
VOID MiReturnCommit(SIZE_T PageCount);

/* The same for pages that will be nonpageable: frames that stay available to everybody else. */
BOOLEAN MiChargeResidentAvailable(SIZE_T PageCount);
VOID MiReturnResidentAvailable(SIZE_T PageCount);

/* --- mm/phys: frames ----------------------------------------------------------------------------------- */

#define MI_GET_ZEROED 0x1       /* contents must be zero: cleared here if no zeroed frame is at hand */
#define MI_GET_RESERVE 0x2      /* may dip into the last frames (writers, page tables of a commit path) */

/*
 * Take one frame: Active, ReferenceCount 1, ShareCount 0, no PTE, Use recorded; MI_NO_FRAME if none is
 * available. IRQL <= DISPATCH_LEVEL, never blocks. The caller owns it until MiFreeFrame or until it is made a
 * page of an address space with MiInitializePfn.
 */
PFN_NUMBER MiGetFrame(ULONG Flags, ULONG Node, MI_PAGE_USE Use);

/* Take up to Count frames into Frames[], in no order; returns how many. All or none if Flags has MI_GET_ALL. */
#define MI_GET_ALL 0x4
SIZE_T MiGetFrames(ULONG Flags, ULONG Node, MI_PAGE_USE Use, SIZE_T Count, PFN_NUMBER *Frames);

/*
 * Take a physically contiguous run of PageCount frames inside [Lowest, Highest] (frames, inclusive) that starts on a
 * multiple of AlignPages (a power of two) and crosses no multiple of BoundaryPages (0: any). First frame, or MI_NO_FRAME.
 * Every frame is as MiGetFrame leaves it. Zeroed if asked.
 */
PFN_NUMBER MiGetContiguousFrames(ULONG Flags, ULONG Node, MI_PAGE_USE Use, SIZE_T PageCount, PFN_NUMBER Lowest,
                                 PFN_NUMBER Highest, SIZE_T AlignPages, SIZE_T BoundaryPages);

/* Give back a frame nobody maps and whose only reference is the caller's; a page still locked for I/O: 0x4E/0x9A. */
VOID MiFreeFrame(PFN_NUMBER Frame);
VOID MiFreeFrames(const PFN_NUMBER *Frames, SIZE_T Count);

/* Is it RAM this database describes, in any state but bad or absent? Never touches records that do not exist. */
BOOLEAN MiIsRamFrame(PFN_NUMBER Frame);

/*
 * References for I/O (MmProbeAndLockPages and the like): they keep the frame, not its mapping. The increment fails
 * (FALSE) before the count can wrap. The last decrement of an unmapped page sends it where its state says.
 */
BOOLEAN MiReferenceFrame(PFN_NUMBER Frame);
VOID MiDereferenceFrame(PFN_NUMBER Frame, BOOLEAN Modified);
ULONG MiFrameReferenceCount(PFN_NUMBER Frame);

/* --- mm/phys: cache attribute of a frame ---------------------------------------------------------------- */

/* Record CacheType for a frame that has none yet (MmNotMapped); returns the attribute now in force. */
MEMORY_CACHING_TYPE MiSetFrameCacheType(PFN_NUMBER Frame, MEMORY_CACHING_TYPE CacheType);

/* --- mm/pte: system space ------------------------------------------------------------------------------- */

typedef enum _MI_SYSTEM_REGION {
    MiRegionSystemPtes,   /* mappings, stacks, I/O space, contiguous memory */
    MiRegionNonPagedPool,
    MiRegionPagedPool,
    MiRegionImages,       /* system image and drivers */
    MiRegionSpecialPool,
    MiRegionMaximum
} MI_SYSTEM_REGION;

/* Protection of a system mapping: the 5-bit software code (MM_READWRITE ...), cache type apart. */
typedef ULONG MI_PROTECTION;

/*
 * Reserve PageCount pages of address in a region, on a multiple of AlignPages, with page tables in place down to the
 * last level so that mapping there cannot fail. NULL if there is no room or no frame for a table. <= DISPATCH_LEVEL.
 * Entries are zero (no access). Placement comes from the seed at boot; runs are found in constant expected time.
 */
PVOID MiReserveSystemVa(MI_SYSTEM_REGION Region, SIZE_T PageCount, SIZE_T AlignPages);
/* Give it back; everything in it must be unmapped and flushed, or be covered by a pending deferred flush of this call. */
VOID MiReleaseSystemVa(MI_SYSTEM_REGION Region, PVOID Va, SIZE_T PageCount);
BOOLEAN MiRegionOf(PVOID Va, MI_SYSTEM_REGION *Region);
VOID MiRegionBounds(MI_SYSTEM_REGION Region, PULONG_PTR Start, PULONG_PTR End);

/*
 * Map frames at reserved address. The mapping does not own the frames (no reference is taken): it is the caller's record
 * that does. Large pages are used where Frames are one aligned 2 MB run and AllowLarge is set. Cannot fail.
 */
VOID MiMapFrames(PVOID Va, SIZE_T PageCount, const PFN_NUMBER *Frames, MI_PROTECTION Protection, MEMORY_CACHING_TYPE CacheType);
VOID MiMapRun(PVOID Va, SIZE_T PageCount, PFN_NUMBER FirstFrame, MI_PROTECTION Protection, MEMORY_CACHING_TYPE CacheType,
              BOOLEAN AllowLarge);
/* Clear the entries, flush every processor, then return: frames may be freed afterwards. Frames[] (optional) receives what was mapped. */
VOID MiUnmapRange(PVOID Va, SIZE_T PageCount, PFN_NUMBER *Frames);
/* Change protection of present or demand-zero entries and flush if it got stricter. */
NTSTATUS MiProtectRange(PVOID Va, SIZE_T PageCount, MI_PROTECTION Protection);

/* Entry forms for demand-faulted system space (paged pool, pageable driver sections). Commit is the caller's. */
VOID MiMakeDemandZeroRange(PVOID Va, SIZE_T PageCount, MI_PROTECTION Protection, MI_PAGE_USE Use);
/* Remove a demand-zero range in whatever state its pages are (never touched, valid, transition): one flush, frames freed. */
VOID MiDeletePageableRange(PVOID Va, SIZE_T PageCount);
/* Turn valid pageable entries into transition form, pages to standby or modified (soft trim). Returns pages trimmed. */
SIZE_T MiTrimRange(PVOID Va, SIZE_T PageCount);

/* The frame behind a valid address now, MI_NO_FRAME if none; Protection (optional) receives the effective rights. Any IRQL. */
PFN_NUMBER MiTranslate(PVOID Va, MI_PROTECTION *Protection);

/* --- mm/fault --------------------------------------------------------------------------------------------- */

/*
 * Resolve a fault the page tables did not allow. ErrorCode as the processor gave it; TrapFrame NULL when the core asks
 * itself (probe and lock). STATUS_SUCCESS-class: retry the access. STATUS_ACCESS_VIOLATION etc: the caller raises or stops.
 */
NTSTATUS MmAccessFault(ULONG ErrorCode, PVOID Address, KPROCESSOR_MODE Mode, PKTRAP_FRAME TrapFrame);

/* --- validators (checked builds do more; each returns TRUE or stops with what is wrong) ------------------------ */

BOOLEAN MiValidatePfnDatabase(VOID);
BOOLEAN MiValidateSystemSpace(VOID);
BOOLEAN MiValidatePools(VOID);

/* --- figures for the report and tests --------------------------------------------------------------------------- */

typedef struct _MI_PAGE_COUNTS {
    SIZE_T Total, Virgin, Zeroed, Free, Standby[8], Modified, ModifiedNoWrite, Bad, Transition, Active;
} MI_PAGE_COUNTS, *PMI_PAGE_COUNTS;

VOID MiQueryPageCounts(PMI_PAGE_COUNTS Counts);
/* Use[][]: rows MI_PAGE_USE, columns Active, Standby, Modified, Transition, Zeroed, Free, Bad (last row: unused). */
VOID MiQueryPageUse(SIZE_T Use[MiUseMaximum + 1][7]);
VOID MiQueryCommit(PSIZE_T Charge, PSIZE_T Limit, PSIZE_T Peak);
SIZE_T MiAvailablePages(VOID); /* virgin + zeroed + free + standby, per-processor caches included */
VOID MiQueryFaults(PULONG64 Total, PULONG64 DemandZero, PULONG64 Transition);

/* --- init, in this order, on the first processor -------------------------------------------------------------- */

VOID MiInitializePhysical(PHAL_LOADER_BLOCK LoaderBlock); /* runs -> extents; commit limit */
VOID MiInitializeSystemSpace(PHAL_LOADER_BLOCK LoaderBlock); /* root, regions, self-map */
VOID MiInitializePools(PHAL_LOADER_BLOCK LoaderBlock);
VOID MiInitializeMdls(VOID);

#endif
