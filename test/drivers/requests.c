/*
 * requests: drivers that handle requests, rightly and wrongly; the image's name says which. ioctl.t drives it.
 *
 * The name up to ".sys" is the case: an image called double.sys completes its request twice.
 */
#include <ntddk.h>

static UNICODE_STRING DeviceName = RTL_CONSTANT_STRING(L"\\Device\\Requests");
static UNICODE_STRING FilterName = RTL_CONSTANT_STRING(L"\\Device\\RequestsFilter");
static UNICODE_STRING LinkName = RTL_CONSTANT_STRING(L"\\??\\Requests");

static PDEVICE_OBJECT Device, Filter, Below;
static PIO_WORKITEM WorkItem;
static PIRP Kept;

/* Is the driver's name \Driver\<Case>? */
static BOOLEAN
IsCase(PDRIVER_OBJECT DriverObject, PCWSTR Case)
{
    const UNICODE_STRING *Name = &DriverObject->DriverName;
    USHORT Index = 8;

    while (Index * sizeof(WCHAR) < Name->Length && Case[Index - 8] != 0 && Name->Buffer[Index] == Case[Index - 8]) {
        Index += 1;
    }
    return Index * sizeof(WCHAR) == Name->Length && Case[Index - 8] == 0;
}

static NTSTATUS
Complete(PIRP Irp, NTSTATUS Status, ULONG_PTR Information)
{
    Irp->IoStatus.Status = Status;
    Irp->IoStatus.Information = Information;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    return Status;
}

static NTSTATUS NTAPI
Succeed(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    if (Kept != NULL && IsCase(DeviceObject->DriverObject, L"cleanup") &&
        IoGetCurrentIrpStackLocation(Irp)->MajorFunction == IRP_MJ_CLEANUP) {
        Complete(Kept, STATUS_SUCCESS, 0);
        Kept = NULL;
    }
    return Complete(Irp, STATUS_SUCCESS, 0);
}

static VOID NTAPI
Work(PDEVICE_OBJECT DeviceObject, PVOID Context)
{
    KIRQL Irql;

    *(ULONG *)((PIRP)Context)->AssociatedIrp.SystemBuffer = 0x12345678;
    /* The output is copied although this is no place to touch a caller's memory. */
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    Complete(Context, STATUS_SUCCESS, sizeof(ULONG));
    KeLowerIrql(Irql);
}

static VOID NTAPI
CancelKept(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    IoReleaseCancelSpinLock(Irp->CancelIrql);
    DbgPrint("cancelled %d\n", Irp->Cancel);
    Complete(Irp, STATUS_CANCELLED, 0);
}

static NTSTATUS NTAPI
Passed(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context)
{
    DbgPrint("passed up: %s, context %u\n", DeviceObject == Filter ? "filter" : "other", *(ULONG *)Context);
    if (Irp->PendingReturned && !IsCase(DeviceObject->DriverObject, L"forgetful")) {
        IoMarkIrpPending(Irp);
    }
    return STATUS_SUCCESS;
}

/* In the filter's case its device is on top: send everything down. */
static NTSTATUS
PassDown(PIRP Irp)
{
    static ULONG Context = 7;

    IoCopyCurrentIrpStackLocationToNext(Irp);
    IoSetCompletionRoutine(Irp, Passed, &Context, TRUE, TRUE, TRUE);
    return IoCallDriver(Below, Irp);
}

static NTSTATUS NTAPI
Control(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    PDRIVER_OBJECT Driver = DeviceObject->DriverObject;
    KIRQL Irql;

    if (DeviceObject == Filter) {
        if (IsCase(Driver, L"passcancel")) {
            IoSetCancelRoutine(Irp, CancelKept);
        }
        return PassDown(Irp);
    }
    if (IsCase(Driver, L"forgetful")) {
        IoMarkIrpPending(Irp);
        Complete(Irp, STATUS_SUCCESS, 0);
        return STATUS_PENDING;
    }
    if (IsCase(Driver, L"unmarked")) {
        Complete(Irp, STATUS_SUCCESS, 0);
        return STATUS_PENDING;
    }
    if (IsCase(Driver, L"unmarkedlater")) {
        IoQueueWorkItem(WorkItem, Work, DelayedWorkQueue, Irp);
        return STATUS_PENDING;
    }
    if (IsCase(Driver, L"marked")) {
        IoMarkIrpPending(Irp);
    }
    if (IsCase(Driver, L"mismatch")) {
        Complete(Irp, STATUS_SUCCESS, 0);
        return STATUS_UNSUCCESSFUL;
    }
    if (IsCase(Driver, L"garbage")) {
        Complete(Irp, STATUS_SUCCESS, 0);
        return (NTSTATUS)-1;
    }
    if (IsCase(Driver, L"forgotten")) {
        return STATUS_SUCCESS;
    }
    if (IsCase(Driver, L"freebuffer")) {
        ExFreePool(Irp->AssociatedIrp.SystemBuffer);
    }
    if (IsCase(Driver, L"freeirp")) {
        IoFreeIrp(Irp);
    }
    if (IsCase(Driver, L"never") || IsCase(Driver, L"cleanup")) {
        IoMarkIrpPending(Irp);
        Kept = Irp;
        return STATUS_PENDING;
    }
    if (IsCase(Driver, L"cancel")) {
        IoMarkIrpPending(Irp);
        IoSetCancelRoutine(Irp, CancelKept);
        return STATUS_PENDING;
    }
    if (IsCase(Driver, L"work")) {
        IoMarkIrpPending(Irp);
        IoQueueWorkItem(WorkItem, Work, DelayedWorkQueue, Irp);
        return STATUS_PENDING;
    }
    if (IsCase(Driver, L"double")) {
        Complete(Irp, STATUS_SUCCESS, 0);
    }
    if (IsCase(Driver, L"pending")) {
        return Complete(Irp, STATUS_PENDING, 0);
    }
    if (IsCase(Driver, L"cancelset")) {
        IoSetCancelRoutine(Irp, CancelKept);
    }
    if (IsCase(Driver, L"irql")) {
        KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    }
    if (IsCase(Driver, L"nolocation")) {
        IoCopyCurrentIrpStackLocationToNext(Irp);
        return IoCallDriver(DeviceObject, Irp);
    }
    return Complete(Irp, STATUS_SUCCESS, IsCase(Driver, L"information") ? 100 : 0);
}

