/*
 * bitmap.c - RTL_BITMAP: bits over the caller's array of ULONGs, the lowest bit of the first first.
 *
 * Everything that searches stands on RtlpNextBit, which skips whole words. Bits of the last word
 * beyond the size are never counted or found, whatever they hold. No locks: the caller has its own.
 * Any IRQL for resident bits. RtlFindXxx return 0xFFFFFFFF for "nowhere".
 */
#include <ntifs.h>
#include <ntexport.h>
#include "rtl.h"

#define RTLP_WORD_BITS 32u

/* Bits From to 31 of a word, and bits 0 to To - 1; From is below 32, To from 1 to 32. */
#define RTLP_BITS_FROM(From) (MAXULONG << (From))
#define RTLP_BITS_BELOW(To) (MAXULONG >> (RTLP_WORD_BITS - (To)))

/* The word at Index, turned so that the bits looked for are 1. */
static ULONG
RtlpBitWord(const RTL_BITMAP *Map, ULONG Index, BOOLEAN Set)
{
    return Set ? Map->Buffer[Index] : ~Map->Buffer[Index];
}

/* The first bit at From or after it that is set (or clear); the size of the map if there is none. */
static ULONG
RtlpNextBit(const RTL_BITMAP *Map, ULONG From, BOOLEAN Set)
{
    ULONG Index = From / RTLP_WORD_BITS, Bit;
    ULONG64 Words = ((ULONG64)Map->SizeOfBitMap + RTLP_WORD_BITS - 1) / RTLP_WORD_BITS;
    ULONG Word;

    if (From >= Map->SizeOfBitMap) {
        return Map->SizeOfBitMap;
    }
    Word = RtlpBitWord(Map, Index, Set) & RTLP_BITS_FROM(From % RTLP_WORD_BITS);
    while (Word == 0) {
        if (++Index >= Words) {
            return Map->SizeOfBitMap;
        }
        Word = RtlpBitWord(Map, Index, Set);
    }
    Bit = Index * RTLP_WORD_BITS + (ULONG)__builtin_ctz(Word);
    return MIN(Bit, Map->SizeOfBitMap);
}

/* Set or clear Count bits from Start on; the part beyond the map is left out. */
static VOID
RtlpChangeBits(PRTL_BITMAP Map, ULONG Start, ULONG Count, BOOLEAN Set)
{
    ULONG64 End = MIN((ULONG64)Start + Count, (ULONG64)Map->SizeOfBitMap);
    ULONG64 At = Start, Next;
    ULONG Mask;

    while (At < End) {
        Next = MIN((At / RTLP_WORD_BITS + 1) * RTLP_WORD_BITS, End);
        Mask = RTLP_BITS_FROM(At % RTLP_WORD_BITS) & RTLP_BITS_BELOW((Next - 1) % RTLP_WORD_BITS + 1);
        if (Set) {
            Map->Buffer[At / RTLP_WORD_BITS] |= Mask;
        } else {
            Map->Buffer[At / RTLP_WORD_BITS] &= ~Mask;
        }
        At = Next;
    }
}

/* Describe a bitmap of SizeOfBitMap bits; the bits are left as they are. */
VOID NTAPI
RtlInitializeBitMap(PRTL_BITMAP BitMapHeader, PULONG BitMapBuffer, ULONG SizeOfBitMap)
{
    BitMapHeader->SizeOfBitMap = SizeOfBitMap;
    BitMapHeader->Buffer = BitMapBuffer;
}
NTEXPORT(RtlInitializeBitMap);

/* ---- Changing ---- */

/* Set one bit of the map. */
VOID NTAPI
RtlSetBit(PRTL_BITMAP BitMapHeader, ULONG BitNumber)
{
    RtlpChangeBits(BitMapHeader, BitNumber, 1, TRUE);
}
NTEXPORT(RtlSetBit);

/* Clear one bit of the map. */
VOID NTAPI
RtlClearBit(PRTL_BITMAP BitMapHeader, ULONG BitNumber)
{
    RtlpChangeBits(BitMapHeader, BitNumber, 1, FALSE);
}
NTEXPORT(RtlClearBit);

/* Set a range of the map. */
VOID NTAPI
RtlSetBits(PRTL_BITMAP BitMapHeader, ULONG StartingIndex, ULONG NumberToSet)
{
    RtlpChangeBits(BitMapHeader, StartingIndex, NumberToSet, TRUE);
}
NTEXPORT(RtlSetBits);

