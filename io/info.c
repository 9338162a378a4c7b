/*
 * What can be asked and set of an open file: by the I/O manager itself where it knows, else by its driver,
 * with one system buffer. These services return when the driver is done, whatever way the file was opened.
 *
 * Document: "ZwQueryInformationFile", "ZwSetInformationFile", "ZwQueryVolumeInformationFile".
 */
#include "service.h"
#include <ke/user.h>

/* A class: the least length of its information, and the rights that user mode needs (any of them). */
typedef struct _IOP_CLASS {
    ULONG Class;
    ULONG Length;
    ACCESS_MASK Wanted;
} IOP_CLASS;

static const IOP_CLASS IopQueryClasses[] = {
    {FileBasicInformation, 40, FILE_READ_ATTRIBUTES},
    {FileStandardInformation, 24, 0},
    {6, 8, 0}, /* internal */
    {7, 4, 0}, /* extended attributes */
    {FileAccessInformation, 4, 0},
    {FileNameInformation, 8, 0},
    {FilePositionInformation, 8, FILE_READ_DATA | FILE_WRITE_DATA},
    {FileModeInformation, 4, 0},
    {FileAlignmentInformation, 4, 0},
    {FileAllInformation, 104, FILE_READ_ATTRIBUTES},
    {21, 8, 0},  /* alternate name */
    {22, 32, 0}, /* streams */
    {28, 16, 0}, /* compression */
    {FileNetworkOpenInformation, 56, FILE_READ_ATTRIBUTES},
    {35, 8, FILE_READ_ATTRIBUTES}, /* attributes and reparse tag */
};

static const IOP_CLASS IopSetClasses[] = {
    {FileBasicInformation, 40, FILE_WRITE_ATTRIBUTES},
    {10, 24, DELETE}, /* rename */
    {11, 24, 0},      /* link */
    {13, 1, DELETE},  /* disposition */
    {FilePositionInformation, 8, FILE_READ_DATA | FILE_WRITE_DATA},
    {FileModeInformation, 4, 0},
    {19, 8, FILE_WRITE_DATA}, /* allocation */
    {FileEndOfFileInformation, 8, FILE_WRITE_DATA},
};

static const IOP_CLASS IopVolumeClasses[] = {
    {FileFsVolumeInformation, 24, 0},
    {3, 24, 0}, /* size */
    {FileFsDeviceInformation, 8, 0},
    {5, 16, 0},              /* attributes */
    {6, 48, FILE_READ_DATA}, /* control */
    {7, 32, 0},              /* full size */
    {8, 64, 0},              /* object id */
    {11, 28, 0},             /* sector size */
};

/* In FileAllInformation: where what the I/O manager knows is. */
#define IOP_ALL_ACCESS    76
#define IOP_ALL_MODE      88
#define IOP_ALL_ALIGNMENT 92

static NTSTATUS
IopCheckClass(const IOP_CLASS *Classes, ULONG Count, ULONG Class, ULONG Length, ACCESS_MASK *Wanted)
{
    for (ULONG Index = 0; Index < Count; Index += 1) {
        if (Classes[Index].Class == Class) {
            *Wanted = Classes[Index].Wanted;
            return Length < Classes[Index].Length ? STATUS_INFO_LENGTH_MISMATCH : STATUS_SUCCESS;
        }
    }
    return STATUS_INVALID_INFO_CLASS;
}

/* --- What the I/O manager knows --------------------------------------------------------------------------
 */

static ULONG
IopModeOf(const FILE_OBJECT *File)
{
    ULONG Mode = 0;

    Mode |= (File->Flags & FO_WRITE_THROUGH) != 0 ? FILE_WRITE_THROUGH : 0;
    Mode |= (File->Flags & FO_SEQUENTIAL_ONLY) != 0 ? FILE_SEQUENTIAL_ONLY : 0;
    Mode |= (File->Flags & FO_NO_INTERMEDIATE_BUFFERING) != 0 ? FILE_NO_INTERMEDIATE_BUFFERING : 0;
    Mode |= (File->Flags & FO_DELETE_ON_CLOSE) != 0 ? FILE_DELETE_ON_CLOSE : 0;
    if ((File->Flags & FO_SYNCHRONOUS_IO) != 0) {
        Mode |=
            (File->Flags & FO_ALERTABLE_IO) != 0 ? FILE_SYNCHRONOUS_IO_ALERT : FILE_SYNCHRONOUS_IO_NONALERT;
    }
    return Mode;
}

