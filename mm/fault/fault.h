/*
 * Private to mm/fault: one fault's live state, and the kinds the dispatcher sends it to.
 */
#ifndef MM_FAULT_FAULT_H
#define MM_FAULT_FAULT_H

#include <mm/mi.h>
#include <mm/phys/pfn.h>
#include <mm/pte/pte.h>

/* Bits of the processor's error code. */
#define MI_FAULT_PRESENT  0x01u
#define MI_FAULT_WRITE    0x02u
#define MI_FAULT_USER     0x04u
#define MI_FAULT_RESERVED 0x08u
#define MI_FAULT_FETCH    0x10u

/* What a kind says of the entry it was shown. */
typedef enum _MI_FAULT_RESULT {
    MiFaultResolved,   /* the access may be retried */
    MiFaultAgain,      /* the entry has changed: look at it again */
    MiFaultNeedsFrame, /* come again with a zeroed frame in hand; no lock may be held while it is got */
    MiFaultViolation,  /* nobody may do this */
    MiFaultNoMemory
} MI_FAULT_RESULT;

typedef struct _MI_FAULT {
    ULONG_PTR Va;
    ULONG ErrorCode;
    PKTRAP_FRAME TrapFrame;
    PFN_NUMBER RootFrame;
    MI_WALK Walk;         /* the entry; its table is locked while a kind runs */
    PFN_NUMBER ZeroFrame; /* prepared, MI_NO_FRAME if none is; whoever uses it says so by clearing this */
    MI_PAGE_USE ZeroUse;  /* what it is wanted for */
} MI_FAULT, *PMI_FAULT;

static inline BOOLEAN
MiFaultIsWrite(const MI_FAULT *Fault)
{
    return (Fault->ErrorCode & MI_FAULT_WRITE) != 0;
}

/* May a valid entry serve this access, as the processor judges? */
static inline BOOLEAN
MiEntryAllows(MMPTE Pte, ULONG ErrorCode)
{
    if ((ErrorCode & MI_FAULT_RESERVED) != 0) {
        return FALSE;
    }
    return ((ErrorCode & MI_FAULT_WRITE) == 0 || MiPteIsWritable(Pte)) &&
           ((ErrorCode & MI_FAULT_FETCH) == 0 || MiPteIsExecutable(Pte)) &&
           ((ErrorCode & MI_FAULT_USER) == 0 || MiPteIsUser(Pte));
}

/*
 * The valid entry for a page that comes back or comes into being. Dirty is set at once where the access is a
 * write, or the page is modified anyway, so that the processor need not write the entry again.
 */
static inline MMPTE
MiMakeResidentPte(PFN_NUMBER Frame, MI_PROTECTION Protection, BOOLEAN Dirty)
{
    ULONG64 Flags = MI_PTE_GLOBAL | MI_PTE_ACCESSED;

    if (Dirty && MiProtectionAllowsWrite(Protection)) {
        Flags |= MI_PTE_DIRTY;
    }
    return MiMakeValidPte(Frame, Protection, Flags);
}

/* The kinds. Table lock held on entry and on return; none of them blocks. */
MI_FAULT_RESULT MiFaultDemandZero(PMI_FAULT Fault);
MI_FAULT_RESULT MiFaultTransition(PMI_FAULT Fault);

/*
 * Get the frame the fault asked for, with no lock held; waits for memory if the fault's context may wait.
 * FALSE if none comes. (demandzero.c, which states the policy)
 */
BOOLEAN MiPrepareZeroFrame(PMI_FAULT Fault);

typedef enum _MI_FAULT_COUNTER {
    MiFaultsTotal,
    MiFaultsDemandZero,
    MiFaultsTransition,
    MiFaultsMaximum
} MI_FAULT_COUNTER;
VOID MiCountFault(MI_FAULT_COUNTER Counter);

#endif
