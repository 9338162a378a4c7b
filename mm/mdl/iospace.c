/*
 * Mapping physical addresses: device memory, and RAM that somebody keeps.
 *
 * A mapping is a record in the tracker, found by the address of its first page. A device page is mapped as
 * its first mapping asked, and a later one that asks otherwise fails; a RAM page is mapped as it already is,
 * whatever is asked for. Prepare: record, counts of device pages, address. Commit: entries and record. <=
 * DISPATCH_LEVEL. Documents: MmMapIoSpace(Ex), MmUnmapIoSpace, MmAllocateMdlForIoSpace.
 */
#include "mdlp.h"

/* Values of a MiTrackIoSpace record. */
#define MI_IO_FIRST 0
#define MI_IO_PAGES 1

typedef struct _MI_IO_RANGE {
    ULONG64 Address;
    SIZE_T Bytes;
    PFN_NUMBER First;
    SIZE_T PageCount;
    MI_PROTECTION Protection;
    MEMORY_CACHING_TYPE CacheType;
} MI_IO_RANGE, *PMI_IO_RANGE;

/* FALSE if there are no bytes, or the range ends beyond physical addresses. */
static BOOLEAN
MipDescribeRange(PHYSICAL_ADDRESS Address, SIZE_T Bytes, PMI_IO_RANGE Range)
{
    Range->Address = (ULONG64)Address.QuadPart;
    Range->Bytes = Bytes;
    Range->First = Range->Address >> PAGE_SHIFT;
    Range->PageCount =
        (Bytes >> PAGE_SHIFT) +
        (((Range->Address & (PAGE_SIZE - 1)) + (Bytes & (PAGE_SIZE - 1)) + PAGE_SIZE - 1) >> PAGE_SHIFT);
    return Bytes != 0 && Range->Address + Bytes > Range->Address && ((Range->Address + Bytes - 1) >> 52) == 0;
}

/* --- Counting --------------------------------------------------------------------------------- */

/* The first part of a range that is all RAM, or all not. */
static SIZE_T
MipRunLength(PFN_NUMBER First, SIZE_T PageCount, BOOLEAN Ram)
{
    SIZE_T Length = 0;

    while (Length < PageCount && MiIsRamFrame(First + Length) == Ram) {
        Length += 1;
    }
    return Length;
}

/* Every page is a device's, or RAM that is kept. The bug check for RAM that is not, if the verifier is on. */
static BOOLEAN
MipRangeMayBeMapped(const MI_IO_RANGE *Range)
{
    SIZE_T Done = 0;

    while (Done < Range->PageCount) {
        PFN_NUMBER Frame = Range->First + Done;

        if (!MiIsRamFrame(Frame)) {
            SIZE_T Run = MipRunLength(Frame, Range->PageCount - Done, FALSE);

            if (!HalIsIoSpace(Frame, Run)) {
                return FALSE;
            }
            Done += Run;
            continue;
        }
        if (!MiIsFrameHeld(Frame)) {
            if (KiVerifierOn) {
                KeBugCheckEx(DRIVER_VERIFIER_DETECTED_VIOLATION, 0x83, Range->Address, Range->Bytes, Frame);
            }
            return FALSE;
        }
        Done += 1;
    }
    return TRUE;
}

static VOID
MipUncountRange(PFN_NUMBER First, SIZE_T PageCount)
{
    for (SIZE_T Done = 0; Done < PageCount;) {
        BOOLEAN Ram = MiIsRamFrame(First + Done);
        SIZE_T Run = MipRunLength(First + Done, PageCount - Done, Ram);

        if (!Ram) {
            MiDereferenceIoPages(First + Done, Run);
        }
        Done += Run;
    }
}

/* Count the mapping of the device pages. FALSE: a conflict of cache types, or no memory; nothing is counted.
 */
static BOOLEAN
MipCountRange(const MI_IO_RANGE *Range)
{
    for (SIZE_T Done = 0; Done < Range->PageCount;) {
        BOOLEAN Ram = MiIsRamFrame(Range->First + Done);
        SIZE_T Run = MipRunLength(Range->First + Done, Range->PageCount - Done, Ram);

        if (!Ram && !MiReferenceIoPages(Range->First + Done, Run, Range->CacheType, TRUE)) {
            MipUncountRange(Range->First, Done);
            return FALSE;
        }
        Done += Run;
    }
    return TRUE;
}

/* --- Mapping ---------------------------------------------------------------------------------- */

