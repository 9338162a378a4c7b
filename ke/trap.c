/*
 * Traps: page faults and exceptions, from the machine's trap entries.
 *
 * A page fault at DISPATCH_LEVEL or above stops the machine, even if the page could be had; below that MmAccessFault
 * has its say, and only if it cannot help the fault is judged here: a user address is an access violation, an
 * exception; a system address is one of the bug checks that no handler can catch. An exception that nobody handles is
 * a bug check (exception.c).
 *
 * MmAccessFault belongs to mm/fault, above this file: a trap climbs by calling its public name.
 */
#include "kep.h"
#include "exception.h"
#include "user.h"
#include <ntexport.h>

NTSTATUS MmAccessFault(ULONG ErrorCode, PVOID Address, KPROCESSOR_MODE Mode, PKTRAP_FRAME TrapFrame);

ULONG64 (*KiQueryPte)(ULONG64 Address);
KI_FAULT_KIND (*KiClassifyFault)(PKTRAP_FRAME TrapFrame, ULONG64 Address);

/* Of a page fault's error code. */
#define KI_FAULT_PRESENT 0x1
#define KI_FAULT_WRITE 0x2
#define KI_FAULT_USER 0x4
#define KI_FAULT_FETCH 0x10

/* int 0x29 and int 0x2C as the processor reports them where their gates are closed to the caller: vector * 8 + 2. */
#define KI_VECTOR_FAST_FAIL 0x29
#define KI_VECTOR_ASSERT 0x2C
#define KI_ERROR_OF_VECTOR(Vector) ((Vector)*8 + 2)

/* What an access was, in an exception's first information word. */
static ULONG64
KipAccessKind(ULONG ErrorCode)
{
    if ((ErrorCode & KI_FAULT_FETCH) != 0) {
        return EXCEPTION_EXECUTE_FAULT;
    }
    return (ErrorCode & KI_FAULT_WRITE) != 0 ? EXCEPTION_WRITE_FAULT : EXCEPTION_READ_FAULT;
}

/* Dispatch an exception with this many words of information. Returns if the trap frame is to be resumed. */
static VOID
KipDispatch(PKTRAP_FRAME TrapFrame, NTSTATUS Code, ULONG64 Address, ULONG Count, ULONG64 Info0, ULONG64 Info1)
{
    EXCEPTION_RECORD Record = {.ExceptionCode = Code, .ExceptionAddress = (PVOID)Address, .NumberParameters = Count};

    if (KiFailUserCopy(TrapFrame, Code)) {
        return;
    }
    Record.ExceptionInformation[0] = Info0;
    Record.ExceptionInformation[1] = Info1;
    if (TrapFrame->PreviousMode == UserMode) {
        if (Code == STATUS_ACCESS_VIOLATION && Info0 == EXCEPTION_EXECUTE_FAULT && KiUserFetch != NULL) {
            KiUserFetch(Info1);
        }
        KiDispatchUserException(TrapFrame, &Record, NULL, TRUE);
        return;
    }
    KiDispatchTrap(TrapFrame, &Record);
}

/* The bug checks for special pool and unloaded drivers; returns if the fault is none of those. */
static VOID
KipKnownFault(PKTRAP_FRAME TrapFrame, KI_FAULT_KIND Kind, ULONG64 Address, ULONG ErrorCode)
{
    BOOLEAN Image = KiIsImageAddress(TrapFrame->Rip), Write = (ErrorCode & KI_FAULT_WRITE) != 0;
    ULONG Code;

    switch (Kind) {
    case KiFaultFreedSpecialPool:
        Code = Image ? DRIVER_PAGE_FAULT_IN_FREED_SPECIAL_POOL : PAGE_FAULT_IN_FREED_SPECIAL_POOL;
        break;
    case KiFaultBeyondSpecialPool:
        Code = Image ? DRIVER_PAGE_FAULT_BEYOND_END_OF_ALLOCATION : PAGE_FAULT_BEYOND_END_OF_ALLOCATION;
        break;
    case KiFaultUnloadedDriver:
        Code = DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS;
        break;
    default:
        return;
    }
    KiBugCheckTrap(TrapFrame, Code, Address, Write, TrapFrame->Rip, 0);
}

