/*
 * The run-time library's short forms for keys: paths relative to well-known ones; check, make, write, delete.
 *
 * Documents: RtlCheckRegistryKey, RtlCreateRegistryKey, RtlWriteRegistryValue, RtlDeleteRegistryValue.
 */
#include "cmp.h"
#include <ntexport.h>

static const WCHAR *const CmpPrefixes[RTL_REGISTRY_MAXIMUM] = {
    [RTL_REGISTRY_ABSOLUTE] = L"",
    [RTL_REGISTRY_SERVICES] = L"\\Registry\\Machine\\System\\CurrentControlSet\\Services",
    [RTL_REGISTRY_CONTROL] = L"\\Registry\\Machine\\System\\CurrentControlSet\\Control",
    [RTL_REGISTRY_WINDOWS_NT] = L"\\Registry\\Machine\\Software\\Microsoft\\Windows NT\\CurrentVersion",
    [RTL_REGISTRY_DEVICEMAP] = L"\\Registry\\Machine\\Hardware\\DeviceMap",
    [RTL_REGISTRY_USER] = L"\\Registry\\User\\.Default", /* the system process's user */
};

static NTSTATUS
CmpOpenString(HANDLE Root, PUNICODE_STRING Name, BOOLEAN Create, PHANDLE Handle)
{
    OBJECT_ATTRIBUTES Attributes;

    InitializeObjectAttributes(&Attributes, Name, OBJ_CASE_INSENSITIVE | OBJ_KERNEL_HANDLE, Root, NULL);
    return Create ? ZwCreateKey(Handle, KEY_ALL_ACCESS, &Attributes, 0, NULL, REG_OPTION_NON_VOLATILE, NULL)
                  : ZwOpenKey(Handle, KEY_ALL_ACCESS, &Attributes);
}

NTSTATUS
CmpOpenBelow(HANDLE Root, PCWSTR Path, PHANDLE Handle)
{
    UNICODE_STRING Name;
    NTSTATUS Status = RtlInitUnicodeStringEx(&Name, Path);

    return NT_SUCCESS(Status) ? CmpOpenString(Root, &Name, FALSE, Handle) : Status;
}

/* Prefix\Path, in one block. */
static NTSTATUS
CmpOpenJoined(PCWSTR PrefixText, PCWSTR PathText, BOOLEAN Create, PHANDLE Handle)
{
    UNICODE_STRING Prefix, Path, Joined = {0};
    NTSTATUS Status = RtlInitUnicodeStringEx(&Path, PathText);

    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    RtlInitUnicodeString(&Prefix, PrefixText);
    if (Prefix.Length + Path.Length + sizeof(WCHAR) > 0xFFFE) {
        return STATUS_NAME_TOO_LONG;
    }
    Joined.MaximumLength = (USHORT)(Prefix.Length + Path.Length + sizeof(WCHAR));
    Joined.Buffer = CmpAllocate(Joined.MaximumLength);
    if (Joined.Buffer == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    RtlAppendUnicodeStringToString(&Joined, &Prefix);
    if (Prefix.Length != 0) {
        RtlAppendUnicodeToString(&Joined, L"\\");
    }
    RtlAppendUnicodeStringToString(&Joined, &Path);
    Status = CmpOpenString(NULL, &Joined, Create, Handle);
    CmpFree(Joined.Buffer);
    return Status;
}

NTSTATUS
CmpOpenRelative(ULONG RelativeTo, PCWSTR Path, BOOLEAN Create, PHANDLE Handle)
{
    ULONG Base = RelativeTo & ~(ULONG)(RTL_REGISTRY_HANDLE | RTL_REGISTRY_OPTIONAL);

    if ((RelativeTo & RTL_REGISTRY_HANDLE) != 0) {
        *Handle = (HANDLE)(ULONG_PTR)Path;
        return STATUS_SUCCESS;
    }
    if (Base >= RTL_REGISTRY_MAXIMUM) {
        return STATUS_INVALID_PARAMETER;
    }
    return CmpOpenJoined(CmpPrefixes[Base], Path, Create, Handle);
}

VOID
CmpCloseRelative(ULONG RelativeTo, HANDLE Handle)
{
    if ((RelativeTo & RTL_REGISTRY_HANDLE) == 0) {
        ZwClose(Handle);
    }
}

/* --- Services ---------------------------------------------------------------------------------- */

/* STATUS_SUCCESS if the key is there. PASSIVE_LEVEL. */
NTSTATUS NTAPI
RtlCheckRegistryKey(ULONG RelativeTo, PWSTR Path)
{
    HANDLE Handle;
    NTSTATUS Status = CmpOpenRelative(RelativeTo, Path, FALSE, &Handle);

    if (NT_SUCCESS(Status)) {
        CmpCloseRelative(RelativeTo, Handle);
    }
    return Status;
}
NTEXPORT(RtlCheckRegistryKey);

/* Make the key; those above it must be there. PASSIVE_LEVEL. */
NTSTATUS NTAPI
RtlCreateRegistryKey(ULONG RelativeTo, PWSTR Path)
{
    HANDLE Handle;
    NTSTATUS Status = CmpOpenRelative(RelativeTo, Path, TRUE, &Handle);

    if (NT_SUCCESS(Status)) {
        CmpCloseRelative(RelativeTo, Handle);
    }
    return Status;
}
NTEXPORT(RtlCreateRegistryKey);

/* Set a value; the key is made if those above it are there. PASSIVE_LEVEL. */
NTSTATUS NTAPI
RtlWriteRegistryValue(ULONG RelativeTo, PCWSTR Path, PCWSTR ValueName, ULONG ValueType, PVOID ValueData,
                      ULONG ValueLength)
{
    UNICODE_STRING Name;
    HANDLE Handle;
    NTSTATUS Status = CmpOpenRelative(RelativeTo, Path, TRUE, &Handle);

    if (NT_SUCCESS(Status)) {
        RtlInitUnicodeString(&Name, ValueName);
        Status = ZwSetValueKey(Handle, &Name, 0, ValueType, ValueData, ValueLength);
        CmpCloseRelative(RelativeTo, Handle);
    }
    return Status;
}
NTEXPORT(RtlWriteRegistryValue);

/* Delete a value. STATUS_OBJECT_NAME_NOT_FOUND. PASSIVE_LEVEL. */
NTSTATUS NTAPI
RtlDeleteRegistryValue(ULONG RelativeTo, PCWSTR Path, PCWSTR ValueName)
{
    UNICODE_STRING Name;
    HANDLE Handle;
    NTSTATUS Status = CmpOpenRelative(RelativeTo, Path, FALSE, &Handle);

    if (NT_SUCCESS(Status)) {
        RtlInitUnicodeString(&Name, ValueName);
        Status = ZwDeleteValueKey(Handle, &Name);
        CmpCloseRelative(RelativeTo, Handle);
    }
    return Status;
}
NTEXPORT(RtlDeleteRegistryValue);
