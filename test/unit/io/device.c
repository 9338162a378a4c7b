/* Driver objects, devices, names, links, opening, and what hangs on a device: queues, remove locks, work items. */
#include "iotest.h"

static ULONG Majors[8];
static ULONG MajorCount;

static NTSTATUS NTAPI
NoteRequest(PDEVICE_OBJECT Device, PIRP Irp)
{
    if (MajorCount < RTL_NUMBER_OF(Majors)) {
        Majors[MajorCount++] = IoGetCurrentIrpStackLocation(Irp)->MajorFunction;
    }
    Irp->IoStatus.Status = STATUS_SUCCESS;
    Irp->IoStatus.Information = 0;
    IofCompleteRequest(Irp, IO_NO_INCREMENT);
    return STATUS_SUCCESS;
}

KTEST(DriverObject)
{
    PDRIVER_OBJECT Driver = IoTestDriver("drvobject.sys", NULL);
    UNICODE_STRING Wanted = RTL_CONSTANT_STRING(u"\\Driver\\drvobject");
    PUCHAR Memory;
    PVOID Again;

    CHECK(RtlEqualUnicodeString(&Driver->DriverName, &Wanted, FALSE));
    CHECK(Driver->MajorFunction[IRP_MJ_PNP] != NULL);
    CHECK(IoGetDriverObjectExtension(Driver, &Wanted) == NULL);
    REQUIRE(NT_SUCCESS(IoAllocateDriverObjectExtension(Driver, &Wanted, 40, (PVOID *)&Memory)));
    CHECK_EQ(Memory[39], 0);
    CHECK(IoGetDriverObjectExtension(Driver, &Wanted) == Memory);
    CHECK_STATUS(STATUS_OBJECT_NAME_COLLISION, IoAllocateDriverObjectExtension(Driver, &Wanted, 8, &Again));
    CHECK(Again == NULL);
    ObfDereferenceObject(Driver);
}

KTEST(DeviceCreateAndDelete)
{
    PDRIVER_OBJECT Driver = IoTestDriver("devcreate", NULL);
    UNICODE_STRING Name = RTL_CONSTANT_STRING(u"\\Device\\DevCreate"), Bad = RTL_CONSTANT_STRING(u"\\Nope\\Dev");
    PDEVICE_OBJECT First = IoTestDevice(Driver, u"\\Device\\DevCreate"), Second = IoTestDevice(Driver, NULL), Other;
    UNICODE_STRING Path;

    CHECK(Driver->DeviceObject == Second && Second->NextDevice == First && First->NextDevice == NULL);
    CHECK_EQ(First->Size, sizeof(DEVICE_OBJECT) + 64);
    CHECK(First->DeviceExtension == First + 1);
    CHECK_EQ(First->Flags, DO_DEVICE_HAS_NAME);
    CHECK_STATUS(STATUS_OBJECT_NAME_COLLISION, IoCreateDevice(Driver, 0, &Name, 0, 0, FALSE, &Other));
    CHECK(Other == NULL);
    CHECK_STATUS(STATUS_OBJECT_PATH_NOT_FOUND, IoCreateDevice(Driver, 0, &Bad, 0, 0, FALSE, &Other));
    REQUIRE(IoFirstDeviceName(Driver, &Path));
    CHECK(RtlEqualUnicodeString(&Path, &Name, FALSE));
    ExFreePool(Path.Buffer);
    IoDeleteDevice(First);
    CHECK(Driver->DeviceObject == Second);
    CHECK(!IoFirstDeviceName(Driver, &Path));
    First = IoTestDevice(Driver, u"\\Device\\DevCreate");
    IoDeleteDevice(First);
    IoDeleteDevice(Second);
    CHECK(Driver->DeviceObject == NULL);
    ObfDereferenceObject(Driver);
}

KTEST(DeviceOpenAndClose)
{
    PDRIVER_OBJECT Driver = IoTestDriver("devopen", NoteRequest);
    PDEVICE_OBJECT Device = IoTestDevice(Driver, u"\\Device\\DevOpen");
    UNICODE_STRING Target = RTL_CONSTANT_STRING(u"\\Device\\DevOpen"), Link = RTL_CONSTANT_STRING(u"\\DosDevices\\DevLink"),
                   Path = RTL_CONSTANT_STRING(u"\\??\\devlink\\rest");
    HANDLE Handle;

    CHECK_STATUS(STATUS_OBJECT_NAME_NOT_FOUND, IoTestOpen(&Link, GENERIC_READ, &Handle));
    CHECK_STATUS(STATUS_SUCCESS, IoCreateSymbolicLink(&Link, &Target));
    CHECK_STATUS(STATUS_OBJECT_NAME_COLLISION, IoCreateSymbolicLink(&Link, &Target));
    MajorCount = 0;
    REQUIRE(NT_SUCCESS(IoTestOpen(&Path, GENERIC_READ, &Handle)));
    CHECK_EQ(Device->ReferenceCount, 1);
    ZwClose(Handle);
    CHECK_EQ(Device->ReferenceCount, 0);
    CHECK_EQ(MajorCount, 3);
    CHECK_EQ(Majors[0], IRP_MJ_CREATE);
    CHECK_EQ(Majors[1], IRP_MJ_CLEANUP);
    CHECK_EQ(Majors[2], IRP_MJ_CLOSE);
    Device->Flags |= DO_EXCLUSIVE;
    REQUIRE(NT_SUCCESS(IoTestOpen(&Link, GENERIC_READ, &Handle)));
    CHECK_STATUS(STATUS_ACCESS_DENIED, IoTestOpen(&Link, GENERIC_READ, &Handle));
    ZwClose(Handle);
    Device->Flags |= DO_DEVICE_INITIALIZING;
    CHECK_STATUS(STATUS_NO_SUCH_DEVICE, IoTestOpen(&Link, GENERIC_READ, &Handle));
    CHECK_STATUS(STATUS_SUCCESS, IoDeleteSymbolicLink(&Link));
    CHECK_STATUS(STATUS_OBJECT_NAME_NOT_FOUND, IoDeleteSymbolicLink(&Link));
    CHECK_STATUS(STATUS_OBJECT_TYPE_MISMATCH, IoDeleteSymbolicLink(&Target));
    IoDeleteDevice(Device);
    ObfDereferenceObject(Driver);
}

