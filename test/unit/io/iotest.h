/* What the tests of io/ share: drivers made of core routines. */
#ifndef TEST_UNIT_IO_IOTEST_H
#define TEST_UNIT_IO_IOTEST_H

#include <io/io.h>
#include <ktest.h>

/* A driver object whose requests all go to one routine; the caller dereferences it. */
static inline PDRIVER_OBJECT
IoTestDriver(const char *Name, PDRIVER_DISPATCH Dispatch)
{
    IO_DRIVER_PARAMETERS Parameters = {.Name = Name};
    PUNICODE_STRING Path;
    PDRIVER_OBJECT Driver;

    NT_VERIFY(NT_SUCCESS(IoMakeDriverObject(&Parameters, &Driver, &Path)));
    for (ULONG Index = 0; Dispatch != NULL && Index <= IRP_MJ_MAXIMUM_FUNCTION; Index += 1) {
        Driver->MajorFunction[Index] = Dispatch;
    }
    return Driver;
}

/* A device that is ready, with an extension of 64 bytes; the caller deletes it. */
static inline PDEVICE_OBJECT
IoTestDevice(PDRIVER_OBJECT Driver, PCWSTR Name)
{
    UNICODE_STRING Text;
    PDEVICE_OBJECT Device;

    RtlInitUnicodeString(&Text, Name);
    NT_VERIFY(NT_SUCCESS(IoCreateDevice(Driver, 64, &Text, FILE_DEVICE_UNKNOWN, 0, FALSE, &Device)));
    Device->Flags &= ~(ULONG)DO_DEVICE_INITIALIZING;
    return Device;
}

/* Open a path for asynchronous requests; the handle is the caller's. */
static inline NTSTATUS
IoTestOpen(PUNICODE_STRING Path, ACCESS_MASK DesiredAccess, PHANDLE Handle)
{
    OBJECT_ATTRIBUTES Attributes;
    IO_STATUS_BLOCK Iosb;

    InitializeObjectAttributes(&Attributes, Path, OBJ_CASE_INSENSITIVE | OBJ_KERNEL_HANDLE, NULL, NULL);
    return ZwOpenFile(Handle, DesiredAccess, &Attributes, &Iosb, FILE_SHARE_READ | FILE_SHARE_WRITE, 0);
}

#endif
