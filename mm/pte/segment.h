/*
 * The address allocator of one region of system space: what is reserved, by page and by segment.
 *
 * A region is cut into segments of 512 pages, the reach of one last-level page table. Requests of up to a
 * segment live inside one segment, by bitmap; larger ones take whole segments, which stand in runs:
 *
 *      region   | segment | segment | segment |  ...                                             |
 *      state      Small     Large     Large     FreeHead   (interior: no record)   FreeTail
 *               bitmaps    head      body       length of the run                  length of the run
 *
 * Free runs are found by size class (floor of the logarithm of their length) and joined with their neighbours
 * through the records of their two ends. Small segments are listed by the size class of their largest hole.
 * So every search looks at a bounded number of records, whatever is reserved.
 *
 * Records lie in frames reached through the direct map by a two-level directory; only segments in use and the
 * ends of free runs have one, and a frame of records is given back with its last record. What the allocator
 * needs to grow is handed to it beforehand (MI_FRAME_SUPPLY), because frames cannot be taken under its lock.
 *
 * Everything here is called with the region's lock held (rank LockRankSystemPteBin), takes no other, and
 * cannot fail except by saying how many frames or which address space is missing.
 */
#ifndef MM_PTE_SEGMENT_H
#define MM_PTE_SEGMENT_H

#include <mm/mi.h>

#define MI_SEGMENT_PAGES 512
#define MI_SEGMENT_BYTES ((ULONG_PTR)MI_SEGMENT_PAGES * PAGE_SIZE)
#define MI_SEGMENT_WORDS (MI_SEGMENT_PAGES / 64)
#define MI_NO_SEGMENT    MAXULONG

#define MI_HOLE_CLASSES 10 /* floor(log2(largest hole)) of a small segment: 0..9 */
#define MI_RUN_CLASSES  24 /* floor(log2(segments of a free run)) */

typedef enum _MI_SEGMENT_STATE {
    MiSegmentNone = 0, /* no record: inside a free run */
    MiSegmentFreeHead, /* first of a free run: RunLength, Next, Previous */
    MiSegmentFreeTail, /* last of a free run of two or more: RunLength */
    MiSegmentOwned,    /* taken out by its caller, who is making or deleting its table */
    MiSegmentSmall,    /* shared by reservations: bitmaps, HoleClass, Next, Previous, Table */
    MiSegmentLarge,    /* first of one large reservation: RunLength, PageCount, Table */
    MiSegmentBody      /* the rest of a large reservation: Table */
} MI_SEGMENT_STATE;

/* All fields under the region's lock, except Cached: (A). */
typedef struct _MI_SEGMENT {
    ULONG64 Used[MI_SEGMENT_WORDS];   /* pages reserved */
    ULONG64 Start[MI_SEGMENT_WORDS];  /* first pages of reservations */
    ULONG64 Cached[MI_SEGMENT_WORDS]; /* (A) first pages of reservations parked in a processor's cache */
    PVOID Table;                      /* its last-level page table (direct map); NULL: none */
    ULONG Next;                       /* list of its class, MI_NO_SEGMENT ends it */
    ULONG Previous;
    ULONG RunLength;
    ULONG PageCount;  /* large: pages asked for */
    USHORT UsedPages; /* small */
    UCHAR State;      /* MI_SEGMENT_STATE */
    CHAR HoleClass;   /* small: list it is on, -1 if it is full */
    UCHAR Spare[36];
} MI_SEGMENT, *PMI_SEGMENT;

_Static_assert(sizeof(MI_SEGMENT) == 256, "sixteen records to a frame");
#define MI_SEGMENTS_PER_LEAF (PAGE_SIZE / sizeof(MI_SEGMENT))
#define MI_DIRECTORY_ENTRIES (PAGE_SIZE / sizeof(ULONG_PTR))
/* Two levels of directory bound a region: 4 M segments, 8 TB, sixteen top-level slots. */
#define MI_MAXIMUM_SEGMENTS (MI_DIRECTORY_ENTRIES * MI_DIRECTORY_ENTRIES * MI_SEGMENTS_PER_LEAF)

/* Zeroed frames chained through their first words, to grow with or to give back. */
typedef struct _MI_FRAME_SUPPLY {
    PVOID First;
    SIZE_T Count;
} MI_FRAME_SUPPLY, *PMI_FRAME_SUPPLY;

