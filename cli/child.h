/*
 * child.h - the machine as a child process: start it, keep its time, collect its report.
 */
#ifndef NTMM_CLI_CHILD_H
#define NTMM_CLI_CHILD_H

#include <stdbool.h>
#include <stdint.h>

#include "text.h"

/* The descriptor on which the machine finds the pipe for its report. */
#define CHILD_REPORT_DESCRIPTOR 3

/*
 * What to start. Path and Arguments are as for execve; the environment is fixed. OutputDescriptor
 * becomes the machine's standard output.
 */
typedef struct _CHILD_COMMAND {
    const char *Path;
    char *const *Arguments;
    int OutputDescriptor;
    uint64_t TimeoutInMs; /* 0: no limit */
} CHILD_COMMAND;

/*
 * How a machine ended.
 */
typedef struct _CHILD_RESULT {
    TEXT Report;      /* what it sent */
    int WaitStatus;   /* as from waitpid */
    int SpawnError;   /* errno if it could not be started; then nothing else means anything */
    int Interrupt;    /* the signal that ended us, for which the machine was killed; else 0 */
    bool TimedOut;    /* its time ran out and it was asked to end */
    bool Unanswering; /* it did not end when asked, and was killed */
    bool TooLarge;    /* it sent more than we are ready to hold, and was killed */
} CHILD_RESULT;

/*
 * Run the machine to its end. At the time-out it gets SIGTERM, upon which it reports where it was,
 * and SIGKILL two seconds later; SIGINT, SIGTERM or SIGHUP to us kill it at once. The caller owns
 * Result->Report.
 */
void
ChildRun(const CHILD_COMMAND *Command, CHILD_RESULT *Result);

#endif
