/*
 * Loading and unloading drivers.
 *
 * A section becomes one run of pages. Sections whose name begins with PAGE, unless marked not-paged, are pageable
 * system space: demand-zero pages filled here and trimmed like paged pool. Every other section owns nonpageable
 * frames. Gaps between sections have no access. Protection follows the section's flags once everything is
 * written; a section marked both writable and executable keeps both, as the image asks, and is told about.
 *
 * States: Loaded -> (LdrDiscardSections) Started -> (LdrUnloadImage) Unloaded. Loading prepares everything
 * that can fail (address, commit, frames, relocation, imports) before the module is published.
 * PASSIVE_LEVEL throughout; one thread loads.
 */
#include <hal/irqlwatch.h>
#include <ldr/ldr.h>
#include <mm/mdl/mdl.h>
#include <mm/pte/pteform.h>
#include <rtl/rtl.h>

#define LDR_TAG 'rdLN'

/* The cookie that the compiler's library leaves in an image which nobody seeded. */
#define LDRP_DEFAULT_COOKIE 0x00002B992DDFA232ull

static BOOLEAN
LdrpIsPageable(const LDRP_SECTION *Section)
{
    return Section->Name[0] == 'P' && Section->Name[1] == 'A' && Section->Name[2] == 'G' && Section->Name[3] == 'E' &&
           !(Section->Characteristics & IMAGE_SCN_MEM_NOT_PAGED);
}

static SIZE_T
LdrpSectionPages(const LDRP_SECTION *Section)
{
    return BYTES_TO_PAGES((SIZE_T)Section->VirtualSize);
}

static MI_PROTECTION
LdrpSectionProtection(const LDRP_SECTION *Section)
{
    BOOLEAN Write = (Section->Characteristics & IMAGE_SCN_MEM_WRITE) != 0;

    if (Section->Characteristics & IMAGE_SCN_MEM_EXECUTE) {
        return Write ? MM_EXECUTE_READWRITE : MM_EXECUTE_READ;
    }
    return Write ? MM_READWRITE : MM_READONLY;
}

/* Pages of memory that the image needs: headers and sections, not gaps. */
static SIZE_T
LdrpCountPages(const LDRP_IMAGE_INFO *Info)
{
    SIZE_T Pages = BYTES_TO_PAGES((SIZE_T)Info->HeaderSize);

    for (ULONG Index = 0; Index < Info->SectionCount; Index += 1) {
        Pages += LdrpSectionPages(&Info->Section[Index]);
    }
    return Pages;
}

/* Give frames to a run of the image, through a buffer of a page's worth of frame numbers. */
static BOOLEAN
LdrpMapNonpaged(PUCHAR Va, SIZE_T PageCount, PFN_NUMBER *Frames)
{
    if (MiGetFrames(MI_GET_ZEROED | MI_GET_ALL, MM_ANY_NODE_OK, MiUseDriverImage, PageCount, Frames) != PageCount) {
        return FALSE;
    }
    MiMapFrames(Va, PageCount, Frames, MM_READWRITE, MmCached);
    return TRUE;
}

static VOID
LdrpUnmapNonpaged(PUCHAR Va, SIZE_T PageCount)
{
    PFN_NUMBER Frames[32];

    while (PageCount != 0) {
        SIZE_T Chunk = MIN(PageCount, RTL_NUMBER_OF(Frames));

        MiUnmapRange(Va, Chunk, Frames);
        MiFreeFrames(Frames, Chunk);
        Va += Chunk << PAGE_SHIFT;
        PageCount -= Chunk;
    }
}

static VOID
LdrpUnmapSection(PLDR_MODULE Module, const LDRP_SECTION *Section)
{
    PUCHAR Va = Module->Base + Section->VirtualAddress;

    MiForgetImageSections(Va, LdrpSectionPages(Section) << PAGE_SHIFT);
    if (LdrpIsPageable(Section)) {
        MiDeletePageableRange(Va, LdrpSectionPages(Section));
    } else {
        LdrpUnmapNonpaged(Va, LdrpSectionPages(Section));
    }
    MiReturnCommit(LdrpSectionPages(Section));
}

