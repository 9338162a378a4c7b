/*
 * Reservations inside one segment: 512 bits that say which pages are reserved, 512 that say where
 * reservations start. Everything is done on eight words at a time, so the cost does not depend on what is
 * reserved. Called with the region's lock held.
 */
#include "segment.h"

#define MI_SEGMENTS_TO_TRY 4 /* segments looked at whose largest hole may, but need not, be enough */

static BOOLEAN
MipTestBit(const ULONG64 *Bits, ULONG Bit)
{
    return (Bits[Bit / 64] >> (Bit % 64)) & 1;
}

/* The bits of word Word that lie in [First, First + Count). */
static ULONG64
MipRangeMask(ULONG Word, ULONG First, ULONG Count)
{
    ULONG Low = Word * 64;
    ULONG Start = MAX(First, Low);
    ULONG End = MIN(First + Count, Low + 64);

    if (Start >= End) {
        return 0;
    }
    return (~0ull >> (64 - (End - Start))) << (Start - Low);
}

static BOOLEAN
MipAnyBit(const ULONG64 *Bits)
{
    ULONG64 Any = 0;

    for (ULONG Word = 0; Word < MI_SEGMENT_WORDS; Word += 1) {
        Any |= Bits[Word];
    }
    return Any != 0;
}

/* Bits &= Bits >> Shift over all words; what comes in from above is zero. */
static VOID
MipAndShifted(ULONG64 *Bits, ULONG Shift)
{
    ULONG Words = Shift / 64;
    ULONG Rest = Shift % 64;

    for (ULONG Word = 0; Word < MI_SEGMENT_WORDS; Word += 1) {
        ULONG64 Low = Word + Words < MI_SEGMENT_WORDS ? Bits[Word + Words] : 0;
        ULONG64 High = Word + Words + 1 < MI_SEGMENT_WORDS ? Bits[Word + Words + 1] : 0;

        Bits[Word] &= Rest == 0 ? Low : (Low >> Rest) | (High << (64 - Rest));
    }
}

/* Bits[n] becomes: a hole of at least PageCount pages starts at n. */
static VOID
MipHolesOf(const MI_SEGMENT *Record, ULONG PageCount, ULONG64 *Bits)
{
    ULONG Length = 1;

    for (ULONG Word = 0; Word < MI_SEGMENT_WORDS; Word += 1) {
        Bits[Word] = ~Record->Used[Word];
    }
    while (Length < PageCount) {
        ULONG Step = MIN(Length, PageCount - Length);

        MipAndShifted(Bits, Step);
        Length += Step;
    }
}

static CHAR
MipHoleClass(const MI_SEGMENT *Record)
{
    ULONG64 Bits[MI_SEGMENT_WORDS];
    CHAR Class = -1;

    MipHolesOf(Record, 1, Bits);
    while (MipAnyBit(Bits)) {
        Class += 1;
        MipAndShifted(Bits, 1u << (ULONG)Class);
    }
    return Class;
}

/* The lowest aligned hole of the segment, MI_SEGMENT_PAGES if it has none. */
static ULONG
MipFindHole(const MI_SEGMENT *Record, ULONG PageCount, ULONG AlignPages)
{
    ULONG64 Bits[MI_SEGMENT_WORDS];
    ULONG64 Mask = ~0ull;

    MipHolesOf(Record, PageCount, Bits);
    if (AlignPages > 1) {
        Mask = 1;
        for (ULONG Bit = AlignPages; Bit < 64; Bit += AlignPages) {
            Mask |= 1ull << Bit;
        }
    }
    for (ULONG Word = 0; Word < MI_SEGMENT_WORDS; Word += 1) {
        if (((ULONG64)Word * 64) % MAX(AlignPages, 64) == 0 && (Bits[Word] & Mask) != 0) {
            return Word * 64 + (ULONG)__builtin_ctzll(Bits[Word] & Mask);
        }
    }
    return MI_SEGMENT_PAGES;
}

static VOID
MipReserveHole(PMI_VA_REGION Region, ULONG Index, ULONG Offset, ULONG PageCount)
{
    PMI_SEGMENT Record = MiSegmentRecord(Region, Index);

    for (ULONG Word = 0; Word < MI_SEGMENT_WORDS; Word += 1) {
        MI_ASSERT((Record->Used[Word] & MipRangeMask(Word, Offset, PageCount)) == 0);
        Record->Used[Word] |= MipRangeMask(Word, Offset, PageCount);
    }
    Record->Start[Offset / 64] |= 1ull << (Offset % 64);
    if (Record->UsedPages == 0) {
        Region->EmptySegments -= 1;
    }
    Record->UsedPages = (USHORT)(Record->UsedPages + PageCount);
    Region->PagesReserved += PageCount;
    MiListSmallSegment(Region, Index, MipHoleClass(Record));
}

