/*
 * tour: what a driver can do with memory, one step after another. Each step says what it shows, does it, and
 * leaves nothing behind; so the report at the end says that nothing was found.
 *
 *     ntmm run tour.sys
 *     ntmm run --seed 2 tour.sys        another schedule, other addresses
 */
#include <ntddk.h>

#define TOUR_TAG 'ruoT' /* reads "Tour" in memory and in the report */

/* --- Pool: memory that the whole kernel shares
 * ------------------------------------------------------------------- */

static VOID
TourPool(VOID)
{
    PULONG Nonpaged, Paged, Large;

    DbgPrint("1. Pool\n");

    /* Nonpaged pool is always there: at any IRQL, in any thread. It comes zeroed, and cannot be executed. */
    Nonpaged = ExAllocatePool2(POOL_FLAG_NON_PAGED, 100, TOUR_TAG);
    if (Nonpaged != NULL) {
        DbgPrint("   100 bytes of nonpaged pool, 16-byte aligned: %s; zeroed: %s\n",
                 ((ULONG_PTR)Nonpaged & 15) == 0 ? "yes" : "no", Nonpaged[0] == 0 ? "yes" : "no");
        ExFreePoolWithTag(Nonpaged, TOUR_TAG);
    }

    /* Paged pool may be written to disk when memory is short. Its pages appear when they are touched first.
     */
    Paged = ExAllocatePool2(POOL_FLAG_PAGED, 64 * PAGE_SIZE, TOUR_TAG);
    if (Paged != NULL) {
        PULONG Page20 = Paged + 20 * PAGE_SIZE / sizeof(ULONG);

        DbgPrint("   64 pages of paged pool; is page 20 there? %s", MmIsAddressValid(Page20) ? "yes" : "no");
        *Page20 = 1;
        DbgPrint("; now that it was written to? %s\n", MmIsAddressValid(Page20) ? "yes" : "no");
        ExFreePoolWithTag(Paged, TOUR_TAG);
    }

    /* The older interface: contents are what the last owner left, and a page or more begins at a page. */
    Large = ExAllocatePoolWithTag(NonPagedPoolNx, PAGE_SIZE + 1, TOUR_TAG);
    if (Large != NULL) {
        DbgPrint("   a page and a byte, offset in its page: %u\n", BYTE_OFFSET(Large));
        ExFreePoolWithTag(Large, TOUR_TAG);
    }
}

/* --- Lookaside lists: blocks of one size, again and again
 * --------------------------------------------------------- */

static VOID
TourLookaside(VOID)
{
    static NPAGED_LOOKASIDE_LIST List;
    PVOID First, Second;

    DbgPrint("2. A lookaside list\n");
    ExInitializeNPagedLookasideList(&List, NULL, NULL, POOL_NX_ALLOCATION, 256, TOUR_TAG, 0);
    First = ExAllocateFromNPagedLookasideList(&List);
    if (First != NULL) {
        ExFreeToNPagedLookasideList(&List, First);
        /* What was given back last is handed out first: it is still in the processor's cache. */
        Second = ExAllocateFromNPagedLookasideList(&List);
        DbgPrint("   the block that was freed comes back: %s\n", First == Second ? "yes" : "no");
        if (Second != NULL) {
            ExFreeToNPagedLookasideList(&List, Second);
        }
    }
    /* Gives the cached blocks back to the pool. Forget this and the report names the list. */
    ExDeleteNPagedLookasideList(&List);
}

/* --- MDLs: the pages behind a buffer
 * ------------------------------------------------------------------------------ */

static VOID
TourMdl(VOID)
{
    PCHAR Buffer = ExAllocatePool2(POOL_FLAG_PAGED, 2 * PAGE_SIZE, TOUR_TAG), Alias;
    PMDL Mdl;

    DbgPrint("3. An MDL and a second mapping\n");
    if (Buffer == NULL) {
        return;
    }
    Mdl = IoAllocateMdl(Buffer, 2 * PAGE_SIZE, FALSE, FALSE, NULL);
    if (Mdl == NULL) {
        ExFreePoolWithTag(Buffer, TOUR_TAG);
        return;
    }
    /*
     * Locked pages stay where they are until they are unlocked: now a device could be told their physical
     * addresses. Locking raises an exception when it fails, which it cannot for pool of our own that we may
     * write to.
     */
    MmProbeAndLockPages(Mdl, KernelMode, IoWriteAccess);
    DbgPrint("   two pages, locked; they lie %s in physical memory\n",
             MmGetMdlPfnArray(Mdl)[1] == MmGetMdlPfnArray(Mdl)[0] + 1 ? "side by side" : "apart");

    Alias = MmGetSystemAddressForMdlSafe(Mdl, NormalPagePriority | MdlMappingNoExecute);
    if (Alias != NULL) {
        /* Two addresses, one memory: what is written through one is read through the other. */
        RtlCopyMemory(Buffer, "written through the first", 26);
        DbgPrint("   read through the second mapping: \"%s\"\n", Alias);
        RtlCopyMemory(Alias + PAGE_SIZE, "and back", 9);
        DbgPrint("   read through the first: \"%s\"\n", Buffer + PAGE_SIZE);
    }
    MmUnlockPages(Mdl); /* removes the mapping too */
    IoFreeMdl(Mdl);
    ExFreePoolWithTag(Buffer, TOUR_TAG);
}

