/*
 * ram.c - physical memory: the memfd, the memory map, the direct map and the tables in force at
 * boot.
 *
 * Owns the file behind all frames (frame n is at byte n * 4096, sparse, far larger than RAM) and
 * the permanent mappings: the direct map of every run of RAM and the records of the PFN database.
 * Both are ordinary shared mappings of the process, and also entries of the boot page tables, so
 * that a walk finds them. The map is a PC's: frame 0 is not RAM, nor are 640 KB to 1 MB and, above
 * 3 GB of memory, 3 GB to 4 GB. A run keeps the frames of its own PFN records at its end; the
 * tables, processor regions and boot stacks are at the end of the largest run below 4 GB. Memory
 * added later has its records and tables in hidden frames far above RAM. Runs before the core;
 * only HalExtendPermanentMaps comes later, and it prepares before it commits.
 */
#define _GNU_SOURCE
#include "halp.h"
#include "hostsys.h"

#include <sys/mman.h>
#include <unistd.h>

#define HALP_RECORD_SIZE       32ull /* bytes of a frame's record */
#define HALP_RECORDS_PER_PAGE  (PAGE_SIZE / HALP_RECORD_SIZE)
#define HALP_TABLE_ENTRY_COUNT 512
#ifdef HALP_ASAN
#define HALP_BOOT_STACK_PAGES  32
#define HALP_SPARE_STACK_PAGES 16
#else
#define HALP_BOOT_STACK_PAGES  8
#define HALP_SPARE_STACK_PAGES 4
#endif
/* Region, guard, boot stack, guard, spare stack. */
#define HALP_PROCESSOR_PAGES (3 + HALP_BOOT_STACK_PAGES + HALP_SPARE_STACK_PAGES)

_Static_assert(sizeof(KPCR) <= PAGE_SIZE, "a processor's region is one page");
_Static_assert(sizeof(KUSER_SHARED_DATA) <= PAGE_SIZE, "shared user data is one page");

ULONG_PTR HalDirectMapBase = HALP_DIRECT_MAP;
int HalpMemoryFile = -1;

static HAL_MEMORY_RUN HalpRam[HAL_MAXIMUM_RUNS]; /* what is RAM, whatever it is used for */
static ULONG HalpRamRuns;
static PFN_NUMBER HalpRootFrame;
static PFN_NUMBER HalpSharedDataFrame;
static PFN_NUMBER HalpTakeNext; /* permanent frames not yet used */
static PFN_NUMBER HalpTakeEnd;

/*
 * --- Questions
 * ----------------------------------------------------------------------------------------------
 */

BOOLEAN
HalpFrameExists(PFN_NUMBER Frame)
{
    ULONG Index;

    for (Index = 0; Index < HalpRamRuns; Index += 1) {
        if (Frame - HalpRam[Index].BasePage < HalpRam[Index].PageCount) {
            return TRUE;
        }
    }
    return Frame - HALP_IO_FRAME < HALP_IO_FRAMES || Frame - HALP_HIDDEN_FRAME < HALP_HIDDEN_FRAMES;
}

/* One window of 1 MB at 0xFED00000 is a device: memory that no run describes. */
BOOLEAN
HalIsIoSpace(PFN_NUMBER BasePage, PFN_NUMBER PageCount)
{
    return PageCount != 0 && BasePage >= HALP_IO_FRAME && BasePage - HALP_IO_FRAME < HALP_IO_FRAMES &&
           PageCount <= HALP_IO_FRAMES - (BasePage - HALP_IO_FRAME);
}

/* Where the core writes shared user data; images read it at its two fixed addresses. */
PKUSER_SHARED_DATA
HalSharedUserData(VOID)
{
    return HalFrameAddress(HalpSharedDataFrame);
}

/*
 * --- Permanent mappings
 * ----------------------------------------------------------------------------------------
 */

static PFN_NUMBER
HalpTake(VOID)
{
    if (HalpTakeNext == HalpTakeEnd) {
        return 0;
    }
    HalpTakeNext += 1;
    return HalpTakeNext - 1;
}

/*
 * The entry for Va in a table of Level (4 is the root's), making tables on the way. NULL: out of
 * frames.
 */
