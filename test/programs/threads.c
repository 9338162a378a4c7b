/* Threads, events, stacks that grow, the heap, and a process that ends while threads run and wait. */
#include "program.h"

static HANDLE Event, Never;
static volatile U32 Counter;
static void *Heap;

static int
Deep(volatile char *Before, int Depth)
{
    volatile char Room[3000];

    Room[0] = (char)Depth;
    Room[2999] = Before == 0 ? 1 : Before[0];
    return Depth == 0 ? 1 : Deep(Room, Depth - 1) + (Room[0] == (char)Depth ? 1 : 0);
}

static NTSTATUS
Work(void *Argument)
{
    for (U32 Index = 0; Index < 1000; Index += 1) {
        void *Block = RtlAllocateHeap(Heap, 8, 16 + Index * 7 % 3000);

        *(volatile SIZE *)Block += Index;
        __atomic_fetch_add(&Counter, 1, __ATOMIC_SEQ_CST);
        RtlFreeHeap(Heap, 0, Block);
    }
    IS("deep in a thread", Deep(0, 150), 151);
    return (NTSTATUS)(SIZE)Argument;
}

static NTSTATUS
WaitForIt(void *Argument)
{
    (void)Argument;
    STATUS("event", NtWaitForSingleObject(Event, 0, 0), 0);
    __atomic_fetch_add(&Counter, 5, __ATOMIC_SEQ_CST);
    NtWaitForSingleObject(Never, 0, 0);
    DbgPrint("not ok: it came\n");
    return 0;
}

static NTSTATUS
Spin(void *Argument)
{
    (void)Argument;
    for (;;) {
        __atomic_fetch_add(&Counter, 1, __ATOMIC_SEQ_CST);
    }
    return 0;
}

void
NtProcessStartup(void **Peb)
{
    HANDLE Threads[4], Waiter;
    long long Interval = -10000 * 20;
    struct { NTSTATUS Exit; void *Teb; void *Id[2]; SIZE Affinity; int Priority, Base; } Basic;
    char *Block;

    Heap = Peb[6];
    STATUS("event", NtCreateEvent(&Event, 0x1F0003, 0, 1, 0), 0);
    STATUS("never", NtCreateEvent(&Never, 0x1F0003, 0, 1, 0), 0);
    for (U32 Index = 0; Index < 4; Index += 1) {
        STATUS("thread", RtlCreateUserThread(PROCESS, 0, 0, 0, 0, 0, Work, (void *)(SIZE)(Index + 10), &Threads[Index], 0), 0);
    }
    for (U32 Index = 0; Index < 4; Index += 1) {
        STATUS("end", NtWaitForSingleObject(Threads[Index], 0, 0), 0);
        STATUS("ask", NtQueryInformationThread(Threads[Index], 0, &Basic, sizeof(Basic), 0), 0);
        IS("its status", Basic.Exit, Index + 10);
        STATUS("close", NtClose(Threads[Index]), 0);
    }
    IS("all of it", Counter, 4000);
    STATUS("closed", NtClose(Threads[0]), 0xC0000008);
    IS("heap", RtlValidateHeap(Heap, 0, 0), 1);
    Block = RtlAllocateHeap(Heap, 0, 3000000);
    Block[2999999] = 9;
    IS("large", RtlSizeHeap(Heap, 0, Block), 3000000);
    Block = RtlReAllocateHeap(Heap, 0, Block, 100);
    IS("smaller", RtlSizeHeap(Heap, 0, Block), 100);
    IS("free", RtlFreeHeap(Heap, 0, Block), 1);
    IS("deep", Deep(0, 200), 201);
    STATUS("waiter", RtlCreateUserThread(PROCESS, 0, 0, 0, 0, 0, WaitForIt, 0, &Waiter, 0), 0);
    STATUS("delay", NtDelayExecution(0, &Interval), 0);
    STATUS("not yet", NtWaitForSingleObject(Waiter, 0, &(long long){0}), 0x102);
    STATUS("set", NtSetEvent(Event, 0), 0);
    STATUS("delay", NtDelayExecution(0, &Interval), 0);
    IS("it came", Counter, 4005);
    STATUS("spinner", RtlCreateUserThread(PROCESS, 0, 0, 0, 0, 0, Spin, 0, 0, 0), 0);
    STATUS("delay", NtDelayExecution(0, &Interval), 0);
    DbgPrint("threads: done\n");
    NtTerminateProcess(PROCESS, 0); /* with one thread waiting and one spinning */
}
