/*
 * Event objects, by handle and by name, and waiting for objects by handle.
 *
 * The body of an event object is its KEVENT. All services are called at PASSIVE_LEVEL, in kernel mode.
 *
 * Document: "Event Objects", "Standard Event Objects".
 */
#include "obp.h"
#include <ke/user.h>
#include <ntexport.h>

#define OBP_EVENT_TAG 0x6E457645u /* "EvEn" */

POBJECT_TYPE ExEventObjectType;
NTEXPORT_DATA(ExEventObjectType);
POBJECT_TYPE ExSemaphoreObjectType;
NTEXPORT_DATA(ExSemaphoreObjectType);

static const OBJECT_TYPE ObpEventTemplate = {
    .Name = L"Event",
    .Tag = OBP_EVENT_TAG,
    .ValidAccess = EVENT_ALL_ACCESS,
    .Mapping = {STANDARD_RIGHTS_READ | EVENT_QUERY_STATE, STANDARD_RIGHTS_WRITE | EVENT_MODIFY_STATE,
                STANDARD_RIGHTS_EXECUTE | SYNCHRONIZE, EVENT_ALL_ACCESS},
    .WaitOffset = 0,
};

static const OBJECT_TYPE ObpSemaphoreTemplate = {
    .Name = L"Semaphore",
    .Tag = 0x616D6553u, /* "Sema" */
    .ValidAccess = SEMAPHORE_ALL_ACCESS,
    .Mapping = {STANDARD_RIGHTS_READ | SEMAPHORE_QUERY_STATE, STANDARD_RIGHTS_WRITE | SEMAPHORE_MODIFY_STATE,
                STANDARD_RIGHTS_EXECUTE | SYNCHRONIZE, SEMAPHORE_ALL_ACCESS},
    .WaitOffset = 0,
};

VOID
ObpInitializeEvents(VOID)
{
    ExEventObjectType = ObMakeType(&ObpEventTemplate);
    ExSemaphoreObjectType = ObMakeType(&ObpSemaphoreTemplate);
}

/* --- Making and opening ----------------------------------------------------------------------- */

/*
 * Make an event, named if the attributes name it, or with OBJ_OPENIF open the one that has the name:
 * STATUS_OBJECT_NAME_EXISTS. The handle is the caller's. STATUS_INVALID_PARAMETER for another EventType;
 * STATUS_OBJECT_NAME_COLLISION, STATUS_OBJECT_TYPE_MISMATCH, STATUS_INSUFFICIENT_RESOURCES and what the path
 * may bring.
 */
NTSTATUS NTAPI
ZwCreateEvent(PHANDLE EventHandle, ACCESS_MASK DesiredAccess, POBJECT_ATTRIBUTES ObjectAttributes,
              EVENT_TYPE EventType, BOOLEAN InitialState)
{
    OB_CAPTURED Captured;
    PVOID Event;
    HANDLE Handle;
    NTSTATUS Status, Returned;

    ObRequirePassive();
    Status = KiProbeResult(EventHandle, sizeof(HANDLE), KiPreviousMode());
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    if (EventType != NotificationEvent && EventType != SynchronizationEvent) {
        return STATUS_INVALID_PARAMETER;
    }
    Status = ObCaptureAttributes(ObjectAttributes, &Captured);
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Status = ObMakeObject(ExEventObjectType, sizeof(KEVENT), &Event);
    if (NT_SUCCESS(Status)) {
        KeInitializeEvent(Event, EventType, InitialState);
        Status = ObInsertNewObject(Event, Captured.Attributes, DesiredAccess, &Handle);
    }
    ObReleaseCaptured(&Captured);
    if (NT_SUCCESS(Status)) {
        Returned = ObReturnHandle(EventHandle, Handle);
        Status = NT_SUCCESS(Returned) ? Status : Returned;
    }
    return Status;
}
NTEXPORT(ZwCreateEvent);
NTEXPORT_AS("NtCreateEvent", ZwCreateEvent);

/* Open an event by name. STATUS_OBJECT_NAME_NOT_FOUND, STATUS_OBJECT_TYPE_MISMATCH and what the path may
 * bring. */
NTSTATUS NTAPI
ZwOpenEvent(PHANDLE EventHandle, ACCESS_MASK DesiredAccess, POBJECT_ATTRIBUTES ObjectAttributes)
{
    OB_CAPTURED Captured;
    PVOID Event;
    HANDLE Handle;
    NTSTATUS Status;

    ObRequirePassive();
    Status = KiProbeResult(EventHandle, sizeof(HANDLE), KiPreviousMode());
    if (NT_SUCCESS(Status)) {
        Status = ObCaptureAttributes(ObjectAttributes, &Captured);
    }
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Status = Captured.Attributes == NULL ? STATUS_INVALID_PARAMETER : ObFindObject(Captured.Attributes, ExEventObjectType, &Event);
    if (NT_SUCCESS(Status)) {
        Status = ObMakeHandle(Event, DesiredAccess, Captured.Attributes->Attributes, &Handle);
        ObfDereferenceObject(Event);
    }
    ObReleaseCaptured(&Captured);
    return NT_SUCCESS(Status) ? ObReturnHandle(EventHandle, Handle) : Status;
}
NTEXPORT(ZwOpenEvent);
NTEXPORT_AS("NtOpenEvent", ZwOpenEvent);

