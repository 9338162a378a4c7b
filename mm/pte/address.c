/*
 * Questions about addresses that drivers may ask at any IRQL. Every answer is a snapshot: it can be stale at
 * once unless the page is locked or nonpageable, as the documents warn. Nothing here faults.
 */
#include <ntexport.h>
#include "ptep.h"

/* TRUE if a read of the address would not fault now. FALSE for a page in transition. */
BOOLEAN NTAPI
MmIsAddressValid(PVOID VirtualAddress)
{
    return MiTranslate(VirtualAddress, NULL) != MI_NO_FRAME;
}
NTEXPORT(MmIsAddressValid);

/* The physical address behind a valid address; 0 if it is not resident. */
PHYSICAL_ADDRESS NTAPI
MmGetPhysicalAddress(PVOID BaseAddress)
{
    PFN_NUMBER Frame = MiTranslate(BaseAddress, NULL);
    PHYSICAL_ADDRESS Physical = {.QuadPart = 0};

    if (Frame != MI_NO_FRAME) {
        Physical.QuadPart = (LONGLONG)((Frame << PAGE_SHIFT) | ((ULONG_PTR)BaseAddress & (PAGE_SIZE - 1)));
    }
    return Physical;
}
NTEXPORT(MmGetPhysicalAddress);

/*
 * One address at which the page is mapped: that of the entry its record names, if it has one, else the page's
 * place in the direct map. NULL for what is not RAM.
 */
PVOID NTAPI
MmGetVirtualForPhysical(PHYSICAL_ADDRESS PhysicalAddress)
{
    PFN_NUMBER Frame = (PFN_NUMBER)PhysicalAddress.QuadPart >> PAGE_SHIFT;
    ULONG_PTR Offset = (ULONG_PTR)PhysicalAddress.QuadPart & (PAGE_SIZE - 1);
    PMMPTE Pte;

    if (!MiIsRamFrame(Frame)) {
        return NULL;
    }
    Pte = MiFramePte(Frame);
    if (Pte != NULL && !MiFrameIsPageTable(Frame) && MiPteIsValid(MiReadPte(Pte)) &&
        MiGetPteFrame(MiReadPte(Pte)) == Frame) {
        return (PVOID)(MiPteAddressVa(Pte) + Offset);
    }
    return (PVOID)((ULONG_PTR)HalFrameAddress(Frame) + Offset);
}
NTEXPORT(MmGetVirtualForPhysical);

/* TRUE if the address is valid and in nonpageable system memory. */
BOOLEAN NTAPI
MmIsNonPagedSystemAddressValid(PVOID VirtualAddress)
{
    ULONG_PTR Va = (ULONG_PTR)VirtualAddress;
    MI_WALK Walk;

    if (Va < KiLoaderBlock->UserEnd) {
        return FALSE;
    }
    MiWalkSnapshot(MiSystemRootFrame, Va, &Walk);
    if (!MiPteIsValid(Walk.Value)) {
        return FALSE;
    }
    return Walk.Level != MiLevelPte || !MiFrameOwnsPte(MiGetPteFrame(Walk.Value), Walk.Pte);
}
NTEXPORT(MmIsNonPagedSystemAddressValid);
