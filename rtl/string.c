/*
 * string.c - counted strings: UNICODE_STRING and ANSI_STRING.
 *
 * Lengths are bytes and never count a terminator; one is written where a routine copies and finds
 * room for it. Nothing here allocates: conversions that do are in ex/rtlalloc.c. The caller owns the
 * buffers and keeps others from changing them.
 */
#include <ntifs.h>
#include <ntexport.h>
#include "rtl.h"

#define RTLP_MAXIMUM_WIDE_BYTES 0xFFFC /* with a terminator this is the largest even USHORT */
#define RTLP_MAXIMUM_NARROW_BYTES 0xFFFE
#define RTLP_HASH_MULTIPLIER 65599

static SIZE_T
RtlpWideLength(PCWSTR String)
{
    SIZE_T Length = 0;

    while (String[Length] != 0) {
        Length++;
    }
    return Length;
}

static SIZE_T
RtlpNarrowLength(const CHAR *String)
{
    SIZE_T Length = 0;

    while (String[Length] != 0) {
        Length++;
    }
    return Length;
}

/* ---- Describing ---- */

/* Describe a terminated string, cut to what a USHORT can count; NULL gives an empty one. */
VOID NTAPI
RtlInitUnicodeString(PUNICODE_STRING DestinationString, PCWSTR SourceString)
{
    SIZE_T Bytes;

    DestinationString->Length = 0;
    DestinationString->MaximumLength = 0;
    DestinationString->Buffer = (PWCH)(ULONG_PTR)SourceString;
    if (SourceString != NULL) {
        Bytes = MIN(RtlpWideLength(SourceString) * sizeof(WCHAR), (SIZE_T)RTLP_MAXIMUM_WIDE_BYTES);
        DestinationString->Length = (USHORT)Bytes;
        DestinationString->MaximumLength = (USHORT)(Bytes + sizeof(WCHAR));
    }
}
NTEXPORT(RtlInitUnicodeString);

/* The same; STATUS_NAME_TOO_LONG, and nothing described, instead of a cut. */
NTSTATUS NTAPI
RtlInitUnicodeStringEx(PUNICODE_STRING DestinationString, PCWSTR SourceString)
{
    if (SourceString != NULL &&
        RtlpWideLength(SourceString) * sizeof(WCHAR) > RTLP_MAXIMUM_WIDE_BYTES) {
        return STATUS_NAME_TOO_LONG;
    }
    RtlInitUnicodeString(DestinationString, SourceString);
    return STATUS_SUCCESS;
}
NTEXPORT(RtlInitUnicodeStringEx);

/* Describe a terminated narrow string; NULL gives an empty one. */
VOID NTAPI
RtlInitAnsiString(PANSI_STRING DestinationString, PCSZ SourceString)
{
    SIZE_T Bytes;

    DestinationString->Length = 0;
    DestinationString->MaximumLength = 0;
    DestinationString->Buffer = (PCHAR)(ULONG_PTR)SourceString;
    if (SourceString != NULL) {
        Bytes = MIN(RtlpNarrowLength(SourceString), (SIZE_T)RTLP_MAXIMUM_NARROW_BYTES);
        DestinationString->Length = (USHORT)Bytes;
        DestinationString->MaximumLength = (USHORT)(Bytes + 1);
    }
}
NTEXPORT(RtlInitAnsiString);

/* As RtlInitAnsiString. */
VOID NTAPI
RtlInitString(PSTRING DestinationString, PCSZ SourceString)
{
    RtlInitAnsiString(DestinationString, SourceString);
}
NTEXPORT(RtlInitString);

/* ---- Copying and appending ---- */

/* Copy Length bytes to Offset of a buffer; empty strings may have none at all. */
static VOID
RtlpCopyBytes(PVOID Buffer, ULONG Offset, PCVOID Source, ULONG Length)
{
    if (Length != 0) {
        RtlMoveMemory((PUCHAR)Buffer + Offset, Source, Length);
    }
}

static VOID
RtlpTerminateWide(PUNICODE_STRING String)
{
    if (String->MaximumLength - String->Length >= (LONG)sizeof(WCHAR)) {
        String->Buffer[String->Length / sizeof(WCHAR)] = 0;
    }
}

