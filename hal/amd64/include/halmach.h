/*
 * The part of the machine seam that is inline on the bare machine. Included by hal/hal.h only.
 *
 * IRQL is the processor's task priority, CR8; KPCR.Irql is not used. An interrupt of vector V is taken while
 * V / 16 is above it, so lowering it lets in what waits in the local APIC, software interrupts too, before
 * the next instructions. KiSystemStartup and KiProcessorStartup are entered at HIGH_LEVEL with interrupts
 * disabled.
 */
#ifndef HAL_AMD64_HALMACH_H
#define HAL_AMD64_HALMACH_H

static inline KIRQL
HalGetIrql(VOID)
{
    ULONG64 Irql;

    __asm__ volatile("movq %%cr8, %0" : "=r"(Irql));
    return (KIRQL)Irql;
}

static inline VOID
HalSetIrql(KIRQL Irql)
{
    __asm__ volatile("movq %0, %%cr8" ::"r"((ULONG64)Irql) : "memory");
}

static inline VOID
HalLowerIrql(KIRQL Irql)
{
    HalSetIrql(Irql);
}

static inline BOOLEAN
HalDisableInterrupts(VOID)
{
    ULONG64 Flags;

    __asm__ volatile("pushfq; popq %0; cli" : "=r"(Flags)::"memory");
    return (Flags & 0x200) != 0;
}

static inline VOID
HalRestoreInterrupts(BOOLEAN Enable)
{
    if (Enable) {
        __asm__ volatile("sti" ::: "memory");
    }
}

static inline BOOLEAN
HalBeginAlone(VOID)
{
    return HalDisableInterrupts();
}

static inline VOID
HalEndAlone(BOOLEAN State)
{
    HalRestoreInterrupts(State);
}

static inline VOID
HalPause(VOID)
{
    __asm__ volatile("pause" ::: "memory");
}

/* Others run whenever they like here. */
static inline VOID
HalChoicePoint(HAL_CHOICE Kind)
{
    (void)Kind;
}

/* Nobody can ask a real processor which translations it holds. */
static inline VOID
HalFrameReleased(PFN_NUMBER Frame)
{
    (void)Frame;
}

static inline VOID
HalPteChanged(PVOID Pte)
{
    (void)Pte;
}

static inline VOID
HalUnpoison(PVOID Address, SIZE_T Size)
{
    (void)Address;
    (void)Size;
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
