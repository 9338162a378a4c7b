/*
 * pedir.c - walking what the data directories of an image point to: base relocations, imports and
 * exports.
 *
 * Everything is read by RVA through LdrpReadView, which refuses what does not lie inside the headers
 * or one section; so a directory can lie as much as it likes and still no byte outside the image is
 * touched. Every loop is bounded by the size of its directory or by a limit of pe.h. Follows the
 * "PE Format" page, sections on .reloc, .idata and .edata.
 */
#include "pe.h"
#include "pep.h"

#define LDRP_PAGE 4096u
#define LDRP_RELOCATION_BATCH 64u

static NTSTATUS
LdrpDamaged(const char **Reason, const char *Text)
{
    if (Reason != NULL) {
        *Reason = Text;
    }
    return STATUS_INVALID_IMAGE_FORMAT;
}

/* ---- Reading by RVA ---- */

const LDRP_SECTION *
LdrpFindSection(const LDRP_IMAGE_INFO *Info, ULONG Rva)
{
    const LDRP_SECTION *Section;
    ULONG i;

    for (i = 0; i < Info->SectionCount; i++) {
        Section = &Info->Section[i];
        if (Rva >= Section->VirtualAddress &&
            Rva - Section->VirtualAddress < ALIGN_UP_BY(Section->VirtualSize, LDRP_PAGE)) {
            return Section;
        }
    }
    return NULL;
}

/*
 * How many bytes from Rva on belong to the same headers or section, 0 if none; *Section is NULL for
 * the headers.
 */
static ULONG
LdrpBackedBytes(const LDRP_IMAGE_INFO *Info, ULONG Rva, const LDRP_SECTION **Section)
{
    *Section = NULL;
    if (Rva < Info->HeaderSize) {
        return Info->HeaderSize - Rva;
    }
    *Section = LdrpFindSection(Info, Rva);
    if (*Section == NULL) {
        return 0;
    }
    return (ULONG)ALIGN_UP_BY((*Section)->VirtualSize, LDRP_PAGE) -
           (Rva - (*Section)->VirtualAddress);
}

BOOLEAN
LdrpRangeIsBacked(const LDRP_IMAGE_INFO *Info, ULONG Rva, ULONG Length)
{
    const LDRP_SECTION *Section;

    return LdrpBackedBytes(Info, Rva, &Section) >= Length;
}

/*
 * Where the byte at Rva is, and in *Present how many bytes can be read from there; NULL when the
 * file holds none (the section's zeros).
 */
static const UCHAR *
LdrpLocate(const LDRP_VIEW *View, ULONG Rva, const LDRP_SECTION *Section, ULONG Backed,
           ULONG *Present)
{
    ULONG Offset;

    *Present = Backed;
    if (View->Mapped || Section == NULL) {
        return View->Bytes + Rva;
    }
    Offset = Rva - Section->VirtualAddress;
    if (Offset >= Section->FileSize) {
        *Present = 0;
        return NULL;
    }
    *Present = MIN(Backed, Section->FileSize - Offset);
    return View->Bytes + Section->FileOffset + Offset;
}

BOOLEAN
LdrpReadView(const LDRP_VIEW *View, ULONG Rva, void *Buffer, ULONG Length)
{
    const LDRP_SECTION *Section;
    const UCHAR *Source;
    ULONG Backed, Present;

    Backed = LdrpBackedBytes(View->Info, Rva, &Section);
    if (Backed < Length) {
        return FALSE;
    }
    Source = LdrpLocate(View, Rva, Section, Backed, &Present);
    Present = MIN(Present, Length);
    if (Present != 0) {
        __builtin_memcpy(Buffer, Source, Present);
    }
    __builtin_memset((UCHAR *)Buffer + Present, 0, Length - Present);
    return TRUE;
}

