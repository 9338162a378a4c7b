/*
 * The operations of the core that benchmarks measure: page frames and pools. Freestanding, IRQL PASSIVE_LEVEL,
 * one processor at a time. Loops are those of `targets`: the figure of an operation includes its loop.
 */
#include "ops.h"

#include <mm/phys/physp.h>

USHORT BenchOrder[BENCH_OBJECTS];
BENCH_STEP BenchSteps[BENCH_STEPS];

static PFN_NUMBER *BenchFrames; /* owned by the rows between Before and After */
static SIZE_T BenchFrameLimit;
static SIZE_T BenchFrameCount;

#define BENCH_RUN_FRAMES 512ull

/* --- Tables --------------------------------------------------------------------------------------- */

static ULONG64
BenchRandom(ULONG64 *State)
{
    ULONG64 Value = *State += 0x9E3779B97F4A7C15ull;

    Value = (Value ^ (Value >> 30)) * 0xBF58476D1CE4E5B9ull;
    return Value ^ (Value >> 27);
}

VOID
BenchPrepare(ULONG64 Seed, PFN_NUMBER *Array, SIZE_T MaximumFrames)
{
    BenchFrames = Array;
    BenchFrameLimit = MaximumFrames;
    for (ULONG Index = 0; Index < BENCH_OBJECTS; Index++) {
        ULONG Other = (ULONG)(BenchRandom(&Seed) % (Index + 1));

        BenchOrder[Index] = BenchOrder[Other];
        BenchOrder[Other] = (USHORT)Index;
    }
    for (ULONG Index = 0; Index < BENCH_STEPS; Index++) {
        BenchSteps[Index].Slot = (USHORT)(BenchRandom(&Seed) % BENCH_OBJECTS);
        BenchSteps[Index].Size = (USHORT)(16 + BenchRandom(&Seed) % (4096 - 16 + 1));
    }
}

/* --- Page frames ---------------------------------------------------------------------------------- */

static VOID
BenchHotFrame(SIZE_T Rounds)
{
    for (SIZE_T Round = 0; Round < Rounds; Round++) {
        MiFreeFrame(MiGetFrame(0, MM_ANY_NODE_OK, MiUseNonPagedPool));
    }
}

static VOID
BenchGetEach(SIZE_T Rounds)
{
    for (SIZE_T Round = 0; Round < Rounds && BenchFrameCount < BenchFrameLimit; Round++) {
        BenchFrames[BenchFrameCount++] = MiGetFrame(0, MM_ANY_NODE_OK, MiUseNonPagedPool);
    }
}

static VOID
BenchPutEach(SIZE_T Rounds)
{
    for (SIZE_T Round = 0; Round < Rounds && BenchFrameCount != 0; Round++) {
        MiFreeFrame(BenchFrames[--BenchFrameCount]);
    }
}

static VOID
BenchGetMany(SIZE_T Rounds)
{
    for (SIZE_T Round = 0; Round < Rounds && BenchFrameCount < BenchFrameLimit; Round++) {
        BenchFrameCount += MiGetFrames(MI_GET_ALL, MM_ANY_NODE_OK, MiUseNonPagedPool,
                                       BENCH_RUN_FRAMES, &BenchFrames[BenchFrameCount]);
    }
}

static VOID
BenchPutMany(SIZE_T Rounds)
{
    for (SIZE_T Round = 0; Round < Rounds && BenchFrameCount != 0; Round++) {
        BenchFrameCount -= BENCH_RUN_FRAMES;
        MiFreeFrames(&BenchFrames[BenchFrameCount], BENCH_RUN_FRAMES);
    }
}

/* All that the table has room for. */
static VOID
BenchTakeAll(VOID)
{
    BenchGetEach(BenchFrameLimit);
}

static VOID
BenchGiveAll(VOID)
{
    BenchPutEach(BenchFrameLimit);
}

/* Frames of a row that measures fresh memory are not given back: the next time it must be fresh again. */
static VOID
BenchKeepAll(VOID)
{
    BenchFrameCount = 0;
}

