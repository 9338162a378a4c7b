/*
 * trap.c - the interrupt descriptor table: from a host signal to the core's trap routines.
 *
 * The signal handler does one thing. On the alternate stack it writes a KTRAP_FRAME below the
 * interrupted stack pointer (past the 128 bytes that library code may use there), points the
 * interrupted context at HalpTrapEntry (switch.S) and returns. Walking tables, calling the core,
 * switching processors: all that is ordinary code on an ordinary stack, which ends with iretq. A
 * frame that would not fit on the stack in use, or whose page is not there, is a double fault,
 * served on the processor's spare stack.
 *
 * From user mode the frame goes to the base of the kernel stack instead, and gs, which user mode has for its
 * TEB, becomes the processor region's again. Who runs in which mode is for this file to know, as the host has them all in one:
 * a flag says that the processor is on its way to user mode, and the instruction that was interrupted, whether it got there.
 *
 * In the frame P1Home to P4Home hold r12 to r15, and the XMM state is complete below it. Vectors
 * as the processor numbers them; three of our own follow 0xFF. Signals that come from outside
 * (watchdog, time-out) become traps only if an image's code was interrupted, so the core is never
 * interrupted where it does not expect it. No locks: the handler runs with all signals blocked,
 * and there is one host thread.
 */
#define _GNU_SOURCE
#include "halp.h"
#include "hostsys.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <ucontext.h>

#define HALP_VECTOR_TICK      0x100
#define HALP_VECTOR_STOP      0x101
#define HALP_VECTOR_HOST_CALL 0x102
#define HALP_VECTOR_SYSCALL   0x103

#define HALP_RED_ZONE              128
#define HALP_FRAME_ROOM            (1024 + HalpXsaveSize) /* what HalpTrapEntry and the first C frames need below the frame */
#define HALP_SIGNAL_STACK          (64 * 1024)
#define HALP_WATCHDOG_MICROSECONDS 20000
#define HALP_STOP_GRACE_SECONDS    1
#define HALP_HOST_CALLERS          (0x7FFFFFFFFFFFull - HALP_SYSTEM_END) /* the host's code: system calls of others are ours */
#define HALP_EFLAGS_CLEARED        0x40500ull /* AC, DF, TF */

_Static_assert(FIELD_OFFSET(KTRAP_FRAME, P1Home) == 0x00, "switch.S");
_Static_assert(FIELD_OFFSET(KTRAP_FRAME, MxCsr) == 0x2C, "switch.S");
_Static_assert(FIELD_OFFSET(KTRAP_FRAME, Rax) == 0x30, "switch.S");
_Static_assert(FIELD_OFFSET(KTRAP_FRAME, R11) == 0x60, "switch.S");
_Static_assert(FIELD_OFFSET(KTRAP_FRAME, Xmm0) == 0x70, "switch.S");
_Static_assert(FIELD_OFFSET(KTRAP_FRAME, Rbx) == 0x140, "switch.S");
_Static_assert(FIELD_OFFSET(KTRAP_FRAME, Rbp) == 0x158, "switch.S");
_Static_assert(FIELD_OFFSET(KTRAP_FRAME, Rip) == 0x168, "switch.S");
_Static_assert(FIELD_OFFSET(KTRAP_FRAME, SegSs) == 0x188, "switch.S");
_Static_assert(sizeof(KTRAP_FRAME) == 0x190, "switch.S");

extern char __executable_start[], etext[];
VOID DECLSPEC_NORETURN HalpResumeFrame(PKTRAP_FRAME TrapFrame);

BOOLEAN HalpStopRequested;
static ULONG HalpTickEpoch;
static LONG HalpTickCountdown;

VOID HalpTrap(PKTRAP_FRAME TrapFrame, ULONG Vector, ULONG_PTR Address);

/*
 * --- Ends of the run
 * -----------------------------------------------------------------------------------------
 */

static SIZE_T
HalpAppend(char *Line, SIZE_T At, SIZE_T Size, const char *Text)
{
    for (; *Text != 0 && At + 1 < Size; Text += 1) {
        Line[At] = *Text;
        At += 1;
    }
    Line[At] = 0;
    return At;
}

static SIZE_T
HalpAppendHex(char *Line, SIZE_T At, SIZE_T Size, ULONG64 Value)
{
    char Digits[17];
    ULONG Index;

    for (Index = 0; Index < 16; Index += 1) {
        Digits[Index] = "0123456789ABCDEF"[(Value >> (60 - 4 * Index)) & 0xF];
    }
    Digits[16] = 0;
    return HalpAppend(Line, At, Size, Digits);
}

