/*
 * Executive resources: owned by one thread exclusively or by many at once, recursively in both cases.
 *
 * The spin lock in the resource guards all of it. Owners are entries of a thread (or an owner pointer) and a
 * count: the exclusive owner's and one shared owner's is OwnerEntry, further shared owners are in OwnerTable,
 * a block of pool whose entry 0 holds its size. Waiters are wait blocks on their threads' stacks in two
 * chains, oldest first.
 *
 *                        ExclusiveWaiters: block -> block -> NULL    SharedWaiters: block -> NULL
 *
 * Whoever makes the resource free hands it on before anybody else can take it: from an exclusive owner to all
 * shared waiters, or if there are none to the oldest exclusive one; from the last shared owner to the oldest
 * exclusive waiter. So it is never free while somebody waits. A shared waiter makes room in the table before
 * it waits, because handing on cannot fail.
 *
 * Every resource is on one list, so that storage that is given up with a live resource in it can be found.
 * Levels are Driver Verifier's: 0xC4 with 0x37 (acquire above APC_LEVEL), 0x38 (release above
 * DISPATCH_LEVEL), 0x3D (bad address).
 *
 * Document: "Introduction to ERESOURCE Routines".
 */
#include "ex.h"
#include <mm/phys/inject.h>
#include <ntexport.h>

#define EXP_RESOURCE_EXCLUSIVE 0x80 /* in Flag */
#define EXP_RESOURCE_TAG 0x61547352u /* "RsTa" */
#define EXP_FIRST_TABLE 4u
#define EXP_FAST_FAIL_LIST_ENTRY 3

typedef struct _EXP_RESOURCE_WAIT {
    struct _EXP_RESOURCE_WAIT *Next;
    ERESOURCE_THREAD Owner;
    KEVENT Granted;
} EXP_RESOURCE_WAIT;

typedef enum _EXP_SHARE_MODE {
    ExpShareNormal,
    ExpShareStarveExclusive,
    ExpShareWaitForExclusive
} EXP_SHARE_MODE;

static LIST_ENTRY ExpResources = {&ExpResources, &ExpResources}; /* guarded by ExpResourceListLock */
static ULONG ExpResourceCount;
static KSPIN_LOCK ExpResourceListLock;

static inline ERESOURCE_THREAD
ExpSelf(VOID)
{
    return (ERESOURCE_THREAD)KiCurrentThread();
}

static KIRQL
ExpLockResource(PERESOURCE Resource)
{
    return KiAcquireRankedLockRaise(&Resource->SpinLock, LockRankTracker);
}

static VOID
ExpUnlockResource(PERESOURCE Resource, KIRQL OldIrql)
{
    KiReleaseRankedLockLower(&Resource->SpinLock, OldIrql);
}

/* Somebody who does not own the resource, or not in the way that is needed. It is locked. */
static VOID DECLSPEC_NORETURN
ExpNotOwned(PERESOURCE Resource, ERESOURCE_THREAD Owner, KIRQL OldIrql)
{
    ExpUnlockResource(Resource, OldIrql);
    KeBugCheckEx(RESOURCE_NOT_OWNED, (ULONG_PTR)Resource, Owner, (ULONG_PTR)&Resource->OwnerEntry, 0);
}

static inline BOOLEAN
ExpIsExclusive(PERESOURCE Resource)
{
    return (Resource->Flag & EXP_RESOURCE_EXCLUSIVE) != 0;
}

/* --- Making and deleting ---------------------------------------------------------------------- */

static VOID
ExpResetResource(PERESOURCE Resource)
{
    LIST_ENTRY Links = Resource->SystemResourcesList;

    RtlZeroMemory(Resource, sizeof(*Resource));
    Resource->SystemResourcesList = Links;
}

