/*
 * Leaving frames of images: the walk that both passes of exception handling share, and the second pass. exception.h has
 * the theory.
 *
 * An unwind never returns. It ends at its target frame, on a guard (whose owner goes on with it later), or, if the
 * target is not met or the unwind data is damaged, in a bug check. What foreign unwind data says is believed only as far
 * as it stays on the thread's stacks and goes up. No locks; the records and stacks touched are the current thread's.
 */
#include "kep.h"
#include "exception.h"
#include <ntexport.h>

/* Stack that is cleaned of sanitizer marks below the code that leaves it. */
#define KI_UNPOISON_BELOW 1024

static BOOLEAN KipNoFrame(PCONTEXT Context, BOOLEAN CallSite, PKI_IMAGE_FRAME Frame);
static BOOLEAN KipNoBounds(ULONG64 Address, PULONG64 Base, PULONG Size);

BOOLEAN (*KiUnwindImageFrame)(PCONTEXT Context, BOOLEAN CallSite, PKI_IMAGE_FRAME Frame) = KipNoFrame;
BOOLEAN (*KiFindImage)(ULONG64 Address, PULONG64 Base, PULONG Size) = KipNoBounds;

_Static_assert(FIELD_OFFSET(CONTEXT, MxCsr) == CONTEXT_MXCSR, "except.S");
_Static_assert(FIELD_OFFSET(CONTEXT, SegCs) == CONTEXT_SEGCS && FIELD_OFFSET(CONTEXT, SegSs) == CONTEXT_SEGSS, "except.S");
_Static_assert(FIELD_OFFSET(CONTEXT, EFlags) == CONTEXT_EFLAGS, "except.S");
_Static_assert(FIELD_OFFSET(CONTEXT, Rax) == CONTEXT_RAX && FIELD_OFFSET(CONTEXT, Rip) == CONTEXT_RIP, "except.S");
_Static_assert(FIELD_OFFSET(CONTEXT, FltSave) == CONTEXT_FLTSAVE && FIELD_OFFSET(CONTEXT, Xmm0) == CONTEXT_XMM0, "except.S");
_Static_assert(FIELD_OFFSET(KI_UNWIND_GUARD, Stack) == 0, "except.S");

static BOOLEAN
KipNoFrame(PCONTEXT Context, BOOLEAN CallSite, PKI_IMAGE_FRAME Frame)
{
    (VOID)Context;
    (VOID)CallSite;
    (VOID)Frame;
    return FALSE;
}

static BOOLEAN
KipNoBounds(ULONG64 Address, PULONG64 Base, PULONG Size)
{
    (VOID)Address;
    (VOID)Base;
    (VOID)Size;
    return FALSE;
}

/* --- The walk -------------------------------------------------------------------------------------- */

/* The integer registers of a record of an image. */
static VOID
KipLoadRecord(PCONTEXT Context, const KI_BOUNDARY_RECORD *Record)
{
    Context->Rip = Record->Rip;
    Context->Rsp = Record->Kind == KI_BOUNDARY_TRAP ? Record->Rsp : Record->Rsp + 8;
    Context->Rbx = Record->Rbx;
    Context->Rbp = Record->Rbp;
    Context->Rsi = Record->Rsi;
    Context->Rdi = Record->Rdi;
    Context->R12 = Record->R12;
    Context->R13 = Record->R13;
    Context->R14 = Record->R14;
    Context->R15 = Record->R15;
}

/* Go to the image whose registers Record holds. */
static VOID
KipEnterImage(PKI_EXCEPTION_WALK Walk, PKI_BOUNDARY_RECORD Record)
{
    KipLoadRecord(&Walk->Context, Record);
    if (Record->Kind == KI_BOUNDARY_TRAP) {
        RtlCopyMemory(&Walk->Context.Xmm6, &((const CONTEXT *)Record->Data)->Xmm6, 10 * sizeof(M128A));
    }
#ifdef NTMM_SANITIZED
    if (Record->Kind == KI_BOUNDARY_EXPORT) {
        RtlCopyMemory(&Walk->Context.Xmm6, Record->Xmm, sizeof(Record->Xmm));
    }
#endif
    Walk->Record = Record;
    Walk->ScopeIndex = 0;
    Walk->CallSite = Record->Kind == KI_BOUNDARY_EXPORT;
}

