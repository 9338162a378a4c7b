/* Requests: stacks of devices, completion routines, pending, cancelling, buffers, remove locks, queues, work items. */
#include "iotest.h"

/* --- Drivers that tests are made of --- */

static ULONG Calls;
static PIRP Held;

static NTSTATUS NTAPI
EchoRequest(PDEVICE_OBJECT Device, PIRP Irp)
{
    Calls += 1;
    Irp->IoStatus.Status = STATUS_SUCCESS;
    Irp->IoStatus.Information = IoGetCurrentIrpStackLocation(Irp)->Parameters.DeviceIoControl.InputBufferLength;
    IofCompleteRequest(Irp, IO_NO_INCREMENT);
    return STATUS_SUCCESS;
}

static NTSTATUS NTAPI
HoldRequest(PDEVICE_OBJECT Device, PIRP Irp)
{
    IoMarkIrpPending(Irp);
    Held = Irp;
    return STATUS_PENDING;
}

static NTSTATUS NTAPI
PassRequest(PDEVICE_OBJECT Device, PIRP Irp)
{
    PDEVICE_OBJECT Below = *(PDEVICE_OBJECT *)Device->DeviceExtension;

    IoSkipCurrentIrpStackLocation(Irp);
    return IofCallDriver(Below, Irp);
}

static IO_STATUS_BLOCK Iosb;
static KEVENT Done;

static NTSTATUS
SendControl(PDEVICE_OBJECT Device, ULONG Code, PVOID Input, ULONG InputLength, PVOID Output, ULONG OutputLength)
{
    PIRP Irp;

    KeInitializeEvent(&Done, NotificationEvent, FALSE);
    Irp = IoBuildDeviceIoControlRequest(Code, Device, Input, InputLength, Output, OutputLength, FALSE, &Done, &Iosb);
    return Irp == NULL ? STATUS_INSUFFICIENT_RESOURCES : IofCallDriver(Device, Irp);
}

#define BUFFERED_CODE CTL_CODE(FILE_DEVICE_UNKNOWN, 1, METHOD_BUFFERED, FILE_ANY_ACCESS)
#define DIRECT_CODE CTL_CODE(FILE_DEVICE_UNKNOWN, 1, METHOD_OUT_DIRECT, FILE_ANY_ACCESS)

KTEST(IrpAllocateAndReuse)
{
    PIRP Irp = IoAllocateIrp(3, FALSE);

    REQUIRE(Irp != NULL);
    CHECK_EQ(Irp->Type, IO_TYPE_IRP);
    CHECK_EQ(Irp->Size, sizeof(IRP) + 3 * sizeof(IO_STACK_LOCATION));
    CHECK_EQ(Irp->StackCount, 3);
    CHECK_EQ(Irp->CurrentLocation, 4);
    CHECK(IoGetNextIrpStackLocation(Irp) == (PIO_STACK_LOCATION)(Irp + 1) + 2);
    Irp->Cancel = TRUE;
    IoSetNextIrpStackLocation(Irp);
    IoReuseIrp(Irp, STATUS_NOT_FOUND);
    CHECK_EQ(Irp->CurrentLocation, 4);
    CHECK_EQ(Irp->Cancel, FALSE);
    CHECK_STATUS(STATUS_NOT_FOUND, Irp->IoStatus.Status);
    IoFreeIrp(Irp);
    CHECK(IoAllocateIrp(0, FALSE) == NULL);
    CHECK(IoAllocateIrp(-1, FALSE) == NULL);
}

KTEST(IrpBufferedRoundTrip)
{
    PDRIVER_OBJECT Driver = IoTestDriver("irpecho", EchoRequest);
    PDEVICE_OBJECT Device = IoTestDevice(Driver, NULL);
    UCHAR Input[4] = {1, 2, 3, 4}, Output[8] = {9, 9, 9, 9, 9, 9, 9, 9};

    CHECK_STATUS(STATUS_SUCCESS, SendControl(Device, BUFFERED_CODE, Input, 4, Output, 8));
    CHECK_EQ(KeReadStateEvent(&Done), 1);
    CHECK_EQ(Iosb.Information, 4);
    CHECK_EQ(Output[3], 4);
    CHECK_EQ(Output[4], 9);
    /* Information beyond the output buffer must not overrun it. */
    CHECK_STATUS(STATUS_SUCCESS, SendControl(Device, BUFFERED_CODE, Input, 4, Output + 4, 2));
    CHECK_EQ(Iosb.Information, 4);
    CHECK_EQ(Output[5], 2);
    CHECK_EQ(Output[6], 9);
    IoDeleteDevice(Device);
    ObfDereferenceObject(Driver);
}

