/*
 * The report of a run as one JSON object; docs/report.md has the schema. Written once, by whoever ends the
 * run: after a stop this is any processor at HIGH_LEVEL, with the others standing still, so nothing here
 * takes a lock, allocates, or touches pageable memory.
 */
#include "init.h"
#include "json.h"

extern const CHAR __executable_start[], __etext[];

static VOID
InitpFrame(ULONG64 Address)
{
    PLDR_MODULE Module = Address < KiLoaderBlock->UserEnd ? LdrFindUserModule((PVOID)Address) : LdrFindModule((PVOID)Address);
    ULONG64 Core = Address - (ULONG64)__executable_start;

    InitJsonOpen(NULL, '{');
    if (Module != NULL) {
        InitJsonHex("address", Address, 16);
        InitJsonText("module", Module->Name);
        InitJsonHex("offset", Address - (ULONG64)Module->Base, 1);
    } else if (Core < (ULONG64)(__etext - __executable_start)) {
        InitJsonHex("address", Address, 16);
        InitJsonText("module", "ntmm");
        InitJsonHex("offset", Core, 1);
    } else {
        InitJsonHex("address", Address, 16);
        InitJsonNull("module");
        InitJsonHex("offset", Address, 1);
    }
    InitJsonClose('}');
}

VOID
InitWriteStack(PVOID const *Frames, ULONG Count)
{
    InitJsonOpen("stack", '[');
    for (ULONG Index = 0; Index < Count; Index += 1) {
        InitpFrame((ULONG64)Frames[Index]);
    }
    InitJsonClose(']');
}

const char *
InitTagText(ULONG Tag, CHAR Text[5])
{
    for (ULONG Index = 0; Index < 4; Index += 1) {
        CHAR Character = (CHAR)(Tag >> (Index * 8));

        Text[Index] = Character >= 0x20 && Character <= 0x7E ? Character : '.';
    }
    Text[4] = 0;
    return Tag == 0 ? NULL : Text;
}

static VOID
InitpDriver(VOID)
{
    if (InitRun.Program) {
        InitJsonNull("driver");
        return;
    }
    InitJsonOpen("driver", '{');
    InitJsonText("name", InitRun.ImageName);
    if (InitRun.Module != NULL) {
        InitJsonHex("base", (ULONG64)InitRun.Module->Base, 16);
        InitJsonNumber("size", InitRun.Module->Size);
    } else {
        InitJsonNull("base");
        InitJsonNull("size");
    }
    if (InitRun.EntryReturned) {
        InitJsonHex("entry", (ULONG)InitRun.EntryStatus, 8);
    } else {
        InitJsonNull("entry");
    }
    InitJsonBoolean("unloaded", InitRun.Unloaded);
    InitJsonClose('}');
}

/* The exception that ended the program; its stack is one frame. */
static VOID
InitpCrash(VOID)
{
    PVOID Frame = (PVOID)InitRun.CrashRip;

    if (!InitRun.Crashed) {
        InitJsonNull("exception");
        return;
    }
    InitJsonOpen("exception", '{');
    InitJsonHex("code", (ULONG)InitRun.Crash.ExceptionCode, 8);
    InitJsonOpen("parameters", '[');
    for (ULONG Index = 0; Index < MIN(InitRun.Crash.NumberParameters, EXCEPTION_MAXIMUM_PARAMETERS); Index += 1) {
        InitJsonHex(NULL, InitRun.Crash.ExceptionInformation[Index], 16);
    }
    InitJsonClose(']');
    InitWriteStack(&Frame, 1);
    InitJsonClose('}');
}

static VOID
InitpProgram(VOID)
{
    if (!InitRun.Program) {
        InitJsonNull("program");
        return;
    }
    InitJsonOpen("program", '{');
    InitJsonText("name", InitRun.ImageName);
    if (InitRun.EntryReturned) {
        InitJsonHex("status", (ULONG)InitRun.EntryStatus, 8);
    } else {
        InitJsonNull("status");
    }
    InitpCrash();
    InitJsonClose('}');
}

static VOID
InitpModules(VOID)
{
    PLDR_MODULE Module = NULL;

    InitJsonOpen("modules", '[');
    while ((Module = LdrNextModule(Module)) != NULL) {
        InitJsonOpen(NULL, '{');
        InitJsonText("name", Module->Name);
        InitJsonHex("base", (ULONG64)Module->Base, 16);
        InitJsonNumber("size", Module->Size);
        InitJsonClose('}');
    }
    InitJsonClose(']');
}

