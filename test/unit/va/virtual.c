/* Allocating, committing, freeing, protecting, asking: statuses in their order, and what becomes of pages. */
#include "vatest.h"

#define VA_BASE 0x200050000000ull

static NTSTATUS
TryAllocate(ULONG_PTR Base, SIZE_T Size, ULONG Type, ULONG Protect)
{
    PVOID Address = (PVOID)Base;

    return VaAllocate(&Address, Size, Type, Protect);
}

KTEST(VirtualAllocateArguments)
{
    PVOID Base = NULL;
    SIZE_T Size = PAGE_SIZE;

    CHECK_STATUS(STATUS_INVALID_PARAMETER_2, TryAllocate(0xF000, PAGE_SIZE, MEM_RESERVE, PAGE_READWRITE));
    CHECK_STATUS(STATUS_INVALID_PARAMETER_2,
                 TryAllocate(KiLoaderBlock->SystemStart, PAGE_SIZE, MEM_RESERVE, PAGE_READWRITE));
    CHECK_STATUS(STATUS_INVALID_PARAMETER_4, TryAllocate(0, 0, MEM_RESERVE, PAGE_READWRITE));
    CHECK_STATUS(STATUS_INVALID_PARAMETER_4, TryAllocate(0, ~0ull, MEM_RESERVE, PAGE_READWRITE));
    CHECK_STATUS(STATUS_INVALID_PARAMETER_5, TryAllocate(0, PAGE_SIZE, 0, PAGE_READWRITE));
    CHECK_STATUS(STATUS_INVALID_PARAMETER_5, TryAllocate(0, PAGE_SIZE, MEM_TOP_DOWN, PAGE_READWRITE));
    CHECK_STATUS(STATUS_INVALID_PARAMETER_5, TryAllocate(0, PAGE_SIZE, ~0u, PAGE_READWRITE));
    CHECK_STATUS(STATUS_INVALID_PAGE_PROTECTION, TryAllocate(0, PAGE_SIZE, MEM_RESERVE, 0));
    CHECK_STATUS(STATUS_INVALID_PAGE_PROTECTION, TryAllocate(0, PAGE_SIZE, MEM_RESERVE, PAGE_WRITECOPY));
    CHECK_STATUS(STATUS_INVALID_PAGE_PROTECTION,
                 TryAllocate(0, PAGE_SIZE, MEM_RESERVE, PAGE_READONLY | PAGE_READWRITE));
    CHECK_STATUS(STATUS_INVALID_PAGE_PROTECTION, TryAllocate(0, PAGE_SIZE, MEM_COMMIT, PAGE_NOACCESS | PAGE_GUARD));
    /* The type before the protection, the protection before base and size, all of it before the handle. */
    CHECK_STATUS(STATUS_INVALID_PARAMETER_5, TryAllocate(0xF000, 0, 0, 0));
    CHECK_STATUS(STATUS_INVALID_PAGE_PROTECTION, TryAllocate(0xF000, 0, MEM_RESERVE, 0));
    CHECK_STATUS(STATUS_INVALID_HANDLE,
                 ZwAllocateVirtualMemory(NULL, &Base, 0, &Size, MEM_RESERVE, PAGE_READWRITE));
    CHECK_STATUS(STATUS_INVALID_PARAMETER_3,
                 ZwAllocateVirtualMemory(NULL, &Base, 22, &Size, MEM_RESERVE, PAGE_READWRITE));
    CHECK_STATUS(STATUS_NO_MEMORY,
                 ZwAllocateVirtualMemory(NtCurrentProcess(), &Base, 21, &Size, MEM_RESERVE, PAGE_READWRITE));
}

