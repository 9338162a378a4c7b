/*
 * Private to mm/pool. The story is told in pool.c (blocks and callers), segment.c (pages), span.c
 * (slots) and magazine.c (processors); here are the records they share.
 *
 *   heap (kind, node) -> segments of 2 MB of address -> runs of pages -> spans: slots of one class
 *                                                                     -> blocks of several pages
 *   class (kind, node, size) -> spans with free slots, full magazines
 *   processor -> bin per kind and class: two magazines, what one tag did; quarantine, tag counters
 *
 * Every record lives in metadata pages (meta.c): frames reached through the direct map, never pool.
 *
 * Field legend: (H) heap lock, (K) class lock, (C) constant after it was made, (O) processor that
 * owns it, at DISPATCH_LEVEL, (B) whoever holds the block or page, (A) atomic.
 */
#ifndef MM_POOL_POOLP_H
#define MM_POOL_POOLP_H

#include <ke/thread.h>
#include <mm/mi.h>
#include <mm/phys/inject.h>
#include <mm/pool/pool.h>

/* --- Shapes ----------------------------------------------------------------------------------- */

typedef enum _MI_POOL_KIND { MiPoolNonPagedNx, MiPoolNonPagedExecute, MiPoolPaged, MiPoolKinds } MI_POOL_KIND;

#define MI_POOL_NODES         4 /* heaps are split by node up to this many */
#define MI_HEADER_SIZE        16
#define MI_SMALL_LIMIT        (PAGE_SIZE - 32) /* largest request that carries a header */
#define MI_SMALL_CLASSES      30
#define MI_PAGE_CLASS         30 /* one page, no header */
#define MI_POOL_CLASSES       31
#define MI_POOL_BINS          (1 + MiPoolKinds * MI_POOL_CLASSES)
#define MI_POOL_SEGMENT_PAGES 512
#define MI_POOL_SEGMENT_SHIFT 21
#define MI_RUN_LIMIT          256 /* pages; larger blocks have a segment of their own */
#define MI_SPAN_PAGES         16
#define MI_SPAN_SLOTS         1024

#define MI_FREE_FILL  0xDFDFDFDFDFDFDFDFull /* not canonical: a pointer read from a freed block faults */
#define MI_FREE_BYTE  0xDF
#define MI_SLACK_BYTE 0xEB

/* --- The header of a block of at most MI_SMALL_LIMIT bytes (block.c) -------------------------- */

/*
 * Bytes 3 and 4..7 are where the interface has them: pool type + 1 (8: charged to a process) and tag.
 * Slack + size + 16 * (Shift + 1) is the slot's size. Sealed is a mix of the block's address and the first
 * word with a secret, plus the payload, spread by a multiplication: process charged >> 4 in the upper 44
 * bits, stack id in the lower 20. Without a process those 44 bits check the header: whatever byte of it
 * changes, they will not be 0, or 1 in a block that wants care when it is freed: it is shifted, or a lookaside
 * list may be inside. So the seal of the common block is the mix itself. A freed block's is complemented: that is what "free" means.
 */
typedef struct _POOL_HEADER {
    union {
        struct {
            USHORT Slack : 12; /* bytes behind the block, to the end of the slot */
            USHORT Image : 1;  /* allocated for an image */
            USHORT Filled : 1; /* by the verifier. Live: the slack; free: the block */
            USHORT Shift : 2;  /* 16-byte units skipped for cache alignment */
            UCHAR Bin;         /* kind and class: MipBin */
            UCHAR PoolType;
            ULONG PoolTag;
        };
        ULONG64 Word;
    };
    ULONG64 Sealed;
} POOL_HEADER, *PPOOL_HEADER;

_Static_assert(sizeof(POOL_HEADER) == MI_HEADER_SIZE, "interface");
_Static_assert(FIELD_OFFSET(POOL_HEADER, PoolType) == 3, "interface");
_Static_assert(FIELD_OFFSET(POOL_HEADER, PoolTag) == 4, "interface");

#define MI_TYPE_QUOTA    0x08
#define MI_STACK_ID_BITS 20

/* The first word as one number: see the fields above. */
#define MI_WORD_IMAGE  0x1000ull
#define MI_WORD_FILLED 0x2000ull
#define MI_HEADER_WORD(Slack, Flags, Shift, Bin, Type, Tag)                                                  \
    ((ULONG64)(Slack) | (Flags) | (ULONG64)(Shift) << 14 | (ULONG64)(Bin) << 16 | (ULONG64)(Type) << 24 |    \
     (ULONG64)(Tag) << 32)

