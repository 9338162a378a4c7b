/*
 * A driver's life: load, DriverEntry, DriverUnload if it set one, checks.
 *
 * The driver object is made here as long as there is no I/O manager: it is nonpaged, has the documented layout,
 * and lives as long as the driver. An address range that an unloaded driver had is not used again.
 */
#include "init.h"
#include <ex/ex.h>
#include <mm/pool/pool.h>
#include <ps/ps.h>
#include <rtl/rtl.h>

#define INIT_TAG 'virD'
#define INIT_SERVICES L"\\Registry\\Machine\\System\\CurrentControlSet\\Services\\"

INIT_RUN InitRun;

/* The object and what hangs on it, in one block. */
typedef struct _INIT_DRIVER {
    DRIVER_OBJECT Object;
    DRIVER_EXTENSION Extension;
    UNICODE_STRING RegistryPath;
    UNICODE_STRING HardwareDatabase;
    WCHAR NameBuffer[8 + LDR_MODULE_NAME];
    WCHAR PathBuffer[RTL_NUMBER_OF(INIT_SERVICES) + LDR_MODULE_NAME];
} INIT_DRIVER;

static VOID
InitpSetString(PUNICODE_STRING String, PWCHAR Buffer, const WCHAR *Prefix, const char *Stem)
{
    USHORT Length = 0;

    for (; *Prefix != 0; Prefix += 1) {
        Buffer[Length++] = *Prefix;
    }
    for (; *Stem != 0 && *Stem != '.'; Stem += 1) {
        Buffer[Length++] = (UCHAR)*Stem;
    }
    Buffer[Length] = 0;
    String->Buffer = Buffer;
    String->Length = (USHORT)(Length * sizeof(WCHAR));
    String->MaximumLength = (USHORT)(String->Length + sizeof(WCHAR));
}

static INIT_DRIVER *
InitpCreateDriver(PLDR_MODULE Module)
{
    INIT_DRIVER *Driver = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*Driver), INIT_TAG);

    if (Driver == NULL) {
        return NULL;
    }
    Driver->Object.Type = 4;
    Driver->Object.Size = sizeof(DRIVER_OBJECT);
    Driver->Object.Flags = 2;
    Driver->Object.DriverStart = Module->Base;
    Driver->Object.DriverSize = Module->Size;
    Driver->Object.DriverSection = Module;
    Driver->Object.DriverExtension = &Driver->Extension;
    Driver->Object.DriverInit = (PDRIVER_INITIALIZE)(ULONG_PTR)(Module->Base + Module->Info->EntryPoint);
    Driver->Extension.DriverObject = &Driver->Object;
    InitpSetString(&Driver->Object.DriverName, Driver->NameBuffer, L"\\Driver\\", Module->Name);
    InitpSetString(&Driver->RegistryPath, Driver->PathBuffer, INIT_SERVICES, Module->Name);
    InitpSetString(&Driver->Extension.ServiceKeyName, Driver->NameBuffer, L"\\Driver\\", Module->Name);
    Driver->Extension.ServiceKeyName.Buffer += 8;
    Driver->Extension.ServiceKeyName.Length -= 8 * sizeof(WCHAR);
    Driver->Extension.ServiceKeyName.MaximumLength -= 8 * sizeof(WCHAR);
    return Driver;
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
InitpStartDriver(INIT_DRIVER *Driver)
{
    InitRun.EntryCalled = TRUE;
    InitRun.EntryStatus = (NTSTATUS)KiCallImage((PVOID)(ULONG_PTR)Driver->Object.DriverInit, (ULONG_PTR)&Driver->Object,
                                                (ULONG_PTR)&Driver->RegistryPath, 0, 0);
    InitRun.EntryReturned = TRUE;
    InitpCheckReturn("DriverEntry");
}

static VOID
InitpUnloadDriver(INIT_DRIVER *Driver)
{
    if (Driver->Object.DriverUnload != NULL) {
        KiCallImage((PVOID)(ULONG_PTR)Driver->Object.DriverUnload, (ULONG_PTR)&Driver->Object, 0, 0, 0);
        InitpCheckReturn("DriverUnload");
        InitRun.Unloaded = TRUE;
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

ULONG
InitRunDriver(const HAL_IMAGE_FILE *File)
{
    const char *Reason;
    INIT_DRIVER *Driver;
    NTSTATUS Status;

    InitRun.ImageName = File->Name;
    InitRun.Thread = KiCurrentThread();
    Status = LdrLoadImage(File, &InitRun.Module, &Reason);
    Driver = NT_SUCCESS(Status) ? InitpCreateDriver(InitRun.Module) : NULL;
    if (Driver == NULL) {
        CHAR Line[256];
        LONG Length = RtlpPrintBuffer(Line, sizeof(Line), "ntmm: %s cannot be loaded: %s (0x%08X)\n", File->Name,
                                 NT_SUCCESS(Status) ? "not enough memory" : Reason, (ULONG)Status);

        HalPutDiagnostic(Line, (SIZE_T)Length);
        HalExit(INIT_EXIT_UNLOADABLE);
    }
    InitNotePoolTags();
    InitpStartDriver(Driver);
    if (NT_SUCCESS(InitRun.EntryStatus)) {
        LdrDiscardSections(InitRun.Module);
        InitpUnloadDriver(Driver);
    }
    InitpSettle();
    /* Leftovers are looked at while the image is there: lists may lie in it. */
    InitFindLeaks();
    if (InitRun.Unloaded || !NT_SUCCESS(InitRun.EntryStatus)) {
        InitpStopTimers(InitRun.Module);
        MiForgetLookasideLists(InitRun.Module->Base, InitRun.Module->Size);
        LdrUnloadImage(InitRun.Module);
        ExFreePoolWithTag(Driver, INIT_TAG);
    }
    return InitpExitStatus();
}
