/*
 * random.c - seeded numbers. Everything random in ntmm is a function of a seed, so that a run can be
 * repeated; nothing here is fit for secrets. The generator is xoshiro256**, its state spread from
 * the seed by splitmix64, both as their authors published them.
 */
#include <ntifs.h>
#include <ntexport.h>
#include "rtl.h"

static ULONG64
RtlpSplitMix(ULONG64 *State)
{
    ULONG64 Z;

    *State += 0x9E3779B97F4A7C15ULL;
    Z = *State;
    Z = (Z ^ (Z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    Z = (Z ^ (Z >> 27)) * 0x94D049BB133111EBULL;
    return Z ^ (Z >> 31);
}

static ULONG64
RtlpRotateLeft(ULONG64 Value, ULONG Bits)
{
    return Value << Bits | Value >> (64 - Bits);
}

VOID
RtlpRandomSeed(PRTLP_RANDOM Random, ULONG64 Seed)
{
    ULONG i;

    for (i = 0; i < ARRAYSIZE(Random->State); i++) {
        Random->State[i] = RtlpSplitMix(&Seed);
    }
}

ULONG64
RtlpRandomNext(PRTLP_RANDOM Random)
{
    ULONG64 *S = Random->State;
    ULONG64 Result = RtlpRotateLeft(S[1] * 5, 7) * 9;
    ULONG64 T = S[1] << 17;

    S[2] ^= S[0];
    S[3] ^= S[1];
    S[1] ^= S[2];
    S[0] ^= S[3];
    S[2] ^= T;
    S[3] = RtlpRotateLeft(S[3], 45);
    return Result;
}

ULONG64
RtlpRandomBelow(PRTLP_RANDOM Random, ULONG64 Limit)
{
    ULONG64 Fair = MAXULONGLONG - MAXULONGLONG % Limit;
    ULONG64 Value;

    /* The part above the last multiple of Limit would favour small results. */
    do {
        Value = RtlpRandomNext(Random);
    } while (Value >= Fair);
    return Value % Limit;
}

/* One step of the documented congruential generator; the result, also stored, is below MAXLONG. */
ULONG NTAPI
RtlUniform(PULONG Seed)
{
    *Seed = (ULONG)((0x7FFFFFEDULL * *Seed + 0x7FFFFFC3ULL) % MAXLONG);
    return *Seed;
}
NTEXPORT(RtlUniform);

/*
 * A number from 0 to MAXLONG - 1, uniformly distributed; *Seed is replaced. The system's generator
 * shuffles through a table of its own; here the result is a function of the seed alone.
 */
ULONG NTAPI
RtlRandomEx(PULONG Seed)
{
    ULONG64 State = *Seed;
    ULONG Result = (ULONG)(RtlpSplitMix(&State) % MAXLONG);

    *Seed = (ULONG)(RtlpSplitMix(&State) % MAXLONG);
    return Result;
}
NTEXPORT(RtlRandomEx);

/* As RtlRandomEx. */
ULONG NTAPI
RtlRandom(PULONG Seed)
{
    return RtlRandomEx(Seed);
}
NTEXPORT(RtlRandom);
