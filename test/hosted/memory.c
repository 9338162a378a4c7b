/* The memory map, faults, rights, large pages, stacks. */
#include "scratch.h"

static VOID
CheckRun(const HAL_MEMORY_RUN *Run)
{
    HALP_TRANSLATION Translation;
    volatile UCHAR *Record;
    PFN_NUMBER Frame;
    ULONG ErrorCode;
    ULONG End;

    for (End = 0; End < 2; End += 1) {
        Frame = End == 0 ? Run->BasePage : Run->BasePage + Run->PageCount - 1;
        CHECK(HalpWalk(ScratchLoader->RootFrame, (ULONG_PTR)HalFrameAddress(Frame), HALP_FAULT_WRITE,
                       &Translation, &ErrorCode));
        CHECK(Translation.Frame == Frame);
        Record = (volatile UCHAR *)ScratchLoader->PfnDatabase + Frame * 32;
        CHECK(Record[0] == 0 && Record[31] == 0);
        CHECK(HalpWalk(ScratchLoader->RootFrame, (ULONG_PTR)Record, HALP_FAULT_WRITE, &Translation,
                       &ErrorCode));
        Record[0] = 0x5A;
        CHECK(((PUCHAR)HalFrameAddress(Translation.Frame))[(ULONG_PTR)Record & 4095] == 0x5A);
        Record[0] = 0;
    }
}

VOID
TestMemory(VOID)
{
    const HAL_MEMORY_RUN *Run;
    HALP_TRANSLATION Translation;
    PFN_NUMBER Total;
    PFN_NUMBER Top;
    ULONG ErrorCode;
    ULONG Index;

    Total = 0;
    Top = 0;
    for (Index = 0; Index < ScratchLoader->RunCount; Index += 1) {
        Run = &ScratchLoader->Runs[Index];
        CHECK(Run->BasePage >= Top && Run->PageCount != 0);
        Top = Run->BasePage + Run->PageCount;
        Total += Run->PageCount;
        CheckRun(Run);
    }
    CHECK(Total + 97 == ScratchLoader->MemoryBytes >> 12);
    CHECK(!HalpWalk(ScratchLoader->RootFrame, HALP_SYSTEM_START, 0, &Translation, &ErrorCode) &&
          ErrorCode == 0);
    CHECK(HalIsIoSpace(0xFED00, 256) && !HalIsIoSpace(0xFED00, 257) && !HalIsIoSpace(0x100, 1));

    Top = ALIGN_UP_BY(MAX(Top, 0x100000), 0x1000) + 0x1000;
    CHECK(HalExtendPermanentMaps(0x100, 1) == STATUS_NOT_SUPPORTED);
    CHECK(HalExtendPermanentMaps(Top, 0x3000) == STATUS_SUCCESS);
    CHECK(HalExtendPermanentMaps(Top + 0x2FFF, 1) == STATUS_NOT_SUPPORTED);
    *(volatile UCHAR *)HalFrameAddress(Top + 0x2FFF) = 3;
    CheckRun(&(HAL_MEMORY_RUN){Top, 0x3000, HalMemoryZero, 0});
}

VOID
TestFaults(VOID)
{
    const ULONG Count = HALP_TLB_CAPACITY + 1000;
    ULONG_PTR Va;
    ULONG Wrong;
    ULONG Index;

    ScratchDemandStart = SCRATCH_BASE;
    ScratchDemandEnd = SCRATCH_BASE + 0x10000000;
    for (Index = 0; Index < Count; Index += 1) {
        Va = SCRATCH_BASE + (ULONG_PTR)Index * 8192;
        *(volatile ULONG_PTR *)Va = ~Va;
    }
    CHECK(ScratchDemands == Count && HalpTlbCounts.Evictions > 0);
    CHECK(HalpTlbCounts.Live <= HALP_TLB_CAPACITY);
    ScratchNested = SCRATCH_BASE + 0xF000000;
    *(volatile ULONG *)(SCRATCH_BASE + 0xF001000) = 9;
    CHECK(*(volatile ULONG *)(SCRATCH_BASE + 0xF000000) == 5);
    CHECK(*(volatile ULONG *)(SCRATCH_BASE + 0xF001000) == 9);
    HalFlushEntireTb(HAL_ALL_PROCESSORS);
    CHECK(HalpTlbCounts.Live == 0);
    Wrong = 0;
    for (Index = 0; Index < Count; Index += 1) {
        Va = SCRATCH_BASE + (ULONG_PTR)Index * 8192;
        Wrong += *(volatile ULONG_PTR *)Va != ~Va;
    }
    CHECK(Wrong == 0 && ScratchDemands == Count + 2);
    HalFlushEntireTb(HAL_ALL_PROCESSORS);
}

