/* Locking pages and unlocking them. */
#include "mdltest.h"

KTEST(LockMakesPagesResident)
{
    LONG64 Resident = MiResidentAvailablePages();
    MT_BUFFER Buffer = MtMakeBuffer(POOL_FLAG_PAGED, 3 * PAGE_SIZE);
    LONG64 Before;

    REQUIRE(Buffer.Mdl != NULL);
    Before = MiResidentAvailablePages();
    CHECK(!MmIsAddressValid(Buffer.Va + PAGE_SIZE));
    MmProbeAndLockPages(Buffer.Mdl, KernelMode, IoWriteAccess);
    CHECK_EQ(Buffer.Mdl->MdlFlags, MDL_PAGES_LOCKED | MDL_WRITE_OPERATION);
    CHECK_EQ(MiResidentAvailablePages(), Before - 3);
    for (ULONG Page = 0; Page < 3; Page += 1) {
        PFN_NUMBER Frame = MtFrameOf(Buffer.Va + Page * PAGE_SIZE);

        CHECK_EQ(MtFrames(Buffer.Mdl)[Page], Frame);
        CHECK_EQ(MiFrameReferenceCount(Frame), 2);
    }
    CHECK_EQ(MiTrimRange(Buffer.Va, 3), 0);
    CHECK(MmIsAddressValid(Buffer.Va + 2 * PAGE_SIZE));
    MmUnlockPages(Buffer.Mdl);
    CHECK_EQ(Buffer.Mdl->MdlFlags, 0);
    CHECK_EQ(MiResidentAvailablePages(), Before);
    CHECK(MiFrameIsModified(MtFrameOf(Buffer.Va)));
    CHECK_EQ(MiTrimRange(Buffer.Va, 3), 3);
    MtFreeBuffer(&Buffer);
    MiTrimPools();
    CHECK(MiResidentAvailablePages() >= Resident - 4);
}

KTEST(LockForReadLeavesPagesClean)
{
    MT_BUFFER Buffer = MtMakeBuffer(POOL_FLAG_PAGED, PAGE_SIZE);

    REQUIRE(Buffer.Mdl != NULL);
    MmProbeAndLockPages(Buffer.Mdl, KernelMode, IoReadAccess);
    CHECK_EQ(Buffer.Mdl->MdlFlags, MDL_PAGES_LOCKED);
    MmUnlockPages(Buffer.Mdl);
    CHECK(!MiFrameIsModified(MtFrameOf(Buffer.Va)));
    MmProbeAndLockPages(Buffer.Mdl, KernelMode, IoModifyAccess);
    CHECK(Buffer.Mdl->MdlFlags & MDL_WRITE_OPERATION);
    MmUnlockPages(Buffer.Mdl);
    MtFreeBuffer(&Buffer);
}

KTEST(LockOnePageTwice)
{
    MT_BUFFER Buffer = MtMakeLocked(POOL_FLAG_PAGED, PAGE_SIZE);
    PMDL Other = IoAllocateMdl(Buffer.Va + 8, 8, FALSE, FALSE, NULL);
    PFN_NUMBER Frame;

    REQUIRE(Buffer.Mdl != NULL && Other != NULL);
    Frame = MtFrameOf(Buffer.Va);
    MmProbeAndLockPages(Other, KernelMode, IoReadAccess);
    CHECK_EQ(MiFrameReferenceCount(Frame), 3);
    MmUnlockPages(Buffer.Mdl);
    CHECK_EQ(MiFrameReferenceCount(Frame), 2);
    CHECK_EQ(MiTrimRange(Buffer.Va, 1), 0);
    MmUnlockPages(Other);
    IoFreeMdl(Other);
    MtFreeBuffer(&Buffer);
}

