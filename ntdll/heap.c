/*
 * Heaps: small blocks out of regions of virtual memory.
 *
 * A heap is a chain of regions. A region is reserved whole and committed from its start as it is needed; it is cut into blocks that
 * follow each other, each behind a header of 16 bytes with its own and its predecessor's size, so that neighbours can be found. Free blocks
 * hang in lists by size: one for each multiple of 16 up to 1 KB, then one for each power of two, searched first fit. Freeing merges
 * with free neighbours. Blocks of HEAP_LARGE and more have a region of their own. A header carries a check value made of its address, the
 * heap's secret and its sizes: a block that is not one is refused, not freed.
 *
 * One critical section for each heap, unless HEAP_NO_SERIALIZE. Documents: RtlCreateHeap, RtlAllocateHeap, RtlFreeHeap.
 */
#include "ntdll.h"
#include <ntexport.h>

#define HEAP_NO_SERIALIZE          0x00000001
#define HEAP_GROWABLE              0x00000002
#define HEAP_GENERATE_EXCEPTIONS   0x00000004
#define HEAP_ZERO_MEMORY           0x00000008
#define HEAP_REALLOC_IN_PLACE_ONLY 0x00000010

#define HEAP_UNIT        16
#define HEAP_REGION      (1u << 20)
#define HEAP_COMMIT      (64u << 10)
#define HEAP_LARGE       (512u << 10)
#define HEAP_EXACT_BINS  65 /* by units, 0 unused */
#define HEAP_BINS        (HEAP_EXACT_BINS + 16)
#define HEAP_SIGNATURE   0x48656170u
#define HEAP_BUSY        0x1
#define HEAP_LAST        0x2 /* of its region: nothing committed follows */
#define HEAP_OWN_REGION  0x4

typedef struct _HEAP_HEADER {
    ULONG Units;    /* of the block, header included; 0: of a large block, whose region knows */
    ULONG Previous; /* units of the block before; 0: none */
    USHORT Flags;
    USHORT Slack;   /* bytes at the end that were not asked for */
    ULONG Check;
} HEAP_HEADER, *PHEAP_HEADER;
C_ASSERT(sizeof(HEAP_HEADER) == HEAP_UNIT);

typedef struct _HEAP_REGION_HEADER {
    LIST_ENTRY Links;
    SIZE_T Reserved;  /* bytes */
    SIZE_T Committed; /* bytes from the start */
} HEAP_REGION_HEADER, *PHEAP_REGION_HEADER;
C_ASSERT(sizeof(HEAP_REGION_HEADER) % HEAP_UNIT == 0);

typedef struct _HEAP {
    HEAP_REGION_HEADER Region; /* the first, which the heap itself lies in */
    ULONG Signature;
    ULONG Flags;
    ULONG Secret;
    LIST_ENTRY Regions;
    LIST_ENTRY Large;
    LIST_ENTRY Free[HEAP_BINS];
    RTL_CRITICAL_SECTION Lock;
} HEAP, *PHEAP;

#define HEAP_FIRST_BLOCK(Region, Size) ((PHEAP_HEADER)((PUCHAR)(Region) + (((Size) + HEAP_UNIT - 1) & ~(SIZE_T)(HEAP_UNIT - 1))))

/* --- Headers --------------------------------------------------------------------------------------------- */

static ULONG
HeapCheck(PHEAP Heap, const HEAP_HEADER *Header)
{
    ULONG64 Place = (ULONG64)Header >> 4;

    return (Heap->Secret ^ (ULONG)Place ^ (ULONG)(Place >> 32)) + Header->Units * 0x9E3779B1u + Header->Flags;
}

static VOID
HeapSeal(PHEAP Heap, PHEAP_HEADER Header)
{
    Header->Check = HeapCheck(Heap, Header);
}

static PHEAP_HEADER
HeapNext(const HEAP_HEADER *Header)
{
    return (Header->Flags & HEAP_LAST) != 0 ? NULL : (PHEAP_HEADER)((ULONG64)Header + (ULONG64)Header->Units * HEAP_UNIT);
}

