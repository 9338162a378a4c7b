/*
 * Every allocating routine of the core, with each of its requests for memory refused in turn (failnth.h): it says so, and
 * nothing is left behind. One row of the table for each; a routine that is new gets a row here.
 */
#include "../io/iotest.h"
#include <failnth.h>
#include <ktest.h>
#include <mm/mdl/mdl.h>
#include <mm/pte/pte.h>
#include <mm/stack/stack.h>
#include <ps/ps.h>
#include <rtl/rtl.h>

#define SWEEP_TAG 'peeS'

/* Context is a number that a row gives; most have several uses. */
#define ARGUMENT(Context) ((ULONG_PTR)(Context))

/* --- Pool --------------------------------------------------------------------------------------- */

typedef struct _POOL_CASE {
    POOL_FLAGS Flags;
    SIZE_T Size;
} POOL_CASE;

static const POOL_CASE PoolCases[] = {
    {POOL_FLAG_NON_PAGED, 40},
    {POOL_FLAG_NON_PAGED, PAGE_SIZE},
    {POOL_FLAG_NON_PAGED, 50 * PAGE_SIZE},
    {POOL_FLAG_NON_PAGED, 5 << 20},
    {POOL_FLAG_NON_PAGED_EXECUTE, 100},
    {POOL_FLAG_NON_PAGED | POOL_FLAG_CACHE_ALIGNED, 900},
    {POOL_FLAG_NON_PAGED | POOL_FLAG_USE_QUOTA, 300},
    {POOL_FLAG_NON_PAGED | POOL_FLAG_SPECIAL_POOL, 300},
    {POOL_FLAG_PAGED, 40},
    {POOL_FLAG_PAGED, 3 * PAGE_SIZE},
    {POOL_FLAG_PAGED, 5 << 20},
    {POOL_FLAG_PAGED | POOL_FLAG_SPECIAL_POOL, 300},
};

static BOOLEAN
TryPool(PVOID Context)
{
    const POOL_CASE *Case = &PoolCases[ARGUMENT(Context)];
    PVOID Block = ExAllocatePool2(Case->Flags | POOL_FLAG_UNINITIALIZED, Case->Size, SWEEP_TAG);

    if (Block == NULL) {
        return FALSE;
    }
    ExFreePoolWithTag(Block, SWEEP_TAG);
    return TRUE;
}

static BOOLEAN
TryPoolNode(PVOID Context)
{
    POOL_EXTENDED_PARAMETER Parameter = {.Type = PoolExtendedParameterNumaNode, .PreferredNode = 0};
    PVOID Block = ExAllocatePool3(POOL_FLAG_NON_PAGED, 2000, SWEEP_TAG, &Parameter, 1);

    if (Block == NULL) {
        return FALSE;
    }
    ExFreePool(Block);
    return TRUE;
}

static BOOLEAN
TryLookaside(PVOID Context)
{
    LOOKASIDE_LIST_EX List;
    PVOID Entry;

    if (!NT_SUCCESS(ExInitializeLookasideListEx(&List, NULL, NULL, NonPagedPoolNx, 0, 256, SWEEP_TAG, 0))) {
        return FALSE;
    }
    Entry = ExAllocateFromLookasideListEx(&List);
    if (Entry != NULL) {
        ExFreeToLookasideListEx(&List, Entry);
    }
    ExDeleteLookasideListEx(&List);
    return Entry != NULL;
}

static BOOLEAN
TryString(PVOID Context)
{
    UNICODE_STRING Source, Copy;
    ANSI_STRING Narrow;
    NTSTATUS Status;

    RtlInitUnicodeString(&Source, u"a name that is copied");
    if (ARGUMENT(Context) == 0) {
        Status = RtlDuplicateUnicodeString(RTL_DUPLICATE_UNICODE_STRING_NULL_TERMINATE, &Source, &Copy);
    } else if (ARGUMENT(Context) == 1) {
        Status = RtlUpcaseUnicodeString(&Copy, &Source, TRUE);
    } else {
        Status = RtlUnicodeStringToAnsiString(&Narrow, &Source, TRUE);
        if (NT_SUCCESS(Status)) {
            RtlFreeAnsiString(&Narrow);
        }
        return NT_SUCCESS(Status);
    }
    if (NT_SUCCESS(Status)) {
        RtlFreeUnicodeString(&Copy);
    }
    return NT_SUCCESS(Status);
}

