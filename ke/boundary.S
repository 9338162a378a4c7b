/*
 * The two crossings of boundary.h in assembly: calls from images (KiExportEntry, KiExportReturn) and
 * calls into them (KiCallImage6). Thread and record are found through gs at each end, because the thread may
 * come back on another processor.
 */
#include "boundary.h"

        .text

/*
 * An image's call. r11d: index of the export; rcx, rdx, r8, r9 and the stack: the image's, to be left as they
 * are. rax and r10 are free. The return address is replaced by KiExportReturn, so that the routine finds its stack
 * arguments in their places.
 */
        .globl  KiExportEntry
        .type   KiExportEntry, @function
        .p2align 4
KiExportEntry:
        movq    %gs:PCR_CURRENT_THREAD, %r10
        movq    KTHREAD_BOUNDARY_TOP(%r10), %rax
        cmpq    KTHREAD_BOUNDARY_LIMIT(%r10), %rax
        jae     KipBoundaryOverflow
        addq    $BOUNDARY_SIZE, KTHREAD_BOUNDARY_TOP(%r10)
        movq    %rsp, BOUNDARY_RSP(%rax)
        movq    %rbx, BOUNDARY_RBX(%rax)
        movq    %rbp, BOUNDARY_RBP(%rax)
        movq    %rsi, BOUNDARY_RSI(%rax)
        movq    %rdi, BOUNDARY_RDI(%rax)
        movq    %r12, BOUNDARY_R12(%rax)
        movq    %r13, BOUNDARY_R13(%rax)
        movq    %r14, BOUNDARY_R14(%rax)
        movq    %r15, BOUNDARY_R15(%rax)
        movl    $KI_BOUNDARY_EXPORT, BOUNDARY_KIND(%rax)
        movl    %r11d, BOUNDARY_INDEX(%rax)
        movq    (%rsp), %r10
        movq    %r10, BOUNDARY_RIP(%rax)
#ifdef NTMM_SANITIZED
        movups  %xmm6, (BOUNDARY_XMM + 0x00)(%rax)
        movups  %xmm7, (BOUNDARY_XMM + 0x10)(%rax)
        movups  %xmm8, (BOUNDARY_XMM + 0x20)(%rax)
        movups  %xmm9, (BOUNDARY_XMM + 0x30)(%rax)
        movups  %xmm10, (BOUNDARY_XMM + 0x40)(%rax)
        movups  %xmm11, (BOUNDARY_XMM + 0x50)(%rax)
        movups  %xmm12, (BOUNDARY_XMM + 0x60)(%rax)
        movups  %xmm13, (BOUNDARY_XMM + 0x70)(%rax)
        movups  %xmm14, (BOUNDARY_XMM + 0x80)(%rax)
        movups  %xmm15, (BOUNDARY_XMM + 0x90)(%rax)
#endif
        leaq    KiExportReturn(%rip), %r10
        movq    %r10, (%rsp)
        movq    KiExportTable(%rip), %r10
        movl    %r11d, %r11d
        jmpq    *(%r10, %r11, 8)
        .size   KiExportEntry, . - KiExportEntry

/* The routine returned: rax and xmm0 are its result. */
        .globl  KiExportReturn
        .type   KiExportReturn, @function
        .p2align 4
KiExportReturn:
        movq    %gs:PCR_CURRENT_THREAD, %r10
        movq    KTHREAD_BOUNDARY_TOP(%r10), %r11
        subq    $BOUNDARY_SIZE, %r11
#ifdef NTMM_SANITIZED
        movups  (BOUNDARY_XMM + 0x00)(%r11), %xmm6
        movups  (BOUNDARY_XMM + 0x10)(%r11), %xmm7
        movups  (BOUNDARY_XMM + 0x20)(%r11), %xmm8
        movups  (BOUNDARY_XMM + 0x30)(%r11), %xmm9
        movups  (BOUNDARY_XMM + 0x40)(%r11), %xmm10
        movups  (BOUNDARY_XMM + 0x50)(%r11), %xmm11
        movups  (BOUNDARY_XMM + 0x60)(%r11), %xmm12
        movups  (BOUNDARY_XMM + 0x70)(%r11), %xmm13
        movups  (BOUNDARY_XMM + 0x80)(%r11), %xmm14
        movups  (BOUNDARY_XMM + 0x90)(%r11), %xmm15
