/*
 * command.c - what a machine is told. It is the same for every machine: how the words get there, and where the files that
 * some of them name are read, is the machine's affair (hosted.c, qemu.c).
 */
#include "command.h"

#include <stdlib.h>
#include <string.h>

#include "diag.h"
#include "search.h"
#include "text.h"

/*
 * Add an option. Value, if there is one, becomes the command's.
 */
static void
CommandpAdd(COMMAND *Command, const char *Name, char *Value, bool File)
{
    if (Command->Count == Command->Capacity) {
        Command->Capacity = Command->Capacity == 0 ? 16 : Command->Capacity * 2;
        Command->Options = realloc(Command->Options, Command->Capacity * sizeof(*Command->Options));
        if (Command->Options == NULL) {
            DiagOutOfMemory();
        }
    }
    Command->Options[Command->Count] = (COMMAND_OPTION){Name, Value, File};
    Command->Count += 1;
}

static void
CommandpAddText(COMMAND *Command, const char *Name, const char *Value)
{
    TEXT Copy = {0};

    TextPut(&Copy, Value);
    CommandpAdd(Command, Name, Copy.Data, false);
}

static void
CommandpAddFile(COMMAND *Command, const char *Name, const char *Path)
{
    TEXT Copy = {0};

    TextPrint(&Copy, "%s%s", Path[0] == '-' ? "./" : "", Path);
    CommandpAdd(Command, Name, Copy.Data, true);
}

static void
CommandpAddNumber(COMMAND *Command, const char *Name, uint64_t Value)
{
    TEXT Number = {0};

    TextPrint(&Number, "%llu", (unsigned long long)Value);
    CommandpAdd(Command, Name, Number.Data, false);
}

static void
CommandpAddRequests(COMMAND *Command, const RUN_OPTIONS *Options)
{
    const RUN_REQUEST *Request;

    for (Request = Options->Requests; Request < Options->Requests + Options->RequestCount; Request += 1) {
        CommandpAddText(Command, "ioctl", Request->Target);
        if (Request->InputHex != NULL) {
            CommandpAddText(Command, "ioctl-hex", Request->InputHex);
        } else if (Request->InputFile != NULL) {
            CommandpAddFile(Command, "ioctl-file", Request->InputFile);
        }
    }
}

/* FLAGS:TAG:LOW:HIGH, as hal/option.c reads it. */
static void
CommandpAddSpecialPool(COMMAND *Command, const RUN_SPECIAL_POOL *Special)
{
    TEXT Value = {0};

    TextPrint(&Value, "%u:%u:%llu:%llu", (Special->Everything ? 1u : 0) | (Special->Underrun ? 2u : 0),
              (unsigned)Special->Tag, (unsigned long long)Special->SizeLow, (unsigned long long)Special->SizeHigh);
    CommandpAdd(Command, "special-pool", Value.Data, false);
}

/* A word as a program finds it in its command line: in quotes if it has a blank or nothing in it. */
static void
CommandpPutArgument(TEXT *Line, const char *Word)
{
    bool Quote = *Word == 0 || strpbrk(Word, " \t\"") != NULL;

    TextPut(Line, Quote ? "\"" : "");
    for (; *Word != 0; Word += 1) {
        TextPrint(Line, "%s%c", *Word == '"' ? "\\" : "", *Word);
    }
    TextPut(Line, Quote ? "\"" : "");
}

/* A program needs ntdll.dll, which is a part of ntmm (without it the machine says so), and has a command line. */
static void
CommandpAddProgram(COMMAND *Command, const RUN_OPTIONS *Options)
{
    const char *Slash = strrchr(Options->Image, '/');
    char *Ntdll = SearchPart("NTMM_NTDLL", "ntdll.dll");
    TEXT Line = {0};
    int Index;

    if (Ntdll != NULL) {
        CommandpAddFile(Command, "ntdll", Ntdll);
        free(Ntdll);
    }
    CommandpPutArgument(&Line, Slash == NULL ? Options->Image : Slash + 1);
    for (Index = 0; Index < Options->ArgumentCount; Index += 1) {
        TextPut(&Line, " ");
        CommandpPutArgument(&Line, Options->Arguments[Index]);
    }
    CommandpAdd(Command, "command-line", Line.Data, false);
}

void
CommandBuild(const RUN_OPTIONS *Options, COMMAND *Command)
{
    int Index;

    *Command = (COMMAND){0};
    CommandpAddNumber(Command, "memory", Options->MemoryInBytes);
    CommandpAddNumber(Command, "processors", Options->Processors);
    CommandpAddNumber(Command, "pagefile", Options->PageFileInBytes);
    CommandpAddNumber(Command, "seed", Options->Seed);
    for (Index = 0; Index < RUN_DRIVE_LETTERS; Index += 1) {
        if (Options->Drives[Index] != NULL) {
            TEXT Drive = {0};

            TextPrint(&Drive, "%c:=%s", 'A' + Index, Options->Drives[Index]);
            CommandpAdd(Command, "drive", Drive.Data, false);
        }
    }
    if (Options->Fail != NULL) {
        CommandpAddText(Command, "fail", Options->Fail);
    }
    if (Options->NoVerify) {
        CommandpAdd(Command, "no-verify", NULL, false);
    }
    if (Options->Special.Given) {
        CommandpAddSpecialPool(Command, &Options->Special);
    }
    CommandpAddRequests(Command, Options);
    if (Options->RegistryFile != NULL) {
        CommandpAddFile(Command, "registry", Options->RegistryFile);
    }
    if (OptionsIsProgram(Options)) {
        CommandpAddProgram(Command, Options);
    }
    CommandpAddFile(Command, COMMAND_IMAGE, Options->Image);
}

void
CommandFree(COMMAND *Command)
{
    size_t Index;

    for (Index = 0; Index < Command->Count; Index += 1) {
        free(Command->Options[Index].Value);
    }
    free(Command->Options);
    *Command = (COMMAND){0};
}
