/* Threads, priorities, affinity, APC regions, stacks and the image boundary (ke/thread.c, ready.c, apc.c, boundary). */
#include "kethreads.h"

typedef struct _RUN {
    KEVENT Go;
    volatile LONG Order;
    LONG Places[4];
    ULONG Processors[4];
    volatile LONG Next;
} RUN;

KTEST(KeThreadIsSignaledWhenItEnds)
{
    KEVENT Event;
    LARGE_INTEGER Zero = {.QuadPart = 0};
    PKTHREAD Thread;

    KeInitializeEvent(&Event, NotificationEvent, FALSE);
    Thread = KeTestStart((PKSTART_ROUTINE)(PVOID)KeClearEvent, &Event);
    REQUIRE(Thread != NULL);
    KeWaitForSingleObject(Thread, Executive, KernelMode, FALSE, NULL);
    CHECK_STATUS(STATUS_SUCCESS, KeWaitForSingleObject(Thread, Executive, KernelMode, FALSE, &Zero));
    CHECK_EQ(Thread->State, Terminated);
    ObDereferenceObject(Thread);
}

static VOID NTAPI
RunInTurn(PVOID Context)
{
    RUN *Run = Context;
    LONG Self = InterlockedIncrement(&Run->Next) - 1;

    KeSetPriorityThread(KeGetCurrentThread(), 16 + Self);
    KeSetSystemAffinityThreadEx(1);
    KeWaitForSingleObject(&Run->Go, Executive, KernelMode, FALSE, NULL);
    Run->Places[Self] = InterlockedIncrement(&Run->Order);
}

KTEST(KeHigherPriorityRunsFirst)
{
    RUN Run = {.Next = 0};
    PKTHREAD Threads[4];
    KAFFINITY Old;
    KPRIORITY OldPriority;
    ULONG Index;

    KeInitializeEvent(&Run.Go, NotificationEvent, FALSE);
    for (Index = 0; Index < 4; Index += 1) {
        Threads[Index] = KeTestStart(RunInTurn, &Run);
    }
    while (Run.Next != 4) {
        KeTestSleep(1);
    }
    KeTestSleep(10);
    /* On their processor, and better than they are, until all are ready. */
    Old = KeSetSystemAffinityThreadEx(1);
    OldPriority = KeSetPriorityThread(KeGetCurrentThread(), 31);
    CHECK_EQ(KeGetCurrentProcessorNumberEx(NULL), 0);
    KeSetEvent(&Run.Go, 0, FALSE);
    CHECK_EQ(Run.Order, 0);
    KeSetPriorityThread(KeGetCurrentThread(), OldPriority);
    KeRevertToUserAffinityThreadEx(Old);
    for (Index = 0; Index < 4; Index += 1) {
        KeTestJoin(Threads[Index]);
        CHECK_EQ(Run.Places[Index], 4 - Index);
    }
}

KTEST(KePriorityIsSetAndRead)
{
    PKTHREAD Thread = KeGetCurrentThread();
    KPRIORITY Old = KeSetPriorityThread(Thread, 12);

    CHECK_EQ(KeQueryPriorityThread(Thread), 12);
    CHECK_EQ(KeSetBasePriorityThread(Thread, 2), 4);
    CHECK_EQ(KeQueryPriorityThread(Thread), 10);
    CHECK_EQ(KeSetPriorityThread(Thread, Old), 10);
}

KTEST(KeAffinityMovesTheThread)
{
    ULONG Count = KeQueryActiveProcessorCount(NULL);
    ULONG Number;
    KAFFINITY Old = 0;

    for (Number = 0; Number < Count; Number += 1) {
        Old = KeSetSystemAffinityThreadEx(1ull << Number);
        CHECK_EQ(Old, Number == 0 ? 0 : 1ull << (Number - 1));
        CHECK_EQ(KeGetCurrentProcessorNumberEx(NULL), Number);
        KiYield();
        CHECK_EQ(KeGetCurrentProcessorNumberEx(NULL), Number);
    }
    CHECK_EQ(KeSetSystemAffinityThreadEx(1ull << 63), Count == 64 ? 1ull << 63 : 0);
    KeRevertToUserAffinityThreadEx(0);
    CHECK_EQ(KiCurrentThread()->Affinity, HAL_ALL_PROCESSORS);
}

typedef struct _SPINNING {
    volatile LONG Stop;
    volatile LONG Spun[3];
    volatile LONG Next;
} SPINNING;

static VOID NTAPI
SpinUntilTold(PVOID Context)
{
    SPINNING *Spinning = Context;
    LONG Self = InterlockedIncrement(&Spinning->Next) - 1;

    KeSetSystemAffinityThreadEx(1);
    while (!Spinning->Stop) {
        InterlockedIncrement(&Spinning->Spun[Self]);
        HalChoicePoint(HalChoiceIrql);
    }
}

