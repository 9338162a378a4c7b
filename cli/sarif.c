/*
 * sarif.c - a completed report as SARIF 2.1.0, the OASIS format for results of static and dynamic analysis.
 *
 * A finding is a result. Its place is the innermost frame of the image that has a line; without lines it is a logical
 * location, module+offset. The whole stack is given twice: as a stack, innermost first, and as a code flow that
 * leads to the place as the calls did. Rules are listed with their help, those of this report that have none in the table too.
 */
#include "sarif.h"

#include <stdio.h>
#include <string.h>

#include "jsonutil.h"
#include "outcome.h"
#include "report.h"
#include "text.h"

#define SARIF_SCHEMA "https://json.schemastore.org/sarif-2.1.0.json"
#define RULE_BUG_CHECK "bug-check"

typedef struct _SARIF_RULE {
    const char *Id;
    const char *Level; /* error: something is broken already; warning: something was left behind */
    const char *Short;
    const char *Help;
} SARIF_RULE;

static const SARIF_RULE SarifRules[] = {
    {RULE_BUG_CHECK, "error", "The driver brought the system down.",
     "The run ended with the bug check that Windows documents for this breach of contract. The parameters say which one, "
     "the stack where."},
    {"pool-leak", "warning", "A pool block was not freed.",
     "Free the block with ExFreePoolWithTag on every path, at the latest in DriverUnload. The stack is that of the allocation."},
    {"lookaside-leak", "warning", "A lookaside list was not deleted.",
     "Call ExDeleteLookasideListEx (or its older kin) for each list that was initialized, before the driver is unloaded."},
    {"locked-pages", "warning", "An MDL's pages are still locked.",
     "Each MmProbeAndLockPages needs an MmUnlockPages, on error paths and at cancellation too."},
    {"mapping-leak", "warning", "A system mapping was not removed.",
     "Each MmMapLockedPagesSpecifyCache needs an MmUnmapLockedPages, or the MmUnlockPages that takes the mapping along."},
    {"reserved-mapping-leak", "warning", "Reserved mapping addresses were not given back.",
     "Each MmAllocateMappingAddress needs an MmFreeMappingAddress."},
    {"io-space-leak", "warning", "An I/O space mapping was not removed.",
     "Each MmMapIoSpaceEx needs an MmUnmapIoSpace of the same size."},
    {"pages-leak", "warning", "Pages allocated for an MDL were not freed.",
     "Each MmAllocatePagesForMdlEx needs an MmFreePagesFromMdl, and the MDL an ExFreePool."},
    {"contiguous-leak", "warning", "Contiguous or noncached memory was not freed.",
     "Each MmAllocateContiguousMemory... needs an MmFreeContiguousMemory."},
    {"thread-leak", "warning", "A system thread still runs.",
     "Tell the thread to end and wait for it, by its object, before the driver is unloaded."},
    {"handle-leak", "warning", "A handle was not closed.", "Each handle that was opened or created needs a ZwClose."},
    {"device-leak", "warning", "A device was not deleted.", "DriverUnload must call IoDeleteDevice for each device."},
    {"symlink-leak", "warning", "A symbolic link was not deleted.",
     "DriverUnload must call IoDeleteSymbolicLink for each link."},
    {"request-not-completed", "error", "A request was never completed.",
     "Each request that the driver keeps needs a cancel routine, and must be completed at cleanup at the latest."},
    {"request-information", "error", "A request reports more bytes than its buffer has.",
     "Information of a buffered request must not exceed its output buffer: the I/O manager copies that many bytes."},
    {"timer-left", "error", "A timer is still set when its driver is gone.",
     "Call KeCancelTimer, and KeFlushQueuedDpcs, before the driver is unloaded."},
    {"dpc-left", "error", "A DPC is still queued when its driver is gone.",
     "Call KeRemoveQueueDpc or KeFlushQueuedDpcs before the driver is unloaded."},
    {"callback-left", "error", "A callback is still registered when its driver is gone.",
     "Call the routine that takes the callback back before the driver is unloaded: the next call would be into freed memory."},
    {"stale-translation", "error", "A page was given away while a processor could still reach it.",
     "A change of a page table was not followed by a flush of the translation on all processors."},
};

#define RULE_COUNT (sizeof(SarifRules) / sizeof(SarifRules[0]))

