/*
 * A driver's life: load, DriverEntry, the requests asked for, DriverUnload if it set one, checks.
 *
 * The driver object is io/'s and goes with the driver, unless devices that were not deleted still refer to it. An
 * address range that an unloaded driver had is not used again.
 */
#include "init.h"
#include <cm/cm.h>
#include <ex/ex.h>
#include <ex/trace.h>
#include <io/io.h>
#include <mm/pool/pool.h>
#include <ps/ps.h>
#include <rtl/rtl.h>

INIT_RUN InitRun;

static NTSTATUS
InitpCreateDriver(PLDR_MODULE Module, PDRIVER_OBJECT *Driver, PUNICODE_STRING *RegistryPath)
{
    IO_DRIVER_PARAMETERS Parameters = {.Name = Module->Name, .Start = Module->Base, .Size = Module->Size,
                                       .Section = Module};

    IoInvalidDeviceRequest = (PDRIVER_DISPATCH)(ULONG_PTR)LdrExportAddress("IopInvalidDeviceRequest");
    Parameters.EntryPoint = (PDRIVER_INITIALIZE)(ULONG_PTR)(Module->Base + Module->Info->EntryPoint);
    return IoMakeDriverObject(&Parameters, Driver, RegistryPath);
}

/* One line for a person why the run cannot begin, and its end. */
static VOID DECLSPEC_NORETURN
InitpRefuse(const char *Format, const char *Name, ULONG Number, const char *Reason)
{
    CHAR Line[256];
    LONG Length = RtlpPrintBuffer(Line, sizeof(Line), Format, Name, Number, Reason);

    HalPutDiagnostic(Line, (SIZE_T)Length);
    HalExit(INIT_EXIT_UNLOADABLE);
}

/* The driver's service key, and what the user wants it to find in the registry. */
static VOID
InitpFillRegistry(const HAL_IMAGE_FILE *File, PCUNICODE_STRING Service)
{
    const HAL_IMAGE_FILE *Registry = &KiLoaderBlock->Registry;
    CM_REGFILE_ERROR Error = {0};
    NTSTATUS Status = CmMakeServiceKey(Service, File->Name);

    if (!NT_SUCCESS(Status)) {
        InitpRefuse("ntmm: %s: no service key (0x%08X%s)\n", File->Name, (ULONG)Status, "");
    }
    if (Registry->Name != NULL &&
        !NT_SUCCESS(CmLoadRegistryFile(Registry->Bytes, Registry->Size, Service, &Error))) {
        InitpRefuse("ntmm: %s, line %u: %s\n", Registry->Name, Error.Line, Error.Text);
    }
}

/* A driver's routine must return at the IRQL and with the APC state it was called with. */
static VOID
InitpCheckReturn(const char *What)
{
    if (HalGetIrql() != PASSIVE_LEVEL) {
        KeBugCheckEx(IRQL_UNEXPECTED_VALUE, HalGetIrql(), 0, 0, (ULONG_PTR)What);
    }
}

static VOID
InitpStartDriver(PDRIVER_OBJECT Driver, PUNICODE_STRING RegistryPath)
{
    InitRun.EntryCalled = TRUE;
    InitRun.EntryStatus = (NTSTATUS)KiCallImage((PVOID)(ULONG_PTR)Driver->DriverInit, (ULONG_PTR)Driver,
                                                (ULONG_PTR)RegistryPath, 0, 0);
    InitRun.EntryReturned = TRUE;
    InitpCheckReturn("DriverEntry");
}

static VOID
InitpUnloadDriver(PDRIVER_OBJECT Driver)
{
    if (Driver->DriverUnload != NULL) {
        KiCallImage((PVOID)(ULONG_PTR)Driver->DriverUnload, (ULONG_PTR)Driver, 0, 0, 0);
        InitpCheckReturn("DriverUnload");
        InitRun.Unloaded = TRUE;
    } else {
        IoShutDown();
    }
}

VOID
InitReportFinding(const KI_FINDING *Finding)
{
    if (KiVerifierOn) {
        KiReportFinding(Finding);
    }
}

