/*
 * Stacks that are not in use: what switch.S leaves on them, and how a new one is made to look like that.
 * Shared by the x64 machines; private to them.
 */
#ifndef HAL_X64_SWITCH_H
#define HAL_X64_SWITCH_H

#include <hal/hal.h>

#define HALP_DEFAULT_MXCSR 0x1F80u
#define HALP_DEFAULT_FCW   0x027Fu

/* What HalpSwitch leaves on a stack. */
typedef struct _HALP_SWITCH_FRAME {
    ULONG64 Xmm[20];
    ULONG MxCsr;
    ULONG ControlWord;
    ULONG64 R15, R14, R13, R12, Rbx, Rbp;
    ULONG64 Rip;
} HALP_SWITCH_FRAME, *PHALP_SWITCH_FRAME;

_Static_assert(sizeof(HALP_SWITCH_FRAME) == 168 + 6 * 8 + 8, "as switch.S pushes it");

/* Leave this stack with its pointer in *Saved; return when somebody switches to that. */
VOID HalpSwitch(PVOID *Saved, PVOID Next);
VOID HalpThreadStart(VOID);
VOID HalpCallOn(PVOID StackTop, VOID (*Routine)(PVOID), PVOID Context);

/* Each machine's own: the first C code on a new stack. */
VOID DECLSPEC_NORETURN HalpThreadMain(VOID (*Entry)(PVOID), PVOID Context);

/* A pointer for HalpSwitch: the first switch to it calls HalpThreadMain(Entry, Context). The page below Base
 * is writable. */
static inline PVOID
HalpMakeSwitchFrame(ULONG_PTR Base, VOID (*Entry)(PVOID), PVOID Context)
{
    PHALP_SWITCH_FRAME Frame;
    ULONG Index;

    Frame = (PHALP_SWITCH_FRAME)((Base & ~15ull) - sizeof(HALP_SWITCH_FRAME));
    for (Index = 0; Index < RTL_NUMBER_OF(Frame->Xmm); Index += 1) {
        Frame->Xmm[Index] = 0;
    }
    Frame->MxCsr = HALP_DEFAULT_MXCSR;
    Frame->ControlWord = HALP_DEFAULT_FCW;
    Frame->R15 = 0;
    Frame->R14 = 0;
    Frame->R13 = (ULONG_PTR)Context;
    Frame->R12 = (ULONG_PTR)Entry;
    Frame->Rbx = 0;
    Frame->Rbp = 0;
    Frame->Rip = (ULONG_PTR)HalpThreadStart;
    return Frame;
}

#endif
