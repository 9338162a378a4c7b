/*
 * options.c - what the run is to be: words, and the files they name.
 *
 * A word is an option's name, or name=value. The loader's command line has words separated by spaces. A pack among the files
 * may have more, in its file HALP_WORDS_FILE, each ended by a zero byte, so that a value can have any other. What the
 * options mean is in hal/option.c, but for
 *
 *   processors=N            at most so many of those that there are
 *   show=serial             the memory map and the report go to the first serial port, for a person or where there is no other
 *   memory=                 for whoever made the machine; ignored
 *
 * A file that a word names is looked for in the packs, then among the loader's files; a single file without a name answers
 * to any. Files that no word names, if there is no image, are the images. A mistake is one line and status 2. Owns the
 * generator behind HalRandom, which places things as the hosted machine's does: a function of the seed and of how often it
 * was asked.
 */
#include "pack.h"
#include <hal/option.h>

#define HALP_WORDS_FILE "ntmm-options"

static const HALP_BOOT_INFO *HalpBootFiles;
static char HalpCommandLine[HALP_COMMAND_LINE];
static ULONG64 HalpSeedState;
ULONG HalpProcessorLimit = HAL_MAXIMUM_PROCESSORS;

static VOID
HalpPutWords(const char *const *Words, ULONG Count)
{
    SIZE_T Length;
    ULONG Index;

    for (Index = 0; Index < Count; Index += 1) {
        for (Length = 0; Words[Index][Length] != 0; Length += 1) {
        }
        HalPutDiagnostic(Words[Index], Length);
    }
}

VOID DECLSPEC_NORETURN
HalpRefuseOption(const char *Option, const char *Value, const char *Why)
{
    const char *const Words[] = {"ntmm: ", Option, Value == NULL ? "" : ": \"", Value == NULL ? "" : Value,
                                 Value == NULL ? "" : "\"", " ", Why, "\n"};

    HalpPutWords(Words, RTL_NUMBER_OF(Words));
    HalExit(2);
}

/* --- Files ------------------------------------------------------------------------------------------------- */

static BOOLEAN
HalpFindInPack(const HALP_BOOT_FILE *Pack, const char *Name, PHALP_FILE File)
{
    ULONG64 Offset;

    for (Offset = 0; HalpNextInPack(Pack, &Offset, File);) {
        if (HalpSameText(File->Name, Name)) {
            return TRUE;
        }
    }
    return FALSE;
}

const VOID *
HalpOptionFile(const char *Option, const char *Path, PSIZE_T Size)
{
    const HALP_BOOT_FILE *Boot;
    HALP_FILE File;

    for (Boot = HalpBootFiles->Files; Boot < HalpBootFiles->Files + HalpBootFiles->FileCount; Boot += 1) {
        if (HalpIsPack(Boot) ? HalpFindInPack(Boot, Path, &File)
                             : Boot->Name[0] == 0 || HalpSameText(Boot->Name, Path)) {
            *Size = HalpIsPack(Boot) ? File.Size : Boot->Size;
            return HalpIsPack(Boot) ? File.Bytes : HalpFileBytes(Boot);
        }
    }
    HalpRefuseOption(Option, Path, "is not among the files the machine was given");
}

/* --- Words ------------------------------------------------------------------------------------------------- */

/* Everything after the first "=", which becomes the end of the name; NULL if there is none. */
static char *
HalpSplitWord(char *Word)
{
    for (; *Word != 0; Word += 1) {
        if (*Word == '=') {
            *Word = 0;
            return Word + 1;
        }
    }
    return NULL;
}

static VOID
HalpReadWord(PHAL_LOADER_BLOCK LoaderBlock, char *Word)
{
    char *Value;

    Value = HalpSplitWord(Word);
    if (HalpSameText(Word, "processors") && Value != NULL) {
        HalpProcessorLimit = (ULONG)HalpOptionNumber(Word, Value, 1, HAL_MAXIMUM_PROCESSORS);
    } else if (HalpSameText(Word, "show") && Value != NULL && HalpSameText(Value, "serial")) {
        HalpShowOnSerial = TRUE;
    } else if (!HalpSameText(Word, "memory") && !HalpTakeOption(LoaderBlock, Word, Value)) {
        HalpRefuseOption(Word, NULL, "is an option that does not exist");
    }
}

/* Words ended by zero bytes; what follows the last of those is no word. */
static VOID
HalpReadWords(PHAL_LOADER_BLOCK LoaderBlock, char *Words, SIZE_T Size)
{
    SIZE_T Index;
    SIZE_T Start;

    Start = 0;
    for (Index = 0; Index < Size; Index += 1) {
        if (Words[Index] == 0) {
            if (Index != Start) {
                HalpReadWord(LoaderBlock, Words + Start);
            }
            Start = Index + 1;
        }
    }
}

static VOID
HalpReadPacks(PHAL_LOADER_BLOCK LoaderBlock)
{
    const HALP_BOOT_FILE *Boot;
    HALP_FILE File;

    for (Boot = HalpBootFiles->Files; Boot < HalpBootFiles->Files + HalpBootFiles->FileCount; Boot += 1) {
        if (HalpIsPack(Boot) && HalpFindInPack(Boot, HALP_WORDS_FILE, &File)) {
            HalpReadWords(LoaderBlock, (char *)File.Bytes, File.Size);
        }
    }
}

/* Nobody named an image: every file is one. */
static VOID
HalpTakeAllFiles(PHAL_LOADER_BLOCK LoaderBlock)
{
    const HALP_BOOT_FILE *Boot;
    PHAL_IMAGE_FILE Image;

    for (Boot = HalpBootFiles->Files; Boot < HalpBootFiles->Files + HalpBootFiles->FileCount; Boot += 1) {
        if (!HalpIsPack(Boot)) {
            Image = &LoaderBlock->Images[LoaderBlock->ImageCount];
            Image->Name = Boot->Name[0] != 0 ? Boot->Name : "image";
            Image->Bytes = HalpFileBytes(Boot);
            Image->Size = Boot->Size;
            LoaderBlock->ImageCount += 1;
        }
    }
}

VOID
HalpReadOptions(const HALP_BOOT_INFO *Info, PHAL_LOADER_BLOCK LoaderBlock)
{
    ULONG Index;

    HalpBootFiles = Info;
    LoaderBlock->Seed = 1;
    for (Index = 0; Index < HALP_COMMAND_LINE; Index += 1) {
        HalpCommandLine[Index] = Info->CommandLine[Index] == ' ' ? 0 : Info->CommandLine[Index];
    }
    HalpReadWords(LoaderBlock, HalpCommandLine, HALP_COMMAND_LINE);
    HalpReadPacks(LoaderBlock);
    if (LoaderBlock->ImageCount == 0) {
        HalpTakeAllFiles(LoaderBlock);
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
