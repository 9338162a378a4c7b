/*
 * wdmexs.h - executive services: callback objects, named events and directories, versions, identifiers. Part of wdm.h.
 *
 * "max" is the highest IRQL.
 */
#ifndef NTMM_WDMEXS_H
#define NTMM_WDMEXS_H

#include "wdmob.h"
#include "wdmrtl.h"

EXTERN_C_START

/* ---- Callback objects: named lists of routines that a component calls ---- */

typedef struct _CALLBACK_OBJECT *PCALLBACK_OBJECT;
typedef VOID NTAPI CALLBACK_FUNCTION(_In_opt_ PVOID CallbackContext, _In_opt_ PVOID Argument1,
                                     _In_opt_ PVOID Argument2);
typedef CALLBACK_FUNCTION *PCALLBACK_FUNCTION;

/* Open, or with Create make, the object; STATUS_OBJECT_NAME_NOT_FOUND. The reference is the caller's. PASSIVE. */
NTKERNELAPI NTSTATUS NTAPI ExCreateCallback(_Out_ PCALLBACK_OBJECT *CallbackObject,
                                            _In_ POBJECT_ATTRIBUTES ObjectAttributes,
                                            _In_ BOOLEAN Create,
                                            _In_ BOOLEAN AllowMultipleCallbacks);

/* Add a routine: a handle, NULL if there may be only one or without memory. Remove it, waiting until it does not run
 * any more. max APC. */
NTKERNELAPI PVOID NTAPI ExRegisterCallback(_Inout_ PCALLBACK_OBJECT CallbackObject,
                                           _In_ PCALLBACK_FUNCTION CallbackFunction,
                                           _In_opt_ PVOID CallbackContext);
NTKERNELAPI VOID NTAPI ExUnregisterCallback(_Inout_ PVOID CallbackRegistration);

/* Call the routines in the order of registration. max DISPATCH, as the object's owner documents. */
NTKERNELAPI VOID NTAPI ExNotifyCallback(_In_ PVOID CallbackObject, _In_opt_ PVOID Argument1,
                                        _In_opt_ PVOID Argument2);

/* ---- Named events: the object and a handle to it; NULL on failure. PASSIVE. ---- */

NTKERNELAPI PKEVENT NTAPI IoCreateNotificationEvent(_In_ PUNICODE_STRING EventName,
                                                    _Out_ PHANDLE EventHandle);
NTKERNELAPI PKEVENT NTAPI IoCreateSynchronizationEvent(_In_ PUNICODE_STRING EventName,
                                                       _Out_ PHANDLE EventHandle);

/* ---- Version ---- */

/* The system's version; TRUE for a checked build. Any IRQL (CSDVersion: PASSIVE). */
NTKERNELAPI BOOLEAN NTAPI PsGetVersion(_Out_opt_ PULONG MajorVersion, _Out_opt_ PULONG MinorVersion,
                                       _Out_opt_ PULONG BuildNumber,
                                       _Out_opt_ PUNICODE_STRING CSDVersion);

/* A random identifier. STATUS_SUCCESS. max APC. */
typedef GUID UUID;
NTKERNELAPI NTSTATUS NTAPI ExUuidCreate(_Out_ UUID *Uuid);

/* ---- Directories and temporary names. PASSIVE. ---- */

/* Make or open (OBJ_OPENIF) a directory of the name space. */
NTSYSAPI NTSTATUS NTAPI ZwCreateDirectoryObject(_Out_ PHANDLE DirectoryHandle,
                                                _In_ ACCESS_MASK DesiredAccess,
                                                _In_ POBJECT_ATTRIBUTES ObjectAttributes);
/* Let a permanent object's name go with its last handle. */
NTSYSAPI NTSTATUS NTAPI ZwMakeTemporaryObject(_In_ HANDLE Handle);

/* The same as the forms without Tag. */
NTKERNELAPI NTSTATUS NTAPI ObReferenceObjectByHandleWithTag(
    _In_ HANDLE Handle, _In_ ACCESS_MASK DesiredAccess, _In_opt_ POBJECT_TYPE ObjectType,
    _In_ KPROCESSOR_MODE AccessMode, _In_ ULONG Tag, _Out_ PVOID *Object,
    _Out_opt_ POBJECT_HANDLE_INFORMATION HandleInformation);
NTKERNELAPI NTSTATUS NTAPI ObReferenceObjectByPointerWithTag(_In_ PVOID Object,
                                                             _In_ ACCESS_MASK DesiredAccess,
                                                             _In_opt_ POBJECT_TYPE ObjectType,
                                                             _In_ KPROCESSOR_MODE AccessMode,
                                                             _In_ ULONG Tag);
NTKERNELAPI VOID NTAPI ObDereferenceObjectDeferDeleteWithTag(_In_ PVOID Object, _In_ ULONG Tag);

/* A reference unless the object is on its way out: FALSE. max DISPATCH. */
NTKERNELAPI BOOLEAN NTAPI ObReferenceObjectSafe(_In_ PVOID Object);

/* Close a handle of the caller's mode. PASSIVE. */
NTKERNELAPI NTSTATUS NTAPI ObCloseHandle(_In_ HANDLE Handle, _In_ KPROCESSOR_MODE PreviousMode);

EXTERN_C_END

#endif
