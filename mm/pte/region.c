/*
 * Where system space lies. Each region is a run of top-level slots of 512 GB, chosen by the seed among those
 * the machine does not use itself, and starts at a random multiple of 2 MB in its first slot. The top-level
 * entries of all regions are filled in here and never change afterwards, so an address space gets system
 * space by copying them; the tables they name stay for good. So do page directories, one page for each
 * gigabyte that was ever in use: freeing them would need two page-table locks at once to save a 262,144th of
 * what they describe. Last-level tables come and go with the segments of the allocator (syspte.c).
 *
 * One more slot holds the self-map entry. Runs once, on the first processor, before anybody else uses system
 * space; a machine too small for it cannot boot, which is asserted here because the HAL refuses such a
 * machine earlier.
 */
#include "ptep.h"

#define MI_SLOT_SHIFT        39
#define MI_SLOT_BYTES        ((ULONG_PTR)1 << MI_SLOT_SHIFT)
#define MI_SEGMENTS_PER_SLOT ((ULONG)(MI_SLOT_BYTES / MI_SEGMENT_BYTES))
#define MI_MAXIMUM_SLOTS     256 /* half of the top-level table */
#define MI_REGION_SLOTS      (MI_MAXIMUM_SEGMENTS / MI_SEGMENTS_PER_SLOT)

MI_VA_REGION MiRegions[MiRegionMaximum];

typedef struct _MI_SLOT_MAP {
    ULONG_PTR Base;
    ULONG Count;
    BOOLEAN Taken[MI_MAXIMUM_SLOTS];
} MI_SLOT_MAP;

PMI_VA_REGION
MiVaRegion(ULONG_PTR Va)
{
    for (ULONG Index = 0; Index < MiRegionMaximum; Index += 1) {
        if (Va >= MiRegions[Index].Start && Va < MiRegions[Index].End) {
            return &MiRegions[Index];
        }
    }
    return NULL;
}

BOOLEAN
MiRegionOf(PVOID Va, MI_SYSTEM_REGION *Region)
{
    PMI_VA_REGION Found = MiVaRegion((ULONG_PTR)Va);

    if (Found == NULL) {
        return FALSE;
    }
    *Region = (MI_SYSTEM_REGION)(Found - MiRegions);
    return TRUE;
}

VOID
MiRegionBounds(MI_SYSTEM_REGION Region, PULONG_PTR Start, PULONG_PTR End)
{
    *Start = MiRegions[Region].Start;
    *End = MiRegions[Region].End;
}

/* --- Slots ------------------------------------------------------------------------------------------------
 */

static VOID
MipReadSlotMap(const HAL_LOADER_BLOCK *LoaderBlock, MI_SLOT_MAP *Map)
{
    Map->Base = LoaderBlock->SystemStart;
    Map->Count = (ULONG)((LoaderBlock->SystemEnd - LoaderBlock->SystemStart) / MI_SLOT_BYTES);
    Map->Count = MIN(Map->Count, MI_MAXIMUM_SLOTS);
    for (ULONG Slot = 0; Slot < Map->Count; Slot += 1) {
        ULONG_PTR Va = Map->Base + Slot * MI_SLOT_BYTES;
        PMMPTE Pxe = MiTableEntry(MiSystemRootFrame, MiPteIndex(Va, MiLevelPxe));

        Map->Taken[Slot] =
            ((LoaderBlock->ReservedSlots[Slot / 64] >> (Slot % 64)) & 1) != 0 || !MiPteIsZero(MiReadPte(Pxe));
    }
}

static BOOLEAN
MipSlotsAreFree(const MI_SLOT_MAP *Map, ULONG First, ULONG Count)
{
    for (ULONG Slot = First; Slot < First + Count; Slot += 1) {
        if (Map->Taken[Slot]) {
            return FALSE;
        }
    }
    return TRUE;
}

/* Take Count neighbouring slots, any such run with the same probability. The first, or MAXULONG. */
static ULONG
MipTakeSlots(MI_SLOT_MAP *Map, ULONG Count)
{
    ULONG Candidates = 0;
    ULONG Choice;

    for (ULONG First = 0; First + Count <= Map->Count; First += 1) {
        Candidates += MipSlotsAreFree(Map, First, Count);
    }
    if (Candidates == 0) {
        return MAXULONG;
    }
    Choice = (ULONG)(HalRandom() % Candidates);
    for (ULONG First = 0;; First += 1) {
        if (!MipSlotsAreFree(Map, First, Count)) {
            continue;
        }
        if (Choice == 0) {
            for (ULONG Slot = First; Slot < First + Count; Slot += 1) {
                Map->Taken[Slot] = TRUE;
            }
            return First;
        }
        Choice -= 1;
    }
}

