/*
 * Freeing what must not be freed, and what the verifier notices: each ends in its documented bug
 * check with its documented parameters, and the pools stay whole.
 */
#include "pooltest.h"

#define TEST_OTHER_TAG 0x7778797A

typedef struct _TEST_FREE {
    PVOID Address;
    ULONG Tag;
    KIRQL Irql;
} TEST_FREE;

static VOID
TestFree(PVOID Context)
{
    TEST_FREE *Free = Context;

    if (Free->Irql != PASSIVE_LEVEL) {
        KiRaiseIrql(Free->Irql);
    }
    ExFreePoolWithTag(Free->Address, Free->Tag);
}

static VOID
TestStop(PVOID Address, ULONG Tag, ULONG Code, ULONG_PTR P1, ULONG_PTR P2, ULONG_PTR P3, ULONG_PTR P4)
{
    TEST_FREE Free = {Address, Tag, PASSIVE_LEVEL};
    KTEST_BUGCHECK Caught = {0};

    REQUIRE(KTestExpectBugCheck(TestFree, &Free, &Caught));
    CHECK_EQ(Caught.Code, Code);
    CHECK_EQ(Caught.Parameters[0], P1);
    CHECK_EQ(Caught.Parameters[1], P2);
    CHECK_EQ(Caught.Parameters[2], P3);
    CHECK_EQ(Caught.Parameters[3], P4);
}

/* As TestStop, for cases where only what went wrong and where matters. */
static VOID
TestStopKind(PVOID Address, ULONG Code, ULONG_PTR P1)
{
    TEST_FREE Free = {Address, TEST_TAG, PASSIVE_LEVEL};

    CHECK_BUGCHECK_CALL(Code, P1, TestFree, &Free);
}

KTEST(PoolFreeNull)
{
    TestStop(NULL, 0, BAD_POOL_CALLER, 0x46, 0, 0, 0);
}

KTEST(PoolFreeUserAddress)
{
    TestStop((PVOID)0x20000, 0, BAD_POOL_CALLER, 0x40, 0x20000, KiLoaderBlock->SystemStart, 0);
}

KTEST(PoolFreeForeignAddress)
{
    ULONG_PTR Start, End;
    PUCHAR Block;

    MiRegionBounds(MiRegionSystemPtes, &Start, &End);
    TestStop((PVOID)(Start + 0x10), 0, BAD_POOL_CALLER, 0x42, Start + 0x10, 0, 0);
    MiRegionBounds(MiRegionPagedPool, &Start, &End);
    TestStop((PVOID)(End - 0x10), 0, BAD_POOL_CALLER, 0x50, End - 0x10, (End - 0x10 - Start) / PAGE_SIZE,
             End - Start);
    MiRegionBounds(MiRegionNonPagedPool, &Start, &End);
    TestStop((PVOID)(End - 0x10), 0, BAD_POOL_CALLER, 0x44, End - 0x10, 0, 0);
    /* The middle of a long run that was freed: too long to be held back, and what the victim needs comes from its ends. */
    Block = ExAllocatePool2(POOL_FLAG_NON_PAGED, 256 * PAGE_SIZE, TEST_TAG);
    REQUIRE(Block != NULL);
    ExFreePool(Block);
    TestStopKind(Block + 128 * PAGE_SIZE + 16, BAD_POOL_CALLER, 0x41);
}

KTEST(PoolFreeWrongTag)
{
    PVOID Small = ExAllocatePool2(POOL_FLAG_NON_PAGED, 100, TEST_TAG);
    PVOID Large = ExAllocatePool2(POOL_FLAG_PAGED, 10000, TEST_TAG);

    TestStop(Small, TEST_OTHER_TAG, BAD_POOL_CALLER, 0xA, (ULONG_PTR)Small, TEST_TAG, TEST_OTHER_TAG);
    TestStop(Large, TEST_OTHER_TAG, BAD_POOL_CALLER, 0xA, (ULONG_PTR)Large, TEST_TAG, TEST_OTHER_TAG);
    ExFreePool(Small);
    ExFreePool(Large);
}

