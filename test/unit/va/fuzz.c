/*
 * The services against a model: random sequences by three threads in two processes, each in an arena of its own, so that
 * it can say after every step what each of its pages must be while the others change the same address space and the same
 * page tables. What the model holds of a page is what a program can know of it. Everything follows from the seed.
 */
#include "vatest.h"
#include <rtl/rtl.h>

#define FUZZ_PAGES   112u /* seven slots */
#define FUZZ_STEPS   500u
#define FUZZ_BASE    0x2000003F0000ull /* so that the arenas share a table, and one has two */
#define FUZZ_WORKERS 3u

typedef enum _FUZZ_STATE { FuzzFree, FuzzReserved, FuzzCommitted } FUZZ_STATE;

typedef struct _FUZZ_PAGE {
    FUZZ_STATE State;
    ULONG Region;  /* page of the arena where the region begins */
    ULONG Initial; /* protection of the region when it was reserved */
    ULONG Protect;
    UCHAR Byte;
} FUZZ_PAGE;

typedef struct _FUZZ_WORKER {
    PEPROCESS Process;
    ULONG_PTR Base;
    ULONG64 Random;
    ULONG Failures;
    ULONG Step;
    FUZZ_PAGE Pages[FUZZ_PAGES];
} FUZZ_WORKER, *PFUZZ_WORKER;

static const ULONG FuzzProtections[] = {PAGE_READWRITE,         PAGE_READONLY,     PAGE_NOACCESS,
                                        PAGE_EXECUTE_READWRITE, PAGE_EXECUTE_READ, PAGE_READWRITE | PAGE_GUARD,
                                        PAGE_READONLY | PAGE_GUARD};

static ULONG
FuzzDraw(PFUZZ_WORKER Worker, ULONG Bound)
{
    Worker->Random = Worker->Random * 6364136223846793005ull + 1442695040888963407ull;
    return (ULONG)((Worker->Random >> 33) % Bound);
}

static VOID
FuzzExpect(PFUZZ_WORKER Worker, const char *What, ULONG Page, ULONG64 Actual, ULONG64 Expected)
{
    if (Actual != Expected) {
        Worker->Failures += 1;
        if (Worker->Failures < 6) {
            KTestNote("step %u, %s, page %u: got 0x%I64x, expected 0x%I64x", Worker->Step, What, Page, Actual,
                      Expected);
        }
    }
}

static ULONG
FuzzRegionEnd(const FUZZ_WORKER *Worker, ULONG Page)
{
    ULONG End = Page;

    while (End < FUZZ_PAGES && Worker->Pages[End].State != FuzzFree &&
           Worker->Pages[End].Region == Worker->Pages[Page].Region) {
        End += 1;
    }
    return End;
}

/* --- Steps ------------------------------------------------------------------------------------ */

static VOID
FuzzReserve(PFUZZ_WORKER Worker, ULONG First, ULONG Count, ULONG Protect, BOOLEAN Commit)
{
    ULONG Start = First & ~15u, End = First + Count;
    NTSTATUS Expected = STATUS_SUCCESS, Status;
    PVOID Base = (PVOID)(Worker->Base + (ULONG64)First * PAGE_SIZE);

    for (ULONG Page = Start; Page < MIN((End + 15) & ~15u, FUZZ_PAGES); Page += 1) {
        if (Worker->Pages[Page].State != FuzzFree) {
            Expected = STATUS_CONFLICTING_ADDRESSES;
        }
    }
    Status = VaAllocate(&Base, (ULONG64)Count * PAGE_SIZE, MEM_RESERVE | (Commit ? MEM_COMMIT : 0), Protect);
    FuzzExpect(Worker, "reserve", First, (ULONG)Status, (ULONG)Expected);
    for (ULONG Page = Start; NT_SUCCESS(Expected) && Page < End; Page += 1) {
        Worker->Pages[Page] = (FUZZ_PAGE){Commit ? FuzzCommitted : FuzzReserved, Start, Protect, Protect, 0};
    }
}

/* STATUS_SUCCESS if the pages lie in one region. */
static NTSTATUS
FuzzInRegion(const FUZZ_WORKER *Worker, ULONG First, ULONG Count, NTSTATUS Otherwise)
{
    if (Worker->Pages[First].State == FuzzFree || First + Count > FuzzRegionEnd(Worker, First)) {
        return Otherwise;
    }
    return STATUS_SUCCESS;
}

static VOID
FuzzCommit(PFUZZ_WORKER Worker, ULONG First, ULONG Count, ULONG Protect)
{
    NTSTATUS Expected = FuzzInRegion(Worker, First, Count, STATUS_CONFLICTING_ADDRESSES);
    PVOID Base = (PVOID)(Worker->Base + (ULONG64)First * PAGE_SIZE);

    FuzzExpect(Worker, "commit", First, (ULONG)VaAllocate(&Base, (ULONG64)Count * PAGE_SIZE, MEM_COMMIT, Protect),
               (ULONG)Expected);
    for (ULONG Page = First; NT_SUCCESS(Expected) && Page < First + Count; Page += 1) {
        Worker->Pages[Page].State = FuzzCommitted;
        Worker->Pages[Page].Protect = Protect;
    }
}

