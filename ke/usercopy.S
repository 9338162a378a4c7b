/*
 * NTSTATUS KiUserCopy(PVOID To, const VOID *From, SIZE_T Length). One of the ranges is user memory. A fault between KiUserCopy
 * and KiUserCopyEnd that cannot be resolved goes on at KiUserCopyFailed with the status in rax (user.c).
 */
        .text
        .globl  KiUserCopy
        .type   KiUserCopy, @function
        .p2align 4
KiUserCopy:
        .cfi_startproc
        movq    %rdx, %rcx
        shrq    $3, %rcx
        rep movsq
        movl    %edx, %ecx
        andl    $7, %ecx
        rep movsb
        xorl    %eax, %eax
        ret
        .cfi_endproc
        .globl  KiUserCopyEnd
KiUserCopyEnd:
        .size   KiUserCopy, . - KiUserCopy

        .globl  KiUserCopyFailed
        .type   KiUserCopyFailed, @function
KiUserCopyFailed:
        ret
        .size   KiUserCopyFailed, . - KiUserCopyFailed

/*
 * NTSTATUS KiCallService(PVOID Routine, const ULONG64 *Arguments, ULONG Count). At least four arguments are there, whatever Count
 * says; those above four go to the stack, over the home places.
 */
        .globl  KiCallService
        .type   KiCallService, @function
        .p2align 4
KiCallService:
        .cfi_startproc
        pushq   %rbp
        .cfi_def_cfa_offset 16
        .cfi_offset %rbp, -16
        movq    %rsp, %rbp
        .cfi_def_cfa_register %rbp
        pushq   %rdi
        pushq   %rsi
        movq    %rdi, %rax
        movq    %rsi, %r10
        movl    %edx, %ecx
        subl    $4, %ecx
        jbe     1f
        movl    %ecx, %edx
        addl    $1, %edx
        andl    $-2, %edx
        shll    $3, %edx
        subq    %rdx, %rsp
        leaq    32(%r10), %rsi
        movq    %rsp, %rdi
        rep movsq
1:      subq    $32, %rsp
        movq    (%r10), %rcx
        movq    8(%r10), %rdx
        movq    16(%r10), %r8
        movq    24(%r10), %r9
        callq   *%rax
        movq    -8(%rbp), %rdi
        movq    -16(%rbp), %rsi
        leave
        .cfi_def_cfa %rsp, 8
        retq
        .cfi_endproc
        .size   KiCallService, . - KiCallService

/*
 * VOID KiEnterUser(const KTRAP_FRAME *Frame, PKTRAP_FRAME Place). Place is at the base of the stack in use, where the callers' frames are, and
 * Frame in the innermost one: copied from the top down, for they may overlap; then on from below Place.
 */
        .globl  KiEnterUser
        .type   KiEnterUser, @function
KiEnterUser:
        movq    %rsi, %rax
        movl    $(0x190 / 8), %ecx
        leaq    0x188(%rdi), %rdx
        leaq    0x188(%rsi), %rdi
        movq    %rdx, %rsi
        std
        rep movsq
        cld
        movq    %rax, %rdi
        movq    %rax, %rsp
        xorl    %ebp, %ebp
        pushq   $0
        jmp     HalEnterUserMode
        .size   KiEnterUser, . - KiEnterUser

        .section .note.GNU-stack, "", @progbits
