/*
 * The finding that the hosted machine's translation oracle makes: a frame was given away while a processor could still
 * reach it. The stack is that of the page-table change after which no flush came.
 */
#include "init.h"
#include <rtl/rtl.h>

VOID
KiStaleTranslation(PFN_NUMBER Frame, ULONG_PTR Va, PVOID *Stack, ULONG Depth)
{
    KI_FINDING Finding = {.Rule = "stale-translation", .Address = Va};

    RtlpPrintBuffer(Finding.Text, sizeof(Finding.Text),
                    "page 0x%I64X was given away while a processor still had it translated at 0x%p", Frame, (PVOID)Va);
    Finding.FrameCount = MIN(Depth, KI_FINDING_FRAMES);
    RtlCopyMemory(Finding.Frames, Stack, Finding.FrameCount * sizeof(PVOID));
    KiReportFinding(&Finding);
}