static ULONG64 *
HalpBootEntry(ULONG_PTR Va, ULONG Level)
{
    ULONG64 *Entry;
    PFN_NUMBER Table;
    ULONG At;

    Table = HalpRootFrame;
    for (At = 4;; At -= 1) {
        Entry = (ULONG64 *)HalFrameAddress(Table) + ((Va >> (PAGE_SHIFT + 9 * (At - 1))) & 0x1FF);
        if (At == Level) {
            return Entry;
        }
        if (*Entry == 0) {
            Table = HalpTake();
            if (Table == 0) {
                return NULL;
            }
            *Entry = (Table << PAGE_SHIFT) | HALP_PTE_VALID | HALP_PTE_WRITE | HALP_PTE_ACCESSED;
        } else if ((*Entry & HALP_PTE_LARGE) != 0) {
            return Entry;
        }
        Table = HALP_PTE_FRAME(*Entry);
    }
}

static BOOLEAN
HalpAligned(ULONG_PTR Va, PFN_NUMBER Frame, PFN_NUMBER Count, PFN_NUMBER Pages)
{
    return (((Va >> PAGE_SHIFT) | Frame) & (Pages - 1)) == 0 && Count >= Pages;
}

/* Enter [Va, Va + Count pages) -> Frame in the boot tables, in the largest pages that fit. */
static BOOLEAN
HalpBootMap(ULONG_PTR Va, PFN_NUMBER Frame, PFN_NUMBER Count, ULONG64 Bits)
{
    PFN_NUMBER Pages;
    ULONG64 *Entry;
    ULONG Level;

    while (Count > 0) {
        Level = 1;
        Pages = 1;
        while (Level < 3 && HalpAligned(Va, Frame, Count, Pages << 9)) {
            Level += 1;
            Pages <<= 9;
        }
        Entry = HalpBootEntry(Va, Level);
        if (Entry == NULL) {
            return FALSE;
        }
        *Entry = (Frame << PAGE_SHIFT) | Bits | (Level > 1 ? HALP_PTE_LARGE : 0);
        Va += Pages << PAGE_SHIFT;
        Frame += Pages;
        Count -= Pages;
    }
    return TRUE;
}

#define HALP_PERMANENT_BITS                                                                                  \
    (HALP_PTE_VALID | HALP_PTE_WRITE | HALP_PTE_ACCESSED | HALP_PTE_DIRTY | HALP_PTE_GLOBAL | HALP_PTE_NX)

static BOOLEAN
HalpHostMapFrames(ULONG_PTR Va, PFN_NUMBER Frame, PFN_NUMBER Count)
{
    return HalpHostMap(Va, Count << PAGE_SHIFT, PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_FIXED_NOREPLACE | MAP_NORESERVE, HalpMemoryFile,
                       Frame << PAGE_SHIFT) >= 0;
}

static ULONG_PTR
HalpRecordPage(PFN_NUMBER Frame)
{
    return (HALP_PFN_DATABASE + Frame * HALP_RECORD_SIZE) & ~(ULONG_PTR)(PAGE_SIZE - 1);
}

/* Pages of the PFN database that hold the records of a range. */
static PFN_NUMBER
HalpRecordPages(PFN_NUMBER BasePage, PFN_NUMBER PageCount)
{
    return ((HalpRecordPage(BasePage + PageCount - 1) - HalpRecordPage(BasePage)) >> PAGE_SHIFT) + 1;
}

/*
 * --- The memory map
 * ---------------------------------------------------------------------------------------------
 */

static VOID
HalpAddRun(PHAL_LOADER_BLOCK LoaderBlock, PFN_NUMBER BasePage, PFN_NUMBER PageCount, HAL_MEMORY_TYPE Type,
           ULONG Node)
{
    PHAL_MEMORY_RUN Run;

    if (PageCount == 0) {
        return;
    }
    if (LoaderBlock->RunCount == HAL_MAXIMUM_RUNS) {
        HalpRefuse("the memory map has too many runs: fewer nodes are needed");
    }
    Run = &LoaderBlock->Runs[LoaderBlock->RunCount];
    Run->BasePage = BasePage;
    Run->PageCount = PageCount;
    Run->Type = Type;
    Run->Node = Node;
    LoaderBlock->RunCount += 1;
}

static VOID
HalpAddRam(PFN_NUMBER BasePage, PFN_NUMBER End, ULONG Node)
{
    if (BasePage >= End) {
        return;
    }
    if (HalpRamRuns == RTL_NUMBER_OF(HalpRam)) {
        HalpRefuse("the memory map has too many runs: fewer nodes are needed");
    }
    HalpRam[HalpRamRuns].BasePage = BasePage;
    HalpRam[HalpRamRuns].PageCount = End - BasePage;
    HalpRam[HalpRamRuns].Node = Node;
    HalpRamRuns += 1;
}

