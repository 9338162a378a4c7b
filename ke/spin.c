/*
 * Spin locks for drivers: ordinary, in-stack queued, and reader/writer (EX_SPIN_LOCK).
 *
 * An ordinary lock's word is 0 when free and processor number * 2 + 1 when taken, so a processor that
 * would wait for itself is told at once: bug check 0x0F with the lock's address. Releasing a free lock
 * is 0x10. The level rules are Driver Verifier's: 0xC4 with 0x32 (release not at DISPATCH_LEVEL), 0x40
 * and 0x41 (AtDpcLevel forms below it), 0x42 (acquire above it).
 *
 * A queued lock's word holds the address of the last waiter's handle, 0 when free; every waiter spins on
 * bit 0 of its own handle. A reader/writer lock's word has the writer's bit and the count of readers; a
 * waiting writer keeps new readers out.
 *
 * In the rank order a driver's lock stands below all locks of the core and may nest in others of its kind.
 */
#include "kep.h"
#include <ntexport.h>

#define KI_QUEUE_WAIT 1ull /* in Lock of a waiter's handle */

#define EX_SPIN_WRITER 0x80000000u
#define EX_SPIN_WAITING 0x40000000u
#define EX_SPIN_READERS 0x3FFFFFFFu

/* Wait for a lock's word. Called after one try failed. */
VOID
KiSpinForLock(PKSPIN_LOCK Lock)
{
    ULONG_PTR Mine = (ULONG_PTR)PcrRead32(Number) * 2 + 1;

    if (__atomic_load_n(Lock, __ATOMIC_RELAXED) == Mine) {
        KeBugCheckEx(SPIN_LOCK_ALREADY_OWNED, (ULONG_PTR)Lock, 0, 0, 0);
    }
    for (;;) {
        while (__atomic_load_n(Lock, __ATOMIC_RELAXED) != 0) {
            HalPause();
        }
        if (KiTakeLockWord(Lock)) {
            return;
        }
    }
}

VOID
KiSpinForBit(volatile ULONG64 *Word, ULONG Bit)
{
    for (;;) {
        while ((__atomic_load_n(Word, __ATOMIC_RELAXED) & (1ull << Bit)) != 0) {
            HalPause();
        }
        if (KiTakeBit(Word, Bit)) {
            return;
        }
    }
}

static VOID
KipReleaseWord(PKSPIN_LOCK SpinLock)
{
    if (__atomic_load_n(SpinLock, __ATOMIC_RELAXED) == 0) {
        KeBugCheckEx(SPIN_LOCK_NOT_OWNED, (ULONG_PTR)SpinLock, 0, 0, 0);
    }
    KiForgetSpinLock(SpinLock);
    __atomic_store_n(SpinLock, 0, __ATOMIC_RELEASE);
}

/* At DISPATCH_LEVEL or above, or stop with the rule for spin lock routines of that kind. */
static VOID
KipRequireDispatch(ULONG Rule, const volatile VOID *SpinLock)
{
    KIRQL Irql = HalGetIrql();

    if (Irql < DISPATCH_LEVEL) {
        KiVerifierStop(Rule, Irql, (ULONG_PTR)SpinLock, 0);
    }
}

static KIRQL
KipRaiseForLock(const volatile VOID *SpinLock)
{
    KIRQL Irql = HalGetIrql();

    if (Irql > DISPATCH_LEVEL) {
        KiVerifierStop(0x42, Irql, (ULONG_PTR)SpinLock, 0);
    }
    HalSetIrql(DISPATCH_LEVEL);
    if (Irql < DISPATCH_LEVEL) {
        KiImageAtDispatch();
    }
    return Irql;
}

static VOID
KipLowerAfterLock(KIRQL NewIrql)
{
    if (NewIrql > DISPATCH_LEVEL) {
        KiVerifierStop(0x31, HalGetIrql(), NewIrql, 0);
    }
    HalLowerIrql(NewIrql);
    HalChoicePoint(HalChoiceIrql);
}

VOID NTAPI
KeInitializeSpinLock(PKSPIN_LOCK SpinLock)
{
    __atomic_store_n(SpinLock, 0, __ATOMIC_RELAXED);
}
NTEXPORT(KeInitializeSpinLock);

