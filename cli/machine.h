/*
 * machine.h - the machines a run can have.
 */
#ifndef NTMM_CLI_MACHINE_H
#define NTMM_CLI_MACHINE_H

#include "child.h"
#include "options.h"

/*
 * How a run of a machine ended. Its wait status is translated: what exited has the status of the command's contract.
 */
typedef struct _MACHINE_END {
    CHILD_RESULT Child;
    char *Executable; /* the file that frames of the core belong to */
} MACHINE_END;

/*
 * A machine. Run starts it, with the image's text going to OutputDescriptor, and waits for its end. Returns 0 with End
 * filled in, or the exit status of the command after one line on standard error; the caller gives End back in any case.
 */
typedef struct _MACHINE {
    const char *Name;
    const char *Isolation;  /* as its reports say, for when it sends none */
    uint64_t LeastMemory;   /* in bytes, what it can at least say no with */
    bool Fixed;             /* its executable runs at the addresses it was linked for */
    int (*Run)(const RUN_OPTIONS *Options, int OutputDescriptor, MACHINE_END *End);
} MACHINE;

extern const MACHINE HostedMachine;
extern const MACHINE Amd64Machine;

void
MachineFreeEnd(MACHINE_END *End);

#endif