/* Clear a range of the map. */
VOID NTAPI
RtlClearBits(PRTL_BITMAP BitMapHeader, ULONG StartingIndex, ULONG NumberToClear)
{
    RtlpChangeBits(BitMapHeader, StartingIndex, NumberToClear, FALSE);
}
NTEXPORT(RtlClearBits);

/* Set the whole map. */
VOID NTAPI
RtlSetAllBits(PRTL_BITMAP BitMapHeader)
{
    RtlpChangeBits(BitMapHeader, 0, BitMapHeader->SizeOfBitMap, TRUE);
}
NTEXPORT(RtlSetAllBits);

/* Clear the whole map. */
VOID NTAPI
RtlClearAllBits(PRTL_BITMAP BitMapHeader)
{
    RtlpChangeBits(BitMapHeader, 0, BitMapHeader->SizeOfBitMap, FALSE);
}
NTEXPORT(RtlClearAllBits);

/* ---- Asking ---- */

/* TRUE if the bit, which is in the map, is set. */
BOOLEAN NTAPI
RtlTestBit(PRTL_BITMAP BitMapHeader, ULONG BitNumber)
{
    return (BitMapHeader->Buffer[BitNumber / RTLP_WORD_BITS] >> BitNumber % RTLP_WORD_BITS & 1) != 0;
}
NTEXPORT(RtlTestBit);

static BOOLEAN
RtlpAreBits(const RTL_BITMAP *Map, ULONG Start, ULONG Count, BOOLEAN Set)
{
    if (Count == 0 || Start >= Map->SizeOfBitMap || Count > Map->SizeOfBitMap - Start) {
        return FALSE;
    }
    return RtlpNextBit(Map, Start, !Set) >= Start + Count;
}

/* TRUE if the whole range is set; FALSE for an empty one or one that leaves the map. */
BOOLEAN NTAPI
RtlAreBitsSet(PRTL_BITMAP BitMapHeader, ULONG StartingIndex, ULONG Length)
{
    return RtlpAreBits(BitMapHeader, StartingIndex, Length, TRUE);
}
NTEXPORT(RtlAreBitsSet);

/* TRUE if the whole range is clear; FALSE for an empty one or one that leaves the map. */
BOOLEAN NTAPI
RtlAreBitsClear(PRTL_BITMAP BitMapHeader, ULONG StartingIndex, ULONG Length)
{
    return RtlpAreBits(BitMapHeader, StartingIndex, Length, FALSE);
}
NTEXPORT(RtlAreBitsClear);

/* The bits of a word that are set, without the compiler's library. */
static ULONG
RtlpCountBits(ULONG Word)
{
    Word -= Word >> 1 & 0x55555555;
    Word = (Word & 0x33333333) + (Word >> 2 & 0x33333333);
    return ((Word + (Word >> 4)) & 0x0F0F0F0F) * 0x01010101 >> 24;
}

/* How many bits of the map are set. */
ULONG NTAPI
RtlNumberOfSetBits(PRTL_BITMAP BitMapHeader)
{
    ULONG Whole = BitMapHeader->SizeOfBitMap / RTLP_WORD_BITS;
    ULONG Rest = BitMapHeader->SizeOfBitMap % RTLP_WORD_BITS;
    ULONG Count = 0, i;

    for (i = 0; i < Whole; i++) {
        Count += RtlpCountBits(BitMapHeader->Buffer[i]);
    }
    if (Rest != 0) {
        Count += RtlpCountBits(BitMapHeader->Buffer[Whole] & RTLP_BITS_BELOW(Rest));
    }
    return Count;
}
NTEXPORT(RtlNumberOfSetBits);

/* How many bits of the map are clear. */
ULONG NTAPI
RtlNumberOfClearBits(PRTL_BITMAP BitMapHeader)
{
    return BitMapHeader->SizeOfBitMap - RtlNumberOfSetBits(BitMapHeader);
}
NTEXPORT(RtlNumberOfClearBits);

/* ---- Finding ---- */

/* The first run of Count bits that lies in [From, End). */
static ULONG
RtlpFindRun(const RTL_BITMAP *Map, ULONG From, ULONG64 End, ULONG Count, BOOLEAN Set)
{
    ULONG Stop;

    while (From < Map->SizeOfBitMap) {
        From = RtlpNextBit(Map, From, Set);
        if ((ULONG64)From + Count > MIN(End, (ULONG64)Map->SizeOfBitMap)) {
            return MAXULONG;
        }
        Stop = RtlpNextBit(Map, From, !Set);
        if (Stop - From >= Count) {
            return From;
        }
        From = Stop;
    }
    return MAXULONG;
}

