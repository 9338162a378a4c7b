/*
 * System services: what their files share. A service is an NTAPI routine ZwName, exported to drivers under both names and called
 * for user mode by number (services.h); whose rules apply is KiPreviousMode's answer. Arguments are captured once, checked, and results are
 * written on success only.
 */
#ifndef NT_NT_H
#define NT_NT_H

#include <ke/user.h>
#include <ntexport.h>
#include <ntifs.h>
#include <ntpeb.h>
#include <ob/ob.h>
#include <ps/user.h>

/* The table is in force from here on: once, before the first program. */
VOID NtInitializeServices(VOID);

/*
 * Hand a result of a fixed size to a query: STATUS_INFO_LENGTH_MISMATCH if there is not just that room, what a bad pointer gives.
 * ReturnLength may be NULL.
 */
NTSTATUS NtpReturnInformation(PVOID To, ULONG Length, PULONG ReturnLength, const VOID *Information, ULONG Size);

/* The affinity mask of all processors. */
static inline ULONG_PTR
NtpAllProcessors(VOID)
{
    return HalProcessorCount() == 64 ? ~0ull : (1ull << HalProcessorCount()) - 1;
}

/* Services that drivers cannot import. */
NTSTATUS NTAPI ZwContinue(PCONTEXT ThreadContext, BOOLEAN TestAlert);
NTSTATUS NTAPI ZwRaiseException(PEXCEPTION_RECORD ExceptionRecord, PCONTEXT ContextRecord, BOOLEAN FirstChance);
NTSTATUS NTAPI ZwTerminateThread(HANDLE ThreadHandle, NTSTATUS ExitStatus);
NTSTATUS NTAPI ZwCreateThreadEx(PHANDLE ThreadHandle, ACCESS_MASK DesiredAccess, POBJECT_ATTRIBUTES ObjectAttributes,
                                HANDLE ProcessHandle, PVOID StartRoutine, PVOID Argument, ULONG CreateFlags, SIZE_T ZeroBits,
                                SIZE_T StackSize, SIZE_T MaximumStackSize, PVOID AttributeList);
NTSTATUS NTAPI ZwDelayExecution(BOOLEAN Alertable, PLARGE_INTEGER DelayInterval);
NTSTATUS NTAPI ZwYieldExecution(VOID);
NTSTATUS NTAPI ZwQuerySystemTime(PLARGE_INTEGER SystemTime);
NTSTATUS NTAPI ZwQueryPerformanceCounter(PLARGE_INTEGER Counter, PLARGE_INTEGER PerformanceFrequency);

#endif
