/*
 * text.h - a growing piece of text. All zero is the empty text; TextFree makes it that again.
 *
 * Data is terminated by a null character beyond Length once something was appended. Appending does
 * not fail: without memory the supervisor says so and exits.
 */
#ifndef NTMM_CLI_TEXT_H
#define NTMM_CLI_TEXT_H

#include <stdarg.h>
#include <stddef.h>

typedef struct _TEXT {
    char *Data;
    size_t Length;
    size_t Capacity;
} TEXT;

/* Make room for Length more bytes and their terminator, and return where they go. */
char *
TextReserve(TEXT *Text, size_t Length);

/* Append Length bytes. */
void
TextPutBytes(TEXT *Text, const char *Bytes, size_t Length);

/* Append a string. */
void
TextPut(TEXT *Text, const char *String);

/* Append Count copies of Character. */
void
TextFill(TEXT *Text, char Character, size_t Count);

/* Append formatted text. */
void
TextPrint(TEXT *Text, const char *Format, ...) __attribute__((format(printf, 2, 3)));

/* The same with the arguments already collected. */
void
TextPrintV(TEXT *Text, const char *Format, va_list Arguments)
    __attribute__((format(printf, 2, 0)));

/* Append one word as a shell reads it. */
void
TextPutQuoted(TEXT *Text, const char *Word);

/* Replace control characters from offset Start on by dots: no foreign text steers a terminal. */
void
TextMakePrintable(TEXT *Text, size_t Start);

/* Write all of it to a file descriptor. Returns 0, or the errno of the write that failed. */
int
TextWrite(const TEXT *Text, int Descriptor);

void
TextFree(TEXT *Text);

#endif
