/*
 * MDLs themselves: made, described, divided, moved forward, freed. Nothing here locks or maps (problock.c,
 * map.c).
 *
 * States, by MdlFlags:
 *
 *   0 --MmProbeAndLockPages--> PAGES_LOCKED --MmUnlockPages--> 0
 *   0 --MmBuildMdlForNonPagedPool--> SOURCE_IS_NONPAGED_POOL (for good; its own address serves as the
 * mapping) target --IoBuildPartialMdl--> PARTIAL (of a source in one of these states) any of these <--map /
 * unmap--> | MAPPED_TO_SYSTEM_VA
 *
 * An MDL belongs to its driver; there are no locks. IRQL <= DISPATCH_LEVEL. Documents: "Using MDLs" and the
 * pages of the routines.
 */
#include "mdlp.h"

/* Bytes of an MDL for the range. Any IRQL. */
SIZE_T NTAPI
MmSizeOfMdl(PVOID Base, SIZE_T Length)
{
    SIZE_T Pages =
        (Length >> PAGE_SHIFT) + (BYTE_OFFSET(Base) + (Length & (PAGE_SIZE - 1)) + PAGE_SIZE - 1) / PAGE_SIZE;

    return sizeof(MDL) + Pages * sizeof(PFN_NUMBER);
}
NTEXPORT(MmSizeOfMdl);

static VOID
MipInitializeMdl(PMDL Mdl, PVOID Va, SIZE_T Length)
{
    RtlZeroMemory(Mdl, sizeof(*Mdl));
    MmInitializeMdl(Mdl, Va, Length);
    Mdl->AllocationProcessorNumber = (USHORT)PcrRead32(Number);
}

/* Make the MDL its IRP's first, or append it to the IRP's chain. */
static VOID
MipAttachToIrp(PMDL Mdl, PIRP Irp, BOOLEAN SecondaryBuffer)
{
    PMDL *Link = &Irp->MdlAddress;

    while (SecondaryBuffer && *Link != NULL) {
        Link = &(*Link)->Next;
    }
    *Link = Mdl;
}

/*
 * Allocate an MDL for [VirtualAddress, VirtualAddress + Length); see wdm.h. NULL without memory, or if its
 * size does not fit the 16-bit field that holds it. ChargeQuota is reserved. The caller owns it until
 * IoFreeMdl.
 */
PMDL NTAPI
IoAllocateMdl(PVOID VirtualAddress, ULONG Length, BOOLEAN SecondaryBuffer, BOOLEAN ChargeQuota, PIRP Irp)
{
    SIZE_T Size = MmSizeOfMdl(VirtualAddress, Length);
    PMDL Mdl;

    if (Size > MAXUSHORT) {
        return NULL;
    }
    Mdl = ExAllocatePool2(POOL_FLAG_NON_PAGED | POOL_FLAG_UNINITIALIZED, Size, MI_MDL_TAG);
    if (Mdl == NULL) {
        return NULL;
    }
    MipInitializeMdl(Mdl, VirtualAddress, Length);
    if (Irp != NULL) {
        MipAttachToIrp(Mdl, Irp, SecondaryBuffer);
    }
    return Mdl;
}
NTEXPORT(IoAllocateMdl);

/*
 * Free one MDL, not its chain. A mapping that a partial MDL made for itself is removed; another one that is
 * still there is bug check 0xC4/0xB8. Pages must have been unlocked: those that were not stay locked, and are
 * reported.
 */
VOID NTAPI
IoFreeMdl(PMDL Mdl)
{
    ULONG Flags = MiMdlFlags(Mdl);

    if (Flags & MDL_PARTIAL_HAS_BEEN_MAPPED) {
        MmUnmapLockedPages(Mdl->MappedSystemVa, Mdl);
    } else if (!(Flags & MDL_PARTIAL)) {
        MiVerifyMdlFlags(0xB8, Mdl, Flags & MDL_MAPPED_TO_SYSTEM_VA);
    }
    if (Flags & MDL_PAGES_LOCKED) {
        MiCheckFreedMdl(Mdl);
    }
    ExFreePool(Mdl);
}
NTEXPORT(IoFreeMdl);

/* The forerunner of IoAllocateMdl: initialize the caller's memory, or nonpaged pool if that is NULL. */
PMDL NTAPI
MmCreateMdl(PMDL MemoryDescriptorList, PVOID Base, SIZE_T Length)
{
    PMDL Mdl = MemoryDescriptorList;

    if (Mdl == NULL) {
        Mdl = ExAllocatePool2(POOL_FLAG_NON_PAGED | POOL_FLAG_UNINITIALIZED, MmSizeOfMdl(Base, Length),
                              MI_MDL_TAG);
    }
    if (Mdl != NULL) {
        MipInitializeMdl(Mdl, Base, Length);
    }
    return Mdl;
}
NTEXPORT(MmCreateMdl);

/* --- Partial MDLs ----------------------------------------------------------------------------- */