/* Nothing may call into an image that is gone: stop its timers, DPCs and callbacks, and say so. */
static VOID
InitpStopCalls(PLDR_MODULE Module)
{
    ULONG_PTR Start = (ULONG_PTR)Module->Base, End = Start + Module->Size;
    CM_CALLBACK_INFO Filter;
    ETW_LEFT Provider;
    PKTIMER Timer;
    PKDPC Dpc;

    while ((Timer = KiFindTimer(Start, End)) != NULL) {
        KI_FINDING Finding = {.Rule = "timer-left", .Address = (ULONG64)Timer, .Text = "a timer is still set"};

        KeCancelTimer(Timer);
        InitReportFinding(&Finding);
    }
    while (EtwTakeLeft(&Provider)) {
        KI_FINDING Finding = {.Rule = "callback-left", .Address = (ULONG64)Provider.Provider,
                              .Text = "an event provider is still registered"};

        InitSetFindingStack(&Finding, Provider.StackId);
        KiReportFinding(&Finding);
    }
    while (CmRemoveCallback(Start, End, &Filter)) {
        KI_FINDING Finding = {.Rule = "callback-left", .Address = (ULONG64)Filter.Function,
                              .Text = "a registry callback is still registered"};

        InitSetFindingStack(&Finding, Filter.StackId);
        KiReportFinding(&Finding);
    }
    while ((Dpc = KiFindDpc(Start, End)) != NULL) {
        KI_FINDING Finding = {.Rule = "dpc-left", .Address = (ULONG64)Dpc, .Text = "a DPC is still queued"};

        KeRemoveQueueDpc(Dpc);
        InitReportFinding(&Finding);
    }
}

/* Let threads that were told to end, and work already queued, come to their end. */
static VOID
InitpSettle(VOID)
{
    LARGE_INTEGER Interval = {.QuadPart = -50 * 10000};

    KeFlushQueuedDpcs();
    for (ULONG Round = 0; Round < 4 || (Round < 40 && ExpPendingWork() != 0); Round += 1) {
        KeDelayExecutionThread(KernelMode, FALSE, &Interval);
    }
    PsFlushEndedThreads();
}

static ULONG
InitpExitStatus(VOID)
{
    /* A driver that was refused what it needs may give up: what counts is what it leaves behind. */
    if (!NT_SUCCESS(InitRun.EntryStatus) && InitFailures() == 0) {
        return INIT_EXIT_IMAGE_FAILED;
    }
    return KiGetFinding(0) != NULL ? INIT_EXIT_FINDING : INIT_EXIT_CLEAN;
}

/* Blocks with guard pages, as asked for on the command line. */
static VOID
InitpSetSpecialPool(VOID)
{
    const HAL_SPECIAL_POOL *Wanted = &KiLoaderBlock->SpecialPool;
    MI_SPECIAL_POOL_OPTION Option = {.Everything = (Wanted->Flags & HAL_SPECIAL_EVERYTHING) != 0,
                                     .Underrun = (Wanted->Flags & HAL_SPECIAL_UNDERRUN) != 0,
                                     .TagPattern = Wanted->TagPattern,
                                     .SizeLow = Wanted->SizeLow,
                                     .SizeHigh = Wanted->SizeHigh};

    MiSetSpecialPool(&Option);
}

ULONG
InitRunDriver(const HAL_IMAGE_FILE *File)
{
    const char *Reason;
    PUNICODE_STRING RegistryPath;
    PDRIVER_OBJECT Driver;
    NTSTATUS Status;

    InitRun.ImageName = File->Name;
    InitRun.Thread = KiCurrentThread();
    InitpSetSpecialPool();
    Status = LdrLoadImage(File, &InitRun.Module, &Reason);
    if (NT_SUCCESS(Status)) {
        Reason = "no driver object";
        Status = InitpCreateDriver(InitRun.Module, &Driver, &RegistryPath);
    }
    if (!NT_SUCCESS(Status)) {
        InitpRefuse("ntmm: %s cannot be loaded (0x%08X): %s\n", File->Name, (ULONG)Status, Reason);
    }
    InitpFillRegistry(File, RegistryPath);
    InitNotePoolTags();
    InitStartFailures();
    InitpStartDriver(Driver, RegistryPath);
    if (NT_SUCCESS(InitRun.EntryStatus)) {
        LdrDiscardSections(InitRun.Module);
        IoDriverStarted(Driver);
        InitSendRequests(Driver);
        InitpUnloadDriver(Driver);
    }
    InitpSettle();
    InitStopFailures();
    /* Leftovers are looked at while the image is there: lists may lie in it. */
    if (KiVerifierOn) {
        InitFindLeaks();
    }
    if (InitRun.Unloaded || !NT_SUCCESS(InitRun.EntryStatus)) {
        InitpStopCalls(InitRun.Module);
        MiForgetLookasideLists(InitRun.Module->Base, InitRun.Module->Size);
        LdrUnloadImage(InitRun.Module);
        ObfDereferenceObject(Driver);
    }
    return InitpExitStatus();
}
