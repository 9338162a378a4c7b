/*
 * crt.c - the C string routines that images import from ntoskrnl.exe by their C names.
 *
 * The names would collide with the host's library, so the routines are called NtCrt_xxx here and
 * exported as xxx. Terminated strings, no locale: narrow case conversion knows A to Z only, wide
 * case conversion follows rtl/chars.c. Resident memory at any IRQL, pageable below DISPATCH_LEVEL.
 */
#include <ntifs.h>
#include <ntexport.h>
#include "rtl.h"

#define NTCRT static NTAPI

/* Strings are const where they come in and not where they go out, as C has it. */
#define RTLP_UNCONST(Type, Pointer) ((Type *)(ULONG_PTR)(Pointer))

static int
NtCrtUpper(int Character)
{
    return Character >= 'a' && Character <= 'z' ? Character - ('a' - 'A') : Character;
}

static int
NtCrtLower(int Character)
{
    return Character >= 'A' && Character <= 'Z' ? Character + ('a' - 'A') : Character;
}

/* ---- Narrow ---- */

NTCRT SIZE_T
NtCrt_strlen(const char *S)
{
    SIZE_T Length = 0;

    while (S[Length] != 0) {
        Length++;
    }
    return Length;
}
NTEXPORT_AS("strlen", NtCrt_strlen);

NTCRT SIZE_T
NtCrt_strnlen(const char *S, SIZE_T Maximum)
{
    SIZE_T Length = 0;

    while (Length < Maximum && S[Length] != 0) {
        Length++;
    }
    return Length;
}
NTEXPORT_AS("strnlen", NtCrt_strnlen);

NTCRT int
NtCrt_strncmp(const char *A, const char *B, SIZE_T Count)
{
    SIZE_T i;

    for (i = 0; i < Count; i++) {
        if (A[i] != B[i] || A[i] == 0) {
            return (int)(UCHAR)A[i] - (int)(UCHAR)B[i];
        }
    }
    return 0;
}
NTEXPORT_AS("strncmp", NtCrt_strncmp);

NTCRT int
NtCrt_strcmp(const char *A, const char *B)
{
    return NtCrt_strncmp(A, B, MAXSIZE_T);
}
NTEXPORT_AS("strcmp", NtCrt_strcmp);

NTCRT int
NtCrt_strnicmp(const char *A, const char *B, SIZE_T Count)
{
    SIZE_T i;
    int Order;

    for (i = 0; i < Count; i++) {
        Order = NtCrtLower((UCHAR)A[i]) - NtCrtLower((UCHAR)B[i]);
        if (Order != 0 || A[i] == 0) {
            return Order;
        }
    }
    return 0;
}
NTEXPORT_AS("_strnicmp", NtCrt_strnicmp);

NTCRT int
NtCrt_stricmp(const char *A, const char *B)
{
    return NtCrt_strnicmp(A, B, MAXSIZE_T);
}
NTEXPORT_AS("_stricmp", NtCrt_stricmp);

NTCRT char *
NtCrt_strcpy(char *To, const char *From)
{
    RtlMoveMemory(To, From, NtCrt_strlen(From) + 1);
    return To;
}
NTEXPORT_AS("strcpy", NtCrt_strcpy);

NTCRT char *
NtCrt_strncpy(char *To, const char *From, SIZE_T Count)
{
    SIZE_T Length = NtCrt_strnlen(From, Count);

    RtlMoveMemory(To, From, Length);
    RtlZeroMemory(To + Length, Count - Length);
    return To;
}
NTEXPORT_AS("strncpy", NtCrt_strncpy);

NTCRT char *
NtCrt_strcat(char *To, const char *From)
{
    NtCrt_strcpy(To + NtCrt_strlen(To), From);
    return To;
}
NTEXPORT_AS("strcat", NtCrt_strcat);

NTCRT char *
NtCrt_strncat(char *To, const char *From, SIZE_T Count)
{
    char *End = To + NtCrt_strlen(To);
    SIZE_T Length = NtCrt_strnlen(From, Count);

    RtlMoveMemory(End, From, Length);
    End[Length] = 0;
    return To;
}
NTEXPORT_AS("strncat", NtCrt_strncat);

NTCRT char *
NtCrt_strchr(const char *S, int Character)
{
    while (*S != (char)Character) {
        if (*S++ == 0) {
            return NULL;
        }
    }
    return RTLP_UNCONST(char, S);
}
NTEXPORT_AS("strchr", NtCrt_strchr);

NTCRT char *
NtCrt_strrchr(const char *S, int Character)
{
    const char *Found = NULL;

    do {
        if (*S == (char)Character) {
            Found = S;
        }
    } while (*S++ != 0);
    return RTLP_UNCONST(char, Found);
}
NTEXPORT_AS("strrchr", NtCrt_strrchr);

