/*
 * Lookaside lists: caches of blocks of one size, in a head that the caller owns.
 *
 * A list is a stack of free entries (ex/slist.c), the two routines that make and free entries, and
 * counters. It holds up to Depth entries; the tuner moves Depth between MIP_LEAST_DEPTH and
 * MaximumDepth by the misses of the last period. Headers of older kits inline the common path: they
 * pop ListHead, count in the head's fields and call Allocate and Free through it, so those two are
 * always pointers that an image may call.
 *
 * Live lists are on one list of ours, in order of birth, linked through ListEntry under a leaf lock;
 * Future[0] keeps who made them. Lists in pool blocks mark their block, so that freeing one is
 * noticed (0xC4/CC). Making a live list again is 0xC4/CA, deleting what is none 0xC4/CB, entries too
 * small 0xC4/CD: all with the verifier on.
 *
 * Allocate and Free run with no lock held, at the caller's IRQL. The head is nonpaged: <=
 * DISPATCH_LEVEL, for paged entries <= APC_LEVEL. Documents: ExInitializeNPagedLookasideList,
 * ExInitializePagedLookasideList, ExInitializeLookasideListEx and their companions.
 */
#include "poolp.h"
#include <ntexport.h>

#define MIP_LEAST_DEPTH 4
#define MIP_IMAGE_LIST  0x80000000u

PVOID (*MiPoolExportAddress)(const char *Name);

static KSPIN_LOCK MipListsLock;
static LIST_ENTRY MipLists = {&MipLists, &MipLists};

_Static_assert(FIELD_OFFSET(GENERAL_LOOKASIDE, ListEntry) ==
                       FIELD_OFFSET(GENERAL_LOOKASIDE_POOL, ListEntry) &&
                   FIELD_OFFSET(GENERAL_LOOKASIDE, Future) == FIELD_OFFSET(GENERAL_LOOKASIDE_POOL, Future),
               "one layout serves all three kinds");

/* All three kinds begin alike; the smallest of the structures serves for all. */
typedef PGENERAL_LOOKASIDE_POOL PMIP_LOOKASIDE;

static PVOID
MipRoutineForImages(const char *Name, PVOID Routine)
{
    PVOID Address = MiPoolExportAddress != NULL ? MiPoolExportAddress(Name) : NULL;

    return Address != NULL ? Address : Routine;
}

static PVOID
MipDefaultAllocate(VOID)
{
    return MipRoutineForImages("ExAllocatePoolWithTag", (PVOID)(ULONG_PTR)ExAllocatePoolWithTag);
}

static PVOID
MipDefaultFree(VOID)
{
    return MipRoutineForImages("ExFreePool", (PVOID)(ULONG_PTR)ExFreePool);
}

/* --- The list of lists ------------------------------------------------------------------------ */

static PMIP_LOOKASIDE
MipListOf(PLIST_ENTRY Entry)
{
    return CONTAINING_RECORD(Entry, GENERAL_LOOKASIDE_POOL, ListEntry);
}

static BOOLEAN
MipIsLiveListLocked(PMIP_LOOKASIDE List)
{
    PLIST_ENTRY Entry;

    for (Entry = MipLists.Flink; Entry != &MipLists; Entry = Entry->Flink) {
        if (MipListOf(Entry) == List) {
            return TRUE;
        }
    }
    return FALSE;
}

/* Put a list on ours. FALSE: it is there already. */
static BOOLEAN
MipEnterList(PMIP_LOOKASIDE List)
{
    BOOLEAN Known;
    KIRQL OldIrql;

    OldIrql = KiAcquireRankedLockRaise(&MipListsLock, LockRankTracker);
    Known = MipIsLiveListLocked(List);
    if (!Known) {
        InsertTailList(&MipLists, &List->ListEntry);
    }
    KiReleaseRankedLockLower(&MipListsLock, OldIrql);
    return !Known;
}

static BOOLEAN
MipIsLiveList(PMIP_LOOKASIDE List)
{
    BOOLEAN Known;
    KIRQL OldIrql;

    OldIrql = KiAcquireRankedLockRaise(&MipListsLock, LockRankTracker);
    Known = MipIsLiveListLocked(List);
    KiReleaseRankedLockLower(&MipListsLock, OldIrql);
    return Known;
}

