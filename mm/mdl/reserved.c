/*
 * Reserved mappings: addresses taken once, so that mapping an MDL there later cannot fail for lack of them.
 *
 * A reservation is a record in the tracker: base, size, tag. What is mapped in it is what its entries say;
 * nobody but the owner of the tag changes them, one call at a time, as documented. An undivided reservation
 * holds one MDL, at its start; a divisible one as many as fit, at the page the driver names. Addresses are
 * accepted with any offset in the page.
 *
 *   MmAllocateMappingAddress -> empty --map--> mapped --unmap--> empty -> MmFreeMappingAddress
 *
 * Reserving <= APC_LEVEL, mapping <= DISPATCH_LEVEL. Documents: MmAllocateMappingAddress and its kin, "Bug
 * Check 0xDA".
 */
#include "mdlp.h"

/* Values of a MiTrackReservedMapping record. */
#define MI_RESERVED_TAG   0
#define MI_RESERVED_PAGES 1
#define MI_RESERVED_FLAGS 2

typedef struct _MI_RESERVED {
    ULONG_PTR Base;
    SIZE_T PageCount;
    ULONG Tag;
    BOOLEAN Divisible;
} MI_RESERVED, *PMI_RESERVED;

/* The reservation that a driver names by an address; FALSE if it is none, or not its start where only that
 * will do. */
static BOOLEAN
MipFindReservation(PVOID Address, PMI_RESERVED Reserved)
{
    MI_TRACKED Record;

    if (!MiFindTracked(MiTrackReservedMapping, PAGE_ALIGN(Address), &Record) &&
        (!MiFindTrackedAround(MiTrackReservedMapping, Address, &Record) ||
         !(Record.Value[MI_RESERVED_FLAGS] & MM_MAPPING_ADDRESS_DIVISIBLE))) {
        return FALSE;
    }
    Reserved->Base = (ULONG_PTR)Record.Object;
    Reserved->PageCount = Record.Value[MI_RESERVED_PAGES];
    Reserved->Tag = (ULONG)Record.Value[MI_RESERVED_TAG];
    Reserved->Divisible = (Record.Value[MI_RESERVED_FLAGS] & MM_MAPPING_ADDRESS_DIVISIBLE) != 0;
    return TRUE;
}

/* The first page of [Va, Va + PageCount pages) whose entry is in use, or is not; NULL if there is none. */
static PVOID
MipFirstPage(ULONG_PTR Va, SIZE_T PageCount, BOOLEAN InUse)
{
    for (; PageCount != 0; PageCount -= 1, Va += PAGE_SIZE) {
        MI_WALK Walk;

        MiWalk(MiSystemRootFrame, Va, &Walk);
        if (MiPteIsZero(Walk.Value) != InUse) {
            return (PVOID)Va;
        }
    }
    return NULL;
}

/* --- Reserving -------------------------------------------------------------------------------- */

/*
 * Reserve address for NumberOfBytes; PoolTag, not 0, is the key to it. NULL without resources, for tag 0 or
 * flags that do not exist. MM_MAPPING_ADDRESS_DIVISIBLE: MDLs may be mapped at any page of it. No bytes at
 * all: bug check 0xDA/0x100. Given back by MmFreeMappingAddress. <= APC_LEVEL.
 */
PVOID NTAPI
MmAllocateMappingAddressEx(SIZE_T NumberOfBytes, ULONG PoolTag, ULONG Flags)
{
    SIZE_T PageCount = BYTES_TO_PAGES(NumberOfBytes);
    PMI_TRACKED Tracked;
    PVOID Va;

    if (NumberOfBytes == 0) {
        KeBugCheckEx(SYSTEM_PTE_MISUSE, 0x100, 0, PoolTag, (ULONG_PTR)__builtin_return_address(0));
    }
    if (PoolTag == 0 || (Flags & ~MM_MAPPING_ADDRESS_DIVISIBLE) != 0 || MiInjectRequest()) {
        return NULL;
    }
    Tracked = MiAllocateTracked(MiTrackReservedMapping);
    if (Tracked == NULL) {
        return NULL;
    }
    Va = MiReserveSystemVa(MiRegionSystemPtes, PageCount, 1);
    if (Va == NULL) {
        MiFreeTracked(Tracked);
        return NULL;
    }
    Tracked->Object = Va;
    Tracked->Size = PageCount << PAGE_SHIFT;
    Tracked->Value[MI_RESERVED_TAG] = PoolTag;
    Tracked->Value[MI_RESERVED_PAGES] = PageCount;
    Tracked->Value[MI_RESERVED_FLAGS] = Flags;
    MiInsertTracked(Tracked);
    return Va;
}
NTEXPORT(MmAllocateMappingAddressEx);

