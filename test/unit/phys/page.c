/*
 * The life of a page of an address space, arrow by arrow. The table is an ordinary frame that plays
 * one: entries are written here as mm/pte would.
 */
#include "ktest.h"
#include <mm/phys/pfn.h>

static MMPTE
Original(VOID)
{
    return MiMakeDemandZeroPte(MM_READWRITE);
}

static PFN_NUMBER
MakeTable(VOID)
{
    PFN_NUMBER Table = MiGetFrame(MI_GET_ZEROED, MM_ANY_NODE_OK, MiUsePageTable);

    NT_VERIFY(Table != MI_NO_FRAME);
    MiInitializePageTableFrame(Table, NULL);
    return Table;
}

static VOID
FreeTable(PFN_NUMBER Table)
{
    CHECK_EQ(MiFrameShareCount(Table), 1);
    MiFreePageTableFrame(Table);
}

/* A valid page at Index of Table. */
static PFN_NUMBER
MakePage(PFN_NUMBER Table, ULONG Index)
{
    PFN_NUMBER Frame = MiGetFrame(MI_GET_ZEROED, MM_ANY_NODE_OK, MiUsePagedPool);

    NT_VERIFY(Frame != MI_NO_FRAME);
    MiInitializePfn(Frame, MiTableEntry(Table, Index), Original());
    MiWritePte(MiTableEntry(Table, Index), MiMakeValidPte(Frame, MM_READWRITE, MI_PTE_ACCESSED));
    return Frame;
}

/* Trim: the entry gets transition form, then the frame its share back. */
static VOID
Trim(PFN_NUMBER Frame, BOOLEAN Dirty)
{
    KIRQL OldIrql = KiRaiseIrqlToDispatch();

    MiLockPfn(Frame);
    MiWritePte(MiFramePte(Frame), MiMakeTransitionPte(Frame, MM_READWRITE));
    MiUnlockPfn(Frame);
    KiLowerIrql(OldIrql);
    MiReleaseValidFrame(Frame, Dirty);
}

static VOID
SoftFault(PFN_NUMBER Frame)
{
    KIRQL OldIrql = KiRaiseIrqlToDispatch();

    MiLockPfn(Frame);
    CHECK(MiUnlinkTransitionFrame(Frame));
    MiWritePte(MiFramePte(Frame), MiMakeValidPte(Frame, MM_READWRITE, MI_PTE_ACCESSED));
    MiUnlockPfn(Frame);
    KiLowerIrql(OldIrql);
}

static VOID
DeleteValid(PFN_NUMBER Frame)
{
    MiWritePte(MiFramePte(Frame), MiMakeZeroPte());
    MiDeleteValidFrame(Frame);
}

static VOID
DeleteTransition(PFN_NUMBER Frame)
{
    KIRQL OldIrql = KiRaiseIrqlToDispatch();

    MiLockPfn(Frame);
    MiWritePte(MiFramePte(Frame), MiMakeZeroPte());
    MiDeleteTransitionFrame(Frame);
    KiLowerIrql(OldIrql);
}

KTEST(PageValidAndDeleted)
{
    SIZE_T Before = MiAvailablePages();
    PFN_NUMBER Table = MakeTable();
    PFN_NUMBER Frame = MakePage(Table, 511);

    CHECK(MiFrameIsPageTable(Table));
    CHECK_EQ(MiFrameShareCount(Table), 2);
    CHECK_EQ(MiFrameShareCount(Frame), 1);
    CHECK_EQ(MiFrameReferenceCount(Frame), 1);
    CHECK(MiFramePte(Frame) == MiTableEntry(Table, 511));
    DeleteValid(Frame);
    CHECK_EQ(MiFrameShareCount(Table), 1);
    FreeTable(Table);
    CHECK_EQ(MiAvailablePages(), Before);
}

