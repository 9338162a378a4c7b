/*
 * The first code of a process and of each thread, and the last.
 *
 * The kernel maps the program and this DLL, binds the program's imports, makes PEB, TEB and a stack, and begins each thread at
 * LdrInitializeThunk with the context it is to go on with. The first thread of a process makes the heap and the loader's lists; then the
 * context goes on at RtlUserThreadStart, which calls the start routine and ends the thread with what it returns.
 */
#include "ntdll.h"
#include <ldr/pe.h>
#include <ntexport.h>

static PEB_LDR_DATA LdrpData = {
    .Length = sizeof(PEB_LDR_DATA),
    .InLoadOrderModuleList = {&LdrpData.InLoadOrderModuleList, &LdrpData.InLoadOrderModuleList},
    .InMemoryOrderModuleList = {&LdrpData.InMemoryOrderModuleList, &LdrpData.InMemoryOrderModuleList},
    .InInitializationOrderModuleList = {&LdrpData.InInitializationOrderModuleList, &LdrpData.InInitializationOrderModuleList},
};
static LDR_DATA_TABLE_ENTRY LdrpProgram, LdrpNtdll;
static RTL_CRITICAL_SECTION LdrpPebLock = {.LockCount = -1};

static VOID
LdrpEnterImage(PLDR_DATA_TABLE_ENTRY Entry, PVOID Base, PCUNICODE_STRING Path)
{
    const IMAGE_NT_HEADERS64 *Headers =
        (const IMAGE_NT_HEADERS64 *)((const UCHAR *)Base + ((const IMAGE_DOS_HEADER *)Base)->e_lfanew);
    USHORT Start = Path->Length / sizeof(WCHAR);

    Entry->DllBase = Base;
    Entry->EntryPoint = (PUCHAR)Base + Headers->OptionalHeader.AddressOfEntryPoint;
    Entry->SizeOfImage = Headers->OptionalHeader.SizeOfImage;
    Entry->FullDllName = *Path;
    Entry->LoadCount = (USHORT)-1;
    while (Start > 0 && Path->Buffer[Start - 1] != L'\\' && Path->Buffer[Start - 1] != L'/') {
        Start -= 1;
    }
    Entry->BaseDllName.Buffer = Path->Buffer + Start;
    Entry->BaseDllName.Length = (USHORT)(Path->Length - Start * sizeof(WCHAR));
    Entry->BaseDllName.MaximumLength = Entry->BaseDllName.Length;
    InsertTailList(&LdrpData.InLoadOrderModuleList, &Entry->InLoadOrderLinks);
    InsertTailList(&LdrpData.InMemoryOrderModuleList, &Entry->InMemoryOrderLinks);
    InsertTailList(&LdrpData.InInitializationOrderModuleList, &Entry->InInitializationOrderLinks);
}

VOID
LdrpInitializeProcess(PVOID NtdllBase)
{
    static UNICODE_STRING NtdllPath = RTL_CONSTANT_STRING(L"\\SystemRoot\\System32\\ntdll.dll");
    PPEB Peb = NtCurrentPeb();

    LdrpEnterImage(&LdrpProgram, Peb->ImageBaseAddress, &Peb->ProcessParameters->ImagePathName);
    LdrpEnterImage(&LdrpNtdll, NtdllBase, &NtdllPath);
    LdrpData.Initialized = TRUE;
    Peb->Ldr = &LdrpData;
    Peb->FastPebLock = &LdrpPebLock;
    RtlpInitializeHeap();
}

typedef NTSTATUS(NTAPI *LDRP_START)(PVOID Argument);

VOID NTAPI
RtlUserThreadStart(LDRP_START StartRoutine, PVOID Argument)
{
    RtlExitUserThread(StartRoutine(Argument));
}
NTEXPORT(RtlUserThreadStart);

/* From LdrInitializeThunk. The first thread comes before any other exists. */
VOID NTAPI
LdrpInitializeThread(PCONTEXT Context, PVOID NtdllBase)
{
    if (NtCurrentPeb()->Ldr == NULL) {
        LdrpInitializeProcess(NtdllBase);
    }
    NtContinue(Context, TRUE);
    NtTerminateThread(NtCurrentThread(), STATUS_INTERNAL_ERROR);
}

/* --- Images ------------------------------------------------------------------------------------------------ */

/* The base of a loaded image by name, with or without `.dll`. STATUS_DLL_NOT_FOUND. */
NTSTATUS NTAPI
LdrGetDllHandle(PCWSTR Path, PULONG Characteristics, PCUNICODE_STRING Name, PVOID *Base)
{
    PLIST_ENTRY Link;

    UNREFERENCED_PARAMETER(Path);
    UNREFERENCED_PARAMETER(Characteristics);
    for (Link = LdrpData.InLoadOrderModuleList.Flink; Link != &LdrpData.InLoadOrderModuleList; Link = Link->Flink) {
        PLDR_DATA_TABLE_ENTRY Entry = CONTAINING_RECORD(Link, LDR_DATA_TABLE_ENTRY, InLoadOrderLinks);
        UNICODE_STRING Stem = Entry->BaseDllName;

        if (Stem.Length > 4 * sizeof(WCHAR)) {
            Stem.Length -= 4 * sizeof(WCHAR);
        }
        if (RtlEqualUnicodeString(&Entry->BaseDllName, Name, TRUE) || RtlEqualUnicodeString(&Stem, Name, TRUE)) {
            *Base = Entry->DllBase;
            return STATUS_SUCCESS;
        }
    }
    return STATUS_DLL_NOT_FOUND;
}
NTEXPORT(LdrGetDllHandle);

