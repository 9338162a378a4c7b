/*
 * Address spaces: the user half of a process, as a set of regions (VADs) and the page tables below the
 * process's own root.
 *
 * What a page is, its region and its entry say together:
 *
 *      entry            in a region that is committed as a whole     in any other region
 *      zero, or none    committed, never touched, Vad->Protection    reserved
 *      MM_DECOMMIT      reserved                                     (does not occur)
 *      demand-zero      committed, never touched, the entry's protection
 *      valid            committed, resident; OriginalPte of the frame's record has the protection
 *      transition       committed, its frame on a list or in use; a page without access or with a guard
 *                       has this form or demand-zero
 *
 * So a region that is reserved and committed in one call and never touched costs a VAD and nothing else, and
 * one of a terabyte costs the tables under its touched pages.
 *
 * Locks, both push locks of the address space, Create before Vad:
 *
 *   Create   exclusive: whoever changes regions, what they promise, or makes tables go away; with it nobody
 *            else does, so its holder may read regions and walk tables without the other. Shared: who asks.
 *   Vad      exclusive, for a moment: the set of regions changes, or a field that faults read; tables go.
 *            Shared: a fault that needs its region, from the look at it until the entry is written.
 *
 * A fault that the entry alone decides takes neither. Entries change under their table's lock, so a fault
 * is before a change or after it. A region that goes leaves the set first; then no fault can make pages in
 * it, and its pages are deleted without the Vad lock. User memory is never touched with a lock held.
 */
#ifndef MM_VA_VA_H
#define MM_VA_VA_H

#include <ke/push.h>
#include <mm/mi.h>
#include <mm/pte/pte.h>
#include <rtl/rtl.h>

/* Addresses are handled as page numbers; places are chosen in slots of 64 KB. */
#define MI_SLOT_PAGES    16ull
#define MI_SHARED_DATA   0x7FFE0000ull
#define MI_LOWEST_USER   0x10000ull

typedef enum _MI_VAD_KIND {
    MiVadPrivate,
    MiVadHole,        /* the machine's own: nobody may use it, nothing can free it */
    MiVadSharedData,  /* the page of shared user data */
    MiVadMapping,     /* pages of an MDL: a driver's to remove */
    MiVadPlaceholder, /* reserved for whoever replaces it */
    MiVadLarge,       /* private memory of 2 MB pages */
    MiVadPhysical     /* a window for pages allocated by the program (AWE) */
} MI_VAD_KIND;

/* One protected part of a region: MmSecureVirtualMemory. */
typedef struct _MI_SECURE {
    LIST_ENTRY Links; /* of the address space */
    struct _MI_SECURE *Next; /* of the region */
    struct _MMVAD *Vad;
    ULONG64 StartPage, EndPage;
    BOOLEAN Write;    /* may not lose the right to write; else only the right to read */
    ULONG Flags;      /* MM_SECURE_* */
} MI_SECURE, *PMI_SECURE;

/* Which pages of a watched region (MEM_WRITE_WATCH) were written; regions that were one share it. */
typedef struct _MI_WATCH {
    volatile LONG References;
    ULONG64 BasePage;       /* that of bit 0 */
    SIZE_T PageCount;
    volatile ULONG64 Written[];
} MI_WATCH, *PMI_WATCH;

/* A region. (C) constant once inserted, (V) Vad lock to change, (W) Create lock exclusive to change. */
typedef struct _MMVAD {
    RTLP_AVL_NODE Node;   /* (V) */
    ULONG64 StartPage;    /* (V) */
    ULONG64 EndPage;      /* (V) first page after it */
    ULONG64 TreeStart;    /* (V) of the subtree: where it begins, where it ends, its largest gap in slots */
    ULONG64 TreeEnd;
    ULONG64 TreeGap;
    UCHAR Kind;           /* (V) MI_VAD_KIND */
    UCHAR Protection;     /* (V) code of pages whose entry is zero */
    UCHAR CacheModifier;  /* (C) MM_NOCACHE, MM_WRITECOMBINE or 0, for every page */
    BOOLEAN MemCommit;    /* (V) pages whose entry is zero are committed */
    BOOLEAN FromPlaceholder; /* (C) it may give way to one again */
    ULONG AllocationProtect; /* (C) PAGE_* as it was reserved */
    SIZE_T CommitCharge;  /* (W) pages promised */
    PMI_SECURE Secured;   /* (W) */
    PMI_WATCH Watch;      /* (C) NULL: its writes are not watched */
    PVOID Mapping;        /* (W) of a mapping: its record in mm/mdl */
} MMVAD, *PMMVAD;