static PHEAP_HEADER
HeapBefore(const HEAP_HEADER *Header)
{
    return Header->Previous == 0 ? NULL : (PHEAP_HEADER)((ULONG64)Header - (ULONG64)Header->Previous * HEAP_UNIT);
}

/* The links of a free block are in its body. */
static PLIST_ENTRY
HeapLinks(PHEAP_HEADER Header)
{
    return (PLIST_ENTRY)(Header + 1);
}

static ULONG
HeapBin(ULONG Units)
{
    ULONG Bin;

    if (Units < HEAP_EXACT_BINS) {
        return Units;
    }
    Bin = HEAP_EXACT_BINS + (31 - (ULONG)__builtin_clz(Units)) - 6;
    return MIN(Bin, HEAP_BINS - 1);
}

static VOID
HeapLinkFree(PHEAP Heap, PHEAP_HEADER Header)
{
    Header->Flags &= (USHORT)~HEAP_BUSY;
    HeapSeal(Heap, Header);
    InsertHeadList(&Heap->Free[HeapBin(Header->Units)], HeapLinks(Header));
}

static VOID
HeapSetPrevious(PHEAP Heap, PHEAP_HEADER Header)
{
    PHEAP_HEADER Next = HeapNext(Header);

    if (Next != NULL) {
        Next->Previous = Header->Units;
        HeapSeal(Heap, Next);
    }
}

/* --- Regions ---------------------------------------------------------------------------------------------- */

static PVOID
HeapReserve(SIZE_T Bytes)
{
    PVOID Base = NULL;

    return NT_SUCCESS(NtAllocateVirtualMemory(NtCurrentProcess(), &Base, 0, &Bytes, MEM_RESERVE, PAGE_READWRITE)) ? Base : NULL;
}

static BOOLEAN
HeapCommit(PVOID Base, SIZE_T Bytes)
{
    return NT_SUCCESS(NtAllocateVirtualMemory(NtCurrentProcess(), &Base, 0, &Bytes, MEM_COMMIT, PAGE_READWRITE));
}

static VOID
HeapRelease(PVOID Base)
{
    SIZE_T Bytes = 0;

    NtFreeVirtualMemory(NtCurrentProcess(), &Base, &Bytes, MEM_RELEASE);
}

static PHEAP_HEADER
HeapLastOf(PHEAP_REGION_HEADER Region, PHEAP_HEADER First)
{
    PHEAP_HEADER Header = First, Next;

    UNREFERENCED_PARAMETER(Region);
    while ((Next = HeapNext(Header)) != NULL) {
        Header = Next;
    }
    return Header;
}

static PHEAP_HEADER
HeapFirstOf(PHEAP Heap, PHEAP_REGION_HEADER Region)
{
    return HEAP_FIRST_BLOCK(Region, Region == &Heap->Region ? sizeof(HEAP) : sizeof(HEAP_REGION_HEADER));
}

/* Commit more at the end of a region: the new bytes are free. FALSE: it is full, or there is no memory. */
static BOOLEAN
HeapExtend(PHEAP Heap, PHEAP_REGION_HEADER Region, SIZE_T Bytes)
{
    SIZE_T More = MIN((Bytes + HEAP_COMMIT - 1) & ~(SIZE_T)(HEAP_COMMIT - 1), Region->Reserved - Region->Committed);
    PHEAP_HEADER Last, Added;

    if (More < Bytes || !HeapCommit((PUCHAR)Region + Region->Committed, More)) {
        return FALSE;
    }
    Last = HeapLastOf(Region, HeapFirstOf(Heap, Region));
    Added = (PHEAP_HEADER)((PUCHAR)Region + Region->Committed);
    Region->Committed += More;
    if ((Last->Flags & HEAP_BUSY) == 0) {
        RemoveEntryList(HeapLinks(Last));
        Last->Units += (ULONG)(More / HEAP_UNIT);
        HeapLinkFree(Heap, Last);
    } else {
        Last->Flags &= (USHORT)~HEAP_LAST;
        HeapSeal(Heap, Last);
        *Added = (HEAP_HEADER){.Units = (ULONG)(More / HEAP_UNIT), .Previous = Last->Units, .Flags = HEAP_LAST};
        HeapLinkFree(Heap, Added);
    }
    return TRUE;
}

