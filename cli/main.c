/*
 * main.c - the verbs of the command.
 *
 * `ntmm run` is a supervisor: the machine is another process, which loads the foreign code and
 * sends one JSON object. This side starts it, keeps its time, judges how it ended, finds symbols,
 * and prints. It must survive whatever happens to the machine.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "child.h"
#include "console.h"
#include "diag.h"
#include "options.h"
#include "outcome.h"
#include "output.h"
#include "report.h"
#include "symbols.h"

#ifndef NTMM_VERSION
#define NTMM_VERSION "0.1.0"
#endif

/* Words of the machine's command line: its name, six options, the drives, the requests, the image, the end. */
#define MACHINE_WORDS (1 + 2 * 6 + 2 * RUN_DRIVE_LETTERS + 4 * MAXIMUM_REQUESTS + 2)

/*
 * The command line of the machine, and the words in it that had to be made.
 */
typedef struct _MACHINE_COMMAND {
    char *Words[MACHINE_WORDS];
    char Numbers[4][24];
    TEXT Drives[RUN_DRIVE_LETTERS];
    TEXT Image;
} MACHINE_COMMAND;

/*
 * Find the machine: where NTMM_HOSTED says, beside this program, or where it is installed. The
 * caller owns the path; NULL if it is nowhere.
 */
static char *
MainpFindMachine(void)
{
    static const char *const Places[] = {"ntmm-hosted", "../libexec/ntmm/ntmm-hosted"};
    const char *Given = getenv("NTMM_HOSTED");
    char Own[PATH_MAX];
    ssize_t Length;
    size_t Index;

    if (Given != NULL && *Given != 0) {
        return strdup(Given);
    }
    Length = readlink("/proc/self/exe", Own, sizeof(Own) - 1);
    if (Length < 0) {
        return NULL;
    }
    Own[Length] = 0;
    (void)dirname(Own);
    for (Index = 0; Index < sizeof(Places) / sizeof(Places[0]); Index += 1) {
        TEXT Path = {0};

        TextPrint(&Path, "%s/%s", Own, Places[Index]);
        if (access(Path.Data, X_OK) == 0) {
            return Path.Data;
        }
        TextFree(&Path);
    }
    return NULL;
}

/*
 * The words for the requests.
 */
static char **
MainpPutRequests(const RUN_OPTIONS *Options, char **Word)
{
    const RUN_REQUEST *Request;

    for (Request = Options->Requests; Request < Options->Requests + Options->RequestCount; Request += 1) {
        *Word++ = "--ioctl";
        *Word++ = Request->Target;
        if (Request->InputHex != NULL || Request->InputFile != NULL) {
            *Word++ = Request->InputHex != NULL ? "--ioctl-hex" : "--ioctl-file";
            *Word++ = Request->InputHex != NULL ? Request->InputHex : Request->InputFile;
        }
    }
    return Word;
}

/*
 * Spell out the machine's command line. Time is kept on this side, so it gets no limit of its own.
 */
static void
MainpBuildCommand(char *Machine, const RUN_OPTIONS *Options, MACHINE_COMMAND *Command)
{
    static char *const Names[] = {"--memory", "--processors", "--pagefile", "--seed"};
    const uint64_t Values[] = {Options->MemoryInBytes, Options->Processors,
                               Options->PageFileInBytes, Options->Seed};
    char **Word = Command->Words;
    int Index;

    *Word++ = Machine;
    for (Index = 0; Index < 4; Index += 1) {
        snprintf(Command->Numbers[Index], sizeof(Command->Numbers[Index]), "%llu",
                 (unsigned long long)Values[Index]);
        *Word++ = Names[Index];
        *Word++ = Command->Numbers[Index];
    }
    *Word++ = "--report-fd";
    *Word++ = "3";
    *Word++ = "--timeout-ms";
    *Word++ = "0";
    for (Index = 0; Index < RUN_DRIVE_LETTERS; Index += 1) {
        if (Options->Drives[Index] != NULL) {
            TextPrint(&Command->Drives[Index], "%c:=%s", 'A' + Index, Options->Drives[Index]);
            *Word++ = "--drive";
            *Word++ = Command->Drives[Index].Data;
        }
    }
    Word = MainpPutRequests(Options, Word);
    TextPrint(&Command->Image, "%s%s", Options->Image[0] == '-' ? "./" : "", Options->Image);
    *Word++ = Command->Image.Data;
    *Word = NULL;
}

static void
MainpFreeCommand(MACHINE_COMMAND *Command)
{
    int Index;

    for (Index = 0; Index < RUN_DRIVE_LETTERS; Index += 1) {
        TextFree(&Command->Drives[Index]);
    }
    TextFree(&Command->Image);
}

static bool
MainpIsStandardOutput(const char *Path)
{
    return Path != NULL && strcmp(Path, "-") == 0;
}

