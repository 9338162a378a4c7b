/*
 * text.c - a growing piece of text.
 */
#include "text.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "diag.h"

char *
TextReserve(TEXT *Text, size_t Length)
{
    size_t Needed = Text->Length + Length + 1;
    size_t Capacity = Text->Capacity;
    char *Data;

    if (Needed > Capacity) {
        Capacity = Capacity * 2 > Needed ? Capacity * 2 : Needed;
        Capacity = Capacity > 256 ? Capacity : 256;
        Data = realloc(Text->Data, Capacity);
        if (Data == NULL) {
            DiagOutOfMemory();
        }
        Text->Data = Data;
        Text->Capacity = Capacity;
    }
    return Text->Data + Text->Length;
}

void
TextPutBytes(TEXT *Text, const char *Bytes, size_t Length)
{
    char *Room = TextReserve(Text, Length);

    memcpy(Room, Bytes, Length);
    Room[Length] = 0;
    Text->Length += Length;
}

void
TextPut(TEXT *Text, const char *String)
{
    TextPutBytes(Text, String, strlen(String));
}

void
TextFill(TEXT *Text, char Character, size_t Count)
{
    char *Room = TextReserve(Text, Count);

    memset(Room, Character, Count);
    Room[Count] = 0;
    Text->Length += Count;
}

void
TextPrint(TEXT *Text, const char *Format, ...)
{
    va_list Arguments;

    va_start(Arguments, Format);
    TextPrintV(Text, Format, Arguments);
    va_end(Arguments);
}

void
TextPrintV(TEXT *Text, const char *Format, va_list Arguments)
{
    va_list Again;
    int Length;

    va_copy(Again, Arguments);
    Length = vsnprintf(NULL, 0, Format, Again);
    va_end(Again);
    if (Length < 0) {
        return;
    }
    vsnprintf(TextReserve(Text, (size_t)Length), (size_t)Length + 1, Format, Arguments);
    Text->Length += (size_t)Length;
}

void
TextPutQuoted(TEXT *Text, const char *Word)
{
    static const char Plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_./=,:+@%";

    if (*Word != 0 && strspn(Word, Plain) == strlen(Word)) {
        TextPut(Text, Word);
        return;
    }
    TextPut(Text, "'");
    for (; *Word != 0; Word += 1) {
        if (*Word == '\'') {
            TextPut(Text, "'\\''");
        } else {
            TextPutBytes(Text, Word, 1);
        }
    }
    TextPut(Text, "'");
}

void
TextMakePrintable(TEXT *Text, size_t Start)
{
    size_t Index;

    for (Index = Start; Index < Text->Length; Index += 1) {
        unsigned char Byte = (unsigned char)Text->Data[Index];

        if (Byte < 0x20 || Byte == 0x7F) {
            Text->Data[Index] = '.';
        }
    }
}

/*
 * Our standard output may be non-blocking, because it is shared with whoever made it so: wait then.
 */
int
TextWrite(const TEXT *Text, int Descriptor)
{
    size_t Done = 0;

    while (Done < Text->Length) {
        ssize_t Written = write(Descriptor, Text->Data + Done, Text->Length - Done);

        if (Written >= 0) {
            Done += (size_t)Written;
        } else if (errno == EAGAIN) {
            struct pollfd Poll = {.fd = Descriptor, .events = POLLOUT};

            (void)poll(&Poll, 1, -1);
        } else if (errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

void
TextFree(TEXT *Text)
{
    free(Text->Data);
    *Text = (TEXT){0};
}
