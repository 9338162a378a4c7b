/*
 * crtprintf.c - the printf family that images import from ntoskrnl.exe, over rtl/format.c.
 *
 * The result is the number of units written without the terminator. The counted old forms
 * (_snprintf and kin) write no terminator when the text fills the buffer exactly, and return -1 when
 * it is longer, with the buffer full; a null buffer with count 0 asks for the length. The secure
 * forms always terminate; where the text does not fit they return -1 and leave an empty string,
 * unless truncation was asked for by count _TRUNCATE.
 */
#include <ntexport.h>
#include "rtl.h"

#define NTCRT static NTAPI
#define NTCRT_TRUNCATE MAXSIZE_T

/* Where units go: a buffer with room for Capacity of them, bytes or wide. */
typedef struct _NTCRT_TARGET {
    PVOID Buffer;
    SIZE_T Capacity;
    SIZE_T Used;
    BOOLEAN Wide;
} NTCRT_TARGET, *PNTCRT_TARGET;

static VOID
NtCrtStore(PNTCRT_TARGET Target, SIZE_T At, WCHAR Unit)
{
    if (Target->Wide) {
        ((WCHAR *)Target->Buffer)[At] = Unit;
    } else {
        ((CHAR *)Target->Buffer)[At] = (CHAR)Unit;
    }
}

static VOID
NtCrtPut(PVOID Context, WCHAR Unit)
{
    PNTCRT_TARGET Target = Context;

    if (Target->Used < Target->Capacity) {
        NtCrtStore(Target, Target->Used++, Unit);
    }
}

/* The old counted forms; Wide for buffer and format alike. */
static int
NtCrtPrintCounted(PVOID Buffer, SIZE_T Count, PCVOID Format, BOOLEAN Wide, NT_VA_LIST Args)
{
    NTCRT_TARGET Target = {Buffer, Buffer == NULL ? 0 : Count, 0, Wide};
    ULONG Length;

    if (Buffer == NULL && Count != 0) {
        return -1;
    }
    Length = RtlpFormat(NtCrtPut, &Target, Format, Wide, Args);
    if (Length < Target.Capacity) {
        NtCrtStore(&Target, Length, 0);
    }
    return Buffer != NULL && Length > Count ? -1 : (int)Length;
}

/* The secure forms: Size units of room, at most Count of text. */
static int
NtCrtPrintSecure(PVOID Buffer, SIZE_T Size, SIZE_T Count, PCVOID Format, BOOLEAN Wide,
                 NT_VA_LIST Args)
{
    NTCRT_TARGET Target = {Buffer, 0, 0, Wide};
    ULONG Length;

    if (Buffer == NULL || Size == 0) {
        return -1;
    }
    Target.Capacity = MIN(Size - 1, Count);
    Length = Format != NULL ? RtlpFormat(NtCrtPut, &Target, Format, Wide, Args) : 0;
    NtCrtStore(&Target, Target.Used, 0);
    if (Format != NULL && Length <= Target.Capacity) {
        return (int)Length;
    }
    if (Format == NULL || (Count != NTCRT_TRUNCATE && Count >= Size)) {
        NtCrtStore(&Target, 0, 0);
    }
    return -1;
}

/* ---- Narrow ---- */

NTCRT int
NtCrt_vsnprintf(char *Buffer, SIZE_T Count, const char *Format, NT_VA_LIST Args)
{
    return NtCrtPrintCounted(Buffer, Count, Format, FALSE, Args);
}
NTEXPORT_AS("_vsnprintf", NtCrt_vsnprintf);

NTCRT int
NtCrt_snprintf(char *Buffer, SIZE_T Count, const char *Format, ...)
{
    NT_VA_LIST Args;
    int Result;

    NT_VA_START(Args, Format);
    Result = NtCrtPrintCounted(Buffer, Count, Format, FALSE, Args);
    NT_VA_END(Args);
    return Result;
}
NTEXPORT_AS("_snprintf", NtCrt_snprintf);

NTCRT int
NtCrt_vsprintf(char *Buffer, const char *Format, NT_VA_LIST Args)
{
    return NtCrtPrintCounted(Buffer, MAXSIZE_T, Format, FALSE, Args);
}
NTEXPORT_AS("vsprintf", NtCrt_vsprintf);

NTCRT int
NtCrt_sprintf(char *Buffer, const char *Format, ...)
{
    NT_VA_LIST Args;
    int Result;

    NT_VA_START(Args, Format);
    Result = NtCrtPrintCounted(Buffer, MAXSIZE_T, Format, FALSE, Args);
    NT_VA_END(Args);
    return Result;
}
NTEXPORT_AS("sprintf", NtCrt_sprintf);

