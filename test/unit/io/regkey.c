/* Keys of drivers, volumes' odds and ends. */
#include "../cm/cmtest.h"
#include <io/io.h>

KTEST(DriverKeys)
{
    static const WCHAR Name[] = L"\\Driver\\Keyed";
    DRIVER_EXTENSION Extension = {0};
    DRIVER_OBJECT Driver = {.DriverExtension = &Extension};
    HANDLE Key, Service;

    RtlInitUnicodeString(&Extension.ServiceKeyName, Name + 8);
    CHECK_STATUS(STATUS_OBJECT_NAME_NOT_FOUND,
                 IoOpenDriverRegistryKey(&Driver, DriverRegKeyParameters, KEY_READ, 0, &Key));
    REQUIRE(NT_SUCCESS(CmTestCreate(CM_SERVICES L"\\Keyed", NULL, 0, &Service, NULL)));
    CHECK_STATUS(STATUS_SUCCESS, IoOpenDriverRegistryKey(&Driver, DriverRegKeyParameters, KEY_READ, 0, &Key));
    CHECK_STATUS(STATUS_SUCCESS, CmTestExists(CM_SERVICES L"\\Keyed\\Parameters"));
    CmTestDelete(Key);
    CHECK_STATUS(STATUS_INVALID_PARAMETER, IoOpenDriverRegistryKey(&Driver, 3, KEY_READ, 0, &Key));
    CHECK_STATUS(STATUS_INVALID_PARAMETER, IoOpenDriverRegistryKey(&Driver, 0, KEY_READ, 1, &Key));
    CHECK_STATUS(STATUS_INVALID_PARAMETER, IoOpenDeviceRegistryKey(NULL, PLUGPLAY_REGKEY_DEVICE, KEY_READ, &Key));
    CmTestDelete(Service);
}

KTEST(VolumesToVerify)
{
    DEVICE_OBJECT Device = {0};
    PETHREAD Thread = (PETHREAD)KeGetCurrentThread();
    IRP Irp = {.Tail.Overlay.Thread = Thread};
    KIRQL OldIrql;

    CHECK(IoGetDeviceToVerify(Thread) == NULL);
    IoSetHardErrorOrVerifyDevice(&Irp, &Device);
    CHECK(IoGetDeviceToVerify(Thread) == &Device);
    IoSetDeviceToVerify(Thread, NULL);
    CHECK(IoGetDeviceToVerify(Thread) == NULL);
    IoAcquireVpbSpinLock(&OldIrql);
    CHECK(OldIrql == PASSIVE_LEVEL && KeGetCurrentIrql() == DISPATCH_LEVEL);
    IoReleaseVpbSpinLock(OldIrql);
    CHECK(KeGetCurrentIrql() == PASSIVE_LEVEL);
}

KTEST(Privileges)
{
    CHECK(SeSinglePrivilegeCheck((LUID){20, 0}, KernelMode));
    CHECK(!SeSinglePrivilegeCheck((LUID){20, 0}, UserMode));
    CHECK(SeSinglePrivilegeCheck((LUID){SE_CHANGE_NOTIFY_PRIVILEGE, 0}, UserMode));
}
