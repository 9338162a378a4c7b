/*
 * Pools: every way to allocate and free that drivers use, with the promises about alignment, contents and
 * headers.
 */
#include "check.h"

#define TAG 'looP'

static VOID
CheckBlock(PUCHAR Block, SIZE_T Size, BOOLEAN *Good)
{
    ULONG_PTR Address = (ULONG_PTR)Block;

    if (Block == NULL || (Address & 15) != 0) {
        *Good = FALSE;
        return;
    }
    if (Size >= PAGE_SIZE ? BYTE_OFFSET(Block) != 0 : BYTE_OFFSET(Block) + Size > PAGE_SIZE) {
        *Good = FALSE;
    }
    Paint(Block, Size, (UCHAR)Size);
    if (!Painted(Block, Size, (UCHAR)Size)) {
        *Good = FALSE;
    }
}

static BOOLEAN
TryType(POOL_TYPE Type)
{
    static const SIZE_T Sizes[] = {1,    8,    16,   17,   100,  256,  1000,  2048,
                                   4000, 4064, 4065, 4080, 4096, 4097, 12288, 70000};
    PUCHAR Blocks[RTL_NUMBER_OF(Sizes)];
    BOOLEAN Good = TRUE;
    ULONG Index;

    for (Index = 0; Index < RTL_NUMBER_OF(Sizes); Index += 1) {
        Blocks[Index] = ExAllocatePoolWithTag(Type, Sizes[Index], TAG);
        CheckBlock(Blocks[Index], Sizes[Index], &Good);
    }
    for (Index = 0; Index < RTL_NUMBER_OF(Sizes); Index += 1) {
        if (!Painted(Blocks[Index], Sizes[Index], (UCHAR)Sizes[Index])) {
            Good = FALSE;
        }
        if (Index & 1) {
            ExFreePool(Blocks[Index]);
        } else {
            ExFreePoolWithTag(Blocks[Index], TAG);
        }
    }
    return Good;
}

static VOID
Types(VOID)
{
    CHECK(TryType(NonPagedPool));
    CHECK(TryType(NonPagedPoolNx));
    CHECK(TryType(PagedPool));
    CHECK(TryType(NonPagedPoolCacheAligned));
    CHECK(TryType(NonPagedPoolNxCacheAligned));
    CHECK(TryType(PagedPoolCacheAligned));
}

static VOID
Zeroed(VOID)
{
    PVOID Dirty, Block;
    ULONG Round;
    BOOLEAN Zero = TRUE;

    for (Round = 0; Round < 64; Round += 1) {
        SIZE_T Size = 24 + Round * 97;

        Dirty = ExAllocatePool2(POOL_FLAG_NON_PAGED | POOL_FLAG_UNINITIALIZED, Size, TAG);
        if (Dirty != NULL) {
            Paint(Dirty, Size, 0x55);
            ExFreePoolWithTag(Dirty, TAG);
        }
        Block = ExAllocatePool2(POOL_FLAG_NON_PAGED, Size, TAG);
        Zero = Zero && Block != NULL && AllZero(Block, Size);
        if (Block != NULL) {
            Paint(Block, Size, 0x11);
            ExFreePool(Block);
        }
        Block = ExAllocatePoolWithTag((POOL_TYPE)(NonPagedPoolNx | POOL_ZERO_ALLOCATION), Size, TAG);
        Zero = Zero && Block != NULL && AllZero(Block, Size);
        if (Block != NULL) {
            Paint(Block, Size, 0x22);
            ExFreePool(Block);
        }
        Block = ExAllocatePool2(POOL_FLAG_PAGED, Size, TAG);
        Zero = Zero && Block != NULL && AllZero(Block, Size);
        if (Block != NULL) {
            Paint(Block, Size, 0x33);
            ExFreePool(Block);
        }
    }
    CHECK(Zero);
}

