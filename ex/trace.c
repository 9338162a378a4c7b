/*
 * Event tracing as a driver meets it where nobody listens: providers are registered, events are taken and dropped.
 *
 * A registration is a block of pool whose address is the handle; EtwpLock, a leaf, guards the list of them, so that a handle that
 * is none is told from one. A provider that is never unregistered is a finding: its driver would be called after it is gone.
 *
 * Documents: EtwRegister, EtwUnregister, EtwWrite, EtwEventEnabled.
 */
#include "trace.h"
#include <ke/boundary.h>
#include <ke/ke.h>
#include <mm/pool/pool.h>
#include <ntexport.h>

#define ETWP_TAG 0x52777445u /* "EtwR" */
#define ETWP_MAXIMUM_DATA 128
#define ETWP_STACK_FRAMES 12

typedef struct _ETWP_PROVIDER {
    LIST_ENTRY Links;
    GUID Id;
    PETWENABLECALLBACK EnableCallback; /* never called: no session enables anything */
    ULONG StackId;
} ETWP_PROVIDER, *PETWP_PROVIDER;

static KSPIN_LOCK EtwpLock;
static LIST_ENTRY EtwpProviders = {&EtwpProviders, &EtwpProviders};

static BOOLEAN
EtwpFindLocked(REGHANDLE RegHandle)
{
    for (PLIST_ENTRY Entry = EtwpProviders.Flink; Entry != &EtwpProviders; Entry = Entry->Flink) {
        if ((REGHANDLE)(ULONG_PTR)CONTAINING_RECORD(Entry, ETWP_PROVIDER, Links) == RegHandle) {
            return TRUE;
        }
    }
    return FALSE;
}

static BOOLEAN
EtwpIsRegistered(REGHANDLE RegHandle)
{
    KIRQL OldIrql;
    BOOLEAN Found;

    if (HalGetIrql() > DISPATCH_LEVEL) {
        /* The list cannot be looked at from here; any IRQL is allowed. */
        return RegHandle != 0;
    }
    OldIrql = KiAcquireRankedLockRaise(&EtwpLock, LockRankHandleTable);
    Found = EtwpFindLocked(RegHandle);
    KiReleaseRankedLockLower(&EtwpLock, OldIrql);
    return Found;
}

/* Register a provider of events. STATUS_INVALID_PARAMETER, STATUS_INSUFFICIENT_RESOURCES. PASSIVE_LEVEL. */
NTSTATUS NTAPI
EtwRegister(LPCGUID ProviderId, PETWENABLECALLBACK EnableCallback, PVOID CallbackContext, PREGHANDLE RegHandle)
{
    PETWP_PROVIDER Provider;
    KIRQL OldIrql;

    UNREFERENCED_PARAMETER(CallbackContext);
    if (ProviderId == NULL || RegHandle == NULL) {
        return STATUS_INVALID_PARAMETER;
    }
    KiEnterBoundary();
    Provider = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*Provider), ETWP_TAG);
    KiLeaveBoundary();
    if (Provider == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    Provider->Id = *ProviderId;
    Provider->EnableCallback = EnableCallback;
    if (KiInImageCode()) {
        PVOID Frames[ETWP_STACK_FRAMES];

        Provider->StackId = MiNotePoolStack(Frames, KiCaptureImageStack(Frames, ETWP_STACK_FRAMES));
    }
    OldIrql = KiAcquireRankedLockRaise(&EtwpLock, LockRankHandleTable);
    InsertTailList(&EtwpProviders, &Provider->Links);
    KiReleaseRankedLockLower(&EtwpLock, OldIrql);
    *RegHandle = (REGHANDLE)(ULONG_PTR)Provider;
    return STATUS_SUCCESS;
}
NTEXPORT(EtwRegister);

/* Unregister a provider. STATUS_INVALID_HANDLE. PASSIVE_LEVEL. */
NTSTATUS NTAPI
EtwUnregister(REGHANDLE RegHandle)
{
    PETWP_PROVIDER Provider = (PETWP_PROVIDER)(ULONG_PTR)RegHandle;
    KIRQL OldIrql = KiAcquireRankedLockRaise(&EtwpLock, LockRankHandleTable);
    BOOLEAN Found = EtwpFindLocked(RegHandle);

    if (Found) {
        RemoveEntryList(&Provider->Links);
    }
    KiReleaseRankedLockLower(&EtwpLock, OldIrql);
    if (!Found) {
        return STATUS_INVALID_HANDLE;
    }
    ExFreePoolWithTag(Provider, ETWP_TAG);
    return STATUS_SUCCESS;
}
NTEXPORT(EtwUnregister);

