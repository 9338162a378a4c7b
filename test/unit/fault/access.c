/* MmAccessFault, asked directly and through real touches. */
#include "../pte/ptetest.h"

#define ACCESS_READ          0u
#define ACCESS_WRITE         2u
#define ACCESS_WRITE_PRESENT 3u
#define ACCESS_FETCH         0x10u
#define ACCESS_FETCH_PRESENT 0x11u

KTEST(AccessOutsideIsViolation)
{
    PUCHAR Va = MiReserveSystemVa(MiRegionSystemPtes, 2, 1);
    ULONG_PTR Start, End;

    REQUIRE(Va != NULL);
    MiRegionBounds(MiRegionPagedPool, &Start, &End);
    CHECK_STATUS(STATUS_ACCESS_VIOLATION, MmAccessFault(ACCESS_READ, Va, KernelMode, NULL));
    CHECK_STATUS(STATUS_ACCESS_VIOLATION, MmAccessFault(ACCESS_WRITE, (PVOID)(End - 8), KernelMode, NULL));
    CHECK_STATUS(STATUS_ACCESS_VIOLATION, MmAccessFault(ACCESS_READ, NULL, KernelMode, NULL));
    CHECK_STATUS(STATUS_ACCESS_VIOLATION, MmAccessFault(ACCESS_READ, (PVOID)0x7000, UserMode, NULL));
    CHECK_STATUS(STATUS_ACCESS_VIOLATION,
                 MmAccessFault(ACCESS_READ, (PVOID)0x8000000000000000ull, KernelMode, NULL));
    MiReleaseSystemVa(MiRegionSystemPtes, Va, 2);
    MiTrimSystemSpace();
}

KTEST(AccessFromUserModeIsViolation)
{
    PUCHAR Va = PtMakePageable(1, MM_READWRITE);

    REQUIRE(Va != NULL);
    CHECK_STATUS(STATUS_ACCESS_VIOLATION, MmAccessFault(ACCESS_READ, Va, UserMode, NULL));
    Va[0] = 1;
    CHECK_STATUS(STATUS_ACCESS_VIOLATION, MmAccessFault(ACCESS_READ | 1, Va, UserMode, NULL));
    PtDeletePageable(Va, 1);
    MiTrimSystemSpace();
}

/* A write to an absent read-only page brings it in; what it then is, the processor reports. */
KTEST(AccessReadOnlyIsJudgedWhenValid)
{
    PUCHAR Va = PtMakePageable(1, MM_READONLY);

    REQUIRE(Va != NULL);
    CHECK_STATUS(STATUS_SUCCESS, MmAccessFault(ACCESS_WRITE, Va, KernelMode, NULL));
    CHECK(MmIsAddressValid(Va));
    CHECK(!MiPteIsWritable(PtEntry(Va)));
    CHECK_STATUS(STATUS_ACCESS_VIOLATION, MmAccessFault(ACCESS_WRITE_PRESENT, Va, KernelMode, NULL));
    CHECK_STATUS(STATUS_ACCESS_VIOLATION, MmAccessFault(ACCESS_FETCH_PRESENT, Va, KernelMode, NULL));
    CHECK_EQ(((volatile UCHAR *)Va)[0], 0);
    PtDeletePageable(Va, 1);
    MiTrimSystemSpace();
}

KTEST(AccessDirtyFollowsTheWrite)
{
    PUCHAR Va = PtMakePageable(2, MM_EXECUTE_READWRITE);

    REQUIRE(Va != NULL);
    CHECK_STATUS(STATUS_SUCCESS, MmAccessFault(ACCESS_FETCH, Va, KernelMode, NULL));
    CHECK_STATUS(STATUS_SUCCESS, MmAccessFault(ACCESS_WRITE, Va + PAGE_SIZE, KernelMode, NULL));
    CHECK(!MiPteIsDirty(PtEntry(Va)));
    CHECK(MiPteIsDirty(PtEntry(Va + PAGE_SIZE)));
    CHECK(MiPteIsExecutable(PtEntry(Va)));
    PtDeletePageable(Va, 2);
    MiTrimSystemSpace();
}

KTEST(AccessSpuriousSucceeds)
{
    ULONG64 Before, After, DemandZero, Transition, DemandZeroAfter;
    PUCHAR Va = PtMakePageable(1, MM_READWRITE);

    REQUIRE(Va != NULL);
    Va[0] = 1;
    MiQueryFaults(&Before, &DemandZero, &Transition);
    CHECK_STATUS(STATUS_SUCCESS, MmAccessFault(ACCESS_READ, Va, KernelMode, NULL));
    CHECK_STATUS(STATUS_SUCCESS, MmAccessFault(ACCESS_WRITE_PRESENT, Va, KernelMode, NULL));
    MiQueryFaults(&After, &DemandZeroAfter, &Transition);
    CHECK(After >= Before + 2);
    CHECK_EQ(DemandZeroAfter, DemandZero);
    CHECK_EQ(Va[0], 1);
    PtDeletePageable(Va, 1);
    MiTrimSystemSpace();
}

