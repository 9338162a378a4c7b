/*
 * chars.c - single characters: case and the ANSI code page.
 *
 * Case follows the simple mappings of Unicode for the Basic Multilingual Plane, without those that
 * cannot be undone, so upper and lower case are inverse to each other. The ANSI code page is 1252,
 * Western European; its five holes map to the control characters of the same number. Constant
 * tables, any IRQL.
 */
#include <ntifs.h>
#include <ntexport.h>
#include "casetab.h"
#include "rtl.h"

/* Bytes 0x80 to 0x9F of code page 1252; all others are their own number. */
static const WCHAR RtlpCodePage1252[32] = {
    0x20AC, 0x0081, 0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160,
    0x2039, 0x0152, 0x008D, 0x017D, 0x008F, 0x0090, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
    0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0x009D, 0x017E, 0x0178,
};

static WCHAR
RtlpMapCase(const RTLP_CASE_RANGE *Ranges, ULONG Count, WCHAR Unit)
{
    ULONG Low = 0, High = Count, Middle;

    while (Low < High) {
        Middle = Low + (High - Low) / 2;
        if (Unit < Ranges[Middle].First) {
            High = Middle;
        } else if (Unit > Ranges[Middle].Last) {
            Low = Middle + 1;
        } else if ((Unit - Ranges[Middle].First) % Ranges[Middle].Step == 0) {
            return (WCHAR)(Unit + Ranges[Middle].Delta);
        } else {
            return Unit;
        }
    }
    return Unit;
}

/* The upper-case form of one character, itself if it has none. */
WCHAR NTAPI
RtlUpcaseUnicodeChar(WCHAR SourceCharacter)
{
    if (SourceCharacter < 0x80) {
        return SourceCharacter >= 'a' && SourceCharacter <= 'z' ? SourceCharacter - ('a' - 'A')
                                                                : SourceCharacter;
    }
    return RtlpMapCase(RtlpUpperRanges, ARRAYSIZE(RtlpUpperRanges), SourceCharacter);
}
NTEXPORT(RtlUpcaseUnicodeChar);

/* The lower-case form of one character, itself if it has none. */
WCHAR NTAPI
RtlDowncaseUnicodeChar(WCHAR SourceCharacter)
{
    if (SourceCharacter < 0x80) {
        return SourceCharacter >= 'A' && SourceCharacter <= 'Z' ? SourceCharacter + ('a' - 'A')
                                                                : SourceCharacter;
    }
    return RtlpMapCase(RtlpLowerRanges, ARRAYSIZE(RtlpLowerRanges), SourceCharacter);
}
NTEXPORT(RtlDowncaseUnicodeChar);

WCHAR
RtlpAnsiToWide(UCHAR Byte)
{
    return Byte >= 0x80 && Byte < 0xA0 ? RtlpCodePage1252[Byte - 0x80] : Byte;
}

UCHAR
RtlpWideToAnsi(WCHAR Unit)
{
    ULONG i;

    if (Unit < 0x80 || (Unit >= 0xA0 && Unit <= 0xFF)) {
        return (UCHAR)Unit;
    }
    for (i = 0; i < ARRAYSIZE(RtlpCodePage1252); i++) {
        if (RtlpCodePage1252[i] == Unit) {
            return (UCHAR)(0x80 + i);
        }
    }
    return '?';
}

/* The upper-case form of one character of the ANSI code page, if that page has it. */
CHAR NTAPI
RtlUpperChar(CHAR Character)
{
    WCHAR Upper = RtlUpcaseUnicodeChar(RtlpAnsiToWide((UCHAR)Character));
    UCHAR Byte = RtlpWideToAnsi(Upper);

    return RtlpAnsiToWide(Byte) == Upper ? (CHAR)Byte : Character;
}
NTEXPORT(RtlUpperChar);
