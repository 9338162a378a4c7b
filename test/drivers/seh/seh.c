/*
 * Structured exceptions: __try, __except and __finally in every order, from faults, from routines that raise, across calls
 * of the kernel that call back. Only clang 19 for the Microsoft target guards single instructions, so only that compiles this.
 */
#include "../check.h"

#define TAG ' heS'

/* What the DDK's headers leave to winnt.h. */
typedef struct _RUNTIME_FUNCTION {
    ULONG BeginAddress;
    ULONG EndAddress;
    ULONG UnwindData;
} RUNTIME_FUNCTION, *PRUNTIME_FUNCTION;
NTSYSAPI VOID NTAPI RtlRaiseException(PEXCEPTION_RECORD Record);
NTSYSAPI VOID NTAPI RtlCaptureContext(PCONTEXT Context);
NTSYSAPI VOID NTAPI RtlRestoreContext(PCONTEXT Context, PEXCEPTION_RECORD Record);
NTSYSAPI PVOID NTAPI RtlPcToFileHeader(PVOID Address, PVOID *Base);
NTSYSAPI PRUNTIME_FUNCTION NTAPI RtlLookupFunctionEntry(ULONG64 Address, PULONG64 Base, PVOID History);
NTSYSAPI PVOID NTAPI RtlVirtualUnwind(ULONG Type, ULONG64 Base, ULONG64 Address, PRUNTIME_FUNCTION Function,
                                      PCONTEXT Context, PVOID *Data, PULONG64 Frame, PVOID Pointers);

#define EXCEPTION() ((PEXCEPTION_POINTERS)GetExceptionInformation())

typedef VOID(NTAPI *RAISER)(VOID);

/* What happened, one digit per event. */
static volatile ULONG64 Trace;

static VOID
Mark(ULONG Digit)
{
    Trace = Trace * 16 + Digit;
}

static ULONG64
TakeTrace(VOID)
{
    ULONG64 Taken = Trace;

    Trace = 0;
    return Taken;
}

static volatile ULONG *volatile Nowhere;
static volatile ULONG *volatile Somewhere = (volatile ULONG *)0x12340;

static __attribute__((noinline)) VOID
Fault(VOID)
{
    *Somewhere = 1;
}

/* --- Faults ------------------------------------------------------------------------------------------- */

static VOID
TestStore(VOID)
{
    NTSTATUS Code = 0;
    EXCEPTION_RECORD Record;

    __try {
        *Somewhere = 1;
        Mark(1);
    } __except (Code = GetExceptionCode(), Record = *EXCEPTION()->ExceptionRecord,
                EXCEPTION_EXECUTE_HANDLER) {
        Mark(2);
    }
    CHECK_EQ(TakeTrace(), 2);
    CHECK_STATUS(Code, STATUS_ACCESS_VIOLATION);
    CHECK_EQ(Record.NumberParameters, 2);
    CHECK_EQ(Record.ExceptionInformation[0], 1);
    CHECK_EQ(Record.ExceptionInformation[1], 0x12340);
    CHECK_EQ(Record.ExceptionFlags, 0);
    __try {
        Mark((ULONG)*Nowhere);
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        Code = GetExceptionCode();
        Mark(3);
    }
    CHECK_STATUS(Code, STATUS_ACCESS_VIOLATION);
    CHECK_EQ(TakeTrace(), 3);
}

