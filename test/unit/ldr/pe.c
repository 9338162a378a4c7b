/*
 * Tests of ldr/pe.c and ldr/pedir.c: a small image built here byte by byte is accepted and described
 * correctly; then each of its fields is damaged in turn, and each damage is refused with its own
 * status and reason. Truncation at every length and every single-byte change must never read outside.
 */
#include <ldr/pe.h>
#include <test/ktest.h>

#define BASE 0x140000000ull
#define NT 0x80
#define FILE_BYTES 0xE00
#define IMAGE_BYTES 0x6000

/* File offsets of what tests damage. */
#define AT_FILE(Field) (NT + offsetof(IMAGE_NT_HEADERS64, FileHeader.Field))
#define AT_OPTIONAL(Field) (NT + offsetof(IMAGE_NT_HEADERS64, OptionalHeader.Field))
#define AT_DIRECTORY(Index) (AT_OPTIONAL(DataDirectory) + (Index)*8)
#define AT_SECTION(Index, Field) \
    (NT + sizeof(IMAGE_NT_HEADERS64) + (Index)*40 + offsetof(IMAGE_SECTION_HEADER, Field))
#define AT_RDATA(Rva) (0x600 + (Rva)-0x2000)
#define AT_DATA(Rva) (0xA00 + (Rva)-0x3000)
#define AT_RELOC(Rva) (0xC00 + (Rva)-0x5000)

static UCHAR File[FILE_BYTES];
static UCHAR Image[IMAGE_BYTES];
static LDRP_IMAGE_INFO Info;

static VOID
Put(ULONG At, ULONG64 Value, ULONG Bytes)
{
    RtlCopyMemory(File + At, &Value, Bytes);
}

static VOID
PutText(ULONG At, const char *Text)
{
    do {
        File[At++] = (UCHAR)*Text;
    } while (*Text++ != 0);
}

static VOID
PutSection(ULONG Index, const char *Name, ULONG Rva, ULONG VirtualSize, ULONG Raw, ULONG RawSize,
           ULONG Characteristics)
{
    PutText(AT_SECTION(Index, Name), Name);
    Put(AT_SECTION(Index, Misc.VirtualSize), VirtualSize, 4);
    Put(AT_SECTION(Index, VirtualAddress), Rva, 4);
    Put(AT_SECTION(Index, SizeOfRawData), RawSize, 4);
    Put(AT_SECTION(Index, PointerToRawData), Raw, 4);
    Put(AT_SECTION(Index, Characteristics), Characteristics, 4);
}

static VOID
PutDirectory(ULONG Index, ULONG Rva, ULONG Size)
{
    Put(AT_DIRECTORY(Index), Rva, 4);
    Put(AT_DIRECTORY(Index) + 4, Size, 4);
}

static VOID
BuildHeaders(VOID)
{
    Put(0, IMAGE_DOS_SIGNATURE, 2);
    Put(offsetof(IMAGE_DOS_HEADER, e_lfanew), NT, 4);
    Put(NT, IMAGE_NT_SIGNATURE, 4);
    Put(AT_FILE(Machine), IMAGE_FILE_MACHINE_AMD64, 2);
    Put(AT_FILE(NumberOfSections), 4, 2);
    Put(AT_FILE(SizeOfOptionalHeader), sizeof(IMAGE_OPTIONAL_HEADER64), 2);
    Put(AT_FILE(Characteristics), IMAGE_FILE_EXECUTABLE_IMAGE | IMAGE_FILE_LARGE_ADDRESS_AWARE, 2);
    Put(AT_OPTIONAL(Magic), IMAGE_NT_OPTIONAL_HDR64_MAGIC, 2);
    Put(AT_OPTIONAL(AddressOfEntryPoint), 0x1004, 4);
    Put(AT_OPTIONAL(ImageBase), BASE, 8);
    Put(AT_OPTIONAL(SectionAlignment), 0x1000, 4);
    Put(AT_OPTIONAL(FileAlignment), 0x200, 4);
    Put(AT_OPTIONAL(SizeOfImage), IMAGE_BYTES, 4);
    Put(AT_OPTIONAL(SizeOfHeaders), 0x400, 4);
    Put(AT_OPTIONAL(CheckSum), 0x12345678, 4);
    Put(AT_OPTIONAL(Subsystem), IMAGE_SUBSYSTEM_NATIVE, 2);
    Put(AT_OPTIONAL(NumberOfRvaAndSizes), 16, 4);
    PutSection(0, ".text", 0x1000, 0x20, 0x400, 0x200,
               IMAGE_SCN_CNT_CODE | IMAGE_SCN_MEM_EXECUTE | IMAGE_SCN_MEM_READ);
    PutSection(1, ".rdata", 0x2000, 0x400, 0x600, 0x400, IMAGE_SCN_MEM_READ);
    PutSection(2, ".data", 0x3000, 0x1800, 0xA00, 0x200, IMAGE_SCN_MEM_READ | IMAGE_SCN_MEM_WRITE);
    PutSection(3, ".reloc", 0x5000, 0x40, 0xC00, 0x200,
               IMAGE_SCN_MEM_READ | IMAGE_SCN_MEM_DISCARDABLE);
}

