/*
 * First touch of a demand-zero page, and where its frame comes from.
 *
 * The frame is got and cleared before the table is locked (R4) and installed if the entry is still as it was;
 * a fault that lost the race gives it back. Use and protection are in the entry, so nothing else is looked
 * up. Commit was charged when the range was made.
 *
 * When there is no frame although commit said there would be, the memory is in pages that somebody must write
 * out or give up first. The fault then waits, in steps of 10 ms, as often as MI_FRAME_WAITS says; others run
 * meanwhile and may free theirs. If none comes, the core asking for itself (no trap frame) gets
 * STATUS_NO_MEMORY; an interrupted instruction has nobody to tell, and the documented end is bug check 0x4D,
 * NO_PAGES_AVAILABLE.
 */
#include "fault.h"

#define MI_FRAME_WAITS      100
#define MI_FRAME_WAIT_UNITS 100000 /* 10 ms, in 100 ns */

static DECLSPEC_NORETURN VOID
MipNoPagesAvailable(PKTRAP_FRAME TrapFrame)
{
    MI_PAGE_COUNTS Counts;

    MiQueryPageCounts(&Counts);
    KiBugCheckTrap(TrapFrame, NO_PAGES_AVAILABLE, Counts.Modified + Counts.ModifiedNoWrite, Counts.Modified,
                   MiAvailablePages(), (ULONG64)STATUS_SUCCESS);
}

BOOLEAN
MiPrepareZeroFrame(PMI_FAULT Fault)
{
    LARGE_INTEGER Interval = {.QuadPart = -MI_FRAME_WAIT_UNITS};
    ULONG Waits = 0;

    if (Fault->ZeroFrame != MI_NO_FRAME) {
        MiFreeFrame(Fault->ZeroFrame); /* got for another use, before the entry changed */
        Fault->ZeroFrame = MI_NO_FRAME;
    }
    for (;;) {
        Fault->ZeroFrame = MiGetFrame(MI_GET_ZEROED, PcrRead32(Node), Fault->ZeroUse);
        if (Fault->ZeroFrame != MI_NO_FRAME) {
            return TRUE;
        }
        if (Waits == MI_FRAME_WAITS || KiCurrentThread()->Idle) {
            break;
        }
        Waits += 1;
        KeDelayExecutionThread(KernelMode, FALSE, &Interval);
    }
    if (Fault->TrapFrame != NULL) {
        MipNoPagesAvailable(Fault->TrapFrame);
    }
    return FALSE;
}

MI_FAULT_RESULT
MiFaultDemandZero(PMI_FAULT Fault)
{
    MMPTE Original = Fault->Walk.Value;
    MI_PAGE_USE Use = MiGetDemandZeroUse(Original);
    MI_PROTECTION Protection = MiGetSoftwareProtection(Original);
    PFN_NUMBER Frame = Fault->ZeroFrame;

    if (Frame == MI_NO_FRAME || Fault->ZeroUse != Use) {
        Fault->ZeroUse = Use;
        return MiFaultNeedsFrame;
    }
    Fault->ZeroFrame = MI_NO_FRAME;
    MiInitializePfn(Frame, Fault->Walk.Pte, Original);
    MiWritePte(Fault->Walk.Pte, MiMakeFaultPte(Fault, Frame, Protection, MiFaultIsWrite(Fault)));
    MiCountFault(MiFaultsDemandZero);
    return MiFaultResolved;
}
