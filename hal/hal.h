/*
 * The machine seam.
 *
 * Everything above this line of the layer order (ke, ex, mm, ob, io, ps, nt, ldr, init) knows a
 * machine only through this header. Each machine supplies the functions declared here, and a
 * header `halmach.h` (found through the include path) with the few that must be inline:
 *
 *   KIRQL   HalGetIrql(VOID)               this processor's IRQL
 *   VOID    HalSetIrql(KIRQL)              set it; raising, or lowering with nothing to deliver
 *   VOID    HalLowerIrql(KIRQL)            lower it and let waiting software interrupts in
 *   BOOLEAN HalDisableInterrupts(VOID)     TRUE if they were enabled
 *   VOID    HalRestoreInterrupts(BOOLEAN)
 *   BOOLEAN HalBeginAlone(VOID)            nothing else runs on this processor for a few instructions, which
 *   VOID    HalEndAlone(BOOLEAN)           touch the direct map and the KPCR only, and call nothing
 *   VOID    HalPause(VOID)                 in a spin loop: another processor must make progress
 *   VOID    HalChoicePoint(HAL_CHOICE)     the hosted scheduler may run another processor here
 *   VOID    HalFrameReleased(PFN_NUMBER)   the frame is about to reach a free list or a new owner
 *   VOID    HalPteChanged(PVOID Pte)       a valid PTE was made invalid or weaker (flush must follow)
 *   VOID    HalUnpoison(PVOID, SIZE_T)     memory whose sanitizer shadow must be forgotten
 *   VOID    HalBeginUserAccess(VOID)       the core is about to touch user memory; HalEndUserAccess(VOID): it has
 *
 * What the machine calls, by public name: KiSystemStartup, KiPageFault, KiTrap, KiClockInterrupt,
 * KiIpiInterrupt, KiSoftwareInterrupt (declared at the end).
 */
#ifndef HAL_HAL_H
#define HAL_HAL_H

#include <ntddk.h>
#include "pcr.h"

#define HAL_NO_TIME (~0ull)

typedef ULONG64 HAL_AFFINITY; /* bit n: processor n */

typedef enum _HAL_CHOICE {
    HalChoiceLock,
    HalChoiceWait,
    HalChoiceIrql,
    HalChoiceFlush,
    HalChoiceFault,
    HalChoiceCompletion,
    HalChoiceMaximum
} HAL_CHOICE;

/* --- What the machine hands over at start ------------------------------------------------------ */

typedef enum _HAL_MEMORY_TYPE {
    HalMemoryZero,      /* free RAM that reads as zero */
    HalMemoryFree,      /* free RAM with unknown contents */
    HalMemoryPermanent, /* RAM in use for good: kernel image, PFN database, processor regions, boot tables */
    HalMemoryBad        /* RAM that must not be used */
} HAL_MEMORY_TYPE;

/* A run of frames. Runs are in ascending order and do not overlap; what no run covers is not RAM. */
typedef struct _HAL_MEMORY_RUN {
    PFN_NUMBER BasePage;
    PFN_NUMBER PageCount;
    HAL_MEMORY_TYPE Type;
    ULONG Node;
} HAL_MEMORY_RUN, *PHAL_MEMORY_RUN;

#define HAL_MAXIMUM_RUNS 64
#define HAL_MAXIMUM_IMAGES 16

/* A file handed over whole: an image to load, say. Bytes stay readable, at any IRQL, for good. */
typedef struct _HAL_IMAGE_FILE {
    const char *Name; /* last component of the path, as the user gave it */
    const VOID *Bytes;
    SIZE_T Size;
} HAL_IMAGE_FILE, *PHAL_IMAGE_FILE;

#define HAL_MAXIMUM_REQUESTS 64
#define HAL_MAXIMUM_REQUEST_BYTES (16u << 20)

/* A device control request to make once the driver runs. Memory as for images. */
typedef struct _HAL_REQUEST {
    const char *Device; /* empty: the driver's first */
    ULONG Code;
    ULONG InputLength;
    ULONG OutputLength;
    const VOID *Input;
} HAL_REQUEST, *PHAL_REQUEST;

