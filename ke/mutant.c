/*
 * Mutants, which drivers call mutexes: owned by a thread, any number of times.
 *
 * SignalState is 1 when free and 1 less for each time the owner has it; an owned one is on its thread's
 * MutantListHead. A mutex (ApcDisable 1) keeps normal kernel APCs from its owner and must be given back
 * before the thread ends; a mutant (ApcDisable 0) whose owner ends is abandoned: free, and the next
 * wait says so.
 */
#include "kep.h"
#include "apc.h"
#include <ntexport.h>

static VOID
KipInitializeMutant(PKMUTANT Mutant, UCHAR ApcDisable)
{
    RtlZeroMemory(Mutant, sizeof(*Mutant));
    Mutant->Header.Type = KiMutant;
    Mutant->Header.Size = sizeof(KMUTANT) / sizeof(LONG);
    Mutant->Header.SignalState = 1;
    InitializeListHead(&Mutant->Header.WaitListHead);
    Mutant->ApcDisable = ApcDisable;
}

/* Make a free mutex. Level is not used. Any IRQL. */
VOID NTAPI
KeInitializeMutex(PRKMUTEX Mutex, ULONG Level)
{
    UNREFERENCED_PARAMETER(Level);
    KipInitializeMutant(Mutex, 1);
}
NTEXPORT(KeInitializeMutex);

/* A mutant for the object manager: no APC is disabled, ending its owner abandons it. */
VOID
KiInitializeMutant(PKMUTANT Mutant)
{
    KipInitializeMutant(Mutant, 0);
}

/* Make it free, whoever had it, and hand it on. Lock held. */
static VOID
KipFreeMutant(PKMUTANT Mutant)
{
    struct _KTHREAD *Owner = Mutant->OwnerThread;

    RemoveEntryList(&Mutant->MutantListEntry);
    Owner->KernelApcDisable = (SHORT)(Owner->KernelApcDisable + Mutant->ApcDisable);
    Mutant->OwnerThread = NULL;
    Mutant->Header.SignalState = 1;
    KiWaitTestLocked(Mutant, MUTANT_INCREMENT);
}

/*
 * Give it back once; returns 0 when that freed it, else a negative number. Raises STATUS_MUTANT_NOT_OWNED for
 * a thread that does not own it, STATUS_ABANDONED where the owner ended. IRQL <= DISPATCH_LEVEL; Wait as for
 * KeSetEvent.
 */
LONG NTAPI
KeReleaseMutex(PRKMUTEX Mutex, BOOLEAN Wait)
{
    struct _KTHREAD *Thread = KiCurrentThread();
    KIRQL OldIrql = KiEnterWait(Thread);
    LONG Old = Mutex->Header.SignalState;
    BOOLEAN Abandoned = Mutex->Abandoned;

    if (Mutex->OwnerThread != Thread) {
        KiUnlockDispatcher(OldIrql);
        KiRaiseStatus(Abandoned ? STATUS_ABANDONED : STATUS_MUTANT_NOT_OWNED);
    }
    if (Old < 0) {
        Mutex->Header.SignalState = Old + 1;
    } else {
        KipFreeMutant(Mutex);
    }
    KiExitDispatcher(OldIrql, Wait);
    if (Thread->KernelApcDisable == 0) {
        KiCheckApcs(Thread);
    }
    return Old;
}
NTEXPORT(KeReleaseMutex);

/* 1 if free, else 0 or less. IRQL <= DISPATCH_LEVEL. */
LONG NTAPI
KeReadStateMutex(PRKMUTEX Mutex)
{
    HalChoicePoint(HalChoiceLock);
    return __atomic_load_n(&Mutex->Header.SignalState, __ATOMIC_ACQUIRE);
}
NTEXPORT(KeReadStateMutex);

VOID
KiAbandonMutantsLocked(struct _KTHREAD *Thread)
{
    PKMUTANT Mutant;

    while (!IsListEmpty(&Thread->MutantListHead)) {
        Mutant = CONTAINING_RECORD(Thread->MutantListHead.Flink, KMUTANT, MutantListEntry);
        Mutant->Abandoned = 1;
        KipFreeMutant(Mutant);
    }
}