BOOLEAN
LdrpReadName(const LDRP_VIEW *View, ULONG Rva, char *Buffer, ULONG Capacity)
{
    const LDRP_SECTION *Section;
    const UCHAR *Source;
    ULONG Backed, Present, i;

    Backed = MIN(LdrpBackedBytes(View->Info, Rva, &Section), Capacity);
    Source = Backed != 0 ? LdrpLocate(View, Rva, Section, Backed, &Present) : NULL;
    for (i = 0; i < Backed; i++) {
        Buffer[i] = Source != NULL && i < Present ? (char)Source[i] : '\0';
        if (Buffer[i] == '\0') {
            return TRUE;
        }
    }
    return FALSE;
}

/* ---- Base relocations ---- */

/* A walk over relocation blocks: judge only, or add Delta as well. */
typedef struct _LDRP_RELOCATION {
    const LDRP_VIEW *View;
    ULONG64 Delta;
    BOOLEAN Apply;
    ULONG Count;
    ULONG Begin, End; /* the directory's own RVAs, which may not be adjusted */
} LDRP_RELOCATION, *PLDRP_RELOCATION;

/* Judge the address at Rva and, when applying, adjust it; NULL or what is wrong with it. */
static const char *
LdrpRelocateAddress(PLDRP_RELOCATION Walk, ULONG64 Rva)
{
    const LDRP_SECTION *Section;
    ULONG64 Value;
    UCHAR *Target;

    if (Rva >= Walk->View->Info->ImageSize ||
        LdrpBackedBytes(Walk->View->Info, (ULONG)Rva, &Section) < sizeof(Value) ||
        Section == NULL) {
        return "one of its relocations lies outside its sections";
    }
    if (Rva < Walk->End && Rva + sizeof(Value) > Walk->Begin) {
        return "one of its relocations changes the relocations";
    }
    Walk->Count += 1;
    if (Walk->Apply) {
        Target = Walk->View->Bytes + Rva;
        __builtin_memcpy(&Value, Target, sizeof(Value));
        Value += Walk->Delta;
        __builtin_memcpy(Target, &Value, sizeof(Value));
    }
    return NULL;
}

static const char *
LdrpRelocateEntries(PLDRP_RELOCATION Walk, ULONG Page, const USHORT *Entries, ULONG Count)
{
    const char *Problem;
    ULONG i;

    for (i = 0; i < Count; i++) {
        switch (Entries[i] >> 12) {
        case IMAGE_REL_BASED_ABSOLUTE: /* padding */
            break;
        case IMAGE_REL_BASED_DIR64:
            Problem = LdrpRelocateAddress(Walk, (ULONG64)Page + (Entries[i] & 0xFFF));
            if (Problem != NULL) {
                return Problem;
            }
            break;
        default:
            return "it has relocations of a type that x64 images do not have";
        }
    }
    return NULL;
}

/* One block whose Size bytes of entries begin at Rva, some at a time. */
static const char *
LdrpRelocateBlock(PLDRP_RELOCATION Walk, ULONG Page, ULONG Rva, ULONG Size)
{
    USHORT Entries[LDRP_RELOCATION_BATCH];
    const char *Problem = NULL;
    ULONG Bytes;

    while (Size != 0 && Problem == NULL) {
        Bytes = MIN(Size, (ULONG)sizeof(Entries));
        if (!LdrpReadView(Walk->View, Rva, Entries, Bytes)) {
            return "its relocations lie outside its sections";
        }
        Problem = LdrpRelocateEntries(Walk, Page, Entries, Bytes / sizeof(USHORT));
        Rva += Bytes;
        Size -= Bytes;
    }
    return Problem;
}

