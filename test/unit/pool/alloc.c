/*
 * Allocating: the shape of blocks (alignment, pages, headers), contents, the rules of flags, tags and
 * sizes, accounting by tag.
 */
#include "pooltest.h"

static const SIZE_T TestSizes[] = {
    1,    8,    15,   16,   17,   31,   32,    33,      100,           255,    256,
    257,  500,  1000, 1024, 2032, 2033, 4000,  4047,    4064,          4065,   4080,
    4095, 4096, 4097, 5000, 8192, 8193, 65536, 1 << 20, (1 << 20) + 1, 3 << 20};

static VOID
TestShape(PUCHAR Block, SIZE_T Size, ULONG Type)
{
    ULONG_PTR Start = (ULONG_PTR)Block;

    CHECK_EQ(Start & 15, 0);
    if (Size <= PAGE_SIZE) {
        CHECK_EQ(Start / PAGE_SIZE, (Start + Size - 1) / PAGE_SIZE);
    }
    if (Size <= PAGE_SIZE - 32) {
        CHECK_EQ(TestHeaderTag(Block), TEST_TAG);
        CHECK_EQ(TestHeaderType(Block), (UCHAR)(Type + 1));
    } else {
        CHECK_EQ(Start & (PAGE_SIZE - 1), 0);
    }
}

static VOID
TestSizesOf(POOL_FLAGS Flags, ULONG Type)
{
    PUCHAR Blocks[ARRAYSIZE(TestSizes)];
    ULONG Index;

    for (Index = 0; Index < ARRAYSIZE(TestSizes); Index += 1) {
        Blocks[Index] = ExAllocatePool2(Flags, TestSizes[Index], TEST_TAG);
        REQUIRE(Blocks[Index] != NULL);
        TestShape(Blocks[Index], TestSizes[Index], Type);
        CHECK(TestIsFilled(Blocks[Index], TestSizes[Index], 0));
        __builtin_memset(Blocks[Index], (int)Index + 1, TestSizes[Index]);
    }
    for (Index = 0; Index < ARRAYSIZE(TestSizes); Index += 1) {
        CHECK(TestIsFilled(Blocks[Index], TestSizes[Index], (UCHAR)(Index + 1)));
        ExFreePoolWithTag(Blocks[Index], TEST_TAG);
    }
}

KTEST(PoolShapeNonPaged)
{
    TestSizesOf(POOL_FLAG_NON_PAGED, 0);
    TestSizesOf(POOL_FLAG_NON_PAGED, 0);
}

KTEST(PoolShapeExecutable)
{
    TestSizesOf(POOL_FLAG_NON_PAGED_EXECUTE, 0);
}

KTEST(PoolShapePaged)
{
    TestSizesOf(POOL_FLAG_PAGED, 1);
    TestSizesOf(POOL_FLAG_PAGED, 1);
}

KTEST(PoolEverySmallSize)
{
    MI_POOL_BLOCK Block;
    SIZE_T Size;
    PVOID Address;

    for (Size = 1; Size <= 2 * PAGE_SIZE; Size += 1) {
        Address = ExAllocatePool2(POOL_FLAG_NON_PAGED | POOL_FLAG_UNINITIALIZED, Size, TEST_TAG);
        REQUIRE(Address != NULL);
        REQUIRE(MiFindPoolBlock((PUCHAR)Address + Size - 1, &Block));
        CHECK_EQ(Block.Address, Address);
        CHECK_EQ(Block.Size, Size);
        CHECK_EQ(Block.Tag, TEST_TAG);
        ExFreePool(Address);
    }
}

KTEST(PoolCacheAligned)
{
    PVOID Blocks[64];
    ULONG Index, Round;

    for (Round = 0; Round < 3; Round += 1) {
        for (Index = 0; Index < ARRAYSIZE(Blocks); Index += 1) {
            Blocks[Index] =
                ExAllocatePool2(POOL_FLAG_NON_PAGED | POOL_FLAG_CACHE_ALIGNED, 1 + Index * 61, TEST_TAG);
            REQUIRE(Blocks[Index] != NULL);
            CHECK_EQ((ULONG_PTR)Blocks[Index] & 63, 0);
            CHECK_EQ(TestHeaderTag(Blocks[Index]), TEST_TAG);
            CHECK_EQ(TestHeaderType(Blocks[Index]), 5);
        }
        MiValidatePools();
        for (Index = 0; Index < ARRAYSIZE(Blocks); Index += 1) {
            ExFreePoolWithTag(Blocks[Index], TEST_TAG);
        }
    }
}