static VOID
InitpBugCheck(const KI_STOP *Stop)
{
    if (Stop == NULL || Stop->Kind != KiStopBugCheck) {
        InitJsonNull("bugcheck");
        return;
    }
    InitJsonOpen("bugcheck", '{');
    InitJsonHex("code", Stop->Code, 8);
    InitJsonText("name", Stop->Name);
    InitJsonOpen("parameters", '[');
    for (ULONG Index = 0; Index < 4; Index += 1) {
        InitJsonHex(NULL, Stop->Parameters[Index], 16);
    }
    InitJsonClose(']');
    InitJsonText("text", Stop->Text);
    InitWriteStack(Stop->Frames, Stop->FrameCount);
    InitJsonOpen("history", '[');
    for (ULONG Index = 0; Index < Stop->EventCount; Index += 1) {
        InitJsonOpen(NULL, '{');
        InitJsonText("what", Stop->Events[Index].What);
        InitWriteStack(Stop->Events[Index].Frames, Stop->Events[Index].FrameCount);
        InitJsonClose('}');
    }
    InitJsonClose(']');
    InitJsonClose('}');
}

/* Is a driver's code on the stack of the stop? */
static BOOLEAN
InitpShowsImage(const KI_STOP *Stop)
{
    for (ULONG Index = 0; Index < Stop->FrameCount; Index += 1) {
        PLDR_MODULE Module = LdrFindModule(Stop->Frames[Index]);

        if (Module != NULL && !Module->IsSystemImage) {
            return TRUE;
        }
    }
    return FALSE;
}

static VOID
InitpStop(const KI_STOP *Stop)
{
    static const char *const Reasons[] = {
        [KiStopAssertion] = "internal",  [KiStopMissingImport] = "import", [KiStopDeadlock] = "deadlock",
        [KiStopTimeOut] = "timeout",     [KiStopMachine] = "internal",     [KiStopBugCheck] = "",
    };

    PVOID Frames[KI_STOP_FRAMES];
    ULONG FrameCount;

    if (Stop == NULL || Stop->Kind == KiStopBugCheck) {
        InitJsonNull("stop");
        return;
    }
    InitJsonOpen("stop", '{');
    InitJsonText("reason", Reasons[Stop->Kind]);
    InitJsonText("text", Stop->Text);
    InitJsonText("name", Stop->Name);
    InitJsonText("file", Stop->File);
    InitJsonNumber("line", Stop->Line);
    if (InitRun.Thread != NULL && (Stop->Kind == KiStopDeadlock ||
                                   (Stop->Kind == KiStopTimeOut && !InitpShowsImage(Stop)))) {
        /* Nobody runs, or somebody else: where the driver's thread waits is what matters. */
        FrameCount = KiCaptureThreadStack(InitRun.Thread, Frames, RTL_NUMBER_OF(Frames));
        InitWriteStack(Frames, FrameCount);
    } else {
        InitWriteStack(Stop->Frames, Stop->FrameCount);
    }
    InitJsonClose('}');
}

static VOID
InitpMissing(VOID)
{
    const char *Name;

    InitJsonOpen("missing_imports", '[');
    for (ULONG Index = 0; (Name = LdrMissingImport(Index)) != NULL; Index += 1) {
        InitJsonText(NULL, Name);
    }
    InitJsonClose(']');
}

static VOID
InitpFindings(VOID)
{
    const KI_FINDING *Finding;
    CHAR Tag[5];

    InitJsonOpen("findings", '[');
    for (ULONG Index = 0; (Finding = KiGetFinding(Index)) != NULL; Index += 1) {
        InitJsonOpen(NULL, '{');
        InitJsonText("rule", Finding->Rule);
        InitJsonText("text", Finding->Text);
        if (Finding->Address != 0) {
            InitJsonHex("address", Finding->Address, 16);
        } else {
            InitJsonNull("address");
        }
        if (Finding->Size != 0) {
            InitJsonNumber("size", Finding->Size);
        } else {
            InitJsonNull("size");
        }
        InitJsonText("tag", InitTagText(Finding->Tag, Tag));
        InitJsonText("type", Finding->Type);
        InitJsonNumber("count", Finding->Count);
        InitWriteStack(Finding->Frames, Finding->FrameCount);
        InitJsonClose('}');
    }
    InitJsonClose(']');
}

