/*
 * MiValidateSystemSpace: every entry of every table of system space against the frame it names and against
 * the allocator. Stops with what is wrong. For quiescent moments: other processors may run, but nobody may be
 * in the middle of a change of system space.
 *
 * Proved: the allocator's lists, records and counts agree with each other; a table exists exactly for
 * segments in use; a table's used count is the number of its entries that are not zero; its share count is
 * one, and one for each page that owns an entry or table below; a page that owns its entry is in the state
 * that the entry's form says; no valid entry leads to a free frame; every entry that is not zero belongs to a
 * reservation.
 */
#include "ptep.h"

typedef struct _MI_TABLE_COUNTS {
    ULONG Used;
    ULONG Shares;
} MI_TABLE_COUNTS;

/* An active page, or one that nothing was recorded of: part of a large run, or of the machine. */
static BOOLEAN
MipFrameIsInUse(PFN_NUMBER Frame)
{
    ULONG64 State = MiPfnState(Frame);

    return MiStateLocation(State) == MiLocationActive || MiStateLocation(State) == MiLocationTransition ||
           (State == 0 && MiPfnWhere(Frame) == 0);
}

static VOID
MipCheckValid(const MMPTE *Pte, MMPTE Value, MI_TABLE_COUNTS *Table, PMI_SYSTEM_SPACE_COUNTS Counts)
{
    PFN_NUMBER Frame = MiGetPteFrame(Value);

    Counts->WriteExecute += MiPteIsWritable(Value) && MiPteIsExecutable(Value);
    if (!MiFrameOwnsPte(Frame, Pte)) {
        NT_VERIFY(!MiIsRamFrame(Frame) || MipFrameIsInUse(Frame));
        Counts->Mapped += 1;
        return;
    }
    NT_VERIFY(MiFrameLocation(Frame) == MiLocationActive);
    NT_VERIFY(MiFrameShareCount(Frame) >= 1);
    NT_VERIFY(MiGetSoftwareProtection(MiPfn(Frame)->OriginalPte) != MM_ZERO_ACCESS);
    Table->Shares += 1;
    Counts->Resident += 1;
}

static VOID
MipCheckTransition(const MMPTE *Pte, MMPTE Value, MI_TABLE_COUNTS *Table, PMI_SYSTEM_SPACE_COUNTS Counts)
{
    PFN_NUMBER Frame = MiGetPteFrame(Value);
    MI_LOCATION Location;

    if (!MiFrameOwnsPte(Frame, Pte)) {
        NT_VERIFY(MiProtectionIsNoAccess(MiGetSoftwareProtection(Value)));
        NT_VERIFY(!MiIsRamFrame(Frame) || MipFrameIsInUse(Frame));
        Counts->NoAccess += 1;
        return;
    }
    Location = MiFrameLocation(Frame);
    NT_VERIFY(Location == MiLocationStandby || Location == MiLocationModified ||
              Location == MiLocationModifiedNoWrite || Location == MiLocationTransition);
    NT_VERIFY(MiFrameShareCount(Frame) == 0);
    NT_VERIFY(MiGetSoftwareProtection(MiPfn(Frame)->OriginalPte) == MiGetSoftwareProtection(Value));
    Table->Shares += 1;
    Counts->Transition += 1;
}

static VOID
MipCheckTableRecord(PFN_NUMBER TableFrame, const MI_TABLE_COUNTS *Table)
{
    NT_VERIFY(MiIsRamFrame(TableFrame));
    NT_VERIFY(MiFrameIsPageTable(TableFrame));
    NT_VERIFY(MiFrameLocation(TableFrame) == MiLocationActive);
    NT_VERIFY(MiUsedPtes(TableFrame) == Table->Used);
    NT_VERIFY(MiFrameShareCount(TableFrame) == 1 + Table->Shares);
}

/* The table of one segment, which may be waiting under a large page. */
static VOID
MipCheckSegmentTable(PMI_VA_REGION Region, ULONG_PTR Va, PFN_NUMBER TableFrame,
                     PMI_SYSTEM_SPACE_COUNTS Counts)
{
    MI_TABLE_COUNTS Table = {0, 0};

    for (ULONG Index = 0; Index < MI_PTES_PER_TABLE; Index += 1) {
        PMMPTE Pte = MiTableEntry(TableFrame, Index);
        MMPTE Value = MiReadPte(Pte);

        if (MiPteIsZero(Value)) {
            continue;
        }
        Table.Used += 1;
        NT_VERIFY(MiIsPageReserved(Region, ((Va - Region->Start) >> PAGE_SHIFT) + Index));
        if (MiPteIsValid(Value)) {
            MipCheckValid(Pte, Value, &Table, Counts);
        } else if (MiPteIsTransition(Value)) {
            MipCheckTransition(Pte, Value, &Table, Counts);
        } else {
            NT_VERIFY(MiPteIsDemandZero(Value));
            Counts->DemandZero += 1;
        }
    }
    MipCheckTableRecord(TableFrame, &Table);
}

static VOID
MipCheckLargePage(PMI_VA_REGION Region, ULONG_PTR Va, MMPTE Pde, PMI_SYSTEM_SPACE_COUNTS Counts)
{
    PFN_NUMBER First = MiGetLargePteFrame(Pde);

    for (ULONG Index = 0; Index < MI_LARGE_PAGE_COUNT; Index += 1) {
        NT_VERIFY(MiIsPageReserved(Region, ((Va - Region->Start) >> PAGE_SHIFT) + Index));
        NT_VERIFY(!MiIsRamFrame(First + Index) || MipFrameIsInUse(First + Index));
    }
    if (MiPteIsWritable(Pde) && MiPteIsExecutable(Pde)) {
        Counts->WriteExecute += MI_LARGE_PAGE_COUNT;
    }
    Counts->LargePages += 1;
}

