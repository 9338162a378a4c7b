/*
 * errorpath: a request is parsed into a block of pool, and the block is forgotten where the request turns out to be
 * too long. Only a request of more than 16 bytes gets there.
 *
 * Run with: --ioctl 0x222000,in=0102030405060708 --ioctl 0x222000,in=000102030405060708090A0B0C0D0E0F1011
 * Found as: finding pool-leak in CopyRequest
 */
#include "mistake.h"

typedef struct _REQUEST {
    ULONG Length;
    UCHAR Data[16];
} REQUEST, *PREQUEST;

static __attribute__((noinline)) PREQUEST
CopyRequest(const VOID *Buffer, ULONG Length)
{
    PREQUEST Request = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*Request), MISTAKE_TAG);

    if (Request == NULL) {
        return NULL;
    }
    Request->Length = Length;
    if (Length > sizeof(Request->Data)) {
        return NULL; /* the mistake */
    }
    RtlCopyMemory(Request->Data, Buffer, Length);
    return Request;
}

static NTSTATUS
MistakeControl(PIRP Irp, PIO_STACK_LOCATION Stack)
{
    PREQUEST Request = CopyRequest(Irp->AssociatedIrp.SystemBuffer,
                                   Stack->Parameters.DeviceIoControl.InputBufferLength);

    if (Request == NULL) {
        return MistakeComplete(Irp, STATUS_INVALID_PARAMETER, 0);
    }
    DbgPrint("errorpath: %u bytes\n", Request->Length);
    ExFreePoolWithTag(Request, MISTAKE_TAG);
    return MistakeComplete(Irp, STATUS_SUCCESS, 0);
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
