/*
 * MDLs and mappings: what locks, what aliases, which flags say so.
 */
#include "check.h"

#define TAG 'ldM '

static VOID
Sizes(VOID)
{
    CHECK_EQ(sizeof(MDL), 48);
    CHECK_EQ(MmSizeOfMdl((PVOID)0x1000, 1), 48 + 8);
    CHECK_EQ(MmSizeOfMdl((PVOID)0x1FFF, 2), 48 + 16);
    CHECK_EQ(MmSizeOfMdl((PVOID)0x1000, 0x10000), 48 + 16 * 8);
    CHECK_EQ(ADDRESS_AND_SIZE_TO_SPAN_PAGES(0x1FFF, 2), 2);
    CHECK_EQ(BYTES_TO_PAGES(4097), 2);
    CHECK_EQ(ROUND_TO_PAGES(1), 4096);
    CHECK((ULONG_PTR)PAGE_ALIGN(0x12345) == 0x12000);
}

static VOID
Header(VOID)
{
    PMDL Mdl = IoAllocateMdl((PVOID)(ULONG_PTR)0x40000123, 0x3000, FALSE, FALSE, NULL);

    REQUIRE(Mdl != NULL);
    CHECK_EQ(MmGetMdlByteCount(Mdl), 0x3000);
    CHECK_EQ(MmGetMdlByteOffset(Mdl), 0x123);
    CHECK_EQ(MmGetMdlVirtualAddress(Mdl), 0x40000123);
    CHECK_EQ(Mdl->Size, 48 + 4 * 8);
    CHECK_EQ(Mdl->MdlFlags & (MDL_PAGES_LOCKED | MDL_MAPPED_TO_SYSTEM_VA | MDL_SOURCE_IS_NONPAGED_POOL), 0);
    CHECK(Mdl->Next == NULL);
    IoFreeMdl(Mdl);
    /* Size is 16 bits wide. */
    CHECK(IoAllocateMdl(NULL, 0x80000000, FALSE, FALSE, NULL) == NULL);
    CHECK(IoAllocateMdl(NULL, (0x10000 - sizeof(MDL)) / 8 * PAGE_SIZE, FALSE, FALSE, NULL) == NULL);
    Mdl = IoAllocateMdl(NULL, ((0x10000 - sizeof(MDL)) / 8 - 1) * PAGE_SIZE, FALSE, FALSE, NULL);
    REQUIRE(Mdl != NULL);
    IoFreeMdl(Mdl);
}

/* Lock, map, write through one, read through the other; both ends and the page boundary between. */
static VOID
Alias(POOL_TYPE Type)
{
    PUCHAR Buffer = ExAllocatePoolWithTag(Type, 3 * PAGE_SIZE, TAG), Map;
    PPFN_NUMBER Pages;
    PMDL Mdl;

    REQUIRE(Buffer != NULL);
    Mdl = IoAllocateMdl(Buffer + 100, 2 * PAGE_SIZE, FALSE, FALSE, NULL);
    REQUIRE(Mdl != NULL);
    MmProbeAndLockPages(Mdl, KernelMode, IoWriteAccess);
    CHECK(Mdl->MdlFlags & MDL_PAGES_LOCKED);
    Map = MmGetSystemAddressForMdlSafe(Mdl, NormalPagePriority);
    REQUIRE(Map != NULL);
    CHECK(Map != Buffer + 100);
    CHECK_EQ(BYTE_OFFSET(Map), 100);
    CHECK(Mdl->MdlFlags & MDL_MAPPED_TO_SYSTEM_VA);
    CHECK(MmGetSystemAddressForMdlSafe(Mdl, NormalPagePriority) == Map);
    Paint(Buffer + 100, 2 * PAGE_SIZE, 3);
    CHECK(Painted(Map, 2 * PAGE_SIZE, 3));
    Paint(Map, 2 * PAGE_SIZE, 77);
    CHECK(Painted(Buffer + 100, 2 * PAGE_SIZE, 77));
    Pages = MmGetMdlPfnArray(Mdl);
    CHECK_EQ(MmGetPhysicalAddress(Buffer + 100).QuadPart, (Pages[0] << PAGE_SHIFT) + 100);
    CHECK_EQ(MmGetPhysicalAddress(Map + PAGE_SIZE).QuadPart, (Pages[1] << PAGE_SHIFT) + 100);
    CHECK(Pages[0] != Pages[1] && Pages[1] != Pages[2]);
    MmUnlockPages(Mdl);
    CHECK_EQ(Mdl->MdlFlags & (MDL_PAGES_LOCKED | MDL_MAPPED_TO_SYSTEM_VA), 0);
    CHECK(Painted(Buffer + 100, 2 * PAGE_SIZE, 77));
    IoFreeMdl(Mdl);
    ExFreePool(Buffer);
}

