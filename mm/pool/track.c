/*
 * Who allocated: stacks of images' allocations, each different one kept once, known by a number.
 *
 * The number fits the 20 bits that a block's header has for it: page of the table * 256 + place in
 * the page, in units of 16 bytes; 0 is no stack. Records are never changed and never freed, so
 * looking one up takes no lock; a new one is entered under a leaf lock. When the table is full, or no
 * page can be had for it, further stacks are number 0.
 *
 * Unwinding an image's frames costs thousands of instructions, and images mostly ask again where they
 * asked before. So each processor remembers stacks by what their unwinding depended on: the place of the
 * call, and the return addresses and saved frame pointers that were read from the stack. If all of these
 * are as they were, relative to the stack pointer where they are addresses of the stack, the frames are as
 * they were. Registers and saved registers that are neither have led nowhere and may change.
 */
#include "poolp.h"

BOOLEAN MiPoolTrack = TRUE;

typedef struct _MIP_STACK {
    ULONG Next; /* (A) id of the next in the bucket */
    ULONG Hash;
    ULONG Count;
    ULONG Reserved;
    PVOID Frames[];
} MIP_STACK, *PMIP_STACK;

#define MIP_STACK_PAGES   ((1u << MI_STACK_ID_BITS) / 256)
#define MIP_STACK_BUCKETS 4096

static PUCHAR MipStackPages[MIP_STACK_PAGES];    /* (A) set once */
static ULONG MipStackBuckets[MIP_STACK_BUCKETS]; /* (A) */
static ULONG MipStackNext = 1; /* (lock) id of the next record; unit 0 of page 0 is left out */
static KSPIN_LOCK MipStackLock;

static PMIP_STACK
MipStackOf(ULONG Id)
{
    return (PMIP_STACK)(__atomic_load_n(&MipStackPages[Id >> 8], __ATOMIC_ACQUIRE) + (SIZE_T)(Id & 255) * 16);
}

static ULONG
MipFindStack(ULONG Hash, PVOID *Frames, ULONG Count)
{
    ULONG Id = __atomic_load_n(&MipStackBuckets[Hash % MIP_STACK_BUCKETS], __ATOMIC_ACQUIRE);
    PMIP_STACK Stack;

    while (Id != 0) {
        Stack = MipStackOf(Id);
        if (Stack->Hash == Hash && Stack->Count == Count &&
            __builtin_memcmp(Stack->Frames, Frames, Count * sizeof(PVOID)) == 0) {
            return Id;
        }
        Id = __atomic_load_n(&Stack->Next, __ATOMIC_ACQUIRE);
    }
    return 0;
}

/* Room for a record; 0 if the table is full or *Page, a fresh page, is needed and missing. Takes *Page if it
 * uses it. */
static ULONG
MipReserveStackLocked(ULONG Units, PVOID *Page)
{
    ULONG Id = MipStackNext;

    if ((Id & 255) + Units > 256) {
        Id = (Id | 255) + 1;
    }
    if (Id + Units > 1u << MI_STACK_ID_BITS) {
        return 0;
    }
    if (MipStackPages[Id >> 8] == NULL) {
        if (*Page == NULL) {
            return 0;
        }
        __atomic_store_n(&MipStackPages[Id >> 8], *Page, __ATOMIC_RELEASE);
        *Page = NULL;
    }
    MipStackNext = Id + Units;
    return Id;
}

static ULONG
MipEnterStack(ULONG Hash, PVOID *Frames, ULONG Count, PVOID *Page)
{
    ULONG *Bucket = &MipStackBuckets[Hash % MIP_STACK_BUCKETS];
    PMIP_STACK Stack;
    KIRQL OldIrql;
    ULONG Id;

    OldIrql = KiAcquireRankedLockRaise(&MipStackLock, LockRankTracker);
    Id = MipFindStack(Hash, Frames, Count);
    if (Id == 0) {
        Id = MipReserveStackLocked(1 + (Count + 1) / 2, Page);
        if (Id != 0) {
            Stack = MipStackOf(Id);
            Stack->Hash = Hash;
            Stack->Count = Count;
            Stack->Next = *Bucket;
            __builtin_memcpy(Stack->Frames, Frames, Count * sizeof(PVOID));
            __atomic_store_n(Bucket, Id, __ATOMIC_RELEASE);
        }
    }
    KiReleaseRankedLockLower(&MipStackLock, OldIrql);
    return Id;
}