static VOID
FuzzFreePages(PFUZZ_WORKER Worker, ULONG First, ULONG Count, ULONG Type)
{
    NTSTATUS Expected = FuzzInRegion(Worker, First, Count, STATUS_UNABLE_TO_FREE_VM);
    ULONG Region = Worker->Pages[First].Region, End = First + Count;

    if (Worker->Pages[First].State == FuzzFree) {
        Expected = STATUS_MEMORY_NOT_ALLOCATED;
    } else if (Count == 0) {
        Expected = First == Region ? STATUS_SUCCESS : STATUS_FREE_VM_NOT_AT_BASE;
        End = FuzzRegionEnd(Worker, First);
    }
    FuzzExpect(Worker, Type == MEM_RELEASE ? "release" : "decommit", First,
               (ULONG)VaFree((PVOID)(Worker->Base + (ULONG64)First * PAGE_SIZE), (ULONG64)Count * PAGE_SIZE, Type),
               (ULONG)Expected);
    if (!NT_SUCCESS(Expected)) {
        return;
    }
    for (ULONG Page = First; Page < End; Page += 1) {
        Worker->Pages[Page].State = Type == MEM_RELEASE ? FuzzFree : FuzzReserved;
        Worker->Pages[Page].Byte = 0;
    }
    for (ULONG Page = End; Type == MEM_RELEASE && Page < FUZZ_PAGES && Worker->Pages[Page].State != FuzzFree &&
                           Worker->Pages[Page].Region == Region;
         Page += 1) {
        Worker->Pages[Page].Region = End;
    }
}

static VOID
FuzzProtect(PFUZZ_WORKER Worker, ULONG First, ULONG Count, ULONG Protect)
{
    NTSTATUS Expected = FuzzInRegion(Worker, First, Count, STATUS_CONFLICTING_ADDRESSES);
    ULONG Old = 0;

    for (ULONG Page = First; NT_SUCCESS(Expected) && Page < First + Count; Page += 1) {
        if (Worker->Pages[Page].State != FuzzCommitted) {
            Expected = STATUS_NOT_COMMITTED;
        }
    }
    FuzzExpect(
        Worker, "protect", First,
        (ULONG)VaProtect((PVOID)(Worker->Base + (ULONG64)First * PAGE_SIZE), (ULONG64)Count * PAGE_SIZE, Protect, &Old),
        (ULONG)Expected);
    if (NT_SUCCESS(Expected)) {
        FuzzExpect(Worker, "old protection", First, Old, Worker->Pages[First].Protect);
        for (ULONG Page = First; Page < First + Count; Page += 1) {
            Worker->Pages[Page].Protect = Protect;
        }
    }
}

static VOID
FuzzTouch(PFUZZ_WORKER Worker, ULONG Page, BOOLEAN Write)
{
    volatile UCHAR *Byte = (volatile UCHAR *)(Worker->Base + (ULONG64)Page * PAGE_SIZE + 77);
    FUZZ_PAGE *Model = &Worker->Pages[Page];
    ULONG Rights = Model->Protect & ~(ULONG)PAGE_GUARD;
    NTSTATUS Expected = STATUS_SUCCESS;

    if (Model->State != FuzzCommitted || Rights == PAGE_NOACCESS) {
        Expected = STATUS_ACCESS_VIOLATION;
    } else if (Model->Protect & PAGE_GUARD) {
        Expected = STATUS_GUARD_PAGE_VIOLATION;
        Model->Protect = Rights;
    } else if (Write && Rights != PAGE_READWRITE && Rights != PAGE_EXECUTE_READWRITE) {
        Expected = STATUS_ACCESS_VIOLATION;
    }
    FuzzExpect(Worker, "touch", Page, (ULONG)VaTouch((PVOID)Byte, Write), (ULONG)Expected);
    if (!NT_SUCCESS(Expected) || Worker->Failures != 0) {
        return;
    }
    if (Write) {
        Model->Byte = (UCHAR)FuzzDraw(Worker, 256);
        *Byte = Model->Byte;
    } else {
        FuzzExpect(Worker, "contents", Page, *Byte, Model->Byte);
    }
}

