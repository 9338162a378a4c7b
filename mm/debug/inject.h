/*
 * Switching failure injection on and off, for tests and for the option --fail. What is asked before
 * each allocation is mm/phys/inject.h.
 */
#ifndef MM_DEBUG_INJECT_H
#define MM_DEBUG_INJECT_H

#include <mm/phys/inject.h>

/* Fail the Nth request from now on (from 1), and only that one. */
VOID MiInjectStartNth(ULONG64 Nth);
/* Fail the Nth request and all later ones: memory that stays short. */
VOID MiInjectStartFromNth(ULONG64 Nth);
/* Fail each request with this probability; Seed decides which. */
VOID MiInjectStartRate(ULONG RatePerMillion, ULONG64 Seed);

/* Fail each request that Hook, called at any IRQL, says TRUE of. */
VOID MiInjectStartHook(BOOLEAN (*Hook)(VOID));

/*
 * Start what the text asks for: "nth:17", "from:17", or "rate:0.01" (0 to 1, up to six digits).
 * STATUS_INVALID_PARAMETER, and nothing changes, if it is none of these.
 */
NTSTATUS MiInjectStartText(const char *Text, ULONG64 Seed);

/* What both kinds of runs begin with: the rule of a text, MiInjectOff if it is none; and the start under a mode. */
MI_INJECT_MODE MiInjectReadRule(const char *Text, PULONG64 Nth, PULONG RatePerMillion);
VOID MiInjectStart(MI_INJECT_MODE Mode, ULONG64 Nth, ULONG RatePerMillion, ULONG64 Seed);

/* Stop. Returns how many requests were refused; *Requests (optional) how many there were. Records stay. */
ULONG64 MiInjectStop(ULONG64 *Requests);

#endif
