/*
 * Small services: versions, identifiers, and the variables drivers import.
 *
 * The system claims to be Windows 10, version 22H2, a free build. ExpInitializeVersion writes that, and what
 * else of shared user data does not change, where drivers read it; the routines here say what is written
 * there.
 */
#include "ex.h"
#include <ntexport.h>

#define EXP_NTDDI_OS_MASK 0xFFFF0000u
#define EXP_NTDDI_SP_MASK 0x0000FF00u

#define EXP_MAJOR_VERSION 10
#define EXP_MINOR_VERSION 0
#define EXP_BUILD 19045
#define EXP_FREE_BUILD 0xF0000000u
#define EXP_MACHINE_AMD64 0x8664      /* IMAGE_FILE_MACHINE_AMD64 */
#define EXP_ARCHITECTURE_AMD64 9      /* PROCESSOR_ARCHITECTURE_AMD64 */
#define EXP_SUITE_SINGLE_USER_TS 0x110 /* terminal services, one user */

/* There is no kernel debugger. */
BOOLEAN KdDebuggerEnabled = FALSE;
NTEXPORT_DATA(KdDebuggerEnabled);
BOOLEAN KdDebuggerNotPresent = TRUE;
NTEXPORT_DATA(KdDebuggerNotPresent);

ULONG NtBuildNumber = EXP_FREE_BUILD | EXP_BUILD;
NTEXPORT_DATA(NtBuildNumber);
CCHAR KeNumberProcessors = 1;
NTEXPORT_DATA(KeNumberProcessors);

/* Bits of ProcessorFeatures that every x64 processor has, by index. */
static const UCHAR ExpProcessorFeatures[] = {
    2,  /* compare-exchange of 8 bytes */
    3,  /* MMX */
    6,  /* SSE */
    8,  /* time-stamp counter */
    9,  /* physical addresses above 4 GB */
    10, /* SSE2 */
    12, /* no-execute pages */
    14, /* compare-exchange of 16 bytes */
};

static SIZE_T
ExpPhysicalPages(VOID)
{
    SIZE_T Pages = 0;

    for (ULONG Index = 0; Index < KiLoaderBlock->RunCount; Index += 1) {
        if (KiLoaderBlock->Runs[Index].Type != HalMemoryBad) {
            Pages += KiLoaderBlock->Runs[Index].PageCount;
        }
    }
    return Pages;
}

VOID
ExpInitializeVersion(VOID)
{
    static const WCHAR SystemRoot[] = L"C:\\Windows";
    PKUSER_SHARED_DATA Shared = HalSharedUserData();

    KeNumberProcessors = (CCHAR)HalProcessorCount();
    Shared->NtMajorVersion = EXP_MAJOR_VERSION;
    Shared->NtMinorVersion = EXP_MINOR_VERSION;
    Shared->NtBuildNumber = EXP_BUILD;
    Shared->NtProductType = NtProductWinNt;
    Shared->ProductTypeIsValid = TRUE;
    Shared->SuiteMask = EXP_SUITE_SINGLE_USER_TS;
    Shared->ImageNumberLow = EXP_MACHINE_AMD64;
    Shared->ImageNumberHigh = EXP_MACHINE_AMD64;
    Shared->NativeProcessorArchitecture = EXP_ARCHITECTURE_AMD64;
    Shared->LargePageMinimum = 2 * 1024 * 1024;
    Shared->NumberOfPhysicalPages = (ULONG)MIN(ExpPhysicalPages(), (SIZE_T)MAXULONG);
    Shared->ActiveProcessorCount = HalProcessorCount();
    Shared->ActiveGroupCount = 1;
    Shared->Cookie = (ULONG)HalRandom();
    for (ULONG Index = 0; Index < RTL_NUMBER_OF(ExpProcessorFeatures); Index += 1) {
        Shared->ProcessorFeatures[ExpProcessorFeatures[Index]] = TRUE;
    }
    RtlCopyMemory(Shared->NtSystemRoot, SystemRoot, sizeof(SystemRoot));
}

/*
 * Fill RTL_OSVERSIONINFOW or, if dwOSVersionInfoSize is its size, RTL_OSVERSIONINFOEXW; other members than
 * that size are overwritten. STATUS_SUCCESS. PASSIVE_LEVEL.
 */
