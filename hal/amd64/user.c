/*
 * user.c - ring 3: going there, system calls, coming back.
 *
 * While user mode runs, gs is based at the thread's TEB and the kernel's base waits in the other register; swapgs changes them at
 * every crossing. A trap from ring 3 finds its stack in the task state, a system call in the KPCR; both are the base of the
 * thread's kernel stack, put there on the way out. Interrupts are off from the last look at what there is to do until user mode has
 * them back. Owns no state, takes no lock.
 */
#include "halp.h"

#define HALP_MSR_STAR           0xC0000081u
#define HALP_MSR_LSTAR          0xC0000082u
#define HALP_MSR_FMASK          0xC0000084u
#define HALP_MSR_KERNEL_GS_BASE 0xC0000102u
#define HALP_EFER_SYSTEM_CALL   0x1ull
#define HALP_SYSTEM_CALL_CLEARS 0x44700ull /* AC, NT, DF, IF, TF */

_Static_assert(FIELD_OFFSET(KPCR, StackBase) == 0x1B0, "syscall.S");
_Static_assert(FIELD_OFFSET(KPCR, Reserved2) <= HALP_PCR_USER_RSP && HALP_PCR_USER_RSP + 8 <= FIELD_OFFSET(KPCR, MxCsr),
               "inside Reserved2");

VOID HalpSystemCallEntry(VOID);
VOID DECLSPEC_NORETURN HalpResumeFrame(PKTRAP_FRAME TrapFrame);
VOID HalpSystemCall(PKTRAP_FRAME TrapFrame);

/* On each processor, once: where `syscall` arrives. */
VOID
HalpPrepareSystemCalls(VOID)
{
    HalpWriteMsr(HALP_MSR_STAR, (ULONG64)HALP_SELECTOR_CODE << 32 | (ULONG64)(HALP_SELECTOR_USER_DATA - 8) << 48);
    HalpWriteMsr(HALP_MSR_LSTAR, (ULONG_PTR)HalpSystemCallEntry);
    HalpWriteMsr(HALP_MSR_FMASK, HALP_SYSTEM_CALL_CLEARS);
    HalpWriteMsr(HALP_MSR_EFER, HalpReadMsr(HALP_MSR_EFER) | HALP_EFER_SYSTEM_CALL);
}

/* Called with interrupts off, and comes back with them off, the frame about to be resumed. */
VOID
HalpLeaveToUser(PKTRAP_FRAME TrapFrame)
{
    HalRestoreInterrupts(TRUE);
    KiReturnToUser(TrapFrame);
    HalDisableInterrupts();
    HalpThisProcessor()->Task.Rsp[0] = PcrRead64(StackBase);
}

/* From syscall.S, interrupts off. */
VOID
HalpSystemCall(PKTRAP_FRAME TrapFrame)
{
    HalRestoreInterrupts(TRUE);
    KiSystemCall(TrapFrame);
    HalDisableInterrupts();
    HalpLeaveToUser(TrapFrame);
}

/* Where gs leads in user mode, from the next time on. Interrupts may be on: the thread that is current keeps its processor. */
VOID
HalSetTeb(ULONG_PTR Teb)
{
    HalpWriteMsr(HALP_MSR_KERNEL_GS_BASE, Teb);
}

VOID DECLSPEC_NORETURN
HalEnterUserMode(PKTRAP_FRAME TrapFrame)
{
    TrapFrame->SegCs = HALP_SELECTOR_USER_CODE;
    TrapFrame->SegSs = HALP_SELECTOR_USER_DATA;
    TrapFrame->PreviousMode = UserMode;
    HalDisableInterrupts();
    HalpLeaveToUser(TrapFrame);
    HalpResumeFrame(TrapFrame);
}
