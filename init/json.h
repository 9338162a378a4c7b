/*
 * Writing JSON on the report channel, in pieces, without allocation: usable at HIGH_LEVEL after a stop.
 * The writer keeps track of commas; nothing else can go wrong. See docs/report.md for the schema.
 */
#ifndef INIT_JSON_H
#define INIT_JSON_H

#include <ntdef.h>

/* Key may be NULL inside an array. */
VOID InitJsonOpen(const char *Key, char Bracket);  /* '{' or '[' */
VOID InitJsonClose(char Bracket);                  /* '}' or ']' */
VOID InitJsonText(const char *Key, const char *Text);      /* NULL: null */
VOID InitJsonNumber(const char *Key, ULONG64 Value);
VOID InitJsonBoolean(const char *Key, BOOLEAN Value);
VOID InitJsonNull(const char *Key);
VOID InitJsonHex(const char *Key, ULONG64 Value, ULONG Digits); /* "0x" and at least Digits upper-case digits */
VOID InitJsonBytes(const char *Key, const VOID *Bytes, SIZE_T Size); /* a string of hexadecimal digits */
VOID InitJsonFlush(VOID);                                  /* hand the rest to the machine */

#endif
