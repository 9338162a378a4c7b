/*
 * flush.c - taking translations away, here and on other processors; changing address spaces.
 *
 * Each processor has one request of its own, so nothing is allocated and processors that flush at the same time do
 * not wait for each other's turn. To ask, a processor writes the ranges into its request, names itself in Requesters of
 * every processor that is to answer, and interrupts those where nobody was named before: an answer serves all who
 * are named by then. Who has yet to answer is in Waiting of the one that asked.
 *
 *   asks:     PTE changed | request written | Waiting = set | Requesters |= me, interrupt | own flush | Waiting == 0 ?
 *   answers:                                 Requesters exchanged for 0 | flush | Waiting of each of them &= ~me
 *
 * The interrupt is above IPI_LEVEL, so only HIGH_LEVEL and cli keep it away. Nobody who is there flushes and waits for
 * somebody else at the same time, except by answering what he is asked while he waits, which everybody does here.
 *
 * invlpg also drops what the processor remembers of the upper levels, for every address, so that a page table
 * whose entry above was cleared may be given away when a flush has returned. That, and that nobody walks the
 * tables meanwhile with interrupts off, is what mm/pte relies on as the grace period of page tables: each processor
 * of the set answers with interrupts on, or from inside a flush of its own, even if it holds no translation.
 *
 * A processor that is idle walks nothing and touches only permanent mappings. It is not woken: it is marked, and
 * drops everything before it does anything else (HalpLeaveIdle, first thing in a trap).
 */
#include "halp.h"

#define HALP_FLUSH_PAGES 64 /* more than these: everything is cheaper */

static volatile HAL_AFFINITY HalpTakingPart = 1; /* (A) processors that answer */

/* --- On this processor ---------------------------------------------------------------------------------------- */

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

static SIZE_T
HalpCountPages(const HAL_FLUSH_RANGE *Ranges, ULONG Count)
{
    SIZE_T Pages;
    ULONG Index;

    Pages = 0;
    for (Index = 0; Index < Count; Index += 1) {
        Pages += Ranges[Index].PageCount;
    }
    return Pages;
}

static VOID
HalpFlushRanges(const HAL_FLUSH_RANGE *Ranges, ULONG Count)
{
    SIZE_T Page;
    ULONG Index;

    for (Index = 0; Index < Count; Index += 1) {
        for (Page = 0; Page < Ranges[Index].PageCount; Page += 1) {
            __asm__ volatile("invlpg (%0)" ::"r"(Ranges[Index].Start + Page * PAGE_SIZE) : "memory");
        }
    }
}

static VOID
HalpFlushRequest(const HALP_FLUSH_REQUEST *Request)
{
    if (Request->Whole) {
        HalpFlushAll();
    } else {
        HalpFlushRanges(Request->Ranges, Request->Count);
    }
}

/* --- Answering -------------------------------------------------------------------------------------------------- */

VOID
HalpAnswerFlushes(PHALP_PROCESSOR Self)
{
    HAL_AFFINITY Requesters;
    HAL_AFFINITY Rest;

    if (__atomic_load_n(&Self->Requesters, __ATOMIC_RELAXED) == 0) {
        return;
    }
    Requesters = __atomic_exchange_n(&Self->Requesters, 0, __ATOMIC_SEQ_CST);
    for (Rest = Requesters; Rest != 0; Rest &= Rest - 1) {
        HalpFlushRequest(&HalpProcessors[__builtin_ctzll(Rest)].Flush);
    }
    for (Rest = Requesters; Rest != 0; Rest &= Rest - 1) {
        __atomic_fetch_and(&HalpProcessors[__builtin_ctzll(Rest)].Waiting, ~(1ull << Self->Number), __ATOMIC_SEQ_CST);
    }
}

VOID
HalpJoinFlushes(PHALP_PROCESSOR Processor)
{
    __atomic_fetch_or(&HalpTakingPart, 1ull << Processor->Number, __ATOMIC_SEQ_CST);
    HalpFlushAll();
}

VOID
HalpExpectNoAnswers(VOID)
{
    __atomic_store_n(&HalpTakingPart, 0, __ATOMIC_SEQ_CST);
}

VOID
HalpEnterIdle(PHALP_PROCESSOR Self)
{
    __atomic_store_n(&Self->Idle, HALP_IDLE, __ATOMIC_SEQ_CST);
}

VOID
HalpLeaveIdle(PHALP_PROCESSOR Self)
{
    if (__atomic_exchange_n(&Self->Idle, HALP_BUSY, __ATOMIC_SEQ_CST) == HALP_IDLE_MARKED) {
        HalpFlushAll();
    }
}

/* --- Asking ------------------------------------------------------------------------------------------------------- */

/* TRUE if the processor is idle, and will flush before it is anything else. */
static BOOLEAN
HalpMarkIdle(PHALP_PROCESSOR Processor)
{
    ULONG Idle = __atomic_load_n(&Processor->Idle, __ATOMIC_SEQ_CST);

    while (Idle != HALP_BUSY) {
        if (__atomic_compare_exchange_n(&Processor->Idle, &Idle, HALP_IDLE_MARKED, FALSE, __ATOMIC_SEQ_CST,
                                        __ATOMIC_SEQ_CST)) {
            return TRUE;
        }
    }
    return FALSE;
}