static VOID
RtlpTerminateNarrow(PSTRING String)
{
    if (String->Length < String->MaximumLength) {
        String->Buffer[String->Length] = 0;
    }
}

/* Copy as much as fits; a NULL source empties the destination. */
VOID NTAPI
RtlCopyUnicodeString(PUNICODE_STRING DestinationString, PCUNICODE_STRING SourceString)
{
    USHORT Length;

    if (SourceString == NULL) {
        DestinationString->Length = 0;
        return;
    }
    Length = MIN(SourceString->Length, (USHORT)(DestinationString->MaximumLength & ~1));
    RtlpCopyBytes(DestinationString->Buffer, 0, SourceString->Buffer, Length);
    DestinationString->Length = Length;
    RtlpTerminateWide(DestinationString);
}
NTEXPORT(RtlCopyUnicodeString);

/* Copy as much as fits; a NULL source empties the destination. No terminator is written. */
VOID NTAPI
RtlCopyString(PSTRING DestinationString, const STRING *SourceString)
{
    USHORT Length;

    if (SourceString == NULL) {
        DestinationString->Length = 0;
        return;
    }
    Length = MIN(SourceString->Length, DestinationString->MaximumLength);
    RtlpCopyBytes(DestinationString->Buffer, 0, SourceString->Buffer, Length);
    DestinationString->Length = Length;
}
NTEXPORT(RtlCopyString);

/* Append; STATUS_BUFFER_TOO_SMALL and no change if the result does not fit. */
NTSTATUS NTAPI
RtlAppendUnicodeStringToString(PUNICODE_STRING Destination, PCUNICODE_STRING Source)
{
    if ((ULONG)Destination->Length + Source->Length > Destination->MaximumLength) {
        return STATUS_BUFFER_TOO_SMALL;
    }
    RtlpCopyBytes(Destination->Buffer, Destination->Length, Source->Buffer, Source->Length);
    Destination->Length += Source->Length;
    RtlpTerminateWide(Destination);
    return STATUS_SUCCESS;
}
NTEXPORT(RtlAppendUnicodeStringToString);

/* Append a terminated string (NULL: nothing); STATUS_BUFFER_TOO_SMALL and no change if too long. */
NTSTATUS NTAPI
RtlAppendUnicodeToString(PUNICODE_STRING Destination, PCWSTR Source)
{
    UNICODE_STRING Tail;

    if (Source == NULL) {
        return STATUS_SUCCESS;
    }
    if (!NT_SUCCESS(RtlInitUnicodeStringEx(&Tail, Source))) {
        return STATUS_BUFFER_TOO_SMALL;
    }
    return RtlAppendUnicodeStringToString(Destination, &Tail);
}
NTEXPORT(RtlAppendUnicodeToString);

/* As RtlAppendUnicodeStringToString for narrow strings. */
NTSTATUS NTAPI
RtlAppendStringToString(PSTRING Destination, const STRING *Source)
{
    if ((ULONG)Destination->Length + Source->Length > Destination->MaximumLength) {
        return STATUS_BUFFER_TOO_SMALL;
    }
    RtlpCopyBytes(Destination->Buffer, Destination->Length, Source->Buffer, Source->Length);
    Destination->Length += Source->Length;
    RtlpTerminateNarrow(Destination);
    return STATUS_SUCCESS;
}
NTEXPORT(RtlAppendStringToString);

/* ---- Comparing ---- */

static LONG
RtlpCompareWide(const WCHAR *A, const WCHAR *B, ULONG Count, BOOLEAN CaseInSensitive)
{
    ULONG i;
    LONG Order;

    for (i = 0; i < Count; i++) {
        Order = (LONG)A[i] - (LONG)B[i];
        if (Order != 0 && CaseInSensitive) {
            Order = (LONG)RtlUpcaseUnicodeChar(A[i]) - (LONG)RtlUpcaseUnicodeChar(B[i]);
        }
        if (Order != 0) {
            return Order;
        }
    }
    return 0;
}

static LONG
RtlpCompareNarrow(const CHAR *A, const CHAR *B, ULONG Count, BOOLEAN CaseInSensitive)
{
    ULONG i;
    LONG Order;

    for (i = 0; i < Count; i++) {
        Order = (LONG)(UCHAR)A[i] - (LONG)(UCHAR)B[i];
        if (Order != 0 && CaseInSensitive) {
            Order = (LONG)(UCHAR)RtlUpperChar(A[i]) - (LONG)(UCHAR)RtlUpperChar(B[i]);
        }
        if (Order != 0) {
            return Order;
        }
    }
    return 0;
}