#define HAL_MAXIMUM_USER_HOLES 4

typedef struct _HAL_ADDRESS_HOLE {
    ULONG_PTR Start;
    ULONG_PTR End;
} HAL_ADDRESS_HOLE, *PHAL_ADDRESS_HOLE;

/* Which blocks of pool get pages of their own; all zero: none but those that ask. */
typedef struct _HAL_SPECIAL_POOL {
    ULONG Flags;        /* HAL_SPECIAL_* */
    ULONG TagPattern;   /* 0: none */
    ULONG64 SizeLow;    /* bytes */
    ULONG64 SizeHigh;   /* 0: none */
} HAL_SPECIAL_POOL, *PHAL_SPECIAL_POOL;
#define HAL_SPECIAL_EVERYTHING 0x1
#define HAL_SPECIAL_UNDERRUN 0x2

/*
 * The address-space layout. System space is [SystemStart, SystemEnd), whole top-level slots of 512 GB;
 * the core places its regions there, by the seed, except in slots named in ReservedSlots (bit n is the
 * slot SystemStart + n * 512 GB), which the machine uses itself.
 */
typedef struct _HAL_LOADER_BLOCK {
    ULONG_PTR UserStart;
    ULONG_PTR UserEnd;
    ULONG_PTR SystemStart;
    ULONG_PTR SystemEnd;
    ULONG64 ReservedSlots[8];
    ULONG UserHoleCount;    /* ranges of user space that no address space of this machine can use */
    HAL_ADDRESS_HOLE UserHoles[HAL_MAXIMUM_USER_HOLES];
    ULONG_PTR PfnDatabase;  /* records of all frames, 32 bytes each, indexed by frame; permanent mapping, in
                               place for the frames of all runs; reads as zero for HalMemoryZero runs only */
    PFN_NUMBER RootFrame;   /* top-level page table in force, with the machine's permanent mappings */
    ULONG RunCount;
    HAL_MEMORY_RUN Runs[HAL_MAXIMUM_RUNS];
    ULONG ImageCount;
    HAL_IMAGE_FILE Images[HAL_MAXIMUM_IMAGES];
    HAL_IMAGE_FILE Ntdll;   /* what programs import from; Bytes NULL: there is none */
    ULONG RequestCount;
    HAL_REQUEST Requests[HAL_MAXIMUM_REQUESTS];
    HAL_IMAGE_FILE Registry; /* a .reg file with what the driver finds in the registry; Name NULL: none */
    HAL_SPECIAL_POOL SpecialPool;
    ULONG64 Seed;
    ULONG64 MemoryBytes;    /* as the user asked */
    ULONG64 PageFileBytes;
    const char *MachineName;
    const char *Isolation;  /* how user mode is kept from system pages; "none" if it is not */
    const char *Fail;       /* which requests of the image are refused, as MiInjectStartImages reads it; NULL: none */
    const char *CommandLine; /* of a program: its name and arguments, each byte a character; NULL: its name alone */
    const char *Test;       /* for programs of tests: what they are to do, in their own words; NULL: everything */
    BOOLEAN NoVerify;       /* run without the verifier */
} HAL_LOADER_BLOCK, *PHAL_LOADER_BLOCK;

/* Base of the direct map: all RAM, read-write, no-execute. Frame n is at HalDirectMapBase + n * PAGE_SIZE. */
extern ULONG_PTR HalDirectMapBase;

static inline PVOID
HalFrameAddress(PFN_NUMBER Frame)
{
    return (PVOID)(HalDirectMapBase + (Frame << PAGE_SHIFT));
}

static inline PFN_NUMBER
HalAddressFrame(const VOID *DirectMapAddress)
{
    return ((ULONG_PTR)DirectMapAddress - HalDirectMapBase) >> PAGE_SHIFT;
}

/* --- Processors, stacks, time ------------------------------------------------------------------- */

ULONG HalProcessorCount(VOID);
PKPCR HalProcessorPcr(ULONG Number);

