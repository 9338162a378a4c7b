/*
 * spawn.h - start a machine, with pipes to it and from it.
 */
#ifndef NTMM_CLI_SPAWN_H
#define NTMM_CLI_SPAWN_H

#include <sys/types.h>

#include "child.h"

/* Our ends of its pipes. */
typedef enum _SPAWN_PIPE {
    SpawnReport,
    SpawnErrors,
    SpawnText,
    SpawnLines,
    SpawnControl,
    SpawnPipeCount
} SPAWN_PIPE;

typedef struct _SPAWN {
    pid_t ProcessId;
    int Pipes[SpawnPipeCount]; /* not blocking; -1: it has none of the kind */
} SPAWN;

/*
 * Start the machine. Returns 0 with Spawn filled in, or the errno of what failed, also of executing the program.
 */
int
SpawnMachine(const CHILD_COMMAND *Command, SPAWN *Spawn);

#endif
