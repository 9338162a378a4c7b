/*
 * qemu.c - the amd64 machine: our kernel in qemu-system-x86_64.
 *
 * The kernel gets one file, a pack of the words it is told and of the files they name, in memory of ours. It speaks on four
 * ways: the image's text on the first serial port, the report on the second, lines for a person on the debug port 0xE9, its
 * status by the isa-debug-exit device, as ((status + 16) << 1) | 1. Whatever else QEMU ends with is a failure of QEMU's or
 * of the machine as a whole. QEMU's monitor, on its standard input, serves for one thing: at the time-out a nonmaskable
 * interrupt makes the kernel report where it was.
 *
 * KVM is used if it works. That it is there says little: under another hypervisor it may fail at the first instruction it
 * does not know. So if QEMU fails before the machine has said anything, the run starts again on TCG.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command.h"
#include "diag.h"
#include "machine.h"
#include "pack.h"
#include "search.h"

#define QEMU_PROGRAM "qemu-system-x86_64"
#define WORDS_FILE "ntmm-options"
#define EXIT_BASE 16
#define LEAST_MEMORY ((uint64_t)16 << 20)

/*
 * Put what the kernel is told, and the files, into Pack. Returns 0, or the exit status after one line.
 */
static int
QemupMakePack(const RUN_OPTIONS *Options, PACK *Pack)
{
    COMMAND Command;
    TEXT Words = {0};
    size_t Index;
    int Error = 0;

    CommandBuild(Options, &Command);
    for (Index = 0; Index < Command.Count; Index += 1) {
        const COMMAND_OPTION *Option = &Command.Options[Index];

        TextPrint(&Words, "%s%s%s", Option->Name, Option->Value == NULL ? "" : "=",
                  Option->Value == NULL ? "" : Option->Value);
        TextPutBytes(&Words, "", 1);
    }
    PackBegin(Pack);
    PackAddText(Pack, WORDS_FILE, &Words);
    TextFree(&Words);
    for (Index = 0; Index < Command.Count && Error == 0; Index += 1) {
        if (Command.Options[Index].File) {
            Error = PackAddFile(Pack, Command.Options[Index].Value);
            if (Error != 0) {
                Diag("%s: %s", Command.Options[Index].Value, strerror(Error));
            }
        }
    }
    PackEnd(Pack);
    CommandFree(&Command);
    if (Error != 0) {
        return EXIT_USAGE;
    }
    if (Pack->Error != 0) {
        Diag("cannot hand the image to the machine: %s", strerror(Pack->Error));
        return EXIT_STOPPED;
    }
    return 0;
}

/*
 * Run QEMU once, with this accelerator.
 */
static void
QemupRunOnce(const RUN_OPTIONS *Options, const char *Qemu, const char *Accelerator, int OutputDescriptor, int Pack,
             MACHINE_END *End)
{
    static const char Monitor[] = "nmi\n";
    const int Descriptors[] = {CHILD_CONTROL, CHILD_NOTHING, CHILD_ERRORS, CHILD_REPORT, CHILD_TEXT, CHILD_LINES, Pack};
    char Memory[80];
    char Processors[16];
    char *const Words[] = {
        (char *)Qemu, "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
        "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
        "-machine", "q35,memory-backend=ram,vmport=off,hpet=off,sata=off", "-accel", (char *)Accelerator, "-cpu", "max",
        "-object", Memory, "-smp", Processors,
        "-add-fd", "fd=3,set=3", "-add-fd", "fd=4,set=4", "-add-fd", "fd=5,set=5",
        "-chardev", "stdio,id=monitor,signal=off", "-mon", "chardev=monitor",
        "-chardev", "file,id=text,path=/dev/fdset/4,append=on", "-serial", "chardev:text",
        "-chardev", "file,id=report,path=/dev/fdset/3,append=on", "-serial", "chardev:report",
        "-chardev", "file,id=lines,path=/dev/fdset/5,append=on", "-device", "isa-debugcon,iobase=0xe9,chardev=lines",
        "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04",
        "-kernel", End->Executable, "-initrd", "/proc/self/fd/6", NULL
    };

    snprintf(Memory, sizeof(Memory), "memory-backend-ram,id=ram,reserve=off,size=%lluB",
             (unsigned long long)Options->MemoryInBytes);
    snprintf(Processors, sizeof(Processors), "%u", Options->Processors);
    ChildRun(&(CHILD_COMMAND){.Path = Qemu,
                              .Arguments = Words,
                              .Descriptors = Descriptors,
                              .DescriptorCount = sizeof(Descriptors) / sizeof(Descriptors[0]),
                              .OutputDescriptor = OutputDescriptor,
                              .EndRequest = Monitor,
                              .FatalError = "KVM internal error",
                              .GraceInMs = 5000,
                              .TimeoutInMs = Options->TimeoutInMs},
             &End->Child);
}

