/*
 * Physical memory as drivers see and change it: the ranges of RAM, memory added and removed while
 * the machine runs.
 *
 * Ranges are only ever appended, so readers need no lock; a removed range stays in the table and
 * its frames are Absent. One push lock (MipConfigLock) keeps those who add, remove or list from
 * each other; nothing is allocated under it. Memory added brings along the pages for its own extent
 * bytes.
 *
 * PASSIVE_LEVEL or APC_LEVEL as documented for each routine.
 */
#include "physp.h"

#include <ke/push.h>
#include <ntexport.h>

#define MIP_RANGES_TAG 0x61526D4Du /* 'MmRa' */

static EX_PUSH_LOCK MipConfigLock;

static VOID
MipLockConfig(VOID)
{
    KeEnterCriticalRegion();
    KiAcquirePushLockExclusive(&MipConfigLock, LockRankSystemSpace);
}

static VOID
MipUnlockConfig(VOID)
{
    KiReleasePushLockExclusive(&MipConfigLock);
    KeLeaveCriticalRegion();
}

/* --- Listing ---------------------------------------------------------------------------------- */

/* Runs of RAM in ascending order; Entries NULL only counts. */
typedef struct _MI_RANGE_LISTER {
    PPHYSICAL_MEMORY_RANGE Entries;
    ULONG Room;
    ULONG Count;
    PFN_NUMBER Base;    /* of the run being gathered */
    PFN_NUMBER End;
} MI_RANGE_LISTER, *PMI_RANGE_LISTER;

static VOID
MipEndRun(PMI_RANGE_LISTER Lister)
{
    if (Lister->Base == Lister->End) {
        return;
    }
    if (Lister->Count < Lister->Room) {
        Lister->Entries[Lister->Count].BaseAddress.QuadPart =
            (LONGLONG)(Lister->Base << PAGE_SHIFT);
        Lister->Entries[Lister->Count].NumberOfBytes.QuadPart =
            (LONGLONG)((Lister->End - Lister->Base) << PAGE_SHIFT);
    }
    Lister->Count += 1;
}

static VOID
MipListRun(PMI_RANGE_LISTER Lister, PFN_NUMBER Base, PFN_NUMBER End)
{
    if (Lister->End != Base) {
        MipEndRun(Lister);
        Lister->Base = Base;
    }
    Lister->End = End;
}

/* A range of which something was removed, frame by frame. */
static VOID
MipListPresentFrames(PMI_RANGE_LISTER Lister, const MI_RANGE *Range)
{
    for (SIZE_T Index = 0; Index < Range->ExtentCount; Index++) {
        PFN_NUMBER First = MipExtentFirst(Range, Index);
        PFN_NUMBER End = First + MipExtentPages(Range, Index);

        switch (MipExtentState(Range, Index)) {
        case MiExtentAbsent:
            break;
        case MiExtentCarved:
            for (PFN_NUMBER Frame = First; Frame < End; Frame++) {
                if (MiFrameLocation(Frame) != MiLocationAbsent) {
                    MipListRun(Lister, Frame, Frame + 1);
                }
            }
            break;
        default:
            MipListRun(Lister, First, End);
            break;
        }
    }
}

/* The range with the lowest base that is not below From; NULL at the end. */
static PMI_RANGE
MipNextRange(PFN_NUMBER From)
{
    PMI_RANGE Next = NULL;

    for (ULONG Number = 0; Number < MiRangeCount; Number++) {
        PMI_RANGE Range = &MiRanges[Number];

        if (Range->Base >= From && (Next == NULL || Range->Base < Next->Base)) {
            Next = Range;
        }
    }
    return Next;
}

/* Config lock held. Returns how many runs there are. */
static ULONG
MipListRangesLocked(PPHYSICAL_MEMORY_RANGE Entries, ULONG Room)
{
    MI_RANGE_LISTER Lister = {.Entries = Entries, .Room = Room};
    PMI_RANGE Range;

    for (Range = MipNextRange(0); Range != NULL; Range = MipNextRange(Range->End)) {
        if (Range->AbsentPages != 0) {
            MipListPresentFrames(&Lister, Range);
        } else if (Range->Type != HalMemoryBad) {
            MipListRun(&Lister, Range->Base, Range->End);
        }
    }
    MipEndRun(&Lister);
    return Lister.Count;
}