typedef struct _MI_VA_REGION {
    KSPIN_LOCK Lock;
    ULONG_PTR Start;    /* (C) */
    ULONG_PTR End;      /* (C) */
    ULONG SegmentCount; /* (C) */
    ULONG SegmentLimit; /* segments that may be in use at once */
    ULONG SegmentsUsed;
    ULONG EmptySegments;          /* small ones with nothing reserved, kept with their table */
    SIZE_T PagesReserved;         /* caches of processors included */
    ULONG_PTR *Directory;         /* (C) */
    ULONG Holes[MI_HOLE_CLASSES]; /* small segments by largest hole */
    ULONG Runs[MI_RUN_CLASSES];   /* free runs by length */
} MI_VA_REGION, *PMI_VA_REGION;

/* The record of a segment, NULL if it has none. Stable while the segment is not free. */
PMI_SEGMENT MiSegmentRecord(PMI_VA_REGION Region, ULONG Index);

/* How many frames MiInitializeVaRegion takes from the supply. */
#define MI_REGION_FRAMES 5
/* Describe [Start, Start + SegmentCount * MI_SEGMENT_BYTES) as one free run. Start is a multiple of a
 * segment. */
VOID MiInitializeVaRegion(PMI_VA_REGION Region, ULONG_PTR Start, ULONG SegmentCount, PMI_FRAME_SUPPLY Supply);

/*
 * Take Count segments, the first on an address that is a multiple of AlignSegments, out of the free runs;
 * they become Owned. MI_NO_SEGMENT: *Missing is 0 if there is no such run, else the frames by which Supply is
 * too small now.
 */
ULONG MiTakeSegments(PMI_VA_REGION Region, ULONG Count, ULONG AlignSegments, PMI_FRAME_SUPPLY Supply,
                     PSIZE_T Missing);
/* Give Owned segments without tables back; frames of records no longer needed go to Supply. */
VOID MiReturnSegments(PMI_VA_REGION Region, ULONG First, ULONG Count, PMI_FRAME_SUPPLY Supply);

/* An Owned segment with its table becomes Small, with every page free. */
VOID MiMakeSmallSegment(PMI_VA_REGION Region, ULONG Index);
/* Owned segments with their tables become one large reservation of PageCount pages. */
VOID MiMakeLargeReservation(PMI_VA_REGION Region, ULONG First, ULONG Count, SIZE_T PageCount);

/* End the large reservation that starts with segment First: its segments become Owned. Returns their number.
 */
ULONG MiOwnLargeReservation(PMI_VA_REGION Region, ULONG First);

/*
 * Reserve PageCount (1..512) pages on a multiple of AlignPages (1..512, a power of two) in a small segment.
 * The page's number in the region, or MI_NO_FRAME if no small segment has room.
 */
ULONG64 MiTakePages(PMI_VA_REGION Region, ULONG PageCount, ULONG AlignPages);
/*
 * End a reservation of exactly PageCount pages that MiTakePages made. If that leaves more empty segments than
 * Keep, the segment becomes Owned and its index is returned for the caller to strip and return; else
 * MI_NO_SEGMENT.
 */
ULONG MiReturnPages(PMI_VA_REGION Region, ULONG64 Page, ULONG PageCount, ULONG Keep);
/* Take any empty small segment away from the region: it becomes Owned. MI_NO_SEGMENT if there is none. */
ULONG MiTakeEmptySegment(PMI_VA_REGION Region);

/* Are these pages one whole reservation? (Checked builds assert it, the validator and tests ask.) */
BOOLEAN MiIsReservation(PMI_VA_REGION Region, ULONG64 Page, SIZE_T PageCount);
/* Is this page part of a reservation? */
BOOLEAN MiIsPageReserved(PMI_VA_REGION Region, ULONG64 Page);

/* Walk every list and record; asserts on what is wrong. Returns the number of pages found reserved. */
SIZE_T MiValidateVaRegion(PMI_VA_REGION Region);

/* Between segment.c and hole.c. */
VOID MiListSmallSegment(PMI_VA_REGION Region, ULONG Index, CHAR HoleClass);
VOID MiOwnEmptySegment(PMI_VA_REGION Region, ULONG Index);
SIZE_T MiValidateHoles(PMI_SEGMENT Record);

VOID MiPushSupply(PMI_FRAME_SUPPLY Supply, PVOID Page);
PVOID MiPopSupply(PMI_FRAME_SUPPLY Supply);

#endif
