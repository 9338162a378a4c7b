/*
 * shared.c - reads of shared user data at its kernel address, 0xFFFFF78000000000.
 *
 * No process can map that address. A read of it is carried out by a copy of the instruction whose
 * memory operand is changed to the page's other address, 0x7FFE0000, run with the image's
 * registers (thunk.S); so any instruction that only reads works, unless it also uses the stack
 * pointer. A copy can fault on another operand and then lose its processor to others, so each has
 * a slot of its own while it runs. Owns the slots. Runs in the trap path, where the XMM state is
 * saved below the trap frame. What cannot be done stays the page fault it was.
 */
#define _GNU_SOURCE
#include "emulate.h"

#include <sys/mman.h>
#include <unistd.h>

#define HALP_EFLAGS_KEPT 0xCD5u /* CF PF AF ZF SF DF OF */
#define HALP_THUNKS      32
#define HALP_THUNK_SIZE  64

/*
 * The image's registers while a thunk runs: by their number in an instruction, then flags. As in
 * thunk.S.
 */
typedef struct _HALP_THUNK_STATE {
    ULONG64 Registers[16];
    ULONG64 EFlags;
} HALP_THUNK_STATE, *PHALP_THUNK_STATE;

_Static_assert(FIELD_OFFSET(HALP_THUNK_STATE, EFlags) == 128, "thunk.S");

/* Run the instruction at Thunk with State and the XMM registers of Fx; both receive the result. */
VOID HalpRunThunk(PVOID Thunk, PHALP_THUNK_STATE State, PVOID Fx);
VOID HalpThunkReturn(VOID);

static PUCHAR HalpThunkCode;  /* executable view */
static PUCHAR HalpThunkWrite; /* writable view of the same memory */
static BOOLEAN HalpThunkBusy[HALP_THUNKS];

VOID
HalpInitializeThunks(VOID)
{
    int File;

    File = memfd_create("ntmm-thunks", MFD_CLOEXEC);
    if (File < 0 || ftruncate(File, PAGE_SIZE) != 0) {
        HalpRefuse("the host refused memory for emulation");
    }
    HalpThunkWrite = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, File, 0);
    HalpThunkCode = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_EXEC, MAP_SHARED, File, 0);
    if (HalpThunkWrite == MAP_FAILED || HalpThunkCode == MAP_FAILED) {
        HalpRefuse("the host refused memory for emulation");
    }
    close(File);
}

/* Does this address lie in the copies of instructions that are run for images? */
BOOLEAN
HalpIsThunk(ULONG_PTR Rip)
{
    return Rip - (ULONG_PTR)HalpThunkCode < PAGE_SIZE;
}

static BOOLEAN
HalpUsesRegister(const HALP_INSTRUCTION *Instruction, ULONG Number)
{
    const ZydisDecodedOperand *Operand;
    ULONG Index;

    for (Index = 0; Index < Instruction->Info.operand_count; Index += 1) {
        Operand = &Instruction->Operands[Index];
        if (Operand->type == ZYDIS_OPERAND_TYPE_REGISTER &&
            HalpRegisterNumber(Operand->reg.value) == Number) {
            return TRUE;
        }
        if (Operand->type == ZYDIS_OPERAND_TYPE_MEMORY &&
            (HalpRegisterNumber(Operand->mem.base) == Number ||
             HalpRegisterNumber(Operand->mem.index) == Number)) {
            return TRUE;
        }
    }
    return FALSE;
}

