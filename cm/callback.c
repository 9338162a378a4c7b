/*
 * Filters of registry calls.
 *
 * Filters stand in a list, higher altitudes first; those that CmRegisterCallback registered, without altitude, come before
 * all others in order of registration. A registry call goes through CmpBegin, which takes the filters of the moment and
 * calls them from top to bottom, and CmpEnd, which calls the same ones from bottom to top. A call that a filter makes
 * itself begins below that filter. CmpCallbackLock (LockRankRegistryFilter) guards the list, the contexts and the
 * list of invocations; filters are called without it. Who calls a filter holds a use of it, and CmUnRegisterCallback
 * waits until the last is gone.
 *
 * A barrier stands below each call: an exception that leaves a filter is a bug check, as version 1.1 has it.
 *
 * Documents: "Filtering Registry Calls", "Supporting Layered Registry Filtering Drivers", CmSetCallbackObjectContext.
 */
#include "cmp.h"
#include <ke/boundary.h>
#include <mm/pool/pool.h>
#include <ntexport.h>

#define CMP_STACK_FRAMES 12

typedef struct _CMP_CALLBACK {
    LIST_ENTRY Links;
    PEX_CALLBACK_FUNCTION Function;
    PVOID Context;
    LARGE_INTEGER Cookie;
    UNICODE_STRING Altitude; /* the characters follow; empty: none */
    LIST_ENTRY Contexts;     /* CMP_CONTEXT.CallbackLinks */
    volatile LONG Uses;      /* (A) one while it is registered, one for each call in progress */
    KEVENT Idle;             /* no more uses */
    ULONG StackId;           /* who registered it, if an image */
} CMP_CALLBACK;

/* What a filter tied to a key object. */
typedef struct _CMP_CONTEXT {
    LIST_ENTRY KeyLinks;
    LIST_ENTRY CallbackLinks;
    PCMP_KEY Key;
    PCMP_CALLBACK Callback;
    PVOID Value;
} CMP_CONTEXT, *PCMP_CONTEXT;

/* A filter is being called; on the caller's stack. */
typedef struct _CMP_INVOCATION {
    LIST_ENTRY Links; /* newest first */
    PKTHREAD Thread;
    PCMP_CALLBACK Callback;
} CMP_INVOCATION;

static EX_PUSH_LOCK CmpCallbackLock;
static LIST_ENTRY CmpCallbacks = {&CmpCallbacks, &CmpCallbacks};
static LIST_ENTRY CmpInvocations = {&CmpInvocations, &CmpInvocations};
static LONG64 CmpLastCookie;

static VOID
CmpLockCallbacks(VOID)
{
    KiAcquirePushLockExclusive(&CmpCallbackLock, LockRankRegistryFilter);
}

static VOID
CmpUnlockCallbacks(VOID)
{
    KiReleasePushLockExclusive(&CmpCallbackLock);
}

/* --- Calling ----------------------------------------------------------------------------------- */

static VOID
CmpReleaseCallback(PCMP_CALLBACK Callback)
{
    if (InterlockedDecrement(&Callback->Uses) == 0) {
        KeSetEvent(&Callback->Idle, IO_NO_INCREMENT, FALSE);
    }
}

/* Call a filter that the caller uses. */
static NTSTATUS
CmpInvoke(PCMP_CALLBACK Callback, REG_NOTIFY_CLASS Class, PVOID Information)
{
    CMP_INVOCATION Invocation = {.Thread = KiCurrentThread(), .Callback = Callback};
    NTSTATUS Status;

    CmpLockCallbacks();
    InsertHeadList(&CmpInvocations, &Invocation.Links);
    CmpUnlockCallbacks();
    KiEnterBoundary();
    Status = (NTSTATUS)KiCallRoutine((PVOID)(ULONG_PTR)Callback->Function, (ULONG_PTR)Callback->Context, Class,
                                     (ULONG_PTR)Information, 0);
    KiLeaveBoundary();
    CmpLockCallbacks();
    RemoveEntryList(&Invocation.Links);
    CmpUnlockCallbacks();
    return Status;
}

