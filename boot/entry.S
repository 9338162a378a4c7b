/*
 * The ways in. By PVH, the boot protocol of `qemu-system-x86_64 -kernel` and of Xen: an ELF note of type 18 names
 * the 32-bit entry, which gets the physical address of hvm_start_info in ebx, with paging and interrupts off. By
 * Multiboot2, GRUB's: a header near the image's beginning names another such entry, which gets that of the loader's
 * information, and a number in eax that says so.
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

#define MULTIBOOT_HEADER 0xE85250D6
#define MULTIBOOT_LOADED 0x36D76289

#define COM1 0x3F8
#define EXIT_PORT 0xF4
#define EXIT_REFUSED (16 + 2) /* HALP_EXIT_BASE and status 2 */

#define BY_PVH 0
#define BY_MULTIBOOT 1

        .section .note.Xen, "a", @note
        .balign 4
        .long 4
        .long 8
        .long 18
        .asciz "Xen"
        .quad HalpPvhEntry

        .section .boot.text, "ax", @progbits
        .balign 8
MultibootHeader:
        .long MULTIBOOT_HEADER
        .long 0                                 /* i386: entered in 32-bit mode */
        .long MultibootHeaderEnd - MultibootHeader
        .long -(MULTIBOOT_HEADER + MultibootHeaderEnd - MultibootHeader)
        .word 3, 0                              /* entry */
        .long 12
        .long HalpMultibootEntry
        .balign 8
        .word 6, 0                              /* files at page boundaries */
        .long 8
        .word 0, 0
        .long 8
MultibootHeaderEnd:

        .code32
        .globl HalpMultibootEntry
        .type HalpMultibootEntry, @function
HalpMultibootEntry:
        movl $BY_MULTIBOOT, %ebp
        cmpl $MULTIBOOT_LOADED, %eax
        je Enter
        movl $NoMultiboot, %esi
        jmp Refuse

        .globl HalpPvhEntry
        .type HalpPvhEntry, @function
HalpPvhEntry:
        movl $BY_PVH, %ebp
Enter:
        cli
        cld
        movl %ebx, %esi

        movl $0x80000000, %eax
        cpuid
        cmpl $0x80000001, %eax
        jb Unable
        movl $0x80000001, %eax
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

/* One line on the first serial port, as firmware left it, then the end with status 2. */
Unable: movl $NoLongMode, %esi
Refuse: movw $(COM1 + 5), %dx
1:      inb %dx, %al
        testb $0x20, %al
        jz 1b
        lodsb
        testb %al, %al
        jz 2f
        movw $COM1, %dx
        outb %al, %dx
        jmp Refuse
2:      movl $EXIT_REFUSED, %eax
        movw $EXIT_PORT, %dx
        outl %eax, %dx
        cli
3:      hlt
        jmp 3b

NoLongMode:
        .asciz "ntmm: the processor has no 64-bit mode or no execute protection\n"
NoMultiboot:
        .asciz "ntmm: started by a loader that is neither PVH's nor Multiboot2's\n"
        .balign 8

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
        movl %esi, %edi
        movq $HalpPvhStart, %rax
        cmpl $BY_PVH, %ebp
        je 1f
        movq $HalpMultibootStart, %rax
1:      xorl %ebp, %ebp
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
