/*
 * Faults on user addresses that the entry alone does not decide: first touches of regions that are committed as a
 * whole, guard pages, first writes to watched pages, shared user data.
 *
 *      entry                          with its region
 *      zero, or no table              committed as a whole: a page of zeroes; else access violation
 *      demand-zero, transition        as anywhere, but that a watched page is made without the right to write
 *      with a guard                   the guard goes, STATUS_GUARD_PAGE_VIOLATION; the page stays what it is
 *      valid, may be written, is not  watched: the write is noted, and the right given
 *
 * The Vad lock is held, shared, from the look at the region until the entry is written, so the region cannot go
 * meanwhile and the tables below the root stay. A frame is got before the table is locked; if there is none the
 * fault gives up the lock, waits as every other (demandzero.c), and starts again.
 */
#include "fault.h"

MMPTE
MiMakeFaultPte(PMI_FAULT Fault, PFN_NUMBER Frame, MI_PROTECTION Protection, BOOLEAN Dirty)
{
    ULONG64 Flags = MI_PTE_GLOBAL | MI_PTE_ACCESSED;

    if (Fault->Space != NULL) {
        MMPTE Pte = MiMakeUserPte(Frame, Protection, Dirty);

        __atomic_fetch_add(&Fault->Space->Resident, 1, __ATOMIC_RELAXED);
        if (MiProtectionCacheType(Protection) != MmCached) {
            MiSetFrameCacheType(Frame, MiProtectionCacheType(Protection));
        }
        return Fault->Vad == NULL ? Pte : MiWatchedPte(Fault->Vad, Fault->Va >> PAGE_SHIFT, Pte);
    }
    if (Dirty && MiProtectionAllowsWrite(Protection)) {
        Flags |= MI_PTE_DIRTY;
    }
    return MiMakeValidPte(Frame, Protection, Flags);
}

/* A write to a page of a watched region is about to be allowed. */
static VOID
MipNoteWrite(PMI_FAULT Fault)
{
    PMI_WATCH Watch = Fault->Vad->Watch;
    ULONG64 Index = (Fault->Va >> PAGE_SHIFT) - (Watch == NULL ? 0 : Watch->BasePage);

    if (Watch != NULL) {
        __atomic_fetch_or(&Watch->Written[Index / 64], 1ull << (Index % 64), __ATOMIC_RELAXED);
    }
}

/* A valid entry that does not serve the access. Table lock. */
static MI_FAULT_RESULT
MipFaultValid(PMI_FAULT Fault)
{
    MMPTE Old = Fault->Walk.Value;

    if (MiEntryAllows(Old, Fault->ErrorCode)) {
        MiFlushLocal(Fault->Va);
        return MiFaultResolved;
    }
    if (Fault->Vad->Watch == NULL || !MiFaultIsWrite(Fault) || MiPteIsWritable(Old) ||
        (Old.Long & MI_PTE_WRITE_ALLOWED) == 0) {
        return MiFaultViolation;
    }
    MipNoteWrite(Fault);
    for (;;) {
        MMPTE New = {Old.Long | MI_PTE_WRITE | MI_PTE_DIRTY | MI_PTE_ACCESSED};

        if (MiCompareExchangePte(Fault->Walk.Pte, &Old, New)) {
            break;
        }
    }
    MiFlushLocal(Fault->Va);
    return MiFaultResolved;
}

/* Take the guard off a page that is not valid. Table lock. */
static MI_FAULT_RESULT
MipFaultGuard(PMI_FAULT Fault, MI_PROTECTION Protection)
{
    MI_PROTECTION Plain = MiRegionProtection(Fault->Vad, Protection & MM_RIGHTS_MASK);
    PMMPTE Pte = Fault->Walk.Pte;
    MMPTE Old = Fault->Walk.Value;
    PFN_NUMBER Frame;

    if (!MiPteIsTransition(Old)) {
        if (MiPteIsZero(Old)) {
            MiIncrementUsedPtes(MiPteTableFrame(Pte), 1);
        }
        MiWritePte(Pte, MiMakePrivateZeroPte(Plain));
        return MiFaultGuard;
    }
    Frame = MiGetPteFrame(Old);
    MiLockPfn(Frame);
    if (!MiPteEqual(MiReadPte(Pte), Old)) {
        MiUnlockPfn(Frame);
        return MiFaultAgain;
    }
    MiPfn(Frame)->OriginalPte = MiChangeSoftwareProtection(MiPfn(Frame)->OriginalPte, Plain);
    MiWritePte(Pte, MiMakeTransitionPte(Frame, Plain));
    MiUnlockPfn(Frame);
    return MiFaultGuard;
}

