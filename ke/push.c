/*
 * Push locks.
 *
 * The word of a lock:
 *
 *     0                        free
 *     LOCKED                   held exclusively
 *     LOCKED | n << 4          held by n sharers
 *     block | LOCKED | WAITING held, and threads wait: block is the first of their wait blocks, which lie on
 * the waiters' stacks, 16-byte aligned; how many share it is in the block
 *     ... | QUEUE              a processor, at DISPATCH_LEVEL, is working on the chain of wait blocks
 *
 * Without WAITING every change is one compare-exchange. With it, the chain, its count of sharers and the word
 * belong to whoever has the QUEUE bit. Who comes while others wait gets in line behind them; the release that
 * makes the lock free hands it to the first in line, so a lock is never free while anybody waits, and nobody
 * is overtaken. A block may be gone as soon as its event is set.
 *
 * Nothing fails. Acquiring may block, at <= APC_LEVEL. While a thread holds a lock of the core's no APC is delivered to it. Documents: "ExAcquirePushLockExclusive" and its
 * relatives.
 */
#include "push.h"
#include "apc.h"
#include <ntexport.h>

#define KIP_LOCKED 0x1ull
#define KIP_WAITING 0x2ull
#define KIP_QUEUE 0x4ull
#define KIP_SHARE 0x10ull
#define KIP_BITS 0xFull

typedef struct _KIP_PUSH_WAIT {
    struct _KIP_PUSH_WAIT *Next; /* in order of arrival */
    struct _KIP_PUSH_WAIT *Last; /* first block only */
    ULONG_PTR ShareCount;        /* first block only: owners, 0 if held exclusively */
    BOOLEAN Exclusive;
    KEVENT Granted;
} KIP_PUSH_WAIT __attribute__((aligned(16)));

static inline ULONG_PTR
KipReadWord(const EX_PUSH_LOCK *PushLock)
{
    return __atomic_load_n(PushLock, __ATOMIC_RELAXED);
}

