/*
 * report.c - a completed report as text for people.
 *
 * One renderer for every machine; it knows nothing but the JSON object. From top to bottom: what
 * ran and how it went, what the verifier found with the stacks that lead there, then memory as the
 * usual tools show it, and one line that sums up. Foreign strings are made printable first.
 */
#include "report.h"

#include <string.h>

#include "failures.h"
#include "outcome.h"
#include "tables.h"

/* More findings than this are counted instead of shown; the JSON report has them all. */
#define MAXIMUM_FINDINGS 100
/* More bytes of a request's output than this are counted instead of shown. */
#define MAXIMUM_OUTPUT 256

void
ReportPutForeign(const char *String, TEXT *Text)
{
    size_t Start = Text->Length;

    TextPut(Text, String);
    TextMakePrintable(Text, Start);
}

/*
 * " Function (file.c:42)" for a frame or a function it was inlined into; nothing if it is not
 * known.
 */
static void
ReportpPutPlace(const cJSON *Place, TEXT *Text)
{
    const char *Function = JsonString(Place, "function", NULL);
    const char *File = JsonString(Place, "file", NULL);

    if (Function == NULL) {
        return;
    }
    TextPut(Text, "  ");
    ReportPutForeign(Function, Text);
    if (File != NULL) {
        /* Paths recorded by compilers on Windows have their own separator. */
        const char *Slash = strrchr(File, '/');
        const char *Backslash = strrchr(File, '\\');
        const char *Last = Slash == NULL || (Backslash != NULL && Backslash > Slash) ? Backslash
                                                                                     : Slash;

        TextPut(Text, " (");
        ReportPutForeign(Last == NULL ? File : Last + 1, Text);
        TextPrint(Text, ":%llu)", (unsigned long long)JsonCount(Place, "line"));
    }
}

/*
 * One line per frame: "    leaky.sys+0x1a2c  LeakSome (leaky.c:42)". Functions it was inlined into
 * follow on lines of their own, in the same column.
 */
static void
ReportpPutFrame(const cJSON *Frame, TEXT *Text)
{
    const char *Module = JsonString(Frame, "module", NULL);
    size_t Start;
    size_t Width;
    uint64_t Number;
    const cJSON *Caller;

    TextPut(Text, "    ");
    Start = Text->Length;
    if (Module != NULL && JsonCode(Frame, "offset", &Number)) {
        ReportPutForeign(Module, Text);
        TextPrint(Text, "+0x%llx", (unsigned long long)Number);
    } else {
        ReportPutForeign(JsonString(Frame, "address", "?"), Text);
    }
    Width = Text->Length - Start;
    ReportpPutPlace(Frame, Text);
    TextPut(Text, "\n");
    cJSON_ArrayForEach(Caller, JsonMember(Frame, "inlined_into")) {
        TextPut(Text, "    ");
        TextPrint(Text, "%*s", (int)Width, "inlined into");
        ReportpPutPlace(Caller, Text);
        TextPut(Text, "\n");
    }
}

void
ReportPutStack(const cJSON *Owner, TEXT *Text)
{
    const cJSON *Frame;

    cJSON_ArrayForEach(Frame, JsonMember(Owner, "stack")) {
        ReportpPutFrame(Frame, Text);
    }
}

void
ReportPutBugCheckName(const cJSON *BugCheck, TEXT *Text)
{
    const char *Name = JsonString(BugCheck, "name", "");
    uint64_t Code = 0;

    (void)JsonCode(BugCheck, "code", &Code);
    if (*Name != 0) {
        ReportPutForeign(Name, Text);
        TextPut(Text, " ");
    }
    TextPrint(Text, "(0x%08llX)", (unsigned long long)Code);
}

