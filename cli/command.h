/*
 * command.h - what a machine is told: the options of hal/option.c, and how much machine to be.
 */
#ifndef NTMM_CLI_COMMAND_H
#define NTMM_CLI_COMMAND_H

#include <stddef.h>

#include "options.h"

/* The option whose value is the image; the last of a command. */
#define COMMAND_IMAGE "image"

typedef struct _COMMAND_OPTION {
    const char *Name;
    char *Value; /* NULL: a flag */
    bool File;   /* Value is the path of a file that the machine reads */
} COMMAND_OPTION;

typedef struct _COMMAND {
    COMMAND_OPTION *Options; /* in order */
    size_t Count;
    size_t Capacity;
} COMMAND;

/* Say Options in the machine's words. The caller frees Command. */
void
CommandBuild(const RUN_OPTIONS *Options, COMMAND *Command);

void
CommandFree(COMMAND *Command);

#endif
