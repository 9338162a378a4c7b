/* Drivers that break the rules of IRQL, spin locks and waits; see misuse.h. */
#include "misuse.h"

/* --- Ke --- */

static KEVENT Never;

static VOID NTAPI
WaitingDpc(PKDPC Dpc, PVOID Context, PVOID One, PVOID Two)
{
    KeWaitForSingleObject(&Never, Executive, KernelMode, FALSE, NULL);
}

static VOID
WaitInDpc(VOID)
{
    static KDPC Dpc;

    KeInitializeEvent(&Never, NotificationEvent, FALSE);
    KeInitializeDpc(&Dpc, WaitingDpc, NULL);
    Expect(0xB8, ANY, ANY, ANY, ANY);
    KeInsertQueueDpc(&Dpc, NULL, NULL);
    KeFlushQueuedDpcs();
}

static VOID
SpinTwice(VOID)
{
    static KSPIN_LOCK Lock;
    KIRQL OldIrql;

    KeAcquireSpinLock(&Lock, &OldIrql);
    Expect(0xF, (ULONG_PTR)&Lock, ANY, ANY, ANY);
    KeAcquireSpinLockAtDpcLevel(&Lock);
}

static KSPIN_LOCK Free;

static VOID
SpinNotOwned(VOID)
{
    KIRQL OldIrql = Raise();

    Expect(0x10, (ULONG_PTR)&Free, ANY, ANY, ANY);
    KeReleaseSpinLock(&Free, OldIrql);
}

static VOID
SpinReleaseLow(VOID)
{
    Expect(0xC4, 0x32, PASSIVE_LEVEL, (ULONG_PTR)&Free, ANY);
    KeReleaseSpinLock(&Free, PASSIVE_LEVEL);
}

static VOID
ReturnRaised(VOID)
{
    Expect(0xC8, ANY, ANY, ANY, ANY);
    Raise();
}

/* The exported forms, which headers hide behind inlined ones. */
static VOID
RaiseDown(VOID)
{
    static UNICODE_STRING Name = RTL_CONSTANT_STRING(L"KfRaiseIrql");
    KIRQL(NTAPI * RaiseIrql)(KIRQL);

    *(PVOID *)&RaiseIrql = MmGetSystemRoutineAddress(&Name);
    Raise();
    Expect(0xC4, 0x30, DISPATCH_LEVEL, PASSIVE_LEVEL, ANY);
    RaiseIrql(PASSIVE_LEVEL);
}

static VOID
LowerUp(VOID)
{
    static UNICODE_STRING Name = RTL_CONSTANT_STRING(L"KeLowerIrql");
    VOID(NTAPI * LowerIrql)(KIRQL);

    *(PVOID *)&LowerIrql = MmGetSystemRoutineAddress(&Name);
    Expect(0xC4, 0x31, PASSIVE_LEVEL, DISPATCH_LEVEL, ANY);
    LowerIrql(DISPATCH_LEVEL);
}

static VOID
MutexNotOwned(VOID)
{
    static KMUTEX Mutex;

    KeInitializeMutex(&Mutex, 0);
    Expect(0x7E, 0xFFFFFFFFC0000046ull, ANY, ANY, ANY);
    KeReleaseMutex(&Mutex, FALSE);
}

/* --- Pageable memory that was resident before IRQL rose --- */

static volatile UCHAR *Resident;

/* By the exported routine, which headers inline as a write to CR8. */
static KIRQL
CallRaise(KIRQL Irql)
{
    static UNICODE_STRING Name = RTL_CONSTANT_STRING(L"KfRaiseIrql");
    KIRQL(NTAPI * RaiseIrql)(KIRQL);

    *(PVOID *)&RaiseIrql = MmGetSystemRoutineAddress(&Name);
    return RaiseIrql(Irql);
}

/* Paged pool that has just been written to. */
static VOID
Touch(VOID)
{
    Resident = Block(PagedPool, 2 * PAGE_SIZE);
    Resident[PAGE_SIZE + 3] = 1;
}

/* The touch that is one too many. */
static VOID
TouchAgain(VOID)
{
    Expect(0xD1, (ULONG_PTR)&Resident[PAGE_SIZE + 3], DISPATCH_LEVEL, 0, ANY);
    (VOID)Resident[PAGE_SIZE + 3];
}

static VOID
TrimRaise(VOID)
{
    Touch();
    CallRaise(DISPATCH_LEVEL);
    TouchAgain();
}

static VOID
TrimRaiseHigh(VOID)
{
    Touch();
    CallRaise(HIGH_LEVEL);
    Expect(0xD1, (ULONG_PTR)&Resident[PAGE_SIZE + 3], HIGH_LEVEL, 1, ANY);
    Resident[PAGE_SIZE + 3] = 2;
}