/* A fault at raised IRQL: an image's or ours. */
static VOID DECLSPEC_NORETURN
KipFaultAtIrql(PKTRAP_FRAME TrapFrame, KI_FAULT_KIND Kind, ULONG64 Address, ULONG ErrorCode)
{
    KIRQL Irql = HalGetIrql();

    if (Kind == KiFaultUnloadedDriver || Kind == KiFaultPageableDriver) {
        KiBugCheckTrap(TrapFrame,
                       Kind == KiFaultPageableDriver ? DRIVER_PORTION_MUST_BE_NONPAGED
                                                     : SYSTEM_SCAN_AT_RAISED_IRQL_CAUGHT_IMPROPER_DRIVER_UNLOAD,
                       Address, Irql, (ErrorCode & KI_FAULT_WRITE) != 0, TrapFrame->Rip);
    }
    KipKnownFault(TrapFrame, Kind, Address, ErrorCode);
    if (KiIsImageAddress(TrapFrame->Rip)) {
        KiBugCheckTrap(TrapFrame, DRIVER_IRQL_NOT_LESS_OR_EQUAL, Address, Irql, KipAccessKind(ErrorCode),
                       TrapFrame->Rip);
    }
    KiBugCheckTrap(TrapFrame, IRQL_NOT_LESS_OR_EQUAL, Address, Irql, KipAccessKind(ErrorCode), TrapFrame->Rip);
}

/* A fault on a system address that the memory manager cannot resolve. */
static VOID DECLSPEC_NORETURN
KipSystemFault(PKTRAP_FRAME TrapFrame, ULONG64 Address, ULONG ErrorCode)
{
    ULONG64 Pte = KiQueryPte != NULL ? KiQueryPte(Address) : 0;
    ULONG64 Kind = 0;

    if ((ErrorCode & KI_FAULT_PRESENT) != 0 && (ErrorCode & KI_FAULT_FETCH) != 0) {
        KiBugCheckTrap(TrapFrame, ATTEMPTED_EXECUTE_OF_NOEXECUTE_MEMORY, Address, Pte, 0, 0);
    }
    if ((ErrorCode & KI_FAULT_PRESENT) != 0 && (ErrorCode & KI_FAULT_WRITE) != 0) {
        KiBugCheckTrap(TrapFrame, ATTEMPTED_WRITE_TO_READONLY_MEMORY, Address, Pte, 0, 0);
    }
    if ((ErrorCode & KI_FAULT_FETCH) != 0) {
        Kind = 0x10;
    } else if ((ErrorCode & KI_FAULT_WRITE) != 0) {
        Kind = 2;
    }
    KiBugCheckTrap(TrapFrame, PAGE_FAULT_IN_NONPAGED_AREA, Address, Kind, TrapFrame->Rip, 0);
}

VOID
KiPageFault(PKTRAP_FRAME TrapFrame, ULONG_PTR Address, ULONG ErrorCode)
{
    KPROCESSOR_MODE Mode = (ErrorCode & KI_FAULT_USER) != 0 ? UserMode : KernelMode;
    NTSTATUS Status = STATUS_ACCESS_VIOLATION;
    KI_FAULT_KIND Kind;

    if (HalGetIrql() < DISPATCH_LEVEL) {
        HalChoicePoint(HalChoiceFault);
        if (KiUserTouched != NULL && Mode == KernelMode && Address < KiLoaderBlock->UserEnd) {
            KiUserTouched(TrapFrame, Address);
        }
        Status = MmAccessFault(ErrorCode, (PVOID)Address, Mode, TrapFrame);
        if (NT_SUCCESS(Status)) {
            return;
        }
    }
    if (Mode == UserMode) {
        KipDispatch(TrapFrame, Status, TrapFrame->Rip, 2, KipAccessKind(ErrorCode), Address);
        return;
    }
    Kind = KiClassifyFault != NULL ? KiClassifyFault(TrapFrame, Address) : KiFaultOther;
    if (Kind == KiFaultRetry) {
        return;
    }
    if (HalGetIrql() >= DISPATCH_LEVEL) {
        KipFaultAtIrql(TrapFrame, Kind, Address, ErrorCode);
    }
    KipKnownFault(TrapFrame, Kind, Address, ErrorCode);
    if (Address >= KiLoaderBlock->UserEnd) {
        KipSystemFault(TrapFrame, Address, ErrorCode);
    }
    KipDispatch(TrapFrame, Status, TrapFrame->Rip, 2, KipAccessKind(ErrorCode), Address);
}