/* Make all pages of the image writable memory, zero. On failure nothing is mapped and no commit is held. */
static NTSTATUS
LdrpMapSections(PLDR_MODULE Module)
{
    const LDRP_IMAGE_INFO *Info = Module->Info;
    SIZE_T Headers = BYTES_TO_PAGES((SIZE_T)Info->HeaderSize);
    ULONG Index = 0;
    PFN_NUMBER *Frames;

    Frames = ExAllocatePool2(POOL_FLAG_NON_PAGED, (Module->Size >> PAGE_SHIFT) * sizeof(PFN_NUMBER), LDR_TAG);
    if (Frames == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    if (!MiChargeCommit(LdrpCountPages(Info))) {
        ExFreePoolWithTag(Frames, LDR_TAG);
        return STATUS_COMMITMENT_LIMIT;
    }
    if (!LdrpMapNonpaged(Module->Base, Headers, Frames)) {
        MiReturnCommit(LdrpCountPages(Info));
        ExFreePoolWithTag(Frames, LDR_TAG);
        return STATUS_NO_MEMORY;
    }
    for (; Index < Info->SectionCount; Index += 1) {
        const LDRP_SECTION *Section = &Info->Section[Index];
        PUCHAR Va = Module->Base + Section->VirtualAddress;

        if (LdrpIsPageable(Section)) {
            MiMakeDemandZeroRange(Va, LdrpSectionPages(Section), MM_READWRITE, MiUseDriverImage);
        } else if (!LdrpMapNonpaged(Va, LdrpSectionPages(Section), Frames)) {
            goto UnmapSections;
        }
    }
    ExFreePoolWithTag(Frames, LDR_TAG);
    return STATUS_SUCCESS;

UnmapSections:
    /* The commit of sections never mapped goes back here, that of the others with each. */
    for (ULONG Rest = Index; Rest < Info->SectionCount; Rest += 1) {
        MiReturnCommit(LdrpSectionPages(&Info->Section[Rest]));
    }
    while (Index != 0) {
        Index -= 1;
        LdrpUnmapSection(Module, &Info->Section[Index]);
    }
    LdrpUnmapNonpaged(Module->Base, Headers);
    MiReturnCommit(Headers);
    ExFreePoolWithTag(Frames, LDR_TAG);
    return STATUS_NO_MEMORY;
}

static VOID
LdrpUnmapSections(PLDR_MODULE Module)
{
    const LDRP_IMAGE_INFO *Info = Module->Info;
    SIZE_T Headers = BYTES_TO_PAGES((SIZE_T)Info->HeaderSize);

    for (ULONG Index = 0; Index < Info->SectionCount; Index += 1) {
        const LDRP_SECTION *Section = &Info->Section[Index];

        if (Module->State == LdrModuleStarted && (Section->Characteristics & IMAGE_SCN_MEM_DISCARDABLE)) {
            continue;
        }
        LdrpUnmapSection(Module, Section);
    }
    LdrpUnmapNonpaged(Module->Base, Headers);
    MiReturnCommit(Headers);
}

/* Seed the image's security cookie: 48 bits, never zero nor the default. */
static VOID
LdrpSeedCookie(PLDR_MODULE Module)
{
    ULONG64 Cookie, Current;
    PUCHAR Slot;

    if (Module->Info->SecurityCookie == 0) {
        return;
    }
    Slot = Module->Base + Module->Info->SecurityCookie;
    RtlCopyMemory(&Current, Slot, sizeof(Current));
    if (Current != LDRP_DEFAULT_COOKIE) {
        return;
    }
    Cookie = HalRandom() & 0x0000FFFFFFFFFFFFull;
    if (Cookie == 0 || Cookie == LDRP_DEFAULT_COOKIE) {
        Cookie = LDRP_DEFAULT_COOKIE + 1;
    }
    RtlCopyMemory(Slot, &Cookie, sizeof(Cookie));
}

static VOID
LdrpProtectSections(PLDR_MODULE Module)
{
    const LDRP_IMAGE_INFO *Info = Module->Info;

    MiProtectRange(Module->Base, BYTES_TO_PAGES((SIZE_T)Info->HeaderSize), MM_READONLY);
    for (ULONG Index = 0; Index < Info->SectionCount; Index += 1) {
        const LDRP_SECTION *Section = &Info->Section[Index];
        MI_PROTECTION Protection = LdrpSectionProtection(Section);

        if (Protection == MM_EXECUTE_READWRITE) {
            CHAR Line[160];
            LONG Length = RtlpPrintBuffer(Line, sizeof(Line), "ntmm: %s: section %.8s is both writable and executable\n",
                                     Module->Name, Section->Name);

            HalPutDiagnostic(Line, (SIZE_T)Length);
        }
        if (KiVerifierOn && (Section->Characteristics & IMAGE_SCN_MEM_EXECUTE) != 0) {
            HalWatchIrql(Module->Base + Section->VirtualAddress, LdrpSectionPages(Section) << PAGE_SHIFT);
        }
        MiProtectRange(Module->Base + Section->VirtualAddress, LdrpSectionPages(Section), Protection);
    }
}

/* The record, its address range and the file's geometry; *Status says why there is none. */
static PLDR_MODULE
LdrpPrepareModule(const HAL_IMAGE_FILE *File, NTSTATUS *Status, const char **Reason)
{
    PLDRP_IMAGE_INFO Info = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*Info), LDR_TAG);
    PLDR_MODULE Module = NULL;
    PVOID Base;

    *Status = STATUS_INSUFFICIENT_RESOURCES;
    *Reason = "not enough memory";
    if (Info == NULL) {
        return NULL;
    }
    *Status = LdrpCheckImage(File->Bytes, File->Size, Info);
    if (!NT_SUCCESS(*Status)) {
        *Reason = Info->Reason;
        goto FreeInfo;
    }
    *Status = STATUS_INSUFFICIENT_RESOURCES;
    Base = MiReserveSystemVa(MiRegionImages, Info->ImageSize >> PAGE_SHIFT, 16);
    if (Base == NULL) {
        goto FreeInfo;
    }
    Module = LdrpNewModule(File->Name, Base, Info->ImageSize);
    if (Module == NULL) {
        MiReleaseSystemVa(MiRegionImages, Base, Info->ImageSize >> PAGE_SHIFT);
        goto FreeInfo;
    }
    Module->Info = Info;
    *Status = STATUS_SUCCESS;
    return Module;