/* A fault of the machine's own. The core reports it if it is alive and not already doing so. */
VOID DECLSPEC_NORETURN
HalpInternal(const char *Text, PKTRAP_FRAME TrapFrame)
{
    static BOOLEAN Reported;
    char Line[256];
    SIZE_T At;

    if (HalpAlive && !Reported) {
        Reported = TRUE;
        KiMachineStop("internal", Text, TrapFrame);
    }
    At = HalpAppend(Line, 0, sizeof(Line), "ntmm: internal fault: ");
    At = HalpAppend(Line, At, sizeof(Line) - 1, Text);
    At = HalpAppend(Line, At, sizeof(Line), "\n");
    HalPutDiagnostic(Line, At);
    HalExit(5);
}

VOID DECLSPEC_NORETURN
HalpStop(PKTRAP_FRAME TrapFrame)
{
    HalpStopRequested = FALSE; /* so that reporting can pass choice points */
    HalpCurrent->Idle = FALSE; /* and be picked again after them */
    KiMachineStop("timeout", "the time ran out", TrapFrame);
    HalpInternal("KiMachineStop returned", TrapFrame);
}

/*
 * --- Trap dispatch, on the interrupted stack
 * ----------------------------------------------------------------------
 */

/*
 * Code of the executable or of an image may cause any fault; the host's libraries, none but on a
 * window.
 */
static BOOLEAN
HalpIsForeignHostCode(ULONG_PTR Rip)
{
    return !HalpInWindow(Rip) && !HalpIsThunk(Rip) && Rip >= (ULONG_PTR)etext;
}

static VOID
HalpRefuseAccess(PKTRAP_FRAME TrapFrame, ULONG_PTR Address)
{
    static char Text[160];
    SIZE_T At;

    At = HalpAppend(Text, 0, sizeof(Text), "host code at 0x");
    At = HalpAppendHex(Text, At, sizeof(Text), TrapFrame->Rip);
    At = HalpAppend(Text, At, sizeof(Text), " touched 0x");
    HalpAppendHex(Text, At, sizeof(Text), Address);
    HalpInternal(Text, TrapFrame);
}

static VOID
HalpPageFault(PKTRAP_FRAME TrapFrame, ULONG_PTR Address)
{
    ULONG Access;
    ULONG ErrorCode;

    /* The present bit is about the host's table and the user bit always set: ours differ. */
    Access = (ULONG)TrapFrame->ErrorCode & (HALP_FAULT_WRITE | HALP_FAULT_FETCH);
    if (TrapFrame->PreviousMode == UserMode) {
        Access |= HALP_FAULT_USER;
    }
    ErrorCode = Access;
    if (HalpInWindow(Address)) {
        if (HalpTlbFault(Address, Access, &ErrorCode)) {
            HalChoicePoint(HalChoiceFault);
            return;
        }
    } else {
        if (Access == 0 && HalpReadSharedData(TrapFrame, Address)) { /* not from user mode: it is at 0x7FFE0000 there */
            return;
        }
        if ((Access & HALP_FAULT_FETCH) == 0 && HalpIsForeignHostCode(TrapFrame->Rip)) {
            HalpRefuseAccess(TrapFrame, Address);
        }
        if ((Address & ~(ULONG_PTR)(PAGE_SIZE - 1)) == HALP_SHARED_DATA_USER ||
            (Address & ~(ULONG_PTR)(PAGE_SIZE - 1)) == HALP_SHARED_DATA_KERNEL) {
            ErrorCode |= HALP_FAULT_PRESENT;
        }
    }
    HalChoicePoint(HalChoiceFault);
    TrapFrame->ErrorCode = ErrorCode;
    TrapFrame->FaultIndicator = (ErrorCode & HALP_FAULT_FETCH) != 0 ? 8 : (ErrorCode & HALP_FAULT_WRITE) >> 1;
    KiPageFault(TrapFrame, Address, ErrorCode);
}

static VOID
HalpProtectionFault(PKTRAP_FRAME TrapFrame)
{
    ULONG Vector;

    if (TrapFrame->PreviousMode == UserMode ? HalpEmulateUser(TrapFrame) : HalpEmulate(TrapFrame)) {
        HalChoicePoint(HalChoiceIrql);
        return;
    }
    Vector = HalpSoftwareInterruptVector(TrapFrame);
    if (Vector != 0) {
        TrapFrame->Rip += 2;
        KiTrap(TrapFrame, Vector, 0);
        return;
    }
    if (HalpIsForeignHostCode(TrapFrame->Rip)) {
        HalpRefuseAccess(TrapFrame, MAXULONG_PTR);
    }
    KiTrap(TrapFrame, 13, (ULONG)TrapFrame->ErrorCode);
}

