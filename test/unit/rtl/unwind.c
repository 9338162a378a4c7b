/*
 * Tests of rtl/unwind.c over functions written here as machine code with their unwind data. A
 * function is "executed" by a table of its instructions' ends and what each leaves on a made-up
 * stack; at every instruction the unwinder must find the same caller. Then data that lies.
 */
#include <rtl/rtl.h>
#include <test/ktest.h>

#define BASE 0x180000000ull
#define STACK 0x700000000000ull
#define RETURN 0x1122334455667788ull
#define CODE 0x100
#define INFO 0x400
#define TABLE 0x600
#define RBX 3
#define RBP 5
#define RSI 6
#define R12 12

static UCHAR Image[0x800];
static ULONG ImageResident; /* bytes of the image that the routine below admits */
static ULONG64 Stack[1024]; /* Stack[i] lies at STACK + 8 * i */
static RTLP_UNWIND_IMAGE Described = {Image, BASE, sizeof(Image), TABLE, 12};

static BOOLEAN
ReadStack(PVOID Context, ULONG64 Address, PVOID Buffer, ULONG Length)
{
    UNREFERENCED_PARAMETER(Context);
    if (Address >= BASE && Address - BASE < ImageResident) {
        if (Length > ImageResident - (Address - BASE)) {
            return FALSE;
        }
        RtlCopyMemory(Buffer, Image + (Address - BASE), Length);
        return TRUE;
    }
    if (Address < STACK || Address - STACK > sizeof(Stack) - Length) {
        return FALSE;
    }
    RtlCopyMemory(Buffer, (PUCHAR)Stack + (Address - STACK), Length);
    return TRUE;
}

static VOID
SetFunction(ULONG Index, ULONG Begin, ULONG End, ULONG Data)
{
    ULONG Entry[3] = {Begin, End, Data};

    RtlCopyMemory(Image + TABLE + Index * 12, Entry, 12);
    Described.TableSize = (Index + 1) * 12;
}

static VOID
Start(const UCHAR *Code, ULONG CodeBytes, const UCHAR *Info, ULONG InfoBytes)
{
    RtlZeroMemory(Image, sizeof(Image));
    RtlZeroMemory(Stack, sizeof(Stack));
    RtlCopyMemory(Image + CODE, Code, CodeBytes);
    RtlCopyMemory(Image + INFO, Info, InfoBytes);
    SetFunction(0, CODE, CODE + CodeBytes, INFO);
}

/* The registers before the call: each nonvolatile one has a value of its own. */
static RTLP_UNWIND_STATE
Caller(ULONG64 Rsp)
{
    RTLP_UNWIND_STATE State;
    ULONG i;

    for (i = 0; i < 16; i++) {
        State.Register[i] = 0xC0DE0000ull + i;
        State.Xmm[i].Low = 0xAA00ull + i;
        State.Xmm[i].High = (LONGLONG)(0xBB00ull + i);
    }
    State.Register[RTLP_RSP] = Rsp;
    State.Rip = RETURN;
    return State;
}

/* Whether Actual is what the caller had, with the return address popped. */
static BOOLEAN
IsCaller(const RTLP_UNWIND_STATE *Actual, ULONG64 Entry)
{
    RTLP_UNWIND_STATE Expected = Caller(Entry + 8);

    return RtlEqualMemory(Actual->Register, Expected.Register, sizeof(Expected.Register)) &&
           RtlEqualMemory(Actual->Xmm, Expected.Xmm, sizeof(Expected.Xmm)) &&
           Actual->Rip == RETURN;
}

static NTSTATUS
UnwindAt(PRTLP_UNWIND_STATE State, ULONG Offset, ULONG Options, PRTLP_UNWIND_FRAME Frame)
{
    State->Rip = BASE + CODE + Offset;
    return RtlpVirtualUnwind(&Described, Options, State, ReadStack, NULL, Frame);
}

static ULONG64 *
At(ULONG64 Address)
{
    return &Stack[(Address - STACK) / 8];
}

