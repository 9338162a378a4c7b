/* Executive timers. */
#include "../ps/threads.h"
#include <ex/ex.h>

#define MS 10000ll

typedef struct _EXT_TEST {
    volatile LONG Calls, Deletes, Wrong;
    PEX_TIMER Timer;
    BOOLEAN DeleteItself;
} EXT_TEST;

static VOID NTAPI
ExtDeleted(PVOID Context)
{
    InterlockedIncrement(&((EXT_TEST *)Context)->Deletes);
}

static VOID NTAPI
ExtCallback(PEX_TIMER Timer, PVOID Context)
{
    EXT_TEST *Test = Context;
    EXT_DELETE_PARAMETERS Parameters;

    if (HalGetIrql() != DISPATCH_LEVEL || (Test->Timer != NULL && Timer != Test->Timer)) {
        InterlockedIncrement(&Test->Wrong);
    }
    InterlockedIncrement(&Test->Calls);
    if (Test->DeleteItself) {
        ExInitializeDeleteTimerParameters(&Parameters);
        Parameters.DeleteCallback = ExtDeleted;
        Parameters.DeleteContext = Test;
        ExDeleteTimer(Timer, TRUE, FALSE, &Parameters);
    }
}

KTEST(ExTimerOnce)
{
    EXT_TEST Test = {0};
    LARGE_INTEGER Zero = {0};

    CHECK(ExAllocateTimer(ExtCallback, &Test, 0x1) == NULL);
    Test.Timer = ExAllocateTimer(ExtCallback, &Test, EX_TIMER_NOTIFICATION);
    REQUIRE(Test.Timer != NULL);
    CHECK_EQ(ExpLiveTimers(), 1);
    CHECK(!ExCancelTimer(Test.Timer, NULL));
    CHECK(!ExSetTimer(Test.Timer, -5 * MS, 0, NULL));
    CHECK(ExSetTimer(Test.Timer, -5 * MS, 0, NULL)); /* was set */
    CHECK_STATUS(STATUS_TIMEOUT, KeWaitForSingleObject(Test.Timer, Executive, KernelMode, FALSE, &Zero));
    CHECK_STATUS(STATUS_SUCCESS, KeWaitForSingleObject(Test.Timer, Executive, KernelMode, FALSE, NULL));
    TestSleep(2);
    CHECK_EQ(Test.Calls, 1);
    CHECK(!ExCancelTimer(Test.Timer, NULL));
    CHECK(!ExSetTimer(Test.Timer, -50 * MS, 0, NULL));
    CHECK(ExCancelTimer(Test.Timer, NULL));
    TestSleep(100);
    CHECK_EQ(Test.Calls, 1);
    CHECK_EQ(Test.Wrong, 0);
    CHECK(!ExDeleteTimer(Test.Timer, TRUE, TRUE, NULL));
    CHECK_EQ(ExpLiveTimers(), 0);
}

KTEST(ExTimerPeriodic)
{
    EXT_DELETE_PARAMETERS Parameters;
    EXT_TEST Test = {0};

    Test.Timer = ExAllocateTimer(ExtCallback, &Test, EX_TIMER_HIGH_RESOLUTION);
    REQUIRE(Test.Timer != NULL);
    ExSetTimer(Test.Timer, -20 * MS, 20 * MS, NULL);
    TestSleep(110);
    CHECK(Test.Calls >= 3 && Test.Calls <= 6);
    ExInitializeDeleteTimerParameters(&Parameters);
    Parameters.DeleteCallback = ExtDeleted;
    Parameters.DeleteContext = &Test;
    CHECK(ExDeleteTimer(Test.Timer, TRUE, TRUE, &Parameters));
    CHECK_EQ(Test.Deletes, 1);
    CHECK_EQ(Test.Wrong, 0);
    CHECK_EQ(ExpLiveTimers(), 0);
}

/* Deleted without cancelling: the expiry still comes, then the end. */
KTEST(ExTimerDeletedAfterExpiry)
{
    EXT_DELETE_PARAMETERS Parameters;
    EXT_TEST Test = {0};
    PEX_TIMER Timer = ExAllocateTimer(ExtCallback, &Test, 0);

    REQUIRE(Timer != NULL);
    ExInitializeDeleteTimerParameters(&Parameters);
    Parameters.DeleteCallback = ExtDeleted;
    Parameters.DeleteContext = &Test;
    ExSetTimer(Timer, -20 * MS, 0, NULL);
    CHECK(!ExDeleteTimer(Timer, FALSE, FALSE, &Parameters));
    CHECK_EQ(Test.Deletes, 0);
    TestSleep(100);
    CHECK_EQ(Test.Calls, 1);
    CHECK_EQ(Test.Deletes, 1);
    CHECK_EQ(ExpLiveTimers(), 0);
}

KTEST(ExTimerDeletesItself)
{
    EXT_TEST Test = {.DeleteItself = TRUE};
    PEX_TIMER Timer = ExAllocateTimer(ExtCallback, &Test, 0);

    REQUIRE(Timer != NULL);
    ExSetTimer(Timer, -5 * MS, 5 * MS, NULL);
    TestSleep(100);
    CHECK_EQ(Test.Calls, 1);
    CHECK_EQ(Test.Deletes, 1);
    CHECK_EQ(ExpLiveTimers(), 0);
}