static const SARIF_RULE *
SarifpFindRule(const char *Id)
{
    size_t Index;

    for (Index = 0; Index < RULE_COUNT; Index += 1) {
        if (strcmp(SarifRules[Index].Id, Id) == 0) {
            return &SarifRules[Index];
        }
    }
    return NULL;
}

/* --- Small things --------------------------------------------------------------------------------- */

static cJSON *
SarifpObject(cJSON *Parent, const char *Name)
{
    cJSON *Object = JsonNew(cJSON_CreateObject());

    JsonSet(Parent, Name, Object);
    return Object;
}

static cJSON *
SarifpArray(cJSON *Parent, const char *Name)
{
    cJSON *Array = JsonNew(cJSON_CreateArray());

    JsonSet(Parent, Name, Array);
    return Array;
}

/* A new object at the end of an array. */
static cJSON *
SarifpElement(cJSON *Array)
{
    cJSON *Object = JsonNew(cJSON_CreateObject());

    (void)cJSON_AddItemToArray(Array, Object);
    return Object;
}

static void
SarifpText(cJSON *Object, const char *Name, const char *Value)
{
    JsonSet(Object, Name, JsonNew(cJSON_CreateString(Value)));
}

static void
SarifpNumber(cJSON *Object, const char *Name, uint64_t Value)
{
    JsonSet(Object, Name, JsonNew(cJSON_CreateNumber((double)Value)));
}

static void
SarifpMessage(cJSON *Object, const char *Name, const char *Value)
{
    SarifpText(SarifpObject(Object, Name), "text", Value);
}

/* --- Places --------------------------------------------------------------------------------------- */

/*
 * A path that a compiler recorded as a reference: file:// if it is absolute, on whichever system.
 */
static void
SarifpPutUri(const char *Path, TEXT *Uri)
{
    static const char Plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/:";
    bool Drive = Path[0] != 0 && Path[1] == ':' && (Path[2] == '\\' || Path[2] == '/');
    const char *Byte;

    TextPut(Uri, Drive ? "file:///" : Path[0] == '/' ? "file://" : "");
    for (Byte = Path; *Byte != 0; Byte += 1) {
        /* In a relative reference a colon would end a scheme. */
        if (*Byte == '\\') {
            TextPut(Uri, "/");
        } else if (strchr(Plain, *Byte) != NULL && (*Byte != ':' || Drive)) {
            TextPutBytes(Uri, Byte, 1);
        } else {
            TextPrint(Uri, "%%%02X", (unsigned char)*Byte);
        }
    }
}

/*
 * The location of a frame, or of a function that Frame was inlined into: Place has function, file and line.
 */
static void
SarifpPutLocation(cJSON *Location, const cJSON *Frame, const cJSON *Place)
{
    const char *Module = JsonString(Frame, "module", NULL);
    const char *Function = JsonString(Place, "function", NULL);
    const char *File = JsonString(Place, "file", NULL);
    uint64_t Line = JsonCount(Place, "line");
    cJSON *Logical;
    TEXT Text = {0};

    if (File != NULL && *File != 0) {
        cJSON *Physical = SarifpObject(Location, "physicalLocation");

        SarifpPutUri(File, &Text);
        SarifpText(SarifpObject(Physical, "artifactLocation"), "uri", Text.Data);
        if (Line != 0) {
            SarifpNumber(SarifpObject(Physical, "region"), "startLine", Line);
        }
    }
    Logical = SarifpElement(SarifpArray(Location, "logicalLocations"));
    Text.Length = 0;
    if (Function != NULL) {
        TextPrint(&Text, "%s!%s", Module == NULL ? "?" : Module, Function);
        SarifpText(Logical, "name", Function);
    } else {
        TextPrint(&Text, "%s%s%s", Module == NULL ? JsonString(Frame, "address", "?") : Module,
                  Module == NULL ? "" : "+", Module == NULL ? "" : JsonString(Frame, "offset", "0x0"));
    }
    SarifpText(Logical, "fullyQualifiedName", Text.Data);
    SarifpText(Logical, "kind", Function != NULL ? "function" : "module");
    TextFree(&Text);
}

/*
 * Where the result is shown: the innermost frame of the image with a line, or else its innermost at all, or the
 * innermost of any. NULL if there is no stack.
 */
