/* Where the current stack lies. Documents: IoGetStackLimits, "Using the Kernel Stack". */
#include "stack.h"
#include <ntexport.h>

/* Bounds of the segment in use: an expanded stack's, not the thread's first, inside a callout. Any IRQL. */
VOID NTAPI
IoGetStackLimits(PULONG_PTR LowLimit, PULONG_PTR HighLimit)
{
    *LowLimit = KiCurrentThread()->Stack.Limit;
    *HighLimit = KiCurrentThread()->Stack.Base;
}
NTEXPORT(IoGetStackLimits);

/* The base of the stack that the thread began on. <= APC_LEVEL. */
PVOID NTAPI
IoGetInitialStack(VOID)
{
    const KI_STACK_SEGMENT *Segment = &KiCurrentThread()->Stack;

    while (Segment->Previous != NULL) {
        Segment = Segment->Previous;
    }
    return (PVOID)Segment->Base;
}
NTEXPORT(IoGetInitialStack);

/* TRUE if the range lies in the segment in use. Any IRQL. */
ULONG NTAPI
IoWithinStackLimits(ULONG_PTR RegionStart, SIZE_T RegionSize)
{
    const KI_STACK_SEGMENT *Segment = &KiCurrentThread()->Stack;

    return RegionStart >= Segment->Limit && RegionStart <= Segment->Base &&
           RegionSize <= Segment->Base - RegionStart;
}
NTEXPORT(IoWithinStackLimits);

/* First byte above the segment in use, and its lowest. Any IRQL. */
PVOID NTAPI
PsGetCurrentThreadStackBase(VOID)
{
    return (PVOID)KiCurrentThread()->Stack.Base;
}
NTEXPORT(PsGetCurrentThreadStackBase);

PVOID NTAPI
PsGetCurrentThreadStackLimit(VOID)
{
    return (PVOID)KiCurrentThread()->Stack.Limit;
}
NTEXPORT(PsGetCurrentThreadStackLimit);
