/*
 * Driver objects: making them, extensions that drivers hang on them, the request nobody handles.
 *
 * A driver object carries in one block its extension, its names and the path of its service key. It has the name
 * \Driver\<service> and goes with its last reference: the loader's, and one of each device.
 *
 * Lock: IopLock for the list of extensions. Document: "Introduction to Driver Objects".
 */
#include "iop.h"
#include <mm/phys/inject.h>

#define IOP_DRIVER_TAG 0x76697244u    /* "Driv" */
#define IOP_EXTENSION_TAG 0x65697244u /* "Drie" */
#define IOP_SERVICES u"\\Registry\\Machine\\System\\CurrentControlSet\\Services\\"
#define IOP_NAME_LENGTH 64

KSPIN_LOCK IopLock;
POBJECT_TYPE IopDriverType;
POBJECT_TYPE IoDriverObjectType;
NTEXPORT_DATA(IoDriverObjectType);
PDRIVER_DISPATCH IoInvalidDeviceRequest;

/* Memory that a driver tied to its driver object; the bytes follow. */
typedef struct DECLSPEC_ALIGN(16) _IOP_CLIENT {
    struct _IOP_CLIENT *Next; /* IopLock */
    PVOID Address;            /* what it is found by */
} IOP_CLIENT, *PIOP_CLIENT;

/* The object and what hangs on it. */
typedef struct _IOP_DRIVER {
    DRIVER_OBJECT Object;
    DRIVER_EXTENSION Extension;
    PIOP_CLIENT Clients; /* IopLock */
    UNICODE_STRING RegistryPath;
    UNICODE_STRING HardwareDatabase;
    WCHAR NameBuffer[8 + IOP_NAME_LENGTH];
    WCHAR PathBuffer[RTL_NUMBER_OF(IOP_SERVICES) + IOP_NAME_LENGTH];
} IOP_DRIVER, *PIOP_DRIVER;

static VOID IopDeleteDriver(PVOID Object);

static const OBJECT_TYPE IopDriverTemplate = {
    .Name = L"Driver",
    .Tag = IOP_DRIVER_TAG,
    .ValidAccess = STANDARD_RIGHTS_REQUIRED | SYNCHRONIZE,
    .WaitOffset = OB_NOT_WAITABLE,
    .Delete = IopDeleteDriver,
};

/* --- The request nobody handles ------------------------------------------------------------------------- */

/* Complete Irp with STATUS_INVALID_DEVICE_REQUEST, as drivers do for requests they do not serve; what MajorFunction[]
 * holds at first. IRQL <= DISPATCH_LEVEL. */
static NTSTATUS NTAPI
IopInvalidDeviceRequest(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    UNREFERENCED_PARAMETER(DeviceObject);
    Irp->IoStatus.Status = STATUS_INVALID_DEVICE_REQUEST;
    Irp->IoStatus.Information = 0;
    IofCompleteRequest(Irp, IO_NO_INCREMENT);
    return STATUS_INVALID_DEVICE_REQUEST;
}
NTEXPORT(IopInvalidDeviceRequest);

/* --- Making and ending ---------------------------------------------------------------------------------- */

static VOID
IopSetString(PUNICODE_STRING String, PWCHAR Buffer, const WCHAR *Prefix, const char *Stem)
{
    USHORT Length = 0;

    for (; *Prefix != 0; Prefix += 1) {
        Buffer[Length++] = *Prefix;
    }
    for (ULONG Index = 0; Stem[Index] != 0 && Stem[Index] != '.' && Index + 1 < IOP_NAME_LENGTH; Index += 1) {
        Buffer[Length++] = Stem[Index] == '\\' ? L'_' : (UCHAR)Stem[Index];
    }
    Buffer[Length] = 0;
    String->Buffer = Buffer;
    String->Length = (USHORT)(Length * sizeof(WCHAR));
    String->MaximumLength = (USHORT)(String->Length + sizeof(WCHAR));
}

static VOID
IopFillDriver(PIOP_DRIVER Driver, const IO_DRIVER_PARAMETERS *Parameters)
{
    PDRIVER_OBJECT Object = &Driver->Object;
    PDRIVER_EXTENSION Extension = &Driver->Extension;

    Object->Type = IO_TYPE_DRIVER;
    Object->Size = sizeof(DRIVER_OBJECT);
    Object->Flags = DRVO_LEGACY_DRIVER;
    Object->DriverStart = Parameters->Start;
    Object->DriverSize = Parameters->Size;
    Object->DriverSection = Parameters->Section;
    Object->DriverExtension = Extension;
    Object->DriverInit = Parameters->EntryPoint;
    Object->HardwareDatabase = &Driver->HardwareDatabase;
    for (ULONG Index = 0; Index <= IRP_MJ_MAXIMUM_FUNCTION; Index += 1) {
        Object->MajorFunction[Index] = IoInvalidDeviceRequest != NULL ? IoInvalidDeviceRequest : IopInvalidDeviceRequest;
    }
    RtlInitUnicodeString(&Driver->HardwareDatabase, u"\\Registry\\Machine\\Hardware\\Description\\System");
    IopSetString(&Object->DriverName, Driver->NameBuffer, u"\\Driver\\", Parameters->Name);
    IopSetString(&Driver->RegistryPath, Driver->PathBuffer, IOP_SERVICES, Parameters->Name);
    Extension->DriverObject = Object;
    Extension->ServiceKeyName = Object->DriverName;
    Extension->ServiceKeyName.Buffer += 8;
    Extension->ServiceKeyName.Length -= 8 * sizeof(WCHAR);
    Extension->ServiceKeyName.MaximumLength -= 8 * sizeof(WCHAR);
}

