/*
 * What each processor keeps of the pools: per kind and class two magazines of free slots, and the
 * quarantine of blocks freed lately.
 *
 * A processor's cache is touched only by code running on it at DISPATCH_LEVEL, so the common pop and
 * push take no lock and no shared line. Of a pair, Loaded is in use and Previous is wholly full or
 * wholly empty, so that a sequence that swings around a boundary does not go to the class each time.
 * Magazines move whole between processors through the class (a block freed on another processor than
 * it came from costs one exchange per sixty). Slots are looked at, never written here: those of paged
 * pool may not be resident.
 *
 * Quarantine is a ring per size group: what enters pushes out the oldest, which goes on to the
 * magazines. What was written into a freed block meanwhile is noticed when the slot is used again.
 *
 * Running out of metadata costs speed only: without a magazine slots go straight to their span.
 */
#include "poolp.h"

UCHAR MiMagazineRounds[MI_POOL_CLASSES];

ULONG
MipMagazineRounds(ULONG Class)
{
    return MiSlotSize[Class] <= 256 ? MI_MAGAZINE_ROUNDS : MiSlotSize[Class] <= 1024 ? 30 : 15;
}

VOID
MipInitializeCaches(VOID)
{
    PMI_POOL_CACHE Cache;
    ULONG Number, Class;

    for (Class = 0; Class < MI_POOL_CLASSES; Class += 1) {
        MiMagazineRounds[Class] = (UCHAR)MipMagazineRounds(Class);
    }
    for (Number = 0; Number < HalProcessorCount(); Number += 1) {
        Cache = MipAllocateMetaPage(TRUE);
        if (Cache == NULL) {
            KeBugCheckEx(INSTALL_MORE_MEMORY, MiAvailablePages(), 0, 0, 0);
        }
        Cache->Node = MIN(HalProcessorPcr(Number)->Node, MiPoolNodeCount - 1);
        Cache->Quarantine = MipAllocateMetaPage(TRUE);
        if (Cache->Quarantine == NULL) {
            KeBugCheckEx(INSTALL_MORE_MEMORY, MiAvailablePages(), 0, 0, 0);
        }
        HalProcessorPcr(Number)->Slots.PoolCache = Cache;
    }
}

static VOID
MipSwapPair(MI_MAGAZINE_PAIR *Pair)
{
    PMI_MAGAZINE Magazine = Pair->Loaded;

    Pair->Loaded = Pair->Previous;
    Pair->Previous = Magazine;
}

/* --- Out -------------------------------------------------------------------------------------- */

/* Trade the empty Loaded for a full magazine of the class, or fill it by half from spans. */
static BOOLEAN
MipReload(PMI_POOL_CLASS Class, MI_MAGAZINE_PAIR *Pair, ULONG Rounds)
{
    PMI_MAGAZINE Spare = NULL;

    KiAcquireRankedLock(&Class->Lock, LockRankPoolClass);
    if (Class->Full != NULL) {
        Spare = Pair->Previous;
        Pair->Previous = Pair->Loaded;
        Pair->Loaded = Class->Full;
        Class->Full = Pair->Loaded->Next;
        Class->FullCount -= 1;
    } else {
        Pair->Loaded->Count = MipTakeSlotsLocked(Class, (Rounds + 1) / 2, Pair->Loaded->Rounds);
    }
    KiReleaseRankedLock(&Class->Lock);
    if (Spare != NULL) {
        MipFreeMetaObject(Spare);
    }
    return Pair->Loaded->Count != 0;
}

PVOID
MipPopSlow(PMI_POOL_CACHE Cache, MI_POOL_KIND Kind, ULONG Class)
{
    PMI_POOL_CLASS Pool = &MiPoolClasses[Kind][Cache->Node][Class];
    MI_MAGAZINE_PAIR *Pair = &Cache->Pair[Kind][Class];
    PVOID Slot;

    if (Pair->Previous != NULL && Pair->Previous->Count != 0) {
        MipSwapPair(Pair);
        return Pair->Loaded->Rounds[--Pair->Loaded->Count];
    }
    if (Pair->Loaded == NULL) {
        Pair->Loaded = MipAllocateMetaObject();
    }
    if (Pair->Loaded != NULL) {
        return MipReload(Pool, Pair, MipMagazineRounds(Class)) ? Pair->Loaded->Rounds[--Pair->Loaded->Count]
                                                               : NULL;
    }
    KiAcquireRankedLock(&Pool->Lock, LockRankPoolClass);
    if (MipTakeSlotsLocked(Pool, 1, &Slot) == 0) {
        Slot = NULL;
    }
    KiReleaseRankedLock(&Pool->Lock);
    return Slot;
}

