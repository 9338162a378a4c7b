/*
 * options.h - the options of `ntmm run`, and the table that parsing and help share.
 */
#ifndef NTMM_CLI_OPTIONS_H
#define NTMM_CLI_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "request.h"
#include "special.h"

#define RUN_DRIVE_LETTERS 26

struct _MACHINE;

/*
 * What a run was asked to be. Strings belong to the command line. A path that is NULL was not
 * given.
 */
typedef struct _RUN_OPTIONS {
    const char *Image;
    const struct _MACHINE *Machine;
    uint64_t MemoryInBytes;
    uint64_t PageFileInBytes;
    uint64_t Seed;
    unsigned Processors;
    uint64_t TimeoutInMs;                   /* 0: no limit */
    const char *Drives[RUN_DRIVE_LETTERS];  /* host folder of A:, B:, ... */
    char **Arguments;                       /* what a program is given */
    int ArgumentCount;
    const char *JsonFile;                   /* "-": standard output */
    const char *ReportFile;                 /* "-": standard output */
    const char *SarifFile;                  /* "-": standard output */
    char **Words;                           /* the command line behind `ntmm run` */
    int WordCount;
    RUN_REQUEST Requests[MAXIMUM_REQUESTS];  /* in order */
    unsigned RequestCount;
    const char *RegistryFile;               /* a .reg file */
    const char *Fail;                       /* the failures to inject, NULL: none */
    bool NoVerify;
    RUN_SPECIAL_POOL Special;
    bool PageFileGiven;
    bool Quiet;
    bool Help;
} RUN_OPTIONS;

/*
 * One option. Parse is given the value (NULL for an option without Argument), stores it, and
 * returns false after a Diag of its own when the value cannot be meant.
 */
typedef struct _RUN_OPTION {
    const char *Name;
    const char *Argument; /* as help shows it, NULL if the option takes no value */
    const char *Help;
    bool Served;          /* false: it has no effect yet and is refused by name */
    bool (*Parse)(RUN_OPTIONS *Options, const char *Value);
} RUN_OPTION;

/* Whether the image is a program (.exe), not a driver. */
bool
OptionsIsProgram(const RUN_OPTIONS *Options);

/* Is Fail the rule that makes several runs of one command? */
bool
OptionsFailStacks(const RUN_OPTIONS *Options);

/* The options in the order of the help text; ends with a NULL Name. */
extern const RUN_OPTION RunOptionTable[];

/*
 * Parse what follows `ntmm run`. False after one line on standard error. With Help set nothing else
 * was looked at. The image has been found to be a readable file.
 */
bool
OptionsParse(int Count, char **Words, RUN_OPTIONS *Options);

/* Give back what parsing allocated. */
void
OptionsFree(RUN_OPTIONS *Options);

/* Say on standard error which accepted options do nothing yet. */
void
OptionsPrintNotes(const RUN_OPTIONS *Options);

/* Print the help of `ntmm` and of `ntmm run` on standard output. */
void
UsagePrint(void);
void
UsagePrintRun(void);

#endif
