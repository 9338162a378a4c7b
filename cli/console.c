/*
 * console.c - what a run prints besides its report: scripts grep for these lines, and --quiet does
 * not silence them.
 */
#include "console.h"

#include "diag.h"
#include "failures.h"
#include "outcome.h"
#include "report.h"

void
ConsolePrintOutcome(const cJSON *Report, int Descriptor)
{
    TEXT Text = {0};
    uint64_t Entry;

    /* The image may have left its last line open, and ours have to start one. */
    if (JsonTrue(Report, "open_line") && cJSON_IsObject(JsonMember(Report, "bugcheck"))) {
        TextPut(&Text, "\n");
    }
    FailuresRenderBugChecks(Report, &Text);
    ReportRenderBugCheck(Report, &Text);
    (void)TextWrite(&Text, Descriptor);
    Text.Length = 0;

    if (OutcomeImageFailed(Report, &Entry)) {
        TextPrint(&Text, "ntmm: %s failed: 0x%08llX\n", OutcomeImageWord(Report), (unsigned long long)Entry);
    }
    if (cJSON_IsObject(JsonMember(Report, "stop"))) {
        TextPut(&Text, "ntmm: ");
        ReportRenderStop(Report, &Text);
    }
    (void)TextWrite(&Text, 2);
    TextFree(&Text);
}
