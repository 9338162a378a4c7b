/*
 * rtl.h - helpers for the whole core that no document names: a balanced tree, formatting, random
 * numbers, a checksum, unwinding, code page and case tables.
 *
 * Pure: no locks, no allocation, no global state; the caller brings its own lock. Any IRQL at which
 * the memory named is resident. The documented Rtl routines are declared by the public headers.
 */
#ifndef NTMM_RTL_RTL_H
#define NTMM_RTL_RTL_H

#include <ntddk.h>

/* ---- Balanced tree (avl.c) ---- */

typedef struct _RTLP_AVL_NODE {
    struct _RTLP_AVL_NODE *Child[2]; /* smaller, larger */
    ULONG_PTR ParentAndBalance;
} RTLP_AVL_NODE, *PRTLP_AVL_NODE;
C_ASSERT(sizeof(RTLP_AVL_NODE) == 0x18);

/*
 * For trees whose nodes sum up their subtrees: compute the sum of a node from itself and its children's sums; TRUE if it
 * is not what it was. The sum of a subtree must not depend on its shape. Insertion and removal keep all sums right.
 */
typedef BOOLEAN RTLP_AVL_SUM(_Inout_ PRTLP_AVL_NODE Node);

typedef struct _RTLP_AVL_TREE {
    PRTLP_AVL_NODE Root;
    SIZE_T Count;
    RTLP_AVL_SUM *Sum; /* NULL: nodes have none */
} RTLP_AVL_TREE, *PRTLP_AVL_TREE;

/* Where a node belongs: what RtlpAvlLocate found and RtlpAvlInsertAt uses. */
typedef struct _RTLP_AVL_PLACE {
    PRTLP_AVL_NODE Parent;
    ULONG Side;
} RTLP_AVL_PLACE, *PRTLP_AVL_PLACE;

/* Below 0: Key comes before Node; 0: they match (for ranges: overlap); above 0: Key comes after. */
typedef LONG RTLP_AVL_COMPARE(_In_ PCVOID Key, _In_ const RTLP_AVL_NODE *Node);

/* Whether First may stand directly before Second. */
typedef BOOLEAN RTLP_AVL_ORDERED(_In_ const RTLP_AVL_NODE *First, _In_ const RTLP_AVL_NODE *Second);

/* Make Tree empty, without sums: Tree->Sum may be set then. */
VOID
RtlpAvlInitialize(_Out_ PRTLP_AVL_TREE Tree);

/* The node that matches Key; or NULL and in *Place where such a node belongs. */
PRTLP_AVL_NODE
RtlpAvlLocate(_In_ const RTLP_AVL_TREE *Tree, _In_ PCVOID Key, _In_ RTLP_AVL_COMPARE *Compare,
              _Out_ PRTLP_AVL_PLACE Place);

/* Insert Node at a place just located; the tree has not changed since. Cannot fail. */
VOID
RtlpAvlInsertAt(_Inout_ PRTLP_AVL_TREE Tree, _Out_ PRTLP_AVL_NODE Node,
                _In_ const RTLP_AVL_PLACE *Place);

/* Insert Node where Key belongs; FALSE, and nothing done, when a node already matches. */
BOOLEAN
RtlpAvlInsert(_Inout_ PRTLP_AVL_TREE Tree, _Out_ PRTLP_AVL_NODE Node, _In_ PCVOID Key,
              _In_ RTLP_AVL_COMPARE *Compare);

/* Take Node out of the tree it is in. */
VOID
RtlpAvlRemove(_Inout_ PRTLP_AVL_TREE Tree, _In_ PRTLP_AVL_NODE Node);

/* A node's own part of its sum has changed: make the sums of it and above right. */
VOID
RtlpAvlResum(_In_ const RTLP_AVL_TREE *Tree, _Inout_ PRTLP_AVL_NODE Node);

/* The node above, NULL for the root. */
PRTLP_AVL_NODE
RtlpAvlAbove(_In_ const RTLP_AVL_NODE *Node);

