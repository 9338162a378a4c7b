/*
 * What the files of the bare-metal machine know of each other.
 *
 * The address space, from the top:
 *
 *   0xFFFFFFFFE0000000   the local APIC's page, not cached
 *   0xFFFFFFFFC0000000   boot and interrupt stacks of the processors, each between guard pages
 *   0xFFFFFFFF80000000   the kernel image
 *   0xFFFFFA8000000000   records of the PFN database, 32 bytes a frame
 *   0xFFFFF78000000000   shared user data, read-only
 *   0xFFFF880000000000   direct map of all RAM
 *   0xFFFF800000000000   SystemStart; what is not named above is the core's, up to the slot of the kernel
 * image 0x00007FFFFFFF0000   UserEnd 0x0000000000010000   UserStart
 *
 * Vectors: an interrupt's priority is its vector / 16, and so is an IRQL.
 */
#ifndef HAL_AMD64_HALP_H
#define HAL_AMD64_HALP_H

#include <hal/hal.h>
#include <hal/x64/bootinfo.h>
#include "cpu.h"
#include "syscall.h"

#define HALP_USER_START   0x10000ull
#define HALP_USER_END     0x7FFFFFFF0000ull
#define HALP_SYSTEM_START 0xFFFF800000000000ull
#define HALP_SYSTEM_END   0xFFFFFF8000000000ull
#define HALP_DIRECT_MAP   0xFFFF880000000000ull
#define HALP_SHARED_DATA  0xFFFFF78000000000ull
#define HALP_PFN_DATABASE 0xFFFFFA8000000000ull
#define HALP_STACKS       0xFFFFFFFFC0000000ull
#define HALP_LOCAL_APIC   0xFFFFFFFFE0000000ull
#define HALP_SLOT_BYTES   0x8000000000ull
#define HALP_MAXIMUM_FRAME                                                                                   \
    (1ull << 34) /* 64 TB: the slots between the direct map and shared user data hold more */

#define HALP_MINIMUM_MEMORY (16ull << 20)

/* --- Vectors ---------------------------------------------------------------------------------------------
 */

#define HALP_VECTOR_NMI           2
#define HALP_VECTOR_DOUBLE_FAULT  8
#define HALP_VECTOR_PAGE_FAULT    14
#define HALP_VECTOR_MACHINE_CHECK 18
#define HALP_VECTOR_APC           0x1F
#define HALP_VECTOR_DISPATCH      0x2F
#define HALP_VECTOR_CLOCK         0xD1
#define HALP_VECTOR_IPI           0xE1
#define HALP_VECTOR_SPURIOUS      0xFF

_Static_assert(HALP_VECTOR_APC / 16 == APC_LEVEL && HALP_VECTOR_DISPATCH / 16 == DISPATCH_LEVEL, "priority");
_Static_assert(HALP_VECTOR_CLOCK / 16 == CLOCK_LEVEL && HALP_VECTOR_IPI / 16 == IPI_LEVEL, "priority");

/* --- Processors (processor.c, descriptor.c) ----------------------------------------------------------------
 */

#define HALP_SELECTOR_CODE 0x10
#define HALP_SELECTOR_DATA 0x18
#define HALP_SELECTOR_TASK 0x40

/* Numbers of the interrupt stack table. */
#define HALP_STACK_DOUBLE_FAULT  1
#define HALP_STACK_NMI           2
#define HALP_STACK_MACHINE_CHECK 3
#define HALP_INTERRUPT_STACKS    3

typedef struct __attribute__((packed)) _HALP_TASK_STATE {
    ULONG Reserved0;
    ULONG64 Rsp[3];
    ULONG64 Reserved1;
    ULONG64 InterruptStack[7];
    ULONG64 Reserved2;
    USHORT Reserved3;
    USHORT IoMapBase;
} HALP_TASK_STATE;

_Static_assert(sizeof(HALP_TASK_STATE) == 104, "as the processor reads it");

typedef struct _HALP_PROCESSOR {
    PKPCR Pcr;
    ULONG Number;
    ULONG ApicId;
    ULONG64 ClockDeadline; /* interrupt time, HAL_NO_TIME */
    ULONG_PTR BootLimit;
    ULONG_PTR BootBase;
    ULONG_PTR InterruptBase[HALP_INTERRUPT_STACKS + 1]; /* by number, 0 unused */
    ULONG64 Gdt[10];
    HALP_TASK_STATE Task;
} HALP_PROCESSOR, *PHALP_PROCESSOR;

extern HALP_PROCESSOR HalpProcessors[HAL_MAXIMUM_PROCESSORS];
extern ULONG HalpProcessorTotal;
extern BOOLEAN HalpAlive; /* KiSystemStartup was entered: traps go to the core */

/* This processor's record; stable where the thread cannot move. */
static inline PHALP_PROCESSOR
HalpThisProcessor(VOID)
{
    return (PHALP_PROCESSOR)PcrRead64(HalPrivate);
}

