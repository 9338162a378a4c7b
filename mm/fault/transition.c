/*
 * Soft fault: the page is still in its frame, on the standby or modified list, or on its way there.
 *
 * R1: an entry in transition form belongs to its frame's PFN bit, because the frame may be repurposed by
 * somebody who holds that bit and not the table's lock (R2), and the entry then has its original form again.
 * So the entry is read once more under the bit. A page that was modified keeps its Dirty bit: its contents
 * are nowhere else.
 */
#include "fault.h"

MI_FAULT_RESULT
MiFaultTransition(PMI_FAULT Fault)
{
    PMMPTE Pte = Fault->Walk.Pte;
    MMPTE Transition = Fault->Walk.Value;
    PFN_NUMBER Frame = MiGetPteFrame(Transition);
    MI_PROTECTION Protection = MiGetSoftwareProtection(Transition);
    MI_FAULT_RESULT Result = MiFaultAgain;

    MiLockPfn(Frame);
    if (!MiPteEqual(MiReadPte(Pte), Transition)) {
        goto Unlock;
    }
    MI_ASSERT(MiFramePte(Frame) == Pte);
    if (!MiUnlinkTransitionFrame(Frame)) {
        Result = MiFaultNoMemory;
        goto Unlock;
    }
    MiWritePte(Pte, MiMakeFaultPte(Fault, Frame, Protection, MiFaultIsWrite(Fault) || MiFrameIsModified(Frame)));
    MiCountFault(MiFaultsTransition);
    Result = MiFaultResolved;

Unlock:
    MiUnlockPfn(Frame);
    return Result;
}
