/* Files by handle: opening, synchronous and asynchronous requests, events, APCs, information, cancelling,
 * threads that end. */
#include "iotest.h"
#include "../ke/kethreads.h"

#define CONTROL_CODE     CTL_CODE(FILE_DEVICE_UNKNOWN, 1, METHOD_BUFFERED, FILE_ANY_ACCESS)
#define SYNCHRONOUS_READ (FILE_READ_DATA | SYNCHRONIZE)

/* --- A driver that keeps sixteen bytes; what it is to do with the next requests is in these --- */

static UCHAR Store[16];
static BOOLEAN HoldNext;    /* pend, cancellable */
static NTSTATUS FailWith;   /* not 0: complete with that */
static BOOLEAN PendAndFail; /* and mark it pending first */
static PIRP volatile Held;
static ULONG Creates, Cleanups, Closes;
static ULONG LastOptions, LastShare, LastFlags;
static KPROCESSOR_MODE LastMode;
static PFILE_OBJECT LastRelated;
static CHAR LastName[32];
static PCWSTR NewName; /* answer STATUS_REPARSE with that */

static NTSTATUS
Done(PIRP Irp, NTSTATUS Status, ULONG_PTR Information)
{
    Irp->IoStatus.Status = Status;
    Irp->IoStatus.Information = Information;
    IofCompleteRequest(Irp, IO_NO_INCREMENT);
    return Status;
}

static VOID NTAPI
CancelHeld(PDEVICE_OBJECT Device, PIRP Irp)
{
    IoReleaseCancelSpinLock(Irp->CancelIrql);
    Held = NULL;
    Done(Irp, STATUS_CANCELLED, 0);
}

static NTSTATUS
Create(PIRP Irp, PIO_STACK_LOCATION Location)
{
    PFILE_OBJECT File = Location->FileObject;

    Creates += 1;
    LastOptions = Location->Parameters.Create.Options;
    LastShare = Location->Parameters.Create.ShareAccess;
    LastFlags = File->Flags;
    LastMode = Irp->RequestorMode;
    LastRelated = File->RelatedFileObject;
    RtlZeroMemory(LastName, sizeof(LastName));
    for (ULONG Index = 0; Index < File->FileName.Length / sizeof(WCHAR) && Index < sizeof(LastName) - 1;
         Index += 1) {
        LastName[Index] = (CHAR)File->FileName.Buffer[Index];
    }
    if (NewName != NULL) {
        UNICODE_STRING Name;

        ExFreePool(File->FileName.Buffer);
        RtlInitUnicodeString(&Name, NewName);
        File->FileName = Name;
        File->FileName.Buffer = ExAllocatePool2(POOL_FLAG_PAGED, Name.Length, 'tseT');
        RtlCopyMemory(File->FileName.Buffer, Name.Buffer, Name.Length);
        NewName = NULL;
        return Done(Irp, STATUS_REPARSE, IO_REPARSE);
    }
    return Done(Irp, FailWith, FILE_OPENED);
}

static NTSTATUS
Transfer(PIRP Irp, PIO_STACK_LOCATION Location)
{
    ULONG64 Offset = (ULONG64)Location->Parameters.Read.ByteOffset.QuadPart;
    ULONG Length = Location->Parameters.Read.Length;

    if (Offset >= sizeof(Store)) {
        return Done(Irp, STATUS_END_OF_FILE, 0);
    }
    Length = (ULONG)MIN(Length, sizeof(Store) - Offset);
    if (Location->MajorFunction == IRP_MJ_READ) {
        RtlCopyMemory(Irp->AssociatedIrp.SystemBuffer, Store + Offset, Length);
    } else {
        RtlCopyMemory(Store + Offset, Irp->AssociatedIrp.SystemBuffer, Length);
    }
    if ((Location->FileObject->Flags & FO_SYNCHRONOUS_IO) != 0) {
        Location->FileObject->CurrentByteOffset.QuadPart = (LONGLONG)(Offset + Length);
    }
    return Done(Irp, STATUS_SUCCESS, Length);
}

