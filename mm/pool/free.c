/*
 * Freeing: find what the pointer is, stop if it is not what the caller says, give it back.
 *
 * The segment table says whether there is pool at an address at all, the page's record what kind, and
 * for a slot the sealed header whether a block starts there; nothing is read at an address before the
 * table has vouched for it, so a wild pointer ends in a bug check that names it and not in a fault.
 *
 * What was wrong decides the bug check (documents: bug checks 0xC2, 0x19, 0xC4):
 *      NULL 0xC2/46, user address 40, outside every pool 42, nonpaged pool but not allocated 41 (a page is
 *      there) or 44 (none), paged pool but not allocated 50, freed before 7, inside a block 99 (paged
 *      41286), wrong IRQL 9, wrong tag A; header overwritten 0x19/20, bytes behind the block 0x19/21;
 *      a live lookaside list inside 0xC4/CC.
 */
#include "poolp.h"
#include <ntexport.h>

/* --- Pointers that are no blocks -------------------------------------------------------------- */

/* Bug check for an address at which no page of the pools is allocated. */
static VOID DECLSPEC_NORETURN
MipStopForUnallocated(PVOID Address)
{
    MI_SYSTEM_REGION Region;
    ULONG_PTR Start, End;
    PFN_NUMBER Frame;

    if (MiRegionOf(Address, &Region)) {
        MiRegionBounds(Region, &Start, &End);
        if (Region == MiRegionNonPagedPool) {
            Frame = MiTranslate(Address, NULL);
            if (Frame == MI_NO_FRAME) {
                KeBugCheckEx(BAD_POOL_CALLER, 0x44, (ULONG_PTR)Address, 0, 0);
            }
            KeBugCheckEx(BAD_POOL_CALLER, 0x41, (ULONG_PTR)Address, Frame, 0);
        }
        if (Region == MiRegionPagedPool) {
            KeBugCheckEx(BAD_POOL_CALLER, 0x50, (ULONG_PTR)Address,
                         ((ULONG_PTR)Address - Start) >> PAGE_SHIFT, End - Start);
        }
    }
    KeBugCheckEx(BAD_POOL_CALLER, 0x42, (ULONG_PTR)Address, 0, 0);
}

static VOID DECLSPEC_NORETURN
MipStopForMiddle(PMI_POOL_SEGMENT Segment, PVOID Address)
{
    if (Segment->Kind == MiPoolPaged) {
        KeBugCheckEx(BAD_POOL_CALLER, 0x41286, 0, 0, (ULONG_PTR)Address);
    }
    KeBugCheckEx(BAD_POOL_CALLER, 0x99, (ULONG_PTR)Address, 0, 0);
}

static VOID DECLSPEC_NORETURN
MipStopForDoubleFree(PVOID Address, ULONG64 Contents)
{
    KeBugCheckEx(BAD_POOL_CALLER, 7, 0, Contents, (ULONG_PTR)Address);
}

/* The address is in a span but no whole live header stands before it: why? */
static VOID DECLSPEC_NORETURN
MipStopForSlot(PMI_POOL_SEGMENT Segment, PMI_POOL_PAGE Page, PVOID Address)
{
    PMI_POOL_SPAN Span = Page->Owner;
    ULONG InPage = (ULONG)((ULONG_PTR)Address & (PAGE_SIZE - 1));
    ULONG SlotOffset = InPage - InPage % Span->SlotSize;
    PPOOL_HEADER First = (PPOOL_HEADER)((PUCHAR)Address - InPage + SlotOffset);
    PPOOL_HEADER Header = (PPOOL_HEADER)Address - 1;
    POOL_HEADER Contents;
    BOOLEAN Start = ((ULONG_PTR)Address & 15) == 0 && Header >= First && Header <= First + 3 &&
                    SlotOffset / Span->SlotSize < Span->SlotsPerPage;

    if (Start && First->Word == 0 && First->Sealed == 0 && Header == First) {
        MipStopForUnallocated(Address); /* a slot that was never used */
    }
    if (Start && MipIsFreeHeader(First)) {
        MipStopForDoubleFree(Address, First->Word);
    }
    if (Start && (Header == First || MipLiveHeader(First, Span->SlotSize, &Contents) == NULL)) {
        KeBugCheckEx(BAD_POOL_HEADER, 0x20, (ULONG_PTR)Header, (ULONG_PTR)First + Span->SlotSize,
                     Header->Word);
    }
    MipStopForMiddle(Segment, Address);
}

/* The address is the first byte of a page that begins no live block, or lies inside one of pages. */
static VOID DECLSPEC_NORETURN
MipStopForPage(PMI_POOL_SEGMENT Segment, PMI_POOL_PAGE Page, PVOID Address)
{
    BOOLEAN Aligned = ((ULONG_PTR)Address & (PAGE_SIZE - 1)) == 0;

    switch (Page->State) {
    case MiPageFree:
        if (Aligned && (Page->Flags & MI_PAGE_FREED_HEAD)) {
            MipStopForDoubleFree(Address, Page->Tag);
        }
        MipStopForUnallocated(Address);
    case MiPageSlotFree:
    case MiPageRunHeld:
        if (Aligned && Page->Tag != 0) {
            MipStopForDoubleFree(Address, Page->Tag);
        }
        MipStopForUnallocated(Address);
    default:
        MipStopForMiddle(Segment, Address);
    }
}

