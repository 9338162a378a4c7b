/*
 * Private to mm/pool. The story is told in pool.c (blocks and callers), segment.c (pages), span.c
 * (slots) and magazine.c (processors); here are the records they share.
 *
 *   heap (kind, node) -> segments of 2 MB of address -> runs of pages -> spans: slots of one class
 *                                                                     -> blocks of several pages
 *   class (kind, node, size) -> spans with free slots, full magazines
 *   processor -> two magazines per kind and class, quarantine, tag counters
 *
 * Every record lives in metadata pages (meta.c): frames reached through the direct map, never pool.
 *
 * Field legend: (H) heap lock, (K) class lock, (C) constant after it was made, (O) processor that
 * owns it, at DISPATCH_LEVEL, (B) whoever holds the block or page, (A) atomic.
 */
#ifndef MM_POOL_POOLP_H
#define MM_POOL_POOLP_H

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
 * Bytes 3 and 4..7 are where the interface has them: pool type + 1 (8: charged to a process; 0: free) and
 * tag. Slack + size + 16 * (Shift + 1) is the slot's size, 16 * BlockSize. Sealed is, exclusive-or a mix of
 * the header's address, the first word and a secret, and spread by a multiplication: process charged >> 4 in
 * the upper 44 bits, stack id in the lower 20. Without a process those 44 bits check the header: whatever
 * byte of it changes, they will not be zero.
 */
