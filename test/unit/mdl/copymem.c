/* MmCopyMemory, probes, and what is known of the system. */
#include "mdltest.h"

static MM_COPY_ADDRESS
CopyFrom(PVOID Va)
{
    MM_COPY_ADDRESS Source = {.VirtualAddress = Va};

    return Source;
}

static MM_COPY_ADDRESS
CopyFromPhysical(ULONG64 Address)
{
    MM_COPY_ADDRESS Source;

    Source.PhysicalAddress = MtPhysical(Address);
    return Source;
}

KTEST(CopyVirtual)
{
    PUCHAR Paged = PtMakePageable(3, MM_READWRITE);
    PUCHAR Target = ExAllocatePool2(POOL_FLAG_NON_PAGED, 3 * PAGE_SIZE, MDL_TEST_TAG);
    SIZE_T Done = 77;

    REQUIRE(Paged != NULL && Target != NULL);
    Paged[PAGE_SIZE - 1] = 1;
    Paged[PAGE_SIZE] = 2;
    MiTrimRange(Paged, 3);
    CHECK_STATUS(STATUS_SUCCESS, MmCopyMemory(Target, CopyFrom(Paged + PAGE_SIZE - 1), 2 * PAGE_SIZE,
                                              MM_COPY_MEMORY_VIRTUAL, &Done));
    CHECK_EQ(Done, 2 * PAGE_SIZE);
    CHECK(Target[0] == 1 && Target[1] == 2 && Target[2 * PAGE_SIZE - 1] == 0);
    CHECK_EQ(MiTrimRange(Paged, 3), 3); /* no page is left locked */

    /* As far as there is memory. */
    CHECK_STATUS(STATUS_ACCESS_VIOLATION, MmCopyMemory(Target, CopyFrom(Paged + 2 * PAGE_SIZE + 10),
                                                       PAGE_SIZE, MM_COPY_MEMORY_VIRTUAL, &Done));
    CHECK_EQ(Done, PAGE_SIZE - 10);
    CHECK_STATUS(STATUS_SUCCESS, MmCopyMemory(Target, CopyFrom(NULL), 0, MM_COPY_MEMORY_VIRTUAL, &Done));
    CHECK_EQ(Done, 0);
    ExFreePoolWithTag(Target, MDL_TEST_TAG);
    PtDeletePageable(Paged, 3);
    MiTrimSystemSpace();
}

KTEST(CopyFromNowhere)
{
    static const ULONG_PTR Bad[] = {0, 0x7000, 0x0001000000000000, 0xFFFF800000000000, ~0ull};
    UCHAR Target[16];
    SIZE_T Done;

    for (ULONG Index = 0; Index < ARRAYSIZE(Bad); Index += 1) {
        Done = 5;
        CHECK_STATUS(STATUS_ACCESS_VIOLATION,
                     MmCopyMemory(Target, CopyFrom((PVOID)Bad[Index]), 16, MM_COPY_MEMORY_VIRTUAL, &Done));
        CHECK_EQ(Done, 0);
    }
    CHECK_STATUS(STATUS_INVALID_PARAMETER_4, MmCopyMemory(Target, CopyFrom(Target), 16, 0, &Done));
    CHECK_STATUS(
        STATUS_INVALID_PARAMETER_4,
        MmCopyMemory(Target, CopyFrom(Target), 16, MM_COPY_MEMORY_VIRTUAL | MM_COPY_MEMORY_PHYSICAL, &Done));
    CHECK_STATUS(STATUS_INVALID_PARAMETER_4, MmCopyMemory(Target, CopyFrom(Target), 16, 4, &Done));
    CHECK_EQ(Done, 0);
}

