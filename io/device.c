/*
 * Device objects: making, deleting, stacking.
 *
 *     IoCreateDevice --> on the driver's list --IoDeleteDevice--> off it, nameless --last reference--> gone
 *
 * References are held by the maker until IoDeleteDevice, by file objects, queued work items and whoever asked for one;
 * a device is only freed when all are gone. A device refers to its driver object. Attachments hold no references: a
 * driver detaches before it deletes.
 *
 * Lock: IopLock for the lists, attachments and stack sizes. Document: "Introduction to Device Objects".
 */
#include "iop.h"
#include <mm/phys/inject.h>
#include <mm/pool/pool.h>

#define IOP_DEVICE_TAG 0x69766544u /* "Devi" */
#define IOP_STRING_TAG 0x6D4E6F49u /* "IoNm" */

POBJECT_TYPE IopDeviceType;

static LIST_ENTRY IopDevices = {&IopDevices, &IopDevices};
static LIST_ENTRY IopShutdownDevices = {&IopShutdownDevices, &IopShutdownDevices};

/* --- Helpers of all of io/ ------------------------------------------------------------------------------- */

NTSTATUS
IopMakeObject(POBJECT_TYPE Type, SIZE_T Size, PVOID *Object, PBOOLEAN Image, PULONG StackId)
{
    PVOID Frames[IOP_STACK_FRAMES];
    NTSTATUS Status;

    if (MiInjectRequest()) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    *Image = KiInImageCode();
    *StackId = *Image ? MiNotePoolStack(Frames, KiCaptureImageStack(Frames, IOP_STACK_FRAMES)) : 0;
    KiEnterBoundary();
    Status = ObMakeObject(Type, Size, Object);
    KiLeaveBoundary();
    return Status;
}

BOOLEAN
IopCopyString(const UNICODE_STRING *Source, PUNICODE_STRING Copy)
{
    PWSTR Buffer;

    KiEnterBoundary();
    Buffer = ExAllocatePool2(POOL_FLAG_NON_PAGED, (SIZE_T)Source->Length + sizeof(WCHAR), IOP_STRING_TAG);
    KiLeaveBoundary();
    if (Buffer == NULL) {
        return FALSE;
    }
    RtlCopyMemory(Buffer, Source->Buffer, Source->Length);
    Copy->Buffer = Buffer;
    Copy->Length = Source->Length;
    Copy->MaximumLength = (USHORT)(Source->Length + (Source->Length < 0xFFFE ? sizeof(WCHAR) : 0));
    return TRUE;
}

VOID
IopFreeString(PUNICODE_STRING String)
{
    if (String->Buffer != NULL) {
        ExFreePoolWithTag(String->Buffer, IOP_STRING_TAG);
        String->Buffer = NULL;
        String->Length = 0;
        String->MaximumLength = 0;
    }
}

/* --- Making --------------------------------------------------------------------------------------------- */

static VOID
IopDeleteDevice(PVOID Object)
{
    PDEVICE_OBJECT Device = Object;

    IopFreeString(&Device->DeviceObjectExtension->Name);
    ObfDereferenceObject(Device->DriverObject);
}

static const OBJECT_TYPE IopDeviceTemplate = {
    .Name = L"Device",
    .Tag = IOP_DEVICE_TAG,
    .ValidAccess = STANDARD_RIGHTS_ALL | SPECIFIC_RIGHTS_ALL,
    .WaitOffset = OB_NOT_WAITABLE,
    .Delete = IopDeleteDevice,
};

static VOID
IopFillDevice(PDEVICE_OBJECT Device, PDRIVER_OBJECT Driver, ULONG ExtensionSize, DEVICE_TYPE Type)
{
    SIZE_T Offset = ALIGN_UP_BY(sizeof(DEVICE_OBJECT) + (SIZE_T)ExtensionSize, 16);
    PDEVOBJ_EXTENSION Extension = (PDEVOBJ_EXTENSION)((PUCHAR)Device + Offset);

    Device->Type = IO_TYPE_DEVICE;
    Device->Size = (USHORT)(sizeof(DEVICE_OBJECT) + ExtensionSize);
    Device->DriverObject = Driver;
    Device->DeviceType = Type;
    Device->DeviceExtension = ExtensionSize == 0 ? NULL : Device + 1;
    Device->StackSize = 1;
    Device->SectorSize = Type == FILE_DEVICE_DISK ? 512 : 0;
    Device->DeviceObjectExtension = Extension;
    InitializeListHead(&Device->Queue.ListEntry);
    KeInitializeDeviceQueue(&Device->DeviceQueue);
    KeInitializeEvent(&Device->DeviceLock, SynchronizationEvent, TRUE);
    Extension->Type = 13;
    Extension->Size = sizeof(*Extension);
    Extension->DeviceObject = Device;
}

