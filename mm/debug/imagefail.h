/*
 * Failures injected into what images ask for: what --fail does. MiInjectStop (inject.h) ends a run.
 */
#ifndef MM_DEBUG_IMAGEFAIL_H
#define MM_DEBUG_IMAGEFAIL_H

#include "inject.h"

#define MI_INJECT_FRAMES 16
#define MI_INJECT_RECORDS 64
#define MI_INJECT_STACKS 4096

/* A request of an image that was refused. */
typedef struct _MI_INJECT_RECORD {
    ULONG64 Request;    /* its number, from 1 */
    ULONG64 StackHash;  /* of the image's frames, relative to their modules */
    ULONG Export;       /* index of the routine that the image called */
    ULONG FrameCount;
    PVOID Frames[MI_INJECT_FRAMES]; /* the image's, innermost first */
} MI_INJECT_RECORD, *PMI_INJECT_RECORD;

/* The Index-th refused request, of which the first MI_INJECT_RECORDS are kept; NULL past the last. Any IRQL. */
const MI_INJECT_RECORD *MiGetInjectRecord(ULONG Index);

/* By init: an address as it is in every run, offset in its module. NULL while unset: the address itself. Any IRQL. */
extern ULONG64 (*MiInjectModuleOffset)(PVOID Address);

/*
 * Refuse requests of images from now on: those that a text of MiInjectStartText names, drawn with Seed; or, for
 * "stacks:HASH,HASH,...", the first that comes from a call stack which is none of these (hexadecimal; "stacks" alone:
 * the first of all). Records of an earlier run are forgotten. STATUS_INVALID_PARAMETER, and no run, if the text is
 * none of this or has more than MI_INJECT_STACKS stacks. PASSIVE_LEVEL, no run in progress.
 */
NTSTATUS MiInjectStartImages(const char *Text, ULONG64 Seed);

#endif