#endif
        movq    BOUNDARY_RIP(%r11), %rcx
        movq    %r11, KTHREAD_BOUNDARY_TOP(%r10)
        jmpq    *%rcx
        .size   KiExportReturn, . - KiExportReturn

/*
 * ULONG_PTR KiCallImage6(PVOID Routine, A1, A2, A3, A4, A5, A6). System V in, Microsoft out. The core keeps
 * nothing in XMM registers across a call, so none are saved. The record's Rbp is this routine's own frame, from which
 * the core's frames can be followed.
 */
        .globl  KiCallImage6
        .type   KiCallImage6, @function
        .p2align 4
KiCallImage6:
        .cfi_startproc
        pushq   %rbp
        .cfi_def_cfa_offset 16
        .cfi_offset %rbp, -16
        movq    %rsp, %rbp
        .cfi_def_cfa_register %rbp
        pushq   %rbx
        subq    $0x38, %rsp
        cmpl    $0, KiPageableTables(%rip)
        jne     KipCallTrim
KipCallGo:
        movq    16(%rbp), %rax
        movq    %rax, 0x28(%rsp)
        movq    %r9, 0x20(%rsp)
        movq    %gs:PCR_CURRENT_THREAD, %r10
        movq    KTHREAD_BOUNDARY_TOP(%r10), %rax
        cmpq    KTHREAD_BOUNDARY_LIMIT(%r10), %rax
        jae     KipBoundaryOverflow
        addq    $BOUNDARY_SIZE, KTHREAD_BOUNDARY_TOP(%r10)
        movq    8(%rbp), %r11
        movq    %r11, BOUNDARY_RIP(%rax)
        leaq    8(%rbp), %r11
        movq    %r11, BOUNDARY_RSP(%rax)
        movq    %rbx, BOUNDARY_RBX(%rax)
        movq    %rbp, BOUNDARY_RBP(%rax)
        movq    %r12, BOUNDARY_R12(%rax)
        movq    %r13, BOUNDARY_R13(%rax)
        movq    %r14, BOUNDARY_R14(%rax)
        movq    %r15, BOUNDARY_R15(%rax)
        movl    $KI_BOUNDARY_CALLBACK, BOUNDARY_KIND(%rax)
        movl    $0, BOUNDARY_INDEX(%rax)
        movq    %rax, %rbx
        movq    %rdi, %r10
        movq    %r8, %r9
        movq    %rcx, %r8
        movq    %rsi, %rcx
        callq   *%r10
        .globl  KiCallImageReturn
KiCallImageReturn:
        movq    %gs:PCR_CURRENT_THREAD, %r10
        movq    %rbx, KTHREAD_BOUNDARY_TOP(%r10)
        movq    -8(%rbp), %rbx
        leave
        .cfi_remember_state
        .cfi_def_cfa %rsp, 8
        retq

/* There is pageable memory within the image's reach, which at DISPATCH_LEVEL it must not have. */
KipCallTrim:
        .cfi_restore_state
        pushq   %rdi
        pushq   %rsi
        pushq   %rdx
        pushq   %rcx
        pushq   %r8
        pushq   %r9
        callq   KiTrimForImage
        popq    %r9
        popq    %r8
        popq    %rcx
        popq    %rdx
        popq    %rsi
        popq    %rdi
        jmp     KipCallGo
        .cfi_endproc
        .size   KiCallImage6, . - KiCallImage6

/* All records are in use: as if the stack had run out. */
        .type   KipBoundaryOverflow, @function
KipBoundaryOverflow:
        andq    $-16, %rsp
        callq   KiBoundaryOverflow
        ud2
        .size   KipBoundaryOverflow, . - KipBoundaryOverflow

        .section .note.GNU-stack, "", @progbits
