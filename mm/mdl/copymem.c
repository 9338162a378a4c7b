/*
 * Copying memory that may not be there. Each page is referenced first, so that it stays what it is, and
 * copied through the direct map, which never faults; what cannot be referenced ends the copy with a status.
 * Documents: MmCopyMemory, NtReadVirtualMemory.
 */
#include "mdlp.h"

/* What is left to copy. */
typedef struct _MI_COPY {
    PUCHAR Target;
    ULONG64 Source; /* virtual or physical */
    SIZE_T Left;
} MI_COPY, *PMI_COPY;

/* Copy what the current page has of it. */
static VOID
MipCopyFromFrame(PMI_COPY Copy, PFN_NUMBER Frame)
{
    SIZE_T Offset = Copy->Source & (PAGE_SIZE - 1);
    SIZE_T Part = MIN(Copy->Left, PAGE_SIZE - Offset);

    RtlCopyMemory(Copy->Target, (PUCHAR)HalFrameAddress(Frame) + Offset, Part);
    Copy->Target += Part;
    Copy->Source += Part;
    Copy->Left -= Part;
}

static NTSTATUS
MipCopyVirtualPage(PMI_COPY Copy)
{
    NTSTATUS Status = STATUS_ACCESS_VIOLATION;
    MI_PAGE_LOCK Lock;

    if (MiIsCanonical(Copy->Source)) {
        Status = MiLockPage((ULONG_PTR)Copy->Source, FALSE, TRUE, &Lock);
    }
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    if (!Lock.Ram) {
        return STATUS_INVALID_ADDRESS;
    }
    MipCopyFromFrame(Copy, Lock.Frame);
    MiUnlockPage(&Lock, FALSE);
    return STATUS_SUCCESS;
}

/* RAM may be read whatever it is used for now: what is there is a snapshot. */
static NTSTATUS
MipCopyPhysicalPage(PMI_COPY Copy)
{
    PFN_NUMBER Frame = Copy->Source >> PAGE_SHIFT;

    if (!MiIsRamFrame(Frame)) {
        return STATUS_INVALID_ADDRESS;
    }
    MipCopyFromFrame(Copy, Frame);
    return STATUS_SUCCESS;
}

/*
 * Copy NumberOfBytes from a virtual or a physical address, as exactly one of MM_COPY_MEMORY_* says, to a
 * nonpageable buffer. Pages that are not resident are brought in. *NumberOfBytesTransferred receives how many
 * bytes were copied, also on failure: STATUS_INVALID_PARAMETER_4 (flags), STATUS_ACCESS_VIOLATION (an address
 * without memory), STATUS_INVALID_ADDRESS (not RAM), or why a page could not be brought in. <= APC_LEVEL.
 */
NTSTATUS NTAPI
MmCopyMemory(PVOID TargetAddress, MM_COPY_ADDRESS SourceAddress, SIZE_T NumberOfBytes, ULONG Flags,
             PSIZE_T NumberOfBytesTransferred)
{
    MI_COPY Copy = {.Target = TargetAddress, .Left = NumberOfBytes};
    NTSTATUS Status = STATUS_SUCCESS;

    if (Flags == MM_COPY_MEMORY_VIRTUAL) {
        Copy.Source = (ULONG_PTR)SourceAddress.VirtualAddress;
    } else if (Flags == MM_COPY_MEMORY_PHYSICAL) {
        Copy.Source = (ULONG64)SourceAddress.PhysicalAddress.QuadPart;
    } else {
        *NumberOfBytesTransferred = 0;
        return STATUS_INVALID_PARAMETER_4;
    }
    while (Copy.Left != 0 && NT_SUCCESS(Status)) {
        Status = Flags == MM_COPY_MEMORY_VIRTUAL ? MipCopyVirtualPage(&Copy) : MipCopyPhysicalPage(&Copy);
    }
    *NumberOfBytesTransferred = NumberOfBytes - Copy.Left;
    return Status;
}
NTEXPORT(MmCopyMemory);

