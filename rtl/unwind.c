/*
 * unwind.c - undoing a stack frame of x64 code with the unwind data of its image.
 *
 * Follows "x64 exception handling" of the Microsoft documentation: the exception directory is a
 * table of functions sorted by address; each has unwind codes that record, last instruction first,
 * what its prologue did. An interrupted function may also be in its epilogue, which has no codes in
 * version 1: an epilogue is recognized by its only allowed form (give back the fixed stack, pop
 * registers, return or jump away) and carried out here. Version 2 adds codes that say where the
 * epilogues are.
 *
 * The image and the stack are foreign: every read is range-checked against the image or goes through
 * the caller's routine, every loop is bounded. The directory must be resident. Unwind data must be
 * too, and code unless RTLP_UNWIND_CALL_SITE is given; or RTLP_UNWIND_READ_IMAGE lets the caller's
 * routine decide, for images with gaps and pages that come and go. No state, any IRQL.
 */
#include "rtl.h"

#define RTLP_MAXIMUM_CHAIN 32          /* links of chained unwind data followed */
#define RTLP_MAXIMUM_EPILOGUE 32       /* instructions */
#define RTLP_MAXIMUM_CODES 255

#define UWOP_PUSH_NONVOL 0
#define UWOP_ALLOC_LARGE 1
#define UWOP_ALLOC_SMALL 2
#define UWOP_SET_FPREG 3
#define UWOP_SAVE_NONVOL 4
#define UWOP_SAVE_NONVOL_FAR 5
#define UWOP_EPILOG 6
#define UWOP_SPARE_CODE 7
#define UWOP_SAVE_XMM128 8
#define UWOP_SAVE_XMM128_FAR 9
#define UWOP_PUSH_MACHFRAME 10

#ifndef UNW_FLAG_EHANDLER
#define UNW_FLAG_EHANDLER 1
#define UNW_FLAG_UHANDLER 2
#define UNW_FLAG_CHAININFO 4
#endif

#define RTLP_FUNCTION_INDIRECT 1 /* in UnwindData: it is the RVA of another function entry */

/* The four bytes before the unwind codes. */
typedef struct _RTLP_UNWIND_HEADER {
    UCHAR VersionAndFlags; /* version 3 bits, flags 5 */
    UCHAR SizeOfProlog;
    UCHAR CountOfCodes;
    UCHAR FrameRegisterAndOffset; /* register 4 bits, offset / 16 in 4 */
} RTLP_UNWIND_HEADER;
C_ASSERT(sizeof(RTLP_UNWIND_HEADER) == 4);

/* One step of unwinding while it goes on. */
typedef struct _RTLP_UNWIND {
    const RTLP_UNWIND_IMAGE *Image;
    RTLP_UNWIND_STATE State; /* a copy until success */
    RTLP_READ_STACK *Read;
    PVOID Context;
    ULONG Options;
    ULONG Rva; /* of the instruction to execute next */
    ULONG64 Frame;
    BOOLEAN Returned; /* Rip and Rsp are already the caller's */
    RTLP_UNWIND_HEADER Header;
    ULONG InfoRva; /* of Header */
    USHORT Code[RTLP_MAXIMUM_CODES + 1];
} RTLP_UNWIND, *PRTLP_UNWIND;

/* ---- Reading ---- */

/* Copy bytes of the image, from where it lies or through the caller's routine. */
static BOOLEAN
RtlpReadImage(const RTLP_UNWIND *U, ULONG64 Rva, PVOID Buffer, ULONG Length)
{
    if (Rva > U->Image->Size || Length > U->Image->Size - Rva) {
        return FALSE;
    }
    if ((U->Options & RTLP_UNWIND_READ_IMAGE) != 0) {
        return U->Read(U->Context, U->Image->Base + Rva, Buffer, Length);
    }
    __builtin_memcpy(Buffer, U->Image->Bytes + Rva, Length);
    return TRUE;
}

static BOOLEAN
RtlpReadStack64(PRTLP_UNWIND U, ULONG64 Address, ULONG64 *Value)
{
    return U->Read(U->Context, Address, Value, sizeof(*Value));
}

/* Pop into *Value. */
static BOOLEAN
RtlpPop(PRTLP_UNWIND U, ULONG64 *Value)
{
    ULONG64 Rsp = U->State.Register[RTLP_RSP];

    if (!RtlpReadStack64(U, Rsp, Value)) {
        return FALSE;
    }
    U->State.Register[RTLP_RSP] = Rsp + sizeof(*Value);
    return TRUE;
}

