/*
 * console.c - what leaves the machine: the image's text, diagnostics, the report, the exit status.
 *
 * Owns the console buffer. Text is gathered and written when the buffer is full, before anything
 * is said on standard error (so that the two keep their order), and at the end. Text may lie in a
 * window, where a host system call cannot read and each byte can fault, so it is copied byte by
 * byte with the buffer whole after each one. Any IRQL, no locks. A reader that went away is
 * ignored: the run's result does not depend on it.
 */
#include "halp.h"
#include "hostsys.h"

#define HALP_CONSOLE_BYTES 4096

static char HalpConsole[HALP_CONSOLE_BYTES];
static SIZE_T HalpConsoleUsed;
static int HalpReportFile = -1;

VOID
HalpInitializeConsole(int ReportFd)
{
    HalpReportFile = ReportFd;
}

static VOID
HalpWriteAll(int File, const char *Bytes, SIZE_T Length)
{
    LONG64 Written;

    while (Length > 0) {
        Written = HalpHostWrite(File, Bytes, Length);
        if (Written == -4) { /* EINTR */
            continue;
        }
        if (Written <= 0) {
            return;
        }
        Bytes += Written;
        Length -= (SIZE_T)Written;
    }
}

VOID
HalpFlushConsole(VOID)
{
    SIZE_T Length;

    Length = HalpConsoleUsed;
    HalpConsoleUsed = 0;
    HalpWriteAll(1, HalpConsole, Length);
}

/* Copy what may be a window's memory, in pieces, to a file that is written at once. */
static VOID
HalpPut(int File, const char *Text, SIZE_T Length)
{
    char Piece[512];
    SIZE_T Used;

    while (Length > 0) {
        for (Used = 0; Used < Length && Used < sizeof(Piece); Used += 1) {
            Piece[Used] = ((const volatile char *)Text)[Used];
        }
        HalpWriteAll(File, Piece, Used);
        Text += Used;
        Length -= Used;
    }
}

/* The image's text, verbatim, to standard output. */
VOID
HalPutConsole(const char *Text, SIZE_T Length)
{
    SIZE_T Index;
    char Byte;

    for (Index = 0; Index < Length; Index += 1) {
        Byte = ((const volatile char *)Text)[Index];
        if (HalpConsoleUsed == sizeof(HalpConsole)) {
            HalpFlushConsole();
        }
        HalpConsole[HalpConsoleUsed] = Byte;
        HalpConsoleUsed += 1;
    }
}

/* A line for a person, to standard error, after what the image has said so far. */
VOID
HalPutDiagnostic(const char *Text, SIZE_T Length)
{
    HalpFlushConsole();
    HalpPut(2, Text, Length);
}

/* A piece of the report; dropped if nobody asked for one. */
VOID
HalPutReport(const char *Text, SIZE_T Length)
{
    if (HalpReportFile >= 0) {
        HalpPut(HalpReportFile, Text, Length);
    }
}

/* Everything said is written; then the process ends, without the library's exit handlers. */
VOID DECLSPEC_NORETURN
HalExit(ULONG Status)
{
    HalpFlushConsole();
    HalpHostExit(Status);
}