/* A broken contract that code itself noticed: rcx says which. */
static VOID DECLSPEC_NORETURN
KipFastFail(PKTRAP_FRAME TrapFrame)
{
    EXCEPTION_RECORD Record = {.ExceptionCode = STATUS_STACK_BUFFER_OVERRUN,
                               .ExceptionFlags = EXCEPTION_NONCONTINUABLE,
                               .ExceptionAddress = (PVOID)TrapFrame->Rip,
                               .NumberParameters = 1};

    Record.ExceptionInformation[0] = TrapFrame->Rcx;
    KiBugCheckTrap(TrapFrame, KERNEL_SECURITY_CHECK_FAILURE, TrapFrame->Rcx, (ULONG_PTR)TrapFrame, (ULONG_PTR)&Record,
                   0);
}

/* The exception that a vector stands for; STATUS_SUCCESS if it is none but the processor's or our own trouble. */
static NTSTATUS
KipExceptionOfVector(ULONG Vector)
{
    switch (Vector) {
    case 0:
        return STATUS_INTEGER_DIVIDE_BY_ZERO;
    case 1:
        return STATUS_SINGLE_STEP;
    case 3:
        return STATUS_BREAKPOINT;
    case 4:
        return STATUS_INTEGER_OVERFLOW;
    case 5:
        return STATUS_ARRAY_BOUNDS_EXCEEDED;
    case 6:
        return STATUS_ILLEGAL_INSTRUCTION;
    case 13:
        return STATUS_ACCESS_VIOLATION;
    case 16:
    case 19:
        return STATUS_FLOAT_MULTIPLE_TRAPS;
    case 17:
        return STATUS_DATATYPE_MISALIGNMENT;
    case KI_VECTOR_ASSERT:
        return STATUS_ASSERTION_FAILURE;
    default:
        return STATUS_SUCCESS;
    }
}

/* --- Traps from user mode ------------------------------------------------------------------------------ */

#define KI_VECTOR_DEBUG_SERVICE 0x2D
#define KI_DEBUG_PRINT 1
#define KI_DEBUG_PRINT_LIMIT 512

/* `int 2Dh`, which is followed by a breakpoint: the debugger's services. Only printing has anybody to do it. */
static VOID
KipDebugService(PKTRAP_FRAME TrapFrame)
{
    CHAR Text[KI_DEBUG_PRINT_LIMIT];
    SIZE_T Length = MIN((USHORT)TrapFrame->Rdx, sizeof(Text));
    NTSTATUS Status;

    if (TrapFrame->Rax != KI_DEBUG_PRINT) {
        KipDispatch(TrapFrame, STATUS_BREAKPOINT, TrapFrame->Rip, 1, TrapFrame->Rax, 0);
        return;
    }
    Status = KiCopyFromUser(Text, (const VOID *)TrapFrame->Rcx, Length);
    if (NT_SUCCESS(Status)) {
        HalPutConsole(Text, Length);
    }
    TrapFrame->Rax = (ULONG64)(LONG64)Status;
    TrapFrame->Rip += 1;
}

