/*
 * compiler.c - what the compiler calls where the processor it may assume has no instruction. Its own library
 * is built for programs: with a red zone, which an interrupt would overwrite.
 */
#include <ntdef.h>

int __popcountdi2(ULONG64 Value);

/* How many bits are set. */
int
__popcountdi2(ULONG64 Value)
{
    Value -= (Value >> 1) & 0x5555555555555555ull;
    Value = (Value & 0x3333333333333333ull) + ((Value >> 2) & 0x3333333333333333ull);
    Value = (Value + (Value >> 4)) & 0x0F0F0F0F0F0F0F0Full;
    return (int)((Value * 0x0101010101010101ull) >> 56);
}
