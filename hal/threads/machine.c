/*
 * The threads plug's machine: RAM in a memory file, direct map, frame records, processors. Hosted
 * C.
 */
#include <asm/prctl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "threads.h"

#define HALT_LOW_END 0x9Full        /* PC-like: a hole from 636 KB to 1 MB */
#define HALT_HIGH_START 0x100ull
#define HALT_GROWTH_FRAMES 0x40000ull   /* room for memory added while running: 1 GB */

ULONG_PTR HalDirectMapBase;
int HaltMemoryFile;

static HAL_LOADER_BLOCK HaltLoaderBlock;
static PKPCR HaltPcrs[HAL_MAXIMUM_PROCESSORS];
static ULONG HaltProcessors;
static ULONG64 HaltRandomState;
static PFN_NUMBER HaltFrameLimit;

static _Noreturn void
HaltDie(const char *What)
{
    perror(What);
    exit(99);
}

static void *
HaltReserve(size_t Bytes, int Fd)
{
    void *Address = mmap(NULL, Bytes, PROT_READ | PROT_WRITE,
                         (Fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED) | MAP_NORESERVE, Fd,
    0);

    if (Address == MAP_FAILED) {
        HaltDie("mmap");
    }
    return Address;
}

/* --- Memory map ------------------------------------------------------------------------------- */

static void
HaltAddRun(PFN_NUMBER Base, PFN_NUMBER End, HAL_MEMORY_TYPE Type, ULONG Node)
{
    HAL_MEMORY_RUN *Run = &HaltLoaderBlock.Runs[HaltLoaderBlock.RunCount++];

    Run->BasePage = Base;
    Run->PageCount = End - Base;
    Run->Type = Type;
    Run->Node = Node;
}

/*
 * Low memory, and the rest above 1 MB in one piece per node; the last pages stand for the kernel's
 * own.
 */
static void
HaltMakeRuns(const HALT_CONFIG *Config, PFN_NUMBER End)
{
    HAL_MEMORY_TYPE Type = Config->Dirty ? HalMemoryFree : HalMemoryZero;
    PFN_NUMBER Each = (End - HALT_HIGH_START) / Config->Nodes;
    PFN_NUMBER Base = HALT_HIGH_START;

    HaltAddRun(1, HALT_LOW_END, Type, 0);
    for (ULONG Node = 0; Node < Config->Nodes; Node++) {
        PFN_NUMBER Next = Node + 1 == Config->Nodes ? End - 16 : Base + Each;

        HaltAddRun(Base, Next, Type, Node);
        Base = Next;
    }
    HaltAddRun(End - 16, End, HalMemoryPermanent, Config->Nodes - 1);
}

static void
HaltMakeProcessors(const HALT_CONFIG *Config)
{
    HaltProcessors = Config->Processors;
    for (ULONG Number = 0; Number < Config->Processors; Number++) {
        PKPCR Pcr = aligned_alloc(64, (sizeof(KPCR) + 63) & ~63ull);

        memset(Pcr, 0, sizeof(*Pcr));
        Pcr->Self = Pcr;
        Pcr->Number = Number;
        Pcr->LegacyNumber = (UCHAR)Number;
        Pcr->Node = Number % Config->Nodes;
        HaltPcrs[Number] = Pcr;
    }
}

static void
HaltBecomeProcessor(ULONG Number)
{
    if (syscall(SYS_arch_prctl, ARCH_SET_GS, (unsigned long)HaltPcrs[Number]) != 0) {
        HaltDie("arch_prctl");
    }
}

