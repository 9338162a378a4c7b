/* Lists and sums under a caller's spin lock. */
#include "../ps/threads.h"

#define ROUNDS 100

KTEST(InterlockedLists)
{
    LIST_ENTRY Head, Entries[3];
    SINGLE_LIST_ENTRY Stack = {NULL}, Links[2];
    KSPIN_LOCK Lock = 0;
    KIRQL OldIrql;

    InitializeListHead(&Head);
    CHECK(ExInterlockedRemoveHeadList(&Head, &Lock) == NULL);
    CHECK(ExInterlockedInsertHeadList(&Head, &Entries[1], &Lock) == NULL);
    CHECK(ExInterlockedInsertHeadList(&Head, &Entries[0], &Lock) == &Entries[1]);
    CHECK(ExInterlockedInsertTailList(&Head, &Entries[2], &Lock) == &Entries[1]);
    KeRaiseIrql(HIGH_LEVEL, &OldIrql);
    for (ULONG Index = 0; Index < 3; Index += 1) {
        CHECK(ExInterlockedRemoveHeadList(&Head, &Lock) == &Entries[Index]);
    }
    KeLowerIrql(OldIrql);
    CHECK(IsListEmpty(&Head));
    CHECK(ExInterlockedInsertTailList(&Head, &Entries[0], &Lock) == NULL);

    CHECK(ExInterlockedPopEntryList(&Stack, &Lock) == NULL);
    CHECK(ExInterlockedPushEntryList(&Stack, &Links[0], &Lock) == NULL);
    CHECK(ExInterlockedPushEntryList(&Stack, &Links[1], &Lock) == &Links[0]);
    CHECK(ExInterlockedPopEntryList(&Stack, &Lock) == &Links[1]);
    CHECK(ExInterlockedPopEntryList(&Stack, &Lock) == &Links[0]);
    CHECK_EQ(Lock, 0);
    CHECK_EQ(HalGetIrql(), PASSIVE_LEVEL);
}

KTEST(InterlockedSums)
{
    LARGE_INTEGER Large = {.QuadPart = MAXLONGLONG}, One = {.QuadPart = 1};
    KSPIN_LOCK Lock = 0;
    ULONG Small = 0xFFFFFFFF;

    CHECK_EQ(ExInterlockedAddUlong(&Small, 2, &Lock), 0xFFFFFFFF);
    CHECK_EQ(Small, 1);
    CHECK_EQ(ExInterlockedAddLargeInteger(&Large, One, &Lock).QuadPart, MAXLONGLONG);
    CHECK_EQ(Large.QuadPart, 1ull << 63);
}

typedef struct _SUM_TEST {
    KSPIN_LOCK Lock;
    ULONG Sum;
} SUM_TEST;

static VOID NTAPI
SumWorker(PVOID Context)
{
    SUM_TEST *Test = Context;

    for (ULONG Round = 0; Round < ROUNDS; Round += 1) {
        ExInterlockedAddUlong(&Test->Sum, 3, &Test->Lock);
    }
}

KTEST(InterlockedSumsOfManyThreads)
{
    SUM_TEST Test = {0};
    TEST_CREW Crew = {0};

    for (ULONG Index = 0; Index < 4; Index += 1) {
        TestStart(&Crew, SumWorker, &Test);
    }
    TestJoin(&Crew);
    CHECK_EQ(Test.Sum, 4 * 3 * ROUNDS);
}
