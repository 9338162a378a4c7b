/*
 * avl.c - an intrusive balanced tree.
 *
 * The node lies inside the caller's structure; the tree never allocates and needs the caller's lock.
 * A node is three words: two children, and its parent with the balance in the two low bits:
 *
 *      balance 0: both sides equally deep     1: right is one deeper     3: left is one deeper
 *
 * Searches go through a routine that compares a caller's key with a node; the tree itself never asks
 * what a key is, so ranges can be keys as well. RtlpAvlLocate finds the place where a key belongs,
 * RtlpAvlInsertAt puts a node there and cannot fail: prepare, then commit. Depth is at most 1.44
 * log2(n), every loop follows it, nothing recurses.
 */
#include <ntdef.h>
#include "rtl.h"

#define RTLP_AVL_BALANCE ((ULONG_PTR)3)

static PRTLP_AVL_NODE
RtlpAvlParent(const RTLP_AVL_NODE *Node)
{
    return (PRTLP_AVL_NODE)(Node->ParentAndBalance & ~RTLP_AVL_BALANCE);
}

/* How much deeper the right side is: -1, 0 or 1. */
static LONG
RtlpAvlBalance(const RTLP_AVL_NODE *Node)
{
    LONG Bits = (LONG)(Node->ParentAndBalance & RTLP_AVL_BALANCE);

    return Bits == 3 ? -1 : Bits;
}

static VOID
RtlpAvlSetBalance(PRTLP_AVL_NODE Node, LONG Balance)
{
    Node->ParentAndBalance =
        (Node->ParentAndBalance & ~RTLP_AVL_BALANCE) | ((ULONG_PTR)Balance & RTLP_AVL_BALANCE);
}

static VOID
RtlpAvlSetParent(PRTLP_AVL_NODE Node, PRTLP_AVL_NODE Parent)
{
    Node->ParentAndBalance = (Node->ParentAndBalance & RTLP_AVL_BALANCE) | (ULONG_PTR)Parent;
}

/* Let whatever points down to Old, a parent or the root, point to New. */
static VOID
RtlpAvlReplaceChild(PRTLP_AVL_TREE Tree, PRTLP_AVL_NODE Parent, PRTLP_AVL_NODE Old,
                    PRTLP_AVL_NODE New)
{
    if (Parent == NULL) {
        Tree->Root = New;
    } else {
        Parent->Child[Parent->Child[1] == Old] = New;
    }
    if (New != NULL) {
        RtlpAvlSetParent(New, Parent);
    }
}

/* Lift the child on Side above Node; returns that child. Balances are the caller's to set. */
static PRTLP_AVL_NODE
RtlpAvlRotate(PRTLP_AVL_TREE Tree, PRTLP_AVL_NODE Node, ULONG Side)
{
    PRTLP_AVL_NODE Up = Node->Child[Side];
    PRTLP_AVL_NODE Middle = Up->Child[!Side];

    RtlpAvlReplaceChild(Tree, RtlpAvlParent(Node), Node, Up);
    Node->Child[Side] = Middle;
    if (Middle != NULL) {
        RtlpAvlSetParent(Middle, Node);
    }
    Up->Child[!Side] = Node;
    RtlpAvlSetParent(Node, Up);
    if (Tree->Sum != NULL) {
        Tree->Sum(Node);
        Tree->Sum(Up);
    }
    return Up;
}

/*
 * Node is two deeper on Side: rotate. Returns the new top; *Shrunk is TRUE when the subtree lost a
 * level (always after an insertion; after a removal not if the heavy child was balanced).
 */
