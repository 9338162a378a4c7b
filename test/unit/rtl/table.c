/*
 * Tests of rtl/splay.c, rtl/table.c and rtl/avltable.c: the same sequence of insertions, removals and
 * enumerations on both kinds of table, against a plain array; allocation failure as a switch.
 */
#include <ntifs.h>
#include <rtl/rtl.h>
#include <test/ktest.h>

#define KEYS 60
#define CELL 128

typedef struct _RECORD {
    ULONG Key;
    ULONG Payload;
} RECORD;

/* Cells for elements, so that the test needs no pool. */
static UCHAR Cells[KEYS][CELL] __attribute__((aligned(16)));
static BOOLEAN CellUsed[KEYS];
static BOOLEAN Refuse;
static ULONG LiveCells, LastSize;

static PVOID
TakeCell(ULONG Size)
{
    ULONG i;

    LastSize = Size;
    for (i = 0; i < KEYS && !Refuse && Size <= CELL; i++) {
        if (!CellUsed[i]) {
            CellUsed[i] = TRUE;
            LiveCells++;
            return Cells[i];
        }
    }
    return NULL;
}

static VOID
GiveCell(PVOID Cell)
{
    CellUsed[((PUCHAR)Cell - Cells[0]) / CELL] = FALSE;
    LiveCells--;
}

static RTL_GENERIC_COMPARE_RESULTS
CompareRecords(PVOID First, PVOID Second)
{
    ULONG A = ((RECORD *)First)->Key, B = ((RECORD *)Second)->Key;

    return A < B ? GenericLessThan : A > B ? GenericGreaterThan : GenericEqual;
}

static RTL_GENERIC_COMPARE_RESULTS NTAPI
Compare(struct _RTL_GENERIC_TABLE *Table, PVOID First, PVOID Second)
{
    UNREFERENCED_PARAMETER(Table);
    return CompareRecords(First, Second);
}

static PVOID NTAPI
Allocate(struct _RTL_GENERIC_TABLE *Table, CLONG Size)
{
    UNREFERENCED_PARAMETER(Table);
    return TakeCell(Size);
}

static VOID NTAPI
Free(struct _RTL_GENERIC_TABLE *Table, PVOID Buffer)
{
    UNREFERENCED_PARAMETER(Table);
    GiveCell(Buffer);
}

static RTL_GENERIC_COMPARE_RESULTS NTAPI
CompareAvl(struct _RTL_AVL_TABLE *Table, PVOID First, PVOID Second)
{
    UNREFERENCED_PARAMETER(Table);
    return CompareRecords(First, Second);
}

static PVOID NTAPI
AllocateAvl(struct _RTL_AVL_TABLE *Table, CLONG Size)
{
    UNREFERENCED_PARAMETER(Table);
    return TakeCell(Size);
}

static VOID NTAPI
FreeAvl(struct _RTL_AVL_TABLE *Table, PVOID Buffer)
{
    UNREFERENCED_PARAMETER(Table);
    GiveCell(Buffer);
}

KTEST(RtlGenericTableBasics)
{
    RTL_GENERIC_TABLE Table;
    RECORD R = {5, 50}, *Found;
    BOOLEAN New = FALSE;
    PVOID Node;
    TABLE_SEARCH_RESULT Result;

    RtlInitializeGenericTable(&Table, Compare, Allocate, Free, &Table);
    CHECK(Table.TableContext == &Table);
    CHECK(RtlIsGenericTableEmpty(&Table));
    CHECK(RtlLookupElementGenericTableFull(&Table, &R, &Node, &Result) == NULL);
    CHECK_EQ(Result, TableEmptyTree);
    Found = RtlInsertElementGenericTable(&Table, &R, sizeof(R), &New);
    REQUIRE(Found != NULL);
    CHECK_EQ(LastSize, 0x28 + sizeof(R));
    CHECK(New);
    R.Payload = 51;
    CHECK(RtlInsertElementGenericTable(&Table, &R, sizeof(R), &New) == Found);
    CHECK(!New);
    CHECK_EQ(Found->Payload, 50);
    R.Key = 3;
    RtlLookupElementGenericTableFull(&Table, &R, &Node, &Result);
    CHECK_EQ(Result, TableInsertAsLeft);
    R.Key = 7;
    RtlLookupElementGenericTableFull(&Table, &R, &Node, &Result);
    CHECK_EQ(Result, TableInsertAsRight);
    Refuse = TRUE;
    CHECK(RtlInsertElementGenericTableFull(&Table, &R, sizeof(R), &New, Node, Result) == NULL);
    CHECK(!New);
    Refuse = FALSE;
    CHECK(RtlInsertElementGenericTableFull(&Table, &R, sizeof(R), &New, Node, Result) != NULL);
    CHECK_EQ(RtlNumberGenericTableElements(&Table), 2);
    CHECK(RtlDeleteElementGenericTable(&Table, &R));
    CHECK(!RtlDeleteElementGenericTable(&Table, &R));
    R.Key = 5;
    CHECK(RtlDeleteElementGenericTable(&Table, &R));
    CHECK(RtlIsGenericTableEmpty(&Table));
    CHECK_EQ(LiveCells, 0);
}

