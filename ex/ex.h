/*
 * The executive's interface for the rest of the core. What drivers use is declared in wdm.h, ntddk.h and
 * ntifs.h.
 */
#ifndef EX_EX_H
#define EX_EX_H

#include <ntifs.h>
#include <ke/ke.h>

/* --- Work items (work.c) ---------------------------------------------------------------------- */

typedef enum _EX_WORKER_QUEUE {
    ExWorkerDelayed,
    ExWorkerCritical,
    ExWorkerHyperCritical,
    ExWorkerQueues
} EX_WORKER_QUEUE;

/* What a worker thread of a queue is made with. */
KPRIORITY ExpWorkerPriority(EX_WORKER_QUEUE Queue);

/*
 * The start routine of worker threads, made by ps/. Context: the queue, plus EX_WORKER_DYNAMIC for one that
 * leaves when it has had nothing to do for a while.
 */
#define EX_WORKER_DYNAMIC 0x100
KSTART_ROUTINE ExpWorkerThread;

/*
 * For the one thread of ps/ that makes more workers: block until a queue needs one, which is counted as made.
 * Tell ExpWorkerNotMade if that fails.
 */
EX_WORKER_QUEUE ExpWaitForWorkerDemand(VOID);
VOID ExpWorkerNotMade(EX_WORKER_QUEUE Queue);

/* How many items are queued or being run, on all queues. Any IRQL. */
ULONG ExpPendingWork(VOID);

/* --- Resources (resource.c) ------------------------------------------------------------------- */

/* The first initialised resource whose storage touches the range, or NULL. <= DISPATCH_LEVEL. */
PERESOURCE ExpFindResource(PVOID Start, SIZE_T Length);

/* --- Timers (timer.c) ------------------------------------------------------------------------- */

/* Timers allocated and not deleted. */
ULONG ExpLiveTimers(VOID);

/* --- Strings (rtlalloc.c) -------------------------------------------------------------------- */

/*
 * Decide where a result of Bytes goes that counts LengthBytes: into String's own buffer (STATUS_BUFFER_OVERFLOW), or
 * into a new one (STATUS_NO_MEMORY). On success String has buffer and lengths. PASSIVE_LEVEL.
 */
NTSTATUS ExpPrepareString(PUNICODE_STRING String, ULONG Bytes, ULONG LengthBytes, BOOLEAN Allocate);

/* --- Version (misc.c) ------------------------------------------------------------------------- */

/* Write what is constant in shared user data. Once, from the boot context. */
VOID ExpInitializeVersion(VOID);

/* --- Checks ----------------------------------------------------------------------------------- */

/* A rule of Driver Verifier is broken for good: bug check 0xC4. */
static inline VOID DECLSPEC_NORETURN
ExpVerifierStop(ULONG Rule, ULONG_PTR P2, ULONG_PTR P3, ULONG_PTR P4)
{
    KeBugCheckEx(DRIVER_VERIFIER_DETECTED_VIOLATION, Rule, P2, P3, P4);
}

#endif
