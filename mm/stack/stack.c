/*
 * Making and deleting kernel stacks; see stack.h.
 *
 * The cache holds the bases of deleted stacks of each size, newest first, under a leaf lock. Making a stack
 * prepares everything that can fail (charges, address, frames) and then maps; mapping cannot fail. Deleting unmaps
 * and flushes before the frames go back.
 */
#include "stack.h"
#include <mm/pte/pteform.h>

#define MI_CACHED_STACKS 4
#define MI_STACK_PAGES(Large) (((Large) ? KERNEL_LARGE_STACK_SIZE : KERNEL_STACK_SIZE) >> PAGE_SHIFT)
#define MI_LARGEST_STACK_PAGES (KERNEL_LARGE_STACK_SIZE >> PAGE_SHIFT)

typedef struct _MI_STACK_CACHE {
    ULONG_PTR Bases[MI_CACHED_STACKS];
    ULONG Count;
} MI_STACK_CACHE;

static MI_STACK_CACHE MipStackCaches[2]; /* by Large; guarded by MipStackLock */
static KSPIN_LOCK MipStackLock;

static ULONG_PTR
MipPopStack(BOOLEAN Large)
{
    MI_STACK_CACHE *Cache = &MipStackCaches[Large];
    ULONG_PTR Base = 0;
    KIRQL OldIrql = KiAcquireRankedLockRaise(&MipStackLock, LockRankTracker);

    if (Cache->Count != 0) {
        Cache->Count -= 1;
        Base = Cache->Bases[Cache->Count];
    }
    KiReleaseRankedLockLower(&MipStackLock, OldIrql);
    return Base;
}

static BOOLEAN
MipPushStack(ULONG_PTR Base, BOOLEAN Large)
{
    MI_STACK_CACHE *Cache = &MipStackCaches[Large];
    BOOLEAN Kept = FALSE;
    KIRQL OldIrql = KiAcquireRankedLockRaise(&MipStackLock, LockRankTracker);

    if (Cache->Count < MI_CACHED_STACKS) {
        Cache->Bases[Cache->Count] = Base;
        Cache->Count += 1;
        Kept = TRUE;
    }
    KiReleaseRankedLockLower(&MipStackLock, OldIrql);
    return Kept;
}

static VOID
MipFreeStack(ULONG_PTR Base, BOOLEAN Large)
{
    SIZE_T PageCount = MI_STACK_PAGES(Large);
    PUCHAR Limit = (PUCHAR)Base - (PageCount << PAGE_SHIFT);
    PFN_NUMBER Frames[MI_LARGEST_STACK_PAGES];

    MiUnmapRange(Limit, PageCount, Frames);
    MiFreeFrames(Frames, PageCount);
    MiReleaseSystemVa(MiRegionSystemPtes, Limit - PAGE_SIZE, PageCount + 2);
    MiReturnResidentAvailable(PageCount);
    MiReturnCommit(PageCount);
}

NTSTATUS
MiCreateKernelStack(BOOLEAN Large, PULONG_PTR Limit, PULONG_PTR Base)
{
    SIZE_T PageCount = MI_STACK_PAGES(Large);
    PFN_NUMBER Frames[MI_LARGEST_STACK_PAGES];
    ULONG_PTR Cached = MipPopStack(Large);
    PUCHAR Va;

    if (Cached != 0) {
        *Limit = Cached - (PageCount << PAGE_SHIFT);
        *Base = Cached;
        HalUnpoison((PVOID)*Limit, PageCount << PAGE_SHIFT);
        return STATUS_SUCCESS;
    }

    /* Prepare. */
    if (!MiChargeCommit(PageCount)) {
        return STATUS_NO_MEMORY;
    }
    if (!MiChargeResidentAvailable(PageCount)) {
        goto ReturnCommit;
    }
    Va = MiReserveSystemVa(MiRegionSystemPtes, PageCount + 2, 1);
    if (Va == NULL) {
        goto ReturnResident;
    }
    if (MiGetFrames(MI_GET_ZEROED | MI_GET_ALL, MM_ANY_NODE_OK, MiUseKernelStack, PageCount, Frames) != PageCount) {
        goto ReleaseVa;
    }

    /* Commit. */
    MiMapFrames(Va + PAGE_SIZE, PageCount, Frames, MM_READWRITE, MmCached);
    *Limit = (ULONG_PTR)Va + PAGE_SIZE;
    *Base = *Limit + (PageCount << PAGE_SHIFT);
    HalUnpoison((PVOID)*Limit, PageCount << PAGE_SHIFT);
    return STATUS_SUCCESS;

ReleaseVa:
    MiReleaseSystemVa(MiRegionSystemPtes, Va, PageCount + 2);
ReturnResident:
    MiReturnResidentAvailable(PageCount);
ReturnCommit:
    MiReturnCommit(PageCount);
    return STATUS_NO_MEMORY;
}

VOID
MiDeleteKernelStack(ULONG_PTR Base, BOOLEAN Large)
{
    if (!MipPushStack(Base, Large)) {
        MipFreeStack(Base, Large);
    }
}

VOID
MiTrimStacks(VOID)
{
    for (ULONG Large = 0; Large < 2; Large += 1) {
        ULONG_PTR Base;

        while ((Base = MipPopStack((BOOLEAN)Large)) != 0) {
            MipFreeStack(Base, (BOOLEAN)Large);
        }
    }
}