static VOID
BuildImports(VOID)
{
    PutDirectory(IMAGE_DIRECTORY_ENTRY_IMPORT, 0x2000, 60);
    Put(AT_RDATA(0x2000), 0x2080, 4); /* names apart from the address table */
    Put(AT_RDATA(0x200C), 0x2180, 4);
    Put(AT_RDATA(0x2010), 0x20C0, 4);
    Put(AT_RDATA(0x2014 + 12), 0x21A0, 4); /* names in the address table itself */
    Put(AT_RDATA(0x2014 + 16), 0x2100, 4);
    Put(AT_RDATA(0x2080), 0x2140, 8);
    Put(AT_RDATA(0x2088), IMAGE_ORDINAL_FLAG64 | 17, 8);
    Put(AT_RDATA(0x20C0), 0xDEAD, 8); /* bound once: not looked at */
    Put(AT_RDATA(0x2100), 0x2160, 8);
    Put(AT_RDATA(0x2140), 5, 2);
    PutText(AT_RDATA(0x2142), "DbgPrint");
    PutText(AT_RDATA(0x2162), "KeStall");
    PutText(AT_RDATA(0x2180), "ntoskrnl.exe");
    PutText(AT_RDATA(0x21A0), "HAL.dll");
}

static VOID
BuildRest(VOID)
{
    PutDirectory(IMAGE_DIRECTORY_ENTRY_EXPORT, 0x2200, 0x100);
    Put(AT_RDATA(0x2200) + offsetof(IMAGE_EXPORT_DIRECTORY, Base), 10, 4);
    Put(AT_RDATA(0x2200) + offsetof(IMAGE_EXPORT_DIRECTORY, NumberOfFunctions), 3, 4);
    Put(AT_RDATA(0x2200) + offsetof(IMAGE_EXPORT_DIRECTORY, NumberOfNames), 4, 4);
    Put(AT_RDATA(0x2200) + offsetof(IMAGE_EXPORT_DIRECTORY, AddressOfFunctions), 0x2240, 4);
    Put(AT_RDATA(0x2200) + offsetof(IMAGE_EXPORT_DIRECTORY, AddressOfNames), 0x2250, 4);
    Put(AT_RDATA(0x2200) + offsetof(IMAGE_EXPORT_DIRECTORY, AddressOfNameOrdinals), 0x2260, 4);
    Put(AT_RDATA(0x2240), 0x1010, 4);
    Put(AT_RDATA(0x2244), 0x2280, 4); /* inside the directory: a forwarder */
    Put(AT_RDATA(0x2250), 0x2290, 4);
    Put(AT_RDATA(0x2254), 0x2298, 4);
    Put(AT_RDATA(0x2258), 0x22A0, 4);
    Put(AT_RDATA(0x225C), 0x22A8, 4);
    Put(AT_RDATA(0x2260), 0, 2);
    Put(AT_RDATA(0x2262), 1, 2);
    Put(AT_RDATA(0x2264), 2, 2);
    PutText(AT_RDATA(0x2280), "other.Fn");
    PutText(AT_RDATA(0x2290), "Alpha");
    PutText(AT_RDATA(0x2298), "Beta");
    PutText(AT_RDATA(0x22A0), "Gamma"); /* no address: a hole */
    PutText(AT_RDATA(0x22A8), "Zeta");   /* another name of the first */
    PutDirectory(IMAGE_DIRECTORY_ENTRY_LOAD_CONFIG, 0x2300, 0x70);
    Put(AT_RDATA(0x2300), 0x70, 4);
    Put(AT_RDATA(0x2358), BASE + 0x3008, 8);
    PutDirectory(IMAGE_DIRECTORY_ENTRY_EXCEPTION, 0x2380, 24);
    PutDirectory(IMAGE_DIRECTORY_ENTRY_BASERELOC, 0x5000, 0x18);
    Put(AT_RELOC(0x5000), 0x3000, 4);
    Put(AT_RELOC(0x5004), 0x10, 4);
    Put(AT_RELOC(0x5008), IMAGE_REL_BASED_DIR64 << 12 | 0x10, 2);
    Put(AT_RELOC(0x500A), IMAGE_REL_BASED_DIR64 << 12 | 0xFFC, 2); /* crosses a page */
    Put(AT_RELOC(0x500C), 0, 2);
    Put(AT_DATA(0x3010), BASE + 0x1010, 8);
}