static VOID
MipMapRange(PUCHAR Va, const MI_IO_RANGE *Range)
{
    for (SIZE_T Done = 0; Done < Range->PageCount;) {
        BOOLEAN Ram = MiIsRamFrame(Range->First + Done);
        PFN_NUMBER Frame = Range->First + Done;
        SIZE_T Run = 1;

        if (Ram) {
            MiMapMixedFrames(Va + (Done << PAGE_SHIFT), 1, &Frame, Range->Protection, Range->CacheType);
        } else {
            Run = MipRunLength(Frame, Range->PageCount - Done, FALSE);
            MiMapRun(Va + (Done << PAGE_SHIFT), Run, Frame, Range->Protection, Range->CacheType, FALSE);
        }
        Done += Run;
    }
}

static PVOID
MipMapIoSpace(const MI_IO_RANGE *Range)
{
    PMI_TRACKED Tracked;
    PUCHAR Va;

    MiVerifyIrql(0x73, DISPATCH_LEVEL, Range->Address, Range->Bytes);
    if (!MiIsCacheType(Range->CacheType) || !MipRangeMayBeMapped(Range) || MiInjectRequest()) {
        return NULL;
    }

    /* Prepare. */
    Tracked = MiAllocateTracked(MiTrackIoSpace);
    if (Tracked == NULL) {
        return NULL;
    }
    if (!MipCountRange(Range)) {
        goto FreeTracked;
    }
    Va = MiReserveSystemVa(MiRegionSystemPtes, Range->PageCount, 1);
    if (Va == NULL) {
        goto Uncount;
    }

    /* Commit. */
    MipMapRange(Va, Range);
    Tracked->Object = Va;
    Tracked->Size = Range->Bytes;
    Tracked->Value[MI_IO_FIRST] = Range->First;
    Tracked->Value[MI_IO_PAGES] = Range->PageCount;
    MiInsertTracked(Tracked);
    return Va + (Range->Address & (PAGE_SIZE - 1));

Uncount:
    MipUncountRange(Range->First, Range->PageCount);
FreeTracked:
    MiFreeTracked(Tracked);
    return NULL;
}

/*
 * Map [PhysicalAddress, PhysicalAddress + NumberOfBytes), executable; the address of its first byte. NULL for
 * no bytes, for memory that is neither a device's nor RAM, without resources, or if a device page is mapped
 * with another cache type. RAM that nobody keeps is bug check 0xC4/0x83. Removed by MmUnmapIoSpace.
 */
PVOID NTAPI
MmMapIoSpace(PHYSICAL_ADDRESS PhysicalAddress, SIZE_T NumberOfBytes, MEMORY_CACHING_TYPE CacheType)
{
    MI_IO_RANGE Range = {.Protection = MM_EXECUTE_READWRITE, .CacheType = CacheType};

    return MipDescribeRange(PhysicalAddress, NumberOfBytes, &Range) ? MipMapIoSpace(&Range) : NULL;
}
NTEXPORT(MmMapIoSpace);

/* The same with PAGE_* rights, with PAGE_NOCACHE or PAGE_WRITECOMBINE; NULL for other values too. */
PVOID NTAPI
MmMapIoSpaceEx(PHYSICAL_ADDRESS PhysicalAddress, SIZE_T NumberOfBytes, ULONG Protect)
{
    MI_IO_RANGE Range;

    if (!MiRightsAndCacheFromPage(Protect, &Range.Protection, &Range.CacheType) ||
        !MipDescribeRange(PhysicalAddress, NumberOfBytes, &Range)) {
        return NULL;
    }
    return MipMapIoSpace(&Range);
}
NTEXPORT(MmMapIoSpaceEx);

/*
 * Remove such a mapping; address and size must be what it was made with, to the page, else bug check
 * 0xDA/0x400. Above APC_LEVEL it is bug check 0xC4/0x7B.
 */
VOID NTAPI
MmUnmapIoSpace(PVOID BaseAddress, SIZE_T NumberOfBytes)
{
    SIZE_T PageCount = ADDRESS_AND_SIZE_TO_SPAN_PAGES(BaseAddress, NumberOfBytes);
    PVOID Base = PAGE_ALIGN(BaseAddress);
    MI_TRACKED Record;

    MiVerifyIrql(0x7B, APC_LEVEL, (ULONG_PTR)BaseAddress, NumberOfBytes);
    if (!MiFindTracked(MiTrackIoSpace, Base, &Record) || Record.Value[MI_IO_PAGES] != PageCount) {
        KeBugCheckEx(SYSTEM_PTE_MISUSE, 0x400, (ULONG_PTR)BaseAddress, PageCount, 0);
    }
    MiFreeTracked(MiRemoveTracked(MiTrackIoSpace, Base));
    MiUnmapRange(Base, PageCount, NULL);
    MiReleaseSystemVa(MiRegionSystemPtes, Base, PageCount);
    MipUncountRange(Record.Value[MI_IO_FIRST], PageCount);
}
NTEXPORT(MmUnmapIoSpace);

