/*
 * Raising exceptions from code. Exceptions are not dispatched to handlers yet: raised is unhandled, bug check 0x1E
 * with the code and the address of the call that raised.
 */
#include "kep.h"
#include <ntexport.h>

/* Where an exception raised here and now came from: the image's call if the core works for one. */
static ULONG64
KipRaiseAddress(PVOID ReturnAddress)
{
    PKI_BOUNDARY_RECORD Record = KiFindBoundaryRecord(KI_BOUNDARY_EXPORT);

    return KiInImageCode() && Record != NULL ? Record->Rip : (ULONG_PTR)ReturnAddress;
}

static VOID DECLSPEC_NORETURN
KipRaise(NTSTATUS Status, PVOID ReturnAddress)
{
    KeBugCheckEx(KMODE_EXCEPTION_NOT_HANDLED, (ULONG_PTR)(LONG_PTR)Status, KipRaiseAddress(ReturnAddress), 0, 0);
}

VOID DECLSPEC_NORETURN
KiRaiseStatus(NTSTATUS Status)
{
    KipRaise(Status, __builtin_return_address(0));
}

/* Raise Status as an exception that cannot be continued. IRQL <= APC_LEVEL. */
VOID DECLSPEC_NORETURN NTAPI
ExRaiseStatus(NTSTATUS Status)
{
    KipRaise(Status, __builtin_return_address(0));
}
NTEXPORT(ExRaiseStatus);
NTEXPORT_AS("RtlRaiseStatus", ExRaiseStatus);

/* The same for STATUS_ACCESS_VIOLATION and STATUS_DATATYPE_MISALIGNMENT. */
VOID DECLSPEC_NORETURN NTAPI
ExRaiseAccessViolation(VOID)
{
    KipRaise(STATUS_ACCESS_VIOLATION, __builtin_return_address(0));
}
NTEXPORT(ExRaiseAccessViolation);

VOID DECLSPEC_NORETURN NTAPI
ExRaiseDatatypeMisalignment(VOID)
{
    KipRaise(STATUS_DATATYPE_MISALIGNMENT, __builtin_return_address(0));
}
NTEXPORT(ExRaiseDatatypeMisalignment);

/* Break into the debugger. There is none, so the breakpoint is an exception nobody handles. Any IRQL. */
VOID NTAPI
DbgBreakPoint(VOID)
{
    KipRaise(STATUS_BREAKPOINT, __builtin_return_address(0));
}
NTEXPORT(DbgBreakPoint);

/* The same; Status is for the debugger. */
VOID NTAPI
DbgBreakPointWithStatus(ULONG Status)
{
    UNREFERENCED_PARAMETER(Status);
    KipRaise(STATUS_BREAKPOINT, __builtin_return_address(0));
}
NTEXPORT(DbgBreakPointWithStatus);
