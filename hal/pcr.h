/*
 * The processor control region: one per processor, found through gs.
 *
 * Drivers read a few of these fields through inline functions of the public headers (gs:[188h] is the
 * current thread, gs:[184h] the processor number), so those offsets are fixed by the x64 interface.
 * The rest is ours. The machine allocates the regions, before the core starts, in memory that is
 * always mapped (the direct map), and loads gs.
 *
 * Writers: (H) the machine, (K) the dispatcher in ke/, (O) whoever runs on the processor at
 * DISPATCH_LEVEL or above.
 */
#ifndef HAL_PCR_H
#define HAL_PCR_H

#include <wdm.h>

struct _KTHREAD;
struct _KPCR;

#define HAL_MAXIMUM_PROCESSORS 64
#define KI_MAXIMUM_HELD_LOCKS 16

/* What one processor caches for the layers above; each owner defines the structure in its own part. */
typedef struct _KPCR_SLOTS {
    PVOID PageCache;        /* (O) mm/phys: free and zeroed frames */
    PVOID PoolCache;        /* (O) mm/pool: magazines */
    PVOID SystemPteCache;   /* (O) mm/pte */
    PVOID FlushBatch;       /* (O) mm/pte */
    PVOID Spare[4];
} KPCR_SLOTS;

typedef struct _KPCR {
    PVOID Reserved0[3];                 /* 0x000 */
    struct _KPCR *Self;                 /* 0x018 (H) */
    PVOID CurrentPrcb;                  /* 0x020 (H) Self + 0x180, as the interface has it */
    PVOID Reserved1[5];                 /* 0x028 */
    KIRQL Irql;                         /* 0x050 (H) where the machine has no CR8 */
    UCHAR Reserved2[0x180 - 0x51];
    ULONG MxCsr;                        /* 0x180 */
    UCHAR LegacyNumber;                 /* 0x184 (H) processor number, as old headers inline it */
    UCHAR Reserved3[3];
    struct _KTHREAD *CurrentThread;     /* 0x188 (K) */
    struct _KTHREAD *NextThread;        /* 0x190 (K) chosen to run next, or NULL */
    struct _KTHREAD *IdleThread;        /* 0x198 (K) */
    UCHAR NestingLevel;                 /* 0x1A0 (K) interrupts being served */
    UCHAR DpcRoutineActive;             /* 0x1A1 (K) */
    UCHAR Reserved4[2];
    ULONG Number;                       /* 0x1A4 (H) */
    ULONG Node;                         /* 0x1A8 (H) NUMA node */
    ULONG Reserved5;
    ULONG_PTR StackBase;                /* 0x1B0 (K) bounds of the stack segment in use; the machine */
    ULONG_PTR StackLimit;               /* 0x1B8 (K) checks a trap frame against them */
    volatile ULONG SoftwareInterrupts;  /* 0x1C0 (H,K) bit n: a software interrupt at IRQL n waits */
    ULONG HeldLockCount;                /* 0x1C4 (O) lock-rank checker: spin locks held, innermost last */
    ULONG HeldLockRanks[KI_MAXIMUM_HELD_LOCKS];
    PVOID HeldLocks[KI_MAXIMUM_HELD_LOCKS];
    KPCR_SLOTS Slots;
    PVOID HalPrivate;                   /* (H) the machine's own record of this processor */
    PVOID KiPrivate;                    /* (K) the dispatcher's record: DPC queue and so on */
    ULONG64 Reserved6[64];
} KPCR, *PKPCR;

_Static_assert(FIELD_OFFSET(KPCR, Self) == 0x18, "gs:[18h] is the region itself");
_Static_assert(FIELD_OFFSET(KPCR, Irql) == 0x50, "IRQL mirror");
_Static_assert(FIELD_OFFSET(KPCR, LegacyNumber) == 0x184, "inlined by KeGetCurrentProcessorNumber");
_Static_assert(FIELD_OFFSET(KPCR, CurrentThread) == 0x188, "inlined by KeGetCurrentThread");
_Static_assert(FIELD_OFFSET(KPCR, Number) == 0x1A4, "inlined by newer headers");

/*
 * Read a field of this processor's region in one instruction, so that the answer is right even
 * where the thread may move to another processor between two instructions.
 */
#define PCR_OFFSET(Field) __builtin_offsetof(KPCR, Field)
#define PcrRead64(Field)                                                                   \
    __extension__({                                                                        \
        ULONG64 PcrValue_;                                                                 \
        __asm__ volatile("movq %%gs:%c1, %0" : "=r"(PcrValue_) : "i"(PCR_OFFSET(Field)));  \
        PcrValue_;                                                                         \
    })
#define PcrRead32(Field)                                                                   \
    __extension__({                                                                        \
        ULONG PcrValue_;                                                                   \
        __asm__ volatile("movl %%gs:%c1, %0" : "=r"(PcrValue_) : "i"(PCR_OFFSET(Field)));  \
        PcrValue_;                                                                         \
    })
#define PcrRead8(Field)                                                                    \
    __extension__({                                                                        \
        UCHAR PcrValue_;                                                                   \
        __asm__ volatile("movb %%gs:%c1, %0" : "=q"(PcrValue_) : "i"(PCR_OFFSET(Field)));  \
        PcrValue_;                                                                         \
    })
#define PcrWrite8(Field, Value)                                                            \
    __asm__ volatile("movb %0, %%gs:%c1" ::"qi"((UCHAR)(Value)), "i"(PCR_OFFSET(Field)) : "memory")

/* This processor's region. Stable only at DISPATCH_LEVEL and above. */
static inline PKPCR
KeGetPcr(VOID)
{
    return (PKPCR)PcrRead64(Self);
}

#endif
