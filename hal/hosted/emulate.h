/*
 * emulate.h - decoded instructions, as emulate.c and shared.c pass them around.
 */
#ifndef HAL_HOSTED_EMULATE_H
#define HAL_HOSTED_EMULATE_H

#include "halp.h"

#include <Zydis/Zydis.h>

typedef struct _HALP_INSTRUCTION {
    ZydisDecodedInstruction Info;
    ZydisDecodedOperand Operands[ZYDIS_MAX_OPERAND_COUNT];
    UCHAR Bytes[ZYDIS_MAX_INSTRUCTION_LENGTH];
} HALP_INSTRUCTION, *PHALP_INSTRUCTION;

/* Read and decode the instruction at Rip, touching no page it does not lie on. */
BOOLEAN HalpDecode(ULONG_PTR Rip, PHALP_INSTRUCTION Instruction);
/* Where the frame keeps a general register, by its number in an instruction. */
PULONG64 HalpRegister(PKTRAP_FRAME Frame, ULONG Number);
/* The number of the general register that contains Register, 16 if none does. */
ULONG HalpRegisterNumber(ZydisRegister Register);
/* Store a result of 8, 16, 32 or 64 bits in a register as an instruction does. */
VOID HalpStoreRegister(PULONG64 Register, ULONG64 Value, ULONG Bits);
/* The address a memory operand names. */
ULONG_PTR HalpEffectiveAddress(PKTRAP_FRAME Frame, const HALP_INSTRUCTION *Instruction,
                               const ZydisDecodedOperand *Operand);
/* Memory for the copies of instructions that shared.c runs. */
VOID HalpInitializeThunks(VOID);

#endif
