/*
 * A native program's life: a process, its images, the first thread, the end.
 *
 * The first thread of the new process begins here, in the kernel, in the process's address space: it maps ntdll.dll and the program, makes the
 * process environment block and the parameters, and enters user mode. The system thread that made it waits for the process, which ends
 * with its last thread or an unhandled exception, and finds everything given back.
 */
#include "init.h"
#include <ke/user.h>
#include <ldr/user.h>
#include <mm/va/va.h>
#include <nt/nt.h>
#include <ps/user.h>
#include <rtl/rtl.h>

#define INIT_PROGRAM_TAG 0x676F7250u /* "Prog" */
#define INIT_PARAMETERS_ROOM 0x4000u  /* bytes of strings */
#define INIT_PATH_PREFIX L"\\??\\C:\\"

typedef struct _INIT_PROGRAM {
    PEPROCESS Process;
    LDR_USER_IMAGE Ntdll;
    LDR_USER_IMAGE Image;
    PS_USER_START Start;
    NTSTATUS Status;    /* of loading */
    const char *Reason;
    KEVENT Loaded;
} INIT_PROGRAM, *PINIT_PROGRAM;

/* --- Environment block and parameters ------------------------------------------------------------------------ */

/* Write text as UTF-16 behind what is there already. */
static VOID
InitpAppend(PRTL_USER_PROCESS_PARAMETERS Parameters, PUNICODE_STRING String, ULONG_PTR Base, PCWSTR Prefix, const char *Text)
{
    PWCHAR At = (PWCHAR)((PUCHAR)Parameters + Parameters->Length);
    ULONG Length = 0;

    while (Prefix[Length] != 0) {
        At[Length] = Prefix[Length];
        Length += 1;
    }
    for (; *Text != 0 && Length < MAXUSHORT / sizeof(WCHAR) / 8; Text += 1) {
        At[Length] = (UCHAR)*Text;
        Length += 1;
    }
    At[Length] = 0;
    String->Buffer = (PWSTR)(Base + Parameters->Length);
    String->Length = (USHORT)(Length * sizeof(WCHAR));
    String->MaximumLength = (USHORT)(String->Length + sizeof(WCHAR));
    Parameters->Length += (ULONG)ALIGN_UP_BY(String->MaximumLength, 16);
}

static NTSTATUS
InitpMakeParameters(PINIT_PROGRAM Program, PULONG_PTR Base)
{
    SIZE_T Size = sizeof(RTL_USER_PROCESS_PARAMETERS) + INIT_PARAMETERS_ROOM * 2;
    PRTL_USER_PROCESS_PARAMETERS Parameters = ExAllocatePool2(POOL_FLAG_PAGED, Size, INIT_PROGRAM_TAG);
    NTSTATUS Status = STATUS_INSUFFICIENT_RESOURCES;

    if (Parameters == NULL) {
        return Status;
    }
    Status = PsAllocateUser(Size, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE, Base);
    if (NT_SUCCESS(Status)) {
        Parameters->MaximumLength = (ULONG)Size;
        Parameters->Length = sizeof(*Parameters);
        Parameters->Flags = RTL_USER_PROC_PARAMS_NORMALIZED;
        InitpAppend(Parameters, &Parameters->CurrentDirectory.DosPath, *Base, L"C:\\", "");
        InitpAppend(Parameters, &Parameters->DllPath, *Base, L"C:\\", "");
        InitpAppend(Parameters, &Parameters->ImagePathName, *Base, INIT_PATH_PREFIX, Program->Image.File->Name);
        InitpAppend(Parameters, &Parameters->CommandLine, *Base, L"",
                    KiLoaderBlock->CommandLine != NULL ? KiLoaderBlock->CommandLine : Program->Image.File->Name);
        Parameters->Environment = (PWSTR)(*Base + Parameters->Length); /* two zeros: empty */
        Parameters->Length += 2 * sizeof(WCHAR);
        Status = KiCopyToUser((PVOID)*Base, Parameters, Parameters->Length);
    }
    ExFreePoolWithTag(Parameters, INIT_PROGRAM_TAG);
    return Status;
}

static NTSTATUS
InitpMakePeb(PINIT_PROGRAM Program, PULONG_PTR Base)
{
    PPEB Peb = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*Peb), INIT_PROGRAM_TAG);
    ULONG_PTR Parameters = 0;
    RTL_OSVERSIONINFOW Version = {.dwOSVersionInfoSize = sizeof(Version)};
    NTSTATUS Status = Peb == NULL ? STATUS_INSUFFICIENT_RESOURCES : InitpMakeParameters(Program, &Parameters);

    if (NT_SUCCESS(Status)) {
        RtlGetVersion(&Version);
        Peb->ImageBaseAddress = (PVOID)Program->Image.Base;
        Peb->ProcessParameters = (PRTL_USER_PROCESS_PARAMETERS)Parameters;
        Peb->NumberOfProcessors = HalProcessorCount();
        Peb->OSMajorVersion = Version.dwMajorVersion;
        Peb->OSMinorVersion = Version.dwMinorVersion;
        Peb->OSBuildNumber = (USHORT)Version.dwBuildNumber;
        Peb->OSPlatformId = Version.dwPlatformId;
        Peb->ImageSubsystem = IMAGE_SUBSYSTEM_NATIVE;
        Status = PsAllocateUser(sizeof(*Peb), MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE, Base);
    }
    if (NT_SUCCESS(Status)) {
        Status = KiCopyToUser((PVOID)*Base, Peb, sizeof(*Peb));
    }
    if (Peb != NULL) {
        ExFreePoolWithTag(Peb, INIT_PROGRAM_TAG);
    }
    return Status;
}

/* --- The first thread ------------------------------------------------------------------------------------------ */

