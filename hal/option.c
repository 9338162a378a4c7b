/* The options of a run that mean the same on every machine; see option.h. */
#include "option.h"

typedef enum _HALP_OPTION_KIND {
    HalpOptionFlag,  /* no value: the BOOLEAN at Offset is set */
    HalpOptionULong64,
    HalpOptionText,
    HalpOptionOther, /* Take has it */
} HALP_OPTION_KIND;

typedef struct _HALP_OPTION {
    const char *Name;
    HALP_OPTION_KIND Kind;
    ULONG Offset; /* in the loader block */
    VOID (*Take)(PHAL_LOADER_BLOCK LoaderBlock, const char *Name, char *Value);
} HALP_OPTION;

BOOLEAN
HalpSameText(const char *Left, const char *Right)
{
    while (*Left != 0 && *Left == *Right) {
        Left += 1;
        Right += 1;
    }
    return *Left == *Right;
}

static SIZE_T
HalpTextLength(const char *Text)
{
    SIZE_T Length = 0;

    while (Text[Length] != 0) {
        Length += 1;
    }
    return Length;
}

/* The weight of a digit, 16 if it is none. */
static ULONG
HalpDigit(char Digit)
{
    if (Digit >= '0' && Digit <= '9') {
        return (ULONG)(Digit - '0');
    }
    Digit |= 0x20;
    return Digit >= 'a' && Digit <= 'f' ? (ULONG)(Digit - 'a') + 10 : 16;
}

/* Digits up to End or the end of the text, which must not be at once. FALSE if it is no number. */
static BOOLEAN
HalpReadNumber(const char **Text, char End, PULONG64 Number)
{
    const char *Digit = *Text;
    ULONG Base = 10;
    ULONG64 Value = 0;

    if (Digit[0] == '0' && (Digit[1] | 0x20) == 'x') {
        Base = 16;
        Digit += 2;
    }
    *Text = Digit;
    for (; *Digit != 0 && *Digit != End; Digit += 1) {
        ULONG Weight = HalpDigit(*Digit);

        if (Weight >= Base || Value > (MAXULONGLONG - Weight) / Base) {
            return FALSE;
        }
        Value = Value * Base + Weight;
    }
    if (Digit == *Text) {
        return FALSE;
    }
    *Text = Digit;
    *Number = Value;
    return TRUE;
}

ULONG64
HalpOptionNumber(const char *Option, const char *Value, ULONG64 Lowest, ULONG64 Highest)
{
    const char *Rest = Value;
    ULONG64 Number;

    if (!HalpReadNumber(&Rest, 0, &Number) || Number < Lowest || Number > Highest) {
        HalpRefuseOption(Option, Value, "is not a number, or is out of range");
    }
    return Number;
}

/* A file by its path. */
static VOID
HalpReadWhole(PHAL_IMAGE_FILE File, const char *Name, const char *Value)
{
    File->Name = Value;
    for (const char *Byte = Value; *Byte != 0; Byte += 1) {
        if (*Byte == '/') {
            File->Name = Byte + 1;
        }
    }
    File->Bytes = HalpOptionFile(Name, Value, &File->Size);
}

/* An image to load. */
static VOID
HalpTakeImage(PHAL_LOADER_BLOCK LoaderBlock, const char *Name, char *Value)
{
    if (LoaderBlock->ImageCount == HAL_MAXIMUM_IMAGES) {
        HalpRefuseOption(Name, Value, "is an image too many");
    }
    HalpReadWhole(&LoaderBlock->Images[LoaderBlock->ImageCount], Name, Value);
    LoaderBlock->ImageCount += 1;
}

static VOID
HalpTakeRegistry(PHAL_LOADER_BLOCK LoaderBlock, const char *Name, char *Value)
{
    HalpReadWhole(&LoaderBlock->Registry, Name, Value);
}

/* ntdll.dll, by its path. */
static VOID
HalpTakeNtdll(PHAL_LOADER_BLOCK LoaderBlock, const char *Name, char *Value)
{
    HalpReadWhole(&LoaderBlock->Ntdll, Name, Value);
}

/* CODE:OUTPUT:DEVICE; DEVICE may be empty. */
static VOID
HalpTakeRequest(PHAL_LOADER_BLOCK LoaderBlock, const char *Name, char *Value)
{
    const char *Rest = Value;
    PHAL_REQUEST Request;
    ULONG64 Code, OutputLength;

    if (LoaderBlock->RequestCount == HAL_MAXIMUM_REQUESTS) {
        HalpRefuseOption(Name, Value, "is a request too many");
    }
    if (!HalpReadNumber(&Rest, ':', &Code) || *Rest != ':' || Code > MAXULONG) {
        HalpRefuseOption(Name, Value, "is not CODE:OUTPUT:DEVICE");
    }
    Rest += 1;
    if (!HalpReadNumber(&Rest, ':', &OutputLength) || *Rest != ':' || OutputLength > HAL_MAXIMUM_REQUEST_BYTES) {
        HalpRefuseOption(Name, Value, "is not CODE:OUTPUT:DEVICE");
    }
    Request = &LoaderBlock->Requests[LoaderBlock->RequestCount];
    Request->Code = (ULONG)Code;
    Request->OutputLength = (ULONG)OutputLength;
    Request->Device = Rest + 1;
    LoaderBlock->RequestCount += 1;
}