/* --- Pages of a segment ----------------------------------------------------------------------- */

typedef enum _MI_POOL_PAGE_STATE {
    MiPageFree,     /* in no run (FreedHead: it began the block freed last here) */
    MiPageSpan,     /* Owner: the span */
    MiPageSlotFree, /* page of a span of the page class: no block */
    MiPageSlotLive, /* the same, a block */
    MiPageRunLive,  /* first page of a block of Pages pages */
    MiPageRunHeld,  /* the same, freed and in quarantine */
    MiPageRunTail   /* another page of a run */
} MI_POOL_PAGE_STATE;

#define MI_PAGE_IMAGE      0x01 /* as POOL_HEADER.Image */
#define MI_PAGE_LOOKASIDE  0x02 /* live: a lookaside list may be inside */
#define MI_PAGE_FILLED     0x04 /* as POOL_HEADER.Filled */
#define MI_PAGE_FREED_HEAD 0x08

typedef struct _MI_POOL_PAGE {
    PVOID Owner;     /* (H) span */
    SIZE_T Size;     /* (B) bytes asked for */
    ULONG Tag;       /* (B) */
    ULONG StackId;   /* (B) */
    UCHAR State;     /* (H) runs, (B) slots: MI_POOL_PAGE_STATE */
    UCHAR Flags;     /* (B) MI_PAGE_* */
    USHORT PoolType; /* (B) */
    ULONG Pages;     /* (H) of the run, in its first page */
} MI_POOL_PAGE, *PMI_POOL_PAGE;

_Static_assert(sizeof(MI_POOL_PAGE) == 32, "128 to a page");

struct _MI_POOL_HEAP;

/* Two megabytes of address, aligned to that, or more for one huge block. */
typedef struct _MI_POOL_SEGMENT {
    LIST_ENTRY Entry;           /* (H) of the heap, oldest first */
    struct _MI_POOL_HEAP *Heap; /* (C) */
    PUCHAR Base;                /* (C) */
    SIZE_T PageCount;           /* (C) usable pages, from Base */
    SIZE_T ReservedPages;       /* (C) of address */
    PFN_NUMBER FirstFrame;      /* (C) of a contiguous run, else MI_NO_FRAME */
    UCHAR Kind;                 /* (C) */
    UCHAR Node;                 /* (C) */
    BOOLEAN Huge;               /* (C) one block, described by its first page; the rest has no page records */
    ULONG FreePages;            /* (H) */
    ULONG Hint;                 /* (H) where the search for a run begins */
    ULONG64 Used[MI_POOL_SEGMENT_PAGES / 64];        /* (H) */
    ULONG64 Dirty[MI_POOL_SEGMENT_PAGES / 64];       /* (H) contents may differ from zero */
    PMI_POOL_PAGE Info[MI_POOL_SEGMENT_PAGES / 128]; /* (C) Huge: the first only */
} MI_POOL_SEGMENT, *PMI_POOL_SEGMENT;

static inline PMI_POOL_PAGE
MipPage(PMI_POOL_SEGMENT Segment, SIZE_T Index)
{
    return &Segment->Info[Index >> 7][Index & 127];
}

static inline SIZE_T
MipPageIndex(PMI_POOL_SEGMENT Segment, PVOID Address)
{
    return (SIZE_T)((PUCHAR)Address - Segment->Base) >> PAGE_SHIFT;
}

typedef struct _MI_POOL_HEAP {
    KSPIN_LOCK Lock;
    LIST_ENTRY Segments; /* (H) */
    ULONG EmptySegments; /* (H) wholly free ones: at most one is kept */
    UCHAR Kind;          /* (C) */
    UCHAR Node;          /* (C) */
} DECLSPEC_CACHEALIGN MI_POOL_HEAP, *PMI_POOL_HEAP;

extern MI_POOL_HEAP MiPoolHeaps[MiPoolKinds][MI_POOL_NODES];
extern ULONG MiPoolNodeCount;

/* --- Spans, classes, magazines ---------------------------------------------------------------- */

