/*
 * misuse.h - a driver that breaks the rules. The name of the image file chooses the rule: c2-double-free.sys
 * frees twice. Before it does, the driver prints the bug check it expects, with those parameters that the
 * documentation fixes and `-` for the others; misuse.t compares. An image called misuse*.sys prints the list
 * of names instead.
 *
 * A family of rules is a file that includes this, has a routine for each rule and ends with a table `Cases` of
 * CASE(name, routine) and MISUSE_DRIVER. Routines that are about to commit their offence keep the compiler from
 * seeing through it.
 */
#ifndef MISUSE_H
#define MISUSE_H

#include "check.h"

#define TAG      'sisM'
#define ANY      (~0x5A5A5A5Aull)
#define ANYWHERE Physical(0), Physical(~0ull >> 1)

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

/* The same value, of unknown origin. */
static PVOID __attribute__((noinline)) Hide(ULONG64 Value)
{
    __asm__ volatile("" : "+r"(Value));
    return (PVOID)(ULONG_PTR)Value;
}

static PVOID
Block(POOL_TYPE Type, SIZE_T Size)
{
    PVOID Result = ExAllocatePoolWithTag(Type, Size, TAG);

    if (Result == NULL) {
        DbgPrint("no memory\n");
        ExRaiseStatus(STATUS_NO_MEMORY);
    }
    return Result;
}

static KIRQL
Raise(VOID)
{
    return KfRaiseIrql(DISPATCH_LEVEL);
}

#define CASE(Name, Routine)                                                                                  \
    {                                                                                                        \
        Name, Routine                                                                                        \
    }

typedef struct {
    const char *Name;
    VOID (*Routine)(VOID);
} MISUSE_CASE;

static PDRIVER_OBJECT MisuseDriver;

/* Does the name behind \Driver\ begin with Name, or is it exactly that? */
static BOOLEAN
Named(const char *Name, BOOLEAN Exactly)
{
    const UNICODE_STRING *Full = &MisuseDriver->DriverName;
    USHORT Index;

    for (Index = 0; Name[Index] != 0; Index += 1) {
        if ((Index + 8) * sizeof(WCHAR) >= Full->Length || Full->Buffer[Index + 8] != (WCHAR)Name[Index]) {
            return FALSE;
        }
    }
    return !Exactly || (Index + 8) * sizeof(WCHAR) == Full->Length;
}

static NTSTATUS
Misuse(PDRIVER_OBJECT DriverObject, const MISUSE_CASE *Cases, ULONG Count)
{
    ULONG Index;

    MisuseDriver = DriverObject;
    if (Named("misuse", FALSE)) {
        for (Index = 0; Index < Count; Index += 1) {
            DbgPrint("case %s\n", Cases[Index].Name);
        }
        return STATUS_SUCCESS;
    }
    for (Index = 0; Index < Count; Index += 1) {
        if (Named(Cases[Index].Name, TRUE)) {
            Cases[Index].Routine();
            if (DriverObject->DriverUnload == NULL) {
                DbgPrint("survived\n");
            }
            return STATUS_SUCCESS;
        }
    }
    DbgPrint("no such case\n");
    return STATUS_UNSUCCESSFUL;
}

#define MISUSE_DRIVER                                                                                        \
    NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)                    \
    {                                                                                                        \
        return Misuse(DriverObject, Cases, RTL_NUMBER_OF(Cases));                                            \
    }

#endif
