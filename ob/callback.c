/*
 * Callback objects: named lists of routines that whoever owns the object calls at once.
 *
 * Registrations are a list in order of registration, guarded by the object's spin lock, a leaf. A
 * notification marks the one it calls as busy and calls it without the lock; ExUnregisterCallback takes a
 * registration off the list and waits until it is not busy. A registration refers to its object.
 *
 * The system's own objects \Callback\PowerState, ProcessorAdd and SetSystemTime exist; nothing here makes
 * them call.
 *
 * Document: "Callback Objects".
 */
#include "obp.h"
#include <ke/exception.h>
#include <ntexport.h>

#define OBP_CALLBACK_TAG 0x62436C43u /* "ClCb" */
#define OBP_REGISTRATION_TAG 0x72436C43u /* "ClCr" */
#define OBP_CALLBACK_ACCESS (STANDARD_RIGHTS_REQUIRED | SYNCHRONIZE | 0x1)

typedef struct _CALLBACK_OBJECT {
    KSPIN_LOCK Lock;
    LIST_ENTRY Registrations;
    BOOLEAN AllowMultiple;
} CALLBACK_OBJECT;

typedef struct _OBP_REGISTRATION {
    LIST_ENTRY Links;
    PCALLBACK_OBJECT Callback; /* referenced */
    PCALLBACK_FUNCTION Function;
    PVOID Context;
    ULONG Busy;      /* notifications that are calling it */
    BOOLEAN Removed; /* not to be called any more */
    KEVENT Idle;     /* removed, and not busy */
} OBP_REGISTRATION, *POBP_REGISTRATION;

static POBJECT_TYPE ObpCallbackType;

static const OBJECT_TYPE ObpCallbackTemplate = {
    .Name = L"Callback",
    .Tag = OBP_CALLBACK_TAG,
    .ValidAccess = OBP_CALLBACK_ACCESS,
    .Mapping = {STANDARD_RIGHTS_READ, STANDARD_RIGHTS_WRITE | 0x1, STANDARD_RIGHTS_EXECUTE | SYNCHRONIZE,
                OBP_CALLBACK_ACCESS},
    .WaitOffset = OB_NOT_WAITABLE,
};

static NTSTATUS
ObpMakeCallback(BOOLEAN AllowMultiple, PCALLBACK_OBJECT *Callback)
{
    PVOID Object;
    NTSTATUS Status = ObMakeObject(ObpCallbackType, sizeof(CALLBACK_OBJECT), &Object);

    if (NT_SUCCESS(Status)) {
        *Callback = Object;
        InitializeListHead(&(*Callback)->Registrations);
        (*Callback)->AllowMultiple = AllowMultiple;
    }
    return Status;
}

VOID
ObpInitializeCallbacks(VOID)
{
    static const WCHAR *const Names[] = {L"PowerState", L"ProcessorAdd", L"SetSystemTime"};
    OBP_DIRECTORY *Directory = ObpMakeBootDirectory(ObpRoot, L"Callback");

    ObpCallbackType = ObMakeType(&ObpCallbackTemplate);
    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Names); Index += 1) {
        PCALLBACK_OBJECT Callback;

        if (!NT_SUCCESS(ObpMakeCallback(TRUE, &Callback))) {
            ObFailStart();
        }
        ObpNameBootObject(Directory, Names[Index], Callback);
    }
}

/*
 * Open the callback object of that name, or with Create make it if it is not there (unnamed if the attributes
 * have no name); AllowMultipleCallbacks: more than one routine may be registered. The reference is the
 * caller's. PASSIVE_LEVEL. STATUS_OBJECT_NAME_NOT_FOUND, STATUS_OBJECT_TYPE_MISMATCH,
 * STATUS_INSUFFICIENT_RESOURCES and what the path may bring.
 */
NTSTATUS NTAPI
ExCreateCallback(PCALLBACK_OBJECT *CallbackObject, POBJECT_ATTRIBUTES ObjectAttributes, BOOLEAN Create,
                 BOOLEAN AllowMultipleCallbacks)
{
    OBJECT_ATTRIBUTES Attributes = *ObjectAttributes;
    PCALLBACK_OBJECT Callback;
    PVOID Existing;
    NTSTATUS Status;

    ObRequirePassive();
    if (!Create) {
        Status = ObFindObject(ObjectAttributes, ObpCallbackType, &Existing);
        if (NT_SUCCESS(Status)) {
            *CallbackObject = Existing;
        }
        return Status;
    }
    Status = ObpMakeCallback(AllowMultipleCallbacks, &Callback);
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Attributes.Attributes |= OBJ_OPENIF;
    Status = ObNameObject(Callback, &Attributes, &Existing);
    if (Status == STATUS_OBJECT_NAME_EXISTS) {
        ObfDereferenceObject(Callback);
        Callback = Existing;
        Status = STATUS_SUCCESS;
    }
    if (!NT_SUCCESS(Status)) {
        ObfDereferenceObject(Callback);
        return Status;
    }
    *CallbackObject = Callback;
    return STATUS_SUCCESS;
}
NTEXPORT(ExCreateCallback);

