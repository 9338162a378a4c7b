/*
 * filter.h - give a helper program its input, take its output, do not wait for long.
 */
#ifndef NTMM_CLI_FILTER_H
#define NTMM_CLI_FILTER_H

#include <stdbool.h>

#include "text.h"

/*
 * Run Path with Arguments (as for execve) and a minimal environment, Input on its standard input
 * and nothing on its standard error; append its standard output to Output. True if it ended with
 * status 0 within LimitInMs; otherwise it is killed, and Output holds what arrived in time.
 */
bool
FilterRun(const char *Path, char *const *Arguments, const TEXT *Input, int LimitInMs,
          TEXT *Output);

#endif
