/*
 * Looking at the pools from outside: which block is at an address, all live blocks, the validator.
 *
 * A walk pins the segments, so that their records and pages stay, and copies a span's record under
 * the heap lock, without which no span leaves its pages; slots are then looked at with no lock held.
 * What a slot holds is decided by its sealed header: a slot in a magazine or in quarantine has a free
 * one. Blocks that come and go meanwhile may be seen or not. Paged slots can fault: <= APC_LEVEL.
 */
#include "poolp.h"

/* --- Describing ------------------------------------------------------------------------------- */

/* Contents: a copy of the header that was found whole. */
static VOID
MipDescribeSlot(PMI_POOL_SEGMENT Segment, PPOOL_HEADER Header, const POOL_HEADER *Contents,
                PMI_POOL_BLOCK Block)
{
    ULONG64 Payload = MipUnseal(Header, Contents, FALSE);
    ULONG Type = (Contents->PoolType & ~MI_TYPE_QUOTA) - 1u;

    *Block = (MI_POOL_BLOCK){.Address = Header + 1,
                             .Size = MipHeaderSize(Contents),
                             .Tag = Contents->PoolTag,
                             .PoolType = Type | (Segment->Kind == MiPoolNonPagedNx ? NonPagedPoolNx : 0),
                             .StackId = MipHeaderStack(Payload),
                             .Image = Contents->Image,
                             .Process = (Contents->PoolType & MI_TYPE_QUOTA) ? MipPayloadProcess(Payload) : NULL};
}

static VOID
MipDescribePage(PMI_POOL_PAGE Page, PVOID Address, PMI_POOL_BLOCK Block)
{
    *Block = (MI_POOL_BLOCK){.Address = Address,
                             .Size = Page->Size,
                             .Tag = Page->Tag,
                             .PoolType = Page->PoolType,
                             .StackId = Page->StackId,
                             .Image = (Page->Flags & MI_PAGE_IMAGE) != 0};
}

/* --- One block -------------------------------------------------------------------------------- */

/* The live header of the slot around an address in a span. */
static PPOOL_HEADER
MipHeaderAround(PMI_POOL_PAGE Page, PVOID Address, PPOOL_HEADER Contents)
{
    PMI_POOL_SPAN Span = Page->Owner;
    ULONG InPage = (ULONG)((ULONG_PTR)Address & (PAGE_SIZE - 1));
    ULONG Slot = InPage / Span->SlotSize;

    if (Slot >= Span->SlotsPerPage) {
        return NULL;
    }
    return MipLiveHeader((PUCHAR)Address - InPage + (SIZE_T)Slot * Span->SlotSize, Span->SlotSize, Contents);
}

/* The record of the first page of the live block of pages around an address. */
static PMI_POOL_PAGE
MipPageAround(PMI_POOL_SEGMENT Segment, PVOID Address, PVOID *Start)
{
    SIZE_T Index = Segment->Huge ? 0 : MipPageIndex(Segment, Address);
    PMI_POOL_PAGE Page = MipPage(Segment, Index);

    while (Page->State == MiPageRunTail && Index != 0) {
        Index -= 1;
        Page = MipPage(Segment, Index);
    }
    *Start = Segment->Base + (Index << PAGE_SHIFT);
    return Page->State == MiPageRunLive || Page->State == MiPageSlotLive ? Page : NULL;
}

BOOLEAN
MiFindPoolBlock(PVOID Address, PMI_POOL_BLOCK Block)
{
    PMI_POOL_SEGMENT Segment = MipSegmentOf(Address);
    POOL_HEADER Contents;
    PPOOL_HEADER Header;
    PMI_POOL_PAGE Page;
    PVOID Start;

    if (Segment == NULL) {
        return MipFindSpecialBlock(Address, Block);
    }
    if (MipPageIndex(Segment, Address) >= Segment->PageCount) {
        return FALSE;
    }
    if (!Segment->Huge && MipPage(Segment, MipPageIndex(Segment, Address))->State == MiPageSpan) {
        Header = MipHeaderAround(MipPage(Segment, MipPageIndex(Segment, Address)), Address, &Contents);
        if (Header == NULL) {
            return FALSE;
        }
        MipDescribeSlot(Segment, Header, &Contents, Block);
    } else {
        Page = MipPageAround(Segment, Address, &Start);
        if (Page == NULL) {
            return FALSE;
        }
        MipDescribePage(Page, Start, Block);
    }
    return (ULONG_PTR)Address - (ULONG_PTR)Block->Address < MAX(Block->Size, 1);
}

