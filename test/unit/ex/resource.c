/* Executive resources: who is granted what, handing on, conversion, owner pointers, misuse. */
#include "../ps/threads.h"
#include <ex/ex.h>

#define ROUNDS 60

typedef enum _RESOURCE_CALL { CallExclusive, CallShared, CallStarve, CallWaitExclusive } RESOURCE_CALL;

/* A thread that acquires in some way, waits to be told, and releases. */
typedef struct _RESOURCE_ACTOR {
    PERESOURCE Resource;
    RESOURCE_CALL Call;
    BOOLEAN Wait;
    volatile BOOLEAN Acquired, Refused;
    KEVENT Release;
} RESOURCE_ACTOR;

static BOOLEAN
ResourceAcquire(PERESOURCE Resource, RESOURCE_CALL Call, BOOLEAN Wait)
{
    switch (Call) {
    case CallExclusive:
        return ExAcquireResourceExclusiveLite(Resource, Wait);
    case CallShared:
        return ExAcquireResourceSharedLite(Resource, Wait);
    case CallStarve:
        return ExAcquireSharedStarveExclusive(Resource, Wait);
    default:
        return ExAcquireSharedWaitForExclusive(Resource, Wait);
    }
}

static VOID NTAPI
ResourceActor(PVOID Context)
{
    RESOURCE_ACTOR *Actor = Context;

    KeEnterCriticalRegion();
    if (ResourceAcquire(Actor->Resource, Actor->Call, Actor->Wait)) {
        Actor->Acquired = TRUE;
        KeWaitForSingleObject(&Actor->Release, Executive, KernelMode, FALSE, NULL);
        ExReleaseResourceLite(Actor->Resource);
    } else {
        Actor->Refused = TRUE;
    }
    KeLeaveCriticalRegion();
}

static VOID
ResourceStart(TEST_CREW *Crew, RESOURCE_ACTOR *Actor, PERESOURCE Resource, RESOURCE_CALL Call, BOOLEAN Wait)
{
    Actor->Resource = Resource;
    Actor->Call = Call;
    Actor->Wait = Wait;
    Actor->Acquired = Actor->Refused = FALSE;
    KeInitializeEvent(&Actor->Release, NotificationEvent, FALSE);
    TestStart(Crew, ResourceActor, Actor);
    TestSleep(2);
}

static VOID
ResourceFinish(RESOURCE_ACTOR *Actor)
{
    KeSetEvent(&Actor->Release, 0, FALSE);
    TestSleep(2);
}

KTEST(ResourceRecursion)
{
    ERESOURCE Resource;

    CHECK_STATUS(STATUS_SUCCESS, ExInitializeResourceLite(&Resource));
    KeEnterCriticalRegion();
    CHECK(ExAcquireResourceExclusiveLite(&Resource, TRUE));
    CHECK(ExAcquireResourceExclusiveLite(&Resource, FALSE));
    CHECK(ExAcquireResourceSharedLite(&Resource, FALSE));
    CHECK(ExIsResourceAcquiredExclusiveLite(&Resource));
    CHECK_EQ(ExIsResourceAcquiredSharedLite(&Resource), 3);
    ExReleaseResourceLite(&Resource);
    ExReleaseResourceLite(&Resource);
    CHECK(ExIsResourceAcquiredExclusiveLite(&Resource));
    ExReleaseResourceLite(&Resource);
    CHECK_EQ(ExIsResourceAcquiredSharedLite(&Resource), 0);

    CHECK(ExAcquireResourceSharedLite(&Resource, TRUE));
    CHECK(ExAcquireResourceSharedLite(&Resource, TRUE));
    CHECK(!ExAcquireResourceExclusiveLite(&Resource, FALSE)); /* even its only sharer cannot */
    CHECK(!ExIsResourceAcquiredExclusiveLite(&Resource));
    CHECK_EQ(ExIsResourceAcquiredSharedLite(&Resource), 2);
    ExReleaseResourceLite(&Resource);
    ExReleaseResourceLite(&Resource);
    CHECK(ExAcquireResourceExclusiveLite(&Resource, FALSE));
    ExReleaseResourceLite(&Resource);
    KeLeaveCriticalRegion();
    CHECK(ExEnterCriticalRegionAndAcquireResourceShared(&Resource) == NULL);
    CHECK(KeAreApcsDisabled());
    ExReleaseResourceAndLeaveCriticalRegion(&Resource);
    CHECK(!KeAreApcsDisabled());
    CHECK_STATUS(STATUS_SUCCESS, ExDeleteResourceLite(&Resource));
}