KTEST(IrpStackOfTwo)
{
    PDRIVER_OBJECT Driver = IoTestDriver("irplower", EchoRequest), Upper = IoTestDriver("irpupper", PassRequest);
    PDEVICE_OBJECT Device = IoTestDevice(Driver, NULL), Top = IoTestDevice(Upper, NULL), Lower;
    UCHAR Byte = 5;

    CHECK_STATUS(STATUS_SUCCESS, IoAttachDeviceToDeviceStackSafe(Top, Device, Top->DeviceExtension));
    CHECK_EQ(Top->StackSize, 2);
    CHECK(IoGetAttachedDevice(Device) == Top);
    Lower = IoGetLowerDeviceObject(Top);
    CHECK(Lower == Device);
    ObfDereferenceObject(Lower);
    CHECK(IoGetLowerDeviceObject(Device) == NULL);
    Calls = 0;
    CHECK_STATUS(STATUS_SUCCESS, SendControl(Top, BUFFERED_CODE, &Byte, 1, &Byte, 1));
    CHECK_EQ(Calls, 1);
    IoDetachDevice(Device);
    CHECK(IoGetAttachedDevice(Device) == Device);
    IoDeleteDevice(Top);
    IoDeleteDevice(Device);
    ObfDereferenceObject(Upper);
    ObfDereferenceObject(Driver);
}

KTEST(IrpPendingDirect)
{
    PDRIVER_OBJECT Driver = IoTestDriver("irphold", HoldRequest);
    PDEVICE_OBJECT Device = IoTestDevice(Driver, NULL);
    PUCHAR Output = ExAllocatePool2(POOL_FLAG_PAGED, 9000, 'tsTI');
    PUCHAR Mapped;

    REQUIRE(Output != NULL);
    CHECK_STATUS(STATUS_PENDING, SendControl(Device, DIRECT_CODE, NULL, 0, Output, 9000));
    REQUIRE(Held != NULL && Held->MdlAddress != NULL);
    CHECK_EQ(MmGetMdlByteCount(Held->MdlAddress), 9000);
    CHECK_EQ(KeReadStateEvent(&Done), 0);
    Mapped = MmGetSystemAddressForMdlSafe(Held->MdlAddress, NormalPagePriority);
    REQUIRE(Mapped != NULL);
    Mapped[8999] = 0x5A;
    Held->IoStatus.Status = STATUS_SUCCESS;
    Held->IoStatus.Information = 9000;
    IofCompleteRequest(Held, IO_NO_INCREMENT);
    CHECK_EQ(KeReadStateEvent(&Done), 1);
    CHECK_EQ(Output[8999], 0x5A);
    ExFreePoolWithTag(Output, 'tsTI');
    IoDeleteDevice(Device);
    ObfDereferenceObject(Driver);
}

KTEST(IrpCompletedAtDispatchCopiesToPagedMemory)
{
    PDRIVER_OBJECT Driver = IoTestDriver("irppaged", HoldRequest);
    PDEVICE_OBJECT Device = IoTestDevice(Driver, NULL);
    PUCHAR Output = ExAllocatePool2(POOL_FLAG_PAGED | POOL_FLAG_UNINITIALIZED, PAGE_SIZE, 'tsTI');
    KIRQL Irql;

    REQUIRE(Output != NULL);
    CHECK_STATUS(STATUS_PENDING, SendControl(Device, BUFFERED_CODE, NULL, 0, Output, PAGE_SIZE));
    ((PUCHAR)Held->AssociatedIrp.SystemBuffer)[100] = 0x77;
    Held->IoStatus.Status = STATUS_SUCCESS;
    Held->IoStatus.Information = PAGE_SIZE;
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    IofCompleteRequest(Held, IO_NO_INCREMENT);
    KeLowerIrql(Irql);
    KeWaitForSingleObject(&Done, Executive, KernelMode, FALSE, NULL);
    CHECK_EQ(Output[100], 0x77);
    ExFreePoolWithTag(Output, 'tsTI');
    IoDeleteDevice(Device);
    ObfDereferenceObject(Driver);
}

/* --- Completion routines and cancelling --- */

static ULONG Order;

static NTSTATUS NTAPI
TakeBack(PDEVICE_OBJECT Device, PIRP Irp, PVOID Context)
{
    CHECK(Device == NULL);
    Order = Order * 10 + *(ULONG *)Context;
    return STATUS_MORE_PROCESSING_REQUIRED;
}

