/*
 * irqlwatch.c - an image's own changes of the IRQL.
 *
 * Drivers change it by calls, and by the instruction that headers inline for KeRaiseIrql and KeLowerIrql, mov cr8, reg. The
 * processor cannot be told to trap that in ring 0, and the verifier has something to do when an image comes to
 * DISPATCH_LEVEL. So before an image runs, each of these instructions in its code, four bytes long, becomes an interrupt of
 * a vector of ours, followed by the number of the register; here the call is made that the hosted machine makes when it
 * decodes the instruction. Bytes are looked for, not instructions: 44 0F 22 C0 and its fifteen relatives inside of another
 * instruction would be changed too, which no compiler's output is known to have. Owns no state.
 */
#include "halp.h"
#include <hal/irqlwatch.h>

#define HALP_WATCH_BYTES 4

/* A REX prefix whose R bit makes the control register 8; B chooses among the upper registers, W means nothing here. */
static BOOLEAN
HalpSetsCr8(const UCHAR *Code)
{
    return (Code[0] & 0xF6) == 0x44 && Code[1] == 0x0F && Code[2] == 0x22 && (Code[3] & 0xF8) == 0xC0;
}

VOID
HalWatchIrql(PVOID Code, SIZE_T Size)
{
    PUCHAR Byte;
    PUCHAR End;

    End = (PUCHAR)Code + Size;
    for (Byte = Code; End - Byte >= HALP_WATCH_BYTES; Byte += 1) {
        if (HalpSetsCr8(Byte)) {
            Byte[2] = (UCHAR)((Byte[3] & 7) | (Byte[0] & 1) << 3);
            Byte[0] = 0xCD;
            Byte[1] = HALP_VECTOR_WATCH;
            Byte[3] = 0x90;
            Byte += HALP_WATCH_BYTES - 1;
        }
    }
}

/* A register of the interrupted code, by its number in instructions. */
static ULONG64
HalpFrameRegister(PKTRAP_FRAME TrapFrame, ULONG Number)
{
    const ULONG64 Registers[16] = {
        TrapFrame->Rax, TrapFrame->Rcx,    TrapFrame->Rdx,    TrapFrame->Rbx,    TrapFrame->Rsp,    TrapFrame->Rbp,
        TrapFrame->Rsi, TrapFrame->Rdi,    TrapFrame->R8,     TrapFrame->R9,     TrapFrame->R10,    TrapFrame->R11,
        TrapFrame->P1Home, TrapFrame->P2Home, TrapFrame->P3Home, TrapFrame->P4Home,
    };

    return Registers[Number & 15];
}

/* A level that does not exist is a protection fault, as of the instruction itself. */
VOID
HalpWatchedIrql(PKTRAP_FRAME TrapFrame)
{
    ULONG64 Irql;

    Irql = HalpFrameRegister(TrapFrame, *(const UCHAR *)TrapFrame->Rip);
    if (Irql > HIGH_LEVEL) {
        TrapFrame->Rip -= 2;
        KiTrap(TrapFrame, 13, 0);
        return;
    }
    TrapFrame->Rip += 2;
    if (Irql > HalGetIrql()) {
        KfRaiseIrql((KIRQL)Irql);
    } else if (Irql < HalGetIrql()) {
        KeLowerIrql((KIRQL)Irql);
    }
}
