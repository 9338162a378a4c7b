/*
 * output.h - put a finished document where the user wants it.
 */
#ifndef NTMM_CLI_OUTPUT_H
#define NTMM_CLI_OUTPUT_H

#include <stdbool.h>

#include "text.h"

/*
 * Write Text to Path; "-" is standard output. A file is replaced as a whole or not at all. False
 * after one line on standard error; a reader of standard output who has left is not an error.
 */
bool
OutputWrite(const char *Path, const TEXT *Text);

#endif
