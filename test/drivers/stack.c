/*
 * Kernel stacks: limits, what remains, and running on a larger one.
 */
#include "check.h"

typedef struct _CALL {
    ULONG_PTR Low, High, Here;
    SIZE_T Remaining;
    ULONG Depth, Calls;
} CALL;

static VOID NTAPI
Callout(PVOID Parameter)
{
    CALL *Call = Parameter;
    volatile UCHAR Big[16000];

    Paint((PVOID)Big, sizeof(Big), 3);
    Call->Here = (ULONG_PTR)Big;
    IoGetStackLimits(&Call->Low, &Call->High);
    Call->Remaining = IoGetRemainingStackSize();
    Call->Calls += Painted((PVOID)Big, sizeof(Big), 3);
    if (Call->Depth > 0) {
        Call->Depth -= 1;
        KeExpandKernelStackAndCallout(Callout, Call, 40000);
    }
}

static VOID
Test(VOID)
{
    ULONG_PTR Low = 0, High = 0, Here = (ULONG_PTR)&Low;
    SIZE_T Remaining;
    CALL Call = {0};
    KIRQL OldIrql;
    NTSTATUS Status;

    IoGetStackLimits(&Low, &High);
    CHECK(Low < Here && Here < High);
    CHECK_EQ(BYTE_OFFSET(Low), 0);
    CHECK(High - Low >= 0x3000 && High - Low <= 0x12000);
    Remaining = IoGetRemainingStackSize();
    CHECK(Remaining <= Here - Low + 0x200 && Remaining + 0x400 >= Here - Low);
    CHECK((ULONG_PTR)IoGetInitialStack() == High);

    CHECK_STATUS(KeExpandKernelStackAndCallout(Callout, &Call, 30000), STATUS_SUCCESS);
    CHECK_EQ(Call.Calls, 1);
    CHECK(Call.Low < Call.Here && Call.Here < Call.High);
    CHECK(Call.High <= Low || Call.Low >= High || Call.High - Call.Low >= 0x8000);
    CHECK(Call.Remaining < Call.High - Call.Low);
    Call.Calls = 0;
    Call.Depth = 2;
    CHECK_STATUS(KeExpandKernelStackAndCallout(Callout, &Call, 40000), STATUS_SUCCESS);
    CHECK_EQ(Call.Calls, 3);
    Call.Calls = 0;
    CHECK_STATUS(KeExpandKernelStackAndCallout(Callout, &Call, MAXIMUM_EXPANSION_SIZE + 1),
                 STATUS_INVALID_PARAMETER_3);
    CHECK_STATUS(KeExpandKernelStackAndCalloutEx(Callout, &Call, MAXIMUM_EXPANSION_SIZE + 1, TRUE, NULL),
                 STATUS_INVALID_PARAMETER_3);
    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    Status = KeExpandKernelStackAndCalloutEx(Callout, &Call, 20000, TRUE, NULL);
    KeLowerIrql(OldIrql);
    CHECK_STATUS(Status, STATUS_INVALID_PARAMETER_4);
    CHECK_EQ(Call.Calls, 0);
    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    Status = KeExpandKernelStackAndCalloutEx(Callout, &Call, 30000, FALSE, NULL);
    KeLowerIrql(OldIrql);
    CHECK_STATUS(Status, STATUS_SUCCESS);
    CHECK_EQ(Call.Calls, 1);
    IoGetStackLimits(&Call.Low, &Call.High);
    CHECK(Call.Low == Low && Call.High == High);
}

CHECK_DRIVER
