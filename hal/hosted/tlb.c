/*
 * tlb.c - the translations the processors hold: this process's mappings of the two windows.
 *
 * Owns the table of entries. An entry is one 4 KB page (or 2 MB piece of a large page) that the
 * process has mapped from the page tables: where, which frame, with which rights, from which PTE.
 * Found by address and by PTE through two hash tables; replaced first in, first out. The capacity
 * keeps the number of host mappings, of which each entry can make two, below vm.max_map_count.
 *
 * A translation that is not global belongs to the address space it was filled in. Several can be in
 * the table for one address; only those of the address space of the processor that runs are mapped
 * (the others are hidden: a touch walks the tables again), and only processors whose root is the
 * entry's can hold it. When the last of those loads another root the entry is forgotten.
 *
 * Who holds an entry: the processor that filled it and every one that ran since, for it might have
 * used it, less those flushed since. A flush that reaches every holder forgets the entry; one that
 * does not leaves the old translation to the rest (stale.c). Per frame, the number of entries that
 * map it is counted, so that releasing a frame can ask whether anybody still holds a translation
 * to it.
 *
 * Never evicted: the stacks in use, since a trap must be able to write its frame there, and the
 * entries filled last, since one instruction can need several. No locks (one host thread). Nothing
 * here blocks. If the host refuses a mapping the run ends with an internal fault.
 */
#include "halp.h"
#include "hostsys.h"

#define HALP_VA_BUCKETS  16384
#define HALP_EVICT_BATCH 32

HALP_TLB_COUNTS HalpTlbCounts;
ULONG64 HalpTlbSequence;
USHORT *HalpFrameHeld;
USHORT *HalpLargeHeld;
USHORT HalpPteHeads[HALP_PTE_BUCKETS];

HALP_TLB_ENTRY HalpEntries[HALP_TLB_CAPACITY];
static USHORT HalpVaHeads[HALP_VA_BUCKETS];
static ULONG HalpHand;
static ULONG HalpLargeLive;
static USHORT HalpLocalHead; /* of the entries that are not global */

/*
 * --- Ranges of the process
 * -------------------------------------------------------------------------------
 */

BOOLEAN
HalpInWindow(ULONG_PTR Va)
{
    return Va >= HALP_USER_START && Va < HALP_SYSTEM_END && (Va < HALP_HOLE_START || Va >= HALP_HOLE_END);
}

VOID
HalpUnmap(ULONG_PTR Start, ULONG_PTR End)
{
    if (Start < End && HalpHostUnmap(Start, End - Start) < 0) {
        HalpInternal("the host refused to remove a mapping", NULL);
    }
}

static ULONG
HalpHostRights(UCHAR Rights)
{
    ULONG Protection;

    Protection = PROT_READ;
    if ((Rights & HALP_RIGHT_WRITE) != 0) {
        Protection |= PROT_WRITE;
    }
    if ((Rights & HALP_RIGHT_EXECUTE) != 0) {
        Protection |= PROT_EXEC;
    }
    return Protection;
}

static LONG64
HalpMapRange(ULONG_PTR Va, PFN_NUMBER Frame, SIZE_T Bytes, UCHAR Rights)
{
    ULONG Flags;

    Flags = MAP_SHARED | MAP_FIXED;
    if (Bytes < HALP_LARGE_SIZE) {
        Flags |= MAP_POPULATE;
    }
    return HalpHostMap(Va, Bytes, HalpHostRights(Rights), Flags, HalpMemoryFile, Frame << PAGE_SHIFT);
}

SIZE_T
HalpTlbSize(const HALP_TLB_ENTRY *Entry)
{
    return Entry->Large ? HALP_LARGE_SIZE : PAGE_SIZE;
}

VOID
HalpMapEntry(const HALP_TLB_ENTRY *Entry)
{
    if (HalpMapRange(Entry->Va, Entry->Frame, HalpTlbSize(Entry), Entry->Rights) < 0) {
        HalpInternal("the host refused a mapping", NULL);
    }
}