/* Negative, zero or positive as String1 is less, equal or greater, unit by unit. */
LONG NTAPI
RtlCompareUnicodeString(PCUNICODE_STRING String1, PCUNICODE_STRING String2,
                        BOOLEAN CaseInSensitive)
{
    ULONG Common = MIN(String1->Length, String2->Length) / (ULONG)sizeof(WCHAR);
    LONG Order = RtlpCompareWide(String1->Buffer, String2->Buffer, Common, CaseInSensitive);

    return Order != 0 ? Order : (LONG)String1->Length - (LONG)String2->Length;
}
NTEXPORT(RtlCompareUnicodeString);

/* TRUE if the strings are equal. */
BOOLEAN NTAPI
RtlEqualUnicodeString(PCUNICODE_STRING String1, PCUNICODE_STRING String2, BOOLEAN CaseInSensitive)
{
    return String1->Length == String2->Length &&
           RtlCompareUnicodeString(String1, String2, CaseInSensitive) == 0;
}
NTEXPORT(RtlEqualUnicodeString);

/* TRUE if String2 begins with String1. */
BOOLEAN NTAPI
RtlPrefixUnicodeString(PCUNICODE_STRING String1, PCUNICODE_STRING String2, BOOLEAN CaseInSensitive)
{
    return String1->Length <= String2->Length &&
           RtlpCompareWide(String1->Buffer, String2->Buffer,
                           String1->Length / (ULONG)sizeof(WCHAR), CaseInSensitive) == 0;
}
NTEXPORT(RtlPrefixUnicodeString);

/* TRUE if String2 ends with String1. */
BOOLEAN NTAPI
RtlSuffixUnicodeString(PCUNICODE_STRING String1, PCUNICODE_STRING String2, BOOLEAN CaseInSensitive)
{
    ULONG Count = String1->Length / (ULONG)sizeof(WCHAR);

    return String1->Length <= String2->Length &&
           RtlpCompareWide(String1->Buffer,
                           String2->Buffer + String2->Length / sizeof(WCHAR) - Count, Count,
                           CaseInSensitive) == 0;
}
NTEXPORT(RtlSuffixUnicodeString);

/* As RtlCompareUnicodeString for narrow strings. */
LONG NTAPI
RtlCompareString(const STRING *String1, const STRING *String2, BOOLEAN CaseInSensitive)
{
    ULONG Common = MIN(String1->Length, String2->Length);
    LONG Order = RtlpCompareNarrow(String1->Buffer, String2->Buffer, Common, CaseInSensitive);

    return Order != 0 ? Order : (LONG)String1->Length - (LONG)String2->Length;
}
NTEXPORT(RtlCompareString);

/* As RtlEqualUnicodeString for narrow strings. */
BOOLEAN NTAPI
RtlEqualString(const STRING *String1, const STRING *String2, BOOLEAN CaseInSensitive)
{
    return String1->Length == String2->Length &&
           RtlCompareString(String1, String2, CaseInSensitive) == 0;
}
NTEXPORT(RtlEqualString);

/* As RtlPrefixUnicodeString for narrow strings. */
BOOLEAN NTAPI
RtlPrefixString(const STRING *String1, const STRING *String2, BOOLEAN CaseInSensitive)
{
    return String1->Length <= String2->Length &&
           RtlpCompareNarrow(String1->Buffer, String2->Buffer, String1->Length,
                             CaseInSensitive) == 0;
}
NTEXPORT(RtlPrefixString);

/*
 * Hash a string, in upper case if CaseInSensitive: h = h * 65599 + unit. STATUS_INVALID_PARAMETER
 * for a NULL pointer or an algorithm other than the default and X65599, which are the same.
 */
