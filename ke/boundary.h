/*
 * The boundary between images and the core.
 *
 * Whoever crosses it leaves a record on the current thread's record stack: an image that calls an
 * export (KiExportEntry, through the stub of the generated system image), the core when it calls an
 * image (KiCallImage), and an interrupt that starts work of the core's own in the middle of either
 * (KiEnterBoundary); while an exception is handled also whom it interrupted and which handler runs (exception.h). Stack walks and unwinding cross the core by these records: an image's
 * frames are known from its unwind data, the core's are not.
 *
 * The records of a thread are an array of its own, newest last; [BoundaryBase, BoundaryTop) are in
 * use. Only the thread writes them, or an interrupt above it that leaves them as it found them. A
 * record is claimed by moving BoundaryTop before it is filled, and released after it was read, so an
 * interrupt may come anywhere. More than KI_BOUNDARY_RECORDS is bug check 0x7F (8), as running out
 * of stack would be.
 *
 * The same file serves boundary.S: below are the offsets it needs, checked against the structures.
 */
#ifndef KE_BOUNDARY_H
#define KE_BOUNDARY_H

#define KI_BOUNDARY_EXPORT 1   /* an image called the core; registers are the image's at the call */
#define KI_BOUNDARY_CALLBACK 2 /* the core called an image; registers are the core's */
#define KI_BOUNDARY_BARRIER 3  /* work of the core's own began here, nothing below belongs to it */
#define KI_BOUNDARY_TRAP 4     /* an exception interrupted an image; registers are the image's, Data its CONTEXT */
#define KI_BOUNDARY_HANDLER 5  /* the next record is the call of a language handler, Data a KI_HANDLER_CALL */
#define KI_BOUNDARY_GUARD 6    /* a core routine that cleans up when an unwind arrives, Data a KI_UNWIND_GUARD */

#define KI_BOUNDARY_RECORDS 128

/* Offsets for assembly. */
#define KTHREAD_BOUNDARY_TOP 0x18
#define KTHREAD_BOUNDARY_LIMIT 0x20
#define PCR_CURRENT_THREAD 0x188
#define BOUNDARY_RIP 0x00
#define BOUNDARY_RSP 0x08
#define BOUNDARY_RBX 0x10
#define BOUNDARY_RBP 0x18
#define BOUNDARY_RSI 0x20
#define BOUNDARY_RDI 0x28
#define BOUNDARY_R12 0x30
#define BOUNDARY_R13 0x38
#define BOUNDARY_R14 0x40
#define BOUNDARY_R15 0x48
#define BOUNDARY_KIND 0x50
#define BOUNDARY_INDEX 0x54
#define BOUNDARY_XMM 0x60
#ifdef NTMM_SANITIZED
#define BOUNDARY_SIZE 0x100
#else
#define BOUNDARY_SIZE 0x60
#endif

#ifndef __ASSEMBLER__

#include <wdm.h>

/* In Index: this call was put to failure injection, which hears of each once (mm/phys/inject.h). */
#define KI_BOUNDARY_ASKED 0x80000000u

/* Registers that a called routine preserves, as the Microsoft x64 convention has them. */
typedef struct _KI_BOUNDARY_RECORD {
    ULONG64 Rip; /* where the call returns to */
    ULONG64 Rsp; /* at the callee's first instruction: the return address is there */
    ULONG64 Rbx;
    ULONG64 Rbp;
    ULONG64 Rsi;
    ULONG64 Rdi;
    ULONG64 R12;
    ULONG64 R13;
    ULONG64 R14;
    ULONG64 R15;
    ULONG Kind;  /* KI_BOUNDARY_* */
    ULONG Index; /* of the export in KiExportTable; with KI_BOUNDARY_ASKED for the life of one call */
    PVOID Data;  /* TRAP, HANDLER, GUARD only */
#ifdef NTMM_SANITIZED
    /* Xmm6 to Xmm15: sanitizer run times do not spare them as the convention demands. */
    UCHAR Xmm[10][16];
#endif
} KI_BOUNDARY_RECORD, *PKI_BOUNDARY_RECORD;

_Static_assert(sizeof(KI_BOUNDARY_RECORD) == BOUNDARY_SIZE, "boundary.S");
_Static_assert(FIELD_OFFSET(KI_BOUNDARY_RECORD, Rip) == BOUNDARY_RIP, "boundary.S");
_Static_assert(FIELD_OFFSET(KI_BOUNDARY_RECORD, Rsp) == BOUNDARY_RSP, "boundary.S");
_Static_assert(FIELD_OFFSET(KI_BOUNDARY_RECORD, Rbp) == BOUNDARY_RBP, "boundary.S");
_Static_assert(FIELD_OFFSET(KI_BOUNDARY_RECORD, R15) == BOUNDARY_R15, "boundary.S");
_Static_assert(FIELD_OFFSET(KI_BOUNDARY_RECORD, Kind) == BOUNDARY_KIND, "boundary.S");
_Static_assert(FIELD_OFFSET(KI_BOUNDARY_RECORD, Index) == BOUNDARY_INDEX, "boundary.S");

/*
 * What unwinding read from the thread's stack, eight bytes at a time. Incomplete: it read elsewhere or too much, did not
 * end where the core called the image, or went on to an older call.
 */
#define KI_UNWIND_READS 48
typedef struct _KI_UNWIND_LOG {
    ULONG Count;
    BOOLEAN Incomplete;
    struct {
        ULONG64 Address;
        ULONG64 Value;
    } Reads[KI_UNWIND_READS];
} KI_UNWIND_LOG, *PKI_UNWIND_LOG;

