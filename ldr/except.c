/*
 * What exception handling asks of images: the frame of an address, its handler, its unwind data; for ke/ through
 * KiUnwindImageFrame and KiFindImage, for drivers through the documented routines.
 *
 * Like unwind.c it believes nothing that an image says: unwind data is read through LdrpReadResident, and an address that
 * is wanted of it lies in the image. No locks; IRQL <= DISPATCH_LEVEL.
 */
#include <ldr/ldr.h>
#include <ke/exception.h>
#include <ntexport.h>
#include <rtl/rtl.h>

_Static_assert(FIELD_OFFSET(CONTEXT, R15) == FIELD_OFFSET(CONTEXT, Rax) + 15 * 8, "registers by hardware number");
_Static_assert(FIELD_OFFSET(CONTEXT, Xmm15) == FIELD_OFFSET(CONTEXT, Xmm0) + 15 * 16, "in order");

static VOID
LdrpFromContext(PRTLP_UNWIND_STATE State, const CONTEXT *Context)
{
    State->Rip = Context->Rip;
    RtlCopyMemory(State->Register, &Context->Rax, sizeof(State->Register));
    RtlCopyMemory(State->Xmm, &Context->Xmm0, sizeof(State->Xmm));
}

static VOID
LdrpToContext(PCONTEXT Context, const RTLP_UNWIND_STATE *State)
{
    Context->Rip = State->Rip;
    RtlCopyMemory(&Context->Rax, State->Register, sizeof(State->Register));
    RtlCopyMemory(&Context->Xmm0, State->Xmm, sizeof(State->Xmm));
}

/* Undo a frame. Image NULL: of code without unwind data. */
static NTSTATUS
LdrpUndoFrame(const RTLP_UNWIND_IMAGE *Image, ULONG64 ControlPc, BOOLEAN CallSite, PCONTEXT Context,
              PRTLP_UNWIND_FRAME Found)
{
    RTLP_UNWIND_STATE State;
    NTSTATUS Status;

    LdrpFromContext(&State, Context);
    State.Rip = ControlPc;
    Status = RtlpVirtualUnwind(Image, RTLP_UNWIND_READ_IMAGE | (CallSite ? RTLP_UNWIND_CALL_SITE : 0), &State,
                               LdrpReadResident, NULL, Found);
    if (NT_SUCCESS(Status)) {
        LdrpToContext(Context, &State);
    }
    return Status;
}

static BOOLEAN
LdrpUnwindImageFrame(PCONTEXT Context, BOOLEAN CallSite, PKI_IMAGE_FRAME Frame)
{
    PLDR_MODULE Module = LdrFindModule((PVOID)Context->Rip);
    RTLP_UNWIND_IMAGE Image;
    RTLP_UNWIND_FRAME Found;
    ULONG Entry = 0;

    if (Module == NULL || !LdrpUnwindImage(Module, &Image)) {
        return FALSE;
    }
    if (Image.TableSize != 0) {
        Entry = RtlpFindFunctionEntry(&Image, (ULONG)(Context->Rip - Image.Base - (CallSite ? 1 : 0)));
    }
    if (!NT_SUCCESS(LdrpUndoFrame(&Image, Context->Rip, CallSite, Context, &Found))) {
        return FALSE;
    }
    Frame->ImageBase = Image.Base;
    Frame->FunctionEntry = Entry != 0 ? (PRUNTIME_FUNCTION)(Image.Base + Entry) : NULL;
    Frame->EstablisherFrame = Found.EstablisherFrame;
    Frame->Handler = Found.HandlerRva != 0 ? (PVOID)(Image.Base + Found.HandlerRva) : NULL;
    Frame->HandlerData = (PVOID)(Image.Base + Found.HandlerDataRva);
    Frame->HandlerFlags = Found.HandlerFlags;
    Frame->MachineFrame = Found.MachineFrame;
    return TRUE;
}