KTEST(KeThreadsOfOneProcessorTakeTurns)
{
    SPINNING Spinning = {.Stop = 0};
    PKTHREAD Threads[3];
    ULONG Index;

    for (Index = 0; Index < 3; Index += 1) {
        Threads[Index] = KeTestStart(SpinUntilTold, &Spinning);
    }
    KeTestSleep(400);
    Spinning.Stop = 1;
    for (Index = 0; Index < 3; Index += 1) {
        KeTestJoin(Threads[Index]);
        CHECK(Spinning.Spun[Index] != 0);
    }
}

KTEST(KeCreateThreadChecksItsArguments)
{
    static UCHAR Stack[0x2000] DECLSPEC_ALIGN(16);
    static KTHREAD Thread;
    ULONG_PTR Limit = (ULONG_PTR)Stack;

    CHECK_STATUS(STATUS_INVALID_PARAMETER,
                 KiCreateThread(NULL, SpinUntilTold, NULL, 32, &Thread, Limit, Limit + sizeof(Stack)));
    CHECK_STATUS(STATUS_INVALID_PARAMETER,
                 KiCreateThread(NULL, SpinUntilTold, NULL, -1, &Thread, Limit, Limit + sizeof(Stack)));
    CHECK_STATUS(STATUS_INVALID_PARAMETER, KiCreateThread(NULL, SpinUntilTold, NULL, 8, &Thread, Limit, Limit + 0x800));
}

/* --- Regions -------------------------------------------------------------------------------------------------- */

KTEST(KeApcRegionsNest)
{
    KIRQL OldIrql;

    CHECK(!KeAreApcsDisabled());
    KeEnterCriticalRegion();
    KeEnterCriticalRegion();
    CHECK(KeAreApcsDisabled());
    CHECK(!KeAreAllApcsDisabled());
    KeLeaveCriticalRegion();
    CHECK(KeAreApcsDisabled());
    KeLeaveCriticalRegion();
    CHECK(!KeAreApcsDisabled());
    KeEnterGuardedRegion();
    CHECK(KeAreApcsDisabled());
    CHECK(KeAreAllApcsDisabled());
    KeLeaveGuardedRegion();
    CHECK(!KeAreAllApcsDisabled());
    KeRaiseIrql(APC_LEVEL, &OldIrql);
    CHECK(KeAreAllApcsDisabled());
    KeLowerIrql(OldIrql);
}

static VOID
LeaveTooOften(PVOID Context)
{
    KeLeaveCriticalRegion();
}

static VOID
EndInRegion(PVOID Context)
{
    KeEnterCriticalRegion();
    KiExitThread(STATUS_SUCCESS);
}

static VOID
EndRaised(PVOID Context)
{
    KfRaiseIrql(DISPATCH_LEVEL);
    KiExitThread(STATUS_SUCCESS);
}

KTEST(KeRegionBreachesStop)
{
    KTEST_BUGCHECK Caught;

    CHECK_BUGCHECK_CALL(DRIVER_VERIFIER_DETECTED_VIOLATION, 0x3E, LeaveTooOften, NULL);
    CHECK(KTestExpectBugCheck(EndInRegion, NULL, &Caught));
    CHECK_EQ(Caught.Code, KERNEL_APC_PENDING_DURING_EXIT);
    CHECK_EQ(Caught.Parameters[1], 0xFFFF);
    CHECK(KTestExpectBugCheck(EndRaised, NULL, &Caught));
    CHECK_EQ(Caught.Code, KERNEL_APC_PENDING_DURING_EXIT);
    CHECK_EQ(Caught.Parameters[2], DISPATCH_LEVEL);
}

/* --- Boundary --------------------------------------------------------------------------------------------------- */

static ULONG ExportKind;
static ULONG64 ExportSum;
static PVOID ImageFrames[4];
static ULONG ImageFrameCount;
static PVOID AllFrames[16];
static ULONG AllFrameCount;

/* What lies in this section plays an image. */
#define IN_IMAGE __attribute__((section("ketestimage"), noinline))
extern const UCHAR __start_ketestimage[];
extern const UCHAR __stop_ketestimage[];

static BOOLEAN
IsTestImage(ULONG64 Address)
{
    return Address >= (ULONG_PTR)__start_ketestimage && Address < (ULONG_PTR)__stop_ketestimage;
}

/* Its unwind data: every routine there has a frame pointer. */
static BOOLEAN
UnwindTestImage(PKI_UNWIND_STATE State, BOOLEAN FirstFrame)
{
    const ULONG64 *Frame = (const ULONG64 *)State->Rbp;

    State->Rip = Frame[1];
    State->Rsp = State->Rbp + 16;
    State->Rbp = Frame[0];
    return TRUE;
}

