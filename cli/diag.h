/*
 * diag.h - what the supervisor says on standard error, and the exit statuses of the command.
 */
#ifndef NTMM_CLI_DIAG_H
#define NTMM_CLI_DIAG_H

/*
 * The statuses of `ntmm run`; scripts rely on the numbers. Of several that apply the highest wins.
 */
enum {
    EXIT_CLEAN = 0,        /* ran, nothing found */
    EXIT_FOUND = 1,        /* the verifier found something */
    EXIT_USAGE = 2,        /* bad usage, or an image that cannot be loaded */
    EXIT_BUGCHECK = 3,     /* KeBugCheckEx */
    EXIT_IMAGE_FAILED = 4, /* DriverEntry's or the program's own status says failure */
    EXIT_STOPPED = 5       /* ntmm could not go on */
};

/*
 * Print one line on standard error: "ntmm: ", the formatted text, a newline. Control characters in
 * the text become dots, so a message stays one line whatever a file name or the machine put in it.
 */
void
Diag(const char *Format, ...) __attribute__((format(printf, 1, 2)));

/*
 * Say that memory ran out and exit with EXIT_STOPPED. The supervisor has nothing to give back then:
 * the machine dies with it.
 */
_Noreturn void
DiagOutOfMemory(void);

#endif
