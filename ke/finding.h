/*
 * Findings: what the verifier has to say about the image that runs. Any layer reports, init/ renders.
 *
 * The table is of fixed size and never freed; a finding equal to an earlier one in rule, tag and stack only
 * adds to its count. Findings past the end of the table are counted, so that none is lost silently.
 */
#ifndef KE_FINDING_H
#define KE_FINDING_H

#include <wdm.h>

#define KI_FINDING_FRAMES 16
#define KI_FINDING_TEXT 192
#define KI_MAXIMUM_FINDINGS 512

typedef struct _KI_FINDING {
    const char *Rule;           /* stable word for scripts: "pool-leak" */
    CHAR Text[KI_FINDING_TEXT]; /* one line of plain English */
    ULONG64 Address;            /* of the object, 0 if none */
    SIZE_T Size;                /* bytes, 0 if none */
    ULONG Tag;                  /* pool tag, 0 if none */
    const char *Type;           /* pool type and the like, NULL if none */
    ULONG Count;                /* how many times; filled in by KiReportFinding */
    ULONG FrameCount;
    PVOID Frames[KI_FINDING_FRAMES]; /* innermost first */
} KI_FINDING, *PKI_FINDING;

/* Record a finding (copied). Any IRQL; takes no lock that anything else takes. */
VOID KiReportFinding(const KI_FINDING *Finding);

/* The Index-th finding in order of first report; NULL past the last. */
const KI_FINDING *KiGetFinding(ULONG Index);

/* Findings that did not fit. */
ULONG KiLostFindings(VOID);

/* Forget all: for tests that expect one. */
VOID KiClearFindings(VOID);

#endif
