/*
 * File objects: opening a device, sending requests through a handle, and the end.
 *
 *     IoOpenDevice: IRP_MJ_CREATE --> handle --last handle closed--> IRP_MJ_CLEANUP --last reference--> IRP_MJ_CLOSE
 *
 * A file object refers to its device and counts in its OpenCount. Requests go to the top of the device's stack, with a
 * reference to the file object for as long as they are on the way.
 *
 * Document: "Introduction to File Objects".
 */
#include "iop.h"

#define IOP_FILE_TAG 0x656C6946u /* "File" */

POBJECT_TYPE IoFileObjectType;
NTEXPORT_DATA(IoFileObjectType);

typedef struct _IOP_FILE {
    FILE_OBJECT Object;
    BOOLEAN Opened; /* the driver knows of it */
} IOP_FILE, *PIOP_FILE;

/* --- Requests about the file itself ------------------------------------------------------------------------ */

static PIRP
IopMakeFileIrp(PFILE_OBJECT File, PDEVICE_OBJECT Top, UCHAR MajorFunction)
{
    PIRP Irp;

    KiEnterBoundary();
    Irp = IopAllocateIrp(Top->StackSize, IOP_IRP_OWNED | IOP_IRP_WAITED);
    KiLeaveBoundary();
    if (Irp != NULL) {
        Irp->Tail.Overlay.OriginalFileObject = File;
        Irp->RequestorMode = KernelMode;
        IoGetNextIrpStackLocation(Irp)->MajorFunction = MajorFunction;
        IoGetNextIrpStackLocation(Irp)->FileObject = File;
    }
    return Irp;
}

static NTSTATUS
IopSendCreate(PFILE_OBJECT File, ACCESS_MASK DesiredAccess)
{
    IO_SECURITY_CONTEXT Security = {.DesiredAccess = DesiredAccess, .FullCreateOptions = (ULONG)FILE_OPEN << 24};
    PDEVICE_OBJECT Top = IoGetAttachedDeviceReference(File->DeviceObject);
    PIRP Irp = IopMakeFileIrp(File, Top, IRP_MJ_CREATE);
    NTSTATUS Status = STATUS_INSUFFICIENT_RESOURCES;

    if (Irp != NULL) {
        PIO_STACK_LOCATION Location = IoGetNextIrpStackLocation(Irp);

        Irp->Flags |= IRP_CREATE_OPERATION | IRP_SYNCHRONOUS_API;
        Location->Parameters.Create.SecurityContext = &Security;
        Location->Parameters.Create.Options = (ULONG)FILE_OPEN << 24;
        Location->Parameters.Create.ShareAccess = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
        Status = IopCallAndWait(Top, Irp, NULL);
    }
    ObfDereferenceObject(Top);
    return Status;
}

/* Cleanup and close must not fail for want of memory: wait for some. */
static VOID
IopSendEnd(PFILE_OBJECT File, UCHAR MajorFunction)
{
    LARGE_INTEGER Interval = {.QuadPart = -10 * 10000};
    PDEVICE_OBJECT Top = IoGetAttachedDeviceReference(File->DeviceObject);
    PIRP Irp;

    while ((Irp = IopMakeFileIrp(File, Top, MajorFunction)) == NULL) {
        KeDelayExecutionThread(KernelMode, FALSE, &Interval);
    }
    Irp->Flags |= IRP_SYNCHRONOUS_API | (MajorFunction == IRP_MJ_CLOSE ? IRP_CLOSE_OPERATION : 0);
    IopCallAndWait(Top, Irp, NULL);
    ObfDereferenceObject(Top);
}

/* --- The type ------------------------------------------------------------------------------------------- */

/* The last handle is closed. */
static VOID
IopCloseFile(PVOID Object)
{
    PIOP_FILE File = Object;

    if (File->Opened) {
        IopSendEnd(&File->Object, IRP_MJ_CLEANUP);
        File->Object.Flags |= FO_CLEANUP_COMPLETE;
    }
}