/* --- Pages without an address, and pages in a row
 * ----------------------------------------------------------------- */

static VOID
TourPages(VOID)
{
    PHYSICAL_ADDRESS Zero, Highest;
    PVOID Run;
    PMDL Mdl;

    DbgPrint("4. Physical pages\n");
    Zero.QuadPart = 0;
    Highest.QuadPart = 0xFFFFFFFF;

    /* Sixteen zeroed pages below 4 GB, in one run, with no virtual address at all. */
    Mdl = MmAllocatePagesForMdlEx(Zero, Highest, Zero, 16 * PAGE_SIZE, MmCached,
                                  MM_ALLOCATE_FULLY_REQUIRED | MM_ALLOCATE_REQUIRE_CONTIGUOUS_CHUNKS);
    if (Mdl != NULL) {
        DbgPrint("   %u pages for an MDL, in one run: %s\n", MmGetMdlByteCount(Mdl) / PAGE_SIZE,
                 MmGetMdlPfnArray(Mdl)[15] == MmGetMdlPfnArray(Mdl)[0] + 15 ? "yes" : "no");
        MmFreePagesFromMdl(Mdl);
        ExFreePool(Mdl); /* the MDL itself is pool */
    }

    /* Contiguous memory is such a run with an address: for devices that know no scatter and gather. */
    Run = MmAllocateContiguousNodeMemory(64 * 1024, Zero, Highest, Zero, PAGE_READWRITE, MM_ANY_NODE_OK);
    if (Run != NULL) {
        DbgPrint("   64 KB of contiguous memory below 4 GB: %s\n",
                 MmGetPhysicalAddress(Run).QuadPart <= Highest.QuadPart - 0xFFFF ? "yes" : "no");
        MmFreeContiguousMemory(Run);
    }
}

/* --- A thread, an event, a timer, a mutex
 * -------------------------------------------------------------------------- */

typedef struct _TOUR_SHARED {
    KEVENT Finished;
    KMUTEX Mutex;
    KTIMER Timer;
    ULONG Count; /* owned by Mutex */
} TOUR_SHARED, *PTOUR_SHARED;

static VOID
TourCount(PTOUR_SHARED Shared, ULONG Times)
{
    while (Times > 0) {
        KeWaitForSingleObject(&Shared->Mutex, Executive, KernelMode, FALSE, NULL);
        Shared->Count += 1;
        KeReleaseMutex(&Shared->Mutex, FALSE);
        Times -= 1;
    }
}

static VOID NTAPI
TourThread(PVOID Context)
{
    PTOUR_SHARED Shared = Context;

    TourCount(Shared, 1000);
    /* Until the timer says so. */
    KeWaitForSingleObject(&Shared->Timer, Executive, KernelMode, FALSE, NULL);
    KeSetEvent(&Shared->Finished, IO_NO_INCREMENT, FALSE);
    PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID
TourThreads(VOID)
{
    PTOUR_SHARED Shared;
    LARGE_INTEGER Due;
    PVOID Thread;
    HANDLE Handle;

    DbgPrint("5. A system thread\n");
    /* What is waited on must be nonpaged. */
    Shared = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*Shared), TOUR_TAG);
    if (Shared == NULL) {
        return;
    }
    KeInitializeEvent(&Shared->Finished, NotificationEvent, FALSE);
    KeInitializeMutex(&Shared->Mutex, 0);
    KeInitializeTimer(&Shared->Timer);
    Due.QuadPart = -10 * 10000; /* ten milliseconds from now, in units of 100 ns */
    KeSetTimer(&Shared->Timer, Due, NULL);
    if (NT_SUCCESS(PsCreateSystemThread(&Handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, TourThread, Shared))) {
        ObReferenceObjectByHandle(Handle, THREAD_ALL_ACCESS, NULL, KernelMode, &Thread, NULL);
        ZwClose(Handle);
        TourCount(Shared, 1000);
        KeWaitForSingleObject(&Shared->Finished, Executive, KernelMode, FALSE, NULL);
        DbgPrint("   two threads counted to %u together\n", Shared->Count);
        /* The event came from the thread's last lines; only its end makes sure that it runs no more of our
         * code. */
        KeWaitForSingleObject(Thread, Executive, KernelMode, FALSE, NULL);
        ObDereferenceObject(Thread);
    }
    KeCancelTimer(&Shared->Timer);
    ExFreePoolWithTag(Shared, TOUR_TAG);
}

static VOID NTAPI
TourUnload(PDRIVER_OBJECT DriverObject)
{
    DbgPrint("%wZ has nothing left to give back\n", &DriverObject->DriverName);
}

NTSTATUS NTAPI
DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    DriverObject->DriverUnload = TourUnload;
    TourPool();
    TourLookaside();
    TourMdl();
    TourPages();
    TourThreads();
    return STATUS_SUCCESS;
}
