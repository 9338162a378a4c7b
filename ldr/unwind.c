/*
 * Walking the frames of images: what ke/ asks through KiImageUnwind and KiIsImageAddress.
 *
 * Runs at any IRQL and takes no lock. Stack, code and unwind data are read only where they are sure to be resident: inside
 * the current thread's stack, or else where the page tables say that the page is there. The exception directory is
 * in a nonpaged section of every sane image; one that is not resident ends the walk.
 */
#include <ldr/ldr.h>
#include <rtl/rtl.h>

/* Note what was read from the stack; what was read from an image never changes, and XMM registers lead nowhere. */
static VOID
LdrpLogRead(PKI_UNWIND_LOG Log, ULONG64 Address, const VOID *Buffer, BOOLEAN OnStack, ULONG Length)
{
    if (!OnStack) {
        Log->Incomplete |= LdrFindModule((PVOID)Address) == NULL;
    } else if (Length == sizeof(ULONG64)) {
        if (Log->Count == KI_UNWIND_READS) {
            Log->Incomplete = TRUE;
            return;
        }
        Log->Reads[Log->Count].Address = Address;
        RtlCopyMemory(&Log->Reads[Log->Count].Value, Buffer, sizeof(ULONG64));
        Log->Count += 1;
    }
}

/* Context: a KI_UNWIND_LOG, or NULL. */
BOOLEAN
LdrpReadResident(PVOID Context, ULONG64 Address, PVOID Buffer, ULONG Length)
{
    const KI_STACK_SEGMENT *Segment = &KiCurrentThread()->Stack;

    for (; Segment != NULL; Segment = Segment->Previous) {
        if (Address >= Segment->Limit && Address + Length <= Segment->Base) {
            break;
        }
    }
    if (Segment == NULL && (MiTranslate((PVOID)Address, NULL) == MI_NO_FRAME ||
                            MiTranslate((PVOID)(Address + Length - 1), NULL) == MI_NO_FRAME)) {
        return FALSE;
    }
    RtlCopyMemory(Buffer, (PVOID)Address, Length);
    if (Context != NULL) {
        LdrpLogRead(Context, Address, Buffer, Segment != NULL, Length);
    }
    return TRUE;
}

/* Registers between the two forms, which differ only in how they are laid out. */
static VOID
LdrpFromBoundary(PRTLP_UNWIND_STATE State, const KI_UNWIND_STATE *Registers)
{
    RtlZeroMemory(State, sizeof(*State));
    State->Rip = Registers->Rip;
    State->Register[3] = Registers->Rbx;
    State->Register[RTLP_RSP] = Registers->Rsp;
    State->Register[5] = Registers->Rbp;
    State->Register[6] = Registers->Rsi;
    State->Register[7] = Registers->Rdi;
    State->Register[12] = Registers->R12;
    State->Register[13] = Registers->R13;
    State->Register[14] = Registers->R14;
    State->Register[15] = Registers->R15;
}

static VOID
LdrpToBoundary(PKI_UNWIND_STATE Registers, const RTLP_UNWIND_STATE *State)
{
    Registers->Rip = State->Rip;
    Registers->Rbx = State->Register[3];
    Registers->Rsp = State->Register[RTLP_RSP];
    Registers->Rbp = State->Register[5];
    Registers->Rsi = State->Register[6];
    Registers->Rdi = State->Register[7];
    Registers->R12 = State->Register[12];
    Registers->R13 = State->Register[13];
    Registers->R14 = State->Register[14];
    Registers->R15 = State->Register[15];
}

/* Every page of a directory of the image is there now. */
static BOOLEAN
LdrpIsResident(PLDR_MODULE Module, const IMAGE_DATA_DIRECTORY *Directory)
{
    PUCHAR Va = PAGE_ALIGN(Module->Base + Directory->VirtualAddress);
    PUCHAR End = Module->Base + Directory->VirtualAddress + Directory->Size;

    for (; Va < End; Va += PAGE_SIZE) {
        if (MiTranslate(Va, NULL) == MI_NO_FRAME) {
            return FALSE;
        }
    }
    return TRUE;
}

BOOLEAN
LdrpUnwindImage(PLDR_MODULE Module, PRTLP_UNWIND_IMAGE Image)
{
    if (Module->State == LdrModuleUnloaded) {
        return FALSE;
    }
    Image->Bytes = Module->Base;
    Image->Base = (ULONG64)Module->Base;
    Image->Size = Module->Size;
    Image->TableRva = 0;
    Image->TableSize = 0;
    if (Module->Info != NULL) {
        const IMAGE_DATA_DIRECTORY *Table = &Module->Info->Directory[IMAGE_DIRECTORY_ENTRY_EXCEPTION];

        if (!LdrpIsResident(Module, Table)) {
            return FALSE;
        }
        Image->TableRva = Table->VirtualAddress;
        Image->TableSize = Table->Size;
    }
    return TRUE;
}

static BOOLEAN
LdrpImageUnwind(PKI_UNWIND_STATE Registers, BOOLEAN FirstFrame)
{
    PLDR_MODULE Module = LdrFindModule((PVOID)Registers->Rip);
    RTLP_UNWIND_IMAGE Image;
    RTLP_UNWIND_STATE State;

    if (Module == NULL || !LdrpUnwindImage(Module, &Image)) {
        return FALSE;
    }
    LdrpFromBoundary(&State, Registers);
    if (!NT_SUCCESS(RtlpVirtualUnwind(&Image, RTLP_UNWIND_READ_IMAGE | (FirstFrame ? 0 : RTLP_UNWIND_CALL_SITE), &State,
                                      LdrpReadResident, Registers->Log, NULL))) {
        return FALSE;
    }
    LdrpToBoundary(Registers, &State);
    return TRUE;
}

static BOOLEAN
LdrpIsImageAddress(ULONG64 Address)
{
    PLDR_MODULE Module = LdrFindModule((PVOID)Address);

    return Module != NULL && !Module->IsSystemImage;
}

VOID
LdrpRegisterUnwinder(VOID)
{
    KiImageUnwind = LdrpImageUnwind;
    KiIsImageAddress = LdrpIsImageAddress;
    LdrpRegisterExceptions();
}
