/*
 * Commit, bad pages, and memory that comes and goes.
 */
#include "ktest.h"
#include <mm/phys/physp.h>

KTEST(CommitIsExact)
{
    SIZE_T Charge, Limit, Peak, Now;

    MiQueryCommit(&Charge, &Limit, &Peak);
    REQUIRE(MiChargeCommit(100));
    MiQueryCommit(&Now, &Limit, &Peak);
    CHECK_EQ(Now, Charge + 100);
    CHECK(Peak >= Now);
    CHECK(!MiChargeCommit(Limit - Now + 1));
    CHECK(!MiChargeCommit(~0ull));
    REQUIRE(MiChargeCommit(Limit - Now));
    CHECK(!MiChargeCommit(1));
    MiReturnCommit(Limit - Now);
    MiReturnCommit(100);
    MiQueryCommit(&Now, &Limit, &Peak);
    CHECK_EQ(Now, Charge);
    CHECK_EQ(Peak, Limit);
}

KTEST(ResidentAvailableIsExact)
{
    LONG64 Before = MiResidentAvailablePages();

    REQUIRE(Before > 10);
    CHECK(!MiChargeResidentAvailable((SIZE_T)Before + 1));
    CHECK(!MiChargeResidentAvailable(~0ull));
    REQUIRE(MiChargeResidentAvailable(10));
    CHECK_EQ(MiResidentAvailablePages(), Before - 10);
    MiReturnResidentAvailable(10);
    CHECK_EQ(MiResidentAvailablePages(), Before);
}

static VOID
SetRange(PFN_NUMBER Frame, SIZE_T PageCount, PHYSICAL_ADDRESS *Start, LARGE_INTEGER *Bytes)
{
    Start->QuadPart = (LONGLONG)(Frame << PAGE_SHIFT);
    Bytes->QuadPart = (LONGLONG)(PageCount << PAGE_SHIFT);
}

static SIZE_T
CommitLimit(VOID)
{
    SIZE_T Charge, Limit, Peak;

    MiQueryCommit(&Charge, &Limit, &Peak);
    return Limit;
}

/* Free pages become bad at once, one in use when it is freed; good again, they are all back. */
KTEST(BadPages)
{
    PFN_NUMBER First = MiGetContiguousFrames(0, MM_ANY_NODE_OK, MiUseDriverLocked, 4, 0, ~0ull, 4,
                                             0);
    SIZE_T Available;
    SIZE_T Limit = CommitLimit();
    MI_PAGE_COUNTS Counts;
    SIZE_T Bad;
    PHYSICAL_ADDRESS Start;
    LARGE_INTEGER Bytes;

    REQUIRE(First != MI_NO_FRAME);
    MiQueryPageCounts(&Counts);
    Bad = Counts.Bad;
    MiFreeContiguousFrames(First, 3);
    Available = MiAvailablePages();
    SetRange(First, 4, &Start, &Bytes);
    CHECK_STATUS(STATUS_SUCCESS, MmMarkPhysicalMemoryAsBad(&Start, &Bytes));
    CHECK_EQ(Bytes.QuadPart, 3 * PAGE_SIZE);
    CHECK_EQ(MiAvailablePages(), Available - 3);
    CHECK_EQ(CommitLimit(), Limit - 3);
    CHECK(!MiIsRamFrame(First));
    CHECK(MiIsRamFrame(First + 3));
    CHECK(!MiReferenceFrame(First));
    MiFreeFrame(First + 3);
    CHECK(!MiIsRamFrame(First + 3));
    MiQueryPageCounts(&Counts);
    CHECK_EQ(Counts.Bad, Bad + 4);
    CHECK_EQ(MiGetContiguousFrames(0, MM_ANY_NODE_OK, MiUseDriverLocked, 1, First, First + 3, 1, 0),
             MI_NO_FRAME);
    MiValidatePfnDatabase();

    SetRange(First, 4, &Start, &Bytes);
    CHECK_STATUS(STATUS_SUCCESS, MmMarkPhysicalMemoryAsGood(&Start, &Bytes));
    CHECK_EQ(Bytes.QuadPart, 4 * PAGE_SIZE);
    CHECK_EQ(MiAvailablePages(), Available + 1);
    CHECK_EQ(CommitLimit(), Limit);
}

KTEST(BadPagesArguments)
{
    PHYSICAL_ADDRESS Start = {.QuadPart = 1};
    LARGE_INTEGER Bytes = {.QuadPart = PAGE_SIZE};

    CHECK_STATUS(STATUS_INVALID_PARAMETER_1, MmMarkPhysicalMemoryAsBad(&Start, &Bytes));
    Start.QuadPart = 0x100000;
    Bytes.QuadPart = 12;
    CHECK_STATUS(STATUS_INVALID_PARAMETER_2, MmMarkPhysicalMemoryAsBad(&Start, &Bytes));
    Bytes.QuadPart = 0;
    CHECK_STATUS(STATUS_INVALID_PARAMETER_2, MmRemovePhysicalMemory(&Start, &Bytes));
    Start.QuadPart = 1ll << 51;
    Bytes.QuadPart = PAGE_SIZE;
    CHECK_STATUS(STATUS_SUCCESS, MmMarkPhysicalMemoryAsBad(&Start, &Bytes));
    CHECK_EQ(Bytes.QuadPart, 0);
}