/* How a file waits can be changed, whether it does cannot. */
static NTSTATUS
IopSetMode(PFILE_OBJECT File, ULONG Mode)
{
    const ULONG Waits = FILE_SYNCHRONOUS_IO_ALERT | FILE_SYNCHRONOUS_IO_NONALERT;
    const ULONG Changing = FO_WRITE_THROUGH | FO_SEQUENTIAL_ONLY | FO_ALERTABLE_IO;
    BOOLEAN Synchronous = (File->Flags & FO_SYNCHRONOUS_IO) != 0;
    ULONG Flags = File->Flags & ~Changing;

    if ((Mode & ~(Waits | FILE_WRITE_THROUGH | FILE_SEQUENTIAL_ONLY)) != 0 || (Mode & Waits) == Waits ||
        ((Mode & Waits) != 0) != Synchronous) {
        return STATUS_INVALID_PARAMETER;
    }
    Flags |= (Mode & FILE_WRITE_THROUGH) != 0 ? FO_WRITE_THROUGH : 0;
    Flags |= (Mode & FILE_SEQUENTIAL_ONLY) != 0 ? FO_SEQUENTIAL_ONLY : 0;
    Flags |= (Mode & FILE_SYNCHRONOUS_IO_ALERT) != 0 ? FO_ALERTABLE_IO : 0;
    File->Flags = Flags;
    return STATUS_SUCCESS;
}

/* The information, if no driver need be asked for it: its length; 0 if one must be. */
static ULONG
IopKnows(const IOP_SERVICE *Service, ULONG Class, PULONG64 Answer)
{
    switch (Class) {
    case FileAccessInformation:
        *Answer = Service->Granted;
        return sizeof(FILE_ACCESS_INFORMATION);
    case FileModeInformation:
        *Answer = IopModeOf(Service->File);
        return sizeof(FILE_MODE_INFORMATION);
    case FileAlignmentInformation:
        *Answer = Service->Top->AlignmentRequirement;
        return sizeof(FILE_ALIGNMENT_INFORMATION);
    case FilePositionInformation:
        *Answer = (ULONG64)Service->File->CurrentByteOffset.QuadPart;
        return Service->Locked ? sizeof(FILE_POSITION_INFORMATION) : 0;
    default:
        return 0;
    }
}

/* --- Asking the driver ---------------------------------------------------------------------------------- */

/* The end of a service that has its status: tell the caller. */
static NTSTATUS
IopAnswer(PIOP_SERVICE Service, PIO_STATUS_BLOCK IoStatusBlock, NTSTATUS Status, ULONG_PTR Information)
{
    IO_STATUS_BLOCK Iosb = {.Information = Information};

    Iosb.Status = Status;
    if (!NT_ERROR(Status)) {
        NTSTATUS Stored = KiReturnResult(IoStatusBlock, &Iosb, sizeof(Iosb), Service->Mode);

        Status = NT_SUCCESS(Stored) ? Status : Stored;
    }
    return IopFailService(Service, Status);
}

