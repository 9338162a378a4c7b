/* Test threads: start some, and wait until they have ended and given back everything. */
#ifndef TEST_UNIT_PS_THREADS_H
#define TEST_UNIT_PS_THREADS_H

#include <ktest.h>
#include <ps/ps.h>

#define TEST_THREADS 8

typedef struct _TEST_CREW {
    PKTHREAD Threads[TEST_THREADS];
    ULONG Count;
} TEST_CREW;

static inline VOID
TestStart(TEST_CREW *Crew, PKSTART_ROUTINE Routine, PVOID Context)
{
    if (NT_SUCCESS(PsCreateCoreThread(Routine, Context, 8, &Crew->Threads[Crew->Count]))) {
        Crew->Count += 1;
    } else {
        KTestFail(__FILE__, __LINE__, "no thread");
    }
}

static inline VOID
TestJoin(TEST_CREW *Crew)
{
    while (Crew->Count != 0) {
        PKTHREAD Thread = Crew->Threads[--Crew->Count];

        KeWaitForSingleObject(Thread, Executive, KernelMode, FALSE, NULL);
        ObDereferenceObject(Thread);
    }
    PsFlushEndedThreads();
}

/* Sleep for so many milliseconds of virtual time. */
static inline VOID
TestSleep(ULONG Milliseconds)
{
    LARGE_INTEGER Interval = {.QuadPart = -(LONGLONG)Milliseconds * 10000};

    KeDelayExecutionThread(KernelMode, FALSE, &Interval);
}

#endif