KTEST(PoolRefusals)
{
    CHECK(ExAllocatePool2(POOL_FLAG_NON_PAGED, 0, TEST_TAG) == NULL);
    CHECK(ExAllocatePool2(POOL_FLAG_NON_PAGED, 16, 0) == NULL);
    CHECK(ExAllocatePool2(0, 16, TEST_TAG) == NULL);
    CHECK(ExAllocatePool2(POOL_FLAG_NON_PAGED | POOL_FLAG_PAGED, 16, TEST_TAG) == NULL);
    CHECK(ExAllocatePool2(POOL_FLAG_NON_PAGED | POOL_FLAG_RESERVED1, 16, TEST_TAG) == NULL);
    CHECK(ExAllocatePool2(POOL_FLAG_NON_PAGED | 0x80000000ull, 16, TEST_TAG) == NULL);
    CHECK(ExAllocatePool2(POOL_FLAG_NON_PAGED, MAXULONG_PTR, TEST_TAG) == NULL);
    CHECK(ExAllocatePool2(POOL_FLAG_PAGED, MAXULONG_PTR - PAGE_SIZE, TEST_TAG) == NULL);
    CHECK(ExAllocatePool2(POOL_FLAG_NON_PAGED, 1ull << 46, TEST_TAG) == NULL);
}

KTEST(PoolUnknownOptionalFlagIgnored)
{
    PVOID Block = ExAllocatePool2(POOL_FLAG_NON_PAGED | 0x4000000000000000ull, 16, TEST_TAG);

    REQUIRE(Block != NULL);
    ExFreePoolWithTag(Block, TEST_TAG);
}

KTEST(PoolExtendedParameters)
{
    POOL_EXTENDED_PARAMETER Parameters[2] = {{{0}, {0}}, {{0}, {0}}};
    PVOID Block;

    Parameters[0].Type = PoolExtendedParameterPriority;
    Parameters[0].Priority = LowPoolPriority;
    Parameters[1].Type = PoolExtendedParameterNumaNode;
    Parameters[1].PreferredNode = 0;
    Block = ExAllocatePool3(POOL_FLAG_NON_PAGED, 100, TEST_TAG, Parameters, 2);
    REQUIRE(Block != NULL);
    ExFreePool2(Block, TEST_TAG, NULL, 0);
    CHECK(ExAllocatePool3(POOL_FLAG_PAGED, 100, TEST_TAG, Parameters, 2) == NULL);
    Parameters[1].PreferredNode = 77;
    CHECK(ExAllocatePool3(POOL_FLAG_NON_PAGED, 100, TEST_TAG, Parameters, 2) == NULL);
    Parameters[1].PreferredNode = 77 | MM_ANY_NODE_OK;
    Block = ExAllocatePool3(POOL_FLAG_NON_PAGED, 100, TEST_TAG, Parameters, 2);
    REQUIRE(Block != NULL);
    ExFreePool2(Block, TEST_TAG, NULL, 0);
    Parameters[1].Type = 200;
    CHECK(ExAllocatePool3(POOL_FLAG_NON_PAGED, 100, TEST_TAG, Parameters, 2) == NULL);
    Parameters[1].Optional = 1;
    Block = ExAllocatePool3(POOL_FLAG_NON_PAGED, 100, TEST_TAG, Parameters, 2);
    REQUIRE(Block != NULL);
    ExFreePool2(Block, TEST_TAG, NULL, 0);
    Parameters[1].Optional = 0;
    Parameters[1].Type = PoolExtendedParameterSecurePool;
    CHECK(ExAllocatePool3(POOL_FLAG_NON_PAGED, 100, TEST_TAG, Parameters, 2) == NULL);
}

