/*
 * A driver that asks for memory of every kind, to be run with --fail. As "clean" it copes with every refusal and gives
 * up with STATUS_INSUFFICIENT_RESOURCES; the other names each make one mistake on one path: "keeps" does not free what
 * it has, "trusts" uses what it did not get, "waits" waits for a thread that was never made, "raises" lets an exception
 * out. "never" calls what cannot fail.
 */
#include "check.h"

#define TAG 'fseR'

static const char *Name;
static PVOID Block, Paged;
static PMDL Mdl, Pages;
static PVOID Mapping, Contiguous, Reserved;
static PDEVICE_OBJECT Device;
static PIO_WORKITEM Work;
static HANDLE Thread, Event;
static NPAGED_LOOKASIDE_LIST List;
static PVOID Entry;
static PIRP Irp;
static KEVENT Ended;

static BOOLEAN
Named(PDRIVER_OBJECT DriverObject, const char *Wanted)
{
    const UNICODE_STRING *Full = &DriverObject->DriverName;
    USHORT Index;

    for (Index = 0; Wanted[Index] != 0; Index += 1) {
        if ((Index + 8) * sizeof(WCHAR) >= Full->Length || Full->Buffer[Index + 8] != (WCHAR)Wanted[Index]) {
            return FALSE;
        }
    }
    return (Index + 8) * sizeof(WCHAR) == Full->Length;
}

static BOOLEAN
Is(const char *Wanted)
{
    return Name != NULL && *Name == *Wanted;
}

static VOID NTAPI
Runner(PVOID Context)
{
    KeSetEvent(&Ended, 0, FALSE);
    PsTerminateSystemThread(STATUS_SUCCESS);
}

/* --- Four steps, each of which fails as a whole -------------------------------------------------- */

static __attribute__((noinline)) BOOLEAN
TakePool(VOID)
{
    Block = ExAllocatePool2(POOL_FLAG_NON_PAGED, 100, TAG);
    if (Block == NULL) {
        return FALSE;
    }
    Paged = ExAllocatePoolWithTag(PagedPool, 5000, TAG);
    if (Paged == NULL) {
        if (!Is("keeps")) {
            ExFreePoolWithTag(Block, TAG);
        }
        return FALSE;
    }
    Entry = ExAllocateFromNPagedLookasideList(&List);
    if (Entry == NULL) {
        ExFreePoolWithTag(Paged, TAG);
        ExFreePoolWithTag(Block, TAG);
        return FALSE;
    }
    return TRUE;
}

static __attribute__((noinline)) BOOLEAN
TakeMappings(VOID)
{
    PHYSICAL_ADDRESS Any;

    Any.QuadPart = ~0ull >> 1;
    Mdl = IoAllocateMdl(Block, 100, FALSE, FALSE, NULL);
    if (Mdl == NULL) {
        return FALSE;
    }
    MmBuildMdlForNonPagedPool(Mdl);
    Pages = MmAllocatePagesForMdlEx(Physical(0), Any, Physical(0), 3 * PAGE_SIZE, MmCached, 0);
    if (Pages == NULL) {
        return FALSE;
    }
    Mapping = MmMapLockedPagesSpecifyCache(Pages, KernelMode, MmCached, NULL, FALSE, NormalPagePriority);
    if (Is("trusts")) {
        *(volatile ULONG *)Mapping = 1;
    }
    if (Mapping == NULL) {
        return FALSE;
    }
    Contiguous = MmAllocateContiguousMemory(PAGE_SIZE, Any);
    Reserved = MmAllocateMappingAddress(PAGE_SIZE, TAG);
    return Contiguous != NULL && Reserved != NULL;
}

static __attribute__((noinline)) BOOLEAN
TakeObjects(PDRIVER_OBJECT DriverObject)
{
    OBJECT_ATTRIBUTES Attributes;

    InitializeObjectAttributes(&Attributes, NULL, OBJ_KERNEL_HANDLE, NULL, NULL);
    if (!NT_SUCCESS(IoCreateDevice(DriverObject, 16, NULL, FILE_DEVICE_UNKNOWN, 0, FALSE, &Device))) {
        Device = NULL;
        return FALSE;
    }
    Work = IoAllocateWorkItem(Device);
    if (Work == NULL || !NT_SUCCESS(ZwCreateEvent(&Event, EVENT_ALL_ACCESS, &Attributes, NotificationEvent, FALSE))) {
        return FALSE;
    }
    Irp = IoAllocateIrp(2, FALSE);
    if (Irp == NULL) {
        return FALSE;
    }
    if (!NT_SUCCESS(PsCreateSystemThread(&Thread, 0, &Attributes, NULL, NULL, Runner, NULL))) {
        Thread = NULL;
        if (!Is("waits")) {
            return FALSE;
        }
    }
    KeWaitForSingleObject(&Ended, Executive, KernelMode, FALSE, NULL);
    return TRUE;
}

