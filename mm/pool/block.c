/*
 * Blocks: what becomes of a slot or of pages when they are allocated and freed.
 *
 * A block of at most MI_SMALL_LIMIT bytes is a slot: [ skipped for alignment | header | block | slack ].
 * Its header is written and checked by the caller of the allocator, at the caller's IRQL, after the
 * slot has left the magazine and before it goes back, because a paged slot may fault.
 *
 *      virgin (zeros) --MipAllocateSmall--> live --MipFreeSlotBlock--> free --MipAllocateSmall--> live
 *
 * A free header stands at the slot's start whatever the block's alignment was, so that whoever looks
 * at a slot finds the truth there. With the verifier on, a free block is filled, and both header and
 * filling are checked before the slot is used again: bug check 0x19/0xD if someone wrote there.
 *
 * Blocks of pages have no header; the same facts are in the record of the first page, which is
 * nonpaged and out of reach of an overrun.
 */
#include "poolp.h"

ULONG64 MiPoolSecret;

/* Are these eight words all the pattern? No word has a bit that the pattern has not, and none lacks one. */
static inline BOOLEAN
MipAreAll(const ULONG64 *Word, ULONG64 Pattern)
{
    ULONG64 All = Word[0] & Word[1] & Word[2] & Word[3] & Word[4] & Word[5] & Word[6] & Word[7];
    ULONG64 Any = Word[0] | Word[1] | Word[2] | Word[3] | Word[4] | Word[5] | Word[6] | Word[7];

    return All == Pattern && Any == Pattern;
}

PUCHAR
MipFindOther(PVOID Address, SIZE_T Size, UCHAR Fill)
{
    ULONG64 Pattern = Fill * 0x0101010101010101ull;
    PUCHAR Byte = Address, End = Byte + Size;

    while (Byte < End && ((ULONG_PTR)Byte & 7) != 0) {
        if (*Byte != Fill) {
            return Byte;
        }
        Byte += 1;
    }
    while (Byte + 64 <= End && MipAreAll((const ULONG64 *)Byte, Pattern)) {
        Byte += 64;
    }
    while (Byte + 8 <= End && *(ULONG64 *)Byte == Pattern) {
        Byte += 8;
    }
    while (Byte < End) {
        if (*Byte != Fill) {
            return Byte;
        }
        Byte += 1;
    }
    return NULL;
}

/* --- Headers ---------------------------------------------------------------------------------- */

BOOLEAN
MipQuotaIsWhole(ULONG64 Payload)
{
    PVOID Process = MipPayloadProcess(Payload);

    return Process != NULL && MiPoolQuota != NULL && MiPoolQuota->IsProcess(Process);
}

PPOOL_HEADER
MipLiveHeader(PVOID Slot, ULONG SlotSize, PPOOL_HEADER Contents)
{
    PPOOL_HEADER Header = Slot;
    ULONG Shift;

    for (Shift = 0; Shift < 4 && (Shift + 1) * 16 <= SlotSize; Shift += 1, Header += 1) {
        Contents->Word = __atomic_load_n(&Header->Word, __ATOMIC_RELAXED);
        Contents->Sealed = __atomic_load_n(&Header->Sealed, __ATOMIC_RELAXED);
        if (Contents->Shift == Shift && MipBinSlotSize(Contents->Bin) == SlotSize &&
            MipContentsAreWhole(Contents, MipUnseal(Header, Contents, FALSE))) {
            return Header;
        }
    }
    return NULL;
}

/* A slot about to be used: its header must be clean or that of a free block, and what was filled must still
 * be. */