/* What general protection was about: an instruction for the kernel alone, or an address that is not canonical. */
static NTSTATUS
KipProtectionStatus(PKTRAP_FRAME TrapFrame)
{
    UCHAR Code[2];

    if (!NT_SUCCESS(KiCopyFromUser(Code, (const VOID *)TrapFrame->Rip, sizeof(Code)))) {
        return STATUS_ACCESS_VIOLATION;
    }
    switch (Code[0]) {
    case 0x6C ... 0x6F: /* ins, outs */
    case 0xE4 ... 0xE7: /* in, out */
    case 0xEC ... 0xEF:
    case 0xF4: /* hlt */
    case 0xFA: /* cli, sti */
    case 0xFB:
        return STATUS_PRIVILEGED_INSTRUCTION;
    case 0x0F:
        switch (Code[1]) {
        case 0x00: /* descriptor tables, invlpg, control and debug registers, MSRs, caches */
        case 0x01:
        case 0x06:
        case 0x08:
        case 0x09:
        case 0x20 ... 0x23:
        case 0x30:
        case 0x32:
            return STATUS_PRIVILEGED_INSTRUCTION;
        default:
            return STATUS_ACCESS_VIOLATION;
        }
    default:
        return STATUS_ACCESS_VIOLATION;
    }
}

static VOID
KipUserTrap(PKTRAP_FRAME TrapFrame, ULONG Vector)
{
    NTSTATUS Code = Vector == 13 ? KipProtectionStatus(TrapFrame) : KipExceptionOfVector(Vector);
    EXCEPTION_RECORD Record = {.ExceptionCode = STATUS_STACK_BUFFER_OVERRUN,
                               .ExceptionFlags = EXCEPTION_NONCONTINUABLE,
                               .ExceptionAddress = (PVOID)TrapFrame->Rip,
                               .NumberParameters = 1,
                               .ExceptionInformation = {TrapFrame->Rcx}};

    if (Vector == KI_VECTOR_DEBUG_SERVICE) {
        KipDebugService(TrapFrame);
    } else if (Vector == KI_VECTOR_FAST_FAIL) {
        KiDispatchUserException(TrapFrame, &Record, NULL, FALSE);
    } else if (Code == STATUS_SUCCESS || (Vector == 13 && Code == STATUS_ACCESS_VIOLATION)) {
        KipDispatch(TrapFrame, STATUS_ACCESS_VIOLATION, TrapFrame->Rip, 2, 0, ~0ull);
    } else {
        KipDispatch(TrapFrame, Code, Vector == 3 ? TrapFrame->Rip - 1 : TrapFrame->Rip, 0, 0, 0);
    }
}

VOID
KiTrap(PKTRAP_FRAME TrapFrame, ULONG Vector, ULONG ErrorCode)
{
    NTSTATUS Code;

    if (TrapFrame->PreviousMode == UserMode) {
        KipUserTrap(TrapFrame, Vector);
        return;
    }

    if (Vector == 13 && ErrorCode == KI_ERROR_OF_VECTOR(KI_VECTOR_ASSERT)) {
        Vector = KI_VECTOR_ASSERT;
    }
    if (Vector == KI_VECTOR_FAST_FAIL || (Vector == 13 && ErrorCode == KI_ERROR_OF_VECTOR(KI_VECTOR_FAST_FAIL))) {
        KipFastFail(TrapFrame);
    }
    Code = KipExceptionOfVector(Vector);
    if (Code == STATUS_SUCCESS) {
        KiBugCheckTrap(TrapFrame, UNEXPECTED_KERNEL_MODE_TRAP, Vector, 0, 0, 0);
    }
    /* An address that is not canonical, or an instruction that is not for it: the address is not known. */
    KipDispatch(TrapFrame, Code, Vector == 3 ? TrapFrame->Rip - 1 : TrapFrame->Rip, Vector == 13 ? 2 : 0, 0,
                Vector == 13 ? ~0ull : 0);
}
