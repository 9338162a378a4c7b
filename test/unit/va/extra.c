/* Secured parts of regions, write watch, and services that copy between processes. */
#include "vatest.h"
#include <mm/mdl/mdl.h>

#define EX_BASE 0x200050000000ull

static PVOID
ExtraAllocate(SIZE_T Size, ULONG Type)
{
    PVOID Base = (PVOID)EX_BASE;

    CHECK_STATUS(STATUS_SUCCESS, VaAllocate(&Base, Size, MEM_RESERVE | MEM_COMMIT | Type, PAGE_READWRITE));
    return Base;
}

/* --- Secured ---------------------------------------------------------------------------------- */

KTEST(SecureKeepsRights)
{
    PEPROCESS Process = VaMakeProcess();
    HANDLE Read, Write;
    KAPC_STATE State;
    PUCHAR Base;
    ULONG Old;

    KeStackAttachProcess(&Process->Pcb, &State);
    Base = ExtraAllocate(8 * PAGE_SIZE, 0);
    CHECK(MmSecureVirtualMemory(Base, 0, PAGE_READONLY) == NULL);
    CHECK(MmSecureVirtualMemory(Base, PAGE_SIZE, PAGE_EXECUTE) == NULL);
    CHECK(MmSecureVirtualMemory(Base, 9 * PAGE_SIZE, PAGE_READONLY) == NULL);
    CHECK(MmSecureVirtualMemory((PVOID)MmUserProbeAddress, PAGE_SIZE, PAGE_READONLY) == NULL);
    Read = MmSecureVirtualMemory(Base + PAGE_SIZE + 8, 8, PAGE_READONLY);
    Write = MmSecureVirtualMemory(Base + 4 * PAGE_SIZE, PAGE_SIZE, PAGE_READWRITE);
    REQUIRE(Read != NULL && Write != NULL);
    CHECK_STATUS(STATUS_INVALID_PAGE_PROTECTION, VaFree(Base, 0, MEM_RELEASE));
    CHECK_STATUS(STATUS_INVALID_PAGE_PROTECTION, VaFree(Base + PAGE_SIZE, PAGE_SIZE, MEM_DECOMMIT));
    CHECK_STATUS(STATUS_INVALID_PAGE_PROTECTION, VaProtect(Base, 2 * PAGE_SIZE, PAGE_NOACCESS, &Old));
    CHECK_STATUS(STATUS_INVALID_PAGE_PROTECTION, VaProtect(Base + 4 * PAGE_SIZE, 1, PAGE_READONLY, &Old));
    CHECK_STATUS(STATUS_SUCCESS, VaProtect(Base + PAGE_SIZE, 1, PAGE_READONLY, &Old));
    CHECK_STATUS(STATUS_SUCCESS, VaFree(Base + 2 * PAGE_SIZE, 2 * PAGE_SIZE, MEM_RELEASE));
    CHECK_STATUS(STATUS_INVALID_PAGE_PROTECTION, VaFree(Base + 4 * PAGE_SIZE, 0, MEM_RELEASE));
    CHECK(MmSecureVirtualMemoryEx(Base, PAGE_SIZE, PAGE_READONLY, MM_SECURE_EXCLUSIVE) == NULL);
    MmUnsecureVirtualMemory(Write);
    CHECK_STATUS(STATUS_SUCCESS, VaFree(Base + 4 * PAGE_SIZE, 0, MEM_RELEASE));
    /* The other is left for the end of the process. */
    KeUnstackDetachProcess(&State);
    VaEndProcess(Process);
}

static VOID
ExtraUnsecure(PVOID Context)
{
    MmUnsecureVirtualMemory(Context);
}

