/*
 * table.c - RTL_GENERIC_TABLE: a set of the caller's structures over a splay tree.
 *
 * An element is one allocation of the caller's routine: splay links, a link of the list in order of
 * insertion, then the copy of the structure. The root of the tree is what was touched last, which is
 * also how RtlEnumerateGenericTable knows where it was. No locks: the caller serializes.
 */
#include <ntifs.h>
#include <ntexport.h>
#include "rtl.h"

typedef struct _RTLP_TABLE_ELEMENT {
    RTL_SPLAY_LINKS Links;
    LIST_ENTRY Order;
    UCHAR Data[];
} RTLP_TABLE_ELEMENT, *PRTLP_TABLE_ELEMENT;
C_ASSERT(offsetof(RTLP_TABLE_ELEMENT, Data) == 0x28);

static PRTLP_TABLE_ELEMENT
RtlpElement(PRTL_SPLAY_LINKS Links)
{
    return CONTAINING_RECORD(Links, RTLP_TABLE_ELEMENT, Links);
}

VOID NTAPI
RtlInitializeGenericTable(PRTL_GENERIC_TABLE Table, PRTL_GENERIC_COMPARE_ROUTINE CompareRoutine,
                          PRTL_GENERIC_ALLOCATE_ROUTINE AllocateRoutine,
                          PRTL_GENERIC_FREE_ROUTINE FreeRoutine, PVOID TableContext)
{
    Table->TableRoot = NULL;
    Table->InsertOrderList.Flink = &Table->InsertOrderList;
    Table->InsertOrderList.Blink = &Table->InsertOrderList;
    Table->OrderedPointer = &Table->InsertOrderList;
    Table->WhichOrderedElement = 0;
    Table->NumberGenericTableElements = 0;
    Table->CompareRoutine = CompareRoutine;
    Table->AllocateRoutine = AllocateRoutine;
    Table->FreeRoutine = FreeRoutine;
    Table->TableContext = TableContext;
}
NTEXPORT(RtlInitializeGenericTable);

/* Search; *Node is the element found or the one under which Buffer belongs. */
static TABLE_SEARCH_RESULT
RtlpSearchTable(PRTL_GENERIC_TABLE Table, PVOID Buffer, PRTL_SPLAY_LINKS *Node)
{
    PRTL_SPLAY_LINKS Next = Table->TableRoot;
    TABLE_SEARCH_RESULT Result = TableEmptyTree;

    *Node = NULL;
    while (Next != NULL) {
        *Node = Next;
        switch (Table->CompareRoutine(Table, Buffer, RtlpElement(Next)->Data)) {
        case GenericLessThan:
            Result = TableInsertAsLeft;
            Next = Next->LeftChild;
            break;
        case GenericGreaterThan:
            Result = TableInsertAsRight;
            Next = Next->RightChild;
            break;
        default:
            return TableFoundNode;
        }
    }
    return Result;
}

PVOID NTAPI
RtlLookupElementGenericTableFull(PRTL_GENERIC_TABLE Table, PVOID Buffer, PVOID *NodeOrParent,
                                 TABLE_SEARCH_RESULT *SearchResult)
{
    PRTL_SPLAY_LINKS Node;

    *SearchResult = RtlpSearchTable(Table, Buffer, &Node);
    *NodeOrParent = Node;
    if (*SearchResult != TableFoundNode) {
        return NULL;
    }
    Table->TableRoot = RtlSplay(Node);
    return RtlpElement(Node)->Data;
}
NTEXPORT(RtlLookupElementGenericTableFull);

PVOID NTAPI
RtlLookupElementGenericTable(PRTL_GENERIC_TABLE Table, PVOID Buffer)
{
    TABLE_SEARCH_RESULT Result;
    PVOID Node;

    return RtlLookupElementGenericTableFull(Table, Buffer, &Node, &Result);
}
NTEXPORT(RtlLookupElementGenericTable);

/* Allocate an element with a copy of Buffer; not linked yet. */
static PRTLP_TABLE_ELEMENT
RtlpNewElement(PRTL_GENERIC_TABLE Table, PVOID Buffer, CLONG BufferSize)
{
    PRTLP_TABLE_ELEMENT Element;

    if (BufferSize > MAXULONG - sizeof(*Element)) {
        return NULL;
    }
    Element = Table->AllocateRoutine(Table, (CLONG)sizeof(*Element) + BufferSize);
    if (Element == NULL) {
        return NULL;
    }
    Element->Links.Parent = &Element->Links;
    Element->Links.LeftChild = NULL;
    Element->Links.RightChild = NULL;
    if (BufferSize != 0) {
        RtlCopyMemory(Element->Data, Buffer, BufferSize);
    }
    return Element;
}

static VOID
RtlpLinkElement(PRTL_GENERIC_TABLE Table, PRTLP_TABLE_ELEMENT Element, PRTL_SPLAY_LINKS Parent,
                TABLE_SEARCH_RESULT Side)
{
    PLIST_ENTRY Head = &Table->InsertOrderList;

    if (Side == TableInsertAsLeft) {
        Parent->LeftChild = &Element->Links;
        Element->Links.Parent = Parent;
    } else if (Side == TableInsertAsRight) {
        Parent->RightChild = &Element->Links;
        Element->Links.Parent = Parent;
    }
    Element->Order.Flink = Head;
    Element->Order.Blink = Head->Blink;
    Head->Blink->Flink = &Element->Order;
    Head->Blink = &Element->Order;
    Table->NumberGenericTableElements++;
}

