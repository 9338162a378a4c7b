/*
 * System space for mm/pool on the threads plug, in place of mm/pte: addresses of the host, backed
 * by the simulated RAM's file. Hosted C.
 *
 * A region is a stretch of host address, handed out in pieces of 2 MB, first fit. Mapping frames is
 * mmap of the memory file, so what is written through a mapping is in the frame. There are no page
 * tables and no faults: pageable memory is anonymous memory of the host's, which is demand-zero
 * too. Mapping is rare (once a segment), so one host mutex guards everything.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "threads.h"

#include <mm/mi.h>

#define SPACE_SIZE (8ull << 30)
#define SPACE_PIECE_PAGES 512ull
#define SPACE_PIECES (SPACE_SIZE / PAGE_SIZE / SPACE_PIECE_PAGES)

typedef struct _SPACE_REGION {
    ULONG_PTR Start;
    UCHAR Used[SPACE_PIECES];
} SPACE_REGION;

static pthread_mutex_t SpaceMutex = PTHREAD_MUTEX_INITIALIZER;
static SPACE_REGION SpaceRegions[MiRegionMaximum];
static PFN_NUMBER *SpaceFrames[MiRegionMaximum]; /* by page: the frame mapped there */

static void *
SpaceMap(ULONG_PTR Where, SIZE_T Bytes, int Protection, int Flags, int File, SIZE_T Offset)
{
    void *Address = mmap((void *)Where, Bytes, Protection, Flags | MAP_NORESERVE, File, (off_t)Offset);

    if (Address == MAP_FAILED) {
        perror("mmap");
        exit(99);
    }
    return Address;
}