static VOID
MipCheckFreeSlot(PPOOL_HEADER Header, ULONG SlotSize)
{
    PUCHAR Other;

    if (Header->Word == 0 && Header->Sealed == 0) {
        return;
    }
    if (MipBinSlotSize(Header->Bin) != SlotSize || !MipIsFreeHeader(Header)) {
        KeBugCheckEx(BAD_POOL_HEADER, 0xD, (ULONG_PTR)(Header + 1), (ULONG_PTR)Header, Header->Word);
    }
    if (Header->Filled) {
        Other = MipFindOther(Header + 1, SlotSize - MI_HEADER_SIZE, MI_FREE_BYTE);
        if (Other != NULL) {
            KeBugCheckEx(BAD_POOL_HEADER, 0xD, (ULONG_PTR)(Header + 1), (ULONG_PTR)Other, *Other);
        }
    }
}

/* --- Slots ------------------------------------------------------------------------------------ */

/* Memory of that very node, and not of the one whose cache this is: straight from the class. */
static PVOID
MipTakeForeignSlot(const MI_POOL_REQUEST *Request, ULONG Class)
{
    PMI_POOL_CLASS Pool = &MiPoolClasses[Request->Kind][Request->Node][Class];
    PVOID Slot;

    KiAcquireRankedLock(&Pool->Lock, LockRankPoolClass);
    if (MipTakeSlotsLocked(Pool, 1, &Slot) == 0) {
        Slot = NULL;
    }
    KiReleaseRankedLock(&Pool->Lock);
    return Slot;
}

/* A slot of a class, charged to the tag, if there is one. *Node: whose. */
static inline PVOID
MipTakeSlot(const MI_POOL_REQUEST *Request, ULONG Class, PULONG Node)
{
    KIRQL OldIrql = KiRaiseIrqlToDispatch();
    PMI_POOL_CACHE Cache = MipCurrentCache();
    ULONG Bin = MipBin(Request->Kind, Class);
    PVOID Slot;

    *Node = Request->AnyNode ? Cache->Node : Request->Node;
    if (__builtin_expect(*Node == Cache->Node, 1)) {
        Slot = MipPop(Cache, Bin);
    } else {
        Slot = MipTakeForeignSlot(Request, Class);
    }
    if (__builtin_expect(Slot != NULL, 1)) {
        MipCountSlot(Cache, Bin, Request->Tag, FALSE);
    }
    KiLowerIrql(OldIrql);
    return Slot;
}

/* The class of that node is empty: grow it, and as a last resort empty this processor's cache. */
static DECLSPEC_NOINLINE PVOID
MipGetSlotSlow(const MI_POOL_REQUEST *Request, ULONG Class, ULONG Node)
{
    BOOLEAN Flushed = FALSE;
    PVOID Slot;

    do {
        if (!MipGrowClass(Request->Kind, Node, Class)) {
            if (Flushed) {
                return NULL;
            }
            MipFlushCache(Request->Kind);
            Flushed = TRUE;
        }
        Slot = MipTakeSlot(Request, Class, &Node);
    } while (Slot == NULL);
    return Slot;
}

static inline PVOID
MipGetSlot(const MI_POOL_REQUEST *Request, ULONG Class)
{
    ULONG Node;
    PVOID Slot = MipTakeSlot(Request, Class, &Node);

    return __builtin_expect(Slot != NULL, 1) ? Slot : MipGetSlotSlow(Request, Class, Node);
}

static inline ULONG64
MipWordFlags(BOOLEAN Image)
{
    return (Image ? MI_WORD_IMAGE : 0) | (MiPoolVerify ? MI_WORD_FILLED : 0);
}