static const cJSON *
SarifpChooseFrame(const cJSON *Stack, const char *Image)
{
    const cJSON *Inner = NULL;
    const cJSON *Frame;

    cJSON_ArrayForEach(Frame, Stack) {
        if (strcmp(JsonString(Frame, "module", ""), Image) != 0) {
            continue;
        }
        if (JsonString(Frame, "file", NULL) != NULL) {
            return Frame;
        }
        if (Inner == NULL) {
            Inner = Frame;
        }
    }
    return Inner != NULL ? Inner : Stack == NULL ? NULL : Stack->child;
}

/*
 * The function of a frame that a reader looks for: past those that a header brought in.
 */
static const cJSON *
SarifpChoosePlace(const cJSON *Frame)
{
    const char *File = JsonString(Frame, "file", "");
    size_t Length = strlen(File);
    const cJSON *Caller;

    if (Length < 2 || strcmp(File + Length - 2, ".h") != 0) {
        return Frame;
    }
    cJSON_ArrayForEach(Caller, JsonMember(Frame, "inlined_into")) {
        File = JsonString(Caller, "file", "");
        Length = strlen(File);
        if (Length > 2 && strcmp(File + Length - 2, ".h") != 0) {
            return Caller;
        }
    }
    return Frame;
}

/* --- Stacks and flows ----------------------------------------------------------------------------- */

static void
SarifpPutStack(cJSON *Result, const cJSON *Stack)
{
    cJSON *Element = SarifpElement(SarifpArray(Result, "stacks"));
    cJSON *Frames;
    const cJSON *Frame;

    SarifpMessage(Element, "message", "calls, innermost first");
    Frames = SarifpArray(Element, "frames");
    cJSON_ArrayForEach(Frame, Stack) {
        cJSON *Made = SarifpElement(Frames);
        cJSON *Properties;
        const cJSON *Caller;

        SarifpPutLocation(SarifpObject(Made, "location"), Frame, Frame);
        SarifpText(Made, "module", JsonString(Frame, "module", "?"));
        Properties = SarifpObject(Made, "properties");
        SarifpText(Properties, "address", JsonString(Frame, "address", "?"));
        SarifpText(Properties, "offset", JsonString(Frame, "offset", "?"));
        cJSON_ArrayForEach(Caller, JsonMember(Frame, "inlined_into")) {
            Made = SarifpElement(Frames);
            SarifpPutLocation(SarifpObject(Made, "location"), Frame, Caller);
            SarifpText(Made, "module", JsonString(Frame, "module", "?"));
        }
    }
}

static void
SarifpPutStep(cJSON *Locations, const cJSON *Frame, const cJSON *Place)
{
    uint64_t Level = (uint64_t)cJSON_GetArraySize(Locations);
    cJSON *Step = SarifpElement(Locations);

    SarifpPutLocation(SarifpObject(Step, "location"), Frame, Place);
    SarifpNumber(Step, "nestingLevel", Level);
}

/*
 * The calls from the outermost inwards.
 */
static void
SarifpPutFlow(cJSON *Result, const cJSON *Stack)
{
    cJSON *Flow;
    cJSON *Locations;
    int Index;

    Flow = SarifpElement(SarifpArray(Result, "codeFlows"));
    Flow = SarifpElement(SarifpArray(Flow, "threadFlows"));
    Locations = SarifpArray(Flow, "locations");
    for (Index = cJSON_GetArraySize(Stack) - 1; Index >= 0; Index -= 1) {
        const cJSON *Frame = cJSON_GetArrayItem(Stack, Index);
        const cJSON *Callers = JsonMember(Frame, "inlined_into");
        int Caller;

        for (Caller = cJSON_GetArraySize(Callers) - 1; Caller >= 0; Caller -= 1) {
            SarifpPutStep(Locations, Frame, cJSON_GetArrayItem(Callers, Caller));
        }
        SarifpPutStep(Locations, Frame, Frame);
    }
}

/*
 * The same finding at the same call site has the same print in every run, whatever the seed placed where.
 */
