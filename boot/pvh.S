/*
 * The way in by PVH, the boot protocol of `qemu-system-x86_64 -kernel` and of Xen: an ELF note of type 18 names
 * the 32-bit entry, which gets the physical address of hvm_start_info in ebx, with paging and interrupts off.
 *
 * Here the first tables are made (the first 4 GB at their own addresses, the first of them at HALP_KERNEL_BASE too, in
 * 2 MB pages), long mode is entered and C code called. Everything in this file lies at its physical address and is
 * left behind for good when the machine has its own tables: its frames become ordinary free memory.
 */
#include <hal/x64/bootinfo.h>

#define MSR_EFER 0xC0000080
#define EFER_LME 0x100
#define EFER_NXE 0x800
#define CR0_BITS 0x80050033 /* PG AM WP NE ET MP PE */
#define CR4_PAE 0x20
#define LARGE_PAGE 0x83 /* present, writable, 2 MB */
#define TABLE 0x03
#define CPUID_LONG_MODE_AND_NX ((1 << 29) | (1 << 20))

        .section .note.Xen, "a", @note
        .balign 4
        .long 4
        .long 8
        .long 18
        .asciz "Xen"
        .quad HalpPvhEntry

        .section .boot.text, "ax", @progbits
        .code32
        .globl HalpPvhEntry
        .type HalpPvhEntry, @function
HalpPvhEntry:
        cli
        cld
        movl $0x80000001, %eax
        movl %ebx, %esi
        cpuid
        andl $CPUID_LONG_MODE_AND_NX, %edx
        cmpl $CPUID_LONG_MODE_AND_NX, %edx
        jne Unable

        /* 2048 entries of 2 MB. */
        movl $BootDirectories, %edi
        movl $LARGE_PAGE, %eax
        xorl %ecx, %ecx
1:      movl %eax, (%edi, %ecx, 8)
        movl $0, 4(%edi, %ecx, 8)
        addl $0x200000, %eax
        incl %ecx
        cmpl $2048, %ecx
        jne 1b

        movl $(BootDirectories + TABLE), BootLow
        movl $(BootDirectories + 0x1000 + TABLE), BootLow + 8
        movl $(BootDirectories + 0x2000 + TABLE), BootLow + 16
        movl $(BootDirectories + 0x3000 + TABLE), BootLow + 24
        movl $(BootDirectories + TABLE), BootHigh + 510 * 8
        movl $(BootLow + TABLE), BootRoot
        movl $(BootHigh + TABLE), BootRoot + 511 * 8

        movl %cr4, %eax
        orl $CR4_PAE, %eax
        movl %eax, %cr4
        movl $BootRoot, %eax
        movl %eax, %cr3
        movl $MSR_EFER, %ecx
        rdmsr
        orl $(EFER_LME | EFER_NXE), %eax
        wrmsr
        movl $CR0_BITS, %eax
        movl %eax, %cr0
        lgdt BootGdtPointer
        ljmp $8, $LongMode

/* No 64-bit processor: there is nothing to say it with. */
Unable: hlt
        jmp Unable

        .code64
LongMode:
        movl $16, %eax
        movl %eax, %ds
        movl %eax, %es
        movl %eax, %ss
        xorl %eax, %eax
        movl %eax, %fs
        movl %eax, %gs
        movq $BootStackTop, %rsp
        xorl %ebp, %ebp
        movl %esi, %edi
        movq $HalpPvhStart, %rax
        call *%rax
        ud2
        .size HalpPvhEntry, . - HalpPvhEntry

        .balign 8
BootGdt:
        .quad 0
        .quad 0x00AF9B000000FFFF
        .quad 0x00CF93000000FFFF
BootGdtPointer:
        .word . - BootGdt - 1
        .quad BootGdt

        .section .boot.bss, "aw", @nobits
        .balign 4096
BootRoot:
        .skip 4096
BootLow:
        .skip 4096
BootHigh:
        .skip 4096
BootDirectories:
        .skip 4 * 4096

        .bss
        .balign 16
        .skip 16384
BootStackTop:

        .section .note.GNU-stack, "", @progbits
