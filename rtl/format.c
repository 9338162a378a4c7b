/*
 * format.c - the printf engine behind DbgPrint, the exported printf family and our own messages.
 *
 * Conversions: d i u o x X p c C s S Z n %. Flags - + space # 0, a width and a precision, each a
 * number or *. Sizes h l ll L I I32 I64 w z t j. What differs from C:
 *
 *   %p            sixteen upper-case digits
 *   %Z, %wZ       a counted string: ANSI_STRING; with w or l UNICODE_STRING
 *   %S, %C        the other width than the format's; %hs %hc narrow, %ls %ws %lc %wc wide
 *   a null string pointer, or a counted string without a buffer, prints (null)
 *   %n            consumes its argument and writes nowhere
 *   %e %f %g %a   floating point is not there, as documented: consumes 8 bytes and prints ?
 *   an unknown conversion prints its own character
 *
 * Every argument of the Microsoft convention fills one 8-byte slot and the list is a pointer to the
 * first, so all are fetched as such and cut to size. Wide text in narrow output goes through the
 * ANSI code page and back the other way.
 * Widths and precisions above 65535 count as 65535. The engine needs no buffer: units go to the
 * caller's routine one by one. It touches the format and the string arguments: their residence
 * decides the IRQL.
 */
#include <ntexport.h>
#include "rtl.h"

#define RTLP_FORMAT_LIMIT 65535u

#define RTLP_NO_PRECISION MAXULONG

typedef enum _RTLP_SIZE {
    RtlpSizeInt,
    RtlpSizeChar,
    RtlpSizeShort,
    RtlpSizeLong,
    RtlpSize64
} RTLP_SIZE;

/* One call of the engine, and the conversion it is working on. */
typedef struct _RTLP_FORMAT {
    RTLP_PUT *Put;
    PVOID Context;
    PCVOID Text;
    BOOLEAN Wide;
    SIZE_T At; /* next unit of Text */
    ULONG Written;
    const ULONG64 *Args; /* the next one */

    BOOLEAN Left, Zero, Alternate;
    CHAR Plus; /* '+', ' ' or 0 */
    ULONG Width;
    ULONG Precision;
    RTLP_SIZE Size;
    BOOLEAN WidePrefix; /* l or w was given */
} RTLP_FORMAT, *PRTLP_FORMAT;

/* ---- Input and output ---- */

static WCHAR
RtlpUnitAt(const RTLP_FORMAT *F, SIZE_T At)
{
    return F->Wide ? ((const WCHAR *)F->Text)[At] : ((const UCHAR *)F->Text)[At];
}

static WCHAR
RtlpPeek(const RTLP_FORMAT *F)
{
    return RtlpUnitAt(F, F->At);
}

static ULONG64
RtlpArgument(PRTLP_FORMAT F)
{
    return *F->Args++;
}

static VOID
RtlpEmit(PRTLP_FORMAT F, WCHAR Unit)
{
    F->Put(F->Context, Unit);
    F->Written++;
}

static VOID
RtlpEmitMany(PRTLP_FORMAT F, WCHAR Unit, ULONG Count)
{
    while (Count-- != 0) {
        RtlpEmit(F, Unit);
    }
}

/* Pad on the left, or on the right, of Length units. */
static VOID
RtlpPadBefore(PRTLP_FORMAT F, ULONG Length)
{
    if (!F->Left && F->Width > Length) {
        RtlpEmitMany(F, ' ', F->Width - Length);
    }
}

static VOID
RtlpPadAfter(PRTLP_FORMAT F, ULONG Length)
{
    if (F->Left && F->Width > Length) {
        RtlpEmitMany(F, ' ', F->Width - Length);
    }
}

/* ---- Strings ---- */

/* Write Count units of a string, narrow or wide, converting to the output's width. */
static VOID
RtlpEmitString(PRTLP_FORMAT F, PCVOID Text, BOOLEAN Wide, ULONG Count)
{
    ULONG i;
    WCHAR Unit;

    RtlpPadBefore(F, Count);
    for (i = 0; i < Count; i++) {
        Unit = Wide ? ((const WCHAR *)Text)[i] : ((const UCHAR *)Text)[i];
        if (Wide != F->Wide) {
            Unit = Wide ? RtlpWideToAnsi(Unit) : RtlpAnsiToWide((UCHAR)Unit);
        }
        RtlpEmit(F, Unit);
    }
    RtlpPadAfter(F, Count);
}

