/* MDLs and copies where user addresses are concerned. */
#include "vatest.h"
#include <mm/mdl/mdl.h>

#define UM_BASE 0x200050000000ull

static PVOID
UmAllocate(SIZE_T Size, ULONG Protect)
{
    PVOID Base = (PVOID)UM_BASE;

    CHECK_STATUS(STATUS_SUCCESS, VaAllocate(&Base, Size, MEM_RESERVE | MEM_COMMIT, Protect));
    return Base;
}

KTEST(UserMdlLocksThePages)
{
    PEPROCESS Process = VaMakeProcess();
    PUCHAR Base, System;
    KAPC_STATE State;
    PMDL Mdl;

    KeStackAttachProcess(&Process->Pcb, &State);
    Base = UmAllocate(4 * PAGE_SIZE, PAGE_READWRITE);
    Mdl = IoAllocateMdl(Base + 0x800, 2 * PAGE_SIZE, FALSE, FALSE, NULL);
    REQUIRE(Mdl != NULL);
    MmProbeAndLockPages(Mdl, UserMode, IoWriteAccess);
    CHECK_EQ(MiCurrentSpace()->LockedPages, 3);
    CHECK(Mdl->Process == Process);
    System = MmGetSystemAddressForMdlSafe(Mdl, NormalPagePriority);
    REQUIRE(System != NULL);
    System[0] = 0x5A;
    CHECK_EQ(Base[0x800], 0x5A);
    /* The address may go: the pages stay until they are unlocked, from anywhere. */
    CHECK_STATUS(STATUS_SUCCESS, VaFree(Base, 0, MEM_RELEASE));
    CHECK_EQ(System[0], 0x5A);
    KeUnstackDetachProcess(&State);
    MmUnlockPages(Mdl);
    CHECK_EQ(MiProcessSpace(&Process->Pcb)->LockedPages, 0);
    IoFreeMdl(Mdl);
    VaEndProcess(Process);
}

KTEST(UserMdlRefusals)
{
    PEPROCESS Process = VaMakeProcess();
    KAPC_STATE State;
    PUCHAR Base;
    ULONG Old;
    PMDL Mdl;

    KeStackAttachProcess(&Process->Pcb, &State);
    Base = UmAllocate(2 * PAGE_SIZE, PAGE_READONLY);
    Mdl = IoAllocateMdl(Base, 2 * PAGE_SIZE, FALSE, FALSE, NULL);
    REQUIRE(Mdl != NULL);
    CHECK_STATUS(STATUS_ACCESS_VIOLATION, MiProbeAndLockPages(Mdl, UserMode, IoWriteAccess));
    CHECK_STATUS(STATUS_SUCCESS, VaProtect(Base + PAGE_SIZE, 1, PAGE_READWRITE | PAGE_GUARD, &Old));
    CHECK_STATUS(STATUS_GUARD_PAGE_VIOLATION, MiProbeAndLockPages(Mdl, UserMode, IoReadAccess));
    CHECK_EQ(MiCurrentSpace()->LockedPages, 0);
    CHECK_STATUS(STATUS_SUCCESS, MiProbeAndLockPages(Mdl, UserMode, IoReadAccess));
    CHECK_EQ(MiCurrentSpace()->LockedPages, 2);
    MmUnlockPages(Mdl);
    CHECK_STATUS(STATUS_SUCCESS, VaFree(Base, PAGE_SIZE, MEM_DECOMMIT));
    CHECK_STATUS(STATUS_ACCESS_VIOLATION, MiProbeAndLockPages(Mdl, KernelMode, IoReadAccess));
    KeUnstackDetachProcess(&State);
    MmInitializeMdl(Mdl, Base + PAGE_SIZE, PAGE_SIZE);
    MmProbeAndLockProcessPages(Mdl, Process, UserMode, IoWriteAccess);
    CHECK(PsGetCurrentProcess() == PsInitialSystemProcess);
    CHECK_EQ(MiProcessSpace(&Process->Pcb)->LockedPages, 1);
    MmUnlockPages(Mdl);
    IoFreeMdl(Mdl);
    VaEndProcess(Process);
}

