/* Quota: exact charges, limits, exemption, underflow. */
#include "threads.h"
#include <ps/psp.h>

KTEST(QuotaIsExact)
{
    PS_QUOTA_USAGE Usage;
    PEPROCESS Process;

    REQUIRE(NT_SUCCESS(PspMakeProcess(FALSE, &Process)));
    CHECK_STATUS(STATUS_SUCCESS, PsChargeProcessPoolQuota(Process, NonPagedPoolNx, 1001));
    PsChargePoolQuota(Process, PagedPool, 77);
    CHECK_STATUS(STATUS_SUCCESS, PsChargeProcessPoolQuota(Process, PagedPool, 3));
    PsQueryQuota(Process, PsNonPagedPool, &Usage);
    CHECK_EQ(Usage.Usage, 1001);
    PsQueryQuota(Process, PsPagedPool, &Usage);
    CHECK_EQ(Usage.Usage, 80);
    PsReturnPoolQuota(Process, PagedPool, 79);
    PsReturnProcessPagedPoolQuota(Process, 1);
    PsReturnProcessNonPagedPoolQuota(Process, 1001);
    PsQueryQuota(Process, PsPagedPool, &Usage);
    CHECK_EQ(Usage.Usage, 0);
    CHECK_EQ(Usage.Peak, 80);
    CHECK_EQ(ObDereferenceObject(Process), 0);
}

KTEST(QuotaLimits)
{
    PS_QUOTA_USAGE Usage;
    PEPROCESS Process;

    REQUIRE(NT_SUCCESS(PspMakeProcess(FALSE, &Process)));
    PsSetQuotaLimit(Process, PsPagedPool, 100);
    CHECK_STATUS(STATUS_SUCCESS, PsChargeProcessPoolQuota(Process, PagedPool, 100));
    CHECK_STATUS(STATUS_QUOTA_EXCEEDED, PsChargeProcessPoolQuota(Process, PagedPool, 1));
    CHECK_STATUS(STATUS_QUOTA_EXCEEDED, PsChargeProcessPoolQuota(Process, PagedPool, ~0ull));
    CHECK_STATUS(STATUS_SUCCESS, PsChargeProcessPoolQuota(Process, NonPagedPool, 1000));
    PsQueryQuota(Process, PsPagedPool, &Usage);
    CHECK_EQ(Usage.Usage, 100);
    PsReturnPoolQuota(Process, PagedPool, 100);
    PsReturnPoolQuota(Process, NonPagedPool, 1000);
    ObDereferenceObject(Process);
}

KTEST(QuotaExemptsSystem)
{
    PS_QUOTA_USAGE Usage;

    CHECK_STATUS(STATUS_SUCCESS, PsChargeProcessPoolQuota(PsInitialSystemProcess, PagedPool, 1000));
    PsQueryQuota(PsInitialSystemProcess, PsPagedPool, &Usage);
    CHECK_EQ(Usage.Usage, 0);
    PsReturnPoolQuota(PsInitialSystemProcess, PagedPool, 5000);
}

static VOID
QuotaReturnTooMuch(PVOID Process)
{
    PsReturnPoolQuota(Process, NonPagedPool, 11);
}

static VOID
QuotaChargeTooMuch(PVOID Process)
{
    PsChargePoolQuota(Process, NonPagedPool, 11);
}

KTEST(QuotaMisuse)
{
    KTEST_BUGCHECK Caught;
    PEPROCESS Process;

    REQUIRE(NT_SUCCESS(PspMakeProcess(FALSE, &Process)));
    PsChargeProcessPoolQuota(Process, NonPagedPool, 10);
    REQUIRE(KTestExpectBugCheck(QuotaReturnTooMuch, Process, &Caught));
    CHECK_EQ(Caught.Code, QUOTA_UNDERFLOW);
    CHECK_EQ(Caught.Parameters[0], (ULONG_PTR)Process);
    CHECK_EQ(Caught.Parameters[1], PsNonPagedPool);
    CHECK_EQ(Caught.Parameters[2], 11);
    CHECK_EQ(Caught.Parameters[3], 1);
    PsSetQuotaLimit(Process, PsNonPagedPool, 20);
    CHECK_BUGCHECK_CALL(KMODE_EXCEPTION_NOT_HANDLED, (ULONG_PTR)(LONG_PTR)STATUS_QUOTA_EXCEEDED,
                        QuotaChargeTooMuch, Process);
    PsReturnPoolQuota(Process, NonPagedPool, 10);
    ObDereferenceObject(Process);
    PsFlushEndedThreads();
}
