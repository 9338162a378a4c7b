/*
 * What the files of ntdll.dll know of each other: the user-mode half of the system, mapped into every process.
 *
 * A Windows DLL, built from this folder and from the parts of rtl/ that need no kernel. It lives on system services alone and
 * keeps its state in its data section, which each process has its own copy of. Everything here runs in user mode on the program's stacks.
 */
#ifndef NTMM_NTDLL_H
#define NTMM_NTDLL_H

#include <ntifs.h>
#include <ntpeb.h>

/* --- System services that no public header of the kernel declares ------------------------------------ */

NTSTATUS NTAPI NtContinue(PCONTEXT Context, BOOLEAN TestAlert);
NTSTATUS NTAPI NtRaiseException(PEXCEPTION_RECORD Record, PCONTEXT Context, BOOLEAN FirstChance);
NTSTATUS NTAPI NtTerminateProcess(HANDLE Process, NTSTATUS ExitStatus);
NTSTATUS NTAPI NtTerminateThread(HANDLE Thread, NTSTATUS ExitStatus);
NTSTATUS NTAPI NtCreateThreadEx(PHANDLE Thread, ACCESS_MASK Access, POBJECT_ATTRIBUTES Attributes, HANDLE Process,
                                PVOID StartRoutine, PVOID Argument, ULONG Flags, SIZE_T ZeroBits, SIZE_T StackSize,
                                SIZE_T MaximumStackSize, PVOID AttributeList);
NTSTATUS NTAPI NtAllocateVirtualMemory(HANDLE Process, PVOID *BaseAddress, ULONG_PTR ZeroBits, PSIZE_T RegionSize,
                                       ULONG AllocationType, ULONG Protect);
NTSTATUS NTAPI NtFreeVirtualMemory(HANDLE Process, PVOID *BaseAddress, PSIZE_T RegionSize, ULONG FreeType);
NTSTATUS NTAPI NtWaitForSingleObject(HANDLE Handle, BOOLEAN Alertable, PLARGE_INTEGER Timeout);
NTSTATUS NTAPI NtCreateEvent(PHANDLE Event, ACCESS_MASK Access, POBJECT_ATTRIBUTES Attributes, EVENT_TYPE Type,
                             BOOLEAN InitialState);
NTSTATUS NTAPI NtSetEvent(HANDLE Event, PLONG PreviousState);
NTSTATUS NTAPI NtClose(HANDLE Handle);
NTSTATUS NTAPI NtQueryInformationThread(HANDLE Thread, THREADINFOCLASS Class, PVOID Information, ULONG Length,
                                        PULONG ReturnLength);

/* --- This thread ------------------------------------------------------------------------------------ */

static inline PTEB
NtCurrentTeb(VOID)
{
    PTEB Teb;

    __asm__ volatile("movq %%gs:0x30, %0" : "=r"(Teb));
    return Teb;
}

#define NtCurrentPeb() (NtCurrentTeb()->ProcessEnvironmentBlock)

/* --- Exceptions (except.c, unwind.c) ------------------------------------------------------------------ */

typedef LONG(NTAPI *PVECTORED_EXCEPTION_HANDLER)(PEXCEPTION_POINTERS ExceptionInfo);

VOID NTAPI RtlRaiseStatus(NTSTATUS Status);
VOID NTAPI RtlExitUserThread(NTSTATUS Status) DECLSPEC_NORETURN;

/* Ask vectored handlers, then the frames'. TRUE: Context goes on. */
BOOLEAN RtlpDispatchException(PEXCEPTION_RECORD Record, PCONTEXT Context);

/* One frame outwards; FALSE if the walk has come to its end. What there is of a handler. */
typedef struct _RTLP_USER_FRAME {
    ULONG64 ImageBase;
    PRUNTIME_FUNCTION Entry;
    EXCEPTION_ROUTINE *Handler; /* of the kind asked for, or NULL */
    PVOID HandlerData;
    ULONG64 EstablisherFrame;
} RTLP_USER_FRAME, *PRTLP_USER_FRAME;
BOOLEAN RtlpStepFrame(PCONTEXT Context, ULONG HandlerType, PRTLP_USER_FRAME Frame);
BOOLEAN RtlpIsOnStack(ULONG64 Address);

/* In assembly (stubs.S). */
EXCEPTION_DISPOSITION NTAPI RtlpCallHandler(PEXCEPTION_RECORD Record, PVOID EstablisherFrame, PCONTEXT Context,
                                            PDISPATCHER_CONTEXT Dispatcher, EXCEPTION_ROUTINE *Handler, BOOLEAN Unwind);
VOID NTAPI DECLSPEC_NORETURN RtlpRestoreRegisters(PCONTEXT Context);

/* --- Locks (sync.c) ------------------------------------------------------------------------------------ */

NTSTATUS NTAPI RtlInitializeCriticalSection(PRTL_CRITICAL_SECTION Section);
NTSTATUS NTAPI RtlEnterCriticalSection(PRTL_CRITICAL_SECTION Section);
NTSTATUS NTAPI RtlLeaveCriticalSection(PRTL_CRITICAL_SECTION Section);
NTSTATUS NTAPI RtlDeleteCriticalSection(PRTL_CRITICAL_SECTION Section);

/* --- Heap (heap.c) --------------------------------------------------------------------------------------- */

PVOID NTAPI RtlAllocateHeap(PVOID Heap, ULONG Flags, SIZE_T Size);
BOOLEAN NTAPI RtlFreeHeap(PVOID Heap, ULONG Flags, PVOID Block);

/* The process's heap is made, the lists in the PEB are filled in. Called once, by the first thread. */
VOID RtlpInitializeHeap(VOID);
VOID LdrpInitializeProcess(PVOID NtdllBase);

#endif