typedef enum _MI_SPACE_STATE { MiSpaceLive, MiSpaceDying, MiSpaceDead } MI_SPACE_STATE;

typedef struct _MI_ADDRESS_SPACE {
    EX_PUSH_LOCK CreateLock;
    EX_PUSH_LOCK VadLock;
    RTLP_AVL_TREE Vads;      /* (V) */
    PMMVAD Hint;             /* (A) where the last lookup ended; cleared under the Vad lock exclusive */
    PKPROCESS Process;       /* (C) */
    PFN_NUMBER RootFrame;    /* (C) */
    ULONG64 BottomUp;        /* (C) page where searches begin, */
    ULONG64 TopDown;         /* (C) and page below which they begin from above */
    UCHAR State;             /* (W) MI_SPACE_STATE */
    SIZE_T VirtualPages;     /* (W) in regions */
    SIZE_T PeakVirtualPages; /* (W) */
    SIZE_T CommitCharge;     /* (W) pages */
    SIZE_T PeakCommit;       /* (W) */
    SIZE_T CommitLimit;      /* (W) pages; ~0: none */
    volatile SIZE_T LockedPages; /* (A) locked by MDLs */
    volatile SIZE_T Resident;    /* (A) private pages with a frame of their own mapped */
    volatile ULONG64 Faults;     /* (A) */
    LIST_ENTRY Secured;      /* (W) MI_SECURE.Links */
    ULONG Watched;           /* (W) regions whose writes are watched */
    ULONG_PTR EmptyTable;    /* (W) an address whose table was kept although it is empty; 0: none */
    LIST_ENTRY Links;        /* MiAddressSpaceLock */
} MI_ADDRESS_SPACE, *PMI_ADDRESS_SPACE;

/* The address space of a process; NULL where there is none (idle threads before there are processes). */
static inline PMI_ADDRESS_SPACE
MiProcessSpace(PKPROCESS Process)
{
    return Process == NULL ? NULL : Process->AddressSpace;
}

/* That of the current thread, attached or its own. */
static inline PMI_ADDRESS_SPACE
MiCurrentSpace(VOID)
{
    return MiProcessSpace(KiCurrentThread()->ActiveProcess);
}

static inline ULONG64
MiHighestUserPage(VOID)
{
    return (KiLoaderBlock->UserEnd >> PAGE_SHIFT) - MI_SLOT_PAGES;
}

/* --- Locks ------------------------------------------------------------------------------------ */

/* No APC while one is held: its routine may touch user memory, and the fault may want the lock. */

static inline VOID
MiLockCreate(PMI_ADDRESS_SPACE Space)
{
    KeEnterGuardedRegion();
    KiAcquirePushLockExclusive(&Space->CreateLock, LockRankAddressCreate);
}

static inline VOID
MiUnlockCreate(PMI_ADDRESS_SPACE Space)
{
    KiReleasePushLockExclusive(&Space->CreateLock);
    KeLeaveGuardedRegion();
}

static inline VOID
MiLockCreateShared(PMI_ADDRESS_SPACE Space)
{
    KeEnterGuardedRegion();
    KiAcquirePushLockShared(&Space->CreateLock, LockRankAddressCreate);
}

static inline VOID
MiUnlockCreateShared(PMI_ADDRESS_SPACE Space)
{
    KiReleasePushLockShared(&Space->CreateLock);
    KeLeaveGuardedRegion();
}

/* The Vad lock exclusive goes with the Create lock. */
static inline VOID
MiLockVads(PMI_ADDRESS_SPACE Space)
{
    KiAcquirePushLockExclusive(&Space->VadLock, LockRankAddressVad);
}

static inline VOID
MiUnlockVads(PMI_ADDRESS_SPACE Space)
{
    KiReleasePushLockExclusive(&Space->VadLock);
}

static inline VOID
MiLockVadsShared(PMI_ADDRESS_SPACE Space)
{
    KeEnterGuardedRegion();
    KiAcquirePushLockShared(&Space->VadLock, LockRankAddressVad);
}

static inline VOID
MiUnlockVadsShared(PMI_ADDRESS_SPACE Space)
{
    KiReleasePushLockShared(&Space->VadLock);
    KeLeaveGuardedRegion();
}

/* --- The set of regions (vadtree.c) ----------------------------------------------------------- */

#define MI_NO_PAGE (~0ull)

VOID MiInitializeVads(PMI_ADDRESS_SPACE Space);
/* Vad lock exclusive. The pages of a new region are free. */
VOID MiInsertVad(PMI_ADDRESS_SPACE Space, PMMVAD Vad);
VOID MiRemoveVad(PMI_ADDRESS_SPACE Space, PMMVAD Vad);
/* Vad lock exclusive: give a region other bounds, inside the gap around it. */
VOID MiResizeVad(PMI_ADDRESS_SPACE Space, PMMVAD Vad, ULONG64 StartPage, ULONG64 EndPage);