void
ReportRenderBugCheck(const cJSON *Report, TEXT *Text)
{
    const cJSON *BugCheck = JsonMember(Report, "bugcheck");
    const cJSON *Parameters = JsonMember(BugCheck, "parameters");
    const char *Name = JsonString(BugCheck, "name", ""), *Why = JsonString(BugCheck, "text", "");
    const cJSON *Event;
    uint64_t Code = 0;
    int Index;

    if (!cJSON_IsObject(BugCheck)) {
        return;
    }
    (void)JsonCode(BugCheck, "code", &Code);
    TextPrint(Text, "*** STOP: 0x%08llX (", (unsigned long long)Code);
    for (Index = 0; Index < 4; Index += 1) {
        const char *Digits = cJSON_GetStringValue(cJSON_GetArrayItem(Parameters, Index));

        TextPut(Text, Index == 0 ? "" : ",");
        ReportPutForeign(Digits == NULL ? "0x0000000000000000" : Digits, Text);
    }
    TextPut(Text, ")\n");
    if (*Name != 0) {
        TextPut(Text, "*** ");
        ReportPutForeign(Name, Text);
        TextPut(Text, "\n");
    }
    if (*Why != 0) {
        TextPut(Text, "*** ");
        ReportPutForeign(Why, Text);
        TextPut(Text, "\n");
    }
    ReportPutStack(BugCheck, Text);
    cJSON_ArrayForEach(Event, JsonMember(BugCheck, "history")) {
        TextPut(Text, "  ");
        ReportPutForeign(JsonString(Event, "what", "?"), Text);
        TextPut(Text, " here:\n");
        ReportPutStack(Event, Text);
    }
}

/*
 * The last lines of the image's text, if a stopped machine has left them.
 */
static void
ReportpPutConsole(const cJSON *Stop, TEXT *Text)
{
    const cJSON *Line;

    cJSON_ArrayForEach(Line, JsonMember(Stop, "console")) {
        TextPut(Text, Line == JsonMember(Stop, "console")->child ? "  the last lines on its console:\n    " : "    ");
        ReportPutForeign(cJSON_IsString(Line) ? Line->valuestring : "?", Text);
        TextPut(Text, "\n");
    }
}

void
ReportRenderStop(const cJSON *Report, TEXT *Text)
{
    const cJSON *Stop = JsonMember(Report, "stop");

    if (cJSON_IsObject(Stop)) {
        ReportPutForeign(JsonString(Stop, "text", "?"), Text);
        TextPut(Text, "\n");
        ReportPutStack(Stop, Text);
        ReportpPutConsole(Stop, Text);
    }
}

/*
 * The first line: what ran on what.
 */
static void
ReportpPutTitle(const cJSON *Report, TEXT *Text)
{
    uint64_t Processors = JsonCount(Report, "processors");

    TextPut(Text, "== ntmm report: ");
    ReportPutForeign(JsonString(Report, "image", "?"), Text);
    TextPut(Text, ", ");
    ReportPutForeign(JsonString(Report, "machine", "?"), Text);
    TextPrint(Text, ", seed %s, ", cJSON_IsRaw(JsonMember(Report, "seed"))
                                       ? JsonMember(Report, "seed")->valuestring : "?");
    TablesRenderSize(JsonCount(Report, "memory"), Text);
    TextPrint(Text, ", %llu processor%s\n", (unsigned long long)Processors,
              Processors == 1 ? "" : "s");
}

/*
 * How a program ended.
 */
static void
ReportpPutProgram(const cJSON *Program, TEXT *Text)
{
    const cJSON *Exception = JsonMember(Program, "exception");
    const cJSON *Parameter;
    const char *Separator = " (";
    uint64_t Number;

    if (!cJSON_IsObject(Program)) {
        return;
    }
    if (JsonCode(Program, "status", &Number)) {
        TextPrint(Text, "The program ended with 0x%08llX\n", (unsigned long long)Number);
    } else {
        TextPut(Text, "The program did not end\n");
    }
    if (cJSON_IsObject(Exception) && JsonCode(Exception, "code", &Number)) {
        TextPrint(Text, "Exception 0x%08llX was not handled", (unsigned long long)Number);
        cJSON_ArrayForEach(Parameter, JsonMember(Exception, "parameters")) {
            TextPrint(Text, "%s%s", Separator, cJSON_IsString(Parameter) ? Parameter->valuestring : "?");
            Separator = ", ";
        }
        TextPut(Text, *Separator == ',' ? ")\n" : "\n");
        ReportPutStack(Exception, Text);
    }
}

/*
 * How the driver's life went, and what about this run a reader should know.
 */
