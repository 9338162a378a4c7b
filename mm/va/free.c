/*
 * Decommitting and releasing: what NtFreeVirtualMemory does once its arguments are in the core and the process is known.
 *
 * A release may leave parts of a region standing in front of and behind what goes; what needs memory for that, a
 * second VAD or tables for entries that say "decommitted", is got first. Documents: "ZwFreeVirtualMemory", "VirtualFree".
 */
#include "va.h"

NTSTATUS
MiCheckFree(ULONG_PTR Base, SIZE_T Size, ULONG FreeType)
{
    ULONG_PTR End = MiHighestUserPage() << PAGE_SHIFT;

    if (FreeType != MEM_DECOMMIT && FreeType != MEM_RELEASE) {
        return STATUS_INVALID_PARAMETER_4;
    }
    if (Base >= End) {
        return STATUS_INVALID_PARAMETER_2;
    }
    return Size > End - Base ? STATUS_INVALID_PARAMETER_3 : STATUS_SUCCESS;
}

/* --- Decommitting ----------------------------------------------------------------------------- */

static NTSTATUS
MipDecommit(PMI_ADDRESS_SPACE Space, PMMVAD Vad, ULONG64 StartPage, ULONG64 EndPage)
{
    BOOLEAN Whole = StartPage == Vad->StartPage && EndPage == Vad->EndPage;
    SIZE_T Committed;

    if (Vad->Kind != MiVadPrivate) {
        return STATUS_UNABLE_TO_FREE_VM;
    }
    if (Vad->MemCommit && !Whole && !MiMakeUserTables(Space, StartPage, EndPage)) {
        MiTrimUserTables(Space, StartPage, EndPage);
        return STATUS_NO_MEMORY;
    }
    Committed = Whole ? Vad->CommitCharge : MiCountCommitted(Space, Vad, StartPage, EndPage);
    if (Whole && Vad->MemCommit) {
        MiLockVads(Space);
        Vad->MemCommit = FALSE;
        MiUnlockVads(Space);
    }
    MiDeleteUserRange(Space, Vad, StartPage, EndPage, TRUE);
    MiForgetWrites(Vad, StartPage, EndPage);
    Vad->CommitCharge -= Committed;
    MiReturnSpace(Space, Committed);
    if (Whole) {
        MiTrimUserTables(Space, StartPage, EndPage);
    }
    return STATUS_SUCCESS;
}

/* --- Releasing -------------------------------------------------------------------------------- */

/* The part of a region behind Page, as a region of its own; NULL without memory. It is in no set yet. */
static PMMVAD
MipMakeTail(const MMVAD *Vad, ULONG64 Page)
{
    PMMVAD Tail = MiAllocateVad((MI_VAD_KIND)Vad->Kind, Page, Vad->EndPage);

    if (Tail != NULL) {
        Tail->Protection = Vad->Protection;
        Tail->CacheModifier = Vad->CacheModifier;
        Tail->MemCommit = Vad->MemCommit;
        Tail->FromPlaceholder = Vad->FromPlaceholder;
        Tail->AllocationProtect = Vad->AllocationProtect;
        Tail->Watch = Vad->Watch;
        if (Tail->Watch != NULL) {
            __atomic_fetch_add(&Tail->Watch->References, 1, __ATOMIC_RELAXED);
        }
    }
    return Tail;
}

/* Secured parts go with the pages they are of; none reaches over the cut. */
static VOID
MipMoveSecured(PMMVAD Vad, PMMVAD Tail)
{
    PMI_SECURE *Link = &Vad->Secured;

    while (*Link != NULL) {
        PMI_SECURE Secure = *Link;

        if (Secure->StartPage < Tail->StartPage) {
            Link = &Secure->Next;
            continue;
        }
        *Link = Secure->Next;
        Secure->Next = Tail->Secured;
        Secure->Vad = Tail;
        Tail->Secured = Secure;
    }
}

/* The region keeps what is before StartPage, the tail (or NULL) what is from EndPage on. */
static VOID
MipCutRegion(PMI_ADDRESS_SPACE Space, PMMVAD Vad, PMMVAD Tail, ULONG64 StartPage, ULONG64 EndPage)
{
    BOOLEAN Head = StartPage == Vad->StartPage;

    Space->VirtualPages -= EndPage - StartPage;
    if (Tail != NULL) {
        Tail->CommitCharge = MiCountCommitted(Space, Vad, Tail->StartPage, Tail->EndPage);
        Vad->CommitCharge -= Tail->CommitCharge;
        Space->Watched += Tail->Watch != NULL;
        MipMoveSecured(Vad, Tail);
    }
    MiLockVads(Space);
    if (Head) {
        MiResizeVad(Space, Vad, EndPage, Vad->EndPage);
    } else {
        MiResizeVad(Space, Vad, Vad->StartPage, StartPage);
    }
    if (Tail != NULL) {
        MiInsertVad(Space, Tail);
    }
    MiUnlockVads(Space);
}

