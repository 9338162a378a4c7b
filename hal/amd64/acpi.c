/*
 * acpi.c - what firmware says about processors and about which memory is near which of them.
 *
 * Owns two tables, read once at start while physical addresses below 4 GB are pointers: the local APICs that can be
 * used (MADT), each with its node, and ranges of memory with theirs (SRAT). Proximity domains, which may be any
 * number, become nodes in the order in which they are met. Firmware is not believed: signatures, lengths and
 * checksums are; a table that is wrong or out of reach is one that is not there. Without an MADT there is one
 * processor, without an SRAT one node. After the ACPI specification 6.4, chapter 5.
 */
#include "halp.h"

#define HALP_ACPI_REACH     0x100000000ull
#define HALP_ACPI_NODES     64 /* as many as mm/phys knows */
#define HALP_ACPI_MEMORY    64
#define HALP_BIOS_START     0xE0000u
#define HALP_BIOS_END       0x100000u
#define HALP_EBDA_SEGMENT   0x40Eu
#define HALP_MADT_ENTRIES   44
#define HALP_SRAT_ENTRIES   48
#define HALP_ENABLED        0x1u
#define HALP_APIC_BROADCAST 0xFFu

typedef struct __attribute__((packed)) _HALP_RSDP {
    char Signature[8];
    UCHAR Checksum;
    char Oem[6];
    UCHAR Revision;
    ULONG Rsdt;
    ULONG Length; /* from here on: revision 2 */
    ULONG64 Xsdt;
    UCHAR ExtendedChecksum;
    UCHAR Reserved[3];
} HALP_RSDP;

typedef struct __attribute__((packed)) _HALP_ACPI_TABLE {
    char Signature[4];
    ULONG Length;
    UCHAR Revision;
    UCHAR Checksum;
    char Oem[6];
    char OemTable[8];
    ULONG OemRevision;
    ULONG Creator;
    ULONG CreatorRevision;
} HALP_ACPI_TABLE;

_Static_assert(sizeof(HALP_RSDP) == 36, "as firmware writes it");
_Static_assert(sizeof(HALP_ACPI_TABLE) == 36, "as firmware writes it");

/* The entries of MADT and SRAT that matter; all begin with type and length. */
typedef struct __attribute__((packed)) _HALP_ACPI_ENTRY {
    UCHAR Type;
    UCHAR Length;
    union {
        struct __attribute__((packed)) {
            UCHAR Processor;
            UCHAR ApicId;
            ULONG Flags;
        } LocalApic; /* MADT 0 */
        struct __attribute__((packed)) {
            UCHAR DomainLow;
            UCHAR ApicId;
            ULONG Flags;
            UCHAR Eid;
            UCHAR DomainHigh[3];
        } Affinity; /* SRAT 0 */
        struct __attribute__((packed)) {
            ULONG Domain;
            USHORT Reserved0;
            ULONG64 Base;
            ULONG64 Size;
            ULONG Reserved1;
            ULONG Flags;
        } Memory; /* SRAT 1 */
    };
} HALP_ACPI_ENTRY;

#define HALP_MADT_LOCAL_APIC 0
#define HALP_SRAT_PROCESSOR  0
#define HALP_SRAT_MEMORY     1

typedef struct _HALP_NODE_MEMORY {
    PFN_NUMBER Base;
    PFN_NUMBER End;
    ULONG Node;
} HALP_NODE_MEMORY;

static HALP_FIRMWARE_PROCESSOR HalpFirmwareProcessors[HAL_MAXIMUM_PROCESSORS];
static ULONG HalpFirmwareProcessorCount;
static HALP_NODE_MEMORY HalpNodeMemory[HALP_ACPI_MEMORY];
static ULONG HalpNodeMemoryCount;
static ULONG HalpDomains[HALP_ACPI_NODES];
static ULONG HalpDomainCount;

/* --- Tables ------------------------------------------------------------------------------------------------ */

static BOOLEAN
HalpSumsToZero(const VOID *Bytes, ULONG Length)
{
    const UCHAR *Byte = Bytes;
    UCHAR Sum;
    ULONG Index;

    Sum = 0;
    for (Index = 0; Index < Length; Index += 1) {
        Sum = (UCHAR)(Sum + Byte[Index]);
    }
    return Sum == 0;
}

static BOOLEAN
HalpIsSigned(const char *Signature, const char *Expected)
{
    while (*Expected != 0 && *Signature == *Expected) {
        Signature += 1;
        Expected += 1;
    }
    return *Expected == 0;
}

