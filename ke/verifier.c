/*
 * The verifier's part in the dispatcher: its switch, its stop, and what happens when an image comes to
 * DISPATCH_LEVEL or above.
 *
 * An image gets there by raising IRQL, by taking a spin lock, or by being called there. Pageable memory must not
 * be touched from then on, and to make a touch certain to be noticed what is resident of it is put into
 * transition first (mm/pte/softtrim.c). The trim waits for other processors, so it is done at DISPATCH_LEVEL
 * exactly, before a higher level is set and before a lock is taken. Document: "Force IRQL Checking".
 */
#include "kep.h"

BOOLEAN KiVerifierOn = TRUE;
volatile ULONG KiPageableTables;
VOID (*KiTrimPageable)(VOID);

VOID
KiTrimForImage(VOID)
{
    if (KiVerifierOn && KiTrimPageable != NULL && HalGetIrql() == DISPATCH_LEVEL) {
        KiTrimPageable();
    }
}

VOID DECLSPEC_NORETURN
KiVerifierStop(ULONG64 Rule, ULONG64 P2, ULONG64 P3, ULONG64 P4)
{
    KeBugCheckEx(DRIVER_VERIFIER_DETECTED_VIOLATION, Rule, P2, P3, P4);
}
