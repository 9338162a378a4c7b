/*
 * Remove locks: a count of those who use a device, which its remover waits for.
 *
 *     IoCount = 1 + users      Removed FALSE: users come and go
 *     IoCount falls to 0       Removed TRUE: nobody comes, the last one signals RemoveEvent
 *
 * Tags are for tracing; checked drivers bring a larger block, whose rest is not used. Nothing blocks but the remover.
 * Document: "Using Remove Locks".
 */
#include "iop.h"

/* Make a lock of RemlockSize bytes that lets users in. PASSIVE_LEVEL. */
VOID NTAPI
IoInitializeRemoveLockEx(PIO_REMOVE_LOCK Lock, ULONG AllocateTag, ULONG MaxLockedMinutes, ULONG HighWatermark,
                         ULONG RemlockSize)
{
    UNREFERENCED_PARAMETER(AllocateTag);
    UNREFERENCED_PARAMETER(MaxLockedMinutes);
    UNREFERENCED_PARAMETER(HighWatermark);
    RtlZeroMemory(Lock, RemlockSize);
    Lock->Common.IoCount = 1;
    KeInitializeEvent(&Lock->Common.RemoveEvent, SynchronizationEvent, FALSE);
}
NTEXPORT(IoInitializeRemoveLockEx);

static VOID
IopReleaseRemoveLock(PIO_REMOVE_LOCK Lock)
{
    if (__atomic_sub_fetch(&Lock->Common.IoCount, 1, __ATOMIC_ACQ_REL) == 0) {
        KeSetEvent(&Lock->Common.RemoveEvent, IO_NO_INCREMENT, FALSE);
    }
}

/* Become a user. STATUS_DELETE_PENDING, and no release is due, once removal has begun. IRQL <= DISPATCH_LEVEL. */
NTSTATUS NTAPI
IoAcquireRemoveLockEx(PIO_REMOVE_LOCK RemoveLock, PVOID Tag, PCSTR File, ULONG Line, ULONG RemlockSize)
{
    UNREFERENCED_PARAMETER(Tag);
    UNREFERENCED_PARAMETER(File);
    UNREFERENCED_PARAMETER(Line);
    UNREFERENCED_PARAMETER(RemlockSize);
    HalChoicePoint(HalChoiceLock);
    __atomic_add_fetch(&RemoveLock->Common.IoCount, 1, __ATOMIC_ACQ_REL);
    if (__atomic_load_n(&RemoveLock->Common.Removed, __ATOMIC_ACQUIRE)) {
        IopReleaseRemoveLock(RemoveLock);
        return STATUS_DELETE_PENDING;
    }
    return STATUS_SUCCESS;
}
NTEXPORT(IoAcquireRemoveLockEx);

/* Stop being a user. IRQL <= DISPATCH_LEVEL. */
VOID NTAPI
IoReleaseRemoveLockEx(PIO_REMOVE_LOCK RemoveLock, PVOID Tag, ULONG RemlockSize)
{
    UNREFERENCED_PARAMETER(Tag);
    UNREFERENCED_PARAMETER(RemlockSize);
    IopReleaseRemoveLock(RemoveLock);
}
NTEXPORT(IoReleaseRemoveLockEx);

/* As a user: let nobody in any more, stop being one, and wait for the others. Once. PASSIVE_LEVEL. */
VOID NTAPI
IoReleaseRemoveLockAndWaitEx(PIO_REMOVE_LOCK RemoveLock, PVOID Tag, ULONG RemlockSize)
{
    UNREFERENCED_PARAMETER(Tag);
    UNREFERENCED_PARAMETER(RemlockSize);
    __atomic_store_n(&RemoveLock->Common.Removed, TRUE, __ATOMIC_RELEASE);
    /* The caller's, and the one that the lock began with. */
    if (__atomic_sub_fetch(&RemoveLock->Common.IoCount, 2, __ATOMIC_ACQ_REL) > 0) {
        KeWaitForSingleObject(&RemoveLock->Common.RemoveEvent, Executive, KernelMode, FALSE, NULL);
    }
}
NTEXPORT(IoReleaseRemoveLockAndWaitEx);
