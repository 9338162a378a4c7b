/*
 * Write watch: which pages of a region (MEM_WRITE_WATCH) were written since it was made, or since they were reset.
 *
 * A page that was not written has no right to write in its valid entry, so the first write faults and is noted
 * (mm/fault/user.c). A reset takes note and right away together, under the table's lock; a write that another processor
 * makes through its buffer until the flush belongs to what was reported. Locks: Create, for the region; the table's.
 * Documents: "GetWriteWatch", "ResetWriteWatch".
 */
#include "va.h"
#include <mm/pool/pool.h>

#define MI_WATCH_TAG 'tWmM' /* "MmWt" */

PMI_WATCH
MiAllocateWatch(ULONG64 BasePage, SIZE_T PageCount)
{
    PMI_WATCH Watch = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(MI_WATCH) + (PageCount + 63) / 64 * sizeof(ULONG64),
                                      MI_WATCH_TAG);

    if (Watch != NULL) {
        Watch->References = 1;
        Watch->BasePage = BasePage;
        Watch->PageCount = PageCount;
    }
    return Watch;
}

static inline BOOLEAN
MipIsNoted(const MI_WATCH *Watch, ULONG64 Page)
{
    ULONG64 Index = Page - Watch->BasePage;

    return (__atomic_load_n(&Watch->Written[Index / 64], __ATOMIC_RELAXED) >> (Index % 64)) & 1;
}

static inline VOID
MipForgetNote(PMI_WATCH Watch, ULONG64 Page)
{
    ULONG64 Index = Page - Watch->BasePage;

    __atomic_fetch_and(&Watch->Written[Index / 64], ~(1ull << (Index % 64)), __ATOMIC_RELAXED);
}

VOID
MiForgetWrites(const MMVAD *Vad, ULONG64 StartPage, ULONG64 EndPage)
{
    for (ULONG64 Page = StartPage; Vad->Watch != NULL && Page < EndPage; Page += 1) {
        MipForgetNote(Vad->Watch, Page);
    }
}

/* A page that will be reported when it is written next. */
static VOID
MipResetPage(PMI_ADDRESS_SPACE Space, const MMVAD *Vad, ULONG64 Page, PMI_FLUSH_BATCH Flush)
{
    ULONG_PTR Va = Page << PAGE_SHIFT;
    KIRQL OldIrql = KiRaiseIrqlToDispatch();
    MI_WALK Walk;

    if (!MiLockPte(Space->RootFrame, Va, &Walk)) {
        MipForgetNote(Vad->Watch, Page);
        KiLowerIrql(OldIrql);
        return;
    }
    MipForgetNote(Vad->Watch, Page);
    while (MiPteIsWritable(Walk.Value)) {
        if (MiCompareExchangePte(Walk.Pte, &Walk.Value, MiWatchedPte(Vad, Page, Walk.Value))) {
            if (MiPteIsDirty(Walk.Value)) {
                MiSetFrameModified(MiGetPteFrame(Walk.Value));
            }
            HalPteChanged(Walk.Pte);
            MiAddFlush(Flush, Va, 1);
            break;
        }
    }
    MiUnlockPte(&Walk);
    KiLowerIrql(OldIrql);
}

/* The watched region that all of a range lies in; NULL if there is none. Create lock. */
static PMMVAD
MipFindWatched(PMI_ADDRESS_SPACE Space, ULONG64 StartPage, ULONG64 EndPage)
{
    PMMVAD Vad = MiFindVad(Space, StartPage);

    return Vad != NULL && Vad->Watch != NULL && EndPage <= Vad->EndPage ? Vad : NULL;
}

NTSTATUS
MiGetWriteWatch(PMI_ADDRESS_SPACE Space, ULONG_PTR Base, SIZE_T Size, BOOLEAN Reset, PULONG_PTR Addresses,
                PSIZE_T Count)
{
    ULONG64 StartPage = Base >> PAGE_SHIFT, EndPage = (Base + Size + PAGE_SIZE - 1) >> PAGE_SHIFT;
    NTSTATUS Status = MiLockLiveSpace(Space);
    MI_FLUSH_BATCH Flush;
    SIZE_T Found = 0;
    PMMVAD Vad;

    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Vad = MipFindWatched(Space, StartPage, EndPage);
    if (Vad == NULL) {
        MiUnlockCreate(Space);
        return STATUS_INVALID_PARAMETER_3;
    }
    MiStartFlush(&Flush);
    for (ULONG64 Page = StartPage; Page < EndPage && Found < *Count; Page += 1) {
        if (!MipIsNoted(Vad->Watch, Page)) {
            continue;
        }
        Addresses[Found] = Page << PAGE_SHIFT;
        Found += 1;
        if (Reset) {
            MipResetPage(Space, Vad, Page, &Flush);
        }
    }
    MiFlushUser(Space, &Flush);
    MiUnlockCreate(Space);
    *Count = Found;
    return STATUS_SUCCESS;
}

NTSTATUS
MiResetWriteWatch(PMI_ADDRESS_SPACE Space, ULONG_PTR Base, SIZE_T Size)
{
    ULONG64 StartPage = Base >> PAGE_SHIFT, EndPage = (Base + Size + PAGE_SIZE - 1) >> PAGE_SHIFT;
    NTSTATUS Status = MiLockLiveSpace(Space);
    MI_FLUSH_BATCH Flush;
    PMMVAD Vad;

    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Vad = MipFindWatched(Space, StartPage, EndPage);
    if (Vad == NULL) {
        MiUnlockCreate(Space);
        return STATUS_INVALID_PARAMETER_3;
    }
    MiStartFlush(&Flush);
    for (ULONG64 Page = StartPage; Page < EndPage; Page += 1) {
        if (MipIsNoted(Vad->Watch, Page)) {
            MipResetPage(Space, Vad, Page, &Flush);
        }
    }
    MiFlushUser(Space, &Flush);
    MiUnlockCreate(Space);
    return STATUS_SUCCESS;
}