/* movl $1, (rcx); ret */
#define STORE_CODE 0xC7, 0x01, 1, 0, 0, 0, 0xC3

VOID
TestRights(VOID)
{
    const ULONG_PTR Va = SCRATCH_BASE + 0x11000000;
    SCRATCH_CODE Store = CODE(STORE_CODE);
    volatile ULONG64 *Pte = ScratchEntry(Va);
    HALP_TRANSLATION Translation;
    ULONG64 Around;
    ULONG ErrorCode;
    ULONG Index;

    ScratchMap(Va, ScratchFrame(), SCRATCH_READ);
    CHECK(*(volatile ULONG *)Va == 0);
    CHECK((*Pte & (HALP_PTE_ACCESSED | HALP_PTE_DIRTY)) == HALP_PTE_ACCESSED);
    ScratchExpect(6);
    Store(Va, 0);
    CHECK(ScratchTrap.Vector == 14 && ScratchTrap.ErrorCode == 3 && ScratchTrap.Address == Va);
    *Pte |= HALP_PTE_WRITE; /* an upgrade needs no flush */
    Store(Va, 0);
    CHECK((*Pte & HALP_PTE_DIRTY) != 0 && *(volatile ULONG *)Va == 1);
    CHECK(!HalpWalk(ScratchLoader->RootFrame, Va, HALP_FAULT_FETCH, &Translation, &ErrorCode) &&
          ErrorCode == 0x11);
    CHECK(!HalpWalk(ScratchLoader->RootFrame, Va, HALP_FAULT_USER, &Translation, &ErrorCode) &&
          ErrorCode == 5);
    *Pte |= 1ull << 50;
    CHECK(!HalpWalk(ScratchLoader->RootFrame, Va, 0, &Translation, &ErrorCode) && ErrorCode == 9);
    *Pte = 0;
    ScratchFlush(Va, HAL_ALL_PROCESSORS);
    ScratchExpect(6);
    Store(Va, 0);
    CHECK(ScratchTrap.ErrorCode == 2 && ScratchTrap.Address == Va);
    ScratchExpect(6);
    Store(0x18, 0);
    CHECK(ScratchTrap.ErrorCode == 2 && ScratchTrap.Address == 0x18);

    /* Sixteen neighbours that were used before come together, if their frames do. */
    for (Index = 0; Index < 16; Index += 1) {
        ScratchMap(Va + Index * 4096, 0x400 + Index, SCRATCH_READ | (Index == 3 ? 0 : HALP_PTE_ACCESSED));
    }
    Around = HalpTlbCounts.Around;
    ScratchTouch(Va + 8 * 4096);
    CHECK(HalpTlbCounts.Around - Around == 11);
    CHECK(HalpTlbLookup(Va + 4 * 4096) != NULL && HalpTlbLookup(Va + 3 * 4096) == NULL);
    ScratchFlush(Va + 9 * 4096, HAL_ALL_PROCESSORS);
    CHECK(HalpTlbLookup(Va + 9 * 4096) == NULL && HalpFrameHeld[0x409] == 0 && HalpFrameHeld[0x408] == 1);
    HalFlushTb(&(HAL_FLUSH_RANGE){Va, 16}, 1, HAL_ALL_PROCESSORS);
    CHECK(HalpFrameHeld[0x408] == 0);

    /* Device memory is mapped like any. */
    ScratchMap(Va, 0xFED01, SCRATCH_READ_WRITE);
    Store(Va, 0);
    CHECK(*(volatile ULONG *)Va == 1);
    ScratchFlush(Va, HAL_ALL_PROCESSORS);
}

