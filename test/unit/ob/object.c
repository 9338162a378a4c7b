/* Objects: header, references, deferred deletion, misuse. */
#include "../ps/threads.h"

static volatile LONG ObjectDeletes;
static KIRQL ObjectDeleteIrql;

static VOID
ObjectDelete(PVOID Object)
{
    ObjectDeleteIrql = HalGetIrql();
    InterlockedIncrement(&ObjectDeletes);
    CHECK_EQ(*(PULONG)Object, 0x1234);
}

/* One type for all tests here: types are for good. */
static POBJECT_TYPE
ObjectType(VOID)
{
    static const OBJECT_TYPE Template = {
        .Name = L"Test", .Tag = 'tseT', .ValidAccess = STANDARD_RIGHTS_ALL, .WaitOffset = OB_NOT_WAITABLE,
        .Delete = ObjectDelete};
    static POBJECT_TYPE Type;

    if (Type == NULL) {
        Type = ObMakeType(&Template);
    }
    return Type;
}

static PVOID
ObjectMake(VOID)
{
    PVOID Object = NULL;

    CHECK_STATUS(STATUS_SUCCESS, ObMakeObject(ObjectType(), 64, &Object));
    *(PULONG)Object = 0x1234;
    return Object;
}

KTEST_KEEPS(ObjectReferences)
{
    PVOID Object = ObjectMake();
    LONG Before = ObjectDeletes;

    CHECK(ObTypeOf(Object) == ObjectType());
    CHECK_EQ(*(PLONG64)((PUCHAR)Object - 0x30), 1);
    CHECK_EQ(*(PLONG64)((PUCHAR)Object - 0x28), 0);
    CHECK_EQ(ObReferenceObject(Object), 2);
    CHECK_EQ(ObReferenceObjectWithTag(Object, 'tseT'), 3);
    CHECK_STATUS(STATUS_OBJECT_TYPE_MISMATCH,
                 ObReferenceObjectByPointer(Object, 0, *&PsThreadType, KernelMode));
    CHECK_STATUS(STATUS_OBJECT_TYPE_MISMATCH, ObReferenceObjectByPointer(Object, 0, NULL, UserMode));
    CHECK_STATUS(STATUS_SUCCESS, ObReferenceObjectByPointer(Object, 0, NULL, KernelMode));
    CHECK(ObReferenceObjectSafe(Object));
    CHECK_EQ(ObDereferenceObject(Object), 4);
    CHECK_EQ(ObDereferenceObject(Object), 3);
    CHECK_EQ(ObDereferenceObjectWithTag(Object, 'tseT'), 2);
    CHECK_EQ(ObDereferenceObject(Object), 1);
    CHECK_EQ(ObjectType()->ObjectCount, 1);
    CHECK_EQ(ObDereferenceObject(Object), 0);
    CHECK_EQ(ObjectDeletes, Before + 1);
    CHECK_EQ(ObjectType()->ObjectCount, 0);
}

/* An object type stays for good. */
KTEST_KEEPS(ObjectDeletedByWorker)
{
    PVOID Objects[4];
    LONG Before = ObjectDeletes;
    KIRQL OldIrql;

    for (ULONG Index = 0; Index < 4; Index += 1) {
        Objects[Index] = ObjectMake();
    }
    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    for (ULONG Index = 0; Index < 3; Index += 1) {
        CHECK_EQ(ObDereferenceObject(Objects[Index]), 0);
    }
    KeLowerIrql(OldIrql);
    ObDereferenceObjectDeferDelete(Objects[3]);
    ObFlushDeletes();
    CHECK_EQ(ObjectDeletes, Before + 4);
    CHECK_EQ(ObjectDeleteIrql, PASSIVE_LEVEL);
    TestSleep(1500); /* a worker made for this leaves */
    PsFlushEndedThreads();
}

static VOID
ObjectDropTwice(PVOID Object)
{
    ObHeaderOf(Object)->PointerCount = 0;
    ObDereferenceObject(Object);
}

static VOID
ObjectResurrect(PVOID Object)
{
    ObHeaderOf(Object)->PointerCount = 0;
    ObReferenceObject(Object);
}

KTEST(ObjectMisuse)
{
    PVOID Object = ObjectMake();

    CHECK_BUGCHECK_CALL(REFERENCE_BY_POINTER, (ULONG_PTR)ObjectType(), ObjectDropTwice, Object);
    CHECK_BUGCHECK_CALL(DRIVER_VERIFIER_DETECTED_VIOLATION, 0x3F, ObjectResurrect, Object);
    ObHeaderOf(Object)->PointerCount = 0;
    CHECK(!ObReferenceObjectSafe(Object));
    ObHeaderOf(Object)->PointerCount = 1;
    ObDereferenceObject(Object);
}
