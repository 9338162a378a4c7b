/*
 * stack.c - stacks: preparing, switching, calling on another.
 *
 * Owns nothing: the bounds of the stack in use are kept by ke/ in the KPCR. An interrupt or a fault is served
 * on the stack in use, whatever it is; one that has run into its guard page ends in the double fault, which
 * has a stack of its own. Callers run where the thread keeps its processor.
 */
#include "halp.h"
#include <hal/x64/switch.h>

/* Any IRQL. */
PVOID
HalPrepareStack(ULONG_PTR Limit, ULONG_PTR Base, VOID (*Entry)(PVOID), PVOID Context)
{
    (void)Limit;
    return HalpMakeSwitchFrame(Base, Entry, Context);
}

VOID DECLSPEC_NORETURN
HalpThreadMain(VOID (*Entry)(PVOID), PVOID Context)
{
    Entry(Context);
    HalpInternal("a thread's entry returned", NULL);
}

VOID
HalSwitchStack(PVOID *Saved, PVOID Next, ULONG_PTR Limit, ULONG_PTR Base)
{
    (void)Limit;
    (void)Base;
    HalpSwitch(Saved, Next);
}

/* Any IRQL; the pages must be valid. */
VOID
HalCallOnStack(ULONG_PTR Limit, ULONG_PTR Base, VOID (*Routine)(PVOID), PVOID Context)
{
    (void)Limit;
    HalpCallOn((PVOID)(Base & ~15ull), Routine, Context);
}
