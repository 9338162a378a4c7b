/* Handles: values, types, access, closing, pseudo handles, duplication, enumeration. */
#include "../ps/threads.h"

static HANDLE
HandleOfEvent(ACCESS_MASK Access, ULONG Attributes)
{
    OBJECT_ATTRIBUTES Object;
    HANDLE Handle = NULL;

    InitializeObjectAttributes(&Object, NULL, Attributes, NULL, NULL);
    CHECK_STATUS(STATUS_SUCCESS, ZwCreateEvent(&Handle, Access, &Object, NotificationEvent, FALSE));
    return Handle;
}

KTEST(HandleTypesAndAccess)
{
    OBJECT_HANDLE_INFORMATION Info;
    HANDLE Kernel = HandleOfEvent(EVENT_ALL_ACCESS, OBJ_KERNEL_HANDLE);
    HANDLE Plain = HandleOfEvent(GENERIC_READ, 0);
    PVOID Object = NULL, Untouched = &Info;

    CHECK_EQ((ULONG64)Kernel >> 31, 0x1FFFFFFFF);
    CHECK((ULONG64)Plain < 0x80000000 && ((ULONG64)Plain & 3) == 0 && Plain != NULL);
    CHECK_STATUS(STATUS_SUCCESS, ObReferenceObjectByHandle(Kernel, EVENT_MODIFY_STATE, ExEventObjectType,
                                                           KernelMode, &Object, &Info));
    CHECK_EQ(Info.GrantedAccess, EVENT_ALL_ACCESS);
    CHECK_EQ(ObHeaderOf(Object)->HandleCount, 1);
    CHECK_EQ(ObHeaderOf(Object)->PointerCount, 2);
    ObDereferenceObject(Object);

    CHECK_STATUS(STATUS_OBJECT_TYPE_MISMATCH,
                 ObReferenceObjectByHandle(Kernel, 0, PsThreadType, KernelMode, &Untouched, NULL));
    CHECK_STATUS(STATUS_INVALID_HANDLE,
                 ObReferenceObjectByHandle(Kernel, 0, ExEventObjectType, UserMode, &Untouched, NULL));
    CHECK_STATUS(STATUS_ACCESS_DENIED, ObReferenceObjectByHandle(Plain, EVENT_MODIFY_STATE, ExEventObjectType,
                                                                 UserMode, &Untouched, NULL));
    CHECK_STATUS(STATUS_INVALID_HANDLE,
                 ObReferenceObjectByHandle(NULL, 0, NULL, KernelMode, &Untouched, NULL));
    CHECK_STATUS(STATUS_INVALID_HANDLE,
                 ObReferenceObjectByHandle((HANDLE)0x7FFFFFF0ull, 0, NULL, KernelMode, &Untouched, NULL));
    CHECK_STATUS(STATUS_INVALID_HANDLE,
                 ObReferenceObjectByHandle((HANDLE)0x123456789ABCull, 0, NULL, KernelMode, &Untouched, NULL));
    CHECK(Untouched == &Info);
    CHECK_STATUS(STATUS_SUCCESS, ObReferenceObjectByHandle(Plain, EVENT_QUERY_STATE, ExEventObjectType,
                                                           UserMode, &Object, &Info));
    CHECK_EQ(Info.GrantedAccess, STANDARD_RIGHTS_READ | EVENT_QUERY_STATE);
    ObDereferenceObject(Object);
    CHECK_STATUS(STATUS_SUCCESS, ZwClose(Kernel));
    CHECK_STATUS(STATUS_SUCCESS, ZwClose(Plain));
    CHECK_STATUS(STATUS_INVALID_HANDLE, ZwClose(Plain));
    CHECK_STATUS(STATUS_INVALID_HANDLE, ZwClose(NULL));
}

KTEST(HandlePseudo)
{
    PVOID Object;

    CHECK_STATUS(STATUS_SUCCESS,
                 ObReferenceObjectByHandle(NtCurrentProcess(), 0, PsProcessType, KernelMode, &Object, NULL));
    CHECK(Object == PsInitialSystemProcess);
    ObDereferenceObject(Object);
    CHECK_STATUS(STATUS_SUCCESS,
                 ObReferenceObjectByHandle(NtCurrentThread(), 0, PsThreadType, KernelMode, &Object, NULL));
    CHECK(Object == KeGetCurrentThread());
    ObDereferenceObject(Object);
    CHECK_STATUS(STATUS_OBJECT_TYPE_MISMATCH,
                 ObReferenceObjectByHandle(NtCurrentThread(), 0, PsProcessType, KernelMode, &Object, NULL));
    CHECK_STATUS(STATUS_SUCCESS, ZwClose(NtCurrentProcess()));
}

