/*
 * MmAccessFault: what the page tables did not allow. A short dispatcher: lock the table that holds the entry,
 * judge the entry once, and let the kind that its form names resolve it.
 *
 *      entry                       kind                                         file
 *      valid, allows the access    spurious: flush this processor's copy        here
 *      valid, does not             access violation                             here
 *      demand-zero                 zeroed frame, valid entry                    demandzero.c
 *      transition                  off its list, valid entry                    transition.c
 *      zero, no table, no rights   access violation                             here
 *      user address: zero, no table, guard, watched         its region says     user.c
 *
 * Rights are judged at valid entries only. A page that is absent is made valid for whoever may touch it at
 * all, and the retried access meets the entry's own bits: so a write to a read-only page is always reported
 * by the processor as a protection fault, whatever state the page was in.
 *
 * Two processors that fault on one page meet at the table's lock; the second finds a valid entry and is
 * spurious. The same answer repairs a processor that still holds an older, weaker translation.
 *
 * Called at IRQL < DISPATCH_LEVEL (the trap handler has checked), with no spin lock held. Locks: the table's,
 * then the PFN bit. Nothing is held while a frame is zeroed or memory is waited for: afterwards the fault
 * starts again (R4).
 */
#include "fault.h"

static ULONG64 MipFaultCounts[MiFaultsMaximum]; /* (A) */

VOID
MiCountFault(MI_FAULT_COUNTER Counter)
{
    __atomic_fetch_add(&MipFaultCounts[Counter], 1, __ATOMIC_RELAXED);
}

VOID
MiQueryFaults(PULONG64 Total, PULONG64 DemandZero, PULONG64 Transition)
{
    *Total = __atomic_load_n(&MipFaultCounts[MiFaultsTotal], __ATOMIC_RELAXED);
    *DemandZero = __atomic_load_n(&MipFaultCounts[MiFaultsDemandZero], __ATOMIC_RELAXED);
    *Transition = __atomic_load_n(&MipFaultCounts[MiFaultsTransition], __ATOMIC_RELAXED);
}

static MI_FAULT_RESULT
MipJudgeValid(PMI_FAULT Fault)
{
    if (!MiEntryAllows(Fault->Walk.Value, Fault->ErrorCode)) {
        return Fault->Space != NULL && Fault->Space->Watched != 0 ? MiFaultNeedsVad : MiFaultViolation;
    }
    MiFlushLocal(Fault->Va);
    return MiFaultResolved;
}

/* Does the entry of a user address leave something to its region? */
static BOOLEAN
MipRegionDecides(PMI_ADDRESS_SPACE Space, MMPTE Pte)
{
    return Space != NULL &&
           (MiPteIsZero(Pte) || Space->Watched != 0 || MiProtectionIsGuard(MiGetSoftwareProtection(Pte)));
}

/* An entry of a last-level table, locked. */
static MI_FAULT_RESULT
MipDispatchLocked(PMI_FAULT Fault)
{
    MMPTE Pte = Fault->Walk.Value;
    MI_PROTECTION Protection;

    if (MiPteIsValid(Pte)) {
        return MipJudgeValid(Fault);
    }
    if (MipRegionDecides(Fault->Space, Pte)) {
        return MiFaultNeedsVad;
    }
    Protection = MiGetSoftwareProtection(Pte);
    if (MiProtectionIsNoAccess(Protection) || MiProtectionIsGuard(Protection)) {
        return MiFaultViolation;
    }
    if (MiPteIsDemandZero(Pte)) {
        return MiFaultDemandZero(Fault);
    }
    if (MiPteIsTransition(Pte)) {
        return MiFaultTransition(Fault);
    }
    return MiFaultViolation;
}

