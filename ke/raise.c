/*
 * Raising exceptions from code: the documented routines and the core's own. exception.c dispatches them; for the image
 * that called, the exception comes from the call. Nothing here returns but by a handler that continues.
 */
#include "kep.h"
#include "exception.h"
#include <ntexport.h>

VOID DECLSPEC_NORETURN
KiRaiseStatus(NTSTATUS Status)
{
    KiRaiseFrom(Status, EXCEPTION_NONCONTINUABLE, __builtin_return_address(0));
}

/* Raise Status as an exception that cannot be continued. IRQL <= APC_LEVEL. */
VOID DECLSPEC_NORETURN NTAPI
ExRaiseStatus(NTSTATUS Status)
{
    KiRaiseFrom(Status, EXCEPTION_NONCONTINUABLE, __builtin_return_address(0));
}
NTEXPORT(ExRaiseStatus);
NTEXPORT_AS("RtlRaiseStatus", ExRaiseStatus);

/*
 * Raise the exception that ExceptionRecord describes; ExceptionAddress is filled in, and ExceptionFlags keeps only whether it
 * may be continued. Returns if a filter continues it. <= DISPATCH_LEVEL.
 */
VOID NTAPI
RtlRaiseException(PEXCEPTION_RECORD ExceptionRecord)
{
    KiRaiseException(ExceptionRecord, __builtin_return_address(0));
}
NTEXPORT(RtlRaiseException);

/* The same for STATUS_ACCESS_VIOLATION and STATUS_DATATYPE_MISALIGNMENT. */
VOID DECLSPEC_NORETURN NTAPI
ExRaiseAccessViolation(VOID)
{
    KiRaiseFrom(STATUS_ACCESS_VIOLATION, EXCEPTION_NONCONTINUABLE, __builtin_return_address(0));
}
NTEXPORT(ExRaiseAccessViolation);

VOID DECLSPEC_NORETURN NTAPI
ExRaiseDatatypeMisalignment(VOID)
{
    KiRaiseFrom(STATUS_DATATYPE_MISALIGNMENT, EXCEPTION_NONCONTINUABLE, __builtin_return_address(0));
}
NTEXPORT(ExRaiseDatatypeMisalignment);

/* Break into the debugger. There is none, so the breakpoint is an exception nobody handles. Any IRQL. */
VOID NTAPI
DbgBreakPoint(VOID)
{
    KiRaiseFrom(STATUS_BREAKPOINT, 0, __builtin_return_address(0));
}
NTEXPORT(DbgBreakPoint);

/* The same; Status is for the debugger. */
VOID NTAPI
DbgBreakPointWithStatus(ULONG Status)
{
    UNREFERENCED_PARAMETER(Status);
    KiRaiseFrom(STATUS_BREAKPOINT, 0, __builtin_return_address(0));
}
NTEXPORT(DbgBreakPointWithStatus);
