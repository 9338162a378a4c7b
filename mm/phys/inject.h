/*
 * Failure injection, the part that allocators consult: "may this request succeed?" A test or the
 * command line switches it on through mm/debug/inject.h. Off, it costs one load.
 *
 * And the word that keeps the allocators' common path short: MiUnusual. While a bit is set, requests go
 * the long way, which asks what is unusual.
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

/* Bits above every size, so that one comparison of a size with a limit can ask for them too. */
#define MI_UNUSUAL_INJECT  (1ull << 48) /* the state above is not off */
#define MI_UNUSUAL_VERIFY  (1ull << 49) /* the verifier's part in the pools, MiPoolVerify */
#define MI_UNUSUAL_SPECIAL (1ull << 50) /* something is chosen for special pool */
#define MI_UNUSUAL_IMAGES  (1ull << 51) /* what images ask for is to be looked at first */

extern volatile ULONG64 MiUnusual __attribute__((visibility("hidden")));

/* Set or clear bits of MiUnusual. What they stand for is in place before they are set. Any IRQL. */
static inline VOID
MiSetUnusual(ULONG64 Bits, BOOLEAN On)
{
    if (On) {
        __atomic_fetch_or(&MiUnusual, Bits, __ATOMIC_RELEASE);
    } else {
        __atomic_fetch_and(&MiUnusual, ~Bits, __ATOMIC_RELEASE);
    }
}

/* Begin, change or end injection; the other fields were filled in. */
static inline VOID
MiSetInjectMode(MI_INJECT_MODE Mode)
{
    __atomic_store_n(&MiInject.Mode, Mode, __ATOMIC_RELEASE);
    MiSetUnusual(MI_UNUSUAL_INJECT, Mode != MiInjectOff);
}

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
