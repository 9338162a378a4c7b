/*
 * What each processor keeps of the pools: per kind and class two magazines of free slots, and the
 * quarantine of blocks freed lately.
 *
 * A processor's cache is touched only by code running on it at DISPATCH_LEVEL, so the common pop and
 * push take no lock and no shared line. Of a pair, Loaded is in use and Previous is wholly full or
 * wholly empty, so that a sequence that swings around a boundary does not go to the class each time.
 * Magazines move whole between processors through the class (a block freed on another processor than
 * it came from costs one exchange per magazine). Slots are never touched here: those of paged
 * pool may not be resident.
 *
 * Quarantine is a ring per size group: what enters pushes out the oldest, which goes on to the
 * magazines. What was written into a freed block meanwhile is noticed when the slot is used again.
 *
 * Running out of metadata costs speed only: without a magazine slots go straight to their span.
 */
#include "poolp.h"

ULONG
MipMagazineRounds(ULONG Class)
{
    return MiSlotSize[Class] <= 1024 ? MI_MAGAZINE_ROUNDS : 15;
}

static SIZE_T MipFullBytes; /* (C) in the full magazines of a class */

/*
 * How many full magazines a class keeps: enough for a program that holds a thousand blocks, not much of the memory
 * there is, since every slot keeps its span's pages.
 */
static ULONG
MipFullMagazines(ULONG Class)
{
    ULONG Rounds = MipMagazineRounds(Class);
    SIZE_T Slots = MIN(MI_FULL_SLOTS, MipFullBytes / MiSlotSize[Class]);

    return MAX((ULONG)(Slots / Rounds), MI_LEAST_FULL_MAGAZINES);
}

/* Make a magazine, or none, the one in use. */
static VOID
MipLoad(PMI_POOL_CACHE Cache, ULONG Bin, PMI_MAGAZINE Magazine)
{
    PMI_POOL_BIN Place = &Cache->Bins[Bin];

    Place->Loaded = Magazine;
    if (Magazine == NULL) {
        Place->Top = &Cache->Nothing;
        Place->Limit = &Cache->Nothing;
    } else {
        Place->Top = &Magazine->Bottom + Magazine->Count;
        Place->Limit = &Magazine->Bottom + MipMagazineRounds((Bin - 1) % MI_POOL_CLASSES);
    }
}

/* Take the one in use out, with its count put right; NULL if there is none. */
static PMI_MAGAZINE
MipUnload(PMI_POOL_CACHE Cache, ULONG Bin)
{
    PMI_POOL_BIN Place = &Cache->Bins[Bin];
    PMI_MAGAZINE Magazine = Place->Loaded;

    if (Magazine != NULL) {
        Magazine->Count = (ULONG)(Place->Top - &Magazine->Bottom);
    }
    MipLoad(Cache, Bin, NULL);
    return Magazine;
}

VOID
MipInitializeCaches(VOID)
{
    PMI_POOL_CACHE Cache;
    ULONG Number, Bin;

    MipFullBytes = MIN(MI_FULL_BYTES, (MiAvailablePages() << PAGE_SHIFT) / 512);
    for (Number = 0; Number < HalProcessorCount(); Number += 1) {
        Cache = MipAllocateMetaRun(MI_CACHE_PAGES);
        if (Cache == NULL) {
            KeBugCheckEx(INSTALL_MORE_MEMORY, MiAvailablePages(), 0, 0, 0);
        }
        Cache->Node = MIN(HalProcessorPcr(Number)->Node, MiPoolNodeCount - 1);
        for (Bin = 0; Bin < MI_POOL_BINS; Bin += 1) {
            MipLoad(Cache, Bin, NULL);
        }
        Cache->Quarantine = MipAllocateMetaPage(TRUE);
        if (Cache->Quarantine == NULL) {
            KeBugCheckEx(INSTALL_MORE_MEMORY, MiAvailablePages(), 0, 0, 0);
        }
        HalProcessorPcr(Number)->Slots.PoolCache = Cache;
    }
}

