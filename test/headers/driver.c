/*
 * driver.c - a driver that uses each family of our headers the way the documents write it. It must
 * compile without a warning for every compiler, and link to a .sys whose imports are kernel names.
 */
#define POOL_NX_OPTIN 1
#include <ntifs.h>

#define TAG 'tseT'

DRIVER_INITIALIZE DriverEntry;
static DRIVER_UNLOAD Unload;
static DRIVER_DISPATCH DeviceControl;
static KSTART_ROUTINE Worker;
static KDEFERRED_ROUTINE Tick;
static MM_MDL_ROUTINE UseMapping;
static EXPAND_STACK_CALLOUT OnMoreStack;

typedef struct _ELEMENT {
    LIST_ENTRY Link;
    SLIST_ENTRY Single;
    LONG Number;
} ELEMENT, *PELEMENT;

static KSPIN_LOCK Lock;
static LIST_ENTRY List;
static SLIST_HEADER Stack;
static KEVENT Done;
static KTIMER Timer;
static KDPC Dpc;
static FAST_MUTEX Mutex;
static ERESOURCE Resource;
static EX_PUSH_LOCK PushLock;
static EX_RUNDOWN_REF Rundown;
static NPAGED_LOOKASIDE_LIST Lookaside;
static LOOKASIDE_LIST_EX LookasideEx;
static volatile LONG Counter;
static volatile LONG64 Counter64;

static VOID NTAPI
Tick(PKDPC ThisDpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(ThisDpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    InterlockedIncrement(&Counter);
    KeSetEvent((PKEVENT)Context, IO_NO_INCREMENT, FALSE);
}

static VOID NTAPI
UseMapping(PVOID Context, PVOID MappedVa)
{
    RtlFillMemory(MappedVa, *(PULONG)Context, 0x5a);
}

static VOID NTAPI
OnMoreStack(PVOID Parameter)
{
    *(PULONG_PTR)Parameter = IoGetRemainingStackSize();
}

static VOID
UseLists(VOID)
{
    PELEMENT Element = (PELEMENT)ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(ELEMENT), TAG);
    KLOCK_QUEUE_HANDLE Handle;
    KIRQL OldIrql;

    if (Element == NULL) {
        return;
    }
    InitializeListHead(&List);
    KeInitializeSpinLock(&Lock);
    KeAcquireSpinLock(&Lock, &OldIrql);
    InsertTailList(&List, &Element->Link);
    KeReleaseSpinLock(&Lock, OldIrql);
    KeAcquireInStackQueuedSpinLock(&Lock, &Handle);
    while (!IsListEmpty(&List)) {
        Element = CONTAINING_RECORD(RemoveHeadList(&List), ELEMENT, Link);
    }
    KeReleaseInStackQueuedSpinLock(&Handle);
    ExInitializeSListHead(&Stack);
    ExInterlockedPushEntrySList(&Stack, &Element->Single, &Lock);
    if (ExQueryDepthSList(&Stack) != 0) {
        ExInterlockedPopEntrySList(&Stack, &Lock);
    }
    ExInterlockedInsertHeadList(&List, &Element->Link, &Lock);
    ExInterlockedRemoveHeadList(&List, &Lock);
    ExFreePoolWithTag(Element, TAG);
}

static VOID
UseMemory(VOID)
{
    PHYSICAL_ADDRESS Low = {.QuadPart = 0};
    PHYSICAL_ADDRESS High = {.QuadPart = -1};
    PUCHAR Buffer = (PUCHAR)ExAllocatePoolZero(NonPagedPool, PAGE_SIZE, TAG);
    ULONG Length = PAGE_SIZE;
    SIZE_T Copied;
    MM_COPY_ADDRESS Source;
    PMDL Mdl;
    PVOID Alias;

    if (Buffer == NULL) {
        return;
    }
    Mdl = IoAllocateMdl(Buffer, PAGE_SIZE, FALSE, FALSE, NULL);
    if (Mdl != NULL) {
        MmBuildMdlForNonPagedPool(Mdl);
        Alias = MmGetSystemAddressForMdlSafe(Mdl, NormalPagePriority | MdlMappingNoExecute);
        if (Alias != NULL && MmGetMdlByteCount(Mdl) == Length && MmGetMdlPfnArray(Mdl)[0] != 0) {
            RtlCopyMemory(Alias, MmGetMdlVirtualAddress(Mdl), MmGetMdlByteOffset(Mdl) + 1);
        }
        IoFreeMdl(Mdl);
    }
    Mdl = MmAllocatePagesForMdlEx(Low, High, Low, 4 * PAGE_SIZE, MmCached,
                                  MM_ALLOCATE_FULLY_REQUIRED);
    if (Mdl != NULL) {
        MmMapMdl(Mdl, PAGE_READWRITE, UseMapping, &Length);
        MmPrepareMdlForReuse(Mdl);
        MmFreePagesFromMdl(Mdl);
        ExFreePool(Mdl);
    }
    MmInitializeMdl((PMDL)Buffer, Buffer + 1, PAGE_SIZE);
    Source.VirtualAddress = Buffer;
    MmCopyMemory(Buffer + 1, Source, 1, MM_COPY_MEMORY_VIRTUAL, &Copied);
    Alias = MmAllocateContiguousMemorySpecifyCache(PAGE_SIZE, Low, High, Low, MmNonCached);
    MmFreeContiguousMemory(Alias);
    if ((ULONG64)Buffer >= MmUserProbeAddress && (PVOID)Buffer > MmHighestUserAddress &&
        MmIsAddressValid(Buffer) && MmGetPhysicalAddress(Buffer).QuadPart != 0) {
        RtlSecureZeroMemory(Buffer, PAGE_SIZE);
    }
    ExFreePool(Buffer);
}

