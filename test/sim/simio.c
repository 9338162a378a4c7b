/* Devices and requests: made by several threads against stacks of devices, completed at once, later or when cancelled. */
#include "sim.h"
#include <io/io.h>
#include <rtl/rtl.h>

#define IO_BYTES 256

/* How the driver is to treat a request: its control code's function. */
#define IO_AT_ONCE 0x800
#define IO_LATER   0x801 /* by a DPC of a timer */
#define IO_NEVER   0x802 /* when it is cancelled */

typedef struct _IO_EXTENSION {
    PDEVICE_OBJECT Below;
    KTIMER Timer;
    KDPC Dpc;
    PIRP Pending;
} IO_EXTENSION, *PIO_EXTENSION;

typedef struct _IO_STATE {
    PDRIVER_OBJECT Driver;
    PDEVICE_OBJECT Bottom, Top;
    UCHAR Input[IO_BYTES], Output[IO_BYTES];
} IO_STATE, *PIO_STATE;

/* --- The driver ----------------------------------------------------------------------------------- */

/* The output is the input, each byte one more. Returns what the request is completed with. */
static NTSTATUS
IoAnswer(PIRP Irp)
{
    NTSTATUS Status = STATUS_SUCCESS;
    PIO_STACK_LOCATION Location = IoGetCurrentIrpStackLocation(Irp);
    ULONG Length = Location->Parameters.DeviceIoControl.OutputBufferLength;
    ULONG Method = Location->Parameters.DeviceIoControl.IoControlCode & 3;
    PUCHAR Input = Irp->AssociatedIrp.SystemBuffer, Output = Input;

    if (Method != METHOD_BUFFERED) {
        Output = MmGetSystemAddressForMdlSafe(Irp->MdlAddress, HighPagePriority);
    }
    if (Output == NULL) {
        Status = STATUS_INSUFFICIENT_RESOURCES;
        Length = 0;
    } else {
        for (ULONG Index = 0; Index < Length; Index += 1) {
            Output[Index] = (UCHAR)(Input[Index] + 1);
        }
    }
    Irp->IoStatus.Status = Status;
    Irp->IoStatus.Information = Length;
    IofCompleteRequest(Irp, IO_NO_INCREMENT);
    return Status;
}

static VOID NTAPI
IoTimerRoutine(PKDPC Dpc, PVOID Context, PVOID First, PVOID Second)
{
    PIO_EXTENSION Extension = Context;
    PIRP Irp = Extension->Pending;

    Extension->Pending = NULL;
    IoAnswer(Irp);
}

static VOID NTAPI
IoCancelRoutine(PDEVICE_OBJECT Device, PIRP Irp)
{
    IoReleaseCancelSpinLock(Irp->CancelIrql);
    Irp->IoStatus.Status = STATUS_CANCELLED;
    Irp->IoStatus.Information = 0;
    IofCompleteRequest(Irp, IO_NO_INCREMENT);
}

static NTSTATUS
IoControl(PIO_EXTENSION Extension, PIRP Irp)
{
    LARGE_INTEGER Due = {.QuadPart = -3000};
    ULONG Code = IoGetCurrentIrpStackLocation(Irp)->Parameters.DeviceIoControl.IoControlCode;

    switch ((Code >> 2) & 0xFFF) {
    case IO_LATER:
        IoMarkIrpPending(Irp);
        Extension->Pending = Irp;
        KeSetTimer(&Extension->Timer, Due, &Extension->Dpc);
        return STATUS_PENDING;
    case IO_NEVER:
        IoMarkIrpPending(Irp);
        IoSetCancelRoutine(Irp, IoCancelRoutine);
        /* Cancelled before anybody was listening: whoever takes the routine back completes. */
        if (Irp->Cancel && IoSetCancelRoutine(Irp, NULL) != NULL) {
            Irp->IoStatus.Status = STATUS_CANCELLED;
            Irp->IoStatus.Information = 0;
            IofCompleteRequest(Irp, IO_NO_INCREMENT);
        }
        return STATUS_PENDING;
    default:
        return IoAnswer(Irp);
    }
}

static NTSTATUS NTAPI
IoDispatch(PDEVICE_OBJECT Device, PIRP Irp)
{
    PIO_EXTENSION Extension = Device->DeviceExtension;

    if (Extension->Below != NULL) {
        IoSkipCurrentIrpStackLocation(Irp);
        return IofCallDriver(Extension->Below, Irp);
    }
    if (IoGetCurrentIrpStackLocation(Irp)->MajorFunction == IRP_MJ_DEVICE_CONTROL) {
        return IoControl(Extension, Irp);
    }
    Irp->IoStatus.Status = STATUS_SUCCESS;
    Irp->IoStatus.Information = 0;
    IofCompleteRequest(Irp, IO_NO_INCREMENT);
    return STATUS_SUCCESS;
}

/* --- Making and ending a stack ------------------------------------------------------------------------ */

