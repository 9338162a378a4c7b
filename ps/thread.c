/*
 * System threads.
 *
 * A thread object holds a PS_THREAD. It has a reference of its own from when it is made until the reaper has
 * given back its stack; handles and pointers add others, and with the last one its id and its place in the
 * list go.
 *
 *     PspPrepareThread --> PspStartThread --> runs --> KiExitThread --> reaper: stack freed, own reference
 * dropped
 *                   \--> PspDiscardThread
 *
 * Everything that can fail happens before the thread is started. A thread that an image makes remembers the
 * stack of the call. Documents: "PsCreateSystemThread", "PsTerminateSystemThread".
 */
#include "psp.h"
#include <ntexport.h>
#include <mm/pool/pool.h>
#include <mm/stack/stack.h>

#define PSP_THREAD_TAG 0x65726854u /* "Thre" */
#define PSP_DEFAULT_PRIORITY 8
#define PSP_STACK_FRAMES 12

POBJECT_TYPE PsThreadType;
NTEXPORT_DATA(PsThreadType);

LIST_ENTRY PspThreads = {&PspThreads, &PspThreads};

/* --- The object ------------------------------------------------------------------------------- */

static VOID
PspDeleteThread(PVOID Object)
{
    PPS_THREAD Thread = Object;
    OB_ENTRY Entry;
    KIRQL OldIrql = KiAcquireRankedLockRaise(&PspLock, LockRankHandleTable);

    RemoveEntryList(&Thread->Links);
    KiReleaseRankedLockLower(&PspLock, OldIrql);
    ObTableRemove(&PspCidTable, (ULONG64)Thread->Ethread.Cid.UniqueThread / PSP_CID_STEP, &Entry);
    ObDereferenceObject(Thread->Process);
}

static const OBJECT_TYPE PspThreadTemplate = {
    .Name = L"Thread",
    .Tag = PSP_THREAD_TAG,
    .ValidAccess = THREAD_ALL_ACCESS,
    .Mapping = {STANDARD_RIGHTS_READ | THREAD_GET_CONTEXT | THREAD_QUERY_INFORMATION,
                STANDARD_RIGHTS_WRITE | THREAD_TERMINATE | THREAD_SUSPEND_RESUME | THREAD_ALERT |
                    THREAD_SET_INFORMATION | THREAD_SET_CONTEXT,
                STANDARD_RIGHTS_EXECUTE | SYNCHRONIZE | THREAD_QUERY_LIMITED_INFORMATION | THREAD_RESUME,
                THREAD_ALL_ACCESS},
    .WaitOffset = 0,
    .Delete = PspDeleteThread,
};

/* What NtCurrentProcess() and NtCurrentThread() stand for. */
static PVOID
PspPseudoHandleObject(HANDLE Handle)
{
    struct _KTHREAD *Thread = KiCurrentThread();

    if (Handle == NtCurrentProcess()) {
        return IoGetCurrentProcess();
    }
    return Handle == NtCurrentThread() && !Thread->Idle ? PspFromThread(Thread) : NULL;
}

VOID
PspInitializeThreads(VOID)
{
    PsThreadType = ObMakeType(&PspThreadTemplate);
    ObpPseudoHandleObject = PspPseudoHandleObject;
}

/* --- Making ----------------------------------------------------------------------------------- */

/* Into the list and the id table; the object is then deleted like any other. */
static NTSTATUS
PspRegisterThread(PPS_THREAD Thread)
{
    OB_ENTRY Entry = {.Object = Thread};
    ULONG Index;
    KIRQL OldIrql;
    NTSTATUS Status = ObTableInsert(&PspCidTable, &Entry, &Index);

    if (NT_SUCCESS(Status)) {
        Thread->Ethread.Cid.UniqueThread = (HANDLE)((ULONG64)Index * PSP_CID_STEP);
    }
    Thread->Ethread.Cid.UniqueProcess = Thread->Process->UniqueProcessId;
    ObReferenceObject(Thread->Process);
    OldIrql = KiAcquireRankedLockRaise(&PspLock, LockRankHandleTable);
    InsertTailList(&PspThreads, &Thread->Links);
    KiReleaseRankedLockLower(&PspLock, OldIrql);
    return Status;
}