KTEST(SecureOfAnother)
{
    PEPROCESS Process = VaMakeProcess();
    KTEST_BUGCHECK Caught = {0};
    KAPC_STATE State;
    HANDLE Handle;
    PVOID Base;

    KeStackAttachProcess(&Process->Pcb, &State);
    Base = ExtraAllocate(PAGE_SIZE, 0);
    Handle = MmSecureVirtualMemory(Base, PAGE_SIZE, PAGE_READWRITE);
    KeUnstackDetachProcess(&State);
    REQUIRE(Handle != NULL);
    CHECK(KTestExpectBugCheck(ExtraUnsecure, Handle, &Caught));
    CHECK_EQ(Caught.Code, MEMORY_MANAGEMENT);
    CHECK_EQ(Caught.Parameters[0], 0x15000);
    VaEndProcess(Process);
}

/* --- Write watch ------------------------------------------------------------------------------ */

static ULONG64
ExtraWritten(PVOID Base, SIZE_T Size, ULONG Flags, ULONG Limit)
{
    PVOID Addresses[16];
    ULONG_PTR Count = Limit;
    ULONG Granularity = 0;
    ULONG64 Pages = 0;

    CHECK_STATUS(STATUS_SUCCESS,
                 NtGetWriteWatch(NtCurrentProcess(), Flags, Base, Size, Addresses, &Count, &Granularity));
    CHECK_EQ(Granularity, PAGE_SIZE);
    for (ULONG_PTR Index = 0; Index < Count; Index += 1) {
        Pages |= 1ull << (((ULONG_PTR)Addresses[Index] - (ULONG_PTR)Base) / PAGE_SIZE);
        CHECK(Index == 0 || Addresses[Index] > Addresses[Index - 1]);
    }
    return Pages;
}

KTEST(WatchTellsWhatWasWritten)
{
    PEPROCESS Process = VaMakeProcess();
    volatile UCHAR *Bytes = (volatile UCHAR *)EX_BASE;
    PVOID Addresses[16], Plain = NULL;
    ULONG_PTR Count = 16;
    KAPC_STATE State;
    PVOID Base;
    ULONG Old;
    PMDL Mdl;

    KeStackAttachProcess(&Process->Pcb, &State);
    Base = ExtraAllocate(8 * PAGE_SIZE, MEM_WRITE_WATCH);
    CHECK_EQ(Bytes[0], 0);
    CHECK_EQ(ExtraWritten(Base, 8 * PAGE_SIZE, 0, 16), 0);
    Bytes[0] = 1;
    Bytes[3 * PAGE_SIZE] = 1;
    Bytes[7 * PAGE_SIZE] = 1;
    CHECK_EQ(ExtraWritten(Base, 8 * PAGE_SIZE, 0, 16), 0x89);
    CHECK_EQ(ExtraWritten(Base, 8 * PAGE_SIZE, WRITE_WATCH_FLAG_RESET, 2), 0x09);
    CHECK_EQ(ExtraWritten(Base, 8 * PAGE_SIZE, 0, 16), 0x80);
    Bytes[0] = 2;
    CHECK_EQ(Bytes[3 * PAGE_SIZE], 1);
    CHECK_EQ(ExtraWritten(Base, 8 * PAGE_SIZE, 0, 16), 0x81);
    CHECK_STATUS(STATUS_SUCCESS, NtResetWriteWatch(NtCurrentProcess(), Base, 8 * PAGE_SIZE));
    CHECK_EQ(ExtraWritten(Base, 8 * PAGE_SIZE, 0, 16), 0);
    /* Rights that come and go do not hide a write, nor invent one. */
    CHECK_STATUS(STATUS_SUCCESS, VaProtect(Base, 8 * PAGE_SIZE, PAGE_NOACCESS, &Old));
    CHECK_STATUS(STATUS_SUCCESS, VaProtect(Base, 8 * PAGE_SIZE, PAGE_READWRITE, &Old));
    CHECK_EQ(Bytes[7 * PAGE_SIZE], 1);
    CHECK_EQ(ExtraWritten(Base, 8 * PAGE_SIZE, 0, 16), 0);
    Bytes[7 * PAGE_SIZE] = 2;
    CHECK_EQ(ExtraWritten(Base, 8 * PAGE_SIZE, 0, 16), 0x80);
    CHECK_STATUS(STATUS_SUCCESS, VaFree((PUCHAR)Base + 7 * PAGE_SIZE, PAGE_SIZE, MEM_DECOMMIT));
    CHECK_EQ(ExtraWritten(Base, 8 * PAGE_SIZE, 0, 16), 0);
    /* A lock for writing is a write. */
    Mdl = IoAllocateMdl((PUCHAR)Base + PAGE_SIZE, PAGE_SIZE, FALSE, FALSE, NULL);
    REQUIRE(Mdl != NULL);
    MmProbeAndLockPages(Mdl, UserMode, IoWriteAccess);
    CHECK_EQ(ExtraWritten(Base, 8 * PAGE_SIZE, 0, 16), 0x02);
    MmUnlockPages(Mdl);
    IoFreeMdl(Mdl);
    CHECK(MiValidateAddressSpaces());

    CHECK_STATUS(STATUS_SUCCESS, VaAllocate(&Plain, PAGE_SIZE, MEM_COMMIT, PAGE_READWRITE));
    CHECK_STATUS(STATUS_INVALID_PARAMETER_3,
                 NtGetWriteWatch(NtCurrentProcess(), 0, Plain, PAGE_SIZE, Addresses, &Count, &Old));
    CHECK_STATUS(STATUS_INVALID_PARAMETER_2,
                 NtGetWriteWatch(NtCurrentProcess(), 2, Base, PAGE_SIZE, Addresses, &Count, &Old));
    CHECK_STATUS(STATUS_INVALID_PARAMETER_3, NtResetWriteWatch(NtCurrentProcess(), Base, 9 * PAGE_SIZE));
    KeUnstackDetachProcess(&State);
    VaEndProcess(Process);
}

