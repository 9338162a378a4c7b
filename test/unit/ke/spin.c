/* Spin locks, ordinary, queued and reader/writer, and the rank checker (ke/spin.c, ke/lockrank.c, ke/irql.c). */
#include "kethreads.h"

#define THREADS 6

typedef struct _SHARED {
    KSPIN_LOCK Lock;
    KSPIN_LOCK Queued;
    EX_SPIN_LOCK ReaderWriter;
    ULONG64 BitWord;
    ULONG64 Ordinary, InQueue, Written, Bit, Both;
    volatile LONG Torn;
} SHARED;

/* Add one in two steps, with room for others in between. */
static VOID
SlowIncrement(ULONG64 *Counter)
{
    ULONG64 Seen = *(volatile ULONG64 *)Counter;

    HalChoicePoint(HalChoiceLock);
    *(volatile ULONG64 *)Counter = Seen + 1;
}

static VOID
ReadBoth(SHARED *Shared)
{
    KIRQL OldIrql = ExAcquireSpinLockShared(&Shared->ReaderWriter);
    ULONG64 First = *(volatile ULONG64 *)&Shared->Written;

    HalChoicePoint(HalChoiceLock);
    if (*(volatile ULONG64 *)&Shared->Both != First) {
        InterlockedIncrement(&Shared->Torn);
    }
    ExReleaseSpinLockShared(&Shared->ReaderWriter, OldIrql);
}

static VOID NTAPI
IncrementAll(PVOID Context)
{
    SHARED *Shared = Context;
    KLOCK_QUEUE_HANDLE Handle;
    KIRQL OldIrql;
    ULONG Round;

    for (Round = 0; Round < 300; Round += 1) {
        KeAcquireSpinLock(&Shared->Lock, &OldIrql);
        SlowIncrement(&Shared->Ordinary);
        KeReleaseSpinLock(&Shared->Lock, OldIrql);

        KeAcquireInStackQueuedSpinLock(&Shared->Queued, &Handle);
        SlowIncrement(&Shared->InQueue);
        KeReleaseInStackQueuedSpinLock(&Handle);

        OldIrql = ExAcquireSpinLockExclusive(&Shared->ReaderWriter);
        SlowIncrement(&Shared->Written);
        SlowIncrement(&Shared->Both);
        ExReleaseSpinLockExclusive(&Shared->ReaderWriter, OldIrql);
        ReadBoth(Shared);

        OldIrql = KiRaiseIrqlToDispatch();
        KiAcquireBitLock(&Shared->BitWord, 5, LockRankPfn);
        SlowIncrement(&Shared->Bit);
        KiReleaseBitLock(&Shared->BitWord, 5);
        KiLowerIrql(OldIrql);
    }
}

KTEST(KeSpinLocksExclude)
{
    SHARED Shared = {.BitWord = 0x8000000000000041ull};
    PKTHREAD Threads[THREADS];
    ULONG Index;

    for (Index = 0; Index < THREADS; Index += 1) {
        Threads[Index] = KeTestStart(IncrementAll, &Shared);
    }
    for (Index = 0; Index < THREADS; Index += 1) {
        KeTestJoin(Threads[Index]);
    }
    CHECK_EQ(Shared.Ordinary, THREADS * 300);
    CHECK_EQ(Shared.InQueue, THREADS * 300);
    CHECK_EQ(Shared.Written, THREADS * 300);
    CHECK_EQ(Shared.Both, THREADS * 300);
    CHECK_EQ(Shared.Bit, THREADS * 300);
    CHECK_EQ(Shared.Torn, 0);
    CHECK_EQ(Shared.Lock, 0);
    CHECK_EQ(Shared.Queued, 0);
    CHECK_EQ((ULONG)Shared.ReaderWriter, 0);
    CHECK_EQ(Shared.BitWord, 0x8000000000000041ull);
}

KTEST(KeSpinLockTriesAndTests)
{
    KSPIN_LOCK Lock;
    KIRQL OldIrql;

    KeInitializeSpinLock(&Lock);
    CHECK(KeTestSpinLock(&Lock));
    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    CHECK(KeTryToAcquireSpinLockAtDpcLevel(&Lock));
    CHECK(!KeTryToAcquireSpinLockAtDpcLevel(&Lock));
    CHECK(!KeTestSpinLock(&Lock));
    KeReleaseSpinLockFromDpcLevel(&Lock);
    CHECK_EQ(Lock, 0);
    KeLowerIrql(OldIrql);
}

KTEST(KeReaderWriterLockConvertsForTheOnlyReader)
{
    EX_SPIN_LOCK Lock = 0;
    KIRQL OldIrql = ExAcquireSpinLockShared(&Lock);

    CHECK(ExTryAcquireSpinLockSharedAtDpcLevel(&Lock));
    CHECK(!ExTryAcquireSpinLockExclusiveAtDpcLevel(&Lock));
    CHECK(!ExTryConvertSharedSpinLockExclusive(&Lock));
    ExReleaseSpinLockSharedFromDpcLevel(&Lock);
    CHECK(ExTryConvertSharedSpinLockExclusive(&Lock));
    CHECK(!ExTryAcquireSpinLockSharedAtDpcLevel(&Lock));
    ExReleaseSpinLockExclusive(&Lock, OldIrql);
    CHECK_EQ((ULONG)Lock, 0);
    CHECK_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
}

static VOID
AcquireTwice(PVOID Context)
{
    KIRQL OldIrql;

    KeAcquireSpinLock((PKSPIN_LOCK)Context, &OldIrql);
    KeAcquireSpinLockAtDpcLevel(Context);
}

