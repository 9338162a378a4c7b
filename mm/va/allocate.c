/*
 * Reserving and committing addresses: what NtAllocateVirtualMemory does once its arguments are in the core and
 * the process is known.
 *
 * Prepare: the region, its place, the charge, tables for entries that must be written. Commit: the region enters the set, or
 * entries change. What is reserved and committed at once, or committed as a whole, needs no entries at all (va.h).
 * Documents: "ZwAllocateVirtualMemory", "VirtualAlloc".
 */
#include "va.h"

#define MI_ALLOCATE_TYPES (MEM_COMMIT | MEM_RESERVE | MEM_TOP_DOWN | MEM_WRITE_WATCH)

static inline ULONG64
MipPageUp(ULONG_PTR Address)
{
    return (Address >> PAGE_SHIFT) + ((Address & (PAGE_SIZE - 1)) != 0);
}

NTSTATUS
MiCheckAllocateType(const MI_ALLOCATE *Request)
{
    MI_PROTECTION Protection;

    if ((Request->Type & ~MI_ALLOCATE_TYPES) != 0 || (Request->Type & (MEM_COMMIT | MEM_RESERVE)) == 0) {
        return STATUS_INVALID_PARAMETER_5;
    }
    if ((Request->Type & MEM_WRITE_WATCH) != 0 && (Request->Type & MEM_RESERVE) == 0) {
        return STATUS_INVALID_PARAMETER_5;
    }
    if (!MiProtectionFromPage(Request->Protect, &Protection) || MiProtectionIsWriteCopy(Protection)) {
        return STATUS_INVALID_PAGE_PROTECTION;
    }
    return STATUS_SUCCESS;
}

NTSTATUS
MiCheckAllocateRange(const MI_ALLOCATE *Request)
{
    ULONG_PTR End = MiHighestUserPage() << PAGE_SHIFT;

    if (Request->Base >= End || (Request->Base != 0 && Request->Base < MI_LOWEST_USER)) {
        return STATUS_INVALID_PARAMETER_2;
    }
    if (Request->Size == 0 || Request->Size > End - Request->Base) {
        return STATUS_INVALID_PARAMETER_4;
    }
    return STATUS_SUCCESS;
}

/* --- Places ----------------------------------------------------------------------------------- */

/* Where the system chooses. */
static ULONG64
MipChoosePlace(PMI_ADDRESS_SPACE Space, const MI_ALLOCATE *Request, ULONG64 PageCount)
{
    MI_PLACE Place = {.PageCount = PageCount,
                      .Align = MAX(Request->Align >> PAGE_SHIFT, MI_SLOT_PAGES),
                      .Lowest = MAX(Request->Lowest, MI_LOWEST_USER) >> PAGE_SHIFT,
                      .Highest = MiHighestUserPage()};
    MI_PLACE Random;
    ULONG64 Page;

    if (Request->Highest != 0) {
        Place.Highest = MIN(Place.Highest, Request->Highest >> PAGE_SHIFT);
    }
    Random = Place;
    if ((Request->Type & MEM_TOP_DOWN) != 0) {
        Random.Highest = MIN(Place.Highest, Space->TopDown);
        Page = MiFindPlaceDown(Space, &Random);
        return Page != MI_NO_PAGE ? Page : MiFindPlaceDown(Space, &Place);
    }
    Random.Lowest = MAX(Place.Lowest, Space->BottomUp);
    Page = MiFindPlaceUp(Space, &Random);
    return Page != MI_NO_PAGE ? Page : MiFindPlaceUp(Space, &Place);
}

static NTSTATUS
MipPlaceRegion(PMI_ADDRESS_SPACE Space, const MI_ALLOCATE *Request, PMMVAD Vad)
{
    if (Request->Base == 0) {
        ULONG64 PageCount = MipPageUp(Request->Size);

        Vad->StartPage = MipChoosePlace(Space, Request, PageCount);
        Vad->EndPage = Vad->StartPage + PageCount;
        return Vad->StartPage == MI_NO_PAGE ? STATUS_NO_MEMORY : STATUS_SUCCESS;
    }
    Vad->StartPage = (Request->Base >> PAGE_SHIFT) & ~(MI_SLOT_PAGES - 1);
    Vad->EndPage = MipPageUp(Request->Base + Request->Size);
    if (Request->Highest != 0 && Vad->EndPage << PAGE_SHIFT > Request->Highest) {
        return STATUS_INVALID_PARAMETER_3;
    }
    return MiPlaceIsFree(Space, Vad->StartPage, Vad->EndPage) ? STATUS_SUCCESS : STATUS_CONFLICTING_ADDRESSES;
}

/* --- Reserving -------------------------------------------------------------------------------- */

static VOID
MipDescribeRegion(PMMVAD Vad, const MI_ALLOCATE *Request, MI_PROTECTION Protection)
{
    Vad->AllocationProtect = Request->Protect;
    Vad->Protection = (UCHAR)Protection;
    if (!MiProtectionIsGuard(Protection) && !MiProtectionIsNoAccess(Protection)) {
        Vad->CacheModifier = (UCHAR)(Protection & MM_MODIFIER_MASK);
    }
}