static VOID
Build(VOID)
{
    RtlZeroMemory(File, sizeof(File));
    BuildHeaders();
    BuildImports();
    BuildRest();
}

static BOOLEAN
Contains(const char *Text, const char *Part)
{
    ULONG i;

    for (; Text != NULL && *Text != 0; Text++) {
        for (i = 0; Part[i] != 0 && Part[i] == Text[i]; i++) {
        }
        if (Part[i] == 0) {
            return TRUE;
        }
    }
    return FALSE;
}

KTEST(LdrPeAccepted)
{
    Build();
    CHECK_STATUS(STATUS_SUCCESS, LdrpCheckImage(File, sizeof(File), &Info));
    CHECK(Info.Reason == NULL);
    CHECK_EQ(Info.PreferredBase, BASE);
    CHECK_EQ(Info.ImageSize, IMAGE_BYTES);
    CHECK_EQ(Info.HeaderSize, 0x400);
    CHECK_EQ(Info.EntryPoint, 0x1004);
    CHECK_EQ(Info.CheckSum, 0x12345678);
    CHECK_EQ(Info.SectionCount, 4);
    CHECK_EQ(Info.SecurityCookie, 0x3008);
    CHECK_EQ(Info.RelocationCount, 2);
    CHECK_EQ(Info.ImportCount, 3);
    CHECK_EQ(Info.FunctionCount, 2);
    CHECK_EQ(Info.Section[2].VirtualSize, 0x1800);
    CHECK_EQ(Info.Section[2].FileSize, 0x200);
    CHECK(LdrpFindSection(&Info, 0x47FF) == &Info.Section[2]);
    CHECK(LdrpFindSection(&Info, 0x4FFF) == &Info.Section[2]); /* to the end of its page */
    CHECK(LdrpFindSection(&Info, 0x6000) == NULL);
    CHECK(LdrpFindSection(&Info, 0x3FF) == NULL);
}

/* One damage: where, what, and what the parser says about it. */
typedef struct _DAMAGE {
    ULONG At;
    ULONG Bytes;
    ULONG64 Value;
    NTSTATUS Status;
    const char *Reason;
} DAMAGE;