/* A place in an image, from which its unwind data leads to the caller. */
typedef struct _KI_UNWIND_STATE {
    ULONG64 Rip;
    ULONG64 Rsp;
    ULONG64 Rbx;
    ULONG64 Rbp;
    ULONG64 Rsi;
    ULONG64 Rdi;
    ULONG64 R12;
    ULONG64 R13;
    ULONG64 R14;
    ULONG64 R15;
    PKI_UNWIND_LOG Log; /* to be written by the unwinder, unless NULL */
} KI_UNWIND_STATE, *PKI_UNWIND_STATE;

/*
 * Set by ldr. Replace State, a place in an image, by that of its caller; FALSE, and State unchanged, if Rip is in
 * no image or the stack cannot be read. FirstFrame TRUE: Rip is the interrupted instruction, FALSE: a return address.
 * Called at any IRQL, must take no lock and touch only memory that is resident.
 */
typedef BOOLEAN KI_IMAGE_UNWIND(PKI_UNWIND_STATE State, BOOLEAN FirstFrame);
extern KI_IMAGE_UNWIND *KiImageUnwind;

/* Set by ldr: does the address lie in the code or data of a loaded image (or one unloaded lately)? Any IRQL. */
extern BOOLEAN (*KiIsImageAddress)(ULONG64 Address);

/*
 * The exports, set by ldr before the first image runs. An image's call arrives at KiExportEntry with
 * r11d = the index, everything else as the convention has it.
 */
extern PVOID *KiExportTable;
extern ULONG KiExportCount;
extern const UCHAR KiExportEntry[];
extern const UCHAR KiExportReturn[];

/*
 * A routine that may not be called at any IRQL, or whose calls by images somebody wants to see first: its place in
 * KiExportTable holds KiCheckedExport, which asks KiCheckExport and then goes on to the routine. The rules stand in a
 * table of the same order; a routine without one has no Name there.
 */
typedef struct _KI_EXPORT_RULE {
    PVOID Routine;
    const char *Name;
    KIRQL Limit;                                     /* the highest IRQL it may be called at */
    ULONG Violation;                                 /* first parameter of bug check 0xC4 above that */
    VOID (*Watch)(ULONG64 Argument1);                /* called with the routine's first argument; or NULL */
} KI_EXPORT_RULE, *PKI_EXPORT_RULE;

extern PKI_EXPORT_RULE KiExportRules;
extern const UCHAR KiCheckedExport[];

/* The general violation, where the documents have no number for the routine, and that of ZwXxx routines. */
#define KI_IRQL_VIOLATION 0xE5
#define KI_IRQL_VIOLATION_ZW 0xE6

/*
 * Call a routine of an image. All calls of foreign code go through these. Any IRQL. Returns rax. The routine
 * gets six arguments whatever their number; KiCallImage passes zero for the last two.
 */
ULONG_PTR KiCallImage6(PVOID Routine, ULONG_PTR A1, ULONG_PTR A2, ULONG_PTR A3, ULONG_PTR A4, ULONG_PTR A5,
                       ULONG_PTR A6);

static inline ULONG_PTR
KiCallImage(PVOID Routine, ULONG_PTR A1, ULONG_PTR A2, ULONG_PTR A3, ULONG_PTR A4)
{
    return KiCallImage6(Routine, A1, A2, A3, A4, 0, 0);
}

/* Call a routine of the Microsoft convention, through the boundary if it is an image's. */
ULONG_PTR KiCallRoutine(PVOID Routine, ULONG_PTR A1, ULONG_PTR A2, ULONG_PTR A3, ULONG_PTR A4);

struct _KTHREAD;

/* Begin and end work of the core's own on top of whatever runs: a barrier record. Any IRQL. */
VOID KiEnterBoundary(VOID);
VOID KiLeaveBoundary(VOID);

/* Claim and release a record of a kind with Data; the caller fills in registers, if any. Any IRQL. */
PKI_BOUNDARY_RECORD KiPushBoundary(ULONG Kind, PVOID Data);
VOID KiPopBoundary(ULONG Kind);

/* Is the address in the core's own code? In [Address, Address + 16) on a stack that the thread stands on? Any IRQL. */
BOOLEAN KiIsCoreCode(ULONG64 Address);
BOOLEAN KiIsOnStack(const struct _KTHREAD *Thread, ULONG64 Address);

/* The newest record of the current thread of one kind, not looking below a barrier; NULL if there is none. */
PKI_BOUNDARY_RECORD KiFindBoundaryRecord(ULONG Kind);

/*
 * Return addresses, innermost first, of the calls that are in progress: the core's by frame pointer, images' by unwind
 * data. The first is where this call returns to; Skip leaves out that many. Returns how many were stored. Any IRQL, no
 * locks, cheap.
 */
ULONG KiCaptureStack(PVOID *Frames, ULONG Maximum, ULONG Skip);

/* The same for the images' frames only, beginning with the newest call from an image. */
ULONG KiCaptureImageStack(PVOID *Frames, ULONG Maximum);

/*
 * The same, and what it depended on: with the same registers in the record, the same values where Log says and the same
 * images the frames are the same.
 */
ULONG KiCaptureImageStackLog(PVOID *Frames, ULONG Maximum, PKI_UNWIND_LOG Log);

/* The newest record, if it is a call from an image and no older record of an image is before a barrier; else NULL. */
PKI_BOUNDARY_RECORD KiOnlyImageRecord(VOID);

/* Changes whenever an image goes away: another may come where it was. */
extern ULONG KiImageEpoch;

/* The frames of a thread that is not running, as far as images go; of the current one too. */
ULONG KiCaptureThreadStack(struct _KTHREAD *Thread, PVOID *Frames, ULONG Maximum);

/* From a trap: Frames[0] is the interrupted instruction. */
ULONG KiCaptureTrapStack(PKTRAP_FRAME TrapFrame, PVOID *Frames, ULONG Maximum);

#endif
#endif