/* As headers inline it. */
static VOID
TrimControlRegister(VOID)
{
    ULONG64 Irql = DISPATCH_LEVEL;

    Touch();
    __asm__ volatile("movq %0, %%cr8" ::"r"(Irql) : "memory");
    TouchAgain();
}

static VOID
TrimSpinLock(VOID)
{
    static KSPIN_LOCK Lock;
    KIRQL OldIrql;

    Touch();
    KeAcquireSpinLock(&Lock, &OldIrql);
    TouchAgain();
}

static VOID
TrimQueuedLock(VOID)
{
    static KSPIN_LOCK Lock;
    KLOCK_QUEUE_HANDLE Handle;

    Touch();
    KeAcquireInStackQueuedSpinLock(&Lock, &Handle);
    TouchAgain();
}

static VOID
TrimCancelLock(VOID)
{
    KIRQL OldIrql;

    Touch();
    IoAcquireCancelSpinLock(&OldIrql);
    TouchAgain();
}

static VOID NTAPI
TouchingDpc(PKDPC Dpc, PVOID Context, PVOID One, PVOID Two)
{
    TouchAgain();
}

static VOID
TrimDpc(VOID)
{
    static KDPC Dpc;

    KeInitializeDpc(&Dpc, TouchingDpc, NULL);
    Touch();
    KeInsertQueueDpc(&Dpc, NULL, NULL);
    KeFlushQueuedDpcs();
}

static VOID
TrimTimer(VOID)
{
    static KTIMER Timer;
    static KDPC Dpc;
    LARGE_INTEGER Due;

    Due.QuadPart = -10000;
    KeInitializeTimer(&Timer);
    KeInitializeDpc(&Dpc, TouchingDpc, NULL);
    Touch();
    KeSetTimer(&Timer, Due, &Dpc);
    KeWaitForSingleObject(&Timer, Executive, KernelMode, FALSE, NULL);
    KeFlushQueuedDpcs();
}

/* The second time: what came in again since the last trim goes again. */
static VOID
TrimAgain(VOID)
{
    KIRQL OldIrql;

    Touch();
    OldIrql = CallRaise(DISPATCH_LEVEL);
    KeLowerIrql(OldIrql);
    Resident[PAGE_SIZE + 3] += 1;
    CallRaise(DISPATCH_LEVEL);
    TouchAgain();
}

/* Locked, it may be touched; unlocked, it must not. */
static VOID
TrimUnlocked(VOID)
{
    KIRQL OldIrql;
    PMDL Mdl;

    Touch();
    Mdl = IoAllocateMdl((PVOID)(ULONG_PTR)Resident, 2 * PAGE_SIZE, FALSE, FALSE, NULL);
    MmProbeAndLockPages(Mdl, KernelMode, IoModifyAccess);
    OldIrql = CallRaise(DISPATCH_LEVEL);
    Resident[PAGE_SIZE + 3] += 1;
    KeLowerIrql(OldIrql);
    MmUnlockPages(Mdl);
    IoFreeMdl(Mdl);
    CallRaise(DISPATCH_LEVEL);
    TouchAgain();
}

__attribute__((section("PAGEVAR"))) volatile ULONG PageableValue = 5;

static VOID
TrimData(VOID)
{
    PageableValue += 1;
    CallRaise(DISPATCH_LEVEL);
    Expect(0xD3, (ULONG_PTR)&PageableValue, DISPATCH_LEVEL, 0, ANY);
    (VOID)PageableValue;
}

static KSPIN_LOCK PageableCodeLock;

static VOID __attribute__((noinline, section("PAGECODE"))) LockInPageableCode(VOID)
{
    KIRQL OldIrql;

    KeAcquireSpinLock(&PageableCodeLock, &OldIrql);
    KeReleaseSpinLock(&PageableCodeLock, OldIrql);
}

static VOID
TrimCode(VOID)
{
    Expect(0xD3, ANY, DISPATCH_LEVEL, ANY, ANY);
    LockInPageableCode();
}

/* --- Routines above their IRQL --- */

static VOID
CloseAtDispatch(VOID)
{
    Raise();
    Expect(0xC4, 0xE6, ANY, DISPATCH_LEVEL, 0);
    ZwClose(Hide(0x1230));
}

static VOID
CloseGuarded(VOID)
{
    KeEnterGuardedRegion();
    Expect(0xC4, 0xE6, ANY, PASSIVE_LEVEL, (ULONG64)-1);
    ZwClose(Hide(0x1230));
}

static VOID
ReservedAtDispatch(VOID)
{
    Raise();
    Expect(0xC4, 0xE5, DISPATCH_LEVEL, ANY, ANY);
    MmAllocateMappingAddress(PAGE_SIZE, TAG);
}

