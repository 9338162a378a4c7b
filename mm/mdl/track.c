/* The tracker of what drivers hold; see track.h. */
#include "track.h"
#include <mm/pool/pool.h>

#define MIP_TRACK_TAG     'rTmM'
#define MIP_TRACK_BUCKETS 256

static KSPIN_LOCK MipTrackLock;
static PMI_TRACKED MipTrackTable[MIP_TRACK_BUCKETS]; /* newest first; guarded by MipTrackLock */

static ULONG
MipTrackBucket(PVOID Object)
{
    return (ULONG)(((ULONG_PTR)Object >> 4) * 0x9E3779B97F4A7C15ull >> 56);
}

PVOID
MiAllocateCorePool(SIZE_T Size, ULONG Tag)
{
    PVOID Block;

    KiEnterBoundary();
    Block = ExAllocatePool2(POOL_FLAG_NON_PAGED, Size, Tag);
    KiLeaveBoundary();
    return Block;
}

PMI_TRACKED
MiAllocateTracked(MI_TRACK_KIND Kind)
{
    PVOID Frames[MI_STACK_FRAMES];
    PMI_TRACKED Tracked = MiAllocateCorePool(sizeof(*Tracked), MIP_TRACK_TAG);

    if (Tracked == NULL) {
        return NULL;
    }
    Tracked->Kind = Kind;
    Tracked->Image = KiInImageCode();
    if (Tracked->Image) {
        Tracked->StackId = MiNotePoolStack(Frames, KiCaptureImageStack(Frames, MI_STACK_FRAMES));
    }
    return Tracked;
}

VOID
MiInsertTracked(PMI_TRACKED Tracked)
{
    ULONG Bucket = MipTrackBucket(Tracked->Object);
    KIRQL OldIrql = KiAcquireRankedLockRaise(&MipTrackLock, LockRankTracker);

    Tracked->Next = MipTrackTable[Bucket];
    MipTrackTable[Bucket] = Tracked;
    KiReleaseRankedLockLower(&MipTrackLock, OldIrql);
}

/* The link that leads to the record of an object. */
static PMI_TRACKED *
MipFindTrackedLocked(MI_TRACK_KIND Kind, PVOID Object)
{
    PMI_TRACKED *Link = &MipTrackTable[MipTrackBucket(Object)];

    while (*Link != NULL && ((*Link)->Object != Object || (*Link)->Kind != Kind)) {
        Link = &(*Link)->Next;
    }
    return Link;
}

PMI_TRACKED
MiRemoveTracked(MI_TRACK_KIND Kind, PVOID Object)
{
    KIRQL OldIrql = KiAcquireRankedLockRaise(&MipTrackLock, LockRankTracker);
    PMI_TRACKED *Link = MipFindTrackedLocked(Kind, Object), Tracked = *Link;

    if (Tracked != NULL) {
        *Link = Tracked->Next;
    }
    KiReleaseRankedLockLower(&MipTrackLock, OldIrql);
    return Tracked;
}

VOID
MiFreeTracked(PMI_TRACKED Tracked)
{
    if (Tracked != NULL) {
        ExFreePoolWithTag(Tracked, MIP_TRACK_TAG);
    }
}

BOOLEAN
MiUpdateTracked(MI_TRACK_KIND Kind, PVOID Object, VOID (*Visitor)(PMI_TRACKED, PVOID), PVOID Context)
{
    KIRQL OldIrql = KiAcquireRankedLockRaise(&MipTrackLock, LockRankTracker);
    PMI_TRACKED Tracked = *MipFindTrackedLocked(Kind, Object);

    if (Tracked != NULL) {
        Visitor(Tracked, Context);
    }
    KiReleaseRankedLockLower(&MipTrackLock, OldIrql);
    return Tracked != NULL;
}

static VOID
MipCopyTracked(PMI_TRACKED Tracked, PVOID Context)
{
    *(PMI_TRACKED)Context = *Tracked;
}

BOOLEAN
MiFindTracked(MI_TRACK_KIND Kind, PVOID Object, PMI_TRACKED Copy)
{
    return MiUpdateTracked(Kind, Object, MipCopyTracked, Copy);
}

BOOLEAN
MiFindTrackedIf(MI_TRACK_KIND Kind, BOOLEAN (*Test)(const MI_TRACKED *Tracked, PVOID Context), PVOID Context,
                PMI_TRACKED Copy)
{
    KIRQL OldIrql = KiAcquireRankedLockRaise(&MipTrackLock, LockRankTracker);
    PMI_TRACKED Tracked = NULL;

    for (ULONG Bucket = 0; Tracked == NULL && Bucket < MIP_TRACK_BUCKETS; Bucket += 1) {
        Tracked = MipTrackTable[Bucket];
        while (Tracked != NULL && (Tracked->Kind != Kind || !Test(Tracked, Context))) {
            Tracked = Tracked->Next;
        }
    }
    if (Tracked != NULL) {
        *Copy = *Tracked;
    }
    KiReleaseRankedLockLower(&MipTrackLock, OldIrql);
    return Tracked != NULL;
}

static BOOLEAN
MipTrackedContains(const MI_TRACKED *Tracked, PVOID Address)
{
    return (ULONG_PTR)Address - (ULONG_PTR)Tracked->Object < Tracked->Size;
}

BOOLEAN
MiFindTrackedAround(MI_TRACK_KIND Kind, PVOID Address, PMI_TRACKED Copy)
{
    return MiFindTrackedIf(Kind, MipTrackedContains, Address, Copy);
}

/* Copy record number Index of a bucket, counted from the oldest. */
static BOOLEAN
MipCopyNth(ULONG Bucket, ULONG Index, PMI_TRACKED Copy)
{
    KIRQL OldIrql = KiAcquireRankedLockRaise(&MipTrackLock, LockRankTracker);
    ULONG Count = 0;
    PMI_TRACKED Tracked;

    for (Tracked = MipTrackTable[Bucket]; Tracked != NULL; Tracked = Tracked->Next) {
        Count += 1;
    }
    Tracked = MipTrackTable[Bucket];
    if (Index < Count) {
        for (Index = Count - 1 - Index; Index != 0; Index -= 1) {
            Tracked = Tracked->Next;
        }
        *Copy = *Tracked;
    } else {
        Tracked = NULL;
    }
    KiReleaseRankedLockLower(&MipTrackLock, OldIrql);
    return Tracked != NULL;
}

VOID
MiEnumerateTracked(VOID (*Visitor)(const MI_TRACKED *Tracked, PVOID Context), PVOID Context)
{
    for (ULONG Kind = 0; Kind < MiTrackMaximum; Kind += 1) {
        for (ULONG Bucket = 0; Bucket < MIP_TRACK_BUCKETS; Bucket += 1) {
            MI_TRACKED Copy;

            for (ULONG Index = 0; MipCopyNth(Bucket, Index, &Copy); Index += 1) {
                if (Copy.Kind == (MI_TRACK_KIND)Kind) {
                    Visitor(&Copy, Context);
                }
            }
        }
    }
}
