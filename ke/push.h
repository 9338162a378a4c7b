/*
 * Push locks of the core: ranked forms of what drivers get as Ex...PushLock...Ex. A lock is one word, zero
 * when free, shared or exclusive, not recursive, fair (first come, first served; shared owners that stand in
 * line one behind the other come in together). The theory is in push.c.
 */
#ifndef KE_PUSH_H
#define KE_PUSH_H

#include "ke.h"

/*
 * Acquire, blocking until it is granted. IRQL <= APC_LEVEL; the boot context may only take what is free. The
 * rank is checked against the thread's other push locks and the processor's spin locks in checked builds.
 */
VOID KiAcquirePushLockExclusive(PEX_PUSH_LOCK PushLock, LOCK_RANK Rank);
VOID KiAcquirePushLockShared(PEX_PUSH_LOCK PushLock, LOCK_RANK Rank);

/* The same if that needs no waiting; any rank may be held. */
BOOLEAN KiTryPushLockExclusive(PEX_PUSH_LOCK PushLock, LOCK_RANK Rank);
BOOLEAN KiTryPushLockShared(PEX_PUSH_LOCK PushLock, LOCK_RANK Rank);

VOID KiReleasePushLockExclusive(PEX_PUSH_LOCK PushLock);
VOID KiReleasePushLockShared(PEX_PUSH_LOCK PushLock);

/* Is it held by anybody, in any way? A glance, for assertions. */
static inline BOOLEAN
KiIsPushLockHeld(const EX_PUSH_LOCK *PushLock)
{
    return __atomic_load_n(PushLock, __ATOMIC_RELAXED) != 0;
}

#endif
