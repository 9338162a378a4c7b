/*
 * The system image: ntoskrnl.exe as drivers see it.
 *
 * It is made at boot from the linker's table of exports and is a real image in memory: headers, an
 * export directory, a code section with one stub of sixteen bytes for each routine, and a data section with
 * the exported variables (copied: they are constant once the system runs). Nothing of the core is at an address a
 * driver could depend on; the stubs lead through KiExportEntry, which keeps the record of the crossing.
 *
 *   stub:   mov r11d, index          41 BB imm32
 *           jmp [rip + entry]        FF 25 disp32     the slot holds the address of KiExportEntry
 *           int3 ...
 *
 * One export, __chkstk, is not a routine of the interface's convention: its code is copied in whole (chkstk.S).
 *
 * Indexes past the exports belong to imports that do not exist: their stubs lead to a routine that ends the run
 * and names the import. Built at PASSIVE_LEVEL by one thread; read-only afterwards, but for the list of missing
 * imports, which grows under the loader's lock.
 */
#include <ke/user.h>
#include <ldr/ldr.h>
#include <mm/mdl/mdl.h>
#include <mm/pool/pool.h>
#include <mm/pte/pteform.h>
#include <ntexport.h>
#include <rtl/rtl.h>

#define LDR_TAG 'rdLN'
#define LDRP_STUB_SIZE 16
#define LDRP_MISSING_LIMIT 1024
#define LDRP_TEXT_RVA PAGE_SIZE

typedef struct _LDRP_SYSTEM_IMAGE {
    PUCHAR Base;
    ULONG ExportCount;          /* entries of the linker's table, by name in Sorted */
    const NT_EXPORT **Sorted;
    PULONG Rva;                 /* of each, in the same order */
    ULONG ProbeRva;             /* of __chkstk, the one export that is code of its own */
    ULONG TextSize, RdataRva, RdataSize, DataRva, DataSize, ImageSize;
    ULONG NamesSize;
    ULONG MissingCount;
    char *Missing[LDRP_MISSING_LIMIT];
} LDRP_SYSTEM_IMAGE;

static LDRP_SYSTEM_IMAGE LdrpSystem;

/* chkstk.S */
extern const UCHAR LdrpProbeStack[], LdrpProbeStackEnd[];
NTEXPORT_AS("__chkstk", LdrpProbeStack);

LONG
LdrpCompareNames(const char *Left, const char *Right)
{
    while (*Left != 0 && *Left == *Right) {
        Left += 1;
        Right += 1;
    }
    return (LONG)(UCHAR)*Left - (LONG)(UCHAR)*Right;
}

static SIZE_T
LdrpNameLength(const char *Name)
{
    SIZE_T Length = 0;

    while (Name[Length] != 0) {
        Length += 1;
    }
    return Length;
}

/* Shell sort: once per boot, a thousand names. */
static VOID
LdrpSortExports(const NT_EXPORT **Table, ULONG Count)
{
    for (ULONG Gap = Count / 2; Gap != 0; Gap /= 2) {
        for (ULONG Index = Gap; Index < Count; Index += 1) {
            const NT_EXPORT *Moving = Table[Index];
            ULONG Slot = Index;

            while (Slot >= Gap && LdrpCompareNames(Table[Slot - Gap]->Name, Moving->Name) > 0) {
                Table[Slot] = Table[Slot - Gap];
                Slot -= Gap;
            }
            Table[Slot] = Moving;
        }
    }
}

/* The index of a name in the sorted table, or ExportCount. */
static ULONG
LdrpFindExport(const char *Name)
{
    ULONG Low = 0, High = LdrpSystem.ExportCount;

    while (Low < High) {
        ULONG Middle = (Low + High) / 2;
        LONG Order = LdrpCompareNames(LdrpSystem.Sorted[Middle]->Name, Name);

        if (Order == 0) {
            return Middle;
        }
        if (Order < 0) {
            Low = Middle + 1;
        } else {
            High = Middle;
        }
    }
    return LdrpSystem.ExportCount;
}