typedef struct _MI_POOL_SPAN {
    LIST_ENTRY Entry;                 /* (K) in the class, while it has a free slot */
    PMI_POOL_SEGMENT Segment;         /* (C) */
    PUCHAR Base;                      /* (C) */
    USHORT Pages;                     /* (C) */
    USHORT Slots;                     /* (C) */
    USHORT FreeSlots;                 /* (K) */
    USHORT SlotSize;                  /* (C) */
    USHORT SlotsPerPage;              /* (C) */
    UCHAR Class;                      /* (C) */
    BOOLEAN Listed;                   /* (K) */
    ULONG Rotor;                      /* (K) bitmap word where the search begins */
    ULONG64 Free[MI_SPAN_SLOTS / 64]; /* (K) set: in no magazine and no block */
} MI_POOL_SPAN, *PMI_POOL_SPAN;

#define MI_MAGAZINE_ROUNDS 59

typedef struct _MI_MAGAZINE {
    struct _MI_MAGAZINE *Next; /* (K) */
    ULONG Count;               /* (O) or (K); while it is loaded, the bin's Top tells */
    ULONG Reserved;
    PVOID Bottom; /* always NULL: the end of the stack */
    PVOID Rounds[MI_MAGAZINE_ROUNDS];
} MI_MAGAZINE, *PMI_MAGAZINE;

#define MI_LEAST_FULL_MAGAZINES 4 /* kept per class, and up to MI_FULL_SLOTS or MI_FULL_BYTES in them */
#define MI_FULL_SLOTS           1400
#define MI_FULL_BYTES           ((SIZE_T)4 << 20)

typedef struct _MI_POOL_CLASS {
    KSPIN_LOCK Lock;
    LIST_ENTRY Spans;  /* (K) with a free slot */
    PMI_MAGAZINE Full; /* (K) */
    ULONG FullCount;   /* (K) */
    ULONG EmptySpans;  /* (K) wholly free ones in Spans */
} DECLSPEC_CACHEALIGN MI_POOL_CLASS, *PMI_POOL_CLASS;

extern MI_POOL_CLASS MiPoolClasses[MiPoolKinds][MI_POOL_NODES][MI_POOL_CLASSES];
extern const USHORT MiSlotSize[MI_POOL_CLASSES];
extern UCHAR MiClassOfUnits[PAGE_SIZE / 16 + 1]; /* by 16-byte units, header included */
/* The same as an offset in a cache, of the bin of MiPoolNonPagedNx. */
extern USHORT MiBinOfUnits[PAGE_SIZE / 16 + 1] __attribute__((visibility("hidden")));

/*
 * What a processor has of one kind and class. Loaded is a stack of free slots: Top is the newest, with Bottom
 * below the last; without a magazine both ends are the cache's Nothing. Allocations and frees of one tag, the
 * last that was asked for again and again, are counted here, of others in the table (tag.c).
 */
typedef struct _MI_POOL_BIN {
    PVOID *Top;             /* (O) */
    PVOID *Limit;           /* (O) Top when it is full */
    union {
        ULONG64 Word;       /* (O) first word of a header with the tag, less the block's size */
        struct {
            ULONG WordLow;
            ULONG Tag;      /* (O) 0: none yet */
        };
    };
    ULONG LegacyTag;        /* (O) the tag, if the older routines take it */
    ULONG Misses;           /* (O) of other tags */
    ULONG64 Allocs, Frees;  /* (O) of the tag, since it is here */
    PMI_MAGAZINE Loaded;    /* (O) */
    PMI_MAGAZINE Previous;  /* (O) full or empty */
} MI_POOL_BIN, *PMI_POOL_BIN;

_Static_assert(sizeof(MI_POOL_BIN) == 64, "a cache line");

/* Freed blocks on their way back: by size, so that neither ring holds much. Entries: address << 8 | bin. */
#define MI_SMALL_HELD     96
#define MI_MEDIUM_HELD    32
#define MI_RUNS_HELD      16
#define MI_RUN_FILL_PAGES 16 /* longer runs are neither filled nor held */

typedef struct _MI_POOL_QUARANTINE {
    ULONG SmallNext, MediumNext, RunNext;
    ULONG64 Small[MI_SMALL_HELD];   /* slots up to 512 bytes */
    ULONG64 Medium[MI_MEDIUM_HELD]; /* other slots */
    PVOID Runs[MI_RUNS_HELD];       /* (A) blocks of several pages: exchanged, so that others can take them */
} MI_POOL_QUARANTINE, *PMI_POOL_QUARANTINE;

typedef struct _MI_TAG_SIDE {
    ULONG64 Allocs, Frees, Bytes;
} MI_TAG_SIDE, *PMI_TAG_SIDE;

typedef struct _MI_TAG_COUNTERS {
    MI_TAG_SIDE NonPaged, Paged;
    ULONG64 Reserved[2];
} MI_TAG_COUNTERS, *PMI_TAG_COUNTERS;