/* The units of a terminated string, Limit at most; no unit beyond is looked at. */
static ULONG
RtlpMeasure(PCVOID Text, BOOLEAN Wide, ULONG Limit)
{
    ULONG Count = 0;

    while (Count < Limit &&
           (Wide ? ((const WCHAR *)Text)[Count] : ((const UCHAR *)Text)[Count]) != 0) {
        Count++;
    }
    return Count;
}

static VOID
RtlpFormatNull(PRTLP_FORMAT F)
{
    RtlpEmitString(F, "(null)", FALSE, MIN(6u, F->Precision));
}

/* Whether %s or %c (Opposite: %S or %C) means wide text. */
static BOOLEAN
RtlpIsWideText(const RTLP_FORMAT *F, BOOLEAN Opposite)
{
    if (F->WidePrefix) {
        return TRUE;
    }
    if (F->Size == RtlpSizeShort) {
        return FALSE;
    }
    return F->Wide != Opposite;
}

static VOID
RtlpFormatString(PRTLP_FORMAT F, BOOLEAN Opposite)
{
    PCVOID Text = (PCVOID)RtlpArgument(F);
    BOOLEAN Wide = RtlpIsWideText(F, Opposite);

    if (Text == NULL) {
        RtlpFormatNull(F);
        return;
    }
    RtlpEmitString(F, Text, Wide, RtlpMeasure(Text, Wide, F->Precision));
}

static VOID
RtlpFormatCounted(PRTLP_FORMAT F)
{
    const UNICODE_STRING *String = (const UNICODE_STRING *)RtlpArgument(F);
    ULONG Count;

    /* ANSI_STRING has the same layout. */
    if (String == NULL || String->Buffer == NULL) {
        RtlpFormatNull(F);
        return;
    }
    Count = F->WidePrefix ? String->Length / (ULONG)sizeof(WCHAR) : String->Length;
    RtlpEmitString(F, String->Buffer, F->WidePrefix, MIN(Count, F->Precision));
}

static VOID
RtlpFormatCharacter(PRTLP_FORMAT F, BOOLEAN Opposite)
{
    ULONG64 Argument = RtlpArgument(F);
    BOOLEAN Wide = RtlpIsWideText(F, Opposite);
    WCHAR Unit = Wide ? (WCHAR)Argument : (UCHAR)Argument;
    UCHAR Byte = (UCHAR)Unit;

    RtlpEmitString(F, Wide ? (PCVOID)&Unit : (PCVOID)&Byte, Wide, 1);
}

/* ---- Numbers ---- */

/* Write Value: sign or base prefix, zeros up to the precision or width, digits. */
static VOID
RtlpEmitNumber(PRTLP_FORMAT F, ULONG64 Value, ULONG Base, BOOLEAN Upper, PCSTR Prefix)
{
    const CHAR *Set = Upper ? "0123456789ABCDEF" : "0123456789abcdef";
    CHAR Digits[24];
    ULONG Count = 0, PrefixCount, Zeros, Total;

    while (Value != 0) {
        Digits[Count++] = Set[Value % Base];
        Value /= Base;
    }
    PrefixCount = RtlpMeasure(Prefix, FALSE, 2);
    if (F->Precision != RTLP_NO_PRECISION) {
        Zeros = F->Precision > Count ? F->Precision - Count : 0;
    } else {
        Zeros = Count == 0 ? 1 : 0;
        if (F->Zero && !F->Left && F->Width > PrefixCount + Zeros + Count) {
            Zeros = F->Width - PrefixCount - Count;
        }
    }
    if (Base == 8 && F->Alternate && Zeros == 0) {
        Zeros = 1;
    }
    Total = PrefixCount + Zeros + Count;
    RtlpPadBefore(F, Total);
    while (*Prefix != 0) {
        RtlpEmit(F, (WCHAR)*Prefix++);
    }
    RtlpEmitMany(F, '0', Zeros);
    while (Count != 0) {
        RtlpEmit(F, (WCHAR)Digits[--Count]);
    }
    RtlpPadAfter(F, Total);
}

