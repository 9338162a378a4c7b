/* Reading .reg files; see regfile.h. */
#include "regfile.h"

#define CMP_REGFILE_TITLE L"Windows Registry Editor Version 5.00"

typedef struct _CMP_READER {
    PWSTR Place; /* what comes next */
    PWSTR End;
    ULONG Line;
    const CM_REGFILE_SINK *Sink;
    PCM_REGFILE_ERROR Error;
} CMP_READER, *PCMP_READER;

/* --- Characters -------------------------------------------------------------------------------- */

/* One character of UTF-8; its length in bytes, 0 if it is none. */
static ULONG
CmpDecodeUtf8(const UCHAR *Bytes, SIZE_T Left, PULONG Character)
{
    static const ULONG Least[5] = {0, 0, 0x80, 0x800, 0x10000};
    ULONG Length = Bytes[0] < 0x80 ? 1 : Bytes[0] < 0xC2 ? 0 : Bytes[0] < 0xE0 ? 2 : Bytes[0] < 0xF0 ? 3 : 4;
    ULONG Value = Bytes[0];

    if (Length == 0 || Length > Left || Bytes[0] > 0xF4) {
        return 0;
    }
    if (Length > 1) {
        Value &= 0xFFu >> (Length + 1);
    }
    for (ULONG Index = 1; Index < Length; Index += 1) {
        if ((Bytes[Index] & 0xC0) != 0x80) {
            return 0;
        }
        Value = Value << 6 | (Bytes[Index] & 0x3F);
    }
    if (Value < Least[Length] || Value > 0x10FFFF || (Value >= 0xD800 && Value < 0xE000)) {
        return 0;
    }
    *Character = Value;
    return Length;
}

static BOOLEAN
CmpDecodeNarrow(const UCHAR *Bytes, SIZE_T Size, PWSTR Text, PULONG Count, PCM_REGFILE_ERROR Error)
{
    SIZE_T Index = Size >= 3 && Bytes[0] == 0xEF && Bytes[1] == 0xBB && Bytes[2] == 0xBF ? 3 : 0;
    ULONG Character;

    Error->Line = 1;
    for (*Count = 0; Index < Size;) {
        ULONG Length = CmpDecodeUtf8(Bytes + Index, Size - Index, &Character);

        if (Length == 0) {
            Error->Text = "neither UTF-8 nor UTF-16 with a byte order mark";
            return FALSE;
        }
        Index += Length;
        if (Character >= 0x10000) {
            Text[(*Count)++] = (WCHAR)(0xD7C0 + (Character >> 10));
            Character = 0xDC00 | (Character & 0x3FF);
        }
        Text[(*Count)++] = (WCHAR)Character;
        Error->Line += Character == L'\n';
    }
    return TRUE;
}

BOOLEAN
CmpDecodeRegistryFile(const UCHAR *Bytes, SIZE_T Size, PWSTR Text, PULONG Count, PCM_REGFILE_ERROR Error)
{
    Error->Line = 1;
    if (Size > CM_REGFILE_LIMIT) {
        Error->Text = "larger than 16 MB";
        return FALSE;
    }
    if (Size < 2 || Bytes[0] != 0xFF || Bytes[1] != 0xFE) {
        return CmpDecodeNarrow(Bytes, Size, Text, Count, Error);
    }
    if (Size % sizeof(WCHAR) != 0) {
        Error->Text = "UTF-16 with an odd number of bytes";
        return FALSE;
    }
    *Count = 0;
    for (SIZE_T Index = 2; Index < Size; Index += 2) {
        Text[(*Count)++] = (WCHAR)(Bytes[Index] | Bytes[Index + 1] << 8);
    }
    return TRUE;
}

/* --- Pieces of a line -------------------------------------------------------------------------- */

static NTSTATUS
CmpRefuse(PCMP_READER Reader, const char *Text)
{
    Reader->Error->Line = Reader->Line;
    Reader->Error->Text = Text;
    return STATUS_INVALID_PARAMETER;
}

