/*
 * Unwinding of programs: function tables, one frame outwards, all frames up to a target; and the language handler of C.
 *
 * What a frame's unwind data says is rtl/unwind.c's to read, the same code as in the kernel; here are the documented routines around it,
 * over CONTEXT records and the images of the loader's list. A leaf function has no entry. Documents: "x64 exception handling", RtlUnwindEx,
 * RtlVirtualUnwind, RtlLookupFunctionEntry.
 */
#include "ntdll.h"
#include <ntexport.h>
#include <ldr/pe.h>
#include <rtl/rtl.h>

/* --- Images ---------------------------------------------------------------------------------------------- */

/* The image that Address lies in; FALSE: none. The list does not change once the process runs. */
static BOOLEAN
RtlpFindImage(ULONG64 Address, PRTLP_UNWIND_IMAGE Image)
{
    PPEB_LDR_DATA Ldr = NtCurrentPeb()->Ldr;
    PLIST_ENTRY Link;

    if (Ldr == NULL) {
        return FALSE;
    }
    for (Link = Ldr->InLoadOrderModuleList.Flink; Link != &Ldr->InLoadOrderModuleList; Link = Link->Flink) {
        PLDR_DATA_TABLE_ENTRY Entry = CONTAINING_RECORD(Link, LDR_DATA_TABLE_ENTRY, InLoadOrderLinks);

        if (Address - (ULONG64)Entry->DllBase < Entry->SizeOfImage) {
            const UCHAR *Bytes = Entry->DllBase;
            const IMAGE_NT_HEADERS64 *Headers =
                (const IMAGE_NT_HEADERS64 *)(Bytes + ((const IMAGE_DOS_HEADER *)Bytes)->e_lfanew);
            const IMAGE_DATA_DIRECTORY *Directory =
                &Headers->OptionalHeader.DataDirectory[IMAGE_DIRECTORY_ENTRY_EXCEPTION];

            Image->Bytes = Bytes;
            Image->Base = (ULONG64)Bytes;
            Image->Size = Entry->SizeOfImage;
            Image->TableRva = Directory->VirtualAddress;
            Image->TableSize = Directory->Size;
            return TRUE;
        }
    }
    return FALSE;
}

/*
 * The entry of the function table that covers ControlPc, and in *ImageBase the image's base (0: in no image). NULL: a leaf, or code
 * nobody knows. The history table is not needed.
 */
PRUNTIME_FUNCTION NTAPI
RtlLookupFunctionEntry(ULONG64 ControlPc, PULONG64 ImageBase, PUNWIND_HISTORY_TABLE HistoryTable)
{
    RTLP_UNWIND_IMAGE Image;
    ULONG Rva;

    UNREFERENCED_PARAMETER(HistoryTable);
    if (!RtlpFindImage(ControlPc, &Image)) {
        *ImageBase = 0;
        return NULL;
    }
    *ImageBase = Image.Base;
    Rva = RtlpFindFunctionEntry(&Image, (ULONG)(ControlPc - Image.Base));
    return Rva == 0 ? NULL : (PRUNTIME_FUNCTION)(Image.Base + Rva);
}
NTEXPORT(RtlLookupFunctionEntry);

/* The base of the image that an address lies in, also in *BaseOfImage; NULL: none. */
PVOID NTAPI
RtlPcToFileHeader(PVOID PcValue, PVOID *BaseOfImage)
{
    RTLP_UNWIND_IMAGE Image;

    *BaseOfImage = RtlpFindImage((ULONG64)PcValue, &Image) ? (PVOID)Image.Base : NULL;
    return *BaseOfImage;
}
NTEXPORT(RtlPcToFileHeader);

/* --- One frame ------------------------------------------------------------------------------------------- */

static VOID
RtlpContextToState(const CONTEXT *Context, PRTLP_UNWIND_STATE State)
{
    State->Rip = Context->Rip;
    RtlCopyMemory(State->Register, &Context->Rax, sizeof(State->Register));
    RtlCopyMemory(State->Xmm, &Context->Xmm0, sizeof(State->Xmm));
}

static VOID
RtlpStateToContext(const RTLP_UNWIND_STATE *State, PCONTEXT Context)
{
    Context->Rip = State->Rip;
    RtlCopyMemory(&Context->Rax, State->Register, sizeof(State->Register));
    RtlCopyMemory(&Context->Xmm0, State->Xmm, sizeof(State->Xmm));
}

