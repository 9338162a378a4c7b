/*
 * Copying and looking: MmCopyMemory, probes, MmIsAddressValid, Rtl memory routines, routine addresses,
 * variables.
 */
#include "check.h"

#define TAG 'ypoC'

static VOID
Virtual(VOID)
{
    PUCHAR Source = ExAllocatePoolWithTag(PagedPool, 3 * PAGE_SIZE, TAG), Target;
    EXTRA_COPY_ADDRESS Address;
    SIZE_T Done = 77;

    Target = ExAllocatePoolWithTag(NonPagedPoolNx, 3 * PAGE_SIZE, TAG);
    REQUIRE(Source != NULL && Target != NULL);
    Paint(Source, 3 * PAGE_SIZE, 6);
    Address.u.VirtualAddress = Source + 5;
    CHECK_STATUS(MmCopyMemory(Target, Address, 2 * PAGE_SIZE, EXTRA_COPY_VIRTUAL, &Done), STATUS_SUCCESS);
    CHECK_EQ(Done, 2 * PAGE_SIZE);
    CHECK_EQ(RtlCompareMemory(Target, Source + 5, 2 * PAGE_SIZE), 2 * PAGE_SIZE);
    /* Exactly one kind of address. */
    CHECK(!NT_SUCCESS(MmCopyMemory(Target, Address, 16, 0, &Done)));
    CHECK(!NT_SUCCESS(MmCopyMemory(Target, Address, 16, EXTRA_COPY_VIRTUAL | EXTRA_COPY_PHYSICAL, &Done)));
    /* A bad source is a status. */
    Address.u.VirtualAddress = (PVOID)(ULONG_PTR)0x1000;
    CHECK(!NT_SUCCESS(MmCopyMemory(Target, Address, 16, EXTRA_COPY_VIRTUAL, &Done)));
    CHECK_EQ(Done, 0);
    ExFreePool(Source);
    ExFreePool(Target);
}

static VOID
PhysicalCopy(VOID)
{
    PUCHAR Source = ExAllocatePoolWithTag(NonPagedPoolNx, 300, TAG), Target;
    EXTRA_COPY_ADDRESS Address;
    SIZE_T Done = 0;

    Target = ExAllocatePoolWithTag(NonPagedPoolNx, 300, TAG);
    REQUIRE(Source != NULL && Target != NULL);
    Paint(Source, 300, 13);
    Address.u.PhysicalAddress = MmGetPhysicalAddress(Source);
    CHECK_STATUS(MmCopyMemory(Target, Address, 300, EXTRA_COPY_PHYSICAL, &Done), STATUS_SUCCESS);
    CHECK_EQ(Done, 300);
    CHECK(Painted(Target, 300, 13));
    Address.u.PhysicalAddress = Physical(0xFE000000000ull);
    CHECK(!NT_SUCCESS(MmCopyMemory(Target, Address, 16, EXTRA_COPY_PHYSICAL, &Done)));
    ExFreePool(Source);
    ExFreePool(Target);
}

static VOID
Valid(VOID)
{
    PUCHAR Paged = ExAllocatePoolWithTag(PagedPool, 4 * PAGE_SIZE, TAG);
    ULONG Local = 0;

    REQUIRE(Paged != NULL);
    CHECK(MmIsAddressValid(&Local));
    CHECK(MmIsAddressValid((PVOID)(ULONG_PTR)&Valid));
    CHECK(!MmIsAddressValid(NULL));
    CHECK(!MmIsAddressValid((PVOID)(ULONG_PTR)0x8000000000000000ull));
    Paged[2 * PAGE_SIZE] = 1;
    CHECK(MmIsAddressValid(Paged + 2 * PAGE_SIZE));
    CHECK(MmGetPhysicalAddress(Paged + 2 * PAGE_SIZE).QuadPart != 0);
    CHECK_EQ(MmGetPhysicalAddress(&Local).QuadPart & (PAGE_SIZE - 1), BYTE_OFFSET(&Local));
    ExFreePool(Paged);
}

static VOID
Probes(VOID)
{
    /* Length 0 checks nothing, not even this. */
    ProbeForRead((PVOID) ~(ULONG_PTR)0, 0, 4);
    ProbeForWrite((PVOID) ~(ULONG_PTR)0, 0, 4);
    ProbeForRead((PVOID)(ULONG_PTR)0x10000, 0x1000, 1);
    CHECK(MmUserProbeAddress == (ULONG_PTR)MmHighestUserAddress + 1);
    CHECK((ULONG_PTR)MmSystemRangeStart > (ULONG_PTR)MmHighestUserAddress);
    CHECK((ULONG_PTR)&Probes >= (ULONG_PTR)MmSystemRangeStart);
}

static VOID
Memory(VOID)
{
    UCHAR One[64], Two[64];
    ULONG Words[4];

    Paint(One, sizeof(One), 1);
    RtlCopyMemory(Two, One, sizeof(One));
    CHECK_EQ(RtlCompareMemory(One, Two, 64), 64);
    Two[10] ^= 1;
    CHECK_EQ(RtlCompareMemory(One, Two, 64), 10);
    CHECK(!RtlEqualMemory(One, Two, 64));
    CHECK(RtlEqualMemory(One, Two, 10));
    Paint(One, sizeof(One), 1);
    RtlMoveMemory(One + 5, One, 50);
    CHECK(Painted(One + 5, 50, 1));
    RtlMoveMemory(One, One + 5, 50);
    CHECK(Painted(One, 50, 1));
    RtlFillMemory(One, 64, 0xAB);
    CHECK(One[0] == 0xAB && One[63] == 0xAB);
    RtlZeroMemory(One, 63);
    CHECK(AllZero(One, 63) && One[63] == 0xAB);
    CHECK(RtlIsZeroMemory(One + 1, 62));
    CHECK(!RtlIsZeroMemory(One, 64));
    RtlSecureZeroMemory(One, 64);
    CHECK(RtlIsZeroMemory(One, 64));
    Words[0] = Words[1] = 0x12345678;
    Words[2] = 5;
    CHECK_EQ(RtlCompareMemoryUlong(Words, 12, 0x12345678), 8);
    CHECK_EQ(RtlCompareMemoryUlong(Words, 11, 0x12345678), 0);
    CHECK_EQ(RtlCompareMemoryUlong((PUCHAR)Words + 1, 8, 0x12345678), 0);
}

static VOID
Routines(VOID)
{
    UNICODE_STRING Name;
    ULONG(__cdecl * Print)(const char *, ...);

    RtlInitUnicodeString(&Name, L"DbgPrint");
    *(PVOID *)&Print = MmGetSystemRoutineAddress(&Name);
    REQUIRE(Print != NULL);
    CHECK_EQ(Print("# %s through its address: %d\n", "DbgPrint", 5), STATUS_SUCCESS);
    RtlInitUnicodeString(&Name, L"NtmmNoSuchRoutine");
    CHECK(MmGetSystemRoutineAddress(&Name) == NULL);
    RtlInitUnicodeString(&Name, L"dbgprint");
    CHECK(MmGetSystemRoutineAddress(&Name) == NULL);
    RtlInitUnicodeString(&Name, L"MmUserProbeAddress");
    CHECK(MmGetSystemRoutineAddress(&Name) == (PVOID)&MmUserProbeAddress);
}

static VOID
Test(VOID)
{
    Virtual();
    PhysicalCopy();
    Valid();
    Probes();
    Memory();
    Routines();
}

CHECK_DRIVER