KTEST(PageTrimmedAndBack)
{
    PFN_NUMBER Table = MakeTable();
    PFN_NUMBER Clean = MakePage(Table, 0);
    PFN_NUMBER Dirty = MakePage(Table, 1);
    SIZE_T Available = MiAvailablePages();
    MI_PAGE_COUNTS Counts;

    *(ULONG64 *)HalFrameAddress(Dirty) = 0x1234567890ABCDEFull;
    Trim(Clean, FALSE);
    Trim(Dirty, TRUE);
    CHECK_EQ(MiFrameLocation(Clean), MiLocationStandby);
    CHECK_EQ(MiFrameLocation(Dirty), MiLocationModified);
    CHECK_EQ(MiFrameReferenceCount(Clean), 0);
    CHECK_EQ(MiAvailablePages(), Available + 1);
    MiQueryPageCounts(&Counts);
    CHECK(Counts.Standby[MI_DEFAULT_PAGE_PRIORITY] >= 1);
    CHECK(Counts.Modified >= 1);
    CHECK_EQ(MiFrameShareCount(Table), 3);
    MiValidatePfnDatabase();

    SoftFault(Clean);
    SoftFault(Dirty);
    CHECK_EQ(MiAvailablePages(), Available);
    CHECK_EQ(MiFrameLocation(Clean), MiLocationActive);
    CHECK_EQ(MiFrameShareCount(Dirty), 1);
    CHECK_EQ(MiFrameReferenceCount(Dirty), 1);
    CHECK(MiFrameIsModified(Dirty));
    CHECK_EQ(*(ULONG64 *)HalFrameAddress(Dirty), 0x1234567890ABCDEFull);

    Trim(Dirty, FALSE);
    CHECK_EQ(MiFrameLocation(Dirty), MiLocationModified);
    DeleteTransition(Dirty);
    DeleteValid(Clean);
    FreeTable(Table);
}

/* A fault between trim's two steps takes the page back, and the counts come out right. */
KTEST(PageFaultedWhileTrimmed)
{
    PFN_NUMBER Table = MakeTable();
    PFN_NUMBER Frame = MakePage(Table, 3);

    MiWritePte(MiFramePte(Frame), MiMakeTransitionPte(Frame, MM_READWRITE));
    SoftFault(Frame);
    CHECK_EQ(MiFrameShareCount(Frame), 2);
    MiReleaseValidFrame(Frame, TRUE);
    CHECK_EQ(MiFrameShareCount(Frame), 1);
    CHECK_EQ(MiFrameLocation(Frame), MiLocationActive);
    CHECK(MiFrameIsModified(Frame));
    DeleteValid(Frame);

    Frame = MakePage(Table, 4);
    MiWritePte(MiFramePte(Frame), MiMakeTransitionPte(Frame, MM_READWRITE));
    DeleteTransition(Frame);
    CHECK_EQ(MiFrameLocation(Frame), MiLocationActive);
    MiReleaseValidFrame(Frame, TRUE);
    CHECK(MiFrameLocation(Frame) == MiLocationCachedFree ||
          MiFrameLocation(Frame) == MiLocationFree);

    Frame = MakePage(Table, 5);
    MiWritePte(MiFramePte(Frame), MiMakeTransitionPte(Frame, MM_READWRITE));
    SoftFault(Frame);
    DeleteValid(Frame);
    CHECK_EQ(MiFrameLocation(Frame), MiLocationActive);
    MiReleaseValidFrame(Frame, FALSE);
    CHECK(MiFrameLocation(Frame) == MiLocationCachedFree ||
          MiFrameLocation(Frame) == MiLocationFree);
    FreeTable(Table);
}