static VOID
NonPagedPoolMdl(VOID)
{
    PUCHAR Buffer = ExAllocatePoolWithTag(NonPagedPoolNx, 200, TAG);
    PMDL Mdl;

    REQUIRE(Buffer != NULL);
    Mdl = IoAllocateMdl(Buffer, 200, FALSE, FALSE, NULL);
    REQUIRE(Mdl != NULL);
    MmBuildMdlForNonPagedPool(Mdl);
    CHECK(Mdl->MdlFlags & MDL_SOURCE_IS_NONPAGED_POOL);
    CHECK_EQ(Mdl->MdlFlags & MDL_PAGES_LOCKED, 0);
    CHECK(Mdl->MappedSystemVa == Buffer);
    CHECK(MmGetSystemAddressForMdlSafe(Mdl, NormalPagePriority) == Buffer);
    CHECK_EQ(MmGetPhysicalAddress(Buffer).QuadPart >> PAGE_SHIFT, MmGetMdlPfnArray(Mdl)[0]);
    IoFreeMdl(Mdl);
    ExFreePool(Buffer);
}

/* A buffer on the stack: locked, and mapped elsewhere. */
static VOID
StackBuffer(VOID)
{
    volatile UCHAR Local[512];
    PUCHAR Map;
    PMDL Mdl = IoAllocateMdl((PVOID)Local, sizeof(Local), FALSE, FALSE, NULL);

    REQUIRE(Mdl != NULL);
    MmProbeAndLockPages(Mdl, KernelMode, IoModifyAccess);
    Map = MmGetSystemAddressForMdlSafe(Mdl, HighPagePriority);
    REQUIRE(Map != NULL);
    Paint((PVOID)Local, sizeof(Local), 5);
    CHECK(Painted(Map, sizeof(Local), 5));
    Map[17] = 0xEE;
    CHECK_EQ(Local[17], 0xEE);
    MmUnlockPages(Mdl);
    IoFreeMdl(Mdl);
}

static VOID
Partial(VOID)
{
    PUCHAR Buffer = ExAllocatePoolWithTag(PagedPool, 4 * PAGE_SIZE, TAG), Map, Whole;
    PMDL Source, Target;

    REQUIRE(Buffer != NULL);
    Paint(Buffer, 4 * PAGE_SIZE, 9);
    Source = IoAllocateMdl(Buffer, 4 * PAGE_SIZE, FALSE, FALSE, NULL);
    Target = IoAllocateMdl(Buffer, 4 * PAGE_SIZE, FALSE, FALSE, NULL);
    REQUIRE(Source != NULL && Target != NULL);
    MmProbeAndLockPages(Source, KernelMode, IoReadAccess);
    IoBuildPartialMdl(Source, Target, Buffer + PAGE_SIZE + 10, 100);
    CHECK(Target->MdlFlags & MDL_PARTIAL);
    CHECK_EQ(MmGetMdlByteCount(Target), 100);
    CHECK_EQ(MmGetMdlByteOffset(Target), 10);
    CHECK_EQ(MmGetMdlPfnArray(Target)[0], MmGetMdlPfnArray(Source)[1]);
    Map = MmGetSystemAddressForMdlSafe(Target, NormalPagePriority);
    REQUIRE(Map != NULL);
    CHECK(RtlCompareMemory(Map, Buffer + PAGE_SIZE + 10, 100) == 100);
    MmPrepareMdlForReuse(Target);
    CHECK_EQ(Target->MdlFlags & MDL_PARTIAL_HAS_BEEN_MAPPED, 0);
    Whole = MmGetSystemAddressForMdlSafe(Source, NormalPagePriority);
    REQUIRE(Whole != NULL);
    IoBuildPartialMdl(Source, Target, Buffer + 2 * PAGE_SIZE + 7, 0);
    CHECK_EQ(MmGetMdlByteCount(Target), 2 * PAGE_SIZE - 7);
    CHECK(MmGetSystemAddressForMdlSafe(Target, NormalPagePriority) == Whole + 2 * PAGE_SIZE + 7);
    IoFreeMdl(Target);
    MmUnlockPages(Source);
    IoFreeMdl(Source);
    ExFreePool(Buffer);
}

