/*
 * wdmob.h - access rights, objects, handles, system threads. Part of wdm.h.
 *
 * "max" is the highest IRQL. A reference keeps an object alive; a handle names it in a process, or
 * in the system with OBJ_KERNEL_HANDLE.
 */
#ifndef NTMM_WDMOB_H
#define NTMM_WDMOB_H

#include "wdmke.h"

EXTERN_C_START

/* ---- Access rights ---- */

#define DELETE 0x00010000
#define READ_CONTROL 0x00020000
#define WRITE_DAC 0x00040000
#define WRITE_OWNER 0x00080000
#define SYNCHRONIZE 0x00100000
#define STANDARD_RIGHTS_REQUIRED 0x000f0000
#define STANDARD_RIGHTS_READ READ_CONTROL
#define STANDARD_RIGHTS_WRITE READ_CONTROL
#define STANDARD_RIGHTS_EXECUTE READ_CONTROL
#define STANDARD_RIGHTS_ALL 0x001f0000
#define SPECIFIC_RIGHTS_ALL 0x0000ffff
#define ACCESS_SYSTEM_SECURITY 0x01000000
#define MAXIMUM_ALLOWED 0x02000000
#define GENERIC_ALL 0x10000000
#define GENERIC_EXECUTE 0x20000000
#define GENERIC_WRITE 0x40000000
#define GENERIC_READ 0x80000000

#define EVENT_QUERY_STATE 0x0001
#define EVENT_MODIFY_STATE 0x0002
#define EVENT_ALL_ACCESS (STANDARD_RIGHTS_REQUIRED | SYNCHRONIZE | 0x3)
#define SEMAPHORE_QUERY_STATE 0x0001
#define SEMAPHORE_MODIFY_STATE 0x0002
#define SEMAPHORE_ALL_ACCESS (STANDARD_RIGHTS_REQUIRED | SYNCHRONIZE | 0x3)
#define THREAD_TERMINATE 0x0001
#define THREAD_SUSPEND_RESUME 0x0002
#define THREAD_ALERT 0x0004
#define THREAD_GET_CONTEXT 0x0008
#define THREAD_SET_CONTEXT 0x0010
#define THREAD_SET_INFORMATION 0x0020
#define THREAD_QUERY_INFORMATION 0x0040
#define THREAD_SET_LIMITED_INFORMATION 0x0400
#define THREAD_QUERY_LIMITED_INFORMATION 0x0800
#define THREAD_RESUME 0x1000
#define THREAD_ALL_ACCESS (STANDARD_RIGHTS_REQUIRED | SYNCHRONIZE | 0xffff)
#define PROCESS_TERMINATE 0x0001
#define PROCESS_CREATE_THREAD 0x0002
#define PROCESS_VM_OPERATION 0x0008
#define PROCESS_VM_READ 0x0010
#define PROCESS_VM_WRITE 0x0020
#define PROCESS_DUP_HANDLE 0x0040
#define PROCESS_CREATE_PROCESS 0x0080
#define PROCESS_SET_QUOTA 0x0100
#define PROCESS_SET_INFORMATION 0x0200
#define PROCESS_QUERY_INFORMATION 0x0400
#define PROCESS_SUSPEND_RESUME 0x0800
#define PROCESS_QUERY_LIMITED_INFORMATION 0x1000
#define PROCESS_ALL_ACCESS (STANDARD_RIGHTS_REQUIRED | SYNCHRONIZE | 0xffff)

/* What the generic rights mean for objects of a type. */
typedef struct _GENERIC_MAPPING {
    ACCESS_MASK GenericRead;
    ACCESS_MASK GenericWrite;
    ACCESS_MASK GenericExecute;
    ACCESS_MASK GenericAll;
} GENERIC_MAPPING, *PGENERIC_MAPPING;
C_ASSERT(sizeof(GENERIC_MAPPING) == 0x10);

typedef PVOID PSECURITY_DESCRIPTOR;
typedef ULONG SECURITY_INFORMATION, *PSECURITY_INFORMATION;
typedef PVOID PACCESS_TOKEN;
typedef struct _ACCESS_STATE *PACCESS_STATE;
typedef struct _IO_SECURITY_CONTEXT *PIO_SECURITY_CONTEXT;

/* ---- Objects ---- */

typedef struct _OBJECT_TYPE *POBJECT_TYPE;

typedef struct _OBJECT_HANDLE_INFORMATION {
    ULONG HandleAttributes;
    ACCESS_MASK GrantedAccess;
} OBJECT_HANDLE_INFORMATION, *POBJECT_HANDLE_INFORMATION;

/* The types: drivers write *PsThreadType. */
NT_IMPORTED_POINTER(POBJECT_TYPE, PsThreadType);
NT_IMPORTED_POINTER(POBJECT_TYPE, PsProcessType);
NT_IMPORTED_POINTER(POBJECT_TYPE, ExEventObjectType);
NT_IMPORTED_POINTER(POBJECT_TYPE, ExSemaphoreObjectType);
NT_IMPORTED_POINTER(POBJECT_TYPE, IoFileObjectType);
NT_IMPORTED_POINTER(POBJECT_TYPE, MmSectionObjectType);

/* A reference to the object of a handle. STATUS_INVALID_HANDLE, STATUS_OBJECT_TYPE_MISMATCH,
 * STATUS_ACCESS_DENIED. PASSIVE. ObDereferenceObject gives it back. */
NTKERNELAPI NTSTATUS NTAPI ObReferenceObjectByHandle(
    _In_ HANDLE Handle, _In_ ACCESS_MASK DesiredAccess, _In_opt_ POBJECT_TYPE ObjectType,
    _In_ KPROCESSOR_MODE AccessMode, _Out_ PVOID *Object,
    _Out_opt_ POBJECT_HANDLE_INFORMATION HandleInformation);

