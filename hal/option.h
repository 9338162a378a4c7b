/*
 * The options of a run that mean the same on every machine. Each has a name and usually a value; how they come to the
 * machine is its own affair (words of a command line, a pack of files put into RAM), and what concerns only it, such as
 * how much memory it is to have, too.
 *
 * The machine supplies HalpOptionFile and HalpRefuseOption. Used once, at start, before the core runs.
 */
#ifndef HAL_OPTION_H
#define HAL_OPTION_H

#include <hal/hal.h>

/* Whether the option of this name is given without a value. */
BOOLEAN HalpOptionIsFlag(const char *Name);

/*
 * Take an option into the loader block. FALSE if there is none of this name. Value stays in use, and is written to; NULL for
 * an option without one. A value that cannot be meant is refused.
 */
BOOLEAN HalpTakeOption(PHAL_LOADER_BLOCK LoaderBlock, const char *Name, char *Value);

/* A number, decimal or 0x; refused if it is none or not from Lowest to Highest. */
ULONG64 HalpOptionNumber(const char *Option, const char *Value, ULONG64 Lowest, ULONG64 Highest);

BOOLEAN HalpSameText(const char *Left, const char *Right);

/* --- Supplied by the machine --- */

/* The bytes of the file that an option names, readable for good; refused if it is not there. */
const VOID *HalpOptionFile(const char *Option, const char *Path, PSIZE_T Size);

/* One line for a person, then the machine ends with status 2. Value may be NULL. */
VOID DECLSPEC_NORETURN HalpRefuseOption(const char *Option, const char *Value, const char *Why);

#endif