/* ---- A function with pushes and a fixed stack ---- */

static const UCHAR PlainCode[] = {
    0x55,                         /* 0  push rbp */
    0x41, 0x54,                   /* 1  push r12 */
    0x48, 0x83, 0xEC, 0x28,       /* 3  sub rsp, 28h */
    0x90, 0x90,                   /* 7  body */
    0x48, 0x83, 0xC4, 0x28,       /* 9  add rsp, 28h */
    0x41, 0x5C,                   /* 13 pop r12 */
    0x5D,                         /* 15 pop rbp */
    0xC3,                         /* 16 ret */
};
static const UCHAR PlainInfo[] = {0x01, 7, 3, 0, 7, 0x42, 3, 0xC0, 1, 0x50, 0, 0};

/* The state at Offset of a plain function entered with RSP = Entry. */
static RTLP_UNWIND_STATE
PlainState(ULONG Offset, ULONG64 Entry)
{
    RTLP_UNWIND_STATE State = Caller(Entry);
    BOOLEAN Rbp = Offset >= 1 && Offset < 16, Saved12 = Offset >= 3 && Offset < 15;
    BOOLEAN Fixed = Offset >= 7 && Offset < 13;

    *At(Entry) = RETURN;
    *At(Entry - 8) = Rbp ? State.Register[RBP] : 0;
    *At(Entry - 16) = Saved12 ? State.Register[R12] : 0;
    State.Register[RTLP_RSP] = Entry - (Rbp ? 8 : 0) - (Saved12 ? 8 : 0) - (Fixed ? 0x28 : 0);
    State.Register[RBP] = Rbp ? 0xBAD : State.Register[RBP];
    State.Register[R12] = Saved12 ? 0xBAD : State.Register[R12];
    return State;
}

KTEST(RtlUnwindPlainFunctionEverywhere)
{
    static const UCHAR Boundaries[] = {0, 1, 3, 7, 8, 9, 13, 15, 16};
    const ULONG64 Entry = STACK + 0x800;
    RTLP_UNWIND_STATE State;
    ULONG i;

    Start(PlainCode, sizeof(PlainCode), PlainInfo, sizeof(PlainInfo));
    for (i = 0; i < ARRAYSIZE(Boundaries); i++) {
        State = PlainState(Boundaries[i], Entry);
        CHECK_STATUS(STATUS_SUCCESS, UnwindAt(&State, Boundaries[i], 0, NULL));
        if (!IsCaller(&State, Entry)) {
            KTestFailValues(__FILE__, __LINE__, "wrong caller", Boundaries[i], 0);
        }
    }
    /* A return address right after the body's last call: the epilogue, not entered yet. */
    State = PlainState(9, Entry);
    CHECK_STATUS(STATUS_SUCCESS, UnwindAt(&State, 9, RTLP_UNWIND_CALL_SITE, NULL));
    CHECK(IsCaller(&State, Entry));
}

KTEST(RtlUnwindImagePartlyThere)
{
    const ULONG64 Entry = STACK + 0x800;
    RTLP_UNWIND_STATE State;
    ULONG i;

    Start(PlainCode, sizeof(PlainCode), PlainInfo, sizeof(PlainInfo));
    for (i = 0; i < 2; i++) {
        State = PlainState(i == 0 ? 9 : 16, Entry);
        ImageResident = TABLE;
        CHECK_STATUS(STATUS_SUCCESS, UnwindAt(&State, i == 0 ? 9 : 16, RTLP_UNWIND_READ_IMAGE, NULL));
        CHECK(IsCaller(&State, Entry));
        State = PlainState(9, Entry);
        ImageResident = INFO + 7; /* inside the codes */
        CHECK_STATUS(STATUS_BAD_FUNCTION_TABLE, UnwindAt(&State, 9, RTLP_UNWIND_READ_IMAGE, NULL));
    }
    /* The code ends with what is there: the last instruction is still recognized. */
    RtlCopyMemory(Image + 0x40, PlainInfo, sizeof(PlainInfo));
    SetFunction(0, CODE, CODE + sizeof(PlainCode), 0x40);
    ImageResident = CODE + sizeof(PlainCode);
    State = PlainState(16, Entry);
    CHECK_STATUS(STATUS_SUCCESS, UnwindAt(&State, 16, RTLP_UNWIND_READ_IMAGE, NULL));
    CHECK(IsCaller(&State, Entry));
    ImageResident = 0;
}

