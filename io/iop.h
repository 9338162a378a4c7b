/* Private to io/. */
#ifndef IO_IOP_H
#define IO_IOP_H

#include "io.h"
#include <ntexport.h>

#define IOP_STACK_FRAMES 12

/* --- Shared state --------------------------------------------------------------------------------------- */

extern KSPIN_LOCK IopLock;
extern POBJECT_TYPE IopDriverType;
extern POBJECT_TYPE IopDeviceType;
extern POBJECT_TYPE IopLinkType;

static inline KIRQL
IopAcquireLock(VOID)
{
    return KiAcquireRankedLockRaise(&IopLock, LockRankHandleTable);
}

static inline VOID
IopReleaseLock(KIRQL OldIrql)
{
    KiReleaseRankedLockLower(&IopLock, OldIrql);
}

/* --- Devices (device.c) --------------------------------------------------------------------------------- */

/* What a device object has besides the documented part; behind the driver's extension. IopLock. */
typedef struct _DEVOBJ_EXTENSION {
    CSHORT Type;
    USHORT Size;
    PDEVICE_OBJECT DeviceObject;
    PDEVICE_OBJECT AttachedTo;   /* the one below */
    LIST_ENTRY Links;            /* all devices not deleted, in order of making */
    LIST_ENTRY ShutdownLinks;    /* Flink NULL: not registered */
    LONG OpenCount;              /* file objects */
    BOOLEAN DeletePending;
    BOOLEAN Image;
    ULONG StackId;
    UNICODE_STRING Name;         /* the path it was made with, in a block of its own */
} DEVOBJ_EXTENSION;

VOID IopInitializeDevices(VOID);

/* Make an object whose pool is the core's own, whoever asks. *Image and *StackId: who does. */
NTSTATUS IopMakeObject(POBJECT_TYPE Type, SIZE_T Size, PVOID *Object, PBOOLEAN Image, PULONG StackId);

/* A copy of a string in nonpaged pool of the core's own; FALSE without memory. Freed by IopFreeString. */
BOOLEAN IopCopyString(const UNICODE_STRING *Source, PUNICODE_STRING Copy);
VOID IopFreeString(PUNICODE_STRING String);

/* --- Names (link.c) ------------------------------------------------------------------------------------- */

VOID IopInitializeLinks(VOID);

/* The device a path leads to, referenced, and what is left of the path behind it (IopFreeString). */
NTSTATUS IopFindDevice(PCUNICODE_STRING Path, PDEVICE_OBJECT *DeviceObject, PUNICODE_STRING Rest);

/* Name an object; the path as a driver gave it, "\DosDevices" understood. */
NTSTATUS IopNameObject(PVOID Object, PCUNICODE_STRING Path);

/* --- Files (file.c) ------------------------------------------------------------------------------------- */

VOID IopInitializeFiles(VOID);

/* --- Requests (irp.c) ----------------------------------------------------------------------------------- */

/* Bits of IRP.AllocationFlags. */
#define IOP_IRP_ALLOCATED 0x01 /* by IopAllocateIrp: an IOP_IRP_TAIL follows */
#define IOP_IRP_OWNED 0x02     /* ours from the start: freeing it is our business */
#define IOP_IRP_WAITED 0x04    /* whoever sent it waits for Tail.Completed and frees it */

/* Behind the stack locations. */
typedef struct _IOP_IRP_TAIL {
    KEVENT Completed;
    ULONG OutputLength; /* what may be copied from the system buffer to UserBuffer */
} IOP_IRP_TAIL, *PIOP_IRP_TAIL;

static inline PIOP_IRP_TAIL
IopTailOf(PIRP Irp)
{
    return (PIOP_IRP_TAIL)(PVOID)((PUCHAR)Irp + Irp->Size);
}

/* An IRP with these flags; NULL without memory. */
PIRP IopAllocateIrp(CCHAR StackSize, UCHAR Flags);
VOID IopFreeIrp(PIRP Irp);

/*
 * Send a WAITED request and wait for it; its status, and *Iosb if asked for. The request is freed. One that is not
 * completed in time is cancelled, and if that does not help it is a finding, is left alone for good, and
 * STATUS_IO_TIMEOUT. PASSIVE_LEVEL.
 */
NTSTATUS IopCallAndWait(PDEVICE_OBJECT DeviceObject, PIRP Irp, PIO_STATUS_BLOCK Iosb);

/* Give the next location of a request what a device control needs. Nothing is left behind on failure but what
 * IopUndoBuffers takes back. STATUS_INSUFFICIENT_RESOURCES, STATUS_ACCESS_VIOLATION. (build.c) */
NTSTATUS IopPrepareControl(PIRP Irp, UCHAR MajorFunction, const IO_CONTROL *Control);
/* Free the system buffer and unlock and free the MDLs. <= DISPATCH_LEVEL. */
VOID IopUndoBuffers(PIRP Irp);

/* Tell a driver's breach of the I/O verifier's rules: bug check 0xC9. */
static inline VOID DECLSPEC_NORETURN
IopVerifierStop(ULONG Rule, ULONG_PTR P2, ULONG_PTR P3, ULONG_PTR P4)
{
    KeBugCheckEx(DRIVER_VERIFIER_IOMANAGER_VIOLATION, Rule, P2, P3, P4);
}

#endif