static VOID
InitpPages(VOID)
{
    MI_PAGE_COUNTS Counts;

    MiQueryPageCounts(&Counts);
    InitJsonOpen("pages", '{');
    InitJsonNumber("total", Counts.Total);
    InitJsonNumber("virgin", Counts.Virgin);
    InitJsonNumber("zeroed", Counts.Zeroed);
    InitJsonNumber("free", Counts.Free);
    InitJsonOpen("standby", '[');
    for (ULONG Priority = 0; Priority < 8; Priority += 1) {
        InitJsonNumber(NULL, Counts.Standby[Priority]);
    }
    InitJsonClose(']');
    InitJsonNumber("modified", Counts.Modified);
    InitJsonNumber("modified_no_write", Counts.ModifiedNoWrite);
    InitJsonNumber("bad", Counts.Bad);
    InitJsonNumber("transition", Counts.Transition);
    InitJsonNumber("active", Counts.Active);
    InitJsonClose('}');
}

static VOID
InitpPageUse(VOID)
{
    static const char *const Rows[MiUseMaximum + 1] = {
        [MiUseProcessPrivate] = "Process Private", [MiUseFile] = "Mapped File",
        [MiUsePageFileMapped] = "Shareable",       [MiUsePageTable] = "Page Table",
        [MiUsePagedPool] = "Paged Pool",           [MiUseNonPagedPool] = "Nonpaged Pool",
        [MiUseSystemPte] = "System PTE",           [MiUseSession] = "Session Private",
        [MiUseMetaFile] = "Metafile",              [MiUseAwe] = "AWE",
        [MiUseDriverLocked] = "Driver Locked",     [MiUseKernelStack] = "Kernel Stack",
        [MiUseDriverImage] = "Driver Image",       [MiUseMaximum] = "Unused",
    };
    static const char *const Columns[7] = {"active", "standby", "modified", "transition", "zeroed", "free", "bad"};
    static SIZE_T Use[MiUseMaximum + 1][7];

    MiQueryPageUse(Use);
    InitJsonOpen("page_use", '[');
    for (ULONG Row = 0; Row <= MiUseMaximum; Row += 1) {
        InitJsonOpen(NULL, '{');
        InitJsonText("use", Rows[Row]);
        for (ULONG Column = 0; Column < 7; Column += 1) {
            InitJsonNumber(Columns[Column], Use[Row][Column]);
        }
        InitJsonClose('}');
    }
    InitJsonClose(']');
}

static VOID
InitpCounters(VOID)
{
    SIZE_T Charge, Limit, Peak;
    ULONG64 Total, DemandZero, Transition;

    MiQueryCommit(&Charge, &Limit, &Peak);
    InitJsonOpen("commit", '{');
    InitJsonNumber("charge", Charge);
    InitJsonNumber("limit", Limit);
    InitJsonNumber("peak", Peak);
    InitJsonClose('}');
    MiQueryFaults(&Total, &DemandZero, &Transition);
    InitJsonOpen("faults", '{');
    InitJsonNumber("total", Total);
    InitJsonNumber("demand_zero", DemandZero);
    InitJsonNumber("transition", Transition);
    InitJsonClose('}');
    InitJsonOpen("time", '{');
    InitJsonNumber("virtual_ns", HalQueryInterruptTime() * 100);
    InitJsonClose('}');
}

VOID
InitWriteReport(const KI_STOP *Stop, ULONG ExitStatus)
{
    PHAL_LOADER_BLOCK Loader = KiLoaderBlock;

    InitJsonOpen(NULL, '{');
    InitJsonNumber("ntmm", 1);
    InitJsonText("image", InitRun.ImageName);
    InitJsonText("machine", Loader->MachineName);
    InitJsonNumber("seed", Loader->Seed);
    InitJsonBoolean("replayable", HalReplayable());
    InitJsonText("isolation", Loader->Isolation);
    InitJsonNumber("memory", Loader->MemoryBytes);
    InitJsonNumber("processors", HalProcessorCount());
    InitJsonBoolean("verifier", !Loader->NoVerify);
    InitJsonNumber("exit", ExitStatus);
    InitpDriver();
    InitpProgram();
    InitpModules();
    InitpBugCheck(Stop);
    InitpStop(Stop);
    InitpMissing();
    InitWriteFailures();
    InitWriteRequests();
    InitpFindings();
    InitWritePoolReport();
    InitpPages();
    InitpPageUse();
    InitpCounters();
    InitJsonClose('}');
    InitJsonFlush();
}

VOID
InitHandleStop(const KI_STOP *Stop)
{
    ULONG ExitStatus = Stop->Kind == KiStopBugCheck ? INIT_EXIT_BUGCHECK : INIT_EXIT_STOPPED;

    InitWriteReport(Stop, ExitStatus);
    HalExit(ExitStatus);
}
