/*
 * Special pool: one block to a page, no access on either side, and none at all once it is freed.
 *
 * Address comes in chunks of 512 pages; odd pages hold blocks, even ones are never mapped:
 *
 *      page    0      1      2      3      4   ...   509    510   (511 unused)
 *            guard  block  guard  block  guard      block  guard
 *
 * A block stands at the end of its page (overrun: the next byte faults) or at its start (underrun:
 * the byte before does); the rest of the page is filled and checked when the block is freed.
 *
 *      unused --MipAllocateSpecial--> live --MipFreeSpecial--> freed --MipAllocateSpecial--> live
 *
 * Freed pages queue, and the oldest is used again, while at least MIP_HOLD of them stay out of reach.
 * Whoever touches one has touched a freed block: MiClassifySpecialPoolFault tells the trap handler.
 * A block costs one frame, commit and resident, and its share of the chunk's records, which stay.
 *
 * The leaf lock guards the queue and the states; mapping and frames are handled outside it by whoever
 * took the slot out of the queue. No room is NULL and the ordinary pool serves. <= DISPATCH_LEVEL,
 * paged requests included: the page is resident, but the IRQL rule of the request is still kept.
 */
#include "poolp.h"
#include <mm/pte/pteform.h>

MI_SPECIAL_POOL_OPTION MiSpecialPoolOption;
SIZE_T MiSpecialPages;

#define MIP_CHUNK_PAGES 512
#define MIP_CHUNK_SLOTS 255
#define MIP_CHUNKS      1024
#define MIP_HOLD        128

typedef enum _MIP_SPECIAL_STATE { MipSpecialUnused, MipSpecialLive, MipSpecialFreed } MIP_SPECIAL_STATE;

typedef struct _MIP_SPECIAL {
    struct _MIP_SPECIAL *Next; /* in the queue */
    PUCHAR Page;               /* (C) */
    PUCHAR Block;
    SIZE_T Size;
    PFN_NUMBER Frame;
    ULONG Tag;
    ULONG StackId;
    ULONG PoolType;
    UCHAR State; /* (A) MIP_SPECIAL_STATE */
    UCHAR Kind;
    BOOLEAN Image;
    BOOLEAN Lookaside;
    ULONG64 Reserved;
} MIP_SPECIAL, *PMIP_SPECIAL;

_Static_assert(sizeof(MIP_SPECIAL) == 64, "64 to a page");

typedef struct _MIP_SPECIAL_CHUNK {
    PUCHAR Base;
    PMIP_SPECIAL Slots[4]; /* a page of records each */
} MIP_SPECIAL_CHUNK;

static MIP_SPECIAL_CHUNK MipChunks[MIP_CHUNKS]; /* (A) the first MipChunkCount, constant once counted */
static ULONG MipChunkCount;
static KSPIN_LOCK MipSpecialLock;
static PMIP_SPECIAL MipQueueHead;
static PMIP_SPECIAL *MipQueueTail = &MipQueueHead;
static ULONG MipQueueLength;

static PMIP_SPECIAL
MipSlotOfChunk(const MIP_SPECIAL_CHUNK *Chunk, ULONG Index)
{
    return &Chunk->Slots[Index / 64][Index % 64];
}

/* The chunk around an address, NULL if none. Any IRQL. */
static MIP_SPECIAL_CHUNK *
MipChunkOf(PVOID Address)
{
    ULONG Count = __atomic_load_n(&MipChunkCount, __ATOMIC_ACQUIRE), Index;

    for (Index = 0; Index < Count; Index += 1) {
        if ((ULONG_PTR)Address - (ULONG_PTR)MipChunks[Index].Base < MIP_CHUNK_PAGES * PAGE_SIZE) {
            return &MipChunks[Index];
        }
    }
    return NULL;
}

/* The record of the block page around an address; NULL: a guard, or no special pool. */
static PMIP_SPECIAL
MipSpecialOf(PVOID Address)
{
    MIP_SPECIAL_CHUNK *Chunk = MipChunkOf(Address);
    SIZE_T Page;

    if (Chunk == NULL) {
        return NULL;
    }
    Page = (SIZE_T)((PUCHAR)Address - Chunk->Base) >> PAGE_SHIFT;
    if (Page % 2 == 0 || Page / 2 >= MIP_CHUNK_SLOTS) {
        return NULL;
    }
    return MipSlotOfChunk(Chunk, (ULONG)(Page / 2));
}

