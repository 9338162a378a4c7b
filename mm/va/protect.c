/*
 * Other rights for committed pages: what NtProtectVirtualMemory does once its arguments are in the core and the process
 * is known. All checks come first; only tables can be missing then, for pages never touched that must get entries
 * because their rights differ from the region's. Documents: "VirtualProtect", ZwProtectVirtualMemory.
 */
#include "va.h"

NTSTATUS
MiCheckProtect(ULONG_PTR Base, SIZE_T Size, ULONG Protect)
{
    ULONG_PTR End = MiHighestUserPage() << PAGE_SHIFT;
    MI_PROTECTION Protection;

    if (!MiProtectionFromPage(Protect, &Protection)) {
        return STATUS_INVALID_PAGE_PROTECTION;
    }
    if (Base >= End) {
        return STATUS_INVALID_PARAMETER_2;
    }
    return Size == 0 || Size > End - Base ? STATUS_INVALID_PARAMETER_3 : STATUS_SUCCESS;
}

/* The rights of a committed page. */
static MI_PROTECTION
MipPageProtection(PMI_ADDRESS_SPACE Space, const MMVAD *Vad, ULONG64 Page)
{
    MI_WALK Walk;

    MiWalk(Space->RootFrame, Page << PAGE_SHIFT, &Walk);
    if (Walk.Level != MiLevelPte) {
        return Vad->Protection;
    }
    return MiUserPteProtection(Vad, Walk.Pte, MiReadPte(Walk.Pte));
}

/* May the pages of the region get this protection? Refines it to the region's cache type. */
static NTSTATUS
MipCheckRegion(PMI_ADDRESS_SPACE Space, const MMVAD *Vad, ULONG64 StartPage, ULONG64 EndPage,
               MI_PROTECTION *Protection)
{
    if (Vad == NULL || EndPage > Vad->EndPage) {
        return STATUS_CONFLICTING_ADDRESSES;
    }
    if (Vad->Kind == MiVadHole || Vad->Kind == MiVadSharedData || Vad->Kind == MiVadMapping) {
        return STATUS_INVALID_PAGE_PROTECTION;
    }
    if (MiProtectionIsWriteCopy(*Protection)) {
        return STATUS_INVALID_PAGE_PROTECTION;
    }
    if (MiCountCommitted(Space, Vad, StartPage, EndPage) != EndPage - StartPage) {
        return STATUS_NOT_COMMITTED;
    }
    *Protection = MiRegionProtection(Vad, *Protection);
    return MiMayProtect(Vad, StartPage, EndPage, *Protection) ? STATUS_SUCCESS : STATUS_INVALID_PAGE_PROTECTION;
}

static NTSTATUS
MipProtectLocked(PMI_ADDRESS_SPACE Space, PMMVAD Vad, ULONG64 StartPage, ULONG64 EndPage, MI_PROTECTION Protection)
{
    BOOLEAN Whole = StartPage == Vad->StartPage && EndPage == Vad->EndPage;
    BOOLEAN KeepZero = Whole || !Vad->MemCommit || Protection == Vad->Protection;

    if (!KeepZero && !MiMakeUserTables(Space, StartPage, EndPage)) {
        MiTrimUserTables(Space, StartPage, EndPage);
        return STATUS_NO_MEMORY;
    }
    if (Whole) {
        MiLockVads(Space);
        Vad->Protection = (UCHAR)Protection;
        MiUnlockVads(Space);
    }
    MiProtectUserRange(Space, Vad, StartPage, EndPage, Protection, KeepZero);
    return STATUS_SUCCESS;
}

NTSTATUS
MiProtectVirtual(PMI_ADDRESS_SPACE Space, PULONG_PTR Base, PSIZE_T Size, ULONG Protect, PULONG OldProtect)
{
    ULONG64 StartPage = *Base >> PAGE_SHIFT, EndPage = (*Base + *Size + PAGE_SIZE - 1) >> PAGE_SHIFT;
    NTSTATUS Status = MiLockLiveSpace(Space);
    MI_PROTECTION Protection = MM_NOACCESS, Old;
    PMMVAD Vad;

    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    MiProtectionFromPage(Protect, &Protection);
    Vad = MiFindVad(Space, StartPage);
    Status = MipCheckRegion(Space, Vad, StartPage, EndPage, &Protection);
    if (!NT_SUCCESS(Status)) {
        goto Unlock;
    }
    Old = MipPageProtection(Space, Vad, StartPage);
    Status = MipProtectLocked(Space, Vad, StartPage, EndPage, Protection);
    if (NT_SUCCESS(Status)) {
        *Base = StartPage << PAGE_SHIFT;
        *Size = (EndPage - StartPage) << PAGE_SHIFT;
        *OldProtect = MiPageFromProtection(Old);
    }

Unlock:
    MiUnlockCreate(Space);
    return Status;
}