static VOID
Pool2(VOID)
{
    PVOID Block;

    CHECK(ExAllocatePool2(POOL_FLAG_NON_PAGED, 64, 0) == NULL);
    CHECK(ExAllocatePool2(0, 64, TAG) == NULL);
    CHECK(ExAllocatePool2(POOL_FLAG_NON_PAGED | 0x40000000, 64, TAG) == NULL);
    Block = ExAllocatePool2(POOL_FLAG_NON_PAGED | 0x4000000000000000ull, 64, TAG);
    REQUIRE(Block != NULL);
    ExFreePool2(Block, TAG, NULL, 0);
    Block = ExAllocatePool2(POOL_FLAG_PAGED | POOL_FLAG_USE_QUOTA, 200, TAG);
    REQUIRE(Block != NULL);
    ExFreePoolWithTag(Block, 0);
    Block = ExAllocatePool2(POOL_FLAG_NON_PAGED | POOL_FLAG_CACHE_ALIGNED, 100, TAG);
    REQUIRE(Block != NULL);
    CHECK_EQ((ULONG_PTR)Block & 63, 0);
    ExFreePoolWithTag(Block, TAG);
    Block = ExAllocatePool2(POOL_FLAG_NON_PAGED | POOL_FLAG_RAISE_ON_FAILURE, 100, TAG);
    REQUIRE(Block != NULL);
    ExFreePool(Block);
    CHECK(ExAllocatePool2(POOL_FLAG_NON_PAGED, (SIZE_T)1 << 46, TAG) == NULL);
    CHECK(ExAllocatePool2(POOL_FLAG_PAGED, (SIZE_T)-1, TAG) == NULL);
    CHECK(ExAllocatePoolWithTag(NonPagedPoolNx, (SIZE_T)-16, TAG) == NULL);
}

static VOID
Pool3(VOID)
{
    EXTRA_POOL_PARAMETER Parameters[2] = {{.Type = EXTRA_POOL_PRIORITY, .Value = HighPoolPriority},
                                          {.Type = 0x55, .Optional = 1}};
    PVOID Block;

    Block = ExAllocatePool3(POOL_FLAG_NON_PAGED, 80, TAG, Parameters, 2);
    REQUIRE(Block != NULL);
    CHECK(AllZero(Block, 80));
    ExFreePool2(Block, TAG, NULL, 0);
    Parameters[1].Optional = 0;
    CHECK(ExAllocatePool3(POOL_FLAG_NON_PAGED, 80, TAG, Parameters, 2) == NULL);
    Block = ExAllocatePool3(POOL_FLAG_PAGED, 80, TAG, NULL, 0);
    REQUIRE(Block != NULL);
    ExFreePool(Block);
    Parameters[0].Type = EXTRA_POOL_NODE;
    Parameters[0].Value = 0;
    Block = ExAllocatePool3(POOL_FLAG_NON_PAGED, 80, TAG, Parameters, 1);
    REQUIRE(Block != NULL);
    ExFreePool(Block);
}

static VOID
OtherForms(VOID)
{
    PVOID Block;

    Block = ExAllocatePoolWithTagPriority(NonPagedPoolNx, 500, TAG, NormalPoolPriority);
    REQUIRE(Block != NULL);
    ExFreePoolWithTag(Block, TAG);
    Block = ExAllocatePoolWithTagPriority(PagedPool, 5000, TAG, LowPoolPrioritySpecialPoolOverrun);
    REQUIRE(Block != NULL);
    ExFreePoolWithTag(Block, TAG);
    Block = ExAllocatePoolWithQuotaTag((POOL_TYPE)(PagedPool | POOL_QUOTA_FAIL_INSTEAD_OF_RAISE), 300, TAG);
    REQUIRE(Block != NULL);
    ExFreePoolWithTag(Block, TAG);
    Block = ExAllocatePoolWithQuotaTag((POOL_TYPE)(PagedPool | POOL_QUOTA_FAIL_INSTEAD_OF_RAISE),
                                       (SIZE_T)1 << 46, TAG);
    CHECK(Block == NULL);
    Block = FsRtlAllocatePoolWithTag(PagedPool, 64, TAG);
    REQUIRE(Block != NULL);
    ExFreePool(Block);
    Block = ExAllocatePoolWithTag((POOL_TYPE)(NonPagedPoolNx | POOL_RAISE_IF_ALLOCATION_FAILURE), 64, TAG);
    REQUIRE(Block != NULL);
    ExFreePool(Block);
}

