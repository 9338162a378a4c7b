/*
 * Pageable sections of images, locked and unlocked as a whole.
 *
 * A section that was ever locked has a record, which is its handle, for as long as its image is loaded. While
 * its count is above zero, each page of a pageable section is resident and referenced, so that trimming
 * leaves it; the frames are in the record. Sections that are not pageable are counted only.
 *
 *   (none) --MmLockPagableDataSection--> count 1 <--by handle / unlock--> count 0 --MiForgetImageSections--> (none)
 *
 * One push lock guards the records (LockRankControlArea); pages are brought in under it, so <= APC_LEVEL.
 * Document: MmLockPagableCodeSection, "Making Drivers Pageable".
 */
#include "mdlp.h"
#include <ke/push.h>

#define MI_SECTION_TAG 'cSmM' /* "MmSc" */

typedef struct _MI_LOCKED_SECTION {
    struct _MI_LOCKED_SECTION *Next;
    MI_IMAGE_SECTION Section;
    ULONG Count;
    SIZE_T LockedPages;   /* of Pages */
    MI_PAGE_LOCK Pages[]; /* while Count is not 0 */
} MI_LOCKED_SECTION, *PMI_LOCKED_SECTION;

BOOLEAN (*MiFindImageSection)(PVOID Address, PMI_IMAGE_SECTION Section);

static EX_PUSH_LOCK MipSectionLock;
static PMI_LOCKED_SECTION MipSections; /* guarded by MipSectionLock */

static VOID
MipAcquireSections(VOID)
{
    KeEnterCriticalRegion();
    KiAcquirePushLockExclusive(&MipSectionLock, LockRankControlArea);
}

static VOID
MipReleaseSections(VOID)
{
    KiReleasePushLockExclusive(&MipSectionLock);
    KeLeaveCriticalRegion();
}

static PMI_LOCKED_SECTION
MipFindSectionLocked(PVOID Base)
{
    PMI_LOCKED_SECTION Record = MipSections;

    while (Record != NULL && Record->Section.Base != Base) {
        Record = Record->Next;
    }
    return Record;
}

static BOOLEAN
MipIsHandleLocked(PVOID Handle)
{
    PMI_LOCKED_SECTION Record = MipSections;

    while (Record != NULL && Record != Handle) {
        Record = Record->Next;
    }
    return Record != NULL;
}

static PMI_LOCKED_SECTION
MipMakeSectionLocked(const MI_IMAGE_SECTION *Section)
{
    SIZE_T PageCount = Section->Pageable ? Section->PageCount : 0;
    PMI_LOCKED_SECTION Record =
        MiAllocateCorePool(sizeof(MI_LOCKED_SECTION) + PageCount * sizeof(MI_PAGE_LOCK), MI_SECTION_TAG);

    if (Record != NULL) {
        Record->Section = *Section;
        Record->Next = MipSections;
        MipSections = Record;
    }
    return Record;
}

static VOID
MipUnlockSectionPages(PMI_LOCKED_SECTION Record)
{
    while (Record->LockedPages != 0) {
        Record->LockedPages -= 1;
        MiUnlockPage(&Record->Pages[Record->LockedPages], FALSE);
    }
}

/* One more lock. On failure the count is what it was. */
static NTSTATUS
MipLockSectionLocked(PMI_LOCKED_SECTION Record)
{
    ULONG_PTR Va = (ULONG_PTR)Record->Section.Base;

    while (Record->Section.Pageable && Record->LockedPages < Record->Section.PageCount) {
        NTSTATUS Status = MiLockPage(Va + (Record->LockedPages << PAGE_SHIFT), FALSE, FALSE,
                                     &Record->Pages[Record->LockedPages]);

        if (!NT_SUCCESS(Status)) {
            MipUnlockSectionPages(Record);
            return Status;
        }
        Record->LockedPages += 1;
    }
    Record->Count += 1;
    return STATUS_SUCCESS;
}

static NTSTATUS
MipLockSection(const MI_IMAGE_SECTION *Section, PVOID *Handle)
{
    NTSTATUS Status = STATUS_INSUFFICIENT_RESOURCES;
    PMI_LOCKED_SECTION Record;

    MipAcquireSections();
    Record = MipFindSectionLocked(Section->Base);
    if (Record == NULL) {
        Record = MipMakeSectionLocked(Section);
    }
    if (Record != NULL) {
        Status = MipLockSectionLocked(Record);
    }
    MipReleaseSections();
    *Handle = Record;
    return Status;
}