KTEST(RtlUnwindCallAtTheVeryEnd)
{
    const ULONG64 Entry = STACK + 0x800;
    RTLP_UNWIND_STATE State;

    Start(PlainCode, sizeof(PlainCode), PlainInfo, sizeof(PlainInfo));
    State = PlainState(8, Entry);
    SetFunction(0, CODE, CODE + 9, INFO);
    CHECK_STATUS(STATUS_SUCCESS, UnwindAt(&State, 9, RTLP_UNWIND_CALL_SITE, NULL));
    CHECK(IsCaller(&State, Entry));
}

KTEST(RtlUnwindLeaf)
{
    const ULONG64 Entry = STACK + 0x100;
    RTLP_UNWIND_STATE State = Caller(Entry);
    RTLP_UNWIND_FRAME Frame;

    Start(PlainCode, sizeof(PlainCode), PlainInfo, sizeof(PlainInfo));
    *At(Entry) = RETURN;
    CHECK_STATUS(STATUS_SUCCESS, UnwindAt(&State, 0x80, 0, &Frame));
    CHECK(IsCaller(&State, Entry));
    CHECK_EQ(Frame.HandlerRva, 0);
    State = Caller(Entry);
    CHECK_STATUS(STATUS_SUCCESS, RtlpVirtualUnwind(NULL, 0, &State, ReadStack, NULL, NULL));
    CHECK(IsCaller(&State, Entry));
}

/* ---- A frame pointer, a large stack, saved registers, a handler ---- */

static const UCHAR FrameCode[] = {
    0x55,                                           /* 0  push rbp */
    0x48, 0x81, 0xEC, 0x00, 0x10, 0x00, 0x00,       /* 1  sub rsp, 1000h */
    0x48, 0x8D, 0xAC, 0x24, 0x80, 0x00, 0x00, 0x00, /* 8  lea rbp, [rsp+80h] */
    0x48, 0x89, 0x5D, 0x10,                         /* 16 mov [rbp+10h], rbx: frame + 90h */
    0x0F, 0x29, 0x75, 0x20,                         /* 20 movaps [rbp+20h], xmm6: frame + A0h */
    0x90,                                           /* 24 body, any RSP */
    0x48, 0x8D, 0xA5, 0x80, 0x0F, 0x00, 0x00,       /* 25 lea rsp, [rbp+F80h] */
    0x5D,                                           /* 32 pop rbp */
    0xC3,                                           /* 33 ret */
};
static const UCHAR FrameInfo[] = {
    0x01 | 1 << 3, 24, 8, 0x85,  /* exception handler, frame register rbp + 80h */
    24, 0x68, 0x0A, 0x00,        /* xmm6 at 16 * 0Ah */
    20, 0x34, 0x12, 0x00,        /* rbx at 8 * 12h */
    16, 0x03,                    /* set frame register */
    8,  0x01, 0x00, 0x02,        /* large: 8 * 200h */
    1,  0x50,                    /* push rbp */
    0x40, 0x01, 0x00, 0x00,      /* the handler's address */
    0x77, 0x66, 0x55, 0x44,      /* its data */
};

