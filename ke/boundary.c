/*
 * Stack walks, and the parts of the boundary that need no assembly. boundary.h has the theory.
 *
 * A walk changes between two ways of stepping. Among core frames it follows frame pointers, checked against
 * the thread's stacks; at the frame that returns to KiExportReturn it goes on with the image that made the call, whose
 * registers the export record holds, by the image's unwind data; when that leads out of images, the next older
 * record is the callback that the core made, and its frame pointer leads on. A barrier record, or anything that does not
 * fit, ends the walk. Nothing here takes a lock or touches memory that is not resident.
 */
#include "kep.h"

static BOOLEAN KipNoUnwind(PKI_UNWIND_STATE State, BOOLEAN FirstFrame);
static BOOLEAN KipNoImage(ULONG64 Address);

KI_IMAGE_UNWIND *KiImageUnwind = KipNoUnwind;
BOOLEAN (*KiIsImageAddress)(ULONG64 Address) = KipNoImage;
PVOID *KiExportTable;
ULONG KiExportCount;
ULONG KiImageEpoch;

/* The core's code, from the linker. */
extern const UCHAR __executable_start[];
extern const UCHAR etext[];

/* A walk in progress. */
typedef struct _KI_WALK {
    PVOID *Frames;
    ULONG Maximum;
    ULONG Count;
    ULONG Skip;
    BOOLEAN ImagesOnly;
    struct _KTHREAD *Thread;
    PKI_BOUNDARY_RECORD Record; /* one above the newest not used yet */
    PKI_UNWIND_LOG Log;         /* or NULL */
} KI_WALK;

static BOOLEAN
KipNoUnwind(PKI_UNWIND_STATE State, BOOLEAN FirstFrame)
{
    (VOID)State;
    (VOID)FirstFrame;
    return FALSE;
}

static BOOLEAN
KipNoImage(ULONG64 Address)
{
    (VOID)Address;
    return FALSE;
}

BOOLEAN
KiIsCoreCode(ULONG64 Address)
{
    return Address >= (ULONG_PTR)__executable_start && Address < (ULONG_PTR)etext;
}

BOOLEAN
KiIsOnStack(const struct _KTHREAD *Thread, ULONG64 Address)
{
    const KI_STACK_SEGMENT *Segment;

    for (Segment = &Thread->Stack; Segment != NULL; Segment = Segment->Previous) {
        if (Address >= Segment->Limit && Address + 16 <= Segment->Base) {
            return (Address & 7) == 0;
        }
    }
    return FALSE;
}

/* Store a frame; FALSE when there is no room for more. */
static BOOLEAN
KipAddFrame(KI_WALK *Walk, ULONG64 Address)
{
    if (Walk->Skip > 0) {
        Walk->Skip -= 1;
        return TRUE;
    }
    if (Walk->Count == Walk->Maximum) {
        return FALSE;
    }
    Walk->Frames[Walk->Count++] = (PVOID)Address;
    return TRUE;
}

/* The next older record of a kind, not beyond a barrier. */
static PKI_BOUNDARY_RECORD
KipOlderRecord(KI_WALK *Walk, ULONG Kind)
{
    while (Walk->Record > Walk->Thread->Boundaries) {
        Walk->Record -= 1;
        if (Walk->Record->Kind == KI_BOUNDARY_BARRIER) {
            break;
        }
        if (Walk->Record->Kind == Kind) {
            return Walk->Record;
        }
    }
    Walk->Record = Walk->Thread->Boundaries;
    return NULL;
}

/* The next older record of an image's registers: a call of the core, or an exception. */
static PKI_BOUNDARY_RECORD
KipOlderImage(KI_WALK *Walk)
{
    while (Walk->Record > Walk->Thread->Boundaries) {
        Walk->Record -= 1;
        if (Walk->Record->Kind == KI_BOUNDARY_BARRIER) {
            break;
        }
        if (Walk->Record->Kind == KI_BOUNDARY_EXPORT || Walk->Record->Kind == KI_BOUNDARY_TRAP) {
            return Walk->Record;
        }
    }
    Walk->Record = Walk->Thread->Boundaries;
    return NULL;
}

/* Is Return the place where the next older exception interrupted an image? */
static BOOLEAN
KipIsTrapReturn(const KI_WALK *Walk, ULONG64 Return)
{
    KI_WALK Peek = *Walk;
    PKI_BOUNDARY_RECORD Record = KipOlderImage(&Peek);

    return Record != NULL && Record->Kind == KI_BOUNDARY_TRAP && Record->Rip == Return;
}

/*
 * Follow frame pointers from Frame. TRUE at a frame that returns to KiExportReturn or is an exception's that
 * interrupted an image; FALSE at the end of the walk.
 */