/*
 * The first line of QEMU's own that is more than a warning.
 */
static void
QemupQuoteError(const TEXT *Errors, TEXT *Failure)
{
    const char *Line = Errors->Data == NULL ? "" : Errors->Data;

    while (*Line != 0) {
        size_t Length = strcspn(Line, "\n");
        size_t Skip = strncmp(Line, QEMU_PROGRAM ": ", sizeof(QEMU_PROGRAM) + 1) == 0 ? sizeof(QEMU_PROGRAM) + 1 : 0;

        if (Length > Skip && strncmp(Line + Skip, "warning:", 8) != 0) {
            TextPut(Failure, ": ");
            TextPutBytes(Failure, Line + Skip, Length - Skip);
            return;
        }
        Line += Length + (Line[Length] == '\n');
    }
}

/*
 * Translate QEMU's end: the machine's own status, or what went wrong. False if it was QEMU that failed, unasked.
 */
static bool
QemupTranslateEnd(CHILD_RESULT *Result)
{
    int Code = WIFEXITED(Result->WaitStatus) ? WEXITSTATUS(Result->WaitStatus) : -1;

    if (Result->Interrupt != 0 || Result->Unanswering || Result->TooLarge) {
        return true;
    }
    if ((Code & 1) != 0 && Code >> 1 >= EXIT_BASE && !Result->Failed && Code >= 0) {
        Result->WaitStatus = ((Code >> 1) - EXIT_BASE) << 8;
        return true;
    }
    if (Code == 0) {
        TextPut(&Result->Failure, "the machine was reset, as by a triple fault");
        return false;
    }
    TextPut(&Result->Failure, QEMU_PROGRAM);
    if (Code < 0 && !Result->Failed) {
        TextPrint(&Result->Failure, " died of signal %d (%s)", WTERMSIG(Result->WaitStatus),
                  strsignal(WTERMSIG(Result->WaitStatus)));
    } else {
        TextPut(&Result->Failure, " failed");
    }
    QemupQuoteError(&Result->Errors, &Result->Failure);
    TextMakePrintable(&Result->Failure, 0);
    return false;
}

/*
 * The accelerators to try, in order; NTMM_ACCEL names the only one.
 */
static size_t
QemupAccelerators(const char **Names)
{
    const char *Given = getenv("NTMM_ACCEL");
    size_t Count = 0;

    if (Given != NULL && *Given != 0) {
        Names[Count++] = Given;
        return Count;
    }
    if (access("/dev/kvm", R_OK | W_OK) == 0) {
        Names[Count++] = "kvm";
    }
    Names[Count++] = "tcg";
    return Count;
}

static int
QemupRunPack(const RUN_OPTIONS *Options, const char *Qemu, int OutputDescriptor, int Pack, MACHINE_END *End)
{
    const char *Names[2];
    size_t Count = QemupAccelerators(Names);
    size_t Index;

    for (Index = 0; Index < Count; Index += 1) {
        ChildFreeResult(&End->Child);
        QemupRunOnce(Options, Qemu, Names[Index], OutputDescriptor, Pack, End);
        if (End->Child.SpawnError != 0) {
            Diag("cannot start %s: %s", Qemu, strerror(End->Child.SpawnError));
            return EXIT_STOPPED;
        }
        if (QemupTranslateEnd(&End->Child) || End->Child.Tail.Length != 0 || End->Child.Report.Length != 0) {
            break;
        }
    }
    return 0;
}

static int
QemupRun(const RUN_OPTIONS *Options, int OutputDescriptor, MACHINE_END *End)
{
    const char *Given = getenv("NTMM_QEMU");
    char *Qemu = Given != NULL && *Given != 0 ? strdup(Given) : SearchProgram(QEMU_PROGRAM);
    PACK Pack = {.Descriptor = -1};
    int Status = EXIT_STOPPED;

    *End = (MACHINE_END){.Executable = SearchPart("NTMM_AMD64", "ntmm-amd64")};
    if (Qemu == NULL) {
        Diag("--machine amd64 needs " QEMU_PROGRAM ", which is not installed (Debian: qemu-system-x86)");
    } else if (End->Executable == NULL) {
        Diag("ntmm-amd64, the machine's kernel, is not beside this program");
    } else {
        Status = QemupMakePack(Options, &Pack);
        if (Status == 0) {
            Status = QemupRunPack(Options, Qemu, OutputDescriptor, Pack.Descriptor, End);
        }
    }
    if (Pack.Descriptor >= 0) {
        close(Pack.Descriptor);
    }
    free(Qemu);
    return Status;
}

const MACHINE Amd64Machine = {
    .Name = "amd64", .Isolation = "page tables", .LeastMemory = LEAST_MEMORY, .Fixed = true, .Run = QemupRun
};