static const DAMAGE Damages[] = {
    {0, 2, 0x4D5A, STATUS_INVALID_IMAGE_NOT_MZ, "MZ"},
    {offsetof(IMAGE_DOS_HEADER, e_lfanew), 4, 0, STATUS_INVALID_IMAGE_PROTECT, "DOS"},
    {offsetof(IMAGE_DOS_HEADER, e_lfanew), 4, 0xFFFFFFFF, STATUS_INVALID_IMAGE_PROTECT, "DOS"},
    {offsetof(IMAGE_DOS_HEADER, e_lfanew), 4, 0xDFD, STATUS_INVALID_IMAGE_FORMAT, "beyond the end"},
    {NT, 2, IMAGE_OS2_SIGNATURE, STATUS_INVALID_IMAGE_WIN_16, "16-bit"},
    {NT, 2, IMAGE_OS2_SIGNATURE_LE, STATUS_INVALID_IMAGE_LE_FORMAT, "LE"},
    {NT, 4, 0x12344550, STATUS_INVALID_IMAGE_PROTECT, "DOS"},
    {AT_FILE(Machine), 2, IMAGE_FILE_MACHINE_I386, STATUS_INVALID_IMAGE_WIN_32, "32-bit x86"},
    {AT_FILE(Machine), 2, IMAGE_FILE_MACHINE_ARM64, STATUS_INVALID_IMAGE_FORMAT, "ARM64"},
    {AT_FILE(Machine), 2, 0x5064, STATUS_INVALID_IMAGE_FORMAT, "another processor"},
    {AT_FILE(Characteristics), 2, 0x20, STATUS_INVALID_IMAGE_FORMAT, "executable"},
    {AT_FILE(SizeOfOptionalHeader), 2, 0x60, STATUS_INVALID_IMAGE_FORMAT, "too short"},
    {AT_FILE(SizeOfOptionalHeader), 2, 0x78, STATUS_INVALID_IMAGE_FORMAT, "do not fit"},
    {AT_FILE(SizeOfOptionalHeader), 2, 0x8000, STATUS_INVALID_IMAGE_FORMAT, "section table"},
    {AT_FILE(NumberOfSections), 2, 0, STATUS_INVALID_IMAGE_FORMAT, "no sections"},
    {AT_FILE(NumberOfSections), 2, 97, STATUS_INVALID_IMAGE_FORMAT, "96"},
    {AT_FILE(NumberOfSections), 2, 20, STATUS_INVALID_IMAGE_FORMAT, "section table"},
    {AT_OPTIONAL(Magic), 2, IMAGE_NT_OPTIONAL_HDR32_MAGIC, STATUS_INVALID_IMAGE_FORMAT, "PE32+"},
    {AT_OPTIONAL(Subsystem), 2, IMAGE_SUBSYSTEM_WINDOWS_CUI, STATUS_INVALID_IMAGE_FORMAT, "native"},
    {AT_OPTIONAL(Subsystem), 2, 10, STATUS_INVALID_IMAGE_FORMAT, "native"},
    {AT_OPTIONAL(AddressOfEntryPoint), 4, 0, STATUS_INVALID_IMAGE_FORMAT, "no entry point"},
    {AT_OPTIONAL(AddressOfEntryPoint), 4, 0x2004, STATUS_INVALID_IMAGE_FORMAT, "executable code"},
    {AT_OPTIONAL(AddressOfEntryPoint), 4, 0xFFFFFFF0, STATUS_INVALID_IMAGE_FORMAT, "executable"},
    {AT_OPTIONAL(ImageBase), 8, BASE + 0x1000, STATUS_INVALID_IMAGE_FORMAT, "64 KB"},
    {AT_OPTIONAL(SectionAlignment), 4, 0, STATUS_INVALID_IMAGE_FORMAT, "alignment"},
    {AT_OPTIONAL(SectionAlignment), 4, 0x1800, STATUS_INVALID_IMAGE_FORMAT, "alignment"},
    {AT_OPTIONAL(SectionAlignment), 4, 0x200, STATUS_NOT_SUPPORTED, "share pages"},
    {AT_OPTIONAL(SectionAlignment), 4, 0x4000, STATUS_INVALID_IMAGE_FORMAT, "not aligned"},
    {AT_OPTIONAL(FileAlignment), 4, 0x2000, STATUS_INVALID_IMAGE_FORMAT, "alignment"},
    {AT_OPTIONAL(FileAlignment), 4, 0x10, STATUS_INVALID_IMAGE_FORMAT, "512"},
    {AT_OPTIONAL(FileAlignment), 4, 0x1000, STATUS_INVALID_IMAGE_FORMAT, "aligned in the file"},
    {AT_OPTIONAL(SizeOfImage), 4, 0, STATUS_INVALID_IMAGE_FORMAT, "zero"},
    {AT_OPTIONAL(SizeOfImage), 4, 0x5000, STATUS_INVALID_IMAGE_FORMAT, "beyond the image"},
    {AT_OPTIONAL(SizeOfImage), 4, 0xFFFFFFFF, STATUS_INVALID_IMAGE_FORMAT, "512 MB"},
    {AT_OPTIONAL(SizeOfHeaders), 4, 0x200, STATUS_INVALID_IMAGE_FORMAT, "section table"},
    {AT_OPTIONAL(SizeOfHeaders), 4, FILE_BYTES + 1, STATUS_INVALID_IMAGE_FORMAT, "truncated"},
    {AT_SECTION(0, VirtualAddress), 4, 0, STATUS_INVALID_IMAGE_FORMAT, "overlap"},
    {AT_SECTION(0, Misc.VirtualSize), 4, 0x1001, STATUS_INVALID_IMAGE_FORMAT, "overlap"},
    {AT_SECTION(1, VirtualAddress), 4, 0x3000, STATUS_INVALID_IMAGE_FORMAT, "overlap"},
    {AT_SECTION(1, VirtualAddress), 4, 0x2010, STATUS_INVALID_IMAGE_FORMAT, "not aligned"},
    {AT_SECTION(3, Misc.VirtualSize), 4, 0x1001, STATUS_INVALID_IMAGE_FORMAT, "beyond the image"},
    {AT_SECTION(3, Misc.VirtualSize), 4, 0xFFFFFFFF, STATUS_INVALID_IMAGE_FORMAT, "beyond"},
    {AT_SECTION(3, PointerToRawData), 4, 0xC04, STATUS_INVALID_IMAGE_FORMAT, "in the file"},
    {AT_SECTION(3, PointerToRawData), 4, 0xE00, STATUS_INVALID_IMAGE_FORMAT, "truncated"},
    {AT_SECTION(3, SizeOfRawData), 4, 0xFFFFFFFF, STATUS_INVALID_IMAGE_FORMAT, "truncated"},
    {AT_DIRECTORY(IMAGE_DIRECTORY_ENTRY_DEBUG), 8, 0x100000005F80ull, STATUS_INVALID_IMAGE_FORMAT,
     "directories"},
    {AT_DIRECTORY(IMAGE_DIRECTORY_ENTRY_TLS), 8, 0x2800002000ull, STATUS_NOT_SUPPORTED, "thread"},
    {AT_DIRECTORY(IMAGE_DIRECTORY_ENTRY_COM_DESCRIPTOR), 8, 0x4800002000ull, STATUS_NOT_SUPPORTED,
     ".NET"},
    {AT_DIRECTORY(IMAGE_DIRECTORY_ENTRY_DELAY_IMPORT), 8, 0x4000002000ull, STATUS_NOT_SUPPORTED,
     "delays"},
    {AT_DIRECTORY(IMAGE_DIRECTORY_ENTRY_IMPORT), 4, 0x600, STATUS_INVALID_IMAGE_FORMAT, "import"},
    {AT_DIRECTORY(IMAGE_DIRECTORY_ENTRY_EXPORT), 4, 0x600, STATUS_INVALID_IMAGE_FORMAT, "export"},
    {AT_DIRECTORY(IMAGE_DIRECTORY_ENTRY_EXCEPTION), 4, 0x600, STATUS_INVALID_IMAGE_FORMAT,
     "exception"},
    {AT_DIRECTORY(IMAGE_DIRECTORY_ENTRY_EXCEPTION), 4, 0x2382, STATUS_INVALID_IMAGE_FORMAT,
     "exception"},
    {AT_DIRECTORY(IMAGE_DIRECTORY_ENTRY_LOAD_CONFIG), 4, 0x600, STATUS_INVALID_IMAGE_FORMAT,
     "configuration"},
    {AT_DIRECTORY(IMAGE_DIRECTORY_ENTRY_BASERELOC), 4, 0x600, STATUS_INVALID_IMAGE_FORMAT,
     "relocations"},
    {AT_RDATA(0x2358), 8, BASE + 0x2008, STATUS_INVALID_IMAGE_FORMAT, "cookie"},
    {AT_RDATA(0x2358), 8, BASE - 8, STATUS_INVALID_IMAGE_FORMAT, "cookie"},
    {AT_RDATA(0x2358), 8, BASE + 0x3004, STATUS_INVALID_IMAGE_FORMAT, "cookie"},
    {AT_RDATA(0x200C), 4, 0x7000, STATUS_INVALID_IMAGE_FORMAT, "module"},
    {AT_RDATA(0x200C), 4, 0x2190, STATUS_INVALID_IMAGE_FORMAT, "module"},
    {AT_RDATA(0x2010), 4, 0x5FFC, STATUS_INVALID_IMAGE_FORMAT, "import tables"},
    {AT_RDATA(0x2010), 4, 0x100, STATUS_INVALID_IMAGE_FORMAT, "import tables"},
    {AT_RDATA(0x2000), 4, 0xFFFFFFF8, STATUS_INVALID_IMAGE_FORMAT, "import tables"},
    {AT_RDATA(0x2018), 4, 1, STATUS_INVALID_IMAGE_FORMAT, "bound"},
    {AT_RDATA(0x2080), 8, 0x100002140ull, STATUS_INVALID_IMAGE_FORMAT, "imports is damaged"},
    {AT_RDATA(0x2080), 8, 0x2150, STATUS_INVALID_IMAGE_FORMAT, "imports is damaged"},
    {AT_RDATA(0x2088), 8, IMAGE_ORDINAL_FLAG64 | 0x10000, STATUS_INVALID_IMAGE_FORMAT, "ordinal"},
    {AT_RDATA(0x2200) + offsetof(IMAGE_EXPORT_DIRECTORY, NumberOfFunctions), 4, 70000,
     STATUS_INVALID_IMAGE_FORMAT, "65536"},
    {AT_RDATA(0x2200) + offsetof(IMAGE_EXPORT_DIRECTORY, NumberOfNames), 4, 1024,
     STATUS_INVALID_IMAGE_FORMAT, "export tables"},
    {AT_RDATA(0x2200) + offsetof(IMAGE_EXPORT_DIRECTORY, AddressOfFunctions), 4, 0x5FFC,
     STATUS_INVALID_IMAGE_FORMAT, "export tables"},
    {AT_RELOC(0x5000), 4, 0x6000, STATUS_INVALID_IMAGE_FORMAT, "outside its sections"},
    {AT_RELOC(0x5000), 4, 0xFFFFF000, STATUS_INVALID_IMAGE_FORMAT, "outside its sections"},
    {AT_RELOC(0x5000), 4, 0x4000, STATUS_INVALID_IMAGE_FORMAT, "outside its sections"},
    {AT_RELOC(0x5000), 4, 0, STATUS_INVALID_IMAGE_FORMAT, "outside its sections"},
    {AT_RELOC(0x5004), 4, 7, STATUS_INVALID_IMAGE_FORMAT, "impossible size"},
    {AT_RELOC(0x5004), 4, 0x11, STATUS_INVALID_IMAGE_FORMAT, "impossible size"},
    {AT_RELOC(0x5004), 4, 0x1A, STATUS_INVALID_IMAGE_FORMAT, "impossible size"},
    {AT_RELOC(0x5004), 4, 0, STATUS_INVALID_IMAGE_FORMAT, "impossible size"},
    {AT_RELOC(0x5008), 2, 3 << 12, STATUS_INVALID_IMAGE_FORMAT, "type"},
};

