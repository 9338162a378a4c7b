/*
 * flush.c - taking translations away.
 *
 * Owns no state: the table is tlb.c's. A flush names processors; whoever of the holders is not
 * named keeps the old translation (stale.c). Processors that take no interrupts cannot answer a
 * flush, so it waits until those run again with interrupts on, as it would on metal: a caller that
 * holds a lock they spin on is a deadlock here too. Never fails. The stacks in use stay translated
 * as long as the tables say the same.
 */
#include "halp.h"
#include "hostsys.h"

#define HALP_MAXIMUM_KEPT 4096
#define HALP_FEW_PAGES    512

/*
 * One entry, for the processors of the set. TRUE: it is gone and [Va, Va + size) is to be
 * unmapped. A stack in use whose translation is still the tables' own stays: flushing it would
 * only fill it again.
 */
static BOOLEAN
HalpFlushEntry(PHALP_TLB_ENTRY Entry, HAL_AFFINITY Processors)
{
    HALP_TRANSLATION Now;
    HAL_AFFINITY Rest;
    ULONG Ignored;

    if (HalpTlbIsStack(Entry) && HalpWalk(HalpCurrent->Root, Entry->Va, HALP_FAULT_WRITE, &Now, &Ignored) &&
        Now.Frame == Entry->Frame && Now.Entry == Entry->Pte && Now.Rights == Entry->Rights) {
        Entry->Depth = 0;
        return FALSE;
    }
    Rest = HalpTlbHolders(Entry) & ~Processors;
    if (Rest != 0) {
        HalpKeepStale(Entry, Rest);
    }
    HalpTlbUnlink(Entry);
    HalpTlbCounts.Flushes += 1;
    return TRUE;
}

/* A few pages: look each up. Neighbours that go are unmapped together. */
static VOID
HalpFlushPages(ULONG_PTR Start, ULONG_PTR End, HAL_AFFINITY Processors)
{
    PHALP_TLB_ENTRY Entry;
    ULONG_PTR GoneStart;
    ULONG_PTR GoneEnd;
    ULONG_PTR Va;
    ULONG_PTR First;

    GoneStart = 0;
    GoneEnd = 0;
    for (Va = Start; Va < End; Va += PAGE_SIZE) {
        /* One address can have an entry in each of several address spaces. */
        while ((Entry = HalpTlbFindFor(Va, Processors)) != NULL) {
            First = Entry->Va;
            if (!HalpFlushEntry(Entry, Processors)) {
                break;
            }
            if (First != GoneEnd) {
                HalpUnmap(GoneStart, GoneEnd);
                GoneStart = First;
            }
            GoneEnd = First + HalpTlbSize(Entry);
        }
    }
    HalpUnmap(GoneStart, GoneEnd);
}

static VOID
HalpSortAddresses(ULONG_PTR *Addresses, ULONG Count)
{
    ULONG_PTR Value;
    ULONG Index;
    ULONG Place;

    for (Index = 1; Index < Count; Index += 1) {
        Value = Addresses[Index];
        for (Place = Index; Place > 0 && Addresses[Place - 1] > Value; Place -= 1) {
            Addresses[Place] = Addresses[Place - 1];
        }
        Addresses[Place] = Value;
    }
}

/*
 * Unmap [Start, End) except the pages at the sorted addresses Kept and what the process itself has
 * there.
 */
static VOID
HalpUnmapAround(ULONG_PTR Start, ULONG_PTR End, const ULONG_PTR *Kept, ULONG Count)
{
    ULONG Index;

    for (Index = 0; Index < Count; Index += 1) {
        if (Kept[Index] >= Start && Kept[Index] < End) {
            HalpUnmap(Start, Kept[Index]);
            Start = Kept[Index] + PAGE_SIZE;
        }
    }
    HalpUnmap(Start, End);
}

