/*
 * The benchmarks on the threads plug: what its files know of each other. Hosted C.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <hal/threads/threads.h>

/* Lay out the regions; before MiInitializePools. */
VOID SpaceStart(VOID);

#endif
