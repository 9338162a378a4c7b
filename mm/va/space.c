/*
 * What services on an address space share: its locks as a gate, commit, and regions as they come and go.
 *
 * Commit is promised to the process and by the system in one step; the process's part is exact to the page and
 * changes under the Create lock. Nothing here blocks but on the locks.
 */
#include "va.h"
#include <ke/user.h>
#include <mm/pool/pool.h>

#define MI_VAD_TAG ' daV' /* "Vad " */

NTSTATUS
MiLockLiveSpace(PMI_ADDRESS_SPACE Space)
{
    MiLockCreate(Space);
    if (Space->State != MiSpaceLive) {
        MiUnlockCreate(Space);
        return STATUS_PROCESS_IS_TERMINATING;
    }
    return STATUS_SUCCESS;
}

/* --- Commit ----------------------------------------------------------------------------------- */

NTSTATUS
MiChargeSpace(PMI_ADDRESS_SPACE Space, SIZE_T PageCount)
{
    if (PageCount > Space->CommitLimit || Space->CommitCharge > Space->CommitLimit - PageCount) {
        return STATUS_PAGEFILE_QUOTA_EXCEEDED;
    }
    if (PageCount != 0 && !MiChargeCommit(PageCount)) {
        return STATUS_COMMITMENT_LIMIT;
    }
    Space->CommitCharge += PageCount;
    Space->PeakCommit = MAX(Space->PeakCommit, Space->CommitCharge);
    return STATUS_SUCCESS;
}

VOID
MiReturnSpace(PMI_ADDRESS_SPACE Space, SIZE_T PageCount)
{
    MI_ASSERT(Space->CommitCharge >= PageCount);
    Space->CommitCharge -= PageCount;
    if (PageCount != 0) {
        MiReturnCommit(PageCount);
    }
}

/* --- Regions ---------------------------------------------------------------------------------- */

PMMVAD
MiAllocateVad(MI_VAD_KIND Kind, ULONG64 StartPage, ULONG64 EndPage)
{
    PMMVAD Vad = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(MMVAD), MI_VAD_TAG);

    if (Vad != NULL) {
        Vad->Kind = (UCHAR)Kind;
        Vad->StartPage = StartPage;
        Vad->EndPage = EndPage;
    }
    return Vad;
}

VOID
MiFreeVad(PMMVAD Vad)
{
    if (Vad->Watch != NULL && __atomic_sub_fetch(&Vad->Watch->References, 1, __ATOMIC_ACQ_REL) == 0) {
        ExFreePool(Vad->Watch);
    }
    while (Vad->Secured != NULL) {
        PMI_SECURE Secure = Vad->Secured;

        Vad->Secured = Secure->Next;
        RemoveEntryList(&Secure->Links);
        ExFreePool(Secure);
    }
    ExFreePool(Vad);
}

/* The machine's own parts of the range are not the process's. */
static BOOLEAN
MipCountsAsVirtual(const MMVAD *Vad)
{
    return Vad->Kind != MiVadHole && Vad->Kind != MiVadSharedData;
}

VOID
MiEnterVad(PMI_ADDRESS_SPACE Space, PMMVAD Vad)
{
    if (MipCountsAsVirtual(Vad)) {
        Space->VirtualPages += Vad->EndPage - Vad->StartPage;
        Space->PeakVirtualPages = MAX(Space->PeakVirtualPages, Space->VirtualPages);
    }
    Space->Watched += Vad->Watch != NULL;
    MiLockVads(Space);
    MiInsertVad(Space, Vad);
    MiUnlockVads(Space);
}

VOID
MiLeaveVad(PMI_ADDRESS_SPACE Space, PMMVAD Vad)
{
    if (MipCountsAsVirtual(Vad)) {
        Space->VirtualPages -= Vad->EndPage - Vad->StartPage;
    }
    Space->Watched -= Vad->Watch != NULL;
    MiLockVads(Space);
    MiRemoveVad(Space, Vad);
    MiUnlockVads(Space);
}

/* --- Secured parts ---------------------------------------------------------------------------- */

static inline BOOLEAN
MipOverlaps(const MI_SECURE *Secure, ULONG64 StartPage, ULONG64 EndPage)
{
    return Secure->StartPage < EndPage && StartPage < Secure->EndPage;
}

/* Does it bind whoever asks? */
static inline BOOLEAN
MipBinds(const MI_SECURE *Secure)
{
    return (Secure->Flags & MM_SECURE_USER_MODE_ONLY) == 0 || KiPreviousMode() != KernelMode;
}

BOOLEAN
MiMayFree(const MMVAD *Vad, ULONG64 StartPage, ULONG64 EndPage)
{
    for (const MI_SECURE *Secure = Vad->Secured; Secure != NULL; Secure = Secure->Next) {
        if (MipOverlaps(Secure, StartPage, EndPage) && MipBinds(Secure)) {
            return FALSE;
        }
    }
    return TRUE;
}

BOOLEAN
MiMayProtect(const MMVAD *Vad, ULONG64 StartPage, ULONG64 EndPage, MI_PROTECTION Protection)
{
    BOOLEAN Usable = !MiProtectionIsNoAccess(Protection) && !MiProtectionIsGuard(Protection);

    for (const MI_SECURE *Secure = Vad->Secured; Secure != NULL; Secure = Secure->Next) {
        if (MipOverlaps(Secure, StartPage, EndPage) && MipBinds(Secure) &&
            ((Secure->Flags & MM_SECURE_NO_CHANGE) != 0 || !Usable || (Secure->Write && !MiProtectionAllowsWrite(Protection)))) {
            return FALSE;
        }
    }
    return TRUE;
}
