/*
 * Failures injected into what the driver asks for (option --fail): the run's beginning and end, and its part of the
 * report. Which requests fail is decided in mm/phys/inject.c; here their call stacks get names.
 */
#include "init.h"
#include "json.h"
#include <mm/debug/imagefail.h>

/* Two modules are told apart by where in the list of modules they are, which does not vary from run to run. */
static ULONG64
InitpModuleOffset(PVOID Address)
{
    PLDR_MODULE Found = LdrFindModule(Address);
    ULONG64 Place = 0;

    if (Found == NULL) {
        return (ULONG_PTR)Address;
    }
    for (PLDR_MODULE Module = NULL; (Module = LdrNextModule(Module)) != Found;) {
        Place += 1;
    }
    return Place << 32 | (ULONG_PTR)((PUCHAR)Address - Found->Base);
}

VOID
InitStartFailures(VOID)
{
    static const char Line[] = "ntmm: --fail: not a rule for failures\n";

    if (KiLoaderBlock->Fail == NULL) {
        return;
    }
    MiInjectModuleOffset = InitpModuleOffset;
    if (!NT_SUCCESS(MiInjectStartImages(KiLoaderBlock->Fail, KiLoaderBlock->Seed))) {
        HalPutDiagnostic(Line, sizeof(Line) - 1);
        HalExit(INIT_EXIT_UNLOADABLE);
    }
}

VOID
InitStopFailures(VOID)
{
    if (KiLoaderBlock->Fail != NULL) {
        MiInjectStop(NULL);
    }
}

ULONG64
InitFailures(VOID)
{
    return KiLoaderBlock->Fail == NULL ? 0 : MiInject.Failures;
}

static VOID
InitpWriteRecord(const MI_INJECT_RECORD *Record)
{
    InitJsonOpen(NULL, '{');
    InitJsonNumber("request", Record->Request);
    InitJsonText("routine", LdrExportName(Record->Export));
    InitJsonHex("hash", Record->StackHash, 16);
    InitWriteStack(Record->Frames, Record->FrameCount);
    InitJsonClose('}');
}

VOID
InitWriteFailures(VOID)
{
    const MI_INJECT_RECORD *Record;

    if (KiLoaderBlock->Fail == NULL) {
        InitJsonNull("fail");
        return;
    }
    InitJsonOpen("fail", '{');
    InitJsonNumber("requests", MiInject.Requests);
    InitJsonNumber("refused", MiInject.Failures);
    InitJsonOpen("failures", '[');
    for (ULONG Index = 0; (Record = MiGetInjectRecord(Index)) != NULL; Index += 1) {
        InitpWriteRecord(Record);
    }
    InitJsonClose(']');
    InitJsonClose('}');
}
