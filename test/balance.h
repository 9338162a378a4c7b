/*
 * What must be the same before and after anything that gives back what it took: pages, commit, blocks of pool by tag,
 * handles, and what drivers are tracked for. For kernel tests and for the simulation.
 */
#ifndef TEST_BALANCE_H
#define TEST_BALANCE_H

#include <mm/pool/pool.h>

typedef struct _KTEST_BALANCE {
    SIZE_T Available; /* the pools' own records, which may grow, left out */
    SIZE_T Commit;
    ULONG Handles;
    ULONG Tracked;
    ULONG Tags;
    LONG Live[MI_POOL_TAG_ROWS]; /* blocks in use */
} KTEST_BALANCE, *PKTEST_BALANCE;

/*
 * Take the figures once they stand still: threads that have ended give their stacks back a little later. What is kept for
 * speed is given back first. PASSIVE_LEVEL, with nothing else going on.
 */
VOID KTestMeasure(PKTEST_BALANCE Balance);

/* TRUE if they agree; else Text says what does not. */
BOOLEAN KTestCompareBalance(const KTEST_BALANCE *Before, const KTEST_BALANCE *After, CHAR *Text, SIZE_T TextBytes);

#endif