/* Where a call of an import that does not exist arrives: the newest boundary record says which one it is. */
static VOID NTAPI
LdrpCallMissing(VOID)
{
    const KI_BOUNDARY_RECORD *Record = KiFindBoundaryRecord(KI_BOUNDARY_EXPORT);
    static CHAR Text[LDRP_MAXIMUM_NAME * 2];
    KI_STOP Stop = {.Kind = KiStopMissingImport};

    Stop.Name = Record == NULL ? "?" : LdrExportName(Record->Index);
    RtlpPrintBuffer(Text, sizeof(Text), "%s is not implemented", Stop.Name);
    Stop.Text = Text;
    KiStopRun(&Stop);
}

/* Decide where everything lies. Returns FALSE if the tables cannot be allocated. */
static BOOLEAN
LdrpPlanImage(VOID)
{
    ULONG Count = (ULONG)(__stop_ntexports - __start_ntexports);
    ULONG Data = 0, Names = sizeof("ntoskrnl.exe");

    LdrpSystem.Sorted = ExAllocatePool2(POOL_FLAG_NON_PAGED, Count * sizeof(PVOID), LDR_TAG);
    LdrpSystem.Rva = ExAllocatePool2(POOL_FLAG_NON_PAGED, Count * sizeof(ULONG), LDR_TAG);
    KiExportTable = ExAllocatePool2(POOL_FLAG_NON_PAGED, (Count + LDRP_MISSING_LIMIT) * sizeof(PVOID), LDR_TAG);
    KiExportRules = ExAllocatePool2(POOL_FLAG_NON_PAGED, Count * sizeof(KI_EXPORT_RULE), LDR_TAG);
    if (LdrpSystem.Sorted == NULL || LdrpSystem.Rva == NULL || KiExportTable == NULL || KiExportRules == NULL) {
        return FALSE;
    }
    for (ULONG Index = 0; Index < Count; Index += 1) {
        LdrpSystem.Sorted[Index] = &__start_ntexports[Index];
    }
    LdrpSortExports(LdrpSystem.Sorted, Count);
    LdrpSystem.ExportCount = Count;
    LdrpSystem.ProbeRva = LDRP_TEXT_RVA + (Count + LDRP_MISSING_LIMIT) * LDRP_STUB_SIZE;
    LdrpSystem.TextSize =
        (ULONG)ROUND_TO_PAGES(LdrpSystem.ProbeRva - LDRP_TEXT_RVA + (ULONG)(LdrpProbeStackEnd - LdrpProbeStack));
    LdrpSystem.RdataRva = LDRP_TEXT_RVA + LdrpSystem.TextSize;
    for (ULONG Index = 0; Index < Count; Index += 1) {
        const NT_EXPORT *Export = LdrpSystem.Sorted[Index];

        NT_ASSERT(Index == 0 || LdrpCompareNames(LdrpSystem.Sorted[Index - 1]->Name, Export->Name) < 0);
        Names += (ULONG)LdrpNameLength(Export->Name) + 1;
        if (Export->Size != 0) {
            LdrpSystem.Rva[Index] = Data;
            Data += (Export->Size + 15) & ~15u;
        } else if (Export->Address == (const void *)LdrpProbeStack) {
            LdrpSystem.Rva[Index] = LdrpSystem.ProbeRva;
        } else {
            LdrpSystem.Rva[Index] = LDRP_TEXT_RVA + Index * LDRP_STUB_SIZE;
        }
    }
    LdrpSystem.NamesSize = Names;
    LdrpSystem.RdataSize =
        (ULONG)ROUND_TO_PAGES(16 + sizeof(IMAGE_EXPORT_DIRECTORY) + Count * (4 + 4 + 2) + Names);
    LdrpSystem.DataRva = LdrpSystem.RdataRva + LdrpSystem.RdataSize;
    LdrpSystem.DataSize = (ULONG)ROUND_TO_PAGES(Data == 0 ? 1 : Data);
    LdrpSystem.ImageSize = LdrpSystem.DataRva + LdrpSystem.DataSize;
    for (ULONG Index = 0; Index < Count; Index += 1) {
        if (LdrpSystem.Sorted[Index]->Size != 0) {
            LdrpSystem.Rva[Index] += LdrpSystem.DataRva;
        }
    }
    return TRUE;
}

