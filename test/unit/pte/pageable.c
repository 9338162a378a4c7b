/* Pageable system space: demand-zero, trim, soft fault, deletion, in every state. */
#include "ptetest.h"

#define PAGEABLE_PAGES 20u

static BOOLEAN
PageableIsZero(const UCHAR *Page)
{
    for (ULONG Index = 0; Index < PAGE_SIZE; Index += 1) {
        if (Page[Index] != 0) {
            return FALSE;
        }
    }
    return TRUE;
}

static PFN_NUMBER
PageableFrame(PVOID Va)
{
    return MiGetPteFrame(PtEntry(Va));
}

KTEST(PageableReadsZero)
{
    PT_FIGURES Before = PtMeasure();
    ULONG64 Total, DemandZero, Transition, DemandZeroAfter;
    PUCHAR Va = PtMakePageable(PAGEABLE_PAGES, MM_READWRITE);

    REQUIRE(Va != NULL);
    MiQueryFaults(&Total, &DemandZero, &Transition);
    CHECK(!MmIsAddressValid(Va));
    for (ULONG Index = 0; Index < PAGEABLE_PAGES; Index += 2) {
        CHECK(PageableIsZero(Va + Index * PAGE_SIZE));
        Va[Index * PAGE_SIZE + 9] = 9;
    }
    MiQueryFaults(&Total, &DemandZeroAfter, &Transition);
    CHECK(DemandZeroAfter >= DemandZero + PAGEABLE_PAGES / 2);
    CHECK(MmIsAddressValid(Va));
    CHECK(!MmIsNonPagedSystemAddressValid(Va));
    CHECK(!MmIsAddressValid(Va + PAGE_SIZE));
    CHECK_EQ(MiFrameUse(PageableFrame(Va)), MiUsePagedPool);
    CHECK(MiValidateSystemSpace());
    PtDeletePageable(Va, PAGEABLE_PAGES);
    PT_CHECK_SAME(Before);
}

KTEST(PageableTrimKeepsData)
{
    PT_FIGURES Before = PtMeasure();
    PUCHAR Va = PtMakePageable(PAGEABLE_PAGES, MM_READWRITE);

    REQUIRE(Va != NULL);
    for (ULONG Index = 0; Index < PAGEABLE_PAGES; Index += 1) {
        Va[Index * PAGE_SIZE + Index] = (UCHAR)(Index + 1);
    }
    CHECK_EQ(MiTrimRange(Va, PAGEABLE_PAGES), PAGEABLE_PAGES);
    CHECK(!MmIsAddressValid(Va));
    CHECK(MiValidateSystemSpace());
    CHECK(MiValidatePfnDatabase());
    CHECK_EQ(MiTrimRange(Va, PAGEABLE_PAGES), 0);
    for (ULONG Index = 0; Index < PAGEABLE_PAGES; Index += 1) {
        CHECK_EQ(Va[Index * PAGE_SIZE + Index], (UCHAR)(Index + 1));
    }
    CHECK_EQ(MiTrimRange(Va + PAGE_SIZE, 2), 2);
    PtDeletePageable(Va, PAGEABLE_PAGES);
    PT_CHECK_SAME(Before);
}

/* Where a page goes says whether its contents are worth keeping; a soft fault must not forget it. */
KTEST(PageableCleanAndModified)
{
    PUCHAR Va = PtMakePageable(2, MM_READWRITE);

    REQUIRE(Va != NULL);
    CHECK_EQ(((volatile UCHAR *)Va)[0], 0);
    Va[PAGE_SIZE] = 5;
    MiTrimRange(Va, 2);
    CHECK_EQ(MiFrameLocation(PageableFrame(Va)), MiLocationStandby);
    CHECK_EQ(MiFrameLocation(PageableFrame(Va + PAGE_SIZE)), MiLocationModified);
    CHECK_EQ(((volatile UCHAR *)Va)[PAGE_SIZE], 5);
    CHECK_EQ(((volatile UCHAR *)Va)[0], 0);
    MiTrimRange(Va, 2);
    CHECK_EQ(MiFrameLocation(PageableFrame(Va)), MiLocationStandby);
    CHECK_EQ(MiFrameLocation(PageableFrame(Va + PAGE_SIZE)), MiLocationModified);
    Va[0] = 6;
    MiTrimRange(Va, 1);
    CHECK_EQ(MiFrameLocation(PageableFrame(Va)), MiLocationModified);
    PtDeletePageable(Va, 2);
    MiTrimSystemSpace();
}