static VOID NTAPI
Worker(PVOID Context)
{
    LARGE_INTEGER Interval = {.QuadPart = -10000};
    ULONG_PTR Left;

    PAGED_CODE();
    KeDelayExecutionThread(KernelMode, FALSE, &Interval);
    ExAcquireFastMutex(&Mutex);
    ExReleaseFastMutex(&Mutex);
    KeEnterCriticalRegion();
    ExAcquireResourceExclusiveLite(&Resource, TRUE);
    ExReleaseResourceLite(&Resource);
    ExAcquirePushLockShared(&PushLock);
    ExReleasePushLockShared(&PushLock);
    KeLeaveCriticalRegion();
    if (ExAcquireRundownProtection(&Rundown)) {
        ExReleaseRundownProtection(&Rundown);
    }
    KeExpandKernelStackAndCallout(OnMoreStack, &Left, MAXIMUM_EXPANSION_SIZE);
    InterlockedAdd64(&Counter64, InterlockedCompareExchange(&Counter, 1, 0));
    UNREFERENCED_PARAMETER(Context);
    PsTerminateSystemThread(STATUS_SUCCESS);
}

static NTSTATUS NTAPI
DeviceControl(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    PIO_STACK_LOCATION Location = IoGetCurrentIrpStackLocation(Irp);

    UNREFERENCED_PARAMETER(DeviceObject);
    Irp->IoStatus.Status = STATUS_INVALID_DEVICE_REQUEST;
    Irp->IoStatus.Information = 0;
    if (Location->Parameters.DeviceIoControl.IoControlCode ==
        CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800, METHOD_BUFFERED, FILE_ANY_ACCESS)) {
        Irp->IoStatus.Status = STATUS_SUCCESS;
    }
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    return STATUS_SUCCESS;
}

static VOID NTAPI
Unload(PDRIVER_OBJECT DriverObject)
{
    ExDeleteNPagedLookasideList(&Lookaside);
    ExDeleteLookasideListEx(&LookasideEx);
    ExDeleteResourceLite(&Resource);
    IoDeleteDevice(DriverObject->DeviceObject);
}

NTSTATUS NTAPI
DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    DECLARE_CONST_UNICODE_STRING(Name, u"\\Device\\Headers");
    OBJECT_ATTRIBUTES Attributes;
    LARGE_INTEGER Due = {.QuadPart = -10};
    LARGE_INTEGER Now;
    PDEVICE_OBJECT Device;
    UNICODE_STRING Copy;
    HANDLE Thread;
    PVOID Object;
    NTSTATUS Status;

    DbgPrint("%wZ on %lu processors, build %lu\n", RegistryPath,
             KeQueryActiveProcessorCountEx(ALL_PROCESSOR_GROUPS), *NtBuildNumber & 0xffff);
    KdPrint(("checked, kernel %u, debugger %d\n", SharedUserData->NtBuildNumber,
             KD_DEBUGGER_ENABLED));
    ASSERT(KeGetCurrentIrql() == PASSIVE_LEVEL);
    RtlInitUnicodeString(&Copy, u"text");
    KeInitializeEvent(&Done, NotificationEvent, FALSE);
    KeInitializeTimer(&Timer);
    KeInitializeDpc(&Dpc, Tick, &Done);
    ExInitializeFastMutex(&Mutex);
    ExInitializeResourceLite(&Resource);
    ExInitializePushLock(&PushLock);
    ExInitializeRundownProtection(&Rundown);
    ExInitializeNPagedLookasideList(&Lookaside, NULL, NULL, POOL_NX_ALLOCATION, 64, TAG, 0);
    ExInitializeLookasideListEx(&LookasideEx, NULL, NULL, PagedPool, 0, 64, TAG, 0);
    ExFreeToLookasideListEx(&LookasideEx, ExAllocateFromLookasideListEx(&LookasideEx));
    KeSetTimer(&Timer, Due, &Dpc);
    KeWaitForSingleObject(&Done, Executive, KernelMode, FALSE, NULL);
    UseLists();
    UseMemory();
    InitializeObjectAttributes(&Attributes, NULL, OBJ_KERNEL_HANDLE, NULL, NULL);
    Status = PsCreateSystemThread(&Thread, THREAD_ALL_ACCESS, &Attributes, NULL, NULL, Worker,
                                  NULL);
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Status = ObReferenceObjectByHandle(Thread, SYNCHRONIZE, *PsThreadType, KernelMode, &Object,
                                       NULL);
    ZwClose(Thread);
    if (NT_SUCCESS(Status)) {
        KeWaitForSingleObject(Object, Executive, KernelMode, FALSE, NULL);
        ObDereferenceObject(Object);
    }
    KeQuerySystemTime(&Now);
    KeQueryTickCount(&Now);
    DbgPrintEx(DPFLTR_IHVDRIVER_ID, DPFLTR_INFO_LEVEL, "thread %p of %p, %llu %llu\n",
               (PVOID)KeGetCurrentThread(), (PVOID)PsGetCurrentProcess(), KeQueryInterruptTime(),
               (ULONGLONG)KeQueryPerformanceCounter(NULL).QuadPart);
    DriverObject->DriverUnload = Unload;
    DriverObject->MajorFunction[IRP_MJ_DEVICE_CONTROL] = DeviceControl;
    return IoCreateDevice(DriverObject, 0, (PUNICODE_STRING)&Name, FILE_DEVICE_UNKNOWN,
                          FILE_DEVICE_SECURE_OPEN, FALSE, &Device);
}