static BOOLEAN
LdrpFindImage(ULONG64 Address, PULONG64 Base, PULONG Size)
{
    PLDR_MODULE Module = LdrFindModule((PVOID)Address);

    if (Module == NULL || Module->State == LdrModuleUnloaded) {
        return FALSE;
    }
    *Base = (ULONG_PTR)Module->Base;
    *Size = Module->Size;
    return TRUE;
}

VOID
LdrpRegisterExceptions(VOID)
{
    KiUnwindImageFrame = LdrpUnwindImageFrame;
    KiFindImage = LdrpFindImage;
}

/* --- What images call ----------------------------------------------------------------------------------- */

PVOID NTAPI
RtlPcToFileHeader(PVOID PcValue, PVOID *BaseOfImage)
{
    ULONG64 Base = 0;
    ULONG Size;

    LdrpFindImage((ULONG_PTR)PcValue, &Base, &Size);
    *BaseOfImage = (PVOID)Base;
    return *BaseOfImage;
}
NTEXPORT(RtlPcToFileHeader);

/* The history table speeds nothing up here and is not touched. Any IRQL. */
PRUNTIME_FUNCTION NTAPI
RtlLookupFunctionEntry(ULONG64 ControlPc, PULONG64 ImageBase, PUNWIND_HISTORY_TABLE HistoryTable)
{
    PLDR_MODULE Module = LdrFindModule((PVOID)ControlPc);
    RTLP_UNWIND_IMAGE Image;
    ULONG Entry = 0;

    UNREFERENCED_PARAMETER(HistoryTable);
    if (Module != NULL && LdrpUnwindImage(Module, &Image)) {
        *ImageBase = Image.Base;
        Entry = RtlpFindFunctionEntry(&Image, (ULONG)(ControlPc - Image.Base));
    }
    return Entry == 0 ? NULL : (PRUNTIME_FUNCTION)(Image.Base + Entry);
}
NTEXPORT(RtlLookupFunctionEntry);

/*
 * The unwind data used is that of FunctionEntry, which covers ControlPc. A frame that cannot be undone leaves the context as it
 * is with Rip 0, which ends any walk. ContextPointers, if given, are cleared: registers are only to be had from
 * the context. <= DISPATCH_LEVEL.
 */
PEXCEPTION_ROUTINE NTAPI
RtlVirtualUnwind(ULONG HandlerType, ULONG64 ImageBase, ULONG64 ControlPc, PRUNTIME_FUNCTION FunctionEntry,
                 PCONTEXT ContextRecord, PVOID *HandlerData, PULONG64 EstablisherFrame,
                 PKNONVOLATILE_CONTEXT_POINTERS ContextPointers)
{
    PLDR_MODULE Module = LdrFindModule((PVOID)ImageBase);
    RTLP_UNWIND_IMAGE Image;
    RTLP_UNWIND_FRAME Found;

    if (ContextPointers != NULL) {
        RtlZeroMemory(ContextPointers, sizeof(*ContextPointers));
    }
    if (Module == NULL || !LdrpUnwindImage(Module, &Image) || (ULONG_PTR)FunctionEntry - Image.Base >= Image.Size) {
        ContextRecord->Rip = 0;
        return NULL;
    }
    Image.TableRva = (ULONG)((ULONG_PTR)FunctionEntry - Image.Base);
    Image.TableSize = sizeof(*FunctionEntry);
    if (!NT_SUCCESS(LdrpUndoFrame(&Image, ControlPc, FALSE, ContextRecord, &Found))) {
        ContextRecord->Rip = 0;
        return NULL;
    }
    *EstablisherFrame = Found.EstablisherFrame;
    *HandlerData = (PVOID)(Image.Base + Found.HandlerDataRva);
    return Found.HandlerRva != 0 && (Found.HandlerFlags & HandlerType) != 0
               ? (PEXCEPTION_ROUTINE)(Image.Base + Found.HandlerRva)
               : NULL;
}
NTEXPORT(RtlVirtualUnwind);