static VOID
LdrpWriteSection(PIMAGE_SECTION_HEADER Header, const char *Name, ULONG Rva, ULONG Size, ULONG Characteristics)
{
    for (ULONG Index = 0; Name[Index] != 0; Index += 1) {
        Header->Name[Index] = (UCHAR)Name[Index];
    }
    Header->Misc.VirtualSize = Size;
    Header->VirtualAddress = Rva;
    Header->SizeOfRawData = Size;
    Header->PointerToRawData = Rva;
    Header->Characteristics = Characteristics;
}

static VOID
LdrpWriteHeaders(PUCHAR Base)
{
    PIMAGE_DOS_HEADER Dos = (PIMAGE_DOS_HEADER)Base;
    PIMAGE_NT_HEADERS64 Nt = (PIMAGE_NT_HEADERS64)(Base + sizeof(*Dos));
    PIMAGE_SECTION_HEADER Section = (PIMAGE_SECTION_HEADER)(Nt + 1);
    PIMAGE_OPTIONAL_HEADER64 Optional = &Nt->OptionalHeader;

    Dos->e_magic = IMAGE_DOS_SIGNATURE;
    Dos->e_lfanew = sizeof(*Dos);
    Nt->Signature = IMAGE_NT_SIGNATURE;
    Nt->FileHeader.Machine = IMAGE_FILE_MACHINE_AMD64;
    Nt->FileHeader.NumberOfSections = 3;
    Nt->FileHeader.SizeOfOptionalHeader = sizeof(*Optional);
    Nt->FileHeader.Characteristics = IMAGE_FILE_EXECUTABLE_IMAGE | IMAGE_FILE_LARGE_ADDRESS_AWARE;
    Optional->Magic = IMAGE_NT_OPTIONAL_HDR64_MAGIC;
    Optional->SizeOfCode = LdrpSystem.TextSize;
    Optional->BaseOfCode = LDRP_TEXT_RVA;
    Optional->ImageBase = (ULONG64)Base;
    Optional->SectionAlignment = PAGE_SIZE;
    Optional->FileAlignment = PAGE_SIZE;
    Optional->MajorOperatingSystemVersion = 10;
    Optional->MajorSubsystemVersion = 10;
    Optional->SizeOfImage = LdrpSystem.ImageSize;
    Optional->SizeOfHeaders = PAGE_SIZE;
    Optional->Subsystem = IMAGE_SUBSYSTEM_NATIVE;
    Optional->NumberOfRvaAndSizes = IMAGE_NUMBEROF_DIRECTORY_ENTRIES;
    Optional->DataDirectory[IMAGE_DIRECTORY_ENTRY_EXPORT].VirtualAddress = LdrpSystem.RdataRva + 16;
    Optional->DataDirectory[IMAGE_DIRECTORY_ENTRY_EXPORT].Size = LdrpSystem.RdataSize - 16;
    LdrpWriteSection(Section, ".text", LDRP_TEXT_RVA, LdrpSystem.TextSize,
                     IMAGE_SCN_CNT_CODE | IMAGE_SCN_MEM_EXECUTE | IMAGE_SCN_MEM_READ);
    LdrpWriteSection(Section + 1, ".rdata", LdrpSystem.RdataRva, LdrpSystem.RdataSize,
                     IMAGE_SCN_CNT_INITIALIZED_DATA | IMAGE_SCN_MEM_READ);
    LdrpWriteSection(Section + 2, ".data", LdrpSystem.DataRva, LdrpSystem.DataSize,
                     IMAGE_SCN_CNT_INITIALIZED_DATA | IMAGE_SCN_MEM_READ | IMAGE_SCN_MEM_WRITE);
}