/*
 * --- The table
 * ----------------------------------------------------------------------------------------------
 */

static ULONG
HalpVaBucket(ULONG_PTR Va, BOOLEAN Large)
{
    ULONG64 Key;

    Key = Large ? (Va >> 21) | (1ull << 62) : Va >> PAGE_SHIFT;
    return (ULONG)((Key * 0x9E3779B97F4A7C15ull) >> 50);
}

static PHALP_TLB_ENTRY
HalpFindExact(ULONG_PTR Va, BOOLEAN Large)
{
    ULONG Link;

    for (Link = HalpVaHeads[HalpVaBucket(Va, Large)]; Link != 0; Link = HalpEntries[Link - 1].NextVa) {
        if (HalpEntries[Link - 1].Va == Va && HalpEntries[Link - 1].Large == Large &&
            (HalpEntries[Link - 1].Root == 0 || HalpEntries[Link - 1].Root == HalpCurrent->Root)) {
            return &HalpEntries[Link - 1];
        }
    }
    return NULL;
}

BOOLEAN
HalpTlbConcerns(const HALP_TLB_ENTRY *Entry, HAL_AFFINITY Processors)
{
    ULONG Number;

    for (Number = 0; Number < HalpProcessorTotal && Entry->Root != 0; Number += 1) {
        if (((Processors >> Number) & 1) != 0 && HalpProcessors[Number].Root == Entry->Root) {
            return TRUE;
        }
    }
    return Entry->Root == 0;
}

static PHALP_TLB_ENTRY
HalpFindSizeFor(ULONG_PTR Va, BOOLEAN Large, HAL_AFFINITY Processors)
{
    ULONG Link;

    for (Link = HalpVaHeads[HalpVaBucket(Va, Large)]; Link != 0; Link = HalpEntries[Link - 1].NextVa) {
        if (HalpEntries[Link - 1].Va == Va && HalpEntries[Link - 1].Large == Large &&
            HalpTlbConcerns(&HalpEntries[Link - 1], Processors)) {
            return &HalpEntries[Link - 1];
        }
    }
    return NULL;
}

PHALP_TLB_ENTRY
HalpTlbFindFor(ULONG_PTR Va, HAL_AFFINITY Processors)
{
    PHALP_TLB_ENTRY Entry;

    Entry = HalpFindSizeFor(Va & ~(ULONG_PTR)(PAGE_SIZE - 1), FALSE, Processors);
    if (Entry == NULL && HalpLargeLive != 0) {
        Entry = HalpFindSizeFor(Va & ~(ULONG_PTR)(HALP_LARGE_SIZE - 1), TRUE, Processors);
    }
    return Entry;
}

/* The entry that maps the address, or NULL. */
PHALP_TLB_ENTRY
HalpTlbLookup(ULONG_PTR Va)
{
    PHALP_TLB_ENTRY Entry;

    Entry = HalpFindExact(Va & ~(ULONG_PTR)(PAGE_SIZE - 1), FALSE);
    if (Entry == NULL && HalpLargeLive != 0) {
        Entry = HalpFindExact(Va & ~(ULONG_PTR)(HALP_LARGE_SIZE - 1), TRUE);
    }
    return Entry;
}

/* Count the entry's frames as translated once more, or once less. */
VOID
HalpCountFrames(const HALP_TLB_ENTRY *Entry, LONG Delta)
{
    USHORT *Count;

    Count = Entry->Large ? &HalpLargeHeld[Entry->Frame >> 9] : &HalpFrameHeld[Entry->Frame];
    *Count = (USHORT)(*Count + Delta);
}