/* A request for the driver with one buffer, which it fills (Query) or reads; Class goes along. */
static NTSTATUS
IopAskDriver(PIOP_SERVICE Service, const IOP_ARGUMENTS *Arguments, UCHAR MajorFunction, PVOID Buffer,
             ULONG Length, ULONG Class)
{
    BOOLEAN Query = MajorFunction != IRP_MJ_SET_INFORMATION;
    PIRP Irp = IopMakeFileIrp(Service->File, Service->Top, MajorFunction, IOP_IRP_WAITED);
    PIO_STACK_LOCATION Location;
    IO_STATUS_BLOCK Iosb;
    NTSTATUS Status;

    if (Irp == NULL) {
        return IopFailService(Service, STATUS_INSUFFICIENT_RESOURCES);
    }
    Irp->RequestorMode = Service->Mode;
    Irp->Flags |= IRP_SYNCHRONOUS_API;
    Status = Query ? IopPrepareBuffer(Irp, Length, NULL, 0, Buffer, Length)
                   : IopPrepareBuffer(Irp, Length, Buffer, Length, NULL, 0);
    if (!NT_SUCCESS(Status)) {
        IopDropRequest(Irp);
        return IopFailService(Service, Status);
    }
    if (MajorFunction == IRP_MJ_QUERY_INFORMATION && Class == FileAllInformation) {
        PUCHAR All = Irp->AssociatedIrp.SystemBuffer;

        *(PULONG)(PVOID)(All + IOP_ALL_ACCESS) = Service->Granted;
        *(PULONG)(PVOID)(All + IOP_ALL_MODE) = IopModeOf(Service->File);
        *(PULONG)(PVOID)(All + IOP_ALL_ALIGNMENT) = Service->Top->AlignmentRequirement;
    }
    /* QueryFile and SetFile begin alike. */
    Location = IoGetNextIrpStackLocation(Irp);
    Location->Parameters.QueryFile.Length = Length;
    Location->Parameters.QueryFile.FileInformationClass = Class;
    Status = IopCallAndWait(Service->Top, Irp, &Iosb);
    return IopAnswer(Service, Arguments->IoStatusBlock, Status, Iosb.Information);
}

/* --- Services ------------------------------------------------------------------------------------------- */

/* Information about an open file. Statuses: see wdmfile.h, and what the driver says. PASSIVE_LEVEL. */
NTSTATUS NTAPI
ZwQueryInformationFile(HANDLE FileHandle, PIO_STATUS_BLOCK IoStatusBlock, PVOID FileInformation, ULONG Length,
                       FILE_INFORMATION_CLASS FileInformationClass)
{
    IOP_ARGUMENTS Arguments = {.FileHandle = FileHandle, .IoStatusBlock = IoStatusBlock};
    IOP_SERVICE Service;
    ULONG64 Answer;
    ULONG Known;
    NTSTATUS Status = IopCheckClass(IopQueryClasses, RTL_NUMBER_OF(IopQueryClasses),
                                    (ULONG)FileInformationClass, Length, &Arguments.Wanted);

    if (NT_SUCCESS(Status)) {
        Status = IopBeginFile(&Arguments, &Service);
    }
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Known = IopKnows(&Service, (ULONG)FileInformationClass, &Answer);
    if (Known == 0) {
        return IopAskDriver(&Service, &Arguments, IRP_MJ_QUERY_INFORMATION, FileInformation, Length,
                            (ULONG)FileInformationClass);
    }
    Status = KiReturnResult(FileInformation, &Answer, Known, Service.Mode);
    return IopAnswer(&Service, IoStatusBlock, Status, Known);
}
NTEXPORT(ZwQueryInformationFile);
NTEXPORT_AS("NtQueryInformationFile", ZwQueryInformationFile);

/* Set the position of a synchronous file, or the mode. */
static NTSTATUS
IopSetKnown(PIOP_SERVICE Service, const VOID *FileInformation, ULONG Class)
{
    ULONG64 Value = 0;
    NTSTATUS Status =
        KiCaptureArgument(&Value, FileInformation,
                          Class == FileModeInformation ? sizeof(ULONG) : sizeof(ULONG64), Service->Mode);

    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    if (Class == FileModeInformation) {
        return IopSetMode(Service->File, (ULONG)Value);
    }
    if ((LONG64)Value < 0) {
        return STATUS_INVALID_PARAMETER;
    }
    Service->File->CurrentByteOffset.QuadPart = (LONGLONG)Value;
    return STATUS_SUCCESS;
}