#define MI_TAGS_PER_PAGE 64
_Static_assert(sizeof(MI_TAG_COUNTERS) * MI_TAGS_PER_PAGE == PAGE_SIZE, "a page of counters");

#define MI_MEMO_PAGES 16

typedef struct _MI_POOL_CACHE {
    MI_POOL_BIN Bins[MI_POOL_BINS];                             /* (O) by MipBin; none is 0 */
    PVOID Nothing;                                              /* (C) NULL: an empty stack that is full */
    ULONG Node;                                                 /* (C) */
    volatile ULONG TagSequence;                                 /* (O) odd while a tag leaves a bin */
    PMI_TAG_COUNTERS Tags[MI_POOL_TAG_ROWS / MI_TAGS_PER_PAGE]; /* (O) made on first use */
    PMI_POOL_QUARANTINE Quarantine;                             /* (C) of all kinds, one page */
    PVOID Memos[MI_MEMO_PAGES];                                 /* (O) made on first use (track.c) */
} MI_POOL_CACHE, *PMI_POOL_CACHE;

#define MI_CACHE_PAGES ((sizeof(MI_POOL_CACHE) + PAGE_SIZE - 1) / PAGE_SIZE)
_Static_assert(sizeof(MI_POOL_QUARANTINE) * MiPoolKinds <= PAGE_SIZE, "one frame");

static inline PMI_POOL_CACHE
MipCurrentCache(VOID)
{
    return (PMI_POOL_CACHE)PcrRead64(Slots.PoolCache);
}

static inline ULONG
MipBin(MI_POOL_KIND Kind, ULONG Class)
{
    return 1 + Kind * MI_POOL_CLASSES + Class;
}

static inline MI_POOL_KIND
MipBinKind(ULONG Bin)
{
    return (MI_POOL_KIND)((Bin - 1) / MI_POOL_CLASSES);
}

/* Bytes of a slot of a bin's class; 0 for a number that is none. */
static inline ULONG
MipBinSlotSize(ULONG Bin)
{
    return Bin - 1 < MI_POOL_BINS - 1 ? MiSlotSize[(Bin - 1) % MI_POOL_CLASSES] : 0;
}

/* --- meta.c ----------------------------------------------------------------------------------- */

#define MI_META_OBJECT 496

/* A zeroed page for records; NULL if there is none. Permanent: it will never come back. <= DISPATCH_LEVEL, no
 * locks held. */
PVOID MipAllocateMetaPage(BOOLEAN Permanent);
VOID MipFreeMetaPage(PVOID Page);
/* PageCount zeroed pages in a row, for good. */
PVOID MipAllocateMetaRun(SIZE_T PageCount);
/* A zeroed record of MI_META_OBJECT bytes, 16-byte aligned. */
PVOID MipAllocateMetaObject(VOID);
VOID MipFreeMetaObject(PVOID Object);
/* Give back the spare page. */
VOID MipTrimMeta(VOID);
extern SIZE_T MiPoolMetaPages;      /* (A) */
extern SIZE_T MiPoolPermanentPages; /* (A) */

_Static_assert(sizeof(MI_POOL_SEGMENT) <= MI_META_OBJECT && sizeof(MI_POOL_SPAN) <= MI_META_OBJECT &&
                   sizeof(MI_MAGAZINE) <= MI_META_OBJECT,
               "records fit");

/* --- segment.c -------------------------------------------------------------------------------- */

VOID MipInitializeSegments(VOID);

#define MI_POOL_LEAVES 4096 /* gigabytes of one region that the table can describe */
extern ULONG_PTR MiPoolRegionStart[2];                    /* (C) nonpaged, paged */
extern ULONG_PTR MiPoolRegionSize[2];                     /* (C) */
extern PMI_POOL_SEGMENT *MiPoolLeaves[2][MI_POOL_LEAVES]; /* (A) made on first use, stay */

