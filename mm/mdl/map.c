/*
 * Mapping MDLs into system space.
 *
 * A mapping is a run of addresses in the region of system PTEs, and a record in the tracker, found by the
 * address of its first page, that says for which MDL it was made. The MDL's pages are what they were: a
 * mapping takes no references on RAM, its MDL holds them. Device pages are counted for each mapping
 * (iopages.c), because the first mapping decides how they are cached.
 *
 * All mappings of a page agree on its cache type. A RAM page keeps the type that its first user chose;
 * whoever maps it later gets that one, whatever he asks for.
 *
 * Prepare: record, address, device pages. Commit: entries, record, flags of the MDL. One mapping for an MDL
 * at a time; two threads must not map one MDL at once, as documented. <= DISPATCH_LEVEL, nothing blocks.
 * Documents: MmMapLockedPagesSpecifyCache, MmUnmapLockedPages, "Bug Check 0xDA".
 */
#include "mdlp.h"
#include "usermdl.h"
#include <ke/exception.h>

/* Available pages below which mappings of that priority fail. */
#define MI_LOW_PRIORITY_PAGES    64
#define MI_NORMAL_PRIORITY_PAGES 16
#define MI_PRIORITY_FLAGS        (MdlMappingNoWrite | MdlMappingNoExecute | MdlMappingWithGuardPtes)

/* --- Rights and cache types ------------------------------------------------------------------- */

BOOLEAN
MiRightsFromPage(ULONG Protect, MI_PROTECTION *Protection)
{
    switch (Protect) {
    case PAGE_NOACCESS:
        *Protection = MM_NOACCESS;
        return TRUE;
    case PAGE_READONLY:
        *Protection = MM_READONLY;
        return TRUE;
    case PAGE_READWRITE:
        *Protection = MM_READWRITE;
        return TRUE;
    case PAGE_EXECUTE:
        *Protection = MM_EXECUTE;
        return TRUE;
    case PAGE_EXECUTE_READ:
        *Protection = MM_EXECUTE_READ;
        return TRUE;
    case PAGE_EXECUTE_READWRITE:
        *Protection = MM_EXECUTE_READWRITE;
        return TRUE;
    default:
        return FALSE;
    }
}

BOOLEAN
MiRightsAndCacheFromPage(ULONG Protect, MI_PROTECTION *Protection, MEMORY_CACHING_TYPE *CacheType)
{
    ULONG Modifiers = Protect & (PAGE_NOCACHE | PAGE_WRITECOMBINE);

    switch (Modifiers) {
    case 0:
        *CacheType = MmCached;
        break;
    case PAGE_NOCACHE:
        *CacheType = MmNonCached;
        break;
    case PAGE_WRITECOMBINE:
        *CacheType = MmWriteCombined;
        break;
    default:
        return FALSE;
    }
    return MiRightsFromPage(Protect & ~Modifiers, Protection) && *Protection != MM_NOACCESS;
}

BOOLEAN
MiIsCacheType(MEMORY_CACHING_TYPE CacheType)
{
    return (ULONG)CacheType < (ULONG)MmMaximumCacheType;
}

MEMORY_CACHING_TYPE
MiChooseCacheType(PFN_NUMBER Frame, MEMORY_CACHING_TYPE Wanted)
{
    MiEnsureFrameRecord(Frame);
    return MiSetFrameCacheType(Frame, MiFrameUse(Frame) == MiUseDriverLocked ? Wanted : MmCached);
}

BOOLEAN
MiIsFrameHeld(PFN_NUMBER Frame)
{
    ULONG References = MiFrameReferenceCount(Frame);
    ULONG64 State = MiPfnState(Frame);

    /* The valid entries of a pageable page hold one reference together. */
    return References > (MiStateShares(State) != 0 && MiFramePte(Frame) != NULL ? 1u : 0u);
}

/* --- Entries ---------------------------------------------------------------------------------- */

MEMORY_CACHING_TYPE
MiMappedCacheType(PFN_NUMBER Frame, MEMORY_CACHING_TYPE Wanted)
{
    return MiIsRamFrame(Frame) ? MiChooseCacheType(Frame, Wanted) : MiIoPageCacheType(Frame);
}