BOOLEAN
MipIsSpecialAddress(PVOID Address)
{
    return MipChunkOf(Address) != NULL;
}

MI_SPECIAL_FAULT
MiClassifySpecialPoolFault(PVOID Address)
{
    PMIP_SPECIAL Slot = MipSpecialOf(Address);

    if (Slot == NULL) {
        return MipChunkOf(Address) == NULL ? MiNotSpecialPool : MiSpecialPoolBeyond;
    }
    return __atomic_load_n(&Slot->State, __ATOMIC_ACQUIRE) == MipSpecialFreed ? MiSpecialPoolFreed
                                                                              : MiSpecialPoolBeyond;
}

/* --- Selection -------------------------------------------------------------------------------- */

VOID
MiSetSpecialPool(const MI_SPECIAL_POOL_OPTION *Option)
{
    MiSpecialPoolOption = *Option;
    MiSetUnusual(MI_UNUSUAL_SPECIAL, MipSpecialIsOn(FALSE));
}

/* Pattern characters: '?' any one, '*' any rest. */
static BOOLEAN
MipTagMatches(ULONG Tag, ULONG Pattern)
{
    ULONG Index;

    for (Index = 0; Index < 4; Index += 1, Tag >>= 8, Pattern >>= 8) {
        if ((UCHAR)Pattern == '*') {
            return TRUE;
        }
        if ((UCHAR)Pattern != '?' && (UCHAR)Pattern != (UCHAR)Tag) {
            return FALSE;
        }
    }
    return TRUE;
}

BOOLEAN
MipSpecialWanted(const MI_POOL_REQUEST *Request)
{
    const MI_SPECIAL_POOL_OPTION *Option = &MiSpecialPoolOption;

    if (Request->Size > PAGE_SIZE || Request->Size == 0) {
        return FALSE;
    }
    return Request->WantSpecial || Option->Everything ||
           (Option->TagPattern != 0 && MipTagMatches(Request->Tag, Option->TagPattern)) ||
           (Option->SizeHigh != 0 && Request->Size >= Option->SizeLow && Request->Size <= Option->SizeHigh);
}

/* --- Slots ------------------------------------------------------------------------------------ */

static VOID
MipEnqueueLocked(PMIP_SPECIAL Slot)
{
    Slot->Next = NULL;
    *MipQueueTail = Slot;
    MipQueueTail = &Slot->Next;
    MipQueueLength += 1;
}

static PMIP_SPECIAL
MipDequeue(ULONG Keep)
{
    PMIP_SPECIAL Slot = NULL;
    KIRQL OldIrql;

    OldIrql = KiAcquireRankedLockRaise(&MipSpecialLock, LockRankTracker);
    if (MipQueueLength > Keep) {
        Slot = MipQueueHead;
        MipQueueHead = Slot->Next;
        if (MipQueueHead == NULL) {
            MipQueueTail = &MipQueueHead;
        }
        MipQueueLength -= 1;
    }
    KiReleaseRankedLockLower(&MipSpecialLock, OldIrql);
    return Slot;
}

static VOID
MipEnqueue(PMIP_SPECIAL Slot)
{
    KIRQL OldIrql = KiAcquireRankedLockRaise(&MipSpecialLock, LockRankTracker);

    MipEnqueueLocked(Slot);
    KiReleaseRankedLockLower(&MipSpecialLock, OldIrql);
}