static VOID
HalpLink(PHALP_TLB_ENTRY Entry)
{
    USHORT *Head;
    USHORT Link;

    Link = (USHORT)(Entry - HalpEntries + 1);
    Head = &HalpVaHeads[HalpVaBucket(Entry->Va, Entry->Large)];
    Entry->NextVa = *Head;
    *Head = Link;
    Head = &HalpPteHeads[HalpPteBucket(Entry->Pte)];
    Entry->NextPte = *Head;
    *Head = Link;
    if (Entry->Root != 0) {
        Entry->NextLocal = HalpLocalHead;
        Entry->PreviousLocal = 0;
        if (HalpLocalHead != 0) {
            HalpEntries[HalpLocalHead - 1].PreviousLocal = Link;
        }
        HalpLocalHead = Link;
    }
    HalpCountFrames(Entry, 1);
    HalpLargeLive += Entry->Large;
    HalpTlbCounts.Live += 1;
}

static VOID
HalpUnlinkLocal(const HALP_TLB_ENTRY *Entry)
{
    if (Entry->Root == 0) {
        return;
    }
    if (Entry->NextLocal != 0) {
        HalpEntries[Entry->NextLocal - 1].PreviousLocal = Entry->PreviousLocal;
    }
    if (Entry->PreviousLocal != 0) {
        HalpEntries[Entry->PreviousLocal - 1].NextLocal = Entry->NextLocal;
    } else {
        HalpLocalHead = Entry->NextLocal;
    }
}

/* Forget the entry; its mapping is the caller's to remove. */
VOID
HalpTlbUnlink(PHALP_TLB_ENTRY Entry)
{
    USHORT *Head;
    USHORT Link;

    Link = (USHORT)(Entry - HalpEntries + 1);
    Head = &HalpVaHeads[HalpVaBucket(Entry->Va, Entry->Large)];
    while (*Head != Link) {
        Head = &HalpEntries[*Head - 1].NextVa;
    }
    *Head = Entry->NextVa;
    Head = &HalpPteHeads[HalpPteBucket(Entry->Pte)];
    while (*Head != Link) {
        Head = &HalpEntries[*Head - 1].NextPte;
    }
    *Head = Entry->NextPte;
    HalpUnlinkLocal(Entry);
    HalpCountFrames(Entry, -1);
    HalpLargeLive -= Entry->Large;
    HalpTlbCounts.Live -= 1;
    Entry->Va = 0;
}

VOID
HalpTlbDrop(PHALP_TLB_ENTRY Entry)
{
    ULONG_PTR Va;

    Va = Entry->Va;
    HalpTlbUnlink(Entry);
    HalpUnmap(Va, Va + HalpTlbSize(Entry));
}

/* Everyone who may still use the entry. */
HAL_AFFINITY
HalpTlbHolders(const HALP_TLB_ENTRY *Entry)
{
    HAL_AFFINITY Holders;
    ULONG Number;

    Holders = Entry->Holders | (1ull << HalpCurrent->Number);
    for (Number = 0; Number < HalpProcessorTotal; Number += 1) {
        if (HalpProcessors[Number].LastRun > Entry->Sequence) {
            Holders |= 1ull << Number;
        }
        if (Entry->Root != 0 && HalpProcessors[Number].Root != Entry->Root) {
            Holders &= ~(1ull << Number);
        }
    }
    return Holders;
}

/*
 * --- Address spaces
 * ------------------------------------------------------------------------------------------
 */

/* Unmap [Start, End) but for what the process itself has in the user window. */
static VOID
HalpUnmapAroundHole(ULONG_PTR Start, ULONG_PTR End)
{
    HalpUnmap(Start, MIN(End, MAX(Start, HALP_HOLE_START)));
    HalpUnmap(MAX(Start, MIN(End, HALP_HOLE_END)), End);
}

