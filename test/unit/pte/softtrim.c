/* The soft trim: what was touched since the last one goes, locked pages stay, and nothing is lost. */
#include <ke/ke.h>
#include "ptetest.h"

#define SOFT_PAGES 700u /* two tables at least */

/* Other threads' pages may come in meanwhile: asks about ours only. */
static ULONG
SoftResident(PUCHAR Va, ULONG Pages)
{
    ULONG Count = 0;

    for (ULONG Index = 0; Index < Pages; Index += 1) {
        Count += MmIsAddressValid(Va + (SIZE_T)Index * PAGE_SIZE);
    }
    return Count;
}

KTEST(SoftTrimTakesWhatWasTouched)
{
    PT_FIGURES Before = PtMeasure();
    PUCHAR Va = PtMakePageable(SOFT_PAGES, MM_READWRITE);

    REQUIRE(Va != NULL);
    for (ULONG Round = 0; Round < 3; Round += 1) {
        for (ULONG Index = Round; Index < SOFT_PAGES; Index += 5) {
            Va[(SIZE_T)Index * PAGE_SIZE] = (UCHAR)(Round + 1);
        }
        CHECK_EQ(SoftResident(Va, SOFT_PAGES), (SOFT_PAGES + 4 - Round) / 5);
        CHECK(KiPageableTables >= 2);
        MiTrimPageable();
        CHECK_EQ(SoftResident(Va, SOFT_PAGES), 0);
        CHECK(MiValidateSystemSpace());
    }
    for (ULONG Index = 0; Index < SOFT_PAGES; Index += 1) {
        CHECK_EQ(Va[(SIZE_T)Index * PAGE_SIZE], Index % 5 < 3 ? Index % 5 + 1 : 0);
    }
    PtDeletePageable(Va, SOFT_PAGES);
    MiTrimPageable();
    PT_CHECK_SAME(Before);
}

KTEST(SoftTrimLeavesLockedPages)
{
    PUCHAR Va = PtMakePageable(2, MM_READWRITE);
    PFN_NUMBER Frame;

    REQUIRE(Va != NULL);
    Va[0] = 1;
    Va[PAGE_SIZE] = 2;
    Frame = MiGetPteFrame(PtEntry(Va));
    CHECK(MiReferenceFrame(Frame));
    for (ULONG Round = 0; Round < 2; Round += 1) {
        MiTrimPageable();
        CHECK(MmIsAddressValid(Va));
        CHECK(!MmIsAddressValid(Va + PAGE_SIZE));
        CHECK(KiPageableTables != 0);
    }
    MiDereferenceFrame(Frame, FALSE);
    MiTrimPageable();
    CHECK(!MmIsAddressValid(Va));
    CHECK_EQ(Va[0] + Va[PAGE_SIZE], 3);
    PtDeletePageable(Va, 2);
    MiTrimSystemSpace();
}

/* A table may go, and come again at the same address, while it stands in the list. */
KTEST(SoftTrimOutlivesTables)
{
    for (ULONG Round = 0; Round < 4; Round += 1) {
        PUCHAR Va = PtMakePageable(SOFT_PAGES, MM_READWRITE);

        REQUIRE(Va != NULL);
        Va[0] = 1;
        Va[(SOFT_PAGES - 1) * PAGE_SIZE] = 1;
        PtDeletePageable(Va, SOFT_PAGES);
        MiTrimSystemSpace();
        if (Round % 2 != 0) {
            MiTrimPageable();
        }
    }
    MiTrimPageable();
    CHECK(MiValidateSystemSpace());
}

/* An image's raise is what does it; the core's own is not. */
KTEST(SoftTrimAtRaise)
{
    PUCHAR Va = PtMakePageable(1, MM_READWRITE);
    KIRQL OldIrql;

    REQUIRE(Va != NULL);
    *(volatile UCHAR *)Va = 7;
    OldIrql = KiRaiseIrql(DISPATCH_LEVEL);
    CHECK(MmIsAddressValid(Va));
    KiLowerIrql(OldIrql);
    OldIrql = KfRaiseIrql(HIGH_LEVEL);
    CHECK(!MmIsAddressValid(Va));
    KeLowerIrql(OldIrql);
    CHECK_EQ(*(volatile UCHAR *)Va, 7);
    KiVerifierOn = FALSE;
    OldIrql = KfRaiseIrql(DISPATCH_LEVEL);
    CHECK(MmIsAddressValid(Va));
    KeLowerIrql(OldIrql);
    KiVerifierOn = TRUE;
    PtDeletePageable(Va, 1);
    MiTrimSystemSpace();
}
