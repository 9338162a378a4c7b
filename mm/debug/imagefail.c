/*
 * Failures injected into what images ask for; see imagefail.h and mm/phys/inject.h.
 *
 * A request is a call from an image that is about to allocate, so each call counts once: its boundary record is marked.
 * Numbers, call stacks and with them the decisions are a function of the run so far, so two runs with one seed are alike
 * up to the first request that only one of them refuses. That is why a stack refused under "stacks" can be refused
 * again by its number.
 *
 * Any IRQL, no locks. The list of known stacks does not change while a run goes on; records are written before anybody
 * reads them, which is at the end.
 */
#include "imagefail.h"
#include <ke/boundary.h>

static MI_INJECT_RECORD MipInjectRecords[MI_INJECT_RECORDS];
static volatile ULONG MipInjectRecordCount;
static ULONG64 MipKnownStacks[MI_INJECT_STACKS]; /* constant while a run goes on */
static ULONG MipKnownStackCount;
static BOOLEAN MipImageByStack; /* else by MipImageRule */
static MI_INJECT_MODE MipImageRule;

ULONG64 (*MiInjectModuleOffset)(PVOID Address);

const MI_INJECT_RECORD *
MiGetInjectRecord(ULONG Index)
{
    ULONG Count = __atomic_load_n(&MipInjectRecordCount, __ATOMIC_ACQUIRE);

    return Index < MIN(Count, MI_INJECT_RECORDS) ? &MipInjectRecords[Index] : NULL;
}

/* FALSE if there is no room for more. */
static BOOLEAN
MipAddKnownStack(ULONG64 StackHash)
{
    if (MipKnownStackCount == MI_INJECT_STACKS) {
        return FALSE;
    }
    MipKnownStacks[MipKnownStackCount++] = StackHash;
    return TRUE;
}

static BOOLEAN
MipIsKnownStack(ULONG64 StackHash)
{
    for (ULONG Index = 0; Index < MipKnownStackCount; Index += 1) {
        if (MipKnownStacks[Index] == StackHash) {
            return TRUE;
        }
    }
    return FALSE;
}

/* Who asks, and from where. */
static VOID
MipDescribeRequest(const KI_BOUNDARY_RECORD *Call, PMI_INJECT_RECORD Record)
{
    Record->Export = Call->Index & ~KI_BOUNDARY_ASKED;
    Record->FrameCount = KiCaptureImageStack(Record->Frames, MI_INJECT_FRAMES);
    Record->StackHash = Record->FrameCount;
    for (ULONG Index = 0; Index < Record->FrameCount; Index += 1) {
        PVOID Frame = Record->Frames[Index];
        ULONG64 Place = MiInjectModuleOffset != NULL ? MiInjectModuleOffset(Frame) : (ULONG_PTR)Frame;

        Record->StackHash = (Record->StackHash ^ Place) * 0x9E3779B97F4A7C15ull;
        Record->StackHash ^= Record->StackHash >> 32;
    }
}

/* Refuse a request; one of several processors that want to refuse the only one wins. */
static BOOLEAN
MipRefuse(const MI_INJECT_RECORD *Record)
{
    ULONG64 None = 0;
    ULONG Slot;

    if (!MipImageByStack) {
        __atomic_fetch_add(&MiInject.Failures, 1, __ATOMIC_RELAXED);
    } else if (!__atomic_compare_exchange_n(&MiInject.Failures, &None, 1, FALSE, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
        return FALSE;
    }
    Slot = __atomic_fetch_add(&MipInjectRecordCount, 1, __ATOMIC_ACQ_REL);
    if (Slot < MI_INJECT_RECORDS) {
        MipInjectRecords[Slot] = *Record;
    }
    return TRUE;
}

/* The call that an image has in progress, if it did not ask before; it has asked now. */
static PKI_BOUNDARY_RECORD
MipNoteImageRequest(VOID)
{
    PKI_BOUNDARY_RECORD Call;

    if (!KiInImageCode()) {
        return NULL;
    }
    Call = KiCurrentThread()->BoundaryTop - 1;
    if (Call->Index & KI_BOUNDARY_ASKED) {
        return NULL;
    }
    Call->Index |= KI_BOUNDARY_ASKED;
    return Call;
}

/*
 * A call from an image is about to allocate: count it and say whether it fails. Exempt: it never does, and is not counted.
 * MI_INJECT_STATE.ImageRequest.
 */
static BOOLEAN
MipImageRequest(BOOLEAN Exempt)
{
    PKI_BOUNDARY_RECORD Call = MipNoteImageRequest();
    MI_INJECT_RECORD Record;

    if (Call == NULL || Exempt) {
        return FALSE;
    }
    Record.Request = __atomic_add_fetch(&MiInject.Requests, 1, __ATOMIC_RELAXED);
    if (!MipImageByStack) {
        if (!MiInjectRuleFails(MipImageRule, Record.Request)) {
            return FALSE;
        }
        MipDescribeRequest(Call, &Record);
        return MipRefuse(&Record);
    }
    if (__atomic_load_n(&MiInject.Failures, __ATOMIC_RELAXED) != 0) {
        return FALSE;
    }
    MipDescribeRequest(Call, &Record);
    return !MipIsKnownStack(Record.StackHash) && MipRefuse(&Record);
}

/* --- Start ------------------------------------------------------------------------------------ */

/* Stack hashes, hexadecimal, with commas between them; they become known. */
static BOOLEAN
MipReadKnown(const char *Text)
{
    while (*Text != 0) {
        ULONG64 Hash = 0;
        ULONG Digits;

        for (Digits = 0; *Text != 0 && *Text != ','; Text++, Digits++) {
            ULONG Lower = (ULONG)(UCHAR)*Text | 0x20;
            ULONG Digit = Lower - '0' < 10 ? Lower - '0' : Lower - 'a' + 10;

            if (Digit > 15 || Digits == 16) {
                return FALSE;
            }
            Hash = Hash << 4 | Digit;
        }
        if (Digits == 0 || !MipAddKnownStack(Hash)) {
            return FALSE;
        }
        Text += *Text == ',';
    }
    return TRUE;
}

NTSTATUS
MiInjectStartImages(const char *Text, ULONG64 Seed)
{
    static const char Stacks[] = "stacks";
    ULONG64 Nth = 0;
    ULONG Rate = 0;
    ULONG Same = 0;

    MipKnownStackCount = 0;
    MipInjectRecordCount = 0;
    while (Stacks[Same] != 0 && Stacks[Same] == Text[Same]) {
        Same += 1;
    }
    Text += Stacks[Same] == 0 ? Same : 0;
    MipImageByStack = Stacks[Same] == 0;
    if (MipImageByStack) {
        if (*Text != 0 && (*Text != ':' || !MipReadKnown(Text + 1))) {
            return STATUS_INVALID_PARAMETER;
        }
    } else {
        MipImageRule = MiInjectReadRule(Text, &Nth, &Rate);
        if (MipImageRule == MiInjectOff) {
            return STATUS_INVALID_PARAMETER;
        }
    }
    MiInject.ImageRequest = MipImageRequest;
    MiInjectStart(MiInjectImage, Nth, Rate, Seed);
    return STATUS_SUCCESS;
}