/* What may not fail, whatever is refused. */
static __attribute__((noinline)) VOID
TakeCertain(VOID)
{
    static ERESOURCE Resource;
    PMDL Certain = Pages;
    PVOID Address;

    ExInitializeResourceLite(&Resource);
    KeEnterCriticalRegion();
    ExAcquireResourceSharedLite(&Resource, TRUE);
    ExReleaseResourceLite(&Resource);
    KeLeaveCriticalRegion();
    ExDeleteResourceLite(&Resource);
    MmUnmapLockedPages(Mapping, Certain);
    Address = MmMapLockedPagesSpecifyCache(Certain, KernelMode, MmCached, NULL, TRUE, NormalPagePriority);
    *(volatile ULONG *)Address = 1;
    MmUnmapLockedPages(Address, Certain);
    Mapping = MmMapLockedPagesSpecifyCache(Certain, KernelMode, MmCached, NULL, TRUE, NormalPagePriority);
}

static VOID
GiveAll(VOID)
{
    PVOID Object;

    if (Thread != NULL) {
        ObReferenceObjectByHandle(Thread, 0, NULL, KernelMode, &Object, NULL);
        KeWaitForSingleObject(Object, Executive, KernelMode, FALSE, NULL);
        ObDereferenceObject(Object);
        ZwClose(Thread);
    }
    if (Irp != NULL) {
        IoFreeIrp(Irp);
    }
    if (Event != NULL) {
        ZwClose(Event);
    }
    if (Work != NULL) {
        IoFreeWorkItem(Work);
    }
    if (Device != NULL) {
        IoDeleteDevice(Device);
    }
    if (Reserved != NULL) {
        MmFreeMappingAddress(Reserved, TAG);
    }
    if (Contiguous != NULL) {
        MmFreeContiguousMemory(Contiguous);
    }
    if (Pages != NULL) {
        MmFreePagesFromMdl(Pages);
        ExFreePool(Pages);
    }
    if (Mdl != NULL) {
        IoFreeMdl(Mdl);
    }
    ExFreeToNPagedLookasideList(&List, Entry);
    ExFreePoolWithTag(Paged, TAG);
    ExFreePoolWithTag(Block, TAG);
}

static VOID NTAPI
Unload(PDRIVER_OBJECT DriverObject)
{
    GiveAll();
    ExDeleteNPagedLookasideList(&List);
    DbgPrint("unloaded\n");
}

NTSTATUS NTAPI
DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    static const char *const Names[] = {"keeps", "trusts", "waits", "raises", "never"};
    PVOID Certain;
    ULONG Index;

    for (Index = 0; Index < sizeof(Names) / sizeof(Names[0]); Index += 1) {
        if (Named(DriverObject, Names[Index])) {
            Name = Names[Index];
        }
    }
    DbgPrint("started\n");
    DriverObject->DriverUnload = Unload;
    KeInitializeEvent(&Ended, NotificationEvent, FALSE);
    ExInitializeNPagedLookasideList(&List, NULL, NULL, POOL_NX_ALLOCATION, 64, TAG, 0);
    if (Is("raises")) {
        Certain = ExAllocatePool2(POOL_FLAG_NON_PAGED | POOL_FLAG_RAISE_ON_FAILURE, 16, TAG);
        ExFreePoolWithTag(Certain, TAG);
    }
    if (!TakePool()) {
        ExDeleteNPagedLookasideList(&List);
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    if (!TakeMappings() || !TakeObjects(DriverObject)) {
        GiveAll();
        ExDeleteNPagedLookasideList(&List);
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    if (Is("never")) {
        TakeCertain();
    }
    return STATUS_SUCCESS;
}