KTEST(PoolLegacyRoutines)
{
    PUCHAR Block;

    Block = ExAllocatePoolWithTag(NonPagedPool, 0, TEST_TAG);
    REQUIRE(Block != NULL);
    CHECK_EQ(TestHeaderType(Block), 1);
    ExFreePoolWithTag(Block, TEST_TAG);
    Block = ExAllocatePoolWithTag(PagedPool | POOL_ZERO_ALLOCATION, 777, TEST_TAG);
    REQUIRE(Block != NULL);
    CHECK(TestIsFilled(Block, 777, 0));
    ExFreePoolWithTag(Block, 0);
    Block = ExAllocatePool(NonPagedPoolNx, 10);
    REQUIRE(Block != NULL);
    CHECK_EQ(TestHeaderTag(Block), 0x656E6F4E);
    ExFreePool(Block);
    Block = FsRtlAllocatePoolWithTag(PagedPool, 10000, TEST_TAG);
    ExFreePool(Block);
    Block = ExAllocatePoolWithTagPriority(NonPagedPool, 10, TEST_TAG, NormalPoolPrioritySpecialPoolOverrun);
    REQUIRE(Block != NULL);
    ExFreePool(Block);
}

KTEST(PoolTagAccounting)
{
    MI_POOL_TAG_ROW Before = TestTagRow(TEST_TAG), After;
    PVOID NonPaged = ExAllocatePool2(POOL_FLAG_NON_PAGED, 100, TEST_TAG);
    PVOID Paged = ExAllocatePool2(POOL_FLAG_PAGED, 5000, TEST_TAG);

    After = TestTagRow(TEST_TAG);
    CHECK_EQ(After.NonPagedAllocs - Before.NonPagedAllocs, 1);
    CHECK_EQ(After.PagedAllocs - Before.PagedAllocs, 1);
    CHECK_EQ(After.NonPagedBytes - Before.NonPagedBytes, 128);
    CHECK_EQ(After.PagedBytes - Before.PagedBytes, 2 * PAGE_SIZE);
    ExFreePool(NonPaged);
    ExFreePool(Paged);
    After = TestTagRow(TEST_TAG);
    CHECK_EQ(After.NonPagedFrees - Before.NonPagedFrees, 1);
    CHECK_EQ(After.PagedFrees - Before.PagedFrees, 1);
    CHECK_EQ(After.NonPagedBytes, Before.NonPagedBytes);
    CHECK_EQ(After.PagedBytes, Before.PagedBytes);
}

/* Fill as many rows in a row as a search looks at: the next tag that belongs there shares row 0. */
KTEST(PoolTagTableOverflow)
{
    ULONG First = 700, Found = 0, Tag, Row;
    ULONG64 Before, Shared;
    MI_POOL_TAG_ROW Zero;
    PVOID Block;

    for (Tag = 0x41000000; Found < 256; Tag += 1) {
        Row = (Tag * 0x9E3779B1u) >> 21;
        if (Row < First || Row >= First + 256) {
            continue;
        }
        for (Found = 0; Found < 256 && MiPoolTags[First + Found] != 0; Found += 1) {
        }
        if (Found < 256) {
            MipTagRow(Tag);
        }
    }
    while ((Tag * 0x9E3779B1u) >> 21 != First) {
        Tag += 1;
    }
    CHECK_EQ(MipTagRow(Tag), 0);
    MiQueryPoolTag(0, &Zero);
    Before = Zero.NonPagedAllocs;
    Shared = Zero.NonPagedBytes;
    Block = ExAllocatePool2(POOL_FLAG_NON_PAGED, 8, Tag);
    REQUIRE(Block != NULL);
    MiQueryPoolTag(0, &Zero);
    CHECK_EQ(Zero.NonPagedAllocs, Before + 1);
    CHECK_EQ(Zero.NonPagedBytes, Shared + 32);
    ExFreePoolWithTag(Block, Tag);
    MiQueryPoolTag(0, &Zero);
    CHECK_EQ(Zero.NonPagedBytes, Shared);
}