/* Enter a chunk whose address and records are there. FALSE: the table is full. */
static BOOLEAN
MipEnterChunk(const MIP_SPECIAL_CHUNK *Chunk)
{
    BOOLEAN Entered = FALSE;
    KIRQL OldIrql;
    ULONG Index;

    for (Index = 0; Index < MIP_CHUNK_SLOTS; Index += 1) {
        MipSlotOfChunk(Chunk, Index)->Page = Chunk->Base + ((SIZE_T)Index * 2 + 1) * PAGE_SIZE;
    }
    OldIrql = KiAcquireRankedLockRaise(&MipSpecialLock, LockRankTracker);
    if (MipChunkCount < MIP_CHUNKS) {
        MipChunks[MipChunkCount] = *Chunk;
        __atomic_store_n(&MipChunkCount, MipChunkCount + 1, __ATOMIC_RELEASE);
        for (Index = 0; Index < MIP_CHUNK_SLOTS; Index += 1) {
            MipEnqueueLocked(MipSlotOfChunk(Chunk, Index));
        }
        Entered = TRUE;
    }
    KiReleaseRankedLockLower(&MipSpecialLock, OldIrql);
    return Entered;
}

static BOOLEAN
MipAddChunk(VOID)
{
    MIP_SPECIAL_CHUNK Chunk = {0};
    ULONG Index;

    Chunk.Base = MiReserveSystemVa(MiRegionSpecialPool, MIP_CHUNK_PAGES, 1);
    if (Chunk.Base == NULL) {
        return FALSE;
    }
    for (Index = 0; Index < 4; Index += 1) {
        Chunk.Slots[Index] = MipAllocateMetaPage(FALSE);
        if (Chunk.Slots[Index] == NULL) {
            break;
        }
    }
    if (Index == 4 && MipEnterChunk(&Chunk)) {
        __atomic_fetch_add(&MiPoolPermanentPages, 4, __ATOMIC_RELAXED);
        return TRUE;
    }
    while (Index != 0) {
        Index -= 1;
        MipFreeMetaPage(Chunk.Slots[Index]);
    }
    MiReleaseSystemVa(MiRegionSpecialPool, Chunk.Base, MIP_CHUNK_PAGES);
    return FALSE;
}

/* A page's place: the one longest out of use, but if possible one that leaves MIP_HOLD freed ones behind it.
 */
static PMIP_SPECIAL
MipGetSpecialSlot(VOID)
{
    PMIP_SPECIAL Slot = MipDequeue(MIP_HOLD);

    if (Slot == NULL) {
        MipAddChunk();
        Slot = MipDequeue(0);
    }
    return Slot;
}

/* --- Allocating ------------------------------------------------------------------------------- */

static PFN_NUMBER
MipGetSpecialFrame(VOID)
{
    PFN_NUMBER Frame;

    if (!MiChargeCommit(1)) {
        return MI_NO_FRAME;
    }
    if (!MiChargeResidentAvailable(1)) {
        MiReturnCommit(1);
        return MI_NO_FRAME;
    }
    Frame = MiGetFrame(0, 0, MiUseNonPagedPool);
    if (Frame == MI_NO_FRAME) {
        MiReturnResidentAvailable(1);
        MiReturnCommit(1);
    }
    return Frame;
}

static VOID
MipChargeSpecialTag(ULONG Tag, BOOLEAN Paged, BOOLEAN Free)
{
    KIRQL OldIrql = KiRaiseIrqlToDispatch();

    if (Free) {
        MipCreditTag(MipCurrentCache(), Tag, Paged, PAGE_SIZE);
    } else {
        MipChargeTag(MipCurrentCache(), Tag, Paged, PAGE_SIZE);
    }
    KiLowerIrql(OldIrql);
}

/* Map the page, fill it, place the block. */
static VOID
MipPlaceSpecial(PMIP_SPECIAL Slot, const MI_POOL_REQUEST *Request)
{
    BOOLEAN Underrun = Request->SpecialWhere == MI_SPECIAL_UNDERRUN ||
                       (Request->SpecialWhere == MI_SPECIAL_DEFAULT && MiSpecialPoolOption.Underrun);
    MI_PROTECTION Protection = Request->Kind == MiPoolNonPagedExecute ? MM_EXECUTE_READWRITE : MM_READWRITE;

    MiMapRun(Slot->Page, 1, Slot->Frame, Protection, MmCached, FALSE);
    __builtin_memset(Slot->Page, MI_SLACK_BYTE, PAGE_SIZE);
    Slot->Block = Slot->Page;
    if (!Underrun) {
        Slot->Block += ALIGN_DOWN_BY(PAGE_SIZE - Request->Size, Request->CacheAligned ? 64 : 16);
    }
    if (Request->Zero) {
        __builtin_memset(Slot->Block, 0, Request->Size);
    }
}