static VOID
HalpDispatch(PKTRAP_FRAME TrapFrame, ULONG Vector, ULONG_PTR Address)
{
    switch (Vector) {
    case 14:
        HalpPageFault(TrapFrame, Address);
        break;
    case 13:
        HalpProtectionFault(TrapFrame);
        break;
    case HALP_VECTOR_TICK:
        HalpPreempt(TrapFrame);
        break;
    case HALP_VECTOR_STOP:
        HalpStop(TrapFrame);
    case HALP_VECTOR_SYSCALL:
        KiSystemCall(TrapFrame);
        break;
    case HALP_VECTOR_HOST_CALL:
        if (!HalpInWindow(TrapFrame->Rip)) {
            HalpInternal("a host system call that is not allowed", TrapFrame);
        }
        KiTrap(TrapFrame, 6, 0);
        break;
    default:
        KiTrap(TrapFrame, Vector, (ULONG)TrapFrame->ErrorCode);
        break;
    }
}

/*
 * The frame is about to be resumed in user mode; nothing may come in between any more but what ends the run. Rip is the core's
 * to check: iretq in this mode could not say that it is not canonical.
 */
static VOID
HalpLeaveToUser(PKTRAP_FRAME TrapFrame)
{
    KiReturnToUser(TrapFrame);
    HalpCurrent->UserMode = TRUE;
    HalpLoadPcr((PVOID)HalpCurrent->Teb);
}

/* Called by HalpTrapEntry. Returning resumes the frame. */
VOID
HalpTrap(PKTRAP_FRAME TrapFrame, ULONG Vector, ULONG_PTR Address)
{
    HalpDispatch(TrapFrame, Vector, Address);
    if (TrapFrame->PreviousMode == UserMode) {
        HalpLeaveToUser(TrapFrame);
    }
}

/* What gs is based at in user mode, from the next time this processor goes there. */
VOID
HalSetTeb(ULONG_PTR Teb)
{
    HalpCurrent->Teb = Teb;
}

/* To user mode for the first time: see hal.h. */
VOID DECLSPEC_NORETURN
HalEnterUserMode(PKTRAP_FRAME TrapFrame)
{
    USHORT Code, Stack;

    __asm__("movw %%cs, %0" : "=r"(Code));
    __asm__("movw %%ss, %0" : "=r"(Stack));
    TrapFrame->SegCs = Code;
    TrapFrame->SegSs = Stack;
    TrapFrame->PreviousMode = UserMode;
    HalpLeaveToUser(TrapFrame);
    HalpResumeFrame(TrapFrame);
}

/*
 * --- The signal handler
 * ---------------------------------------------------------------------------------------------
 */

static VOID
HalpWriteFrame(PKTRAP_FRAME Frame, const greg_t *Registers, ULONG_PTR Address, KPROCESSOR_MODE Mode)
{
    ULONG64 *Clear;
    ULONG Selectors;

    for (Clear = (ULONG64 *)Frame; Clear < (ULONG64 *)(Frame + 1); Clear += 1) {
        *Clear = 0;
    }
    Frame->P1Home = (ULONG64)Registers[REG_R12];
    Frame->P2Home = (ULONG64)Registers[REG_R13];
    Frame->P3Home = (ULONG64)Registers[REG_R14];
    Frame->P4Home = (ULONG64)Registers[REG_R15];
    Frame->PreviousMode = Mode;
    Frame->PreviousIrql = HalpCurrent->Pcr->Irql;
    Frame->Rax = (ULONG64)Registers[REG_RAX];
    Frame->Rcx = (ULONG64)Registers[REG_RCX];
    Frame->Rdx = (ULONG64)Registers[REG_RDX];
    Frame->R8 = (ULONG64)Registers[REG_R8];
    Frame->R9 = (ULONG64)Registers[REG_R9];
    Frame->R10 = (ULONG64)Registers[REG_R10];
    Frame->R11 = (ULONG64)Registers[REG_R11];
    Frame->GsBase = Mode == UserMode ? HalpCurrent->Teb : (ULONG_PTR)HalpCurrent->Pcr;
    Frame->FaultAddress = Address;
    Frame->Rbx = (ULONG64)Registers[REG_RBX];
    Frame->Rdi = (ULONG64)Registers[REG_RDI];
    Frame->Rsi = (ULONG64)Registers[REG_RSI];
    Frame->Rbp = (ULONG64)Registers[REG_RBP];
    Frame->ErrorCode = (ULONG64)Registers[REG_ERR];
    Frame->Rip = (ULONG64)Registers[REG_RIP];
    Frame->EFlags = (ULONG)Registers[REG_EFL];
    Frame->Rsp = (ULONG64)Registers[REG_RSP];
    Selectors = (ULONG)((ULONG64)Registers[REG_CSGSFS] >> 48);
    Frame->SegSs = (USHORT)(Selectors != 0 ? Selectors : 0x2B);
    Frame->SegCs = (USHORT)Registers[REG_CSGSFS];
}