static VOID
RtlpFormatSigned(PRTLP_FORMAT F)
{
    LONGLONG Value = (LONGLONG)RtlpArgument(F);
    CHAR Sign[2] = {0, 0};

    switch (F->Size) {
    case RtlpSize64:
        break;
    case RtlpSizeShort:
        Value = (SHORT)Value;
        break;
    case RtlpSizeChar:
        Value = (signed char)Value;
        break;
    default:
        Value = (LONG)Value;
        break;
    }
    Sign[0] = Value < 0 ? '-' : F->Plus;
    RtlpEmitNumber(F, Value < 0 ? 0 - (ULONG64)Value : (ULONG64)Value, 10, FALSE, Sign);
}

static VOID
RtlpFormatUnsigned(PRTLP_FORMAT F, ULONG Base, BOOLEAN Upper)
{
    ULONG64 Value = RtlpArgument(F);

    switch (F->Size) {
    case RtlpSize64:
        break;
    case RtlpSizeShort:
        Value = (USHORT)Value;
        break;
    case RtlpSizeChar:
        Value = (UCHAR)Value;
        break;
    default:
        Value = (ULONG)Value;
        break;
    }
    RtlpEmitNumber(F, Value, Base, Upper,
                   Base == 16 && F->Alternate && Value != 0 ? (Upper ? "0X" : "0x") : "");
}

static VOID
RtlpFormatPointer(PRTLP_FORMAT F)
{
    F->Precision = 16;
    RtlpEmitNumber(F, RtlpArgument(F), 16, TRUE, F->Alternate ? "0X" : "");
}

/* ---- The format ---- */

static VOID
RtlpParseFlags(PRTLP_FORMAT F)
{
    F->Left = F->Zero = F->Alternate = FALSE;
    F->Plus = 0;
    for (;; F->At++) {
        switch (RtlpPeek(F)) {
        case '-':
            F->Left = TRUE;
            break;
        case '+':
            F->Plus = '+';
            break;
        case ' ':
            F->Plus = F->Plus == 0 ? ' ' : F->Plus;
            break;
        case '#':
            F->Alternate = TRUE;
            break;
        case '0':
            F->Zero = TRUE;
            break;
        default:
            return;
        }
    }
}

/* A number, or * for the next argument, which may be negative; 0 if there is neither. */
static LONG
RtlpParseNumber(PRTLP_FORMAT F)
{
    LONG Value = 0;

    if (RtlpPeek(F) == '*') {
        F->At++;
        Value = (LONG)RtlpArgument(F);
        return MAX(MIN(Value, (LONG)RTLP_FORMAT_LIMIT), -(LONG)RTLP_FORMAT_LIMIT);
    }
    while (RtlpPeek(F) >= '0' && RtlpPeek(F) <= '9') {
        Value = MIN(Value * 10 + (RtlpPeek(F) - '0'), (LONG)RTLP_FORMAT_LIMIT);
        F->At++;
    }
    return Value;
}

static VOID
RtlpParseWidth(PRTLP_FORMAT F)
{
    LONG Value = RtlpParseNumber(F);

    if (Value < 0) {
        F->Left = TRUE;
        Value = -Value;
    }
    F->Width = (ULONG)Value;
    F->Precision = RTLP_NO_PRECISION;
    if (RtlpPeek(F) == '.') {
        F->At++;
        Value = RtlpParseNumber(F);
        F->Precision = Value < 0 ? RTLP_NO_PRECISION : (ULONG)Value;
    }
}

/* I, I32, I64. */
static VOID
RtlpParseSizeI(PRTLP_FORMAT F)
{
    F->Size = RtlpSize64;
    if (RtlpPeek(F) == '6' && RtlpUnitAt(F, F->At + 1) == '4') {
        F->At += 2;
    } else if (RtlpPeek(F) == '3' && RtlpUnitAt(F, F->At + 1) == '2') {
        F->At += 2;
        F->Size = RtlpSizeLong;
    }
}

