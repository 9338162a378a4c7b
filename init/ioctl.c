/*
 * The requests that the command line asks for, as a program would make them: open the device, device control, close.
 *
 * Each device is opened once, by the first request for it, and closed when all are over. A request that the driver pends
 * is given INIT_PATIENCE of the machine's time and then left pending, so that a later one may release it. At the end
 * what is still pending is cancelled; what even that does not complete is a finding.
 *
 * Buffers are nonpaged system memory, and requests come from kernel mode. What the report needs stays in the table.
 */
#include "init.h"
#include "json.h"
#include <io/io.h>
#include <rtl/rtl.h>

#define INIT_PATIENCE 1000 /* ms */
#define INIT_REQUEST_TAG 0x75716552u /* "Requ" */
#define INIT_DEVICE_NAME 256

typedef struct _INIT_REQUEST {
    const HAL_REQUEST *Asked;
    CHAR Device[INIT_DEVICE_NAME]; /* for the report */
    HANDLE Handle;                 /* NULL: could not be opened */
    PIRP Irp;                      /* not NULL: on the way, or lost */
    BOOLEAN Finished;              /* Status, Information and Output are final */
    NTSTATUS Status;
    ULONG64 Information;
    PUCHAR Input;
    PUCHAR Output;
    ULONG OutputValid;             /* bytes */
} INIT_REQUEST, *PINIT_REQUEST;

static INIT_REQUEST InitpRequests[HAL_MAXIMUM_REQUESTS];
static ULONG InitpRequestCount;

/* --- Names ---------------------------------------------------------------------------------------------- */

/* The device of a request that names none. */
static BOOLEAN
InitpDefaultDevice(PDRIVER_OBJECT Driver, PINIT_REQUEST Request)
{
    UNICODE_STRING Path;
    ULONG Length;

    if (!IoFirstDeviceName(Driver, &Path)) {
        return FALSE;
    }
    Length = MIN(Path.Length / sizeof(WCHAR), INIT_DEVICE_NAME - 1);
    for (ULONG Index = 0; Index < Length; Index += 1) {
        Request->Device[Index] = Path.Buffer[Index] < 0x7F ? (CHAR)Path.Buffer[Index] : '?';
    }
    ExFreePool(Path.Buffer);
    return TRUE;
}

static BOOLEAN
InitpNameRequest(PDRIVER_OBJECT Driver, PINIT_REQUEST Request)
{
    const char *Name = Request->Asked->Device;

    if (Name == NULL || *Name == 0) {
        return InitpDefaultDevice(Driver, Request);
    }
    for (ULONG Index = 0; Name[Index] != 0 && Index + 1 < INIT_DEVICE_NAME; Index += 1) {
        Request->Device[Index] = Name[Index];
    }
    return TRUE;
}

static BOOLEAN
InitpSameName(const char *First, const char *Second)
{
    while (*First != 0 && *First == *Second) {
        First += 1;
        Second += 1;
    }
    return *First == *Second;
}

/* The handle of an earlier request for the same device, or a new one. */
static NTSTATUS
InitpOpenRequest(PINIT_REQUEST Request)
{
    WCHAR Buffer[INIT_DEVICE_NAME];
    UNICODE_STRING Path = {.Buffer = Buffer};

    for (PINIT_REQUEST Earlier = InitpRequests; Earlier < Request; Earlier += 1) {
        if (Earlier->Handle != NULL && InitpSameName(Earlier->Device, Request->Device)) {
            Request->Handle = Earlier->Handle;
            return STATUS_SUCCESS;
        }
    }
    for (ULONG Index = 0; Request->Device[Index] != 0; Index += 1) {
        Buffer[Index] = (UCHAR)Request->Device[Index];
        Path.Length += sizeof(WCHAR);
    }
    Path.MaximumLength = Path.Length;
    return IoOpenDevice(&Path, GENERIC_READ | GENERIC_WRITE, &Request->Handle);
}

/* --- One request ---------------------------------------------------------------------------------------- */

static NTSTATUS
InitpMakeBuffers(PINIT_REQUEST Request)
{
    const HAL_REQUEST *Asked = Request->Asked;

    if (Asked->InputLength != 0) {
        Request->Input = ExAllocatePool2(POOL_FLAG_NON_PAGED, Asked->InputLength, INIT_REQUEST_TAG);
        if (Request->Input == NULL) {
            return STATUS_INSUFFICIENT_RESOURCES;
        }
        RtlCopyMemory(Request->Input, Asked->Input, Asked->InputLength);
    }
    if (Asked->OutputLength != 0) {
        Request->Output = ExAllocatePool2(POOL_FLAG_NON_PAGED, Asked->OutputLength, INIT_REQUEST_TAG);
        if (Request->Output == NULL) {
            return STATUS_INSUFFICIENT_RESOURCES;
        }
    }
    return STATUS_SUCCESS;
}