/* R2: a standby page is taken for somebody else; its entry says demand-zero again. */
KTEST(PageRepurposed)
{
    PFN_NUMBER Table = MakeTable();
    PFN_NUMBER Frame = MakePage(Table, 7);
    PFN_NUMBER Taken;

    Trim(Frame, FALSE);
    MiWritePte(MiTableEntry(Table, 7), MiMakeTransitionPte(Frame, MM_READONLY));
    Taken = MiGetContiguousFrames(MI_GET_ZEROED, MM_ANY_NODE_OK, MiUseDriverLocked, 1, Frame,
                                  Frame, 1,
                                  0);
    CHECK_EQ(Taken, Frame);
    CHECK(MiPteEqual(MiReadPte(MiTableEntry(Table, 7)), MiMakeDemandZeroPte(MM_READONLY)));
    CHECK_EQ(MiFrameShareCount(Table), 1);
    CHECK_EQ(MiFrameReferenceCount(Frame), 1);
    CHECK(MiFramePte(Frame) == NULL);
    MiFreeFrame(Taken);
    MiWritePte(MiTableEntry(Table, 7), MiMakeZeroPte());
    FreeTable(Table);
}

/*
 * The same by need: when nothing else is left, standby pages are taken, lowest priority first, and
 * their entries say demand-zero again; modified ones stay.
 */
KTEST_KEEPS(PageRepurposedByNeed)
{
    PFN_NUMBER Table = MakeTable();
    PFN_NUMBER Chain = MI_NO_FRAME;
    PFN_NUMBER Frame;
    PFN_NUMBER Next;
    MI_PAGE_COUNTS Counts;
    KIRQL OldIrql;

    for (ULONG Index = 0; Index < 40; Index++) {
        Trim(MakePage(Table, Index), Index >= 30);
    }
    if (MiAvailablePages() < 100000) {
        OldIrql = KiRaiseIrqlToDispatch();
        while ((Frame = MiGetFrame(MI_GET_RESERVE | MI_GET_ZEROED, MM_ANY_NODE_OK,
                                   MiUseSystemPte)) !=
               MI_NO_FRAME) {
            CHECK_EQ(*(ULONG64 *)HalFrameAddress(Frame), 0);
            MiPfn(Frame)->Owner = Chain;
            Chain = Frame;
        }
        MiQueryPageCounts(&Counts);
        for (; Chain != MI_NO_FRAME; Chain = Next) {
            Next = MiPfn(Chain)->Owner;
            MiFreeFrame(Chain);
        }
        KiLowerIrql(OldIrql);
        CHECK_EQ(Counts.Standby[MI_DEFAULT_PAGE_PRIORITY], 0);
        CHECK(Counts.Modified >= 10);
        CHECK_EQ(MiFrameShareCount(Table), 11);
    }
    for (ULONG Index = 0; Index < 40; Index++) {
        PMMPTE Pte = MiTableEntry(Table, Index);

        if (MiPteIsTransition(MiReadPte(Pte))) {
            DeleteTransition(MiGetPteFrame(MiReadPte(Pte)));
        } else {
            CHECK(MiPteEqual(MiReadPte(Pte), Original()));
            MiWritePte(Pte, MiMakeZeroPte());
        }
    }
    FreeTable(Table);
}

static VOID
TrimIntoPriority(PFN_NUMBER Table, ULONG Index, ULONG Priority, PFN_NUMBER *Frame)
{
    *Frame = MiGetFrame(MI_GET_ZEROED, MM_ANY_NODE_OK, MiUsePagedPool);
    NT_VERIFY(*Frame != MI_NO_FRAME);
    MiInitializePfnEx(*Frame, MiTableEntry(Table, Index), Original(), Priority, 0);
    Trim(*Frame, FALSE);
}

KTEST(PageStandbyByPriority)
{
    PFN_NUMBER Table = MakeTable();
    MI_PAGE_COUNTS Before;
    MI_PAGE_COUNTS After;
    PFN_NUMBER Frames[8];

    MiQueryPageCounts(&Before);
    for (ULONG Priority = 0; Priority < 8; Priority++) {
        TrimIntoPriority(Table, Priority, Priority, &Frames[Priority]);
    }
    MiQueryPageCounts(&After);
    for (ULONG Priority = 0; Priority < 8; Priority++) {
        CHECK_EQ(After.Standby[Priority], Before.Standby[Priority] + 1);
        DeleteTransition(Frames[Priority]);
    }
    for (ULONG Index = 0; Index < 8; Index++) {
        MiWritePte(MiTableEntry(Table, Index), MiMakeZeroPte());
    }
    FreeTable(Table);
}