static VOID
TestOtherFaults(VOID)
{
    volatile ULONG Zero = 0, Result = 7;
    RAISER Null = *(RAISER volatile *)&Nowhere;
    ULONG64 Info[2] = {0, 0};
    UCHAR Nothing[64] = {0};
    NTSTATUS Code = 0;

    __try {
        Result = 10 / Zero;
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        Code = GetExceptionCode();
    }
    CHECK_STATUS(Code, STATUS_INTEGER_DIVIDE_BY_ZERO);
    CHECK_EQ(Result, 7);
    __try {
        __asm__ volatile("ud2");
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        Code = GetExceptionCode();
    }
    CHECK_STATUS(Code, STATUS_ILLEGAL_INSTRUCTION);
    __try {
        __asm__ volatile("int3");
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        Code = GetExceptionCode();
    }
    CHECK_STATUS(Code, STATUS_BREAKPOINT);
    __try {
        *(volatile ULONG *)0x8000000000000000ull = 1;
    } __except (Info[0] = EXCEPTION()->ExceptionRecord->ExceptionInformation[0],
                Info[1] = EXCEPTION()->ExceptionRecord->ExceptionInformation[1],
                EXCEPTION_EXECUTE_HANDLER) {
        Code = GetExceptionCode();
    }
    CHECK_STATUS(Code, STATUS_ACCESS_VIOLATION);
    CHECK_EQ(Info[1], ~0ull);
    /* A call to nothing belongs to the caller. */
    __try {
        Null();
    } __except (Info[0] = EXCEPTION()->ExceptionRecord->ExceptionInformation[0],
                EXCEPTION_EXECUTE_HANDLER) {
        Mark(4);
    }
    CHECK_EQ(TakeTrace(), 4);
    CHECK_EQ(Info[0], 8);
    /* The kernel's copy on behalf of a driver. */
    __try {
        RtlMoveMemory((PVOID)0x10000, Nothing, sizeof(Nothing));
        Mark(1);
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        Mark(5);
    }
    CHECK_EQ(TakeTrace(), 5);
}

/* --- Order ---------------------------------------------------------------------------------------------- */

static LONG
Filter(ULONG Digit, LONG Answer)
{
    Mark(Digit);
    return Answer;
}

static __attribute__((noinline)) VOID
Thrower(NTSTATUS Status)
{
    __try {
        Mark(1);
        ExRaiseStatus(Status);
    } __finally {
        Mark(AbnormalTermination() ? 2 : 3);
    }
}

static VOID
TestNested(VOID)
{
    NTSTATUS Code = 0;

    __try {
        __try {
            __try {
                Thrower(STATUS_INVALID_PARAMETER);
                Mark(0xF);
            } __finally {
                Mark(4);
            }
        } __except (Filter(5, EXCEPTION_CONTINUE_SEARCH)) {
            Mark(0xE);
        }
    } __except (Filter(6, EXCEPTION_EXECUTE_HANDLER)) {
        Code = GetExceptionCode();
        Mark(7);
    }
    /* Filters first, then the termination handlers from inside out. */
    CHECK_EQ(TakeTrace(), 0x156247);
    CHECK_STATUS(Code, STATUS_INVALID_PARAMETER);
    __try {
        Mark(1);
    } __finally {
        Mark(AbnormalTermination() ? 2 : 3);
    }
    CHECK_EQ(TakeTrace(), 0x13);
}

static VOID
TestRethrown(VOID)
{
    NTSTATUS Code = 0, Again = 0;

    __try {
        __try {
            *Somewhere = 1;
        } __except (EXCEPTION_EXECUTE_HANDLER) {
            Code = GetExceptionCode();
            Mark(1);
            ExRaiseStatus(STATUS_DATA_ERROR);
        }
        Mark(0xF);
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        Again = GetExceptionCode();
        Mark(2);
    }
    CHECK_EQ(TakeTrace(), 0x12);
    CHECK_STATUS(Code, STATUS_ACCESS_VIOLATION);
    CHECK_STATUS(Again, STATUS_DATA_ERROR);
}

/* An exception in a termination handler: the unwind that ran it is over, its other termination handlers run once. */
static __attribute__((noinline)) VOID
Collides(VOID)
{
    __try {
        __try {
            __try {
                ExRaiseStatus(STATUS_INVALID_PARAMETER);
            } __finally {
                Mark(2);
                *Somewhere = 1;
                Mark(0xF);
            }
        } __finally {
            Mark(3);
        }
    } __finally {
        Mark(4);
    }
}

static VOID
TestCollided(VOID)
{
    NTSTATUS Code = 0, Outer = 0;

    __try {
        __try {
            Mark(1);
            Collides();
            Mark(0xF);
        } __except (Filter(5, EXCEPTION_EXECUTE_HANDLER)) {
            Code = GetExceptionCode();
            Mark(6);
        }
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        Outer = GetExceptionCode();
    }
    /* The filter is asked for the first exception, then for the second. */
    CHECK_EQ(TakeTrace(), 0x1525346);
    CHECK_STATUS(Code, STATUS_ACCESS_VIOLATION);
    CHECK_STATUS(Outer, STATUS_SUCCESS);
    /* The same within one function: the handler in the frame that is being left. */
    __try {
        __try {
            __try {
                Fault(); /* clang leaves outer ranges out for a bare store directly in __try with __finally */
            } __finally {
                Mark(1);
                ExRaiseStatus(STATUS_DATA_ERROR);
            }
        } __except (GetExceptionCode() == STATUS_DATA_ERROR) {
            Mark(2);
        }
    } __except (GetExceptionCode() == STATUS_ACCESS_VIOLATION) {
        Mark(3);
    }
    CHECK_EQ(TakeTrace(), 0x12);
}