/* Either lock, in any mode: the region of a page, NULL; the first that ends behind a page; its neighbours. */
PMMVAD MiFindVad(PMI_ADDRESS_SPACE Space, ULONG64 Page);
PMMVAD MiFirstVadBehind(PMI_ADDRESS_SPACE Space, ULONG64 Page);
PMMVAD MiNextVad(PMMVAD Vad);
PMMVAD MiPreviousVad(PMMVAD Vad);

/* What a new region asks of its place, in pages: [Lowest, Highest) must hold it, its start a multiple of Align. */
typedef struct _MI_PLACE {
    ULONG64 PageCount;
    ULONG64 Align; /* power of two, a slot or more */
    ULONG64 Lowest;
    ULONG64 Highest;
} MI_PLACE, *PMI_PLACE;

/* The lowest, or the highest, free place; MI_NO_PAGE. Create lock. O(log regions) for alignment of a slot. */
ULONG64 MiFindPlaceUp(PMI_ADDRESS_SPACE Space, const MI_PLACE *Place);
ULONG64 MiFindPlaceDown(PMI_ADDRESS_SPACE Space, const MI_PLACE *Place);

/* Is [StartPage, EndPage), widened to whole slots, free? */
BOOLEAN MiPlaceIsFree(PMI_ADDRESS_SPACE Space, ULONG64 StartPage, ULONG64 EndPage);

BOOLEAN MiValidateVads(PMI_ADDRESS_SPACE Space);

/* --- Protection as programs see it (protcode.c) ----------------------------------------------- */

/* The code of a PAGE_* value; FALSE if it is none. Copy-on-write codes are allowed. */
BOOLEAN MiProtectionFromPage(ULONG Protect, MI_PROTECTION *Protection);
/* The PAGE_* value of a code; 0 for MM_DECOMMIT and MM_ZERO_ACCESS. */
ULONG MiPageFromProtection(MI_PROTECTION Protection);
/* A code for a page of the region: with the region's cache type, unless guard or no access. */
MI_PROTECTION MiRegionProtection(const MMVAD *Vad, MI_PROTECTION Protection);

/* --- Entries of user addresses (userpte.c) ---------------------------------------------------- */

/*
 * A walk over what page tables there are in [Page, EndPage): MiNextUserTable puts the cursor at the next run of
 * entries in one table, and says how many pages before it have none. FALSE at the end, where Skipped counts
 * the rest. Create lock, or Vad lock.
 */
typedef struct _MI_USER_CURSOR {
    PFN_NUMBER RootFrame;
    ULONG64 Page;      /* first page of the run */
    ULONG64 EndPage;
    SIZE_T Skipped;    /* pages between the last run and this */
    SIZE_T PageCount;  /* in the run */
    PMMPTE Pte;        /* of Page */
} MI_USER_CURSOR, *PMI_USER_CURSOR;

VOID MiStartUserCursor(PMI_USER_CURSOR Cursor, PMI_ADDRESS_SPACE Space, ULONG64 StartPage, ULONG64 EndPage);
BOOLEAN MiNextUserTable(PMI_USER_CURSOR Cursor);

/* Have tables for all of [StartPage, EndPage). FALSE: no memory; those made stay until the region goes. */
BOOLEAN MiMakeUserTables(PMI_ADDRESS_SPACE Space, ULONG64 StartPage, ULONG64 EndPage);

/* The demand-zero entry of private memory. */
static inline MMPTE
MiMakePrivateZeroPte(MI_PROTECTION Protection)
{
    return MiMakeSystemDemandZeroPte(Protection, MiUseProcessPrivate);
}

/* The valid entry of a private page that comes or comes back. */
static inline MMPTE
MiMakeUserPte(PFN_NUMBER Frame, MI_PROTECTION Protection, BOOLEAN Dirty)
{
    return MiMakeValidPte(Frame, Protection,
                          MI_PTE_USER | MI_PTE_ACCESSED |
                              (Dirty && MiProtectionAllowsWrite(Protection) ? MI_PTE_DIRTY : 0));
}

/* Is a page with this entry committed? */
static inline BOOLEAN
MiUserPteIsCommitted(const MMVAD *Vad, MMPTE Pte)
{
    if (MiPteIsZero(Pte)) {
        return Vad->MemCommit;
    }
    return MiPteIsValid(Pte) || MiGetSoftwareProtection(Pte) != MM_DECOMMIT;
}