KTEST(AccessCountsSoftFaults)
{
    ULONG64 Total, DemandZero, Before, After;
    PUCHAR Va = PtMakePageable(1, MM_READWRITE);

    REQUIRE(Va != NULL);
    Va[0] = 1;
    MiTrimRange(Va, 1);
    MiQueryFaults(&Total, &DemandZero, &Before);
    CHECK_EQ(Va[0], 1);
    MiQueryFaults(&Total, &DemandZero, &After);
    CHECK_EQ(After, Before + 1);
    PtDeletePageable(Va, 1);
    MiTrimSystemSpace();
}

/* --- Memory that does not come
 * ------------------------------------------------------------------------------------ */

KTEST(AccessWithoutFramesIsNoMemory)
{
    PUCHAR Va = PtMakePageable(1, MM_READWRITE);

    REQUIRE(Va != NULL);
    PtFailNth(1, TRUE);
    CHECK_STATUS(STATUS_NO_MEMORY, MmAccessFault(ACCESS_WRITE, Va, KernelMode, NULL));
    CHECK(PtStopFailing());
    CHECK(MiPteIsDemandZero(PtEntry(Va)));
    PtFailNth(1, FALSE);
    CHECK_STATUS(STATUS_SUCCESS, MmAccessFault(ACCESS_WRITE, Va, KernelMode, NULL));
    CHECK(PtStopFailing());
    PtDeletePageable(Va, 1);
    MiTrimSystemSpace();
}

/* Runs in a thread of its own, so memory is short only once that thread is there. */
static VOID
AccessTrapStarved(PVOID Va)
{
    KTRAP_FRAME TrapFrame = {0};

    PtFailNth(1, TRUE);
    MmAccessFault(ACCESS_WRITE, Va, KernelMode, &TrapFrame);
}

KTEST(AccessTrapWithoutFramesStops)
{
    PUCHAR Va = PtMakePageable(1, MM_READWRITE);
    KTEST_BUGCHECK Caught = {0};

    REQUIRE(Va != NULL);
    CHECK(KTestExpectBugCheck(AccessTrapStarved, Va, &Caught));
    CHECK(PtStopFailing());
    CHECK_EQ(Caught.Code, NO_PAGES_AVAILABLE);
    CHECK(MiPteIsDemandZero(PtEntry(Va)));
    PtDeletePageable(Va, 1);
    MiTrimSystemSpace();
}

/* --- Collisions
 * ----------------------------------------------------------------------------------------------------- */

#define ACCESS_PAGES 64u

typedef struct _ACCESS_COLLISION {
    PUCHAR Va;
    ULONG Arrived;
} ACCESS_COLLISION;

/* All threads add one to the first word of every page. */
static VOID NTAPI
AccessCollide(PVOID Context)
{
    ACCESS_COLLISION *Collision = Context;

    __atomic_fetch_add(&Collision->Arrived, 1, __ATOMIC_RELAXED);
    for (ULONG Page = 0; Page < ACCESS_PAGES; Page += 1) {
        __atomic_fetch_add((PULONG)(Collision->Va + Page * PAGE_SIZE), 1, __ATOMIC_RELAXED);
        HalChoicePoint(HalChoiceLock);
    }
}

KTEST(AccessCollisionsMakeOnePage)
{
    ACCESS_COLLISION Collision = {0};
    ULONG64 Total, Before, After, Transition;

    Collision.Va = PtMakePageable(ACCESS_PAGES, MM_READWRITE);
    REQUIRE(Collision.Va != NULL);
    MiQueryFaults(&Total, &Before, &Transition);
    PtRunThreads(AccessCollide, &Collision);
    MiQueryFaults(&Total, &After, &Transition);
    CHECK_EQ(Collision.Arrived, PT_THREADS);
    CHECK_EQ(After - Before, ACCESS_PAGES);
    for (ULONG Page = 0; Page < ACCESS_PAGES; Page += 1) {
        CHECK_EQ(*(PULONG)(Collision.Va + Page * PAGE_SIZE), PT_THREADS);
    }
    CHECK(MiValidateSystemSpace());
    PtDeletePageable(Collision.Va, ACCESS_PAGES);
    MiTrimSystemSpace();
}