/* Cut one stretch of RAM where a node's share ends; Placed counts frames over all stretches. */
static VOID
HalpAddStretch(PFN_NUMBER BasePage, PFN_NUMBER End, ULONG Nodes, PFN_NUMBER Total, PFN_NUMBER *Placed)
{
    PFN_NUMBER Share;
    PFN_NUMBER Cut;
    ULONG Node;

    Share = Total / Nodes;
    while (BasePage < End) {
        Node = (ULONG)MIN(*Placed / Share, Nodes - 1);
        Cut = End;
        if (Node + 1 < Nodes) {
            Cut = ALIGN_UP_BY(BasePage + (Share * (Node + 1) - *Placed), 512);
            Cut = MIN(Cut, End);
        }
        HalpAddRam(BasePage, Cut, Node);
        *Placed += Cut - BasePage;
        BasePage = Cut;
    }
}

/*
 * The run's frames: first what is free, then (for the run that carries the boot frames) those,
 * last the run's own PFN records, so placed that 2 MB pages can map them if they fill any. Returns
 * the first frame of records.
 */
static PFN_NUMBER
HalpDescribeRun(PHAL_LOADER_BLOCK LoaderBlock, const HAL_MEMORY_RUN *Ram, PFN_NUMBER BootFrames)
{
    PFN_NUMBER Records;
    PFN_NUMBER First;
    PFN_NUMBER End;
    ULONG_PTR Va;

    Va = HalpRecordPage(Ram->BasePage);
    Records = HalpRecordPages(Ram->BasePage, Ram->PageCount);
    End = Ram->BasePage + Ram->PageCount;
    First = End - Records;
    if (Records >= 512) {
        First -= (First - (Va >> PAGE_SHIFT)) & 0x1FF;
    }
    if (First < Ram->BasePage + BootFrames) {
        HalpRefuse("at least %llu MB of memory are needed", HALP_MINIMUM_MEMORY >> 20);
    }
    HalpAddRun(LoaderBlock, Ram->BasePage, First - BootFrames - Ram->BasePage, HalMemoryZero, Ram->Node);
    HalpAddRun(LoaderBlock, First - BootFrames, BootFrames + Records, HalMemoryPermanent, Ram->Node);
    HalpAddRun(LoaderBlock, First + Records, End - First - Records, HalMemoryZero, Ram->Node);
    if (!HalpHostMapFrames(Va, First, Records) ||
        !HalpHostMapFrames((ULONG_PTR)HalFrameAddress(Ram->BasePage), Ram->BasePage, Ram->PageCount)) {
        HalpRefuse("the host has no address space for this much memory");
    }
    if (BootFrames != 0) {
        HalpTakeNext = First - BootFrames;
        HalpTakeEnd = First;
    }
    return First;
}

/*
 * Frames for tables: two per GB of database, one per 512 GB of direct map, and the odd ends of
 * runs.
 */
static PFN_NUMBER
HalpBootFrames(ULONG Processors, PFN_NUMBER Frames)
{
    return (PFN_NUMBER)Processors * HALP_PROCESSOR_PAGES + 16 + (PFN_NUMBER)HalpRamRuns * 6 +
           2 * (Frames * HALP_RECORD_SIZE >> 30) + (Frames >> 27);
}

/* The run that carries the boot frames: the largest that ends at or below 4 GB. */
static ULONG
HalpBootRun(VOID)
{
    ULONG Best;
    ULONG Index;

    Best = 0;
    for (Index = 1; Index < HalpRamRuns; Index += 1) {
        if (HalpRam[Index].PageCount > HalpRam[Best].PageCount &&
            HalpRam[Index].BasePage + HalpRam[Index].PageCount <= 0x100000) {
            Best = Index;
        }
    }
    return Best;
}

static VOID
HalpMapRun(const HAL_MEMORY_RUN *Ram, PFN_NUMBER FirstRecord)
{
    if (!HalpBootMap((ULONG_PTR)HalFrameAddress(Ram->BasePage), Ram->BasePage, Ram->PageCount,
                     HALP_PERMANENT_BITS) ||
        !HalpBootMap(HalpRecordPage(Ram->BasePage), FirstRecord,
                     HalpRecordPages(Ram->BasePage, Ram->PageCount), HALP_PERMANENT_BITS)) {
        HalpRefuse("internal: too few frames for the boot tables");
    }
}

