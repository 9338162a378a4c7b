/* Helper threads of the dispatcher's tests. */
#ifndef TEST_UNIT_KE_KETHREADS_H
#define TEST_UNIT_KE_KETHREADS_H

#include <ktest.h>
#include <ps/ps.h>

/* Start a core thread of priority 8; NULL (and a failed check) if there is no memory. */
static inline PKTHREAD
KeTestStart(PKSTART_ROUTINE Routine, PVOID Context)
{
    PKTHREAD Thread;

    if (!NT_SUCCESS(PsCreateCoreThread(Routine, Context, 8, &Thread))) {
        KTestFail(__FILE__, __LINE__, "no memory for a helper thread");
        return NULL;
    }
    return Thread;
}

/* Wait for its end and give it back. */
static inline VOID
KeTestJoin(PKTHREAD Thread)
{
    if (Thread != NULL) {
        KeWaitForSingleObject(Thread, Executive, KernelMode, FALSE, NULL);
        ObDereferenceObject(Thread);
    }
}

/* A time-out of so many milliseconds from now. */
static inline LARGE_INTEGER
KeTestMilliseconds(ULONG Count)
{
    LARGE_INTEGER Time;

    Time.QuadPart = -(LONGLONG)Count * 10000;
    return Time;
}

static inline VOID
KeTestSleep(ULONG Milliseconds)
{
    LARGE_INTEGER Time = KeTestMilliseconds(Milliseconds);

    KeDelayExecutionThread(KernelMode, FALSE, &Time);
}

#endif