/* --- ex ----------------------------------------------------------------------------------------- */

static BOOLEAN
TryTimer(PVOID Context)
{
    PEX_TIMER Timer = ExAllocateTimer(NULL, NULL, EX_TIMER_NOTIFICATION);

    if (Timer == NULL) {
        return FALSE;
    }
    ExDeleteTimer(Timer, TRUE, FALSE, NULL);
    return TRUE;
}

static VOID NTAPI
CalledBack(PVOID Context, PVOID First, PVOID Second)
{
}

static BOOLEAN
TryCallback(PVOID Context)
{
    OBJECT_ATTRIBUTES Attributes;
    PCALLBACK_OBJECT Callback;
    PVOID Registration;

    InitializeObjectAttributes(&Attributes, NULL, 0, NULL, NULL);
    if (!NT_SUCCESS(ExCreateCallback(&Callback, &Attributes, TRUE, TRUE))) {
        return FALSE;
    }
    Registration = ExRegisterCallback(Callback, CalledBack, NULL);
    if (Registration != NULL) {
        ExUnregisterCallback(Registration);
    }
    ObDereferenceObject(Callback);
    return Registration != NULL;
}

/* --- mm ----------------------------------------------------------------------------------------- */

#define ANYWHERE ((PHYSICAL_ADDRESS){.QuadPart = MAXLONGLONG})
#define NOWHERE  ((PHYSICAL_ADDRESS){.QuadPart = 0})

static BOOLEAN
TryReserve(PVOID Context)
{
    static const SIZE_T Sizes[] = {1, 20, 600, 3000};
    SIZE_T PageCount = Sizes[ARGUMENT(Context) / 2];
    MI_SYSTEM_REGION Region = (ARGUMENT(Context) & 1) ? MiRegionPagedPool : MiRegionSystemPtes;
    PVOID Va = MiReserveSystemVa(Region, PageCount, 1);

    if (Va == NULL) {
        return FALSE;
    }
    MiReleaseSystemVa(Region, Va, PageCount);
    return TRUE;
}

static BOOLEAN
TryMdl(PVOID Context)
{
    PMDL Mdl = IoAllocateMdl((PVOID)0x1000, 200 * PAGE_SIZE, FALSE, FALSE, NULL);

    if (Mdl == NULL) {
        return FALSE;
    }
    IoFreeMdl(Mdl);
    return TRUE;
}

/* A paged buffer is locked, mapped in one of several ways, and all taken back. */
static BOOLEAN
TryLockAndMap(PVOID Context)
{
    PMDL Mdl = ((PMDL *)Context)[0];
    PVOID Reserved, Va = NULL;

    if (!NT_SUCCESS(MiProbeAndLockPages(Mdl, KernelMode, IoWriteAccess))) {
        return FALSE;
    }
    Reserved = MmAllocateMappingAddress(8 * PAGE_SIZE, SWEEP_TAG);
    if (Reserved != NULL) {
        Va = MmMapLockedPagesWithReservedMapping(Reserved, SWEEP_TAG, Mdl, MmCached);
        if (Va != NULL) {
            MmUnmapReservedMapping(Va, SWEEP_TAG, Mdl);
            Va = MmMapLockedPagesSpecifyCache(Mdl, KernelMode, MmCached, NULL, FALSE, HighPagePriority);
            if (Va != NULL) {
                MmUnmapLockedPages(Va, Mdl);
            }
        }
        MmFreeMappingAddress(Reserved, SWEEP_TAG);
    }
    MmUnlockPages(Mdl);
    return Va != NULL;
}