ULONG64
MiTakePages(PMI_VA_REGION Region, ULONG PageCount, ULONG AlignPages)
{
    ULONG FirstClass;

    MI_ASSERT(PageCount != 0 && PageCount <= MI_SEGMENT_PAGES);
    MI_ASSERT(AlignPages != 0 && AlignPages <= MI_SEGMENT_PAGES && (AlignPages & (AlignPages - 1)) == 0);
    FirstClass = 31 - (ULONG)__builtin_clz(PageCount);
    for (ULONG Class = FirstClass; Class < MI_HOLE_CLASSES; Class += 1) {
        ULONG Tries = MI_SEGMENTS_TO_TRY;

        for (ULONG Index = Region->Holes[Class]; Index != MI_NO_SEGMENT && Tries != 0; Tries -= 1) {
            PMI_SEGMENT Record = MiSegmentRecord(Region, Index);
            ULONG Offset = MipFindHole(Record, PageCount, AlignPages);

            if (Offset != MI_SEGMENT_PAGES) {
                MipReserveHole(Region, Index, Offset, PageCount);
                return (ULONG64)Index * MI_SEGMENT_PAGES + Offset;
            }
            Index = Record->Next;
        }
    }
    return MI_NO_FRAME;
}

/* Length of the small reservation that starts at Offset, 0 if none does. */
static ULONG
MipReservationLength(const MI_SEGMENT *Record, ULONG Offset)
{
    ULONG End = Offset + 1;

    if (!MipTestBit(Record->Start, Offset) || !MipTestBit(Record->Used, Offset)) {
        return 0;
    }
    while (End < MI_SEGMENT_PAGES && MipTestBit(Record->Used, End) && !MipTestBit(Record->Start, End)) {
        End += 1;
    }
    return End - Offset;
}

ULONG
MiReturnPages(PMI_VA_REGION Region, ULONG64 Page, ULONG PageCount, ULONG Keep)
{
    ULONG Index = (ULONG)(Page / MI_SEGMENT_PAGES);
    ULONG Offset = (ULONG)(Page % MI_SEGMENT_PAGES);
    PMI_SEGMENT Record = MiSegmentRecord(Region, Index);

    MI_ASSERT(MipReservationLength(Record, Offset) == PageCount);
    for (ULONG Word = 0; Word < MI_SEGMENT_WORDS; Word += 1) {
        Record->Used[Word] &= ~MipRangeMask(Word, Offset, PageCount);
    }
    Record->Start[Offset / 64] &= ~(1ull << (Offset % 64));
    Record->UsedPages = (USHORT)(Record->UsedPages - PageCount);
    Region->PagesReserved -= PageCount;
    MiListSmallSegment(Region, Index, MipHoleClass(Record));
    if (Record->UsedPages != 0) {
        return MI_NO_SEGMENT;
    }
    Region->EmptySegments += 1;
    if (Region->EmptySegments <= Keep) {
        return MI_NO_SEGMENT;
    }
    MiOwnEmptySegment(Region, Index);
    return Index;
}

ULONG
MiTakeEmptySegment(PMI_VA_REGION Region)
{
    /* An empty segment's hole is the whole of it, and no other has one of the top class. */
    ULONG Index = Region->Holes[MI_HOLE_CLASSES - 1];

    if (Index != MI_NO_SEGMENT) {
        MiOwnEmptySegment(Region, Index);
    }
    return Index;
}

BOOLEAN
MiIsReservation(PMI_VA_REGION Region, ULONG64 Page, SIZE_T PageCount)
{
    PMI_SEGMENT Record = MiSegmentRecord(Region, (ULONG)(Page / MI_SEGMENT_PAGES));
    ULONG Offset = (ULONG)(Page % MI_SEGMENT_PAGES);

    if (Record == NULL) {
        return FALSE;
    }
    if (Record->State == MiSegmentLarge) {
        return Offset == 0 && Record->PageCount == PageCount;
    }
    return Record->State == MiSegmentSmall && MipReservationLength(Record, Offset) == PageCount;
}

BOOLEAN
MiIsPageReserved(PMI_VA_REGION Region, ULONG64 Page)
{
    ULONG Index = (ULONG)(Page / MI_SEGMENT_PAGES);
    PMI_SEGMENT Record = MiSegmentRecord(Region, Index);
    ULONG Head = Index;

    if (Record == NULL) {
        return FALSE;
    }
    if (Record->State == MiSegmentSmall) {
        return MipTestBit(Record->Used, (ULONG)(Page % MI_SEGMENT_PAGES));
    }
    while (MiSegmentRecord(Region, Head)->State == MiSegmentBody) {
        Head -= 1;
    }
    Record = MiSegmentRecord(Region, Head);
    return Record->State == MiSegmentLarge && Page < (ULONG64)Head * MI_SEGMENT_PAGES + Record->PageCount;
}

SIZE_T
MiValidateHoles(PMI_SEGMENT Record)
{
    SIZE_T Pages = 0;

    for (ULONG Word = 0; Word < MI_SEGMENT_WORDS; Word += 1) {
        NT_VERIFY((Record->Start[Word] & ~Record->Used[Word]) == 0);
        NT_VERIFY((Record->Cached[Word] & ~Record->Start[Word]) == 0);
        Pages += (ULONG)__builtin_popcountll(Record->Used[Word]);
    }
    for (ULONG Offset = 1; Offset < MI_SEGMENT_PAGES; Offset += 1) {
        NT_VERIFY(!MipTestBit(Record->Used, Offset) || MipTestBit(Record->Used, Offset - 1) ||
                  MipTestBit(Record->Start, Offset));
    }
    NT_VERIFY(Pages == Record->UsedPages);
    NT_VERIFY(MipHoleClass(Record) == Record->HoleClass);
    return Pages;
}
