/*
 * Looking at the pools: every live block is found, with what is known about it; stacks; quota.
 */
#include "pooltest.h"

#define TEST_WALK_TAG 0x6B6C6157 /* "Walk" */

typedef struct _TEST_WALK {
    ULONG Count;
    SIZE_T Bytes;
    ULONG Images;
    ULONG StackId;
    PVOID Last;
} TEST_WALK;

static BOOLEAN
TestVisit(const MI_POOL_BLOCK *Block, PVOID Context)
{
    TEST_WALK *Walk = Context;

    if (Block->Tag == TEST_WALK_TAG) {
        Walk->Count += 1;
        Walk->Bytes += Block->Size;
        Walk->Images += Block->Image;
        Walk->StackId = Block->StackId;
        Walk->Last = Block->Address;
    }
    return TRUE;
}

static TEST_WALK
TestWalk(BOOLEAN NonPagedOnly)
{
    TEST_WALK Walk = {0};

    MiEnumeratePool(TestVisit, &Walk, NonPagedOnly);
    return Walk;
}

KTEST(PoolEnumerateFindsAll)
{
    static const SIZE_T Sizes[] = {1, 100, 2000, 4064, 4096, 9000, 3 << 20};
    static const POOL_FLAGS Flags[] = {POOL_FLAG_NON_PAGED, POOL_FLAG_NON_PAGED_EXECUTE, POOL_FLAG_PAGED,
                                       POOL_FLAG_NON_PAGED | POOL_FLAG_CACHE_ALIGNED};
    PVOID Blocks[ARRAYSIZE(Flags)][ARRAYSIZE(Sizes)];
    SIZE_T Bytes = 0;
    ULONG Kind, Size;
    TEST_WALK Walk;

    for (Kind = 0; Kind < ARRAYSIZE(Flags); Kind += 1) {
        for (Size = 0; Size < ARRAYSIZE(Sizes); Size += 1) {
            Blocks[Kind][Size] = ExAllocatePool2(Flags[Kind], Sizes[Size], TEST_WALK_TAG);
            REQUIRE(Blocks[Kind][Size] != NULL);
            Bytes += Sizes[Size];
        }
    }
    MiValidatePools();
    Walk = TestWalk(FALSE);
    CHECK_EQ(Walk.Count, ARRAYSIZE(Flags) * ARRAYSIZE(Sizes));
    CHECK_EQ(Walk.Bytes, Bytes);
    CHECK_EQ(Walk.Images, 0);
    CHECK_EQ(TestWalk(TRUE).Count, (ARRAYSIZE(Flags) - 1) * ARRAYSIZE(Sizes));
    for (Kind = 0; Kind < ARRAYSIZE(Flags); Kind += 1) {
        for (Size = 0; Size < ARRAYSIZE(Sizes); Size += 1) {
            ExFreePoolWithTag(Blocks[Kind][Size], TEST_WALK_TAG);
        }
    }
    CHECK_EQ(TestWalk(FALSE).Count, 0);
}

KTEST(PoolImageBlocksAreKnown)
{
    PVOID Frames[MI_STACK_FRAMES], Expected[MI_STACK_FRAMES];
    ULONG Count, ExpectedCount;
    TEST_WALK Walk;
    PVOID Block;

    TestEnterImage(0x1234560);
    Block = ExAllocatePool2(POOL_FLAG_NON_PAGED, 333, TEST_WALK_TAG);
    ExpectedCount = KiCaptureImageStack(Expected, MI_STACK_FRAMES);
    TestLeaveImage();
    Walk = TestWalk(FALSE);
    CHECK_EQ(Walk.Count, 1);
    CHECK_EQ(Walk.Images, 1);
    CHECK_EQ(Walk.Last, Block);
    Count = MiQueryPoolStack(Walk.StackId, Frames, MI_STACK_FRAMES);
    CHECK_EQ(Count, ExpectedCount);
    CHECK(__builtin_memcmp(Frames, Expected, Count * sizeof(PVOID)) == 0);
    ExFreePool(Block);
    CHECK_EQ(TestWalk(FALSE).Count, 0);
}

KTEST(PoolStacksAreShared)
{
    PVOID Frames[20], Found[20];
    ULONG Ids[40], Index, Frame;

    for (Index = 0; Index < ARRAYSIZE(Ids); Index += 1) {
        for (Frame = 0; Frame < ARRAYSIZE(Frames); Frame += 1) {
            Frames[Frame] = (PVOID)(ULONG_PTR)(0x1000 + Index * 0x100 + Frame);
        }
        Ids[Index] = MiNotePoolStack(Frames, 1 + Index % 20);
        REQUIRE(Ids[Index] != 0);
        CHECK_EQ(MiNotePoolStack(Frames, 1 + Index % 20), Ids[Index]);
        CHECK(Index == 0 || Ids[Index] != Ids[Index - 1]);
        CHECK_EQ(MiQueryPoolStack(Ids[Index], Found, 20), MIN(1 + Index % 20, MI_STACK_FRAMES));
        CHECK(Found[0] == Frames[0]);
    }
    CHECK_EQ(MiNotePoolStack(Frames, 0), 0);
    CHECK_EQ(MiQueryPoolStack(0, Found, 20), 0);
    CHECK_EQ(MiQueryPoolStack((1u << MI_STACK_ID_BITS) - 1, Found, 20), 0);
}

/* --- Quota: the process is any address; what matters is that it is charged, kept and paid back  */