static VOID NTAPI
MappedMdl(PVOID Context, PVOID MappedVa)
{
    *(volatile ULONG *)MappedVa = 1;
}

static BOOLEAN
TryMapMdl(PVOID Context)
{
    return NT_SUCCESS(MmMapMdl(((PMDL *)Context)[1], PAGE_READWRITE, MappedMdl, NULL));
}

static BOOLEAN
TryPages(PVOID Context)
{
    ULONG Flags = ARGUMENT(Context) == 0 ? MM_ALLOCATE_FULLY_REQUIRED : (ULONG)ARGUMENT(Context);
    SIZE_T Size = 40 * PAGE_SIZE;
    PMDL Mdl = MmAllocatePagesForMdlEx(NOWHERE, ANYWHERE, NOWHERE, Size, MmCached, Flags);
    BOOLEAN Whole;

    if (Mdl == NULL) {
        return FALSE;
    }
    Whole = MmGetMdlByteCount(Mdl) == Size;
    MmFreePagesFromMdl(Mdl);
    ExFreePool(Mdl);
    return Whole;
}

static BOOLEAN
TryContiguous(PVOID Context)
{
    SIZE_T Size = ARGUMENT(Context) << PAGE_SHIFT;
    PVOID Va = MmAllocateContiguousMemory(Size, ANYWHERE);

    if (Va == NULL) {
        return FALSE;
    }
    MmFreeContiguousMemory(Va);
    return TRUE;
}

static BOOLEAN
TryOwned(PVOID Context)
{
    SIZE_T Size = 20 * PAGE_SIZE;
    PVOID Va = ARGUMENT(Context) != 0 ? MmAllocateNonCachedMemory(Size) : MmAllocateIndependentPages(Size);

    if (Va == NULL) {
        return FALSE;
    }
    if (ARGUMENT(Context) != 0) {
        MmFreeNonCachedMemory(Va, Size);
    } else {
        MmFreeIndependentPages(Va, Size);
    }
    return TRUE;
}

static BOOLEAN
TryIoSpace(PVOID Context)
{
    PHYSICAL_ADDRESS Device = {.QuadPart = 0xFED00000};
    MM_PHYSICAL_ADDRESS_LIST List = {.PhysicalAddress = Device, .NumberOfBytes = 4 * PAGE_SIZE};
    PMDL Mdl;
    PVOID Va;

    if (!HalIsIoSpace(0xFED00, 4)) {
        return TRUE;
    }
    Va = MmMapIoSpace(Device, 4 * PAGE_SIZE, MmNonCached);
    if (Va == NULL) {
        return FALSE;
    }
    MmUnmapIoSpace(Va, 4 * PAGE_SIZE);
    if (!NT_SUCCESS(MmAllocateMdlForIoSpace(&List, 1, &Mdl))) {
        return FALSE;
    }
    IoFreeMdl(Mdl);
    return TRUE;
}

static BOOLEAN
TryRanges(PVOID Context)
{
    PPHYSICAL_MEMORY_RANGE Ranges = MmGetPhysicalMemoryRanges();

    if (Ranges == NULL) {
        return FALSE;
    }
    ExFreePool(Ranges);
    return TRUE;
}

/* --- Stacks and threads ------------------------------------------------------------------------- */

static BOOLEAN
TryStack(PVOID Context)
{
    BOOLEAN Large = ARGUMENT(Context) != 0;
    ULONG_PTR Limit, Base;

    if (!NT_SUCCESS(MiCreateKernelStack(Large, &Limit, &Base))) {
        return FALSE;
    }
    MiDeleteKernelStack(Base, Large);
    MiTrimStacks();
    return TRUE;
}

static VOID NTAPI
OnMoreStack(PVOID Parameter)
{
    *(PBOOLEAN)Parameter = TRUE;
}