/* Change an open file. Statuses: see wdmfile.h, and what the driver says. PASSIVE_LEVEL. */
NTSTATUS NTAPI
ZwSetInformationFile(HANDLE FileHandle, PIO_STATUS_BLOCK IoStatusBlock, PVOID FileInformation, ULONG Length,
                     FILE_INFORMATION_CLASS FileInformationClass)
{
    IOP_ARGUMENTS Arguments = {.FileHandle = FileHandle, .IoStatusBlock = IoStatusBlock};
    IOP_SERVICE Service;
    NTSTATUS Status = IopCheckClass(IopSetClasses, RTL_NUMBER_OF(IopSetClasses), (ULONG)FileInformationClass,
                                    Length, &Arguments.Wanted);

    if (NT_SUCCESS(Status)) {
        Status = IopBeginFile(&Arguments, &Service);
    }
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    if (FileInformationClass == FileModeInformation ||
        (FileInformationClass == FilePositionInformation && Service.Locked)) {
        Status = IopSetKnown(&Service, FileInformation, (ULONG)FileInformationClass);
        return IopAnswer(&Service, IoStatusBlock, Status, 0);
    }
    return IopAskDriver(&Service, &Arguments, IRP_MJ_SET_INFORMATION, FileInformation, Length,
                        (ULONG)FileInformationClass);
}
NTEXPORT(ZwSetInformationFile);
NTEXPORT_AS("NtSetInformationFile", ZwSetInformationFile);

/* Information about the device or volume of an open file. Statuses as above. PASSIVE_LEVEL. */
NTSTATUS NTAPI
ZwQueryVolumeInformationFile(HANDLE FileHandle, PIO_STATUS_BLOCK IoStatusBlock, PVOID FsInformation,
                             ULONG Length, FS_INFORMATION_CLASS FsInformationClass)
{
    IOP_ARGUMENTS Arguments = {.FileHandle = FileHandle, .IoStatusBlock = IoStatusBlock};
    FILE_FS_DEVICE_INFORMATION Device;
    IOP_SERVICE Service;
    NTSTATUS Status = IopCheckClass(IopVolumeClasses, RTL_NUMBER_OF(IopVolumeClasses),
                                    (ULONG)FsInformationClass, Length, &Arguments.Wanted);

    if (NT_SUCCESS(Status)) {
        Status = IopBeginFile(&Arguments, &Service);
    }
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    if (FsInformationClass != FileFsDeviceInformation) {
        return IopAskDriver(&Service, &Arguments, IRP_MJ_QUERY_VOLUME_INFORMATION, FsInformation, Length,
                            (ULONG)FsInformationClass);
    }
    Device.DeviceType = Service.Top->DeviceType;
    Device.Characteristics = Service.Top->Characteristics;
    Status = KiReturnResult(FsInformation, &Device, sizeof(Device), Service.Mode);
    return IopAnswer(&Service, IoStatusBlock, Status, sizeof(Device));
}
NTEXPORT(ZwQueryVolumeInformationFile);
NTEXPORT_AS("NtQueryVolumeInformationFile", ZwQueryVolumeInformationFile);

/* Have a file's driver write what it keeps back. Statuses: see wdmfile.h, and what the driver says.
 * PASSIVE_LEVEL. */
NTSTATUS NTAPI
ZwFlushBuffersFile(HANDLE FileHandle, PIO_STATUS_BLOCK IoStatusBlock)
{
    IOP_ARGUMENTS Arguments = {.FileHandle = FileHandle,
                               .IoStatusBlock = IoStatusBlock,
                               .Wanted = FILE_WRITE_DATA | FILE_APPEND_DATA};
    IOP_SERVICE Service;
    NTSTATUS Status = IopBeginFile(&Arguments, &Service);

    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    return IopAskDriver(&Service, &Arguments, IRP_MJ_FLUSH_BUFFERS, NULL, 0, 0);
}
NTEXPORT(ZwFlushBuffersFile);
NTEXPORT_AS("NtFlushBuffersFile", ZwFlushBuffersFile);