KTEST(CopyPhysical)
{
    PUCHAR Source = MmAllocateContiguousMemory(2 * PAGE_SIZE, MtPhysical(~0ull));
    UCHAR Target[32];
    ULONG64 Physical;
    SIZE_T Done;

    REQUIRE(Source != NULL);
    Physical = (ULONG64)MmGetPhysicalAddress(Source).QuadPart;
    Source[PAGE_SIZE - 16] = 0xAB;
    Source[PAGE_SIZE + 15] = 0xCD;
    CHECK_STATUS(STATUS_SUCCESS, MmCopyMemory(Target, CopyFromPhysical(Physical + PAGE_SIZE - 16), 32,
                                              MM_COPY_MEMORY_PHYSICAL, &Done));
    CHECK(Done == 32 && Target[0] == 0xAB && Target[31] == 0xCD);
    CHECK_STATUS(STATUS_INVALID_ADDRESS,
                 MmCopyMemory(Target, CopyFromPhysical(1ull << 46), 32, MM_COPY_MEMORY_PHYSICAL, &Done));
    CHECK_EQ(Done, 0);
    MmFreeContiguousMemory(Source);
}

KTEST(CopyRefusesDevices)
{
    UCHAR Target[8];
    SIZE_T Done;
    PVOID Va;

    if (!MtHasIoSpace()) {
        KTestNote("no device memory");
        return;
    }
    Va = MmMapIoSpace(MtPhysical(MDL_IO_FRAME << PAGE_SHIFT), PAGE_SIZE, MmNonCached);
    REQUIRE(Va != NULL);
    CHECK_STATUS(STATUS_INVALID_ADDRESS,
                 MmCopyMemory(Target, CopyFrom(Va), 8, MM_COPY_MEMORY_VIRTUAL, &Done));
    CHECK_STATUS(STATUS_INVALID_ADDRESS, MmCopyMemory(Target, CopyFromPhysical(MDL_IO_FRAME << PAGE_SHIFT), 8,
                                                      MM_COPY_MEMORY_PHYSICAL, &Done));
    MmUnmapIoSpace(Va, PAGE_SIZE);
}

KTEST(CopyBetweenProcesses)
{
    PUCHAR Source = PtMakePageable(3, MM_READWRITE), Target = PtMakePageable(2, MM_READWRITE);
    PEPROCESS System = PsInitialSystemProcess;
    SIZE_T Done;

    REQUIRE(Source != NULL && Target != NULL);
    Source[100] = 1;
    Source[100 + PAGE_SIZE] = 2;
    CHECK_STATUS(STATUS_SUCCESS, MmCopyVirtualMemory(System, Source + 100, System, Target + 7, PAGE_SIZE + 1,
                                                     KernelMode, &Done));
    CHECK_EQ(Done, PAGE_SIZE + 1);
    CHECK(Target[7] == 1 && Target[7 + PAGE_SIZE] == 2);
    CHECK_STATUS(STATUS_PARTIAL_COPY, MmCopyVirtualMemory(System, Source, System, Target + PAGE_SIZE,
                                                          2 * PAGE_SIZE, KernelMode, &Done));
    CHECK_EQ(Done, PAGE_SIZE);
    CHECK_STATUS(STATUS_ACCESS_VIOLATION,
                 MmCopyVirtualMemory(System, Source, System, Target, 8, UserMode, &Done));
    CHECK_STATUS(STATUS_PARTIAL_COPY,
                 MmCopyVirtualMemory(System, (PVOID)0x10000, System, Target, 8, KernelMode, &Done));
    CHECK_EQ(Done, 0);
    CHECK_STATUS(STATUS_SUCCESS, MmCopyVirtualMemory(System, NULL, System, NULL, 0, UserMode, &Done));
    CHECK(MiTrimRange(Source, 3) + MiTrimRange(Target, 2) >= 4); /* nothing is left locked */
    PtDeletePageable(Source, 3);
    PtDeletePageable(Target, 2);
    MiTrimSystemSpace();
}

/* --- Probes ----------------------------------------------------------------------------------- */

typedef struct _PROBE_CALL {
    ULONG_PTR Address;
    SIZE_T Length;
    ULONG Alignment;
    BOOLEAN Write;
} PROBE_CALL;

