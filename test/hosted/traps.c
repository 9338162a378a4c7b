/* Exceptions, emulated instructions, shared user data. */
#include "scratch.h"

#include <string.h>

#define SHARED 0xFFFFF78000000000ull

static VOID
ExpectVector(SCRATCH_CODE Code, ULONG_PTR First, ULONG Skip, ULONG Vector, ULONG ErrorCode)
{
    ScratchExpect(Skip);
    Code(First, 0);
    CHECK(ScratchTrap.Vector == Vector && ScratchTrap.ErrorCode == ErrorCode);
}

VOID
TestTraps(VOID)
{
    const ULONG_PTR Va = SCRATCH_BASE + 0xF100000;
    SCRATCH_CODE Xmm;

    ExpectVector(CODE(0x0F, 0x0B, 0xC3), 0, 2, 6, 0);                         /* ud2 */
    ExpectVector(CODE(0xCC, 0xC3), 0, 0, 3, 0);                               /* int3 */
    ExpectVector(CODE(0x31, 0xC9, 0x31, 0xD2, 0xF7, 0xF1, 0xC3), 0, 2, 0, 0); /* div ecx */
    ExpectVector(CODE(0xCD, 0x29, 0xC3), 0, 0, 0x29, 0);                      /* int 29h */
    ExpectVector(CODE(0xCD, 0x2C, 0xC3), 0, 0, 0x2C, 0);                      /* int 2Ch */
    ExpectVector(CODE(0xCD, 0x55, 0xC3), 0, 2, 13, 0x55 * 8 + 2);             /* int 55h: no gate */
    ExpectVector(CODE(0x8B, 0x01, 0xC3), 0x8000000000001000ull, 2, 13, 0);    /* non-canonical */
    ExpectVector(CODE(0x0F, 0x22, 0xC1, 0xC3), 0, 3, 13, 0);                  /* mov cr0, rcx */
    ExpectVector(CODE(0x0F, 0x01, 0xF8, 0xC3), 0, 3, 13, 0);                  /* swapgs */
    ExpectVector(CODE(0x0F, 0x30, 0xC3), 0x10, 2, 13, 0);                     /* wrmsr */
#ifndef HALP_ASAN
    /* mov eax, 57 (fork); syscall: confined, so it is an invalid instruction */
    ExpectVector(CODE(0xB8, 57, 0, 0, 0, 0x0F, 0x05, 0xC3), 0, 0, 6, 0);
#endif
    /*
     * movq xmm5, rdx; movq xmm13, rdx; movl $1, (rcx); movq rax, xmm5; movq rdx, xmm13; and rax,
     * rdx
     */
    Xmm = CODE(0x66, 0x48, 0x0F, 0x6E, 0xEA, 0x66, 0x4C, 0x0F, 0x6E, 0xEA, 0xC7, 0x01, 1, 0, 0, 0, 0x66, 0x48,
               0x0F, 0x7E, 0xE8, 0x66, 0x4C, 0x0F, 0x7E, 0xEA, 0x48, 0x21, 0xD0, 0xC3);
    CHECK(Xmm(Va, 0x123456789ABCDEFull) == 0x123456789ABCDEFull);
}

