/*
 * mem.c - copying, filling and comparing memory.
 *
 * Three faces of the same loops: the four plain symbols that compilers call in a freestanding build,
 * the documented Rtl routines, and the C names that images import. General registers only. Nothing
 * here sets the direction flag, so a page fault in the middle finds the processor as C expects it,
 * and every loop may be interrupted and go on. In sanitized builds (NTMM_SANITIZED) the plain
 * symbols are the host's, which check the core's own copies; what images call stays unchecked by
 * the sanitizers, since an image's mistakes are the verifier's business.
 *
 * Any IRQL for resident memory, otherwise APC_LEVEL and below.
 */
#include <ntifs.h>
#include <ntexport.h>
#include "rtl.h"

#define RTLP_RAW __attribute__((no_sanitize("address", "undefined", "thread")))
#define RTLP_RAW_INLINE static inline __attribute__((always_inline)) RTLP_RAW
#define RTLP_CACHE_LINE 64

/* Any bytes as a number, wherever they lie. */
typedef struct _RTLP_RAW64 {
    ULONG64 Value;
} __attribute__((packed, may_alias)) RTLP_RAW64;
typedef struct _RTLP_RAW32 {
    ULONG Value;
} __attribute__((packed, may_alias)) RTLP_RAW32;
typedef struct _RTLP_RAW16 {
    USHORT Value;
} __attribute__((packed, may_alias)) RTLP_RAW16;

RTLP_RAW_INLINE ULONG64
RtlpLoad64(const UCHAR *At)
{
    return ((const RTLP_RAW64 *)At)->Value;
}

RTLP_RAW_INLINE VOID
RtlpStore64(UCHAR *At, ULONG64 Value)
{
    ((RTLP_RAW64 *)At)->Value = Value;
}

/* Copy 1 to 16 bytes: everything is loaded before anything is stored, so overlap is harmless. */
RTLP_RAW_INLINE VOID
RtlpMoveTiny(UCHAR *To, const UCHAR *From, SIZE_T Length)
{
    if (Length >= 8) {
        ULONG64 Head = RtlpLoad64(From), Tail = RtlpLoad64(From + Length - 8);

        RtlpStore64(To, Head);
        RtlpStore64(To + Length - 8, Tail);
    } else if (Length >= 4) {
        ULONG Head = ((const RTLP_RAW32 *)From)->Value;
        ULONG Tail = ((const RTLP_RAW32 *)(From + Length - 4))->Value;

        ((RTLP_RAW32 *)To)->Value = Head;
        ((RTLP_RAW32 *)(To + Length - 4))->Value = Tail;
    } else if (Length >= 2) {
        USHORT Head = ((const RTLP_RAW16 *)From)->Value;
        USHORT Tail = ((const RTLP_RAW16 *)(From + Length - 2))->Value;

        ((RTLP_RAW16 *)To)->Value = Head;
        ((RTLP_RAW16 *)(To + Length - 2))->Value = Tail;
    } else if (Length != 0) {
        *To = *From;
    }
}

/* Copy 17 to 32 bytes. */
RTLP_RAW_INLINE VOID
RtlpMoveSmall(UCHAR *To, const UCHAR *From, SIZE_T Length)
{
    ULONG64 A = RtlpLoad64(From), B = RtlpLoad64(From + 8);
    ULONG64 C = RtlpLoad64(From + Length - 16), D = RtlpLoad64(From + Length - 8);

    RtlpStore64(To, A);
    RtlpStore64(To + 8, B);
    RtlpStore64(To + Length - 16, C);
    RtlpStore64(To + Length - 8, D);
}

/* Copy upwards: right unless To lies inside the source. Above 8 bytes. */
RTLP_RAW_INLINE VOID
RtlpMoveUp(UCHAR *To, const UCHAR *From, SIZE_T Length)
{
    UCHAR *End = To + Length - 8;
    ULONG64 Tail = RtlpLoad64(From + Length - 8);
    SIZE_T Words = Length / 8;

    __asm__ __volatile__("rep movsq" : "+D"(To), "+S"(From), "+c"(Words) : : "memory");
    RtlpStore64(End, Tail);
}

