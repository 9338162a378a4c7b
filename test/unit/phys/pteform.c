/*
 * Entry forms: each is told from every other, and gives back what it was made of.
 */
#include "ktest.h"
#include <mm/pte/pteform.h>

/* Which of the exclusive forms an entry has, as bits. */
static ULONG
FormsOf(MMPTE Pte)
{
    return (MiPteIsZero(Pte) ? 1u : 0) | (MiPteIsValid(Pte) ? 2u : 0) |
           (MiPteIsTransition(Pte) ? 4u : 0) | (MiPteIsPrototype(Pte) ? 8u : 0) |
           (MiPteIsSubsection(Pte) ? 16u : 0) | (MiPteIsPageFile(Pte) ? 32u : 0) |
           (MiPteIsDemandZero(Pte) ? 64u : 0);
}

KTEST(PteFormsAreExclusive)
{
    for (MI_PROTECTION Protection = 0; Protection <= MM_PROTECTION_MASK; Protection++) {
        MMPTE Page = MiMakePageFilePte(15, 0xFFFFFFFF, Protection);

        CHECK_EQ(FormsOf(MiMakeTransitionPte(0xABCDE, Protection)), 4);
        CHECK_EQ(FormsOf(MiMakePrototypePte((PVOID)0xFFFFF80012345678ull, Protection)), 8);
        CHECK_EQ(FormsOf(MiMakeVadMarkerPte(Protection)), 8);
        CHECK_EQ(FormsOf(MiMakeSubsectionPte((PVOID)0x500000001000ull, Protection)), 16);
        CHECK_EQ(FormsOf(Page), 32);
        CHECK_EQ(MiGetPteProtection(Page), Protection);
        if (Protection != 0) {
            CHECK_EQ(FormsOf(MiMakeDemandZeroPte(Protection)), 64);
            CHECK_EQ(MiGetPteProtection(MiMakeDemandZeroPte(Protection)), Protection);
        }
    }
    CHECK_EQ(FormsOf(MiMakeZeroPte()), 1);
    CHECK_EQ(FormsOf(MiMakeValidPte(1, MM_READWRITE, 0)), 2);
}

KTEST(PteSoftwareFieldsComeBack)
{
    MMPTE Pte = MiMakePageFilePte(9, 0x12345678, MM_EXECUTE_READ);
    PVOID High = (PVOID)0xFFFF800012345678ull;
    PVOID Low = (PVOID)0x00005000DEADBEE8ull;

    CHECK_EQ(MiGetPageFileNumber(Pte), 9);
    CHECK_EQ(MiGetPageFileOffset(Pte), 0x12345678);
    Pte = MiMakeTransitionPte(0xFFFFFFFFFFull, MM_READWRITE | MM_NOCACHE);
    CHECK_EQ(MiGetPteFrame(Pte), 0xFFFFFFFFFFull);
    CHECK_EQ(MiGetPteProtection(Pte), MM_READWRITE | MM_NOCACHE);
    Pte = MiChangeSoftwareProtection(Pte, MM_READONLY);
    CHECK_EQ(MiGetPteFrame(Pte), 0xFFFFFFFFFFull);
    CHECK_EQ(MiGetPteProtection(Pte), MM_READONLY);
    CHECK(MiPteIsTransition(Pte));
    CHECK(MiGetPrototypeAddress(MiMakePrototypePte(High, MM_READONLY)) == High);
    CHECK(MiGetPrototypeAddress(MiMakePrototypePte(Low, MM_READONLY)) == Low);
    CHECK(MiGetSubsectionAddress(MiMakeSubsectionPte(Low, MM_READONLY)) == Low);
    CHECK(MiPteIsVadMarker(MiMakeVadMarkerPte(MM_READWRITE)));
    CHECK(!MiPteIsVadMarker(MiMakePrototypePte(Low, MM_READWRITE)));
}

/* Rights of each code as the processor sees them: R/W, NX, copy on write. */
KTEST(PteProtectionToHardware)
{
    static const struct {
        MI_PROTECTION Code;
        BOOLEAN Write, Execute, Copy;
    } Rows[] = {
        {MM_READONLY, FALSE, FALSE, FALSE},      {MM_EXECUTE, FALSE, TRUE, FALSE},
        {MM_EXECUTE_READ, FALSE, TRUE, FALSE},   {MM_READWRITE, TRUE, FALSE, FALSE},
        {MM_WRITECOPY, FALSE, FALSE, TRUE},      {MM_EXECUTE_READWRITE, TRUE, TRUE, FALSE},
        {MM_EXECUTE_WRITECOPY, FALSE, TRUE, TRUE},
    };

    for (ULONG Row = 0; Row < ARRAYSIZE(Rows); Row++) {
        MMPTE Pte = MiMakeValidPte(0x1234, Rows[Row].Code, MI_PTE_ACCESSED);

        CHECK_EQ(MiPteIsWritable(Pte), Rows[Row].Write);
        CHECK_EQ(MiPteIsExecutable(Pte), Rows[Row].Execute);
        CHECK_EQ(MiPteIsCopyOnWrite(Pte), Rows[Row].Copy);
        CHECK_EQ(MiGetPteFrame(Pte), 0x1234);
        CHECK(MiPteIsAccessed(Pte) && !MiPteIsDirty(Pte) && !MiPteIsUser(Pte));
        if (Rows[Row].Code != MM_EXECUTE) {
            CHECK_EQ(MiGetPteProtection(Pte), Rows[Row].Code);
        }
    }
}

