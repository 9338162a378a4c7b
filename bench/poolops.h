/*
 * The loops of the pool rows, for an allocator that the includer names with BENCH_ALLOCATE(Size) and
 * BENCH_FREE(Block); BENCH_TABLE is the table to define. The same text for everybody, inlined the same way.
 * Each object is written to once, as any user would.
 */
static PUCHAR BenchObjects[BENCH_OBJECTS];

static inline PUCHAR
BenchMake(SIZE_T Size)
{
    PUCHAR Object = BENCH_ALLOCATE(Size);

    *(volatile UCHAR *)Object = 1;
    return Object;
}

#define BENCH_HOT(Size)                                                                            \
    static VOID BenchHot##Size(SIZE_T Rounds)                                                      \
    {                                                                                              \
        for (SIZE_T Round = 0; Round < Rounds; Round++) {                                          \
            BENCH_FREE(BenchMake(Size));                                                           \
        }                                                                                          \
    }
BENCH_HOT(16)
BENCH_HOT(512)
BENCH_HOT(4096)

static VOID
BenchFill(SIZE_T Size)
{
    for (ULONG Index = 0; Index < BENCH_OBJECTS; Index++) {
        BenchObjects[Index] = BenchMake(Size);
    }
}

static VOID
BenchLifo64(SIZE_T Rounds)
{
    for (SIZE_T Round = 0; Round < Rounds; Round++) {
        BenchFill(64);
        for (ULONG Index = BENCH_OBJECTS; Index != 0; Index--) {
            BENCH_FREE(BenchObjects[Index - 1]);
        }
    }
}

#define BENCH_RANDOM(Size)                                                                         \
    static VOID BenchRandom##Size(SIZE_T Rounds)                                                   \
    {                                                                                              \
        for (SIZE_T Round = 0; Round < Rounds; Round++) {                                          \
            BenchFill(Size);                                                                       \
            for (ULONG Index = 0; Index < BENCH_OBJECTS; Index++) {                                \
                BENCH_FREE(BenchObjects[BenchOrder[Index]]);                                       \
            }                                                                                      \
        }                                                                                          \
    }
BENCH_RANDOM(512)
BENCH_RANDOM(2048)

static VOID
BenchFillMixed(VOID)
{
    for (ULONG Index = 0; Index < BENCH_OBJECTS; Index++) {
        BenchObjects[Index] = BenchMake(BenchSteps[Index].Size);
    }
}

/* A thousand live objects; each step replaces one of them by another of another size. */
static VOID
BenchMixed(SIZE_T Rounds)
{
    for (SIZE_T Round = 0; Round < Rounds; Round++) {
        for (ULONG Index = 0; Index < BENCH_STEPS; Index++) {
            BENCH_FREE(BenchObjects[BenchSteps[Index].Slot]);
            BenchObjects[BenchSteps[Index].Slot] = BenchMake(BenchSteps[Index].Size);
        }
    }
}

static VOID
BenchEmpty(VOID)
{
    for (ULONG Index = 0; Index < BENCH_OBJECTS; Index++) {
        BENCH_FREE(BenchObjects[Index]);
    }
}

const BENCH_OPERATION BENCH_TABLE[] = {
    {"hot 16 B", NULL, BenchHot16, NULL, 1, 200000, 2000},
    {"hot 512 B", NULL, BenchHot512, NULL, 1, 200000, 2000},
    {"hot 4,096 B", NULL, BenchHot4096, NULL, 1, 200000, 2000},
    {"1,000 x 64 B, LIFO", NULL, BenchLifo64, NULL, BENCH_OBJECTS, 200, 10},
    {"1,000 x 512 B, random", NULL, BenchRandom512, NULL, BENCH_OBJECTS, 200, 10},
    {"1,000 x 2,048 B, random", NULL, BenchRandom2048, NULL, BENCH_OBJECTS, 100, 10},
    {"mixed 16-4,096 B", BenchFillMixed, BenchMixed, BenchEmpty, BENCH_STEPS, 40, 4},
    {NULL, NULL, NULL, NULL, 0, 0, 0},
};