/*
 * --- Processor regions, stacks, shared data
 * -----------------------------------------------------------------------
 */

static VOID
HalpGuard(PFN_NUMBER Frame)
{
    HalpHostProtect((ULONG_PTR)HalFrameAddress(Frame), PAGE_SIZE, PROT_NONE);
}

static VOID
HalpMakeProcessor(ULONG Number)
{
    PHALP_PROCESSOR Processor;
    PFN_NUMBER First;

    First = HalpTakeNext;
    HalpTakeNext += HALP_PROCESSOR_PAGES;
    Processor = &HalpProcessors[Number];
    Processor->Pcr = HalFrameAddress(First);
    HalpGuard(First + 1);
    Processor->BootLimit = (ULONG_PTR)HalFrameAddress(First + 2);
    Processor->BootBase = Processor->BootLimit + HALP_BOOT_STACK_PAGES * PAGE_SIZE;
    HalpGuard(First + 2 + HALP_BOOT_STACK_PAGES);
    Processor->SpareLimit = Processor->BootBase + PAGE_SIZE;
    Processor->SpareBase = Processor->SpareLimit + HALP_SPARE_STACK_PAGES * PAGE_SIZE;
    HalpInitializeProcessor(Number, HalpRootFrame);
}

static VOID
HalpMakeSharedData(VOID)
{
    HalpSharedDataFrame = HalpTake();
    if (HalpHostMap(HALP_SHARED_DATA_USER, PAGE_SIZE, PROT_READ, MAP_SHARED | MAP_FIXED, HalpMemoryFile,
                    HalpSharedDataFrame << PAGE_SHIFT) < 0) {
        HalpRefuse("the host does not let shared user data be mapped at 0x7FFE0000");
    }
    HalpBootMap(HALP_SHARED_DATA_KERNEL, HalpSharedDataFrame, 1,
                HALP_PTE_VALID | HALP_PTE_ACCESSED | HALP_PTE_GLOBAL | HALP_PTE_NX);
}

/* Which node a processor belongs to: shares of equal size, in order. */
static ULONG
HalpNodeOf(ULONG Number, ULONG Processors, ULONG Nodes)
{
    return (ULONG)((ULONG64)Number * Nodes / Processors);
}

static VOID
HalpLayOut(PFN_NUMBER Frames, ULONG Nodes)
{
    PFN_NUMBER Placed;

    Placed = 0;
    HalpAddStretch(1, 0xA0, Nodes, Frames, &Placed);
    HalpAddStretch(0x100, MIN(Frames, 0xC0000), Nodes, Frames, &Placed);
    if (Frames > 0xC0000) {
        HalpAddStretch(0x100000, 0x100000 + (Frames - 0xC0000), Nodes, Frames, &Placed);
    }
}

VOID
HalpInitializeMemory(PHAL_LOADER_BLOCK LoaderBlock, ULONG Nodes, ULONG Processors)
{
    PFN_NUMBER FirstRecord[HAL_MAXIMUM_RUNS];
    PFN_NUMBER Frames;
    ULONG BootRun;
    ULONG Index;

    Frames = LoaderBlock->MemoryBytes >> PAGE_SHIFT;
    if (Frames < HALP_MINIMUM_MEMORY >> PAGE_SHIFT) {
        HalpRefuse("at least %llu MB of memory are needed", HALP_MINIMUM_MEMORY >> 20);
    }
    if (Frames > HALP_MAXIMUM_FRAMES - 0x40000) {
        HalpRefuse("at most %llu GB of memory can be simulated", (HALP_MAXIMUM_FRAMES - 0x40000) >> 18);
    }
    HalpMemoryFile = memfd_create("ntmm-ram", MFD_CLOEXEC);
    if (HalpMemoryFile < 0 ||
        ftruncate(HalpMemoryFile, (HALP_MAXIMUM_FRAMES + HALP_HIDDEN_FRAMES) << PAGE_SHIFT) != 0) {
        HalpRefuse("the host refused the file behind simulated memory");
    }
    HalpLayOut(Frames, Nodes);
    BootRun = HalpBootRun();
    for (Index = 0; Index < HalpRamRuns; Index += 1) {
        FirstRecord[Index] = HalpDescribeRun(LoaderBlock, &HalpRam[Index],
                                             Index == BootRun ? HalpBootFrames(Processors, Frames) : 0);
    }
    HalpRootFrame = HalpTake();
    for (Index = 0; Index < HalpRamRuns; Index += 1) {
        HalpMapRun(&HalpRam[Index], FirstRecord[Index]);
    }
    HalpMakeSharedData();
    for (Index = 0; Index < Processors; Index += 1) {
        HalpMakeProcessor(Index);
        HalpProcessors[Index].Pcr->Node = HalpNodeOf(Index, Processors, Nodes);
    }
    LoaderBlock->RootFrame = HalpRootFrame;
    LoaderBlock->PfnDatabase = HALP_PFN_DATABASE;
    LoaderBlock->UserStart = HALP_USER_START;
    LoaderBlock->UserEnd = HALP_USER_END;
    if (HALP_HOLE_END > HALP_SHARED_DATA_USER + PAGE_SIZE) {
        LoaderBlock->UserHoles[0].Start = HALP_SHARED_DATA_USER + PAGE_SIZE;
        LoaderBlock->UserHoles[0].End = HALP_HOLE_END;
        LoaderBlock->UserHoleCount = 1;
    }
    LoaderBlock->SystemStart = HALP_SYSTEM_START;
    LoaderBlock->SystemEnd = HALP_SYSTEM_END;
}

