/*
 * walk.c - the page walk of an x86-64 processor over tables in simulated RAM.
 *
 * Four levels, 2 MB and 1 GB leaves, no-execute, write protection honoured for the supervisor
 * (CR0.WP), no execution of user pages by the supervisor (SMEP), no SMAP. Accessed is set on the
 * way down, Dirty in the leaf before a write is allowed. Follows "Intel 64 and IA-32 Architectures
 * Software Developer's Manual", volume 3, chapter 4. Pure but for the tables themselves: fails
 * only with a page-fault error code, holds no state and no locks.
 */
#include "halp.h"

#define HALP_LEVELS           4
#define HALP_RESERVED_ADDRESS (HALP_PTE_ADDRESS & ~((1ull << HALP_PHYSICAL_BITS) - 1))

/* Does the entry set a bit that must be zero at its level (4: the root, 1: a 4 KB leaf)? */
static BOOLEAN
HalpReservedBits(ULONG64 Entry, ULONG Level)
{
    if ((Entry & HALP_RESERVED_ADDRESS) != 0) {
        return TRUE;
    }
    if (Level == 1 || (Entry & HALP_PTE_LARGE) == 0) {
        return FALSE;
    }
    if (Level == 4) {
        return TRUE;
    }
    /* Address bits below the page size, except bit 12, which is the PAT bit of a large leaf. */
    return (Entry & (((1ull << (PAGE_SHIFT + 9 * (Level - 1))) - 1) & ~0x1FFFull)) != 0;
}

/* Rights of the path so far, narrowed by one more entry. */
static ULONG64
HalpNarrow(ULONG64 Path, ULONG64 Entry)
{
    return (Path & Entry & (HALP_PTE_WRITE | HALP_PTE_USER)) | ((Path | Entry) & HALP_PTE_NX);
}

static BOOLEAN
HalpAllowed(ULONG64 Path, ULONG Access)
{
    if ((Access & HALP_FAULT_WRITE) != 0 && (Path & HALP_PTE_WRITE) == 0) {
        return FALSE;
    }
    if ((Access & HALP_FAULT_USER) != 0 && (Path & HALP_PTE_USER) == 0) {
        return FALSE;
    }
    if ((Access & HALP_FAULT_FETCH) != 0) {
        if ((Path & HALP_PTE_NX) != 0) {
            return FALSE;
        }
        if ((Access & HALP_FAULT_USER) == 0 && (Path & HALP_PTE_USER) != 0) {
            return FALSE;
        }
    }
    return TRUE;
}

BOOLEAN
HalpWalk(PFN_NUMBER Root, ULONG_PTR Va, ULONG Access, PHALP_TRANSLATION Translation, PULONG ErrorCode)
{
    ULONG64 *Entries[HALP_LEVELS];
    ULONG64 Values[HALP_LEVELS];
    ULONG64 Path;
    ULONG64 Wanted;
    PFN_NUMBER Table;
    ULONG Level;
    ULONG Index;

Again:
    Path = HALP_PTE_WRITE | HALP_PTE_USER;
    Table = Root;
    for (Level = HALP_LEVELS;; Level -= 1) {
        Index = (ULONG)(Va >> (PAGE_SHIFT + 9 * (Level - 1))) & 0x1FF;
        Entries[Level - 1] = (ULONG64 *)HalFrameAddress(Table) + Index;
        Values[Level - 1] = __atomic_load_n(Entries[Level - 1], __ATOMIC_RELAXED);
        if ((Values[Level - 1] & HALP_PTE_VALID) == 0) {
            *ErrorCode = Access;
            return FALSE;
        }
        if (HalpReservedBits(Values[Level - 1], Level) ||
            !HalpFrameExists(HALP_PTE_FRAME(Values[Level - 1]))) {
            *ErrorCode = Access | HALP_FAULT_PRESENT | HALP_FAULT_RESERVED;
            return FALSE;
        }
        Path = HalpNarrow(Path, Values[Level - 1]);
        if (Level == 1 || (Values[Level - 1] & HALP_PTE_LARGE) != 0) {
            break;
        }
        Table = HALP_PTE_FRAME(Values[Level - 1]);
    }
    if (!HalpAllowed(Path, Access)) {
        *ErrorCode = Access | HALP_FAULT_PRESENT;
        return FALSE;
    }

    /*
     * Mark the path, leaf last; an entry that changed meanwhile means the walk was of something
     * else.
     */
    for (Index = HALP_LEVELS; Index >= Level; Index -= 1) {
        Wanted = Values[Index - 1] | HALP_PTE_ACCESSED;
        if (Index == Level && (Access & HALP_FAULT_WRITE) != 0) {
            Wanted |= HALP_PTE_DIRTY;
        }
        if (Wanted != Values[Index - 1] &&
            !__atomic_compare_exchange_n(Entries[Index - 1], &Values[Index - 1], Wanted, 0, __ATOMIC_SEQ_CST,
                                         __ATOMIC_RELAXED)) {
            goto Again;
        }
        Values[Index - 1] = Wanted;
    }

    Translation->Entry = Entries[Level - 1];
    Translation->Large = Level > 1;
    Translation->Frame = HALP_PTE_FRAME(Values[Level - 1]);
    if (Level > 1) {
        /* The PAT bit is not part of the address. */
        Translation->Frame &= ~((1ull << (9 * (Level - 1))) - 1);
        Translation->Frame |= (Va >> PAGE_SHIFT) & ((1ull << (9 * (Level - 1))) - 1);
    }
    Translation->Rights = 0;
    if ((Path & HALP_PTE_WRITE) != 0 && (Values[Level - 1] & HALP_PTE_DIRTY) != 0) {
        Translation->Rights |= HALP_RIGHT_WRITE;
    }
    if (HalpAllowed(Path, (Access & HALP_FAULT_USER) | HALP_FAULT_FETCH)) {
        Translation->Rights |= HALP_RIGHT_EXECUTE;
    }
    return TRUE;
}