PVOID
MipAllocateSmall(const MI_POOL_REQUEST *Request, PVOID Process, SIZE_T SlotBytes, ULONG StackId, BOOLEAN Image)
{
    ULONG Class = MiClassOfUnits[SlotBytes / 16];
    ULONG SlotSize = MiSlotSize[Class];
    PPOOL_HEADER Header = MipGetSlot(Request, Class);
    ULONG Type = ((Request->PoolType & 0x27) + 1) | (Process != NULL ? MI_TYPE_QUOTA : 0);
    ULONG Shift = 0;
    ULONG Slack;

    if (Header == NULL) {
        return NULL;
    }
    if (MiPoolVerify) {
        MipCheckFreeSlot(Header, SlotSize);
    }
    if (Request->CacheAligned) {
        Shift = (ULONG)(0 - ((ULONG_PTR)Header + MI_HEADER_SIZE)) % 64 / 16;
        if (Shift != 0) {
            MipClearHeader(Header);
        }
        Header += Shift;
    }
    Slack = SlotSize - (Shift + 1) * 16 - (ULONG)Request->Size;
    MipStoreWord(Header, MI_HEADER_WORD(Slack, MipWordFlags(Image), Shift, MipBin(Request->Kind, Class), Type,
                                        Request->Tag));
    MipSealHeader(Header, Process, StackId);
    if (Request->Zero) {
        __builtin_memset(Header + 1, 0, Request->Size);
    }
    if (MiPoolVerify) {
        __builtin_memset((PUCHAR)(Header + 1) + Request->Size, MI_SLACK_BYTE, Slack);
    }
    return Header + 1;
}

/*
 * The request that most callers make where fast.c cannot serve it: the verifier is on, an image asks, the tag is
 * not the bin's. No quota, no alignment, any node, a size below a page; from a magazine of this processor that is
 * not empty. Type: what is recorded, plus 1. NULL: the long way decides.
 */
PVOID
MipAllocateFromMagazine(MI_POOL_KIND Kind, ULONG Type, SIZE_T Size, ULONG Tag, BOOLEAN Zero)
{
    ULONG Class = MiClassOfUnits[(Size + MI_HEADER_SIZE + 15) / 16];
    ULONG SlotSize = MiSlotSize[Class];
    ULONG Slack = SlotSize - MI_HEADER_SIZE - (ULONG)Size;
    ULONG Bin = MipBin(Kind, Class);
    KIRQL OldIrql = HalGetIrql();
    PMI_POOL_CACHE Cache;
    PPOOL_HEADER Header;
    BOOLEAN Image;
    ULONG StackId;

    if (OldIrql > (Kind == MiPoolPaged ? APC_LEVEL : DISPATCH_LEVEL)) {
        return NULL;
    }
    StackId = MipCaptureOwner(&Image);
    HalSetIrql(DISPATCH_LEVEL);
    Cache = MipCurrentCache();
    Header = *Cache->Bins[Bin].Top;
    if (__builtin_expect(Header == NULL, 0)) {
        KiLowerIrql(OldIrql);
        return NULL;
    }
    Cache->Bins[Bin].Top -= 1;
    MipCountSlot(Cache, Bin, Tag, FALSE);
    KiLowerIrql(OldIrql);
    if (MiPoolVerify) {
        MipCheckFreeSlot(Header, SlotSize);
        __builtin_memset((PUCHAR)(Header + 1) + Size, MI_SLACK_BYTE, Slack);
    }
    MipStoreWord(Header, MI_HEADER_WORD(Slack, MipWordFlags(Image), 0, Bin, Type, Tag));
    MipSealHeader(Header, NULL, StackId);
    if (Zero) {
        __builtin_memset(Header + 1, 0, Size);
    }
    return Header + 1;
}

/* --- Pages ------------------------------------------------------------------------------------ */

static VOID
MipCheckFilled(PMI_POOL_PAGE Page, PVOID Address, SIZE_T Bytes)
{
    PUCHAR Other;

    if (Page->Flags & MI_PAGE_FILLED) {
        Other = MipFindOther(Address, Bytes, MI_FREE_BYTE);
        if (Other != NULL) {
            KeBugCheckEx(BAD_POOL_HEADER, 0xD, (ULONG_PTR)Address, (ULONG_PTR)Other, *Other);
        }
    }
}

