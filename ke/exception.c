/*
 * The first pass of exception handling: an exception becomes a record and a context, and the handlers of the images' frames
 * are asked, innermost first, until one takes it. exception.h has the theory; unwind.c is the second pass.
 *
 * A trap in an image leaves a TRAP record while it is dispatched; a trap in the core, on the way of a call from an image
 * (a copy from a bad user address), belongs to the call. Exceptions above DISPATCH_LEVEL, and the core's own, are not
 * dispatched. What nobody handles is bug check 0x7E if it left a system thread's start routine, as anything an image does
 * in such a thread is, else (DPCs, callbacks of interrupts) 0x1E. No core lock may be held that was taken for the call: it
 * would never be released. No state, no locks.
 */
#include "kep.h"
#include "exception.h"

/* --- Trap frame and context -------------------------------------------------------------------------- */

/* Of the XSAVE header: which components are not in their initial state; bit 1: the XMM registers. */
#define KI_XSTATE_BV 512
#define KI_XSTATE_SSE 0x2

/* The machine leaves in P5 where it saved the vector state in the form of XSAVE; 0: Xmm6 to Xmm15 are still loaded. */
static PXMM_SAVE_AREA32
KipSavedVectors(const KTRAP_FRAME *TrapFrame)
{
    return (PXMM_SAVE_AREA32)TrapFrame->P5;
}

VOID
KiTrapToContext(const KTRAP_FRAME *TrapFrame, PCONTEXT Context)
{
    KiCaptureRegisters(Context);
    if (KipSavedVectors(TrapFrame) != NULL) {
        RtlCopyMemory(&Context->FltSave, KipSavedVectors(TrapFrame), sizeof(Context->FltSave));
    }
    RtlCopyMemory(&Context->Xmm0, &TrapFrame->Xmm0, 6 * sizeof(M128A));
    Context->ContextFlags = CONTEXT_CONTROL | CONTEXT_INTEGER | CONTEXT_SEGMENTS | CONTEXT_FLOATING_POINT;
    Context->MxCsr = TrapFrame->MxCsr;
    Context->FltSave.MxCsr = TrapFrame->MxCsr;
    Context->EFlags = TrapFrame->EFlags;
    Context->Rip = TrapFrame->Rip;
    Context->Rsp = TrapFrame->Rsp;
    Context->Rax = TrapFrame->Rax;
    Context->Rcx = TrapFrame->Rcx;
    Context->Rdx = TrapFrame->Rdx;
    Context->Rbx = TrapFrame->Rbx;
    Context->Rbp = TrapFrame->Rbp;
    Context->Rsi = TrapFrame->Rsi;
    Context->Rdi = TrapFrame->Rdi;
    Context->R8 = TrapFrame->R8;
    Context->R9 = TrapFrame->R9;
    Context->R10 = TrapFrame->R10;
    Context->R11 = TrapFrame->R11;
    Context->R12 = TrapFrame->P1Home;
    Context->R13 = TrapFrame->P2Home;
    Context->R14 = TrapFrame->P3Home;
    Context->R15 = TrapFrame->P4Home;
}

/* What a filter changed comes into force when the trap returns; of flags and MXCSR what a context may choose. */
VOID
KiContextToTrap(const CONTEXT *Context, PKTRAP_FRAME TrapFrame)
{
    if (KipSavedVectors(TrapFrame) != NULL) {
        RtlCopyMemory(KipSavedVectors(TrapFrame)->XmmRegisters, &Context->Xmm0, 16 * sizeof(M128A));
        *(PULONG64)((PUCHAR)KipSavedVectors(TrapFrame) + KI_XSTATE_BV) |= KI_XSTATE_SSE;
    } else {
        KiLoadVectors(Context);
    }
    RtlCopyMemory(&TrapFrame->Xmm0, &Context->Xmm0, 6 * sizeof(M128A));
    TrapFrame->MxCsr = Context->MxCsr & KI_MXCSR_FLAGS;
    TrapFrame->EFlags = (Context->EFlags & KI_CONTEXT_FLAGS) | (TrapFrame->EFlags & ~KI_CONTEXT_FLAGS);
    TrapFrame->Rip = Context->Rip;
    TrapFrame->Rsp = Context->Rsp;
    TrapFrame->Rax = Context->Rax;
    TrapFrame->Rcx = Context->Rcx;
    TrapFrame->Rdx = Context->Rdx;
    TrapFrame->Rbx = Context->Rbx;
    TrapFrame->Rbp = Context->Rbp;
    TrapFrame->Rsi = Context->Rsi;
    TrapFrame->Rdi = Context->Rdi;
    TrapFrame->R8 = Context->R8;
    TrapFrame->R9 = Context->R9;
    TrapFrame->R10 = Context->R10;
    TrapFrame->R11 = Context->R11;
    TrapFrame->P1Home = Context->R12;
    TrapFrame->P2Home = Context->R13;
    TrapFrame->P3Home = Context->R14;
    TrapFrame->P4Home = Context->R15;
}

