/*
 * The short way of the pools, which is open only without the verifier: blocks as they are on the long
 * way, mistakes that end in the same bug checks, counts by tag that are exact whatever bins count.
 */
#include "pooltest.h"

#define TEST_TAG_A 0x41747354 /* "TstA" */
#define TEST_TAG_B 0x42747354

typedef struct _TEST_POOL_FREE {
    PVOID Address;
    ULONG Tag;
    KIRQL Irql;
} TEST_POOL_FREE;

static VOID
TestFreeBlock(PVOID Context)
{
    TEST_POOL_FREE *Free = Context;

    if (Free->Irql != PASSIVE_LEVEL) {
        KiRaiseIrql(Free->Irql);
    }
    ExFreePoolWithTag(Free->Address, Free->Tag);
}

/* So often that the bins have the tag and a slot, and the segment is known: the next ones go the short way. */
static VOID
TestWarm(SIZE_T Size, ULONG Tag)
{
    PVOID Blocks[20];
    ULONG Index;

    for (Index = 0; Index < ARRAYSIZE(Blocks); Index += 1) {
        Blocks[Index] = ExAllocatePool2(POOL_FLAG_NON_PAGED, Size, Tag);
        REQUIRE(Blocks[Index] != NULL);
    }
    for (Index = 0; Index < ARRAYSIZE(Blocks); Index += 1) {
        ExFreePoolWithTag(Blocks[Index], Tag);
    }
}

static PVOID
TestShort(SIZE_T Size)
{
    PVOID Block;

    TestWarm(Size, TEST_TAG_A);
    Block = ExAllocatePool2(POOL_FLAG_NON_PAGED | POOL_FLAG_UNINITIALIZED, Size, TEST_TAG_A);
    CHECK(Block != NULL);
    return Block;
}

static VOID
TestEverySize(POOL_FLAGS Flags, UCHAR Type)
{
    PUCHAR Blocks[3];
    MI_POOL_BLOCK Found;
    ULONG Index;
    SIZE_T Size;

    for (Size = 1; Size <= PAGE_SIZE + 100; Size += 1 + Size / 64) {
        for (Index = 0; Index < ARRAYSIZE(Blocks); Index += 1) {
            Blocks[Index] = ExAllocatePool2(Flags, Size, TEST_TAG_A);
            REQUIRE(Blocks[Index] != NULL);
            CHECK(TestIsFilled(Blocks[Index], Size, 0));
            __builtin_memset(Blocks[Index], (int)Index + 1, Size);
        }
        for (Index = 0; Index < ARRAYSIZE(Blocks); Index += 1) {
            CHECK(TestIsFilled(Blocks[Index], Size, (UCHAR)(Index + 1)));
            REQUIRE(MiFindPoolBlock(Blocks[Index] + Size - 1, &Found));
            CHECK_EQ(Found.Address, Blocks[Index]);
            CHECK_EQ(Found.Size, Size);
            CHECK_EQ(Found.Tag, TEST_TAG_A);
            CHECK_EQ(Found.StackId, 0);
            if (Size <= PAGE_SIZE - 32) {
                CHECK_EQ(TestHeaderTag(Blocks[Index]), TEST_TAG_A);
                CHECK_EQ(TestHeaderType(Blocks[Index]), Type);
            } else {
                CHECK_EQ((ULONG_PTR)Blocks[Index] % PAGE_SIZE, 0);
            }
            ExFreePoolWithTag(Blocks[Index], Index == 0 ? 0 : TEST_TAG_A);
            CHECK(!MiFindPoolBlock(Blocks[Index], &Found));
        }
    }
}

KTEST(PoolShortShapes)
{
    MiSetPoolVerify(FALSE);
    TestEverySize(POOL_FLAG_NON_PAGED, 1);
    TestEverySize(POOL_FLAG_NON_PAGED, 1);
    TestEverySize(POOL_FLAG_NON_PAGED_EXECUTE, 1);
    TestEverySize(POOL_FLAG_PAGED, 2);
    TestEverySize(POOL_FLAG_PAGED, 2);
    MiValidatePools();
    MiSetPoolVerify(TRUE);
}

KTEST(PoolShortLegacy)
{
    static const POOL_TYPE Types[] = {NonPagedPool, NonPagedPoolNx, PagedPool};
    ULONG Type, Round;
    PUCHAR Block;

    MiSetPoolVerify(FALSE);
    for (Type = 0; Type < ARRAYSIZE(Types); Type += 1) {
        for (Round = 0; Round < 20; Round += 1) {
            Block = ExAllocatePoolWithTag(Types[Type], 200, TEST_TAG_A);
            REQUIRE(Block != NULL);
            CHECK_EQ(TestHeaderTag(Block), TEST_TAG_A);
            CHECK_EQ(TestHeaderType(Block), (Types[Type] & PagedPool) + 1);
            ExFreePool(Block);
        }
        Block = ExAllocatePoolWithTag(Types[Type], 0, TEST_TAG_A);
        REQUIRE(Block != NULL);
        ExFreePool(Block);
    }
    MiSetPoolVerify(TRUE);
}

static VOID
TestLegacyTag(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    ExAllocatePoolWithTag(NonPagedPoolNx, 100, 0x2D2D2D2D);
}

/* A tag that ExAllocatePool2 takes and the older routines do not, though the bin has it. */
KTEST(PoolShortLegacyTagRefused)
{
    MiSetPoolVerify(FALSE);
    TestWarm(100, 0x2D2D2D2D);
    CHECK_BUGCHECK_CALL(BAD_POOL_CALLER, 0x9D, TestLegacyTag, NULL);
    MiSetPoolVerify(TRUE);
}

