/* Pool of every kind, lookaside lists, paged memory that is trimmed under its users, copies by address. */
#include "sim.h"
#include <mm/mi.h>
#include <mm/mdl/mdl.h>

/* --- Blocks ------------------------------------------------------------------------------------- */

#define POOL_SLOTS 24

typedef struct _POOL_BLOCK {
    PUCHAR Address;
    SIZE_T Size;
    ULONG Pattern;
    BOOLEAN Paged;
} POOL_BLOCK, *PPOOL_BLOCK;

typedef struct _POOL_STATE {
    POOL_BLOCK Blocks[POOL_SLOTS];
} POOL_STATE, *PPOOL_STATE;

/* Mostly small, sometimes pages, rarely a segment of its own. */
static SIZE_T
PoolSize(PSIM_THREAD Thread)
{
    ULONG Kind = SimRandom(Thread, 64);

    if (Kind == 0) {
        return ((SIZE_T)2 << 20) + SimRandom(Thread, 1 << 20);
    }
    if (Kind < 8) {
        return PAGE_SIZE - 40 + SimRandom(Thread, 20 * PAGE_SIZE);
    }
    return 1 + SimRandom(Thread, Kind < 24 ? 4000 : 300);
}

/* Only the ends of large ones: a touch of each page costs a frame. */
static SIZE_T
PoolPainted(SIZE_T Size)
{
    return MIN(Size, 3 * PAGE_SIZE);
}

static VOID
PoolFree(PPOOL_BLOCK Block)
{
    SIM_CHECK(SimIsPainted(Block->Address, PoolPainted(Block->Size), Block->Pattern));
    ExFreePoolWithTag(Block->Address, SIM_TAG);
    Block->Address = NULL;
}

static VOID
PoolAllocate(PSIM_THREAD Thread, PPOOL_BLOCK Block)
{
    static const POOL_FLAGS Kinds[] = {POOL_FLAG_NON_PAGED, POOL_FLAG_NON_PAGED, POOL_FLAG_PAGED, POOL_FLAG_PAGED,
                                       POOL_FLAG_NON_PAGED_EXECUTE, POOL_FLAG_NON_PAGED | POOL_FLAG_CACHE_ALIGNED,
                                       POOL_FLAG_NON_PAGED | POOL_FLAG_SPECIAL_POOL,
                                       POOL_FLAG_PAGED | POOL_FLAG_SPECIAL_POOL};
    POOL_FLAGS Flags = Kinds[SimRandom(Thread, RTL_NUMBER_OF(Kinds))];

    Block->Size = PoolSize(Thread);
    Block->Pattern = SimRandom(Thread, 256);
    Block->Paged = (Flags & POOL_FLAG_PAGED) != 0;
    Block->Address = ExAllocatePool2(Flags, Block->Size, SIM_TAG);
    if (Block->Address == NULL) {
        SIM_REFUSED(Thread);
        return;
    }
    for (SIZE_T Index = 0; Index < PoolPainted(Block->Size); Index += 1) {
        SIM_CHECK(Block->Address[Index] == 0);
    }
    SimPaint(Block->Address, PoolPainted(Block->Size), Block->Pattern);
}

/* Two blocks that are wanted together: the planted bug forgets the first when the second is refused. */
static VOID
PoolPair(PSIM_THREAD Thread)
{
    PVOID First = ExAllocatePool2(POOL_FLAG_NON_PAGED, 48, SIM_TAG);
    PVOID Second = First == NULL ? NULL : ExAllocatePool2(POOL_FLAG_PAGED, 2000, SIM_TAG);

    if (Second != NULL) {
        ExFreePoolWithTag(Second, SIM_TAG);
    } else if (SimHasBug(Thread, "leak")) {
        return;
    }
    if (First != NULL) {
        ExFreePoolWithTag(First, SIM_TAG);
    }
}

static VOID
PoolStep(PSIM_THREAD Thread)
{
    PPOOL_STATE State = SimState(Thread);

    PoolPair(Thread);
    for (ULONG Count = 1 + SimRandom(Thread, 12); Count != 0; Count -= 1) {
        PPOOL_BLOCK Block = &State->Blocks[SimRandom(Thread, POOL_SLOTS)];

        if (Block->Address != NULL) {
            PoolFree(Block);
        } else {
            PoolAllocate(Thread, Block);
        }
    }
}