/* The protection code of a committed page. Table lock, or Create lock exclusive. */
MI_PROTECTION MiUserPteProtection(const MMVAD *Vad, const MMPTE *Pte, MMPTE Value);

/* Pages of the range that are committed. Create lock. */
SIZE_T MiCountCommitted(PMI_ADDRESS_SPACE Space, const MMVAD *Vad, ULONG64 StartPage, ULONG64 EndPage);

/*
 * Take the pages of the range away: frames freed after a flush, entries zero or, with Decommit in a region
 * committed as a whole, MM_DECOMMIT, for which tables must be there. Create lock exclusive. Empty tables that
 * are left are MiTrimUserTables' business.
 */
VOID MiDeleteUserRange(PMI_ADDRESS_SPACE Space, const MMVAD *Vad, ULONG64 StartPage, ULONG64 EndPage,
                       BOOLEAN Decommit);

/* Free the tables of the range that have no used entries. Create lock exclusive, Vad lock not held. */
VOID MiTrimUserTables(PMI_ADDRESS_SPACE Space, ULONG64 StartPage, ULONG64 EndPage);

/*
 * Give all pages of the range this protection, and commit those that are not committed. Tables are there, unless
 * KeepZero, which leaves entries that are zero as they are. Create lock exclusive.
 */
VOID MiProtectUserRange(PMI_ADDRESS_SPACE Space, const MMVAD *Vad, ULONG64 StartPage, ULONG64 EndPage,
                        MI_PROTECTION Protection, BOOLEAN KeepZero);

/* A record for a watched region, nothing written; NULL without memory. (watch.c) */
PMI_WATCH MiAllocateWatch(ULONG64 BasePage, SIZE_T PageCount);
/* Pages that are decommitted were not written, if their region is watched. Create lock exclusive. */
VOID MiForgetWrites(const MMVAD *Vad, ULONG64 StartPage, ULONG64 EndPage);
/* Up to *Count addresses of pages written, ascending; Reset: and forget that. STATUS_INVALID_PARAMETER_3. */
NTSTATUS MiGetWriteWatch(PMI_ADDRESS_SPACE Space, ULONG_PTR Base, SIZE_T Size, BOOLEAN Reset, PULONG_PTR Addresses,
                         PSIZE_T Count);
NTSTATUS MiResetWriteWatch(PMI_ADDRESS_SPACE Space, ULONG_PTR Base, SIZE_T Size);

/* In a watched region: the valid entry of a page, without the right to write until the first write was noted. */
static inline MMPTE
MiWatchedPte(const MMVAD *Vad, ULONG64 Page, MMPTE Pte)
{
    if (Vad->Watch != NULL) {
        ULONG64 Index = Page - Vad->Watch->BasePage;

        if (((__atomic_load_n(&Vad->Watch->Written[Index / 64], __ATOMIC_RELAXED) >> (Index % 64)) & 1) == 0) {
            Pte.Long &= ~(MI_PTE_WRITE | MI_PTE_DIRTY);
        }
    }
    return Pte;
}

/* Flush a batch of user addresses where the address space is in use. */
VOID MiFlushUser(PMI_ADDRESS_SPACE Space, PMI_FLUSH_BATCH Batch);

/* --- Frames of others (usermap.c) ------------------------------------------------------------- */

/* Map a frame that is somebody else's, where a table is; take such mappings away, with a flush. */
VOID MiMapUserFrame(PMI_ADDRESS_SPACE Space, ULONG64 Page, PFN_NUMBER Frame, MI_PROTECTION Protection,
                    MEMORY_CACHING_TYPE CacheType);
VOID MiUnmapUserFrames(PMI_ADDRESS_SPACE Space, ULONG64 StartPage, ULONG64 EndPage);

/* --- Promises (space.c) ----------------------------------------------------------------------- */

/* Commit for the process. STATUS_COMMITMENT_LIMIT, STATUS_PAGEFILE_QUOTA_EXCEEDED. Create lock exclusive. */
NTSTATUS MiChargeSpace(PMI_ADDRESS_SPACE Space, SIZE_T PageCount);
VOID MiReturnSpace(PMI_ADDRESS_SPACE Space, SIZE_T PageCount);

/* A VAD of a kind, not in the set yet; NULL without memory. */
PMMVAD MiAllocateVad(MI_VAD_KIND Kind, ULONG64 StartPage, ULONG64 EndPage);
VOID MiFreeVad(PMMVAD Vad);
/* Enter it; Create lock exclusive. */
VOID MiEnterVad(PMI_ADDRESS_SPACE Space, PMMVAD Vad);
/* Take it out; Create lock exclusive. Its pages are the caller's. */
VOID MiLeaveVad(PMI_ADDRESS_SPACE Space, PMMVAD Vad);