static NTSTATUS
InitpLoadProgram(PINIT_PROGRAM Program)
{
    const IMAGE_NT_HEADERS64 *Headers;
    PS_USER_SYSTEM System;
    ULONG_PTR Peb;
    NTSTATUS Status = LdrLoadUserImage(&Program->Ntdll, NULL, &Program->Reason);

    if (NT_SUCCESS(Status)) {
        Program->Reason = "not enough memory";
        Status = LdrInitializeUserLoader(&Program->Ntdll);
    }
    if (NT_SUCCESS(Status)) {
        Status = LdrLoadUserImage(&Program->Image, &Program->Ntdll, &Program->Reason);
    }
    if (NT_SUCCESS(Status)) {
        Program->Reason = "not enough memory";
        Status = InitpMakePeb(Program, &Peb);
    }
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    System.NtdllBase = Program->Ntdll.Base;
    System.InitializeThunk = LdrUserExport(&Program->Ntdll, "LdrInitializeThunk");
    System.ThreadStart = LdrUserExport(&Program->Ntdll, "RtlUserThreadStart");
    PsSetProgram(Program->Process, Peb, &System);
    Headers = (const IMAGE_NT_HEADERS64 *)(Program->Image.Bytes + ((const IMAGE_DOS_HEADER *)Program->Image.Bytes)->e_lfanew);
    Program->Start.StackReserve = Headers->OptionalHeader.SizeOfStackReserve;
    Program->Start.StackCommit = Headers->OptionalHeader.SizeOfStackCommit;
    Program->Start.StartRoutine = Program->Image.Base + Program->Image.Info->EntryPoint;
    Program->Start.Argument = Peb;
    return STATUS_SUCCESS;
}

static VOID NTAPI
InitpProgramThread(PVOID Context)
{
    PINIT_PROGRAM Program = Context;
    NTSTATUS Status = InitpLoadProgram(Program);

    LdrForgetUserImage(&Program->Image);
    LdrForgetUserImage(&Program->Ntdll);
    Program->Status = Status;
    KeSetEvent(&Program->Loaded, 0, FALSE);
    if (NT_SUCCESS(Status)) {
        InitRun.EntryCalled = TRUE;
        Status = PsEnterUserThread(&Program->Start);
    }
    PsTerminateSystemThread(Status);
}

/* --- The whole life --------------------------------------------------------------------------------------------- */

static BOOLEAN
InitpHasSuffix(const char *Name, const char *Suffix)
{
    SIZE_T Length = 0, Wanted = 0;

    while (Name[Length] != 0) {
        Length += 1;
    }
    while (Suffix[Wanted] != 0) {
        Wanted += 1;
    }
    for (SIZE_T Index = 1; Index <= Wanted; Index += 1) {
        if (Length < Wanted || (Name[Length - Index] | 0x20) != (Suffix[Wanted - Index] | 0x20)) {
            return FALSE;
        }
    }
    return TRUE;
}

BOOLEAN
InitIsNative(const HAL_IMAGE_FILE *File)
{
    return InitpHasSuffix(File->Name, ".exe");
}

static VOID DECLSPEC_NORETURN
InitpRefuse(const char *Name, const char *Reason, NTSTATUS Status)
{
    CHAR Line[256];
    LONG Length =
        RtlpPrintBuffer(Line, sizeof(Line), "ntmm: %s cannot be loaded: %s (0x%08X)\n", Name, Reason, (ULONG)Status);

    HalPutDiagnostic(Line, (SIZE_T)Length);
    HalExit(INIT_EXIT_UNLOADABLE);
}

ULONG
InitRunNative(const HAL_IMAGE_FILE *File)
{
    PINIT_PROGRAM Program = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*Program), INIT_PROGRAM_TAG);
    PKTHREAD Thread;
    NTSTATUS Status;

    InitRun.ImageName = File->Name;
    InitRun.Program = TRUE;
    if (Program == NULL) {
        InitpRefuse(File->Name, "not enough memory", STATUS_INSUFFICIENT_RESOURCES);
    }
    Program->Image.File = File;
    Program->Ntdll.File = &KiLoaderBlock->Ntdll;
    if (Program->Ntdll.File->Bytes == NULL) {
        InitpRefuse(File->Name, "there is no ntdll.dll beside ntmm", STATUS_DLL_NOT_FOUND);
    }
    NtInitializeServices();
    KeInitializeEvent(&Program->Loaded, NotificationEvent, FALSE);
    KeInitializeEvent(&Program->Start.Begun, NotificationEvent, FALSE);
    Status = PsCreateProgram(&Program->Process);
    if (NT_SUCCESS(Status)) {
        Status = PsCreateProcessThread(Program->Process, InitpProgramThread, Program, 8, &Thread);
    }
    if (!NT_SUCCESS(Status)) {
        InitpRefuse(File->Name, "not enough memory", Status);
    }
    InitRun.Thread = Thread;
    KeWaitForSingleObject(&Program->Loaded, Executive, KernelMode, FALSE, NULL);
    if (!NT_SUCCESS(Program->Status)) {
        InitpRefuse(File->Name, Program->Reason, Program->Status);
    }
    KeWaitForSingleObject(Program->Process, Executive, KernelMode, FALSE, NULL);
    InitRun.EntryReturned = TRUE;
    InitRun.EntryStatus = PsGetProcessExitStatus(Program->Process);
    InitRun.Crashed = PsQueryCrash(Program->Process, &InitRun.Crash, &InitRun.CrashRip);
    ObDereferenceObject(Thread);
    ObDereferenceObject(Program->Process);
    ExFreePoolWithTag(Program, INIT_PROGRAM_TAG);
    return NT_SUCCESS(InitRun.EntryStatus) ? INIT_EXIT_CLEAN : INIT_EXIT_IMAGE_FAILED;
}
