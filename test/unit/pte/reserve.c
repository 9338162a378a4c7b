/* MiReserveSystemVa and MiReleaseSystemVa. */
#include "ptetest.h"
#include <mm/stack/stack.h>
#include <ps/ps.h>

#define RESERVE_MANY   200u
#define RESERVE_ROUNDS 300u

KTEST(ReserveIsInsideItsRegionAndEmpty)
{
    for (ULONG Index = 0; Index < MiRegionMaximum; Index += 1) {
        MI_SYSTEM_REGION Found = MiRegionMaximum;
        ULONG_PTR Start, End;
        PVOID Va = MiReserveSystemVa((MI_SYSTEM_REGION)Index, 3, 1);

        REQUIRE(Va != NULL);
        MiRegionBounds((MI_SYSTEM_REGION)Index, &Start, &End);
        CHECK((ULONG_PTR)Va >= Start && (ULONG_PTR)Va + 3 * PAGE_SIZE <= End);
        CHECK(MiRegionOf(Va, &Found));
        CHECK_EQ(Found, Index);
        CHECK(MiPteIsZero(PtEntry(Va)));
        CHECK(!MmIsAddressValid(Va));
        MiReleaseSystemVa((MI_SYSTEM_REGION)Index, Va, 3);
    }
    MiTrimSystemSpace();
}

KTEST(ReserveRegionsAreApart)
{
    for (ULONG Index = 0; Index < MiRegionMaximum; Index += 1) {
        ULONG_PTR Start, End;

        MiRegionBounds((MI_SYSTEM_REGION)Index, &Start, &End);
        CHECK(Start >= KiLoaderBlock->SystemStart && End <= KiLoaderBlock->SystemEnd && Start < End);
        for (ULONG Other = 0; Other < Index; Other += 1) {
            ULONG_PTR OtherStart, OtherEnd;

            MiRegionBounds((MI_SYSTEM_REGION)Other, &OtherStart, &OtherEnd);
            CHECK(End <= OtherStart || OtherEnd <= Start);
        }
    }
}

KTEST(ReserveAlignment)
{
    static const SIZE_T Aligns[] = {1, 2, 16, 64, 256, 512, 1024, 4096};

    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Aligns); Index += 1) {
        PVOID Odd = MiReserveSystemVa(MiRegionNonPagedPool, 1, 1);
        PVOID Va = MiReserveSystemVa(MiRegionNonPagedPool, 5, Aligns[Index]);

        REQUIRE(Odd != NULL && Va != NULL);
        CHECK_EQ((ULONG_PTR)Va % (Aligns[Index] * PAGE_SIZE), 0);
        MiReleaseSystemVa(MiRegionNonPagedPool, Va, 5);
        MiReleaseSystemVa(MiRegionNonPagedPool, Odd, 1);
    }
    MiTrimSystemSpace();
}

KTEST(ReserveManyAreDistinct)
{
    static ULONG_PTR Va[RESERVE_MANY];
    static ULONG Count[RESERVE_MANY];
    SIZE_T Before = MiReservedPages(MiRegionSystemPtes);
    SIZE_T Total = 0;
    ULONG64 State = 5;

    for (ULONG Index = 0; Index < RESERVE_MANY; Index += 1) {
        Count[Index] = 1 + PtRandom(&State) % (Index % 10 == 0 ? 900 : 20);
        Va[Index] = (ULONG_PTR)MiReserveSystemVa(MiRegionSystemPtes, Count[Index], 1);
        REQUIRE(Va[Index] != 0);
        Total += Count[Index];
        for (ULONG Other = 0; Other < Index; Other += 1) {
            CHECK(Va[Other] + Count[Other] * PAGE_SIZE <= Va[Index] ||
                  Va[Index] + Count[Index] * PAGE_SIZE <= Va[Other]);
        }
    }
    CHECK_EQ(MiReservedPages(MiRegionSystemPtes), Before + Total);
    CHECK(MiValidateSystemSpace());
    for (ULONG Index = 0; Index < RESERVE_MANY; Index += 1) {
        ULONG Slot = (Index * 7) % RESERVE_MANY;

        MiReleaseSystemVa(MiRegionSystemPtes, (PVOID)Va[Slot], Count[Slot]);
    }
    CHECK_EQ(MiReservedPages(MiRegionSystemPtes), Before);
    MiTrimSystemSpace();
}

