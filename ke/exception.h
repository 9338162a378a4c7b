/*
 * Exceptions of images: dispatch to language handlers, and unwinding to one that takes it.
 *
 * Only images have handlers. The first pass walks from the exception outwards and asks every frame's handler; one that
 * takes the exception begins the second pass, the unwind, from inside its own call: frames are left one by one,
 * their termination handlers run, and the registers of the target frame are loaded. Core frames have no unwind data; both
 * passes cross them by boundary records:
 *
 *      image frame        <- Walk.Context
 *      ... leads to KiCallImageReturn:
 *      CALLBACK           the core called the image
 *      HANDLER            that call was of a language handler: an exception in a filter (nested), or in a termination
 *                         handler (collided: the walk goes on where the older unwind had come to)
 *      GUARD              the core routine wants to clean up: an unwind lands there, and goes on when it is done
 *      EXPORT or TRAP     the image's registers when it called the core, or when an exception interrupted it
 *
 * The core keeps nothing in XMM registers, so Xmm6 to Xmm15 pass through its frames unchanged; sanitized builds have them in the
 * EXPORT record. Documents: "x64 exception handling", RtlUnwindEx.
 */
#ifndef KE_EXCEPTION_H
#define KE_EXCEPTION_H

/* Offsets for assembly. */
#define CONTEXT_MXCSR 0x34
#define CONTEXT_SEGCS 0x38
#define CONTEXT_SEGSS 0x42
#define CONTEXT_EFLAGS 0x44
#define CONTEXT_RAX 0x78
#define CONTEXT_RIP 0xF8
#define CONTEXT_FLTSAVE 0x100
#define CONTEXT_XMM0 0x1A0

#ifndef __ASSEMBLER__

#include "boundary.h"

/* What one step of unwinding found out about an image's frame. */
typedef struct _KI_IMAGE_FRAME {
    ULONG64 ImageBase;
    PRUNTIME_FUNCTION FunctionEntry; /* in the image, NULL for a leaf */
    ULONG64 EstablisherFrame;
    PVOID Handler; /* of the language, NULL: none that applies here */
    PVOID HandlerData;
    ULONG HandlerFlags;   /* UNW_FLAG_EHANDLER, UNW_FLAG_UHANDLER */
    BOOLEAN MachineFrame; /* the caller was interrupted, it did not call */
} KI_IMAGE_FRAME, *PKI_IMAGE_FRAME;

/*
 * Set by ldr. Replace Context, a place in an image, by its caller's; FALSE, and Context unchanged, if the unwind data is
 * damaged or stack or data cannot be read. CallSite: Rip is a return address. <= DISPATCH_LEVEL.
 */
extern BOOLEAN (*KiUnwindImageFrame)(PCONTEXT Context, BOOLEAN CallSite, PKI_IMAGE_FRAME Frame);

/* Set by ldr. The bounds of the loaded image that the address is in; FALSE if it is in none. Any IRQL. */
extern BOOLEAN (*KiFindImage)(ULONG64 Address, PULONG64 Base, PULONG Size);

/* A walk over the frames of images. */
typedef struct _KI_EXCEPTION_WALK {
    CONTEXT Context;            /* the frame's registers */
    PKI_BOUNDARY_RECORD Record; /* the records from here up are newer than the frame */
    ULONG ScopeIndex;           /* where the frame's handler goes on after a collision */
    BOOLEAN CallSite;           /* Rip is a return address */
} KI_EXCEPTION_WALK, *PKI_EXCEPTION_WALK;

/* The call of a language handler in progress: what a HANDLER record's Data points to. */
typedef struct _KI_HANDLER_CALL {
    BOOLEAN Unwinding;
    ULONG64 EstablisherFrame;
    const DISPATCHER_CONTEXT *Dispatcher;
    const KI_EXCEPTION_WALK *Walk; /* of an unwind: at the frame whose handler runs */
} KI_HANDLER_CALL, *PKI_HANDLER_CALL;

/* An unwind in progress. */
typedef struct _KI_UNWIND {
    KI_EXCEPTION_WALK Walk;
    PEXCEPTION_RECORD Record;
    EXCEPTION_RECORD OwnRecord; /* *Record, where the caller gave none or its memory goes away */
    ULONG64 TargetFrame;
    ULONG64 TargetIp;
    ULONG64 ReturnValue;
    ULONG Collided; /* EXCEPTION_COLLIDED_UNWIND, for the next handler */
} KI_UNWIND, *PKI_UNWIND;

/* A core routine's claim to unwinds that pass it; on its stack while its callback runs. */
typedef struct _KI_UNWIND_GUARD {
    ULONG64 Stack; /* 0x00: as KiCallGuarded left it */
    KI_UNWIND Unwind;
} KI_UNWIND_GUARD, *PKI_UNWIND_GUARD;

/*
 * Call Routine(Context). FALSE when it returned; TRUE when an unwind passes: then the caller undoes what it must and
 * goes on with KiContinueUnwind(Guard). The guard must lie on a stack that is still there by then. <= DISPATCH_LEVEL.
 */
