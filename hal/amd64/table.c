/*
 * table.c - the machine's own page tables, made once.
 *
 * Tables are made in frames set aside for them and reached through the direct map, which is at address 0 as
 * long as the entry stub's tables are in force (memory.c). Running out of the frames, or of any other
 * estimate, is refused at start: nothing here can fail later. Single-threaded, nothing else runs.
 */
#include "halp.h"

#define HALP_CPUID_HUGE_PAGES (1u << 26)

static PFN_NUMBER HalpTableRoot;
static PFN_NUMBER HalpNextFrame;
static PFN_NUMBER HalpLastFrame;
static ULONG HalpLargestLevel = 2;

PFN_NUMBER
HalpTakeFrame(VOID)
{
    ULONG64 *Word;
    ULONG Index;

    if (HalpNextFrame == HalpLastFrame) {
        HalpRefuse("internal: too few frames for the boot tables");
    }
    Word = HalFrameAddress(HalpNextFrame);
    for (Index = 0; Index < PAGE_SIZE / sizeof(*Word); Index += 1) {
        Word[Index] = 0;
    }
    HalpNextFrame += 1;
    return HalpNextFrame - 1;
}

VOID
HalpStartTables(PFN_NUMBER First, PFN_NUMBER Count)
{
    HalpNextFrame = First;
    HalpLastFrame = First + Count;
    HalpTableRoot = HalpTakeFrame();
    if ((HalpCpuid(0x80000001).Edx & HALP_CPUID_HUGE_PAGES) != 0) {
        HalpLargestLevel = 3;
    }
}

PFN_NUMBER
HalpRootFrame(VOID)
{
    return HalpTableRoot;
}

/* The entry for Va in a table of Level (4 is the root's), making tables on the way. */
static ULONG64 *
HalpTableEntry(ULONG_PTR Va, ULONG Level)
{
    PFN_NUMBER Table;
    ULONG64 *Entry;
    ULONG At;

    Table = HalpTableRoot;
    for (At = 4;; At -= 1) {
        Entry = (ULONG64 *)HalFrameAddress(Table) + ((Va >> (PAGE_SHIFT + 9 * (At - 1))) & 0x1FF);
        if (At == Level) {
            return Entry;
        }
        if (*Entry == 0) {
            *Entry = (HalpTakeFrame() << PAGE_SHIFT) | HALP_PTE_VALID | HALP_PTE_WRITE | HALP_PTE_ACCESSED;
        } else if ((*Entry & HALP_PTE_LARGE) != 0) {
            HalpRefuse("internal: two boot mappings in one place");
        }
        Table = (*Entry & HALP_PTE_ADDRESS) >> PAGE_SHIFT;
    }
}

static BOOLEAN
HalpFits(ULONG_PTR Va, PFN_NUMBER Frame, PFN_NUMBER Count, PFN_NUMBER Pages)
{
    return (((Va >> PAGE_SHIFT) | Frame) & (Pages - 1)) == 0 && Count >= Pages;
}

VOID
HalpMap(ULONG_PTR Va, PFN_NUMBER Frame, PFN_NUMBER Count, ULONG64 Bits)
{
    PFN_NUMBER Pages;
    ULONG64 *Entry;
    ULONG Level;

    while (Count > 0) {
        Level = 1;
        Pages = 1;
        while (Level < HalpLargestLevel && HalpFits(Va, Frame, Count, Pages << 9)) {
            Level += 1;
            Pages <<= 9;
        }
        Entry = HalpTableEntry(Va, Level);
        *Entry = (Frame << PAGE_SHIFT) | Bits | (Level > 1 ? HALP_PTE_LARGE : 0);
        Va += Pages << PAGE_SHIFT;
        Frame += Pages;
        Count -= Pages;
    }
}
