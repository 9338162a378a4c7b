/*
 * pe.c - judging an image file: headers, sections and the ranges of the directories.
 *
 * The file is hostile until proven otherwise. Every field is copied out of the bytes before it is
 * judged, sums are made in 64 bits, and each refusal names one reason in plain English. What the
 * directories contain is judged by walking them once over the file, with the routines of pedir.c
 * that later work on the mapped image. Follows the "PE Format" page; limits that page does not give
 * are in pe.h.
 */
#include "pe.h"
#include "pep.h"

#define LDRP_PAGE 4096u
#define LDRP_MINIMUM_FILE_ALIGNMENT 512u
#define LDRP_BASE_ALIGNMENT 0x10000u
#define LDRP_OPTIONAL_HEADER_FIXED 112u /* up to the data directories */
#define LDRP_COOKIE_OFFSET 0x58u        /* of the cookie's address in the load configuration */

/* The headers of one file while they are judged. */
typedef struct _LDRP_HEADERS {
    const UCHAR *File;
    SIZE_T FileSize;
    ULONG NtOffset;
    IMAGE_NT_HEADERS64 Nt;
    PLDRP_IMAGE_INFO Info;
} LDRP_HEADERS, *PLDRP_HEADERS;

static NTSTATUS
LdrpRefuse(PLDRP_IMAGE_INFO Info, NTSTATUS Status, const char *Reason)
{
    Info->Reason = Reason;
    return Status;
}

static NTSTATUS
LdrpMalformed(PLDRP_IMAGE_INFO Info, const char *Reason)
{
    return LdrpRefuse(Info, STATUS_INVALID_IMAGE_FORMAT, Reason);
}

static BOOLEAN
LdrpIsPowerOfTwo(ULONG Value)
{
    return Value != 0 && (Value & (Value - 1)) == 0;
}

/* Copy Length bytes at Offset of the file; FALSE beyond its end. */
static BOOLEAN
LdrpReadFile(const LDRP_HEADERS *H, ULONG64 Offset, void *Buffer, SIZE_T Length)
{
    if (Offset > H->FileSize || Length > H->FileSize - Offset) {
        return FALSE;
    }
    __builtin_memcpy(Buffer, H->File + Offset, Length);
    return TRUE;
}

/* What stands where "PE" should: an older kind of program, or nothing known. */
static NTSTATUS
LdrpRefuseSignature(PLDRP_IMAGE_INFO Info, ULONG Signature)
{
    switch (Signature & 0xFFFF) {
    case IMAGE_OS2_SIGNATURE:
        return LdrpRefuse(Info, STATUS_INVALID_IMAGE_WIN_16, "it is a 16-bit Windows program");
    case IMAGE_OS2_SIGNATURE_LE:
    case IMAGE_OS2_SIGNATURE_LX:
        return LdrpRefuse(Info, STATUS_INVALID_IMAGE_LE_FORMAT, "it is an LE or LX image");
    default:
        return LdrpRefuse(Info, STATUS_INVALID_IMAGE_PROTECT,
                          "it is a DOS program, or its PE header is damaged");
    }
}

/* Find the PE header. */
static NTSTATUS
LdrpCheckDosHeader(PLDRP_HEADERS H)
{
    IMAGE_DOS_HEADER Dos;
    ULONG Signature;
    USHORT Magic;

    if (!LdrpReadFile(H, 0, &Magic, sizeof(Magic)) || Magic != IMAGE_DOS_SIGNATURE) {
        return LdrpRefuse(H->Info, STATUS_INVALID_IMAGE_NOT_MZ,
                          H->FileSize == 0 ? "the file is empty"
                                           : "it is not a PE image: it does not start with MZ");
    }
    if (!LdrpReadFile(H, 0, &Dos, sizeof(Dos))) {
        return LdrpMalformed(H->Info, "the file ends inside its DOS header");
    }
    if (Dos.e_lfanew <= 0) {
        return LdrpRefuseSignature(H->Info, 0);
    }
    H->NtOffset = (ULONG)Dos.e_lfanew;
    if (!LdrpReadFile(H, H->NtOffset, &Signature, sizeof(Signature))) {
        return LdrpMalformed(H->Info, "the PE header lies beyond the end of the file");
    }
    if (Signature != IMAGE_NT_SIGNATURE) {
        return LdrpRefuseSignature(H->Info, Signature);
    }
    return STATUS_SUCCESS;
}

