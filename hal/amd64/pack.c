/*
 * pack.c - files in RAM; see pack.h. A member of a pack is a header of 110 characters, its name with a zero byte, and its
 * contents, the last two filled up to multiples of four bytes from the start of the archive; "TRAILER!!!" ends it. After
 * the public description of the format (cpio(5)). Owns no state.
 */
#include "pack.h"
#include <hal/option.h>

#define HALP_PACK_HEADER  110u
#define HALP_PACK_FIELD   8u
#define HALP_PACK_SIZE_AT (6u + 6 * HALP_PACK_FIELD)
#define HALP_PACK_NAME_AT (6u + 11 * HALP_PACK_FIELD)

PUCHAR
HalpFileBytes(const HALP_BOOT_FILE *File)
{
    return (PUCHAR)(HALP_DIRECT_MAP + File->Base);
}

static BOOLEAN
HalpHasPackMagic(const UCHAR *Header)
{
    static const char Magic[] = "070701";
    ULONG Index;

    for (Index = 0; Index < sizeof(Magic) - 1; Index += 1) {
        if (Header[Index] != (UCHAR)Magic[Index]) {
            return FALSE;
        }
    }
    return TRUE;
}

BOOLEAN
HalpIsPack(const HALP_BOOT_FILE *File)
{
    return File->Size >= HALP_PACK_HEADER && HalpHasPackMagic(HalpFileBytes(File));
}

static ULONG
HalpPackNumber(const UCHAR *Digits)
{
    ULONG Value;
    ULONG Index;
    ULONG Digit;

    Value = 0;
    for (Index = 0; Index < HALP_PACK_FIELD; Index += 1) {
        Digit = Digits[Index];
        Digit = Digit >= '0' && Digit <= '9' ? Digit - '0' : (Digit | 0x20) - 'a' + 10;
        if (Digit > 15) {
            HalpRefuse("the pack of files is damaged: not a number");
        }
        Value = Value << 4 | Digit;
    }
    return Value;
}

static ULONG64
HalpPackAlign(ULONG64 Offset)
{
    return (Offset + 3) & ~3ull;
}

BOOLEAN
HalpNextInPack(const HALP_BOOT_FILE *Pack, PULONG64 Offset, PHALP_FILE File)
{
    PUCHAR Bytes;
    ULONG64 Name;
    ULONG64 Contents;
    ULONG NameSize;

    Bytes = HalpFileBytes(Pack);
    if (*Offset > Pack->Size || Pack->Size - *Offset < HALP_PACK_HEADER || !HalpHasPackMagic(Bytes + *Offset)) {
        HalpRefuse("the pack of files is damaged: it ends too soon");
    }
    File->Size = HalpPackNumber(Bytes + *Offset + HALP_PACK_SIZE_AT);
    NameSize = HalpPackNumber(Bytes + *Offset + HALP_PACK_NAME_AT);
    Name = *Offset + HALP_PACK_HEADER;
    Contents = HalpPackAlign(Name + NameSize);
    if (NameSize == 0 || Contents > Pack->Size || File->Size > Pack->Size - Contents ||
        Bytes[Name + NameSize - 1] != 0) {
        HalpRefuse("the pack of files is damaged: a file is outside");
    }
    File->Name = (const char *)Bytes + Name;
    File->Bytes = Bytes + Contents;
    *Offset = HalpPackAlign(Contents + File->Size);
    return !HalpSameText(File->Name, "TRAILER!!!");
}