KTEST(PoolFreeTwice)
{
    static const SIZE_T Sizes[] = {1, 100, 4000, 4096, 8192, 100000};
    TEST_FREE Free = {NULL, TEST_TAG, PASSIVE_LEVEL};
    KTEST_BUGCHECK Caught;
    ULONG Index;

    for (Index = 0; Index < ARRAYSIZE(Sizes); Index += 1) {
        Free.Address = ExAllocatePool2(POOL_FLAG_NON_PAGED, Sizes[Index], TEST_TAG);
        ExFreePool(Free.Address);
        REQUIRE(KTestExpectBugCheck(TestFree, &Free, &Caught));
        CHECK_EQ(Caught.Code, BAD_POOL_CALLER);
        CHECK_EQ(Caught.Parameters[0], 7);
        CHECK_EQ(Caught.Parameters[3], (ULONG_PTR)Free.Address);
    }
    Free.Address = ExAllocatePool2(POOL_FLAG_NON_PAGED | POOL_FLAG_CACHE_ALIGNED, 200, TEST_TAG);
    ExFreePool(Free.Address);
    CHECK_BUGCHECK_CALL(BAD_POOL_CALLER, 7, TestFree, &Free);
}

KTEST(PoolFreeMiddle)
{
    PUCHAR Small = ExAllocatePool2(POOL_FLAG_NON_PAGED, 500, TEST_TAG);
    PUCHAR Large = ExAllocatePool2(POOL_FLAG_NON_PAGED, 20000, TEST_TAG);
    PUCHAR Huge = ExAllocatePool2(POOL_FLAG_NON_PAGED, 3 << 20, TEST_TAG);
    PUCHAR Paged = ExAllocatePool2(POOL_FLAG_PAGED, 20000, TEST_TAG);

    TestStopKind(Small + 256, BAD_POOL_CALLER, 0x99);
    TestStopKind(Small + 3, BAD_POOL_CALLER, 0x99);
    TestStopKind(Large + 16, BAD_POOL_CALLER, 0x99);
    TestStopKind(Large + PAGE_SIZE, BAD_POOL_CALLER, 0x99);
    TestStopKind(Huge + (2 << 20), BAD_POOL_CALLER, 0x99);
    TestStop(Paged + PAGE_SIZE, 0, BAD_POOL_CALLER, 0x41286, 0, 0, (ULONG_PTR)Paged + PAGE_SIZE);
    ExFreePool(Small);
    ExFreePool(Large);
    ExFreePool(Huge);
    ExFreePool(Paged);
}

KTEST(PoolFreeWrongIrql)
{
    TEST_FREE Free = {ExAllocatePool2(POOL_FLAG_PAGED, 100, TEST_TAG), TEST_TAG, DISPATCH_LEVEL};
    KTEST_BUGCHECK Caught;

    REQUIRE(KTestExpectBugCheck(TestFree, &Free, &Caught));
    CHECK_EQ(Caught.Code, BAD_POOL_CALLER);
    CHECK_EQ(Caught.Parameters[0], 9);
    CHECK_EQ(Caught.Parameters[1], DISPATCH_LEVEL);
    CHECK_EQ(Caught.Parameters[2], PagedPool);
    CHECK_EQ(Caught.Parameters[3], (ULONG_PTR)Free.Address);
    ExFreePool(Free.Address);
}

static VOID
TestAllocatePagedAtDispatch(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    KiRaiseIrql(DISPATCH_LEVEL);
    ExAllocatePool2(POOL_FLAG_PAGED, 123, TEST_TAG);
}

KTEST(PoolAllocateWrongIrql)
{
    KTEST_BUGCHECK Caught;

    REQUIRE(KTestExpectBugCheck(TestAllocatePagedAtDispatch, NULL, &Caught));
    CHECK_EQ(Caught.Code, BAD_POOL_CALLER);
    CHECK_EQ(Caught.Parameters[0], 8);
    CHECK_EQ(Caught.Parameters[1], DISPATCH_LEVEL);
    CHECK_EQ(Caught.Parameters[2], PagedPool);
    CHECK_EQ(Caught.Parameters[3], 123);
}

typedef struct _TEST_REQUEST {
    ULONG Type;
    ULONG Tag;
} TEST_REQUEST;

static VOID
TestAllocateLegacy(PVOID Context)
{
    TEST_REQUEST *Request = Context;

    ExAllocatePoolWithTag((POOL_TYPE)Request->Type, 32, Request->Tag);
}

KTEST(PoolLegacyStops)
{
    CHECK_BUGCHECK_CALL(BAD_POOL_CALLER, 0x9A, TestAllocateLegacy, (&(TEST_REQUEST){2, TEST_TAG}));
    CHECK_BUGCHECK_CALL(BAD_POOL_CALLER, 0x9A, TestAllocateLegacy, (&(TEST_REQUEST){6, TEST_TAG}));
    CHECK_BUGCHECK_CALL(BAD_POOL_CALLER, 0x9B, TestAllocateLegacy, (&(TEST_REQUEST){0, 0}));
    CHECK_BUGCHECK_CALL(BAD_POOL_CALLER, 0x9C, TestAllocateLegacy, (&(TEST_REQUEST){0, 0x474942}));
    CHECK_BUGCHECK_CALL(BAD_POOL_CALLER, 0x9D, TestAllocateLegacy, (&(TEST_REQUEST){0, 0x2D2D2D2D}));
}