NTCRT char *
NtCrt_strstr(const char *S, const char *Part)
{
    SIZE_T Length = NtCrt_strlen(Part);

    while (NtCrt_strncmp(S, Part, Length) != 0) {
        if (*S++ == 0) {
            return NULL;
        }
    }
    return RTLP_UNCONST(char, S);
}
NTEXPORT_AS("strstr", NtCrt_strstr);

NTCRT SIZE_T
NtCrt_strspn(const char *S, const char *Set)
{
    SIZE_T Length = 0;

    while (S[Length] != 0 && NtCrt_strchr(Set, S[Length]) != NULL) {
        Length++;
    }
    return Length;
}
NTEXPORT_AS("strspn", NtCrt_strspn);

NTCRT char *
NtCrt_strupr(char *S)
{
    char *At;

    for (At = S; *At != 0; At++) {
        *At = (char)NtCrtUpper((UCHAR)*At);
    }
    return S;
}
NTEXPORT_AS("_strupr", NtCrt_strupr);

NTCRT char *
NtCrt_strlwr(char *S)
{
    char *At;

    for (At = S; *At != 0; At++) {
        *At = (char)NtCrtLower((UCHAR)*At);
    }
    return S;
}
NTEXPORT_AS("_strlwr", NtCrt_strlwr);

/* ---- Wide ---- */

NTCRT SIZE_T
NtCrt_wcslen(const WCHAR *S)
{
    SIZE_T Length = 0;

    while (S[Length] != 0) {
        Length++;
    }
    return Length;
}
NTEXPORT_AS("wcslen", NtCrt_wcslen);

NTCRT SIZE_T
NtCrt_wcsnlen(const WCHAR *S, SIZE_T Maximum)
{
    SIZE_T Length = 0;

    while (Length < Maximum && S[Length] != 0) {
        Length++;
    }
    return Length;
}
NTEXPORT_AS("wcsnlen", NtCrt_wcsnlen);

NTCRT int
NtCrt_wcsncmp(const WCHAR *A, const WCHAR *B, SIZE_T Count)
{
    SIZE_T i;

    for (i = 0; i < Count; i++) {
        if (A[i] != B[i] || A[i] == 0) {
            return (int)A[i] - (int)B[i];
        }
    }
    return 0;
}
NTEXPORT_AS("wcsncmp", NtCrt_wcsncmp);

NTCRT int
NtCrt_wcscmp(const WCHAR *A, const WCHAR *B)
{
    return NtCrt_wcsncmp(A, B, MAXSIZE_T);
}
NTEXPORT_AS("wcscmp", NtCrt_wcscmp);

NTCRT int
NtCrt_wcsnicmp(const WCHAR *A, const WCHAR *B, SIZE_T Count)
{
    SIZE_T i;
    int Order;

    for (i = 0; i < Count; i++) {
        Order = (int)RtlDowncaseUnicodeChar(A[i]) - (int)RtlDowncaseUnicodeChar(B[i]);
        if (Order != 0 || A[i] == 0) {
            return Order;
        }
    }
    return 0;
}
NTEXPORT_AS("_wcsnicmp", NtCrt_wcsnicmp);

NTCRT int
NtCrt_wcsicmp(const WCHAR *A, const WCHAR *B)
{
    return NtCrt_wcsnicmp(A, B, MAXSIZE_T);
}
NTEXPORT_AS("_wcsicmp", NtCrt_wcsicmp);

NTCRT WCHAR *
NtCrt_wcscpy(WCHAR *To, const WCHAR *From)
{
    RtlMoveMemory(To, From, (NtCrt_wcslen(From) + 1) * sizeof(WCHAR));
    return To;
}
NTEXPORT_AS("wcscpy", NtCrt_wcscpy);

NTCRT WCHAR *
NtCrt_wcsncpy(WCHAR *To, const WCHAR *From, SIZE_T Count)
{
    SIZE_T Length = NtCrt_wcsnlen(From, Count);

    RtlMoveMemory(To, From, Length * sizeof(WCHAR));
    RtlZeroMemory(To + Length, (Count - Length) * sizeof(WCHAR));
    return To;
}
NTEXPORT_AS("wcsncpy", NtCrt_wcsncpy);

NTCRT WCHAR *
NtCrt_wcscat(WCHAR *To, const WCHAR *From)
{
    NtCrt_wcscpy(To + NtCrt_wcslen(To), From);
    return To;
}
NTEXPORT_AS("wcscat", NtCrt_wcscat);

NTCRT WCHAR *
NtCrt_wcsncat(WCHAR *To, const WCHAR *From, SIZE_T Count)
{
    WCHAR *End = To + NtCrt_wcslen(To);
    SIZE_T Length = NtCrt_wcsnlen(From, Count);

    RtlMoveMemory(End, From, Length * sizeof(WCHAR));
    End[Length] = 0;
    return To;
}
NTEXPORT_AS("wcsncat", NtCrt_wcsncat);

