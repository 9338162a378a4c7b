/*
 * fuzzpe.c - libFuzzer target for everything that reads a foreign image: the parser, the copy, the
 * walkers and the unwinder.
 *
 * The input is the file. An accepted image is copied to a buffer of exactly its size whose gaps
 * between sections are poisoned, as the pages there would be absent; then it is relocated, its imports
 * are bound (slots overwritten, as the loader does), its exports looked up, and frames are unwound
 * from addresses all over its code, on a stack made of the file's own bytes. AddressSanitizer sees
 * every byte read outside. Rules that must hold are checked on the way.
 */
#include <sanitizer/asan_interface.h>
#include <stdint.h>
#include <stdlib.h>

#include <ldr/pe.h>
#include <rtl/rtl.h>

#define LARGEST_IMAGE 0x100000u /* keeps one run short */
#define PAGE 4096u
#define STACK_BYTES 4096u
#define STACK_BASE 0x600000000000ull
#define FRAMES 64

#define MUST(Rule)           \
    do {                     \
        if (!(Rule)) {       \
            __builtin_trap(); \
        }                    \
    } while (0)

/* What the fuzzer's reader of memory knows. */
typedef struct _WORLD {
    const LDRP_IMAGE_INFO *Info;
    UCHAR *Image;
    UCHAR Stack[STACK_BYTES];
} WORLD;

/* ---- The image in memory ---- */

/* Poison all of the image but the headers and the pages of sections. */
static VOID
PoisonGaps(const LDRP_IMAGE_INFO *Info, UCHAR *Image)
{
    ULONG i;

    ASAN_POISON_MEMORY_REGION(Image, Info->ImageSize);
    ASAN_UNPOISON_MEMORY_REGION(Image, Info->HeaderSize);
    for (i = 0; i < Info->SectionCount; i++) {
        const LDRP_SECTION *Section = &Info->Section[i];
        ULONG64 Bytes = ALIGN_UP_BY(Section->VirtualSize, PAGE);

        MUST(Section->VirtualAddress + Bytes <= Info->ImageSize);
        MUST(Section->FileSize <= Bytes);
        ASAN_UNPOISON_MEMORY_REGION(Image + Section->VirtualAddress, Bytes);
    }
}

static NTSTATUS
BindImport(PVOID Context, const LDRP_IMPORT *Import)
{
    WORLD *World = Context;
    ULONG64 Address = 0x4242424242424242ull;

    MUST(Import->Module[0] != 0);
    MUST(Import->Name == NULL || Import->Name[0] != 0);
    MUST(LdrpFindSection(World->Info, Import->SlotRva) != NULL);
    __builtin_memcpy(World->Image + Import->SlotRva, &Address, sizeof(Address));
    return STATUS_SUCCESS;
}

static VOID
LookUpExports(const LDRP_VIEW *View)
{
    static const char *const Names[] = {"", "A", "DriverEntry", "GsDriverEntry", "zzzz"};
    static LDRP_EXPORT Export;
    ULONG i;

    for (i = 0; i < ARRAYSIZE(Names); i++) {
        if (NT_SUCCESS(LdrpFindExportByName(View, Names[i], &Export))) {
            MUST(Export.Rva < View->Info->ImageSize);
        }
    }
    for (i = 0; i < 40; i++) {
        LdrpFindExportByOrdinal(View, (USHORT)i, &Export);
    }
}

/* ---- Unwinding ---- */

/* Memory as the kernel's reader would see it: the stack, and what of the image is there. */
static BOOLEAN
ReadMemory(PVOID Context, ULONG64 Address, PVOID Buffer, ULONG Length)
{
    WORLD *World = Context;
    LDRP_VIEW View = LdrpMappedView(World->Info, World->Image);
    ULONG64 Rva = Address - World->Info->PreferredBase;

    if (Rva < World->Info->ImageSize) {
        return LdrpReadView(&View, (ULONG)Rva, Buffer, Length);
    }
    if (Address < STACK_BASE || Address - STACK_BASE > STACK_BYTES - Length) {
        return FALSE;
    }
    __builtin_memcpy(Buffer, World->Stack + (Address - STACK_BASE), Length);
    return TRUE;
}