/* The table at a physical address, NULL if there is none. */
static const HALP_ACPI_TABLE *
HalpAcpiTable(ULONG64 Address)
{
    const HALP_ACPI_TABLE *Table = (const HALP_ACPI_TABLE *)Address;

    if (Address == 0 || Address >= HALP_ACPI_REACH - sizeof(*Table) || Table->Length < sizeof(*Table) ||
        Table->Length > HALP_ACPI_REACH - Address || !HalpSumsToZero(Table, Table->Length)) {
        return NULL;
    }
    return Table;
}

static const HALP_RSDP *
HalpRsdpIn(ULONG64 Start, ULONG64 End)
{
    ULONG64 Address;

    for (Address = Start; Address + sizeof(HALP_RSDP) <= End; Address += 16) {
        if (HalpIsSigned((const char *)Address, "RSD PTR ") && HalpSumsToZero((const VOID *)Address, 20)) {
            return (const HALP_RSDP *)Address;
        }
    }
    return NULL;
}

/* A word of the first page, which the compiler takes for a mistake. */
static ULONG64
HalpReadLow16(ULONG64 Address)
{
    ULONG64 Value;

    __asm__ volatile("movzwq (%1), %0" : "=r"(Value) : "r"(Address));
    return Value;
}

/* Where the loader says, else where a PC's firmware puts it: the first KB of its data area, or its ROM. */
static const HALP_RSDP *
HalpFindRsdp(ULONG64 AcpiRoot)
{
    const HALP_RSDP *Rsdp = NULL;
    ULONG64 DataArea;

    if (AcpiRoot != 0 && AcpiRoot < HALP_ACPI_REACH - sizeof(*Rsdp)) {
        Rsdp = HalpRsdpIn(AcpiRoot, AcpiRoot + sizeof(*Rsdp));
    }
    DataArea = HalpReadLow16(HALP_EBDA_SEGMENT) << 4;
    if (Rsdp == NULL && DataArea != 0) {
        Rsdp = HalpRsdpIn(DataArea, DataArea + 1024);
    }
    return Rsdp != NULL ? Rsdp : HalpRsdpIn(HALP_BIOS_START, HALP_BIOS_END);
}

/* The table of that name. The extended list of tables is preferred, where it can be reached. */
static const HALP_ACPI_TABLE *
HalpFindTable(const HALP_RSDP *Rsdp, const char *Signature)
{
    const HALP_ACPI_TABLE *List;
    const HALP_ACPI_TABLE *Table;
    const UCHAR *Entry;
    ULONG64 Address;
    ULONG Size;
    ULONG Index;

    List = Rsdp->Revision >= 2 ? HalpAcpiTable(Rsdp->Xsdt) : NULL;
    Size = List != NULL ? 8 : 4;
    List = List != NULL ? List : HalpAcpiTable(Rsdp->Rsdt);
    if (List == NULL) {
        return NULL;
    }
    for (Entry = (const UCHAR *)(List + 1); Entry + Size <= (const UCHAR *)List + List->Length; Entry += Size) {
        Address = 0;
        for (Index = 0; Index < Size; Index += 1) {
            Address |= (ULONG64)Entry[Index] << (8 * Index);
        }
        Table = HalpAcpiTable(Address);
        if (Table != NULL && HalpIsSigned(Table->Signature, Signature)) {
            return Table;
        }
    }
    return NULL;
}

/* The entry after this one; Entry NULL: the first, which begins at offset Start. NULL after the last. */
static const HALP_ACPI_ENTRY *
HalpNextEntry(const HALP_ACPI_TABLE *Table, ULONG Start, const HALP_ACPI_ENTRY *Entry)
{
    const UCHAR *End = (const UCHAR *)Table + Table->Length;
    const UCHAR *Next;

    Next = Entry == NULL ? (const UCHAR *)Table + Start : (const UCHAR *)Entry + Entry->Length;
    if (Next + 2 > End || Next[1] < 2 || Next + Next[1] > End) {
        return NULL;
    }
    return (const HALP_ACPI_ENTRY *)Next;
}

/* --- What they say ------------------------------------------------------------------------------------------ */

/* The first processor, on which this runs, is number 0 whatever firmware's order is. */
static VOID
HalpReadProcessors(const HALP_ACPI_TABLE *Madt)
{
    const HALP_ACPI_ENTRY *Entry = NULL;
    ULONG Id;

    while ((Entry = HalpNextEntry(Madt, HALP_MADT_ENTRIES, Entry)) != NULL) {
        if (Entry->Type != HALP_MADT_LOCAL_APIC || Entry->Length < 8 || (Entry->LocalApic.Flags & HALP_ENABLED) == 0) {
            continue;
        }
        Id = Entry->LocalApic.ApicId;
        if (Id != HALP_APIC_BROADCAST && Id != HalpFirmwareProcessors[0].ApicId &&
            HalpFirmwareProcessorCount < HAL_MAXIMUM_PROCESSORS) {
            HalpFirmwareProcessors[HalpFirmwareProcessorCount].ApicId = Id;
            HalpFirmwareProcessorCount += 1;
        }
    }
}