/* Nonpageable memory is not charged again, and can be locked at DISPATCH_LEVEL. */
KTEST(LockNonpageableMemory)
{
    UCHAR Local[64];
    PMDL Stack = IoAllocateMdl(Local, sizeof(Local), FALSE, FALSE, NULL);
    MT_BUFFER Buffer = MtMakeBuffer(POOL_FLAG_NON_PAGED, 5 * PAGE_SIZE);
    LONG64 Resident;
    KIRQL OldIrql;

    REQUIRE(Buffer.Mdl != NULL && Stack != NULL);
    Resident = MiResidentAvailablePages();
    OldIrql = KiRaiseIrqlToDispatch();
    MmProbeAndLockPages(Buffer.Mdl, KernelMode, IoWriteAccess);
    MmProbeAndLockPages(Stack, KernelMode, IoWriteAccess);
    CHECK(MmGetSystemAddressForMdlSafe(Stack, NormalPagePriority) != NULL);
    *(volatile UCHAR *)MmGetSystemAddressForMdlSafe(Stack, NormalPagePriority) = 0x77;
    CHECK_EQ(((volatile UCHAR *)Local)[0], 0x77);
    MmUnlockPages(Stack);
    MmUnlockPages(Buffer.Mdl);
    KiLowerIrql(OldIrql);
    MiTrimPools();
    CHECK(MiResidentAvailablePages() >= Resident - 2);
    IoFreeMdl(Stack);
    MtFreeBuffer(&Buffer);
}

/* --- Refusals --------------------------------------------------------------------------------- */

KTEST(LockOfBadAddresses)
{
    PMDL Mdl = IoAllocateMdl(NULL, 16, FALSE, FALSE, NULL);
    PUCHAR Va = MiReserveSystemVa(MiRegionSystemPtes, 1, 1);
    static const ULONG_PTR Bad[] = {0, 0x10000, 0x00FF000000000000, 0xFFFF800000000000, 0xFFFFFFFFFFFFFFF8};

    REQUIRE(Mdl != NULL && Va != NULL);
    for (ULONG Index = 0; Index < ARRAYSIZE(Bad); Index += 1) {
        MmInitializeMdl(Mdl, (PVOID)Bad[Index], 16);
        CHECK_STATUS(STATUS_ACCESS_VIOLATION, MiProbeAndLockPages(Mdl, KernelMode, IoReadAccess));
        CHECK_EQ(Mdl->MdlFlags, 0);
    }
    MmInitializeMdl(Mdl, Va, 16);
    CHECK_STATUS(STATUS_ACCESS_VIOLATION, MiProbeAndLockPages(Mdl, KernelMode, IoReadAccess));
    MiReleaseSystemVa(MiRegionSystemPtes, Va, 1);
    IoFreeMdl(Mdl);
}

KTEST(LockForUserModeRefusesSystemAddresses)
{
    MT_BUFFER Buffer = MtMakeBuffer(POOL_FLAG_NON_PAGED, 16);

    REQUIRE(Buffer.Mdl != NULL);
    CHECK_STATUS(STATUS_ACCESS_VIOLATION, MiProbeAndLockPages(Buffer.Mdl, UserMode, IoReadAccess));
    MtFreeBuffer(&Buffer);
}

static VOID
LockIt(PVOID Mdl)
{
    MmProbeAndLockPages(Mdl, KernelMode, IoWriteAccess);
}

/* A failure is raised, and the pages locked before it are not. */
KTEST(LockFailsHalfWay)
{
    PUCHAR Va = MiReserveSystemVa(MiRegionSystemPtes, 3, 1);
    PMDL Mdl = IoAllocateMdl(Va, 3 * PAGE_SIZE, FALSE, FALSE, NULL);
    PFN_NUMBER Frames[2];

    REQUIRE(Va != NULL && Mdl != NULL);
    REQUIRE(MiGetFrames(MI_GET_ALL, 0, MiUseSystemPte, 2, Frames) == 2);
    MiMapFrames(Va, 2, Frames, MM_READWRITE, MmCached);
    CHECK_BUGCHECK_CALL(KMODE_EXCEPTION_NOT_HANDLED, (ULONG_PTR)(LONG_PTR)STATUS_ACCESS_VIOLATION, LockIt,
                        Mdl);
    CHECK_EQ(Mdl->MdlFlags, 0);
    CHECK_EQ(MiFrameReferenceCount(Frames[0]), 1);
    CHECK_EQ(MiFrameReferenceCount(Frames[1]), 1);
    MiUnmapRange(Va, 2, NULL);
    MiFreeFrames(Frames, 2);
    MiReleaseSystemVa(MiRegionSystemPtes, Va, 3);
    IoFreeMdl(Mdl);
}