/* A standby page that somebody else takes is a page of zeroes again (R2). */
KTEST(PageableRepurposed)
{
    PUCHAR Va = PtMakePageable(1, MM_READWRITE);
    PFN_NUMBER Frame;
    KIRQL OldIrql;

    REQUIRE(Va != NULL);
    CHECK_EQ(((volatile UCHAR *)Va)[1], 0);
    MiTrimRange(Va, 1);
    Frame = PageableFrame(Va);
    OldIrql = KiRaiseIrql(DISPATCH_LEVEL);
    MiLockPfn(Frame);
    CHECK_EQ(MiFrameLocation(Frame), MiLocationStandby);
    MiRepurposeStandbyFrame(Frame);
    KiLowerIrql(OldIrql);
    RtlFillMemory(HalFrameAddress(Frame), PAGE_SIZE, 0xEE);
    CHECK(MiPteIsDemandZero(PtEntry(Va)));
    CHECK(MiValidateSystemSpace());
    CHECK(PageableIsZero(Va));
    CHECK_EQ(MiFrameUse(PageableFrame(Va)), MiUsePagedPool);
    MiFreeFrame(Frame);
    PtDeletePageable(Va, 1);
    MiTrimSystemSpace();
}

/* A locked page keeps its address; a page locked while it is trimmed keeps its frame. */
KTEST(PageableLocked)
{
    PUCHAR Va = PtMakePageable(2, MM_READWRITE);
    PFN_NUMBER Frame;

    REQUIRE(Va != NULL);
    Va[0] = 1;
    Va[PAGE_SIZE] = 2;
    CHECK(MiReferenceFrame(PageableFrame(Va)));
    CHECK_EQ(MiTrimRange(Va, 2), 1);
    CHECK(MmIsAddressValid(Va));
    CHECK(!MmIsAddressValid(Va + PAGE_SIZE));
    Frame = PageableFrame(Va + PAGE_SIZE);
    CHECK(MiReferenceFrame(Frame));
    CHECK_EQ(MiFrameLocation(Frame), MiLocationTransition);
    CHECK(MiValidateSystemSpace());
    CHECK_EQ(Va[PAGE_SIZE], 2);
    CHECK_EQ(PageableFrame(Va + PAGE_SIZE), Frame);
    MiDereferenceFrame(Frame, FALSE);
    MiDereferenceFrame(PageableFrame(Va), FALSE);
    CHECK_EQ(MiTrimRange(Va, 2), 2);
    PtDeletePageable(Va, 2);
    MiTrimSystemSpace();
}

/* A deletion meets every form at once, over several tables, and a page still locked is freed with its lock.
 */
KTEST(PageableDeletedInEveryState)
{
    PT_FIGURES Before = PtMeasure();
    SIZE_T Pages = 1500;
    PUCHAR Va = PtMakePageable(Pages, MM_READWRITE);
    PFN_NUMBER Locked;

    REQUIRE(Va != NULL);
    for (SIZE_T Index = 0; Index < Pages; Index += 3) {
        Va[Index * PAGE_SIZE] = 1;
    }
    for (SIZE_T Index = 0; Index < Pages; Index += 6) {
        MiTrimRange(Va + Index * PAGE_SIZE, 1);
    }
    Locked = PageableFrame(Va + 3 * PAGE_SIZE);
    CHECK(MiReferenceFrame(Locked));
    CHECK(MiValidateSystemSpace());
    PtDeletePageable(Va, Pages);
    CHECK(MiValidateSystemSpace());
    MiDereferenceFrame(Locked, TRUE);
    PT_CHECK_SAME(Before);
}