/*
 * The ranges of RAM as an array in nonpaged pool, ended by an element of zeroes; the caller frees
 * it with ExFreePool. A snapshot. NULL if there is no pool. PASSIVE_LEVEL.
 */
PPHYSICAL_MEMORY_RANGE NTAPI
MmGetPhysicalMemoryRanges(VOID)
{
    PPHYSICAL_MEMORY_RANGE Entries;
    ULONG Count;
    ULONG Room;

    MipLockConfig();
    Count = MipListRangesLocked(NULL, 0);
    MipUnlockConfig();
    do {
        Room = Count;
        Entries = ExAllocatePool2(POOL_FLAG_NON_PAGED, (Room + 1) * sizeof(*Entries),
                                  MIP_RANGES_TAG);
        if (Entries == NULL) {
            return NULL;
        }
        MipLockConfig();
        Count = MipListRangesLocked(Entries, Room);
        MipUnlockConfig();
        if (Count > Room) {
            ExFreePoolWithTag(Entries, MIP_RANGES_TAG);
        }
    } while (Count > Room);
    RtlZeroMemory(&Entries[Count], (Room + 1 - Count) * sizeof(*Entries));
    return Entries;
}
NTEXPORT(MmGetPhysicalMemoryRanges);

/*
 * The same for one memory partition: there is the system's only, which NULL names. NULL otherwise.
 */
PPHYSICAL_MEMORY_RANGE NTAPI
MmGetPhysicalMemoryRangesEx(PVOID PartitionObject)
{
    return PartitionObject == NULL ? MmGetPhysicalMemoryRanges() : NULL;
}
NTEXPORT(MmGetPhysicalMemoryRangesEx);

/*
 * The same with flags: memory that only files may use, of which there is none, and all partitions.
 * NULL for a flag that is not known.
 */
PPHYSICAL_MEMORY_RANGE NTAPI
MmGetPhysicalMemoryRangesEx2(PVOID PartitionObject, ULONG Flags)
{
    ULONG Known = MM_GET_PHYSICAL_MEMORY_RANGES_INCLUDE_FILE_ONLY |
                  MM_GET_PHYSICAL_MEMORY_RANGES_INCLUDE_ALL_PARTITIONS;

    if ((Flags & ~Known) != 0) {
        return NULL;
    }
    return MmGetPhysicalMemoryRangesEx(PartitionObject);
}
NTEXPORT(MmGetPhysicalMemoryRangesEx2);

/* --- Adding ----------------------------------------------------------------------------------- */

static BOOLEAN
MipOverlapsKnownRange(PFN_NUMBER First, SIZE_T PageCount)
{
    for (ULONG Number = 0; Number < MiRangeCount; Number++) {
        if (First < MiRanges[Number].End && MiRanges[Number].Base < First + PageCount) {
            return TRUE;
        }
    }
    return FALSE;
}

/* Is all of [First, First + PageCount) removed memory of one range? */
static BOOLEAN
MipIsRemovedRun(PMI_RANGE Range, PFN_NUMBER First, SIZE_T PageCount)
{
    if (Range == NULL || First + PageCount > Range->End) {
        return FALSE;
    }
    for (PFN_NUMBER Frame = First; Frame < First + PageCount; Frame++) {
        MI_EXTENT_STATE State = MipExtentState(Range, MipExtentIndex(Range, Frame));

        if (State != MiExtentAbsent &&
            (State != MiExtentCarved || MiFrameLocation(Frame) != MiLocationAbsent)) {
            return FALSE;
        }
    }
    return TRUE;
}

/* The node of the nearest memory below, else of any. */
static PMI_NODE
MipNodeForAddedRun(PFN_NUMBER First)
{
    PMI_RANGE Nearest = &MiRanges[0];

    for (ULONG Number = 1; Number < MiRangeCount; Number++) {
        PMI_RANGE Range = &MiRanges[Number];

        if (Range->Base < First && (Nearest->Base > First || Range->Base > Nearest->Base)) {
            Nearest = Range;
        }
    }
    return Nearest->Node;
}

/* Pages for the extent bytes of a run and of the permanent range that holds them. */
static SIZE_T
MipExtentBytePages(PFN_NUMBER First, SIZE_T PageCount)
{
    SIZE_T Bytes = MipExtentCountOf(First, PageCount);
    SIZE_T Pages = (Bytes + PAGE_SIZE - 1) / PAGE_SIZE;

    return (Bytes + MipExtentCountOf(First, Pages) + PAGE_SIZE - 1) / PAGE_SIZE;
}