KTEST(LdrPeEveryDamageHasItsReason)
{
    const DAMAGE *D;
    NTSTATUS Status;
    ULONG i;

    for (i = 0; i < ARRAYSIZE(Damages); i++) {
        D = &Damages[i];
        Build();
        Put(D->At, D->Value, D->Bytes);
        Status = LdrpCheckImage(File, sizeof(File), &Info);
        if (Status != D->Status || Info.Reason == NULL || !Contains(Info.Reason, D->Reason)) {
            KTestFailValues(__FILE__, __LINE__, Info.Reason == NULL ? "accepted" : Info.Reason, i,
                            (ULONG)D->Status);
        }
    }
}

KTEST(LdrPeOddButRight)
{
    /* Zero virtual size stands for the raw size; a section without file bytes is all zero. */
    Build();
    Put(AT_SECTION(0, Misc.VirtualSize), 0, 4);
    Put(AT_SECTION(2, PointerToRawData), 0, 4);
    CHECK_STATUS(STATUS_SUCCESS, LdrpCheckImage(File, sizeof(File), &Info));
    CHECK_EQ(Info.Section[0].VirtualSize, 0x200);
    CHECK_EQ(Info.Section[2].FileSize, 0);
    /* A gap between sections; fewer directories; the certificate's "address" is a file offset. */
    Build();
    PutDirectory(IMAGE_DIRECTORY_ENTRY_BASERELOC, 0, 0);
    PutDirectory(IMAGE_DIRECTORY_ENTRY_SECURITY, 0x7FFFFFF0, 0x1000);
    Put(AT_SECTION(3, VirtualAddress), 0x8000, 4);
    Put(AT_OPTIONAL(SizeOfImage), 0x8FFF, 4);
    CHECK_STATUS(STATUS_SUCCESS, LdrpCheckImage(File, sizeof(File), &Info));
    CHECK_EQ(Info.ImageSize, 0x9000);
    CHECK(LdrpFindSection(&Info, 0x6000) == NULL);
    Build();
    Put(AT_OPTIONAL(NumberOfRvaAndSizes), 1, 4);
    CHECK_STATUS(STATUS_SUCCESS, LdrpCheckImage(File, sizeof(File), &Info));
    CHECK_EQ(Info.ImportCount, 0);
    Build();
    Put(AT_OPTIONAL(NumberOfRvaAndSizes), 0xFFFFFFFF, 4);
    CHECK_STATUS(STATUS_SUCCESS, LdrpCheckImage(File, sizeof(File), &Info));
    /* An old load configuration ends before the cookie. */
    Put(AT_RDATA(0x2300), 0x58, 4);
    CHECK_STATUS(STATUS_SUCCESS, LdrpCheckImage(File, sizeof(File), &Info));
    CHECK_EQ(Info.SecurityCookie, 0);
}

