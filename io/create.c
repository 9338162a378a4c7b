/*
 * Opening files: a path to a device, a file object, IRP_MJ_CREATE, a handle.
 *
 *     IopOpenFile: IopFindDevice --> IopAdmit --> IopMakeFile --> IRP_MJ_CREATE --> opened
 *                       ^                                              |
 *                       \-------- the driver's new name --------------/ STATUS_REPARSE
 *
 * What is behind the device in the path is the driver's business, and so are disposition, options and
 * extended attributes; there is no file system. Rights are granted as asked for. Parameters are captured
 * first and checked before anything happens; a handle is made last, and if that fails the driver sees the
 * file closed.
 *
 * Document: "ZwCreateFile", "IRP_MJ_CREATE".
 */
#include "iop.h"
#include <ke/user.h>

#define IOP_NAME_TAG         0x6D4E6C46u /* "FlNm" */
#define IOP_EA_TAG           0x61456F49u /* "IoEa" */
#define IOP_MAXIMUM_REPARSES 32
#define IOP_MAXIMUM_EA       0x10000
#define IOP_SYNCHRONOUS      (FILE_SYNCHRONOUS_IO_ALERT | FILE_SYNCHRONOUS_IO_NONALERT)
#define IOP_DIRECTORY_OPTIONS                                                                                \
    (FILE_DIRECTORY_FILE | IOP_SYNCHRONOUS | FILE_WRITE_THROUGH | FILE_OPEN_FOR_BACKUP_INTENT |              \
     FILE_OPEN_BY_FILE_ID | FILE_DELETE_ON_CLOSE)

/* What a caller asks for; captured. */
typedef struct _IOP_OPEN {
    UNICODE_STRING Path;
    HANDLE Root;
    ULONG Attributes; /* OBJ_* */
    ACCESS_MASK DesiredAccess;
    LONGLONG AllocationSize;
    ULONG FileAttributes;
    ULONG ShareAccess;
    ULONG Disposition;
    ULONG Options;
    PVOID Ea; /* in nonpaged pool; NULL: none */
    ULONG EaLength;
    KPROCESSOR_MODE Mode;
    ULONG_PTR Information; /* of IRP_MJ_CREATE */
} IOP_OPEN, *PIOP_OPEN;

/* --- The file object ------------------------------------------------------------------------------------ */

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

static ULONG
IopFileFlags(const IOP_OPEN *Open)
{
    static const struct {
        ULONG Option;
        ULONG Flag;
    } Flags[] = {
        {FILE_SYNCHRONOUS_IO_NONALERT, FO_SYNCHRONOUS_IO},
        {FILE_SYNCHRONOUS_IO_ALERT, FO_SYNCHRONOUS_IO | FO_ALERTABLE_IO},
        {FILE_NO_INTERMEDIATE_BUFFERING, FO_NO_INTERMEDIATE_BUFFERING},
        {FILE_WRITE_THROUGH, FO_WRITE_THROUGH},
        {FILE_SEQUENTIAL_ONLY, FO_SEQUENTIAL_ONLY},
        {FILE_RANDOM_ACCESS, FO_RANDOM_ACCESS},
        {FILE_DELETE_ON_CLOSE, FO_DELETE_ON_CLOSE},
    };
    ULONG Result = (Open->Attributes & OBJ_CASE_INSENSITIVE) != 0 ? 0 : FO_OPENED_CASE_SENSITIVE;

    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Flags); Index += 1) {
        Result |= (Open->Options & Flags[Index].Option) != 0 ? Flags[Index].Flag : 0;
    }
    return Result;
}