/* Another reference to an object of that type. STATUS_OBJECT_TYPE_MISMATCH. max DISPATCH. */
NTKERNELAPI NTSTATUS NTAPI ObReferenceObjectByPointer(_In_ PVOID Object,
                                                      _In_ ACCESS_MASK DesiredAccess,
                                                      _In_opt_ POBJECT_TYPE ObjectType,
                                                      _In_ KPROCESSOR_MODE AccessMode);

/* Add or drop a reference; the count after it is returned. max DISPATCH (the last drop of some
 * objects: PASSIVE; Delay moves that to a worker). */
NTKERNELAPI LONG_PTR NTAPI ObfReferenceObject(_In_ PVOID Object);
NTKERNELAPI LONG_PTR NTAPI ObfDereferenceObject(_In_ PVOID Object);
NTKERNELAPI VOID NTAPI ObDereferenceObjectDeferDelete(_In_ PVOID Object);
#define ObReferenceObject(Object) ObfReferenceObject(Object)
#define ObDereferenceObject(Object) ObfDereferenceObject(Object)

/* The same with a tag for tracing. */
NTKERNELAPI LONG_PTR NTAPI ObfReferenceObjectWithTag(_In_ PVOID Object, _In_ ULONG Tag);
NTKERNELAPI LONG_PTR NTAPI ObfDereferenceObjectWithTag(_In_ PVOID Object, _In_ ULONG Tag);
#define ObReferenceObjectWithTag(Object, Tag) ObfReferenceObjectWithTag(Object, Tag)
#define ObDereferenceObjectWithTag(Object, Tag) ObfDereferenceObjectWithTag(Object, Tag)

/* Close a handle. STATUS_INVALID_HANDLE. PASSIVE. */
NTSYSAPI NTSTATUS NTAPI ZwClose(_In_ HANDLE Handle);

/* Pseudo-handles of the current process and thread. */
#define ZwCurrentProcess() ((HANDLE)(LONG_PTR)-1)
#define ZwCurrentThread() ((HANDLE)(LONG_PTR)-2)
#define NtCurrentProcess() ZwCurrentProcess()
#define NtCurrentThread() ZwCurrentThread()

/* ---- Handles of sections and views. PASSIVE. ---- */

/* Sections, views: statuses as documented for the Nt forms, without checks of user access. */
NTSYSAPI NTSTATUS NTAPI ZwCreateSection(_Out_ PHANDLE SectionHandle, _In_ ACCESS_MASK DesiredAccess,
                                        _In_opt_ POBJECT_ATTRIBUTES ObjectAttributes,
                                        _In_opt_ PLARGE_INTEGER MaximumSize,
                                        _In_ ULONG SectionPageProtection,
                                        _In_ ULONG AllocationAttributes,
                                        _In_opt_ HANDLE FileHandle);
NTSYSAPI NTSTATUS NTAPI ZwOpenSection(_Out_ PHANDLE SectionHandle, _In_ ACCESS_MASK DesiredAccess,
                                      _In_ POBJECT_ATTRIBUTES ObjectAttributes);
NTSYSAPI NTSTATUS NTAPI ZwUnmapViewOfSection(_In_ HANDLE ProcessHandle, _In_opt_ PVOID BaseAddress);

/* ---- System threads ---- */

typedef VOID NTAPI KSTART_ROUTINE(_In_ PVOID StartContext);
typedef KSTART_ROUTINE *PKSTART_ROUTINE;

/* Start a kernel thread (of the system process without ProcessHandle). The handle is the caller's
 * to close. PASSIVE. */
NTKERNELAPI NTSTATUS NTAPI PsCreateSystemThread(_Out_ PHANDLE ThreadHandle,
                                                _In_ ULONG DesiredAccess,
                                                _In_opt_ POBJECT_ATTRIBUTES ObjectAttributes,
                                                _In_opt_ HANDLE ProcessHandle,
                                                _Out_opt_ PCLIENT_ID ClientId,
                                                _In_ PKSTART_ROUTINE StartRoutine,
                                                _In_opt_ PVOID StartContext);

/* End the current system thread; returns only if it is none (STATUS_INVALID_PARAMETER). PASSIVE. */
NTKERNELAPI NTSTATUS NTAPI PsTerminateSystemThread(_In_ NTSTATUS ExitStatus);

/* The process of the current thread. Any IRQL. */
NTKERNELAPI PEPROCESS NTAPI IoGetCurrentProcess(VOID);
#define PsGetCurrentProcess IoGetCurrentProcess

/* TRUE if the process is a 32-bit one; there are none here. */
#define IoIs32bitProcess(Irp) ((void)(Irp), FALSE)

/* *KdDebuggerEnabled, *NtBuildNumber, *KeNumberProcessors as the documents write them. */
NT_IMPORTED_POINTER(BOOLEAN, KdDebuggerEnabled);
NT_IMPORTED_POINTER(BOOLEAN, KdDebuggerNotPresent);
NT_IMPORTED_POINTER(ULONG, NtBuildNumber);
NT_IMPORTED_POINTER(CCHAR, KeNumberProcessors);
#ifdef _WIN32
#define KD_DEBUGGER_ENABLED (*KdDebuggerEnabled)
#define KD_DEBUGGER_NOT_PRESENT (*KdDebuggerNotPresent)
#else
#define KD_DEBUGGER_ENABLED KdDebuggerEnabled
#define KD_DEBUGGER_NOT_PRESENT KdDebuggerNotPresent
#endif

EXTERN_C_END

#endif