/* --- In --------------------------------------------------------------------------------------- */

/* Hand a full magazine to the class; TRUE if it wants no more and the caller must empty it. */
static BOOLEAN
MipStoreFull(PMI_POOL_CLASS Class, PMI_MAGAZINE Magazine)
{
    BOOLEAN Refused;

    KiAcquireRankedLock(&Class->Lock, LockRankPoolClass);
    Refused = Class->FullCount >= MI_FULL_MAGAZINES;
    if (!Refused) {
        Magazine->Next = Class->Full;
        Class->Full = Magazine;
        Class->FullCount += 1;
    }
    KiReleaseRankedLock(&Class->Lock);
    return Refused;
}

VOID
MipPushSlow(PMI_POOL_CACHE Cache, MI_POOL_KIND Kind, ULONG Class, PVOID Slot)
{
    MI_MAGAZINE_PAIR *Pair = &Cache->Pair[Kind][Class];
    PMI_MAGAZINE Fresh;

    if (Pair->Previous != NULL && Pair->Previous->Count == 0) {
        MipSwapPair(Pair);
    } else {
        if (Pair->Previous != NULL) {
            if (MipStoreFull(&MiPoolClasses[Kind][Cache->Node][Class], Pair->Previous)) {
                MipReturnSlots(Pair->Previous->Rounds, Pair->Previous->Count);
                Pair->Previous->Count = 0;
                Fresh = Pair->Previous;
            } else {
                Fresh = MipAllocateMetaObject();
            }
        } else {
            Fresh = MipAllocateMetaObject();
        }
        Pair->Previous = Pair->Loaded;
        Pair->Loaded = Fresh;
    }
    if (Pair->Loaded == NULL) {
        /* Loaded NULL with a full Previous is a state like any other: pop swaps, push comes here. */
        MipReturnSlots(&Slot, 1);
        return;
    }
    Pair->Loaded->Rounds[Pair->Loaded->Count++] = Slot;
}

/* --- Quarantine ------------------------------------------------------------------------------------------
 */

static ULONG64
MipPackSlot(PVOID Slot, ULONG Class)
{
    return ((ULONG64)(ULONG_PTR)Slot << 8) | Class;
}

/* The address's upper bits all equal bit 47, so eight of them can be shifted out and restored. */
static PVOID
MipUnpackSlot(ULONG64 Packed)
{
    return (PVOID)(ULONG_PTR)((LONG64)Packed >> 8);
}

VOID
MipHoldSlot(PMI_POOL_CACHE Cache, MI_POOL_KIND Kind, ULONG Class, PVOID Slot)
{
    PMI_POOL_QUARANTINE Ring = &Cache->Quarantine[Kind];
    ULONG64 *Place, Oldest;

    if (MiSlotSize[Class] <= 512) {
        Place = &Ring->Small[Ring->SmallNext];
        Ring->SmallNext = (Ring->SmallNext + 1) % MI_SMALL_HELD;
    } else {
        Place = &Ring->Medium[Ring->MediumNext];
        Ring->MediumNext = (Ring->MediumNext + 1) % MI_MEDIUM_HELD;
    }
    Oldest = *Place;
    *Place = MipPackSlot(Slot, Class);
    if (Oldest != 0) {
        MipPush(Cache, Kind, (ULONG)(Oldest & 0xFF), MipUnpackSlot(Oldest));
    }
}

PVOID
MipHoldRun(PMI_POOL_CACHE Cache, MI_POOL_KIND Kind, PVOID Run)
{
    PMI_POOL_QUARANTINE Ring = &Cache->Quarantine[Kind];
    PVOID Oldest = Ring->Runs[Ring->RunNext];

    Ring->Runs[Ring->RunNext] = Run;
    Ring->RunNext = (Ring->RunNext + 1) % MI_RUNS_HELD;
    return Oldest;
}

/* --- Flushing --------------------------------------------------------------------------------------------
 */

