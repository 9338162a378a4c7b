/*
 * Who touches the program's memory: findings for drivers that do so without a probe, or without a handler.
 */
#ifndef INIT_USERTOUCH_H
#define INIT_USERTOUCH_H

#include <wdm.h>

/* A request is about to be made by the current thread: forget earlier probes, and look at its image's touches
 * from now on, if the verifier is on. */
VOID InitWatchUser(VOID);
VOID InitUnwatchUser(VOID);

#endif
