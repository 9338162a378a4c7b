/*
 * Spans and size classes: runs of pages cut into slots of one size.
 *
 * A slot never crosses a page. So the classes are the sizes that fill a page well: 16-byte steps
 * below 288, then the largest multiple of 16 that fits a page n times. The last class is a whole
 * page, without header. A span's bitmap says which slots are neither in a block nor in a magazine;
 * magazines take and return slots in batches under the class lock.
 *
 *      MipGrowClass: run -> span with all slots free, in the class's list
 *      MipTakeSlotsLocked: slot -> magazine; a span without free slots leaves the list
 *      MipReturnSlots: slot -> span; a wholly free span goes back to its segment if another one is there
 *
 * Growing happens at the caller's IRQL with no lock held, since fresh slots of reused pages get a
 * clean header and paged ones may fault for that.
 */
#include "poolp.h"

MI_POOL_CLASS MiPoolClasses[MiPoolKinds][MI_POOL_NODES][MI_POOL_CLASSES];
UCHAR MiClassOfUnits[PAGE_SIZE / 16 + 1];
USHORT MiBinOfUnits[PAGE_SIZE / 16 + 1];

const USHORT MiSlotSize[MI_POOL_CLASSES] = {32,  48,  64,  80,  96,   112,  128,  144,  160,      176, 192,
                                            208, 224, 240, 256, 272,  288,  304,  336,  368,      400, 448,
                                            512, 576, 672, 816, 1024, 1360, 2048, 4080, PAGE_SIZE};

VOID
MipInitializeClasses(VOID)
{
    ULONG Kind, Node, Class = 0, Units;

    for (Units = 0; Units <= PAGE_SIZE / 16; Units += 1) {
        if (Units * 16 > MiSlotSize[Class]) {
            Class += 1;
        }
        MiClassOfUnits[Units] = (UCHAR)Class;
        MiBinOfUnits[Units] = (USHORT)(MipBin(MiPoolNonPagedNx, Class) * sizeof(MI_POOL_BIN));
    }
    for (Kind = 0; Kind < MiPoolKinds; Kind += 1) {
        for (Node = 0; Node < MI_POOL_NODES; Node += 1) {
            for (Class = 0; Class < MI_POOL_CLASSES; Class += 1) {
                InitializeListHead(&MiPoolClasses[Kind][Node][Class].Spans);
            }
        }
    }
}

/* --- Making ----------------------------------------------------------------------------------- */

/* Pages of a span: enough slots to be worth a batch, no more than the bitmap describes. */
static ULONG
MipSpanPages(ULONG Class)
{
    return MIN(MI_SPAN_PAGES, MI_SPAN_SLOTS / (PAGE_SIZE / MiSlotSize[Class]));
}

/*
 * Clean headers for the slots of pages that held something else, so that whatever is found in a slot later
 * was put there by us. Pages known to be zero are left untouched.
 */
static VOID
MipClearHeaders(PMI_POOL_SPAN Span)
{
    PPOOL_HEADER Header;
    ULONG Index;

    for (Index = 0; Index < Span->Slots; Index += 1) {
        Header = MipSlotAddress(Span, Index);
        if (MipPageIsDirty(Span->Segment, MipPageIndex(Span->Segment, Header))) {
            MipClearHeader(Header);
        }
    }
}

static VOID
MipFillSpan(PMI_POOL_SPAN Span, PVOID Base, ULONG Pages, ULONG Class)
{
    ULONG Index;

    Span->Base = Base;
    Span->Segment = MipSegmentOf(Base);
    Span->Pages = (USHORT)Pages;
    Span->Class = (UCHAR)Class;
    Span->SlotSize = MiSlotSize[Class];
    Span->SlotsPerPage = PAGE_SIZE / MiSlotSize[Class];
    Span->Slots = (USHORT)(Span->SlotsPerPage * Pages);
    Span->FreeSlots = Span->Slots;
    Span->Rotor = (ULONG)(HalRandom() % ((Span->Slots + 63) / 64));
    for (Index = 0; Index < Span->Slots; Index += 1) {
        Span->Free[Index / 64] |= 1ull << (Index % 64);
    }
}

/* Enter a new span: from here on walks and processors may look at it. */
static VOID
MipEnterSpan(PMI_POOL_CLASS Class, PMI_POOL_SPAN Span, const MI_POOL_SPAN *Contents)
{
    KIRQL OldIrql;

    OldIrql = KiAcquireRankedLockRaise(&Class->Lock, LockRankPoolClass);
    *Span = *Contents;
    Span->Listed = TRUE;
    InsertHeadList(&Class->Spans, &Span->Entry);
    Class->EmptySpans += 1;
    KiReleaseRankedLockLower(&Class->Lock, OldIrql);
}

BOOLEAN
MipGrowClass(MI_POOL_KIND Kind, ULONG Node, ULONG Class)
{
    MI_POOL_PAGE_STATE State = Class == MI_PAGE_CLASS ? MiPageSlotFree : MiPageSpan;
    PMI_POOL_SPAN Span = MipAllocateMetaObject();
    ULONG Pages = MipSpanPages(Class);
    MI_POOL_SPAN Contents = {0};
    PVOID Base = NULL;
    BOOLEAN Dirty;

    if (Span == NULL) {
        return FALSE;
    }
    Span->Class = (UCHAR)Class;
    for (; Pages != 0 && Base == NULL; Pages /= 4) {
        Base = MipAllocateRun(Kind, Node, Pages, State, Span, &Dirty);
        if (Base != NULL) {
            MipFillSpan(&Contents, Base, Pages, Class);
        }
    }
    if (Base == NULL) {
        MipFreeMetaObject(Span);
        return FALSE;
    }
    if (Dirty && Class != MI_PAGE_CLASS) {
        MipClearHeaders(&Contents);
    }
    MipEnterSpan(&MiPoolClasses[Kind][Node][Class], Span, &Contents);
    return TRUE;
}