/* ---- The function table ---- */

ULONG
RtlpFindFunctionEntry(const RTLP_UNWIND_IMAGE *Image, ULONG Rva)
{
    ULONG Low = 0, High = Image->TableSize / (ULONG)sizeof(RUNTIME_FUNCTION);
    RUNTIME_FUNCTION Entry;
    ULONG Middle;

    if (Image->TableRva > Image->Size || Image->TableSize > Image->Size - Image->TableRva) {
        return 0;
    }
    while (Low < High) {
        Middle = Low + (High - Low) / 2;
        __builtin_memcpy(&Entry, Image->Bytes + Image->TableRva + (SIZE_T)Middle * sizeof(Entry),
                         sizeof(Entry));
        if (Rva < Entry.BeginAddress) {
            High = Middle;
        } else if (Rva >= Entry.EndAddress) {
            Low = Middle + 1;
        } else {
            return Image->TableRva + Middle * (ULONG)sizeof(Entry);
        }
    }
    return 0;
}

BOOLEAN
RtlpLookupFunctionEntry(const RTLP_UNWIND_IMAGE *Image, ULONG Rva, PRUNTIME_FUNCTION Function)
{
    ULONG Entry = RtlpFindFunctionEntry(Image, Rva);

    if (Entry == 0) {
        return FALSE;
    }
    __builtin_memcpy(Function, Image->Bytes + Entry, sizeof(*Function));
    return TRUE;
}

/* Read the unwind header and codes that Function names. */
static BOOLEAN
RtlpReadUnwindInfo(PRTLP_UNWIND U, const RUNTIME_FUNCTION *Function)
{
    ULONG Version;

    U->InfoRva = Function->UnwindData;
    if (!RtlpReadImage(U, U->InfoRva, &U->Header, sizeof(U->Header)) ||
        !RtlpReadImage(U, (ULONG64)U->InfoRva + sizeof(U->Header), U->Code,
                       U->Header.CountOfCodes * (ULONG)sizeof(USHORT))) {
        return FALSE;
    }
    Version = U->Header.VersionAndFlags & 7;
    return Version == 1 || Version == 2;
}

static ULONG
RtlpUnwindFlags(const RTLP_UNWIND *U)
{
    return U->Header.VersionAndFlags >> 3;
}

/* The RVA after the codes, which are padded to an even count: handler or chained entry. */
static ULONG64
RtlpAfterCodes(const RTLP_UNWIND *U)
{
    return (ULONG64)U->InfoRva + sizeof(U->Header) +
           ((U->Header.CountOfCodes + 1u) & ~1u) * sizeof(USHORT);
}

static ULONG
RtlpCodeOperation(USHORT Code)
{
    return Code >> 8 & 15;
}

static ULONG
RtlpCodeInfo(USHORT Code)
{
    return Code >> 12;
}

/* How many slots the code at Index occupies; 0: it is damaged. */
static ULONG
RtlpCodeSlots(const RTLP_UNWIND *U, ULONG Index)
{
    ULONG Info = RtlpCodeInfo(U->Code[Index]);
    ULONG Slots;

    switch (RtlpCodeOperation(U->Code[Index])) {
    case UWOP_PUSH_NONVOL:
    case UWOP_ALLOC_SMALL:
    case UWOP_SET_FPREG:
    case UWOP_PUSH_MACHFRAME:
        Slots = 1;
        break;
    case UWOP_ALLOC_LARGE:
        Slots = Info == 0 ? 2 : Info == 1 ? 3 : 0;
        break;
    case UWOP_SAVE_NONVOL:
    case UWOP_SAVE_XMM128:
        Slots = 2;
        break;
    case UWOP_SAVE_NONVOL_FAR:
    case UWOP_SAVE_XMM128_FAR:
        Slots = 3;
        break;
    case UWOP_EPILOG:
        Slots = (U->Header.VersionAndFlags & 7) == 2 ? 1 : 0;
        break;
    case UWOP_SPARE_CODE:
        Slots = (U->Header.VersionAndFlags & 7) == 2 ? 3 : 0;
        break;
    default:
        Slots = 0;
        break;
    }
    return Index + Slots <= U->Header.CountOfCodes ? Slots : 0;
}