/* From here on others see the device. */
static VOID
IopLinkDevice(PDEVICE_OBJECT Device)
{
    PDRIVER_OBJECT Driver = Device->DriverObject;
    KIRQL OldIrql = IopAcquireLock();

    Device->NextDevice = Driver->DeviceObject;
    Driver->DeviceObject = Device;
    InsertTailList(&IopDevices, &Device->DeviceObjectExtension->Links);
    IopReleaseLock(OldIrql);
}

/*
 * Make a device of the driver's, with an extension of DeviceExtensionSize zeroed bytes behind it. It cannot be opened
 * before DriverEntry has returned or, made later, the driver clears DO_DEVICE_INITIALIZING. IoDeleteDevice ends it.
 * STATUS_INSUFFICIENT_RESOURCES, STATUS_OBJECT_NAME_COLLISION, and what a bad path may bring. IRQL <= APC_LEVEL.
 */
NTSTATUS NTAPI
IoCreateDevice(PDRIVER_OBJECT DriverObject, ULONG DeviceExtensionSize, PUNICODE_STRING DeviceName,
               DEVICE_TYPE DeviceType, ULONG DeviceCharacteristics, BOOLEAN Exclusive, PDEVICE_OBJECT *DeviceObject)
{
    BOOLEAN Named = DeviceName != NULL && DeviceName->Length != 0;
    SIZE_T Size = ALIGN_UP_BY(sizeof(DEVICE_OBJECT) + (SIZE_T)DeviceExtensionSize, 16) + sizeof(DEVOBJ_EXTENSION);
    PDEVICE_OBJECT Device;
    PVOID Object;
    BOOLEAN Image;
    ULONG StackId;
    NTSTATUS Status;

    *DeviceObject = NULL;
    Status = IopMakeObject(IopDeviceType, Size, &Object, &Image, &StackId);
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Device = Object;
    IopFillDevice(Device, DriverObject, DeviceExtensionSize, DeviceType);
    ObfReferenceObject(DriverObject);
    Device->Characteristics = DeviceCharacteristics;
    Device->Flags = DO_DEVICE_INITIALIZING | (Exclusive ? DO_EXCLUSIVE : 0) | (Named ? DO_DEVICE_HAS_NAME : 0);
    Device->DeviceObjectExtension->Image = Image;
    Device->DeviceObjectExtension->StackId = StackId;
    if (Named) {
        Status = IopCopyString(DeviceName, &Device->DeviceObjectExtension->Name) ? IopNameObject(Device, DeviceName)
                                                                                 : STATUS_INSUFFICIENT_RESOURCES;
        if (!NT_SUCCESS(Status)) {
            ObfDereferenceObject(Device);
            return Status;
        }
    }
    IopLinkDevice(Device);
    *DeviceObject = Device;
    return STATUS_SUCCESS;
}
NTEXPORT(IoCreateDevice);

/* --- Deleting ------------------------------------------------------------------------------------------- */

/* Take the device out of its driver's list; FALSE if it is not there. */
static BOOLEAN
IopUnlinkDeviceLocked(PDEVICE_OBJECT Device)
{
    PDEVICE_OBJECT *Place = &Device->DriverObject->DeviceObject;

    while (*Place != NULL && *Place != Device) {
        Place = &(*Place)->NextDevice;
    }
    if (*Place == NULL) {
        return FALSE;
    }
    *Place = Device->NextDevice;
    Device->NextDevice = NULL;
    RemoveEntryList(&Device->DeviceObjectExtension->Links);
    return TRUE;
}

/*
 * End a device: it can no longer be found; its memory goes with the last reference. Deleting it twice is bug check
 * 0x18, as the maker's reference is given back only once. IRQL <= APC_LEVEL.
 */