static LONG
FaultingFilter(PEXCEPTION_POINTERS Pointers)
{
    NTSTATUS Code = Pointers->ExceptionRecord->ExceptionCode;

    if (Code == STATUS_INVALID_PARAMETER) {
        __try {
            *Somewhere = 1;
        } __except (EXCEPTION_EXECUTE_HANDLER) {
            Mark(1);
        }
        Mark(2);
        *Somewhere = 2; /* nobody in the filter handles this one */
    }
    Mark((Pointers->ExceptionRecord->ExceptionFlags & 0x10) != 0 ? 3 : 0xD);
    return EXCEPTION_EXECUTE_HANDLER;
}

static VOID
TestFilterFaults(VOID)
{
    NTSTATUS Code = 0;

    __try {
        ExRaiseStatus(STATUS_INVALID_PARAMETER);
    } __except (FaultingFilter(GetExceptionInformation())) {
        Code = GetExceptionCode();
        Mark(4);
    }
    CHECK_EQ(TakeTrace(), 0x1234);
    CHECK_STATUS(Code, STATUS_ACCESS_VIOLATION);
}

/* --- Leaving a __try by other ways -------------------------------------------------------------------------- */

static __attribute__((noinline)) ULONG
ReturnsInside(ULONG Way)
{
    ULONG Round;

    for (Round = 0; Round < 3; Round += 1) {
        __try {
            Mark(1);
            if (Way == 0) {
                return 10;
            }
            if (Way == 1) {
                break;
            }
            if (Way == 2) {
                goto Out;
            }
            if (Way == 3) {
                continue;
            }
            __leave;
        } __finally {
            Mark(2);
        }
        Mark(3);
    }
    Mark(4);
    return 20;

Out:
    Mark(5);
    return 30;
}

static VOID
TestLeaving(VOID)
{
    CHECK_EQ(ReturnsInside(0), 10);
    CHECK_EQ(TakeTrace(), 0x12);
    CHECK_EQ(ReturnsInside(1), 20);
    CHECK_EQ(TakeTrace(), 0x124);
    CHECK_EQ(ReturnsInside(2), 30);
    CHECK_EQ(TakeTrace(), 0x125);
    CHECK_EQ(ReturnsInside(3), 20);
    CHECK_EQ(TakeTrace(), 0x1212124);
    CHECK_EQ(ReturnsInside(4), 20);
    CHECK_EQ(TakeTrace(), 0x1231231234);
}

/*
 * _local_unwind, as compilers for Windows call it to leave a __try: from CallLocalUnwind to the label in UnwindsInside, whose frame
 * is its stack pointer after the prologue.
 */
ULONG NTAPI UnwindsInside(VOID(NTAPI *Routine)(PVOID Frame, PVOID Target));
VOID NTAPI _local_unwind(PVOID Frame, PVOID Target);

__asm__(".text\n.globl UnwindsInside\n.def UnwindsInside; .scl 2; .type 32; .endef\n"
        ".seh_proc UnwindsInside\nUnwindsInside:\n"
        "pushq %rbx\n.seh_pushreg %rbx\npushq %rdi\n.seh_pushreg %rdi\nsubq $40, %rsp\n.seh_stackalloc 40\n.seh_endprologue\n"
        "movl $0x77, %ebx\nmovl $0x1000, %edi\nmovq %rcx, %rax\nmovq %rsp, %rcx\nleaq 1f(%rip), %rdx\n"
        "call *%rax\nnop\nmovl $0, %ebx\n"
        "1:\nleal (%rbx,%rdi), %eax\naddq $40, %rsp\npopq %rdi\npopq %rbx\nret\n.seh_endproc\n");

static VOID NTAPI
CallLocalUnwind(PVOID Frame, PVOID Target)
{
    __try {
        Mark(1);
        _local_unwind(Frame, Target);
        Mark(0xF);
    } __finally {
        Mark(AbnormalTermination() ? 2 : 0xE);
    }
}

