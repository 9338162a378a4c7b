/*
 * Private to mm/mdl.
 */
#ifndef MM_MDL_MDLP_H
#define MM_MDL_MDLP_H

#include <ke/finding.h>
#include <mm/phys/inject.h>
#include <mm/phys/pfn.h>
#include <mm/pool/pool.h>
#include <mm/pte/pte.h>
#include <ntexport.h>
#include <rtl/rtl.h>
#include "mdl.h"
#include "track.h"

#define MI_MDL_TAG  ' ldM' /* "Mdl " */
#define MI_WORK_TAG 'tMmM' /* "MmMt" */

/* Flags of an MDL whose page frames mean something. */
#define MI_MDL_HAS_FRAMES (MDL_PAGES_LOCKED | MDL_SOURCE_IS_NONPAGED_POOL | MDL_PARTIAL | MDL_IO_SPACE)

/* MdlFlags without sign extension. */
static inline ULONG
MiMdlFlags(const MDL *Mdl)
{
    return (USHORT)Mdl->MdlFlags;
}

static inline VOID
MiSetMdlFlags(PMDL Mdl, ULONG Set)
{
    Mdl->MdlFlags = (CSHORT)(MiMdlFlags(Mdl) | Set);
}

static inline VOID
MiClearMdlFlags(PMDL Mdl, ULONG Clear)
{
    Mdl->MdlFlags = (CSHORT)(MiMdlFlags(Mdl) & ~Clear);
}

static inline SIZE_T
MiMdlPageCount(const MDL *Mdl)
{
    return ADDRESS_AND_SIZE_TO_SPAN_PAGES((ULONG_PTR)Mdl->ByteOffset, Mdl->ByteCount);
}

/* Has the address bits that no translation looks at? */
static inline BOOLEAN
MiIsCanonical(ULONG_PTR Va)
{
    return (ULONG_PTR)((LONG64)(Va << 16) >> 16) == Va;
}

/* --- The verifier (verify.c) --- */

/* Bug check 0xC4 if the verifier is on and IRQL is above Limit: Violation, IRQL, P3, P4. */
VOID MiVerifyIrql(ULONG Violation, KIRQL Limit, ULONG64 P3, ULONG64 P4);

/* Bug check 0xC4 if the verifier is on and Wrong is not 0: Violation, MDL, its flags, Wrong. */
VOID MiVerifyMdlFlags(ULONG Violation, const MDL *Mdl, ULONG Wrong);

/* A finding about the use of a routine that is discouraged but works. */
VOID MiReportObsolete(const char *Text, PVOID Object);

/* --- Locking pages (problock.c) --- */

/* What a page's lock looked at. */
typedef struct _MI_PAGE_LOCK {
    PFN_NUMBER Frame;
    BOOLEAN Ram;      /* FALSE: device memory, no reference was taken */
    BOOLEAN Pageable; /* one page of resident available is charged */
} MI_PAGE_LOCK, *PMI_PAGE_LOCK;

/*
 * Make the page of Va resident and take a reference on it. Write: it must be writable.
 * STATUS_ACCESS_VIOLATION, STATUS_WORKING_SET_QUOTA, STATUS_INSUFFICIENT_RESOURCES. Above APC_LEVEL a page
 * that is not resident is a bug check, as a touch of it would be, or STATUS_ACCESS_VIOLATION if NoFault is
 * set.
 */
NTSTATUS MiLockPage(ULONG_PTR Va, BOOLEAN Write, BOOLEAN NoFault, PMI_PAGE_LOCK Lock);
VOID MiUnlockPage(const MI_PAGE_LOCK *Lock, BOOLEAN Modified);

/* Tell the process of a locked buffer that so many of its pages are locked no more. */
VOID MiForgetLockedPages(PMI_TRACKED Tracked, SIZE_T PageCount);

/* Values of a MiTrackLockedPages record. */
#define MI_LOCK_PAGEABLE 0 /* pages charged */
#define MI_LOCK_SPACE    1 /* the address space whose pages they were, 0 for system addresses */
#define MI_LOCK_PAGES    2 /* how many it has been told of */

/* --- Mappings (map.c) --- */

/* The rights of a base PAGE_* value that system mappings may have; FALSE for write-copy, modifiers and
 * nonsense. */
BOOLEAN MiRightsFromPage(ULONG Protect, MI_PROTECTION *Protection);

/* The same where PAGE_NOCACHE or PAGE_WRITECOMBINE, not both, may choose the cache type. */
BOOLEAN MiRightsAndCacheFromPage(ULONG Protect, MI_PROTECTION *Protection, MEMORY_CACHING_TYPE *CacheType);

/* Is it one of the documented types a mapping may have? */
BOOLEAN MiIsCacheType(MEMORY_CACHING_TYPE CacheType);

