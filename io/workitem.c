/*
 * Work items that keep their device or driver object alive until their routine has returned.
 *
 * An item rides on an executive work item; the object is referenced from queueing until after the routine, which may free
 * the item or queue it again. Freeing one that is queued is bug check 0xE4 (2). Document: "System Worker Threads".
 */
#include "iop.h"

#define IOP_WORK_TAG 0x6B576F49u /* "IoWk" */

typedef struct _IO_WORKITEM {
    WORK_QUEUE_ITEM Item;
    PVOID IoObject;
    PVOID Routine; /* PIO_WORKITEM_ROUTINE or ..._EX */
    PVOID Context;
    BOOLEAN Extended;
} IO_WORKITEM;

static VOID NTAPI
IopRunWorkItem(PVOID Parameter)
{
    PIO_WORKITEM Work = Parameter;
    PVOID Object = Work->IoObject;

    if (Work->Extended) {
        KiCallRoutine(Work->Routine, (ULONG_PTR)Object, (ULONG_PTR)Work->Context, (ULONG_PTR)Work, 0);
    } else {
        KiCallRoutine(Work->Routine, (ULONG_PTR)Object, (ULONG_PTR)Work->Context, 0, 0);
    }
    ObfDereferenceObject(Object);
}

/* The bytes of a work item, for drivers that make their own storage. Any IRQL. */
ULONG NTAPI
IoSizeofWorkItem(VOID)
{
    return sizeof(IO_WORKITEM);
}
NTEXPORT(IoSizeofWorkItem);

/* Make a work item of a device or driver object in nonpaged storage of the caller's. An object that is neither: bug check
 * 0xE4 (3). Any IRQL. */
VOID NTAPI
IoInitializeWorkItem(PVOID IoObject, PIO_WORKITEM IoWorkItem)
{
    CSHORT Type = *(CSHORT *)IoObject;

    if (Type != IO_TYPE_DEVICE && Type != IO_TYPE_DRIVER) {
        KeBugCheckEx(WORKER_INVALID, 3, (ULONG_PTR)IoWorkItem, (ULONG_PTR)IoObject, 0);
    }
    RtlZeroMemory(IoWorkItem, sizeof(*IoWorkItem));
    ExInitializeWorkItem(&IoWorkItem->Item, IopRunWorkItem, IoWorkItem);
    IoWorkItem->IoObject = IoObject;
}
NTEXPORT(IoInitializeWorkItem);

/* The end of such a work item, which must not be queued: bug check 0xE4 (2). */
VOID NTAPI
IoUninitializeWorkItem(PIO_WORKITEM IoWorkItem)
{
    if (IoWorkItem->Item.List.Flink != NULL) {
        KeBugCheckEx(WORKER_INVALID, 2, (ULONG_PTR)IoWorkItem, (ULONG_PTR)IoWorkItem->Routine, 0);
    }
}
NTEXPORT(IoUninitializeWorkItem);

/* A work item of a device (or driver object), the caller's to free; NULL without memory. IRQL <= DISPATCH_LEVEL. */
PIO_WORKITEM NTAPI
IoAllocateWorkItem(PDEVICE_OBJECT DeviceObject)
{
    PIO_WORKITEM Work = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*Work), IOP_WORK_TAG);

    if (Work != NULL) {
        IoInitializeWorkItem(DeviceObject, Work);
    }
    return Work;
}
NTEXPORT(IoAllocateWorkItem);

/* Free it; it must not be queued: bug check 0xE4 (2). IRQL <= DISPATCH_LEVEL. */
VOID NTAPI
IoFreeWorkItem(PIO_WORKITEM IoWorkItem)
{
    IoUninitializeWorkItem(IoWorkItem);
    ExFreePoolWithTag(IoWorkItem, IOP_WORK_TAG);
}
NTEXPORT(IoFreeWorkItem);

static VOID
IopQueueWork(PIO_WORKITEM Work, PVOID Routine, WORK_QUEUE_TYPE QueueType, PVOID Context, BOOLEAN Extended)
{
    if (Work->Item.List.Flink == NULL) {
        /* Queued twice is found out by ExQueueWorkItem, and must not change what is queued. */
        Work->Routine = Routine;
        Work->Context = Context;
        Work->Extended = Extended;
        ObfReferenceObject(Work->IoObject);
    }
    ExQueueWorkItem(&Work->Item, QueueType);
}

/* Have WorkerRoutine(device, Context) called at PASSIVE_LEVEL by a system thread. Queued already: bug check 0xE4 (1). IRQL
 * <= DISPATCH_LEVEL. */
VOID NTAPI
IoQueueWorkItem(PIO_WORKITEM IoWorkItem, PIO_WORKITEM_ROUTINE WorkerRoutine, WORK_QUEUE_TYPE QueueType, PVOID Context)
{
    IopQueueWork(IoWorkItem, (PVOID)(ULONG_PTR)WorkerRoutine, QueueType, Context, FALSE);
}
NTEXPORT(IoQueueWorkItem);

/* The same for WorkerRoutine(object, Context, item). */
VOID NTAPI
IoQueueWorkItemEx(PIO_WORKITEM IoWorkItem, PIO_WORKITEM_ROUTINE_EX WorkerRoutine, WORK_QUEUE_TYPE QueueType,
                  PVOID Context)
{
    IopQueueWork(IoWorkItem, (PVOID)(ULONG_PTR)WorkerRoutine, QueueType, Context, TRUE);
}
NTEXPORT(IoQueueWorkItemEx);