/* --- Checks of live blocks -------------------------------------------------------------------- */

static VOID
MipCheckFreeIrql(PMI_POOL_SEGMENT Segment, PVOID Address)
{
    KIRQL Irql = HalGetIrql();

    if (Irql > (Segment->Kind == MiPoolPaged ? APC_LEVEL : DISPATCH_LEVEL)) {
        KeBugCheckEx(BAD_POOL_CALLER, 9, Irql, Segment->Kind == MiPoolPaged ? PagedPool : NonPagedPool,
                     (ULONG_PTR)Address);
    }
}

static VOID
MipCheckTag(PVOID Address, ULONG BlockTag, ULONG Tag)
{
    if (Tag != 0 && Tag != BlockTag) {
        KeBugCheckEx(BAD_POOL_CALLER, 0xA, (ULONG_PTR)Address, BlockTag, Tag);
    }
}

/* Bytes behind the block, up to the next one's, must be as they were filled. */
static VOID
MipCheckSlack(PVOID Address, SIZE_T Size, SIZE_T Slack)
{
    PUCHAR Other;

    if (Slack != 0) {
        Other = MipFindOther((PUCHAR)Address + Size, Slack, MI_SLACK_BYTE);
        if (Other != NULL) {
            KeBugCheckEx(BAD_POOL_HEADER, 0x21, (ULONG_PTR)Address, Size, *Other);
        }
    }
}

/* The block was once said to hold a lookaside list: does one still live there? */
static VOID
MipCheckLookaside(PVOID Address, SIZE_T Size)
{
    PVOID List = MipFindLookasideIn(Address, Size);

    if (List == NULL) {
        return;
    }
    if (MiPoolVerify) {
        KeBugCheckEx(DRIVER_VERIFIER_DETECTED_VIOLATION, 0xCC, (ULONG_PTR)List, (ULONG_PTR)Address, Size);
    }
    MiForgetLookasideLists(Address, Size);
}

/* --- Freeing ---------------------------------------------------------------------------------- */

/* Turn a live block into a free one. The header at the slot's start says so, and any other says nothing any
 * more. */
static PPOOL_HEADER
MipRetireHeader(PPOOL_HEADER Header, POOL_HEADER Live, ULONG StackId)
{
    PPOOL_HEADER First = Header - Live.Shift;

    if (First != Header) {
        MipClearHeader(Header);
    }
    MipStoreWord(First, MI_HEADER_WORD(0, (Live.Word & MI_WORD_IMAGE) | (MiPoolVerify ? MI_WORD_FILLED : 0), 0, Live.Bin,
                                       Live.PoolType & ~MI_TYPE_QUOTA, Live.PoolTag));
    MipSealPayload(First, StackId, TRUE);
    if (MiPoolVerify) {
        __builtin_memset(First + 1, MI_FREE_BYTE, MipBinSlotSize(Live.Bin) - MI_HEADER_SIZE);
    }
    return First;
}

/* Give a slot back to where it is found again first, or hold it back for a while. */
FORCEINLINE VOID
MipFreeSlot(PMI_POOL_SEGMENT Segment, PPOOL_HEADER First, POOL_HEADER Live, BOOLEAN Hold)
{
    KIRQL OldIrql = KiRaiseIrqlToDispatch();
    PMI_POOL_CACHE Cache = MipCurrentCache();
    PVOID Slot = First;

    MipCountSlot(Cache, Live.Bin, Live.PoolTag, TRUE);
    if (__builtin_expect(Segment->Node != Cache->Node, 0)) {
        MipReturnSlots(&Slot, 1);
    } else if (Hold) {
        MipHoldSlot(Cache, Live.Bin, Slot);
    } else {
        MipPush(Cache, Live.Bin, Slot);
    }
    KiLowerIrql(OldIrql);
}

/* A block with something to look at or to pay back. */
static DECLSPEC_NOINLINE VOID
MipFreeWithCare(PMI_POOL_SEGMENT Segment, PPOOL_HEADER Header, POOL_HEADER Live, ULONG64 Payload)
{
    if (Live.Filled) {
        MipCheckSlack(Header + 1, MipHeaderSize(&Live), Live.Slack);
    }
    if (Payload >= MI_PAYLOAD_CARE) {
        MipCheckLookaside(Header + 1, MipHeaderSize(&Live));
    }
    Header = MipRetireHeader(Header, Live, MipHeaderStack(Payload));
    if (Live.PoolType & MI_TYPE_QUOTA) {
        MiPoolQuota->Return(MipPayloadProcess(Payload), Segment->Kind == MiPoolPaged, MipBinSlotSize(Live.Bin));
    }
    MipFreeSlot(Segment, Header, Live, MiPoolVerify);
}