KTEST(HandleByPointerAndDuplicate)
{
    HANDLE Handle, Second, Third = NULL;
    PVOID Thread = KeGetCurrentThread();
    LONG64 Before = ObHeaderOf(Thread)->PointerCount;

    CHECK_STATUS(STATUS_OBJECT_TYPE_MISMATCH,
                 ObOpenObjectByPointer(Thread, OBJ_KERNEL_HANDLE, NULL, THREAD_ALL_ACCESS, PsProcessType,
                                       KernelMode, &Handle));
    CHECK_STATUS(STATUS_INVALID_PARAMETER, ObOpenObjectByPointer(Thread, 0x80000000, NULL, THREAD_ALL_ACCESS,
                                                                 NULL, KernelMode, &Handle));
    CHECK_STATUS(STATUS_SUCCESS, ObOpenObjectByPointer(Thread, OBJ_KERNEL_HANDLE, NULL, THREAD_ALL_ACCESS,
                                                       PsThreadType, KernelMode, &Handle));
    CHECK_STATUS(STATUS_SUCCESS, ZwDuplicateObject(NtCurrentProcess(), Handle, NtCurrentProcess(), &Second, 0,
                                                   0, DUPLICATE_SAME_ACCESS));
    CHECK_EQ(ObHeaderOf(Thread)->PointerCount, Before + 2);
    CHECK_STATUS(STATUS_SUCCESS, ZwDuplicateObject(NtCurrentProcess(), Second, NtCurrentProcess(), &Third,
                                                   SYNCHRONIZE, OBJ_KERNEL_HANDLE, DUPLICATE_CLOSE_SOURCE));
    CHECK_STATUS(STATUS_INVALID_HANDLE, ZwClose(Second));
    CHECK_STATUS(STATUS_INVALID_HANDLE,
                 ZwDuplicateObject(NtCurrentProcess(), Second, NtCurrentProcess(), &Third, 0, 0, 0));
    CHECK_STATUS(STATUS_OBJECT_TYPE_MISMATCH,
                 ZwDuplicateObject(NtCurrentThread(), Handle, NtCurrentProcess(), &Third, 0, 0, 0));
    CHECK_STATUS(STATUS_SUCCESS, ZwClose(Third));
    CHECK_STATUS(STATUS_SUCCESS, ZwClose(Handle));
    CHECK_EQ(ObHeaderOf(Thread)->PointerCount, Before);
}

typedef struct _HANDLE_SEARCH {
    HANDLE Handle;
    ULONG Found, Total;
} HANDLE_SEARCH;

static VOID
HandleVisitor(const OB_HANDLE_INFO *Info, PVOID Context)
{
    HANDLE_SEARCH *Search = Context;

    Search->Total += 1;
    if (Info->Handle == Search->Handle) {
        Search->Found += 1;
        CHECK_EQ(Info->TypeName[0], 'E');
        CHECK(!Info->Image);
    }
}

KTEST_KEEPS(HandleManyAndReuse)
{
    enum { Count = 600 };
    static HANDLE Handles[Count];
    HANDLE_SEARCH Search = {0}, After = {0};

    for (ULONG Index = 0; Index < Count; Index += 1) {
        Handles[Index] = HandleOfEvent(EVENT_ALL_ACCESS, OBJ_KERNEL_HANDLE);
        for (ULONG Other = 0; Other < Index; Other += 97) {
            CHECK(Handles[Other] != Handles[Index]);
        }
    }
    Search.Handle = Handles[Count / 2];
    ObEnumerateHandles(HandleVisitor, &Search);
    CHECK_EQ(Search.Found, 1);
    for (ULONG Index = 0; Index < Count; Index += 1) {
        CHECK_STATUS(STATUS_SUCCESS, ZwClose(Handles[Index]));
    }
    ObEnumerateHandles(HandleVisitor, &After);
    CHECK_EQ(Search.Total - After.Total, Count);
    /* A number just freed is used again as late as possible. */
    Search.Handle = HandleOfEvent(EVENT_ALL_ACCESS, OBJ_KERNEL_HANDLE);
    CHECK(Search.Handle != Handles[Count - 1]);
    ZwClose(Search.Handle);
}

static VOID
HandleCloseHigh(PVOID Handle)
{
    KiRaiseIrql(APC_LEVEL);
    ZwClose(Handle);
}

KTEST(HandleMisuse)
{
    CHECK_BUGCHECK_CALL(DRIVER_VERIFIER_DETECTED_VIOLATION, 0xE6, HandleCloseHigh, NULL);
}
