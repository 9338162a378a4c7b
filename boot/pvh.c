/*
 * PVH's hvm_start_info to the machine's boot information. Runs once, on the entry stub's tables, where
 * physical addresses are pointers; everything it is told lies below 4 GB. What the loader wrote is copied,
 * because it may lie in memory that is free afterwards, except the files, whose frames the machine keeps.
 * After Xen's public document of the x86/HVM direct boot ABI.
 */
#include <hal/x64/bootinfo.h>

#define PVH_MAGIC 0x336EC578u
#define PVH_RAM   1u

typedef struct _PVH_START_INFO {
    ULONG Magic;
    ULONG Version;
    ULONG Flags;
    ULONG ModuleCount;
    ULONG64 Modules;
    ULONG64 CommandLine;
    ULONG64 AcpiRoot;
    ULONG64 MemoryMap; /* version 1 */
    ULONG MemoryMapCount;
    ULONG Reserved;
} PVH_START_INFO;

typedef struct _PVH_MODULE {
    ULONG64 Base;
    ULONG64 Size;
    ULONG64 CommandLine;
    ULONG64 Reserved;
} PVH_MODULE;

typedef struct _PVH_MEMORY {
    ULONG64 Base;
    ULONG64 Size;
    ULONG Type;
    ULONG Reserved;
} PVH_MEMORY;

_Static_assert(sizeof(PVH_START_INFO) == 56, "as the loader writes it");
_Static_assert(sizeof(PVH_MODULE) == 32, "as the loader writes it");
_Static_assert(sizeof(PVH_MEMORY) == 24, "as the loader writes it");

VOID DECLSPEC_NORETURN HalpPvhStart(ULONG64 StartInfo);

static HALP_BOOT_INFO PvhBootInfo;

static VOID
PvhReadMemoryMap(const PVH_START_INFO *Start)
{
    const PVH_MEMORY *Map = (const PVH_MEMORY *)Start->MemoryMap;
    ULONG Index;

    for (Index = 0; Index < Start->MemoryMapCount; Index += 1) {
        if (Map[Index].Type != PVH_RAM) {
            continue;
        }
        if (PvhBootInfo.RamCount == HALP_BOOT_RANGES) {
            HalpRefuse("the memory map has too many ranges");
        }
        PvhBootInfo.Ram[PvhBootInfo.RamCount].Base = Map[Index].Base;
        PvhBootInfo.Ram[PvhBootInfo.RamCount].Size = Map[Index].Size;
        PvhBootInfo.RamCount += 1;
    }
}

static VOID
PvhReadModules(const PVH_START_INFO *Start)
{
    const PVH_MODULE *Modules = (const PVH_MODULE *)Start->Modules;
    ULONG Index;

    if (Start->ModuleCount > HALP_BOOT_FILES) {
        HalpRefuse("more files than the machine takes");
    }
    for (Index = 0; Index < Start->ModuleCount; Index += 1) {
        PvhBootInfo.Files[Index].Base = Modules[Index].Base;
        PvhBootInfo.Files[Index].Size = Modules[Index].Size;
        HalpCopyBootText(PvhBootInfo.Files[Index].Name, HALP_FILE_NAME, (const char *)Modules[Index].CommandLine);
    }
    PvhBootInfo.FileCount = Start->ModuleCount;
}

/* Called by entry.S. */
VOID DECLSPEC_NORETURN
HalpPvhStart(ULONG64 StartInfo)
{
    const PVH_START_INFO *Start = (const PVH_START_INFO *)StartInfo;

    if (Start->Magic != PVH_MAGIC || Start->Version < 1 || Start->MemoryMap == 0) {
        HalpRefuse("started by a loader that gives no memory map");
    }
    PvhReadMemoryMap(Start);
    PvhReadModules(Start);
    if (!HalpCopyBootText(PvhBootInfo.CommandLine, HALP_COMMAND_LINE, (const char *)Start->CommandLine)) {
        HalpRefuse("the command line is too long");
    }
    PvhBootInfo.AcpiRoot = Start->AcpiRoot;
    HalpStartMachine(&PvhBootInfo);
}
