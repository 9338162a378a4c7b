/*
 * Parts of exception handling that need no driver: guarded calls, and which scopes __C_specific_handler asks or runs. The
 * dispatch as a whole is tested by test/drivers/seh.t.
 */
#include <ke/exception.h>
#include <ktest.h>

extern const UCHAR __executable_start[];
EXCEPTION_ROUTINE __C_specific_handler;

/* --- Guarded calls ------------------------------------------------------------------------------------- */

static VOID
CountTop(PVOID Context)
{
    PKI_BOUNDARY_RECORD *Top = Context;

    *Top = KiCurrentThread()->BoundaryTop;
}

KTEST(KeGuardedCallReturns)
{
    PKI_BOUNDARY_RECORD Before = KiCurrentThread()->BoundaryTop, Inside = NULL;
    KI_UNWIND_GUARD Guard;

    CHECK(!KiCallGuarded(CountTop, &Inside, &Guard));
    CHECK_EQ((ULONG_PTR)Inside, (ULONG_PTR)(Before + 1));
    CHECK_EQ((ULONG_PTR)KiCurrentThread()->BoundaryTop, (ULONG_PTR)Before);
}

/* What the end of an unwind does on a guard, without the unwind. */
static VOID
LeaveByGuard(PVOID Context)
{
    PKI_UNWIND_GUARD Guard = Context;

    KiPopBoundary(KI_BOUNDARY_GUARD);
    KiLandOnGuard(Guard);
}

KTEST(KeGuardedCallIsLandedOn)
{
    PKI_BOUNDARY_RECORD Before = KiCurrentThread()->BoundaryTop;
    volatile ULONG Kept = 0x1234;
    KI_UNWIND_GUARD Guard;

    CHECK(KiCallGuarded(LeaveByGuard, &Guard, &Guard));
    CHECK_EQ(Kept, 0x1234);
    CHECK_EQ((ULONG_PTR)KiCurrentThread()->BoundaryTop, (ULONG_PTR)Before);
}

/* --- Scopes: the "image" is this program's own code and data ------------------------------------------- */

typedef struct _SCOPE_TABLE {
    ULONG Count;
    struct {
        ULONG Begin, End, Handler, Target;
    } Scope[4];
} SCOPE_TABLE;

static SCOPE_TABLE Table;
static ULONG Calls;
static LONG FilterAnswer;

static BOOLEAN
FindSelf(ULONG64 Address, PULONG64 Base, PULONG Size)
{
    *Base = (ULONG_PTR)__executable_start;
    *Size = 0x7FFFFFFF;
    return Address - *Base < *Size;
}

static VOID NTAPI
FinallyOne(ULONG Abnormal, ULONG64 Frame)
{
    Calls = Calls * 16 + (Abnormal == TRUE && Frame == 0x5550 ? 1 : 15);
}

static VOID NTAPI
FinallyTwo(ULONG Abnormal, ULONG64 Frame)
{
    Calls = Calls * 16 + 2;
}

static LONG NTAPI
Filter(PEXCEPTION_POINTERS Pointers, ULONG64 Frame)
{
    Calls = Calls * 16 + (Pointers->ExceptionRecord->ExceptionCode == STATUS_DATA_ERROR && Frame == 0x5550 ? 3 : 14);
    return FilterAnswer;
}

static ULONG
RvaOf(PVOID Address)
{
    return (ULONG)((PUCHAR)Address - __executable_start);
}

static VOID
SetScope(ULONG Index, ULONG Begin, ULONG End, PVOID Handler, ULONG Target)
{
    Table.Scope[Index].Begin = Begin;
    Table.Scope[Index].End = End;
    Table.Scope[Index].Handler = RvaOf(Handler);
    Table.Scope[Index].Target = Target;
}

/* Call the handler for a frame at Pc. Returns its answer and in Calls what it called. */
static EXCEPTION_DISPOSITION
AskAt(ULONG Pc, ULONG Flags, ULONG64 TargetPc, PULONG ScopeIndex)
{
    BOOLEAN (*Saved)(ULONG64, PULONG64, PULONG) = KiFindImage;
    EXCEPTION_RECORD Record = {.ExceptionCode = STATUS_DATA_ERROR, .ExceptionFlags = Flags};
    static CONTEXT Context;
    DISPATCHER_CONTEXT Dispatcher = {.ImageBase = (ULONG_PTR)__executable_start,
                                     .ControlPc = (ULONG_PTR)__executable_start + Pc,
                                     .TargetIp = (ULONG_PTR)__executable_start + TargetPc,
                                     .EstablisherFrame = 0x5550,
                                     .HandlerData = &Table,
                                     .ScopeIndex = *ScopeIndex};
    EXCEPTION_DISPOSITION Answer;

    Calls = 0;
    KiFindImage = FindSelf;
    Answer = __C_specific_handler(&Record, (PVOID)0x5550, &Context, &Dispatcher);
    KiFindImage = Saved;
    *ScopeIndex = Dispatcher.ScopeIndex;
    return Answer;
}

