/*
 * switch.S - leaving a stack, entering another, and the way into and out of a trap.
 *
 * A stack that is not in use has on its top what HalpSwitch pushed: XMM6-15, MXCSR and the x87
 * control word (an image expects a call to keep them, and the core, which has no XMM code, would
 * not), r15-r12, rbx, rbp, and the return address. stack.c makes the same picture for a new stack.
 * Offsets into KTRAP_FRAME are asserted in trap.c.
 */
        .text

/* VOID HalpSwitch(PVOID *Saved, PVOID Next) */
        .globl HalpSwitch
        .type HalpSwitch, @function
HalpSwitch:
        pushq %rbp
        pushq %rbx
        pushq %r12
        pushq %r13
        pushq %r14
        pushq %r15
        subq $168, %rsp
        movaps %xmm6, 0(%rsp)
        movaps %xmm7, 16(%rsp)
        movaps %xmm8, 32(%rsp)
        movaps %xmm9, 48(%rsp)
        movaps %xmm10, 64(%rsp)
        movaps %xmm11, 80(%rsp)
        movaps %xmm12, 96(%rsp)
        movaps %xmm13, 112(%rsp)
        movaps %xmm14, 128(%rsp)
        movaps %xmm15, 144(%rsp)
        stmxcsr 160(%rsp)
        fnstcw 164(%rsp)
        movq %rsp, (%rdi)
        movq %rsi, %rsp
        movaps 0(%rsp), %xmm6
        movaps 16(%rsp), %xmm7
        movaps 32(%rsp), %xmm8
        movaps 48(%rsp), %xmm9
        movaps 64(%rsp), %xmm10
        movaps 80(%rsp), %xmm11
        movaps 96(%rsp), %xmm12
        movaps 112(%rsp), %xmm13
        movaps 128(%rsp), %xmm14
        movaps 144(%rsp), %xmm15
        ldmxcsr 160(%rsp)
        fldcw 164(%rsp)
        addq $168, %rsp
        popq %r15
        popq %r14
        popq %r13
        popq %r12
        popq %rbx
        popq %rbp
        ret
        .size HalpSwitch, . - HalpSwitch

/* Where the first switch to a stack arrives: r12 is the entry, r13 its context. */
        .globl HalpThreadStart
        .type HalpThreadStart, @function
HalpThreadStart:
        xorl %ebp, %ebp
        movq %r12, %rdi
        movq %r13, %rsi
        call HalpThreadMain
        ud2
        .size HalpThreadStart, . - HalpThreadStart

/*
 * VOID HalpCallOn(PVOID StackTop, VOID (*Routine)(PVOID), PVOID Context): frame pointers lead
 * back.
 */
        .globl HalpCallOn
        .type HalpCallOn, @function
HalpCallOn:
        pushq %rbp
        movq %rsp, %rbp
        movq %rdi, %rsp
        movq %rdx, %rdi
        call *%rsi
        movq %rbp, %rsp
        popq %rbp
        ret
        .size HalpCallOn, . - HalpCallOn

/*
 * The handler of trap.c resumes the interrupted code here, on the interrupted stack: rsp and rdi
 * are the KTRAP_FRAME, rsi the vector, rdx the fault address. r12-r15, for which the frame has no
 * field, are in its P1Home to P4Home. The rest of the XMM and x87 state is kept below the frame.
 * Two words make a frame-pointer link, so that a backtrace goes on at the interrupted instruction.
 */
        .globl HalpTrapEntry
        .type HalpTrapEntry, @function
HalpTrapEntry:
        movq %rdi, %rbx
        subq $512, %rsp
        fxsave64 (%rsp)
        movl 24(%rsp), %eax
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
        call HalpTrap
        addq $16, %rsp
        fxrstor64 (%rsp)
        ldmxcsr 0x2C(%rbx)
        movaps 0x70(%rbx), %xmm0
        movaps 0x80(%rbx), %xmm1
        movaps 0x90(%rbx), %xmm2
        movaps 0xA0(%rbx), %xmm3
        movaps 0xB0(%rbx), %xmm4
        movaps 0xC0(%rbx), %xmm5
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

        .section .note.GNU-stack, "", @progbits
