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

        .section .note.GNU-stack, "", @progbits
