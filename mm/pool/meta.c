/*
 * The pools' own records: whole pages, and small objects of one size cut from pages.
 *
 * Pages are frames reached through the direct map, charged like nonpaged pool. They exist before the
 * first segment does and never come from the pools themselves. Objects are eight to a page; the
 * page's head counts those in use, and a page without any goes back, but for one.
 *
 * One leaf lock guards the list of pages with a free object; frames are taken and returned outside
 * it. Running out is NULL, with nothing kept. <= DISPATCH_LEVEL, nothing blocks.
 */
#include "poolp.h"

SIZE_T MiPoolMetaPages;
SIZE_T MiPoolPermanentPages;

typedef struct _MIP_META_HEAD {
    LIST_ENTRY Entry; /* while the page has a free object */
    ULONG Busy;       /* bit n: object n is in use */
    ULONG Reserved[7];
} MIP_META_HEAD, *PMIP_META_HEAD;

#define MIP_META_COUNT 8
#define MIP_META_FULL  ((1u << MIP_META_COUNT) - 1)
_Static_assert(sizeof(MIP_META_HEAD) + MIP_META_COUNT * MI_META_OBJECT <= PAGE_SIZE, "eight objects");

static KSPIN_LOCK MipMetaLock;
static LIST_ENTRY MipMetaPartial = {&MipMetaPartial, &MipMetaPartial};
static ULONG MipMetaEmpty; /* pages on the list with no object in use */

PVOID
MipAllocateMetaPage(BOOLEAN Permanent)
{
    PFN_NUMBER Frame;

    if (!MiChargeCommit(1)) {
        return NULL;
    }
    if (!MiChargeResidentAvailable(1)) {
        MiReturnCommit(1);
        return NULL;
    }
    Frame = MiGetFrame(MI_GET_ZEROED, 0, MiUseNonPagedPool);
    if (Frame == MI_NO_FRAME) {
        MiReturnResidentAvailable(1);
        MiReturnCommit(1);
        return NULL;
    }
    __atomic_fetch_add(&MiPoolMetaPages, 1, __ATOMIC_RELAXED);
    if (Permanent) {
        __atomic_fetch_add(&MiPoolPermanentPages, 1, __ATOMIC_RELAXED);
    }
    return HalFrameAddress(Frame);
}

PVOID
MipAllocateMetaRun(SIZE_T PageCount)
{
    PFN_NUMBER Frame;

    if (!MiChargeCommit(PageCount)) {
        return NULL;
    }
    if (!MiChargeResidentAvailable(PageCount)) {
        MiReturnCommit(PageCount);
        return NULL;
    }
    Frame = MiGetContiguousFrames(MI_GET_ZEROED, MM_ANY_NODE_OK, MiUseNonPagedPool, PageCount, 0, (1ull << 40) - 1, 1, 0);
    if (Frame == MI_NO_FRAME) {
        MiReturnResidentAvailable(PageCount);
        MiReturnCommit(PageCount);
        return NULL;
    }
    __atomic_fetch_add(&MiPoolMetaPages, PageCount, __ATOMIC_RELAXED);
    __atomic_fetch_add(&MiPoolPermanentPages, PageCount, __ATOMIC_RELAXED);
    return HalFrameAddress(Frame);
}

VOID
MipFreeMetaPage(PVOID Page)
{
    MiFreeFrame(HalAddressFrame(Page));
    MiReturnResidentAvailable(1);
    MiReturnCommit(1);
    __atomic_fetch_sub(&MiPoolMetaPages, 1, __ATOMIC_RELAXED);
}

/* Take an object of a page on the list; NULL if the list is empty. */
static PVOID
MipTakeObjectLocked(VOID)
{
    PMIP_META_HEAD Head;
    ULONG Index;

    if (IsListEmpty(&MipMetaPartial)) {
        return NULL;
    }
    Head = CONTAINING_RECORD(MipMetaPartial.Flink, MIP_META_HEAD, Entry);
    Index = (ULONG)__builtin_ctz(~Head->Busy);
    if (Head->Busy == 0) {
        MipMetaEmpty -= 1;
    }
    Head->Busy |= 1u << Index;
    if (Head->Busy == MIP_META_FULL) {
        RemoveEntryList(&Head->Entry);
    }
    return (PUCHAR)(Head + 1) + (SIZE_T)Index * MI_META_OBJECT;
}

PVOID
MipAllocateMetaObject(VOID)
{
    PMIP_META_HEAD Head;
    PVOID Object;
    KIRQL OldIrql;

    OldIrql = KiAcquireRankedLockRaise(&MipMetaLock, LockRankPoolTag);
    Object = MipTakeObjectLocked();
    KiReleaseRankedLockLower(&MipMetaLock, OldIrql);
    if (Object == NULL) {
        Head = MipAllocateMetaPage(FALSE);
        if (Head == NULL) {
            return NULL;
        }
        OldIrql = KiAcquireRankedLockRaise(&MipMetaLock, LockRankPoolTag);
        InsertHeadList(&MipMetaPartial, &Head->Entry);
        MipMetaEmpty += 1;
        Object = MipTakeObjectLocked();
        KiReleaseRankedLockLower(&MipMetaLock, OldIrql);
    }
    __builtin_memset(Object, 0, MI_META_OBJECT);
    return Object;
}

VOID
MipFreeMetaObject(PVOID Object)
{
    PMIP_META_HEAD Head = (PMIP_META_HEAD)ALIGN_DOWN_BY(Object, PAGE_SIZE);
    ULONG Index = (ULONG)(((PUCHAR)Object - (PUCHAR)(Head + 1)) / MI_META_OBJECT);
    BOOLEAN Release = FALSE;
    KIRQL OldIrql;

    OldIrql = KiAcquireRankedLockRaise(&MipMetaLock, LockRankPoolTag);
    MI_ASSERT((Head->Busy & (1u << Index)) != 0);
    if (Head->Busy == MIP_META_FULL) {
        InsertTailList(&MipMetaPartial, &Head->Entry);
    }
    Head->Busy &= ~(1u << Index);
    if (Head->Busy == 0) {
        if (MipMetaEmpty != 0) {
            RemoveEntryList(&Head->Entry);
            Release = TRUE;
        } else {
            MipMetaEmpty += 1;
        }
    }
    KiReleaseRankedLockLower(&MipMetaLock, OldIrql);
    if (Release) {
        MipFreeMetaPage(Head);
    }
}

/* Give back the page that is kept though none of its objects is in use. */
VOID
MipTrimMeta(VOID)
{
    PMIP_META_HEAD Empty = NULL;
    PLIST_ENTRY Entry;
    KIRQL OldIrql;

    OldIrql = KiAcquireRankedLockRaise(&MipMetaLock, LockRankPoolTag);
    for (Entry = MipMetaPartial.Flink; Entry != &MipMetaPartial; Entry = Entry->Flink) {
        if (CONTAINING_RECORD(Entry, MIP_META_HEAD, Entry)->Busy == 0) {
            Empty = CONTAINING_RECORD(Entry, MIP_META_HEAD, Entry);
            RemoveEntryList(Entry);
            MipMetaEmpty -= 1;
            break;
        }
    }
    KiReleaseRankedLockLower(&MipMetaLock, OldIrql);
    if (Empty != NULL) {
        MipFreeMetaPage(Empty);
    }
}