KTEST(VirtualReserveRounds)
{
    PEPROCESS Process = VaMakeProcess();
    PVOID Base = (PVOID)(VA_BASE + 0x8000);
    SIZE_T Size = 1;
    KAPC_STATE State;

    KeStackAttachProcess(&Process->Pcb, &State);
    CHECK_STATUS(STATUS_SUCCESS,
                 ZwAllocateVirtualMemory(NtCurrentProcess(), &Base, 0, &Size, MEM_RESERVE, PAGE_READWRITE));
    CHECK_EQ((ULONG_PTR)Base, VA_BASE);
    CHECK_EQ(Size, 0x9000);
    CHECK_STATUS(STATUS_CONFLICTING_ADDRESSES, TryAllocate(VA_BASE + 0xF000, 0x1000, MEM_RESERVE, PAGE_READWRITE));
    CHECK_STATUS(STATUS_CONFLICTING_ADDRESSES, TryAllocate(VA_BASE + 0x8000, 0x2000, MEM_COMMIT, PAGE_READWRITE));
    CHECK_STATUS(STATUS_SUCCESS, TryAllocate(VA_BASE + 0x10000, 0x1000, MEM_RESERVE, PAGE_READWRITE));
    CHECK_STATUS(STATUS_CONFLICTING_ADDRESSES, TryAllocate(VA_BASE + 0x8000, 0x9000, MEM_COMMIT, PAGE_READWRITE));
    CHECK_STATUS(STATUS_CONFLICTING_ADDRESSES, TryAllocate(VA_BASE + 0x40000, 1, MEM_COMMIT, PAGE_READWRITE));
    Base = (PVOID)(VA_BASE + 0x1FFF);
    Size = 2;
    CHECK_STATUS(STATUS_SUCCESS,
                 ZwAllocateVirtualMemory(NtCurrentProcess(), &Base, 0, &Size, MEM_COMMIT, PAGE_READONLY));
    CHECK_EQ((ULONG_PTR)Base, VA_BASE + 0x1000);
    CHECK_EQ(Size, 0x2000);
    CHECK_EQ(MiCurrentSpace()->CommitCharge, 2);
    KeUnstackDetachProcess(&State);
    VaEndProcess(Process);
}

static VOID
CheckPages(ULONG_PTR Address, SIZE_T Size, ULONG StateWanted, ULONG Protect)
{
    MEMORY_BASIC_INFORMATION Information = VaQuery((PVOID)Address);

    CHECK_EQ((ULONG_PTR)Information.BaseAddress, Address & ~0xFFFull);
    CHECK_EQ(Information.RegionSize, Size);
    CHECK_EQ(Information.State, StateWanted);
    CHECK_EQ(Information.Protect, Protect);
}

KTEST(VirtualQueryGoesForward)
{
    PEPROCESS Process = VaMakeProcess();
    MEMORY_BASIC_INFORMATION Information;
    KAPC_STATE State;
    ULONG Old;

    KeStackAttachProcess(&Process->Pcb, &State);
    CHECK_STATUS(STATUS_SUCCESS, TryAllocate(VA_BASE, 0x400000, MEM_RESERVE, PAGE_READWRITE));
    CHECK_STATUS(STATUS_SUCCESS, TryAllocate(VA_BASE + 0x1FF000, 0x3000, MEM_COMMIT, PAGE_EXECUTE_READ));
    CheckPages(VA_BASE + 0x10, 0x1FF000, MEM_RESERVE, 0);
    CheckPages(VA_BASE + 0x1FF000, 0x3000, MEM_COMMIT, PAGE_EXECUTE_READ);
    CheckPages(VA_BASE + 0x202000, 0x1FE000, MEM_RESERVE, 0);
    CHECK_STATUS(STATUS_SUCCESS, VaProtect((PVOID)(VA_BASE + 0x200FFF), 1, PAGE_READWRITE | PAGE_GUARD, &Old));
    CHECK_EQ(Old, PAGE_EXECUTE_READ);
    CheckPages(VA_BASE + 0x1FF000, 0x1000, MEM_COMMIT, PAGE_EXECUTE_READ);
    CheckPages(VA_BASE + 0x200000, 0x1000, MEM_COMMIT, PAGE_READWRITE | PAGE_GUARD);
    Information = VaQuery((PVOID)(VA_BASE + 0x200000));
    CHECK_EQ((ULONG_PTR)Information.AllocationBase, VA_BASE);
    CHECK_EQ(Information.AllocationProtect, PAGE_READWRITE);
    CHECK_EQ(Information.Type, MEM_PRIVATE);
    Information = VaQuery((PVOID)(VA_BASE - 0x3000));
    CHECK_EQ(Information.State, MEM_FREE);
    CHECK_EQ(Information.RegionSize, 0x3000);
    CHECK_EQ(Information.Protect, PAGE_NOACCESS);
    CHECK(Information.AllocationBase == NULL && Information.Type == 0 && Information.AllocationProtect == 0);
    CheckPages(MI_SHARED_DATA, 0x1000, MEM_COMMIT, PAGE_READONLY);
    CHECK_STATUS(STATUS_INVALID_PARAMETER,
                 ZwQueryVirtualMemory(NtCurrentProcess(), (PVOID)MmUserProbeAddress, MemoryBasicInformation,
                                      &Information, sizeof(Information), NULL));
    CHECK_STATUS(STATUS_INFO_LENGTH_MISMATCH,
                 ZwQueryVirtualMemory(NtCurrentProcess(), NULL, MemoryBasicInformation, &Information,
                                      sizeof(Information) - 1, NULL));
    CHECK_STATUS(STATUS_INVALID_INFO_CLASS,
                 ZwQueryVirtualMemory(NtCurrentProcess(), NULL, (MEMORY_INFORMATION_CLASS)99, &Information,
                                      sizeof(Information), NULL));
    KeUnstackDetachProcess(&State);
    VaEndProcess(Process);
}