static void
ReportpPutLife(const cJSON *Report, TEXT *Text)
{
    const cJSON *Driver = JsonMember(Report, "driver");
    const char *Isolation = JsonString(Report, "isolation", "");
    const cJSON *Import;
    uint64_t Number;

    if (cJSON_IsObject(Driver)) {
        TextPut(Text, "Loaded");
        if (JsonCode(Driver, "base", &Number)) {
            TextPrint(Text, " at 0x%016llX, ", (unsigned long long)Number);
            TablesRenderSize(JsonCount(Driver, "size"), Text);
        }
        if (JsonCode(Driver, "entry", &Number)) {
            TextPrint(Text, "; DriverEntry returned 0x%08llX", (unsigned long long)Number);
        } else {
            TextPut(Text, "; DriverEntry did not return");
        }
        TextPut(Text, JsonTrue(Driver, "unloaded") ? "; unloaded\n" : "; not unloaded\n");
    }
    ReportpPutProgram(JsonMember(Report, "program"), Text);
    cJSON_ArrayForEach(Import, JsonMember(Report, "missing_imports")) {
        const char *Name = cJSON_GetStringValue(Import);

        TextPut(Text, "Not implemented: ");
        ReportPutForeign(Name == NULL ? "?" : Name, Text);
        TextPut(Text, "\n");
    }
    if (cJSON_IsObject(Driver) && !JsonTrue(Report, "replayable")) {
        TextPut(Text, strcmp(JsonString(Report, "machine", ""), "hosted") == 0
                          ? "Not replayable: the host interrupted a processor that did not call us\n"
                          : "Not replayable: only placement follows from the seed here\n");
    }
    if (!JsonTrue(Report, "verifier")) {
        TextPut(Text, "Verifier: off\n");
    }
    if (*Isolation != 0 && strcmp(Isolation, "none") != 0) {
        TextPut(Text, "Isolation: ");
        ReportPutForeign(Isolation, Text);
        TextPut(Text, "\n");
    }
}

/*
 * What a status means, for those that requests end with every day.
 */
static const char *
ReportpStatusName(uint64_t Status)
{
    static const struct {
        uint32_t Status;
        const char *Name;
    } Names[] = {
        {0x00000000, "success"},
        {0x80000005, "buffer overflow"},
        {0xC0000001, "unsuccessful"},
        {0xC0000002, "not implemented"},
        {0xC0000005, "access violation"},
        {0xC000000D, "invalid parameter"},
        {0xC000000E, "no such device"},
        {0xC0000010, "invalid device request"},
        {0xC0000022, "access denied"},
        {0xC0000023, "buffer too small"},
        {0xC0000024, "not a device"},
        {0xC0000033, "not a device's name"},
        {0xC0000034, "there is no such device"},
        {0xC000003A, "there is no such device"},
        {0xC000009A, "not enough memory"},
        {0xC00000BB, "not supported"},
        {0xC0000120, "cancelled"},
    };
    size_t Index;

    for (Index = 0; Index < sizeof(Names) / sizeof(Names[0]); Index += 1) {
        if (Names[Index].Status == Status) {
            return Names[Index].Name;
        }
    }
    return NULL;
}

/*
 * The bytes of a string of digits, sixteen to a line, at most MAXIMUM_OUTPUT of them.
 */
static void
ReportpPutBytes(const char *Digits, TEXT *Text)
{
    size_t Count = strlen(Digits) / 2;
    size_t Index;

    for (Index = 0; Index < Count && Index < MAXIMUM_OUTPUT; Index += 1) {
        TextPut(Text, Index % 16 == 0 ? "    " : " ");
        TextPrint(Text, "%.2s", Digits + 2 * Index);
        if (Index % 16 == 15 || Index + 1 == Count || Index + 1 == MAXIMUM_OUTPUT) {
            TextPut(Text, "\n");
        }
    }
    if (Count > MAXIMUM_OUTPUT) {
        TextPrint(Text, "    ... %llu more bytes\n", (unsigned long long)(Count - MAXIMUM_OUTPUT));
    }
}

/*
 * The requests of --ioctl and what became of them.
 */
static void
ReportpPutRequests(const cJSON *Report, TEXT *Text)
{
    const cJSON *Requests = JsonMember(Report, "requests");
    const cJSON *Request;

    if (cJSON_GetArraySize(Requests) != 0) {
        TextPut(Text, "\nRequests\n");
    }
    cJSON_ArrayForEach(Request, Requests) {
        uint64_t Number = 0;
        const char *Name;

        (void)JsonCode(Request, "code", &Number);
        TextPut(Text, "  ");
        ReportPutForeign(JsonString(Request, "device", "(the driver has no named device)"), Text);
        TextPrint(Text, "  0x%08llX", (unsigned long long)Number);
        if (!JsonCode(Request, "status", &Number)) {
            TextPut(Text, "  not completed\n");
            continue;
        }
        Name = ReportpStatusName(Number);
        TextPrint(Text, "  status 0x%08llX%s%s%s, information %llu\n", (unsigned long long)Number,
                  Name == NULL ? "" : " (", Name == NULL ? "" : Name, Name == NULL ? "" : ")",
                  (unsigned long long)JsonCount(Request, "information"));
        ReportpPutBytes(JsonString(Request, "output", ""), Text);
    }
}

