/*
 * main.c - the verbs of the command.
 *
 * `ntmm run` is a supervisor: the machine is another process, which loads the foreign code and
 * sends one JSON object. This side starts it, keeps its time, judges how it ended, finds symbols,
 * and prints. It must survive whatever happens to the machine.
 */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "console.h"
#include "diag.h"
#include "machine.h"
#include "outcome.h"
#include "output.h"
#include "report.h"
#include "sarif.h"
#include "scratch.h"
#include "sweep.h"
#include "symbols.h"

#ifndef NTMM_VERSION
#define NTMM_VERSION "0.1.0"
#endif

static bool
MainpIsStandardOutput(const char *Path)
{
    return Path != NULL && strcmp(Path, "-") == 0;
}

/*
 * The command that repeats the run, for a shell; where its reports go is left out, the seed is always there.
 */
static void
MainpPutReplay(const RUN_OPTIONS *Options, TEXT *Text)
{
    static const char *const Outputs[] = {"--json", "--report", "--sarif"};
    bool Seeded = false;
    int Index;

    TextPut(Text, "ntmm run");
    for (Index = 0; Index < Options->WordCount; Index += 1) {
        const char *Word = Options->Words[Index];
        size_t Length = strcspn(Word, "=");
        bool Skip = strcmp(Word, "--quiet") == 0;
        size_t Each;

        for (Each = 0; Each < sizeof(Outputs) / sizeof(Outputs[0]); Each += 1) {
            if (strlen(Outputs[Each]) == Length && strncmp(Word, Outputs[Each], Length) == 0) {
                Skip = true;
                Index += Word[Length] == 0;
            }
        }
        if (Skip) {
            continue;
        }
        Seeded = Seeded || strncmp(Word, "--seed", 6) == 0;
        if (Word == Options->Image && !Seeded) {
            TextPrint(Text, " --seed %llu", (unsigned long long)Options->Seed);
        }
        TextPut(Text, " ");
        TextPutQuoted(Text, Word);
    }
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
    if (Options->SarifFile != NULL) {
        TEXT Replay = {0};
        cJSON *Sarif;

        MainpPutReplay(Options, &Replay);
        Sarif = SarifMake(Report, Replay.Data, NTMM_VERSION);
        Text.Length = 0;
        JsonPrint(Sarif, &Text);
        Good = OutputWrite(Options->SarifFile, &Text) && Good;
        cJSON_Delete(Sarif);
        TextFree(&Replay);
    }
    TextFree(&Text);
    return Good;
}

/*
 * Run the machine once and judge it. False if there is nothing to judge: then Outcome->ExitStatus is how to exit. The
 * caller gives End back in any case.
 */
static bool
MainpRunOnce(const RUN_OPTIONS *Options, int Output, MACHINE_END *End, OUTCOME *Outcome)
{
    *Outcome = (OUTCOME){.Report = NULL, .ExitStatus = Options->Machine->Run(Options, Output, End)};
    if (Outcome->ExitStatus == 0 && End->Child.Interrupt != 0) {
        Outcome->ExitStatus = 128 + End->Child.Interrupt;
    }
    if (Outcome->ExitStatus != 0) {
        return false;
    }
    OutcomeJudge(&End->Child, Options, Outcome);
    return true;
}

/*
 * Run the machine once for each call stack that asks for memory. What is printed meanwhile, standard error included, is
 * shown of the last run, the one without failures. As MainpRunOnce.
 */
static bool
MainpRunSweep(const RUN_OPTIONS *Options, int Output, MACHINE_END *End, OUTCOME *Outcome)
{
    RUN_OPTIONS RunOptions = *Options;
    SCRATCH Scratch;
    SWEEP Sweep = {0};
    bool Good = ScratchOpen(&Scratch);
    bool More = Good;

    *End = (MACHINE_END){.Executable = NULL};
    *Outcome = (OUTCOME){.Report = NULL, .ExitStatus = EXIT_STOPPED};
    while (More) {
        MachineFreeEnd(End);
        ScratchEmpty(&Scratch);
        RunOptions.Fail = SweepNextRule(&Sweep);
        Good = MainpRunOnce(&RunOptions, Scratch.Output, End, Outcome);
        More = Good && Outcome->Report != NULL && SweepTake(&Sweep, Outcome);
    }
    ScratchClose(&Scratch, Output);
    if (Good && Outcome->Report != NULL) {
        SweepFinish(&Sweep, Options, Outcome);
    } else {
        SweepFree(&Sweep);
    }
    return Good;
}

/*
 * Run the machine as Options say, print what there is to print, and return the exit status.
 */
static int
MainpRunMachine(const RUN_OPTIONS *Options)
{
    bool OutputTaken = MainpIsStandardOutput(Options->JsonFile) || MainpIsStandardOutput(Options->ReportFile) ||
                       MainpIsStandardOutput(Options->SarifFile);
    int ImageOutput = OutputTaken ? 2 : 1;
    MACHINE_END End;
    OUTCOME Outcome;
    bool Good = OptionsFailStacks(Options) ? MainpRunSweep(Options, ImageOutput, &End, &Outcome)
                                           : MainpRunOnce(Options, ImageOutput, &End, &Outcome);

    if (Good && Outcome.Report != NULL) {
        SymbolsResolve(Outcome.Report, Options->Image, End.Executable, Options->Machine->Fixed);
        ConsolePrintOutcome(Outcome.Report, ImageOutput);
        if (!MainpWriteReports(Outcome.Report, Options, OutputTaken)) {
            Outcome.ExitStatus = EXIT_STOPPED;
        }
        cJSON_Delete(Outcome.Report);
    }
    MachineFreeEnd(&End);
    return Outcome.ExitStatus;
}

/*
 * `ntmm run`.
 */
static int
MainpRun(int Count, char **Words)
{
    RUN_OPTIONS Options;
    int Status;

    if (!OptionsParse(Count, Words, &Options)) {
        OptionsFree(&Options);
        return EXIT_USAGE;
    }
    if (Options.Help) {
        UsagePrintRun();
        return EXIT_CLEAN;
    }
    OptionsPrintNotes(&Options);
    Status = MainpRunMachine(&Options);
    OptionsFree(&Options);
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
