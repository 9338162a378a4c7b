/*
 * failures.h - the part of the text report about --fail: which requests were refused, and what became
 * of the driver then.
 */
#ifndef NTMM_CLI_FAILURES_H
#define NTMM_CLI_FAILURES_H

#include <stdbool.h>

#include "jsonutil.h"

/* Appends nothing if no failures were asked for. WithBugCheck as for ReportRender. */
void
FailuresRender(const cJSON *Report, bool WithBugCheck, TEXT *Text);

/* The bug checks of a sweep's runs, for the console, each with what was refused before it. */
void
FailuresRenderBugChecks(const cJSON *Report, TEXT *Text);

#endif