static NTSTATUS NTAPI
Dispatch(PDEVICE_OBJECT Device, PIRP Irp)
{
    PIO_STACK_LOCATION Location = IoGetCurrentIrpStackLocation(Irp);

    switch (Location->MajorFunction) {
    case IRP_MJ_CREATE:
        return Create(Irp, Location);
    case IRP_MJ_CLEANUP:
        Cleanups += 1;
        return Done(Irp, STATUS_SUCCESS, 0);
    case IRP_MJ_CLOSE:
        Closes += 1;
        return Done(Irp, STATUS_SUCCESS, 0);
    default:
        break;
    }
    if (FailWith != STATUS_SUCCESS) {
        if (PendAndFail) {
            IoMarkIrpPending(Irp);
            Done(Irp, FailWith, 0);
            return STATUS_PENDING;
        }
        return Done(Irp, FailWith, 0);
    }
    if (HoldNext) {
        IoMarkIrpPending(Irp);
        IoSetCancelRoutine(Irp, CancelHeld);
        Held = Irp;
        return STATUS_PENDING;
    }
    switch (Location->MajorFunction) {
    case IRP_MJ_READ:
    case IRP_MJ_WRITE:
        return Transfer(Irp, Location);
    case IRP_MJ_QUERY_INFORMATION:
    case IRP_MJ_QUERY_VOLUME_INFORMATION:
        RtlFillMemory(Irp->AssociatedIrp.SystemBuffer, 8, 0x5A);
        return Done(Irp, STATUS_SUCCESS, 8);
    default:
        return Done(Irp, STATUS_SUCCESS, 0);
    }
}

static PDRIVER_OBJECT Driver;
static PDEVICE_OBJECT Device;

static VOID
Begin(VOID)
{
    Driver = IoTestDriver("filetest", Dispatch);
    Device = IoTestDevice(Driver, L"\\Device\\FileTest");
    Device->Flags |= DO_BUFFERED_IO;
    HoldNext = FALSE;
    FailWith = STATUS_SUCCESS;
    PendAndFail = FALSE;
    Held = NULL;
    NewName = NULL;
    Creates = Cleanups = Closes = 0;
    for (UCHAR Index = 0; Index < sizeof(Store); Index += 1) {
        Store[Index] = Index;
    }
}

static VOID
End(VOID)
{
    CHECK_EQ(Cleanups, Closes);
    IoDeleteDevice(Device);
    ObfDereferenceObject(Driver);
}

static NTSTATUS
Open(PCWSTR Path, HANDLE Root, ACCESS_MASK Access, ULONG Options, PHANDLE Handle)
{
    OBJECT_ATTRIBUTES Attributes;
    UNICODE_STRING Text;
    IO_STATUS_BLOCK Iosb;

    RtlInitUnicodeString(&Text, Path);
    InitializeObjectAttributes(&Attributes, &Text, OBJ_CASE_INSENSITIVE | OBJ_KERNEL_HANDLE, Root, NULL);
    return ZwCreateFile(Handle, Access, &Attributes, &Iosb, NULL, 0, FILE_SHARE_READ, FILE_OPEN, Options,
                        NULL, 0);
}

/* Let the held request go, from whatever thread. */
static VOID
Release(NTSTATUS Status)
{
    PIRP Irp = Held;

    Held = NULL;
    NT_VERIFY(IoSetCancelRoutine(Irp, NULL) != NULL);
    Done(Irp, Status, 0);
}

static VOID NTAPI
ReleaseLater(PVOID Context)
{
    while (Held == NULL) {
        KeTestSleep(1);
    }
    KeTestSleep(3);
    Release(*(NTSTATUS *)Context);
}

/* --- Opening --- */