static SIZE_T TestCharged[2];
static SIZE_T TestLimit;
static ULONG TestReferences;
static ULONG64 TestProcess[2] __attribute__((aligned(16)));

static PVOID
TestCharge(BOOLEAN Paged, SIZE_T Bytes, PNTSTATUS Status)
{
    if (TestCharged[Paged] + Bytes > TestLimit) {
        *Status = STATUS_QUOTA_EXCEEDED;
        return NULL;
    }
    TestCharged[Paged] += Bytes;
    TestReferences += 1;
    return TestProcess;
}

static VOID
TestReturn(PVOID Process, BOOLEAN Paged, SIZE_T Bytes)
{
    CHECK_EQ(Process, TestProcess);
    TestCharged[Paged] -= Bytes;
    TestReferences -= 1;
}

static BOOLEAN
TestIsProcess(PVOID Process)
{
    return Process == TestProcess;
}

static const MI_POOL_QUOTA TestQuota = {TestCharge, TestReturn, TestIsProcess};

static VOID
TestRaiseQuota(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    ExAllocatePoolWithQuotaTag(NonPagedPool, 100000 / 100, TEST_TAG);
}

KTEST(PoolQuota)
{
    const MI_POOL_QUOTA *Saved = MiPoolQuota;
    PVOID Small, Paged, Large;

    MiPoolQuota = &TestQuota;
    TestLimit = 1000;
    Small = ExAllocatePoolWithQuotaTag(NonPagedPool, 100, TEST_TAG);
    Paged = ExAllocatePool2(POOL_FLAG_PAGED | POOL_FLAG_USE_QUOTA, 200, TEST_TAG);
    Large = ExAllocatePoolWithQuotaTag(NonPagedPool, PAGE_SIZE, TEST_TAG);
    REQUIRE(Small != NULL && Paged != NULL && Large != NULL);
    CHECK_EQ(TestCharged[0], 128);
    CHECK_EQ(TestCharged[1], 224);
    CHECK_EQ(TestReferences, 2);
    CHECK_EQ(TestHeaderType(Small), 1 | 8);
    CHECK_EQ(TestHeaderType(Paged), 2 | 8);
    CHECK(ExAllocatePool2(POOL_FLAG_NON_PAGED | POOL_FLAG_USE_QUOTA, 2000, TEST_TAG) == NULL);
    CHECK(ExAllocatePoolWithQuotaTag((POOL_TYPE)(NonPagedPool | POOL_QUOTA_FAIL_INSTEAD_OF_RAISE), 2000,
                                     TEST_TAG) == NULL);
    CHECK_BUGCHECK_CALL(0x1E, TEST_RAISED(STATUS_QUOTA_EXCEEDED), TestRaiseQuota, NULL);
    MiValidatePools();
    ExFreePool(Small);
    ExFreePool(Paged);
    ExFreePool(Large);
    CHECK_EQ(TestCharged[0], 0);
    CHECK_EQ(TestCharged[1], 0);
    CHECK_EQ(TestReferences, 0);
    MiPoolQuota = Saved;
}

/* --- A long random history -------------------------------------------------------------------- */

#define TEST_LIVE 300

static VOID
TestReplace(PUCHAR *Block, SIZE_T *Size, UCHAR *Fill, ULONG64 Random)
{
    static const POOL_FLAGS Kinds[] = {POOL_FLAG_NON_PAGED, POOL_FLAG_PAGED, POOL_FLAG_NON_PAGED_EXECUTE,
                                       POOL_FLAG_PAGED};
    ULONG Shift = (ULONG)(Random >> 8) % 17;

    if (*Block != NULL) {
        CHECK(TestIsFilled(*Block, *Size, *Fill));
        ExFreePoolWithTag(*Block, TEST_WALK_TAG);
        *Block = NULL;
        return;
    }
    *Size = 1 + (Random >> 16) % (2ull << Shift);
    *Fill = (UCHAR)(Random >> 40);
    *Block = ExAllocatePool2(Kinds[Random & 3] | POOL_FLAG_UNINITIALIZED, *Size, TEST_WALK_TAG);
    CHECK(*Block != NULL);
    __builtin_memset(*Block, *Fill, *Size);
}

KTEST(PoolRandomHistory)
{
    static PUCHAR Blocks[TEST_LIVE];
    static SIZE_T Sizes[TEST_LIVE];
    static UCHAR Fills[TEST_LIVE];
    ULONG64 Random = 88172645463325252ull;
    ULONG Step, Index, Live = 0;

    for (Step = 0; Step < 20000; Step += 1) {
        Random ^= Random << 13;
        Random ^= Random >> 7;
        Random ^= Random << 17;
        Index = (ULONG)(Random >> 20) % TEST_LIVE;
        TestReplace(&Blocks[Index], &Sizes[Index], &Fills[Index], Random);
        if (Step % 2500 == 0) {
            MiValidatePools();
        }
        if (Step % 7000 == 0) {
            MiTrimPools();
        }
    }
    for (Index = 0; Index < TEST_LIVE; Index += 1) {
        Live += Blocks[Index] != NULL;
    }
    CHECK_EQ(TestWalk(FALSE).Count, Live);
    for (Index = 0; Index < TEST_LIVE; Index += 1) {
        if (Blocks[Index] != NULL) {
            TestReplace(&Blocks[Index], &Sizes[Index], &Fills[Index], 0);
        }
    }
}
