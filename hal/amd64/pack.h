/*
 * Files put into RAM by the loader, each by itself or several in a pack: an archive in cpio's "newc" form, as the supervisor
 * makes it. Names are compared whole. Used at start only; the bytes stay where they are for good.
 */
#ifndef HAL_AMD64_PACK_H
#define HAL_AMD64_PACK_H

#include "halp.h"

typedef struct _HALP_FILE {
    const char *Name; /* terminated */
    PUCHAR Bytes;
    SIZE_T Size;
} HALP_FILE, *PHALP_FILE;

/* Whether the file is a pack. */
BOOLEAN HalpIsPack(const HALP_BOOT_FILE *File);

/* The pack's next file after *Offset bytes, which moves on; FALSE at its end. One that is damaged is refused. */
BOOLEAN HalpNextInPack(const HALP_BOOT_FILE *Pack, PULONG64 Offset, PHALP_FILE File);

/* Where the file itself is, in the direct map. */
PUCHAR HalpFileBytes(const HALP_BOOT_FILE *File);

#endif