/*
 * Make the whole section that contains an address resident, and keep it so until MmUnlockPagableImageSection;
 * returns the handle for that and for MmLockPagableSectionByHandle. An address in no section is bug check
 * 0x1A/0x1234. Raises STATUS_INSUFFICIENT_RESOURCES or STATUS_WORKING_SET_QUOTA when memory is short.
 */
PVOID NTAPI
MmLockPagableDataSection(PVOID AddressWithinSection)
{
    MI_IMAGE_SECTION Section;
    NTSTATUS Status;
    PVOID Handle;

    if (MiFindImageSection == NULL || !MiFindImageSection(AddressWithinSection, &Section)) {
        KeBugCheckEx(MEMORY_MANAGEMENT, 0x1234, (ULONG_PTR)AddressWithinSection, 0, 0);
    }
    Status = MipLockSection(&Section, &Handle);
    if (!NT_SUCCESS(Status)) {
        KiRaiseStatus(Status);
    }
    return Handle;
}
NTEXPORT(MmLockPagableDataSection);

/* One more lock of a section whose handle is known. A handle that is none is bug check 0x1A/0x1234. Raises
 * likewise. */
VOID NTAPI
MmLockPagableSectionByHandle(PVOID ImageSectionHandle)
{
    NTSTATUS Status = STATUS_SUCCESS;
    BOOLEAN Known;

    MipAcquireSections();
    Known = MipIsHandleLocked(ImageSectionHandle);
    if (Known) {
        Status = MipLockSectionLocked(ImageSectionHandle);
    }
    MipReleaseSections();
    if (!Known) {
        KeBugCheckEx(MEMORY_MANAGEMENT, 0x1234, (ULONG_PTR)ImageSectionHandle, 0, 0);
    }
    if (!NT_SUCCESS(Status)) {
        KiRaiseStatus(Status);
    }
}
NTEXPORT(MmLockPagableSectionByHandle);

/* One lock fewer; with the last one the pages may go again. One that is not locked is bug check 0x1A/0x1010.
 */
VOID NTAPI
MmUnlockPagableImageSection(PVOID ImageSectionHandle)
{
    PMI_LOCKED_SECTION Record = ImageSectionHandle;
    BOOLEAN Locked;

    MipAcquireSections();
    Locked = MipIsHandleLocked(Record) && Record->Count != 0;
    if (Locked) {
        Record->Count -= 1;
        if (Record->Count == 0) {
            MipUnlockSectionPages(Record);
        }
    }
    MipReleaseSections();
    if (!Locked) {
        KeBugCheckEx(MEMORY_MANAGEMENT, 0x1010, (ULONG_PTR)ImageSectionHandle, 0, 0);
    }
}
NTEXPORT(MmUnlockPagableImageSection);

VOID
MiForgetImageSections(PVOID ImageBase, SIZE_T Size)
{
    PMI_LOCKED_SECTION *Link = &MipSections, Gone = NULL;

    MipAcquireSections();
    while (*Link != NULL) {
        PMI_LOCKED_SECTION Record = *Link;

        if ((ULONG_PTR)Record->Section.Base - (ULONG_PTR)ImageBase < Size) {
            *Link = Record->Next;
            Record->Next = Gone;
            Gone = Record;
        } else {
            Link = &Record->Next;
        }
    }
    MipReleaseSections();
    while (Gone != NULL) {
        PMI_LOCKED_SECTION Record = Gone;

        Gone = Record->Next;
        MipUnlockSectionPages(Record);
        ExFreePoolWithTag(Record, MI_SECTION_TAG);
    }
}

/* --- Whole drivers ---------------------------------------------------------------------------- */

/*
 * The driver can do with all of its pages out of memory; returns its base, NULL for an address in no image.
 * Pages that were linked nonpageable are never taken away from it, which it cannot tell from their not having
 * been needed elsewhere.
 */
PVOID NTAPI
MmPageEntireDriver(PVOID AddressWithinSection)
{
    MI_IMAGE_SECTION Section;

    if (MiFindImageSection == NULL || !MiFindImageSection(AddressWithinSection, &Section)) {
        return NULL;
    }
    return Section.ImageBase;
}
NTEXPORT(MmPageEntireDriver);

/* From now on its sections are again as they were linked, which they never ceased to be. */
VOID NTAPI
MmResetDriverPaging(PVOID AddressWithinSection)
{
}
NTEXPORT(MmResetDriverPaging);