/* From the hint to the end, then from the start, runs across the hint included. */
static ULONG
RtlpFindBits(const RTL_BITMAP *Map, ULONG Count, ULONG Hint, BOOLEAN Set)
{
    ULONG Found;

    if (Hint >= Map->SizeOfBitMap) {
        Hint = 0;
    }
    if (Count == 0) {
        return Hint;
    }
    Found = RtlpFindRun(Map, Hint, Map->SizeOfBitMap, Count, Set);
    if (Found == MAXULONG && Hint != 0) {
        Found = RtlpFindRun(Map, 0, (ULONG64)Hint + Count - 1, Count, Set);
    }
    return Found;
}

/* Where NumberToFind clear bits begin, from HintIndex on or else before it. */
ULONG NTAPI
RtlFindClearBits(PRTL_BITMAP BitMapHeader, ULONG NumberToFind, ULONG HintIndex)
{
    return RtlpFindBits(BitMapHeader, NumberToFind, HintIndex, FALSE);
}
NTEXPORT(RtlFindClearBits);

/* Where NumberToFind set bits begin, from HintIndex on or else before it. */
ULONG NTAPI
RtlFindSetBits(PRTL_BITMAP BitMapHeader, ULONG NumberToFind, ULONG HintIndex)
{
    return RtlpFindBits(BitMapHeader, NumberToFind, HintIndex, TRUE);
}
NTEXPORT(RtlFindSetBits);

static ULONG
RtlpFindAndChange(PRTL_BITMAP Map, ULONG Count, ULONG Hint, BOOLEAN Set)
{
    ULONG Found = RtlpFindBits(Map, Count, Hint, !Set);

    if (Found != MAXULONG) {
        RtlpChangeBits(Map, Found, Count, Set);
    }
    return Found;
}

/* As RtlFindClearBits, and set what is found. */
ULONG NTAPI
RtlFindClearBitsAndSet(PRTL_BITMAP BitMapHeader, ULONG NumberToFind, ULONG HintIndex)
{
    return RtlpFindAndChange(BitMapHeader, NumberToFind, HintIndex, TRUE);
}
NTEXPORT(RtlFindClearBitsAndSet);

/* As RtlFindSetBits, and clear what is found. */
ULONG NTAPI
RtlFindSetBitsAndClear(PRTL_BITMAP BitMapHeader, ULONG NumberToFind, ULONG HintIndex)
{
    return RtlpFindAndChange(BitMapHeader, NumberToFind, HintIndex, FALSE);
}
NTEXPORT(RtlFindSetBitsAndClear);

/* ---- Runs of clear bits ---- */

/* The length of the first clear run at FromIndex or after it, and where it begins; 0: none. */
ULONG NTAPI
RtlFindNextForwardRunClear(PRTL_BITMAP BitMapHeader, ULONG FromIndex, PULONG StartingRunIndex)
{
    ULONG Start = RtlpNextBit(BitMapHeader, FromIndex, FALSE);

    *StartingRunIndex = Start;
    return RtlpNextBit(BitMapHeader, Start, TRUE) - Start;
}
NTEXPORT(RtlFindNextForwardRunClear);

/* The length of the first clear run of the map, and where it begins; 0: none. */
ULONG NTAPI
RtlFindFirstRunClear(PRTL_BITMAP BitMapHeader, PULONG StartingIndex)
{
    return RtlFindNextForwardRunClear(BitMapHeader, 0, StartingIndex);
}
NTEXPORT(RtlFindFirstRunClear);

/* The length of the longest clear run, the first of equals, and where it begins; 0: none. */
ULONG NTAPI
RtlFindLongestRunClear(PRTL_BITMAP BitMapHeader, PULONG StartingIndex)
{
    ULONG Best = 0, Length, Start, From = 0;

    *StartingIndex = 0;
    while ((Length = RtlFindNextForwardRunClear(BitMapHeader, From, &Start)) != 0) {
        if (Length > Best) {
            Best = Length;
            *StartingIndex = Start;
        }
        From = Start + Length;
    }
    return Best;
}
NTEXPORT(RtlFindLongestRunClear);