/*
 * Have CallbackFunction(CallbackContext, Argument1, Argument2) called by notifications. Returns what
 * ExUnregisterCallback takes; NULL if the object allows one routine and has it, or without memory. IRQL <=
 * APC_LEVEL.
 */
PVOID NTAPI
ExRegisterCallback(PCALLBACK_OBJECT CallbackObject, PCALLBACK_FUNCTION CallbackFunction,
                   PVOID CallbackContext)
{
    POBP_REGISTRATION Registration =
        ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*Registration), OBP_REGISTRATION_TAG);
    BOOLEAN Refused;
    KIRQL OldIrql;

    if (Registration == NULL) {
        return NULL;
    }
    Registration->Callback = CallbackObject;
    Registration->Function = CallbackFunction;
    Registration->Context = CallbackContext;
    KeInitializeEvent(&Registration->Idle, NotificationEvent, FALSE);
    ObfReferenceObject(CallbackObject);
    OldIrql = KiAcquireRankedLockRaise(&CallbackObject->Lock, LockRankHandleTable);
    Refused = !CallbackObject->AllowMultiple && !IsListEmpty(&CallbackObject->Registrations);
    if (!Refused) {
        InsertTailList(&CallbackObject->Registrations, &Registration->Links);
    }
    KiReleaseRankedLockLower(&CallbackObject->Lock, OldIrql);
    if (Refused) {
        ObfDereferenceObject(CallbackObject);
        ExFreePoolWithTag(Registration, OBP_REGISTRATION_TAG);
        return NULL;
    }
    return Registration;
}
NTEXPORT(ExRegisterCallback);

/* Remove a registration; returns when the routine does not run any more. Not from the routine itself. IRQL <=
 * APC_LEVEL. */
VOID NTAPI
ExUnregisterCallback(PVOID CallbackRegistration)
{
    POBP_REGISTRATION Registration = CallbackRegistration;
    PCALLBACK_OBJECT Callback = Registration->Callback;
    BOOLEAN Busy;
    KIRQL OldIrql = KiAcquireRankedLockRaise(&Callback->Lock, LockRankHandleTable);

    Registration->Removed = TRUE;
    Busy = Registration->Busy != 0;
    if (!Busy) {
        RemoveEntryList(&Registration->Links);
    }
    KiReleaseRankedLockLower(&Callback->Lock, OldIrql);
    if (Busy) {
        KeWaitForSingleObject(&Registration->Idle, Executive, KernelMode, FALSE, NULL);
    }
    ExFreePoolWithTag(Registration, OBP_REGISTRATION_TAG);
    ObfDereferenceObject(Callback);
}
NTEXPORT(ExUnregisterCallback);

/* Call one registration from the list, the lock held before and after; returns what follows it. An exception that
 * leaves the routine ends the notification. */
static PLIST_ENTRY
ObpCallRegistration(PCALLBACK_OBJECT Callback, POBP_REGISTRATION Registration, PVOID Argument1,
                    PVOID Argument2, KIRQL OldIrql)
{
    KI_UNWIND_GUARD Guard;
    PLIST_ENTRY Next;
    BOOLEAN Unwound;

    Registration->Busy += 1;
    KiReleaseRankedLockLower(&Callback->Lock, OldIrql);
    Unwound = KiCallRoutineGuarded((PVOID)(ULONG_PTR)Registration->Function, (ULONG_PTR)Registration->Context,
                                   (ULONG_PTR)Argument1, (ULONG_PTR)Argument2, 0, &Guard);
    KiAcquireRankedLockRaise(&Callback->Lock, LockRankHandleTable);
    Next = Registration->Links.Flink;
    Registration->Busy -= 1;
    if (Registration->Removed && Registration->Busy == 0) {
        RemoveEntryList(&Registration->Links);
        KeSetEvent(&Registration->Idle, IO_NO_INCREMENT, FALSE);
    }
    if (Unwound) {
        KiReleaseRankedLockLower(&Callback->Lock, OldIrql);
        KiContinueUnwind(&Guard);
    }
    return Next;
}

/* Call every registered routine, in order of registration, at the caller's IRQL. IRQL <= DISPATCH_LEVEL. */
VOID NTAPI
ExNotifyCallback(PVOID CallbackObject, PVOID Argument1, PVOID Argument2)
{
    PCALLBACK_OBJECT Callback = CallbackObject;
    KIRQL OldIrql = KiAcquireRankedLockRaise(&Callback->Lock, LockRankHandleTable);
    PLIST_ENTRY Entry = Callback->Registrations.Flink;

    while (Entry != &Callback->Registrations) {
        POBP_REGISTRATION Registration = CONTAINING_RECORD(Entry, OBP_REGISTRATION, Links);

        if (Registration->Removed) {
            Entry = Entry->Flink;
        } else {
            Entry = ObpCallRegistration(Callback, Registration, Argument1, Argument2, OldIrql);
        }
    }
    KiReleaseRankedLockLower(&Callback->Lock, OldIrql);
}
NTEXPORT(ExNotifyCallback);
