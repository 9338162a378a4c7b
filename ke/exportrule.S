/*
 * Where calls of exports with a rule arrive (exportrule.c).
 */
#include "boundary.h"

        .text

/*
 * The routine has a rule. As KiExportEntry left it for the routine: r11 is the index, the arguments are in place and
 * stay so. KiCheckExport returns the routine.
 */
        .globl  KiCheckedExport
        .type   KiCheckedExport, @function
        .p2align 4
KiCheckedExport:
        pushq   %rbp
        movq    %rsp, %rbp
        pushq   %rcx
        pushq   %rdx
        pushq   %r8
        pushq   %r9
        pushq   %rdi
        pushq   %rsi
        movl    %r11d, %edi
        movq    %rcx, %rsi
        callq   KiCheckExport
        popq    %rsi
        popq    %rdi
        popq    %r9
        popq    %r8
        popq    %rdx
        popq    %rcx
        popq    %rbp
        jmpq    *%rax
        .size   KiCheckedExport, . - KiCheckedExport

        .section .note.GNU-stack, "", @progbits