/* Take a list off ours. FALSE: it is not there. */
static BOOLEAN
MipRemoveList(PMIP_LOOKASIDE List)
{
    BOOLEAN Known;
    KIRQL OldIrql;

    OldIrql = KiAcquireRankedLockRaise(&MipListsLock, LockRankTracker);
    Known = MipIsLiveListLocked(List);
    if (Known) {
        RemoveEntryList(&List->ListEntry);
    }
    KiReleaseRankedLockLower(&MipListsLock, OldIrql);
    return Known;
}

PVOID
MipFindLookasideIn(PVOID Address, SIZE_T Size)
{
    PVOID Found = NULL;
    PLIST_ENTRY Entry;
    KIRQL OldIrql;

    OldIrql = KiAcquireRankedLockRaise(&MipListsLock, LockRankTracker);
    for (Entry = MipLists.Flink; Entry != &MipLists && Found == NULL; Entry = Entry->Flink) {
        if ((ULONG_PTR)MipListOf(Entry) - (ULONG_PTR)Address < Size) {
            Found = MipListOf(Entry);
        }
    }
    KiReleaseRankedLockLower(&MipListsLock, OldIrql);
    return Found;
}

VOID
MiForgetLookasideLists(PVOID Start, SIZE_T Size)
{
    PVOID List;

    while ((List = MipFindLookasideIn(Start, Size)) != NULL) {
        MipRemoveList(List);
    }
}

BOOLEAN
MiQueryLookaside(ULONG Index, PMI_LOOKASIDE_INFO Info)
{
    PMIP_LOOKASIDE List = NULL;
    PLIST_ENTRY Entry;
    KIRQL OldIrql;

    OldIrql = KiAcquireRankedLockRaise(&MipListsLock, LockRankTracker);
    for (Entry = MipLists.Flink; Entry != &MipLists && Index != 0; Entry = Entry->Flink) {
        Index -= 1;
    }
    if (Entry != &MipLists) {
        List = MipListOf(Entry);
        *Info = (MI_LOOKASIDE_INFO){.List = List,
                                    .Image = (List->Future[0] & MIP_IMAGE_LIST) != 0,
                                    .Paged = (List->Type & PagedPool) != 0,
                                    .Depth = List->Depth,
                                    .MaximumDepth = List->MaximumDepth,
                                    .Cached = ExQueryDepthSList(&List->ListHead),
                                    .TotalAllocates = List->TotalAllocates,
                                    .AllocateMisses = List->AllocateMisses,
                                    .TotalFrees = List->TotalFrees,
                                    .FreeMisses = List->FreeMisses,
                                    .Type = (ULONG)List->Type,
                                    .Tag = List->Tag,
                                    .Size = List->Size,
                                    .StackId = List->Future[0] & ~MIP_IMAGE_LIST};
    }
    KiReleaseRankedLockLower(&MipListsLock, OldIrql);
    return List != NULL;
}

/* --- Depth ------------------------------------------------------------------------------------ */

/*
 * One entry in sixteen missed: twice as deep. None missed though there were requests: an eighth less. No
 * request at all: half.
 */
static USHORT
MipNextDepth(ULONG Depth, ULONG Maximum, ULONG Requests, ULONG Misses)
{
    if (Requests == 0) {
        Depth /= 2;
    } else if (Misses != 0 && Misses * 16ull >= Requests) {
        Depth *= 2;
    } else if (Misses == 0) {
        Depth -= Depth / 8;
    }
    return (USHORT)MIN(MAX(Depth, MIP_LEAST_DEPTH), Maximum);
}

VOID
MiAdjustLookasideDepths(VOID)
{
    PMIP_LOOKASIDE List;
    PLIST_ENTRY Entry;
    KIRQL OldIrql;

    OldIrql = KiAcquireRankedLockRaise(&MipListsLock, LockRankTracker);
    for (Entry = MipLists.Flink; Entry != &MipLists; Entry = Entry->Flink) {
        List = MipListOf(Entry);
        List->Depth =
            MipNextDepth(List->Depth, List->MaximumDepth, List->TotalAllocates - List->LastTotalAllocates,
                         List->AllocateMisses - List->LastAllocateMisses);
        List->LastTotalAllocates = List->TotalAllocates;
        List->LastAllocateMisses = List->AllocateMisses;
    }
    KiReleaseRankedLockLower(&MipListsLock, OldIrql);
}

