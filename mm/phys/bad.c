/*
 * Bad pages: frames that must not be used. A page that can be had now goes to the bad list at once;
 * one in use is marked, and goes there instead of to the free list when its owner gives it up.
 *
 * Commit limit and resident available follow. <= APC_LEVEL for the public routines.
 */
#include "physp.h"

#include <ntexport.h>

/* An owned frame leaves service. Nobody refers to it; DISPATCH_LEVEL. */
VOID
MipRetireFrame(PFN_NUMBER Frame)
{
    MipResetWhere(MiPfn(Frame), 0);
    MipInsertPage(Frame, MiLocationBad, ~MI_PFN_LOCK);
    MipSubtractUsablePages(1);
}

/*
 * The same if the frame is still marked: under the PFN lock, because the mark may be taken back at
 * the same time, and then it stays in service.
 */
BOOLEAN
MipRetireIfRequested(PFN_NUMBER Frame)
{
    BOOLEAN Retire;

    MiLockPfn(Frame);
    Retire = (MiPfnState(Frame) & MI_PFN_REMOVE_REQUESTED) != 0;
    if (Retire) {
        MipRetireFrame(Frame);
    }
    MiUnlockPfn(Frame);
    return Retire;
}

/* Mark a page in use; FALSE if it is not (any more). */
static BOOLEAN
MipRequestRemoval(PFN_NUMBER Frame, ULONG64 State)
{
    switch (MiStateLocation(State)) {
    case MiLocationActive:
    case MiLocationTransition:
    case MiLocationModified:
    case MiLocationModifiedNoWrite:
        return __atomic_compare_exchange_n(&MiPfn(Frame)->State, &State,
                                           State | MI_PFN_REMOVE_REQUESTED, FALSE, __ATOMIC_ACQ_REL,
                                           __ATOMIC_RELAXED);
    default:
        return FALSE;
    }
}

/* TRUE if the frame is bad now, FALSE if it is no RAM or will be bad later. DISPATCH_LEVEL. */
static BOOLEAN
MipMarkFrameBad(PFN_NUMBER Frame)
{
    BOOLEAN Zeroed;

    if (!MiEnsureFrameRecord(Frame)) {
        return FALSE;
    }
    for (;;) {
        ULONG64 State = MiPfnState(Frame);

        switch (MiStateLocation(State)) {
        case MiLocationBad:
            return TRUE;
        case MiLocationAbsent:
            return FALSE;
        case MiLocationCachedFree:
        case MiLocationCachedZeroed:
            MiDrainPageCaches();
            break;
        default:
            if (MipClaimFrame(Frame, TRUE, &Zeroed)) {
                __atomic_fetch_sub(&MiListedPages, 1, __ATOMIC_RELAXED);
                MipRetireFrame(Frame);
                return TRUE;
            }
            if (MipRequestRemoval(Frame, State)) {
                return FALSE;
            }
            break;
        }
        HalPause();
    }
}

/* Back into service, if it was bad or about to become so. DISPATCH_LEVEL. */
static BOOLEAN
MipMarkFrameGood(PFN_NUMBER Frame)
{
    BOOLEAN Good = FALSE;

    if (!MiEnsureFrameRecord(Frame)) {
        return FALSE;
    }
    MiLockPfn(Frame);
    if (MiFrameLocation(Frame) == MiLocationBad) {
        MipRemovePage(Frame, ~MI_PFN_LOCK, MI_STATE_OWNED);
        MipAddUsablePages(1);
        Good = TRUE;
    } else {
        MipChangeState(MiPfn(Frame), MI_PFN_REMOVE_REQUESTED, 0);
    }
    MiUnlockPfn(Frame);
    if (Good) {
        MiFreeFrame(Frame);
    }
    return Good;
}

/* Check a range of bytes and give it as frames. */
NTSTATUS
MipCheckPhysicalRange(PPHYSICAL_ADDRESS StartAddress, PLARGE_INTEGER NumberOfBytes,
                      PFN_NUMBER *FirstFrame, SIZE_T *PageCount)
{
    ULONG64 Start = (ULONG64)StartAddress->QuadPart;
    ULONG64 Bytes = (ULONG64)NumberOfBytes->QuadPart;

    if (Start % PAGE_SIZE != 0 || (Start >> 52) != 0) {
        return STATUS_INVALID_PARAMETER_1;
    }
    if (Bytes == 0 || Bytes % PAGE_SIZE != 0 || ((Start + Bytes - 1) >> 52) != 0 ||
        Start + Bytes < Start) {
        return STATUS_INVALID_PARAMETER_2;
    }
    *FirstFrame = Start >> PAGE_SHIFT;
    *PageCount = Bytes >> PAGE_SHIFT;
    return STATUS_SUCCESS;
}

static NTSTATUS
MipMarkRange(PPHYSICAL_ADDRESS StartAddress, PLARGE_INTEGER NumberOfBytes,
             BOOLEAN (*MarkFrame)(PFN_NUMBER))
{
    PFN_NUMBER First;
    SIZE_T PageCount;
    SIZE_T Marked = 0;
    KIRQL OldIrql;
    NTSTATUS Status = MipCheckPhysicalRange(StartAddress, NumberOfBytes, &First, &PageCount);

    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    for (PFN_NUMBER Frame = First; Frame < First + PageCount; Frame++) {
        OldIrql = KiRaiseIrqlToDispatch();
        Marked += MarkFrame(Frame);
        KiLowerIrql(OldIrql);
    }
    NumberOfBytes->QuadPart = (LONGLONG)(Marked << PAGE_SHIFT);
    return STATUS_SUCCESS;
}

/*
 * Take the pages of [*StartAddress, + *NumberOfBytes) out of service. *NumberOfBytes receives how
 * many bytes are bad now; pages in use become bad when they are freed. STATUS_INVALID_PARAMETER_1
 * or _2 for an unaligned range. IRQL <= APC_LEVEL.
 */
NTSTATUS NTAPI
MmMarkPhysicalMemoryAsBad(PPHYSICAL_ADDRESS StartAddress, PLARGE_INTEGER NumberOfBytes)
{
    return MipMarkRange(StartAddress, NumberOfBytes, MipMarkFrameBad);
}
NTEXPORT(MmMarkPhysicalMemoryAsBad);

/*
 * Return bad pages of a range to service; *NumberOfBytes receives how many bytes were bad and are
 * not. Pages that were waiting to become bad no longer do. As above otherwise.
 */
NTSTATUS NTAPI
MmMarkPhysicalMemoryAsGood(PPHYSICAL_ADDRESS StartAddress, PLARGE_INTEGER NumberOfBytes)
{
    return MipMarkRange(StartAddress, NumberOfBytes, MipMarkFrameGood);
}
NTEXPORT(MmMarkPhysicalMemoryAsGood);