/* The next older record, if there is one. */
static PKI_BOUNDARY_RECORD
KipRecordBelow(const KI_EXCEPTION_WALK *Walk)
{
    return Walk->Record > KiCurrentThread()->Boundaries ? Walk->Record - 1 : NULL;
}

/* The image returned to KiCallImage6: is that what the newest record is of, and its stack where it must be? */
static BOOLEAN
KipLeaveCallback(PKI_EXCEPTION_WALK Walk)
{
    PKI_BOUNDARY_RECORD Record = KipRecordBelow(Walk);

    if (Record == NULL || Record->Kind != KI_BOUNDARY_CALLBACK ||
        Walk->Context.Rip != (ULONG_PTR)KiCallImageReturn || Walk->Context.Rsp != Record->Rsp - 0x48) {
        return FALSE;
    }
    Walk->Record = Record;
    Walk->Context.Rip = 0; /* among core frames now */
    return TRUE;
}

KI_CROSSING
KiCrossCore(PKI_EXCEPTION_WALK Walk, PVOID *Data)
{
    PKI_BOUNDARY_RECORD Record;

    if (Walk->Context.Rip != 0 && !KipLeaveCallback(Walk)) {
        return KiCrossedEnd;
    }
    Record = KipRecordBelow(Walk);
    if (Record == NULL) {
        return KiCrossedEnd;
    }
    switch (Record->Kind) {
    case KI_BOUNDARY_EXPORT:
    case KI_BOUNDARY_TRAP:
        KipEnterImage(Walk, Record);
        return KiCrossedToImage;
    case KI_BOUNDARY_HANDLER:
    case KI_BOUNDARY_GUARD:
        Walk->Record = Record;
        *Data = Record->Data;
        return Record->Kind == KI_BOUNDARY_GUARD ? KiCrossedGuard : KiCrossedHandler;
    default:
        return KiCrossedEnd;
    }
}

BOOLEAN
KiBeginWalk(PKI_EXCEPTION_WALK Walk)
{
    const struct _KTHREAD *Thread = KiCurrentThread();
    PKI_BOUNDARY_RECORD Top = Thread == NULL ? NULL : Thread->BoundaryTop - 1;

    if (Top == NULL || Top < Thread->Boundaries ||
        (Top->Kind != KI_BOUNDARY_EXPORT && Top->Kind != KI_BOUNDARY_TRAP)) {
        return FALSE;
    }
    KipEnterImage(Walk, Top);
    return TRUE;
}

VOID
KiDescribeFrame(PDISPATCHER_CONTEXT Dispatcher, const KI_IMAGE_FRAME *Frame, ULONG64 ControlPc, ULONG ScopeIndex)
{
    Dispatcher->ControlPc = ControlPc;
    Dispatcher->ImageBase = Frame->ImageBase;
    Dispatcher->FunctionEntry = Frame->FunctionEntry;
    Dispatcher->EstablisherFrame = Frame->EstablisherFrame;
    Dispatcher->LanguageHandler = (PEXCEPTION_ROUTINE)Frame->Handler;
    Dispatcher->HandlerData = Frame->HandlerData;
    Dispatcher->HistoryTable = NULL;
    Dispatcher->ScopeIndex = ScopeIndex;
    Dispatcher->Fill0 = 0;
}

EXCEPTION_DISPOSITION
KiCallHandler(PKI_HANDLER_CALL Call, PEXCEPTION_RECORD Record, PCONTEXT Context, PDISPATCHER_CONTEXT Dispatcher)
{
    EXCEPTION_DISPOSITION Disposition;

    Call->EstablisherFrame = Dispatcher->EstablisherFrame;
    Call->Dispatcher = Dispatcher;
    KiPushBoundary(KI_BOUNDARY_HANDLER, Call);
    Disposition = (EXCEPTION_DISPOSITION)(ULONG)KiCallImage(
        (PVOID)(ULONG_PTR)Dispatcher->LanguageHandler, (ULONG_PTR)Record, Dispatcher->EstablisherFrame,
        (ULONG_PTR)Context, (ULONG_PTR)Dispatcher);
    KiPopBoundary(KI_BOUNDARY_HANDLER);
    return Disposition;
}

/* --- Going on in an image --------------------------------------------------------------------------- */

