/*
 * What other parts may know of the pools beyond the public ExXxx routines of wdm.h: options,
 * enumeration for the report, and the hooks by which higher layers (ps, ldr) plug themselves in.
 */
#ifndef MM_POOL_POOL_H
#define MM_POOL_POOL_H

#include <ntifs.h>
#include <ke/ke.h>

/* --- Options: set before MiInitializePools, constant afterwards ------------------------------- */

/*
 * The verifier's part in the pools: freed blocks filled, held back and checked when reused, slack behind a
 * block checked at free, live lookaside lists in freed blocks, IRQL. Default TRUE.
 */
extern BOOLEAN MiPoolVerify;

/* Remember the allocating stack of images' blocks. Default TRUE. May change at any time. */
extern BOOLEAN MiPoolTrack;

/*
 * Special pool for whatever matches: every block, blocks with one tag ('?' and '*' as wildcards), or requests
 * of [SizeLow, SizeHigh] bytes. May change at any time; it decides where new blocks go.
 */
typedef struct _MI_SPECIAL_POOL_OPTION {
    BOOLEAN Everything;
    BOOLEAN Underrun; /* default placement: block at the start of its page, not at the end */
    ULONG TagPattern; /* 0: none */
    SIZE_T SizeLow;
    SIZE_T SizeHigh; /* 0: none */
} MI_SPECIAL_POOL_OPTION;
extern MI_SPECIAL_POOL_OPTION MiSpecialPoolOption;

/* Change it after MiInitializePools. Nothing else may be changing it. */
VOID MiSetSpecialPool(const MI_SPECIAL_POOL_OPTION *Option);

/* --- Hooks ------------------------------------------------------------------------------------ */

/*
 * Quota, by ps/. Charge the current process for Bytes and reference it: the process charged, or NULL with
 * STATUS_SUCCESS if it is exempt, or NULL with STATUS_QUOTA_EXCEEDED. Return undoes both, for any process, at
 * <= DISPATCH_LEVEL. IsProcess: did Charge return this pointer, and is it not yet paid back? Anything may be
 * asked about; it is what vouches for the header of a block that was charged. While nothing is registered
 * nobody pays.
 */
typedef struct _MI_POOL_QUOTA {
    PVOID (*Charge)(BOOLEAN Paged, SIZE_T Bytes, PNTSTATUS Status);
    VOID (*Return)(PVOID Process, BOOLEAN Paged, SIZE_T Bytes);
    BOOLEAN (*IsProcess)(PVOID Process);
} MI_POOL_QUOTA;
extern const MI_POOL_QUOTA *MiPoolQuota;

/*
 * By ldr: the address at which an image finds an export, for the Allocate and Free pointers of lookaside
 * lists, which images may call. NULL while unset: the core's own address is used.
 */
extern PVOID (*MiPoolExportAddress)(const char *Name);

/* --- Live blocks ------------------------------------------------------------------------------ */

#define MI_STACK_FRAMES 16 /* return addresses kept for a block */

typedef struct _MI_POOL_BLOCK {
    PVOID Address;
    SIZE_T Size; /* bytes asked for */
    ULONG Tag;
    ULONG PoolType; /* POOL_TYPE with PagedPool, NX and session bits */
    ULONG StackId;  /* for MiQueryPoolStack; 0: none was taken */
    BOOLEAN Image;  /* allocated while the core worked for an image */
    BOOLEAN Special;
    PVOID Process; /* charged for it, or NULL */
} MI_POOL_BLOCK, *PMI_POOL_BLOCK;

/*
 * Visit every live block, in no promised but the same order for the same history. <= APC_LEVEL (paged blocks
 * are looked at); NonPagedOnly: <= DISPATCH_LEVEL. The visitor may allocate and free; it stops the walk with
 * FALSE. Blocks that come or go meanwhile may be missed or seen.
 */