static BOOLEAN
TryExpand(PVOID Context)
{
    BOOLEAN Called = FALSE;
    NTSTATUS Status = KeExpandKernelStackAndCalloutEx(OnMoreStack, &Called, MAXIMUM_EXPANSION_SIZE, TRUE, NULL);

    MiTrimStacks();
    return NT_SUCCESS(Status) && Called;
}

static VOID NTAPI
ThreadEnds(PVOID Context)
{
}

static BOOLEAN
TryThread(PVOID Context)
{
    HANDLE Handle;
    PKTHREAD Thread;

    if (ARGUMENT(Context) != 0) {
        if (!NT_SUCCESS(PsCreateSystemThread(&Handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, ThreadEnds, NULL))) {
            return FALSE;
        }
        ZwWaitForSingleObject(Handle, FALSE, NULL);
        ZwClose(Handle);
        return TRUE;
    }
    if (!NT_SUCCESS(PsCreateCoreThread(ThreadEnds, NULL, 8, &Thread))) {
        return FALSE;
    }
    KeWaitForSingleObject(Thread, Executive, KernelMode, FALSE, NULL);
    ObDereferenceObject(Thread);
    return TRUE;
}

/* --- ob ----------------------------------------------------------------------------------------- */

static BOOLEAN
TryEvent(PVOID Context)
{
    OBJECT_ATTRIBUTES Attributes;
    UNICODE_STRING Name;
    HANDLE Handle, Second;
    PVOID Object;
    NTSTATUS Status;

    RtlInitUnicodeString(&Name, u"\\BaseNamedObjects\\Swept");
    InitializeObjectAttributes(&Attributes, ARGUMENT(Context) != 0 ? &Name : NULL, OBJ_KERNEL_HANDLE, NULL, NULL);
    if (!NT_SUCCESS(ZwCreateEvent(&Handle, EVENT_ALL_ACCESS, &Attributes, NotificationEvent, FALSE))) {
        return FALSE;
    }
    Status = ObReferenceObjectByHandle(Handle, 0, NULL, KernelMode, &Object, NULL);
    if (NT_SUCCESS(Status)) {
        Status = ObOpenObjectByPointer(Object, OBJ_KERNEL_HANDLE, NULL, 0, NULL, KernelMode, &Second);
        ObDereferenceObject(Object);
    }
    if (NT_SUCCESS(Status)) {
        ZwClose(Second);
    }
    ZwClose(Handle);
    return NT_SUCCESS(Status);
}

static BOOLEAN
TryDirectory(PVOID Context)
{
    OBJECT_ATTRIBUTES Attributes;
    UNICODE_STRING Name;
    HANDLE Handle;

    RtlInitUnicodeString(&Name, u"\\Swept");
    InitializeObjectAttributes(&Attributes, &Name, OBJ_KERNEL_HANDLE, NULL, NULL);
    if (!NT_SUCCESS(ZwCreateDirectoryObject(&Handle, 0, &Attributes))) {
        return FALSE;
    }
    ZwClose(Handle);
    return TRUE;
}

/* --- io ----------------------------------------------------------------------------------------- */

typedef struct _SWEEP_DEVICE {
    PDRIVER_OBJECT Driver;
    PDEVICE_OBJECT Device;
} SWEEP_DEVICE, *PSWEEP_DEVICE;

static NTSTATUS NTAPI
SweepDispatch(PDEVICE_OBJECT Device, PIRP Irp)
{
    Irp->IoStatus.Status = STATUS_SUCCESS;
    Irp->IoStatus.Information = 0;
    IofCompleteRequest(Irp, IO_NO_INCREMENT);
    return STATUS_SUCCESS;
}

static BOOLEAN
TryDriver(PVOID Context)
{
    IO_DRIVER_PARAMETERS Parameters = {.Name = "swept"};
    PUNICODE_STRING Path;
    PDRIVER_OBJECT Driver;

    if (!NT_SUCCESS(IoMakeDriverObject(&Parameters, &Driver, &Path))) {
        return FALSE;
    }
    ObDereferenceObject(Driver);
    return TRUE;
}