static VOID
UmExit(PVOID Context)
{
    PsExitProcess(Context, STATUS_SUCCESS);
}

KTEST(UserMdlLockedAtExit)
{
    PEPROCESS Process = VaMakeProcess();
    KTEST_BUGCHECK Caught = {0};
    PVOID Base;
    KAPC_STATE State;
    PMDL Mdl;

    KeStackAttachProcess(&Process->Pcb, &State);
    Base = UmAllocate(PAGE_SIZE, PAGE_READWRITE);
    KeUnstackDetachProcess(&State);
    Mdl = IoAllocateMdl(Base, PAGE_SIZE, FALSE, FALSE, NULL);
    REQUIRE(Mdl != NULL);
    MmProbeAndLockProcessPages(Mdl, Process, KernelMode, IoReadAccess);
    CHECK(KTestExpectBugCheck(UmExit, Process, &Caught));
    CHECK_EQ(Caught.Code, PROCESS_HAS_LOCKED_PAGES);
    CHECK_EQ(Caught.Parameters[0], 0);
    CHECK_EQ(Caught.Parameters[1], (ULONG_PTR)Process);
    CHECK_EQ(Caught.Parameters[2], 1);
    MmUnlockPages(Mdl);
    IoFreeMdl(Mdl);
    ObDereferenceObject(Process);
    ObFlushDeletes();
}

/* --- Mappings --------------------------------------------------------------------------------- */

static PMDL
UmMakePages(SIZE_T Size)
{
    PHYSICAL_ADDRESS Low = {.QuadPart = 0}, High = {.QuadPart = -1}, Skip = {.QuadPart = 0};

    return MmAllocatePagesForMdlEx(Low, High, Skip, Size, MmCached, MM_ALLOCATE_FULLY_REQUIRED);
}

KTEST(UserMappingSharesThePages)
{
    PEPROCESS Process = VaMakeProcess();
    MEMORY_BASIC_INFORMATION Information;
    PMDL Mdl = UmMakePages(3 * PAGE_SIZE);
    PUCHAR User, ReadOnly, System;
    KAPC_STATE State;
    ULONG Old;
    PVOID Base;

    REQUIRE(Mdl != NULL);
    System = MmGetSystemAddressForMdlSafe(Mdl, NormalPagePriority);
    System[PAGE_SIZE] = 7;
    KeStackAttachProcess(&Process->Pcb, &State);
    User = MmMapLockedPagesSpecifyCache(Mdl, UserMode, MmCached, NULL, FALSE, NormalPagePriority);
    ReadOnly = MmMapLockedPagesSpecifyCache(Mdl, UserMode, MmCached, (PVOID)UM_BASE, FALSE,
                                            NormalPagePriority | MdlMappingNoWrite);
    REQUIRE(User != NULL);
    CHECK_EQ((ULONG_PTR)ReadOnly, UM_BASE);
    CHECK_EQ(User[PAGE_SIZE], 7);
    User[2 * PAGE_SIZE] = 9;
    CHECK_EQ(System[2 * PAGE_SIZE], 9);
    CHECK_EQ(ReadOnly[2 * PAGE_SIZE], 9);
    CHECK_STATUS(STATUS_ACCESS_VIOLATION, VaTouch(ReadOnly, TRUE));
    Information = VaQuery(User);
    CHECK_EQ(Information.RegionSize, 3 * PAGE_SIZE);
    CHECK_EQ(Information.State, MEM_COMMIT);
    CHECK_EQ(Information.Protect, PAGE_READWRITE);
    /* The program cannot take it away. */
    CHECK_STATUS(STATUS_UNABLE_TO_DELETE_SECTION, VaFree(User, 0, MEM_RELEASE));
    CHECK_STATUS(STATUS_UNABLE_TO_DELETE_SECTION, VaFree(User, 0, MEM_DECOMMIT));
    CHECK_STATUS(STATUS_INVALID_PAGE_PROTECTION, VaProtect(ReadOnly, 1, PAGE_READWRITE, &Old));
    Base = User;
    CHECK_STATUS(STATUS_CONFLICTING_ADDRESSES, VaAllocate(&Base, PAGE_SIZE, MEM_RESERVE, PAGE_READWRITE));
    CHECK(MiValidateAddressSpaces());
    MmUnmapLockedPages(User, Mdl);
    CHECK_EQ(VaQuery(User).State, MEM_FREE);
    KeUnstackDetachProcess(&State);
    /* What a driver leaves behind goes with the process; the pages stay the driver's. */
    VaEndProcess(Process);
    CHECK_EQ(System[2 * PAGE_SIZE], 9);
    MmFreePagesFromMdl(Mdl);
    ExFreePool(Mdl);
}