/* The bin's class in the memory of this processor's node. */
static PMI_POOL_CLASS
MipBinClass(PMI_POOL_CACHE Cache, ULONG Bin)
{
    return &MiPoolClasses[MipBinKind(Bin)][Cache->Node][(Bin - 1) % MI_POOL_CLASSES];
}

/* --- Out -------------------------------------------------------------------------------------- */

/* Full is a magazine of the class, or NULL; else fill Empty by half from spans. */
static PMI_MAGAZINE
MipTakeFull(PMI_POOL_CLASS Class, PMI_MAGAZINE Empty, ULONG Rounds)
{
    PMI_MAGAZINE Full;

    KiAcquireRankedLock(&Class->Lock, LockRankPoolClass);
    Full = Class->Full;
    if (Full != NULL) {
        Class->Full = Full->Next;
        Class->FullCount -= 1;
    } else {
        Empty->Count = MipTakeSlotsLocked(Class, (Rounds + 1) / 2, Empty->Rounds);
    }
    KiReleaseRankedLock(&Class->Lock);
    return Full;
}

/* The loaded magazine is empty: load one that is not, if there is one. */
static VOID
MipReload(PMI_POOL_CACHE Cache, ULONG Bin)
{
    PMI_POOL_BIN Place = &Cache->Bins[Bin];
    PMI_MAGAZINE Empty = MipUnload(Cache, Bin);
    PMI_MAGAZINE Full;

    if (Place->Previous != NULL && Place->Previous->Count != 0) {
        MipLoad(Cache, Bin, Place->Previous);
        Place->Previous = Empty;
        return;
    }
    if (Empty == NULL) {
        Empty = MipAllocateMetaObject();
        if (Empty == NULL) {
            return;
        }
    }
    Full = MipTakeFull(MipBinClass(Cache, Bin), Empty, MipMagazineRounds((Bin - 1) % MI_POOL_CLASSES));
    if (Full == NULL) {
        MipLoad(Cache, Bin, Empty);
        return;
    }
    MipLoad(Cache, Bin, Full);
    if (Place->Previous == NULL) {
        Place->Previous = Empty;
    } else {
        MipFreeMetaObject(Empty);
    }
}

PVOID
MipPopSlow(PMI_POOL_CACHE Cache, ULONG Bin)
{
    PMI_POOL_CLASS Class = MipBinClass(Cache, Bin);
    PVOID Slot;

    MipReload(Cache, Bin);
    Slot = *Cache->Bins[Bin].Top;
    if (Slot != NULL) {
        Cache->Bins[Bin].Top -= 1;
        return Slot;
    }
    if (Cache->Bins[Bin].Loaded != NULL) {
        return NULL; /* there was a magazine to fill, and nothing to fill it with */
    }
    KiAcquireRankedLock(&Class->Lock, LockRankPoolClass);
    if (MipTakeSlotsLocked(Class, 1, &Slot) == 0) {
        Slot = NULL;
    }
    KiReleaseRankedLock(&Class->Lock);
    return Slot;
}

/* --- In --------------------------------------------------------------------------------------- */

/* Hand a full magazine to the class; TRUE if it wants no more and the caller must empty it. */
static BOOLEAN
MipStoreFull(PMI_POOL_CLASS Class, PMI_MAGAZINE Magazine, ULONG Most)
{
    BOOLEAN Refused;

    KiAcquireRankedLock(&Class->Lock, LockRankPoolClass);
    Refused = Class->FullCount >= Most;
    if (!Refused) {
        Magazine->Next = Class->Full;
        Class->Full = Magazine;
        Class->FullCount += 1;
    }
    KiReleaseRankedLock(&Class->Lock);
    return Refused;
}

/* An empty magazine for a bin whose Previous is not one: that one's place, once its slots went elsewhere. */
static PMI_MAGAZINE
MipEmptyPrevious(PMI_POOL_CACHE Cache, ULONG Bin)
{
    PMI_MAGAZINE Previous = Cache->Bins[Bin].Previous;

    if (Previous == NULL ||
        !MipStoreFull(MipBinClass(Cache, Bin), Previous, MipFullMagazines((Bin - 1) % MI_POOL_CLASSES))) {
        return MipAllocateMetaObject();
    }
    MipReturnSlots(Previous->Rounds, Previous->Count);
    Previous->Count = 0;
    return Previous;
}

