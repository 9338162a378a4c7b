/*
 * What headers inline: cr8, gs, shared user data, interrupts, spin locks, the time-stamp counter.
 */
#include "check.h"

#define SHARED 0xFFFFF78000000000ull

static VOID
Irql(VOID)
{
    KIRQL OldIrql, Inner;

    CHECK_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
    KeRaiseIrql(APC_LEVEL, &OldIrql);
    CHECK_EQ(OldIrql, PASSIVE_LEVEL);
    CHECK_EQ(KeGetCurrentIrql(), APC_LEVEL);
    KeRaiseIrql(DISPATCH_LEVEL, &Inner);
    CHECK_EQ(Inner, APC_LEVEL);
    CHECK_EQ(__readcr8(), 2);
    KeRaiseIrql(HIGH_LEVEL, &Inner);
    CHECK_EQ(KeGetCurrentIrql(), HIGH_LEVEL);
    KeLowerIrql(DISPATCH_LEVEL);
    KeLowerIrql(APC_LEVEL);
    KeLowerIrql(OldIrql);
    CHECK_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
}

static VOID
Processor(VOID)
{
    UNICODE_STRING Name;
    PVOID(NTAPI * Exported)(VOID);
    KIRQL OldIrql;

    RtlInitUnicodeString(&Name, L"KeGetCurrentThread");
    *(PVOID *)&Exported = MmGetSystemRoutineAddress(&Name);
    CHECK(KeGetCurrentThread() == (PVOID)PsGetCurrentThread());
    if (Exported != NULL) {
        CHECK(Exported() == (PVOID)KeGetCurrentThread());
    }
    CHECK((PVOID)__readgsqword(0x188) == (PVOID)KeGetCurrentThread());
    /* The KPCR knows its own address. */
    CHECK_EQ(*(PULONG64)(ULONG_PTR)(__readgsqword(0x18) + 0x18), __readgsqword(0x18));
    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    CHECK_EQ(__readgsdword(0x184), KeGetCurrentProcessorNumber());
    KeLowerIrql(OldIrql);
    CHECK(PsGetCurrentProcess() == PsInitialSystemProcess);
}

static VOID
SharedData(VOID)
{
    volatile UCHAR *Data = (volatile UCHAR *)(ULONG_PTR)SHARED;
    LARGE_INTEGER Tick, LaterTick, Time, Precise, Increment;
    ULONG64 Interrupt;

    KeQueryTickCount(&Tick);
    KeQuerySystemTime(&Time);
    Interrupt = KeQueryInterruptTime();
    Sleep(200);
    KeQueryTickCount(&LaterTick);
    CHECK(LaterTick.QuadPart > Tick.QuadPart);
    CHECK((LaterTick.QuadPart - Tick.QuadPart) * KeQueryTimeIncrement() >= 150 * 10000);
    CHECK(KeQueryInterruptTime() >= Interrupt + 150 * 10000);
    KeQuerySystemTimePrecise(&Precise);
    CHECK(Precise.QuadPart >= Time.QuadPart + 150 * 10000);
    KeQuerySystemTime(&Time);
    CHECK(Precise.QuadPart - Time.QuadPart < 10000000 && Time.QuadPart - Precise.QuadPart < 10000000);
    /* A date of this century. */
    CHECK(Time.QuadPart > 125911584000000000ll);
    CHECK_EQ(*(volatile ULONG *)(Data + 0x26C), 10);
    CHECK(*(volatile USHORT *)(Data + 0x30) == 'C');
}

/* That the flag shows in pushf is more than the hosted machine can do; that the instructions work is not. */
static VOID
Interrupts(VOID)
{
    __asm__ volatile("cli");
    __asm__ volatile("sti");
    CHECK(__readeflags() & 0x200);
}

static VOID
Counters(VOID)
{
    ULONG64 First = __rdtsc(), Second;
    LARGE_INTEGER Frequency, One, Two;
    ULONG Index;

    Second = __rdtsc();
    CHECK(Second > First);
    One = KeQueryPerformanceCounter(&Frequency);
    CHECK(Frequency.QuadPart >= 1000000);
    KeStallExecutionProcessor(20);
    Two = KeQueryPerformanceCounter(NULL);
    CHECK((Two.QuadPart - One.QuadPart) * 1000000 >= Frequency.QuadPart * 15);
    for (Index = 0; Index < 100; Index += 1) {
        Second = __rdtsc();
        if (Second < First) {
            break;
        }
        First = Second;
    }
    CHECK_EQ(Index, 100);
}

static VOID
Locks(VOID)
{
    KSPIN_LOCK Lock;
    KIRQL OldIrql;

    KeInitializeSpinLock(&Lock);
    KeAcquireSpinLock(&Lock, &OldIrql);
    CHECK_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
    CHECK(!KeTestSpinLock(&Lock));
    KeReleaseSpinLock(&Lock, OldIrql);
    CHECK(KeTestSpinLock(&Lock));
    OldIrql = KeRaiseIrqlToDpcLevel();
    KeAcquireSpinLockAtDpcLevel(&Lock);
    KeReleaseSpinLockFromDpcLevel(&Lock);
    CHECK(KeTryToAcquireSpinLockAtDpcLevel(&Lock));
    CHECK(!KeTryToAcquireSpinLockAtDpcLevel(&Lock));
    KeReleaseSpinLockFromDpcLevel(&Lock);
    KeLowerIrql(OldIrql);
}

static VOID
Test(VOID)
{
    Irql();
    Processor();
    SharedData();
    Interrupts();
    Counters();
    Locks();
}

CHECK_DRIVER