/* The same, undivided. */
PVOID NTAPI
MmAllocateMappingAddress(SIZE_T NumberOfBytes, ULONG PoolTag)
{
    return MmAllocateMappingAddressEx(NumberOfBytes, PoolTag, 0);
}
NTEXPORT(MmAllocateMappingAddress);

/*
 * Give a reservation back. Bug check 0xDA: 0x102 there is none, 0x101 the tag is another, 0x103 something is
 * mapped in it.
 */
VOID NTAPI
MmFreeMappingAddress(PVOID BaseAddress, ULONG PoolTag)
{
    MI_RESERVED Reserved;
    PVOID Used;

    if (!MipFindReservation(BaseAddress, &Reserved)) {
        KeBugCheckEx(SYSTEM_PTE_MISUSE, 0x102, (ULONG_PTR)PAGE_ALIGN(BaseAddress), PoolTag, 0);
    }
    if (Reserved.Tag != PoolTag) {
        KeBugCheckEx(SYSTEM_PTE_MISUSE, 0x101, Reserved.Base, PoolTag, Reserved.Tag);
    }
    Used = MipFirstPage(Reserved.Base, Reserved.PageCount, TRUE);
    if (Used != NULL) {
        KeBugCheckEx(SYSTEM_PTE_MISUSE, 0x103, (ULONG_PTR)Used, PoolTag, Reserved.PageCount);
    }
    MiFreeTracked(MiRemoveTracked(MiTrackReservedMapping, (PVOID)Reserved.Base));
    MiReleaseSystemVa(MiRegionSystemPtes, (PVOID)Reserved.Base, Reserved.PageCount);
}
NTEXPORT(MmFreeMappingAddress);

/* --- Mapping ---------------------------------------------------------------------------------- */

/* Bug check unless the driver may map here now. */
static VOID
MipCheckReservedMap(const MI_RESERVED *Reserved, ULONG_PTR Va, ULONG PoolTag, SIZE_T PageCount)
{
    PVOID Used;

    if (Reserved->Tag != PoolTag) {
        KeBugCheckEx(SYSTEM_PTE_MISUSE, 0x104, Reserved->Base, PoolTag, Reserved->Tag);
    }
    Used = Reserved->Divisible ? MipFirstPage(Va, PageCount, TRUE)
                               : MipFirstPage(Reserved->Base, Reserved->PageCount, TRUE);
    if (Used != NULL) {
        KeBugCheckEx(SYSTEM_PTE_MISUSE, 0x107, Va, (ULONG_PTR)Used, Va + ((PageCount - 1) << PAGE_SHIFT));
    }
}

/*
 * Map an MDL at the start of a reservation (of a divisible one: at that page). Returns the address of the
 * buffer's first byte; MappedSystemVa is that of its page. NULL only if the MDL is empty or larger than the
 * reservation, or, for device memory, if there is no memory to count its mappings. Bug check 0xDA: 0x105 no
 * such reservation, 0x104 the tag is another, 0x107 it is in use. <= DISPATCH_LEVEL.
 */
PVOID NTAPI
MmMapLockedPagesWithReservedMapping(PVOID MappingAddress, ULONG PoolTag, PMDL MemoryDescriptorList,
                                    MEMORY_CACHING_TYPE CacheType)
{
    ULONG_PTR Va = (ULONG_PTR)PAGE_ALIGN(MappingAddress);
    PMDL Mdl = MemoryDescriptorList;
    SIZE_T PageCount = MiMdlPageCount(Mdl);
    MI_RESERVED Reserved;

    MiVerifyIrql(0x76, DISPATCH_LEVEL, (ULONG_PTR)Mdl, KernelMode);
    if (!MipFindReservation(MappingAddress, &Reserved)) {
        KeBugCheckEx(SYSTEM_PTE_MISUSE, 0x105, Va, PoolTag, 0);
    }
    if (PageCount == 0 || PageCount > Reserved.PageCount - ((Va - Reserved.Base) >> PAGE_SHIFT) ||
        !MiIsCacheType(CacheType)) {
        return NULL;
    }
    MipCheckReservedMap(&Reserved, Va, PoolTag, PageCount);
    MiCheckMappable(Mdl, MDL_MAPPED_TO_SYSTEM_VA | MDL_PARTIAL_HAS_BEEN_MAPPED);
    if (!MiPrepareMdlFrames(Mdl, CacheType)) {
        return NULL;
    }
    MiMapMixedFrames((PVOID)Va, PageCount, MmGetMdlPfnArray(Mdl), MM_EXECUTE_READWRITE, CacheType);
    Mdl->MappedSystemVa = (PVOID)Va;
    MiSetMdlFlags(Mdl, MDL_MAPPED_TO_SYSTEM_VA |
                           (MiMdlFlags(Mdl) & MDL_PARTIAL ? MDL_PARTIAL_HAS_BEEN_MAPPED : 0));
    return (PVOID)(Va + Mdl->ByteOffset);
}
NTEXPORT(MmMapLockedPagesWithReservedMapping);