/* A frame buffer is device memory like any other. <= APC_LEVEL. */
PVOID NTAPI
MmMapVideoDisplay(PHYSICAL_ADDRESS PhysicalAddress, SIZE_T NumberOfBytes, MEMORY_CACHING_TYPE CacheType)
{
    return MmMapIoSpace(PhysicalAddress, NumberOfBytes, CacheType);
}
NTEXPORT(MmMapVideoDisplay);

VOID NTAPI
MmUnmapVideoDisplay(PVOID BaseAddress, SIZE_T NumberOfBytes)
{
    MmUnmapIoSpace(BaseAddress, NumberOfBytes);
}
NTEXPORT(MmUnmapVideoDisplay);

/* --- Questions -------------------------------------------------------------------------------- */

/* TRUE if any page of a physical range is mapped as I/O space. */
LOGICAL NTAPI
MmIsIoSpaceActive(PHYSICAL_ADDRESS StartAddress, SIZE_T NumberOfBytes)
{
    MI_IO_RANGE Range;

    if (!MipDescribeRange(StartAddress, NumberOfBytes, &Range)) {
        return FALSE;
    }
    for (SIZE_T Index = 0; Index < Range.PageCount; Index += 1) {
        if (MiIoPageCacheType(Range.First + Index) != MmNotMapped) {
            return TRUE;
        }
    }
    return FALSE;
}
NTEXPORT(MmIsIoSpaceActive);

/* How a page is cached, MmNotMapped if that is not decided. STATUS_INVALID_PARAMETER_1 for what is no memory.
 */
NTSTATUS NTAPI
MmGetCacheAttribute(PHYSICAL_ADDRESS PhysicalAddress, MEMORY_CACHING_TYPE *CacheType)
{
    PFN_NUMBER Frame = (ULONG64)PhysicalAddress.QuadPart >> PAGE_SHIFT;

    if (MiIsRamFrame(Frame)) {
        *CacheType = MiSetFrameCacheType(Frame, MmNotMapped);
        return STATUS_SUCCESS;
    }
    if (!HalIsIoSpace(Frame, 1)) {
        return STATUS_INVALID_PARAMETER_1;
    }
    *CacheType = MiIoPageCacheType(Frame);
    return STATUS_SUCCESS;
}
NTEXPORT(MmGetCacheAttribute);

/* --- MDLs over device memory ------------------------------------------------------------------ */

/* Bytes of all entries; 0 if one is not whole pages of device memory, or they are 4 GB and more. */
static ULONG64
MipSumIoList(const MM_PHYSICAL_ADDRESS_LIST *List, SIZE_T Count)
{
    ULONG64 Total = 0;

    for (SIZE_T Index = 0; Index < Count; Index += 1) {
        ULONG64 Base = (ULONG64)List[Index].PhysicalAddress.QuadPart, Bytes = List[Index].NumberOfBytes;

        if (Bytes == 0 || ((Base | Bytes) & (PAGE_SIZE - 1)) != 0 || Bytes >= 0x100000000ull ||
            !HalIsIoSpace(Base >> PAGE_SHIFT, Bytes >> PAGE_SHIFT)) {
            return 0;
        }
        Total += Bytes;
        if (Total >= 0x100000000ull) {
            return 0;
        }
    }
    return Total;
}

/*
 * An MDL over ranges of device memory, none of it RAM, whole pages, less than 4 GB together; not mapped.
 * Freed by IoFreeMdl. STATUS_INVALID_PARAMETER_1 (the list), STATUS_INSUFFICIENT_RESOURCES.
 */
NTSTATUS NTAPI
MmAllocateMdlForIoSpace(PMM_PHYSICAL_ADDRESS_LIST PhysicalAddressList, SIZE_T NumberOfEntries, PMDL *NewMdl)
{
    ULONG64 Total = MipSumIoList(PhysicalAddressList, NumberOfEntries);
    SIZE_T Page = 0;
    PMDL Mdl;

    if (Total == 0) {
        return STATUS_INVALID_PARAMETER_1;
    }
    Mdl = ExAllocatePool2(POOL_FLAG_NON_PAGED, MmSizeOfMdl(NULL, Total), MI_MDL_TAG);
    if (Mdl == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    MmInitializeMdl(Mdl, NULL, Total);
    Mdl->MdlFlags = MDL_IO_SPACE;
    for (SIZE_T Index = 0; Index < NumberOfEntries; Index += 1) {
        PFN_NUMBER Frame = (ULONG64)PhysicalAddressList[Index].PhysicalAddress.QuadPart >> PAGE_SHIFT;

        for (SIZE_T Left = PhysicalAddressList[Index].NumberOfBytes >> PAGE_SHIFT; Left != 0; Left -= 1) {
            MmGetMdlPfnArray(Mdl)[Page] = Frame;
            Page += 1;
            Frame += 1;
        }
    }
    *NewMdl = Mdl;
    return STATUS_SUCCESS;
}
NTEXPORT(MmAllocateMdlForIoSpace);