VOID
TestLarge(VOID)
{
    const ULONG_PTR Va = SCRATCH_BASE + 0x20000000;
    const PFN_NUMBER Frame = 0x800;
    volatile ULONG64 *Pde = ScratchDirectoryEntry(Va);

    *Pde = (Frame << 12) | SCRATCH_READ_WRITE | HALP_PTE_LARGE;
    *(volatile ULONG *)(Va + 0x12344) = 6;
    CHECK(*(volatile ULONG *)((PUCHAR)HalFrameAddress(Frame) + 0x12344) == 6);
    CHECK((*Pde & (HALP_PTE_ACCESSED | HALP_PTE_DIRTY)) == (HALP_PTE_ACCESSED | HALP_PTE_DIRTY));
    CHECK(HalpLargeHeld[Frame >> 9] == 1);
    *Pde = 0;
    ScratchFlush(Va + 0x5000, HAL_ALL_PROCESSORS);
    CHECK(HalpLargeHeld[Frame >> 9] == 0 && HalpTlbLookup(Va) == NULL);
}

/*
 * --- Stacks
 * --------------------------------------------------------------------------------------------
 */

#ifdef HALP_ASAN
#define STACK_PAGES 16
#else
#define STACK_PAGES 6
#endif
#define STACK_BYTES (STACK_PAGES * PAGE_SIZE)

static PVOID MainStack;
static PVOID ThreadStack;
static volatile ULONG Hops;
static ULONG_PTR MainLimit, MainBase;

static ULONG_PTR
MakeStack(ULONG_PTR Limit)
{
    ULONG Index;

    for (Index = 0; Index < STACK_PAGES; Index += 1) {
        ScratchMap(Limit + Index * PAGE_SIZE, ScratchFrame(), SCRATCH_READ_WRITE);
    }
    return Limit;
}

static VOID
Thread(PVOID Context)
{
    CHECK(Context == &Hops);
    for (;;) {
        Hops += 1;
        HalSwitchStack(&ThreadStack, MainStack, MainLimit, MainBase);
    }
}

static VOID
NoteStack(PVOID Context)
{
    *(ULONG_PTR *)Context = (ULONG_PTR)__builtin_frame_address(0);
    HalFlushEntireTb(HAL_ALL_PROCESSORS); /* the stack in use stays */
    HalChoicePoint(HalChoiceWait);
}

VOID
TestStacks(VOID)
{
    ULONG_PTR Limit = MakeStack(SCRATCH_BASE + 0x18000000);
    ULONG_PTR Where;
    ULONG Index;

    MainLimit = KeGetPcr()->StackLimit;
    MainBase = KeGetPcr()->StackBase;
    ThreadStack = HalPrepareStack(Limit, Limit + STACK_BYTES, Thread, (PVOID)&Hops);
    for (Index = 0; Index < 300; Index += 1) {
        HalSwitchStack(&MainStack, ThreadStack, Limit, Limit + STACK_BYTES);
        if (Index % 50 == 0) {
            HalFlushEntireTb(HAL_ALL_PROCESSORS);
        }
    }
    CHECK(Hops == 300);
    Limit = MakeStack(SCRATCH_BASE + 0x19000000);
    Where = 0;
    HalCallOnStack(Limit, Limit + STACK_BYTES, NoteStack, &Where);
    CHECK(Where > Limit && Where < Limit + STACK_BYTES);
    CHECK(KeGetPcr()->StackLimit == MainLimit && KeGetPcr()->StackBase == MainBase);
}
