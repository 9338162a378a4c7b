/*
 * Failure injection: the decision. See inject.h; modes are set in mm/debug/inject.c.
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

/* Count the request and say whether it fails. */
BOOLEAN
MiInjectDecide(VOID)
{
    ULONG64 Request = __atomic_add_fetch(&MiInject.Requests, 1, __ATOMIC_RELAXED);
    BOOLEAN Fail = FALSE;

    switch (__atomic_load_n(&MiInject.Mode, __ATOMIC_ACQUIRE)) {
    case MiInjectNth:
        Fail = Request == MiInject.Nth;
        break;
    case MiInjectFromNth:
        Fail = Request >= MiInject.Nth;
        break;
    case MiInjectRate:
        Fail = MipInjectRandom() % 1000000 < MiInject.RatePerMillion;
        break;
    default:
        break;
    }
    if (Fail) {
        __atomic_fetch_add(&MiInject.Failures, 1, __ATOMIC_RELAXED);
    }
    return Fail;
}