VOID
HalpHideLocal(VOID)
{
    PHALP_TLB_ENTRY Entry;
    ULONG_PTR Low;
    ULONG_PTR High;
    ULONG Link;

    Low = HALP_USER_END;
    High = 0;
    for (Link = HalpLocalHead; Link != 0; Link = Entry->NextLocal) {
        Entry = &HalpEntries[Link - 1];
        if (Entry->Va >= HALP_USER_END) {
            HalpUnmap(Entry->Va, Entry->Va + HalpTlbSize(Entry));
            continue;
        }
        Low = MIN(Low, Entry->Va);
        High = MAX(High, Entry->Va + HalpTlbSize(Entry));
    }
    if (Low < High) {
        HalpUnmapAroundHole(Low, High);
    }
}

VOID
HalpLeaveRoot(VOID)
{
    HAL_AFFINITY This;
    ULONG Link;
    ULONG Next;

    This = 1ull << HalpCurrent->Number;
    HalpHideLocal();
    for (Link = HalpLocalHead; Link != 0; Link = Next) {
        PHALP_TLB_ENTRY Entry = &HalpEntries[Link - 1];

        Next = Entry->NextLocal;
        if (Entry->Root != HalpCurrent->Root) {
            continue;
        }
        if ((HalpTlbHolders(Entry) & ~This) == 0) {
            HalpTlbUnlink(Entry);
        } else {
            Entry->Holders &= ~This;
        }
    }
    if (HalpTlbCounts.StaleLive != 0) {
        HalpForgetLocalStale(This);
    }
}

/*
 * --- Stacks in use
 * --------------------------------------------------------------------------------------------
 */

static BOOLEAN
HalpOverlaps(ULONG_PTR Start, ULONG_PTR End, ULONG_PTR Limit, ULONG_PTR Base)
{
    return Start < Base && Limit < End;
}

/* Does a processor stand, or is one about to stand, on a stack in [Start, End)? */
static BOOLEAN
HalpIsStack(ULONG_PTR Start, ULONG_PTR End)
{
    PHALP_PROCESSOR Processor;
    ULONG Number;

    for (Number = 0; Number < HalpProcessorTotal; Number += 1) {
        Processor = &HalpProcessors[Number];
        if (HalpOverlaps(Start, End, Processor->StackLimit, Processor->StackBase) ||
            HalpOverlaps(Start, End, Processor->NextLimit, Processor->NextBase)) {
            return TRUE;
        }
    }
    return FALSE;
}

/* Does a processor stand on memory that the entry maps? */
BOOLEAN
HalpTlbIsStack(const HALP_TLB_ENTRY *Entry)
{
    return HalpIsStack(Entry->Va, Entry->Va + HalpTlbSize(Entry));
}

/*
 * --- Filling ------------------------------------------------------------------------------------
 * -------------------
 */

/* Remove a batch of the oldest entries, joining neighbours into one host call. */
static VOID
HalpEvict(VOID)
{
    PHALP_TLB_ENTRY Entry;
    ULONG_PTR Start;
    ULONG_PTR End;
    ULONG Step;

    Start = 0;
    End = 0;
    for (Step = 0; Step < HALP_EVICT_BATCH; Step += 1) {
        Entry = &HalpEntries[(HalpHand + Step) % HALP_TLB_CAPACITY];
        if (Entry->Va == 0 || Entry->Sequence + HALP_TLB_RECENT > HalpTlbSequence || HalpTlbIsStack(Entry)) {
            continue;
        }
        if (Entry->Va != End) {
            HalpUnmap(Start, End);
            Start = Entry->Va;
        }
        End = Entry->Va + HalpTlbSize(Entry);
        HalpTlbUnlink(Entry);
        HalpTlbCounts.Evictions += 1;
    }
    HalpUnmap(Start, End);
}

/* An unused entry. The hand goes round, so what it meets is what was filled longest ago. */
static PHALP_TLB_ENTRY
HalpTakeEntry(VOID)
{
    PHALP_TLB_ENTRY Entry;

    for (;;) {
        Entry = &HalpEntries[HalpHand];
        if (Entry->Va != 0) {
            HalpEvict();
        }
        HalpHand = (HalpHand + 1) % HALP_TLB_CAPACITY;
        if (Entry->Va == 0) {
            return Entry;
        }
    }
}