static BOOLEAN
KipWalkCore(KI_WALK *Walk, ULONG64 Frame)
{
    const ULONG64 *Words;
    ULONG64 Return;

    while (KiIsOnStack(Walk->Thread, Frame)) {
        Words = (const ULONG64 *)Frame;
        Return = Words[1];
        if (Return == (ULONG_PTR)KiExportReturn ||
            (!KiIsCoreCode(Return) && KipIsTrapReturn(Walk, Return))) {
            return TRUE;
        }
        if (!KiIsCoreCode(Return) || (!Walk->ImagesOnly && !KipAddFrame(Walk, Return))) {
            return FALSE;
        }
        if (Words[0] == Frame) {
            return FALSE;
        }
        Frame = Words[0];
    }
    return FALSE;
}

static BOOLEAN
KipLogIncomplete(KI_WALK *Walk, BOOLEAN Result)
{
    if (Walk->Log != NULL) {
        Walk->Log->Incomplete = TRUE;
    }
    return Result;
}

/* Store the image frames that begin with State, until they lead out of images. FALSE if there is no more room. */
static BOOLEAN
KipWalkImage(KI_WALK *Walk, PKI_UNWIND_STATE State, BOOLEAN FirstFrame)
{
    State->Log = Walk->Log;
    while (KiIsImageAddress(State->Rip)) {
        if (!KipAddFrame(Walk, State->Rip)) {
            return KipLogIncomplete(Walk, FALSE);
        }
        if (!KiImageUnwind(State, FirstFrame)) {
            return KipLogIncomplete(Walk, TRUE);
        }
        FirstFrame = FALSE;
    }
    return KiIsCoreCode(State->Rip) ? TRUE : KipLogIncomplete(Walk, TRUE);
}

/* Where an image goes on after the call that a record is of, or where an exception interrupted it. */
static VOID
KipStateOfRecord(const KI_BOUNDARY_RECORD *Record, PKI_UNWIND_STATE State)
{
    State->Rip = Record->Rip;
    State->Rsp = Record->Kind == KI_BOUNDARY_TRAP ? Record->Rsp : Record->Rsp + 8;
    State->Rbx = Record->Rbx;
    State->Rbp = Record->Rbp;
    State->Rsi = Record->Rsi;
    State->Rdi = Record->Rdi;
    State->R12 = Record->R12;
    State->R13 = Record->R13;
    State->R14 = Record->R14;
    State->R15 = Record->R15;
}

/* Go on with the newest call from an image that was not used yet, and with what is below it. */
static VOID
KipWalkRecords(KI_WALK *Walk)
{
    KI_UNWIND_STATE State;
    PKI_BOUNDARY_RECORD Record;

    while ((Record = KipOlderImage(Walk)) != NULL) {
        if (Record != Walk->Thread->BoundaryTop - 1) {
            KipLogIncomplete(Walk, TRUE);
        }
        KipStateOfRecord(Record, &State);
        if (!KipWalkImage(Walk, &State, Record->Kind == KI_BOUNDARY_TRAP)) {
            return;
        }
        if (Walk->ImagesOnly) {
            continue;
        }
        Record = KipOlderRecord(Walk, KI_BOUNDARY_CALLBACK);
        if (Record == NULL || !KipWalkCore(Walk, Record->Rbp)) {
            return;
        }
    }
}

static VOID
KipBeginWalk(KI_WALK *Walk, struct _KTHREAD *Thread, PVOID *Frames, ULONG Maximum, ULONG Skip)
{
    Walk->Frames = Frames;
    Walk->Maximum = Maximum;
    Walk->Count = 0;
    Walk->Skip = Skip;
    Walk->ImagesOnly = FALSE;
    Walk->Thread = Thread;
    Walk->Record = Thread->BoundaryTop;
    Walk->Log = NULL;
}

ULONG
KiCaptureStack(PVOID *Frames, ULONG Maximum, ULONG Skip)
{
    struct _KTHREAD *Thread = KiCurrentThread();
    KI_WALK Walk;

    if (Thread == NULL) {
        return 0;
    }
    KipBeginWalk(&Walk, Thread, Frames, Maximum, Skip);
    if (KipWalkCore(&Walk, (ULONG_PTR)__builtin_frame_address(0))) {
        KipWalkRecords(&Walk);
    }
    return Walk.Count;
}

ULONG
KiCaptureThreadStack(struct _KTHREAD *Thread, PVOID *Frames, ULONG Maximum)
{
    KI_WALK Walk;

    KipBeginWalk(&Walk, Thread, Frames, Maximum, 0);
    Walk.ImagesOnly = TRUE;
    KipWalkRecords(&Walk);
    return Walk.Count;
}

ULONG
KiCaptureImageStack(PVOID *Frames, ULONG Maximum)
{
    struct _KTHREAD *Thread = KiCurrentThread();

    return Thread == NULL ? 0 : KiCaptureThreadStack(Thread, Frames, Maximum);
}