NTSTATUS NTAPI
RtlHashUnicodeString(PCUNICODE_STRING String, BOOLEAN CaseInSensitive, ULONG HashAlgorithm,
                     PULONG HashValue)
{
    ULONG Hash = 0, i;
    WCHAR Unit;

    if (String == NULL || HashValue == NULL || HashAlgorithm > HASH_STRING_ALGORITHM_X65599) {
        return STATUS_INVALID_PARAMETER;
    }
    for (i = 0; i < String->Length / sizeof(WCHAR); i++) {
        Unit = String->Buffer[i];
        Hash = Hash * RTLP_HASH_MULTIPLIER + (CaseInSensitive ? RtlUpcaseUnicodeChar(Unit) : Unit);
    }
    *HashValue = Hash;
    return STATUS_SUCCESS;
}
NTEXPORT(RtlHashUnicodeString);

/* ---- Case ---- */

/* Copy String in upper case; narrow, as much as fits. */
VOID NTAPI
RtlUpperString(PSTRING DestinationString, const STRING *SourceString)
{
    USHORT Length = MIN(SourceString->Length, DestinationString->MaximumLength);
    USHORT i;

    for (i = 0; i < Length; i++) {
        DestinationString->Buffer[i] = RtlUpperChar(SourceString->Buffer[i]);
    }
    DestinationString->Length = Length;
}
NTEXPORT(RtlUpperString);

/* ---- Numbers ---- */

static BOOLEAN
RtlpIsBase(ULONG Base)
{
    return Base == 2 || Base == 8 || Base == 10 || Base == 16;
}

static ULONG
RtlpDigit(WCHAR Unit)
{
    if (Unit >= '0' && Unit <= '9') {
        return Unit - (ULONG)'0';
    }
    if (Unit >= 'a' && Unit <= 'f') {
        return Unit - (ULONG)'a' + 10;
    }
    if (Unit >= 'A' && Unit <= 'F') {
        return Unit - (ULONG)'A' + 10;
    }
    return MAXULONG;
}

/* A string that is read as a number: Count units, wide or narrow. */
typedef struct _RTLP_DIGITS {
    PCVOID Text;
    SIZE_T Count;
    BOOLEAN Wide;
} RTLP_DIGITS;

/* The unit at At, 0 beyond the end. */
static WCHAR
RtlpDigitAt(const RTLP_DIGITS *Digits, SIZE_T At)
{
    if (At >= Digits->Count) {
        return 0;
    }
    return Digits->Wide ? ((const WCHAR *)Digits->Text)[At] : ((const UCHAR *)Digits->Text)[At];
}

/* Decide the base, if *Base is 0, by a prefix; returns where the digits begin. */
static SIZE_T
RtlpReadBase(const RTLP_DIGITS *Digits, SIZE_T At, ULONG *Base)
{
    if (*Base != 0) {
        return At;
    }
    *Base = 10;
    if (RtlpDigitAt(Digits, At) == '0') {
        switch (RtlpDigitAt(Digits, At + 1)) {
        case 'x':
            *Base = 16;
            return At + 2;
        case 'o':
            *Base = 8;
            return At + 2;
        case 'b':
            *Base = 2;
            return At + 2;
        default:
            break;
        }
    }
    return At;
}

/*
 * Read a number: blanks, a sign, with Base 0 a prefix (0x, 0o, 0b), then digits up to the first
 * character that is none. Overflow wraps.
 */
static NTSTATUS
RtlpReadNumber(const RTLP_DIGITS *Digits, ULONG Base, PULONG Value)
{
    SIZE_T At = 0;
    ULONG Sum = 0;
    BOOLEAN Negative;

    if (Base != 0 && !RtlpIsBase(Base)) {
        return STATUS_INVALID_PARAMETER;
    }
    while (At < Digits->Count && RtlpDigitAt(Digits, At) <= ' ') {
        At++;
    }
    Negative = RtlpDigitAt(Digits, At) == '-';
    if (Negative || RtlpDigitAt(Digits, At) == '+') {
        At++;
    }
    At = RtlpReadBase(Digits, At, &Base);
    while (RtlpDigit(RtlpDigitAt(Digits, At)) < Base) {
        Sum = Sum * Base + RtlpDigit(RtlpDigitAt(Digits, At));
        At++;
    }
    *Value = Negative ? 0 - Sum : Sum;
    return STATUS_SUCCESS;
}

