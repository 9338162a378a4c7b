/*
 * Stress of mm/pool on the threads plug: TAP on standard output. Hosted C.
 *
 *   threads-pool [--processors N] [--memory MB] [--seconds N] [--seed N] [--verify 0|1]
 *
 * Every processor allocates, fills, checks and frees blocks of its own and leaves some for the others to free.
 * A block's bytes say whose it is, so one that two owners got, or that was cut short, is noticed. When all is
 * freed the tags must balance and the validators agree. --verify 0 is how the pools run without their verifier.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <hal/threads/threads.h>
#include <mm/mi.h>
#include <mm/pool/pool.h>

#define STRESS_OWN 300u
#define STRESS_SHARED_BLOCKS 512u

PHAL_LOADER_BLOCK KiLoaderBlock;

typedef struct _STRESS_BLOCK {
    PUCHAR Bytes;
    SIZE_T Size;
    ULONG Tag;
    UCHAR Fill;
} STRESS_BLOCK;

typedef struct _STRESS_SHARED {
    STRESS_BLOCK *Places[STRESS_SHARED_BLOCKS]; /* exchanged whole; owned by who took it out */
    ULONG64 Seed;
    time_t End;
    ULONG64 Operations;
} STRESS_SHARED;

typedef struct _STRESS_ACTOR {
    ULONG64 Random;
    STRESS_BLOCK *Own[STRESS_OWN];
} STRESS_ACTOR;

static ULONG StressFailures;

static VOID
StressFail(const char *What)
{
    __atomic_fetch_add(&StressFailures, 1, __ATOMIC_RELAXED);
    printf("# %s\n", What);
}

static ULONG
Random(STRESS_ACTOR *Actor, ULONG Limit)
{
    ULONG64 Value = Actor->Random += 0x9E3779B97F4A7C15ull;

    Value = (Value ^ (Value >> 30)) * 0xBF58476D1CE4E5B9ull;
    return (ULONG)((Value ^ (Value >> 27)) >> 33) % Limit;
}

/* Mostly small, sometimes a page, a run or a segment of its own. */
static SIZE_T
RandomSize(STRESS_ACTOR *Actor)
{
    switch (Random(Actor, 64)) {
    case 0:
        return PAGE_SIZE - 32 + Random(Actor, 40);
    case 1:
        return 1 + Random(Actor, 20 * PAGE_SIZE);
    case 2:
        return Random(Actor, 16) == 0 ? 300 * PAGE_SIZE : 16;
    default:
        return 1 + Random(Actor, 1u << (4 + Random(Actor, 9)));
    }
}

static PVOID
StressAllocate(STRESS_ACTOR *Actor, SIZE_T Size, ULONG Tag)
{
    switch (Random(Actor, 5)) {
    case 0:
        return ExAllocatePoolWithTag(NonPagedPoolNxCacheAligned, Size, Tag);
    case 1:
        return ExAllocatePoolWithTag(NonPagedPool, Size, Tag);
    case 2:
        return ExAllocatePool2(POOL_FLAG_PAGED, Size, Tag);
    case 3:
        return ExAllocatePool2(POOL_FLAG_NON_PAGED, Size, Tag);
    default:
        return ExAllocatePool2(POOL_FLAG_NON_PAGED | POOL_FLAG_UNINITIALIZED, Size, Tag);
    }
}

static STRESS_BLOCK *
MakeBlock(STRESS_ACTOR *Actor)
{
    STRESS_BLOCK *Block = malloc(sizeof(*Block));

    Block->Size = RandomSize(Actor);
    Block->Tag = 0x30747350 + (Random(Actor, 8) << 24);
    Block->Fill = (UCHAR)Random(Actor, 256);
    Block->Bytes = StressAllocate(Actor, Block->Size, Block->Tag);
    if (Block->Bytes == NULL) {
        free(Block);
        return NULL;
    }
    memset(Block->Bytes, Block->Fill, Block->Size);
    return Block;
}

static VOID
DropBlock(STRESS_BLOCK *Block)
{
    if (Block == NULL) {
        return;
    }
    for (SIZE_T Index = 0; Index < Block->Size; Index++) {
        if (Block->Bytes[Index] != Block->Fill) {
            StressFail("a block changed while it was owned");
            break;
        }
    }
    ExFreePoolWithTag(Block->Bytes, Block->Tag);
    free(Block);
}

