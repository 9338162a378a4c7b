/*
 * Making and reading entries: what is more than a shift and a mask. The forms are drawn in
 * pteform.h. Pure functions of their arguments: no locks, any IRQL.
 */
#include "pteform.h"

#define MIP_FLAGS_LEAF                                                                             \
    (MI_PTE_USER | MI_PTE_GLOBAL | MI_PTE_ACCESSED | MI_PTE_DIRTY | MI_PTE_CACHE_MASK)
#define MIP_FLAGS_TABLE (MI_PTE_USER | MI_PTE_ACCESSED)

/* Cache types in the order of the PAT entries that PWT and PCD select. */
static const MEMORY_CACHING_TYPE MipPat[4] = {MmCached, MmWriteCombined, MmNonCached, MmNonCached};

MEMORY_CACHING_TYPE
MiProtectionCacheType(MI_PROTECTION Protection)
{
    if ((Protection & MM_RIGHTS_MASK) == 0) {
        return MmCached;
    }
    switch (Protection & MM_MODIFIER_MASK) {
    case MM_NOCACHE:
        return MmNonCached;
    case MM_WRITECOMBINE:
        return MmWriteCombined;
    default:
        return MmCached;
    }
}

ULONG64
MiCacheTypeToHardware(MEMORY_CACHING_TYPE CacheType)
{
    switch (CacheType) {
    case MmNonCached:
    case MmNonCachedUnordered:
        return MI_PTE_WRITE_THROUGH | MI_PTE_CACHE_DISABLE;
    case MmWriteCombined:
    case MmUSWCCached:
        return MI_PTE_WRITE_THROUGH;
    default:
        return 0;
    }
}

MEMORY_CACHING_TYPE
MiHardwareToCacheType(ULONG64 Bits)
{
    return MipPat[(Bits & MI_PTE_CACHE_MASK) / MI_PTE_WRITE_THROUGH];
}

ULONG64
MiProtectionToHardware(MI_PROTECTION Protection)
{
    ULONG64 Bits;

    NT_ASSERT((Protection & MM_RIGHTS_MASK) != MM_ZERO_ACCESS);
    NT_ASSERT(!MiProtectionIsGuard(Protection));

    Bits = MiCacheTypeToHardware(MiProtectionCacheType(Protection));
    if (MiProtectionAllowsWrite(Protection)) {
        Bits |= MI_PTE_WRITE | MI_PTE_WRITE_ALLOWED;
    }
    if (MiProtectionIsWriteCopy(Protection)) {
        Bits |= MI_PTE_COPY_ON_WRITE;
    }
    if (!MiProtectionAllowsExecute(Protection)) {
        Bits |= MI_PTE_NO_EXECUTE;
    }
    return Bits;
}

/*
 * Rights of a valid entry as a code. Execute-only cannot be told from execute-read: the hardware
 * has no such thing. Cache bits become the modifier.
 */
static MI_PROTECTION
MipValidProtection(MMPTE Pte)
{
    static const MI_PROTECTION Rights[2][3] = {
        {MM_READONLY, MM_READWRITE, MM_WRITECOPY},
        {MM_EXECUTE_READ, MM_EXECUTE_READWRITE, MM_EXECUTE_WRITECOPY},
    };
    ULONG Write;
    MI_PROTECTION Protection;

    if (MiPteIsCopyOnWrite(Pte)) {
        Write = 2;
    } else {
        Write = (Pte.Long & (MI_PTE_WRITE | MI_PTE_WRITE_ALLOWED)) != 0;
    }
    Protection = Rights[MiPteIsExecutable(Pte) ? 1 : 0][Write];
    switch (MiGetPteCacheType(Pte)) {
    case MmNonCached:
        return Protection | MM_NOCACHE;
    case MmWriteCombined:
        return Protection | MM_WRITECOMBINE;
    default:
        return Protection;
    }
}

MI_PROTECTION
MiGetPteProtection(MMPTE Pte)
{
    return MiPteIsValid(Pte) ? MipValidProtection(Pte) : MiGetSoftwareProtection(Pte);
}

static inline ULONG64
MipFrameBits(PFN_NUMBER Frame)
{
    NT_ASSERT(((Frame << PAGE_SHIFT) & ~MI_PTE_FRAME_MASK) == 0);
    return Frame << PAGE_SHIFT;
}

static inline ULONG64
MipProtectionBits(MI_PROTECTION Protection)
{
    NT_ASSERT(Protection <= MM_PROTECTION_MASK);
    return (ULONG64)Protection << MI_SOFT_PROTECTION_SHIFT;
}