static const char *
LdrpWalkRelocations(PLDRP_RELOCATION Walk)
{
    const IMAGE_DATA_DIRECTORY *Directory =
        &Walk->View->Info->Directory[IMAGE_DIRECTORY_ENTRY_BASERELOC];
    ULONG Rva = Directory->VirtualAddress;
    ULONG Left = Directory->Size;
    IMAGE_BASE_RELOCATION Block;
    const char *Problem;

    Walk->Begin = Rva;
    Walk->End = Rva + Left;
    while (Left >= sizeof(Block)) {
        if (!LdrpReadView(Walk->View, Rva, &Block, sizeof(Block))) {
            return "its relocations lie outside its sections";
        }
        if (Block.VirtualAddress == 0 && Block.SizeOfBlock == 0) {
            break; /* some linkers pad the directory with zeros */
        }
        if (Block.SizeOfBlock < sizeof(Block) || Block.SizeOfBlock > Left ||
            Block.SizeOfBlock % sizeof(USHORT) != 0) {
            return "one of its relocation blocks has an impossible size";
        }
        Problem = LdrpRelocateBlock(Walk, Block.VirtualAddress, Rva + (ULONG)sizeof(Block),
                                    Block.SizeOfBlock - (ULONG)sizeof(Block));
        if (Problem != NULL) {
            return Problem;
        }
        Rva += Block.SizeOfBlock;
        Left -= Block.SizeOfBlock;
    }
    return NULL;
}

NTSTATUS
LdrpCheckRelocations(const LDRP_VIEW *View, ULONG *Count, const char **Reason)
{
    LDRP_RELOCATION Walk = {View, 0, FALSE, 0, 0, 0};
    const char *Problem;

    Problem = LdrpWalkRelocations(&Walk);
    if (Problem != NULL) {
        return LdrpDamaged(Reason, Problem);
    }
    *Count = Walk.Count;
    return STATUS_SUCCESS;
}

NTSTATUS
LdrpRelocateImage(const LDRP_VIEW *View, LONGLONG Delta, const char **Reason)
{
    LDRP_RELOCATION Walk = {View, (ULONG64)Delta, TRUE, 0, 0, 0};
    const char *Problem;
    NTSTATUS Status;
    ULONG Count;

    if (Delta == 0) {
        return STATUS_SUCCESS;
    }
    if ((View->Info->Characteristics & IMAGE_FILE_RELOCS_STRIPPED) != 0) {
        if (Reason != NULL) {
            *Reason = "it cannot be moved: its relocations were stripped";
        }
        return STATUS_CONFLICTING_ADDRESSES;
    }
    Status = LdrpCheckRelocations(View, &Count, Reason);
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Problem = LdrpWalkRelocations(&Walk);
    return Problem == NULL ? STATUS_SUCCESS : LdrpDamaged(Reason, Problem);
}

/* ---- Imports ---- */

/* A walk over import descriptors. */
typedef struct _LDRP_IMPORT_WALK {
    const LDRP_VIEW *View;
    LDRP_IMPORT_ROUTINE *Routine;
    void *Context;
    const char **Reason;
    ULONG Left; /* imports still allowed */
    char Module[LDRP_MAXIMUM_NAME];
    char Name[LDRP_MAXIMUM_NAME];
} LDRP_IMPORT_WALK, *PLDRP_IMPORT_WALK;

/* Decode the 64-bit lookup entry Thunk into *Import. */
static NTSTATUS
LdrpDecodeImport(PLDRP_IMPORT_WALK Walk, ULONG64 Thunk, PLDRP_IMPORT Import)
{
    if ((Thunk & IMAGE_ORDINAL_FLAG64) != 0) {
        if ((Thunk & ~(IMAGE_ORDINAL_FLAG64 | 0xFFFF)) != 0) {
            return LdrpDamaged(Walk->Reason, "one of its imports by ordinal is damaged");
        }
        Import->Name = NULL;
        Import->Ordinal = (USHORT)Thunk;
        return STATUS_SUCCESS;
    }
    if (Thunk >= Walk->View->Info->ImageSize ||
        !LdrpReadView(Walk->View, (ULONG)Thunk, &Import->Ordinal, sizeof(USHORT)) ||
        !LdrpReadName(Walk->View, (ULONG)Thunk + (ULONG)sizeof(USHORT), Walk->Name,
                      sizeof(Walk->Name)) ||
        Walk->Name[0] == '\0') {
        return LdrpDamaged(Walk->Reason, "the name of one of its imports is damaged");
    }
    Import->Name = Walk->Name;
    return STATUS_SUCCESS;
}

