/*
 * thunk.S - run one copied instruction with an image's registers.
 *
 * VOID HalpRunThunk(PVOID Thunk, PHALP_THUNK_STATE State, PVOID Fx). The instruction does not use
 * the stack pointer, so that is all the way back. State: sixteen registers by number (the fourth,
 * rsp, unused), then flags. The copy ends with a jump to HalpThunkReturn.
 */
        .text

        .macro LOAD number, register
        movq 8*\number(%rsi), %\register
        .endm
        .macro STORE number, register
        movq %\register, 8*\number(%rsi)
        .endm

        .globl HalpRunThunk
        .type HalpRunThunk, @function
HalpRunThunk:
        pushq %rbp
        pushq %rbx
        pushq %r12
        pushq %r13
        pushq %r14
        pushq %r15
        pushq %rdx              /* 8(%rsp) at the return */
        pushq %rsi              /* 0(%rsp) */
        pushq %rdi              /* popped by ret below */
        fxrstor64 (%rdx)
        pushq 128(%rsi)
        popfq
        LOAD 0, rax
        LOAD 1, rcx
        LOAD 2, rdx
        LOAD 3, rbx
        LOAD 5, rbp
        LOAD 7, rdi
        LOAD 8, r8
        LOAD 9, r9
        LOAD 10, r10
        LOAD 11, r11
        LOAD 12, r12
        LOAD 13, r13
        LOAD 14, r14
        LOAD 15, r15
        LOAD 6, rsi
        ret
        .size HalpRunThunk, . - HalpRunThunk

        .globl HalpThunkReturn
        .type HalpThunkReturn, @function
HalpThunkReturn:
        pushq %rsi
        pushfq
        movq 16(%rsp), %rsi
        STORE 0, rax
        STORE 1, rcx
        STORE 2, rdx
        STORE 3, rbx
        STORE 5, rbp
        STORE 7, rdi
        STORE 8, r8
        STORE 9, r9
        STORE 10, r10
        STORE 11, r11
        STORE 12, r12
        STORE 13, r13
        STORE 14, r14
        STORE 15, r15
        popq %rax
        movq %rax, 128(%rsi)
        popq %rax
        STORE 6, rax
        movq 8(%rsp), %rdx
        fxsave64 (%rdx)
        cld
        addq $16, %rsp
        popq %r15
        popq %r14
        popq %r13
        popq %r12
        popq %rbx
        popq %rbp
        ret
        .size HalpThunkReturn, . - HalpThunkReturn

        .section .note.GNU-stack, "", @progbits