/* --- Making ----------------------------------------------------------------------------------- */

/* Fill in a head and enter it among the live ones. */
static VOID
MipInitializeList(PMIP_LOOKASIDE List, PVOID Allocate, PVOID Free, ULONG Type, SIZE_T Size, ULONG Tag)
{
    BOOLEAN Image;
    ULONG StackId = MipCaptureOwner(&Image);

    if (MiPoolVerify && MipIsLiveList(List)) {
        KeBugCheckEx(DRIVER_VERIFIER_DETECTED_VIOLATION, 0xCA, (ULONG_PTR)List, 0, 0);
    }
    if (MiPoolVerify && Size < LOOKASIDE_MINIMUM_BLOCK_SIZE) {
        KeBugCheckEx(DRIVER_VERIFIER_DETECTED_VIOLATION, 0xCD, (ULONG_PTR)List, Size,
                     LOOKASIDE_MINIMUM_BLOCK_SIZE);
    }
    MipRemoveList(List);
    ExInitializeSListHead(&List->ListHead);
    List->Depth = MIP_LEAST_DEPTH;
    List->MaximumDepth = EX_MAXIMUM_LOOKASIDE_DEPTH_BASE;
    List->TotalAllocates = 0;
    List->AllocateMisses = 0;
    List->TotalFrees = 0;
    List->FreeMisses = 0;
    List->Type = (POOL_TYPE)Type;
    List->Tag = Tag;
    List->Size = (ULONG)MAX(Size, LOOKASIDE_MINIMUM_BLOCK_SIZE);
    List->Allocate = (PALLOCATE_FUNCTION)(ULONG_PTR)(Allocate != NULL ? Allocate : MipDefaultAllocate());
    List->Free = (PFREE_FUNCTION)(ULONG_PTR)(Free != NULL ? Free : MipDefaultFree());
    List->LastTotalAllocates = 0;
    List->LastAllocateMisses = 0;
    List->Future[0] = StackId | (Image ? MIP_IMAGE_LIST : 0);
    List->Future[1] = 0;
    MipMarkBlock(List);
    MipEnterList(List);
}

/*
 * Make a list of entries of Size bytes in nonpaged pool; nothing is allocated. Without Allocate and Free the
 * pool routines serve. Flags: POOL_RAISE_IF_ALLOCATION_FAILURE, POOL_NX_ALLOCATION. Depth is reserved. The
 * head is 16-byte aligned, else STATUS_DATATYPE_MISALIGNMENT is raised. <= DISPATCH_LEVEL.
 */
VOID NTAPI
ExInitializeNPagedLookasideList(PNPAGED_LOOKASIDE_LIST Lookaside, PALLOCATE_FUNCTION Allocate,
                                PFREE_FUNCTION Free, ULONG Flags, SIZE_T Size, ULONG Tag, USHORT Depth)
{
    UNREFERENCED_PARAMETER(Depth);
    MipInitializeList((PMIP_LOOKASIDE)&Lookaside->L, (PVOID)(ULONG_PTR)Allocate, (PVOID)(ULONG_PTR)Free,
                      NonPagedPool | (Flags & (POOL_RAISE_IF_ALLOCATION_FAILURE | POOL_NX_ALLOCATION)), Size,
                      Tag);
}
NTEXPORT(ExInitializeNPagedLookasideList);

/* The same for entries in paged pool; the head is nonpaged all the same. POOL_NX_ALLOCATION changes nothing.
 * <= APC_LEVEL. */
VOID NTAPI
ExInitializePagedLookasideList(PPAGED_LOOKASIDE_LIST Lookaside, PALLOCATE_FUNCTION Allocate,
                               PFREE_FUNCTION Free, ULONG Flags, SIZE_T Size, ULONG Tag, USHORT Depth)
{
    UNREFERENCED_PARAMETER(Depth);
    MipInitializeList((PMIP_LOOKASIDE)&Lookaside->L, (PVOID)(ULONG_PTR)Allocate, (PVOID)(ULONG_PTR)Free,
                      PagedPool | (Flags & POOL_RAISE_IF_ALLOCATION_FAILURE), Size, Tag);
}
NTEXPORT(ExInitializePagedLookasideList);

