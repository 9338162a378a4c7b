/*
 * Reading, writing and device control by handle.
 *
 * Where a transfer begins: at *ByteOffset, or at the file's position, which only a synchronous file has;
 * negative offsets have meanings of their own (the position; the end, for writing) or none.
 *
 * Document: "ZwReadFile", "ZwWriteFile", "ZwDeviceIoControlFile".
 */
#include "service.h"
#include <ke/user.h>

/* --- Transfers ------------------------------------------------------------------------------------------ */

/* The caller's offset; STATUS_INVALID_PARAMETER if it is none. */
static NTSTATUS
IopTransferOffset(PIOP_SERVICE Service, PLARGE_INTEGER ByteOffset, BOOLEAN Write, PLARGE_INTEGER Offset)
{
    NTSTATUS Status = STATUS_SUCCESS;
    BOOLEAN Position = ByteOffset == NULL;

    if (ByteOffset != NULL) {
        Status = KiCaptureArgument(Offset, ByteOffset, sizeof(*Offset), Service->Mode);
        if (!NT_SUCCESS(Status)) {
            return Status;
        }
        Position = Offset->HighPart == -1 && Offset->LowPart == FILE_USE_FILE_POINTER_POSITION;
    }
    if (Position) {
        *Offset = Service->File->CurrentByteOffset;
        return Service->Locked ? STATUS_SUCCESS : STATUS_INVALID_PARAMETER;
    }
    if (Offset->QuadPart < 0 &&
        !(Write && Offset->HighPart == -1 && Offset->LowPart == FILE_WRITE_TO_END_OF_FILE)) {
        return STATUS_INVALID_PARAMETER;
    }
    return STATUS_SUCCESS;
}

static NTSTATUS
IopTransfer(const IOP_ARGUMENTS *Arguments, BOOLEAN Write, PVOID Buffer, ULONG Length,
            PLARGE_INTEGER ByteOffset, PULONG Key)
{
    PIO_STACK_LOCATION Location;
    IOP_SERVICE Service;
    LARGE_INTEGER Offset = {0};
    ULONG KeyValue = 0;
    NTSTATUS Status = IopBeginService(Arguments, Write ? IRP_MJ_WRITE : IRP_MJ_READ, &Service);

    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Status = IopTransferOffset(&Service, ByteOffset, Write, &Offset);
    if (NT_SUCCESS(Status) && Key != NULL) {
        Status = KiCaptureArgument(&KeyValue, Key, sizeof(KeyValue), Service.Mode);
    }
    if (NT_SUCCESS(Status)) {
        Status = IopPrepareTransfer(Service.Irp, Service.Top, Write, Buffer, Length);
    }
    if (!NT_SUCCESS(Status)) {
        return IopFailService(&Service, Status);
    }
    /* Read and Write have the same shape. */
    Location = IoGetNextIrpStackLocation(Service.Irp);
    Location->Parameters.Read.Length = Length;
    Location->Parameters.Read.Key = KeyValue;
    Location->Parameters.Read.ByteOffset = Offset;
    return IopSendService(&Service);
}

/*
 * Read Length bytes into Buffer, in the way that the device's flags ask for. Statuses: see wdmfile.h, and
 * what the driver says. PASSIVE_LEVEL.
 */
NTSTATUS NTAPI
ZwReadFile(HANDLE FileHandle, HANDLE Event, PIO_APC_ROUTINE ApcRoutine, PVOID ApcContext,
           PIO_STATUS_BLOCK IoStatusBlock, PVOID Buffer, ULONG Length, PLARGE_INTEGER ByteOffset, PULONG Key)
{
    IOP_ARGUMENTS Arguments = {FileHandle, Event, ApcRoutine, ApcContext, IoStatusBlock, FILE_READ_DATA};

    return IopTransfer(&Arguments, FALSE, Buffer, Length, ByteOffset, Key);
}
NTEXPORT(ZwReadFile);
NTEXPORT_AS("NtReadFile", ZwReadFile);

