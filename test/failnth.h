/*
 * Fail the Nth: a call is made again and again, with its first, second, ... request for memory refused, until it gets
 * all it asks for. After each refusal everything must be as before: pages, commit, blocks of pool by tag, handles, and
 * the validators content.
 *
 *   static BOOLEAN
 *   TryThing(PVOID Context)
 *   {
 *       PVOID Thing = MakeThing();        // the call
 *
 *       if (Thing == NULL) {
 *           return FALSE;                 // refused: it must have left nothing behind
 *       }
 *       DeleteThing(Thing);               // got it: undone
 *       return TRUE;
 *   }
 *
 *   KTEST(ThingFailsCleanly)
 *   {
 *       CHECK(KTestFailEach("MakeThing", TryThing, NULL, 0) > 2);
 *   }
 *
 * A refusal is of a frame, a charge of commit, an address range, or a request of pool and its kin (mm/phys/inject.h).
 */
#ifndef TEST_FAILNTH_H
#define TEST_FAILNTH_H

#include <balance.h>

/* TRUE if the call got what it asked for; what it got has been given back. */
typedef BOOLEAN KTEST_TRY(PVOID Context);

/* Sweep a second time with every later request refused as well. Not for what touches pageable memory: its faults wait. */
#define KTEST_STAYS_SHORT 0x1
/* The call must succeed whatever is refused. */
#define KTEST_NEVER_FAILS 0x2

/* Returns how many refusals there were; failures of the test are recorded as CHECK does. PASSIVE_LEVEL. */
ULONG KTestFailEach(const char *Name, KTEST_TRY *Try, PVOID Context, ULONG Flags);

#endif
