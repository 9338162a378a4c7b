/*
 * Images of programs: mapped into the process that the current thread belongs to.
 *
 * An image is put together in a buffer of the kernel's (sections copied, relocated, imports bound, cookie seeded), written to private
 * memory of the process at the address it is to have, and protected section by section; so each process has its own copy. Images that can move are
 * placed by the seed, others at their preferred base. Programs import from ntdll.dll alone. An import that does not exist points into a
 * region without access: a call is recognized by its address and ends the run, naming it.
 *
 * One process is loaded at a time, by its first thread. PASSIVE_LEVEL. What fails leaves regions behind that go with the process.
 */
#include <ke/user.h>
#include <ldr/ldr.h>
#include <ldr/user.h>
#include <mm/va/va.h>
#include <rtl/rtl.h>

#define LDR_TAG 'rdLN'
#define LDRP_DYNAMIC_BASE 0x0040
#define LDRP_MISSING_SIZE 16 /* bytes of address for each missing import */
#define LDRP_MISSING_MAXIMUM (0x10000 / LDRP_MISSING_SIZE)
#define LDRP_EXCEPTION_LANDING "KiUserExceptionDispatcher"

static ULONG_PTR LdrpMissingBase; /* in the program's address space */
static const char *LdrpMissingNames[LDRP_MISSING_MAXIMUM];
static ULONG LdrpMissingNameCount;

/* --- Placing ---------------------------------------------------------------------------------------------- */

static BOOLEAN
LdrpCanMove(const LDRP_IMAGE_INFO *Info)
{
    return (Info->Characteristics & IMAGE_FILE_RELOCS_STRIPPED) == 0;
}

static NTSTATUS
LdrpPlaceUserImage(PLDR_USER_IMAGE Image, const char **Reason)
{
    PLDRP_IMAGE_INFO Info = Image->Info;
    BOOLEAN Movable = LdrpCanMove(Info) && (Info->DllCharacteristics & LDRP_DYNAMIC_BASE) != 0;
    MI_ALLOCATE Request = {.Base = Movable ? 0 : Info->PreferredBase,
                           .Size = Info->ImageSize,
                           .Type = MEM_RESERVE | MEM_COMMIT | (Movable ? MEM_TOP_DOWN : 0),
                           .Protect = PAGE_READWRITE};
    NTSTATUS Status = MiAllocateVirtual(MiCurrentSpace(), &Request);

    if (Status == STATUS_CONFLICTING_ADDRESSES && LdrpCanMove(Info)) {
        Request.Base = 0;
        Request.Size = Info->ImageSize;
        Status = MiAllocateVirtual(MiCurrentSpace(), &Request);
    }
    *Reason = Status == STATUS_CONFLICTING_ADDRESSES
                  ? "it has no relocations and cannot run at its preferred address here"
                  : "not enough memory for its sections";
    Image->Base = Request.Base;
    return Status;
}

/* --- Imports ---------------------------------------------------------------------------------------------- */

typedef struct _LDRP_USER_BINDING {
    PLDR_USER_IMAGE Image;
    const LDR_USER_IMAGE *Ntdll;
    const char *Reason;
} LDRP_USER_BINDING;

static BOOLEAN
LdrpIsNtdll(const char *Name)
{
    static const char Expected[] = "ntdll.dll";
    ULONG Index;

    for (Index = 0; Expected[Index] != 0 && ((Name[Index] | 0x20) == Expected[Index] || Name[Index] == Expected[Index]);
         Index += 1) {
    }
    return Expected[Index] == 0 && Name[Index] == 0;
}

/* An address for an import that does not exist. */
static ULONG64
LdrpMissingAddress(const char *Name, USHORT Ordinal)
{
    CHAR Text[LDRP_MAXIMUM_NAME + 64]; /* the name, and the longest text around it */
    SIZE_T Length;
    PCHAR Copy;

    if (LdrpMissingNameCount == LDRP_MISSING_MAXIMUM) {
        return 0;
    }
    if (Name == NULL) {
        Length = (SIZE_T)RtlpPrintBuffer(Text, sizeof(Text), "ntdll.dll!#%u", Ordinal);
    } else {
        Length = (SIZE_T)RtlpPrintBuffer(Text, sizeof(Text), "ntdll.dll!%s", Name);
    }
    Copy = ExAllocatePool2(POOL_FLAG_NON_PAGED, Length + 1, LDR_TAG);
    if (Copy == NULL) {
        return 0;
    }
    RtlCopyMemory(Copy, Text, Length + 1);
    LdrpMissingNames[LdrpMissingNameCount] = Copy;
    Length = (SIZE_T)RtlpPrintBuffer(Text, sizeof(Text), "ntmm: %s is not implemented\n", Copy);
    HalPutDiagnostic(Text, Length);
    LdrpMissingNameCount += 1;
    return LdrpMissingBase + (LdrpMissingNameCount - 1) * LDRP_MISSING_SIZE;
}

