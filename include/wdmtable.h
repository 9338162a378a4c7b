/*
 * wdmtable.h - splay links and generic tables. Part of ntddk.h.
 *
 * Structures have the documented layout; a driver initializes tables by the routines and reads
 * nothing but TableContext. The caller serializes all calls on a table. Resident tables at any IRQL,
 * pageable ones below DISPATCH_LEVEL.
 */
#ifndef NTMM_WDMTABLE_H
#define NTMM_WDMTABLE_H

#include "wdmintl.h"

EXTERN_C_START

/* ---- Splay links ---- */

typedef struct _RTL_SPLAY_LINKS {
    struct _RTL_SPLAY_LINKS *Parent; /* the node itself: it is the root */
    struct _RTL_SPLAY_LINKS *LeftChild;
    struct _RTL_SPLAY_LINKS *RightChild;
} RTL_SPLAY_LINKS, *PRTL_SPLAY_LINKS;
C_ASSERT(sizeof(RTL_SPLAY_LINKS) == 0x18);

#define RtlInitializeSplayLinks(Links)                                                             \
    do {                                                                                           \
        (Links)->Parent = (Links);                                                                 \
        (Links)->LeftChild = NULL;                                                                 \
        (Links)->RightChild = NULL;                                                                \
    } while (0)
#define RtlParent(Links) ((Links)->Parent)
#define RtlLeftChild(Links) ((Links)->LeftChild)
#define RtlRightChild(Links) ((Links)->RightChild)
#define RtlIsRoot(Links) ((Links)->Parent == (Links))
#define RtlIsLeftChild(Links) ((Links)->Parent->LeftChild == (Links))
#define RtlIsRightChild(Links) ((Links)->Parent->RightChild == (Links))
#define RtlInsertAsLeftChild(ParentLinks, ChildLinks)                                              \
    do {                                                                                           \
        (ParentLinks)->LeftChild = (ChildLinks);                                                   \
        (ChildLinks)->Parent = (ParentLinks);                                                      \
    } while (0)
#define RtlInsertAsRightChild(ParentLinks, ChildLinks)                                             \
    do {                                                                                           \
        (ParentLinks)->RightChild = (ChildLinks);                                                  \
        (ChildLinks)->Parent = (ParentLinks);                                                      \
    } while (0)

/* Rotate Links to the root of its tree; returns it. */
NTSYSAPI PRTL_SPLAY_LINKS NTAPI
RtlSplay(_Inout_ PRTL_SPLAY_LINKS Links);

/* Take Links out of its tree and splay its parent; returns the new root, NULL if none is left. */
NTSYSAPI PRTL_SPLAY_LINKS NTAPI
RtlDelete(_In_ PRTL_SPLAY_LINKS Links);

/* Take Links out of the tree under *Root, moving no other node upwards. */
NTSYSAPI VOID NTAPI
RtlDeleteNoSplay(_In_ PRTL_SPLAY_LINKS Links, _Inout_ PRTL_SPLAY_LINKS *Root);

/* The neighbours of Links in order; in its subtree only, or in the whole tree. NULL: none. */
NTSYSAPI PRTL_SPLAY_LINKS NTAPI
RtlSubtreeSuccessor(_In_ PRTL_SPLAY_LINKS Links);
NTSYSAPI PRTL_SPLAY_LINKS NTAPI
RtlSubtreePredecessor(_In_ PRTL_SPLAY_LINKS Links);
NTSYSAPI PRTL_SPLAY_LINKS NTAPI
RtlRealSuccessor(_In_ PRTL_SPLAY_LINKS Links);
NTSYSAPI PRTL_SPLAY_LINKS NTAPI
RtlRealPredecessor(_In_ PRTL_SPLAY_LINKS Links);

/* ---- Generic tables: ordered sets of copies of the caller's structures ---- */

typedef enum _TABLE_SEARCH_RESULT {
    TableEmptyTree,
    TableFoundNode,
    TableInsertAsLeft,
    TableInsertAsRight
} TABLE_SEARCH_RESULT;

typedef enum _RTL_GENERIC_COMPARE_RESULTS {
    GenericLessThan,
    GenericGreaterThan,
    GenericEqual
} RTL_GENERIC_COMPARE_RESULTS;

struct _RTL_GENERIC_TABLE;

/* The caller's: compare two of its structures; give ByteSize bytes, or NULL; take them back. */
typedef RTL_GENERIC_COMPARE_RESULTS NTAPI RTL_GENERIC_COMPARE_ROUTINE(
    _In_ struct _RTL_GENERIC_TABLE *Table, _In_ PVOID FirstStruct, _In_ PVOID SecondStruct);
typedef RTL_GENERIC_COMPARE_ROUTINE *PRTL_GENERIC_COMPARE_ROUTINE;
typedef PVOID NTAPI RTL_GENERIC_ALLOCATE_ROUTINE(_In_ struct _RTL_GENERIC_TABLE *Table,
                                                 _In_ CLONG ByteSize);