static VOID
HeapBeginRegion(PHEAP Heap, PHEAP_REGION_HEADER Region, SIZE_T Reserved, SIZE_T Committed)
{
    PHEAP_HEADER First = HeapFirstOf(Heap, Region);

    Region->Reserved = Reserved;
    Region->Committed = Committed;
    *First = (HEAP_HEADER){.Units = (ULONG)(((PUCHAR)Region + Committed - (PUCHAR)First) / HEAP_UNIT), .Flags = HEAP_LAST};
    HeapLinkFree(Heap, First);
    InsertTailList(&Heap->Regions, &Region->Links);
}

static BOOLEAN
HeapGrow(PHEAP Heap, SIZE_T Bytes)
{
    PHEAP_REGION_HEADER Region;
    PLIST_ENTRY Link;

    Bytes += HEAP_UNIT;
    for (Link = Heap->Regions.Flink; Link != &Heap->Regions; Link = Link->Flink) {
        if (HeapExtend(Heap, CONTAINING_RECORD(Link, HEAP_REGION_HEADER, Links), Bytes)) {
            return TRUE;
        }
    }
    Region = HeapReserve(HEAP_REGION);
    if (Region == NULL) {
        return FALSE;
    }
    Bytes = (Bytes + sizeof(*Region) + HEAP_COMMIT - 1) & ~(SIZE_T)(HEAP_COMMIT - 1);
    if (!HeapCommit(Region, Bytes)) {
        HeapRelease(Region);
        return FALSE;
    }
    HeapBeginRegion(Heap, Region, HEAP_REGION, Bytes);
    return TRUE;
}

/* --- Blocks ------------------------------------------------------------------------------------------------- */

/* Cut what is not needed off the end of a block that is in no list; it is free afterwards. */
static VOID
HeapSplit(PHEAP Heap, PHEAP_HEADER Header, ULONG Units)
{
    PHEAP_HEADER Rest;

    if (Header->Units < Units + 2) { /* a free block has room for its links */
        return;
    }
    Rest = (PHEAP_HEADER)((PUCHAR)Header + (SIZE_T)Units * HEAP_UNIT);
    *Rest = (HEAP_HEADER){.Units = Header->Units - Units, .Previous = Units, .Flags = Header->Flags & HEAP_LAST};
    Header->Units = Units;
    Header->Flags &= (USHORT)~HEAP_LAST;
    HeapSetPrevious(Heap, Rest);
    HeapLinkFree(Heap, Rest);
}

static PHEAP_HEADER
HeapFind(PHEAP Heap, ULONG Units)
{
    PLIST_ENTRY Link;

    for (ULONG Bin = HeapBin(Units); Bin < HEAP_BINS; Bin += 1) {
        for (Link = Heap->Free[Bin].Flink; Link != &Heap->Free[Bin]; Link = Link->Flink) {
            PHEAP_HEADER Header = (PHEAP_HEADER)Link - 1;

            if (Header->Units >= Units) {
                RemoveEntryList(Link);
                return Header;
            }
        }
    }
    return NULL;
}

static PHEAP_HEADER
HeapTake(PHEAP Heap, SIZE_T Size)
{
    ULONG Units = (ULONG)((Size + sizeof(HEAP_HEADER) + HEAP_UNIT - 1) / HEAP_UNIT);
    PHEAP_HEADER Header;

    Units = MAX(Units, 2);
    Header = HeapFind(Heap, Units);
    if (Header == NULL && HeapGrow(Heap, (SIZE_T)Units * HEAP_UNIT)) {
        Header = HeapFind(Heap, Units);
    }
    if (Header != NULL) {
        HeapSplit(Heap, Header, Units);
        Header->Flags |= HEAP_BUSY;
        Header->Slack = (USHORT)((SIZE_T)Header->Units * HEAP_UNIT - sizeof(HEAP_HEADER) - Size);
        HeapSeal(Heap, Header);
    }
    return Header;
}

