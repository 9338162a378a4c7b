/*
 * Physical memory: contiguous runs, pages for MDLs, I/O space, the ranges of RAM.
 */
#include "check.h"

#define TAG      'syhP'
#define ANYWHERE Physical(0), Physical(~0ull >> 1)

static BOOLEAN
IsContiguous(PUCHAR Block, ULONG Pages)
{
    ULONG64 First = MmGetPhysicalAddress(Block).QuadPart;
    ULONG Index;

    for (Index = 1; Index < Pages; Index += 1) {
        if ((ULONG64)MmGetPhysicalAddress(Block + Index * PAGE_SIZE).QuadPart != First + Index * PAGE_SIZE) {
            return FALSE;
        }
    }
    return First != 0;
}

static VOID
Contiguous(VOID)
{
    PUCHAR Block = MmAllocateContiguousMemory(10 * PAGE_SIZE, Physical(~0ull >> 1));
    ULONG64 Address;

    REQUIRE(Block != NULL);
    CHECK_EQ(BYTE_OFFSET(Block), 0);
    CHECK(IsContiguous(Block, 10));
    Paint(Block, 10 * PAGE_SIZE, 4);
    CHECK(Painted(Block, 10 * PAGE_SIZE, 4));
    MmFreeContiguousMemory(Block);

    Block = MmAllocateContiguousMemory(100, Physical(0xFFFFFF));
    REQUIRE(Block != NULL);
    CHECK((ULONG64)MmGetPhysicalAddress(Block).QuadPart + 99 <= 0xFFFFFF);
    MmFreeContiguousMemory(Block);
    CHECK(MmAllocateContiguousMemory(PAGE_SIZE, Physical(0)) == NULL);

    /* A window, and a boundary that must not be crossed. */
    Block = MmAllocateContiguousMemorySpecifyCache(0x30000, Physical(0x1000000), Physical(0x7FFFFFF),
                                                   Physical(0x40000), MmCached);
    REQUIRE(Block != NULL);
    Address = MmGetPhysicalAddress(Block).QuadPart;
    CHECK(Address >= 0x1000000 && Address + 0x30000 - 1 <= 0x7FFFFFF);
    CHECK_EQ(Address / 0x40000, (Address + 0x30000 - 1) / 0x40000);
    CHECK(IsContiguous(Block, 0x30));
    MmFreeContiguousMemorySpecifyCache(Block, 0x30000, MmCached);

    Block = MmAllocateContiguousMemorySpecifyCacheNode(PAGE_SIZE, ANYWHERE, Physical(0), MmCached,
                                                       EXTRA_ANY_NODE);
    REQUIRE(Block != NULL);
    MmFreeContiguousMemory(Block);
    Block =
        MmAllocateContiguousNodeMemory(2 * PAGE_SIZE, ANYWHERE, Physical(0), PAGE_READWRITE, EXTRA_ANY_NODE);
    REQUIRE(Block != NULL);
    CHECK(IsContiguous(Block, 2));
    MmFreeContiguousMemory(Block);
}

static VOID
ContiguousEx(VOID)
{
    SIZE_T Size = 5000;
    PVOID Base = NULL;

    CHECK_STATUS(MmAllocateContiguousMemoryEx(&Size, ANYWHERE, Physical(0), EXTRA_ANY_NODE, PAGE_READWRITE,
                                              NULL, TAG, 0, &Base),
                 STATUS_SUCCESS);
    REQUIRE(Base != NULL);
    CHECK_EQ(Size, 8192);
    CHECK(IsContiguous(Base, 2));
    MmFreeContiguousMemory(Base);
}

