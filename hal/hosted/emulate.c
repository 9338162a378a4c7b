/*
 * emulate.c - instructions that a process may not execute but kernel code does.
 *
 * Drivers inline them: mov to and from CR8 for the IRQL, cli and sti, rdtsc (trapped so that time
 * is virtual), rdmsr, port input and output, hlt, invlpg, wbinvd, reads of CR0, CR3 and CR4. They
 * arrive as general protection faults, are decoded at RIP and done on the trap frame. Writes that
 * would change the machine (CR0, CR3, CR4, MSRs, descriptor tables, swapgs) stay faults. There are
 * no devices behind the ports: input reads all ones. Not trapped by a processor, and so not seen:
 * pushf shows interrupts enabled, popf does not change that, cpuid and rdrand are the host's. Runs
 * in the trap path, where the XMM state is saved: may use libraries. What it cannot do it leaves
 * to the core as the fault it was. No state but the decoder's, no locks.
 */
#include "emulate.h"

static ZydisDecoder HalpDecoder;

/*
 * --- Decoding -----------------------------------------------------------------------------------
 * -----------------
 */

VOID
HalpInitializeEmulation(VOID)
{
    ZydisDecoderInit(&HalpDecoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    HalpInitializeThunks();
}

/* Read the instruction at Rip: first what is on its page, then, if it goes on, the next. */
BOOLEAN
HalpDecode(ULONG_PTR Rip, PHALP_INSTRUCTION Instruction)
{
    const volatile UCHAR *Code;
    SIZE_T Length;
    SIZE_T Wanted;
    ULONG Pass;

    Code = (const volatile UCHAR *)Rip;
    Length = 0;
    Wanted = MIN(sizeof(Instruction->Bytes), PAGE_SIZE - (Rip & (PAGE_SIZE - 1)));
    for (Pass = 0; Pass < 2; Pass += 1) {
        for (; Length < Wanted; Length += 1) {
            Instruction->Bytes[Length] = Code[Length];
        }
        if (ZYAN_SUCCESS(ZydisDecoderDecodeFull(&HalpDecoder, Instruction->Bytes, Length, &Instruction->Info,
                                                Instruction->Operands))) {
            return TRUE;
        }
        Wanted = sizeof(Instruction->Bytes);
        if (Length == Wanted) {
            break;
        }
    }
    return FALSE;
}

/* Where the frame keeps a general register, by its number in an instruction. */
PULONG64
HalpRegister(PKTRAP_FRAME Frame, ULONG Number)
{
    PULONG64 const Places[16] = {
        (PULONG64)&Frame->Rax,    (PULONG64)&Frame->Rcx,    (PULONG64)&Frame->Rdx,
        (PULONG64)&Frame->Rbx,    (PULONG64)&Frame->Rsp,    (PULONG64)&Frame->Rbp,
        (PULONG64)&Frame->Rsi,    (PULONG64)&Frame->Rdi,    (PULONG64)&Frame->R8,
        (PULONG64)&Frame->R9,     (PULONG64)&Frame->R10,    (PULONG64)&Frame->R11,
        (PULONG64)&Frame->P1Home, (PULONG64)&Frame->P2Home, (PULONG64)&Frame->P3Home,
        (PULONG64)&Frame->P4Home,
    };

    return Places[Number & 15];
}

/* The number of the general register that contains Register, 16 if none does. */
ULONG
HalpRegisterNumber(ZydisRegister Register)
{
    ZydisRegister Whole;

    Whole = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, Register);
    if (Whole < ZYDIS_REGISTER_RAX || Whole > ZYDIS_REGISTER_R15) {
        return 16;
    }
    return (ULONG)(Whole - ZYDIS_REGISTER_RAX);
}

/* Store a result of 1, 2, 4 or 8 bytes in a register as an instruction does. */
VOID
HalpStoreRegister(PULONG64 Register, ULONG64 Value, ULONG Bits)
{
    ULONG64 Mask;

    if (Bits >= 32) {
        *Register = Bits == 32 ? (ULONG)Value : Value;
        return;
    }
    Mask = (1ull << Bits) - 1;
    *Register = (*Register & ~Mask) | (Value & Mask);
}

/*
 * --- Control registers, time, model-specific registers
 * -------------------------------------------------------------
 */

static BOOLEAN
HalpReadControl(ZydisRegister Register, PULONG64 Value)
{
    switch (Register) {
    case ZYDIS_REGISTER_CR0:
        *Value = 0x80050033;
        return TRUE;
    case ZYDIS_REGISTER_CR2:
        *Value = 0;
        return TRUE;
    case ZYDIS_REGISTER_CR3:
        *Value = HalpCurrent->Root << PAGE_SHIFT;
        return TRUE;
    case ZYDIS_REGISTER_CR4:
        *Value = 0x001506F8;
        return TRUE;
    case ZYDIS_REGISTER_CR8:
        *Value = HalGetIrql();
        return TRUE;
    default:
        return FALSE;
    }
}

