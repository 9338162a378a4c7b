/*
 * Lookaside lists of the three kinds: who makes entries, how many are kept, what is refused, what the
 * verifier stops for.
 */
#include "pooltest.h"

static ULONG TestMade, TestFreed;
static PVOID TestContext;

static PVOID NTAPI
TestMake(POOL_TYPE Type, SIZE_T Size, ULONG Tag)
{
    TestMade += 1;
    return ExAllocatePoolWithTag(Type, Size, Tag);
}

static VOID NTAPI
TestUnmake(PVOID Buffer)
{
    TestFreed += 1;
    ExFreePool(Buffer);
}

static PVOID NTAPI
TestMakeEx(POOL_TYPE Type, SIZE_T Size, ULONG Tag, PLOOKASIDE_LIST_EX List)
{
    TestContext = List;
    TestMade += 1;
    CHECK(Type & POOL_QUOTA_FAIL_INSTEAD_OF_RAISE);
    return ExAllocatePoolWithTag(Type & ~POOL_QUOTA_FAIL_INSTEAD_OF_RAISE, Size, Tag);
}

static VOID NTAPI
TestUnmakeEx(PVOID Buffer, PLOOKASIDE_LIST_EX List)
{
    TestContext = List;
    TestFreed += 1;
    ExFreePool(Buffer);
}

KTEST(LookasideNonPaged)
{
    static NPAGED_LOOKASIDE_LIST List;
    PVOID Entries[10];
    ULONG Index;

    ExInitializeNPagedLookasideList(&List, NULL, NULL, POOL_NX_ALLOCATION, 100, TEST_TAG, 0);
    CHECK(List.L.Depth >= 4);
    CHECK_EQ(List.L.Size, 100);
    CHECK_EQ(List.L.Tag, TEST_TAG);
    CHECK_EQ(List.L.Type, NonPagedPoolNx);
    CHECK_EQ(ExQueryDepthSList(&List.L.ListHead), 0);
    for (Index = 0; Index < ARRAYSIZE(Entries); Index += 1) {
        Entries[Index] = ExAllocateFromNPagedLookasideList(&List);
        REQUIRE(Entries[Index] != NULL);
    }
    CHECK_EQ(List.L.TotalAllocates, 10);
    CHECK_EQ(List.L.AllocateMisses, 10);
    for (Index = 0; Index < ARRAYSIZE(Entries); Index += 1) {
        ExFreeToNPagedLookasideList(&List, Entries[Index]);
    }
    CHECK_EQ(ExQueryDepthSList(&List.L.ListHead), List.L.Depth);
    CHECK_EQ(List.L.FreeMisses, 10u - List.L.Depth);
    CHECK(ExAllocateFromNPagedLookasideList(&List) == Entries[List.L.Depth - 1]);
    ExFreeToNPagedLookasideList(&List, Entries[List.L.Depth - 1]);
    ExDeleteNPagedLookasideList(&List);
}

KTEST(LookasidePagedCallbacks)
{
    static PAGED_LOOKASIDE_LIST List;
    PVOID Entry;

    TestMade = TestFreed = 0;
    ExInitializePagedLookasideList(&List, TestMake, TestUnmake, POOL_NX_ALLOCATION, 64, TEST_TAG, 0);
    CHECK_EQ(List.L.Type, PagedPool);
    Entry = ExAllocateFromPagedLookasideList(&List);
    REQUIRE(Entry != NULL);
    CHECK_EQ(TestMade, 1);
    ExFreeToPagedLookasideList(&List, Entry);
    CHECK_EQ(TestFreed, 0);
    CHECK(ExAllocateFromPagedLookasideList(&List) == Entry);
    ExFreeToPagedLookasideList(&List, Entry);
    ExDeletePagedLookasideList(&List);
    CHECK_EQ(TestFreed, 1);
}

KTEST(LookasideExRefusals)
{
    static LOOKASIDE_LIST_EX List;

    CHECK_STATUS(STATUS_INVALID_PARAMETER_4,
                 ExInitializeLookasideListEx(&List, NULL, NULL, NonPagedPoolMustSucceed, 0, 32, TEST_TAG, 0));
    CHECK_STATUS(STATUS_INVALID_PARAMETER_5,
                 ExInitializeLookasideListEx(&List, NULL, NULL, NonPagedPoolNx, 4, 32, TEST_TAG, 0));
    CHECK_STATUS(STATUS_INVALID_PARAMETER_5, ExInitializeLookasideListEx(&List, TestMakeEx, TestUnmakeEx,
                                                                         NonPagedPoolNx, 3, 32, TEST_TAG, 0));
    CHECK_STATUS(STATUS_INVALID_PARAMETER_5,
                 ExInitializeLookasideListEx(&List, NULL, NULL, PagedPool,
                                             EX_LOOKASIDE_LIST_EX_FLAGS_FAIL_NO_RAISE, 32, TEST_TAG, 0));
}