static VOID
Reserved(VOID)
{
    PUCHAR Buffer = ExAllocatePoolWithTag(NonPagedPoolNx, 2 * PAGE_SIZE, TAG), Map;
    PVOID Range;
    PMDL Mdl;

    REQUIRE(Buffer != NULL);
    CHECK(MmAllocateMappingAddress(4 * PAGE_SIZE, 0) == NULL);
    Range = MmAllocateMappingAddress(2 * PAGE_SIZE, TAG);
    REQUIRE(Range != NULL);
    Mdl = IoAllocateMdl(Buffer + 50, PAGE_SIZE, FALSE, FALSE, NULL);
    REQUIRE(Mdl != NULL);
    MmProbeAndLockPages(Mdl, KernelMode, IoWriteAccess);
    Map = MmMapLockedPagesWithReservedMapping(Range, TAG, Mdl, MmCached);
    REQUIRE(Map != NULL);
    CHECK(Map == (PUCHAR)Range + 50);
    Paint(Map, PAGE_SIZE, 21);
    CHECK(Painted(Buffer + 50, PAGE_SIZE, 21));
    MmUnmapReservedMapping(Range, TAG, Mdl);
    CHECK(!MmIsAddressValid(Range));
    /* Used again, and too small for a larger one. */
    Map = MmMapLockedPagesWithReservedMapping(Range, TAG, Mdl, MmCached);
    CHECK(Map == (PUCHAR)Range + 50);
    MmUnmapReservedMapping(Range, TAG, Mdl);
    MmUnlockPages(Mdl);
    IoFreeMdl(Mdl);
    MmFreeMappingAddress(Range, TAG);

    Range = MmAllocateMappingAddress(PAGE_SIZE, TAG);
    REQUIRE(Range != NULL);
    Mdl = IoAllocateMdl(Buffer, 2 * PAGE_SIZE, FALSE, FALSE, NULL);
    REQUIRE(Mdl != NULL);
    MmProbeAndLockPages(Mdl, KernelMode, IoWriteAccess);
    CHECK(MmMapLockedPagesWithReservedMapping(Range, TAG, Mdl, MmCached) == NULL);
    MmUnlockPages(Mdl);
    IoFreeMdl(Mdl);
    MmFreeMappingAddress(Range, TAG);
    ExFreePool(Buffer);
}

static VOID
Protect(VOID)
{
    PUCHAR Buffer = ExAllocatePoolWithTag(NonPagedPoolNx, PAGE_SIZE, TAG), Map;
    static const UCHAR Code[] = {0xB8, 7, 0, 0, 0, 0xC3};
    PMDL Mdl;

    REQUIRE(Buffer != NULL);
    Mdl = IoAllocateMdl(Buffer, PAGE_SIZE, FALSE, FALSE, NULL);
    REQUIRE(Mdl != NULL);
    MmProbeAndLockPages(Mdl, KernelMode, IoWriteAccess);
    CHECK_STATUS(MmProtectMdlSystemAddress(Mdl, PAGE_READONLY), STATUS_NOT_MAPPED_VIEW);
    Map = MmMapLockedPagesSpecifyCache(Mdl, KernelMode, MmCached, NULL, FALSE, NormalPagePriority);
    REQUIRE(Map != NULL);
    CHECK_STATUS(MmProtectMdlSystemAddress(Mdl, 0), STATUS_INVALID_PAGE_PROTECTION);
    CHECK_STATUS(MmProtectMdlSystemAddress(Mdl, PAGE_READONLY | PAGE_READWRITE),
                 STATUS_INVALID_PAGE_PROTECTION);
    RtlCopyMemory(Map, Code, sizeof(Code));
    CHECK_STATUS(MmProtectMdlSystemAddress(Mdl, PAGE_EXECUTE_READ), STATUS_SUCCESS);
    CHECK_EQ(((ULONG(NTAPI *)(VOID))(ULONG_PTR)Map)(), 7);
    CHECK_STATUS(MmProtectMdlSystemAddress(Mdl, PAGE_READWRITE), STATUS_SUCCESS);
    Map[0] = 1;
    CHECK_EQ(Buffer[0], 1);
    MmUnmapLockedPages(Map, Mdl);
    CHECK_EQ(Mdl->MdlFlags & MDL_MAPPED_TO_SYSTEM_VA, 0);
    CHECK(!MmIsAddressValid(Map));
    MmUnlockPages(Mdl);
    IoFreeMdl(Mdl);
    ExFreePool(Buffer);
}