/*
 * Make a list for any pool; the routines get the list too. STATUS_INVALID_PARAMETER_4 for a pool type that is
 * none, STATUS_INVALID_PARAMETER_5 for unknown flags, both flags, or FAIL_NO_RAISE without an Allocate
 * routine; then nothing is written. RAISE_ON_FAIL and FAIL_NO_RAISE become the pool type's bits for raising
 * and for NULL from quota routines. <= DISPATCH_LEVEL, paged <= APC_LEVEL.
 */
NTSTATUS NTAPI
ExInitializeLookasideListEx(PLOOKASIDE_LIST_EX Lookaside, PALLOCATE_FUNCTION_EX Allocate,
                            PFREE_FUNCTION_EX Free, POOL_TYPE PoolType, ULONG Flags, SIZE_T Size, ULONG Tag,
                            USHORT Depth)
{
    ULONG Type = (ULONG)PoolType;

    UNREFERENCED_PARAMETER(Depth);
    if (Type & ~(ULONG)(PagedPool | NonPagedPoolCacheAligned | NonPagedPoolSession | NonPagedPoolNx)) {
        return STATUS_INVALID_PARAMETER_4;
    }
    switch (Flags) {
    case 0:
        break;
    case EX_LOOKASIDE_LIST_EX_FLAGS_RAISE_ON_FAIL:
        Type |= POOL_RAISE_IF_ALLOCATION_FAILURE;
        break;
    case EX_LOOKASIDE_LIST_EX_FLAGS_FAIL_NO_RAISE:
        if (Allocate == NULL) {
            return STATUS_INVALID_PARAMETER_5;
        }
        Type |= POOL_QUOTA_FAIL_INSTEAD_OF_RAISE;
        break;
    default:
        return STATUS_INVALID_PARAMETER_5;
    }
    MipInitializeList(&Lookaside->L, (PVOID)(ULONG_PTR)Allocate, (PVOID)(ULONG_PTR)Free, Type, Size, Tag);
    return STATUS_SUCCESS;
}
NTEXPORT(ExInitializeLookasideListEx);

/* --- Entries ---------------------------------------------------------------------------------- */

static VOID
MipCheckListIrql(PMIP_LOOKASIDE List)
{
    KIRQL Irql = HalGetIrql();

    if (MiPoolVerify && Irql > ((List->Type & PagedPool) ? APC_LEVEL : DISPATCH_LEVEL)) {
        KeBugCheckEx(DRIVER_VERIFIER_DETECTED_VIOLATION, (List->Type & PagedPool) ? 1 : 2, Irql,
                     (ULONG_PTR)List->Type, List->Size);
    }
}

/* Counters are shared and inexact by design: images increment them without a lock too. */
static VOID
MipCountList(ULONG *Counter)
{
    __atomic_store_n(Counter, __atomic_load_n(Counter, __ATOMIC_RELAXED) + 1, __ATOMIC_RELAXED);
}

static PVOID
MipAllocateEntry(PMIP_LOOKASIDE List)
{
    PVOID Entry;

    MipCheckListIrql(List);
    MipCountList(&List->TotalAllocates);
    Entry = ExpInterlockedPopEntrySList(&List->ListHead);
    if (Entry != NULL) {
        return Entry;
    }
    MipCountList(&List->AllocateMisses);
    if ((PVOID)(ULONG_PTR)List->Allocate == MipDefaultAllocate()) {
        return ExAllocatePoolWithTag(List->Type, List->Size, List->Tag);
    }
    return (PVOID)KiCallImage((PVOID)(ULONG_PTR)List->Allocate, (ULONG_PTR)List->Type, List->Size, List->Tag,
                              (ULONG_PTR)List);
}

static VOID
MipReleaseEntry(PMIP_LOOKASIDE List, PVOID Entry)
{
    if ((PVOID)(ULONG_PTR)List->Free == MipDefaultFree()) {
        ExFreePool(Entry);
    } else {
        KiCallImage((PVOID)(ULONG_PTR)List->Free, (ULONG_PTR)Entry, (ULONG_PTR)List, 0, 0);
    }
}

