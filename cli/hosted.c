/*
 * hosted.c - the hosted machine: a program of ours, with the command's words as its command line. It opens the files itself
 * before it gives up what it does not need.
 */
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "diag.h"
#include "machine.h"
#include "search.h"

/* Where it finds the pipe for its report, and says so in its command line. */
#define REPORT_DESCRIPTOR 3
#define REPORT_DESCRIPTOR_TEXT "3"

/*
 * The words of its command line, as for execve: the caller frees the list, the words are the command's. Time is kept on
 * this side, so it gets no limit of its own.
 */
static char **
HostedpSpellCommand(char *Machine, const COMMAND *Command, TEXT *Names)
{
    static char *const Fixed[] = {"--report-fd", REPORT_DESCRIPTOR_TEXT, "--timeout-ms", "0"};
    char **Words = calloc(2 * Command->Count + 6, sizeof(*Words));
    char **Word = Words;
    const COMMAND_OPTION *Option;
    const char *Name;

    if (Words == NULL) {
        DiagOutOfMemory();
    }
    for (Option = Command->Options; Option < Command->Options + Command->Count - 1; Option += 1) {
        TextPrint(Names, "--%s", Option->Name);
        TextPutBytes(Names, "", 1);
    }
    *Word++ = Machine;
    Name = Names->Data;
    for (Option = Command->Options; Option < Command->Options + Command->Count - 1; Option += 1) {
        *Word++ = (char *)Name;
        Name += strlen(Name) + 1;
        if (Option->Value != NULL) {
            *Word++ = Option->Value;
        }
    }
    memcpy(Word, Fixed, sizeof(Fixed));
    Word[4] = Option->Value;
    return Words;
}

static int
HostedpRun(const RUN_OPTIONS *Options, int OutputDescriptor, MACHINE_END *End)
{
    const int Descriptors[] = {CHILD_NOTHING, OutputDescriptor, 2, CHILD_REPORT};
    COMMAND Command;
    TEXT Names = {0};
    char **Words;

    *End = (MACHINE_END){.Executable = SearchPart("NTMM_HOSTED", "ntmm-hosted")};
    if (End->Executable == NULL) {
        Diag("ntmm-hosted, the machine, is not beside this program");
        return EXIT_STOPPED;
    }
    CommandBuild(Options, &Command);
    Words = HostedpSpellCommand(End->Executable, &Command, &Names);
    ChildRun(&(CHILD_COMMAND){.Path = End->Executable,
                              .Arguments = Words,
                              .Descriptors = Descriptors,
                              .DescriptorCount = sizeof(Descriptors) / sizeof(Descriptors[0]),
                              .GraceInMs = 2000,
                              .TimeoutInMs = Options->TimeoutInMs},
             &End->Child);
    free(Words);
    TextFree(&Names);
    CommandFree(&Command);
    if (End->Child.SpawnError != 0) {
        Diag("cannot start the machine %s: %s", End->Executable, strerror(End->Child.SpawnError));
        return EXIT_STOPPED;
    }
    return 0;
}

const MACHINE HostedMachine = {.Name = "hosted", .Isolation = "none", .Run = HostedpRun};
