/* The name space: paths, collisions, life of names, events and directories by name. */
#include "../ps/threads.h"
#include <mm/debug/inject.h>
#include <mm/pool/pool.h>

static NTSTATUS
NameCreate(PCWSTR Path, ULONG Attributes, HANDLE Root, PHANDLE Handle)
{
    OBJECT_ATTRIBUTES Object;
    UNICODE_STRING Name;

    RtlInitUnicodeString(&Name, Path);
    InitializeObjectAttributes(&Object, &Name, Attributes, Root, NULL);
    return ZwCreateEvent(Handle, EVENT_ALL_ACCESS, &Object, NotificationEvent, TRUE);
}

static NTSTATUS
NameOpen(PCWSTR Path, ULONG Attributes, HANDLE Root)
{
    OBJECT_ATTRIBUTES Object;
    UNICODE_STRING Name;
    HANDLE Handle;
    NTSTATUS Status;

    RtlInitUnicodeString(&Name, Path);
    InitializeObjectAttributes(&Object, &Name, Attributes, Root, NULL);
    Status = ZwOpenEvent(&Handle, EVENT_ALL_ACCESS, &Object);
    if (NT_SUCCESS(Status)) {
        ZwClose(Handle);
    }
    return Status;
}

static NTSTATUS
NameDirectory(PCWSTR Path, ULONG Attributes, PHANDLE Handle)
{
    OBJECT_ATTRIBUTES Object;
    UNICODE_STRING Name;

    RtlInitUnicodeString(&Name, Path);
    InitializeObjectAttributes(&Object, &Name, Attributes, NULL, NULL);
    return ZwCreateDirectoryObject(Handle, 0xF000F, &Object);
}

KTEST(NameLife)
{
    HANDLE First, Second;

    CHECK_STATUS(STATUS_OBJECT_NAME_NOT_FOUND, NameOpen(L"\\BaseNamedObjects\\One", 0, NULL));
    CHECK_STATUS(STATUS_SUCCESS, NameCreate(L"\\BaseNamedObjects\\One", OBJ_KERNEL_HANDLE, NULL, &First));
    CHECK_STATUS(STATUS_SUCCESS, NameOpen(L"\\BaseNamedObjects\\One", 0, NULL));
    CHECK_STATUS(STATUS_SUCCESS, NameOpen(L"\\basenamedobjects\\ONE", OBJ_CASE_INSENSITIVE, NULL));
    CHECK_STATUS(STATUS_OBJECT_NAME_NOT_FOUND, NameOpen(L"\\BaseNamedObjects\\ONE", 0, NULL));
    CHECK_STATUS(STATUS_OBJECT_NAME_COLLISION, NameCreate(L"\\BaseNamedObjects\\One", 0, NULL, &Second));
    CHECK_STATUS(STATUS_OBJECT_NAME_EXISTS,
                 NameCreate(L"\\BaseNamedObjects\\One", OBJ_OPENIF | OBJ_KERNEL_HANDLE, NULL, &Second));
    CHECK_STATUS(STATUS_SUCCESS, ZwClose(First));
    CHECK_STATUS(STATUS_SUCCESS, NameOpen(L"\\BaseNamedObjects\\One", 0, NULL));
    CHECK_STATUS(STATUS_SUCCESS, ZwClose(Second));
    CHECK_STATUS(STATUS_OBJECT_NAME_NOT_FOUND, NameOpen(L"\\BaseNamedObjects\\One", 0, NULL));
}

/* With the last handle the name goes, though a reference keeps the object. */
KTEST(NameGoesWithLastHandle)
{
    HANDLE Handle;
    PVOID Event;

    REQUIRE(NT_SUCCESS(NameCreate(L"\\BaseNamedObjects\\Two", 0, NULL, &Handle)));
    CHECK_STATUS(STATUS_SUCCESS,
                 ObReferenceObjectByHandle(Handle, 0, ExEventObjectType, KernelMode, &Event, NULL));
    ZwClose(Handle);
    CHECK_STATUS(STATUS_OBJECT_NAME_NOT_FOUND, NameOpen(L"\\BaseNamedObjects\\Two", 0, NULL));
    CHECK_STATUS(STATUS_SUCCESS, NameCreate(L"\\BaseNamedObjects\\Two", 0, NULL, &Handle));
    ZwClose(Handle);
    ObDereferenceObject(Event);
}