static VOID
PoolEnd(PSIM_THREAD Thread)
{
    PPOOL_STATE State = SimState(Thread);

    for (ULONG Slot = 0; Slot < POOL_SLOTS; Slot += 1) {
        if (State->Blocks[Slot].Address != NULL) {
            PoolFree(&State->Blocks[Slot]);
        }
    }
}

SIM_OPERATION("pool", 20, sizeof(POOL_STATE), PoolStep, PoolEnd);

/* --- Lookaside lists ---------------------------------------------------------------------------- */

#define LOOKASIDE_SLOTS 12

typedef struct _LOOKASIDE_STATE {
    LOOKASIDE_LIST_EX List;
    BOOLEAN Made;
    ULONG Size;
    PVOID Entries[LOOKASIDE_SLOTS];
} LOOKASIDE_STATE, *PLOOKASIDE_STATE;

static VOID
LookasideStep(PSIM_THREAD Thread)
{
    PLOOKASIDE_STATE State = SimState(Thread);

    if (!State->Made) {
        State->Size = 16 + SimRandom(Thread, 600);
        SIM_CHECK(NT_SUCCESS(ExInitializeLookasideListEx(&State->List, NULL, NULL,
                                                         SimRandom(Thread, 2) ? PagedPool : NonPagedPoolNx, 0, State->Size,
                                                         SIM_TAG, 0)));
        State->Made = TRUE;
    }
    for (ULONG Count = 1 + SimRandom(Thread, 10); Count != 0; Count -= 1) {
        ULONG Slot = SimRandom(Thread, LOOKASIDE_SLOTS);

        if (State->Entries[Slot] != NULL) {
            SIM_CHECK(SimIsPainted(State->Entries[Slot], State->Size, Slot));
            ExFreeToLookasideListEx(&State->List, State->Entries[Slot]);
            State->Entries[Slot] = NULL;
            continue;
        }
        State->Entries[Slot] = ExAllocateFromLookasideListEx(&State->List);
        if (State->Entries[Slot] == NULL) {
            SIM_REFUSED(Thread);
        } else {
            SimPaint(State->Entries[Slot], State->Size, Slot);
        }
    }
    if (SimRandom(Thread, 6) == 0) {
        ExFlushLookasideListEx(&State->List);
    }
}

static VOID
LookasideEnd(PSIM_THREAD Thread)
{
    PLOOKASIDE_STATE State = SimState(Thread);

    for (ULONG Slot = 0; Slot < LOOKASIDE_SLOTS; Slot += 1) {
        if (State->Entries[Slot] != NULL) {
            SIM_CHECK(SimIsPainted(State->Entries[Slot], State->Size, Slot));
            ExFreeToLookasideListEx(&State->List, State->Entries[Slot]);
        }
    }
    if (State->Made) {
        ExDeleteLookasideListEx(&State->List);
    }
}

SIM_OPERATION("lookaside", 6, sizeof(LOOKASIDE_STATE), LookasideStep, LookasideEnd);

/* --- Paged memory under a trimmer ----------------------------------------------------------------- */

#define PAGED_PAGES 40

typedef struct _PAGED_STATE {
    PUCHAR Buffer;
    UCHAR Written[PAGED_PAGES]; /* pattern of a page, 0: never touched */
} PAGED_STATE, *PPAGED_STATE;

static VOID
PagedTouch(PSIM_THREAD Thread, PPAGED_STATE State, ULONG Page)
{
    PUCHAR Va = State->Buffer + (SIZE_T)Page * PAGE_SIZE;

    if (State->Written[Page] != 0) {
        SIM_CHECK(SimIsPainted(Va, PAGE_SIZE, State->Written[Page]));
    } else {
        SIM_CHECK(*(volatile ULONG64 *)Va == 0 && *(volatile ULONG64 *)(Va + PAGE_SIZE - 8) == 0);
    }
    if (SimRandom(Thread, 2) == 0) {
        State->Written[Page] = (UCHAR)(1 + SimRandom(Thread, 255));
        SimPaint(Va, PAGE_SIZE, State->Written[Page]);
    }
}

