/*
 * sweep.h - `--fail stacks`: one run for each call stack that asks for memory, as one command.
 *
 * In each run the machine refuses one request, the first from a call stack that was not refused in a
 * run before; it tells which. The last run is the one in which nothing new asked: it is a run
 * without failures, and its report is the command's, with an account of the others in `fail.runs`.
 */
#ifndef NTMM_CLI_SWEEP_H
#define NTMM_CLI_SWEEP_H

#include <stdbool.h>

#include "outcome.h"

/*
 * A sweep in progress; all zero before the first run.
 */
typedef struct _SWEEP {
    TEXT Rule;      /* what the machine is told: the call stacks refused so far */
    size_t Runs;    /* that refused something */
    cJSON *Entries; /* of fail.runs */
    int Status;     /* the highest exit status */
    bool Partial;   /* it ended before everything was tried */
} SWEEP;

/* The rule for the next run. It belongs to the sweep and is good until the next call. */
const char *
SweepNextRule(SWEEP *Sweep);

/*
 * Take a run's outcome. True if it refused something, so another run is due; its report is gone
 * then. False if it is the last.
 */
bool
SweepTake(SWEEP *Sweep, OUTCOME *Outcome);

/* Make the last run's outcome that of the whole sweep, and give back what the sweep holds. */
void
SweepFinish(SWEEP *Sweep, const RUN_OPTIONS *Options, OUTCOME *Outcome);

/* Give back what an abandoned sweep holds. */
void
SweepFree(SWEEP *Sweep);

#endif