/* Write down whose block it is, and fill what is behind it. From here on it is live. */
static VOID
MipDescribePages(PMI_POOL_PAGE Page, PVOID Address, const MI_POOL_REQUEST *Request, ULONG StackId, BOOLEAN Image)
{
    SIZE_T Slack = (0 - Request->Size) & (PAGE_SIZE - 1);

    Page->Size = Request->Size;
    Page->Tag = Request->Tag;
    Page->StackId = StackId;
    Page->PoolType = (USHORT)Request->PoolType;
    Page->Flags = (Image ? MI_PAGE_IMAGE : 0) | (MiPoolVerify ? MI_PAGE_FILLED : 0);
    if (MiPoolVerify && Slack != 0) {
        __builtin_memset((PUCHAR)Address + Request->Size, MI_SLACK_BYTE, Slack);
    }
}

static PVOID
MipAllocatePage(const MI_POOL_REQUEST *Request, ULONG StackId, BOOLEAN Image)
{
    PVOID Address = MipGetSlot(Request, MI_PAGE_CLASS);
    PMI_POOL_SEGMENT Segment;
    PMI_POOL_PAGE Page;

    if (Address == NULL) {
        return NULL;
    }
    Segment = MipSegmentOf(Address);
    Page = MipPage(Segment, MipPageIndex(Segment, Address));
    MI_ASSERT(Page->State == MiPageSlotFree);
    MipCheckFilled(Page, Address, PAGE_SIZE);
    if (Request->Zero) {
        __builtin_memset(Address, 0, PAGE_SIZE);
    }
    MipDescribePages(Page, Address, Request, StackId, Image);
    __atomic_store_n(&Page->State, MiPageSlotLive, __ATOMIC_RELEASE);
    return Address;
}

/* Clear the pages of a run that are not known to be zero; clean ones of paged pool stay untouched. */
static VOID
MipZeroRun(PMI_POOL_SEGMENT Segment, PVOID Address, SIZE_T PageCount)
{
    SIZE_T First = MipPageIndex(Segment, Address), Index;

    for (Index = 0; Index < PageCount; Index += 1) {
        if (MipPageIsDirty(Segment, First + Index)) {
            __builtin_memset((PUCHAR)Address + (Index << PAGE_SHIFT), 0, PAGE_SIZE);
        }
    }
}

/* The node that a request for pages goes to: AnyNode means this processor's. */
static ULONG
MipRequestNode(const MI_POOL_REQUEST *Request)
{
    PMI_POOL_CACHE Cache = HalProcessorPcr(PcrRead32(Number))->Slots.PoolCache;

    return Request->AnyNode ? Cache->Node : Request->Node;
}

static PVOID
MipAllocatePageRun(const MI_POOL_REQUEST *Request, SIZE_T PageCount, ULONG StackId, BOOLEAN Image)
{
    ULONG Node = MipRequestNode(Request);
    PMI_POOL_SEGMENT Segment;
    BOOLEAN Dirty;
    PVOID Address;

    Address = MipAllocateRun(Request->Kind, Node, PageCount, MiPageRunLive, NULL, &Dirty);
    if (Address == NULL) {
        MipFlushCache(Request->Kind);
        Address = MipAllocateRun(Request->Kind, Node, PageCount, MiPageRunLive, NULL, &Dirty);
        if (Address == NULL) {
            return NULL;
        }
    }
    Segment = MipSegmentOf(Address);
    if (Request->Zero && Dirty) {
        MipZeroRun(Segment, Address, PageCount);
    }
    MipDescribePages(MipPage(Segment, MipPageIndex(Segment, Address)), Address, Request, StackId, Image);
    return Address;
}

static PVOID
MipAllocateHugeBlock(const MI_POOL_REQUEST *Request, SIZE_T PageCount, ULONG StackId, BOOLEAN Image)
{
    ULONG Node = MipRequestNode(Request);
    PMI_POOL_SEGMENT Segment = MipAllocateHuge(Request->Kind, Node, PageCount, Request->Zero);
    PMI_POOL_PAGE Page;

    if (Segment == NULL) {
        return NULL;
    }
    Page = MipPage(Segment, 0);
    MipDescribePages(Page, Segment->Base, Request, StackId, Image);
    __atomic_store_n(&Page->State, MiPageRunLive, __ATOMIC_RELEASE);
    return Segment->Base;
}