/* A large block: region header, header, body. */
static PHEAP_HEADER
HeapTakeLarge(PHEAP Heap, SIZE_T Size)
{
    SIZE_T Bytes = ROUND_TO_PAGES(Size + sizeof(HEAP_REGION_HEADER) + sizeof(HEAP_HEADER));
    PHEAP_REGION_HEADER Region;
    PHEAP_HEADER Header;

    if (Bytes < Size || (Region = HeapReserve(Bytes)) == NULL) {
        return NULL;
    }
    if (!HeapCommit(Region, Bytes)) {
        HeapRelease(Region);
        return NULL;
    }
    Region->Reserved = Bytes;
    Region->Committed = Size;
    InsertTailList(&Heap->Large, &Region->Links);
    Header = (PHEAP_HEADER)(Region + 1);
    *Header = (HEAP_HEADER){.Flags = HEAP_BUSY | HEAP_LAST | HEAP_OWN_REGION};
    HeapSeal(Heap, Header);
    return Header;
}

static PHEAP_REGION_HEADER
HeapRegionOfLarge(PHEAP_HEADER Header)
{
    return (PHEAP_REGION_HEADER)Header - 1;
}

static SIZE_T
HeapSizeOf(PHEAP_HEADER Header)
{
    return (Header->Flags & HEAP_OWN_REGION) != 0 ? HeapRegionOfLarge(Header)->Committed
                                                  : (SIZE_T)Header->Units * HEAP_UNIT - sizeof(HEAP_HEADER) - Header->Slack;
}

/* The header of a block of this heap; NULL if it is none. */
static PHEAP_HEADER
HeapHeaderOf(PHEAP Heap, const VOID *Block)
{
    PHEAP_HEADER Header = (PHEAP_HEADER)Block - 1;

    return ((ULONG64)Block & (HEAP_UNIT - 1)) == 0 && (Header->Flags & HEAP_BUSY) != 0 && Header->Check == HeapCheck(Heap, Header)
               ? Header
               : NULL;
}

static VOID
HeapGive(PHEAP Heap, PHEAP_HEADER Header)
{
    PHEAP_HEADER Next = HeapNext(Header), Before = HeapBefore(Header);

    Header->Flags &= (USHORT)~HEAP_BUSY;
    if (Next != NULL && (Next->Flags & HEAP_BUSY) == 0) {
        RemoveEntryList(HeapLinks(Next));
        Header->Units += Next->Units;
        Header->Flags |= Next->Flags & HEAP_LAST;
    }
    if (Before != NULL && (Before->Flags & HEAP_BUSY) == 0) {
        RemoveEntryList(HeapLinks(Before));
        Before->Units += Header->Units;
        Before->Flags |= Header->Flags & HEAP_LAST;
        Header = Before;
    }
    HeapSetPrevious(Heap, Header);
    HeapLinkFree(Heap, Header);
}

static VOID
HeapLock(PHEAP Heap, ULONG Flags)
{
    if (((Heap->Flags | Flags) & HEAP_NO_SERIALIZE) == 0) {
        RtlEnterCriticalSection(&Heap->Lock);
    }
}

static VOID
HeapUnlock(PHEAP Heap, ULONG Flags)
{
    if (((Heap->Flags | Flags) & HEAP_NO_SERIALIZE) == 0) {
        RtlLeaveCriticalSection(&Heap->Lock);
    }
}

/* --- Public routines ------------------------------------------------------------------------------------------ */

/*
 * Make a heap that grows. HeapBase, Lock and Parameters must be NULL and ReserveSize and CommitSize are taken as hints. NULL: no memory.
 */