/*
 * --- Memory added while running
 * -------------------------------------------------------------------------------------
 */

/* Enter what is not yet there of the range's PFN records, a page at a time, in hidden frames. */
static BOOLEAN
HalpExtendRecords(PFN_NUMBER BasePage, PFN_NUMBER PageCount)
{
    ULONG_PTR Va;
    ULONG_PTR End;
    ULONG64 *Entry;
    PFN_NUMBER Frame;

    Va = HalpRecordPage(BasePage);
    End = Va + (HalpRecordPages(BasePage, PageCount) << PAGE_SHIFT);
    for (; Va < End; Va += PAGE_SIZE) {
        Entry = HalpBootEntry(Va, 1);
        if (Entry == NULL) {
            return FALSE;
        }
        if (*Entry != 0) {
            continue;
        }
        Frame = HalpTake();
        if (Frame == 0 || !HalpHostMapFrames(Va, Frame, 1)) {
            return FALSE;
        }
        *Entry = (Frame << PAGE_SHIFT) | HALP_PERMANENT_BITS;
    }
    return TRUE;
}

/*
 * Frames of the file that are not RAM yet: every one must be new. PASSIVE_LEVEL, one caller at a
 * time.
 */
NTSTATUS
HalExtendPermanentMaps(PFN_NUMBER BasePage, PFN_NUMBER PageCount)
{
    static BOOLEAN HiddenMapped;
    PFN_NUMBER End;
    ULONG Index;

    End = BasePage + PageCount;
    if (PageCount == 0 || BasePage == 0 || End < BasePage || End > HALP_MAXIMUM_FRAMES ||
        HalpRamRuns == HAL_MAXIMUM_RUNS ||
        (BasePage < HALP_IO_FRAME + HALP_IO_FRAMES && End > HALP_IO_FRAME)) {
        return STATUS_NOT_SUPPORTED;
    }
    for (Index = 0; Index < HalpRamRuns; Index += 1) {
        if (BasePage < HalpRam[Index].BasePage + HalpRam[Index].PageCount && HalpRam[Index].BasePage < End) {
            return STATUS_NOT_SUPPORTED;
        }
    }
    if (!HiddenMapped) {
        if (!HalpHostMapFrames((ULONG_PTR)HalFrameAddress(HALP_HIDDEN_FRAME), HALP_HIDDEN_FRAME,
                               HALP_HIDDEN_FRAMES)) {
            return STATUS_NOT_SUPPORTED;
        }
        HalpTakeNext = HALP_HIDDEN_FRAME;
        HalpTakeEnd = HALP_HIDDEN_FRAME + HALP_HIDDEN_FRAMES;
        HiddenMapped = TRUE;
    }
    if (!HalpHostMapFrames((ULONG_PTR)HalFrameAddress(BasePage), BasePage, PageCount) ||
        !HalpBootMap((ULONG_PTR)HalFrameAddress(BasePage), BasePage, PageCount, HALP_PERMANENT_BITS) ||
        !HalpExtendRecords(BasePage, PageCount)) {
        return STATUS_NOT_SUPPORTED;
    }
    HalpAddRam(BasePage, End, 0);
    return STATUS_SUCCESS;
}
