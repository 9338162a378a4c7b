/*
 * sarif.h - a completed report as SARIF 2.1.0, for tools that review code.
 */
#ifndef NTMM_CLI_SARIF_H
#define NTMM_CLI_SARIF_H

#include <cjson/cJSON.h>

/*
 * One run: what the verifier found and a bug check are results, whatever else ended the run early is a notification of
 * the tool. CommandLine repeats the run. The caller deletes it.
 */
cJSON *
SarifMake(const cJSON *Report, const char *CommandLine, const char *Version);

#endif