VOID
MipMarkBlock(PVOID Address)
{
    PMI_POOL_SEGMENT Segment = MipSegmentOf(Address);
    POOL_HEADER Contents;
    PPOOL_HEADER Header;
    PMI_POOL_PAGE Page;
    ULONG64 Payload;
    PVOID Start;

    if (Segment == NULL) {
        MipMarkSpecialBlock(Address);
        return;
    }
    if (MipPageIndex(Segment, Address) >= Segment->PageCount) {
        return;
    }
    if (!Segment->Huge && MipPage(Segment, MipPageIndex(Segment, Address))->State == MiPageSpan) {
        Header = MipHeaderAround(MipPage(Segment, MipPageIndex(Segment, Address)), Address, &Contents);
        if (Header != NULL) {
            Payload = MipUnseal(Header, &Contents, FALSE);
            if (Payload < MI_PAYLOAD_CARE) {
                MipSealPayload(Header, Payload | MI_PAYLOAD_CARE, FALSE);
            }
        }
        return;
    }
    Page = MipPageAround(Segment, Address, &Start);
    if (Page != NULL) {
        Page->Flags |= MI_PAGE_LOOKASIDE;
    }
}

/* --- All blocks ------------------------------------------------------------------------------- */

typedef struct _MIP_WALK {
    BOOLEAN (*Visitor)(const MI_POOL_BLOCK *Block, PVOID Context);
    PVOID Context;
} MIP_WALK;

/*
 * Copy the span that begins at a page, if one does. The heap lock keeps it on its pages, the class lock its
 * bitmap still; a span is whole once its class has seen it (MipGrowClass), and before that no slot of it is
 * in use.
 */
static BOOLEAN
MipCopySpan(PMI_POOL_SEGMENT Segment, SIZE_T Index, PMI_POOL_SPAN Copy)
{
    PMI_POOL_PAGE Page = MipPage(Segment, Index);
    PMI_POOL_CLASS Class;
    BOOLEAN Found = FALSE;
    PMI_POOL_SPAN Span;
    KIRQL OldIrql;

    OldIrql = KiAcquireRankedLockRaise(&Segment->Heap->Lock, LockRankPoolSegment);
    if (Page->State == MiPageSpan) {
        Span = Page->Owner;
        Class = &MiPoolClasses[Segment->Kind][Segment->Node][Span->Class];
        KiAcquireRankedLock(&Class->Lock, LockRankPoolClass);
        *Copy = *Span;
        KiReleaseRankedLock(&Class->Lock);
        Found = Copy->Base == Segment->Base + (Index << PAGE_SHIFT);
    }
    KiReleaseRankedLockLower(&Segment->Heap->Lock, OldIrql);
    return Found;
}

static BOOLEAN
MipWalkSpan(PMI_POOL_SEGMENT Segment, const MI_POOL_SPAN *Span, const MIP_WALK *Walk)
{
    MI_POOL_BLOCK Block;
    POOL_HEADER Contents;
    PPOOL_HEADER Header;
    ULONG Index;

    for (Index = 0; Index < Span->Slots; Index += 1) {
        if ((Span->Free[Index / 64] >> (Index % 64)) & 1) {
            continue;
        }
        Header = MipLiveHeader(MipSlotAddress(Span, Index), Span->SlotSize, &Contents);
        if (Header != NULL) {
            MipDescribeSlot(Segment, Header, &Contents, &Block);
            if (!Walk->Visitor(&Block, Walk->Context)) {
                return FALSE;
            }
        }
    }
    return TRUE;
}

