/*
 * switch.S - the way into and out of a trap; stack switching, which is the same on all x64 machines.
 *
 * Offsets into KTRAP_FRAME are asserted in trap.c.
 */
#include <hal/x64/switch.S>

/*
 * The handler of trap.c resumes the interrupted code here, on the interrupted stack: rsp and rdi
 * are the KTRAP_FRAME, rsi the vector, rdx the fault address. r12-r15, for which the frame has no
 * field, are in its P1Home to P4Home; P5 leads to the vector state. The whole vector and x87 state is kept below the frame, in the form of
 * XSAVE: an interrupted image or sanitizer run time may use the wide registers, and what runs until the frame is
 * resumed may too.
 * Two words make a frame-pointer link, so that a backtrace goes on at the interrupted instruction.
 */
        .globl HalpTrapEntry
        .type HalpTrapEntry, @function
HalpTrapEntry:
        movq %rdi, %rbx
        movq %rdx, %r13
        movl HalpXsaveSize(%rip), %eax
        subq %rax, %rsp
        andq $-64, %rsp
        movq %rsp, %r12
        xorl %eax, %eax
        movq %rax, 512(%r12)            /* the header, which XSAVE writes only in part */
        movq %rax, 520(%r12)
        movq %rax, 528(%r12)
        movq %rax, 536(%r12)
        movq %rax, 544(%r12)
        movq %rax, 552(%r12)
        movq %rax, 560(%r12)
        movq %rax, 568(%r12)
        movl $-1, %eax
        movl $-1, %edx
        xsave64 (%r12)
        movq %r12, 0x20(%rbx)           /* where a dispatched exception finds and changes it */
        movl 24(%r12), %eax
        movl %eax, 0x2C(%rbx)
        movaps %xmm0, 0x70(%rbx)
        movaps %xmm1, 0x80(%rbx)
        movaps %xmm2, 0x90(%rbx)
        movaps %xmm3, 0xA0(%rbx)
        movaps %xmm4, 0xB0(%rbx)
        movaps %xmm5, 0xC0(%rbx)
        pushq 0x168(%rbx)
        pushq 0x158(%rbx)
        movq %rsp, %rbp
        movq %r13, %rdx
        call HalpTrap
        movl $-1, %eax
        movl $-1, %edx
        xrstor64 (%r12)
        ldmxcsr 0x2C(%rbx)
        movaps 0x70(%rbx), %xmm0
        movaps 0x80(%rbx), %xmm1
        movaps 0x90(%rbx), %xmm2
        movaps 0xA0(%rbx), %xmm3
        movaps 0xB0(%rbx), %xmm4
        movaps 0xC0(%rbx), %xmm5
HalpTrapExit:
        movq %rbx, %rsp
        movq 0x00(%rsp), %r12
        movq 0x08(%rsp), %r13
        movq 0x10(%rsp), %r14
        movq 0x18(%rsp), %r15
        movq 0x30(%rsp), %rax
        movq 0x38(%rsp), %rcx
        movq 0x40(%rsp), %rdx
        movq 0x48(%rsp), %r8
        movq 0x50(%rsp), %r9
        movq 0x58(%rsp), %r10
        movq 0x60(%rsp), %r11
        movq 0x140(%rsp), %rbx
        movq 0x148(%rsp), %rdi
        movq 0x150(%rsp), %rsi
        movq 0x158(%rsp), %rbp
        addq $0x168, %rsp
        iretq
        .size HalpTrapEntry, . - HalpTrapEntry

/* VOID HalpResumeFrame(PKTRAP_FRAME): resume a frame that no trap made, with clear vector registers. */
        .globl HalpResumeFrame
        .type HalpResumeFrame, @function
HalpResumeFrame:
        movq %rdi, %rbx
        fninit
        ldmxcsr 0x2C(%rbx)
        pxor %xmm6, %xmm6
        pxor %xmm7, %xmm7
        pxor %xmm8, %xmm8
        pxor %xmm9, %xmm9
        pxor %xmm10, %xmm10
        pxor %xmm11, %xmm11
        pxor %xmm12, %xmm12
        pxor %xmm13, %xmm13
        pxor %xmm14, %xmm14
        pxor %xmm15, %xmm15
        movaps 0x70(%rbx), %xmm0
        movaps 0x80(%rbx), %xmm1
        movaps 0x90(%rbx), %xmm2
        movaps 0xA0(%rbx), %xmm3
        movaps 0xB0(%rbx), %xmm4
        movaps 0xC0(%rbx), %xmm5
        jmp HalpTrapExit
        .size HalpResumeFrame, . - HalpResumeFrame

        .section .note.GNU-stack, "", @progbits