/* The segment that contains an address, NULL if none. Any IRQL. */
static inline PMI_POOL_SEGMENT
MipSegmentOf(PVOID Address)
{
    ULONG_PTR Offset = (ULONG_PTR)Address - MiPoolRegionStart[0];
    PMI_POOL_SEGMENT *Leaf;
    ULONG Region = 0;

    if (__builtin_expect(Offset >= MiPoolRegionSize[0], 0)) {
        Offset = (ULONG_PTR)Address - MiPoolRegionStart[1];
        Region = 1;
        if (Offset >= MiPoolRegionSize[1]) {
            return NULL;
        }
    }
    Leaf = __atomic_load_n(&MiPoolLeaves[Region][Offset >> 30], __ATOMIC_ACQUIRE);
    if (__builtin_expect(Leaf == NULL, 0)) {
        return NULL;
    }
    return __atomic_load_n(&Leaf[(Offset >> MI_POOL_SEGMENT_SHIFT) & 511], __ATOMIC_ACQUIRE);
}
/*
 * Take PageCount <= MI_RUN_LIMIT pages in a row; State and Owner go to their records. NULL if there is no
 * memory. *Dirty: some page may hold something else than zeros. The pages of paged pool may be touched at <=
 * APC_LEVEL only.
 */
PVOID MipAllocateRun(MI_POOL_KIND Kind, ULONG Node, SIZE_T PageCount, MI_POOL_PAGE_STATE State, PVOID Owner,
                     PBOOLEAN Dirty);
VOID MipFreeRun(PMI_POOL_SEGMENT Segment, PVOID Address, SIZE_T PageCount);
/* A segment for one block; the caller fills the record of its first page. Reads as zero if Zero. */
PMI_POOL_SEGMENT MipAllocateHuge(MI_POOL_KIND Kind, ULONG Node, SIZE_T PageCount, BOOLEAN Zero);
VOID MipFreeHuge(PMI_POOL_SEGMENT Segment);
/* Give back segments of a kind that are wholly free. */
VOID MipTrimSegments(MI_POOL_KIND Kind);
/* Which of a run's pages are known to be zero is kept per segment: is this page not? */
BOOLEAN MipPageIsDirty(PMI_POOL_SEGMENT Segment, SIZE_T Index);
/*
 * Two megabytes that are nonpaged pool all over, by address >> MI_POOL_SEGMENT_SHIFT, a few of them: where fast.c may
 * look for a header before it knows that there is a block. Only while all memory is of one node.
 */
#define MI_POOL_READABLE 64
extern ULONG64 MiPoolReadable[MI_POOL_READABLE] __attribute__((visibility("hidden"))); /* (A) */
VOID MipNoteReadable(PMI_POOL_SEGMENT Segment);
VOID MipForgetReadable(VOID);
/* While pinned, no segment is given back. */
VOID MipPinSegments(VOID);
VOID MipUnpinSegments(VOID);
extern SIZE_T MiPoolPages[MiPoolKinds]; /* (A) committed */

/* --- span.c ----------------------------------------------------------------------------------- */

VOID MipInitializeClasses(VOID);
/* Make a span for the class. FALSE: no memory. At the caller's IRQL; paged: <= APC_LEVEL. */
BOOLEAN MipGrowClass(MI_POOL_KIND Kind, ULONG Node, ULONG Class);
/* Take up to Count slots from spans. The class lock is held. */
ULONG MipTakeSlotsLocked(PMI_POOL_CLASS Class, ULONG Count, PVOID *Slots);
/* Give slots back to their spans, and spans to their segments. No lock held. */
VOID MipReturnSlots(const PVOID *Slots, ULONG Count);
VOID MipTrimClass(MI_POOL_KIND Kind, ULONG Node, ULONG Class);
static inline PVOID
MipSlotAddress(const MI_POOL_SPAN *Span, ULONG Index)
{
    return Span->Base + (SIZE_T)(Index / Span->SlotsPerPage) * PAGE_SIZE +
           (SIZE_T)(Index % Span->SlotsPerPage) * Span->SlotSize;
}

/* --- magazine.c ------------------------------------------------------------------------------- */

VOID MipInitializeCaches(VOID);
ULONG MipMagazineRounds(ULONG Class);
/* At DISPATCH_LEVEL. Pop: NULL if the class has no free slot anywhere. */
PVOID MipPopSlow(PMI_POOL_CACHE Cache, ULONG Bin);
VOID MipPushSlow(PMI_POOL_CACHE Cache, ULONG Bin, PVOID Slot);
/* Put a freed slot into quarantine; what leaves it goes to the magazines. */
VOID MipHoldSlot(PMI_POOL_CACHE Cache, ULONG Bin, PVOID Slot);
/* The same for a run; returns the one that leaves, or NULL. */
PVOID MipHoldRun(PMI_POOL_CACHE Cache, MI_POOL_KIND Kind, PVOID Run);
/* Empty what this processor caches of a kind. At <= DISPATCH_LEVEL (paged: <= APC_LEVEL). */
VOID MipFlushCache(MI_POOL_KIND Kind);

