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

/* Of the trap path: if Rip is in the copy routine, have it return Status and answer TRUE. */
BOOLEAN KiFailUserCopy(PKTRAP_FRAME TrapFrame, NTSTATUS Status);

#endif