/* The PAT layout: PWT alone is write-combining, PCD and PWT together uncached. */
KTEST(PteCacheTypes)
{
    MMPTE Pte = MiMakeValidPte(1, MM_READWRITE | MM_NOCACHE, 0);

    CHECK_EQ(MiGetPteCacheType(Pte), MmNonCached);
    CHECK_EQ(Pte.Long & MI_PTE_CACHE_MASK, 0x18);
    CHECK_EQ(MiGetPteProtection(Pte), MM_READWRITE | MM_NOCACHE);
    Pte = MiMakeValidPte(1, MM_READWRITE | MM_WRITECOMBINE, 0);
    CHECK_EQ(MiGetPteCacheType(Pte), MmWriteCombined);
    CHECK_EQ(Pte.Long & MI_PTE_CACHE_MASK, 0x08);
    Pte = MiMakeValidPte(1, MM_READWRITE, MiCacheTypeToHardware(MmNonCached));
    CHECK_EQ(MiGetPteCacheType(Pte), MmNonCached);
    CHECK_EQ(MiHardwareToCacheType(0), MmCached);
    CHECK_EQ(MiHardwareToCacheType(0x10), MmNonCached);
    CHECK(MiProtectionIsGuard(MM_READWRITE | MM_GUARD_PAGE));
    CHECK(!MiProtectionIsGuard(MM_DECOMMIT));
    CHECK(MiProtectionIsNoAccess(MM_NOACCESS) && MiProtectionIsNoAccess(MM_DECOMMIT));
}

KTEST(PteLargeForms)
{
    MMPTE Large = MiMakeLargePte(0x40200, MM_EXECUTE_READ, MI_PTE_GLOBAL | MI_PTE_ACCESSED);
    MMPTE Pte = MiMakePteFromLarge(Large, 511);

    CHECK(MiPteIsLarge(Large));
    CHECK_EQ(MiGetLargePteFrame(Large), 0x40200);
    CHECK(MiPteIsValid(Pte) && !MiPteIsLarge(Pte));
    CHECK_EQ(MiGetPteFrame(Pte), 0x403FF);
    CHECK_EQ(MiGetPteProtection(Pte), MM_EXECUTE_READ);
    CHECK((Pte.Long & MI_PTE_GLOBAL) != 0);
    CHECK_EQ(MiGetLargePteFrame(MiMakeHugePte(0x80000, MM_READWRITE, 0)), 0x80000);
    CHECK(!MiPteIsLarge(MiMakeTablePte(0x999, MI_PTE_USER)));
    CHECK_EQ(MiGetPteFrame(MiMakeTablePte(0x999, MI_PTE_USER)), 0x999);
}

KTEST(PteChangeProtectionKeepsTheRest)
{
    MMPTE Old = MiMakeValidPte(0x77, MM_READWRITE | MM_WRITECOMBINE,
                               MI_PTE_USER | MI_PTE_ACCESSED | MI_PTE_DIRTY);
    MMPTE New = MiChangePteProtection(Old, MM_EXECUTE_READ);

    CHECK(!MiPteIsWritable(New) && MiPteIsExecutable(New));
    CHECK(MiPteIsUser(New) && MiPteIsDirty(New) && MiPteIsAccessed(New));
    CHECK_EQ(MiGetPteFrame(New), 0x77);
    CHECK_EQ(MiGetPteCacheType(New), MmWriteCombined);
    CHECK_EQ(MiGetPteProtection(New) & MM_RIGHTS_MASK, MM_EXECUTE_READ);
}

KTEST(PteExchangeReportsWhatWasThere)
{
    MMPTE Word = MiMakeDemandZeroPte(MM_READWRITE);
    MMPTE Expected = MiMakeZeroPte();
    MMPTE New = MiMakeTransitionPte(5, MM_READWRITE);

    CHECK(!MiCompareExchangePte(&Word, &Expected, New));
    CHECK(MiPteEqual(Expected, MiMakeDemandZeroPte(MM_READWRITE)));
    CHECK(MiCompareExchangePte(&Word, &Expected, New));
    CHECK(MiPteEqual(MiExchangePte(&Word, MiMakeZeroPte()), New));
    CHECK(MiPteIsZero(MiReadPte(&Word)));
}