VOID
MipPushSlow(PMI_POOL_CACHE Cache, ULONG Bin, PVOID Slot)
{
    PMI_POOL_BIN Place = &Cache->Bins[Bin];
    PMI_MAGAZINE Full = MipUnload(Cache, Bin);
    PMI_MAGAZINE Empty = Place->Previous;

    if (Empty == NULL || Empty->Count != 0) {
        Empty = MipEmptyPrevious(Cache, Bin);
    }
    Place->Previous = Full;
    MipLoad(Cache, Bin, Empty);
    if (Empty == NULL) {
        /* No magazine in use and a full Previous is a state like any other: pop swaps, push comes here. */
        MipReturnSlots(&Slot, 1);
        return;
    }
    Place->Top += 1;
    *Place->Top = Slot;
}

/* --- Quarantine ------------------------------------------------------------------------------------------
 */

static ULONG64
MipPackSlot(PVOID Slot, ULONG Bin)
{
    return ((ULONG64)(ULONG_PTR)Slot << 8) | Bin;
}

/* The address's upper bits all equal bit 47, so eight of them can be shifted out and restored. */
static PVOID
MipUnpackSlot(ULONG64 Packed)
{
    return (PVOID)(ULONG_PTR)((LONG64)Packed >> 8);
}

VOID
MipHoldSlot(PMI_POOL_CACHE Cache, ULONG Bin, PVOID Slot)
{
    PMI_POOL_QUARANTINE Ring = &Cache->Quarantine[MipBinKind(Bin)];
    ULONG64 *Place, Oldest;

    if (MipBinSlotSize(Bin) <= 512) {
        Place = &Ring->Small[Ring->SmallNext];
        Ring->SmallNext = (Ring->SmallNext + 1) % MI_SMALL_HELD;
    } else {
        Place = &Ring->Medium[Ring->MediumNext];
        Ring->MediumNext = (Ring->MediumNext + 1) % MI_MEDIUM_HELD;
    }
    Oldest = *Place;
    *Place = MipPackSlot(Slot, Bin);
    if (Oldest != 0) {
        MipPush(Cache, (ULONG)(Oldest & 0xFF), MipUnpackSlot(Oldest));
    }
}

PVOID
MipHoldRun(PMI_POOL_CACHE Cache, MI_POOL_KIND Kind, PVOID Run)
{
    PMI_POOL_QUARANTINE Ring = &Cache->Quarantine[Kind];
    PVOID Oldest = __atomic_exchange_n(&Ring->Runs[Ring->RunNext], Run, __ATOMIC_ACQ_REL);

    Ring->RunNext = (Ring->RunNext + 1) % MI_RUNS_HELD;
    return Oldest;
}

/* --- Flushing --------------------------------------------------------------------------------------------
 */

/* Take one held run out, of whichever processor, since these are large; NULL if there is none. */
static PVOID
MipTakeHeldRun(MI_POOL_KIND Kind)
{
    PMI_POOL_CACHE Cache;
    PVOID Run = NULL;
    ULONG Number, Index;

    for (Number = 0; Number < HalProcessorCount() && Run == NULL; Number += 1) {
        Cache = HalProcessorPcr(Number)->Slots.PoolCache;
        for (Index = 0; Index < MI_RUNS_HELD && Run == NULL && Cache != NULL; Index += 1) {
            Run = __atomic_exchange_n(&Cache->Quarantine[Kind].Runs[Index], NULL, __ATOMIC_ACQ_REL);
        }
    }
    return Run;
}

static VOID
MipReleaseHeldRuns(MI_POOL_KIND Kind)
{
    PVOID Run;

    while ((Run = MipTakeHeldRun(Kind)) != NULL) {
        MipReleaseHeldRun(Run);
    }
}