KTEST(NamePermanent)
{
    HANDLE Handle;

    REQUIRE(NT_SUCCESS(NameCreate(L"\\BaseNamedObjects\\Keep", OBJ_PERMANENT, NULL, &Handle)));
    ZwClose(Handle);
    CHECK_STATUS(STATUS_SUCCESS, NameOpen(L"\\BaseNamedObjects\\Keep", 0, NULL));
    CHECK_STATUS(STATUS_OBJECT_NAME_EXISTS,
                 NameCreate(L"\\BaseNamedObjects\\Keep", OBJ_OPENIF, NULL, &Handle));
    CHECK_STATUS(STATUS_SUCCESS, ZwMakeTemporaryObject(Handle));
    ZwClose(Handle);
    CHECK_STATUS(STATUS_OBJECT_NAME_NOT_FOUND, NameOpen(L"\\BaseNamedObjects\\Keep", 0, NULL));
}

KTEST(NameDirectories)
{
    HANDLE Directory, Event, Again;

    CHECK_STATUS(STATUS_SUCCESS, NameDirectory(L"\\BaseNamedObjects\\Dir", OBJ_KERNEL_HANDLE, &Directory));
    CHECK_STATUS(STATUS_OBJECT_NAME_EXISTS, NameDirectory(L"\\BaseNamedObjects\\Dir", OBJ_OPENIF, &Again));
    ZwClose(Again);
    CHECK_STATUS(STATUS_OBJECT_NAME_COLLISION, NameDirectory(L"\\BaseNamedObjects\\Dir", 0, &Again));
    CHECK_STATUS(STATUS_SUCCESS, NameCreate(L"Inside", 0, Directory, &Event));
    CHECK_STATUS(STATUS_SUCCESS, NameOpen(L"\\BaseNamedObjects\\Dir\\Inside", 0, NULL));
    CHECK_STATUS(STATUS_OBJECT_TYPE_MISMATCH, NameOpen(L"\\BaseNamedObjects\\Dir", 0, NULL));
    CHECK_STATUS(STATUS_OBJECT_TYPE_MISMATCH, NameOpen(L"\\BaseNamedObjects\\Dir\\Inside\\More", 0, NULL));
    CHECK_STATUS(STATUS_OBJECT_TYPE_MISMATCH,
                 NameDirectory(L"\\BaseNamedObjects\\Dir\\Inside", OBJ_OPENIF, &Again));
    CHECK_STATUS(STATUS_OBJECT_PATH_SYNTAX_BAD, NameOpen(L"\\Inside", 0, Directory));
    CHECK_STATUS(STATUS_OBJECT_TYPE_MISMATCH, NameOpen(L"Inside", 0, Event));
    /* The directory's name goes with its handle; the directory stays as long as it holds a name. */
    ZwClose(Directory);
    CHECK_STATUS(STATUS_OBJECT_PATH_NOT_FOUND, NameOpen(L"\\BaseNamedObjects\\Dir\\Inside", 0, NULL));
    ZwClose(Event);
}

