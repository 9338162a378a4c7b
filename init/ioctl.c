/*
 * The requests that the command line asks for, made by a program (program.h): open the device, device
 * control, close.
 *
 * Each device is opened once, by the first request for it, for asynchronous requests, and closed when all are
 * over. A request that the driver pends is given INIT_PATIENCE of the machine's time and then left pending,
 * so that a later one may release it. At the end what is still pending is cancelled; what even that does not
 * complete is a finding, and keeps the program from ending.
 *
 * The services are asked for from user mode: names, status blocks and buffers are user memory of the
 * program's process, and before each request its buffers are hidden, so that who touches them first, and how,
 * is seen (usertouch.c). What the report needs is copied out and stays in the table.
 */
#include "init.h"
#include "json.h"
#include "program.h"
#include "usertouch.h"
#include <io/io.h>
#include <ke/user.h>
#include <rtl/rtl.h>

#define INIT_PATIENCE    1000        /* ms */
#define INIT_REQUEST_TAG 0x75716552u /* "Requ" */
#define INIT_DEVICE_NAME 256

/* What a request needs in user memory besides its buffers. */
typedef struct _INIT_USER_BLOCK {
    IO_STATUS_BLOCK Iosb;
    IO_STATUS_BLOCK CancelIosb;
    HANDLE Handle;
    OBJECT_ATTRIBUTES Attributes;
    UNICODE_STRING Path;
    WCHAR PathBuffer[INIT_DEVICE_NAME];
} INIT_USER_BLOCK, *PINIT_USER_BLOCK;