static inline PVOID
MipPop(PMI_POOL_CACHE Cache, ULONG Bin)
{
    PVOID *Top = Cache->Bins[Bin].Top;

    if (__builtin_expect(*Top != NULL, 1)) {
        Cache->Bins[Bin].Top = Top - 1;
        return *Top;
    }
    return MipPopSlow(Cache, Bin);
}

static inline VOID
MipPush(PMI_POOL_CACHE Cache, ULONG Bin, PVOID Slot)
{
    PVOID *Top = Cache->Bins[Bin].Top;

    if (__builtin_expect(Top != Cache->Bins[Bin].Limit, 1)) {
        Top[1] = Slot;
        Cache->Bins[Bin].Top = Top + 1;
    } else {
        MipPushSlow(Cache, Bin, Slot);
    }
}

/* --- tag.c ------------------------------------------------------------------------------------ */

extern ULONG
    MiPoolTags[MI_POOL_TAG_ROWS]; /* (A) 0: unused, never changes otherwise; row 0 stands for the rest */
/* Row of a tag, made if need be. Any IRQL. */
ULONG MipTagRow(ULONG Tag);
PMI_TAG_COUNTERS MipTagCountersSlow(PMI_POOL_CACHE Cache, ULONG Row);

/* This processor's counters of a tag. At DISPATCH_LEVEL. */
static inline PMI_TAG_COUNTERS
MipTagCounters(PMI_POOL_CACHE Cache, ULONG Tag)
{
    ULONG Row = (Tag * 0x9E3779B1u) >> 21;
    PMI_TAG_COUNTERS Page;

    if (__builtin_expect(__atomic_load_n(&MiPoolTags[Row], __ATOMIC_RELAXED) != Tag || Row == 0, 0)) {
        Row = MipTagRow(Tag);
    }
    Page = Cache->Tags[Row / MI_TAGS_PER_PAGE];
    if (__builtin_expect(Page == NULL, 0)) {
        return MipTagCountersSlow(Cache, Row);
    }
    return &Page[Row % MI_TAGS_PER_PAGE];
}

/* Counters belong to one processor but are read by others: never a torn value, and one instruction. */
static inline VOID
MipCount(ULONG64 *Counter, ULONG64 Delta)
{
    __asm__("addq %1, %0" : "+m"(*Counter) : "re"(Delta) : "cc");
}

/* The same where this processor has no counters. */
VOID MipCountShared(ULONG Tag, BOOLEAN Paged, ULONG64 Allocs, ULONG64 Frees, ULONG64 Bytes);

/* Count allocations and frees, of so many bytes more in use, in the table. At DISPATCH_LEVEL. */
VOID MipCountTag(PMI_POOL_CACHE Cache, ULONG Tag, BOOLEAN Paged, ULONG64 Allocs, ULONG64 Frees, ULONG64 Bytes);

/* The same for one block, at <= DISPATCH_LEVEL. */
VOID MipCountBytes(ULONG Tag, BOOLEAN Paged, SIZE_T Bytes, BOOLEAN Free);

/* A slot of a bin for a tag that is not the bin's: count it, and perhaps make it the bin's. At DISPATCH_LEVEL. */
VOID MipCountOther(PMI_POOL_CACHE Cache, ULONG Bin, ULONG Tag, BOOLEAN Free);

/* Count a slot of a bin, allocated or freed. At DISPATCH_LEVEL. */
static inline VOID
MipCountSlot(PMI_POOL_CACHE Cache, ULONG Bin, ULONG Tag, BOOLEAN Free)
{
    PMI_POOL_BIN Place = &Cache->Bins[Bin];

    if (__builtin_expect(Place->Tag != Tag, 0)) {
        MipCountOther(Cache, Bin, Tag, Free);
    } else {
        MipCount(Free ? &Place->Frees : &Place->Allocs, 1);
    }
}

#define MIP_TAG_BIG  0x00474942 /* "BIG" */
#define MIP_TAG_BIG4 0x20474942 /* "BIG " */

/* Do the older routines take this tag? */
BOOLEAN MipIsLegacyTag(ULONG Tag);

/* --- track.c ---------------------------------------------------------------------------------- */

/* The stack of the image the core works for now; *Image: whether it does. */
ULONG MipCaptureImageStack(VOID);
static inline ULONG
MipCaptureOwner(PBOOLEAN Image)
{
    *Image = KiInImageCode();
    return __builtin_expect(*Image, 0) && MiPoolTrack ? MipCaptureImageStack() : 0;
}

