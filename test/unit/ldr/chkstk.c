/* __chkstk in the system image: every register comes back, and pages are touched down to the new end of the stack. */
#include "ktest.h"
#include <ldr/ldr.h>

static ULONG64
ChkstkCall(PVOID Routine, ULONG64 Bytes)
{
    register ULONG64 R10 __asm__("r10") = 0x1010;
    register ULONG64 R11 __asm__("r11") = 0x1111;

    __asm__ volatile("call *%3" : "+a"(Bytes), "+r"(R10), "+r"(R11) : "r"(Routine) : "memory", "cc");
    CHECK_EQ(R10, 0x1010);
    CHECK_EQ(R11, 0x1111);
    return Bytes;
}

KTEST(LdrProbeStack)
{
    PVOID Routine = LdrExportAddress("__chkstk");

    REQUIRE(Routine != NULL);
    CHECK_EQ(ChkstkCall(Routine, 8), 8);
    CHECK_EQ(ChkstkCall(Routine, 0x1000), 0x1000);
    CHECK_EQ(ChkstkCall(Routine, 0x2345), 0x2345);
}

static VOID
ChkstkOverflow(PVOID Routine)
{
    ChkstkCall(Routine, KiRemainingStack() + 0x800);
}

KTEST(LdrProbeStackFindsTheGuard)
{
    KTEST_BUGCHECK Caught = {0};

    REQUIRE(KTestExpectBugCheck(ChkstkOverflow, LdrExportAddress("__chkstk"), &Caught));
    CHECK_EQ(Caught.Code, PAGE_FAULT_IN_NONPAGED_AREA);
}