/* Forget the sanitizer's marks between here and an address further up the stack in use. */
static DECLSPEC_NOINLINE VOID
KipForgetStack(ULONG64 Until)
{
    const KI_STACK_SEGMENT *Segment = &KiCurrentThread()->Stack;
    ULONG64 From = (ULONG_PTR)__builtin_frame_address(0) - KI_UNPOISON_BELOW;

    if (From < Segment->Limit) {
        From = Segment->Limit;
    }
    if (Until > From && Until <= Segment->Base) {
        HalUnpoison((PVOID)From, Until - From);
    }
}

VOID DECLSPEC_NORETURN
KiResumeImage(PCONTEXT Context, PKI_BOUNDARY_RECORD Top)
{
    ULONG Flags;

    __asm__ volatile("pushfq; popq %%rax" : "=a"(Flags)::"memory");
    Context->EFlags = (Context->EFlags & KI_CONTEXT_FLAGS) | (Flags & ~KI_CONTEXT_FLAGS);
    Context->MxCsr &= KI_MXCSR_FLAGS;
    KipForgetStack(Context->Rsp);
    KiCurrentThread()->BoundaryTop = Top;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    KiRestoreRegisters(Context);
}

/* --- Guards ----------------------------------------------------------------------------------------- */

BOOLEAN
KiCallGuarded(VOID (*Routine)(PVOID), PVOID Context, PKI_UNWIND_GUARD Guard)
{
    PKI_BOUNDARY_RECORD Record = KiPushBoundary(KI_BOUNDARY_GUARD, Guard);

    if (KiGuardedCall(Routine, Context, Guard)) {
        return TRUE; /* the record went with the frames */
    }
    NT_ASSERT(KiCurrentThread()->BoundaryTop == Record + 1);
    KiPopBoundary(KI_BOUNDARY_GUARD);
    return FALSE;
}

typedef struct _KI_GUARDED_ROUTINE {
    PVOID Routine;
    ULONG_PTR Argument[4];
} KI_GUARDED_ROUTINE;

static VOID
KipCallRoutine(PVOID Context)
{
    const KI_GUARDED_ROUTINE *Call = Context;

    KiCallRoutine(Call->Routine, Call->Argument[0], Call->Argument[1], Call->Argument[2], Call->Argument[3]);
}

BOOLEAN
KiCallRoutineGuarded(PVOID Routine, ULONG_PTR A1, ULONG_PTR A2, ULONG_PTR A3, ULONG_PTR A4, PKI_UNWIND_GUARD Guard)
{
    KI_GUARDED_ROUTINE Call = {Routine, {A1, A2, A3, A4}};

    return KiCallGuarded(KipCallRoutine, &Call, Guard);
}

/* Leave the unwind with the guard's owner. What it needs must not stay on the stack that goes away. */
static VOID DECLSPEC_NORETURN
KipLand(const KI_UNWIND *Unwind, PKI_UNWIND_GUARD Guard)
{
    Guard->Unwind = *Unwind;
    Guard->Unwind.OwnRecord = *Unwind->Record;
    Guard->Unwind.OwnRecord.ExceptionRecord = NULL;
    Guard->Unwind.Record = &Guard->Unwind.OwnRecord;
    KipForgetStack(Guard->Stack);
    KiCurrentThread()->BoundaryTop = Unwind->Walk.Record;
    KiLandOnGuard(Guard);
}

/* --- The second pass --------------------------------------------------------------------------------- */

/* The target was not met, or a frame cannot be left: there is no way on. */
static VOID DECLSPEC_NORETURN
KipUnwindFailed(const KI_UNWIND *Unwind, NTSTATUS Status)
{
    EXCEPTION_RECORD Record = {.ExceptionCode = Status,
                               .ExceptionFlags = EXCEPTION_NONCONTINUABLE,
                               .ExceptionAddress = Unwind->Record->ExceptionAddress};

    KiUnhandledException(&Record, (PCONTEXT)&Unwind->Walk.Context, NULL, NULL, FALSE);
}

/* Over core frames to the next image's; an older unwind that is met hands over what it has not done. */
static VOID
KipUnwindCore(PKI_UNWIND Unwind)
{
    const KI_HANDLER_CALL *Call;
    PVOID Data;

    for (;;) {
        switch (KiCrossCore(&Unwind->Walk, &Data)) {
        case KiCrossedToImage:
            return;
        case KiCrossedGuard:
            KipLand(Unwind, Data);
        case KiCrossedHandler:
            Call = Data;
            if (Call->Unwinding) {
                Unwind->Walk = *Call->Walk;
                Unwind->Walk.ScopeIndex = Call->Dispatcher->ScopeIndex;
                Unwind->Collided = EXCEPTION_COLLIDED_UNWIND;
                return;
            }
            break;
        default:
            KipUnwindFailed(Unwind, STATUS_INVALID_UNWIND_TARGET);
        }
    }
}