/* Judge the processor the image was made for. */
static NTSTATUS
LdrpCheckMachine(PLDRP_IMAGE_INFO Info, USHORT Machine)
{
    switch (Machine) {
    case IMAGE_FILE_MACHINE_AMD64:
        return STATUS_SUCCESS;
    case IMAGE_FILE_MACHINE_I386:
        return LdrpRefuse(Info, STATUS_INVALID_IMAGE_WIN_32, "it is a 32-bit x86 image, not x64");
    case IMAGE_FILE_MACHINE_ARM64:
        return LdrpMalformed(Info, "it was built for ARM64, not x64");
    case IMAGE_FILE_MACHINE_ARMNT:
        return LdrpMalformed(Info, "it was built for 32-bit ARM, not x64");
    case IMAGE_FILE_MACHINE_IA64:
        return LdrpMalformed(Info, "it was built for Itanium, not x64");
    default:
        return LdrpMalformed(Info, "it was built for another processor, not x64");
    }
}

/* Read the PE headers, however many data directories they have, into H->Nt. */
static NTSTATUS
LdrpReadNtHeaders(PLDRP_HEADERS H)
{
    PIMAGE_OPTIONAL_HEADER64 Optional = &H->Nt.OptionalHeader;
    ULONG OptionalOffset = offsetof(IMAGE_NT_HEADERS64, OptionalHeader);
    ULONG OptionalSize, DirectoryBytes;
    NTSTATUS Status;

    if (!LdrpReadFile(H, H->NtOffset, &H->Nt, OptionalOffset)) {
        return LdrpMalformed(H->Info, "the file ends inside its PE header");
    }
    Status = LdrpCheckMachine(H->Info, H->Nt.FileHeader.Machine);
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    OptionalSize = H->Nt.FileHeader.SizeOfOptionalHeader;
    if (OptionalSize < LDRP_OPTIONAL_HEADER_FIXED) {
        return LdrpMalformed(H->Info, "its optional header is too short");
    }
    if (!LdrpReadFile(H, (ULONG64)H->NtOffset + OptionalOffset, Optional,
                      LDRP_OPTIONAL_HEADER_FIXED)) {
        return LdrpMalformed(H->Info, "the file ends inside its optional header");
    }
    if (Optional->Magic != IMAGE_NT_OPTIONAL_HDR64_MAGIC) {
        return LdrpMalformed(H->Info, "its optional header is not PE32+");
    }
    if (Optional->NumberOfRvaAndSizes > IMAGE_NUMBEROF_DIRECTORY_ENTRIES) {
        Optional->NumberOfRvaAndSizes = IMAGE_NUMBEROF_DIRECTORY_ENTRIES;
    }
    DirectoryBytes = Optional->NumberOfRvaAndSizes * (ULONG)sizeof(IMAGE_DATA_DIRECTORY);
    if (DirectoryBytes > OptionalSize - LDRP_OPTIONAL_HEADER_FIXED) {
        return LdrpMalformed(H->Info, "its data directories do not fit into the optional header");
    }
    if (!LdrpReadFile(H, (ULONG64)H->NtOffset + OptionalOffset + LDRP_OPTIONAL_HEADER_FIXED,
                      Optional->DataDirectory, DirectoryBytes)) {
        return LdrpMalformed(H->Info, "the file ends inside its data directories");
    }
    return STATUS_SUCCESS;
}

/* Judge what kind of program this is. */
static NTSTATUS
LdrpCheckKind(PLDRP_HEADERS H)
{
    if ((H->Nt.FileHeader.Characteristics & IMAGE_FILE_EXECUTABLE_IMAGE) == 0) {
        return LdrpMalformed(H->Info, "it is not marked executable: linking failed or is not done");
    }
    switch (H->Nt.OptionalHeader.Subsystem) {
    case IMAGE_SUBSYSTEM_NATIVE:
        return STATUS_SUCCESS;
    case IMAGE_SUBSYSTEM_WINDOWS_GUI:
    case IMAGE_SUBSYSTEM_WINDOWS_CUI:
        return LdrpMalformed(H->Info, "it is a Windows program, not a driver: its subsystem is "
                                      "not native (link with --subsystem,native)");
    default:
        return LdrpMalformed(H->Info, "its subsystem is not native");
    }
}

