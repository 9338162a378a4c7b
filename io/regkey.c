/*
 * The registry keys of drivers and devices.
 *
 * A driver's keys lie below its service key: Parameters, and two for state that it keeps. Devices of their own keys are
 * those that a bus driver enumerated; here there is no bus, so no device has any.
 *
 * Documents: IoOpenDriverRegistryKey, IoOpenDeviceRegistryKey.
 */
#include "iop.h"
#include <cm/cm.h>

#define IOP_SERVICE_PREFIX u"\\Registry\\Machine\\System\\CurrentControlSet\\Services\\"
#define IOP_KEY_TAG 0x79654B49u /* "IKey" */

/* Prefix, the driver's name, and Suffix; the buffer is the caller's to free. */
static NTSTATUS
IopServicePath(PDRIVER_OBJECT DriverObject, PCWSTR Suffix, PUNICODE_STRING Path)
{
    UNICODE_STRING Service = DriverObject->DriverExtension->ServiceKeyName, Name;

    RtlInitUnicodeString(&Name, Suffix);
    Path->Length = 0;
    Path->MaximumLength = (USHORT)(sizeof(IOP_SERVICE_PREFIX) + Service.Length + Name.Length);
    KiEnterBoundary();
    Path->Buffer = ExAllocatePool2(POOL_FLAG_NON_PAGED, Path->MaximumLength, IOP_KEY_TAG);
    KiLeaveBoundary();
    if (Path->Buffer == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    RtlAppendUnicodeToString(Path, IOP_SERVICE_PREFIX);
    RtlAppendUnicodeStringToString(Path, &Service);
    RtlAppendUnicodeStringToString(Path, &Name);
    return STATUS_SUCCESS;
}

/*
 * Open, or make, one of the keys of the calling driver; the handle is the caller's. STATUS_INVALID_PARAMETER,
 * STATUS_INSUFFICIENT_RESOURCES. PASSIVE_LEVEL.
 */
NTSTATUS NTAPI
IoOpenDriverRegistryKey(PDRIVER_OBJECT DriverObject, DRIVER_REGKEY_TYPE RegKeyType, ACCESS_MASK DesiredAccess,
                        ULONG Flags, PHANDLE DriverRegKey)
{
    static const WCHAR *const Names[] = {u"\\Parameters", u"\\State", u"\\SharedState"};
    OBJECT_ATTRIBUTES Attributes;
    UNICODE_STRING Path;
    NTSTATUS Status;

    ObRequirePassive();
    if ((ULONG)RegKeyType >= RTL_NUMBER_OF(Names) || Flags != 0) {
        return STATUS_INVALID_PARAMETER;
    }
    Status = IopServicePath(DriverObject, Names[RegKeyType], &Path);
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    InitializeObjectAttributes(&Attributes, &Path, OBJ_CASE_INSENSITIVE | OBJ_KERNEL_HANDLE, NULL, NULL);
    Status = ZwCreateKey(DriverRegKey, DesiredAccess, &Attributes, 0, NULL, REG_OPTION_NON_VOLATILE, NULL);
    ExFreePoolWithTag(Path.Buffer, IOP_KEY_TAG);
    return Status;
}
NTEXPORT(IoOpenDriverRegistryKey);

/* A key of a physical device object: there are none, so STATUS_INVALID_PARAMETER, as the document has it for any other
 * device. PASSIVE_LEVEL. */
NTSTATUS NTAPI
IoOpenDeviceRegistryKey(PDEVICE_OBJECT DeviceObject, ULONG DevInstKeyType, ACCESS_MASK DesiredAccess,
                        PHANDLE DeviceRegKey)
{
    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(DevInstKeyType);
    UNREFERENCED_PARAMETER(DesiredAccess);
    UNREFERENCED_PARAMETER(DeviceRegKey);
    ObRequirePassive();
    return STATUS_INVALID_PARAMETER;
}
NTEXPORT(IoOpenDeviceRegistryKey);
