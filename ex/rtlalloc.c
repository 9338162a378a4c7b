/*
 * rtlalloc.c - string routines of the run-time library that may allocate.
 *
 * They stand here and not in rtl/ because the buffers come from paged pool (tag "Strg"): so
 * PASSIVE_LEVEL, and STATUS_NO_MEMORY when there is none. An allocated buffer belongs to the caller,
 * who gives it back by RtlFreeUnicodeString or RtlFreeAnsiString. On failure the destination is not
 * touched.
 */
#include <ntifs.h>
#include <ntexport.h>
#include <rtl/rtl.h>
#include "ex.h"

#define EXP_STRING_TAG 0x67727453u /* "Strg" */
#define EXP_GUID_CHARACTERS 38

static PVOID
ExpAllocateString(SIZE_T Bytes)
{
    return ExAllocatePoolWithTag(PagedPool, MAX(Bytes, (SIZE_T)1), EXP_STRING_TAG);
}

NTSTATUS
ExpPrepareString(PUNICODE_STRING String, ULONG Bytes, ULONG LengthBytes, BOOLEAN Allocate)
{
    PVOID Buffer;

    if (Allocate) {
        Buffer = ExpAllocateString(Bytes);
        if (Buffer == NULL) {
            return STATUS_NO_MEMORY;
        }
        String->Buffer = Buffer;
        String->MaximumLength = (USHORT)Bytes;
    } else if (Bytes > String->MaximumLength) {
        return STATUS_BUFFER_OVERFLOW;
    }
    String->Length = (USHORT)LengthBytes;
    return STATUS_SUCCESS;
}

/* ---- Code page ---- */

/* Bytes that the converted string needs, terminator included. */
ULONG NTAPI
RtlxAnsiStringToUnicodeSize(PCANSI_STRING AnsiString)
{
    return (AnsiString->Length + 1u) * (ULONG)sizeof(WCHAR);
}
NTEXPORT(RtlxAnsiStringToUnicodeSize);

/* Bytes that the converted string needs, terminator included. */
ULONG NTAPI
RtlxUnicodeStringToAnsiSize(PCUNICODE_STRING UnicodeString)
{
    return UnicodeString->Length / (ULONG)sizeof(WCHAR) + 1;
}
NTEXPORT(RtlxUnicodeStringToAnsiSize);

/*
 * Convert and terminate. STATUS_INVALID_PARAMETER_2: the result would be too long for any string.
 * STATUS_BUFFER_OVERFLOW: for this one.
 */
NTSTATUS NTAPI
RtlAnsiStringToUnicodeString(PUNICODE_STRING DestinationString, PCANSI_STRING SourceString,
                             BOOLEAN AllocateDestinationString)
{
    ULONG Bytes = RtlxAnsiStringToUnicodeSize(SourceString);
    NTSTATUS Status;
    ULONG i;

    if (Bytes > UNICODE_STRING_MAX_BYTES) {
        return STATUS_INVALID_PARAMETER_2;
    }
    Status = ExpPrepareString(DestinationString, Bytes, Bytes - (ULONG)sizeof(WCHAR),
                              AllocateDestinationString);
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    for (i = 0; i < SourceString->Length; i++) {
        DestinationString->Buffer[i] = RtlpAnsiToWide((UCHAR)SourceString->Buffer[i]);
    }
    DestinationString->Buffer[i] = 0;
    return STATUS_SUCCESS;
}
NTEXPORT(RtlAnsiStringToUnicodeString);

/* Convert and terminate; '?' for what the code page lacks. STATUS_BUFFER_OVERFLOW: it does not fit. */
NTSTATUS NTAPI
RtlUnicodeStringToAnsiString(PANSI_STRING DestinationString, PCUNICODE_STRING SourceString,
                             BOOLEAN AllocateDestinationString)
{
    ULONG Bytes = RtlxUnicodeStringToAnsiSize(SourceString);
    PUNICODE_STRING Destination = (PUNICODE_STRING)(PVOID)DestinationString; /* same layout */
    NTSTATUS Status;
    ULONG i;

    Status = ExpPrepareString(Destination, Bytes, Bytes - 1, AllocateDestinationString);
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    for (i = 0; i < Bytes - 1; i++) {
        DestinationString->Buffer[i] = (CHAR)RtlpWideToAnsi(SourceString->Buffer[i]);
    }
    DestinationString->Buffer[i] = 0;
    return STATUS_SUCCESS;
}
NTEXPORT(RtlUnicodeStringToAnsiString);

/* ---- Case ---- */

/* Map every character of the source; no terminator. The two strings may be one. */
static NTSTATUS
ExpMapString(PUNICODE_STRING Destination, PCUNICODE_STRING Source, BOOLEAN Allocate,
             WCHAR(NTAPI *Map)(WCHAR))
{
    const WCHAR *From = Source->Buffer;
    ULONG Count = Source->Length / (ULONG)sizeof(WCHAR);
    NTSTATUS Status;
    ULONG i;

    Status = ExpPrepareString(Destination, Source->Length, Source->Length, Allocate);
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    for (i = 0; i < Count; i++) {
        Destination->Buffer[i] = Map(From[i]);
    }
    return STATUS_SUCCESS;
}