static VOID
NonCachedAtDispatch(VOID)
{
    Raise();
    Expect(0xC4, 0x20019, ANY, ANY, ANY);
    MmAllocateNonCachedMemory(PAGE_SIZE);
}

static VOID
ContiguousAtHigh(VOID)
{
    PVOID P = MmAllocateContiguousMemory(PAGE_SIZE, Physical(~0ull >> 1));

    KfRaiseIrql(HIGH_LEVEL);
    Expect(0xC4, 0x2001A, ANY, ANY, ANY);
    MmFreeContiguousMemory(P);
}

static VOID
RegionAtDispatch(VOID)
{
    Raise();
    Expect(0xC4, 0x11A, DISPATCH_LEVEL, 0, 0);
    KeEnterCriticalRegion();
}

static VOID
TimerAtHigh(VOID)
{
    static KTIMER Timer;
    LARGE_INTEGER Due = {.QuadPart = -1};

    KeInitializeTimer(&Timer);
    KfRaiseIrql(HIGH_LEVEL);
    Expect(0xC4, 0x20011, ANY, ANY, ANY);
    KeSetTimer(&Timer, Due, NULL);
}

static VOID
DeviceAtDispatch(VOID)
{
    PDEVICE_OBJECT Device = NULL;

    Raise();
    Expect(0xC4, 0x2000A, ANY, ANY, ANY);
    IoCreateDevice(MisuseDriver, 0, NULL, FILE_DEVICE_UNKNOWN, 0, FALSE, &Device);
}

static VOID
ThreadAtApc(VOID)
{
    HANDLE Handle;

    KfRaiseIrql(APC_LEVEL);
    Expect(0xC4, 0x2001C, ANY, ANY, ANY);
    PsCreateSystemThread(&Handle, 0, NULL, NULL, NULL, (PKSTART_ROUTINE)(ULONG_PTR)ThreadAtApc, NULL);
}

static VOID
StringAtDispatch(VOID)
{
    static UNICODE_STRING Name = RTL_CONSTANT_STRING(L"name");

    Raise();
    Expect(0xC4, 0xE5, DISPATCH_LEVEL, ANY, ANY);
    RtlEqualUnicodeString(&Name, &Name, TRUE);
}

static VOID
ObjectAtHigh(VOID)
{
    KfRaiseIrql(HIGH_LEVEL);
    Expect(0xC4, 0xE5, HIGH_LEVEL, ANY, ANY);
    ObReferenceObjectByPointer(MisuseDriver, 0, NULL, KernelMode);
}

static VOID
ProbeAtDispatch(VOID)
{
    Raise();
    Expect(0xC4, 0x20006, ANY, ANY, ANY);
    ProbeForRead(Hide(0x10000), 16, 1);
}

static const MISUSE_CASE Cases[] = {
    CASE("1e-mutex", MutexNotOwned),
    CASE("b8-wait-in-dpc", WaitInDpc),
    CASE("0f-spin-twice", SpinTwice),
    CASE("10-spin-not-owned", SpinNotOwned),
    CASE("c4-spin-release-low", SpinReleaseLow),
    CASE("c8-return-raised", ReturnRaised),
    CASE("c4-raise-down", RaiseDown),
    CASE("c4-lower-up", LowerUp),
    CASE("d1-trim-raise", TrimRaise),
    CASE("d1-trim-high", TrimRaiseHigh),
    CASE("d1-trim-cr8", TrimControlRegister),
    CASE("d1-trim-spin", TrimSpinLock),
    CASE("d1-trim-queued", TrimQueuedLock),
    CASE("d1-trim-cancel-lock", TrimCancelLock),
    CASE("d1-trim-dpc", TrimDpc),
    CASE("d1-trim-timer", TrimTimer),
    CASE("d1-trim-again", TrimAgain),
    CASE("d1-trim-unlocked", TrimUnlocked),
    CASE("d3-trim-data", TrimData),
    CASE("d3-trim-code", TrimCode),
    CASE("c4-zw-at-dispatch", CloseAtDispatch),
    CASE("c4-zw-guarded", CloseGuarded),
    CASE("c4-mm-at-dispatch", ReservedAtDispatch),
    CASE("c4-noncached-at-dispatch", NonCachedAtDispatch),
    CASE("c4-contiguous-at-high", ContiguousAtHigh),
    CASE("c4-region-at-dispatch", RegionAtDispatch),
    CASE("c4-timer-at-high", TimerAtHigh),
    CASE("c4-device-at-dispatch", DeviceAtDispatch),
    CASE("c4-thread-at-apc", ThreadAtApc),
    CASE("c4-string-at-dispatch", StringAtDispatch),
    CASE("c4-object-at-high", ObjectAtHigh),
    CASE("c4-probe-at-dispatch", ProbeAtDispatch),
};

MISUSE_DRIVER
