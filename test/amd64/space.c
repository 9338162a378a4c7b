/*
 * The bare machine's address space: the memory map, the direct map, PFN records, the image's rights, shared
 * user data, stacks and their guard pages.
 */
#include <ktest.h>
#include <mm/mi.h>
#include <mm/pte/pteform.h>

extern const UCHAR __executable_start[];
extern const UCHAR HalpRodataStart[];

static UCHAR SpaceData[64];
static const UCHAR SpaceConstant[64] = {1};

KTEST(Amd64RunsAreInOrderAndMapped)
{
    PFN_NUMBER Top = 1;
    ULONG64 Bytes = 0;

    for (ULONG Index = 0; Index < KiLoaderBlock->RunCount; Index += 1) {
        const HAL_MEMORY_RUN *Run = &KiLoaderBlock->Runs[Index];
        PFN_NUMBER Last = Run->BasePage + Run->PageCount - 1;
        MI_PROTECTION Protection = 0;

        CHECK(Run->PageCount != 0 && Run->BasePage >= Top);
        CHECK(Run->Type == HalMemoryFree || Run->Type == HalMemoryPermanent);
        Top = Last + 1;
        Bytes += Run->PageCount * PAGE_SIZE;
        CHECK_EQ(MiTranslate(HalFrameAddress(Run->BasePage), NULL), Run->BasePage);
        CHECK_EQ(MiTranslate(HalFrameAddress(Last), NULL), Last);
        CHECK(MiTranslate((PVOID)(KiLoaderBlock->PfnDatabase + Run->BasePage * 32), &Protection) !=
              MI_NO_FRAME);
        CHECK_EQ(Protection, MM_READWRITE);
        CHECK(MiTranslate((PVOID)(KiLoaderBlock->PfnDatabase + Last * 32 + 31), NULL) != MI_NO_FRAME);
    }
    CHECK_EQ(Bytes, KiLoaderBlock->MemoryBytes);
    CHECK_EQ(MiTranslate(HalFrameAddress(0), NULL), MI_NO_FRAME);
    CHECK_EQ(MiTranslate(HalFrameAddress(Top), NULL), MI_NO_FRAME);
}

/* Where nobody has any business: address 0, the entry stub's mapping, the first slot of system space. */
KTEST(Amd64NothingElseIsMapped)
{
    CHECK_EQ(MiTranslate((PVOID)0x200000, NULL), MI_NO_FRAME);
    CHECK_EQ(MiTranslate((PVOID)0xFFFFFFFF80000000ull, NULL), MI_NO_FRAME);
    CHECK_EQ(MiTranslate((PVOID)0xFFFFFFFFFFFFF000ull, NULL), MI_NO_FRAME);
}

KTEST(Amd64ImageHasRightsOfItsParts)
{
    MI_PROTECTION Protection = 0;
    PFN_NUMBER Frame;

    Frame = MiTranslate((PVOID)__executable_start, &Protection);
    CHECK_EQ(Protection, MM_EXECUTE_READ);
    CHECK_EQ(MiTranslate(HalFrameAddress(Frame), &Protection), Frame);
    CHECK_EQ(Protection, MM_READONLY);
    MiTranslate((PVOID)SpaceConstant, &Protection);
    CHECK_EQ(Protection, MM_READONLY);
    Frame = MiTranslate(SpaceData, &Protection);
    CHECK_EQ(Protection, MM_READWRITE);
    SpaceData[0] = 7;
    CHECK_EQ(((volatile UCHAR *)HalFrameAddress(Frame))[(ULONG_PTR)SpaceData % PAGE_SIZE], 7);
}

/* --- Every translation there is ---------------------------------------------------------------------------------- */

typedef struct _SURVEY {
    SIZE_T Leaves;
    SIZE_T Executable;       /* of those */
    SIZE_T WritableToo;      /* of those */
    SIZE_T UserReachable;    /* leaves of the kernel's half that ring 3 could use */
    ULONG_PTR First;         /* a wrong one's address */
} SURVEY;

/* Rights are what every level allows: bit 0 write, bit 1 execute, bit 2 user. */
#define SURVEY_WRITE   1u
#define SURVEY_EXECUTE 2u
#define SURVEY_USER    4u

static ULONG
RightsOf(ULONG64 Entry)
{
    return ((Entry & MI_PTE_WRITE) != 0 ? SURVEY_WRITE : 0) | ((Entry & MI_PTE_NO_EXECUTE) == 0 ? SURVEY_EXECUTE : 0) |
           ((Entry & MI_PTE_USER) != 0 ? SURVEY_USER : 0);
}

static VOID
SurveyLeaf(SURVEY *Survey, ULONG_PTR Va, ULONG Rights)
{
    BOOLEAN Both = (Rights & (SURVEY_WRITE | SURVEY_EXECUTE)) == (SURVEY_WRITE | SURVEY_EXECUTE);

    Survey->Leaves += 1;
    Survey->Executable += (Rights & SURVEY_EXECUTE) != 0;
    Survey->WritableToo += Both;
    Survey->UserReachable += (Rights & SURVEY_USER) != 0;
    if (Both || (Rights & SURVEY_USER) != 0) {
        Survey->First = Survey->First != 0 ? Survey->First : Va;
    }
}

/*
 * The kernel's half, level by level, as the processor walks it: through the self-map too, unless its top entry forbids
 * both what could be wrong there. Other threads run meanwhile; tables do not move under a reader with interrupts off.
 */