static VOID
LdrpWriteStubs(PUCHAR Base)
{
    ULONG Count = LdrpSystem.ExportCount + LDRP_MISSING_LIMIT;

    for (ULONG Index = 0; Index < Count; Index += 1) {
        ULONG Rva = LDRP_TEXT_RVA + Index * LDRP_STUB_SIZE;
        LONG Displacement = (LONG)(LdrpSystem.RdataRva - (Rva + 12));
        PUCHAR Stub = Base + Rva;

        RtlFillMemory(Stub, LDRP_STUB_SIZE, 0xCC);
        Stub[0] = 0x41;
        Stub[1] = 0xBB;
        RtlCopyMemory(Stub + 2, &Index, sizeof(Index));
        Stub[6] = 0xFF;
        Stub[7] = 0x25;
        RtlCopyMemory(Stub + 8, &Displacement, sizeof(Displacement));
        KiExportTable[Index] = (PVOID)LdrpCallMissing;
        if (Index < LdrpSystem.ExportCount) {
            KiExportRules[Index].Routine = (PVOID)LdrpSystem.Sorted[Index]->Address;
            KiExportTable[Index] = LdrpFindExportRule(LdrpSystem.Sorted[Index]->Name, &KiExportRules[Index])
                                       ? (PVOID)KiCheckedExport
                                       : KiExportRules[Index].Routine;
        }
    }
    RtlCopyMemory(Base + LdrpSystem.ProbeRva, LdrpProbeStack, LdrpProbeStackEnd - LdrpProbeStack);
    KiExportCount = Count;
    KiExportName = LdrExportName;
    *(PVOID *)(Base + LdrpSystem.RdataRva) = (PVOID)KiExportEntry;
}

static VOID
LdrpWriteExports(PUCHAR Base)
{
    ULONG Count = LdrpSystem.ExportCount;
    ULONG Rva = LdrpSystem.RdataRva + 16;
    PIMAGE_EXPORT_DIRECTORY Directory = (PIMAGE_EXPORT_DIRECTORY)(Base + Rva);
    ULONG Functions = Rva + (ULONG)sizeof(*Directory), Names = Functions + Count * 4, Ordinals = Names + Count * 4;
    ULONG Text = Ordinals + Count * 2;

    Directory->Base = 1;
    Directory->NumberOfFunctions = Count;
    Directory->NumberOfNames = Count;
    Directory->AddressOfFunctions = Functions;
    Directory->AddressOfNames = Names;
    Directory->AddressOfNameOrdinals = Ordinals;
    Directory->Name = Text;
    RtlCopyMemory(Base + Text, "ntoskrnl.exe", sizeof("ntoskrnl.exe"));
    Text += sizeof("ntoskrnl.exe");
    for (ULONG Index = 0; Index < Count; Index += 1) {
        const NT_EXPORT *Export = LdrpSystem.Sorted[Index];
        ULONG Length = (ULONG)LdrpNameLength(Export->Name) + 1;

        ((PULONG)(Base + Functions))[Index] = LdrpSystem.Rva[Index];
        ((PULONG)(Base + Names))[Index] = Text;
        ((PUSHORT)(Base + Ordinals))[Index] = (USHORT)Index;
        RtlCopyMemory(Base + Text, Export->Name, Length);
        Text += Length;
        if (Export->Size != 0) {
            RtlCopyMemory(Base + LdrpSystem.Rva[Index], Export->Address, Export->Size);
        }
    }
}

