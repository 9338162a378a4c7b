/*
 * Failure injection: the decisions. See inject.h; modes are set in mm/debug/inject.c.
 */
#include "inject.h"

MI_INJECT_STATE MiInject;
volatile ULONG64 MiUnusual;

/* One step of a Weyl sequence, mixed: good enough to be unrelated to what the requests are. */
static ULONG64
MipInjectRandom(VOID)
{
    ULONG64 Value = __atomic_add_fetch(&MiInject.Random, 0x9E3779B97F4A7C15ull, __ATOMIC_RELAXED);

    Value = (Value ^ (Value >> 30)) * 0xBF58476D1CE4E5B9ull;
    Value = (Value ^ (Value >> 27)) * 0x94D049BB133111EBull;
    return Value ^ (Value >> 31);
}

BOOLEAN
MiInjectRuleFails(ULONG Rule, ULONG64 Request)
{
    switch (Rule) {
    case MiInjectNth:
        return Request == MiInject.Nth;
    case MiInjectFromNth:
        return Request >= MiInject.Nth;
    case MiInjectRate:
        return MipInjectRandom() % 1000000 < MiInject.RatePerMillion;
    case MiInjectHook:
        return MiInject.Hook();
    default:
        return FALSE;
    }
}

/* Count what the core asks for and say whether it fails. */
BOOLEAN
MiInjectDecide(VOID)
{
    ULONG Mode = __atomic_load_n(&MiInject.Mode, __ATOMIC_ACQUIRE);

    if (Mode == MiInjectImage ||
        !MiInjectRuleFails(Mode, __atomic_add_fetch(&MiInject.Requests, 1, __ATOMIC_RELAXED))) {
        return FALSE;
    }
    __atomic_fetch_add(&MiInject.Failures, 1, __ATOMIC_RELAXED);
    return TRUE;
}

/* Say whether a request that images can make fails. */
BOOLEAN
MiInjectDecideRequest(VOID)
{
    if (__atomic_load_n(&MiInject.Mode, __ATOMIC_ACQUIRE) != MiInjectImage) {
        return MiInjectDecide();
    }
    return MiInject.ImageRequest(FALSE);
}

VOID
MiInjectExemptRequest(VOID)
{
    if (__atomic_load_n(&MiInject.Mode, __ATOMIC_ACQUIRE) == MiInjectImage) {
        MiInject.ImageRequest(TRUE);
    }
}
