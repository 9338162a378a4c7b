/*
 * User mode seen from the kernel: system services, exceptions of programs, the way out.
 *
 * A trap or a system call from user mode finds the thread's kernel stack empty and leaves it empty: everything between is one
 * call of this file's, whose frame is KTHREAD.UserFrame. Exceptions go back to the program with a context and a record on its
 * own stack, laid out as its dispatcher expects:
 *
 *      Rsp + 0x000     CONTEXT
 *      Rsp + 0x4D0     CONTEXT_EX, where the context's parts are
 *      Rsp + 0x4F0     EXCEPTION_RECORD
 *      Rsp + 0x590     a machine frame, from which unwinding goes on at the interrupted instruction
 *
 * Nothing here is locked: a thread's frame is its own. What cannot be written to the user's stack ends the process.
 */
#include "kep.h"
#include "exception.h"
#include "user.h"
#include "thread.h"

const KI_SERVICE *KiServiceTable;
ULONG KiServiceCount;
ULONG_PTR KiUserExceptionDispatcher;
VOID (*KiUserUnhandled)(PEXCEPTION_RECORD Record, PCONTEXT Context);
VOID (*KiUserReturn)(PKTRAP_FRAME TrapFrame);
VOID (*KiUserFetch)(ULONG64 Address);

/* In assembly (usercopy.S): call a routine of the Microsoft convention with so many arguments. */
NTSTATUS KiCallService(PVOID Routine, const ULONG64 *Arguments, ULONG Count);

/* Copy the frame to its place at the base of the stack and go (usercopy.S). */
VOID DECLSPEC_NORETURN KiEnterUser(const KTRAP_FRAME *Frame, PKTRAP_FRAME Place);
_Static_assert(sizeof(KTRAP_FRAME) == 0x190, "usercopy.S");

#define KI_USER_FLAGS 0x202u /* EFLAGS of a new thread: interrupts on */
#define KI_USER_MXCSR 0x1F80u
#define KI_TRACE_FLAG 0x100u

/* --- System services ------------------------------------------------------------------------------- */

static NTSTATUS
KipService(PKTRAP_FRAME TrapFrame)
{
    ULONG64 Arguments[KI_SERVICE_ARGUMENTS];
    ULONG Number = (ULONG)TrapFrame->Rax;
    const KI_SERVICE *Service;
    NTSTATUS Status;

    if (Number >= KiServiceCount) {
        return STATUS_INVALID_SYSTEM_SERVICE;
    }
    Service = &KiServiceTable[Number];
    Arguments[0] = TrapFrame->R10;
    Arguments[1] = TrapFrame->Rdx;
    Arguments[2] = TrapFrame->R8;
    Arguments[3] = TrapFrame->R9;
    if (Service->ArgumentCount > 4) {
        /* Above the return address and the four home places. */
        Status = KiCopyFromUser(&Arguments[4], (const VOID *)(TrapFrame->Rsp + 5 * sizeof(ULONG64)),
                                (Service->ArgumentCount - 4) * sizeof(ULONG64));
        if (!NT_SUCCESS(Status)) {
            return Status;
        }
    }
    return KiCallService(Service->Routine, Arguments, Service->ArgumentCount);
}

VOID
KiSystemCall(PKTRAP_FRAME TrapFrame)
{
    struct _KTHREAD *Thread = KiCurrentThread();
    NTSTATUS Status;

    Thread->UserFrame = TrapFrame;
    Thread->PreviousMode = UserMode;
    Thread->ContextSet = FALSE;
    Status = KipService(TrapFrame);
    if (!Thread->ContextSet) {
        TrapFrame->Rax = (ULONG64)(LONG64)Status;
    }
}

/* --- Registers --------------------------------------------------------------------------------------- */

NTSTATUS
KiSetUserContext(const CONTEXT *Context)
{
    struct _KTHREAD *Thread = KiCurrentThread();

    if (!KiIsUserRange((const VOID *)Context->Rip, 1)) {
        return STATUS_ACCESS_VIOLATION;
    }
    KiContextToTrap(Context, Thread->UserFrame);
    Thread->ContextSet = TRUE;
    return STATUS_SUCCESS;
}

VOID
KiReturnToUser(PKTRAP_FRAME TrapFrame)
{
    struct _KTHREAD *Thread = KiCurrentThread();

    NT_ASSERT(HalGetIrql() == PASSIVE_LEVEL && Thread->PushLockCount == 0);
    if (KiUserReturn != NULL) {
        KiUserReturn(TrapFrame);
    }
    if (!KiIsUserRange((const VOID *)TrapFrame->Rip, 1)) {
        /* A jump or a return to nowhere that was stepped over meanwhile: a fetch there faults. */
        EXCEPTION_RECORD Record = {.ExceptionCode = STATUS_ACCESS_VIOLATION,
                                   .ExceptionAddress = (PVOID)TrapFrame->Rip,
                                   .NumberParameters = 2,
                                   .ExceptionInformation = {EXCEPTION_EXECUTE_FAULT, TrapFrame->Rip}};

        KiDispatchUserException(TrapFrame, &Record, NULL, TRUE);
    }
    Thread->PreviousMode = KernelMode;
    Thread->UserFrame = NULL;
}