/* Bytes for the processor's XSAVE area and its alignment. */
ULONG HalpXsaveSize;

static VOID
HalpMeasureXsave(VOID)
{
    ULONG Eax = 0xD, Ebx, Ecx = 0, Edx;

    __asm__("cpuid" : "+a"(Eax), "=b"(Ebx), "+c"(Ecx), "=d"(Edx));
    HalpXsaveSize = ((Ebx + 63) & ~63u) + 64;
}

/* Where the frame goes. FALSE: there is no room on the stack in use, which is a double fault. */
static BOOLEAN
HalpPlaceFrame(ULONG_PTR Rsp, KPROCESSOR_MODE Mode, ULONG_PTR *Place)
{
    ULONG_PTR Top;

    if (Mode == UserMode) {
        *Place = HalpCurrent->StackBase - sizeof(KTRAP_FRAME);
        return TRUE; /* the stack of a running thread is held */
    }
    Top = (Rsp - HALP_RED_ZONE) & ~15ull;
    if (Rsp > HalpCurrent->StackBase ||
        Rsp < HalpCurrent->StackLimit + HALP_RED_ZONE + sizeof(KTRAP_FRAME) + HALP_FRAME_ROOM) {
        return FALSE;
    }
    *Place = Top - sizeof(KTRAP_FRAME);
    return HalpResident(*Place - HALP_FRAME_ROOM, Rsp);
}

/* Which mode was interrupted. On its last instructions to user mode the machine is still in kernel mode. */
static KPROCESSOR_MODE
HalpLeaveUser(ULONG_PTR Rip)
{
    if (!HalpCurrent->UserMode) {
        return KernelMode;
    }
    HalpCurrent->UserMode = FALSE;
    HalpLoadPcr(HalpCurrent->Pcr);
    return Rip - (ULONG_PTR)__executable_start < (ULONG_PTR)(etext - __executable_start) ? KernelMode : UserMode;
}

/* Redirect the interrupted context to the trap entry. */
static VOID
HalpEnter(ucontext_t *Context, ULONG Vector)
{
    greg_t *Registers;
    ULONG_PTR Address;
    ULONG_PTR Place;
    KPROCESSOR_MODE Mode;

    Registers = Context->uc_mcontext.gregs;
    Address = Vector == 14 ? (ULONG_PTR)Registers[REG_CR2] : 0;
    Mode = HalpLeaveUser((ULONG_PTR)Registers[REG_RIP]);
    if (!HalpPlaceFrame((ULONG_PTR)Registers[REG_RSP], Mode, &Place)) {
        if (Vector == HALP_VECTOR_TICK) {
            return; /* there will be another one; the image has done nothing wrong */
        }
        Vector = 8;
        HalpCurrent->StackLimit = HalpCurrent->SpareLimit;
        HalpCurrent->StackBase = HalpCurrent->SpareBase;
        HalpCurrent->Pcr->StackLimit = HalpCurrent->SpareLimit;
        HalpCurrent->Pcr->StackBase = HalpCurrent->SpareBase;
        Place = HalpCurrent->SpareBase - sizeof(KTRAP_FRAME) - 16;
    }
    HalUnpoison((PVOID)(Place - HALP_FRAME_ROOM), sizeof(KTRAP_FRAME) + HALP_FRAME_ROOM);
    HalpWriteFrame((PKTRAP_FRAME)Place, Registers, Address, Mode);
    if (Vector == 8) {
        ((PKTRAP_FRAME)Place)->ErrorCode = 0;
    }
    Registers[REG_RIP] = (greg_t)(ULONG_PTR)HalpTrapEntry;
    Registers[REG_RSP] = (greg_t)Place;
    Registers[REG_RDI] = (greg_t)Place;
    Registers[REG_RSI] = Vector;
    Registers[REG_RDX] = (greg_t)Address;
    Registers[REG_EFL] &= ~(greg_t)HALP_EFLAGS_CLEARED;
}

/* An image has not called anything for a whole tick: it does not get to keep the machine. */
static BOOLEAN
HalpImageSpins(ULONG_PTR Rip)
{
    BOOLEAN Spins;

    Spins = HalpInWindow(Rip) && HalpTickEpoch == HalpChoiceEpoch && HalpTickCountdown == HalpChoiceCountdown;
    HalpTickEpoch = HalpChoiceEpoch;
    HalpTickCountdown = HalpChoiceCountdown;
    return Spins;
}