typedef RTL_GENERIC_ALLOCATE_ROUTINE *PRTL_GENERIC_ALLOCATE_ROUTINE;
typedef VOID NTAPI RTL_GENERIC_FREE_ROUTINE(_In_ struct _RTL_GENERIC_TABLE *Table,
                                            _In_ PVOID Buffer);
typedef RTL_GENERIC_FREE_ROUTINE *PRTL_GENERIC_FREE_ROUTINE;

typedef struct _RTL_GENERIC_TABLE {
    PRTL_SPLAY_LINKS TableRoot;
    LIST_ENTRY InsertOrderList;
    PLIST_ENTRY OrderedPointer; /* the element that RtlGetElementGenericTable found last */
    ULONG WhichOrderedElement;  /* its number from 1 on, 0: none */
    ULONG NumberGenericTableElements;
    PRTL_GENERIC_COMPARE_ROUTINE CompareRoutine;
    PRTL_GENERIC_ALLOCATE_ROUTINE AllocateRoutine;
    PRTL_GENERIC_FREE_ROUTINE FreeRoutine;
    PVOID TableContext;
} RTL_GENERIC_TABLE, *PRTL_GENERIC_TABLE;
C_ASSERT(sizeof(RTL_GENERIC_TABLE) == 0x48);

/* Make Table empty. */
NTSYSAPI VOID NTAPI
RtlInitializeGenericTable(_Out_ PRTL_GENERIC_TABLE Table,
                          _In_ PRTL_GENERIC_COMPARE_ROUTINE CompareRoutine,
                          _In_ PRTL_GENERIC_ALLOCATE_ROUTINE AllocateRoutine,
                          _In_ PRTL_GENERIC_FREE_ROUTINE FreeRoutine, _In_opt_ PVOID TableContext);

/*
 * Copy BufferSize bytes into a new element, unless one is equal; returns the element's structure,
 * new or old, or NULL without memory. The allocation also holds 0x28 bytes of header.
 */
NTSYSAPI PVOID NTAPI
RtlInsertElementGenericTable(_In_ PRTL_GENERIC_TABLE Table, _In_ PVOID Buffer,
                             _In_ CLONG BufferSize, _Out_opt_ PBOOLEAN NewElement);

/* The same with the place that RtlLookupElementGenericTableFull found. */
NTSYSAPI PVOID NTAPI
RtlInsertElementGenericTableFull(_In_ PRTL_GENERIC_TABLE Table, _In_ PVOID Buffer,
                                 _In_ CLONG BufferSize, _Out_opt_ PBOOLEAN NewElement,
                                 _In_ PVOID NodeOrParent, _In_ TABLE_SEARCH_RESULT SearchResult);

/* Remove and free the element equal to Buffer; FALSE if there is none. */
NTSYSAPI BOOLEAN NTAPI
RtlDeleteElementGenericTable(_In_ PRTL_GENERIC_TABLE Table, _In_ PVOID Buffer);

/* The structure of the element equal to Buffer, or NULL. */
NTSYSAPI PVOID NTAPI
RtlLookupElementGenericTable(_In_ PRTL_GENERIC_TABLE Table, _In_ PVOID Buffer);

/* The same, and where it is or would be inserted. */
NTSYSAPI PVOID NTAPI
RtlLookupElementGenericTableFull(_In_ PRTL_GENERIC_TABLE Table, _In_ PVOID Buffer,
                                 _Out_ PVOID *NodeOrParent, _Out_ TABLE_SEARCH_RESULT *SearchResult);

/* The first structure in order (Restart), or the next after the last one returned; NULL: no more. */
NTSYSAPI PVOID NTAPI
RtlEnumerateGenericTable(_In_ PRTL_GENERIC_TABLE Table, _In_ BOOLEAN Restart);

/* The same with the position in *RestartKey, NULL at first. */
NTSYSAPI PVOID NTAPI
RtlEnumerateGenericTableWithoutSplaying(_In_ PRTL_GENERIC_TABLE Table, _Inout_ PVOID *RestartKey);

/* The I-th structure, from 0 on, in order of insertion; NULL: there are not so many. */
NTSYSAPI PVOID NTAPI
RtlGetElementGenericTable(_In_ PRTL_GENERIC_TABLE Table, _In_ ULONG I);

NTSYSAPI ULONG NTAPI
RtlNumberGenericTableElements(_In_ PRTL_GENERIC_TABLE Table);
NTSYSAPI BOOLEAN NTAPI
RtlIsGenericTableEmpty(_In_ PRTL_GENERIC_TABLE Table);

/* ---- Generic tables over a balanced tree ---- */

typedef struct _RTL_BALANCED_LINKS {
    struct _RTL_BALANCED_LINKS *Parent;
    struct _RTL_BALANCED_LINKS *LeftChild;
    struct _RTL_BALANCED_LINKS *RightChild;
    CHAR Balance;
    UCHAR Reserved[3];
} RTL_BALANCED_LINKS, *PRTL_BALANCED_LINKS;
C_ASSERT(sizeof(RTL_BALANCED_LINKS) == 0x20);