static inline BOOLEAN
KipChangeWord(PEX_PUSH_LOCK PushLock, ULONG_PTR Old, ULONG_PTR New)
{
    return __atomic_compare_exchange_n(PushLock, &Old, New, FALSE, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

static inline KIP_PUSH_WAIT *
KipFirstWaiter(ULONG_PTR Word)
{
    return (KIP_PUSH_WAIT *)(Word & ~KIP_BITS);
}

/* The word after one more owner has come in without waiting; 0 if it must wait. */
static inline ULONG_PTR
KipWordWithOwner(ULONG_PTR Word, BOOLEAN Exclusive)
{
    if (Exclusive) {
        return Word == 0 ? KIP_LOCKED : 0;
    }
    if (Word == 0 || ((Word & KIP_BITS) == KIP_LOCKED && Word != KIP_LOCKED)) {
        return (Word | KIP_LOCKED) + KIP_SHARE;
    }
    return 0;
}

static BOOLEAN
KipTryPushLock(PEX_PUSH_LOCK PushLock, BOOLEAN Exclusive)
{
    for (;;) {
        ULONG_PTR Old = KipReadWord(PushLock);
        ULONG_PTR New = KipWordWithOwner(Old, Exclusive);

        if (New == 0) {
            return FALSE;
        }
        if (KipChangeWord(PushLock, Old, New)) {
            return TRUE;
        }
    }
}

/* Get in line; FALSE if the lock changed under us. DISPATCH_LEVEL. */
static BOOLEAN
KipEnqueueWaiter(PEX_PUSH_LOCK PushLock, ULONG_PTR Old, KIP_PUSH_WAIT *Block)
{
    KIP_PUSH_WAIT *First = KipFirstWaiter(Old);

    if ((Old & KIP_WAITING) == 0) {
        Block->Last = Block;
        Block->ShareCount = Old >> 4;
        return KipChangeWord(PushLock, Old, (ULONG_PTR)Block | KIP_LOCKED | KIP_WAITING);
    }
    if ((Old & KIP_QUEUE) != 0 || !KipChangeWord(PushLock, Old, Old | KIP_QUEUE)) {
        HalPause();
        return FALSE;
    }
    First->Last->Next = Block;
    First->Last = Block;
    __atomic_fetch_and(PushLock, ~KIP_QUEUE, __ATOMIC_RELEASE);
    return TRUE;
}

static VOID
KipWaitForPushLock(PEX_PUSH_LOCK PushLock, BOOLEAN Exclusive)
{
    KIP_PUSH_WAIT Block = {.Exclusive = Exclusive};
    KIRQL OldIrql;

    KeInitializeEvent(&Block.Granted, SynchronizationEvent, FALSE);
    OldIrql = KiRaiseIrqlToDispatch();
    for (;;) {
        ULONG_PTR Old = KipReadWord(PushLock);
        ULONG_PTR New = KipWordWithOwner(Old, Exclusive);

        if (New != 0) {
            if (KipChangeWord(PushLock, Old, New)) {
                KiLowerIrql(OldIrql);
                return;
            }
        } else if (KipEnqueueWaiter(PushLock, Old, &Block)) {
            break;
        }
    }
    KiLowerIrql(OldIrql);
    KeWaitForSingleObject(&Block.Granted, WrPushLock, KernelMode, FALSE, NULL);
}

static VOID
KipAcquirePushLock(PEX_PUSH_LOCK PushLock, BOOLEAN Exclusive)
{
    HalChoicePoint(HalChoiceLock);
    if (!KipTryPushLock(PushLock, Exclusive)) {
        KipWaitForPushLock(PushLock, Exclusive);
    }
}

/*
 * The last owner leaves while First and others wait: give the lock to First, and if it wants to share to all
 * behind it that do too. Returns the chain of those who got it; NULL ends it. The QUEUE bit is held, and
 * dropped here.
 */
static KIP_PUSH_WAIT *
KipGrantPushLock(PEX_PUSH_LOCK PushLock, KIP_PUSH_WAIT *First)
{
    KIP_PUSH_WAIT *Tail = First;
    KIP_PUSH_WAIT *Rest;
    ULONG_PTR ShareCount = First->Exclusive ? 0 : 1;

    while (!First->Exclusive && Tail->Next != NULL && !Tail->Next->Exclusive) {
        Tail = Tail->Next;
        ShareCount += 1;
    }
    Rest = Tail->Next;
    Tail->Next = NULL;
    if (Rest == NULL) {
        __atomic_store_n(PushLock, ShareCount << 4 | KIP_LOCKED, __ATOMIC_RELEASE);
    } else {
        Rest->Last = First->Last;
        Rest->ShareCount = ShareCount;
        __atomic_store_n(PushLock, (ULONG_PTR)Rest | KIP_LOCKED | KIP_WAITING, __ATOMIC_RELEASE);
    }
    return First;
}

/* Release a lock that others wait for; FALSE if the word changed under us. DISPATCH_LEVEL. */
static BOOLEAN
KipReleaseContended(PEX_PUSH_LOCK PushLock, ULONG_PTR Old)
{
    KIP_PUSH_WAIT *First = KipFirstWaiter(Old);
    KIP_PUSH_WAIT *Next;

    if ((Old & KIP_QUEUE) != 0 || !KipChangeWord(PushLock, Old, Old | KIP_QUEUE)) {
        HalPause();
        return FALSE;
    }
    if (First->ShareCount > 1) {
        First->ShareCount -= 1;
        __atomic_fetch_and(PushLock, ~KIP_QUEUE, __ATOMIC_RELEASE);
        return TRUE;
    }
    for (First = KipGrantPushLock(PushLock, First); First != NULL; First = Next) {
        Next = First->Next;
        KeSetEvent(&First->Granted, IO_NO_INCREMENT, FALSE);
    }
    return TRUE;
}

/* A word that nobody can release in this way: the driver's mistake, or ours. */
static inline BOOLEAN
KipIsHeld(ULONG_PTR Word, BOOLEAN Exclusive)
{
    if ((Word & KIP_LOCKED) == 0) {
        return FALSE;
    }
    return (Word & KIP_WAITING) != 0 || (Word == KIP_LOCKED) == Exclusive;
}

/* FALSE, and nothing done, if it is not held that way. */
static BOOLEAN
KipReleasePushLock(PEX_PUSH_LOCK PushLock, BOOLEAN Exclusive)
{
    KIRQL OldIrql = KiRaiseIrqlToDispatch();
    BOOLEAN Done = FALSE;
    BOOLEAN Held = TRUE;

    while (!Done) {
        ULONG_PTR Old = KipReadWord(PushLock);

        Held = KipIsHeld(Old, Exclusive);
        if (!Held) {
            break;
        }
        if ((Old & KIP_WAITING) != 0) {
            Done = KipReleaseContended(PushLock, Old);
        } else {
            Done = KipChangeWord(PushLock, Old, Old >> 4 <= 1 ? 0 : Old - KIP_SHARE);
        }
    }
    KiLowerIrql(OldIrql);
    return Held;
}

/* --- The core's forms ------------------------------------------------------------------------- */

/* An APC must not find its own thread in the middle of what a lock guards. */
static VOID
KipKeepApcsAway(VOID)
{
    KiCurrentThread()->SpecialApcDisable -= 1;
}

static VOID
KipLetApcsIn(VOID)
{
    struct _KTHREAD *Thread = KiCurrentThread();

    Thread->SpecialApcDisable += 1;
    if (Thread->SpecialApcDisable == 0) {
        KiCheckApcs(Thread);
    }
}

VOID
KiAcquirePushLockExclusive(PEX_PUSH_LOCK PushLock, LOCK_RANK Rank)
{
    KiCheckPushRank(PushLock, Rank);
    KipKeepApcsAway();
    KipAcquirePushLock(PushLock, TRUE);
    KiNotePushLock(PushLock, Rank);
}

VOID
KiAcquirePushLockShared(PEX_PUSH_LOCK PushLock, LOCK_RANK Rank)
{
    KiCheckPushRank(PushLock, Rank);
    KipKeepApcsAway();
    KipAcquirePushLock(PushLock, FALSE);
    KiNotePushLock(PushLock, Rank);
}

BOOLEAN
KiTryPushLockExclusive(PEX_PUSH_LOCK PushLock, LOCK_RANK Rank)
{
    HalChoicePoint(HalChoiceLock);
    KipKeepApcsAway();
    if (!KipTryPushLock(PushLock, TRUE)) {
        KipLetApcsIn();
        return FALSE;
    }
    KiNotePushLock(PushLock, Rank);
    return TRUE;
}

BOOLEAN
KiTryPushLockShared(PEX_PUSH_LOCK PushLock, LOCK_RANK Rank)
{
    HalChoicePoint(HalChoiceLock);
    KipKeepApcsAway();
    if (!KipTryPushLock(PushLock, FALSE)) {
        KipLetApcsIn();
        return FALSE;
    }
    KiNotePushLock(PushLock, Rank);
    return TRUE;
}

VOID
KiReleasePushLockExclusive(PEX_PUSH_LOCK PushLock)
{
    KiForgetPushLock(PushLock);
    NT_VERIFY(KipReleasePushLock(PushLock, TRUE));
    KipLetApcsIn();
}

VOID
KiReleasePushLockShared(PEX_PUSH_LOCK PushLock)
{
    KiForgetPushLock(PushLock);
    NT_VERIFY(KipReleasePushLock(PushLock, FALSE));
    KipLetApcsIn();
}

/* --- Drivers' locks --------------------------------------------------------------------------- */

/* Make a free push lock. Any IRQL. */
VOID NTAPI
ExInitializePushLock(PEX_PUSH_LOCK PushLock)
{
    *PushLock = 0;
}
NTEXPORT(ExInitializePushLock);

/* A driver's wait needs IRQL <= APC_LEVEL: above it, what the wait itself would be stopped with. */
static VOID
KipCheckDriverIrql(PEX_PUSH_LOCK PushLock, PVOID Caller)
{
    KIRQL Irql = HalGetIrql();

    if (Irql > APC_LEVEL) {
        KeBugCheckEx(IRQL_NOT_LESS_OR_EQUAL, (ULONG_PTR)PushLock, Irql, 1, (ULONG_PTR)Caller);
    }
}

/*
 * Acquire for this thread alone, or shared, waiting if need be; not recursive. The caller has disabled normal
 * kernel APCs. Flags: EX_PUSH_LOCK_FLAGS_*, about priorities only. IRQL <= APC_LEVEL, else bug check 0x0A.
 */
VOID NTAPI
ExAcquirePushLockExclusiveEx(PEX_PUSH_LOCK PushLock, ULONG Flags)
{
    UNREFERENCED_PARAMETER(Flags);
    KipCheckDriverIrql(PushLock, __builtin_return_address(0));
    KipAcquirePushLock(PushLock, TRUE);
}
NTEXPORT(ExAcquirePushLockExclusiveEx);

VOID NTAPI
ExAcquirePushLockSharedEx(PEX_PUSH_LOCK PushLock, ULONG Flags)
{
    UNREFERENCED_PARAMETER(Flags);
    KipCheckDriverIrql(PushLock, __builtin_return_address(0));
    KipAcquirePushLock(PushLock, FALSE);
}
NTEXPORT(ExAcquirePushLockSharedEx);

/* Release a lock acquired that way; one that is not held so is bug check 0xE3. IRQL <= APC_LEVEL. */
VOID NTAPI
ExReleasePushLockExclusiveEx(PEX_PUSH_LOCK PushLock, ULONG Flags)
{
    UNREFERENCED_PARAMETER(Flags);
    KipCheckDriverIrql(PushLock, __builtin_return_address(0));
    if (!KipReleasePushLock(PushLock, TRUE)) {
        KeBugCheckEx(RESOURCE_NOT_OWNED, (ULONG_PTR)PushLock, (ULONG_PTR)KiCurrentThread(), 0, 0);
    }
}
NTEXPORT(ExReleasePushLockExclusiveEx);

VOID NTAPI
ExReleasePushLockSharedEx(PEX_PUSH_LOCK PushLock, ULONG Flags)
{
    UNREFERENCED_PARAMETER(Flags);
    KipCheckDriverIrql(PushLock, __builtin_return_address(0));
    if (!KipReleasePushLock(PushLock, FALSE)) {
        KeBugCheckEx(RESOURCE_NOT_OWNED, (ULONG_PTR)PushLock, (ULONG_PTR)KiCurrentThread(), 0, 0);
    }
}
NTEXPORT(ExReleasePushLockSharedEx);
