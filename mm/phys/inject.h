/*
 * Failure injection, the part that allocators consult: "may this request succeed?" A test or the
 * command line switches it on through mm/debug/inject.h. Off, it costs one load.
 *
 * Two kinds of places ask, and two kinds of runs answer. Where the core takes frames, commit or
 * addresses for itself, MiInjectFailure: only a test fails it, to lead the core through its own
 * error paths. Where a routine that images may call is about to allocate, MiInjectRequest: a test
 * fails it too, and so does a run for images (MiInjectImage, option --fail), which counts nothing
 * else. That one asks on behalf of an image only: one call from an image is one request, however
 * many allocations the core makes to serve it, and what the core does for itself is never refused.
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
    MiInjectRate,       /* each with a probability */
    MiInjectHook,       /* those that MI_INJECT_STATE.Hook says; any IRQL */
    MiInjectImage       /* a run for images: MI_INJECT_STATE.ImageRequest says which of their requests fail */
} MI_INJECT_MODE;

typedef struct _MI_INJECT_STATE {
    volatile ULONG Mode;        /* MI_INJECT_MODE */
    ULONG RatePerMillion;
    ULONG64 Nth;                /* from 1 */
    volatile ULONG64 Random;    /* state of the generator of MiInjectRate */
    volatile ULONG64 Requests;  /* asked since the start */
    volatile ULONG64 Failures;  /* of these, refused */
    BOOLEAN (*Hook)(VOID);
    BOOLEAN (*ImageRequest)(BOOLEAN Exempt); /* MiInjectImage: who decides (mm/debug/imagefail.c) */
} MI_INJECT_STATE;

/* Hidden: looked at by every request, so without a detour through a table of addresses. */
extern MI_INJECT_STATE MiInject __attribute__((visibility("hidden")));

/* Does a rule (MiInjectNth, MiInjectFromNth, MiInjectRate, MiInjectHook) refuse the request of this number? */
BOOLEAN MiInjectRuleFails(ULONG Rule, ULONG64 Request);

/* For the inline routines below: injection is on. */
BOOLEAN MiInjectDecide(VOID);
BOOLEAN MiInjectDecideRequest(VOID);
VOID MiInjectExemptRequest(VOID);

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

/* TRUE: the core must not get this frame, charge or address, as if memory were short. */
static inline BOOLEAN
MiInjectFailure(VOID)
{
    return MiInjectIsActive() && MiInjectDecide();
}

/* TRUE: this request, of an image perhaps, must fail as if memory were short. Asked after its arguments were checked. */
static inline BOOLEAN
MiInjectRequest(VOID)
{
    return MiInjectIsActive() && MiInjectDecideRequest();
}

/* The call from an image that is in progress never fails for lack of memory: what it allocates is no request. */
static inline VOID
MiInjectExempt(VOID)
{
    if (MiInjectIsActive()) {
        MiInjectExemptRequest();
    }
}

#endif