/* Report the imports of one module. */
static NTSTATUS
LdrpEnumerateModule(PLDRP_IMPORT_WALK Walk, const IMAGE_IMPORT_DESCRIPTOR *Descriptor)
{
    ULONG Lookup = Descriptor->OriginalFirstThunk != 0 ? Descriptor->OriginalFirstThunk
                                                       : Descriptor->FirstThunk;
    ULONG64 Offset, Thunk, Slot;
    LDRP_IMPORT Import;
    NTSTATUS Status;

    for (Offset = 0;; Offset += sizeof(Thunk)) {
        Slot = Descriptor->FirstThunk + Offset;
        if (Lookup + Offset >= Walk->View->Info->ImageSize ||
            Slot >= Walk->View->Info->ImageSize ||
            !LdrpReadView(Walk->View, (ULONG)(Lookup + Offset), &Thunk, sizeof(Thunk)) ||
            LdrpFindSection(Walk->View->Info, (ULONG)Slot) == NULL ||
            !LdrpRangeIsBacked(Walk->View->Info, (ULONG)Slot, sizeof(Thunk))) {
            return LdrpDamaged(Walk->Reason, "its import tables lie outside its sections");
        }
        if (Thunk == 0) {
            return STATUS_SUCCESS;
        }
        if (Walk->Left == 0) {
            return LdrpDamaged(Walk->Reason, "it imports more than 65536 symbols");
        }
        Walk->Left -= 1;
        Import.Module = Walk->Module;
        Import.SlotRva = (ULONG)Slot;
        Status = LdrpDecodeImport(Walk, Thunk, &Import);
        if (NT_SUCCESS(Status)) {
            Status = Walk->Routine(Walk->Context, &Import);
        }
        if (!NT_SUCCESS(Status)) {
            return Status;
        }
    }
}

/* Judge a descriptor and report its imports. */
static NTSTATUS
LdrpEnumerateDescriptor(PLDRP_IMPORT_WALK Walk, const IMAGE_IMPORT_DESCRIPTOR *Descriptor)
{
    if (!LdrpReadName(Walk->View, Descriptor->Name, Walk->Module, sizeof(Walk->Module)) ||
        Walk->Module[0] == '\0') {
        return LdrpDamaged(Walk->Reason, "the name of a module it imports from is damaged");
    }
    if (Descriptor->OriginalFirstThunk == 0 && Descriptor->TimeDateStamp != 0) {
        return LdrpDamaged(Walk->Reason, "its imports were bound and their names thrown away");
    }
    return LdrpEnumerateModule(Walk, Descriptor);
}

NTSTATUS
LdrpEnumerateImports(const LDRP_VIEW *View, LDRP_IMPORT_ROUTINE *Routine, void *Context,
                     const char **Reason)
{
    const IMAGE_DATA_DIRECTORY *Directory = &View->Info->Directory[IMAGE_DIRECTORY_ENTRY_IMPORT];
    LDRP_IMPORT_WALK Walk;
    IMAGE_IMPORT_DESCRIPTOR Descriptor;
    NTSTATUS Status;
    ULONG i;

    if (Directory->Size == 0) {
        return STATUS_SUCCESS;
    }
    Walk.View = View;
    Walk.Routine = Routine;
    Walk.Context = Context;
    Walk.Reason = Reason;
    Walk.Left = LDRP_MAXIMUM_IMPORTS;
    /* A null descriptor ends the list; the directory's size is often wrong and never asked. */
    for (i = 0; i < LDRP_MAXIMUM_MODULES; i++) {
        if (!LdrpReadView(View, Directory->VirtualAddress + i * (ULONG)sizeof(Descriptor),
                          &Descriptor, sizeof(Descriptor))) {
            return LdrpDamaged(Reason, "its import directory lies outside its sections");
        }
        if (Descriptor.Name == 0 || Descriptor.FirstThunk == 0) {
            return STATUS_SUCCESS;
        }
        Status = LdrpEnumerateDescriptor(&Walk, &Descriptor);
        if (!NT_SUCCESS(Status)) {
            return Status;
        }
    }
    return LdrpDamaged(Reason, "it imports from more than 1024 modules");
}