/* Read a number as above. STATUS_INVALID_PARAMETER: a base other than 0, 2, 8, 10 and 16. */
NTSTATUS NTAPI
RtlUnicodeStringToInteger(PCUNICODE_STRING String, ULONG Base, PULONG Value)
{
    RTLP_DIGITS Digits = {String->Buffer, String->Length / sizeof(WCHAR), TRUE};

    return RtlpReadNumber(&Digits, Base, Value);
}
NTEXPORT(RtlUnicodeStringToInteger);

/* The same for a terminated narrow string. */
NTSTATUS NTAPI
RtlCharToInteger(PCSZ String, ULONG Base, PULONG Value)
{
    RTLP_DIGITS Digits = {String, RtlpNarrowLength(String), FALSE};

    return RtlpReadNumber(&Digits, Base, Value);
}
NTEXPORT(RtlCharToInteger);

/*
 * Write Value in Base (0: ten), upper case. STATUS_INVALID_PARAMETER: another base than 2, 8, 10,
 * 16. STATUS_BUFFER_OVERFLOW: the digits do not fit; a terminator is written where there is room.
 */
NTSTATUS NTAPI
RtlInt64ToUnicodeString(ULONGLONG Value, ULONG Base, PUNICODE_STRING String)
{
    WCHAR Digits[64];
    ULONG At = ARRAYSIZE(Digits);
    USHORT Bytes;

    Base = Base == 0 ? 10 : Base;
    if (!RtlpIsBase(Base)) {
        return STATUS_INVALID_PARAMETER;
    }
    do {
        Digits[--At] = (WCHAR)"0123456789ABCDEF"[Value % Base];
        Value /= Base;
    } while (Value != 0);
    Bytes = (USHORT)((ARRAYSIZE(Digits) - At) * sizeof(WCHAR));
    if (Bytes > String->MaximumLength) {
        return STATUS_BUFFER_OVERFLOW;
    }
    RtlCopyMemory(String->Buffer, &Digits[At], Bytes);
    String->Length = Bytes;
    RtlpTerminateWide(String);
    return STATUS_SUCCESS;
}
NTEXPORT(RtlInt64ToUnicodeString);

/* As RtlInt64ToUnicodeString. */
NTSTATUS NTAPI
RtlIntegerToUnicodeString(ULONG Value, ULONG Base, PUNICODE_STRING String)
{
    return RtlInt64ToUnicodeString(Value, Base, String);
}
NTEXPORT(RtlIntegerToUnicodeString);

/* Read exactly Digits hexadecimal digits. */
static BOOLEAN
RtlpReadHex(const WCHAR *Text, ULONG Digits, ULONG *Value)
{
    ULONG i;

    *Value = 0;
    for (i = 0; i < Digits; i++) {
        if (RtlpDigit(Text[i]) > 15) {
            return FALSE;
        }
        *Value = *Value << 4 | RtlpDigit(Text[i]);
    }
    return TRUE;
}

/* Parse a GUID in braces. STATUS_INVALID_PARAMETER when it is not one. */
NTSTATUS NTAPI
RtlGUIDFromString(PCUNICODE_STRING GuidString, GUID *Guid)
{
    /* Offset of each group of digits, in the order they are stored. */
    static const UCHAR ByteAt[8] = {20, 22, 25, 27, 29, 31, 33, 35};
    const WCHAR *Text = GuidString->Buffer;
    ULONG A, B, C, Byte, i;
    GUID Parsed;

    if (GuidString->Length < 38 * sizeof(WCHAR) || Text[0] != '{' || Text[9] != '-' ||
        Text[14] != '-' || Text[19] != '-' || Text[24] != '-' || Text[37] != '}' ||
        !RtlpReadHex(Text + 1, 8, &A) || !RtlpReadHex(Text + 10, 4, &B) ||
        !RtlpReadHex(Text + 15, 4, &C)) {
        return STATUS_INVALID_PARAMETER;
    }
    Parsed.Data1 = A;
    Parsed.Data2 = (USHORT)B;
    Parsed.Data3 = (USHORT)C;
    for (i = 0; i < ARRAYSIZE(ByteAt); i++) {
        if (!RtlpReadHex(Text + ByteAt[i], 2, &Byte)) {
            return STATUS_INVALID_PARAMETER;
        }
        Parsed.Data4[i] = (UCHAR)Byte;
    }
    *Guid = Parsed;
    return STATUS_SUCCESS;
}
NTEXPORT(RtlGUIDFromString);