KTEST(LookasideExCallbacksAndFlush)
{
    static LOOKASIDE_LIST_EX List;
    PVOID Entry;

    TestMade = TestFreed = 0;
    CHECK_STATUS(STATUS_SUCCESS,
                 ExInitializeLookasideListEx(&List, TestMakeEx, TestUnmakeEx, NonPagedPoolNx,
                                             EX_LOOKASIDE_LIST_EX_FLAGS_FAIL_NO_RAISE, 32, TEST_TAG, 0));
    Entry = ExAllocateFromLookasideListEx(&List);
    REQUIRE(Entry != NULL);
    CHECK(TestContext == &List);
    ExFreeToLookasideListEx(&List, Entry);
    CHECK_EQ(TestFreed, 0);
    TestContext = NULL;
    ExFlushLookasideListEx(&List);
    CHECK_EQ(TestFreed, 1);
    CHECK(TestContext == &List);
    Entry = ExAllocateFromLookasideListEx(&List);
    CHECK_EQ(TestMade, 2);
    ExFreeToLookasideListEx(&List, Entry);
    ExDeleteLookasideListEx(&List);
    CHECK_EQ(TestFreed, 2);
}

KTEST(LookasideDepthFollowsMisses)
{
    static NPAGED_LOOKASIDE_LIST List;
    PVOID Entries[64];
    ULONG Index, Round;
    USHORT Depth;

    ExInitializeNPagedLookasideList(&List, NULL, NULL, 0, 32, TEST_TAG, 0);
    Depth = List.L.Depth;
    for (Round = 0; Round < 8; Round += 1) {
        for (Index = 0; Index < ARRAYSIZE(Entries); Index += 1) {
            Entries[Index] = ExAllocateFromNPagedLookasideList(&List);
        }
        for (Index = 0; Index < ARRAYSIZE(Entries); Index += 1) {
            ExFreeToNPagedLookasideList(&List, Entries[Index]);
        }
        MiAdjustLookasideDepths();
    }
    CHECK(List.L.Depth >= 64 - 8);
    CHECK(List.L.Depth <= List.L.MaximumDepth);
    for (Round = 0; Round < 12; Round += 1) {
        MiAdjustLookasideDepths();
    }
    CHECK_EQ(List.L.Depth, Depth);
    ExDeleteNPagedLookasideList(&List);
}

static VOID
TestInitialize(PVOID List)
{
    ExInitializeNPagedLookasideList(List, NULL, NULL, 0, 32, TEST_TAG, 0);
}

static VOID
TestInitializeSmall(PVOID List)
{
    ExInitializeNPagedLookasideList(List, NULL, NULL, 0, 4, TEST_TAG, 0);
}

static VOID
TestDelete(PVOID List)
{
    ExDeleteNPagedLookasideList(List);
}

static VOID
TestFreeBlock(PVOID Block)
{
    ExFreePool(Block);
}

KTEST(LookasideMisuse)
{
    static NPAGED_LOOKASIDE_LIST List;

    CHECK_BUGCHECK_CALL(DRIVER_VERIFIER_DETECTED_VIOLATION, 0xCB, TestDelete, &List);
    CHECK_BUGCHECK_CALL(DRIVER_VERIFIER_DETECTED_VIOLATION, 0xCD, TestInitializeSmall, &List);
    CHECK_BUGCHECK_CALL(0x1E, TEST_RAISED(STATUS_DATATYPE_MISALIGNMENT), TestInitialize, (PUCHAR)&List + 8);
    TestInitialize(&List);
    CHECK_BUGCHECK_CALL(DRIVER_VERIFIER_DETECTED_VIOLATION, 0xCA, TestInitialize, &List);
    TestDelete(&List);
    CHECK_BUGCHECK_CALL(DRIVER_VERIFIER_DETECTED_VIOLATION, 0xCB, TestDelete, &List);
}

KTEST(LookasideInFreedBlock)
{
    static const SIZE_T Sizes[] = {300, 4096, 10000};
    KTEST_BUGCHECK Caught;
    ULONG Index;
    PUCHAR Block, List;

    for (Index = 0; Index < ARRAYSIZE(Sizes); Index += 1) {
        Block = ExAllocatePool2(POOL_FLAG_NON_PAGED | POOL_FLAG_CACHE_ALIGNED, Sizes[Index], TEST_TAG);
        REQUIRE(Block != NULL);
        List = Block + 64;
        TestInitialize(List);
        REQUIRE(KTestExpectBugCheck(TestFreeBlock, Block, &Caught));
        CHECK_EQ(Caught.Code, DRIVER_VERIFIER_DETECTED_VIOLATION);
        CHECK_EQ(Caught.Parameters[0], 0xCC);
        CHECK_EQ(Caught.Parameters[1], (ULONG_PTR)List);
        CHECK_EQ(Caught.Parameters[2], (ULONG_PTR)Block);
        CHECK_EQ(Caught.Parameters[3], Sizes[Index]);
        TestDelete(List);
        ExFreePool(Block);
    }
}

KTEST(LookasideRegistry)
{
    static NPAGED_LOOKASIDE_LIST First, Second;
    MI_LOOKASIDE_INFO Info;
    ULONG Count = 0, Found = 0;

    TestInitialize(&First);
    TestEnterImage(0x777000);
    TestInitialize(&Second);
    TestLeaveImage();
    for (; MiQueryLookaside(Count, &Info); Count += 1) {
        if (Info.List == &First || Info.List == &Second) {
            Found += 1;
            CHECK_EQ(Info.Image, Info.List == &Second);
            CHECK_EQ(Info.Tag, TEST_TAG);
            CHECK_EQ(Info.Size, 32);
            CHECK(!Info.Paged);
        }
    }
    CHECK_EQ(Found, 2);
    MiForgetLookasideLists(&Second, sizeof(Second));
    TestDelete(&First);
    for (Count = 0; MiQueryLookaside(Count, &Info); Count += 1) {
        CHECK(Info.List != &First && Info.List != &Second);
    }
}