KTEST(ResourceStorageIsKnown)
{
    PERESOURCE Resource = ExAllocatePool2(POOL_FLAG_NON_PAGED, 4 * sizeof(*Resource), 'tseT');

    REQUIRE(Resource != NULL);
    CHECK(ExpFindResource(Resource, 4 * sizeof(*Resource)) == NULL);
    ExInitializeResourceLite(&Resource[2]);
    CHECK(ExpFindResource(Resource, 4 * sizeof(*Resource)) == &Resource[2]);
    CHECK(ExpFindResource(Resource, 2 * sizeof(*Resource)) == NULL);
    CHECK(ExpFindResource(&Resource[3], sizeof(*Resource)) == NULL);
    ExDeleteResourceLite(&Resource[2]);
    CHECK(ExpFindResource(Resource, 4 * sizeof(*Resource)) == NULL);
    ExFreePoolWithTag(Resource, 'tseT');
}

/* Shared by this thread with a writer waiting: the three shared calls differ. */
KTEST(ResourceSharedModes)
{
    RESOURCE_ACTOR Writer, Normal, Starve, Polite;
    TEST_CREW Crew = {0};
    ERESOURCE Resource;

    ExInitializeResourceLite(&Resource);
    KeEnterCriticalRegion();
    ExAcquireResourceSharedLite(&Resource, TRUE);
    ResourceStart(&Crew, &Writer, &Resource, CallExclusive, TRUE);
    CHECK_EQ(ExGetExclusiveWaiterCount(&Resource), 1);
    ResourceStart(&Crew, &Normal, &Resource, CallShared, FALSE);
    CHECK(Normal.Refused);
    ResourceStart(&Crew, &Starve, &Resource, CallStarve, FALSE);
    CHECK(Starve.Acquired);
    ResourceStart(&Crew, &Polite, &Resource, CallWaitExclusive, FALSE);
    CHECK(Polite.Refused);
    CHECK(ExAcquireResourceSharedLite(&Resource, FALSE)); /* recursion passes a waiting writer */
    CHECK(!ExAcquireSharedWaitForExclusive(&Resource, FALSE));
    ExReleaseResourceLite(&Resource);
    ResourceFinish(&Starve);
    CHECK(!Writer.Acquired);
    ExReleaseResourceLite(&Resource);
    TestSleep(2);
    CHECK(Writer.Acquired);
    CHECK(!ExAcquireSharedStarveExclusive(&Resource, FALSE));
    ResourceFinish(&Writer);
    KeLeaveCriticalRegion();
    TestJoin(&Crew);
    ExDeleteResourceLite(&Resource);
}

/* From an exclusive owner to all sharers, then to the writer. */
KTEST(ResourceHandsOn)
{
    RESOURCE_ACTOR Writer, Readers[3];
    TEST_CREW Crew = {0};
    ERESOURCE Resource;

    ExInitializeResourceLite(&Resource);
    KeEnterCriticalRegion();
    ExAcquireResourceExclusiveLite(&Resource, TRUE);
    ResourceStart(&Crew, &Writer, &Resource, CallExclusive, TRUE);
    for (ULONG Index = 0; Index < 3; Index += 1) {
        ResourceStart(&Crew, &Readers[Index], &Resource, CallShared, TRUE);
    }
    CHECK_EQ(ExGetSharedWaiterCount(&Resource), 3);
    CHECK_EQ(ExGetExclusiveWaiterCount(&Resource), 1);
    ExReleaseResourceLite(&Resource);
    TestSleep(2);
    for (ULONG Index = 0; Index < 3; Index += 1) {
        CHECK(Readers[Index].Acquired);
        CHECK(!Writer.Acquired);
        ResourceFinish(&Readers[Index]);
    }
    CHECK(Writer.Acquired);
    CHECK_EQ(ExGetExclusiveWaiterCount(&Resource), 0);
    ResourceFinish(&Writer);
    KeLeaveCriticalRegion();
    TestJoin(&Crew);
    CHECK_EQ(Resource.ContentionCount, 4);
    CHECK_EQ(Resource.ActiveCount, 0);
    CHECK_STATUS(STATUS_SUCCESS, ExReinitializeResourceLite(&Resource));
    CHECK_EQ(Resource.ContentionCount, 0);
    ExDeleteResourceLite(&Resource);
}

KTEST(ResourceConversion)
{
    RESOURCE_ACTOR Reader;
    TEST_CREW Crew = {0};
    ERESOURCE Resource;

    ExInitializeResourceLite(&Resource);
    KeEnterCriticalRegion();
    ExAcquireResourceExclusiveLite(&Resource, TRUE);
    ExAcquireResourceExclusiveLite(&Resource, TRUE);
    ResourceStart(&Crew, &Reader, &Resource, CallShared, TRUE);
    CHECK(!Reader.Acquired);
    ExConvertExclusiveToSharedLite(&Resource);
    TestSleep(2);
    CHECK(Reader.Acquired);
    CHECK(!ExIsResourceAcquiredExclusiveLite(&Resource));
    CHECK_EQ(ExIsResourceAcquiredSharedLite(&Resource), 2);
    ExReleaseResourceLite(&Resource);
    ExReleaseResourceLite(&Resource);
    ResourceFinish(&Reader);
    KeLeaveCriticalRegion();
    TestJoin(&Crew);
    ExDeleteResourceLite(&Resource);
}