/* The node of a proximity domain; 0 if there are too many. */
static ULONG
HalpNodeOfDomain(ULONG Domain)
{
    ULONG Index;

    for (Index = 0; Index < HalpDomainCount; Index += 1) {
        if (HalpDomains[Index] == Domain) {
            return Index;
        }
    }
    if (HalpDomainCount == HALP_ACPI_NODES) {
        return 0;
    }
    HalpDomains[HalpDomainCount] = Domain;
    HalpDomainCount += 1;
    return HalpDomainCount - 1;
}

static VOID
HalpReadProcessorNode(const HALP_ACPI_ENTRY *Entry)
{
    ULONG Domain;
    ULONG Index;

    Domain = Entry->Affinity.DomainLow | (ULONG)Entry->Affinity.DomainHigh[0] << 8 |
             (ULONG)Entry->Affinity.DomainHigh[1] << 16 | (ULONG)Entry->Affinity.DomainHigh[2] << 24;
    for (Index = 0; Index < HalpFirmwareProcessorCount; Index += 1) {
        if (HalpFirmwareProcessors[Index].ApicId == Entry->Affinity.ApicId) {
            HalpFirmwareProcessors[Index].Node = HalpNodeOfDomain(Domain);
        }
    }
}

static VOID
HalpReadMemoryNode(const HALP_ACPI_ENTRY *Entry)
{
    HALP_NODE_MEMORY *Memory = &HalpNodeMemory[HalpNodeMemoryCount];

    if (HalpNodeMemoryCount == HALP_ACPI_MEMORY || Entry->Memory.Base + Entry->Memory.Size < Entry->Memory.Base) {
        return;
    }
    Memory->Base = Entry->Memory.Base >> PAGE_SHIFT;
    Memory->End = (Entry->Memory.Base + Entry->Memory.Size) >> PAGE_SHIFT;
    Memory->Node = HalpNodeOfDomain(Entry->Memory.Domain);
    HalpNodeMemoryCount += 1;
}

static VOID
HalpReadAffinity(const HALP_ACPI_TABLE *Srat)
{
    const HALP_ACPI_ENTRY *Entry = NULL;

    while ((Entry = HalpNextEntry(Srat, HALP_SRAT_ENTRIES, Entry)) != NULL) {
        if (Entry->Type == HALP_SRAT_PROCESSOR && Entry->Length >= 16 &&
            (Entry->Affinity.Flags & HALP_ENABLED) != 0) {
            HalpReadProcessorNode(Entry);
        } else if (Entry->Type == HALP_SRAT_MEMORY && Entry->Length >= 40 &&
                   (Entry->Memory.Flags & HALP_ENABLED) != 0) {
            HalpReadMemoryNode(Entry);
        }
    }
}

VOID
HalpReadFirmware(ULONG64 AcpiRoot)
{
    const HALP_ACPI_TABLE *Table;
    const HALP_RSDP *Rsdp;

    HalpFirmwareProcessors[0].ApicId = HalpCpuid(1).Ebx >> 24;
    HalpFirmwareProcessorCount = 1;
    Rsdp = HalpFindRsdp(AcpiRoot);
    if (Rsdp == NULL) {
        return;
    }
    Table = HalpFindTable(Rsdp, "APIC");
    if (Table != NULL) {
        HalpReadProcessors(Table);
    }
    Table = HalpFindTable(Rsdp, "SRAT");
    if (Table != NULL) {
        HalpReadAffinity(Table);
    }
}

ULONG
HalpFirmwareProcessorTotal(VOID)
{
    return HalpFirmwareProcessorCount;
}

const HALP_FIRMWARE_PROCESSOR *
HalpFirmwareProcessor(ULONG Number)
{
    return &HalpFirmwareProcessors[Number];
}

ULONG
HalpNodeOfFrame(PFN_NUMBER Frame, PFN_NUMBER *End)
{
    ULONG Index;

    *End = ~0ull;
    for (Index = 0; Index < HalpNodeMemoryCount; Index += 1) {
        if (Frame >= HalpNodeMemory[Index].Base && Frame < HalpNodeMemory[Index].End) {
            *End = HalpNodeMemory[Index].End;
            return HalpNodeMemory[Index].Node;
        }
        if (HalpNodeMemory[Index].Base > Frame) {
            *End = MIN(*End, HalpNodeMemory[Index].Base);
        }
    }
    return 0;
}
