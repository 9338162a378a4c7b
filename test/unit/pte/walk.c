/* Walks, the self-map, tables of an address space of one's own. */
#include "ptetest.h"

#define WALK_USER_VA 0x123456789000ull

KTEST(WalkSelfMapShowsTheEntry)
{
    PFN_NUMBER Frame = MiGetFrame(MI_GET_ZEROED, 0, MiUseSystemPte);
    PUCHAR Va = MiReserveSystemVa(MiRegionSystemPtes, 1, 1);
    volatile MMPTE *SelfMapped = MiGetPteAddress((ULONG_PTR)Va);

    REQUIRE(Va != NULL && Frame != MI_NO_FRAME);
    CHECK_EQ(SelfMapped->Long, 0);
    MiMapFrames(Va, 1, &Frame, MM_READWRITE, MmCached);
    CHECK_EQ(SelfMapped->Long, PtEntry(Va).Long);
    CHECK_EQ(MiGetPteFrame(MiReadPte(SelfMapped)), Frame);
    MiUnmapRange(Va, 1, NULL);
    CHECK_EQ(SelfMapped->Long, 0);
    MiReleaseSystemVa(MiRegionSystemPtes, Va, 1);
    MiFreeFrame(Frame);
    MiTrimSystemSpace();
}

KTEST(WalkBackToTheAddress)
{
    PUCHAR Va = PtMakePageable(3, MM_READWRITE);
    PHYSICAL_ADDRESS Physical;
    MI_WALK Walk;

    REQUIRE(Va != NULL);
    Va[PAGE_SIZE + 3] = 1;
    MiWalk(MiSystemRootFrame, (ULONG_PTR)Va + PAGE_SIZE, &Walk);
    CHECK_EQ(Walk.Level, MiLevelPte);
    CHECK_EQ(MiPteAddressVa(Walk.Pte), (ULONG_PTR)Va + PAGE_SIZE);
    Physical = MmGetPhysicalAddress(Va + PAGE_SIZE + 3);
    CHECK_EQ((ULONG_PTR)MmGetVirtualForPhysical(Physical), (ULONG_PTR)Va + PAGE_SIZE + 3);
    MiTrimRange(Va, 3);
    CHECK_EQ((ULONG_PTR)MmGetVirtualForPhysical(Physical), HalDirectMapBase + (ULONG_PTR)Physical.QuadPart);
    Physical.QuadPart = 1ll << 50;
    CHECK(MmGetVirtualForPhysical(Physical) == NULL);
    PtDeletePageable(Va, 3);
    MiTrimSystemSpace();
}

KTEST(WalkLocksTheTable)
{
    PUCHAR Va = MiReserveSystemVa(MiRegionSystemPtes, 1, 1);
    ULONG_PTR Start, End;
    MI_WALK Walk;
    KIRQL OldIrql;

    REQUIRE(Va != NULL);
    MiRegionBounds(MiRegionSystemPtes, &Start, &End);
    OldIrql = KiRaiseIrql(DISPATCH_LEVEL);
    CHECK(MiLockPte(MiSystemRootFrame, (ULONG_PTR)Va, &Walk));
    CHECK(!MiTryLockPageTable(MiPteTableFrame(Walk.Pte), LockRankPageTable));
    MiUnlockPte(&Walk);
    CHECK(MiTryLockPageTable(MiPteTableFrame(Walk.Pte), LockRankPageTable));
    MiUnlockPageTable(MiPteTableFrame(Walk.Pte));
    CHECK(!MiLockPte(MiSystemRootFrame, End - PAGE_SIZE, &Walk));
    KiLowerIrql(OldIrql);
    MiReleaseSystemVa(MiRegionSystemPtes, Va, 1);
    MiTrimSystemSpace();
}

/* Tables that are not system space's are made and deleted by the same calls. */
KTEST(WalkMakesAndDeletesTables)
{
    PT_FIGURES Before = PtMeasure();
    PFN_NUMBER Root = MiGetFrame(MI_GET_ZEROED, 0, MiUsePageTable);
    PFN_NUMBER Tables[3];
    MI_FLUSH_BATCH Batch;
    MI_WALK Walk;
    PMMPTE Table;

    REQUIRE(Root != MI_NO_FRAME);
    MiInitializePageTableFrame(Root, NULL);
    Table = MiMakeTable(Root, WALK_USER_VA, MiLevelPte, MI_PTE_USER);
    REQUIRE(Table != NULL);
    CHECK(MiMakeTable(Root, WALK_USER_VA, MiLevelPte, MI_PTE_USER) == Table);
    CHECK_EQ(MiUsedPtes(Root), 1);
    CHECK_EQ(MiPteAddressVa(Table + MiPteIndex(WALK_USER_VA, MiLevelPte)), WALK_USER_VA);
    for (ULONG Level = MiLevelPte; Level <= MiLevelPpe; Level += 1) {
        MiWalk(Root, WALK_USER_VA, &Walk);
        CHECK_EQ(Walk.Level, Level);
        Tables[Level - 1] = MiPteTableFrame(Walk.Pte);
        CHECK_EQ(MiUsedPtes(Tables[Level - 1]), 0);
        MiStartFlush(&Batch);
        MiUnlinkTable(Walk.Parent, WALK_USER_VA, Level, &Batch);
        MiFlush(&Batch);
        MiDeleteTable(Tables[Level - 1]);
    }
    CHECK_EQ(MiUsedPtes(Root), 0);
    MiFreePageTableFrame(Root);
    PT_CHECK_SAME(Before);
}

KTEST(WalkTableFailsCleanly)
{
    PT_FIGURES Before = PtMeasure();
    PFN_NUMBER Root = MiGetFrame(MI_GET_ZEROED, 0, MiUsePageTable);

    REQUIRE(Root != MI_NO_FRAME);
    MiInitializePageTableFrame(Root, NULL);
    PtFailNth(1, TRUE);
    CHECK(MiMakeTable(Root, WALK_USER_VA, MiLevelPte, MI_PTE_USER) == NULL);
    CHECK(PtStopFailing());
    CHECK_EQ(MiUsedPtes(Root), 0);
    MiFreePageTableFrame(Root);
    PT_CHECK_SAME(Before);
}