static VOID
ReleaseFree(PVOID Context)
{
    KfRaiseIrql(DISPATCH_LEVEL);
    KeReleaseSpinLock(Context, PASSIVE_LEVEL);
}

static VOID
ReleaseAtPassive(PVOID Context)
{
    KeReleaseSpinLock(Context, PASSIVE_LEVEL);
}

static VOID
AcquireAtPassive(PVOID Context)
{
    KeAcquireSpinLockAtDpcLevel(Context);
}

static VOID
AcquireAtHighLevel(PVOID Context)
{
    KIRQL OldIrql;

    KfRaiseIrql(HIGH_LEVEL);
    KeAcquireSpinLock((PKSPIN_LOCK)Context, &OldIrql);
}

static VOID
RaiseDownwards(PVOID Context)
{
    KfRaiseIrql(DISPATCH_LEVEL);
    KfRaiseIrql(APC_LEVEL);
}

static VOID
LowerUpwards(PVOID Context)
{
    KeLowerIrql(DISPATCH_LEVEL);
}

KTEST(KeSpinLockAndIrqlBreachesStop)
{
    KSPIN_LOCK Lock = 0;

    CHECK_BUGCHECK_CALL(SPIN_LOCK_ALREADY_OWNED, (ULONG_PTR)&Lock, AcquireTwice, &Lock);
    Lock = 0;
    CHECK_BUGCHECK_CALL(SPIN_LOCK_NOT_OWNED, (ULONG_PTR)&Lock, ReleaseFree, &Lock);
    CHECK_BUGCHECK_CALL(DRIVER_VERIFIER_DETECTED_VIOLATION, 0x32, ReleaseAtPassive, &Lock);
    CHECK_BUGCHECK_CALL(DRIVER_VERIFIER_DETECTED_VIOLATION, 0x40, AcquireAtPassive, &Lock);
    CHECK_BUGCHECK_CALL(DRIVER_VERIFIER_DETECTED_VIOLATION, 0x42, AcquireAtHighLevel, &Lock);
    CHECK_BUGCHECK_CALL(DRIVER_VERIFIER_DETECTED_VIOLATION, 0x30, RaiseDownwards, NULL);
    CHECK_BUGCHECK_CALL(DRIVER_VERIFIER_DETECTED_VIOLATION, 0x31, LowerUpwards, NULL);
}

/* --- Ranks ---------------------------------------------------------------------------------------------------- */

#ifdef NTMM_CHECKED

static ULONG Violations;
static LOCK_RANK ViolationHeld;
static LOCK_RANK ViolationWanted;

static VOID
CountViolation(LOCK_RANK Held, LOCK_RANK Wanted, PVOID Lock)
{
    Violations += 1;
    ViolationHeld = Held;
    ViolationWanted = Wanted;
}

KTEST(KeRankCheckerFindsWrongOrder)
{
    KI_RANK_VIOLATION *Saved = KiRankViolation;
    KSPIN_LOCK High = 0;
    KSPIN_LOCK Low = 0;
    KSPIN_LOCK Driver[2] = {0, 0};
    KIRQL OldIrql;

    Violations = 0;
    KiRankViolation = CountViolation;
    OldIrql = KiAcquireRankedLockRaise(&Driver[0], LockRankDriver);
    KiAcquireRankedLock(&Driver[1], LockRankDriver);
    KiAcquireRankedLock(&Low, LockRankPageTable);
    KiAcquireRankedLock(&High, LockRankTracker);
    CHECK_EQ(Violations, 0);
    KiReleaseRankedLock(&Low);
    KiAcquireRankedLock(&Low, LockRankPageTable);
    CHECK_EQ(Violations, 1);
    CHECK_EQ(ViolationHeld, LockRankTracker);
    CHECK_EQ(ViolationWanted, LockRankPageTable);
    KiReleaseRankedLock(&Low);
    CHECK(KiTryRankedLock(&Low, LockRankPageTable));
    CHECK_EQ(Violations, 1);
    KiReleaseRankedLock(&Low);
    KiReleaseRankedLock(&High);
    KiReleaseRankedLock(&Driver[0]);
    KiReleaseRankedLockLower(&Driver[1], OldIrql);
    KiRankViolation = Saved;
    CHECK_EQ(KeGetPcr()->HeldLockCount, 0);
}

KTEST(KeRankCheckerKnowsBlockingLocks)
{
    KI_RANK_VIOLATION *Saved = KiRankViolation;
    KSPIN_LOCK Spin = 0;
    ULONG First = 0;
    ULONG Second = 0;
    KIRQL OldIrql;

    Violations = 0;
    KiRankViolation = CountViolation;
    KiCheckPushRank(&First, LockRankObject);
    KiNotePushLock(&First, LockRankObject);
    KiCheckPushRank(&Second, LockRankLoader);
    CHECK_EQ(Violations, 1);
    KiCheckPushRank(&First, LockRankObject);
    CHECK_EQ(Violations, 2);
    KiCheckPushRank(&Second, LockRankAddressVad);
    CHECK_EQ(Violations, 2);
    OldIrql = KiAcquireRankedLockRaise(&Spin, LockRankCommit);
    CHECK_EQ(Violations, 2);
    KiReleaseRankedLockLower(&Spin, OldIrql);
    KiForgetPushLock(&First);
    KiRankViolation = Saved;
    CHECK_EQ(KiCurrentThread()->PushLockCount, 0);
}

#endif
