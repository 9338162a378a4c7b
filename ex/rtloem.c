/*
 * rtloem.c - strings in the OEM code page. As in rtlalloc.c: PASSIVE_LEVEL, STATUS_NO_MEMORY, an allocated buffer is the
 * caller's, who gives it back by RtlFreeUnicodeString or RtlFreeOemString; on failure the destination is not touched.
 *
 * Counted strings have no terminator, and a character that the code page lacks is STATUS_UNMAPPABLE_CHARACTER; the others
 * are terminated, and have '?' instead. Documents: RtlOemStringToUnicodeString and its kin.
 */
#include <ntifs.h>
#include <ntexport.h>
#include <rtl/rtl.h>
#include "ex.h"

/* Bytes that the converted string needs, terminator included. */
ULONG NTAPI
RtlxOemStringToUnicodeSize(PCOEM_STRING OemString)
{
    return (OemString->Length + 1u) * (ULONG)sizeof(WCHAR);
}
NTEXPORT(RtlxOemStringToUnicodeSize);

/* Bytes that the converted string needs, terminator included. */
ULONG NTAPI
RtlxUnicodeStringToOemSize(PCUNICODE_STRING UnicodeString)
{
    return UnicodeString->Length / (ULONG)sizeof(WCHAR) + 1;
}
NTEXPORT(RtlxUnicodeStringToOemSize);

static NTSTATUS
ExpOemToUnicode(PUNICODE_STRING Destination, PCOEM_STRING Source, BOOLEAN Allocate, ULONG Terminator)
{
    ULONG Length = Source->Length * (ULONG)sizeof(WCHAR);
    NTSTATUS Status;

    if (Length + Terminator > UNICODE_STRING_MAX_BYTES) {
        return STATUS_INVALID_PARAMETER_2;
    }
    Status = ExpPrepareString(Destination, Length + Terminator, Length, Allocate);
    if (NT_SUCCESS(Status)) {
        RtlOemToUnicodeN(Destination->Buffer, Length, NULL, Source->Buffer, Source->Length);
        if (Terminator != 0) {
            Destination->Buffer[Source->Length] = 0;
        }
    }
    return Status;
}

/* STATUS_BUFFER_OVERFLOW: it does not fit; STATUS_INVALID_PARAMETER_2: it fits no string. */
NTSTATUS NTAPI
RtlOemStringToUnicodeString(PUNICODE_STRING DestinationString, PCOEM_STRING SourceString,
                            BOOLEAN AllocateDestinationString)
{
    return ExpOemToUnicode(DestinationString, SourceString, AllocateDestinationString, sizeof(WCHAR));
}
NTEXPORT(RtlOemStringToUnicodeString);

/* The same without terminator. */
NTSTATUS NTAPI
RtlOemStringToCountedUnicodeString(PUNICODE_STRING DestinationString, PCOEM_STRING SourceString,
                                   BOOLEAN AllocateDestinationString)
{
    return ExpOemToUnicode(DestinationString, SourceString, AllocateDestinationString, 0);
}
NTEXPORT(RtlOemStringToCountedUnicodeString);

/* One character, as it is or in upper case. */
static UCHAR
ExpOemByte(WCHAR Unit, BOOLEAN Upcase, PBOOLEAN Mapped)
{
    UCHAR Byte;

    if (Upcase) {
        return RtlpUpcaseToOem(Unit, Mapped);
    }
    *Mapped = RtlpWideToOem(Unit, &Byte);
    return Byte;
}

static NTSTATUS
ExpUnicodeToOem(POEM_STRING Destination, PCUNICODE_STRING Source, BOOLEAN Allocate, BOOLEAN Upcase, BOOLEAN Counted)
{
    ULONG Count = Source->Length / (ULONG)sizeof(WCHAR);
    BOOLEAN Mapped;
    NTSTATUS Status;

    for (ULONG Index = 0; Counted && Index < Count; Index += 1) {
        ExpOemByte(Source->Buffer[Index], Upcase, &Mapped);
        if (!Mapped) {
            return STATUS_UNMAPPABLE_CHARACTER;
        }
    }
    /* The two kinds of string have the same layout. */
    Status = ExpPrepareString((PUNICODE_STRING)(PVOID)Destination, Counted ? Count : Count + 1, Count, Allocate);
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    for (ULONG Index = 0; Index < Count; Index += 1) {
        Destination->Buffer[Index] = (CHAR)ExpOemByte(Source->Buffer[Index], Upcase, &Mapped);
    }
    if (!Counted) {
        Destination->Buffer[Count] = 0;
    }
    return STATUS_SUCCESS;
}

/* STATUS_BUFFER_OVERFLOW: it does not fit. */
NTSTATUS NTAPI
RtlUnicodeStringToOemString(POEM_STRING DestinationString, PCUNICODE_STRING SourceString,
                            BOOLEAN AllocateDestinationString)
{
    return ExpUnicodeToOem(DestinationString, SourceString, AllocateDestinationString, FALSE, FALSE);
}
NTEXPORT(RtlUnicodeStringToOemString);

/* In upper case. */
NTSTATUS NTAPI
RtlUpcaseUnicodeStringToOemString(POEM_STRING DestinationString, PCUNICODE_STRING SourceString,
                                  BOOLEAN AllocateDestinationString)
{
    return ExpUnicodeToOem(DestinationString, SourceString, AllocateDestinationString, TRUE, FALSE);
}
NTEXPORT(RtlUpcaseUnicodeStringToOemString);

/* Without terminator. STATUS_UNMAPPABLE_CHARACTER. */
NTSTATUS NTAPI
RtlUnicodeStringToCountedOemString(POEM_STRING DestinationString, PCUNICODE_STRING SourceString,
                                   BOOLEAN AllocateDestinationString)
{
    return ExpUnicodeToOem(DestinationString, SourceString, AllocateDestinationString, FALSE, TRUE);
}
NTEXPORT(RtlUnicodeStringToCountedOemString);

/* In upper case, without terminator. STATUS_UNMAPPABLE_CHARACTER. */
NTSTATUS NTAPI
RtlUpcaseUnicodeStringToCountedOemString(POEM_STRING DestinationString, PCUNICODE_STRING SourceString,
                                         BOOLEAN AllocateDestinationString)
{
    return ExpUnicodeToOem(DestinationString, SourceString, AllocateDestinationString, TRUE, TRUE);
}
NTEXPORT(RtlUpcaseUnicodeStringToCountedOemString);

/* Free the buffer, if there is one, and make the string empty. */
VOID NTAPI
RtlFreeOemString(POEM_STRING OemString)
{
    RtlFreeUnicodeString((PUNICODE_STRING)(PVOID)OemString);
}
NTEXPORT(RtlFreeOemString);