/* Many pages: look at every entry instead, then unmap everything between those that stay. */
static VOID
HalpFlushSpan(ULONG_PTR Start, ULONG_PTR End, HAL_AFFINITY Processors)
{
    static ULONG_PTR Kept[HALP_MAXIMUM_KEPT];
    PHALP_TLB_ENTRY Entry;
    ULONG_PTR First;
    ULONG_PTR Low;
    ULONG_PTR High;
    SIZE_T Size;
    ULONG Count;
    ULONG Index;

    Count = 0;
    Low = End;
    High = Start;
    for (Index = 0; Index < HALP_TLB_CAPACITY; Index += 1) {
        Entry = &HalpEntries[Index];
        if (Entry->Va == 0 || Entry->Va >= End || Entry->Va + HalpTlbSize(Entry) <= Start ||
            !HalpTlbConcerns(Entry, Processors)) {
            continue;
        }
        First = Entry->Va;
        Size = HalpTlbSize(Entry);
        if (HalpFlushEntry(Entry, Processors)) {
            Low = First < Low ? First : Low;
            High = First + Size > High ? First + Size : High;
        } else {
            for (Size = Size / PAGE_SIZE; Size > 0 && Count < HALP_MAXIMUM_KEPT; Size -= 1) {
                Kept[Count] = First + (Size - 1) * PAGE_SIZE;
                Count += 1;
            }
        }
    }
    if (Low >= High) {
        return;
    }
    HalpSortAddresses(Kept, Count);
    if (Low < HALP_HOLE_END) {
        HalpUnmapAround(Low, MIN(High, HALP_HOLE_START), Kept, Count);
        Low = HALP_HOLE_END;
    }
    HalpUnmapAround(Low, High, Kept, Count);
}

static VOID
HalpFlushRange(ULONG_PTR Start, ULONG_PTR End, HAL_AFFINITY Processors)
{
    if (HalpTlbCounts.StaleLive != 0) {
        HalpFlushStale(Start, End, Processors);
    }
    if (HalpTlbCounts.Live == 0) {
        return;
    }
    if ((End - Start) / PAGE_SIZE <= HALP_FEW_PAGES) {
        HalpFlushPages(Start, End, Processors);
    } else {
        HalpFlushSpan(Start, End, Processors);
    }
    if (HalpTlbCounts.StaleLive != 0) {
        HalpSwitchTranslations(HalpCurrent);
    }
}

/* A processor that takes no interrupts answers no flush request: let it run until it does. */
static VOID
HalpAwaitFlushable(HAL_AFFINITY Processors)
{
    const volatile UCHAR *Off;
    PKPCR Pcr;
    ULONG Number;

    for (Number = 0; Number < HalpProcessorTotal; Number += 1) {
        if ((Processors & (1ull << Number)) == 0 || !HalpProcessors[Number].Started) {
            continue;
        }
        Pcr = HalpProcessors[Number].Pcr;
        Off = (const volatile UCHAR *)Pcr + HALP_PCR_INTERRUPTS_OFF;
        while (&HalpProcessors[Number] != HalpCurrent &&
               (*Off != 0 || *(volatile KIRQL *)&Pcr->Irql >= IPI_LEVEL)) {
            HalPause();
        }
    }
}

VOID
HalFlushTb(const HAL_FLUSH_RANGE *Ranges, ULONG Count, HAL_AFFINITY Processors)
{
    HAL_FLUSH_RANGE Range;
    ULONG Index;

    HalChoicePoint(HalChoiceFlush);
    HalpAwaitFlushable(Processors);
    for (Index = 0; Index < Count; Index += 1) {
        Range = Ranges[Index]; /* may fault: before anything of ours changes */
        HalpFlushRange(Range.Start, Range.Start + Range.PageCount * PAGE_SIZE, Processors);
    }
    HalChoicePoint(HalChoiceFlush);
}

VOID
HalFlushEntireTb(HAL_AFFINITY Processors)
{
    HalChoicePoint(HalChoiceFlush);
    HalpAwaitFlushable(Processors);
    HalpFlushRange(HALP_USER_START, HALP_SYSTEM_END, Processors);
    HalChoicePoint(HalChoiceFlush);
}

/* Another root: the translations of this processor that are not global go, for they carry no process number. */
VOID
HalLoadRoot(PFN_NUMBER RootFrame)
{
    HalpLeaveRoot();
    HalpCurrent->Root = RootFrame;
}
