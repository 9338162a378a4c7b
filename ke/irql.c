/*
 * IRQL: the public routines that raise and lower it.
 *
 * The level itself is the machine's. A request in the wrong direction, or above HIGH_LEVEL, is what
 * Driver Verifier stops for: bug check 0xC4 with 0x30 (raise) or 0x31 (lower), the current and the
 * requested level. Each change is a point where the hosted scheduler may choose. Who arrives at DISPATCH_LEVEL loses
 * sight of pageable memory (verifier.c).
 */
#include "kep.h"
#include <ntexport.h>

/* The current level. Any IRQL. */
KIRQL NTAPI
KeGetCurrentIrql(VOID)
{
    return HalGetIrql();
}
NTEXPORT(KeGetCurrentIrql);

/* Raise to NewIrql, which must not be below the current level; returns the old level. Any IRQL. */
KIRQL NTAPI
KfRaiseIrql(KIRQL NewIrql)
{
    KIRQL OldIrql = HalGetIrql();

    if (NewIrql < OldIrql || NewIrql > HIGH_LEVEL) {
        KiVerifierStop(0x30, OldIrql, NewIrql, 0);
    }
    HalChoicePoint(HalChoiceIrql);
    if (OldIrql < DISPATCH_LEVEL && NewIrql >= DISPATCH_LEVEL) {
        HalSetIrql(DISPATCH_LEVEL);
        KiImageAtDispatch();
    }
    HalSetIrql(NewIrql);
    return OldIrql;
}
NTEXPORT(KfRaiseIrql);

/* Lower to NewIrql, which must not be above the current level. Waiting software interrupts are taken. Any IRQL. */
VOID NTAPI
KeLowerIrql(KIRQL NewIrql)
{
    KIRQL OldIrql = HalGetIrql();

    if (NewIrql > OldIrql) {
        KiVerifierStop(0x31, OldIrql, NewIrql, 0);
    }
    if (OldIrql >= DISPATCH_LEVEL && NewIrql < DISPATCH_LEVEL && KeGetPcr()->DpcRoutineActive) {
        KiVerifierStop(0x31, OldIrql, NewIrql, 1);
    }
    HalLowerIrql(NewIrql);
    HalChoicePoint(HalChoiceIrql);
}
NTEXPORT(KeLowerIrql);
NTEXPORT_AS("KfLowerIrql", KeLowerIrql);

/* Raise to DISPATCH_LEVEL; returns the old level. IRQL <= DISPATCH_LEVEL. */
KIRQL NTAPI
KeRaiseIrqlToDpcLevel(VOID)
{
    return KfRaiseIrql(DISPATCH_LEVEL);
}
NTEXPORT(KeRaiseIrqlToDpcLevel);

/* Raise to the level that keeps other threads of this processor away; here that is DISPATCH_LEVEL. */
KIRQL NTAPI
KeRaiseIrqlToSynchLevel(VOID)
{
    return KfRaiseIrql(DISPATCH_LEVEL);
}
NTEXPORT(KeRaiseIrqlToSynchLevel);
