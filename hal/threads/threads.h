/*
 * The threads plug: simulated RAM and one KPCR per host thread, enough of a machine for rtl, the
 * spin locks of ke, mm/phys and mm/pool. For tests and benchmarks only: ThreadSanitizer and other
 * allocators work here, and neither of the real machines has them.
 */
#ifndef HAL_THREADS_THREADS_H
#define HAL_THREADS_THREADS_H

#include <hal/hal.h>

typedef struct _HALT_CONFIG {
    ULONG64 MemoryBytes;    /* frames 1 up, with holes as a PC has them */
    ULONG Processors;
    ULONG Nodes;            /* 1 or more: memory and processors are dealt out evenly */
    BOOLEAN Dirty;          /* RAM and frame records hold garbage, as after firmware */
    ULONG64 Seed;
} HALT_CONFIG;

/* Make the machine; the calling thread becomes processor 0. Once per process. */
PHAL_LOADER_BLOCK HaltStart(const HALT_CONFIG *Config);

/* RAM: frame n is at offset n * PAGE_SIZE of this file. For who maps frames elsewhere. */
extern int HaltMemoryFile;

/* Lay out system space for a program with mm/pool in it; before MiInitializePools. */
VOID HaltStartSpace(VOID);

/*
 * Run Routine(processor number, Context) on every processor at once and wait for all. From
 * processor 0.
 */
VOID HaltRunEverywhere(VOID (*Routine)(ULONG, PVOID), PVOID Context);

/* Run Routine; TRUE if a bug check ended it, and which. Locks it held are lost. */
BOOLEAN HaltCatchBugCheck(VOID (*Routine)(PVOID), PVOID Context, ULONG *Code, ULONG64 *Parameters);

#endif