static NTSTATUS
LdrpBindUserImport(PVOID Context, const LDRP_IMPORT *Import)
{
    LDRP_USER_BINDING *Binding = Context;
    LDRP_VIEW Exports = LdrpMappedView(Binding->Ntdll->Info, Binding->Ntdll->Bytes);
    LDRP_EXPORT Export;
    ULONG64 Address;
    NTSTATUS Status;

    if (!LdrpIsNtdll(Import->Module)) {
        Binding->Reason = "it imports from another image than ntdll.dll";
        return STATUS_DLL_NOT_FOUND;
    }
    Status = Import->Name != NULL ? LdrpFindExportByName(&Exports, Import->Name, &Export)
                                  : LdrpFindExportByOrdinal(&Exports, Import->Ordinal, &Export);
    Address = NT_SUCCESS(Status) && Export.Rva != 0 ? Binding->Ntdll->Base + Export.Rva
                                                    : LdrpMissingAddress(Import->Name, Import->Ordinal);
    if (Address == 0) {
        Binding->Reason = "too many imports do not exist";
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    RtlCopyMemory(Binding->Image->Bytes + Import->SlotRva, &Address, sizeof(Address));
    return STATUS_SUCCESS;
}

/* A fetch at an address that stands for a missing import: the run is over. */
static VOID
LdrpUserFetch(ULONG64 Address)
{
    static CHAR Text[LDRP_MAXIMUM_NAME * 2];
    KI_STOP Stop = {.Kind = KiStopMissingImport};
    ULONG64 Index = (Address - LdrpMissingBase) / LDRP_MISSING_SIZE;

    if (LdrpMissingBase == 0 || Address < LdrpMissingBase || Index >= LdrpMissingNameCount) {
        return;
    }
    Stop.Name = LdrpMissingNames[Index] + sizeof("ntdll.dll!") - 1;
    RtlpPrintBuffer(Text, sizeof(Text), "%s is not implemented", Stop.Name);
    Stop.Text = Text;
    KiStopRun(&Stop);
}

/* --- Writing ---------------------------------------------------------------------------------------------- */

static NTSTATUS
LdrpWriteUserImage(const LDR_USER_IMAGE *Image)
{
    const LDRP_IMAGE_INFO *Info = Image->Info;
    NTSTATUS Status = KiCopyToUser((PVOID)Image->Base, Image->Bytes, Info->HeaderSize);

    for (ULONG Index = 0; Index < Info->SectionCount && NT_SUCCESS(Status); Index += 1) {
        const LDRP_SECTION *Section = &Info->Section[Index];

        Status = KiCopyToUser((PVOID)(Image->Base + Section->VirtualAddress), Image->Bytes + Section->VirtualAddress,
                              MIN(Section->VirtualSize, Section->FileSize));
    }
    return Status;
}

static ULONG
LdrpUserProtection(ULONG Characteristics)
{
    BOOLEAN Write = (Characteristics & IMAGE_SCN_MEM_WRITE) != 0;

    if ((Characteristics & IMAGE_SCN_MEM_EXECUTE) != 0) {
        return Write ? PAGE_EXECUTE_READWRITE : PAGE_EXECUTE_READ;
    }
    return Write ? PAGE_READWRITE : PAGE_READONLY;
}

static NTSTATUS
LdrpProtectUser(ULONG_PTR Base, SIZE_T Size, ULONG Protection)
{
    ULONG Old;

    return Size == 0 ? STATUS_SUCCESS : MiProtectVirtual(MiCurrentSpace(), &Base, &Size, Protection, &Old);
}

static NTSTATUS
LdrpProtectUserImage(const LDR_USER_IMAGE *Image)
{
    const LDRP_IMAGE_INFO *Info = Image->Info;
    NTSTATUS Status = LdrpProtectUser(Image->Base, ROUND_TO_PAGES((SIZE_T)Info->HeaderSize), PAGE_READONLY);
    SIZE_T End = ROUND_TO_PAGES((SIZE_T)Info->HeaderSize);

    for (ULONG Index = 0; Index < Info->SectionCount && NT_SUCCESS(Status); Index += 1) {
        const LDRP_SECTION *Section = &Info->Section[Index];

        if (Section->VirtualAddress > End) {
            Status = LdrpProtectUser(Image->Base + End, Section->VirtualAddress - End, PAGE_NOACCESS);
        }
        End = ROUND_TO_PAGES((SIZE_T)Section->VirtualAddress + Section->VirtualSize);
        if (NT_SUCCESS(Status)) {
            Status = LdrpProtectUser(Image->Base + Section->VirtualAddress, End - Section->VirtualAddress,
                                     LdrpUserProtection(Section->Characteristics));
        }
    }
    return Status;
}

/* --- Loading ---------------------------------------------------------------------------------------------- */

static NTSTATUS
LdrpPrepareUserImage(PLDR_USER_IMAGE Image, const char **Reason)
{
    NTSTATUS Status;

    *Reason = "not enough memory";
    Image->Info = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*Image->Info), LDR_TAG);
    if (Image->Info == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    Status = LdrpCheckImage(Image->File->Bytes, Image->File->Size, Image->Info);
    if (!NT_SUCCESS(Status)) {
        *Reason = Image->Info->Reason;
        return Status;
    }
    Image->Bytes = ExAllocatePool2(POOL_FLAG_PAGED, Image->Info->ImageSize, LDR_TAG);
    if (Image->Bytes == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    LdrpCopyImage(Image->File->Bytes, Image->Info, Image->Bytes);
    return LdrpPlaceUserImage(Image, Reason);
}

VOID
LdrForgetUserImage(PLDR_USER_IMAGE Image)
{
    if (Image->Bytes != NULL) {
        ExFreePoolWithTag(Image->Bytes, LDR_TAG);
    }
    if (Image->Info != NULL) {
        ExFreePoolWithTag(Image->Info, LDR_TAG);
    }
    Image->Bytes = NULL;
    Image->Info = NULL;
}

NTSTATUS
LdrLoadUserImage(PLDR_USER_IMAGE Image, const LDR_USER_IMAGE *Ntdll, const char **Reason)
{
    LDRP_USER_BINDING Binding = {Image, Ntdll, NULL};
    PLDR_MODULE Module;
    LDRP_VIEW View;
    NTSTATUS Status = LdrpPrepareUserImage(Image, Reason);

    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    View = LdrpMappedView(Image->Info, Image->Bytes);
    Status = LdrpRelocateImage(&View, (LONGLONG)(Image->Base - Image->Info->PreferredBase), Reason);
    if (NT_SUCCESS(Status) && Ntdll != NULL) {
        Status = LdrpEnumerateImports(&View, LdrpBindUserImport, &Binding, Reason);
        *Reason = Binding.Reason != NULL ? Binding.Reason : *Reason;
    }
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    *Reason = "not enough memory";
    Module = LdrpNewModule(Image->File->Name, (PVOID)Image->Base, Image->Info->ImageSize);
    if (Module == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    Module->User = TRUE;
    LdrpInsertModule(Module);
    Status = LdrpWriteUserImage(Image);
    return NT_SUCCESS(Status) ? LdrpProtectUserImage(Image) : Status;
}

ULONG_PTR
LdrUserExport(const LDR_USER_IMAGE *Image, const char *Name)
{
    LDRP_VIEW View = LdrpMappedView(Image->Info, Image->Bytes);
    LDRP_EXPORT Export;

    return NT_SUCCESS(LdrpFindExportByName(&View, Name, &Export)) && Export.Rva != 0 ? Image->Base + Export.Rva : 0;
}

NTSTATUS
LdrInitializeUserLoader(const LDR_USER_IMAGE *Ntdll)
{
    MI_ALLOCATE Request = {.Size = LDRP_MISSING_MAXIMUM * LDRP_MISSING_SIZE, .Type = MEM_RESERVE, .Protect = PAGE_NOACCESS};
    NTSTATUS Status = MiAllocateVirtual(MiCurrentSpace(), &Request);

    if (NT_SUCCESS(Status)) {
        LdrpMissingBase = Request.Base;
        KiUserFetch = LdrpUserFetch;
        KiUserExceptionDispatcher = LdrUserExport(Ntdll, LDRP_EXCEPTION_LANDING);
    }
    return Status;
}