static VOID
TestLocalUnwind(VOID)
{
    CHECK_EQ(UnwindsInside(CallLocalUnwind), 0x1077);
    CHECK_EQ(TakeTrace(), 0x12);
}

/* --- Going on -------------------------------------------------------------------------------------------------- */

static ULONG Repaired;

static LONG
Repair(PEXCEPTION_POINTERS Pointers)
{
    Pointers->ContextRecord->Rcx = (ULONG64)&Repaired;
    Pointers->ContextRecord->Xmm1.Low = 0x1122334455667788ull;
    Pointers->ContextRecord->Xmm9.Low = 0x99AABBCCDDEEFF00ull;
    return EXCEPTION_CONTINUE_EXECUTION;
}

static LONG
SkipBreak(PEXCEPTION_POINTERS Pointers)
{
    Pointers->ContextRecord->Rip += 1;
    return EXCEPTION_CONTINUE_EXECUTION;
}

static VOID
TestContinue(VOID)
{
    ULONG64 One = 0, Nine = 0;
    EXCEPTION_RECORD Record;

    __try {
        __asm__ volatile("movl $0xABCD, (%%rcx)\nmovq %%xmm1, %0\nmovq %%xmm9, %1" : "=r"(One), "=r"(Nine)
                         : "c"(0x10000ull) : "memory");
        Mark(1);
    } __except (Repair(GetExceptionInformation())) {
        Mark(0xF);
    }
    CHECK_EQ(Repaired, 0xABCD);
    CHECK_EQ(One, 0x1122334455667788ull);
    CHECK_EQ(Nine, 0x99AABBCCDDEEFF00ull);
    __try {
        __asm__ volatile("int3");
        Mark(2);
    } __except (SkipBreak(GetExceptionInformation())) {
        Mark(0xF);
    }
    RtlZeroMemory(&Record, sizeof(Record));
    Record.ExceptionCode = STATUS_TIMEOUT;
    Record.NumberParameters = 1;
    Record.ExceptionInformation[0] = 0x55;
    __try {
        RtlRaiseException(&Record);
        Mark(3);
    } __except (EXCEPTION_CONTINUE_EXECUTION) {
        Mark(0xF);
    }
    CHECK_EQ(TakeTrace(), 0x123);
    CHECK((ULONG64)Record.ExceptionAddress > (ULONG64)TestStore - 0x100000 &&
          (ULONG64)Record.ExceptionAddress < (ULONG64)TestStore + 0x100000);
}

static LONG
Continuer(PEXCEPTION_POINTERS Pointers)
{
    Mark(1);
    if (Pointers->ExceptionRecord->ExceptionCode == STATUS_NONCONTINUABLE_EXCEPTION) {
        Mark(Pointers->ExceptionRecord->ExceptionRecord->ExceptionCode == STATUS_DATA_ERROR ? 2 : 0xF);
        return EXCEPTION_EXECUTE_HANDLER;
    }
    return EXCEPTION_CONTINUE_EXECUTION;
}

static VOID
TestNoncontinuable(VOID)
{
    __try {
        ExRaiseStatus(STATUS_DATA_ERROR);
        Mark(0xF);
    } __except (Continuer(GetExceptionInformation())) {
        Mark(3);
    }
    CHECK_EQ(TakeTrace(), 0x1123);
}

/* --- Across the kernel ------------------------------------------------------------------------------------------ */

static VOID NTAPI
Expand3(PVOID Context)
{
    __try {
        Mark(3);
        if (Context != NULL) {
            *Somewhere = 3;
        } else {
            ExRaiseStatus(STATUS_DATA_ERROR);
        }
    } __finally {
        Mark(4);
    }
}

static VOID NTAPI
Expand2(PVOID Context)
{
    __try {
        Mark(2);
        KeExpandKernelStackAndCallout(Expand3, Context, 1024);
        Mark(0xF);
    } __finally {
        Mark(5);
    }
}

static VOID NTAPI
Expand1(PVOID Context)
{
    __try {
        Mark(1);
        KeExpandKernelStackAndCallout(Expand2, Context, 1024);
        Mark(0xF);
    } __finally {
        Mark(6);
    }
}