/* Have the frame's termination handlers run. */
static VOID
KipCallUnwindHandler(PKI_UNWIND Unwind, const KI_IMAGE_FRAME *Frame)
{
    KI_HANDLER_CALL Call = {.Unwinding = TRUE, .Walk = &Unwind->Walk};
    DISPATCHER_CONTEXT Dispatcher;
    ULONG Flags = Unwind->Record->ExceptionFlags & ~(ULONG)(EXCEPTION_TARGET_UNWIND | EXCEPTION_COLLIDED_UNWIND);

    KiDescribeFrame(&Dispatcher, Frame, Unwind->Walk.Context.Rip, Unwind->Walk.ScopeIndex);
    Dispatcher.TargetIp = Unwind->TargetIp;
    Dispatcher.ContextRecord = &Unwind->Walk.Context;
    if (Frame->EstablisherFrame == Unwind->TargetFrame) {
        Flags |= EXCEPTION_TARGET_UNWIND;
    }
    Unwind->Record->ExceptionFlags = Flags | Unwind->Collided;
    Unwind->Collided = 0;
    Unwind->Walk.Context.Rax = Unwind->ReturnValue;
    if (KiCallHandler(&Call, Unwind->Record, &Unwind->Walk.Context, &Dispatcher) != ExceptionContinueSearch) {
        KipUnwindFailed(Unwind, STATUS_INVALID_DISPOSITION);
    }
}

/* Leave one frame of an image; TRUE: it is the target, which is not left. */
static BOOLEAN
KipUnwindFrame(PKI_UNWIND Unwind)
{
    CONTEXT Caller = Unwind->Walk.Context;
    KI_IMAGE_FRAME Frame;

    if (!KiUnwindImageFrame(&Caller, Unwind->Walk.CallSite, &Frame) ||
        !KiIsOnStack(KiCurrentThread(), Frame.EstablisherFrame)) {
        KipUnwindFailed(Unwind, STATUS_BAD_STACK);
    }
    if (Frame.Handler != NULL && (Frame.HandlerFlags & UNW_FLAG_UHANDLER) != 0) {
        KipCallUnwindHandler(Unwind, &Frame);
    }
    if (Frame.EstablisherFrame == Unwind->TargetFrame) {
        return TRUE;
    }
    Unwind->Walk.Context = Caller;
    Unwind->Walk.CallSite = !Frame.MachineFrame;
    Unwind->Walk.ScopeIndex = 0;
    return FALSE;
}

static VOID DECLSPEC_NORETURN
KipUnwind(PKI_UNWIND Unwind)
{
    for (;;) {
        if (!KiIsImageAddress(Unwind->Walk.Context.Rip)) {
            KipUnwindCore(Unwind);
        } else if (KipUnwindFrame(Unwind)) {
            Unwind->Walk.Context.Rip = Unwind->TargetIp;
            Unwind->Walk.Context.Rax = Unwind->ReturnValue;
            KiResumeImage(&Unwind->Walk.Context, Unwind->Walk.Record);
        }
    }
}

VOID DECLSPEC_NORETURN
KiContinueUnwind(PKI_UNWIND_GUARD Guard)
{
    KipUnwind(&Guard->Unwind);
}

VOID DECLSPEC_NORETURN
KiUnwindTo(ULONG64 TargetFrame, ULONG64 TargetIp, PEXCEPTION_RECORD Record, ULONG64 ReturnValue)
{
    KI_UNWIND Unwind;

    RtlZeroMemory(&Unwind, sizeof(Unwind));
    KiCaptureRegisters(&Unwind.Walk.Context);
    Unwind.Record = Record;
    Unwind.TargetFrame = TargetFrame;
    Unwind.TargetIp = TargetIp;
    Unwind.ReturnValue = ReturnValue;
    if (Record == NULL) {
        Unwind.OwnRecord.ExceptionCode = STATUS_UNWIND;
        Unwind.Record = &Unwind.OwnRecord;
    }
    Unwind.Record->ExceptionFlags |= EXCEPTION_UNWINDING | (TargetFrame == 0 ? EXCEPTION_EXIT_UNWIND : 0);
    if (!KiBeginWalk(&Unwind.Walk)) {
        KipUnwindFailed(&Unwind, STATUS_INVALID_UNWIND_TARGET);
    }
    if (Record == NULL) {
        Unwind.OwnRecord.ExceptionAddress = (PVOID)Unwind.Walk.Context.Rip;
    }
    KipUnwind(&Unwind);
}

