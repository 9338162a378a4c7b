/*
 * stale.c - translations that some processors still hold after a flush that did not reach them.
 *
 * Owns the list of them. On a real machine a translation lives in a processor until that processor
 * drops it, whatever the others do; here all share one set of host mappings. So what a flush
 * leaves with some processors is kept aside, mapped when one of its holders runs, and taken away
 * when another runs. Correct code keeps this list empty, so it is short and searched in order. If
 * it overflows, the oldest goes: a processor may always drop a translation. No locks (one host
 * thread), nothing blocks.
 */
#include "halp.h"

#define HALP_STALE_CAPACITY 1024

static HALP_TLB_ENTRY HalpStale[HALP_STALE_CAPACITY];

/* Make the process see, or not see, the old translation. */
static VOID
HalpShowStale(PHALP_TLB_ENTRY Entry, BOOLEAN Show)
{
    PHALP_TLB_ENTRY Newer;
    ULONG_PTR Va;

    if (Entry->Mapped == Show) {
        return;
    }
    for (Va = Entry->Va; Va < Entry->Va + HalpTlbSize(Entry); Va += PAGE_SIZE) {
        Newer = HalpTlbLookup(Va);
        if (Newer != NULL) {
            HalpTlbDrop(Newer);
        }
    }
    if (Show) {
        HalpMapEntry(Entry);
    } else {
        HalpUnmap(Entry->Va, Entry->Va + HalpTlbSize(Entry));
    }
    Entry->Mapped = Show;
}

static VOID
HalpRemoveStale(ULONG Index)
{
    HalpShowStale(&HalpStale[Index], FALSE);
    HalpCountFrames(&HalpStale[Index], -1);
    HalpTlbCounts.StaleLive -= 1;
    for (; Index < HalpTlbCounts.StaleLive; Index += 1) {
        HalpStale[Index] = HalpStale[Index + 1];
    }
}

/*
 * Holders keep the entry, which the caller takes out of the table and unmaps. It is put back when
 * one of them runs.
 */
VOID
HalpKeepStale(const HALP_TLB_ENTRY *Entry, HAL_AFFINITY Holders)
{
    PHALP_TLB_ENTRY Kept;

    if (HalpTlbCounts.StaleLive == HALP_STALE_CAPACITY) {
        HalpRemoveStale(0);
    }
    Kept = &HalpStale[HalpTlbCounts.StaleLive];
    *Kept = *Entry;
    Kept->Holders = Holders;
    Kept->Mapped = FALSE;
    HalpCountFrames(Kept, 1);
    HalpTlbCounts.StaleLive += 1;
    HalpTlbCounts.Stale += 1;
}

/* Take the processors of the set off every old translation of [Start, End). */
VOID
HalpFlushStale(ULONG_PTR Start, ULONG_PTR End, HAL_AFFINITY Processors)
{
    PHALP_TLB_ENTRY Entry;
    ULONG Index;

    for (Index = HalpTlbCounts.StaleLive; Index > 0; Index -= 1) {
        Entry = &HalpStale[Index - 1];
        if (Entry->Va >= End || Entry->Va + HalpTlbSize(Entry) <= Start) {
            continue;
        }
        Entry->Holders &= ~Processors;
        if (Entry->Holders == 0) {
            HalpRemoveStale(Index - 1);
        } else if ((Entry->Holders & (1ull << HalpCurrent->Number)) == 0) {
            HalpShowStale(Entry, FALSE);
        }
    }
}

VOID
HalpForgetLocalStale(HAL_AFFINITY Processor)
{
    ULONG Index;

    for (Index = HalpTlbCounts.StaleLive; Index > 0; Index -= 1) {
        PHALP_TLB_ENTRY Entry = &HalpStale[Index - 1];

        if (Entry->Root == 0 || (Entry->Holders & Processor) == 0) {
            continue;
        }
        Entry->Holders &= ~Processor;
        if (Entry->Holders == 0) {
            HalpRemoveStale(Index - 1);
        } else {
            HalpShowStale(Entry, FALSE);
        }
    }
}

/* Next is about to run: show it what it holds, and nothing that only others hold. */
VOID
HalpSwitchTranslations(PHALP_PROCESSOR Next)
{
    PHALP_TLB_ENTRY Entry;
    ULONG Pass;
    ULONG Index;

    /* First take away, then put back: two of one address may belong to different processors. */
    for (Pass = 0; Pass < 2; Pass += 1) {
        for (Index = 0; Index < HalpTlbCounts.StaleLive; Index += 1) {
            Entry = &HalpStale[Index];
            if (((Entry->Holders >> Next->Number) & 1) == Pass) {
                HalpShowStale(Entry, (BOOLEAN)Pass);
            }
        }
    }
}

/* The frame goes to a new owner: report every old translation to it, and forget them. */
VOID
HalpReportStale(PFN_NUMBER Frame)
{
    HALP_TLB_ENTRY Entry;
    ULONG Index;

    for (Index = HalpTlbCounts.StaleLive; Index > 0; Index -= 1) {
        Entry = HalpStale[Index - 1];
        if (Frame >= Entry.Frame && Frame - Entry.Frame < HalpTlbSize(&Entry) / PAGE_SIZE) {
            HalpRemoveStale(Index - 1);
            KiStaleTranslation(Frame, Entry.Va + ((Frame - Entry.Frame) << PAGE_SHIFT), Entry.Stack,
                               Entry.Depth);
        }
    }
}
