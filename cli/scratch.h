/*
 * scratch.h - a place for what a run prints while nobody knows yet whether it is to be seen.
 */
#ifndef NTMM_CLI_SCRATCH_H
#define NTMM_CLI_SCRATCH_H

#include <stdbool.h>

/*
 * Output is a descriptor for the image's text. Standard error is diverted from ScratchOpen to ScratchClose.
 */
typedef struct _SCRATCH {
    int Output;
    int Error;
    int StandardError; /* the real one */
} SCRATCH;

/* False after one line on standard error. ScratchClose is due in any case. */
bool
ScratchOpen(SCRATCH *Scratch);

/* Forget what was printed so far. */
void
ScratchEmpty(const SCRATCH *Scratch);

/* Print what is there: the text to Output, the rest on standard error. */
void
ScratchClose(SCRATCH *Scratch, int Output);

#endif