PHAL_LOADER_BLOCK
HaltStart(const HALT_CONFIG *Config)
{
    PFN_NUMBER End = HALT_HIGH_START + Config->MemoryBytes / PAGE_SIZE;
    int Fd = memfd_create("ram", MFD_CLOEXEC);

    HaltMemoryFile = Fd;
    HaltFrameLimit = End + HALT_GROWTH_FRAMES;
    if (Fd < 0 || ftruncate(Fd, (off_t)(HaltFrameLimit * PAGE_SIZE)) != 0) {
        HaltDie("memfd");
    }
    HalDirectMapBase = (ULONG_PTR)HaltReserve(HaltFrameLimit * PAGE_SIZE, Fd);
    HaltLoaderBlock.PfnDatabase = (ULONG_PTR)HaltReserve(HaltFrameLimit * 32, -1);
    if (Config->Dirty) {
        memset((void *)HaltLoaderBlock.PfnDatabase, 0xA5, End * 32);
        memset((void *)HalDirectMapBase, 0xA5, End * PAGE_SIZE);
    }
    HaltRandomState = Config->Seed;
    HaltMakeRuns(Config, End);
    HaltMakeProcessors(Config);
    HaltBecomeProcessor(0);
    HaltLoaderBlock.Seed = Config->Seed;
    HaltLoaderBlock.MemoryBytes = Config->MemoryBytes;
    HaltLoaderBlock.MachineName = "threads";
    HaltLoaderBlock.Isolation = "none";
    return &HaltLoaderBlock;
}

/* --- What the core calls ---------------------------------------------------------------------- */

ULONG
HalProcessorCount(VOID)
{
    return HaltProcessors;
}

PKPCR
HalProcessorPcr(ULONG Number)
{
    return HaltPcrs[Number];
}

VOID
HalPause(VOID)
{
    static __thread ULONG Spins;

    __asm__ volatile("pause");
    if (++Spins % 64 == 0) {
        sched_yield();
    }
}

ULONG64
HalRandom(VOID)
{
    ULONG64 Value = __atomic_add_fetch(&HaltRandomState, 0x9E3779B97F4A7C15ull, __ATOMIC_RELAXED);

    Value = (Value ^ (Value >> 30)) * 0xBF58476D1CE4E5B9ull;
    Value = (Value ^ (Value >> 27)) * 0x94D049BB133111EBull;
    return Value ^ (Value >> 31);
}

VOID
HalPutDiagnostic(const char *Text, SIZE_T Length)
{
    fwrite(Text, 1, Length, stderr);
}

VOID
HalPutConsole(const char *Text, SIZE_T Length)
{
    fwrite(Text, 1, Length, stdout);
}

/* Records behind the memory of the start were never touched, so they read as zero. */
NTSTATUS
HalExtendPermanentMaps(PFN_NUMBER BasePage, PFN_NUMBER PageCount)
{
    return BasePage + PageCount <= HaltFrameLimit ? STATUS_SUCCESS : STATUS_NOT_SUPPORTED;
}

/* --- Processors ------------------------------------------------------------------------------- */

typedef struct _HALT_JOB {
    ULONG Number;
    VOID (*Routine)(ULONG, PVOID);
    PVOID Context;
    pthread_barrier_t *Barrier;
} HALT_JOB;

static void *
HaltProcessorMain(void *Argument)
{
    HALT_JOB *Job = Argument;

    HaltBecomeProcessor(Job->Number);
    pthread_barrier_wait(Job->Barrier);
    Job->Routine(Job->Number, Job->Context);
    return NULL;
}

VOID
HaltRunEverywhere(VOID (*Routine)(ULONG, PVOID), PVOID Context)
{
    pthread_t Threads[HAL_MAXIMUM_PROCESSORS];
    HALT_JOB Jobs[HAL_MAXIMUM_PROCESSORS];
    pthread_barrier_t Barrier;

    pthread_barrier_init(&Barrier, NULL, HaltProcessors);
    for (ULONG Number = 0; Number < HaltProcessors; Number++) {
        Jobs[Number] = (HALT_JOB){Number, Routine, Context, &Barrier};
        if (Number != 0 &&
            pthread_create(&Threads[Number], NULL, HaltProcessorMain, &Jobs[Number]) != 0) {
            HaltDie("pthread_create");
        }
    }
    HaltProcessorMain(&Jobs[0]);
    for (ULONG Number = 1; Number < HaltProcessors; Number++) {
        pthread_join(Threads[Number], NULL);
    }
    pthread_barrier_destroy(&Barrier);
}
