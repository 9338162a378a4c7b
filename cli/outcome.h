/*
 * outcome.h - what a run came to: its report and the exit status.
 */
#ifndef NTMM_CLI_OUTCOME_H
#define NTMM_CLI_OUTCOME_H

#include "child.h"
#include "jsonutil.h"
#include "options.h"

/*
 * Report is complete, in the documented order of keys; NULL if the machine refused the image.
 */
typedef struct _OUTCOME {
    cJSON *Report;
    int ExitStatus;
} OUTCOME;

/*
 * Judge how a machine ended. Whatever it was, Outcome has a report afterwards, if need be one that
 * says that the machine sent none; only an image that could not be loaded has none. The caller
 * deletes Outcome->Report.
 */
void
OutcomeJudge(const CHILD_RESULT *Result, const RUN_OPTIONS *Options, OUTCOME *Outcome);

/*
 * Whether DriverEntry, or a program, failed for reasons of its own, and its status. A driver that gives up when it is refused what it
 * asks for (--fail) does what it should.
 */
bool
OutcomeImageFailed(const cJSON *Report, uint64_t *Entry);

/* What failed then, as a message calls it. */
const char *
OutcomeImageWord(const cJSON *Report);

#endif
