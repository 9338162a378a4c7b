/*
 * ntpeb.h - what user mode sees of its process and thread: PEB, TEB, process parameters, the loader's lists.
 *
 * Only the members that programs and ntdll.dll use are named; the rest is there by size, so that every offset is the x64 interface's.
 * Documents: "PEB structure", "TEB structure" (winternl.h) and the offsets that debuggers show.
 */
#ifndef NTMM_NTPEB_H
#define NTMM_NTPEB_H

#include "ntdef.h"

typedef struct _PEB_LDR_DATA {
    ULONG Length;
    BOOLEAN Initialized;
    PVOID SsHandle;
    LIST_ENTRY InLoadOrderModuleList;
    LIST_ENTRY InMemoryOrderModuleList;
    LIST_ENTRY InInitializationOrderModuleList;
} PEB_LDR_DATA, *PPEB_LDR_DATA;
C_ASSERT(FIELD_OFFSET(PEB_LDR_DATA, InMemoryOrderModuleList) == 0x20);

typedef struct _LDR_DATA_TABLE_ENTRY {
    LIST_ENTRY InLoadOrderLinks;
    LIST_ENTRY InMemoryOrderLinks;
    LIST_ENTRY InInitializationOrderLinks;
    PVOID DllBase;
    PVOID EntryPoint;
    ULONG SizeOfImage;
    UNICODE_STRING FullDllName;
    UNICODE_STRING BaseDllName;
    ULONG Flags;
    USHORT LoadCount;
    USHORT TlsIndex;
} LDR_DATA_TABLE_ENTRY, *PLDR_DATA_TABLE_ENTRY;
C_ASSERT(FIELD_OFFSET(LDR_DATA_TABLE_ENTRY, DllBase) == 0x30);
C_ASSERT(FIELD_OFFSET(LDR_DATA_TABLE_ENTRY, BaseDllName) == 0x58);

typedef struct _CURDIR {
    UNICODE_STRING DosPath;
    HANDLE Handle;
} CURDIR;

/* Strings point into the block that follows, and are absolute once the process runs. */
typedef struct _RTL_USER_PROCESS_PARAMETERS {
    ULONG MaximumLength;
    ULONG Length;
    ULONG Flags; /* RTL_USER_PROC_PARAMS_NORMALIZED */
    ULONG DebugFlags;
    HANDLE ConsoleHandle;
    ULONG ConsoleFlags;
    HANDLE StandardInput;
    HANDLE StandardOutput;
    HANDLE StandardError;
    CURDIR CurrentDirectory;
    UNICODE_STRING DllPath;
    UNICODE_STRING ImagePathName;
    UNICODE_STRING CommandLine;
    PWSTR Environment;
    ULONG Reserved[0x1C0 / 4];
} RTL_USER_PROCESS_PARAMETERS, *PRTL_USER_PROCESS_PARAMETERS;
C_ASSERT(FIELD_OFFSET(RTL_USER_PROCESS_PARAMETERS, ImagePathName) == 0x60);
C_ASSERT(FIELD_OFFSET(RTL_USER_PROCESS_PARAMETERS, Environment) == 0x80);

#define RTL_USER_PROC_PARAMS_NORMALIZED 0x1

typedef struct _RTL_CRITICAL_SECTION {
    PVOID DebugInfo;
    LONG LockCount; /* -1: free; each owner or waiter adds one */
    LONG RecursionCount;
    HANDLE OwningThread; /* thread id */
    HANDLE LockSemaphore; /* an event, made when somebody first waits */
    ULONG_PTR SpinCount;
} RTL_CRITICAL_SECTION, *PRTL_CRITICAL_SECTION;
C_ASSERT(sizeof(RTL_CRITICAL_SECTION) == 0x28);

