/*
 * Special pool: placement, guards, what is noticed at free, freed pages out of reach, selection.
 */
#include "pooltest.h"

static SIZE_T
TestSpecialPages(VOID)
{
    MI_POOL_USAGE Usage;

    MiQueryPoolUsage(&Usage);
    return Usage.SpecialPages;
}

/* The first of these to run makes a chunk of address, and its tables, that stay; blocks and their pages must not. */
#define KTEST_SPECIAL(Name)                                                                                  \
    static VOID Name##Body(VOID);                                                                            \
    KTEST_KEEPS(Name)                                                                                        \
    {                                                                                                        \
        SIZE_T Before = TestSpecialPages();                                                                  \
                                                                                                             \
        Name##Body();                                                                                        \
        CHECK_EQ(TestSpecialPages(), Before);                                                                \
    }                                                                                                        \
    static VOID Name##Body(VOID)

static VOID
TestFreeBlock(PVOID Block)
{
    ExFreePool(Block);
}

static PUCHAR
TestSpecial(SIZE_T Size)
{
    return ExAllocatePool2(POOL_FLAG_NON_PAGED | POOL_FLAG_SPECIAL_POOL, Size, TEST_TAG);
}

KTEST_SPECIAL(SpecialOverrunPlacement)
{
    PUCHAR Block = TestSpecial(96), End;

    REQUIRE(Block != NULL);
    End = (PUCHAR)ALIGN_UP_BY(Block + 96, PAGE_SIZE);
    CHECK_EQ(End, Block + 96);
    CHECK_EQ(MiTranslate(End, NULL), MI_NO_FRAME);
    CHECK_EQ(MiTranslate(End - PAGE_SIZE - 1, NULL), MI_NO_FRAME);
    CHECK_EQ(MiClassifySpecialPoolFault(End), MiSpecialPoolBeyond);
    CHECK_EQ(MiClassifySpecialPoolFault(End - PAGE_SIZE - 1), MiSpecialPoolBeyond);
    CHECK_EQ(MiClassifySpecialPoolFault(&End), MiNotSpecialPool);
    CHECK(TestIsFilled(Block, 96, 0));
    ExFreePoolWithTag(Block, TEST_TAG);
    CHECK_EQ(MiTranslate(Block, NULL), MI_NO_FRAME);
    CHECK_EQ(MiClassifySpecialPoolFault(Block), MiSpecialPoolFreed);
}

KTEST_SPECIAL(SpecialUnderrunPlacement)
{
    POOL_EXTENDED_PARAMETER Parameter = {{0}, {0}};
    PUCHAR Block;

    Parameter.Type = PoolExtendedParameterPriority;
    Parameter.Priority = HighPoolPrioritySpecialPoolUnderrun;
    Block = ExAllocatePool3(POOL_FLAG_PAGED | POOL_FLAG_SPECIAL_POOL, 96, TEST_TAG, &Parameter, 1);
    REQUIRE(Block != NULL);
    CHECK_EQ((ULONG_PTR)Block & (PAGE_SIZE - 1), 0);
    CHECK_EQ(MiClassifySpecialPoolFault(Block - 1), MiSpecialPoolBeyond);
    ExFreePool(Block);
}

KTEST_SPECIAL(SpecialSlackChecked)
{
    PUCHAR Block = TestSpecial(93);
    KTEST_BUGCHECK Caught;

    REQUIRE(Block != NULL);
    Block[93] ^= 1;
    REQUIRE(KTestExpectBugCheck(TestFreeBlock, Block, &Caught));
    CHECK_EQ(Caught.Code, SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION);
    CHECK_EQ(Caught.Parameters[0], (ULONG_PTR)Block);
    CHECK_EQ(Caught.Parameters[1], (ULONG_PTR)Block + 93);
    CHECK_EQ(Caught.Parameters[3], 0x24);
    Block[93] ^= 1;
    Block[-1] ^= 1;
    REQUIRE(KTestExpectBugCheck(TestFreeBlock, Block, &Caught));
    CHECK_EQ(Caught.Code, SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION);
    CHECK_EQ(Caught.Parameters[1], (ULONG_PTR)Block - 1);
    CHECK_EQ(Caught.Parameters[3], 0x23);
    Block[-1] ^= 1;
    CHECK_BUGCHECK_CALL(SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION, (ULONG_PTR)Block + 16, TestFreeBlock,
                        Block + 16);
    ExFreePool(Block);
    CHECK_BUGCHECK_CALL(BAD_POOL_CALLER, 7, TestFreeBlock, Block);
}

KTEST_SPECIAL(SpecialFreedStayAway)
{
    PUCHAR First = TestSpecial(50), Block;
    ULONG Index;

    REQUIRE(First != NULL);
    ExFreePool(First);
    for (Index = 0; Index < 100; Index += 1) {
        Block = TestSpecial(50);
        REQUIRE(Block != NULL);
        CHECK(Block != First);
        ExFreePool(Block);
    }
}

KTEST_SPECIAL(SpecialSelection)
{
    MI_SPECIAL_POOL_OPTION Saved = MiSpecialPoolOption;
    MI_POOL_BLOCK Info;
    PVOID Block;

    MiSetSpecialPool(&(MI_SPECIAL_POOL_OPTION){.TagPattern = 'T' | '?' << 8 | '*' << 16});
    Block = ExAllocatePool2(POOL_FLAG_NON_PAGED, 64, TEST_TAG);
    CHECK(MiFindPoolBlock(Block, &Info) && Info.Special);
    ExFreePool(Block);
    Block = ExAllocatePool2(POOL_FLAG_NON_PAGED, 64, TEST_TAG + 1);
    CHECK(MiFindPoolBlock(Block, &Info) && !Info.Special);
    ExFreePool(Block);
    MiSetSpecialPool(&(MI_SPECIAL_POOL_OPTION){.SizeLow = 17, .SizeHigh = 32});
    Block = ExAllocatePool2(POOL_FLAG_NON_PAGED, 32, TEST_TAG);
    CHECK(MiFindPoolBlock(Block, &Info) && Info.Special);
    ExFreePool(Block);
    Block = ExAllocatePool2(POOL_FLAG_NON_PAGED, 33, TEST_TAG);
    CHECK(MiFindPoolBlock(Block, &Info) && !Info.Special);
    ExFreePool(Block);
    MiSetSpecialPool(&Saved);
    /* More than a page never is. */
    Block = ExAllocatePool2(POOL_FLAG_NON_PAGED | POOL_FLAG_SPECIAL_POOL, PAGE_SIZE + 1, TEST_TAG);
    CHECK(MiFindPoolBlock(Block, &Info) && !Info.Special);
    ExFreePool(Block);
}

typedef struct _TEST_SPECIAL_WALK {
    PVOID Block;
    ULONG Found;
} TEST_SPECIAL_WALK;

static BOOLEAN
TestVisitSpecial(const MI_POOL_BLOCK *Block, PVOID Context)
{
    TEST_SPECIAL_WALK *Walk = Context;

    Walk->Found += Block->Special && Block->Address == Walk->Block && Block->Size == 333;
    return TRUE;
}

KTEST_SPECIAL(SpecialEnumerated)
{
    TEST_SPECIAL_WALK Walk = {TestSpecial(333), 0};

    REQUIRE(Walk.Block != NULL);
    MiEnumeratePool(TestVisitSpecial, &Walk, TRUE);
    CHECK_EQ(Walk.Found, 1);
    ExFreePool(Walk.Block);
    MiEnumeratePool(TestVisitSpecial, &Walk, TRUE);
    CHECK_EQ(Walk.Found, 1);
}
