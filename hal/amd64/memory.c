/*
 * memory.c - from what the loader said to a machine with its own tables: image, direct map, PFN records,
 * stacks.
 *
 * Each range of RAM keeps the frames of its own PFN records at its end; tables, processor regions and stacks
 * are at the end of the largest range below 4 GB, which the entry stub's tables reach. All of RAM is in the
 * direct map, read-write and never executable; the image's parts are mapped a second time with the rights of
 * their contents. What firmware left in RAM is unknown, so the records of free frames are too: the core
 * writes a record before it reads it. Runs once, before the core. Too little memory is one line and status 2.
 */
#include "halp.h"

#define HALP_RECORD_SIZE           32ull
#define HALP_BOOT_STACK_PAGES      8
#define HALP_INTERRUPT_STACK_PAGES 4
/* Each stack has a guard page below it. */
#define HALP_STACK_STRIDE                                                                                    \
    (1 + HALP_BOOT_STACK_PAGES + HALP_INTERRUPT_STACKS * (1 + HALP_INTERRUPT_STACK_PAGES) + 1)
#define HALP_PROCESSOR_FRAMES (1 + HALP_BOOT_STACK_PAGES + HALP_INTERRUPT_STACKS * HALP_INTERRUPT_STACK_PAGES)

_Static_assert(sizeof(KPCR) <= PAGE_SIZE, "a processor's region is one page");
_Static_assert(sizeof(KUSER_SHARED_DATA) <= PAGE_SIZE, "shared user data is one page");

/* From the linker script; each but the last begins a page, and ends where the next begins. */
extern const UCHAR HalpTextStart[];
extern const UCHAR HalpRodataStart[];
extern const UCHAR HalpDataStart[];
extern const UCHAR HalpKernelEnd[];

/* Address 0 while the entry stub's tables are in force. */
ULONG_PTR HalDirectMapBase;

static PFN_NUMBER HalpSharedDataFrame;

/* Where the core writes shared user data; readers see it, read-only, at its fixed address. */
PKUSER_SHARED_DATA
HalSharedUserData(VOID)
{
    return HalFrameAddress(HalpSharedDataFrame);
}

/* No memory can be added: there are no slots to put it into. */
NTSTATUS
HalExtendPermanentMaps(PFN_NUMBER BasePage, PFN_NUMBER PageCount)
{
    (void)BasePage;
    (void)PageCount;
    return STATUS_NOT_SUPPORTED;
}

/* --- What is kept ------------------------------------------------------------------------------------------
 */

static PFN_NUMBER
HalpImageFrame(const UCHAR *Address)
{
    return ((ULONG_PTR)Address - HALP_KERNEL_BASE) >> PAGE_SHIFT;
}

static VOID
HalpKeepImageAndFiles(const HALP_BOOT_INFO *Info)
{
    ULONG64 Base;
    ULONG Index;

    HalpKeep(HalpImageFrame(HalpTextStart), HalpImageFrame(HalpKernelEnd));
    for (Index = 0; Index < Info->FileCount; Index += 1) {
        Base = Info->Files[Index].Base;
        HalpKeep(Base >> PAGE_SHIFT, (Base + Info->Files[Index].Size + PAGE_SIZE - 1) >> PAGE_SHIFT);
    }
}

static PFN_NUMBER
HalpRecordPage(PFN_NUMBER Frame)
{
    return Frame * HALP_RECORD_SIZE >> PAGE_SHIFT;
}

/* Where the tables go: the largest range that begins below 4 GB, as far as it lies there. */
static HALP_RAM
HalpLowRam(VOID)
{
    HALP_RAM Best = {0, 0};
    PFN_NUMBER End;
    ULONG Index;

    for (Index = 0; Index < HalpRamCount; Index += 1) {
        End = MIN(HalpRam[Index].End, 0x100000);
        if (HalpRam[Index].Base < End && End - HalpRam[Index].Base > Best.End - Best.Base) {
            Best.Base = HalpRam[Index].Base;
            Best.End = End;
        }
    }
    return Best;
}

