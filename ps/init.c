/*
 * The start of ps/, and the threads that serve the system: the reaper, which gives back the stacks of threads
 * that have ended, and ends processes that have no more of them; workers for each work queue; and the one that makes more of them.
 */
#include "psp.h"
#include <ex/ex.h>
#include <mm/stack/stack.h>

#define PSP_REAPER_PRIORITY 16
#define PSP_MAKER_PRIORITY 14
#define PSP_RETRY_TIME (-100 * 10000) /* 100 ns units */

static VOID NTAPI
PspReaper(PVOID StartContext)
{
    UNREFERENCED_PARAMETER(StartContext);
    for (;;) {
        PPS_THREAD Thread = PspFromThread(KiWaitForEndedThread());

        MiDeleteKernelStack(Thread->StackBase, PSP_LARGE_STACKS);
        PspDropThread(Thread->Process, Thread->Ethread.Tcb.ExitStatus);
        __atomic_store_n(&Thread->Reaped, TRUE, __ATOMIC_RELEASE);
        ObDereferenceObject(Thread);
    }
}

static NTSTATUS
PspMakeWorker(EX_WORKER_QUEUE Queue, ULONG Flags)
{
    return PsCreateCoreThread(ExpWorkerThread, (PVOID)(ULONG_PTR)((ULONG)Queue | Flags),
                              ExpWorkerPriority(Queue), NULL);
}

/* Make workers as queues ask for them. Without memory the queue waits for those it has. */
static VOID NTAPI
PspWorkerMaker(PVOID StartContext)
{
    LARGE_INTEGER Interval = {.QuadPart = PSP_RETRY_TIME};

    UNREFERENCED_PARAMETER(StartContext);
    for (;;) {
        EX_WORKER_QUEUE Queue = ExpWaitForWorkerDemand();

        if (!NT_SUCCESS(PspMakeWorker(Queue, EX_WORKER_DYNAMIC))) {
            ExpWorkerNotMade(Queue);
            KeDelayExecutionThread(KernelMode, FALSE, &Interval);
        }
    }
}

VOID
PsInitialize(VOID)
{
    static const EX_WORKER_QUEUE Workers[] = {ExWorkerDelayed, ExWorkerDelayed, ExWorkerCritical,
                                              ExWorkerCritical, ExWorkerHyperCritical};
    BOOLEAN Made;

    PspInitializeProcesses();
    PspInitializeThreads();
    PspInitializeQuota();
    Made = NT_SUCCESS(PsCreateCoreThread(PspReaper, NULL, PSP_REAPER_PRIORITY, NULL)) &&
           NT_SUCCESS(PsCreateCoreThread(PspWorkerMaker, NULL, PSP_MAKER_PRIORITY, NULL));
    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Workers); Index += 1) {
        Made = Made && NT_SUCCESS(PspMakeWorker(Workers[Index], 0));
    }
    if (!Made) {
        ObFailStart();
    }
}

/* Is there a thread that has ended and still has its stack? */
static VOID
PspUnreapedVisitor(const PS_THREAD_INFO *Info, PVOID Context)
{
    if (Info->Terminated && !__atomic_load_n(&PspFromThread(&Info->Thread->Tcb)->Reaped, __ATOMIC_ACQUIRE)) {
        *(BOOLEAN *)Context = TRUE;
    }
}

VOID
PsFlushEndedThreads(VOID)
{
    LARGE_INTEGER Interval = {.QuadPart = -10 * 1000};
    BOOLEAN Found;

    for (;;) {
        Found = FALSE;
        PsEnumerateThreads(PspUnreapedVisitor, &Found);
        if (!Found) {
            break;
        }
        KeDelayExecutionThread(KernelMode, FALSE, &Interval);
    }
    ObFlushDeletes();
}