static BOOLEAN
CmpAtLineEnd(PCMP_READER Reader)
{
    return Reader->Place == Reader->End || *Reader->Place == L'\n' || *Reader->Place == L'\r';
}

static VOID
CmpSkipBlanks(PCMP_READER Reader)
{
    while (Reader->Place < Reader->End && (*Reader->Place == L' ' || *Reader->Place == L'\t')) {
        Reader->Place += 1;
    }
}

/* To the beginning of the next line. */
static VOID
CmpSkipLine(PCMP_READER Reader)
{
    while (!CmpAtLineEnd(Reader)) {
        Reader->Place += 1;
    }
    if (Reader->Place < Reader->End && *Reader->Place == L'\r') {
        Reader->Place += 1;
    }
    if (Reader->Place < Reader->End && *Reader->Place == L'\n') {
        Reader->Place += 1;
    }
    Reader->Line += 1;
}

/* Nothing may follow on the line but a comment. */
static NTSTATUS
CmpEndLine(PCMP_READER Reader)
{
    CmpSkipBlanks(Reader);
    if (!CmpAtLineEnd(Reader) && *Reader->Place != L';') {
        return CmpRefuse(Reader, "something follows that does not belong here");
    }
    return STATUS_SUCCESS;
}

/* Is this what comes next? Then step over it. */
static BOOLEAN
CmpTake(PCMP_READER Reader, const WCHAR *Word)
{
    PWSTR Place = Reader->Place;

    for (; *Word != 0; Word += 1, Place += 1) {
        if (Place == Reader->End || *Place != *Word) {
            return FALSE;
        }
    }
    Reader->Place = Place;
    return TRUE;
}

/* The value of a hexadecimal digit, 16 if it is none. */
static ULONG
CmpDigit(WCHAR Character)
{
    if (Character >= L'0' && Character <= L'9') {
        return Character - L'0';
    }
    Character |= 0x20;
    return Character >= L'a' && Character <= L'f' ? Character - L'a' + 10 : 16;
}

/* A number of one to eight digits. */
static BOOLEAN
CmpTakeNumber(PCMP_READER Reader, PULONG Number)
{
    ULONG Digits = 0;

    for (*Number = 0; Reader->Place < Reader->End && CmpDigit(*Reader->Place) < 16 && Digits < 9; Digits += 1) {
        *Number = *Number << 4 | CmpDigit(*Reader->Place);
        Reader->Place += 1;
    }
    return Digits != 0 && Digits <= 8;
}

/* Text in quotation marks, made plain where it stands, and terminated. */
static NTSTATUS
CmpTakeText(PCMP_READER Reader, PWSTR *Text, PULONG Count)
{
    PWSTR To;

    Reader->Place += 1;
    *Text = Reader->Place;
    for (To = Reader->Place; !CmpAtLineEnd(Reader) && *Reader->Place != L'"'; To += 1) {
        if (*Reader->Place == L'\\') {
            Reader->Place += 1;
            if (CmpAtLineEnd(Reader) || (*Reader->Place != L'\\' && *Reader->Place != L'"')) {
                return CmpRefuse(Reader, "in text \\ stands before \\ or \" only");
            }
        }
        *To = *Reader->Place;
        Reader->Place += 1;
    }
    if (CmpAtLineEnd(Reader)) {
        return CmpRefuse(Reader, "text does not end in its line");
    }
    Reader->Place += 1;
    *Count = (ULONG)(To - *Text);
    *To = 0;
    return STATUS_SUCCESS;
}

