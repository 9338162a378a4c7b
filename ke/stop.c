/*
 * The end of a run: whoever finds that the machine cannot go on comes here.
 *
 * The first caller wins. It raises to HIGH_LEVEL, stops the other processors, collects where it was and hands the stop
 * to KiStopHandler (init/), which writes the report and ends the machine. A stop while stopping, on the same processor,
 * is a fault in the reporting and ends the machine at once; one on another processor stands still.
 */
#include "kep.h"

#define KI_EXIT_STOPPED 5

KI_STOP_HANDLER *KiStopHandler;

static volatile ULONG KiStopOwner; /* (A) processor number + 1 of the one that stops */

static VOID
KipPutLine(const char *Text)
{
    SIZE_T Length = 0;

    while (Text[Length] != 0) {
        Length += 1;
    }
    HalPutDiagnostic(Text, Length);
}

BOOLEAN
KiIsStopping(VOID)
{
    return __atomic_load_n(&KiStopOwner, __ATOMIC_ACQUIRE) != 0;
}

/* TRUE for the one processor that may stop the run. */
static BOOLEAN
KipClaimStop(VOID)
{
    ULONG Nobody = 0;
    ULONG Self = PcrRead32(Number) + 1;

    if (__atomic_compare_exchange_n(&KiStopOwner, &Nobody, Self, FALSE, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        return TRUE;
    }
    if (Nobody == Self) {
        KipPutLine("ntmm: a fault while reporting a fault\n");
        HalExit(KI_EXIT_STOPPED);
    }
    return FALSE;
}

VOID DECLSPEC_NORETURN
KiStopRun(PKI_STOP Stop)
{
    Stop->Irql = HalGetIrql();
    Stop->Processor = PcrRead32(Number);
    Stop->Thread = KiCurrentThread();
    HalSetIrql(HIGH_LEVEL);
    HalDisableInterrupts();
    if (!KipClaimStop()) {
        for (;;) {
            HalPause();
        }
    }
    if (Stop->Thread != NULL) {
        HalFreezeProcessors();
        if (Stop->FrameCount == 0 && Stop->TrapFrame != NULL) {
            Stop->FrameCount = KiCaptureTrapStack(Stop->TrapFrame, Stop->Frames, KI_STOP_FRAMES);
        } else if (Stop->FrameCount == 0) {
            Stop->FrameCount = KiCaptureStack(Stop->Frames, KI_STOP_FRAMES, 1);
        }
    }
    if (KiStopHandler != NULL) {
        KiStopHandler(Stop);
    }
    KipPutLine(Stop->Text != NULL ? Stop->Text : "ntmm: stopped");
    KipPutLine("\n");
    HalExit(KI_EXIT_STOPPED);
}

VOID DECLSPEC_NORETURN
KiAssertFailed(const char *File, ULONG Line, const char *Text)
{
    KI_STOP Stop = {.Kind = KiStopAssertion};

    Stop.Text = Text;
    Stop.File = File;
    Stop.Line = Line;
    KiStopRun(&Stop);
}

static BOOLEAN
KipSameText(const char *Left, const char *Right)
{
    while (*Left != 0 && *Left == *Right) {
        Left += 1;
        Right += 1;
    }
    return *Left == *Right;
}

/*
 * The machine wants the run to end. Reason "deadlock" and "timeout" are what they say, anything else is a fault of the
 * machine's own.
 */
VOID
KiMachineStop(const char *Reason, const char *Text, PKTRAP_FRAME TrapFrame)
{
    KI_STOP Stop = {.Kind = KiStopMachine};

    if (KiIsStopping()) {
        KipPutLine("ntmm: the machine stands still while it reports\n");
        HalExit(KI_EXIT_STOPPED);
    }
    if (KipSameText(Reason, "deadlock")) {
        Stop.Kind = KiStopDeadlock;
    } else if (KipSameText(Reason, "timeout")) {
        Stop.Kind = KiStopTimeOut;
    }
    Stop.Name = Reason;
    Stop.Text = Text;
    Stop.TrapFrame = TrapFrame;
    KiStopRun(&Stop);
}
