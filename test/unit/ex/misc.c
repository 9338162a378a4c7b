/* Versions, identifiers, previous mode. */
#include <ktest.h>

KTEST(VersionsAgree)
{
    RTL_OSVERSIONINFOEXW Extended = {.dwOSVersionInfoSize = sizeof(Extended), .wReserved = 0xEE};
    RTL_OSVERSIONINFOW Plain[2];
    UNICODE_STRING Csd;
    ULONG Major, Minor, Build;

    RtlFillMemory(Plain, sizeof(Plain), 0xEE);
    Plain[0].dwOSVersionInfoSize = sizeof(Plain[0]);
    CHECK_STATUS(STATUS_SUCCESS, RtlGetVersion(&Plain[0]));
    CHECK_STATUS(STATUS_SUCCESS, RtlGetVersion((PRTL_OSVERSIONINFOW)&Extended));
    CHECK(!PsGetVersion(&Major, &Minor, &Build, &Csd));
    CHECK_EQ(Plain[0].dwMajorVersion, Major);
    CHECK_EQ(Plain[0].dwMinorVersion, Minor);
    CHECK_EQ(Plain[0].dwBuildNumber, Build);
    CHECK_EQ(Plain[0].szCSDVersion[0], 0);
    CHECK_EQ(Plain[1].dwOSVersionInfoSize, 0xEEEEEEEE);
    CHECK_EQ(Extended.dwBuildNumber, Build);
    CHECK_EQ(Extended.wReserved, 0);
    CHECK(Extended.wProductType == NtProductWinNt || Extended.wProductType == NtProductServer);
    CHECK_EQ(Csd.Length, 0);
    CHECK_EQ(Major, 10);
    CHECK_EQ(HalSharedUserData()->NtMajorVersion, 10);
    CHECK_EQ(NtBuildNumber & 0xFFFF, Build);
    CHECK_EQ(NtBuildNumber >> 28, 0xF);
    CHECK_EQ((ULONG)KeNumberProcessors, HalProcessorCount());
    CHECK(!PsGetVersion(NULL, NULL, NULL, NULL));
}

KTEST(NtDdiVersions)
{
    CHECK(RtlIsNtDdiVersionAvailable(0x06010000));
    CHECK(RtlIsNtDdiVersionAvailable(0x0A000000));
    CHECK(RtlIsNtDdiVersionAvailable(0x05010200)); /* a service pack of an older system */
    CHECK(!RtlIsNtDdiVersionAvailable(0x0A0000FF));
    CHECK(!RtlIsNtDdiVersionAvailable(0x0B000000));
}

KTEST(UuidsAreRandom)
{
    UUID One, Two;

    CHECK_STATUS(STATUS_SUCCESS, ExUuidCreate(&One));
    CHECK_STATUS(STATUS_SUCCESS, ExUuidCreate(&Two));
    CHECK(!RtlEqualMemory(&One, &Two, sizeof(One)));
    CHECK_EQ(One.Data3 >> 12, 4);
    CHECK_EQ(One.Data4[0] >> 6, 2);
}

KTEST(NoDebuggerNoUser)
{
    CHECK(!KdDebuggerEnabled);
    CHECK(KdDebuggerNotPresent);
    CHECK_EQ(ExGetPreviousMode(), KernelMode);
    CHECK_EQ(DbgQueryDebugFilterState(DPFLTR_IHVDRIVER_ID, DPFLTR_INFO_LEVEL), TRUE);
}

/* Longer than a call may print: cut, not overrun. Lines begin with "#", so that they are comments of the
 * test's output. */
KTEST(DebugTextIsCut)
{
    CHAR Long[700];

    RtlFillMemory(Long, sizeof(Long), 'x');
    Long[sizeof(Long) - 1] = 0;
    CHECK_STATUS(STATUS_SUCCESS, DbgPrint("# %s", Long));
    CHECK_STATUS(STATUS_SUCCESS, DbgPrint("\n"));
    CHECK_STATUS(STATUS_SUCCESS, DbgPrintEx(DPFLTR_IHVDRIVER_ID, DPFLTR_INFO_LEVEL, "# %wZ\n", NULL));
}
