/*
 * report.h - a completed report as text for people.
 */
#ifndef NTMM_CLI_REPORT_H
#define NTMM_CLI_REPORT_H

#include <stdbool.h>

#include "jsonutil.h"

/*
 * What the run's console shows at once, whatever becomes of the report: a bug check as
 * "*** STOP: ...", its name and its stack. Appends nothing if there was none.
 */
void
ReportRenderBugCheck(const cJSON *Report, TEXT *Text);

/*
 * The text report. The first and the last line begin with "== ". WithBugCheck includes the bug
 * check, for a reader who does not see the console beside it.
 */
void
ReportRender(const cJSON *Report, bool WithBugCheck, TEXT *Text);

/*
 * Why the run was stopped, as one line and its stack, for standard error. Appends nothing if it was
 * not.
 */
void
ReportRenderStop(const cJSON *Report, TEXT *Text);

/* --- Pieces of it, for its other parts --- */

/* Append a string from outside, control characters made visible. */
void
ReportPutForeign(const char *String, TEXT *Text);

/* One line for each frame of Owner's member "stack"; nothing if Owner is NULL or has none. */
void
ReportPutStack(const cJSON *Owner, TEXT *Text);

/* "BAD_POOL_CALLER (0x000000C2)", or the code alone if it has no name. */
void
ReportPutBugCheckName(const cJSON *BugCheck, TEXT *Text);

/* Rule, text and stack of a finding. */
void
ReportPutFinding(const cJSON *Finding, TEXT *Text);

#endif
