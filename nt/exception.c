/*
 * Services by which programs go on after an exception: NtContinue, NtRaiseException. Only a thread in user mode can use them; for a
 * caller in kernel mode there is no frame to go on with: STATUS_INVALID_PARAMETER. Documents: "x64 exception handling".
 */
#include "nt.h"
#include <ke/thread.h>

#define NTP_CONTEXT_TAG 0x7478436Eu /* "nCxt" */

/* A copy of the caller's context, in pool. */
static NTSTATUS
NtpCaptureContext(const CONTEXT *From, PCONTEXT *Context)
{
    NTSTATUS Status;

    if (KiPreviousMode() != UserMode || KiCurrentThread()->UserFrame == NULL) {
        return STATUS_INVALID_PARAMETER;
    }
    *Context = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(**Context), NTP_CONTEXT_TAG);
    if (*Context == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    Status = KiCopyFromUser(*Context, From, sizeof(**Context));
    if (!NT_SUCCESS(Status)) {
        ExFreePoolWithTag(*Context, NTP_CONTEXT_TAG);
    }
    return Status;
}

/* Go on in user mode with these registers. Returns on failure only. */
NTSTATUS NTAPI
ZwContinue(PCONTEXT ThreadContext, BOOLEAN TestAlert)
{
    PCONTEXT Context;
    NTSTATUS Status = NtpCaptureContext(ThreadContext, &Context);

    UNREFERENCED_PARAMETER(TestAlert);
    if (NT_SUCCESS(Status)) {
        Status = KiSetUserContext(Context);
        ExFreePoolWithTag(Context, NTP_CONTEXT_TAG);
    }
    return Status;
}

/*
 * Raise an exception in user mode with this record and these registers: dispatched as one of the processor's, or, FirstChance FALSE,
 * the end of the process.
 */
NTSTATUS NTAPI
ZwRaiseException(PEXCEPTION_RECORD ExceptionRecord, PCONTEXT ContextRecord, BOOLEAN FirstChance)
{
    EXCEPTION_RECORD Record;
    PCONTEXT Context;
    NTSTATUS Status = KiCaptureArgument(&Record, ExceptionRecord, sizeof(Record), KiPreviousMode());

    if (NT_SUCCESS(Status) && Record.NumberParameters > EXCEPTION_MAXIMUM_PARAMETERS) {
        Status = STATUS_INVALID_PARAMETER;
    }
    if (NT_SUCCESS(Status)) {
        Status = NtpCaptureContext(ContextRecord, &Context);
    }
    if (NT_SUCCESS(Status)) {
        CONTEXT Copy = *Context;

        ExFreePoolWithTag(Context, NTP_CONTEXT_TAG);
        Status = KiSetUserContext(&Copy);
        if (NT_SUCCESS(Status)) {
            KiDispatchUserException(KiCurrentThread()->UserFrame, &Record, &Copy, FirstChance);
        }
    }
    return Status;
}
