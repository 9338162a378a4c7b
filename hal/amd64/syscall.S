/*
 * syscall.S - `syscall` from user mode: a KTRAP_FRAME at the base of the thread's kernel stack, as a trap would leave it.
 *
 * The processor has put the user's rip into rcx and its flags into r11, and turned interrupts off. XMM0-5 belong to nobody across
 * a call, but a service may set them with the whole context, so they go out of the frame. What the service left as it was goes
 * back by sysret, a new context by iretq, which alone can load rcx and r11.
 */
#include "syscall.h"

        .text
        .balign 16
        .globl HalpSystemCallEntry
        .type HalpSystemCallEntry, @function
HalpSystemCallEntry:
        swapgs
        movq %rsp, %gs:HALP_PCR_USER_RSP
        movq %gs:0x1B0, %rsp
        subq $0x190, %rsp
        movq %rcx, 0x168(%rsp)
        movq %r11, 0x178(%rsp)
        movq %gs:HALP_PCR_USER_RSP, %rcx
        movq %rcx, 0x180(%rsp)
        movl $HALP_SELECTOR_USER_CODE, %ecx
        movq %rcx, 0x170(%rsp)
        movl $HALP_SELECTOR_USER_DATA, %ecx
        movq %rcx, 0x188(%rsp)
        movq 0x168(%rsp), %rcx
        movq $0, 0x20(%rsp)
        movq $1, 0x28(%rsp)             /* PreviousMode: UserMode */
        movq $0, 0x160(%rsp)
        movq %r12, 0x00(%rsp)
        movq %r13, 0x08(%rsp)
        movq %r14, 0x10(%rsp)
        movq %r15, 0x18(%rsp)
        movq %rax, 0x30(%rsp)
        movq %rcx, 0x38(%rsp)
        movq %rdx, 0x40(%rsp)
        movq %r8, 0x48(%rsp)
        movq %r9, 0x50(%rsp)
        movq %r10, 0x58(%rsp)
        movq %r11, 0x60(%rsp)
        movq %rbx, 0x140(%rsp)
        movq %rdi, 0x148(%rsp)
        movq %rsi, 0x150(%rsp)
        movq %rbp, 0x158(%rsp)
        movaps %xmm0, 0x70(%rsp)
        movaps %xmm1, 0x80(%rsp)
        movaps %xmm2, 0x90(%rsp)
        movaps %xmm3, 0xA0(%rsp)
        movaps %xmm4, 0xB0(%rsp)
        movaps %xmm5, 0xC0(%rsp)
        stmxcsr 0x2C(%rsp)
        movq %rsp, %rbx
        movq %rsp, %rdi
        pushq 0x168(%rbx)
        pushq 0x158(%rbx)
        movq %rsp, %rbp
        call HalpSystemCall
        movq 0x168(%rbx), %rcx
        movq 0x178(%rbx), %r11
        cmpq 0x38(%rbx), %rcx
        jne HalpTrapExit
        cmpq 0x60(%rbx), %r11
        jne HalpTrapExit
        movaps 0x70(%rbx), %xmm0
        movaps 0x80(%rbx), %xmm1
        movaps 0x90(%rbx), %xmm2
        movaps 0xA0(%rbx), %xmm3
        movaps 0xB0(%rbx), %xmm4
        movaps 0xC0(%rbx), %xmm5
        ldmxcsr 0x2C(%rbx)
        movq 0x00(%rbx), %r12
        movq 0x08(%rbx), %r13
        movq 0x10(%rbx), %r14
        movq 0x18(%rbx), %r15
        movq 0x30(%rbx), %rax
        movq 0x40(%rbx), %rdx
        movq 0x48(%rbx), %r8
        movq 0x50(%rbx), %r9
        movq 0x58(%rbx), %r10
        movq 0x148(%rbx), %rdi
        movq 0x150(%rbx), %rsi
        movq 0x158(%rbx), %rbp
        movq 0x180(%rbx), %rsp
        movq 0x140(%rbx), %rbx
        swapgs
        sysretq
        .size HalpSystemCallEntry, . - HalpSystemCallEntry

        .section .note.GNU-stack, "", @progbits