/* Make a free resource in nonpaged, 8-byte aligned storage. STATUS_SUCCESS. IRQL <= APC_LEVEL. */
NTSTATUS NTAPI
ExInitializeResourceLite(PERESOURCE Resource)
{
    KIRQL OldIrql;

    if (((ULONG_PTR)Resource & (sizeof(PVOID) - 1)) != 0) {
        ExpVerifierStop(0x3D, (ULONG_PTR)Resource, 0, 0);
    }
    RtlZeroMemory(Resource, sizeof(*Resource));
    OldIrql = KiAcquireRankedLockRaise(&ExpResourceListLock, LockRankTracker);
    InsertTailList(&ExpResources, &Resource->SystemResourcesList);
    ExpResourceCount += 1;
    KiReleaseRankedLockLower(&ExpResourceListLock, OldIrql);
    return STATUS_SUCCESS;
}
NTEXPORT(ExInitializeResourceLite);

/* A resource somebody still owns or waits for must not be reset or deleted: bug check 0xE3, its fourth
 * parameter 1. */
static VOID
ExpCheckIdle(PERESOURCE Resource)
{
    if (Resource->ActiveCount != 0 || Resource->SharedWaiters != NULL || Resource->ExclusiveWaiters != NULL) {
        KeBugCheckEx(RESOURCE_NOT_OWNED, (ULONG_PTR)Resource, ExpSelf(), (ULONG_PTR)&Resource->OwnerEntry, 1);
    }
}

/* Make an initialised resource that is free as good as new, its table given back. STATUS_SUCCESS. IRQL <=
 * APC_LEVEL. */
NTSTATUS NTAPI
ExReinitializeResourceLite(PERESOURCE Resource)
{
    POWNER_ENTRY Table = Resource->OwnerTable;

    ExpCheckIdle(Resource);
    ExpResetResource(Resource);
    if (Table != NULL) {
        ExFreePoolWithTag(Table, EXP_RESOURCE_TAG);
    }
    return STATUS_SUCCESS;
}
NTEXPORT(ExReinitializeResourceLite);

/*
 * End a resource that is free; its storage may then be freed. STATUS_SUCCESS. One that was never initialised
 * is a corrupt list entry: bug check 0x139 (3). IRQL <= DISPATCH_LEVEL.
 */
NTSTATUS NTAPI
ExDeleteResourceLite(PERESOURCE Resource)
{
    POWNER_ENTRY Table = Resource->OwnerTable;
    PLIST_ENTRY Links = &Resource->SystemResourcesList;
    KIRQL OldIrql;

    if (Links->Flink == NULL || Links->Blink == NULL) {
        KeBugCheckEx(KERNEL_SECURITY_CHECK_FAILURE, EXP_FAST_FAIL_LIST_ENTRY, (ULONG_PTR)Resource, 0, 0);
    }
    ExpCheckIdle(Resource);
    OldIrql = KiAcquireRankedLockRaise(&ExpResourceListLock, LockRankTracker);
    RemoveEntryList(Links);
    ExpResourceCount -= 1;
    KiReleaseRankedLockLower(&ExpResourceListLock, OldIrql);
    Links->Flink = NULL;
    Links->Blink = NULL;
    Resource->OwnerTable = NULL;
    if (Table != NULL) {
        ExFreePoolWithTag(Table, EXP_RESOURCE_TAG);
    }
    return STATUS_SUCCESS;
}
NTEXPORT(ExDeleteResourceLite);

PERESOURCE
ExpFindResource(PVOID Start, SIZE_T Length)
{
    PERESOURCE Found = NULL;
    KIRQL OldIrql = KiAcquireRankedLockRaise(&ExpResourceListLock, LockRankTracker);
    PLIST_ENTRY Entry = ExpResources.Flink;

    /* Counted, because a resource that was initialised twice can make the list a circle. */
    for (ULONG Index = 0; Index < ExpResourceCount && Entry != &ExpResources;
         Index += 1, Entry = Entry->Flink) {
        PERESOURCE Resource = CONTAINING_RECORD(Entry, ERESOURCE, SystemResourcesList);

        if ((ULONG_PTR)Resource + sizeof(*Resource) > (ULONG_PTR)Start &&
            (ULONG_PTR)Resource < (ULONG_PTR)Start + Length) {
            Found = Resource;
            break;
        }
    }
    KiReleaseRankedLockLower(&ExpResourceListLock, OldIrql);
    return Found;
}