static BOOLEAN
TryDevice(PVOID Context)
{
    PSWEEP_DEVICE Swept = Context;
    UNICODE_STRING Name, Link;
    PDEVICE_OBJECT Device;
    NTSTATUS Status;

    RtlInitUnicodeString(&Name, u"\\Device\\SweptToo");
    RtlInitUnicodeString(&Link, u"\\??\\Swept");
    if (!NT_SUCCESS(IoCreateDevice(Swept->Driver, 100, &Name, FILE_DEVICE_UNKNOWN, 0, FALSE, &Device))) {
        return FALSE;
    }
    Status = IoCreateSymbolicLink(&Link, &Name);
    if (NT_SUCCESS(Status)) {
        while (!NT_SUCCESS(IoDeleteSymbolicLink(&Link))) {
            /* It needs memory too, to understand the name. */
        }
        Status = IoRegisterShutdownNotification(Device);
    }
    if (NT_SUCCESS(Status)) {
        IoUnregisterShutdownNotification(Device);
    }
    IoDeleteDevice(Device);
    return NT_SUCCESS(Status);
}

static BOOLEAN
TryOpen(PVOID Context)
{
    UNICODE_STRING Name;
    PFILE_OBJECT File;
    PDEVICE_OBJECT Device;
    OBJECT_ATTRIBUTES Attributes;
    IO_STATUS_BLOCK Iosb;
    HANDLE Handle;

    RtlInitUnicodeString(&Name, u"\\Device\\Swept");
    if (!NT_SUCCESS(IoGetDeviceObjectPointer(&Name, 0, &File, &Device))) {
        return FALSE;
    }
    ObDereferenceObject(File);
    InitializeObjectAttributes(&Attributes, &Name, OBJ_KERNEL_HANDLE, NULL, NULL);
    if (!NT_SUCCESS(ZwOpenFile(&Handle, SYNCHRONIZE, &Attributes, &Iosb, 0, 0))) {
        return FALSE;
    }
    ZwClose(Handle);
    return TRUE;
}

static BOOLEAN
TryIrp(PVOID Context)
{
    PIRP Irp = IoAllocateIrp(3, FALSE), Part;

    if (Irp == NULL) {
        return FALSE;
    }
    Part = IoAllocateIrp(1, TRUE);
    if (Part != NULL) {
        IoFreeIrp(Part);
    }
    IoFreeIrp(Irp);
    return Part != NULL;
}

/* A request is built in one of three ways, and sent. */
static BOOLEAN
TryRequest(PVOID Context)
{
    PSWEEP_DEVICE Swept = Context;
    IO_STATUS_BLOCK Iosb;
    UCHAR Bytes[64];
    KEVENT Event;
    PIRP Irp;

    for (ULONG Code = 0; Code < 3; Code += 1) {
        KeInitializeEvent(&Event, NotificationEvent, FALSE);
        Irp = IoBuildDeviceIoControlRequest(CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800, Code, FILE_ANY_ACCESS), Swept->Device,
                                            Bytes, sizeof(Bytes), Bytes, sizeof(Bytes), FALSE, &Event, &Iosb);
        if (Irp == NULL) {
            return FALSE;
        }
        IofCallDriver(Swept->Device, Irp);
        KeWaitForSingleObject(&Event, Executive, KernelMode, FALSE, NULL);
    }
    KeInitializeEvent(&Event, NotificationEvent, FALSE);
    Irp = IoBuildSynchronousFsdRequest(IRP_MJ_FLUSH_BUFFERS, Swept->Device, NULL, 0, NULL, &Event, &Iosb);
    if (Irp == NULL) {
        return FALSE;
    }
    IofCallDriver(Swept->Device, Irp);
    KeWaitForSingleObject(&Event, Executive, KernelMode, FALSE, NULL);
    return TRUE;
}

