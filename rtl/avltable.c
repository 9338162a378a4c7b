/*
 * avltable.c - RTL_AVL_TABLE: a set of the caller's structures over the balanced tree of avl.c.
 *
 * An element is one allocation of the caller's routine: a header the size of RTL_BALANCED_LINKS, of
 * which our node takes three words, then the copy of the structure. The tree itself lies in
 * BalancedRoot, which the document calls opaque. No locks: the caller serializes.
 */
#include <ntifs.h>
#include <ntexport.h>
#include "rtl.h"

typedef struct _RTLP_AVL_ELEMENT {
    union {
        RTLP_AVL_NODE Node;
        RTL_BALANCED_LINKS Header;
    };
    UCHAR Data[];
} RTLP_AVL_ELEMENT, *PRTLP_AVL_ELEMENT;
C_ASSERT(offsetof(RTLP_AVL_ELEMENT, Data) == 0x20);
C_ASSERT(sizeof(RTLP_AVL_TREE) <= sizeof(RTL_BALANCED_LINKS));

/* A search: the caller's structure and whose table it is looked up in. */
typedef struct _RTLP_AVL_QUERY {
    PRTL_AVL_TABLE Table;
    PVOID Buffer;
} RTLP_AVL_QUERY;

static PRTLP_AVL_TREE
RtlpTableTree(PRTL_AVL_TABLE Table)
{
    return (PRTLP_AVL_TREE)(PVOID)&Table->BalancedRoot;
}

static PRTLP_AVL_ELEMENT
RtlpAvlElement(const RTLP_AVL_NODE *Node)
{
    return CONTAINING_RECORD(Node, RTLP_AVL_ELEMENT, Node);
}

/* The structure of an element, NULL for none. */
static PVOID
RtlpAvlData(const RTLP_AVL_NODE *Node)
{
    return Node == NULL ? NULL : RtlpAvlElement(Node)->Data;
}

static LONG
RtlpAvlCompareElement(PCVOID Key, const RTLP_AVL_NODE *Node)
{
    const RTLP_AVL_QUERY *Query = Key;

    switch (Query->Table->CompareRoutine(Query->Table, Query->Buffer, RtlpAvlElement(Node)->Data)) {
    case GenericLessThan:
        return -1;
    case GenericGreaterThan:
        return 1;
    default:
        return 0;
    }
}

VOID NTAPI
RtlInitializeGenericTableAvl(PRTL_AVL_TABLE Table, PRTL_AVL_COMPARE_ROUTINE CompareRoutine,
                             PRTL_AVL_ALLOCATE_ROUTINE AllocateRoutine,
                             PRTL_AVL_FREE_ROUTINE FreeRoutine, PVOID TableContext)
{
    RtlZeroMemory(Table, sizeof(*Table));
    RtlpAvlInitialize(RtlpTableTree(Table));
    Table->CompareRoutine = CompareRoutine;
    Table->AllocateRoutine = AllocateRoutine;
    Table->FreeRoutine = FreeRoutine;
    Table->TableContext = TableContext;
}
NTEXPORT(RtlInitializeGenericTableAvl);

PVOID NTAPI
RtlLookupElementGenericTableFullAvl(PRTL_AVL_TABLE Table, PVOID Buffer, PVOID *NodeOrParent,
                                    TABLE_SEARCH_RESULT *SearchResult)
{
    RTLP_AVL_QUERY Query = {Table, Buffer};
    RTLP_AVL_PLACE Place;
    PRTLP_AVL_NODE Node;

    Node = RtlpAvlLocate(RtlpTableTree(Table), &Query, RtlpAvlCompareElement, &Place);
    if (Node != NULL) {
        *SearchResult = TableFoundNode;
        *NodeOrParent = Node;
    } else {
        *SearchResult = Place.Parent == NULL ? TableEmptyTree
                        : Place.Side == 0    ? TableInsertAsLeft
                                             : TableInsertAsRight;
        *NodeOrParent = Place.Parent;
    }
    return RtlpAvlData(Node);
}
NTEXPORT(RtlLookupElementGenericTableFullAvl);

PVOID NTAPI
RtlLookupElementGenericTableAvl(PRTL_AVL_TABLE Table, PVOID Buffer)
{
    TABLE_SEARCH_RESULT Result;
    PVOID Node;

    return RtlLookupElementGenericTableFullAvl(Table, Buffer, &Node, &Result);
}
NTEXPORT(RtlLookupElementGenericTableAvl);

/* Allocate an element with a copy of Buffer and put it in its place. */
static PRTLP_AVL_ELEMENT
RtlpAvlNewElement(PRTL_AVL_TABLE Table, PVOID Buffer, CLONG BufferSize, const RTLP_AVL_PLACE *Place)
{
    PRTLP_AVL_ELEMENT Element;

    if (BufferSize > MAXULONG - sizeof(*Element)) {
        return NULL;
    }
    Element = Table->AllocateRoutine(Table, (CLONG)sizeof(*Element) + BufferSize);
    if (Element == NULL) {
        return NULL;
    }
    RtlZeroMemory(&Element->Header, sizeof(Element->Header));
    if (BufferSize != 0) {
        RtlCopyMemory(Element->Data, Buffer, BufferSize);
    }
    RtlpAvlInsertAt(RtlpTableTree(Table), &Element->Node, Place);
    Table->NumberGenericTableElements++;
    Table->OrderedPointer = NULL;
    Table->WhichOrderedElement = 0;
    return Element;
}

