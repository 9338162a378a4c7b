/*
 * outcome.c - what a run came to: its report and the exit status.
 *
 * The status is computed from the report by the command's contract, the highest that applies. A
 * machine that sent no proper report, or died in spite of it, is a fault of ours: then the report
 * is made or completed here, so that a script finds the same keys after every run that loaded.
 */
#include "outcome.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "diag.h"
#include "machine.h"

/* What a member of the report may be. */
typedef enum _KEY_KIND {
    KeyNumber,
    KeyBoolean,
    KeyString,
    KeyArray,
    KeyOptionalObject /* or null */
} KEY_KIND;

typedef struct _REPORT_KEY {
    const char *Name;
    KEY_KIND Kind;
} REPORT_KEY;

/* Schema 1, in the order in which reports are written. */
static const REPORT_KEY ReportKeys[] = {
    {"ntmm", KeyNumber},
    {"image", KeyString},
    {"machine", KeyString},
    {"seed", KeyNumber},
    {"replayable", KeyBoolean},
    {"isolation", KeyString},
    {"memory", KeyNumber},
    {"processors", KeyNumber},
    {"verifier", KeyBoolean},
    {"exit", KeyNumber},
    {"driver", KeyOptionalObject},
    {"program", KeyOptionalObject},
    {"modules", KeyArray},
    {"bugcheck", KeyOptionalObject},
    {"stop", KeyOptionalObject},
    {"missing_imports", KeyArray},
    {"fail", KeyOptionalObject},
    {"findings", KeyArray},
    {"pool", KeyArray},
    {"pages", KeyOptionalObject},
    {"page_use", KeyArray},
    {"commit", KeyOptionalObject},
    {"faults", KeyOptionalObject},
    {"time", KeyOptionalObject},
};

/* Of a console, how many lines are worth keeping. */
#define CONSOLE_LINES 8

#define REPORT_KEY_COUNT (sizeof(ReportKeys) / sizeof(ReportKeys[0]))

static bool
OutcomepHasKind(const cJSON *Value, KEY_KIND Kind)
{
    switch (Kind) {
    case KeyNumber:
        return cJSON_IsNumber(Value);
    case KeyBoolean:
        return cJSON_IsBool(Value);
    case KeyString:
        return cJSON_IsString(Value);
    case KeyArray:
        return cJSON_IsArray(Value);
    case KeyOptionalObject:
        return cJSON_IsObject(Value) || cJSON_IsNull(Value);
    }
    return false;
}

/*
 * Parse what the machine sent. NULL with the reason appended to Why if it is not a report.
 */
static cJSON *
OutcomepParse(const TEXT *Data, TEXT *Why)
{
    cJSON *Report = JsonParse(Data->Data, Data->Length);
    size_t Index;

    if (Report == NULL) {
        TextPrint(Why, "the machine's report of %zu bytes is not valid JSON", Data->Length);
        return NULL;
    }
    for (Index = 0; Index < REPORT_KEY_COUNT; Index += 1) {
        const char *Name = ReportKeys[Index].Name;

        if (!OutcomepHasKind(JsonMember(Report, Name), ReportKeys[Index].Kind)) {
            TextPrint(Why, "the machine's report has no proper '%s'", Name);
            break;
        }
    }
    if (Index == REPORT_KEY_COUNT && JsonCount(Report, "ntmm") != 1) {
        TextPut(Why, "the machine's report is of another version");
        Index = 0;
    }
    if (Index < REPORT_KEY_COUNT) {
        cJSON_Delete(Report);
        return NULL;
    }
    return Report;
}

/*
 * The value of a key in a report whose machine sent none.
 */
static cJSON *
OutcomepEmptyValue(KEY_KIND Kind)
{
    switch (Kind) {
    case KeyNumber:
        return JsonNew(cJSON_CreateNumber(0));
    case KeyBoolean:
        return JsonNew(cJSON_CreateFalse());
    case KeyString:
        return JsonNew(cJSON_CreateString(""));
    case KeyArray:
        return JsonNew(cJSON_CreateArray());
    case KeyOptionalObject:
        break;
    }
    return JsonNew(cJSON_CreateNull());
}

/*
 * A report that knows only what was asked for.
 */
