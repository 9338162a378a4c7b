/*
 * Address spaces as they are made and go.
 *
 *   MiCreateAddressSpace --> Live --MiCleanAddressSpace--> Dying --> Dead --MiDeleteAddressSpace--> (root freed)
 *
 * The root of a process has the entries of system space, which never change after start, its own self-map
 * entry, and below them what its regions need. Its record counts only the latter, so that a root is like any
 * other table. The System process uses the root that system space is kept in.
 *
 * Where searches for free addresses begin is drawn from the seed, for each process: from below within a
 * terabyte, where the machine's user space is that large, from above within 16 MB.
 *
 * Prepare: frame, holes. Cleaning cannot fail; it blocks on the locks only. One leaf lock, MiAddressSpaceLock, guards the
 * list of all (LockRankHandleTable).
 */
#include <mm/va/va.h>

#define MI_BOTTOM_UP_SLOTS (1ull << 24) /* 1 TB in 64 KB */
#define MI_TOP_DOWN_SLOTS  256

VOID (*MiRemoveUserMapping)(PMI_ADDRESS_SPACE Space, PMMVAD Vad);

static KSPIN_LOCK MiAddressSpaceLock;
static LIST_ENTRY MiAddressSpaces = {&MiAddressSpaces, &MiAddressSpaces};

/* --- Making ----------------------------------------------------------------------------------- */

static VOID
MipChooseStarts(PMI_ADDRESS_SPACE Space)
{
    ULONG64 Slots = MiHighestUserPage() / MI_SLOT_PAGES;
    ULONG64 Low = HalRandom() % MIN(MI_BOTTOM_UP_SLOTS, Slots / 4);
    ULONG64 High = HalRandom() % MI_TOP_DOWN_SLOTS;

    Space->BottomUp = (MI_LOWEST_USER >> PAGE_SHIFT) + Low * MI_SLOT_PAGES;
    Space->TopDown = MiHighestUserPage() - High * MI_SLOT_PAGES;
}

