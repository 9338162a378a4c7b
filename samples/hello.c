/*
 * hello: the smallest driver. It says hello when it is loaded and goodbye when it is unloaded.
 *
 *     ntmm run hello.sys
 */
#include <wdm.h>

static VOID NTAPI
HelloUnload(PDRIVER_OBJECT DriverObject)
{
    DbgPrint("goodbye from %wZ\n", &DriverObject->DriverName);
}

NTSTATUS NTAPI
DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    DriverObject->DriverUnload = HelloUnload;
    DbgPrint("hello from %wZ\n", &DriverObject->DriverName);
    return STATUS_SUCCESS;
}