KTEST(FileOpenPassesParameters)
{
    OBJECT_ATTRIBUTES Attributes;
    UNICODE_STRING Text = RTL_CONSTANT_STRING(u"\\Device\\FileTest\\a\\b");
    IO_STATUS_BLOCK Iosb = {.Information = 77};
    HANDLE Handle;

    Begin();
    InitializeObjectAttributes(&Attributes, &Text, OBJ_KERNEL_HANDLE, NULL, NULL);
    CHECK_STATUS(STATUS_SUCCESS, ZwCreateFile(&Handle, SYNCHRONOUS_READ, &Attributes, &Iosb, NULL,
                                              FILE_ATTRIBUTE_NORMAL, FILE_SHARE_WRITE, FILE_OPEN_IF,
                                              FILE_SYNCHRONOUS_IO_NONALERT | FILE_WRITE_THROUGH, NULL, 0));
    CHECK_EQ(Iosb.Information, FILE_OPENED);
    CHECK_EQ(LastOptions, FILE_OPEN_IF << 24 | FILE_SYNCHRONOUS_IO_NONALERT | FILE_WRITE_THROUGH);
    CHECK_EQ(LastShare, FILE_SHARE_WRITE);
    CHECK_EQ(LastFlags, FO_SYNCHRONOUS_IO | FO_WRITE_THROUGH | FO_OPENED_CASE_SENSITIVE);
    CHECK_EQ(LastMode, KernelMode);
    CHECK(LastName[0] == '\\' && LastName[1] == 'a' && LastName[3] == 'b' && LastName[4] == 0);
    CHECK_EQ(Device->ReferenceCount, 1);
    CHECK_STATUS(STATUS_SUCCESS, ZwClose(Handle));
    CHECK_EQ(Closes, 1);
    CHECK_EQ(Device->ReferenceCount, 0);
    FailWith = STATUS_ACCESS_DENIED;
    CHECK_STATUS(STATUS_ACCESS_DENIED, Open(L"\\Device\\FileTest", NULL, FILE_READ_DATA, 0, &Handle));
    CHECK_EQ(Cleanups, 1);
    End();
}

KTEST(FileOpenChecksParameters)
{
    static const struct {
        ACCESS_MASK Access;
        ULONG Attributes, Share, Disposition, Options;
    } Bad[] = {
        {FILE_READ_DATA, 0, 8, FILE_OPEN, 0},
        {FILE_READ_DATA, 0x10000, 0, FILE_OPEN, 0},
        {FILE_READ_DATA, 0, 0, 6, 0},
        {FILE_READ_DATA, 0, 0, FILE_OPEN, 0x01000000},
        {FILE_READ_DATA, 0, 0, FILE_OPEN, FILE_SYNCHRONOUS_IO_NONALERT},
        {SYNCHRONOUS_READ, 0, 0, FILE_OPEN, FILE_SYNCHRONOUS_IO_NONALERT | FILE_SYNCHRONOUS_IO_ALERT},
        {FILE_READ_DATA, 0, 0, FILE_OPEN, FILE_DELETE_ON_CLOSE},
        {FILE_READ_DATA, 0, 0, FILE_OPEN, FILE_DIRECTORY_FILE | FILE_NON_DIRECTORY_FILE},
        {FILE_READ_DATA, 0, 0, FILE_OVERWRITE, FILE_DIRECTORY_FILE},
        {FILE_APPEND_DATA, 0, 0, FILE_OPEN, FILE_NO_INTERMEDIATE_BUFFERING},
    };
    OBJECT_ATTRIBUTES Attributes;
    UNICODE_STRING Text = RTL_CONSTANT_STRING(u"\\Device\\FileTest");
    IO_STATUS_BLOCK Iosb;
    HANDLE Handle;

    Begin();
    InitializeObjectAttributes(&Attributes, &Text, OBJ_KERNEL_HANDLE, NULL, NULL);
    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Bad); Index += 1) {
        CHECK_STATUS(STATUS_INVALID_PARAMETER,
                     ZwCreateFile(&Handle, Bad[Index].Access, &Attributes, &Iosb, NULL, Bad[Index].Attributes,
                                  Bad[Index].Share, Bad[Index].Disposition, Bad[Index].Options, NULL, 0));
    }
    CHECK_EQ(Creates, 0);
    /* Some drivers know better. */
    CHECK_STATUS(STATUS_SUCCESS,
                 IoCreateFile(&Handle, FILE_READ_DATA, &Attributes, &Iosb, NULL, 0, 8, FILE_OPEN, 0, NULL, 0,
                              CreateFileTypeNone, NULL, IO_NO_PARAMETER_CHECKING));
    ZwClose(Handle);
    CHECK_STATUS(STATUS_OBJECT_TYPE_MISMATCH,
                 IoCreateFile(&Handle, FILE_READ_DATA, &Attributes, &Iosb, NULL, 0, 0, FILE_OPEN, 0, NULL, 0,
                              CreateFileTypeNamedPipe, NULL, 0));
    CHECK_STATUS(STATUS_OBJECT_NAME_NOT_FOUND, Open(L"\\Device\\Nothing", NULL, FILE_READ_DATA, 0, &Handle));
    CHECK_STATUS(STATUS_OBJECT_PATH_SYNTAX_BAD, Open(L"FileTest", NULL, FILE_READ_DATA, 0, &Handle));
    CHECK_STATUS(STATUS_OBJECT_TYPE_MISMATCH, Open(L"\\Driver\\filetest", NULL, FILE_READ_DATA, 0, &Handle));
    End();
}