/* ---- Exports ---- */

/* Whether Count entries of EntrySize bytes at Rva lie inside the image. */
static BOOLEAN
LdrpArrayIsBacked(const LDRP_VIEW *View, ULONG Rva, ULONG Count, ULONG EntrySize)
{
    return Count == 0 || LdrpRangeIsBacked(View->Info, Rva, Count * EntrySize);
}

/* Read and judge the export directory. FALSE: the image has none; *Status says more. */
static BOOLEAN
LdrpReadExportDirectory(const LDRP_VIEW *View, PIMAGE_EXPORT_DIRECTORY Exports, NTSTATUS *Status,
                        const char **Reason)
{
    const IMAGE_DATA_DIRECTORY *Directory = &View->Info->Directory[IMAGE_DIRECTORY_ENTRY_EXPORT];

    *Status = STATUS_SUCCESS;
    if (Directory->Size == 0) {
        return FALSE;
    }
    if (!LdrpReadView(View, Directory->VirtualAddress, Exports, sizeof(*Exports))) {
        *Status = LdrpDamaged(Reason, "its export directory lies outside its sections");
        return FALSE;
    }
    if (Exports->NumberOfFunctions > LDRP_MAXIMUM_EXPORTS ||
        Exports->NumberOfNames > LDRP_MAXIMUM_EXPORTS) {
        *Status = LdrpDamaged(Reason, "it exports more than 65536 symbols");
        return FALSE;
    }
    if (!LdrpArrayIsBacked(View, Exports->AddressOfFunctions, Exports->NumberOfFunctions, 4) ||
        !LdrpArrayIsBacked(View, Exports->AddressOfNames, Exports->NumberOfNames, 4) ||
        !LdrpArrayIsBacked(View, Exports->AddressOfNameOrdinals, Exports->NumberOfNames, 2)) {
        *Status = LdrpDamaged(Reason, "its export tables lie outside its sections");
        return FALSE;
    }
    return TRUE;
}

NTSTATUS
LdrpCheckExports(const LDRP_VIEW *View, const char **Reason)
{
    IMAGE_EXPORT_DIRECTORY Exports;
    NTSTATUS Status;

    LdrpReadExportDirectory(View, &Exports, &Status, Reason);
    return Status;
}

/* Read entry Index of the address table: an address, or a forwarder inside the directory. */
static NTSTATUS
LdrpReadExport(const LDRP_VIEW *View, const IMAGE_EXPORT_DIRECTORY *Exports, ULONG Index,
               PLDRP_EXPORT Export)
{
    const IMAGE_DATA_DIRECTORY *Directory = &View->Info->Directory[IMAGE_DIRECTORY_ENTRY_EXPORT];
    ULONG Rva;

    if (Index >= Exports->NumberOfFunctions ||
        !LdrpReadView(View, Exports->AddressOfFunctions + Index * 4, &Rva, sizeof(Rva))) {
        return STATUS_INVALID_IMAGE_FORMAT;
    }
    Export->Ordinal = (USHORT)(Exports->Base + Index);
    Export->Forwarder[0] = '\0';
    if (Rva >= Directory->VirtualAddress && Rva - Directory->VirtualAddress < Directory->Size) {
        Export->Rva = 0;
        return LdrpReadName(View, Rva, Export->Forwarder, sizeof(Export->Forwarder))
                   ? STATUS_SUCCESS
                   : STATUS_INVALID_IMAGE_FORMAT;
    }
    if (Rva == 0) {
        return STATUS_DRIVER_ORDINAL_NOT_FOUND;
    }
    Export->Rva = Rva;
    return LdrpRangeIsBacked(View->Info, Rva, 1) ? STATUS_SUCCESS : STATUS_INVALID_IMAGE_FORMAT;
}

