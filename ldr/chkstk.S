/*
 * __chkstk: compilers call it where a function is about to take more than a page of stack. rax is how many bytes; every
 * register is preserved and the stack pointer is the caller's to move. Each page on the way is touched in order, so that
 * a stack too small ends at its guard page.
 *
 * The code is position independent: it is copied into the system image, because a stub that goes through the boundary
 * would not keep rax.
 */
        .text
        .globl LdrpProbeStack
        .globl LdrpProbeStackEnd
LdrpProbeStack:
        pushq %r10
        pushq %r11
        leaq 24(%rsp), %r10             /* the caller's stack pointer */
        movq %r10, %r11
        subq %rax, %r11                 /* what it will be */
1:      subq $0x1000, %r10
        cmpq %r11, %r10
        jbe 2f
        testb %al, (%r10)
        jmp 1b
2:      testb %al, (%r11)
        popq %r11
        popq %r10
        ret
LdrpProbeStackEnd:

        .section .note.GNU-stack, "", @progbits
