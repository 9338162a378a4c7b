/*
 * What the files of the hosted machine know of each other.
 *
 * The machine is one Linux process and one host thread. RAM is a memfd; the process's own mappings
 * of the user and system windows are the TLB (tlb.c), SIGSEGV is the page-fault interrupt
 * (trap.c), the processors are fibers (processor.c). Nothing here is called from two host threads.
 *
 * Two rules for every file. (1) Code that the core can call runs between an image's instructions:
 * it is compiled for general registers only and calls no library routine, for those change XMM
 * registers that an image expects to keep; hostsys.h has the system calls. Only boot and the trap
 * path, which saves the XMM state, may use libraries. (2) A pointer into a window may fault
 * wherever it is used, and a fault may let another processor run: such pointers are used while no
 * state of ours is half changed.
 */
#ifndef HAL_HOSTED_HALP_H
#define HAL_HOSTED_HALP_H

#include <hal/hal.h>
#include <hal/x64/switch.h>

/*
 * --- Address-space layout of the process
 * ------------------------------------------------------------
 */

#define HALP_USER_START         0x10000ull
#define HALP_USER_END           0x400000000000ull
#define HALP_SYSTEM_START       0x400000000000ull
#define HALP_SYSTEM_END         0x500000000000ull
#define HALP_DIRECT_MAP         0x500000000000ull
#define HALP_PFN_DATABASE       0x5A0000000000ull
#define HALP_SHARED_DATA_USER   0x7FFE0000ull
#define HALP_SHARED_DATA_KERNEL 0xFFFFF78000000000ull

/*
 * What is not ours in the user window: the page of shared user data, and where AddressSanitizer is
 * linked in all of its shadow, which begins soon after.
 */
#define HALP_HOLE_START HALP_SHARED_DATA_USER
#ifdef HALP_ASAN
#define HALP_HOLE_END 0x100080000000ull
#else
#define HALP_HOLE_END (HALP_SHARED_DATA_USER + PAGE_SIZE)
#endif

#define HALP_MAXIMUM_FRAMES (1ull << 30)        /* 4 TB: what the direct map has room for */
#define HALP_HIDDEN_FRAME   HALP_MAXIMUM_FRAMES /* frames behind the maps of memory added later */
#define HALP_HIDDEN_FRAMES  (1ull << 24)        /* 64 GB of them, sparse */
#define HALP_IO_FRAME       0xFED00ull          /* the one device window: 1 MB that reads as it was written */
#define HALP_IO_FRAMES      256ull
#define HALP_MINIMUM_MEMORY (16ull << 20)
#define HALP_PHYSICAL_BITS  46

/*
 * --- The seed (seed.c)
 * -------------------------------------------------------------------------------
 */

typedef struct _HALP_STREAM {
    ULONG64 State;
} HALP_STREAM;

extern HALP_STREAM HalpScheduleStream;
extern HALP_STREAM HalpTimeStream;

VOID HalpInitializeSeed(ULONG64 Seed);
ULONG64 HalpDraw(HALP_STREAM *Stream);
/* Uniform in [0, Bound), Bound > 0. */
ULONG HalpDrawBelow(HALP_STREAM *Stream, ULONG Bound);

/*
 * --- Physical memory (ram.c)
 * -------------------------------------------------------------------------
 */

extern int HalpMemoryFile;

/* The PTE bits of x86-64. */
#define HALP_PTE_VALID      0x001ull
#define HALP_PTE_WRITE      0x002ull
#define HALP_PTE_USER       0x004ull
#define HALP_PTE_ACCESSED   0x020ull
#define HALP_PTE_DIRTY      0x040ull
#define HALP_PTE_LARGE      0x080ull
#define HALP_PTE_GLOBAL     0x100ull
#define HALP_PTE_NX         (1ull << 63)
#define HALP_PTE_ADDRESS    0x000FFFFFFFFFF000ull
#define HALP_PTE_FRAME(Pte) (((Pte)&HALP_PTE_ADDRESS) >> PAGE_SHIFT)