/* An inner __finally over [100, 200), an outer one over [50, 300), both in a __try with __except over [10, 400). */
static VOID
MakeTable(VOID)
{
    Table.Count = 3;
    SetScope(0, 100, 200, (PVOID)FinallyOne, 0);
    SetScope(1, 50, 300, (PVOID)FinallyTwo, 0);
    SetScope(2, 10, 400, (PVOID)Filter, 500);
}

KTEST(KeScopesAskFilters)
{
    ULONG Index = 0;

    MakeTable();
    FilterAnswer = EXCEPTION_CONTINUE_SEARCH;
    CHECK_EQ(AskAt(150, 0, 0, &Index), ExceptionContinueSearch);
    CHECK_EQ(Calls, 3);
    FilterAnswer = EXCEPTION_CONTINUE_EXECUTION;
    CHECK_EQ(AskAt(150, 0, 0, &Index), ExceptionContinueExecution);
    CHECK_EQ(Calls, 3);
    CHECK_EQ(AskAt(450, 0, 0, &Index), ExceptionContinueSearch);
    CHECK_EQ(Calls, 0);
    Index = 3; /* all was asked before a collision */
    CHECK_EQ(AskAt(150, 0, 0, &Index), ExceptionContinueSearch);
    CHECK_EQ(Calls, 0);
}

KTEST(KeScopesRunTerminationHandlers)
{
    ULONG Index = 0;

    MakeTable();
    CHECK_EQ(AskAt(150, EXCEPTION_UNWINDING, 0, &Index), ExceptionContinueSearch);
    CHECK_EQ(Calls, 0x12);
    CHECK_EQ(Index, 2);
    Index = 1; /* the first has run, and raised */
    AskAt(150, EXCEPTION_UNWINDING, 0, &Index);
    CHECK_EQ(Calls, 2);
    Index = 0;
    AskAt(250, EXCEPTION_UNWINDING, 0, &Index);
    CHECK_EQ(Calls, 2);
    /* To the __except block: both are left. To a place inside the outer one: only the inner is. */
    Index = 0;
    AskAt(150, EXCEPTION_UNWINDING | EXCEPTION_TARGET_UNWIND, 500, &Index);
    CHECK_EQ(Calls, 0x12);
    Index = 0;
    AskAt(150, EXCEPTION_UNWINDING | EXCEPTION_TARGET_UNWIND, 250, &Index);
    CHECK_EQ(Calls, 1);
    Index = 0;
    AskAt(150, EXCEPTION_UNWINDING | EXCEPTION_TARGET_UNWIND, 120, &Index);
    CHECK_EQ(Calls, 0);
}

KTEST(KeScopesOfSplitRanges)
{
    ULONG Index = 0;

    /* One __finally whose range has two parts: a jump from one to the other does not leave it. */
    Table.Count = 2;
    SetScope(0, 100, 200, (PVOID)FinallyOne, 0);
    SetScope(1, 300, 400, (PVOID)FinallyOne, 0);
    AskAt(150, EXCEPTION_UNWINDING | EXCEPTION_TARGET_UNWIND, 350, &Index);
    CHECK_EQ(Calls, 0);
    AskAt(150, EXCEPTION_UNWINDING | EXCEPTION_TARGET_UNWIND, 250, &Index);
    CHECK_EQ(Calls, 1);
}

KTEST(KeScopesThatLie)
{
    ULONG Index = 0;

    MakeTable();
    Table.Count = 0x7FFFFFFF;
    CHECK_EQ(AskAt(150, 0, 0, &Index), ExceptionContinueSearch);
    CHECK_EQ(AskAt(150, EXCEPTION_UNWINDING, 0, &Index), ExceptionContinueSearch);
    CHECK_EQ(Calls, 0);
    Table.Count = 0;
}

/* --- Raising without an image --------------------------------------------------------------------------- */

static VOID
RaiseAlone(PVOID Context)
{
    ExRaiseStatus(STATUS_DATA_ERROR);
}

static VOID
UnwindAlone(PVOID Context)
{
    RtlUnwind(Context, Context, NULL, NULL);
}

KTEST(KeExceptionsOfTheCoreAreUnhandled)
{
    CHECK_BUGCHECK_CALL(KMODE_EXCEPTION_NOT_HANDLED, (ULONG_PTR)(LONG_PTR)STATUS_DATA_ERROR, RaiseAlone, NULL);
    CHECK_BUGCHECK_CALL(KMODE_EXCEPTION_NOT_HANDLED, (ULONG_PTR)(LONG_PTR)STATUS_INVALID_UNWIND_TARGET, UnwindAlone,
                        &Table);
}

KTEST(KeCaptureContextOfTheCore)
{
    static CONTEXT Context;
    ULONG64 Here;

    RtlCaptureContext(&Context);
    __asm__ volatile("leaq (%%rip), %0" : "=r"(Here));
    CHECK(Here - Context.Rip < 64);
    CHECK_EQ(Context.Rbp, (ULONG_PTR)__builtin_frame_address(0));
    CHECK(Context.Rsp <= Context.Rbp && Context.Rbp - Context.Rsp < 4096);
    CHECK_EQ(Context.MxCsr, 0x1F80);
}