/* The node that matches Key, or NULL. */
PRTLP_AVL_NODE
RtlpAvlFind(_In_ const RTLP_AVL_TREE *Tree, _In_ PCVOID Key, _In_ RTLP_AVL_COMPARE *Compare);

/* The first node that matches Key or comes after it, or NULL. */
PRTLP_AVL_NODE
RtlpAvlLowerBound(_In_ const RTLP_AVL_TREE *Tree, _In_ PCVOID Key, _In_ RTLP_AVL_COMPARE *Compare);

/* The ends of the tree and the neighbours of a node, in order; NULL where there is none. */
PRTLP_AVL_NODE
RtlpAvlFirst(_In_ const RTLP_AVL_TREE *Tree);
PRTLP_AVL_NODE
RtlpAvlLast(_In_ const RTLP_AVL_TREE *Tree);
PRTLP_AVL_NODE
RtlpAvlNext(_In_ const RTLP_AVL_NODE *Node);
PRTLP_AVL_NODE
RtlpAvlPrevious(_In_ const RTLP_AVL_NODE *Node);

/* Whether links, balances, count and (if Ordered is given) order are all right. */
BOOLEAN
RtlpAvlValidate(_In_ const RTLP_AVL_TREE *Tree, _In_opt_ RTLP_AVL_ORDERED *Ordered);

/* ---- Formatting (format.c) ---- */

/* Takes one unit of output: a byte of a narrow string, 16 bits of a wide one. */
typedef VOID RTLP_PUT(_In_opt_ PVOID Context, _In_ WCHAR Unit);

/*
 * Format as the kernel's printf family does and hand each unit to Put; returns how many. Format is a
 * wide string if Wide. Arguments are those of an NTAPI variadic routine. The conversions are listed
 * in format.c; there is no floating point.
 */
ULONG
RtlpFormat(_In_ RTLP_PUT *Put, _In_opt_ PVOID Context, _In_ PCVOID Format, _In_ BOOLEAN Wide,
           _In_ NT_VA_LIST Args);

/*
 * Format into Buffer of Capacity bytes, always terminated (Capacity above 0), cut if too long;
 * returns the bytes before the terminator. For the core's own messages.
 */
ULONG
RtlpFormatBuffer(_Out_ PCHAR Buffer, _In_ ULONG Capacity, _In_ PCSTR Format, _In_ NT_VA_LIST Args);

/* The same with the arguments in place. */
ULONG NTAPI
RtlpPrintBuffer(_Out_ PCHAR Buffer, _In_ ULONG Capacity, _In_ PCSTR Format, ...);

/* ---- Characters (chars.c) ---- */

/* The code unit of a byte of the ANSI code page, 1252, and the other way ('?' if it has none). */
WCHAR
RtlpAnsiToWide(_In_ UCHAR Byte);
UCHAR
RtlpWideToAnsi(_In_ WCHAR Unit);

/* The same for the OEM code page, 437 (oem.c); FALSE, and '?', if it lacks the unit. */
WCHAR
RtlpOemToWide(_In_ UCHAR Byte);
BOOLEAN
RtlpWideToOem(_In_ WCHAR Unit, _Out_ PUCHAR Byte);

/* The byte of the upper-case form of what the page makes of a unit. */
UCHAR
RtlpUpcaseToOem(_In_ WCHAR Unit, _Out_ PBOOLEAN Mapped);

/* ---- Numbers ---- */

/* CRC-32 of Length bytes; Crc is 0 to begin, or the result so far. */
ULONG
RtlpCrc32(_In_ ULONG Crc, _In_ PCVOID Buffer, _In_ SIZE_T Length);

/* A seeded generator; copy it to fork the sequence. */
typedef struct _RTLP_RANDOM {
    ULONG64 State[4];
} RTLP_RANDOM, *PRTLP_RANDOM;

/* Begin the sequence of Seed; every seed is a good one. */
VOID
RtlpRandomSeed(_Out_ PRTLP_RANDOM Random, _In_ ULONG64 Seed);