static VOID
IopCountOpen(PDEVICE_OBJECT Device, LONG Change)
{
    KIRQL OldIrql = IopAcquireLock();

    Device->DeviceObjectExtension->OpenCount += Change;
    Device->ReferenceCount += Change;
    IopReleaseLock(OldIrql);
}

static VOID
IopDeleteFile(PVOID Object)
{
    PIOP_FILE File = Object;

    if (File->Opened) {
        IopSendEnd(&File->Object, IRP_MJ_CLOSE);
    }
    IopFreeString(&File->Object.FileName);
    IopCountOpen(File->Object.DeviceObject, -1);
    ObfDereferenceObject(File->Object.DeviceObject);
}

static const OBJECT_TYPE IopFileTemplate = {
    .Name = L"File",
    .Tag = IOP_FILE_TAG,
    .ValidAccess = STANDARD_RIGHTS_ALL | 0x1FF,
    .Mapping = {STANDARD_RIGHTS_READ | SYNCHRONIZE | 0x89, STANDARD_RIGHTS_WRITE | SYNCHRONIZE | 0x116,
                STANDARD_RIGHTS_EXECUTE | SYNCHRONIZE | 0xA0, STANDARD_RIGHTS_ALL | 0x1FF},
    .WaitOffset = FIELD_OFFSET(FILE_OBJECT, Event),
    .Delete = IopDeleteFile,
    .Close = IopCloseFile,
};

VOID
IopInitializeFiles(VOID)
{
    IoFileObjectType = ObMakeType(&IopFileTemplate);
}

/* --- Opening -------------------------------------------------------------------------------------------- */

/* May the device be opened? It is counted as open then. */
static NTSTATUS
IopAdmit(PDEVICE_OBJECT Device)
{
    PDEVOBJ_EXTENSION Extension = Device->DeviceObjectExtension;
    NTSTATUS Status = STATUS_SUCCESS;
    KIRQL OldIrql = IopAcquireLock();

    if ((Device->Flags & DO_DEVICE_INITIALIZING) != 0 || Extension->DeletePending) {
        Status = STATUS_NO_SUCH_DEVICE;
    } else if ((Device->Flags & DO_EXCLUSIVE) != 0 && Extension->OpenCount != 0) {
        Status = STATUS_ACCESS_DENIED;
    } else {
        Extension->OpenCount += 1;
        Device->ReferenceCount += 1;
    }
    IopReleaseLock(OldIrql);
    return Status;
}

/* A file object for a device; the reference to it and Rest are used up in any case. */
static NTSTATUS
IopMakeFile(PDEVICE_OBJECT Device, PUNICODE_STRING Rest, ACCESS_MASK DesiredAccess, PIOP_FILE *Made)
{
    PIOP_FILE File;
    PVOID Object;
    BOOLEAN Image;
    ULONG StackId;
    NTSTATUS Status = IopAdmit(Device);

    if (!NT_SUCCESS(Status)) {
        goto Refused;
    }
    Status = IopMakeObject(IoFileObjectType, sizeof(*File), &Object, &Image, &StackId);
    if (!NT_SUCCESS(Status)) {
        IopCountOpen(Device, -1);
        goto Refused;
    }
    File = Object;
    File->Object.Type = IO_TYPE_FILE;
    File->Object.Size = sizeof(FILE_OBJECT);
    File->Object.DeviceObject = Device;
    File->Object.FileName = *Rest;
    File->Object.Flags = FO_SYNCHRONOUS_IO;
    File->Object.ReadAccess = (DesiredAccess & (FILE_READ_DATA | GENERIC_READ | GENERIC_ALL)) != 0;
    File->Object.WriteAccess = (DesiredAccess & (FILE_WRITE_DATA | GENERIC_WRITE | GENERIC_ALL)) != 0;
    File->Object.SharedRead = TRUE;
    File->Object.SharedWrite = TRUE;
    File->Object.SharedDelete = TRUE;
    KeInitializeEvent(&File->Object.Lock, SynchronizationEvent, TRUE);
    KeInitializeEvent(&File->Object.Event, NotificationEvent, FALSE);
    InitializeListHead(&File->Object.IrpList);
    *Made = File;
    return STATUS_SUCCESS;

Refused:
    IopFreeString(Rest);
    ObfDereferenceObject(Device);
    return Status;
}

