/* A driver that does nothing for long: the machine as start-up leaves it can be looked at meanwhile. */
#include <ntddk.h>

DRIVER_INITIALIZE DriverEntry;

NTSTATUS
DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    (void)DriverObject;
    (void)RegistryPath;
    for (;;) {
        __asm__ volatile("pause");
    }
}