KTEST(VirtualFreeStatuses)
{
    PEPROCESS Process = VaMakeProcess();
    PVOID Base = (PVOID)(VA_BASE + 0x1FFF);
    SIZE_T Size = 2;
    KAPC_STATE State;

    KeStackAttachProcess(&Process->Pcb, &State);
    CHECK_STATUS(STATUS_SUCCESS, TryAllocate(VA_BASE, 0x8000, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE));
    CHECK_STATUS(STATUS_INVALID_PARAMETER_4, VaFree((PVOID)VA_BASE, 0, 0));
    CHECK_STATUS(STATUS_INVALID_PARAMETER_4, VaFree((PVOID)VA_BASE, 0, MEM_DECOMMIT | MEM_RELEASE));
    CHECK_STATUS(STATUS_INVALID_PARAMETER_2, VaFree((PVOID)KiLoaderBlock->SystemStart, 0, MEM_RELEASE));
    CHECK_STATUS(STATUS_MEMORY_NOT_ALLOCATED, VaFree((PVOID)(VA_BASE + 0x8000), 0, MEM_RELEASE));
    CHECK_STATUS(STATUS_FREE_VM_NOT_AT_BASE, VaFree((PVOID)(VA_BASE + 0x1000), 0, MEM_RELEASE));
    CHECK_STATUS(STATUS_FREE_VM_NOT_AT_BASE, VaFree((PVOID)(VA_BASE + 0x1000), 0, MEM_DECOMMIT));
    CHECK_STATUS(STATUS_UNABLE_TO_FREE_VM, VaFree((PVOID)(VA_BASE + 0x1000), 0x8000, MEM_RELEASE));
    CHECK_EQ(MiCurrentSpace()->CommitCharge, 8);
    CHECK_STATUS(STATUS_SUCCESS, ZwFreeVirtualMemory(NtCurrentProcess(), &Base, &Size, MEM_DECOMMIT));
    CHECK_EQ((ULONG_PTR)Base, VA_BASE + 0x1000);
    CHECK_EQ(Size, 0x2000);
    CHECK_EQ(MiCurrentSpace()->CommitCharge, 6);
    CHECK_STATUS(STATUS_SUCCESS, VaFree((PVOID)(VA_BASE + 0x1000), 0x1000, MEM_DECOMMIT));
    CHECK_EQ(MiCurrentSpace()->CommitCharge, 6);
    /* The middle goes: two regions are left, each with its own base. */
    CHECK_STATUS(STATUS_SUCCESS, VaFree((PVOID)(VA_BASE + 0x2000), 0x2000, MEM_RELEASE));
    CHECK_EQ(MiCurrentSpace()->CommitCharge, 5);
    CHECK_EQ((ULONG_PTR)VaQuery((PVOID)(VA_BASE + 0x5000)).AllocationBase, VA_BASE + 0x4000);
    CheckPages(VA_BASE, 0x1000, MEM_COMMIT, PAGE_READWRITE);
    CheckPages(VA_BASE + 0x1000, 0x1000, MEM_RESERVE, 0);
    CheckPages(VA_BASE + 0x2000, 0x2000, MEM_FREE, PAGE_NOACCESS);
    CHECK_STATUS(STATUS_SUCCESS, VaFree((PVOID)(VA_BASE + 0x4000), 0x1000, MEM_RELEASE));
    CHECK_STATUS(STATUS_SUCCESS, VaFree((PVOID)(VA_BASE + 0x7000), 0x1000, MEM_RELEASE));
    CheckPages(VA_BASE + 0x5000, 0x2000, MEM_COMMIT, PAGE_READWRITE);
    CHECK_STATUS(STATUS_SUCCESS, VaFree((PVOID)(VA_BASE + 0x5000), 0, MEM_RELEASE));
    CHECK_STATUS(STATUS_SUCCESS, VaFree((PVOID)VA_BASE, 0, MEM_RELEASE));
    CHECK_EQ(MiCurrentSpace()->CommitCharge, 0);
    CHECK_EQ(MiCurrentSpace()->VirtualPages, 0);
    KeUnstackDetachProcess(&State);
    VaEndProcess(Process);
}

