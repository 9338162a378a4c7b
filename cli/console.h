/*
 * console.h - what a run prints besides its report.
 */
#ifndef NTMM_CLI_CONSOLE_H
#define NTMM_CLI_CONSOLE_H

#include "jsonutil.h"

/*
 * Print what the contract says at once, with or without a text report: a bug check on Descriptor,
 * where the image's text went; a failed DriverEntry and the reason of a stop on standard error.
 */
void
ConsolePrintOutcome(const cJSON *Report, int Descriptor);

#endif