KTEST(NamePaths)
{
    HANDLE Handle;

    CHECK_STATUS(STATUS_OBJECT_PATH_SYNTAX_BAD, NameOpen(L"NoSlash", 0, NULL));
    CHECK_STATUS(STATUS_OBJECT_PATH_SYNTAX_BAD, NameOpen(L"", 0, NULL));
    CHECK_STATUS(STATUS_OBJECT_NAME_INVALID, NameOpen(L"\\\\Double", 0, NULL));
    CHECK_STATUS(STATUS_OBJECT_NAME_INVALID, NameOpen(L"\\BaseNamedObjects\\", 0, NULL));
    CHECK_STATUS(STATUS_OBJECT_PATH_NOT_FOUND, NameOpen(L"\\Nowhere\\Name", 0, NULL));
    CHECK_STATUS(STATUS_OBJECT_TYPE_MISMATCH, NameOpen(L"\\", 0, NULL));
    CHECK_STATUS(STATUS_OBJECT_PATH_NOT_FOUND, NameCreate(L"\\Nowhere\\Name", 0, NULL, &Handle));
    CHECK_STATUS(STATUS_INVALID_HANDLE, NameOpen(L"Name", 0, (HANDLE)0x7FFFFFF0ull));
    CHECK_STATUS(STATUS_INVALID_PARAMETER, NameOpen(L"\\BaseNamedObjects\\X", 0x80000000, NULL));
}

KTEST(NamedEvents)
{
    LARGE_INTEGER Zero = {0};
    UNICODE_STRING Name;
    HANDLE First, Second;
    PKEVENT Event, Same;
    LONG Previous = -1;

    RtlInitUnicodeString(&Name, L"\\BaseNamedObjects\\Both");
    Event = IoCreateNotificationEvent(&Name, &First);
    REQUIRE(Event != NULL);
    CHECK_EQ(KeReadStateEvent(Event), 1);
    Same = IoCreateSynchronizationEvent(&Name, &Second);
    CHECK(Same == Event);
    CHECK_STATUS(STATUS_SUCCESS, ZwWaitForSingleObject(First, FALSE, &Zero));
    CHECK_STATUS(STATUS_SUCCESS, ZwResetEvent(Second, &Previous));
    CHECK_EQ(Previous, 1);
    CHECK_STATUS(STATUS_TIMEOUT, ZwWaitForSingleObject(First, FALSE, &Zero));
    CHECK_STATUS(STATUS_SUCCESS, ZwSetEvent(First, &Previous));
    CHECK_EQ(Previous, 0);
    CHECK_STATUS(STATUS_SUCCESS, ZwClearEvent(First));
    CHECK_EQ(KeReadStateEvent(Event), 0);
    CHECK_STATUS(STATUS_OBJECT_TYPE_MISMATCH, ZwSetEvent(NtCurrentProcess(), NULL));
    CHECK_STATUS(STATUS_INVALID_HANDLE, ZwSetEvent(NULL, NULL));
    ZwClose(First);
    ZwClose(Second);
    RtlInitUnicodeString(&Name, L"\\Nowhere\\Event");
    CHECK(IoCreateNotificationEvent(&Name, &First) == NULL);
    CHECK_STATUS(STATUS_INVALID_PARAMETER, ZwCreateEvent(&First, 0, NULL, (EVENT_TYPE)7, FALSE));
}

/* Fail each request for memory in turn: nothing stays behind, the name in particular. */
KTEST(NameFailsCleanly)
{
    BOOLEAN Made = FALSE;

    for (ULONG Nth = 1; Nth < 32 && !Made; Nth += 1) {
        HANDLE Handle = NULL;
        NTSTATUS Status;

        MiInjectStartNth(Nth);
        Status = NameCreate(L"\\BaseNamedObjects\\Frail", OBJ_PERMANENT, NULL, &Handle);
        Made = MiInjectStop(NULL) == 0;
        if (NT_SUCCESS(Status)) {
            CHECK_STATUS(STATUS_SUCCESS, ZwMakeTemporaryObject(Handle));
            CHECK_STATUS(STATUS_SUCCESS, ZwClose(Handle));
        } else {
            CHECK_STATUS(STATUS_INSUFFICIENT_RESOURCES, Status);
            CHECK(Handle == NULL);
        }
        CHECK_STATUS(STATUS_OBJECT_NAME_NOT_FOUND, NameOpen(L"\\BaseNamedObjects\\Frail", 0, NULL));
    }
    CHECK(Made);
}
