/*
 * Time and count the operations of ops.c on the threads plug, and malloc's beside them. Hosted C.
 *
 *   bench-threads time  [--verify]   nanoseconds
 *   bench-threads count [--verify]   under callgrind: one dump for each row, see run.sh
 *   bench-threads waste SIZE         bytes of memory for each object beyond those asked for
 *
 * Standard output: lines "group <tab> row <tab> who <tab> figure". A time is the median of BENCH_TRIALS; the
 * allocators take turns, so that whatever else the host does hits them alike. malloc is called by the name in
 * the environment variable BENCH_PEER.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#else
#define CALLGRIND_TOGGLE_COLLECT
#define CALLGRIND_DUMP_STATS_AT(Name) ((void)(Name))
#endif

#include <hal/threads/threads.h>
#include <mm/mi.h>
#include <mm/pool/pool.h>

#include "ops.h"

#define BENCH_TRIALS 9
#define BENCH_TABLE_FRAMES (1ull << 17)
#define BENCH_REMOTE_OBJECTS 400000u
#define BENCH_RING 1024u
#define BENCH_WASTE_BYTES (256ull << 20)

PHAL_LOADER_BLOCK KiLoaderBlock;

static const char *BenchPeer;

static VOID
BenchPrint(const char *Group, const char *Row, const char *Who, double Figure)
{
    printf("%s\t%s\t%s\t%.2f\n", Group, Row, Who, Figure);
    fflush(stdout);
}

/* CLOCK_THREAD_CPUTIME_ID where one thread works alone: what else the host runs counts less. */
static double
BenchNow(clockid_t Clock)
{
    struct timespec Now;

    clock_gettime(Clock, &Now);
    return (double)Now.tv_sec * 1e9 + (double)Now.tv_nsec;
}

static int
BenchCompare(const void *Left, const void *Right)
{
    double Difference = *(const double *)Left - *(const double *)Right;

    return (Difference > 0) - (Difference < 0);
}

static double
BenchMedian(double *Trials)
{
    qsort(Trials, BENCH_TRIALS, sizeof(*Trials), BenchCompare);
    return Trials[BENCH_TRIALS / 2];
}

/* --- Time, one processor --------------------------------------------------------------------------- */

static double
BenchTimeOnce(const BENCH_OPERATION *Operation)
{
    double Start;
    double End;

    if (Operation->Before != NULL) {
        Operation->Before();
    }
    Start = BenchNow(CLOCK_THREAD_CPUTIME_ID);
    Operation->Run(Operation->Rounds);
    End = BenchNow(CLOCK_THREAD_CPUTIME_ID);
    if (Operation->After != NULL) {
        Operation->After();
    }
    return (End - Start) / ((double)Operation->Rounds * Operation->PerRound);
}

static VOID
BenchTime(const char *Group, const BENCH_OPERATION *Ours, const BENCH_OPERATION *Theirs)
{
    for (; Ours->Name != NULL; Ours++) {
        double OurTrials[BENCH_TRIALS];
        double TheirTrials[BENCH_TRIALS];

        BenchTimeOnce(Ours);
        for (ULONG Trial = 0; Trial < BENCH_TRIALS; Trial++) {
            OurTrials[Trial] = BenchTimeOnce(Ours);
            if (Theirs != NULL) {
                TheirTrials[Trial] = BenchTimeOnce(Theirs);
            }
        }
        BenchPrint(Group, Ours->Name, "ntmm", BenchMedian(OurTrials));
        if (Theirs != NULL) {
            BenchPrint(Group, Ours->Name, BenchPeer, BenchMedian(TheirTrials));
            Theirs++;
        }
    }
}

/* --- Time, two processors -------------------------------------------------------------------------- */

typedef struct _BENCH_PAIR {
    const BENCH_OPERATION *Operation;   /* both processors run it */
    PVOID (*Allocate)(SIZE_T);          /* or: processor 0 allocates, 1 frees */
    VOID (*Free)(PVOID);
    SIZE_T Size;
    double Elapsed[2];
    volatile ULONG64 Written __attribute__((aligned(64)));
    volatile ULONG64 Read __attribute__((aligned(64)));
    PVOID Ring[BENCH_RING];
} BENCH_PAIR;