PVOID NTAPI
RtlInsertElementGenericTableFull(PRTL_GENERIC_TABLE Table, PVOID Buffer, CLONG BufferSize,
                                 PBOOLEAN NewElement, PVOID NodeOrParent,
                                 TABLE_SEARCH_RESULT SearchResult)
{
    PRTLP_TABLE_ELEMENT Element;

    if (SearchResult == TableFoundNode) {
        Element = RtlpElement(NodeOrParent);
    } else {
        Element = RtlpNewElement(Table, Buffer, BufferSize);
        if (Element == NULL) {
            if (NewElement != NULL) {
                *NewElement = FALSE;
            }
            return NULL;
        }
        RtlpLinkElement(Table, Element, NodeOrParent, SearchResult);
    }
    Table->TableRoot = RtlSplay(&Element->Links);
    if (NewElement != NULL) {
        *NewElement = SearchResult != TableFoundNode;
    }
    return Element->Data;
}
NTEXPORT(RtlInsertElementGenericTableFull);

PVOID NTAPI
RtlInsertElementGenericTable(PRTL_GENERIC_TABLE Table, PVOID Buffer, CLONG BufferSize,
                             PBOOLEAN NewElement)
{
    PRTL_SPLAY_LINKS Node;
    TABLE_SEARCH_RESULT Result = RtlpSearchTable(Table, Buffer, &Node);

    return RtlInsertElementGenericTableFull(Table, Buffer, BufferSize, NewElement, Node, Result);
}
NTEXPORT(RtlInsertElementGenericTable);

BOOLEAN NTAPI
RtlDeleteElementGenericTable(PRTL_GENERIC_TABLE Table, PVOID Buffer)
{
    PRTL_SPLAY_LINKS Node;
    PRTLP_TABLE_ELEMENT Element;

    if (RtlpSearchTable(Table, Buffer, &Node) != TableFoundNode) {
        return FALSE;
    }
    Element = RtlpElement(Node);
    Table->TableRoot = RtlDelete(Node);
    Element->Order.Blink->Flink = Element->Order.Flink;
    Element->Order.Flink->Blink = Element->Order.Blink;
    Table->OrderedPointer = &Table->InsertOrderList;
    Table->WhichOrderedElement = 0;
    Table->NumberGenericTableElements--;
    Table->FreeRoutine(Table, Element);
    return TRUE;
}
NTEXPORT(RtlDeleteElementGenericTable);

/* The first element in order. */
static PRTL_SPLAY_LINKS
RtlpFirstLinks(PRTL_GENERIC_TABLE Table)
{
    PRTL_SPLAY_LINKS Links = Table->TableRoot;

    while (Links != NULL && Links->LeftChild != NULL) {
        Links = Links->LeftChild;
    }
    return Links;
}

PVOID NTAPI
RtlEnumerateGenericTable(PRTL_GENERIC_TABLE Table, BOOLEAN Restart)
{
    PRTL_SPLAY_LINKS Links;

    if (Table->TableRoot == NULL) {
        return NULL;
    }
    Links = Restart ? RtlpFirstLinks(Table) : RtlRealSuccessor(Table->TableRoot);
    if (Links == NULL) {
        return NULL;
    }
    Table->TableRoot = RtlSplay(Links);
    return RtlpElement(Links)->Data;
}
NTEXPORT(RtlEnumerateGenericTable);

PVOID NTAPI
RtlEnumerateGenericTableWithoutSplaying(PRTL_GENERIC_TABLE Table, PVOID *RestartKey)
{
    PRTL_SPLAY_LINKS Links = *RestartKey == NULL ? RtlpFirstLinks(Table)
                                                 : RtlRealSuccessor(*RestartKey);

    if (Links == NULL) {
        return NULL;
    }
    *RestartKey = Links;
    return RtlpElement(Links)->Data;
}
NTEXPORT(RtlEnumerateGenericTableWithoutSplaying);

PVOID NTAPI
RtlGetElementGenericTable(PRTL_GENERIC_TABLE Table, ULONG I)
{
    ULONG Wanted = I + 1, At = Table->WhichOrderedElement;
    PLIST_ENTRY Entry = Table->OrderedPointer;

    if (I >= Table->NumberGenericTableElements) {
        return NULL;
    }
    /* Start from what is nearest: the last element asked for, the head, or the head's far side. */
    if (At == 0 || Wanted < At / 2) {
        Entry = &Table->InsertOrderList;
        At = 0;
    }
    if (Wanted > At && Table->NumberGenericTableElements + 1 - Wanted < Wanted - At) {
        Entry = &Table->InsertOrderList;
        At = Table->NumberGenericTableElements + 1;
    }
    for (; At < Wanted; At++) {
        Entry = Entry->Flink;
    }
    for (; At > Wanted; At--) {
        Entry = Entry->Blink;
    }
    Table->OrderedPointer = Entry;
    Table->WhichOrderedElement = Wanted;
    return CONTAINING_RECORD(Entry, RTLP_TABLE_ELEMENT, Order)->Data;
}
NTEXPORT(RtlGetElementGenericTable);

ULONG NTAPI
RtlNumberGenericTableElements(PRTL_GENERIC_TABLE Table)
{
    return Table->NumberGenericTableElements;
}
NTEXPORT(RtlNumberGenericTableElements);

BOOLEAN NTAPI
RtlIsGenericTableEmpty(PRTL_GENERIC_TABLE Table)
{
    return Table->TableRoot == NULL;
}
NTEXPORT(RtlIsGenericTableEmpty);