static VOID
Initialized(VOID)
{
    UCHAR Space[sizeof(MDL) + 4 * sizeof(PFN_NUMBER)] __attribute__((aligned(16)));
    PMDL Mdl = (PMDL)Space;
    PUCHAR Buffer = ExAllocatePoolWithTag(PagedPool, 2 * PAGE_SIZE, TAG);

    REQUIRE(Buffer != NULL);
    MmInitializeMdl(Mdl, Buffer + 1, PAGE_SIZE);
    CHECK_EQ(Mdl->MdlFlags, 0);
    CHECK_EQ(Mdl->ByteOffset, 1);
    MmProbeAndLockPages(Mdl, KernelMode, IoWriteAccess);
    CHECK_EQ(MmGetMdlPfnArray(Mdl)[0], (ULONG64)MmGetPhysicalAddress(Buffer).QuadPart >> PAGE_SHIFT);
    MmUnlockPages(Mdl);
    ExFreePool(Buffer);
}

/* Two MDLs over one page: it stays locked until both are gone. */
static VOID
Twice(VOID)
{
    PUCHAR Buffer = ExAllocatePoolWithTag(PagedPool, PAGE_SIZE, TAG), MapOne, MapTwo;
    PMDL One, Two;

    REQUIRE(Buffer != NULL);
    One = IoAllocateMdl(Buffer, PAGE_SIZE, FALSE, FALSE, NULL);
    Two = IoAllocateMdl(Buffer + 8, 16, FALSE, FALSE, NULL);
    REQUIRE(One != NULL && Two != NULL);
    MmProbeAndLockPages(One, KernelMode, IoWriteAccess);
    MmProbeAndLockPages(Two, KernelMode, IoReadAccess);
    CHECK_EQ(MmGetMdlPfnArray(One)[0], MmGetMdlPfnArray(Two)[0]);
    MapOne = MmGetSystemAddressForMdlSafe(One, NormalPagePriority);
    MapTwo = MmGetSystemAddressForMdlSafe(Two, NormalPagePriority | MdlMappingNoExecute);
    REQUIRE(MapOne != NULL && MapTwo != NULL && MapOne != MapTwo);
    MapOne[9] = 0x5A;
    CHECK_EQ(MapTwo[1], 0x5A);
    MmUnlockPages(One);
    CHECK_EQ(MapTwo[1], 0x5A);
    MmUnlockPages(Two);
    IoFreeMdl(One);
    IoFreeMdl(Two);
    ExFreePool(Buffer);
}

static VOID
Chain(VOID)
{
    PIRP Irp = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(IRP), TAG);
    PMDL First, Second;

    REQUIRE(Irp != NULL);
    First = IoAllocateMdl((PVOID)0x1000, 10, FALSE, FALSE, Irp);
    CHECK(First != NULL && Irp->MdlAddress == First);
    Second = IoAllocateMdl((PVOID)0x2000, 10, TRUE, FALSE, Irp);
    CHECK(Irp->MdlAddress == First && First->Next == Second);
    IoFreeMdl(Second);
    IoFreeMdl(First);
    ExFreePool(Irp);
}

static VOID
Test(VOID)
{
    Sizes();
    Header();
    Alias(NonPagedPoolNx);
    Alias(PagedPool);
    NonPagedPoolMdl();
    StackBuffer();
    Partial();
    Reserved();
    Protect();
    Initialized();
    Twice();
    Chain();
}

CHECK_DRIVER
