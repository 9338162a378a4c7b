/*
 * Objects: making, references, deleting; see ob.h.
 *
 *                ObMakeObject         ObfReferenceObject, handles                 ObfDereferenceObject
 *     pool block ------------> count 1 <=======================> count n ... count 1 -------> count 0
 *                                                                                                |
 *                         pool block <-- ObpDeleteObject: name, delete procedure, free <---------+
 *                                              (at once at PASSIVE_LEVEL, else by a worker)
 *
 * Counts are atomic. An object whose count is 0 is on its way out: nothing references it any more, the name
 * space and the tables give it out no longer (ObReferenceObjectSafe). Lowering a count below 0, or to 0 with
 * open handles, is bug check 0x18; a reference to such an object 0xC4 (0x3F).
 */
#include "obp.h"
#include <ntexport.h>
#include <ex/ex.h>

#define OBP_MAXIMUM_TYPES 32
#define OBP_TYPE_TAG 0x546A624Fu /* "ObjT" */

static POBJECT_TYPE ObpTypes[OBP_MAXIMUM_TYPES]; /* by index; 0 is none */
static ULONG ObpTypeCount = 1;

static volatile PVOID ObpDeleteList;             /* of OBJECT_HEADER.NextToFree, newest first */
static volatile LONG ObpDeletesPending;
static WORK_QUEUE_ITEM ObpDeleteItem;

VOID DECLSPEC_NORETURN
ObFailStart(VOID)
{
    static const char Text[] = "ntmm: not enough memory to start; give --memory more\n";

    HalPutDiagnostic(Text, sizeof(Text) - 1);
    HalExit(5);
}

VOID
ObInitialize(VOID)
{
    ExpInitializeVersion();
    ObpInitializeNames();
    ObpInitializeEvents();
    ObpInitializeCallbacks();
}

/* --- Types ------------------------------------------------------------------------------------ */

POBJECT_TYPE
ObMakeType(const OBJECT_TYPE *Template)
{
    POBJECT_TYPE Type = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*Type), OBP_TYPE_TAG);

    if (Type == NULL) {
        ObFailStart();
    }
    NT_VERIFY(ObpTypeCount < OBP_MAXIMUM_TYPES);
    *Type = *Template;
    Type->Index = (UCHAR)ObpTypeCount;
    Type->ObjectCount = 0;
    Type->HandleCount = 0;
    ObpTypes[ObpTypeCount] = Type;
    ObpTypeCount += 1;
    return Type;
}

POBJECT_TYPE
ObTypeOf(PVOID Object)
{
    POBJECT_TYPE Type = ObpTypes[ObHeaderOf(Object)->TypeIndex % OBP_MAXIMUM_TYPES];

    if (Type == NULL) {
        KeBugCheckEx(BAD_OBJECT_HEADER, (ULONG_PTR)Object, 0, 0, 0);
    }
    return Type;
}

VOID
ObRequirePassive(VOID)
{
    KIRQL Irql = HalGetIrql();

    if (Irql > PASSIVE_LEVEL) {
        ExpVerifierStop(0xE6, Irql, (ULONG_PTR)(LONG_PTR)KiCurrentThread()->KernelApcDisable, 0);
    }
}

/* --- Making and deleting ---------------------------------------------------------------------- */

