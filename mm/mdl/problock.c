/*
 * Locking the pages of a buffer and unlocking them.
 *
 * A lock is one reference on each page's frame. It is taken while the page's entry is valid and its table
 * locked, so that the frame cannot change in between; a page that is not there is faulted in first, without
 * any lock, and looked at again. The reference keeps the frame, and trimming leaves referenced pages where
 * they are, so the address stays valid too. A page of pageable memory is charged to resident available as
 * long as it is locked; nonpageable memory paid when it was made.
 *
 * Prepare: the tracker's record, then page by page fault and reference; a failure gives all references back.
 * Commit: flags and record. Raises only when nothing is held. <= APC_LEVEL for pageable buffers, else
 * DISPATCH_LEVEL. Documents: MmProbeAndLockPages, MmUnlockPages.
 */
#include "mdlp.h"
#include <ke/user.h>
#include <mm/va/va.h>

#define MI_ERROR_PRESENT 0x1u
#define MI_ERROR_WRITE   0x2u

/* What one look at an entry found. */
typedef enum _MI_LOCK_LOOK { MiLookLocked, MiLookFault, MiLookFull, MiLookNoCharge } MI_LOCK_LOOK;

/* The page of a valid entry whose table is locked, or of a large one that its owner keeps. */
static MI_LOCK_LOOK
MipReferenceMapped(const MI_WALK *Walk, ULONG_PTR Va, BOOLEAN TableLocked, PMI_PAGE_LOCK Lock)
{
    Lock->Frame = MiWalkFrame(Walk, Va);
    Lock->Ram = MiIsRamFrame(Lock->Frame);
    Lock->Pageable = TableLocked && MiFrameOwnsPte(Lock->Frame, Walk->Pte);
    if (!Lock->Ram) {
        return MiLookLocked;
    }
    if (Lock->Pageable && !MiChargeResidentAvailable(1)) {
        return MiLookNoCharge;
    }
    if (MiReferenceFrame(Lock->Frame)) {
        return MiLookLocked;
    }
    if (Lock->Pageable) {
        MiReturnResidentAvailable(1);
    }
    return MiLookFull;
}

static MI_LOCK_LOOK
MipLookAtPage(ULONG_PTR Va, BOOLEAN Write, PULONG ErrorCode, PMI_PAGE_LOCK Lock)
{
    KIRQL OldIrql = KiRaiseIrqlToDispatch();
    MI_LOCK_LOOK Look = MiLookFault;
    MI_WALK Walk;
    BOOLEAN TableLocked = MiLockPte(MiRootOf(Va), Va, &Walk);

    *ErrorCode = (Write ? MI_ERROR_WRITE : 0) | (MiPteIsValid(Walk.Value) ? MI_ERROR_PRESENT : 0);
    if (MiPteIsValid(Walk.Value) && (!Write || MiPteIsWritable(Walk.Value))) {
        Look = MipReferenceMapped(&Walk, Va, TableLocked, Lock);
    }
    if (TableLocked) {
        MiUnlockPte(&Walk);
    }
    KiLowerIrql(OldIrql);
    return Look;
}

/* Bring the page in, or find out why it cannot be touched like that. */
static NTSTATUS
MipFaultPage(ULONG_PTR Va, ULONG ErrorCode, BOOLEAN NoFault)
{
    NTSTATUS Status;

    if (HalGetIrql() >= DISPATCH_LEVEL) {
        if (!NoFault) {
            KeBugCheckEx(IRQL_NOT_LESS_OR_EQUAL, Va, HalGetIrql(), (ErrorCode & MI_ERROR_WRITE) != 0,
                         (ULONG_PTR)__builtin_return_address(0));
        }
        return STATUS_ACCESS_VIOLATION;
    }
    Status = MmAccessFault(ErrorCode, (PVOID)Va, KernelMode, NULL);
    return Status == STATUS_NO_MEMORY ? STATUS_INSUFFICIENT_RESOURCES : Status;
}