/* Judge the numbers that describe the whole image. */
static NTSTATUS
LdrpCheckGeometry(PLDRP_HEADERS H)
{
    const IMAGE_OPTIONAL_HEADER64 *Optional = &H->Nt.OptionalHeader;
    PLDRP_IMAGE_INFO Info = H->Info;
    ULONG64 ImageSize = ALIGN_UP_BY(Optional->SizeOfImage, LDRP_PAGE);

    if (!LdrpIsPowerOfTwo(Optional->SectionAlignment) ||
        !LdrpIsPowerOfTwo(Optional->FileAlignment) ||
        Optional->FileAlignment > Optional->SectionAlignment) {
        return LdrpMalformed(Info, "its section or file alignment makes no sense");
    }
    if (Optional->SectionAlignment < LDRP_PAGE) {
        return LdrpRefuse(Info, STATUS_NOT_SUPPORTED,
                          "its sections share pages (section alignment below 4096), so they "
                          "cannot be protected");
    }
    if (Optional->FileAlignment < LDRP_MINIMUM_FILE_ALIGNMENT) {
        return LdrpMalformed(Info, "its file alignment is below 512");
    }
    if (Optional->ImageBase % LDRP_BASE_ALIGNMENT != 0) {
        return LdrpMalformed(Info, "its base address is not a multiple of 64 KB");
    }
    if (ImageSize == 0 || ImageSize > LDRP_MAXIMUM_IMAGE) {
        return LdrpMalformed(Info, ImageSize == 0 ? "its image size is zero"
                                                  : "its image size is above 512 MB");
    }
    if (Optional->SizeOfHeaders > H->FileSize) {
        return LdrpMalformed(Info, "the file ends inside its headers (truncated?)");
    }
    if (Optional->SizeOfHeaders > ImageSize) {
        return LdrpMalformed(Info, "its headers are larger than the image");
    }
    Info->PreferredBase = Optional->ImageBase;
    Info->ImageSize = (ULONG)ImageSize;
    Info->HeaderSize = Optional->SizeOfHeaders;
    Info->EntryPoint = Optional->AddressOfEntryPoint;
    Info->TimeDateStamp = H->Nt.FileHeader.TimeDateStamp;
    Info->CheckSum = Optional->CheckSum;
    Info->Characteristics = H->Nt.FileHeader.Characteristics;
    Info->DllCharacteristics = Optional->DllCharacteristics;
    return STATUS_SUCCESS;
}

/* Judge one section against what precedes it; PreviousEnd is the first RVA it may use. */
static NTSTATUS
LdrpCheckSection(PLDRP_HEADERS H, const IMAGE_SECTION_HEADER *Header, ULONG64 PreviousEnd,
                 PLDRP_SECTION Section)
{
    const IMAGE_OPTIONAL_HEADER64 *Optional = &H->Nt.OptionalHeader;
    PLDRP_IMAGE_INFO Info = H->Info;
    ULONG RawSize = Header->PointerToRawData == 0 ? 0 : Header->SizeOfRawData;
    ULONG Size = Header->Misc.VirtualSize != 0 ? Header->Misc.VirtualSize : Header->SizeOfRawData;
    ULONG64 Span = ALIGN_UP_BY(Size, LDRP_PAGE);

    if (Size == 0) {
        return LdrpMalformed(Info, "one of its sections is empty");
    }
    if (Header->VirtualAddress % Optional->SectionAlignment != 0) {
        return LdrpMalformed(Info, "one of its sections is not aligned");
    }
    if (Header->VirtualAddress < PreviousEnd) {
        return LdrpMalformed(Info, "its sections overlap or are out of order");
    }
    if (Header->VirtualAddress + Span > Info->ImageSize) {
        return LdrpMalformed(Info, "one of its sections reaches beyond the image");
    }
    if (RawSize != 0) {
        if (Header->PointerToRawData % Optional->FileAlignment != 0) {
            return LdrpMalformed(Info, "one of its sections is not aligned in the file");
        }
        if ((ULONG64)Header->PointerToRawData + RawSize > H->FileSize) {
            return LdrpMalformed(
                Info, "one of its sections reaches beyond the end of the file (truncated?)");
        }
    }
    __builtin_memcpy(Section->Name, Header->Name, IMAGE_SIZEOF_SHORT_NAME);
    Section->VirtualAddress = Header->VirtualAddress;
    Section->VirtualSize = Size;
    Section->FileOffset = RawSize != 0 ? Header->PointerToRawData : 0;
    Section->FileSize = (ULONG)MIN((ULONG64)RawSize, Span);
    Section->Characteristics = Header->Characteristics;
    return STATUS_SUCCESS;
}