/* --- The first pass ----------------------------------------------------------------------------------- */

/* A dispatch in progress. */
typedef struct _KI_DISPATCH {
    PEXCEPTION_RECORD Record;
    PCONTEXT Context;    /* the exception's, as filters see it and may change it */
    ULONG64 NestedFrame; /* its handler was running when this exception came */
    KI_EXCEPTION_WALK Walk;
} KI_DISPATCH, *PKI_DISPATCH;

/* An exception of the dispatch's own: a handler answered what it must not. */
static VOID DECLSPEC_NORETURN
KipRaiseAbout(const KI_DISPATCH *Dispatch, NTSTATUS Status)
{
    EXCEPTION_RECORD Record = {.ExceptionCode = Status,
                               .ExceptionFlags = EXCEPTION_NONCONTINUABLE,
                               .ExceptionRecord = Dispatch->Record,
                               .ExceptionAddress = Dispatch->Record->ExceptionAddress};

    KiRaiseException(&Record, (PVOID)KiExportReturn);
}

/* Over core frames to the next image's. FALSE: there is none. */
static BOOLEAN
KipSearchCore(PKI_DISPATCH Dispatch)
{
    const KI_HANDLER_CALL *Call;
    PVOID Data;

    for (;;) {
        switch (KiCrossCore(&Dispatch->Walk, &Data)) {
        case KiCrossedToImage:
            return TRUE;
        case KiCrossedGuard:
            break;
        case KiCrossedHandler:
            Call = Data;
            if (Call->Unwinding) {
                Dispatch->Walk = *Call->Walk;
                Dispatch->Walk.ScopeIndex = Call->Dispatcher->ScopeIndex;
                return TRUE;
            }
            Dispatch->Record->ExceptionFlags |= EXCEPTION_NESTED_CALL;
            Dispatch->NestedFrame = MAX(Dispatch->NestedFrame, Call->EstablisherFrame);
            break;
        default:
            return FALSE;
        }
    }
}

/* Ask the frame's handler. TRUE: the exception is over and its context goes on. A handler that takes it does not return. */
static BOOLEAN
KipAskHandler(PKI_DISPATCH Dispatch, const KI_IMAGE_FRAME *Frame, ULONG64 ControlPc)
{
    KI_HANDLER_CALL Call = {.Unwinding = FALSE};
    DISPATCHER_CONTEXT Dispatcher;

    KiDescribeFrame(&Dispatcher, Frame, ControlPc, Dispatch->Walk.ScopeIndex);
    Dispatcher.TargetIp = 0;
    Dispatcher.ContextRecord = &Dispatch->Walk.Context;
    switch (KiCallHandler(&Call, Dispatch->Record, Dispatch->Context, &Dispatcher)) {
    case ExceptionContinueExecution:
        if ((Dispatch->Record->ExceptionFlags & EXCEPTION_NONCONTINUABLE) != 0) {
            KipRaiseAbout(Dispatch, STATUS_NONCONTINUABLE_EXCEPTION);
        }
        return TRUE;
    case ExceptionContinueSearch:
        return FALSE;
    default:
        KipRaiseAbout(Dispatch, STATUS_INVALID_DISPOSITION);
    }
}

/* Walk from Dispatch->Walk outwards. TRUE: the context goes on. FALSE: nobody handles the exception. */
static BOOLEAN
KipSearch(PKI_DISPATCH Dispatch)
{
    PKI_EXCEPTION_WALK Walk = &Dispatch->Walk;
    KI_IMAGE_FRAME Frame;
    ULONG64 ControlPc;

    Dispatch->NestedFrame = 0;
    Dispatch->Record->ExceptionFlags &= EXCEPTION_NONCONTINUABLE | EXCEPTION_SOFTWARE_ORIGINATE;
    for (;;) {
        if (!KiIsImageAddress(Walk->Context.Rip)) {
            if (!KipSearchCore(Dispatch)) {
                return FALSE;
            }
            continue;
        }
        ControlPc = Walk->Context.Rip;
        if (!KiUnwindImageFrame(&Walk->Context, Walk->CallSite, &Frame) ||
            !KiIsOnStack(KiCurrentThread(), Frame.EstablisherFrame)) {
            Dispatch->Record->ExceptionFlags |= EXCEPTION_STACK_INVALID;
            return FALSE;
        }
        if (Frame.Handler != NULL && (Frame.HandlerFlags & UNW_FLAG_EHANDLER) != 0 &&
            KipAskHandler(Dispatch, &Frame, ControlPc)) {
            return TRUE;
        }
        if (Frame.EstablisherFrame == Dispatch->NestedFrame) {
            Dispatch->Record->ExceptionFlags &= ~(ULONG)EXCEPTION_NESTED_CALL;
            Dispatch->NestedFrame = 0;
        }
        Walk->CallSite = !Frame.MachineFrame;
        Walk->ScopeIndex = 0;
    }
}