KTEST(PageableProtects)
{
    PUCHAR Va = PtMakePageable(3, MM_READWRITE);

    REQUIRE(Va != NULL);
    Va[0] = 1;
    Va[PAGE_SIZE] = 2;
    MiTrimRange(Va + PAGE_SIZE, 1);
    /* Valid, transition, demand-zero. */
    CHECK_STATUS(STATUS_SUCCESS, MiProtectRange(Va, 3, MM_READONLY));
    for (ULONG Index = 0; Index < 3; Index += 1) {
        CHECK_EQ(((volatile UCHAR *)Va)[Index * PAGE_SIZE], Index == 2 ? 0 : Index + 1);
        CHECK_STATUS(STATUS_ACCESS_VIOLATION, MmAccessFault(3, Va + Index * PAGE_SIZE, KernelMode, NULL));
    }
    /* The new code survives a trim. */
    MiTrimRange(Va, 3);
    CHECK(MiValidateSystemSpace());
    CHECK_EQ(((volatile UCHAR *)Va)[0], 1);
    CHECK(!MiPteIsWritable(PtEntry(Va)));
    CHECK_EQ(MiFrameIsModified(PageableFrame(Va)), TRUE);
    CHECK_STATUS(STATUS_SUCCESS, MiProtectRange(Va, 3, MM_READWRITE));
    Va[2 * PAGE_SIZE] = 3;
    CHECK(MiValidateSystemSpace());
    PtDeletePageable(Va, 3);
    MiTrimSystemSpace();
}

KTEST(PageableNoAccessKeepsData)
{
    PUCHAR Va = PtMakePageable(2, MM_READWRITE);

    REQUIRE(Va != NULL);
    Va[7] = 7;
    CHECK_STATUS(STATUS_SUCCESS, MiProtectRange(Va, 2, MM_NOACCESS));
    CHECK_STATUS(STATUS_ACCESS_VIOLATION, MmAccessFault(0, Va, KernelMode, NULL));
    CHECK_STATUS(STATUS_ACCESS_VIOLATION, MmAccessFault(0, Va + PAGE_SIZE, KernelMode, NULL));
    CHECK(MiValidateSystemSpace());
    CHECK_STATUS(STATUS_SUCCESS, MiProtectRange(Va, 2, MM_READWRITE));
    CHECK_EQ(Va[7], 7);
    Va[PAGE_SIZE] = 1;
    PtDeletePageable(Va, 2);
    MiTrimSystemSpace();
}

/* --- Trims against faults
 * -------------------------------------------------------------------------------------- */

#define PAGEABLE_ROUNDS 120u

typedef struct _PAGEABLE_STORM {
    PUCHAR Va;
    ULONG Number; /* of threads started */
    ULONG Wrong;
} PAGEABLE_STORM;

/* Each thread counts in its own word of every page; one of them trims all the time. */
static VOID NTAPI
PageableStorm(PVOID Context)
{
    PAGEABLE_STORM *Storm = Context;
    ULONG Me = __atomic_fetch_add(&Storm->Number, 1, __ATOMIC_RELAXED);
    ULONG64 State = Me + 1;
    ULONG Counts[PAGEABLE_PAGES] = {0};

    for (ULONG Round = 0; Round < PAGEABLE_ROUNDS; Round += 1) {
        ULONG Page = PtRandom(&State) % PAGEABLE_PAGES;
        volatile ULONG *Word = (volatile ULONG *)(Storm->Va + Page * PAGE_SIZE) + Me;

        if (Me == 0 || Round % 16 == 0) {
            MiTrimRange(Storm->Va, PAGEABLE_PAGES);
        }
        if (*Word != Counts[Page]) {
            __atomic_fetch_add(&Storm->Wrong, 1, __ATOMIC_RELAXED);
        }
        Counts[Page] += 1;
        *Word = Counts[Page];
    }
}

KTEST(PageableTrimAgainstFaults)
{
    PAGEABLE_STORM Storm = {0};

    Storm.Va = PtMakePageable(PAGEABLE_PAGES, MM_READWRITE);
    REQUIRE(Storm.Va != NULL);
    PtRunThreads(PageableStorm, &Storm);
    CHECK_EQ(Storm.Wrong, 0);
    CHECK(MiValidateSystemSpace());
    PtDeletePageable(Storm.Va, PAGEABLE_PAGES);
    MiTrimSystemSpace();
}
