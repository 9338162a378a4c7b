/*
 * The requests that the command line asks for, as a program would make them: open the device, device control, close.
 *
 * Each device is opened once, by the first request for it, for asynchronous requests, and closed when all are over. A request
 * that the driver pends is given INIT_PATIENCE of the machine's time and then left pending, so that a later one may release
 * it. At the end what is still pending is cancelled; what even that does not complete is a finding.
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
    HANDLE Event;                  /* set when it has been completed */
    IO_STATUS_BLOCK Iosb;
    BOOLEAN Pending;               /* on the way, or lost */
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
    OBJECT_ATTRIBUTES Attributes;
    IO_STATUS_BLOCK Iosb;

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
    InitializeObjectAttributes(&Attributes, &Path, OBJ_CASE_INSENSITIVE | OBJ_KERNEL_HANDLE, NULL, NULL);
    return ZwCreateFile(&Request->Handle, GENERIC_READ | GENERIC_WRITE, &Attributes, &Iosb, NULL, FILE_ATTRIBUTE_NORMAL,
                        FILE_SHARE_READ | FILE_SHARE_WRITE, FILE_OPEN, FILE_NON_DIRECTORY_FILE, NULL, 0);
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
    return ZwCreateEvent(&Request->Event, EVENT_ALL_ACCESS, NULL, NotificationEvent, FALSE);
}

/* Wait for a pending request at most Milliseconds; TRUE if it has been completed. */
static BOOLEAN
InitpWaitForRequest(PINIT_REQUEST Request, ULONG Milliseconds)
{
    LARGE_INTEGER Timeout = {.QuadPart = -(LONG64)Milliseconds * 10000};

    return ZwWaitForSingleObject(Request->Event, FALSE, &Timeout) == STATUS_SUCCESS;
}

static VOID
InitpReportRequest(PINIT_REQUEST Request, const char *Rule, const char *What)
{
    KI_FINDING Finding = {.Rule = Rule};

    RtlpPrintBuffer(Finding.Text, sizeof(Finding.Text), "device control 0x%08X %s", Request->Asked->Code, What);
    InitReportFinding(&Finding);
}

/* The request has been completed: keep what there is to say of it. */
static VOID
InitpFinishRequest(PINIT_REQUEST Request, NTSTATUS Status, ULONG_PTR Information)
{
    const HAL_REQUEST *Asked = Request->Asked;

    Request->Status = Status;
    Request->Information = Information;
    if (!NT_ERROR(Status)) {
        Request->OutputValid = (ULONG)MIN(Information, Asked->OutputLength);
        if (METHOD_FROM_CTL_CODE(Asked->Code) == METHOD_BUFFERED && Information > Asked->OutputLength) {
            InitpReportRequest(Request, "request-information",
                               "was completed with more bytes in Information than its output buffer has");
        }
    }
    Request->Finished = TRUE;
    Request->Pending = FALSE;
}

static VOID
InitpSendRequest(PDRIVER_OBJECT Driver, PINIT_REQUEST Request)
{
    const HAL_REQUEST *Asked = Request->Asked;
    NTSTATUS Status = STATUS_NO_SUCH_DEVICE;

    if (InitpNameRequest(Driver, Request)) {
        Status = InitpOpenRequest(Request);
    }
    if (NT_SUCCESS(Status)) {
        Status = InitpMakeBuffers(Request);
    }
    if (NT_SUCCESS(Status)) {
        Status = ZwDeviceIoControlFile(Request->Handle, Request->Event, NULL, NULL, &Request->Iosb, Asked->Code,
                                       Request->Input, Asked->InputLength, Request->Output, Asked->OutputLength);
    }
    if (NT_ERROR(Status)) {
        InitpFinishRequest(Request, Status, 0);
        return;
    }
    Request->Pending = TRUE;
    if (InitpWaitForRequest(Request, INIT_PATIENCE)) {
        InitpFinishRequest(Request, Request->Iosb.Status, Request->Iosb.Information);
    }
}

/* --- All of them ---------------------------------------------------------------------------------------- */

static VOID
InitpCancelRequest(PINIT_REQUEST Request)
{
    IO_STATUS_BLOCK Iosb;

    if (!Request->Pending) {
        return;
    }
    if (!InitpWaitForRequest(Request, 0)) {
        ZwCancelIoFileEx(Request->Handle, &Request->Iosb, &Iosb);
        if (!InitpWaitForRequest(Request, INIT_PATIENCE)) {
            InitpReportRequest(Request, "request-not-completed", "was never completed, not even when it was cancelled");
            return;
        }
    }
    InitpFinishRequest(Request, Request->Iosb.Status, Request->Iosb.Information);
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
        PINIT_REQUEST Request = &InitpRequests[Index];

        if (Request->Pending && InitpWaitForRequest(Request, 0)) {
            InitpFinishRequest(Request, Request->Iosb.Status, Request->Iosb.Information);
        }
        if (Request->Event != NULL) {
            ZwClose(Request->Event);
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
