/*
 * The benchmark kernel: ntmm-amd64 that counts instead of running an image. QEMU with -icount shift=0 lets the time-stamp
 * counter count guest instructions, each run the same (kernel.sh). The rows are those of ops.c, and what only a whole machine
 * has: mapping, locking, faults, the boundary, flushes. Each is run once to warm up, then counted; nothing else runs
 * meanwhile but what the row itself brings about.
 *
 * On the first serial port: lines "group <tab> row <tab> who <tab> figure <tab> operations". Freestanding; the first system thread, at
 * PASSIVE_LEVEL.
 */
#include "ops.h"

#include <hal/hal.h>
#include <ldr/ldr.h>
#include <mm/pool/pool.h>
#include <rtl/rtl.h>

#define BENCH_TABLE_FRAMES 32768
#define BENCH_PAGED_PAGES  256
#define BENCH_LOCK_PAGES   16
#define BENCH_MAP_PAGES    16
#define BENCH_KERNEL_TAG   0x6B636E42u /* "Bnck" */

ULONG KTestRunAll(const char *Filter);

static PFN_NUMBER BenchTable[BENCH_TABLE_FRAMES];
static PUCHAR BenchPages; /* paged pool, between Before and After */
static PMDL BenchMdl;

/* --- Faults and locks on paged pool ------------------------------------------------------------------------ */

static VOID
BenchMakePaged(VOID)
{
    BenchPages = ExAllocatePool2(POOL_FLAG_PAGED | POOL_FLAG_UNINITIALIZED, BENCH_PAGED_PAGES * PAGE_SIZE, BENCH_KERNEL_TAG);
}

static VOID
BenchFreePaged(VOID)
{
    ExFreePoolWithTag(BenchPages, BENCH_KERNEL_TAG);
}

/* A round is a page, so there are at most BENCH_PAGED_PAGES of them. */
static VOID
BenchTouch(SIZE_T Rounds)
{
    for (SIZE_T Round = 0; Round < Rounds; Round += 1) {
        *(volatile UCHAR *)(BenchPages + Round * PAGE_SIZE) = 1;
    }
}

static VOID
BenchMakeLocked(VOID)
{
    BenchMakePaged();
    BenchTouch(BENCH_LOCK_PAGES);
    BenchMdl = IoAllocateMdl(BenchPages, BENCH_LOCK_PAGES * PAGE_SIZE, FALSE, FALSE, NULL);
}

static VOID
BenchLock(SIZE_T Rounds)
{
    for (SIZE_T Round = 0; Round < Rounds; Round += 1) {
        MmProbeAndLockPages(BenchMdl, KernelMode, IoWriteAccess);
        MmUnlockPages(BenchMdl);
    }
}

static VOID
BenchFreeLocked(VOID)
{
    IoFreeMdl(BenchMdl);
    BenchFreePaged();
}

static VOID
BenchPagedRound(SIZE_T Rounds)
{
    for (SIZE_T Round = 0; Round < Rounds; Round += 1) {
        BenchMakePaged();
        BenchTouch(16);
        BenchFreePaged();
    }
}

/* --- Mappings ---------------------------------------------------------------------------------------------- */

static VOID
BenchMakePages(ULONG Count)
{
    PHYSICAL_ADDRESS Low = {.QuadPart = 0};
    PHYSICAL_ADDRESS High = {.QuadPart = -1};

    BenchMdl = MmAllocatePagesForMdlEx(Low, High, Low, Count * PAGE_SIZE, MmCached, MM_ALLOCATE_FULLY_REQUIRED);
}

static VOID
BenchMakeOnePage(VOID)
{
    BenchMakePages(1);
}

static VOID
BenchMakeManyPages(VOID)
{
    BenchMakePages(BENCH_MAP_PAGES);
}

static VOID
BenchFreePages(VOID)
{
    MmFreePagesFromMdl(BenchMdl);
    ExFreePool(BenchMdl);
}

static VOID
BenchMap(SIZE_T Rounds)
{
    for (SIZE_T Round = 0; Round < Rounds; Round += 1) {
        PVOID Va = MmMapLockedPagesSpecifyCache(BenchMdl, KernelMode, MmCached, NULL, FALSE,
                                                NormalPagePriority | MdlMappingNoExecute);

        MmUnmapLockedPages(Va, BenchMdl);
    }
}

/* --- The boundary ------------------------------------------------------------------------------------------ */

/* Through the stubs that images call: record, routine, return. */
static VOID
BenchCross(SIZE_T Rounds)
{
    NTAPI PVOID (*Routine)(VOID) = (NTAPI PVOID (*)(VOID))(ULONG_PTR)LdrExportAddress("PsGetCurrentProcessId");

    for (SIZE_T Round = 0; Round < Rounds; Round += 1) {
        Routine();
    }
}

