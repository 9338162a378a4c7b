/*
 * usermode: drivers that are handed user memory, rightly and wrongly; the image's name says which. usermode.t
 * drives it.
 *
 * The requests are METHOD_NEITHER, 0x222003, but where the case says otherwise: Type3InputBuffer and
 * UserBuffer are the program's own addresses.
 */
#include <ntifs.h>

static UNICODE_STRING DeviceName = RTL_CONSTANT_STRING(L"\\Device\\UserMode");

static PDEVICE_OBJECT Device;
static PIO_WORKITEM WorkItem;
static PMDL KeptMdl;

#define IS(Case) IsCase(DeviceObject->DriverObject, L##Case)

static BOOLEAN
IsCase(PDRIVER_OBJECT DriverObject, PCWSTR Case)
{
    UNICODE_STRING Name = DriverObject->DriverName, Wanted;

    RtlInitUnicodeString(&Wanted, Case);
    Name.Buffer += 8;
    Name.Length -= 16;
    return RtlEqualUnicodeString(&Name, &Wanted, TRUE);
}

static NTSTATUS
Complete(PIRP Irp, NTSTATUS Status, ULONG_PTR Information)
{
    Irp->IoStatus.Status = Status;
    Irp->IoStatus.Information = Information;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    return Status;
}

typedef struct _REQUEST {
    PIRP Irp;
    volatile UCHAR *Input;
    volatile UCHAR *Output;
    ULONG InputLength;
    ULONG OutputLength;
} REQUEST;

/* --- As it should be --- */

/* Probe, and touch under __try. */
static NTSTATUS
Copy(REQUEST *Request)
{
    ULONG Index;

    __try {
        ProbeForRead((PVOID)Request->Input, Request->InputLength, 1);
        ProbeForWrite((PVOID)Request->Output, Request->OutputLength, 1);
        for (Index = 0; Index < Request->InputLength && Index < Request->OutputLength; Index += 1) {
            Request->Output[Index] = (UCHAR)(Request->Input[Index] + 1);
        }
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        DbgPrint("caught 0x%08X\n", GetExceptionCode());
        return GetExceptionCode();
    }
    return STATUS_SUCCESS;
}

