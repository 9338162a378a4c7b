/*
 * pack.h - files in one: an archive in cpio's "newc" form, in memory.
 */
#ifndef NTMM_CLI_PACK_H
#define NTMM_CLI_PACK_H

#include <stdint.h>

#include "text.h"

/*
 * An archive being made. Error is the errno of the first failure; after one, nothing more is done.
 */
typedef struct _PACK {
    int Descriptor; /* of the memory it is in */
    uint64_t Length;
    int Error;
} PACK;

/* Begin an archive; it is gone when its descriptor is closed, by the caller. */
void
PackBegin(PACK *Pack);

/* Add a file of this name with these contents. */
void
PackAddText(PACK *Pack, const char *Name, const TEXT *Contents);

/* Add the file at Path, under that name. Returns 0, or an errno of reading it. */
int
PackAddFile(PACK *Pack, const char *Path);

/* No more files. */
void
PackEnd(PACK *Pack);

#endif