/* --- Owner entries; the resource is locked ---------------------------------------------------- */

static inline ULONG
ExpTableSize(PERESOURCE Resource)
{
    return Resource->OwnerTable == NULL ? 0 : Resource->OwnerTable[0].TableSize;
}

/* The entry of an owner, NULL if it has none. Owner 0 finds a free entry. */
static POWNER_ENTRY
ExpFindOwner(PERESOURCE Resource, ERESOURCE_THREAD Owner)
{
    ULONG Size = ExpTableSize(Resource);

    if (Resource->OwnerEntry.OwnerThread == Owner) {
        return &Resource->OwnerEntry;
    }
    for (ULONG Index = 1; Index < Size; Index += 1) {
        if (Resource->OwnerTable[Index].OwnerThread == Owner) {
            return &Resource->OwnerTable[Index];
        }
    }
    return NULL;
}

static VOID
ExpSetOwner(PERESOURCE Resource, POWNER_ENTRY Entry, ERESOURCE_THREAD Owner)
{
    Entry->OwnerThread = Owner;
    Entry->TableSize = 0;
    Entry->OwnerCount = 1;
    Resource->ActiveEntries += 1;
    Resource->ActiveCount = 1;
}

static VOID
ExpClearOwner(PERESOURCE Resource, POWNER_ENTRY Entry)
{
    Entry->OwnerThread = 0;
    Entry->TableSize = 0;
    Resource->ActiveEntries -= 1;
    if (Resource->ActiveEntries == 0) {
        Resource->ActiveCount = 0;
        Resource->Flag &= (USHORT)~EXP_RESOURCE_EXCLUSIVE;
    }
}

/*
 * Make the table bigger than SeenSize, what it was under the lock; the resource is not locked. FALSE if there
 * is no memory. IRQL <= DISPATCH_LEVEL.
 */
static BOOLEAN
ExpGrowTable(PERESOURCE Resource, ULONG SeenSize)
{
    ULONG Size = SeenSize == 0 ? EXP_FIRST_TABLE : SeenSize * 2;
    POWNER_ENTRY Table, Spare;
    KIRQL OldIrql;

    MiInjectExempt();
    Table = Spare = ExAllocatePool2(POOL_FLAG_NON_PAGED, Size * sizeof(*Table), EXP_RESOURCE_TAG);
    if (Table == NULL) {
        return FALSE;
    }
    OldIrql = ExpLockResource(Resource);
    if (ExpTableSize(Resource) == SeenSize) {
        Spare = Resource->OwnerTable;
        if (Spare != NULL) {
            RtlCopyMemory(Table, Spare, SeenSize * sizeof(*Table));
        }
        Table[0].TableSize = Size;
        Resource->OwnerTable = Table;
    }
    ExpUnlockResource(Resource, OldIrql);
    if (Spare != NULL) {
        ExFreePoolWithTag(Spare, EXP_RESOURCE_TAG);
    }
    return TRUE;
}

/* --- Waiting and handing on ------------------------------------------------------------------- */

static VOID
ExpAppendWaiter(PVOID *Head, EXP_RESOURCE_WAIT *Wait)
{
    EXP_RESOURCE_WAIT *Last = *Head;

    Wait->Next = NULL;
    if (Last == NULL) {
        *Head = Wait;
        return;
    }
    while (Last->Next != NULL) {
        Last = Last->Next;
    }
    Last->Next = Wait;
}