/* --- block.c ---------------------------------------------------------------------------------- */

/* Odd, and a secret. Hidden, as MiUnusual is. */
extern ULONG64 MiPoolSecret __attribute__((visibility("hidden")));

/* An odd factor and its inverse: a change of any bit reaches all bits above it. */
#define MI_SEAL_FACTOR  0x9E3779B97F4A7C15ull
#define MI_SEAL_INVERSE 0xF1DE83E19937733Dull
_Static_assert(MI_SEAL_FACTOR *MI_SEAL_INVERSE == 1, "inverse");
#define MI_PAYLOAD_CARE (1ull << MI_STACK_ID_BITS) /* in place of a process */

static inline ULONG64
MipHeaderMix(const POOL_HEADER *Header, ULONG64 Word)
{
    return (Word ^ (ULONG64)(ULONG_PTR)(Header + 1)) * MiPoolSecret;
}

/* Seal a live header, or with Free a free one. */
static inline VOID
MipSealPayload(PPOOL_HEADER Header, ULONG64 Payload, BOOLEAN Free)
{
    ULONG64 Sealed = MipHeaderMix(Header, Header->Word) + Payload * MI_SEAL_FACTOR;

    __atomic_store_n(&Header->Sealed, Free ? ~Sealed : Sealed, __ATOMIC_RELAXED);
}

/* Seal the header of a live block whose first word is in place. */
static inline VOID
MipSealHeader(PPOOL_HEADER Header, PVOID Process, ULONG StackId)
{
    ULONG64 Payload = ((ULONG64)(ULONG_PTR)Process >> 4) << MI_STACK_ID_BITS | StackId;

    if (Process == NULL && Header->Shift != 0) {
        Payload |= MI_PAYLOAD_CARE;
    }
    MipSealPayload(Header, Payload, FALSE);
}

/*
 * What is sealed: the process charged, or MI_PAYLOAD_CARE, in the upper 44 bits, the stack id below; something
 * else altogether if the header was damaged, or is not live, or with Free not free.
 */
static inline ULONG64
MipUnseal(const POOL_HEADER *Header, const POOL_HEADER *Contents, BOOLEAN Free)
{
    ULONG64 Sealed = Free ? ~Contents->Sealed : Contents->Sealed;

    return (Sealed - MipHeaderMix(Header, Contents->Word)) * MI_SEAL_INVERSE;
}

static inline PVOID
MipPayloadProcess(ULONG64 Payload)
{
    return (PVOID)(ULONG_PTR)(((LONG64)Payload >> MI_STACK_ID_BITS) * 16);
}

static inline ULONG
MipHeaderStack(ULONG64 Payload)
{
    return (ULONG)Payload & ((1u << MI_STACK_ID_BITS) - 1);
}

/* Walks read headers that others write: whole words, in any order; the seal tells what fits together. */
static inline VOID
MipStoreWord(PPOOL_HEADER Header, ULONG64 Word)
{
    __atomic_store_n(&Header->Word, Word, __ATOMIC_RELAXED);
}

static inline VOID
MipClearHeader(PPOOL_HEADER Header)
{
    MipStoreWord(Header, 0);
    __atomic_store_n(&Header->Sealed, 0, __ATOMIC_RELAXED);
}

/* Is what was unsealed from a header (Contents: a copy of it) possible? */
BOOLEAN MipQuotaIsWhole(ULONG64 Payload);
static inline BOOLEAN
MipContentsAreWhole(const POOL_HEADER *Contents, ULONG64 Payload)
{
    if (__builtin_expect(Contents->PoolType & MI_TYPE_QUOTA, 0)) {
        return MipQuotaIsWhole(Payload);
    }
    return Payload < 2 * MI_PAYLOAD_CARE && MipBinSlotSize(Contents->Bin) != 0;
}

/* Is this the whole header of a free slot? */
static inline BOOLEAN
MipIsFreeHeader(const POOL_HEADER *Header)
{
    return MipUnseal(Header, Header, TRUE) < 2 * MI_PAYLOAD_CARE && MipBinSlotSize(Header->Bin) != 0;
}

/* The header of the live block in a slot, NULL if there is none. *Contents: what it said when it was looked
 * at. */
PPOOL_HEADER MipLiveHeader(PVOID Slot, ULONG SlotSize, PPOOL_HEADER Contents);
static inline SIZE_T
MipHeaderSize(const POOL_HEADER *Header)
{
    return (SIZE_T)MipBinSlotSize(Header->Bin) - MI_HEADER_SIZE - (SIZE_T)Header->Shift * 16 - Header->Slack;
}