/* A page of zeroes for an entry that is zero or demand-zero. Table lock. */
static MI_FAULT_RESULT
MipFaultPrivateZero(PMI_FAULT Fault, MI_PROTECTION Protection)
{
    PMMPTE Pte = Fault->Walk.Pte;
    PFN_NUMBER Frame = Fault->ZeroFrame;

    if (Frame == MI_NO_FRAME || Fault->ZeroUse != MiUseProcessPrivate) {
        Fault->ZeroUse = MiUseProcessPrivate;
        return MiFaultNeedsFrame;
    }
    Fault->ZeroFrame = MI_NO_FRAME;
    if (MiPteIsZero(Fault->Walk.Value)) {
        MiIncrementUsedPtes(MiPteTableFrame(Pte), 1);
    }
    MiInitializePfn(Frame, Pte, MiMakePrivateZeroPte(Protection));
    MiWritePte(Pte, MiMakeFaultPte(Fault, Frame, Protection, MiFaultIsWrite(Fault)));
    MiCountFault(MiFaultsDemandZero);
    return MiFaultResolved;
}

/* An entry of a private region. Table lock. */
static MI_FAULT_RESULT
MipFaultPrivate(PMI_FAULT Fault)
{
    MMPTE Old = Fault->Walk.Value;
    MI_PROTECTION Protection;

    if (MiPteIsValid(Old)) {
        return MipFaultValid(Fault);
    }
    if (!MiUserPteIsCommitted(Fault->Vad, Old)) {
        return MiFaultViolation;
    }
    Protection = MiPteIsZero(Old) ? Fault->Vad->Protection : MiGetSoftwareProtection(Old);
    if (MiProtectionIsNoAccess(Protection)) {
        return MiFaultViolation;
    }
    if (MiProtectionIsGuard(Protection)) {
        return MipFaultGuard(Fault, Protection);
    }
    if (MiFaultIsWrite(Fault) && MiProtectionAllowsWrite(Protection)) {
        MipNoteWrite(Fault);
    }
    return MiPteIsTransition(Old) ? MiFaultTransition(Fault) : MipFaultPrivateZero(Fault, Protection);
}

/* The page of shared user data: the machine's frame, read-only. Table lock. */
static MI_FAULT_RESULT
MipFaultSharedData(PMI_FAULT Fault)
{
    PMMPTE Pte = Fault->Walk.Pte;

    if (MiPteIsValid(Fault->Walk.Value)) {
        return MipFaultValid(Fault);
    }
    MiIncrementUsedPtes(MiPteTableFrame(Pte), 1);
    MiWritePte(Pte, MiMakeValidPte(HalAddressFrame(HalSharedUserData()), MM_READONLY, MI_PTE_USER | MI_PTE_ACCESSED));
    return MiFaultResolved;
}

/* One look at the entry, with a table made for it if the page is there at all. */
static MI_FAULT_RESULT
MipTryVadFault(PMI_FAULT Fault)
{
    KIRQL OldIrql = KiRaiseIrqlToDispatch();
    MI_FAULT_RESULT Result = MiFaultNeedsTable;

    if (MiLockPte(Fault->RootFrame, Fault->Va, &Fault->Walk)) {
        Result = Fault->Vad->Kind == MiVadSharedData ? MipFaultSharedData(Fault) : MipFaultPrivate(Fault);
        MiUnlockPte(&Fault->Walk);
    } else if (MiPteIsValid(Fault->Walk.Value)) {
        Result = MipFaultValid(Fault);
    } else if (Fault->Vad->Kind == MiVadPrivate &&
               (!Fault->Vad->MemCommit || MiProtectionIsNoAccess(Fault->Vad->Protection))) {
        Result = MiFaultViolation;
    }
    KiLowerIrql(OldIrql);
    return Result;
}

/* Vad lock shared. */
static MI_FAULT_RESULT
MipResolveInVad(PMI_FAULT Fault)
{
    for (;;) {
        MI_FAULT_RESULT Result = MipTryVadFault(Fault);

        switch (Result) {
        case MiFaultAgain:
            continue;
        case MiFaultNeedsFrame:
            Fault->ZeroFrame = MiGetFrame(MI_GET_ZEROED, PcrRead32(Node), MiUseProcessPrivate);
            if (Fault->ZeroFrame == MI_NO_FRAME) {
                return Result;
            }
            continue;
        case MiFaultNeedsTable:
            if (MiMakeTable(Fault->RootFrame, Fault->Va, MiLevelPte, MI_PTE_USER) == NULL) {
                return MiFaultNoMemory;
            }
            continue;
        default:
            return Result;
        }
    }
}

static BOOLEAN
MipVadHasPages(const MMVAD *Vad)
{
    return Vad != NULL && (Vad->Kind == MiVadPrivate || Vad->Kind == MiVadSharedData);
}

MI_FAULT_RESULT
MiFaultByVad(PMI_FAULT Fault)
{
    PMI_ADDRESS_SPACE Space = Fault->Space;
    MI_FAULT_RESULT Result = MiFaultViolation;

    KiAcquirePushLockShared(&Space->VadLock, LockRankAddressVad);
    Fault->Vad = MiFindVad(Space, Fault->Va >> PAGE_SHIFT);
    if (MipVadHasPages(Fault->Vad)) {
        Result = MipResolveInVad(Fault);
    }
    Fault->Vad = NULL;
    KiReleasePushLockShared(&Space->VadLock);
    return Result;
}