static VOID
MipFreeEntry(PMIP_LOOKASIDE List, PVOID Entry)
{
    MipCheckListIrql(List);
    MipCountList(&List->TotalFrees);
    if (ExQueryDepthSList(&List->ListHead) < List->Depth) {
        ExpInterlockedPushEntrySList(&List->ListHead, Entry);
        return;
    }
    MipCountList(&List->FreeMisses);
    MipReleaseEntry(List, Entry);
}

static VOID
MipFlushEntries(PMIP_LOOKASIDE List)
{
    PSLIST_ENTRY Entry;

    MipCheckListIrql(List);
    while ((Entry = ExpInterlockedPopEntrySList(&List->ListHead)) != NULL) {
        MipReleaseEntry(List, Entry);
    }
}

static VOID
MipDeleteList(PMIP_LOOKASIDE List)
{
    if (!MipRemoveList(List)) {
        if (MiPoolVerify) {
            KeBugCheckEx(DRIVER_VERIFIER_DETECTED_VIOLATION, 0xCB, (ULONG_PTR)List, 0, 0);
        }
        return;
    }
    MipFlushEntries(List);
}

/*
 * An entry: the one freed last, else a new one from the list's Allocate routine; NULL if that has none.
 * Contents are undefined. <= DISPATCH_LEVEL.
 */
PVOID NTAPI
ExAllocateFromNPagedLookasideList(PNPAGED_LOOKASIDE_LIST Lookaside)
{
    return MipAllocateEntry((PMIP_LOOKASIDE)&Lookaside->L);
}
NTEXPORT(ExAllocateFromNPagedLookasideList);

/* Give an entry back: kept while the list holds fewer than Depth, else freed by the list's Free routine. */
VOID NTAPI
ExFreeToNPagedLookasideList(PNPAGED_LOOKASIDE_LIST Lookaside, PVOID Entry)
{
    MipFreeEntry((PMIP_LOOKASIDE)&Lookaside->L, Entry);
}
NTEXPORT(ExFreeToNPagedLookasideList);

/* Free the entries the list holds and end it; entries that are out stay their owner's. The head is the
 * caller's. */
VOID NTAPI
ExDeleteNPagedLookasideList(PNPAGED_LOOKASIDE_LIST Lookaside)
{
    MipDeleteList((PMIP_LOOKASIDE)&Lookaside->L);
}
NTEXPORT(ExDeleteNPagedLookasideList);

/* As the nonpaged forms, <= APC_LEVEL. */
PVOID NTAPI
ExAllocateFromPagedLookasideList(PPAGED_LOOKASIDE_LIST Lookaside)
{
    return MipAllocateEntry((PMIP_LOOKASIDE)&Lookaside->L);
}
NTEXPORT(ExAllocateFromPagedLookasideList);

VOID NTAPI
ExFreeToPagedLookasideList(PPAGED_LOOKASIDE_LIST Lookaside, PVOID Entry)
{
    MipFreeEntry((PMIP_LOOKASIDE)&Lookaside->L, Entry);
}
NTEXPORT(ExFreeToPagedLookasideList);

VOID NTAPI
ExDeletePagedLookasideList(PPAGED_LOOKASIDE_LIST Lookaside)
{
    MipDeleteList((PMIP_LOOKASIDE)&Lookaside->L);
}
NTEXPORT(ExDeletePagedLookasideList);

/* As the nonpaged forms, at the IRQL of the list's pool; raises if the list was made to. */
PVOID NTAPI
ExAllocateFromLookasideListEx(PLOOKASIDE_LIST_EX Lookaside)
{
    return MipAllocateEntry(&Lookaside->L);
}
NTEXPORT(ExAllocateFromLookasideListEx);

VOID NTAPI
ExFreeToLookasideListEx(PLOOKASIDE_LIST_EX Lookaside, PVOID Entry)
{
    MipFreeEntry(&Lookaside->L, Entry);
}
NTEXPORT(ExFreeToLookasideListEx);

/* Free the entries the list holds; it can be used on. */
VOID NTAPI
ExFlushLookasideListEx(PLOOKASIDE_LIST_EX Lookaside)
{
    MipFlushEntries(&Lookaside->L);
}
NTEXPORT(ExFlushLookasideListEx);

VOID NTAPI
ExDeleteLookasideListEx(PLOOKASIDE_LIST_EX Lookaside)
{
    MipDeleteList(&Lookaside->L);
}
NTEXPORT(ExDeleteLookasideListEx);
