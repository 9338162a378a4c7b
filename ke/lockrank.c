/*
 * The lock-rank checker of checked builds.
 *
 * Spin locks held are noted on the processor (they cannot outlive its DISPATCH_LEVEL section), blocking
 * locks in the thread. Acquiring needs a rank above everything held, by KiLockRanks' order; two kinds
 * nest in themselves: drivers' own locks, whose order is theirs to keep, and page-table locks (a prototype
 * page's inside a hardware table's, never the same one twice).
 *
 * Locks are found by address and may be released in any order. A processor that holds more driver locks
 * than it has places for goes on without noting them; running out for the core's own is an assertion.
 */
#include "kep.h"

static VOID KipRankViolation(LOCK_RANK Held, LOCK_RANK Wanted, PVOID Lock);

KI_RANK_VIOLATION *KiRankViolation = KipRankViolation;

static const char *const KiRankNames[LockRankMaximum] = {
    [LockRankNone] = "none",
    [LockRankLoader] = "Loader",
    [LockRankObject] = "Object",
    [LockRankRegistryFilter] = "RegistryFilter",
    [LockRankRegistry] = "Registry",
    [LockRankAddressCreate] = "AddressSpace.Create",
    [LockRankAddressVad] = "AddressSpace.Vad",
    [LockRankControlArea] = "ControlArea",
    [LockRankSystemSpace] = "SystemSpace",
    [LockRankPoolGrow] = "PoolGrow",
    [LockRankDriver] = "Driver",
    [LockRankPoolSegment] = "PoolSegment",
    [LockRankPoolClass] = "PoolClass",
    [LockRankPageTable] = "PageTable",
    [LockRankPfn] = "Pfn",
    [LockRankSystemPteBin] = "SystemPteBin",
    [LockRankPageCache] = "PageCache",
    [LockRankPageList] = "PageList",
    [LockRankCommit] = "Commit",
    [LockRankPoolTag] = "PoolTag",
    [LockRankTracker] = "Tracker",
    [LockRankHandleTable] = "HandleTable",
    [LockRankDispatcher] = "Dispatcher",
    [LockRankDpc] = "Dpc",
    [LockRankConsole] = "Console",
};

const char *
KiRankName(LOCK_RANK Rank)
{
    return (ULONG)Rank < LockRankMaximum && KiRankNames[Rank] != NULL ? KiRankNames[Rank] : "?";
}

/* Append Text to the string of Size bytes at Buffer, as far as it fits. */
static VOID
KipAppend(char *Buffer, ULONG Size, const char *Text)
{
    ULONG Length = 0;

    while (Buffer[Length] != 0) {
        Length += 1;
    }
    while (*Text != 0 && Length + 1 < Size) {
        Buffer[Length++] = *Text++;
    }
    Buffer[Length] = 0;
}

static VOID
KipRankViolation(LOCK_RANK Held, LOCK_RANK Wanted, PVOID Lock)
{
    static char Text[128];

    (VOID)Lock;
    Text[0] = 0;
    KipAppend(Text, sizeof(Text), "lock order: ");
    KipAppend(Text, sizeof(Text), KiRankName(Wanted));
    KipAppend(Text, sizeof(Text), " wanted while ");
    KipAppend(Text, sizeof(Text), KiRankName(Held));
    KipAppend(Text, sizeof(Text), " is held");
    KiAssertFailed(__FILE__, __LINE__, Text);
}

#ifdef NTMM_CHECKED

static BOOLEAN
KipMayNest(LOCK_RANK Rank)
{
    return Rank == LockRankDriver || Rank == LockRankPageTable;
}

/* Compare Rank with what is held. The same lock twice is a violation of every rank. */
static VOID
KipCheckRank(const ULONG *Ranks, PVOID const *Locks, ULONG Count, const volatile VOID *Lock, LOCK_RANK Rank)
{
    ULONG Index;

    for (Index = 0; Index < Count; Index += 1) {
        if (Ranks[Index] > (ULONG)Rank || (Ranks[Index] == (ULONG)Rank && !KipMayNest(Rank)) ||
            (Locks[Index] == (PVOID)Lock && Rank != LockRankDriver)) {
            KiRankViolation((LOCK_RANK)Ranks[Index], Rank, (PVOID)Lock);
            return;
        }
    }
}

static VOID
KipForget(ULONG *Ranks, PVOID *Locks, ULONG *Count, const volatile VOID *Lock)
{
    ULONG Index;

    for (Index = *Count; Index > 0; Index -= 1) {
        if (Locks[Index - 1] == (PVOID)Lock) {
            break;
        }
    }
    if (Index == 0) {
        return;
    }
    for (; Index < *Count; Index += 1) {
        Ranks[Index - 1] = Ranks[Index];
        Locks[Index - 1] = Locks[Index];
    }
    *Count -= 1;
}

VOID
KiCheckSpinRank(const volatile VOID *Lock, LOCK_RANK Rank)
{
    PKPCR Pcr = KeGetPcr();

    KipCheckRank(Pcr->HeldLockRanks, Pcr->HeldLocks, Pcr->HeldLockCount, Lock, Rank);
}

VOID
KiNoteSpinLock(const volatile VOID *Lock, LOCK_RANK Rank)
{
    PKPCR Pcr = KeGetPcr();

    if (Pcr->HeldLockCount == KI_MAXIMUM_HELD_LOCKS) {
        NT_ASSERT(Rank == LockRankDriver);
        return;
    }
    Pcr->HeldLockRanks[Pcr->HeldLockCount] = (ULONG)Rank;
    Pcr->HeldLocks[Pcr->HeldLockCount] = (PVOID)Lock;
    Pcr->HeldLockCount += 1;
}

VOID
KiForgetSpinLock(const volatile VOID *Lock)
{
    PKPCR Pcr = KeGetPcr();

    KipForget(Pcr->HeldLockRanks, Pcr->HeldLocks, &Pcr->HeldLockCount, Lock);
}

VOID
KiCheckPushRank(const volatile VOID *Lock, LOCK_RANK Rank)
{
    struct _KTHREAD *Thread = KiCurrentThread();
    KIRQL OldIrql;

    NT_ASSERT(HalGetIrql() <= APC_LEVEL);
    OldIrql = KiRaiseIrqlToDispatch();
    KiCheckSpinRank(Lock, Rank);
    KiLowerIrql(OldIrql);
    KipCheckRank(Thread->PushLockRanks, Thread->PushLocks, Thread->PushLockCount, Lock, Rank);
}

VOID
KiNotePushLock(const volatile VOID *Lock, LOCK_RANK Rank)
{
    struct _KTHREAD *Thread = KiCurrentThread();

    NT_ASSERT(Thread->PushLockCount < KI_MAXIMUM_PUSH_LOCKS);
    Thread->PushLockRanks[Thread->PushLockCount] = (ULONG)Rank;
    Thread->PushLocks[Thread->PushLockCount] = (PVOID)Lock;
    Thread->PushLockCount += 1;
}

VOID
KiForgetPushLock(const volatile VOID *Lock)
{
    struct _KTHREAD *Thread = KiCurrentThread();

    KipForget(Thread->PushLockRanks, Thread->PushLocks, &Thread->PushLockCount, Lock);
}

#endif
