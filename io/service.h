/*
 * Private to io/: the common part of services that send a request through a file handle.
 *
 *     IopBeginService   the caller's arguments checked, file and event referenced, the file locked if it is
 * synchronous IopPrepare...     the request's buffers IopSendService    sent; a synchronous file's caller
 * waits for it IopFailService    or not sent after all
 */
#ifndef IO_SERVICE_H
#define IO_SERVICE_H

#include "iop.h"

typedef struct _IOP_SERVICE {
    KPROCESSOR_MODE Mode;
    ACCESS_MASK Granted;
    PFILE_OBJECT File;
    PDEVICE_OBJECT Top; /* referenced */
    PKEVENT Event;      /* referenced, NULL: none */
    PIRP Irp;
    BOOLEAN Locked; /* the file is */
} IOP_SERVICE, *PIOP_SERVICE;

/* What all services are given. */
typedef struct _IOP_ARGUMENTS {
    HANDLE FileHandle;
    HANDLE Event;
    PIO_APC_ROUTINE ApcRoutine;
    PVOID ApcContext;
    PIO_STATUS_BLOCK IoStatusBlock;
    ACCESS_MASK Wanted; /* any one of these rights, in user mode; 0: none */
} IOP_ARGUMENTS, *PIOP_ARGUMENTS;

/*
 * On success Service->Irp is a request of MajorFunction for the file, owned by the service.
 * STATUS_INVALID_HANDLE, STATUS_OBJECT_TYPE_MISMATCH, STATUS_ACCESS_DENIED, STATUS_ACCESS_VIOLATION,
 * STATUS_INSUFFICIENT_RESOURCES. PASSIVE_LEVEL.
 */
NTSTATUS IopBeginService(const IOP_ARGUMENTS *Arguments, UCHAR MajorFunction, PIOP_SERVICE Service);

/* The same without a request: file and lock only. */
NTSTATUS IopBeginFile(const IOP_ARGUMENTS *Arguments, PIOP_SERVICE Service);

/* Send it, and end the service: the status for the caller. */
NTSTATUS IopSendService(PIOP_SERVICE Service);

/* Give everything back; Status. */
NTSTATUS IopFailService(PIOP_SERVICE Service, NTSTATUS Status);

#endif
