/* MDLs and mappings: buffers locked and mapped twice, pages, contiguous memory, reserved addresses, pageable sections. */
#include "sim.h"
#include <mm/mdl/mdl.h>
#include <mm/mi.h>
#include <mm/pte/pte.h>

/* --- Locked buffers ------------------------------------------------------------------------------- */

#define MDL_SLOTS 6

typedef struct _MDL_BUFFER {
    PUCHAR Va, Mapped;
    PMDL Mdl;
    SIZE_T Size;
    ULONG Pattern;
    BOOLEAN Locked;
} MDL_BUFFER, *PMDL_BUFFER;

typedef struct _MDL_STATE {
    MDL_BUFFER Buffers[MDL_SLOTS];
} MDL_STATE, *PMDL_STATE;

static VOID
MdlMake(PSIM_THREAD Thread, PMDL_BUFFER Buffer)
{
    Buffer->Size = 1 + SimRandom(Thread, 12 * PAGE_SIZE);
    Buffer->Pattern = SimRandom(Thread, 256);
    Buffer->Va = ExAllocatePool2(SimRandom(Thread, 3) ? POOL_FLAG_PAGED : POOL_FLAG_NON_PAGED, Buffer->Size, SIM_TAG);
    Buffer->Mdl = Buffer->Va == NULL ? NULL : IoAllocateMdl(Buffer->Va, (ULONG)Buffer->Size, FALSE, FALSE, NULL);
    if (Buffer->Mdl != NULL) {
        SimPaint(Buffer->Va, Buffer->Size, Buffer->Pattern);
        return;
    }
    SIM_REFUSED(Thread);
    if (Buffer->Va != NULL) {
        ExFreePoolWithTag(Buffer->Va, SIM_TAG);
        Buffer->Va = NULL;
    }
}

static VOID
MdlRelease(PMDL_BUFFER Buffer)
{
    SIM_CHECK(SimIsPainted(Buffer->Va, Buffer->Size, Buffer->Pattern));
    if (Buffer->Mapped != NULL) {
        SIM_CHECK(SimIsPainted(Buffer->Mapped, Buffer->Size, Buffer->Pattern));
        MmUnmapLockedPages(Buffer->Mapped, Buffer->Mdl);
    }
    if (Buffer->Locked) {
        MmUnlockPages(Buffer->Mdl);
    }
    IoFreeMdl(Buffer->Mdl);
    ExFreePoolWithTag(Buffer->Va, SIM_TAG);
    RtlZeroMemory(Buffer, sizeof(*Buffer));
}

/* A partial MDL of the middle, mapped for a moment. */
static VOID
MdlPartial(PSIM_THREAD Thread, PMDL_BUFFER Buffer)
{
    ULONG First = SimRandom(Thread, (ULONG)Buffer->Size), Length = 1 + SimRandom(Thread, (ULONG)Buffer->Size - First);
    PMDL Part = IoAllocateMdl(Buffer->Va + First, Length, FALSE, FALSE, NULL);
    PUCHAR Mapped;

    if (Part == NULL) {
        SIM_REFUSED(Thread);
        return;
    }
    IoBuildPartialMdl(Buffer->Mdl, Part, Buffer->Va + First, Length);
    Mapped = MmGetSystemAddressForMdlSafe(Part, HighPagePriority | MdlMappingNoExecute);
    if (Mapped == NULL) {
        SIM_REFUSED(Thread);
    } else {
        for (ULONG Index = 0; Index < Length; Index += 1) {
            SIM_CHECK(Mapped[Index] == Buffer->Va[First + Index]);
        }
    }
    IoFreeMdl(Part);
}

static VOID
MdlAdvance(PSIM_THREAD Thread, PMDL_BUFFER Buffer)
{
    ULONG Priority = HighPagePriority | (SimRandom(Thread, 2) ? MdlMappingNoExecute : 0) |
                     (SimRandom(Thread, 4) ? 0 : MdlMappingWithGuardPtes);

    if (!Buffer->Locked) {
        if (SimRandom(Thread, 2)) {
            MiTrimRange(PAGE_ALIGN(Buffer->Va), ADDRESS_AND_SIZE_TO_SPAN_PAGES(Buffer->Va, Buffer->Size));
        }
        Buffer->Locked = NT_SUCCESS(MiProbeAndLockPages(Buffer->Mdl, KernelMode, IoWriteAccess));
        if (!Buffer->Locked) {
            SIM_REFUSED(Thread);
        }
    } else if (Buffer->Mapped == NULL) {
        Buffer->Mapped = MmMapLockedPagesSpecifyCache(Buffer->Mdl, KernelMode, MmCached, NULL, FALSE, Priority);
        if (Buffer->Mapped == NULL) {
            SIM_REFUSED(Thread);
        }
    } else if (SimRandom(Thread, 3) == 0) {
        MmUnmapLockedPages(Buffer->Mapped, Buffer->Mdl);
        Buffer->Mapped = NULL;
    } else {
        SIM_CHECK(SimIsPainted(Buffer->Mapped, Buffer->Size, Buffer->Pattern));
        Buffer->Pattern += 1;
        SimPaint(Buffer->Mapped, Buffer->Size, Buffer->Pattern);
    }
    if (Buffer->Locked && SimRandom(Thread, 3) == 0) {
        MdlPartial(Thread, Buffer);
    }
}