/* Wait to be handed the resource; it is locked, and unlocked on the way. */
static VOID
ExpWaitForResource(PERESOURCE Resource, PVOID *Head, PULONG Number, KIRQL OldIrql)
{
    EXP_RESOURCE_WAIT Wait = {.Owner = ExpSelf()};

    KeInitializeEvent(&Wait.Granted, SynchronizationEvent, FALSE);
    ExpAppendWaiter(Head, &Wait);
    *Number += 1;
    Resource->ContentionCount += 1;
    ExpUnlockResource(Resource, OldIrql);
    KeWaitForSingleObject(&Wait.Granted, WrResource, KernelMode, FALSE, NULL);
}

/* Make every shared waiter an owner; returns their chain, to be woken. */
static EXP_RESOURCE_WAIT *
ExpGrantShared(PERESOURCE Resource)
{
    EXP_RESOURCE_WAIT *First = Resource->SharedWaiters;

    for (EXP_RESOURCE_WAIT *Wait = First; Wait != NULL; Wait = Wait->Next) {
        POWNER_ENTRY Entry = ExpFindOwner(Resource, 0);

        NT_VERIFY(Entry != NULL);
        ExpSetOwner(Resource, Entry, Wait->Owner);
    }
    Resource->SharedWaiters = NULL;
    Resource->NumberOfSharedWaiters = 0;
    return First;
}

/* Make the oldest exclusive waiter, if there is one, the owner; the same. */
static EXP_RESOURCE_WAIT *
ExpGrantExclusive(PERESOURCE Resource)
{
    EXP_RESOURCE_WAIT *First = Resource->ExclusiveWaiters;

    if (First != NULL) {
        Resource->ExclusiveWaiters = First->Next;
        Resource->NumberOfExclusiveWaiters -= 1;
        First->Next = NULL;
        ExpSetOwner(Resource, &Resource->OwnerEntry, First->Owner);
        Resource->Flag |= EXP_RESOURCE_EXCLUSIVE;
    }
    return First;
}

/* Their blocks are gone as soon as they run. */
static VOID
ExpWakeGranted(EXP_RESOURCE_WAIT *Wait)
{
    while (Wait != NULL) {
        EXP_RESOURCE_WAIT *Next = Wait->Next;

        KeSetEvent(&Wait->Granted, IO_NO_INCREMENT, FALSE);
        Wait = Next;
    }
}

/* --- Acquiring -------------------------------------------------------------------------------- */

static VOID
ExpCheckAcquire(PERESOURCE Resource)
{
    KIRQL Irql = HalGetIrql();

    if (Irql > APC_LEVEL) {
        ExpVerifierStop(0x37, Irql, (ULONG_PTR)(LONG_PTR)KiCurrentThread()->KernelApcDisable,
                        (ULONG_PTR)Resource);
    }
}

/*
 * Acquire for the current thread alone; FALSE only if Wait is FALSE and somebody else, or this thread itself
 * for sharing, owns it. The caller has disabled normal kernel APCs. IRQL <= APC_LEVEL.
 */
BOOLEAN NTAPI
ExAcquireResourceExclusiveLite(PERESOURCE Resource, BOOLEAN Wait)
{
    ERESOURCE_THREAD Self = ExpSelf();
    BOOLEAN Acquired = TRUE;
    KIRQL OldIrql;

    ExpCheckAcquire(Resource);
    OldIrql = ExpLockResource(Resource);
    if (Resource->ActiveCount == 0) {
        ExpSetOwner(Resource, &Resource->OwnerEntry, Self);
        Resource->Flag |= EXP_RESOURCE_EXCLUSIVE;
    } else if (ExpIsExclusive(Resource) && Resource->OwnerEntry.OwnerThread == Self) {
        Resource->OwnerEntry.OwnerCount += 1;
    } else if (Wait) {
        ExpWaitForResource(Resource, &Resource->ExclusiveWaiters, &Resource->NumberOfExclusiveWaiters,
                           OldIrql);
        return TRUE;
    } else {
        Acquired = FALSE;
    }
    ExpUnlockResource(Resource, OldIrql);
    return Acquired;
}
NTEXPORT(ExAcquireResourceExclusiveLite);