static VOID
MipFlushRing(ULONG64 *Ring, ULONG Count)
{
    PVOID Slot;
    ULONG Index;

    for (Index = 0; Index < Count; Index += 1) {
        if (Ring[Index] != 0) {
            Slot = MipUnpackSlot(Ring[Index]);
            Ring[Index] = 0;
            MipReturnSlots(&Slot, 1);
        }
    }
}

static VOID
MipFlushMagazine(PMI_MAGAZINE Magazine)
{
    if (Magazine != NULL) {
        MipReturnSlots(Magazine->Rounds, Magazine->Count);
        MipFreeMetaObject(Magazine);
    }
}

/* The part of a flush that runs at DISPATCH_LEVEL on the processor concerned. */
static VOID
MipFlushSlots(PMI_POOL_CACHE Cache, MI_POOL_KIND Kind)
{
    PMI_MAGAZINE Previous;
    ULONG Class, Bin;

    MipFlushRing(Cache->Quarantine[Kind].Small, MI_SMALL_HELD);
    MipFlushRing(Cache->Quarantine[Kind].Medium, MI_MEDIUM_HELD);
    for (Class = 0; Class < MI_POOL_CLASSES; Class += 1) {
        Bin = MipBin(Kind, Class);
        Previous = Cache->Bins[Bin].Previous;
        Cache->Bins[Bin].Previous = NULL;
        MipFlushMagazine(MipUnload(Cache, Bin));
        MipFlushMagazine(Previous);
    }
}

/*
 * Give back what no processor has: held runs, full magazines, free spans, segments without a block. Before a request
 * fails the last matter too: their pages may be free for want of a record to describe their use.
 */
static VOID
MipTrimKind(MI_POOL_KIND Kind)
{
    ULONG Node, Class;

    MipReleaseHeldRuns(Kind);
    for (Node = 0; Node < MiPoolNodeCount; Node += 1) {
        for (Class = 0; Class < MI_POOL_CLASSES; Class += 1) {
            MipTrimClass(Kind, Node, Class);
        }
    }
    MipTrimSegments(Kind);
}

VOID
MipFlushCache(MI_POOL_KIND Kind)
{
    KIRQL OldIrql = KiRaiseIrqlToDispatch();

    MipFlushSlots(MipCurrentCache(), Kind);
    KiLowerIrql(OldIrql);
    MipTrimKind(Kind);
}

VOID
MiReclaimPools(VOID)
{
    MipFlushCache(MiPoolNonPagedNx);
    MipFlushCache(MiPoolNonPagedExecute);
}

/* --- Trimming every processor ------------------------------------------------------------------------------
 */

/* On each processor: its slots go back. */
static VOID NTAPI
MipTrimDpc(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    ULONG Kind;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument2);
    for (Kind = 0; Kind < MiPoolKinds; Kind += 1) {
        MipFlushSlots(MipCurrentCache(), (MI_POOL_KIND)Kind);
    }
    KeSetEvent(Argument1, IO_NO_INCREMENT, FALSE);
}

static VOID
MipTrimProcessor(ULONG Number)
{
    KEVENT Done;
    KDPC Dpc;

    KeInitializeEvent(&Done, NotificationEvent, FALSE);
    KeInitializeDpc(&Dpc, MipTrimDpc, NULL);
    KeSetTargetProcessorDpc(&Dpc, (CCHAR)Number);
    KeInsertQueueDpc(&Dpc, &Done, NULL);
    KeWaitForSingleObject(&Done, Executive, KernelMode, FALSE, NULL);
}

VOID
MiTrimPools(VOID)
{
    HAL_AFFINITY Processors = KiActiveProcessors();
    ULONG Number, Kind;

    for (Number = 0; Number < HAL_MAXIMUM_PROCESSORS; Number += 1) {
        if ((Processors >> Number) & 1) {
            MipTrimProcessor(Number);
        }
    }
    for (Kind = 0; Kind < MiPoolKinds; Kind += 1) {
        MipTrimKind((MI_POOL_KIND)Kind);
    }
    MipTrimMeta();
}
