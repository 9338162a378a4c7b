/*
 * sweep.c - `--fail stacks`; see sweep.h.
 *
 * A run is survived if nothing stopped it, no bug check came, and it left nothing behind but what
 * the run without failures leaves too. DriverEntry may fail in it.
 */
#include "sweep.h"

#include <stdio.h>
#include <string.h>

#include "diag.h"

/* The machine takes no longer list of call stacks. */
#define MAXIMUM_RUNS 4096

const char *
SweepNextRule(SWEEP *Sweep)
{
    if (Sweep->Rule.Length == 0) {
        TextPut(&Sweep->Rule, "stacks");
    }
    return Sweep->Rule.Data;
}

/*
 * The one request that a run refused; NULL if it refused none, or the machine did not live to tell.
 */
static const cJSON *
SweeppRefusal(const cJSON *Report)
{
    return cJSON_GetArrayItem(JsonMember(JsonMember(Report, "fail"), "failures"), 0);
}

/*
 * Add a call stack to the rule. False if it is there already, or is none.
 */
static bool
SweeppAddStack(SWEEP *Sweep, const cJSON *Refusal)
{
    uint64_t Hash;
    char Digits[24];

    if (!JsonCode(Refusal, "hash", &Hash)) {
        return false;
    }
    snprintf(Digits, sizeof(Digits), "%016llx", (unsigned long long)Hash);
    if (strstr(Sweep->Rule.Data, Digits) != NULL) {
        return false;
    }
    TextPut(&Sweep->Rule, Sweep->Runs == 0 ? ":" : ",");
    TextPut(&Sweep->Rule, Digits);
    return true;
}

static cJSON *
SweeppCopy(const cJSON *Value)
{
    return JsonNew(Value == NULL ? cJSON_CreateNull() : cJSON_Duplicate(Value, true));
}

/*
 * What fail.runs says of a run.
 */
static cJSON *
SweeppDescribe(const OUTCOME *Outcome, const cJSON *Refusal)
{
    static const char *const OfReport[] = {"bugcheck", "stop", "findings"};
    static const char *const OfRefusal[] = {"request", "routine", "hash", "stack"};
    cJSON *Entry = JsonNew(cJSON_CreateObject());
    size_t Index;

    for (Index = 0; Index < sizeof(OfRefusal) / sizeof(OfRefusal[0]); Index += 1) {
        JsonSet(Entry, OfRefusal[Index], SweeppCopy(JsonMember(Refusal, OfRefusal[Index])));
    }
    JsonSet(Entry, "exit", JsonNew(cJSON_CreateNumber(Outcome->ExitStatus)));
    JsonSet(Entry, "entry", SweeppCopy(JsonMember(JsonMember(Outcome->Report, "driver"), "entry")));
    for (Index = 0; Index < sizeof(OfReport) / sizeof(OfReport[0]); Index += 1) {
        JsonSet(Entry, OfReport[Index], SweeppCopy(JsonMember(Outcome->Report, OfReport[Index])));
    }
    return Entry;
}

bool
SweepTake(SWEEP *Sweep, OUTCOME *Outcome)
{
    const cJSON *Refusal = SweeppRefusal(Outcome->Report);

    if (Sweep->Entries == NULL) {
        Sweep->Entries = JsonNew(cJSON_CreateArray());
    }
    if (Outcome->ExitStatus > Sweep->Status) {
        Sweep->Status = Outcome->ExitStatus;
    }
    if (Refusal == NULL) {
        /* Without the machine's own word there may have been more to try. */
        Sweep->Partial = Outcome->ExitStatus == EXIT_STOPPED;
        return false;
    }
    if (Sweep->Runs == MAXIMUM_RUNS || !SweeppAddStack(Sweep, Refusal)) {
        Sweep->Partial = true;
        return false;
    }
    cJSON_AddItemToArray(Sweep->Entries, SweeppDescribe(Outcome, Refusal));
    Sweep->Runs += 1;
    cJSON_Delete(Outcome->Report);
    Outcome->Report = NULL;
    return true;
}

/*
 * Whether two findings are the same but for where the objects were.
 */
static bool
SweeppSameFinding(const cJSON *Left, const cJSON *Right)
{
    const cJSON *LeftFrame = JsonMember(Left, "stack")->child;
    const cJSON *RightFrame = JsonMember(Right, "stack")->child;

    if (strcmp(JsonString(Left, "rule", ""), JsonString(Right, "rule", "")) != 0 ||
        JsonCount(Left, "count") > JsonCount(Right, "count")) {
        return false;
    }
    for (; LeftFrame != NULL && RightFrame != NULL;
         LeftFrame = LeftFrame->next, RightFrame = RightFrame->next) {
        if (strcmp(JsonString(LeftFrame, "offset", ""), JsonString(RightFrame, "offset", "")) != 0) {
            return false;
        }
    }
    return LeftFrame == NULL && RightFrame == NULL;
}

/*
 * Take out of a run's findings those that the run without failures has as well.
 */
static void
SweeppDropOldFindings(cJSON *Entry, const cJSON *Report)
{
    const cJSON *Findings = JsonMember(Entry, "findings");
    cJSON *Kept = JsonNew(cJSON_CreateArray());
    const cJSON *Finding;

    cJSON_ArrayForEach(Finding, Findings) {
        const cJSON *Old;
        bool Known = false;

        cJSON_ArrayForEach(Old, JsonMember(Report, "findings")) {
            Known = Known || SweeppSameFinding(Finding, Old);
        }
        if (!Known) {
            cJSON_AddItemToArray(Kept, SweeppCopy(Finding));
        }
    }
    JsonSet(Entry, "findings", Kept);
}

void
SweepFinish(SWEEP *Sweep, const RUN_OPTIONS *Options, OUTCOME *Outcome)
{
    cJSON *Fail = SweeppCopy(JsonMember(Outcome->Report, "fail"));
    cJSON *Entry;

    if (!cJSON_IsObject(Fail)) {
        cJSON_Delete(Fail);
        Fail = JsonNew(cJSON_CreateObject());
    }
    cJSON_ArrayForEach(Entry, Sweep->Entries) {
        SweeppDropOldFindings(Entry, Outcome->Report);
        JsonSet(Entry, "survived",
                JsonNew(cJSON_CreateBool(cJSON_IsNull(JsonMember(Entry, "bugcheck")) &&
                                         cJSON_IsNull(JsonMember(Entry, "stop")) &&
                                         JsonMember(Entry, "findings")->child == NULL)));
    }
    JsonSet(Fail, "what", JsonNew(cJSON_CreateString(Options->Fail)));
    JsonSet(Fail, "complete", JsonNew(cJSON_CreateBool(!Sweep->Partial)));
    JsonSet(Fail, "runs", Sweep->Entries);
    Sweep->Entries = NULL;
    JsonSet(Outcome->Report, "fail", Fail);
    if (Sweep->Partial) {
        Diag("--fail stacks: ended after %zu runs, before every call stack had been refused", Sweep->Runs);
        Sweep->Status = EXIT_STOPPED;
    }
    Outcome->ExitStatus = Sweep->Status;
    JsonSet(Outcome->Report, "exit", JsonNew(cJSON_CreateNumber(Outcome->ExitStatus)));
    SweepFree(Sweep);
}

void
SweepFree(SWEEP *Sweep)
{
    cJSON_Delete(Sweep->Entries);
    TextFree(&Sweep->Rule);
    *Sweep = (SWEEP){0};
}