/*
 * How a RAM frame is to be mapped: as it already is, if somebody chose, else as wanted. Only pages that an
 * owner has for himself are free to choose; pools, stacks and images are cached.
 */
MEMORY_CACHING_TYPE MiChooseCacheType(PFN_NUMBER Frame, MEMORY_CACHING_TYPE Wanted);

/* TRUE if someone keeps the frame from being reused: an owner, or a lock. */
BOOLEAN MiIsFrameHeld(PFN_NUMBER Frame);

/* How a page of an MDL is mapped: RAM by MiChooseCacheType, a device's as it is. */
MEMORY_CACHING_TYPE MiMappedCacheType(PFN_NUMBER Frame, MEMORY_CACHING_TYPE Wanted);

/* Bug check if the MDL may not be mapped: flags, pages not locked, device pages unmarked. */
VOID MiCheckMappable(PMDL Mdl, ULONG ForbiddenFlags);

/*
 * Prepare the frames of an MDL for a mapping: references on device pages. FALSE if there is no memory for
 * that. And undo it.
 */
BOOLEAN MiPrepareMdlFrames(PMDL Mdl, MEMORY_CACHING_TYPE CacheType);
VOID MiReleaseFrames(const PFN_NUMBER *Frames, SIZE_T PageCount);

/* Map prepared frames at reserved address, each as its cache type is. Cannot fail. */
VOID MiMapMixedFrames(PVOID Va, SIZE_T PageCount, const PFN_NUMBER *Frames, MI_PROTECTION Protection,
                      MEMORY_CACHING_TYPE CacheType);

/* Unmap, flush, and give back what MiPrepareMdlFrames or MiReferenceIoPages took. */
VOID MiUnmapMixedFrames(PVOID Va, SIZE_T PageCount);

/* Pages that MmAdvanceMdl left at the front of the mapping. */
static inline SIZE_T
MiMdlExtraPages(const MDL *Mdl)
{
    return MiMdlFlags(Mdl) & MDL_FREE_EXTRA_PTES ? MmGetMdlPfnArray(Mdl)[MiMdlPageCount(Mdl)] : 0;
}

/* Where the record of an MDL's own mapping is found. */
static inline PVOID
MiMdlMappingBase(const MDL *Mdl)
{
    return (PVOID)((ULONG_PTR)PAGE_ALIGN(Mdl->MappedSystemVa) - (MiMdlExtraPages(Mdl) << PAGE_SHIFT));
}

/* Values of a MiTrackMapping record. */
#define MI_MAPPING_MDL   0
#define MI_MAPPING_PAGES 1
#define MI_MAPPING_FRAME 2 /* first frame, as mapped */
#define MI_MAPPING_START 3 /* StartVa of the MDL, and: */
#define MI_MAPPING_GUARDED 0x1 /* guard pages around */
#define MI_MAPPING_PARTIAL 0x2 /* made for a partial MDL */

extern ULONG MiPartialMappings; /* (A) with MI_MAPPING_PARTIAL */

/* Findings about an MDL that is freed, or whose pages are about to be unlocked. */
VOID MiCheckFreedMdl(PMDL Mdl);
VOID MiCheckUnlockedMdl(PMDL Mdl);

/* --- Windows of physical memory (window.c) --- */

typedef struct _MI_FRAME_WINDOW {
    PFN_NUMBER Lowest;
    PFN_NUMBER Highest; /* inclusive */
} MI_FRAME_WINDOW, *PMI_FRAME_WINDOW;

/* The frames that lie wholly in [Low, High], bytes, inclusive. FALSE if there is none. */
BOOLEAN MiFrameWindow(PHYSICAL_ADDRESS Low, PHYSICAL_ADDRESS High, PMI_FRAME_WINDOW Window);

/* Commit and resident available at once. */
BOOLEAN MiChargeNonpaged(SIZE_T PageCount);
VOID MiReturnNonpaged(SIZE_T PageCount);

/* --- Pages of device memory (iopages.c) --- */

/*
 * Count a mapping of device pages. The first one decides how a page is cached. Strict: another type than the
 * one in force fails; otherwise that one is used. FALSE: conflict, or no memory; nothing is counted.
 */
BOOLEAN MiReferenceIoPages(PFN_NUMBER First, SIZE_T PageCount, MEMORY_CACHING_TYPE CacheType, BOOLEAN Strict);
/* One mapping fewer. Bug check 0x1A/0x61948 if a page has none. */
VOID MiDereferenceIoPages(PFN_NUMBER First, SIZE_T PageCount);
/* How a device page is cached now; MmNotMapped if nobody maps it. */
MEMORY_CACHING_TYPE MiIoPageCacheType(PFN_NUMBER Frame);

#endif