/* Take the filters that are to hear of a call: those below the one that makes it, if one does. */
static VOID
CmpTakeCallbacks(PCMP_OPERATION Operation)
{
    PLIST_ENTRY Entry = &CmpCallbacks;

    CmpLockCallbacks();
    for (PLIST_ENTRY Call = CmpInvocations.Flink; Call != &CmpInvocations; Call = Call->Flink) {
        CMP_INVOCATION *Invocation = CONTAINING_RECORD(Call, CMP_INVOCATION, Links);

        if (Invocation->Thread == KiCurrentThread()) {
            /* Of a filter that has left the list the place is not known any more: nobody hears of its calls. */
            Entry = IsListEmpty(&Invocation->Callback->Links) ? CmpCallbacks.Blink : &Invocation->Callback->Links;
            break;
        }
    }
    for (Entry = Entry->Flink; Entry != &CmpCallbacks && Operation->Count < CMP_MAXIMUM_CALLBACKS;
         Entry = Entry->Flink) {
        PCMP_CALLBACK Callback = CONTAINING_RECORD(Entry, CMP_CALLBACK, Links);

        InterlockedIncrement(&Callback->Uses);
        Operation->Called[Operation->Count].Callback = Callback;
        Operation->Called[Operation->Count].CallContext = NULL;
        Operation->Count += 1;
    }
    CmpUnlockCallbacks();
}

static VOID
CmpReleaseCallbacks(PCMP_OPERATION Operation)
{
    while (Operation->Count != 0) {
        Operation->Count -= 1;
        CmpReleaseCallback(Operation->Called[Operation->Count].Callback);
    }
}

static PCMP_CONTEXT
CmpFindContextLocked(PCMP_KEY Key, PCMP_CALLBACK Callback)
{
    for (PLIST_ENTRY Entry = Key->Contexts.Flink; Entry != &Key->Contexts; Entry = Entry->Flink) {
        PCMP_CONTEXT Context = CONTAINING_RECORD(Entry, CMP_CONTEXT, KeyLinks);

        if (Context->Callback == Callback) {
            return Context;
        }
    }
    return NULL;
}

static PVOID
CmpQueryContext(PCMP_KEY Key, PCMP_CALLBACK Callback)
{
    PCMP_CONTEXT Context;
    PVOID Value;

    if (Key == NULL) {
        return NULL;
    }
    CmpLockCallbacks();
    Context = CmpFindContextLocked(Key, Callback);
    Value = Context == NULL ? NULL : Context->Value;
    CmpUnlockCallbacks();
    return Value;
}

NTSTATUS
CmpBegin(PCMP_OPERATION Operation)
{
    NTSTATUS Status = STATUS_SUCCESS;

    if (IsListEmpty(&CmpCallbacks)) {
        return STATUS_SUCCESS;
    }
    CmpTakeCallbacks(Operation);
    for (ULONG Index = 0; Index < Operation->Count && NT_SUCCESS(Status); Index += 1) {
        PCMP_CALLBACK Callback = Operation->Called[Index].Callback;

        *Operation->CallContext = NULL;
        *Operation->ObjectContext = CmpQueryContext(Operation->Key, Callback);
        Status = CmpInvoke(Callback, Operation->Pre, Operation->Information);
        Operation->Called[Index].CallContext = *Operation->CallContext;
    }
    if (NT_SUCCESS(Status)) {
        return STATUS_SUCCESS;
    }
    CmpReleaseCallbacks(Operation);
    return Status;
}

NTSTATUS
CmpEnd(PCMP_OPERATION Operation, NTSTATUS Status)
{
    for (ULONG Index = Operation->Count; Index-- > 0;) {
        PCMP_CALLBACK Callback = Operation->Called[Index].Callback;
        REG_POST_OPERATION_INFORMATION Post = {
            .Object = *Operation->Object, .Status = Status, .PreInformation = Operation->Information,
            .ReturnStatus = Status, .CallContext = Operation->Called[Index].CallContext,
            .ObjectContext = CmpQueryContext(Operation->Key, Callback)};

        if (CmpInvoke(Callback, Operation->Post, &Post) == STATUS_CALLBACK_BYPASS) {
            Status = Post.ReturnStatus;
        }
    }
    CmpReleaseCallbacks(Operation);
    return Status;
}

/* --- Registering ------------------------------------------------------------------------------- */

