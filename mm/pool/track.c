/*
 * Who allocated: stacks of images' allocations, each different one kept once, known by a number.
 *
 * The number fits the 20 bits that a block's header has for it: page of the table * 256 + place in
 * the page, in units of 16 bytes; 0 is no stack. Records are never changed and never freed, so
 * looking one up takes no lock; a new one is entered under a leaf lock. When the table is full, or no
 * page can be had for it, further stacks are number 0.
 */
#include "poolp.h"

BOOLEAN MiPoolTrack = TRUE;

typedef struct _MIP_STACK {
    ULONG Next; /* (A) id of the next in the bucket */
    ULONG Hash;
    ULONG Count;
    ULONG Reserved;
    PVOID Frames[];
} MIP_STACK, *PMIP_STACK;

#define MIP_STACK_PAGES   ((1u << MI_STACK_ID_BITS) / 256)
#define MIP_STACK_BUCKETS 4096

static PUCHAR MipStackPages[MIP_STACK_PAGES];    /* (A) set once */
static ULONG MipStackBuckets[MIP_STACK_BUCKETS]; /* (A) */
static ULONG MipStackNext = 1; /* (lock) id of the next record; unit 0 of page 0 is left out */
static KSPIN_LOCK MipStackLock;

static PMIP_STACK
MipStackOf(ULONG Id)
{
    return (PMIP_STACK)(__atomic_load_n(&MipStackPages[Id >> 8], __ATOMIC_ACQUIRE) + (SIZE_T)(Id & 255) * 16);
}

static ULONG
MipFindStack(ULONG Hash, PVOID *Frames, ULONG Count)
{
    ULONG Id = __atomic_load_n(&MipStackBuckets[Hash % MIP_STACK_BUCKETS], __ATOMIC_ACQUIRE);
    PMIP_STACK Stack;

    while (Id != 0) {
        Stack = MipStackOf(Id);
        if (Stack->Hash == Hash && Stack->Count == Count &&
            __builtin_memcmp(Stack->Frames, Frames, Count * sizeof(PVOID)) == 0) {
            return Id;
        }
        Id = __atomic_load_n(&Stack->Next, __ATOMIC_ACQUIRE);
    }
    return 0;
}

/* Room for a record; 0 if the table is full or *Page, a fresh page, is needed and missing. Takes *Page if it
 * uses it. */
static ULONG
MipReserveStackLocked(ULONG Units, PVOID *Page)
{
    ULONG Id = MipStackNext;

    if ((Id & 255) + Units > 256) {
        Id = (Id | 255) + 1;
    }
    if (Id + Units > 1u << MI_STACK_ID_BITS) {
        return 0;
    }
    if (MipStackPages[Id >> 8] == NULL) {
        if (*Page == NULL) {
            return 0;
        }
        __atomic_store_n(&MipStackPages[Id >> 8], *Page, __ATOMIC_RELEASE);
        *Page = NULL;
    }
    MipStackNext = Id + Units;
    return Id;
}

static ULONG
MipEnterStack(ULONG Hash, PVOID *Frames, ULONG Count, PVOID *Page)
{
    ULONG *Bucket = &MipStackBuckets[Hash % MIP_STACK_BUCKETS];
    PMIP_STACK Stack;
    KIRQL OldIrql;
    ULONG Id;

    OldIrql = KiAcquireRankedLockRaise(&MipStackLock, LockRankTracker);
    Id = MipFindStack(Hash, Frames, Count);
    if (Id == 0) {
        Id = MipReserveStackLocked(1 + (Count + 1) / 2, Page);
        if (Id != 0) {
            Stack = MipStackOf(Id);
            Stack->Hash = Hash;
            Stack->Count = Count;
            Stack->Next = *Bucket;
            __builtin_memcpy(Stack->Frames, Frames, Count * sizeof(PVOID));
            __atomic_store_n(Bucket, Id, __ATOMIC_RELEASE);
        }
    }
    KiReleaseRankedLockLower(&MipStackLock, OldIrql);
    return Id;
}

ULONG
MiNotePoolStack(PVOID *Frames, ULONG Count)
{
    ULONG64 Mix = Count;
    PVOID Page = NULL;
    ULONG Hash, Id, Index;

    if (Count == 0) {
        return 0;
    }
    Count = MIN(Count, MI_STACK_FRAMES);
    for (Index = 0; Index < Count; Index += 1) {
        Mix = (Mix ^ (ULONG64)(ULONG_PTR)Frames[Index]) * 0x9E3779B97F4A7C15ull;
    }
    Hash = (ULONG)(Mix >> 32);
    Id = MipFindStack(Hash, Frames, Count);
    if (Id == 0) {
        Id = MipEnterStack(Hash, Frames, Count, &Page);
    }
    if (Id == 0 && MipStackNext < (1u << MI_STACK_ID_BITS) - 256) {
        Page = MipAllocateMetaPage(TRUE);
        if (Page != NULL) {
            Id = MipEnterStack(Hash, Frames, Count, &Page);
        }
    }
    if (Page != NULL) {
        MipFreeMetaPage(Page);
        __atomic_fetch_sub(&MiPoolPermanentPages, 1, __ATOMIC_RELAXED);
    }
    return Id;
}

ULONG
MiQueryPoolStack(ULONG StackId, PVOID *Frames, ULONG Maximum)
{
    PMIP_STACK Stack;
    ULONG Count;

    if (StackId == 0 || StackId >= 1u << MI_STACK_ID_BITS || MipStackPages[StackId >> 8] == NULL) {
        return 0;
    }
    Stack = MipStackOf(StackId);
    Count = MIN(Stack->Count, Maximum);
    __builtin_memcpy(Frames, Stack->Frames, Count * sizeof(PVOID));
    return Count;
}

ULONG
MipCaptureImageStack(VOID)
{
    PVOID Frames[MI_STACK_FRAMES];

    return MiNotePoolStack(Frames, KiCaptureImageStack(Frames, MI_STACK_FRAMES));
}