/* New memory goes into the table. Config lock held. */
static NTSTATUS
MipAddNewRun(PFN_NUMBER First, SIZE_T PageCount)
{
    SIZE_T AreaPages = MipExtentBytePages(First, PageCount);
    PMI_NODE Node = MipNodeForAddedRun(First);
    PUCHAR Area;
    NTSTATUS Status;

    if (First < Node->Base || First + PageCount - Node->Base >= MAXULONG) {
        return STATUS_NOT_SUPPORTED;
    }
    if (PageCount <= AreaPages || MiRangeCount + 2 > MI_MAXIMUM_RANGES) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    Status = HalExtendPermanentMaps(First, PageCount);
    if (!NT_SUCCESS(Status)) {
        return Status;
    }

    Area = HalFrameAddress(First);
    RtlZeroMemory(Area, AreaPages * PAGE_SIZE);
    MipAddRange(First, AreaPages, HalMemoryPermanent, Node, Area);
    MipAddRange(First + AreaPages, PageCount - AreaPages, HalMemoryFree, Node,
                Area + MipExtentCountOf(First, AreaPages));
    __atomic_fetch_add(&MiTotalPages, PageCount, __ATOMIC_RELAXED);
    MipAddUsablePages(PageCount - AreaPages);
    MipReturnTokens(PageCount - AreaPages);
    return STATUS_SUCCESS;
}

/* Removed memory comes back, contents unknown. Config lock held. */
static VOID
MipReviveRun(PMI_RANGE Range, PFN_NUMBER First, SIZE_T PageCount)
{
    for (PFN_NUMBER Frame = First; Frame < First + PageCount;) {
        SIZE_T Index = MipExtentIndex(Range, Frame);
        KIRQL OldIrql = KiRaiseIrqlToDispatch();

        if (MipExtentState(Range, Index) == MiExtentAbsent) {
            MipSplitAbsentExtent(Range, Index);
        }
        MipPushFrames(Range->Node, &Frame, 1, MiLocationFree);
        KiLowerIrql(OldIrql);
        Frame++;
    }
    __atomic_fetch_sub(&Range->AbsentPages, (LONG64)PageCount, __ATOMIC_RELAXED);
    __atomic_fetch_add(&MiTotalPages, PageCount, __ATOMIC_RELAXED);
    MipAddUsablePages(PageCount);
    MipReturnTokens(PageCount);
}

/*
 * Add [*StartAddress, + *NumberOfBytes) to the memory in use; *NumberOfBytes receives what was
 * accepted. STATUS_CONFLICTING_ADDRESSES if some of it is known already, STATUS_NOT_SUPPORTED if
 * the machine has no room for its records, STATUS_INSUFFICIENT_RESOURCES,
 * STATUS_INVALID_PARAMETER_1 or _2 for an unaligned range. IRQL <= APC_LEVEL.
 */
NTSTATUS NTAPI
MmAddPhysicalMemory(PPHYSICAL_ADDRESS StartAddress, PLARGE_INTEGER NumberOfBytes)
{
    PFN_NUMBER First;
    SIZE_T PageCount;
    NTSTATUS Status = MipCheckPhysicalRange(StartAddress, NumberOfBytes, &First, &PageCount);

    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    MipLockConfig();
    if (MipIsRemovedRun(MipFindRange(First), First, PageCount)) {
        MipReviveRun(MipFindRange(First), First, PageCount);
    } else if (MipOverlapsKnownRange(First, PageCount)) {
        Status = STATUS_CONFLICTING_ADDRESSES;
    } else {
        Status = MipAddNewRun(First, PageCount);
    }
    MipUnlockConfig();
    return Status;
}
NTEXPORT(MmAddPhysicalMemory);

/* --- Removing --------------------------------------------------------------------------------- */