/* The next part of an altitude, up to a point or the end, without leading zeros (or trailing, after the point). */
static UNICODE_STRING
CmpAltitudePart(PUNICODE_STRING Rest, BOOLEAN Fraction)
{
    UNICODE_STRING Part = *Rest;
    USHORT Length = 0;

    while (Length < Rest->Length / sizeof(WCHAR) && Rest->Buffer[Length] != L'.') {
        Length += 1;
    }
    Part.Length = (USHORT)(Length * sizeof(WCHAR));
    Length += Length < Rest->Length / sizeof(WCHAR);
    Rest->Buffer += Length;
    Rest->Length -= (USHORT)(Length * sizeof(WCHAR));
    while (!Fraction && Part.Length != 0 && Part.Buffer[0] == L'0') {
        Part.Buffer += 1;
        Part.Length -= sizeof(WCHAR);
    }
    while (Fraction && Part.Length != 0 && Part.Buffer[Part.Length / sizeof(WCHAR) - 1] == L'0') {
        Part.Length -= sizeof(WCHAR);
    }
    return Part;
}

/* Digits, and at most one point among them. */
static BOOLEAN
CmpIsAltitude(PCUNICODE_STRING Altitude)
{
    ULONG Points = 0;

    for (USHORT Index = 0; Index < Altitude->Length / sizeof(WCHAR); Index += 1) {
        Points += Altitude->Buffer[Index] == L'.';
        if (Altitude->Buffer[Index] != L'.' && (Altitude->Buffer[Index] < L'0' || Altitude->Buffer[Index] > L'9')) {
            return FALSE;
        }
    }
    return Altitude->Length > Points * sizeof(WCHAR) && Points <= 1;
}

/* By value: above 0 if First is higher. */
static LONG
CmpCompareAltitudes(PCUNICODE_STRING First, PCUNICODE_STRING Second)
{
    UNICODE_STRING Rest[2] = {*First, *Second}, Whole[2], Fraction[2];

    for (ULONG Index = 0; Index < 2; Index += 1) {
        Whole[Index] = CmpAltitudePart(&Rest[Index], FALSE);
        Fraction[Index] = CmpAltitudePart(&Rest[Index], TRUE);
    }
    if (Whole[0].Length != Whole[1].Length) {
        return (LONG)Whole[0].Length - (LONG)Whole[1].Length;
    }
    if (!RtlEqualUnicodeString(&Whole[0], &Whole[1], FALSE)) {
        return RtlCompareUnicodeString(&Whole[0], &Whole[1], FALSE);
    }
    return RtlCompareUnicodeString(&Fraction[0], &Fraction[1], FALSE);
}

/* Put the filter where its altitude belongs; FALSE if another has it, or there are too many. */
static NTSTATUS
CmpInsertCallback(PCMP_CALLBACK Callback)
{
    PLIST_ENTRY Entry;
    ULONG Count = 0;
    NTSTATUS Status = STATUS_SUCCESS;

    CmpLockCallbacks();
    for (Entry = CmpCallbacks.Flink; Entry != &CmpCallbacks; Entry = Entry->Flink) {
        PCMP_CALLBACK Other = CONTAINING_RECORD(Entry, CMP_CALLBACK, Links);
        LONG Order = 1; /* Other is higher */

        if (Callback->Altitude.Length != 0 && Other->Altitude.Length != 0) {
            Order = CmpCompareAltitudes(&Other->Altitude, &Callback->Altitude);
        } else if (Other->Altitude.Length != 0) {
            Order = -1;
        }
        if (Order == 0) {
            Status = STATUS_FLT_INSTANCE_ALTITUDE_COLLISION;
        }
        if (Order <= 0) {
            break;
        }
    }
    for (PLIST_ENTRY Each = CmpCallbacks.Flink; Each != &CmpCallbacks; Each = Each->Flink) {
        Count += 1;
    }
    if (NT_SUCCESS(Status) && Count == CMP_MAXIMUM_CALLBACKS) {
        Status = STATUS_INSUFFICIENT_RESOURCES;
    }
    if (NT_SUCCESS(Status)) {
        CmpLastCookie += 1;
        Callback->Cookie.QuadPart = CmpLastCookie;
        InsertTailList(Entry, &Callback->Links);
    }
    CmpUnlockCallbacks();
    return Status;
}

