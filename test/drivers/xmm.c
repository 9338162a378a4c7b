/*
 * Floating point and SSE in a driver: nothing that the kernel does may change a register it must not.
 *
 * CallWithXmm loads xmm6-xmm15 and the other non-volatile registers' worth of pattern, calls, and stores them
 * back; TouchWithXmm does the same with all sixteen around one store that faults.
 */
#include "check.h"

#define TAG 'mmX '

VOID NTAPI CallWithXmm(const UCHAR *In, UCHAR *Out, VOID(NTAPI *Routine)(PVOID), PVOID Context);
VOID NTAPI TouchWithXmm(const UCHAR *In, UCHAR *Out, volatile UCHAR *Page);

#define EACH6(Do)  Do(6) Do(7) Do(8) Do(9) Do(10) Do(11) Do(12) Do(13) Do(14) Do(15)
#define EACH0(Do)  Do(0) Do(1) Do(2) Do(3) Do(4) Do(5) EACH6(Do)
#define SAVE(N)    "movups %xmm" #N ", 32+16*" #N "(%rsp)\n"
#define RESTORE(N) "movups 32+16*" #N "(%rsp), %xmm" #N "\n"
#define LOAD(N)    "movups 16*" #N "(%rcx), %xmm" #N "\n"
#define STORE(N)   "movups %xmm" #N ", 16*" #N "(%rbx)\n"

__asm__(".text\n.globl CallWithXmm\n.def CallWithXmm; .scl 2; .type 32; .endef\n"
        ".seh_proc CallWithXmm\nCallWithXmm:\n"
        "pushq %rbx\n.seh_pushreg %rbx\nsubq $304, %rsp\n.seh_stackalloc 304\n.seh_endprologue\n"
        "movq %rdx, %rbx\n" EACH6(SAVE) EACH6(LOAD) "movq %r9, %rcx\ncall *%r8\n" EACH6(STORE) EACH6(
            RESTORE) "addq $304, %rsp\npopq %rbx\nret\n.seh_endproc\n"
                     ".globl TouchWithXmm\n.def TouchWithXmm; .scl 2; .type 32; .endef\n"
                     ".seh_proc TouchWithXmm\nTouchWithXmm:\n"
                     "pushq %rbx\n.seh_pushreg %rbx\nsubq $304, %rsp\n.seh_stackalloc 304\n.seh_endprologue\n"
                     "movq %rdx, %rbx\n" EACH6(SAVE) EACH0(LOAD) "movb $1, (%r8)\n" EACH0(STORE)
                         EACH6(RESTORE) "addq $304, %rsp\npopq %rbx\nret\n.seh_endproc\n");

static UCHAR In[256], Out[256];

static BOOLEAN
Same(ULONG First)
{
    return RtlCompareMemory(In + First * 16, Out + First * 16, (16 - First) * 16) == (16 - First) * 16;
}

static VOID NTAPI
Print(PVOID Context)
{
    DbgPrint("# %s %d %I64x %wZ\n", "some text", 12345, 0x123456789ABCDEFull, Context);
}

static VOID NTAPI
PoolAndLocks(PVOID Context)
{
    PUCHAR Block = ExAllocatePool2(POOL_FLAG_PAGED, 20000, TAG);

    if (Block != NULL) {
        RtlFillMemory(Block, 20000, 1);
        RtlMoveMemory(Block + 3, Block, 10000);
        ExFreePool(Block);
    }
}

static VOID NTAPI
Doze(PVOID Context)
{
    Sleep(3);
}

/* Registers of its own, all the time. */
static volatile LONG Quit;
static volatile LONG Wrong;

static VOID NTAPI
Disturber(PVOID Context)
{
    volatile double Sum = 0, Term = 1.5 + (double)(LONG)(ULONG_PTR)Context;
    ULONG Round;

    for (Round = 0; Round < 60; Round += 1) {
        double Before = Sum * 3.25 + Term;

        Sleep(1);
        if (Before != Sum * 3.25 + Term) {
            InterlockedIncrement(&Wrong);
        }
        Sum = Sum + Term;
    }
    if (Sum != 60 * Term) {
        InterlockedIncrement(&Wrong);
    }
}

static double
Series(ULONG Terms)
{
    double Sum = 0, Sign = 1;
    ULONG Index;

    for (Index = 0; Index < Terms; Index += 1) {
        Sum += Sign / (2 * (double)Index + 1);
        Sign = -Sign;
        if (Index % 50 == 0) {
            PoolAndLocks(NULL);
        }
    }
    return 4 * Sum;
}

/* The linker wants it of whoever uses floating point. */
int _fltused = 0;

static VOID
Test(VOID)
{
    UNICODE_STRING Name;
    PVOID Threads[2];
    PUCHAR Pages;
    ULONG Round;

    RtlInitUnicodeString(&Name, L"wide");
    Paint(In, sizeof(In), 17);
    CallWithXmm(In, Out, Print, &Name);
    CHECK(Same(6));
    CallWithXmm(In, Out, PoolAndLocks, NULL);
    CHECK(Same(6));
    Threads[0] = StartThread(Disturber, (PVOID)1);
    Threads[1] = StartThread(Disturber, (PVOID)2);
    REQUIRE(Threads[0] != NULL && Threads[1] != NULL);
    for (Round = 0; Round < 20; Round += 1) {
        Paint(In, sizeof(In), (UCHAR)Round);
        CallWithXmm(In, Out, Doze, NULL);
        if (!Same(6)) {
            break;
        }
    }
    CHECK_EQ(Round, 20);
    Pages = ExAllocatePoolWithTag(PagedPool, 64 * PAGE_SIZE, TAG);
    REQUIRE(Pages != NULL);
    for (Round = 0; Round < 64; Round += 1) {
        Paint(In, sizeof(In), (UCHAR)(Round * 3));
        TouchWithXmm(In, Out, Pages + Round * PAGE_SIZE);
        if (!Same(0)) {
            break;
        }
    }
    CHECK_EQ(Round, 64);
    ExFreePool(Pages);
    CHECK_EQ((LONG)(Series(500) * 100000), 313959);
    JoinThread(Threads[0]);
    JoinThread(Threads[1]);
    CHECK_EQ(Wrong, 0);
}

CHECK_DRIVER