static void
SarifpPutPrint(cJSON *Result, const char *Rule, const cJSON *Stack)
{
    uint64_t Hash = 0xCBF29CE484222325u;
    char Digits[20];
    const cJSON *Frame;
    const char *Byte;
    TEXT Text = {0};

    TextPut(&Text, Rule);
    cJSON_ArrayForEach(Frame, Stack) {
        TextPrint(&Text, "|%s+%s", JsonString(Frame, "module", "?"),
                  JsonString(Frame, "function", JsonString(Frame, "offset", "?")));
    }
    for (Byte = Text.Data; *Byte != 0; Byte += 1) {
        Hash = (Hash ^ (unsigned char)*Byte) * 0x100000001B3u;
    }
    snprintf(Digits, sizeof(Digits), "%016llx", (unsigned long long)Hash);
    SarifpText(SarifpObject(Result, "partialFingerprints"), "callSite/v1", Digits);
    TextFree(&Text);
}

/* --- Results -------------------------------------------------------------------------------------- */

/*
 * What all results have: the rule, the words, the place, the way there, how to see it again.
 */
static cJSON *
SarifpBeginResult(cJSON *Results, const cJSON *Report, const cJSON *Owner, const char *Rule, const char *Words,
                  const char *CommandLine)
{
    const cJSON *Stack = JsonMember(Owner, "stack");
    const cJSON *Frame = SarifpChooseFrame(Stack, JsonString(Report, "image", ""));
    const SARIF_RULE *Known = SarifpFindRule(Rule);
    cJSON *Result = SarifpElement(Results);
    cJSON *Locations;

    SarifpText(Result, "ruleId", Rule);
    SarifpText(Result, "level", Known == NULL ? "error" : Known->Level);
    SarifpMessage(Result, "message", *Words == 0 ? Rule : Words);
    Locations = SarifpArray(Result, "locations");
    if (Frame != NULL) {
        SarifpPutLocation(SarifpElement(Locations), Frame, SarifpChoosePlace(Frame));
        SarifpPutStack(Result, Stack);
        SarifpPutFlow(Result, Stack);
    }
    SarifpPutPrint(Result, Rule, Stack);
    SarifpText(SarifpObject(Result, "properties"), "replay", CommandLine);
    return Result;
}

static void
SarifpPutFinding(cJSON *Results, const cJSON *Report, const cJSON *Finding, const char *CommandLine)
{
    static const char *const Kept[] = {"address", "size", "tag", "type"};
    cJSON *Result = SarifpBeginResult(Results, Report, Finding, JsonString(Finding, "rule", "?"),
                                      JsonString(Finding, "text", ""), CommandLine);
    cJSON *Properties = cJSON_GetObjectItemCaseSensitive(Result, "properties");
    uint64_t Count = JsonCount(Finding, "count");
    size_t Index;

    SarifpNumber(Result, "occurrenceCount", Count == 0 ? 1 : Count);
    for (Index = 0; Index < sizeof(Kept) / sizeof(Kept[0]); Index += 1) {
        const cJSON *Value = JsonMember(Finding, Kept[Index]);

        if (cJSON_IsString(Value) || cJSON_IsNumber(Value)) {
            JsonSet(Properties, Kept[Index], JsonNew(cJSON_Duplicate(Value, true)));
        }
    }
}

static void
SarifpPutBugCheck(cJSON *Results, const cJSON *Report, const char *CommandLine)
{
    const cJSON *BugCheck = JsonMember(Report, "bugcheck");
    TEXT Text = {0};
    const cJSON *Parameter;

    if (!cJSON_IsObject(BugCheck)) {
        return;
    }
    TextPrint(&Text, "%s (%s:", JsonString(BugCheck, "name", "bug check"), JsonString(BugCheck, "code", "?"));
    cJSON_ArrayForEach(Parameter, JsonMember(BugCheck, "parameters")) {
        TextPrint(&Text, " %s", cJSON_IsString(Parameter) ? Parameter->valuestring : "?");
    }
    TextPut(&Text, ")");
    (void)SarifpBeginResult(Results, Report, BugCheck, RULE_BUG_CHECK, Text.Data, CommandLine);
    TextFree(&Text);
}

/* --- The run -------------------------------------------------------------------------------------- */

static void
SarifpPutRule(cJSON *Rules, const char *Id, const SARIF_RULE *Known)
{
    cJSON *Rule = SarifpElement(Rules);

    SarifpText(Rule, "id", Id);
    SarifpMessage(Rule, "shortDescription", Known == NULL ? "The driver broke a rule." : Known->Short);
    SarifpMessage(Rule, "fullDescription", Known == NULL ? "The result says which." : Known->Help);
    SarifpMessage(Rule, "help", Known == NULL ? "See the message and the stack of the result." : Known->Help);
    SarifpText(SarifpObject(Rule, "defaultConfiguration"), "level", Known == NULL ? "error" : Known->Level);
}

