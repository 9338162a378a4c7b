/*
 * What only the bare machine can get wrong: flushes, interrupts by priority, registers over interrupts, time.
 */
#include <ktest.h>
#include <mm/mi.h>
#include <mm/pte/pte.h>
#include <mm/pte/pteform.h>

/* --- Translations ----------------------------------------------------------------------------------------
 */

#define FLUSH_PAGES 80 /* more than a flush does one by one */

/* Put each page's frame behind the next page, without telling anybody. */
static VOID
RotatePtes(PUCHAR Va, ULONG PageCount, ULONG64 Flags)
{
    PMMPTE First = MiGetPteAddress((ULONG_PTR)Va);
    ULONG64 Last = First[PageCount - 1].Long;

    for (ULONG Index = PageCount - 1; Index > 0; Index -= 1) {
        MiWritePte(&First[Index], (MMPTE){.Long = First[Index - 1].Long | Flags});
    }
    MiWritePte(&First[0], (MMPTE){.Long = Last | Flags});
}

static ULONG
CountPagesShowing(PUCHAR Va, ULONG PageCount, ULONG Shift)
{
    ULONG Right = 0;

    for (ULONG Index = 0; Index < PageCount; Index += 1) {
        Right += *(volatile ULONG *)(Va + Index * PAGE_SIZE) == (Index + PageCount - Shift) % PageCount;
    }
    return Right;
}

static VOID
CheckFlush(ULONG PageCount, ULONG64 Flags, BOOLEAN Whole)
{
    static PFN_NUMBER Frames[FLUSH_PAGES];
    PUCHAR Va = MiReserveSystemVa(MiRegionSystemPtes, PageCount, 1);
    HAL_FLUSH_RANGE Range = {(ULONG_PTR)Va, PageCount};

    REQUIRE(Va != NULL);
    REQUIRE(MiGetFrames(MI_GET_ALL, 0, MiUseSystemPte, PageCount, Frames) == PageCount);
    MiMapFrames(Va, PageCount, Frames, MM_READWRITE, MmCached);
    for (ULONG Index = 0; Index < PageCount; Index += 1) {
        *(volatile ULONG *)(Va + Index * PAGE_SIZE) = Index;
    }
    for (ULONG Round = 1; Round <= 2; Round += 1) {
        RotatePtes(Va, PageCount, Flags);
        if (Whole) {
            HalFlushEntireTb(HAL_ALL_PROCESSORS);
        } else {
            HalFlushTb(&Range, 1, HAL_ALL_PROCESSORS);
        }
        CHECK_EQ(CountPagesShowing(Va, PageCount, Round), PageCount);
    }
    MiUnmapRange(Va, PageCount, NULL);
    MiFreeFrames(Frames, PageCount);
    MiReleaseSystemVa(MiRegionSystemPtes, Va, PageCount);
}

KTEST(Amd64FlushReachesEveryPage)
{
    CheckFlush(4, 0, FALSE);
    CheckFlush(FLUSH_PAGES, 0, FALSE);
    CheckFlush(4, 0, TRUE);
}

KTEST(Amd64FlushReachesGlobalPages)
{
    CheckFlush(4, MI_PTE_GLOBAL, FALSE);
    CheckFlush(FLUSH_PAGES, MI_PTE_GLOBAL, FALSE);
    CheckFlush(4, MI_PTE_GLOBAL, TRUE);
}

KTEST(Amd64LoadRootKeepsTheSystem)
{
    volatile ULONG Value = 5;

    HalLoadRoot(KiLoaderBlock->RootFrame);
    CHECK_EQ(Value, 5);
}

/* --- Interrupts ------------------------------------------------------------------------------------------
 */

static volatile ULONG DpcRuns;

static VOID NTAPI
CountDpc(struct _KDPC *Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    CHECK_EQ(HalGetIrql(), DISPATCH_LEVEL);
    DpcRuns += 1;
}

/* A request made above DISPATCH_LEVEL waits in the local APIC, and comes when CR8 lets it. */
KTEST(Amd64SoftwareInterruptWaitsForIrql)
{
    KDPC Dpc;
    KIRQL OldIrql;

    DpcRuns = 0;
    KeInitializeDpc(&Dpc, CountDpc, NULL);
    KeRaiseIrql(CLOCK_LEVEL, &OldIrql);
    KeInsertQueueDpc(&Dpc, NULL, NULL);
    HalStall(1000);
    CHECK_EQ(DpcRuns, 0);
    HalLowerIrql(DISPATCH_LEVEL);
    HalStall(1000);
    CHECK_EQ(DpcRuns, 0);
    HalLowerIrql(OldIrql);
    CHECK_EQ(DpcRuns, 1);
}

/* The same with interrupts disabled at PASSIVE_LEVEL. */
KTEST(Amd64SoftwareInterruptWaitsForSti)
{
    BOOLEAN Enabled;
    KDPC Dpc;

    DpcRuns = 0;
    KeInitializeDpc(&Dpc, CountDpc, NULL);
    Enabled = HalDisableInterrupts();
    CHECK(Enabled);
    CHECK(!HalDisableInterrupts());
    KeInsertQueueDpc(&Dpc, NULL, NULL);
    HalStall(1000);
    CHECK_EQ(DpcRuns, 0);
    HalRestoreInterrupts(Enabled);
    HalStall(1);
    CHECK_EQ(DpcRuns, 1);
}