/* A core lock that was taken since the image's call would stay taken. */
static VOID
KipCheckLocks(VOID)
{
#ifdef NTMM_CHECKED
    const KPCR *Pcr = KeGetPcr();
    ULONG Index;

    NT_ASSERT(KiCurrentThread()->PushLockCount == 0);
    if (HalGetIrql() >= DISPATCH_LEVEL) {
        for (Index = 0; Index < Pcr->HeldLockCount; Index += 1) {
            NT_ASSERT(Pcr->HeldLockRanks[Index] == LockRankDriver);
        }
    }
#endif
}

/* Does what is running belong to a system thread's start routine, not to an interrupt? */
static BOOLEAN
KipInStartRoutine(VOID)
{
    const struct _KTHREAD *Thread = KiCurrentThread();
    const KI_BOUNDARY_RECORD *Record;

    if (Thread->Idle) {
        return FALSE;
    }
    for (Record = Thread->BoundaryTop; Record > Thread->Boundaries; Record -= 1) {
        if (Record[-1].Kind == KI_BOUNDARY_BARRIER) {
            return FALSE;
        }
    }
    return TRUE;
}

/* --- The end ------------------------------------------------------------------------------------------ */

/* Leave out the frames of raising itself, which end at ReturnAddress: in the core, or where the first image's are. */
static VOID
KipDropFrames(PKI_STOP Stop, PVOID ReturnAddress)
{
    ULONG First = 0, Index;

    while (First < Stop->FrameCount && Stop->Frames[First] != ReturnAddress &&
           (ReturnAddress != (PVOID)KiExportReturn || !KiIsImageAddress((ULONG_PTR)Stop->Frames[First]))) {
        First += 1;
    }
    if (ReturnAddress == NULL || First == Stop->FrameCount) {
        return;
    }
    for (Index = First; Index < Stop->FrameCount; Index += 1) {
        Stop->Frames[Index - First] = Stop->Frames[Index];
    }
    Stop->FrameCount -= First;
}

VOID DECLSPEC_NORETURN
KiUnhandledException(PEXCEPTION_RECORD Record, PCONTEXT Context, PKTRAP_FRAME TrapFrame, PVOID ReturnAddress,
                     BOOLEAN Wrapped)
{
    KI_STOP Stop = {.Code = KMODE_EXCEPTION_NOT_HANDLED, .TrapFrame = TrapFrame};

    Stop.Parameters[0] = (ULONG64)(LONG64)Record->ExceptionCode;
    Stop.Parameters[1] = (ULONG_PTR)Record->ExceptionAddress;
    if (Wrapped) {
        Stop.Code = SYSTEM_THREAD_EXCEPTION_NOT_HANDLED;
        Stop.Parameters[2] = (ULONG_PTR)Record;
        Stop.Parameters[3] = (ULONG_PTR)Context;
    } else {
        Stop.Parameters[2] = Record->NumberParameters > 0 ? Record->ExceptionInformation[0] : 0;
        Stop.Parameters[3] = Record->NumberParameters > 1 ? Record->ExceptionInformation[1] : 0;
    }
    if (TrapFrame == NULL) {
        Stop.FrameCount = KiCaptureStack(Stop.Frames, KI_STOP_FRAMES, 0);
        KipDropFrames(&Stop, ReturnAddress);
    }
    KiBugCheckStop(&Stop);
}

/* --- Exceptions from traps ----------------------------------------------------------------------------- */

/* The registers at Place, of the interrupted image, for walks that cross the dispatch; vectors are those of Context. */
static VOID
KipPushTrap(const CONTEXT *Place, PCONTEXT Context)
{
    PKI_BOUNDARY_RECORD Record = KiPushBoundary(KI_BOUNDARY_TRAP, Context);

    Record->Rip = Place->Rip;
    Record->Rsp = Place->Rsp;
    Record->Rbx = Place->Rbx;
    Record->Rbp = Place->Rbp;
    Record->Rsi = Place->Rsi;
    Record->Rdi = Place->Rdi;
    Record->R12 = Place->R12;
    Record->R13 = Place->R13;
    Record->R14 = Place->R14;
    Record->R15 = Place->R15;
}