static VOID
BenchSame(ULONG Number, PVOID Context)
{
    BENCH_PAIR *Pair = Context;
    double Start = BenchNow(CLOCK_THREAD_CPUTIME_ID);

    Pair->Operation->Run(Pair->Operation->Rounds * 10ull);
    Pair->Elapsed[Number] = (BenchNow(CLOCK_THREAD_CPUTIME_ID) - Start) / ((double)Pair->Operation->Rounds * 10);
}

static VOID
BenchProduce(BENCH_PAIR *Pair)
{
    for (ULONG64 Index = 0; Index < BENCH_REMOTE_OBJECTS; Index++) {
        PUCHAR Object = Pair->Allocate(Pair->Size);

        *Object = 1;
        while (Index - __atomic_load_n(&Pair->Read, __ATOMIC_ACQUIRE) >= BENCH_RING) {
            HalPause();
        }
        Pair->Ring[Index % BENCH_RING] = Object;
        __atomic_store_n(&Pair->Written, Index + 1, __ATOMIC_RELEASE);
    }
}

static VOID
BenchConsume(BENCH_PAIR *Pair)
{
    ULONG64 Index = 0;

    while (Index < BENCH_REMOTE_OBJECTS) {
        ULONG64 Limit = __atomic_load_n(&Pair->Written, __ATOMIC_ACQUIRE);

        if (Limit == Index) {
            HalPause();
        }
        for (; Index < Limit; Index++) {
            Pair->Free(Pair->Ring[Index % BENCH_RING]);
        }
        __atomic_store_n(&Pair->Read, Index, __ATOMIC_RELEASE);
    }
}

/* What one allocates another frees: the time of both together for each object. */
static VOID
BenchRemote(ULONG Number, PVOID Context)
{
    BENCH_PAIR *Pair = Context;
    double Start = BenchNow(CLOCK_MONOTONIC);

    if (Number == 0) {
        BenchProduce(Pair);
    } else {
        BenchConsume(Pair);
    }
    Pair->Elapsed[Number] = (BenchNow(CLOCK_MONOTONIC) - Start) / BENCH_REMOTE_OBJECTS;
}

static double
BenchTimeTwo(BENCH_PAIR *Pair)
{
    double Trials[BENCH_TRIALS];

    for (ULONG Trial = 0; Trial < BENCH_TRIALS; Trial++) {
        Pair->Written = 0;
        Pair->Read = 0;
        HaltRunEverywhere(Pair->Operation != NULL ? BenchSame : BenchRemote, Pair);
        Trials[Trial] = Pair->Elapsed[0] > Pair->Elapsed[1] ? Pair->Elapsed[0] : Pair->Elapsed[1];
    }
    return BenchMedian(Trials);
}

static VOID
BenchTimeRemote(const char *Group, const char *Row, SIZE_T Size)
{
    BENCH_PAIR Ours = {.Allocate = BenchPoolAllocate, .Free = BenchPoolFree, .Size = Size};
    BENCH_PAIR Theirs = {.Allocate = BenchMallocAllocate, .Free = BenchMallocFree, .Size = Size};

    BenchPrint(Group, Row, "ntmm", BenchTimeTwo(&Ours));
    BenchPrint(Group, Row, BenchPeer, BenchTimeTwo(&Theirs));
}

static const BENCH_OPERATION *
BenchFind(const BENCH_OPERATION *Table, const char *Name)
{
    while (strcmp(Table->Name, Name) != 0) {
        Table++;
    }
    return Table;
}

static VOID
BenchTimeAll(const char *PoolGroup)
{
    BENCH_PAIR Hot = {.Operation = BenchFind(BenchFrameOperations, "hot get/put pair")};

    BenchTime("frames", BenchFrameOperations, NULL);
    BenchPrint("frames", "hot pair, two processors", "ntmm", BenchTimeTwo(&Hot));
    BenchTime(PoolGroup, BenchPoolOperations, BenchMallocOperations);
    BenchTimeRemote(PoolGroup, "2 threads, remote free, 64 B", 64);
    BenchTimeRemote(PoolGroup, "2 threads, remote free, 512 B", 512);
}

/* --- Counts ---------------------------------------------------------------------------------------- */

