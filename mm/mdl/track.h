/*
 * What drivers hold besides pool: locked pages, mappings, reservations, pages, contiguous memory. One record
 * for each, in a hash table by object address, with the call stack of the image that made it. It serves three
 * purposes: sizes are recoverable where an interface frees by address alone, wrong frees are recognised, and
 * the report says what was left behind.
 *
 * Records come from nonpaged pool, as the core's own memory, whoever is being worked for; making one is part
 * of what a routine prepares, so that it fails before anything is done. One leaf spin lock (LockRankTracker);
 * <= DISPATCH_LEVEL.
 */
#ifndef MM_MDL_TRACK_H
#define MM_MDL_TRACK_H

#include <mm/mi.h>

typedef enum _MI_TRACK_KIND {
    MiTrackLockedPages,     /* Object: the MDL */
    MiTrackMapping,         /* Object: the address of the mapping's first page */
    MiTrackUserMapping,     /* Object: the region of the process (PMMVAD) */
    MiTrackReservedMapping, /* Object: base of the reservation */
    MiTrackIoSpace,         /* Object: the address of the mapping's first page */
    MiTrackPages,           /* Object: the MDL */
    MiTrackContiguous,      /* Object: base address */
    MiTrackNonCached,       /* Object: base address */
    MiTrackIndependent,     /* Object: base address */
    MiTrackMaximum
} MI_TRACK_KIND;

typedef struct _MI_TRACKED {
    struct _MI_TRACKED *Next;
    PVOID Object;
    SIZE_T Size; /* bytes */
    MI_TRACK_KIND Kind;
    BOOLEAN Image;    /* made while the core worked for an image */
    ULONG StackId;    /* for MiQueryPoolStack; 0: none */
    ULONG64 Value[4]; /* the owner's: tags, cache types, counts, first frame */
} MI_TRACKED, *PMI_TRACKED;

/* A record that is in no table yet, with the caller's stack; NULL if there is no memory. */
PMI_TRACKED MiAllocateTracked(MI_TRACK_KIND Kind);

/* Enter a record. Cannot fail. Object and Size are filled in; the table owns it. */
VOID MiInsertTracked(PMI_TRACKED Tracked);

/* Take the record of an object out; NULL if there is none. The caller owns it: MiFreeTracked. */
PMI_TRACKED MiRemoveTracked(MI_TRACK_KIND Kind, PVOID Object);

/* Give back a record that is in no table; NULL is allowed. */
VOID MiFreeTracked(PMI_TRACKED Tracked);

/* Copy the record of an object; FALSE if there is none. */
BOOLEAN MiFindTracked(MI_TRACK_KIND Kind, PVOID Object, PMI_TRACKED Copy);

/* Change the values of a record that exists: Visitor runs under the tracker's lock. FALSE if there is none.
 */
BOOLEAN MiUpdateTracked(MI_TRACK_KIND Kind, PVOID Object, VOID (*Visitor)(PMI_TRACKED, PVOID), PVOID Context);

/*
 * Copy a record of a kind for which Test says TRUE; looks at all records, under the tracker's lock. FALSE if there is
 * none.
 */
BOOLEAN MiFindTrackedIf(MI_TRACK_KIND Kind, BOOLEAN (*Test)(const MI_TRACKED *Tracked, PVOID Context), PVOID Context,
                        PMI_TRACKED Copy);

/* Copy the newest record of a kind whose object's bytes contain an address; looks at all records. FALSE if
 * there is none. */
BOOLEAN MiFindTrackedAround(MI_TRACK_KIND Kind, PVOID Address, PMI_TRACKED Copy);

/* Nonpaged pool, zeroed, that is the core's own although it works for an image. Freed as any other. */
PVOID MiAllocateCorePool(SIZE_T Size, ULONG Tag);

/* Visit copies of all records, by kind, in a stable order. <= APC_LEVEL. The visitor may do what its caller
 * may. */
VOID MiEnumerateTracked(VOID (*Visitor)(const MI_TRACKED *Tracked, PVOID Context), PVOID Context);

#endif
