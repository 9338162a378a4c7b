/*
 * mappingleft: device registers are mapped for each request that looks at them, and unmapped only where the device
 * answers. Here nothing answers, and the read gives all ones.
 *
 * Run with: --ioctl 0x222000
 * Found as: finding io-space-leak in ReadStatus
 */
#include "mistake.h"

static __attribute__((noinline)) NTSTATUS
ReadStatus(VOID)
{
    PHYSICAL_ADDRESS Address;
    PULONG Registers;

    Address.QuadPart = 0xFED40000;
    Registers = MmMapIoSpace(Address, PAGE_SIZE, MmNonCached);
    if (Registers == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    if (*(volatile ULONG *)Registers != 0x12345678) {
        return STATUS_NO_SUCH_DEVICE; /* the mistake */
    }
    MmUnmapIoSpace(Registers, PAGE_SIZE);
    return STATUS_SUCCESS;
}

static NTSTATUS
MistakeControl(PIRP Irp, PIO_STACK_LOCATION Stack)
{
    return MistakeComplete(Irp, ReadStatus(), 0);
}

static VOID NTAPI
Unload(PDRIVER_OBJECT DriverObject)
{
    IoDeleteDevice(MistakeDevice);
}

NTSTATUS NTAPI
DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    DriverObject->DriverUnload = Unload;
    return MistakeCreateDevice(DriverObject);
}
