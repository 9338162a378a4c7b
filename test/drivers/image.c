/*
 * The image itself: sections with their protections and paging, imports of every kind, its relocations.
 */
#include "check.h"

#define PAGED __attribute__((section("PAGE"), noinline))

static ULONG DECLSPEC_ALIGN(16) Data = 0x1234;
static ULONG Zero[3000];
static const ULONG Constant[] = {1, 2, 3};
/* Relocated. */
static ULONG *const Pointers[] = {&Data, Zero, (ULONG *)Constant};

static ULONG PAGED
PagedRoutine(ULONG Value)
{
    PAGED_CODE();
    return Value * 3 + 1;
}

__attribute__((section("PAGEDATA"))) ULONG PagedData[1500] = {7, 8, 9};

static VOID
Sections(VOID)
{
    PVOID Handle;
    ULONG Index;

    CHECK_EQ(Data, 0x1234);
    CHECK(AllZero(Zero, sizeof(Zero)));
    CHECK(Pointers[0] == &Data && Pointers[1] == Zero && Pointers[2][2] == 3);
    CHECK_EQ(PagedRoutine(5), 16);
    CHECK(PagedData[0] == 7 && PagedData[2] == 9 && PagedData[1499] == 0);
    for (Index = 0; Index < 1500; Index += 1) {
        PagedData[Index] = Index;
    }
    Handle = MmLockPagableDataSection(PagedData);
    REQUIRE(Handle != NULL);
    CHECK(MmIsAddressValid(PagedData) && MmIsAddressValid(&PagedData[1499]));
    MmLockPagableSectionByHandle(Handle);
    MmUnlockPagableImageSection(Handle);
    MmUnlockPagableImageSection(Handle);
    CHECK_EQ(PagedData[1400], 1400);
    Handle = MmLockPagableCodeSection((PVOID)(ULONG_PTR)PagedRoutine);
    REQUIRE(Handle != NULL);
    {
        KIRQL OldIrql;
        ULONG Value;

        KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
        Value = ((ULONG(*volatile)(ULONG))PagedRoutine)(2);
        KeLowerIrql(OldIrql);
        CHECK_EQ(Value, 7);
    }
    MmUnlockPagableImageSection(Handle);
    CHECK_EQ(PagedRoutine(6), 19);
}

static PUCHAR
FindKernel(VOID)
{
    UNICODE_STRING Name;
    PUCHAR Base;

    RtlInitUnicodeString(&Name, L"MmUserProbeAddress");
    Base = PAGE_ALIGN(MmGetSystemRoutineAddress(&Name));
    while (Base != NULL && MmIsAddressValid(Base) && !(Base[0] == 'M' && Base[1] == 'Z')) {
        Base -= PAGE_SIZE;
    }
    return Base != NULL && MmIsAddressValid(Base) ? Base : NULL;
}

/* The kernel's own export table is there to be read, and an import by ordinal agrees with it. */
static VOID
Imports(VOID)
{
    PUCHAR Kernel = FindKernel(), Directory;
    ULONG Functions;

    REQUIRE(Kernel != NULL);
    Directory = Kernel + *(PULONG)(Kernel + *(PULONG)(Kernel + 0x3C) + 0x88);
    Functions = *(PULONG)(Directory + 0x1C);
    CHECK(*(PULONG)(Directory + 0x14) > 300);
    CHECK((PUCHAR)(ULONG_PTR)NtmmFirstOrdinal == Kernel + *(PULONG)(Kernel + Functions) ||
          *(PULONG)(Directory + 0x10) != 1);
    CHECK(*(PCSZ)(Kernel + *(PULONG)(Directory + 0xC)) == 'n');
}

static VOID
Test(VOID)
{
    Sections();
    Imports();
}

CHECK_DRIVER