KTEST(LdrPeEveryTruncationRefused)
{
    ULONG Size, Wrong = 0;

    Build();
    for (Size = 0; Size < FILE_BYTES; Size++) {
        Wrong += NT_SUCCESS(LdrpCheckImage(File, Size, &Info)) || Info.Reason == NULL;
    }
    CHECK_EQ(Wrong, 0);
}

/* ---- The mapped image ---- */

static BOOLEAN
Map(LDRP_VIEW *View)
{
    RtlZeroMemory(Image, sizeof(Image));
    if (!NT_SUCCESS(LdrpCheckImage(File, sizeof(File), &Info))) {
        return FALSE;
    }
    LdrpCopyImage(File, &Info, Image);
    *View = LdrpMappedView(&Info, Image);
    return TRUE;
}

static ULONG64
ImageWord(ULONG Rva)
{
    ULONG64 Value;

    RtlCopyMemory(&Value, Image + Rva, sizeof(Value));
    return Value;
}

KTEST(LdrPeCopyAndRelocate)
{
    LDRP_VIEW View;
    const char *Reason = NULL;

    Build();
    REQUIRE(Map(&View));
    CHECK_EQ(ImageWord(0x3010), BASE + 0x1010);
    CHECK_EQ(Image[0], 'M');
    CHECK_STATUS(STATUS_SUCCESS, LdrpRelocateImage(&View, 0, &Reason));
    CHECK_EQ(ImageWord(0x3010), BASE + 0x1010);
    CHECK_STATUS(STATUS_SUCCESS, LdrpRelocateImage(&View, -0x40000000ll, &Reason));
    CHECK_EQ(ImageWord(0x3010), BASE - 0x40000000 + 0x1010);
    CHECK_EQ(ImageWord(0x3FFC), (ULONG64)-0x40000000ll);
    CHECK_EQ(ImageWord(0x3018), 0);
    View.Info = &Info;
    Info.Characteristics |= IMAGE_FILE_RELOCS_STRIPPED;
    CHECK_STATUS(STATUS_CONFLICTING_ADDRESSES, LdrpRelocateImage(&View, 0x10000, &Reason));
    REQUIRE(Reason != NULL);
    CHECK(Contains(Reason, "stripped"));
}

