/* StartIo queues, requests in parts, shutdown, work items' rules, what a thread says it works on, the error log. */
#include "iotest.h"

static ULONG Started[4];
static ULONG StartCount;

static NTSTATUS NTAPI
QueueRequest(PDEVICE_OBJECT Device, PIRP Irp)
{
    ULONG Key = IoGetCurrentIrpStackLocation(Irp)->Parameters.Read.Key;

    IoMarkIrpPending(Irp);
    IoStartPacket(Device, Irp, Key == 0 ? NULL : &Key, NULL);
    return STATUS_PENDING;
}

static VOID NTAPI
StartRequest(PDEVICE_OBJECT Device, PIRP Irp)
{
    CHECK_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
    CHECK(Device->CurrentIrp == Irp);
    Started[StartCount++] = IoGetCurrentIrpStackLocation(Irp)->Parameters.Read.Key;
}

static NTSTATUS NTAPI
KeepIrp(PDEVICE_OBJECT Device, PIRP Irp, PVOID Context)
{
    return STATUS_MORE_PROCESSING_REQUIRED;
}

static PIRP
SendKeyed(PDEVICE_OBJECT Device, ULONG Key)
{
    PIRP Irp = IoAllocateIrp(1, FALSE);

    NT_VERIFY(Irp != NULL);
    IoGetNextIrpStackLocation(Irp)->MajorFunction = IRP_MJ_READ;
    IoGetNextIrpStackLocation(Irp)->Parameters.Read.Key = Key;
    IoSetCompletionRoutine(Irp, KeepIrp, NULL, TRUE, TRUE, TRUE);
    CHECK_STATUS(STATUS_PENDING, IofCallDriver(Device, Irp));
    return Irp;
}

KTEST(StartIoOneAfterTheOther)
{
    PDRIVER_OBJECT Driver = IoTestDriver("startio", QueueRequest);
    PDEVICE_OBJECT Device = IoTestDevice(Driver, NULL);
    PIRP Irps[3];
    KIRQL Irql;

    Driver->DriverStartIo = StartRequest;
    StartCount = 0;
    Irps[0] = SendKeyed(Device, 5);
    Irps[1] = SendKeyed(Device, 9);
    Irps[2] = SendKeyed(Device, 7);
    CHECK_EQ(StartCount, 1);
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    for (ULONG Index = 0; Index < 3; Index += 1) {
        PIRP Irp = Device->CurrentIrp;

        Irp->IoStatus.Status = STATUS_SUCCESS;
        IoStartNextPacket(Device, TRUE);
        IofCompleteRequest(Irp, IO_NO_INCREMENT);
    }
    KeLowerIrql(Irql);
    CHECK_EQ(StartCount, 3);
    CHECK_EQ(Started[1], 7);
    CHECK_EQ(Started[2], 9);
    CHECK(Device->CurrentIrp == NULL);
    CHECK(!Device->DeviceQueue.Busy);
    for (ULONG Index = 0; Index < 3; Index += 1) {
        IoFreeIrp(Irps[Index]);
    }
    IoDeleteDevice(Device);
    ObfDereferenceObject(Driver);
}

/* --- Parts of a request --- */

static ULONG ShutdownCount;

static NTSTATUS NTAPI
CountRequest(PDEVICE_OBJECT Device, PIRP Irp)
{
    ShutdownCount += IoGetCurrentIrpStackLocation(Irp)->MajorFunction == IRP_MJ_SHUTDOWN;
    Irp->IoStatus.Status = STATUS_SUCCESS;
    IofCompleteRequest(Irp, IO_NO_INCREMENT);
    return STATUS_SUCCESS;
}

static PDEVICE_OBJECT PartDevice;
PIRP NTAPI IoMakeAssociatedIrp(PIRP Irp, CCHAR StackSize);

static NTSTATUS NTAPI
SplitRequest(PDEVICE_OBJECT Device, PIRP Irp)
{
    IoMarkIrpPending(Irp);
    Irp->IoStatus.Status = STATUS_SUCCESS;
    Irp->AssociatedIrp.IrpCount = 2;
    for (ULONG Index = 0; Index < 2; Index += 1) {
        PIRP Part = IoMakeAssociatedIrp(Irp, 1);

        NT_VERIFY(Part != NULL);
        IoGetNextIrpStackLocation(Part)->MajorFunction = IRP_MJ_FLUSH_BUFFERS;
        IofCallDriver(PartDevice, Part);
    }
    return STATUS_PENDING;
}