/* Start every processor but the first; each calls KiProcessorStartup(its region) on a stack of its own. */
VOID HalStartProcessors(VOID);

/* Interrupt the processors of the set: each calls KiIpiInterrupt soon, at IPI_LEVEL. */
VOID HalRequestIpi(HAL_AFFINITY Processors);

/*
 * The run is over: stop every other processor where it is, for good, whatever it does or holds. Flushes do not wait
 * for them any more. HIGH_LEVEL, once.
 */
VOID HalFreezeProcessors(VOID);

/* Have KiSoftwareInterrupt called on this processor as soon as its IRQL is below Irql. */
VOID HalRequestSoftwareInterrupt(KIRQL Irql);

/* Nothing to run: return when an interrupt may have changed that. Called at DISPATCH_LEVEL; returns there. */
VOID HalIdle(VOID);

/*
 * Leave the current stack, saving non-volatile registers (XMM and MXCSR too) and its pointer in *Saved, for
 * the stack whose pointer an earlier call saved or HalPrepareStack made. [Limit, Base) are the new stack's bounds;
 * the machine keeps the stack in use translated, and releases the one left.
 */
VOID HalSwitchStack(PVOID *Saved, PVOID Next, ULONG_PTR Limit, ULONG_PTR Base);

/* A pointer for HalSwitchStack: the first switch to it calls Entry(Context), which must not return. */
PVOID HalPrepareStack(ULONG_PTR Limit, ULONG_PTR Base, VOID (*Entry)(PVOID), PVOID Context);

/* Call Routine(Context) on another stack and come back to this one. */
VOID HalCallOnStack(ULONG_PTR Limit, ULONG_PTR Base, VOID (*Routine)(PVOID), PVOID Context);

/* 100 ns units since start; monotonic. Hosted time is virtual and moves on when it is read. */
ULONG64 HalQueryInterruptTime(VOID);
/* 100 ns units since 1601 at interrupt time zero. */
ULONG64 HalQueryBootTime(VOID);
/* Ticks of the performance counter, and how many make a second. */
ULONG64 HalQueryPerformanceCounter(PULONG64 Frequency);
/* Have KiClockInterrupt called, at CLOCK_LEVEL, at or soon after this interrupt time; HAL_NO_TIME cancels. */
VOID HalSetClockDeadline(ULONG64 InterruptTime);
/* Spin for so long without giving up the processor. */
VOID HalStall(ULONG Microseconds);

/* --- Translation -------------------------------------------------------------------------------- */

typedef struct _HAL_FLUSH_RANGE {
    ULONG_PTR Start;    /* page aligned */
    SIZE_T PageCount;   /* 4 KB pages; a large-page translation touched anywhere goes whole */
} HAL_FLUSH_RANGE, *PHAL_FLUSH_RANGE;

/*
 * Drop the translations of the ranges on every processor of the set (HAL_ALL_PROCESSORS: those that exist) and
 * return when it is done. Waits for other processors: no lock may be held that they could spin on with interrupts off.
 */
#define HAL_ALL_PROCESSORS (~0ull)
VOID HalFlushTb(const HAL_FLUSH_RANGE *Ranges, ULONG Count, HAL_AFFINITY Processors);
VOID HalFlushEntireTb(HAL_AFFINITY Processors);

/*
 * Load the top-level page table of another address space on this processor: its translations that are not global go.
 * The core lets every table that is loaded agree on system space. DISPATCH_LEVEL.
 */
VOID HalLoadRoot(PFN_NUMBER RootFrame);

/*
 * New frames appear while running: extend the direct map and the PFN database (zeroed) over them.
 * STATUS_NOT_SUPPORTED if the machine has no room for them.
 */
NTSTATUS HalExtendPermanentMaps(PFN_NUMBER BasePage, PFN_NUMBER PageCount);

/* Is [Base, Base + Count) device memory that exists on this machine, and may be mapped? */
BOOLEAN HalIsIoSpace(PFN_NUMBER BasePage, PFN_NUMBER PageCount);

/* --- The outside --------------------------------------------------------------------------------- */