/* A locked page that loses its last entry waits in Transition. */
KTEST(PageLockedThenTrimmed)
{
    PFN_NUMBER Table = MakeTable();
    PFN_NUMBER Frame = MakePage(Table, 9);
    MI_PAGE_COUNTS Counts;

    CHECK(MiReferenceFrame(Frame));
    Trim(Frame, FALSE);
    CHECK_EQ(MiFrameLocation(Frame), MiLocationTransition);
    CHECK_EQ(MiFrameReferenceCount(Frame), 1);
    MiQueryPageCounts(&Counts);
    CHECK(Counts.Transition >= 1);
    SoftFault(Frame);
    CHECK_EQ(MiFrameReferenceCount(Frame), 2);
    Trim(Frame, FALSE);
    MiDereferenceFrame(Frame, TRUE);
    CHECK_EQ(MiFrameLocation(Frame), MiLocationModified);
    CHECK(MiReferenceFrame(Frame));
    CHECK_EQ(MiFrameLocation(Frame), MiLocationTransition);
    DeleteTransition(Frame);
    CHECK_EQ(MiFrameShareCount(Table), 1);
    CHECK_EQ(MiFrameLocation(Frame), MiLocationTransition);
    MiValidatePfnDatabase();
    MiDereferenceFrame(Frame, FALSE);
    CHECK(!MiReferenceFrame(Frame));
    FreeTable(Table);
}

KTEST(PageLockedThenDeleted)
{
    PFN_NUMBER Table = MakeTable();
    PFN_NUMBER Frame = MakePage(Table, 9);
    SIZE_T Available = MiAvailablePages();

    CHECK(MiReferenceFrame(Frame));
    DeleteValid(Frame);
    CHECK_EQ(MiFrameLocation(Frame), MiLocationTransition);
    CHECK_EQ(MiAvailablePages(), Available);
    MiDereferenceFrame(Frame, TRUE);
    CHECK_EQ(MiAvailablePages(), Available + 1);
    FreeTable(Table);
}

/* Shares and references stop before they wrap. */
KTEST(PageCountsDoNotWrap)
{
    PFN_NUMBER Table = MakeTable();
    PFN_NUMBER Frame = MakePage(Table, 0);
    ULONG64 References = (MI_PFN_REFERENCE_MAXIMUM - 2) * MI_PFN_REFERENCE_ONE;
    ULONG64 Shares = (MI_PFN_SHARE_MAXIMUM - 2) * MI_PFN_SHARE_ONE;

    __atomic_fetch_add(&MiPfn(Frame)->State, References, __ATOMIC_RELAXED);
    CHECK(MiReferenceFrame(Frame));
    CHECK_EQ(MiFrameReferenceCount(Frame), MI_PFN_REFERENCE_MAXIMUM);
    CHECK(!MiReferenceFrame(Frame));
    MiDereferenceFrame(Frame, FALSE);
    __atomic_fetch_sub(&MiPfn(Frame)->State, References, __ATOMIC_RELAXED);
    __atomic_fetch_add(&MiPfn(Frame)->State, Shares, __ATOMIC_RELAXED);
    CHECK(MiIncrementShareCount(Frame));
    CHECK(!MiIncrementShareCount(Frame));
    MiDecrementShareCount(Frame);
    __atomic_fetch_sub(&MiPfn(Frame)->State, Shares, __ATOMIC_RELAXED);
    DeleteValid(Frame);
    FreeTable(Table);
}