NTSTATUS
LdrInitializeSystemImage(VOID)
{
    SIZE_T PageCount;
    PFN_NUMBER *Frames;
    PLDR_MODULE Module;
    PUCHAR Base;

    /* Prepare. Nothing is given back on failure: the system does not start without this image. */
    if (!LdrpPlanImage()) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    PageCount = LdrpSystem.ImageSize >> PAGE_SHIFT;
    Base = MiReserveSystemVa(MiRegionImages, PageCount, 16);
    Module = LdrpNewModule("ntoskrnl.exe", Base, LdrpSystem.ImageSize);
    Frames = ExAllocatePool2(POOL_FLAG_NON_PAGED, PageCount * sizeof(PFN_NUMBER), LDR_TAG);
    if (Base == NULL || Module == NULL || Frames == NULL || !MiChargeCommit(PageCount) ||
        MiGetFrames(MI_GET_ZEROED | MI_GET_ALL, MM_ANY_NODE_OK, MiUseDriverImage, PageCount, Frames) != PageCount) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }

    MiMapFrames(Base, PageCount, Frames, MM_READWRITE, MmCached);
    ExFreePoolWithTag(Frames, LDR_TAG);
    LdrpWriteHeaders(Base);
    LdrpWriteStubs(Base);
    LdrpWriteExports(Base);
    MiProtectRange(Base, 1, MM_READONLY);
    MiProtectRange(Base + LDRP_TEXT_RVA, LdrpSystem.TextSize >> PAGE_SHIFT, MM_EXECUTE_READ);
    MiProtectRange(Base + LdrpSystem.RdataRva, LdrpSystem.RdataSize >> PAGE_SHIFT, MM_READONLY);
    LdrpSystem.Base = Base;
    Module->IsSystemImage = TRUE;
    Module->State = LdrModuleStarted;
    LdrpInsertModule(Module);
    LdrpRegisterUnwinder();
    MiFindImageSection = LdrpFindImageSection;
    MiPoolExportAddress = LdrExportAddress;
    return STATUS_SUCCESS;
}

PVOID
LdrExportAddress(const char *Name)
{
    ULONG Index = LdrpFindExport(Name);

    return Index == LdrpSystem.ExportCount ? NULL : LdrpSystem.Base + LdrpSystem.Rva[Index];
}

PVOID
LdrpExportByOrdinal(USHORT Ordinal)
{
    ULONG Index = (ULONG)Ordinal - 1;

    return Index < LdrpSystem.ExportCount ? LdrpSystem.Base + LdrpSystem.Rva[Index] : NULL;
}

const char *
LdrExportName(ULONG Index)
{
    if (Index < LdrpSystem.ExportCount) {
        return LdrpSystem.Sorted[Index]->Name;
    }
    Index -= LdrpSystem.ExportCount;
    return Index < LdrpSystem.MissingCount ? LdrpSystem.Missing[Index] : "?";
}

const char *
LdrMissingImport(ULONG Index)
{
    return Index < LdrpSystem.MissingCount ? LdrpSystem.Missing[Index] : NULL;
}

PVOID
LdrpMissingStub(const char *ModuleName, const char *Name)
{
    SIZE_T ModuleLength = LdrpNameLength(ModuleName), Length = LdrpNameLength(Name);
    ULONG Index = LdrpSystem.MissingCount;
    char *Text;

    if (Index == LDRP_MISSING_LIMIT) {
        return NULL;
    }
    Text = ExAllocatePool2(POOL_FLAG_NON_PAGED, ModuleLength + Length + 2, LDR_TAG);
    if (Text == NULL) {
        return NULL;
    }
    RtlCopyMemory(Text, ModuleName, ModuleLength);
    Text[ModuleLength] = '!';
    RtlCopyMemory(Text + ModuleLength + 1, Name, Length + 1);
    LdrpSystem.Missing[Index] = Text;
    LdrpSystem.MissingCount = Index + 1;
    return LdrpSystem.Base + LDRP_TEXT_RVA + (LdrpSystem.ExportCount + Index) * LDRP_STUB_SIZE;
}