/* The operand in the slot, or the two slots, after Index. */
static ULONG
RtlpCodeShort(const RTLP_UNWIND *U, ULONG Index)
{
    return U->Code[Index + 1];
}

static ULONG
RtlpCodeLong(const RTLP_UNWIND *U, ULONG Index)
{
    return U->Code[Index + 1] | (ULONG)U->Code[Index + 2] << 16;
}

/* ---- Undoing the prologue ---- */

/* Restore a register saved at Offset of the frame. */
static BOOLEAN
RtlpRestoreRegister(PRTLP_UNWIND U, ULONG Number, ULONG64 Offset)
{
    return RtlpReadStack64(U, U->Frame + Offset, &U->State.Register[Number]);
}

static BOOLEAN
RtlpRestoreXmm(PRTLP_UNWIND U, ULONG Number, ULONG64 Offset)
{
    return U->Read(U->Context, U->Frame + Offset, &U->State.Xmm[Number], sizeof(M128A));
}

/* The processor pushed SS, RSP, EFLAGS, CS, RIP and perhaps an error code. */
static BOOLEAN
RtlpPopMachineFrame(PRTLP_UNWIND U, BOOLEAN WithErrorCode)
{
    ULONG64 At = U->State.Register[RTLP_RSP] + (WithErrorCode ? 8 : 0);

    U->Returned = TRUE;
    return RtlpReadStack64(U, At, &U->State.Rip) &&
           RtlpReadStack64(U, At + 24, &U->State.Register[RTLP_RSP]);
}

/* Undo the operation at Index. */
static NTSTATUS
RtlpUndoCode(PRTLP_UNWIND U, ULONG Index, PRTLP_UNWIND_FRAME Frame)
{
    ULONG Info = RtlpCodeInfo(U->Code[Index]);
    ULONG64 *Rsp = &U->State.Register[RTLP_RSP];
    BOOLEAN Done = TRUE;

    switch (RtlpCodeOperation(U->Code[Index])) {
    case UWOP_PUSH_NONVOL:
        Done = RtlpPop(U, &U->State.Register[Info]);
        break;
    case UWOP_ALLOC_LARGE:
        *Rsp += Info == 0 ? RtlpCodeShort(U, Index) * 8ull : RtlpCodeLong(U, Index);
        break;
    case UWOP_ALLOC_SMALL:
        *Rsp += Info * 8 + 8;
        break;
    case UWOP_SET_FPREG:
        *Rsp = U->Frame;
        break;
    case UWOP_SAVE_NONVOL:
        Done = RtlpRestoreRegister(U, Info, RtlpCodeShort(U, Index) * 8ull);
        break;
    case UWOP_SAVE_NONVOL_FAR:
        Done = RtlpRestoreRegister(U, Info, RtlpCodeLong(U, Index));
        break;
    case UWOP_SAVE_XMM128:
        Done = RtlpRestoreXmm(U, Info, RtlpCodeShort(U, Index) * 16ull);
        break;
    case UWOP_SAVE_XMM128_FAR:
        Done = RtlpRestoreXmm(U, Info, RtlpCodeLong(U, Index));
        break;
    case UWOP_PUSH_MACHFRAME:
        if (Info > 1) {
            return STATUS_BAD_FUNCTION_TABLE;
        }
        Frame->MachineFrame = TRUE;
        Done = RtlpPopMachineFrame(U, Info == 1);
        break;
    default: /* where epilogues are */
        break;
    }
    return Done ? STATUS_SUCCESS : STATUS_BAD_STACK;
}

/*
 * Undo the codes just read, but those of instructions that have not been executed: their offset is
 * above Executed, the bytes of the function that have.
 */
static NTSTATUS
RtlpUndoCodes(PRTLP_UNWIND U, ULONG Executed, PRTLP_UNWIND_FRAME Frame)
{
    ULONG Index = 0, Slots, Operation;
    NTSTATUS Status = STATUS_SUCCESS;

    while (Index < U->Header.CountOfCodes && NT_SUCCESS(Status) && !U->Returned) {
        Slots = RtlpCodeSlots(U, Index);
        if (Slots == 0) {
            return STATUS_BAD_FUNCTION_TABLE;
        }
        Operation = RtlpCodeOperation(U->Code[Index]);
        if (Operation == UWOP_EPILOG || (U->Code[Index] & 0xFF) <= Executed) {
            Status = RtlpUndoCode(U, Index, Frame);
        }
        Index += Slots;
    }
    return Status;
}