/* Raise to DISPATCH_LEVEL and take the lock; returns the old level. IRQL <= DISPATCH_LEVEL. */
KIRQL NTAPI
KeAcquireSpinLockRaiseToDpc(PKSPIN_LOCK SpinLock)
{
    KIRQL OldIrql = KipRaiseForLock(SpinLock);

    KiAcquireRankedLock(SpinLock, LockRankDriver);
    return OldIrql;
}
NTEXPORT(KeAcquireSpinLockRaiseToDpc);

/* Free the lock and lower to NewIrql. IRQL = DISPATCH_LEVEL. */
VOID NTAPI
KeReleaseSpinLock(PKSPIN_LOCK SpinLock, KIRQL NewIrql)
{
    KIRQL Irql = HalGetIrql();

    if (Irql != DISPATCH_LEVEL) {
        KiVerifierStop(0x32, Irql, (ULONG_PTR)SpinLock, 0);
    }
    KipReleaseWord(SpinLock);
    KipLowerAfterLock(NewIrql);
}
NTEXPORT(KeReleaseSpinLock);

/* IRQL >= DISPATCH_LEVEL. */
VOID NTAPI
KeAcquireSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock)
{
    KipRequireDispatch(0x40, SpinLock);
    KiAcquireRankedLock(SpinLock, LockRankDriver);
}
NTEXPORT(KeAcquireSpinLockAtDpcLevel);

/* IRQL >= DISPATCH_LEVEL, where it stays. */
VOID NTAPI
KeReleaseSpinLockFromDpcLevel(PKSPIN_LOCK SpinLock)
{
    KipRequireDispatch(0x41, SpinLock);
    KipReleaseWord(SpinLock);
}
NTEXPORT(KeReleaseSpinLockFromDpcLevel);

/* TRUE if it was free and is the caller's now. IRQL >= DISPATCH_LEVEL. */
BOOLEAN NTAPI
KeTryToAcquireSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock)
{
    KipRequireDispatch(0x40, SpinLock);
    return KiTryRankedLock(SpinLock, LockRankDriver);
}
NTEXPORT(KeTryToAcquireSpinLockAtDpcLevel);

/* TRUE if it was free when looked at. Any IRQL. */
BOOLEAN NTAPI
KeTestSpinLock(PKSPIN_LOCK SpinLock)
{
    HalChoicePoint(HalChoiceLock);
    return __atomic_load_n(SpinLock, __ATOMIC_ACQUIRE) == 0;
}
NTEXPORT(KeTestSpinLock);

/* For DPCs, threaded or not: raises if it must. IRQL <= DISPATCH_LEVEL. */
KIRQL NTAPI
KeAcquireSpinLockForDpc(PKSPIN_LOCK SpinLock)
{
    return KeAcquireSpinLockRaiseToDpc(SpinLock);
}
NTEXPORT(KeAcquireSpinLockForDpc);

VOID NTAPI
KeReleaseSpinLockForDpc(PKSPIN_LOCK SpinLock, KIRQL OldIrql)
{
    KeReleaseSpinLock(SpinLock, OldIrql);
}
NTEXPORT(KeReleaseSpinLockForDpc);

/* --- Queued locks ------------------------------------------------------------------------------------ */

/* Queue up behind the last waiter; its release clears the wait bit of our handle. */
static VOID
KipAcquireQueued(PKSPIN_LOCK SpinLock, PKLOCK_QUEUE_HANDLE Handle)
{
    PKSPIN_LOCK_QUEUE Queue = &Handle->LockQueue;
    PKSPIN_LOCK_QUEUE Last;

    HalChoicePoint(HalChoiceLock);
    KiCheckSpinRank(SpinLock, LockRankDriver);
    Queue->Next = NULL;
    __atomic_store_n(&Queue->Lock, (PKSPIN_LOCK)((ULONG_PTR)SpinLock | KI_QUEUE_WAIT), __ATOMIC_RELAXED);
    Last = (PKSPIN_LOCK_QUEUE)__atomic_exchange_n(SpinLock, (ULONG_PTR)Queue, __ATOMIC_ACQ_REL);
    if (Last == NULL) {
        __atomic_store_n(&Queue->Lock, SpinLock, __ATOMIC_RELAXED);
    } else {
        __atomic_store_n(&Last->Next, Queue, __ATOMIC_RELEASE);
        while (((ULONG_PTR)__atomic_load_n(&Queue->Lock, __ATOMIC_ACQUIRE) & KI_QUEUE_WAIT) != 0) {
            HalPause();
        }
    }
    KiNoteSpinLock(SpinLock, LockRankDriver);
}

