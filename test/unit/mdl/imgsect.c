/* Pageable sections of images, over sections that the test makes up. */
#include "mdltest.h"

#define SECTION_PAGES 4u

static MI_IMAGE_SECTION SectionPageable, SectionResident;
static BOOLEAN (*SectionFinder)(PVOID Address, PMI_IMAGE_SECTION Section);

static BOOLEAN
SectionHolds(const MI_IMAGE_SECTION *Section, PVOID Address)
{
    return (ULONG_PTR)Address - (ULONG_PTR)Section->Base < Section->PageCount << PAGE_SHIFT;
}

static BOOLEAN
SectionFind(PVOID Address, PMI_IMAGE_SECTION Section)
{
    if (SectionHolds(&SectionPageable, Address)) {
        *Section = SectionPageable;
        return TRUE;
    }
    if (SectionHolds(&SectionResident, Address)) {
        *Section = SectionResident;
        return TRUE;
    }
    return FALSE;
}

/* An "image" of a pageable and a resident section. */
static PUCHAR
SectionsMake(VOID)
{
    PUCHAR Va = PtMakePageable(SECTION_PAGES + 1, MM_READWRITE);

    SectionPageable = (MI_IMAGE_SECTION){Va, SECTION_PAGES, TRUE, Va};
    SectionResident = (MI_IMAGE_SECTION){Va + SECTION_PAGES * PAGE_SIZE, 1, FALSE, Va};
    SectionFinder = MiFindImageSection;
    MiFindImageSection = SectionFind;
    return Va;
}

static VOID
SectionsDelete(PUCHAR Va)
{
    MiForgetImageSections(Va, (SECTION_PAGES + 1) * PAGE_SIZE);
    PtDeletePageable(Va, SECTION_PAGES + 1);
    MiFindImageSection = SectionFinder;
    MiTrimSystemSpace();
}

static VOID
SectionLock(PVOID Address)
{
    MmLockPagableDataSection(Address);
}

static VOID
SectionLockHandle(PVOID Handle)
{
    MmLockPagableSectionByHandle(Handle);
}

static VOID
SectionUnlock(PVOID Handle)
{
    MmUnlockPagableImageSection(Handle);
}

KTEST(SectionIsLockedAsAWhole)
{
    PUCHAR Va = SectionsMake();
    LONG64 Resident;
    PVOID Handle;

    REQUIRE(Va != NULL);
    Va[0] = 1;
    Resident = MiResidentAvailablePages();
    Handle = MmLockPagableDataSection(Va + 2 * PAGE_SIZE + 5);
    CHECK(Handle != NULL);
    CHECK(Resident - MiResidentAvailablePages() >= SECTION_PAGES);
    for (ULONG Page = 0; Page < SECTION_PAGES; Page += 1) {
        CHECK(MmIsAddressValid(Va + Page * PAGE_SIZE));
    }
    CHECK_EQ(MiTrimRange(Va, SECTION_PAGES), 0);
    MmLockPagableSectionByHandle(Handle);
    CHECK(MmLockPagableDataSection(Va) == Handle);
    MmUnlockPagableImageSection(Handle);
    MmUnlockPagableImageSection(Handle);
    CHECK_EQ(MiTrimRange(Va, SECTION_PAGES), 0);
    MmUnlockPagableImageSection(Handle);
    CHECK_EQ(MiTrimRange(Va, SECTION_PAGES), SECTION_PAGES);

    /* The handle serves for as long as the image is there. */
    MmLockPagableSectionByHandle(Handle);
    CHECK(MmIsAddressValid(Va + 3 * PAGE_SIZE));
    CHECK_EQ(Va[0], 1);
    SectionsDelete(Va); /* still locked */
}

KTEST(SectionThatIsResidentAnyway)
{
    PUCHAR Va = SectionsMake();
    PVOID Handle;

    REQUIRE(Va != NULL);
    Handle = MmLockPagableDataSection(SectionResident.Base);
    CHECK(!MmIsAddressValid(SectionResident.Base)); /* nobody brings it in */
    MmUnlockPagableImageSection(Handle);
    CHECK(MmPageEntireDriver(Va) == Va);
    MmResetDriverPaging(Va);
    SectionsDelete(Va);
}

KTEST(SectionMisuse)
{
    PUCHAR Va = SectionsMake();
    PVOID Handle;

    REQUIRE(Va != NULL);
    MT_BUGCHECK2(MEMORY_MANAGEMENT, 0x1234, (ULONG_PTR)Va - 1, SectionLock, Va - 1);
    MT_BUGCHECK2(MEMORY_MANAGEMENT, 0x1234, (ULONG_PTR)Va, SectionLockHandle, Va);
    Handle = MmLockPagableDataSection(Va);
    MmUnlockPagableImageSection(Handle);
    MT_BUGCHECK2(MEMORY_MANAGEMENT, 0x1010, (ULONG_PTR)Handle, SectionUnlock, Handle);
    MT_BUGCHECK2(MEMORY_MANAGEMENT, 0x1010, (ULONG_PTR)Va, SectionUnlock, Va);
    CHECK(MmPageEntireDriver(Va - 1) == NULL);
    SectionsDelete(Va);
}

static VOID
SectionLockStarved(PVOID Address)
{
    PtFailNth(4, TRUE);
    MmLockPagableDataSection(Address);
}

/* What could not be locked whole is not locked at all. */
KTEST(SectionFails)
{
    PUCHAR Va = SectionsMake();
    KTEST_BUGCHECK Caught = {0};

    REQUIRE(Va != NULL);
    CHECK(KTestExpectBugCheck(SectionLockStarved, Va, &Caught));
    CHECK(PtStopFailing());
    CHECK_EQ(Caught.Code, KMODE_EXCEPTION_NOT_HANDLED);
    CHECK(Caught.Parameters[0] == (ULONG_PTR)(LONG_PTR)STATUS_INSUFFICIENT_RESOURCES ||
          Caught.Parameters[0] == (ULONG_PTR)(LONG_PTR)STATUS_WORKING_SET_QUOTA);
    MiTrimRange(Va, SECTION_PAGES);
    CHECK(!MmIsAddressValid(Va));
    SectionsDelete(Va);
}