KTEST(LockOfReadOnlyPage)
{
    PUCHAR Va = PtMakePageable(1, MM_READONLY);
    PMDL Mdl = IoAllocateMdl(Va, PAGE_SIZE, FALSE, FALSE, NULL);

    REQUIRE(Va != NULL && Mdl != NULL);
    CHECK_STATUS(STATUS_ACCESS_VIOLATION, MiProbeAndLockPages(Mdl, KernelMode, IoWriteAccess));
    CHECK_STATUS(STATUS_SUCCESS, MiProbeAndLockPages(Mdl, KernelMode, IoReadAccess));
    MmUnlockPages(Mdl);
    IoFreeMdl(Mdl);
    PtDeletePageable(Va, 1);
    MiTrimSystemSpace();
}

static VOID
LockAtDispatch(PVOID Mdl)
{
    KiRaiseIrql(DISPATCH_LEVEL);
    MmProbeAndLockPages(Mdl, KernelMode, IoReadAccess);
}

static VOID
LockAboveDispatch(PVOID Mdl)
{
    KiRaiseIrql(DISPATCH_LEVEL + 1);
    MmProbeAndLockPages(Mdl, KernelMode, IoReadAccess);
}

KTEST_KEEPS(LockAtTheWrongIrql)
{
    MT_BUFFER Buffer = MtMakeBuffer(POOL_FLAG_PAGED, PAGE_SIZE);

    REQUIRE(Buffer.Mdl != NULL);
    MiTrimRange(Buffer.Va, 1);
    CHECK_BUGCHECK_CALL(IRQL_NOT_LESS_OR_EQUAL, (ULONG_PTR)Buffer.Va, LockAtDispatch, Buffer.Mdl);
    CHECK_BUGCHECK_CALL(DRIVER_VERIFIER_DETECTED_VIOLATION, 0x70, LockAboveDispatch, Buffer.Mdl);
    MtFreeBuffer(&Buffer);
}

KTEST(LockWithWrongFlags)
{
    MT_BUFFER Buffer = MtMakeLocked(POOL_FLAG_NON_PAGED, PAGE_SIZE);
    PMDL Pool = IoAllocateMdl(Buffer.Va, 8, FALSE, FALSE, NULL);

    REQUIRE(Buffer.Mdl != NULL && Pool != NULL);
    MT_BUGCHECK2(DRIVER_VERIFIER_DETECTED_VIOLATION, 0xB0, (ULONG_PTR)Buffer.Mdl, LockIt, Buffer.Mdl);
    MmBuildMdlForNonPagedPool(Pool);
    MT_BUGCHECK2(DRIVER_VERIFIER_DETECTED_VIOLATION, 0xB0, (ULONG_PTR)Pool, LockIt, Pool);
    IoFreeMdl(Pool);
    MtFreeLocked(&Buffer);
}

KTEST(LockOfDevicePages)
{
    PUCHAR Va;
    PMDL Mdl;

    if (!MtHasIoSpace()) {
        KTestNote("no device memory");
        return;
    }
    Va = MmMapIoSpace(MtPhysical(MDL_IO_FRAME << PAGE_SHIFT), PAGE_SIZE, MmNonCached);
    REQUIRE(Va != NULL);
    Mdl = IoAllocateMdl(Va, PAGE_SIZE, FALSE, FALSE, NULL);
    REQUIRE(Mdl != NULL);
    MT_BUGCHECK2(DRIVER_VERIFIER_DETECTED_VIOLATION, 0x6F, (ULONG_PTR)Mdl, LockIt, Mdl);
    KiVerifierOn = FALSE;
    MmProbeAndLockPages(Mdl, KernelMode, IoReadAccess);
    KiVerifierOn = TRUE;
    CHECK_EQ(Mdl->MdlFlags, MDL_PAGES_LOCKED | MDL_IO_SPACE);
    CHECK_EQ(MtFrames(Mdl)[0], MDL_IO_FRAME);
    MmUnlockPages(Mdl);
    IoFreeMdl(Mdl);
    MmUnmapIoSpace(Va, PAGE_SIZE);
}

/* --- Unlocking what is not locked ------------------------------------------------------------- */

static VOID
UnlockIt(PVOID Mdl)
{
    MmUnlockPages(Mdl);
}