/* --- Between processes ------------------------------------------------------------------------ */

/* A range that code of this mode may name. */
static BOOLEAN
MipMayCopy(const VOID *Address, SIZE_T Size, KPROCESSOR_MODE Mode)
{
    ULONG_PTR Start = (ULONG_PTR)Address;

    return Start + Size >= Start && (Mode == KernelMode || Start + Size <= MmUserProbeAddress);
}

/* Lock a page of a process's; system addresses are the same in each. */
static NTSTATUS
MipLockPageOf(PEPROCESS Process, ULONG_PTR Va, BOOLEAN Write, PMI_PAGE_LOCK Lock)
{
    PKPROCESS Old;
    NTSTATUS Status;

    if (Va >= KiLoaderBlock->UserEnd) {
        return MiLockPage(Va, Write, TRUE, Lock);
    }
    Old = KiAttachProcess((PKPROCESS)(PVOID)Process);
    Status = MiLockPage(Va, Write, TRUE, Lock);
    KiAttachProcess(Old);
    return Status;
}

/* As much as source and target have of their current pages. FALSE if one of them has none. */
static BOOLEAN
MipCopyPair(PEPROCESS FromProcess, ULONG_PTR Source, PEPROCESS ToProcess, ULONG_PTR Target, SIZE_T Size)
{
    MI_PAGE_LOCK From, To;
    BOOLEAN Copied = FALSE;

    if (!MiIsCanonical(Source) || !MiIsCanonical(Target) ||
        !NT_SUCCESS(MipLockPageOf(FromProcess, Source, FALSE, &From))) {
        return FALSE;
    }
    if (From.Ram && NT_SUCCESS(MipLockPageOf(ToProcess, Target, TRUE, &To))) {
        if (To.Ram) {
            RtlMoveMemory((PUCHAR)HalFrameAddress(To.Frame) + (Target & (PAGE_SIZE - 1)),
                          (PUCHAR)HalFrameAddress(From.Frame) + (Source & (PAGE_SIZE - 1)), Size);
            Copied = TRUE;
        }
        MiUnlockPage(&To, Copied);
    }
    MiUnlockPage(&From, FALSE);
    return Copied;
}

/*
 * Copy from one process's memory to another's; system addresses are the same in each. UserMode may name user
 * addresses only. STATUS_ACCESS_VIOLATION: it did not, or a range wraps. STATUS_PARTIAL_COPY: a page could
 * not be read or written. *NumberOfBytesCopied receives what was copied before. <= APC_LEVEL.
 */
NTSTATUS NTAPI
MmCopyVirtualMemory(PEPROCESS FromProcess, const VOID *FromAddress, PEPROCESS ToProcess, PVOID ToAddress,
                    SIZE_T BufferSize, KPROCESSOR_MODE PreviousMode, PSIZE_T NumberOfBytesCopied)
{
    ULONG_PTR Source = (ULONG_PTR)FromAddress, Target = (ULONG_PTR)ToAddress;
    SIZE_T Done = 0;

    *NumberOfBytesCopied = 0;
    if (!MipMayCopy(FromAddress, BufferSize, PreviousMode) ||
        !MipMayCopy(ToAddress, BufferSize, PreviousMode)) {
        return STATUS_ACCESS_VIOLATION;
    }
    while (Done < BufferSize) {
        SIZE_T Part = PAGE_SIZE - MAX(BYTE_OFFSET(Source + Done), BYTE_OFFSET(Target + Done));

        Part = MIN(Part, BufferSize - Done);
        if (!MipCopyPair(FromProcess, Source + Done, ToProcess, Target + Done, Part)) {
            break;
        }
        Done += Part;
    }
    *NumberOfBytesCopied = Done;
    return Done == BufferSize ? STATUS_SUCCESS : STATUS_PARTIAL_COPY;
}
NTEXPORT(MmCopyVirtualMemory);