static PRTLP_AVL_NODE
RtlpAvlRebalance(PRTLP_AVL_TREE Tree, PRTLP_AVL_NODE Node, ULONG Side, BOOLEAN *Shrunk)
{
    PRTLP_AVL_NODE Child = Node->Child[Side], Top;
    LONG Sign = Side ? 1 : -1;
    LONG Inner;

    *Shrunk = TRUE;
    if (RtlpAvlBalance(Child) != -Sign) {
        *Shrunk = RtlpAvlBalance(Child) != 0;
        Top = RtlpAvlRotate(Tree, Node, Side);
        RtlpAvlSetBalance(Node, *Shrunk ? 0 : Sign);
        RtlpAvlSetBalance(Top, *Shrunk ? 0 : -Sign);
        return Top;
    }
    Inner = RtlpAvlBalance(Child->Child[!Side]);
    RtlpAvlRotate(Tree, Child, !Side);
    Top = RtlpAvlRotate(Tree, Node, Side);
    RtlpAvlSetBalance(Node, Inner == Sign ? -Sign : 0);
    RtlpAvlSetBalance(Child, Inner == -Sign ? Sign : 0);
    RtlpAvlSetBalance(Top, 0);
    return Top;
}

VOID
RtlpAvlInitialize(PRTLP_AVL_TREE Tree)
{
    Tree->Root = NULL;
    Tree->Count = 0;
    Tree->Sum = NULL;
}

PRTLP_AVL_NODE
RtlpAvlLocate(const RTLP_AVL_TREE *Tree, PCVOID Key, RTLP_AVL_COMPARE *Compare,
              PRTLP_AVL_PLACE Place)
{
    PRTLP_AVL_NODE Node = Tree->Root;
    LONG Order;

    Place->Parent = NULL;
    Place->Side = 0;
    while (Node != NULL) {
        Order = Compare(Key, Node);
        if (Order == 0) {
            return Node;
        }
        Place->Parent = Node;
        Place->Side = Order > 0;
        Node = Node->Child[Place->Side];
    }
    return NULL;
}

PRTLP_AVL_NODE
RtlpAvlAbove(const RTLP_AVL_NODE *Node)
{
    return RtlpAvlParent(Node);
}

VOID
RtlpAvlResum(const RTLP_AVL_TREE *Tree, PRTLP_AVL_NODE Node)
{
    while (Node != NULL && Tree->Sum(Node)) {
        Node = RtlpAvlParent(Node);
    }
}

VOID
RtlpAvlInsertAt(PRTLP_AVL_TREE Tree, PRTLP_AVL_NODE Node, const RTLP_AVL_PLACE *Place)
{
    PRTLP_AVL_NODE Parent = Place->Parent;
    BOOLEAN Shrunk;
    ULONG Side;
    LONG Sign;

    Node->Child[0] = NULL;
    Node->Child[1] = NULL;
    Node->ParentAndBalance = (ULONG_PTR)Parent;
    Tree->Count++;
    if (Tree->Sum != NULL) {
        Tree->Sum(Node);
    }
    if (Parent == NULL) {
        Tree->Root = Node;
        return;
    }
    Parent->Child[Place->Side] = Node;
    if (Tree->Sum != NULL) {
        RtlpAvlResum(Tree, Parent); /* before anything is rotated, which keeps the sum of a subtree */
    }
    /* Upwards, as long as a subtree has become deeper. */
    while (Parent != NULL) {
        Side = Parent->Child[1] == Node;
        Sign = Side ? 1 : -1;
        if (RtlpAvlBalance(Parent) == Sign) {
            RtlpAvlRebalance(Tree, Parent, Side, &Shrunk);
            return;
        }
        RtlpAvlSetBalance(Parent, RtlpAvlBalance(Parent) + Sign);
        if (RtlpAvlBalance(Parent) == 0) {
            return;
        }
        Node = Parent;
        Parent = RtlpAvlParent(Node);
    }
}

BOOLEAN
RtlpAvlInsert(PRTLP_AVL_TREE Tree, PRTLP_AVL_NODE Node, PCVOID Key, RTLP_AVL_COMPARE *Compare)
{
    RTLP_AVL_PLACE Place;

    if (RtlpAvlLocate(Tree, Key, Compare, &Place) != NULL) {
        return FALSE;
    }
    RtlpAvlInsertAt(Tree, Node, &Place);
    return TRUE;
}