/* Copy downwards: right when To lies inside the source. Above 8 bytes. */
RTLP_RAW_INLINE VOID
RtlpMoveDown(UCHAR *To, const UCHAR *From, SIZE_T Length)
{
    ULONG64 Head = RtlpLoad64(From);
    SIZE_T Left = Length;

    while (Left >= 8) {
        Left -= 8;
        RtlpStore64(To + Left, RtlpLoad64(From + Left));
        /* Keeps the compiler from turning the loop into a call of memmove, that is, of itself. */
        __asm__ __volatile__("" : : : "memory");
    }
    RtlpStore64(To, Head);
}

RTLP_RAW_INLINE VOID
RtlpMove(void *Destination, const void *Source, SIZE_T Length)
{
    UCHAR *To = Destination;
    const UCHAR *From = Source;

    if (Length <= 16) {
        RtlpMoveTiny(To, From, Length);
    } else if (Length <= 32) {
        RtlpMoveSmall(To, From, Length);
    } else if ((ULONG_PTR)To - (ULONG_PTR)From >= Length) {
        RtlpMoveUp(To, From, Length);
    } else {
        RtlpMoveDown(To, From, Length);
    }
}

RTLP_RAW_INLINE VOID
RtlpFill(void *Destination, ULONG64 Pattern, SIZE_T Length)
{
    UCHAR *To = Destination;
    SIZE_T Words = Length / 8;

    if (Length >= 8) {
        UCHAR *End = To + Length - 8;
        /* The tail overlaps the words before it; turn the pattern to fit. */
        ULONG Turn = (ULONG)(Length % 8) * 8;
        ULONG64 Tail = Turn == 0 ? Pattern : Pattern >> Turn | Pattern << (64 - Turn);

        __asm__ __volatile__("rep stosq" : "+D"(To), "+c"(Words) : "a"(Pattern) : "memory");
        RtlpStore64(End, Tail);
    } else if (Length >= 4) {
        ((RTLP_RAW32 *)To)->Value = (ULONG)Pattern;
        ((RTLP_RAW32 *)(To + Length - 4))->Value = (ULONG)(Pattern >> (Length % 4) * 8);
    } else if (Length >= 2) {
        ((RTLP_RAW16 *)To)->Value = (USHORT)Pattern;
        To[Length - 1] = (UCHAR)Pattern;
    } else if (Length != 0) {
        *To = (UCHAR)Pattern;
    }
}

RTLP_RAW_INLINE ULONG64
RtlpSpreadByte(int Fill)
{
    return (ULONG64)(UCHAR)Fill * 0x0101010101010101ULL;
}

/* How many leading bytes are equal. */
RTLP_RAW_INLINE SIZE_T
RtlpEqualPrefix(const void *First, const void *Second, SIZE_T Length)
{
    const UCHAR *A = First, *B = Second;
    SIZE_T Done = 0;
    ULONG64 Difference;

    while (Length - Done >= 8) {
        Difference = RtlpLoad64(A + Done) ^ RtlpLoad64(B + Done);
        if (Difference != 0) {
            return Done + (SIZE_T)__builtin_ctzll(Difference) / 8;
        }
        Done += 8;
    }
    while (Done < Length && A[Done] == B[Done]) {
        Done++;
    }
    return Done;
}

RTLP_RAW_INLINE int
RtlpOrder(const void *First, const void *Second, SIZE_T Length)
{
    SIZE_T Equal = RtlpEqualPrefix(First, Second, Length);

    return Equal == Length ? 0
                           : (int)((const UCHAR *)First)[Equal] - (int)((const UCHAR *)Second)[Equal];
}

/* ---- The compiler's four ---- */

#ifndef NTMM_SANITIZED
void *memcpy(void *Destination, const void *Source, __SIZE_TYPE__ Length);
void *memmove(void *Destination, const void *Source, __SIZE_TYPE__ Length);
void *memset(void *Destination, int Fill, __SIZE_TYPE__ Length);
int memcmp(const void *First, const void *Second, __SIZE_TYPE__ Length);