/* Open or make the named event of the type, set at first. NULL if that fails. */
static PKEVENT
ObpCreateNamedEvent(PUNICODE_STRING EventName, EVENT_TYPE EventType, PHANDLE EventHandle)
{
    OBJECT_ATTRIBUTES Attributes;
    HANDLE Handle;
    PVOID Event;
    NTSTATUS Status;

    InitializeObjectAttributes(&Attributes, EventName, OBJ_OPENIF | OBJ_KERNEL_HANDLE, NULL, NULL);
    Status = ZwCreateEvent(&Handle, EVENT_ALL_ACCESS, &Attributes, EventType, TRUE);
    if (!NT_SUCCESS(Status)) {
        return NULL;
    }
    NT_VERIFY(NT_SUCCESS(ObReferenceObjectByHandle(Handle, 0, ExEventObjectType, KernelMode, &Event, NULL)));
    ObfDereferenceObject(Event);
    *EventHandle = Handle;
    return Event;
}

/*
 * Make or open a named event; a new one is signaled. The event lives until the handle, the caller's, is
 * closed. NULL on failure. PASSIVE_LEVEL.
 */
PKEVENT NTAPI
IoCreateNotificationEvent(PUNICODE_STRING EventName, PHANDLE EventHandle)
{
    return ObpCreateNamedEvent(EventName, NotificationEvent, EventHandle);
}
NTEXPORT(IoCreateNotificationEvent);

PKEVENT NTAPI
IoCreateSynchronizationEvent(PUNICODE_STRING EventName, PHANDLE EventHandle)
{
    return ObpCreateNamedEvent(EventName, SynchronizationEvent, EventHandle);
}
NTEXPORT(IoCreateSynchronizationEvent);

/* --- Changing --------------------------------------------------------------------------------- */

static NTSTATUS
ObpReferenceEvent(HANDLE Handle, PKEVENT *Event)
{
    PVOID Object;
    NTSTATUS Status;

    ObRequirePassive();
    Status =
        ObReferenceObjectByHandle(Handle, EVENT_MODIFY_STATE, ExEventObjectType, KiPreviousMode(), &Object, NULL);
    if (NT_SUCCESS(Status)) {
        *Event = Object;
    }
    return Status;
}

static NTSTATUS
ObpFinishEvent(PKEVENT Event, LONG State, PLONG PreviousState)
{
    ObfDereferenceObject(Event);
    return PreviousState == NULL ? STATUS_SUCCESS : KiReturnResult(PreviousState, &State, sizeof(State), KiPreviousMode());
}

/* Signal the event. PreviousState (optional) receives its state before. STATUS_INVALID_HANDLE,
 * STATUS_OBJECT_TYPE_MISMATCH. */
NTSTATUS NTAPI
ZwSetEvent(HANDLE EventHandle, PLONG PreviousState)
{
    PKEVENT Event;
    NTSTATUS Status = ObpReferenceEvent(EventHandle, &Event);

    return NT_SUCCESS(Status)
               ? ObpFinishEvent(Event, KeSetEvent(Event, EVENT_INCREMENT, FALSE), PreviousState)
               : Status;
}
NTEXPORT(ZwSetEvent);
NTEXPORT_AS("NtSetEvent", ZwSetEvent);

/* Make it not signaled; the same. */
NTSTATUS NTAPI
ZwResetEvent(HANDLE EventHandle, PLONG PreviousState)
{
    PKEVENT Event;
    NTSTATUS Status = ObpReferenceEvent(EventHandle, &Event);

    return NT_SUCCESS(Status) ? ObpFinishEvent(Event, KeResetEvent(Event), PreviousState) : Status;
}
NTEXPORT(ZwResetEvent);
NTEXPORT_AS("NtResetEvent", ZwResetEvent);

/* Make it not signaled. */
NTSTATUS NTAPI
ZwClearEvent(HANDLE EventHandle)
{
    PKEVENT Event;
    NTSTATUS Status = ObpReferenceEvent(EventHandle, &Event);

    return NT_SUCCESS(Status) ? ObpFinishEvent(Event, KeResetEvent(Event), NULL) : Status;
}
NTEXPORT(ZwClearEvent);
NTEXPORT_AS("NtClearEvent", ZwClearEvent);

/* --- Waiting ---------------------------------------------------------------------------------- */

/*
 * Wait for the object of a handle: an event, a thread, a process. Timeout as for KeWaitForSingleObject, whose
 * statuses are returned; STATUS_INVALID_HANDLE, and STATUS_OBJECT_TYPE_MISMATCH for an object that cannot be
 * waited for.
 */
NTSTATUS NTAPI
ZwWaitForSingleObject(HANDLE Handle, BOOLEAN Alertable, PLARGE_INTEGER Timeout)
{
    KPROCESSOR_MODE Mode = KiPreviousMode();
    LARGE_INTEGER Captured;
    PVOID Object;
    NTSTATUS Status = STATUS_SUCCESS;
    ULONG Offset;

    ObRequirePassive();
    if (Timeout != NULL) {
        Status = KiCaptureArgument(&Captured, Timeout, sizeof(Captured), Mode);
        Timeout = &Captured;
    }
    if (NT_SUCCESS(Status)) {
        Status = ObReferenceObjectByHandle(Handle, SYNCHRONIZE, NULL, Mode, &Object, NULL);
    }
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Offset = ObTypeOf(Object)->WaitOffset;
    Status = STATUS_OBJECT_TYPE_MISMATCH;
    if (Offset != OB_NOT_WAITABLE) {
        Status = KeWaitForSingleObject((PUCHAR)Object + Offset, UserRequest, Mode, Alertable, Timeout);
    }
    ObfDereferenceObject(Object);
    return Status;
}
NTEXPORT(ZwWaitForSingleObject);
NTEXPORT_AS("NtWaitForSingleObject", ZwWaitForSingleObject);