static VOID
IopFillFile(PFILE_OBJECT File, PDEVICE_OBJECT Device, PFILE_OBJECT Related, const UNICODE_STRING *Rest,
            const IOP_OPEN *Open)
{
    ACCESS_MASK Access = Open->DesiredAccess;

    File->Type = IO_TYPE_FILE;
    File->Size = sizeof(FILE_OBJECT);
    File->DeviceObject = Device;
    File->RelatedFileObject = Related;
    File->FileName = *Rest;
    File->Flags = IopFileFlags(Open);
    File->ReadAccess =
        (Access & (FILE_READ_DATA | FILE_EXECUTE | GENERIC_READ | GENERIC_EXECUTE | GENERIC_ALL)) != 0;
    File->WriteAccess = (Access & (FILE_WRITE_DATA | FILE_APPEND_DATA | GENERIC_WRITE | GENERIC_ALL)) != 0;
    File->DeleteAccess = (Access & (DELETE | GENERIC_ALL)) != 0;
    File->SharedRead = (Open->ShareAccess & FILE_SHARE_READ) != 0;
    File->SharedWrite = (Open->ShareAccess & FILE_SHARE_WRITE) != 0;
    File->SharedDelete = (Open->ShareAccess & FILE_SHARE_DELETE) != 0;
    KeInitializeEvent(&File->Lock, SynchronizationEvent, TRUE);
    KeInitializeEvent(&File->Event, NotificationEvent, FALSE);
    InitializeListHead(&File->IrpList);
    KeInitializeSpinLock(&File->IrpListLock);
}

/* A file object for a device; the reference to it and Rest are used up in any case. */
static NTSTATUS
IopMakeFile(PDEVICE_OBJECT Device, PFILE_OBJECT Related, PUNICODE_STRING Rest, const IOP_OPEN *Open,
            PIOP_FILE *Made)
{
    PVOID Object;
    BOOLEAN Image;
    ULONG StackId;
    NTSTATUS Status = IopAdmit(Device);

    if (!NT_SUCCESS(Status)) {
        goto Refused;
    }
    Status = IopMakeObject(IoFileObjectType, sizeof(IOP_FILE), &Object, &Image, &StackId);
    if (!NT_SUCCESS(Status)) {
        IopCountOpen(Device, -1);
        goto Refused;
    }
    *Made = Object;
    IopFillFile(&(*Made)->Object, Device, Related, Rest, Open);
    InitializeListHead(&(*Made)->Requests);
    return STATUS_SUCCESS;

Refused:
    IopFreeString(Rest);
    ObfDereferenceObject(Device);
    return Status;
}

/* --- IRP_MJ_CREATE -------------------------------------------------------------------------------------- */

static VOID
IopFillCreate(PIRP Irp, const IOP_OPEN *Open, PIO_SECURITY_CONTEXT Security)
{
    PIO_STACK_LOCATION Location = IoGetNextIrpStackLocation(Irp);

    Irp->Flags |= IRP_CREATE_OPERATION | IRP_SYNCHRONOUS_API;
    Irp->RequestorMode = Open->Mode;
    Irp->AssociatedIrp.SystemBuffer = Open->Ea;
    Irp->Overlay.AllocationSize.QuadPart = Open->AllocationSize;
    Location->Flags = (Open->Attributes & OBJ_CASE_INSENSITIVE) != 0 ? 0 : SL_CASE_SENSITIVE;
    Location->Parameters.Create.SecurityContext = Security;
    Location->Parameters.Create.Options = Open->Disposition << 24 | Open->Options;
    Location->Parameters.Create.FileAttributes = (USHORT)Open->FileAttributes;
    Location->Parameters.Create.ShareAccess = (USHORT)Open->ShareAccess;
    Location->Parameters.Create.EaLength = Open->EaLength;
}

static NTSTATUS
IopSendCreate(PFILE_OBJECT File, PIOP_OPEN Open)
{
    IO_SECURITY_CONTEXT Security = {.DesiredAccess = Open->DesiredAccess,
                                    .FullCreateOptions = Open->Disposition << 24 | Open->Options};
    PDEVICE_OBJECT Top = IoGetAttachedDeviceReference(File->DeviceObject);
    PIRP Irp = IopMakeFileIrp(File, Top, IRP_MJ_CREATE, IOP_IRP_WAITED);
    IO_STATUS_BLOCK Iosb = {.Status = STATUS_INSUFFICIENT_RESOURCES};
    NTSTATUS Status = STATUS_INSUFFICIENT_RESOURCES;

    if (Irp != NULL) {
        IopFillCreate(Irp, Open, &Security);
        Status = IopCallAndWait(Top, Irp, &Iosb);
    }
    Open->Information = Iosb.Information;
    ObfDereferenceObject(Top);
    return Status;
}