/* The last bit at or before From that is set (or clear); MAXULONG if there is none. */
static ULONG
RtlpPreviousBit(const RTL_BITMAP *Map, ULONG From, BOOLEAN Set)
{
    ULONG Index = From / RTLP_WORD_BITS;
    ULONG Word = RtlpBitWord(Map, Index, Set) & RTLP_BITS_BELOW(From % RTLP_WORD_BITS + 1);

    while (Word == 0) {
        if (Index-- == 0) {
            return MAXULONG;
        }
        Word = RtlpBitWord(Map, Index, Set);
    }
    return Index * RTLP_WORD_BITS + 31 - (ULONG)__builtin_clz(Word);
}

/*
 * The length of the clear run that ends at FromIndex or last before it, and where it begins; 0: none.
 * Bits after FromIndex do not count.
 */
ULONG NTAPI
RtlFindLastBackwardRunClear(PRTL_BITMAP BitMapHeader, ULONG FromIndex, PULONG StartingRunIndex)
{
    ULONG Last, Before;

    *StartingRunIndex = 0;
    if (BitMapHeader->SizeOfBitMap == 0) {
        return 0;
    }
    Last = RtlpPreviousBit(BitMapHeader, MIN(FromIndex, BitMapHeader->SizeOfBitMap - 1), FALSE);
    if (Last == MAXULONG) {
        return 0;
    }
    Before = RtlpPreviousBit(BitMapHeader, Last, TRUE);
    *StartingRunIndex = Before + 1; /* from "none" this is 0 */
    return Last - Before;
}
NTEXPORT(RtlFindLastBackwardRunClear);

/* Put a run into an array that is sorted, longest first; the last one falls out of a full array. */
static ULONG
RtlpKeepRun(PRTL_BITMAP_RUN Runs, ULONG Count, ULONG Capacity, ULONG Start, ULONG Length)
{
    ULONG At;

    if (Count == Capacity) {
        if (Runs[Count - 1].NumberOfBits >= Length) {
            return Count;
        }
        Count--;
    }
    for (At = Count; At != 0 && Runs[At - 1].NumberOfBits < Length; At--) {
        Runs[At] = Runs[At - 1];
    }
    Runs[At].StartingIndex = Start;
    Runs[At].NumberOfBits = Length;
    return Count + 1;
}

/* Fill RunArray with the first clear runs, or with the longest, longest first; returns how many. */
ULONG NTAPI
RtlFindClearRuns(PRTL_BITMAP BitMapHeader, PRTL_BITMAP_RUN RunArray, ULONG SizeOfRunArray,
                 BOOLEAN LocateLongestRuns)
{
    ULONG Count = 0, From = 0, Start, Length;

    while (SizeOfRunArray != 0 && (LocateLongestRuns || Count < SizeOfRunArray) &&
           (Length = RtlFindNextForwardRunClear(BitMapHeader, From, &Start)) != 0) {
        if (LocateLongestRuns) {
            Count = RtlpKeepRun(RunArray, Count, SizeOfRunArray, Start, Length);
        } else {
            RunArray[Count].StartingIndex = Start;
            RunArray[Count].NumberOfBits = Length;
            Count++;
        }
        From = Start + Length;
    }
    return Count;
}
NTEXPORT(RtlFindClearRuns);

/* ---- Bits of a number ---- */

/* The number of the lowest set bit, -1 if none is. */
CCHAR NTAPI
RtlFindLeastSignificantBit(ULONGLONG Set)
{
    return Set == 0 ? (CCHAR)-1 : (CCHAR)__builtin_ctzll(Set);
}
NTEXPORT(RtlFindLeastSignificantBit);

/* The number of the highest set bit, -1 if none is. */
CCHAR NTAPI
RtlFindMostSignificantBit(ULONGLONG Set)
{
    return Set == 0 ? (CCHAR)-1 : (CCHAR)(63 - __builtin_clzll(Set));
}
NTEXPORT(RtlFindMostSignificantBit);

/* Byte order: inline in headers, exported for images that call. */
static USHORT NTAPI
RtlpExportedUshortByteSwap(USHORT Source)
{
    return __builtin_bswap16(Source);
}
NTEXPORT_AS("RtlUshortByteSwap", RtlpExportedUshortByteSwap);

static ULONG NTAPI
RtlpExportedUlongByteSwap(ULONG Source)
{
    return __builtin_bswap32(Source);
}
NTEXPORT_AS("RtlUlongByteSwap", RtlpExportedUlongByteSwap);

static ULONGLONG NTAPI
RtlpExportedUlonglongByteSwap(ULONGLONG Source)
{
    return __builtin_bswap64(Source);
}
NTEXPORT_AS("RtlUlonglongByteSwap", RtlpExportedUlonglongByteSwap);