NTSTATUS
PspPrepareThread(PEPROCESS Process, PKSTART_ROUTINE StartRoutine, PVOID StartContext, PPS_THREAD *Thread)
{
    PVOID Frames[PSP_STACK_FRAMES];
    PPS_THREAD Made;
    PVOID Object;
    NTSTATUS Status = ObMakeObject(PsThreadType, sizeof(PS_THREAD), &Object);

    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Made = Object;
    Made->Process = Process;
    Made->StartRoutine = StartRoutine;
    Made->StartContext = StartContext;
    if (KiInImageCode()) {
        Made->Image = TRUE;
        Made->StackId = MiNotePoolStack(Frames, KiCaptureImageStack(Frames, PSP_STACK_FRAMES));
    }
    Status = PspRegisterThread(Made);
    if (NT_SUCCESS(Status)) {
        Status = MiCreateKernelStack(PSP_LARGE_STACKS, &Made->StackLimit, &Made->StackBase);
    }
    if (!NT_SUCCESS(Status)) {
        ObDereferenceObject(Made);
        return Status;
    }
    Status = PspAddThread(Process);
    if (!NT_SUCCESS(Status)) {
        MiDeleteKernelStack(Made->StackBase, PSP_LARGE_STACKS);
        ObDereferenceObject(Made);
        return Status;
    }
    ObReferenceObject(Made);
    *Thread = Made;
    return STATUS_SUCCESS;
}

VOID
PspStartThread(PPS_THREAD Thread, KPRIORITY Priority)
{
    Thread->Started = TRUE;
    NT_VERIFY(NT_SUCCESS(KiCreateThread(&Thread->Process->Pcb, Thread->StartRoutine, Thread->StartContext, Priority,
                                        &Thread->Ethread.Tcb, Thread->StackLimit, Thread->StackBase)));
}

VOID
PspDiscardThread(PPS_THREAD Thread)
{
    MiDeleteKernelStack(Thread->StackBase, PSP_LARGE_STACKS);
    PspDropThread(Thread->Process, STATUS_UNSUCCESSFUL);
    ObDereferenceObject(Thread);
    ObDereferenceObject(Thread);
}

NTSTATUS
PsCreateCoreThread(PKSTART_ROUTINE StartRoutine, PVOID StartContext, KPRIORITY Priority, PKTHREAD *Thread)
{
    return PsCreateProcessThread(PsInitialSystemProcess, StartRoutine, StartContext, Priority, Thread);
}

NTSTATUS
PsCreateProcessThread(PEPROCESS Process, PKSTART_ROUTINE StartRoutine, PVOID StartContext, KPRIORITY Priority,
                      PKTHREAD *Thread)
{
    PPS_THREAD Made;
    NTSTATUS Status;

    if (Priority < 0 || Priority > HIGH_PRIORITY) {
        return STATUS_INVALID_PARAMETER;
    }
    Status = PspPrepareThread(Process, StartRoutine, StartContext, &Made);
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Made->Image = FALSE;
    if (Thread != NULL) {
        *Thread = &Made->Ethread.Tcb;
    }
    PspStartThread(Made, Priority);
    if (Thread == NULL) {
        ObDereferenceObject(Made);
    }
    return STATUS_SUCCESS;
}

/* The process a new thread asks for, referenced: System where there is no handle. */
static NTSTATUS
PspReferenceThreadProcess(HANDLE ProcessHandle, PVOID *Process)
{
    if (ProcessHandle == NULL) {
        *Process = PsInitialSystemProcess;
        ObReferenceObject(PsInitialSystemProcess);
        return STATUS_SUCCESS;
    }
    return ObReferenceObjectByHandle(ProcessHandle, PROCESS_CREATE_THREAD, PsProcessType, KernelMode, Process, NULL);
}