struct _RTL_AVL_TABLE;

typedef RTL_GENERIC_COMPARE_RESULTS NTAPI RTL_AVL_COMPARE_ROUTINE(
    _In_ struct _RTL_AVL_TABLE *Table, _In_ PVOID FirstStruct, _In_ PVOID SecondStruct);
typedef RTL_AVL_COMPARE_ROUTINE *PRTL_AVL_COMPARE_ROUTINE;
typedef PVOID NTAPI RTL_AVL_ALLOCATE_ROUTINE(_In_ struct _RTL_AVL_TABLE *Table,
                                             _In_ CLONG ByteSize);
typedef RTL_AVL_ALLOCATE_ROUTINE *PRTL_AVL_ALLOCATE_ROUTINE;
typedef VOID NTAPI RTL_AVL_FREE_ROUTINE(_In_ struct _RTL_AVL_TABLE *Table, _In_ PVOID Buffer);
typedef RTL_AVL_FREE_ROUTINE *PRTL_AVL_FREE_ROUTINE;

typedef struct _RTL_AVL_TABLE {
    RTL_BALANCED_LINKS BalancedRoot; /* opaque */
    PVOID OrderedPointer;
    ULONG WhichOrderedElement;
    ULONG NumberGenericTableElements;
    ULONG DepthOfTree;
    PRTL_BALANCED_LINKS RestartKey; /* the element that RtlEnumerateGenericTableAvl returned last */
    ULONG DeleteCount;
    PRTL_AVL_COMPARE_ROUTINE CompareRoutine;
    PRTL_AVL_ALLOCATE_ROUTINE AllocateRoutine;
    PRTL_AVL_FREE_ROUTINE FreeRoutine;
    PVOID TableContext;
} RTL_AVL_TABLE, *PRTL_AVL_TABLE;
C_ASSERT(sizeof(RTL_AVL_TABLE) == 0x68);

/* As their namesakes above; an element's header has 0x20 bytes, and RtlGetElement goes by order. */
NTSYSAPI VOID NTAPI
RtlInitializeGenericTableAvl(_Out_ PRTL_AVL_TABLE Table,
                             _In_ PRTL_AVL_COMPARE_ROUTINE CompareRoutine,
                             _In_ PRTL_AVL_ALLOCATE_ROUTINE AllocateRoutine,
                             _In_ PRTL_AVL_FREE_ROUTINE FreeRoutine, _In_opt_ PVOID TableContext);
NTSYSAPI PVOID NTAPI
RtlInsertElementGenericTableAvl(_In_ PRTL_AVL_TABLE Table, _In_ PVOID Buffer, _In_ CLONG BufferSize,
                                _Out_opt_ PBOOLEAN NewElement);
NTSYSAPI PVOID NTAPI
RtlInsertElementGenericTableFullAvl(_In_ PRTL_AVL_TABLE Table, _In_ PVOID Buffer,
                                    _In_ CLONG BufferSize, _Out_opt_ PBOOLEAN NewElement,
                                    _In_ PVOID NodeOrParent, _In_ TABLE_SEARCH_RESULT SearchResult);
NTSYSAPI BOOLEAN NTAPI
RtlDeleteElementGenericTableAvl(_In_ PRTL_AVL_TABLE Table, _In_ PVOID Buffer);
NTSYSAPI PVOID NTAPI
RtlLookupElementGenericTableAvl(_In_ PRTL_AVL_TABLE Table, _In_ PVOID Buffer);
NTSYSAPI PVOID NTAPI
RtlLookupElementGenericTableFullAvl(_In_ PRTL_AVL_TABLE Table, _In_ PVOID Buffer,
                                    _Out_ PVOID *NodeOrParent,
                                    _Out_ TABLE_SEARCH_RESULT *SearchResult);

/* The first in order of all structures that compare equal to Buffer. */
NTSYSAPI PVOID NTAPI
RtlLookupFirstMatchingElementGenericTableAvl(_In_ PRTL_AVL_TABLE Table, _In_ PVOID Buffer,
                                             _Out_ PVOID *RestartKey);
NTSYSAPI PVOID NTAPI
RtlEnumerateGenericTableAvl(_In_ PRTL_AVL_TABLE Table, _In_ BOOLEAN Restart);
NTSYSAPI PVOID NTAPI
RtlEnumerateGenericTableWithoutSplayingAvl(_In_ PRTL_AVL_TABLE Table, _Inout_ PVOID *RestartKey);
NTSYSAPI PVOID NTAPI
RtlGetElementGenericTableAvl(_In_ PRTL_AVL_TABLE Table, _In_ ULONG I);
NTSYSAPI ULONG NTAPI
RtlNumberGenericTableElementsAvl(_In_ PRTL_AVL_TABLE Table);
NTSYSAPI BOOLEAN NTAPI
RtlIsGenericTableEmptyAvl(_In_ PRTL_AVL_TABLE Table);

EXTERN_C_END

#endif
