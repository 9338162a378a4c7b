/*
 * special.h - which allocations of pool get pages of their own: the value of --special-pool.
 */
#ifndef NTMM_CLI_SPECIAL_H
#define NTMM_CLI_SPECIAL_H

#include <stdbool.h>
#include <stdint.h>

typedef struct _RUN_SPECIAL_POOL {
    bool Given;
    bool Everything;
    bool Underrun;     /* guard the start of blocks rather than their end */
    uint32_t Tag;      /* pattern with '?' and '*', 0: none */
    uint64_t SizeLow;  /* bytes, with SizeHigh; both 0: none */
    uint64_t SizeHigh;
} RUN_SPECIAL_POOL;

/* Parse all, SIZE, LOW-HIGH or TAG, with ",underrun" or not. False after a Diag when the value cannot be meant. */
bool
SpecialParse(const char *Value, RUN_SPECIAL_POOL *Special);

#endif