static VOID NTAPI
Unload(PDRIVER_OBJECT DriverObject)
{
    if (WorkItem != NULL) {
        IoFreeWorkItem(WorkItem);
    }
    if (!IsCase(DriverObject, L"leaklink")) {
        IoDeleteSymbolicLink(&LinkName);
    }
    if (Filter != NULL) {
        IoDetachDevice(Below);
        IoDeleteDevice(Filter);
    }
    if (!IsCase(DriverObject, L"leakdevice")) {
        IoDeleteDevice(Device);
    }
}

static NTSTATUS
Stack(PDRIVER_OBJECT DriverObject)
{
    NTSTATUS Status = IoCreateDevice(DriverObject, 0, &FilterName, FILE_DEVICE_UNKNOWN, 0, FALSE, &Filter);

    if (NT_SUCCESS(Status)) {
        /* The device below cannot be attached to before it is ready. */
        Device->Flags &= ~DO_DEVICE_INITIALIZING;
        Below = IoAttachDeviceToDeviceStack(Filter, Device);
        DbgPrint("stack size %d, below %d\n", Filter->StackSize, Below == Device);
    }
    return Status;
}

/* What can be asked without a request. */
static VOID
Look(PDRIVER_OBJECT DriverObject)
{
    PDEVICE_OBJECT Other;
    PFILE_OBJECT File;

    DbgPrint("not ready: 0x%08X\n", IoGetDeviceObjectPointer(&DeviceName, FILE_READ_DATA, &File, &Other));
    DbgPrint("again: 0x%08X\n", IoCreateDevice(DriverObject, 0, &DeviceName, FILE_DEVICE_UNKNOWN, 0, FALSE, &Other));
    DbgPrint("link again: 0x%08X\n", IoCreateSymbolicLink(&LinkName, &DeviceName));
    Device->Flags &= ~DO_DEVICE_INITIALIZING;
    DbgPrint("ready: 0x%08X\n", IoGetDeviceObjectPointer(&LinkName, FILE_READ_DATA, &File, &Other));
    DbgPrint("found %d, open %d\n", Other == Device, Device->ReferenceCount);
    ObDereferenceObject(File);
    DbgPrint("open %d\n", Device->ReferenceCount);
}

NTSTATUS NTAPI
DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    NTSTATUS Status;

    Status = IoCreateDevice(DriverObject, 16, IsCase(DriverObject, L"nameless") ? NULL : &DeviceName,
                            FILE_DEVICE_UNKNOWN, 0, IsCase(DriverObject, L"exclusive"), &Device);
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    IoCreateSymbolicLink(&LinkName, &DeviceName);
    if (!IsCase(DriverObject, L"invalid")) {
        DriverObject->MajorFunction[IRP_MJ_CREATE] = Succeed;
        DriverObject->MajorFunction[IRP_MJ_CLEANUP] = Succeed;
        DriverObject->MajorFunction[IRP_MJ_CLOSE] = Succeed;
        DriverObject->MajorFunction[IRP_MJ_DEVICE_CONTROL] = Control;
    } else {
        /* Drivers call what was there before. */
        DriverObject->MajorFunction[IRP_MJ_CREATE] = Succeed;
    }
    DriverObject->DriverUnload = Unload;
    if (IsCase(DriverObject, L"work") || IsCase(DriverObject, L"unmarkedlater")) {
        WorkItem = IoAllocateWorkItem(Device);
    }
    if (IsCase(DriverObject, L"leakirp")) {
        IoAllocateIrp(2, FALSE);
    }
    if (IsCase(DriverObject, L"look")) {
        Look(DriverObject);
    }
    return IsCase(DriverObject, L"filter") || IsCase(DriverObject, L"forgetful") || IsCase(DriverObject, L"passcancel")
               ? Stack(DriverObject) : STATUS_SUCCESS;
}
