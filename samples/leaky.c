/*
 * leaky: a driver with three bugs, all of the same kind. It forgets a block of pool, pages that it locked,
 * and a mapping of those pages. `ntmm run leaky.sys` names the three, each with the calls that led there.
 *
 * The pool-leak of 64 bytes is the request that LeakyParse lost; locked-pages and mapping-leak come from
 * LeakyStart, and so do the two further pool leaks, which those two stand on: the buffer and its MDL.
 */
#include <ntddk.h>

#define LEAKY_TAG 'kaeL'

typedef struct _LEAKY_REQUEST {
    ULONG Length;
    UCHAR Data[60];
} LEAKY_REQUEST, *PLEAKY_REQUEST;

static PVOID LeakyMapping;

/* Makes a request; the caller owns it. */
static __attribute__((noinline)) PLEAKY_REQUEST
LeakyCreateRequest(ULONG Length)
{
    PLEAKY_REQUEST Request = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*Request), LEAKY_TAG);

    if (Request != NULL) {
        Request->Length = Length;
    }
    return Request;
}

static __attribute__((noinline)) NTSTATUS
LeakyParse(ULONG Length)
{
    PLEAKY_REQUEST Request = LeakyCreateRequest(Length);

    if (Request == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    if (Request->Length > sizeof(Request->Data)) {
        return STATUS_INVALID_PARAMETER; /* bug: Request is lost on this path */
    }
    ExFreePoolWithTag(Request, LEAKY_TAG);
    return STATUS_SUCCESS;
}

static __attribute__((noinline)) VOID
LeakyStart(VOID)
{
    PVOID Buffer = ExAllocatePool2(POOL_FLAG_PAGED, 3 * PAGE_SIZE, LEAKY_TAG);
    PMDL Mdl;

    if (Buffer == NULL) {
        return;
    }
    Mdl = IoAllocateMdl(Buffer, 3 * PAGE_SIZE, FALSE, FALSE, NULL);
    if (Mdl != NULL) {
        MmProbeAndLockPages(Mdl, KernelMode, IoWriteAccess);
        LeakyMapping = MmGetSystemAddressForMdlSafe(Mdl, NormalPagePriority);
    }
    /* bug: nobody stops what was started; MmUnlockPages, IoFreeMdl and ExFreePool are never called */
}

static VOID NTAPI
LeakyUnload(PDRIVER_OBJECT DriverObject)
{
    DbgPrint("leaky: unloaded, all is well (it is not)\n");
}

NTSTATUS NTAPI
DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    DriverObject->DriverUnload = LeakyUnload;
    LeakyParse(40);
    LeakyParse(400);
    LeakyStart();
    return STATUS_SUCCESS;
}