static VOID
Act(STRESS_SHARED *Shared, STRESS_ACTOR *Actor)
{
    STRESS_BLOCK **Own = &Actor->Own[Random(Actor, STRESS_OWN)];
    STRESS_BLOCK **Place = &Shared->Places[Random(Actor, STRESS_SHARED_BLOCKS)];

    if (Random(Actor, 3) == 0) {
        *Own = __atomic_exchange_n(Place, *Own, __ATOMIC_ACQ_REL);
    } else {
        DropBlock(*Own);
        *Own = MakeBlock(Actor);
    }
}

static VOID
StressProcessor(ULONG Number, PVOID Context)
{
    STRESS_SHARED *Shared = Context;
    STRESS_ACTOR Actor = {.Random = Shared->Seed * 977 + Number};
    ULONG64 Operations = 0;

    for (; time(NULL) < Shared->End; Operations += 100) {
        for (ULONG Step = 0; Step < 100; Step++) {
            Act(Shared, &Actor);
        }
    }
    for (ULONG Index = 0; Index < STRESS_OWN; Index++) {
        DropBlock(Actor.Own[Index]);
    }
    __atomic_fetch_add(&Shared->Operations, Operations, __ATOMIC_RELAXED);
}

static BOOLEAN
StressSeeBlock(const MI_POOL_BLOCK *Block, PVOID Context)
{
    (VOID)Block;
    *(ULONG *)Context += 1;
    return TRUE;
}

static VOID
StressCheckNothingLeft(VOID)
{
    MI_POOL_TAG_ROW Row;
    ULONG Blocks = 0;

    for (ULONG Index = 0; MiQueryPoolTag(Index, &Row); Index++) {
        if (Row.NonPagedAllocs != Row.NonPagedFrees || Row.PagedAllocs != Row.PagedFrees ||
            Row.NonPagedBytes != 0 || Row.PagedBytes != 0) {
            StressFail("a tag does not balance");
        }
    }
    MiEnumeratePool(StressSeeBlock, &Blocks, FALSE);
    if (Blocks != 0) {
        StressFail("a block is left");
    }
    MiValidatePools();
    MiValidatePfnDatabase();
}

static ULONG64
StressOption(int Count, char **Arguments, const char *Name, ULONG64 Default)
{
    for (int Index = 1; Index + 1 < Count; Index++) {
        if (strcmp(Arguments[Index], Name) == 0) {
            return strtoull(Arguments[Index + 1], NULL, 0);
        }
    }
    return Default;
}

int
main(int Count, char **Arguments)
{
    HALT_CONFIG Config = {
        .MemoryBytes = StressOption(Count, Arguments, "--memory", 256) << 20,
        .Processors = (ULONG)StressOption(Count, Arguments, "--processors", 4),
        .Nodes = (ULONG)StressOption(Count, Arguments, "--nodes", 1),
        .Seed = StressOption(Count, Arguments, "--seed", 1),
    };
    STRESS_SHARED Shared = {.Seed = Config.Seed};

    MiPoolVerify = StressOption(Count, Arguments, "--verify", 1) != 0;
    KiLoaderBlock = HaltStart(&Config);
    MiInitializePhysical(KiLoaderBlock);
    HaltStartSpace();
    MiInitializePools(KiLoaderBlock);
    Shared.End = time(NULL) + (time_t)StressOption(Count, Arguments, "--seconds", 3);
    HaltRunEverywhere(StressProcessor, &Shared);
    for (ULONG Index = 0; Index < STRESS_SHARED_BLOCKS; Index++) {
        DropBlock(Shared.Places[Index]);
    }
    StressCheckNothingLeft();
    printf("%s 1 - pool stress, verifier %s\n", StressFailures == 0 ? "ok" : "not ok", MiPoolVerify ? "on" : "off");
    printf("1..1\n# seed %llu, %llu operations\n", Config.Seed, Shared.Operations);
    return StressFailures == 0 ? 0 : 1;
}
