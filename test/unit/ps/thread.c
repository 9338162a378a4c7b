/* System threads: making, ids, ending, lookup, failure at every step. */
#include "threads.h"
#include <mm/debug/inject.h>
#include <mm/pool/pool.h>
#include <mm/stack/stack.h>

typedef struct _THREAD_TEST {
    CLIENT_ID Cid;
    HANDLE Handle;
    HANDLE SeenThread, SeenProcess;
    PKTHREAD Current;
    PEPROCESS Process;
    KPRIORITY Priority;
    KEVENT Go;
    volatile LONG Ran;
} THREAD_TEST;

static VOID NTAPI
ThreadNote(PVOID Context)
{
    THREAD_TEST *Test = Context;

    Test->SeenThread = PsGetCurrentThreadId();
    Test->SeenProcess = PsGetCurrentProcessId();
    Test->Current = KeGetCurrentThread();
    Test->Process = PsGetCurrentProcess();
    Test->Priority = KeQueryPriorityThread(KeGetCurrentThread());
    InterlockedIncrement(&Test->Ran);
    KeWaitForSingleObject(&Test->Go, Executive, KernelMode, FALSE, NULL);
    PsTerminateSystemThread(STATUS_CONFLICTING_ADDRESSES);
    Test->Ran = 99;
}

KTEST(ThreadLife)
{
    THREAD_TEST Test = {0};
    PETHREAD Thread = NULL, Same;
    LARGE_INTEGER Zero = {0};

    KeInitializeEvent(&Test.Go, NotificationEvent, FALSE);
    CHECK_STATUS(STATUS_SUCCESS, PsCreateSystemThread(&Test.Handle, THREAD_ALL_ACCESS, NULL, NULL, &Test.Cid,
                                                      ThreadNote, &Test));
    CHECK_STATUS(STATUS_SUCCESS, ObReferenceObjectByHandle(Test.Handle, THREAD_ALL_ACCESS, PsThreadType,
                                                           KernelMode, (PVOID *)&Thread, NULL));
    TestSleep(2);
    CHECK_EQ(Test.Ran, 1);
    CHECK(Test.Current == (PKTHREAD)Thread);
    CHECK(Test.Process == PsInitialSystemProcess);
    CHECK(Test.SeenThread == Test.Cid.UniqueThread && Test.SeenThread == PsGetThreadId(Thread));
    CHECK_EQ(Test.SeenProcess, 4);
    CHECK(Test.Cid.UniqueProcess == Test.SeenProcess && PsGetThreadProcessId(Thread) == Test.SeenProcess);
    CHECK(PsGetThreadProcess(Thread) == PsInitialSystemProcess);
    CHECK_EQ(Test.Priority, 8);
    CHECK(PsIsSystemThread(Thread));
    CHECK(!PsIsThreadTerminating(Thread));
    CHECK_STATUS(STATUS_PENDING, PsGetThreadExitStatus(Thread));
    CHECK_STATUS(STATUS_SUCCESS, PsLookupThreadByThreadId(Test.Cid.UniqueThread, &Same));
    CHECK(Same == Thread);
    ObDereferenceObject(Same);
    CHECK_STATUS(STATUS_TIMEOUT, ZwWaitForSingleObject(Test.Handle, FALSE, &Zero));
    KeSetEvent(&Test.Go, 0, FALSE);
    CHECK_STATUS(STATUS_SUCCESS, ZwWaitForSingleObject(Test.Handle, FALSE, NULL));
    CHECK_EQ(Test.Ran, 1);
    CHECK(PsIsThreadTerminating(Thread));
    CHECK_STATUS(STATUS_CONFLICTING_ADDRESSES, PsGetThreadExitStatus(Thread));
    PsFlushEndedThreads();
    CHECK_EQ(ObHeaderOf(Thread)->PointerCount, 2); /* ours, and the handle's */
    CHECK_STATUS(STATUS_SUCCESS, ZwClose(Test.Handle));
    CHECK_EQ(ObDereferenceObject(Thread), 0);
    CHECK_STATUS(STATUS_INVALID_CID, PsLookupThreadByThreadId(Test.Cid.UniqueThread, &Same));
}

static VOID NTAPI
ThreadReturn(PVOID Context)
{
    InterlockedIncrement(Context);
}

KTEST(ThreadReturns)
{
    volatile LONG Ran = 0;
    PETHREAD Thread;
    HANDLE Handle;

    CHECK_STATUS(STATUS_SUCCESS, PsCreateSystemThread(&Handle, THREAD_ALL_ACCESS, NULL, NtCurrentProcess(),
                                                      NULL, ThreadReturn, (PVOID)&Ran));
    REQUIRE(NT_SUCCESS(ObReferenceObjectByHandle(Handle, 0, NULL, KernelMode, (PVOID *)&Thread, NULL)));
    ZwClose(Handle);
    KeWaitForSingleObject(Thread, Executive, KernelMode, FALSE, NULL);
    CHECK_EQ(Ran, 1);
    CHECK_STATUS(STATUS_SUCCESS, PsGetThreadExitStatus(Thread));
    ObDereferenceObject(Thread);
    PsFlushEndedThreads();
}

