/*
 * Forms of a page-table entry: every meaning that the 64 bits of a leaf, a large leaf, a table
 * entry or a prototype entry can have, and the accessors through which everybody reads and makes
 * them.
 *
 * Nobody outside this file shifts or masks an entry. An entry is read once into a local with
 * MiReadPte, judged there, and put back with MiWritePte or MiCompareExchangePte, because the
 * processor (Accessed, Dirty) and other processors change it at any time.
 *
 *   63    62..59 58..52  51........12   11    10    9    8 7   6 5 4   3   2   1   0
 *   NX    0      0       frame          write 0     copy G PAT D A PCD PWT U/S R/W 1   valid, 4 KB
 *   NX    0      0       frame..13 PAT  write 0     copy G 1   D A PCD PWT U/S R/W 1   2 MB, 1 GB
 *
 *   63..52   51......12  11 10 9.......5 4...1 0
 *   0        0           0  0  0         0     0   zero: nothing said; the VAD decides
 *   0        0           0  0  prot      0     0   demand-zero: a page of zeroes, made on touch
 *   offset 63..32, file 15..12  0  0  prot 0   0   page file: in that slot (offset > 0)
 *   0        frame       1  0  prot      0     0   transition: the page is still in that frame
 *   address 63..16, 12=0 0  1  prot      0     0   prototype: the entry at address decides
 *   address 63..16, 12=1 0  1  prot      0     0   subsection (prototype arrays): in a file
 *
 * How a private page's entry goes round; who changes it holds the table's lock (L), except that the
 * transition form belongs to the lock bit of its frame's MMPFN (F):
 *
 *        commit (L)             touch (L)                     trim (L, then F)
 *   zero -----------> demand-zero --------------------> valid --------------> transition
 *    ^                  ^    ^  delete, decommit (L)      |  ^  soft fault (F, L)  |   |
 *    +------------------|----|----------------------------+  +---------------------+   |
 *                       |    +-- repurposed, original form was demand-zero (F) --------+
 *                       +-- deleted or decommitted (F, L)                              |
 *   page file <------------- repurposed, original form was a page-file slot (F) -------+
 *
 * Documents: the processor manuals for the hardware bits; the software forms are our own, with the
 * protection code that MEMORY_WORKING_SET_BLOCK shows.
 */
#ifndef MM_PTE_PTEFORM_H
#define MM_PTE_PTEFORM_H

#include <mm/mi.h>

typedef struct _MMPTE {
    ULONG64 Long;
} MMPTE, *PMMPTE;

_Static_assert(sizeof(MMPTE) == 8, "an entry is what the processor reads");

#define MI_PTES_PER_TABLE 512u
#define MI_LARGE_PAGE_COUNT 512ull      /* 4 KB pages of a 2 MB page */
#define MI_HUGE_PAGE_COUNT 262144ull    /* 4 KB pages of a 1 GB page */

/* Levels of a walk: the table an entry stands in. A leaf may stand at levels 1 to 3. */
typedef enum _MI_PTE_LEVEL {
    MiLevelPte = 1,  /* 4 KB of address */
    MiLevelPde = 2,  /* 2 MB */
    MiLevelPpe = 3,  /* 1 GB */
    MiLevelPxe = 4   /* 512 GB */
} MI_PTE_LEVEL;

/* --- The bits --------------------------------------------------------------------------------- */

#define MI_PTE_VALID (1ull << 0)
#define MI_PTE_WRITE (1ull << 1)
#define MI_PTE_USER (1ull << 2)
#define MI_PTE_WRITE_THROUGH (1ull << 3)
#define MI_PTE_CACHE_DISABLE (1ull << 4)
#define MI_PTE_ACCESSED (1ull << 5)
#define MI_PTE_DIRTY (1ull << 6)
#define MI_PTE_LARGE (1ull << 7)            /* in a PDE or PPE */
#define MI_PTE_GLOBAL (1ull << 8)
#define MI_PTE_COPY_ON_WRITE (1ull << 9)    /* software */
#define MI_PTE_WRITE_ALLOWED (1ull << 11)   /* software: the protection lets writes through */
#define MI_PTE_NO_EXECUTE (1ull << 63)
#define MI_PTE_FRAME_MASK 0x000FFFFFFFFFF000ull
#define MI_PTE_CACHE_MASK (MI_PTE_WRITE_THROUGH | MI_PTE_CACHE_DISABLE)