FreeInfo:
    ExFreePoolWithTag(Info, LDR_TAG);
    return NULL;
}

NTSTATUS
LdrLoadImage(const HAL_IMAGE_FILE *File, PLDR_MODULE *ModuleOut, const char **Reason)
{
    LDR_BINDING Binding;
    PLDR_MODULE Module;
    NTSTATUS Status;

    Module = LdrpPrepareModule(File, &Status, Reason);
    if (Module == NULL) {
        return Status;
    }
    *Reason = "not enough memory for its sections";
    Status = LdrpMapSections(Module);
    if (!NT_SUCCESS(Status)) {
        goto ReleaseModule;
    }
    LdrpCopyImage(File->Bytes, Module->Info, Module->Base);
    Binding.Module = Module;
    Binding.View = LdrpMappedView(Module->Info, Module->Base);
    Status = LdrpRelocateImage(&Binding.View, (LONGLONG)((ULONG64)Module->Base - Module->Info->PreferredBase), Reason);
    if (Status == STATUS_CONFLICTING_ADDRESSES) {
        *Reason = "it has no relocations and cannot run at its preferred address here";
    }
    if (!NT_SUCCESS(Status)) {
        goto UnmapSections;
    }
    Status = LdrpBindImports(&Binding, Reason);
    if (!NT_SUCCESS(Status)) {
        goto UnmapSections;
    }
    LdrpSeedCookie(Module);
    LdrpProtectSections(Module);
    LdrpInsertModule(Module);
    *Reason = NULL;
    *ModuleOut = Module;
    return STATUS_SUCCESS;

UnmapSections:
    LdrpUnmapSections(Module);
ReleaseModule:
    MiReleaseSystemVa(MiRegionImages, Module->Base, Module->Size >> PAGE_SHIFT);
    ExFreePoolWithTag(Module->Info, LDR_TAG);
    ExFreePoolWithTag(Module, LDR_TAG);
    return Status;
}

VOID
LdrDiscardSections(PLDR_MODULE Module)
{
    const LDRP_IMAGE_INFO *Info = Module->Info;

    NT_ASSERT(Module->State == LdrModuleLoaded);
    Module->State = LdrModuleStarted;
    for (ULONG Index = 0; Index < Info->SectionCount; Index += 1) {
        if (Info->Section[Index].Characteristics & IMAGE_SCN_MEM_DISCARDABLE) {
            LdrpUnmapSection(Module, &Info->Section[Index]);
        }
    }
}

VOID
LdrUnloadImage(PLDR_MODULE Module)
{
    NT_ASSERT(Module->State != LdrModuleUnloaded);
    LdrpUnmapSections(Module);
    Module->State = LdrModuleUnloaded;
    __atomic_fetch_add(&KiImageEpoch, 1, __ATOMIC_RELEASE);
}

BOOLEAN
LdrIsPageable(PLDR_MODULE Module, const VOID *Address)
{
    const LDRP_SECTION *Section;

    if (Module->Info == NULL) {
        return FALSE;
    }
    Section = LdrpFindSection(Module->Info, (ULONG)((ULONG_PTR)Address - (ULONG_PTR)Module->Base));
    return Section != NULL && LdrpIsPageable(Section);
}

BOOLEAN
LdrpFindImageSection(PVOID Address, PMI_IMAGE_SECTION ImageSection)
{
    PLDR_MODULE Module = LdrFindModule(Address);
    const LDRP_SECTION *Section;

    if (Module == NULL || Module->Info == NULL || Module->State == LdrModuleUnloaded) {
        return FALSE;
    }
    Section = LdrpFindSection(Module->Info, (ULONG)((ULONG_PTR)Address - (ULONG_PTR)Module->Base));
    if (Section == NULL ||
        (Module->State == LdrModuleStarted && (Section->Characteristics & IMAGE_SCN_MEM_DISCARDABLE))) {
        return FALSE;
    }
    ImageSection->Base = Module->Base + Section->VirtualAddress;
    ImageSection->PageCount = LdrpSectionPages(Section);
    ImageSection->Pageable = LdrpIsPageable(Section);
    ImageSection->ImageBase = Module->Base;
    return TRUE;
}