static BOOLEAN
MipWalkSegment(PMI_POOL_SEGMENT Segment, const MIP_WALK *Walk)
{
    SIZE_T Count = Segment->Huge ? 1 : Segment->PageCount;
    MI_POOL_BLOCK Block;
    MI_POOL_SPAN Span;
    PMI_POOL_PAGE Page;
    SIZE_T Index;

    for (Index = 0; Index < Count; Index += 1) {
        Page = MipPage(Segment, Index);
        switch (__atomic_load_n(&Page->State, __ATOMIC_ACQUIRE)) {
        case MiPageSlotLive:
        case MiPageRunLive:
            MipDescribePage(Page, Segment->Base + (Index << PAGE_SHIFT), &Block);
            if (!Walk->Visitor(&Block, Walk->Context)) {
                return FALSE;
            }
            break;
        case MiPageSpan:
            if (MipCopySpan(Segment, Index, &Span) && !MipWalkSpan(Segment, &Span, Walk)) {
                return FALSE;
            }
            break;
        default:
            break;
        }
    }
    return TRUE;
}

/* --- What was written to after it was freed ---------------------------------------------------- */

typedef struct _MIP_CHANGED {
    VOID (*Visitor)(const MI_POOL_BLOCK *Block, const UCHAR *Changed, PVOID Context);
    PVOID Context;
} MIP_CHANGED;

/* The slot of a free block that was filled. */
static VOID
MipFindChangedSlot(PMI_POOL_SEGMENT Segment, PPOOL_HEADER Header, ULONG SlotSize, const MIP_CHANGED *Walk)
{
    const UCHAR *Other;
    MI_POOL_BLOCK Block;

    if ((Header->Word == 0 && Header->Sealed == 0) || !Header->Filled || MipBinSlotSize(Header->Bin) != SlotSize ||
        !MipIsFreeHeader(Header)) {
        return;
    }
    Other = MipFindOther(Header + 1, SlotSize - MI_HEADER_SIZE, MI_FREE_BYTE);
    if (Other != NULL) {
        Block = (MI_POOL_BLOCK){.Address = Header + 1,
                                .Size = SlotSize - MI_HEADER_SIZE,
                                .Tag = Header->PoolTag,
                                .PoolType = Segment->Kind == MiPoolPaged ? PagedPool : NonPagedPoolNx,
                                .StackId = MipHeaderStack(MipUnseal(Header, Header, TRUE)),
                                .Image = Header->Image};
        Walk->Visitor(&Block, Other, Walk->Context);
    }
}

static VOID
MipFindChangedPages(PMI_POOL_PAGE Page, PVOID Address, SIZE_T Bytes, const MIP_CHANGED *Walk)
{
    const UCHAR *Other = Page->Flags & MI_PAGE_FILLED ? MipFindOther(Address, Bytes, MI_FREE_BYTE) : NULL;
    MI_POOL_BLOCK Block;

    if (Other != NULL) {
        MipDescribePage(Page, Address, &Block);
        Walk->Visitor(&Block, Other, Walk->Context);
    }
}

static VOID
MipFindChangedInSpan(PMI_POOL_SEGMENT Segment, const MI_POOL_SPAN *Span, const MIP_CHANGED *Walk)
{
    for (ULONG Index = 0; Index < Span->Slots; Index += 1) {
        MipFindChangedSlot(Segment, (PPOOL_HEADER)MipSlotAddress(Span, Index), Span->SlotSize, Walk);
    }
}

static VOID
MipFindChangedInSegment(PMI_POOL_SEGMENT Segment, const MIP_CHANGED *Walk)
{
    MI_POOL_SPAN Span;

    for (SIZE_T Index = 0; !Segment->Huge && Index < Segment->PageCount; Index += 1) {
        PMI_POOL_PAGE Page = MipPage(Segment, Index);
        PUCHAR Address = Segment->Base + (Index << PAGE_SHIFT);

        switch (Page->State) {
        case MiPageSlotFree:
            MipFindChangedPages(Page, Address, PAGE_SIZE, Walk);
            break;
        case MiPageRunHeld:
            MipFindChangedPages(Page, Address, (SIZE_T)Page->Pages << PAGE_SHIFT, Walk);
            break;
        case MiPageSpan:
            if (MipCopySpan(Segment, Index, &Span) && Span.Class != MI_PAGE_CLASS) {
                MipFindChangedInSpan(Segment, &Span, Walk);
            }
            break;
        default:
            break;
        }
    }
}

