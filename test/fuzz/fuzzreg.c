/*
 * fuzzreg.c - libFuzzer target for what reads .reg files: the decoder and the reader.
 *
 * The characters lie in a block of exactly the size that is asked for, so AddressSanitizer sees every step outside it. What the
 * sink is given must lie in that block, or be a number on the stack; a file that is refused must say where and why.
 */
#include <stdint.h>
#include <stdlib.h>

#include <cm/regfile.h>

#define MUST(Rule)            \
    do {                      \
        if (!(Rule)) {        \
            __builtin_trap(); \
        }                     \
    } while (0)

static ULONG Sum;

/* Read all of it. */
static VOID
Touch(const VOID *Bytes, ULONG Length)
{
    for (ULONG Index = 0; Index < Length; Index += 1) {
        Sum += ((const UCHAR *)Bytes)[Index];
    }
}

static NTSTATUS
Key(PVOID Context, PCUNICODE_STRING Path, BOOLEAN Delete)
{
    MUST(Path->Length != 0 && Path->Length % 2 == 0);
    Touch(Path->Buffer, Path->Length);
    return STATUS_SUCCESS;
}

static NTSTATUS
Value(PVOID Context, PCUNICODE_STRING Name, ULONG Type, const VOID *Data, ULONG Length)
{
    MUST(Name->Length % 2 == 0 && Name->Length <= 16383 * 2);
    Touch(Name->Buffer, Name->Length);
    Touch(Data, Length);
    return Length == 77 ? STATUS_INSUFFICIENT_RESOURCES : STATUS_SUCCESS;
}

static NTSTATUS
DeleteValue(PVOID Context, PCUNICODE_STRING Name)
{
    Touch(Name->Buffer, Name->Length);
    return STATUS_SUCCESS;
}

int LLVMFuzzerTestOneInput(const uint8_t *Data, size_t Size);

int
LLVMFuzzerTestOneInput(const uint8_t *Data, size_t Size)
{
    static const CM_REGFILE_SINK Sink = {NULL, Key, Value, DeleteValue};
    CM_REGFILE_ERROR Error = {0};
    PWSTR Text = malloc(CmpRegistryFileCharacters(Size) * sizeof(WCHAR));
    ULONG Count = 0;

    MUST(Text != NULL);
    if (!CmpDecodeRegistryFile(Data, Size, Text, &Count, &Error) ||
        !NT_SUCCESS(CmpReadRegistryFile(Text, Count, &Sink, &Error))) {
        MUST(Error.Line != 0 && Error.Text != NULL);
    }
    MUST(Count <= Size);
    free(Text);
    return 0;
}
