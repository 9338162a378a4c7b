/*
 * Device queues, and requests one after the other through a driver's StartIo routine.
 *
 * A queue is busy or not. Inserting into one that is not makes it busy and keeps the entry out: its owner starts it at
 * once. Removing from one that is busy gives the next entry or, if there is none, ends the business.
 *
 * Lock: the queue's own spin lock. Document: "Device Queue Objects", "Writing StartIo Routines".
 */
#include "iop.h"

/* Make a queue that is empty and not busy. */
VOID NTAPI
KeInitializeDeviceQueue(PKDEVICE_QUEUE DeviceQueue)
{
    RtlZeroMemory(DeviceQueue, sizeof(*DeviceQueue));
    DeviceQueue->Type = 20;
    DeviceQueue->Size = sizeof(*DeviceQueue);
    InitializeListHead(&DeviceQueue->DeviceListHead);
    KeInitializeSpinLock(&DeviceQueue->Lock);
}
NTEXPORT(KeInitializeDeviceQueue);

/* Insert at the end or by key. FALSE, and busy from now on, if the queue was idle. */
static BOOLEAN
IopInsertEntry(PKDEVICE_QUEUE Queue, PKDEVICE_QUEUE_ENTRY Entry, BOOLEAN ByKey)
{
    KIRQL OldIrql;

    KeAcquireSpinLock(&Queue->Lock, &OldIrql);
    Entry->Inserted = Queue->Busy;
    if (Queue->Busy) {
        PLIST_ENTRY Next = &Queue->DeviceListHead;

        /* Behind all with the same or a smaller key. */
        while (ByKey && Next->Blink != &Queue->DeviceListHead &&
               CONTAINING_RECORD(Next->Blink, KDEVICE_QUEUE_ENTRY, DeviceListEntry)->SortKey > Entry->SortKey) {
            Next = Next->Blink;
        }
        InsertTailList(Next, &Entry->DeviceListEntry);
    }
    Queue->Busy = TRUE;
    KeReleaseSpinLock(&Queue->Lock, OldIrql);
    return Entry->Inserted;
}

/* Queue the entry at the end: TRUE. If the queue is not busy it becomes so, and FALSE is returned. IRQL <=
 * DISPATCH_LEVEL. */
BOOLEAN NTAPI
KeInsertDeviceQueue(PKDEVICE_QUEUE DeviceQueue, PKDEVICE_QUEUE_ENTRY DeviceQueueEntry)
{
    return IopInsertEntry(DeviceQueue, DeviceQueueEntry, FALSE);
}
NTEXPORT(KeInsertDeviceQueue);

/* The same in order of keys. */
BOOLEAN NTAPI
KeInsertByKeyDeviceQueue(PKDEVICE_QUEUE DeviceQueue, PKDEVICE_QUEUE_ENTRY DeviceQueueEntry, ULONG SortKey)
{
    DeviceQueueEntry->SortKey = SortKey;
    return IopInsertEntry(DeviceQueue, DeviceQueueEntry, TRUE);
}
NTEXPORT(KeInsertByKeyDeviceQueue);

static PKDEVICE_QUEUE_ENTRY
IopRemoveEntry(PKDEVICE_QUEUE Queue, ULONG SortKey)
{
    PKDEVICE_QUEUE_ENTRY Entry = NULL;
    KIRQL OldIrql;

    KeAcquireSpinLock(&Queue->Lock, &OldIrql);
    if (IsListEmpty(&Queue->DeviceListHead)) {
        Queue->Busy = FALSE;
    } else {
        PLIST_ENTRY Links = Queue->DeviceListHead.Flink;

        while (Links != &Queue->DeviceListHead &&
               CONTAINING_RECORD(Links, KDEVICE_QUEUE_ENTRY, DeviceListEntry)->SortKey < SortKey) {
            Links = Links->Flink;
        }
        if (Links == &Queue->DeviceListHead) {
            Links = Queue->DeviceListHead.Flink;
        }
        RemoveEntryList(Links);
        Entry = CONTAINING_RECORD(Links, KDEVICE_QUEUE_ENTRY, DeviceListEntry);
        Entry->Inserted = FALSE;
    }
    KeReleaseSpinLock(&Queue->Lock, OldIrql);
    return Entry;
}

/* Take the first entry; NULL, and not busy any more, if there is none. IRQL <= DISPATCH_LEVEL. */
PKDEVICE_QUEUE_ENTRY NTAPI
KeRemoveDeviceQueue(PKDEVICE_QUEUE DeviceQueue)
{
    return IopRemoveEntry(DeviceQueue, 0);
}
NTEXPORT(KeRemoveDeviceQueue);

/* The same for the first entry with at least that key; if there is none, the first. */
PKDEVICE_QUEUE_ENTRY NTAPI
KeRemoveByKeyDeviceQueue(PKDEVICE_QUEUE DeviceQueue, ULONG SortKey)
{
    return IopRemoveEntry(DeviceQueue, SortKey);
}
NTEXPORT(KeRemoveByKeyDeviceQueue);