/* Copy in upper case, without terminator. STATUS_BUFFER_OVERFLOW: it does not fit. */
NTSTATUS NTAPI
RtlUpcaseUnicodeString(PUNICODE_STRING DestinationString, PCUNICODE_STRING SourceString,
                       BOOLEAN AllocateDestinationString)
{
    return ExpMapString(DestinationString, SourceString, AllocateDestinationString,
                        RtlUpcaseUnicodeChar);
}
NTEXPORT(RtlUpcaseUnicodeString);

/* Copy in lower case, without terminator. STATUS_BUFFER_OVERFLOW: it does not fit. */
NTSTATUS NTAPI
RtlDowncaseUnicodeString(PUNICODE_STRING DestinationString, PCUNICODE_STRING SourceString,
                         BOOLEAN AllocateDestinationString)
{
    return ExpMapString(DestinationString, SourceString, AllocateDestinationString,
                        RtlDowncaseUnicodeChar);
}
NTEXPORT(RtlDowncaseUnicodeString);

/* ---- Making and freeing ---- */

/* A copy of a terminated string in a new buffer; FALSE: no memory, or it is too long. */
BOOLEAN NTAPI
RtlCreateUnicodeString(PUNICODE_STRING DestinationString, PCWSTR SourceString)
{
    UNICODE_STRING Source;
    PVOID Buffer;

    if (!NT_SUCCESS(RtlInitUnicodeStringEx(&Source, SourceString))) {
        return FALSE;
    }
    Buffer = ExpAllocateString(Source.MaximumLength);
    if (Buffer == NULL) {
        return FALSE;
    }
    RtlCopyMemory(Buffer, Source.Buffer, Source.MaximumLength);
    DestinationString->Buffer = Buffer;
    DestinationString->Length = Source.Length;
    DestinationString->MaximumLength = Source.MaximumLength;
    return TRUE;
}
NTEXPORT(RtlCreateUnicodeString);

/*
 * A copy in a new buffer. Flags may ask for a terminator, and for a buffer even of an empty string,
 * which otherwise has none. STATUS_INVALID_PARAMETER: unknown flags, or the second without the
 * first. STATUS_NAME_TOO_LONG: there is no room for the terminator.
 */
NTSTATUS NTAPI
RtlDuplicateUnicodeString(ULONG Flags, PCUNICODE_STRING StringIn, PUNICODE_STRING StringOut)
{
    BOOLEAN Terminate = (Flags & RTL_DUPLICATE_UNICODE_STRING_NULL_TERMINATE) != 0;
    BOOLEAN AllocateEmpty = (Flags & RTL_DUPLICATE_UNICODE_STRING_ALLOCATE_NULL_STRING) != 0;
    ULONG Bytes = StringIn->Length + (Terminate ? (ULONG)sizeof(WCHAR) : 0);
    UNICODE_STRING Copy = {0, 0, NULL};
    NTSTATUS Status;

    if ((Flags & ~3u) != 0 || (AllocateEmpty && !Terminate)) {
        return STATUS_INVALID_PARAMETER;
    }
    if (Bytes > UNICODE_STRING_MAX_BYTES) {
        return STATUS_NAME_TOO_LONG;
    }
    if (StringIn->Length != 0 || AllocateEmpty) {
        Status = ExpPrepareString(&Copy, Bytes, StringIn->Length, TRUE);
        if (!NT_SUCCESS(Status)) {
            return Status;
        }
        if (StringIn->Length != 0) {
            RtlCopyMemory(Copy.Buffer, StringIn->Buffer, StringIn->Length);
        }
        if (Terminate) {
            Copy.Buffer[StringIn->Length / sizeof(WCHAR)] = 0;
        }
    }
    *StringOut = Copy;
    return STATUS_SUCCESS;
}
NTEXPORT(RtlDuplicateUnicodeString);

/* Free the buffer, if there is one, and make the string empty. */
VOID NTAPI
RtlFreeUnicodeString(PUNICODE_STRING UnicodeString)
{
    if (UnicodeString->Buffer != NULL) {
        ExFreePool(UnicodeString->Buffer);
        RtlZeroMemory(UnicodeString, sizeof(*UnicodeString));
    }
}
NTEXPORT(RtlFreeUnicodeString);

/* Free the buffer, if there is one, and make the string empty. */
VOID NTAPI
RtlFreeAnsiString(PANSI_STRING AnsiString)
{
    RtlFreeUnicodeString((PUNICODE_STRING)(PVOID)AnsiString);
}
NTEXPORT(RtlFreeAnsiString);

/* Write a GUID as "{xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx}", upper case, into a new buffer. */
NTSTATUS NTAPI
RtlStringFromGUID(const GUID *Guid, PUNICODE_STRING GuidString)
{
    CHAR Text[EXP_GUID_CHARACTERS + 1];
    ANSI_STRING Narrow;

    RtlpPrintBuffer(Text, sizeof(Text), "{%08X-%04hX-%04hX-%02X%02X-%02X%02X%02X%02X%02X%02X}",
                    Guid->Data1, Guid->Data2, Guid->Data3, Guid->Data4[0], Guid->Data4[1],
                    Guid->Data4[2], Guid->Data4[3], Guid->Data4[4], Guid->Data4[5], Guid->Data4[6],
                    Guid->Data4[7]);
    RtlInitAnsiString(&Narrow, Text);
    return RtlAnsiStringToUnicodeString(GuidString, &Narrow, TRUE);
}
NTEXPORT(RtlStringFromGUID);