BOOLEAN KiCallGuarded(VOID (*Routine)(PVOID), PVOID Context, PKI_UNWIND_GUARD Guard);
VOID DECLSPEC_NORETURN KiContinueUnwind(PKI_UNWIND_GUARD Guard);

/* KiCallRoutine as a guarded call. */
BOOLEAN KiCallRoutineGuarded(PVOID Routine, ULONG_PTR A1, ULONG_PTR A2, ULONG_PTR A3, ULONG_PTR A4,
                             PKI_UNWIND_GUARD Guard);

/*
 * An exception at a trap; returns when the frame, which may have been changed, is to be resumed. Stops the machine if
 * nobody handles it.
 */
VOID KiDispatchTrap(PKTRAP_FRAME TrapFrame, PEXCEPTION_RECORD Record);

/*
 * Raise Record on behalf of the image that called the core; ReturnAddress is where the raising routine returns to, for
 * the report. ExceptionAddress is filled in. Does not return: a handler or the image goes on.
 */
VOID DECLSPEC_NORETURN KiRaiseException(PEXCEPTION_RECORD Record, PVOID ReturnAddress);

/* The same with a record of no information. */
VOID DECLSPEC_NORETURN KiRaiseFrom(NTSTATUS Status, ULONG Flags, PVOID ReturnAddress);

/* --- between the files of ke/ --------------------------------------------------------------------- */

/* What a context may choose of EFLAGS (the arithmetic flags, trap, direction, alignment check) and of MXCSR. */
#define KI_CONTEXT_FLAGS 0x40DD5u
#define KI_MXCSR_FLAGS 0xFFFFu

/* Where a walk that left an image's frame has come. */
typedef enum _KI_CROSSING {
    KiCrossedToImage, /* Walk is at an image's frame */
    KiCrossedHandler, /* past the call of a language handler; cross again */
    KiCrossedGuard,   /* past a guard; cross again */
    KiCrossedEnd      /* there is nothing more, or it is damaged */
} KI_CROSSING;

/* Cross core frames, by one marker at most, whose Data goes to *Data. */
KI_CROSSING KiCrossCore(PKI_EXCEPTION_WALK Walk, PVOID *Data);

/*
 * Begin a walk at the image that the core works for: it called, or an exception of it is being handled. FALSE if there is
 * none. What records do not hold of Context is kept.
 */
BOOLEAN KiBeginWalk(PKI_EXCEPTION_WALK Walk);

/* Call a language handler with a HANDLER record below the call. */
EXCEPTION_DISPOSITION KiCallHandler(PKI_HANDLER_CALL Call, PEXCEPTION_RECORD Record, PCONTEXT Context,
                                    PDISPATCHER_CONTEXT Dispatcher);

/* Fill in what a handler is told of a frame. */
VOID KiDescribeFrame(PDISPATCHER_CONTEXT Dispatcher, const KI_IMAGE_FRAME *Frame, ULONG64 ControlPc, ULONG ScopeIndex);

/* Load Context, of an image's frame, with the records below Top in use. */
VOID DECLSPEC_NORETURN KiResumeImage(PCONTEXT Context, PKI_BOUNDARY_RECORD Top);

/* Leave all frames above TargetFrame and go on at TargetIp with ReturnValue in rax. Begins at the newest call from an image. */
VOID DECLSPEC_NORETURN KiUnwindTo(ULONG64 TargetFrame, ULONG64 TargetIp, PEXCEPTION_RECORD Record,
                                  ULONG64 ReturnValue);

/* Stop the machine for an exception that nobody handles. Wrapped: it left the start routine of a system thread. */
VOID DECLSPEC_NORETURN KiUnhandledException(PEXCEPTION_RECORD Record, PCONTEXT Context, PKTRAP_FRAME TrapFrame,
                                            PVOID ReturnAddress, BOOLEAN Wrapped);

/* A trap's registers as a context, and back; vectors too. */
VOID KiTrapToContext(const KTRAP_FRAME *TrapFrame, PCONTEXT Context);
VOID KiContextToTrap(const CONTEXT *Context, PKTRAP_FRAME TrapFrame);

/* In assembly (except.S). */
VOID KiCaptureRegisters(PCONTEXT Context);               /* XMM, MXCSR, segments, flags, callee-saved as they are now */
VOID DECLSPEC_NORETURN KiRestoreRegisters(PCONTEXT Context); /* and go on at its Rip */
VOID KiLoadVectors(const CONTEXT *Context);              /* Xmm6 to Xmm15 */
BOOLEAN KiGuardedCall(VOID (*Routine)(PVOID), PVOID Context, PKI_UNWIND_GUARD Guard);
VOID DECLSPEC_NORETURN KiLandOnGuard(PKI_UNWIND_GUARD Guard);
extern const UCHAR KiCallImageReturn[];

#endif
#endif
