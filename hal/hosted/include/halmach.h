/*
 * The part of the machine seam that is inline on the hosted machine.
 *
 * Included by hal/hal.h only. All virtual processors are fibers on one host thread and change
 * places nowhere but at a choice point, a pause, an idle call or a trap, so the words below need
 * no host atomics; what a processor owns is reached through gs, because a choice point may move
 * the caller.
 *
 * KiSystemStartup and KiProcessorStartup are entered at HIGH_LEVEL with interrupts disabled.
 */
#ifndef HAL_HOSTED_HALMACH_H
#define HAL_HOSTED_HALMACH_H

/* The machine's own words of the KPCR, inside Reserved2. */
#define HALP_PCR_PENDING        0x170 /* ULONG, bit n: an interrupt of the machine waits for IRQL < n */
#define HALP_PCR_INTERRUPTS_OFF 0x174 /* UCHAR: cli */

_Static_assert(HALP_PCR_INTERRUPTS_OFF < FIELD_OFFSET(KPCR, MxCsr), "inside Reserved2");
_Static_assert(HALP_PCR_PENDING > FIELD_OFFSET(KPCR, Reserved2), "inside Reserved2");

/* Choice points left, in weights, before the scheduler is asked; drawn from the seed. */
extern LONG HalpChoiceCountdown;

/* Translations held per frame, and per 2 MB for large ones; heads of the chains by PTE address. */
extern USHORT *HalpFrameHeld;
extern USHORT *HalpLargeHeld;
#define HALP_PTE_BUCKETS 16384
extern USHORT HalpPteHeads[HALP_PTE_BUCKETS];

VOID HalpChoice(HAL_CHOICE Kind);
VOID HalpDeliver(VOID);
VOID HalpFrameReleased(PFN_NUMBER Frame);
VOID HalpPteChanged(PVOID Pte);

/* Let another processor make progress. Called in every iteration of a spin loop, at any IRQL. */
VOID HalPause(VOID);

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
    ULONG Pending;

    PcrWrite8(Irql, Irql);
    __asm__ volatile("movl %%gs:%c1, %0" : "=r"(Pending) : "i"(HALP_PCR_PENDING));
    Pending |= PcrRead32(SoftwareInterrupts);
    if ((Pending >> (Irql + 1)) != 0) {
        HalpDeliver();
    }
}

static inline BOOLEAN
HalDisableInterrupts(VOID)
{
    UCHAR WereOff;

    __asm__ volatile("movb %%gs:%c1, %0" : "=q"(WereOff) : "i"(HALP_PCR_INTERRUPTS_OFF));
    __asm__ volatile("movb $1, %%gs:%c0" ::"i"(HALP_PCR_INTERRUPTS_OFF) : "memory");
    return WereOff == 0;
}

static inline VOID
HalRestoreInterrupts(BOOLEAN Enable)
{
    if (Enable) {
        __asm__ volatile("movb $0, %%gs:%c0" ::"i"(HALP_PCR_INTERRUPTS_OFF) : "memory");
        HalLowerIrql(HalGetIrql());
    }
}

/*
 * The core is never interrupted where it does not expect it (trap.c), and a processor gives way in calls only: what
 * calls nothing and cannot fault is alone.
 */
static inline BOOLEAN
HalBeginAlone(VOID)
{
    __asm__ volatile("" ::: "memory");
    return TRUE;
}

static inline VOID
HalEndAlone(BOOLEAN State)
{
    (VOID)State;
    __asm__ volatile("" ::: "memory");
}

/* How much of the countdown each kind of choice takes: rarer events count more. */
static inline VOID
HalChoicePoint(HAL_CHOICE Kind)
{
    static const UCHAR Weights[HalChoiceMaximum] = {
        [HalChoiceLock] = 2,  [HalChoiceWait] = 8,  [HalChoiceIrql] = 1,
        [HalChoiceFlush] = 6, [HalChoiceFault] = 4, [HalChoiceCompletion] = 8,
    };

    HalpChoiceCountdown -= Weights[Kind];
    if (HalpChoiceCountdown <= 0) {
        HalpChoice(Kind);
    }
}

static inline VOID
HalFrameReleased(PFN_NUMBER Frame)
{
    if ((HalpFrameHeld[Frame] | HalpLargeHeld[Frame >> 9]) != 0) {
        HalpFrameReleased(Frame);
    }
}

static inline ULONG
HalpPteBucket(const VOID *Pte)
{
    ULONG64 Key;

    Key = (ULONG_PTR)Pte >> 3;
    return (ULONG)((Key * 0x9E3779B97F4A7C15ull) >> 50);
}

static inline VOID
HalPteChanged(PVOID Pte)
{
    if (HalpPteHeads[HalpPteBucket(Pte)] != 0) {
        HalpPteChanged(Pte);
    }
}

#if defined(__SANITIZE_ADDRESS__)
#define HALP_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HALP_ASAN 1
#endif
#endif

#ifdef HALP_ASAN
void __asan_unpoison_memory_region(void const volatile *Address, __SIZE_TYPE__ Size);
static inline VOID
HalUnpoison(PVOID Address, SIZE_T Size)
{
    __asan_unpoison_memory_region(Address, Size);
}
#else
static inline VOID
HalUnpoison(PVOID Address, SIZE_T Size)
{
    (void)Address;
    (void)Size;
}
#endif

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