KTEST(FileOpenRelative)
{
    OBJECT_ATTRIBUTES Attributes;
    UNICODE_STRING Text = RTL_CONSTANT_STRING(u"\\??\\FileTestFolder");
    HANDLE Folder, First, Second;

    Begin();
    InitializeObjectAttributes(&Attributes, &Text, OBJ_KERNEL_HANDLE, NULL, NULL);
    REQUIRE(NT_SUCCESS(ZwCreateDirectoryObject(&Folder, STANDARD_RIGHTS_REQUIRED, &Attributes)));
    CHECK_STATUS(STATUS_OBJECT_NAME_NOT_FOUND, Open(L"FileTest", Folder, FILE_READ_DATA, 0, &First));
    ZwClose(Folder);
    CHECK_STATUS(STATUS_SUCCESS, Open(L"\\Device\\FileTest", NULL, FILE_READ_DATA, 0, &First));
    CHECK(LastRelated == NULL);
    CHECK_STATUS(STATUS_SUCCESS, Open(L"below", First, FILE_READ_DATA, 0, &Second));
    CHECK(LastRelated != NULL);
    CHECK(LastName[0] == 'b' && LastName[4] == 'w');
    ZwClose(Second);
    CHECK_STATUS(STATUS_SUCCESS, Open(L"", First, FILE_READ_DATA, 0, &Second));
    ZwClose(Second);
    ZwClose(First);
    CHECK_EQ(Closes, 3);
    End();
}

KTEST(FileOpenReparse)
{
    HANDLE Handle;

    Begin();
    NewName = L"\\Device\\FileTest\\other";
    CHECK_STATUS(STATUS_SUCCESS, Open(L"\\Device\\FileTest\\one", NULL, FILE_READ_DATA, 0, &Handle));
    CHECK_EQ(Creates, 2);
    CHECK(LastName[1] == 'o' && LastName[2] == 't');
    ZwClose(Handle);
    NewName = L"\\Device\\Nowhere";
    CHECK_STATUS(STATUS_OBJECT_NAME_NOT_FOUND,
                 Open(L"\\Device\\FileTest\\one", NULL, FILE_READ_DATA, 0, &Handle));
    CHECK_EQ(Closes, 1);
    End();
}