static VOID
InitpReportRequest(PINIT_REQUEST Request, const char *Rule, const char *What)
{
    KI_FINDING Finding = {.Rule = Rule};

    RtlpPrintBuffer(Finding.Text, sizeof(Finding.Text), "device control 0x%08X %s", Request->Asked->Code, What);
    KiReportFinding(&Finding);
}

/* The request has been completed: keep what there is to say of it. */
static VOID
InitpFinishRequest(PINIT_REQUEST Request)
{
    const HAL_REQUEST *Asked = Request->Asked;

    Request->Status = Request->Irp->IoStatus.Status;
    Request->Information = Request->Irp->IoStatus.Information;
    if (!NT_ERROR(Request->Status)) {
        Request->OutputValid = (ULONG)MIN(Request->Information, Asked->OutputLength);
        if (METHOD_FROM_CTL_CODE(Asked->Code) == METHOD_BUFFERED && Request->Information > Asked->OutputLength) {
            InitpReportRequest(Request, "request-information",
                               "was completed with more bytes in Information than its output buffer has");
        }
    }
    Request->Finished = TRUE;
    IoEndRequest(Request->Irp);
    Request->Irp = NULL;
}

static VOID
InitpFailRequest(PINIT_REQUEST Request, NTSTATUS Status)
{
    Request->Status = Status;
    Request->Finished = TRUE;
}

static VOID
InitpSendRequest(PDRIVER_OBJECT Driver, PINIT_REQUEST Request)
{
    IO_CONTROL Control = {.Code = Request->Asked->Code, .InputLength = Request->Asked->InputLength,
                          .OutputLength = Request->Asked->OutputLength};
    NTSTATUS Status = STATUS_NO_SUCH_DEVICE;

    if (InitpNameRequest(Driver, Request)) {
        Status = InitpOpenRequest(Request);
    }
    if (NT_SUCCESS(Status)) {
        Status = InitpMakeBuffers(Request);
    }
    if (NT_SUCCESS(Status)) {
        Control.Input = Request->Input;
        Control.Output = Request->Output;
        Status = IoSendControl(Request->Handle, &Control, &Request->Irp);
    }
    if (!NT_SUCCESS(Status)) {
        InitpFailRequest(Request, Status);
    } else if (IoWaitForRequest(Request->Irp, INIT_PATIENCE)) {
        InitpFinishRequest(Request);
    }
}

/* --- All of them ---------------------------------------------------------------------------------------- */

static VOID
InitpCancelRequest(PINIT_REQUEST Request)
{
    if (Request->Irp == NULL) {
        return;
    }
    if (!IoWaitForRequest(Request->Irp, 0)) {
        IoCancelIrp(Request->Irp);
        if (!IoWaitForRequest(Request->Irp, INIT_PATIENCE)) {
            InitpReportRequest(Request, "request-not-completed", "was never completed, not even when it was cancelled");
            return;
        }
    }
    InitpFinishRequest(Request);
}

static VOID
InitpCloseRequest(PINIT_REQUEST Request)
{
    for (PINIT_REQUEST Earlier = InitpRequests; Earlier < Request; Earlier += 1) {
        if (Earlier->Handle == Request->Handle) {
            return;
        }
    }
    if (Request->Handle != NULL) {
        ZwClose(Request->Handle);
    }
}

VOID
InitSendRequests(PDRIVER_OBJECT Driver)
{
    for (ULONG Index = 0; Index < KiLoaderBlock->RequestCount; Index += 1) {
        InitpRequests[Index].Asked = &KiLoaderBlock->Requests[Index];
        InitpRequestCount = Index + 1;
        InitpSendRequest(Driver, &InitpRequests[Index]);
    }
    for (ULONG Index = 0; Index < InitpRequestCount; Index += 1) {
        InitpCancelRequest(&InitpRequests[Index]);
    }
    for (ULONG Index = InitpRequestCount; Index-- > 0;) {
        InitpCloseRequest(&InitpRequests[Index]);
    }
    /* A driver may complete at cleanup what it did not when it was told to cancel. */
    for (ULONG Index = 0; Index < InitpRequestCount; Index += 1) {
        if (InitpRequests[Index].Irp != NULL && IoWaitForRequest(InitpRequests[Index].Irp, 0)) {
            InitpFinishRequest(&InitpRequests[Index]);
        }
    }
}

VOID
InitWriteRequests(VOID)
{
    InitJsonOpen("requests", '[');
    for (ULONG Index = 0; Index < InitpRequestCount; Index += 1) {
        PINIT_REQUEST Request = &InitpRequests[Index];

        InitJsonOpen(NULL, '{');
        InitJsonText("device", Request->Device[0] == 0 ? NULL : Request->Device);
        InitJsonHex("code", Request->Asked->Code, 8);
        if (Request->Finished) {
            InitJsonHex("status", (ULONG)Request->Status, 8);
            InitJsonNumber("information", Request->Information);
        } else {
            InitJsonNull("status");
            InitJsonNull("information");
        }
        InitJsonBytes("output", Request->Output, Request->OutputValid);
        InitJsonClose('}');
    }
    InitJsonClose(']');
}