KTEST(UnlockWithoutLock)
{
    MT_BUFFER Buffer = MtMakeLocked(POOL_FLAG_NON_PAGED, 2 * PAGE_SIZE);
    PMDL Other = IoAllocateMdl(Buffer.Va, 2 * PAGE_SIZE, FALSE, FALSE, NULL);

    REQUIRE(Buffer.Mdl != NULL && Other != NULL);
    MT_BUGCHECK2(DRIVER_VERIFIER_DETECTED_VIOLATION, 0x7C, (ULONG_PTR)Other, UnlockIt, Other);
    KiVerifierOn = FALSE;
    MT_BUGCHECK2(PROCESS_HAS_LOCKED_PAGES, 1, (ULONG_PTR)Other, UnlockIt, Other);
    KiVerifierOn = TRUE;
    IoBuildPartialMdl(Buffer.Mdl, Other, Buffer.Va, 0);
    MT_BUGCHECK2(DRIVER_VERIFIER_DETECTED_VIOLATION, 0xB4, (ULONG_PTR)Other, UnlockIt, Other);
    MmInitializeMdl(Other, Buffer.Va, 2 * PAGE_SIZE);
    MmBuildMdlForNonPagedPool(Other);
    MT_BUGCHECK2(DRIVER_VERIFIER_DETECTED_VIOLATION, 0x7D, (ULONG_PTR)Other, UnlockIt, Other);
    IoFreeMdl(Other);
    MmUnlockPages(Buffer.Mdl);
    MT_BUGCHECK2(DRIVER_VERIFIER_DETECTED_VIOLATION, 0x7C, (ULONG_PTR)Buffer.Mdl, UnlockIt, Buffer.Mdl);
    MtFreeBuffer(&Buffer);
}

KTEST(UnlockOfAllocatedPages)
{
    PMDL Mdl = MmAllocatePagesForMdl(MtPhysical(0), MtPhysical(~0ull), MtPhysical(0), PAGE_SIZE);

    REQUIRE(Mdl != NULL);
    MT_BUGCHECK2(DRIVER_VERIFIER_DETECTED_VIOLATION, 0x7C, (ULONG_PTR)Mdl, UnlockIt, Mdl);
    MmFreePagesFromMdl(Mdl);
    ExFreePool(Mdl);
}

/* --- Other forms ------------------------------------------------------------------------------ */

KTEST(LockSelectedPages)
{
    MT_BUFFER Buffer = MtMakeBuffer(POOL_FLAG_PAGED, 4 * PAGE_SIZE);
    FILE_SEGMENT_ELEMENT Elements[3];
    static const ULONG Order[] = {3, 0, 2};

    REQUIRE(Buffer.Mdl != NULL);
    for (ULONG Index = 0; Index < 3; Index += 1) {
        Elements[Index].Buffer = (PVOID64)(Buffer.Va + Order[Index] * PAGE_SIZE);
    }
    MmInitializeMdl(Buffer.Mdl, Buffer.Va, 3 * PAGE_SIZE);
    MmProbeAndLockSelectedPages(Buffer.Mdl, Elements, KernelMode, IoWriteAccess);
    for (ULONG Index = 0; Index < 3; Index += 1) {
        CHECK_EQ(MtFrames(Buffer.Mdl)[Index], MtFrameOf(Buffer.Va + Order[Index] * PAGE_SIZE));
    }
    CHECK(!MmIsAddressValid(Buffer.Va + PAGE_SIZE));
    MmUnlockPages(Buffer.Mdl);
    MmProbeAndLockProcessPages(Buffer.Mdl, PsInitialSystemProcess, KernelMode, IoReadAccess);
    CHECK_EQ(MtFrames(Buffer.Mdl)[1], MtFrameOf(Buffer.Va + PAGE_SIZE));
    MmUnlockPages(Buffer.Mdl);
    MtFreeBuffer(&Buffer);
}

/* Memory that goes away under a lock stays until the lock does. */
KTEST(LockOutlivesItsMemory)
{
    PUCHAR Va = PtMakePageable(2, MM_READWRITE);
    PMDL Mdl = IoAllocateMdl(Va, 2 * PAGE_SIZE, FALSE, FALSE, NULL);
    PUCHAR Mapped;

    REQUIRE(Va != NULL && Mdl != NULL);
    Va[PAGE_SIZE] = 0x42;
    MmProbeAndLockPages(Mdl, KernelMode, IoReadAccess);
    PtDeletePageable(Va, 2);
    Mapped = MmGetSystemAddressForMdlSafe(Mdl, NormalPagePriority);
    REQUIRE(Mapped != NULL);
    CHECK_EQ(Mapped[PAGE_SIZE], 0x42);
    MmUnlockPages(Mdl);
    IoFreeMdl(Mdl);
    MiTrimSystemSpace();
}