KTEST(MasterCompletesWithItsParts)
{
    PDRIVER_OBJECT Driver = IoTestDriver("master", SplitRequest), Parts = IoTestDriver("parts", CountRequest);
    PDEVICE_OBJECT Device = IoTestDevice(Driver, NULL);
    IO_STATUS_BLOCK Iosb = {0};
    KEVENT Event;
    PIRP Irp;

    PartDevice = IoTestDevice(Parts, NULL);
    KeInitializeEvent(&Event, NotificationEvent, FALSE);
    Iosb.Status = STATUS_UNSUCCESSFUL;
    Irp = IoBuildSynchronousFsdRequest(IRP_MJ_FLUSH_BUFFERS, Device, NULL, 0, NULL, &Event, &Iosb);
    REQUIRE(Irp != NULL);
    CHECK_STATUS(STATUS_PENDING, IofCallDriver(Device, Irp));
    CHECK_EQ(KeReadStateEvent(&Event), 1);
    CHECK_STATUS(STATUS_SUCCESS, Iosb.Status);
    IoDeleteDevice(PartDevice);
    IoDeleteDevice(Device);
    ObfDereferenceObject(Parts);
    ObfDereferenceObject(Driver);
}

KTEST(ShutdownIsSentOnce)
{
    PDRIVER_OBJECT Driver = IoTestDriver("shutdown", CountRequest);
    PDEVICE_OBJECT Device = IoTestDevice(Driver, NULL), Other = IoTestDevice(Driver, NULL);

    ShutdownCount = 0;
    IoRegisterShutdownNotification(Device);
    IoRegisterShutdownNotification(Device);
    IoRegisterShutdownNotification(Other);
    IoUnregisterShutdownNotification(Other);
    IoShutDown();
    IoShutDown();
    CHECK_EQ(ShutdownCount, 1);
    IoRegisterShutdownNotification(Other);
    IoDeleteDevice(Other);
    IoDeleteDevice(Device);
    IoShutDown();
    CHECK_EQ(ShutdownCount, 1);
    ObfDereferenceObject(Driver);
}

/* --- Work items --- */

static VOID
FreeItem(PVOID Context)
{
    IoFreeWorkItem(Context);
}

KTEST(WorkItemFreedWhileQueued)
{
    PDRIVER_OBJECT Driver = IoTestDriver("workfree", NULL);
    PDEVICE_OBJECT Device = IoTestDevice(Driver, NULL);
    PIO_WORKITEM Item = IoAllocateWorkItem(Device);
    PWORK_QUEUE_ITEM Inside = (PWORK_QUEUE_ITEM)(PVOID)Item;

    REQUIRE(Item != NULL);
    CHECK(IoSizeofWorkItem() > sizeof(WORK_QUEUE_ITEM));
    /* As if it were on a queue. */
    Inside->List.Flink = &Inside->List;
    CHECK_BUGCHECK_CALL(WORKER_INVALID, 2, FreeItem, Item);
    Inside->List.Flink = NULL;
    IoFreeWorkItem(Item);
    IoDeleteDevice(Device);
    ObfDereferenceObject(Driver);
}

/* --- Small things --- */

KTEST(TopLevelIrpIsOfTheThread)
{
    PIRP Irp = IoAllocateIrp(1, FALSE);

    REQUIRE(Irp != NULL);
    CHECK(IoGetTopLevelIrp() == NULL);
    IoSetTopLevelIrp(Irp);
    CHECK(IoGetTopLevelIrp() == Irp);
    IoSetTopLevelIrp(NULL);
    CHECK(IoGetRequestorProcess(Irp) == NULL);
    Irp->Tail.Overlay.Thread = (PETHREAD)(PVOID)KeGetCurrentThread();
    CHECK(IoGetRequestorProcess(Irp) == IoGetCurrentProcess());
    IoFreeIrp(Irp);
}

KTEST(ErrorLogEntry)
{
    PDRIVER_OBJECT Driver = IoTestDriver("errorlog", NULL);
    PVOID Entry = IoAllocateErrorLogEntry(Driver, sizeof(IO_ERROR_LOG_PACKET));

    REQUIRE(Entry != NULL);
    CHECK_EQ(((PIO_ERROR_LOG_PACKET)Entry)->SequenceNumber, 0);
    IoFreeErrorLogEntry(Entry);
    CHECK(IoAllocateErrorLogEntry(Driver, ERROR_LOG_MAXIMUM_SIZE + 1) == NULL);
    CHECK(IoAllocateErrorLogEntry(Driver, sizeof(IO_ERROR_LOG_PACKET) - 1) == NULL);
    ObfDereferenceObject(Driver);
}
