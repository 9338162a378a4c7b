/*
 * Small services around requests: who asks, the error log, properties that only enumerated devices have, power.
 *
 * Error log packets are nonpaged blocks with the object they are about in front; writing one prints it as a diagnostic
 * and frees it. Document: "Logging Errors".
 */
#include "iop.h"
#include <rtl/rtl.h>

#define IOP_LOG_TAG 0x6C457245u /* "ErEl" */

/* --- Who asks ------------------------------------------------------------------------------------------- */

/* The process of the thread that made the request; NULL for a packet without a thread. IRQL <= DISPATCH_LEVEL. */
PEPROCESS NTAPI
IoGetRequestorProcess(PIRP Irp)
{
    struct _KTHREAD *Thread = (struct _KTHREAD *)(PVOID)Irp->Tail.Overlay.Thread;

    return Thread == NULL ? NULL : (PEPROCESS)(PVOID)Thread->Process;
}
NTEXPORT(IoGetRequestorProcess);

/* FALSE: there are no 32-bit processes. Any IRQL. */
#undef IoIs32bitProcess
BOOLEAN NTAPI IoIs32bitProcess(PIRP Irp);

BOOLEAN NTAPI
IoIs32bitProcess(PIRP Irp)
{
    UNREFERENCED_PARAMETER(Irp);
    return FALSE;
}
NTEXPORT(IoIs32bitProcess);

/* TRUE: every thread is one of the system's. Any IRQL. */
BOOLEAN NTAPI IoIsSystemThread(PETHREAD Thread);

BOOLEAN NTAPI
IoIsSystemThread(PETHREAD Thread)
{
    UNREFERENCED_PARAMETER(Thread);
    return TRUE;
}
NTEXPORT(IoIsSystemThread);

/* What the current thread's file system said last it is working on; NULL at first. Any IRQL. */
PIRP NTAPI
IoGetTopLevelIrp(VOID)
{
    return KiCurrentThread()->TopLevelIrp;
}
NTEXPORT(IoGetTopLevelIrp);

VOID NTAPI
IoSetTopLevelIrp(PIRP Irp)
{
    KiCurrentThread()->TopLevelIrp = Irp;
}
NTEXPORT(IoSetTopLevelIrp);

/* --- Error log ------------------------------------------------------------------------------------------ */

typedef struct DECLSPEC_ALIGN(16) _IOP_LOG_ENTRY {
    PVOID IoObject; /* referenced */
    UCHAR Size;
} IOP_LOG_ENTRY, *PIOP_LOG_ENTRY;

/* A zeroed packet of EntrySize bytes about a device or driver object; NULL if that is too small or larger than
 * ERROR_LOG_MAXIMUM_SIZE, or memory is short. IRQL <= DISPATCH_LEVEL. */
PVOID NTAPI
IoAllocateErrorLogEntry(PVOID IoObject, UCHAR EntrySize)
{
    PIOP_LOG_ENTRY Entry;

    if (IoObject == NULL || EntrySize < sizeof(IO_ERROR_LOG_PACKET) || EntrySize > ERROR_LOG_MAXIMUM_SIZE) {
        return NULL;
    }
    Entry = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*Entry) + EntrySize, IOP_LOG_TAG);
    if (Entry == NULL) {
        return NULL;
    }
    ObfReferenceObject(IoObject);
    Entry->IoObject = IoObject;
    Entry->Size = EntrySize;
    return Entry + 1;
}
NTEXPORT(IoAllocateErrorLogEntry);

/* Free a packet that is not to be written. IRQL <= DISPATCH_LEVEL. */
VOID NTAPI
IoFreeErrorLogEntry(PVOID ElEntry)
{
    PIOP_LOG_ENTRY Entry = (PIOP_LOG_ENTRY)ElEntry - 1;

    ObfDereferenceObject(Entry->IoObject);
    ExFreePoolWithTag(Entry, IOP_LOG_TAG);
}
NTEXPORT(IoFreeErrorLogEntry);

/* Log a packet, and free it. IRQL <= DISPATCH_LEVEL. */
VOID NTAPI
IoWriteErrorLogEntry(PVOID ElEntry)
{
    PIOP_LOG_ENTRY Entry = (PIOP_LOG_ENTRY)ElEntry - 1;
    PIO_ERROR_LOG_PACKET Packet = ElEntry;
    PDRIVER_OBJECT Driver = ((PDEVICE_OBJECT)Entry->IoObject)->Type == IO_TYPE_DEVICE
                                ? ((PDEVICE_OBJECT)Entry->IoObject)->DriverObject : Entry->IoObject;
    CHAR Line[256];
    LONG Length = RtlpPrintBuffer(Line, sizeof(Line),
                                  "ntmm: %wZ logged error 0x%08X (unique value %u, final status 0x%08X)\n",
                                  &Driver->DriverName, (ULONG)Packet->ErrorCode, Packet->UniqueErrorValue,
                                  (ULONG)Packet->FinalStatus);

    HalPutDiagnostic(Line, (SIZE_T)Length);
    IoFreeErrorLogEntry(ElEntry);
}
NTEXPORT(IoWriteErrorLogEntry);

/* --- What only enumerated devices have --------------------------------------------------------------------- */

/* No device here was enumerated by a bus: STATUS_INVALID_DEVICE_REQUEST. PASSIVE_LEVEL. */
NTSTATUS NTAPI IoGetDeviceProperty(PDEVICE_OBJECT DeviceObject, ULONG DeviceProperty, ULONG BufferLength,
                                   PVOID PropertyBuffer, PULONG ResultLength);

NTSTATUS NTAPI
IoGetDeviceProperty(PDEVICE_OBJECT DeviceObject, ULONG DeviceProperty, ULONG BufferLength, PVOID PropertyBuffer,
                    PULONG ResultLength)
{
    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(DeviceProperty);
    UNREFERENCED_PARAMETER(BufferLength);
    UNREFERENCED_PARAMETER(PropertyBuffer);
    UNREFERENCED_PARAMETER(ResultLength);
    return STATUS_INVALID_DEVICE_REQUEST;
}
NTEXPORT(IoGetDeviceProperty);

/* --- Power ---------------------------------------------------------------------------------------------- */

/* Power requests are not serialized, so none waits to be started. IRQL <= DISPATCH_LEVEL. */
VOID NTAPI PoStartNextPowerIrp(PIRP Irp);

VOID NTAPI
PoStartNextPowerIrp(PIRP Irp)
{
    UNREFERENCED_PARAMETER(Irp);
}
NTEXPORT(PoStartNextPowerIrp);