static VOID
UmUnmapNothing(PVOID Context)
{
    MmUnmapLockedPages((PVOID)UM_BASE, Context);
}

KTEST(UserMappingWrongUnmap)
{
    PMDL Mdl = UmMakePages(PAGE_SIZE);

    REQUIRE(Mdl != NULL);
    CHECK_BUGCHECK_CALL(DRIVER_VERIFIER_DETECTED_VIOLATION, 0xB9, UmUnmapNothing, Mdl);
    KiVerifierOn = FALSE;
    CHECK_BUGCHECK_CALL(SYSTEM_PTE_MISUSE, 6, UmUnmapNothing, Mdl);
    KiVerifierOn = TRUE;
    MmFreePagesFromMdl(Mdl);
    ExFreePool(Mdl);
}

/* --- Copies ----------------------------------------------------------------------------------- */

KTEST(UserCopyBetweenProcesses)
{
    PEPROCESS One = VaMakeProcess(), Other = VaMakeProcess();
    SIZE_T Copied = 99;
    KAPC_STATE State;
    PUCHAR Base = NULL;

    for (ULONG Index = 0; Index < 2; Index += 1) {
        KeStackAttachProcess(Index == 0 ? &One->Pcb : &Other->Pcb, &State);
        Base = UmAllocate(3 * PAGE_SIZE, PAGE_READWRITE);
        RtlFillMemory(Base, 3 * PAGE_SIZE, Index == 0 ? 0x11 : 0x22);
        KeUnstackDetachProcess(&State);
    }
    CHECK_STATUS(STATUS_SUCCESS, MmCopyVirtualMemory(One, Base + 0xF00, Other, Base + 0x1C00, 0x1000, UserMode, &Copied));
    CHECK_EQ(Copied, 0x1000);
    KeStackAttachProcess(&Other->Pcb, &State);
    CHECK_EQ(Base[0x1BFF], 0x22);
    CHECK_EQ(Base[0x1C00], 0x11);
    CHECK_EQ(Base[0x2BFF], 0x11);
    CHECK_EQ(Base[0x2C00], 0x22);
    CHECK_STATUS(STATUS_SUCCESS, VaFree(Base + PAGE_SIZE, PAGE_SIZE, MEM_DECOMMIT));
    KeUnstackDetachProcess(&State);
    CHECK_STATUS(STATUS_PARTIAL_COPY, MmCopyVirtualMemory(Other, Base, One, Base, 0x3000, KernelMode, &Copied));
    CHECK_EQ(Copied, 0x1000);
    KeStackAttachProcess(&One->Pcb, &State);
    CHECK_EQ(Base[0xFFF], 0x22);
    CHECK_EQ(Base[0x1000], 0x11);
    KeUnstackDetachProcess(&State);
    VaEndProcess(One);
    VaEndProcess(Other);
}