static VOID
PagedStep(PSIM_THREAD Thread)
{
    PPAGED_STATE State = SimState(Thread);

    if (State->Buffer == NULL) {
        State->Buffer = ExAllocatePool2(POOL_FLAG_PAGED, PAGED_PAGES * PAGE_SIZE, SIM_TAG);
        if (State->Buffer == NULL) {
            SIM_REFUSED(Thread);
            return;
        }
        RtlZeroMemory(State->Written, sizeof(State->Written));
    }
    for (ULONG Count = 1 + SimRandom(Thread, 8); Count != 0; Count -= 1) {
        ULONG Page = SimRandom(Thread, PAGED_PAGES);

        if (SimRandom(Thread, 3) == 0) {
            MiTrimRange(State->Buffer + (SIZE_T)Page * PAGE_SIZE, 1 + SimRandom(Thread, PAGED_PAGES - Page));
        } else {
            PagedTouch(Thread, State, Page);
        }
    }
    if (SimRandom(Thread, 8) == 0) {
        ExFreePoolWithTag(State->Buffer, SIM_TAG);
        State->Buffer = NULL;
    }
}

static VOID
PagedEnd(PSIM_THREAD Thread)
{
    PPAGED_STATE State = SimState(Thread);

    for (ULONG Page = 0; State->Buffer != NULL && Page < PAGED_PAGES; Page += 1) {
        if (State->Written[Page] != 0) {
            SIM_CHECK(SimIsPainted(State->Buffer + (SIZE_T)Page * PAGE_SIZE, PAGE_SIZE, State->Written[Page]));
        }
    }
    if (State->Buffer != NULL) {
        ExFreePoolWithTag(State->Buffer, SIM_TAG);
    }
}

SIM_OPERATION("paged", 14, sizeof(PAGED_STATE), PagedStep, PagedEnd);

/* --- Copies ------------------------------------------------------------------------------------- */

static VOID
CopyStep(PSIM_THREAD Thread)
{
    ULONG Size = 1 + SimRandom(Thread, 3 * PAGE_SIZE), Pattern = SimRandom(Thread, 256);
    PUCHAR Source = ExAllocatePool2(SimRandom(Thread, 2) ? POOL_FLAG_PAGED : POOL_FLAG_NON_PAGED, Size, SIM_TAG);
    PUCHAR Target = ExAllocatePool2(POOL_FLAG_NON_PAGED, Size, SIM_TAG);
    MM_COPY_ADDRESS Address = {.VirtualAddress = Source};
    SIZE_T Copied = 0;
    NTSTATUS Status;

    if (Source == NULL || Target == NULL) {
        SIM_REFUSED(Thread);
    } else {
        SimPaint(Source, Size, Pattern);
        Status = MmCopyMemory(Target, Address, Size, MM_COPY_MEMORY_VIRTUAL, &Copied);
        if (!NT_SUCCESS(Status)) {
            SIM_REFUSED(Thread); /* a page could not be locked */
        }
        SIM_CHECK(Copied == Size || !NT_SUCCESS(Status));
        SIM_CHECK(SimIsPainted(Target, Copied, Pattern));
        SimPaint(Target, Size, Pattern);
        Address.PhysicalAddress = MmGetPhysicalAddress(Target);
        Size = MIN(Size, PAGE_SIZE - (ULONG)((ULONG_PTR)Target & (PAGE_SIZE - 1)));
        RtlZeroMemory(Source, Size);
        SIM_CHECK(NT_SUCCESS(MmCopyMemory(Source, Address, Size, MM_COPY_MEMORY_PHYSICAL, &Copied)) && Copied == Size);
        SIM_CHECK(SimIsPainted(Source, Size, Pattern));
    }
    if (Source != NULL) {
        ExFreePoolWithTag(Source, SIM_TAG);
    }
    if (Target != NULL) {
        ExFreePoolWithTag(Target, SIM_TAG);
    }
}

SIM_OPERATION("copy", 4, 0, CopyStep, NULL);