PVOID
MipAllocateSpecial(const MI_POOL_REQUEST *Request, ULONG StackId, BOOLEAN Image)
{
    PFN_NUMBER Frame = MipGetSpecialFrame();
    PMIP_SPECIAL Slot;

    if (Frame == MI_NO_FRAME) {
        return NULL;
    }
    Slot = MipGetSpecialSlot();
    if (Slot == NULL) {
        MiFreeFrame(Frame);
        MiReturnResidentAvailable(1);
        MiReturnCommit(1);
        return NULL;
    }
    Slot->Frame = Frame;
    Slot->Size = Request->Size;
    Slot->Tag = Request->Tag;
    Slot->StackId = StackId;
    Slot->PoolType = Request->PoolType;
    Slot->Kind = (UCHAR)Request->Kind;
    Slot->Image = Image;
    Slot->Lookaside = FALSE;
    MipPlaceSpecial(Slot, Request);
    __atomic_fetch_add(&MiSpecialPages, 1, __ATOMIC_RELAXED);
    MipChargeSpecialTag(Slot->Tag, Slot->Kind == MiPoolPaged, FALSE);
    __atomic_store_n(&Slot->State, MipSpecialLive, __ATOMIC_RELEASE);
    return Slot->Block;
}

/* --- Freeing ---------------------------------------------------------------------------------- */

/* Everything on the page but the block must be as it was filled. */
static VOID
MipCheckSpecialPage(PMIP_SPECIAL Slot)
{
    PUCHAR End = Slot->Block + Slot->Size;
    PUCHAR Other = MipFindOther(Slot->Page, (SIZE_T)(Slot->Block - Slot->Page), MI_SLACK_BYTE);

    if (Other != NULL) {
        KeBugCheckEx(SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION, (ULONG_PTR)Slot->Block, (ULONG_PTR)Other, 0,
                     0x23);
    }
    Other = MipFindOther(End, (SIZE_T)(Slot->Page + PAGE_SIZE - End), MI_SLACK_BYTE);
    if (Other != NULL) {
        KeBugCheckEx(SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION, (ULONG_PTR)Slot->Block, (ULONG_PTR)Other, 0,
                     0x24);
    }
}

static VOID
MipCheckSpecialFree(PMIP_SPECIAL Slot, PVOID Address, ULONG Tag)
{
    KIRQL Irql = HalGetIrql();
    PVOID List;

    if (Slot == NULL || Slot->State == MipSpecialUnused) {
        KeBugCheckEx(SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION, (ULONG_PTR)Address, 0, 0, 0x20);
    }
    if (Slot->State == MipSpecialFreed) {
        KeBugCheckEx(BAD_POOL_CALLER, 7, 0, Slot->Tag, (ULONG_PTR)Address);
    }
    if (Address != Slot->Block) {
        KeBugCheckEx(SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION, (ULONG_PTR)Address, (ULONG_PTR)Slot->Block, 0,
                     0x21);
    }
    if (Irql > (Slot->Kind == MiPoolPaged ? APC_LEVEL : DISPATCH_LEVEL)) {
        KeBugCheckEx(SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION, Irql, Slot->PoolType, (ULONG_PTR)Address, 0x31);
    }
    if (Tag != 0 && Tag != Slot->Tag) {
        KeBugCheckEx(BAD_POOL_CALLER, 0xA, (ULONG_PTR)Address, Slot->Tag, Tag);
    }
    MipCheckSpecialPage(Slot);
    List = Slot->Lookaside ? MipFindLookasideIn(Slot->Block, Slot->Size) : NULL;
    if (List != NULL && MiPoolVerify) {
        KeBugCheckEx(DRIVER_VERIFIER_DETECTED_VIOLATION, 0xCC, (ULONG_PTR)List, (ULONG_PTR)Address,
                     Slot->Size);
    }
    if (List != NULL) {
        MiForgetLookasideLists(Slot->Block, Slot->Size);
    }
}