static VOID
FuzzStep(PFUZZ_WORKER Worker)
{
    ULONG Kind = FuzzDraw(Worker, 16), First = FuzzDraw(Worker, FUZZ_PAGES);
    ULONG Count = 1 + FuzzDraw(Worker, MIN(24, FUZZ_PAGES - First));
    ULONG Protect = FuzzProtections[FuzzDraw(Worker, ARRAYSIZE(FuzzProtections))];

    switch (Kind) {
    case 0:
    case 1:
    case 2:
        FuzzReserve(Worker, First, Count, Protect, Kind != 0);
        break;
    case 3:
    case 4:
        FuzzCommit(Worker, First, Count, Protect);
        break;
    case 5:
        FuzzFreePages(Worker, First, FuzzDraw(Worker, 4) == 0 ? 0 : Count, MEM_DECOMMIT);
        break;
    case 6:
        FuzzFreePages(Worker, First, FuzzDraw(Worker, 2) == 0 ? 0 : Count, MEM_RELEASE);
        break;
    case 7:
        FuzzFreePages(Worker, Worker->Pages[First].Region, 0, FuzzDraw(Worker, 2) == 0 ? MEM_RELEASE : MEM_DECOMMIT);
        break;
    case 8:
    case 9:
        FuzzProtect(Worker, First, Count, Protect);
        break;
    default:
        FuzzTouch(Worker, First, Kind % 2 == 0);
        break;
    }
}

/* --- Comparing -------------------------------------------------------------------------------- */

static BOOLEAN
FuzzSame(const FUZZ_PAGE *One, const FUZZ_PAGE *Other)
{
    if (One->State != Other->State) {
        return FALSE;
    }
    if (One->State == FuzzFree) {
        return TRUE;
    }
    return One->Region == Other->Region && (One->State == FuzzReserved || One->Protect == Other->Protect);
}

static VOID
FuzzCompareRun(PFUZZ_WORKER Worker, ULONG Page, ULONG End)
{
    static const ULONG States[] = {MEM_FREE, MEM_RESERVE, MEM_COMMIT};
    MEMORY_BASIC_INFORMATION Answer = VaQuery((PVOID)(Worker->Base + (ULONG64)Page * PAGE_SIZE));
    const FUZZ_PAGE *Model = &Worker->Pages[Page];

    FuzzExpect(Worker, "state", Page, Answer.State, States[Model->State]);
    if (Model->State != FuzzFree || End < FUZZ_PAGES) {
        FuzzExpect(Worker, "size", Page, Answer.RegionSize, (ULONG64)(End - Page) * PAGE_SIZE);
    }
    if (Model->State == FuzzFree) {
        return;
    }
    FuzzExpect(Worker, "base", Page, (ULONG_PTR)Answer.AllocationBase,
               Worker->Base + (ULONG64)Model->Region * PAGE_SIZE);
    FuzzExpect(Worker, "first protection", Page, Answer.AllocationProtect, Model->Initial);
    FuzzExpect(Worker, "protection", Page, Answer.Protect, Model->State == FuzzCommitted ? Model->Protect : 0);
}

static VOID
FuzzCompare(PFUZZ_WORKER Worker)
{
    ULONG End;

    for (ULONG Page = 0; Page < FUZZ_PAGES; Page = End) {
        for (End = Page + 1; End < FUZZ_PAGES && FuzzSame(&Worker->Pages[Page], &Worker->Pages[End]); End += 1) {
        }
        FuzzCompareRun(Worker, Page, End);
    }
}

static VOID NTAPI
FuzzThread(PVOID Context)
{
    PFUZZ_WORKER Worker = Context;

    for (Worker->Step = 0; Worker->Step < FUZZ_STEPS && Worker->Failures == 0; Worker->Step += 1) {
        FuzzStep(Worker);
        FuzzCompare(Worker);
    }
    for (ULONG Page = 0; Page < FUZZ_PAGES && Worker->Failures == 0; Page += 1) {
        FuzzTouch(Worker, Page, FALSE);
    }
}

KTEST(VirtualFuzzAgainstModel)
{
    FUZZ_WORKER *Workers = ExAllocatePool2(POOL_FLAG_NON_PAGED, FUZZ_WORKERS * sizeof(FUZZ_WORKER), 'zzuF');
    PEPROCESS Processes[2] = {VaMakeProcess(), VaMakeProcess()};
    PKTHREAD Threads[FUZZ_WORKERS];

    REQUIRE(Workers != NULL && Processes[0] != NULL && Processes[1] != NULL);
    for (ULONG Index = 0; Index < FUZZ_WORKERS; Index += 1) {
        Workers[Index].Process = Processes[Index % 2];
        Workers[Index].Base = FUZZ_BASE + (Index / 2) * (FUZZ_PAGES + 16ull) * PAGE_SIZE;
        Workers[Index].Random = HalRandom();
        CHECK_STATUS(STATUS_SUCCESS, PsCreateProcessThread(Workers[Index].Process, FuzzThread, &Workers[Index], 8,
                                                           &Threads[Index]));
    }
    for (ULONG Index = 0; Index < FUZZ_WORKERS; Index += 1) {
        KeWaitForSingleObject(Threads[Index], Executive, KernelMode, FALSE, NULL);
        ObDereferenceObject(Threads[Index]);
        CHECK_EQ(Workers[Index].Failures, 0);
        CHECK_EQ(Workers[Index].Step, FUZZ_STEPS);
    }
    ExFreePool(Workers);
    for (ULONG Index = 0; Index < 2; Index += 1) {
        KeWaitForSingleObject(Processes[Index], Executive, KernelMode, FALSE, NULL);
        ObDereferenceObject(Processes[Index]);
    }
}