/* Bytes up to the end of the line, or of those it goes on in, put where they stand. */
static NTSTATUS
CmpTakeBytes(PCMP_READER Reader, PUCHAR *Bytes, PULONG Count)
{
    PUCHAR To = (PUCHAR)Reader->Place;
    BOOLEAN Wanted = FALSE; /* after a comma */

    *Bytes = To;
    for (;;) {
        CmpSkipBlanks(Reader);
        if (CmpTake(Reader, L"\\")) {
            CmpSkipBlanks(Reader);
            if (!CmpAtLineEnd(Reader)) {
                return CmpRefuse(Reader, "\\ is not at the end of the line");
            }
            CmpSkipLine(Reader);
            continue;
        }
        if (CmpAtLineEnd(Reader) || *Reader->Place == L';') {
            break;
        }
        if (Reader->End - Reader->Place < 2 || CmpDigit(Reader->Place[0]) > 15 || CmpDigit(Reader->Place[1]) > 15 ||
            (To != *Bytes && !Wanted)) {
            return CmpRefuse(Reader, "not pairs of hexadecimal digits with commas between");
        }
        /* Two characters, four bytes, become one byte. */
        *To++ = (UCHAR)(CmpDigit(Reader->Place[0]) << 4 | CmpDigit(Reader->Place[1]));
        Reader->Place += 2;
        CmpSkipBlanks(Reader);
        Wanted = CmpTake(Reader, L",");
    }
    if (Wanted) {
        return CmpRefuse(Reader, "a byte is missing after the comma");
    }
    *Count = (ULONG)(To - *Bytes);
    return STATUS_SUCCESS;
}

/* --- Lines ------------------------------------------------------------------------------------- */

/* What the sink made of it. */
static NTSTATUS
CmpSunk(PCMP_READER Reader, NTSTATUS Status)
{
    if (!NT_SUCCESS(Status)) {
        Reader->Error->Line = Reader->Line;
        Reader->Error->Text = "the registry does not take it";
    }
    return Status;
}

static NTSTATUS
CmpReadKey(PCMP_READER Reader)
{
    UNICODE_STRING Path;
    BOOLEAN Delete;
    PWSTR Close = NULL;

    Reader->Place += 1;
    Delete = CmpTake(Reader, L"-");
    Path.Buffer = Reader->Place;
    /* A name may have brackets: the last one of the line counts. */
    for (; !CmpAtLineEnd(Reader); Reader->Place += 1) {
        if (*Reader->Place == L']') {
            Close = Reader->Place;
        }
    }
    if (Close == NULL) {
        return CmpRefuse(Reader, "] is missing");
    }
    if (Close == Path.Buffer || Close - Path.Buffer > 0x7FFE) {
        return CmpRefuse(Reader, Close == Path.Buffer ? "a key without a name" : "the name is too long");
    }
    Path.Length = (USHORT)((Close - Path.Buffer) * (LONG)sizeof(WCHAR));
    Path.MaximumLength = Path.Length;
    Reader->Place = Close + 1;
    if (!NT_SUCCESS(CmpEndLine(Reader))) {
        return STATUS_INVALID_PARAMETER;
    }
    return CmpSunk(Reader, Reader->Sink->Key(Reader->Sink->Context, &Path, Delete));
}

static NTSTATUS
CmpReadTextValue(PCMP_READER Reader, PCUNICODE_STRING Name)
{
    PWSTR Text;
    ULONG Count;
    NTSTATUS Status = CmpTakeText(Reader, &Text, &Count);

    if (NT_SUCCESS(Status)) {
        Status = CmpEndLine(Reader);
    }
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    return CmpSunk(Reader, Reader->Sink->Value(Reader->Sink->Context, Name, REG_SZ, Text,
                                               (Count + 1) * (ULONG)sizeof(WCHAR)));
}

static NTSTATUS
CmpReadNumberValue(PCMP_READER Reader, PCUNICODE_STRING Name)
{
    ULONG Number;

    if (!CmpTakeNumber(Reader, &Number)) {
        return CmpRefuse(Reader, "dword: takes one to eight hexadecimal digits");
    }
    if (!NT_SUCCESS(CmpEndLine(Reader))) {
        return STATUS_INVALID_PARAMETER;
    }
    return CmpSunk(Reader, Reader->Sink->Value(Reader->Sink->Context, Name, REG_DWORD, &Number, sizeof(Number)));
}