static VOID
UnwindFrom(WORLD *World, const RTLP_UNWIND_IMAGE *Image, ULONG Rva)
{
    RTLP_UNWIND_STATE State;
    RTLP_UNWIND_FRAME Frame;
    ULONG i, Options = RTLP_UNWIND_READ_IMAGE;
    ULONG64 Rsp;

    for (i = 0; i < 16; i++) {
        State.Register[i] = STACK_BASE + i * 40;
        State.Xmm[i].Low = i;
        State.Xmm[i].High = 0;
    }
    State.Register[RTLP_RSP] = STACK_BASE + 64;
    State.Rip = Image->Base + Rva;
    for (i = 0; i < FRAMES && State.Rip - Image->Base < Image->Size; i++) {
        Rsp = State.Register[RTLP_RSP];
        if (!NT_SUCCESS(RtlpVirtualUnwind(Image, Options, &State, ReadMemory, World, &Frame))) {
            break;
        }
        MUST(Frame.MachineFrame || State.Register[RTLP_RSP] > Rsp);
        MUST(Frame.HandlerRva < Image->Size);
        Options = RTLP_UNWIND_READ_IMAGE | RTLP_UNWIND_CALL_SITE;
    }
}

static VOID
UnwindEverywhere(WORLD *World)
{
    const LDRP_IMAGE_INFO *Info = World->Info;
    const IMAGE_DATA_DIRECTORY *Table = &Info->Directory[IMAGE_DIRECTORY_ENTRY_EXCEPTION];
    RTLP_UNWIND_IMAGE Image = {World->Image, Info->PreferredBase, Info->ImageSize,
                               Table->VirtualAddress, Table->Size};
    RUNTIME_FUNCTION Function;
    ULONG i;

    /* Near the start of each function that the table names, and a few places besides. */
    for (i = 0; i < Info->FunctionCount && i < 64; i++) {
        __builtin_memcpy(&Function, World->Image + Table->VirtualAddress + i * sizeof(Function),
                         sizeof(Function));
        UnwindFrom(World, &Image, Function.BeginAddress);
        UnwindFrom(World, &Image, Function.BeginAddress + 5);
        UnwindFrom(World, &Image, Function.BeginAddress / 2 + Function.EndAddress / 2);
        UnwindFrom(World, &Image, Function.EndAddress - 1);
    }
    UnwindFrom(World, &Image, Info->EntryPoint);
    UnwindFrom(World, &Image, Info->ImageSize - 1);
}

/* ---- One file ---- */

static VOID
UseImage(const uint8_t *File, size_t Size, const LDRP_IMAGE_INFO *Info)
{
    WORLD World = {Info, NULL, {0}};
    LDRP_VIEW View;
    size_t i;

    World.Image = calloc(1, Info->ImageSize);
    MUST(World.Image != NULL);
    PoisonGaps(Info, World.Image);
    LdrpCopyImage(File, Info, World.Image);
    for (i = 0; i < STACK_BYTES; i++) {
        World.Stack[i] = File[i % Size];
    }
    View = LdrpMappedView(Info, World.Image);
    UnwindEverywhere(&World);
    /* What the check accepted, the walks accept too, until an import's slot lies in a table. */
    MUST((Info->Characteristics & IMAGE_FILE_RELOCS_STRIPPED) != 0 ||
         NT_SUCCESS(LdrpRelocateImage(&View, 0x7FF012340000ll, NULL)));
    LdrpEnumerateImports(&View, BindImport, &World, NULL);
    LookUpExports(&View);
    UnwindEverywhere(&World);
    ASAN_UNPOISON_MEMORY_REGION(World.Image, Info->ImageSize);
    free(World.Image);
}

int LLVMFuzzerTestOneInput(const uint8_t *Data, size_t Size);

int
LLVMFuzzerTestOneInput(const uint8_t *Data, size_t Size)
{
    static LDRP_IMAGE_INFO Info;
    NTSTATUS Status = LdrpCheckImage(Data, Size, &Info);

    if (!NT_SUCCESS(Status)) {
        MUST(Info.Reason != NULL && Info.Reason[0] != 0);
        return 0;
    }
    MUST(Info.Reason == NULL);
    if (Info.ImageSize <= LARGEST_IMAGE) {
        UseImage(Data, Size, &Info);
    }
    return 0;
}
