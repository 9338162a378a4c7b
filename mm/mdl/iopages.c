/*
 * Device pages: how often each is mapped, and how it is cached while it is.
 *
 * Device memory has no frame records, so pages that are mapped are counted here: one block for 512 of them,
 * in a hash table, made when the first of its pages is mapped and freed when the last mapping is gone. The
 * first mapping of a page chooses its cache type, and all others have the same until none is left.
 *
 * Blocks are made before anything is counted, outside the lock; a block in the table has a mapping or someone
 * who is about to make one (Users). One spin lock (LockRankTracker). <= DISPATCH_LEVEL.
 */
#include "mdlp.h"

#define MI_IO_BLOCK_SHIFT 9
#define MI_IO_BLOCK_PAGES (1u << MI_IO_BLOCK_SHIFT)
#define MI_IO_BUCKETS     64

typedef struct _MI_IO_BLOCK {
    struct _MI_IO_BLOCK *Next;
    PFN_NUMBER Number;                  /* of its first page, in blocks */
    ULONG64 Users;                      /* requests in progress, and mappings of its pages */
    ULONG Count[MI_IO_BLOCK_PAGES];     /* mappings of each page */
    UCHAR CacheType[MI_IO_BLOCK_PAGES]; /* MEMORY_CACHING_TYPE, where Count is not 0 */
} MI_IO_BLOCK, *PMI_IO_BLOCK;

static KSPIN_LOCK MipIoLock;
static PMI_IO_BLOCK MipIoTable[MI_IO_BUCKETS]; /* guarded by MipIoLock */

static PMI_IO_BLOCK *
MipIoBucket(PFN_NUMBER Number)
{
    return &MipIoTable[Number % MI_IO_BUCKETS];
}

static PMI_IO_BLOCK
MipFindIoBlockLocked(PFN_NUMBER Number)
{
    PMI_IO_BLOCK Block = *MipIoBucket(Number);

    while (Block != NULL && Block->Number != Number) {
        Block = Block->Next;
    }
    return Block;
}

/* One user fewer; the block is taken out and returned, to be freed, if that was the last. */
static PMI_IO_BLOCK
MipDropIoUsersLocked(PMI_IO_BLOCK Block, ULONG64 Users)
{
    PMI_IO_BLOCK *Link = MipIoBucket(Block->Number);

    MI_ASSERT(Block->Users >= Users);
    Block->Users -= Users;
    if (Block->Users != 0) {
        return NULL;
    }
    while (*Link != Block) {
        Link = &(*Link)->Next;
    }
    *Link = Block->Next;
    return Block;
}

/* Become a user of a block, which is made if need be. NULL without memory. */
static PMI_IO_BLOCK
MipUseIoBlock(PFN_NUMBER Number)
{
    PMI_IO_BLOCK New = MiAllocateCorePool(sizeof(*New), MI_WORK_TAG), Block;
    KIRQL OldIrql = KiAcquireRankedLockRaise(&MipIoLock, LockRankTracker);

    Block = MipFindIoBlockLocked(Number);
    if (Block == NULL && New != NULL) {
        Block = New;
        Block->Number = Number;
        Block->Next = *MipIoBucket(Number);
        *MipIoBucket(Number) = Block;
        New = NULL;
    }
    if (Block != NULL) {
        Block->Users += 1;
    }
    KiReleaseRankedLockLower(&MipIoLock, OldIrql);
    if (New != NULL) {
        ExFreePoolWithTag(New, MI_WORK_TAG);
    }
    return Block;
}

static VOID
MipLeaveIoBlock(PMI_IO_BLOCK Block)
{
    KIRQL OldIrql = KiAcquireRankedLockRaise(&MipIoLock, LockRankTracker);
    PMI_IO_BLOCK Unused = MipDropIoUsersLocked(Block, 1);

    KiReleaseRankedLockLower(&MipIoLock, OldIrql);
    if (Unused != NULL) {
        ExFreePoolWithTag(Unused, MI_WORK_TAG);
    }
}

/* The part of [First, First + PageCount) that lies in First's block. */
static ULONG
MipPagesInBlock(PFN_NUMBER First, SIZE_T PageCount)
{
    return (ULONG)MIN(PageCount, MI_IO_BLOCK_PAGES - First % MI_IO_BLOCK_PAGES);
}

/* Count a mapping of pages of one block that the caller uses. FALSE, and nothing is counted: another type is
 * in force. */