/* The next 64 bits. */
ULONG64
RtlpRandomNext(_Inout_ PRTLP_RANDOM Random);

/* A number from 0 to Limit - 1, uniformly; Limit is not 0. */
ULONG64
RtlpRandomBelow(_Inout_ PRTLP_RANDOM Random, _In_ ULONG64 Limit);

/* ---- Unwinding (unwind.c) ---- */

/* The bytes of an image as mapped. Base is the address it runs at, not always where Bytes are. */
typedef struct _RTLP_UNWIND_IMAGE {
    const UCHAR *Bytes;
    ULONG64 Base;
    ULONG Size;
    ULONG TableRva;  /* the exception directory */
    ULONG TableSize; /* its bytes */
} RTLP_UNWIND_IMAGE, *PRTLP_UNWIND_IMAGE;

/* The registers that a function preserves, and two that move. */
typedef struct _RTLP_UNWIND_STATE {
    ULONG64 Rip;
    ULONG64 Register[16]; /* by hardware number: rax rcx rdx rbx rsp rbp rsi rdi r8 ... r15 */
    M128A Xmm[16];
} RTLP_UNWIND_STATE, *PRTLP_UNWIND_STATE;

#define RTLP_RSP 4

/* Copy Length bytes at an address, on the stack as a rule, to Buffer; FALSE when they cannot be read. */
typedef BOOLEAN RTLP_READ_STACK(_In_opt_ PVOID Context, _In_ ULONG64 Address, _Out_ PVOID Buffer,
                                _In_ ULONG Length);

/* What one step of unwinding found besides the registers. */
typedef struct _RTLP_UNWIND_FRAME {
    ULONG64 EstablisherFrame;
    ULONG HandlerRva;     /* of the language handler, 0: none that applies here */
    ULONG HandlerDataRva; /* of its data */
    ULONG HandlerFlags;   /* UNW_FLAG_EHANDLER, UNW_FLAG_UHANDLER */
    BOOLEAN MachineFrame; /* the caller was interrupted, it did not call */
} RTLP_UNWIND_FRAME, *PRTLP_UNWIND_FRAME;

/* The state's Rip is a return address (or about to be): it cannot be in a prologue or epilogue. */
#define RTLP_UNWIND_CALL_SITE 0x1

/*
 * Read unwind data and code through the routine for the stack too, by address, because not all of
 * the image may be there. The exception directory alone is read directly.
 */
#define RTLP_UNWIND_READ_IMAGE 0x2

/* The RVA of the entry of the exception directory that covers Rva; 0: none, a leaf. */
ULONG
RtlpFindFunctionEntry(_In_ const RTLP_UNWIND_IMAGE *Image, _In_ ULONG Rva);

/*
 * The entry of the exception directory that covers Rva, copied to *Function; FALSE: none, a leaf.
 * The table is searched by halves; whatever it says, nothing outside the image is read.
 */
BOOLEAN
RtlpLookupFunctionEntry(_In_ const RTLP_UNWIND_IMAGE *Image, _In_ ULONG Rva,
                        _Out_ PRUNTIME_FUNCTION Function);

/*
 * Undo one frame: *State becomes the caller's. State->Rip lies in Image, or Image is NULL for code
 * without unwind data, which is then taken for a leaf. Frame may be NULL. *State is changed on
 * success only. STATUS_BAD_FUNCTION_TABLE: the unwind data is damaged. STATUS_BAD_STACK: the stack
 * cannot be read, or would not move upwards.
 */
NTSTATUS
RtlpVirtualUnwind(_In_opt_ const RTLP_UNWIND_IMAGE *Image, _In_ ULONG Options,
                  _Inout_ PRTLP_UNWIND_STATE State, _In_ RTLP_READ_STACK *Read,
                  _In_opt_ PVOID Context, _Out_opt_ PRTLP_UNWIND_FRAME Frame);

#endif
