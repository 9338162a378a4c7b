/*
 * map.c - the memory map: what is RAM, and what of it is kept for good.
 *
 * Owns two lists, in ascending order: ranges of RAM, whole frames, joined where they touch; and ranges that
 * are kept, inside those. What is RAM and not kept is the core's. Used once, at start, by memory.c.
 */
#include "halp.h"

#define HALP_MAXIMUM_KEPT 64

HALP_RAM HalpRam[HALP_BOOT_RANGES];
ULONG HalpRamCount;
static HALP_RAM HalpKept[HALP_MAXIMUM_KEPT];
static ULONG HalpKeptCount;

/* Put a range into a sorted list. */
static VOID
HalpInsert(PHALP_RAM List, PULONG Count, ULONG Limit, PFN_NUMBER Base, PFN_NUMBER End)
{
    ULONG Index;

    if (*Count == Limit) {
        HalpRefuse("the memory map has too many ranges");
    }
    for (Index = *Count; Index > 0 && List[Index - 1].Base > Base; Index -= 1) {
        List[Index] = List[Index - 1];
    }
    List[Index].Base = Base;
    List[Index].End = End;
    *Count += 1;
}

/* Join what overlaps or touches. */
static VOID
HalpJoin(PHALP_RAM List, PULONG Count)
{
    ULONG From;
    ULONG To;

    if (*Count == 0) {
        return;
    }
    To = 0;
    for (From = 1; From < *Count; From += 1) {
        if (List[From].Base <= List[To].End) {
            List[To].End = MAX(List[To].End, List[From].End);
        } else {
            To += 1;
            List[To] = List[From];
        }
    }
    *Count = To + 1;
}

VOID
HalpReadMap(const HALP_BOOT_INFO *Info)
{
    PFN_NUMBER Base;
    PFN_NUMBER End;
    ULONG Index;

    for (Index = 0; Index < Info->RamCount; Index += 1) {
        Base = (Info->Ram[Index].Base + PAGE_SIZE - 1) >> PAGE_SHIFT;
        End = (Info->Ram[Index].Base + Info->Ram[Index].Size) >> PAGE_SHIFT;
        Base = MAX(Base, 1);
        End = MIN(End, HALP_MAXIMUM_FRAME);
        if (Base < End) {
            HalpInsert(HalpRam, &HalpRamCount, RTL_NUMBER_OF(HalpRam), Base, End);
        }
    }
    HalpJoin(HalpRam, &HalpRamCount);
}

VOID
HalpKeep(PFN_NUMBER Base, PFN_NUMBER End)
{
    HalpInsert(HalpKept, &HalpKeptCount, RTL_NUMBER_OF(HalpKept), Base, End);
    HalpJoin(HalpKept, &HalpKeptCount);
}

PFN_NUMBER
HalpKeepAtEnd(const HALP_RAM *Ram, PFN_NUMBER Count, PFN_NUMBER Modulo)
{
    PFN_NUMBER First;
    PFN_NUMBER End;
    ULONG Index;

    End = Ram->End;
    Index = HalpKeptCount;
    for (;;) {
        if (End < Ram->Base + Count) {
            return 0;
        }
        First = End - Count;
        if (Count >= 512) {
            First -= (First - Modulo) & 0x1FF;
        }
        while (Index > 0 && HalpKept[Index - 1].Base >= End) {
            Index -= 1;
        }
        if (First < Ram->Base || First > End) {
            return 0;
        }
        if (Index == 0 || HalpKept[Index - 1].End <= First) {
            break;
        }
        End = HalpKept[Index - 1].Base;
    }
    HalpKeep(First, First + Count);
    return First;
}

/* A run, or several where it crosses from one node to another. */
static VOID
HalpAddRun(PHAL_LOADER_BLOCK LoaderBlock, PFN_NUMBER Base, PFN_NUMBER End, HAL_MEMORY_TYPE Type)
{
    PHAL_MEMORY_RUN Run;
    PFN_NUMBER NodeEnd;

    while (Base < End) {
        if (LoaderBlock->RunCount == HAL_MAXIMUM_RUNS) {
            HalpRefuse("the memory map has too many ranges");
        }
        Run = &LoaderBlock->Runs[LoaderBlock->RunCount];
        Run->Node = HalpNodeOfFrame(Base, &NodeEnd);
        Run->BasePage = Base;
        Run->PageCount = MIN(End, NodeEnd) - Base;
        Run->Type = Type;
        LoaderBlock->RunCount += 1;
        Base += Run->PageCount;
    }
}

VOID
HalpDescribeRuns(PHAL_LOADER_BLOCK LoaderBlock)
{
    PFN_NUMBER Base;
    PFN_NUMBER First;
    PFN_NUMBER Last;
    ULONG Ram;
    ULONG Kept;

    for (Ram = 0; Ram < HalpRamCount; Ram += 1) {
        Base = HalpRam[Ram].Base;
        for (Kept = 0; Kept < HalpKeptCount; Kept += 1) {
            First = MAX(HalpKept[Kept].Base, Base);
            Last = MIN(HalpKept[Kept].End, HalpRam[Ram].End);
            if (First < Last) {
                HalpAddRun(LoaderBlock, Base, First, HalMemoryFree);
                HalpAddRun(LoaderBlock, First, Last, HalMemoryPermanent);
                Base = Last;
            }
        }
        HalpAddRun(LoaderBlock, Base, HalpRam[Ram].End, HalMemoryFree);
    }
}

/* Is the frame range free of RAM, and could the processor address it? Frame 0 is never a device. */
BOOLEAN
HalIsIoSpace(PFN_NUMBER BasePage, PFN_NUMBER PageCount)
{
    PFN_NUMBER End;
    PFN_NUMBER Limit;
    ULONG Index;

    Limit = 1ull << 24; /* 36 bits of address if the processor does not say */
    if (HalpCpuid(0x80000000).Eax >= 0x80000008) {
        Limit = 1ull << ((HalpCpuid(0x80000008).Eax & 0xFF) - PAGE_SHIFT);
    }
    End = BasePage + PageCount;
    if (PageCount == 0 || BasePage == 0 || End <= BasePage || End > Limit) {
        return FALSE;
    }
    for (Index = 0; Index < HalpRamCount; Index += 1) {
        if (BasePage < HalpRam[Index].End && HalpRam[Index].Base < End) {
            return FALSE;
        }
    }
    return TRUE;
}
