/*
 * All processors at once: single frames, batches, runs, and the pages of shared tables that are
 * faulted, trimmed, locked, repurposed and deleted under each other. What is checked all the time:
 * a frame has one owner (its number is written into it), zeroed frames are zero, a modified page
 * keeps its contents. At the end: everything is given back and the validator agrees. Hosted C.
 */
#include <time.h>

#include <hal/threads/threads.h>
#include <ktest.h>
#include <mm/phys/physp.h>

#include "stress.h"

#define STRESS_TABLES 2u
#define STRESS_PAGES 512u       /* of each table */
#define STRESS_HELD 400u
#define STRESS_RUNS 3u

typedef struct _STRESS_RUN {
    PFN_NUMBER First;
    SIZE_T PageCount;
} STRESS_RUN;

/* One processor's belongings. */
typedef struct _STRESS_ACTOR {
    ULONG Number;
    ULONG64 Random;
    ULONG HeldCount;
    PFN_NUMBER Held[STRESS_HELD];
    STRESS_RUN Runs[STRESS_RUNS];
    PFN_NUMBER Locked[16];
    ULONG LockedCount;
} STRESS_ACTOR;

typedef struct _STRESS_SHARED {
    PFN_NUMBER Tables[STRESS_TABLES];
    ULONG64 Seed;
    time_t End;
    volatile ULONG64 Operations;
} STRESS_SHARED;

static ULONG
Random(STRESS_ACTOR *Actor, ULONG Limit)
{
    Actor->Random = Actor->Random * 6364136223846793005ull + 1442695040888963407ull;
    return (ULONG)((Actor->Random >> 33) % Limit);
}

static ULONG64 *
Words(PFN_NUMBER Frame)
{
    return (ULONG64 *)HalFrameAddress(Frame);
}

/* --- Frames and runs -------------------------------------------------------------------------- */

/* The caller owns the frame now: nobody else may write there until Release. */
static VOID
Own(const STRESS_ACTOR *Actor, PFN_NUMBER Frame, BOOLEAN Zeroed)
{
    if (Zeroed) {
        CHECK_EQ(Words(Frame)[0], 0);
        CHECK_EQ(Words(Frame)[511], 0);
    }
    Words(Frame)[0] = Frame ^ Actor->Number;
    Words(Frame)[511] = Frame ^ Actor->Number;
}

static VOID
Disown(const STRESS_ACTOR *Actor, PFN_NUMBER Frame)
{
    CHECK_EQ(Words(Frame)[0], Frame ^ Actor->Number);
    CHECK_EQ(Words(Frame)[511], Frame ^ Actor->Number);
}

static VOID
GetSome(STRESS_ACTOR *Actor)
{
    ULONG Flags = Random(Actor, 2) == 0 ? MI_GET_ZEROED : 0;
    SIZE_T Count = Random(Actor, 3) == 0 ? 1 + Random(Actor, 60) : 1;
    SIZE_T Got;

    if (Actor->HeldCount + Count > STRESS_HELD) {
        return;
    }
    if (Count == 1) {
        Actor->Held[Actor->HeldCount] = MiGetFrame(Flags, MM_ANY_NODE_OK, MiUseSystemPte);
        Got = Actor->Held[Actor->HeldCount] != MI_NO_FRAME;
    } else {
        Got = MiGetFrames(Flags, MM_ANY_NODE_OK, MiUseSystemPte, Count,
                          &Actor->Held[Actor->HeldCount]);
    }
    for (SIZE_T Index = 0; Index < Got; Index++) {
        Own(Actor, Actor->Held[Actor->HeldCount++], Flags != 0);
    }
}

static VOID
FreeSome(STRESS_ACTOR *Actor, ULONG Count)
{
    while (Count-- != 0 && Actor->HeldCount != 0) {
        ULONG Index = Random(Actor, Actor->HeldCount);
        PFN_NUMBER Frame = Actor->Held[Index];

        Actor->Held[Index] = Actor->Held[--Actor->HeldCount];
        Disown(Actor, Frame);
        MiFreeFrame(Frame);
    }
}