KTEST(LdrPeRelocationsChangeAllOrNothing)
{
    LDRP_VIEW View;
    const char *Reason = NULL;

    Build();
    REQUIRE(Map(&View));
    Image[0x500B] = 0x30; /* the second entry becomes a type unknown */
    CHECK_STATUS(STATUS_INVALID_IMAGE_FORMAT, LdrpRelocateImage(&View, 0x10000, &Reason));
    CHECK_EQ(ImageWord(0x3010), BASE + 0x1010);
    Build();
    Put(AT_RELOC(0x5000), 0x5000, 4); /* an entry for the entries themselves */
    CHECK_STATUS(STATUS_INVALID_IMAGE_FORMAT, LdrpCheckImage(File, sizeof(File), &Info));
    CHECK(Info.Reason != NULL && Contains(Info.Reason, "changes the relocations"));
}

/* What the enumeration reported. */
typedef struct _SEEN {
    ULONG Count;
    ULONG Slots[4];
    USHORT Ordinals[4];
    BOOLEAN Named[4];
    ULONG Right;
    ULONG StopAfter;
} SEEN;

static NTSTATUS
SeeImport(PVOID Context, const LDRP_IMPORT *Import)
{
    SEEN *Seen = Context;
    ULONG i = Seen->Count++;

    Seen->Slots[i % 4] = Import->SlotRva;
    Seen->Ordinals[i % 4] = Import->Ordinal;
    Seen->Named[i % 4] = Import->Name != NULL;
    Seen->Right += Contains(Import->Module, i < 2 ? "ntoskrnl.exe" : "HAL.dll");
    Seen->Right += i != 0 || Contains(Import->Name, "DbgPrint");
    Seen->Right += i != 2 || Contains(Import->Name, "KeStall");
    /* As a loader does: the slot is overwritten while the table is walked. */
    RtlFillMemory(Image + Import->SlotRva, 8, 0x99);
    return Seen->Count == Seen->StopAfter ? STATUS_NO_MEMORY : STATUS_SUCCESS;
}

KTEST(LdrPeImports)
{
    LDRP_VIEW View;
    SEEN Seen = {0};

    Build();
    REQUIRE(Map(&View));
    CHECK_STATUS(STATUS_SUCCESS, LdrpEnumerateImports(&View, SeeImport, &Seen, NULL));
    CHECK_EQ(Seen.Count, 3);
    CHECK_EQ(Seen.Right, 9);
    CHECK_EQ(Seen.Slots[0], 0x20C0);
    CHECK_EQ(Seen.Slots[1], 0x20C8);
    CHECK_EQ(Seen.Slots[2], 0x2100);
    CHECK(Seen.Named[0] && !Seen.Named[1] && Seen.Named[2]);
    CHECK_EQ(Seen.Ordinals[0], 5);
    CHECK_EQ(Seen.Ordinals[1], 17);
    Seen.Count = 0;
    Seen.StopAfter = 2;
    REQUIRE(Map(&View));
    CHECK_STATUS(STATUS_NO_MEMORY, LdrpEnumerateImports(&View, SeeImport, &Seen, NULL));
    CHECK_EQ(Seen.Count, 2);
}