/* One look at the entry. */
static MI_FAULT_RESULT
MipTryFault(PMI_FAULT Fault)
{
    KIRQL OldIrql = KiRaiseIrqlToDispatch();
    MI_FAULT_RESULT Result;

    if (MiLockPte(Fault->RootFrame, Fault->Va, &Fault->Walk)) {
        Result = MipDispatchLocked(Fault);
        if (Result == MiFaultResolved && !MiPteIsValid(Fault->Walk.Value) &&
            Fault->RootFrame == MiSystemRootFrame) {
            MiNotePageable(&Fault->Walk, Fault->Va);
        }
        MiUnlockPte(&Fault->Walk);
    } else if (MiPteIsValid(Fault->Walk.Value)) {
        Result = MipJudgeValid(Fault);
    } else {
        Result = Fault->Space != NULL ? MiFaultNeedsVad : MiFaultViolation;
    }
    KiLowerIrql(OldIrql);
    return Result;
}

static MI_FAULT_RESULT
MipResolve(PMI_FAULT Fault)
{
    for (;;) {
        MI_FAULT_RESULT Result = MipTryFault(Fault);

        if (Result == MiFaultNeedsVad) {
            Result = MiFaultByVad(Fault);
        }
        switch (Result) {
        case MiFaultAgain:
            continue;
        case MiFaultNeedsFrame:
            if (!MiPrepareZeroFrame(Fault)) {
                return MiFaultNoMemory;
            }
            continue;
        default:
            return Result;
        }
    }
}

/*
 * A fault outside the regions of system space and user space: the machine's permanent mappings, which a stale
 * translation can at most touch.
 */
static NTSTATUS
MipFaultOutside(ULONG_PTR Va, ULONG ErrorCode)
{
    MI_WALK Walk;

    MiWalkSnapshot(MiRootOf(Va), Va, &Walk);
    if (!MiPteIsValid(Walk.Value) || !MiEntryAllows(Walk.Value, ErrorCode)) {
        return STATUS_ACCESS_VIOLATION;
    }
    MiFlushLocal(Va);
    return STATUS_SUCCESS;
}

NTSTATUS
MmAccessFault(ULONG ErrorCode, PVOID Address, KPROCESSOR_MODE Mode, PKTRAP_FRAME TrapFrame)
{
    MI_FAULT Fault = {.Va = (ULONG_PTR)Address,
                      .ErrorCode = ErrorCode,
                      .TrapFrame = TrapFrame,
                      .RootFrame = MiSystemRootFrame,
                      .ZeroFrame = MI_NO_FRAME};
    MI_SYSTEM_REGION Region;
    MI_FAULT_RESULT Result;

    MI_ASSERT(HalGetIrql() < DISPATCH_LEVEL);
    HalChoicePoint(HalChoiceFault);
    MiCountFault(MiFaultsTotal);
    if (Mode == UserMode) {
        Fault.ErrorCode |= MI_FAULT_USER;
    }
    if (Fault.Va < KiLoaderBlock->UserEnd) {
        Fault.Space = MiCurrentSpace();
        if (Fault.Space == NULL) {
            return STATUS_ACCESS_VIOLATION;
        }
        Fault.RootFrame = Fault.Space->RootFrame;
        __atomic_fetch_add(&Fault.Space->Faults, 1, __ATOMIC_RELAXED);
    } else if (!MiRegionOf(Address, &Region)) {
        return MipFaultOutside(Fault.Va, Fault.ErrorCode);
    } else if (Mode == UserMode) {
        return STATUS_ACCESS_VIOLATION;
    }
    Result = MipResolve(&Fault);
    if (Fault.ZeroFrame != MI_NO_FRAME) {
        MiFreeFrame(Fault.ZeroFrame);
    }
    switch (Result) {
    case MiFaultResolved:
        return STATUS_SUCCESS;
    case MiFaultGuard:
        return MiGrowUserStack(Fault.Va);
    case MiFaultNoMemory:
        return STATUS_NO_MEMORY;
    default:
        return STATUS_ACCESS_VIOLATION;
    }
}