KTEST(LinkLoop)
{
    UNICODE_STRING Link = RTL_CONSTANT_STRING(u"\\??\\LinkLoop"), Self = RTL_CONSTANT_STRING(u"\\DosDevices\\LinkLoop");
    HANDLE Handle;

    CHECK_STATUS(STATUS_SUCCESS, IoCreateSymbolicLink(&Link, &Self));
    CHECK_STATUS(STATUS_OBJECT_NAME_INVALID, IoTestOpen(&Link, GENERIC_READ, &Handle));
    CHECK_STATUS(STATUS_SUCCESS, IoDeleteSymbolicLink(&Self));
}

KTEST(UnhandledRequest)
{
    PDRIVER_OBJECT Driver = IoTestDriver("devunhandled", NULL);
    PDEVICE_OBJECT Device = IoTestDevice(Driver, u"\\Device\\DevUnhandled");
    UNICODE_STRING Path = RTL_CONSTANT_STRING(u"\\Device\\DevUnhandled");
    HANDLE Handle;

    CHECK_STATUS(STATUS_INVALID_DEVICE_REQUEST, IoTestOpen(&Path, GENERIC_READ, &Handle));
    CHECK_EQ(Device->ReferenceCount, 0);
    IoDeleteDevice(Device);
    ObfDereferenceObject(Driver);
}

/* --- Device queues --- */

KTEST(DeviceQueueByKey)
{
    KDEVICE_QUEUE Queue;
    KDEVICE_QUEUE_ENTRY Entries[4];

    KeInitializeDeviceQueue(&Queue);
    CHECK(!KeInsertByKeyDeviceQueue(&Queue, &Entries[0], 5));
    CHECK(KeInsertByKeyDeviceQueue(&Queue, &Entries[1], 9));
    CHECK(KeInsertByKeyDeviceQueue(&Queue, &Entries[2], 3));
    CHECK(KeInsertByKeyDeviceQueue(&Queue, &Entries[3], 9));
    CHECK(KeRemoveByKeyDeviceQueue(&Queue, 4) == &Entries[1]);
    CHECK(KeRemoveEntryDeviceQueue(&Queue, &Entries[3]));
    CHECK(!KeRemoveEntryDeviceQueue(&Queue, &Entries[3]));
    CHECK(KeRemoveByKeyDeviceQueue(&Queue, 100) == &Entries[2]);
    CHECK(KeRemoveDeviceQueue(&Queue) == NULL);
    CHECK(!KeInsertDeviceQueue(&Queue, &Entries[0]));
}

/* --- Remove locks --- */

static IO_REMOVE_LOCK RemoveLock;

static VOID NTAPI
ReleaseLater(PDEVICE_OBJECT Device, PVOID Context)
{
    LARGE_INTEGER Interval = {.QuadPart = -10 * 10000};

    KeDelayExecutionThread(KernelMode, FALSE, &Interval);
    *(BOOLEAN *)Context = TRUE;
    IoReleaseRemoveLockEx(&RemoveLock, NULL, sizeof(RemoveLock));
}

KTEST(RemoveLockWaits)
{
    PDRIVER_OBJECT Driver = IoTestDriver("devremove", NULL);
    PDEVICE_OBJECT Device = IoTestDevice(Driver, NULL);
    PIO_WORKITEM Item = IoAllocateWorkItem(Device);
    BOOLEAN Ran = FALSE;

    REQUIRE(Item != NULL);
    IoInitializeRemoveLockEx(&RemoveLock, 0, 0, 0, sizeof(RemoveLock));
    CHECK_STATUS(STATUS_SUCCESS, IoAcquireRemoveLockEx(&RemoveLock, NULL, "", 1, sizeof(RemoveLock)));
    CHECK_STATUS(STATUS_SUCCESS, IoAcquireRemoveLockEx(&RemoveLock, NULL, "", 1, sizeof(RemoveLock)));
    IoQueueWorkItem(Item, ReleaseLater, DelayedWorkQueue, &Ran);
    IoReleaseRemoveLockAndWaitEx(&RemoveLock, NULL, sizeof(RemoveLock));
    CHECK(Ran);
    CHECK_STATUS(STATUS_DELETE_PENDING, IoAcquireRemoveLockEx(&RemoveLock, NULL, "", 1, sizeof(RemoveLock)));
    IoFreeWorkItem(Item);
    IoDeleteDevice(Device);
    ObfDereferenceObject(Driver);
}