NTSTATUS
MiLockPage(ULONG_PTR Va, BOOLEAN Write, BOOLEAN NoFault, PMI_PAGE_LOCK Lock)
{
    NTSTATUS Status;
    ULONG ErrorCode;

    for (;;) {
        switch (MipLookAtPage(Va, Write, &ErrorCode, Lock)) {
        case MiLookLocked:
            return STATUS_SUCCESS;
        case MiLookFull:
            return STATUS_INSUFFICIENT_RESOURCES;
        case MiLookNoCharge:
            return STATUS_WORKING_SET_QUOTA;
        default:
            Status = MipFaultPage(Va, ErrorCode, NoFault);
            if (!NT_SUCCESS(Status)) {
                return Status;
            }
        }
    }
}

VOID
MiUnlockPage(const MI_PAGE_LOCK *Lock, BOOLEAN Modified)
{
    if (Lock->Ram) {
        MiDereferenceFrame(Lock->Frame, Modified);
    }
    if (Lock->Pageable) {
        MiReturnResidentAvailable(1);
    }
}

/* --- Buffers ---------------------------------------------------------------------------------- */

/* A buffer that is being locked: page n is at Pages[n], or at Va + n pages. */
typedef struct _MI_BUFFER_LOCK {
    PMDL Mdl;
    const FILE_SEGMENT_ELEMENT *Pages; /* or NULL */
    ULONG_PTR Va;                      /* page aligned */
    SIZE_T PageCount;
    KPROCESSOR_MODE Mode;
    BOOLEAN Write;
    PMI_ADDRESS_SPACE Space; /* of user addresses; it cannot end while pages are locked */
    SIZE_T Done;        /* pages locked so far */
    SIZE_T Pageable;    /* of these, charged */
    PFN_NUMBER IoFrame; /* first page that is no RAM, MI_NO_FRAME */
} MI_BUFFER_LOCK, *PMI_BUFFER_LOCK;

static ULONG_PTR
MipBufferPage(const MI_BUFFER_LOCK *Buffer, SIZE_T Index)
{
    if (Buffer->Pages != NULL) {
        return (ULONG_PTR)PAGE_ALIGN(Buffer->Pages[Index].Buffer);
    }
    return Buffer->Va + (Index << PAGE_SHIFT);
}

/* May code of this mode ask for the page at all? */
static BOOLEAN
MipMayProbe(const MI_BUFFER_LOCK *Buffer, ULONG_PTR Va)
{
    if (Buffer->Mode == UserMode && Va >= MmUserProbeAddress) {
        return FALSE;
    }
    return MiIsCanonical(Va);
}

/* Give back what was locked so far, unmodified. */
static VOID
MipUndoBuffer(PMI_BUFFER_LOCK Buffer)
{
    PPFN_NUMBER Frames = MmGetMdlPfnArray(Buffer->Mdl);

    while (Buffer->Done != 0) {
        MI_PAGE_LOCK Lock = {0};

        Buffer->Done -= 1;
        Lock.Frame = Frames[Buffer->Done];
        Lock.Ram = MiIsRamFrame(Lock.Frame);
        MiUnlockPage(&Lock, FALSE);
    }
    MiReturnResidentAvailable(Buffer->Pageable);
}

static NTSTATUS
MipLockBufferPages(PMI_BUFFER_LOCK Buffer)
{
    PPFN_NUMBER Frames = MmGetMdlPfnArray(Buffer->Mdl);
    NTSTATUS Status = STATUS_SUCCESS;

    while (Buffer->Done < Buffer->PageCount) {
        ULONG_PTR Va = MipBufferPage(Buffer, Buffer->Done);
        MI_PAGE_LOCK Lock;

        if (!MipMayProbe(Buffer, Va)) {
            Status = STATUS_ACCESS_VIOLATION;
            break;
        }
        Status = MiLockPage(Va, Buffer->Write, FALSE, &Lock);
        if (!NT_SUCCESS(Status)) {
            break;
        }
        Frames[Buffer->Done] = Lock.Frame;
        Buffer->Done += 1;
        Buffer->Pageable += Lock.Pageable;
        if (!Lock.Ram && Buffer->IoFrame == MI_NO_FRAME) {
            Buffer->IoFrame = Lock.Frame;
        }
    }
    return Status;
}