KTEST(ReserveLargeReturnsItsTables)
{
    PT_FIGURES Before = PtMeasure();
    PVOID Va = MiReserveSystemVa(MiRegionSystemPtes, 20 * 512 + 1, 1);

    REQUIRE(Va != NULL);
    CHECK(PtAvailable() + 21 <= Before.Available);
    MiReleaseSystemVa(MiRegionSystemPtes, Va, 20 * 512 + 1);
    CHECK(PtAvailable() + 2 >= Before.Available);
    PT_CHECK_SAME(Before);
}

KTEST(ReserveImpossibleIsNull)
{
    PT_FIGURES Before = PtMeasure();
    ULONG_PTR Start, End;

    MiRegionBounds(MiRegionSpecialPool, &Start, &End);
    CHECK(MiReserveSystemVa(MiRegionSpecialPool, 0, 1) == NULL);
    CHECK(MiReserveSystemVa(MiRegionSpecialPool, (End - Start) / PAGE_SIZE + 1, 1) == NULL);
    CHECK(MiReserveSystemVa(MiRegionSpecialPool, ~(SIZE_T)0, 1) == NULL);
    PT_CHECK_SAME(Before);
}

#define RESERVE_EXHAUST 64u

/* With two more segments than are in use, runs of a whole segment fail after two, and single ones when all is full. */
KTEST(ReserveExhaustsTheRegion)
{
    static PVOID Va[RESERVE_EXHAUST];
    ULONG Count = 0, Limit, Used;

    MiTrimSystemSpace();
    Limit = MiLimitRegion(MiRegionSpecialPool, 0);
    Used = MiLimitRegion(MiRegionSpecialPool, Limit);
    MiLimitRegion(MiRegionSpecialPool, Used + 2);
    CHECK(MiReserveSystemVa(MiRegionSpecialPool, 2 * 512 + 1, 1) == NULL);
    while (Count < RESERVE_EXHAUST && (Va[Count] = MiReserveSystemVa(MiRegionSpecialPool, 128, 1)) != NULL) {
        Count += 1;
    }
    CHECK(Count >= 8 && Count < RESERVE_EXHAUST);
    CHECK(MiReserveSystemVa(MiRegionSpecialPool, 128, 1) == NULL);
    while (Count != 0) {
        Count -= 1;
        MiReleaseSystemVa(MiRegionSpecialPool, Va[Count], 128);
    }
    Va[0] = MiReserveSystemVa(MiRegionSpecialPool, 512, 1);
    REQUIRE(Va[0] != NULL);
    MiReleaseSystemVa(MiRegionSpecialPool, Va[0], 512);
    MiLimitRegion(MiRegionSpecialPool, Limit);
    MiTrimSystemSpace();
}

#define RESERVE_FILL 1024u

/* Two neighbours that a processor has cached are joined when nothing else is left. */
KTEST(ReserveFindsCachedAddresses)
{
    static PUCHAR Va[RESERVE_FILL];
    PUCHAR Anchor = MiReserveSystemVa(MiRegionSystemPtes, 1, 1);
    ULONG Limit = MiLimitRegion(MiRegionSystemPtes, 0); /* what is in use now */
    ULONG Count = 0, Pair = 0;
    PUCHAR Joined;

    while (Count < RESERVE_FILL && (Va[Count] = MiReserveSystemVa(MiRegionSystemPtes, 16, 1)) != NULL) {
        Count += 1;
    }
    MiLimitRegion(MiRegionSystemPtes, Limit);
    REQUIRE(Anchor != NULL && Count > 1 && Count < RESERVE_FILL);
    MiLimitRegion(MiRegionSystemPtes, 0);
    CHECK(MiReserveSystemVa(MiRegionSystemPtes, 32, 1) == NULL);
    while (Pair + 1 < Count && Va[Pair + 1] != Va[Pair] + 16 * PAGE_SIZE) {
        Pair += 1;
    }
    CHECK(Pair + 1 < Count);
    MiReleaseSystemVa(MiRegionSystemPtes, Va[Pair], 16);
    MiReleaseSystemVa(MiRegionSystemPtes, Va[Pair + 1], 16);
    Joined = MiReserveSystemVa(MiRegionSystemPtes, 32, 1);
    CHECK(Joined == Va[Pair]);
    if (Joined != NULL) {
        MiReleaseSystemVa(MiRegionSystemPtes, Joined, 32);
    }
    for (ULONG Index = 0; Index < Count; Index += 1) {
        if (Index != Pair && Index != Pair + 1) {
            MiReleaseSystemVa(MiRegionSystemPtes, Va[Index], 16);
        }
    }
    MiLimitRegion(MiRegionSystemPtes, Limit);
    MiReleaseSystemVa(MiRegionSystemPtes, Anchor, 1);
    MiTrimSystemSpace();
}

