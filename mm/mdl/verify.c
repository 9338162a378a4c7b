/*
 * The verifier's part in MDLs and mappings, and what drivers may ask about the verifier. What it finds is bug
 * check 0xC4 with the documented numbers; where a documented rule only discourages something that works, it
 * is a finding. Document: "Bug Check 0xC4".
 */
#include "mdlp.h"

/* The option that is on, as MmIsVerifierEnabled reports it: what a driver holds is tracked. */
#define MI_VERIFIER_FLAGS 0x00000008

VOID
MiVerifyIrql(ULONG Violation, KIRQL Limit, ULONG64 P3, ULONG64 P4)
{
    if (KiVerifierOn && HalGetIrql() > Limit) {
        KeBugCheckEx(DRIVER_VERIFIER_DETECTED_VIOLATION, Violation, HalGetIrql(), P3, P4);
    }
}

VOID
MiVerifyMdlFlags(ULONG Violation, const MDL *Mdl, ULONG Wrong)
{
    if (KiVerifierOn && Wrong != 0) {
        KeBugCheckEx(DRIVER_VERIFIER_DETECTED_VIOLATION, Violation, (ULONG_PTR)Mdl, MiMdlFlags(Mdl), Wrong);
    }
}

VOID
MiReportObsolete(const char *Text, PVOID Object)
{
    KI_FINDING Finding = {.Rule = "obsolete-mapping", .Address = (ULONG64)Object};

    if (!KiVerifierOn || !KiInImageCode()) {
        return;
    }
    RtlpPrintBuffer(Finding.Text, sizeof(Finding.Text), "%s", Text);
    Finding.FrameCount = KiCaptureImageStack(Finding.Frames, KI_FINDING_FRAMES);
    KiReportFinding(&Finding);
}

/* --- MDLs that go away too early ----------------------------------------------------------------------- */

ULONG MiPartialMappings;

static VOID
MipReportMdl(const char *Rule, const char *Text, PVOID Object, SIZE_T Size)
{
    KI_FINDING Finding = {.Rule = Rule, .Address = (ULONG64)Object, .Size = Size};

    if (!KiVerifierOn || !KiInImageCode()) {
        return;
    }
    RtlpPrintBuffer(Finding.Text, sizeof(Finding.Text), Text, (ULONG64)Size);
    Finding.FrameCount = KiCaptureImageStack(Finding.Frames, KI_FINDING_FRAMES);
    KiReportFinding(&Finding);
}

VOID
MiCheckFreedMdl(PMDL Mdl)
{
    MI_TRACKED Lock;

    if (MiFindTracked(MiTrackLockedPages, Mdl, &Lock)) {
        MipReportMdl("locked-mdl-freed", "an MDL was freed while its %I64u bytes are locked", Mdl, Lock.Size);
    }
}

/* Does a partial MDL's own mapping show pages of the MDL? */
static BOOLEAN
MipShowsPages(const MI_TRACKED *Tracked, PVOID Context)
{
    const MDL *Mdl = Context;

    if ((Tracked->Value[MI_MAPPING_START] & MI_MAPPING_PARTIAL) == 0) {
        return FALSE;
    }
    for (SIZE_T Index = 0; Index < MiMdlPageCount(Mdl); Index += 1) {
        if (MmGetMdlPfnArray((PMDL)Mdl)[Index] == Tracked->Value[MI_MAPPING_FRAME]) {
            return TRUE;
        }
    }
    return FALSE;
}

VOID
MiCheckUnlockedMdl(PMDL Mdl)
{
    MI_TRACKED Mapping;

    if (__atomic_load_n(&MiPartialMappings, __ATOMIC_RELAXED) != 0 &&
        MiFindTrackedIf(MiTrackMapping, MipShowsPages, Mdl, &Mapping)) {
        MipReportMdl("unlocked-while-mapped", "pages were unlocked while a partial MDL still maps %I64u bytes of them",
                     Mapping.Object, Mapping.Size);
    }
}

/* TRUE if the driver is verified: all are, or none. <= APC_LEVEL. */
LOGICAL NTAPI
MmIsDriverVerifying(struct _DRIVER_OBJECT *DriverObject)
{
    return KiVerifierOn && DriverObject != NULL;
}
NTEXPORT(MmIsDriverVerifying);

/* The same; no driver is verified only because it imports from another. <= APC_LEVEL. */
LOGICAL NTAPI
MmIsDriverSuspectForVerifier(struct _DRIVER_OBJECT *DriverObject)
{
    return KiVerifierOn && DriverObject != NULL;
}
NTEXPORT(MmIsDriverSuspectForVerifier);

/* The same for the driver whose image contains an address; FALSE if none does. <= APC_LEVEL. */
LOGICAL NTAPI
MmIsDriverVerifyingByAddress(PVOID AddressWithinSection)
{
    return KiVerifierOn && KiIsImageAddress != NULL && KiIsImageAddress((ULONG64)AddressWithinSection);
}
NTEXPORT(MmIsDriverVerifyingByAddress);

/* *VerifierFlags receives the options in force. STATUS_NOT_SUPPORTED, and nothing is written, if it is off.
 * Any IRQL. */
NTSTATUS NTAPI
MmIsVerifierEnabled(PULONG VerifierFlags)
{
    if (!KiVerifierOn) {
        return STATUS_NOT_SUPPORTED;
    }
    *VerifierFlags = MI_VERIFIER_FLAGS;
    return STATUS_SUCCESS;
}
NTEXPORT(MmIsVerifierEnabled);
