/*
 * ioctl: a device with one request for each transfer method, and one that waits.
 *
 *     ntmm run --ioctl 0x222000,in=68656C6C6F,out=16 ioctl.sys             buffered: bytes in reverse
 *     ntmm run --ioctl '\Device\Ioctl,0x222005,in=20,out=8' ioctl.sys      in direct: the sum of both buffers
 *     ntmm run --ioctl '\??\Ioctl,0x22200A,in=2A,out=8' ioctl.sys          out direct: fill
 *     ntmm run --ioctl '\\.\Ioctl,0x22200F,in=01020304,out=4' ioctl.sys    neither: add one to each byte
 *     ntmm run --ioctl 0x222010 --ioctl 0x222014 ioctl.sys                 waits; the second lets it go
 *
 * With METHOD_NEITHER the addresses are the program's own, and what is there can change or go at any moment: both buffers
 * are locked, which probes them, and used at system addresses.
 */
#include <wdm.h>

#define IOCTL_REVERSE   CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800, METHOD_BUFFERED, FILE_ANY_ACCESS)  /* 0x222000 */
#define IOCTL_SUM       CTL_CODE(FILE_DEVICE_UNKNOWN, 0x801, METHOD_IN_DIRECT, FILE_ANY_ACCESS) /* 0x222005 */
#define IOCTL_FILL      CTL_CODE(FILE_DEVICE_UNKNOWN, 0x802, METHOD_OUT_DIRECT, FILE_ANY_ACCESS) /* 0x22200A */
#define IOCTL_INCREMENT CTL_CODE(FILE_DEVICE_UNKNOWN, 0x803, METHOD_NEITHER, FILE_ANY_ACCESS)  /* 0x22200F */
#define IOCTL_WAIT      CTL_CODE(FILE_DEVICE_UNKNOWN, 0x804, METHOD_BUFFERED, FILE_ANY_ACCESS) /* 0x222010 */
#define IOCTL_RELEASE   CTL_CODE(FILE_DEVICE_UNKNOWN, 0x805, METHOD_BUFFERED, FILE_ANY_ACCESS) /* 0x222014 */

/* The device's own data: requests that wait. */
typedef struct _IOCTL_EXTENSION {
    IO_CSQ Queue;
    LIST_ENTRY Waiting;
    KSPIN_LOCK Lock;
} IOCTL_EXTENSION, *PIOCTL_EXTENSION;

static UNICODE_STRING DeviceName = RTL_CONSTANT_STRING(L"\\Device\\Ioctl");
static UNICODE_STRING LinkName = RTL_CONSTANT_STRING(L"\\DosDevices\\Ioctl");

/* --- The queue of waiting requests --- */

static VOID NTAPI
InsertIrp(PIO_CSQ Csq, PIRP Irp)
{
    PIOCTL_EXTENSION Extension = CONTAINING_RECORD(Csq, IOCTL_EXTENSION, Queue);

    InsertTailList(&Extension->Waiting, &Irp->Tail.Overlay.ListEntry);
}

static VOID NTAPI
RemoveIrp(PIO_CSQ Csq, PIRP Irp)
{
    RemoveEntryList(&Irp->Tail.Overlay.ListEntry);
}

static PIRP NTAPI
PeekIrp(PIO_CSQ Csq, PIRP Irp, PVOID PeekContext)
{
    PIOCTL_EXTENSION Extension = CONTAINING_RECORD(Csq, IOCTL_EXTENSION, Queue);
    PLIST_ENTRY Next = Irp == NULL ? Extension->Waiting.Flink : Irp->Tail.Overlay.ListEntry.Flink;

    return Next == &Extension->Waiting ? NULL : CONTAINING_RECORD(Next, IRP, Tail.Overlay.ListEntry);
}

static VOID NTAPI
LockQueue(PIO_CSQ Csq, PKIRQL Irql)
{
    KeAcquireSpinLock(&CONTAINING_RECORD(Csq, IOCTL_EXTENSION, Queue)->Lock, Irql);
}

static VOID NTAPI
UnlockQueue(PIO_CSQ Csq, KIRQL Irql)
{
    KeReleaseSpinLock(&CONTAINING_RECORD(Csq, IOCTL_EXTENSION, Queue)->Lock, Irql);
}