static VOID
ChangeRun(STRESS_ACTOR *Actor)
{
    STRESS_RUN *Run = &Actor->Runs[Random(Actor, STRESS_RUNS)];
    ULONG Flags = Random(Actor, 4) == 0 ? MI_GET_ZEROED : 0;
    BOOLEAN Large = Random(Actor, 16) == 0;

    if (Run->PageCount != 0) {
        for (SIZE_T Page = 0; Page < Run->PageCount; Page += 1) {
            Disown(Actor, Run->First + Page);
        }
        MiFreeContiguousFrames(Run->First, Run->PageCount);
        Run->PageCount = 0;
        return;
    }
    Run->PageCount = Large ? 512 : 1 + Random(Actor, 40);
    Run->First = MiGetContiguousFrames(Flags, MM_ANY_NODE_OK, MiUseDriverLocked, Run->PageCount, 0,
                                       ~0ull, Large ? 512 : 1, 0);
    if (Run->First == MI_NO_FRAME) {
        Run->PageCount = 0;
    }
    for (SIZE_T Page = 0; Page < Run->PageCount; Page += 1) {
        Own(Actor, Run->First + Page, Flags != 0);
    }
}

/* --- Pages of shared tables ------------------------------------------------------------------- */

/*
 * Even pages are only read and may be repurposed when trimmed; odd ones are written and must not be
 * lost.
 */
static BOOLEAN
IsWritten(ULONG Index)
{
    return Index % 2 != 0;
}

static ULONG64
Signature(PFN_NUMBER Table, ULONG Index)
{
    return IsWritten(Index) ? (Table << 16) | Index : 0;
}

static VOID
CheckContents(PFN_NUMBER Table, ULONG Index, PFN_NUMBER Frame)
{
    CHECK_EQ(Words(Frame)[8], Signature(Table, Index));
}

/* Table lock held: lock the frame of a transition entry if the entry stays what it is. */
static BOOLEAN
LockTransition(PMMPTE Pte, PFN_NUMBER *Frame)
{
    MMPTE Value = MiReadPte(Pte);

    if (!MiPteIsTransition(Value)) {
        return FALSE;
    }
    *Frame = MiGetPteFrame(Value);
    MiLockPfn(*Frame);
    if (MiPteEqual(MiReadPte(Pte), Value)) {
        return TRUE;
    }
    MiUnlockPfn(*Frame);
    return FALSE;
}

/*
 * Make an entry valid, whatever it is. New is a zeroed frame or MI_NO_FRAME; returns it if it was
 * not used.
 */
static PFN_NUMBER
FaultLocked(PFN_NUMBER Table, ULONG Index, PFN_NUMBER New)
{
    PMMPTE Pte = MiTableEntry(Table, Index);
    MMPTE Value = MiReadPte(Pte);
    PFN_NUMBER Frame;

    if (MiPteIsValid(Value)) {
        CheckContents(Table, Index, MiGetPteFrame(Value));
    } else if (MiPteIsTransition(Value)) {
        if (LockTransition(Pte, &Frame)) {
            CheckContents(Table, Index, Frame);
            CHECK(MiUnlinkTransitionFrame(Frame));
            MiWritePte(Pte, MiMakeValidPte(Frame, MM_READWRITE, 0));
            MiUnlockPfn(Frame);
        }
    } else if (New != MI_NO_FRAME) {
        Words(New)[8] = Signature(Table, Index);
        MiInitializePfnEx(New, Pte, MiMakeDemandZeroPte(MM_READWRITE), Index % 8, 0);
        MiWritePte(Pte, MiMakeValidPte(New, MM_READWRITE, 0));
        New = MI_NO_FRAME;
    }
    return New;
}

static VOID
Fault(STRESS_SHARED *Shared, STRESS_ACTOR *Actor)
{
    PFN_NUMBER Table = Shared->Tables[Random(Actor, STRESS_TABLES)];
    PFN_NUMBER New = MiGetFrame(MI_GET_ZEROED, MM_ANY_NODE_OK, MiUsePagedPool);
    KIRQL OldIrql = KiRaiseIrqlToDispatch();

    MiLockPageTable(Table, LockRankPageTable);
    New = FaultLocked(Table, Random(Actor, STRESS_PAGES), New);
    MiUnlockPageTable(Table);
    KiLowerIrql(OldIrql);
    if (New != MI_NO_FRAME) {
        MiFreeFrame(New);
    }
}