static VOID
HalpRecord(ULONG_PTR Va, PFN_NUMBER Frame, ULONG64 *Pte, UCHAR Rights, BOOLEAN Large)
{
    PHALP_TLB_ENTRY Entry;

    Entry = HalpTakeEntry();
    HalpTlbSequence += 1;
    Entry->Va = Va;
    Entry->Frame = Frame;
    Entry->Pte = Pte;
    Entry->Root = (__atomic_load_n(Pte, __ATOMIC_RELAXED) & HALP_PTE_GLOBAL) != 0 ? 0 : HalpCurrent->Root;
    Entry->Sequence = HalpTlbSequence;
    Entry->Holders = 1ull << HalpCurrent->Number;
    Entry->Rights = Rights;
    Entry->Large = Large;
    Entry->Mapped = TRUE;
    Entry->Depth = 0;
    HalpLink(Entry);
}

/*
 * A fault on an address makes the processor forget what it holds for it. Others keep theirs: if
 * that is weaker but to the same frame they would fault and forget it too, so it is dropped for
 * all. The mapping stays if another of the same size is about to take its place, since it may be
 * the stack in use.
 */
static VOID
HalpForget(PHALP_TLB_ENTRY Entry, PFN_NUMBER Frame, BOOLEAN Large)
{
    HAL_AFFINITY Others;

    Others = HalpTlbHolders(Entry) & ~(1ull << HalpCurrent->Number);
    if (Others != 0 && Entry->Frame != Frame) {
        HalpKeepStale(Entry, Others);
    }
    if (Entry->Large == Large) {
        HalpTlbUnlink(Entry);
    } else {
        HalpTlbDrop(Entry);
    }
}

/* May the neighbour's PTE be mapped along with the faulting one? */
static BOOLEAN
HalpGoesAlong(ULONG64 Pte, PFN_NUMBER Frame, UCHAR Rights, ULONG64 Leaf)
{
    const ULONG64 Same = HALP_PTE_WRITE | HALP_PTE_USER | HALP_PTE_NX | HALP_PTE_LARGE | HALP_PTE_GLOBAL;

    if ((Pte & (HALP_PTE_VALID | HALP_PTE_ACCESSED)) != (HALP_PTE_VALID | HALP_PTE_ACCESSED)) {
        return FALSE;
    }
    if (((Pte ^ Leaf) & Same) != 0 || HALP_PTE_FRAME(Pte) != Frame) {
        return FALSE;
    }
    return (Rights & HALP_RIGHT_WRITE) == 0 || (Pte & HALP_PTE_DIRTY) != 0;
}

/*
 * How far the mapping can be extended from the entry in one direction: neighbours in the same
 * aligned group that were accessed already and continue the run of frames.
 */
static ULONG
HalpRunLength(ULONG_PTR Va, const HALP_TRANSLATION *Translation, LONG Step)
{
    ULONG64 Leaf;
    ULONG Index;
    ULONG Length;

    Leaf = __atomic_load_n(Translation->Entry, __ATOMIC_RELAXED);
    Index = (ULONG)(Va >> PAGE_SHIFT) % HALP_TLB_AROUND;
    for (Length = 0; Step < 0 ? Length < Index : Length + Index + 1 < HALP_TLB_AROUND; Length += 1) {
        LONG64 Offset = (LONG64)(Length + 1) * Step;

        if (!HalpGoesAlong(__atomic_load_n(Translation->Entry + Offset, __ATOMIC_RELAXED),
                           Translation->Frame + (ULONG64)Offset, Translation->Rights, Leaf) ||
            !HalpInWindow(Va + (ULONG64)Offset * PAGE_SIZE) ||
            HalpTlbLookup(Va + (ULONG64)Offset * PAGE_SIZE) != NULL) {
            break;
        }
    }
    return Length;
}