typedef struct _PEB {
    BOOLEAN InheritedAddressSpace;
    BOOLEAN ReadImageFileExecOptions;
    BOOLEAN BeingDebugged;
    UCHAR BitField;
    PVOID Mutant;
    PVOID ImageBaseAddress;
    PPEB_LDR_DATA Ldr;
    PRTL_USER_PROCESS_PARAMETERS ProcessParameters;
    PVOID SubSystemData;
    PVOID ProcessHeap;
    PRTL_CRITICAL_SECTION FastPebLock;
    UCHAR Reserved1[0xB8 - 0x40];
    ULONG NumberOfProcessors;
    ULONG NtGlobalFlag;
    LARGE_INTEGER CriticalSectionTimeout;
    UCHAR Reserved2[0x118 - 0xC8];
    ULONG OSMajorVersion;
    ULONG OSMinorVersion;
    USHORT OSBuildNumber;
    USHORT OSCSDVersion;
    ULONG OSPlatformId;
    ULONG ImageSubsystem;
    ULONG ImageSubsystemMajorVersion;
    ULONG ImageSubsystemMinorVersion;
    UCHAR Reserved3[0x7C8 - 0x134];
} PEB, *PPEB;
C_ASSERT(FIELD_OFFSET(PEB, ProcessHeap) == 0x30 && FIELD_OFFSET(PEB, NumberOfProcessors) == 0xB8);
C_ASSERT(FIELD_OFFSET(PEB, OSMajorVersion) == 0x118 && FIELD_OFFSET(PEB, ImageSubsystem) == 0x128);

typedef struct _NT_TIB {
    PVOID ExceptionList;
    PVOID StackBase;
    PVOID StackLimit; /* lowest committed byte; moves down as the stack grows */
    PVOID SubSystemTib;
    PVOID FiberData;
    PVOID ArbitraryUserPointer;
    struct _NT_TIB *Self;
} NT_TIB, *PNT_TIB;

typedef struct _TEB {
    NT_TIB NtTib;
    PVOID EnvironmentPointer;
    CLIENT_ID ClientId;
    PVOID ActiveRpcHandle;
    PVOID ThreadLocalStoragePointer;
    PPEB ProcessEnvironmentBlock;
    ULONG LastErrorValue;
    ULONG CountOfOwnedCriticalSections;
    UCHAR Reserved1[0x1250 - 0x70];
    NTSTATUS LastStatusValue;
    UCHAR Reserved2[0x1478 - 0x1254];
    PVOID DeallocationStack; /* lowest reserved byte */
    PVOID TlsSlots[64];
    UCHAR Reserved3[0x1748 - 0x1680];
    ULONG GuaranteedStackBytes;
    UCHAR Reserved4[0x1838 - 0x174C];
} TEB, *PTEB;
C_ASSERT(FIELD_OFFSET(TEB, NtTib.Self) == 0x30 && FIELD_OFFSET(TEB, ClientId) == 0x40);
C_ASSERT(FIELD_OFFSET(TEB, ProcessEnvironmentBlock) == 0x60 && FIELD_OFFSET(TEB, LastErrorValue) == 0x68);
C_ASSERT(FIELD_OFFSET(TEB, DeallocationStack) == 0x1478 && FIELD_OFFSET(TEB, TlsSlots) == 0x1480);
C_ASSERT(FIELD_OFFSET(TEB, GuaranteedStackBytes) == 0x1748 && sizeof(TEB) == 0x1838);

/* --- Queries and creation that user mode shares with the kernel ----------------------------------------- */

typedef LONG KPRIORITY;

typedef enum _THREADINFOCLASS { ThreadBasicInformation = 0, ThreadQuerySetWin32StartAddress = 9 } THREADINFOCLASS;

typedef struct _THREAD_BASIC_INFORMATION {
    NTSTATUS ExitStatus; /* STATUS_PENDING while it runs */
    PVOID TebBaseAddress;
    CLIENT_ID ClientId;
    ULONG_PTR AffinityMask;
    KPRIORITY Priority;
    LONG BasePriority;
} THREAD_BASIC_INFORMATION, *PTHREAD_BASIC_INFORMATION;
C_ASSERT(sizeof(THREAD_BASIC_INFORMATION) == 0x30);

#define THREAD_CREATE_FLAGS_CREATE_SUSPENDED 0x00000001

#endif
