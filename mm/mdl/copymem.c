/*
 * MmCopyMemory: reading memory that may not be there. Each page is referenced first, so that it stays what it is, and
 * copied through the direct map, which never faults; what cannot be referenced ends the copy with a status. Document:
 * MmCopyMemory.
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
 * Copy NumberOfBytes from a virtual or a physical address, as exactly one of MM_COPY_MEMORY_* says, to a nonpageable buffer.
 * Pages that are not resident are brought in. *NumberOfBytesTransferred receives how many bytes were copied, also on
 * failure: STATUS_INVALID_PARAMETER_4 (flags), STATUS_ACCESS_VIOLATION (an address without memory), STATUS_INVALID_ADDRESS
 * (not RAM), or why a page could not be brought in. <= APC_LEVEL.
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