static inline VOID
MipFreeSlotBlock(PMI_POOL_SEGMENT Segment, PMI_POOL_PAGE Page, PVOID Address, ULONG Tag)
{
    PPOOL_HEADER Header = (PPOOL_HEADER)Address - 1;
    POOL_HEADER Live;
    ULONG64 Payload;

    if (((ULONG_PTR)Address & 15) != 0) {
        MipStopForSlot(Segment, Page, Address);
    }
    Live = *Header;
    Payload = MipUnseal(Header, &Live, FALSE);
    if (!MipContentsAreWhole(&Live, Payload)) {
        MipStopForSlot(Segment, Page, Address);
    }
    MipCheckTag(Address, Live.PoolTag, Tag);
    if (MiPoolVerify || Payload >= MI_PAYLOAD_CARE) {
        MipFreeWithCare(Segment, Header, Live, Payload);
        return;
    }
    MipNoteReadable(Segment); /* never with the verifier: it wants every free to come here */
    __atomic_store_n(&Header->Sealed, ~Live.Sealed, __ATOMIC_RELAXED);
    MipFreeSlot(Segment, Header, Live, FALSE);
}

static DECLSPEC_NOINLINE VOID
MipFreePageBlock(PMI_POOL_SEGMENT Segment, PMI_POOL_PAGE Page, PVOID Address, ULONG Tag)
{
    if (((ULONG_PTR)Address & (PAGE_SIZE - 1)) != 0 ||
        (Page->State != MiPageSlotLive && Page->State != MiPageRunLive)) {
        MipStopForPage(Segment, Page, Address);
    }
    MipCheckTag(Address, Page->Tag, Tag);
    if (Page->Flags & MI_PAGE_FILLED) {
        MipCheckSlack(Address, Page->Size, (0 - Page->Size) & (PAGE_SIZE - 1));
    }
    if (Page->Flags & MI_PAGE_LOOKASIDE) {
        MipCheckLookaside(Address, Page->Size);
    }
    MipFreePages(Segment, Page, Address);
}

/* In no segment: special pool, or a mistake. */
static DECLSPEC_NOINLINE VOID
MipFreeOutside(PVOID Address, ULONG Tag)
{
    if (Address == NULL) {
        KeBugCheckEx(BAD_POOL_CALLER, 0x46, 0, 0, 0);
    }
    if ((ULONG_PTR)Address < KiLoaderBlock->SystemStart) {
        KeBugCheckEx(BAD_POOL_CALLER, 0x40, (ULONG_PTR)Address, KiLoaderBlock->SystemStart, 0);
    }
    if (!MipIsSpecialAddress(Address)) {
        MipStopForUnallocated(Address);
    }
    MipFreeSpecial(Address, Tag);
}

VOID NTAPI
MipFree(PVOID Address, ULONG Tag)
{
    PMI_POOL_SEGMENT Segment = MipSegmentOf(Address);
    PMI_POOL_PAGE Page;
    SIZE_T Index;

    if (__builtin_expect(Segment == NULL, 0)) {
        MipFreeOutside(Address, Tag);
        return;
    }
    MipCheckFreeIrql(Segment, Address);
    Index = MipPageIndex(Segment, Address);
    if (Index >= Segment->PageCount) {
        MipStopForUnallocated(Address);
    }
    if (Segment->Huge && Index != 0) {
        MipStopForMiddle(Segment, Address);
    }
    Page = MipPage(Segment, Index);
    if (Page->State == MiPageSpan) {
        MipFreeSlotBlock(Segment, Page, Address, Tag);
    } else {
        MipFreePageBlock(Segment, Page, Address, Tag);
    }
}

/* A slot that fast.c has made a free one, of a segment of this processor's node, for which its bin has no room. */
VOID NTAPI
MipFreeRetired(PPOOL_HEADER Header, ULONG Tag)
{
    ULONG Bin = Header->Bin;
    KIRQL OldIrql = KiRaiseIrqlToDispatch();
    PMI_POOL_CACHE Cache = MipCurrentCache();

    MipCountSlot(Cache, Bin, Tag, TRUE);
    MipPush(Cache, Bin, Header);
    KiLowerIrql(OldIrql);
}

/*
 * The same with parameters. The only one with a meaning is that of a secure pool, and no block is in one:
 * with it the pointer cannot be right (0xC2/46).
 */
VOID NTAPI
ExFreePool2(PVOID P, ULONG Tag, PCPOOL_EXTENDED_PARAMETER ExtendedParameters, ULONG ExtendedParametersCount)
{
    ULONG Index;

    for (Index = 0; Index < ExtendedParametersCount; Index += 1) {
        if (ExtendedParameters[Index].Type == PoolExtendedParameterSecurePool &&
            !ExtendedParameters[Index].Optional) {
            KeBugCheckEx(BAD_POOL_CALLER, 0x46, (ULONG_PTR)P, 0, 0);
        }
    }
    ExFreePoolWithTag(P, Tag);
}
NTEXPORT(ExFreePool2);
