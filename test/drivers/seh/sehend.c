/*
 * Exceptions that end the run. The name of the image file chooses: seh-thread.sys has one escape from a thread. Before it
 * does, the driver prints what to expect, as misuse.c does; an image called sehend.sys prints the list of names.
 */
#include "../check.h"

#define ANY (~0x5A5A5A5Aull)

NTSYSAPI VOID NTAPI RtlUnwind(PVOID Frame, PVOID Target, PEXCEPTION_RECORD Record, PVOID Value);

static volatile ULONG *volatile Somewhere = (volatile ULONG *)0x12340;
static volatile ULONG *volatile Wherever;

static VOID
Expect(ULONG Code, ULONG64 P1, ULONG64 P2, ULONG64 P3, ULONG64 P4)
{
    ULONG64 Values[4] = {P1, P2, P3, P4};
    ULONG Index;

    DbgPrint("expect %08X", Code);
    for (Index = 0; Index < 4; Index += 1) {
        if (Values[Index] == ANY) {
            DbgPrint(" -");
        } else {
            DbgPrint(" %016I64X", Values[Index]);
        }
    }
    DbgPrint("\n");
}

/* In a __try that would take anything. */
static __attribute__((noinline)) VOID
StoreGuarded(volatile ULONG *Address)
{
    __try {
        *Address = 1;
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        DbgPrint("caught\n");
    }
}

static __attribute__((noinline)) VOID
Fault(VOID)
{
    __try {
        *Somewhere = 1;
    } __except (EXCEPTION_CONTINUE_SEARCH) {
        DbgPrint("caught\n");
    }
}

static __attribute__((noinline)) VOID
Entry(VOID)
{
    Expect(0x7E, 0xFFFFFFFFC0000005ull, ANY, ANY, ANY);
    Fault();
}

static __attribute__((noinline)) VOID
Raise(VOID)
{
    Expect(0x7E, 0xFFFFFFFFC000003Eull, ANY, ANY, ANY);
    ExRaiseStatus(STATUS_DATA_ERROR);
}

static VOID NTAPI
ThreadRoutine(PVOID Context)
{
    Expect(0x7E, 0xFFFFFFFFC0000005ull, ANY, ANY, ANY);
    Fault();
}

/* The handler of the thread that made it is not the new thread's. */
static VOID
Thread(VOID)
{
    PVOID Object;

    __try {
        Object = StartThread(ThreadRoutine, NULL);
        JoinThread(Object);
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        DbgPrint("caught\n");
    }
}

static KEVENT Done;

static VOID NTAPI
DpcRoutine(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    Expect(0x1E, 0xFFFFFFFFC000003Eull, ANY, 0, 0);
    RtlRaiseStatus(STATUS_DATA_ERROR);
}

/* What a DPC interrupted has no part in its exceptions. */
static VOID
Dpc(VOID)
{
    static KDPC Object;

    KeInitializeEvent(&Done, NotificationEvent, FALSE);
    KeInitializeDpc(&Object, DpcRoutine, NULL);
    __try {
        KeInsertQueueDpc(&Object, NULL, NULL);
        KeWaitForSingleObject(&Done, Executive, KernelMode, FALSE, NULL);
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        DbgPrint("caught\n");
    }
}

static VOID
SystemAddress(VOID)
{
    volatile ULONG *Block = ExAllocatePoolWithTag(NonPagedPool, 8 * PAGE_SIZE, 'dneS');

    ExFreePool((PVOID)Block);
    Wherever = (volatile ULONG *)((ULONG_PTR)MmSystemRangeStart + 0x123450);
    Expect(0x50, ANY, 2, ANY, ANY);
    StoreGuarded(Wherever);
}

static VOID
ReadOnly(VOID)
{
    Wherever = (volatile ULONG *)(ULONG_PTR)Fault;
    Expect(0xBE, (ULONG_PTR)Wherever, ANY, ANY, ANY);
    StoreGuarded(Wherever);
}

static VOID
AtDispatch(VOID)
{
    KfRaiseIrql(DISPATCH_LEVEL);
    Expect(0xD1, (ULONG_PTR)Somewhere, DISPATCH_LEVEL, 1, ANY);
    StoreGuarded(Somewhere);
}

static LONG
AlwaysFaults(VOID)
{
    *Somewhere = 2;
    return EXCEPTION_EXECUTE_HANDLER;
}

