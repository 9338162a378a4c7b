/*
 * Two kinds of nonpaged memory in whole pages that need not be contiguous: uncached memory, and "independent"
 * pages, whose protection their owner may change one page at a time.
 *
 * Both are a record in the tracker, found by base; frames are where the entries say. Prepare: charge, record,
 * frames, address. Commit: entries and record. <= DISPATCH_LEVEL. Documents: MmAllocateNonCachedMemory; "Bug
 * Check 0xDA".
 */
#include "mdlp.h"

/* Values of the records. */
#define MI_OWNED_PAGES 0

/* Frames taken and mapped at once. */
#define MI_OWNED_BATCH 64

static VOID
MipUnmapOwned(PUCHAR Va, SIZE_T PageCount)
{
    while (PageCount != 0) {
        PFN_NUMBER Frames[MI_OWNED_BATCH];
        SIZE_T Count = MIN(PageCount, MI_OWNED_BATCH);

        MiUnmapRange(Va, Count, Frames);
        MiFreeFrames(Frames, Count);
        Va += Count << PAGE_SHIFT;
        PageCount -= Count;
    }
}

/* Frames for all pages, mapped. FALSE: there were not enough, and nothing is mapped. */
static BOOLEAN
MipMapOwned(PUCHAR Va, SIZE_T PageCount, ULONG GetFlags, MEMORY_CACHING_TYPE CacheType)
{
    SIZE_T Done = 0;

    while (Done < PageCount) {
        PFN_NUMBER Frames[MI_OWNED_BATCH];
        SIZE_T Count = MIN(PageCount - Done, MI_OWNED_BATCH);

        if (MiGetFrames(GetFlags | MI_GET_ALL, MM_ANY_NODE_OK, MiUseDriverLocked, Count, Frames) != Count) {
            MipUnmapOwned(Va, Done);
            return FALSE;
        }
        for (SIZE_T Index = 0; Index < Count; Index += 1) {
            MiSetFrameCacheType(Frames[Index], CacheType);
        }
        MiMapFrames(Va + (Done << PAGE_SHIFT), Count, Frames, MM_READWRITE, CacheType);
        Done += Count;
    }
    return TRUE;
}

static PVOID
MipAllocateOwned(MI_TRACK_KIND Kind, SIZE_T NumberOfBytes, ULONG GetFlags, MEMORY_CACHING_TYPE CacheType)
{
    SIZE_T PageCount = BYTES_TO_PAGES(NumberOfBytes);
    PMI_TRACKED Tracked;
    PVOID Va;

    if (PageCount == 0 || MiInjectRequest() || !MiChargeNonpaged(PageCount)) {
        return NULL;
    }
    Tracked = MiAllocateTracked(Kind);
    if (Tracked == NULL) {
        goto ReturnCharge;
    }
    Va = MiReserveSystemVa(MiRegionSystemPtes, PageCount, 1);
    if (Va == NULL) {
        goto FreeTracked;
    }
    if (!MipMapOwned(Va, PageCount, GetFlags, CacheType)) {
        goto ReleaseVa;
    }
    Tracked->Object = Va;
    Tracked->Size = PageCount << PAGE_SHIFT;
    Tracked->Value[MI_OWNED_PAGES] = PageCount;
    MiInsertTracked(Tracked);
    return Va;

ReleaseVa:
    MiReleaseSystemVa(MiRegionSystemPtes, Va, PageCount);
FreeTracked:
    MiFreeTracked(Tracked);
ReturnCharge:
    MiReturnNonpaged(PageCount);
    return NULL;
}

/* Bug check 0xDA if there is no such allocation (0x300) or it has another size (0x305). */
static VOID
MipFreeOwned(MI_TRACK_KIND Kind, PVOID BaseAddress, SIZE_T NumberOfBytes)
{
    SIZE_T PageCount = BYTES_TO_PAGES(NumberOfBytes);
    MI_TRACKED Record;

    if (!MiFindTracked(Kind, BaseAddress, &Record)) {
        KeBugCheckEx(SYSTEM_PTE_MISUSE, 0x300, (ULONG_PTR)BaseAddress, 0, 0);
    }
    if (Record.Value[MI_OWNED_PAGES] != PageCount) {
        KeBugCheckEx(SYSTEM_PTE_MISUSE, 0x305, (ULONG_PTR)BaseAddress, PageCount,
                     Record.Value[MI_OWNED_PAGES]);
    }
    MiFreeTracked(MiRemoveTracked(Kind, BaseAddress));
    MipUnmapOwned(BaseAddress, PageCount);
    MiReleaseSystemVa(MiRegionSystemPtes, BaseAddress, PageCount);
    MiReturnNonpaged(PageCount);
}

/* Uncached memory in whole pages, not zeroed; NULL without it. <= APC_LEVEL. */
PVOID NTAPI
MmAllocateNonCachedMemory(SIZE_T NumberOfBytes)
{
    return MipAllocateOwned(MiTrackNonCached, NumberOfBytes, 0, MmNonCached);
}
NTEXPORT(MmAllocateNonCachedMemory);

/* Free it; base and size must be those of the allocation. <= APC_LEVEL. */
VOID NTAPI
MmFreeNonCachedMemory(PVOID BaseAddress, SIZE_T NumberOfBytes)
{
    MipFreeOwned(MiTrackNonCached, BaseAddress, NumberOfBytes);
}
NTEXPORT(MmFreeNonCachedMemory);

/* Zeroed pages, read-write, for MmSetPageProtection; NULL without them. */
PVOID NTAPI
MmAllocateIndependentPages(SIZE_T NumberOfBytes)
{
    return MipAllocateOwned(MiTrackIndependent, NumberOfBytes, MI_GET_ZEROED, MmCached);
}
NTEXPORT(MmAllocateIndependentPages);

/* Free them; base and size must be those of the allocation. */
VOID NTAPI
MmFreeIndependentPages(PVOID VirtualAddress, SIZE_T NumberOfBytes)
{
    MipFreeOwned(MiTrackIndependent, VirtualAddress, NumberOfBytes);
}
NTEXPORT(MmFreeIndependentPages);

/* Change the rights of pages inside one such allocation. FALSE if they are not, or for rights that there are
 * not. */
BOOLEAN NTAPI
MmSetPageProtection(PVOID VirtualAddress, SIZE_T NumberOfBytes, ULONG NewProtect)
{
    ULONG_PTR First = (ULONG_PTR)PAGE_ALIGN(VirtualAddress);
    SIZE_T PageCount = ADDRESS_AND_SIZE_TO_SPAN_PAGES(VirtualAddress, NumberOfBytes);
    MI_PROTECTION Protection;
    MI_TRACKED Record;

    if (PageCount == 0 || !MiRightsFromPage(NewProtect, &Protection) ||
        !MiFindTrackedAround(MiTrackIndependent, VirtualAddress, &Record) ||
        PageCount > (Record.Size - (First - (ULONG_PTR)Record.Object)) >> PAGE_SHIFT) {
        return FALSE;
    }
    return NT_SUCCESS(MiProtectRange((PVOID)First, PageCount, Protection));
}
NTEXPORT(MmSetPageProtection);