/* Valid bit clear. */
#define MI_SOFT_PROTECTION_SHIFT 5
#define MI_SOFT_PROTECTION_MASK (31ull << MI_SOFT_PROTECTION_SHIFT)
#define MI_SOFT_PROTOTYPE (1ull << 10)
#define MI_SOFT_TRANSITION (1ull << 11)
#define MI_SOFT_SUBSECTION (1ull << 12)
#define MI_SOFT_FILE_SHIFT 12
#define MI_SOFT_FILE_MASK (15ull << MI_SOFT_FILE_SHIFT)
#define MI_SOFT_OFFSET_SHIFT 32
#define MI_SOFT_ADDRESS_SHIFT 16

_Static_assert(MI_SOFT_TRANSITION != MI_SOFT_PROTOTYPE, "the two decide the form");
_Static_assert((MI_SOFT_PROTECTION_MASK & (MI_SOFT_PROTOTYPE | MI_SOFT_TRANSITION)) == 0,
               "protection code is bits 5 to 9 in every software form");
_Static_assert((MI_PTE_FRAME_MASK & (MI_SOFT_PROTECTION_MASK | MI_SOFT_TRANSITION)) == 0,
               "a transition entry keeps its frame where a valid one has it");

/* --- Protection codes ------------------------------------------------------------------------- */

/* Low three bits: rights. Upper two: plain, non-cacheable, guard, write-combined. */
#define MM_ZERO_ACCESS 0u
#define MM_READONLY 1u
#define MM_EXECUTE 2u
#define MM_EXECUTE_READ 3u
#define MM_READWRITE 4u
#define MM_WRITECOPY 5u
#define MM_EXECUTE_READWRITE 6u
#define MM_EXECUTE_WRITECOPY 7u
#define MM_NOCACHE 0x08u
#define MM_GUARD_PAGE 0x10u
#define MM_WRITECOMBINE 0x18u
#define MM_DECOMMIT (MM_GUARD_PAGE | MM_ZERO_ACCESS)      /* was committed, is not */
#define MM_NOACCESS (MM_WRITECOMBINE | MM_ZERO_ACCESS)    /* committed, no access */
#define MM_RIGHTS_MASK 0x07u
#define MM_MODIFIER_MASK 0x18u
#define MM_PROTECTION_MASK 0x1Fu

static inline BOOLEAN
MiProtectionAllowsWrite(MI_PROTECTION Protection)
{
    ULONG Rights = Protection & MM_RIGHTS_MASK;

    return Rights == MM_READWRITE || Rights == MM_EXECUTE_READWRITE;
}

static inline BOOLEAN
MiProtectionIsWriteCopy(MI_PROTECTION Protection)
{
    ULONG Rights = Protection & MM_RIGHTS_MASK;

    return Rights == MM_WRITECOPY || Rights == MM_EXECUTE_WRITECOPY;
}

static inline BOOLEAN
MiProtectionAllowsExecute(MI_PROTECTION Protection)
{
    ULONG Rights = Protection & MM_RIGHTS_MASK;

    return Rights == MM_EXECUTE || Rights == MM_EXECUTE_READ || Rights == MM_EXECUTE_READWRITE ||
           Rights == MM_EXECUTE_WRITECOPY;
}

static inline BOOLEAN
MiProtectionIsGuard(MI_PROTECTION Protection)
{
    return (Protection & MM_MODIFIER_MASK) == MM_GUARD_PAGE && (Protection & MM_RIGHTS_MASK) != 0;
}