static VOID
PagesForMdl(VOID)
{
    PPFN_NUMBER Pages;
    PUCHAR Map;
    ULONG Index;
    PMDL Mdl = MmAllocatePagesForMdlEx(ANYWHERE, Physical(0), 8 * PAGE_SIZE, MmCached, 0);

    REQUIRE(Mdl != NULL);
    CHECK_EQ(MmGetMdlByteCount(Mdl), 8 * PAGE_SIZE);
    CHECK(MmGetMdlVirtualAddress(Mdl) == NULL);
    CHECK_EQ(Mdl->MdlFlags & MDL_MAPPED_TO_SYSTEM_VA, 0);
    Map = MmMapLockedPagesSpecifyCache(Mdl, KernelMode, MmCached, NULL, FALSE, NormalPagePriority);
    REQUIRE(Map != NULL);
    CHECK(Mdl->MdlFlags & MDL_MAPPED_TO_SYSTEM_VA);
    CHECK(Mdl->MappedSystemVa == Map);
    CHECK(MmGetMdlVirtualAddress(Mdl) == NULL);
    CHECK(AllZero(Map, 8 * PAGE_SIZE));
    Paint(Map, 8 * PAGE_SIZE, 1);
    Pages = MmGetMdlPfnArray(Mdl);
    for (Index = 0; Index < 8; Index += 1) {
        if ((ULONG64)MmGetPhysicalAddress(Map + Index * PAGE_SIZE).QuadPart >> PAGE_SHIFT != Pages[Index]) {
            break;
        }
    }
    CHECK_EQ(Index, 8);
    MmUnmapLockedPages(Map, Mdl);
    CHECK_EQ(Mdl->MdlFlags & MDL_MAPPED_TO_SYSTEM_VA, 0);
    MmFreePagesFromMdl(Mdl);
    ExFreePool(Mdl);
}

static VOID
Constraints(VOID)
{
    PPFN_NUMBER Pages;
    ULONG Index;
    PVOID Map;
    PMDL Mdl;

    /* Freed while it is mapped, and in one run. */
    Mdl = MmAllocatePagesForMdlEx(ANYWHERE, Physical(0), 16 * PAGE_SIZE, MmCached,
                                  MM_ALLOCATE_REQUIRE_CONTIGUOUS_CHUNKS | MM_ALLOCATE_FULLY_REQUIRED);
    REQUIRE(Mdl != NULL);
    Pages = MmGetMdlPfnArray(Mdl);
    for (Index = 1; Index < 16 && Pages[Index] == Pages[0] + Index; Index += 1) {
    }
    CHECK_EQ(Index, 16);
    Map = MmGetSystemAddressForMdlSafe(Mdl, NormalPagePriority);
    REQUIRE(Map != NULL);
    CHECK(AllZero(Map, 16 * PAGE_SIZE));
    MmFreePagesFromMdl(Mdl);
    CHECK(!MmIsAddressValid(Map));
    ExFreePoolWithTag(Mdl, 0);

    /* Chunks of 16 KB at multiples of 16 KB. */
    Mdl = MmAllocatePagesForMdlEx(ANYWHERE, Physical(4 * PAGE_SIZE), 16 * PAGE_SIZE, MmCached,
                                  MM_ALLOCATE_REQUIRE_CONTIGUOUS_CHUNKS);
    REQUIRE(Mdl != NULL);
    Pages = MmGetMdlPfnArray(Mdl);
    for (Index = 0; Index < MmGetMdlByteCount(Mdl) / PAGE_SIZE; Index += 1) {
        if ((Index & 3) == 0 ? (Pages[Index] & 3) != 0 : Pages[Index] != Pages[Index - 1] + 1) {
            break;
        }
    }
    CHECK_EQ(Index, 16);
    MmFreePagesFromMdl(Mdl);
    ExFreePool(Mdl);

    Mdl = MmAllocatePagesForMdl(Physical(0), Physical(0x3FFFFFF), Physical(0), 32 * PAGE_SIZE);
    REQUIRE(Mdl != NULL);
    Pages = MmGetMdlPfnArray(Mdl);
    for (Index = 0; Index < MmGetMdlByteCount(Mdl) / PAGE_SIZE && Pages[Index] < 0x4000; Index += 1) {
    }
    CHECK_EQ(Index, 32);
    MmFreePagesFromMdl(Mdl);
    ExFreePool(Mdl);

    Mdl = MmAllocateNodePagesForMdlEx(ANYWHERE, Physical(0), PAGE_SIZE, MmCached, 0, 0);
    REQUIRE(Mdl != NULL);
    MmFreePagesFromMdl(Mdl);
    ExFreePool(Mdl);
}