/* Bug check unless exactly PageCount pages at Va are what is mapped there. Extra pages in front have been
 * unmapped. */
static VOID
MipCheckReservedUnmap(const MI_RESERVED *Reserved, ULONG_PTR Va, ULONG PoolTag, SIZE_T PageCount,
                      SIZE_T Extra)
{
    SIZE_T Before = (Va - Reserved->Base) >> PAGE_SHIFT;
    ULONG_PTR First = Va + (Extra << PAGE_SHIFT), End = Va + (PageCount << PAGE_SHIFT);

    if (Reserved->Tag != PoolTag) {
        KeBugCheckEx(SYSTEM_PTE_MISUSE, 0x108, Reserved->Base, PoolTag, Reserved->Tag);
    }
    if (MipFirstPage(Reserved->Base, Reserved->PageCount, TRUE) == NULL) {
        KeBugCheckEx(SYSTEM_PTE_MISUSE, 0x109, Reserved->Base, PoolTag, 0);
    }
    if (PageCount > Reserved->PageCount - Before) {
        KeBugCheckEx(SYSTEM_PTE_MISUSE, 0x10A, Reserved->Base, Reserved->PageCount, PageCount);
    }
    if (MipFirstPage(First, PageCount - Extra, FALSE) != NULL) {
        KeBugCheckEx(SYSTEM_PTE_MISUSE, 0x10B, Reserved->Base, PoolTag, PageCount);
    }
    if (!Reserved->Divisible && MipFirstPage(End, Reserved->PageCount - Before - PageCount, TRUE) != NULL) {
        KeBugCheckEx(SYSTEM_PTE_MISUSE, 0x10C, Reserved->Base, PoolTag, PageCount);
    }
}

/*
 * Undo MmMapLockedPagesWithReservedMapping for the MDL it mapped; the address stays reserved. Bug check 0xDA:
 * 0x108 the tag is another, 0x109 there is no such reservation or nothing in it, 0x10A, 0x10B, 0x10C the MDL
 * has more, other or fewer pages than are mapped. <= DISPATCH_LEVEL.
 */
VOID NTAPI
MmUnmapReservedMapping(PVOID BaseAddress, ULONG PoolTag, PMDL MemoryDescriptorList)
{
    ULONG_PTR Va = (ULONG_PTR)PAGE_ALIGN(BaseAddress);
    PMDL Mdl = MemoryDescriptorList;
    SIZE_T Extra = MiMdlExtraPages(Mdl);
    SIZE_T PageCount = MiMdlPageCount(Mdl) + Extra;
    MI_RESERVED Reserved;

    MiVerifyIrql(0x79, DISPATCH_LEVEL, (ULONG_PTR)BaseAddress, (ULONG_PTR)Mdl);
    if (!MipFindReservation(BaseAddress, &Reserved)) {
        KeBugCheckEx(SYSTEM_PTE_MISUSE, 0x109, Va, PoolTag, 0);
    }
    MipCheckReservedUnmap(&Reserved, Va, PoolTag, PageCount, Extra);
    MiUnmapMixedFrames((PVOID)Va, PageCount);
    MiClearMdlFlags(Mdl, MDL_MAPPED_TO_SYSTEM_VA | MDL_PARTIAL_HAS_BEEN_MAPPED | MDL_FREE_EXTRA_PTES);
    Mdl->MappedSystemVa = NULL;
}
NTEXPORT(MmUnmapReservedMapping);