typedef struct _POOL_HEADER {
    union {
        struct {
            USHORT Slack : 12; /* bytes behind the block, to the end of the slot */
            USHORT Image : 1;  /* allocated for an image */
            USHORT Mark : 1;   /* live: a lookaside list may be inside; free: filled */
            USHORT Shift : 2;  /* 16-byte units skipped for cache alignment */
            UCHAR BlockSize;
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
#define MI_WORD_IMAGE 0x1000ull
#define MI_WORD_MARK  0x2000ull
#define MI_WORD_CARE  0x0800E000ull /* charged to a process, shifted, or marked */
#define MI_WORD_KEPT  (0xFFFFFFFF00FF0000ull | MI_WORD_IMAGE) /* by a block that is freed: tag, size, image */
#define MI_HEADER_WORD(Slack, Flags, Shift, BlockSize, Type, Tag)                                            \
    ((ULONG64)(Slack) | (Flags) | (ULONG64)(Shift) << 14 | (ULONG64)(BlockSize) << 16 |                      \
     (ULONG64)(Type) << 24 | (ULONG64)(Tag) << 32)

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
#define MI_PAGE_LOOKASIDE  0x02 /* as POOL_HEADER.Mark of a live block */
#define MI_PAGE_FILLED     0x04 /* as POOL_HEADER.Mark of a free one */
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

#define MI_MAGAZINE_ROUNDS 60

typedef struct _MI_MAGAZINE {
    struct _MI_MAGAZINE *Next; /* (K) */
    ULONG Count;               /* (O) or (K) */
    ULONG Reserved;
    PVOID Rounds[MI_MAGAZINE_ROUNDS];
} MI_MAGAZINE, *PMI_MAGAZINE;

#define MI_FULL_MAGAZINES 8 /* kept per class */

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

typedef struct _MI_MAGAZINE_PAIR {
    PMI_MAGAZINE Loaded;   /* (O) */
    PMI_MAGAZINE Previous; /* (O) full or empty */
} MI_MAGAZINE_PAIR;

/* Freed blocks on their way back: by size, so that neither ring holds much. Entries: address << 8 | class. */
#define MI_SMALL_HELD     96
#define MI_MEDIUM_HELD    32
#define MI_RUNS_HELD      16
#define MI_RUN_FILL_PAGES 16 /* longer runs are neither filled nor held */

typedef struct _MI_POOL_QUARANTINE {
    ULONG SmallNext, MediumNext, RunNext;
    ULONG64 Small[MI_SMALL_HELD];   /* slots up to 512 bytes */
    ULONG64 Medium[MI_MEDIUM_HELD]; /* other slots */
    PVOID Runs[MI_RUNS_HELD];       /* blocks of several pages */
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

typedef struct _MI_POOL_CACHE {
    ULONG Node;                                                 /* (C) */
    MI_MAGAZINE_PAIR Pair[MiPoolKinds][MI_POOL_CLASSES];        /* (O) */
    PMI_TAG_COUNTERS Tags[MI_POOL_TAG_ROWS / MI_TAGS_PER_PAGE]; /* (O) made on first use */
    PMI_POOL_QUARANTINE Quarantine;                             /* (C) of all kinds, one page */
} MI_POOL_CACHE, *PMI_POOL_CACHE;

_Static_assert(sizeof(MI_POOL_CACHE) <= PAGE_SIZE, "one frame");
_Static_assert(sizeof(MI_POOL_QUARANTINE) * MiPoolKinds <= PAGE_SIZE, "one frame");

static inline PMI_POOL_CACHE
MipCurrentCache(VOID)
{
    return (PMI_POOL_CACHE)PcrRead64(Slots.PoolCache);
}

/* --- meta.c ----------------------------------------------------------------------------------- */

#define MI_META_OBJECT 496

/* A zeroed page for records; NULL if there is none. Permanent: it will never come back. <= DISPATCH_LEVEL, no
 * locks held. */
PVOID MipAllocateMetaPage(BOOLEAN Permanent);
VOID MipFreeMetaPage(PVOID Page);
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
/* Give back segments that are wholly free. */
VOID MipTrimSegments(VOID);
/* Which of a run's pages are known to be zero is kept per segment: is this page not? */
BOOLEAN MipPageIsDirty(PMI_POOL_SEGMENT Segment, SIZE_T Index);
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
PVOID MipPopSlow(PMI_POOL_CACHE Cache, MI_POOL_KIND Kind, ULONG Class);
VOID MipPushSlow(PMI_POOL_CACHE Cache, MI_POOL_KIND Kind, ULONG Class, PVOID Slot);
/* Put a freed slot into quarantine; what leaves it goes to the magazines. */
VOID MipHoldSlot(PMI_POOL_CACHE Cache, MI_POOL_KIND Kind, ULONG Class, PVOID Slot);
/* The same for a run; returns the one that leaves, or NULL. */
PVOID MipHoldRun(PMI_POOL_CACHE Cache, MI_POOL_KIND Kind, PVOID Run);
/* Empty what this processor caches of a kind. At <= DISPATCH_LEVEL (paged: <= APC_LEVEL). */
VOID MipFlushCache(MI_POOL_KIND Kind);

static inline PVOID
MipPop(PMI_POOL_CACHE Cache, MI_POOL_KIND Kind, ULONG Class)
{
    PMI_MAGAZINE Magazine = Cache->Pair[Kind][Class].Loaded;

    if (__builtin_expect(Magazine != NULL && Magazine->Count != 0, 1)) {
        return Magazine->Rounds[--Magazine->Count];
    }
    return MipPopSlow(Cache, Kind, Class);
}

extern UCHAR MiMagazineRounds[MI_POOL_CLASSES];

static inline VOID
MipPush(PMI_POOL_CACHE Cache, MI_POOL_KIND Kind, ULONG Class, PVOID Slot)
{
    PMI_MAGAZINE Magazine = Cache->Pair[Kind][Class].Loaded;

    if (__builtin_expect(Magazine != NULL && Magazine->Count < MiMagazineRounds[Class], 1)) {
        Magazine->Rounds[Magazine->Count++] = Slot;
    } else {
        MipPushSlow(Cache, Kind, Class, Slot);
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

/* Counters belong to one processor but are read by others. */
static inline VOID
MipCount(ULONG64 *Counter, ULONG64 Delta)
{
    __atomic_store_n(Counter, *Counter + Delta, __ATOMIC_RELAXED);
}

/* The same where this processor has no counters. */
VOID MipCountShared(ULONG Tag, BOOLEAN Paged, ULONG64 Allocs, ULONG64 Frees, ULONG64 Bytes);

/* Count an allocation, or a free, of so many bytes. At DISPATCH_LEVEL. */
static inline VOID
MipChargeTag(PMI_POOL_CACHE Cache, ULONG Tag, BOOLEAN Paged, SIZE_T Bytes)
{
    PMI_TAG_COUNTERS Counters = MipTagCounters(Cache, Tag);
    PMI_TAG_SIDE Side;

    if (__builtin_expect(Counters == NULL, 0)) {
        MipCountShared(Tag, Paged, 1, 0, Bytes);
        return;
    }
    Side = Paged ? &Counters->Paged : &Counters->NonPaged;
    MipCount(&Side->Allocs, 1);
    MipCount(&Side->Bytes, Bytes);
}

static inline VOID
MipCreditTag(PMI_POOL_CACHE Cache, ULONG Tag, BOOLEAN Paged, SIZE_T Bytes)
{
    PMI_TAG_COUNTERS Counters = MipTagCounters(Cache, Tag);
    PMI_TAG_SIDE Side;

    if (__builtin_expect(Counters == NULL, 0)) {
        MipCountShared(Tag, Paged, 0, 1, 0 - (ULONG64)Bytes);
        return;
    }
    Side = Paged ? &Counters->Paged : &Counters->NonPaged;
    MipCount(&Side->Frees, 1);
    MipCount(&Side->Bytes, 0 - (ULONG64)Bytes);
}

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

extern ULONG64 MiPoolCookie;

static inline ULONG64
MipHeaderMix(const POOL_HEADER *Header, ULONG64 Word)
{
    ULONG64 Mix = ((ULONG64)(ULONG_PTR)Header ^ MiPoolCookie ^ Word) * 0x9E3779B97F4A7C15ull;

    return Mix ^ (Mix >> 29);
}

/* An odd factor and its inverse: a change of any bit reaches all bits above it. */
#define MI_SEAL_FACTOR  0x9E3779B97F4A7C15ull
#define MI_SEAL_INVERSE 0xF1DE83E19937733Dull
_Static_assert(MI_SEAL_FACTOR *MI_SEAL_INVERSE == 1, "inverse");

static inline VOID
MipSealPayload(PPOOL_HEADER Header, ULONG64 Payload)
{
    ULONG64 Sealed = (Payload ^ MipHeaderMix(Header, Header->Word)) * MI_SEAL_FACTOR;

    __atomic_store_n(&Header->Sealed, Sealed, __ATOMIC_RELAXED);
}

static inline VOID
MipSealHeader(PPOOL_HEADER Header, PVOID Process, ULONG StackId)
{
    MipSealPayload(Header, (((ULONG64)(ULONG_PTR)Process >> 4) << MI_STACK_ID_BITS) | StackId);
}

/* The process charged in the upper 44 bits, the stack id below; something else altogether if the header was
 * damaged. */
static inline ULONG64
MipUnsealContents(const POOL_HEADER *Header, const POOL_HEADER *Contents)
{
    return (Contents->Sealed * MI_SEAL_INVERSE) ^ MipHeaderMix(Header, Contents->Word);
}

static inline ULONG64
MipUnsealHeader(const POOL_HEADER *Header)
{
    return MipUnsealContents(Header, Header);
}

static inline PVOID
MipHeaderProcess(ULONG64 Payload)
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

/* Contents: a copy of a header, or the header itself, and what it has sealed. */
BOOLEAN MipQuotaIsWhole(ULONG64 Payload);
static inline BOOLEAN
MipContentsAreWhole(const POOL_HEADER *Contents, ULONG64 Payload)
{
    if (__builtin_expect(Contents->PoolType & MI_TYPE_QUOTA, 0)) {
        return MipQuotaIsWhole(Payload);
    }
    return Payload >> MI_STACK_ID_BITS == 0 && Contents->BlockSize != 0;
}

/* Is this header whole, as far as it can tell? Live or free. */
static inline BOOLEAN
MipHeaderIsWhole(const POOL_HEADER *Header)
{
    return MipContentsAreWhole(Header, MipUnsealHeader(Header));
}
/* The header of the live block in a slot, NULL if there is none. *Contents: what it said when it was looked
 * at. */
PPOOL_HEADER MipLiveHeader(PVOID Slot, ULONG SlotSize, PPOOL_HEADER Contents);
static inline SIZE_T
MipHeaderSize(const POOL_HEADER *Header)
{
    return (SIZE_T)Header->BlockSize * 16 - MI_HEADER_SIZE - (SIZE_T)Header->Shift * 16 - Header->Slack;
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