/* Insert or delete at random in both tables; Present and the order of insertion say what is right. */
static BOOLEAN Present[KEYS / 2];
static ULONG Inserted[KEYS / 2], InsertedCount;

static VOID
ForgetKey(ULONG Key)
{
    ULONG i, j;

    for (i = 0, j = 0; i < InsertedCount; i++) {
        if (Inserted[i] != Key) {
            Inserted[j++] = Inserted[i];
        }
    }
    InsertedCount = j;
    Present[Key] = FALSE;
}

static ULONG
CheckTables(PRTL_GENERIC_TABLE Splay, PRTL_AVL_TABLE Avl, ULONG Probe)
{
    ULONG Key, Wrong = 0, Rank = 0;
    PVOID Restart = NULL, RestartAvl = NULL;
    RECORD *R;

    for (Key = 0; Key < ARRAYSIZE(Present); Key++) {
        if (!Present[Key]) {
            continue;
        }
        R = RtlEnumerateGenericTable(Splay, Rank == 0);
        Wrong += R == NULL || R->Key != Key;
        R = RtlEnumerateGenericTableWithoutSplaying(Splay, &Restart);
        Wrong += R == NULL || R->Key != Key;
        R = RtlEnumerateGenericTableAvl(Avl, Rank == 0);
        Wrong += R == NULL || R->Key != Key;
        R = RtlEnumerateGenericTableWithoutSplayingAvl(Avl, &RestartAvl);
        Wrong += R == NULL || R->Key != Key;
        Rank++;
    }
    if (Rank != 0) {
        Wrong += RtlEnumerateGenericTable(Splay, FALSE) != NULL;
        Wrong += RtlEnumerateGenericTableWithoutSplaying(Splay, &Restart) != NULL;
        Wrong += RtlEnumerateGenericTableWithoutSplayingAvl(Avl, &RestartAvl) != NULL;
        R = RtlGetElementGenericTable(Splay, Probe % Rank);
        Wrong += R == NULL || R->Key != Inserted[Probe % Rank];
    }
    Wrong += RtlGetElementGenericTable(Splay, Rank) != NULL;
    Wrong += RtlGetElementGenericTableAvl(Avl, Rank) != NULL;
    Wrong += RtlNumberGenericTableElements(Splay) != Rank;
    Wrong += RtlNumberGenericTableElementsAvl(Avl) != Rank;
    return Wrong;
}

