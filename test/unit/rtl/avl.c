/*
 * Tests of rtl/avl.c: random insertions and removals against a plain array, validated each time.
 */
#include <rtl/rtl.h>
#include <test/ktest.h>

#define KEYS 200

typedef struct _ITEM {
    RTLP_AVL_NODE Node;
    ULONG Key;
} ITEM;

static ITEM Items[KEYS];
static BOOLEAN Present[KEYS];

static LONG
CompareKey(PCVOID Key, const RTLP_AVL_NODE *Node)
{
    return (LONG) * (const ULONG *)Key - (LONG)CONTAINING_RECORD(Node, ITEM, Node)->Key;
}

static BOOLEAN
IsOrdered(const RTLP_AVL_NODE *First, const RTLP_AVL_NODE *Second)
{
    return CONTAINING_RECORD(First, ITEM, Node)->Key < CONTAINING_RECORD(Second, ITEM, Node)->Key;
}

static BOOLEAN
Insert(PRTLP_AVL_TREE Tree, ULONG Key)
{
    Items[Key].Key = Key;
    return RtlpAvlInsert(Tree, &Items[Key].Node, &Key, CompareKey);
}

/* Whether walking forwards and backwards meets exactly the present keys, in order. */
static BOOLEAN
WalksAgree(const RTLP_AVL_TREE *Tree)
{
    PRTLP_AVL_NODE Up = RtlpAvlFirst(Tree), Down = RtlpAvlLast(Tree);
    ULONG Key;

    for (Key = 0; Key < KEYS; Key++) {
        if (Present[Key]) {
            if (Up != &Items[Key].Node) {
                return FALSE;
            }
            Up = RtlpAvlNext(Up);
        }
    }
    for (Key = KEYS; Key-- != 0;) {
        if (Present[Key]) {
            if (Down != &Items[Key].Node) {
                return FALSE;
            }
            Down = RtlpAvlPrevious(Down);
        }
    }
    return Up == NULL && Down == NULL;
}

KTEST(RtlpAvlAgainstArray)
{
    RTLP_AVL_TREE Tree;
    RTLP_RANDOM Random;
    ULONG Step, Key, Wrong = 0;

    RtlpAvlInitialize(&Tree);
    RtlpRandomSeed(&Random, 42);
    RtlZeroMemory(Present, sizeof(Present));
    for (Step = 0; Step < 6000; Step++) {
        Key = (ULONG)RtlpRandomBelow(&Random, KEYS);
        /* Grow for a while, then shrink, so that all depths are seen. */
        if (RtlpRandomBelow(&Random, 10) < (Step / 1000 % 2 == 0 ? 7u : 3u)) {
            if (!Present[Key]) {
                Wrong += !Insert(&Tree, Key);
                Present[Key] = TRUE;
            }
        } else if (Present[Key]) {
            Wrong += RtlpAvlFind(&Tree, &Key, CompareKey) != &Items[Key].Node;
            RtlpAvlRemove(&Tree, &Items[Key].Node);
            Present[Key] = FALSE;
            Wrong += RtlpAvlFind(&Tree, &Key, CompareKey) != NULL;
        }
        Wrong += !RtlpAvlValidate(&Tree, IsOrdered);
        Wrong += Step % 64 == 0 && !WalksAgree(&Tree);
    }
    CHECK_EQ(Wrong, 0);
    for (Key = 0; Key < KEYS; Key++) {
        if (Present[Key]) {
            RtlpAvlRemove(&Tree, &Items[Key].Node);
        }
    }
    CHECK_EQ(Tree.Count, 0);
    CHECK(Tree.Root == NULL);
}

KTEST(RtlpAvlLowerBoundAndDuplicates)
{
    RTLP_AVL_TREE Tree;
    ULONG Key, Wrong = 0;
    PRTLP_AVL_NODE Found;

    RtlpAvlInitialize(&Tree);
    for (Key = 10; Key < KEYS; Key += 10) {
        CHECK(Insert(&Tree, Key));
        CHECK(!RtlpAvlInsert(&Tree, &Items[1].Node, &Key, CompareKey));
    }
    for (Key = 0; Key < KEYS; Key++) {
        Found = RtlpAvlLowerBound(&Tree, &Key, CompareKey);
        if (Key > 190) {
            Wrong += Found != NULL;
        } else {
            Wrong += Found != &Items[Key == 0 ? 10 : (Key + 9) / 10 * 10].Node;
        }
    }
    CHECK_EQ(Wrong, 0);
}

KTEST(RtlpAvlSortedInsertStaysShallow)
{
    RTLP_AVL_TREE Tree;
    PRTLP_AVL_NODE Node;
    ULONG Key, Depth = 0;

    RtlpAvlInitialize(&Tree);
    for (Key = 0; Key < KEYS; Key++) {
        Insert(&Tree, Key);
    }
    CHECK(RtlpAvlValidate(&Tree, IsOrdered));
    for (Node = Tree.Root; Node != NULL; Node = Node->Child[1]) {
        Depth++;
    }
    CHECK(Depth <= 9);
}

KTEST(RtlpAvlValidatorSeesDamage)
{
    RTLP_AVL_TREE Tree;
    ULONG Key;

    RtlpAvlInitialize(&Tree);
    for (Key = 0; Key < 20; Key++) {
        Insert(&Tree, Key);
    }
    CHECK(RtlpAvlValidate(&Tree, IsOrdered));
    Items[5].Key = 50;
    CHECK(!RtlpAvlValidate(&Tree, IsOrdered));
    CHECK(RtlpAvlValidate(&Tree, NULL));
    Items[5].Key = 5;
    Tree.Count++;
    CHECK(!RtlpAvlValidate(&Tree, NULL));
    Tree.Count--;
    Tree.Root->ParentAndBalance ^= 3;
    CHECK(!RtlpAvlValidate(&Tree, NULL));
}
