/*
 * MmSecureVirtualMemory: a promise to a driver that part of a region keeps its rights and its place.
 *
 * A secured part is a record in the list of its region, which services ask before they free or protect (space.c), and in
 * the list of its address space, where a handle is looked up without trusting it. The end of the process takes them all.
 * Create lock exclusive. <= APC_LEVEL. Documents: "MmSecureVirtualMemory", "MmSecureVirtualMemoryEx", "Bug Check 0x1A".
 */
#include "va.h"
#include <ntexport.h>

#define MI_SECURE_TAG   'eSmM' /* "MmSe" */
#define MI_SECURE_FLAGS (MM_SECURE_EXCLUSIVE | MM_SECURE_NO_CHANGE | MM_SECURE_USER_MODE_ONLY | MM_SECURE_NO_INHERIT)

/* Is every page of the range committed and usable like that now? */
static BOOLEAN
MipRangeAllows(PMI_ADDRESS_SPACE Space, const MMVAD *Vad, ULONG64 StartPage, ULONG64 EndPage, BOOLEAN Write)
{
    for (ULONG64 Page = StartPage; Page < EndPage; Page += 1) {
        MMPTE Value = MiMakeZeroPte();
        MI_PROTECTION Protection = Vad->Protection;
        MI_WALK Walk;

        MiWalk(Space->RootFrame, Page << PAGE_SHIFT, &Walk);
        if (Walk.Level == MiLevelPte) {
            Value = MiReadPte(Walk.Pte);
            Protection = MiUserPteProtection(Vad, Walk.Pte, Value);
        }
        if (!MiUserPteIsCommitted(Vad, Value) || MiProtectionIsNoAccess(Protection) ||
            MiProtectionIsGuard(Protection) || (Write && !MiProtectionAllowsWrite(Protection))) {
            return FALSE;
        }
    }
    return TRUE;
}

static BOOLEAN
MipMaySecure(PMI_ADDRESS_SPACE Space, const MMVAD *Vad, const MI_SECURE *Secure)
{
    if (Vad == NULL || Secure->EndPage > Vad->EndPage || Vad->Kind != MiVadPrivate) {
        return FALSE;
    }
    if ((Secure->Flags & MM_SECURE_EXCLUSIVE) != 0 && Vad->Secured != NULL) {
        return FALSE;
    }
    return MipRangeAllows(Space, Vad, Secure->StartPage, Secure->EndPage, Secure->Write);
}

static PMI_SECURE
MipSecure(PMI_ADDRESS_SPACE Space, ULONG_PTR Address, SIZE_T Size, ULONG ProbeMode, ULONG Flags)
{
    PMI_SECURE Secure = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(MI_SECURE), MI_SECURE_TAG);
    BOOLEAN Secured = FALSE;

    if (Secure == NULL) {
        return NULL;
    }
    Secure->StartPage = Address >> PAGE_SHIFT;
    Secure->EndPage = (Address + Size + PAGE_SIZE - 1) >> PAGE_SHIFT;
    Secure->Write = ProbeMode == PAGE_READWRITE;
    Secure->Flags = Flags;
    if (NT_SUCCESS(MiLockLiveSpace(Space))) {
        PMMVAD Vad = MiFindVad(Space, Secure->StartPage);

        Secured = MipMaySecure(Space, Vad, Secure);
        if (Secured) {
            Secure->Vad = Vad;
            Secure->Next = Vad->Secured;
            Vad->Secured = Secure;
            InsertTailList(&Space->Secured, &Secure->Links);
        }
        MiUnlockCreate(Space);
    }
    if (!Secured) {
        ExFreePool(Secure);
        return NULL;
    }
    return Secure;
}

/*
 * Keep [Address, Address + Size) of the current process from being freed, and from losing what ProbeMode wants,
 * PAGE_READONLY or PAGE_READWRITE. A handle for MmUnsecureVirtualMemory, NULL if the pages are not like that now, in one
 * region of private memory, or memory is short. Flags: MM_SECURE_EXCLUSIVE (nothing else of the region is secured),
 * NO_CHANGE (no other protection at all), USER_MODE_ONLY (callers in kernel mode may change it), NO_INHERIT.
 */
HANDLE NTAPI
MmSecureVirtualMemoryEx(PVOID Address, SIZE_T Size, ULONG ProbeMode, ULONG Flags)
{
    PMI_ADDRESS_SPACE Space = MiCurrentSpace();
    ULONG_PTR End = (ULONG_PTR)Address + Size;

    if (Space == NULL || Size == 0 || End < (ULONG_PTR)Address || End > MmUserProbeAddress ||
        (ProbeMode != PAGE_READONLY && ProbeMode != PAGE_READWRITE) || (Flags & ~(ULONG)MI_SECURE_FLAGS) != 0) {
        return NULL;
    }
    return MipSecure(Space, (ULONG_PTR)Address, Size, ProbeMode, Flags);
}
NTEXPORT(MmSecureVirtualMemoryEx);

HANDLE NTAPI
MmSecureVirtualMemory(PVOID Address, SIZE_T Size, ULONG ProbeMode)
{
    return MmSecureVirtualMemoryEx(Address, Size, ProbeMode, 0);
}
NTEXPORT(MmSecureVirtualMemory);

static BOOLEAN
MipIsSecured(PMI_ADDRESS_SPACE Space, const VOID *Handle)
{
    for (PLIST_ENTRY Entry = Space->Secured.Flink; Entry != &Space->Secured; Entry = Entry->Flink) {
        if (CONTAINING_RECORD(Entry, MI_SECURE, Links) == Handle) {
            return TRUE;
        }
    }
    return FALSE;
}

/* Undo it, in the same process. A handle that is none of it is bug check 0x1A/0x15000. */
VOID NTAPI
MmUnsecureVirtualMemory(HANDLE SecureHandle)
{
    PMI_ADDRESS_SPACE Space = MiCurrentSpace();
    PMI_SECURE Secure = SecureHandle, *Link;

    MiLockCreate(Space);
    if (!MipIsSecured(Space, Secure)) {
        MiUnlockCreate(Space);
        KeBugCheckEx(MEMORY_MANAGEMENT, 0x15000, (ULONG_PTR)SecureHandle, (ULONG_PTR)Space->Process, 0);
    }
    for (Link = &Secure->Vad->Secured; *Link != Secure; Link = &(*Link)->Next) {
    }
    *Link = Secure->Next;
    RemoveEntryList(&Secure->Links);
    MiUnlockCreate(Space);
    ExFreePool(Secure);
}
NTEXPORT(MmUnsecureVirtualMemory);
