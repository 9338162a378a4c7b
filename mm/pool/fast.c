/*
 * The short way: what most callers ask for, most of the time.
 *
 * A block below a page of a pool named alone, with the tag that its bin counts, from a magazine that has
 * one, while nothing is unusual (MiUnusual: verifier, failure injection, special pool) and no image is to be
 * remembered for it; and such a block's free. Whatever is else jumps to the long way (pool.c, free.c) with
 * nothing done yet, which does everything and leaves the bin so that the next request may find it fit.
 *
 * The processor's part takes no lock and raises no IRQL: it is a few instructions that run alone
 * (HalBeginAlone) and touch the processor's records only. The header is written and checked outside them,
 * because pool memory may fault.
 *
 * Freeing trusts a header before anything else vouches for it: the address lies where all memory is
 * nonpaged pool (MiPoolReadable), so it can be read, and nothing but a live block without anything special
 * carries a seal that is just the mix of its word, its address and the secret.
 *
 * This file is compiled without frame pointers in leaves and with jumps for calls at the end: a stack walk from the
 * long way sees the caller of the routines here, and the frames before it, as if these had not been.
 */
#include "poolp.h"
#include <ntexport.h>

/* A block below a page. Legacy: for a tag that the older routines take. NULL: the long way. */
FORCEINLINE PVOID
MipTakeShort(MI_POOL_KIND Kind, SIZE_T Size, ULONG Tag, BOOLEAN Legacy)
{
    ULONG Offset = MiBinOfUnits[(Size + MI_HEADER_SIZE + 15) / 16];
    PMI_POOL_BIN Bin;
    PPOOL_HEADER Header;
    ULONG64 Word;
    BOOLEAN State;
    PVOID *Top;

    if (HalGetIrql() > (Kind == MiPoolPaged ? APC_LEVEL : DISPATCH_LEVEL) || KiInImageCode()) {
        return NULL;
    }
    State = HalBeginAlone();
    Bin = (PMI_POOL_BIN)((PUCHAR)MipCurrentCache() + Offset) + (MipBin(Kind, 0) - MipBin(MiPoolNonPagedNx, 0));
    Top = Bin->Top;
    Header = *Top;
    if (__builtin_expect((Legacy ? Bin->LegacyTag : Bin->Tag) != Tag || Header == NULL, 0)) {
        HalEndAlone(State);
        return NULL;
    }
    Word = Bin->Word;
    Bin->Top = Top - 1;
    MipCount(&Bin->Allocs, 1);
    HalEndAlone(State);
    Word -= Size;
    MipStoreWord(Header, Word);
    __atomic_store_n(&Header->Sealed, MipHeaderMix(Header, Word), __ATOMIC_RELAXED);
    return Header + 1;
}

/* Is this a size of such a block, and nothing unusual on? */
FORCEINLINE BOOLEAN
MipIsShort(SIZE_T Size)
{
    return __builtin_expect(((Size - 1) | MiUnusual) < MI_SMALL_LIMIT, 1);
}

/* --- Allocating ------------------------------------------------------------------------------- */

/* One page. NULL: the long way. */
static DECLSPEC_NOINLINE PVOID
MipTakeShortPage(SIZE_T Size, ULONG Tag)
{
    PMI_POOL_SEGMENT Segment;
    PMI_POOL_PAGE Page;
    PMI_POOL_BIN Bin;
    PVOID *Top, Address;
    BOOLEAN State;

    if (HalGetIrql() > DISPATCH_LEVEL || KiInImageCode()) {
        return NULL;
    }
    State = HalBeginAlone();
    Bin = &MipCurrentCache()->Bins[MipBin(MiPoolNonPagedNx, MI_PAGE_CLASS)];
    Top = Bin->Top;
    Address = *Top;
    if (Bin->Tag != Tag || Address == NULL) {
        HalEndAlone(State);
        return NULL;
    }
    Bin->Top = Top - 1;
    MipCount(&Bin->Allocs, 1);
    HalEndAlone(State);
    Segment = MipSegmentOf(Address);
    Page = MipPage(Segment, MipPageIndex(Segment, Address));
    Page->Size = Size;
    Page->Tag = Tag;
    Page->StackId = 0;
    Page->PoolType = NonPagedPoolNx;
    Page->Flags = 0;
    __atomic_store_n(&Page->State, MiPageSlotLive, __ATOMIC_RELEASE);
    return Address;
}