/* No rights at all: never touched with success, whatever the VAD says. */
static inline BOOLEAN
MiProtectionIsNoAccess(MI_PROTECTION Protection)
{
    return (Protection & MM_RIGHTS_MASK) == MM_ZERO_ACCESS;
}

/* The cache type a protection code asks for: MmCached unless a modifier says otherwise. */
MEMORY_CACHING_TYPE MiProtectionCacheType(MI_PROTECTION Protection);

/*
 * Hardware and software bits of a valid entry with these rights: R/W, NX, write allowed, copy on
 * write and cache bits. A protection without rights, or a guard page, has no valid form: asserted.
 */
ULONG64 MiProtectionToHardware(MI_PROTECTION Protection);

/*
 * Cache bits by the PAT: 0 write-back, 1 write-combining, 2 uncached-minus, 3 uncached, repeated.
 */
ULONG64 MiCacheTypeToHardware(MEMORY_CACHING_TYPE CacheType);
MEMORY_CACHING_TYPE MiHardwareToCacheType(ULONG64 Bits);

/* --- Whole entries, atomically ---------------------------------------------------------------- */

static inline MMPTE
MiReadPte(const volatile MMPTE *Pte)
{
    MMPTE Value;

    Value.Long = __atomic_load_n(&Pte->Long, __ATOMIC_ACQUIRE);
    return Value;
}

static inline VOID
MiWritePte(volatile MMPTE *Pte, MMPTE Value)
{
    __atomic_store_n(&Pte->Long, Value.Long, __ATOMIC_RELEASE);
}

/*
 * Store New and return what was there: the way to clear a valid entry without losing its Dirty bit.
 */
static inline MMPTE
MiExchangePte(volatile MMPTE *Pte, MMPTE New)
{
    MMPTE Old;

    Old.Long = __atomic_exchange_n(&Pte->Long, New.Long, __ATOMIC_ACQ_REL);
    return Old;
}

/* Store New if the entry is still *Expected; else FALSE, and *Expected receives what it is. */
static inline BOOLEAN
MiCompareExchangePte(volatile MMPTE *Pte, MMPTE *Expected, MMPTE New)
{
    return __atomic_compare_exchange_n(&Pte->Long, &Expected->Long, New.Long, 0, __ATOMIC_ACQ_REL,
                                       __ATOMIC_ACQUIRE);
}

static inline BOOLEAN
MiPteEqual(MMPTE One, MMPTE Other)
{
    return One.Long == Other.Long;
}

/* Where an entry stands, given its address in the direct map. */
static inline PFN_NUMBER
MiPteTableFrame(const volatile MMPTE *Pte)
{
    return HalAddressFrame((const VOID *)Pte);
}

static inline ULONG
MiPteTableIndex(const volatile MMPTE *Pte)
{
    return (ULONG)(((ULONG_PTR)Pte & (PAGE_SIZE - 1)) / sizeof(MMPTE));
}

static inline PMMPTE
MiTableEntry(PFN_NUMBER TableFrame, ULONG Index)
{
    return (PMMPTE)HalFrameAddress(TableFrame) + Index;
}

/* --- Which form ------------------------------------------------------------------------------- */

static inline BOOLEAN
MiPteIsZero(MMPTE Pte)
{
    return Pte.Long == 0;
}

static inline BOOLEAN
MiPteIsValid(MMPTE Pte)
{
    return (Pte.Long & MI_PTE_VALID) != 0;
}

/* A valid 2 MB or 1 GB leaf. Only meaningful for an entry of a PDE or PPE table. */
static inline BOOLEAN
MiPteIsLarge(MMPTE Pte)
{
    return (Pte.Long & (MI_PTE_VALID | MI_PTE_LARGE)) == (MI_PTE_VALID | MI_PTE_LARGE);
}

static inline BOOLEAN
MiPteIsTransition(MMPTE Pte)
{
    return (Pte.Long & (MI_PTE_VALID | MI_SOFT_PROTOTYPE | MI_SOFT_TRANSITION)) ==
           MI_SOFT_TRANSITION;
}

