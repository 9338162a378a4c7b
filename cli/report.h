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

#endif