NTCRT int
NtCrt_vsnprintf_s(char *Buffer, SIZE_T Size, SIZE_T Count, const char *Format, NT_VA_LIST Args)
{
    return NtCrtPrintSecure(Buffer, Size, Count, Format, FALSE, Args);
}
NTEXPORT_AS("_vsnprintf_s", NtCrt_vsnprintf_s);

NTCRT int
NtCrt_snprintf_s(char *Buffer, SIZE_T Size, SIZE_T Count, const char *Format, ...)
{
    NT_VA_LIST Args;
    int Result;

    NT_VA_START(Args, Format);
    Result = NtCrtPrintSecure(Buffer, Size, Count, Format, FALSE, Args);
    NT_VA_END(Args);
    return Result;
}
NTEXPORT_AS("_snprintf_s", NtCrt_snprintf_s);

NTCRT int
NtCrt_vsprintf_s(char *Buffer, SIZE_T Size, const char *Format, NT_VA_LIST Args)
{
    return NtCrtPrintSecure(Buffer, Size, Size, Format, FALSE, Args);
}
NTEXPORT_AS("vsprintf_s", NtCrt_vsprintf_s);

NTCRT int
NtCrt_sprintf_s(char *Buffer, SIZE_T Size, const char *Format, ...)
{
    NT_VA_LIST Args;
    int Result;

    NT_VA_START(Args, Format);
    Result = NtCrtPrintSecure(Buffer, Size, Size, Format, FALSE, Args);
    NT_VA_END(Args);
    return Result;
}
NTEXPORT_AS("sprintf_s", NtCrt_sprintf_s);

/* ---- Wide ---- */

NTCRT int
NtCrt_vsnwprintf(WCHAR *Buffer, SIZE_T Count, const WCHAR *Format, NT_VA_LIST Args)
{
    return NtCrtPrintCounted(Buffer, Count, Format, TRUE, Args);
}
NTEXPORT_AS("_vsnwprintf", NtCrt_vsnwprintf);

NTCRT int
NtCrt_snwprintf(WCHAR *Buffer, SIZE_T Count, const WCHAR *Format, ...)
{
    NT_VA_LIST Args;
    int Result;

    NT_VA_START(Args, Format);
    Result = NtCrtPrintCounted(Buffer, Count, Format, TRUE, Args);
    NT_VA_END(Args);
    return Result;
}
NTEXPORT_AS("_snwprintf", NtCrt_snwprintf);

/* The kernel's swprintf takes no count. */
NTCRT int
NtCrt_swprintf(WCHAR *Buffer, const WCHAR *Format, ...)
{
    NT_VA_LIST Args;
    int Result;

    NT_VA_START(Args, Format);
    Result = NtCrtPrintCounted(Buffer, MAXSIZE_T, Format, TRUE, Args);
    NT_VA_END(Args);
    return Result;
}
NTEXPORT_AS("swprintf", NtCrt_swprintf);

NTCRT int
NtCrt_vswprintf(WCHAR *Buffer, const WCHAR *Format, NT_VA_LIST Args)
{
    return NtCrtPrintCounted(Buffer, MAXSIZE_T, Format, TRUE, Args);
}
NTEXPORT_AS("vswprintf", NtCrt_vswprintf);

NTCRT int
NtCrt_vsnwprintf_s(WCHAR *Buffer, SIZE_T Size, SIZE_T Count, const WCHAR *Format, NT_VA_LIST Args)
{
    return NtCrtPrintSecure(Buffer, Size, Count, Format, TRUE, Args);
}
NTEXPORT_AS("_vsnwprintf_s", NtCrt_vsnwprintf_s);

NTCRT int
NtCrt_snwprintf_s(WCHAR *Buffer, SIZE_T Size, SIZE_T Count, const WCHAR *Format, ...)
{
    NT_VA_LIST Args;
    int Result;

    NT_VA_START(Args, Format);
    Result = NtCrtPrintSecure(Buffer, Size, Count, Format, TRUE, Args);
    NT_VA_END(Args);
    return Result;
}
NTEXPORT_AS("_snwprintf_s", NtCrt_snwprintf_s);

NTCRT int
NtCrt_vswprintf_s(WCHAR *Buffer, SIZE_T Size, const WCHAR *Format, NT_VA_LIST Args)
{
    return NtCrtPrintSecure(Buffer, Size, Size, Format, TRUE, Args);
}
NTEXPORT_AS("vswprintf_s", NtCrt_vswprintf_s);

NTCRT int
NtCrt_swprintf_s(WCHAR *Buffer, SIZE_T Size, const WCHAR *Format, ...)
{
    NT_VA_LIST Args;
    int Result;

    NT_VA_START(Args, Format);
    Result = NtCrtPrintSecure(Buffer, Size, Size, Format, TRUE, Args);
    NT_VA_END(Args);
    return Result;
}
NTEXPORT_AS("swprintf_s", NtCrt_swprintf_s);