/* mov with a control register. Of those, only CR8 can be written. */
static BOOLEAN
HalpMoveControl(PKTRAP_FRAME Frame, const HALP_INSTRUCTION *Instruction)
{
    ZydisRegister To;
    ZydisRegister From;
    ULONG64 Value;

    To = Instruction->Operands[0].reg.value;
    From = Instruction->Operands[1].reg.value;
    if (Instruction->Operands[0].type != ZYDIS_OPERAND_TYPE_REGISTER ||
        Instruction->Operands[1].type != ZYDIS_OPERAND_TYPE_REGISTER) {
        return FALSE;
    }
    if (HalpRegisterNumber(To) < 16) {
        if (!HalpReadControl(From, &Value)) {
            return FALSE;
        }
        *HalpRegister(Frame, HalpRegisterNumber(To)) = Value;
        Frame->Rip += Instruction->Info.length;
        return TRUE;
    }
    Value = HalpRegisterNumber(From) < 16 ? *HalpRegister(Frame, HalpRegisterNumber(From)) : 16;
    if (To != ZYDIS_REGISTER_CR8 || Value > HIGH_LEVEL) {
        return FALSE;
    }
    Frame->Rip += Instruction->Info.length;
    if (Value > HalGetIrql()) {
        KfRaiseIrql((KIRQL)Value);
    } else if (Value < HalGetIrql()) {
        KeLowerIrql((KIRQL)Value);
    }
    return TRUE;
}

static VOID
HalpSetPair(PKTRAP_FRAME Frame, ULONG64 Value)
{
    Frame->Rax = (ULONG)Value;
    Frame->Rdx = (ULONG)(Value >> 32);
}

/* Model-specific registers that have an answer here. */
static BOOLEAN
HalpReadMsr(PKTRAP_FRAME Frame)
{
    switch ((ULONG)Frame->Rcx) {
    case 0x10: /* time-stamp counter */
        HalpSetPair(Frame, HalpReadTsc());
        return TRUE;
    case 0x1B: /* APIC base: at its usual place, enabled, bootstrap processor */
        HalpSetPair(Frame, 0xFEE00800 | (HalpCurrent->Number == 0 ? 0x100 : 0));
        return TRUE;
    case 0xC0000080: /* EFER: LME, LMA, NXE, SCE */
        HalpSetPair(Frame, 0xD01);
        return TRUE;
    case 0xC0000101: /* GS base */
        HalpSetPair(Frame, (ULONG_PTR)HalpCurrent->Pcr);
        return TRUE;
    case 0xC0000100: /* FS base and the other GS base: none in kernel mode here */
    case 0xC0000102:
        HalpSetPair(Frame, 0);
        return TRUE;
    case 0xC0000103: /* TSC_AUX */
        HalpSetPair(Frame, HalpCurrent->Number);
        return TRUE;
    default:
        return FALSE;
    }
}

/*
 * --- Ports: nothing is attached
 * ----------------------------------------------------------------------------------------
 */

static VOID
HalpPortIn(PKTRAP_FRAME Frame, const HALP_INSTRUCTION *Instruction)
{
    HalpStoreRegister((PULONG64)&Frame->Rax, ~0ull, Instruction->Operands[0].size);
}

/* ins and outs, whole if repeated; the memory is the image's and may fault like any. */
static VOID
HalpPortString(PKTRAP_FRAME Frame, const HALP_INSTRUCTION *Instruction, BOOLEAN Input)
{
    ULONG64 Count;
    ULONG64 Index;
    LONG64 Bytes;
    LONG64 Step;
    BOOLEAN Repeated;

    Repeated = (Instruction->Info.attributes & ZYDIS_ATTRIB_HAS_REP) != 0;
    Bytes = Instruction->Info.operand_width / 8;
    if (Instruction->Info.mnemonic == ZYDIS_MNEMONIC_INSB ||
        Instruction->Info.mnemonic == ZYDIS_MNEMONIC_OUTSB) {
        Bytes = 1;
    }
    Step = (Frame->EFlags & 0x400) != 0 ? -Bytes : Bytes;
    for (Count = Repeated ? Frame->Rcx : 1; Count > 0; Count -= 1) {
        if (Input) {
            for (Index = 0; Index < (ULONG64)Bytes; Index += 1) {
                ((volatile UCHAR *)(ULONG_PTR)Frame->Rdi)[Index] = 0xFF;
            }
            Frame->Rdi += (ULONG64)Step;
        } else {
            Frame->Rsi += (ULONG64)Step;
        }
        if (Repeated) {
            Frame->Rcx -= 1;
        }
    }
}

/*
 * --- Dispatch -----------------------------------------------------------------------------------
 * ---------------------------
 */

ULONG_PTR
HalpEffectiveAddress(PKTRAP_FRAME Frame, const HALP_INSTRUCTION *Instruction,
                     const ZydisDecodedOperand *Operand)
{
    ULONG64 Address;

    Address = (ULONG64)Operand->mem.disp.value;
    if (Operand->mem.base == ZYDIS_REGISTER_RIP) {
        Address += Frame->Rip + Instruction->Info.length;
    } else if (HalpRegisterNumber(Operand->mem.base) < 16) {
        Address += *HalpRegister(Frame, HalpRegisterNumber(Operand->mem.base));
    }
    if (HalpRegisterNumber(Operand->mem.index) < 16) {
        Address += *HalpRegister(Frame, HalpRegisterNumber(Operand->mem.index)) * Operand->mem.scale;
    }
    return Address;
}