/*
 * A bug check or a stop, each with its stack.
 */
static void
ReportpPutEnd(const cJSON *Report, bool WithBugCheck, TEXT *Text)
{
    if (WithBugCheck && cJSON_IsObject(JsonMember(Report, "bugcheck"))) {
        TextPut(Text, "\n");
        ReportRenderBugCheck(Report, Text);
    }
    if (cJSON_IsObject(JsonMember(Report, "stop"))) {
        TextPut(Text, "\nStopped: ");
        ReportRenderStop(Report, Text);
    }
}

void
ReportPutFinding(const cJSON *Finding, TEXT *Text)
{
    ReportPutForeign(JsonString(Finding, "rule", "?"), Text);
    if (JsonCount(Finding, "count") > 1) {
        TextPrint(Text, " (%llu times)", (unsigned long long)JsonCount(Finding, "count"));
    }
    TextPut(Text, ": ");
    ReportPutForeign(JsonString(Finding, "text", "?"), Text);
    TextPut(Text, "\n");
    ReportPutStack(Finding, Text);
}

static void
ReportpPutFindings(const cJSON *Report, TEXT *Text)
{
    const cJSON *Findings = JsonMember(Report, "findings");
    const cJSON *Finding;
    int Shown = 0;

    cJSON_ArrayForEach(Finding, Findings) {
        if (Shown == MAXIMUM_FINDINGS) {
            TextPrint(Text, "\n... and %d more, all of them in the --json report\n",
                      cJSON_GetArraySize(Findings) - Shown);
            break;
        }
        Shown += 1;
        TextPrint(Text, "\n%d. ", Shown);
        ReportPutFinding(Finding, Text);
    }
}

/*
 * How many runs of --fail stacks were not survived.
 */
static int
ReportpLostRuns(const cJSON *Report)
{
    const cJSON *Run;
    int Count = 0;

    cJSON_ArrayForEach(Run, JsonMember(JsonMember(Report, "fail"), "runs")) {
        Count += !JsonTrue(Run, "survived");
    }
    return Count;
}

/*
 * The last line: everything that decided the exit status, the gravest first.
 */
static void
ReportpPutVerdict(const cJSON *Report, TEXT *Text)
{
    int Count = cJSON_GetArraySize(JsonMember(Report, "findings"));
    const char *Separator = "";
    uint64_t Entry;
    int Lost;

    TextPut(Text, "\n== ");
    if (cJSON_IsObject(JsonMember(Report, "stop"))) {
        TextPut(Text, "stopped before the end");
        Separator = ", ";
    }
    if (OutcomeImageFailed(Report, &Entry)) {
        TextPrint(Text, "%s%s failed", Separator, OutcomeImageWord(Report));
        Separator = ", ";
    }
    if (cJSON_IsObject(JsonMember(Report, "bugcheck"))) {
        TextPrint(Text, "%sbug check ", Separator);
        ReportPutBugCheckName(JsonMember(Report, "bugcheck"), Text);
        Separator = ", ";
    }
    if (Count != 0) {
        TextPrint(Text, "%s%d finding%s", Separator, Count, Count == 1 ? "" : "s");
        Separator = ", ";
    }
    Lost = ReportpLostRuns(Report);
    if (Lost != 0) {
        TextPrint(Text, "%s%d failure%s not survived", Separator, Lost, Lost == 1 ? "" : "s");
    } else if (*Separator == 0) {
        TextPut(Text, "nothing found");
    }
    TextPut(Text, "\n");
}

void
ReportRender(const cJSON *Report, bool WithBugCheck, TEXT *Text)
{
    ReportpPutTitle(Report, Text);
    ReportpPutLife(Report, Text);
    FailuresRender(Report, WithBugCheck, Text);
    ReportpPutRequests(Report, Text);
    ReportpPutEnd(Report, WithBugCheck, Text);
    ReportpPutFindings(Report, Text);
    TablesRenderPool(Report, Text);
    TablesRenderPages(Report, Text);
    TablesRenderPageUse(Report, Text);
    TablesRenderCounters(Report, Text);
    ReportpPutVerdict(Report, Text);
}
