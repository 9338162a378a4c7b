/* The JSON writer. One report is written per run, by one processor: the state is static. */
#include "json.h"
#include <hal/hal.h>

static CHAR InitpBuffer[4096];
static SIZE_T InitpUsed;
static BOOLEAN InitpNeedComma;

VOID
InitJsonFlush(VOID)
{
    if (InitpUsed != 0) {
        HalPutReport(InitpBuffer, InitpUsed);
        InitpUsed = 0;
    }
}

static VOID
InitpPut(CHAR Character)
{
    if (InitpUsed == sizeof(InitpBuffer)) {
        InitJsonFlush();
    }
    InitpBuffer[InitpUsed] = Character;
    InitpUsed += 1;
}

/* A string in quotes; control characters and bytes that are not ASCII as \u00XX. */
static VOID
InitpPutString(const char *Text)
{
    static const char Digits[] = "0123456789ABCDEF";

    InitpPut('"');
    for (; *Text != 0; Text += 1) {
        UCHAR Byte = (UCHAR)*Text;

        if (Byte == '"' || Byte == '\\') {
            InitpPut('\\');
            InitpPut((CHAR)Byte);
        } else if (Byte < 0x20 || Byte > 0x7E) {
            InitpPut('\\');
            InitpPut('u');
            InitpPut('0');
            InitpPut('0');
            InitpPut(Digits[Byte >> 4]);
            InitpPut(Digits[Byte & 15]);
        } else {
            InitpPut((CHAR)Byte);
        }
    }
    InitpPut('"');
}

static VOID
InitpBegin(const char *Key)
{
    if (InitpNeedComma) {
        InitpPut(',');
    }
    InitpNeedComma = TRUE;
    if (Key != NULL) {
        InitpPutString(Key);
        InitpPut(':');
    }
}

static VOID
InitpPutWord(const char *Text)
{
    for (; *Text != 0; Text += 1) {
        InitpPut(*Text);
    }
}

VOID
InitJsonOpen(const char *Key, char Bracket)
{
    InitpBegin(Key);
    InitpPut(Bracket);
    InitpNeedComma = FALSE;
}

VOID
InitJsonClose(char Bracket)
{
    InitpPut(Bracket);
    InitpNeedComma = TRUE;
}

VOID
InitJsonText(const char *Key, const char *Text)
{
    if (Text == NULL) {
        InitJsonNull(Key);
        return;
    }
    InitpBegin(Key);
    InitpPutString(Text);
}

VOID
InitJsonNumber(const char *Key, ULONG64 Value)
{
    CHAR Text[24];
    ULONG Index = sizeof(Text) - 1;

    Text[Index] = 0;
    do {
        Index -= 1;
        Text[Index] = (CHAR)('0' + Value % 10);
        Value /= 10;
    } while (Value != 0);
    InitpBegin(Key);
    InitpPutWord(Text + Index);
}

VOID
InitJsonBoolean(const char *Key, BOOLEAN Value)
{
    InitpBegin(Key);
    InitpPutWord(Value ? "true" : "false");
}

VOID
InitJsonNull(const char *Key)
{
    InitpBegin(Key);
    InitpPutWord("null");
}

VOID
InitJsonHex(const char *Key, ULONG64 Value, ULONG Digits)
{
    CHAR Text[20] = "0x";
    ULONG Length = 2;

    for (LONG Shift = 60; Shift >= 0; Shift -= 4) {
        ULONG Digit = (ULONG)(Value >> Shift) & 15;

        if (Length > 2 || Digit != 0 || (ULONG)Shift < Digits * 4) {
            Text[Length] = "0123456789ABCDEF"[Digit];
            Length += 1;
        }
    }
    Text[Length] = 0;
    InitpBegin(Key);
    InitpPutString(Text);
}

VOID
InitJsonBytes(const char *Key, const VOID *Bytes, SIZE_T Size)
{
    InitpBegin(Key);
    InitpPut('"');
    for (SIZE_T Index = 0; Index < Size; Index += 1) {
        UCHAR Byte = ((const UCHAR *)Bytes)[Index];

        InitpPut("0123456789ABCDEF"[Byte >> 4]);
        InitpPut("0123456789ABCDEF"[Byte & 15]);
    }
    InitpPut('"');
}