/* The segment after this one (NULL: the first); pinned segments do not go away. */
static PMI_POOL_SEGMENT
MipNextSegment(PMI_POOL_HEAP Heap, PMI_POOL_SEGMENT Segment)
{
    PLIST_ENTRY Entry;
    KIRQL OldIrql;

    OldIrql = KiAcquireRankedLockRaise(&Heap->Lock, LockRankPoolSegment);
    Entry = Segment == NULL ? Heap->Segments.Flink : Segment->Entry.Flink;
    KiReleaseRankedLockLower(&Heap->Lock, OldIrql);
    return Entry == &Heap->Segments ? NULL : CONTAINING_RECORD(Entry, MI_POOL_SEGMENT, Entry);
}

static BOOLEAN
MipWalkHeap(PMI_POOL_HEAP Heap, const MIP_WALK *Walk)
{
    PMI_POOL_SEGMENT Segment = NULL;

    while ((Segment = MipNextSegment(Heap, Segment)) != NULL) {
        if (!MipWalkSegment(Segment, Walk)) {
            return FALSE;
        }
    }
    return TRUE;
}

VOID
MiEnumeratePool(BOOLEAN (*Visitor)(const MI_POOL_BLOCK *Block, PVOID Context), PVOID Context,
                BOOLEAN NonPagedOnly)
{
    MIP_WALK Walk = {Visitor, Context};
    BOOLEAN More = TRUE;
    ULONG Kind, Node;

    MipPinSegments();
    for (Kind = 0; Kind < MiPoolKinds && More; Kind += 1) {
        for (Node = 0; Node < MiPoolNodeCount && More; Node += 1) {
            if (Kind != MiPoolPaged || !NonPagedOnly) {
                More = MipWalkHeap(&MiPoolHeaps[Kind][Node], &Walk);
            }
        }
    }
    MipUnpinSegments();
    if (More) {
        MipEnumerateSpecial(Visitor, Context);
    }
}

VOID
MiEnumerateChanged(VOID (*Visitor)(const MI_POOL_BLOCK *Block, const UCHAR *Changed, PVOID Context), PVOID Context)
{
    MIP_CHANGED Walk = {Visitor, Context};

    MipPinSegments();
    for (ULONG Kind = 0; Kind < MiPoolKinds; Kind += 1) {
        for (ULONG Node = 0; Node < MiPoolNodeCount; Node += 1) {
            PMI_POOL_SEGMENT Segment = NULL;

            while ((Segment = MipNextSegment(&MiPoolHeaps[Kind][Node], Segment)) != NULL) {
                MipFindChangedInSegment(Segment, &Walk);
            }
        }
    }
    MipUnpinSegments();
}

VOID
MiQueryPoolUsage(PMI_POOL_USAGE Usage)
{
    Usage->NonPagedPages = __atomic_load_n(&MiPoolPages[MiPoolNonPagedNx], __ATOMIC_RELAXED) +
                           __atomic_load_n(&MiPoolPages[MiPoolNonPagedExecute], __ATOMIC_RELAXED);
    Usage->PagedPages = __atomic_load_n(&MiPoolPages[MiPoolPaged], __ATOMIC_RELAXED);
    Usage->SpecialPages = __atomic_load_n(&MiSpecialPages, __ATOMIC_RELAXED);
    Usage->MetadataPages = __atomic_load_n(&MiPoolMetaPages, __ATOMIC_RELAXED);
    Usage->PermanentPages = __atomic_load_n(&MiPoolPermanentPages, __ATOMIC_RELAXED);
}

/* --- The validator ---------------------------------------------------------------------------- */

/* A span: its bitmap, its pages, and every block in it. Called with the heap and class quiet. */
static VOID
MipValidateSpan(PMI_POOL_SEGMENT Segment, SIZE_T First, PMI_POOL_SPAN Span)
{
    ULONG Free = 0, Index;
    SIZE_T Page;

    NT_VERIFY(Span->Segment == Segment && Span->Base == Segment->Base + (First << PAGE_SHIFT));
    NT_VERIFY(Span->Class < MI_POOL_CLASSES && Span->SlotSize == MiSlotSize[Span->Class]);
    NT_VERIFY(Span->Slots == Span->Pages * Span->SlotsPerPage);
    for (Index = 0; Index < MI_SPAN_SLOTS / 64; Index += 1) {
        Free += (ULONG)__builtin_popcountll(Span->Free[Index]);
    }
    NT_VERIFY(Free == Span->FreeSlots);
    NT_VERIFY(Span->Listed == (Free != 0));
    for (Page = First; Page < First + Span->Pages; Page += 1) {
        NT_VERIFY(MipPage(Segment, Page)->Owner == Span);
    }
    if (Span->Class == MI_PAGE_CLASS) {
        for (Index = 0; Index < Span->Slots; Index += 1) {
            if ((Span->Free[Index / 64] >> (Index % 64)) & 1) {
                NT_VERIFY(MipPage(Segment, First + Index)->State == MiPageSlotFree);
            }
        }
    }
}