static VOID
TestCrossings(VOID)
{
    NTSTATUS Code = 0;
    ULONG Round;

    for (Round = 0; Round < 2; Round += 1) {
        __try {
            KeExpandKernelStackAndCallout(Expand1, Round == 0 ? NULL : &Code, 1024);
            Mark(0xF);
        } __except (EXCEPTION_EXECUTE_HANDLER) {
            Code = GetExceptionCode();
        }
        CHECK_STATUS(Code, Round == 0 ? STATUS_DATA_ERROR : STATUS_ACCESS_VIOLATION);
        CHECK_EQ(TakeTrace(), 0x123456);
    }
}

static VOID NTAPI
LargeInner(PVOID Context)
{
    __try {
        Mark(2);
        ExRaiseStatus(STATUS_DATA_ERROR);
    } __finally {
        Mark(3);
    }
}

static VOID NTAPI
LargeOuter(PVOID Context)
{
    __try {
        Mark(1);
        KeExpandKernelStackAndCallout(LargeInner, NULL, MAXIMUM_EXPANSION_SIZE);
        Mark(0xF);
    } __finally {
        Mark(4);
    }
}

/* Exceptions that leave stacks of their own, which are given back. */
static VOID
TestStacks(VOID)
{
    ULONG_PTR Low, High, LowAfter, HighAfter;
    NTSTATUS Code;
    ULONG Round;

    IoGetStackLimits(&Low, &High);
    for (Round = 0; Round < 40; Round += 1) {
        Code = 0;
        __try {
            KeExpandKernelStackAndCallout(LargeOuter, NULL, MAXIMUM_EXPANSION_SIZE);
            Mark(0xF);
        } __except (EXCEPTION_EXECUTE_HANDLER) {
            Code = GetExceptionCode();
        }
        if (Code != STATUS_DATA_ERROR || TakeTrace() != 0x1234) {
            break;
        }
    }
    CHECK_EQ(Round, 40);
    IoGetStackLimits(&LowAfter, &HighAfter);
    CHECK_EQ(Low, LowAfter);
    CHECK_EQ(High, HighAfter);
}

static PVOID NTAPI
RaisingAllocate(POOL_TYPE Type, SIZE_T Size, ULONG Tag)
{
    Mark(1);
    ExRaiseStatus(STATUS_INSUFFICIENT_RESOURCES);
    return NULL;
}

static VOID
TestLookaside(VOID)
{
    static NPAGED_LOOKASIDE_LIST List;
    NTSTATUS Code = 0;

    ExInitializeNPagedLookasideList(&List, RaisingAllocate, NULL, 0, 64, TAG, 0);
    __try {
        ExAllocateFromNPagedLookasideList(&List);
        Mark(0xF);
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        Code = GetExceptionCode();
    }
    CHECK_STATUS(Code, STATUS_INSUFFICIENT_RESOURCES);
    CHECK_EQ(TakeTrace(), 1);
    ExDeleteNPagedLookasideList(&List);
}

static VOID NTAPI
RaisingCallback(PVOID Context, PVOID Argument1, PVOID Argument2)
{
    Mark(1);
    ExRaiseStatus(STATUS_DATA_ERROR);
}

/* A notification that an exception ended does not count as running: it can be unregistered. */
static VOID
TestCallback(VOID)
{
    OBJECT_ATTRIBUTES Attributes;
    PCALLBACK_OBJECT Callback;
    PVOID Registration;

    InitializeObjectAttributes(&Attributes, NULL, OBJ_KERNEL_HANDLE, NULL, NULL);
    REQUIRE(NT_SUCCESS(ExCreateCallback(&Callback, &Attributes, TRUE, TRUE)));
    Registration = ExRegisterCallback(Callback, RaisingCallback, NULL);
    REQUIRE(Registration != NULL);
    __try {
        ExNotifyCallback(Callback, NULL, NULL);
        Mark(0xF);
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        Mark(2);
    }
    CHECK_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
    ExUnregisterCallback(Registration);
    CHECK_EQ(TakeTrace(), 0x12);
    ObDereferenceObject(Callback);
}