/* Does the target have room for the frames of a range? */
static BOOLEAN
MipTargetHolds(const MDL *TargetMdl, SIZE_T PageCount)
{
    return sizeof(MDL) + PageCount * sizeof(PFN_NUMBER) <= (USHORT)TargetMdl->Size;
}

/*
 * Make TargetMdl, allocated by the caller, describe [VirtualAddress, VirtualAddress + Length) of SourceMdl,
 * which is locked or of nonpaged pool; Length 0: to the source's end. It uses the source's system mapping if
 * there is one now.
 */
VOID NTAPI
IoBuildPartialMdl(PMDL SourceMdl, PMDL TargetMdl, PVOID VirtualAddress, ULONG Length)
{
    ULONG_PTR Offset = (ULONG_PTR)VirtualAddress - (ULONG_PTR)MmGetMdlVirtualAddress(SourceMdl);
    ULONG Flags = MiMdlFlags(SourceMdl);
    SIZE_T FirstPage, PageCount;

    if (Offset >= SourceMdl->ByteCount || Length > SourceMdl->ByteCount - Offset) {
        KeBugCheckEx(INVALID_MDL_RANGE, (ULONG_PTR)SourceMdl, (ULONG_PTR)TargetMdl, (ULONG_PTR)VirtualAddress,
                     Length);
    }
    if (Length == 0) {
        Length = SourceMdl->ByteCount - (ULONG)Offset;
    }
    PageCount = ADDRESS_AND_SIZE_TO_SPAN_PAGES(VirtualAddress, Length);
    if (!MipTargetHolds(TargetMdl, PageCount)) {
        KeBugCheckEx(TARGET_MDL_TOO_SMALL, 0, 0, 0, 0);
    }
    FirstPage = ((ULONG_PTR)VirtualAddress - (ULONG_PTR)SourceMdl->StartVa) >> PAGE_SHIFT;
    RtlCopyMemory(MmGetMdlPfnArray(TargetMdl), MmGetMdlPfnArray(SourceMdl) + FirstPage,
                  PageCount * sizeof(PFN_NUMBER));
    TargetMdl->Process = SourceMdl->Process;
    TargetMdl->StartVa = PAGE_ALIGN(VirtualAddress);
    TargetMdl->ByteOffset = BYTE_OFFSET(VirtualAddress);
    TargetMdl->ByteCount = Length;
    TargetMdl->MappedSystemVa = NULL;
    TargetMdl->MdlFlags = (CSHORT)((MiMdlFlags(TargetMdl) & MDL_ALLOCATED_FIXED_SIZE) | MDL_PARTIAL |
                                   (Flags & (MDL_SOURCE_IS_NONPAGED_POOL | MDL_IO_SPACE | MDL_IO_PAGE_READ)));
    if (Flags & (MDL_MAPPED_TO_SYSTEM_VA | MDL_SOURCE_IS_NONPAGED_POOL)) {
        TargetMdl->MappedSystemVa = (PVOID)((ULONG_PTR)SourceMdl->MappedSystemVa + Offset);
        if (Flags & MDL_MAPPED_TO_SYSTEM_VA) {
            MiSetMdlFlags(TargetMdl, MDL_MAPPED_TO_SYSTEM_VA | MDL_PARENT_MAPPED_SYSTEM_VA);
        }
    }
}
NTEXPORT(IoBuildPartialMdl);

/* --- Nonpaged pool ---------------------------------------------------------------------------- */

/*
 * Fill in the frames of a resident system buffer. Nothing is locked, so the buffer must stay; its own address
 * serves as the mapping. Paged pool is bug check 0xC4/0x7F, an address that is not resident 0x1A/0x1240.
 */
VOID NTAPI
MmBuildMdlForNonPagedPool(PMDL MemoryDescriptorList)
{
    PMDL Mdl = MemoryDescriptorList;
    PPFN_NUMBER Frames = MmGetMdlPfnArray(Mdl);
    SIZE_T PageCount = MiMdlPageCount(Mdl);
    ULONG_PTR Va = (ULONG_PTR)Mdl->StartVa;
    MI_SYSTEM_REGION Region;

    if (KiVerifierOn && MiRegionOf(Mdl->StartVa, &Region) && Region == MiRegionPagedPool) {
        KeBugCheckEx(DRIVER_VERIFIER_DETECTED_VIOLATION, 0x7F, HalGetIrql(), (ULONG_PTR)Mdl, MiMdlFlags(Mdl));
    }
    for (SIZE_T Index = 0; Index < PageCount; Index += 1, Va += PAGE_SIZE) {
        Frames[Index] = MiIsCanonical(Va) ? MiTranslate((PVOID)Va, NULL) : MI_NO_FRAME;
        if (Frames[Index] == MI_NO_FRAME) {
            KeBugCheckEx(MEMORY_MANAGEMENT, 0x1240, (ULONG_PTR)Mdl, (ULONG_PTR)MiGetPteAddress(Va), 0);
        }
    }
    Mdl->Process = NULL;
    Mdl->MappedSystemVa = MmGetMdlVirtualAddress(Mdl);
    MiSetMdlFlags(Mdl, MDL_SOURCE_IS_NONPAGED_POOL);
    if (PageCount != 0 && !MiIsRamFrame(Frames[0])) {
        MiSetMdlFlags(Mdl, MDL_IO_SPACE);
    }
}
NTEXPORT(MmBuildMdlForNonPagedPool);