PVOID NTAPI
RtlCreateHeap(ULONG Flags, PVOID HeapBase, SIZE_T ReserveSize, SIZE_T CommitSize, PVOID Lock, PVOID Parameters)
{
    SIZE_T Reserve = MAX((ReserveSize + 0xFFFF) & ~(SIZE_T)0xFFFF, HEAP_REGION), Commit = MAX(ROUND_TO_PAGES(CommitSize), HEAP_COMMIT);
    PHEAP Heap;

    if (HeapBase != NULL || Lock != NULL || Parameters != NULL) {
        return NULL;
    }
    Reserve = MAX(Reserve, (Commit + 0xFFFF) & ~(SIZE_T)0xFFFF);
    Heap = HeapReserve(Reserve);
    if (Heap == NULL) {
        return NULL;
    }
    if (!HeapCommit(Heap, Commit)) {
        HeapRelease(Heap);
        return NULL;
    }
    Heap->Signature = HEAP_SIGNATURE;
    Heap->Flags = Flags & (HEAP_NO_SERIALIZE | HEAP_GENERATE_EXCEPTIONS | HEAP_ZERO_MEMORY);
    Heap->Secret = (ULONG)((ULONG64)Heap >> 12) * 0x85EBCA6Bu;
    InitializeListHead(&Heap->Regions);
    InitializeListHead(&Heap->Large);
    for (ULONG Bin = 0; Bin < HEAP_BINS; Bin += 1) {
        InitializeListHead(&Heap->Free[Bin]);
    }
    RtlInitializeCriticalSection(&Heap->Lock);
    HeapBeginRegion(Heap, &Heap->Region, Reserve, Commit);
    return Heap;
}
NTEXPORT(RtlCreateHeap);

/* Give back a heap and all that is in it. NULL when done; the process's own heap is not destroyed. */
PVOID NTAPI
RtlDestroyHeap(PVOID HeapHandle)
{
    PHEAP Heap = HeapHandle;

    if (Heap == NtCurrentPeb()->ProcessHeap) {
        return Heap;
    }
    RtlDeleteCriticalSection(&Heap->Lock);
    while (!IsListEmpty(&Heap->Large)) {
        HeapRelease(CONTAINING_RECORD(RemoveHeadList(&Heap->Large), HEAP_REGION_HEADER, Links));
    }
    while (Heap->Regions.Blink != Heap->Regions.Flink) {
        HeapRelease(CONTAINING_RECORD(RemoveTailList(&Heap->Regions), HEAP_REGION_HEADER, Links));
    }
    HeapRelease(Heap);
    return NULL;
}
NTEXPORT(RtlDestroyHeap);

/* A block of Size bytes, 16-byte aligned. NULL: no memory, or with HEAP_GENERATE_EXCEPTIONS the exception STATUS_NO_MEMORY. */
PVOID NTAPI
RtlAllocateHeap(PVOID HeapHandle, ULONG Flags, SIZE_T Size)
{
    PHEAP Heap = HeapHandle;
    PHEAP_HEADER Header;

    HeapLock(Heap, Flags);
    Header = Size >= HEAP_LARGE ? HeapTakeLarge(Heap, Size) : HeapTake(Heap, Size);
    HeapUnlock(Heap, Flags);
    if (Header == NULL) {
        if (((Heap->Flags | Flags) & HEAP_GENERATE_EXCEPTIONS) != 0) {
            RtlRaiseStatus(STATUS_NO_MEMORY);
        }
        return NULL;
    }
    if (((Heap->Flags | Flags) & HEAP_ZERO_MEMORY) != 0 && (Header->Flags & HEAP_OWN_REGION) == 0) {
        RtlZeroMemory(Header + 1, Size);
    }
    return Header + 1;
}
NTEXPORT(RtlAllocateHeap);

/* Free a block; NULL is nothing. FALSE: it is no block of this heap. */
BOOLEAN NTAPI
RtlFreeHeap(PVOID HeapHandle, ULONG Flags, PVOID Block)
{
    PHEAP Heap = HeapHandle;
    PHEAP_HEADER Header;

    if (Block == NULL) {
        return TRUE;
    }
    HeapLock(Heap, Flags);
    Header = HeapHeaderOf(Heap, Block);
    if (Header != NULL && (Header->Flags & HEAP_OWN_REGION) != 0) {
        RemoveEntryList(&HeapRegionOfLarge(Header)->Links);
        HeapRelease(HeapRegionOfLarge(Header));
    } else if (Header != NULL) {
        HeapGive(Heap, Header);
    }
    HeapUnlock(Heap, Flags);
    return Header != NULL;
}
NTEXPORT(RtlFreeHeap);