VOID
MiMapMixedFrames(PVOID Va, SIZE_T PageCount, const PFN_NUMBER *Frames, MI_PROTECTION Protection,
                 MEMORY_CACHING_TYPE CacheType)
{
    SIZE_T Start = 0;

    while (Start < PageCount) {
        MEMORY_CACHING_TYPE RunType = MiMappedCacheType(Frames[Start], CacheType);
        SIZE_T End = Start + 1;

        while (End < PageCount && MiMappedCacheType(Frames[End], CacheType) == RunType) {
            End += 1;
        }
        MiMapFrames((PUCHAR)Va + (Start << PAGE_SHIFT), End - Start, Frames + Start, Protection, RunType);
        Start = End;
    }
}

VOID
MiReleaseFrames(const PFN_NUMBER *Frames, SIZE_T PageCount)
{
    for (SIZE_T Index = 0; Index < PageCount; Index += 1) {
        if (Frames[Index] != MI_NO_FRAME && !MiIsRamFrame(Frames[Index])) {
            MiDereferenceIoPages(Frames[Index], 1);
        }
    }
}

BOOLEAN
MiPrepareMdlFrames(PMDL Mdl, MEMORY_CACHING_TYPE CacheType)
{
    PPFN_NUMBER Frames = MmGetMdlPfnArray(Mdl);

    if (!(MiMdlFlags(Mdl) & MDL_IO_SPACE)) {
        return TRUE;
    }
    for (SIZE_T Index = 0; Index < MiMdlPageCount(Mdl); Index += 1) {
        if (!MiIsRamFrame(Frames[Index]) && !MiReferenceIoPages(Frames[Index], 1, CacheType, FALSE)) {
            MiReleaseFrames(Frames, Index);
            return FALSE;
        }
    }
    return TRUE;
}

VOID
MiUnmapMixedFrames(PVOID Va, SIZE_T PageCount)
{
    PUCHAR Address = Va;

    while (PageCount != 0) {
        PFN_NUMBER Frames[64];
        SIZE_T Count = MIN(PageCount, ARRAYSIZE(Frames));

        MiUnmapRange(Address, Count, Frames);
        MiReleaseFrames(Frames, Count);
        Address += Count << PAGE_SHIFT;
        PageCount -= Count;
    }
}

/* --- What may be mapped ----------------------------------------------------------------------- */

/* Is every page of the MDL memory that somebody keeps, or a device's that the MDL says it has? */
static VOID
MipCheckMappedPages(PMDL Mdl)
{
    PPFN_NUMBER Frames = MmGetMdlPfnArray(Mdl);
    SIZE_T PageCount = MiMdlPageCount(Mdl);

    for (SIZE_T Index = 0; Index < PageCount; Index += 1) {
        BOOLEAN Ram = MiIsRamFrame(Frames[Index]);

        if (KiVerifierOn && !Ram && !(MiMdlFlags(Mdl) & MDL_IO_SPACE)) {
            KeBugCheckEx(DRIVER_VERIFIER_DETECTED_VIOLATION, 0x89, (ULONG_PTR)Mdl, (ULONG_PTR)&Frames[Index],
                         Frames[Index]);
        }
        if (Ram && !MiIsFrameHeld(Frames[Index])) {
            if (KiVerifierOn) {
                KeBugCheckEx(DRIVER_VERIFIER_DETECTED_VIOLATION, 0x85, (ULONG_PTR)Mdl, PageCount,
                             Frames[Index]);
            }
            KeBugCheckEx(MEMORY_MANAGEMENT, 0x1233, Frames[Index], 0, 0);
        }
    }
}

VOID
MiCheckMappable(PMDL Mdl, ULONG ForbiddenFlags)
{
    ULONG Flags = MiMdlFlags(Mdl);

    MiVerifyMdlFlags(0xB2, Mdl, Flags & ForbiddenFlags);
    MiVerifyMdlFlags(0xB3, Mdl, Flags & MI_MDL_HAS_FRAMES ? 0 : MI_MDL_HAS_FRAMES);
    MipCheckMappedPages(Mdl);
}

/* --- Mapping ---------------------------------------------------------------------------------- */