static PDEVICE_OBJECT
IoMakeDevice(PIO_STATE State)
{
    PDEVICE_OBJECT Device;
    PIO_EXTENSION Extension;

    if (!NT_SUCCESS(IoCreateDevice(State->Driver, sizeof(IO_EXTENSION), NULL, FILE_DEVICE_UNKNOWN, 0, FALSE, &Device))) {
        return NULL;
    }
    Extension = Device->DeviceExtension;
    KeInitializeTimer(&Extension->Timer);
    KeInitializeDpc(&Extension->Dpc, IoTimerRoutine, Extension);
    Device->Flags &= ~(ULONG)DO_DEVICE_INITIALIZING;
    return Device;
}

static VOID
IoMakeStack(PSIM_THREAD Thread, PIO_STATE State)
{
    static const char *const Names[SIM_THREADS] = {"sima", "simb", "simc", "simd", "sime", "simf"};
    IO_DRIVER_PARAMETERS Parameters = {.Name = Names[Thread->Number]};
    PUNICODE_STRING Path;

    if (State->Driver == NULL) {
        if (!NT_SUCCESS(IoMakeDriverObject(&Parameters, &State->Driver, &Path))) {
            SIM_REFUSED(Thread);
            State->Driver = NULL;
            return;
        }
        for (ULONG Index = 0; Index <= IRP_MJ_MAXIMUM_FUNCTION; Index += 1) {
            State->Driver->MajorFunction[Index] = IoDispatch;
        }
    }
    State->Bottom = IoMakeDevice(State);
    State->Top = State->Bottom;
    if (State->Bottom == NULL) {
        SIM_REFUSED(Thread);
    } else if (SimRandom(Thread, 2)) {
        PDEVICE_OBJECT Filter = IoMakeDevice(State);

        if (Filter == NULL) {
            SIM_REFUSED(Thread);
            return;
        }
        ((PIO_EXTENSION)Filter->DeviceExtension)->Below = IoAttachDeviceToDeviceStack(Filter, State->Bottom);
        SIM_CHECK(((PIO_EXTENSION)Filter->DeviceExtension)->Below == State->Bottom);
        State->Top = Filter;
    }
}

static VOID
IoEndStack(PIO_STATE State)
{
    if (State->Top != State->Bottom) {
        IoDetachDevice(State->Bottom);
        IoDeleteDevice(State->Top);
    }
    IoDeleteDevice(State->Bottom);
    State->Top = State->Bottom = NULL;
}

/* --- Requests ------------------------------------------------------------------------------------------- */

static VOID
IoSend(PSIM_THREAD Thread, PIO_STATE State)
{
    ULONG Function = IO_AT_ONCE + SimRandom(Thread, 3), Method = SimRandom(Thread, 3);
    ULONG Length = 1 + SimRandom(Thread, IO_BYTES), Pattern = SimRandom(Thread, 256);
    IO_STATUS_BLOCK Iosb = {.Status = STATUS_UNSUCCESSFUL};
    KEVENT Event;
    NTSTATUS Status;
    PIRP Irp;

    if (Method == METHOD_IN_DIRECT) {
        Method = METHOD_OUT_DIRECT; /* the other way round the buffer is for reading */
    }
    KeInitializeEvent(&Event, NotificationEvent, FALSE);
    SimPaint(State->Input, Length, Pattern);
    RtlZeroMemory(State->Output, Length);
    Irp = IoBuildDeviceIoControlRequest(CTL_CODE(FILE_DEVICE_UNKNOWN, Function, Method, FILE_ANY_ACCESS), State->Top,
                                        State->Input, Length, State->Output, Length, FALSE, &Event, &Iosb);
    if (Irp == NULL) {
        SIM_REFUSED(Thread);
        return;
    }
    Status = IofCallDriver(State->Top, Irp);
    if (Status == STATUS_PENDING) {
        if (Function == IO_NEVER) {
            SIM_CHECK(IoCancelIrp(Irp));
        }
        KeWaitForSingleObject(&Event, Executive, KernelMode, FALSE, NULL);
    }
    if (Function == IO_NEVER) {
        SIM_CHECK(Iosb.Status == STATUS_CANCELLED);
    } else if (NT_ERROR(Status) || Iosb.Status != STATUS_SUCCESS) {
        /* A request that fails at once leaves the status block alone. */
        SIM_CHECK((NT_ERROR(Status) ? Status : Iosb.Status) == STATUS_INSUFFICIENT_RESOURCES);
        SIM_REFUSED(Thread);
    } else {
        SIM_CHECK(Iosb.Information == Length && SimIsPainted(State->Output, Length, Pattern + 1));
    }
}

static VOID
IoStep(PSIM_THREAD Thread)
{
    PIO_STATE State = SimState(Thread);

    if (State->Bottom == NULL) {
        IoMakeStack(Thread, State);
    }
    for (ULONG Count = 1 + SimRandom(Thread, 4); State->Bottom != NULL && Count != 0; Count -= 1) {
        IoSend(Thread, State);
    }
    if (State->Bottom != NULL && SimRandom(Thread, 3) == 0) {
        IoEndStack(State);
    }
}

static VOID
IoEnd(PSIM_THREAD Thread)
{
    PIO_STATE State = SimState(Thread);

    if (State->Bottom != NULL) {
        IoEndStack(State);
    }
    if (State->Driver != NULL) {
        ObDereferenceObject(State->Driver);
    }
}

SIM_OPERATION("io", 10, sizeof(IO_STATE), IoStep, IoEnd);
