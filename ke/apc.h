/*
 * Asynchronous procedure calls: work that a thread does between two of its own instructions.
 *
 * Three kinds, by ApcMode and NormalRoutine:
 *
 *     special kernel   KernelMode, no normal routine: KernelRoutine at APC_LEVEL, before all others
 *     normal kernel    KernelMode: KernelRoutine at APC_LEVEL, then NormalRoutine at PASSIVE_LEVEL; one at a
 * time, and not in critical regions user             UserMode: kept for the thread's return to user mode; no
 * thread has one, so it ends in the rundown
 *
 * Nothing is delivered in guarded regions and at APC_LEVEL and above. A thread that waits below APC_LEVEL is
 * woken, runs its APCs and goes on waiting. Routines may be an image's. Document: "Types of APCs", "Waits and
 * APCs".
 */
#ifndef KE_APC_H
#define KE_APC_H

#include <wdm.h>

#define KI_APC_OBJECT 18 /* KAPC.Type */

/* Called at APC_LEVEL when the APC has left the queue, whose memory it may free; may change what the normal
 * routine is called with, and with *NormalRoutine NULL that it is. */
typedef VOID NTAPI KKERNEL_ROUTINE(PKAPC Apc, PKNORMAL_ROUTINE *NormalRoutine, PVOID *NormalContext,
                                   PVOID *SystemArgument1, PVOID *SystemArgument2);
typedef KKERNEL_ROUTINE *PKKERNEL_ROUTINE;

/* Called instead, at <= APC_LEVEL, if the thread ends before; NULL: nothing to do. */
typedef VOID NTAPI KRUNDOWN_ROUTINE(PKAPC Apc);
typedef KRUNDOWN_ROUTINE *PKRUNDOWN_ROUTINE;

typedef enum _KAPC_ENVIRONMENT {
    OriginalApcEnvironment,
    AttachedApcEnvironment,
    CurrentApcEnvironment,
    InsertApcEnvironment
} KAPC_ENVIRONMENT;

/*
 * Make an APC for a thread. One for the original environment waits while the thread is attached to another
 * process; CurrentApcEnvironment is what the thread has now. Any IRQL.
 */
VOID NTAPI KeInitializeApc(PKAPC Apc, PKTHREAD Thread, KAPC_ENVIRONMENT Environment,
                           PKKERNEL_ROUTINE KernelRoutine, PKRUNDOWN_ROUTINE RundownRoutine,
                           PKNORMAL_ROUTINE NormalRoutine, KPROCESSOR_MODE ApcMode, PVOID NormalContext);

/* Queue it; FALSE, and nothing changed, if it is queued already or the thread is ending. <= DISPATCH_LEVEL.
 */
BOOLEAN NTAPI KeInsertQueueApc(PKAPC Apc, PVOID SystemArgument1, PVOID SystemArgument2, KPRIORITY Increment);

/* Take it out of its queue: TRUE if it was there. <= DISPATCH_LEVEL. */
BOOLEAN NTAPI KeRemoveQueueApc(PKAPC Apc);

/* --- Inside ke/ -------------------------------------------------------------------------------------------
 */

struct _KTHREAD;

/* Deliver what may be delivered to the current thread. At APC_LEVEL, nothing locked. */
VOID KiDeliverApcs(VOID);

/* Is there something that would be delivered if IRQL were Irql? The current thread; dispatcher lock held. */
BOOLEAN KiMayDeliverApcLocked(struct _KTHREAD *Thread, KIRQL Irql);

/* The thread takes no APCs any more; those that are queued are run down. The current thread, <= APC_LEVEL. */
VOID KiRundownApcs(struct _KTHREAD *Thread);

/* SpecialApcDisable or KernelApcDisable has become zero: see whether something has waited for that. */
VOID KiCheckApcs(struct _KTHREAD *Thread);

#endif