/* Removed pages are no RAM; they come back; what is in use cannot be removed. */
static VOID
RemoveAndAdd(PFN_NUMBER First, SIZE_T PageCount)
{
    SIZE_T Available = MiAvailablePages();
    SIZE_T Limit = CommitLimit();
    MI_PAGE_COUNTS Before;
    MI_PAGE_COUNTS After;
    PHYSICAL_ADDRESS Start;
    LARGE_INTEGER Bytes;

    MiQueryPageCounts(&Before);
    SetRange(First, PageCount, &Start, &Bytes);
    CHECK_STATUS(STATUS_CONFLICTING_ADDRESSES, MmAddPhysicalMemory(&Start, &Bytes));
    REQUIRE(MmRemovePhysicalMemory(&Start, &Bytes) == STATUS_SUCCESS);
    MiQueryPageCounts(&After);
    CHECK_EQ(After.Total, Before.Total - PageCount);
    CHECK_EQ(MiAvailablePages(), Available - PageCount);
    CHECK_EQ(CommitLimit(), Limit - PageCount);
    CHECK(!MiIsRamFrame(First) && !MiIsRamFrame(First + PageCount - 1));
    MiValidatePfnDatabase();
    CHECK_STATUS(STATUS_INVALID_PARAMETER_1, MmRemovePhysicalMemory(&Start, &Bytes));
    CHECK_STATUS(STATUS_SUCCESS, MmAddPhysicalMemory(&Start, &Bytes));
    CHECK_EQ(MiAvailablePages(), Available);
    CHECK_EQ(CommitLimit(), Limit);
    CHECK(MiIsRamFrame(First));
}

KTEST(MemoryRemovedAndAdded)
{
    PFN_NUMBER First = MiGetContiguousFrames(0, MM_ANY_NODE_OK, MiUseDriverLocked, 512, 0, ~0ull,
                                             512, 0);
    PHYSICAL_ADDRESS Start;
    LARGE_INTEGER Bytes;

    REQUIRE(First != MI_NO_FRAME);
    SetRange(First, 512, &Start, &Bytes);
    CHECK_STATUS(STATUS_NO_MEMORY, MmRemovePhysicalMemory(&Start, &Bytes));
    MiFreeContiguousFrames(First, 512);
    RemoveAndAdd(First, 512);
    RemoveAndAdd(First + 10, 20);
}

KTEST_KEEPS(MemoryAdded)
{
    SIZE_T Available = MiAvailablePages();
    PFN_NUMBER First;
    PHYSICAL_ADDRESS Start;
    LARGE_INTEGER Bytes;
    NTSTATUS Status;

    Start.QuadPart = 0x1000;
    Bytes.QuadPart = 1ll << 51;
    CHECK_STATUS(STATUS_CONFLICTING_ADDRESSES, MmAddPhysicalMemory(&Start, &Bytes));
    First = MiHighestFrame + 1;
    SetRange(First, 1024, &Start, &Bytes);
    Status = MmAddPhysicalMemory(&Start, &Bytes);
    if (Status == STATUS_NOT_SUPPORTED) {
        KTestNote("skipped: this machine has no room for more memory");
        return;
    }
    CHECK_STATUS(STATUS_SUCCESS, Status);
    CHECK_EQ(MiAvailablePages(), Available + 1023);
    CHECK_EQ(MiGetContiguousFrames(0, MM_ANY_NODE_OK, MiUseDriverLocked, 1023, First + 1,
                                   First + 1023, 1, 0), First + 1);
    MiValidatePfnDatabase();
    MiFreeContiguousFrames(First + 1, 1023);
    SetRange(First + 1, 1023, &Start, &Bytes);
    CHECK_STATUS(STATUS_SUCCESS, MmRemovePhysicalMemory(&Start, &Bytes));
    CHECK_EQ(MiAvailablePages(), Available);
}

/* Ascending, apart from each other, ended by zeroes, and together all of RAM but what is bad. */
KTEST(MemoryRanges)
{
    PPHYSICAL_MEMORY_RANGE Ranges = MmGetPhysicalMemoryRanges();
    MI_PAGE_COUNTS Counts;
    SIZE_T Pages = 0;
    LONGLONG End = -1;
    ULONG Index;

    REQUIRE(Ranges != NULL);
    for (Index = 0; Ranges[Index].NumberOfBytes.QuadPart != 0; Index++) {
        CHECK(Ranges[Index].BaseAddress.QuadPart > End);
        CHECK_EQ(Ranges[Index].BaseAddress.QuadPart % PAGE_SIZE, 0);
        End = Ranges[Index].BaseAddress.QuadPart + Ranges[Index].NumberOfBytes.QuadPart;
        Pages += (SIZE_T)Ranges[Index].NumberOfBytes.QuadPart >> PAGE_SHIFT;
    }
    CHECK_EQ(Ranges[Index].BaseAddress.QuadPart, 0);
    MiQueryPageCounts(&Counts);
    CHECK_EQ(Pages, Counts.Total);
    ExFreePoolWithTag(Ranges, 0);
    CHECK(MmGetPhysicalMemoryRangesEx2(NULL, 0x80) == NULL);
}
