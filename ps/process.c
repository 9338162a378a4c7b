/*
 * Processes: the System process and the Idle process, which stands for idle threads, exist for good; others are made
 * with an address space of their own and end with their last thread.
 *
 *      PspMakeProcess --> threads come and go --> Exiting, none left --PspEndProcess--> empty, signaled --> deleted
 *
 * Process and thread ids come from one table; System is the first entry, id 4, Idle has none and id 0.
 */
#include "psp.h"
#include <ntexport.h>

#define PSP_PROCESS_TAG 0x636F7250u /* "Proc" */
#define PSP_PROCESS_OBJECT 3        /* DISPATCHER_HEADER.Type */

PEPROCESS PsInitialSystemProcess;
NTEXPORT_DATA(PsInitialSystemProcess);
POBJECT_TYPE PsProcessType;
NTEXPORT_DATA(PsProcessType);

PEPROCESS PspIdleProcess;
KSPIN_LOCK PspLock;
LIST_ENTRY PspProcesses = {&PspProcesses, &PspProcesses};
OB_TABLE PspCidTable;

static VOID
PspDeleteProcess(PVOID Object)
{
    PEPROCESS Process = Object;
    OB_ENTRY Entry;
    KIRQL OldIrql = KiAcquireRankedLockRaise(&PspLock, LockRankHandleTable);

    RemoveEntryList(&Process->ActiveProcessLinks);
    KiReleaseRankedLockLower(&PspLock, OldIrql);
    if (Process->Pcb.AddressSpace != NULL) {
        MiDeleteAddressSpace(&Process->Space);
    }
    ObTableRemove(&PspCidTable, (ULONG64)Process->UniqueProcessId / PSP_CID_STEP, &Entry);
}

static const OBJECT_TYPE PspProcessTemplate = {
    .Name = L"Process",
    .Tag = PSP_PROCESS_TAG,
    .ValidAccess = PROCESS_ALL_ACCESS,
    .Mapping = {STANDARD_RIGHTS_READ | PROCESS_VM_READ | PROCESS_QUERY_INFORMATION,
                STANDARD_RIGHTS_WRITE | PROCESS_CREATE_PROCESS | PROCESS_CREATE_THREAD |
                    PROCESS_VM_OPERATION | PROCESS_VM_WRITE | PROCESS_DUP_HANDLE | PROCESS_SET_QUOTA |
                    PROCESS_SET_INFORMATION,
                STANDARD_RIGHTS_EXECUTE | SYNCHRONIZE | PROCESS_TERMINATE | PROCESS_QUERY_LIMITED_INFORMATION,
                PROCESS_ALL_ACCESS},
    .WaitOffset = 0,
    .Delete = PspDeleteProcess,
};

/* The object alone. */
static NTSTATUS
PspMakeProcessObject(BOOLEAN QuotaExempt, PEPROCESS *Process)
{
    PEPROCESS Made;
    PVOID Object;
    NTSTATUS Status = ObMakeObject(PsProcessType, sizeof(EPROCESS), &Object);

    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Made = Object;
    Made->Pcb.Header.Type = PSP_PROCESS_OBJECT;
    Made->Pcb.Header.Size = sizeof(KPROCESS) / sizeof(LONG);
    InitializeListHead(&Made->Pcb.Header.WaitListHead);
    InitializeListHead(&Made->Pcb.ThreadListHead);
    InitializeListHead(&Made->ActiveProcessLinks);
    Made->Pcb.RootFrame = KiLoaderBlock->RootFrame;
    Made->QuotaExempt = QuotaExempt;
    for (ULONG Type = 0; Type < PsQuotaTypes; Type += 1) {
        Made->Quota[Type].Limit = ~0ull;
    }
    *Process = Made;
    return STATUS_SUCCESS;
}

NTSTATUS
PspMakeProcess(BOOLEAN QuotaExempt, PEPROCESS *Process)
{
    OB_ENTRY Entry = {0};
    PEPROCESS Made;
    ULONG Index;
    KIRQL OldIrql;
    NTSTATUS Status = PspMakeProcessObject(QuotaExempt, &Made);

    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Entry.Object = Made;
    Status = ObTableInsert(&PspCidTable, &Entry, &Index);
    if (!NT_SUCCESS(Status)) {
        ObDereferenceObject(Made);
        return Status;
    }
    Made->UniqueProcessId = (HANDLE)((ULONG64)Index * PSP_CID_STEP);
    Status = PsInitialSystemProcess == NULL ? MiAdoptSystemAddressSpace(&Made->Space, &Made->Pcb)
                                            : MiCreateAddressSpace(&Made->Space, &Made->Pcb);
    if (!NT_SUCCESS(Status)) {
        ObDereferenceObject(Made);
        return Status;
    }
    OldIrql = KiAcquireRankedLockRaise(&PspLock, LockRankHandleTable);
    InsertTailList(&PspProcesses, &Made->ActiveProcessLinks);
    KiReleaseRankedLockLower(&PspLock, OldIrql);
    *Process = Made;
    return STATUS_SUCCESS;
}