static VOID
HalpFillSmall(ULONG_PTR Va, const HALP_TRANSLATION *Translation)
{
    ULONG_PTR First;
    PFN_NUMBER Frame;
    ULONG Below;
    ULONG Count;
    ULONG Index;

    Below = HalpRunLength(Va, Translation, -1);
    Count = Below + 1 + HalpRunLength(Va, Translation, 1);
    First = Va - (ULONG_PTR)Below * PAGE_SIZE;
    Frame = Translation->Frame - Below;
    for (Index = 0; Index < Count; Index += 1) {
        HalpRecord(First + (ULONG_PTR)Index * PAGE_SIZE, Frame + Index, Translation->Entry - Below + Index,
                   Translation->Rights, FALSE);
    }
    HalpTlbCounts.Around += Count - 1;
    if (HalpMapRange(First, Frame, (SIZE_T)Count * PAGE_SIZE, Translation->Rights) < 0) {
        HalpInternal("the host refused a mapping", NULL);
    }
}

static VOID
HalpFillLarge(ULONG_PTR Va, const HALP_TRANSLATION *Translation)
{
    ULONG_PTR First;
    ULONG_PTR Page;
    PHALP_TLB_ENTRY Entry;
    PFN_NUMBER Frame;

    First = Va & ~(ULONG_PTR)(HALP_LARGE_SIZE - 1);
    Frame = Translation->Frame & ~0x1FFull;
    for (Page = First; Page < First + HALP_LARGE_SIZE; Page += PAGE_SIZE) {
        Entry = HalpFindExact(Page, FALSE);
        if (Entry != NULL) {
            HalpForget(Entry, Frame + ((Page - First) >> PAGE_SHIFT), FALSE);
        }
    }
    HalpRecord(First, Frame, Translation->Entry, Translation->Rights, TRUE);
    if (HalpMapRange(First, Frame, HALP_LARGE_SIZE, Translation->Rights) < 0) {
        HalpInternal("the host refused a mapping", NULL);
    }
}

BOOLEAN
HalpTlbFault(ULONG_PTR Va, ULONG Access, PULONG ErrorCode)
{
    HALP_TRANSLATION Translation;
    PHALP_TLB_ENTRY Entry;
    PFN_NUMBER Frame;

    HalpTlbCounts.Faults += 1;
    Va &= ~(ULONG_PTR)(PAGE_SIZE - 1);
    if (HalpTlbCounts.StaleLive != 0) {
        HalpFlushStale(Va, Va + PAGE_SIZE, 1ull << HalpCurrent->Number);
    }
    if (!HalpWalk(HalpCurrent->Root, Va, Access, &Translation, ErrorCode)) {
        return FALSE;
    }
    HalpTlbCounts.Fills += 1;
    Entry = HalpTlbLookup(Va);
    if (Entry != NULL) {
        Frame = Translation.Frame;
        HalpForget(Entry, Entry->Large ? Frame & ~0x1FFull : Frame, Translation.Large);
    }
    if (Translation.Large) {
        HalpFillLarge(Va, &Translation);
    } else {
        HalpFillSmall(Va, &Translation);
    }
    return TRUE;
}

/*
 * --- Stacks: always translated
 * -----------------------------------------------------------------------------------
 */

/* Is [Start, End) writable now, without a fault? What lies outside the windows always is. */
BOOLEAN
HalpResident(ULONG_PTR Start, ULONG_PTR End)
{
    PHALP_TLB_ENTRY Entry;
    ULONG_PTR Va;

    for (Va = Start & ~(ULONG_PTR)(PAGE_SIZE - 1); Va < End; Va += PAGE_SIZE) {
        if (!HalpInWindow(Va)) {
            continue;
        }
        Entry = HalpTlbLookup(Va);
        if (Entry == NULL || (Entry->Rights & HALP_RIGHT_WRITE) == 0) {
            return FALSE;
        }
    }
    return TRUE;
}

