/*
 * The core and user mode: on whose behalf it works, and how it touches memory that a caller names.
 *
 * A thread has a previous mode: UserMode while a system service asked for from user mode is on, else KernelMode. An image that
 * calls a Zw routine meanwhile asks on its own behalf, so the answer for a service is derived: it is UserMode only if no
 * call of a Zw routine lies between the service and here. Nothing has to be put back when an exception leaves such a call.
 *
 * User memory is touched by KiCopyFromUser and KiCopyToUser alone: a fault there that nobody can resolve becomes the
 * status they return. They have their own piece of assembly (usercopy.S), which the trap path knows by its address, and are the
 * places where a machine with SMAP opens the door.
 */
#ifndef KE_USER_H
#define KE_USER_H

#include <hal/hal.h>

struct _KTHREAD;

/*
 * The mode whose rules arguments of a system service are checked by. Any IRQL; of the current thread.
 */
KPROCESSOR_MODE KiPreviousMode(VOID);

/* Begin and end asking on behalf of user mode in the current thread; returns what it was. */
KPROCESSOR_MODE KiSetPreviousMode(KPROCESSOR_MODE Mode);

/* Set by ldr: the name of the export with this index. */
extern const char *(*KiExportName)(ULONG Index);

/* Does [Address, Address + Length) lie in user space? Length 0 always does. Any IRQL. */
BOOLEAN KiIsUserRange(const VOID *Address, SIZE_T Length);

/*
 * Copy Length bytes between core memory and user addresses of the address space in force. STATUS_SUCCESS;
 * STATUS_ACCESS_VIOLATION if the range is not in user space or its pages do not allow it, or what the fault ended with
 * (STATUS_GUARD_PAGE_VIOLATION, STATUS_IN_PAGE_ERROR, STATUS_NO_MEMORY...): some bytes may have been copied. The core's side is resident.
 * IRQL <= APC_LEVEL, no lock held that a fault takes.
 */
NTSTATUS KiCopyFromUser(PVOID To, const VOID *From, SIZE_T Length);
NTSTATUS KiCopyToUser(PVOID To, const VOID *From, SIZE_T Length);

/*
 * Arguments and results of a service: by the rules above if Mode is UserMode, else plain copies of memory that the kernel's
 * caller answers for (an exception there is the caller's).
 */
NTSTATUS KiCaptureArgument(PVOID To, const VOID *From, SIZE_T Length, KPROCESSOR_MODE Mode);
NTSTATUS KiReturnResult(PVOID To, const VOID *From, SIZE_T Length, KPROCESSOR_MODE Mode);

/* May the caller write [Address, Address + Length) now? Reads and writes a byte of each page. Status as above. */
NTSTATUS KiProbeResult(PVOID Address, SIZE_T Length, KPROCESSOR_MODE Mode);

/* What a driver did to user memory before it uses it. */
typedef enum _KI_USER_PROBE {
    KiProbedForRead,
    KiProbedForWrite,  /* each page was touched */
    KiLockedForUser,   /* by MmProbeAndLockPages with UserMode */
    KiLockedForKernel  /* with KernelMode: that is no probe */
} KI_USER_PROBE;

/*
 * For whoever watches drivers, if set. Probed: the current thread has probed or locked user memory; <= DISPATCH_LEVEL.
 * Touched: kernel mode is about to touch a user address that is not there, or not that way; may not change the trap frame;
 * <= APC_LEVEL.
 */
extern VOID (*KiUserProbed)(const volatile VOID *Address, SIZE_T Length, KI_USER_PROBE Probe);
extern VOID (*KiUserTouched)(PKTRAP_FRAME TrapFrame, ULONG64 Address);

static inline VOID
KiNoteUserProbe(const volatile VOID *Address, SIZE_T Length, KI_USER_PROBE Probe)
{
    if (KiUserProbed != NULL) {
        KiUserProbed(Address, Length, Probe);
    }
}

/* --- User mode: what happens there ------------------------------------------------------------------- */

/* A system service: how many arguments, and a routine of the Microsoft convention. */
typedef struct _KI_SERVICE {
    PVOID Routine;
    ULONG ArgumentCount;
} KI_SERVICE, *PKI_SERVICE;

#define KI_SERVICE_ARGUMENTS 20

/* Set by nt before the first program runs. */
extern const KI_SERVICE *KiServiceTable;
extern ULONG KiServiceCount;

/* Set by ldr: where in user space an exception is dispatched; 0 while there is nothing. */
extern ULONG_PTR KiUserExceptionDispatcher;

/*
 * Set by ps. Nobody handles the exception: end the process, with its code. Called in the thread it happened in, at PASSIVE_LEVEL; does
 * not return to the program.
 */
extern VOID (*KiUserUnhandled)(PEXCEPTION_RECORD Record, PCONTEXT Context);

/* Have a thread end on its way to user mode: it is marked, and a wait in user mode's name is over. <= DISPATCH_LEVEL. */
VOID KiTerminateUser(struct _KTHREAD *Thread);

/* Set by ldr: user mode wants to run at an address where nothing is. Returns if that means nothing special. */
extern VOID (*KiUserFetch)(ULONG64 Address);

/* Set by ps: the thread is about to go to user mode; it may be wanted elsewhere, or have to end. */
extern VOID (*KiUserReturn)(PKTRAP_FRAME TrapFrame);

/*
 * An exception in user mode: the frame goes on in the program's dispatcher, with record and context on the user stack. FirstChance FALSE,
 * or no room there: it ends the process.
 */
VOID KiDispatchUserException(PKTRAP_FRAME TrapFrame, PEXCEPTION_RECORD Record, PCONTEXT Context, BOOLEAN FirstChance);

/* The current thread goes on in user mode with these registers when its service returns. STATUS_ACCESS_VIOLATION: not a user address. */
NTSTATUS KiSetUserContext(const CONTEXT *Context);

/*
 * Begin user mode in the current thread, whose TEB has been set: at Rip with Rsp, and the first two arguments of the convention in
 * registers. PASSIVE_LEVEL, not to be called with anything on the stack that matters.
 */
VOID DECLSPEC_NORETURN KiStartUser(ULONG_PTR Rip, ULONG_PTR Rsp, ULONG_PTR Argument1, ULONG_PTR Argument2);

/* Of the trap path: if Rip is in the copy routine, have it return Status and answer TRUE. */
BOOLEAN KiFailUserCopy(PKTRAP_FRAME TrapFrame, NTSTATUS Status);

#endif
