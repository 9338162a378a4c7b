/* Physical ranges and charges, as the routines that hand out frames share them. */
#include "mdlp.h"

BOOLEAN
MiFrameWindow(PHYSICAL_ADDRESS Low, PHYSICAL_ADDRESS High, PMI_FRAME_WINDOW Window)
{
    ULONG64 First = (ULONG64)Low.QuadPart, Last = (ULONG64)High.QuadPart;

    Window->Lowest = (First >> PAGE_SHIFT) + ((First & (PAGE_SIZE - 1)) != 0);
    Window->Highest = Last >> PAGE_SHIFT;
    if ((Last & (PAGE_SIZE - 1)) != PAGE_SIZE - 1) {
        if (Window->Highest == 0) {
            return FALSE;
        }
        Window->Highest -= 1;
    }
    return Window->Lowest <= Window->Highest;
}

BOOLEAN
MiChargeNonpaged(SIZE_T PageCount)
{
    if (!MiChargeCommit(PageCount)) {
        return FALSE;
    }
    if (!MiChargeResidentAvailable(PageCount)) {
        MiReturnCommit(PageCount);
        return FALSE;
    }
    return TRUE;
}

VOID
MiReturnNonpaged(SIZE_T PageCount)
{
    MiReturnResidentAvailable(PageCount);
    MiReturnCommit(PageCount);
}