VOID NTAPI
IoDeleteDevice(PDEVICE_OBJECT DeviceObject)
{
    BOOLEAN Linked;
    KIRQL OldIrql;

    if (ObTypeOf(DeviceObject) != IopDeviceType || DeviceObject->Type != IO_TYPE_DEVICE) {
        KeBugCheckEx(REFERENCE_BY_POINTER, (ULONG_PTR)IopDeviceType, (ULONG_PTR)DeviceObject, 2, 0);
    }
    IoUnregisterShutdownNotification(DeviceObject);
    OldIrql = IopAcquireLock();
    Linked = IopUnlinkDeviceLocked(DeviceObject);
    DeviceObject->DeviceObjectExtension->DeletePending = TRUE;
    IopReleaseLock(OldIrql);
    if (!Linked) {
        KeBugCheckEx(REFERENCE_BY_POINTER, (ULONG_PTR)IopDeviceType, (ULONG_PTR)DeviceObject, 2, 0);
    }
    ObForgetName(DeviceObject);
    ObfDereferenceObject(DeviceObject);
}
NTEXPORT(IoDeleteDevice);

/* --- Stacking ------------------------------------------------------------------------------------------- */

static PDEVICE_OBJECT
IopTopLocked(PDEVICE_OBJECT Device)
{
    while (Device->AttachedDevice != NULL) {
        Device = Device->AttachedDevice;
    }
    return Device;
}

/* Attach Source to the top of Target's stack; the device below, NULL if the top is going away or not ready. */
static PDEVICE_OBJECT
IopAttach(PDEVICE_OBJECT Source, PDEVICE_OBJECT Target, PDEVICE_OBJECT *Below)
{
    KIRQL OldIrql = IopAcquireLock();
    PDEVICE_OBJECT Top = IopTopLocked(Target);

    if (Top == Source || Top->DeviceObjectExtension->DeletePending || (Top->Flags & DO_DEVICE_INITIALIZING) != 0 ||
        Top->StackSize == 127) {
        Top = NULL;
    } else {
        Top->AttachedDevice = Source;
        Source->DeviceObjectExtension->AttachedTo = Top;
        Source->StackSize = (CCHAR)(Top->StackSize + 1);
        Source->AlignmentRequirement = Top->AlignmentRequirement;
        Source->SectorSize = Top->SectorSize;
    }
    if (Below != NULL) {
        /* Set before anybody can send a request down through Source. */
        *Below = Top;
    }
    IopReleaseLock(OldIrql);
    return Top;
}

/* Attach a device to the top of the stack that TargetDevice is in; what it is attached to then is returned, NULL if
 * that is not possible. IRQL <= DISPATCH_LEVEL. */
PDEVICE_OBJECT NTAPI
IoAttachDeviceToDeviceStack(PDEVICE_OBJECT SourceDevice, PDEVICE_OBJECT TargetDevice)
{
    return IopAttach(SourceDevice, TargetDevice, NULL);
}
NTEXPORT(IoAttachDeviceToDeviceStack);

/* The same, storing the device below before requests can arrive. STATUS_NO_SUCH_DEVICE. */
NTSTATUS NTAPI
IoAttachDeviceToDeviceStackSafe(PDEVICE_OBJECT SourceDevice, PDEVICE_OBJECT TargetDevice,
                                PDEVICE_OBJECT *AttachedToDeviceObject)
{
    return IopAttach(SourceDevice, TargetDevice, AttachedToDeviceObject) == NULL ? STATUS_NO_SUCH_DEVICE
                                                                                 : STATUS_SUCCESS;
}
NTEXPORT(IoAttachDeviceToDeviceStackSafe);

/* Attach a device to that of a name; *AttachedDevice is what it is attached to. Statuses of IoGetDeviceObjectPointer
 * and STATUS_NO_SUCH_DEVICE. PASSIVE_LEVEL. */