/* FLAGS:TAG:LOW:HIGH */
static VOID
HalpTakeSpecialPool(PHAL_LOADER_BLOCK LoaderBlock, const char *Name, char *Value)
{
    PHAL_SPECIAL_POOL Special = &LoaderBlock->SpecialPool;
    const char *Rest = Value;
    ULONG64 Numbers[4];

    for (ULONG Index = 0; Index < 4; Index += 1) {
        if (!HalpReadNumber(&Rest, Index < 3 ? ':' : 0, &Numbers[Index]) || (Index < 3 && *Rest != ':')) {
            HalpRefuseOption(Name, Value, "is not FLAGS:TAG:LOW:HIGH");
        }
        Rest += 1;
    }
    Special->Flags = (ULONG)Numbers[0];
    Special->TagPattern = (ULONG)Numbers[1];
    Special->SizeLow = Numbers[2];
    Special->SizeHigh = Numbers[3];
}

/* The input of the last request. */
static VOID
HalpSetInput(PHAL_LOADER_BLOCK LoaderBlock, const char *Name, const VOID *Bytes, SIZE_T Size)
{
    PHAL_REQUEST Request;

    if (LoaderBlock->RequestCount == 0) {
        HalpRefuseOption(Name, NULL, "follows no request");
    }
    if (Size > HAL_MAXIMUM_REQUEST_BYTES) {
        HalpRefuseOption(Name, NULL, "has more bytes than a request's input can");
    }
    Request = &LoaderBlock->Requests[LoaderBlock->RequestCount - 1];
    Request->Input = Bytes;
    Request->InputLength = (ULONG)Size;
}

/* Pairs of hexadecimal digits, turned into bytes where they stand. */
static VOID
HalpTakeInputHex(PHAL_LOADER_BLOCK LoaderBlock, const char *Name, char *Value)
{
    SIZE_T Size = HalpTextLength(Value) / 2;

    for (SIZE_T Index = 0; Index < Size || Value[2 * Index] != 0; Index += 1) {
        ULONG High = HalpDigit(Value[2 * Index]);
        ULONG Low = Index < Size ? HalpDigit(Value[2 * Index + 1]) : 16;

        if (High > 15 || Low > 15) {
            HalpRefuseOption(Name, NULL, "takes pairs of hexadecimal digits");
        }
        Value[Index] = (char)(High << 4 | Low);
    }
    HalpSetInput(LoaderBlock, Name, Value, Size);
}

static VOID
HalpTakeInputFile(PHAL_LOADER_BLOCK LoaderBlock, const char *Name, char *Value)
{
    SIZE_T Size;
    const VOID *Bytes = HalpOptionFile(Name, Value, &Size);

    HalpSetInput(LoaderBlock, Name, Bytes, Size);
}

/* No file is mapped yet; the supervisor says so. */
static VOID
HalpTakeDrive(PHAL_LOADER_BLOCK LoaderBlock, const char *Name, char *Value)
{
}

static const HALP_OPTION HalpOptions[] = {
    {"seed", HalpOptionULong64, FIELD_OFFSET(HAL_LOADER_BLOCK, Seed), NULL},
    {"pagefile", HalpOptionULong64, FIELD_OFFSET(HAL_LOADER_BLOCK, PageFileBytes), NULL},
    {"fail", HalpOptionText, FIELD_OFFSET(HAL_LOADER_BLOCK, Fail), NULL},
    {"no-verify", HalpOptionFlag, FIELD_OFFSET(HAL_LOADER_BLOCK, NoVerify), NULL},
    {"command-line", HalpOptionText, FIELD_OFFSET(HAL_LOADER_BLOCK, CommandLine), NULL},
    {"test", HalpOptionText, FIELD_OFFSET(HAL_LOADER_BLOCK, Test), NULL},
    {"drive", HalpOptionOther, 0, HalpTakeDrive},
    {"image", HalpOptionOther, 0, HalpTakeImage},
    {"registry", HalpOptionOther, 0, HalpTakeRegistry},
    {"special-pool", HalpOptionOther, 0, HalpTakeSpecialPool},
    {"ntdll", HalpOptionOther, 0, HalpTakeNtdll},
    {"ioctl", HalpOptionOther, 0, HalpTakeRequest},
    {"ioctl-hex", HalpOptionOther, 0, HalpTakeInputHex},
    {"ioctl-file", HalpOptionOther, 0, HalpTakeInputFile},
};

static const HALP_OPTION *
HalpFindOption(const char *Name)
{
    for (ULONG Index = 0; Index < RTL_NUMBER_OF(HalpOptions); Index += 1) {
        if (HalpSameText(HalpOptions[Index].Name, Name)) {
            return &HalpOptions[Index];
        }
    }
    return NULL;
}

BOOLEAN
HalpOptionIsFlag(const char *Name)
{
    const HALP_OPTION *Option = HalpFindOption(Name);

    return Option != NULL && Option->Kind == HalpOptionFlag;
}

BOOLEAN
HalpTakeOption(PHAL_LOADER_BLOCK LoaderBlock, const char *Name, char *Value)
{
    const HALP_OPTION *Option = HalpFindOption(Name);

    if (Option == NULL) {
        return FALSE;
    }
    if ((Value == NULL) != (Option->Kind == HalpOptionFlag)) {
        HalpRefuseOption(Name, Value, Value == NULL ? "needs a value" : "is a value too many");
    }
    switch (Option->Kind) {
    case HalpOptionFlag:
        *(PBOOLEAN)((PUCHAR)LoaderBlock + Option->Offset) = TRUE;
        break;
    case HalpOptionULong64:
        *(PULONG64)((PUCHAR)LoaderBlock + Option->Offset) = HalpOptionNumber(Name, Value, 0, MAXULONGLONG);
        break;
    case HalpOptionText:
        *(const char **)((PUCHAR)LoaderBlock + Option->Offset) = Value;
        break;
    case HalpOptionOther:
        Option->Take(LoaderBlock, Name, Value);
        break;
    }
    return TRUE;
}