static VOID
TestAllocateRaising(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    ExAllocatePool2(POOL_FLAG_NON_PAGED | POOL_FLAG_RAISE_ON_FAILURE, 1ull << 46, TEST_TAG);
}

static VOID
TestAllocateLegacyRaising(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    ExAllocatePoolWithTag((POOL_TYPE)(NonPagedPool | POOL_RAISE_IF_ALLOCATION_FAILURE), 1ull << 46, TEST_TAG);
}

KTEST(PoolRaises)
{
    CHECK_BUGCHECK_CALL(0x1E, TEST_RAISED(STATUS_INSUFFICIENT_RESOURCES), TestAllocateRaising, NULL);
    CHECK_BUGCHECK_CALL(0x1E, TEST_RAISED(STATUS_INSUFFICIENT_RESOURCES), TestAllocateLegacyRaising, NULL);
}

KTEST(PoolOverrunCaught)
{
    PUCHAR Block = ExAllocatePool2(POOL_FLAG_NON_PAGED, 100, TEST_TAG);
    PUCHAR Large = ExAllocatePool2(POOL_FLAG_NON_PAGED, 5000, TEST_TAG);

    Block[100] ^= 1;
    TestStop(Block, 0, BAD_POOL_HEADER, 0x21, (ULONG_PTR)Block, 100, Block[100]);
    Block[100] ^= 1;
    Large[8191] ^= 1;
    TestStop(Large, 0, BAD_POOL_HEADER, 0x21, (ULONG_PTR)Large, 5000, Large[8191]);
    Large[8191] ^= 1;
    ExFreePool(Block);
    ExFreePool(Large);
}

KTEST(PoolHeaderDamageCaught)
{
    PUCHAR Block = ExAllocatePool2(POOL_FLAG_NON_PAGED, 112, TEST_TAG);
    ULONG Byte;

    for (Byte = 1; Byte <= 16; Byte += 1) {
        Block[-(LONG)Byte] ^= 0x40;
        TestStopKind(Block, BAD_POOL_HEADER, 0x20);
        Block[-(LONG)Byte] ^= 0x40;
    }
    ExFreePool(Block);
}

static VOID
TestReuse(PVOID Context)
{
    ULONG Index;

    for (Index = 0; Index < 600; Index += 1) {
        ((PVOID *)Context)[Index] = ExAllocatePool2(POOL_FLAG_NON_PAGED, 100, TEST_TAG);
    }
}

/* The slot is lost with the request that found it damaged. */
KTEST_KEEPS(PoolWriteAfterFreeCaught)
{
    static PVOID Blocks[600];
    PVOID Keep = ExAllocatePool2(POOL_FLAG_NON_PAGED, 100, TEST_TAG); /* keeps the span */
    PUCHAR Block = ExAllocatePool2(POOL_FLAG_NON_PAGED, 100, TEST_TAG);
    KTEST_BUGCHECK Caught;
    ULONG Index;

    __builtin_memset(Blocks, 0, sizeof(Blocks));
    ExFreePool(Block);
    Block[17] = 0x55;
    MiTrimPools(); /* out of quarantine: the slot will be used again */
    REQUIRE(KTestExpectBugCheck(TestReuse, Blocks, &Caught));
    CHECK_EQ(Caught.Code, BAD_POOL_HEADER);
    CHECK_EQ(Caught.Parameters[0], 0xD);
    CHECK_EQ(Caught.Parameters[1], (ULONG_PTR)Block);
    CHECK_EQ(Caught.Parameters[2], (ULONG_PTR)Block + 17);
    CHECK_EQ(Caught.Parameters[3], 0x55);
    for (Index = 0; Index < ARRAYSIZE(Blocks) && Blocks[Index] != NULL; Index += 1) {
        ExFreePool(Blocks[Index]);
    }
    ExFreePool(Keep);
}

KTEST(PoolQuarantineHoldsBack)
{
    PVOID First, Block;
    ULONG Index;

    First = ExAllocatePool2(POOL_FLAG_NON_PAGED, 100, TEST_TAG);
    ExFreePool(First);
    for (Index = 0; Index < 32; Index += 1) {
        Block = ExAllocatePool2(POOL_FLAG_NON_PAGED, 100, TEST_TAG);
        CHECK(Block != First);
        ExFreePool(Block);
    }
    CHECK(TestIsFilled(First, 100, MI_FREE_BYTE));
}
