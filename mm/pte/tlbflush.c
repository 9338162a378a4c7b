/*
 * Batched flushes. Whoever weakens valid entries gathers their addresses here while it holds what it must
 * hold, and flushes once; only then may frames be freed or addresses be reused. A batch lives on its user's
 * stack; beyond a number of ranges or pages it becomes one flush of everything. HalFlushTb waits for the
 * other processors, so no lock may be held that anybody takes with interrupts off.
 */
#include "ptep.h"

#ifdef NTMM_CHECKED
ULONG MiTestForgetFlush;

static BOOLEAN
MipForgetThisFlush(VOID)
{
    if (MiTestForgetFlush == 0) {
        return FALSE;
    }
    MiTestForgetFlush -= 1;
    return TRUE;
}
#else
#define MipForgetThisFlush() FALSE
#endif

VOID
MiStartFlush(PMI_FLUSH_BATCH Batch)
{
    Batch->Count = 0;
    Batch->Whole = FALSE;
    Batch->PageCount = 0;
}

VOID
MiAddFlush(PMI_FLUSH_BATCH Batch, ULONG_PTR Va, SIZE_T PageCount)
{
    PHAL_FLUSH_RANGE Last;

    MI_ASSERT((Va & (PAGE_SIZE - 1)) == 0);
    if (PageCount == 0 || Batch->Whole) {
        return;
    }
    Batch->PageCount += PageCount;
    if (Batch->PageCount > MI_FLUSH_WHOLE_PAGES) {
        Batch->Whole = TRUE;
        return;
    }
    if (Batch->Count != 0) {
        Last = &Batch->Ranges[Batch->Count - 1];
        if (Last->Start + Last->PageCount * PAGE_SIZE == Va) {
            Last->PageCount += PageCount;
            return;
        }
    }
    if (Batch->Count == MI_FLUSH_RANGES) {
        Batch->Whole = TRUE;
        return;
    }
    Batch->Ranges[Batch->Count].Start = Va;
    Batch->Ranges[Batch->Count].PageCount = PageCount;
    Batch->Count += 1;
}

/* All of user space, and its tables in the self-map, where they can be held: translations of the system stay. */
static VOID
MipFlushUserSpace(HAL_AFFINITY Processors)
{
    ULONG_PTR Tables = (ULONG_PTR)MiGetPteAddress(0);
    HAL_FLUSH_RANGE Ranges[2] = {{0, KiLoaderBlock->UserEnd >> PAGE_SHIFT},
                                 {Tables, ((ULONG_PTR)MiGetPteAddress(KiLoaderBlock->UserEnd - 1) - Tables) / PAGE_SIZE + 1}};

    HalFlushTb(Ranges, 2, Processors);
}

VOID
MiFlush(PMI_FLUSH_BATCH Batch)
{
    MiFlushProcessors(Batch, HAL_ALL_PROCESSORS);
}

VOID
MiFlushProcessors(PMI_FLUSH_BATCH Batch, HAL_AFFINITY Processors)
{
    if (Batch->Count != 0 || Batch->Whole) {
        HalChoicePoint(HalChoiceFlush);
        if (!MipForgetThisFlush()) {
            if (Batch->Whole && Processors != HAL_ALL_PROCESSORS) {
                MipFlushUserSpace(Processors);
            } else if (Batch->Whole) {
                HalFlushEntireTb(Processors);
            } else {
                HalFlushTb(Batch->Ranges, Batch->Count, Processors);
            }
        }
    }
    MiStartFlush(Batch);
}

VOID
MiFlushLocal(ULONG_PTR Va)
{
    HAL_FLUSH_RANGE Range = {ALIGN_DOWN_BY(Va, PAGE_SIZE), 1};
    KIRQL OldIrql = KiRaiseIrqlToDispatch();

    HalFlushTb(&Range, 1, (HAL_AFFINITY)1 << PcrRead32(Number));
    KiLowerIrql(OldIrql);
}
