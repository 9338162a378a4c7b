/* Processes with address spaces of their own: made, switched, attached, torn down. */
#include "vatest.h"

KTEST(SpaceIsEmptyAndGoes)
{
    PEPROCESS Process = VaMakeProcess();
    PMI_ADDRESS_SPACE Space;

    REQUIRE(Process != NULL);
    Space = MiProcessSpace(&Process->Pcb);
    CHECK(Space != NULL && Process->Pcb.RootFrame != PsInitialSystemProcess->Pcb.RootFrame);
    CHECK_EQ(Space->VirtualPages, 0);
    CHECK_EQ(Space->CommitCharge, 0);
    CHECK(MiValidateAddressSpaces());
    VaEndProcess(Process);
}

KTEST(SpaceAttachSeesItsOwnMemory)
{
    PEPROCESS One = VaMakeProcess(), Other = VaMakeProcess();
    PVOID Base = (PVOID)0x200000000000;
    volatile UCHAR *Byte = Base;
    KAPC_STATE Outer, Inner, Same;

    REQUIRE(One != NULL && Other != NULL);
    KeStackAttachProcess(&One->Pcb, &Outer);
    CHECK(PsGetCurrentProcess() == One);
    CHECK(PsGetCurrentProcessId() == PsGetProcessId(PsInitialSystemProcess));
    CHECK_STATUS(STATUS_SUCCESS, VaAllocate(&Base, 3 * PAGE_SIZE, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE));
    CHECK(Base == (PVOID)0x200000000000);
    CHECK_EQ(Byte[5], 0);
    Byte[5] = 1;
    KeStackAttachProcess(&Other->Pcb, &Inner);
    CHECK(PsGetCurrentProcess() == Other);
    CHECK(!MmIsAddressValid(Base));
    CHECK_STATUS(STATUS_ACCESS_VIOLATION, VaTouch(Base, FALSE));
    CHECK_STATUS(STATUS_SUCCESS, VaAllocate(&Base, 3 * PAGE_SIZE, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE));
    CHECK_EQ(Byte[5], 0);
    Byte[5] = 2;
    KeStackAttachProcess(&Other->Pcb, &Same);
    CHECK_EQ(Byte[5], 2);
    KeUnstackDetachProcess(&Same);
    CHECK(PsGetCurrentProcess() == Other);
    KeUnstackDetachProcess(&Inner);
    CHECK(PsGetCurrentProcess() == One);
    CHECK_EQ(Byte[5], 1);
    KeUnstackDetachProcess(&Outer);
    CHECK(PsGetCurrentProcess() == PsInitialSystemProcess);
    CHECK(MiValidateAddressSpaces());
    VaEndProcess(One);
    VaEndProcess(Other);
}

/* --- Threads ---------------------------------------------------------------------------------- */

#define SPACE_ROUNDS 40

typedef struct _SPACE_WORKER {
    PEPROCESS Process;
    UCHAR Value;
    BOOLEAN Good;
} SPACE_WORKER;

/* The same addresses in every process, with each one's own contents, while the processors change places. */
static VOID NTAPI
SpaceWorker(PVOID Context)
{
    SPACE_WORKER *Worker = Context;
    volatile UCHAR *Bytes = (volatile UCHAR *)0x200000000000;
    PVOID Base = (PVOID)0x200000000000;

    Worker->Good = PsGetCurrentProcess() == Worker->Process &&
                   PsGetCurrentProcessId() == PsGetProcessId(Worker->Process) &&
                   NT_SUCCESS(VaAllocate(&Base, 16 * PAGE_SIZE, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE));
    for (ULONG Round = 0; Worker->Good && Round < SPACE_ROUNDS; Round += 1) {
        for (ULONG Page = 0; Page < 16; Page += 1) {
            Bytes[Page * PAGE_SIZE] = (UCHAR)(Worker->Value + Page + Round);
        }
        TestSleep(1);
        for (ULONG Page = 0; Page < 16; Page += 1) {
            Worker->Good = Worker->Good && Bytes[Page * PAGE_SIZE] == (UCHAR)(Worker->Value + Page + Round);
        }
        if (Round % 8 == 7) {
            Worker->Good = Worker->Good && NT_SUCCESS(VaFree(Base, 8 * PAGE_SIZE, MEM_DECOMMIT));
            Worker->Good = Worker->Good &&
                           NT_SUCCESS(VaAllocate(&Base, 8 * PAGE_SIZE, MEM_COMMIT, PAGE_READWRITE)) && Bytes[0] == 0;
        }
    }
}

KTEST(SpaceThreadsOfSeveralProcesses)
{
    SPACE_WORKER Workers[4];
    PKTHREAD Threads[4];

    for (ULONG Index = 0; Index < 4; Index += 1) {
        Workers[Index] = (SPACE_WORKER){VaMakeProcess(), (UCHAR)(Index * 50), FALSE};
        CHECK_STATUS(STATUS_SUCCESS, PsCreateProcessThread(Workers[Index].Process, SpaceWorker, &Workers[Index], 8,
                                                           &Threads[Index]));
    }
    for (ULONG Index = 0; Index < 4; Index += 1) {
        KeWaitForSingleObject(Threads[Index], Executive, KernelMode, FALSE, NULL);
        CHECK(Workers[Index].Good);
        ObDereferenceObject(Threads[Index]);
        /* The last thread is gone: so is everything the process had. */
        KeWaitForSingleObject(Workers[Index].Process, Executive, KernelMode, FALSE, NULL);
        CHECK_EQ(MiProcessSpace(&Workers[Index].Process->Pcb)->CommitCharge, 0);
        ObDereferenceObject(Workers[Index].Process);
    }
}