static BOOLEAN
RtlpReadStack(PVOID Context, ULONG64 Address, PVOID Buffer, ULONG Length)
{
    PNT_TIB Tib = &NtCurrentTeb()->NtTib;

    UNREFERENCED_PARAMETER(Context);
    if (Address < (ULONG64)Tib->StackLimit || Address + Length > (ULONG64)Tib->StackBase || Address + Length < Address) {
        return FALSE;
    }
    RtlCopyMemory(Buffer, (const VOID *)Address, Length);
    return TRUE;
}

static BOOLEAN
RtlpStep(const RTLP_UNWIND_IMAGE *Image, PCONTEXT Context, PRTLP_UNWIND_FRAME Frame)
{
    RTLP_UNWIND_STATE State;

    RtlpContextToState(Context, &State);
    if (!NT_SUCCESS(RtlpVirtualUnwind(Image, 0, &State, RtlpReadStack, NULL, Frame))) {
        return FALSE;
    }
    RtlpStateToContext(&State, Context);
    return TRUE;
}

BOOLEAN
RtlpStepFrame(PCONTEXT Context, ULONG HandlerType, PRTLP_USER_FRAME Frame)
{
    RTLP_UNWIND_IMAGE Image;
    RTLP_UNWIND_FRAME Step = {0};
    BOOLEAN Known = RtlpFindImage(Context->Rip, &Image);
    ULONG64 ControlPc = Context->Rip, ImageBase;
    ULONG64 Rsp = Context->Rsp;

    *Frame = (RTLP_USER_FRAME){.EstablisherFrame = Rsp};
    if (!Known && (Context->Rip == 0 || !RtlpIsOnStack(Rsp))) {
        return FALSE;
    }
    if (!RtlpStep(Known ? &Image : NULL, Context, &Step) || (Known && Context->Rip == 0 && Context->Rsp == Rsp)) {
        return FALSE;
    }
    if (Known) {
        Frame->ImageBase = Image.Base;
        Frame->Entry = RtlLookupFunctionEntry(ControlPc, &ImageBase, NULL);
        Frame->EstablisherFrame = Step.EstablisherFrame;
        if (Step.HandlerRva != 0 && (Step.HandlerFlags & HandlerType) != 0) {
            Frame->Handler = (EXCEPTION_ROUTINE *)(Image.Base + Step.HandlerRva);
            Frame->HandlerData = (PVOID)(Image.Base + Step.HandlerDataRva);
        }
    }
    return TRUE;
}

/*
 * Undo one frame of the function that FunctionEntry stands for. The language handler of the kind in HandlerType, and its data, if
 * ControlPc is where it applies; else NULL. ContextPointers is not filled in.
 */
PEXCEPTION_ROUTINE NTAPI
RtlVirtualUnwind(ULONG HandlerType, ULONG64 ImageBase, ULONG64 ControlPc, PRUNTIME_FUNCTION FunctionEntry,
                 PCONTEXT ContextRecord, PVOID *HandlerData, PULONG64 EstablisherFrame,
                 PKNONVOLATILE_CONTEXT_POINTERS ContextPointers)
{
    RTLP_USER_FRAME Frame;

    UNREFERENCED_PARAMETER(ImageBase);
    UNREFERENCED_PARAMETER(FunctionEntry);
    UNREFERENCED_PARAMETER(ContextPointers);
    ContextRecord->Rip = ControlPc;
    if (!RtlpStepFrame(ContextRecord, HandlerType, &Frame)) {
        RtlRaiseStatus(STATUS_BAD_FUNCTION_TABLE);
    }
    *EstablisherFrame = Frame.EstablisherFrame;
    *HandlerData = Frame.HandlerData;
    return Frame.Handler;
}
NTEXPORT(RtlVirtualUnwind);

/* --- All frames ------------------------------------------------------------------------------------------ */

/* Load the registers of Context and go on at its Rip. In the thread's own stack that needs no system service. */
VOID NTAPI
RtlRestoreContext(PCONTEXT ContextRecord, PEXCEPTION_RECORD ExceptionRecord)
{
    UNREFERENCED_PARAMETER(ExceptionRecord);
    NtContinue(ContextRecord, FALSE);
    RtlRaiseStatus(STATUS_BAD_STACK);
}
NTEXPORT(RtlRestoreContext);

typedef struct _RTLP_UNWIND_CALL {
    PEXCEPTION_RECORD Record;
    ULONG64 TargetFrame;
    ULONG64 TargetIp;
    ULONG64 ReturnValue;
} RTLP_UNWIND_CALL, *PRTLP_UNWIND_CALL;