KTEST(VirtualContentsFollowTheState)
{
    volatile UCHAR *Bytes = (volatile UCHAR *)VA_BASE;
    PEPROCESS Process = VaMakeProcess();
    KAPC_STATE State;
    ULONG Old;

    KeStackAttachProcess(&Process->Pcb, &State);
    CHECK_STATUS(STATUS_SUCCESS, TryAllocate(VA_BASE, 0x8000, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE));
    CHECK_STATUS(STATUS_ACCESS_VIOLATION, VaTouch((PVOID)(VA_BASE + 0x8000), FALSE));
    Bytes[0x10] = 1;
    Bytes[0x1010] = 2;
    CHECK_EQ(MiCurrentSpace()->Resident, 2);
    CHECK_STATUS(STATUS_SUCCESS, VaProtect((PVOID)VA_BASE, 0x2000, PAGE_NOACCESS, &Old));
    CHECK_EQ(Old, PAGE_READWRITE);
    CHECK_EQ(MiCurrentSpace()->Resident, 0);
    CHECK_STATUS(STATUS_ACCESS_VIOLATION, VaTouch((PVOID)VA_BASE, FALSE));
    CHECK_STATUS(STATUS_SUCCESS, VaProtect((PVOID)VA_BASE, 0x2000, PAGE_READONLY, &Old));
    CHECK_EQ(Old, PAGE_NOACCESS);
    CHECK_EQ(Bytes[0x10], 1);
    CHECK_EQ(Bytes[0x1010], 2);
    CHECK_STATUS(STATUS_ACCESS_VIOLATION, VaTouch((PVOID)VA_BASE, TRUE));
    CHECK_STATUS(STATUS_SUCCESS, VaFree((PVOID)VA_BASE, 0x1000, MEM_DECOMMIT));
    CHECK_STATUS(STATUS_ACCESS_VIOLATION, VaTouch((PVOID)VA_BASE, FALSE));
    CHECK_STATUS(STATUS_NOT_COMMITTED, VaProtect((PVOID)VA_BASE, 0x2000, PAGE_READWRITE, &Old));
    CHECK_STATUS(STATUS_CONFLICTING_ADDRESSES, VaProtect((PVOID)VA_BASE, 0x9000, PAGE_READWRITE, &Old));
    CHECK_STATUS(STATUS_ACCESS_VIOLATION, VaTouch((PVOID)(VA_BASE + 0x1000), TRUE));
    CHECK_STATUS(STATUS_SUCCESS, TryAllocate(VA_BASE, 0x2000, MEM_COMMIT, PAGE_READWRITE));
    CHECK_EQ(Bytes[0x10], 0);
    CHECK_EQ(Bytes[0x1010], 2);
    Bytes[0x1010] = 3;
    CHECK_STATUS(STATUS_ACCESS_VIOLATION, VaProtect((PVOID)VA_BASE, 0x1000, PAGE_READWRITE, NULL));
    KeUnstackDetachProcess(&State);
    CHECK(MiValidateAddressSpaces());
    VaEndProcess(Process);
}