KTEST(ResourceOwnerPointer)
{
    PVOID Owner = (PVOID)((ULONG_PTR)&Owner | 3);
    ERESOURCE Resource;

    ExInitializeResourceLite(&Resource);
    KeEnterCriticalRegion();
    ExAcquireResourceSharedLite(&Resource, TRUE);
    ExSetResourceOwnerPointer(&Resource, Owner);
    CHECK_EQ(ExIsResourceAcquiredSharedLite(&Resource), 0);
    CHECK(!ExAcquireResourceExclusiveLite(&Resource, FALSE));
    ExReleaseResourceForThreadLite(&Resource, (ERESOURCE_THREAD)Owner);
    CHECK(ExAcquireResourceExclusiveLite(&Resource, FALSE));
    ExReleaseResourceLite(&Resource);
    KeLeaveCriticalRegion();
    ExDeleteResourceLite(&Resource);
}

typedef struct _RESOURCE_STRESS {
    ERESOURCE Resource;
    volatile LONG Readers, Writers, Violations;
    ULONG Sum;
} RESOURCE_STRESS;

static VOID NTAPI
ResourceWorker(PVOID Context)
{
    RESOURCE_STRESS *Test = Context;

    KeEnterCriticalRegion();
    for (ULONG Round = 0; Round < ROUNDS; Round += 1) {
        if (Round % 3 == 0) {
            ExAcquireResourceExclusiveLite(&Test->Resource, TRUE);
            if (InterlockedIncrement(&Test->Writers) != 1 || Test->Readers != 0) {
                InterlockedIncrement(&Test->Violations);
            }
            HalChoicePoint(HalChoiceWait);
            Test->Sum += 1;
            InterlockedDecrement(&Test->Writers);
            if (Round % 2 == 0) {
                ExConvertExclusiveToSharedLite(&Test->Resource);
            }
        } else {
            ResourceAcquire(&Test->Resource, Round % 2 == 0 ? CallShared : CallStarve, TRUE);
            InterlockedIncrement(&Test->Readers);
            if (Test->Writers != 0) {
                InterlockedIncrement(&Test->Violations);
            }
            KiYield();
            InterlockedDecrement(&Test->Readers);
        }
        ExReleaseResourceLite(&Test->Resource);
    }
    KeLeaveCriticalRegion();
}

KTEST(ResourceExcludes)
{
    RESOURCE_STRESS Test = {0};
    TEST_CREW Crew = {0};

    ExInitializeResourceLite(&Test.Resource);
    for (ULONG Index = 0; Index < TEST_THREADS; Index += 1) {
        TestStart(&Crew, ResourceWorker, &Test);
    }
    TestJoin(&Crew);
    CHECK_EQ(Test.Violations, 0);
    CHECK_EQ(Test.Sum, TEST_THREADS * ROUNDS / 3);
    CHECK_EQ(Test.Resource.ActiveEntries, 0);
    ExDeleteResourceLite(&Test.Resource);
}

static VOID
ResourceReleaseUnowned(PVOID Resource)
{
    ExReleaseResourceLite(Resource);
}

static VOID
ResourceConvertShared(PVOID Resource)
{
    ExConvertExclusiveToSharedLite(Resource);
}

static VOID
ResourceAcquireHigh(PVOID Resource)
{
    KiRaiseIrql(DISPATCH_LEVEL);
    ExAcquireResourceExclusiveLite(Resource, FALSE);
}

static VOID
ResourceDelete(PVOID Resource)
{
    ExDeleteResourceLite(Resource);
}

KTEST(ResourceMisuse)
{
    static ERESOURCE Never;
    ERESOURCE Resource;

    ExInitializeResourceLite(&Resource);
    CHECK_BUGCHECK_CALL(DRIVER_VERIFIER_DETECTED_VIOLATION, 0x37, ResourceAcquireHigh, &Resource);
    CHECK_BUGCHECK_CALL(KERNEL_SECURITY_CHECK_FAILURE, 3, ResourceDelete, &Never);
    KeEnterCriticalRegion();
    ExAcquireResourceExclusiveLite(&Resource, TRUE);
    CHECK_BUGCHECK_CALL(RESOURCE_NOT_OWNED, (ULONG_PTR)&Resource, ResourceDelete, &Resource);
    ExReleaseResourceLite(&Resource);
    KeLeaveCriticalRegion();
    CHECK_BUGCHECK_CALL(RESOURCE_NOT_OWNED, (ULONG_PTR)&Resource, ResourceReleaseUnowned, &Resource);
    CHECK_BUGCHECK_CALL(RESOURCE_NOT_OWNED, (ULONG_PTR)&Resource, ResourceConvertShared, &Resource);
    ExDeleteResourceLite(&Resource);
}