typedef struct _INIT_REQUEST {
    const HAL_REQUEST *Asked;
    CHAR Device[INIT_DEVICE_NAME]; /* for the report */
    HANDLE Handle;                 /* NULL: could not be opened */
    HANDLE Event;                  /* set when it has been completed */
    PINIT_USER_BLOCK User;         /* user memory, as are the buffers */
    PVOID UserInput;
    PVOID UserOutput;
    BOOLEAN Pending;  /* on the way, or lost */
    BOOLEAN Finished; /* Status, Information and Output are final */
    NTSTATUS Status;
    ULONG64 Information;
    PUCHAR Output;     /* copied */
    ULONG OutputValid; /* bytes */
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

/* Put what opening takes into user memory. */
static NTSTATUS
InitpWriteName(PINIT_REQUEST Request)
{
    PINIT_USER_BLOCK User = Request->User;
    INIT_USER_BLOCK Block = {0};

    for (ULONG Index = 0; Request->Device[Index] != 0; Index += 1) {
        Block.PathBuffer[Index] = (UCHAR)Request->Device[Index];
        Block.Path.Length += sizeof(WCHAR);
    }
    Block.Path.MaximumLength = Block.Path.Length;
    Block.Path.Buffer = User->PathBuffer;
    InitializeObjectAttributes(&Block.Attributes, &User->Path, OBJ_CASE_INSENSITIVE, NULL, NULL);
    return KiCopyToUser(User, &Block, sizeof(Block));
}

/* The handle of an earlier request for the same device, or a new one. */
static NTSTATUS
InitpOpenRequest(PINIT_REQUEST Request)
{
    PINIT_USER_BLOCK User = Request->User;
    NTSTATUS Status;

    for (PINIT_REQUEST Earlier = InitpRequests; Earlier < Request; Earlier += 1) {
        if (Earlier->Handle != NULL && InitpSameName(Earlier->Device, Request->Device)) {
            Request->Handle = Earlier->Handle;
            return STATUS_SUCCESS;
        }
    }
    Status = InitpWriteName(Request);
    if (NT_SUCCESS(Status)) {
        KiSetPreviousMode(UserMode);
        Status = ZwCreateFile(&User->Handle, GENERIC_READ | GENERIC_WRITE, &User->Attributes, &User->Iosb,
                              NULL, FILE_ATTRIBUTE_NORMAL, FILE_SHARE_READ | FILE_SHARE_WRITE, FILE_OPEN,
                              FILE_NON_DIRECTORY_FILE, NULL, 0);
        KiSetPreviousMode(KernelMode);
    }
    if (NT_SUCCESS(Status)) {
        Status = KiCopyFromUser(&Request->Handle, &User->Handle, sizeof(Request->Handle));
    }
    return Status;
}

/* --- One request ---------------------------------------------------------------------------------------- */

static NTSTATUS
InitpMakeBuffers(PINIT_REQUEST Request)
{
    const HAL_REQUEST *Asked = Request->Asked;
    NTSTATUS Status = InitAllocateUser(Asked->InputLength, &Request->UserInput);

    if (NT_SUCCESS(Status)) {
        Status = InitAllocateUser(Asked->OutputLength, &Request->UserOutput);
    }
    if (NT_SUCCESS(Status) && Asked->InputLength != 0) {
        Status = KiCopyToUser(Request->UserInput, Asked->Input, Asked->InputLength);
    }
    if (NT_SUCCESS(Status) && Asked->OutputLength != 0) {
        Request->Output = ExAllocatePool2(POOL_FLAG_NON_PAGED, Asked->OutputLength, INIT_REQUEST_TAG);
        Status = Request->Output == NULL ? STATUS_INSUFFICIENT_RESOURCES : STATUS_SUCCESS;
    }
    return NT_SUCCESS(Status)
               ? ZwCreateEvent(&Request->Event, EVENT_ALL_ACCESS, NULL, NotificationEvent, FALSE)
               : Status;
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

static VOID
InitpFailRequest(PINIT_REQUEST Request, NTSTATUS Status)
{
    Request->Status = Status;
    Request->Finished = TRUE;
    Request->Pending = FALSE;
}

/* The request has been completed: keep what there is to say of it. */
static VOID
InitpFinishRequest(PINIT_REQUEST Request)
{
    const HAL_REQUEST *Asked = Request->Asked;
    IO_STATUS_BLOCK Iosb = {0};
    NTSTATUS Status = KiCopyFromUser(&Iosb, &Request->User->Iosb, sizeof(Iosb));

    InitpFailRequest(Request, NT_SUCCESS(Status) ? Iosb.Status : Status);
    Request->Information = Iosb.Information;
    if (NT_ERROR(Request->Status)) {
        return;
    }
    Request->OutputValid = (ULONG)MIN(Iosb.Information, Asked->OutputLength);
    if (METHOD_FROM_CTL_CODE(Asked->Code) == METHOD_BUFFERED && Iosb.Information > Asked->OutputLength) {
        InitpReportRequest(Request, "request-information",
                           "was completed with more bytes in Information than its output buffer has");
    }
    if (Request->OutputValid != 0 &&
        !NT_SUCCESS(KiCopyFromUser(Request->Output, Request->UserOutput, Request->OutputValid))) {
        Request->OutputValid = 0;
    }
}

/* Ask for the device control. */
static NTSTATUS
InitpControl(PINIT_REQUEST Request)
{
    const HAL_REQUEST *Asked = Request->Asked;
    NTSTATUS Status;

    InitHideUser(Request->UserInput, Asked->InputLength);
    InitHideUser(Request->UserOutput, Asked->OutputLength);
    InitWatchUser();
    KiSetPreviousMode(UserMode);
    Status = ZwDeviceIoControlFile(Request->Handle, Request->Event, NULL, NULL, &Request->User->Iosb,
                                   Asked->Code, Request->UserInput, Asked->InputLength, Request->UserOutput,
                                   Asked->OutputLength);
    KiSetPreviousMode(KernelMode);
    return Status;
}

static VOID
InitpSendRequest(PDRIVER_OBJECT Driver, PINIT_REQUEST Request)
{
    NTSTATUS Status = STATUS_NO_SUCH_DEVICE;
    PVOID User;

    if (InitpNameRequest(Driver, Request)) {
        Status = InitAllocateUser(sizeof(INIT_USER_BLOCK), &User);
    }
    if (NT_SUCCESS(Status)) {
        Request->User = User;
        Status = InitpOpenRequest(Request);
    }
    if (NT_SUCCESS(Status)) {
        Status = InitpMakeBuffers(Request);
    }
    if (NT_SUCCESS(Status)) {
        Status = InitpControl(Request);
    }
    if (NT_ERROR(Status)) {
        InitpFailRequest(Request, Status);
        return;
    }
    Request->Pending = TRUE;
    if (InitpWaitForRequest(Request, INIT_PATIENCE)) {
        InitpFinishRequest(Request);
    }
}

/* --- All of them ---------------------------------------------------------------------------------------- */

static VOID
InitpCancelRequest(PINIT_REQUEST Request)
{
    if (!Request->Pending) {
        return;
    }
    if (!InitpWaitForRequest(Request, 0)) {
        KiSetPreviousMode(UserMode);
        ZwCancelIoFileEx(Request->Handle, &Request->User->Iosb, &Request->User->CancelIosb);
        KiSetPreviousMode(KernelMode);
        if (!InitpWaitForRequest(Request, INIT_PATIENCE)) {
            InitpReportRequest(Request, "request-not-completed",
                               "was never completed, not even when it was cancelled");
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

/* The program: TRUE if nothing of its is left on the way. */
static BOOLEAN
InitpMakeRequests(PVOID Context)
{
    BOOLEAN Over = TRUE;

    for (ULONG Index = 0; Index < InitpRequestCount; Index += 1) {
        InitpSendRequest(Context, &InitpRequests[Index]);
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
            InitpFinishRequest(Request);
        }
        Over = Over && !Request->Pending;
        if (Request->Event != NULL) {
            ZwClose(Request->Event);
        }
    }
    InitUnwatchUser();
    return Over;
}

VOID
InitSendRequests(PDRIVER_OBJECT Driver)
{
    NTSTATUS Status;

    if (KiLoaderBlock->RequestCount == 0) {
        return;
    }
    InitpRequestCount = KiLoaderBlock->RequestCount;
    for (ULONG Index = 0; Index < InitpRequestCount; Index += 1) {
        InitpRequests[Index].Asked = &KiLoaderBlock->Requests[Index];
    }
    Status = InitRunProgram(InitpMakeRequests, Driver);
    for (ULONG Index = 0; !NT_SUCCESS(Status) && Index < InitpRequestCount; Index += 1) {
        InitpFailRequest(&InitpRequests[Index], Status);
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