/*
 * The planted bug: a mapping whose frame goes back while the translation is still there, as if a flush were missing.
 */
static VOID
MdlForgetFlush(PSIM_THREAD Thread)
{
    PFN_NUMBER Frame = MiGetFrame(0, MM_ANY_NODE_OK, MiUseSystemPte);
    PVOID Va = Frame == MI_NO_FRAME ? NULL : MiReserveSystemVa(MiRegionSystemPtes, 1, 1);

    if (Va != NULL) {
        MiMapFrames(Va, 1, &Frame, MM_READWRITE, MmCached);
        *(volatile ULONG *)Va = 1;
        MiFreeFrame(Frame);
        MiUnmapRange(Va, 1, NULL);
        MiReleaseSystemVa(MiRegionSystemPtes, Va, 1);
    } else if (Frame != MI_NO_FRAME) {
        MiFreeFrame(Frame);
    }
}

static VOID
MdlStep(PSIM_THREAD Thread)
{
    PMDL_STATE State = SimState(Thread);
    PMDL_BUFFER Buffer = &State->Buffers[SimRandom(Thread, MDL_SLOTS)];

    if (SimHasBug(Thread, "flush") && SimRandom(Thread, 4) == 0) {
        MdlForgetFlush(Thread);
    }
    if (Buffer->Va == NULL) {
        MdlMake(Thread, Buffer);
    } else if (SimRandom(Thread, 5) == 0) {
        MdlRelease(Buffer);
    } else {
        MdlAdvance(Thread, Buffer);
    }
}

static VOID
MdlEnd(PSIM_THREAD Thread)
{
    PMDL_STATE State = SimState(Thread);

    for (ULONG Slot = 0; Slot < MDL_SLOTS; Slot += 1) {
        if (State->Buffers[Slot].Va != NULL) {
            MdlRelease(&State->Buffers[Slot]);
        }
    }
}

SIM_OPERATION("mdl", 18, sizeof(MDL_STATE), MdlStep, MdlEnd);

/* --- Pages without an address ----------------------------------------------------------------------- */

static VOID
PagesStep(PSIM_THREAD Thread)
{
    static const ULONG Kinds[] = {0, MM_ALLOCATE_FULLY_REQUIRED, MM_ALLOCATE_REQUIRE_CONTIGUOUS_CHUNKS,
                                  MM_DONT_ZERO_ALLOCATION};
    PHYSICAL_ADDRESS Low = {.QuadPart = 0}, High = {.QuadPart = MAXLONGLONG};
    ULONG Flags = Kinds[SimRandom(Thread, RTL_NUMBER_OF(Kinds))];
    PMDL Mdl = MmAllocatePagesForMdlEx(Low, High, Low, (SIZE_T)(1 + SimRandom(Thread, 60)) << PAGE_SHIFT, MmCached, Flags);
    PUCHAR Va;

    if (Mdl == NULL) {
        SIM_REFUSED(Thread);
        return;
    }
    Va = MmMapLockedPagesSpecifyCache(Mdl, KernelMode, MmCached, NULL, FALSE, HighPagePriority);
    if (Va == NULL) {
        SIM_REFUSED(Thread);
    } else {
        for (ULONG At = 0; !(Flags & MM_DONT_ZERO_ALLOCATION) && At < MmGetMdlByteCount(Mdl); At += PAGE_SIZE / 4) {
            SIM_CHECK(Va[At] == 0);
        }
        SimPaint(Va, MmGetMdlByteCount(Mdl), Thread->Step);
        SIM_CHECK(SimIsPainted(Va, MmGetMdlByteCount(Mdl), Thread->Step));
    }
    MmFreePagesFromMdl(Mdl);
    ExFreePool(Mdl);
}

SIM_OPERATION("pages", 6, 0, PagesStep, NULL);

/* --- Contiguous, noncached, independent -------------------------------------------------------------- */

#define CONTIGUOUS_SLOTS 4

typedef struct _CONTIGUOUS_STATE {
    struct {
        PUCHAR Va;
        SIZE_T Size;
        ULONG Kind;
    } Runs[CONTIGUOUS_SLOTS];
} CONTIGUOUS_STATE, *PCONTIGUOUS_STATE;

static PVOID
ContiguousAllocate(ULONG Kind, SIZE_T Size)
{
    PHYSICAL_ADDRESS High = {.QuadPart = MAXLONGLONG};

    switch (Kind) {
    case 0:
        return MmAllocateContiguousMemory(Size, High);
    case 1:
        return MmAllocateNonCachedMemory(Size);
    default:
        return MmAllocateIndependentPages(Size);
    }
}

