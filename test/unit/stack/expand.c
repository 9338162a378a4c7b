/* Stacks: bounds, and more of it for a call. */
#include "../mdl/mdltest.h"

typedef struct _STACK_SEEN {
    ULONG_PTR Low, High, Here;
    PVOID Initial;
    ULONG Calls;
    NTSTATUS Inner;
    SIZE_T Ask;
} STACK_SEEN;

static VOID NTAPI
StackLook(PVOID Context)
{
    STACK_SEEN *Seen = Context;

    IoGetStackLimits(&Seen->Low, &Seen->High);
    Seen->Here = (ULONG_PTR)__builtin_frame_address(0);
    Seen->Initial = IoGetInitialStack();
    Seen->Calls += 1;
}

KTEST(StackLimits)
{
    ULONG_PTR Low, High, Here = (ULONG_PTR)__builtin_frame_address(0);

    IoGetStackLimits(&Low, &High);
    CHECK(Low < Here && Here < High);
    CHECK(High - Low == KERNEL_STACK_SIZE || High - Low == KERNEL_LARGE_STACK_SIZE);
    CHECK(IoGetInitialStack() == (PVOID)High);
    CHECK(PsGetCurrentThreadStackBase() == (PVOID)High && PsGetCurrentThreadStackLimit() == (PVOID)Low);
    CHECK(IoWithinStackLimits(Low, High - Low));
    CHECK(!IoWithinStackLimits(Low, High - Low + 1));
    CHECK(!IoWithinStackLimits(Low - 1, 1));
    CHECK(!IoWithinStackLimits(Here, ~0ull));
    CHECK(!MmIsAddressValid((PVOID)(Low - 1)) && !MmIsAddressValid((PVOID)High));
    CHECK(IoGetRemainingStackSize() < Here - Low + 16 && IoGetRemainingStackSize() > 0x1000);
    CHECK_STATUS(STATUS_SUCCESS, MmGrowKernelStack((PVOID)Low));
    CHECK_STATUS(STATUS_STACK_OVERFLOW, MmGrowKernelStack((PVOID)(Low - 1)));
}

/* Enough is left: the routine runs where its caller does. */
KTEST(StackSmallCallout)
{
    STACK_SEEN Seen = {0};
    ULONG_PTR Low, High;

    IoGetStackLimits(&Low, &High);
    CHECK_STATUS(STATUS_SUCCESS, KeExpandKernelStackAndCallout(StackLook, &Seen, 0x1000));
    CHECK_EQ(Seen.Calls, 1);
    CHECK(Seen.Low == Low && Seen.High == High);
}

KTEST(StackLargeCallout)
{
    STACK_SEEN Seen = {0};
    ULONG_PTR Low, High, After;

    IoGetStackLimits(&Low, &High);
    CHECK_STATUS(STATUS_SUCCESS, KeExpandKernelStackAndCallout(StackLook, &Seen, MAXIMUM_EXPANSION_SIZE));
    CHECK_EQ(Seen.Calls, 1);
    CHECK(Seen.Low != Low && Seen.Low <= Seen.Here && Seen.Here < Seen.High);
    CHECK(Seen.Here - Seen.Low >= MAXIMUM_EXPANSION_SIZE);
    CHECK(Seen.Initial == (PVOID)High);
    IoGetStackLimits(&Low, &After);
    CHECK_EQ(After, High);
}

KTEST(StackCalloutParameters)
{
    STACK_SEEN Seen = {0};
    NTSTATUS Status, Small;
    KIRQL OldIrql;

    CHECK_STATUS(STATUS_INVALID_PARAMETER_3,
                 KeExpandKernelStackAndCallout(StackLook, &Seen, MAXIMUM_EXPANSION_SIZE + 1));
    CHECK_STATUS(STATUS_INVALID_PARAMETER_3,
                 KeExpandKernelStackAndCalloutEx(StackLook, &Seen, ~0ull, FALSE, NULL));
    OldIrql = KiRaiseIrqlToDispatch();
    Status = KeExpandKernelStackAndCalloutEx(StackLook, &Seen, MAXIMUM_EXPANSION_SIZE, TRUE, NULL);
    Small = KeExpandKernelStackAndCalloutEx(StackLook, &Seen, MAXIMUM_EXPANSION_SIZE, FALSE, NULL);
    KiLowerIrql(OldIrql);
    CHECK_STATUS(STATUS_INVALID_PARAMETER_4, Status);
    CHECK_STATUS(STATUS_SUCCESS, Small);
    CHECK_EQ(Seen.Calls, 1);
}

static VOID NTAPI
StackRecurse(PVOID Context)
{
    STACK_SEEN *Seen = Context;
    NTSTATUS Status;

    Seen->Calls += 1;
    Status = KeExpandKernelStackAndCallout(StackRecurse, Seen, MAXIMUM_EXPANSION_SIZE);
    if (!NT_SUCCESS(Status)) {
        Seen->Inner = Status;
    }
}

/* There is an end to it, and every level comes back. */
KTEST(StackNesting)
{
    STACK_SEEN Seen = {0};

    CHECK_STATUS(STATUS_SUCCESS, KeExpandKernelStackAndCallout(StackRecurse, &Seen, MAXIMUM_EXPANSION_SIZE));
    CHECK_STATUS(STATUS_STACK_OVERFLOW, Seen.Inner);
    CHECK(Seen.Calls > 4 && Seen.Calls < 64);
}

KTEST(StackWithoutMemory)
{
    STACK_SEEN Seen = {0};
    ULONG64 Nth = 0;
    NTSTATUS Status;
    BOOLEAN Failed;

    do {
        Nth += 1;
        MiTrimStacks();
        PtFailNth(Nth, TRUE);
        Status = KeExpandKernelStackAndCalloutEx(StackLook, &Seen, MAXIMUM_EXPANSION_SIZE, FALSE, NULL);
        Failed = PtStopFailing();
        CHECK(Status == STATUS_SUCCESS || Status == STATUS_NO_MEMORY);
        CHECK_EQ(Seen.Calls, NT_SUCCESS(Status));
    } while (Failed && Nth < 50);
    CHECK_STATUS(STATUS_SUCCESS, Status);
    CHECK(Nth > 1);
    MiTrimStacks();
    MiTrimSystemSpace();
}