/*
 * Start a thread in StartRoutine(StartContext), priority 8, PASSIVE_LEVEL, in the address space of a process
 * (ProcessHandle NULL: System). It ends when
 * that returns or calls PsTerminateSystemThread. ThreadHandle is the caller's to close; ClientId (optional)
 * receives its ids. PASSIVE_LEVEL. STATUS_INVALID_PARAMETER: no routine, or bad attributes;
 * STATUS_INVALID_HANDLE, STATUS_OBJECT_TYPE_MISMATCH: ProcessHandle; STATUS_INSUFFICIENT_RESOURCES,
 * STATUS_NO_MEMORY; STATUS_PROCESS_IS_TERMINATING.
 */
NTSTATUS NTAPI
PsCreateSystemThread(PHANDLE ThreadHandle, ULONG DesiredAccess, POBJECT_ATTRIBUTES ObjectAttributes,
                     HANDLE ProcessHandle, PCLIENT_ID ClientId, PKSTART_ROUTINE StartRoutine,
                     PVOID StartContext)
{
    ULONG Attributes = ObjectAttributes == NULL ? 0 : ObjectAttributes->Attributes;
    PPS_THREAD Thread;
    PVOID Process;
    NTSTATUS Status;

    ObRequirePassive();
    if (StartRoutine == NULL ||
        (ObjectAttributes != NULL && (ObjectAttributes->Length != sizeof(OBJECT_ATTRIBUTES) ||
                                      (Attributes & ~OBJ_VALID_ATTRIBUTES) != 0))) {
        return STATUS_INVALID_PARAMETER;
    }

    /* Prepare. */
    Status = PspReferenceThreadProcess(ProcessHandle, &Process);
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Status = PspPrepareThread(Process, StartRoutine, StartContext, &Thread);
    ObDereferenceObject(Process);
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Status = ObMakeHandle(Thread, DesiredAccess, Attributes, ThreadHandle);
    if (!NT_SUCCESS(Status)) {
        PspDiscardThread(Thread);
        return Status;
    }

    /* Commit: the new thread may look at the outputs. */
    if (ClientId != NULL) {
        *ClientId = Thread->Ethread.Cid;
    }
    PspStartThread(Thread, PSP_DEFAULT_PRIORITY);
    ObDereferenceObject(Thread);
    return STATUS_SUCCESS;
}
NTEXPORT(PsCreateSystemThread);

/*
 * End the current thread with ExitStatus; returns only if it is no system thread: STATUS_INVALID_PARAMETER.
 * PASSIVE_LEVEL, outside critical regions, owning no mutex: else the thread's end is a bug check.
 */
NTSTATUS NTAPI
PsTerminateSystemThread(NTSTATUS ExitStatus)
{
    if (KiCurrentThread()->Idle) {
        return STATUS_INVALID_PARAMETER;
    }
    KiExitThread(ExitStatus);
}
NTEXPORT(PsTerminateSystemThread);

/* --- Asking ----------------------------------------------------------------------------------- */

/* Ids of the current thread, of a thread, of its process. Any IRQL. */
HANDLE NTAPI
PsGetCurrentThreadId(VOID)
{
    return PsGetThreadId((PETHREAD)KiCurrentThread());
}
NTEXPORT(PsGetCurrentThreadId);

HANDLE NTAPI
PsGetThreadId(PETHREAD Thread)
{
    return Thread->Cid.UniqueThread;
}
NTEXPORT(PsGetThreadId);

HANDLE NTAPI
PsGetThreadProcessId(PETHREAD Thread)
{
    return Thread->Cid.UniqueProcess;
}
NTEXPORT(PsGetThreadProcessId);

/* The routine behind the macro, for images that import it: the current thread. Any IRQL. */
static PETHREAD NTAPI
PspGetCurrentThread(VOID)
{
    return (PETHREAD)KiCurrentThread();
}
NTEXPORT_AS("PsGetCurrentThread", PspGetCurrentThread);