KTEST(RtlGenericTablesAgainstArray)
{
    RTL_GENERIC_TABLE Splay;
    RTL_AVL_TABLE Avl;
    RTLP_RANDOM Random;
    ULONG Step, Wrong = 0;
    BOOLEAN New;
    RECORD R;

    RtlInitializeGenericTable(&Splay, Compare, Allocate, Free, NULL);
    RtlInitializeGenericTableAvl(&Avl, CompareAvl, AllocateAvl, FreeAvl, NULL);
    RtlpRandomSeed(&Random, 11);
    RtlZeroMemory(Present, sizeof(Present));
    InsertedCount = 0;
    for (Step = 0; Step < 1500; Step++) {
        R.Key = (ULONG)RtlpRandomBelow(&Random, ARRAYSIZE(Present));
        R.Payload = ~R.Key;
        if (RtlpRandomBelow(&Random, 10) < (Step / 300 % 2 == 0 ? 7u : 3u)) {
            Wrong += RtlInsertElementGenericTable(&Splay, &R, sizeof(R), &New) == NULL;
            Wrong += New == Present[R.Key];
            Wrong += RtlInsertElementGenericTableAvl(&Avl, &R, sizeof(R), &New) == NULL;
            Wrong += New == Present[R.Key];
            if (!Present[R.Key]) {
                Present[R.Key] = TRUE;
                Inserted[InsertedCount++] = R.Key;
            }
        } else {
            Wrong += RtlDeleteElementGenericTable(&Splay, &R) != Present[R.Key];
            Wrong += RtlDeleteElementGenericTableAvl(&Avl, &R) != Present[R.Key];
            ForgetKey(R.Key);
        }
        Wrong += CheckTables(&Splay, &Avl, (ULONG)RtlpRandomNext(&Random));
        Wrong += (RtlLookupElementGenericTable(&Splay, &R) != NULL) != Present[R.Key];
        Wrong += (RtlLookupElementGenericTableAvl(&Avl, &R) != NULL) != Present[R.Key];
    }
    CHECK_EQ(Wrong, 0);
    for (R.Key = 0; R.Key < ARRAYSIZE(Present); R.Key++) {
        RtlDeleteElementGenericTable(&Splay, &R);
        RtlDeleteElementGenericTableAvl(&Avl, &R);
    }
    CHECK_EQ(LiveCells, 0);
}

KTEST(RtlAvlTableGetAndDeleteWhileEnumerating)
{
    RTL_AVL_TABLE Avl;
    RECORD R, *Found;
    ULONG Count = 0, Wrong = 0;

    RtlInitializeGenericTableAvl(&Avl, CompareAvl, AllocateAvl, FreeAvl, NULL);
    for (R.Key = 0; R.Key < 20; R.Key++) {
        RtlInsertElementGenericTableAvl(&Avl, &R, sizeof(R), NULL);
    }
    CHECK_EQ(LastSize, 0x20 + sizeof(R));
    for (R.Key = 0; R.Key < 20; R.Key++) {
        Found = RtlGetElementGenericTableAvl(&Avl, R.Key * 7 % 20);
        Wrong += Found == NULL || Found->Key != R.Key * 7 % 20;
    }
    CHECK_EQ(Wrong, 0);
    for (Found = RtlEnumerateGenericTableAvl(&Avl, TRUE); Found != NULL;
         Found = RtlEnumerateGenericTableAvl(&Avl, FALSE)) {
        Wrong += Found->Key != Count++;
        R = *Found;
        RtlDeleteElementGenericTableAvl(&Avl, &R);
    }
    CHECK_EQ(Count, 20);
    CHECK_EQ(Wrong, 0);
    CHECK(RtlIsGenericTableEmptyAvl(&Avl));
    CHECK_EQ(LiveCells, 0);
}

static ULONG
Depth(const RTL_SPLAY_LINKS *Links)
{
    ULONG Depth = 0;

    while (Links->Parent != Links) {
        Links = Links->Parent;
        Depth++;
    }
    return Depth;
}

KTEST(RtlSplayLiftsToTheRoot)
{
    RTL_SPLAY_LINKS Nodes[9], *Root;
    ULONG i;

    /* A degenerate tree: each the right child of the one before. */
    for (i = 0; i < ARRAYSIZE(Nodes); i++) {
        Nodes[i].Parent = i == 0 ? &Nodes[0] : &Nodes[i - 1];
        Nodes[i].LeftChild = NULL;
        Nodes[i].RightChild = i + 1 < ARRAYSIZE(Nodes) ? &Nodes[i + 1] : NULL;
    }
    Root = RtlSplay(&Nodes[8]);
    CHECK(Root == &Nodes[8]);
    CHECK(Root->Parent == Root);
    /* Rotating in pairs halves the depth on the way; one by one would keep the chain. */
    CHECK(Depth(&Nodes[0]) <= 6 && Depth(&Nodes[7]) <= 6);
    CHECK(RtlRealSuccessor(&Nodes[8]) == NULL);
    for (i = 0; i < 8; i++) {
        CHECK(RtlRealSuccessor(&Nodes[i]) == &Nodes[i + 1]);
        CHECK(RtlRealPredecessor(&Nodes[i + 1]) == &Nodes[i]);
    }
    for (i = 0; i < 8; i++) {
        RtlDeleteNoSplay(&Nodes[i], &Root);
        CHECK(Root != NULL && Root->Parent == Root);
    }
    CHECK(RtlDelete(&Nodes[8]) == NULL);
}