/*
 * All rules, and for each result the number of its rule.
 */
static void
SarifpPutRules(cJSON *Driver, const cJSON *Results)
{
    cJSON *Rules = SarifpArray(Driver, "rules");
    cJSON *Result;
    size_t Index;

    for (Index = 0; Index < RULE_COUNT; Index += 1) {
        SarifpPutRule(Rules, SarifRules[Index].Id, &SarifRules[Index]);
    }
    cJSON_ArrayForEach(Result, Results) {
        const char *Id = JsonString(Result, "ruleId", "?");
        const cJSON *Rule;
        uint64_t Number = 0;

        cJSON_ArrayForEach(Rule, Rules) {
            if (strcmp(JsonString(Rule, "id", ""), Id) == 0) {
                break;
            }
            Number += 1;
        }
        if (Rule == NULL) {
            SarifpPutRule(Rules, Id, NULL);
        }
        SarifpNumber(Result, "ruleIndex", Number);
    }
}

/*
 * What ended the run before its time, and a DriverEntry that failed.
 */
static void
SarifpPutNotifications(cJSON *Invocation, const cJSON *Report)
{
    const cJSON *Stop = JsonMember(Report, "stop");
    cJSON *Notifications = SarifpArray(Invocation, "toolExecutionNotifications");
    uint64_t Entry;

    if (cJSON_IsObject(Stop)) {
        cJSON *Notification = SarifpElement(Notifications);
        const cJSON *Frame = SarifpChooseFrame(JsonMember(Stop, "stack"), JsonString(Report, "image", ""));

        SarifpText(Notification, "level", "error");
        SarifpMessage(Notification, "message", JsonString(Stop, "text", "the run was stopped"));
        if (Frame != NULL) {
            SarifpPutLocation(SarifpElement(SarifpArray(Notification, "locations")), Frame, SarifpChoosePlace(Frame));
        }
    }
    if (OutcomeImageFailed(Report, &Entry)) {
        cJSON *Notification = SarifpElement(Notifications);
        char Text[48];

        snprintf(Text, sizeof(Text), "%s ended with 0x%08llX", OutcomeImageWord(Report), (unsigned long long)Entry);
        SarifpText(Notification, "level", "error");
        SarifpMessage(Notification, "message", Text);
    }
}

cJSON *
SarifMake(const cJSON *Report, const char *CommandLine, const char *Version)
{
    static const char *const Kept[] = {"image", "machine", "seed", "replayable"};
    cJSON *Sarif = JsonNew(cJSON_CreateObject());
    cJSON *Run, *Driver, *Invocation, *Results, *Properties;
    const cJSON *Finding;
    size_t Index;

    SarifpText(Sarif, "$schema", SARIF_SCHEMA);
    SarifpText(Sarif, "version", "2.1.0");
    Run = SarifpElement(SarifpArray(Sarif, "runs"));
    Driver = SarifpObject(SarifpObject(Run, "tool"), "driver");
    SarifpText(Driver, "name", "ntmm");
    SarifpText(Driver, "version", Version);
    Invocation = SarifpElement(SarifpArray(Run, "invocations"));
    SarifpText(Invocation, "commandLine", CommandLine);
    SarifpNumber(Invocation, "exitCode", JsonCount(Report, "exit"));
    JsonSet(Invocation, "executionSuccessful",
            JsonNew(cJSON_CreateBool(!cJSON_IsObject(JsonMember(Report, "stop")))));
    SarifpPutNotifications(Invocation, Report);
    Results = SarifpArray(Run, "results");
    SarifpPutBugCheck(Results, Report, CommandLine);
    cJSON_ArrayForEach(Finding, JsonMember(Report, "findings")) {
        SarifpPutFinding(Results, Report, Finding, CommandLine);
    }
    SarifpPutRules(Driver, Results);
    Properties = SarifpObject(Run, "properties");
    for (Index = 0; Index < sizeof(Kept) / sizeof(Kept[0]); Index += 1) {
        const cJSON *Value = JsonMember(Report, Kept[Index]);

        if (Value != NULL) {
            JsonSet(Properties, Kept[Index], JsonNew(cJSON_Duplicate(Value, true)));
        }
    }
    return Sarif;
}
