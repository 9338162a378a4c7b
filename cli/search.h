/*
 * search.h - where programs are.
 */
#ifndef NTMM_CLI_SEARCH_H
#define NTMM_CLI_SEARCH_H

/*
 * A part of ntmm: where the environment's Variable says, beside this program, or where it is installed. The caller owns the
 * path; NULL if it is nowhere.
 */
char *
SearchPart(const char *Variable, const char *Name);

/* A program of the system: in PATH. The caller owns the path; NULL if it is nowhere. */
char *
SearchProgram(const char *Name);

#endif
