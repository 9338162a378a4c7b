/*
 * seed.c - everything that looks like chance.
 *
 * Owns the generators. One stream per purpose, so that drawing for one does not move another: what
 * the core places depends on how often the core drew, not on how the processors were interleaved.
 * Nothing else in the machine is a source of chance: no host time, process number or host address.
 * Never fails, never blocks, no locks (one host thread).
 */
#include "halp.h"

HALP_STREAM HalpScheduleStream;
HALP_STREAM HalpTimeStream;
static HALP_STREAM HalpPlacementStream;

/*
 * The next value: a counter with an odd step, mixed so that neighbours share nothing (SplitMix64).
 */
ULONG64
HalpDraw(HALP_STREAM *Stream)
{
    ULONG64 Mixed;

    Stream->State += 0x9E3779B97F4A7C15ull;
    Mixed = Stream->State;
    Mixed = (Mixed ^ (Mixed >> 30)) * 0xBF58476D1CE4E5B9ull;
    Mixed = (Mixed ^ (Mixed >> 27)) * 0x94D049BB133111EBull;
    return Mixed ^ (Mixed >> 31);
}

/* By multiplication: biased by less than Bound / 2^32, which no schedule notices. */
ULONG
HalpDrawBelow(HALP_STREAM *Stream, ULONG Bound)
{
    return (ULONG)(((HalpDraw(Stream) >> 32) * Bound) >> 32);
}

/* Derive the streams from the run's seed. */
VOID
HalpInitializeSeed(ULONG64 Seed)
{
    HALP_STREAM Origin = {Seed};

    HalpPlacementStream.State = HalpDraw(&Origin);
    HalpScheduleStream.State = HalpDraw(&Origin);
    HalpTimeStream.State = HalpDraw(&Origin);
}

/* Sixty-four bits of the core's stream. Any IRQL. */
ULONG64
HalRandom(VOID)
{
    return HalpDraw(&HalpPlacementStream);
}