/* Tables: a page directory per GB of direct map and of records, and the odd ends of everything. */
static VOID
HalpKeepTables(ULONG Processors)
{
    HALP_RAM Low;
    PFN_NUMBER Frames;
    PFN_NUMBER Count;
    PFN_NUMBER First;
    ULONG Index;

    Frames = 0;
    for (Index = 0; Index < HalpRamCount; Index += 1) {
        Frames += HalpRam[Index].End - HalpRam[Index].Base;
    }
    Count =
        44 + (PFN_NUMBER)Processors * HALP_PROCESSOR_FRAMES + (PFN_NUMBER)HalpRamCount * 8 + (Frames >> 17);
    Low = HalpLowRam();
    First = HalpKeepAtEnd(&Low, Count, 0);
    if (First == 0) {
        HalpRefuse("there is not enough memory below 4 GB");
    }
    HalpStartTables(First, Count);
}

/* --- What is mapped ----------------------------------------------------------------------------------------
 */

static VOID
HalpMapPart(const UCHAR *Start, const UCHAR *End, ULONG64 Bits)
{
    HalpMap((ULONG_PTR)Start, HalpImageFrame(Start), HalpImageFrame(End) - HalpImageFrame(Start), Bits);
}

static VOID
HalpMapImage(VOID)
{
    HalpMapPart(HalpTextStart, HalpRodataStart, HALP_PERMANENT_EXECUTE);
    HalpMapPart(HalpRodataStart, HalpDataStart, HALP_PERMANENT_READ);
    HalpMapPart(HalpDataStart, HalpKernelEnd, HALP_PERMANENT_WRITE);
}

/* A range in the direct map; the image's text and constants cannot be written there either. */
static VOID
HalpMapDirect(const HALP_RAM *Ram)
{
    PFN_NUMBER Edges[4] = {Ram->Base, HalpImageFrame(HalpTextStart), HalpImageFrame(HalpDataStart), Ram->End};
    ULONG Index;

    Edges[1] = MIN(MAX(Edges[1], Ram->Base), Ram->End);
    Edges[2] = MIN(MAX(Edges[2], Ram->Base), Ram->End);
    for (Index = 0; Index < 3; Index += 1) {
        HalpMap(HALP_DIRECT_MAP + (Edges[Index] << PAGE_SHIFT), Edges[Index], Edges[Index + 1] - Edges[Index],
                Index == 1 ? HALP_PERMANENT_READ : HALP_PERMANENT_WRITE);
    }
}

/* Direct map and records of a range. The first page of records may be the last of the range before. */
static VOID
HalpMapRange(const HALP_RAM *Ram, PFN_NUMBER *MappedRecords)
{
    PFN_NUMBER First;
    PFN_NUMBER Count;
    PFN_NUMBER Frame;

    HalpMapDirect(Ram);
    First = MAX(HalpRecordPage(Ram->Base), *MappedRecords);
    if (First > HalpRecordPage(Ram->End - 1)) {
        return;
    }
    Count = HalpRecordPage(Ram->End - 1) - First + 1;
    Frame = HalpKeepAtEnd(Ram, Count, First);
    if (Frame == 0) {
        HalpRefuse("a range of memory is too small for its own records");
    }
    HalpMap(HALP_PFN_DATABASE + (First << PAGE_SHIFT), Frame, Count, HALP_PERMANENT_WRITE);
    *MappedRecords = First + Count;
}

/* A stack above a guard page; *Va moves on. Returns its base. */
static ULONG_PTR
HalpMakeStack(ULONG_PTR *Va, ULONG Pages)
{
    ULONG Index;

    *Va += PAGE_SIZE;
    for (Index = 0; Index < Pages; Index += 1) {
        HalpMap(*Va, HalpTakeFrame(), 1, HALP_PERMANENT_WRITE);
        *Va += PAGE_SIZE;
    }
    return *Va;
}