/* Frames of a run that the caller owns leave the machine. */
static VOID
MipMakeRunAbsent(PMI_RANGE Range, PFN_NUMBER First, SIZE_T PageCount)
{
    PFN_NUMBER End = First + PageCount;

    for (PFN_NUMBER Frame = First; Frame < End;) {
        SIZE_T Index = MipExtentIndex(Range, Frame);
        KIRQL OldIrql = KiRaiseIrqlToDispatch();

        HalFrameReleased(Frame);
        if (MipExtentState(Range, Index) == MiExtentWhole &&
            MipClaimExtent(Range, Index, MiExtentWhole)) {
            RtlZeroMemory(MiPfn(Frame), sizeof(MMPFN));
            MipPublishExtent(Range, Index, MiExtentAbsent);
            Frame += MI_EXTENT_PAGES;
        } else {
            MipChangeState(MiPfn(Frame), ~MI_PFN_LOCK, MI_LOCATION_BITS(MiLocationAbsent));
            Frame++;
        }
        KiLowerIrql(OldIrql);
    }
    __atomic_fetch_add(&Range->AbsentPages, (LONG64)PageCount, __ATOMIC_RELAXED);
    __atomic_fetch_sub(&MiTotalPages, PageCount, __ATOMIC_RELAXED);
}

/*
 * The part of [Frame, End) in the range of its first frame; NULL if that frame is no usable memory.
 */
static PMI_RANGE
MipPartOfRun(PFN_NUMBER Frame, PFN_NUMBER End, SIZE_T *PageCount)
{
    PMI_RANGE Range = MipFindRange(Frame);

    if (Range == NULL || !MiIsRamFrame(Frame)) {
        return NULL;
    }
    if (Range->Type == HalMemoryPermanent) {
        KeBugCheckEx(MEMORY_MANAGEMENT, 0x03030308, Frame, Range->Base, Range->End - Range->Base);
    }
    *PageCount = (End < Range->End ? End : Range->End) - Frame;
    return Range;
}

/* Own every frame of the run, or none. Parts in different ranges are had one after the other. */
static NTSTATUS
MipOwnRun(PFN_NUMBER First, SIZE_T PageCount)
{
    PFN_NUMBER End = First + PageCount;
    PFN_NUMBER Frame = First;
    NTSTATUS Status = STATUS_SUCCESS;
    SIZE_T Part;

    while (Frame < End) {
        PMI_RANGE Range = MipPartOfRun(Frame, End, &Part);

        if (Range == NULL) {
            Status = STATUS_INVALID_PARAMETER_1;
            break;
        }
        if (MiGetContiguousFrames(0, MM_ANY_NODE_OK, MiUseDriverLocked, Part, Frame,
                                  Frame + Part - 1, 1, 0) == MI_NO_FRAME) {
            Status = STATUS_NO_MEMORY;
            break;
        }
        Frame += Part;
    }
    if (!NT_SUCCESS(Status)) {
        for (PFN_NUMBER Owned = First; Owned < Frame; Owned += Part) {
            (VOID)MipPartOfRun(Owned, Frame, &Part);
            MiFreeContiguousFrames(Owned, Part);
        }
    }
    return Status;
}

/*
 * Take [*StartAddress, + *NumberOfBytes) out of the machine. All its pages must be free, or
 * standby: else STATUS_NO_MEMORY, and nothing changes; the same if commit or locked pages need it.
 * Memory that the machine keeps for itself is bug check 0x1A/0x03030308. STATUS_INVALID_PARAMETER_1
 * or _2 for a range that is not whole pages of memory. IRQL <= APC_LEVEL.
 */
NTSTATUS NTAPI
MmRemovePhysicalMemory(PPHYSICAL_ADDRESS StartAddress, PLARGE_INTEGER NumberOfBytes)
{
    PFN_NUMBER First;
    SIZE_T PageCount;
    SIZE_T Part;
    NTSTATUS Status = MipCheckPhysicalRange(StartAddress, NumberOfBytes, &First, &PageCount);

    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    MipLockConfig();
    if (!MipTryRemoveUsablePages(PageCount)) {
        Status = STATUS_NO_MEMORY;
    } else {
        Status = MipOwnRun(First, PageCount);
        if (!NT_SUCCESS(Status)) {
            MipAddUsablePages(PageCount);
        }
    }
    if (NT_SUCCESS(Status)) {
        for (PFN_NUMBER Frame = First; Frame < First + PageCount; Frame += Part) {
            PMI_RANGE Range = MipPartOfRun(Frame, First + PageCount, &Part);

            MipMakeRunAbsent(Range, Frame, Part);
        }
    }
    MipUnlockConfig();
    return Status;
}
NTEXPORT(MmRemovePhysicalMemory);