/* More than there is: fewer pages, or none if all are required. */
static VOID
TooMany(VOID)
{
    SIZE_T Request = (SIZE_T)2 << 30;
    PMDL Mdl = MmAllocatePagesForMdlEx(ANYWHERE, Physical(0), Request, MmCached, MM_ALLOCATE_FULLY_REQUIRED);

    CHECK(Mdl == NULL);
    Mdl = MmAllocatePagesForMdlEx(ANYWHERE, Physical(0), Request, MmCached, MM_DONT_ZERO_ALLOCATION);
    REQUIRE(Mdl != NULL);
    CHECK(MmGetMdlByteCount(Mdl) < Request && MmGetMdlByteCount(Mdl) > 16 << 20);
    MmFreePagesFromMdl(Mdl);
    ExFreePool(Mdl);
}

static VOID
IoSpace(VOID)
{
    /* Where PCs have their timers and interrupt controllers there is never RAM. */
    PHYSICAL_ADDRESS Device = Physical(0xFED00100);
    PUCHAR Block = MmAllocateContiguousMemory(PAGE_SIZE, Physical(~0ull >> 1)), Map;
    PVOID Io;

    REQUIRE(Block != NULL);
    Map = MmMapIoSpace(MmGetPhysicalAddress(Block + 64), 100, MmCached);
    REQUIRE(Map != NULL);
    CHECK_EQ(BYTE_OFFSET(Map), 64);
    Paint(Block + 64, 100, 8);
    CHECK(Painted(Map, 100, 8));
    MmUnmapIoSpace(Map, 100);
    Map = MmMapIoSpaceEx(MmGetPhysicalAddress(Block), PAGE_SIZE, PAGE_READONLY);
    REQUIRE(Map != NULL);
    CHECK(Painted(Map + 64, 100, 8));
    MmUnmapIoSpace(Map, PAGE_SIZE);
    CHECK(MmMapIoSpaceEx(MmGetPhysicalAddress(Block), PAGE_SIZE,
                         PAGE_READWRITE | PAGE_NOCACHE | PAGE_WRITECOMBINE) == NULL);
    CHECK(MmMapIoSpaceEx(MmGetPhysicalAddress(Block), PAGE_SIZE, 0) == NULL);
    MmFreeContiguousMemory(Block);
    CHECK(MmMapIoSpace(Device, 0, MmNonCached) == NULL);
    Io = MmMapIoSpace(Device, 0x2000, MmNonCached);
    REQUIRE(Io != NULL);
    CHECK_EQ(BYTE_OFFSET(Io), 0x100);
    CHECK(MmMapIoSpace(Device, 0x2000, MmWriteCombined) == NULL);
    MmUnmapIoSpace(Io, 0x2000);
}

static VOID
Ranges(VOID)
{
    PPHYSICAL_MEMORY_RANGE Ranges = MmGetPhysicalMemoryRanges();
    ULONG64 Total = 0, Before = 0;
    ULONG Index;

    REQUIRE(Ranges != NULL);
    for (Index = 0; Ranges[Index].NumberOfBytes.QuadPart != 0; Index += 1) {
        CHECK((ULONG64)Ranges[Index].BaseAddress.QuadPart >= Before);
        Before = Ranges[Index].BaseAddress.QuadPart + Ranges[Index].NumberOfBytes.QuadPart;
        Total += Ranges[Index].NumberOfBytes.QuadPart;
    }
    CHECK(Index > 0);
    CHECK(Total > (ULONG64)200 << 20 && Total <= (ULONG64)256 << 20);
    CHECK_EQ(Ranges[Index].BaseAddress.QuadPart, 0);
    ExFreePool(Ranges);
    CHECK(MmQuerySystemSize() <= MmLargeSystem);
}

static VOID
Test(VOID)
{
    Contiguous();
    ContiguousEx();
    PagesForMdl();
    Constraints();
    TooMany();
    IoSpace();
    Ranges();
}

CHECK_DRIVER
