/* The scratch core: what the machine calls, frames and page tables, jobs for processors, TAP. */
#include "scratch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCRATCH_CODE_PAGE (SCRATCH_BASE + 0x3FFFF000ull)

PHAL_LOADER_BLOCK ScratchLoader;
volatile SCRATCH_TRAP ScratchTrap;
volatile ULONG ScratchClocks, ScratchIpis, ScratchSoftware, ScratchDemands;
volatile ULONG64 ScratchTick;
ULONG_PTR ScratchDemandStart, ScratchDemandEnd;
volatile ULONG_PTR ScratchNested;
volatile ULONG ScratchStale, ScratchStaleDepth;
volatile ULONG_PTR ScratchStaleVa;
const char *ScratchMode;

static ULONG ScratchFailures;
static ULONG ScratchRun;
static PFN_NUMBER ScratchNextFrame;
static volatile SCRATCH_JOB ScratchJob;
static volatile ULONG ScratchJobNumber;
static volatile ULONG ScratchJobsDone;

static VOID
ScratchPrint(const char *Text)
{
    HalPutConsole(Text, strlen(Text));
}

VOID
ScratchCheck(BOOLEAN Passed, const char *File, int Line, const char *Text)
{
    char Note[256];

    if (!Passed) {
        snprintf(Note, sizeof(Note), "# %s:%d: %s\n", File, Line, Text);
        ScratchPrint(Note);
        ScratchFailures += 1;
    }
}

static VOID DECLSPEC_NORETURN
ScratchDie(const char *What, ULONG_PTR Where, ULONG Code)
{
    char Note[128];

    snprintf(Note, sizeof(Note), "Bail out! %s at %llx, code %x\n", What, Where, Code);
    ScratchPrint(Note);
    HalExit(9);
}

/*
 * --- Frames and tables
 * -------------------------------------------------------------------------------
 */

PFN_NUMBER
ScratchFrame(VOID)
{
    PHAL_MEMORY_RUN Run;

    for (;;) {
        Run = &ScratchLoader->Runs[ScratchRun];
        if (ScratchRun == ScratchLoader->RunCount) {
            ScratchDie("out of frames", 0, 0);
        }
        if (ScratchNextFrame < Run->BasePage) {
            ScratchNextFrame = Run->BasePage;
        }
        if (Run->Type == HalMemoryZero && Run->PageCount > 1024 &&
            ScratchNextFrame + 2 <= Run->BasePage + Run->PageCount) {
            ScratchNextFrame += 2; /* so that no two are neighbours */
            return ScratchNextFrame - 2;
        }
        ScratchRun += 1;
    }
}

static volatile ULONG64 *
ScratchEntryAt(ULONG_PTR Va, ULONG Level)
{
    volatile ULONG64 *Entry;
    PFN_NUMBER Table;
    ULONG At;

    Table = ScratchLoader->RootFrame;
    for (At = 4;; At -= 1) {
        Entry = (volatile ULONG64 *)HalFrameAddress(Table) + ((Va >> (12 + 9 * (At - 1))) & 511);
        if (At == Level) {
            return Entry;
        }
        if ((*Entry & HALP_PTE_VALID) == 0) {
            *Entry = (ScratchFrame() << 12) | HALP_PTE_VALID | HALP_PTE_WRITE | HALP_PTE_USER; /* leaves decide */
        }
        Table = HALP_PTE_FRAME(*Entry);
    }
}

volatile ULONG64 *
ScratchEntry(ULONG_PTR Va)
{
    return ScratchEntryAt(Va, 1);
}

volatile ULONG64 *
ScratchDirectoryEntry(ULONG_PTR Va)
{
    return ScratchEntryAt(Va, 2);
}

VOID
ScratchMap(ULONG_PTR Va, PFN_NUMBER Frame, ULONG64 Bits)
{
    *ScratchEntry(Va) = (Frame << 12) | Bits;
}