/* --- Reading and writing --- */

KTEST(FileSynchronousPosition)
{
    LARGE_INTEGER Offset = {.QuadPart = 4};
    IO_STATUS_BLOCK Iosb;
    FILE_POSITION_INFORMATION Position;
    UCHAR Buffer[8] = {0};
    HANDLE Handle;

    Begin();
    REQUIRE(NT_SUCCESS(Open(L"\\Device\\FileTest", NULL, SYNCHRONOUS_READ | FILE_WRITE_DATA,
                            FILE_SYNCHRONOUS_IO_NONALERT, &Handle)));
    CHECK_STATUS(STATUS_SUCCESS, ZwReadFile(Handle, NULL, NULL, NULL, &Iosb, Buffer, 3, &Offset, NULL));
    CHECK_EQ(Iosb.Information, 3);
    CHECK_EQ(Buffer[2], 6);
    CHECK_STATUS(STATUS_SUCCESS, ZwReadFile(Handle, NULL, NULL, NULL, &Iosb, Buffer, 2, NULL, NULL));
    CHECK_EQ(Buffer[0], 7);
    Offset.HighPart = -1;
    Offset.LowPart = FILE_USE_FILE_POINTER_POSITION;
    CHECK_STATUS(STATUS_SUCCESS, ZwReadFile(Handle, NULL, NULL, NULL, &Iosb, Buffer, 1, &Offset, NULL));
    CHECK_EQ(Buffer[0], 9);
    CHECK_STATUS(STATUS_SUCCESS,
                 ZwQueryInformationFile(Handle, &Iosb, &Position, sizeof(Position), FilePositionInformation));
    CHECK_EQ(Position.CurrentByteOffset.QuadPart, 10);
    Position.CurrentByteOffset.QuadPart = 15;
    CHECK_STATUS(STATUS_SUCCESS,
                 ZwSetInformationFile(Handle, &Iosb, &Position, sizeof(Position), FilePositionInformation));
    Buffer[0] = 0xEE;
    CHECK_STATUS(STATUS_SUCCESS, ZwWriteFile(Handle, NULL, NULL, NULL, &Iosb, Buffer, 8, NULL, NULL));
    CHECK_EQ(Iosb.Information, 1);
    CHECK_EQ(Store[15], 0xEE);
    /* A failure at once leaves the status block alone. */
    Iosb.Information = 99;
    CHECK_STATUS(STATUS_END_OF_FILE, ZwReadFile(Handle, NULL, NULL, NULL, &Iosb, Buffer, 1, NULL, NULL));
    CHECK_EQ(Iosb.Information, 99);
    Offset.QuadPart = -7;
    CHECK_STATUS(STATUS_INVALID_PARAMETER,
                 ZwReadFile(Handle, NULL, NULL, NULL, &Iosb, Buffer, 1, &Offset, NULL));
    CHECK_STATUS(STATUS_INVALID_HANDLE,
                 ZwReadFile((HANDLE)0x7FF0, NULL, NULL, NULL, &Iosb, Buffer, 1, &Offset, NULL));
    ZwClose(Handle);
    End();
}

KTEST(FileSynchronousWaits)
{
    NTSTATUS Status = STATUS_DEVICE_DATA_ERROR;
    LARGE_INTEGER Offset = {.QuadPart = 0};
    IO_STATUS_BLOCK Iosb = {.Information = 99};
    UCHAR Byte;
    HANDLE Handle;
    PKTHREAD Thread;

    Begin();
    REQUIRE(
        NT_SUCCESS(Open(L"\\Device\\FileTest", NULL, SYNCHRONOUS_READ, FILE_SYNCHRONOUS_IO_ALERT, &Handle)));
    HoldNext = TRUE;
    Thread = KeTestStart(ReleaseLater, &Status);
    CHECK_STATUS(Status, ZwReadFile(Handle, NULL, NULL, NULL, &Iosb, &Byte, 1, &Offset, NULL));
    /* Pending once, so the caller hears of the failure in the status block too. */
    CHECK_STATUS(Status, Iosb.Status);
    CHECK_EQ(Iosb.Information, 0);
    KeTestJoin(Thread);
    ZwClose(Handle);
    End();
}