PVOID NTAPI
RtlInsertElementGenericTableFullAvl(PRTL_AVL_TABLE Table, PVOID Buffer, CLONG BufferSize,
                                    PBOOLEAN NewElement, PVOID NodeOrParent,
                                    TABLE_SEARCH_RESULT SearchResult)
{
    RTLP_AVL_PLACE Place = {NodeOrParent, SearchResult == TableInsertAsRight};
    PRTLP_AVL_ELEMENT Element;

    if (SearchResult == TableFoundNode) {
        Element = RtlpAvlElement(NodeOrParent);
    } else {
        Element = RtlpAvlNewElement(Table, Buffer, BufferSize, &Place);
    }
    if (NewElement != NULL) {
        *NewElement = Element != NULL && SearchResult != TableFoundNode;
    }
    return Element == NULL ? NULL : Element->Data;
}
NTEXPORT(RtlInsertElementGenericTableFullAvl);

PVOID NTAPI
RtlInsertElementGenericTableAvl(PRTL_AVL_TABLE Table, PVOID Buffer, CLONG BufferSize,
                                PBOOLEAN NewElement)
{
    TABLE_SEARCH_RESULT Result;
    PVOID Node;

    RtlLookupElementGenericTableFullAvl(Table, Buffer, &Node, &Result);
    return RtlInsertElementGenericTableFullAvl(Table, Buffer, BufferSize, NewElement, Node, Result);
}
NTEXPORT(RtlInsertElementGenericTableAvl);

BOOLEAN NTAPI
RtlDeleteElementGenericTableAvl(PRTL_AVL_TABLE Table, PVOID Buffer)
{
    RTLP_AVL_QUERY Query = {Table, Buffer};
    PRTLP_AVL_NODE Node = RtlpAvlFind(RtlpTableTree(Table), &Query, RtlpAvlCompareElement);

    if (Node == NULL) {
        return FALSE;
    }
    /* An enumeration that stands here goes on with what follows. */
    if (Table->RestartKey == (PRTL_BALANCED_LINKS)(PVOID)Node) {
        Table->RestartKey = (PRTL_BALANCED_LINKS)(PVOID)RtlpAvlPrevious(Node);
    }
    RtlpAvlRemove(RtlpTableTree(Table), Node);
    Table->DeleteCount++;
    Table->NumberGenericTableElements--;
    Table->OrderedPointer = NULL;
    Table->WhichOrderedElement = 0;
    Table->FreeRoutine(Table, RtlpAvlElement(Node));
    return TRUE;
}
NTEXPORT(RtlDeleteElementGenericTableAvl);

PVOID NTAPI
RtlLookupFirstMatchingElementGenericTableAvl(PRTL_AVL_TABLE Table, PVOID Buffer, PVOID *RestartKey)
{
    RTLP_AVL_QUERY Query = {Table, Buffer};
    PRTLP_AVL_NODE Node = RtlpAvlLowerBound(RtlpTableTree(Table), &Query, RtlpAvlCompareElement);

    if (Node == NULL || RtlpAvlCompareElement(&Query, Node) != 0) {
        return NULL;
    }
    *RestartKey = Node;
    return RtlpAvlData(Node);
}
NTEXPORT(RtlLookupFirstMatchingElementGenericTableAvl);

PVOID NTAPI
RtlEnumerateGenericTableWithoutSplayingAvl(PRTL_AVL_TABLE Table, PVOID *RestartKey)
{
    PRTLP_AVL_NODE Node = *RestartKey == NULL ? RtlpAvlFirst(RtlpTableTree(Table))
                                              : RtlpAvlNext(*RestartKey);

    if (Node != NULL) {
        *RestartKey = Node;
    }
    return RtlpAvlData(Node);
}
NTEXPORT(RtlEnumerateGenericTableWithoutSplayingAvl);

PVOID NTAPI
RtlEnumerateGenericTableAvl(PRTL_AVL_TABLE Table, BOOLEAN Restart)
{
    PVOID Key = Restart ? NULL : Table->RestartKey;
    PVOID Data = RtlEnumerateGenericTableWithoutSplayingAvl(Table, &Key);

    Table->RestartKey = Key;
    return Data;
}
NTEXPORT(RtlEnumerateGenericTableAvl);

PVOID NTAPI
RtlGetElementGenericTableAvl(PRTL_AVL_TABLE Table, ULONG I)
{
    PRTLP_AVL_NODE Node = Table->OrderedPointer;
    ULONG At = Table->WhichOrderedElement; /* of Node, from 1 on; 0: none */
    ULONG Wanted = I + 1;

    if (I >= Table->NumberGenericTableElements) {
        return NULL;
    }
    if (At == 0 || Wanted < At / 2) {
        Node = RtlpAvlFirst(RtlpTableTree(Table));
        At = 1;
    }
    if (Wanted > At && Table->NumberGenericTableElements - Wanted < Wanted - At) {
        Node = RtlpAvlLast(RtlpTableTree(Table));
        At = Table->NumberGenericTableElements;
    }
    for (; At < Wanted; At++) {
        Node = RtlpAvlNext(Node);
    }
    for (; At > Wanted; At--) {
        Node = RtlpAvlPrevious(Node);
    }
    Table->OrderedPointer = Node;
    Table->WhichOrderedElement = Wanted;
    return RtlpAvlData(Node);
}
NTEXPORT(RtlGetElementGenericTableAvl);

ULONG NTAPI
RtlNumberGenericTableElementsAvl(PRTL_AVL_TABLE Table)
{
    return Table->NumberGenericTableElements;
}
NTEXPORT(RtlNumberGenericTableElementsAvl);

BOOLEAN NTAPI
RtlIsGenericTableEmptyAvl(PRTL_AVL_TABLE Table)
{
    return Table->NumberGenericTableElements == 0;
}
NTEXPORT(RtlIsGenericTableEmptyAvl);