/* Compare Name with the exported name at Rva: *Order is below, above or equal to 0. */
static BOOLEAN
LdrpCompareExportName(const LDRP_VIEW *View, const char *Name, ULONG Rva, LONG *Order)
{
    char Exported[LDRP_MAXIMUM_NAME];
    ULONG i = 0;

    if (!LdrpReadName(View, Rva, Exported, sizeof(Exported))) {
        return FALSE;
    }
    while (Name[i] != '\0' && Name[i] == Exported[i]) {
        i++;
    }
    *Order = (LONG)(UCHAR)Name[i] - (LONG)(UCHAR)Exported[i];
    return TRUE;
}

/* Binary search in the name table; *Index is the place found. */
static NTSTATUS
LdrpSearchExportName(const LDRP_VIEW *View, const IMAGE_EXPORT_DIRECTORY *Exports,
                     const char *Name, ULONG *Index)
{
    ULONG Low = 0, High = Exports->NumberOfNames;
    ULONG Middle, Rva;
    LONG Order;

    while (Low < High) {
        Middle = Low + (High - Low) / 2;
        if (!LdrpReadView(View, Exports->AddressOfNames + Middle * 4, &Rva, sizeof(Rva)) ||
            !LdrpCompareExportName(View, Name, Rva, &Order)) {
            return STATUS_INVALID_IMAGE_FORMAT;
        }
        if (Order == 0) {
            *Index = Middle;
            return STATUS_SUCCESS;
        }
        if (Order < 0) {
            High = Middle;
        } else {
            Low = Middle + 1;
        }
    }
    return STATUS_DRIVER_ENTRYPOINT_NOT_FOUND;
}

NTSTATUS
LdrpFindExportByName(const LDRP_VIEW *View, const char *Name, PLDRP_EXPORT Export)
{
    IMAGE_EXPORT_DIRECTORY Exports;
    NTSTATUS Status;
    USHORT Function;
    ULONG Index;

    if (!LdrpReadExportDirectory(View, &Exports, &Status, NULL)) {
        return NT_SUCCESS(Status) ? STATUS_DRIVER_ENTRYPOINT_NOT_FOUND : Status;
    }
    Status = LdrpSearchExportName(View, &Exports, Name, &Index);
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    if (!LdrpReadView(View, Exports.AddressOfNameOrdinals + Index * 2, &Function,
                      sizeof(Function))) {
        return STATUS_INVALID_IMAGE_FORMAT;
    }
    Status = LdrpReadExport(View, &Exports, Function, Export);
    return Status == STATUS_DRIVER_ORDINAL_NOT_FOUND ? STATUS_DRIVER_ENTRYPOINT_NOT_FOUND : Status;
}

NTSTATUS
LdrpFindExportByOrdinal(const LDRP_VIEW *View, USHORT Ordinal, PLDRP_EXPORT Export)
{
    IMAGE_EXPORT_DIRECTORY Exports;
    NTSTATUS Status;

    if (!LdrpReadExportDirectory(View, &Exports, &Status, NULL)) {
        return NT_SUCCESS(Status) ? STATUS_DRIVER_ORDINAL_NOT_FOUND : Status;
    }
    if (Ordinal < Exports.Base || Ordinal - Exports.Base >= Exports.NumberOfFunctions) {
        return STATUS_DRIVER_ORDINAL_NOT_FOUND;
    }
    return LdrpReadExport(View, &Exports, Ordinal - Exports.Base, Export);
}