/* A small block has a header in front, with the tag and the type where debuggers look. */
static VOID
Header(VOID)
{
    PUCHAR Block = ExAllocatePoolWithTag(PagedPool, 32, 'xyzA');

    REQUIRE(Block != NULL);
    CHECK_EQ(*(PULONG)(Block - 12), 'xyzA');
    CHECK_EQ(*(Block - 13), PagedPool + 1);
    ExFreePool(Block);
    Block = ExAllocatePoolWithTag(NonPagedPool, PAGE_SIZE - 32, 'xyzB');
    REQUIRE(Block != NULL);
    CHECK_EQ(*(PULONG)(Block - 12), 'xyzB');
    ExFreePool(Block);
    Block = ExAllocatePoolWithTag(NonPagedPool, PAGE_SIZE - 31, 'xyzC');
    REQUIRE(Block != NULL);
    CHECK_EQ(BYTE_OFFSET(Block), 0);
    ExFreePool(Block);
}

/* mov eax, 42; ret */
static BOOLEAN
Runs(PVOID Block)
{
    static const UCHAR Code[] = {0xB8, 42, 0, 0, 0, 0xC3};

    if (Block == NULL) {
        return FALSE;
    }
    RtlCopyMemory(Block, Code, sizeof(Code));
    return ((ULONG(NTAPI *)(VOID))(ULONG_PTR)Block)() == 42;
}

static VOID
Executable(VOID)
{
    PVOID Block = ExAllocatePoolWithTag(NonPagedPool, 64, TAG);

    CHECK(Runs(Block));
    ExFreePool(Block);
    Block = ExAllocatePool2(POOL_FLAG_NON_PAGED_EXECUTE, 8192, TAG);
    CHECK(Runs(Block));
    ExFreePool(Block);
}

static ULONG
Random(PULONG State)
{
    *State = *State * 1664525 + 1013904223;
    return *State >> 8;
}

/* Many live blocks of many sizes, allocated and freed in no order, none touching another. */
static VOID
Churn(VOID)
{
    enum { SLOTS = 512, ROUNDS = 6000 };
    typedef struct {
        PUCHAR Block;
        ULONG Size;
        UCHAR Seed;
    } SLOT;
    SLOT *Slots = ExAllocatePool2(POOL_FLAG_NON_PAGED, SLOTS * sizeof(SLOT), TAG);
    ULONG State = 1, Round, Bad = 0, Failed = 0;

    REQUIRE(Slots != NULL);
    for (Round = 0; Round < ROUNDS + SLOTS; Round += 1) {
        SLOT *Slot = Round < ROUNDS ? &Slots[Random(&State) % SLOTS] : &Slots[Round - ROUNDS];

        if (Slot->Block != NULL) {
            Bad += !Painted(Slot->Block, Slot->Size, Slot->Seed);
            ExFreePoolWithTag(Slot->Block, TAG);
            Slot->Block = NULL;
        } else if (Round < ROUNDS) {
            Slot->Size = Random(&State) % 8 == 0 ? Random(&State) % 20000 + 1 : Random(&State) % 700 + 1;
            Slot->Seed = (UCHAR)Round;
            Slot->Block =
                ExAllocatePoolWithTag(Random(&State) & 1 ? NonPagedPoolNx : PagedPool, Slot->Size, TAG);
            Failed += Slot->Block == NULL;
            if (Slot->Block != NULL) {
                Paint(Slot->Block, Slot->Size, Slot->Seed);
            }
        }
    }
    CHECK_EQ(Bad, 0);
    CHECK_EQ(Failed, 0);
    ExFreePool(Slots);
}

static VOID
AtDispatch(VOID)
{
    KIRQL OldIrql;
    PVOID Block;
    ULONG Index;
    BOOLEAN Good = TRUE;

    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    for (Index = 0; Index < 100; Index += 1) {
        Block = ExAllocatePool2(POOL_FLAG_NON_PAGED, 100 + Index * 100, TAG);
        Good = Good && Block != NULL;
        if (Block != NULL) {
            ExFreePoolWithTag(Block, TAG);
        }
    }
    KeLowerIrql(OldIrql);
    CHECK(Good);
}

static VOID
Test(VOID)
{
    Types();
    Zeroed();
    Pool2();
    Pool3();
    OtherForms();
    Header();
    Executable();
    Churn();
    AtDispatch();
}

CHECK_DRIVER