static VOID
ProbeIt(PVOID Context)
{
    PROBE_CALL *Call = Context;

    if (Call->Write) {
        ProbeForWrite((PVOID)Call->Address, Call->Length, Call->Alignment);
    } else {
        ProbeForRead((PVOID)Call->Address, Call->Length, Call->Alignment);
    }
}

KTEST(Probes)
{
    ULONG_PTR Violation = (ULONG_PTR)(LONG_PTR)STATUS_ACCESS_VIOLATION;
    PROBE_CALL Call = {0x10000, 0x1000, 1, FALSE};

    ProbeIt(&Call); /* user addresses are not touched */
    Call.Address = MmUserProbeAddress - 0x1000;
    ProbeIt(&Call);
    Call.Length += 1;
    CHECK_BUGCHECK_CALL(KMODE_EXCEPTION_NOT_HANDLED, Violation, ProbeIt, &Call);
    Call.Length = ~0ull;
    CHECK_BUGCHECK_CALL(KMODE_EXCEPTION_NOT_HANDLED, Violation, ProbeIt, &Call);
    Call.Address = (ULONG_PTR)MmSystemRangeStart;
    Call.Length = 0; /* checks nothing */
    ProbeIt(&Call);
    Call.Write = TRUE;
    ProbeIt(&Call);
    Call.Length = 4;
    CHECK_BUGCHECK_CALL(KMODE_EXCEPTION_NOT_HANDLED, Violation, ProbeIt, &Call);
    Call.Address = 0x20000; /* user space, but nothing is there */
    CHECK_BUGCHECK_CALL(KMODE_EXCEPTION_NOT_HANDLED, Violation, ProbeIt, &Call);
    Call.Address = 0x10002;
    Call.Alignment = 4;
    CHECK_BUGCHECK_CALL(KMODE_EXCEPTION_NOT_HANDLED, (ULONG_PTR)(LONG_PTR)STATUS_DATATYPE_MISALIGNMENT,
                        ProbeIt, &Call);
}

/* --- The system ------------------------------------------------------------------------------- */

static VOID
TouchBadPointer(PVOID Context)
{
    *(volatile UCHAR *)MmBadPointer = 1;
}

KTEST(SystemVariables)
{
    CHECK_EQ((ULONG_PTR)MmHighestUserAddress + 1, MmUserProbeAddress);
    CHECK_EQ(MmUserProbeAddress & 0xFFFF, 0);
    CHECK((ULONG_PTR)MmSystemRangeStart > MmUserProbeAddress);
    CHECK(!MmIsAddressValid(MmBadPointer));
    MT_BUGCHECK2(PAGE_FAULT_IN_NONPAGED_AREA, (ULONG_PTR)MmBadPointer, 2, TouchBadPointer, NULL);
    CHECK_EQ(MmQuerySystemSize(), KiLoaderBlock->MemoryBytes >= 128 << 20  ? MmLargeSystem
                                  : KiLoaderBlock->MemoryBytes >= 32 << 20 ? MmMediumSystem
                                                                           : MmSmallSystem);
    CHECK(!MmIsThisAnNtAsSystem());
}

KTEST(SystemVerifierQuestions)
{
    ULONG Flags = 99;

    CHECK_STATUS(STATUS_SUCCESS, MmIsVerifierEnabled(&Flags));
    CHECK_EQ(Flags, 8);
    CHECK(!MmIsDriverVerifyingByAddress(&Flags));
    KiVerifierOn = FALSE;
    Flags = 99;
    CHECK_STATUS(STATUS_NOT_SUPPORTED, MmIsVerifierEnabled(&Flags));
    CHECK_EQ(Flags, 99);
    CHECK(!MmIsDriverVerifying(NULL) && !MmIsDriverSuspectForVerifier(NULL));
    KiVerifierOn = TRUE;
}