/* Control registers, NX, PAT, floating point: what every processor does first. */
VOID HalpPrepareProcessor(VOID);
/* Own descriptor tables on the processor this runs on; interrupt stacks as its record has them. */
VOID HalpLoadDescriptors(PHALP_PROCESSOR Processor);
/* Fill in the record and region; its memory is there (memory.c). */
VOID HalpInitializeProcessor(ULONG Number);
/* Ring 3 (user.c). */
VOID HalpPrepareSystemCalls(VOID);
VOID HalpLeaveToUser(PKTRAP_FRAME TrapFrame);
VOID DECLSPEC_NORETURN HalpStartCore(PHAL_LOADER_BLOCK LoaderBlock);

/* --- Memory (map.c, memory.c, table.c)
 * -------------------------------------------------------------------------- */

typedef struct _HALP_RAM {
    PFN_NUMBER Base;
    PFN_NUMBER End;
} HALP_RAM, *PHALP_RAM;

extern HALP_RAM HalpRam[HALP_BOOT_RANGES];
extern ULONG HalpRamCount;

/* Sort and page-align the ranges. Frame 0 is left out. */
VOID HalpReadMap(const HALP_BOOT_INFO *Info);
/* Keep frames for good: nothing else is placed there. */
VOID HalpKeep(PFN_NUMBER Base, PFN_NUMBER End);
/*
 * Find Count frames at the end of a range of RAM, below what is already kept there, and keep them. The first
 * is Modulo modulo 512 if Count is that large. 0 if there is no room.
 */
PFN_NUMBER HalpKeepAtEnd(const HALP_RAM *Ram, PFN_NUMBER Count, PFN_NUMBER Modulo);
/* Runs of the loader block from RAM and what is kept of it. */
VOID HalpDescribeRuns(PHAL_LOADER_BLOCK LoaderBlock);

#define HALP_PTE_VALID         0x001ull
#define HALP_PTE_WRITE         0x002ull
#define HALP_PTE_WRITE_THROUGH 0x008ull
#define HALP_PTE_CACHE_DISABLE 0x010ull
#define HALP_PTE_ACCESSED      0x020ull
#define HALP_PTE_DIRTY         0x040ull
#define HALP_PTE_LARGE         0x080ull
#define HALP_PTE_GLOBAL        0x100ull
#define HALP_PTE_NX            (1ull << 63)
#define HALP_PTE_ADDRESS       0x000FFFFFFFFFF000ull

#define HALP_PERMANENT_READ    (HALP_PTE_VALID | HALP_PTE_ACCESSED | HALP_PTE_GLOBAL | HALP_PTE_NX)
#define HALP_PERMANENT_WRITE   (HALP_PERMANENT_READ | HALP_PTE_WRITE | HALP_PTE_DIRTY)
#define HALP_PERMANENT_EXECUTE (HALP_PERMANENT_READ & ~HALP_PTE_NX)
#define HALP_PERMANENT_DEVICE  (HALP_PERMANENT_WRITE | HALP_PTE_WRITE_THROUGH | HALP_PTE_CACHE_DISABLE)

/* The machine's tables while they are made. */
VOID HalpStartTables(PFN_NUMBER First, PFN_NUMBER Count);
/* A cleared frame of those; refuses if they are used up. */
PFN_NUMBER HalpTakeFrame(VOID);
/* Map [Va, Va + Count pages) to Frame, in the largest pages that fit. */
VOID HalpMap(ULONG_PTR Va, PFN_NUMBER Frame, PFN_NUMBER Count, ULONG64 Bits);
PFN_NUMBER HalpRootFrame(VOID);

/* The whole of it: map, tables in force, loader block filled in. */
VOID HalpInitializeMemory(const HALP_BOOT_INFO *Info, PHAL_LOADER_BLOCK LoaderBlock, ULONG Processors);

/* --- Local APIC and time (apic.c, clock.c)
 * ------------------------------------------------------------------------ */

VOID HalpInitializeApic(VOID);
VOID HalpEndInterrupt(VOID);
VOID HalpSendInterrupt(ULONG ApicId, ULONG Vector);
VOID HalpSendSelfInterrupt(ULONG Vector);
ULONG HalpApicId(VOID);
/* The timer: interrupt once after so many of its ticks; 0 stops it. */
VOID HalpSetApicTimer(ULONG Ticks);
ULONG HalpReadApicTimer(VOID);

VOID HalpInitializeClock(VOID);
/* The timer's interrupt; calls the core if the deadline has passed. */
VOID HalpClockInterrupt(PKTRAP_FRAME TrapFrame);

/* --- Stacks and traps (trap.S, trap.c)
 * ------------------------------------------------------------------------------- */

extern const ULONG_PTR HalpTrapStubs[256];

VOID DECLSPEC_NORETURN HalpInternal(const char *Text, PKTRAP_FRAME TrapFrame);

/* --- The outside (console.c, options.c)
 * ------------------------------------------------------------------------------- */

VOID HalpInitializeConsole(VOID);
/* Read the command line into the loader block. */
VOID HalpReadOptions(const HALP_BOOT_INFO *Info, PHAL_LOADER_BLOCK LoaderBlock);
VOID HalpInitializeSeed(ULONG64 Seed);

#endif
