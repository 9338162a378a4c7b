/*
 * What must be true of the tables of an address space, against its regions and the records of frames. Stops with what is
 * wrong. Create lock exclusive; other threads of the process must not be in the middle of a fault.
 *
 * Proved: every entry that is not zero lies in a region and has a form that fits its kind; a page that owns its entry
 * is in the state the form says; tables' used and share counts are what is in them; commit of every region and of the
 * process is what the entries say.
 */
#include "va.h"

typedef struct _MI_USER_CHECK {
    PMI_ADDRESS_SPACE Space;
    SIZE_T Resident;
    SIZE_T Commit;
} MI_USER_CHECK, *PMI_USER_CHECK;

/* An entry that is not zero. Returns its shares on the table. */
static ULONG
MipCheckPrivateEntry(PMI_USER_CHECK Check, const MMPTE *Pte, MMPTE Value)
{
    PFN_NUMBER Frame = MiGetPteFrame(Value);
    MI_LOCATION Location;

    if (MiPteIsValid(Value)) {
        NT_VERIFY(MiPteIsUser(Value) && (Value.Long & MI_PTE_GLOBAL) == 0);
        NT_VERIFY(MiFrameOwnsPte(Frame, Pte));
        NT_VERIFY(MiFrameLocation(Frame) == MiLocationActive && MiFrameShareCount(Frame) >= 1);
        NT_VERIFY(!MiProtectionIsNoAccess(MiGetSoftwareProtection(MiPfn(Frame)->OriginalPte)));
        Check->Resident += 1;
        return 1;
    }
    if (!MiPteIsTransition(Value)) {
        NT_VERIFY(MiPteIsDemandZero(Value));
        return 0;
    }
    NT_VERIFY(MiFrameOwnsPte(Frame, Pte));
    Location = MiFrameLocation(Frame);
    NT_VERIFY(Location == MiLocationStandby || Location == MiLocationModified || Location == MiLocationTransition ||
              Location == MiLocationModifiedNoWrite);
    NT_VERIFY(MiGetSoftwareProtection(MiPfn(Frame)->OriginalPte) == MiGetSoftwareProtection(Value));
    return 1;
}

static ULONG
MipCheckEntry(PMI_USER_CHECK Check, ULONG64 Page, const MMPTE *Pte, MMPTE Value)
{
    PMMVAD Vad = MiFindVad(Check->Space, Page);

    NT_VERIFY(Vad != NULL);
    switch (Vad->Kind) {
    case MiVadPrivate:
        NT_VERIFY(Vad->MemCommit || MiPteIsValid(Value) || MiGetSoftwareProtection(Value) != MM_DECOMMIT);
        return MipCheckPrivateEntry(Check, Pte, Value);
    case MiVadMapping:
    case MiVadSharedData:
        NT_VERIFY(MiPteIsValid(Value) && MiPteIsUser(Value) && !MiFrameOwnsPte(MiGetPteFrame(Value), Pte));
        return 0;
    default:
        NT_VERIFY(!"an entry in a region that has none");
        return 0;
    }
}

static VOID
MipCheckTable(PFN_NUMBER TableFrame, ULONG Used, ULONG Shares)
{
    NT_VERIFY(MiFrameIsPageTable(TableFrame));
    NT_VERIFY(MiFrameLocation(TableFrame) == MiLocationActive);
    NT_VERIFY(MiUsedPtes(TableFrame) == Used);
    NT_VERIFY(MiFrameShareCount(TableFrame) == 1 + Shares);
}

static VOID
MipCheckLastLevel(PMI_USER_CHECK Check, PFN_NUMBER TableFrame, ULONG64 Page)
{
    ULONG Used = 0, Shares = 0;

    for (ULONG Index = 0; Index < MI_PTES_PER_TABLE; Index += 1) {
        PMMPTE Pte = MiTableEntry(TableFrame, Index);
        MMPTE Value = MiReadPte(Pte);

        if (!MiPteIsZero(Value)) {
            Used += 1;
            Shares += MipCheckEntry(Check, Page + Index, Pte, Value);
        }
    }
    MipCheckTable(TableFrame, Used, Shares);
}

static VOID
MipCheckDirectory(PMI_USER_CHECK Check, PFN_NUMBER TableFrame, ULONG64 Page)
{
    ULONG Used = 0;

    for (ULONG Index = 0; Index < MI_PTES_PER_TABLE; Index += 1) {
        MMPTE Value = MiReadPte(MiTableEntry(TableFrame, Index));

        if (!MiPteIsZero(Value)) {
            NT_VERIFY(MiPteIsValid(Value) && MiPteIsUser(Value));
            MipCheckLastLevel(Check, MiGetPteFrame(Value), Page + Index * MiLevelPages(MiLevelPde));
            Used += 1;
        }
    }
    MipCheckTable(TableFrame, Used, Used);
}

static VOID
MipCheckSlot(PMI_USER_CHECK Check, PFN_NUMBER TableFrame, ULONG64 Page)
{
    ULONG Used = 0;

    for (ULONG Index = 0; Index < MI_PTES_PER_TABLE; Index += 1) {
        MMPTE Value = MiReadPte(MiTableEntry(TableFrame, Index));

        if (!MiPteIsZero(Value)) {
            NT_VERIFY(MiPteIsValid(Value) && MiPteIsUser(Value));
            MipCheckDirectory(Check, MiGetPteFrame(Value), Page + Index * MiLevelPages(MiLevelPpe));
            Used += 1;
        }
    }
    MipCheckTable(TableFrame, Used, Used);
}

static VOID
MipCheckCommit(PMI_USER_CHECK Check)
{
    for (PMMVAD Vad = MiFirstVadBehind(Check->Space, 0); Vad != NULL; Vad = MiNextVad(Vad)) {
        if (Vad->Kind == MiVadPrivate) {
            NT_VERIFY(Vad->CommitCharge ==
                      MiCountCommitted(Check->Space, Vad, Vad->StartPage, Vad->EndPage));
        }
        Check->Commit += Vad->CommitCharge;
    }
}

BOOLEAN
MiValidateUserTables(PMI_ADDRESS_SPACE Space)
{
    MI_USER_CHECK Check = {.Space = Space};
    ULONG Entries = MiPteIndex(KiLoaderBlock->UserEnd - 1, MiLevelPxe) + 1;
    ULONG Used = 0;

    for (ULONG Index = 0; Index < Entries; Index += 1) {
        MMPTE Value = MiReadPte(MiTableEntry(Space->RootFrame, Index));

        if (!MiPteIsZero(Value)) {
            MipCheckSlot(&Check, MiGetPteFrame(Value), Index * MiLevelPages(MiLevelPxe));
            Used += 1;
        }
    }
    if (Space->RootFrame != MiSystemRootFrame) {
        MipCheckTable(Space->RootFrame, Used, Used);
    }
    MipCheckCommit(&Check);
    NT_VERIFY(Check.Commit == Space->CommitCharge);
    NT_VERIFY(Check.Resident == __atomic_load_n(&Space->Resident, __ATOMIC_RELAXED));
    return TRUE;
}
