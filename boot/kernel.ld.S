/*
 * Where the parts of the kernel image lie. The entry stub and its tables are at their physical addresses and are
 * given up after start; the rest is linked at HALP_KERNEL_BASE plus its physical address. Each part with rights of
 * its own begins a page: text read-execute, constants read, data read-write (memory.c maps them so).
 */
#include <hal/x64/bootinfo.h>

OUTPUT_FORMAT(elf64-x86-64)
ENTRY(HalpPvhEntry)

PHDRS
{
    boot PT_LOAD FLAGS(5);
    tables PT_LOAD FLAGS(6);
    text PT_LOAD FLAGS(5);
    rodata PT_LOAD FLAGS(4);
    data PT_LOAD FLAGS(6);
    note PT_NOTE FLAGS(4);
}

SECTIONS
{
    . = HALP_KERNEL_LOAD;
    .boot : { *(.boot.text) } :boot
    .note.Xen : { *(.note.Xen) } :boot :note
    . = ALIGN(0x1000);
    .boot.bss : { *(.boot.bss) } :tables
    . = ALIGN(0x1000);

    . += HALP_KERNEL_BASE;
    __executable_start = .;
    HalpTextStart = .;
    .text : AT(ADDR(.text) - HALP_KERNEL_BASE) { *(.text .text.*) } :text
    __etext = .;
    etext = .;
    /* Code that plays an image's in tests: not the core's. */
    .images : AT(ADDR(.images) - HALP_KERNEL_BASE) {
        __start_ketestimage = .;
        *(ketestimage)
        __stop_ketestimage = .;
    } :text
    . = ALIGN(0x1000);

    HalpRodataStart = .;
    .rodata : AT(ADDR(.rodata) - HALP_KERNEL_BASE) {
        *(.rodata .rodata.*)
        *(.eh_frame)
        . = ALIGN(8);
        __start_ntexports = .;
        KEEP(*(ntexports))
        __stop_ntexports = .;
        . = ALIGN(8);
        __start_ktests = .;
        KEEP(*(ktests))
        __stop_ktests = .;
    } :rodata
    . = ALIGN(0x1000);

    HalpDataStart = .;
    .data : AT(ADDR(.data) - HALP_KERNEL_BASE) { *(.data .data.*) } :data
    .bss : AT(ADDR(.bss) - HALP_KERNEL_BASE) { *(.bss .bss.*) *(COMMON) } :data
    . = ALIGN(0x1000);
    HalpKernelEnd = .;

    /DISCARD/ : { *(.note.GNU-stack) *(.note.gnu.*) *(.comment) }
}
