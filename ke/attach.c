/*
 * Address spaces of threads: which one a processor has loaded, and attaching a thread to another process.
 *
 * A thread belongs to one process for good (Process) and uses the address space of ActiveProcess, its own or the one
 * it is attached to; a context switch loads a root only where that differs. ActiveProcessors of a process has
 * the processors that may hold translations of its addresses, so that a flush of user space interrupts no others. The
 * order makes that safe:
 *
 *      load:  set the bit, then load the root      flush:  change the entry, then read the set
 *      leave: load the other root, then clear the bit
 *
 * A processor that is missed by a flush sets its bit afterwards and walks tables that are changed already. The address space of
 * the System process is what every processor has when it has no other: its flushes go to all.
 *
 * Attaching takes no references: whoever attaches keeps the process. Nothing blocks or fails. Documents:
 * "KeStackAttachProcess", "Bug Check 0x5", "Bug Check 0x6".
 */
#include "kep.h"
#include <ntexport.h>

/* KAPC_STATE.Process: what to do at the end. Any other value is the process to go back to. */
#define KI_STAY_ATTACHED ((PKPROCESS)1) /* it was attached to the same process already */
#define KI_GO_HOME ((PKPROCESS)0)       /* it was not attached */

VOID
KiSwapAddressSpace(PKPROCESS From, PKPROCESS To)
{
    HAL_AFFINITY This = 1ull << PcrRead32(Number);

    NT_ASSERT(HalGetIrql() >= DISPATCH_LEVEL);
    __atomic_fetch_or(&To->ActiveProcessors, This, __ATOMIC_SEQ_CST);
    HalLoadRoot(To->RootFrame);
    __atomic_fetch_and(&From->ActiveProcessors, ~This, __ATOMIC_SEQ_CST);
}

HAL_AFFINITY
KiProcessProcessors(PKPROCESS Process)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (Process->RootFrame == KiSystemProcess.RootFrame) {
        return HAL_ALL_PROCESSORS;
    }
    return __atomic_load_n(&Process->ActiveProcessors, __ATOMIC_RELAXED);
}

PKPROCESS
KiAttachProcess(PKPROCESS Process)
{
    struct _KTHREAD *Thread = KiCurrentThread();
    PKPROCESS Old = Thread->ActiveProcess;
    KIRQL OldIrql;

    NT_ASSERT(HalGetIrql() <= APC_LEVEL);
    if (Process == Old) {
        return Old;
    }
    OldIrql = KiRaiseIrqlToDispatch();
    if (Process->RootFrame != Old->RootFrame) {
        KiSwapAddressSpace(Old, Process);
    }
    Thread->ActiveProcess = Process;
    KiLowerIrql(OldIrql);
    return Old;
}

/* Bug check 5 where the thread cannot leave what it uses: above APC_LEVEL, in a DPC, or with no thread to speak of. */
static VOID
KipCheckAttach(PKPROCESS Process)
{
    struct _KTHREAD *Thread = KiCurrentThread();

    if (HalGetIrql() > APC_LEVEL || Thread->Idle) {
        KeBugCheckEx(INVALID_PROCESS_ATTACH_ATTEMPT, (ULONG_PTR)Process, (ULONG_PTR)Thread->ActiveProcess,
                     Thread->ActiveProcess != Thread->Process, HalGetIrql());
    }
}

/*
 * Use the address space of Process until KeUnstackDetachProcess with the same ApcState; nests. The caller keeps a
 * reference on the process. max APC: else bug check 5.
 */
VOID NTAPI
KeStackAttachProcess(PRKPROCESS Process, PRKAPC_STATE ApcState)
{
    struct _KTHREAD *Thread = KiCurrentThread();

    KipCheckAttach(Process);
    RtlZeroMemory(ApcState, sizeof(*ApcState));
    if (Process == Thread->ActiveProcess) {
        ApcState->Process = KI_STAY_ATTACHED;
        return;
    }
    ApcState->Process = Thread->ActiveProcess == Thread->Process ? KI_GO_HOME : Thread->ActiveProcess;
    KiAttachProcess(Process);
}
NTEXPORT(KeStackAttachProcess);

/* Undo the KeStackAttachProcess that filled ApcState. A thread that is not attached: bug check 6. */
VOID NTAPI
KeUnstackDetachProcess(PRKAPC_STATE ApcState)
{
    struct _KTHREAD *Thread = KiCurrentThread();

    if (ApcState->Process == KI_STAY_ATTACHED) {
        return;
    }
    if (HalGetIrql() > APC_LEVEL || Thread->ActiveProcess == Thread->Process) {
        KeBugCheckEx(INVALID_PROCESS_DETACH_ATTEMPT, (ULONG_PTR)Thread->ActiveProcess, (ULONG_PTR)ApcState->Process,
                     HalGetIrql(), 0);
    }
    KiAttachProcess(ApcState->Process == KI_GO_HOME ? Thread->Process : ApcState->Process);
}
NTEXPORT(KeUnstackDetachProcess);

/* The older form, which does not nest: attached to another process already is bug check 5. */
VOID NTAPI
KeAttachProcess(PRKPROCESS Process)
{
    struct _KTHREAD *Thread = KiCurrentThread();

    KipCheckAttach(Process);
    if (Process == Thread->ActiveProcess) {
        return;
    }
    if (Thread->ActiveProcess != Thread->Process) {
        KeBugCheckEx(INVALID_PROCESS_ATTACH_ATTEMPT, (ULONG_PTR)Process, (ULONG_PTR)Thread->ActiveProcess, 1,
                     HalGetIrql());
    }
    KiAttachProcess(Process);
}
NTEXPORT(KeAttachProcess);

/* Go back to the thread's own address space; nothing happens if it uses that. */
VOID NTAPI
KeDetachProcess(VOID)
{
    KiAttachProcess(KiCurrentThread()->Process);
}
NTEXPORT(KeDetachProcess);

VOID
KiSignalProcess(PKPROCESS Process)
{
    KIRQL OldIrql = KiLockDispatcher();

    Process->Header.SignalState = TRUE;
    KiWaitTestLocked(Process, 0);
    KiUnlockDispatcher(OldIrql);
}