KTEST(PoolShortMistakes)
{
    TEST_POOL_FREE Free = {NULL, TEST_TAG_A, PASSIVE_LEVEL};
    KTEST_BUGCHECK Caught;
    PUCHAR Block;
    ULONG Byte;

    MiSetPoolVerify(FALSE);
    Block = TestShort(112);
    for (Byte = 1; Byte <= 16; Byte += 1) {
        Block[-(LONG)Byte] ^= 0x40;
        Free.Address = Block;
        CHECK_BUGCHECK_CALL(BAD_POOL_HEADER, 0x20, TestFreeBlock, &Free);
        Block[-(LONG)Byte] ^= 0x40;
    }
    Free.Address = Block + 16;
    CHECK_BUGCHECK_CALL(BAD_POOL_CALLER, 0x99, TestFreeBlock, &Free);
    Free.Address = Block + 3;
    CHECK_BUGCHECK_CALL(BAD_POOL_CALLER, 0x99, TestFreeBlock, &Free);
    Free = (TEST_POOL_FREE){Block, TEST_TAG_B, PASSIVE_LEVEL};
    CHECK_BUGCHECK_CALL(BAD_POOL_CALLER, 0xA, TestFreeBlock, &Free);
    Free = (TEST_POOL_FREE){Block, TEST_TAG_A, DISPATCH_LEVEL + 1};
    CHECK_BUGCHECK_CALL(BAD_POOL_CALLER, 9, TestFreeBlock, &Free);
    ExFreePoolWithTag(Block, TEST_TAG_A);
    Free = (TEST_POOL_FREE){Block, TEST_TAG_A, PASSIVE_LEVEL};
    REQUIRE(KTestExpectBugCheck(TestFreeBlock, &Free, &Caught));
    CHECK_EQ(Caught.Code, BAD_POOL_CALLER);
    CHECK_EQ(Caught.Parameters[0], 7);
    CHECK_EQ(Caught.Parameters[3], (ULONG_PTR)Block);
    MiValidatePools();
    MiSetPoolVerify(TRUE);
}

/* Tags that take turns in one class: whatever the bin counts, the sums are those of the requests. */
KTEST(PoolShortTagCounts)
{
    MI_POOL_TAG_ROW Before[2] = {TestTagRow(TEST_TAG_A), TestTagRow(TEST_TAG_B)}, After;
    static PVOID Blocks[2][400];
    ULONG Count[2] = {0, 0};
    ULONG Step, Tag;

    MiSetPoolVerify(FALSE);
    for (Step = 0; Step < 600; Step += 1) {
        Tag = Step < 100 ? 0 : Step < 200 ? 1 : (Step / 7) % 2;
        REQUIRE(Count[Tag] < ARRAYSIZE(Blocks[0]));
        Blocks[Tag][Count[Tag]] =
            ExAllocatePool2(POOL_FLAG_NON_PAGED, 100, Tag == 0 ? TEST_TAG_A : TEST_TAG_B);
        Count[Tag] += 1;
        if (Step % 50 == 0) {
            After = TestTagRow(Tag == 0 ? TEST_TAG_A : TEST_TAG_B);
            CHECK_EQ(After.NonPagedAllocs - Before[Tag].NonPagedAllocs, Count[Tag]);
            CHECK_EQ(After.NonPagedBytes - Before[Tag].NonPagedBytes, Count[Tag] * 128ull);
        }
    }
    for (Step = 0; Step < ARRAYSIZE(Blocks[0]); Step += 1) {
        for (Tag = 0; Tag < 2; Tag += 1) {
            if (Step < Count[Tag]) {
                ExFreePoolWithTag(Blocks[Tag][Step], Tag == 0 ? TEST_TAG_A : TEST_TAG_B);
            }
        }
    }
    for (Tag = 0; Tag < 2; Tag += 1) {
        After = TestTagRow(Tag == 0 ? TEST_TAG_A : TEST_TAG_B);
        CHECK_EQ(After.NonPagedAllocs - Before[Tag].NonPagedAllocs, Count[Tag]);
        CHECK_EQ(After.NonPagedFrees - Before[Tag].NonPagedFrees, Count[Tag]);
        CHECK_EQ(After.NonPagedBytes, Before[Tag].NonPagedBytes);
    }
    MiSetPoolVerify(TRUE);
}

/* More blocks than all magazines hold, freed in another order: slots go through classes and spans and back. */
KTEST(PoolShortManyBlocks)
{
    static PVOID Blocks[6000];
    ULONG Round, Index;

    MiSetPoolVerify(FALSE);
    for (Round = 0; Round < 3; Round += 1) {
        for (Index = 0; Index < ARRAYSIZE(Blocks); Index += 1) {
            Blocks[Index] = ExAllocatePool2(POOL_FLAG_NON_PAGED | POOL_FLAG_UNINITIALIZED, 300, TEST_TAG_A);
            REQUIRE(Blocks[Index] != NULL);
            *(ULONG *)Blocks[Index] = Index;
        }
        for (Index = 0; Index < ARRAYSIZE(Blocks); Index += 1) {
            ULONG Other = (Index * 577u) % ARRAYSIZE(Blocks);

            CHECK_EQ(*(ULONG *)Blocks[Other], Other);
            ExFreePoolWithTag(Blocks[Other], TEST_TAG_A);
        }
        MiValidatePools();
    }
    MiSetPoolVerify(TRUE);
}