KTEST(RtlUnwindFrameRegister)
{
    static const UCHAR Boundaries[] = {0, 1, 8, 16, 20, 24, 25, 32, 33};
    const ULONG64 Entry = STACK + 0x1800, Fixed = Entry - 8 - 0x1000;
    RTLP_UNWIND_STATE State;
    RTLP_UNWIND_FRAME Frame;
    ULONG i, Offset;

    Start(FrameCode, sizeof(FrameCode), FrameInfo, sizeof(FrameInfo));
    for (i = 0; i < ARRAYSIZE(Boundaries); i++) {
        Offset = Boundaries[i];
        State = Caller(Entry);
        *At(Entry) = RETURN;
        *At(Entry - 8) = State.Register[RBP];
        *At(Fixed + 0x90) = State.Register[RBX];
        RtlCopyMemory(At(Fixed + 0xA0), &State.Xmm[6], 16);
        State.Register[RTLP_RSP] = Offset == 0 || Offset == 33 ? Entry
                                   : Offset == 1 || Offset == 32 ? Entry - 8
                                   : Offset == 24 || Offset == 25 ? Fixed - 0x400
                                                                 : Fixed;
        if (Offset >= 16 && Offset <= 32) {
            State.Register[RBP] = Fixed + 0x80;
        }
        if (Offset == 24) { /* restored in the body, before the epilogue */
            State.Register[RBX] = 0xBAD;
            State.Xmm[6].Low = 0xBAD;
        }
        RtlZeroMemory(&Frame, sizeof(Frame));
        CHECK_STATUS(STATUS_SUCCESS, UnwindAt(&State, Offset, 0, &Frame));
        if (!IsCaller(&State, Entry)) {
            KTestFailValues(__FILE__, __LINE__, "wrong caller", Offset, 0);
        }
        CHECK_EQ(Frame.HandlerRva, Offset == 24 ? 0x140 : 0);
        if (Offset == 24) {
            CHECK_EQ(Frame.EstablisherFrame, Fixed);
            CHECK_EQ(Frame.HandlerDataRva, INFO + 24);
            CHECK_EQ(Frame.HandlerFlags, 1);
        }
    }
}

/* ---- Forms of codes and of epilogues ---- */

KTEST(RtlUnwindFarCodes)
{
    static const UCHAR Code[] = {0x90, 0x90};
    static const UCHAR Info[] = {0x01, 0,    9,    0,    0, 0x69, 0x20, 0, 0, 0,   /* xmm6 far */
                                 0,    0x65, 0x08, 0,    0, 0,                     /* rsi far */
                                 0,    0x11, 0x40, 0x00, 0, 0, 0,    0};           /* 40h unscaled */
    const ULONG64 Entry = STACK + 0x400, Fixed = Entry - 0x40;
    RTLP_UNWIND_STATE State = Caller(Fixed);

    Start(Code, sizeof(Code), Info, sizeof(Info));
    *At(Entry) = RETURN;
    *At(Fixed + 8) = State.Register[RSI];
    RtlCopyMemory(At(Fixed + 0x20), &State.Xmm[6], 16);
    State.Register[RSI] = 0xBAD;
    State.Xmm[6].High = 0xBAD;
    CHECK_STATUS(STATUS_SUCCESS, UnwindAt(&State, 1, 0, NULL));
    CHECK(IsCaller(&State, Entry));
}

KTEST(RtlUnwindMachineFrame)
{
    static const UCHAR Code[] = {0x90};
    UCHAR Info[] = {0x01, 0, 1, 0, 0, 0x0A, 0, 0};
    const ULONG64 Entry = STACK + 0x400;
    RTLP_UNWIND_STATE State;
    RTLP_UNWIND_FRAME Frame;
    ULONG Error;

    for (Error = 0; Error < 2; Error++) {
        Info[5] = (UCHAR)(Error << 4 | 0x0A);
        Start(Code, sizeof(Code), Info, sizeof(Info));
        *At(Entry + Error * 8) = RETURN;
        *At(Entry + Error * 8 + 24) = STACK + 0x40; /* another stack, lower */
        State = Caller(Entry);
        CHECK_STATUS(STATUS_SUCCESS, UnwindAt(&State, 0, 0, &Frame));
        CHECK(Frame.MachineFrame);
        CHECK_EQ(State.Rip, RETURN);
        CHECK_EQ(State.Register[RTLP_RSP], STACK + 0x40);
    }
}