/* --- Opening -------------------------------------------------------------------------------------------- */

/* Where an open begins: the device, what is left for its driver, and the file that the path is relative to,
 * referenced. */
static NTSTATUS
IopFindStart(const IOP_OPEN *Open, PDEVICE_OBJECT *Device, PFILE_OBJECT *Related, PUNICODE_STRING Rest)
{
    PFILE_OBJECT File = NULL;
    PVOID Object;
    NTSTATUS Status;

    if (Open->Root != NULL) {
        Status = ObReferenceObjectByHandle(Open->Root, 0, NULL, Open->Mode, &Object, NULL);
        if (!NT_SUCCESS(Status)) {
            return Status;
        }
        if (ObTypeOf(Object) == IoFileObjectType) {
            File = Object;
        } else {
            ObfDereferenceObject(Object);
        }
    }
    if (File == NULL) {
        *Related = NULL;
        return IopFindDevice(&Open->Path, Open->Root, Device, Rest);
    }
    if (!IopCopyString(&Open->Path, Rest)) {
        ObfDereferenceObject(File);
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    ObfReferenceObject(File->DeviceObject);
    *Device = File->DeviceObject;
    *Related = File;
    return STATUS_SUCCESS;
}

/* The driver has given the file another name: that is where the open begins again. */
static NTSTATUS
IopTakeName(PFILE_OBJECT File, PIOP_OPEN Open)
{
    if (Open->Information > IO_REMOUNT || File->FileName.Buffer == NULL) {
        return STATUS_OBJECT_NAME_INVALID;
    }
    ExFreePool(Open->Path.Buffer);
    Open->Path = File->FileName;
    Open->Root = NULL;
    File->FileName.Buffer = NULL;
    File->FileName.Length = 0;
    return STATUS_REPARSE;
}

/* One round: STATUS_REPARSE asks for another. */
static NTSTATUS
IopTryOpen(PIOP_OPEN Open, PIOP_FILE *Opened)
{
    PDEVICE_OBJECT Device;
    PFILE_OBJECT Related;
    UNICODE_STRING Rest;
    PIOP_FILE File;
    NTSTATUS Status = IopFindStart(Open, &Device, &Related, &Rest);

    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Status = IopMakeFile(Device, Related, &Rest, Open, &File);
    if (NT_SUCCESS(Status)) {
        Status = IopSendCreate(&File->Object, Open);
        /* Good for the driver's create routine only. */
        File->Object.RelatedFileObject = NULL;
        if (NT_SUCCESS(Status) && Status != STATUS_REPARSE) {
            File->Opened = TRUE;
            *Opened = File;
        } else {
            Status = Status == STATUS_REPARSE ? IopTakeName(&File->Object, Open) : Status;
            ObfDereferenceObject(File);
        }
    }
    if (Related != NULL) {
        ObfDereferenceObject(Related);
    }
    return Status;
}

/* Open what is asked for; the file object is the caller's and the driver knows of it. */
static NTSTATUS
IopOpenFile(PIOP_OPEN Open, PIOP_FILE *Opened)
{
    NTSTATUS Status = STATUS_REPARSE;

    for (ULONG Round = 0; Status == STATUS_REPARSE && Round < IOP_MAXIMUM_REPARSES; Round += 1) {
        Status = IopTryOpen(Open, Opened);
    }
    return Status == STATUS_REPARSE ? STATUS_OBJECT_NAME_INVALID : Status;
}

/* --- Parameters ----------------------------------------------------------------------------------------- */

/* What does not go together, as ZwCreateFile's document has it. */
static NTSTATUS
IopCheckOpen(const IOP_OPEN *Open)
{
    ULONG Options = Open->Options;

    if ((Open->FileAttributes & ~(ULONG)FILE_ATTRIBUTE_VALID_FLAGS) != 0 ||
        (Open->ShareAccess & ~(ULONG)FILE_SHARE_VALID_FLAGS) != 0 ||
        Open->Disposition > FILE_MAXIMUM_DISPOSITION || (Options & ~(ULONG)FILE_VALID_OPTION_FLAGS) != 0) {
        return STATUS_INVALID_PARAMETER;
    }
    if ((Options & IOP_SYNCHRONOUS) != 0 &&
        ((Options & IOP_SYNCHRONOUS) == IOP_SYNCHRONOUS || (Open->DesiredAccess & SYNCHRONIZE) == 0)) {
        return STATUS_INVALID_PARAMETER;
    }
    if ((Options & FILE_DELETE_ON_CLOSE) != 0 && (Open->DesiredAccess & DELETE) == 0) {
        return STATUS_INVALID_PARAMETER;
    }
    if ((Options & FILE_DIRECTORY_FILE) != 0 &&
        ((Options & ~(ULONG)IOP_DIRECTORY_OPTIONS) != 0 ||
         (Open->Disposition != FILE_CREATE && Open->Disposition != FILE_OPEN &&
          Open->Disposition != FILE_OPEN_IF))) {
        return STATUS_INVALID_PARAMETER;
    }
    if ((Options & FILE_COMPLETE_IF_OPLOCKED) != 0 && (Options & FILE_RESERVE_OPFILTER) != 0) {
        return STATUS_INVALID_PARAMETER;
    }
    if ((Options & FILE_NO_INTERMEDIATE_BUFFERING) != 0 && (Open->DesiredAccess & FILE_APPEND_DATA) != 0) {
        return STATUS_INVALID_PARAMETER;
    }
    return Open->AllocationSize < 0 || Open->EaLength > IOP_MAXIMUM_EA ? STATUS_INVALID_PARAMETER
                                                                       : STATUS_SUCCESS;
}

static NTSTATUS
IopCapturePath(const OBJECT_ATTRIBUTES *ObjectAttributes, PIOP_OPEN Open)
{
    OBJECT_ATTRIBUTES Attributes;
    UNICODE_STRING Path = {0};
    NTSTATUS Status = KiCaptureArgument(&Attributes, ObjectAttributes, sizeof(Attributes), Open->Mode);

    if (NT_SUCCESS(Status) && Attributes.Length != sizeof(Attributes)) {
        Status = STATUS_INVALID_PARAMETER;
    }
    if (NT_SUCCESS(Status) && Attributes.ObjectName != NULL) {
        Status = KiCaptureArgument(&Path, Attributes.ObjectName, sizeof(Path), Open->Mode);
    }
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    if ((Path.Length & 1) != 0) {
        return STATUS_OBJECT_NAME_INVALID;
    }
    Open->Root = Attributes.RootDirectory;
    Open->Attributes = Attributes.Attributes;
    KiEnterBoundary();
    Open->Path.Buffer =
        ExAllocatePool2(POOL_FLAG_NON_PAGED, (SIZE_T)Path.Length + sizeof(WCHAR), IOP_NAME_TAG);
    KiLeaveBoundary();
    if (Open->Path.Buffer == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    Open->Path.Length = Path.Length;
    Open->Path.MaximumLength = Path.Length;
    return KiCaptureArgument(Open->Path.Buffer, Path.Buffer, Path.Length, Open->Mode);
}

static NTSTATUS
IopCaptureEa(const VOID *EaBuffer, PIOP_OPEN Open)
{
    if (Open->EaLength == 0) {
        return STATUS_SUCCESS;
    }
    KiEnterBoundary();
    Open->Ea = ExAllocatePool2(POOL_FLAG_NON_PAGED, Open->EaLength, IOP_EA_TAG);
    KiLeaveBoundary();
    if (Open->Ea == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    return KiCaptureArgument(Open->Ea, EaBuffer, Open->EaLength, Open->Mode);
}

static VOID
IopForgetOpen(PIOP_OPEN Open)
{
    if (Open->Ea != NULL) {
        ExFreePoolWithTag(Open->Ea, IOP_EA_TAG);
    }
    if (Open->Path.Buffer != NULL) {
        ExFreePool(Open->Path.Buffer);
    }
}

/* --- Services ------------------------------------------------------------------------------------------- */

/* Open, and a handle; the driver's Information is in Open. */
static NTSTATUS
IopOpenHandle(PIOP_OPEN Open, PHANDLE FileHandle)
{
    PIOP_FILE File;
    HANDLE Handle;
    NTSTATUS Status = IopOpenFile(Open, &File);
    NTSTATUS Made;

    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Made = ObMakeHandle(File, Open->DesiredAccess, Open->Attributes, &Handle);
    if (NT_SUCCESS(Made)) {
        File->Object.Flags |= FO_HANDLE_CREATED;
        Made = KiReturnResult(FileHandle, &Handle, sizeof(Handle), Open->Mode);
        if (!NT_SUCCESS(Made)) {
            ObCloseHandle(Handle, Open->Mode);
        }
    } else {
        IopCloseFile(File);
    }
    ObfDereferenceObject(File);
    return NT_SUCCESS(Made) ? Status : Made;
}

/* The parameters of ZwCreateFile that need no capture are in Open. */
static NTSTATUS
IopCreateFile(PHANDLE FileHandle, POBJECT_ATTRIBUTES ObjectAttributes, PIO_STATUS_BLOCK IoStatusBlock,
              PLARGE_INTEGER AllocationSize, PVOID EaBuffer, BOOLEAN Check, PIOP_OPEN Open)
{
    KPROCESSOR_MODE Mode = Open->Mode;
    IO_STATUS_BLOCK Iosb;
    NTSTATUS Status;

    ObRequirePassive();
    Status = KiProbeResult(FileHandle, sizeof(*FileHandle), Mode);
    if (NT_SUCCESS(Status)) {
        Status = KiProbeResult(IoStatusBlock, sizeof(*IoStatusBlock), Mode);
    }
    if (NT_SUCCESS(Status) && AllocationSize != NULL) {
        Status = KiCaptureArgument(&Open->AllocationSize, AllocationSize, sizeof(Open->AllocationSize), Mode);
    }
    if (NT_SUCCESS(Status) && Check) {
        Status = IopCheckOpen(Open);
    }
    if (NT_SUCCESS(Status)) {
        Status = IopCapturePath(ObjectAttributes, Open);
    }
    if (NT_SUCCESS(Status)) {
        Status = IopCaptureEa(EaBuffer, Open);
    }
    if (NT_SUCCESS(Status)) {
        Status = IopOpenHandle(Open, FileHandle);
        Iosb.Pointer = NULL;
        Iosb.Status = Status;
        Iosb.Information = Open->Information;
        if (NT_SUCCESS(Status)) {
            (VOID) KiReturnResult(IoStatusBlock, &Iosb, sizeof(Iosb), Mode);
        }
    }
    IopForgetOpen(Open);
    return Status;
}

/*
 * Open a device, or a file of a driver that has files, by path: ObjectAttributes may name a root, a directory
 * of the name space or an open file. STATUS_OBJECT_NAME_NOT_FOUND, STATUS_OBJECT_PATH_NOT_FOUND,
 * STATUS_OBJECT_NAME_INVALID, STATUS_OBJECT_PATH_SYNTAX_BAD, STATUS_OBJECT_TYPE_MISMATCH for something that
 * cannot be opened, STATUS_NO_SUCH_DEVICE for a device that is not ready, STATUS_ACCESS_DENIED for an
 * exclusive one that is open, STATUS_INVALID_PARAMETER, STATUS_INSUFFICIENT_RESOURCES, or what the driver
 * says. PASSIVE_LEVEL.
 */
NTSTATUS NTAPI
ZwCreateFile(PHANDLE FileHandle, ACCESS_MASK DesiredAccess, POBJECT_ATTRIBUTES ObjectAttributes,
             PIO_STATUS_BLOCK IoStatusBlock, PLARGE_INTEGER AllocationSize, ULONG FileAttributes,
             ULONG ShareAccess, ULONG CreateDisposition, ULONG CreateOptions, PVOID EaBuffer, ULONG EaLength)
{
    IOP_OPEN Open = {.DesiredAccess = DesiredAccess,
                     .FileAttributes = FileAttributes,
                     .ShareAccess = ShareAccess,
                     .Disposition = CreateDisposition,
                     .Options = CreateOptions,
                     .EaLength = EaBuffer == NULL ? 0 : EaLength,
                     .Mode = KiPreviousMode()};

    return IopCreateFile(FileHandle, ObjectAttributes, IoStatusBlock, AllocationSize, EaBuffer, TRUE, &Open);
}
NTEXPORT(ZwCreateFile);
NTEXPORT_AS("NtCreateFile", ZwCreateFile);

/* ZwCreateFile for what must exist. */
NTSTATUS NTAPI
ZwOpenFile(PHANDLE FileHandle, ACCESS_MASK DesiredAccess, POBJECT_ATTRIBUTES ObjectAttributes,
           PIO_STATUS_BLOCK IoStatusBlock, ULONG ShareAccess, ULONG OpenOptions)
{
    IOP_OPEN Open = {.DesiredAccess = DesiredAccess,
                     .ShareAccess = ShareAccess,
                     .Disposition = FILE_OPEN,
                     .Options = OpenOptions,
                     .Mode = KiPreviousMode()};

    return IopCreateFile(FileHandle, ObjectAttributes, IoStatusBlock, NULL, NULL, TRUE, &Open);
}
NTEXPORT(ZwOpenFile);
NTEXPORT_AS("NtOpenFile", ZwOpenFile);

/*
 * ZwCreateFile on behalf of the kernel, whoever the thread works for. CreateFileType must be
 * CreateFileTypeNone: there is no pipe or mailslot (STATUS_OBJECT_TYPE_MISMATCH). Options:
 * IO_NO_PARAMETER_CHECKING leaves the checks out.
 */
NTSTATUS NTAPI
IoCreateFile(PHANDLE FileHandle, ACCESS_MASK DesiredAccess, POBJECT_ATTRIBUTES ObjectAttributes,
             PIO_STATUS_BLOCK IoStatusBlock, PLARGE_INTEGER AllocationSize, ULONG FileAttributes,
             ULONG ShareAccess, ULONG Disposition, ULONG CreateOptions, PVOID EaBuffer, ULONG EaLength,
             CREATE_FILE_TYPE CreateFileType, PVOID InternalParameters, ULONG Options)
{
    IOP_OPEN Open = {.DesiredAccess = DesiredAccess,
                     .FileAttributes = FileAttributes,
                     .ShareAccess = ShareAccess,
                     .Disposition = Disposition,
                     .Options = CreateOptions,
                     .EaLength = EaBuffer == NULL ? 0 : EaLength,
                     .Mode = KernelMode};

    if (CreateFileType != CreateFileTypeNone || InternalParameters != NULL) {
        return STATUS_OBJECT_TYPE_MISMATCH;
    }
    return IopCreateFile(FileHandle, ObjectAttributes, IoStatusBlock, AllocationSize, EaBuffer,
                         (Options & IO_NO_PARAMETER_CHECKING) == 0, &Open);
}
NTEXPORT(IoCreateFile);

/*
 * Open the device of a name (or link): *FileObject, whose last reference closes it again, and the top of its
 * stack, which the file object keeps. Statuses as ZwCreateFile. PASSIVE_LEVEL.
 */
NTSTATUS NTAPI
IoGetDeviceObjectPointer(PUNICODE_STRING ObjectName, ACCESS_MASK DesiredAccess, PFILE_OBJECT *FileObject,
                         PDEVICE_OBJECT *DeviceObject)
{
    IOP_OPEN Open = {.DesiredAccess = DesiredAccess,
                     .ShareAccess = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
                     .Disposition = FILE_OPEN,
                     .Options = FILE_NON_DIRECTORY_FILE,
                     .Mode = KernelMode};
    OBJECT_ATTRIBUTES Attributes;
    PIOP_FILE File;
    NTSTATUS Status;

    ObRequirePassive();
    InitializeObjectAttributes(&Attributes, ObjectName, OBJ_KERNEL_HANDLE | OBJ_CASE_INSENSITIVE, NULL, NULL);
    Status = IopCapturePath(&Attributes, &Open);
    if (NT_SUCCESS(Status)) {
        Status = IopOpenFile(&Open, &File);
    }
    IopForgetOpen(&Open);
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