static NTSTATUS
MipMakeHole(PMI_ADDRESS_SPACE Space, MI_VAD_KIND Kind, ULONG_PTR Start, ULONG_PTR End, MI_PROTECTION Protection)
{
    PMMVAD Vad = MiAllocateVad(Kind, Start >> PAGE_SHIFT, (End + PAGE_SIZE - 1) >> PAGE_SHIFT);

    if (Vad == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    Vad->Protection = (UCHAR)Protection;
    Vad->AllocationProtect = MiPageFromProtection(Protection);
    MiInsertVad(Space, Vad);
    return STATUS_SUCCESS;
}

/* Nobody knows the address space yet: no locks. The first is made at DISPATCH_LEVEL, where there could be none. */
static NTSTATUS
MipMakeHoles(PMI_ADDRESS_SPACE Space)
{
    NTSTATUS Status = MipMakeHole(Space, MiVadSharedData, MI_SHARED_DATA, MI_SHARED_DATA + PAGE_SIZE, MM_READONLY);

    for (ULONG Index = 0; NT_SUCCESS(Status) && Index < KiLoaderBlock->UserHoleCount; Index += 1) {
        PHAL_ADDRESS_HOLE Hole = &KiLoaderBlock->UserHoles[Index];

        Status = MipMakeHole(Space, MiVadHole, Hole->Start, Hole->End, MM_NOACCESS);
    }
    return Status;
}

static VOID
MipFreeVads(PMI_ADDRESS_SPACE Space)
{
    PMMVAD Vad;

    while ((Vad = MiFirstVadBehind(Space, 0)) != NULL) {
        MiRemoveVad(Space, Vad);
        MiFreeVad(Vad);
    }
}

/* System space by copy, and the table itself as its self-map. */
static VOID
MipFillRoot(PFN_NUMBER RootFrame)
{
    ULONG First = MiPteIndex(KiLoaderBlock->UserEnd - 1, MiLevelPxe) + 1;

    for (ULONG Index = First; Index < MI_PTES_PER_TABLE; Index += 1) {
        MiWritePte(MiTableEntry(RootFrame, Index), MiReadPte(MiTableEntry(MiSystemRootFrame, Index)));
    }
    MiWritePte(MiTableEntry(RootFrame, MiSelfMapIndex), MiMakeSelfMapPte(RootFrame));
}

static VOID
MipStartSpace(PMI_ADDRESS_SPACE Space, PKPROCESS Process, PFN_NUMBER RootFrame)
{
    Space->Process = Process;
    Space->RootFrame = RootFrame;
    Space->CommitLimit = ~(SIZE_T)0;
    Space->State = MiSpaceLive;
    MiInitializeVads(Space);
    InitializeListHead(&Space->Secured);
    MipChooseStarts(Space);
}

static VOID
MipPublishSpace(PMI_ADDRESS_SPACE Space)
{
    KIRQL OldIrql;

    Space->Process->RootFrame = Space->RootFrame;
    Space->Process->AddressSpace = Space;
    OldIrql = KiAcquireRankedLockRaise(&MiAddressSpaceLock, LockRankHandleTable);
    InsertTailList(&MiAddressSpaces, &Space->Links);
    KiReleaseRankedLockLower(&MiAddressSpaceLock, OldIrql);
}

NTSTATUS
MiCreateAddressSpace(PMI_ADDRESS_SPACE Space, PKPROCESS Process)
{
    PFN_NUMBER RootFrame = MiGetTableFrame();
    NTSTATUS Status;

    if (RootFrame == MI_NO_FRAME) {
        return STATUS_NO_MEMORY;
    }
    MipStartSpace(Space, Process, RootFrame);
    Status = MipMakeHoles(Space);
    if (!NT_SUCCESS(Status)) {
        MipFreeVads(Space);
        MiReturnTableFrame(RootFrame);
        return Status;
    }
    MiInitializePageTableFrame(RootFrame, NULL);
    MipFillRoot(RootFrame);
    MipPublishSpace(Space);
    return STATUS_SUCCESS;
}

NTSTATUS
MiAdoptSystemAddressSpace(PMI_ADDRESS_SPACE Space, PKPROCESS Process)
{
    NTSTATUS Status;

    MipStartSpace(Space, Process, MiSystemRootFrame);
    Status = MipMakeHoles(Space);
    if (!NT_SUCCESS(Status)) {
        MipFreeVads(Space);
        return Status;
    }
    MipPublishSpace(Space);
    return STATUS_SUCCESS;
}

/* --- Going ------------------------------------------------------------------------------------ */

/* One region with all it has. Create lock held; it has left the set. */
static VOID
MipDeleteRegion(PMI_ADDRESS_SPACE Space, PMMVAD Vad)
{
    if (Vad->Kind == MiVadMapping) {
        MiRemoveUserMapping(Space, Vad);
        return;
    }
    if (Vad->Kind == MiVadSharedData) {
        MiUnmapUserFrames(Space, Vad->StartPage, Vad->EndPage);
    } else if (Vad->Kind != MiVadHole) {
        MiDeleteUserRange(Space, Vad, Vad->StartPage, Vad->EndPage, FALSE);
        MiReturnSpace(Space, Vad->CommitCharge);
    }
    MiFreeVad(Vad);
}

VOID
MiCleanAddressSpace(PMI_ADDRESS_SPACE Space)
{
    SIZE_T Locked = __atomic_load_n(&Space->LockedPages, __ATOMIC_ACQUIRE);
    PMMVAD Vad;

    if (Locked != 0) {
        KeBugCheckEx(PROCESS_HAS_LOCKED_PAGES, 0, (ULONG_PTR)Space->Process, Locked, 0);
    }
    MiLockCreate(Space);
    if (Space->State == MiSpaceLive) {
        Space->State = MiSpaceDying;
        while ((Vad = MiFirstVadBehind(Space, 0)) != NULL) {
            MiLeaveVad(Space, Vad);
            MipDeleteRegion(Space, Vad);
        }
        MiTrimUserTables(Space, 0, KiLoaderBlock->UserEnd >> PAGE_SHIFT);
        Space->State = MiSpaceDead;
        MI_ASSERT(Space->CommitCharge == 0 && Space->VirtualPages == 0);
        MI_ASSERT(__atomic_load_n(&Space->Resident, __ATOMIC_RELAXED) == 0);
    }
    MiUnlockCreate(Space);
}

VOID
MiDeleteAddressSpace(PMI_ADDRESS_SPACE Space)
{
    KIRQL OldIrql;

    MiCleanAddressSpace(Space);
    OldIrql = KiAcquireRankedLockRaise(&MiAddressSpaceLock, LockRankHandleTable);
    RemoveEntryList(&Space->Links);
    KiReleaseRankedLockLower(&MiAddressSpaceLock, OldIrql);
    NT_VERIFY(__atomic_load_n(&Space->Process->ActiveProcessors, __ATOMIC_ACQUIRE) == 0);
    for (ULONG Index = 0; Index < MI_PTES_PER_TABLE; Index += 1) {
        MiWritePte(MiTableEntry(Space->RootFrame, Index), MiMakeZeroPte());
    }
    MiDeleteTable(Space->RootFrame);
}

/* --- Validation ------------------------------------------------------------------------------- */

/* Stops with what is wrong. The list does not change: this is for moments when nobody makes processes. */
BOOLEAN
MiValidateAddressSpaces(VOID)
{
    for (PLIST_ENTRY Entry = MiAddressSpaces.Flink; Entry != &MiAddressSpaces; Entry = Entry->Flink) {
        PMI_ADDRESS_SPACE Space = CONTAINING_RECORD(Entry, MI_ADDRESS_SPACE, Links);

        MiLockCreate(Space);
        MiValidateVads(Space);
        MiValidateUserTables(Space);
        MiUnlockCreate(Space);
    }
    return TRUE;
}