void *
memcpy(void *Destination, const void *Source, __SIZE_TYPE__ Length)
{
    RtlpMove(Destination, Source, Length);
    return Destination;
}

void *
memmove(void *Destination, const void *Source, __SIZE_TYPE__ Length)
{
    RtlpMove(Destination, Source, Length);
    return Destination;
}

void *
memset(void *Destination, int Fill, __SIZE_TYPE__ Length)
{
    RtlpFill(Destination, RtlpSpreadByte(Fill), Length);
    return Destination;
}

int
memcmp(const void *First, const void *Second, __SIZE_TYPE__ Length)
{
    return RtlpOrder(First, Second, Length);
}
#endif

/* ---- What images import ---- */

/* C's memmove, and memcpy too: overlap is undefined there and harmless here. */
static RTLP_RAW PVOID NTAPI
NtCrt_memmove(PVOID Destination, PCVOID Source, SIZE_T Length)
{
    RtlpMove(Destination, Source, Length);
    return Destination;
}
NTEXPORT_AS("memmove", NtCrt_memmove);
NTEXPORT_AS("memcpy", NtCrt_memmove);

static RTLP_RAW PVOID NTAPI
NtCrt_memset(PVOID Destination, int Fill, SIZE_T Length)
{
    RtlpFill(Destination, RtlpSpreadByte(Fill), Length);
    return Destination;
}
NTEXPORT_AS("memset", NtCrt_memset);

static RTLP_RAW int NTAPI
NtCrt_memcmp(PCVOID First, PCVOID Second, SIZE_T Length)
{
    return RtlpOrder(First, Second, Length);
}
NTEXPORT_AS("memcmp", NtCrt_memcmp);

static RTLP_RAW PVOID NTAPI
NtCrt_memchr(PCVOID Start, int Byte, SIZE_T Length)
{
    const UCHAR *At = Start;
    SIZE_T i;

    for (i = 0; i < Length; i++) {
        if (At[i] == (UCHAR)Byte) {
            return (PVOID)(ULONG_PTR)(At + i);
        }
    }
    return NULL;
}
NTEXPORT_AS("memchr", NtCrt_memchr);

/* The forms that headers make macros of are exported too: older images import them. */
static RTLP_RAW VOID NTAPI
RtlpExportedMoveMemory(PVOID Destination, PCVOID Source, SIZE_T Length)
{
    RtlpMove(Destination, Source, Length);
}
NTEXPORT_AS("RtlMoveMemory", RtlpExportedMoveMemory);
NTEXPORT_AS("RtlCopyMemory", RtlpExportedMoveMemory);

static RTLP_RAW VOID NTAPI
RtlpExportedFillMemory(PVOID Destination, SIZE_T Length, UCHAR Fill)
{
    RtlpFill(Destination, RtlpSpreadByte(Fill), Length);
}
NTEXPORT_AS("RtlFillMemory", RtlpExportedFillMemory);

static RTLP_RAW VOID NTAPI
RtlpExportedZeroMemory(PVOID Destination, SIZE_T Length)
{
    RtlpFill(Destination, 0, Length);
}
NTEXPORT_AS("RtlZeroMemory", RtlpExportedZeroMemory);

/* Count the leading bytes that are equal: Length when all are. */
RTLP_RAW SIZE_T NTAPI
RtlCompareMemory(const VOID *Source1, const VOID *Source2, SIZE_T Length)
{
    return RtlpEqualPrefix(Source1, Source2, Length);
}
NTEXPORT(RtlCompareMemory);

/*
 * Count the leading bytes of Source, in whole ULONGs, that repeat Pattern. 0 unless Source and
 * Length are multiples of four.
 */
RTLP_RAW SIZE_T NTAPI
RtlCompareMemoryUlong(PVOID Source, SIZE_T Length, ULONG Pattern)
{
    const UCHAR *At = Source;
    SIZE_T Done = 0;

    if ((ULONG_PTR)Source % sizeof(ULONG) != 0 || Length % sizeof(ULONG) != 0) {
        return 0;
    }
    while (Done < Length && ((const RTLP_RAW32 *)(At + Done))->Value == Pattern) {
        Done += sizeof(ULONG);
    }
    return Done;
}
NTEXPORT(RtlCompareMemoryUlong);