/* --- Advancing -------------------------------------------------------------------------------- */

/* Take the pages that were passed over out of the MDL's own mapping; their address goes with the rest of it.
 */
static VOID
MipAdvanceMapping(PMDL Mdl, SIZE_T Pages)
{
    PVOID Passed = PAGE_ALIGN(Mdl->MappedSystemVa);

    MiUnmapMixedFrames(Passed, Pages);
}

static VOID
MipNoteAdvance(PMI_TRACKED Tracked, PVOID Context)
{
    PMDL Mdl = Context;

    Tracked->Value[MI_MAPPING_START] = (Tracked->Value[MI_MAPPING_START] & (PAGE_SIZE - 1)) | (ULONG_PTR)Mdl->StartVa;
}

static VOID
MipShrinkLock(PMI_TRACKED Tracked, PVOID Context)
{
    SIZE_T Left = MiMdlPageCount(Context);

    Tracked->Size = ((PMDL)Context)->ByteCount;
    if (Tracked->Value[MI_LOCK_PAGES] > Left) {
        MiForgetLockedPages(Tracked, Tracked->Value[MI_LOCK_PAGES] - Left);
    }
}

/*
 * Let the MDL begin NumberOfBytes later; its end stays. Whole pages passed over are unlocked, if it is a
 * locked one, and leave its mapping. STATUS_INVALID_PARAMETER_2, and nothing changes, if that is past the
 * end.
 */
NTSTATUS NTAPI
MmAdvanceMdl(PMDL Mdl, ULONG NumberOfBytes)
{
    PPFN_NUMBER Frames = MmGetMdlPfnArray(Mdl);
    ULONG Flags = MiMdlFlags(Mdl);
    SIZE_T Before = MiMdlPageCount(Mdl), Extra = MiMdlExtraPages(Mdl), Passed;
    MI_TRACKED Record;
    BOOLEAN Owned = MiFindTracked(MiTrackLockedPages, Mdl, &Record);
    BOOLEAN Mapped = (Flags & MDL_MAPPED_TO_SYSTEM_VA) && !(Flags & MDL_PARENT_MAPPED_SYSTEM_VA);

    if (NumberOfBytes > Mdl->ByteCount) {
        return STATUS_INVALID_PARAMETER_2;
    }
    Passed = MIN(((SIZE_T)Mdl->ByteOffset + NumberOfBytes) >> PAGE_SHIFT, Before);
    if (Passed != 0 && Mapped) {
        MipAdvanceMapping(Mdl, Passed);
    }
    for (SIZE_T Index = 0; Owned && Index < Passed; Index += 1) {
        MI_PAGE_LOCK Lock = {.Frame = Frames[Index], .Ram = MiIsRamFrame(Frames[Index])};

        MiUnlockPage(&Lock, (Flags & MDL_WRITE_OPERATION) != 0);
    }
    RtlMoveMemory(Frames, Frames + Passed, (Before - Passed) * sizeof(PFN_NUMBER));
    Mdl->StartVa = (PVOID)((ULONG_PTR)Mdl->StartVa + (Passed << PAGE_SHIFT));
    Mdl->ByteOffset = (Mdl->ByteOffset + NumberOfBytes) & (PAGE_SIZE - 1);
    Mdl->ByteCount -= NumberOfBytes;
    if (Mdl->MappedSystemVa != NULL) {
        Mdl->MappedSystemVa = (PVOID)((ULONG_PTR)Mdl->MappedSystemVa + NumberOfBytes);
    }
    if (Extra + Passed != 0 && Mapped) {
        MiSetMdlFlags(Mdl, MDL_FREE_EXTRA_PTES);
        Frames[MiMdlPageCount(Mdl)] = Extra + Passed;
        MiUpdateTracked(MiTrackMapping, MiMdlMappingBase(Mdl), MipNoteAdvance, Mdl);
    }
    MiUpdateTracked(MiTrackLockedPages, Mdl, MipShrinkLock, Mdl);
    return STATUS_SUCCESS;
}
NTEXPORT(MmAdvanceMdl);

/* TRUE if every page of the MDL is, or may be, mapped cached. */
LOGICAL NTAPI
MmAreMdlPagesCached(PMDL MemoryDescriptorList)
{
    PPFN_NUMBER Frames = MmGetMdlPfnArray(MemoryDescriptorList);

    for (SIZE_T Index = 0; Index < MiMdlPageCount(MemoryDescriptorList); Index += 1) {
        MEMORY_CACHING_TYPE CacheType = MiIsRamFrame(Frames[Index])
                                            ? MiSetFrameCacheType(Frames[Index], MmNotMapped)
                                            : MiIoPageCacheType(Frames[Index]);

        if (CacheType != MmCached && CacheType != MmNotMapped) {
            return FALSE;
        }
    }
    return TRUE;
}
NTEXPORT(MmAreMdlPagesCached);
