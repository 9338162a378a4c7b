/*
 * Registers and CONTEXT records: capturing, loading, and the calls that an unwind may land on. exception.h has the theory.
 */
#include "boundary.h"
#include "exception.h"

        .text

/*
 * VOID KiCaptureRegisters(PCONTEXT Context). Vector state by FXSAVE, which the record's layout is; the integer registers that
 * calls preserve; flags and selectors. Rip and Rsp are the caller's after the call.
 */
        .globl  KiCaptureRegisters
        .type   KiCaptureRegisters, @function
        .p2align 4
KiCaptureRegisters:
        movq    %rbx, (CONTEXT_RAX + 3 * 8)(%rdi)
        movq    %rbp, (CONTEXT_RAX + 5 * 8)(%rdi)
        movq    %r12, (CONTEXT_RAX + 12 * 8)(%rdi)
        movq    %r13, (CONTEXT_RAX + 13 * 8)(%rdi)
        movq    %r14, (CONTEXT_RAX + 14 * 8)(%rdi)
        movq    %r15, (CONTEXT_RAX + 15 * 8)(%rdi)
        leaq    8(%rsp), %rax
        movq    %rax, (CONTEXT_RAX + 4 * 8)(%rdi)
        movq    (%rsp), %rax
        movq    %rax, CONTEXT_RIP(%rdi)
        fxsave64 CONTEXT_FLTSAVE(%rdi)
        stmxcsr CONTEXT_MXCSR(%rdi)
        movw    %cs, CONTEXT_SEGCS(%rdi)
        movw    %ss, CONTEXT_SEGSS(%rdi)
        pushfq
        popq    %rax
        movl    %eax, CONTEXT_EFLAGS(%rdi)
        ret
        .size   KiCaptureRegisters, . - KiCaptureRegisters

/*
 * VOID NTAPI RtlCaptureContext(PCONTEXT Context). All registers as the caller has them at the call; KiFinishCapture then
 * replaces those that the boundary changed if the caller is an image.
 */
        .globl  RtlCaptureContext
        .type   RtlCaptureContext, @function
        .p2align 4
RtlCaptureContext:
        movq    %rax, (CONTEXT_RAX + 0 * 8)(%rcx)
        movq    %rcx, (CONTEXT_RAX + 1 * 8)(%rcx)
        movq    %rdx, (CONTEXT_RAX + 2 * 8)(%rcx)
        movq    %rsi, (CONTEXT_RAX + 6 * 8)(%rcx)
        movq    %rdi, (CONTEXT_RAX + 7 * 8)(%rcx)
        movq    %r8, (CONTEXT_RAX + 8 * 8)(%rcx)
        movq    %r9, (CONTEXT_RAX + 9 * 8)(%rcx)
        movq    %r10, (CONTEXT_RAX + 10 * 8)(%rcx)
        movq    %r11, (CONTEXT_RAX + 11 * 8)(%rcx)
        pushq   %rbp
        movq    %rsp, %rbp
        pushq   %rdi
        pushq   %rsi
        pushq   %rcx
        subq    $8, %rsp
        movq    %rcx, %rdi
        movq    (%rbp), %rax
        movq    %rbp, %rsi
        movq    %rax, %rbp
        callq   KiCaptureRegisters
        movq    %rsi, %rbp
        movq    8(%rsp), %rdi
        leaq    8(%rbp), %rsi
        callq   KiFinishCapture
        addq    $16, %rsp
        popq    %rsi
        popq    %rdi
        popq    %rbp
        ret
        .size   RtlCaptureContext, . - RtlCaptureContext

/* VOID KiLoadVectors(const CONTEXT *Context) */
        .globl  KiLoadVectors
        .type   KiLoadVectors, @function
        .p2align 4
KiLoadVectors:
        movups  (CONTEXT_XMM0 + 0x60)(%rdi), %xmm6
        movups  (CONTEXT_XMM0 + 0x70)(%rdi), %xmm7
        movups  (CONTEXT_XMM0 + 0x80)(%rdi), %xmm8
        movups  (CONTEXT_XMM0 + 0x90)(%rdi), %xmm9
        movups  (CONTEXT_XMM0 + 0xA0)(%rdi), %xmm10
        movups  (CONTEXT_XMM0 + 0xB0)(%rdi), %xmm11
        movups  (CONTEXT_XMM0 + 0xC0)(%rdi), %xmm12
        movups  (CONTEXT_XMM0 + 0xD0)(%rdi), %xmm13
        movups  (CONTEXT_XMM0 + 0xE0)(%rdi), %xmm14
        movups  (CONTEXT_XMM0 + 0xF0)(%rdi), %xmm15
        ret
        .size   KiLoadVectors, . - KiLoadVectors

