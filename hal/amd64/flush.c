/*
 * flush.c - taking translations away, and changing address spaces.
 *
 * invlpg also drops what the processor remembers of the upper levels, for every address, so that a page table
 * whose entry above was cleared may be given away when a flush has returned. That, and that nobody walks the
 * tables meanwhile with interrupts off, is what mm/pte relies on as the grace period of page tables. With one
 * processor the second half is free: whoever flushes is not in such a walk, and no walk can be interrupted.
 * With several, each one of the set must answer with interrupts on, even if it holds no translation.
 */
#include "halp.h"

#define HALP_FLUSH_PAGES 64 /* more than these: everything is cheaper */

static VOID
HalpFlushAll(VOID)
{
    BOOLEAN Enabled;
    ULONG64 Cr4;

    /* Global translations go only when the bit changes. */
    Enabled = HalDisableInterrupts();
    Cr4 = HalpReadCr4();
    HalpWriteCr4(Cr4 & ~HALP_CR4_GLOBAL);
    HalpWriteCr4(Cr4);
    HalRestoreInterrupts(Enabled);
}

static VOID
HalpFlushRanges(const HAL_FLUSH_RANGE *Ranges, ULONG Count)
{
    SIZE_T Pages;
    SIZE_T Page;
    ULONG Index;

    Pages = 0;
    for (Index = 0; Index < Count; Index += 1) {
        Pages += Ranges[Index].PageCount;
    }
    if (Pages > HALP_FLUSH_PAGES) {
        HalpFlushAll();
        return;
    }
    for (Index = 0; Index < Count; Index += 1) {
        for (Page = 0; Page < Ranges[Index].PageCount; Page += 1) {
            __asm__ volatile("invlpg (%0)" ::"r"(Ranges[Index].Start + Page * PAGE_SIZE) : "memory");
        }
    }
}

/* Is this processor, the only one that runs, in the set? */
static BOOLEAN
HalpIncludesThis(HAL_AFFINITY Processors)
{
    return (Processors & (1ull << PcrRead32(Number))) != 0;
}

/* Drop the translations of the ranges on the processors of the set. Any IRQL. */
VOID
HalFlushTb(const HAL_FLUSH_RANGE *Ranges, ULONG Count, HAL_AFFINITY Processors)
{
    if (HalpIncludesThis(Processors)) {
        HalpFlushRanges(Ranges, Count);
    }
}

/* The same for all translations, global ones too. */
VOID
HalFlushEntireTb(HAL_AFFINITY Processors)
{
    if (HalpIncludesThis(Processors)) {
        HalpFlushAll();
    }
}

/* Use another address space on this processor; translations that are not global go. */
VOID
HalLoadRoot(PFN_NUMBER RootFrame)
{
    __asm__ volatile("movq %0, %%cr3" ::"r"(RootFrame << PAGE_SHIFT) : "memory");
}