KTEST(ReserveIsHotOnOneProcessor)
{
    KIRQL OldIrql = KiRaiseIrql(DISPATCH_LEVEL);
    PVOID First = MiReserveSystemVa(MiRegionSystemPtes, 2, 1);
    PVOID Again;

    MiReleaseSystemVa(MiRegionSystemPtes, First, 2);
    Again = MiReserveSystemVa(MiRegionSystemPtes, 2, 1);
    MiReleaseSystemVa(MiRegionSystemPtes, Again, 2);
    KiLowerIrql(OldIrql);
    CHECK_EQ((ULONG_PTR)First, (ULONG_PTR)Again);
    MiTrimSystemSpace();
}

/* Fail the Nth request for memory until a reservation needs no more: nothing may be lost on the way. */
static VOID
ReserveSweep(SIZE_T PageCount)
{
    PVOID Va = NULL;

    for (ULONG Nth = 1; Va == NULL && Nth < 400; Nth += 1) {
        PT_FIGURES Before = PtMeasure();

        PtFailNth(Nth, TRUE);
        Va = MiReserveSystemVa(MiRegionImages, PageCount, 1);
        PtStopFailing();
        if (Va == NULL) {
            PT_CHECK_SAME(Before);
        }
    }
    REQUIRE(Va != NULL);
    MiReleaseSystemVa(MiRegionImages, Va, PageCount);
    MiTrimSystemSpace();
}

KTEST(ReserveFailsCleanly)
{
    ReserveSweep(7);
    ReserveSweep(40 * 512);
}

static VOID NTAPI
ReserveStorm(PVOID Context)
{
    ULONG64 State = __atomic_add_fetch((PULONG64)Context, 77, __ATOMIC_RELAXED);
    PVOID Va[8] = {0};
    ULONG Count[8] = {0};

    for (ULONG Round = 0; Round < RESERVE_ROUNDS; Round += 1) {
        ULONG Slot = PtRandom(&State) % 8;

        if (Va[Slot] != NULL) {
            MiReleaseSystemVa(MiRegionSystemPtes, Va[Slot], Count[Slot]);
            Va[Slot] = NULL;
        } else {
            Count[Slot] = 1 + PtRandom(&State) % (Round % 50 == 0 ? 1200 : 18);
            Va[Slot] = MiReserveSystemVa(MiRegionSystemPtes, Count[Slot], 1);
            CHECK(Va[Slot] != NULL);
        }
    }
    for (ULONG Slot = 0; Slot < 8; Slot += 1) {
        if (Va[Slot] != NULL) {
            MiReleaseSystemVa(MiRegionSystemPtes, Va[Slot], Count[Slot]);
        }
    }
}

KTEST(ReserveConcurrently)
{
    ULONG64 Seed = 1;
    SIZE_T Before;

    MiTrimStacks();
    Before = MiReservedPages(MiRegionSystemPtes);

    PtRunThreads(ReserveStorm, &Seed);
    PsFlushEndedThreads();
    MiTrimStacks();
    CHECK(MiReservedPages(MiRegionSystemPtes) <= Before);
    CHECK(MiValidateSystemSpace());
    MiTrimSystemSpace();
}