typedef enum _EXP_OUTCOME { ExpAcquired, ExpMustWait, ExpNoRoom } EXP_OUTCOME;

/* One attempt to share, by the rules of the three routines below; the resource is locked. */
static EXP_OUTCOME
ExpTryShared(PERESOURCE Resource, EXP_SHARE_MODE Mode)
{
    ERESOURCE_THREAD Self = ExpSelf();
    BOOLEAN WriterWaits = Resource->ExclusiveWaiters != NULL;
    POWNER_ENTRY Entry;

    if (ExpIsExclusive(Resource)) {
        if (Resource->OwnerEntry.OwnerThread != Self) {
            return ExpMustWait;
        }
        Resource->OwnerEntry.OwnerCount += 1;
        return ExpAcquired;
    }
    if (Mode == ExpShareWaitForExclusive && WriterWaits) {
        return ExpMustWait;
    }
    Entry = ExpFindOwner(Resource, Self);
    if (Entry != NULL) {
        Entry->OwnerCount += 1;
        return ExpAcquired;
    }
    if (Mode == ExpShareNormal && WriterWaits) {
        return ExpMustWait;
    }
    Entry = ExpFindOwner(Resource, 0);
    if (Entry == NULL) {
        return ExpNoRoom;
    }
    ExpSetOwner(Resource, Entry, Self);
    return ExpAcquired;
}

/* Without memory for the table a thread that may not wait gives up; any other tries again a little later. */
static BOOLEAN
ExpMakeRoom(PERESOURCE Resource, ULONG SeenSize, BOOLEAN Wait)
{
    LARGE_INTEGER Interval = {.QuadPart = -10 * 10000};

    if (ExpGrowTable(Resource, SeenSize)) {
        return TRUE;
    }
    if (Wait) {
        KeDelayExecutionThread(KernelMode, FALSE, &Interval);
    }
    return Wait;
}

static BOOLEAN
ExpAcquireShared(PERESOURCE Resource, BOOLEAN Wait, EXP_SHARE_MODE Mode)
{
    ExpCheckAcquire(Resource);
    for (;;) {
        KIRQL OldIrql = ExpLockResource(Resource);
        EXP_OUTCOME Outcome = ExpTryShared(Resource, Mode);
        ULONG Size = ExpTableSize(Resource);

        if (Outcome == ExpMustWait && Wait) {
            /* Room for all who wait, for this one and for an owner who converts; entry 0 is no owner's. */
            if (Size + 1 >= Resource->NumberOfSharedWaiters + 3) {
                ExpWaitForResource(Resource, &Resource->SharedWaiters, &Resource->NumberOfSharedWaiters,
                                   OldIrql);
                return TRUE;
            }
            Outcome = ExpNoRoom;
        }
        ExpUnlockResource(Resource, OldIrql);
        if (Outcome != ExpNoRoom) {
            return Outcome == ExpAcquired;
        }
        if (!ExpMakeRoom(Resource, Size, Wait)) {
            return FALSE;
        }
    }
}

/*
 * Acquire for sharing: granted if it is free, owned by the current thread in any way, or shared with no
 * exclusive waiter. FALSE only if Wait is FALSE and it would have to wait. IRQL <= APC_LEVEL, normal kernel
 * APCs disabled.
 */
BOOLEAN NTAPI
ExAcquireResourceSharedLite(PERESOURCE Resource, BOOLEAN Wait)
{
    return ExpAcquireShared(Resource, Wait, ExpShareNormal);
}
NTEXPORT(ExAcquireResourceSharedLite);

