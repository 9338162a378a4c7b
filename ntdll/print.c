/*
 * Debug text of programs: formatted here, 512 bytes at most, printed by the debugger's service (`int 2Dh`, which a breakpoint instruction
 * follows). All components and levels are shown. Document: "Reading and Filtering Debugging Messages".
 */
#include "ntdll.h"
#include <ntexport.h>
#include <rtl/rtl.h>

#define LDRP_PRINT_BYTES 512
#define LDRP_DEBUG_PRINT 1

static ULONG
RtlpDebugPrint(const CHAR *Text, ULONG Length, ULONG ComponentId, ULONG Level)
{
    register ULONG64 R8 __asm__("r8") = ComponentId;
    register ULONG64 R9 __asm__("r9") = Level;
    ULONG64 Status = LDRP_DEBUG_PRINT;

    __asm__ volatile("int $0x2D\n\tint3" : "+a"(Status) : "c"(Text), "d"((ULONG64)Length), "r"(R8), "r"(R9) : "memory");
    return (ULONG)Status;
}

/* Print with an argument list, of a component and a level. STATUS_SUCCESS. */
ULONG NTAPI
vDbgPrintEx(ULONG ComponentId, ULONG Level, PCSTR Format, NT_VA_LIST Arguments)
{
    CHAR Buffer[LDRP_PRINT_BYTES + 1];
    ULONG Length = (ULONG)RtlpFormatBuffer(Buffer, sizeof(Buffer), Format, Arguments);

    return RtlpDebugPrint(Buffer, MIN(Length, LDRP_PRINT_BYTES), ComponentId, Level);
}
NTEXPORT(vDbgPrintEx);

ULONG NTAPI
DbgPrintEx(ULONG ComponentId, ULONG Level, PCSTR Format, ...)
{
    NT_VA_LIST Arguments;
    ULONG Status;

    NT_VA_START(Arguments, Format);
    Status = vDbgPrintEx(ComponentId, Level, Format, Arguments);
    NT_VA_END(Arguments);
    return Status;
}
NTEXPORT(DbgPrintEx);

/* Print as printf formats, without floating point. STATUS_SUCCESS. */
ULONG NTAPI
DbgPrint(PCSTR Format, ...)
{
    NT_VA_LIST Arguments;
    ULONG Status;

    NT_VA_START(Arguments, Format);
    Status = vDbgPrintEx(MAXULONG, 0, Format, Arguments);
    NT_VA_END(Arguments);
    return Status;
}
NTEXPORT(DbgPrint);

VOID NTAPI
DbgBreakPoint(VOID)
{
    __asm__ volatile("int3");
}
NTEXPORT(DbgBreakPoint);
NTEXPORT_AS("DbgUserBreakPoint", DbgBreakPoint);