VOID
HalpHoldStack(ULONG_PTR Limit, ULONG_PTR Base)
{
    ULONG_PTR Va;
    ULONG Ignored;

    HalpCurrent->NextLimit = Limit;
    HalpCurrent->NextBase = Base;
    for (Va = Limit; Va < Base; Va += PAGE_SIZE) {
        if (!HalpResident(Va, Va + 1)) {
            HalpTlbFault(Va, HALP_FAULT_WRITE, &Ignored);
        }
    }
}

/*
 * --- The oracle's records
 * --------------------------------------------------------------------------------------------
 */

/* The first change since the fill is the one a flush should have followed. */
VOID
HalpPteChanged(PVOID Pte)
{
    ULONG Link;

    for (Link = HalpPteHeads[HalpPteBucket(Pte)]; Link != 0; Link = HalpEntries[Link - 1].NextPte) {
        if (HalpEntries[Link - 1].Pte == Pte && HalpEntries[Link - 1].Depth == 0) {
            HalpEntries[Link - 1].Depth = (UCHAR)HalpBacktrace(HalpEntries[Link - 1].Stack, HALP_TLB_DEPTH);
        }
    }
}

/* A frame with translations goes to a new owner: say so, once for each, and forget them. */
VOID
HalpFrameReleased(PFN_NUMBER Frame)
{
    HALP_TLB_ENTRY Entry;
    ULONG Index;

    HalpReportStale(Frame);
    for (Index = 0; Index < HALP_TLB_CAPACITY; Index += 1) {
        Entry = HalpEntries[Index];
        if (Entry.Va == 0 || Frame < Entry.Frame || Frame - Entry.Frame >= HalpTlbSize(&Entry) / PAGE_SIZE) {
            continue;
        }
        if (!HalpTlbIsStack(&Entry)) {
            HalpTlbDrop(&HalpEntries[Index]);
        }
        KiStaleTranslation(Frame, Entry.Va + ((Frame - Entry.Frame) << PAGE_SHIFT), Entry.Stack, Entry.Depth);
    }
}

/* Is the table consistent: counts, chains, rights? For tests. */
BOOLEAN
HalpTlbValidate(VOID)
{
    PHALP_TLB_ENTRY Entry;
    ULONG Live;
    ULONG Index;

    Live = 0;
    for (Index = 0; Index < HALP_TLB_CAPACITY; Index += 1) {
        Entry = &HalpEntries[Index];
        if (Entry->Va == 0) {
            continue;
        }
        Live += 1;
        if (!HalpInWindow(Entry->Va) || HalpTlbHolders(Entry) == 0) {
            return FALSE;
        }
        if ((Entry->Root == 0 || Entry->Root == HalpCurrent->Root) &&
            HalpFindExact(Entry->Va, Entry->Large) != Entry) {
            return FALSE;
        }
        if ((Entry->Large ? HalpLargeHeld[Entry->Frame >> 9] : HalpFrameHeld[Entry->Frame]) == 0) {
            return FALSE;
        }
    }
    return Live == HalpTlbCounts.Live;
}

/* Address space for the counts: touched only where frames are. */
VOID
HalpInitializeTlb(VOID)
{
    LONG64 Small;
    LONG64 Large;
    SIZE_T Frames;

    Frames = HALP_MAXIMUM_FRAMES + HALP_HIDDEN_FRAMES;
    Small = HalpHostMap(0, Frames * sizeof(USHORT), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    Large = HalpHostMap(0, (Frames >> 9) * sizeof(USHORT), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (Small < 0 || Large < 0) {
        HalpRefuse("no address space for the translation counts");
    }
    HalpFrameHeld = (USHORT *)Small;
    HalpLargeHeld = (USHORT *)Large;
}
