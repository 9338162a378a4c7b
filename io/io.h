/*
 * The I/O manager's interface for the rest of the core. What drivers use is declared in wdm.h (wdmio.h, wdmdev.h).
 *
 *     driver object ---- its devices ---- attached devices
 *          |                  ^
 *     IofCallDriver      file object <--- handle
 *
 * Lock: one spin lock, IopLock, a leaf, guards lists of devices, attachments, links and requests. Cancel routines run
 * under the documented cancel spin lock.
 */
#ifndef IO_IO_H
#define IO_IO_H

#include <ke/ke.h>
#include <ob/ob.h>

/* --- Start ---------------------------------------------------------------------------------------------- */

/* Object types and the name space for links. PASSIVE_LEVEL, once, before the system image is made and images run. Ends
 * the run if memory is too short. */
VOID IoInitialize(VOID);

/* What MajorFunction[] of a new driver holds, if set: a routine that drivers may call too. Set by init/ to the address
 * at which images find IopInvalidDeviceRequest. */
extern PDRIVER_DISPATCH IoInvalidDeviceRequest;

/* --- Driver objects ------------------------------------------------------------------------------------- */

typedef struct _IO_DRIVER_PARAMETERS {
    const char *Name; /* of the service; what follows a "." is left out */
    PVOID Start;
    ULONG Size;
    PVOID Section;
    PDRIVER_INITIALIZE EntryPoint;
} IO_DRIVER_PARAMETERS;

/*
 * Make a driver object, named \Driver\Name, and the path of its service key, which lives as long as the object.
 * The caller has the one reference. PASSIVE_LEVEL. STATUS_INSUFFICIENT_RESOURCES, STATUS_OBJECT_NAME_COLLISION.
 */
NTSTATUS IoMakeDriverObject(const IO_DRIVER_PARAMETERS *Parameters, PDRIVER_OBJECT *DriverObject,
                            PUNICODE_STRING *RegistryPath);

/* DriverEntry has succeeded: its devices can be opened. */
VOID IoDriverStarted(PDRIVER_OBJECT DriverObject);

/* --- Devices, for requests and reports ------------------------------------------------------------------- */

/* The path of the driver's device that was made first and has a name; FALSE if there is none. Path is the caller's to
 * free with ExFreePool. PASSIVE_LEVEL. */
BOOLEAN IoFirstDeviceName(PDRIVER_OBJECT DriverObject, PUNICODE_STRING Path);

/* Something that was made and not ended: a device or a symbolic link. */
typedef struct _IO_LEFT {
    PVOID Object;
    const UNICODE_STRING *Name; /* Length 0: none */
    BOOLEAN Image;
    ULONG StackId;              /* for MiQueryPoolStack */
} IO_LEFT, *PIO_LEFT;

/* Visit what is left, in order of making. PASSIVE_LEVEL; the visitor may do what its caller may, but must not make or
 * end devices or links. */
VOID IoEnumerateDevices(VOID (*Visitor)(const IO_LEFT *Left, PVOID Context), PVOID Context);
VOID IoEnumerateLinks(VOID (*Visitor)(const IO_LEFT *Left, PVOID Context), PVOID Context);

/* Send IRP_MJ_SHUTDOWN to devices that asked for it, once each. PASSIVE_LEVEL. */
VOID IoShutDown(VOID);

/* --- Requests --------------------------------------------------------------------------------------------- */

/* What a device control is made of. */
typedef struct _IO_CONTROL {
    ULONG Code;
    PVOID Input;
    ULONG InputLength;
    PVOID Output;
    ULONG OutputLength;
} IO_CONTROL, *PIO_CONTROL;

/* Lock the pages of an MDL, a status instead of an exception: set by init/, as mm/mdl is above. */
extern NTSTATUS (*IoLockPages)(PMDL Mdl, KPROCESSOR_MODE AccessMode, LOCK_OPERATION Operation);

#endif
