/*
 * Mapping MDLs into user space, of the process that is current.
 *
 * A mapping is a region of kind MiVadMapping with plain entries (mm/va/usermap.c), never executable, and a record in the
 * tracker, found by the region, which says for which MDL it was made. Programs cannot free or protect it; the driver
 * removes it in the same process, or the process's end does. The MDL itself is not changed: an MDL can have one system
 * mapping and many of these.
 *
 * Prepare: record, region, place, device pages, tables. Commit: entries, region, record. Failure is a status, for the
 * caller to raise when nothing is held. <= APC_LEVEL. Documents: MmMapLockedPagesSpecifyCache, MmUnmapLockedPages.
 */
#include "mdlp.h"
#include "usermdl.h"

/* Values of a MiTrackUserMapping record. */
#define MI_USER_MDL   0
#define MI_USER_START 1 /* StartVa of the MDL */
#define MI_USER_BASE  2 /* address of the first page */

#define MI_UNMAP_PAGES 64

/* Where: at the requested address, rounded down to its page, or where the system chooses. */
static NTSTATUS
MipPlaceMapping(PMI_ADDRESS_SPACE Space, PMMVAD Vad, ULONG_PTR Requested, SIZE_T PageCount)
{
    MI_PLACE Place = {.PageCount = PageCount,
                      .Align = MI_SLOT_PAGES,
                      .Lowest = Space->BottomUp,
                      .Highest = MiHighestUserPage()};

    Vad->StartPage = Requested >> PAGE_SHIFT;
    Vad->EndPage = Vad->StartPage + PageCount;
    if (Requested != 0) {
        if (Requested < MI_LOWEST_USER || Vad->EndPage > MiHighestUserPage() || Vad->EndPage < Vad->StartPage) {
            return STATUS_INVALID_ADDRESS;
        }
        return MiPlaceIsFree(Space, Vad->StartPage, Vad->EndPage) ? STATUS_SUCCESS : STATUS_CONFLICTING_ADDRESSES;
    }
    Vad->StartPage = MiFindPlaceUp(Space, &Place);
    if (Vad->StartPage == MI_NO_PAGE) {
        Place.Lowest = MI_LOWEST_USER >> PAGE_SHIFT;
        Vad->StartPage = MiFindPlaceUp(Space, &Place);
    }
    Vad->EndPage = Vad->StartPage + PageCount;
    return Vad->StartPage == MI_NO_PAGE ? STATUS_NO_MEMORY : STATUS_SUCCESS;
}

