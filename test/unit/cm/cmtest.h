/* What the tests of the registry share. */
#ifndef TEST_CM_CMTEST_H
#define TEST_CM_CMTEST_H

#include "../ps/threads.h"
#include <cm/cm.h>
#include <mm/debug/inject.h>

#define CM_SERVICES L"\\Registry\\Machine\\System\\CurrentControlSet\\Services"

static inline NTSTATUS
CmTestCreate(PCWSTR Path, HANDLE Root, ULONG Options, PHANDLE Handle, PULONG Disposition)
{
    OBJECT_ATTRIBUTES Object;
    UNICODE_STRING Name;

    RtlInitUnicodeString(&Name, Path);
    InitializeObjectAttributes(&Object, &Name, OBJ_KERNEL_HANDLE, Root, NULL);
    return ZwCreateKey(Handle, KEY_ALL_ACCESS, &Object, 0, NULL, Options, Disposition);
}

static inline NTSTATUS
CmTestOpen(PCWSTR Path, HANDLE Root, PHANDLE Handle)
{
    OBJECT_ATTRIBUTES Object;
    UNICODE_STRING Name;

    RtlInitUnicodeString(&Name, Path);
    InitializeObjectAttributes(&Object, &Name, OBJ_KERNEL_HANDLE, Root, NULL);
    return ZwOpenKey(Handle, KEY_READ, &Object);
}

static inline NTSTATUS
CmTestExists(PCWSTR Path)
{
    HANDLE Handle;
    NTSTATUS Status = CmTestOpen(Path, NULL, &Handle);

    if (NT_SUCCESS(Status)) {
        ZwClose(Handle);
    }
    return Status;
}

static inline NTSTATUS
CmTestSet(HANDLE Handle, PCWSTR ValueName, ULONG Type, const VOID *Data, ULONG Length)
{
    UNICODE_STRING Name;

    RtlInitUnicodeString(&Name, ValueName);
    return ZwSetValueKey(Handle, &Name, 0, Type, (PVOID)(ULONG_PTR)Data, Length);
}

/* A number, all ones if it is not there or none. */
static inline ULONG
CmTestNumber(HANDLE Handle, PCWSTR ValueName)
{
    struct {
        KEY_VALUE_PARTIAL_INFORMATION Information;
        ULONG Room;
    } Answer;
    UNICODE_STRING Name;
    ULONG Length, Number;

    RtlInitUnicodeString(&Name, ValueName);
    if (!NT_SUCCESS(ZwQueryValueKey(Handle, &Name, KeyValuePartialInformation, &Answer, sizeof(Answer), &Length)) ||
        Answer.Information.Type != REG_DWORD) {
        return MAXULONG;
    }
    RtlCopyMemory(&Number, Answer.Information.Data, sizeof(Number));
    return Number;
}

static inline VOID
CmTestDelete(HANDLE Handle)
{
    CHECK_STATUS(STATUS_SUCCESS, ZwDeleteKey(Handle));
    CHECK_STATUS(STATUS_SUCCESS, ZwClose(Handle));
}

#endif