KTEST(PoolPriority)
{
    SIZE_T Charge, Limit, Peak, Taken;
    PVOID Block;

    MiQueryCommit(&Charge, &Limit, &Peak);
    Taken = Limit - Charge - Limit / 64;
    REQUIRE(MiChargeCommit(Taken));
    Block = ExAllocatePoolWithTagPriority(PagedPool, 100, TEST_TAG, LowPoolPriority);
    CHECK(Block == NULL);
    Block = ExAllocatePoolWithTagPriority(PagedPool, 100, TEST_TAG, NormalPoolPriority);
    CHECK(Block != NULL);
    ExFreePool(Block);
    MiReturnCommit(Taken);
}

KTEST(PoolHugePagedTouchesNothing)
{
    MI_PAGE_COUNTS Before, After;
    PUCHAR Block;

    MiQueryPageCounts(&Before);
    Block = ExAllocatePool2(POOL_FLAG_PAGED, 12 << 20, TEST_TAG);
    REQUIRE(Block != NULL);
    MiQueryPageCounts(&After);
    CHECK(After.Active - Before.Active < 64);
    CHECK_EQ(Block[0], 0);
    Block[(12 << 20) - 1] = 1;
    ExFreePool(Block);
}

KTEST(PoolExhaustion)
{
    PVOID Head = NULL, Block;
    ULONG Count = 0;

    /* Chain blocks through themselves until nothing is left; the pools must then still serve what fits. */
    while ((Block = ExAllocatePool2(POOL_FLAG_NON_PAGED | POOL_FLAG_UNINITIALIZED, 600 << 10, TEST_TAG)) !=
           NULL) {
        *(PVOID *)Block = Head;
        Head = Block;
        Count += 1;
    }
    CHECK(Count > 4);
    CHECK(ExAllocatePool2(POOL_FLAG_NON_PAGED, 600 << 10, TEST_TAG) == NULL);
    while ((Block = ExAllocatePool2(POOL_FLAG_NON_PAGED | POOL_FLAG_UNINITIALIZED, 3000, TEST_TAG)) != NULL) {
        *(PVOID *)Block = Head;
        Head = Block;
    }
    CHECK(ExAllocatePool2(POOL_FLAG_NON_PAGED, 3000, TEST_TAG) == NULL);
    while (Head != NULL) {
        Block = Head;
        Head = *(PVOID *)Head;
        ExFreePoolWithTag(Block, TEST_TAG);
    }
    Block = ExAllocatePool2(POOL_FLAG_NON_PAGED, 600 << 10, TEST_TAG);
    CHECK(Block != NULL);
    ExFreePool(Block);
}

/* Fail the Nth request for anything, until nothing fails: every failure is a NULL that leaves nothing behind. */
static VOID
TestFailNth(POOL_FLAGS Flags, SIZE_T Size)
{
    ULONG64 Nth = 0, Failed;
    PVOID Block;

    do {
        Nth += 1;
        MiTrimPools();
        MiInject.Requests = 0;
        MiInject.Failures = 0;
        MiInject.Nth = Nth;
        MiSetInjectMode(MiInjectNth);
        Block = ExAllocatePool2(Flags, Size, TEST_TAG);
        MiSetInjectMode(MiInjectOff);
        Failed = MiInject.Failures;
        CHECK(Block != NULL || Failed != 0);
        if (Block != NULL) {
            ExFreePoolWithTag(Block, TEST_TAG);
        }
        MiValidatePools();
    } while (Failed != 0);
    CHECK(Nth > 1);
}

KTEST(PoolFailNth)
{
    static const SIZE_T Sizes[] = {40, 3000, 4096, 20000, 700 << 10, 3 << 20};
    ULONG Index;

    for (Index = 0; Index < ARRAYSIZE(Sizes); Index += 1) {
        TestFailNth(POOL_FLAG_NON_PAGED, Sizes[Index]);
        TestFailNth(POOL_FLAG_PAGED, Sizes[Index]);
    }
}

/* The first use of special pool makes a chunk of address, and its tables, that stay. */
KTEST_KEEPS(SpecialFailNth)
{
    TestFailNth(POOL_FLAG_NON_PAGED | POOL_FLAG_SPECIAL_POOL, 40);
}