/* What ExAllocatePool2 does not do itself: contents of zeros, other pools, a page. */
static DECLSPEC_NOINLINE PVOID NTAPI
MipAllocateOther(POOL_FLAGS Flags, SIZE_T NumberOfBytes, ULONG Tag)
{
    PVOID Block = NULL;

    if (MipIsShort(NumberOfBytes)) {
        switch (Flags & ~POOL_FLAG_UNINITIALIZED) {
        case POOL_FLAG_NON_PAGED:
            Block = MipTakeShort(MiPoolNonPagedNx, NumberOfBytes, Tag, FALSE);
            break;
        case POOL_FLAG_PAGED:
            Block = MipTakeShort(MiPoolPaged, NumberOfBytes, Tag, FALSE);
            break;
        default:
            break;
        }
    } else if ((NumberOfBytes | MiUnusual) <= PAGE_SIZE && (Flags & ~POOL_FLAG_UNINITIALIZED) == POOL_FLAG_NON_PAGED) {
        Block = MipTakeShortPage(NumberOfBytes, Tag);
    }
    if (Block == NULL) {
        return MipAllocatePool2(Flags, NumberOfBytes, Tag);
    }
    if ((Flags & POOL_FLAG_UNINITIALIZED) == 0) {
        __builtin_memset(Block, 0, NumberOfBytes);
    }
    return Block;
}

/*
 * A block of NumberOfBytes zeros (POOL_FLAG_UNINITIALIZED: undefined contents), the caller's until freed.
 * NULL without memory or quota, for zero bytes, tag 0 and unknown flags of the lower half; with
 * POOL_FLAG_RAISE_ON_FAILURE raises STATUS_INSUFFICIENT_RESOURCES, STATUS_QUOTA_EXCEEDED or
 * STATUS_INVALID_PARAMETER instead. Unknown flags of the upper half are ignored. Wrong IRQL: bug check
 * 0xC2/8.
 */
PVOID NTAPI
ExAllocatePool2(POOL_FLAGS Flags, SIZE_T NumberOfBytes, ULONG Tag)
{
    PVOID Block;

    if (MipIsShort(NumberOfBytes) && Flags == (POOL_FLAG_NON_PAGED | POOL_FLAG_UNINITIALIZED)) {
        Block = MipTakeShort(MiPoolNonPagedNx, NumberOfBytes, Tag, FALSE);
        if (__builtin_expect(Block != NULL, 1)) {
            return Block;
        }
    }
    return MipAllocateOther(Flags, NumberOfBytes, Tag);
}
NTEXPORT(ExAllocatePool2);

/* ExAllocatePoolWithTag for the other pools. */
static DECLSPEC_NOINLINE PVOID NTAPI
MipAllocateOtherType(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag)
{
    PVOID Block = NULL;

    if (MipIsShort(NumberOfBytes)) {
        if (PoolType == PagedPool) {
            Block = MipTakeShort(MiPoolPaged, NumberOfBytes, Tag, TRUE);
        } else if (PoolType == NonPagedPool) {
            Block = MipTakeShort(MiPoolNonPagedExecute, NumberOfBytes, Tag, TRUE);
        }
    }
    return Block != NULL ? Block : MipAllocateWithTag(PoolType, NumberOfBytes, Tag);
}