static cJSON *
OutcomepEmptyReport(const RUN_OPTIONS *Options)
{
    const char *Slash = strrchr(Options->Image, '/');
    cJSON *Report = JsonNew(cJSON_CreateObject());
    size_t Index;

    for (Index = 0; Index < REPORT_KEY_COUNT; Index += 1) {
        JsonSet(Report, ReportKeys[Index].Name, OutcomepEmptyValue(ReportKeys[Index].Kind));
    }
    JsonSet(Report, "ntmm", JsonNew(cJSON_CreateNumber(1)));
    JsonSet(Report, "image",
            JsonNew(cJSON_CreateString(Slash == NULL ? Options->Image : Slash + 1)));
    JsonSet(Report, "machine", JsonNew(cJSON_CreateString(Options->Machine->Name)));
    JsonSet(Report, "isolation", JsonNew(cJSON_CreateString(Options->Machine->Isolation)));
    JsonSet(Report, "verifier", JsonNew(cJSON_CreateBool(!Options->NoVerify)));
    JsonSet(Report, "memory", JsonNew(cJSON_CreateNumber((double)Options->MemoryInBytes)));
    JsonSet(Report, "processors", JsonNew(cJSON_CreateNumber(Options->Processors)));
    /* Nobody knows how far its text had come, so the next line starts on a fresh one. */
    JsonSet(Report, "open_line", JsonNew(cJSON_CreateTrue()));
    return Report;
}

/*
 * Give the members their documented order, and behind them what the machine sent beyond those.
 */
static cJSON *
OutcomepOrdered(cJSON *Report)
{
    cJSON *Ordered = JsonNew(cJSON_CreateObject());
    size_t Index;

    for (Index = 0; Index < REPORT_KEY_COUNT; Index += 1) {
        const char *Name = ReportKeys[Index].Name;

        JsonSet(Ordered, Name, cJSON_DetachItemFromObjectCaseSensitive(Report, Name));
    }
    while (Report->child != NULL) {
        cJSON *Member = cJSON_DetachItemViaPointer(Report, Report->child);

        if (!cJSON_AddItemToObject(Ordered, Member->string, Member)) {
            DiagOutOfMemory();
        }
    }
    cJSON_Delete(Report);
    return Ordered;
}

/*
 * Record that the run was stopped, unless the machine has said why itself.
 */
static void
OutcomepSetStop(cJSON *Report, const char *Reason, const TEXT *Why)
{
    cJSON *Stop;

    if (!cJSON_IsNull(JsonMember(Report, "stop"))) {
        return;
    }
    Stop = JsonNew(cJSON_CreateObject());
    JsonSet(Stop, "reason", JsonNew(cJSON_CreateString(Reason)));
    JsonSet(Stop, "text", JsonNew(cJSON_CreateString(Why->Data)));
    JsonSet(Stop, "stack", JsonNew(cJSON_CreateArray()));
    JsonSet(Report, "stop", Stop);
}

/*
 * Leave the last lines of the image's text with the stop of a run that did not end by itself: where a hang is, if nobody
 * can say more.
 */
static void
OutcomepAddConsole(cJSON *Report, const TEXT *Tail)
{
    cJSON *Stop = cJSON_GetObjectItemCaseSensitive(Report, "stop");
    const char *Reason = JsonString(Stop, "reason", "");
    const char *Line = Tail->Data;
    cJSON *Lines;

    if (Tail->Length == 0 || (strcmp(Reason, "timeout") != 0 && strcmp(Reason, "internal") != 0)) {
        return;
    }
    Lines = JsonNew(cJSON_CreateArray());
    while (*Line != 0) {
        TEXT Copy = {0};
        size_t LineLength = strcspn(Line, "\n");
        size_t Index;

        TextPutBytes(&Copy, Line, LineLength);
        TextMakePrintable(&Copy, 0);
        for (Index = 0; Index < Copy.Length; Index += 1) {
            Copy.Data[Index] = (Copy.Data[Index] & 0x80) != 0 ? '.' : Copy.Data[Index]; /* no encoding is known */
        }
        cJSON_AddItemToArray(Lines, JsonNew(cJSON_CreateString(Copy.Data)));
        TextFree(&Copy);
        if (cJSON_GetArraySize(Lines) > CONSOLE_LINES) {
            cJSON_DeleteItemFromArray(Lines, 0);
        }
        Line += LineLength + (Line[LineLength] == '\n');
    }
    JsonSet(Stop, "console", Lines);
}

/*
 * Say in Why what was wrong with the way the machine ended; nothing if nothing was. Received tells
 * whether its report is good.
 */