static VOID NTAPI
SpaceIdle(PVOID Context)
{
    KeWaitForSingleObject(Context, Executive, KernelMode, FALSE, NULL);
}

KTEST(SpaceEndsOnce)
{
    PEPROCESS Process = VaMakeProcess();
    LARGE_INTEGER Now = {.QuadPart = 0};
    PVOID Base = NULL;
    KAPC_STATE State;
    PKTHREAD Thread;
    KEVENT Go;

    REQUIRE(Process != NULL);
    KeInitializeEvent(&Go, NotificationEvent, FALSE);
    CHECK_STATUS(STATUS_SUCCESS, PsCreateProcessThread(Process, SpaceIdle, &Go, 8, &Thread));
    PsExitProcess(Process, STATUS_UNSUCCESSFUL);
    CHECK_STATUS(STATUS_PROCESS_IS_TERMINATING, PsCreateProcessThread(Process, SpaceIdle, &Go, 8, NULL));
    CHECK_STATUS(STATUS_TIMEOUT, KeWaitForSingleObject(Process, Executive, KernelMode, FALSE, &Now));
    KeSetEvent(&Go, 0, FALSE);
    KeWaitForSingleObject(Process, Executive, KernelMode, FALSE, NULL);
    KeStackAttachProcess(&Process->Pcb, &State);
    CHECK_STATUS(STATUS_PROCESS_IS_TERMINATING, VaAllocate(&Base, PAGE_SIZE, MEM_RESERVE, PAGE_READWRITE));
    CHECK_STATUS(STATUS_PROCESS_IS_TERMINATING, VaFree((PVOID)0x20000, 0, MEM_RELEASE));
    KeUnstackDetachProcess(&State);
    ObDereferenceObject(Thread);
    ObDereferenceObject(Process);
}

/* A handle to a process names it to the services, from any other. */
KTEST(SpaceByHandle)
{
    PEPROCESS Process = VaMakeProcess();
    PVOID Base = NULL;
    SIZE_T Size = 0x12345;
    KAPC_STATE State;
    HANDLE Handle;

    REQUIRE(Process != NULL);
    REQUIRE(NT_SUCCESS(ObOpenObjectByPointer(Process, OBJ_KERNEL_HANDLE, NULL, PROCESS_ALL_ACCESS, PsProcessType,
                                             KernelMode, &Handle)));
    CHECK_STATUS(STATUS_SUCCESS,
                 ZwAllocateVirtualMemory(Handle, &Base, 0, &Size, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE));
    CHECK_EQ(Size, 0x13000);
    CHECK_EQ((ULONG_PTR)Base & 0xFFFF, 0);
    KeStackAttachProcess(&Process->Pcb, &State);
    *(volatile ULONG *)Base = 7;
    KeUnstackDetachProcess(&State);
    Size = 0;
    CHECK_STATUS(STATUS_SUCCESS, ZwFreeVirtualMemory(Handle, &Base, &Size, MEM_RELEASE));
    CHECK_EQ(Size, 0x13000);
    CHECK_STATUS(STATUS_INVALID_HANDLE, ZwFreeVirtualMemory(NULL, &Base, &Size, MEM_RELEASE));
    ObCloseHandle(Handle, KernelMode);
    VaEndProcess(Process);
}

/* The System process has user addresses like any other. */
KTEST(SpaceOfSystem)
{
    PVOID Base = NULL;

    CHECK_STATUS(STATUS_SUCCESS, VaAllocate(&Base, 0x20000, MEM_COMMIT, PAGE_READWRITE));
    ((volatile UCHAR *)Base)[0x1FFFF] = 9;
    CHECK_EQ(((volatile UCHAR *)Base)[0x1FFFF], 9);
    CHECK_STATUS(STATUS_SUCCESS, VaFree(Base, 0, MEM_RELEASE));
    CHECK(MiValidateAddressSpaces());
}

/* --- Contracts -------------------------------------------------------------------------------- */

static VOID
SpaceAttachAtDispatch(PVOID Context)
{
    KAPC_STATE State;
    KIRQL OldIrql;

    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    KeStackAttachProcess(Context, &State);
}

static VOID
SpaceDetachUnattached(PVOID Context)
{
    KAPC_STATE State = {.Process = NULL};

    UNREFERENCED_PARAMETER(Context);
    KeUnstackDetachProcess(&State);
}

static VOID
SpaceAttachTwice(PVOID Context)
{
    PKPROCESS *Processes = Context;

    KeAttachProcess(Processes[0]);
    KeAttachProcess(Processes[1]);
}

static VOID
SpaceExitAttached(PVOID Context)
{
    KeAttachProcess(Context);
    PsTerminateSystemThread(STATUS_SUCCESS);
}

KTEST(SpaceAttachContracts)
{
    PEPROCESS One = VaMakeProcess(), Other = VaMakeProcess();
    PKPROCESS Processes[2] = {&One->Pcb, &Other->Pcb};

    CHECK_BUGCHECK_CALL(INVALID_PROCESS_ATTACH_ATTEMPT, (ULONG_PTR)One, SpaceAttachAtDispatch, One);
    CHECK_BUGCHECK_CALL(INVALID_PROCESS_DETACH_ATTEMPT, (ULONG_PTR)PsInitialSystemProcess, SpaceDetachUnattached, NULL);
    CHECK_BUGCHECK_CALL(INVALID_PROCESS_ATTACH_ATTEMPT, (ULONG_PTR)Other, SpaceAttachTwice, Processes);
    CHECK_BUGCHECK_CALL(INVALID_PROCESS_ATTACH_ATTEMPT, (ULONG_PTR)PsInitialSystemProcess, SpaceExitAttached, One);
    PsFlushEndedThreads();
    VaEndProcess(One);
    VaEndProcess(Other);
}
