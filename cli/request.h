/*
 * request.h - a device control request as the command line asks for it.
 */
#ifndef NTMM_CLI_REQUEST_H
#define NTMM_CLI_REQUEST_H

#include <stdbool.h>

#define MAXIMUM_REQUESTS 64

/*
 * The request as the machine's command line has it. Texts are the request's own; an input that was
 * not given is NULL, and at most one of the two is there.
 */
typedef struct _RUN_REQUEST {
    char *Target;    /* CODE:OUTPUT:DEVICE */
    char *InputHex;
    char *InputFile;
} RUN_REQUEST;

/*
 * Read [DEVICE,]CODE[,in=HEX|in=@FILE][,out=N]. False after one line on standard error. The caller
 * frees the texts with RequestFree in any case.
 */
bool
RequestParse(const char *Value, RUN_REQUEST *Request);

void
RequestFree(RUN_REQUEST *Request);

#endif
