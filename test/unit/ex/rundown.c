/* Rundown protection. */
#include "../ps/threads.h"

KTEST(RundownCounts)
{
    EX_RUNDOWN_REF Ref;

    ExInitializeRundownProtection(&Ref);
    CHECK(ExAcquireRundownProtection(&Ref));
    CHECK(ExAcquireRundownProtectionEx(&Ref, 3));
    CHECK_EQ(Ref.Count, 8);
    ExReleaseRundownProtectionEx(&Ref, 3);
    ExReleaseRundownProtection(&Ref);
    CHECK_EQ(Ref.Count, 0);
    ExWaitForRundownProtectionRelease(&Ref); /* nobody: at once */
    CHECK(!ExAcquireRundownProtection(&Ref));
    ExWaitForRundownProtectionRelease(&Ref); /* again: at once */
    ExRundownCompleted(&Ref);
    CHECK(!ExAcquireRundownProtectionEx(&Ref, 2));
    ExReInitializeRundownProtection(&Ref);
    CHECK(ExAcquireRundownProtection(&Ref));
    ExReleaseRundownProtection(&Ref);
}

typedef struct _RUNDOWN_TEST {
    EX_RUNDOWN_REF Ref;
    volatile LONG Users, Refused, Over, Violations;
} RUNDOWN_TEST;

static VOID NTAPI
RundownUser(PVOID Context)
{
    RUNDOWN_TEST *Test = Context;

    while (ExAcquireRundownProtection(&Test->Ref)) {
        InterlockedIncrement(&Test->Users);
        KiYield();
        if (Test->Over) {
            InterlockedIncrement(&Test->Violations);
        }
        InterlockedDecrement(&Test->Users);
        ExReleaseRundownProtection(&Test->Ref);
    }
    InterlockedIncrement(&Test->Refused);
}

KTEST(RundownWaitsForUsers)
{
    RUNDOWN_TEST Test = {0};
    TEST_CREW Crew = {0};

    ExInitializeRundownProtection(&Test.Ref);
    for (ULONG Index = 0; Index < 4; Index += 1) {
        TestStart(&Crew, RundownUser, &Test);
    }
    TestSleep(5);
    ExWaitForRundownProtectionRelease(&Test.Ref);
    Test.Over = TRUE;
    CHECK_EQ(Test.Users, 0);
    TestJoin(&Crew);
    CHECK_EQ(Test.Refused, 4);
    CHECK_EQ(Test.Violations, 0);
    CHECK_EQ(Test.Ref.Count, 1);
}

static VOID NTAPI
RundownOwner(PVOID Context)
{
    RUNDOWN_TEST *Test = Context;

    ExWaitForRundownProtectionRelease(&Test->Ref);
    Test->Over = TRUE;
}

KTEST(RundownLastUserWakes)
{
    RUNDOWN_TEST Test = {0};
    TEST_CREW Crew = {0};

    ExInitializeRundownProtection(&Test.Ref);
    CHECK(ExAcquireRundownProtectionEx(&Test.Ref, 2));
    TestStart(&Crew, RundownOwner, &Test);
    TestSleep(2);
    CHECK(!ExAcquireRundownProtection(&Test.Ref));
    ExReleaseRundownProtection(&Test.Ref);
    TestSleep(2);
    CHECK(!Test.Over);
    ExReleaseRundownProtection(&Test.Ref);
    TestJoin(&Crew);
    CHECK(Test.Over);
}

static VOID
RundownReleaseUnowned(PVOID Ref)
{
    ExReleaseRundownProtection(Ref);
}

KTEST(RundownUnderflow)
{
    EX_RUNDOWN_REF Ref;

    ExInitializeRundownProtection(&Ref);
    CHECK_BUGCHECK_CALL(KERNEL_SECURITY_CHECK_FAILURE, 14, RundownReleaseUnowned, &Ref);
    ExRundownCompleted(&Ref);
    CHECK_BUGCHECK_CALL(KERNEL_SECURITY_CHECK_FAILURE, 14, RundownReleaseUnowned, &Ref);
}
