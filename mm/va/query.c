/*
 * What is at an address: MemoryBasicInformation. The answer begins at the page of the address and reaches forward to the
 * first page of another state, protection or region; tables that do not exist are passed over at once. With the Create
 * lock shared nothing but first touches happens meanwhile, which change no answer. Document: "VirtualQuery".
 */
#include "va.h"

/* What must be the same of pages that are reported together. */
typedef struct _MI_PAGE_STATE {
    BOOLEAN Committed;
    MI_PROTECTION Protection; /* of a committed page */
} MI_PAGE_STATE;

static BOOLEAN
MipSameState(MI_PAGE_STATE One, MI_PAGE_STATE Other)
{
    return One.Committed == Other.Committed && (!One.Committed || One.Protection == Other.Protection);
}

/* Of pages without an entry. */
static MI_PAGE_STATE
MipZeroState(const MMVAD *Vad)
{
    return (MI_PAGE_STATE){Vad->MemCommit, Vad->Protection};
}

/*
 * A frame's record says the protection of a page that is valid or on a list; both can change under an entry
 * while nobody holds its table's lock, so that is held here.
 */
static MI_PAGE_STATE
MipEntryState(const MMVAD *Vad, const MMPTE *Pte)
{
    MMPTE Value = MiReadPte(Pte);

    return (MI_PAGE_STATE){MiUserPteIsCommitted(Vad, Value), MiUserPteProtection(Vad, Pte, Value)};
}

/* How many entries of the run have that state; *Any is FALSE until the first state is known. */
static SIZE_T
MipSameEntries(const MMVAD *Vad, const MI_USER_CURSOR *Cursor, MI_PAGE_STATE *State, PBOOLEAN Any)
{
    PFN_NUMBER TableFrame = MiPteTableFrame(Cursor->Pte);
    KIRQL OldIrql = KiRaiseIrqlToDispatch();
    SIZE_T Index;

    MiLockPageTable(TableFrame, LockRankPageTable);
    for (Index = 0; Index < Cursor->PageCount; Index += 1) {
        MI_PAGE_STATE Next = MipEntryState(Vad, &Cursor->Pte[Index]);

        if (!*Any) {
            *State = Next;
            *Any = TRUE;
        }
        if (!MipSameState(*State, Next)) {
            break;
        }
    }
    MiUnlockPageTable(TableFrame);
    KiLowerIrql(OldIrql);
    return Index;
}

/* The state of the first page, and how many pages of the region have it from there on. */
static SIZE_T
MipSamePages(PMI_ADDRESS_SPACE Space, const MMVAD *Vad, ULONG64 StartPage, MI_PAGE_STATE *State)
{
    MI_USER_CURSOR Cursor;
    SIZE_T Pages = 0;
    BOOLEAN Any = FALSE, More = TRUE;

    MiStartUserCursor(&Cursor, Space, StartPage, Vad->EndPage);
    while (More) {
        SIZE_T Same;

        More = MiNextUserTable(&Cursor);
        if (Cursor.Skipped != 0) {
            if (!Any) {
                *State = MipZeroState(Vad);
                Any = TRUE;
            }
            if (!MipSameState(*State, MipZeroState(Vad))) {
                break;
            }
            Pages += Cursor.Skipped;
        }
        if (More) {
            Same = MipSameEntries(Vad, &Cursor, State, &Any);
            Pages += Same;
            if (Same != Cursor.PageCount) {
                break;
            }
        }
    }
    return Pages;
}

static VOID
MipDescribeFree(PMI_ADDRESS_SPACE Space, ULONG64 Page, PMEMORY_BASIC_INFORMATION Information)
{
    PMMVAD Next = MiFirstVadBehind(Space, Page);
    ULONG64 EndPage = Next == NULL ? MiHighestUserPage() : Next->StartPage;

    Information->RegionSize = (EndPage - Page) << PAGE_SHIFT;
    Information->State = MEM_FREE;
    Information->Protect = PAGE_NOACCESS;
}

static VOID
MipDescribeVad(PMI_ADDRESS_SPACE Space, const MMVAD *Vad, ULONG64 Page, PMEMORY_BASIC_INFORMATION Information)
{
    MI_PAGE_STATE State = {TRUE, Vad->Protection};
    SIZE_T Pages = Vad->EndPage - Page;

    if (Vad->Kind == MiVadPrivate) {
        Pages = MipSamePages(Space, Vad, Page, &State);
    } else if (Vad->Kind == MiVadHole || Vad->Kind == MiVadPlaceholder) {
        State.Committed = FALSE;
    }
    Information->AllocationBase = (PVOID)(Vad->StartPage << PAGE_SHIFT);
    Information->AllocationProtect = Vad->AllocationProtect;
    Information->RegionSize = Pages << PAGE_SHIFT;
    Information->State = State.Committed ? MEM_COMMIT : MEM_RESERVE;
    Information->Protect = State.Committed ? MiPageFromProtection(State.Protection) : 0;
    Information->Type = Vad->Kind == MiVadMapping ? MEM_MAPPED : MEM_PRIVATE;
}

NTSTATUS
MiQueryBasic(PMI_ADDRESS_SPACE Space, ULONG_PTR Address, PMEMORY_BASIC_INFORMATION Information)
{
    ULONG64 Page = Address >> PAGE_SHIFT;
    PMMVAD Vad;

    if (Page >= MiHighestUserPage()) {
        return STATUS_INVALID_PARAMETER;
    }
    RtlZeroMemory(Information, sizeof(*Information));
    Information->BaseAddress = (PVOID)(Page << PAGE_SHIFT);
    KiAcquirePushLockShared(&Space->CreateLock, LockRankAddressCreate);
    if (Space->State != MiSpaceLive) {
        KiReleasePushLockShared(&Space->CreateLock);
        return STATUS_PROCESS_IS_TERMINATING;
    }
    Vad = MiFindVad(Space, Page);
    if (Vad == NULL) {
        MipDescribeFree(Space, Page, Information);
    } else {
        MipDescribeVad(Space, Vad, Page, Information);
    }
    KiReleasePushLockShared(&Space->CreateLock);
    return STATUS_SUCCESS;
}