/* Run the frame's termination handlers; a collision moves Walk on to where the older unwind was. FALSE: the frame is past the target. */
static VOID
RtlpTerminateFrame(const RTLP_UNWIND_CALL *Call, PRTLP_USER_FRAME Frame, ULONG64 ControlPc, PCONTEXT Walk, PCONTEXT Original)
{
    DISPATCHER_CONTEXT Dispatcher = {.ControlPc = ControlPc,
                                     .ImageBase = Frame->ImageBase,
                                     .FunctionEntry = Frame->Entry,
                                     .EstablisherFrame = Frame->EstablisherFrame,
                                     .TargetIp = Call->TargetIp,
                                     .LanguageHandler = Frame->Handler,
                                     .HandlerData = Frame->HandlerData};

    while (Frame->Handler != NULL) {
        if (Frame->EstablisherFrame == Call->TargetFrame) {
            Call->Record->ExceptionFlags |= EXCEPTION_TARGET_UNWIND;
        }
        Original->Rax = Call->ReturnValue;
        Dispatcher.ContextRecord = Walk;
        switch (RtlpCallHandler(Call->Record, (PVOID)Frame->EstablisherFrame, Original, &Dispatcher, Frame->Handler, TRUE)) {
        case ExceptionContinueSearch:
            Call->Record->ExceptionFlags &= ~(ULONG)(EXCEPTION_COLLIDED_UNWIND | EXCEPTION_TARGET_UNWIND);
            return;
        case ExceptionCollidedUnwind:
            *Walk = *Dispatcher.ContextRecord;
            Frame->ImageBase = Dispatcher.ImageBase;
            Frame->Entry = Dispatcher.FunctionEntry;
            Frame->EstablisherFrame = Dispatcher.EstablisherFrame;
            Frame->Handler = Dispatcher.LanguageHandler;
            Frame->HandlerData = Dispatcher.HandlerData;
            Dispatcher.TargetIp = Call->TargetIp;
            Call->Record->ExceptionFlags |= EXCEPTION_COLLIDED_UNWIND;
            break;
        default:
            RtlRaiseStatus(STATUS_INVALID_UNWIND_TARGET);
        }
    }
}

/*
 * Leave all frames above TargetFrame, running their termination handlers, and go on in it at TargetIp with ReturnValue in rax. TargetFrame
 * NULL: all there are (an exit unwind). Record NULL: STATUS_UNWIND. Context is room for the work. Does not return.
 */
VOID NTAPI
RtlUnwindEx(PVOID TargetFrame, PVOID TargetIp, PEXCEPTION_RECORD ExceptionRecord, PVOID ReturnValue, PCONTEXT OriginalContext,
            PUNWIND_HISTORY_TABLE HistoryTable)
{
    EXCEPTION_RECORD Own = {.ExceptionCode = STATUS_UNWIND};
    RTLP_UNWIND_CALL Call = {ExceptionRecord == NULL ? &Own : ExceptionRecord, (ULONG64)TargetFrame, (ULONG64)TargetIp,
                             (ULONG64)ReturnValue};
    RTLP_USER_FRAME Frame;
    CONTEXT Walk, At;

    UNREFERENCED_PARAMETER(HistoryTable);
    RtlCaptureContext(OriginalContext);
    Walk = *OriginalContext;
    RtlpStepFrame(&Walk, UNW_FLAG_NHANDLER, &Frame);
    if (ExceptionRecord == NULL) {
        Own.ExceptionAddress = (PVOID)Walk.Rip;
    }
    Call.Record->ExceptionFlags |= EXCEPTION_UNWINDING | (TargetFrame == NULL ? EXCEPTION_EXIT_UNWIND : 0);
    for (;;) {
        At = Walk;
        if (!RtlpStepFrame(&Walk, UNW_FLAG_UHANDLER, &Frame)) {
            break;
        }
        if (!RtlpIsOnStack(Frame.EstablisherFrame) || (TargetFrame != NULL && Call.TargetFrame < Frame.EstablisherFrame)) {
            RtlRaiseStatus(STATUS_BAD_STACK);
        }
        RtlpTerminateFrame(&Call, &Frame, At.Rip, &Walk, OriginalContext);
        if (Frame.EstablisherFrame == Call.TargetFrame) {
            At.Rip = Call.TargetIp;
            At.Rax = Call.ReturnValue;
            RtlRestoreContext(&At, Call.Record);
        }
    }
    if (TargetFrame == NULL) {
        NtRaiseException(Call.Record, &At, FALSE);
    }
    RtlRaiseStatus(STATUS_INVALID_UNWIND_TARGET);
}
NTEXPORT(RtlUnwindEx);