NTSTATUS NTAPI
IoAttachDevice(PDEVICE_OBJECT SourceDevice, PUNICODE_STRING TargetDevice, PDEVICE_OBJECT *AttachedDevice)
{
    PFILE_OBJECT File;
    PDEVICE_OBJECT Target;
    NTSTATUS Status = IoGetDeviceObjectPointer(TargetDevice, FILE_READ_DATA, &File, &Target);

    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Status = IoAttachDeviceToDeviceStackSafe(SourceDevice, Target, AttachedDevice);
    ObfDereferenceObject(File);
    return Status;
}
NTEXPORT(IoAttachDevice);

/* Take off the device that is attached to TargetDevice. IRQL <= DISPATCH_LEVEL. */
VOID NTAPI
IoDetachDevice(PDEVICE_OBJECT TargetDevice)
{
    KIRQL OldIrql = IopAcquireLock();

    if (TargetDevice->AttachedDevice != NULL) {
        TargetDevice->AttachedDevice->DeviceObjectExtension->AttachedTo = NULL;
        TargetDevice->AttachedDevice = NULL;
    }
    IopReleaseLock(OldIrql);
}
NTEXPORT(IoDetachDevice);

/* The top of the stack that a device is in. IRQL <= DISPATCH_LEVEL. */
PDEVICE_OBJECT NTAPI
IoGetAttachedDevice(PDEVICE_OBJECT DeviceObject)
{
    KIRQL OldIrql = IopAcquireLock();
    PDEVICE_OBJECT Top = IopTopLocked(DeviceObject);

    IopReleaseLock(OldIrql);
    return Top;
}
NTEXPORT(IoGetAttachedDevice);

/* The same with a reference for the caller. IRQL <= DISPATCH_LEVEL. */
PDEVICE_OBJECT NTAPI
IoGetAttachedDeviceReference(PDEVICE_OBJECT DeviceObject)
{
    KIRQL OldIrql = IopAcquireLock();
    PDEVICE_OBJECT Top = IopTopLocked(DeviceObject);

    ObfReferenceObject(Top);
    IopReleaseLock(OldIrql);
    return Top;
}
NTEXPORT(IoGetAttachedDeviceReference);

/* The device below, with a reference for the caller; NULL if there is none. IRQL <= DISPATCH_LEVEL. */
PDEVICE_OBJECT NTAPI
IoGetLowerDeviceObject(PDEVICE_OBJECT DeviceObject)
{
    KIRQL OldIrql = IopAcquireLock();
    PDEVICE_OBJECT Lower = DeviceObject->DeviceObjectExtension->AttachedTo;

    if (Lower != NULL && Lower->DeviceObjectExtension->DeletePending) {
        Lower = NULL;
    }
    if (Lower != NULL) {
        ObfReferenceObject(Lower);
    }
    IopReleaseLock(OldIrql);
    return Lower;
}
NTEXPORT(IoGetLowerDeviceObject);

/* --- Shutdown ------------------------------------------------------------------------------------------- */

/* Have the device sent IRP_MJ_SHUTDOWN when the machine ends; it stays until unregistered or deleted. PASSIVE_LEVEL. */
NTSTATUS NTAPI
IoRegisterShutdownNotification(PDEVICE_OBJECT DeviceObject)
{
    PLIST_ENTRY Links = &DeviceObject->DeviceObjectExtension->ShutdownLinks;
    KIRQL OldIrql = IopAcquireLock();

    if (Links->Flink == NULL) {
        InsertHeadList(&IopShutdownDevices, Links);
        DeviceObject->Flags |= DO_SHUTDOWN_REGISTERED;
    }
    IopReleaseLock(OldIrql);
    return STATUS_SUCCESS;
}
NTEXPORT(IoRegisterShutdownNotification);

/* The same: there is no file system to come after. */
NTSTATUS NTAPI
IoRegisterLastChanceShutdownNotification(PDEVICE_OBJECT DeviceObject)
{
    return IoRegisterShutdownNotification(DeviceObject);
}
NTEXPORT(IoRegisterLastChanceShutdownNotification);

/* Forget the wish; nothing happens if there is none. IRQL <= DISPATCH_LEVEL. */
VOID NTAPI
IoUnregisterShutdownNotification(PDEVICE_OBJECT DeviceObject)
{
    PLIST_ENTRY Links = &DeviceObject->DeviceObjectExtension->ShutdownLinks;
    KIRQL OldIrql = IopAcquireLock();

    if (Links->Flink != NULL) {
        RemoveEntryList(Links);
        Links->Flink = NULL;
        DeviceObject->Flags &= ~(ULONG)DO_SHUTDOWN_REGISTERED;
    }
    IopReleaseLock(OldIrql);
}
NTEXPORT(IoUnregisterShutdownNotification);

