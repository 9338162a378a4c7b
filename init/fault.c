/*
 * Telling faults apart that stop the machine: what the trap handler asks through KiClassifyFault. Memory that once was
 * special pool or a driver, and driver sections that may be paged, have bug checks of their own.
 */
#include "init.h"
#include <ex/slist.h>
#include <mm/pool/pool.h>

static KI_FAULT_KIND
InitpClassifyFault(PKTRAP_FRAME TrapFrame, ULONG64 Address)
{
    PLDR_MODULE Module;

    if (ExpRecoverSListFault(&TrapFrame->Rip)) {
        return KiFaultRetry;
    }
    switch (MiClassifySpecialPoolFault((PVOID)Address)) {
    case MiSpecialPoolFreed:
        return KiFaultFreedSpecialPool;
    case MiSpecialPoolBeyond:
        return KiFaultBeyondSpecialPool;
    case MiNotSpecialPool:
        break;
    }
    Module = LdrFindModule((PVOID)Address);
    if (Module == NULL) {
        return KiFaultOther;
    }
    if (Module->State == LdrModuleUnloaded) {
        return KiFaultUnloadedDriver;
    }
    return LdrIsPageable(Module, (PVOID)Address) ? KiFaultPageableDriver : KiFaultOther;
}

VOID
InitRegisterFaults(VOID)
{
    KiClassifyFault = InitpClassifyFault;
    KiDescribeBugCheck = MiDescribePoolStop;
}