/* At DISPATCH_LEVEL too. */
static VOID
TestDispatchLevel(VOID)
{
    KSPIN_LOCK Lock;
    NTSTATUS Code = 0;
    KIRQL Irql;

    KeInitializeSpinLock(&Lock);
    KeAcquireSpinLock(&Lock, &Irql);
    __try {
        RtlRaiseStatus(STATUS_DATA_ERROR);
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        Code = GetExceptionCode();
    }
    CHECK_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
    KeReleaseSpinLock(&Lock, Irql);
    CHECK_STATUS(Code, STATUS_DATA_ERROR);
}

/* --- Routines that raise -------------------------------------------------------------------------------------------- */

static NTSTATUS
Probe(PVOID Address, SIZE_T Length, ULONG Alignment, BOOLEAN Write)
{
    __try {
        if (Write) {
            ProbeForWrite(Address, Length, Alignment);
        } else {
            ProbeForRead(Address, Length, Alignment);
        }
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        return GetExceptionCode();
    }
    return STATUS_SUCCESS;
}

static NTSTATUS
Lock(PVOID Address, ULONG Length, KPROCESSOR_MODE Mode)
{
    PMDL Mdl = IoAllocateMdl(Address, Length, FALSE, FALSE, NULL);
    NTSTATUS Status = STATUS_SUCCESS;

    if (Mdl == NULL) {
        return STATUS_NO_MEMORY;
    }
    __try {
        MmProbeAndLockPages(Mdl, Mode, IoWriteAccess);
        MmUnlockPages(Mdl);
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        Status = GetExceptionCode();
    }
    IoFreeMdl(Mdl);
    return Status;
}

static VOID
TestRaisers(VOID)
{
    PUCHAR Block = ExAllocatePoolWithTag(PagedPool, 3 * PAGE_SIZE, TAG);
    NTSTATUS Code = STATUS_SUCCESS;

    CHECK_STATUS(Probe(Block, 16, 1, FALSE), STATUS_ACCESS_VIOLATION);
    CHECK_STATUS(Probe((PVOID)0x10001, 16, 4, FALSE), STATUS_DATATYPE_MISALIGNMENT);
    CHECK_STATUS(Probe((PVOID)0x10001, 0, 4, TRUE), STATUS_SUCCESS);
    CHECK_STATUS(Probe((PVOID)0x10000, 16, 4, TRUE), STATUS_ACCESS_VIOLATION);
    CHECK_STATUS(Lock(Block, 3 * PAGE_SIZE, KernelMode), STATUS_SUCCESS);
    CHECK_STATUS(Lock(Block, 3 * PAGE_SIZE, UserMode), STATUS_ACCESS_VIOLATION);
    CHECK_STATUS(Lock((PVOID)0x20000, 100, UserMode), STATUS_ACCESS_VIOLATION);
    ExFreePoolWithTag(Block, TAG);
    __try {
        ExAllocatePoolWithQuotaTag(NonPagedPool, (SIZE_T)1 << 46, TAG);
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        Code = GetExceptionCode();
    }
    CHECK(Code == STATUS_INSUFFICIENT_RESOURCES || Code == STATUS_QUOTA_EXCEEDED);
    Code = STATUS_SUCCESS;
    __try {
        ExAllocatePoolWithTag(NonPagedPool | POOL_RAISE_IF_ALLOCATION_FAILURE, (SIZE_T)1 << 46, TAG);
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        Code = GetExceptionCode();
    }
    CHECK_STATUS(Code, STATUS_INSUFFICIENT_RESOURCES);
    __try {
        ExRaiseAccessViolation();
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        Code = GetExceptionCode();
    }
    CHECK_STATUS(Code, STATUS_ACCESS_VIOLATION);
    __try {
        ExRaiseDatatypeMisalignment();
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        Code = GetExceptionCode();
    }
    CHECK_STATUS(Code, STATUS_DATATYPE_MISALIGNMENT);
    __try {
        DbgBreakPoint();
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        Code = GetExceptionCode();
    }
    CHECK_STATUS(Code, STATUS_BREAKPOINT);
}

/* --- Registers ------------------------------------------------------------------------------------------------------- */

/*
 * KeepRegisters loads rbx, rsi, rdi, r12-r15, rbp and xmm6-xmm15 from In, calls Routine, and stores them to Out. Spoil
 * saves and overwrites them all, then calls Routine, which must not return.
 */
VOID NTAPI KeepRegisters(const UCHAR *In, UCHAR *Out, RAISER Routine);
VOID NTAPI Spoil(RAISER Routine);

