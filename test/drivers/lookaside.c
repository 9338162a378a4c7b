/*
 * Lookaside lists of all kinds, with their own allocators and without, and singly linked lists.
 */
#include "check.h"

#define TAG 'kooL'

static LONG Allocated, Freed;
static PVOID LastList;

static PVOID NTAPI
Allocate(POOL_TYPE Type, SIZE_T Size, ULONG Tag)
{
    Allocated += 1;
    return ExAllocatePoolWithTag(Type, Size, Tag);
}

static VOID NTAPI
Free(PVOID Block)
{
    Freed += 1;
    ExFreePool(Block);
}

static PVOID NTAPI
AllocateEx(POOL_TYPE Type, SIZE_T Size, ULONG Tag, PLOOKASIDE_LIST_EX List)
{
    LastList = List;
    return Allocate(Type, Size, Tag);
}

static VOID NTAPI
FreeEx(PVOID Block, PLOOKASIDE_LIST_EX List)
{
    LastList = List;
    Free(Block);
}

static VOID
NonPaged(VOID)
{
    static NPAGED_LOOKASIDE_LIST List;
    PVOID First, Second;

    ExInitializeNPagedLookasideList(&List, NULL, NULL, 0, 120, TAG, 0);
    First = ExAllocateFromNPagedLookasideList(&List);
    Second = ExAllocateFromNPagedLookasideList(&List);
    CHECK(First != NULL && Second != NULL && First != Second);
    Paint(First, 120, 1);
    Paint(Second, 120, 2);
    CHECK(Painted(First, 120, 1) && Painted(Second, 120, 2));
    ExFreeToNPagedLookasideList(&List, Second);
    ExFreeToNPagedLookasideList(&List, First);
    CHECK(ExAllocateFromNPagedLookasideList(&List) == First);
    CHECK(ExAllocateFromNPagedLookasideList(&List) == Second);
    ExFreeToNPagedLookasideList(&List, First);
    ExFreeToNPagedLookasideList(&List, Second);
    ExDeleteNPagedLookasideList(&List);
}

static VOID
Callbacks(VOID)
{
    static NPAGED_LOOKASIDE_LIST List;
    PVOID Blocks[400];
    ULONG Index;

    ExInitializeNPagedLookasideList(&List, Allocate, Free, POOL_NX_ALLOCATION, 64, TAG, 0);
    Allocated = Freed = 0;
    for (Index = 0; Index < RTL_NUMBER_OF(Blocks); Index += 1) {
        Blocks[Index] = ExAllocateFromNPagedLookasideList(&List);
    }
    CHECK_EQ(Allocated, RTL_NUMBER_OF(Blocks));
    for (Index = 0; Index < RTL_NUMBER_OF(Blocks); Index += 1) {
        ExFreeToNPagedLookasideList(&List, Blocks[Index]);
    }
    CHECK(Freed > 0 && Freed < (LONG)RTL_NUMBER_OF(Blocks));
    ExDeleteNPagedLookasideList(&List);
    CHECK_EQ(Freed, Allocated);
}

static VOID
Paged(VOID)
{
    static PAGED_LOOKASIDE_LIST List;
    PVOID Block;

    ExInitializePagedLookasideList(&List, Allocate, Free, 0, 300, TAG, 0);
    Allocated = Freed = 0;
    Block = ExAllocateFromPagedLookasideList(&List);
    REQUIRE(Block != NULL);
    Paint(Block, 300, 9);
    CHECK(Painted(Block, 300, 9));
    ExFreeToPagedLookasideList(&List, Block);
    CHECK(ExAllocateFromPagedLookasideList(&List) == Block);
    CHECK_EQ(Allocated, 1);
    ExFreeToPagedLookasideList(&List, Block);
    ExDeletePagedLookasideList(&List);
    CHECK_EQ(Freed, 1);
}