/* --- What images call --------------------------------------------------------------------------------- */

/*
 * Leave all frames up to TargetFrame, running their termination handlers, and go on there at TargetIp with ReturnValue in
 * rax. ExceptionRecord is what the handlers are told, NULL: STATUS_UNWIND. ContextRecord and HistoryTable are scratch memory
 * that is not needed here. A target that is not met, 0 included, stops the machine. <= DISPATCH_LEVEL. Does not return.
 */
VOID NTAPI
RtlUnwindEx(PVOID TargetFrame, PVOID TargetIp, PEXCEPTION_RECORD ExceptionRecord, PVOID ReturnValue,
            PCONTEXT ContextRecord, PUNWIND_HISTORY_TABLE HistoryTable)
{
    UNREFERENCED_PARAMETER(ContextRecord);
    UNREFERENCED_PARAMETER(HistoryTable);
    KiUnwindTo((ULONG_PTR)TargetFrame, (ULONG_PTR)TargetIp, ExceptionRecord, (ULONG_PTR)ReturnValue);
}
NTEXPORT(RtlUnwindEx);

/* The same without scratch memory. */
VOID NTAPI
RtlUnwind(PVOID TargetFrame, PVOID TargetIp, PEXCEPTION_RECORD ExceptionRecord, PVOID ReturnValue)
{
    KiUnwindTo((ULONG_PTR)TargetFrame, (ULONG_PTR)TargetIp, ExceptionRecord, (ULONG_PTR)ReturnValue);
}
NTEXPORT(RtlUnwind);

/* Leave a __try block by a jump to TargetIp in the frame of the caller: termination handlers on the way run. */
VOID NTAPI
_local_unwind(PVOID TargetFrame, PVOID TargetIp)
{
    KiUnwindTo((ULONG_PTR)TargetFrame, (ULONG_PTR)TargetIp, NULL, 0);
}
NTEXPORT(_local_unwind);

/* Called by RtlCaptureContext in assembly. Stack: at the return address. */
VOID KiFinishCapture(PCONTEXT Context, const ULONG64 *Stack);

VOID
KiFinishCapture(PCONTEXT Context, const ULONG64 *Stack)
{
    KI_BOUNDARY_RECORD *Record = KiCurrentThread()->BoundaryTop - 1;

    Context->ContextFlags = CONTEXT_CONTROL | CONTEXT_INTEGER | CONTEXT_SEGMENTS | CONTEXT_FLOATING_POINT;
    Context->Rip = Stack[0];
    Context->Rsp = (ULONG_PTR)(Stack + 1);
    if (Context->Rip == (ULONG_PTR)KiExportReturn) {
        KipLoadRecord(Context, Record);
    }
}
NTEXPORT(RtlCaptureContext);

/*
 * Go on in the image's frame that ContextRecord holds, without handlers for the frames in between; all of it is loaded,
 * vector registers too. ExceptionRecord is for consolidated unwinds and not looked at. <= DISPATCH_LEVEL. Does not return.
 */
VOID NTAPI
RtlRestoreContext(PCONTEXT ContextRecord, PEXCEPTION_RECORD ExceptionRecord)
{
    struct _KTHREAD *Thread = KiCurrentThread();
    PKI_BOUNDARY_RECORD Top = Thread->BoundaryTop;
    CONTEXT Context = *ContextRecord;

    UNREFERENCED_PARAMETER(ExceptionRecord);
    if (!KiIsOnStack(Thread, (Context.Rsp & ~7ull) - 16) || Context.Rsp < (ULONG_PTR)__builtin_frame_address(0) ||
        Context.Rsp > Thread->Stack.Base) {
        KiRaiseFrom(STATUS_BAD_STACK, EXCEPTION_NONCONTINUABLE, __builtin_return_address(0));
    }
    while (Top > Thread->Boundaries && Top[-1].Rsp < Context.Rsp && Top[-1].Kind != KI_BOUNDARY_BARRIER) {
        Top -= 1;
    }
    KiResumeImage(&Context, Top);
}
NTEXPORT(RtlRestoreContext);