static NTSTATUS
MipReserve(PMI_ADDRESS_SPACE Space, PMI_ALLOCATE Request, MI_PROTECTION Protection)
{
    PMMVAD Vad = MiAllocateVad(MiVadPrivate, 0, 0);
    NTSTATUS Status;

    if (Vad == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    MipDescribeRegion(Vad, Request, Protection);
    Status = MiLockLiveSpace(Space);
    if (!NT_SUCCESS(Status)) {
        goto Free;
    }
    Status = MipPlaceRegion(Space, Request, Vad);
    if (!NT_SUCCESS(Status)) {
        goto Unlock;
    }
    if ((Request->Type & MEM_WRITE_WATCH) != 0) {
        Vad->Watch = MiAllocateWatch(Vad->StartPage, Vad->EndPage - Vad->StartPage);
        if (Vad->Watch == NULL) {
            Status = STATUS_INSUFFICIENT_RESOURCES;
            goto Unlock;
        }
    }
    if ((Request->Type & MEM_COMMIT) != 0) {
        SIZE_T Pages = Vad->EndPage - Vad->StartPage;

        Status = MiChargeSpace(Space, Pages);
        if (!NT_SUCCESS(Status)) {
            goto Unlock;
        }
        Vad->MemCommit = TRUE;
        Vad->CommitCharge = Pages;
    }
    Request->Base = Vad->StartPage << PAGE_SHIFT;
    Request->Size = (Vad->EndPage - Vad->StartPage) << PAGE_SHIFT;
    MiEnterVad(Space, Vad);
    MiUnlockCreate(Space);
    return STATUS_SUCCESS;

Unlock:
    MiUnlockCreate(Space);
Free:
    MiFreeVad(Vad);
    return Status;
}

/* --- Committing ------------------------------------------------------------------------------- */

/* All of a region none of which is committed: its entries are zero, and stay so. */
static VOID
MipCommitWhole(PMI_ADDRESS_SPACE Space, PMMVAD Vad, MI_PROTECTION Protection)
{
    MiLockVads(Space);
    Vad->Protection = (UCHAR)Protection;
    Vad->MemCommit = TRUE;
    MiUnlockVads(Space);
}

static NTSTATUS
MipCommitLocked(PMI_ADDRESS_SPACE Space, PMMVAD Vad, ULONG64 StartPage, ULONG64 EndPage, MI_PROTECTION Protection)
{
    BOOLEAN Whole = Vad->CommitCharge == 0 && StartPage == Vad->StartPage && EndPage == Vad->EndPage;
    BOOLEAN KeepZero = Vad->MemCommit && Protection == Vad->Protection;
    SIZE_T Charge = EndPage - StartPage - MiCountCommitted(Space, Vad, StartPage, EndPage);
    NTSTATUS Status = MiChargeSpace(Space, Charge);

    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    if (!Whole && !KeepZero && !MiMakeUserTables(Space, StartPage, EndPage)) {
        MiReturnSpace(Space, Charge);
        MiTrimUserTables(Space, StartPage, EndPage);
        return STATUS_NO_MEMORY;
    }
    Vad->CommitCharge += Charge;
    if (Whole && !Vad->MemCommit) {
        MipCommitWhole(Space, Vad, Protection);
    } else {
        MiProtectUserRange(Space, Vad, StartPage, EndPage, Protection, KeepZero);
    }
    return STATUS_SUCCESS;
}

static NTSTATUS
MipCommit(PMI_ADDRESS_SPACE Space, PMI_ALLOCATE Request, MI_PROTECTION Protection)
{
    ULONG64 StartPage = Request->Base >> PAGE_SHIFT;
    ULONG64 EndPage = MipPageUp(Request->Base + Request->Size);
    NTSTATUS Status = MiLockLiveSpace(Space);
    PMMVAD Vad;

    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Vad = MiFindVad(Space, StartPage);
    if (Vad == NULL || EndPage > Vad->EndPage || Vad->Kind != MiVadPrivate) {
        Status = STATUS_CONFLICTING_ADDRESSES;
        goto Unlock;
    }
    Protection = MiRegionProtection(Vad, Protection);
    if (!MiMayProtect(Vad, StartPage, EndPage, Protection)) {
        Status = STATUS_INVALID_PAGE_PROTECTION;
        goto Unlock;
    }
    Status = MipCommitLocked(Space, Vad, StartPage, EndPage, Protection);
    if (NT_SUCCESS(Status)) {
        Request->Base = StartPage << PAGE_SHIFT;
        Request->Size = (EndPage - StartPage) << PAGE_SHIFT;
    }

Unlock:
    MiUnlockCreate(Space);
    return Status;
}

NTSTATUS
MiAllocateVirtual(PMI_ADDRESS_SPACE Space, PMI_ALLOCATE Request)
{
    MI_PROTECTION Protection = MM_NOACCESS;

    MiProtectionFromPage(Request->Protect, &Protection);
    if ((Request->Type & MEM_RESERVE) != 0 || Request->Base == 0) {
        return MipReserve(Space, Request, Protection);
    }
    return MipCommit(Space, Request, Protection);
}
