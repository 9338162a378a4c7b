/*
 * options.c - parse the command line of `ntmm run`.
 *
 * One table says which options there are, what they take and whether they have an effect yet: one
 * that has none is refused by name instead of being ignored. The first word that is no option is
 * the image; everything after it belongs to the image. Every error is one line on standard error.
 */
#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "diag.h"
#include "machine.h"

#define PAGE_SIZE_IN_BYTES 4096
#define MAXIMUM_PROCESSORS 64

static const char FailStacks[] = "stacks";

/* A suffix and what it multiplies by. */
typedef struct _UNIT {
    const char *Suffix;
    uint64_t Factor;
} UNIT;

static const UNIT SizeUnits[] = {
    {"", 1},
    {"K", UINT64_C(1) << 10},
    {"M", UINT64_C(1) << 20},
    {"G", UINT64_C(1) << 30},
    {"T", UINT64_C(1) << 40},
    {NULL, 0}
};

static const UNIT TimeUnits[] = {
    {"ms", 1},
    {"s", 1000},
    {"m", 60 * 1000},
    {"h", 60 * 60 * 1000},
    {NULL, 0}
};

/*
 * Read the digits at *Text in the given base and step over them. False if there are none or the
 * number needs more than 64 bits.
 */
static bool
OptionpReadDigits(const char **Text, unsigned Base, uint64_t *Number)
{
    const char *Digit = *Text;
    uint64_t Value = 0;

    for (; isxdigit((unsigned char)*Digit); Digit += 1) {
        int Lower = tolower((unsigned char)*Digit);
        unsigned Weight = isdigit(Lower) ? (unsigned)(Lower - '0') : (unsigned)(Lower - 'a' + 10);

        if (Weight >= Base) {
            break;
        }
        if (__builtin_mul_overflow(Value, Base, &Value) ||
            __builtin_add_overflow(Value, Weight, &Value)) {
            return false;
        }
    }
    if (Digit == *Text) {
        return false;
    }
    *Text = Digit;
    *Number = Value;
    return true;
}

/*
 * Read a decimal number with one of the Units' suffixes, in either case.
 */
static bool
OptionpReadQuantity(const char *Text, const UNIT *Units, uint64_t *Quantity)
{
    uint64_t Number;

    if (!OptionpReadDigits(&Text, 10, &Number)) {
        return false;
    }
    for (; Units->Suffix != NULL; Units += 1) {
        if (strcasecmp(Text, Units->Suffix) == 0) {
            return !__builtin_mul_overflow(Number, Units->Factor, Quantity);
        }
    }
    return false;
}

static bool
OptionpReadPages(const char *Name, const char *Value, uint64_t *SizeInBytes)
{
    uint64_t Size;

    if (!OptionpReadQuantity(Value, SizeUnits, &Size)) {
        Diag("%s: '%s' is not a size; write for example 512K, 256M or 1T", Name, Value);
        return false;
    }
    if (Size % PAGE_SIZE_IN_BYTES != 0) {
        Diag("%s: %s is not a whole number of pages of 4096 bytes", Name, Value);
        return false;
    }
    *SizeInBytes = Size;
    return true;
}

/*
 * Is Path a file that can be read? If not, say so, behind Prefix.
 */