/* --- Failure, and company --------------------------------------------------------------------- */

KTEST(LockFailNth)
{
    MT_BUFFER Buffer = MtMakeBuffer(POOL_FLAG_PAGED, 8 * PAGE_SIZE);
    ULONG64 Nth = 0;
    NTSTATUS Status;
    BOOLEAN Failed;

    REQUIRE(Buffer.Mdl != NULL);
    do {
        LONG64 Resident = MtResidentPages();

        Nth += 1;
        PtFailNth(Nth, TRUE);
        Status = MiProbeAndLockPages(Buffer.Mdl, KernelMode, IoWriteAccess);
        Failed = PtStopFailing();
        if (NT_SUCCESS(Status)) {
            MmUnlockPages(Buffer.Mdl);
        } else {
            CHECK(Status == STATUS_INSUFFICIENT_RESOURCES || Status == STATUS_WORKING_SET_QUOTA);
            CHECK_EQ(Buffer.Mdl->MdlFlags, 0);
            CHECK_EQ(MtResidentPages(), Resident);
        }
    } while (Failed && Nth < 100);
    CHECK(Nth > 8 && NT_SUCCESS(Status));
    MtFreeBuffer(&Buffer);
}

KTEST(LockWithoutResidentAvailable)
{
    MT_BUFFER Buffer = MtMakeBuffer(POOL_FLAG_PAGED, 4 * PAGE_SIZE);
    PMI_TRACKED Spare = MiAllocateTracked(MiTrackLockedPages);
    SIZE_T Taken;

    REQUIRE(Buffer.Mdl != NULL && Spare != NULL);
    RtlZeroMemory(Buffer.Va, 4 * PAGE_SIZE);
    MiFreeTracked(Spare);
    Taken = (SIZE_T)MiResidentAvailablePages() - 2;
    REQUIRE(MiChargeResidentAvailable(Taken));
    CHECK_STATUS(STATUS_WORKING_SET_QUOTA, MiProbeAndLockPages(Buffer.Mdl, KernelMode, IoReadAccess));
    CHECK_EQ(MiResidentAvailablePages(), 2);
    MiReturnResidentAvailable(Taken);
    MtFreeBuffer(&Buffer);
}

#define LOCK_PAGES  16u
#define LOCK_ROUNDS 40u

/* Lock, change a page through the mapping, unlock; while others trim. */
static VOID NTAPI
LockAndTrim(PVOID Context)
{
    PUCHAR Va = Context;
    PMDL Mdl = IoAllocateMdl(Va, LOCK_PAGES * PAGE_SIZE, FALSE, FALSE, NULL);

    for (ULONG Round = 0; Mdl != NULL && Round < LOCK_ROUNDS; Round += 1) {
        PUCHAR Mapped;

        MmInitializeMdl(Mdl, Va, LOCK_PAGES * PAGE_SIZE);
        MmProbeAndLockPages(Mdl, KernelMode, IoWriteAccess);
        Mapped = MmGetSystemAddressForMdlSafe(Mdl, HighPagePriority);
        for (ULONG Page = 0; Mapped != NULL && Page < LOCK_PAGES; Page += 1) {
            __atomic_fetch_add((PULONG)(Mapped + Page * PAGE_SIZE), 1, __ATOMIC_RELAXED);
        }
        MmUnlockPages(Mdl);
        MiTrimRange(Va, LOCK_PAGES);
    }
    if (Mdl != NULL) {
        IoFreeMdl(Mdl);
    }
}

KTEST(LockAgainstTrimming)
{
    PUCHAR Va = PtMakePageable(LOCK_PAGES, MM_READWRITE);

    REQUIRE(Va != NULL);
    PtRunThreads(LockAndTrim, Va);
    for (ULONG Page = 0; Page < LOCK_PAGES; Page += 1) {
        CHECK_EQ(*(PULONG)(Va + Page * PAGE_SIZE), PT_THREADS * LOCK_ROUNDS);
    }
    PtDeletePageable(Va, LOCK_PAGES);
    MiTrimSystemSpace();
}