VOID MiEnumeratePool(BOOLEAN (*Visitor)(const MI_POOL_BLOCK *Block, PVOID Context), PVOID Context,
                     BOOLEAN NonPagedOnly);

/* The live block that contains Address; FALSE if there is none. IRQL as for touching it. */
BOOLEAN MiFindPoolBlock(PVOID Address, PMI_POOL_BLOCK Block);

/* Return addresses of a stack id, innermost first; how many. Any IRQL. */
ULONG MiQueryPoolStack(ULONG StackId, PVOID *Frames, ULONG Maximum);

/* Note a stack and get its id; equal stacks have equal ids. 0 if Count is 0 or the table is full. <=
 * DISPATCH_LEVEL. */
ULONG MiNotePoolStack(PVOID *Frames, ULONG Count);

/* --- Figures ---------------------------------------------------------------------------------- */

typedef struct _MI_POOL_TAG_ROW {
    ULONG Tag;
    ULONG64 NonPagedAllocs, NonPagedFrees, NonPagedBytes; /* bytes in use, headers and rounding included */
    ULONG64 PagedAllocs, PagedFrees, PagedBytes;
} MI_POOL_TAG_ROW, *PMI_POOL_TAG_ROW;

/* Row Index of the tag table (0 is what did not fit); FALSE past the end. Rows with Tag 0 are unused. <=
 * DISPATCH_LEVEL. */
#define MI_POOL_TAG_ROWS 2048
BOOLEAN MiQueryPoolTag(ULONG Index, PMI_POOL_TAG_ROW Row);

typedef struct _MI_POOL_USAGE {
    SIZE_T NonPagedPages; /* committed, free ones included */
    SIZE_T PagedPages;
    SIZE_T SpecialPages;
    SIZE_T MetadataPages;  /* the pools' own records */
    SIZE_T PermanentPages; /* of those, the ones that are never given back: tag pages, stacks, processor
                              caches */
} MI_POOL_USAGE, *PMI_POOL_USAGE;
VOID MiQueryPoolUsage(PMI_POOL_USAGE Usage);

/*
 * Give back what is only cached: quarantine and magazines of every processor, empty segments. PASSIVE_LEVEL.
 * After it, and with nothing else going on, pages and commit are a function of the live blocks and of
 * MetadataPages.
 */
VOID MiTrimPools(VOID);

/* --- Special pool and faults ------------------------------------------------------------------ */

typedef enum _MI_SPECIAL_FAULT {
    MiNotSpecialPool,
    MiSpecialPoolFreed, /* 0xCC, 0xD5: the page of a freed block */
    MiSpecialPoolBeyond /* 0xCD, 0xD6: a guard page */
} MI_SPECIAL_FAULT;

/* For the trap handler: what an address that faulted is to special pool. Any IRQL, no locks. */
MI_SPECIAL_FAULT MiClassifySpecialPoolFault(PVOID Address);

/* --- Lookaside lists -------------------------------------------------------------------------- */

typedef struct _MI_LOOKASIDE_INFO {
    PVOID List;
    BOOLEAN Image; /* initialised while the core worked for an image */
    BOOLEAN Paged;
    USHORT Depth, MaximumDepth, Cached;
    ULONG TotalAllocates, AllocateMisses, TotalFrees, FreeMisses;
    ULONG Type, Tag, Size;
    ULONG StackId;
} MI_LOOKASIDE_INFO, *PMI_LOOKASIDE_INFO;

/* Live list number Index, oldest first; FALSE past the end. <= DISPATCH_LEVEL. */
BOOLEAN MiQueryLookaside(ULONG Index, PMI_LOOKASIDE_INFO Info);

/* Forget lists in memory that goes away without ExDelete...: an image's, after they were reported. <=
 * DISPATCH_LEVEL. */
VOID MiForgetLookasideLists(PVOID Start, SIZE_T Size);

/* Retune the depths of all live lists from their miss rates: about once a second. <= DISPATCH_LEVEL. */
VOID MiAdjustLookasideDepths(VOID);

#endif