PVOID
MipAllocatePages(const MI_POOL_REQUEST *Request, ULONG StackId, BOOLEAN Image)
{
    SIZE_T PageCount = (Request->Size >> PAGE_SHIFT) + ((Request->Size & (PAGE_SIZE - 1)) != 0);
    PVOID Address;

    if (PageCount == 1) {
        return MipAllocatePage(Request, StackId, Image);
    }
    if (PageCount <= MI_RUN_LIMIT) {
        Address = MipAllocatePageRun(Request, PageCount, StackId, Image);
    } else {
        Address = MipAllocateHugeBlock(Request, PageCount, StackId, Image);
    }
    if (Address != NULL) {
        MipCountBytes(Request->Tag, Request->Kind == MiPoolPaged, PageCount << PAGE_SHIFT, FALSE);
    }
    return Address;
}

static VOID
MipFreePage(PMI_POOL_SEGMENT Segment, PMI_POOL_PAGE Page, PVOID Address)
{
    ULONG Bin = MipBin((MI_POOL_KIND)Segment->Kind, MI_PAGE_CLASS);
    ULONG Tag = Page->Tag;
    PMI_POOL_CACHE Cache;
    KIRQL OldIrql;

    Page->Flags = 0;
    if (MiPoolVerify) {
        __builtin_memset(Address, MI_FREE_BYTE, PAGE_SIZE);
        Page->Flags = MI_PAGE_FILLED;
    }
    __atomic_store_n(&Page->State, MiPageSlotFree, __ATOMIC_RELEASE);
    OldIrql = KiRaiseIrqlToDispatch();
    Cache = MipCurrentCache();
    MipCountSlot(Cache, Bin, Tag, TRUE);
    if (Segment->Node != Cache->Node) {
        MipReturnSlots(&Address, 1);
    } else if (MiPoolVerify) {
        MipHoldSlot(Cache, Bin, Address);
    } else {
        MipPush(Cache, Bin, Address);
    }
    KiLowerIrql(OldIrql);
}

VOID
MipReleaseHeldRun(PVOID Run)
{
    PMI_POOL_SEGMENT Segment = MipSegmentOf(Run);
    PMI_POOL_PAGE Page = MipPage(Segment, MipPageIndex(Segment, Run));
    SIZE_T PageCount = Page->Pages;

    MI_ASSERT(Page->State == MiPageRunHeld);
    MipCheckFilled(Page, Run, PageCount << PAGE_SHIFT);
    MipFreeRun(Segment, Run, PageCount);
}

VOID
MipFreePages(PMI_POOL_SEGMENT Segment, PMI_POOL_PAGE Page, PVOID Address)
{
    MI_POOL_KIND Kind = (MI_POOL_KIND)Segment->Kind;
    SIZE_T PageCount = Segment->Huge ? Segment->PageCount : Page->Pages;
    ULONG Tag = Page->Tag;
    KIRQL OldIrql;

    if (Page->State == MiPageSlotLive) {
        MipFreePage(Segment, Page, Address);
        return;
    }
    MipCountBytes(Tag, Kind == MiPoolPaged, PageCount << PAGE_SHIFT, TRUE);
    if (Segment->Huge) {
        Page->Flags = MI_PAGE_FREED_HEAD;
        MipFreeHuge(Segment);
        return;
    }
    if (MiPoolVerify && PageCount <= MI_RUN_FILL_PAGES) {
        __builtin_memset(Address, MI_FREE_BYTE, PageCount << PAGE_SHIFT);
        Page->Flags = MI_PAGE_FILLED;
        __atomic_store_n(&Page->State, MiPageRunHeld, __ATOMIC_RELEASE);
        OldIrql = KiRaiseIrqlToDispatch();
        Address = MipHoldRun(MipCurrentCache(), Kind, Address);
        KiLowerIrql(OldIrql);
        if (Address != NULL) {
            MipReleaseHeldRun(Address);
        }
        return;
    }
    MipFreeRun(Segment, Address, PageCount);
}