static BOOLEAN
MipCountIoPages(PMI_IO_BLOCK Block, ULONG Start, ULONG PageCount, MEMORY_CACHING_TYPE CacheType,
                BOOLEAN Strict)
{
    KIRQL OldIrql = KiAcquireRankedLockRaise(&MipIoLock, LockRankTracker);
    BOOLEAN Fits = TRUE;

    for (ULONG Index = Start; Strict && Index < Start + PageCount; Index += 1) {
        if (Block->Count[Index] != 0 && Block->CacheType[Index] != (UCHAR)CacheType) {
            Fits = FALSE;
        }
    }
    for (ULONG Index = Start; Fits && Index < Start + PageCount; Index += 1) {
        if (Block->Count[Index] == 0) {
            Block->CacheType[Index] = (UCHAR)CacheType;
        }
        Block->Count[Index] += 1;
        Block->Users += 1;
    }
    KiReleaseRankedLockLower(&MipIoLock, OldIrql);
    return Fits;
}

BOOLEAN
MiReferenceIoPages(PFN_NUMBER First, SIZE_T PageCount, MEMORY_CACHING_TYPE CacheType, BOOLEAN Strict)
{
    SIZE_T Done = 0;

    while (Done < PageCount) {
        ULONG Part = MipPagesInBlock(First + Done, PageCount - Done);
        PMI_IO_BLOCK Block = MipUseIoBlock((First + Done) >> MI_IO_BLOCK_SHIFT);
        BOOLEAN Counted = Block != NULL && MipCountIoPages(Block, (ULONG)((First + Done) % MI_IO_BLOCK_PAGES),
                                                           Part, CacheType, Strict);

        if (Block != NULL) {
            MipLeaveIoBlock(Block);
        }
        if (!Counted) {
            MiDereferenceIoPages(First, Done);
            return FALSE;
        }
        Done += Part;
    }
    return TRUE;
}

/* One mapping fewer of pages of one block. Returns the first that has none, MI_NO_FRAME if all had. */
static PFN_NUMBER
MipUncountIoPages(PFN_NUMBER First, ULONG PageCount)
{
    KIRQL OldIrql = KiAcquireRankedLockRaise(&MipIoLock, LockRankTracker);
    PMI_IO_BLOCK Block = MipFindIoBlockLocked(First >> MI_IO_BLOCK_SHIFT), Unused = NULL;
    ULONG Start = (ULONG)(First % MI_IO_BLOCK_PAGES), Index;
    PFN_NUMBER Wrong = Block == NULL ? First : MI_NO_FRAME;

    for (Index = Start; Wrong == MI_NO_FRAME && Index < Start + PageCount; Index += 1) {
        if (Block->Count[Index] == 0) {
            Wrong = First + (Index - Start);
        }
    }
    if (Wrong == MI_NO_FRAME) {
        for (Index = Start; Index < Start + PageCount; Index += 1) {
            Block->Count[Index] -= 1;
        }
        Unused = MipDropIoUsersLocked(Block, PageCount);
    }
    KiReleaseRankedLockLower(&MipIoLock, OldIrql);
    if (Unused != NULL) {
        ExFreePoolWithTag(Unused, MI_WORK_TAG);
    }
    return Wrong;
}

VOID
MiDereferenceIoPages(PFN_NUMBER First, SIZE_T PageCount)
{
    for (SIZE_T Done = 0; Done < PageCount;) {
        ULONG Part = MipPagesInBlock(First + Done, PageCount - Done);
        PFN_NUMBER Wrong = MipUncountIoPages(First + Done, Part);

        if (Wrong != MI_NO_FRAME) {
            KeBugCheckEx(MEMORY_MANAGEMENT, 0x61948, First, PageCount, Wrong);
        }
        Done += Part;
    }
}

MEMORY_CACHING_TYPE
MiIoPageCacheType(PFN_NUMBER Frame)
{
    KIRQL OldIrql = KiAcquireRankedLockRaise(&MipIoLock, LockRankTracker);
    PMI_IO_BLOCK Block = MipFindIoBlockLocked(Frame >> MI_IO_BLOCK_SHIFT);
    MEMORY_CACHING_TYPE CacheType = MmNotMapped;

    if (Block != NULL && Block->Count[Frame % MI_IO_BLOCK_PAGES] != 0) {
        CacheType = (MEMORY_CACHING_TYPE)Block->CacheType[Frame % MI_IO_BLOCK_PAGES];
    }
    KiReleaseRankedLockLower(&MipIoLock, OldIrql);
    return CacheType;
}
