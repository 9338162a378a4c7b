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

/* The device a path leads to, from the directory Root if that is given, referenced, and what is left of the path behind it
 * (IopFreeString). */
NTSTATUS IopFindDevice(PCUNICODE_STRING Path, HANDLE Root, PDEVICE_OBJECT *DeviceObject, PUNICODE_STRING Rest);

/* Name an object; the path as a driver gave it, "\DosDevices" understood. */
NTSTATUS IopNameObject(PVOID Object, PCUNICODE_STRING Path);

/* --- Files (file.c, create.c) ---------------------------------------------------------------------------- */

typedef struct _IOP_FILE {
    FILE_OBJECT Object;
    BOOLEAN Opened;      /* the driver knows of it */
    LIST_ENTRY Requests; /* IOP_IRP_TAIL.FileLinks: those of services, on their way; IopLock */
} IOP_FILE, *PIOP_FILE;

VOID IopInitializeFiles(VOID);

/* A request of a file for the top of its device's stack; NULL without memory. Flags: IOP_IRP_*. */
PIRP IopMakeFileIrp(PFILE_OBJECT File, PDEVICE_OBJECT Top, UCHAR MajorFunction, UCHAR Flags);

/* The last handle of a file is closed: tell the driver. PASSIVE_LEVEL. */
VOID IopCloseFile(PVOID Object);

/* Count a file object of the device's in or out. */
VOID IopCountOpen(PDEVICE_OBJECT Device, LONG Change);

/* --- Requests (irp.c) ----------------------------------------------------------------------------------- */

/* Bits of IRP.AllocationFlags. */
#define IOP_IRP_ALLOCATED 0x01 /* by IopAllocateIrp: an IOP_IRP_TAIL follows */
#define IOP_IRP_OWNED 0x02     /* ours from the start: freeing it is our business */
#define IOP_IRP_WAITED 0x04    /* whoever sent it waits for Tail.Completed, finishes and frees it */
#define IOP_IRP_QUEUED 0x08    /* on its thread's list; IopLock */

/* A call of a dispatch routine in progress; on the stack of IofCallDriver. IopLock. */
typedef struct _IOP_CALL {
    struct _IOP_CALL *Next;
    CHAR Location;   /* (C) */
    BOOLEAN Over;    /* off the request's list: what follows is known */
    BOOLEAN Gone;    /* the packet was freed or reused */
    BOOLEAN Marked;  /* as pending, when the location was completed */
    NTSTATUS Status; /* that it was completed with */
} IOP_CALL, *PIOP_CALL;

/* What is known of a location whose dispatch routine has returned. IopLock. */
typedef struct _IOP_RETURNED {
    ULONG_PTR Dispatch;
    BOOLEAN Pending; /* STATUS_PENDING, and it is not completed yet */
} IOP_RETURNED, *PIOP_RETURNED;

/* Behind the stack locations; one IOP_RETURNED for each of them follows. */
typedef struct _IOP_IRP_TAIL {
    KEVENT Completed;
    ULONG OutputLength;    /* what may be copied from the system buffer to UserBuffer */
    PFILE_OBJECT File;     /* referenced for as long as the request is on its way; NULL: none */
    PKEVENT Event;         /* UserEvent, referenced too */
    PIO_APC_ROUTINE ApcRoutine;
    PVOID ApcContext;
    PIRP Irp;              /* (C) whose tail this is */
    PKTHREAD Thread;       /* whose list it is on, if QUEUED: the packet's own field is overlaid by its APC */
    PKPROCESS Process;     /* whose memory the sender used then, its own or one it was attached to; referenced */
    LIST_ENTRY FileLinks;  /* IOP_FILE.Requests, if File is set and it has been sent; IopLock */
    PIOP_CALL Calls;       /* IopLock */
} IOP_IRP_TAIL, *PIOP_IRP_TAIL;

static inline PIOP_IRP_TAIL
IopTailOf(PIRP Irp)
{
    return (PIOP_IRP_TAIL)(PVOID)((PUCHAR)Irp + Irp->Size);
}

/* An IRP with these flags; NULL without memory. */
PIRP IopAllocateIrp(CCHAR StackSize, UCHAR Flags);
VOID IopFreeIrp(PIRP Irp);

/* Put a request on the current thread's list, and take it off whichever it is on. <= DISPATCH_LEVEL. */
VOID IopQueueToThread(PIRP Irp);
VOID IopLeaveThread(PIRP Irp);

/* Threads cancel their requests when they end (threadio.c). */
VOID IopInitializeThreads(VOID);

/* --- Their end (complete.c) ------------------------------------------------------------------------------ */

/*
 * Send a WAITED request and wait for it; its status, and *Iosb if asked for. The request is freed. One that is not
 * completed in time is cancelled, and if that does not help it is a finding, is left alone for good, and
 * STATUS_IO_TIMEOUT. PASSIVE_LEVEL.
 */
NTSTATUS IopCallAndWait(PDEVICE_OBJECT DeviceObject, PIRP Irp, PIO_STATUS_BLOCK Iosb);

/* Free a request that was not sent, and all it has. <= APC_LEVEL. */
VOID IopDropRequest(PIRP Irp);

/* --- Watching them (verify.c) ---------------------------------------------------------------------------- */

/* The image's code that called the core; 0 if none did. Any IRQL. */
ULONG_PTR IopCallerOfCore(VOID);

/* Around the call of a dispatch routine: FALSE, and no IopEndCall is due, if the packet is not watched. <= DISPATCH_LEVEL. */
BOOLEAN IopBeginCall(PIRP Irp, PIOP_CALL Call);
VOID IopEndCall(PIRP Irp, PIOP_CALL Call, NTSTATUS Status, ULONG_PTR Dispatch);

/* The current location is about to be completed; Marked as pending or not. */
VOID IopNoteCompleted(PIRP Irp, BOOLEAN Marked);

/* Has a driver the request? It must be ALLOCATED. */
BOOLEAN IopIsOnItsWay(PIRP Irp);

/* The packet goes away or is made new. */
VOID IopForgetCalls(PIRP Irp);

/* --- Buffers (build.c) ----------------------------------------------------------------------------------- */

/*
 * Give the next location of a request what a device control, a read or a write needs, with buffers that RequestorMode
 * answers for. Nothing is left behind on failure but what IopUndoBuffers takes back. STATUS_INSUFFICIENT_RESOURCES,
 * STATUS_ACCESS_VIOLATION. IRQL <= APC_LEVEL.
 */
NTSTATUS IopPrepareControl(PIRP Irp, UCHAR MajorFunction, const IO_CONTROL *Control);
NTSTATUS IopPrepareTransfer(PIRP Irp, PDEVICE_OBJECT DeviceObject, BOOLEAN Write, PVOID Buffer, ULONG Length);

/* A system buffer of Length bytes with a copy of InputLength of Input in it; with Output it is copied there at
 * completion. */
NTSTATUS IopPrepareBuffer(PIRP Irp, ULONG Length, const VOID *Input, ULONG InputLength, PVOID Output,
                          ULONG OutputLength);

/* Free the system buffer and unlock and free the MDLs. <= DISPATCH_LEVEL. */
VOID IopUndoBuffers(PIRP Irp);

/* Tell a driver's breach of the I/O verifier's rules: bug check 0xC9. */
static inline VOID DECLSPEC_NORETURN
IopVerifierStop(ULONG Rule, ULONG_PTR P2, ULONG_PTR P3, ULONG_PTR P4)
{
    KeBugCheckEx(DRIVER_VERIFIER_IOMANAGER_VIOLATION, Rule, P2, P3, P4);
}

#endif
