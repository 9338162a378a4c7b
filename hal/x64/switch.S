/*
 * Leaving a stack and entering another: the same code on every x64 machine, which includes this file in its own.
 *
 * A stack that is not in use has on its top what HalpSwitch pushed: XMM6-15, MXCSR and the x87 control word (an
 * image expects a call to keep them, and the core, which has no XMM code, would not), r15-r12, rbx, rbp, and the
 * return address. HalpMakeSwitchFrame (switch.h) makes the same picture for a new stack.
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