ULONG
KiCaptureImageStackLog(PVOID *Frames, ULONG Maximum, PKI_UNWIND_LOG Log)
{
    struct _KTHREAD *Thread = KiCurrentThread();
    KI_WALK Walk;

    Log->Count = 0;
    Log->Incomplete = Thread == NULL;
    if (Thread == NULL) {
        return 0;
    }
    KipBeginWalk(&Walk, Thread, Frames, Maximum, 0);
    Walk.ImagesOnly = TRUE;
    Walk.Log = Log;
    KipWalkRecords(&Walk);
    return Walk.Count;
}

PKI_BOUNDARY_RECORD
KiOnlyImageRecord(VOID)
{
    struct _KTHREAD *Thread = KiCurrentThread();
    KI_WALK Walk;

    if (!KiInImageCode()) {
        return NULL;
    }
    KipBeginWalk(&Walk, Thread, NULL, 0, 0);
    Walk.Record -= 1;
    return KipOlderImage(&Walk) == NULL ? Thread->BoundaryTop - 1 : NULL;
}

ULONG
KiCaptureTrapStack(PKTRAP_FRAME TrapFrame, PVOID *Frames, ULONG Maximum)
{
    struct _KTHREAD *Thread = KiCurrentThread();
    PKI_BOUNDARY_RECORD Record;
    KI_UNWIND_STATE State;
    KI_WALK Walk;

    if (Thread == NULL) {
        return 0;
    }
    KipBeginWalk(&Walk, Thread, Frames, Maximum, 0);
    if (!KiIsImageAddress(TrapFrame->Rip)) {
        KipAddFrame(&Walk, TrapFrame->Rip);
        if (KipWalkCore(&Walk, TrapFrame->Rbp)) {
            KipWalkRecords(&Walk);
        }
        return Walk.Count;
    }
    RtlZeroMemory(&State, sizeof(State));
    State.Rip = TrapFrame->Rip;
    State.Rsp = TrapFrame->Rsp;
    State.Rbx = TrapFrame->Rbx;
    State.Rbp = TrapFrame->Rbp;
    State.Rsi = TrapFrame->Rsi;
    State.Rdi = TrapFrame->Rdi;
    State.R12 = TrapFrame->P1Home;
    State.R13 = TrapFrame->P2Home;
    State.R14 = TrapFrame->P3Home;
    State.R15 = TrapFrame->P4Home;
    if (KipWalkImage(&Walk, &State, TRUE)) {
        Record = KipOlderRecord(&Walk, KI_BOUNDARY_CALLBACK);
        if (Record != NULL && KipWalkCore(&Walk, Record->Rbp)) {
            KipWalkRecords(&Walk);
        }
    }
    return Walk.Count;
}

/* --- Records ------------------------------------------------------------------------------------------- */

/* Called by boundary.S when all records of a thread are in use. */
VOID DECLSPEC_NORETURN KiBoundaryOverflow(VOID);

VOID DECLSPEC_NORETURN
KiBoundaryOverflow(VOID)
{
    KeBugCheckEx(UNEXPECTED_KERNEL_MODE_TRAP, 8, 0, 0, 0);
}

PKI_BOUNDARY_RECORD
KiPushBoundary(ULONG Kind, PVOID Data)
{
    struct _KTHREAD *Thread = KiCurrentThread();
    PKI_BOUNDARY_RECORD Record = Thread->BoundaryTop;

    if (Record >= Thread->BoundaryLimit) {
        KiBoundaryOverflow();
    }
    Thread->BoundaryTop = Record + 1;
    /* An interrupt from here on uses the records above. */
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    Record->Kind = Kind;
    Record->Index = 0;
    Record->Data = Data;
    Record->Rip = 0;
    Record->Rsp = (ULONG_PTR)__builtin_frame_address(0);
    return Record;
}

VOID
KiPopBoundary(ULONG Kind)
{
    struct _KTHREAD *Thread = KiCurrentThread();

    NT_ASSERT(Thread->BoundaryTop > Thread->Boundaries && Thread->BoundaryTop[-1].Kind == Kind);
    Thread->BoundaryTop -= 1;
}

VOID
KiEnterBoundary(VOID)
{
    KiPushBoundary(KI_BOUNDARY_BARRIER, NULL);
}

VOID
KiLeaveBoundary(VOID)
{
    KiPopBoundary(KI_BOUNDARY_BARRIER);
}

PKI_BOUNDARY_RECORD
KiFindBoundaryRecord(ULONG Kind)
{
    KI_WALK Walk;

    KipBeginWalk(&Walk, KiCurrentThread(), NULL, 0, 0);
    return KipOlderRecord(&Walk, Kind);
}

typedef ULONG_PTR NTAPI KI_ROUTINE(ULONG_PTR A1, ULONG_PTR A2, ULONG_PTR A3, ULONG_PTR A4);

ULONG_PTR
KiCallRoutine(PVOID Routine, ULONG_PTR A1, ULONG_PTR A2, ULONG_PTR A3, ULONG_PTR A4)
{
    if (KiIsCoreCode((ULONG_PTR)Routine)) {
        return ((KI_ROUTINE *)Routine)(A1, A2, A3, A4);
    }
    return KiCallImage(Routine, A1, A2, A3, A4);
}