static NTSTATUS
LdrpCheckSections(PLDRP_HEADERS H)
{
    ULONG Count = H->Nt.FileHeader.NumberOfSections;
    ULONG64 Table = (ULONG64)H->NtOffset + offsetof(IMAGE_NT_HEADERS64, OptionalHeader) +
                    H->Nt.FileHeader.SizeOfOptionalHeader;
    ULONG64 End = H->Info->HeaderSize;
    IMAGE_SECTION_HEADER Header;
    NTSTATUS Status;
    ULONG i;

    if (Count == 0 || Count > LDRP_MAXIMUM_SECTIONS) {
        return LdrpMalformed(H->Info, Count == 0 ? "it has no sections"
                                                 : "it has more than 96 sections");
    }
    if (Table + Count * sizeof(Header) > H->Info->HeaderSize) {
        return LdrpMalformed(H->Info, "its section table does not fit into its headers");
    }
    for (i = 0; i < Count; i++) {
        if (!LdrpReadFile(H, Table + i * sizeof(Header), &Header, sizeof(Header))) {
            return LdrpMalformed(H->Info, "the file ends inside its section table");
        }
        Status = LdrpCheckSection(H, &Header, End, &H->Info->Section[i]);
        if (!NT_SUCCESS(Status)) {
            return Status;
        }
        End = Header.VirtualAddress + ALIGN_UP_BY(H->Info->Section[i].VirtualSize, LDRP_PAGE);
    }
    H->Info->SectionCount = (USHORT)Count;
    return STATUS_SUCCESS;
}

/* Accept the data directories that stay inside the image and that this loader serves. */
static NTSTATUS
LdrpCheckDirectoryRanges(PLDRP_HEADERS H)
{
    PLDRP_IMAGE_INFO Info = H->Info;
    const IMAGE_DATA_DIRECTORY *Directory;
    ULONG i;

    for (i = 0; i < H->Nt.OptionalHeader.NumberOfRvaAndSizes; i++) {
        Directory = &H->Nt.OptionalHeader.DataDirectory[i];
        if (Directory->VirtualAddress == 0 || Directory->Size == 0 ||
            i == IMAGE_DIRECTORY_ENTRY_SECURITY) {
            continue;
        }
        if ((ULONG64)Directory->VirtualAddress + Directory->Size > Info->ImageSize) {
            return LdrpMalformed(Info, "one of its data directories reaches beyond the image");
        }
        Info->Directory[i] = *Directory;
    }
    if (Info->Directory[IMAGE_DIRECTORY_ENTRY_COM_DESCRIPTOR].Size != 0) {
        return LdrpRefuse(Info, STATUS_NOT_SUPPORTED, "it is a .NET image");
    }
    if (Info->Directory[IMAGE_DIRECTORY_ENTRY_TLS].Size != 0) {
        return LdrpRefuse(Info, STATUS_NOT_SUPPORTED,
                          "it uses thread-local storage, which drivers do not have");
    }
    if (Info->Directory[IMAGE_DIRECTORY_ENTRY_DELAY_IMPORT].Size != 0) {
        return LdrpRefuse(Info, STATUS_NOT_SUPPORTED, "it delays the loading of imports");
    }
    return STATUS_SUCCESS;
}

static NTSTATUS
LdrpCheckEntryPoint(PLDRP_IMAGE_INFO Info)
{
    const LDRP_SECTION *Section;

    if (Info->EntryPoint == 0) {
        return LdrpMalformed(Info, "it has no entry point");
    }
    Section = LdrpFindSection(Info, Info->EntryPoint);
    if (Section == NULL || (Section->Characteristics & IMAGE_SCN_MEM_EXECUTE) == 0) {
        return LdrpMalformed(Info, "its entry point is not in executable code");
    }
    return STATUS_SUCCESS;
}

/* The exception directory: a table of whole entries; what they say is the unwinder's affair. */
static NTSTATUS
LdrpCheckExceptionTable(const LDRP_VIEW *View, PLDRP_IMAGE_INFO Info)
{
    const IMAGE_DATA_DIRECTORY *Table = &Info->Directory[IMAGE_DIRECTORY_ENTRY_EXCEPTION];

    if (Table->Size == 0) {
        return STATUS_SUCCESS;
    }
    if (Table->VirtualAddress % 4 != 0 ||
        !LdrpRangeIsBacked(View->Info, Table->VirtualAddress, Table->Size)) {
        return LdrpMalformed(Info, "its exception table is damaged");
    }
    Info->FunctionCount = Table->Size / LDRP_FUNCTION_ENTRY_SIZE;
    return STATUS_SUCCESS;
}

