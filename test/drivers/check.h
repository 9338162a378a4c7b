/*
 * check.h - a driver that tests: TAP by DbgPrint, from DriverEntry.
 *
 * A test is a file that includes this, has a routine `static VOID Test(VOID)` full of CHECKs, and ends with
 * CHECK_DRIVER. drivers.t runs every image and reads its TAP. Values that are compared are 64 bits wide.
 */
#ifndef CHECK_H
#define CHECK_H

#include <ntifs.h>
#include "extra.h"

static volatile LONG CheckNumber, CheckFailures;

static BOOLEAN __attribute__((noinline))
CheckReport(BOOLEAN Good, const char *Text, ULONG Line, ULONG64 Actual, ULONG64 Expected)
{
    LONG Number = InterlockedIncrement(&CheckNumber);

    if (Good) {
        DbgPrint("ok %d - %s\n", Number, Text);
    } else {
        InterlockedIncrement(&CheckFailures);
        DbgPrint("not ok %d - %s: line %u, 0x%I64x is not 0x%I64x\n", Number, Text, Line, Actual, Expected);
    }
    return Good;
}

#define CHECK(Condition) CheckReport((Condition) ? TRUE : FALSE, #Condition, __LINE__, 0, 1)
#define CHECK_EQ(Actual, Expected)                                                                           \
    CheckEqual((ULONG64)(Actual), (ULONG64)(Expected), #Actual " == " #Expected, __LINE__)
#define CHECK_STATUS(Actual, Expected)                                                                       \
    CheckEqual((ULONG)(Actual), (ULONG)(Expected), #Actual " is " #Expected, __LINE__)
/* Without this, what follows makes no sense. */
#define REQUIRE(Condition)                                                                                   \
    do {                                                                                                     \
        if (!CHECK(Condition)) {                                                                             \
            return;                                                                                          \
        }                                                                                                    \
    } while (0)

static BOOLEAN
CheckEqual(ULONG64 Actual, ULONG64 Expected, const char *Text, ULONG Line)
{
    return CheckReport(Actual == Expected, Text, Line, Actual, Expected);
}

static NTSTATUS
CheckDone(VOID)
{
    DbgPrint("1..%d\n", CheckNumber);
    return CheckFailures == 0 ? STATUS_SUCCESS : STATUS_UNSUCCESSFUL;
}

static VOID NTAPI
CheckUnload(PDRIVER_OBJECT DriverObject)
{
    DbgPrint("# unloaded\n");
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath);

#define CHECK_DRIVER                                                                                         \
    NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)                    \
    {                                                                                                        \
        DriverObject->DriverUnload = CheckUnload;                                                            \
        Test();                                                                                              \
        return CheckDone();                                                                                  \
    }

/* A pattern that depends on where it stands. */
static VOID
Paint(PVOID Address, SIZE_T Length, UCHAR Seed)
{
    volatile UCHAR *Bytes = Address;
    SIZE_T Index;

    for (Index = 0; Index < Length; Index += 1) {
        Bytes[Index] = (UCHAR)(Seed + Index * 7 + (Index >> 8));
    }
}

static BOOLEAN
Painted(PVOID Address, SIZE_T Length, UCHAR Seed)
{
    volatile UCHAR *Bytes = Address;
    SIZE_T Index;

    for (Index = 0; Index < Length; Index += 1) {
        if (Bytes[Index] != (UCHAR)(Seed + Index * 7 + (Index >> 8))) {
            return FALSE;
        }
    }
    return TRUE;
}

static BOOLEAN
AllZero(PVOID Address, SIZE_T Length)
{
    volatile UCHAR *Bytes = Address;
    SIZE_T Index;

    for (Index = 0; Index < Length; Index += 1) {
        if (Bytes[Index] != 0) {
            return FALSE;
        }
    }
    return TRUE;
}

static VOID
Sleep(ULONG Milliseconds)
{
    LARGE_INTEGER Interval;

    Interval.QuadPart = -(LONGLONG)Milliseconds * 10000;
    KeDelayExecutionThread(KernelMode, FALSE, &Interval);
}

static PHYSICAL_ADDRESS
Physical(ULONG64 Address)
{
    PHYSICAL_ADDRESS Result;

    Result.QuadPart = (LONGLONG)Address;
    return Result;
}

static PVOID
StartThread(PKSTART_ROUTINE Routine, PVOID Context)
{
    HANDLE Handle;
    PVOID Thread = NULL;

    if (NT_SUCCESS(PsCreateSystemThread(&Handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, Routine, Context))) {
        ObReferenceObjectByHandle(Handle, THREAD_ALL_ACCESS, NULL, KernelMode, &Thread, NULL);
        ZwClose(Handle);
    }
    return Thread;
}

static VOID
JoinThread(PVOID Thread)
{
    KeWaitForSingleObject(Thread, Executive, KernelMode, FALSE, NULL);
    ObDereferenceObject(Thread);
}

#endif