VOID
MipFreeSpecial(PVOID Address, ULONG Tag)
{
    PMIP_SPECIAL Slot = MipSpecialOf(Address);
    UCHAR Live = MipSpecialLive;

    MipCheckSpecialFree(Slot, Address, Tag);
    if (!__atomic_compare_exchange_n(&Slot->State, &Live, MipSpecialFreed, FALSE, __ATOMIC_ACQ_REL,
                                     __ATOMIC_RELAXED)) {
        KeBugCheckEx(BAD_POOL_CALLER, 7, 0, Slot->Tag, (ULONG_PTR)Address);
    }
    MiUnmapRange(Slot->Page, 1, NULL);
    MiFreeFrame(Slot->Frame);
    MiReturnResidentAvailable(1);
    MiReturnCommit(1);
    __atomic_fetch_sub(&MiSpecialPages, 1, __ATOMIC_RELAXED);
    MipChargeSpecialTag(Slot->Tag, Slot->Kind == MiPoolPaged, TRUE);
    MipEnqueue(Slot);
}

/* --- Looking ---------------------------------------------------------------------------------- */

static VOID
MipDescribeSpecial(PMIP_SPECIAL Slot, PMI_POOL_BLOCK Block)
{
    *Block = (MI_POOL_BLOCK){.Address = Slot->Block,
                             .Size = Slot->Size,
                             .Tag = Slot->Tag,
                             .PoolType = Slot->PoolType,
                             .StackId = Slot->StackId,
                             .Image = Slot->Image,
                             .Special = TRUE};
}

BOOLEAN
MipFindSpecialBlock(PVOID Address, PMI_POOL_BLOCK Block)
{
    PMIP_SPECIAL Slot = MipSpecialOf(Address);

    if (Slot == NULL || Slot->State != MipSpecialLive ||
        (ULONG_PTR)Address - (ULONG_PTR)Slot->Block >= Slot->Size) {
        return FALSE;
    }
    MipDescribeSpecial(Slot, Block);
    return TRUE;
}

VOID
MipMarkSpecialBlock(PVOID Address)
{
    PMIP_SPECIAL Slot = MipSpecialOf(Address);

    if (Slot != NULL && Slot->State == MipSpecialLive) {
        Slot->Lookaside = TRUE;
    }
}

BOOLEAN
MipEnumerateSpecial(BOOLEAN (*Visitor)(const MI_POOL_BLOCK *, PVOID), PVOID Context)
{
    ULONG Count = __atomic_load_n(&MipChunkCount, __ATOMIC_ACQUIRE), Chunk, Index;
    PMIP_SPECIAL Slot;
    MI_POOL_BLOCK Block;

    for (Chunk = 0; Chunk < Count; Chunk += 1) {
        for (Index = 0; Index < MIP_CHUNK_SLOTS; Index += 1) {
            Slot = MipSlotOfChunk(&MipChunks[Chunk], Index);
            if (__atomic_load_n(&Slot->State, __ATOMIC_ACQUIRE) == MipSpecialLive) {
                MipDescribeSpecial(Slot, &Block);
                if (!Visitor(&Block, Context)) {
                    return FALSE;
                }
            }
        }
    }
    return TRUE;
}

VOID
MipValidateSpecial(VOID)
{
    ULONG Count = __atomic_load_n(&MipChunkCount, __ATOMIC_ACQUIRE), Chunk, Index;
    PMIP_SPECIAL Slot;

    for (Chunk = 0; Chunk < Count; Chunk += 1) {
        for (Index = 0; Index < MIP_CHUNK_SLOTS; Index += 1) {
            Slot = MipSlotOfChunk(&MipChunks[Chunk], Index);
            if (Slot->State == MipSpecialLive) {
                NT_VERIFY(MiTranslate(Slot->Page, NULL) == Slot->Frame);
                NT_VERIFY(Slot->Block >= Slot->Page && Slot->Block + Slot->Size <= Slot->Page + PAGE_SIZE);
                MipCheckSpecialPage(Slot);
            } else {
                NT_VERIFY(MiTranslate(Slot->Page, NULL) == MI_NO_FRAME);
            }
        }
    }
}