KTEST(LdrPeExports)
{
    static LDRP_EXPORT Export;
    LDRP_VIEW View;

    Build();
    REQUIRE(Map(&View));
    CHECK_STATUS(STATUS_SUCCESS, LdrpFindExportByName(&View, "Alpha", &Export));
    CHECK_EQ(Export.Rva, 0x1010);
    CHECK_EQ(Export.Ordinal, 10);
    CHECK_EQ(Export.Forwarder[0], 0);
    CHECK_STATUS(STATUS_SUCCESS, LdrpFindExportByName(&View, "Beta", &Export));
    CHECK_EQ(Export.Rva, 0);
    CHECK(Contains(Export.Forwarder, "other.Fn"));
    CHECK_STATUS(STATUS_SUCCESS, LdrpFindExportByName(&View, "Zeta", &Export));
    CHECK_EQ(Export.Rva, 0x1010);
    CHECK_STATUS(STATUS_DRIVER_ENTRYPOINT_NOT_FOUND, LdrpFindExportByName(&View, "Gamma", &Export));
    CHECK_STATUS(STATUS_DRIVER_ENTRYPOINT_NOT_FOUND, LdrpFindExportByName(&View, "alpha", &Export));
    CHECK_STATUS(STATUS_DRIVER_ENTRYPOINT_NOT_FOUND, LdrpFindExportByName(&View, "", &Export));
    CHECK_STATUS(STATUS_SUCCESS, LdrpFindExportByOrdinal(&View, 10, &Export));
    CHECK_EQ(Export.Rva, 0x1010);
    CHECK_STATUS(STATUS_SUCCESS, LdrpFindExportByOrdinal(&View, 11, &Export));
    CHECK_STATUS(STATUS_DRIVER_ORDINAL_NOT_FOUND, LdrpFindExportByOrdinal(&View, 12, &Export));
    CHECK_STATUS(STATUS_DRIVER_ORDINAL_NOT_FOUND, LdrpFindExportByOrdinal(&View, 13, &Export));
    CHECK_STATUS(STATUS_DRIVER_ORDINAL_NOT_FOUND, LdrpFindExportByOrdinal(&View, 9, &Export));
    Info.Directory[IMAGE_DIRECTORY_ENTRY_EXPORT].Size = 0;
    CHECK_STATUS(STATUS_DRIVER_ENTRYPOINT_NOT_FOUND, LdrpFindExportByName(&View, "Alpha", &Export));
}

KTEST(LdrPeViewsAgree)
{
    LDRP_VIEW Mapped, Raw;
    UCHAR A[24], B[24];
    ULONG Rva, Wrong = 0;

    Build();
    REQUIRE(Map(&Mapped));
    Raw = (LDRP_VIEW){&Info, File, FALSE};
    for (Rva = 0; Rva < IMAGE_BYTES + 64; Rva++) {
        BOOLEAN First = LdrpReadView(&Mapped, Rva, A, sizeof(A));

        Wrong += First != LdrpReadView(&Raw, Rva, B, sizeof(B));
        Wrong += First && !RtlEqualMemory(A, B, sizeof(A));
    }
    CHECK_EQ(Wrong, 0);
    CHECK(!LdrpReadView(&Mapped, 0x3F0, A, 24)); /* headers end, a gap follows */
    CHECK(!LdrpReadView(&Mapped, 0xFFFFFFFF, A, 24));
}

KTEST(LdrPeEverySingleByte)
{
    static LDRP_EXPORT Export;
    LDRP_VIEW View;
    SEEN Seen;
    ULONG At, Flip;

    for (At = 0; At < FILE_BYTES; At++) {
        for (Flip = 0; Flip < 3; Flip++) {
            Build();
            File[At] ^= Flip == 0 ? 0x01 : Flip == 1 ? 0x80 : 0xFF;
            if (!NT_SUCCESS(LdrpCheckImage(File, sizeof(File), &Info))) {
                CHECK(Info.Reason != NULL);
                continue;
            }
            /* Some damage makes the image larger than the buffer here. */
            if (Info.ImageSize > IMAGE_BYTES || !Map(&View)) {
                continue;
            }
            Seen = (SEEN){0};
            LdrpRelocateImage(&View, 0x10000, NULL);
            LdrpEnumerateImports(&View, SeeImport, &Seen, NULL);
            LdrpFindExportByName(&View, "Beta", &Export);
            LdrpFindExportByOrdinal(&View, 11, &Export);
        }
    }
}