/*
 * Where saved registers are counted from: the frame register once it is set, else the stack pointer,
 * which stands still after the prologue.
 */
static ULONG64
RtlpFramePointer(const RTLP_UNWIND *U, ULONG Executed)
{
    ULONG Register = U->Header.FrameRegisterAndOffset & 15;
    ULONG64 Offset = (U->Header.FrameRegisterAndOffset >> 4) * 16ull;
    BOOLEAN IsSet = Executed >= U->Header.SizeOfProlog ||
                    (RtlpUnwindFlags(U) & UNW_FLAG_CHAININFO) != 0;
    ULONG Index, Slots;

    if (Register == 0) {
        return U->State.Register[RTLP_RSP];
    }
    for (Index = 0; Index < U->Header.CountOfCodes && !IsSet; Index += Slots) {
        Slots = RtlpCodeSlots(U, Index);
        if (Slots == 0) {
            break;
        }
        IsSet = RtlpCodeOperation(U->Code[Index]) == UWOP_SET_FPREG &&
                (U->Code[Index] & 0xFF) <= Executed;
    }
    return IsSet ? U->State.Register[Register] - Offset : U->State.Register[RTLP_RSP];
}

/* ---- Epilogues ---- */

/* A walk over the instructions of what may be an epilogue. */
typedef struct _RTLP_EPILOGUE {
    PRTLP_UNWIND U;
    const RUNTIME_FUNCTION *Function;
    ULONG Rva;       /* of the next instruction */
    UCHAR Bytes[8];  /* there, zeros beyond the image */
    BOOLEAN Trimmed; /* the fixed stack was given back; only pops may follow */
    BOOLEAN Carry;   /* carry out what is recognized */
} RTLP_EPILOGUE, *PRTLP_EPILOGUE;

typedef enum _RTLP_EPILOGUE_STEP {
    RtlpEpilogueNone, /* not an instruction that an epilogue may have here */
    RtlpEpilogueMore,
    RtlpEpilogueEnd,  /* the return, or the jump out */
    RtlpEpilogueStack /* the stack cannot be read */
} RTLP_EPILOGUE_STEP;

static LONG
RtlpSigned32(const UCHAR *At)
{
    return (LONG)(At[0] | (ULONG)At[1] << 8 | (ULONG)At[2] << 16 | (ULONG)At[3] << 24);
}

/* Fetch what there is of the next bytes. */
static VOID
RtlpFetchEpilogue(PRTLP_EPILOGUE E)
{
    ULONG i;

    if (RtlpReadImage(E->U, E->Rva, E->Bytes, sizeof(E->Bytes))) {
        return;
    }
    __builtin_memset(E->Bytes, 0, sizeof(E->Bytes));
    for (i = 0; i < sizeof(E->Bytes); i++) {
        if (!RtlpReadImage(E->U, (ULONG64)E->Rva + i, &E->Bytes[i], 1)) {
            return;
        }
    }
}

/* "add rsp, constant": the only way without a frame register to give back the fixed stack. */
static RTLP_EPILOGUE_STEP
RtlpEpilogueAdd(PRTLP_EPILOGUE E)
{
    const UCHAR *B = E->Bytes;
    BOOLEAN Short = B[1] == 0x83;

    if (B[0] != 0x48 || (!Short && B[1] != 0x81) || B[2] != 0xC4) {
        return RtlpEpilogueNone;
    }
    if (E->Carry) {
        E->U->State.Register[RTLP_RSP] +=
            (ULONG64)(LONG64)(Short ? (LONG)(signed char)B[3] : RtlpSigned32(B + 3));
    }
    E->Rva += Short ? 4 : 7;
    return RtlpEpilogueMore;
}