ULONG
MiNotePoolStack(PVOID *Frames, ULONG Count)
{
    ULONG64 Mix = Count;
    PVOID Page = NULL;
    ULONG Hash, Id, Index;

    if (Count == 0) {
        return 0;
    }
    Count = MIN(Count, MI_STACK_FRAMES);
    for (Index = 0; Index < Count; Index += 1) {
        Mix = (Mix ^ (ULONG64)(ULONG_PTR)Frames[Index]) * 0x9E3779B97F4A7C15ull;
    }
    Hash = (ULONG)(Mix >> 32);
    Id = MipFindStack(Hash, Frames, Count);
    if (Id == 0) {
        Id = MipEnterStack(Hash, Frames, Count, &Page);
    }
    if (Id == 0 && MipStackNext < (1u << MI_STACK_ID_BITS) - 256) {
        Page = MipAllocateMetaPage(TRUE);
        if (Page != NULL) {
            Id = MipEnterStack(Hash, Frames, Count, &Page);
        }
    }
    if (Page != NULL) {
        MipFreeMetaPage(Page);
        __atomic_fetch_sub(&MiPoolPermanentPages, 1, __ATOMIC_RELAXED);
    }
    return Id;
}

ULONG
MiQueryPoolStack(ULONG StackId, PVOID *Frames, ULONG Maximum)
{
    PMIP_STACK Stack;
    ULONG Count;

    if (StackId == 0 || StackId >= 1u << MI_STACK_ID_BITS || MipStackPages[StackId >> 8] == NULL) {
        return 0;
    }
    Stack = MipStackOf(StackId);
    Count = MIN(Stack->Count, Maximum);
    __builtin_memcpy(Frames, Stack->Frames, Count * sizeof(PVOID));
    return Count;
}

/* --- Remembered stacks ------------------------------------------------------------------------ */

#define MIP_MEMO_READS 30
#define MIP_MEMO_WAYS  4

/* A value, at Offset from the stack pointer or, if that is negative, in register ~Offset of the record. */
typedef struct _MIP_MEMO_READ {
    LONG Offset;
    ULONG Relative; /* Value is less the stack pointer */
    ULONG64 Value;
} MIP_MEMO_READ;

typedef struct _MI_STACK_MEMO {
    ULONG64 Rip; /* of the call; 0: unused */
    ULONG Epoch;
    ULONG StackId;
    ULONG Count;
    ULONG Reach; /* bytes of the stack that must be there */
    ULONG64 Reserved;
    MIP_MEMO_READ Reads[MIP_MEMO_READS];
} MIP_STACK_MEMO, *PMIP_STACK_MEMO;

_Static_assert(sizeof(MIP_STACK_MEMO) == 512, "eight to a page");
#define MIP_MEMO_SETS (MI_MEMO_PAGES * PAGE_SIZE / sizeof(MIP_STACK_MEMO) / MIP_MEMO_WAYS)

/* The registers that a call preserves, as the record has them. */
#define MIP_MEMO_REGISTERS 8
_Static_assert(FIELD_OFFSET(KI_BOUNDARY_RECORD, R15) - FIELD_OFFSET(KI_BOUNDARY_RECORD, Rbx) ==
                   (MIP_MEMO_REGISTERS - 1) * sizeof(ULONG64), "in a row");

/* Where the stack that the record's call was made on ends; 0 if that is not the one in use. */
static ULONG_PTR
MipStackEnd(const KI_BOUNDARY_RECORD *Record)
{
    const KI_STACK_SEGMENT *Stack = &KiCurrentThread()->Stack;

    return Record->Rsp >= Stack->Limit && Record->Rsp < Stack->Base ? Stack->Base : 0;
}

static BOOLEAN
MipMemoFits(const MIP_STACK_MEMO *Memo, const KI_BOUNDARY_RECORD *Record)
{
    const MIP_MEMO_READ *Read;
    ULONG64 Actual;

    for (Read = Memo->Reads; Read < Memo->Reads + Memo->Count; Read += 1) {
        Actual = Read->Offset < 0 ? (&Record->Rbx)[~Read->Offset] : *(const ULONG64 *)(Record->Rsp + (ULONG)Read->Offset);
        if (Actual - (Read->Relative ? Record->Rsp : 0) != Read->Value) {
            return FALSE;
        }
    }
    return TRUE;
}

/* The memos of this processor that may be of the record's stack; NULL if there are none yet. At DISPATCH_LEVEL. */
static PMIP_STACK_MEMO
MipMemoSet(const KI_BOUNDARY_RECORD *Record, PVOID **Place)
{
    ULONG64 Hash = (Record->Rip ^ Record->Rsp << 20) * 0x9E3779B97F4A7C15ull;
    ULONG Set = (ULONG)(Hash >> 32) % MIP_MEMO_SETS;
    ULONG SetsPerPage = MIP_MEMO_SETS / MI_MEMO_PAGES;

    *Place = &MipCurrentCache()->Memos[Set / SetsPerPage];
    return **Place == NULL ? NULL : (PMIP_STACK_MEMO)**Place + (SIZE_T)(Set % SetsPerPage) * MIP_MEMO_WAYS;
}