static HAL_AFFINITY
HalpMarkIdleProcessors(HAL_AFFINITY Set)
{
    HAL_AFFINITY Rest;
    ULONG Number;

    for (Rest = Set; Rest != 0; Rest &= Rest - 1) {
        Number = (ULONG)__builtin_ctzll(Rest);
        if (HalpMarkIdle(&HalpProcessors[Number])) {
            Set &= ~(1ull << Number);
        }
    }
    return Set;
}

/* Until everybody has answered, or those who have not never will. */
static VOID
HalpAwaitAnswers(PHALP_PROCESSOR Self)
{
    while ((__atomic_load_n(&Self->Waiting, __ATOMIC_SEQ_CST) &
            __atomic_load_n(&HalpTakingPart, __ATOMIC_RELAXED)) != 0) {
        HalpAnswerFlushes(Self);
        HalPause();
    }
}

/* Ranges NULL: everything. An interrupt's flush in the middle of another's wait has the request to itself meanwhile. */
static VOID
HalpAsk(PHALP_PROCESSOR Self, HAL_AFFINITY Others, const HAL_FLUSH_RANGE *Ranges, ULONG Count)
{
    HAL_AFFINITY Rest;
    BOOLEAN Enabled;
    ULONG Number;
    ULONG Index;

    Enabled = HalDisableInterrupts();
    HalpAwaitAnswers(Self);
    Self->Flush.Whole = Ranges == NULL;
    Self->Flush.Count = Count;
    for (Index = 0; Ranges != NULL && Index < Count; Index += 1) {
        Self->Flush.Ranges[Index] = Ranges[Index];
    }
    __atomic_store_n(&Self->Waiting, Others, __ATOMIC_SEQ_CST);
    for (Rest = Others; Rest != 0; Rest &= Rest - 1) {
        Number = (ULONG)__builtin_ctzll(Rest);
        if (__atomic_fetch_or(&HalpProcessors[Number].Requesters, 1ull << Self->Number, __ATOMIC_SEQ_CST) == 0) {
            HalpSendInterrupt(HalpProcessors[Number].ApicId, HALP_VECTOR_FLUSH);
        }
    }
    HalRestoreInterrupts(Enabled);
}

#ifdef NTMM_CHECKED
static HAL_FLUSH_RANGE HalpForgotten;

VOID
HalpTestForgetOthers(const HAL_FLUSH_RANGE *Range)
{
    HalpForgotten = *Range;
}

static BOOLEAN
HalpForgetsOthers(const HAL_FLUSH_RANGE *Ranges, ULONG Count)
{
    ULONG_PTR End = HalpForgotten.Start + HalpForgotten.PageCount * PAGE_SIZE;
    ULONG Index;

    for (Index = 0; Ranges != NULL && Index < Count; Index += 1) {
        if (Ranges[Index].Start < HalpForgotten.Start || Ranges[Index].Start >= End) {
            return FALSE;
        }
    }
    return Ranges != NULL && Count != 0;
}
#else
#define HalpForgetsOthers(Ranges, Count) FALSE
#endif

static VOID
HalpFlush(const HAL_FLUSH_RANGE *Ranges, ULONG Count, HAL_AFFINITY Processors)
{
    PHALP_PROCESSOR Self;
    HAL_AFFINITY Others;
    KIRQL OldIrql;

    OldIrql = HalGetIrql();
    if (OldIrql < DISPATCH_LEVEL) {
        HalSetIrql(DISPATCH_LEVEL);
    }
    Self = HalpThisProcessor();
    Others = Processors & __atomic_load_n(&HalpTakingPart, __ATOMIC_SEQ_CST) & ~(1ull << Self->Number);
    Others = HalpForgetsOthers(Ranges, Count) ? 0 : HalpMarkIdleProcessors(Others);
    if (Others != 0) {
        HalpAsk(Self, Others, Ranges, Count);
    }
    if ((Processors & (1ull << Self->Number)) != 0) {
        if (Ranges == NULL) {
            HalpFlushAll();
        } else {
            HalpFlushRanges(Ranges, Count);
        }
    }
    if (Others != 0) {
        HalpAwaitAnswers(Self);
    }
    if (OldIrql < DISPATCH_LEVEL) {
        HalLowerIrql(OldIrql);
    }
}

/* Drop the translations of the ranges on the processors of the set. Any IRQL. */
VOID
HalFlushTb(const HAL_FLUSH_RANGE *Ranges, ULONG Count, HAL_AFFINITY Processors)
{
    if (Count > HALP_FLUSH_RANGES || HalpCountPages(Ranges, Count) > HALP_FLUSH_PAGES) {
        HalpFlush(NULL, 0, Processors);
    } else {
        HalpFlush(Ranges, Count, Processors);
    }
}

/* The same for all translations, global ones too. */
VOID
HalFlushEntireTb(HAL_AFFINITY Processors)
{
    HalpFlush(NULL, 0, Processors);
}

/* Use another address space on this processor; translations that are not global go. */
VOID
HalLoadRoot(PFN_NUMBER RootFrame)
{
    __asm__ volatile("movq %0, %%cr3" ::"r"(RootFrame << PAGE_SHIFT) : "memory");
}