/* The same, granted whenever nobody else owns it exclusively, whoever waits. */
BOOLEAN NTAPI
ExAcquireSharedStarveExclusive(PERESOURCE Resource, BOOLEAN Wait)
{
    return ExpAcquireShared(Resource, Wait, ExpShareStarveExclusive);
}
NTEXPORT(ExAcquireSharedStarveExclusive);

/* The same, letting exclusive waiters go first even if the thread shares it already. */
BOOLEAN NTAPI
ExAcquireSharedWaitForExclusive(PERESOURCE Resource, BOOLEAN Wait)
{
    return ExpAcquireShared(Resource, Wait, ExpShareWaitForExclusive);
}
NTEXPORT(ExAcquireSharedWaitForExclusive);

/* --- Releasing -------------------------------------------------------------------------------- */

/*
 * Release once what the thread or owner pointer holds; it need not be the caller's. Bug check 0xE3 if it
 * holds nothing. IRQL <= DISPATCH_LEVEL.
 */
VOID NTAPI
ExReleaseResourceForThreadLite(PERESOURCE Resource, ERESOURCE_THREAD ResourceThreadId)
{
    EXP_RESOURCE_WAIT *Granted = NULL;
    POWNER_ENTRY Entry;
    BOOLEAN WasExclusive;
    KIRQL OldIrql;

    if (HalGetIrql() > DISPATCH_LEVEL) {
        ExpVerifierStop(0x38, HalGetIrql(), (ULONG_PTR)(LONG_PTR)KiCurrentThread()->KernelApcDisable,
                        (ULONG_PTR)Resource);
    }
    OldIrql = ExpLockResource(Resource);
    WasExclusive = ExpIsExclusive(Resource);
    Entry = ResourceThreadId == 0 ? NULL : ExpFindOwner(Resource, ResourceThreadId);
    if (Entry == NULL) {
        ExpNotOwned(Resource, ResourceThreadId, OldIrql);
    }
    if (Entry->OwnerCount > 1) {
        Entry->OwnerCount -= 1;
    } else {
        ExpClearOwner(Resource, Entry);
        if (Resource->ActiveEntries == 0) {
            if (WasExclusive) {
                Granted = ExpGrantShared(Resource);
            }
            if (Granted == NULL) {
                Granted = ExpGrantExclusive(Resource);
            }
        }
    }
    ExpUnlockResource(Resource, OldIrql);
    ExpWakeGranted(Granted);
    HalChoicePoint(HalChoiceLock);
}
NTEXPORT(ExReleaseResourceForThreadLite);

/* Release once what the current thread holds; bug check 0xE3 if it holds nothing. IRQL <= DISPATCH_LEVEL. */
VOID NTAPI
ExReleaseResourceLite(PERESOURCE Resource)
{
    ExReleaseResourceForThreadLite(Resource, ExpSelf());
}
NTEXPORT(ExReleaseResourceLite);

/*
 * From exclusive to shared owner, as many times as before, together with everybody who waits to share. Bug
 * check 0xE3 if the current thread does not own it exclusively. IRQL <= DISPATCH_LEVEL.
 */
VOID NTAPI
ExConvertExclusiveToSharedLite(PERESOURCE Resource)
{
    EXP_RESOURCE_WAIT *Granted;
    KIRQL OldIrql = ExpLockResource(Resource);

    if (!ExpIsExclusive(Resource) || Resource->OwnerEntry.OwnerThread != ExpSelf()) {
        ExpNotOwned(Resource, ExpSelf(), OldIrql);
    }
    Resource->Flag &= (USHORT)~EXP_RESOURCE_EXCLUSIVE;
    Granted = ExpGrantShared(Resource);
    ExpUnlockResource(Resource, OldIrql);
    ExpWakeGranted(Granted);
}
NTEXPORT(ExConvertExclusiveToSharedLite);