/*
 * A block of NumberOfBytes with undefined contents (POOL_ZERO_ALLOCATION: zeros), the caller's until freed.
 * NULL without memory; with POOL_RAISE_IF_ALLOCATION_FAILURE raises STATUS_INSUFFICIENT_RESOURCES. Zero bytes
 * give the smallest block. Bug check 0xC2: 8 wrong IRQL, 0x9A must-succeed type, 0x9B to 0x9D bad tag.
 * Nonpaged <= DISPATCH_LEVEL, paged <= APC_LEVEL.
 */
PVOID NTAPI
ExAllocatePoolWithTag(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag)
{
    PVOID Block;

    if (MipIsShort(NumberOfBytes) && PoolType == NonPagedPoolNx) {
        Block = MipTakeShort(MiPoolNonPagedNx, NumberOfBytes, Tag, TRUE);
        if (__builtin_expect(Block != NULL, 1)) {
            return Block;
        }
    }
    return MipAllocateOtherType(PoolType, NumberOfBytes, Tag);
}
NTEXPORT(ExAllocatePoolWithTag);

/* --- Freeing ---------------------------------------------------------------------------------- */

/* May what stands before an address be read, and be the header of a block? */
FORCEINLINE BOOLEAN
MipMayBeShort(PVOID Address)
{
    ULONG64 Key = ((ULONG_PTR)Address - MI_HEADER_SIZE) >> MI_POOL_SEGMENT_SHIFT;

    /* What lies before the start of a page may be somebody else's: blocks of whole pages have no header. */
    return __builtin_expect(((ULONG_PTR)Address & 15) == 0 && ((ULONG_PTR)Address & (PAGE_SIZE - 1)) != 0 &&
                                __atomic_load_n(&MiPoolReadable[Key % MI_POOL_READABLE], __ATOMIC_RELAXED) == Key, 1);
}

/* Free the block; FALSE, and nothing done: it is not one for the short way. */
FORCEINLINE BOOLEAN
MipFreeShort(PVOID Address, ULONG Tag)
{
    PPOOL_HEADER Header = (PPOOL_HEADER)Address - 1;
    ULONG64 Word = Header->Word;
    ULONG64 Mix = MipHeaderMix(Header, Word);
    PMI_POOL_BIN Bin;
    BOOLEAN State;
    PVOID *Top;

    if (__builtin_expect(Header->Sealed != Mix || Header->PoolTag != Tag || HalGetIrql() > DISPATCH_LEVEL, 0)) {
        return FALSE;
    }
    __atomic_store_n(&Header->Sealed, ~Mix, __ATOMIC_RELAXED);
    State = HalBeginAlone();
    Bin = &MipCurrentCache()->Bins[(UCHAR)(Word >> 16)];
    Top = Bin->Top;
    if (__builtin_expect(Bin->Tag != Tag || Top == Bin->Limit, 0)) {
        HalEndAlone(State);
        MipFreeRetired(Header, Tag);
        return TRUE;
    }
    Top[1] = Header;
    Bin->Top = Top + 1;
    MipCount(&Bin->Frees, 1);
    HalEndAlone(State);
    return TRUE;
}

/*
 * Free a block of any ExAllocatePoolXxx; Tag, unless 0, must be the block's (0xC2/A). The charge of a quota
 * block goes back to the process that paid. Anything but a live block is a bug check, see free.c. Nonpaged
 * blocks <= DISPATCH_LEVEL, paged <= APC_LEVEL.
 */
VOID NTAPI
ExFreePoolWithTag(PVOID P, ULONG Tag)
{
    if (!MipMayBeShort(P) || !MipFreeShort(P, Tag)) {
        MipFree(P, Tag);
    }
}
NTEXPORT(ExFreePoolWithTag);

/* The same without a look at the tag. */
VOID NTAPI
ExFreePool(PVOID P)
{
    if (!MipMayBeShort(P) || !MipFreeShort(P, ((PPOOL_HEADER)P)[-1].PoolTag)) {
        MipFree(P, 0);
    }
}
NTEXPORT(ExFreePool);
