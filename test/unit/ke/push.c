/* Push locks: states of the word, exclusion, order of waiters, misuse. */
#include "../ps/threads.h"
#include <ke/push.h>

#define ROUNDS 200

typedef struct _PUSH_TEST {
    EX_PUSH_LOCK Lock;
    volatile LONG Sharers;
    volatile LONG Writers;
    volatile LONG Violations;
    ULONG64 Sum;
    LONG Order[TEST_THREADS];
    volatile LONG OrderCount;
    volatile LONG Ticket;
} PUSH_TEST;

KTEST(PushLockWord)
{
    EX_PUSH_LOCK Lock = ~0ull;

    ExInitializePushLock(&Lock);
    CHECK_EQ(Lock, 0);
    KiAcquirePushLockExclusive(&Lock, LockRankObject);
    CHECK(KiIsPushLockHeld(&Lock));
    CHECK(!KiTryPushLockExclusive(&Lock, LockRankAddressVad));
    CHECK(!KiTryPushLockShared(&Lock, LockRankAddressVad));
    KiReleasePushLockExclusive(&Lock);
    CHECK(!KiIsPushLockHeld(&Lock));

    ExAcquirePushLockSharedEx(&Lock, 0);
    ExAcquirePushLockSharedEx(&Lock, 0);
    CHECK(!KiTryPushLockExclusive(&Lock, LockRankObject));
    ExReleasePushLockSharedEx(&Lock, 0);
    CHECK(!KiTryPushLockExclusive(&Lock, LockRankObject));
    ExReleasePushLockSharedEx(&Lock, 0);
    CHECK_EQ(Lock, 0);
}

static VOID NTAPI
PushWorker(PVOID Context)
{
    PUSH_TEST *Test = Context;

    for (ULONG Round = 0; Round < ROUNDS; Round += 1) {
        if (Round % 4 == 0) {
            KiAcquirePushLockExclusive(&Test->Lock, LockRankObject);
            Test->Violations += InterlockedIncrement(&Test->Writers) != 1 || Test->Sharers != 0;
            HalChoicePoint(HalChoiceWait);
            Test->Sum += 1;
            InterlockedDecrement(&Test->Writers);
            KiReleasePushLockExclusive(&Test->Lock);
        } else {
            KiAcquirePushLockShared(&Test->Lock, LockRankObject);
            InterlockedIncrement(&Test->Sharers);
            if (Test->Writers != 0) {
                InterlockedIncrement(&Test->Violations);
            }
            if (Round % 16 == 1) {
                KiYield();
            }
            InterlockedDecrement(&Test->Sharers);
            KiReleasePushLockShared(&Test->Lock);
        }
    }
}

KTEST(PushLockExcludes)
{
    PUSH_TEST Test = {0};
    TEST_CREW Crew = {0};

    for (ULONG Index = 0; Index < TEST_THREADS; Index += 1) {
        TestStart(&Crew, PushWorker, &Test);
    }
    TestJoin(&Crew);
    CHECK_EQ(Test.Violations, 0);
    CHECK_EQ(Test.Sum, TEST_THREADS * ROUNDS / 4);
    CHECK_EQ(Test.Lock, 0);
}

/* Waiters of alternating kinds note when they get in. */
static VOID NTAPI
PushWaiter(PVOID Context)
{
    PUSH_TEST *Test = Context;
    LONG Ticket = InterlockedIncrement(&Test->Ticket) - 1;
    BOOLEAN Exclusive = Ticket == 0 || Ticket == 3;

    if (Exclusive) {
        ExAcquirePushLockExclusiveEx(&Test->Lock, 0);
    } else {
        ExAcquirePushLockSharedEx(&Test->Lock, 0);
    }
    Test->Order[InterlockedIncrement(&Test->OrderCount) - 1] = Ticket;
    TestSleep(1);
    if (Exclusive) {
        ExReleasePushLockExclusiveEx(&Test->Lock, 0);
    } else {
        ExReleasePushLockSharedEx(&Test->Lock, 0);
    }
}

KTEST(PushLockIsFair)
{
    PUSH_TEST Test = {0};
    TEST_CREW Crew = {0};

    /* Held: then an exclusive, two shared and an exclusive waiter line up, one after the other. */
    ExAcquirePushLockSharedEx(&Test.Lock, 0);
    for (ULONG Index = 0; Index < 4; Index += 1) {
        TestStart(&Crew, PushWaiter, &Test);
        TestSleep(2);
    }
    CHECK_EQ(Test.Ticket, 4);
    CHECK_EQ(Test.OrderCount, 0);
    CHECK(!KiTryPushLockShared(&Test.Lock, LockRankObject)); /* nobody overtakes */
    ExReleasePushLockSharedEx(&Test.Lock, 0);
    TestJoin(&Crew);
    CHECK_EQ(Test.OrderCount, 4);
    CHECK_EQ(Test.Order[0], 0);
    CHECK_EQ(Test.Order[1] + Test.Order[2], 3);
    CHECK_EQ(Test.Order[3], 3);
    CHECK_EQ(Test.Lock, 0);
}

static VOID
PushReleaseExclusive(PVOID Lock)
{
    ExReleasePushLockExclusiveEx(Lock, 0);
}

static VOID
PushReleaseShared(PVOID Lock)
{
    ExReleasePushLockSharedEx(Lock, 0);
}

KTEST(PushLockMisuse)
{
    EX_PUSH_LOCK Lock = 0;

    CHECK_BUGCHECK_CALL(RESOURCE_NOT_OWNED, (ULONG_PTR)&Lock, PushReleaseExclusive, &Lock);
    CHECK_BUGCHECK_CALL(RESOURCE_NOT_OWNED, (ULONG_PTR)&Lock, PushReleaseShared, &Lock);
    ExAcquirePushLockSharedEx(&Lock, 0);
    CHECK_BUGCHECK_CALL(RESOURCE_NOT_OWNED, (ULONG_PTR)&Lock, PushReleaseExclusive, &Lock);
    ExReleasePushLockSharedEx(&Lock, 0);
    CHECK_EQ(Lock, 0);
}

static LOCK_RANK PushHeld, PushWanted;

static VOID
PushNoteViolation(LOCK_RANK Held, LOCK_RANK Wanted, PVOID Lock)
{
    PushHeld = Held;
    PushWanted = Wanted;
}

KTEST(PushLockRanks)
{
    KI_RANK_VIOLATION *Saved = KiRankViolation;
    EX_PUSH_LOCK Low = 0, High = 0;

    KiRankViolation = PushNoteViolation;
    KiAcquirePushLockShared(&High, LockRankControlArea);
    KiAcquirePushLockShared(&Low, LockRankObject);
    CHECK_EQ(PushHeld, LockRankControlArea);
    CHECK_EQ(PushWanted, LockRankObject);
    KiReleasePushLockShared(&Low);
    KiReleasePushLockShared(&High);
    KiRankViolation = Saved;
}