/* The load configuration: where the security cookie is. */
static NTSTATUS
LdrpCheckLoadConfig(const LDRP_VIEW *View, PLDRP_IMAGE_INFO Info)
{
    const IMAGE_DATA_DIRECTORY *Config = &Info->Directory[IMAGE_DIRECTORY_ENTRY_LOAD_CONFIG];
    const LDRP_SECTION *Section;
    ULONG64 Cookie, Rva;
    ULONG Size;

    if (Config->Size == 0) {
        return STATUS_SUCCESS;
    }
    if (!LdrpReadView(View, Config->VirtualAddress, &Size, sizeof(Size))) {
        return LdrpMalformed(Info, "its load configuration lies outside its sections");
    }
    if (Size < LDRP_COOKIE_OFFSET + sizeof(Cookie)) {
        return STATUS_SUCCESS;
    }
    if (!LdrpReadView(View, Config->VirtualAddress + LDRP_COOKIE_OFFSET, &Cookie, sizeof(Cookie))) {
        return LdrpMalformed(Info, "its load configuration lies outside its sections");
    }
    if (Cookie == 0) {
        return STATUS_SUCCESS;
    }
    Rva = Cookie - Info->PreferredBase;
    Section = Rva < Info->ImageSize ? LdrpFindSection(Info, (ULONG)Rva) : NULL;
    if (Section == NULL || Rva % sizeof(Cookie) != 0 ||
        (Section->Characteristics & IMAGE_SCN_MEM_WRITE) == 0) {
        return LdrpMalformed(Info, "its security cookie is not in writable data");
    }
    Info->SecurityCookie = (ULONG)Rva;
    return STATUS_SUCCESS;
}

static NTSTATUS
LdrpCountImport(void *Context, const LDRP_IMPORT *Import)
{
    UNREFERENCED_PARAMETER(Import);
    *(ULONG *)Context += 1;
    return STATUS_SUCCESS;
}

/* Walk every directory once over the file, so that later walks have nothing to refuse. */
static NTSTATUS
LdrpCheckDirectories(const LDRP_VIEW *View, PLDRP_IMAGE_INFO Info)
{
    ULONG RelocationCount, ImportCount = 0;
    NTSTATUS Status;

    Status = LdrpCheckRelocations(View, &RelocationCount, &Info->Reason);
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Status = LdrpEnumerateImports(View, LdrpCountImport, &ImportCount, &Info->Reason);
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Status = LdrpCheckExports(View, &Info->Reason);
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Status = LdrpCheckLoadConfig(View, Info);
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Info->RelocationCount = RelocationCount;
    Info->ImportCount = ImportCount;
    return LdrpCheckExceptionTable(View, Info);
}

NTSTATUS
LdrpCheckImage(const void *File, SIZE_T Size, PLDRP_IMAGE_INFO Info)
{
    static NTSTATUS (*const Steps[])(PLDRP_HEADERS) = {
        LdrpCheckDosHeader, LdrpReadNtHeaders, LdrpCheckKind,
        LdrpCheckGeometry,  LdrpCheckSections, LdrpCheckDirectoryRanges,
    };
    LDRP_HEADERS Headers;
    LDRP_VIEW View;
    NTSTATUS Status;
    ULONG i;

    __builtin_memset(Info, 0, sizeof(*Info));
    __builtin_memset(&Headers, 0, sizeof(Headers));
    Headers.File = File;
    Headers.FileSize = Size;
    Headers.Info = Info;
    for (i = 0; i < ARRAYSIZE(Steps); i++) {
        Status = Steps[i](&Headers);
        if (!NT_SUCCESS(Status)) {
            return Status;
        }
    }
    Status = LdrpCheckEntryPoint(Info);
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    View.Info = Info;
    View.Bytes = (UCHAR *)(ULONG_PTR)File;
    View.Mapped = FALSE;
    return LdrpCheckDirectories(&View, Info);
}

VOID
LdrpCopyImage(const void *File, const LDRP_IMAGE_INFO *Info, void *Image)
{
    const LDRP_SECTION *Section;
    ULONG i;

    __builtin_memcpy(Image, File, Info->HeaderSize);
    for (i = 0; i < Info->SectionCount; i++) {
        Section = &Info->Section[i];
        __builtin_memcpy((UCHAR *)Image + Section->VirtualAddress,
                         (const UCHAR *)File + Section->FileOffset, Section->FileSize);
    }
}