/* The same, with its own room. */
VOID NTAPI
RtlUnwind(PVOID TargetFrame, PVOID TargetIp, PEXCEPTION_RECORD ExceptionRecord, PVOID ReturnValue)
{
    CONTEXT Context;

    RtlUnwindEx(TargetFrame, TargetIp, ExceptionRecord, ReturnValue, &Context, NULL);
}
NTEXPORT(RtlUnwind);

/* --- The language handler of C ----------------------------------------------------------------------------- */

/* A __try's range: addresses relative to the image. */
typedef struct _RTLP_SCOPE {
    ULONG BeginAddress;
    ULONG EndAddress;
    ULONG HandlerAddress; /* filter (1: takes all), or termination handler */
    ULONG JumpTarget;     /* the __except block, 0: __finally */
} RTLP_SCOPE;

typedef struct _RTLP_SCOPE_TABLE {
    ULONG Count;
    RTLP_SCOPE Scope[];
} RTLP_SCOPE_TABLE;

typedef LONG(NTAPI *RTLP_FILTER)(PEXCEPTION_POINTERS Pointers, PVOID EstablisherFrame);
typedef VOID(NTAPI *RTLP_TERMINATION)(BOOLEAN Abnormal, PVOID EstablisherFrame);

static BOOLEAN
RtlpInScope(const RTLP_SCOPE *Scope, ULONG64 Pc)
{
    return Pc >= Scope->BeginAddress && Pc < Scope->EndAddress;
}

/* Of the unwind: is the target inside the same __try, or its own __except block? Then the handler does not run. */
static BOOLEAN
RtlpStops(const RTLP_SCOPE_TABLE *Table, const RTLP_SCOPE *Scope, ULONG64 Target)
{
    for (ULONG Index = 0; Index < Table->Count; Index += 1) {
        const RTLP_SCOPE *Other = &Table->Scope[Index];

        if (Other->HandlerAddress == Scope->HandlerAddress && Other->JumpTarget == Scope->JumpTarget &&
            RtlpInScope(Other, Target)) {
            return TRUE;
        }
    }
    return Scope->JumpTarget != 0 && Scope->JumpTarget == Target;
}

/*
 * Ask the filters, or run the termination handlers, of the frame that DispatcherContext describes. A filter's answer
 * EXCEPTION_EXECUTE_HANDLER begins the unwind and does not return.
 */
EXCEPTION_DISPOSITION NTAPI
__C_specific_handler(PEXCEPTION_RECORD ExceptionRecord, PVOID EstablisherFrame, PCONTEXT ContextRecord,
                     PVOID DispatcherContext)
{
    PDISPATCHER_CONTEXT Dispatcher = DispatcherContext;
    const RTLP_SCOPE_TABLE *Table = Dispatcher->HandlerData;
    ULONG64 Base = Dispatcher->ImageBase, Pc = Dispatcher->ControlPc - Base;
    BOOLEAN Unwinding = (ExceptionRecord->ExceptionFlags & (EXCEPTION_UNWINDING | EXCEPTION_EXIT_UNWIND)) != 0;
    EXCEPTION_POINTERS Pointers = {ExceptionRecord, ContextRecord};
    CONTEXT Room;
    LONG Answer;

    for (ULONG Index = Dispatcher->ScopeIndex; Index < Table->Count; Index += 1) {
        const RTLP_SCOPE *Scope = &Table->Scope[Index];

        if (!RtlpInScope(Scope, Pc)) {
            continue;
        }
        if (Unwinding) {
            if ((ExceptionRecord->ExceptionFlags & EXCEPTION_TARGET_UNWIND) != 0 &&
                RtlpStops(Table, Scope, Dispatcher->TargetIp - Base)) {
                return ExceptionContinueSearch;
            }
            if (Scope->JumpTarget == 0) {
                Dispatcher->ScopeIndex = Index + 1; /* an exception in the handler goes on with the next */
                ((RTLP_TERMINATION)(Base + Scope->HandlerAddress))(TRUE, EstablisherFrame);
            }
        } else if (Scope->JumpTarget != 0) {
            Answer = Scope->HandlerAddress == 1 ? EXCEPTION_EXECUTE_HANDLER
                                                : ((RTLP_FILTER)(Base + Scope->HandlerAddress))(&Pointers, EstablisherFrame);
            if (Answer < 0) {
                return ExceptionContinueExecution;
            }
            if (Answer > 0) {
                RtlUnwindEx(EstablisherFrame, (PVOID)(Base + Scope->JumpTarget), ExceptionRecord,
                            (PVOID)(ULONG64)(ULONG)ExceptionRecord->ExceptionCode, &Room, NULL);
            }
        }
    }
    return ExceptionContinueSearch;
}
NTEXPORT(__C_specific_handler);