static void *
SpaceReserve(SIZE_T Bytes, int Protection)
{
    return SpaceMap(0, Bytes, Protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

VOID
HaltStartSpace(VOID)
{
    SIZE_T Piece = SPACE_PIECE_PAGES * PAGE_SIZE;

    for (ULONG Region = 0; Region < MiRegionMaximum; Region++) {
        ULONG_PTR Start = (ULONG_PTR)SpaceReserve(SPACE_SIZE + Piece, PROT_NONE);

        SpaceRegions[Region].Start = (Start + Piece - 1) & ~(Piece - 1);
        SpaceFrames[Region] = SpaceReserve(SPACE_SIZE / PAGE_SIZE * sizeof(PFN_NUMBER), PROT_READ | PROT_WRITE);
    }
}

VOID
MiRegionBounds(MI_SYSTEM_REGION Region, PULONG_PTR Start, PULONG_PTR End)
{
    *Start = SpaceRegions[Region].Start;
    *End = SpaceRegions[Region].Start + SPACE_SIZE;
}

BOOLEAN
MiRegionOf(PVOID Va, MI_SYSTEM_REGION *Region)
{
    for (ULONG Index = 0; Index < MiRegionMaximum; Index++) {
        if ((ULONG_PTR)Va - SpaceRegions[Index].Start < SPACE_SIZE) {
            *Region = (MI_SYSTEM_REGION)Index;
            return TRUE;
        }
    }
    return FALSE;
}

/* --- Address ---------------------------------------------------------------------------------- */

static SIZE_T
SpacePieces(SIZE_T PageCount)
{
    return (PageCount + SPACE_PIECE_PAGES - 1) / SPACE_PIECE_PAGES;
}

/* First of Count unused pieces in a row; SPACE_PIECES if there are none. */
static SIZE_T
SpaceFind(const SPACE_REGION *Region, SIZE_T Count)
{
    SIZE_T Length = 0;

    for (SIZE_T Index = 0; Index < SPACE_PIECES; Index++) {
        Length = Region->Used[Index] ? 0 : Length + 1;
        if (Length == Count) {
            return Index + 1 - Count;
        }
    }
    return SPACE_PIECES;
}

static VOID
SpaceMark(SPACE_REGION *Region, SIZE_T First, SIZE_T Count, UCHAR Used)
{
    for (SIZE_T Index = First; Index < First + Count; Index++) {
        Region->Used[Index] = Used;
    }
}

/* Every piece is aligned for the largest alignment that the pools ask for. */
PVOID
MiReserveSystemVa(MI_SYSTEM_REGION Region, SIZE_T PageCount, SIZE_T AlignPages)
{
    SPACE_REGION *Space = &SpaceRegions[Region];
    SIZE_T First;

    MI_ASSERT(AlignPages <= SPACE_PIECE_PAGES);
    (VOID)AlignPages;
    pthread_mutex_lock(&SpaceMutex);
    First = SpaceFind(Space, SpacePieces(PageCount));
    if (First != SPACE_PIECES) {
        SpaceMark(Space, First, SpacePieces(PageCount), TRUE);
    }
    pthread_mutex_unlock(&SpaceMutex);
    return First == SPACE_PIECES ? NULL : (PVOID)(Space->Start + First * SPACE_PIECE_PAGES * PAGE_SIZE);
}

VOID
MiReleaseSystemVa(MI_SYSTEM_REGION Region, PVOID Va, SIZE_T PageCount)
{
    SPACE_REGION *Space = &SpaceRegions[Region];
    SIZE_T First = ((ULONG_PTR)Va - Space->Start) / (SPACE_PIECE_PAGES * PAGE_SIZE);

    pthread_mutex_lock(&SpaceMutex);
    SpaceMark(Space, First, SpacePieces(PageCount), FALSE);
    pthread_mutex_unlock(&SpaceMutex);
}

/* --- Mappings --------------------------------------------------------------------------------- */

/* Where the frame behind an address of a region is noted. */
static PFN_NUMBER *
SpaceFrameOf(PVOID Va)
{
    MI_SYSTEM_REGION Region;

    NT_VERIFY(MiRegionOf(Va, &Region));
    return &SpaceFrames[Region][((ULONG_PTR)Va - SpaceRegions[Region].Start) / PAGE_SIZE];
}

VOID
MiMapRun(PVOID Va, SIZE_T PageCount, PFN_NUMBER FirstFrame, MI_PROTECTION Protection,
         MEMORY_CACHING_TYPE CacheType, BOOLEAN AllowLarge)
{
    PFN_NUMBER *Frames = SpaceFrameOf(Va);

    (VOID)Protection;
    (VOID)CacheType;
    (VOID)AllowLarge;
    SpaceMap((ULONG_PTR)Va, PageCount * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
             HaltMemoryFile, FirstFrame * PAGE_SIZE);
    for (SIZE_T Index = 0; Index < PageCount; Index++) {
        Frames[Index] = FirstFrame + Index;
    }
}

VOID
MiMapFrames(PVOID Va, SIZE_T PageCount, const PFN_NUMBER *Frames, MI_PROTECTION Protection,
            MEMORY_CACHING_TYPE CacheType)
{
    for (SIZE_T Index = 0; Index < PageCount; Index++) {
        MiMapRun((PUCHAR)Va + Index * PAGE_SIZE, 1, Frames[Index], Protection, CacheType, FALSE);
    }
}

static VOID
SpaceUnmap(PVOID Va, SIZE_T PageCount)
{
    SpaceMap((ULONG_PTR)Va, PageCount * PAGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

VOID
MiUnmapRange(PVOID Va, SIZE_T PageCount, PFN_NUMBER *Frames)
{
    PFN_NUMBER *Mapped = SpaceFrameOf(Va);

    SpaceUnmap(Va, PageCount);
    for (SIZE_T Index = 0; Index < PageCount; Index++) {
        if (Frames != NULL) {
            Frames[Index] = Mapped[Index];
        }
        Mapped[Index] = 0;
    }
}

VOID
MiMakeDemandZeroRange(PVOID Va, SIZE_T PageCount, MI_PROTECTION Protection, MI_PAGE_USE Use)
{
    (VOID)Protection;
    (VOID)Use;
    SpaceMap((ULONG_PTR)Va, PageCount * PAGE_SIZE, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

VOID
MiDeletePageableRange(PVOID Va, SIZE_T PageCount)
{
    SpaceUnmap(Va, PageCount);
}

/* The memory map has no frame 0. */
PFN_NUMBER
MiTranslate(PVOID Va, MI_PROTECTION *Protection)
{
    PFN_NUMBER Frame = *SpaceFrameOf(Va);

    (VOID)Protection;
    return Frame == 0 ? MI_NO_FRAME : Frame;
}