NTCRT WCHAR *
NtCrt_wcschr(const WCHAR *S, WCHAR Character)
{
    while (*S != Character) {
        if (*S++ == 0) {
            return NULL;
        }
    }
    return RTLP_UNCONST(WCHAR, S);
}
NTEXPORT_AS("wcschr", NtCrt_wcschr);

NTCRT WCHAR *
NtCrt_wcsrchr(const WCHAR *S, WCHAR Character)
{
    const WCHAR *Found = NULL;

    do {
        if (*S == Character) {
            Found = S;
        }
    } while (*S++ != 0);
    return RTLP_UNCONST(WCHAR, Found);
}
NTEXPORT_AS("wcsrchr", NtCrt_wcsrchr);

NTCRT WCHAR *
NtCrt_wcsstr(const WCHAR *S, const WCHAR *Part)
{
    SIZE_T Length = NtCrt_wcslen(Part);

    while (NtCrt_wcsncmp(S, Part, Length) != 0) {
        if (*S++ == 0) {
            return NULL;
        }
    }
    return RTLP_UNCONST(WCHAR, S);
}
NTEXPORT_AS("wcsstr", NtCrt_wcsstr);

NTCRT WCHAR *
NtCrt_wcsupr(WCHAR *S)
{
    WCHAR *At;

    for (At = S; *At != 0; At++) {
        *At = RtlUpcaseUnicodeChar(*At);
    }
    return S;
}
NTEXPORT_AS("_wcsupr", NtCrt_wcsupr);

NTCRT WCHAR *
NtCrt_wcslwr(WCHAR *S)
{
    WCHAR *At;

    for (At = S; *At != 0; At++) {
        *At = RtlDowncaseUnicodeChar(*At);
    }
    return S;
}
NTEXPORT_AS("_wcslwr", NtCrt_wcslwr);

/* ---- Characters and numbers ---- */

NTCRT int
NtCrt_toupper(int Character)
{
    return NtCrtUpper(Character);
}
NTEXPORT_AS("toupper", NtCrt_toupper);

NTCRT int
NtCrt_tolower(int Character)
{
    return NtCrtLower(Character);
}
NTEXPORT_AS("tolower", NtCrt_tolower);

NTCRT WCHAR
NtCrt_towupper(WCHAR Character)
{
    return RtlUpcaseUnicodeChar(Character);
}
NTEXPORT_AS("towupper", NtCrt_towupper);

NTCRT WCHAR
NtCrt_towlower(WCHAR Character)
{
    return RtlDowncaseUnicodeChar(Character);
}
NTEXPORT_AS("towlower", NtCrt_towlower);

NTCRT int
NtCrt_isdigit(int Character)
{
    return Character >= '0' && Character <= '9';
}
NTEXPORT_AS("isdigit", NtCrt_isdigit);

NTCRT int
NtCrt_isxdigit(int Character)
{
    int Lower = NtCrtLower(Character);

    return NtCrt_isdigit(Character) || (Lower >= 'a' && Lower <= 'f');
}
NTEXPORT_AS("isxdigit", NtCrt_isxdigit);

NTCRT int
NtCrt_isspace(int Character)
{
    return Character == ' ' || (Character >= '\t' && Character <= '\r');
}
NTEXPORT_AS("isspace", NtCrt_isspace);

NTCRT int
NtCrt_isupper(int Character)
{
    return Character >= 'A' && Character <= 'Z';
}
NTEXPORT_AS("isupper", NtCrt_isupper);

NTCRT int
NtCrt_islower(int Character)
{
    return Character >= 'a' && Character <= 'z';
}
NTEXPORT_AS("islower", NtCrt_islower);

NTCRT int
NtCrt_isprint(int Character)
{
    return Character >= ' ' && Character <= '~';
}
NTEXPORT_AS("isprint", NtCrt_isprint);

/* A decimal number after blanks and a sign; overflow wraps. */
static LONGLONG
NtCrtReadDecimal(const char *S)
{
    ULONGLONG Value = 0;
    BOOLEAN Negative;

    while (NtCrt_isspace((UCHAR)*S)) {
        S++;
    }
    Negative = *S == '-';
    if (*S == '-' || *S == '+') {
        S++;
    }
    for (; *S >= '0' && *S <= '9'; S++) {
        Value = Value * 10 + (ULONGLONG)(*S - '0');
    }
    return (LONGLONG)(Negative ? 0 - Value : Value);
}

NTCRT int
NtCrt_atoi(const char *S)
{
    return (int)NtCrtReadDecimal(S);
}
NTEXPORT_AS("atoi", NtCrt_atoi);
NTEXPORT_AS("atol", NtCrt_atoi);

NTCRT LONGLONG
NtCrt_atoi64(const char *S)
{
    return NtCrtReadDecimal(S);
}
NTEXPORT_AS("_atoi64", NtCrt_atoi64);