KTEST(VirtualGuardPages)
{
    volatile UCHAR *Bytes = (volatile UCHAR *)VA_BASE;
    PEPROCESS Process = VaMakeProcess();
    MEMORY_BASIC_INFORMATION Information;
    KAPC_STATE State;
    ULONG Old;

    KeStackAttachProcess(&Process->Pcb, &State);
    CHECK_STATUS(STATUS_SUCCESS,
                 TryAllocate(VA_BASE, 0x3000, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE | PAGE_GUARD));
    CHECK_STATUS(STATUS_GUARD_PAGE_VIOLATION, VaTouch((PVOID)VA_BASE, TRUE));
    Bytes[0] = 1;
    CHECK_STATUS(STATUS_GUARD_PAGE_VIOLATION, VaTouch((PVOID)(VA_BASE + 0x1000), FALSE));
    CHECK_EQ(Bytes[0x1000], 0);
    Information = VaQuery((PVOID)VA_BASE);
    CHECK_EQ(Information.RegionSize, 0x2000);
    CHECK_EQ(Information.Protect, PAGE_READWRITE);
    CHECK_EQ(Information.AllocationProtect, PAGE_READWRITE | PAGE_GUARD);
    /* On a page with contents. */
    CHECK_STATUS(STATUS_SUCCESS, VaProtect((PVOID)VA_BASE, 1, PAGE_READONLY | PAGE_GUARD, &Old));
    CHECK_STATUS(STATUS_GUARD_PAGE_VIOLATION, VaTouch((PVOID)VA_BASE, TRUE));
    CHECK_EQ(Bytes[0], 1);
    CHECK_STATUS(STATUS_ACCESS_VIOLATION, VaTouch((PVOID)VA_BASE, TRUE));
    KeUnstackDetachProcess(&State);
    VaEndProcess(Process);
}

/* What is promised is charged, exactly; what cannot be promised is refused with nothing changed. */
KTEST(VirtualCommitLimits)
{
    PEPROCESS Process = VaMakeProcess();
    SIZE_T Charge, Limit, Peak, After;
    PVOID Base = NULL;
    KAPC_STATE State;

    KeStackAttachProcess(&Process->Pcb, &State);
    MiQueryCommit(&Charge, &Limit, &Peak);
    CHECK_STATUS(STATUS_COMMITMENT_LIMIT,
                 VaAllocate(&Base, (Limit - Charge + 1) << PAGE_SHIFT, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE));
    CHECK(Base == NULL);
    CHECK_EQ(MiCurrentSpace()->VirtualPages, 0);
    CHECK_STATUS(STATUS_SUCCESS, VaAllocate(&Base, 1ull << 40, MEM_RESERVE, PAGE_READWRITE));
    MiQueryCommit(&After, &Limit, &Peak);
    CHECK_STATUS(STATUS_COMMITMENT_LIMIT,
                 VaAllocate(&Base, (Limit - After + 1) << PAGE_SHIFT, MEM_COMMIT, PAGE_READWRITE));
    MiCurrentSpace()->CommitLimit = 10;
    CHECK_STATUS(STATUS_PAGEFILE_QUOTA_EXCEEDED, VaAllocate(&Base, 11 * PAGE_SIZE, MEM_COMMIT, PAGE_READWRITE));
    CHECK_STATUS(STATUS_SUCCESS, VaAllocate(&Base, 10 * PAGE_SIZE, MEM_COMMIT, PAGE_READWRITE));
    CHECK_STATUS(STATUS_SUCCESS, VaAllocate(&Base, 10 * PAGE_SIZE, MEM_COMMIT, PAGE_READONLY));
    CHECK_EQ(MiCurrentSpace()->CommitCharge, 10);
    KeUnstackDetachProcess(&State);
    VaEndProcess(Process);
}

/* A terabyte costs what is touched of it. */
KTEST(VirtualSparse)
{
    PEPROCESS Process = VaMakeProcess();
    SIZE_T Available = MiAvailablePages();
    PVOID Base = NULL;
    KAPC_STATE State;

    KeStackAttachProcess(&Process->Pcb, &State);
    CHECK_STATUS(STATUS_SUCCESS, VaAllocate(&Base, 1ull << 40, MEM_RESERVE, PAGE_READWRITE));
    for (ULONG Index = 0; Index < 100; Index += 1) {
        PVOID Page = (PUCHAR)Base + (ULONG64)Index * 0x20000000;

        CHECK_STATUS(STATUS_SUCCESS, VaAllocate(&Page, PAGE_SIZE, MEM_COMMIT, PAGE_READWRITE));
        *(volatile ULONG *)Page = Index;
    }
    CHECK_EQ(MiCurrentSpace()->Resident, 100);
    CHECK(Available - MiAvailablePages() <= 100 + 100 + 60 + 70);
    CHECK_STATUS(STATUS_SUCCESS, VaFree(Base, 0, MEM_RELEASE));
    CHECK(Available - MiAvailablePages() <= 70);
    KeUnstackDetachProcess(&State);
    VaEndProcess(Process);
}