static NTSTATUS
MipReleasePart(PMI_ADDRESS_SPACE Space, PMMVAD Vad, ULONG64 StartPage, ULONG64 EndPage)
{
    SIZE_T Committed = MiCountCommitted(Space, Vad, StartPage, EndPage);
    PMMVAD Tail = NULL;

    if (StartPage != Vad->StartPage && EndPage != Vad->EndPage) {
        Tail = MipMakeTail(Vad, EndPage);
        if (Tail == NULL) {
            return STATUS_INSUFFICIENT_RESOURCES;
        }
    }
    MipCutRegion(Space, Vad, Tail, StartPage, EndPage);
    MiDeleteUserRange(Space, Vad, StartPage, EndPage, FALSE);
    Vad->CommitCharge -= Committed;
    MiReturnSpace(Space, Committed);
    MiTrimUserTables(Space, StartPage, EndPage);
    return STATUS_SUCCESS;
}

static NTSTATUS
MipRelease(PMI_ADDRESS_SPACE Space, PMMVAD Vad, ULONG64 StartPage, ULONG64 EndPage)
{
    if (Vad->Kind != MiVadPrivate) {
        return STATUS_UNABLE_TO_FREE_VM;
    }
    if (StartPage != Vad->StartPage || EndPage != Vad->EndPage) {
        return MipReleasePart(Space, Vad, StartPage, EndPage);
    }
    MiLeaveVad(Space, Vad);
    MiDeleteUserRange(Space, Vad, StartPage, EndPage, FALSE);
    MiReturnSpace(Space, Vad->CommitCharge);
    MiTrimUserTables(Space, StartPage, EndPage);
    MiFreeVad(Vad);
    return STATUS_SUCCESS;
}

/* --- Which pages ------------------------------------------------------------------------------ */

/* The pages meant, or why they cannot be. */
static NTSTATUS
MipChooseRange(PMMVAD Vad, ULONG_PTR Base, SIZE_T Size, ULONG64 *StartPage, ULONG64 *EndPage)
{
    *StartPage = Base >> PAGE_SHIFT;
    *EndPage = (Base + Size + PAGE_SIZE - 1) >> PAGE_SHIFT;
    switch (Vad->Kind) {
    case MiVadHole:
    case MiVadSharedData:
        return STATUS_INVALID_PAGE_PROTECTION;
    case MiVadMapping:
        return STATUS_UNABLE_TO_DELETE_SECTION;
    default:
        break;
    }
    if (Size == 0) {
        if (*StartPage != Vad->StartPage) {
            return STATUS_FREE_VM_NOT_AT_BASE;
        }
        *EndPage = Vad->EndPage;
    }
    if (*EndPage > Vad->EndPage) {
        return STATUS_UNABLE_TO_FREE_VM;
    }
    return MiMayFree(Vad, *StartPage, *EndPage) ? STATUS_SUCCESS : STATUS_INVALID_PAGE_PROTECTION;
}

NTSTATUS
MiFreeVirtual(PMI_ADDRESS_SPACE Space, PULONG_PTR Base, PSIZE_T Size, ULONG FreeType)
{
    NTSTATUS Status = MiLockLiveSpace(Space);
    ULONG64 StartPage, EndPage;
    PMMVAD Vad;

    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Vad = MiFindVad(Space, *Base >> PAGE_SHIFT);
    if (Vad == NULL) {
        Status = STATUS_MEMORY_NOT_ALLOCATED;
        goto Unlock;
    }
    Status = MipChooseRange(Vad, *Base, *Size, &StartPage, &EndPage);
    if (!NT_SUCCESS(Status)) {
        goto Unlock;
    }
    Status = FreeType == MEM_DECOMMIT ? MipDecommit(Space, Vad, StartPage, EndPage)
                                      : MipRelease(Space, Vad, StartPage, EndPage);
    if (NT_SUCCESS(Status)) {
        *Base = StartPage << PAGE_SHIFT;
        *Size = (EndPage - StartPage) << PAGE_SHIFT;
    }

Unlock:
    MiUnlockCreate(Space);
    return Status;
}
