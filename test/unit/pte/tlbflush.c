/* Batches of flushes, and the machine's oracle for one that is forgotten. */
#include "ptetest.h"
#include <ke/finding.h>

KTEST(FlushGathersRanges)
{
    MI_FLUSH_BATCH Batch;

    MiStartFlush(&Batch);
    MiAddFlush(&Batch, KiLoaderBlock->SystemStart, 2);
    MiAddFlush(&Batch, KiLoaderBlock->SystemStart + 2 * PAGE_SIZE, 1);
    CHECK_EQ(Batch.Count, 1);
    CHECK_EQ(Batch.Ranges[0].PageCount, 3);
    MiAddFlush(&Batch, KiLoaderBlock->SystemStart + 9 * PAGE_SIZE, 1);
    CHECK_EQ(Batch.Count, 2);
    MiAddFlush(&Batch, KiLoaderBlock->SystemStart, 0);
    CHECK_EQ(Batch.Count, 2);
    CHECK(!Batch.Whole);
    MiFlush(&Batch);
    CHECK_EQ(Batch.Count, 0);
}

KTEST(FlushBecomesWhole)
{
    MI_FLUSH_BATCH Batch;

    MiStartFlush(&Batch);
    for (ULONG Index = 0; Index <= MI_FLUSH_RANGES; Index += 1) {
        CHECK(!Batch.Whole);
        MiAddFlush(&Batch, KiLoaderBlock->SystemStart + Index * 2 * PAGE_SIZE, 1);
    }
    CHECK(Batch.Whole);
    MiFlush(&Batch);
    CHECK(!Batch.Whole);
    MiAddFlush(&Batch, KiLoaderBlock->SystemStart, MI_FLUSH_WHOLE_PAGES);
    CHECK(!Batch.Whole);
    MiAddFlush(&Batch, KiLoaderBlock->SystemStart, 1);
    CHECK(Batch.Whole);
    MiFlush(&Batch);
}

#ifdef NTMM_CHECKED

static BOOLEAN
FlushIsHosted(VOID)
{
    return KiLoaderBlock->MachineName != NULL && KiLoaderBlock->MachineName[0] == 'h';
}

/* The hosted machine must find a flush that never came, as soon as the frame is free. */
KTEST(FlushForgottenIsFound)
{
    PUCHAR Va = MiReserveSystemVa(MiRegionSystemPtes, 1, 1);
    PFN_NUMBER Frame = MiGetFrame(MI_GET_ZEROED, 0, MiUseSystemPte);

    REQUIRE(Va != NULL && Frame != MI_NO_FRAME);
    MiMapFrames(Va, 1, &Frame, MM_READWRITE, MmCached);
    *(volatile UCHAR *)Va = 1;
    KiClearFindings();
    MiTestForgetFlush = 1;
    MiUnmapRange(Va, 1, NULL);
    CHECK_EQ(MiTestForgetFlush, 0);
    CHECK(KiGetFinding(0) == NULL);
    MiFreeFrame(Frame);
    if (FlushIsHosted()) {
        const KI_FINDING *Finding = KiGetFinding(0);

        CHECK(Finding != NULL);
        CHECK(Finding == NULL || Finding->FrameCount != 0);
    }
    KiClearFindings();
    HalFlushEntireTb(HAL_ALL_PROCESSORS);
    MiReleaseSystemVa(MiRegionSystemPtes, Va, 1);
    MiTrimSystemSpace();
}

/* The same without the mistake: nothing to find. */
KTEST(FlushRememberedIsQuiet)
{
    PUCHAR Va = MiReserveSystemVa(MiRegionSystemPtes, 1, 1);
    PFN_NUMBER Frame = MiGetFrame(MI_GET_ZEROED, 0, MiUseSystemPte);

    REQUIRE(Va != NULL && Frame != MI_NO_FRAME);
    MiMapFrames(Va, 1, &Frame, MM_READWRITE, MmCached);
    *(volatile UCHAR *)Va = 1;
    MiUnmapRange(Va, 1, NULL);
    MiFreeFrame(Frame);
    CHECK(KiGetFinding(0) == NULL);
    MiReleaseSystemVa(MiRegionSystemPtes, Va, 1);
    MiTrimSystemSpace();
}

#endif