/* "lea rsp, [frame register + constant]". */
static RTLP_EPILOGUE_STEP
RtlpEpilogueLea(PRTLP_EPILOGUE E)
{
    const UCHAR *B = E->Bytes;
    ULONG Register = (B[2] & 7u) | (B[0] & 1u) << 3;
    ULONG Mod = B[2] >> 6, Length;
    LONG Offset;

    if ((B[0] & 0xFE) != 0x48 || B[1] != 0x8D || (B[2] >> 3 & 7) != RTLP_RSP || Mod == 3 ||
        Register == 0 || Register != (E->U->Header.FrameRegisterAndOffset & 15u)) {
        return RtlpEpilogueNone;
    }
    if ((B[2] & 7) == RTLP_RSP || (Mod == 0 && (B[2] & 7) == 5)) {
        return RtlpEpilogueNone; /* an index byte, or relative to RIP */
    }
    Offset = Mod == 0 ? 0 : Mod == 1 ? (LONG)(signed char)B[3] : RtlpSigned32(B + 3);
    Length = Mod == 0 ? 3 : Mod == 1 ? 4 : 7;
    if (E->Carry) {
        E->U->State.Register[RTLP_RSP] =
            E->U->State.Register[Register] + (ULONG64)(LONG64)Offset;
    }
    E->Rva += Length;
    return RtlpEpilogueMore;
}

/* "pop register". */
static RTLP_EPILOGUE_STEP
RtlpEpiloguePop(PRTLP_EPILOGUE E)
{
    const UCHAR *B = E->Bytes;
    ULONG Prefix = (B[0] & 0xF0) == 0x40 ? 1 : 0;
    ULONG Register = (B[Prefix] & 7u) | (Prefix != 0 ? (B[0] & 1u) << 3 : 0);

    if ((B[Prefix] & 0xF8) != 0x58 || Register == RTLP_RSP) {
        return RtlpEpilogueNone;
    }
    if (E->Carry && !RtlpPop(E->U, &E->U->State.Register[Register])) {
        return RtlpEpilogueStack;
    }
    E->Rva += Prefix + 1;
    return RtlpEpilogueMore;
}

/* Whether a jump to Target leaves the function: to other code, or to its own start again. */
static BOOLEAN
RtlpJumpLeaves(const RTLP_EPILOGUE *E, ULONG64 Target)
{
    if (Target < E->Function->BeginAddress || Target >= E->Function->EndAddress) {
        return TRUE;
    }
    return Target == E->Function->BeginAddress &&
           (RtlpUnwindFlags(E->U) & UNW_FLAG_CHAININFO) == 0;
}

/* "ret", or a jump that takes its place. */
static BOOLEAN
RtlpEpilogueLeaves(const RTLP_EPILOGUE *E)
{
    const UCHAR *B = E->Bytes;
    ULONG Prefix;

    if (B[0] == 0xC3 || B[0] == 0xC2 || (B[0] == 0xF3 && B[1] == 0xC3)) {
        return TRUE;
    }
    if (B[0] == 0xEB) {
        return RtlpJumpLeaves(E, E->Rva + 2ull + (ULONG64)(LONG64)(signed char)B[1]);
    }
    if (B[0] == 0xE9) {
        return RtlpJumpLeaves(E, E->Rva + 5ull + (ULONG64)(LONG64)RtlpSigned32(B + 1));
    }
    /* An indirect jump: through memory without displacement, or marked by REX.W as a tail call. */
    Prefix = (B[0] & 0xF0) == 0x40 ? 1 : 0;
    if (B[Prefix] != 0xFF || (B[Prefix + 1] >> 3 & 7) != 4) {
        return FALSE;
    }
    return B[Prefix + 1] >> 6 == 0 || (Prefix != 0 && (B[0] & 8) != 0);
}

/* "ret n" and all other ends: fetch the return address as the processor would. */
static RTLP_EPILOGUE_STEP
RtlpEpilogueReturn(PRTLP_EPILOGUE E)
{
    ULONG Extra = E->Bytes[0] == 0xC2 ? E->Bytes[1] | (ULONG)E->Bytes[2] << 8 : 0;

    if (E->Carry) {
        if (!RtlpPop(E->U, &E->U->State.Rip)) {
            return RtlpEpilogueStack;
        }
        E->U->State.Register[RTLP_RSP] += Extra;
        E->U->Returned = TRUE;
    }
    return RtlpEpilogueEnd;
}

static RTLP_EPILOGUE_STEP
RtlpStepEpilogue(PRTLP_EPILOGUE E)
{
    RTLP_EPILOGUE_STEP Step = RtlpEpilogueNone;

    RtlpFetchEpilogue(E);
    if (!E->Trimmed) {
        E->Trimmed = TRUE;
        Step = RtlpEpilogueAdd(E);
        if (Step == RtlpEpilogueNone) {
            Step = RtlpEpilogueLea(E);
        }
    }
    if (Step == RtlpEpilogueNone) {
        Step = RtlpEpiloguePop(E);
    }
    if (Step == RtlpEpilogueNone && RtlpEpilogueLeaves(E)) {
        Step = RtlpEpilogueReturn(E);
    }
    return Step;
}

