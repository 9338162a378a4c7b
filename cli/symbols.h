/*
 * symbols.h - functions and lines for the frames of a report.
 */
#ifndef NTMM_CLI_SYMBOLS_H
#define NTMM_CLI_SYMBOLS_H

#include "jsonutil.h"

/*
 * Add "function", "file" and "line" to each frame of Report, and "inlined_into" with the same three
 * for each function the call was inlined into, innermost first. They are null and [] where nothing
 * is known. ImagePath is the file of the image, MachinePath the program that was the machine; MachineFixed: it ran
 * at the addresses it was linked for.
 */
void
SymbolsResolve(cJSON *Report, const char *ImagePath, const char *MachinePath, bool MachineFixed);

#endif
