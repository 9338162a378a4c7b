/* Sequenced lists: order, depth, sequence, the recovery of a pop's fault. */
#include "../../ktest.h"
#include <ex/slist.h>

extern const UCHAR ExpInterlockedPopEntrySListFault[];
extern const UCHAR ExpInterlockedPopEntrySListResume[];

KTEST(SListOrderAndDepth)
{
    static SLIST_HEADER Head;
    static SLIST_ENTRY Entries[5];
    PSLIST_ENTRY Chain;
    ULONG Index;

    ExInitializeSListHead(&Head);
    CHECK(ExpInterlockedPopEntrySList(&Head) == NULL);
    CHECK(ExpInterlockedFlushSList(&Head) == NULL);
    for (Index = 0; Index < 5; Index += 1) {
        CHECK(ExpInterlockedPushEntrySList(&Head, &Entries[Index]) ==
              (Index == 0 ? NULL : &Entries[Index - 1]));
        CHECK_EQ(ExQueryDepthSList(&Head), Index + 1);
    }
    CHECK_EQ(Head.HeaderX64.Depth, 5);
    CHECK_EQ((ULONG64)Head.HeaderX64.NextEntry << 4, (ULONG_PTR)&Entries[4]);
    CHECK(ExpInterlockedPopEntrySList(&Head) == &Entries[4]);
    CHECK(ExpInterlockedPopEntrySList(&Head) == &Entries[3]);
    CHECK_EQ(ExQueryDepthSList(&Head), 3);
    Chain = ExpInterlockedFlushSList(&Head);
    CHECK(Chain == &Entries[2] && Chain->Next == &Entries[1] && Chain->Next->Next == &Entries[0]);
    CHECK(Chain->Next->Next->Next == NULL);
    CHECK_EQ(ExQueryDepthSList(&Head), 0);
    CHECK(ExpInterlockedPopEntrySList(&Head) == NULL);
}

KTEST(SListSequenceMoves)
{
    static SLIST_HEADER Head;
    static SLIST_ENTRY Entry;
    ULONG64 Before;

    InitializeSListHead(&Head);
    ExpInterlockedPushEntrySList(&Head, &Entry);
    Before = Head.HeaderX64.Sequence;
    ExpInterlockedPopEntrySList(&Head);
    ExpInterlockedPushEntrySList(&Head, &Entry);
    CHECK_EQ(Head.HeaderX64.Sequence, Before + 2);
    CHECK_EQ(Head.HeaderX64.Depth, 1);
}

KTEST(SListFaultRecovery)
{
    ULONG64 Rip = (ULONG_PTR)ExpInterlockedPopEntrySListFault;

    CHECK(ExpRecoverSListFault(&Rip));
    CHECK_EQ(Rip, (ULONG_PTR)ExpInterlockedPopEntrySListResume);
    CHECK(!ExpRecoverSListFault(&Rip));
}
