/*
 * options.c - the command line and the seed.
 *
 *   seed=N  pagefile=BYTES  image=NAME  test=WORD
 *
 * image names the first file that the loader put into RAM; test (kernel tests only) picks tests by name.
 * Words are separated by spaces; a mistake is one line and status 2. Owns the generator behind HalRandom,
 * which places things as the hosted machine's does: a function of the seed and of how often it was asked.
 */
#include "halp.h"

static char HalpCommandLine[HALP_COMMAND_LINE];
static ULONG64 HalpSeedState;

/* The value if Word is Name=value, else NULL. */
static const char *
HalpOptionValue(const char *Word, const char *Name)
{
    while (*Name != 0 && *Word == *Name) {
        Word += 1;
        Name += 1;
    }
    return *Name == 0 && *Word == '=' ? Word + 1 : NULL;
}

/* A number, decimal or 0x. */
static ULONG64
HalpOptionNumber(const char *Text)
{
    ULONG64 Value;
    ULONG Base;
    ULONG Digit;

    Base = 10;
    if (Text[0] == '0' && (Text[1] == 'x' || Text[1] == 'X')) {
        Base = 16;
        Text += 2;
    }
    if (*Text == 0) {
        HalpRefuse("an option's number is missing");
    }
    for (Value = 0; *Text != 0; Text += 1) {
        Digit = *Text >= '0' && *Text <= '9' ? (ULONG)(*Text - '0') : (ULONG)((*Text | 0x20) - 'a') + 10;
        if (Digit >= Base || Value > (MAXULONGLONG - Digit) / Base) {
            HalpRefuse("an option's number is none");
        }
        Value = Value * Base + Digit;
    }
    return Value;
}

static VOID
HalpReadOption(PHAL_LOADER_BLOCK LoaderBlock, const char *Word)
{
    const char *Value;

    if ((Value = HalpOptionValue(Word, "seed")) != NULL) {
        LoaderBlock->Seed = HalpOptionNumber(Value);
    } else if ((Value = HalpOptionValue(Word, "pagefile")) != NULL) {
        LoaderBlock->PageFileBytes = HalpOptionNumber(Value);
    } else if ((Value = HalpOptionValue(Word, "image")) != NULL) {
        LoaderBlock->Images[0].Name = Value;
    } else if ((Value = HalpOptionValue(Word, "test")) != NULL) {
        LoaderBlock->Images[0].Name = Value;
        LoaderBlock->ImageCount = MAX(LoaderBlock->ImageCount, 1);
    } else {
        HalpRefuse("there is an option on the command line that does not exist");
    }
}

VOID
HalpReadOptions(const HALP_BOOT_INFO *Info, PHAL_LOADER_BLOCK LoaderBlock)
{
    char *Word;
    ULONG Index;
    BOOLEAN InWord;

    LoaderBlock->Seed = 1;
    for (Index = 0; Index < Info->ImageCount; Index += 1) {
        LoaderBlock->Images[Index].Name = "image";
    }
    LoaderBlock->ImageCount = Info->ImageCount;
    Word = HalpCommandLine;
    InWord = FALSE;
    for (Index = 0; Index < HALP_COMMAND_LINE; Index += 1) {
        HalpCommandLine[Index] = Info->CommandLine[Index] == ' ' ? 0 : Info->CommandLine[Index];
        if (HalpCommandLine[Index] != 0 && !InWord) {
            Word = &HalpCommandLine[Index];
            InWord = TRUE;
        } else if (HalpCommandLine[Index] == 0 && InWord) {
            HalpReadOption(LoaderBlock, Word);
            InWord = FALSE;
        }
    }
    HalpInitializeSeed(LoaderBlock->Seed);
}

VOID
HalpInitializeSeed(ULONG64 Seed)
{
    HalpSeedState = Seed;
}

/* Sixty-four bits of the core's stream: a counter, mixed (SplitMix64). Any IRQL. */
ULONG64
HalRandom(VOID)
{
    ULONG64 Mixed;

    Mixed = __atomic_add_fetch(&HalpSeedState, 0x9E3779B97F4A7C15ull, __ATOMIC_RELAXED);
    Mixed = (Mixed ^ (Mixed >> 30)) * 0xBF58476D1CE4E5B9ull;
    Mixed = (Mixed ^ (Mixed >> 27)) * 0x94D049BB133111EBull;
    return Mixed ^ (Mixed >> 31);
}

/* The order of things depends on more than the seed here. */
BOOLEAN
HalReplayable(VOID)
{
    return FALSE;
}