/*
 * Write the documents that were asked for. A document that asked for standard output has it alone;
 * otherwise the text report goes there, behind what the image printed.
 */
static bool
MainpWriteReports(const cJSON *Report, const RUN_OPTIONS *Options, bool OutputTaken)
{
    TEXT Text = {0};
    bool Good = true;

    if (Options->ReportFile != NULL) {
        ReportRender(Report, true, &Text);
        Good = OutputWrite(Options->ReportFile, &Text);
    } else if (!Options->Quiet && !OutputTaken) {
        if (JsonTrue(Report, "open_line") && !cJSON_IsObject(JsonMember(Report, "bugcheck"))) {
            TextPut(&Text, "\n");
        }
        ReportRender(Report, false, &Text);
        Good = OutputWrite("-", &Text);
    }
    Text.Length = 0;
    if (Options->JsonFile != NULL) {
        JsonPrint(Report, &Text);
        Good = OutputWrite(Options->JsonFile, &Text) && Good;
    }
    TextFree(&Text);
    return Good;
}

/*
 * Run Machine as Options say, print what there is to print, and return the exit status.
 */
static int
MainpRunMachine(char *Machine, const RUN_OPTIONS *Options)
{
    bool OutputTaken = MainpIsStandardOutput(Options->JsonFile) ||
                       MainpIsStandardOutput(Options->ReportFile);
    int ImageOutput = OutputTaken ? 2 : 1;
    MACHINE_COMMAND Command = {0};
    CHILD_RESULT Result;
    OUTCOME Outcome;

    MainpBuildCommand(Machine, Options, &Command);
    ChildRun(&(CHILD_COMMAND){.Path = Machine,
                              .Arguments = Command.Words,
                              .OutputDescriptor = ImageOutput,
                              .TimeoutInMs = Options->TimeoutInMs},
             &Result);
    MainpFreeCommand(&Command);
    if (Result.SpawnError != 0) {
        Diag("cannot start the machine %s: %s", Machine, strerror(Result.SpawnError));
        return EXIT_STOPPED;
    }
    if (Result.Interrupt != 0) {
        TextFree(&Result.Report);
        return 128 + Result.Interrupt;
    }
    OutcomeJudge(&Result, Options, &Outcome);
    TextFree(&Result.Report);
    if (Outcome.Report != NULL) {
        SymbolsResolve(Outcome.Report, Options->Image, Machine);
        ConsolePrintOutcome(Outcome.Report, ImageOutput);
        if (!MainpWriteReports(Outcome.Report, Options, OutputTaken)) {
            Outcome.ExitStatus = EXIT_STOPPED;
        }
        cJSON_Delete(Outcome.Report);
    }
    return Outcome.ExitStatus;
}

/*
 * `ntmm run`.
 */
static int
MainpRun(int Count, char **Words)
{
    RUN_OPTIONS Options;
    char *Machine;
    int Status;

    if (!OptionsParse(Count, Words, &Options)) {
        OptionsFree(&Options);
        return EXIT_USAGE;
    }
    if (Options.Help) {
        UsagePrintRun();
        return EXIT_CLEAN;
    }
    Machine = MainpFindMachine();
    if (Machine == NULL) {
        Diag("ntmm-hosted, the machine, is not beside this program");
        return EXIT_STOPPED;
    }
    OptionsPrintNotes(&Options);
    Status = MainpRunMachine(Machine, &Options);
    OptionsFree(&Options);
    free(Machine);
    return Status;
}

/*
 * Started with standard descriptors closed, the first file we open would take their place and the
 * image's text would end up in it.
 */
static void
MainpOpenStandardDescriptors(void)
{
    int File;

    do {
        File = open("/dev/null", O_RDWR);
    } while (File >= 0 && File <= 2);
    if (File > 2) {
        close(File);
    }
}

int
main(int Count, char **Words)
{
    MainpOpenStandardDescriptors();
    (void)signal(SIGPIPE, SIG_IGN);
    if (Count < 2) {
        Diag("nothing to do; 'ntmm run IMAGE' runs a driver, 'ntmm --help' says more");
        return EXIT_USAGE;
    }
    if (strcmp(Words[1], "run") == 0) {
        return MainpRun(Count - 2, Words + 2);
    }
    if (strcmp(Words[1], "--help") == 0) {
        UsagePrint();
        return EXIT_CLEAN;
    }
    if (strcmp(Words[1], "--version") == 0) {
        TEXT Version = {0};

        TextPut(&Version, "ntmm " NTMM_VERSION "\n");
        (void)TextWrite(&Version, 1);
        TextFree(&Version);
        return EXIT_CLEAN;
    }
    Diag("there is no verb '%s'; 'ntmm --help' lists them", Words[1]);
    return EXIT_USAGE;
}