NTSTATUS
PsCreateCoreProcess(PEPROCESS *Process)
{
    return PspMakeProcess(FALSE, Process);
}

/* --- The end ---------------------------------------------------------------------------------- */

static VOID
PspEndProcess(PEPROCESS Process)
{
    ObDeleteHandleTable(&Process->Pcb);
    MiCleanAddressSpace(&Process->Space);
    KiSignalProcess(&Process->Pcb);
}

NTSTATUS
PspAddThread(PEPROCESS Process)
{
    KIRQL OldIrql = KiAcquireRankedLockRaise(&PspLock, LockRankHandleTable);
    BOOLEAN Exiting = Process->Exiting;

    Process->ThreadsLeft += !Exiting;
    KiReleaseRankedLockLower(&PspLock, OldIrql);
    return Exiting ? STATUS_PROCESS_IS_TERMINATING : STATUS_SUCCESS;
}

VOID
PspDropThread(PEPROCESS Process, NTSTATUS ExitStatus)
{
    KIRQL OldIrql = KiAcquireRankedLockRaise(&PspLock, LockRankHandleTable);
    BOOLEAN Last;

    Process->ThreadsLeft -= 1;
    Last = Process->ThreadsLeft == 0 && Process != PsInitialSystemProcess;
    if (Last && !Process->Exiting) {
        Process->Exiting = TRUE;
        Process->ExitStatus = ExitStatus;
    }
    KiReleaseRankedLockLower(&PspLock, OldIrql);
    if (Last) {
        PspEndProcess(Process);
    }
}

VOID
PsExitProcess(PEPROCESS Process, NTSTATUS ExitStatus)
{
    KIRQL OldIrql = KiAcquireRankedLockRaise(&PspLock, LockRankHandleTable);
    BOOLEAN First = !Process->Exiting, Last = Process->ThreadsLeft == 0;

    NT_VERIFY(Process != PsInitialSystemProcess);
    if (First) {
        Process->Exiting = TRUE;
        Process->ExitStatus = ExitStatus;
    }
    KiReleaseRankedLockLower(&PspLock, OldIrql);
    if (First && Last) {
        PspEndProcess(Process);
    }
}

VOID
PspInitializeProcesses(VOID)
{
    PsProcessType = ObMakeType(&PspProcessTemplate);
    if (!NT_SUCCESS(PspMakeProcess(TRUE, &PsInitialSystemProcess)) ||
        !NT_SUCCESS(PspMakeProcessObject(TRUE, &PspIdleProcess))) {
        ObFailStart();
    }
    KiThreadProcess = &PsInitialSystemProcess->Pcb;
}

/* The process of a thread, as an object. */
static PEPROCESS
PspProcessOf(struct _KTHREAD *Thread)
{
    return Thread->Idle ? PspIdleProcess : CONTAINING_RECORD(Thread->Process, EPROCESS, Pcb);
}

/* The process whose address space the current thread uses, attached or its own; no reference is taken. Any IRQL. */
PEPROCESS NTAPI
IoGetCurrentProcess(VOID)
{
    struct _KTHREAD *Thread = KiCurrentThread();

    return Thread->Idle ? PspIdleProcess : CONTAINING_RECORD(Thread->ActiveProcess, EPROCESS, Pcb);
}
NTEXPORT(IoGetCurrentProcess);
NTEXPORT_AS("PsGetCurrentProcess", IoGetCurrentProcess);

/* The process of any thread; the same. */
PEPROCESS NTAPI
PsGetThreadProcess(PETHREAD Thread)
{
    return PspProcessOf(&Thread->Tcb);
}
NTEXPORT(PsGetThreadProcess);
NTEXPORT_AS("IoThreadToProcess", PsGetThreadProcess);

/* The id of the current thread's process: 4 for System, 0 for Idle. Any IRQL. */
HANDLE NTAPI
PsGetCurrentProcessId(VOID)
{
    return PsGetProcessId(PspProcessOf(KiCurrentThread()));
}
NTEXPORT(PsGetCurrentProcessId);

/* The id of a process. Any IRQL. */
HANDLE NTAPI
PsGetProcessId(PEPROCESS Process)
{
    return Process->UniqueProcessId;
}
NTEXPORT(PsGetProcessId);

/* Find a process by id and reference it. STATUS_INVALID_CID. IRQL <= APC_LEVEL. */
NTSTATUS NTAPI
PsLookupProcessByProcessId(HANDLE ProcessId, PEPROCESS *Process)
{
    OB_ENTRY Entry;

    if (((ULONG64)ProcessId % PSP_CID_STEP) != 0 ||
        !ObTableLookup(&PspCidTable, (ULONG64)ProcessId / PSP_CID_STEP, &Entry, TRUE)) {
        return STATUS_INVALID_CID;
    }
    if (ObTypeOf(Entry.Object) != PsProcessType) {
        ObDereferenceObject(Entry.Object);
        return STATUS_INVALID_CID;
    }
    *Process = Entry.Object;
    return STATUS_SUCCESS;
}
NTEXPORT(PsLookupProcessByProcessId);
