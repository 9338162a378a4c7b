/*
 * The dispatcher's interface for the rest of the core: assertions, the end of a run, IRQL, ranked spin
 * locks, stack walks, threads. Public routines (KeXxx) are declared in wdm.h and ntddk.h.
 */
#ifndef KE_KE_H
#define KE_KE_H

#include <ntifs.h>
#include <hal/hal.h>
#include "boundary.h"
#include "lockrank.h"
#include "thread.h"

/* --- Assertions ------------------------------------------------------------------------------------- */

/* Our own mistake: says what and where, and stops the run (exit 5). */
VOID DECLSPEC_NORETURN KiAssertFailed(const char *File, ULONG Line, const char *Text);

/* Checked in every build. The expression must have no side effect. */
#define NT_VERIFY(Expression)                                                                      \
    ((Expression) ? (VOID)0 : KiAssertFailed(__FILE__, __LINE__, #Expression))

/* Checked in checked builds; compiled but not evaluated in others. */
#ifdef NTMM_CHECKED
#define NT_ASSERT(Expression) NT_VERIFY(Expression)
#else
#define NT_ASSERT(Expression) ((VOID)sizeof((Expression) ? 1 : 0))
#endif
#define MI_ASSERT(Expression) NT_ASSERT(Expression)

/* --- The end of a run ------------------------------------------------------------------------------- */

typedef enum _KI_STOP_KIND {
    KiStopBugCheck,      /* Code, Parameters, Name */
    KiStopAssertion,     /* Text, File, Line */
    KiStopMissingImport, /* Name: the routine that was called */
    KiStopDeadlock,      /* nothing can ever run again */
    KiStopTimeOut,       /* the supervisor's time is over; TrapFrame: where it was */
    KiStopMachine        /* a fault of the machine's own; Name, Text */
} KI_STOP_KIND;

#define KI_STOP_FRAMES 48
#define KI_STOP_TEXT 192
#define KI_STOP_EVENTS 2
#define KI_STOP_EVENT_FRAMES 16

/* Something that happened earlier to what a bug check is about. */
typedef struct _KI_STOP_EVENT {
    const char *What; /* "allocated": constant */
    ULONG FrameCount;
    PVOID Frames[KI_STOP_EVENT_FRAMES]; /* innermost first */
} KI_STOP_EVENT, *PKI_STOP_EVENT;

typedef struct _KI_STOP {
    KI_STOP_KIND Kind;
    ULONG Code;              /* bug check */
    ULONG64 Parameters[4];   /* bug check */
    const char *Name;        /* of the bug check, the routine or the machine's reason; may be NULL */
    const char *Text;        /* one line for a person; may be NULL */
    ULONG EventCount;        /* bug check */
    KI_STOP_EVENT Events[KI_STOP_EVENTS]; /* oldest first */
    const char *File;        /* assertion */
    ULONG Line;
    PKTRAP_FRAME TrapFrame;  /* what was interrupted, if it was a trap */
    ULONG Processor;
    KIRQL Irql;              /* before the stop raised it */
    struct _KTHREAD *Thread;
    ULONG FrameCount;
    PVOID Frames[KI_STOP_FRAMES]; /* innermost first */
} KI_STOP, *PKI_STOP;

/*
 * The bug check that the caller is about to make, in words (copied), and what happened before to the object it is about.
 * What is said by one thread is forgotten when another says something: so nothing may come between. Any IRQL.
 */
VOID KiExplainStop(const char *Text);
PKI_STOP_EVENT KiAddStopEvent(const char *What);
const char *KiStopText(VOID);

/* Asked before a bug check stops anything, to explain one of its own; set by mm/. Any IRQL; may touch what is resident. */
extern VOID (*KiDescribeBugCheck)(ULONG Code, const ULONG64 *Parameters);

/* Set by init/. Called once, on one processor, at HIGH_LEVEL; writes the report and ends the machine. */
typedef VOID KI_STOP_HANDLER(const KI_STOP *Stop);
extern KI_STOP_HANDLER *KiStopHandler;

/* End the run. The first caller wins; other processors stand still. Fills Processor, Irql, Thread and, if empty, Frames. */
VOID DECLSPEC_NORETURN KiStopRun(PKI_STOP Stop);

/* TRUE from the moment that somebody ended the run. Any IRQL. */
BOOLEAN KiIsStopping(VOID);

/* Bug check with a trap frame: where it happened is the interrupted instruction, not this call. */
VOID DECLSPEC_NORETURN KiBugCheckTrap(PKTRAP_FRAME TrapFrame, ULONG Code, ULONG64 P1, ULONG64 P2, ULONG64 P3,
                                      ULONG64 P4);

/*
 * Called first thing by a bug check, before anything is stopped; NULL if there is none. Tests that expect one end
 * their thread in it.
 */
extern VOID (*KiBugCheckHook)(ULONG Code, const ULONG64 *Parameters);

/*
 * What a page fault that is about to stop the machine really is, as far as higher layers can tell; set by init/. Any
 * IRQL, no locks, touches nothing pageable. Retry: the trap frame was repaired, the instruction may go on.
 */
typedef enum _KI_FAULT_KIND {
    KiFaultOther,
    KiFaultRetry,
    KiFaultFreedSpecialPool,  /* 0xCC, 0xD5 */
    KiFaultBeyondSpecialPool, /* 0xCD, 0xD6 */
    KiFaultUnloadedDriver,    /* 0xCE; at raised IRQL 0xD4 */
    KiFaultPageableDriver     /* at raised IRQL 0xD3: a section of a driver that may be paged */
} KI_FAULT_KIND;
extern KI_FAULT_KIND (*KiClassifyFault)(PKTRAP_FRAME TrapFrame, ULONG64 Address);

/* Contents of the PTE that maps an address, for bug checks that show it; set by mm/, 0 if there is none. Any IRQL. */
extern ULONG64 (*KiQueryPte)(ULONG64 Address);

/* The documented name of a bug check ("BAD_POOL_CALLER"), NULL if it has none here. */
const char *KiBugCheckName(ULONG Code);

/* --- IRQL ------------------------------------------------------------------------------------------- */

/* Raise without the checks and the choice point of the public routine. Returns the old level. */
static inline KIRQL
KiRaiseIrql(KIRQL NewIrql)
{
    KIRQL OldIrql = HalGetIrql();

    NT_ASSERT(NewIrql >= OldIrql);
    HalSetIrql(NewIrql);
    return OldIrql;
}

/* Raise to DISPATCH_LEVEL, or stay where it is if that is above. */
static inline KIRQL
KiRaiseIrqlToDispatch(VOID)
{
    KIRQL OldIrql = HalGetIrql();

    if (OldIrql < DISPATCH_LEVEL) {
        HalSetIrql(DISPATCH_LEVEL);
    }
    return OldIrql;
}

static inline VOID
KiLowerIrql(KIRQL NewIrql)
{
    NT_ASSERT(NewIrql <= HalGetIrql());
    HalLowerIrql(NewIrql);
}

/* --- The verifier (verifier.c) ---------------------------------------------------------------------- */

/* Is the image that runs verified? Set before the first image runs. */
extern BOOLEAN KiVerifierOn;

/*
 * Pageable memory is put out of an image's reach when it comes to DISPATCH_LEVEL. The count is of page tables that have
 * resident pageable pages; mm/ keeps it and sets the routine (mm/pte/softtrim.c), which is called at DISPATCH_LEVEL.
 */
extern volatile ULONG KiPageableTables;
extern VOID (*KiTrimPageable)(VOID);

/* Trim if the verifier is on and the caller is at DISPATCH_LEVEL. Any IRQL. */
VOID KiTrimForImage(VOID);

/* An image has just come to DISPATCH_LEVEL. */
static inline VOID
KiImageAtDispatch(VOID)
{
    if (KiPageableTables != 0) {
        KiTrimForImage();
    }
}

/* --- Lock ranks (lockrank.c) ------------------------------------------------------------------------ */

/*
 * Check before, note after taking, and forget a lock. Spin locks are noted on the processor, blocking locks in the
 * thread. A violation calls KiRankViolation, whose default is an assertion naming both ranks; tests may put their own
 * there, which returns to go on.
 */
typedef VOID KI_RANK_VIOLATION(LOCK_RANK Held, LOCK_RANK Wanted, PVOID Lock);
extern KI_RANK_VIOLATION *KiRankViolation;
const char *KiRankName(LOCK_RANK Rank);

#ifdef NTMM_CHECKED
VOID KiCheckSpinRank(const volatile VOID *Lock, LOCK_RANK Rank);
VOID KiNoteSpinLock(const volatile VOID *Lock, LOCK_RANK Rank);
VOID KiForgetSpinLock(const volatile VOID *Lock);
VOID KiCheckPushRank(const volatile VOID *Lock, LOCK_RANK Rank);
VOID KiNotePushLock(const volatile VOID *Lock, LOCK_RANK Rank);
VOID KiForgetPushLock(const volatile VOID *Lock);
#else
static inline VOID KiCheckSpinRank(const volatile VOID *Lock, LOCK_RANK Rank) { (VOID)Lock; (VOID)Rank; }
static inline VOID KiNoteSpinLock(const volatile VOID *Lock, LOCK_RANK Rank) { (VOID)Lock; (VOID)Rank; }
static inline VOID KiForgetSpinLock(const volatile VOID *Lock) { (VOID)Lock; }
static inline VOID KiCheckPushRank(const volatile VOID *Lock, LOCK_RANK Rank) { (VOID)Lock; (VOID)Rank; }
static inline VOID KiNotePushLock(const volatile VOID *Lock, LOCK_RANK Rank) { (VOID)Lock; (VOID)Rank; }
static inline VOID KiForgetPushLock(const volatile VOID *Lock) { (VOID)Lock; }
#endif

/* --- Spin locks of the core ------------------------------------------------------------------------- */

/*
 * A taken lock holds its owner: processor number * 2 + 1. At DISPATCH_LEVEL or above; a processor that wants what it
 * holds is bug check 0x0F. The word of a driver's own lock has the same form.
 */
VOID KiSpinForLock(PKSPIN_LOCK Lock);
VOID KiSpinForBit(volatile ULONG64 *Word, ULONG Bit);

static inline BOOLEAN
KiTakeLockWord(PKSPIN_LOCK Lock)
{
    ULONG_PTR Free = 0;

    return __atomic_compare_exchange_n(Lock, &Free, (ULONG_PTR)PcrRead32(Number) * 2 + 1, FALSE, __ATOMIC_ACQUIRE,
                                       __ATOMIC_RELAXED);
}

static inline VOID
KiAcquireRankedLock(PKSPIN_LOCK Lock, LOCK_RANK Rank)
{
    NT_ASSERT(HalGetIrql() >= DISPATCH_LEVEL);
    HalChoicePoint(HalChoiceLock);
    KiCheckSpinRank(Lock, Rank);
    if (!KiTakeLockWord(Lock)) {
        KiSpinForLock(Lock);
    }
    KiNoteSpinLock(Lock, Rank);
}

/* Take it if it is free. A try cannot deadlock, so any rank may be held. */
static inline BOOLEAN
KiTryRankedLock(PKSPIN_LOCK Lock, LOCK_RANK Rank)
{
    NT_ASSERT(HalGetIrql() >= DISPATCH_LEVEL);
    HalChoicePoint(HalChoiceLock);
    if (!KiTakeLockWord(Lock)) {
        return FALSE;
    }
    KiNoteSpinLock(Lock, Rank);
    return TRUE;
}

static inline VOID
KiReleaseRankedLock(PKSPIN_LOCK Lock)
{
    NT_ASSERT(__atomic_load_n(Lock, __ATOMIC_RELAXED) == (ULONG_PTR)PcrRead32(Number) * 2 + 1);
    KiForgetSpinLock(Lock);
    __atomic_store_n(Lock, 0, __ATOMIC_RELEASE);
}

/* The same with the raise to DISPATCH_LEVEL; the old level goes to the release. */
static inline KIRQL
KiAcquireRankedLockRaise(PKSPIN_LOCK Lock, LOCK_RANK Rank)
{
    KIRQL OldIrql = KiRaiseIrqlToDispatch();

    KiAcquireRankedLock(Lock, Rank);
    return OldIrql;
}

static inline VOID
KiReleaseRankedLockLower(PKSPIN_LOCK Lock, KIRQL OldIrql)
{
    KiReleaseRankedLock(Lock);
    KiLowerIrql(OldIrql);
}

/* One bit of a word as a spin lock; the other bits may change under it. Acquire and release order memory. */
static inline BOOLEAN
KiTakeBit(volatile ULONG64 *Word, ULONG Bit)
{
    return (__atomic_fetch_or(Word, 1ull << Bit, __ATOMIC_ACQUIRE) & (1ull << Bit)) == 0;
}

static inline VOID
KiAcquireBitLock(volatile ULONG64 *Word, ULONG Bit, LOCK_RANK Rank)
{
    NT_ASSERT(HalGetIrql() >= DISPATCH_LEVEL);
    HalChoicePoint(HalChoiceLock);
    KiCheckSpinRank(Word, Rank);
    if (!KiTakeBit(Word, Bit)) {
        KiSpinForBit(Word, Bit);
    }
    KiNoteSpinLock(Word, Rank);
}

static inline BOOLEAN
KiTryBitLock(volatile ULONG64 *Word, ULONG Bit, LOCK_RANK Rank)
{
    NT_ASSERT(HalGetIrql() >= DISPATCH_LEVEL);
    HalChoicePoint(HalChoiceLock);
    if (!KiTakeBit(Word, Bit)) {
        return FALSE;
    }
    KiNoteSpinLock(Word, Rank);
    return TRUE;
}

static inline VOID
KiReleaseBitLock(volatile ULONG64 *Word, ULONG Bit)
{
    NT_ASSERT((__atomic_load_n(Word, __ATOMIC_RELAXED) & (1ull << Bit)) != 0);
    KiForgetSpinLock(Word);
    __atomic_fetch_and(Word, ~(1ull << Bit), __ATOMIC_RELEASE);
}

/* --- Start ------------------------------------------------------------------------------------------ */

/*
 * First thing on the first processor: the boot context becomes its idle thread, at DISPATCH_LEVEL, interrupts allowed.
 * It must not block; what blocks belongs into the first system thread.
 */
VOID KiInitializeKernel(PHAL_LOADER_BLOCK LoaderBlock);

/* The loader block given to KiInitializeKernel. */
extern PHAL_LOADER_BLOCK KiLoaderBlock;

/* The end of the boot context: be the idle thread from now on. */
VOID DECLSPEC_NORETURN KiIdleLoop(VOID);

/* Set of the processors that run; 1 until HalStartProcessors has brought up others. */
HAL_AFFINITY KiActiveProcessors(VOID);

/* Block until Count processors run, at most some seconds; FALSE if they did not come. PASSIVE_LEVEL or the boot context. */
BOOLEAN KiWaitForProcessors(ULONG Count);

/* --- Leftovers ------------------------------------------------------------------------------------- */

/* A timer that is set and lies in [Start, End), or whose DPC's routine does; NULL if there is none. <= DISPATCH_LEVEL. */
PKTIMER KiFindTimer(ULONG_PTR Start, ULONG_PTR End);

/* The same for a queued DPC. */
PKDPC KiFindDpc(ULONG_PTR Start, ULONG_PTR End);

/* Have the DPCs of a processor run on a stack of their own, nonpaged, from now on. Before the processor has any. */
VOID KiSetDpcStack(ULONG Processor, ULONG_PTR Limit, ULONG_PTR Base);

/* --- Raising ---------------------------------------------------------------------------------------- */

/* Raise Status on behalf of the caller; the documented form of ExRaiseStatus for the core. <= APC_LEVEL. */
VOID DECLSPEC_NORETURN KiRaiseStatus(NTSTATUS Status);

#endif