/* The entries and the region. Create lock. */
static NTSTATUS
MipEnterMapping(PMI_ADDRESS_SPACE Space, PMMVAD Vad, PMDL Mdl, MEMORY_CACHING_TYPE CacheType)
{
    PPFN_NUMBER Frames = MmGetMdlPfnArray(Mdl);

    if (!MiPrepareMdlFrames(Mdl, CacheType)) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    if (!MiMakeUserTables(Space, Vad->StartPage, Vad->EndPage)) {
        MiReleaseFrames(Frames, MiMdlPageCount(Mdl));
        MiTrimUserTables(Space, Vad->StartPage, Vad->EndPage);
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    MiEnterVad(Space, Vad);
    for (ULONG64 Page = Vad->StartPage; Page < Vad->EndPage; Page += 1) {
        PFN_NUMBER Frame = Frames[Page - Vad->StartPage];

        MiMapUserFrame(Space, Page, Frame, Vad->Protection, MiMappedCacheType(Frame, CacheType));
    }
    return STATUS_SUCCESS;
}

static VOID
MipRecordUserMapping(PMMVAD Vad, PMDL Mdl, PMI_TRACKED Tracked)
{
    Tracked->Object = Vad;
    Tracked->Size = (Vad->EndPage - Vad->StartPage) << PAGE_SHIFT;
    Tracked->Value[MI_USER_MDL] = (ULONG_PTR)Mdl;
    Tracked->Value[MI_USER_START] = (ULONG_PTR)Mdl->StartVa;
    Tracked->Value[MI_USER_BASE] = Vad->StartPage << PAGE_SHIFT;
    MiInsertTracked(Tracked);
}

NTSTATUS
MiMapMdlToUser(PMDL Mdl, MEMORY_CACHING_TYPE CacheType, PVOID Requested, BOOLEAN Writable, PVOID *Address)
{
    PMI_ADDRESS_SPACE Space = MiCurrentSpace();
    SIZE_T PageCount = MiMdlPageCount(Mdl);
    PMI_TRACKED Tracked;
    PMMVAD Vad;
    NTSTATUS Status = STATUS_INSUFFICIENT_RESOURCES;

    if (PageCount == 0 || !MiIsCacheType(CacheType) || Space == NULL) {
        return STATUS_INVALID_PARAMETER;
    }
    Tracked = MiAllocateTracked(MiTrackUserMapping);
    Vad = MiAllocateVad(MiVadMapping, 0, 0);
    if (Tracked == NULL || Vad == NULL) {
        goto Free;
    }
    Vad->Protection = Writable ? MM_READWRITE : MM_READONLY;
    Vad->AllocationProtect = MiPageFromProtection(Vad->Protection);
    Status = MiLockLiveSpace(Space);
    if (!NT_SUCCESS(Status)) {
        goto Free;
    }
    Status = MipPlaceMapping(Space, Vad, (ULONG_PTR)Requested, PageCount);
    if (NT_SUCCESS(Status)) {
        Status = MipEnterMapping(Space, Vad, Mdl, CacheType);
    }
    if (NT_SUCCESS(Status)) {
        MipRecordUserMapping(Vad, Mdl, Tracked);
        *Address = (PVOID)((Vad->StartPage << PAGE_SHIFT) + Mdl->ByteOffset);
    }
    MiUnlockCreate(Space);
    if (NT_SUCCESS(Status)) {
        return Status;
    }

Free:
    MiFreeTracked(Tracked);
    if (Vad != NULL) {
        MiFreeVad(Vad);
    }
    return Status;
}

/* --- Removing --------------------------------------------------------------------------------- */

/* What the entries of a run of pages lead to, MI_NO_FRAME for none. Create lock. */
static VOID
MipReadFrames(PMI_ADDRESS_SPACE Space, ULONG64 Page, SIZE_T Count, PFN_NUMBER *Frames)
{
    for (SIZE_T Index = 0; Index < Count; Index += 1) {
        MI_WALK Walk;

        MiWalk(Space->RootFrame, (Page + Index) << PAGE_SHIFT, &Walk);
        Frames[Index] = MiWalkFrame(&Walk, (Page + Index) << PAGE_SHIFT);
    }
}

VOID
MiRemoveMdlFromUser(PMI_ADDRESS_SPACE Space, PMMVAD Vad)
{
    for (ULONG64 Page = Vad->StartPage; Page < Vad->EndPage; Page += MI_UNMAP_PAGES) {
        PFN_NUMBER Frames[MI_UNMAP_PAGES];
        SIZE_T Count = MIN(Vad->EndPage - Page, MI_UNMAP_PAGES);

        MipReadFrames(Space, Page, Count, Frames);
        MiUnmapUserFrames(Space, Page, Page + Count);
        MiReleaseFrames(Frames, Count);
    }
    MiFreeTracked(MiRemoveTracked(MiTrackUserMapping, Vad));
    MiFreeVad(Vad);
}

/* The mapping of this MDL that begins at the address's page; NULL if there is none. Create lock. */
static PMMVAD
MipFindUserMapping(PMI_ADDRESS_SPACE Space, PVOID BaseAddress, PMDL Mdl)
{
    PMMVAD Vad = MiFindVad(Space, (ULONG_PTR)BaseAddress >> PAGE_SHIFT);
    MI_TRACKED Record;

    if (Vad == NULL || Vad->Kind != MiVadMapping || Vad->StartPage != (ULONG_PTR)BaseAddress >> PAGE_SHIFT ||
        !MiFindTracked(MiTrackUserMapping, Vad, &Record) || Record.Value[MI_USER_MDL] != (ULONG_PTR)Mdl) {
        return NULL;
    }
    return Vad;
}

BOOLEAN
MiUnmapMdlFromUser(PVOID BaseAddress, PMDL Mdl)
{
    PMI_ADDRESS_SPACE Space = MiCurrentSpace();
    ULONG64 StartPage, EndPage;
    PMMVAD Vad;

    MiLockCreate(Space);
    Vad = MipFindUserMapping(Space, BaseAddress, Mdl);
    if (Vad != NULL) {
        StartPage = Vad->StartPage;
        EndPage = Vad->EndPage;
        MiLeaveVad(Space, Vad);
        MiRemoveMdlFromUser(Space, Vad);
        MiTrimUserTables(Space, StartPage, EndPage);
    }
    MiUnlockCreate(Space);
    return Vad != NULL;
}