typedef struct _MI_MAPPING {
    PMDL Mdl;
    SIZE_T PageCount;
    MI_PROTECTION Protection;
    MEMORY_CACHING_TYPE CacheType;
    BOOLEAN Guards; /* an empty page on either side */
    PUCHAR Va;      /* first mapped page */
} MI_MAPPING, *PMI_MAPPING;

static SIZE_T
MipGuardPages(const MI_MAPPING *Mapping)
{
    return Mapping->Guards ? 1 : 0;
}

/* Resources are low: only who may not fail, or asks with a higher priority, gets what is left. */
static BOOLEAN
MipPriorityAllows(ULONG Priority)
{
    Priority &= ~MI_PRIORITY_FLAGS;
    if (Priority >= HighPagePriority) {
        return TRUE;
    }
    return MiAvailablePages() >=
           (Priority >= NormalPagePriority ? MI_NORMAL_PRIORITY_PAGES : MI_LOW_PRIORITY_PAGES);
}

static MI_PROTECTION
MipMappingProtection(ULONG Priority)
{
    if (Priority & MdlMappingNoExecute) {
        return Priority & MdlMappingNoWrite ? MM_READONLY : MM_READWRITE;
    }
    return Priority & MdlMappingNoWrite ? MM_EXECUTE_READ : MM_EXECUTE_READWRITE;
}

/* Address and entries. FALSE: nothing is taken. */
static BOOLEAN
MipMakeMapping(PMI_MAPPING Mapping)
{
    SIZE_T Guard = MipGuardPages(Mapping);
    PUCHAR Va = MiReserveSystemVa(MiRegionSystemPtes, Mapping->PageCount + 2 * Guard, 1);

    if (Va == NULL) {
        return FALSE;
    }
    if (!MiPrepareMdlFrames(Mapping->Mdl, Mapping->CacheType)) {
        MiReleaseSystemVa(MiRegionSystemPtes, Va, Mapping->PageCount + 2 * Guard);
        return FALSE;
    }
    Mapping->Va = Va + (Guard << PAGE_SHIFT);
    MiMapMixedFrames(Mapping->Va, Mapping->PageCount, MmGetMdlPfnArray(Mapping->Mdl), Mapping->Protection,
                     Mapping->CacheType);
    return TRUE;
}

static VOID
MipRemoveMapping(const MI_MAPPING *Mapping)
{
    SIZE_T Guard = MipGuardPages(Mapping);

    MiUnmapMixedFrames(Mapping->Va, Mapping->PageCount);
    MiReleaseSystemVa(MiRegionSystemPtes, Mapping->Va - (Guard << PAGE_SHIFT),
                      Mapping->PageCount + 2 * Guard);
}

static VOID
MipRecordMapping(const MI_MAPPING *Mapping, PMI_TRACKED Tracked)
{
    PMDL Mdl = Mapping->Mdl;

    Tracked->Object = Mapping->Va;
    Tracked->Size = Mapping->PageCount << PAGE_SHIFT;
    Tracked->Value[MI_MAPPING_MDL] = (ULONG_PTR)Mdl;
    Tracked->Value[MI_MAPPING_PAGES] = Mapping->PageCount;
    Tracked->Value[MI_MAPPING_FRAME] = MmGetMdlPfnArray(Mdl)[0];
    Tracked->Value[MI_MAPPING_START] = (ULONG_PTR)Mdl->StartVa | (MipGuardPages(Mapping) ? MI_MAPPING_GUARDED : 0);
    if (MiMdlFlags(Mdl) & MDL_PARTIAL) {
        Tracked->Value[MI_MAPPING_START] |= MI_MAPPING_PARTIAL;
        __atomic_fetch_add(&MiPartialMappings, 1, __ATOMIC_RELAXED);
    }
    MiInsertTracked(Tracked);
    Mdl->MappedSystemVa = Mapping->Va + Mdl->ByteOffset;
    MiSetMdlFlags(Mdl, MDL_MAPPED_TO_SYSTEM_VA |
                           (MiMdlFlags(Mdl) & MDL_PARTIAL ? MDL_PARTIAL_HAS_BEEN_MAPPED : 0));
}

