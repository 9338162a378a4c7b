/*
 * The inline part of the machine seam for the threads plug: every processor is a host thread with
 * its KPCR behind gs. There are no interrupts and no page faults, so IRQL is only a number that
 * assertions look at, and nothing is delivered when it is lowered.
 *
 * Included by hal/hal.h only.
 */
#ifndef HAL_THREADS_HALMACH_H
#define HAL_THREADS_HALMACH_H

static inline KIRQL
HalGetIrql(VOID)
{
    return PcrRead8(Irql);
}

static inline VOID
HalSetIrql(KIRQL Irql)
{
    PcrWrite8(Irql, Irql);
}

static inline VOID
HalLowerIrql(KIRQL Irql)
{
    PcrWrite8(Irql, Irql);
}

static inline BOOLEAN
HalDisableInterrupts(VOID)
{
    return TRUE;
}

static inline VOID
HalRestoreInterrupts(BOOLEAN Enable)
{
    (VOID)Enable;
}

/* Each thread is a processor. */
static inline BOOLEAN
HalBeginAlone(VOID)
{
    return TRUE;
}

static inline VOID
HalEndAlone(BOOLEAN State)
{
    (VOID)State;
}

/* Gives the host processor away now and then: there may be fewer of those than of ours. */
VOID HalPause(VOID);

/* The host's scheduler chooses. */
static inline VOID
HalChoicePoint(HAL_CHOICE Kind)
{
    (VOID)Kind;
}

/* No translations, so none can be stale. */
static inline VOID
HalFrameReleased(PFN_NUMBER Frame)
{
    (VOID)Frame;
}

static inline VOID
HalPteChanged(PVOID Pte)
{
    (VOID)Pte;
}

static inline VOID
HalUnpoison(PVOID Address, SIZE_T Size)
{
    (VOID)Address;
    (VOID)Size;
}

/* Around each access of the core to user memory. No machine of this kind keeps the core out. */
static inline VOID
HalBeginUserAccess(VOID)
{
}

static inline VOID
HalEndUserAccess(VOID)
{
}

#endif
