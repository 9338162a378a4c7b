/*
 * What the entry stubs in boot/ tell the bare-metal machine, whatever firmware or loader they were started
 * by.
 *
 * On entry to HalpStartMachine: long mode, interrupts off, the kernel image mapped at HALP_KERNEL_BASE and
 * the first 4 GB at their own addresses, all of it writable and executable, by tables that the machine
 * replaces. Physical addresses below 4 GB can be used as pointers until then.
 *
 * The same file serves the entry stub and the linker script: the numbers come first.
 */
#ifndef HAL_X64_BOOTINFO_H
#define HAL_X64_BOOTINFO_H

/* Physical address 0 of the image: the last 2 GB of the address space, as the kernel code model wants it. */
#define HALP_KERNEL_BASE 0xFFFFFFFF80000000
#define HALP_KERNEL_LOAD 0x200000

#ifndef __ASSEMBLER__

#include <hal/hal.h>

#define HALP_BOOT_RANGES  64
#define HALP_BOOT_FILES   16
#define HALP_FILE_NAME    64
#define HALP_COMMAND_LINE 1024

typedef struct _HALP_BOOT_RANGE {
    ULONG64 Base; /* bytes */
    ULONG64 Size;
} HALP_BOOT_RANGE, *PHALP_BOOT_RANGE;

typedef struct _HALP_BOOT_FILE {
    ULONG64 Base; /* bytes */
    ULONG64 Size;
    char Name[HALP_FILE_NAME]; /* empty if the loader does not say; cut off if it is longer */
} HALP_BOOT_FILE, *PHALP_BOOT_FILE;

typedef struct _HALP_BOOT_INFO {
    ULONG RamCount;
    HALP_BOOT_RANGE Ram[HALP_BOOT_RANGES]; /* usable RAM, in any order, the image and the files in it */
    ULONG FileCount;
    HALP_BOOT_FILE Files[HALP_BOOT_FILES]; /* what the loader put into RAM besides the kernel */
    char CommandLine[HALP_COMMAND_LINE];
    ULONG64 AcpiRoot; /* physical address of the RSDP, 0 if it is not known */
} HALP_BOOT_INFO, *PHALP_BOOT_INFO;

/* Copy a loader's text, if there is one, over zeroes; FALSE if it was cut off. */
static inline BOOLEAN
HalpCopyBootText(char *To, ULONG Size, const char *Text)
{
    ULONG Index;

    for (Index = 0; Text != NULL && Text[Index] != 0; Index += 1) {
        if (Index + 1 == Size) {
            return FALSE;
        }
        To[Index] = Text[Index];
    }
    return TRUE;
}

/* The machine's beginning; Info is in the kernel image. */
VOID DECLSPEC_NORETURN HalpStartMachine(const HALP_BOOT_INFO *Info);

/* One line for a person on the first serial port, then the machine stops with status 2. */
VOID DECLSPEC_NORETURN HalpRefuse(const char *Text);

#endif
#endif