static ULONG ApcCalls;
static PVOID ApcSeen[2];
static KIRQL ApcIrql;

static VOID NTAPI
CountApc(PVOID Context, PIO_STATUS_BLOCK Iosb, ULONG Reserved)
{
    ApcCalls += 1;
    ApcSeen[0] = Context;
    ApcSeen[1] = Iosb;
    ApcIrql = HalGetIrql();
}

KTEST(FileAsynchronous)
{
    NTSTATUS Status = STATUS_SUCCESS;
    LARGE_INTEGER Offset = {.QuadPart = 0};
    IO_STATUS_BLOCK Iosb = {.Status = 0x1234};
    UCHAR Byte = 0;
    HANDLE Handle, Event;
    PKTHREAD Thread;

    Begin();
    ApcCalls = 0;
    REQUIRE(NT_SUCCESS(ZwCreateEvent(&Event, EVENT_ALL_ACCESS, NULL, NotificationEvent, TRUE)));
    REQUIRE(NT_SUCCESS(Open(L"\\Device\\FileTest", NULL, SYNCHRONOUS_READ, 0, &Handle)));
    CHECK_STATUS(STATUS_INVALID_PARAMETER, ZwReadFile(Handle, NULL, NULL, NULL, &Iosb, &Byte, 1, NULL, NULL));
    HoldNext = TRUE;
    CHECK_STATUS(STATUS_PENDING, ZwReadFile(Handle, Event, CountApc, &Byte, &Iosb, &Byte, 1, &Offset, NULL));
    CHECK_STATUS(0x1234, Iosb.Status);
    Thread = KeTestStart(ReleaseLater, &Status);
    CHECK_STATUS(STATUS_SUCCESS, ZwWaitForSingleObject(Event, FALSE, NULL));
    KeTestJoin(Thread);
    CHECK_STATUS(STATUS_SUCCESS, Iosb.Status);
    CHECK_EQ(ApcCalls, 1);
    CHECK(ApcSeen[0] == &Byte && ApcSeen[1] == &Iosb);
    CHECK_EQ(ApcIrql, PASSIVE_LEVEL);
    /* Without an event the file itself is signaled. */
    CHECK_STATUS(STATUS_PENDING, ZwReadFile(Handle, NULL, NULL, NULL, &Iosb, &Byte, 1, &Offset, NULL));
    Release(STATUS_SUCCESS);
    CHECK_STATUS(STATUS_SUCCESS, ZwWaitForSingleObject(Handle, FALSE, NULL));
    /* Done before the service returns, and failed after having been pending. */
    HoldNext = FALSE;
    CHECK_STATUS(STATUS_SUCCESS, ZwReadFile(Handle, Event, NULL, NULL, &Iosb, &Byte, 1, &Offset, NULL));
    CHECK_EQ(Iosb.Information, 1);
    FailWith = STATUS_DEVICE_DATA_ERROR;
    PendAndFail = TRUE;
    CHECK_STATUS(STATUS_PENDING, ZwReadFile(Handle, Event, NULL, NULL, &Iosb, &Byte, 1, &Offset, NULL));
    CHECK_STATUS(STATUS_DEVICE_DATA_ERROR, Iosb.Status);
    CHECK_STATUS(STATUS_SUCCESS, ZwWaitForSingleObject(Event, FALSE, NULL));
    FailWith = STATUS_SUCCESS;
    ZwClose(Handle);
    ZwClose(Event);
    End();
}