static VOID
KipReleaseQueued(PKLOCK_QUEUE_HANDLE Handle)
{
    PKSPIN_LOCK_QUEUE Queue = &Handle->LockQueue;
    PKSPIN_LOCK SpinLock = Queue->Lock;
    PKSPIN_LOCK_QUEUE Next;
    ULONG_PTR Mine = (ULONG_PTR)Queue;

    if (SpinLock == NULL || *(volatile KSPIN_LOCK *)SpinLock == 0) {
        KeBugCheckEx(SPIN_LOCK_NOT_OWNED, (ULONG_PTR)SpinLock, (ULONG_PTR)Handle, 0, 0);
    }
    KiForgetSpinLock(SpinLock);
    Queue->Lock = NULL;
    Next = __atomic_load_n(&Queue->Next, __ATOMIC_ACQUIRE);
    if (Next == NULL) {
        if (__atomic_compare_exchange_n(SpinLock, &Mine, 0, FALSE, __ATOMIC_RELEASE, __ATOMIC_RELAXED)) {
            return;
        }
        while ((Next = __atomic_load_n(&Queue->Next, __ATOMIC_ACQUIRE)) == NULL) {
            HalPause();
        }
    }
    __atomic_store_n(&Next->Lock, SpinLock, __ATOMIC_RELEASE);
}

/* As KeAcquireSpinLock, first come first served. The handle is the caller's until the release. */
VOID NTAPI
KeAcquireInStackQueuedSpinLock(PKSPIN_LOCK SpinLock, PKLOCK_QUEUE_HANDLE LockHandle)
{
    LockHandle->OldIrql = KipRaiseForLock(SpinLock);
    KipAcquireQueued(SpinLock, LockHandle);
}
NTEXPORT(KeAcquireInStackQueuedSpinLock);

VOID NTAPI
KeReleaseInStackQueuedSpinLock(PKLOCK_QUEUE_HANDLE LockHandle)
{
    KIRQL Irql = HalGetIrql();

    if (Irql != DISPATCH_LEVEL) {
        KiVerifierStop(0x32, Irql, (ULONG_PTR)LockHandle->LockQueue.Lock, 0);
    }
    KipReleaseQueued(LockHandle);
    KipLowerAfterLock(LockHandle->OldIrql);
}
NTEXPORT(KeReleaseInStackQueuedSpinLock);

VOID NTAPI
KeAcquireInStackQueuedSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock, PKLOCK_QUEUE_HANDLE LockHandle)
{
    KipRequireDispatch(0x40, SpinLock);
    LockHandle->OldIrql = HalGetIrql();
    KipAcquireQueued(SpinLock, LockHandle);
}
NTEXPORT(KeAcquireInStackQueuedSpinLockAtDpcLevel);

VOID NTAPI
KeReleaseInStackQueuedSpinLockFromDpcLevel(PKLOCK_QUEUE_HANDLE LockHandle)
{
    KipRequireDispatch(0x41, LockHandle->LockQueue.Lock);
    KipReleaseQueued(LockHandle);
}
NTEXPORT(KeReleaseInStackQueuedSpinLockFromDpcLevel);

VOID NTAPI
KeAcquireInStackQueuedSpinLockForDpc(PKSPIN_LOCK SpinLock, PKLOCK_QUEUE_HANDLE LockHandle)
{
    KeAcquireInStackQueuedSpinLock(SpinLock, LockHandle);
}
NTEXPORT(KeAcquireInStackQueuedSpinLockForDpc);

VOID NTAPI
KeReleaseInStackQueuedSpinLockForDpc(PKLOCK_QUEUE_HANDLE LockHandle)
{
    KeReleaseInStackQueuedSpinLock(LockHandle);
}
NTEXPORT(KeReleaseInStackQueuedSpinLockForDpc);