static VOID
RtlpParseSize(PRTLP_FORMAT F)
{
    F->Size = RtlpSizeInt;
    F->WidePrefix = FALSE;
    for (;;) {
        switch (RtlpPeek(F)) {
        case 'h':
            F->Size = F->Size == RtlpSizeShort ? RtlpSizeChar : RtlpSizeShort;
            break;
        case 'l':
            F->Size = F->Size == RtlpSizeLong ? RtlpSize64 : RtlpSizeLong;
            F->WidePrefix = TRUE;
            break;
        case 'w':
            F->WidePrefix = TRUE;
            break;
        case 'L':
        case 'z':
        case 't':
        case 'j':
            F->Size = RtlpSize64;
            break;
        case 'I':
            F->At++;
            RtlpParseSizeI(F);
            continue;
        default:
            return;
        }
        F->At++;
    }
}

static VOID
RtlpConvert(PRTLP_FORMAT F, WCHAR Type)
{
    switch (Type) {
    case 'd':
    case 'i':
        RtlpFormatSigned(F);
        break;
    case 'u':
        RtlpFormatUnsigned(F, 10, FALSE);
        break;
    case 'o':
        RtlpFormatUnsigned(F, 8, FALSE);
        break;
    case 'x':
    case 'X':
        RtlpFormatUnsigned(F, 16, Type == 'X');
        break;
    case 'p':
        RtlpFormatPointer(F);
        break;
    case 'c':
    case 'C':
        RtlpFormatCharacter(F, Type == 'C');
        break;
    case 's':
    case 'S':
        RtlpFormatString(F, Type == 'S');
        break;
    case 'Z':
        RtlpFormatCounted(F);
        break;
    case 'n':
        RtlpArgument(F);
        break;
    case 'e':
    case 'E':
    case 'f':
    case 'F':
    case 'g':
    case 'G':
    case 'a':
    case 'A':
        RtlpArgument(F);
        RtlpEmitString(F, "?", FALSE, 1);
        break;
    default: /* % too */
        RtlpEmit(F, Type);
        break;
    }
}

ULONG
RtlpFormat(RTLP_PUT *Put, PVOID Context, PCVOID Format, BOOLEAN Wide, NT_VA_LIST Args)
{
    RTLP_FORMAT F;
    WCHAR Unit;

    F.Put = Put;
    F.Context = Context;
    F.Text = Format;
    F.Wide = Wide;
    F.At = 0;
    F.Written = 0;
    F.Args = (const ULONG64 *)(PCVOID)Args;
    while ((Unit = RtlpPeek(&F)) != 0) {
        F.At++;
        if (Unit != '%') {
            RtlpEmit(&F, Unit);
            continue;
        }
        RtlpParseFlags(&F);
        RtlpParseWidth(&F);
        RtlpParseSize(&F);
        Unit = RtlpPeek(&F);
        if (Unit == 0) {
            break;
        }
        F.At++;
        RtlpConvert(&F, Unit);
    }
    return F.Written;
}

/* ---- Into a narrow buffer ---- */

typedef struct _RTLP_BUFFER {
    PCHAR At;
    ULONG Left;
} RTLP_BUFFER;

static VOID
RtlpPutBuffer(PVOID Context, WCHAR Unit)
{
    RTLP_BUFFER *Buffer = Context;

    if (Buffer->Left != 0) {
        *Buffer->At++ = (CHAR)Unit;
        Buffer->Left--;
    }
}

ULONG
RtlpFormatBuffer(PCHAR Buffer, ULONG Capacity, PCSTR Format, NT_VA_LIST Args)
{
    RTLP_BUFFER Out = {Buffer, Capacity - 1};

    RtlpFormat(RtlpPutBuffer, &Out, Format, FALSE, Args);
    *Out.At = 0;
    return (ULONG)(Out.At - Buffer);
}

ULONG NTAPI
RtlpPrintBuffer(PCHAR Buffer, ULONG Capacity, PCSTR Format, ...)
{
    NT_VA_LIST Args;
    ULONG Length;

    NT_VA_START(Args, Format);
    Length = RtlpFormatBuffer(Buffer, Capacity, Format, Args);
    NT_VA_END(Args);
    return Length;
}