KTEST(PageWrittenOut)
{
    PFN_NUMBER Table = MakeTable();
    PFN_NUMBER Frame = MakePage(Table, 2);
    MMPTE Slot = MiMakePageFilePte(0, 77, MM_READWRITE);

    CHECK(!MiBeginPageWrite(Frame));
    Trim(Frame, TRUE);
    CHECK(MiBeginPageWrite(Frame));
    CHECK(!MiBeginPageWrite(Frame));
    CHECK_EQ(MiFrameLocation(Frame), MiLocationTransition);
    MiEndPageWrite(Frame, FALSE, Slot);
    CHECK_EQ(MiFrameLocation(Frame), MiLocationModified);
    CHECK(MiBeginPageWrite(Frame));
    MiEndPageWrite(Frame, TRUE, Slot);
    CHECK_EQ(MiFrameLocation(Frame), MiLocationStandby);
    CHECK_EQ(MiGetContiguousFrames(0, MM_ANY_NODE_OK, MiUseDriverLocked, 1, Frame, Frame, 1, 0),
             Frame);
    CHECK(MiPteEqual(MiReadPte(MiTableEntry(Table, 2)), Slot));
    MiFreeFrame(Frame);

    Frame = MakePage(Table, 2);
    Trim(Frame, TRUE);
    CHECK(MiBeginPageWrite(Frame));
    SoftFault(Frame);
    MiEndPageWrite(Frame, TRUE, Slot);
    CHECK_EQ(MiFrameLocation(Frame), MiLocationActive);
    CHECK_EQ(MiFrameReferenceCount(Frame), 1);
    Trim(Frame, TRUE);
    CHECK(MiSetFrameNoWrite(Frame));
    CHECK(!MiSetFrameNoWrite(Frame));
    CHECK_EQ(MiFrameLocation(Frame), MiLocationModifiedNoWrite);
    MiValidatePfnDatabase();
    SoftFault(Frame);
    DeleteValid(Frame);
    FreeTable(Table);
}

KTEST(PageTablesNest)
{
    PFN_NUMBER Root = MakeTable();
    PFN_NUMBER Table = MiGetFrame(MI_GET_ZEROED, MM_ANY_NODE_OK, MiUsePageTable);
    KIRQL OldIrql;

    REQUIRE(Table != MI_NO_FRAME);
    MiInitializePageTableFrame(Table, MiTableEntry(Root, 5));
    CHECK_EQ(MiFrameShareCount(Root), 2);
    OldIrql = KiRaiseIrqlToDispatch();
    MiLockPageTable(Table, LockRankPageTable);
    CHECK(!MiTryLockPageTable(Table, LockRankPageTable));
    MiIncrementUsedPtes(Table, 512);
    CHECK_EQ(MiDecrementUsedPtes(Table, 511), 1);
    CHECK_EQ(MiDecrementUsedPtes(Table, 1), 0);
    MiUnlockPageTable(Table);
    KiLowerIrql(OldIrql);
    MiFreePageTableFrame(Table);
    CHECK_EQ(MiFrameShareCount(Root), 1);
    FreeTable(Root);
}

KTEST(PageCacheType)
{
    PFN_NUMBER Frame = MiGetFrame(0, MM_ANY_NODE_OK, MiUseDriverLocked);

    REQUIRE(Frame != MI_NO_FRAME);
    CHECK_EQ(MiSetFrameCacheType(Frame, MmNotMapped), MmNotMapped);
    CHECK_EQ(MiSetFrameCacheType(Frame, MmWriteCombined), MmWriteCombined);
    CHECK_EQ(MiSetFrameCacheType(Frame, MmCached), MmWriteCombined);
    MiFreeFrame(Frame);
    CHECK_EQ(MiGetContiguousFrames(0, MM_ANY_NODE_OK, MiUseDriverLocked, 1, Frame, Frame, 1, 0),
             Frame);
    CHECK_EQ(MiSetFrameCacheType(Frame, MmNotMapped), MmNotMapped);
    MiFreeFrame(Frame);
}