static VOID
Extended(VOID)
{
    static LOOKASIDE_LIST_EX DECLSPEC_ALIGN(16) List;
    PVOID Block;

    CHECK_STATUS(ExInitializeLookasideListEx(&List, NULL, NULL, (POOL_TYPE)0x31, 0, 100, TAG, 0),
                 STATUS_INVALID_PARAMETER_4);
    CHECK_STATUS(ExInitializeLookasideListEx(&List, NULL, NULL, NonPagedPoolNx, 0x80, 100, TAG, 0),
                 STATUS_INVALID_PARAMETER_5);
    CHECK_STATUS(ExInitializeLookasideListEx(&List, NULL, NULL, NonPagedPoolNx, 3, 100, TAG, 0),
                 STATUS_INVALID_PARAMETER_5);
    CHECK_STATUS(ExInitializeLookasideListEx(&List, AllocateEx, FreeEx, NonPagedPoolNx, 0, 100, TAG, 0),
                 STATUS_SUCCESS);
    Allocated = Freed = 0;
    Block = ExAllocateFromLookasideListEx(&List);
    REQUIRE(Block != NULL);
    CHECK(LastList == &List);
    CHECK_EQ(Allocated, 1);
    ExFreeToLookasideListEx(&List, Block);
    ExFlushLookasideListEx(&List);
    CHECK_EQ(Freed, 1);
    Block = ExAllocateFromLookasideListEx(&List);
    CHECK_EQ(Allocated, 2);
    ExFreeToLookasideListEx(&List, Block);
    ExDeleteLookasideListEx(&List);
    CHECK_EQ(Freed, 2);

    CHECK_STATUS(ExInitializeLookasideListEx(&List, NULL, NULL, PagedPool, 0, 100, TAG, 0), STATUS_SUCCESS);
    Block = ExAllocateFromLookasideListEx(&List);
    REQUIRE(Block != NULL);
    ExFreeToLookasideListEx(&List, Block);
    ExDeleteLookasideListEx(&List);
}

typedef struct DECLSPEC_ALIGN(16) _ITEM {
    SLIST_ENTRY Entry;
    ULONG Number;
} ITEM;

static VOID
Slists(VOID)
{
    static SLIST_HEADER DECLSPEC_ALIGN(16) Head;
    static ITEM Items[10];
    static KSPIN_LOCK Lock;
    PSLIST_ENTRY Entry;
    ULONG Index;

    ExInitializeSListHead(&Head);
    CHECK(ExInterlockedPopEntrySList(&Head, &Lock) == NULL);
    CHECK(ExInterlockedPushEntrySList(&Head, &Items[0].Entry, &Lock) == NULL);
    for (Index = 1; Index < RTL_NUMBER_OF(Items); Index += 1) {
        Items[Index].Number = Index;
        Entry = ExInterlockedPushEntrySList(&Head, &Items[Index].Entry, &Lock);
        if (Entry != &Items[Index - 1].Entry) {
            break;
        }
    }
    CHECK_EQ(Index, RTL_NUMBER_OF(Items));
    CHECK_EQ(ExQueryDepthSList(&Head), 10);
    for (; Index > 5; Index -= 1) {
        Entry = ExInterlockedPopEntrySList(&Head, &Lock);
        if (Entry != &Items[Index - 1].Entry) {
            break;
        }
    }
    CHECK_EQ(Index, 5);
    CHECK(ExInterlockedFlushSList(&Head) == &Items[4].Entry);
    CHECK_EQ(ExQueryDepthSList(&Head), 0);
}

/* Threads that take from and give to one list never have one block twice. */
static NPAGED_LOOKASIDE_LIST Shared;
static LONG Twice, Rounds;

static VOID NTAPI
Worker(PVOID Context)
{
    volatile LONG *Blocks[4];
    ULONG Round, Index;

    for (Round = 0; Round < 200; Round += 1) {
        for (Index = 0; Index < 4; Index += 1) {
            Blocks[Index] = ExAllocateFromNPagedLookasideList(&Shared);
            if (Blocks[Index] != NULL) {
                Blocks[Index][4] = (LONG)(ULONG_PTR)Context * 4 + (LONG)Index;
            }
        }
        if (Round % 16 == 0) {
            Sleep(1);
        }
        for (Index = 0; Index < 4; Index += 1) {
            if (Blocks[Index] != NULL) {
                if (Blocks[Index][4] != (LONG)(ULONG_PTR)Context * 4 + (LONG)Index) {
                    InterlockedIncrement(&Twice);
                }
                ExFreeToNPagedLookasideList(&Shared, (PVOID)Blocks[Index]);
            }
        }
        InterlockedIncrement(&Rounds);
    }
    PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID
Threads(VOID)
{
    PVOID Threads[4];
    ULONG_PTR Index;

    ExInitializeNPagedLookasideList(&Shared, NULL, NULL, POOL_NX_ALLOCATION, 48, TAG, 0);
    for (Index = 0; Index < RTL_NUMBER_OF(Threads); Index += 1) {
        Threads[Index] = StartThread(Worker, (PVOID)(Index + 1));
    }
    for (Index = 0; Index < RTL_NUMBER_OF(Threads); Index += 1) {
        REQUIRE(Threads[Index] != NULL);
        JoinThread(Threads[Index]);
    }
    CHECK_EQ(Rounds, 800);
    CHECK_EQ(Twice, 0);
    ExDeleteNPagedLookasideList(&Shared);
}

static VOID
Test(VOID)
{
    NonPaged();
    Callbacks();
    Paged();
    Extended();
    Slists();
    Threads();
}

CHECK_DRIVER