typedef struct _MI_POOL_REQUEST {
    SIZE_T Size;
    ULONG Tag;
    ULONG PoolType; /* what is recorded: PagedPool, cache aligned, session, NX */
    MI_POOL_KIND Kind;
    ULONG Node;      /* whose memory */
    BOOLEAN AnyNode; /* this processor's own, whatever Node says now */
    BOOLEAN Zero;
    BOOLEAN CacheAligned;
    BOOLEAN Quota;
    BOOLEAN WantSpecial; /* special pool if it has room */
    UCHAR SpecialWhere;  /* MI_SPECIAL_* */
    ULONG Priority;      /* EX_POOL_PRIORITY without the placement */
} MI_POOL_REQUEST, *PMI_POOL_REQUEST;

#define MI_SPECIAL_DEFAULT  0
#define MI_SPECIAL_OVERRUN  1
#define MI_SPECIAL_UNDERRUN 2

PVOID MipAllocateSmall(const MI_POOL_REQUEST *Request, PVOID Process, SIZE_T SlotBytes, ULONG StackId,
                       BOOLEAN Image);
PVOID MipAllocateFromMagazine(MI_POOL_KIND Kind, ULONG Type, SIZE_T Size, ULONG Tag, BOOLEAN Zero);
PVOID MipAllocatePages(const MI_POOL_REQUEST *Request, ULONG StackId, BOOLEAN Image);
/*
 * Where fast.c goes on: the whole of ExAllocatePool2, ExAllocatePoolWithTag and ExFreePoolWithTag. Their convention, so
 * that it goes on by a jump.
 */
PVOID NTAPI MipAllocatePool2(POOL_FLAGS Flags, SIZE_T NumberOfBytes, ULONG Tag);
PVOID NTAPI MipAllocateWithTag(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag);
VOID NTAPI MipFree(PVOID Address, ULONG Tag);
VOID NTAPI MipFreeRetired(PPOOL_HEADER Header, ULONG Tag);
VOID MipFreePages(PMI_POOL_SEGMENT Segment, PMI_POOL_PAGE Page, PVOID Address);
/* A run that leaves quarantine: check its filling and give it back. */
VOID MipReleaseHeldRun(PVOID Run);
/* First byte of [Address, Address + Size) that is not Fill; NULL if all are. */
PUCHAR MipFindOther(PVOID Address, SIZE_T Size, UCHAR Fill);

/* --- special.c -------------------------------------------------------------------------------- */

/* FALSE where nothing was chosen for special pool; else MipSpecialWanted decides. */
static inline BOOLEAN
MipSpecialIsOn(BOOLEAN WantSpecial)
{
    const MI_SPECIAL_POOL_OPTION *Option = &MiSpecialPoolOption;

    return __builtin_expect((WantSpecial | Option->Everything | Option->TagPattern | Option->SizeHigh) != 0, 0);
}
BOOLEAN MipSpecialWanted(const MI_POOL_REQUEST *Request);
/* NULL: no room, use the ordinary pool. */
PVOID MipAllocateSpecial(const MI_POOL_REQUEST *Request, ULONG StackId, BOOLEAN Image);
BOOLEAN MipIsSpecialAddress(PVOID Address);
/* Bug-checks if Address is no live block or its surroundings were written. */
VOID MipFreeSpecial(PVOID Address, ULONG Tag);
BOOLEAN MipFindSpecialBlock(PVOID Address, PMI_POOL_BLOCK Block);
/* The live block on whose guard page the address lies, else the address. */
PVOID MipSpecialNear(PVOID Address);
VOID MipMarkSpecialBlock(PVOID Address);
/* FALSE: the visitor stopped it. */
BOOLEAN MipEnumerateSpecial(BOOLEAN (*Visitor)(const MI_POOL_BLOCK *, PVOID), PVOID Context);
VOID MipValidateSpecial(VOID);
extern SIZE_T MiSpecialPages; /* (A) committed */

/* --- lookaside.c ------------------------------------------------------------------------------ */

/* A live lookaside list whose header lies in [Address, Address + Size): its address, else NULL. */
PVOID MipFindLookasideIn(PVOID Address, SIZE_T Size);
/* check.c: note that the live block around Address, if any, may hold a lookaside list. */
VOID MipMarkBlock(PVOID Address);

#endif
