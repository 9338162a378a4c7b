/*
 * child.h - the machine as a child process: start it, keep its time, collect what it says.
 */
#ifndef NTMM_CLI_CHILD_H
#define NTMM_CLI_CHILD_H

#include <stdbool.h>
#include <stdint.h>

#include "text.h"

/* What a descriptor of the machine's can be besides a copy of one of ours. */
enum {
    CHILD_NOTHING = -1, /* /dev/null */
    CHILD_REPORT = -2,  /* a pipe: the report, collected */
    CHILD_ERRORS = -3,  /* a pipe: what a foreign program complains about, collected */
    CHILD_TEXT = -4,    /* a pipe: the image's text, passed on to OutputDescriptor as it comes */
    CHILD_LINES = -5,   /* a pipe: lines for a person, passed on to standard error */
    CHILD_CONTROL = -6  /* a pipe to the machine, for EndRequest */
};

/*
 * What to start. Path and Arguments are as for execve; the environment is fixed. Descriptors are the machine's, from 0
 * on; it has no others.
 */
typedef struct _CHILD_COMMAND {
    const char *Path;
    char *const *Arguments;
    const int *Descriptors;
    unsigned DescriptorCount;
    int OutputDescriptor;
    const char *EndRequest; /* how it is asked to end at the time-out; NULL: by SIGTERM */
    const char *FatalError; /* it is killed when its CHILD_ERRORS contain this; NULL: nothing is fatal */
    uint64_t GraceInMs;     /* how long it may take to end when asked, or after its report */
    uint64_t TimeoutInMs;   /* 0: no limit */
} CHILD_COMMAND;

/*
 * How a machine ended.
 */
typedef struct _CHILD_RESULT {
    TEXT Report;      /* what it sent */
    TEXT Errors;      /* the beginning of what came through CHILD_ERRORS */
    TEXT Tail;        /* the end of what came through CHILD_TEXT, in whole lines if there are several */
    TEXT Failure;     /* what is wrong with its end, if the wait status does not say; empty: it does */
    int WaitStatus;   /* as from waitpid */
    int SpawnError;   /* errno if it could not be started; then nothing else means anything */
    int Interrupt;    /* the signal that ended us, for which the machine was killed; else 0 */
    bool TimedOut;    /* its time ran out and it was asked to end */
    bool Unanswering; /* it did not end when asked, and was killed */
    bool TooLarge;    /* it sent more than we are ready to hold, and was killed */
    bool Failed;      /* it complained of FatalError, and was killed */
} CHILD_RESULT;

/*
 * Run the machine to its end. At the time-out it is asked to end, upon which it reports where it was, and killed when its
 * grace is over; SIGINT, SIGTERM or SIGHUP to us kill it at once. The caller gives Result back.
 */
void
ChildRun(const CHILD_COMMAND *Command, CHILD_RESULT *Result);

void
ChildFreeResult(CHILD_RESULT *Result);

#endif