KTEST(RtlUnwindChained)
{
    static const UCHAR Code[] = {0x90, 0x90, 0x90, 0x90};
    /* A later part of the plain function that saved rsi in its home space as well. */
    static const UCHAR Info[] = {0x01 | 4 << 3, 1, 2, 0, 1, 0x64, 0x02, 0};
    const ULONG64 Entry = STACK + 0x800;
    RTLP_UNWIND_STATE State;
    ULONG Parent[3] = {CODE + 0x40, CODE + 0x40 + sizeof(PlainCode), INFO + 0x40};
    ULONG Pass;

    Start(Code, sizeof(Code), Info, sizeof(Info));
    RtlCopyMemory(Image + INFO + 0x40, PlainInfo, sizeof(PlainInfo));
    RtlCopyMemory(Image + INFO + 8, Parent, 12);
    for (Pass = 0; Pass < 2; Pass++) {
        State = PlainState(8, Entry);
        *At(State.Register[RTLP_RSP] + 0x10) = State.Register[RSI];
        State.Register[RSI] = 0xBAD;
        CHECK_STATUS(STATUS_SUCCESS, UnwindAt(&State, 2, 0, NULL));
        CHECK(IsCaller(&State, Entry));
        /* Before the part's own save: the parent's prologue counts in full. */
        State = PlainState(8, Entry);
        CHECK_STATUS(STATUS_SUCCESS, UnwindAt(&State, 0, 0, NULL));
        CHECK(IsCaller(&State, Entry));
        /* Second pass: the entry is only a reference to the one that has the data. */
        Parent[2] = INFO;
        Parent[0] = CODE;
        Parent[1] = CODE + 4;
        RtlCopyMemory(Image + INFO + 0x80, Parent, 12);
        SetFunction(0, CODE, CODE + 4, INFO + 0x81);
    }
    /* A chain that bites its tail ends. */
    SetFunction(0, CODE, CODE + 4, INFO);
    Parent[2] = INFO;
    RtlCopyMemory(Image + INFO + 8, Parent, 12);
    State = PlainState(8, Entry);
    *At(State.Register[RTLP_RSP] + 0x10) = 0;
    CHECK_STATUS(STATUS_BAD_FUNCTION_TABLE, UnwindAt(&State, 2, 0, NULL));
    SetFunction(0, CODE, CODE + 4, TABLE | 1);
    CHECK_STATUS(STATUS_BAD_FUNCTION_TABLE, UnwindAt(&State, 2, 0, NULL));
}

/* An epilogue "pop rbp" and an End; whether the unwinder took it for one. */
static BOOLEAN
IsEpilogue(const UCHAR *End, ULONG Bytes)
{
    static const UCHAR Info[] = {0x01, 1, 1, 0, 1, 0x50, 0, 0};
    UCHAR Code[16] = {0x55, 0x90, 0x90};
    const ULONG64 Entry = STACK + 0x400;
    RTLP_UNWIND_STATE State = Caller(Entry);

    RtlCopyMemory(Code + 3, End, Bytes);
    Start(Code, 3 + Bytes, Info, sizeof(Info));
    *At(Entry) = RETURN; /* popped already: RSP is the entry's */
    *At(Entry + 8) = 0xBAD;
    return NT_SUCCESS(UnwindAt(&State, 3, 0, NULL)) && IsCaller(&State, Entry);
}