VOID
KiTerminateUser(struct _KTHREAD *Thread)
{
    KIRQL OldIrql = KiLockDispatcher();

    Thread->Terminating = TRUE;
    if (Thread->State == Waiting && Thread->WaitMode == UserMode) {
        KiUnwaitLocked(Thread, STATUS_THREAD_IS_TERMINATING, 0);
    }
    KiUnlockDispatcher(OldIrql);
    KiSendIpi(KiStartedProcessors, KI_IPI_RESCHEDULE); /* one that runs in user mode comes out of it */
}

VOID DECLSPEC_NORETURN
KiStartUser(ULONG_PTR Rip, ULONG_PTR Rsp, ULONG_PTR Argument1, ULONG_PTR Argument2)
{
    struct _KTHREAD *Thread = KiCurrentThread();
    PKTRAP_FRAME TrapFrame = (PKTRAP_FRAME)(Thread->Stack.Base - sizeof(KTRAP_FRAME));
    KTRAP_FRAME Frame = {.Rip = Rip, .Rsp = Rsp, .Rcx = Argument1, .Rdx = Argument2, .EFlags = KI_USER_FLAGS,
                         .MxCsr = KI_USER_MXCSR};
    KIRQL OldIrql = KiRaiseIrqlToDispatch();

    NT_ASSERT(OldIrql == PASSIVE_LEVEL && Thread->Teb != 0 && Thread->Stack.Previous == NULL);
    HalSetTeb(Thread->Teb);
    HalLowerIrql(OldIrql);
    Thread->BoundaryTop = Thread->Boundaries;
    HalUnpoison((PVOID)Thread->Stack.Limit, Thread->Stack.Base - Thread->Stack.Limit);
    KiEnterUser(&Frame, TrapFrame);
}

/* --- Exceptions -------------------------------------------------------------------------------------- */

typedef struct _KI_USER_EXCEPTION {
    CONTEXT Context;
    struct {
        LONG Offset;
        ULONG Length;
    } Chunks[3]; /* CONTEXT_EX: all, the legacy part, the extended state */
    ULONG64 Pad1;
    EXCEPTION_RECORD Record;
    ULONG64 Pad2;
    ULONG64 Machine[5]; /* Rip, selector, flags, Rsp, selector */
    ULONG64 Pad3;
} KI_USER_EXCEPTION, *PKI_USER_EXCEPTION;

_Static_assert(FIELD_OFFSET(KI_USER_EXCEPTION, Chunks) == 0x4D0, "CONTEXT_EX");
_Static_assert(FIELD_OFFSET(KI_USER_EXCEPTION, Record) == 0x4F0, "EXCEPTION_RECORD");
_Static_assert(FIELD_OFFSET(KI_USER_EXCEPTION, Machine) == 0x590, "machine frame");
_Static_assert(sizeof(KI_USER_EXCEPTION) % 16 == 0, "stack alignment");

static VOID
KipFillException(PKI_USER_EXCEPTION Image, const EXCEPTION_RECORD *Record, const CONTEXT *Context)
{
    RtlZeroMemory(Image, sizeof(*Image));
    Image->Context = *Context;
    Image->Record = *Record;
    Image->Chunks[0].Offset = -(LONG)sizeof(CONTEXT);
    Image->Chunks[0].Length = sizeof(CONTEXT) + sizeof(Image->Chunks);
    Image->Chunks[1].Offset = -(LONG)sizeof(CONTEXT);
    Image->Chunks[1].Length = sizeof(CONTEXT);
    Image->Chunks[2].Offset = sizeof(Image->Chunks);
    Image->Machine[0] = Context->Rip;
    Image->Machine[1] = Context->SegCs;
    Image->Machine[2] = Context->EFlags;
    Image->Machine[3] = Context->Rsp;
    Image->Machine[4] = Context->SegSs;
}

VOID
KiDispatchUserException(PKTRAP_FRAME TrapFrame, PEXCEPTION_RECORD Record, PCONTEXT Context, BOOLEAN FirstChance)
{
    struct _KTHREAD *Thread = KiCurrentThread();
    KI_USER_EXCEPTION Image;
    CONTEXT Own;
    ULONG64 Rsp;

    if (Context == NULL) {
        RtlZeroMemory(&Own, sizeof(Own));
        KiTrapToContext(TrapFrame, &Own);
        Context = &Own;
    }
    if (Record->ExceptionCode == STATUS_BREAKPOINT) {
        Context->Rip = (ULONG_PTR)Record->ExceptionAddress;
    }
    Thread->UserFrame = TrapFrame;
    KipFillException(&Image, Record, Context);
    Rsp = (Context->Rsp & ~15ull) - sizeof(Image);
    if (!FirstChance || KiUserExceptionDispatcher == 0 ||
        !NT_SUCCESS(KiCopyToUser((PVOID)Rsp, &Image, sizeof(Image)))) {
        KiUserUnhandled(Record, Context);
        return;
    }
    TrapFrame->Rsp = Rsp;
    TrapFrame->Rip = KiUserExceptionDispatcher;
    TrapFrame->EFlags &= ~KI_TRACE_FLAG;
    Thread->ContextSet = TRUE;
}