/* The side of Parent has lost a level: go upwards until a subtree keeps its depth. */
static VOID
RtlpAvlRepairRemoval(PRTLP_AVL_TREE Tree, PRTLP_AVL_NODE Parent, ULONG Side)
{
    PRTLP_AVL_NODE Top;
    BOOLEAN Shrunk;
    LONG Sign;

    while (Parent != NULL) {
        Sign = Side ? -1 : 1; /* the other side is deeper by this */
        Top = Parent;
        if (RtlpAvlBalance(Parent) == Sign) {
            Top = RtlpAvlRebalance(Tree, Parent, !Side, &Shrunk);
            if (!Shrunk) {
                return;
            }
        } else {
            RtlpAvlSetBalance(Parent, RtlpAvlBalance(Parent) + Sign);
            if (RtlpAvlBalance(Parent) != 0) {
                return;
            }
        }
        Parent = RtlpAvlParent(Top);
        Side = Parent != NULL && Parent->Child[1] == Top;
    }
}

/* Put Next, the successor of Node deeper in the tree, where Node is. */
static VOID
RtlpAvlSubstitute(PRTLP_AVL_TREE Tree, PRTLP_AVL_NODE Node, PRTLP_AVL_NODE Next)
{
    ULONG i;

    for (i = 0; i < 2; i++) {
        Next->Child[i] = Node->Child[i];
        if (Next->Child[i] != NULL) {
            RtlpAvlSetParent(Next->Child[i], Next);
        }
    }
    RtlpAvlReplaceChild(Tree, RtlpAvlParent(Node), Node, Next);
    RtlpAvlSetBalance(Next, RtlpAvlBalance(Node));
}

/* Sums after something below Parent was taken out, and Moved (or NULL) has come to another place above. */
static VOID
RtlpAvlResumRemoval(const RTLP_AVL_TREE *Tree, PRTLP_AVL_NODE Parent, const RTLP_AVL_NODE *Moved)
{
    for (; Moved != NULL && Parent != Moved; Parent = RtlpAvlParent(Parent)) {
        Tree->Sum(Parent);
    }
    if (Moved != NULL) {
        Tree->Sum(Parent);
        Parent = RtlpAvlParent(Parent);
    }
    RtlpAvlResum(Tree, Parent);
}

VOID
RtlpAvlRemove(PRTLP_AVL_TREE Tree, PRTLP_AVL_NODE Node)
{
    PRTLP_AVL_NODE Out = Node, Parent;
    ULONG Side;

    if (Node->Child[0] != NULL && Node->Child[1] != NULL) {
        Out = RtlpAvlNext(Node);
    }
    Parent = RtlpAvlParent(Out);
    Side = Parent != NULL && Parent->Child[1] == Out;
    RtlpAvlReplaceChild(Tree, Parent, Out, Out->Child[0] != NULL ? Out->Child[0] : Out->Child[1]);
    if (Out != Node) {
        if (Parent == Node) {
            Parent = Out;
        }
        RtlpAvlSubstitute(Tree, Node, Out);
    }
    Tree->Count--;
    if (Tree->Sum != NULL) {
        RtlpAvlResumRemoval(Tree, Parent, Out != Node ? Out : NULL);
    }
    RtlpAvlRepairRemoval(Tree, Parent, Side);
}

PRTLP_AVL_NODE
RtlpAvlFind(const RTLP_AVL_TREE *Tree, PCVOID Key, RTLP_AVL_COMPARE *Compare)
{
    RTLP_AVL_PLACE Place;

    return RtlpAvlLocate(Tree, Key, Compare, &Place);
}

PRTLP_AVL_NODE
RtlpAvlLowerBound(const RTLP_AVL_TREE *Tree, PCVOID Key, RTLP_AVL_COMPARE *Compare)
{
    PRTLP_AVL_NODE Node = Tree->Root, Best = NULL;

    while (Node != NULL) {
        if (Compare(Key, Node) <= 0) {
            Best = Node;
            Node = Node->Child[0];
        } else {
            Node = Node->Child[1];
        }
    }
    return Best;
}

/* The outermost node on Side of the subtree under Node. */
static PRTLP_AVL_NODE
RtlpAvlEdge(PRTLP_AVL_NODE Node, ULONG Side)
{
    while (Node != NULL && Node->Child[Side] != NULL) {
        Node = Node->Child[Side];
    }
    return Node;
}

