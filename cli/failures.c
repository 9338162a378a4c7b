/*
 * failures.c - the part of the text report about --fail; see failures.h.
 */
#include "failures.h"

#include <string.h>

#include "report.h"

/* More refused requests of one run than this are counted instead of shown. */
#define MAXIMUM_REFUSALS 10

static unsigned long long
FailurespCount(const cJSON *Owner, const char *Name)
{
    return (unsigned long long)JsonCount(Owner, Name);
}

/*
 * "request 17, ExAllocatePool2 (--seed 1 --fail nth:17)"
 */
static void
FailurespPutRefusal(const cJSON *Report, const cJSON *Refusal, TEXT *Text)
{
    const cJSON *Seed = JsonMember(Report, "seed");
    const char *Machine = JsonString(Report, "machine", "");

    TextPrint(Text, "request %llu, ", FailurespCount(Refusal, "request"));
    ReportPutForeign(JsonString(Refusal, "routine", "?"), Text);
    TextPut(Text, strcmp(Machine, "amd64") == 0 ? " (--machine amd64 " : " (");
    TextPrint(Text, "--seed %s --fail nth:%llu)", cJSON_IsRaw(Seed) ? Seed->valuestring : "?",
              FailurespCount(Refusal, "request"));
}

/*
 * How a run ended, in a few words.
 */
static void
FailurespPutEnd(const cJSON *Run, TEXT *Text)
{
    int Findings = cJSON_GetArraySize(JsonMember(Run, "findings"));
    uint64_t Entry;

    if (JsonTrue(Run, "survived")) {
        TextPut(Text, "survived");
        if (JsonCode(Run, "entry", &Entry) && (Entry & 0x80000000) != 0) {
            TextPrint(Text, ", DriverEntry returned 0x%08llX", (unsigned long long)Entry);
        }
        return;
    }
    if (cJSON_IsObject(JsonMember(Run, "stop"))) {
        TextPut(Text, "stopped: ");
        ReportPutForeign(JsonString(JsonMember(Run, "stop"), "text", "?"), Text);
    } else if (cJSON_IsObject(JsonMember(Run, "bugcheck"))) {
        TextPut(Text, "bug check ");
        ReportPutBugCheckName(JsonMember(Run, "bugcheck"), Text);
    } else {
        TextPrint(Text, "%d finding%s", Findings, Findings == 1 ? "" : "s");
    }
}

/*
 * A run of a sweep. One that was survived is a line; of the others one wants to know everything.
 */
static void
FailurespPutRun(const cJSON *Report, const cJSON *Run, bool WithBugCheck, TEXT *Text)
{
    const cJSON *Finding;

    TextPut(Text, "\n  ");
    FailurespPutRefusal(Report, Run, Text);
    TextPut(Text, ": ");
    FailurespPutEnd(Run, Text);
    TextPut(Text, "\n");
    ReportPutStack(Run, Text);
    if (WithBugCheck) {
        ReportRenderBugCheck(Run, Text);
    }
    ReportPutStack(JsonMember(Run, "stop"), Text);
    cJSON_ArrayForEach(Finding, JsonMember(Run, "findings")) {
        TextPut(Text, "  ");
        ReportPutFinding(Finding, Text);
    }
}

static void
FailurespPutSweep(const cJSON *Report, bool WithBugCheck, TEXT *Text)
{
    const cJSON *Runs = JsonMember(JsonMember(Report, "fail"), "runs");
    int Count = cJSON_GetArraySize(Runs);
    int Survived = 0;
    const cJSON *Run;

    cJSON_ArrayForEach(Run, Runs) {
        Survived += JsonTrue(Run, "survived");
    }
    TextPrint(Text, "\nFailures: %d call stack%s refused memory, each in a run of its own; %d survived\n", Count,
              Count == 1 ? " was" : "s were", Survived);
    cJSON_ArrayForEach(Run, Runs) {
        FailurespPutRun(Report, Run, WithBugCheck, Text);
    }
    TextPut(Text, "\nThe run without failures\n");
}

void
FailuresRender(const cJSON *Report, bool WithBugCheck, TEXT *Text)
{
    const cJSON *Fail = JsonMember(Report, "fail");
    const cJSON *Refusal;
    int Shown = 0;

    if (!cJSON_IsObject(Fail)) {
        return;
    }
    if (JsonMember(Fail, "runs") != NULL) {
        FailurespPutSweep(Report, WithBugCheck, Text);
        return;
    }
    TextPrint(Text, "\nFailures: %llu of %llu requests for memory were refused\n", FailurespCount(Fail, "refused"),
              FailurespCount(Fail, "requests"));
    cJSON_ArrayForEach(Refusal, JsonMember(Fail, "failures")) {
        if (Shown == MAXIMUM_REFUSALS) {
            break;
        }
        Shown += 1;
        TextPut(Text, "  ");
        FailurespPutRefusal(Report, Refusal, Text);
        TextPut(Text, "\n");
        ReportPutStack(Refusal, Text);
    }
    if (JsonCount(Fail, "refused") > (uint64_t)Shown) {
        TextPrint(Text, "  ... and %llu more\n", FailurespCount(Fail, "refused") - (unsigned long long)Shown);
    }
}

void
FailuresRenderBugChecks(const cJSON *Report, TEXT *Text)
{
    const cJSON *Run;

    cJSON_ArrayForEach(Run, JsonMember(JsonMember(Report, "fail"), "runs")) {
        if (cJSON_IsObject(JsonMember(Run, "bugcheck"))) {
            TextPut(Text, "*** refused: ");
            FailurespPutRefusal(Report, Run, Text);
            TextPut(Text, "\n");
            ReportRenderBugCheck(Run, Text);
        }
    }
}