static PVOID
MipMapMdl(PMDL Mdl, MEMORY_CACHING_TYPE CacheType, ULONG Priority)
{
    MI_MAPPING Mapping = {.Mdl = Mdl,
                          .PageCount = MiMdlPageCount(Mdl),
                          .Protection = MipMappingProtection(Priority),
                          .CacheType = CacheType,
                          .Guards = (Priority & MdlMappingWithGuardPtes) != 0};
    PMI_TRACKED Tracked;

    if (Mapping.PageCount == 0 || !MiIsCacheType(CacheType) || MiInjectRequest() || !MipPriorityAllows(Priority)) {
        return NULL;
    }
    Tracked = MiAllocateTracked(MiTrackMapping);
    if (Tracked == NULL) {
        return NULL;
    }
    if (!MipMakeMapping(&Mapping)) {
        MiFreeTracked(Tracked);
        return NULL;
    }
    MipRecordMapping(&Mapping, Tracked);
    return Mdl->MappedSystemVa;
}

/* A mapping that may not fail did. */
static VOID DECLSPEC_NORETURN
MipNoMoreSystemPtes(SIZE_T PageCount)
{
    ULONG_PTR Start, End;
    SIZE_T Total, Reserved = MiReservedPages(MiRegionSystemPtes);

    MiRegionBounds(MiRegionSystemPtes, &Start, &End);
    Total = (End - Start) >> PAGE_SHIFT;
    KeBugCheckEx(NO_MORE_SYSTEM_PTES, 0, PageCount, Total - Reserved, Total);
}

/* Forbidden for a new system mapping; a partial MDL may share its source's until it needs one of its own. */
#define MI_MAY_NOT_MAP (MDL_MAPPED_TO_SYSTEM_VA | MDL_SOURCE_IS_NONPAGED_POOL | MDL_PARTIAL_HAS_BEEN_MAPPED)

/* Into the current process's user space, or the exception that says why not. */
static PVOID
MipMapToUserOrRaise(PMDL Mdl, MEMORY_CACHING_TYPE CacheType, PVOID Requested, ULONG Priority)
{
    PVOID Address;
    NTSTATUS Status;

    MiCheckMappable(Mdl, 0);
    Status = MiMapMdlToUser(Mdl, CacheType, Requested, (Priority & MdlMappingNoWrite) == 0, &Address);
    if (!NT_SUCCESS(Status)) {
        KiRaiseStatus(Status);
    }
    return Address;
}

/*
 * Map the pages of an MDL into system space; the address of the buffer's first byte. CacheType counts only
 * for pages that have none yet. NULL without resources, or bug check 0x3F if BugCheckOnFailure is set and the
 * MDL does not say that its mapping can fail. Priority: how soon to give up, with MdlMappingNoWrite,
 * -NoExecute and -WithGuardPtes. Removed by MmUnmapLockedPages, MmUnlockPages or MmFreePagesFromMdl. UserMode
 * maps into the user space of the current process, at RequestedAddress if that is given, never executable, and raises
 * instead of returning NULL. Bug checks: 0xC4/0x85 or
 * 0x1A/0x1233 for pages that are not locked; 0xC4/0xB2, 0xB3.
 */
PVOID NTAPI
MmMapLockedPagesSpecifyCache(PMDL MemoryDescriptorList, KPROCESSOR_MODE AccessMode,
                             MEMORY_CACHING_TYPE CacheType, PVOID RequestedAddress, ULONG BugCheckOnFailure,
                             ULONG Priority)
{
    PMDL Mdl = MemoryDescriptorList;
    PVOID Va;

    if (AccessMode != KernelMode) {
        MiVerifyIrql(0x77, APC_LEVEL, (ULONG_PTR)Mdl, (ULONG64)AccessMode);
        return MipMapToUserOrRaise(Mdl, CacheType, RequestedAddress, Priority);
    }
    MiVerifyIrql(0x76, DISPATCH_LEVEL, (ULONG_PTR)Mdl, (ULONG64)AccessMode);
    if (BugCheckOnFailure) {
        MiReportObsolete("MmMapLockedPagesSpecifyCache was told to bug-check on failure (rule 0xC4/0x82)",
                         Mdl);
    }
    MiCheckMappable(Mdl, MI_MAY_NOT_MAP);
    if (BugCheckOnFailure && !(MiMdlFlags(Mdl) & MDL_MAPPING_CAN_FAIL)) {
        MiInjectExempt();
    }
    Va = MipMapMdl(Mdl, CacheType, Priority);
    if (Va == NULL && BugCheckOnFailure && !(MiMdlFlags(Mdl) & MDL_MAPPING_CAN_FAIL)) {
        MipNoMoreSystemPtes(MiMdlPageCount(Mdl));
    }
    return Va;
}
NTEXPORT(MmMapLockedPagesSpecifyCache);