/* How many slots a region should have: what may hold all of RAM gets that much and one slot more. */
static ULONG
MipWantedSlots(MI_SYSTEM_REGION Region, ULONG64 MemoryBytes)
{
    ULONG64 Slots = (MemoryBytes + MI_SLOT_BYTES - 1) / MI_SLOT_BYTES + 1;

    if (Region == MiRegionImages || Region == MiRegionSpecialPool) {
        return 1;
    }
    return (ULONG)MIN(Slots, MI_REGION_SLOTS);
}

/* --- Regions ----------------------------------------------------------------------------------------------
 */

static VOID
MipMakeSystemTable(ULONG_PTR Va, ULONG Level)
{
    PMMPTE Table = MiMakeTable(MiSystemRootFrame, Va, Level, 0);

    NT_VERIFY(Table != NULL);
}

static VOID
MipPlaceRegion(PMI_VA_REGION Region, ULONG_PTR SlotVa, ULONG SlotCount)
{
    ULONG Segments = SlotCount * MI_SEGMENTS_PER_SLOT;
    /* The last segment stays out as a guard in front of the next slot. */
    ULONG Skip = (ULONG)(HalRandom() % (MI_SEGMENTS_PER_SLOT / 4));
    MI_FRAME_SUPPLY Supply = {NULL, 0};

    for (ULONG Slot = 0; Slot < SlotCount; Slot += 1) {
        MipMakeSystemTable(SlotVa + Slot * MI_SLOT_BYTES, MiLevelPpe);
    }
    /* Directories for the first gigabyte, wherever it starts: most machines never need another. */
    MipMakeSystemTable(SlotVa + Skip * MI_SEGMENT_BYTES, MiLevelPde);
    MipMakeSystemTable(SlotVa + (Skip + MI_PTES_PER_TABLE) * MI_SEGMENT_BYTES, MiLevelPde);
    while (Supply.Count < MI_REGION_FRAMES) {
        PFN_NUMBER Frame = MiGetTableFrame();

        NT_VERIFY(Frame != MI_NO_FRAME);
        MiPushSupply(&Supply, HalFrameAddress(Frame));
    }
    MiInitializeVaRegion(Region, SlotVa + Skip * MI_SEGMENT_BYTES, Segments - Skip - 1, &Supply);
    while (Supply.Count != 0) {
        MiReturnTableFrame(HalAddressFrame(MiPopSupply(&Supply)));
    }
}

static VOID
MipMakeSelfMap(MI_SLOT_MAP *Map)
{
    ULONG Slot = MipTakeSlots(Map, 1);
    MMPTE SelfMap = MiMakeSelfMapPte(MiSystemRootFrame);
    PMMPTE Pxe;

    NT_VERIFY(Slot != MAXULONG);
    MiSelfMapIndex = MiPteIndex(Map->Base + Slot * MI_SLOT_BYTES, MiLevelPxe);
    Pxe = MiTableEntry(MiSystemRootFrame, MiSelfMapIndex);
    MiWritePte(Pxe, SelfMap);
    MiIncrementUsedPtes(MiSystemRootFrame, 1);
}

/* The machine's own entries count as used; what they name is not ours to count. */
static VOID
MipAdoptRoot(PFN_NUMBER RootFrame)
{
    MiSystemRootFrame = RootFrame;
    MiInitializePageTableFrame(RootFrame, NULL);
    for (ULONG Index = 0; Index < MI_PTES_PER_TABLE; Index += 1) {
        if (!MiPteIsZero(MiReadPte(MiTableEntry(RootFrame, Index)))) {
            MiIncrementUsedPtes(RootFrame, 1);
        }
    }
}

/* For bug checks that show the entry of an address: the one at which its walk ends. Any IRQL. */
static ULONG64
MipQueryPte(ULONG64 Address)
{
    MI_WALK Walk;

    MiWalkSnapshot(MiRootOf(Address), Address, &Walk);
    return Walk.Value.Long;
}

VOID
MiInitializeSystemSpace(PHAL_LOADER_BLOCK LoaderBlock)
{
    static MI_SLOT_MAP Map;

    MipAdoptRoot(LoaderBlock->RootFrame);
    MipReadSlotMap(LoaderBlock, &Map);
    MipMakeSelfMap(&Map);
    for (ULONG Index = 0; Index < MiRegionMaximum; Index += 1) {
        ULONG Count = MipWantedSlots((MI_SYSTEM_REGION)Index, LoaderBlock->MemoryBytes);
        ULONG First = MipTakeSlots(&Map, Count);

        while (First == MAXULONG && Count > 1) {
            Count -= 1;
            First = MipTakeSlots(&Map, Count);
        }
        NT_VERIFY(First != MAXULONG);
        MipPlaceRegion(&MiRegions[Index], Map.Base + First * MI_SLOT_BYTES, Count);
    }
    MiInitializeSystemPteCaches();
    KiQueryPte = MipQueryPte;
    KiTrimPageable = MiTrimPageable;
}