KTEST(IrpCompletionRoutineTakesBack)
{
    PDRIVER_OBJECT Driver = IoTestDriver("irpback", EchoRequest);
    PDEVICE_OBJECT Device = IoTestDevice(Driver, NULL);
    ULONG Context = 3;
    PIRP Irp = IoAllocateIrp(1, FALSE);

    REQUIRE(Irp != NULL);
    Order = 0;
    for (ULONG Round = 0; Round < 2; Round += 1) {
        IoGetNextIrpStackLocation(Irp)->MajorFunction = IRP_MJ_DEVICE_CONTROL;
        IoSetCompletionRoutine(Irp, TakeBack, &Context, TRUE, TRUE, TRUE);
        CHECK_STATUS(STATUS_SUCCESS, IofCallDriver(Device, Irp));
        IoReuseIrp(Irp, STATUS_SUCCESS);
    }
    CHECK_EQ(Order, 33);
    CHECK_STATUS(STATUS_SUCCESS, IoSetCompletionRoutineEx(Device, Irp, TakeBack, &Context, TRUE, TRUE, TRUE));
    IoGetNextIrpStackLocation(Irp)->MajorFunction = IRP_MJ_DEVICE_CONTROL;
    IofCallDriver(Device, Irp);
    CHECK_EQ(Order, 333);
    IoFreeIrp(Irp);
    IoDeleteDevice(Device);
    ObfDereferenceObject(Driver);
}

static VOID NTAPI
CancelHeld(PDEVICE_OBJECT Device, PIRP Irp)
{
    CHECK_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
    IoReleaseCancelSpinLock(Irp->CancelIrql);
    Irp->IoStatus.Status = STATUS_CANCELLED;
    Irp->IoStatus.Information = 0;
    IofCompleteRequest(Irp, IO_NO_INCREMENT);
}

KTEST(IrpCancel)
{
    PDRIVER_OBJECT Driver = IoTestDriver("irpcancel", HoldRequest);
    PDEVICE_OBJECT Device = IoTestDevice(Driver, NULL);
    UCHAR Byte = 0;

    CHECK_STATUS(STATUS_PENDING, SendControl(Device, BUFFERED_CODE, NULL, 0, &Byte, 1));
    CHECK(!IoCancelIrp(Held));
    CHECK_EQ(Held->Cancel, TRUE);
    IoSetCancelRoutine(Held, CancelHeld);
    CHECK(IoCancelIrp(Held));
    CHECK_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
    CHECK_STATUS(STATUS_CANCELLED, Iosb.Status);
    IoDeleteDevice(Device);
    ObfDereferenceObject(Driver);
}

/* --- Breaches --- */

static VOID
CompleteAgain(PVOID Context)
{
    IofCompleteRequest(Context, IO_NO_INCREMENT);
}

static VOID
FreeTheirs(PVOID Context)
{
    IoFreeIrp(Context);
}

static VOID
CallTooFar(PVOID Context)
{
    IofCallDriver(((PVOID *)Context)[0], ((PVOID *)Context)[1]);
}

KTEST(IrpBreaches)
{
    PDRIVER_OBJECT Driver = IoTestDriver("irpbreach", EchoRequest);
    PDEVICE_OBJECT Device = IoTestDevice(Driver, NULL);
    PIRP Irp = IoAllocateIrp(1, FALSE), Owned;
    PVOID Pair[2] = {Device, Irp};

    REQUIRE(Irp != NULL);
    Irp->CurrentLocation = 3;
    CHECK_BUGCHECK_CALL(MULTIPLE_IRP_COMPLETE_REQUESTS, (ULONG_PTR)Irp, CompleteAgain, Irp);
    Irp->CurrentLocation = 1;
    CHECK_BUGCHECK_CALL(NO_MORE_IRP_STACK_LOCATIONS, (ULONG_PTR)Irp, CallTooFar, Pair);
    Irp->Type = 0;
    CHECK_BUGCHECK_CALL(DRIVER_VERIFIER_IOMANAGER_VIOLATION, 3, CallTooFar, Pair);
    CHECK_BUGCHECK_CALL(DRIVER_VERIFIER_IOMANAGER_VIOLATION, 1, FreeTheirs, Irp);
    Irp->Type = IO_TYPE_IRP;
    IoReuseIrp(Irp, STATUS_PENDING);
    CHECK_BUGCHECK_CALL(DRIVER_VERIFIER_IOMANAGER_VIOLATION, 6, CompleteAgain, Irp);
    IoFreeIrp(Irp);
    Owned = IoBuildDeviceIoControlRequest(BUFFERED_CODE, Device, NULL, 0, NULL, 0, FALSE, &Done, &Iosb);
    REQUIRE(Owned != NULL);
    CHECK_BUGCHECK_CALL(DRIVER_VERIFIER_IOMANAGER_VIOLATION, 2, FreeTheirs, Owned);
    KeInitializeEvent(&Done, NotificationEvent, FALSE);
    IofCallDriver(Device, Owned);
    IoDeleteDevice(Device);
    ObfDereferenceObject(Driver);
}