static bool
OptionpIsReadable(const char *Prefix, const char *Path)
{
    struct stat Status = {0};
    int File = open(Path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    int Error = File < 0 || fstat(File, &Status) != 0 ? errno : 0;

    if (File >= 0) {
        close(File);
    }
    if (Error == 0 && !S_ISREG(Status.st_mode)) {
        Diag("%s%s: not a file", Prefix, Path);
        return false;
    }
    if (Error != 0) {
        Diag("%s%s: %s", Prefix, Path, strerror(Error));
        return false;
    }
    return true;
}

static bool
OptionpMachine(RUN_OPTIONS *Options, const char *Value)
{
    static const MACHINE *const Machines[] = {&HostedMachine, &Amd64Machine};
    size_t Index;

    for (Index = 0; Index < sizeof(Machines) / sizeof(Machines[0]); Index += 1) {
        if (strcmp(Value, Machines[Index]->Name) == 0) {
            Options->Machine = Machines[Index];
            return true;
        }
    }
    Diag("--machine: there is no machine '%s'; it is hosted or amd64", Value);
    return false;
}

static bool
OptionpMemory(RUN_OPTIONS *Options, const char *Value)
{
    if (!OptionpReadPages("--memory", Value, &Options->MemoryInBytes)) {
        return false;
    }
    if (Options->MemoryInBytes == 0) {
        Diag("--memory: a machine without memory cannot run");
        return false;
    }
    return true;
}

static bool
OptionpProcessors(RUN_OPTIONS *Options, const char *Value)
{
    const char *Rest = Value;
    uint64_t Count;

    if (!OptionpReadDigits(&Rest, 10, &Count) || *Rest != 0 || Count == 0 ||
        Count > MAXIMUM_PROCESSORS) {
        Diag("--processors: '%s' is not a number from 1 to %d", Value, MAXIMUM_PROCESSORS);
        return false;
    }
    Options->Processors = (unsigned)Count;
    return true;
}

static bool
OptionpPageFile(RUN_OPTIONS *Options, const char *Value)
{
    Options->PageFileGiven = true;
    return OptionpReadPages("--pagefile", Value, &Options->PageFileInBytes);
}

static bool
OptionpDrive(RUN_OPTIONS *Options, const char *Value)
{
    struct stat Status;
    const char *Folder = Value + 3;
    int Letter = toupper((unsigned char)Value[0]);

    if (Letter < 'A' || Letter > 'Z' || strncmp(Value + 1, ":=", 2) != 0 || *Folder == 0) {
        Diag("--drive: '%s' is not of the form C:=DIR", Value);
        return false;
    }
    if (Options->Drives[Letter - 'A'] != NULL) {
        Diag("--drive: %c: is given twice", Letter);
        return false;
    }
    if (stat(Folder, &Status) != 0) {
        Diag("--drive %c: %s: %s", Letter, Folder, strerror(errno));
        return false;
    }
    if (!S_ISDIR(Status.st_mode)) {
        Diag("--drive %c: %s: %s", Letter, Folder, strerror(ENOTDIR));
        return false;
    }
    Options->Drives[Letter - 'A'] = Folder;
    return true;
}

static bool
OptionpSeed(RUN_OPTIONS *Options, const char *Value)
{
    bool Hexadecimal = strncasecmp(Value, "0x", 2) == 0;
    const char *Rest = Hexadecimal ? Value + 2 : Value;

    if (!OptionpReadDigits(&Rest, Hexadecimal ? 16 : 10, &Options->Seed) || *Rest != 0) {
        Diag("--seed: '%s' is not a 64-bit number, decimal or 0x...", Value);
        return false;
    }
    return true;
}

static bool
OptionpTimeout(RUN_OPTIONS *Options, const char *Value)
{
    if (strcmp(Value, "0") == 0) {
        Options->TimeoutInMs = 0;
        return true;
    }
    /* Half the range, so that a deadline in nanoseconds can be computed without overflow. */
    if (!OptionpReadQuantity(Value, TimeUnits, &Options->TimeoutInMs) ||
        Options->TimeoutInMs > INT64_MAX / 2000000) {
        Diag("--timeout: '%s' is not a time; write for example 60s, 500ms or 2m, or 0 for no limit",
             Value);
        return false;
    }
    return true;
}

/*
 * Is Text a probability as the machine reads it: 0 or 1, at most six digits behind a point?
 */
static bool
OptionpIsRate(const char *Text)
{
    size_t Digits;

    if ((Text[0] != '0' && Text[0] != '1') || (Text[1] != 0 && Text[1] != '.')) {
        return false;
    }
    if (Text[1] == 0) {
        return true;
    }
    Digits = strspn(Text + 2, Text[0] == '0' ? "0123456789" : "0");
    return Digits >= 1 && Digits <= 6 && Text[2 + Digits] == 0;
}

static bool
OptionpIsCount(const char *Text)
{
    uint64_t Number;

    return strlen(Text) <= 18 && OptionpReadDigits(&Text, 10, &Number) && *Text == 0 && Number != 0;
}

static bool
OptionpFail(RUN_OPTIONS *Options, const char *Value)
{
    bool Good = strcmp(Value, FailStacks) == 0;

    if (strncmp(Value, "nth:", 4) == 0) {
        Good = OptionpIsCount(Value + 4);
    } else if (strncmp(Value, "from:", 5) == 0 || strncmp(Value, "rate:", 5) == 0) {
        Good = Value[0] == 'f' ? OptionpIsCount(Value + 5) : OptionpIsRate(Value + 5);
    }
    if (!Good) {
        Diag("--fail: '%s' is not nth:N or from:N (N from 1), rate:P (P from 0 to 1, six decimals), or stacks",
             Value);
    }
    Options->Fail = Value;
    return Good;
}

static bool
OptionpNoVerify(RUN_OPTIONS *Options, const char *Value)
{
    (void)Value;
    Options->NoVerify = true;
    return true;
}

static bool
OptionpIoctl(RUN_OPTIONS *Options, const char *Value)
{
    if (Options->RequestCount == MAXIMUM_REQUESTS) {
        Diag("--ioctl: at most %d requests can be made", MAXIMUM_REQUESTS);
        return false;
    }
    Options->RequestCount += 1;
    return RequestParse(Value, &Options->Requests[Options->RequestCount - 1]);
}

/*
 * That it can be read is found out here; what is in it by the machine.
 */
static bool
OptionpRegistry(RUN_OPTIONS *Options, const char *Value)
{
    if (Options->RegistryFile != NULL) {
        Diag("--registry is given twice");
        return false;
    }
    if (!OptionpIsReadable("--registry ", Value)) {
        return false;
    }
    Options->RegistryFile = Value;
    return true;
}

static bool
OptionpSpecialPool(RUN_OPTIONS *Options, const char *Value)
{
    return SpecialParse(Value, &Options->Special);
}

static bool
OptionpJson(RUN_OPTIONS *Options, const char *Value)
{
    Options->JsonFile = Value;
    return true;
}

static bool
OptionpReport(RUN_OPTIONS *Options, const char *Value)
{
    Options->ReportFile = Value;
    return true;
}

static bool
OptionpSarif(RUN_OPTIONS *Options, const char *Value)
{
    Options->SarifFile = Value;
    return true;
}

static bool
OptionpQuiet(RUN_OPTIONS *Options, const char *Value)
{
    (void)Value;
    Options->Quiet = true;
    return true;
}

static bool
OptionpHelp(RUN_OPTIONS *Options, const char *Value)
{
    (void)Value;
    Options->Help = true;
    return true;
}

const RUN_OPTION RunOptionTable[] = {
    {"--machine", "NAME", "hosted (default): a process; amd64: the kernel in QEMU", true, OptionpMachine},
    {"--memory", "256M", "its physical memory (default 256M)", true, OptionpMemory},
    {"--processors", "2", "its processors (default 2)", true, OptionpProcessors},
    {"--pagefile", "512M", "paging file; counts towards the commit limit (default 512M)", true,
     OptionpPageFile},
    {"--drive", "C:=DIR", "a host folder as a drive; repeatable", true, OptionpDrive},
    {"--seed", "N", "schedule and placement are a function of N (default 1)", true, OptionpSeed},
    {"--timeout", "60s", "how long the image may run: 500ms, 60s, 2m; 0: no limit (default 60s)",
     true, OptionpTimeout},
    {"--fail", "WHAT", "refuse memory: nth:N the N-th request, from:N all from it on, rate:P each with\n"
     "                     probability P, stacks: once for each call stack, in a run of its own", true, OptionpFail},
    {"--ioctl", "REQUEST", "[DEVICE,]CODE[,in=HEX|in=@FILE][,out=N] after DriverEntry; repeatable",
     true, OptionpIoctl},
    {"--registry", "FILE", "a .reg file with what the driver finds in the registry", true, OptionpRegistry},
    {"--no-verify", NULL, "switch the verifier off", true, OptionpNoVerify},
    {"--special-pool", "WHAT", "guard pages around pool blocks: all, a TAG, a SIZE or LOW-HIGH; ',underrun'",
     true, OptionpSpecialPool},
    {"--json", "FILE", "write the report as one JSON object; - puts it alone on standard output",
     true, OptionpJson},
    {"--report", "FILE", "write the text report to FILE; - puts it alone on standard output", true,
     OptionpReport},
    {"--sarif", "FILE", "write the findings as SARIF 2.1.0; - puts them alone on standard output", true,
     OptionpSarif},
    {"--quiet", NULL, "no text report on standard output", true, OptionpQuiet},
    {"--help", NULL, "print this", true, OptionpHelp},
    {NULL, NULL, NULL, false, NULL}
};

/*
 * Find the option that Word names, up to an "=" that separates its value. *Value is what follows
 * the "=" or NULL.
 */
static const RUN_OPTION *
OptionpFind(const char *Word, const char **Value)
{
    size_t Length = strcspn(Word, "=");
    const RUN_OPTION *Option;

    *Value = Word[Length] == '=' ? Word + Length + 1 : NULL;
    for (Option = RunOptionTable; Option->Name != NULL; Option += 1) {
        if (strlen(Option->Name) == Length && memcmp(Option->Name, Word, Length) == 0) {
            return Option;
        }
    }
    return NULL;
}

/*
 * Take the option at Words[*Index] with its value, and leave *Index at the last word used.
 */
static bool
OptionpTake(int Count, char **Words, int *Index, RUN_OPTIONS *Options)
{
    const char *Word = Words[*Index];
    const char *Value;
    const RUN_OPTION *Option = OptionpFind(Word, &Value);

    if (Option == NULL) {
        Diag("unknown option %s; 'ntmm run --help' lists them", Word);
        return false;
    }
    if (!Option->Served) {
        Diag("%s has no effect yet and is refused", Option->Name);
        return false;
    }
    if (Option->Argument == NULL) {
        if (Value != NULL) {
            Diag("%s takes no value", Option->Name);
            return false;
        }
        return Option->Parse(Options, NULL);
    }
    if (Value == NULL && *Index + 1 < Count && strncmp(Words[*Index + 1], "--", 2) != 0) {
        *Index += 1;
        Value = Words[*Index];
    }
    if (Value == NULL || *Value == 0) {
        Diag("%s needs a value, for example %s %s", Option->Name, Option->Name, Option->Argument);
        return false;
    }
    return Option->Parse(Options, Value);
}

/*
 * Check early what can be known without loading: that the image is a file that can be read, and
 * that nobody passes it words it has no way to receive.
 */
static bool
OptionpCheckImage(int Count, char **Words, const RUN_OPTIONS *Options)
{
    const char *Image = Words[0];
    bool Program = OptionsIsProgram(Options);

    if (!OptionpIsReadable("", Image)) {
        return false;
    }
    if (Count > 1 && Words[1][0] == '-' && Words[1][1] == '-') {
        Diag("%s follows the image; options go before it", Words[1]);
        return false;
    }
    if (Count > 1 && !Program) {
        Diag("a driver takes no arguments: %s", Words[1]);
        return false;
    }
    if (Program && (Options->RequestCount != 0 || Options->RegistryFile != NULL || Options->Fail != NULL)) {
        Diag("%s is for drivers; %s is a program",
             Options->RequestCount != 0 ? "--ioctl" : Options->Fail != NULL ? "--fail" : "--registry", Image);
        return false;
    }
    return true;
}

/*
 * A machine with less memory than it needs to say so.
 */
static bool
OptionpCheckMemory(const RUN_OPTIONS *Options)
{
    if (Options->MemoryInBytes < Options->Machine->LeastMemory) {
        Diag("--memory: the %s machine needs at least %lluM", Options->Machine->Name,
             (unsigned long long)(Options->Machine->LeastMemory >> 20));
        return false;
    }
    return true;
}

/*
 * Standard output can be given to one document only.
 */
static bool
OptionpCheckOutputs(const RUN_OPTIONS *Options)
{
    const char *const Names[] = {"--json", "--report", "--sarif"};
    const char *const Files[] = {Options->JsonFile, Options->ReportFile, Options->SarifFile};
    const char *Alone = NULL;
    int Index;

    for (Index = 0; Index < 3; Index += 1) {
        if (Files[Index] == NULL || strcmp(Files[Index], "-") != 0) {
            continue;
        }
        if (Alone != NULL) {
            Diag("%s - and %s - cannot both have standard output", Alone, Names[Index]);
            return false;
        }
        Alone = Names[Index];
    }
    if (Options->Quiet && Options->ReportFile != NULL && strcmp(Options->ReportFile, "-") == 0) {
        Diag("--quiet contradicts --report -");
        return false;
    }
    return true;
}

bool
OptionsParse(int Count, char **Words, RUN_OPTIONS *Options)
{
    int Index;

    *Options = (RUN_OPTIONS){
        .Machine = &HostedMachine,
        .MemoryInBytes = UINT64_C(256) << 20,
        .PageFileInBytes = UINT64_C(512) << 20,
        .Seed = 1,
        .Processors = 2,
        .TimeoutInMs = 60000,
        .Words = Words,
        .WordCount = Count,
    };
    for (Index = 0; Index < Count && Words[Index][0] == '-'; Index += 1) {
        if (strcmp(Words[Index], "--") == 0) {
            Index += 1;
            break;
        }
        if (!OptionpTake(Count, Words, &Index, Options)) {
            return false;
        }
        if (Options->Help) {
            return true;
        }
    }
    if (Index >= Count) {
        Diag("no image given; 'ntmm run --help' shows how");
        return false;
    }
    Options->Image = Words[Index];
    Options->Arguments = Words + Index + 1;
    Options->ArgumentCount = Count - Index - 1;
    return OptionpCheckMemory(Options) && OptionpCheckOutputs(Options) && OptionpCheckImage(Count - Index, Words + Index, Options);
}

bool
OptionsIsProgram(const RUN_OPTIONS *Options)
{
    size_t Length = strlen(Options->Image);

    return Length > 4 && strcasecmp(Options->Image + Length - 4, ".exe") == 0;
}

bool
OptionsFailStacks(const RUN_OPTIONS *Options)
{
    return Options->Fail != NULL && strcmp(Options->Fail, FailStacks) == 0;
}

void
OptionsFree(RUN_OPTIONS *Options)
{
    unsigned Index;

    for (Index = 0; Index < Options->RequestCount; Index += 1) {
        RequestFree(&Options->Requests[Index]);
    }
}

void
OptionsPrintNotes(const RUN_OPTIONS *Options)
{
    int Index;

    if (Options->PageFileGiven) {
        Diag("note: --pagefile counts towards the commit limit; nothing is paged to it yet");
    }
    for (Index = 0; Index < RUN_DRIVE_LETTERS; Index += 1) {
        if (Options->Drives[Index] != NULL) {
            Diag("note: --drive %c: is accepted; no file is mapped from it yet", 'A' + Index);
        }
    }
}