/* Take one held run out; NULL if there is none. */
static PVOID
MipTakeHeldRun(MI_POOL_KIND Kind)
{
    KIRQL OldIrql = KiRaiseIrqlToDispatch();
    PMI_POOL_QUARANTINE Ring = &MipCurrentCache()->Quarantine[Kind];
    PVOID Run = NULL;
    ULONG Index;

    for (Index = 0; Index < MI_RUNS_HELD && Run == NULL; Index += 1) {
        Run = Ring->Runs[Index];
        Ring->Runs[Index] = NULL;
    }
    KiLowerIrql(OldIrql);
    return Run;
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
MipFlushMagazine(PMI_MAGAZINE *Place)
{
    PMI_MAGAZINE Magazine = *Place;

    *Place = NULL;
    if (Magazine != NULL) {
        MipReturnSlots(Magazine->Rounds, Magazine->Count);
        MipFreeMetaObject(Magazine);
    }
}

/* The part of a flush that runs at DISPATCH_LEVEL on the processor concerned. */
static VOID
MipFlushSlots(PMI_POOL_CACHE Cache, MI_POOL_KIND Kind)
{
    ULONG Class;

    MipFlushRing(Cache->Quarantine[Kind].Small, MI_SMALL_HELD);
    MipFlushRing(Cache->Quarantine[Kind].Medium, MI_MEDIUM_HELD);
    for (Class = 0; Class < MI_POOL_CLASSES; Class += 1) {
        MipFlushMagazine(&Cache->Pair[Kind][Class].Loaded);
        MipFlushMagazine(&Cache->Pair[Kind][Class].Previous);
    }
}

VOID
MipFlushCache(MI_POOL_KIND Kind)
{
    ULONG Node, Class;
    KIRQL OldIrql;
    PVOID Run;

    while ((Run = MipTakeHeldRun(Kind)) != NULL) {
        MipReleaseHeldRun(Run);
    }
    OldIrql = KiRaiseIrqlToDispatch();
    MipFlushSlots(MipCurrentCache(), Kind);
    KiLowerIrql(OldIrql);
    for (Node = 0; Node < MiPoolNodeCount; Node += 1) {
        for (Class = 0; Class < MI_POOL_CLASSES; Class += 1) {
            MipTrimClass(Kind, Node, Class);
        }
    }
}

/* --- Trimming every processor ------------------------------------------------------------------------------
 */

typedef struct _MIP_TRIM {
    PVOID Runs[MiPoolKinds][MI_RUNS_HELD];
} MIP_TRIM;

/* On each processor: its slots go back, its held runs are handed to the thread that asked. */
static VOID NTAPI
MipTrimDpc(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    PMI_POOL_CACHE Cache = MipCurrentCache();
    MIP_TRIM *Trim = Context;
    ULONG Kind, Index;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument2);
    for (Kind = 0; Kind < MiPoolKinds; Kind += 1) {
        MipFlushSlots(Cache, (MI_POOL_KIND)Kind);
        for (Index = 0; Index < MI_RUNS_HELD; Index += 1) {
            Trim->Runs[Kind][Index] = Cache->Quarantine[Kind].Runs[Index];
            Cache->Quarantine[Kind].Runs[Index] = NULL;
        }
    }
    KeSetEvent(Argument1, IO_NO_INCREMENT, FALSE);
}

static VOID
MipTrimProcessor(ULONG Number)
{
    MIP_TRIM Trim;
    KEVENT Done;
    KDPC Dpc;
    ULONG Kind, Index;

    KeInitializeEvent(&Done, NotificationEvent, FALSE);
    KeInitializeDpc(&Dpc, MipTrimDpc, &Trim);
    KeSetTargetProcessorDpc(&Dpc, (CCHAR)Number);
    KeInsertQueueDpc(&Dpc, &Done, NULL);
    KeWaitForSingleObject(&Done, Executive, KernelMode, FALSE, NULL);
    for (Kind = 0; Kind < MiPoolKinds; Kind += 1) {
        for (Index = 0; Index < MI_RUNS_HELD; Index += 1) {
            if (Trim.Runs[Kind][Index] != NULL) {
                MipReleaseHeldRun(Trim.Runs[Kind][Index]);
            }
        }
    }
}

VOID
MiTrimPools(VOID)
{
    HAL_AFFINITY Processors = KiActiveProcessors();
    ULONG Number, Kind, Node, Class;

    for (Number = 0; Number < HAL_MAXIMUM_PROCESSORS; Number += 1) {
        if ((Processors >> Number) & 1) {
            MipTrimProcessor(Number);
        }
    }
    for (Kind = 0; Kind < MiPoolKinds; Kind += 1) {
        for (Node = 0; Node < MiPoolNodeCount; Node += 1) {
            for (Class = 0; Class < MI_POOL_CLASSES; Class += 1) {
                MipTrimClass((MI_POOL_KIND)Kind, Node, Class);
            }
        }
    }
    MipTrimSegments();
    MipTrimMeta();
}
