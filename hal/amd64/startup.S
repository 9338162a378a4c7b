/*
 * startup.S - where a processor begins when another one has told it to start: in real mode at the beginning of a page
 * below 1 MB, to which this code is copied (startup.c). Addresses in it count from its beginning; the words at its end
 * are filled in after the copy. With the tables at HalpStartupRoot, which have the page at its own address and the
 * kernel's half, long mode is entered at once.
 */
        .section .rodata, "a", @progbits
        .balign 16
        .globl HalpStartupCode
        .globl HalpStartupWords
        .globl HalpStartupEnd
        .code16
HalpStartupCode:
        cli
        cld
        movw %cs, %ax
        movw %ax, %ds
        lgdtl HalpStartupGdtPointer - HalpStartupCode
        movl $0x20, %eax                        /* CR4: PAE */
        movl %eax, %cr4
        movl HalpStartupRoot - HalpStartupCode, %eax
        movl %eax, %cr3
        movl $0xC0000080, %ecx                  /* EFER: LME, NXE */
        rdmsr
        orl $0x900, %eax
        wrmsr
        movl $0x80010033, %eax                  /* CR0: PG WP NE ET MP PE */
        movl %eax, %cr0
        ljmpl *(HalpStartupFar - HalpStartupCode)

        .code64
HalpStartupLong:
        xorl %eax, %eax
        movl %eax, %ds
        movl %eax, %es
        movl %eax, %ss
        movl %eax, %fs
        movl %eax, %gs
        movq HalpStartupStack(%rip), %rsp
        movq HalpStartupProcessor(%rip), %rdi
        xorl %ebp, %ebp
        callq *HalpStartupEntry(%rip)
        ud2

        .balign 16
HalpStartupGdt:
        .quad 0
        .quad 0x00AF9B000000FFFF
        .balign 8
/* HALP_STARTUP_WORDS in startup.c. */
HalpStartupWords:
HalpStartupRoot:
        .quad 0
HalpStartupStack:
        .quad 0
HalpStartupProcessor:
        .quad 0
HalpStartupEntry:
        .quad 0
HalpStartupFar:
        .long HalpStartupLong - HalpStartupCode /* plus the page's address */
        .long 8
HalpStartupGdtPointer:
        .word 15
        .long HalpStartupGdt - HalpStartupCode  /* plus the page's address */
        .balign 8
HalpStartupEnd:

        .section .note.GNU-stack, "", @progbits