static BOOLEAN
MipPageIsUsed(PMI_POOL_SEGMENT Segment, SIZE_T Index)
{
    return (Segment->Used[Index / 64] >> (Index % 64)) & 1;
}

/* One run that begins at First: returns the page behind it. */
static SIZE_T
MipValidateRun(PMI_POOL_SEGMENT Segment, SIZE_T First)
{
    PMI_POOL_PAGE Page = MipPage(Segment, First);
    SIZE_T Index;

    if (Page->State == MiPageFree) {
        NT_VERIFY(!MipPageIsUsed(Segment, First));
        return First + 1;
    }
    NT_VERIFY(Page->State != MiPageRunTail);
    NT_VERIFY(Page->Pages != 0 && First + Page->Pages <= Segment->PageCount);
    for (Index = First; Index < First + Page->Pages; Index += 1) {
        NT_VERIFY(MipPageIsUsed(Segment, Index));
    }
    if (Page->Owner != NULL) {
        MipValidateSpan(Segment, First, Page->Owner);
    } else {
        NT_VERIFY(Page->State == MiPageRunLive || Page->State == MiPageRunHeld);
        NT_VERIFY(Page->State == MiPageRunHeld || Page->Size <= (SIZE_T)Page->Pages << PAGE_SHIFT);
    }
    return First + Page->Pages;
}

static VOID
MipValidateSegment(PMI_POOL_SEGMENT Segment)
{
    SIZE_T Index = 0, Used = 0;

    NT_VERIFY(MipSegmentOf(Segment->Base) == Segment);
    if (Segment->Huge) {
        NT_VERIFY(MipPage(Segment, 0)->State == MiPageFree || MipPage(Segment, 0)->State == MiPageRunLive);
        return;
    }
    for (Index = 0; Index < MI_POOL_SEGMENT_PAGES / 64; Index += 1) {
        Used += (SIZE_T)__builtin_popcountll(Segment->Used[Index]);
    }
    NT_VERIFY(Used + Segment->FreePages == Segment->PageCount);
    for (Index = 0; Index < Segment->PageCount;) {
        Index = MipValidateRun(Segment, Index);
    }
}

/* Pages, and how many segments are wholly free. */
static SIZE_T
MipValidateHeap(PMI_POOL_HEAP Heap)
{
    PMI_POOL_SEGMENT Segment = NULL;
    SIZE_T Pages = 0;
    ULONG Empty = 0;

    while ((Segment = MipNextSegment(Heap, Segment)) != NULL) {
        MipValidateSegment(Segment);
        Pages += Segment->PageCount;
        Empty += !Segment->Huge && Segment->FreePages == Segment->PageCount;
    }
    NT_VERIFY(Empty == Heap->EmptySegments);
    return Pages;
}

static VOID
MipValidateClass(MI_POOL_KIND Kind, ULONG Node, ULONG Class)
{
    PMI_POOL_CLASS Pool = &MiPoolClasses[Kind][Node][Class];
    ULONG Empty = 0, Full = 0;
    PMI_MAGAZINE Magazine;
    PLIST_ENTRY Entry;
    KIRQL OldIrql;

    OldIrql = KiAcquireRankedLockRaise(&Pool->Lock, LockRankPoolClass);
    for (Entry = Pool->Spans.Flink; Entry != &Pool->Spans; Entry = Entry->Flink) {
        PMI_POOL_SPAN Span = CONTAINING_RECORD(Entry, MI_POOL_SPAN, Entry);

        NT_VERIFY(Span->Class == Class && Span->Listed && Span->FreeSlots != 0);
        Empty += Span->FreeSlots == Span->Slots;
    }
    for (Magazine = Pool->Full; Magazine != NULL; Magazine = Magazine->Next) {
        NT_VERIFY(Magazine->Count == MipMagazineRounds(Class));
        Full += 1;
    }
    NT_VERIFY(Empty == Pool->EmptySpans && Full == Pool->FullCount);
    KiReleaseRankedLockLower(&Pool->Lock, OldIrql);
}

