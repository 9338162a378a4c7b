/*
 * special.c - the value of --special-pool.
 *
 * Digits are a size, because nobody tags memory with a number; everything else that is at most four characters long is a
 * tag. Blocks with pages of their own are at most a page long, so a larger size could not be meant.
 */
#include "special.h"

#include <stdlib.h>
#include <string.h>

#include "diag.h"

#define SPECIAL_PAGE 4096u

/* SIZE or LOW-HIGH, Length characters. False if it is neither. */
static bool
SpecialpReadSizes(const char *Text, size_t Length, RUN_SPECIAL_POOL *Special)
{
    size_t First = strspn(Text, "0123456789");
    const char *High = Text;
    char *End;

    if (First == 0 || First > 9) {
        return false;
    }
    if (First < Length && Text[First] == '-') {
        High = Text + First + 1;
    }
    if (*High < '0' || *High > '9') {
        return false;
    }
    Special->SizeLow = strtoull(Text, NULL, 10);
    Special->SizeHigh = strtoull(High, &End, 10);
    return End == Text + Length && Special->SizeLow <= Special->SizeHigh && Special->SizeHigh != 0 &&
           Special->SizeHigh <= SPECIAL_PAGE;
}

/* One to four printable characters; what is missing at the end is blank. */
static bool
SpecialpReadTag(const char *Text, size_t Length, RUN_SPECIAL_POOL *Special)
{
    size_t Index;

    if (Length == 0 || Length > 4) {
        return false;
    }
    for (Index = 0; Index < 4; Index += 1) {
        char Character = Index < Length ? Text[Index] : Text[Length - 1] == '*' ? '*' : ' ';

        if (Character < ' ' || Character > '~') {
            return false;
        }
        Special->Tag |= (uint32_t)Character << (Index * 8);
    }
    return true;
}

bool
SpecialParse(const char *Value, RUN_SPECIAL_POOL *Special)
{
    size_t Length = strcspn(Value, ",");
    bool Good;

    if (Special->Given) {
        Diag("--special-pool is given twice");
        return false;
    }
    Special->Given = true;
    if (Value[Length] == ',') {
        Special->Underrun = true;
        if (strcmp(Value + Length, ",underrun") != 0) {
            Diag("--special-pool: '%s': only ',underrun' can follow", Value);
            return false;
        }
    }
    if (Length == 3 && memcmp(Value, "all", 3) == 0) {
        Special->Everything = true;
        return true;
    }
    Good = Value[0] >= '0' && Value[0] <= '9' ? SpecialpReadSizes(Value, Length, Special)
                                              : SpecialpReadTag(Value, Length, Special);
    if (!Good) {
        Diag("--special-pool: '%s' is not all, a size or LOW-HIGH up to %u bytes, or a tag of at most four characters",
             Value, SPECIAL_PAGE);
    }
    return Good;
}
