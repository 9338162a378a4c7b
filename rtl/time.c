/*
 * time.c - the calendar: 100 ns units since 1601-01-01 and year, month, day, ... Proleptic Gregorian,
 * no leap seconds, no time zone. Pure arithmetic, any IRQL.
 */
#include <ntifs.h>
#include <ntexport.h>
#include "rtl.h"

#define RTLP_TICKS_PER_MILLISECOND 10000LL
#define RTLP_MILLISECONDS_PER_DAY 86400000LL
#define RTLP_DAYS_PER_400_YEARS 146097
#define RTLP_FIRST_YEAR 1601
#define RTLP_LAST_YEAR 30827 /* the last whose every day fits into a positive time */

/* Days before month 0 to 11 (12: the year), in a year without a leap day. */
static const USHORT RtlpDaysBefore[13] = {0,   31,  59,  90,  120, 151, 181,
                                          212, 243, 273, 304, 334, 365};

static BOOLEAN
RtlpIsLeapYear(ULONG Year)
{
    return Year % 4 == 0 && (Year % 100 != 0 || Year % 400 == 0);
}

/* Days from the epoch to the first day of Year. */
static ULONG
RtlpDaysBeforeYear(ULONG Year)
{
    ULONG Past = Year - RTLP_FIRST_YEAR;

    return Past * 365 + Past / 4 - Past / 100 + Past / 400;
}

static ULONG
RtlpDaysBeforeMonth(ULONG Year, ULONG Month)
{
    return RtlpDaysBefore[Month] + (Month > 1 && RtlpIsLeapYear(Year) ? 1u : 0u);
}

static VOID
RtlpSplitDays(ULONG Days, PTIME_FIELDS Fields)
{
    ULONG Year, Month = 0;

    /* The estimate is at most one year off, either way. */
    Year = RTLP_FIRST_YEAR + (ULONG)((ULONG64)Days * 400 / RTLP_DAYS_PER_400_YEARS);
    while (RtlpDaysBeforeYear(Year) > Days) {
        Year--;
    }
    while (RtlpDaysBeforeYear(Year + 1) <= Days) {
        Year++;
    }
    Fields->Weekday = (CSHORT)((Days + 1) % 7); /* 1601-01-01 was a Monday */
    Days -= RtlpDaysBeforeYear(Year);
    while (RtlpDaysBeforeMonth(Year, Month + 1) <= Days) {
        Month++;
    }
    Fields->Year = (CSHORT)Year;
    Fields->Month = (CSHORT)(Month + 1);
    Fields->Day = (CSHORT)(Days - RtlpDaysBeforeMonth(Year, Month) + 1);
}

/* Split a time, which is not negative and not beyond the year 30827. */
VOID NTAPI
RtlTimeToTimeFields(PLARGE_INTEGER Time, PTIME_FIELDS TimeFields)
{
    ULONG64 Milliseconds = (ULONG64)Time->QuadPart / RTLP_TICKS_PER_MILLISECOND;
    ULONG OfDay = (ULONG)(Milliseconds % RTLP_MILLISECONDS_PER_DAY);

    RtlpSplitDays((ULONG)(Milliseconds / RTLP_MILLISECONDS_PER_DAY), TimeFields);
    TimeFields->Hour = (CSHORT)(OfDay / 3600000);
    TimeFields->Minute = (CSHORT)(OfDay / 60000 % 60);
    TimeFields->Second = (CSHORT)(OfDay / 1000 % 60);
    TimeFields->Milliseconds = (CSHORT)(OfDay % 1000);
}
NTEXPORT(RtlTimeToTimeFields);

static BOOLEAN
RtlpIsDate(const TIME_FIELDS *F)
{
    ULONG Year = (ULONG)F->Year, Month = (ULONG)F->Month - 1;

    return F->Year >= RTLP_FIRST_YEAR && F->Year <= RTLP_LAST_YEAR && F->Month >= 1 &&
           F->Month <= 12 && F->Day >= 1 &&
           (ULONG)F->Day <= RtlpDaysBeforeMonth(Year, Month + 1) - RtlpDaysBeforeMonth(Year, Month);
}

static BOOLEAN
RtlpIsTimeOfDay(const TIME_FIELDS *F)
{
    return F->Hour >= 0 && F->Hour <= 23 && F->Minute >= 0 && F->Minute <= 59 && F->Second >= 0 &&
           F->Second <= 59 && F->Milliseconds >= 0 && F->Milliseconds <= 999;
}

/* Join the fields; FALSE, and *Time untouched, if they are no date. Weekday is not looked at. */
BOOLEAN NTAPI
RtlTimeFieldsToTime(PTIME_FIELDS TimeFields, PLARGE_INTEGER Time)
{
    ULONG Year, Days;
    LONGLONG OfDay;

    if (!RtlpIsDate(TimeFields) || !RtlpIsTimeOfDay(TimeFields)) {
        return FALSE;
    }
    Year = (ULONG)TimeFields->Year;
    Days = RtlpDaysBeforeYear(Year) + RtlpDaysBeforeMonth(Year, (ULONG)TimeFields->Month - 1) +
           (ULONG)TimeFields->Day - 1;
    OfDay = ((TimeFields->Hour * 60LL + TimeFields->Minute) * 60 + TimeFields->Second) * 1000 +
            TimeFields->Milliseconds;
    Time->QuadPart =
        (Days * RTLP_MILLISECONDS_PER_DAY + OfDay) * RTLP_TICKS_PER_MILLISECOND;
    return TRUE;
}
NTEXPORT(RtlTimeFieldsToTime);