#define EACH_XMM(Do) Do(6) Do(7) Do(8) Do(9) Do(10) Do(11) Do(12) Do(13) Do(14) Do(15)
#define XMM_SAVE(N) "movaps %xmm" #N ", 16*" #N "-64(%rsp)\n.seh_savexmm %xmm" #N ", 16*" #N "-64\n"
#define XMM_BACK(N) "movaps 16*" #N "-64(%rsp), %xmm" #N "\n"
#define XMM_LOAD(N) "movups 16*" #N "-32(%rcx), %xmm" #N "\n"
#define XMM_STORE(N) "movups %xmm" #N ", 16*" #N "-32(%rax)\n"
#define XMM_SPOIL(N) "pcmpeqd %xmm" #N ", %xmm" #N "\n"
#define PUSH_ALL                                                                                                       \
    "pushq %rbp\n.seh_pushreg %rbp\npushq %rbx\n.seh_pushreg %rbx\npushq %rsi\n.seh_pushreg %rsi\n"                    \
    "pushq %rdi\n.seh_pushreg %rdi\npushq %r12\n.seh_pushreg %r12\npushq %r13\n.seh_pushreg %r13\n"                    \
    "pushq %r14\n.seh_pushreg %r14\npushq %r15\n.seh_pushreg %r15\n"
#define POP_ALL "popq %r15\npopq %r14\npopq %r13\npopq %r12\npopq %rdi\npopq %rsi\npopq %rbx\npopq %rbp\n"

__asm__(".text\n.globl KeepRegisters\n.def KeepRegisters; .scl 2; .type 32; .endef\n"
        ".seh_proc KeepRegisters\nKeepRegisters:\n" PUSH_ALL "subq $216, %rsp\n.seh_stackalloc 216\n" EACH_XMM(XMM_SAVE)
        ".seh_endprologue\n"
        "movq %rdx, 200(%rsp)\n" EACH_XMM(XMM_LOAD)
        "movq (%rcx), %rbx\nmovq 8(%rcx), %rsi\nmovq 16(%rcx), %rdi\nmovq 24(%rcx), %r12\nmovq 32(%rcx), %r13\n"
        "movq 40(%rcx), %r14\nmovq 48(%rcx), %r15\nmovq 56(%rcx), %rbp\n"
        "call *%r8\nnop\nmovq 200(%rsp), %rax\n" EACH_XMM(XMM_STORE)
        "movq %rbx, (%rax)\nmovq %rsi, 8(%rax)\nmovq %rdi, 16(%rax)\nmovq %r12, 24(%rax)\nmovq %r13, 32(%rax)\n"
        "movq %r14, 40(%rax)\nmovq %r15, 48(%rax)\nmovq %rbp, 56(%rax)\n" EACH_XMM(XMM_BACK)
        "addq $216, %rsp\n" POP_ALL "ret\n.seh_endproc\n"
        ".globl Spoil\n.def Spoil; .scl 2; .type 32; .endef\n"
        ".seh_proc Spoil\nSpoil:\n" PUSH_ALL "subq $216, %rsp\n.seh_stackalloc 216\n" EACH_XMM(XMM_SAVE)
        ".seh_endprologue\n"
        "movq %rcx, %rax\n" EACH_XMM(XMM_SPOIL)
        "movq $-1, %rbx\nmovq $-2, %rsi\nmovq $-3, %rdi\nmovq $-4, %r12\nmovq $-5, %r13\nmovq $-6, %r14\nmovq $-7, %r15\n"
        "movq $-8, %rbp\ncall *%rax\nnop\n" EACH_XMM(XMM_BACK) "addq $216, %rsp\n" POP_ALL "ret\n.seh_endproc\n");

static VOID NTAPI
RaiseHere(VOID)
{
    ExRaiseStatus(STATUS_DATA_ERROR);
}

static VOID NTAPI
FaultHere(VOID)
{
    *Somewhere = 1;
}

static VOID NTAPI
SpoilAndRaise(PVOID Context)
{
    Spoil(Context);
}

static RAISER KeptRoutine;

static VOID NTAPI
CatchHere(VOID)
{
    __try {
        KeExpandKernelStackAndCallout(SpoilAndRaise, (PVOID)KeptRoutine, 1024);
        Mark(0xF);
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        Mark(1);
    }
}

