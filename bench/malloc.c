/*
 * The pool rows for the malloc of this process: glibc's, or the one that LD_PRELOAD put before it. Hosted C.
 */
#include <stdlib.h>

#include "ops.h"

PVOID
BenchMallocAllocate(SIZE_T Size)
{
    return malloc(Size);
}

VOID
BenchMallocFree(PVOID Block)
{
    free(Block);
}

#define BENCH_ALLOCATE(Size) malloc(Size)
#define BENCH_FREE(Block) free(Block)
#define BENCH_TABLE BenchMallocOperations
#include "poolops.h"