static NTSTATUS
CmpRegister(PEX_CALLBACK_FUNCTION Function, PCUNICODE_STRING Altitude, PVOID Context, PLARGE_INTEGER Cookie)
{
    PCMP_CALLBACK Callback = CmpAllocate(sizeof(*Callback) + Altitude->Length);
    NTSTATUS Status;

    if (Callback == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    Callback->Function = Function;
    Callback->Context = Context;
    Callback->Uses = 1;
    InitializeListHead(&Callback->Contexts);
    KeInitializeEvent(&Callback->Idle, NotificationEvent, FALSE);
    Callback->Altitude = (UNICODE_STRING){Altitude->Length, Altitude->Length, (PWSTR)(PVOID)(Callback + 1)};
    RtlCopyMemory(Callback->Altitude.Buffer, Altitude->Buffer, Altitude->Length);
    if (KiInImageCode()) {
        PVOID Frames[CMP_STACK_FRAMES];

        Callback->StackId = MiNotePoolStack(Frames, KiCaptureImageStack(Frames, CMP_STACK_FRAMES));
    }
    Status = CmpInsertCallback(Callback);
    if (!NT_SUCCESS(Status)) {
        CmpFree(Callback);
        return Status;
    }
    *Cookie = Callback->Cookie;
    return STATUS_SUCCESS;
}

/* See wdmcm.h; Driver and Reserved have no meaning here. PASSIVE_LEVEL. */
NTSTATUS NTAPI
CmRegisterCallbackEx(PEX_CALLBACK_FUNCTION Function, PCUNICODE_STRING Altitude, PVOID Driver, PVOID Context,
                     PLARGE_INTEGER Cookie, PVOID Reserved)
{
    UNREFERENCED_PARAMETER(Driver);
    UNREFERENCED_PARAMETER(Reserved);
    ObRequirePassive();
    if (Altitude == NULL || !CmpIsAltitude(Altitude)) {
        return STATUS_INVALID_PARAMETER;
    }
    return CmpRegister(Function, Altitude, Context, Cookie);
}
NTEXPORT(CmRegisterCallbackEx);

/* See wdmcm.h. PASSIVE_LEVEL. */
NTSTATUS NTAPI
CmRegisterCallback(PEX_CALLBACK_FUNCTION Function, PVOID Context, PLARGE_INTEGER Cookie)
{
    UNICODE_STRING None = {0};

    ObRequirePassive();
    return CmpRegister(Function, &None, Context, Cookie);
}
NTEXPORT(CmRegisterCallback);

/* --- Contexts ---------------------------------------------------------------------------------- */

static PCMP_CALLBACK
CmpFindCookieLocked(LARGE_INTEGER Cookie)
{
    for (PLIST_ENTRY Entry = CmpCallbacks.Flink; Entry != &CmpCallbacks; Entry = Entry->Flink) {
        PCMP_CALLBACK Callback = CONTAINING_RECORD(Entry, CMP_CALLBACK, Links);

        if (Callback->Cookie.QuadPart == Cookie.QuadPart) {
            return Callback;
        }
    }
    return NULL;
}

/* A context that is on no list any more goes: tell its filter, which the caller uses. */
static VOID
CmpEndContext(PCMP_CONTEXT Context)
{
    REG_CALLBACK_CONTEXT_CLEANUP_INFORMATION Information = {.Object = Context->Key, .ObjectContext = Context->Value};

    CmpInvoke(Context->Callback, RegNtCallbackObjectContextCleanup, &Information);
    CmpFree(Context);
}

static VOID
CmpUnlinkContextLocked(PCMP_CONTEXT Context)
{
    RemoveEntryList(&Context->KeyLinks);
    RemoveEntryList(&Context->CallbackLinks);
}

VOID
CmpCleanUpContexts(PCMP_KEY Key)
{
    for (;;) {
        PCMP_CONTEXT Context = NULL;
        PCMP_CALLBACK Callback;

        CmpLockCallbacks();
        if (!IsListEmpty(&Key->Contexts)) {
            Context = CONTAINING_RECORD(Key->Contexts.Flink, CMP_CONTEXT, KeyLinks);
            CmpUnlinkContextLocked(Context);
            InterlockedIncrement(&Context->Callback->Uses);
        }
        CmpUnlockCallbacks();
        if (Context == NULL) {
            return;
        }
        Callback = Context->Callback;
        CmpEndContext(Context);
        CmpReleaseCallback(Callback);
    }
}

/* See wdmcm.h. STATUS_INVALID_PARAMETER: no such filter; STATUS_INSUFFICIENT_RESOURCES. PASSIVE_LEVEL. */
NTSTATUS NTAPI
CmSetCallbackObjectContext(PVOID Object, PLARGE_INTEGER Cookie, PVOID NewContext, PVOID *OldContext)
{
    PCMP_KEY Key = Object;
    PCMP_CONTEXT Fresh, Context = NULL;
    PCMP_CALLBACK Callback;
    PVOID Old = NULL;
    NTSTATUS Status = STATUS_SUCCESS;

    ObRequirePassive();
    Fresh = CmpAllocate(sizeof(*Fresh));
    CmpLockCallbacks();
    Callback = CmpFindCookieLocked(*Cookie);
    if (Callback == NULL) {
        Status = STATUS_INVALID_PARAMETER;
    } else {
        Context = CmpFindContextLocked(Key, Callback);
    }
    if (Context != NULL) {
        Old = Context->Value;
        Context->Value = NewContext;
    } else if (Callback != NULL && Fresh == NULL) {
        Status = STATUS_INSUFFICIENT_RESOURCES;
    } else if (Callback != NULL) {
        Fresh->Key = Key;
        Fresh->Callback = Callback;
        Fresh->Value = NewContext;
        InsertTailList(&Key->Contexts, &Fresh->KeyLinks);
        InsertTailList(&Callback->Contexts, &Fresh->CallbackLinks);
        Fresh = NULL;
    }
    CmpUnlockCallbacks();
    if (Fresh != NULL) {
        CmpFree(Fresh);
    }
    if (NT_SUCCESS(Status) && OldContext != NULL) {
        *OldContext = Old;
    }
    return Status;
}
NTEXPORT(CmSetCallbackObjectContext);

/* --- Unregistering ----------------------------------------------------------------------------- */

static VOID
CmpTakeOffLocked(PCMP_CALLBACK Callback)
{
    RemoveEntryList(&Callback->Links);
    InitializeListHead(&Callback->Links);
}

/* A filter that is off the list and that nobody will begin to call: end it. */
static VOID
CmpEndCallback(PCMP_CALLBACK Callback)
{
    for (;;) {
        PCMP_CONTEXT Context = NULL;

        CmpLockCallbacks();
        if (!IsListEmpty(&Callback->Contexts)) {
            Context = CONTAINING_RECORD(Callback->Contexts.Flink, CMP_CONTEXT, CallbackLinks);
            CmpUnlinkContextLocked(Context);
        }
        CmpUnlockCallbacks();
        if (Context == NULL) {
            break;
        }
        CmpEndContext(Context);
    }
    CmpReleaseCallback(Callback);
    KeWaitForSingleObject(&Callback->Idle, Executive, KernelMode, FALSE, NULL);
    CmpFree(Callback);
}

/* See wdmcm.h. PASSIVE_LEVEL. */
NTSTATUS NTAPI
CmUnRegisterCallback(LARGE_INTEGER Cookie)
{
    PCMP_CALLBACK Callback;

    ObRequirePassive();
    CmpLockCallbacks();
    Callback = CmpFindCookieLocked(Cookie);
    if (Callback != NULL) {
        CmpTakeOffLocked(Callback);
    }
    CmpUnlockCallbacks();
    if (Callback == NULL) {
        return STATUS_INVALID_PARAMETER;
    }
    CmpEndCallback(Callback);
    return STATUS_SUCCESS;
}
NTEXPORT(CmUnRegisterCallback);

BOOLEAN
CmRemoveCallback(ULONG_PTR Start, ULONG_PTR End, PCM_CALLBACK_INFO Info)
{
    PCMP_CALLBACK Found = NULL;

    CmpLockCallbacks();
    for (PLIST_ENTRY Entry = CmpCallbacks.Flink; Entry != &CmpCallbacks && Found == NULL; Entry = Entry->Flink) {
        PCMP_CALLBACK Callback = CONTAINING_RECORD(Entry, CMP_CALLBACK, Links);

        if ((ULONG_PTR)Callback->Function >= Start && (ULONG_PTR)Callback->Function < End) {
            Found = Callback;
        }
    }
    if (Found != NULL) {
        CmpTakeOffLocked(Found);
    }
    CmpUnlockCallbacks();
    if (Found == NULL) {
        return FALSE;
    }
    Info->Function = (PVOID)(ULONG_PTR)Found->Function;
    Info->StackId = Found->StackId;
    CmpEndCallback(Found);
    return TRUE;
}

/* See wdmcm.h. Any IRQL. */
VOID NTAPI
CmGetCallbackVersion(PULONG Major, PULONG Minor)
{
    if (Major != NULL) {
        *Major = 1;
    }
    if (Minor != NULL) {
        *Minor = 1;
    }
}
NTEXPORT(CmGetCallbackVersion);

/* --- Identities -------------------------------------------------------------------------------- */

static NTSTATUS
CmpCheckIdentity(PLARGE_INTEGER Cookie, PVOID Object)
{
    PCMP_CALLBACK Callback = NULL;

    ObRequirePassive();
    if (Cookie != NULL && Object != NULL && ObTypeOf(Object) == CmKeyObjectType) {
        CmpLockCallbacks();
        Callback = CmpFindCookieLocked(*Cookie);
        CmpUnlockCallbacks();
    }
    return Callback == NULL ? STATUS_INVALID_PARAMETER : STATUS_SUCCESS;
}

/* See wdmcm.h; *ObjectName is to be given to CmCallbackReleaseKeyObjectIDEx. PASSIVE_LEVEL. */
NTSTATUS NTAPI
CmCallbackGetKeyObjectIDEx(PLARGE_INTEGER Cookie, PVOID Object, PULONG_PTR ObjectID, PCUNICODE_STRING *ObjectName,
                           ULONG Flags)
{
    PCMP_KEY Key = Object;
    PUNICODE_STRING Path = NULL;
    NTSTATUS Status = CmpCheckIdentity(Cookie, Object);

    if (!NT_SUCCESS(Status) || Flags != 0) {
        return STATUS_INVALID_PARAMETER;
    }
    if (ObjectName != NULL) {
        Status = CmpQueryPath(Key->Node, &Path);
        if (!NT_SUCCESS(Status)) {
            return Status;
        }
        *ObjectName = Path;
    }
    if (ObjectID != NULL) {
        *ObjectID = (ULONG_PTR)Key->Node;
    }
    return STATUS_SUCCESS;
}
NTEXPORT(CmCallbackGetKeyObjectIDEx);

/* Give back a name. PASSIVE_LEVEL. */
VOID NTAPI
CmCallbackReleaseKeyObjectIDEx(PCUNICODE_STRING ObjectName)
{
    CmpFree((PVOID)(ULONG_PTR)ObjectName);
}
NTEXPORT(CmCallbackReleaseKeyObjectIDEx);

/* See wdmcm.h; *ObjectName is the key object's and goes with it. PASSIVE_LEVEL. */
NTSTATUS NTAPI
CmCallbackGetKeyObjectID(PLARGE_INTEGER Cookie, PVOID Object, PULONG_PTR ObjectID, PCUNICODE_STRING *ObjectName)
{
    PCMP_KEY Key = Object;
    PUNICODE_STRING Path;
    NTSTATUS Status = CmpCheckIdentity(Cookie, Object);

    if (NT_SUCCESS(Status) && ObjectName != NULL && Key->Path == NULL) {
        Status = CmpQueryPath(Key->Node, &Path);
        if (NT_SUCCESS(Status) && InterlockedCompareExchangePointer((PVOID volatile *)&Key->Path, Path, NULL) != NULL) {
            CmpFree(Path);
        }
    }
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    if (ObjectName != NULL) {
        *ObjectName = Key->Path;
    }
    if (ObjectID != NULL) {
        *ObjectID = (ULONG_PTR)Key->Node;
    }
    return STATUS_SUCCESS;
}
NTEXPORT(CmCallbackGetKeyObjectID);