KTEST(FileClosedWhileRequestIsOn)
{
    LARGE_INTEGER Offset = {.QuadPart = 0};
    IO_STATUS_BLOCK Iosb;
    UCHAR Byte;
    HANDLE Handle;

    Begin();
    REQUIRE(NT_SUCCESS(Open(L"\\Device\\FileTest", NULL, FILE_READ_DATA, 0, &Handle)));
    HoldNext = TRUE;
    CHECK_STATUS(STATUS_PENDING, ZwReadFile(Handle, NULL, NULL, NULL, &Iosb, &Byte, 1, &Offset, NULL));
    ZwClose(Handle);
    CHECK_EQ(Cleanups, 1);
    CHECK_EQ(Closes, 0);
    Release(STATUS_SUCCESS);
    ObFlushDeletes();
    CHECK_EQ(Closes, 1);
    End();
}

/* --- Information --- */

KTEST(FileInformation)
{
    FILE_FS_DEVICE_INFORMATION Volume;
    IO_STATUS_BLOCK Iosb;
    UCHAR Buffer[128];
    ULONG Value;
    HANDLE Handle;

    Begin();
    REQUIRE(NT_SUCCESS(
        Open(L"\\Device\\FileTest", NULL, SYNCHRONOUS_READ, FILE_SYNCHRONOUS_IO_NONALERT, &Handle)));
    CHECK_STATUS(STATUS_SUCCESS, ZwQueryInformationFile(Handle, &Iosb, &Value, 4, FileModeInformation));
    CHECK_EQ(Value, FILE_SYNCHRONOUS_IO_NONALERT);
    Value = FILE_SYNCHRONOUS_IO_ALERT | FILE_WRITE_THROUGH;
    CHECK_STATUS(STATUS_SUCCESS, ZwSetInformationFile(Handle, &Iosb, &Value, 4, FileModeInformation));
    Value = 0;
    CHECK_STATUS(STATUS_INVALID_PARAMETER,
                 ZwSetInformationFile(Handle, &Iosb, &Value, 4, FileModeInformation));
    CHECK_STATUS(STATUS_SUCCESS, ZwQueryInformationFile(Handle, &Iosb, &Value, 4, FileModeInformation));
    CHECK_EQ(Value, FILE_SYNCHRONOUS_IO_ALERT | FILE_WRITE_THROUGH);
    CHECK_STATUS(STATUS_SUCCESS, ZwQueryInformationFile(Handle, &Iosb, &Value, 4, FileAccessInformation));
    CHECK_EQ(Value, SYNCHRONOUS_READ);
    CHECK_STATUS(STATUS_INFO_LENGTH_MISMATCH,
                 ZwQueryInformationFile(Handle, &Iosb, &Value, 3, FileModeInformation));
    CHECK_STATUS(STATUS_INVALID_INFO_CLASS,
                 ZwQueryInformationFile(Handle, &Iosb, &Value, 4, FileMaximumInformation));
    CHECK_STATUS(STATUS_SUCCESS, ZwQueryInformationFile(Handle, &Iosb, Buffer, 24, FileStandardInformation));
    CHECK_EQ(Iosb.Information, 8);
    CHECK_EQ(Buffer[7], 0x5A);
    CHECK_STATUS(STATUS_SUCCESS, ZwQueryVolumeInformationFile(Handle, &Iosb, &Volume, sizeof(Volume),
                                                              FileFsDeviceInformation));
    CHECK_EQ(Volume.DeviceType, FILE_DEVICE_UNKNOWN);
    CHECK_STATUS(STATUS_SUCCESS, ZwFlushBuffersFile(Handle, &Iosb));
    FailWith = STATUS_NOT_SUPPORTED;
    CHECK_STATUS(STATUS_NOT_SUPPORTED,
                 ZwQueryInformationFile(Handle, &Iosb, Buffer, 24, FileStandardInformation));
    FailWith = STATUS_SUCCESS;
    ZwClose(Handle);
    End();
}

/* --- Cancelling --- */