/* --- Reading and writing ---------------------------------------------------------------------- */

KTEST(VirtualReadAndWrite)
{
    PEPROCESS Process = VaMakeProcess();
    UCHAR Buffer[64] = {1, 2, 3};
    SIZE_T Done = 99;
    KAPC_STATE State;
    HANDLE Handle;
    PUCHAR Base;
    ULONG Old;

    REQUIRE(NT_SUCCESS(ObOpenObjectByPointer(Process, OBJ_KERNEL_HANDLE, NULL, PROCESS_ALL_ACCESS, PsProcessType,
                                             KernelMode, &Handle)));
    KeStackAttachProcess(&Process->Pcb, &State);
    Base = ExtraAllocate(2 * PAGE_SIZE, 0);
    CHECK_STATUS(STATUS_SUCCESS, VaProtect(Base + PAGE_SIZE, 1, PAGE_READONLY, &Old));
    KeUnstackDetachProcess(&State);
    CHECK_STATUS(STATUS_SUCCESS, NtWriteVirtualMemory(Handle, Base + 16, Buffer, 64, &Done));
    CHECK_EQ(Done, 64);
    Buffer[1] = 0;
    CHECK_STATUS(STATUS_SUCCESS, NtReadVirtualMemory(Handle, Base + 17, Buffer, 1, NULL));
    CHECK_EQ(Buffer[0], 2);
    CHECK_STATUS(STATUS_PARTIAL_COPY, NtWriteVirtualMemory(Handle, Base + PAGE_SIZE - 8, Buffer, 64, &Done));
    CHECK_EQ(Done, 8);
    CHECK_STATUS(STATUS_PARTIAL_COPY, NtReadVirtualMemory(Handle, Base + 2 * PAGE_SIZE - 4, Buffer, 64, &Done));
    CHECK_EQ(Done, 4);
    CHECK_STATUS(STATUS_SUCCESS, NtReadVirtualMemory(NULL, Base, Buffer, 0, &Done));
    CHECK_EQ(Done, 0);
    CHECK_STATUS(STATUS_INVALID_HANDLE, NtReadVirtualMemory(NULL, Base, Buffer, 1, &Done));
    ObCloseHandle(Handle, KernelMode);
    VaEndProcess(Process);
}