/*
 * VOID KiRestoreRegisters(PCONTEXT Context). The record lies above the stack pointer or elsewhere. MXCSR and flags were
 * checked: neither load can fault.
 */
        .globl  KiRestoreRegisters
        .type   KiRestoreRegisters, @function
        .p2align 4
KiRestoreRegisters:
        callq   KiLoadVectors
        movups  (CONTEXT_XMM0 + 0x00)(%rdi), %xmm0
        movups  (CONTEXT_XMM0 + 0x10)(%rdi), %xmm1
        movups  (CONTEXT_XMM0 + 0x20)(%rdi), %xmm2
        movups  (CONTEXT_XMM0 + 0x30)(%rdi), %xmm3
        movups  (CONTEXT_XMM0 + 0x40)(%rdi), %xmm4
        movups  (CONTEXT_XMM0 + 0x50)(%rdi), %xmm5
        ldmxcsr CONTEXT_MXCSR(%rdi)
        movl    %ss, %eax
        pushq   %rax
        pushq   (CONTEXT_RAX + 4 * 8)(%rdi)
        movl    CONTEXT_EFLAGS(%rdi), %eax
        pushq   %rax
        movl    %cs, %eax
        pushq   %rax
        pushq   CONTEXT_RIP(%rdi)
        movq    (CONTEXT_RAX + 0 * 8)(%rdi), %rax
        movq    (CONTEXT_RAX + 1 * 8)(%rdi), %rcx
        movq    (CONTEXT_RAX + 2 * 8)(%rdi), %rdx
        movq    (CONTEXT_RAX + 3 * 8)(%rdi), %rbx
        movq    (CONTEXT_RAX + 5 * 8)(%rdi), %rbp
        movq    (CONTEXT_RAX + 6 * 8)(%rdi), %rsi
        movq    (CONTEXT_RAX + 8 * 8)(%rdi), %r8
        movq    (CONTEXT_RAX + 9 * 8)(%rdi), %r9
        movq    (CONTEXT_RAX + 10 * 8)(%rdi), %r10
        movq    (CONTEXT_RAX + 11 * 8)(%rdi), %r11
        movq    (CONTEXT_RAX + 12 * 8)(%rdi), %r12
        movq    (CONTEXT_RAX + 13 * 8)(%rdi), %r13
        movq    (CONTEXT_RAX + 14 * 8)(%rdi), %r14
        movq    (CONTEXT_RAX + 15 * 8)(%rdi), %r15
        movq    (CONTEXT_RAX + 7 * 8)(%rdi), %rdi
        iretq
        .size   KiRestoreRegisters, . - KiRestoreRegisters

/*
 * BOOLEAN KiGuardedCall(VOID (*Routine)(PVOID), PVOID Context, PKI_UNWIND_GUARD Guard). Returns FALSE after the call, or
 * TRUE, from KiLandOnGuard, with the stack as it was and the registers that a call preserves.
 */
        .globl  KiGuardedCall
        .type   KiGuardedCall, @function
        .p2align 4
KiGuardedCall:
        pushq   %rbp
        movq    %rsp, %rbp
        pushq   %rbx
        pushq   %r12
        pushq   %r13
        pushq   %r14
        pushq   %r15
        subq    $8, %rsp
        movq    %rsp, (%rdx)
        movq    %rdi, %rax
        movq    %rsi, %rdi
        callq   *%rax
        xorl    %eax, %eax
KipLeaveGuardedCall:
        addq    $8, %rsp
        popq    %r15
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %rbx
        popq    %rbp
        ret
        .size   KiGuardedCall, . - KiGuardedCall

        .globl  KiLandOnGuard
        .type   KiLandOnGuard, @function
        .p2align 4
KiLandOnGuard:
        movq    (%rdi), %rsp
        movl    $1, %eax
        jmp     KipLeaveGuardedCall
        .size   KiLandOnGuard, . - KiLandOnGuard

        .section .note.GNU-stack, "", @progbits