static NTSTATUS
CmpReadBytesValue(PCMP_READER Reader, PCUNICODE_STRING Name)
{
    ULONG Type = REG_BINARY, Count;
    ULONG First = Reader->Line;
    PUCHAR Bytes;
    NTSTATUS Status;

    if (CmpTake(Reader, L"(") && (!CmpTakeNumber(Reader, &Type) || !CmpTake(Reader, L")"))) {
        return CmpRefuse(Reader, "hex( takes the number of a type, and )");
    }
    if (!CmpTake(Reader, L":")) {
        return CmpRefuse(Reader, "hex takes : and bytes");
    }
    Status = CmpTakeBytes(Reader, &Bytes, &Count);
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Status = Reader->Sink->Value(Reader->Sink->Context, Name, Type, Bytes, Count);
    if (!NT_SUCCESS(Status)) {
        CmpSunk(Reader, Status);
        Reader->Error->Line = First;
    }
    return Status;
}

static NTSTATUS
CmpReadValue(PCMP_READER Reader)
{
    UNICODE_STRING Name = {0};
    ULONG Count = 0;
    NTSTATUS Status;

    if (*Reader->Place == L'"') {
        Status = CmpTakeText(Reader, &Name.Buffer, &Count);
        if (!NT_SUCCESS(Status)) {
            return Status;
        }
        if (Count > 16383) {
            return CmpRefuse(Reader, "the name is too long");
        }
        Name.Length = (USHORT)(Count * sizeof(WCHAR));
        Name.MaximumLength = Name.Length;
    } else {
        Reader->Place += 1;
    }
    CmpSkipBlanks(Reader);
    if (!CmpTake(Reader, L"=")) {
        return CmpRefuse(Reader, "= is missing after the name of a value");
    }
    CmpSkipBlanks(Reader);
    if (Reader->Place < Reader->End && *Reader->Place == L'"') {
        return CmpReadTextValue(Reader, &Name);
    }
    if (CmpTake(Reader, L"dword:")) {
        return CmpReadNumberValue(Reader, &Name);
    }
    if (CmpTake(Reader, L"hex")) {
        return CmpReadBytesValue(Reader, &Name);
    }
    if (CmpTake(Reader, L"-")) {
        Status = CmpEndLine(Reader);
        return NT_SUCCESS(Status) ? CmpSunk(Reader, Reader->Sink->DeleteValue(Reader->Sink->Context, &Name)) : Status;
    }
    return CmpRefuse(Reader, "a value is \"text\", dword:, hex:, hex(type):, or -");
}

NTSTATUS
CmpReadRegistryFile(PWSTR Text, ULONG Count, const CM_REGFILE_SINK *Sink, PCM_REGFILE_ERROR Error)
{
    CMP_READER Reader = {.Place = Text, .End = Text + Count, .Line = 1, .Sink = Sink, .Error = Error};
    NTSTATUS Status = STATUS_SUCCESS;

    if (!CmpTake(&Reader, CMP_REGFILE_TITLE)) {
        return CmpRefuse(&Reader, "does not begin with \"Windows Registry Editor Version 5.00\"");
    }
    Status = CmpEndLine(&Reader);
    for (; NT_SUCCESS(Status) && Reader.Place < Reader.End; CmpSkipLine(&Reader)) {
        CmpSkipBlanks(&Reader);
        if (CmpAtLineEnd(&Reader) || *Reader.Place == L';') {
            continue;
        }
        if (*Reader.Place == L'[') {
            Status = CmpReadKey(&Reader);
        } else if (*Reader.Place == L'"' || *Reader.Place == L'@') {
            Status = CmpReadValue(&Reader);
        } else {
            Status = CmpRefuse(&Reader, "neither a [key], a \"name\"=, nor a comment");
        }
        if (!NT_SUCCESS(Status)) {
            break;
        }
    }
    return Status;
}