/* The bytes that were asked for; -1: no block of this heap. */
SIZE_T NTAPI
RtlSizeHeap(PVOID HeapHandle, ULONG Flags, PVOID Block)
{
    PHEAP_HEADER Header;
    SIZE_T Size;

    HeapLock(HeapHandle, Flags);
    Header = HeapHeaderOf(HeapHandle, Block);
    Size = Header == NULL ? (SIZE_T)-1 : HeapSizeOf(Header);
    HeapUnlock(HeapHandle, Flags);
    return Size;
}
NTEXPORT(RtlSizeHeap);

/* Make a block larger or smaller, moving it unless HEAP_REALLOC_IN_PLACE_ONLY. NULL: not done, the block is as it was. */
PVOID NTAPI
RtlReAllocateHeap(PVOID HeapHandle, ULONG Flags, PVOID Block, SIZE_T Size)
{
    SIZE_T Old = RtlSizeHeap(HeapHandle, Flags, Block);
    PHEAP_HEADER Header = (PHEAP_HEADER)Block - 1;
    PVOID Moved;

    if (Old == (SIZE_T)-1) {
        return NULL;
    }
    if ((Header->Flags & HEAP_OWN_REGION) == 0 && Size <= (SIZE_T)Header->Units * HEAP_UNIT - sizeof(HEAP_HEADER) &&
        (SIZE_T)Header->Units * HEAP_UNIT - sizeof(HEAP_HEADER) - Size <= MAXUSHORT) {
        Header->Slack = (USHORT)((SIZE_T)Header->Units * HEAP_UNIT - sizeof(HEAP_HEADER) - Size);
        if (Size > Old && ((((PHEAP)HeapHandle)->Flags | Flags) & HEAP_ZERO_MEMORY) != 0) {
            RtlZeroMemory((PUCHAR)Block + Old, Size - Old);
        }
        return Block;
    }
    if ((Flags & HEAP_REALLOC_IN_PLACE_ONLY) != 0) {
        return NULL;
    }
    Moved = RtlAllocateHeap(HeapHandle, Flags, Size);
    if (Moved != NULL) {
        RtlCopyMemory(Moved, Block, MIN(Old, Size));
        RtlFreeHeap(HeapHandle, Flags, Block);
    }
    return Moved;
}
NTEXPORT(RtlReAllocateHeap);

/* Is the block, or with NULL the whole heap, in order? */
BOOLEAN NTAPI
RtlValidateHeap(PVOID HeapHandle, ULONG Flags, PVOID Block)
{
    PHEAP Heap = HeapHandle;
    BOOLEAN Good = TRUE;
    PLIST_ENTRY Link;

    HeapLock(Heap, Flags);
    if (Block != NULL) {
        Good = HeapHeaderOf(Heap, Block) != NULL;
    } else {
        for (Link = Heap->Regions.Flink; Link != &Heap->Regions && Good; Link = Link->Flink) {
            PHEAP_REGION_HEADER Region = CONTAINING_RECORD(Link, HEAP_REGION_HEADER, Links);
            ULONG Previous = 0;

            for (PHEAP_HEADER Header = HeapFirstOf(Heap, Region); Header != NULL && Good; Header = HeapNext(Header)) {
                Good = Header->Check == HeapCheck(Heap, Header) && Header->Previous == Previous;
                Previous = Header->Units;
            }
        }
    }
    HeapUnlock(Heap, Flags);
    return Good;
}
NTEXPORT(RtlValidateHeap);

VOID
RtlpInitializeHeap(VOID)
{
    NtCurrentPeb()->ProcessHeap = RtlCreateHeap(HEAP_GROWABLE, NULL, 0, 0, NULL, NULL);
    if (NtCurrentPeb()->ProcessHeap == NULL) {
        NtTerminateProcess(NtCurrentProcess(), STATUS_NO_MEMORY);
    }
}