/* The obsolete form: cached, and bug check 0x3F if it fails, or an exception for UserMode. */
PVOID NTAPI
MmMapLockedPages(PMDL MemoryDescriptorList, KPROCESSOR_MODE AccessMode)
{
    PMDL Mdl = MemoryDescriptorList;
    PVOID Va;

    if (AccessMode != KernelMode) {
        MiVerifyIrql(0x75, APC_LEVEL, (ULONG_PTR)Mdl, (ULONG64)AccessMode);
        return MipMapToUserOrRaise(Mdl, MmCached, NULL, 0);
    }
    MiVerifyIrql(0x74, DISPATCH_LEVEL, (ULONG_PTR)Mdl, (ULONG64)AccessMode);
    MiReportObsolete(
        "MmMapLockedPages bug-checks on failure; use MmMapLockedPagesSpecifyCache (rule 0xC4/0x81)", Mdl);
    MiCheckMappable(Mdl, MI_MAY_NOT_MAP);
    if (!(MiMdlFlags(Mdl) & MDL_MAPPING_CAN_FAIL)) {
        MiInjectExempt();
    }
    Va = MipMapMdl(Mdl, MmCached, HighPagePriority);
    if (Va == NULL && !(MiMdlFlags(Mdl) & MDL_MAPPING_CAN_FAIL)) {
        MipNoMoreSystemPtes(MiMdlPageCount(Mdl));
    }
    return Va;
}
NTEXPORT(MmMapLockedPages);

/* --- Unmapping -------------------------------------------------------------------------------- */

/* The address is not that of a mapping: say what is wrong with it. */
static VOID DECLSPEC_NORETURN
MipStopUnmap(PVOID BaseAddress, PMDL Mdl)
{
    MI_TRACKED Record;

    if (MiFindTrackedAround(MiTrackReservedMapping, BaseAddress, &Record)) {
        KeBugCheckEx(SYSTEM_PTE_MISUSE, 0x301, (ULONG_PTR)BaseAddress, 0, 0);
    }
    if ((MiMdlFlags(Mdl) & MDL_MAPPED_TO_SYSTEM_VA) &&
        MiFindTracked(MiTrackMapping, MiMdlMappingBase(Mdl), &Record)) {
        KeBugCheckEx(SYSTEM_PTE_MISUSE, 3, (ULONG_PTR)Record.Object, (ULONG_PTR)Mdl->MappedSystemVa,
                     (ULONG_PTR)BaseAddress);
    }
    KeBugCheckEx(SYSTEM_PTE_MISUSE, 6, (ULONG_PTR)Mdl, (ULONG_PTR)BaseAddress, MiMdlPageCount(Mdl));
}