/* Prototype pointer, the all-ones marker included; a subsection entry is not one. */
static inline BOOLEAN
MiPteIsPrototype(MMPTE Pte)
{
    return (Pte.Long & (MI_PTE_VALID | MI_SOFT_PROTOTYPE | MI_SOFT_SUBSECTION)) ==
           MI_SOFT_PROTOTYPE;
}

static inline BOOLEAN
MiPteIsSubsection(MMPTE Pte)
{
    return (Pte.Long & (MI_PTE_VALID | MI_SOFT_PROTOTYPE | MI_SOFT_SUBSECTION)) ==
           (MI_SOFT_PROTOTYPE | MI_SOFT_SUBSECTION);
}

/* Demand-zero or page file: neither valid, prototype nor transition, and not all zero. */
static inline BOOLEAN
MiPteIsSoftware(MMPTE Pte)
{
    return Pte.Long != 0 &&
           (Pte.Long & (MI_PTE_VALID | MI_SOFT_PROTOTYPE | MI_SOFT_TRANSITION)) == 0;
}

static inline BOOLEAN
MiPteIsPageFile(MMPTE Pte)
{
    return MiPteIsSoftware(Pte) && (Pte.Long >> MI_SOFT_OFFSET_SHIFT) != 0;
}

/* A decommitted entry has this shape too: look at the protection. */
static inline BOOLEAN
MiPteIsDemandZero(MMPTE Pte)
{
    return MiPteIsSoftware(Pte) && (Pte.Long >> MI_SOFT_OFFSET_SHIFT) == 0;
}

/* --- Fields ----------------------------------------------------------------------------------- */

/* Frame of a valid 4 KB leaf, a table entry or a transition entry. */
static inline PFN_NUMBER
MiGetPteFrame(MMPTE Pte)
{
    return (Pte.Long & MI_PTE_FRAME_MASK) >> PAGE_SHIFT;
}

/*
 * First frame of a large leaf: bit 12 is its PAT bit, and the rest below the alignment is reserved.
 */
static inline PFN_NUMBER
MiGetLargePteFrame(MMPTE Pte)
{
    return MiGetPteFrame(Pte) & ~(MI_LARGE_PAGE_COUNT - 1);
}

/* Protection code of any software form. */
static inline MI_PROTECTION
MiGetSoftwareProtection(MMPTE Pte)
{
    return (MI_PROTECTION)((Pte.Long & MI_SOFT_PROTECTION_MASK) >> MI_SOFT_PROTECTION_SHIFT);
}

/* The code that describes a valid or software entry's rights (for a valid one, as its bits say). */
MI_PROTECTION MiGetPteProtection(MMPTE Pte);

static inline ULONG
MiGetPageFileNumber(MMPTE Pte)
{
    return (ULONG)((Pte.Long & MI_SOFT_FILE_MASK) >> MI_SOFT_FILE_SHIFT);
}

static inline ULONG
MiGetPageFileOffset(MMPTE Pte)
{
    return (ULONG)(Pte.Long >> MI_SOFT_OFFSET_SHIFT);
}

/* Address of a prototype or subsection entry: 48 bits, sign-extended. */
static inline PVOID
MiGetPrototypeAddress(MMPTE Pte)
{
    return (PVOID)(ULONG_PTR)((LONG64)Pte.Long >> MI_SOFT_ADDRESS_SHIFT);
}

static inline PVOID
MiGetSubsectionAddress(MMPTE Pte)
{
    return MiGetPrototypeAddress(Pte);
}

/* The marker that sends a fault to the VAD instead of to a prototype entry. */
static inline BOOLEAN
MiPteIsVadMarker(MMPTE Pte)
{
    return MiPteIsPrototype(Pte) && MiGetPrototypeAddress(Pte) == (PVOID)~(ULONG_PTR)0;
}

static inline BOOLEAN
MiPteIsWritable(MMPTE Pte)
{
    return (Pte.Long & (MI_PTE_VALID | MI_PTE_WRITE)) == (MI_PTE_VALID | MI_PTE_WRITE);
}

