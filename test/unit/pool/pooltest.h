/* What the pool tests share: a way to act as an image would, tag rows, counts of live blocks. */
#ifndef TEST_POOLTEST_H
#define TEST_POOLTEST_H

#include "../../ktest.h"
#include <mm/mi.h>
#include <mm/phys/inject.h>
#include <mm/pool/pool.h>
#include <mm/pool/poolp.h>

/* First parameter of the bug check that ends a raise nobody handles. */
#define TEST_RAISED(Status) ((ULONG_PTR)(LONG_PTR)(NTSTATUS)(Status))
#define TEST_TAG 0x74736554 /* "Test" */

static inline ULONG
TestHeaderTag(PVOID Block)
{
    return *(ULONG *)((PUCHAR)Block - 12);
}

static inline UCHAR
TestHeaderType(PVOID Block)
{
    return *((PUCHAR)Block - 13);
}

/* The row of TEST_TAG. */
static inline MI_POOL_TAG_ROW
TestTagRow(ULONG Tag)
{
    MI_POOL_TAG_ROW Row = {0};
    ULONG Index;

    for (Index = 0; MiQueryPoolTag(Index, &Row); Index += 1) {
        if (Row.Tag == Tag) {
            return Row;
        }
    }
    return (MI_POOL_TAG_ROW){.Tag = Tag};
}

/*
 * Act as if an image had called the core: the record its call would have left. Return addresses are made up;
 * what is left of them after unwinding is the capture's business.
 */
static inline VOID
TestEnterImage(ULONG64 Rip)
{
    PKTHREAD Thread = KiCurrentThread();
    PKI_BOUNDARY_RECORD Record = Thread->BoundaryTop;

    Thread->BoundaryTop = Record + 1;
    *Record = (KI_BOUNDARY_RECORD){.Rip = Rip, .Kind = KI_BOUNDARY_EXPORT};
}

static inline VOID
TestLeaveImage(VOID)
{
    KiCurrentThread()->BoundaryTop -= 1;
}

static inline BOOLEAN
TestIsFilled(PVOID Address, SIZE_T Size, UCHAR Fill)
{
    return MipFindOther(Address, Size, Fill) == NULL;
}

#endif