/* The id of the record's stack, 0 if it is not remembered. */
static ULONG
MipRecallStack(const KI_BOUNDARY_RECORD *Record, ULONG_PTR StackEnd)
{
    ULONG Epoch = __atomic_load_n(&KiImageEpoch, __ATOMIC_ACQUIRE);
    KIRQL OldIrql = KiRaiseIrqlToDispatch();
    PMIP_STACK_MEMO Memo;
    ULONG Way, Id = 0;
    PVOID *Page;

    Memo = MipMemoSet(Record, &Page);
    for (Way = 0; Way < MIP_MEMO_WAYS && Memo != NULL && Id == 0; Way += 1, Memo += 1) {
        if (Memo->Rip == Record->Rip && Memo->Epoch == Epoch && StackEnd - Record->Rsp >= Memo->Reach &&
            MipMemoFits(Memo, Record)) {
            Id = Memo->StackId;
        }
    }
    KiLowerIrql(OldIrql);
    return Id;
}

/* Add what a value said, if it may have led anywhere. FALSE: no room. */
static BOOLEAN
MipAddRead(PMIP_STACK_MEMO Memo, const KI_BOUNDARY_RECORD *Record, ULONG_PTR StackEnd, LONG Offset, ULONG64 Value)
{
    BOOLEAN Relative = Value >= Record->Rsp && Value < StackEnd;

    if (!Relative && (Offset < 0 || (!KiIsCoreCode(Value) && !KiIsImageAddress(Value)))) {
        return TRUE;
    }
    if (Memo->Count == MIP_MEMO_READS) {
        return FALSE;
    }
    Memo->Reads[Memo->Count] =
        (MIP_MEMO_READ){.Offset = Offset, .Relative = Relative, .Value = Value - (Relative ? Record->Rsp : 0)};
    Memo->Count += 1;
    if (Offset >= 0) {
        Memo->Reach = MAX(Memo->Reach, (ULONG)Offset + (ULONG)sizeof(ULONG64));
    }
    return TRUE;
}

/* Fill in a memo. FALSE: this stack cannot be remembered. */
static BOOLEAN
MipMakeMemo(PMIP_STACK_MEMO Memo, const KI_BOUNDARY_RECORD *Record, ULONG_PTR StackEnd, const KI_UNWIND_LOG *Log)
{
    ULONG Index;

    for (Index = 0; Index < MIP_MEMO_REGISTERS; Index += 1) {
        if (!MipAddRead(Memo, Record, StackEnd, ~(LONG)Index, (&Record->Rbx)[Index])) {
            return FALSE;
        }
    }
    for (Index = 0; Index < Log->Count; Index += 1) {
        if (Log->Reads[Index].Address < Record->Rsp || Log->Reads[Index].Address >= StackEnd ||
            !MipAddRead(Memo, Record, StackEnd, (LONG)(Log->Reads[Index].Address - Record->Rsp), Log->Reads[Index].Value)) {
            return FALSE;
        }
    }
    return TRUE;
}

static VOID
MipRememberStack(const KI_BOUNDARY_RECORD *Record, ULONG_PTR StackEnd, const KI_UNWIND_LOG *Log, ULONG Id)
{
    MIP_STACK_MEMO Made = {.Rip = Record->Rip, .StackId = Id};
    PMIP_STACK_MEMO Set;
    KIRQL OldIrql;
    PVOID *Page;
    ULONG Way;

    Made.Epoch = __atomic_load_n(&KiImageEpoch, __ATOMIC_ACQUIRE);
    if (!MipMakeMemo(&Made, Record, StackEnd, Log)) {
        return;
    }
    OldIrql = KiRaiseIrqlToDispatch();
    Set = MipMemoSet(Record, &Page);
    if (Set == NULL) {
        *Page = MipAllocateMetaPage(TRUE);
        Set = MipMemoSet(Record, &Page);
    }
    if (Set != NULL) {
        /* The oldest goes. */
        for (Way = MIP_MEMO_WAYS - 1; Way != 0; Way -= 1) {
            Set[Way] = Set[Way - 1];
        }
        Set[0] = Made;
    }
    KiLowerIrql(OldIrql);
}

ULONG
MipCaptureImageStack(VOID)
{
    PKI_BOUNDARY_RECORD Record = KiOnlyImageRecord();
    ULONG_PTR StackEnd = Record == NULL ? 0 : MipStackEnd(Record);
    PVOID Frames[MI_STACK_FRAMES];
    KI_UNWIND_LOG Log;
    ULONG Id;

    Id = StackEnd == 0 ? 0 : MipRecallStack(Record, StackEnd);
    if (Id == 0) {
        Id = MiNotePoolStack(Frames, KiCaptureImageStackLog(Frames, MI_STACK_FRAMES, &Log));
        if (Id != 0 && StackEnd != 0 && !Log.Incomplete) {
            MipRememberStack(Record, StackEnd, &Log, Id);
        }
    }
    return Id;
}