KTEST(FileCancel)
{
    LARGE_INTEGER Offset = {.QuadPart = 0};
    IO_STATUS_BLOCK First, Other, Iosb;
    UCHAR Byte;
    HANDLE Handle;

    Begin();
    REQUIRE(NT_SUCCESS(Open(L"\\Device\\FileTest", NULL, FILE_READ_DATA, 0, &Handle)));
    CHECK_STATUS(STATUS_SUCCESS, ZwCancelIoFile(Handle, &Iosb));
    CHECK_STATUS(STATUS_NOT_FOUND, ZwCancelIoFileEx(Handle, NULL, &Iosb));
    HoldNext = TRUE;
    First.Status = Other.Status = STATUS_PENDING;
    CHECK_STATUS(STATUS_PENDING, ZwReadFile(Handle, NULL, NULL, NULL, &First, &Byte, 1, &Offset, NULL));
    CHECK_STATUS(STATUS_NOT_FOUND, ZwCancelIoFileEx(Handle, &Other, &Iosb));
    CHECK_STATUS(STATUS_PENDING, First.Status);
    CHECK_STATUS(STATUS_SUCCESS, ZwCancelIoFileEx(Handle, &First, &Iosb));
    CHECK_STATUS(STATUS_CANCELLED, First.Status);
    CHECK_STATUS(STATUS_PENDING, ZwReadFile(Handle, NULL, NULL, NULL, &First, &Byte, 1, &Offset, NULL));
    CHECK_STATUS(STATUS_SUCCESS, ZwCancelIoFile(Handle, &Iosb));
    CHECK_STATUS(STATUS_CANCELLED, First.Status);
    ZwClose(Handle);
    End();
}

typedef struct _READER {
    HANDLE Handle;
    NTSTATUS Status;
    IO_STATUS_BLOCK Iosb;
    UCHAR Byte;
} READER;

static VOID NTAPI
ReadOnce(PVOID Context)
{
    LARGE_INTEGER Offset = {.QuadPart = 0};
    READER *Reader = Context;

    Reader->Status =
        ZwReadFile(Reader->Handle, NULL, NULL, NULL, &Reader->Iosb, &Reader->Byte, 1, &Offset, NULL);
}

KTEST(FileCancelOtherThread)
{
    IO_STATUS_BLOCK Iosb;
    READER Reader = {0};
    PKTHREAD Thread;

    Begin();
    REQUIRE(NT_SUCCESS(
        Open(L"\\Device\\FileTest", NULL, SYNCHRONOUS_READ, FILE_SYNCHRONOUS_IO_NONALERT, &Reader.Handle)));
    HoldNext = TRUE;
    Thread = KeTestStart(ReadOnce, &Reader);
    REQUIRE(Thread != NULL);
    while (Held == NULL) {
        KeTestSleep(1);
    }
    CHECK_STATUS(STATUS_SUCCESS, ZwCancelIoFileEx(Reader.Handle, NULL, &Iosb));
    KeTestJoin(Thread);
    CHECK_STATUS(STATUS_CANCELLED, Reader.Status);
    ZwClose(Reader.Handle);
    End();
}

KTEST(FileThreadEndCancels)
{
    READER Reader = {0};
    PKTHREAD Thread;

    Begin();
    REQUIRE(NT_SUCCESS(Open(L"\\Device\\FileTest", NULL, FILE_READ_DATA, 0, &Reader.Handle)));
    HoldNext = TRUE;
    Thread = KeTestStart(ReadOnce, &Reader);
    REQUIRE(Thread != NULL);
    KeTestJoin(Thread);
    CHECK_STATUS(STATUS_PENDING, Reader.Status);
    CHECK_STATUS(STATUS_CANCELLED, Reader.Iosb.Status);
    CHECK(Held == NULL);
    ZwClose(Reader.Handle);
    ObFlushDeletes();
    End();
}
