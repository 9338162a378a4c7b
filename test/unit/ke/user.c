/*
 * Previous mode, and copies from and to user memory that is not there. Copies that succeed are tested with address spaces.
 */
#include <ktest.h>
#include <ke/ke.h>
#include <ke/user.h>

KTEST(PreviousModeIsTheThreads)
{
    KPROCESSOR_MODE Before = KiSetPreviousMode(UserMode);

    CHECK_EQ(Before, KernelMode);
    CHECK_EQ(KiPreviousMode(), UserMode);
    CHECK_EQ(ExGetPreviousMode(), UserMode);
    KiEnterBoundary();
    CHECK_EQ(KiPreviousMode(), KernelMode);
    KiLeaveBoundary();
    CHECK_EQ(KiSetPreviousMode(Before), UserMode);
    CHECK_EQ(KiPreviousMode(), KernelMode);
}

KTEST(UserCopyOfAbsentMemoryFails)
{
    PUCHAR User = (PUCHAR)(KiLoaderBlock->UserStart + 0x10000);
    UCHAR Bytes[24] = {1};

    CHECK_STATUS(STATUS_ACCESS_VIOLATION, KiCopyFromUser(Bytes, User, sizeof(Bytes)));
    CHECK_STATUS(STATUS_ACCESS_VIOLATION, KiCopyToUser(User, Bytes, sizeof(Bytes)));
    CHECK_STATUS(STATUS_ACCESS_VIOLATION, KiCopyToUser(User, Bytes, 3));
    CHECK_STATUS(STATUS_ACCESS_VIOLATION, KiProbeResult(User, 1, UserMode));
    CHECK_STATUS(STATUS_SUCCESS, KiCopyFromUser(Bytes, User, 0));
    CHECK_EQ(Bytes[0], 1);
}

KTEST(UserCopyRefusesSystemMemory)
{
    UCHAR From[16] = {7}, To[16] = {0};

    CHECK_STATUS(STATUS_ACCESS_VIOLATION, KiCopyFromUser(To, From, sizeof(To)));
    CHECK_STATUS(STATUS_ACCESS_VIOLATION, KiCopyToUser(To, From, sizeof(To)));
    CHECK_STATUS(STATUS_ACCESS_VIOLATION, KiCaptureArgument(To, From, sizeof(To), UserMode));
    CHECK_STATUS(STATUS_ACCESS_VIOLATION, KiReturnResult(To, From, sizeof(To), UserMode));
    CHECK_EQ(To[0], 0);
    CHECK_STATUS(STATUS_SUCCESS, KiCaptureArgument(To, From, sizeof(To), KernelMode));
    CHECK_EQ(To[0], 7);
    /* A range that begins in user space and leaves it, and one that wraps. */
    CHECK(!KiIsUserRange((PVOID)(KiLoaderBlock->UserEnd - 8), 9));
    CHECK(KiIsUserRange((PVOID)(KiLoaderBlock->UserEnd - 8), 8));
    CHECK(!KiIsUserRange((PVOID)16, ~0ull));
}