/*
 * Make RAM, the memory map and the boot tables; fill in the loader block. One line on stderr and
 * exit 2 if it cannot.
 */
VOID HalpInitializeMemory(PHAL_LOADER_BLOCK LoaderBlock, ULONG Nodes, ULONG Processors);
/* Can this frame be read at all: RAM, the device window, or a hidden frame? */
BOOLEAN HalpFrameExists(PFN_NUMBER Frame);

/*
 * --- Processors (processor.c)
 * ------------------------------------------------------------------------
 */

typedef struct _HALP_PROCESSOR {
    PKPCR Pcr;
    PVOID SavedStack; /* of the fiber while another one runs */
    ULONG Number;
    BOOLEAN Started;
    BOOLEAN Idle; /* in HalIdle */
    UCHAR InterruptDepth;
    ULONG64 ClockDeadline; /* interrupt time, HAL_NO_TIME */
    ULONG64 LastRun;       /* translation sequence when it last began to run */
    PFN_NUMBER Root;
    ULONG_PTR Teb;    /* gs in user mode */
    BOOLEAN UserMode; /* where the next trap comes from */
    ULONG_PTR StackLimit; /* the stack it stands on */
    ULONG_PTR StackBase;
    ULONG_PTR NextLimit; /* a stack that is about to be in use: translated like the current one */
    ULONG_PTR NextBase;
    ULONG_PTR BootLimit;
    ULONG_PTR BootBase;
    ULONG_PTR SpareLimit; /* where a double fault is served */
    ULONG_PTR SpareBase;
} HALP_PROCESSOR, *PHALP_PROCESSOR;

extern HALP_PROCESSOR HalpProcessors[HAL_MAXIMUM_PROCESSORS];
extern ULONG HalpProcessorTotal;
extern PHALP_PROCESSOR HalpCurrent;
extern ULONG HalpChoiceEpoch;
extern BOOLEAN HalpAlive; /* KiSystemStartup was entered: traps go to the core */

VOID HalpInitializeProcessor(ULONG Number, PFN_NUMBER Root);
VOID DECLSPEC_NORETURN HalpStartCore(PHAL_LOADER_BLOCK LoaderBlock);
/* The next choice point asks the scheduler. */
VOID HalpForceChoice(VOID);
/* A watchdog tick interrupted an image: time passes, other processors run, interrupts come in. */
VOID HalpPreempt(PKTRAP_FRAME TrapFrame);
VOID HalpDeliverTo(PKTRAP_FRAME TrapFrame);

/*
 * --- Stacks (switch.S, stack.c)
 * ------------------------------------------------------------------------
 */

VOID HalpTrapEntry(VOID);
extern ULONG HalpXsaveSize;
/* Load gs. */
VOID HalpLoadPcr(PVOID Base);
/* Tell the sanitizer that control is about to go to, and has come to, another stack. */
VOID HalpBeforeSwitch(ULONG_PTR Limit, ULONG_PTR Base);
VOID HalpAfterSwitch(VOID);
/* Return addresses of the caller and its callers by frame pointers, within the current stack. */
ULONG HalpBacktrace(PVOID *Stack, ULONG Maximum);

/*
 * --- Page walk (walk.c)
 * --------------------------------------------------------------------------------
 */

/* Bits of a page-fault error code. */
#define HALP_FAULT_PRESENT  0x01u
#define HALP_FAULT_WRITE    0x02u
#define HALP_FAULT_USER     0x04u
#define HALP_FAULT_RESERVED 0x08u
#define HALP_FAULT_FETCH    0x10u

#define HALP_RIGHT_WRITE   0x1
#define HALP_RIGHT_EXECUTE 0x2

