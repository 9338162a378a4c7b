/*
 * Operations that benchmarks time and count, and nothing that a machine would need to have for it: ops.c
 * links into a kernel image as well as into a process. Who measures brings the clock.
 */
#ifndef BENCH_OPS_H
#define BENCH_OPS_H

#include <ntifs.h>

#define BENCH_OBJECTS 1000 /* live at once in the rows named so */
#define BENCH_STEPS 4096   /* of the mixed row, then it repeats */

typedef struct _BENCH_OPERATION {
    const char *Name;      /* of the row */
    VOID (*Before)(VOID);  /* not measured; may be NULL */
    VOID (*Run)(SIZE_T Rounds);
    VOID (*After)(VOID);   /* not measured; undoes; may be NULL */
    ULONG PerRound;        /* operations in a round: a figure is for one of them */
    ULONG Rounds;          /* that fill about a hundredth of a second */
    ULONG CountedRounds;   /* after as many to warm up: enough for a steady figure */
} BENCH_OPERATION, *PBENCH_OPERATION;

/*
 * Fill the tables of the rows from a seed: the same for everybody who is compared, so no generator runs in a
 * measured loop. Array: room for BenchMaximumFrames frame numbers.
 */
VOID BenchPrepare(ULONG64 Seed, PFN_NUMBER *Array, SIZE_T MaximumFrames);

/* Orders and sizes, shared by all allocators. */
extern USHORT BenchOrder[BENCH_OBJECTS]; /* a permutation: the order in which objects are freed */
typedef struct _BENCH_STEP {
    USHORT Slot;
    USHORT Size;
} BENCH_STEP;
extern BENCH_STEP BenchSteps[BENCH_STEPS];

/* Tables end with a NULL name. The rows of the two pool tables are the same and in the same order. */
extern const BENCH_OPERATION BenchFrameOperations[];
extern const BENCH_OPERATION BenchPoolOperations[];
extern const BENCH_OPERATION BenchMallocOperations[]; /* malloc.c: whatever malloc this process has */

/* One object of a size from either, for rows that need two processors and for the table of waste. */
PVOID BenchPoolAllocate(SIZE_T Size);
VOID BenchPoolFree(PVOID Block);
PVOID BenchMallocAllocate(SIZE_T Size);
VOID BenchMallocFree(PVOID Block);

#endif
