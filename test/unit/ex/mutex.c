/* Fast and guarded mutexes: levels, ownership, exclusion, misuse. */
#include "../ps/threads.h"

#define ROUNDS 100

KTEST(FastMutexLevels)
{
    FAST_MUTEX Mutex;

    ExInitializeFastMutex(&Mutex);
    CHECK_EQ(Mutex.Count, 1);
    ExAcquireFastMutex(&Mutex);
    CHECK_EQ(HalGetIrql(), APC_LEVEL);
    CHECK_EQ(Mutex.Count, 0);
    CHECK_EQ(Mutex.OldIrql, PASSIVE_LEVEL);
    CHECK(Mutex.Owner == KiCurrentThread());
    CHECK(!ExTryToAcquireFastMutex(&Mutex));
    CHECK_EQ(HalGetIrql(), APC_LEVEL);
    ExReleaseFastMutex(&Mutex);
    CHECK_EQ(HalGetIrql(), PASSIVE_LEVEL);
    CHECK_EQ(Mutex.Count, 1);
    CHECK(Mutex.Owner == NULL);
    CHECK(ExTryToAcquireFastMutex(&Mutex));
    ExReleaseFastMutex(&Mutex);

    KeEnterCriticalRegion();
    ExAcquireFastMutexUnsafe(&Mutex);
    CHECK_EQ(HalGetIrql(), PASSIVE_LEVEL);
    CHECK_EQ(Mutex.Count, 0);
    ExReleaseFastMutexUnsafe(&Mutex);
    KeLeaveCriticalRegion();
}

KTEST(GuardedMutexRegions)
{
    KGUARDED_MUTEX Mutex;

    KeInitializeGuardedMutex(&Mutex);
    KeAcquireGuardedMutex(&Mutex);
    CHECK(KeAreAllApcsDisabled());
    CHECK_EQ(HalGetIrql(), PASSIVE_LEVEL);
    CHECK(!KeTryToAcquireGuardedMutex(&Mutex));
    KeReleaseGuardedMutex(&Mutex);
    CHECK(!KeAreAllApcsDisabled());
    CHECK(KeTryToAcquireGuardedMutex(&Mutex));
    KeReleaseGuardedMutex(&Mutex);
    KeEnterGuardedRegion();
    KeAcquireGuardedMutexUnsafe(&Mutex);
    KeReleaseGuardedMutexUnsafe(&Mutex);
    KeLeaveGuardedRegion();
    CHECK_EQ(Mutex.Count, 1);
}

typedef struct _MUTEX_TEST {
    FAST_MUTEX Fast;
    KGUARDED_MUTEX Guarded;
    LONG Inside;
    LONG Violations;
    ULONG Sum;
} MUTEX_TEST;

static VOID
MutexInside(MUTEX_TEST *Test)
{
    Test->Violations += ++Test->Inside != 1;
    HalChoicePoint(HalChoiceWait);
    Test->Sum += 1;
    Test->Inside -= 1;
}

static VOID NTAPI
MutexWorker(PVOID Context)
{
    MUTEX_TEST *Test = Context;

    for (ULONG Round = 0; Round < ROUNDS; Round += 1) {
        ExAcquireFastMutex(&Test->Fast);
        MutexInside(Test);
        ExReleaseFastMutex(&Test->Fast);
    }
}

static VOID NTAPI
GuardedWorker(PVOID Context)
{
    MUTEX_TEST *Test = Context;

    for (ULONG Round = 0; Round < ROUNDS; Round += 1) {
        KeAcquireGuardedMutex(&Test->Guarded);
        MutexInside(Test);
        KeReleaseGuardedMutex(&Test->Guarded);
    }
}

static VOID
MutexContend(PKSTART_ROUTINE Routine)
{
    MUTEX_TEST Test = {0};
    TEST_CREW Crew = {0};

    ExInitializeFastMutex(&Test.Fast);
    KeInitializeGuardedMutex(&Test.Guarded);
    for (ULONG Index = 0; Index < 5; Index += 1) {
        TestStart(&Crew, Routine, &Test);
    }
    TestJoin(&Crew);
    CHECK_EQ(Test.Violations, 0);
    CHECK_EQ(Test.Sum, 5 * ROUNDS);
    CHECK_EQ(Test.Fast.Count, 1);
    CHECK_EQ(Test.Guarded.Count, 1);
}

KTEST(FastMutexExcludes)
{
    MutexContend(MutexWorker);
}

KTEST(GuardedMutexExcludes)
{
    MutexContend(GuardedWorker);
}

static VOID
FastAcquireHigh(PVOID Mutex)
{
    KiRaiseIrql(DISPATCH_LEVEL);
    ExAcquireFastMutex(Mutex);
}

static VOID
FastReleaseLow(PVOID Mutex)
{
    ExReleaseFastMutex(Mutex);
}

static VOID
FastReleaseForeign(PVOID Mutex)
{
    KiRaiseIrql(APC_LEVEL);
    ExReleaseFastMutex(Mutex);
}

static VOID
FastUnsafeOutside(PVOID Mutex)
{
    ExAcquireFastMutexUnsafe(Mutex);
}

static VOID
GuardedReleaseForeign(PVOID Mutex)
{
    KeReleaseGuardedMutex(Mutex);
}

KTEST(MutexMisuse)
{
    FAST_MUTEX Fast;
    KGUARDED_MUTEX Guarded;

    ExInitializeFastMutex(&Fast);
    KeInitializeGuardedMutex(&Guarded);
    CHECK_BUGCHECK_CALL(DRIVER_VERIFIER_DETECTED_VIOLATION, 0x33, FastAcquireHigh, &Fast);
    CHECK_BUGCHECK_CALL(DRIVER_VERIFIER_DETECTED_VIOLATION, 0x34, FastReleaseLow, &Fast);
    CHECK_BUGCHECK_CALL(THREAD_NOT_MUTEX_OWNER, KTestCaught_.Parameters[0], FastReleaseForeign, &Fast);
    CHECK_BUGCHECK_CALL(DRIVER_VERIFIER_DETECTED_VIOLATION, 0x39, FastUnsafeOutside, &Fast);
    CHECK_BUGCHECK_CALL(THREAD_NOT_MUTEX_OWNER, KTestCaught_.Parameters[0], GuardedReleaseForeign, &Guarded);
}