/* --- Slots out and in ------------------------------------------------------------------------- */

ULONG
MipTakeSlotsLocked(PMI_POOL_CLASS Class, ULONG Count, PVOID *Slots)
{
    PMI_POOL_SPAN Span;
    ULONG Taken = 0, Words, Bit;

    while (Taken < Count && !IsListEmpty(&Class->Spans)) {
        Span = CONTAINING_RECORD(Class->Spans.Flink, MI_POOL_SPAN, Entry);
        Words = (Span->Slots + 63u) / 64;
        if (Span->FreeSlots == Span->Slots) {
            Class->EmptySpans -= 1;
        }
        while (Taken < Count && Span->FreeSlots != 0) {
            while (Span->Free[Span->Rotor] == 0) {
                Span->Rotor = (Span->Rotor + 1) % Words;
            }
            Bit = (ULONG)__builtin_ctzll(Span->Free[Span->Rotor]);
            Span->Free[Span->Rotor] &= Span->Free[Span->Rotor] - 1;
            Slots[Taken] = MipSlotAddress(Span, Span->Rotor * 64 + Bit);
            Span->FreeSlots -= 1;
            Taken += 1;
        }
        if (Span->FreeSlots == 0) {
            RemoveEntryList(&Span->Entry);
            Span->Listed = FALSE;
        }
    }
    return Taken;
}

/* Put one slot back. Returns its span if that is now to be freed: it is off the list then. */
static PMI_POOL_SPAN
MipReturnSlotLocked(PMI_POOL_CLASS Class, PMI_POOL_SPAN Span, PVOID Slot, ULONG KeepEmpty)
{
    SIZE_T Offset = (SIZE_T)((PUCHAR)Slot - Span->Base);
    ULONG Index = (ULONG)(Offset >> PAGE_SHIFT) * Span->SlotsPerPage +
                  (ULONG)(Offset & (PAGE_SIZE - 1)) / Span->SlotSize;

    MI_ASSERT(Index < Span->Slots && (Span->Free[Index / 64] & (1ull << (Index % 64))) == 0);
    Span->Free[Index / 64] |= 1ull << (Index % 64);
    Span->FreeSlots += 1;
    if (!Span->Listed) {
        InsertTailList(&Class->Spans, &Span->Entry);
        Span->Listed = TRUE;
    }
    if (Span->FreeSlots == Span->Slots) {
        if (Class->EmptySpans >= KeepEmpty) {
            RemoveEntryList(&Span->Entry);
            Span->Listed = FALSE;
            return Span;
        }
        Class->EmptySpans += 1;
    }
    return NULL;
}

/* A span that is on no list and wholly free: its pages go back, then its record. */
static VOID
MipFreeSpan(PMI_POOL_SPAN Span)
{
    MipFreeRun(Span->Segment, Span->Base, Span->Pages);
    MipFreeMetaObject(Span);
}

VOID
MipReturnSlots(const PVOID *Slots, ULONG Count)
{
    PMI_POOL_SEGMENT Segment;
    PMI_POOL_CLASS Class;
    PMI_POOL_SPAN Span;
    KIRQL OldIrql;
    ULONG Index;

    for (Index = 0; Index < Count; Index += 1) {
        Segment = MipSegmentOf(Slots[Index]);
        Span = MipPage(Segment, MipPageIndex(Segment, Slots[Index]))->Owner;
        Class = &MiPoolClasses[Segment->Kind][Segment->Node][Span->Class];
        OldIrql = KiAcquireRankedLockRaise(&Class->Lock, LockRankPoolClass);
        Span = MipReturnSlotLocked(Class, Span, Slots[Index], 1);
        KiReleaseRankedLockLower(&Class->Lock, OldIrql);
        if (Span != NULL) {
            MipFreeSpan(Span);
        }
    }
}

/* Take one full magazine, or one wholly free span, out of the class. */
static BOOLEAN
MipTakeSpare(PMI_POOL_CLASS Class, PMI_MAGAZINE *Magazine, PMI_POOL_SPAN *Span)
{
    PLIST_ENTRY Entry;
    KIRQL OldIrql;

    *Span = NULL;
    OldIrql = KiAcquireRankedLockRaise(&Class->Lock, LockRankPoolClass);
    *Magazine = Class->Full;
    if (*Magazine != NULL) {
        Class->Full = (*Magazine)->Next;
        Class->FullCount -= 1;
    } else {
        for (Entry = Class->Spans.Flink; Entry != &Class->Spans && *Span == NULL; Entry = Entry->Flink) {
            PMI_POOL_SPAN Candidate = CONTAINING_RECORD(Entry, MI_POOL_SPAN, Entry);

            if (Candidate->FreeSlots == Candidate->Slots) {
                *Span = Candidate;
            }
        }
        if (*Span != NULL) {
            RemoveEntryList(&(*Span)->Entry);
            (*Span)->Listed = FALSE;
            Class->EmptySpans -= 1;
        }
    }
    KiReleaseRankedLockLower(&Class->Lock, OldIrql);
    return *Magazine != NULL || *Span != NULL;
}

VOID
MipTrimClass(MI_POOL_KIND Kind, ULONG Node, ULONG Class)
{
    PMI_MAGAZINE Magazine;
    PMI_POOL_SPAN Span;

    while (MipTakeSpare(&MiPoolClasses[Kind][Node][Class], &Magazine, &Span)) {
        if (Magazine != NULL) {
            MipReturnSlots(Magazine->Rounds, Magazine->Count);
            MipFreeMetaObject(Magazine);
        } else {
            MipFreeSpan(Span);
        }
    }
}
