/*
 * The lock order, in one place. A thread or processor may acquire a lock only if its rank is greater than
 * every rank it holds, except where the rank is marked "nests". Checked at run time in checked builds.
 */
#ifndef KE_LOCKRANK_H
#define KE_LOCKRANK_H

typedef enum _LOCK_RANK {
    LockRankNone = 0,

    /* Blocking locks (push locks), held at <= APC_LEVEL, in this order. */
    LockRankLoader,             /* ldr: module list, system image */
    LockRankObject,             /* ob: name space, handle tables */
    LockRankRegistryFilter,     /* cm: filters and their contexts */
    LockRankRegistry,           /* cm: keys and values */
    LockRankAddressCreate,      /* AddressSpace.Create */
    LockRankAddressVad,         /* AddressSpace.Vad */
    LockRankControlArea,        /* ControlArea */
    LockRankSystemSpace,        /* mm/pte: growth of a system region (tables are made under it) */
    LockRankPoolGrow,           /* mm/pool: a segment is being added */

    /* Spin locks, at DISPATCH_LEVEL or above, in this order. */
    LockRankDriver,             /* a driver's own spin lock: no core lock may be held */
    LockRankPoolSegment,        /* mm/pool: heap of segments and spans */
    LockRankPoolClass,          /* mm/pool: a size class of a node */
    LockRankPageTable,          /* in the MMPFN of a page-table page; a prototype page's may nest in a hardware one */
    LockRankPfn,                /* lock bit of an MMPFN; a second one by try only */
    LockRankSystemPteBin,       /* leaf: system PTE allocator */
    LockRankPageCache,          /* mm/phys: a processor's cache of frames; lists are locked under it */
    LockRankPageList,           /* leaf: one page list (node, colour) */
    LockRankCommit,             /* leaf */
    LockRankPoolTag,            /* leaf: tag table, big-pool table */
    LockRankTracker,            /* leaf: verifier's tables */
    LockRankHandleTable,        /* leaf: ob, ps: tables of handles and ids */
    LockRankDispatcher,         /* ke: waits, ready queues, timers: events are set under any lock above */
    LockRankDpc,                /* ke: a processor's DPC queue */
    LockRankConsole,            /* leaf: debug output */
    LockRankMaximum
} LOCK_RANK;

#endif