/* The operand that reads shared user data, or NULL if the copy could not be run. */
static const ZydisDecodedOperand *
HalpSharedOperand(PKTRAP_FRAME Frame, const HALP_INSTRUCTION *Instruction)
{
    const ZydisDecodedOperand *Operand;
    ULONG_PTR Address;
    ULONG Index;

    if (HalpUsesRegister(Instruction, 4)) {
        return NULL;
    }
    for (Index = 0; Index < Instruction->Info.operand_count; Index += 1) {
        Operand = &Instruction->Operands[Index];
        if (Operand->type == ZYDIS_OPERAND_TYPE_REGISTER && Operand->reg.value == ZYDIS_REGISTER_RIP) {
            return NULL;
        }
        if (Operand->type != ZYDIS_OPERAND_TYPE_MEMORY || Operand->mem.type != ZYDIS_MEMOP_TYPE_MEM ||
            Operand->mem.segment == ZYDIS_REGISTER_FS || Operand->mem.segment == ZYDIS_REGISTER_GS) {
            continue;
        }
        Address = HalpEffectiveAddress(Frame, Instruction, Operand);
        if (Address - HALP_SHARED_DATA_KERNEL < PAGE_SIZE) {
            return (Operand->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0 ? NULL : Operand;
        }
    }
    return NULL;
}

/*
 * A register the instruction does not use; a low one, since a high byte register rules out the
 * others.
 */
static ULONG
HalpFreeRegister(const HALP_INSTRUCTION *Instruction)
{
    ULONG Number;

    for (Number = 0; Number < 16; Number += 1) {
        if (Number != 4 && !HalpUsesRegister(Instruction, Number)) {
            return Number;
        }
    }
    return 16;
}

/*
 * Write the thunk's instruction and say which register must hold what. An explicit operand is
 * encoded anew with a register of its own; a string instruction keeps its bytes and its pointer is
 * moved over and back.
 */
static BOOLEAN
HalpMakeThunk(const HALP_INSTRUCTION *Instruction, const ZydisDecodedOperand *Operand, PUCHAR Bytes,
              PSIZE_T Length, PULONG Pointer)
{
    ZydisEncoderRequest Request;
    ZydisEncoderOperand *Changed;
    ZyanUSize Size;

    if (Operand->visibility != ZYDIS_OPERAND_VISIBILITY_EXPLICIT) {
        *Pointer = HalpRegisterNumber(Operand->mem.base);
        *Length = Instruction->Info.length;
        __builtin_memcpy(Bytes, Instruction->Bytes, *Length);
        return *Pointer < 16;
    }
    *Pointer = HalpFreeRegister(Instruction);
    if (*Pointer == 16 ||
        !ZYAN_SUCCESS(ZydisEncoderDecodedInstructionToEncoderRequest(
            &Instruction->Info, Instruction->Operands, Instruction->Info.operand_count_visible, &Request))) {
        return FALSE;
    }
    Changed = &Request.operands[Operand - Instruction->Operands];
    Changed->mem.base = (ZydisRegister)(ZYDIS_REGISTER_RAX + *Pointer);
    Changed->mem.index = ZYDIS_REGISTER_NONE;
    Changed->mem.scale = 0;
    Changed->mem.displacement = 0;
    Size = ZYDIS_MAX_INSTRUCTION_LENGTH;
    if (!ZYAN_SUCCESS(ZydisEncoderEncodeInstruction(&Request, Bytes, &Size))) {
        return FALSE;
    }
    *Length = Size;
    return TRUE;
}

static ULONG
HalpTakeThunk(VOID)
{
    ULONG Slot;

    for (Slot = 0; Slot < HALP_THUNKS; Slot += 1) {
        if (!HalpThunkBusy[Slot]) {
            HalpThunkBusy[Slot] = TRUE;
            break;
        }
    }
    return Slot;
}

/* mov al/ax/eax/rax from an absolute address: no register to change. */
static BOOLEAN
HalpReadAbsolute(PKTRAP_FRAME Frame, const HALP_INSTRUCTION *Instruction, const ZydisDecodedOperand *Operand,
                 ULONG_PTR Alias)
{
    ULONG64 Value;

    if (Instruction->Info.mnemonic != ZYDIS_MNEMONIC_MOV || Operand->mem.base != ZYDIS_REGISTER_NONE ||
        Operand->mem.index != ZYDIS_REGISTER_NONE) {
        return FALSE;
    }
    Value = 0;
    __builtin_memcpy(&Value, (PVOID)Alias, Operand->size / 8);
    HalpStoreRegister((PULONG64)&Frame->Rax, Value, Operand->size);
    Frame->Rip += Instruction->Info.length;
    return TRUE;
}

/*
 * Run the instruction with the image's registers, Pointer's replaced. The XMM state is below the
 * frame (switch.S).
 */
static VOID
HalpRunCopy(PKTRAP_FRAME Frame, ULONG Slot, ULONG Pointer, ULONG64 Replacement, BOOLEAN MoveBack)
{
    HALP_THUNK_STATE State;
    PUCHAR Fx;
    ULONG Number;

    Fx = (PUCHAR)Frame - 512;
    for (Number = 0; Number < 16; Number += 1) {
        State.Registers[Number] = *HalpRegister(Frame, Number);
    }
    State.EFlags = Frame->EFlags & HALP_EFLAGS_KEPT;
    State.Registers[Pointer] = Replacement;
    HalpRunThunk(HalpThunkCode + Slot * HALP_THUNK_SIZE, &State, Fx);
    for (Number = 0; Number < 16; Number += 1) {
        if (Number == Pointer) {
            if (MoveBack) {
                *HalpRegister(Frame, Number) += State.Registers[Number] - Replacement;
            }
        } else if (Number != 4) {
            *HalpRegister(Frame, Number) = State.Registers[Number];
        }
    }
    Frame->EFlags = (Frame->EFlags & ~HALP_EFLAGS_KEPT) | ((ULONG)State.EFlags & HALP_EFLAGS_KEPT);
    __builtin_memcpy(&Frame->Xmm0, Fx + 160, 6 * 16);
}

BOOLEAN
HalpReadSharedData(PKTRAP_FRAME Frame, ULONG_PTR Address)
{
    static const UCHAR Jump[] = {0xFF, 0x25, 0, 0, 0, 0};
    HALP_INSTRUCTION Instruction;
    const ZydisDecodedOperand *Operand;
    ULONG_PTR Return;
    ULONG_PTR Alias;
    PUCHAR Code;
    SIZE_T Length;
    ULONG Pointer;
    ULONG Slot;

    if (Address - HALP_SHARED_DATA_KERNEL >= PAGE_SIZE || !HalpInWindow(Frame->Rip) ||
        !HalpDecode(Frame->Rip, &Instruction)) {
        return FALSE;
    }
    Operand = HalpSharedOperand(Frame, &Instruction);
    if (Operand == NULL) {
        return FALSE;
    }
    Alias =
        HalpEffectiveAddress(Frame, &Instruction, Operand) - HALP_SHARED_DATA_KERNEL + HALP_SHARED_DATA_USER;
    if (HalpReadAbsolute(Frame, &Instruction, Operand, Alias)) {
        return TRUE;
    }
    Slot = HalpTakeThunk();
    if (Slot == HALP_THUNKS) {
        return FALSE;
    }
    Code = HalpThunkWrite + Slot * HALP_THUNK_SIZE;
    if (!HalpMakeThunk(&Instruction, Operand, Code, &Length, &Pointer)) {
        HalpThunkBusy[Slot] = FALSE;
        return FALSE;
    }
    Return = (ULONG_PTR)HalpThunkReturn;
    __builtin_memcpy(Code + Length, Jump, sizeof(Jump));
    __builtin_memcpy(Code + Length + sizeof(Jump), &Return, sizeof(Return));
    HalpRunCopy(Frame, Slot, Pointer, Alias, Operand->visibility != ZYDIS_OPERAND_VISIBILITY_EXPLICIT);
    Frame->Rip += Instruction.Info.length;
    HalpThunkBusy[Slot] = FALSE;
    return TRUE;
}