static VOID
BenchCrossPool(SIZE_T Rounds)
{
    NTAPI PVOID (*Allocate)(POOL_FLAGS, SIZE_T, ULONG) =
        (NTAPI PVOID (*)(POOL_FLAGS, SIZE_T, ULONG))(ULONG_PTR)LdrExportAddress("ExAllocatePool2");
    NTAPI VOID (*Free)(PVOID, ULONG) = (NTAPI VOID (*)(PVOID, ULONG))(ULONG_PTR)LdrExportAddress("ExFreePoolWithTag");

    for (SIZE_T Round = 0; Round < Rounds; Round += 1) {
        Free(Allocate(POOL_FLAG_NON_PAGED | POOL_FLAG_UNINITIALIZED, 512, BENCH_KERNEL_TAG), BENCH_KERNEL_TAG);
    }
}

/* --- Flushes ----------------------------------------------------------------------------------------------- */

/* Nothing there has changed: what it costs to ask. */
static VOID
BenchFlush(SIZE_T Rounds)
{
    HAL_FLUSH_RANGE Range = {(ULONG_PTR)BenchTable & ~(ULONG_PTR)(PAGE_SIZE - 1), 1};

    for (SIZE_T Round = 0; Round < Rounds; Round += 1) {
        HalFlushTb(&Range, 1, HAL_ALL_PROCESSORS);
    }
}

static const BENCH_OPERATION BenchMemoryOperations[] = {
    {"write fault on fresh paged pool, clear included", BenchMakePaged, BenchTouch, BenchFreePaged, 1, 0, BENCH_PAGED_PAGES},
    {"1 MB of paged pool, 16 pages touched, freed", NULL, BenchPagedRound, NULL, 1, 0, 32},
    {"lock and unlock 64 KB, touched", BenchMakeLocked, BenchLock, BenchFreeLocked, 1, 0, 200},
    {"map and unmap one page", BenchMakeOnePage, BenchMap, BenchFreePages, 1, 0, 500},
    {"map and unmap 16 pages", BenchMakeManyPages, BenchMap, BenchFreePages, 1, 0, 200},
    {"call of an exported routine", NULL, BenchCross, NULL, 1, 0, 500},
    {"hot 512 B through the boundary", NULL, BenchCrossPool, NULL, 1, 0, 500},
    {NULL, NULL, NULL, NULL, 0, 0, 0},
};

static const BENCH_OPERATION BenchFlushOperations[] = {
    {"empty shootdown of one page", NULL, BenchFlush, NULL, 1, 0, 200},
    {NULL, NULL, NULL, NULL, 0, 0, 0},
};

/* --- Counting ---------------------------------------------------------------------------------------------- */

/* Apart, so that kernel.py can see in a trace where a row begins and ends. */
static __attribute__((noinline)) ULONG64
BenchClock(VOID)
{
    return __builtin_ia32_rdtsc();
}

static ULONG64
BenchOnce(const BENCH_OPERATION *Operation)
{
    ULONG64 Start, End;

    if (Operation->Before != NULL) {
        Operation->Before();
    }
    Start = BenchClock();
    Operation->Run(Operation->CountedRounds);
    End = BenchClock();
    if (Operation->After != NULL) {
        Operation->After();
    }
    return End - Start;
}

/* Whether the filter's words, in which a dot stands for any character, are the row's name. */
static BOOLEAN
BenchIsPicked(const char *Filter, const char *Name)
{
    while (*Name != 0 && (*Filter == '.' || *Filter == *Name)) {
        Filter += 1;
        Name += 1;
    }
    return *Filter == 0 && *Name == 0;
}

static VOID
BenchCount(const char *Group, const BENCH_OPERATION *Operation, const char *Filter)
{
    CHAR Line[200];

    for (; Operation->Name != NULL; Operation += 1) {
        ULONG64 Operations = (ULONG64)Operation->CountedRounds * Operation->PerRound;
        ULONG64 Hundredths;

        if (Filter != NULL && !BenchIsPicked(Filter, Operation->Name)) {
            continue;
        }
        BenchOnce(Operation);
        Hundredths = (BenchOnce(Operation) * 100 + Operations / 2) / Operations;
        HalPutConsole(Line, (SIZE_T)RtlpPrintBuffer(Line, sizeof(Line), "%s%s\t%s\tntmm\t%llu.%02llu\t%llu\n", Group,
                                                    MiPoolVerify ? ", verified" : "", Operation->Name, Hundredths / 100,
                                                    Hundredths % 100, Operations));
    }
}

/* In the place of the kernel tests. The filter picks a row by its name. */
ULONG
KTestRunAll(const char *Filter)
{
    BenchPrepare(1, BenchTable, BENCH_TABLE_FRAMES);
    BenchCount("frames", BenchFrameOperations, Filter);
    BenchCount("pools", BenchPoolOperations, Filter);
    BenchCount("memory", BenchMemoryOperations, Filter);
    BenchCount("flushes", BenchFlushOperations, Filter);
    return 0;
}