/* What a processor has of a class: slots of its spans, and none of them a live block. */
static VOID
MipValidateBin(PMI_POOL_CACHE Cache, ULONG Bin)
{
    PMI_POOL_BIN Place = &Cache->Bins[Bin];
    PVOID *Bottom = Place->Loaded == NULL ? &Cache->Nothing : &Place->Loaded->Bottom;
    PMI_POOL_SEGMENT Segment;
    PMI_POOL_PAGE Page;
    PVOID *Round;

    NT_VERIFY(*Bottom == NULL && Place->Top >= Bottom && Place->Top <= Place->Limit);
    NT_VERIFY(Place->Loaded != NULL || Place->Limit == Bottom);
    for (Round = Place->Top; Round != Bottom; Round -= 1) {
        Segment = MipSegmentOf(*Round);
        NT_VERIFY(Segment != NULL && Segment->Kind == MipBinKind(Bin) && Segment->Node == Cache->Node);
        Page = MipPage(Segment, MipPageIndex(Segment, *Round));
        NT_VERIFY(Page->Owner != NULL && ((PMI_POOL_SPAN)Page->Owner)->SlotSize == MipBinSlotSize(Bin));
        if (Page->State == MiPageSlotFree || Segment->Kind == MiPoolPaged) {
            continue;
        }
        NT_VERIFY(Page->State == MiPageSpan);
        NT_VERIFY(((PPOOL_HEADER)*Round)->Word == 0 || MipIsFreeHeader(*Round));
    }
}

static VOID
MipValidateCaches(VOID)
{
    PMI_POOL_CACHE Cache;
    ULONG Number, Bin;

    for (Number = 0; Number < HalProcessorCount(); Number += 1) {
        Cache = HalProcessorPcr(Number)->Slots.PoolCache;
        for (Bin = 1; Cache != NULL && Bin < MI_POOL_BINS; Bin += 1) {
            MipValidateBin(Cache, Bin);
        }
    }
}

/* A live block is where its description says, and found from its first and its last byte. */
static BOOLEAN
MipValidateBlock(const MI_POOL_BLOCK *Block, PVOID Context)
{
    MI_POOL_BLOCK Again;

    UNREFERENCED_PARAMETER(Context);
    NT_VERIFY(MiFindPoolBlock(Block->Address, &Again) && Again.Address == Block->Address);
    if (Block->Size != 0) {
        NT_VERIFY(MiFindPoolBlock((PUCHAR)Block->Address + Block->Size - 1, &Again));
        NT_VERIFY(Again.Address == Block->Address && Again.Size == Block->Size);
    }
    NT_VERIFY(((ULONG_PTR)Block->Address & 15) == 0 && Block->Tag != 0);
    return TRUE;
}

/*
 * Walk every structure of the pools while nothing else uses them, <= APC_LEVEL; stops with what is wrong.
 * TRUE otherwise.
 */
BOOLEAN
MiValidatePools(VOID)
{
    SIZE_T Pages;
    ULONG Kind, Node, Class;

    MipPinSegments();
    for (Kind = 0; Kind < MiPoolKinds; Kind += 1) {
        Pages = 0;
        for (Node = 0; Node < MiPoolNodeCount; Node += 1) {
            Pages += MipValidateHeap(&MiPoolHeaps[Kind][Node]);
            for (Class = 0; Class < MI_POOL_CLASSES; Class += 1) {
                MipValidateClass((MI_POOL_KIND)Kind, Node, Class);
            }
        }
        NT_VERIFY(Pages == MiPoolPages[Kind]);
    }
    MipValidateCaches();
    MipUnpinSegments();
    MipValidateSpecial();
    MiEnumeratePool(MipValidateBlock, NULL, FALSE);
    return TRUE;
}