/* Bug check unless the MDL is still the one that was mapped, and the driver means that mapping. */
static VOID
MipCheckUnmap(const MI_TRACKED *Record, PVOID BaseAddress, PMDL Mdl, SIZE_T Extra)
{
    ULONG_PTR Start = Record->Value[MI_MAPPING_START] & ~((ULONG_PTR)PAGE_SIZE - 1);
    SIZE_T PageCount = MiMdlPageCount(Mdl) + Extra;

    if (Record->Value[MI_MAPPING_MDL] != (ULONG_PTR)Mdl) {
        KeBugCheckEx(SYSTEM_PTE_MISUSE, 6, (ULONG_PTR)Mdl, (ULONG_PTR)BaseAddress, PageCount);
    }
    if (Record->Value[MI_MAPPING_PAGES] != PageCount) {
        KeBugCheckEx(SYSTEM_PTE_MISUSE, 2, (ULONG_PTR)Record->Object, Record->Value[MI_MAPPING_PAGES],
                     PageCount);
    }
    if (Extra == 0 && Record->Value[MI_MAPPING_FRAME] != MmGetMdlPfnArray(Mdl)[0]) {
        KeBugCheckEx(SYSTEM_PTE_MISUSE, 4, (ULONG_PTR)Record->Object, Record->Value[MI_MAPPING_FRAME],
                     MmGetMdlPfnArray(Mdl)[0]);
    }
    if (Start != (ULONG_PTR)Mdl->StartVa) {
        KeBugCheckEx(SYSTEM_PTE_MISUSE, 5, (ULONG_PTR)Record->Object, Start, (ULONG_PTR)Mdl->StartVa);
    }
}

/* A mapping in user space. An address or an MDL that has none is bug check 0xC4/0xB9, or 0xDA/6 without the verifier. */
static VOID
MipUnmapFromUser(PVOID BaseAddress, PMDL Mdl)
{
    MiVerifyIrql(0x7A, APC_LEVEL, (ULONG_PTR)BaseAddress, (ULONG_PTR)Mdl);
    if (MiUnmapMdlFromUser(BaseAddress, Mdl)) {
        return;
    }
    if (KiVerifierOn) {
        KeBugCheckEx(DRIVER_VERIFIER_DETECTED_VIOLATION, 0xB9, (ULONG_PTR)Mdl, MiMdlFlags(Mdl), (ULONG_PTR)BaseAddress);
    }
    KeBugCheckEx(SYSTEM_PTE_MISUSE, 6, (ULONG_PTR)Mdl, (ULONG_PTR)BaseAddress, MiMdlPageCount(Mdl));
}

/* Checks of the verifier before anything is looked up. */
static VOID
MipVerifyUnmap(PVOID BaseAddress, PMDL Mdl)
{
    ULONG Flags = MiMdlFlags(Mdl);

    MiVerifyIrql(0x79, DISPATCH_LEVEL, (ULONG_PTR)BaseAddress, (ULONG_PTR)Mdl);
    if ((Flags & MDL_PARTIAL) && !(Flags & MDL_PARTIAL_HAS_BEEN_MAPPED)) {
        MiVerifyMdlFlags(0xB5, Mdl, MDL_PARTIAL);
    }
    MiVerifyMdlFlags(0xB6, Mdl, Flags & MDL_MAPPED_TO_SYSTEM_VA ? 0 : MDL_MAPPED_TO_SYSTEM_VA);
}

/*
 * Remove the mapping that MmMapLockedPages(SpecifyCache) made of this MDL. Another address, or an MDL that
 * has changed since, is bug check 0xDA; one that is not mapped 0xC4/0xB6, a partial one that has no mapping
 * of its own 0xC4/0xB5.
 */
VOID NTAPI
MmUnmapLockedPages(PVOID BaseAddress, PMDL MemoryDescriptorList)
{
    PMDL Mdl = MemoryDescriptorList;
    MI_MAPPING Mapping = {.Mdl = Mdl};
    SIZE_T Extra;
    MI_TRACKED Record;
    PVOID Base;

    if ((ULONG_PTR)BaseAddress < KiLoaderBlock->UserEnd) {
        MipUnmapFromUser(BaseAddress, Mdl);
        return;
    }
    MipVerifyUnmap(BaseAddress, Mdl);
    Extra = MiMdlExtraPages(Mdl);
    Base = (PVOID)((ULONG_PTR)PAGE_ALIGN(BaseAddress) - (Extra << PAGE_SHIFT));
    if (!MiFindTracked(MiTrackMapping, Base, &Record)) {
        MipStopUnmap(BaseAddress, Mdl);
    }
    MipCheckUnmap(&Record, BaseAddress, Mdl, Extra);
    MiFreeTracked(MiRemoveTracked(MiTrackMapping, Base));
    Mapping.Va = Base;
    Mapping.PageCount = Record.Value[MI_MAPPING_PAGES];
    Mapping.Guards = (Record.Value[MI_MAPPING_START] & MI_MAPPING_GUARDED) != 0;
    if (Record.Value[MI_MAPPING_START] & MI_MAPPING_PARTIAL) {
        __atomic_fetch_sub(&MiPartialMappings, 1, __ATOMIC_RELAXED);
    }
    MipRemoveMapping(&Mapping);
    MiClearMdlFlags(Mdl, MDL_MAPPED_TO_SYSTEM_VA | MDL_PARTIAL_HAS_BEEN_MAPPED | MDL_FREE_EXTRA_PTES);
    Mdl->MappedSystemVa = NULL;
}
NTEXPORT(MmUnmapLockedPages);