KTEST(RtlUnwindEndsOfEpilogues)
{
    static const struct {
        UCHAR Code[8];
        UCHAR Bytes;
        BOOLEAN Yes;
    } Ends[] = {
        {{0xC3}, 1, TRUE},                                   /* ret */
        {{0xF3, 0xC3}, 2, TRUE},                             /* rep ret */
        {{0xE9, 0x00, 0x01, 0x00, 0x00}, 5, TRUE},           /* jmp out of the function */
        {{0xE9, 0xF8, 0xFF, 0xFF, 0xFF}, 5, TRUE},           /* jmp to the function's start */
        {{0xE9, 0xF9, 0xFF, 0xFF, 0xFF}, 5, FALSE},          /* jmp inside */
        {{0xEB, 0x40}, 2, TRUE},                             /* short jmp out */
        {{0xEB, 0xFC}, 2, FALSE},                            /* short jmp inside */
        {{0xFF, 0x25, 0x00, 0x00, 0x00, 0x00}, 6, TRUE},     /* jmp [import] */
        {{0x48, 0xFF, 0x25, 0x00, 0x00, 0x00, 0x00}, 7, TRUE},
        {{0x48, 0xFF, 0xE0}, 3, TRUE},                       /* rex.w jmp rax: a tail call */
        {{0xFF, 0xE0}, 2, FALSE},                            /* jmp rax: a switch */
        {{0xFF, 0x15, 0x00, 0x00, 0x00, 0x00}, 6, FALSE},    /* call [import] */
        {{0x90}, 1, FALSE},
        {{0x5C}, 1, FALSE},                                  /* pop rsp */
    };
    ULONG i;

    for (i = 0; i < ARRAYSIZE(Ends); i++) {
        if (IsEpilogue(Ends[i].Code, Ends[i].Bytes) != Ends[i].Yes) {
            KTestFailValues(__FILE__, __LINE__, "epilogue", i, Ends[i].Yes);
        }
    }
}

KTEST(RtlUnwindReturnPopsMore)
{
    static const UCHAR Info[] = {0x01, 1, 1, 0, 1, 0x50, 0, 0};
    static const UCHAR Code[] = {0x55, 0x90, 0x5D, 0xC2, 0x10, 0x00}; /* ret 10h */
    const ULONG64 Entry = STACK + 0x400;
    RTLP_UNWIND_STATE State = Caller(Entry);

    Start(Code, sizeof(Code), Info, sizeof(Info));
    *At(Entry) = RETURN;
    CHECK_STATUS(STATUS_SUCCESS, UnwindAt(&State, 3, 0, NULL));
    CHECK_EQ(State.Register[RTLP_RSP], Entry + 8 + 0x10);
}

KTEST(RtlUnwindVersion2Epilogues)
{
    /* Epilogues of 2 bytes (pop rbp, ret) end the function and lie 5 bytes before its end. */
    /* The ret between them is not in either, so rbp is still on the stack there. */
    static const UCHAR Code[] = {0x55, 0x90, 0x90, 0x5D, 0xC3, 0xC3, 0x5D, 0xC3};
    static const UCHAR Info[] = {0x02, 1, 3, 0, 2, 0x16, 5, 0x06, 1, 0x50, 0, 0};
    const ULONG64 Entry = STACK + 0x400;
    RTLP_UNWIND_STATE State;
    ULONG Offset;

    for (Offset = 0; Offset < sizeof(Code); Offset++) {
        BOOLEAN Popped = Offset == 0 || Offset == 4 || Offset == 7;

        Start(Code, sizeof(Code), Info, sizeof(Info));
        State = Caller(Popped ? Entry : Entry - 8);
        *At(Entry) = RETURN;
        *At(Entry + 8) = 0xBAD;
        *At(Entry - 8) = State.Register[RBP];
        State.Register[RBP] = Popped ? State.Register[RBP] : 0xBAD;
        CHECK_STATUS(STATUS_SUCCESS, UnwindAt(&State, Offset, 0, NULL));
        if (!IsCaller(&State, Entry)) {
            KTestFailValues(__FILE__, __LINE__, "wrong caller", Offset, 0);
        }
    }
}

/* ---- The table ---- */