NTSTATUS
ObMakeObject(POBJECT_TYPE Type, SIZE_T BodySize, PVOID *Object)
{
    POBJECT_HEADER Header = ExAllocatePool2(Type->Paged ? POOL_FLAG_PAGED : POOL_FLAG_NON_PAGED,
                                            sizeof(*Header) + BodySize, Type->Tag);

    if (Header == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    Header->PointerCount = 1;
    Header->TypeIndex = Type->Index;
    Header->Flags = OB_FLAG_KERNEL_OBJECT;
    InterlockedIncrement(&Type->ObjectCount);
    *Object = Header + 1;
    return STATUS_SUCCESS;
}

/* Nobody refers to the object. PASSIVE_LEVEL. */
static VOID
ObpDeleteObject(POBJECT_HEADER Header)
{
    PVOID Object = Header + 1;
    POBJECT_TYPE Type = ObTypeOf(Object);

    if (Header->Name != NULL) {
        ObForgetName(Object);
    }
    if (Type->Delete != NULL) {
        Type->Delete(Object);
    }
    InterlockedDecrement(&Type->ObjectCount);
    ExFreePoolWithTag(Header, Type->Tag);
}

/* Delete everything on the list, oldest first. */
static VOID NTAPI
ObpDeleteWorker(PVOID Parameter)
{
    POBJECT_HEADER Header = InterlockedExchangePointer(&ObpDeleteList, NULL);
    POBJECT_HEADER Oldest = NULL;
    POBJECT_HEADER Next;

    UNREFERENCED_PARAMETER(Parameter);
    for (; Header != NULL; Header = Next) {
        Next = Header->NextToFree;
        Header->NextToFree = Oldest;
        Oldest = Header;
    }
    for (Header = Oldest; Header != NULL; Header = Next) {
        Next = Header->NextToFree;
        Header->HandleCount = 0;
        ObpDeleteObject(Header);
        InterlockedDecrement(&ObpDeletesPending);
    }
}

/* Leave the object to the worker; whoever finds the list empty wakes it. <= DISPATCH_LEVEL. */
static VOID
ObpDeferDelete(POBJECT_HEADER Header)
{
    PVOID Old;

    InterlockedIncrement(&ObpDeletesPending);
    do {
        Old = __atomic_load_n(&ObpDeleteList, __ATOMIC_RELAXED);
        Header->NextToFree = Old;
    } while (InterlockedCompareExchangePointer(&ObpDeleteList, Header, Old) != Old);
    if (Old == NULL) {
        ExInitializeWorkItem(&ObpDeleteItem, ObpDeleteWorker, NULL);
        ExQueueWorkItem(&ObpDeleteItem, CriticalWorkQueue);
    }
}

VOID
ObFlushDeletes(VOID)
{
    LARGE_INTEGER Interval = {.QuadPart = -10 * 1000};

    while (__atomic_load_n(&ObpDeletesPending, __ATOMIC_ACQUIRE) != 0) {
        KeDelayExecutionThread(KernelMode, FALSE, &Interval);
    }
}

/* --- References ------------------------------------------------------------------------------- */

static LONG_PTR
ObpReference(PVOID Object)
{
    LONG64 Count = __atomic_add_fetch(&ObHeaderOf(Object)->PointerCount, 1, __ATOMIC_RELAXED);

    if (Count <= 1) {
        ExpVerifierStop(0x3F, (ULONG_PTR)Object, (ULONG_PTR)Count, 0);
    }
    return (LONG_PTR)Count;
}

/* Drop a reference; TRUE if the object must be deleted. */
static BOOLEAN
ObpDropReference(PVOID Object, LONG64 *Count)
{
    POBJECT_HEADER Header = ObHeaderOf(Object);

    *Count = __atomic_sub_fetch(&Header->PointerCount, 1, __ATOMIC_ACQ_REL);
    if (*Count < 0 || (*Count == 0 && Header->HandleCount != 0)) {
        KeBugCheckEx(REFERENCE_BY_POINTER, (ULONG_PTR)ObTypeOf(Object), (ULONG_PTR)Object, 2,
                     (ULONG_PTR)*Count);
    }
    return *Count == 0;
}

/* Add a reference; returns the count with it. IRQL <= DISPATCH_LEVEL. */
LONG_PTR NTAPI
ObfReferenceObject(PVOID Object)
{
    return ObpReference(Object);
}
NTEXPORT(ObfReferenceObject);
NTEXPORT_AS("ObReferenceObject", ObfReferenceObject);

/* The same; Tag is for tracing, of which there is none. */
LONG_PTR NTAPI
ObfReferenceObjectWithTag(PVOID Object, ULONG Tag)
{
    UNREFERENCED_PARAMETER(Tag);
    return ObpReference(Object);
}
NTEXPORT(ObfReferenceObjectWithTag);

/* Add a reference unless the last one is gone: FALSE. IRQL <= DISPATCH_LEVEL. */
BOOLEAN NTAPI
ObReferenceObjectSafe(PVOID Object)
{
    LONG64 *Count = &ObHeaderOf(Object)->PointerCount;
    LONG64 Old = __atomic_load_n(Count, __ATOMIC_RELAXED);

    while (Old > 0) {
        if (__atomic_compare_exchange_n(Count, &Old, Old + 1, FALSE, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
            return TRUE;
        }
    }
    return FALSE;
}
NTEXPORT(ObReferenceObjectSafe);

/*
 * Drop a reference; returns the count left. With the last one the object is deleted, by a worker if IRQL is
 * above PASSIVE_LEVEL. IRQL <= DISPATCH_LEVEL.
 */
LONG_PTR NTAPI
ObfDereferenceObject(PVOID Object)
{
    LONG64 Count;

    if (ObpDropReference(Object, &Count)) {
        if (HalGetIrql() == PASSIVE_LEVEL) {
            ObpDeleteObject(ObHeaderOf(Object));
        } else {
            ObpDeferDelete(ObHeaderOf(Object));
        }
    }
    return (LONG_PTR)Count;
}
NTEXPORT(ObfDereferenceObject);
NTEXPORT_AS("ObDereferenceObject", ObfDereferenceObject);

LONG_PTR NTAPI
ObfDereferenceObjectWithTag(PVOID Object, ULONG Tag)
{
    UNREFERENCED_PARAMETER(Tag);
    return ObfDereferenceObject(Object);
}
NTEXPORT(ObfDereferenceObjectWithTag);

/* Drop a reference and leave the deleting to a worker in any case: the caller holds locks. IRQL <=
 * DISPATCH_LEVEL. */
VOID NTAPI
ObDereferenceObjectDeferDelete(PVOID Object)
{
    LONG64 Count;

    if (ObpDropReference(Object, &Count)) {
        ObpDeferDelete(ObHeaderOf(Object));
    }
}
NTEXPORT(ObDereferenceObjectDeferDelete);

VOID NTAPI
ObDereferenceObjectDeferDeleteWithTag(PVOID Object, ULONG Tag)
{
    UNREFERENCED_PARAMETER(Tag);
    ObDereferenceObjectDeferDelete(Object);
}
NTEXPORT(ObDereferenceObjectDeferDeleteWithTag);

/*
 * Add a reference to an object of ObjectType (NULL: of any, in kernel mode only).
 * STATUS_OBJECT_TYPE_MISMATCH. IRQL <= DISPATCH_LEVEL.
 */
NTSTATUS NTAPI
ObReferenceObjectByPointer(PVOID Object, ACCESS_MASK DesiredAccess, POBJECT_TYPE ObjectType,
                           KPROCESSOR_MODE AccessMode)
{
    UNREFERENCED_PARAMETER(DesiredAccess);
    if (ObTypeOf(Object) != ObjectType && (ObjectType != NULL || AccessMode != KernelMode)) {
        return STATUS_OBJECT_TYPE_MISMATCH;
    }
    ObpReference(Object);
    return STATUS_SUCCESS;
}
NTEXPORT(ObReferenceObjectByPointer);

NTSTATUS NTAPI
ObReferenceObjectByPointerWithTag(PVOID Object, ACCESS_MASK DesiredAccess, POBJECT_TYPE ObjectType,
                                  KPROCESSOR_MODE AccessMode, ULONG Tag)
{
    UNREFERENCED_PARAMETER(Tag);
    return ObReferenceObjectByPointer(Object, DesiredAccess, ObjectType, AccessMode);
}
NTEXPORT(ObReferenceObjectByPointerWithTag);