/*
 * The end is asked for. In an image: right there. Else the next choice point sees it; if there is
 * none for a second, wherever the core is.
 */
static BOOLEAN
HalpStopHere(ULONG_PTR Rip)
{
    struct itimerval Grace = {{0, 0}, {HALP_STOP_GRACE_SECONDS, 0}};
    static BOOLEAN Asked;
    BOOLEAN Again;

    if (!HalpAlive) {
        HalpHostExit(5);
    }
    Again = Asked && HalpStopRequested;
    if (Asked && !HalpStopRequested) {
        return FALSE; /* it is being reported */
    }
    Asked = TRUE;
    HalpStopRequested = TRUE;
    HalpChoiceCountdown = 0;
    if (HalpInWindow(Rip) || Again) {
        return TRUE;
    }
    HalpCall6(__NR_setitimer, ITIMER_REAL, (ULONG_PTR)&Grace, 0, 0, 0, 0);
    return FALSE;
}

static VOID
HalpSignal(int Signal, siginfo_t *Information, void *Argument)
{
    ucontext_t *Context;
    ULONG_PTR Rip;
    ULONG Vector;

    Context = Argument;
    Rip = (ULONG_PTR)Context->uc_mcontext.gregs[REG_RIP];
    Vector = (ULONG)Context->uc_mcontext.gregs[REG_TRAPNO];
    if (Signal == SIGVTALRM) {
        Vector = HALP_VECTOR_TICK;
        if (!HalpImageSpins(Rip)) {
            return;
        }
    } else if (Signal == SIGTERM || Signal == SIGALRM) {
        Vector = HALP_VECTOR_STOP;
        if (!HalpStopHere(Rip)) {
            return;
        }
    } else if (Signal == SIGSYS) {
        Vector = HalpCurrent->UserMode ? HALP_VECTOR_SYSCALL : HALP_VECTOR_HOST_CALL;
    } else if (Information->si_code <= 0) {
        return; /* sent by somebody, not caused by an instruction */
    }
    if (!HalpAlive) {
        HalpInternal("a fault before the machine ran", NULL);
    }
    HalpEnter(Context, Vector);
}

/*
 * --- Setting up ---------------------------------------------------------------------------------
 * ----------------------
 */

/* From here on signals are traps. A time-out of zero is none. */
VOID
HalpInitializeTraps(ULONG64 TimeoutMilliseconds)
{
    static const int Signals[] = {SIGSEGV, SIGBUS,  SIGILL,    SIGFPE, SIGTRAP,
                                  SIGSYS,  SIGTERM, SIGVTALRM, SIGALRM};
    static UCHAR SignalStack[HALP_SIGNAL_STACK] __attribute__((aligned(64)));
    struct itimerval Tick = {{0, HALP_WATCHDOG_MICROSECONDS}, {0, HALP_WATCHDOG_MICROSECONDS}};
    struct itimerval Timeout = {{0, 0}, {0, 0}};
    struct sigaction Action;
    stack_t Stack;
    ULONG Index;

    HalpMeasureXsave();
    Stack.ss_sp = SignalStack;
    Stack.ss_size = sizeof(SignalStack);
    Stack.ss_flags = 0;
    Action.sa_sigaction = HalpSignal;
    Action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
    sigfillset(&Action.sa_mask);
    if (sigaltstack(&Stack, NULL) != 0) {
        HalpRefuse("the host refused a signal stack");
    }
    for (Index = 0; Index < RTL_NUMBER_OF(Signals); Index += 1) {
        if (sigaction(Signals[Index], &Action, NULL) != 0) {
            HalpRefuse("the host refused a signal handler");
        }
    }
    Timeout.it_value.tv_sec = (time_t)(TimeoutMilliseconds / 1000);
    Timeout.it_value.tv_usec = (suseconds_t)(TimeoutMilliseconds % 1000 * 1000);
    if (prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, HALP_SYSTEM_END, HALP_HOST_CALLERS, NULL) != 0) {
        HalpRefuse("the host has no syscall user dispatch (Linux 5.11 or later is needed)");
    }
    if (prctl(PR_SET_TSC, PR_TSC_SIGSEGV) != 0 || setitimer(ITIMER_VIRTUAL, &Tick, NULL) != 0 ||
        (TimeoutMilliseconds != 0 && setitimer(ITIMER_REAL, &Timeout, NULL) != 0)) {
        HalpRefuse("the host refused the watchdog");
    }
}