/* Take the Create lock of a live address space: STATUS_PROCESS_IS_TERMINATING, and no lock, if it is not. */
NTSTATUS MiLockLiveSpace(PMI_ADDRESS_SPACE Space);

/* --- Life (mm/process) ------------------------------------------------------------------------ */

/*
 * Make the address space of a new process: root table, holes, shared data. STATUS_NO_MEMORY,
 * STATUS_INSUFFICIENT_RESOURCES. The process's RootFrame and AddressSpace are set.
 */
NTSTATUS MiCreateAddressSpace(PMI_ADDRESS_SPACE Space, PKPROCESS Process);
/* That of the System process, whose root is the one of system space. */
NTSTATUS MiAdoptSystemAddressSpace(PMI_ADDRESS_SPACE Space, PKPROCESS Process);
/*
 * Everything in it goes: regions, pages, tables. Pages that are still locked by MDLs are bug check 0x76. From then on
 * services say STATUS_PROCESS_IS_TERMINATING. PASSIVE_LEVEL; a thread that is still attached finds it empty.
 */
VOID MiCleanAddressSpace(PMI_ADDRESS_SPACE Space);
/* Free the root. Nobody uses it any more; it was cleaned. */
VOID MiDeleteAddressSpace(PMI_ADDRESS_SPACE Space);

/* One address space's tables against its regions. Create lock exclusive. */
BOOLEAN MiValidateUserTables(PMI_ADDRESS_SPACE Space);
/* Every address space: regions against entries against frames. For quiescent moments. */
BOOLEAN MiValidateAddressSpaces(VOID);

/* Removes a mapping of an MDL that its process leaves behind; set by mm/mdl. Create lock exclusive. */
extern VOID (*MiRemoveUserMapping)(PMI_ADDRESS_SPACE Space, PMMVAD Vad);

/* --- Services (allocate.c, free.c, protect.c, query.c) ---------------------------------------- */

typedef struct _MI_ALLOCATE {
    ULONG_PTR Base;       /* in: 0 where the system chooses; out: rounded */
    SIZE_T Size;          /* in, out: rounded */
    ULONG Type;           /* MEM_* */
    ULONG Protect;        /* PAGE_* */
    BOOLEAN Extended;     /* the Ex form: nothing is rounded, placeholders are allowed */
    ULONG_PTR Lowest;     /* where the system chooses: first address, and */
    ULONG_PTR Highest;    /* first address behind; 0: no limit */
    SIZE_T Align;         /* 0: a slot */
} MI_ALLOCATE, *PMI_ALLOCATE;

/* The checks that need no address space, in the order of the documented statuses. */
NTSTATUS MiCheckAllocateType(const MI_ALLOCATE *Request);
NTSTATUS MiCheckAllocateRange(const MI_ALLOCATE *Request);
NTSTATUS MiAllocateVirtual(PMI_ADDRESS_SPACE Space, PMI_ALLOCATE Request);
NTSTATUS MiCheckFree(ULONG_PTR Base, SIZE_T Size, ULONG FreeType);
NTSTATUS MiFreeVirtual(PMI_ADDRESS_SPACE Space, PULONG_PTR Base, PSIZE_T Size, ULONG FreeType);
NTSTATUS MiCheckProtect(ULONG_PTR Base, SIZE_T Size, ULONG Protect);
NTSTATUS MiProtectVirtual(PMI_ADDRESS_SPACE Space, PULONG_PTR Base, PSIZE_T Size, ULONG Protect, PULONG OldProtect);
NTSTATUS MiQueryBasic(PMI_ADDRESS_SPACE Space, ULONG_PTR Address, PMEMORY_BASIC_INFORMATION Information);

/*
 * The guard of the current thread's stack was touched (it is off now): have the next page be it (stack.c). STATUS_SUCCESS: go on;
 * STATUS_STACK_OVERFLOW; STATUS_GUARD_PAGE_VIOLATION: it is no stack's guard. IRQL <= APC_LEVEL, no locks.
 */
NTSTATUS MiGrowUserStack(ULONG_PTR Address);

/* May the pages lose these rights, or go? TRUE unless part of the range is secured. Create lock. */
BOOLEAN MiMayProtect(const MMVAD *Vad, ULONG64 StartPage, ULONG64 EndPage, MI_PROTECTION Protection);
BOOLEAN MiMayFree(const MMVAD *Vad, ULONG64 StartPage, ULONG64 EndPage);

#endif