/* Repeat Pattern over Length bytes; what is left below a multiple of four stays as it was. */
RTLP_RAW VOID NTAPI
RtlFillMemoryUlong(PVOID Destination, SIZE_T Length, ULONG Pattern)
{
    RtlpFill(Destination, (ULONG64)Pattern << 32 | Pattern, Length & ~(SIZE_T)3);
}
NTEXPORT(RtlFillMemoryUlong);

/* Repeat Pattern over Length bytes; what is left below a multiple of eight stays as it was. */
static RTLP_RAW VOID NTAPI
RtlpExportedFillMemoryUlonglong(PVOID Destination, SIZE_T Length, ULONGLONG Pattern)
{
    RtlpFill(Destination, Pattern, Length & ~(SIZE_T)7);
}
NTEXPORT_AS("RtlFillMemoryUlonglong", RtlpExportedFillMemoryUlonglong);

/* TRUE if all Length bytes are zero; no alignment is asked. */
RTLP_RAW BOOLEAN NTAPI
RtlIsZeroMemory(PVOID Buffer, SIZE_T Length)
{
    const UCHAR *At = Buffer;
    SIZE_T Done = 0;

    while (Length - Done >= 8) {
        if (RtlpLoad64(At + Done) != 0) {
            return FALSE;
        }
        Done += 8;
    }
    while (Done < Length) {
        if (At[Done] != 0) {
            return FALSE;
        }
        Done++;
    }
    return TRUE;
}
NTEXPORT(RtlIsZeroMemory);

/* Compare in a time that depends on Length alone: for secrets. */
RTLP_RAW ULONG NTAPI
RtlConstantTimeEqualMemory(const VOID *v1, const VOID *v2, ULONG Length)
{
    const UCHAR *A = v1, *B = v2;
    ULONG Difference = 0;
    ULONG i;

    for (i = 0; i < Length; i++) {
        Difference |= (ULONG)(A[i] ^ B[i]);
        /* The compiler must not learn that one difference decides. */
        __asm__ __volatile__("" : "+r"(Difference));
    }
    return Difference == 0;
}
NTEXPORT(RtlConstantTimeEqualMemory);

/* Copy past the cache, in 8-byte stores; the ranges do not overlap. Fenced before it returns. */
RTLP_RAW VOID NTAPI
RtlCopyMemoryNonTemporal(VOID *Destination, const VOID *Source, SIZE_T Length)
{
    UCHAR *To = Destination;
    const UCHAR *From = Source;

    for (; Length >= 8; Length -= 8, To += 8, From += 8) {
        __asm__ __volatile__("movnti %1, (%0)" : : "r"(To), "r"(RtlpLoad64(From)) : "memory");
    }
    RtlpMove(To, From, Length);
    __asm__ __volatile__("sfence" : : : "memory");
}
NTEXPORT(RtlCopyMemoryNonTemporal);

/* Fill past the cache, in 8-byte stores. Fenced before it returns. */
RTLP_RAW VOID NTAPI
RtlFillMemoryNonTemporal(VOID *Destination, SIZE_T Length, UCHAR Value)
{
    UCHAR *To = Destination;
    ULONG64 Pattern = RtlpSpreadByte(Value);

    for (; Length >= 8; Length -= 8, To += 8) {
        __asm__ __volatile__("movnti %1, (%0)" : : "r"(To), "r"(Pattern) : "memory");
    }
    RtlpFill(To, Pattern, Length);
    __asm__ __volatile__("sfence" : : : "memory");
}
NTEXPORT(RtlFillMemoryNonTemporal);

/* Hint that the bytes are read once, soon. Never faults. */
VOID NTAPI
RtlPrefetchMemoryNonTemporal(PVOID Source, SIZE_T Length)
{
    const UCHAR *At = Source;
    SIZE_T Done;

    for (Done = 0; Done < Length; Done += RTLP_CACHE_LINE) {
        __asm__ __volatile__("prefetchnta (%0)" : : "r"(At + Done));
    }
}
NTEXPORT(RtlPrefetchMemoryNonTemporal);
