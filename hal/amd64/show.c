/*
 * show.c - the memory map for a person, on the first serial port: what is RAM, what of it is in use for good, and on
 * which node it is. Owns nothing.
 */
#include "halp.h"

static char *
HalpShowDigits(char *At, ULONG64 Value, ULONG Base, ULONG Width)
{
    ULONG Index;

    for (Index = Width; Index > 0; Index -= 1) {
        At[Index - 1] = Value == 0 && Index != Width && Base == 10 ? ' ' : "0123456789abcdef"[Value % Base];
        Value /= Base;
    }
    return At + Width;
}

static char *
HalpShowText(char *At, const char *Text)
{
    for (; *Text != 0; Text += 1) {
        *At = *Text;
        At += 1;
    }
    return At;
}

static VOID
HalpShowRun(const HAL_MEMORY_RUN *Run)
{
    static const char *const Types[] = {" zeroed   ", " free     ", " in use   ", " bad      "};
    char Line[120];
    char *At;

    At = HalpShowDigits(Line, Run->BasePage << PAGE_SHIFT, 16, 16);
    At = HalpShowText(At, "-");
    At = HalpShowDigits(At, ((Run->BasePage + Run->PageCount) << PAGE_SHIFT) - 1, 16, 16);
    At = HalpShowDigits(At, Run->PageCount, 10, 12);
    At = HalpShowText(At, " pages");
    At = HalpShowText(At, Types[Run->Type]);
    At = HalpShowText(At, "node ");
    At = HalpShowDigits(At, Run->Node, 10, 2);
    At = HalpShowText(At, "\n");
    HalPutConsole(Line, (SIZE_T)(At - Line));
}

VOID
HalpShowMemory(const HAL_LOADER_BLOCK *LoaderBlock)
{
    static const char Title[] = "== memory map\n";
    ULONG Index;

    HalPutConsole(Title, sizeof(Title) - 1);
    for (Index = 0; Index < LoaderBlock->RunCount; Index += 1) {
        HalpShowRun(&LoaderBlock->Runs[Index]);
    }
}
