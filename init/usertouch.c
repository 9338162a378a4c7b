/*
 * Touches of user memory by an image, while the program's thread is in its driver.
 *
 * Each page of the buffers is hidden before a request, so its first touch is a page fault, and the trap path
 * says who it was (KiUserTouched). An image that uses a user address itself must have probed it, and must be
 * ready for the exception: the address may be anybody's, and the program may free the memory or change its
 * protection at any moment. So the touch is held against two things:
 *
 *     user-buffer-not-probed    no ProbeForRead, ProbeForWrite or MmProbeAndLockPages of it since the request began
 *     user-buffer-unguarded     probed, but no frame of the image has an __except around the place
 *
 * What the core touches on a caller's behalf is the core's own business. A page that was touched well once is
 * not looked at again until the next request, but for the pages that ProbeForWrite touches: they are hidden
 * again behind it.
 *
 * All of this belongs to one thread, the program's; no lock.
 */
#include "usertouch.h"
#include "program.h"
#include <ke/ke.h>
#include <ke/exception.h>
#include <ke/finding.h>
#include <ke/user.h>
#include <rtl/rtl.h>

#define INIT_PROBES 64

typedef struct _INIT_RANGE {
    ULONG_PTR Start;
    ULONG_PTR End;
} INIT_RANGE;

static PKTHREAD InitpWatched; /* NULL: nobody */
static INIT_RANGE InitpProbes[INIT_PROBES];
static ULONG InitpProbeCount; /* may be more than there is room for: the oldest are overwritten */

static BOOLEAN
InitpIsWatched(VOID)
{
    return InitpWatched != NULL && (PKTHREAD)KiCurrentThread() == InitpWatched;
}

static BOOLEAN
InitpWasProbed(ULONG_PTR Address)
{
    for (ULONG Index = 0; Index < MIN(InitpProbeCount, INIT_PROBES); Index += 1) {
        if (Address >= InitpProbes[Index].Start && Address < InitpProbes[Index].End) {
            return TRUE;
        }
    }
    return FALSE;
}

/* --- Touches ----------------------------------------------------------------------------------------------
 */

/* Of the frames of a trap, those of images say where it was. */
static VOID
InitpImageFrames(PKI_FINDING Finding, ULONG Count)
{
    for (ULONG Index = 0; Index < Count; Index += 1) {
        if (KiIsImageAddress((ULONG_PTR)Finding->Frames[Index])) {
            Finding->Frames[Finding->FrameCount++] = Finding->Frames[Index];
        }
    }
}

/* TrapFrame NULL: the image has called the core. */
static VOID
InitpReportTouch(PKTRAP_FRAME TrapFrame, ULONG64 Address, const char *Rule, const char *What)
{
    KI_FINDING Finding = {.Rule = Rule, .Address = Address};

    RtlpPrintBuffer(Finding.Text, sizeof(Finding.Text), "the driver %s", What);
    if (TrapFrame == NULL) {
        Finding.FrameCount = KiCaptureImageStack(Finding.Frames, KI_FINDING_FRAMES);
    } else {
        InitpImageFrames(&Finding, KiCaptureTrapStack(TrapFrame, Finding.Frames, KI_FINDING_FRAMES));
    }
    KiReportFinding(&Finding);
}

static VOID
InitpProbed(const volatile VOID *Address, SIZE_T Length, KI_USER_PROBE Probe)
{
    INIT_RANGE Range = {(ULONG_PTR)Address, (ULONG_PTR)Address + Length};

    if (!InitpIsWatched() || !KiInImageCode()) {
        return;
    }
    if (Probe == KiLockedForKernel) {
        if (!InitpWasProbed(Range.Start)) {
            InitpReportTouch(NULL, Range.Start, "user-buffer-not-probed",
                             "locked a user address with KernelMode and had not probed it");
        }
        return;
    }
    InitpProbes[InitpProbeCount % INIT_PROBES] = Range;
    InitpProbeCount += 1;
    if (Probe == KiProbedForWrite && HalGetIrql() == PASSIVE_LEVEL) {
        KiEnterBoundary();
        InitHideUser((PVOID)Range.Start, Length);
        KiLeaveBoundary();
    }
}

/* Is it the image's doing: its own instruction, or a routine of the core that only copies, fills or compares
 * for it? */
static BOOLEAN
InitpIsOfImage(PKTRAP_FRAME TrapFrame)
{
    PKI_BOUNDARY_RECORD Record;
    const char *Name;

    if (KiIsImageAddress(TrapFrame->Rip)) {
        return TRUE;
    }
    Record = KiInImageCode() ? KiFindBoundaryRecord(KI_BOUNDARY_EXPORT) : NULL;
    if (Record == NULL || KiExportName == NULL) {
        return FALSE;
    }
    Name = KiExportName(Record->Index);
    return (Name[0] == 'R' && Name[1] == 't' && Name[2] == 'l') ||
           (Name[0] == 'm' && Name[1] == 'e' && Name[2] == 'm');
}

static VOID
InitpTouched(PKTRAP_FRAME TrapFrame, ULONG64 Address)
{
    if (!InitpIsWatched() || !InitpIsOfImage(TrapFrame)) {
        return;
    }
    if (!InitpWasProbed(Address)) {
        InitpReportTouch(TrapFrame, Address, "user-buffer-not-probed",
                         "used a user address that it had neither probed nor locked");
    } else if (!KiIsGuarded(TrapFrame)) {
        InitpReportTouch(TrapFrame, Address, "user-buffer-unguarded",
                         "used a user address outside __try, where the program can make it fault");
    }
}

VOID
InitWatchUser(VOID)
{
    InitpProbeCount = 0;
    InitpWatched = KiVerifierOn ? (PKTHREAD)KiCurrentThread() : NULL;
    KiUserProbed = InitpProbed;
    KiUserTouched = InitpTouched;
}

VOID
InitUnwatchUser(VOID)
{
    InitpWatched = NULL;
}