/* Walk from where the function was interrupted to the end of the epilogue, if it is one. */
static RTLP_EPILOGUE_STEP
RtlpWalkEpilogue(PRTLP_UNWIND U, const RUNTIME_FUNCTION *Function, BOOLEAN Carry)
{
    RTLP_EPILOGUE E = {U, Function, U->Rva, {0}, FALSE, Carry};
    RTLP_EPILOGUE_STEP Step = RtlpEpilogueMore;
    ULONG i;

    for (i = 0; i < RTLP_MAXIMUM_EPILOGUE && Step == RtlpEpilogueMore; i++) {
        Step = RtlpStepEpilogue(&E);
    }
    return Step == RtlpEpilogueMore ? RtlpEpilogueNone : Step;
}

/*
 * Version 2: whether the codes place an epilogue around the address. The first such code has the
 * epilogues' size and, in its lowest information bit, that one ends the function; each further code
 * has the distance of another one from the function's end.
 */
static BOOLEAN
RtlpIsInListedEpilogue(const RTLP_UNWIND *U, const RUNTIME_FUNCTION *Function)
{
    ULONG Back = Function->EndAddress - U->Rva; /* from the address to the function's end */
    ULONG Size = 0, Index, Distance;

    for (Index = 0; Index < U->Header.CountOfCodes; Index++) {
        if (RtlpCodeOperation(U->Code[Index]) != UWOP_EPILOG) {
            break; /* they come first */
        }
        Distance = (U->Code[Index] & 0xFF) | RtlpCodeInfo(U->Code[Index]) << 8;
        if (Index == 0) {
            Size = Distance & 0xFF;
            Distance = (Distance & 0x100) != 0 ? Size : 0;
        }
        if (Distance != 0 && Back <= Distance && Distance - Back < Size) {
            return TRUE;
        }
    }
    return FALSE;
}

/* Whether the interrupted function was in an epilogue; then it is carried out. */
static NTSTATUS
RtlpTryEpilogue(PRTLP_UNWIND U, const RUNTIME_FUNCTION *Function)
{
    if ((U->Header.VersionAndFlags & 7) == 2 && !RtlpIsInListedEpilogue(U, Function)) {
        return STATUS_SUCCESS;
    }
    if (RtlpWalkEpilogue(U, Function, FALSE) != RtlpEpilogueEnd) {
        return STATUS_SUCCESS;
    }
    return RtlpWalkEpilogue(U, Function, TRUE) == RtlpEpilogueEnd ? STATUS_SUCCESS
                                                                  : STATUS_BAD_STACK;
}

/* ---- One frame ---- */

/* Follow the mark that says: the unwind data is that of another entry. */
static BOOLEAN
RtlpResolveFunction(const RTLP_UNWIND *U, PRUNTIME_FUNCTION Function)
{
    ULONG i;

    for (i = 0; i < RTLP_MAXIMUM_CHAIN; i++) {
        if ((Function->UnwindData & RTLP_FUNCTION_INDIRECT) == 0) {
            return TRUE;
        }
        if (!RtlpReadImage(U, Function->UnwindData & ~(ULONG)RTLP_FUNCTION_INDIRECT, Function,
                           sizeof(*Function))) {
            return FALSE;
        }
    }
    return FALSE;
}

/*
 * Report the language handler, which applies in the body of the function only. A chained part has
 * none of its own but that of the entry at the end of the chain, whose data was read last.
 */
static VOID
RtlpFindHandler(const RTLP_UNWIND *U, PRTLP_UNWIND_FRAME Frame)
{
    ULONG Flags = RtlpUnwindFlags(U);
    ULONG64 At = RtlpAfterCodes(U);
    ULONG Handler;

    if ((Flags & UNW_FLAG_CHAININFO) != 0 ||
        (Flags & (UNW_FLAG_EHANDLER | UNW_FLAG_UHANDLER)) == 0 ||
        !RtlpReadImage(U, At, &Handler, sizeof(Handler)) || Handler >= U->Image->Size) {
        return;
    }
    Frame->HandlerRva = Handler;
    Frame->HandlerDataRva = (ULONG)At + (ULONG)sizeof(Handler);
    Frame->HandlerFlags = Flags & (UNW_FLAG_EHANDLER | UNW_FLAG_UHANDLER);
}