/* Trim a few pages: entries first, then (the flush would be here) the frames. */
static VOID
Trim(STRESS_SHARED *Shared, STRESS_ACTOR *Actor)
{
    PFN_NUMBER Table = Shared->Tables[Random(Actor, STRESS_TABLES)];
    ULONG Index = Random(Actor, STRESS_PAGES);
    PFN_NUMBER Frames[8];
    BOOLEAN Dirty[8];
    ULONG Count = 0;
    KIRQL OldIrql = KiRaiseIrqlToDispatch();

    MiLockPageTable(Table, LockRankPageTable);
    for (; Index < STRESS_PAGES && Count < 8; Index++) {
        PMMPTE Pte = MiTableEntry(Table, Index);
        MMPTE Value = MiReadPte(Pte);

        if (MiPteIsValid(Value)) {
            Frames[Count] = MiGetPteFrame(Value);
            Dirty[Count] = IsWritten(Index);
            MiLockPfn(Frames[Count]);
            MiWritePte(Pte, MiMakeTransitionPte(Frames[Count], MM_READWRITE));
            MiUnlockPfn(Frames[Count]);
            Count += 1;
        }
    }
    MiUnlockPageTable(Table);
    for (ULONG Page = 0; Page < Count; Page++) {
        MiReleaseValidFrame(Frames[Page], Dirty[Page]);
    }
    KiLowerIrql(OldIrql);
}

/*
 * Delete one page in whatever state. A valid one goes after the table is unlocked, as after a
 * flush.
 */
static VOID
Delete(PFN_NUMBER Table, ULONG Index)
{
    PMMPTE Pte = MiTableEntry(Table, Index);
    PFN_NUMBER Valid = MI_NO_FRAME;
    PFN_NUMBER Frame;
    KIRQL OldIrql = KiRaiseIrqlToDispatch();
    MMPTE Value;

    MiLockPageTable(Table, LockRankPageTable);
    Value = MiReadPte(Pte);
    if (MiPteIsValid(Value)) {
        Valid = MiGetPteFrame(Value);
        MiWritePte(Pte, MiMakeZeroPte());
    } else if (LockTransition(Pte, &Frame)) {
        CheckContents(Table, Index, Frame);
        MiWritePte(Pte, MiMakeZeroPte());
        MiDeleteTransitionFrame(Frame);
    } else if (!MiPteIsTransition(MiReadPte(Pte))) {
        MiWritePte(Pte, MiMakeZeroPte());
    }
    MiUnlockPageTable(Table);
    if (Valid != MI_NO_FRAME) {
        MiDeleteValidFrame(Valid);
    }
    KiLowerIrql(OldIrql);
}

/* Lock a valid page for "I/O"; or give the oldest lock back. */
static VOID
ChangeLock(STRESS_SHARED *Shared, STRESS_ACTOR *Actor)
{
    PFN_NUMBER Table = Shared->Tables[Random(Actor, STRESS_TABLES)];
    ULONG Index = Random(Actor, STRESS_PAGES);
    KIRQL OldIrql;
    MMPTE Value;

    if (Actor->LockedCount == 16 || (Actor->LockedCount != 0 && Random(Actor, 2) == 0)) {
        MiDereferenceFrame(Actor->Locked[--Actor->LockedCount], FALSE);
        return;
    }
    OldIrql = KiRaiseIrqlToDispatch();
    MiLockPageTable(Table, LockRankPageTable);
    Value = MiReadPte(MiTableEntry(Table, Index));
    if (MiPteIsValid(Value)) {
        CHECK(MiReferenceFrame(MiGetPteFrame(Value)));
        Actor->Locked[Actor->LockedCount++] = MiGetPteFrame(Value);
    }
    MiUnlockPageTable(Table);
    KiLowerIrql(OldIrql);
}

/* "Write" a modified page out and fail, or leave it alone: its only copy is in RAM. */
static VOID
WriteOut(STRESS_SHARED *Shared, STRESS_ACTOR *Actor)
{
    PFN_NUMBER Table = Shared->Tables[Random(Actor, STRESS_TABLES)];
    MMPTE Value = MiReadPte(MiTableEntry(Table, Random(Actor, STRESS_PAGES) | 1));

    if (MiPteIsTransition(Value) && MiBeginPageWrite(MiGetPteFrame(Value))) {
        MiEndPageWrite(MiGetPteFrame(Value), FALSE, MiMakeZeroPte());
    }
}

static VOID
MarkBadAndGood(STRESS_ACTOR *Actor)
{
    PHYSICAL_ADDRESS Start;
    LARGE_INTEGER Bytes;
    PFN_NUMBER Frame = 0x100 + Random(Actor, (ULONG)MiHighestFrame - 0x200);

    for (ULONG Good = 0; Good < 2; Good++) {
        Start.QuadPart = (LONGLONG)(Frame << PAGE_SHIFT);
        Bytes.QuadPart = 2 * PAGE_SIZE;
        CHECK_STATUS(STATUS_SUCCESS, Good ? MmMarkPhysicalMemoryAsGood(&Start, &Bytes)
                                          : MmMarkPhysicalMemoryAsBad(&Start, &Bytes));
    }
}