VOID
ScratchFlush(ULONG_PTR Va, HAL_AFFINITY Processors)
{
    HAL_FLUSH_RANGE Range = {Va, 1};

    HalFlushTb(&Range, 1, Processors);
}

VOID
ScratchTouch(ULONG_PTR Va)
{
    (void)*(volatile UCHAR *)Va;
}

SCRATCH_CODE
ScratchCode(const VOID *Bytes, SIZE_T Length)
{
    static PFN_NUMBER Frame;

    if (Frame == 0) {
        Frame = ScratchFrame();
        ScratchMap(SCRATCH_CODE_PAGE, Frame, SCRATCH_EXECUTE);
    }
    memset(HalFrameAddress(Frame), 0xCC, PAGE_SIZE);
    memcpy(HalFrameAddress(Frame), Bytes, Length);
    return (SCRATCH_CODE)SCRATCH_CODE_PAGE;
}

/*
 * --- What the machine calls
 * ------------------------------------------------------------------------------
 */

VOID
ScratchExpect(ULONG Skip)
{
    ScratchTrap.Armed = TRUE;
    ScratchTrap.Vector = 0xFFFF;
    ScratchTrap.Skip = Skip;
}

static BOOLEAN
ScratchExpected(PKTRAP_FRAME TrapFrame, ULONG Vector, ULONG ErrorCode, ULONG_PTR Address)
{
    if (!ScratchTrap.Armed) {
        return FALSE;
    }
    ScratchTrap.Armed = FALSE;
    ScratchTrap.Vector = Vector;
    ScratchTrap.ErrorCode = ErrorCode;
    ScratchTrap.Address = Address;
    TrapFrame->Rip += ScratchTrap.Skip;
    return TRUE;
}

VOID
KiPageFault(PKTRAP_FRAME TrapFrame, ULONG_PTR Address, ULONG ErrorCode)
{
    ULONG_PTR Nested;

    if (Address >= ScratchDemandStart && Address < ScratchDemandEnd && (ErrorCode & 1) == 0) {
        Nested = ScratchNested;
        ScratchNested = 0;
        if (Nested != 0) {
            *(volatile ULONG *)Nested = 5;
        }
        ScratchDemands += 1;
        ScratchMap(Address, ScratchFrame(), SCRATCH_READ_WRITE);
        return;
    }
    if (!ScratchExpected(TrapFrame, 14, ErrorCode, Address)) {
        ScratchDie("page fault", Address, ErrorCode);
    }
}

VOID
KiTrap(PKTRAP_FRAME TrapFrame, ULONG Vector, ULONG ErrorCode)
{
    if (Vector == 8) {
        ScratchPrint("# stopped: double fault\n");
        HalExit(8);
    }
    if (!ScratchExpected(TrapFrame, Vector, ErrorCode, 0)) {
        ScratchDie("trap", TrapFrame->Rip, Vector);
    }
}

VOID
KiClockInterrupt(PKTRAP_FRAME TrapFrame)
{
    (void)TrapFrame;
    CHECK(HalGetIrql() == CLOCK_LEVEL);
    ScratchClocks += 1;
    if (ScratchTick != 0) {
        HalSetClockDeadline(HalQueryInterruptTime() + ScratchTick);
    }
}

VOID
KiIpiInterrupt(PKTRAP_FRAME TrapFrame)
{
    (void)TrapFrame;
    CHECK(HalGetIrql() == IPI_LEVEL);
    ScratchIpis += 1;
}

VOID
KiSoftwareInterrupt(KIRQL Irql)
{
    CHECK(HalGetIrql() == Irql);
    ScratchSoftware += Irql;
}

VOID
KiStaleTranslation(PFN_NUMBER Frame, ULONG_PTR Va, PVOID *Stack, ULONG Depth)
{
    (void)Frame;
    (void)Stack;
    ScratchStale += 1;
    ScratchStaleVa = Va;
    ScratchStaleDepth = Depth;
}