static BOOLEAN
TryWorkItem(PVOID Context)
{
    PIO_WORKITEM Item = IoAllocateWorkItem(((PSWEEP_DEVICE)Context)->Device);
    PVOID Entry;

    if (Item == NULL) {
        return FALSE;
    }
    IoFreeWorkItem(Item);
    Entry = IoAllocateErrorLogEntry(((PSWEEP_DEVICE)Context)->Device, 100);
    if (Entry == NULL) {
        return FALSE;
    }
    IoFreeErrorLogEntry(Entry);
    return TRUE;
}


/* --- The tables --------------------------------------------------------------------------------- */

typedef struct _SWEEP {
    const char *Name;
    KTEST_TRY *Try;
    ULONG_PTR Argument;
    ULONG Flags;
    ULONG Least; /* refusals there must be */
} SWEEP;

static VOID
RunSweeps(const SWEEP *Sweeps, ULONG Count, PVOID Context)
{
    for (ULONG Index = 0; Index < Count; Index += 1) {
        const SWEEP *Sweep = &Sweeps[Index];
        ULONG Refused = KTestFailEach(Sweep->Name, Sweep->Try, Context != NULL ? Context : (PVOID)Sweep->Argument,
                                      Sweep->Flags);

        if (Refused < Sweep->Least) {
            KTestNote("%s: %u refusals", Sweep->Name, Refused);
            CHECK(Refused >= Sweep->Least);
        }
    }
}

/* The first special block brings a record that stays; each sweep compares for itself. */
KTEST_KEEPS(SweepPool)
{
    static const SWEEP Sweeps[] = {
        {"nonpaged block", TryPool, 0, KTEST_STAYS_SHORT, 2}, {"nonpaged page", TryPool, 1, KTEST_STAYS_SHORT, 2},
        {"nonpaged run", TryPool, 2, KTEST_STAYS_SHORT, 2},   {"nonpaged segment", TryPool, 3, KTEST_STAYS_SHORT, 2},
        {"executable block", TryPool, 4, KTEST_STAYS_SHORT, 2}, {"aligned block", TryPool, 5, KTEST_STAYS_SHORT, 2},
        {"block with quota", TryPool, 6, KTEST_STAYS_SHORT, 2}, {"special block", TryPool, 7, KTEST_STAYS_SHORT, 2},
        {"paged block", TryPool, 8, 0, 2},                      {"paged run", TryPool, 9, 0, 2},
        {"paged segment", TryPool, 10, 0, 2},                   {"special paged block", TryPool, 11, 0, 2},
        {"block of a node", TryPoolNode, 0, KTEST_STAYS_SHORT, 2}, {"lookaside entry", TryLookaside, 0, KTEST_STAYS_SHORT, 2},
        {"duplicated string", TryString, 0, 0, 1},              {"upcased string", TryString, 1, 0, 1},
        {"ANSI string", TryString, 2, 0, 1},
    };

    RunSweeps(Sweeps, RTL_NUMBER_OF(Sweeps), NULL);
}

KTEST(SweepExecutive)
{
    static const SWEEP Sweeps[] = {
        {"timer", TryTimer, 0, KTEST_STAYS_SHORT, 1},
        {"callback", TryCallback, 0, KTEST_STAYS_SHORT, 3},
        {"event", TryEvent, 0, KTEST_STAYS_SHORT, 2},
        {"named event", TryEvent, 1, KTEST_STAYS_SHORT, 3},
        {"directory", TryDirectory, 0, KTEST_STAYS_SHORT, 3},
        {"thread of the core", TryThread, 0, KTEST_STAYS_SHORT, 5},
        {"system thread", TryThread, 1, KTEST_STAYS_SHORT, 5},
        {"kernel stack", TryStack, 0, KTEST_STAYS_SHORT, 4},
        {"large kernel stack", TryStack, 1, KTEST_STAYS_SHORT, 4},
        {"callout on more stack", TryExpand, 0, 0, 4},
    };

    RunSweeps(Sweeps, RTL_NUMBER_OF(Sweeps), NULL);
}