/* Undo the codes of Function and of every entry it is chained to. */
static NTSTATUS
RtlpUndoChain(PRTLP_UNWIND U, ULONG Executed, PRTLP_UNWIND_FRAME Frame)
{
    RUNTIME_FUNCTION Parent;
    NTSTATUS Status;
    ULONG i;

    for (i = 0; i < RTLP_MAXIMUM_CHAIN; i++) {
        Status = RtlpUndoCodes(U, Executed, Frame);
        if (!NT_SUCCESS(Status) || U->Returned) {
            return Status;
        }
        if ((RtlpUnwindFlags(U) & UNW_FLAG_CHAININFO) == 0) {
            return STATUS_SUCCESS;
        }
        if (!RtlpReadImage(U, RtlpAfterCodes(U), &Parent, sizeof(Parent)) ||
            !RtlpResolveFunction(U, &Parent) || !RtlpReadUnwindInfo(U, &Parent)) {
            return STATUS_BAD_FUNCTION_TABLE;
        }
        Executed = MAXULONG; /* the chained part runs after the parent's prologue */
    }
    return STATUS_BAD_FUNCTION_TABLE;
}

static NTSTATUS
RtlpUnwindFunction(PRTLP_UNWIND U, const RUNTIME_FUNCTION *Found, PRTLP_UNWIND_FRAME Frame)
{
    RUNTIME_FUNCTION Function = *Found;
    NTSTATUS Status;
    ULONG Executed;
    BOOLEAN InBody;

    if (!RtlpResolveFunction(U, &Function) || !RtlpReadUnwindInfo(U, &Function)) {
        return STATUS_BAD_FUNCTION_TABLE;
    }
    Executed = U->Rva - Found->BeginAddress;
    InBody = Executed >= U->Header.SizeOfProlog;
    U->Frame = RtlpFramePointer(U, Executed);
    Frame->EstablisherFrame = U->Frame;
    if ((U->Options & RTLP_UNWIND_CALL_SITE) == 0 && InBody) {
        Status = RtlpTryEpilogue(U, Found);
        if (!NT_SUCCESS(Status) || U->Returned) {
            return Status;
        }
    }
    Status = RtlpUndoChain(U, InBody ? MAXULONG : Executed, Frame);
    if (NT_SUCCESS(Status) && InBody) {
        RtlpFindHandler(U, Frame);
    }
    return Status;
}

NTSTATUS
RtlpVirtualUnwind(const RTLP_UNWIND_IMAGE *Image, ULONG Options, PRTLP_UNWIND_STATE State,
                  RTLP_READ_STACK *Read, PVOID Context, PRTLP_UNWIND_FRAME Frame)
{
    RTLP_UNWIND_FRAME Found = {0, 0, 0, 0, FALSE};
    RUNTIME_FUNCTION Function;
    RTLP_UNWIND U;
    ULONG64 Offset;
    NTSTATUS Status;

    U.Image = Image;
    U.State = *State;
    U.Read = Read;
    U.Context = Context;
    U.Options = Options;
    U.Returned = FALSE;
    Found.EstablisherFrame = State->Register[RTLP_RSP];
    if (Image != NULL) {
        /* A call that never returns may be a function's last instruction. */
        Offset = State->Rip - Image->Base - ((Options & RTLP_UNWIND_CALL_SITE) != 0 ? 1 : 0);
        if (Offset >= Image->Size) {
            return STATUS_BAD_FUNCTION_TABLE;
        }
        U.Rva = (ULONG)Offset;
        if (RtlpLookupFunctionEntry(Image, U.Rva, &Function)) {
            Status = RtlpUnwindFunction(&U, &Function, &Found);
            if (!NT_SUCCESS(Status)) {
                return Status;
            }
        }
    }
    if (!U.Returned && !RtlpPop(&U, &U.State.Rip)) {
        return STATUS_BAD_STACK;
    }
    if (!Found.MachineFrame && U.State.Register[RTLP_RSP] <= State->Register[RTLP_RSP]) {
        return STATUS_BAD_STACK;
    }
    *State = U.State;
    if (Frame != NULL) {
        *Frame = Found;
    }
    return STATUS_SUCCESS;
}