KTEST(ThreadRefused)
{
    OBJECT_ATTRIBUTES Attributes = {.Length = 1};
    HANDLE Handle = (HANDLE)0x77, Event;
    PEPROCESS Process;
    PETHREAD Thread;

    CHECK_STATUS(STATUS_INVALID_PARAMETER,
                 PsCreateSystemThread(&Handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, NULL, NULL));
    CHECK_STATUS(STATUS_INVALID_PARAMETER, PsCreateSystemThread(&Handle, THREAD_ALL_ACCESS, &Attributes, NULL,
                                                                NULL, ThreadReturn, NULL));
    CHECK_STATUS(STATUS_INVALID_HANDLE, PsCreateSystemThread(&Handle, THREAD_ALL_ACCESS, NULL,
                                                             (HANDLE)0x7FFFFF0ull, NULL, ThreadReturn, NULL));
    REQUIRE(NT_SUCCESS(ZwCreateEvent(&Event, EVENT_ALL_ACCESS, NULL, NotificationEvent, FALSE)));
    CHECK_STATUS(STATUS_OBJECT_TYPE_MISMATCH,
                 PsCreateSystemThread(&Handle, THREAD_ALL_ACCESS, NULL, Event, NULL, ThreadReturn, NULL));
    ZwClose(Event);
    CHECK_EQ(Handle, 0x77);
    CHECK_STATUS(STATUS_INVALID_CID, PsLookupThreadByThreadId((HANDLE)4, &Thread));
    CHECK_STATUS(STATUS_INVALID_CID, PsLookupThreadByThreadId((HANDLE)0, &Thread));
    CHECK_STATUS(STATUS_INVALID_CID,
                 PsLookupThreadByThreadId((HANDLE)((ULONG64)PsGetCurrentThreadId() + 1), &Thread));
    CHECK_STATUS(STATUS_INVALID_CID, PsLookupProcessByProcessId(PsGetCurrentThreadId(), &Process));
    CHECK_STATUS(STATUS_SUCCESS, PsLookupProcessByProcessId((HANDLE)4, &Process));
    CHECK(Process == PsInitialSystemProcess);
    ObDereferenceObject(Process);
}

typedef struct _THREAD_SEARCH {
    PKTHREAD Wanted;
    ULONG Found, Total;
} THREAD_SEARCH;

static VOID
ThreadVisitor(const PS_THREAD_INFO *Info, PVOID Context)
{
    THREAD_SEARCH *Search = Context;

    Search->Total += 1;
    if ((PKTHREAD)Info->Thread == Search->Wanted) {
        Search->Found += 1;
        CHECK(!Info->Image && !Info->Terminated);
        CHECK(Info->ClientId.UniqueThread == PsGetCurrentThreadId());
    }
}

KTEST(ThreadEnumeration)
{
    THREAD_SEARCH Search = {.Wanted = KeGetCurrentThread()};

    PsEnumerateThreads(ThreadVisitor, &Search);
    CHECK_EQ(Search.Found, 1);
    CHECK(Search.Total > 1);
    CHECK_EQ(PsCountImageThreads(), 0);
}

KTEST(ThreadManyAtOnce)
{
    volatile LONG Ran = 0;
    TEST_CREW Crew;

    for (ULONG Round = 0; Round < 6; Round += 1) {
        Crew.Count = 0;
        for (ULONG Index = 0; Index < TEST_THREADS; Index += 1) {
            TestStart(&Crew, ThreadReturn, (PVOID)&Ran);
        }
        TestJoin(&Crew);
    }
    CHECK_EQ(Ran, 6 * TEST_THREADS);
}

/* Fail each request for memory in turn until none is left to fail: refused, or made; never anything in
 * between. */
KTEST(ThreadFailsCleanly)
{
    volatile LONG Ran = 0;
    ULONG Made = 0;

    for (ULONG Nth = 1; Nth < 64 && Made == 0; Nth += 1) {
        HANDLE Handle = NULL;
        NTSTATUS Status;
        ULONG64 Refused;

        MiTrimStacks();
        MiTrimPools();
        MiInjectStartNth(Nth);
        Status =
            PsCreateSystemThread(&Handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, ThreadReturn, (PVOID)&Ran);
        Refused = MiInjectStop(NULL);
        if (NT_SUCCESS(Status)) {
            ZwWaitForSingleObject(Handle, FALSE, NULL);
            CHECK_STATUS(STATUS_SUCCESS, ZwClose(Handle));
            PsFlushEndedThreads();
            Made += Refused == 0;
        } else {
            CHECK(Status == STATUS_INSUFFICIENT_RESOURCES || Status == STATUS_NO_MEMORY);
            CHECK(Handle == NULL);
            CHECK_EQ(Refused, 1);
        }
    }
    CHECK_EQ(Made, 1);
}