static BOOLEAN
LdrpSameName(const CHAR *First, const ANSI_STRING *Second)
{
    USHORT Index;

    for (Index = 0; Index < Second->Length && First[Index] == Second->Buffer[Index]; Index += 1) {
    }
    return Index == Second->Length && First[Index] == 0;
}

/* An export of a loaded image, by name or, Name NULL, by ordinal. STATUS_ENTRYPOINT_NOT_FOUND, STATUS_ORDINAL_NOT_FOUND. */
NTSTATUS NTAPI
LdrGetProcedureAddress(PVOID Base, const ANSI_STRING *Name, ULONG Ordinal, PVOID *Address)
{
    const UCHAR *Bytes = Base;
    const IMAGE_NT_HEADERS64 *Headers = (const IMAGE_NT_HEADERS64 *)(Bytes + ((const IMAGE_DOS_HEADER *)Base)->e_lfanew);
    const IMAGE_DATA_DIRECTORY *Directory = &Headers->OptionalHeader.DataDirectory[IMAGE_DIRECTORY_ENTRY_EXPORT];
    const IMAGE_EXPORT_DIRECTORY *Exports = (const IMAGE_EXPORT_DIRECTORY *)(Bytes + Directory->VirtualAddress);
    const ULONG *Functions, *Names;
    const USHORT *Ordinals;
    ULONG Index = Ordinal;

    if (Directory->Size == 0) {
        return STATUS_PROCEDURE_NOT_FOUND;
    }
    Functions = (const ULONG *)(Bytes + Exports->AddressOfFunctions);
    if (Name != NULL) {
        Names = (const ULONG *)(Bytes + Exports->AddressOfNames);
        Ordinals = (const USHORT *)(Bytes + Exports->AddressOfNameOrdinals);
        for (Index = 0; Index < Exports->NumberOfNames; Index += 1) {
            if (LdrpSameName((const CHAR *)Bytes + Names[Index], Name)) {
                *Address = (PVOID)(Bytes + Functions[Ordinals[Index]]);
                return STATUS_SUCCESS;
            }
        }
        return STATUS_ENTRYPOINT_NOT_FOUND;
    }
    if (Ordinal < Exports->Base || Ordinal - Exports->Base >= Exports->NumberOfFunctions) {
        return STATUS_ORDINAL_NOT_FOUND;
    }
    *Address = (PVOID)(Bytes + Functions[Ordinal - Exports->Base]);
    return STATUS_SUCCESS;
}
NTEXPORT(LdrGetProcedureAddress);

/* --- Threads and the end ----------------------------------------------------------------------------------- */

/* End this thread; the last one of a process ends that. */
VOID NTAPI
RtlExitUserThread(NTSTATUS Status)
{
    NtTerminateThread(NtCurrentThread(), Status);
    __builtin_trap();
}
NTEXPORT(RtlExitUserThread);

/* End this process, all its threads. */
VOID NTAPI
RtlExitUserProcess(NTSTATUS Status)
{
    NtTerminateProcess(NtCurrentProcess(), Status);
    __builtin_trap();
}
NTEXPORT(RtlExitUserProcess);

/*
 * Make a thread that calls StartAddress(Parameter). ThreadHandle and ClientId may be NULL; the handle is the caller's to close.
 */
NTSTATUS NTAPI
RtlCreateUserThread(HANDLE Process, PVOID SecurityDescriptor, BOOLEAN CreateSuspended, ULONG ZeroBits, SIZE_T MaximumStackSize,
                    SIZE_T CommittedStackSize, PVOID StartAddress, PVOID Parameter, PHANDLE ThreadHandle, PCLIENT_ID ClientId)
{
    THREAD_BASIC_INFORMATION Information;
    OBJECT_ATTRIBUTES Attributes;
    HANDLE Thread;
    NTSTATUS Status;

    InitializeObjectAttributes(&Attributes, NULL, 0, NULL, SecurityDescriptor);
    Status = NtCreateThreadEx(&Thread, THREAD_ALL_ACCESS, &Attributes, Process, StartAddress, Parameter,
                              CreateSuspended ? THREAD_CREATE_FLAGS_CREATE_SUSPENDED : 0, ZeroBits, CommittedStackSize,
                              MaximumStackSize, NULL);
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    if (ClientId != NULL) {
        Status = NtQueryInformationThread(Thread, ThreadBasicInformation, &Information, sizeof(Information), NULL);
        *ClientId = Information.ClientId;
    }
    if (ThreadHandle != NULL) {
        *ThreadHandle = Thread;
    } else {
        NtClose(Thread);
    }
    return Status;
}
NTEXPORT(RtlCreateUserThread);

PVOID NTAPI
RtlGetCurrentPeb(VOID)
{
    return NtCurrentPeb();
}
NTEXPORT(RtlGetCurrentPeb);

VOID NTAPI
RtlAcquirePebLock(VOID)
{
    RtlEnterCriticalSection(&LdrpPebLock);
}
NTEXPORT(RtlAcquirePebLock);

VOID NTAPI
RtlReleasePebLock(VOID)
{
    RtlLeaveCriticalSection(&LdrpPebLock);
}
NTEXPORT(RtlReleasePebLock);