static NTSTATUS
Complete(PIRP Irp, NTSTATUS Status, ULONG_PTR Information)
{
    Irp->IoStatus.Status = Status;
    Irp->IoStatus.Information = Information;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    return Status;
}

static VOID NTAPI
CompleteCancelled(PIO_CSQ Csq, PIRP Irp)
{
    DbgPrint("a waiting request was cancelled\n");
    Complete(Irp, STATUS_CANCELLED, 0);
}

/* --- One routine for each request: status, and the bytes of output --- */

static NTSTATUS
Reverse(PUCHAR Buffer, ULONG InputLength, ULONG OutputLength, PULONG_PTR Information)
{
    ULONG Index;

    if (OutputLength < InputLength) {
        return STATUS_BUFFER_TOO_SMALL;
    }
    for (Index = 0; Index < InputLength / 2; Index += 1) {
        UCHAR Byte = Buffer[Index];

        Buffer[Index] = Buffer[InputLength - 1 - Index];
        Buffer[InputLength - 1 - Index] = Byte;
    }
    *Information = InputLength;
    return STATUS_SUCCESS;
}

static NTSTATUS
Sum(PIRP Irp, ULONG InputLength, ULONG OutputLength)
{
    PUCHAR Input = Irp->AssociatedIrp.SystemBuffer, Direct;
    ULONG Total = 0, Index;

    for (Index = 0; Index < InputLength; Index += 1) {
        Total += Input[Index];
    }
    if (Irp->MdlAddress != NULL) {
        Direct = MmGetSystemAddressForMdlSafe(Irp->MdlAddress, NormalPagePriority);
        if (Direct == NULL) {
            return STATUS_INSUFFICIENT_RESOURCES;
        }
        for (Index = 0; Index < OutputLength; Index += 1) {
            Total += Direct[Index];
        }
    }
    DbgPrint("the sum is %u\n", Total);
    return STATUS_SUCCESS;
}