VOID
KiMachineStop(const char *Reason, const char *Text, PKTRAP_FRAME TrapFrame)
{
    char Note[256];

    snprintf(Note, sizeof(Note), "# stopped: %s: %s%s\n", Reason, Text, TrapFrame != NULL ? ", in code" : "");
    ScratchPrint(Note);
    HalExit(5);
}

KIRQL NTAPI
KfRaiseIrql(KIRQL NewIrql)
{
    KIRQL Old;

    Old = HalGetIrql();
    HalSetIrql(NewIrql);
    return Old;
}

VOID NTAPI
KeLowerIrql(KIRQL NewIrql)
{
    HalLowerIrql(NewIrql);
}

/*
 * --- Processors
 * ----------------------------------------------------------------------------------------------
 */

VOID
KiProcessorStartup(PKPCR Pcr)
{
    ULONG Done;

    Done = 0;
    HalSetIrql(PASSIVE_LEVEL);
    HalRestoreInterrupts(TRUE);
    CHECK(KeGetPcr() == Pcr && PcrRead32(Number) == Pcr->Number);
    for (;;) {
        if (ScratchJobNumber != Done) {
            Done = ScratchJobNumber;
            ScratchJob(Pcr->Number);
            ScratchJobsDone += 1;
        }
        HalSetIrql(DISPATCH_LEVEL);
        if (ScratchJobNumber == Done) {
            HalIdle();
        }
        HalLowerIrql(PASSIVE_LEVEL);
    }
}

VOID
ScratchStartJob(SCRATCH_JOB Job)
{
    ScratchJob = Job;
    ScratchJobsDone = 0;
    ScratchJobNumber += 1;
    HalRequestIpi(HAL_ALL_PROCESSORS & ~1ull);
}

VOID
ScratchFinishJob(VOID)
{
    while (ScratchJobsDone != HalProcessorCount() - 1) {
        HalPause();
    }
}

VOID DECLSPEC_NORETURN
KiSystemStartup(PHAL_LOADER_BLOCK LoaderBlock)
{
    static const struct {
        const char *Name;
        VOID (*Routine)(VOID);
    } Tests[] = {
        {"memory map and permanent mappings", TestMemory},
        {"faults, evictions, nesting", TestFaults},
        {"rights, accessed, dirty, error codes", TestRights},
        {"large pages", TestLarge},
        {"traps", TestTraps},
        {"privileged instructions", TestEmulation},
        {"shared user data", TestSharedData},
        {"stacks", TestStacks},
        {"clock", TestClock},
        {"processors", TestProcessors},
        {"translations that outlive a flush", TestStale},
        {"user mode", TestUserMode},
    };
    char Line[128];
    ULONG Failed;
    ULONG Before;
    ULONG Index;

    ScratchLoader = LoaderBlock;
    ScratchMode = getenv("SCRATCH_MODE");
    CHECK(HalGetIrql() == HIGH_LEVEL);
    HalSetIrql(PASSIVE_LEVEL);
    HalRestoreInterrupts(TRUE);
    if (HalProcessorCount() > 1) {
        HalStartProcessors();
    }
    if (ScratchMode != NULL) {
        TestStop(ScratchMode);
    }
    Failed = 0;
    for (Index = 0; Index < RTL_NUMBER_OF(Tests); Index += 1) {
        Before = ScratchFailures;
        Tests[Index].Routine();
        CHECK(HalpTlbValidate());
        Failed += ScratchFailures != Before;
        snprintf(Line, sizeof(Line), "%sok %u - %s\n", ScratchFailures != Before ? "not " : "", Index + 1,
                 Tests[Index].Name);
        ScratchPrint(Line);
    }
    snprintf(Line, sizeof(Line), "1..%u\n", Index);
    ScratchPrint(Line);
    HalExit(Failed == 0 ? 0 : 1);
}