/* Open a path; the file object is the caller's and the driver knows of it. */
static NTSTATUS
IopOpenFile(PCUNICODE_STRING Path, ACCESS_MASK DesiredAccess, PIOP_FILE *Opened)
{
    PDEVICE_OBJECT Device;
    UNICODE_STRING Rest;
    PIOP_FILE File;
    NTSTATUS Status = IopFindDevice(Path, &Device, &Rest);

    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Status = IopMakeFile(Device, &Rest, DesiredAccess, &File);
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Status = IopSendCreate(&File->Object, DesiredAccess);
    if (!NT_SUCCESS(Status)) {
        ObfDereferenceObject(File);
        return Status;
    }
    File->Opened = TRUE;
    *Opened = File;
    return STATUS_SUCCESS;
}

NTSTATUS
IoOpenDevice(PCUNICODE_STRING Path, ACCESS_MASK DesiredAccess, PHANDLE Handle)
{
    PIOP_FILE File;
    NTSTATUS Status = IopOpenFile(Path, DesiredAccess, &File);

    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Status = ObMakeHandle(File, DesiredAccess, OBJ_KERNEL_HANDLE, Handle);
    if (NT_SUCCESS(Status)) {
        File->Object.Flags |= FO_HANDLE_CREATED;
    } else {
        IopCloseFile(File);
    }
    ObfDereferenceObject(File);
    return Status;
}

/*
 * Open the device of a name (or link): *FileObject, whose last reference closes it again, and the top of its stack,
 * which the file object keeps. Statuses as IoOpenDevice. PASSIVE_LEVEL.
 */
NTSTATUS NTAPI
IoGetDeviceObjectPointer(PUNICODE_STRING ObjectName, ACCESS_MASK DesiredAccess, PFILE_OBJECT *FileObject,
                         PDEVICE_OBJECT *DeviceObject)
{
    PIOP_FILE File;
    NTSTATUS Status;

    ObRequirePassive();
    Status = IopOpenFile(ObjectName, DesiredAccess, &File);
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    /* The handle that it is opened with is closed at once. */
    IopCloseFile(File);
    *FileObject = &File->Object;
    *DeviceObject = IoGetRelatedDeviceObject(&File->Object);
    return STATUS_SUCCESS;
}
NTEXPORT(IoGetDeviceObjectPointer);

/* Where requests for a file go: the top of its device's stack. No reference is taken. IRQL <= DISPATCH_LEVEL. */
PDEVICE_OBJECT NTAPI
IoGetRelatedDeviceObject(PFILE_OBJECT FileObject)
{
    return IoGetAttachedDevice(FileObject->DeviceObject);
}
NTEXPORT(IoGetRelatedDeviceObject);

/* --- Device control ------------------------------------------------------------------------------------- */

NTSTATUS
IoSendControl(HANDLE Handle, const IO_CONTROL *Control, PIRP *Irp)
{
    PDEVICE_OBJECT Top;
    PFILE_OBJECT File;
    PVOID Object;
    PIRP Made;
    NTSTATUS Status = ObReferenceObjectByHandle(Handle, 0, IoFileObjectType, KernelMode, &Object, NULL);

    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    File = Object;
    Top = IoGetAttachedDeviceReference(File->DeviceObject);
    Made = IopMakeFileIrp(File, Top, IRP_MJ_DEVICE_CONTROL);
    Status = Made == NULL ? STATUS_INSUFFICIENT_RESOURCES
                          : IopPrepareControl(Made, IRP_MJ_DEVICE_CONTROL, Control);
    if (NT_SUCCESS(Status)) {
        IofCallDriver(Top, Made);
        *Irp = Made;
    } else if (Made != NULL) {
        IopUndoBuffers(Made);
        IopFreeIrp(Made);
    }
    ObfDereferenceObject(Top);
    ObfDereferenceObject(File);
    return Status;
}