static PFN_NUMBER
MipHighestFrame(VOID)
{
    const HAL_MEMORY_RUN *Last = &KiLoaderBlock->Runs[KiLoaderBlock->RunCount - 1];

    return Last->BasePage + Last->PageCount - 1;
}

/* Device pages are no memory that could be locked. */
static VOID
MipRefuseIoPages(PMI_BUFFER_LOCK Buffer, PMI_TRACKED Tracked)
{
    if (KiVerifierOn && Buffer->IoFrame != MI_NO_FRAME) {
        MipUndoBuffer(Buffer);
        MiFreeTracked(Tracked);
        KeBugCheckEx(DRIVER_VERIFIER_DETECTED_VIOLATION, 0x6F, (ULONG_PTR)Buffer->Mdl, Buffer->IoFrame,
                     MipHighestFrame());
    }
}

/* All cannot-fail edits of the MDL. */
static VOID
MipCommitBuffer(PMI_BUFFER_LOCK Buffer, PMI_TRACKED Tracked)
{
    PMDL Mdl = Buffer->Mdl;

    Mdl->Process = Buffer->Space == NULL ? NULL : (PEPROCESS)(PVOID)Buffer->Space->Process;
    MiClearMdlFlags(Mdl, MDL_WRITE_OPERATION);
    MiSetMdlFlags(Mdl, MDL_PAGES_LOCKED | (Buffer->Write ? MDL_WRITE_OPERATION : 0) |
                           (Buffer->IoFrame != MI_NO_FRAME ? MDL_IO_SPACE : 0));
    Tracked->Object = Mdl;
    Tracked->Size = Mdl->ByteCount;
    Tracked->Value[MI_LOCK_PAGEABLE] = Buffer->Pageable;
    if (Buffer->Space != NULL) {
        Tracked->Value[MI_LOCK_SPACE] = (ULONG_PTR)Buffer->Space;
        Tracked->Value[MI_LOCK_PAGES] = Buffer->PageCount;
        __atomic_fetch_add(&Buffer->Space->LockedPages, Buffer->PageCount, __ATOMIC_ACQ_REL);
    }
    MiInsertTracked(Tracked);
}

