/*
 * trap.S - the way into and out of a trap or interrupt, on the interrupted stack; and stack switching, which is the
 * same on all x64 machines.
 *
 * Each vector's stub completes what the processor pushed to the end of a KTRAP_FRAME: the error code (0 where there is
 * none) and rbp; the rest of the frame is saved here. As on the hosted machine, r12-r15 are in its P1Home to P4Home,
 * and a frame-pointer link leads a backtrace on at the interrupted instruction. Of the floating-point state XMM0-5
 * and MXCSR are saved: the core uses none, and what an image's routine called from here changes beyond those it
 * restores by convention. From user mode all of it is saved below the frame, where P5 leads, and gs changes its base; a trap with
 * a stack of its own may have come between a crossing and its swapgs, so those ask which base is loaded. Offsets into KTRAP_FRAME are asserted in trap.c.
 */
#include <hal/x64/switch.S>

        .set HALP_VECTOR_AREA, 576      /* FXSAVE's 512 bytes and a header as XSAVE has it */

        .macro STUB Vector
        .balign 16
HalpTrapStub\Vector:
        .if (\Vector != 8) && (\Vector != 10) && (\Vector != 11) && (\Vector != 12) && (\Vector != 13) && \
            (\Vector != 14) && (\Vector != 17) && (\Vector != 21) && (\Vector != 29) && (\Vector != 30)
        pushq $0
        .endif
        pushq %rbp
        movl $\Vector, %ebp
        jmp HalpTrapEntry
        .pushsection .rodata.stubs, "a", @progbits
        .quad HalpTrapStub\Vector
        .popsection
        .endm

        .pushsection .rodata.stubs, "a", @progbits
        .balign 8
        .globl HalpTrapStubs
HalpTrapStubs:
        .popsection
        .altmacro
        .set Number, 0
        .rept 256
        STUB %Number
        .set Number, Number + 1
        .endr
        .noaltmacro

        .balign 16
        .type HalpTrapEntry, @function
HalpTrapEntry:
        cld
        subq $0x158, %rsp
        movq %r12, 0x00(%rsp)
        movq %r13, 0x08(%rsp)
        movq %r14, 0x10(%rsp)
        movq %r15, 0x18(%rsp)
        movq $0, 0x20(%rsp)             /* P5: no vector state in memory */
        movq $0, 0x28(%rsp)
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
        movaps %xmm0, 0x70(%rsp)
        movaps %xmm1, 0x80(%rsp)
        movaps %xmm2, 0x90(%rsp)
        movaps %xmm3, 0xA0(%rsp)
        movaps %xmm4, 0xB0(%rsp)
        movaps %xmm5, 0xC0(%rsp)
        stmxcsr 0x2C(%rsp)
        ldmxcsr HalpTrapMxCsr(%rip)
        movq %rsp, %rbx
        cmpl $2, %ebp                   /* NMI, double fault, machine check */
        je 2f
        cmpl $8, %ebp
        je 2f
        cmpl $18, %ebp
        je 2f
        testb $3, 0x170(%rbx)
        jz 3f
        swapgs
        movb $1, 0x28(%rbx)             /* PreviousMode: UserMode */
        subq $HALP_VECTOR_AREA, %rsp
        andq $-64, %rsp
        fxsave64 (%rsp)
        fninit
        movq $0, 512(%rsp)
        movq %rsp, 0x20(%rbx)
        jmp 3f
2:      movl $0xC0000101, %ecx          /* GS base: the kernel's is in the upper half */
        rdmsr
        testl %edx, %edx
        js 3f
        swapgs
        movb $1, 0x2B(%rbx)             /* ExceptionActive: swap back */
3:      movq %cr8, %rax
        movb %al, 0x29(%rbx)
        movq %rbx, %rdi
        movl %ebp, %esi
        movq %cr2, %rdx
        pushq 0x168(%rbx)
        pushq 0x158(%rbx)
        movq %rsp, %rbp
        call HalpTrap
        movq 0x20(%rbx), %rax
        testq %rax, %rax
        jz HalpTrapExit
        fxrstor64 (%rax)
        .globl HalpTrapExit
HalpTrapExit:
        movq %rbx, %rsp
        movaps 0x70(%rsp), %xmm0
        movaps 0x80(%rsp), %xmm1
        movaps 0x90(%rsp), %xmm2
        movaps 0xA0(%rsp), %xmm3
        movaps 0xB0(%rsp), %xmm4
        movaps 0xC0(%rsp), %xmm5
        ldmxcsr 0x2C(%rsp)
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
        testb $3, 0x170(%rsp)
        jnz 4f
        cmpb $0, 0x2B(%rsp)
        jz 5f
4:      swapgs
5:      addq $0x168, %rsp
        iretq
        .size HalpTrapEntry, . - HalpTrapEntry

/* VOID HalpResumeFrame(PKTRAP_FRAME): resume a frame that no trap made, with clear vector registers. Interrupts are off. */
        .globl HalpResumeFrame
        .type HalpResumeFrame, @function
HalpResumeFrame:
        movq %rdi, %rbx
        fninit
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
        jmp HalpTrapExit
        .size HalpResumeFrame, . - HalpResumeFrame

        .section .rodata
        .balign 4
HalpTrapMxCsr:
        .long 0x1F80

        .section .note.GNU-stack, "", @progbits
