/*
 * Small services: versions, previous mode, identifiers, and the variables drivers import. What they say of the version is
 * what shared user data says.
 */
#include "ex.h"
#include <ntexport.h>

#define EXP_NTDDI_OS_MASK 0xFFFF0000u
#define EXP_NTDDI_SP_MASK 0x0000FF00u

/* There is no kernel debugger. */
BOOLEAN KdDebuggerEnabled = FALSE;
NTEXPORT_DATA(KdDebuggerEnabled);
BOOLEAN KdDebuggerNotPresent = TRUE;
NTEXPORT_DATA(KdDebuggerNotPresent);

/* UserMode if the thread's current system call came from user mode. Every thread is a system thread. <= APC_LEVEL. */
KPROCESSOR_MODE NTAPI
ExGetPreviousMode(VOID)
{
    return KernelMode;
}
NTEXPORT(ExGetPreviousMode);

/*
 * Fill RTL_OSVERSIONINFOW or, if dwOSVersionInfoSize is its size, RTL_OSVERSIONINFOEXW; other members than that
 * size are overwritten. STATUS_SUCCESS. PASSIVE_LEVEL.
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
    static const ULONG Builds[] = {10240, 10586, 14393, 15063, 16299, 17134, 17763, 18362, 19041, 19042, 20348, 22000,
                                   22621};
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

/* The version's parts, each where it is asked for; CSDVersion becomes an empty string. FALSE: a free build. Any IRQL. */
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
