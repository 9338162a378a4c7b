/*
 * splay.c - binary trees of RTL_SPLAY_LINKS that bring what was used last to the root.
 *
 * A node knows its parent, the root is its own parent. Splaying lifts a node by rotations, two at a
 * time, so that a sequence of operations costs log n each on average. No recursion. The caller
 * serializes.
 */
#include <ntifs.h>
#include <ntexport.h>
#include "rtl.h"

static BOOLEAN
RtlpIsRoot(const RTL_SPLAY_LINKS *Links)
{
    return Links->Parent == Links;
}

static BOOLEAN
RtlpIsLeft(const RTL_SPLAY_LINKS *Links)
{
    return !RtlpIsRoot(Links) && Links->Parent->LeftChild == Links;
}

/* Let New (or nothing) hang where Old hangs. */
static VOID
RtlpReplaceLinks(PRTL_SPLAY_LINKS Old, PRTL_SPLAY_LINKS New)
{
    PRTL_SPLAY_LINKS Parent = Old->Parent;

    if (RtlpIsRoot(Old)) {
        if (New != NULL) {
            New->Parent = New;
        }
        return;
    }
    if (Parent->LeftChild == Old) {
        Parent->LeftChild = New;
    } else {
        Parent->RightChild = New;
    }
    if (New != NULL) {
        New->Parent = Parent;
    }
}

/* Rotate Links, which is not the root, above its parent. */
static VOID
RtlpLiftLinks(PRTL_SPLAY_LINKS Links)
{
    PRTL_SPLAY_LINKS Parent = Links->Parent, Middle;
    BOOLEAN Left = RtlpIsLeft(Links);

    Middle = Left ? Links->RightChild : Links->LeftChild;
    RtlpReplaceLinks(Parent, Links);
    if (Left) {
        Links->RightChild = Parent;
        Parent->LeftChild = Middle;
    } else {
        Links->LeftChild = Parent;
        Parent->RightChild = Middle;
    }
    Parent->Parent = Links;
    if (Middle != NULL) {
        Middle->Parent = Parent;
    }
}

PRTL_SPLAY_LINKS NTAPI
RtlSplay(PRTL_SPLAY_LINKS Links)
{
    PRTL_SPLAY_LINKS Parent;

    while (!RtlpIsRoot(Links)) {
        Parent = Links->Parent;
        if (!RtlpIsRoot(Parent)) {
            /* In line with the grandparent: the parent first; at an angle: the node twice. */
            RtlpLiftLinks(RtlpIsLeft(Links) == RtlpIsLeft(Parent) ? Parent : Links);
        }
        RtlpLiftLinks(Links);
    }
    return Links;
}
NTEXPORT(RtlSplay);

PRTL_SPLAY_LINKS NTAPI
RtlSubtreeSuccessor(PRTL_SPLAY_LINKS Links)
{
    PRTL_SPLAY_LINKS Next = Links->RightChild;

    while (Next != NULL && Next->LeftChild != NULL) {
        Next = Next->LeftChild;
    }
    return Next;
}
NTEXPORT(RtlSubtreeSuccessor);

PRTL_SPLAY_LINKS NTAPI
RtlSubtreePredecessor(PRTL_SPLAY_LINKS Links)
{
    PRTL_SPLAY_LINKS Next = Links->LeftChild;

    while (Next != NULL && Next->RightChild != NULL) {
        Next = Next->RightChild;
    }
    return Next;
}
NTEXPORT(RtlSubtreePredecessor);

PRTL_SPLAY_LINKS NTAPI
RtlRealSuccessor(PRTL_SPLAY_LINKS Links)
{
    if (Links->RightChild != NULL) {
        return RtlSubtreeSuccessor(Links);
    }
    while (!RtlpIsRoot(Links)) {
        if (RtlpIsLeft(Links)) {
            return Links->Parent;
        }
        Links = Links->Parent;
    }
    return NULL;
}
NTEXPORT(RtlRealSuccessor);

PRTL_SPLAY_LINKS NTAPI
RtlRealPredecessor(PRTL_SPLAY_LINKS Links)
{
    if (Links->LeftChild != NULL) {
        return RtlSubtreePredecessor(Links);
    }
    while (!RtlpIsRoot(Links)) {
        if (!RtlpIsLeft(Links)) {
            return Links->Parent;
        }
        Links = Links->Parent;
    }
    return NULL;
}
NTEXPORT(RtlRealPredecessor);

/* Put Next, a node without right or left child deeper in Links' subtree, where Links is. */
static VOID
RtlpTakePlace(PRTL_SPLAY_LINKS Links, PRTL_SPLAY_LINKS Next)
{
    RtlpReplaceLinks(Next, Next->LeftChild);
    Next->LeftChild = Links->LeftChild;
    Next->RightChild = Links->RightChild;
    RtlpReplaceLinks(Links, Next);
    if (Next->LeftChild != NULL) {
        Next->LeftChild->Parent = Next;
    }
    if (Next->RightChild != NULL) {
        Next->RightChild->Parent = Next;
    }
}

/* Unlink a node; returns a node of what is left from which the root can be reached, or NULL. */
static PRTL_SPLAY_LINKS
RtlpUnlink(PRTL_SPLAY_LINKS Links)
{
    PRTL_SPLAY_LINKS Next, Parent;

    if (Links->LeftChild != NULL && Links->RightChild != NULL) {
        Next = RtlSubtreePredecessor(Links);
        Parent = Next->Parent == Links ? Next : Next->Parent;
        RtlpTakePlace(Links, Next);
        return Parent;
    }
    Next = Links->LeftChild != NULL ? Links->LeftChild : Links->RightChild;
    Parent = RtlpIsRoot(Links) ? Next : Links->Parent;
    RtlpReplaceLinks(Links, Next);
    return Parent;
}

PRTL_SPLAY_LINKS NTAPI
RtlDelete(PRTL_SPLAY_LINKS Links)
{
    PRTL_SPLAY_LINKS Left = RtlpUnlink(Links);

    return Left == NULL ? NULL : RtlSplay(Left);
}
NTEXPORT(RtlDelete);

VOID NTAPI
RtlDeleteNoSplay(PRTL_SPLAY_LINKS Links, PRTL_SPLAY_LINKS *Root)
{
    PRTL_SPLAY_LINKS Left = RtlpUnlink(Links);

    while (Left != NULL && !RtlpIsRoot(Left)) {
        Left = Left->Parent;
    }
    *Root = Left;
}
NTEXPORT(RtlDeleteNoSplay);