/* The neighbour of Node in order, on Side. */
static PRTLP_AVL_NODE
RtlpAvlNeighbour(const RTLP_AVL_NODE *Node, ULONG Side)
{
    PRTLP_AVL_NODE Parent;

    if (Node->Child[Side] != NULL) {
        return RtlpAvlEdge(Node->Child[Side], !Side);
    }
    Parent = RtlpAvlParent(Node);
    while (Parent != NULL && Parent->Child[Side] == Node) {
        Node = Parent;
        Parent = RtlpAvlParent(Node);
    }
    return Parent;
}

PRTLP_AVL_NODE
RtlpAvlFirst(const RTLP_AVL_TREE *Tree)
{
    return RtlpAvlEdge(Tree->Root, 0);
}

PRTLP_AVL_NODE
RtlpAvlLast(const RTLP_AVL_TREE *Tree)
{
    return RtlpAvlEdge(Tree->Root, 1);
}

PRTLP_AVL_NODE
RtlpAvlNext(const RTLP_AVL_NODE *Node)
{
    return RtlpAvlNeighbour(Node, 1);
}

PRTLP_AVL_NODE
RtlpAvlPrevious(const RTLP_AVL_NODE *Node)
{
    return RtlpAvlNeighbour(Node, 0);
}

/* What the validator knows about a subtree is kept on a stack of the deepest possible tree. */
#define RTLP_AVL_MAXIMUM_DEPTH 96

typedef struct _RTLP_AVL_VISIT {
    const RTLP_AVL_NODE *Node;
    ULONG Stage;    /* children visited */
    LONG Height[2]; /* of each visited child */
} RTLP_AVL_VISIT;

/* Check one node against its parent's view of it. */
static BOOLEAN
RtlpAvlNodeIsLinked(const RTLP_AVL_NODE *Node, const RTLP_AVL_NODE *Parent)
{
    return RtlpAvlParent(Node) == Parent && (Node->ParentAndBalance & RTLP_AVL_BALANCE) != 2;
}

BOOLEAN
RtlpAvlValidate(const RTLP_AVL_TREE *Tree, RTLP_AVL_ORDERED *Ordered)
{
    RTLP_AVL_VISIT Stack[RTLP_AVL_MAXIMUM_DEPTH], *Visit;
    const RTLP_AVL_NODE *Previous = NULL, *Child;
    SIZE_T Seen = 0;
    ULONG Depth = 0;
    LONG Height;

    if (Tree->Root == NULL) {
        return Tree->Count == 0;
    }
    if (!RtlpAvlNodeIsLinked(Tree->Root, NULL)) {
        return FALSE;
    }
    Stack[Depth++] = (RTLP_AVL_VISIT){Tree->Root, 0, {0, 0}};
    while (Depth != 0) {
        Visit = &Stack[Depth - 1];
        if (Visit->Stage < 2) {
            if (Visit->Stage == 1) {
                if (++Seen > Tree->Count || (Ordered != NULL && Previous != NULL &&
                                             !Ordered(Previous, Visit->Node))) {
                    return FALSE;
                }
                Previous = Visit->Node;
            }
            Child = Visit->Node->Child[Visit->Stage++];
            if (Child == NULL) {
                continue;
            }
            if (Depth == RTLP_AVL_MAXIMUM_DEPTH || !RtlpAvlNodeIsLinked(Child, Visit->Node)) {
                return FALSE;
            }
            Stack[Depth++] = (RTLP_AVL_VISIT){Child, 0, {0, 0}};
            continue;
        }
        if (Visit->Height[1] - Visit->Height[0] != RtlpAvlBalance(Visit->Node)) {
            return FALSE;
        }
        Height = 1 + MAX(Visit->Height[0], Visit->Height[1]);
        if (--Depth != 0) {
            Stack[Depth - 1].Height[Stack[Depth - 1].Stage - 1] = Height;
        }
    }
    return Seen == Tree->Count;
}