static VOID NTAPI
CatchOnOtherStack(VOID)
{
    __try {
        KeExpandKernelStackAndCallout(SpoilAndRaise, (PVOID)KeptRoutine, MAXIMUM_EXPANSION_SIZE);
        Mark(0xF);
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        Mark(1);
    }
}

static VOID
TestRegisters(VOID)
{
    static UCHAR In[8 * 8 + 10 * 16], Out[8 * 8 + 10 * 16];
    ULONG Round;

    for (Round = 0; Round < 4; Round += 1) {
        Paint(In, sizeof(In), (UCHAR)(Round * 13 + 1));
        RtlZeroMemory(Out, sizeof(Out));
        KeptRoutine = (Round & 1) == 0 ? RaiseHere : FaultHere;
        KeepRegisters(In, Out, Round < 2 ? CatchHere : CatchOnOtherStack);
        CHECK_EQ(TakeTrace(), 1);
        CHECK_EQ(RtlCompareMemory(In, Out, sizeof(In)), sizeof(In));
    }
}

/* --- Documented helpers ------------------------------------------------------------------------------------------------ */

static __attribute__((noinline)) VOID
TestContexts(VOID)
{
    static CONTEXT Context;
    static volatile ULONG Times;
    ULONG64 Base = 0, Frame = 0, Rip;
    PVOID Header = NULL, Data = NULL;
    PRUNTIME_FUNCTION Function;

    Times = 0;
    RtlCaptureContext(&Context);
    Times += 1;
    if (Times == 1) {
        CHECK(Context.Rsp != 0 && (Context.Rsp & 15) == 0);
        Function = RtlLookupFunctionEntry(Context.Rip, &Base, NULL);
        REQUIRE(Function != NULL);
        CHECK(Context.Rip - Base >= Function->BeginAddress && Context.Rip - Base < Function->EndAddress);
        CHECK(RtlPcToFileHeader((PVOID)Context.Rip, &Header) == (PVOID)Base);
        CHECK(Header == (PVOID)Base && *(USHORT *)Header == 0x5A4D);
        CHECK(RtlPcToFileHeader((PVOID)0x1234, &Header) == NULL && Header == NULL);
        RtlRestoreContext(&Context, NULL);
    }
    CHECK_EQ(Times, 2);
    RtlCaptureContext(&Context);
    Rip = Context.Rip;
    Function = RtlLookupFunctionEntry(Rip, &Base, NULL);
    RtlVirtualUnwind(0, Base, Rip, Function, &Context, &Data, &Frame, NULL);
    /* One of the callers: in this image, further up the stack. */
    CHECK(RtlPcToFileHeader((PVOID)Context.Rip, &Header) == (PVOID)Base);
    CHECK(Context.Rsp > Frame);
}

static VOID NTAPI
InThread(PVOID Context)
{
    ULONG Round;

    for (Round = 0; Round < 50; Round += 1) {
        __try {
            if (Round % 2 == 0) {
                *Somewhere = 1;
            } else {
                KeExpandKernelStackAndCallout(LargeInner, NULL, Round % 10 == 1 ? MAXIMUM_EXPANSION_SIZE : 1024);
            }
        } __except (EXCEPTION_EXECUTE_HANDLER) {
            InterlockedIncrement((LONG *)Context);
        }
    }
}

static VOID
TestThreads(VOID)
{
    volatile LONG Caught = 0;
    PVOID Threads[4];
    ULONG Index;

    for (Index = 0; Index < 4; Index += 1) {
        Threads[Index] = StartThread(InThread, (PVOID)&Caught);
    }
    for (Index = 0; Index < 4; Index += 1) {
        if (Threads[Index] != NULL) {
            JoinThread(Threads[Index]);
        }
    }
    CHECK_EQ(Caught, 200);
    TakeTrace();
}

static VOID
Test(VOID)
{
    TestStore();
    TestOtherFaults();
    TestNested();
    TestRethrown();
    TestCollided();
    TestFilterFaults();
    TestLeaving();
    TestLocalUnwind();
    TestContinue();
    TestNoncontinuable();
    TestCrossings();
    TestLookaside();
    TestCallback();
    TestDispatchLevel();
    TestRaisers();
    TestRegisters();
    TestContexts();
    TestStacks();
    TestThreads();
}

CHECK_DRIVER