/* A call to where nothing is: the exception belongs to the caller, whose return address is on the stack. */
static BOOLEAN
KipReturnToCaller(PCONTEXT Context)
{
    if (!KiIsOnStack(KiCurrentThread(), Context->Rsp)) {
        return FALSE;
    }
    Context->Rip = *(const ULONG64 *)Context->Rsp;
    Context->Rsp += 8;
    return TRUE;
}

/* An exception in an image, or where one called to. */
static BOOLEAN
KipDispatchImageTrap(PKI_DISPATCH Dispatch)
{
    PKI_EXCEPTION_WALK Walk = &Dispatch->Walk;
    BOOLEAN Handled;

    Walk->Context = *Dispatch->Context;
    Walk->Record = KiCurrentThread()->BoundaryTop;
    Walk->CallSite = FALSE;
    Walk->ScopeIndex = 0;
    if (!KiIsImageAddress(Walk->Context.Rip)) {
        if (!KipReturnToCaller(&Walk->Context)) {
            return FALSE;
        }
        Walk->CallSite = TRUE;
    }
    KipPushTrap(&Walk->Context, Dispatch->Context);
    Handled = KipSearch(Dispatch);
    KiPopBoundary(KI_BOUNDARY_TRAP);
    return Handled;
}

/* What the core itself does wrong is nobody's to handle. */
static BOOLEAN
KipIsCoreMistake(NTSTATUS Code)
{
    return Code == STATUS_BREAKPOINT || Code == STATUS_ILLEGAL_INSTRUCTION || Code == STATUS_ASSERTION_FAILURE;
}

/* An exception in the core, on behalf of an image that called it. */
static BOOLEAN
KipDispatchCoreTrap(PKI_DISPATCH Dispatch)
{
    Dispatch->Walk.Context = *Dispatch->Context;
    if (KipIsCoreMistake(Dispatch->Record->ExceptionCode) || !KiBeginWalk(&Dispatch->Walk)) {
        return FALSE;
    }
    KipCheckLocks();
    return KipSearch(Dispatch);
}

VOID
KiDispatchTrap(PKTRAP_FRAME TrapFrame, PEXCEPTION_RECORD Record)
{
    BOOLEAN Core = KiIsCoreCode(TrapFrame->Rip);
    KI_DISPATCH Dispatch;
    CONTEXT Context;

    RtlZeroMemory(&Context, sizeof(Context));
    KiTrapToContext(TrapFrame, &Context);
    if (TrapFrame->Rip != (ULONG_PTR)Record->ExceptionAddress && Record->ExceptionCode == STATUS_BREAKPOINT) {
        Context.Rip = (ULONG_PTR)Record->ExceptionAddress;
    }
    Dispatch.Record = Record;
    Dispatch.Context = &Context;
    if (HalGetIrql() <= DISPATCH_LEVEL &&
        (Core ? KipDispatchCoreTrap(&Dispatch) : KipDispatchImageTrap(&Dispatch))) {
        KiContextToTrap(&Context, TrapFrame);
        return;
    }
    KiUnhandledException(Record, &Context, TrapFrame, NULL,
                         HalGetIrql() <= DISPATCH_LEVEL && (!Core || KiInImageCode()) && KipInStartRoutine());
}

/* --- Exceptions from code -------------------------------------------------------------------------------- */

VOID DECLSPEC_NORETURN
KiRaiseException(PEXCEPTION_RECORD Record, PVOID ReturnAddress)
{
    KI_DISPATCH Dispatch;
    CONTEXT Context;

    RtlZeroMemory(&Context, sizeof(Context));
    KiCaptureRegisters(&Context);
    Context.ContextFlags = CONTEXT_CONTROL | CONTEXT_INTEGER | CONTEXT_SEGMENTS | CONTEXT_FLOATING_POINT;
    Dispatch.Walk.Context = Context;
    if (HalGetIrql() > DISPATCH_LEVEL || !KiBeginWalk(&Dispatch.Walk)) {
        Record->ExceptionAddress = ReturnAddress;
        KiUnhandledException(Record, &Context, NULL, ReturnAddress, FALSE);
    }
    KipCheckLocks();
    Dispatch.Record = Record;
    Dispatch.Context = &Context;
    Context = Dispatch.Walk.Context;
    Record->ExceptionAddress = (PVOID)Context.Rip;
    if (KipSearch(&Dispatch)) {
        KiResumeImage(&Context, KiCurrentThread()->BoundaryTop - 1);
    }
    KiUnhandledException(Record, &Context, NULL, ReturnAddress, KipInStartRoutine());
}

VOID DECLSPEC_NORETURN
KiRaiseFrom(NTSTATUS Status, ULONG Flags, PVOID ReturnAddress)
{
    EXCEPTION_RECORD Record = {.ExceptionCode = Status, .ExceptionFlags = Flags};

    KiRaiseException(&Record, ReturnAddress);
}