/* The IRQL that drivers inline as mov cr8 is the one the core sees. */
KTEST(Amd64IrqlIsCr8)
{
    ULONG64 Cr8;
    KIRQL OldIrql;

    KeRaiseIrql(APC_LEVEL, &OldIrql);
    __asm__ volatile("movq %%cr8, %0" : "=r"(Cr8));
    CHECK_EQ(Cr8, APC_LEVEL);
    __asm__ volatile("movq %0, %%cr8" ::"r"((ULONG64)DISPATCH_LEVEL) : "memory");
    CHECK_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
    KeLowerIrql(OldIrql);
}

/*
 * Fill all XMM registers, let interrupts and other threads in for some ticks, and see what is left: 0-5 are
 * kept by the trap frame, the others by the switch. This code is compiled without any of them.
 */
static ULONG
CountLostRegisters(ULONG64 Seed, ULONG64 Ticks)
{
    static const UCHAR MxCsr[4] = {0x80, 0x7F, 0, 0}; /* rounding towards zero */
    ULONG64 After[32] __attribute__((aligned(16)));
    volatile PKSYSTEM_TIME Time = (PKSYSTEM_TIME) & ((PKUSER_SHARED_DATA)0xFFFFF78000000000ull)->TickCount;
    ULONG MxCsrAfter;
    ULONG Lost;

    for (ULONG Index = 0; Index < 32; Index += 1) {
        After[Index] = Seed + Index;
    }
    __asm__ volatile("ldmxcsr %[New]\n\t"
                     ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n\t"
                     "movaps \\n*16(%[Area]), %%xmm\\n\n\t"
                     ".endr\n\t"
                     "movl (%[Time]), %%eax\n\t"
                     "addl %%eax, %k[Ticks]\n"
                     "1:\tpause\n\t"
                     "movl (%[Time]), %%eax\n\t"
                     "cmpl %k[Ticks], %%eax\n\t"
                     "jb 1b\n\t"
                     ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n\t"
                     "movaps %%xmm\\n, \\n*16(%[Area])\n\t"
                     ".endr\n\t"
                     "stmxcsr %[Now]\n\t"
                     "ldmxcsr %%gs:0x180"
                     : [Ticks] "+r"(Ticks), [Now] "=m"(MxCsrAfter)
                     : [New] "m"(MxCsr), [Area] "r"(After), [Time] "r"(Time)
                     : "rax", "memory", "cc");
    Lost = MxCsrAfter != 0x7F80;
    for (ULONG Index = 0; Index < 32; Index += 1) {
        Lost += After[Index] != Seed + Index;
    }
    return Lost;
}

static volatile ULONG LostElsewhere;

static VOID NTAPI
SpinWithRegisters(PVOID Context)
{
    LostElsewhere += CountLostRegisters(0xABCD000000000000ull, 12);
}

KTEST(Amd64RegistersSurviveInterruptsAndSwitches)
{
    HANDLE Handle;
    PVOID Thread;

    LostElsewhere = 0;
    CHECK_STATUS(STATUS_SUCCESS,
                 PsCreateSystemThread(&Handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, SpinWithRegisters, NULL));
    CHECK_STATUS(STATUS_SUCCESS,
                 ObReferenceObjectByHandle(Handle, THREAD_ALL_ACCESS, NULL, KernelMode, &Thread, NULL));
    CHECK_EQ(CountLostRegisters(0x1234000000000000ull, 12), 0);
    CHECK_STATUS(STATUS_SUCCESS, KeWaitForSingleObject(Thread, Executive, KernelMode, FALSE, NULL));
    CHECK_EQ(LostElsewhere, 0);
    ObDereferenceObject(Thread);
    CHECK_STATUS(STATUS_SUCCESS, ZwClose(Handle));
}

/* --- Time ------------------------------------------------------------------------------------------------
 */

KTEST(Amd64StallLasts)
{
    ULONG64 Before = HalQueryInterruptTime();
    ULONG64 Took;

    HalStall(3000);
    Took = HalQueryInterruptTime() - Before;
    CHECK(Took >= 30000);
}

/* boot.t sets the battery clock and looks for the line. */
KTEST(Amd64BootTimeIsTheBatteryClock)
{
    LARGE_INTEGER Time = {.QuadPart = (LONGLONG)HalQueryBootTime()};
    TIME_FIELDS Fields;

    RtlTimeToTimeFields(&Time, &Fields);
    KTestNote("booted at %04d-%02d-%02d %02d:%02d:%02d", Fields.Year, Fields.Month, Fields.Day, Fields.Hour,
              Fields.Minute, Fields.Second);
    CHECK(Fields.Year >= 2000 && Fields.Year < 2100);
}

KTEST(Amd64SpuriousInterruptIsIgnored)
{
    __asm__ volatile("int $0xFF" ::: "memory");
    CHECK_EQ(HalGetIrql(), PASSIVE_LEVEL);
}

static VOID
StrayVector(PVOID Context)
{
    __asm__ volatile("int $0x37" ::: "memory");
}

KTEST(Amd64StrayVectorStops)
{
    CHECK_BUGCHECK_CALL(UNEXPECTED_KERNEL_MODE_TRAP, 0x37, StrayVector, NULL);
}
