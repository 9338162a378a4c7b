/*
 * startup.c - starting the other processors.
 *
 * Owns a page below 1 MB with the code that a processor begins with (startup.S), and tables that have that page at its
 * own address, read-only and executable, beside everything that the machine's tables have: nothing of the kind is
 * ever in the address space that the kernel runs in. Both are set aside with the machine's memory. Processors are
 * started one after the other, each on its own boot stack, so the words that it reads are its own until it has said
 * that it runs. One that does not say so within some seconds is left alone; the core misses it and ends the run.
 */
#include "halp.h"
#include <hal/x64/switch.h>

#define HALP_STARTUP_LIMIT   0x9F           /* frames: below the firmware's data and the adapters */
#define HALP_STARTUP_SECONDS 10

/* What startup.S reads, at its end. */
typedef struct __attribute__((packed)) _HALP_STARTUP_WORDS {
    ULONG64 Root;
    ULONG64 Stack;
    PHALP_PROCESSOR Processor;
    VOID (*Entry)(PHALP_PROCESSOR);
    ULONG FarOffset;
    ULONG FarSelector;
    USHORT GdtLimit;
    ULONG GdtBase;
    USHORT Reserved;
} HALP_STARTUP_WORDS, *PHALP_STARTUP_WORDS;

extern const UCHAR HalpStartupCode[];
extern const UCHAR HalpStartupWords[];
extern const UCHAR HalpStartupEnd[];

static PFN_NUMBER HalpStartupFrame;
static PFN_NUMBER HalpStartupTables[4]; /* by level, the root last */

VOID
HalpKeepStartup(VOID)
{
    HALP_RAM Low;

    if (HalpRamCount == 0 || HalpRam[0].Base >= HALP_STARTUP_LIMIT) {
        HalpRefuse("there is no memory below 1 MB to start processors with");
    }
    Low.Base = HalpRam[0].Base;
    Low.End = MIN(HalpRam[0].End, HALP_STARTUP_LIMIT);
    HalpStartupFrame = HalpKeepAtEnd(&Low, 1, 0);
    if (HalpStartupFrame == 0) {
        HalpRefuse("there is no memory below 1 MB to start processors with");
    }
}

VOID
HalpMakeStartupTables(VOID)
{
    ULONG Level;

    for (Level = 0; Level < RTL_NUMBER_OF(HalpStartupTables); Level += 1) {
        HalpStartupTables[Level] = HalpTakeFrame();
    }
}

static ULONG64 *
HalpStartupTable(ULONG Level)
{
    return HalFrameAddress(HalpStartupTables[Level - 1]);
}

/* The kernel's half as it is now, and the page at its own address. */
static VOID
HalpFillStartupTables(VOID)
{
    const ULONG64 *Kernel = HalFrameAddress(HalpRootFrame());
    ULONG64 *Root = HalpStartupTable(4);
    ULONG Index;

    for (Index = 256; Index < 512; Index += 1) {
        Root[Index] = Kernel[Index];
    }
    for (Index = 2; Index <= 4; Index += 1) {
        HalpStartupTable(Index)[0] =
            (HalpStartupTables[Index - 2] << PAGE_SHIFT) | HALP_PTE_VALID | HALP_PTE_WRITE | HALP_PTE_ACCESSED;
    }
    HalpStartupTable(1)[HalpStartupFrame] =
        (HalpStartupFrame << PAGE_SHIFT) | (HALP_PERMANENT_EXECUTE & ~HALP_PTE_GLOBAL);
}

static PHALP_STARTUP_WORDS
HalpCopyStartupCode(VOID)
{
    PUCHAR Page = HalFrameAddress(HalpStartupFrame);
    PHALP_STARTUP_WORDS Words;
    ULONG Index;

    for (Index = 0; Index < (ULONG)(HalpStartupEnd - HalpStartupCode); Index += 1) {
        Page[Index] = HalpStartupCode[Index];
    }
    Words = (PHALP_STARTUP_WORDS)(Page + (HalpStartupWords - HalpStartupCode));
    Words->Root = HalpStartupTables[3] << PAGE_SHIFT;
    Words->FarOffset += (ULONG)(HalpStartupFrame << PAGE_SHIFT);
    Words->GdtBase += (ULONG)(HalpStartupFrame << PAGE_SHIFT);
    return Words;
}

/*
 * The first C code of a processor, on its boot stack, with the start-up tables and interrupts off. It takes part in
 * flushes from the moment it says that it runs, and holds no translation yet that one could have missed.
 */
static VOID
HalpStartedProcessor(PHALP_PROCESSOR Processor)
{
    HalpPrepareProcessor();
    HalpLoadDescriptors(Processor);
    HalpWriteMsr(HALP_MSR_GS_BASE, (ULONG_PTR)Processor->Pcr);
    HalpInitializeApic();
    HalSetIrql(HIGH_LEVEL);
    HalpJoinFlushes(Processor);
    HalLoadRoot(HalpRootFrame());
    __atomic_store_n(&Processor->Running, TRUE, __ATOMIC_RELEASE);
    KiProcessorStartup(Processor->Pcr);
}

/* Wait until it runs, at most so long. */
static BOOLEAN
HalpWaitForStart(const HALP_PROCESSOR *Processor, ULONG64 Units)
{
    ULONG64 End;

    End = HalQueryInterruptTime() + Units;
    while (!__atomic_load_n(&Processor->Running, __ATOMIC_ACQUIRE)) {
        if (HalQueryInterruptTime() > End) {
            return FALSE;
        }
        HalPause();
    }
    return TRUE;
}

static BOOLEAN
HalpStartProcessor(PHALP_STARTUP_WORDS Words, PHALP_PROCESSOR Processor)
{
    Words->Stack = Processor->BootBase;
    Words->Processor = Processor;
    Words->Entry = HalpStartedProcessor;
    HalpSendInit(Processor->ApicId);
    HalStall(200);
    HalpSendStartup(Processor->ApicId, (ULONG)HalpStartupFrame);
    if (HalpWaitForStart(Processor, 10000)) {
        return TRUE;
    }
    /* A second one is for processors that missed the first; others ignore it. */
    HalpSendStartup(Processor->ApicId, (ULONG)HalpStartupFrame);
    return HalpWaitForStart(Processor, HALP_STARTUP_SECONDS * 10000000ull);
}

VOID
HalStartProcessors(VOID)
{
    PHALP_STARTUP_WORDS Words;
    ULONG Number;

    HalpFillStartupTables();
    Words = HalpCopyStartupCode();
    for (Number = 1; Number < HalpProcessorTotal; Number += 1) {
        if (!HalpStartProcessor(Words, &HalpProcessors[Number])) {
            return;
        }
    }
}