static inline BOOLEAN
MiPteIsExecutable(MMPTE Pte)
{
    return (Pte.Long & (MI_PTE_VALID | MI_PTE_NO_EXECUTE)) == MI_PTE_VALID;
}

static inline BOOLEAN
MiPteIsUser(MMPTE Pte)
{
    return (Pte.Long & (MI_PTE_VALID | MI_PTE_USER)) == (MI_PTE_VALID | MI_PTE_USER);
}

static inline BOOLEAN
MiPteIsDirty(MMPTE Pte)
{
    return (Pte.Long & (MI_PTE_VALID | MI_PTE_DIRTY)) == (MI_PTE_VALID | MI_PTE_DIRTY);
}

static inline BOOLEAN
MiPteIsAccessed(MMPTE Pte)
{
    return (Pte.Long & (MI_PTE_VALID | MI_PTE_ACCESSED)) == (MI_PTE_VALID | MI_PTE_ACCESSED);
}

static inline BOOLEAN
MiPteIsCopyOnWrite(MMPTE Pte)
{
    return (Pte.Long & (MI_PTE_VALID | MI_PTE_COPY_ON_WRITE)) ==
           (MI_PTE_VALID | MI_PTE_COPY_ON_WRITE);
}

static inline MEMORY_CACHING_TYPE
MiGetPteCacheType(MMPTE Pte)
{
    return MiHardwareToCacheType(Pte.Long);
}

/* --- Making them ------------------------------------------------------------------------------ */

static inline MMPTE
MiMakeZeroPte(VOID)
{
    return (MMPTE){0};
}

/*
 * Entry of a PXE, PPE or PDE table for the next table. Rights are given at the leaf, so writable
 * and executable here; Flags: MI_PTE_USER for the user range, else 0.
 */
MMPTE MiMakeTablePte(PFN_NUMBER TableFrame, ULONG64 Flags);

/*
 * 4 KB leaf. Flags: any of MI_PTE_USER, _GLOBAL, _ACCESSED, _DIRTY, and the bits of
 * MiCacheTypeToHardware where the cache type is not the one the protection code asks for.
 */
MMPTE MiMakeValidPte(PFN_NUMBER Frame, MI_PROTECTION Protection, ULONG64 Flags);

/* 2 MB leaf in a PDE table (Frame a multiple of 512), 1 GB leaf in a PPE table (of 262,144). */
MMPTE MiMakeLargePte(PFN_NUMBER Frame, MI_PROTECTION Protection, ULONG64 Flags);
MMPTE MiMakeHugePte(PFN_NUMBER Frame, MI_PROTECTION Protection, ULONG64 Flags);

/* 4 KB leaf number Index of a 2 MB leaf, everything else the same: to split it. */
MMPTE MiMakePteFromLarge(MMPTE Large, ULONG Index);

/*
 * The same entry with other rights, keeping frame, User, Global, Accessed and Dirty, and cache
 * type.
 */
MMPTE MiChangePteProtection(MMPTE Pte, MI_PROTECTION Protection);

MMPTE MiMakeDemandZeroPte(MI_PROTECTION Protection);
MMPTE MiMakeTransitionPte(PFN_NUMBER Frame, MI_PROTECTION Protection);
/* FileNumber 0 to 15, Offset in pages, not 0. */
MMPTE MiMakePageFilePte(ULONG FileNumber, ULONG Offset, MI_PROTECTION Protection);
/* Address: of the prototype entry, 8-aligned, canonical in 48 bits. */
MMPTE MiMakePrototypePte(const VOID *Address, MI_PROTECTION Protection);
MMPTE MiMakeVadMarkerPte(MI_PROTECTION Protection);
MMPTE MiMakeSubsectionPte(const VOID *Subsection, MI_PROTECTION Protection);
/* Any software form with another protection code. */
MMPTE MiChangeSoftwareProtection(MMPTE Pte, MI_PROTECTION Protection);

#endif