typedef struct _HALP_TRANSLATION {
    PFN_NUMBER Frame; /* of the 4 KB page that holds the address */
    ULONG64 *Entry;   /* the leaf, in the direct map */
    UCHAR Rights;     /* what may be done without asking again: write only if Dirty is set */
    BOOLEAN Large;    /* at least 2 MB, aligned */
} HALP_TRANSLATION, *PHALP_TRANSLATION;

/*
 * Walk the tables below Root for an access (HALP_FAULT_WRITE, _USER, _FETCH) as the processor
 * does: check rights, set Accessed and Dirty. FALSE: *ErrorCode is what the processor would push.
 */
BOOLEAN HalpWalk(PFN_NUMBER Root, ULONG_PTR Va, ULONG Access, PHALP_TRANSLATION Translation,
                 PULONG ErrorCode);

/*
 * --- Translations held (tlb.c, stale.c)
 * ------------------------------------------------------------------
 */

#define HALP_LARGE_SIZE   (512 * PAGE_SIZE)
#define HALP_TLB_CAPACITY 16384
#define HALP_TLB_RECENT   64
#define HALP_TLB_AROUND   16
#define HALP_TLB_DEPTH    12

typedef struct _HALP_TLB_ENTRY {
    ULONG_PTR Va;     /* 0: unused */
    PFN_NUMBER Frame; /* of its first page */
    ULONG64 *Pte;
    PFN_NUMBER Root;      /* the address space it belongs to; 0: global, it belongs to all */
    ULONG64 Sequence;     /* when it was filled */
    HAL_AFFINITY Holders; /* the filler; when stale, everyone who still holds it */
    USHORT NextVa;        /* hash chains, index + 1 */
    USHORT NextPte;
    USHORT NextLocal;     /* list of those that are not global, index + 1 */
    USHORT PreviousLocal;
    UCHAR Rights;
    BOOLEAN Large;
    BOOLEAN Mapped; /* stale entries: the process maps it now */
    UCHAR Depth;    /* of Stack: the PTE change since the fill */
    PVOID Stack[HALP_TLB_DEPTH];
} HALP_TLB_ENTRY, *PHALP_TLB_ENTRY;

typedef struct _HALP_TLB_COUNTS {
    ULONG64 Faults, Fills, Around, Evictions, Flushes, Stale;
    ULONG Live, StaleLive;
} HALP_TLB_COUNTS;

extern HALP_TLB_COUNTS HalpTlbCounts;
extern ULONG64 HalpTlbSequence;

extern HALP_TLB_ENTRY HalpEntries[HALP_TLB_CAPACITY];

VOID HalpInitializeTlb(VOID);
SIZE_T HalpTlbSize(const HALP_TLB_ENTRY *Entry);
BOOLEAN HalpTlbIsStack(const HALP_TLB_ENTRY *Entry);
/* Forget the entry; its mapping is the caller's to remove. */
VOID HalpTlbUnlink(PHALP_TLB_ENTRY Entry);
/* Is the address in a window whose mappings are ours? */
BOOLEAN HalpInWindow(ULONG_PTR Va);
/* Answer a page fault from the page tables. FALSE: they do not allow it, *ErrorCode says how. */
BOOLEAN HalpTlbFault(ULONG_PTR Va, ULONG Access, PULONG ErrorCode);
/* Keep [Limit, Base) translated and writable as far as the tables allow. */
VOID HalpHoldStack(ULONG_PTR Limit, ULONG_PTR Base);
/* Is [Start, End) writable now, without a fault? */
BOOLEAN HalpResident(ULONG_PTR Start, ULONG_PTR End);
PHALP_TLB_ENTRY HalpTlbLookup(ULONG_PTR Va);
/* Everyone who may still use the translation. */
HAL_AFFINITY HalpTlbHolders(const HALP_TLB_ENTRY *Entry);
/* Forget it and unmap it. */
VOID HalpTlbDrop(PHALP_TLB_ENTRY Entry);
VOID HalpCountFrames(const HALP_TLB_ENTRY *Entry, LONG Delta);
VOID HalpMapEntry(const HALP_TLB_ENTRY *Entry);
/* Does one of the processors use the address space the entry belongs to? */
BOOLEAN HalpTlbConcerns(const HALP_TLB_ENTRY *Entry, HAL_AFFINITY Processors);
/* An entry for the address that concerns one of the processors, whatever address space is loaded here; or NULL. */
PHALP_TLB_ENTRY HalpTlbFindFor(ULONG_PTR Va, HAL_AFFINITY Processors);
/* Another address space is about to be shown: what is not global leaves the process, but not the table. */
VOID HalpHideLocal(VOID);
/* This processor loads another root: it holds nothing any more that is not global. */
VOID HalpLeaveRoot(VOID);
VOID HalpUnmap(ULONG_PTR Start, ULONG_PTR End);
BOOLEAN HalpTlbValidate(VOID);