/* --- The run ---------------------------------------------------------------------------------- */

static VOID
Act(STRESS_SHARED *Shared, STRESS_ACTOR *Actor)
{
    switch (Random(Actor, 16)) {
    case 0: case 1: case 2:
        GetSome(Actor);
        break;
    case 3: case 4:
        FreeSome(Actor, 1 + Random(Actor, 20));
        break;
    case 5:
        ChangeRun(Actor);
        break;
    case 6: case 7: case 8: case 9:
        Fault(Shared, Actor);
        break;
    case 10: case 11:
        Trim(Shared, Actor);
        break;
    case 12:
        Delete(Shared->Tables[Random(Actor, STRESS_TABLES)], Random(Actor, STRESS_PAGES));
        break;
    case 13:
        ChangeLock(Shared, Actor);
        break;
    case 14:
        WriteOut(Shared, Actor);
        break;
    default:
        if (Random(Actor, 16) == 0) {
            MiZeroFreePages(16);
            MarkBadAndGood(Actor);
        }
        if (Random(Actor, 32) == 0) {
            MiDrainPageCaches();
        }
        break;
    }
}

static VOID
StressProcessor(ULONG Number, PVOID Context)
{
    STRESS_SHARED *Shared = Context;
    STRESS_ACTOR Actor = {.Number = Number, .Random = Shared->Seed * 977 + Number};
    ULONG64 Operations = 0;

    while (time(NULL) < Shared->End) {
        for (ULONG Step = 0; Step < 200; Step++) {
            Act(Shared, &Actor);
        }
        Operations += 200;
    }
    FreeSome(&Actor, STRESS_HELD);
    for (ULONG Index = 0; Index < STRESS_RUNS; Index++) {
        if (Actor.Runs[Index].PageCount != 0) {
            MiFreeContiguousFrames(Actor.Runs[Index].First, Actor.Runs[Index].PageCount);
        }
    }
    while (Actor.LockedCount != 0) {
        MiDereferenceFrame(Actor.Locked[--Actor.LockedCount], TRUE);
    }
    __atomic_fetch_add(&Shared->Operations, Operations, __ATOMIC_RELAXED);
}

VOID
StressPageFrames(ULONG Seconds, ULONG64 Seed)
{
    STRESS_SHARED Shared = {.Seed = Seed, .End = time(NULL) + Seconds};

    for (ULONG Index = 0; Index < STRESS_TABLES; Index++) {
        Shared.Tables[Index] = MiGetFrame(MI_GET_ZEROED, MM_ANY_NODE_OK, MiUsePageTable);
        MiInitializePageTableFrame(Shared.Tables[Index], NULL);
    }
    HaltRunEverywhere(StressProcessor, &Shared);
    MiValidatePfnDatabase();
    for (ULONG Index = 0; Index < STRESS_TABLES; Index++) {
        for (ULONG Page = 0; Page < STRESS_PAGES; Page++) {
            Delete(Shared.Tables[Index], Page);
        }
        CHECK_EQ(MiFrameShareCount(Shared.Tables[Index]), 1);
        MiFreePageTableFrame(Shared.Tables[Index]);
    }
    CHECK(Shared.Operations != 0);
}

/* --- Frames in the caches of others ----------------------------------------------------------- */

/* Every processor but the first leaves frames in its cache. */
static VOID
FillCache(ULONG Number, PVOID Context)
{
    PFN_NUMBER Frames[20];

    (VOID)Context;
    if (Number != 0) {
        CHECK_EQ(MiGetFrames(MI_GET_ALL, MM_ANY_NODE_OK, MiUseSystemPte, 20, Frames), 20);
        MiFreeFrames(Frames, 20);
    }
}

VOID
StressOtherCaches(VOID)
{
    PFN_NUMBER Chain = MI_NO_FRAME;
    PFN_NUMBER Frame;
    SIZE_T Before = MiAvailablePages();
    SIZE_T Count = 0;

    MiDrainPageCaches();
    HaltRunEverywhere(FillCache, NULL);
    while ((Frame = MiGetFrame(MI_GET_RESERVE, MM_ANY_NODE_OK, MiUseSystemPte)) != MI_NO_FRAME) {
        MiPfn(Frame)->Owner = Chain;
        Chain = Frame;
        Count += 1;
    }
    CHECK_EQ(Count, Before);
    CHECK_EQ(MiAvailablePages(), 0);
    for (; Chain != MI_NO_FRAME; Chain = Frame) {
        Frame = MiPfn(Chain)->Owner;
        MiFreeFrame(Chain);
    }
}