/* An "export" of seven arguments. */
static ULONG64 NTAPI
SumOfSeven(ULONG64 A1, ULONG64 A2, ULONG64 A3, ULONG64 A4, ULONG64 A5, ULONG64 A6, ULONG64 A7)
{
    PKI_BOUNDARY_RECORD Record = KiFindBoundaryRecord(KI_BOUNDARY_EXPORT);

    ExportKind = Record == NULL ? ~0u : Record->Index;
    CHECK(KiInImageCode());
    ImageFrameCount = KiCaptureImageStack(ImageFrames, 4);
    AllFrameCount = KiCaptureStack(AllFrames, 16, 0);
    return A1 + 2 * A2 + 3 * A3 + 4 * A4 + 5 * A5 + 6 * A6 + 7 * A7;
}

/* What a stub of the system image does for the first export. */
__asm__(".pushsection .text\n"
        "KeTestStub:\n"
        "movl $1, %r11d\n"
        "jmp KiExportEntry\n"
        ".popsection\n");
extern ULONG64 NTAPI KeTestStub(ULONG64 A1, ULONG64 A2, ULONG64 A3, ULONG64 A4, ULONG64 A5, ULONG64 A6, ULONG64 A7);

/* An "image" routine: calls the export. */
static IN_IMAGE ULONG64 NTAPI
ImageRoutine(ULONG64 A1, ULONG64 A2, ULONG64 A3, ULONG64 A4, ULONG64 A5, ULONG64 A6)
{
    CHECK(KiFindBoundaryRecord(KI_BOUNDARY_CALLBACK) != NULL);
    CHECK(!KiInImageCode());
    ExportSum = KeTestStub(A1, A2, A3, A4, A5, A6, 7);
    return ExportSum + 1;
}

KTEST(KeBoundaryPassesArgumentsAndKeepsRecords)
{
    PVOID Table[2] = {NULL, (PVOID)SumOfSeven};
    PVOID *Saved = KiExportTable;
    PKI_BOUNDARY_RECORD Top = KiCurrentThread()->BoundaryTop;

    KiExportTable = Table;
    CHECK_EQ(KiCallImage6((PVOID)ImageRoutine, 1, 2, 3, 4, 5, 6), 1 + 4 + 9 + 16 + 25 + 36 + 49 + 1);
    KiExportTable = Saved;
    CHECK_EQ(ExportSum, 140);
    CHECK_EQ(ExportKind, 1);
    CHECK(KiCurrentThread()->BoundaryTop == Top);
    CHECK(!KiInImageCode());
}

static BOOLEAN
IsIn(PVOID Address, PVOID Routine)
{
    return (ULONG_PTR)Address - (ULONG_PTR)Routine < 0x600;
}

KTEST(KeStackWalkCrossesTheBoundary)
{
    PVOID Table[2] = {NULL, (PVOID)SumOfSeven};
    PVOID *SavedTable = KiExportTable;
    BOOLEAN (*SavedIsImage)(ULONG64) = KiIsImageAddress;
    KI_IMAGE_UNWIND *SavedUnwind = KiImageUnwind;

    KiExportTable = Table;
    KiIsImageAddress = IsTestImage;
    KiImageUnwind = UnwindTestImage;
    KiCallImage((PVOID)ImageRoutine, 1, 2, 3, 4);
    KiExportTable = SavedTable;
    KiIsImageAddress = SavedIsImage;
    KiImageUnwind = SavedUnwind;
    REQUIRE(ImageFrameCount == 1 && AllFrameCount >= 3);
    CHECK(IsIn(ImageFrames[0], (PVOID)ImageRoutine));
    CHECK(IsIn(AllFrames[0], (PVOID)SumOfSeven));
    CHECK_EQ(AllFrames[1], ImageFrames[0]);
    /* Then the core's call, which is here. */
    CHECK(IsIn(AllFrames[2], (PVOID)KeStackWalkCrossesTheBoundary));
}

static ULONG64 NTAPI
CallDeeper(ULONG64 Depth, ULONG64 A2, ULONG64 A3, ULONG64 A4)
{
    return Depth == 0 ? 0 : KiCallImage((PVOID)CallDeeper, Depth - 1, 0, 0, 0);
}

static VOID
OverflowBoundary(PVOID Context)
{
    ULONG Count;

    /* All places but one without using stack, then two calls. */
    for (Count = 1; Count < KI_BOUNDARY_RECORDS; Count += 1) {
        KiEnterBoundary();
    }
    CallDeeper(2, 0, 0, 0);
}