static VOID
SurveyKernelHalf(SURVEY *Survey)
{
    const ULONG64 *Tables[5] = {NULL};
    ULONG Index[5] = {0, 0, 0, 0, 256};
    ULONG Rights[6] = {0, 0, 0, 0, 0, SURVEY_WRITE | SURVEY_EXECUTE | SURVEY_USER};
    ULONG Level = 4;
    ULONG_PTR Va;
    ULONG64 Entry;

    Tables[4] = HalFrameAddress(KiLoaderBlock->RootFrame);
    while (Level <= 4) {
        if (Index[Level] == 512) {
            Level += 1;
            Index[MIN(Level, 4)] += 1;
            continue;
        }
        Entry = ((volatile const ULONG64 *)Tables[Level])[Index[Level]];
        Rights[Level] = Rights[Level + 1] & RightsOf(Entry);
        if ((Entry & MI_PTE_VALID) != 0 && Level > 1 && (Entry & MI_PTE_LARGE) == 0 &&
            (Rights[Level] & (SURVEY_EXECUTE | SURVEY_USER)) != 0) {
            Level -= 1;
            Tables[Level] = HalFrameAddress((Entry & MI_PTE_FRAME_MASK) >> PAGE_SHIFT);
            Index[Level] = 0;
            continue;
        }
        if ((Entry & MI_PTE_VALID) != 0) {
            Va = 0xFFFF000000000000ull;
            for (ULONG At = Level; At <= 4; At += 1) {
                Va |= (ULONG_PTR)Index[At] << (PAGE_SHIFT + 9 * (At - 1));
            }
            SurveyLeaf(Survey, Va, Rights[Level]);
        }
        Index[Level] += 1;
    }
}

KTEST(Amd64NothingIsWritableAndExecutable)
{
    SURVEY Survey = {0, 0, 0, 0, 0};
    BOOLEAN Enabled = HalDisableInterrupts();

    SurveyKernelHalf(&Survey);
    HalRestoreInterrupts(Enabled);
    KTestNote("%I64u translations or whole tables, %I64u executable", (ULONG64)Survey.Leaves,
              (ULONG64)Survey.Executable);
    CHECK(Survey.Leaves > 100);
    CHECK(Survey.Executable > 10);
    CHECK_EQ(Survey.WritableToo, 0);
    CHECK_EQ(Survey.UserReachable, 0);
    CHECK_EQ(Survey.First, 0);
}

static VOID
WriteByte(PVOID Address)
{
    *(volatile UCHAR *)Address = 1;
}

static VOID
CallAddress(PVOID Address)
{
    ((VOID(*)(VOID))Address)();
}

KTEST(Amd64ProcessorHonoursThem)
{
    CHECK_BUGCHECK_CALL(ATTEMPTED_WRITE_TO_READONLY_MEMORY, (ULONG_PTR)__executable_start, WriteByte,
                        (PVOID)__executable_start);
    CHECK_BUGCHECK_CALL(ATTEMPTED_WRITE_TO_READONLY_MEMORY, (ULONG_PTR)SpaceConstant, WriteByte,
                        (PVOID)SpaceConstant);
    SpaceData[0] = 0xC3;
    CHECK_BUGCHECK_CALL(ATTEMPTED_EXECUTE_OF_NOEXECUTE_MEMORY, (ULONG_PTR)SpaceData, CallAddress, SpaceData);
    CHECK_BUGCHECK_CALL(PAGE_FAULT_IN_NONPAGED_AREA, 0xFFFFFFFFFFFFF000ull, WriteByte,
                        (PVOID)0xFFFFFFFFFFFFF000ull);
}

KTEST(Amd64SharedDataIsReadOnly)
{
    volatile KUSER_SHARED_DATA *Shared = (volatile KUSER_SHARED_DATA *)0xFFFFF78000000000ull;
    ULONG Saved = HalSharedUserData()->QpcBias != 0;

    CHECK(Saved == 0);
    HalSharedUserData()->QpcBias = 0x1122334455667788ull;
    CHECK_EQ(Shared->QpcBias, 0x1122334455667788ull);
    HalSharedUserData()->QpcBias = 0;
    CHECK_BUGCHECK_CALL(ATTEMPTED_WRITE_TO_READONLY_MEMORY, (ULONG_PTR)Shared, WriteByte,
                        (PVOID)(ULONG_PTR)Shared);
}

/* Not a tail call, and of a size that cannot jump over a guard page. */
static __attribute__((noinline)) ULONG
Descend(volatile UCHAR *Above, ULONG Depth)
{
    volatile UCHAR Here[512];

    Here[0] = Above[0];
    return Depth == 0 ? 0 : Descend(Here, Depth - 1) + Here[0];
}

static VOID
UseUpTheStack(PVOID Context)
{
    UCHAR First = 0;

    Descend(&First, MAXULONG);
}

/* The frame does not fit on the stack in use: the double fault has one of its own. Twice, so that it is used
 * again. */
KTEST(Amd64StackOverflowIsDoubleFault)
{
    CHECK_BUGCHECK_CALL(UNEXPECTED_KERNEL_MODE_TRAP, 8, UseUpTheStack, NULL);
    CHECK_BUGCHECK_CALL(UNEXPECTED_KERNEL_MODE_TRAP, 8, UseUpTheStack, NULL);
}

KTEST(Amd64IoSpaceIsWhatIsNotRam)
{
    const HAL_MEMORY_RUN *Last = &KiLoaderBlock->Runs[KiLoaderBlock->RunCount - 1];

    CHECK(HalIsIoSpace(0xFEE00, 1));
    CHECK(HalIsIoSpace(0xB8, 8));
    CHECK(!HalIsIoSpace(0xFEE00, 0));
    CHECK(!HalIsIoSpace(0, 1));
    CHECK(!HalIsIoSpace(Last->BasePage, 1));
    CHECK(!HalIsIoSpace(Last->BasePage + Last->PageCount - 1, 2));
    CHECK(!HalIsIoSpace(1ull << 51, 1));
    CHECK(!HalIsIoSpace(0xFEE00, ~0ull));
}