/*
 * Let OwnerPointer, the address of system memory with its two low bits set, own what the current thread owns,
 * to be released by ExReleaseResourceForThreadLite with that value. Bug check 0xE3 if the thread owns
 * nothing. IRQL <= DISPATCH_LEVEL.
 */
VOID NTAPI
ExSetResourceOwnerPointer(PERESOURCE Resource, PVOID OwnerPointer)
{
    KIRQL OldIrql = ExpLockResource(Resource);
    POWNER_ENTRY Entry = ExpFindOwner(Resource, ExpSelf());

    if (Entry == NULL) {
        ExpNotOwned(Resource, ExpSelf(), OldIrql);
    }
    Entry->OwnerThread = (ERESOURCE_THREAD)OwnerPointer;
    ExpUnlockResource(Resource, OldIrql);
}
NTEXPORT(ExSetResourceOwnerPointer);

/* --- Asking ----------------------------------------------------------------------------------- */

/* Does the current thread own it exclusively? IRQL <= DISPATCH_LEVEL. */
BOOLEAN NTAPI
ExIsResourceAcquiredExclusiveLite(PERESOURCE Resource)
{
    KIRQL OldIrql = ExpLockResource(Resource);
    BOOLEAN Owned = ExpIsExclusive(Resource) && Resource->OwnerEntry.OwnerThread == ExpSelf();

    ExpUnlockResource(Resource, OldIrql);
    return Owned;
}
NTEXPORT(ExIsResourceAcquiredExclusiveLite);

/* How many times the current thread owns it, in either way. IRQL <= DISPATCH_LEVEL. */
ULONG NTAPI
ExIsResourceAcquiredSharedLite(PERESOURCE Resource)
{
    KIRQL OldIrql = ExpLockResource(Resource);
    POWNER_ENTRY Entry = ExpFindOwner(Resource, ExpSelf());
    ULONG Count = Entry == NULL ? 0 : Entry->OwnerCount;

    ExpUnlockResource(Resource, OldIrql);
    return Count;
}
NTEXPORT(ExIsResourceAcquiredSharedLite);

/* Threads that wait to share it, and to own it exclusively. IRQL <= DISPATCH_LEVEL. */
ULONG NTAPI
ExGetSharedWaiterCount(PERESOURCE Resource)
{
    return __atomic_load_n(&Resource->NumberOfSharedWaiters, __ATOMIC_RELAXED);
}
NTEXPORT(ExGetSharedWaiterCount);

ULONG NTAPI
ExGetExclusiveWaiterCount(PERESOURCE Resource)
{
    return __atomic_load_n(&Resource->NumberOfExclusiveWaiters, __ATOMIC_RELAXED);
}
NTEXPORT(ExGetExclusiveWaiterCount);

/* --- With a critical region ------------------------------------------------------------------- */

/* Enter a critical region and acquire, waiting if need be; returns the thread's Win32 part. IRQL <=
 * APC_LEVEL. */
PVOID NTAPI
ExEnterCriticalRegionAndAcquireResourceExclusive(PERESOURCE Resource)
{
    KeEnterCriticalRegion();
    ExAcquireResourceExclusiveLite(Resource, TRUE);
    return KiCurrentThread()->Win32Thread;
}
NTEXPORT(ExEnterCriticalRegionAndAcquireResourceExclusive);

PVOID NTAPI
ExEnterCriticalRegionAndAcquireResourceShared(PERESOURCE Resource)
{
    KeEnterCriticalRegion();
    ExAcquireResourceSharedLite(Resource, TRUE);
    return KiCurrentThread()->Win32Thread;
}
NTEXPORT(ExEnterCriticalRegionAndAcquireResourceShared);

/* Release and leave the critical region. */
VOID NTAPI
ExReleaseResourceAndLeaveCriticalRegion(PERESOURCE Resource)
{
    ExReleaseResourceLite(Resource);
    KeLeaveCriticalRegion();
}
NTEXPORT(ExReleaseResourceAndLeaveCriticalRegion);
