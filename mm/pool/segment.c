/*
 * Segments: where the pools get pages, and how the pages of a segment are handed out in runs.
 *
 * A segment is two megabytes of address in its kind's region, aligned to that, so that the segment
 * of any address is two loads away in a table by address. Nonpaged segments are backed when made, by
 * one large page if a contiguous run can be had, else by scattered frames; with little memory left
 * only the front of the address is backed. Paged segments are demand-zero. A block of more than
 * MI_RUN_LIMIT pages has a segment of its own (Huge), as long as it needs.
 *
 *      (nothing) --MipAddSegment--> wholly free <--MipAllocateRun / MipFreeRun--> in use
 *      wholly free --MipFreeRun, MipTrimSegments--> (nothing); one wholly free segment per heap is kept
 *
 * A heap's lock guards its list and the run bitmaps; page records of a run belong to whoever holds
 * it. Making and destroying happens outside every lock: frames, commit and address are gathered
 * first (each step undone if a later one fails), then the segment is entered; a segment on its way
 * out is unlinked first. Commit and resident pages are charged for the whole of a segment. <= DISPATCH_LEVEL.
 */
#include "poolp.h"
#include <mm/pte/pteform.h>

#define MIP_SEGMENT_BYTES ((SIZE_T)MI_POOL_SEGMENT_PAGES << PAGE_SHIFT)
#define MIP_MINIMUM_PAGES 16
#define MIP_RESET_PAGES   16 /* paged runs from here on give their frames back when freed */
#define MIP_HIGHEST_FRAME ((1ull << 40) - 1)

MI_POOL_HEAP MiPoolHeaps[MiPoolKinds][MI_POOL_NODES];
ULONG MiPoolNodeCount = 1;
SIZE_T MiPoolPages[MiPoolKinds];

ULONG_PTR MiPoolRegionStart[2];
ULONG_PTR MiPoolRegionSize[2];
PMI_POOL_SEGMENT *MiPoolLeaves[2][MI_POOL_LEAVES];

static LONG MipPins; /* (A) */

#define MIP_NOT_READABLE (~0ull) /* no address begins so */

ULONG64 MiPoolReadable[MI_POOL_READABLE] = {[0 ... MI_POOL_READABLE - 1] = MIP_NOT_READABLE};

VOID
MipInitializeSegments(VOID)
{
    ULONG Kind, Node, Region;
    ULONG_PTR End;

    for (Region = 0; Region < 2; Region += 1) {
        MiRegionBounds(Region == 0 ? MiRegionNonPagedPool : MiRegionPagedPool, &MiPoolRegionStart[Region], &End);
        MiPoolRegionSize[Region] = MIN(End - MiPoolRegionStart[Region], (ULONG_PTR)MI_POOL_LEAVES << 30);
    }
    for (Kind = 0; Kind < MiPoolKinds; Kind += 1) {
        for (Node = 0; Node < MI_POOL_NODES; Node += 1) {
            InitializeListHead(&MiPoolHeaps[Kind][Node].Segments);
            MiPoolHeaps[Kind][Node].Kind = (UCHAR)Kind;
            MiPoolHeaps[Kind][Node].Node = (UCHAR)Node;
        }
    }
}

/* --- The table by address --------------------------------------------------------------------- */

