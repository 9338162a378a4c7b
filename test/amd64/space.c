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
