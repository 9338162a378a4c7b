/*
 * Rules of exports: what is looked at before an image's call reaches the routine (boundary.h). A call above the
 * routine's IRQL is bug check 0xC4; who watches a routine sees its first argument. The table is built with the system image
 * and constant from then on. Routines that check themselves, because what is wrong depends on their arguments or has
 * parameters of its own, have no rule.
 *
 * Documents: the IRQL on each routine's page; "Bug Check 0xC4": 0xE5 in general, 0xE6 for ZwXxx, others where named.
 */
#include "kep.h"
#include <rtl/rtl.h>

/* Violations from here on are rules of DDI compliance: their second parameter is the text of the rule. */
#define KI_DDI_COMPLIANCE 0x20000

PKI_EXPORT_RULE KiExportRules;

/* For a person: what the routine wants. Static, because the report is written after this returns. */
static VOID
KipExplainIrql(const KI_EXPORT_RULE *Rule, KIRQL Irql)
{
    static const char *const Levels[] = {"PASSIVE_LEVEL", "IRQL <= APC_LEVEL", "IRQL <= DISPATCH_LEVEL"};
    static CHAR Text[KI_STOP_TEXT];

    RtlpPrintBuffer(Text, sizeof(Text), "%s must be called at %s, and was called at IRQL %u", Rule->Name,
                    Rule->Limit <= DISPATCH_LEVEL ? Levels[Rule->Limit] : "a lower IRQL", Irql);
    KiExplainStop(Text);
}

/* The parameters that each kind of violation is documented to have. */
static VOID DECLSPEC_NORETURN
KipStopForIrql(const KI_EXPORT_RULE *Rule, KIRQL Irql)
{
    const struct _KTHREAD *Thread = KiCurrentThread();

    KipExplainIrql(Rule, Irql);
    if (Rule->Violation == KI_IRQL_VIOLATION_ZW) {
        KiVerifierStop(KI_IRQL_VIOLATION_ZW, Thread->BoundaryTop[-1].Rip, Irql,
                       (ULONG64)(LONG64)Thread->SpecialApcDisable);
    }
    if (Rule->Violation >= KI_DDI_COMPLIANCE) {
        KiVerifierStop(Rule->Violation, (ULONG_PTR)KiStopText(), 0, 0);
    }
    KiVerifierStop(Rule->Violation, Irql, 0, 0);
}

/* Called by KiCheckedExport; the record of the call is the newest. Returns the routine. */
PVOID KiCheckExport(ULONG Index, ULONG64 Argument1);

PVOID
KiCheckExport(ULONG Index, ULONG64 Argument1)
{
    const KI_EXPORT_RULE *Rule = &KiExportRules[Index];
    KIRQL Irql = HalGetIrql();

    if (KiVerifierOn) {
        if (Irql > Rule->Limit ||
            (Rule->Violation == KI_IRQL_VIOLATION_ZW && KiCurrentThread()->SpecialApcDisable != 0)) {
            KipStopForIrql(Rule, Irql);
        }
        if (Rule->Watch != NULL) {
            Rule->Watch(Argument1);
        }
    }
    return Rule->Routine;
}