/* The slot of the table for an address; NULL if its leaf cannot be made. */
static PMI_POOL_SEGMENT *
MipMapSlot(MI_POOL_KIND Kind, ULONG_PTR Address)
{
    ULONG Region = Kind == MiPoolPaged;
    ULONG_PTR Offset = Address - MiPoolRegionStart[Region];
    PMI_POOL_SEGMENT **Place = &MiPoolLeaves[Region][Offset >> 30];
    PMI_POOL_SEGMENT *Leaf = __atomic_load_n(Place, __ATOMIC_ACQUIRE);
    PMI_POOL_SEGMENT *Fresh;

    if (Offset >= MiPoolRegionSize[Region]) {
        return NULL;
    }
    if (Leaf == NULL) {
        Fresh = MipAllocateMetaPage(TRUE);
        if (Fresh == NULL) {
            return NULL;
        }
        if (__atomic_compare_exchange_n(Place, &Leaf, Fresh, FALSE, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
            Leaf = Fresh;
        } else {
            MipFreeMetaPage(Fresh);
            __atomic_fetch_sub(&MiPoolPermanentPages, 1, __ATOMIC_RELAXED);
        }
    }
    return &Leaf[(Offset >> MI_POOL_SEGMENT_SHIFT) & 511];
}

/* Enter a segment in the table, or with Value NULL take it out. FALSE: a leaf is missing, nothing was
 * entered. */
static BOOLEAN
MipMapSegment(PMI_POOL_SEGMENT Segment, PMI_POOL_SEGMENT Value)
{
    PMI_POOL_SEGMENT *Slot;
    SIZE_T Offset;

    for (Offset = 0; Offset < Segment->ReservedPages; Offset += MI_POOL_SEGMENT_PAGES) {
        Slot = MipMapSlot((MI_POOL_KIND)Segment->Kind, (ULONG_PTR)Segment->Base + (Offset << PAGE_SHIFT));
        if (Slot == NULL) {
            while (Offset != 0) {
                Offset -= MI_POOL_SEGMENT_PAGES;
                Slot = MipMapSlot((MI_POOL_KIND)Segment->Kind,
                                  (ULONG_PTR)Segment->Base + (Offset << PAGE_SHIFT));
                __atomic_store_n(Slot, NULL, __ATOMIC_RELEASE);
            }
            return FALSE;
        }
        __atomic_store_n(Slot, Value, __ATOMIC_RELEASE);
    }
    return TRUE;
}

/* --- Making and destroying -------------------------------------------------------------------- */

/*
 * Paged pool is charged to resident available like the rest: nothing is written to a page file yet, so a page that was
 * touched stays, and a touch must not find memory gone.
 */
static BOOLEAN
MipChargePages(MI_POOL_KIND Kind, SIZE_T PageCount)
{
    if (!MiChargeCommit(PageCount)) {
        return FALSE;
    }
    if (!MiChargeResidentAvailable(PageCount)) {
        MiReturnCommit(PageCount);
        return FALSE;
    }
    __atomic_fetch_add(&MiPoolPages[Kind], PageCount, __ATOMIC_RELAXED);
    return TRUE;
}

static VOID
MipReturnPages(MI_POOL_KIND Kind, SIZE_T PageCount)
{
    __atomic_fetch_sub(&MiPoolPages[Kind], PageCount, __ATOMIC_RELAXED);
    MiReturnResidentAvailable(PageCount);
    MiReturnCommit(PageCount);
}

/*
 * Unmap the first PageCount pages and free their frames. The page of the first records serves as the list of
 * frames: it is there, so this cannot fail, and its contents are no longer needed.
 */
static VOID
MipUnbackFrames(PMI_POOL_SEGMENT Segment, SIZE_T PageCount)
{
    PFN_NUMBER *Frames = (PFN_NUMBER *)Segment->Info[0];
    SIZE_T Done, Count, Index;

    if (Segment->FirstFrame != MI_NO_FRAME) {
        MiUnmapRange(Segment->Base, PageCount, NULL);
        for (Index = 0; Index < PageCount; Index += 1) {
            Frames[Index] = Segment->FirstFrame + Index;
        }
        MiFreeFrames(Frames, PageCount);
        return;
    }
    for (Done = 0; Done < PageCount; Done += Count) {
        Count = MIN(PageCount - Done, PAGE_SIZE / sizeof(PFN_NUMBER));
        MiUnmapRange(Segment->Base + (Done << PAGE_SHIFT), Count, Frames);
        MiFreeFrames(Frames, Count);
    }
}

/* Give a nonpaged segment its frames. */
static BOOLEAN
MipBackFrames(PMI_POOL_SEGMENT Segment, BOOLEAN Zero)
{
    MI_PROTECTION Protection = Segment->Kind == MiPoolNonPagedExecute ? MM_EXECUTE_READWRITE : MM_READWRITE;
    PFN_NUMBER *Frames = (PFN_NUMBER *)Segment->Info[0];
    ULONG Flags = Zero ? MI_GET_ZEROED : 0;
    SIZE_T Done, Count;

    if (!Segment->Huge && Segment->PageCount == MI_POOL_SEGMENT_PAGES) {
        Segment->FirstFrame =
            MiGetContiguousFrames(Flags, Segment->Node, MiUseNonPagedPool, MI_POOL_SEGMENT_PAGES, 0,
                                  MIP_HIGHEST_FRAME, MI_POOL_SEGMENT_PAGES, 0);
        if (Segment->FirstFrame != MI_NO_FRAME) {
            MiMapRun(Segment->Base, MI_POOL_SEGMENT_PAGES, Segment->FirstFrame, Protection, MmCached, TRUE);
            return TRUE;
        }
    }
    for (Done = 0; Done < Segment->PageCount; Done += Count) {
        Count = MIN(Segment->PageCount - Done, PAGE_SIZE / sizeof(PFN_NUMBER));
        if (MiGetFrames(Flags | MI_GET_ALL, Segment->Node, MiUseNonPagedPool, Count, Frames) != Count) {
            MipUnbackFrames(Segment, Done);
            return FALSE;
        }
        MiMapFrames(Segment->Base + (Done << PAGE_SHIFT), Count, Frames, Protection, MmCached);
    }
    return TRUE;
}

static VOID
MipFreeSegmentRecord(PMI_POOL_SEGMENT Segment)
{
    ULONG Index;

    for (Index = 0; Index < ARRAYSIZE(Segment->Info); Index += 1) {
        if (Segment->Info[Index] != NULL) {
            MipFreeMetaPage(Segment->Info[Index]);
        }
    }
    MipFreeMetaObject(Segment);
}

/* A record with the page records that PageCount pages (Huge: one block) need. */
static PMI_POOL_SEGMENT
MipMakeSegmentRecord(MI_POOL_KIND Kind, ULONG Node, SIZE_T PageCount, BOOLEAN Huge)
{
    PMI_POOL_SEGMENT Segment = MipAllocateMetaObject();
    SIZE_T Records = Huge ? 1 : PageCount;
    SIZE_T Index;

    if (Segment == NULL) {
        return NULL;
    }
    Segment->Heap = &MiPoolHeaps[Kind][Node];
    Segment->Kind = (UCHAR)Kind;
    Segment->Node = (UCHAR)Node;
    Segment->Huge = Huge;
    Segment->PageCount = PageCount;
    Segment->ReservedPages = ALIGN_UP_BY(PageCount, MI_POOL_SEGMENT_PAGES);
    Segment->FirstFrame = MI_NO_FRAME;
    for (Index = 0; Index * 128 < Records; Index += 1) {
        Segment->Info[Index] = MipAllocateMetaPage(FALSE);
        if (Segment->Info[Index] == NULL) {
            MipFreeSegmentRecord(Segment);
            return NULL;
        }
    }
    return Segment;
}

static MI_SYSTEM_REGION
MipRegionOfKind(ULONG Kind)
{
    return Kind == MiPoolPaged ? MiRegionPagedPool : MiRegionNonPagedPool;
}

/* A segment, backed and in the table but in no heap; NULL and nothing kept if anything is missing. */
static PMI_POOL_SEGMENT
MipMakeSegment(MI_POOL_KIND Kind, ULONG Node, SIZE_T PageCount, BOOLEAN Huge, BOOLEAN Zero)
{
    PMI_POOL_SEGMENT Segment;

    if (!MipChargePages(Kind, PageCount)) {
        return NULL;
    }
    Segment = MipMakeSegmentRecord(Kind, Node, PageCount, Huge);
    if (Segment == NULL) {
        goto ReturnPages;
    }
    Segment->Base = MiReserveSystemVa(MipRegionOfKind(Kind), Segment->ReservedPages, MI_POOL_SEGMENT_PAGES);
    if (Segment->Base == NULL) {
        goto FreeRecord;
    }
    if (Kind != MiPoolPaged && !MipBackFrames(Segment, Zero)) {
        goto ReleaseVa;
    }
    if (Kind != MiPoolPaged) {
        __builtin_memset(Segment->Dirty, Zero ? 0 : 0xFF, sizeof(Segment->Dirty));
        __builtin_memset(Segment->Info[0], 0, PAGE_SIZE); /* held the list of frames */
    }
    if (!MipMapSegment(Segment, Segment)) {
        goto Unback;
    }
    if (Kind == MiPoolPaged) {
        MiMakeDemandZeroRange(Segment->Base, PageCount, MM_READWRITE, MiUsePagedPool);
    }
    return Segment;

Unback:
    if (Kind != MiPoolPaged) {
        MipUnbackFrames(Segment, PageCount);
    }
ReleaseVa:
    MiReleaseSystemVa(MipRegionOfKind(Kind), Segment->Base, Segment->ReservedPages);
FreeRecord:
    MipFreeSegmentRecord(Segment);
ReturnPages:
    MipReturnPages(Kind, PageCount);
    return NULL;
}

VOID
MipNoteReadable(PMI_POOL_SEGMENT Segment)
{
    ULONG64 Key = (ULONG_PTR)Segment->Base >> MI_POOL_SEGMENT_SHIFT;

    if (Segment->Kind != MiPoolPaged && Segment->PageCount == MI_POOL_SEGMENT_PAGES && MiPoolNodeCount == 1) {
        __atomic_store_n(&MiPoolReadable[Key % MI_POOL_READABLE], Key, __ATOMIC_RELAXED);
    }
}

VOID
MipForgetReadable(VOID)
{
    ULONG Index;

    for (Index = 0; Index < MI_POOL_READABLE; Index += 1) {
        __atomic_store_n(&MiPoolReadable[Index], MIP_NOT_READABLE, __ATOMIC_RELAXED);
    }
}

/* Nobody frees blocks of a segment that has none, so nobody is about to note it again. */
static VOID
MipForgetSegment(PMI_POOL_SEGMENT Segment)
{
    ULONG64 Key = (ULONG_PTR)Segment->Base >> MI_POOL_SEGMENT_SHIFT;

    __atomic_compare_exchange_n(&MiPoolReadable[Key % MI_POOL_READABLE], &Key, MIP_NOT_READABLE, FALSE,
                                __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

/* Undo MipMakeSegment; nobody can find the segment but through the table. */
static VOID
MipDestroySegment(PMI_POOL_SEGMENT Segment)
{
    MI_POOL_KIND Kind = (MI_POOL_KIND)Segment->Kind;
    SIZE_T PageCount = Segment->PageCount;

    MipMapSegment(Segment, NULL);
    MipForgetSegment(Segment);
    if (Kind == MiPoolPaged) {
        MiDeletePageableRange(Segment->Base, PageCount);
    } else {
        MipUnbackFrames(Segment, PageCount);
    }
    MiReleaseSystemVa(MipRegionOfKind(Kind), Segment->Base, Segment->ReservedPages);
    MipFreeSegmentRecord(Segment);
    MipReturnPages(Kind, PageCount);
}

/* A new segment for the heap with room for a run: the largest that does not take much of what is left. */
static BOOLEAN
MipAddSegment(MI_POOL_KIND Kind, ULONG Node, SIZE_T RunPages)
{
    PMI_POOL_HEAP Heap = &MiPoolHeaps[Kind][Node];
    SIZE_T PageCount = MI_POOL_SEGMENT_PAGES, Least = MAX(RunPages, MIP_MINIMUM_PAGES);
    SIZE_T Available = MiAvailablePages();
    PMI_POOL_SEGMENT Segment = NULL;
    KIRQL OldIrql;

    while (PageCount / 2 >= Least && PageCount * 16 > Available) {
        PageCount /= 2;
    }
    for (;;) {
        Segment = MipMakeSegment(Kind, Node, PageCount, FALSE, FALSE);
        if (Segment != NULL || PageCount == RunPages) {
            break;
        }
        PageCount = PageCount / 4 >= RunPages ? PageCount / 4 : RunPages;
    }
    if (Segment == NULL) {
        return FALSE;
    }
    Segment->FreePages = (ULONG)PageCount;
    /* Whole spans fit before it and behind it. */
    Segment->Hint = (ULONG)ALIGN_DOWN_BY(HalRandom() % PageCount, MI_SPAN_PAGES);
    OldIrql = KiAcquireRankedLockRaise(&Heap->Lock, LockRankPoolSegment);
    InsertTailList(&Heap->Segments, &Segment->Entry);
    Heap->EmptySegments += 1;
    KiReleaseRankedLockLower(&Heap->Lock, OldIrql);
    return TRUE;
}

/* --- Runs ------------------------------------------------------------------------------------- */

/* First bit of Count clear ones in [From, Limit); Limit if there are none. */
static ULONG
MipFindClearRun(const ULONG64 *Bits, ULONG From, ULONG Limit, ULONG Count)
{
    ULONG Position = From, End;
    ULONG64 Word;

    while (Position + Count <= Limit) {
        Word = ~Bits[Position / 64] >> (Position % 64);
        if (Word == 0) {
            Position = (Position | 63) + 1;
            continue;
        }
        Position += (ULONG)__builtin_ctzll(Word);
        if (Position + Count > Limit) {
            break;
        }
        for (End = Position; End < Position + Count; End += 1) {
            if ((Bits[End / 64] >> (End % 64)) & 1) {
                break;
            }
        }
        if (End == Position + Count) {
            return Position;
        }
        Position = End + 1;
    }
    return Limit;
}

static BOOLEAN
MipBit(const ULONG64 *Bits, SIZE_T Index)
{
    return (Bits[Index / 64] >> (Index % 64)) & 1;
}

/* A page's bit changes only while nobody holds the page, but its word at any time. */
BOOLEAN
MipPageIsDirty(PMI_POOL_SEGMENT Segment, SIZE_T Index)
{
    return (__atomic_load_n(&Segment->Dirty[Index / 64], __ATOMIC_RELAXED) >> (Index % 64)) & 1;
}

static VOID
MipSetPageDirtyLocked(PMI_POOL_SEGMENT Segment, SIZE_T Index, BOOLEAN Dirty)
{
    ULONG64 Bit = 1ull << (Index % 64);
    ULONG64 Word = Segment->Dirty[Index / 64];

    __atomic_store_n(&Segment->Dirty[Index / 64], Dirty ? Word | Bit : Word & ~Bit, __ATOMIC_RELAXED);
}

/* Make pages [First, First + Count) a run. */
static BOOLEAN
MipMarkRunLocked(PMI_POOL_SEGMENT Segment, ULONG First, ULONG Count, MI_POOL_PAGE_STATE State, PVOID Owner)
{
    BOOLEAN Dirty = FALSE;
    PMI_POOL_PAGE Page;
    ULONG Index;

    if (Segment->FreePages == Segment->PageCount) {
        Segment->Heap->EmptySegments -= 1;
    }
    for (Index = First; Index < First + Count; Index += 1) {
        MI_ASSERT(!MipBit(Segment->Used, Index));
        Segment->Used[Index / 64] |= 1ull << (Index % 64);
        Dirty |= MipBit(Segment->Dirty, Index);
        Page = MipPage(Segment, Index);
        Page->State = (UCHAR)(State == MiPageRunLive && Index != First ? MiPageRunTail : State);
        Page->Owner = Owner;
        Page->Flags = 0;
        Page->Pages = Index == First ? Count : 0;
    }
    Segment->FreePages -= Count;
    Segment->Hint = (First + Count) % (ULONG)Segment->PageCount;
    return Dirty;
}

static PVOID
MipTakeRun(PMI_POOL_HEAP Heap, ULONG Count, MI_POOL_PAGE_STATE State, PVOID Owner, PBOOLEAN Dirty)
{
    PMI_POOL_SEGMENT Segment;
    PVOID Address = NULL;
    PLIST_ENTRY Entry;
    ULONG First, Limit;
    KIRQL OldIrql;

    OldIrql = KiAcquireRankedLockRaise(&Heap->Lock, LockRankPoolSegment);
    for (Entry = Heap->Segments.Flink; Entry != &Heap->Segments; Entry = Entry->Flink) {
        Segment = CONTAINING_RECORD(Entry, MI_POOL_SEGMENT, Entry);
        Limit = (ULONG)Segment->PageCount;
        if (Segment->Huge || Segment->FreePages < Count) {
            continue;
        }
        First = MipFindClearRun(Segment->Used, Segment->Hint, Limit, Count);
        if (First == Limit) {
            First = MipFindClearRun(Segment->Used, 0, Limit, Count);
        }
        if (First != Limit) {
            *Dirty = MipMarkRunLocked(Segment, First, Count, State, Owner);
            Address = Segment->Base + ((SIZE_T)First << PAGE_SHIFT);
            break;
        }
    }
    KiReleaseRankedLockLower(&Heap->Lock, OldIrql);
    return Address;
}

PVOID
MipAllocateRun(MI_POOL_KIND Kind, ULONG Node, SIZE_T PageCount, MI_POOL_PAGE_STATE State, PVOID Owner,
               PBOOLEAN Dirty)
{
    PVOID Address;

    MI_ASSERT(PageCount != 0 && PageCount <= MI_RUN_LIMIT);
    for (;;) {
        Address = MipTakeRun(&MiPoolHeaps[Kind][Node], (ULONG)PageCount, State, Owner, Dirty);
        if (Address != NULL || !MipAddSegment(Kind, Node, PageCount)) {
            return Address;
        }
    }
}

VOID
MipFreeRun(PMI_POOL_SEGMENT Segment, PVOID Address, SIZE_T PageCount)
{
    PMI_POOL_HEAP Heap = Segment->Heap;
    SIZE_T First = MipPageIndex(Segment, Address), Index;
    BOOLEAN Reset = Segment->Kind == MiPoolPaged && PageCount >= MIP_RESET_PAGES;
    BOOLEAN Destroy = FALSE;
    PMI_POOL_PAGE Page;
    KIRQL OldIrql;

    if (Reset) {
        MiDeletePageableRange(Address, PageCount);
        MiMakeDemandZeroRange(Address, PageCount, MM_READWRITE, MiUsePagedPool);
    }
    OldIrql = KiAcquireRankedLockRaise(&Heap->Lock, LockRankPoolSegment);
    for (Index = First; Index < First + PageCount; Index += 1) {
        MI_ASSERT(MipBit(Segment->Used, Index));
        Segment->Used[Index / 64] &= ~(1ull << (Index % 64));
        Page = MipPage(Segment, Index);
        Page->Flags = Page->State == MiPageRunHeld || Page->State == MiPageRunLive ? MI_PAGE_FREED_HEAD : 0;
        Page->State = MiPageFree;
        Page->Owner = NULL;
        MipSetPageDirtyLocked(Segment, Index, !Reset);
    }
    Segment->FreePages += (ULONG)PageCount;
    if (Segment->FreePages == Segment->PageCount) {
        if (Heap->EmptySegments != 0 && __atomic_load_n(&MipPins, __ATOMIC_SEQ_CST) == 0) {
            RemoveEntryList(&Segment->Entry);
            Destroy = TRUE;
        } else {
            Heap->EmptySegments += 1;
        }
    }
    KiReleaseRankedLockLower(&Heap->Lock, OldIrql);
    if (Destroy) {
        MipDestroySegment(Segment);
    }
}

/* --- Huge blocks ------------------------------------------------------------------------------ */

PMI_POOL_SEGMENT
MipAllocateHuge(MI_POOL_KIND Kind, ULONG Node, SIZE_T PageCount, BOOLEAN Zero)
{
    PMI_POOL_SEGMENT Segment = MipMakeSegment(Kind, Node, PageCount, TRUE, Zero);
    PMI_POOL_HEAP Heap = &MiPoolHeaps[Kind][Node];
    KIRQL OldIrql;

    if (Segment != NULL) {
        OldIrql = KiAcquireRankedLockRaise(&Heap->Lock, LockRankPoolSegment);
        InsertTailList(&Heap->Segments, &Segment->Entry);
        KiReleaseRankedLockLower(&Heap->Lock, OldIrql);
    }
    return Segment;
}

VOID
MipFreeHuge(PMI_POOL_SEGMENT Segment)
{
    PMI_POOL_HEAP Heap = Segment->Heap;
    KIRQL OldIrql;

    OldIrql = KiAcquireRankedLockRaise(&Heap->Lock, LockRankPoolSegment);
    if (__atomic_load_n(&MipPins, __ATOMIC_SEQ_CST) == 0) {
        RemoveEntryList(&Segment->Entry);
    } else {
        MipPage(Segment, 0)->State = MiPageFree; /* an enumeration runs: MipUnpinSegments takes it */
        Segment = NULL;
    }
    KiReleaseRankedLockLower(&Heap->Lock, OldIrql);
    if (Segment != NULL) {
        MipDestroySegment(Segment);
    }
}

/* --- Pins and trimming -----------------------------------------------------------------------------------
 */

VOID
MipPinSegments(VOID)
{
    ULONG Kind, Node;
    KIRQL OldIrql;

    __atomic_fetch_add(&MipPins, 1, __ATOMIC_SEQ_CST);
    /* Whoever decided to destroy a segment before the pin was seen has unlinked it once its lock was ours. */
    for (Kind = 0; Kind < MiPoolKinds; Kind += 1) {
        for (Node = 0; Node < MiPoolNodeCount; Node += 1) {
            OldIrql = KiAcquireRankedLockRaise(&MiPoolHeaps[Kind][Node].Lock, LockRankPoolSegment);
            KiReleaseRankedLockLower(&MiPoolHeaps[Kind][Node].Lock, OldIrql);
        }
    }
}

/* Unlink one segment that has no block any more: a freed huge one, or (All) a wholly free one. */
static PMI_POOL_SEGMENT
MipTakeDeadSegment(PMI_POOL_HEAP Heap, BOOLEAN All)
{
    PMI_POOL_SEGMENT Segment, Found = NULL;
    PLIST_ENTRY Entry;
    KIRQL OldIrql;

    OldIrql = KiAcquireRankedLockRaise(&Heap->Lock, LockRankPoolSegment);
    if (__atomic_load_n(&MipPins, __ATOMIC_SEQ_CST) == 0) {
        for (Entry = Heap->Segments.Flink; Entry != &Heap->Segments; Entry = Entry->Flink) {
            Segment = CONTAINING_RECORD(Entry, MI_POOL_SEGMENT, Entry);
            if (Segment->Huge) {
                if (MipPage(Segment, 0)->State == MiPageFree &&
                    MipPage(Segment, 0)->Flags == MI_PAGE_FREED_HEAD) {
                    Found = Segment;
                    break;
                }
            } else if (Segment->FreePages == Segment->PageCount && (All || Heap->EmptySegments > 1)) {
                Heap->EmptySegments -= 1;
                Found = Segment;
                break;
            }
        }
        if (Found != NULL) {
            RemoveEntryList(&Found->Entry);
        }
    }
    KiReleaseRankedLockLower(&Heap->Lock, OldIrql);
    return Found;
}

static VOID
MipDestroyDeadSegments(MI_POOL_KIND Kind, BOOLEAN All)
{
    PMI_POOL_SEGMENT Segment;
    ULONG Node;

    for (Node = 0; Node < MiPoolNodeCount; Node += 1) {
        while ((Segment = MipTakeDeadSegment(&MiPoolHeaps[Kind][Node], All)) != NULL) {
            MipDestroySegment(Segment);
        }
    }
}

VOID
MipUnpinSegments(VOID)
{
    ULONG Kind;

    if (__atomic_sub_fetch(&MipPins, 1, __ATOMIC_SEQ_CST) == 0) {
        for (Kind = 0; Kind < MiPoolKinds; Kind += 1) {
            MipDestroyDeadSegments((MI_POOL_KIND)Kind, FALSE);
        }
    }
}

VOID
MipTrimSegments(MI_POOL_KIND Kind)
{
    MipDestroyDeadSegments(Kind, TRUE);
}