KTEST(SweepMemory)
{
    static const SWEEP Sweeps[] = {
        {"one page of address", TryReserve, 0, KTEST_STAYS_SHORT, 1},
        {"one page of paged address", TryReserve, 1, KTEST_STAYS_SHORT, 1},
        {"20 pages of address", TryReserve, 2, KTEST_STAYS_SHORT, 1},
        {"600 pages of address", TryReserve, 4, KTEST_STAYS_SHORT, 3},
        {"3000 pages of paged address", TryReserve, 7, KTEST_STAYS_SHORT, 5},
        {"MDL", TryMdl, 0, KTEST_STAYS_SHORT, 2},
        {"pages for an MDL", TryPages, 0, KTEST_STAYS_SHORT, 3},
        {"contiguous pages for an MDL", TryPages, MM_ALLOCATE_REQUIRE_CONTIGUOUS_CHUNKS, KTEST_STAYS_SHORT, 3},
        {"contiguous memory", TryContiguous, 4, KTEST_STAYS_SHORT, 4},
        {"large contiguous memory", TryContiguous, 512, KTEST_STAYS_SHORT, 4},
        {"noncached memory", TryOwned, 1, KTEST_STAYS_SHORT, 4},
        {"independent pages", TryOwned, 0, KTEST_STAYS_SHORT, 4},
        {"I/O space", TryIoSpace, 0, KTEST_STAYS_SHORT, 0},
        {"ranges of memory", TryRanges, 0, KTEST_STAYS_SHORT, 1},
    };

    RunSweeps(Sweeps, RTL_NUMBER_OF(Sweeps), NULL);
}

KTEST(SweepMappings)
{
    PVOID Buffer = ExAllocatePool2(POOL_FLAG_PAGED, 8 * PAGE_SIZE, SWEEP_TAG);
    PMDL Mdls[2] = {IoAllocateMdl(Buffer, 8 * PAGE_SIZE, FALSE, FALSE, NULL),
                    IoAllocateMdl(Buffer, 8 * PAGE_SIZE, FALSE, FALSE, NULL)};
    static const SWEEP Sweeps[] = {
        {"lock and map", TryLockAndMap, 0, 0, 6},
        {"map for a call", TryMapMdl, 0, 0, 1},
    };

    REQUIRE(Buffer != NULL && Mdls[0] != NULL && Mdls[1] != NULL);
    REQUIRE(NT_SUCCESS(MiProbeAndLockPages(Mdls[1], KernelMode, IoWriteAccess)));
    RunSweeps(Sweeps, RTL_NUMBER_OF(Sweeps), Mdls);
    MmUnlockPages(Mdls[1]);
    IoFreeMdl(Mdls[1]);
    IoFreeMdl(Mdls[0]);
    ExFreePoolWithTag(Buffer, SWEEP_TAG);
}

KTEST(SweepIo)
{
    SWEEP_DEVICE Swept = {.Driver = IoTestDriver("sweeper", SweepDispatch)};
    static const SWEEP Sweeps[] = {
        {"driver object", TryDriver, 0, KTEST_STAYS_SHORT, 3}, {"device", TryDevice, 0, 0, 5},
        {"open device", TryOpen, 0, 0, 4},     {"IRP", TryIrp, 0, KTEST_STAYS_SHORT, 2},
        {"request", TryRequest, 0, KTEST_STAYS_SHORT, 6},      {"work item", TryWorkItem, 0, KTEST_STAYS_SHORT, 2},
    };

    Swept.Device = IoTestDevice(Swept.Driver, u"\\Device\\Swept");
    RunSweeps(Sweeps, RTL_NUMBER_OF(Sweeps), &Swept);
    IoDeleteDevice(Swept.Device);
    ObDereferenceObject(Swept.Driver);
}