KTEST(RtlLookupFunctionEntrySearches)
{
    RUNTIME_FUNCTION Function;
    ULONG Rva, i, Wrong = 0;

    RtlZeroMemory(Image, sizeof(Image));
    for (i = 0; i < 10; i++) {
        SetFunction(i, 0x100 + i * 0x20, 0x110 + i * 0x20, INFO);
    }
    for (Rva = 0; Rva < 0x400; Rva++) {
        BOOLEAN Inside = Rva >= 0x100 && Rva < 0x240 && (Rva & 0x10) == 0;

        Wrong += RtlpLookupFunctionEntry(&Described, Rva, &Function) != Inside;
        Wrong += Inside && Function.BeginAddress != (Rva & ~0xFu);
    }
    CHECK_EQ(Wrong, 0);
    Described.TableSize = 0;
    CHECK(!RtlpLookupFunctionEntry(&Described, 0x100, &Function));
    Described.TableSize = 0xFFFFFFFF;
    Described.TableRva = 0xFFFFFFFF;
    CHECK(!RtlpLookupFunctionEntry(&Described, 0x100, &Function));
    Described.TableRva = TABLE;
}

/* ---- Lies ---- */

KTEST(RtlUnwindDataThatLies)
{
    const ULONG64 Entry = STACK + 0x800;
    RTLP_UNWIND_STATE State = PlainState(8, Entry), Before = State;

    Start(PlainCode, sizeof(PlainCode), PlainInfo, sizeof(PlainInfo));
    SetFunction(0, CODE, CODE + sizeof(PlainCode), sizeof(Image) - 3);
    CHECK_STATUS(STATUS_BAD_FUNCTION_TABLE, UnwindAt(&State, 8, 0, NULL));
    SetFunction(0, CODE, CODE + sizeof(PlainCode), sizeof(Image) - 4);
    Image[sizeof(Image) - 4] = 1;
    Image[sizeof(Image) - 2] = 1; /* one code, beyond the image */
    CHECK_STATUS(STATUS_BAD_FUNCTION_TABLE, UnwindAt(&State, 8, 0, NULL));
    SetFunction(0, CODE, CODE + sizeof(PlainCode), INFO);
    Image[INFO] = 5; /* an unknown version */
    CHECK_STATUS(STATUS_BAD_FUNCTION_TABLE, UnwindAt(&State, 8, 0, NULL));
    Image[INFO] = 1;
    Image[INFO + 5] = 0x2B; /* an unknown operation */
    CHECK_STATUS(STATUS_BAD_FUNCTION_TABLE, UnwindAt(&State, 8, 0, NULL));
    Image[INFO + 5] = 0x21; /* a large allocation of an unknown size */
    CHECK_STATUS(STATUS_BAD_FUNCTION_TABLE, UnwindAt(&State, 8, 0, NULL));
    CHECK_STATUS(STATUS_BAD_FUNCTION_TABLE, UnwindAt(&State, sizeof(Image), 0, NULL));
    CHECK(RtlEqualMemory(State.Register, Before.Register, sizeof(State.Register)));
    Image[INFO + 5] = 0x42;
    State.Register[RTLP_RSP] = STACK - 0x1000;
    CHECK_STATUS(STATUS_BAD_STACK, UnwindAt(&State, 8, 0, NULL));
    State.Register[RTLP_RSP] = 0xFFFFFFFFFFFFFFF0ull;
    CHECK_STATUS(STATUS_BAD_STACK, UnwindAt(&State, 8, 0, NULL));
}

KTEST(RtlUnwindRandomData)
{
    RTLP_RANDOM Random;
    RTLP_UNWIND_STATE State;
    RTLP_UNWIND_FRAME Frame;
    ULONG Round, i, Done = 0;

    RtlpRandomSeed(&Random, 77);
    for (Round = 0; Round < 4000; Round++) {
        Start(PlainCode, sizeof(PlainCode), PlainInfo, sizeof(PlainInfo));
        for (i = 0; i < 64; i++) {
            Image[INFO + i] = (UCHAR)RtlpRandomNext(&Random);
            Stack[i * 16] = STACK + RtlpRandomBelow(&Random, sizeof(Stack));
        }
        Image[INFO] = (UCHAR)(1 + (Image[INFO] & 0xF9)); /* versions 1 and 2, mostly */
        State = Caller(STACK + RtlpRandomBelow(&Random, 0x800));
        Done += NT_SUCCESS(UnwindAt(&State, (ULONG)RtlpRandomBelow(&Random, 17), 0, &Frame));
    }
    CHECK(Done != 0);
}
