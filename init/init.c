/* Bringing the system up; see init.h. */
#include "init.h"
#include <cm/cm.h>
#include <io/io.h>
#include <mm/mdl/mdl.h>
#include <mm/phys/pfn.h>
#include <mm/pool/pool.h>
#include <mm/stack/stack.h>
#include <ob/ob.h>
#include <ps/ps.h>
#include <rtl/rtl.h>

/* Linked in by the kernel-test images only. */
ULONG __attribute__((weak)) KTestRunAll(const char *Filter);

static VOID DECLSPEC_NORETURN
InitpFail(const char *What)
{
    CHAR Line[160];
    LONG Length = RtlpPrintBuffer(Line, sizeof(Line), "ntmm: %s\n", What);

    HalPutDiagnostic(Line, (SIZE_T)Length);
    HalExit(INIT_EXIT_STOPPED);
}

/* Is there a thread but this one and the idle ones that runs or could run? */
static VOID
InitpNoteActive(struct _KTHREAD *Thread, PVOID Context)
{
    if (!Thread->Idle && Thread != KiCurrentThread() && (Thread->State == Ready || Thread->State == Running)) {
        *(PBOOLEAN)Context = TRUE;
    }
}

/*
 * At the lowest priority: clear free frames, and once a second retune the lookaside lists. Kernel tests run without it:
 * they compare page counts, and frames in its hands are on no list. Where nobody else can ever run again it does not come
 * back either, so that the machine sees the deadlock.
 */
static VOID NTAPI
InitpIdleWorkThread(PVOID Context)
{
    LARGE_INTEGER Interval = {.QuadPart = -1000 * 10000};
    KEVENT Never;

    KeInitializeEvent(&Never, NotificationEvent, FALSE);
    for (;;) {
        BOOLEAN Active = FALSE;

        while (MiZeroFreePages(64) != 0) {
            KiYield();
        }
        MiAdjustLookasideDepths();
        KiEnumerateThreads(InitpNoteActive, &Active);
        if (!Active && KiFindTimer(0, ~0ull) == NULL && KiFindDpc(0, ~0ull) == NULL) {
            KeWaitForSingleObject(&Never, Executive, KernelMode, FALSE, NULL);
        }
        KeDelayExecutionThread(KernelMode, FALSE, &Interval);
    }
}

/* Give every processor a stack for its DPCs, so that they do not use up that of whoever they interrupt. */
static VOID
InitpCreateDpcStacks(VOID)
{
    for (ULONG Processor = 0; Processor < HalProcessorCount(); Processor += 1) {
        ULONG_PTR Limit, Base;

        if (!NT_SUCCESS(MiCreateKernelStack(FALSE, &Limit, &Base))) {
            InitpFail("not enough memory to start; give --memory more");
        }
        KiSetDpcStack(Processor, Limit, Base);
    }
}

/* The first system thread: everything that may block. */
static VOID NTAPI
InitpPhaseOne(PVOID Context)
{
    PHAL_LOADER_BLOCK Loader = Context;
    ULONG ExitStatus;

    if (HalProcessorCount() > 1) {
        HalStartProcessors();
        if (!KiWaitForProcessors(HalProcessorCount())) {
            InitpFail("a processor did not start");
        }
    }
    IoLockPages = MiProbeAndLockPages;
    CmInitialize();
    IoInitialize();
    if (!NT_SUCCESS(LdrInitializeSystemImage())) {
        InitpFail("not enough memory to start; give --memory more");
    }
    if (Loader->ImageCount == 0 || KTestRunAll != NULL) {
        if (KTestRunAll == NULL) {
            InitpFail("no image to run");
        }
        HalExit(KTestRunAll(Loader->Test) == 0 ? 0 : 1);
    }
    if (!NT_SUCCESS(PsCreateCoreThread(InitpIdleWorkThread, NULL, 0, NULL))) {
        InitpFail("not enough memory to start; give --memory more");
    }
    ExitStatus = InitIsNative(&Loader->Images[0]) ? InitRunNative(&Loader->Images[0]) : InitRunDriver(&Loader->Images[0]);
    InitWriteReport(NULL, ExitStatus);
    HalExit(ExitStatus);
}

/* Without the verifier: what Windows itself checks stays, and what Driver Verifier adds goes. */
static VOID
InitpDropVerifier(VOID)
{
    MiPoolVerify = FALSE;
    MiPoolTrack = FALSE;
    KiVerifierOn = FALSE;
}

VOID DECLSPEC_NORETURN
KiSystemStartup(PHAL_LOADER_BLOCK LoaderBlock)
{
    KiStopHandler = InitHandleStop;
    KiInitializeKernel(LoaderBlock);
    if (LoaderBlock->NoVerify) {
        InitpDropVerifier();
    }
    MiInitializePhysical(LoaderBlock);
    MiInitializeSystemSpace(LoaderBlock);
    MiInitializePools(LoaderBlock);
    MiInitializeMdls();
    InitpCreateDpcStacks();
    InitRegisterFaults();
    ObInitialize();
    PsInitialize();
    if (!NT_SUCCESS(PsCreateCoreThread(InitpPhaseOne, LoaderBlock, 8, NULL))) {
        InitpFail("not enough memory to start; give --memory more");
    }
    KiIdleLoop();
}
