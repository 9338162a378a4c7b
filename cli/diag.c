/*
 * diag.c - one-line messages on standard error.
 *
 * A message is put together first and written by one call, so that lines of the machine, which
 * shares standard error with us, do not land in the middle of it.
 */
#include "diag.h"

#include <stdarg.h>
#include <stdlib.h>

#include "text.h"

void
Diag(const char *Format, ...)
{
    TEXT Line = {0};
    size_t Start;
    va_list Arguments;

    TextPut(&Line, "ntmm: ");
    Start = Line.Length;
    va_start(Arguments, Format);
    TextPrintV(&Line, Format, Arguments);
    va_end(Arguments);
    TextMakePrintable(&Line, Start);
    TextPut(&Line, "\n");
    (void)TextWrite(&Line, 2);
    TextFree(&Line);
}

_Noreturn void
DiagOutOfMemory(void)
{
    static const TEXT Line = {.Data = "ntmm: out of memory\n", .Length = 20};

    (void)TextWrite(&Line, 2);
    exit(EXIT_STOPPED);
}
