/*
 * Debug text: what drivers print goes to the machine's console, verbatim, whatever its component and level.
 *
 * A call formats into a buffer on its stack, 512 bytes as documented, what is longer is cut, and hands it
 * over in one piece under the console lock, at HIGH_LEVEL, so that texts of several processors do not mix.
 * Any IRQL; nothing fails.
 *
 * Document: "Reading and Filtering Debugging Messages".
 */
#include "ex.h"
#include <ntexport.h>
#include <rtl/rtl.h>

#define EXP_PRINT_BYTES 512

static KSPIN_LOCK ExpConsoleLock;

static VOID
ExpPutText(const CHAR *Text, SIZE_T Length)
{
    KIRQL OldIrql = KiRaiseIrql(HIGH_LEVEL);

    KiAcquireRankedLock(&ExpConsoleLock, LockRankConsole);
    HalPutConsole(Text, Length);
    KiReleaseRankedLock(&ExpConsoleLock);
    KiLowerIrql(OldIrql);
}

static ULONG
ExpPrint(PCSTR Prefix, PCSTR Format, NT_VA_LIST Arguments)
{
    CHAR Buffer[EXP_PRINT_BYTES + 1];
    ULONG Length = 0;

    while (Prefix[Length] != 0 && Length < EXP_PRINT_BYTES) {
        Buffer[Length] = Prefix[Length];
        Length += 1;
    }
    Length += RtlpFormatBuffer(Buffer + Length, EXP_PRINT_BYTES + 1 - Length, Format, Arguments);
    ExpPutText(Buffer, Length);
    return STATUS_SUCCESS;
}

/* Print as printf formats, without floating point. STATUS_SUCCESS. Any IRQL at which format and arguments are
 * resident. */
ULONG NTAPI
DbgPrint(PCSTR Format, ...)
{
    NT_VA_LIST Arguments;
    ULONG Status;

    NT_VA_START(Arguments, Format);
    Status = ExpPrint("", Format, Arguments);
    NT_VA_END(Arguments);
    return Status;
}
NTEXPORT(DbgPrint);

/* The same for a component and a level, all of which are shown. */
ULONG NTAPI
DbgPrintEx(ULONG ComponentId, ULONG Level, PCSTR Format, ...)
{
    NT_VA_LIST Arguments;
    ULONG Status;

    UNREFERENCED_PARAMETER(ComponentId);
    UNREFERENCED_PARAMETER(Level);
    NT_VA_START(Arguments, Format);
    Status = ExpPrint("", Format, Arguments);
    NT_VA_END(Arguments);
    return Status;
}
NTEXPORT(DbgPrintEx);

/* The same with an argument list. */
ULONG NTAPI
vDbgPrintEx(ULONG ComponentId, ULONG Level, PCSTR Format, NT_VA_LIST Arguments)
{
    UNREFERENCED_PARAMETER(ComponentId);
    UNREFERENCED_PARAMETER(Level);
    return ExpPrint("", Format, Arguments);
}
NTEXPORT(vDbgPrintEx);

/* The same with Prefix, which is not a format, in front; 512 bytes in all. */
ULONG NTAPI
vDbgPrintExWithPrefix(PCSTR Prefix, ULONG ComponentId, ULONG Level, PCSTR Format, NT_VA_LIST Arguments)
{
    UNREFERENCED_PARAMETER(ComponentId);
    UNREFERENCED_PARAMETER(Level);
    return ExpPrint(Prefix, Format, Arguments);
}
NTEXPORT(vDbgPrintExWithPrefix);

/* TRUE: text of every component and level is shown. Any IRQL. */
NTSTATUS NTAPI
DbgQueryDebugFilterState(ULONG ComponentId, ULONG Level)
{
    UNREFERENCED_PARAMETER(ComponentId);
    UNREFERENCED_PARAMETER(Level);
    return TRUE;
}
NTEXPORT(DbgQueryDebugFilterState);

/* A driver's assertion does not hold: say so and stop in the debugger, which is an unhandled breakpoint here.
 */
VOID NTAPI
RtlAssert(PVOID VoidFailedAssertion, PVOID VoidFileName, ULONG LineNumber, PSTR MutableMessage)
{
    DbgPrint("\n*** Assertion failed: %s%s\n***   Source File: %s, line %u\n\n",
             MutableMessage != NULL ? MutableMessage : "", (PCSTR)VoidFailedAssertion, (PCSTR)VoidFileName,
             LineNumber);
    DbgBreakPoint();
}
NTEXPORT(RtlAssert);