static VOID
HalpInvalidatePage(PKTRAP_FRAME Frame, const HALP_INSTRUCTION *Instruction)
{
    HAL_FLUSH_RANGE Range;

    Range.Start =
        HalpEffectiveAddress(Frame, Instruction, &Instruction->Operands[0]) & ~(ULONG_PTR)(PAGE_SIZE - 1);
    Range.PageCount = 1;
    if (HalpInWindow(Range.Start)) {
        HalFlushTb(&Range, 1, 1ull << HalpCurrent->Number);
    }
}

/* Time is virtual for everybody, the host's libraries included. */
static BOOLEAN
HalpEmulateTime(PKTRAP_FRAME Frame, const HALP_INSTRUCTION *Instruction)
{
    if (Instruction->Info.mnemonic == ZYDIS_MNEMONIC_RDTSCP) {
        Frame->Rcx = HalpCurrent->Number;
    } else if (Instruction->Info.mnemonic != ZYDIS_MNEMONIC_RDTSC) {
        return FALSE;
    }
    HalpSetPair(Frame, HalpReadTsc());
    return TRUE;
}

/* Those without an effect on control flow: the instruction pointer is moved by the caller. */
static BOOLEAN
HalpEmulatePlain(PKTRAP_FRAME Frame, const HALP_INSTRUCTION *Instruction)
{
    switch (Instruction->Info.mnemonic) {
    case ZYDIS_MNEMONIC_CLI:
        HalDisableInterrupts();
        return TRUE;
    case ZYDIS_MNEMONIC_RDMSR:
        return HalpReadMsr(Frame);
    case ZYDIS_MNEMONIC_IN:
        HalpPortIn(Frame, Instruction);
        return TRUE;
    case ZYDIS_MNEMONIC_OUT:
    case ZYDIS_MNEMONIC_WBINVD:
        return TRUE;
    case ZYDIS_MNEMONIC_INSB:
    case ZYDIS_MNEMONIC_INSW:
    case ZYDIS_MNEMONIC_INSD:
        HalpPortString(Frame, Instruction, TRUE);
        return TRUE;
    case ZYDIS_MNEMONIC_OUTSB:
    case ZYDIS_MNEMONIC_OUTSW:
    case ZYDIS_MNEMONIC_OUTSD:
        HalpPortString(Frame, Instruction, FALSE);
        return TRUE;
    case ZYDIS_MNEMONIC_INVLPG:
        HalpInvalidatePage(Frame, Instruction);
        return TRUE;
    default:
        return HalpEmulateTime(Frame, Instruction);
    }
}

static BOOLEAN
HalpFinishTime(PKTRAP_FRAME Frame, const HALP_INSTRUCTION *Instruction)
{
    if (!HalpEmulateTime(Frame, Instruction)) {
        return FALSE;
    }
    Frame->Rip += Instruction->Info.length;
    return TRUE;
}

BOOLEAN
HalpEmulateUser(PKTRAP_FRAME Frame)
{
    HALP_INSTRUCTION Instruction;

    return HalpDecode(Frame->Rip, &Instruction) && HalpFinishTime(Frame, &Instruction);
}

BOOLEAN
HalpEmulate(PKTRAP_FRAME Frame)
{
    HALP_INSTRUCTION Instruction;

    if (!HalpDecode(Frame->Rip, &Instruction)) {
        return FALSE;
    }
    if (!HalpInWindow(Frame->Rip)) {
        return HalpFinishTime(Frame, &Instruction);
    }
    switch (Instruction.Info.mnemonic) {
    case ZYDIS_MNEMONIC_MOV:
        return HalpMoveControl(Frame, &Instruction);
    case ZYDIS_MNEMONIC_STI:
        /* Interrupts may come at once, and switch threads: the frame is complete before. */
        Frame->Rip += Instruction.Info.length;
        HalRestoreInterrupts(TRUE);
        return TRUE;
    case ZYDIS_MNEMONIC_HLT:
        Frame->Rip += Instruction.Info.length;
        HalPause();
        return TRUE;
    default:
        if (!HalpEmulatePlain(Frame, &Instruction)) {
            return FALSE;
        }
        Frame->Rip += Instruction.Info.length;
        return TRUE;
    }
}

/*
 * Software interrupts that kernel code uses and Windows has gates for: fast fail, assertion, debug
 * service.
 */
ULONG
HalpSoftwareInterruptVector(PKTRAP_FRAME Frame)
{
    HALP_INSTRUCTION Instruction;
    ULONG Vector;

    if (!HalpDecode(Frame->Rip, &Instruction) || Instruction.Info.mnemonic != ZYDIS_MNEMONIC_INT ||
        Instruction.Info.length != 2) {
        return 0;
    }
    Vector = Instruction.Bytes[1];
    return Vector == 0x29 || Vector == 0x2C || Vector == 0x2D ? Vector : 0;
}
