/* Event tracing where nobody listens. */
#include <ktest.h>
#include <ntifs.h>

KTEST(TraceProviders)
{
    static const GUID Id = {1, 2, 3, {4, 5, 6, 7, 8, 9, 10, 11}};
    static const EVENT_DESCRIPTOR Event = {.Id = 1, .Level = 4};
    REGHANDLE First = 0, Second = 0;
    KIRQL OldIrql;

    CHECK_STATUS(STATUS_INVALID_PARAMETER, EtwRegister(NULL, NULL, NULL, &First));
    CHECK_STATUS(STATUS_SUCCESS, EtwRegister(&Id, NULL, NULL, &First));
    CHECK_STATUS(STATUS_SUCCESS, EtwRegister(&Id, NULL, NULL, &Second));
    CHECK(First != Second);
    CHECK(!EtwEventEnabled(First, &Event) && !EtwProviderEnabled(First, 4, 1));
    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    CHECK_STATUS(STATUS_SUCCESS, EtwWrite(First, &Event, NULL, 0, NULL));
    KeLowerIrql(OldIrql);
    CHECK_STATUS(STATUS_INVALID_PARAMETER, EtwWriteTransfer(First, &Event, NULL, NULL, 129, NULL));
    CHECK_STATUS(STATUS_SUCCESS, EtwWriteString(First, 4, 1, NULL, L"text"));
    CHECK_STATUS(STATUS_SUCCESS, EtwSetInformation(First, EventProviderSetTraits, NULL, 0));
    CHECK_STATUS(STATUS_INVALID_PARAMETER, EtwSetInformation(First, MaxEventInfo, NULL, 0));
    CHECK_STATUS(STATUS_SUCCESS, EtwUnregister(First));
    CHECK_STATUS(STATUS_INVALID_HANDLE, EtwUnregister(First));
    CHECK_STATUS(STATUS_INVALID_HANDLE, EtwWrite(First, &Event, NULL, 0, NULL));
    CHECK_STATUS(STATUS_INVALID_HANDLE, EtwSetInformation(0, EventProviderSetTraits, NULL, 0));
    CHECK_STATUS(STATUS_SUCCESS, EtwUnregister(Second));
}