MMPTE
MiMakeTablePte(PFN_NUMBER TableFrame, ULONG64 Flags)
{
    NT_ASSERT((Flags & ~MIP_FLAGS_TABLE) == 0);
    return (MMPTE){MipFrameBits(TableFrame) | MI_PTE_VALID | MI_PTE_WRITE | MI_PTE_ACCESSED |
                   Flags};
}

MMPTE
MiMakeValidPte(PFN_NUMBER Frame, MI_PROTECTION Protection, ULONG64 Flags)
{
    NT_ASSERT((Flags & ~MIP_FLAGS_LEAF) == 0);
    return (MMPTE){MipFrameBits(Frame) | MI_PTE_VALID | MiProtectionToHardware(Protection) | Flags};
}

MMPTE
MiMakeLargePte(PFN_NUMBER Frame, MI_PROTECTION Protection, ULONG64 Flags)
{
    MMPTE Pte = MiMakeValidPte(Frame, Protection, Flags);

    NT_ASSERT(Frame % MI_LARGE_PAGE_COUNT == 0);
    Pte.Long |= MI_PTE_LARGE;
    return Pte;
}

MMPTE
MiMakeHugePte(PFN_NUMBER Frame, MI_PROTECTION Protection, ULONG64 Flags)
{
    NT_ASSERT(Frame % MI_HUGE_PAGE_COUNT == 0);
    return MiMakeLargePte(Frame, Protection, Flags);
}

MMPTE
MiMakePteFromLarge(MMPTE Large, ULONG Index)
{
    MMPTE Pte;

    NT_ASSERT(MiPteIsLarge(Large));
    NT_ASSERT(Index < MI_LARGE_PAGE_COUNT);
    Pte.Long = Large.Long & ~(MI_PTE_FRAME_MASK | MI_PTE_LARGE);
    Pte.Long |= MipFrameBits(MiGetLargePteFrame(Large) + Index);
    return Pte;
}

MMPTE
MiChangePteProtection(MMPTE Pte, MI_PROTECTION Protection)
{
    ULONG64 Keep = MI_PTE_FRAME_MASK | MI_PTE_VALID | MI_PTE_USER | MI_PTE_ACCESSED | MI_PTE_DIRTY |
                   MI_PTE_LARGE | MI_PTE_GLOBAL | MI_PTE_CACHE_MASK;

    NT_ASSERT(MiPteIsValid(Pte));
    return (MMPTE){(Pte.Long & Keep) | (MiProtectionToHardware(Protection) & ~MI_PTE_CACHE_MASK)};
}

MMPTE
MiMakeDemandZeroPte(MI_PROTECTION Protection)
{
    NT_ASSERT(Protection != MM_ZERO_ACCESS);
    return (MMPTE){MipProtectionBits(Protection)};
}

MMPTE
MiMakeTransitionPte(PFN_NUMBER Frame, MI_PROTECTION Protection)
{
    return (MMPTE){MipFrameBits(Frame) | MI_SOFT_TRANSITION | MipProtectionBits(Protection)};
}

MMPTE
MiMakePageFilePte(ULONG FileNumber, ULONG Offset, MI_PROTECTION Protection)
{
    NT_ASSERT(FileNumber < 16);
    NT_ASSERT(Offset != 0);
    return (MMPTE){((ULONG64)Offset << MI_SOFT_OFFSET_SHIFT) |
                   ((ULONG64)FileNumber << MI_SOFT_FILE_SHIFT) | MipProtectionBits(Protection)};
}

MMPTE
MiMakePrototypePte(const VOID *Address, MI_PROTECTION Protection)
{
    MMPTE Pte;

    Pte.Long = ((ULONG64)(ULONG_PTR)Address << MI_SOFT_ADDRESS_SHIFT) | MI_SOFT_PROTOTYPE |
               MipProtectionBits(Protection);
    NT_ASSERT(MiGetPrototypeAddress(Pte) == Address);
    return Pte;
}

MMPTE
MiMakeVadMarkerPte(MI_PROTECTION Protection)
{
    return MiMakePrototypePte((PVOID)~(ULONG_PTR)0, Protection);
}

MMPTE
MiMakeSubsectionPte(const VOID *Subsection, MI_PROTECTION Protection)
{
    MMPTE Pte = MiMakePrototypePte(Subsection, Protection);

    Pte.Long |= MI_SOFT_SUBSECTION;
    return Pte;
}

MMPTE
MiChangeSoftwareProtection(MMPTE Pte, MI_PROTECTION Protection)
{
    NT_ASSERT(!MiPteIsValid(Pte));
    return (MMPTE){(Pte.Long & ~MI_SOFT_PROTECTION_MASK) | MipProtectionBits(Protection)};
}
