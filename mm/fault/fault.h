/*
 * Private to mm/fault: one fault's live state, and the kinds the dispatcher sends it to.
 */
#ifndef MM_FAULT_FAULT_H
#define MM_FAULT_FAULT_H

#include <mm/mi.h>
#include <mm/phys/pfn.h>
#include <mm/pte/pte.h>
#include <mm/va/va.h>

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
    MiFaultNeedsTable, /* the page is there, but no table for its entry */
    MiFaultNeedsVad,   /* the entry does not decide alone: ask the region */
    MiFaultGuard,      /* it was a guard page, and is none any more */
    MiFaultViolation,  /* nobody may do this */
    MiFaultNoMemory
} MI_FAULT_RESULT;

typedef struct _MI_FAULT {
    ULONG_PTR Va;
    ULONG ErrorCode;
    PKTRAP_FRAME TrapFrame;
    PFN_NUMBER RootFrame;
    PMI_ADDRESS_SPACE Space; /* of a user address; NULL: system space */
    PMMVAD Vad;           /* the region, while its lock is held */
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
 * The valid entry for a page that comes back or comes into being, in a user address space counted as resident. Dirty is
 * set at once where the access is a write, or the page is modified anyway, so that the processor need not write the
 * entry again. (user.c)
 */
MMPTE MiMakeFaultPte(PMI_FAULT Fault, PFN_NUMBER Frame, MI_PROTECTION Protection, BOOLEAN Dirty);

/* The kinds. Table lock held on entry and on return; none of them blocks. */
MI_FAULT_RESULT MiFaultDemandZero(PMI_FAULT Fault);
MI_FAULT_RESULT MiFaultTransition(PMI_FAULT Fault);

/* What the region of a user address says. No lock held; takes the Vad lock, shared. */
MI_FAULT_RESULT MiFaultByVad(PMI_FAULT Fault);

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