/* Each exception in the filter asks the filter again, until the stack is full. */
static VOID
FilterLoop(VOID)
{
    Expect(0x7F, 8, ANY, ANY, ANY);
    __try {
        *Somewhere = 1;
    } __except (AlwaysFaults()) {
        DbgPrint("caught\n");
    }
}

static VOID
UnwindNowhere(VOID)
{
    Expect(0x1E, 0xFFFFFFFFC0000029ull, ANY, ANY, ANY);
    __try {
        RtlUnwind((PVOID)&Done, (PVOID)(ULONG_PTR)Fault, NULL, NULL);
    } __finally {
        DbgPrint("left\n");
    }
}

/* CallWithHandler calls Routine in a frame whose language handler is OddHandler. */
VOID NTAPI CallWithHandler(VOID(NTAPI *Routine)(VOID));

__asm__(".text\n.globl CallWithHandler\n.def CallWithHandler; .scl 2; .type 32; .endef\n"
        ".seh_proc CallWithHandler\n.seh_handler OddHandler, @except, @unwind\nCallWithHandler:\n"
        "subq $40, %rsp\n.seh_stackalloc 40\n.seh_endprologue\n"
        "call *%rcx\nnop\naddq $40, %rsp\nret\n.seh_handlerdata\n.text\n.seh_endproc\n");

static ULONG HandlerCalls;

EXCEPTION_DISPOSITION NTAPI OddHandler(PEXCEPTION_RECORD Record, PVOID Frame, PCONTEXT Context, PVOID Dispatcher);

EXCEPTION_DISPOSITION NTAPI
OddHandler(PEXCEPTION_RECORD Record, PVOID Frame, PCONTEXT Context, PVOID Dispatcher)
{
    HandlerCalls += 1;
    return HandlerCalls == 1 ? (EXCEPTION_DISPOSITION)7 : ExceptionContinueSearch;
}

static VOID NTAPI
RaiseInFrame(VOID)
{
    ExRaiseStatus(STATUS_DATA_ERROR);
}

static VOID
Disposition(VOID)
{
    Expect(0x7E, 0xFFFFFFFFC0000026ull, ANY, ANY, ANY);
    CallWithHandler(RaiseInFrame);
}

static LONG
ContinueAnyway(VOID)
{
    return EXCEPTION_CONTINUE_EXECUTION;
}

static VOID
NotContinuable(VOID)
{
    Expect(0x7F, 8, ANY, ANY, ANY);
    __try {
        ExRaiseStatus(STATUS_DATA_ERROR);
    } __except (ContinueAnyway()) {
        DbgPrint("caught\n");
    }
}

static const struct {
    const char *Name;
    VOID (*Routine)(VOID);
} Cases[] = {
    {"seh-entry", Entry},         {"seh-raise", Raise},           {"seh-thread", Thread},
    {"seh-dpc", Dpc},             {"seh-system", SystemAddress},  {"seh-read-only", ReadOnly},
    {"seh-dispatch", AtDispatch}, {"seh-filter", FilterLoop},     {"seh-unwind", UnwindNowhere},
    {"seh-odd", Disposition},     {"seh-continue", NotContinuable},
};

/* Does the image's name end in Name? Its object's name is \Driver\Name. */
static BOOLEAN
IsCase(PUNICODE_STRING Full, const char *Name)
{
    ULONG Length = 0, Index, Start;

    while (Name[Length] != 0) {
        Length += 1;
    }
    if (Full->Length / sizeof(WCHAR) < Length) {
        return FALSE;
    }
    Start = Full->Length / sizeof(WCHAR) - Length;
    for (Index = 0; Index < Length; Index += 1) {
        if (Full->Buffer[Start + Index] != (WCHAR)Name[Index]) {
            return FALSE;
        }
    }
    return TRUE;
}

NTSTATUS NTAPI
DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    ULONG Index;

    DriverObject->DriverUnload = CheckUnload;
    for (Index = 0; Index < sizeof(Cases) / sizeof(Cases[0]); Index += 1) {
        if (IsCase(RegistryPath, Cases[Index].Name)) {
            Cases[Index].Routine();
            return STATUS_SUCCESS;
        }
    }
    for (Index = 0; Index < sizeof(Cases) / sizeof(Cases[0]); Index += 1) {
        DbgPrint("case %s\n", Cases[Index].Name);
    }
    return STATUS_SUCCESS;
}