/* FALSE: nobody listens to the provider. Any IRQL. */
BOOLEAN NTAPI
EtwProviderEnabled(REGHANDLE RegHandle, UCHAR Level, ULONGLONG Keyword)
{
    return FALSE;
}
NTEXPORT(EtwProviderEnabled);

/* FALSE: nobody listens to the event. Any IRQL. */
BOOLEAN NTAPI
EtwEventEnabled(REGHANDLE RegHandle, PCEVENT_DESCRIPTOR EventDescriptor)
{
    return FALSE;
}
NTEXPORT(EtwEventEnabled);

static NTSTATUS
EtwpTake(REGHANDLE RegHandle, ULONG UserDataCount)
{
    if (!EtwpIsRegistered(RegHandle)) {
        return STATUS_INVALID_HANDLE;
    }
    return UserDataCount > ETWP_MAXIMUM_DATA ? STATUS_INVALID_PARAMETER : STATUS_SUCCESS;
}

/* Write an event; nobody listens, so it is dropped. STATUS_INVALID_HANDLE, STATUS_INVALID_PARAMETER. Any IRQL. */
NTSTATUS NTAPI
EtwWrite(REGHANDLE RegHandle, PCEVENT_DESCRIPTOR EventDescriptor, LPCGUID ActivityId, ULONG UserDataCount,
         PEVENT_DATA_DESCRIPTOR UserData)
{
    return EtwpTake(RegHandle, UserDataCount);
}
NTEXPORT(EtwWrite);

/* The same with another activity that led here. */
NTSTATUS NTAPI
EtwWriteTransfer(REGHANDLE RegHandle, PCEVENT_DESCRIPTOR EventDescriptor, LPCGUID ActivityId, LPCGUID RelatedActivityId,
                 ULONG UserDataCount, PEVENT_DATA_DESCRIPTOR UserData)
{
    return EtwpTake(RegHandle, UserDataCount);
}
NTEXPORT(EtwWriteTransfer);

/* Write a string as an event. Any IRQL. */
NTSTATUS NTAPI
EtwWriteString(REGHANDLE RegHandle, UCHAR Level, ULONGLONG Keyword, LPCGUID ActivityId, PCWSTR String)
{
    return EtwpTake(RegHandle, 0);
}
NTEXPORT(EtwWriteString);

/* Tell something about a provider, its traits as a rule. STATUS_INVALID_HANDLE. PASSIVE_LEVEL. */
NTSTATUS NTAPI
EtwSetInformation(REGHANDLE RegHandle, EVENT_INFO_CLASS InformationClass, PVOID EventInformation,
                  ULONG InformationLength)
{
    if (!EtwpIsRegistered(RegHandle)) {
        return STATUS_INVALID_HANDLE;
    }
    return (ULONG)InformationClass >= MaxEventInfo ? STATUS_INVALID_PARAMETER : STATUS_SUCCESS;
}
NTEXPORT(EtwSetInformation);

/* --- For reports ------------------------------------------------------------------------------- */

BOOLEAN
EtwTakeLeft(PETW_LEFT Left)
{
    PETWP_PROVIDER Found = NULL;
    KIRQL OldIrql = KiAcquireRankedLockRaise(&EtwpLock, LockRankHandleTable);

    for (PLIST_ENTRY Entry = EtwpProviders.Flink; Entry != &EtwpProviders && Found == NULL; Entry = Entry->Flink) {
        PETWP_PROVIDER Provider = CONTAINING_RECORD(Entry, ETWP_PROVIDER, Links);

        if (Provider->StackId != 0) {
            Found = Provider;
        }
    }
    if (Found != NULL) {
        RemoveEntryList(&Found->Links);
    }
    KiReleaseRankedLockLower(&EtwpLock, OldIrql);
    if (Found == NULL) {
        return FALSE;
    }
    Left->Id = Found->Id;
    Left->Provider = Found;
    Left->StackId = Found->StackId;
    ExFreePoolWithTag(Found, ETWP_TAG);
    return TRUE;
}
