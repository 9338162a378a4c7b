/*
 * Failure injection: starting and stopping a run. PASSIVE_LEVEL; one run at a time, which its
 * starter sees to.
 */
#include "inject.h"

/* The mode is set last: from then on requests are counted. */
static VOID
MipStartInjection(MI_INJECT_MODE Mode, ULONG64 Nth, ULONG RatePerMillion, ULONG64 Seed)
{
    MiSetInjectMode(MiInjectOff);
    MiInject.Nth = Nth;
    MiInject.RatePerMillion = RatePerMillion;
    MiInject.Random = Seed;
    MiInject.Requests = 0;
    MiInject.Failures = 0;
    MiSetInjectMode(Mode);
}

VOID
MiInjectStartNth(ULONG64 Nth)
{
    MipStartInjection(MiInjectNth, Nth, 0, 0);
}

VOID
MiInjectStartFromNth(ULONG64 Nth)
{
    MipStartInjection(MiInjectFromNth, Nth, 0, 0);
}

VOID
MiInjectStartRate(ULONG RatePerMillion, ULONG64 Seed)
{
    MipStartInjection(MiInjectRate, 0, RatePerMillion, Seed);
}

ULONG64
MiInjectStop(ULONG64 *Requests)
{
    MiSetInjectMode(MiInjectOff);
    if (Requests != NULL) {
        *Requests = MiInject.Requests;
    }
    return MiInject.Failures;
}

/* --- Text ------------------------------------------------------------------------------------- */

/* Skip Word if Text begins with it, else NULL. */
static const char *
MipSkipWord(const char *Text, const char *Word)
{
    while (*Word != 0) {
        if (*Text++ != *Word++) {
            return NULL;
        }
    }
    return Text;
}

/* Read digits, at most Maximum of them; returns what follows, NULL if there is none. */
static const char *
MipReadDigits(const char *Text, ULONG Maximum, ULONG64 *Value, ULONG *Count)
{
    *Value = 0;
    for (*Count = 0; *Text >= '0' && *Text <= '9'; Text++, *Count += 1) {
        if (*Count == Maximum) {
            return NULL;
        }
        *Value = *Value * 10 + (ULONG64)(*Text - '0');
    }
    return *Count == 0 ? NULL : Text;
}

/* A probability as parts in a million; FALSE if the text is none. */
static BOOLEAN
MipReadRate(const char *Text, ULONG *RatePerMillion)
{
    ULONG64 Whole;
    ULONG64 Fraction = 0;
    ULONG Digits;

    Text = MipReadDigits(Text, 1, &Whole, &Digits);
    if (Text == NULL) {
        return FALSE;
    }
    Digits = 0;
    if (*Text == '.') {
        Text = MipReadDigits(Text + 1, 6, &Fraction, &Digits);
    }
    if (Text == NULL || *Text != 0) {
        return FALSE;
    }
    for (; Digits < 6; Digits++) {
        Fraction *= 10;
    }
    *RatePerMillion = (ULONG)(Whole * 1000000 + Fraction);
    return *RatePerMillion <= 1000000;
}

NTSTATUS
MiInjectStartText(const char *Text, ULONG64 Seed)
{
    const char *Rest;
    ULONG64 Nth;
    ULONG Value;

    if ((Rest = MipSkipWord(Text, "rate:")) != NULL) {
        if (!MipReadRate(Rest, &Value)) {
            return STATUS_INVALID_PARAMETER;
        }
        MiInjectStartRate(Value, Seed);
        return STATUS_SUCCESS;
    }
    if ((Rest = MipSkipWord(Text, "nth:")) != NULL) {
        Rest = MipReadDigits(Rest, 18, &Nth, &Value);
        if (Rest == NULL || *Rest != 0 || Nth == 0) {
            return STATUS_INVALID_PARAMETER;
        }
        MiInjectStartNth(Nth);
        return STATUS_SUCCESS;
    }
    if ((Rest = MipSkipWord(Text, "from:")) != NULL) {
        Rest = MipReadDigits(Rest, 18, &Nth, &Value);
        if (Rest == NULL || *Rest != 0 || Nth == 0) {
            return STATUS_INVALID_PARAMETER;
        }
        MiInjectStartFromNth(Nth);
        return STATUS_SUCCESS;
    }
    return STATUS_INVALID_PARAMETER;
}
