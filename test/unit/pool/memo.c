/*
 * Stacks of images that are remembered: recalled exactly when a walk would find the same. The image here is
 * a made-up one whose frames are a chain on this thread's own stack: at a frame's Rbp stand the caller's Rbp
 * and the return address, and between them and the next lie words that do not matter.
 */
#include "pooltest.h"
#include <ke/exception.h>

#define TEST_IMAGE      0x7100000000ull
#define TEST_IMAGE_SIZE 0x10000ull
#define TEST_WORDS      64

static ULONG TestUnwinds;

static BOOLEAN
TestIsImage(ULONG64 Address)
{
    return Address - TEST_IMAGE < TEST_IMAGE_SIZE;
}

static ULONG64
TestRead(PKI_UNWIND_STATE State, ULONG64 Address)
{
    if (State->Log != NULL) {
        State->Log->Reads[State->Log->Count].Address = Address;
        State->Log->Reads[State->Log->Count].Value = *(ULONG64 *)Address;
        State->Log->Count += 1;
    }
    return *(ULONG64 *)Address;
}

/* Frames by Rbp; each also restores Rbx from the word below its frame. */
static BOOLEAN
TestUnwind(PKI_UNWIND_STATE State, BOOLEAN FirstFrame)
{
    ULONG64 Frame = State->Rbp;

    UNREFERENCED_PARAMETER(FirstFrame);
    TestUnwinds += 1;
    State->Rbx = TestRead(State, Frame - 8);
    State->Rbp = TestRead(State, Frame);
    State->Rip = TestRead(State, Frame + 8);
    State->Rsp = Frame + 16;
    return TRUE;
}

/* The stack of an allocation at Words[0] with its first frame at Words[First]. */
static ULONG
TestCapture(ULONG64 *Words, ULONG First)
{
    PKTHREAD Thread = KiCurrentThread();
    PKI_BOUNDARY_RECORD Record = Thread->BoundaryTop;
    ULONG Id;

    Thread->BoundaryTop = Record + 1;
    *Record = (KI_BOUNDARY_RECORD){.Rip = TEST_IMAGE + 0x10,
                                   .Kind = KI_BOUNDARY_EXPORT,
                                   .Rsp = (ULONG_PTR)Words,
                                   .Rbp = (ULONG_PTR)&Words[First],
                                   .Rdi = TestUnwinds};
    Id = MipCaptureImageStack();
    Thread->BoundaryTop = Record;
    return Id;
}

/* Is that the stack, and was it found without (Walked: by) a walk? */
static VOID
TestIs(ULONG Id, BOOLEAN Walked, ULONG64 Second, ULONG64 Third)
{
    PVOID Frames[MI_STACK_FRAMES];

    CHECK_EQ(TestUnwinds != 0, Walked);
    CHECK_EQ(MiQueryPoolStack(Id, Frames, MI_STACK_FRAMES), 3);
    CHECK_EQ((ULONG_PTR)Frames[0], TEST_IMAGE + 0x10);
    CHECK_EQ((ULONG_PTR)Frames[1], TEST_IMAGE + Second);
    CHECK_EQ((ULONG_PTR)Frames[2], TEST_IMAGE + Third);
    TestUnwinds = 0;
}

/* Three frames: at words 4, 10 and 20, and from there into the core. */
static VOID
TestChain(ULONG64 *Words)
{
    ULONG Index;

    for (Index = 0; Index < TEST_WORDS; Index += 1) {
        Words[Index] = Index * 3;
    }
    Words[4] = (ULONG_PTR)&Words[10];
    Words[5] = TEST_IMAGE + 0x200;
    Words[10] = (ULONG_PTR)&Words[20];
    Words[11] = TEST_IMAGE + 0x300;
    Words[20] = 0;
    Words[21] = (ULONG_PTR)KiCallImageReturn;
}

static VOID
TestRecall(ULONG64 *Words)
{
    ULONG Id;

    TestChain(Words);
    TestUnwinds = 0;
    TestIs(TestCapture(Words, 4), TRUE, 0x200, 0x300);
    TestIs(TestCapture(Words, 4), FALSE, 0x200, 0x300);
    Words[3] = 77; /* a register that leads nowhere */
    Words[7] += 1; /* a local */
    TestIs(TestCapture(Words, 4), FALSE, 0x200, 0x300);
    Words[5] = TEST_IMAGE + 0x210; /* another caller */
    TestIs(TestCapture(Words, 4), TRUE, 0x210, 0x300);
    Words[5] = TEST_IMAGE + 0x200; /* both are known now */
    TestIs(TestCapture(Words, 4), FALSE, 0x200, 0x300);
    /* The same return addresses where they were, but the chain leads past the second one. */
    Words[15] = (ULONG_PTR)&Words[20];
    Words[16] = TEST_IMAGE + 0x310;
    Words[4] = (ULONG_PTR)&Words[15];
    TestIs(TestCapture(Words, 4), TRUE, 0x200, 0x310);
    Words[4] = (ULONG_PTR)&Words[10];
    TestIs(TestCapture(Words, 4), FALSE, 0x200, 0x300);
    /* Another first frame. */
    Words[6] = (ULONG_PTR)&Words[10];
    Words[7] = TEST_IMAGE + 0x220;
    TestIs(TestCapture(Words, 6), TRUE, 0x220, 0x300);
    TestIs(TestCapture(Words, 4), FALSE, 0x200, 0x300);
    /* An image went away: another may lie there. */
    KiImageEpoch += 1;
    Id = TestCapture(Words, 4);
    TestIs(Id, TRUE, 0x200, 0x300);
    TestIs(TestCapture(Words, 4), FALSE, 0x200, 0x300);
}

/* An older call from an image below this one: the frames go on there, so nothing is remembered. */
static VOID
TestNested(ULONG64 *Words)
{
    PKTHREAD Thread = KiCurrentThread();

    TestChain(Words);
    *Thread->BoundaryTop = (KI_BOUNDARY_RECORD){.Rip = TEST_IMAGE + 0x900,
                                                .Kind = KI_BOUNDARY_EXPORT,
                                                .Rsp = (ULONG_PTR)&Words[30],
                                                .Rbp = (ULONG_PTR)&Words[40]};
    Words[40] = 0;
    Words[41] = (ULONG_PTR)KiCallImageReturn;
    Thread->BoundaryTop += 1;
    TestCapture(Words, 4);
    TestUnwinds = 0;
    TestCapture(Words, 4);
    CHECK(TestUnwinds != 0);
    Thread->BoundaryTop -= 1;
}

KTEST(PoolStackRecalled)
{
    BOOLEAN (*SavedIsImage)(ULONG64) = KiIsImageAddress;
    KI_IMAGE_UNWIND *SavedUnwind = KiImageUnwind;
    ULONG64 Words[TEST_WORDS];
    KIRQL OldIrql;

    /* Nobody else is to unwind with these. */
    OldIrql = KiRaiseIrqlToDispatch();
    KiIsImageAddress = TestIsImage;
    KiImageUnwind = TestUnwind;
    TestRecall(Words);
    TestNested(Words);
    KiIsImageAddress = SavedIsImage;
    KiImageUnwind = SavedUnwind;
    KiLowerIrql(OldIrql);
}