NTSTATUS
IoMakeDriverObject(const IO_DRIVER_PARAMETERS *Parameters, PDRIVER_OBJECT *DriverObject, PUNICODE_STRING *RegistryPath)
{
    PVOID Object;
    PIOP_DRIVER Driver;
    NTSTATUS Status = ObMakeObject(IopDriverType, sizeof(IOP_DRIVER), &Object);

    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Driver = Object;
    IopFillDriver(Driver, Parameters);
    if (Driver->Object.DriverName.Length == 8 * sizeof(WCHAR)) {
        /* A file called ".sys": a name must not end in a separator. */
        ObfDereferenceObject(Driver);
        return STATUS_OBJECT_NAME_INVALID;
    }
    Status = IopNameObject(Driver, &Driver->Object.DriverName);
    if (!NT_SUCCESS(Status)) {
        ObfDereferenceObject(Driver);
        return Status;
    }
    *DriverObject = &Driver->Object;
    *RegistryPath = &Driver->RegistryPath;
    return STATUS_SUCCESS;
}

static VOID
IopDeleteDriver(PVOID Object)
{
    PIOP_DRIVER Driver = Object;
    PIOP_CLIENT Next;

    for (PIOP_CLIENT Client = Driver->Clients; Client != NULL; Client = Next) {
        Next = Client->Next;
        ExFreePoolWithTag(Client, IOP_EXTENSION_TAG);
    }
}

VOID
IoDriverStarted(PDRIVER_OBJECT DriverObject)
{
    KIRQL OldIrql = IopAcquireLock();

    for (PDEVICE_OBJECT Device = DriverObject->DeviceObject; Device != NULL; Device = Device->NextDevice) {
        Device->Flags &= ~(ULONG)DO_DEVICE_INITIALIZING;
    }
    IopReleaseLock(OldIrql);
}

/* --- Extensions ----------------------------------------------------------------------------------------- */

static PIOP_CLIENT
IopFindClientLocked(PIOP_DRIVER Driver, PVOID Address)
{
    PIOP_CLIENT Client = Driver->Clients;

    while (Client != NULL && Client->Address != Address) {
        Client = Client->Next;
    }
    return Client;
}

/*
 * Tie DriverObjectExtensionSize bytes of zeroed nonpaged memory to the driver object; they go with it.
 * ClientIdentificationAddress must be new: STATUS_OBJECT_NAME_COLLISION. STATUS_INSUFFICIENT_RESOURCES. IRQL <=
 * DISPATCH_LEVEL.
 */
NTSTATUS NTAPI
IoAllocateDriverObjectExtension(PDRIVER_OBJECT DriverObject, PVOID ClientIdentificationAddress,
                                ULONG DriverObjectExtensionSize, PVOID *DriverObjectExtension)
{
    PIOP_DRIVER Driver = CONTAINING_RECORD(DriverObject, IOP_DRIVER, Object);
    PIOP_CLIENT Client;
    BOOLEAN Taken;
    KIRQL OldIrql;

    *DriverObjectExtension = NULL;
    if (MiInjectRequest()) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    KiEnterBoundary();
    Client = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*Client) + DriverObjectExtensionSize, IOP_EXTENSION_TAG);
    KiLeaveBoundary();
    if (Client == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    Client->Address = ClientIdentificationAddress;
    OldIrql = IopAcquireLock();
    Taken = IopFindClientLocked(Driver, ClientIdentificationAddress) != NULL;
    if (!Taken) {
        Client->Next = Driver->Clients;
        Driver->Clients = Client;
    }
    IopReleaseLock(OldIrql);
    if (Taken) {
        ExFreePoolWithTag(Client, IOP_EXTENSION_TAG);
        return STATUS_OBJECT_NAME_COLLISION;
    }
    *DriverObjectExtension = Client + 1;
    return STATUS_SUCCESS;
}
NTEXPORT(IoAllocateDriverObjectExtension);

/* The memory tied to the driver object under that address; NULL if there is none. IRQL <= DISPATCH_LEVEL. */
PVOID NTAPI
IoGetDriverObjectExtension(PDRIVER_OBJECT DriverObject, PVOID ClientIdentificationAddress)
{
    PIOP_CLIENT Client;
    KIRQL OldIrql = IopAcquireLock();

    Client = IopFindClientLocked(CONTAINING_RECORD(DriverObject, IOP_DRIVER, Object), ClientIdentificationAddress);
    IopReleaseLock(OldIrql);
    return Client == NULL ? NULL : Client + 1;
}
NTEXPORT(IoGetDriverObjectExtension);

/* --- Start ---------------------------------------------------------------------------------------------- */

VOID
IoInitialize(VOID)
{
    IopDriverType = ObMakeType(&IopDriverTemplate);
    IoDriverObjectType = IopDriverType;
    IopInitializeDevices();
    IopInitializeLinks();
    IopInitializeFiles();
    IopInitializeThreads();
}