static NTSTATUS
LockBuffer(PVOID Address, ULONG Length, LOCK_OPERATION Operation, PMDL *Mdl, PUCHAR *System)
{
    *Mdl = IoAllocateMdl(Address, Length, FALSE, FALSE, NULL);
    if (*Mdl == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    __try {
        MmProbeAndLockPages(*Mdl, UserMode, Operation);
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        DbgPrint("not locked: 0x%08X\n", GetExceptionCode());
        IoFreeMdl(*Mdl);
        return GetExceptionCode();
    }
    *System = MmGetSystemAddressForMdlSafe(*Mdl, NormalPagePriority);
    return STATUS_SUCCESS;
}

static VOID
UnlockBuffer(PMDL Mdl)
{
    MmUnlockPages(Mdl);
    IoFreeMdl(Mdl);
}

/* Lock both buffers and use them at system addresses. */
static NTSTATUS
LockAndMap(REQUEST *Request)
{
    PMDL InputMdl, OutputMdl;
    PUCHAR Input, Output;
    NTSTATUS Status =
        LockBuffer((PVOID)Request->Input, Request->InputLength, IoReadAccess, &InputMdl, &Input);
    ULONG Index;

    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Status = LockBuffer((PVOID)Request->Output, Request->OutputLength, IoWriteAccess, &OutputMdl, &Output);
    if (NT_SUCCESS(Status)) {
        for (Index = 0; Index < Request->InputLength && Index < Request->OutputLength; Index += 1) {
            Output[Index] = (UCHAR)(Input[Index] + 1);
        }
        UnlockBuffer(OutputMdl);
    }
    UnlockBuffer(InputMdl);
    return Status;
}

/* --- As it should not be --- */

static UCHAR
TouchPlainly(REQUEST *Request)
{
    return *Request->Input;
}

/* Through a routine of the system's. */
static UCHAR
CopyPlainly(REQUEST *Request)
{
    UCHAR Bytes[8];

    RtlCopyMemory(Bytes, (PVOID)Request->Input, Request->InputLength < 8 ? Request->InputLength : 8);
    return Bytes[0];
}

/* A handler is no probe. */
static UCHAR
TouchUnprobed(REQUEST *Request)
{
    UCHAR Byte = 0;

    __try {
        Byte = *Request->Input;
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        DbgPrint("caught 0x%08X\n", GetExceptionCode());
    }
    return Byte;
}

/* Nor is a __finally a handler. */
static UCHAR
TouchUnguarded(REQUEST *Request)
{
    UCHAR Byte = 0;

    __try {
        ProbeForRead((PVOID)Request->Input, Request->InputLength, 1);
        Byte = *Request->Input;
    } __finally {
        DbgPrint("read %02X\n", Byte);
    }
    return Byte;
}

static VOID NTAPI
TouchElsewhere(PDEVICE_OBJECT DeviceObject, PVOID Context)
{
    PIRP Irp = Context;

    DbgPrint("elsewhere\n");
    *(volatile UCHAR *)Irp->UserBuffer = 1;
    Complete(Irp, STATUS_SUCCESS, 1);
}

/* --- Dispatch --- */

static VOID
Describe(REQUEST *Request)
{
    DbgPrint("requestor mode %d, previous mode %d, system process %d, requestor process %d, user addresses "
             "%d %d\n",
             Request->Irp->RequestorMode, ExGetPreviousMode(),
             IoGetCurrentProcess() == PsInitialSystemProcess,
             IoGetRequestorProcess(Request->Irp) == IoGetCurrentProcess(),
             (ULONG_PTR)Request->Input < (ULONG_PTR)MmHighestUserAddress,
             (ULONG_PTR)Request->Output < (ULONG_PTR)MmHighestUserAddress);
}

static NTSTATUS NTAPI
Control(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    PIO_STACK_LOCATION Location = IoGetCurrentIrpStackLocation(Irp);
    REQUEST Request = {Irp, Location->Parameters.DeviceIoControl.Type3InputBuffer, Irp->UserBuffer,
                       Location->Parameters.DeviceIoControl.InputBufferLength,
                       Location->Parameters.DeviceIoControl.OutputBufferLength};
    NTSTATUS Status = STATUS_SUCCESS;
    PUCHAR System;

    if (IS("guarded")) {
        Status = Copy(&Request);
    } else if (IS("locked")) {
        Status = LockAndMap(&Request);
    } else if (IS("describe")) {
        Describe(&Request);
    } else if (IS("plain")) {
        TouchPlainly(&Request);
    } else if (IS("copied")) {
        CopyPlainly(&Request);
    } else if (IS("unprobed")) {
        TouchUnprobed(&Request);
    } else if (IS("unguarded")) {
        TouchUnguarded(&Request);
    } else if (IS("beyond")) {
        Request.InputLength += 0x1000;
        Request.OutputLength += 0x1000;
        Status = Copy(&Request);
    } else if (IS("system")) {
        Request.Input = (PUCHAR)DeviceObject;
        Status = Copy(&Request);
    } else if (IS("beyondplain")) {
        ProbeForRead((PVOID)Request.Input, Request.InputLength, 1);
        Request.Input += Request.InputLength + 16;
        TouchPlainly(&Request);
    } else if (IS("leftlocked")) {
        Status = LockBuffer((PVOID)Request.Output, Request.OutputLength, IoWriteAccess, &KeptMdl, &System);
    } else if (IS("elsewhere")) {
        IoMarkIrpPending(Irp);
        IoQueueWorkItem(WorkItem, TouchElsewhere, DelayedWorkQueue, Irp);
        return STATUS_PENDING;
    } else if (IS("buffered")) {
        DbgPrint("system buffer %d, user buffer %d\n",
                 (ULONG_PTR)Irp->AssociatedIrp.SystemBuffer > (ULONG_PTR)MmHighestUserAddress,
                 (ULONG_PTR)Irp->UserBuffer < (ULONG_PTR)MmHighestUserAddress);
        *(PUCHAR)Irp->AssociatedIrp.SystemBuffer += 1;
        return Complete(Irp, STATUS_SUCCESS, 1);
    } else if (IS("direct")) {
        System = MmGetSystemAddressForMdlSafe(Irp->MdlAddress, NormalPagePriority);
        DbgPrint("user memory %d, locked %d\n",
                 (ULONG_PTR)MmGetMdlVirtualAddress(Irp->MdlAddress) < (ULONG_PTR)MmHighestUserAddress,
                 (Irp->MdlAddress->MdlFlags & MDL_PAGES_LOCKED) != 0);
        RtlFillMemory(System, Request.OutputLength, 0x77);
    }
    return Complete(Irp, Status, NT_SUCCESS(Status) ? Request.OutputLength : 0);
}

static NTSTATUS NTAPI
OpenOrClose(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    return Complete(Irp, STATUS_SUCCESS, 0);
}

static VOID NTAPI
Unload(PDRIVER_OBJECT DriverObject)
{
    IoFreeWorkItem(WorkItem);
    IoDeleteDevice(Device);
}

NTSTATUS NTAPI
DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    NTSTATUS Status = IoCreateDevice(DriverObject, 0, &DeviceName, FILE_DEVICE_UNKNOWN, 0, FALSE, &Device);

    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    WorkItem = IoAllocateWorkItem(Device);
    DriverObject->MajorFunction[IRP_MJ_CREATE] = OpenOrClose;
    DriverObject->MajorFunction[IRP_MJ_CLEANUP] = OpenOrClose;
    DriverObject->MajorFunction[IRP_MJ_CLOSE] = OpenOrClose;
    DriverObject->MajorFunction[IRP_MJ_DEVICE_CONTROL] = Control;
    DriverObject->DriverUnload = Unload;
    return STATUS_SUCCESS;
}