/* Find a thread by id and reference it. STATUS_INVALID_CID. IRQL <= APC_LEVEL. */
NTSTATUS NTAPI
PsLookupThreadByThreadId(HANDLE ThreadId, PETHREAD *Thread)
{
    OB_ENTRY Entry;

    if (((ULONG64)ThreadId % PSP_CID_STEP) != 0 ||
        !ObTableLookup(&PspCidTable, (ULONG64)ThreadId / PSP_CID_STEP, &Entry, TRUE)) {
        return STATUS_INVALID_CID;
    }
    if (ObTypeOf(Entry.Object) != PsThreadType) {
        ObDereferenceObject(Entry.Object);
        return STATUS_INVALID_CID;
    }
    *Thread = Entry.Object;
    return STATUS_SUCCESS;
}
NTEXPORT(PsLookupThreadByThreadId);

/* TRUE: every thread here runs in kernel mode only. Any IRQL. */
BOOLEAN NTAPI
PsIsSystemThread(PETHREAD Thread)
{
    return CONTAINING_RECORD(Thread->Tcb.Process, EPROCESS, Pcb) == PsInitialSystemProcess ||
           Thread->Tcb.Idle;
}
NTEXPORT(PsIsSystemThread);

static inline BOOLEAN
PspHasEnded(PETHREAD Thread)
{
    return __atomic_load_n(&Thread->Tcb.State, __ATOMIC_ACQUIRE) == Terminated;
}

/* Is the thread ending, or has it ended? IRQL <= DISPATCH_LEVEL. */
BOOLEAN NTAPI
PsIsThreadTerminating(PETHREAD Thread)
{
    return PspHasEnded(Thread);
}
NTEXPORT(PsIsThreadTerminating);

/* What the thread ended with; STATUS_PENDING while it runs. IRQL <= DISPATCH_LEVEL. */
NTSTATUS NTAPI
PsGetThreadExitStatus(PETHREAD Thread)
{
    return PspHasEnded(Thread) ? Thread->Tcb.ExitStatus : STATUS_PENDING;
}
NTEXPORT(PsGetThreadExitStatus);

/* --- For reports ------------------------------------------------------------------------------ */

/* The first thread after Previous (NULL: of all), referenced; NULL at the end. Previous is dereferenced. */
static PPS_THREAD
PspNextThread(PPS_THREAD Previous)
{
    PPS_THREAD Next = NULL;
    KIRQL OldIrql = KiAcquireRankedLockRaise(&PspLock, LockRankHandleTable);
    PLIST_ENTRY Entry = Previous == NULL ? PspThreads.Flink : Previous->Links.Flink;

    for (; Entry != &PspThreads && Next == NULL; Entry = Entry->Flink) {
        PPS_THREAD Thread = CONTAINING_RECORD(Entry, PS_THREAD, Links);

        if (ObReferenceObjectSafe(Thread)) {
            Next = Thread;
        }
    }
    KiReleaseRankedLockLower(&PspLock, OldIrql);
    if (Previous != NULL) {
        ObDereferenceObject(Previous);
    }
    return Next;
}

VOID
PsEnumerateThreads(VOID (*Visitor)(const PS_THREAD_INFO *Info, PVOID Context), PVOID Context)
{
    for (PPS_THREAD Thread = PspNextThread(NULL); Thread != NULL; Thread = PspNextThread(Thread)) {
        PS_THREAD_INFO Info = {
            .Thread = &Thread->Ethread,
            .ClientId = Thread->Ethread.Cid,
            .StartRoutine = Thread->StartRoutine,
            .Image = Thread->Image,
            .Terminated = PspHasEnded(&Thread->Ethread),
            .StackId = Thread->StackId,
        };

        Visitor(&Info, Context);
    }
}

static VOID
PspCountVisitor(const PS_THREAD_INFO *Info, PVOID Context)
{
    *(PULONG)Context += Info->Image && !Info->Terminated;
}

ULONG
PsCountImageThreads(VOID)
{
    ULONG Count = 0;

    PsEnumerateThreads(PspCountVisitor, &Count);
    return Count;
}