static VOID
BenchHotRun(SIZE_T Rounds)
{
    for (SIZE_T Round = 0; Round < Rounds; Round++) {
        PFN_NUMBER First =
            MiGetContiguousFrames(0, MM_ANY_NODE_OK, MiUseDriverLocked, BENCH_RUN_FRAMES, 0,
                                  MiHighestFrame, BENCH_RUN_FRAMES, 0);

        MiFreeContiguousFrames(First, BENCH_RUN_FRAMES);
    }
}

/* The first frames of runs, as many as the table has room for. */
static VOID
BenchGetRun(SIZE_T Rounds)
{
    for (SIZE_T Round = 0; Round < Rounds && BenchFrameCount < BenchFrameLimit; Round++) {
        BenchFrames[BenchFrameCount++] = MiGetContiguousFrames(0, MM_ANY_NODE_OK, MiUseDriverLocked, BENCH_RUN_FRAMES, 0,
                                                               MiHighestFrame, BENCH_RUN_FRAMES, 0);
    }
}

static VOID
BenchPutRun(SIZE_T Rounds)
{
    for (SIZE_T Round = 0; Round < Rounds && BenchFrameCount != 0; Round++) {
        MiFreeContiguousFrames(BenchFrames[--BenchFrameCount], BENCH_RUN_FRAMES);
    }
}

#define BENCH_RUNS 64 /* two megabytes each */

static VOID
BenchTakeRuns(VOID)
{
    BenchGetRun(BENCH_RUNS);
}

static VOID
BenchGiveRuns(VOID)
{
    BenchPutRun(BENCH_RUNS);
}

#define BENCH_BULK 131072 /* frames a time: half a gigabyte */

const BENCH_OPERATION BenchFrameOperations[] = {
    {"get each, fresh memory", NULL, BenchGetEach, BenchKeepAll, 1, BENCH_BULK, 16384},
    {"hot get/put pair", NULL, BenchHotFrame, NULL, 1, 200000, 2000},
    {"bulk get", NULL, BenchGetEach, BenchGiveAll, 1, BENCH_BULK, 16384},
    {"bulk put", BenchTakeAll, BenchPutEach, BenchGiveAll, 1, BENCH_BULK, 16384},
    {"512 at once: get", NULL, BenchGetMany, BenchGiveAll, 512, BENCH_BULK / 512, 32},
    {"512 at once: put", BenchTakeAll, BenchPutMany, BenchGiveAll, 512, BENCH_BULK / 512, 32},
    {"2 MB get/put pair", NULL, BenchHotRun, NULL, 1, 20000, 1000},
    {"2 MB get", NULL, BenchGetRun, BenchGiveRuns, 1, BENCH_RUNS, BENCH_RUNS},
    {"2 MB put", BenchTakeRuns, BenchPutRun, BenchGiveRuns, 1, BENCH_RUNS, BENCH_RUNS},
    {NULL, NULL, NULL, NULL, 0, 0, 0},
};

/* --- Pools ---------------------------------------------------------------------------------------- */

#define BENCH_TAG 0x68636E42 /* "Bnch" */

PVOID
BenchPoolAllocate(SIZE_T Size)
{
    return ExAllocatePool2(POOL_FLAG_NON_PAGED | POOL_FLAG_UNINITIALIZED, Size, BENCH_TAG);
}

VOID
BenchPoolFree(PVOID Block)
{
    ExFreePoolWithTag(Block, BENCH_TAG);
}

/* As a driver calls them: no wrapper in the loop. */
#define BENCH_ALLOCATE(Size) \
    ExAllocatePool2(POOL_FLAG_NON_PAGED | POOL_FLAG_UNINITIALIZED, (Size), BENCH_TAG)
#define BENCH_FREE(Block) ExFreePoolWithTag((Block), BENCH_TAG)
#define BENCH_TABLE BenchPoolOperations
#include "poolops.h"