static NTSTATUS
MipLockBuffer(PMDL Mdl, const FILE_SEGMENT_ELEMENT *Pages, KPROCESSOR_MODE Mode, LOCK_OPERATION Operation)
{
    MI_BUFFER_LOCK Buffer = {.Mdl = Mdl, .Pages = Pages, .Mode = Mode, .IoFrame = MI_NO_FRAME};
    ULONG_PTR First = (ULONG_PTR)Mdl->StartVa + Mdl->ByteOffset;
    PMI_TRACKED Tracked;
    NTSTATUS Status;

    Buffer.Va = (ULONG_PTR)Mdl->StartVa;
    Buffer.PageCount = MiMdlPageCount(Mdl);
    Buffer.Write = Operation != IoReadAccess;
    if (MipBufferPage(&Buffer, 0) < KiLoaderBlock->UserEnd) {
        Buffer.Space = MiCurrentSpace();
    }
    if (Pages == NULL && First + Mdl->ByteCount < First) {
        return STATUS_ACCESS_VIOLATION;
    }
    Tracked = MiAllocateTracked(MiTrackLockedPages);
    if (Tracked == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    Status = MipLockBufferPages(&Buffer);
    if (NT_SUCCESS(Status)) {
        MipRefuseIoPages(&Buffer, Tracked);
        MipCommitBuffer(&Buffer, Tracked);
        return STATUS_SUCCESS;
    }
    MipUndoBuffer(&Buffer);
    MiFreeTracked(Tracked);
    return Status;
}

NTSTATUS
MiProbeAndLockPages(PMDL Mdl, KPROCESSOR_MODE AccessMode, LOCK_OPERATION Operation)
{
    return MipLockBuffer(Mdl, NULL, AccessMode, Operation);
}

/* --- Public forms ----------------------------------------------------------------------------- */

#define MI_MAY_NOT_LOCK                                                                                      \
    (MDL_MAPPED_TO_SYSTEM_VA | MDL_PAGES_LOCKED | MDL_SOURCE_IS_NONPAGED_POOL | MDL_PARTIAL | MDL_IO_SPACE)

static VOID
MipLockOrRaise(PMDL Mdl, const FILE_SEGMENT_ELEMENT *Pages, KPROCESSOR_MODE Mode, LOCK_OPERATION Operation,
               ULONG FlagsViolation)
{
    NTSTATUS Status;

    MiVerifyMdlFlags(FlagsViolation, Mdl, MiMdlFlags(Mdl) & MI_MAY_NOT_LOCK);
    Status = MipLockBuffer(Mdl, Pages, Mode, Operation);
    if (!NT_SUCCESS(Status)) {
        KiRaiseStatus(Status);
    }
}

/*
 * Make the MDL's pages resident, check the access and lock them. IoWriteAccess and IoModifyAccess want them
 * writable. UserMode refuses system addresses. Raises STATUS_ACCESS_VIOLATION, STATUS_WORKING_SET_QUOTA or
 * STATUS_INSUFFICIENT_RESOURCES with nothing locked. Undone by MmUnlockPages, from any process.
 */
VOID NTAPI
MmProbeAndLockPages(PMDL MemoryDescriptorList, KPROCESSOR_MODE AccessMode, LOCK_OPERATION Operation)
{
    MiVerifyIrql(0x70, DISPATCH_LEVEL, (ULONG_PTR)MemoryDescriptorList, (ULONG64)AccessMode);
    MipLockOrRaise(MemoryDescriptorList, NULL, AccessMode, Operation, 0xB0);
    if ((ULONG_PTR)MmGetMdlVirtualAddress(MemoryDescriptorList) < MmUserProbeAddress) {
        KiNoteUserProbe(MmGetMdlVirtualAddress(MemoryDescriptorList), MmGetMdlByteCount(MemoryDescriptorList),
                        AccessMode == KernelMode ? KiLockedForKernel : KiLockedForUser);
    }
}
NTEXPORT(MmProbeAndLockPages);

/* MmProbeAndLockPages in the address space of another process. */
static NTSTATUS
MipLockInProcess(PMDL Mdl, PKPROCESS Process, KPROCESSOR_MODE Mode, LOCK_OPERATION Operation)
{
    PKPROCESS Old;
    NTSTATUS Status;

    if ((ULONG_PTR)Mdl->StartVa >= KiLoaderBlock->UserEnd) {
        return MipLockBuffer(Mdl, NULL, Mode, Operation);
    }
    Old = KiAttachProcess(Process);
    Status = MipLockBuffer(Mdl, NULL, Mode, Operation);
    KiAttachProcess(Old);
    return Status;
}

/* The same for a buffer of another process; system addresses are the same in each. */
VOID NTAPI
MmProbeAndLockProcessPages(PMDL MemoryDescriptorList, PEPROCESS Process, KPROCESSOR_MODE AccessMode,
                           LOCK_OPERATION Operation)
{
    NTSTATUS Status;

    MiVerifyIrql(0x71, DISPATCH_LEVEL, (ULONG_PTR)MemoryDescriptorList, (ULONG_PTR)Process);
    MiVerifyMdlFlags(0xB1, MemoryDescriptorList, MiMdlFlags(MemoryDescriptorList) & MI_MAY_NOT_LOCK);
    Status = MipLockInProcess(MemoryDescriptorList, (PKPROCESS)(PVOID)Process, AccessMode, Operation);
    if (!NT_SUCCESS(Status)) {
        KiRaiseStatus(Status);
    }
}
NTEXPORT(MmProbeAndLockProcessPages);

/* The same for pages that lie anywhere: element n of the array names the MDL's page n. */
VOID NTAPI
MmProbeAndLockSelectedPages(PMDL MemoryDescriptorList, PFILE_SEGMENT_ELEMENT SegmentArray,
                            KPROCESSOR_MODE AccessMode, LOCK_OPERATION Operation)
{
    MiVerifyIrql(0x72, DISPATCH_LEVEL, (ULONG_PTR)MemoryDescriptorList, 0);
    MipLockOrRaise(MemoryDescriptorList, SegmentArray, AccessMode, Operation, 0xB0);
}
NTEXPORT(MmProbeAndLockSelectedPages);

VOID
MiForgetLockedPages(PMI_TRACKED Tracked, SIZE_T PageCount)
{
    PMI_ADDRESS_SPACE Space = (PMI_ADDRESS_SPACE)Tracked->Value[MI_LOCK_SPACE];

    if (Space != NULL) {
        Tracked->Value[MI_LOCK_PAGES] -= PageCount;
        __atomic_fetch_sub(&Space->LockedPages, PageCount, __ATOMIC_ACQ_REL);
    }
}

/* --- Unlocking -------------------------------------------------------------------------------- */

/* Bug check for an MDL that MmUnlockPages is not for. Returns its record, taken out. */
static PMI_TRACKED
MipTakeLockRecord(PMDL Mdl)
{
    ULONG Flags = MiMdlFlags(Mdl);
    PMI_TRACKED Tracked;

    if (KiVerifierOn && (Flags & MDL_SOURCE_IS_NONPAGED_POOL)) {
        KeBugCheckEx(DRIVER_VERIFIER_DETECTED_VIOLATION, 0x7D, (ULONG_PTR)Mdl, Flags, 0);
    }
    MiVerifyMdlFlags(0xB4, Mdl, Flags & MDL_PARTIAL);
    Tracked = (Flags & MDL_PAGES_LOCKED) ? MiRemoveTracked(MiTrackLockedPages, Mdl) : NULL;
    if (Tracked == NULL) {
        if (KiVerifierOn) {
            KeBugCheckEx(DRIVER_VERIFIER_DETECTED_VIOLATION, 0x7C, (ULONG_PTR)Mdl, Flags, 0);
        }
        KeBugCheckEx(PROCESS_HAS_LOCKED_PAGES, 1, (ULONG_PTR)Mdl, 0, 0);
    }
    return Tracked;
}

/*
 * Undo MmProbeAndLockPages: remove the MDL's system mapping, mark pages modified that were locked for
 * writing, drop the references. Pages of pool, of MmAllocatePagesForMdl or of a partial MDL are bug checks
 * 0xC4/0x7D, 0x7C, 0xB4; once too often is 0xC4/0x7C, or 0x76/1 without the verifier.
 */
VOID NTAPI
MmUnlockPages(PMDL MemoryDescriptorList)
{
    PMDL Mdl = MemoryDescriptorList;
    PPFN_NUMBER Frames = MmGetMdlPfnArray(Mdl);
    ULONG Flags = MiMdlFlags(Mdl);
    PMI_TRACKED Tracked;

    MiVerifyIrql(0x78, DISPATCH_LEVEL, (ULONG_PTR)Mdl, 0);
    Tracked = MipTakeLockRecord(Mdl);
    MiCheckUnlockedMdl(Mdl);
    if (Flags & MDL_MAPPED_TO_SYSTEM_VA) {
        MmUnmapLockedPages(Mdl->MappedSystemVa, Mdl);
    }
    for (SIZE_T Index = 0; Index < MiMdlPageCount(Mdl); Index += 1) {
        MI_PAGE_LOCK Lock = {.Frame = Frames[Index],
                             .Ram = !(Flags & MDL_IO_SPACE) || MiIsRamFrame(Frames[Index])};

        MiUnlockPage(&Lock, (Flags & MDL_WRITE_OPERATION) != 0);
    }
    MiReturnResidentAvailable(Tracked->Value[MI_LOCK_PAGEABLE]);
    MiForgetLockedPages(Tracked, Tracked->Value[MI_LOCK_PAGES]);
    MiClearMdlFlags(Mdl, MDL_PAGES_LOCKED | MDL_WRITE_OPERATION | MDL_IO_SPACE);
    MiFreeTracked(Tracked);
}
NTEXPORT(MmUnlockPages);
