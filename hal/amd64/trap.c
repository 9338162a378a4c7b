/*
 * trap.c - from a vector to the core's trap routines.
 *
 * Every gate disables interrupts; here it is decided when they come back. An exception runs as the
 * interrupted code did, so interrupts are allowed again if they were, once the fault address is safe. An
 * interrupt raises IRQL to its vector's, ends itself at the local APIC (from then on only IRQL keeps others
 * of its kind away, so that a software interrupt may switch threads) and runs with interrupts allowed. On
 * return they are off until iretq, which lets in what lowering IRQL has uncovered. Owns no state, takes no
 * lock.
 */
#include "halp.h"

_Static_assert(FIELD_OFFSET(KTRAP_FRAME, P1Home) == 0x00, "trap.S");
_Static_assert(FIELD_OFFSET(KTRAP_FRAME, PreviousMode) == 0x28, "trap.S");
_Static_assert(FIELD_OFFSET(KTRAP_FRAME, PreviousIrql) == 0x29, "trap.S");
_Static_assert(FIELD_OFFSET(KTRAP_FRAME, MxCsr) == 0x2C, "trap.S");
_Static_assert(FIELD_OFFSET(KTRAP_FRAME, Rax) == 0x30, "trap.S");
_Static_assert(FIELD_OFFSET(KTRAP_FRAME, R11) == 0x60, "trap.S");
_Static_assert(FIELD_OFFSET(KTRAP_FRAME, Xmm0) == 0x70, "trap.S");
_Static_assert(FIELD_OFFSET(KTRAP_FRAME, Rbx) == 0x140, "trap.S");
_Static_assert(FIELD_OFFSET(KTRAP_FRAME, Rbp) == 0x158, "trap.S");
_Static_assert(FIELD_OFFSET(KTRAP_FRAME, Rip) == 0x168, "trap.S");
_Static_assert(sizeof(KTRAP_FRAME) == 0x190, "trap.S");

#define HALP_EFLAGS_INTERRUPT 0x200u
#define HALP_FAULT_WRITE      0x02u
#define HALP_FAULT_FETCH      0x10u

BOOLEAN HalpAlive;

VOID HalpTrap(PKTRAP_FRAME TrapFrame, ULONG Vector, ULONG_PTR Address);

/* --- Ends of the run ---------------------------------------------------------------------------------------
 */

static VOID
HalpPutText(const char *Text)
{
    SIZE_T Length;

    Length = 0;
    while (Text[Length] != 0) {
        Length += 1;
    }
    HalPutDiagnostic(Text, Length);
}

static VOID
HalpPutHex(const char *Name, ULONG64 Value)
{
    char Digits[17];
    ULONG Index;

    for (Index = 0; Index < 16; Index += 1) {
        Digits[Index] = "0123456789ABCDEF"[(Value >> (60 - 4 * Index)) & 0xF];
    }
    Digits[16] = 0;
    HalpPutText(Name);
    HalpPutText(Digits);
}

/* A fault of the machine's own. The core reports it if it is alive and not already doing so. */
VOID DECLSPEC_NORETURN
HalpInternal(const char *Text, PKTRAP_FRAME TrapFrame)
{
    static BOOLEAN Reported;

    if (HalpAlive && !Reported) {
        Reported = TRUE;
        KiMachineStop("internal", Text, TrapFrame);
    }
    HalpPutText("ntmm: internal fault: ");
    HalpPutText(Text);
    HalpPutText("\n");
    HalExit(5);
}

/* There is no core yet to tell. */
static VOID DECLSPEC_NORETURN
HalpEarlyTrap(PKTRAP_FRAME TrapFrame, ULONG Vector, ULONG_PTR Address)
{
    HalpPutHex("ntmm: trap 0x", Vector);
    HalpPutHex(" code 0x", TrapFrame->ErrorCode);
    HalpPutHex(" at 0x", TrapFrame->Rip);
    HalpPutHex(" address 0x", Address);
    HalpPutText("\n");
    HalpInternal("a fault before the machine ran", TrapFrame);
}

/* --- Exceptions --------------------------------------------------------------------------------------------
 */

static VOID
HalpPageFault(PKTRAP_FRAME TrapFrame, ULONG_PTR Address)
{
    ULONG ErrorCode;

    ErrorCode = (ULONG)TrapFrame->ErrorCode;
    TrapFrame->FaultAddress = Address;
    TrapFrame->FaultIndicator = (ErrorCode & HALP_FAULT_FETCH) != 0 ? 8 : (ErrorCode & HALP_FAULT_WRITE) >> 1;
    KiPageFault(TrapFrame, Address, ErrorCode);
}

static VOID
HalpException(PKTRAP_FRAME TrapFrame, ULONG Vector, ULONG_PTR Address)
{
    if ((TrapFrame->EFlags & HALP_EFLAGS_INTERRUPT) != 0) {
        HalRestoreInterrupts(TRUE);
    }
    if (Vector == HALP_VECTOR_PAGE_FAULT) {
        HalpPageFault(TrapFrame, Address);
    } else {
        KiTrap(TrapFrame, Vector, (ULONG)TrapFrame->ErrorCode);
    }
    HalDisableInterrupts();
}

/* --- Interrupts --------------------------------------------------------------------------------------------
 */

static VOID
HalpSoftwareInterrupt(KIRQL Irql)
{
    __atomic_fetch_and(&KeGetPcr()->SoftwareInterrupts, ~(1u << Irql), __ATOMIC_ACQ_REL);
    KiSoftwareInterrupt(Irql);
}

static VOID
HalpInterrupt(PKTRAP_FRAME TrapFrame, ULONG Vector)
{
    HalSetIrql((KIRQL)(Vector / 16));
    HalpEndInterrupt();
    HalRestoreInterrupts(TRUE);
    switch (Vector) {
    case HALP_VECTOR_CLOCK:
        HalpClockInterrupt(TrapFrame);
        break;
    case HALP_VECTOR_IPI:
        KiIpiInterrupt(TrapFrame);
        break;
    default:
        HalpSoftwareInterrupt((KIRQL)(Vector / 16));
        break;
    }
    HalDisableInterrupts();
    HalSetIrql(TrapFrame->PreviousIrql);
}

/*
 * Called by trap.S with interrupts off; returns with interrupts off and resumes the frame. A nonmaskable
 * interrupt is how the supervisor says that the time is over.
 */
VOID
HalpTrap(PKTRAP_FRAME TrapFrame, ULONG Vector, ULONG_PTR Address)
{
    if (!HalpAlive) {
        HalpEarlyTrap(TrapFrame, Vector, Address);
    }
    switch (Vector) {
    case HALP_VECTOR_APC:
    case HALP_VECTOR_DISPATCH:
    case HALP_VECTOR_CLOCK:
    case HALP_VECTOR_IPI:
        HalpInterrupt(TrapFrame, Vector);
        break;
    case HALP_VECTOR_SPURIOUS:
        break;
    case HALP_VECTOR_NMI:
        KiMachineStop("timeout", "the time ran out", TrapFrame);
        break;
    default:
        HalpException(TrapFrame, Vector, Address);
        break;
    }
    if (TrapFrame->PreviousMode == UserMode) {
        HalpLeaveToUser(TrapFrame);
    }
}
