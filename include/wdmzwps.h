/*
 * wdmzwps.h - processes, threads and the system as services see them; part of ntifs.h. All at PASSIVE_LEVEL.
 */
#ifndef NTMM_WDMZWPS_H
#define NTMM_WDMZWPS_H

#include "ntpeb.h"
#include "wdm.h"

EXTERN_C_START

/* End a process. STATUS_ACCESS_DENIED for System, STATUS_PROCESS_IS_TERMINATING, and those of the handle. */
NTSYSAPI NTSTATUS NTAPI ZwTerminateProcess(_In_opt_ HANDLE ProcessHandle, _In_ NTSTATUS ExitStatus);
NTSYSAPI NTSTATUS NTAPI NtTerminateProcess(_In_opt_ HANDLE ProcessHandle, _In_ NTSTATUS ExitStatus);

/*
 * Ask about a process (0: basic, 3: memory counters), a thread (0: basic), the system (0: basic). STATUS_INVALID_INFO_CLASS for another
 * class, STATUS_INFO_LENGTH_MISMATCH for another length.
 */
NTSYSAPI NTSTATUS NTAPI ZwQueryInformationProcess(_In_ HANDLE ProcessHandle, _In_ ULONG InformationClass,
                                                  _Out_ PVOID Information, _In_ ULONG Length,
                                                  _Out_opt_ PULONG ReturnLength);
NTSYSAPI NTSTATUS NTAPI ZwQueryInformationThread(_In_ HANDLE ThreadHandle, _In_ ULONG InformationClass,
                                                 _Out_ PVOID Information, _In_ ULONG Length,
                                                 _Out_opt_ PULONG ReturnLength);
NTSYSAPI NTSTATUS NTAPI ZwQuerySystemInformation(_In_ ULONG SystemInformationClass, _Out_ PVOID SystemInformation,
                                                 _In_ ULONG Length, _Out_opt_ PULONG ReturnLength);

/* UTF-16 to UTF-8: see rtl/utf8.c. */
NTSYSAPI NTSTATUS NTAPI RtlUnicodeToUTF8N(_Out_opt_ PCHAR Destination, _In_ ULONG MaxBytes, _Out_ PULONG ActualBytes,
                                          _In_ PCWCH Source, _In_ ULONG SourceBytes);

/* Print text on the console, verbatim. */
NTSYSAPI NTSTATUS NTAPI ZwDisplayString(_In_ PUNICODE_STRING String);

/* The status a process ended with, STATUS_PENDING before; its PEB, a thread's TEB, NULL where there is none. Any IRQL. */
NTKERNELAPI NTSTATUS NTAPI PsGetProcessExitStatus(_In_ PEPROCESS Process);
NTKERNELAPI struct _PEB *NTAPI PsGetProcessPeb(_In_ PEPROCESS Process);
NTKERNELAPI PVOID NTAPI PsGetThreadTeb(_In_ PETHREAD Thread);

EXTERN_C_END

#endif