static VOID
HalpMakeProcessor(ULONG Number)
{
    PHALP_PROCESSOR Processor;
    ULONG_PTR Va;
    ULONG Stack;

    Processor = &HalpProcessors[Number];
    Processor->Pcr = (PKPCR)(HALP_DIRECT_MAP + (HalpTakeFrame() << PAGE_SHIFT));
    Va = HALP_STACKS + (ULONG_PTR)Number * HALP_STACK_STRIDE * PAGE_SIZE;
    Processor->BootBase = HalpMakeStack(&Va, HALP_BOOT_STACK_PAGES);
    Processor->BootLimit = Processor->BootBase - HALP_BOOT_STACK_PAGES * PAGE_SIZE;
    for (Stack = 1; Stack <= HALP_INTERRUPT_STACKS; Stack += 1) {
        Processor->InterruptBase[Stack] = HalpMakeStack(&Va, HALP_INTERRUPT_STACK_PAGES);
    }
}

static VOID
HalpMapDevices(VOID)
{
    HalpSharedDataFrame = HalpTakeFrame();
    HalpMap(HALP_SHARED_DATA, HalpSharedDataFrame, 1, HALP_PERMANENT_READ);
    HalpMap(HALP_LOCAL_APIC, (HalpReadMsr(HALP_MSR_APIC_BASE) & HALP_PTE_ADDRESS) >> PAGE_SHIFT, 1,
            HALP_PERMANENT_DEVICE);
}

/* --- The whole
 * ----------------------------------------------------------------------------------------------- */

static VOID
HalpReserveSlots(PHAL_LOADER_BLOCK LoaderBlock, ULONG_PTR Start, ULONG_PTR Bytes)
{
    ULONG_PTR Slot;

    for (Slot = (Start - HALP_SYSTEM_START) / HALP_SLOT_BYTES;
         Slot <= (Start + Bytes - 1 - HALP_SYSTEM_START) / HALP_SLOT_BYTES; Slot += 1) {
        LoaderBlock->ReservedSlots[Slot / 64] |= 1ull << (Slot % 64);
    }
}

static VOID
HalpFillLoaderBlock(PHAL_LOADER_BLOCK LoaderBlock)
{
    PFN_NUMBER Highest;
    ULONG Index;

    Highest = HalpRam[HalpRamCount - 1].End;
    HalpDescribeRuns(LoaderBlock);
    for (Index = 0; Index < LoaderBlock->RunCount; Index += 1) {
        LoaderBlock->MemoryBytes += LoaderBlock->Runs[Index].PageCount << PAGE_SHIFT;
    }
    LoaderBlock->RootFrame = HalpRootFrame();
    LoaderBlock->PfnDatabase = HALP_PFN_DATABASE;
    LoaderBlock->UserStart = HALP_USER_START;
    LoaderBlock->UserEnd = HALP_USER_END;
    LoaderBlock->SystemStart = HALP_SYSTEM_START;
    LoaderBlock->SystemEnd = HALP_SYSTEM_END;
    HalpReserveSlots(LoaderBlock, HALP_DIRECT_MAP, Highest << PAGE_SHIFT);
    HalpReserveSlots(LoaderBlock, HALP_PFN_DATABASE, Highest * HALP_RECORD_SIZE);
    HalpReserveSlots(LoaderBlock, HALP_SHARED_DATA, PAGE_SIZE);
}

VOID
HalpInitializeMemory(const HALP_BOOT_INFO *Info, PHAL_LOADER_BLOCK LoaderBlock, ULONG Processors)
{
    PFN_NUMBER MappedRecords;
    ULONG Index;

    HalpReadMap(Info);
    HalpKeepImageAndFiles(Info);
    if (Processors > 1) {
        HalpKeepStartup();
    }
    HalpKeepTables(Processors);
    MappedRecords = 0;
    for (Index = 0; Index < HalpRamCount; Index += 1) {
        HalpMapRange(&HalpRam[Index], &MappedRecords);
    }
    HalpMapImage();
    HalpMapDevices();
    if (Processors > 1) {
        HalpMakeStartupTables();
    }
    for (Index = 0; Index < Processors; Index += 1) {
        HalpMakeProcessor(Index);
    }
    HalLoadRoot(HalpRootFrame());
    HalDirectMapBase = HALP_DIRECT_MAP;
    HalpFillLoaderBlock(LoaderBlock);
    if (LoaderBlock->MemoryBytes < HALP_MINIMUM_MEMORY - (1ull << 20)) {
        HalpRefuse("at least 16 MB of memory are needed");
    }
}
