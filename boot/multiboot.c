/*
 * Multiboot2's information to the machine's boot information: how GRUB starts the kernel on a PC. Runs once, on the
 * entry stub's tables, where physical addresses are pointers; everything it is told lies below 4 GB. What the loader
 * wrote is copied, because it may lie in memory that is free afterwards, except the files, whose frames the machine
 * keeps, and the copy of ACPI's root, which is read before anything is written to. After the Multiboot2
 * specification, version 2.0.
 */
#include <hal/x64/bootinfo.h>

#define MULTIBOOT_END          0u
#define MULTIBOOT_COMMAND_LINE 1u
#define MULTIBOOT_MODULE       3u
#define MULTIBOOT_MEMORY_MAP   6u
#define MULTIBOOT_ACPI_OLD     14u
#define MULTIBOOT_ACPI_NEW     15u
#define MULTIBOOT_RAM          1u

typedef struct _MULTIBOOT_TAG {
    ULONG Type;
    ULONG Size;
    union {
        char Text[1];
        struct {
            ULONG Start;
            ULONG End;
            char Text[1];
        } Module;
        struct {
            ULONG EntrySize;
            ULONG Version;
            UCHAR Entries[1];
        } MemoryMap;
    };
} MULTIBOOT_TAG;

typedef struct _MULTIBOOT_MEMORY {
    ULONG64 Base;
    ULONG64 Size;
    ULONG Type;
    ULONG Reserved;
} MULTIBOOT_MEMORY;

_Static_assert(sizeof(MULTIBOOT_MEMORY) == 24, "as the loader writes it");

VOID DECLSPEC_NORETURN HalpMultibootStart(ULONG64 Information);

static HALP_BOOT_INFO MultibootInfo;

static VOID
MultibootReadMemoryMap(const MULTIBOOT_TAG *Tag)
{
    const UCHAR *Entry;

    for (Entry = Tag->MemoryMap.Entries; Entry + Tag->MemoryMap.EntrySize <= (const UCHAR *)Tag + Tag->Size;
         Entry += Tag->MemoryMap.EntrySize) {
        const MULTIBOOT_MEMORY *Memory = (const MULTIBOOT_MEMORY *)Entry;

        if (Memory->Type != MULTIBOOT_RAM) {
            continue;
        }
        if (MultibootInfo.RamCount == HALP_BOOT_RANGES) {
            HalpRefuse("the memory map has too many ranges");
        }
        MultibootInfo.Ram[MultibootInfo.RamCount].Base = Memory->Base;
        MultibootInfo.Ram[MultibootInfo.RamCount].Size = Memory->Size;
        MultibootInfo.RamCount += 1;
    }
}

static VOID
MultibootReadModule(const MULTIBOOT_TAG *Tag)
{
    PHALP_BOOT_FILE File;

    if (MultibootInfo.FileCount == HALP_BOOT_FILES) {
        HalpRefuse("more files than the machine takes");
    }
    File = &MultibootInfo.Files[MultibootInfo.FileCount];
    File->Base = Tag->Module.Start;
    File->Size = Tag->Module.End - Tag->Module.Start;
    HalpCopyBootText(File->Name, HALP_FILE_NAME, Tag->Module.Text);
    MultibootInfo.FileCount += 1;
}

static VOID
MultibootReadTag(const MULTIBOOT_TAG *Tag)
{
    switch (Tag->Type) {
    case MULTIBOOT_COMMAND_LINE:
        if (!HalpCopyBootText(MultibootInfo.CommandLine, HALP_COMMAND_LINE, Tag->Text)) {
            HalpRefuse("the command line is too long");
        }
        break;
    case MULTIBOOT_MODULE:
        MultibootReadModule(Tag);
        break;
    case MULTIBOOT_MEMORY_MAP:
        MultibootReadMemoryMap(Tag);
        break;
    case MULTIBOOT_ACPI_OLD:
        if (MultibootInfo.AcpiRoot != 0) {
            break;
        }
        /* fall through */
    case MULTIBOOT_ACPI_NEW:
        MultibootInfo.AcpiRoot = (ULONG64)Tag->Text;
        break;
    default:
        break;
    }
}

/* Called by entry.S. Tags begin at multiples of 8, after eight bytes of size and nothing. */
VOID DECLSPEC_NORETURN
HalpMultibootStart(ULONG64 Information)
{
    const MULTIBOOT_TAG *Tag;
    ULONG64 At;

    for (At = Information + 8;; At += (Tag->Size + 7) & ~7ull) {
        Tag = (const MULTIBOOT_TAG *)At;
        if (Tag->Type == MULTIBOOT_END || Tag->Size < 8) {
            break;
        }
        MultibootReadTag(Tag);
    }
    if (MultibootInfo.RamCount == 0) {
        HalpRefuse("started by a loader that gives no memory map");
    }
    HalpStartMachine(&MultibootInfo);
}
