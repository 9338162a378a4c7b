/*
 * Failure injection, the part that allocators consult: "may this request succeed?" A test or the
 * command line switches it on through mm/debug/inject.h. Off, it costs one load.
 *
 * Any IRQL; no locks: the counters are atomic, so which of two concurrent requests is the Nth
 * depends on the schedule, which the seed decides on the hosted machine.
 */
#ifndef MM_PHYS_INJECT_H
#define MM_PHYS_INJECT_H

#include <mm/mi.h>

typedef enum _MI_INJECT_MODE {
    MiInjectOff = 0,
    MiInjectNth,        /* the Nth request since the start fails, and no other */
    MiInjectFromNth,    /* the Nth and every later one */
    MiInjectRate        /* each with a probability */
} MI_INJECT_MODE;

typedef struct _MI_INJECT_STATE {
    volatile ULONG Mode;        /* MI_INJECT_MODE */
    ULONG RatePerMillion;
    ULONG64 Nth;                /* from 1 */
    volatile ULONG64 Random;    /* state of the generator of MiInjectRate */
    volatile ULONG64 Requests;  /* asked since the start */
    volatile ULONG64 Failures;  /* of these, refused */
} MI_INJECT_STATE;

/* Hidden: looked at by every request, so without a detour through a table of addresses. */
extern MI_INJECT_STATE MiInject __attribute__((visibility("hidden")));

BOOLEAN MiInjectDecide(VOID);

static inline BOOLEAN
MiInjectIsActive(VOID)
{
    return __builtin_expect(__atomic_load_n(&MiInject.Mode, __ATOMIC_RELAXED) != MiInjectOff, 0);
}

/* TRUE: this request must fail as if memory were short. Each public request asks once. */
static inline BOOLEAN
MiInjectFailure(VOID)
{
    return MiInjectIsActive() && MiInjectDecide();
}

#endif
