/*
 * A driver's life: load, DriverEntry, the requests asked for, DriverUnload if it set one, checks.
 *
 * The driver object is io/'s and goes with the driver, unless devices that were not deleted still refer to it. An
 * address range that an unloaded driver had is not used again.
 */
#include "init.h"
#include <ex/ex.h>
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

/* Nothing may call into an image that is gone: stop its timers and DPCs, and say so. */
static VOID
InitpStopTimers(PLDR_MODULE Module)
{
    ULONG_PTR Start = (ULONG_PTR)Module->Base, End = Start + Module->Size;
    PKTIMER Timer;
    PKDPC Dpc;

    while ((Timer = KiFindTimer(Start, End)) != NULL) {
        KI_FINDING Finding = {.Rule = "timer-left", .Address = (ULONG64)Timer, .Text = "a timer is still set"};

        KeCancelTimer(Timer);
        KiReportFinding(&Finding);
    }
    while ((Dpc = KiFindDpc(Start, End)) != NULL) {
        KI_FINDING Finding = {.Rule = "dpc-left", .Address = (ULONG64)Dpc, .Text = "a DPC is still queued"};

        KeRemoveQueueDpc(Dpc);
        KiReportFinding(&Finding);
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
    if (!NT_SUCCESS(InitRun.EntryStatus)) {
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
        CHAR Line[256];
        LONG Length = RtlpPrintBuffer(Line, sizeof(Line), "ntmm: %s cannot be loaded: %s (0x%08X)\n", File->Name,
                                      Reason, (ULONG)Status);

        HalPutDiagnostic(Line, (SIZE_T)Length);
        HalExit(INIT_EXIT_UNLOADABLE);
    }
    InitNotePoolTags();
    InitpStartDriver(Driver, RegistryPath);
    if (NT_SUCCESS(InitRun.EntryStatus)) {
        LdrDiscardSections(InitRun.Module);
        IoDriverStarted(Driver);
        InitSendRequests(Driver);
        InitpUnloadDriver(Driver);
    }
    InitpSettle();
    /* Leftovers are looked at while the image is there: lists may lie in it. */
    InitFindLeaks();
    if (InitRun.Unloaded || !NT_SUCCESS(InitRun.EntryStatus)) {
        InitpStopTimers(InitRun.Module);
        MiForgetLookasideLists(InitRun.Module->Base, InitRun.Module->Size);
        LdrUnloadImage(InitRun.Module);
        ObfDereferenceObject(Driver);
    }
    return InitpExitStatus();
}