/* Take this entry out; FALSE if it is not queued. IRQL <= DISPATCH_LEVEL. */
BOOLEAN NTAPI
KeRemoveEntryDeviceQueue(PKDEVICE_QUEUE DeviceQueue, PKDEVICE_QUEUE_ENTRY DeviceQueueEntry)
{
    BOOLEAN Was;
    KIRQL OldIrql;

    KeAcquireSpinLock(&DeviceQueue->Lock, &OldIrql);
    Was = DeviceQueueEntry->Inserted;
    if (Was) {
        DeviceQueueEntry->Inserted = FALSE;
        RemoveEntryList(&DeviceQueueEntry->DeviceListEntry);
    }
    KeReleaseSpinLock(&DeviceQueue->Lock, OldIrql);
    return Was;
}
NTEXPORT(KeRemoveEntryDeviceQueue);

/* --- StartIo -------------------------------------------------------------------------------------------- */

static VOID
IopStartIo(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    KiCallRoutine((PVOID)(ULONG_PTR)DeviceObject->DriverObject->DriverStartIo, (ULONG_PTR)DeviceObject, (ULONG_PTR)Irp,
                  0, 0);
}

/*
 * Call the driver's StartIo routine with Irp, at DISPATCH_LEVEL, or queue it (by *Key, if given) if the device is busy.
 * CancelFunction, if given, becomes its cancel routine. IRQL <= DISPATCH_LEVEL.
 */
VOID NTAPI
IoStartPacket(PDEVICE_OBJECT DeviceObject, PIRP Irp, PULONG Key, PDRIVER_CANCEL CancelFunction)
{
    PKDEVICE_QUEUE_ENTRY Entry = &Irp->Tail.Overlay.DeviceQueueEntry;
    KIRQL OldIrql = KiRaiseIrqlToDispatch();
    KIRQL CancelIrql = DISPATCH_LEVEL;
    BOOLEAN Queued;

    if (CancelFunction != NULL) {
        IoAcquireCancelSpinLock(&CancelIrql);
        IoSetCancelRoutine(Irp, CancelFunction);
    }
    Queued = Key == NULL ? KeInsertDeviceQueue(&DeviceObject->DeviceQueue, Entry)
                         : KeInsertByKeyDeviceQueue(&DeviceObject->DeviceQueue, Entry, *Key);
    if (!Queued) {
        DeviceObject->CurrentIrp = Irp;
    }
    if (CancelFunction != NULL) {
        PDRIVER_CANCEL Routine = Queued && Irp->Cancel ? IoSetCancelRoutine(Irp, NULL) : NULL;

        if (Routine != NULL) {
            /* Cancelled before it had the routine, which releases the lock. */
            Irp->CancelIrql = CancelIrql;
            KiCallRoutine((PVOID)(ULONG_PTR)Routine, (ULONG_PTR)DeviceObject, (ULONG_PTR)Irp, 0, 0);
        } else {
            IoReleaseCancelSpinLock(CancelIrql);
        }
    }
    if (!Queued) {
        IopStartIo(DeviceObject, Irp);
    }
    KiLowerIrql(OldIrql);
}
NTEXPORT(IoStartPacket);

static VOID
IopStartNext(PDEVICE_OBJECT DeviceObject, BOOLEAN Cancelable, ULONG Key)
{
    PKDEVICE_QUEUE_ENTRY Entry;
    PIRP Irp = NULL;
    KIRQL CancelIrql = DISPATCH_LEVEL;

    if (Cancelable) {
        IoAcquireCancelSpinLock(&CancelIrql);
    }
    DeviceObject->CurrentIrp = NULL;
    Entry = KeRemoveByKeyDeviceQueue(&DeviceObject->DeviceQueue, Key);
    if (Entry != NULL) {
        Irp = CONTAINING_RECORD(Entry, IRP, Tail.Overlay.DeviceQueueEntry);
        DeviceObject->CurrentIrp = Irp;
    }
    if (Cancelable) {
        IoReleaseCancelSpinLock(CancelIrql);
    }
    if (Irp != NULL) {
        IopStartIo(DeviceObject, Irp);
    }
}

/* The current request is done: start the next, if there is one. Cancelable: under the cancel spin lock. DISPATCH_LEVEL. */
VOID NTAPI
IoStartNextPacket(PDEVICE_OBJECT DeviceObject, BOOLEAN Cancelable)
{
    IopStartNext(DeviceObject, Cancelable, 0);
}
NTEXPORT(IoStartNextPacket);

/* The same for the first request with at least that key. */
VOID NTAPI
IoStartNextPacketByKey(PDEVICE_OBJECT DeviceObject, BOOLEAN Cancelable, ULONG Key)
{
    IopStartNext(DeviceObject, Cancelable, Key);
}
NTEXPORT(IoStartNextPacketByKey);
