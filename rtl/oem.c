/*
 * oem.c - the OEM code page, 437 as a system of that language has it, and translation by counts.
 *
 * Constant tables, any IRQL at which the memory named is resident. Document: RtlOemToUnicodeN, RtlUnicodeToOemN.
 */
#include <ntifs.h>
#include <ntexport.h>
#include "rtl.h"

/* Bytes 0x80 to 0xFF of code page 437; the others are their own number. */
static const WCHAR RtlpCodePage437[128] = {
    0x00C7, 0x00FC, 0x00E9, 0x00E2, 0x00E4, 0x00E0, 0x00E5, 0x00E7, 0x00EA, 0x00EB, 0x00E8, 0x00EF,
    0x00EE, 0x00EC, 0x00C4, 0x00C5, 0x00C9, 0x00E6, 0x00C6, 0x00F4, 0x00F6, 0x00F2, 0x00FB, 0x00F9,
    0x00FF, 0x00D6, 0x00DC, 0x00A2, 0x00A3, 0x00A5, 0x20A7, 0x0192, 0x00E1, 0x00ED, 0x00F3, 0x00FA,
    0x00F1, 0x00D1, 0x00AA, 0x00BA, 0x00BF, 0x2310, 0x00AC, 0x00BD, 0x00BC, 0x00A1, 0x00AB, 0x00BB,
    0x2591, 0x2592, 0x2593, 0x2502, 0x2524, 0x2561, 0x2562, 0x2556, 0x2555, 0x2563, 0x2551, 0x2557,
    0x255D, 0x255C, 0x255B, 0x2510, 0x2514, 0x2534, 0x252C, 0x251C, 0x2500, 0x253C, 0x255E, 0x255F,
    0x255A, 0x2554, 0x2569, 0x2566, 0x2560, 0x2550, 0x256C, 0x2567, 0x2568, 0x2564, 0x2565, 0x2559,
    0x2558, 0x2552, 0x2553, 0x256B, 0x256A, 0x2518, 0x250C, 0x2588, 0x2584, 0x258C, 0x2590, 0x2580,
    0x03B1, 0x00DF, 0x0393, 0x03C0, 0x03A3, 0x03C3, 0x00B5, 0x03C4, 0x03A6, 0x0398, 0x03A9, 0x03B4,
    0x221E, 0x03C6, 0x03B5, 0x2229, 0x2261, 0x00B1, 0x2265, 0x2264, 0x2320, 0x2321, 0x00F7, 0x2248,
    0x00B0, 0x2219, 0x00B7, 0x221A, 0x207F, 0x00B2, 0x25A0, 0x00A0,
};

WCHAR
RtlpOemToWide(UCHAR Byte)
{
    return Byte < 0x80 ? Byte : RtlpCodePage437[Byte - 0x80];
}

BOOLEAN
RtlpWideToOem(WCHAR Unit, PUCHAR Byte)
{
    *Byte = (UCHAR)Unit;
    if (Unit < 0x80) {
        return TRUE;
    }
    for (ULONG Index = 0; Index < RTL_NUMBER_OF(RtlpCodePage437); Index += 1) {
        if (RtlpCodePage437[Index] == Unit) {
            *Byte = (UCHAR)(0x80 + Index);
            return TRUE;
        }
    }
    *Byte = '?';
    return FALSE;
}

UCHAR
RtlpUpcaseToOem(WCHAR Unit, PBOOLEAN Mapped)
{
    UCHAR Byte;

    /* There and back first: what the code page lacks is not made upper case. */
    *Mapped = RtlpWideToOem(Unit, &Byte);
    if (*Mapped) {
        *Mapped = RtlpWideToOem(RtlUpcaseUnicodeChar(RtlpOemToWide(Byte)), &Byte);
    }
    return Byte;
}

/* Translate what fits; STATUS_BUFFER_OVERFLOW: not all did. The buffers may be the same. */
NTSTATUS NTAPI
RtlOemToUnicodeN(PWCH UnicodeString, ULONG MaxBytesInUnicodeString, PULONG BytesInUnicodeString, PCCH OemString,
                 ULONG BytesInOemString)
{
    ULONG Count = MIN(BytesInOemString, MaxBytesInUnicodeString / (ULONG)sizeof(WCHAR));

    for (ULONG Index = Count; Index-- > 0;) {
        UnicodeString[Index] = RtlpOemToWide((UCHAR)OemString[Index]);
    }
    if (BytesInUnicodeString != NULL) {
        *BytesInUnicodeString = Count * (ULONG)sizeof(WCHAR);
    }
    return Count < BytesInOemString ? STATUS_BUFFER_OVERFLOW : STATUS_SUCCESS;
}
NTEXPORT(RtlOemToUnicodeN);

/* Translate what fits, '?' for what the code page lacks; STATUS_BUFFER_OVERFLOW: not all did. */
NTSTATUS NTAPI
RtlUnicodeToOemN(PCHAR OemString, ULONG MaxBytesInOemString, PULONG BytesInOemString, PCWCH UnicodeString,
                 ULONG BytesInUnicodeString)
{
    ULONG Wanted = BytesInUnicodeString / (ULONG)sizeof(WCHAR), Count = MIN(Wanted, MaxBytesInOemString);

    for (ULONG Index = 0; Index < Count; Index += 1) {
        RtlpWideToOem(UnicodeString[Index], (PUCHAR)&OemString[Index]);
    }
    if (BytesInOemString != NULL) {
        *BytesInOemString = Count;
    }
    return Count < Wanted ? STATUS_BUFFER_OVERFLOW : STATUS_SUCCESS;
}
NTEXPORT(RtlUnicodeToOemN);

/* The same in upper case. */
NTSTATUS NTAPI
RtlUpcaseUnicodeToOemN(PCHAR OemString, ULONG MaxBytesInOemString, PULONG BytesInOemString, PCWCH UnicodeString,
                       ULONG BytesInUnicodeString)
{
    ULONG Wanted = BytesInUnicodeString / (ULONG)sizeof(WCHAR), Count = MIN(Wanted, MaxBytesInOemString);
    BOOLEAN Mapped;

    for (ULONG Index = 0; Index < Count; Index += 1) {
        OemString[Index] = (CHAR)RtlpUpcaseToOem(UnicodeString[Index], &Mapped);
    }
    if (BytesInOemString != NULL) {
        *BytesInOemString = Count;
    }
    return Count < Wanted ? STATUS_BUFFER_OVERFLOW : STATUS_SUCCESS;
}
NTEXPORT(RtlUpcaseUnicodeToOemN);