/* FALSE once the run has depended on something but its inputs and its seed. */
BOOLEAN HalReplayable(VOID);

/* Sixty-four bits that depend on the seed and on how many were drawn before. */
ULONG64 HalRandom(VOID);

VOID HalPutConsole(const char *Text, SIZE_T Length); /* the image's text, verbatim */
VOID HalPutDiagnostic(const char *Text, SIZE_T Length); /* standard error: one line for a person */
VOID HalPutReport(const char *Text, SIZE_T Length);  /* the JSON report, in pieces */
VOID DECLSPEC_NORETURN HalExit(ULONG Status);        /* flush everything, stop the machine */

/* Shared user data at 0xFFFFF78000000000 and 0x7FFE0000, kept by ke/: where the core may write it. */
PKUSER_SHARED_DATA HalSharedUserData(VOID);

/* --- User mode ------------------------------------------------------------------------------------------- */

/*
 * Go to user mode with the registers of Frame, which lies on the current thread's own kernel stack. That stack is empty from then
 * on: the next trap or system call from user mode finds it at its base, whatever was below Frame. PASSIVE_LEVEL, interrupts on.
 * The integer registers, Rip, Rsp, EFlags, MxCsr, Xmm0 to Xmm5 and P1Home to P4Home (r12 to r15) count; what else of vectors there is starts out clear.
 */
VOID DECLSPEC_NORETURN HalEnterUserMode(PKTRAP_FRAME TrapFrame);

/* What gs is based at in user mode on this processor from the next time it goes there: the current thread's TEB. */
VOID HalSetTeb(ULONG_PTR Teb);

/* --- What the machine calls ------------------------------------------------------------------------ */

/* First processor, interrupts off, on a boot stack that stays valid: it becomes the idle thread's. */
VOID DECLSPEC_NORETURN KiSystemStartup(PHAL_LOADER_BLOCK LoaderBlock);
VOID DECLSPEC_NORETURN KiProcessorStartup(PKPCR Pcr);

/*
 * Traps, called on the interrupted stack with a trap frame below the interrupted frame; returning resumes the
 * (possibly changed) frame. From user mode the frame is at the base of the thread's kernel stack. PreviousMode of the frame is the mode that
 * was interrupted. The documented frame has no room for r12 to r15: they are in P1Home to P4Home. ErrorCode as the
 * processor pushes it. The machine has already walked the page tables: KiPageFault is called only if they do not allow the access.
 */
VOID KiPageFault(PKTRAP_FRAME TrapFrame, ULONG_PTR Address, ULONG ErrorCode);
VOID KiTrap(PKTRAP_FRAME TrapFrame, ULONG Vector, ULONG ErrorCode);
/*
 * A `syscall` from user mode: a trap like the others, by the number in Rax, arguments in R10, Rdx, R8, R9 and above the user's Rsp.
 * KiReturnToUser is called with every frame that is about to be resumed in user mode, at PASSIVE_LEVEL.
 */
VOID KiSystemCall(PKTRAP_FRAME TrapFrame);
VOID KiReturnToUser(PKTRAP_FRAME TrapFrame);
VOID KiClockInterrupt(PKTRAP_FRAME TrapFrame);  /* TrapFrame NULL where the machine delivers it at a choice point */
VOID KiIpiInterrupt(PKTRAP_FRAME TrapFrame);
VOID KiSoftwareInterrupt(KIRQL Irql);           /* called at Irql: APC_LEVEL or DISPATCH_LEVEL */
/*
 * A frame went to a free list or a new owner while a processor still held a translation of Va to it. Stack: return
 * addresses of the PTE change after which no flush reached that processor, innermost first; none if it is not known.
 */
VOID KiStaleTranslation(PFN_NUMBER Frame, ULONG_PTR Va, PVOID *Stack, ULONG Depth);
/* The machine wants the run to end: a time-out asked for by the supervisor, a deadlock, a fault of its own. */
VOID KiMachineStop(const char *Reason, const char *Text, PKTRAP_FRAME TrapFrame);

#include <halmach.h>

#endif