KTEST(KeBoundaryOverflowStops)
{
    CHECK_EQ(CallDeeper(32, 0, 0, 0), 0);
    CHECK_BUGCHECK_CALL(UNEXPECTED_KERNEL_MODE_TRAP, 8, OverflowBoundary, NULL);
}

static DECLSPEC_NOINLINE ULONG
CaptureBelow(PVOID *Frames, ULONG Maximum)
{
    return KiCaptureStack(Frames, Maximum, 0);
}

KTEST(KeStackWalkFindsCallers)
{
    PVOID Frames[16];
    ULONG Count = CaptureBelow(Frames, 16);

    CHECK(Count >= 3);
    /* The second frame is this routine's, near its beginning. */
    CHECK((ULONG_PTR)Frames[1] - (ULONG_PTR)KeStackWalkFindsCallers < 0x400);
    CHECK_EQ(CaptureBelow(Frames, 2), 2);
}

static VOID
NoteRemaining(PVOID Context)
{
    *(ULONG_PTR *)Context = KiRemainingStack();
    KeTestSleep(1);
}

KTEST(KeCallOnStackUsesTheOtherStack)
{
    static UCHAR Stack[0x4000] DECLSPEC_ALIGN(16);
    ULONG_PTR Here = KiRemainingStack();
    ULONG_PTR There = 0;
    ULONG_PTR Limit = KiCurrentThread()->Stack.Limit;

    KiCallOnStack((ULONG_PTR)Stack, (ULONG_PTR)Stack + sizeof(Stack), NoteRemaining, &There, NULL);
    CHECK(There > 0x2000 && There < sizeof(Stack));
    CHECK_EQ(KiCurrentThread()->Stack.Limit, Limit);
    CHECK(Here - KiRemainingStack() < 0x1000 || KiRemainingStack() - Here < 0x1000);
}

/* --- Traps ------------------------------------------------------------------------------------------------------- */

static VOID
DivideByZero(PVOID Context)
{
    volatile LONG Zero = 0;

    __asm__ volatile("xorl %%edx, %%edx\n movl $1, %%eax\n divl %0" ::"m"(Zero) : "eax", "edx");
}

static VOID
IllegalInstruction(PVOID Context)
{
    __asm__ volatile("ud2");
}

static VOID
FastFail(PVOID Context)
{
    RtlFailFast(FAST_FAIL_CORRUPT_LIST_ENTRY);
}

/* Addresses that are never mapped. */
static VOID
ReadNull(PVOID Context)
{
    __asm__ volatile("movl 0x18, %%eax" ::: "eax", "memory");
}

static VOID
WriteNullRaised(PVOID Context)
{
    KfRaiseIrql(DISPATCH_LEVEL);
    __asm__ volatile("movl $1, 0x1C" ::: "memory");
}

KTEST(KePageFaultsBecomeBugChecks)
{
    KTEST_BUGCHECK Caught;

    CHECK(KTestExpectBugCheck(ReadNull, NULL, &Caught));
    CHECK_EQ(Caught.Code, KMODE_EXCEPTION_NOT_HANDLED);
    CHECK_EQ(Caught.Parameters[0], (ULONG_PTR)(LONG_PTR)STATUS_ACCESS_VIOLATION);
    CHECK((ULONG_PTR)Caught.Parameters[1] - (ULONG_PTR)ReadNull < 0x100);
    CHECK_EQ(Caught.Parameters[2], 0);
    CHECK_EQ(Caught.Parameters[3], 0x18);
    CHECK(KTestExpectBugCheck(WriteNullRaised, NULL, &Caught));
    CHECK_EQ(Caught.Code, IRQL_NOT_LESS_OR_EQUAL);
    CHECK_EQ(Caught.Parameters[0], 0x1C);
    CHECK_EQ(Caught.Parameters[1], DISPATCH_LEVEL);
    CHECK_EQ(Caught.Parameters[2], 1);
}

KTEST(KeTrapsBecomeBugChecks)
{
    CHECK_BUGCHECK_CALL(KMODE_EXCEPTION_NOT_HANDLED, (ULONG_PTR)(LONG_PTR)STATUS_INTEGER_DIVIDE_BY_ZERO, DivideByZero,
                        NULL);
    CHECK_BUGCHECK_CALL(KMODE_EXCEPTION_NOT_HANDLED, (ULONG_PTR)(LONG_PTR)STATUS_ILLEGAL_INSTRUCTION,
                        IllegalInstruction, NULL);
    CHECK_BUGCHECK_CALL(KERNEL_SECURITY_CHECK_FAILURE, FAST_FAIL_CORRUPT_LIST_ENTRY, FastFail, NULL);
}
