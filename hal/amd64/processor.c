/*
 * processor.c - processors: their records, start, and interrupts that software asks for.
 *
 * Owns the table of processors. This machine starts one; the table, the stacks and the descriptors are made
 * for each by number. A software interrupt is a bit in the KPCR and an interrupt to oneself, of the vector
 * that stands for its IRQL; where IRQL is already below, the core is called at once. No locks: everything is
 * the processor's own.
 */
#include "halp.h"
#include <hal/x64/switch.h>

#define HALP_PAT        0x0007010600070106ull /* WB, WC, UC-, UC, twice: as PTEs of mm/pte select them */
#define HALP_CPUID_SMEP (1u << 7)
#define HALP_CPUID_UMIP (1u << 2)

HALP_PROCESSOR HalpProcessors[HAL_MAXIMUM_PROCESSORS];
ULONG HalpProcessorTotal;

/* How many processors the machine has, started or not. */
ULONG
HalProcessorCount(VOID)
{
    return HalpProcessorTotal;
}

/* The region of a processor, Number below HalProcessorCount(). */
PKPCR
HalProcessorPcr(ULONG Number)
{
    return HalpProcessors[Number].Pcr;
}

/* --- Start -------------------------------------------------------------------------------------------------
 */

VOID
HalpPrepareProcessor(VOID)
{
    HALP_CPUID Features;
    ULONG64 Cr4;

    __asm__ volatile("movq %0, %%cr0" ::"r"(HALP_CR0_PAGING | HALP_CR0_WRITE_PROTECT |
                                            HALP_CR0_NUMERIC_ERROR | HALP_CR0_MONITOR | HALP_CR0_PROTECTED)
                     : "memory");
    Cr4 = HALP_CR4_PAE | HALP_CR4_MACHINE_CHECK | HALP_CR4_GLOBAL | HALP_CR4_FXSR | HALP_CR4_XMM_EXCEPTION;
    if (HalpCpuid(0).Eax >= 7) {
        Features = HalpCpuid(7);
        Cr4 |= (Features.Ebx & HALP_CPUID_SMEP) != 0 ? HALP_CR4_SMEP : 0;
        Cr4 |= (Features.Ecx & HALP_CPUID_UMIP) != 0 ? HALP_CR4_UMIP : 0;
    }
    HalpWriteCr4(Cr4);
    HalpWriteMsr(HALP_MSR_EFER, HalpReadMsr(HALP_MSR_EFER) | HALP_EFER_NO_EXECUTE);
    HalpWriteMsr(HALP_MSR_PAT, HALP_PAT);
    HalpPrepareSystemCalls();
    __asm__ volatile("fninit; ldmxcsr %0" ::"m"((ULONG){HALP_DEFAULT_MXCSR}));
}

VOID
HalpInitializeProcessor(ULONG Number)
{
    PHALP_PROCESSOR Processor;
    PKPCR Pcr;
    ULONG Stack;

    Processor = &HalpProcessors[Number];
    Pcr = Processor->Pcr;
    Processor->Number = Number;
    Processor->ClockDeadline = HAL_NO_TIME;
    for (Stack = 1; Stack <= HALP_INTERRUPT_STACKS; Stack += 1) {
        Processor->Task.InterruptStack[Stack - 1] = Processor->InterruptBase[Stack];
    }
    Pcr->Self = Pcr;
    Pcr->CurrentPrcb = (PUCHAR)Pcr + 0x180;
    Pcr->MxCsr = HALP_DEFAULT_MXCSR;
    Pcr->LegacyNumber = (UCHAR)Number;
    Pcr->Number = Number;
    Pcr->StackLimit = Processor->BootLimit;
    Pcr->StackBase = Processor->BootBase;
    Pcr->HalPrivate = Processor;
    HalpProcessorTotal = MAX(HalpProcessorTotal, Number + 1);
}

/* There is only the first. */
VOID
HalStartProcessors(VOID)
{
}

static VOID
HalpSystemEntry(PVOID Context)
{
    HalpAlive = TRUE;
    KiSystemStartup((PHAL_LOADER_BLOCK)Context);
}

/* Leave the entry stub's stack for the processor's own. */
VOID DECLSPEC_NORETURN
HalpStartCore(PHAL_LOADER_BLOCK LoaderBlock)
{
    static PVOID EarlyStack;
    PHALP_PROCESSOR Processor;

    Processor = &HalpProcessors[0];
    HalSetIrql(HIGH_LEVEL);
    HalSwitchStack(&EarlyStack,
                   HalPrepareStack(Processor->BootLimit, Processor->BootBase, HalpSystemEntry, LoaderBlock),
                   Processor->BootLimit, Processor->BootBase);
    HalpInternal("the core returned", NULL);
}

/* --- Interrupts --------------------------------------------------------------------------------------------
 */

/* KiIpiInterrupt on each processor of the set, soon. Any IRQL. */
VOID
HalRequestIpi(HAL_AFFINITY Processors)
{
    ULONG Number;

    for (Number = 0; Number < HalpProcessorTotal; Number += 1) {
        if ((Processors & (1ull << Number)) != 0) {
            HalpSendInterrupt(HalpProcessors[Number].ApicId, HALP_VECTOR_IPI);
        }
    }
}

/* Serve it here and now. The thread may be on another processor afterwards. */
static VOID
HalpServeNow(KIRQL Irql, KIRQL OldIrql)
{
    HalSetIrql(Irql);
    HalRestoreInterrupts(TRUE);
    KiSoftwareInterrupt(Irql);
    HalLowerIrql(OldIrql);
}

/* KiSoftwareInterrupt(Irql) on this processor, APC_LEVEL or DISPATCH_LEVEL, at once if IRQL is below. */
VOID
HalRequestSoftwareInterrupt(KIRQL Irql)
{
    BOOLEAN Enabled;
    KIRQL OldIrql;
    ULONG Before;

    Enabled = HalDisableInterrupts();
    OldIrql = HalGetIrql();
    if (OldIrql < Irql && Enabled) {
        HalpServeNow(Irql, OldIrql);
        return;
    }
    Before = __atomic_fetch_or(&KeGetPcr()->SoftwareInterrupts, 1u << Irql, __ATOMIC_ACQ_REL);
    if ((Before & (1u << Irql)) == 0) {
        HalpSendSelfInterrupt((ULONG)Irql * 16 + 15);
    }
    HalRestoreInterrupts(Enabled);
}

/*
 * At DISPATCH_LEVEL: halt until an interrupt above it. One of DISPATCH_LEVEL does not wake the processor, so
 * if such a request is there already it is not put to sleep; sti takes effect only after the next
 * instruction.
 */
VOID
HalIdle(VOID)
{
    HalDisableInterrupts();
    if (KeGetPcr()->SoftwareInterrupts != 0) {
        HalRestoreInterrupts(TRUE);
        return;
    }
    __asm__ volatile("sti; hlt" ::: "memory");
}
