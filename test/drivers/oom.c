/*
 * Until there is no more, and back: every kind of memory can be exhausted, says so by a null pointer, and is
 * all there again when it has been freed.
 */
#include "check.h"

#define TAG      ' moo'
#define ANYWHERE Physical(0), Physical(~0ull >> 1)

typedef struct _LINK {
    struct _LINK *Next;
} LINK;

static PVOID
Take(ULONG Kind)
{
    switch (Kind) {
    case 0:
        return ExAllocatePoolWithTag(NonPagedPoolNx, 64 * 1024, TAG);
    case 1:
        return ExAllocatePool2(POOL_FLAG_NON_PAGED, 3000, TAG);
    case 2:
        return ExAllocatePoolWithTag(PagedPool, 64 * 1024, TAG);
    case 3:
        return MmAllocateContiguousMemory(64 * 1024, Physical(~0ull >> 1));
    default:
        return MmAllocatePagesForMdlEx(ANYWHERE, Physical(0), 64 * 1024, MmCached,
                                       MM_ALLOCATE_FULLY_REQUIRED);
    }
}

static VOID
Give(ULONG Kind, PVOID Block)
{
    if (Kind < 3) {
        ExFreePoolWithTag(Block, TAG);
    } else if (Kind == 3) {
        MmFreeContiguousMemory(Block);
    } else {
        MmFreePagesFromMdl(Block);
        ExFreePool(Block);
    }
}

/* How many could be had. Pool and contiguous blocks are linked through themselves, MDLs through Next. */
static ULONG
Exhaust(ULONG Kind)
{
    LINK *First = NULL, *Block;
    ULONG Count = 0;

    while ((Block = Take(Kind)) != NULL) {
        Block->Next = First;
        First = Block;
        Count += 1;
        if (Kind == 2) {
            Paint(Block + 1, 60000, 1);
        }
    }
    while (First != NULL) {
        Block = First;
        First = Block->Next;
        Block->Next = NULL;
        Give(Kind, Block);
    }
    return Count;
}

static VOID
Test(VOID)
{
    ULONG Kind, First, Second;

    for (Kind = 0; Kind < 5; Kind += 1) {
        First = Exhaust(Kind);
        Second = Exhaust(Kind);
        DbgPrint("# kind %u: %u, then %u\n", Kind, First, Second);
        /* Contiguous runs depend on how the others left memory. */
        CHECK(First >= (Kind == 3 ? 50 : 100));
        CHECK(Second * 100 >= First * 97 && First * 100 >= Second * 97);
    }
}

CHECK_DRIVER