NTSTATUS NTAPI
RtlGetVersion(PRTL_OSVERSIONINFOW VersionInformation)
{
    PKUSER_SHARED_DATA Shared = HalSharedUserData();
    PRTL_OSVERSIONINFOEXW Extended = (PRTL_OSVERSIONINFOEXW)(PVOID)VersionInformation;

    VersionInformation->dwMajorVersion = Shared->NtMajorVersion;
    VersionInformation->dwMinorVersion = Shared->NtMinorVersion;
    VersionInformation->dwBuildNumber = Shared->NtBuildNumber & 0xFFFF;
    VersionInformation->dwPlatformId = 2;
    RtlZeroMemory(VersionInformation->szCSDVersion, sizeof(VersionInformation->szCSDVersion));
    if (VersionInformation->dwOSVersionInfoSize == sizeof(RTL_OSVERSIONINFOEXW)) {
        Extended->wServicePackMajor = 0;
        Extended->wServicePackMinor = 0;
        Extended->wSuiteMask = (USHORT)Shared->SuiteMask;
        Extended->wProductType = (UCHAR)Shared->NtProductType;
        Extended->wReserved = 0;
    }
    return STATUS_SUCCESS;
}
NTEXPORT(RtlGetVersion);

/* The sub-version of NTDDI_WIN10_* values that a build of version 10.0 stands for. */
static ULONG
ExpNtDdiSubVersion(ULONG Build)
{
    static const ULONG Builds[] = {10240, 10586, 14393, 15063, 16299, 17134, 17763,
                                   18362, 19041, 19536, 20348, 22000, 22621};
    ULONG Index = 0;

    while (Index + 1 < RTL_NUMBER_OF(Builds) && Builds[Index + 1] <= Build) {
        Index += 1;
    }
    return Index;
}

/* TRUE if the system is Version, an NTDDI_* value without a service pack, or later. PASSIVE_LEVEL. */
BOOLEAN NTAPI
RtlIsNtDdiVersionAvailable(ULONG Version)
{
    PKUSER_SHARED_DATA Shared = HalSharedUserData();
    ULONG Current = Shared->NtMajorVersion << 24 | Shared->NtMinorVersion << 16;

    if ((Version & EXP_NTDDI_SP_MASK) != 0) {
        return (Version & EXP_NTDDI_OS_MASK) < Current;
    }
    if (Shared->NtMajorVersion >= 10) {
        Current |= ExpNtDdiSubVersion(Shared->NtBuildNumber & 0xFFFF);
    }
    return Version <= Current;
}
NTEXPORT(RtlIsNtDdiVersionAvailable);

/* The version's parts, each where it is asked for; CSDVersion becomes an empty string. FALSE: a free build.
 * Any IRQL. */
BOOLEAN NTAPI
PsGetVersion(PULONG MajorVersion, PULONG MinorVersion, PULONG BuildNumber, PUNICODE_STRING CSDVersion)
{
    PKUSER_SHARED_DATA Shared = HalSharedUserData();

    if (MajorVersion != NULL) {
        *MajorVersion = Shared->NtMajorVersion;
    }
    if (MinorVersion != NULL) {
        *MinorVersion = Shared->NtMinorVersion;
    }
    if (BuildNumber != NULL) {
        *BuildNumber = Shared->NtBuildNumber & 0xFFFF;
    }
    if (CSDVersion != NULL) {
        CSDVersion->Length = 0;
        CSDVersion->MaximumLength = 0;
        CSDVersion->Buffer = NULL;
    }
    return FALSE;
}
NTEXPORT(PsGetVersion);

/* Make a random (version 4) identifier; it depends on the seed. STATUS_SUCCESS. <= APC_LEVEL. */
NTSTATUS NTAPI
ExUuidCreate(UUID *Uuid)
{
    ULONG64 Words[2] = {HalRandom(), HalRandom()};

    C_ASSERT(sizeof(*Uuid) == sizeof(Words));
    RtlCopyMemory(Uuid, Words, sizeof(*Uuid));
    Uuid->Data3 = (USHORT)((Uuid->Data3 & 0x0FFF) | 0x4000);
    Uuid->Data4[0] = (UCHAR)((Uuid->Data4[0] & 0x3F) | 0x80);
    return STATUS_SUCCESS;
}
NTEXPORT(ExUuidCreate);

/* The routines behind the inline ones, for images that import them: floating point needs no saving on x64. */
static NTSTATUS NTAPI
ExpSaveFloatingPointState(PKFLOATING_SAVE FloatSave)
{
    return KeSaveFloatingPointState(FloatSave);
}
NTEXPORT_AS("KeSaveFloatingPointState", ExpSaveFloatingPointState);

static NTSTATUS NTAPI
ExpRestoreFloatingPointState(PKFLOATING_SAVE FloatSave)
{
    return KeRestoreFloatingPointState(FloatSave);
}
NTEXPORT_AS("KeRestoreFloatingPointState", ExpRestoreFloatingPointState);
