/*
 * What the tests of page tables and faults share: failure injection around a call, threads, a small
 * generator.
 */
#ifndef TEST_UNIT_PTE_PTETEST_H
#define TEST_UNIT_PTE_PTETEST_H

#include <mm/pool/pool.h>
#include <ktest.h>
#include <mm/phys/inject.h>
#include <mm/pte/pte.h>
#include <ps/ps.h>

/* The Nth request for memory from now on fails (with every later one, if All). */
static inline VOID
PtFailNth(ULONG64 Nth, BOOLEAN All)
{
    MiInject.Nth = Nth;
    MiInject.Requests = 0;
    MiInject.Failures = 0;
    MiSetInjectMode(All ? MiInjectFromNth : MiInjectNth);
}

/* No more failures; TRUE if there was one. */
static inline BOOLEAN
PtStopFailing(VOID)
{
    MiSetInjectMode(MiInjectOff);
    return MiInject.Failures != 0;
}

typedef struct _PT_FIGURES {
    SIZE_T Available;
    SIZE_T Commit;
} PT_FIGURES;

/* What must be the same again; caches of system space are emptied first. */
/* Available pages, and what the pools' own records, which may grow with what the machine does meanwhile, took of them. */
static inline SIZE_T
PtAvailable(VOID)
{
    MI_POOL_USAGE Usage;

    MiQueryPoolUsage(&Usage);
    return MiAvailablePages() + Usage.MetadataPages;
}

static inline PT_FIGURES
PtMeasure(VOID)
{
    PT_FIGURES Figures;
    SIZE_T Limit, Peak;
    MI_POOL_USAGE Usage;

    MiTrimSystemSpace();
    MiQueryPoolUsage(&Usage);
    MiQueryCommit(&Figures.Commit, &Limit, &Peak);
    Figures.Available = PtAvailable();
    Figures.Commit -= Usage.MetadataPages;
    return Figures;
}

#define PT_CHECK_SAME(Before)                                                                                \
    do {                                                                                                     \
        PT_FIGURES PtAfter_ = PtMeasure();                                                                   \
        CHECK_EQ(PtAfter_.Available, (Before).Available);                                                    \
        CHECK_EQ(PtAfter_.Commit, (Before).Commit);                                                          \
    } while (0)

static inline ULONG
PtRandom(PULONG64 State)
{
    *State = *State * 6364136223846793005ull + 1442695040888963407ull;
    return (ULONG)(*State >> 33);
}

#define PT_THREADS 4

/* Run Routine in several threads at once and wait for all. */
static inline VOID
PtRunThreads(VOID(NTAPI *Routine)(PVOID), PVOID Context)
{
    PKTHREAD Threads[PT_THREADS];
    ULONG Count = 0;

    while (Count < PT_THREADS && NT_SUCCESS(PsCreateCoreThread(Routine, Context, 8, &Threads[Count]))) {
        Count += 1;
    }
    CHECK_EQ(Count, PT_THREADS);
    while (Count != 0) {
        Count -= 1;
        KeWaitForSingleObject(Threads[Count], Executive, KernelMode, FALSE, NULL);
        ObDereferenceObject(Threads[Count]);
    }
}

/* A range of demand-zero pages with its charge. */
static inline PUCHAR
PtMakePageable(SIZE_T PageCount, MI_PROTECTION Protection)
{
    PUCHAR Va = MiReserveSystemVa(MiRegionPagedPool, PageCount, 1);

    if (Va != NULL) {
        MiMakeDemandZeroRange(Va, PageCount, Protection, MiUsePagedPool);
    }
    return Va;
}

static inline VOID
PtDeletePageable(PUCHAR Va, SIZE_T PageCount)
{
    MiDeletePageableRange(Va, PageCount);
    MiReleaseSystemVa(MiRegionPagedPool, Va, PageCount);
}

/* The last-level entry of an address that the test has reserved. */
static inline MMPTE
PtEntry(PVOID Va)
{
    MI_WALK Walk;

    MiWalk(MiSystemRootFrame, (ULONG_PTR)Va, &Walk);
    return Walk.Value;
}

#endif