/* One directory entry: none, a table, or a large page over a waiting table. */
static VOID
MipCheckSegment(PMI_VA_REGION Region, ULONG_PTR Va, MMPTE Pde, MI_TABLE_COUNTS *Directory,
                PMI_SYSTEM_SPACE_COUNTS Counts)
{
    PMI_SEGMENT Record = NULL;
    PFN_NUMBER TableFrame;

    if (Va >= Region->Start && Va < Region->End) {
        Record = MiSegmentRecord(Region, (ULONG)((Va - Region->Start) / MI_SEGMENT_BYTES));
    }
    if (MiPteIsZero(Pde)) {
        NT_VERIFY(Record == NULL || Record->Table == NULL);
        return;
    }
    NT_VERIFY(MiPteIsValid(Pde));
    NT_VERIFY(Record != NULL && Record->Table != NULL);
    TableFrame = HalAddressFrame(Record->Table);
    if (MiPteIsLarge(Pde)) {
        NT_VERIFY(MiUsedPtes(TableFrame) == 0);
        MipCheckLargePage(Region, Va, Pde, Counts);
    } else {
        NT_VERIFY(MiGetPteFrame(Pde) == TableFrame);
    }
    MipCheckSegmentTable(Region, Va, TableFrame, Counts);
    Directory->Used += 1;
    Directory->Shares += 1;
    Counts->Tables += 1;
}

static VOID
MipCheckDirectory(PMI_VA_REGION Region, ULONG_PTR Va, PFN_NUMBER DirectoryFrame,
                  PMI_SYSTEM_SPACE_COUNTS Counts)
{
    MI_TABLE_COUNTS Directory = {0, 0};

    for (ULONG Index = 0; Index < MI_PTES_PER_TABLE; Index += 1) {
        MipCheckSegment(Region, Va + Index * MI_SEGMENT_BYTES, MiReadPte(MiTableEntry(DirectoryFrame, Index)),
                        &Directory, Counts);
    }
    MipCheckTableRecord(DirectoryFrame, &Directory);
    Counts->Tables += 1;
}

/* A top-level slot of a region. */
static VOID
MipCheckSlot(PMI_VA_REGION Region, ULONG_PTR SlotVa, PMI_SYSTEM_SPACE_COUNTS Counts)
{
    MMPTE Pxe = MiReadPte(MiTableEntry(MiSystemRootFrame, MiPteIndex(SlotVa, MiLevelPxe)));
    MI_TABLE_COUNTS Table = {0, 0};

    NT_VERIFY(MiPteIsValid(Pxe));
    for (ULONG Index = 0; Index < MI_PTES_PER_TABLE; Index += 1) {
        MMPTE Ppe = MiReadPte(MiTableEntry(MiGetPteFrame(Pxe), Index));

        if (MiPteIsZero(Ppe)) {
            continue;
        }
        NT_VERIFY(MiPteIsValid(Ppe) && !MiPteIsLarge(Ppe));
        Table.Used += 1;
        Table.Shares += 1;
        MipCheckDirectory(Region, SlotVa + ((ULONG_PTR)Index << 30), MiGetPteFrame(Ppe), Counts);
    }
    MipCheckTableRecord(MiGetPteFrame(Pxe), &Table);
}

/* The self-map entry is the root's own; the machine's entries are counted as used only. */
static VOID
MipCheckRoot(ULONG RegionSlots)
{
    MI_TABLE_COUNTS Root = {0, RegionSlots};

    ULONG UserEntries = MiPteIndex(KiLoaderBlock->UserEnd - 1, MiLevelPxe) + 1;

    for (ULONG Index = 0; Index < MI_PTES_PER_TABLE; Index += 1) {
        BOOLEAN Used = !MiPteIsZero(MiReadPte(MiTableEntry(MiSystemRootFrame, Index)));

        Root.Used += Used;
        Root.Shares += Used && Index < UserEntries; /* tables of the System process */
    }
    NT_VERIFY(MiGetPteFrame(MiReadPte(MiTableEntry(MiSystemRootFrame, MiSelfMapIndex))) == MiSystemRootFrame);
    MipCheckTableRecord(MiSystemRootFrame, &Root);
}

BOOLEAN
MiCheckSystemSpace(PMI_SYSTEM_SPACE_COUNTS Counts)
{
    ULONG Slots = 0;

    *Counts = (MI_SYSTEM_SPACE_COUNTS){0};
    for (ULONG Index = 0; Index < MiRegionMaximum; Index += 1) {
        PMI_VA_REGION Region = &MiRegions[Index];
        ULONG_PTR SlotBytes = (ULONG_PTR)MiLevelPages(MiLevelPxe) * PAGE_SIZE;
        KIRQL OldIrql = KiAcquireRankedLockRaise(&Region->Lock, LockRankSystemPteBin);

        MiValidateVaRegion(Region);
        for (ULONG_PTR Va = ALIGN_DOWN_BY(Region->Start, SlotBytes); Va < Region->End; Va += SlotBytes) {
            MipCheckSlot(Region, Va, Counts);
            Slots += 1;
        }
        KiReleaseRankedLockLower(&Region->Lock, OldIrql);
    }
    MipCheckRoot(Slots);
    return TRUE;
}

BOOLEAN
MiValidateSystemSpace(VOID)
{
    MI_SYSTEM_SPACE_COUNTS Counts;

    return MiCheckSystemSpace(&Counts);
}