static VOID
ContiguousFree(ULONG Kind, PVOID Va, SIZE_T Size, ULONG Pattern)
{
    SIM_CHECK(SimIsPainted(Va, Size, Pattern));
    switch (Kind) {
    case 0:
        MmFreeContiguousMemory(Va);
        break;
    case 1:
        MmFreeNonCachedMemory(Va, Size);
        break;
    default:
        MmFreeIndependentPages(Va, Size);
        break;
    }
}

static VOID
ContiguousStep(PSIM_THREAD Thread)
{
    PCONTIGUOUS_STATE State = SimState(Thread);
    ULONG Slot = SimRandom(Thread, CONTIGUOUS_SLOTS);

    if (State->Runs[Slot].Va != NULL) {
        ContiguousFree(State->Runs[Slot].Kind, State->Runs[Slot].Va, State->Runs[Slot].Size, Slot);
        State->Runs[Slot].Va = NULL;
        return;
    }
    State->Runs[Slot].Kind = SimRandom(Thread, 3);
    State->Runs[Slot].Size = (SIZE_T)(1 + SimRandom(Thread, 20)) << PAGE_SHIFT;
    State->Runs[Slot].Va = ContiguousAllocate(State->Runs[Slot].Kind, State->Runs[Slot].Size);
    if (State->Runs[Slot].Va == NULL) {
        SIM_REFUSED(Thread);
    } else {
        SimPaint(State->Runs[Slot].Va, State->Runs[Slot].Size, Slot);
    }
}

static VOID
ContiguousEnd(PSIM_THREAD Thread)
{
    PCONTIGUOUS_STATE State = SimState(Thread);

    for (ULONG Slot = 0; Slot < CONTIGUOUS_SLOTS; Slot += 1) {
        if (State->Runs[Slot].Va != NULL) {
            ContiguousFree(State->Runs[Slot].Kind, State->Runs[Slot].Va, State->Runs[Slot].Size, Slot);
        }
    }
}

SIM_OPERATION("contiguous", 6, sizeof(CONTIGUOUS_STATE), ContiguousStep, ContiguousEnd);

/* --- Addresses ------------------------------------------------------------------------------------ */

#define ADDRESS_SLOTS 8

typedef struct _ADDRESS_STATE {
    struct {
        PVOID Va;
        SIZE_T PageCount;
    } Ranges[ADDRESS_SLOTS];
} ADDRESS_STATE, *PADDRESS_STATE;

/* A reserved mapping address, used for a locked page. */
static VOID
AddressReserved(PSIM_THREAD Thread)
{
    PVOID Block = ExAllocatePool2(POOL_FLAG_NON_PAGED, 200, SIM_TAG);
    PMDL Mdl = Block == NULL ? NULL : IoAllocateMdl(Block, 200, FALSE, FALSE, NULL);
    PVOID Reserved = MmAllocateMappingAddress(3 * PAGE_SIZE, SIM_TAG), Va;

    if (Mdl != NULL && Reserved != NULL) {
        MmBuildMdlForNonPagedPool(Mdl);
        SimPaint(Block, 200, 3);
        Va = MmMapLockedPagesWithReservedMapping(Reserved, SIM_TAG, Mdl, MmCached);
        SIM_CHECK(Va != NULL && SimIsPainted(Va, 200, 3));
        MmUnmapReservedMapping(Va, SIM_TAG, Mdl);
    } else {
        SIM_REFUSED(Thread);
    }
    if (Reserved != NULL) {
        MmFreeMappingAddress(Reserved, SIM_TAG);
    }
    if (Mdl != NULL) {
        IoFreeMdl(Mdl);
    }
    if (Block != NULL) {
        ExFreePoolWithTag(Block, SIM_TAG);
    }
}

static VOID
AddressStep(PSIM_THREAD Thread)
{
    PADDRESS_STATE State = SimState(Thread);

    AddressReserved(Thread);
    for (ULONG Count = 1 + SimRandom(Thread, 6); Count != 0; Count -= 1) {
        ULONG Slot = SimRandom(Thread, ADDRESS_SLOTS);

        if (State->Ranges[Slot].Va != NULL) {
            MiReleaseSystemVa(MiRegionSystemPtes, State->Ranges[Slot].Va, State->Ranges[Slot].PageCount);
            State->Ranges[Slot].Va = NULL;
            continue;
        }
        State->Ranges[Slot].PageCount = 1 + SimRandom(Thread, SimRandom(Thread, 8) == 0 ? 2000 : 24);
        State->Ranges[Slot].Va = MiReserveSystemVa(MiRegionSystemPtes, State->Ranges[Slot].PageCount, 1);
        if (State->Ranges[Slot].Va == NULL) {
            SIM_REFUSED(Thread);
        }
    }
}

static VOID
AddressEnd(PSIM_THREAD Thread)
{
    PADDRESS_STATE State = SimState(Thread);

    for (ULONG Slot = 0; Slot < ADDRESS_SLOTS; Slot += 1) {
        if (State->Ranges[Slot].Va != NULL) {
            MiReleaseSystemVa(MiRegionSystemPtes, State->Ranges[Slot].Va, State->Ranges[Slot].PageCount);
        }
    }
}

SIM_OPERATION("address", 8, sizeof(ADDRESS_STATE), AddressStep, AddressEnd);