/* The same for writing. */
NTSTATUS NTAPI
ZwWriteFile(HANDLE FileHandle, HANDLE Event, PIO_APC_ROUTINE ApcRoutine, PVOID ApcContext,
            PIO_STATUS_BLOCK IoStatusBlock, PVOID Buffer, ULONG Length, PLARGE_INTEGER ByteOffset, PULONG Key)
{
    IOP_ARGUMENTS Arguments = {FileHandle, Event,         ApcRoutine,
                               ApcContext, IoStatusBlock, FILE_WRITE_DATA | FILE_APPEND_DATA};

    return IopTransfer(&Arguments, TRUE, Buffer, Length, ByteOffset, Key);
}
NTEXPORT(ZwWriteFile);
NTEXPORT_AS("NtWriteFile", ZwWriteFile);

/* --- Control -------------------------------------------------------------------------------------------- */

/* Does a handle with these rights allow the code? In kernel mode everything is allowed. */
static BOOLEAN
IopMayControl(const IOP_SERVICE *Service, ULONG Code)
{
    ULONG Access = Code >> 14 & 3;

    return Service->Mode == KernelMode ||
           (((Access & FILE_READ_ACCESS) == 0 || (Service->Granted & FILE_READ_DATA) != 0) &&
            ((Access & FILE_WRITE_ACCESS) == 0 || (Service->Granted & FILE_WRITE_DATA) != 0));
}

static NTSTATUS
IopControl(const IOP_ARGUMENTS *Arguments, UCHAR MajorFunction, const IO_CONTROL *Control)
{
    IOP_SERVICE Service;
    NTSTATUS Status = IopBeginService(Arguments, MajorFunction, &Service);

    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Status = IopMayControl(&Service, Control->Code) ? IopPrepareControl(Service.Irp, MajorFunction, Control)
                                                    : STATUS_ACCESS_DENIED;
    return NT_SUCCESS(Status) ? IopSendService(&Service) : IopFailService(&Service, Status);
}

/*
 * Have a device do what IoControlCode stands for; its low bits tell how the buffers go there, and in user
 * mode which rights the handle must have (STATUS_ACCESS_DENIED). Statuses: see wdmfile.h, and what the driver
 * says. PASSIVE_LEVEL.
 */
NTSTATUS NTAPI
ZwDeviceIoControlFile(HANDLE FileHandle, HANDLE Event, PIO_APC_ROUTINE ApcRoutine, PVOID ApcContext,
                      PIO_STATUS_BLOCK IoStatusBlock, ULONG IoControlCode, PVOID InputBuffer,
                      ULONG InputBufferLength, PVOID OutputBuffer, ULONG OutputBufferLength)
{
    IOP_ARGUMENTS Arguments = {FileHandle, Event, ApcRoutine, ApcContext, IoStatusBlock, 0};
    IO_CONTROL Control = {IoControlCode, InputBuffer, InputBufferLength, OutputBuffer, OutputBufferLength};

    return IopControl(&Arguments, IRP_MJ_DEVICE_CONTROL, &Control);
}
NTEXPORT(ZwDeviceIoControlFile);
NTEXPORT_AS("NtDeviceIoControlFile", ZwDeviceIoControlFile);

/* The same for a file system or a driver that takes its requests. */
NTSTATUS NTAPI
ZwFsControlFile(HANDLE FileHandle, HANDLE Event, PIO_APC_ROUTINE ApcRoutine, PVOID ApcContext,
                PIO_STATUS_BLOCK IoStatusBlock, ULONG FsControlCode, PVOID InputBuffer,
                ULONG InputBufferLength, PVOID OutputBuffer, ULONG OutputBufferLength)
{
    IOP_ARGUMENTS Arguments = {FileHandle, Event, ApcRoutine, ApcContext, IoStatusBlock, 0};
    IO_CONTROL Control = {FsControlCode, InputBuffer, InputBufferLength, OutputBuffer, OutputBufferLength};

    return IopControl(&Arguments, IRP_MJ_FILE_SYSTEM_CONTROL, &Control);
}
NTEXPORT(ZwFsControlFile);
NTEXPORT_AS("NtFsControlFile", ZwFsControlFile);
