/*
 * inline.c - runs what our headers define inline, in an ordinary process with sanitizers: lists,
 * interlocked operations, page and MDL arithmetic, volatile copies, IRP stack locations. Prints
 * one line per failure and their number; exits 1 if there is one.
 */
#include <ntifs.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static int Failures;

#define CHECK(e)                                                                                   \
    do {                                                                                           \
        if (!(e)) {                                                                                \
            printf("inline.c:%d: %s\n", __LINE__, #e);                                             \
            Failures += 1;                                                                         \
        }                                                                                          \
    } while (0)

static PVOID LastUnmapped;
static ULONG MapCalls;

/* What the inline routines call. */
PVOID NTAPI
MmMapLockedPagesSpecifyCache(PMDL Mdl, KPROCESSOR_MODE Mode, MEMORY_CACHING_TYPE Type, PVOID Address,
                             ULONG BugCheckOnFailure, ULONG Priority)
{
    MapCalls += 1;
    CHECK(Mode == KernelMode && Type == MmCached && Address == NULL && BugCheckOnFailure == FALSE);
    CHECK(Priority == (HighPagePriority | MdlMappingNoWrite));
    return Mdl;
}

PVOID NTAPI
MmMapLockedPages(PMDL Mdl, KPROCESSOR_MODE Mode)
{
    MapCalls += 1;
    CHECK(Mode == KernelMode);
    return Mdl;
}

VOID NTAPI
MmUnmapLockedPages(PVOID Address, PMDL Mdl)
{
    (void)Mdl;
    LastUnmapped = Address;
}

static PVOID PoolResult = &MapCalls;
static POOL_TYPE PoolTypeSeen;
PVOID NTAPI
ExAllocatePoolWithTag(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag)
{
    CHECK(NumberOfBytes == 24 && Tag == 'abcd');
    PoolTypeSeen = PoolType;
    return PoolResult;
}

/* TRUE if Routine ends in a fast fail (int 29h is a fault in a process). */
static int
FailsFast(void (*Routine)(void))
{
    int Status;
    pid_t Child = fork();

    if (Child == 0) {
        signal(SIGSEGV, SIG_DFL);
        Routine();
        _exit(0);
    }
    waitpid(Child, &Status, 0);
    return WIFSIGNALED(Status) && WTERMSIG(Status) == SIGSEGV;
}

static LIST_ENTRY Head, A, B, C;

static void
Build(void)
{
    InitializeListHead(&Head);
    InsertTailList(&Head, &B);
    InsertTailList(&Head, &C);
    InsertHeadList(&Head, &A);
}

static void
RemoveTwice(void)
{
    Build();
    RemoveEntryList(&B);
    RemoveEntryList(&B);
}

static void
InsertAtDamagedTail(void)
{
    LIST_ENTRY Other;

    Build();
    C.Flink = &A;
    InsertTailList(&Head, &Other);
}

static void
InsertAtDamagedHead(void)
{
    LIST_ENTRY Other;

    Build();
    A.Blink = &C;
    InsertHeadList(&Head, &Other);
}

static void
RemoveDamagedHead(void)
{
    Build();
    B.Blink = &C;
    RemoveHeadList(&Head);
}

static void
RemoveDamagedTail(void)
{
    Build();
    B.Flink = &A;
    RemoveTailList(&Head);
}

static void
TestLists(void)
{
    LIST_ENTRY Ring, D;
    SINGLE_LIST_ENTRY Single = {NULL}, S1, S2;

    InitializeListHead(&Head);
    CHECK(IsListEmpty(&Head));
    CHECK(RemoveHeadList(&Head) == &Head && RemoveTailList(&Head) == &Head);
    Build();
    CHECK(!IsListEmpty(&Head));
    CHECK(Head.Flink == &A && A.Flink == &B && B.Flink == &C && C.Flink == &Head);
    CHECK(Head.Blink == &C && C.Blink == &B && B.Blink == &A && A.Blink == &Head);
    CHECK(RemoveTailList(&Head) == &C);
    CHECK(RemoveEntryList(&A) == FALSE);
    CHECK(RemoveEntryList(&B) == TRUE);
    CHECK(IsListEmpty(&Head));
    Build();
    InitializeListHead(&Ring);
    InsertTailList(&Ring, &D);
    RemoveEntryList(&Ring);
    InitializeListHead(&D);
    AppendTailList(&Head, &D);
    CHECK(Head.Blink == &D && C.Flink == &D && D.Blink == &C && D.Flink == &Head);
    CHECK(RemoveHeadList(&Head) == &A);
    PushEntryList(&Single, &S1);
    PushEntryList(&Single, &S2);
    CHECK(PopEntryList(&Single) == &S2 && PopEntryList(&Single) == &S1);
    CHECK(PopEntryList(&Single) == NULL);
    CHECK(FailsFast(RemoveTwice));
    CHECK(FailsFast(InsertAtDamagedTail));
    CHECK(FailsFast(InsertAtDamagedHead));
    CHECK(FailsFast(RemoveDamagedHead));
    CHECK(FailsFast(RemoveDamagedTail));
    CHECK(!FailsFast(Build));
}

static void
TestInterlocked(void)
{
    LONG volatile L = 5;
    LONG64 volatile Q = 5;
    SHORT volatile W = 0x7fff;
    CHAR volatile Y = 1;
    PVOID volatile P = &Head;
    LONG64 volatile Pair[2] __attribute__((aligned(16))) = {1, 2};
    LONG64 Expected[2] = {1, 3};
    LONG volatile Bits[2] = {0, 0};

    CHECK(InterlockedIncrement(&L) == 6 && InterlockedDecrement(&L) == 5);
    CHECK(InterlockedExchange(&L, 9) == 5 && InterlockedExchangeAdd(&L, 2) == 9 && L == 11);
    CHECK(InterlockedAdd(&L, -1) == 10);
    CHECK(InterlockedAnd(&L, 2) == 10 && InterlockedOr(&L, 5) == 2 && InterlockedXor(&L, 1) == 7);
    CHECK(InterlockedCompareExchange(&L, 1, 5) == 6 && L == 6);
    CHECK(InterlockedCompareExchange(&L, 1, 6) == 6 && L == 1);
    CHECK(InterlockedIncrement64(&Q) == 6 && InterlockedAdd64(&Q, 1ll << 40) == (1ll << 40) + 6);
    CHECK(InterlockedCompareExchange64(&Q, 0, (1ll << 40) + 6) == (1ll << 40) + 6 && Q == 0);
    CHECK(InterlockedIncrement16(&W) == -0x8000);
    CHECK(InterlockedExchange8(&Y, 3) == 1);
    CHECK(InterlockedExchangePointer(&P, &A) == &Head);
    CHECK(InterlockedCompareExchangePointer(&P, &B, &C) == &A && P == &A);
    CHECK(InterlockedCompareExchangePointer(&P, &B, &A) == &A && P == &B);
    CHECK(InterlockedCompareExchange128(Pair, 8, 7, Expected) == 0);
    CHECK(Expected[0] == 1 && Expected[1] == 2 && Pair[0] == 1);
    CHECK(InterlockedCompareExchange128(Pair, 8, 7, Expected) == 1);
    CHECK(Pair[0] == 7 && Pair[1] == 8);
    CHECK(InterlockedBitTestAndSet(Bits, 33) == 0 && Bits[1] == 2);
    CHECK(InterlockedBitTestAndSet(Bits, 33) == 1);
    CHECK(InterlockedBitTestAndReset(Bits, 33) == 1 && Bits[1] == 0);
    CHECK(InterlockedBitTestAndSet(Bits, 31) == 0 && (ULONG)Bits[0] == MINLONG);
}

static void
TestMdls(void)
{
    struct {
        MDL Mdl;
        PFN_NUMBER Pages[4];
    } M;
    PMDL Mdl = &M.Mdl;

    MmInitializeMdl(Mdl, (PVOID)0x12345ffe, 0x2003);
    CHECK(Mdl->StartVa == (PVOID)0x12345000 && Mdl->ByteOffset == 0xffe);
    CHECK(Mdl->Size == sizeof(MDL) + 4 * 8 && Mdl->MdlFlags == 0 && Mdl->Next == NULL);
    CHECK(MmGetMdlVirtualAddress(Mdl) == (PVOID)0x12345ffe && MmGetMdlByteCount(Mdl) == 0x2003);
    CHECK((PVOID)MmGetMdlPfnArray(Mdl) == (PVOID)M.Pages);
    CHECK(ADDRESS_AND_SIZE_TO_SPAN_PAGES((PVOID)~0xfffull, 0xffffffffull) == 0x100000);
    Mdl->MappedSystemVa = &Head;
    Mdl->MdlFlags = MDL_SOURCE_IS_NONPAGED_POOL;
    CHECK(MmGetSystemAddressForMdlSafe(Mdl, 0) == &Head && MapCalls == 0);
    Mdl->MdlFlags = MDL_MAPPED_TO_SYSTEM_VA | MDL_PAGES_LOCKED;
    CHECK(MmGetSystemAddressForMdlSafe(Mdl, 0) == &Head && MmGetSystemAddressForMdl(Mdl) == &Head);
    MmPrepareMdlForReuse(Mdl);
    CHECK(MapCalls == 0 && LastUnmapped == NULL);
    Mdl->MdlFlags = MDL_PAGES_LOCKED;
    CHECK(MmGetSystemAddressForMdlSafe(Mdl, HighPagePriority | MdlMappingNoWrite) == Mdl);
    CHECK(MmGetSystemAddressForMdl(Mdl) == Mdl && MapCalls == 2);
    Mdl->MdlFlags = MDL_PARTIAL | MDL_PARTIAL_HAS_BEEN_MAPPED;
    MmPrepareMdlForReuse(Mdl);
    CHECK(LastUnmapped == &Head);
    CHECK(ExAllocatePoolZero(PagedPool, 24, 'abcd') == &MapCalls);
    CHECK((ULONG)PoolTypeSeen == (PagedPool | POOL_ZERO_ALLOCATION));
    CHECK(ExAllocatePoolUninitialized(NonPagedPoolNx, 24, 'abcd') == &MapCalls);
    CHECK(PoolTypeSeen == NonPagedPoolNx);
}

static void
TestMemory(void)
{
    UCHAR Bytes[16] = {1, 2, 3, 4, 5, 6, 7, 8};
    ULONGLONG Words[3] = {0, 0, 9};

    RtlMoveVolatileMemory(Bytes + 2, Bytes, 6);
    CHECK(Bytes[2] == 1 && Bytes[7] == 6 && Bytes[8] == 0);
    RtlMoveVolatileMemory(Bytes, Bytes + 2, 6);
    CHECK(Bytes[0] == 1 && Bytes[5] == 6 && Bytes[6] == 5);
    RtlCopyVolatileMemory(Bytes + 8, Bytes, 8);
    CHECK(RtlEqualVolatileMemory(Bytes, Bytes + 8, 8) == TRUE);
    RtlFillVolatileMemory(Bytes + 8, 1, 0xee);
    CHECK(RtlEqualVolatileMemory(Bytes, Bytes + 8, 8) == FALSE && Bytes[8] == 0xee);
    CHECK(RtlEqualMemory(Bytes, Bytes, 16) && !RtlEqualMemory(Bytes, Bytes + 1, 4));
    CHECK(RtlSecureZeroMemory(Bytes, 16) == (PVOID)Bytes && Bytes[8] == 0);
    RtlFillMemory(Bytes, 2, 0x11);
    CHECK(Bytes[1] == 0x11 && Bytes[2] == 0);
    RtlFillMemoryUlonglong(Words, 16, 0x0102030405060708ull);
    CHECK(Words[1] == 0x0102030405060708ull && Words[2] == 9);
    CHECK(RtlUlongByteSwap(0x01020304) == 0x04030201 && RtlUshortByteSwap(0x0102) == 0x0201);
    CHECK(RtlUlonglongByteSwap(1) == 1ull << 56);
}

static void
TestIrps(void)
{
    struct {
        IRP Irp;
        IO_STACK_LOCATION Locations[3];
    } I = {0};
    PIRP Irp = &I.Irp;

    Irp->CurrentLocation = 2;
    Irp->Tail.Overlay.CurrentStackLocation = &I.Locations[1];
    CHECK(IoGetCurrentIrpStackLocation(Irp) == &I.Locations[1]);
    CHECK(IoGetNextIrpStackLocation(Irp) == &I.Locations[0]);
    I.Locations[1].MajorFunction = IRP_MJ_READ;
    I.Locations[1].Context = Irp;
    I.Locations[0].Control = 0xff;
    IoCopyCurrentIrpStackLocationToNext(Irp);
    CHECK(I.Locations[0].MajorFunction == IRP_MJ_READ && I.Locations[0].Control == 0);
    CHECK(I.Locations[0].Context == NULL);
    IoSetCompletionRoutine(Irp, NULL, Irp, TRUE, FALSE, TRUE);
    CHECK(I.Locations[0].Control == (SL_INVOKE_ON_SUCCESS | SL_INVOKE_ON_CANCEL));
    IoMarkIrpPending(Irp);
    CHECK(I.Locations[1].Control == SL_PENDING_RETURNED);
    IoSkipCurrentIrpStackLocation(Irp);
    CHECK(Irp->CurrentLocation == 3 && IoGetNextIrpStackLocation(Irp) == &I.Locations[1]);
    IoSetNextIrpStackLocation(Irp);
    CHECK(IoGetCurrentIrpStackLocation(Irp) == &I.Locations[1]);
    CHECK(IoSizeOfIrp(2) == 0xd0 + 2 * 0x48);
}

static ULONG NTAPI
Sum(ULONG Count, ...)
{
    NT_VA_LIST Arguments;
    ULONG Total = 0;

    NT_VA_START(Arguments, Count);
    while (Count-- != 0) {
        Total += NT_VA_ARG(Arguments, ULONG);
    }
    NT_VA_END(Arguments);
    return Total;
}

static PHYSICAL_ADDRESS NTAPI
Twice(PHYSICAL_ADDRESS Address, MM_COPY_ADDRESS Other)
{
    Address.QuadPart += (LONGLONG)Other.VirtualAddress;
    return Address;
}

int
main(void)
{
    PHYSICAL_ADDRESS Address = {.QuadPart = 40};
    MM_COPY_ADDRESS Other = {.VirtualAddress = (PVOID)2};

    TestLists();
    TestInterlocked();
    TestMdls();
    TestMemory();
    TestIrps();
    CHECK(Sum(6, 1, 2, 3, 4, 5, 6) == 21);
    CHECK(Twice(Address, Other).QuadPart == 42);
    printf("%d failures\n", Failures);
    return Failures != 0;
}
