/*
 * Contents of frames: clearing them, in a request or in the background, and in checked builds the
 * filling of freed frames and its proof when they are used again.
 *
 * A frame is cleared through the direct map while its owner is the caller, so no lock is held. A
 * new owner of user-visible memory asks for MI_GET_ZEROED and gets zeroes whatever the frame held;
 * frames given out without it keep old bytes and go to the core only.
 */
#include "physp.h"

#define MIP_QWORDS (PAGE_SIZE / sizeof(ULONG64))
#define MIP_ZERO_BATCH 8u

/* Nobody else writes the frame now; `rep stosq` is what both processors and emulators do best. */
VOID
MiZeroFrame(PFN_NUMBER Frame)
{
    PVOID Address = HalFrameAddress(Frame);
    SIZE_T Count = MIP_QWORDS;

    __asm__ volatile("rep stosq" : "+D"(Address), "+c"(Count) : "a"(0ull) : "memory");
}

/* Clear one batch of free frames of a node. Returns how many; 0 when there are none. */
static SIZE_T
MipZeroBatch(PMI_NODE Node, SIZE_T Count)
{
    PFN_NUMBER Frames[MIP_ZERO_BATCH];
    SIZE_T Tokens;
    SIZE_T Taken;
    KIRQL OldIrql = KiRaiseIrqlToDispatch();

    Tokens = MipTakeTokens(Count, 0, FALSE);
    Taken = MipTakeListed(Node, MiLocationFree, Tokens, MI_STATE_OWNED, Frames);
    for (SIZE_T Index = 0; Index < Taken; Index++) {
        MipCheckPoison(Frames[Index]);
        MiZeroFrame(Frames[Index]);
    }
    MipPushFrames(Node, Frames, Taken, MiLocationZeroed);
    MipReturnTokens(Tokens);
    KiLowerIrql(OldIrql);
    return Taken;
}

SIZE_T
MiZeroFreePages(SIZE_T Budget)
{
    SIZE_T Done = 0;
    SIZE_T Batch;

    for (ULONG Number = 0; Number <= MiHighestNode; Number++) {
        while (MiNodes[Number] != NULL && Done < Budget) {
            Batch = Budget - Done < MIP_ZERO_BATCH ? Budget - Done : MIP_ZERO_BATCH;
            Batch = MipZeroBatch(MiNodes[Number], Batch);
            if (Batch == 0) {
                break;
            }
            Done += Batch;
        }
    }
    return Done;
}

#ifdef NTMM_CHECKED

#define MIP_POISON 0x6B6B6B6B6B6B6B6Bull

VOID
MipPoisonFrame(PFN_NUMBER Frame)
{
    PVOID Address = HalFrameAddress(Frame);
    SIZE_T Count = MIP_QWORDS;

    __asm__ volatile("rep stosq" : "+D"(Address), "+c"(Count) : "a"(MIP_POISON) : "memory");
}

/* Index, from Index on, of the first word that is not Expected; MIP_QWORDS if all are. */
static SIZE_T
MipFindOther(const ULONG64 *Words, SIZE_T Index, ULONG64 Expected)
{
    while (Index < MIP_QWORDS && Words[Index] == Expected) {
        Index++;
    }
    return Index;
}

VOID
MipCheckPoison(PFN_NUMBER Frame)
{
    const ULONG64 *Words = HalFrameAddress(Frame);
    ULONG64 Old = __atomic_fetch_and(&MiPfn(Frame)->State, ~MI_PFN_POISONED, __ATOMIC_ACQ_REL);
    SIZE_T Index;

    if ((Old & MI_PFN_POISONED) == 0) {
        return;
    }
    Index = MipFindOther(Words, 0, MIP_POISON);
    if (Index != MIP_QWORDS) {
        KeBugCheckEx(PFN_LIST_CORRUPT, 0x8D, Frame, (ULONG_PTR)&Words[Index], Words[Index]);
    }
}

VOID
MipCheckZeroed(PFN_NUMBER Frame)
{
    const ULONG64 *Words = HalFrameAddress(Frame);
    SIZE_T Index = MipFindOther(Words, 0, 0);

    if (Index == MIP_QWORDS) {
        return;
    }
    if ((Words[Index] & (Words[Index] - 1)) == 0 &&
        MipFindOther(Words, Index + 1, 0) == MIP_QWORDS) {
        KeBugCheckEx(FAULTY_HARDWARE_CORRUPTED_PAGE, (ULONG_PTR)&Words[Index], Frame, 0, 0);
    }
    KeBugCheckEx(PAGE_NOT_ZERO, (ULONG_PTR)&Words[Index], Frame, 0, 0);
}

#endif
