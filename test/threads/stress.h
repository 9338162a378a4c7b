/*
 * Stress on the threads plug.
 */
#ifndef TEST_THREADS_STRESS_H
#define TEST_THREADS_STRESS_H

#include <mm/mi.h>

/* All processors do everything mm/phys offers to each other's pages, for so long. */
VOID StressPageFrames(ULONG Seconds, ULONG64 Seed);

/* One processor runs out of frames: it gets those in the other processors' caches too. */
VOID StressOtherCaches(VOID);

#endif