/* What others still hold after a flush that did not reach them (stale.c). */
VOID HalpKeepStale(const HALP_TLB_ENTRY *Entry, HAL_AFFINITY Holders);
VOID HalpFlushStale(ULONG_PTR Start, ULONG_PTR End, HAL_AFFINITY Processors);
VOID HalpSwitchTranslations(PHALP_PROCESSOR Next);
/* The processor has dropped what is not global. */
VOID HalpForgetLocalStale(HAL_AFFINITY Processor);
VOID HalpReportStale(PFN_NUMBER Frame);

/*
 * --- Traps (trap.c, emulate.c)
 * ------------------------------------------------------------------------------
 */

VOID HalpInitializeTraps(ULONG64 TimeoutMilliseconds);
extern BOOLEAN HalpStopRequested;
/* The supervisor asked for the end: tell the core. */
VOID DECLSPEC_NORETURN HalpStop(PKTRAP_FRAME TrapFrame);
VOID DECLSPEC_NORETURN HalpInternal(const char *Text, PKTRAP_FRAME TrapFrame);
/* Carry out the privileged instruction at Rip. FALSE: it is not one that works in this machine. */
BOOLEAN HalpEmulate(PKTRAP_FRAME TrapFrame);
/* The same for user mode, where only time may be read. */
BOOLEAN HalpEmulateUser(PKTRAP_FRAME TrapFrame);
/* The vector of "int n" at Rip, 0 if it is no such instruction or one with no gate. */
ULONG HalpSoftwareInterruptVector(PKTRAP_FRAME TrapFrame);
/* Carry out a read of shared user data at its kernel address. */
BOOLEAN HalpReadSharedData(PKTRAP_FRAME TrapFrame, ULONG_PTR Address);
VOID HalpInitializeEmulation(VOID);
BOOLEAN HalpIsThunk(ULONG_PTR Rip);

/*
 * --- Time (clock.c)
 * ------------------------------------------------------------------------------------------
 */

extern ULONG64 HalpTime; /* ticks of 0.5 ns since start: the 2 GHz time-stamp counter */
#define HALP_TICKS_PER_100NS 200ull

VOID HalpAdvance(ULONG64 Ticks);
ULONG64 HalpReadTsc(VOID);
/* Turn deadlines that have passed into pending clock interrupts. */
VOID HalpCheckDeadlines(VOID);
/* Jump to the earliest deadline. FALSE if there is none. */
BOOLEAN HalpSkipToDeadline(VOID);
extern BOOLEAN HalpNotReplayable;

/*
 * --- The outside (console.c, confine.c)
 * ------------------------------------------------------------------------
 */

VOID HalpInitializeConsole(int ReportFd);
VOID HalpFlushConsole(VOID);
VOID HalpConfine(VOID);
/* Before the core runs: one line for a person, then exit 2. */
VOID DECLSPEC_NORETURN HalpRefuse(const char *Format, ...) __attribute__((format(printf, 1, 2)));

#endif
