/*
 * usage.c - the help texts.
 */
#include "options.h"

#include <stdio.h>

#include "text.h"

void
UsagePrint(void)
{
    static const char Usage[] =
        "ntmm - the Windows kernel-mode memory manager, on Linux\n"
        "\n"
        "  ntmm run [options] IMAGE   run a driver and report what it did to memory\n"
        "  ntmm run --help            the options of run\n"
        "  ntmm --version             print the version\n"
        "  ntmm --help                print this\n";
    TEXT Text = {0};

    TextPut(&Text, Usage);
    (void)TextWrite(&Text, 1);
    TextFree(&Text);
}

void
UsagePrintRun(void)
{
    const RUN_OPTION *Option;
    TEXT Text = {0};

    TextPut(&Text, "usage: ntmm run [options] IMAGE [ARGUMENTS]\n"
                   "\n"
                   "Load a driver (.sys, a PE32+ file) into a machine of its own, call DriverEntry\n"
                   "and DriverUnload, and report what it leaked, left locked or misused; or run a\n"
                   "native program (.exe that imports only ntdll.dll) in user mode.\n"
                   "\n");
    for (Option = RunOptionTable; Option->Name != NULL; Option += 1) {
        char Word[32];

        if (!Option->Served) {
            continue;
        }
        snprintf(Word, sizeof(Word), "%s %s", Option->Name,
                 Option->Argument == NULL ? "" : Option->Argument);
        TextPrint(&Text, "  %-18s %s\n", Word, Option->Help);
    }
    TextPut(&Text, "\n"
                   "Exit status (the highest that applies):\n"
                   "  0  ran, nothing found\n"
                   "  1  the verifier found something\n"
                   "  2  bad usage, or an image that cannot be loaded\n"
                   "  3  bug check\n"
                   "  4  the image failed: its own status is printed\n"
                   "  5  ntmm could not go on: a routine that is not implemented, the time-out,\n"
                   "     or a fault of its own\n");
    (void)TextWrite(&Text, 1);
    TextFree(&Text);
}