static NTSTATUS
Fill(PIRP Irp, ULONG InputLength, ULONG OutputLength, PULONG_PTR Information)
{
    PUCHAR Direct;

    if (InputLength != 1 || Irp->MdlAddress == NULL) {
        return STATUS_INVALID_PARAMETER;
    }
    Direct = MmGetSystemAddressForMdlSafe(Irp->MdlAddress, NormalPagePriority);
    if (Direct == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    RtlFillMemory(Direct, OutputLength, *(PUCHAR)Irp->AssociatedIrp.SystemBuffer);
    *Information = OutputLength;
    return STATUS_SUCCESS;
}

/* Lock a buffer of the requestor's and give it a system address; UnlockBuffer takes both back. */
static NTSTATUS
LockBuffer(PVOID Address, ULONG Length, KPROCESSOR_MODE Mode, LOCK_OPERATION Operation, PMDL *Mdl, PUCHAR *System)
{
    NTSTATUS Status = STATUS_SUCCESS;

    *Mdl = IoAllocateMdl(Address, Length, FALSE, FALSE, NULL);
    if (*Mdl == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    __try {
        MmProbeAndLockPages(*Mdl, Mode, Operation);
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        Status = GetExceptionCode();
    }
    if (NT_SUCCESS(Status)) {
        *System = MmGetSystemAddressForMdlSafe(*Mdl, NormalPagePriority);
        if (*System != NULL) {
            return STATUS_SUCCESS;
        }
        MmUnlockPages(*Mdl);
        Status = STATUS_INSUFFICIENT_RESOURCES;
    }
    IoFreeMdl(*Mdl);
    return Status;
}

static VOID
UnlockBuffer(PMDL Mdl)
{
    MmUnlockPages(Mdl);
    IoFreeMdl(Mdl);
}

static NTSTATUS
Increment(PIRP Irp, PVOID Input, ULONG InputLength, ULONG OutputLength, PULONG_PTR Information)
{
    PMDL InputMdl, OutputMdl;
    PUCHAR From, To;
    NTSTATUS Status;
    ULONG Index;

    if (InputLength == 0 || InputLength != OutputLength) {
        return STATUS_INVALID_PARAMETER;
    }
    Status = LockBuffer(Input, InputLength, Irp->RequestorMode, IoReadAccess, &InputMdl, &From);
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Status = LockBuffer(Irp->UserBuffer, OutputLength, Irp->RequestorMode, IoWriteAccess, &OutputMdl, &To);
    if (NT_SUCCESS(Status)) {
        for (Index = 0; Index < OutputLength; Index += 1) {
            To[Index] = (UCHAR)(From[Index] + 1);
        }
        UnlockBuffer(OutputMdl);
        *Information = OutputLength;
    }
    UnlockBuffer(InputMdl);
    return Status;
}

/* --- Dispatch --- */

static NTSTATUS NTAPI
OpenOrClose(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    static const char *const Names[] = {
        [IRP_MJ_CREATE] = "create", [IRP_MJ_CLOSE] = "close", [IRP_MJ_CLEANUP] = "cleanup"};

    DbgPrint("%s\n", Names[IoGetCurrentIrpStackLocation(Irp)->MajorFunction]);
    return Complete(Irp, STATUS_SUCCESS, 0);
}

static NTSTATUS NTAPI
DeviceControl(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    PIOCTL_EXTENSION Extension = DeviceObject->DeviceExtension;
    PIO_STACK_LOCATION Location = IoGetCurrentIrpStackLocation(Irp);
    ULONG InputLength = Location->Parameters.DeviceIoControl.InputBufferLength;
    ULONG OutputLength = Location->Parameters.DeviceIoControl.OutputBufferLength;
    ULONG_PTR Information = 0;
    NTSTATUS Status;
    PIRP Waiting;

    switch (Location->Parameters.DeviceIoControl.IoControlCode) {
    case IOCTL_REVERSE:
        Status = Reverse(Irp->AssociatedIrp.SystemBuffer, InputLength, OutputLength, &Information);
        break;
    case IOCTL_SUM:
        Status = Sum(Irp, InputLength, OutputLength);
        break;
    case IOCTL_FILL:
        Status = Fill(Irp, InputLength, OutputLength, &Information);
        break;
    case IOCTL_INCREMENT:
        Status = Increment(Irp, Location->Parameters.DeviceIoControl.Type3InputBuffer, InputLength,
                           OutputLength, &Information);
        break;
    case IOCTL_WAIT:
        IoCsqInsertIrp(&Extension->Queue, Irp, NULL);
        return STATUS_PENDING;
    case IOCTL_RELEASE:
        Waiting = IoCsqRemoveNextIrp(&Extension->Queue, NULL);
        Status = Waiting == NULL ? STATUS_NOT_FOUND : STATUS_SUCCESS;
        if (Waiting != NULL) {
            Complete(Waiting, STATUS_SUCCESS, 0);
        }
        break;
    default:
        Status = STATUS_INVALID_DEVICE_REQUEST;
        break;
    }
    return Complete(Irp, Status, Information);
}

static VOID NTAPI
Unload(PDRIVER_OBJECT DriverObject)
{
    IoDeleteSymbolicLink(&LinkName);
    IoDeleteDevice(DriverObject->DeviceObject);
}

NTSTATUS NTAPI
DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    PIOCTL_EXTENSION Extension;
    PDEVICE_OBJECT Device;
    NTSTATUS Status;

    Status = IoCreateDevice(DriverObject, sizeof(IOCTL_EXTENSION), &DeviceName, FILE_DEVICE_UNKNOWN,
                            FILE_DEVICE_SECURE_OPEN, FALSE, &Device);
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Extension = Device->DeviceExtension;
    InitializeListHead(&Extension->Waiting);
    KeInitializeSpinLock(&Extension->Lock);
    IoCsqInitialize(&Extension->Queue, InsertIrp, RemoveIrp, PeekIrp, LockQueue, UnlockQueue,
                    CompleteCancelled);
    Status = IoCreateSymbolicLink(&LinkName, &DeviceName);
    if (!NT_SUCCESS(Status)) {
        IoDeleteDevice(Device);
        return Status;
    }
    DriverObject->MajorFunction[IRP_MJ_CREATE] = OpenOrClose;
    DriverObject->MajorFunction[IRP_MJ_CLEANUP] = OpenOrClose;
    DriverObject->MajorFunction[IRP_MJ_CLOSE] = OpenOrClose;
    DriverObject->MajorFunction[IRP_MJ_DEVICE_CONTROL] = DeviceControl;
    DriverObject->DriverUnload = Unload;
    return STATUS_SUCCESS;
}