/* A dump named "group <tab> row <tab> who <tab> operations" holds the row's instructions and no others. */
static VOID
BenchCount(const char *Group, const BENCH_OPERATION *Operation, const char *Who)
{
    static char Label[160];

    for (; Operation->Name != NULL; Operation++) {
        snprintf(Label, sizeof(Label), "%s\t%s\t%s\t%llu", Group, Operation->Name, Who,
                 (ULONG64)Operation->CountedRounds * Operation->PerRound);
        for (ULONG Pass = 0; Pass < 2; Pass++) {
            if (Operation->Before != NULL) {
                Operation->Before();
            }
            if (Pass == 1) {
                CALLGRIND_TOGGLE_COLLECT;
            }
            Operation->Run(Operation->CountedRounds);
            if (Pass == 1) {
                CALLGRIND_TOGGLE_COLLECT;
                CALLGRIND_DUMP_STATS_AT(Label);
            }
            if (Operation->After != NULL) {
                Operation->After();
            }
        }
    }
}

/* --- Waste ----------------------------------------------------------------------------------------- */

/* Memory of the pools, or of the process, in bytes. */
static double
BenchMemory(BOOLEAN Ours)
{
    MI_POOL_USAGE Usage;
    unsigned long Pages = 0;
    FILE *File;

    if (Ours) {
        MiQueryPoolUsage(&Usage);
        return (double)(Usage.NonPagedPages + Usage.MetadataPages) * PAGE_SIZE;
    }
    File = fopen("/proc/self/statm", "r");
    if (File != NULL) {
        if (fscanf(File, "%*u %lu", &Pages) != 1) {
            Pages = 0;
        }
        fclose(File);
    }
    return (double)Pages * PAGE_SIZE;
}

/* So many objects that the pool's segments and the process's other pages hardly count. All are touched. */
static double
BenchWasteOf(SIZE_T Size, BOOLEAN Ours)
{
    PVOID (*Allocate)(SIZE_T) = Ours ? BenchPoolAllocate : BenchMallocAllocate;
    VOID (*Free)(PVOID) = Ours ? BenchPoolFree : BenchMallocFree;
    SIZE_T Count = BENCH_WASTE_BYTES / Size;
    PVOID *Objects = mmap(NULL, Count * sizeof(PVOID), PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    double Before;
    double After;

    Before = BenchMemory(Ours);
    for (SIZE_T Index = 0; Index < Count; Index++) {
        Objects[Index] = Allocate(Size);
        memset(Objects[Index], 1, Size);
    }
    After = BenchMemory(Ours);
    for (SIZE_T Index = Count; Index != 0; Index--) {
        Free(Objects[Index - 1]);
    }
    munmap(Objects, Count * sizeof(PVOID));
    return (After - Before) / (double)Count - (double)Size;
}

/* One size a process, so that nothing freed before is used again. */
static VOID
BenchWaste(SIZE_T Size)
{
    char Row[32];

    snprintf(Row, sizeof(Row), "%llu B", (ULONG64)Size);
    BenchPrint("waste", Row, "ntmm", BenchWasteOf(Size, TRUE));
    BenchPrint("waste", Row, BenchPeer, BenchWasteOf(Size, FALSE));
}

/* --- Start ----------------------------------------------------------------------------------------- */

static VOID
BenchStart(VOID)
{
    static PFN_NUMBER Frames[BENCH_TABLE_FRAMES];
    HALT_CONFIG Config = {.MemoryBytes = 16ull << 30, .Processors = 2, .Nodes = 1, .Seed = 1};

    KiLoaderBlock = HaltStart(&Config);
    MiInitializePhysical(KiLoaderBlock);
    HaltStartSpace();
    MiInitializePools(KiLoaderBlock);
    BenchPrepare(1, Frames, BENCH_TABLE_FRAMES);
}

int
main(int Count, char **Arguments)
{
    const char *Mode = Count > 1 ? Arguments[1] : "time";
    const char *Group;

    BenchPeer = getenv("BENCH_PEER") != NULL ? getenv("BENCH_PEER") : "malloc";
    MiPoolVerify = Count > 2 && strcmp(Arguments[2], "--verify") == 0;
    Group = MiPoolVerify ? "pools, verified" : "pools";
    BenchStart();
    if (strcmp(Mode, "time") == 0) {
        BenchTimeAll(Group);
    } else if (strcmp(Mode, "count") == 0) {
        BenchCount("frames", BenchFrameOperations, "ntmm");
        BenchCount(Group, BenchPoolOperations, "ntmm");
        BenchCount(Group, BenchMallocOperations, BenchPeer);
    } else if (strcmp(Mode, "waste") == 0 && Count > 2) {
        BenchWaste(strtoull(Arguments[2], NULL, 0));
    } else {
        fprintf(stderr, "usage: bench-threads time|count [--verify] | waste SIZE\n");
        return 2;
    }
    return 0;
}