static PDEVICE_OBJECT
IopTakeShutdownDevice(VOID)
{
    PDEVICE_OBJECT Device = NULL;
    KIRQL OldIrql = IopAcquireLock();

    if (!IsListEmpty(&IopShutdownDevices)) {
        PLIST_ENTRY Links = RemoveHeadList(&IopShutdownDevices);

        Links->Flink = NULL;
        Device = CONTAINING_RECORD(Links, DEVOBJ_EXTENSION, ShutdownLinks)->DeviceObject;
        Device->Flags &= ~(ULONG)DO_SHUTDOWN_REGISTERED;
        ObfReferenceObject(Device);
    }
    IopReleaseLock(OldIrql);
    return Device;
}

VOID
IoShutDown(VOID)
{
    PDEVICE_OBJECT Device;

    while ((Device = IopTakeShutdownDevice()) != NULL) {
        PDEVICE_OBJECT Top = IoGetAttachedDeviceReference(Device);
        PIRP Irp = IopAllocateIrp(Top->StackSize, IOP_IRP_OWNED | IOP_IRP_WAITED);

        if (Irp != NULL) {
            IoGetNextIrpStackLocation(Irp)->MajorFunction = IRP_MJ_SHUTDOWN;
            IopCallAndWait(Top, Irp, NULL);
        }
        ObfDereferenceObject(Top);
        ObfDereferenceObject(Device);
    }
}

/* --- For requests and reports ---------------------------------------------------------------------------- */

BOOLEAN
IoFirstDeviceName(PDRIVER_OBJECT DriverObject, PUNICODE_STRING Path)
{
    PDEVICE_OBJECT First = NULL;
    BOOLEAN Found;
    KIRQL OldIrql = IopAcquireLock();

    for (PDEVICE_OBJECT Device = DriverObject->DeviceObject; Device != NULL; Device = Device->NextDevice) {
        if (Device->DeviceObjectExtension->Name.Length != 0) {
            First = Device;
        }
    }
    if (First != NULL) {
        ObfReferenceObject(First);
    }
    IopReleaseLock(OldIrql);
    if (First == NULL) {
        return FALSE;
    }
    Found = IopCopyString(&First->DeviceObjectExtension->Name, Path);
    ObfDereferenceObject(First);
    return Found;
}

/* The device after one (NULL: the first), referenced; the previous is dereferenced. */
static PDEVICE_OBJECT
IopNextDevice(PDEVICE_OBJECT Previous)
{
    PDEVICE_OBJECT Next = NULL;
    KIRQL OldIrql = IopAcquireLock();
    PLIST_ENTRY Entry = Previous == NULL ? IopDevices.Flink : Previous->DeviceObjectExtension->Links.Flink;

    if (Entry != &IopDevices) {
        Next = CONTAINING_RECORD(Entry, DEVOBJ_EXTENSION, Links)->DeviceObject;
        ObfReferenceObject(Next);
    }
    IopReleaseLock(OldIrql);
    if (Previous != NULL) {
        ObfDereferenceObject(Previous);
    }
    return Next;
}

VOID
IoEnumerateDevices(VOID (*Visitor)(const IO_LEFT *Left, PVOID Context), PVOID Context)
{
    PDEVICE_OBJECT Device = NULL;

    while ((Device = IopNextDevice(Device)) != NULL) {
        PDEVOBJ_EXTENSION Extension = Device->DeviceObjectExtension;
        IO_LEFT Left = {.Object = Device, .Name = &Extension->Name, .Image = Extension->Image,
                        .StackId = Extension->StackId};

        Visitor(&Left, Context);
    }
}

/* --- Start ---------------------------------------------------------------------------------------------- */

POBJECT_TYPE IoDeviceObjectType;
NTEXPORT_DATA(IoDeviceObjectType);

VOID
IopInitializeDevices(VOID)
{
    IopDeviceType = ObMakeType(&IopDeviceTemplate);
    IoDeviceObjectType = IopDeviceType;
}