VOID
TestEmulation(VOID)
{
    SCRATCH_CODE Code;
    ULONG_PTR First;

    Code = CODE(0x0F, 0x31, 0x48, 0xC1, 0xE2, 32, 0x48, 0x09, 0xD0, 0xC3); /* rdtsc; rax |= rdx << 32 */
    First = Code(0, 0);
    CHECK(Code(0, 0) > First && Code(0, 0) / 200 <= HalQueryInterruptTime());
    Code = CODE(0x0F, 0x01, 0xF9, 0x89, 0xC8, 0xC3); /* rdtscp; mov eax, ecx */
    CHECK((ULONG)Code(0, 0) == 0);
    Code = CODE(0x44, 0x0F, 0x20, 0xC0, 0xC3); /* mov rax, cr8 */
    CHECK(Code(0, 0) == PASSIVE_LEVEL);
    HalSetIrql(DISPATCH_LEVEL);
    CHECK(Code(0, 0) == DISPATCH_LEVEL);
    HalSetIrql(PASSIVE_LEVEL);

    Code = CODE(0x44, 0x0F, 0x22, 0xC1, 0xC3); /* mov cr8, rcx */
    ScratchSoftware = 0;
    Code(DISPATCH_LEVEL, 0);
    HalRequestSoftwareInterrupt(DISPATCH_LEVEL);
    CHECK(HalGetIrql() == DISPATCH_LEVEL && ScratchSoftware == 0);
    Code(PASSIVE_LEVEL, 0);
    CHECK(HalGetIrql() == PASSIVE_LEVEL && ScratchSoftware == DISPATCH_LEVEL);

    ScratchSoftware = 0;
    CODE(0xFA, 0xC3)(0, 0); /* cli */
    HalRequestSoftwareInterrupt(APC_LEVEL);
    CHECK(ScratchSoftware == 0);
    CODE(0xFB, 0xC3)(0, 0); /* sti */
    CHECK(ScratchSoftware == APC_LEVEL);

    Code = CODE(0x0F, 0x32, 0xC3); /* rdmsr */
    CHECK((ULONG)Code(0xC0000080, 0) == 0xD01);
    CHECK((ULONG)Code(0xC0000101, 0) == (ULONG)(ULONG_PTR)KeGetPcr());
    CHECK((UCHAR)CODE(0xEC, 0xC3)(0, 0x60) == 0xFF);                             /* in al, dx */
    CHECK(CODE(0x0F, 0x20, 0xD8, 0xC3)(0, 0) == ScratchLoader->RootFrame << 12); /* mov rax, cr3 */
    CODE(0x0F, 0x09, 0xEE, 0xC3)(0, 0);                                          /* wbinvd; out dx, al */
}

VOID
TestSharedData(VOID)
{
    const ULONG64 Time = 0x123456789ABCDEF0ull;
    const ULONG_PTR Target = SCRATCH_BASE + 0xF200000;
    SCRATCH_CODE Store = CODE(0xC7, 0x01, 1, 0, 0, 0, 0xC3);

    memcpy((PUCHAR)HalSharedUserData() + 0x14, &Time, 8);
    CHECK(memcmp((PVOID)0x7FFE0014ull, &Time, 8) == 0);
    /*
     * mov rax, [rcx+14h]; mov rcx, [rcx+14h]; movzx eax, byte [rcx+rdx+14h]; cmp [rcx+14h], imm;
     * absolute
     */
    CHECK(CODE(0x48, 0x8B, 0x41, 0x14, 0xC3)(SHARED, 0) == Time);
    CHECK(CODE(0x48, 0x8B, 0x49, 0x14, 0x48, 0x89, 0xC8, 0xC3)(SHARED, 0) == Time);
    CHECK(CODE(0x0F, 0xB6, 0x44, 0x11, 0x14, 0xC3)(SHARED, 1) == 0xDE);
    CHECK(CODE(0x81, 0x79, 0x14, 0xF0, 0xDE, 0xBC, 0x9A, 0x0F, 0x94, 0xC0, 0x0F, 0xB6, 0xC0, 0xC3)(SHARED,
                                                                                                   0) == 1);
    CHECK(CODE(0x48, 0xA1, 0x14, 0, 0, 0, 0x80, 0xF7, 0xFF, 0xFF, 0xC3)(0, 0) == Time);
    /* movups xmm0, [rcx+14h]; movq rax, xmm0 */
    CHECK(CODE(0x0F, 0x10, 0x41, 0x14, 0x66, 0x48, 0x0F, 0x7E, 0xC0, 0xC3)(SHARED, 0) == Time);
    /*
     * push rsi; push rdi; mov rsi, rcx; mov rdi, rdx; mov ecx, 16; rep movsb; mov rax, rsi; pop
     * rdi; pop rsi
     */
    CHECK(CODE(0x56, 0x57, 0x48, 0x89, 0xCE, 0x48, 0x89, 0xD7, 0xB9, 0x10, 0, 0, 0, 0xF3, 0xA4, 0x48, 0x89,
               0xF0, 0x5F, 0x5E, 0xC3)(SHARED + 0x14, Target) == SHARED + 0x24);
    CHECK(memcmp((PVOID)Target, &Time, 8) == 0);
    Store = CODE(0xC7, 0x01, 1, 0, 0, 0, 0xC3);
    ScratchExpect(6);
    Store(SHARED, 0);
    CHECK(ScratchTrap.ErrorCode == 3 && ScratchTrap.Address == SHARED);
    ScratchExpect(6);
    Store(0x7FFE0000, 0);
    CHECK(ScratchTrap.ErrorCode == 3 && ScratchTrap.Address == 0x7FFE0000);
}