/* --- Protection, and mappings for a moment ---------------------------------------------------- */

/* Bug check 0x1A/0x1235 if no mapping of ours begins where the MDL says. */
static VOID
MipCheckMapped(PMDL Mdl)
{
    MI_TRACKED Record;

    if (MiMdlFlags(Mdl) & MDL_PARENT_MAPPED_SYSTEM_VA) {
        return;
    }
    if (!MiFindTracked(MiTrackMapping, MiMdlMappingBase(Mdl), &Record) &&
        !MiFindTrackedAround(MiTrackReservedMapping, Mdl->MappedSystemVa, &Record)) {
        KeBugCheckEx(MEMORY_MANAGEMENT, 0x1235, (ULONG_PTR)Mdl, (ULONG_PTR)Mdl->MappedSystemVa, 0);
    }
}

/*
 * Give an MDL's system mapping other rights: one of PAGE_NOACCESS to PAGE_EXECUTE_READWRITE, without
 * modifiers. STATUS_INVALID_PAGE_PROTECTION; STATUS_NOT_MAPPED_VIEW if the MDL is not mapped.
 */
NTSTATUS NTAPI
MmProtectMdlSystemAddress(PMDL MemoryDescriptorList, ULONG NewProtect)
{
    PMDL Mdl = MemoryDescriptorList;
    MI_PROTECTION Protection;

    if (!MiRightsFromPage(NewProtect, &Protection)) {
        return STATUS_INVALID_PAGE_PROTECTION;
    }
    if (!(MiMdlFlags(Mdl) & MDL_MAPPED_TO_SYSTEM_VA)) {
        return STATUS_NOT_MAPPED_VIEW;
    }
    MipCheckMapped(Mdl);
    return MiProtectRange(PAGE_ALIGN(Mdl->MappedSystemVa), MiMdlPageCount(Mdl), Protection);
}
NTEXPORT(MmProtectMdlSystemAddress);

/*
 * Map the MDL with Protection (PAGE_*), call DriverRoutine with the address of its first byte, unmap, also if
 * an exception leaves the routine. The MDL itself is not changed. STATUS_INVALID_PAGE_PROTECTION or
 * STATUS_INSUFFICIENT_RESOURCES: it was not called.
 */
NTSTATUS NTAPI
MmMapMdl(PMDL MemoryDescriptorList, ULONG Protection, PMM_MDL_ROUTINE DriverRoutine, PVOID DriverContext)
{
    MI_MAPPING Mapping = {.Mdl = MemoryDescriptorList,
                          .PageCount = MiMdlPageCount(MemoryDescriptorList),
                          .CacheType = MmCached};
    KI_UNWIND_GUARD Guard;
    BOOLEAN Unwound;

    if (!MiRightsFromPage(Protection, &Mapping.Protection)) {
        return STATUS_INVALID_PAGE_PROTECTION;
    }
    MiCheckMappable(MemoryDescriptorList, 0);
    if (Mapping.PageCount == 0 || MiInjectRequest() || !MipMakeMapping(&Mapping)) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    Unwound = KiCallRoutineGuarded((PVOID)DriverRoutine, (ULONG_PTR)DriverContext,
                                   (ULONG_PTR)Mapping.Va + MemoryDescriptorList->ByteOffset, 0, 0, &Guard);
    MipRemoveMapping(&Mapping);
    if (Unwound) {
        KiContinueUnwind(&Guard);
    }
    return STATUS_SUCCESS;
}
NTEXPORT(MmMapMdl);
