/* What the tests of address spaces share: processes, the services by address space, touches in their context. */
#ifndef TEST_UNIT_VA_VATEST_H
#define TEST_UNIT_VA_VATEST_H

#include "../ps/threads.h"
#include <mm/va/va.h>
#include <ps/psp.h>

static inline PEPROCESS
VaMakeProcess(VOID)
{
    PEPROCESS Process = NULL;

    if (!NT_SUCCESS(PsCreateCoreProcess(&Process))) {
        KTestFail(__FILE__, __LINE__, "no process");
    }
    return Process;
}

static inline VOID
VaEndProcess(PEPROCESS Process)
{
    PsExitProcess(Process, STATUS_SUCCESS);
    ObDereferenceObject(Process);
    ObFlushDeletes();
}

/* The services on the process that is attached; *Base 0 lets the system choose. */
static inline NTSTATUS
VaAllocate(PVOID *Base, SIZE_T Size, ULONG Type, ULONG Protect)
{
    return ZwAllocateVirtualMemory(NtCurrentProcess(), Base, 0, &Size, Type, Protect);
}

static inline NTSTATUS
VaFree(PVOID Base, SIZE_T Size, ULONG Type)
{
    return ZwFreeVirtualMemory(NtCurrentProcess(), &Base, &Size, Type);
}

static inline NTSTATUS
VaProtect(PVOID Base, SIZE_T Size, ULONG Protect, PULONG Old)
{
    return ZwProtectVirtualMemory(NtCurrentProcess(), &Base, &Size, Protect, Old);
}

static inline MEMORY_BASIC_INFORMATION
VaQuery(PVOID Address)
{
    MEMORY_BASIC_INFORMATION Information = {0};

    CHECK_STATUS(STATUS_SUCCESS, ZwQueryVirtualMemory(NtCurrentProcess(), Address, MemoryBasicInformation,
                                                      &Information, sizeof(Information), NULL));
    return Information;
}

/* What a touch would meet, asked of the fault handler as the trap would. */
static inline NTSTATUS
VaTouch(PVOID Address, BOOLEAN Write)
{
    for (;;) {
        MI_WALK Walk;
        NTSTATUS Status;

        MiWalkSnapshot(MiRootOf((ULONG_PTR)Address), (ULONG_PTR)Address, &Walk);
        if (MiPteIsValid(Walk.Value) && (!Write || MiPteIsWritable(Walk.Value))) {
            return STATUS_SUCCESS;
        }
        Status = MmAccessFault((Write ? 2 : 0) | (MiPteIsValid(Walk.Value) ? 1 : 0), Address, KernelMode, NULL);
        if (!NT_SUCCESS(Status)) {
            return Status;
        }
    }
}

#endif
