/* Fail the Nth; see failnth.h. */
#include <failnth.h>
#include <ktest.h>
#include <mm/debug/inject.h>

/* No call makes so many requests. */
#define FAIL_LIMIT 4096

static KTEST_BALANCE FailBefore, FailAfter;

static VOID
FailReport(const char *Name, ULONG64 Nth, const char *What)
{
    KTestNote("%s, request %I64u refused: %s", Name, Nth, What);
    KTestFail(__FILE__, __LINE__, Name);
}

/* FALSE if the call left something behind. */
static BOOLEAN
FailCheck(const char *Name, ULONG64 Nth)
{
    CHAR Text[160];

    KTestMeasure(&FailAfter);
    if (!KTestCompareBalance(&FailBefore, &FailAfter, Text, sizeof(Text))) {
        FailReport(Name, Nth, Text);
        return FALSE;
    }
    if (!MiValidatePfnDatabase() || !MiValidateSystemSpace() || !MiValidatePools()) {
        FailReport(Name, Nth, "a validator objects");
        return FALSE;
    }
    return TRUE;
}

static ULONG
FailSweep(const char *Name, KTEST_TRY *Try, PVOID Context, ULONG Flags, BOOLEAN StaysShort)
{
    for (ULONG64 Nth = 1; Nth < FAIL_LIMIT; Nth += 1) {
        BOOLEAN Got;
        ULONG64 Refused;

        if (StaysShort) {
            MiInjectStartFromNth(Nth);
        } else {
            MiInjectStartNth(Nth);
        }
        Got = Try(Context);
        Refused = MiInjectStop(NULL);
        if (!Got && (Refused == 0 || (Flags & KTEST_NEVER_FAILS))) {
            FailReport(Name, Nth, Refused == 0 ? "it fails though nothing was refused" : "it must not fail");
            return (ULONG)Nth - 1;
        }
        if (!FailCheck(Name, Nth) || Refused == 0) {
            return (ULONG)Nth - 1;
        }
    }
    FailReport(Name, FAIL_LIMIT, "there is no end of requests");
    return FAIL_LIMIT;
}

ULONG
KTestFailEach(const char *Name, KTEST_TRY *Try, PVOID Context, ULONG Flags)
{
    ULONG Count;

    /* What is made once and kept is made now. */
    (VOID)Try(Context);
    KTestMeasure(&FailBefore);
    Count = FailSweep(Name, Try, Context, Flags, FALSE);
    if (Flags & KTEST_STAYS_SHORT) {
        Count += FailSweep(Name, Try, Context, Flags, TRUE);
    }
    return Count;
}