/* --- Reader/writer locks ------------------------------------------------------------------------------- */

static VOID
KipAcquireShared(PEX_SPIN_LOCK SpinLock)
{
    ULONG *Word = (ULONG *)SpinLock;
    ULONG Old;

    HalChoicePoint(HalChoiceLock);
    KiCheckSpinRank(SpinLock, LockRankDriver);
    for (;;) {
        Old = __atomic_load_n(Word, __ATOMIC_RELAXED);
        if ((Old & (EX_SPIN_WRITER | EX_SPIN_WAITING)) == 0 &&
            __atomic_compare_exchange_n(Word, &Old, Old + 1, FALSE, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
            break;
        }
        HalPause();
    }
    KiNoteSpinLock(SpinLock, LockRankDriver);
}

static VOID
KipReleaseShared(PEX_SPIN_LOCK SpinLock)
{
    if ((__atomic_load_n((ULONG *)SpinLock, __ATOMIC_RELAXED) & EX_SPIN_READERS) == 0) {
        KeBugCheckEx(SPIN_LOCK_NOT_OWNED, (ULONG_PTR)SpinLock, 0, 0, 0);
    }
    KiForgetSpinLock(SpinLock);
    __atomic_fetch_sub((ULONG *)SpinLock, 1, __ATOMIC_RELEASE);
}

static VOID
KipAcquireExclusive(PEX_SPIN_LOCK SpinLock)
{
    ULONG *Word = (ULONG *)SpinLock;
    ULONG Old;

    HalChoicePoint(HalChoiceLock);
    KiCheckSpinRank(SpinLock, LockRankDriver);
    for (;;) {
        Old = __atomic_load_n(Word, __ATOMIC_RELAXED);
        if ((Old & ~EX_SPIN_WAITING) == 0) {
            if (__atomic_compare_exchange_n(Word, &Old, EX_SPIN_WRITER, FALSE, __ATOMIC_ACQUIRE,
                                            __ATOMIC_RELAXED)) {
                break;
            }
        } else if ((Old & EX_SPIN_WAITING) == 0) {
            __atomic_fetch_or(Word, EX_SPIN_WAITING, __ATOMIC_RELAXED);
        }
        HalPause();
    }
    KiNoteSpinLock(SpinLock, LockRankDriver);
}

static VOID
KipReleaseExclusive(PEX_SPIN_LOCK SpinLock)
{
    if ((__atomic_load_n((ULONG *)SpinLock, __ATOMIC_RELAXED) & EX_SPIN_WRITER) == 0) {
        KeBugCheckEx(SPIN_LOCK_NOT_OWNED, (ULONG_PTR)SpinLock, 0, 0, 0);
    }
    KiForgetSpinLock(SpinLock);
    __atomic_fetch_and((ULONG *)SpinLock, ~EX_SPIN_WRITER, __ATOMIC_RELEASE);
}

/* Raise to DISPATCH_LEVEL and read-lock; returns the old level. Not recursive once a writer waits. IRQL <= DISPATCH. */
KIRQL NTAPI
ExAcquireSpinLockShared(PEX_SPIN_LOCK SpinLock)
{
    KIRQL OldIrql = KipRaiseForLock(SpinLock);

    KipAcquireShared(SpinLock);
    return OldIrql;
}
NTEXPORT(ExAcquireSpinLockShared);

VOID NTAPI
ExReleaseSpinLockShared(PEX_SPIN_LOCK SpinLock, KIRQL OldIrql)
{
    KipReleaseShared(SpinLock);
    KipLowerAfterLock(OldIrql);
}
NTEXPORT(ExReleaseSpinLockShared);

/* Raise to DISPATCH_LEVEL and write-lock; returns the old level. IRQL <= DISPATCH_LEVEL. */
KIRQL NTAPI
ExAcquireSpinLockExclusive(PEX_SPIN_LOCK SpinLock)
{
    KIRQL OldIrql = KipRaiseForLock(SpinLock);

    KipAcquireExclusive(SpinLock);
    return OldIrql;
}
NTEXPORT(ExAcquireSpinLockExclusive);

VOID NTAPI
ExReleaseSpinLockExclusive(PEX_SPIN_LOCK SpinLock, KIRQL OldIrql)
{
    KipReleaseExclusive(SpinLock);
    KipLowerAfterLock(OldIrql);
}
NTEXPORT(ExReleaseSpinLockExclusive);

/* The forms for callers at DISPATCH_LEVEL or above. */
VOID NTAPI
ExAcquireSpinLockSharedAtDpcLevel(PEX_SPIN_LOCK SpinLock)
{
    KipRequireDispatch(0x40, SpinLock);
    KipAcquireShared(SpinLock);
}
NTEXPORT(ExAcquireSpinLockSharedAtDpcLevel);

VOID NTAPI
ExReleaseSpinLockSharedFromDpcLevel(PEX_SPIN_LOCK SpinLock)
{
    KipRequireDispatch(0x41, SpinLock);
    KipReleaseShared(SpinLock);
}
NTEXPORT(ExReleaseSpinLockSharedFromDpcLevel);

VOID NTAPI
ExAcquireSpinLockExclusiveAtDpcLevel(PEX_SPIN_LOCK SpinLock)
{
    KipRequireDispatch(0x40, SpinLock);
    KipAcquireExclusive(SpinLock);
}
NTEXPORT(ExAcquireSpinLockExclusiveAtDpcLevel);

VOID NTAPI
ExReleaseSpinLockExclusiveFromDpcLevel(PEX_SPIN_LOCK SpinLock)
{
    KipRequireDispatch(0x41, SpinLock);
    KipReleaseExclusive(SpinLock);
}
NTEXPORT(ExReleaseSpinLockExclusiveFromDpcLevel);

/* The only reader becomes the writer: non-zero if so, else the lock stays shared. Holder at DISPATCH_LEVEL. */
LOGICAL NTAPI
ExTryConvertSharedSpinLockExclusive(PEX_SPIN_LOCK SpinLock)
{
    ULONG *Word = (ULONG *)SpinLock;
    ULONG Old = __atomic_load_n(Word, __ATOMIC_RELAXED);

    HalChoicePoint(HalChoiceLock);
    while ((Old & EX_SPIN_READERS) == 1 && (Old & EX_SPIN_WRITER) == 0) {
        if (__atomic_compare_exchange_n(Word, &Old, (Old & EX_SPIN_WAITING) | EX_SPIN_WRITER, FALSE,
                                        __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
            return TRUE;
        }
    }
    return FALSE;
}
NTEXPORT(ExTryConvertSharedSpinLockExclusive);

/* Take it if it is free for a reader or a writer: non-zero if taken. IRQL >= DISPATCH_LEVEL. */
LOGICAL NTAPI
ExTryAcquireSpinLockSharedAtDpcLevel(PEX_SPIN_LOCK SpinLock)
{
    ULONG *Word = (ULONG *)SpinLock;
    ULONG Old;

    KipRequireDispatch(0x40, SpinLock);
    HalChoicePoint(HalChoiceLock);
    Old = __atomic_load_n(Word, __ATOMIC_RELAXED);
    while ((Old & (EX_SPIN_WRITER | EX_SPIN_WAITING)) == 0) {
        if (__atomic_compare_exchange_n(Word, &Old, Old + 1, FALSE, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
            KiNoteSpinLock(SpinLock, LockRankDriver);
            return TRUE;
        }
    }
    return FALSE;
}
NTEXPORT(ExTryAcquireSpinLockSharedAtDpcLevel);

LOGICAL NTAPI
ExTryAcquireSpinLockExclusiveAtDpcLevel(PEX_SPIN_LOCK SpinLock)
{
    ULONG Free = 0;

    KipRequireDispatch(0x40, SpinLock);
    HalChoicePoint(HalChoiceLock);
    if (!__atomic_compare_exchange_n((ULONG *)SpinLock, &Free, EX_SPIN_WRITER, FALSE, __ATOMIC_ACQUIRE,
                                     __ATOMIC_RELAXED)) {
        return FALSE;
    }
    KiNoteSpinLock(SpinLock, LockRankDriver);
    return TRUE;
}
NTEXPORT(ExTryAcquireSpinLockExclusiveAtDpcLevel);