static void
OutcomepExplainEnd(const CHILD_RESULT *Result, bool Received, TEXT *Why)
{
    int Status = Result->WaitStatus;

    if (Result->TooLarge) {
        TextPut(Why, "the machine sent a report without end and was killed");
    } else if (Result->Unanswering && Received) {
        TextPut(Why, "the machine did not end after its report and was killed");
    } else if (Result->Unanswering ||
               (Result->TimedOut && WIFSIGNALED(Status) && WTERMSIG(Status) == SIGTERM)) {
        TextPut(Why, Result->TimedOut ? "the time ran out and the machine did not answer"
                                      : "the machine went silent and did not end");
    } else if (Result->Failure.Length != 0) {
        TextPut(Why, Result->Failure.Data);
    } else if (WIFSIGNALED(Status)) {
        TextPrint(Why, "the machine died of signal %d (%s)", WTERMSIG(Status),
                  strsignal(WTERMSIG(Status)));
    } else if (!Received && Result->Report.Length == 0) {
        TextPrint(Why, "the machine ended with status %d and sent no report", WEXITSTATUS(Status));
    } else if (Received && WEXITSTATUS(Status) > EXIT_STOPPED) {
        TextPrint(Why, "the machine ended with status %d after its report", WEXITSTATUS(Status));
    }
}

const char *
OutcomeImageWord(const cJSON *Report)
{
    return cJSON_IsObject(JsonMember(Report, "program")) ? "the program" : "DriverEntry";
}

bool
OutcomeImageFailed(const cJSON *Report, uint64_t *Entry)
{
    return (JsonCode(JsonMember(Report, "driver"), "entry", Entry) ||
            JsonCode(JsonMember(Report, "program"), "status", Entry)) && (*Entry & 0x80000000) != 0 &&
           JsonCount(JsonMember(Report, "fail"), "refused") == 0;
}

/*
 * The contract: the highest status that applies. What the machine computed itself counts too.
 */
static int
OutcomepExitStatus(const cJSON *Report)
{
    uint64_t Own = JsonCount(Report, "exit");
    uint64_t Entry;
    int Status = EXIT_CLEAN;

    if (JsonMember(Report, "findings")->child != NULL) {
        Status = EXIT_FOUND;
    }
    if (cJSON_IsObject(JsonMember(Report, "bugcheck"))) {
        Status = EXIT_BUGCHECK;
    }
    if (OutcomeImageFailed(Report, &Entry)) {
        Status = EXIT_IMAGE_FAILED;
    }
    if (cJSON_IsObject(JsonMember(Report, "stop"))) {
        Status = EXIT_STOPPED;
    }
    return Own > (uint64_t)Status && Own <= EXIT_STOPPED ? (int)Own : Status;
}

void
OutcomeJudge(const CHILD_RESULT *Result, const RUN_OPTIONS *Options, OUTCOME *Outcome)
{
    bool Refused = WIFEXITED(Result->WaitStatus) && WEXITSTATUS(Result->WaitStatus) == EXIT_USAGE;
    cJSON *Report = NULL;
    TEXT Damage = {0};
    TEXT Why = {0};
    TEXT Seed = {0};

    *Outcome = (OUTCOME){.Report = NULL, .ExitStatus = EXIT_USAGE};
    if (Result->Report.Length == 0 && Refused) {
        return;
    }
    if (Result->Report.Length != 0) {
        Report = OutcomepParse(&Result->Report, &Damage);
    }
    OutcomepExplainEnd(Result, Report != NULL, &Why);
    if (Why.Length == 0) {
        TextPutBytes(&Why, Damage.Data == NULL ? "" : Damage.Data, Damage.Length);
    }
    Report = Report == NULL ? OutcomepEmptyReport(Options) : OutcomepOrdered(Report);
    if (Why.Length != 0) {
        OutcomepSetStop(Report, Result->TimedOut ? "timeout" : "internal", &Why);
    }
    OutcomepAddConsole(Report, &Result->Tail);

    /* A number of JSON holds 53 bits for most readers, the seed of the command line 64. */
    TextPrint(&Seed, "%llu", (unsigned long long)Options->Seed);
    JsonSet(Report, "seed", JsonNew(cJSON_CreateRaw(Seed.Data)));
    if (cJSON_IsObject(JsonMember(Report, "fail"))) {
        JsonSet((cJSON *)JsonMember(Report, "fail"), "what", JsonNew(cJSON_CreateString(Options->Fail)));
    }
    Outcome->ExitStatus = OutcomepExitStatus(Report);
    JsonSet(Report, "exit", JsonNew(cJSON_CreateNumber(Outcome->ExitStatus)));
    Outcome->Report = Report;
    TextFree(&Damage);
    TextFree(&Why);
    TextFree(&Seed);
}
