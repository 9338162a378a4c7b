/*
 * APC-disable regions.
 *
 * No APC is ever delivered to a thread here, so the regions are what is left of them: two counts per thread,
 * zero outside every region and one lower for each entered, which KeAreApcsDisabled reports, mutexes take
 * part in, and which must be back at zero where a thread ends (bug check 0x20) or a DPC returns (0xC7).
 */
#include "kep.h"
#include <ntexport.h>

/* Enter a region without normal kernel APCs; nests. IRQL <= APC_LEVEL. */
VOID NTAPI
KeEnterCriticalRegion(VOID)
{
    KiCurrentThread()->KernelApcDisable -= 1;
}
NTEXPORT(KeEnterCriticalRegion);

/* Leave the region entered last; bug check 0xC4 (0x3E) if there is none. IRQL <= APC_LEVEL. */
VOID NTAPI
KeLeaveCriticalRegion(VOID)
{
    struct _KTHREAD *Thread = KiCurrentThread();

    if (Thread->KernelApcDisable >= 0) {
        KiVerifierStop(0x3E, 0, 0, 0);
    }
    Thread->KernelApcDisable += 1;
}
NTEXPORT(KeLeaveCriticalRegion);

/* Enter a region without any APCs; nests. IRQL <= APC_LEVEL. */
VOID NTAPI
KeEnterGuardedRegion(VOID)
{
    KiCurrentThread()->SpecialApcDisable -= 1;
}
NTEXPORT(KeEnterGuardedRegion);

/* Leave it; bug check 0xC4 (0x3E) if there is none. IRQL <= APC_LEVEL. */
VOID NTAPI
KeLeaveGuardedRegion(VOID)
{
    struct _KTHREAD *Thread = KiCurrentThread();

    if (Thread->SpecialApcDisable >= 0) {
        KiVerifierStop(0x3E, 0, 0, 0);
    }
    Thread->SpecialApcDisable += 1;
}
NTEXPORT(KeLeaveGuardedRegion);

/* TRUE if normal kernel APCs would not reach the current thread. Any IRQL. */
BOOLEAN NTAPI
KeAreApcsDisabled(VOID)
{
    struct _KTHREAD *Thread = KiCurrentThread();

    return Thread->KernelApcDisable != 0 || Thread->SpecialApcDisable != 0 || HalGetIrql() >= APC_LEVEL;
}
NTEXPORT(KeAreApcsDisabled);

/* TRUE if no APC would. Any IRQL. */
BOOLEAN NTAPI
KeAreAllApcsDisabled(VOID)
{
    return KiCurrentThread()->SpecialApcDisable != 0 || HalGetIrql() >= APC_LEVEL;
}
NTEXPORT(KeAreAllApcsDisabled);
